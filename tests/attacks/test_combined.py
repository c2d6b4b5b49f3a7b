"""Two attacks at once, and ways that no list names. Each begins where `m` may scale, and ends in a hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

import lab
import ledger_lab as made
from interlock.decide.decision import timestamp
from interlock.decide.facts import Step
from interlock.errors import EvidenceError
from interlock.evidence import keys
from interlock.evidence.predicates import DeploymentPredicate, PermitPredicate, SubjectPredicate, statement
from interlock.gate import approval
from interlock.gate import permit as permits
from interlock.policy.load import loads
from interlock.subject.deployment import Deployment
from interlock.subject.manifest import Manifest
from interlock.workspace import now

BAD = 110  # of 120 right
WITHDRAWN = {"reason": "inconvenient"}


def _withdraw(workspace, digest, *names):
    made.sign(workspace, made.said("withdrawal", WITHDRAWN, about=digest), *(names or ("evaluation-team",)))


def _copy(workspace, mark, *steps, compute=made.COMPUTE):
    """A subject that was made in these steps."""
    files = Manifest((("model.safetensors", mark * 64),))
    predicate = SubjectPredicate(f"copy {mark}", files, compute, compute, compute, steps)
    name = {"name": f"copy {mark}", "digest": files.digest}
    made.sign(workspace, statement("subject", predicate=predicate.to_json(), **name), "evaluation-team")
    return files.digest


def _vouch(workspace, subject):
    words = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "x"}
    made.sign(workspace, made.said("attestation", words, about=subject), "external-auditor")


def _by_protocol(monkeypatch, workspace, **changes):
    monkeypatch.setattr(made, "PROTOCOL", replace(made.PROTOCOL, **changes))
    made.evaluate(workspace, correct=BAD, seed=1)


# -- bad runs ---------------------------------------------------------------------------------------------------------


def _of_a_plan_that_was_withdrawn(workspace, _):
    plan = made.plan(workspace, seed=1)
    _withdraw(workspace, plan)
    made.result(workspace, BAD, of=plan, seed=1)


def _withdrawn_together_with_its_plan(workspace, _):
    plan = made.plan(workspace, seed=1)
    result = made.result(workspace, BAD, of=plan, seed=1)
    for digest in (plan, result):
        _withdraw(workspace, digest)


def _set_aside_by_the_auditor_who_takes_that_back(workspace, _):
    result = made.evaluate(workspace, correct=BAD, seed=1)
    aside = made.sign(workspace, made.said("set-aside", WITHDRAWN, about=result), "external-auditor")
    assert made.verdict(workspace) == "permit"
    _withdraw(workspace, aside, "external-auditor")


def _set_aside_by_everybody_else(workspace, _):
    result = made.evaluate(workspace, correct=BAD, seed=1)
    names = ("evaluation-team", "gatekeeper", "board-1", "board-2", "board-3")
    made.sign(workspace, made.said("set-aside", WITHDRAWN, about=result), *names)


def _by_one_key_of_a_quorum(workspace, _):
    made.result(workspace, BAD, "board-1", of=made.plan(workspace, seed=1), seed=1)


def _of_another_version_of_the_task(workspace, monkeypatch):
    _by_protocol(monkeypatch, workspace, task_version=2)


def _by_another_metric(workspace, monkeypatch):
    _by_protocol(monkeypatch, workspace, metric="f1")


def _of_what_is_offered(workspace, monkeypatch):
    made_up = Deployment(made.FILES.digest, None, (), (), "api", "public", ())
    predicate = DeploymentPredicate("api", made_up).to_json()
    offered = statement("deployment", name="api", digest=made_up.digest, predicate=predicate)
    made.sign(workspace, offered, "evaluation-team")
    _by_protocol(monkeypatch, workspace, deployment=made_up.digest)


def _on_a_copy_of_a_copy(workspace, _):
    first = _copy(workspace, "4", Step(made.FILES.digest, "fine-tuned", 1), compute=made.COMPUTE + 1)
    second = _copy(workspace, "5", Step(first, "fine-tuned", 1), compute=made.COMPUTE + 2)
    made.evaluate(workspace, correct=BAD, about=second)


def _on_a_merge_with_a_dear_model(workspace, _):
    other = _copy(workspace, "4")
    steps = Step(made.FILES.digest, "merged", 1), Step(other, "merged", made.COMPUTE)
    made.evaluate(workspace, correct=BAD, about=_copy(workspace, "5", *steps, compute=3 * made.COMPUTE))


def _on_a_copy_that_names_its_parent_twice(workspace, _):
    steps = Step(made.FILES.digest, "merged", made.COMPUTE), Step(made.FILES.digest, "merged", 1)
    made.evaluate(workspace, correct=BAD, about=_copy(workspace, "5", *steps, compute=3 * made.COMPUTE))


def _told_as_an_incident_that_its_reporter_sets_aside(workspace, _):
    told = {"kind": "theft", "about": "subject", "thresholds": ["expert"], "requirements": [], "moments": {}}
    incident = made.said("incident", told | {"resolved": None, "statement": "x"})
    made.sign(workspace, incident, "gatekeeper")
    made.sign(workspace, made.said("set-aside", WITHDRAWN, about=incident.digest), "gatekeeper")


RUNS = (
    *(_of_a_plan_that_was_withdrawn, _withdrawn_together_with_its_plan, _set_aside_by_everybody_else),
    *(_set_aside_by_the_auditor_who_takes_that_back, _by_one_key_of_a_quorum, _of_another_version_of_the_task),
    *(_by_another_metric, _of_what_is_offered, _on_a_copy_of_a_copy, _on_a_merge_with_a_dear_model),
    *(_on_a_copy_that_names_its_parent_twice, _told_as_an_incident_that_its_reporter_sets_aside),
)


@pytest.mark.parametrize("attack", RUNS, ids=lambda it: it.__name__.strip("_").replace("_", " "))
def test_a_bad_run_holds(sound, capsys, monkeypatch, attack):
    assert lab.verdict(capsys, sound, "m")[0] == "permit"
    attack(sound, monkeypatch)
    verdict, reasons = lab.verdict(capsys, sound, "m")
    assert verdict == "hold"
    assert "skill >= 0.5" in reasons or "incident" in reasons
    assert lab.command(capsys, sound, "ledger", "verify").code == 0


def test_a_bad_run_on_one_copy_holds_the_next(sound, capsys):
    """Evaluate copies until one of them scores well."""
    bad, good = (
        _copy(sound, mark, Step(made.FILES.digest, "fine-tuned", 1), compute=made.COMPUTE + 1) for mark in "45"
    )
    made.evaluate(sound, about=good)
    _vouch(sound, good)
    assert lab.verdict(capsys, sound, "copy 5")[0] == "permit"
    made.evaluate(sound, correct=BAD, about=bad)
    verdict, reasons = lab.verdict(capsys, sound, "copy 5")
    assert (verdict, "`copy 4`" in reasons) == ("hold", True)


# -- reports that are none --------------------------------------------------------------------------------------------


def _withdrawn(workspace):
    _withdraw(workspace, made.evaluate(workspace, seed=1))


def _thin(workspace):
    made.result(workspace, 0, of=made.plan(workspace, seed=1), seed=1, scored=10)


def _of_something_else(workspace):
    made.result(workspace, 0, of=made.plan(workspace, seed=1), seed=2)


def _by_another_signer_of_the_plan(workspace):
    plan = made.plan(workspace, "evaluation-team", "gatekeeper", seed=1)
    made.result(workspace, 0, "gatekeeper", of=plan, seed=1)


def _by_nobody_on_another_role_s_plan(workspace):
    made.plan(workspace, "gatekeeper", seed=1)


REPORTS = (_withdrawn, _thin, _of_something_else, _by_another_signer_of_the_plan, _by_nobody_on_another_role_s_plan)


@pytest.mark.parametrize("attack", REPORTS, ids=lambda it: it.__name__.strip("_").replace("_", " "))
def test_a_report_that_is_none_holds_when_it_is_due(sound, tmp_path, capsys, monkeypatch, attack):
    honest = lab.copy(sound, tmp_path / "honest")
    made.evaluate(honest, seed=1)
    attack(sound)
    lab.later(monkeypatch, now() + timedelta(days=1))
    assert lab.verdict(capsys, honest, "m")[0] == "permit"
    verdict, reasons = lab.verdict(capsys, sound, "m")
    assert (verdict, "never reported" in reasons) == ("hold", True)


# -- permits, and a version to come -----------------------------------------------------------------------------------


def _next(workspace, *changes):
    text = made.POLICY.replace("version: 1.0.0", "version: 1.1.0")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(now() + timedelta(days=31))}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return loads(text, name="policy.yaml", folder=workspace.folder)


def test_a_permit_whose_evidence_was_taken_back_holds(sound, capsys):
    sound.refresh()
    permit = permits.issue(sound, subject="m", action="scale", at=now()).permit
    assert lab.command(capsys, sound, "permit", "verify", permit, "-a", "scale").code == 0
    _withdraw(sound, lab.payload(sound, "attestation").digest, "external-auditor")
    said = lab.command(capsys, sound, "permit", "verify", permit, "-a", "scale")
    assert (said.code, "`no-evaluation-gaming`" in said.err) == (3, True)


def test_a_permit_under_a_version_to_come_opens_nothing_before_it(sound, capsys):
    sound.amend(sound.read(), _next(sound), changes="x")
    sound.refresh()
    issued = permits.issue(sound, subject="m", action="scale", at=now())
    evidence = sound.read()
    terms = PermitPredicate.from_json(lab.payload(sound, "permit").predicate, "permit")
    early = replace(terms, policies=(evidence.versions[1].digest,))
    named = {"name": "m", "digest": made.FILES.digest}
    with pytest.raises(EvidenceError, match="the permit grants what its decision"):
        made.sign(sound, statement("permit", predicate=early.to_json(), **named), "gatekeeper")
    assert lab.command(capsys, sound, "permit", "verify", issued.permit, "-a", "scale").code == 0


def test_an_approval_by_a_role_that_is_yet_to_come(told, tmp_path, capsys, monkeypatch):
    """Whoever is to approve later approves now: it counts neither now nor later, for it came before its time."""
    made.evaluate(told, correct=36)
    honest = lab.copy(told, tmp_path / "honest")
    assert lab.command(capsys, honest, "approve", "agreed", "--subject", "m").code == 0
    assert lab.verdict(capsys, honest, "m", "deploy-api")[0] == "permit"
    keys.new_key(told.folder / "keys" / "friend.key", passphrase=None)
    brought = ("  gatekeeper:  ", "  friend: {keys: [keys/friend.pub], quorum: 1}\n  gatekeeper:  ")
    told.amend(told.read(), _next(told, brought, ("by: board, about", "by: friend, about")), changes="x")
    seen = approval.seen(told.read(), "agreed", subject=made.FILES.digest, deployment=None, at=now())
    words = {"requirement": "agreed", "about": "subject", "findings": [it.digest for it in seen], "statement": "x"}
    made.sign(told, made.said("approval", words), "friend")
    assert lab.verdict(capsys, told, "m", "deploy-api")[0] == "hold"
    lab.later(monkeypatch, now() + timedelta(days=32))
    assert lab.verdict(capsys, told, "m", "deploy-api")[0] == "hold"
