"""Attacks on a workspace by somebody who holds its keys, its disk, or both. None may open a gate."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

import lab
from interlock.decide.decision import timestamp, to_json
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import dsse, keys
from interlock.evidence.predicates import PermitPredicate, SnapshotPredicate, protocol_to_json, statement
from interlock.evidence.read import read
from interlock.evidence.statement import Statement
from interlock.gate import permit as permits
from interlock.ledger.writer import Writer, create
from interlock.subject.manifest import Manifest
from interlock.workspace import now

#: RFC 8032, section 7.1, test 1: nobody's key here.
ANOTHER = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


# -- the logs ---------------------------------------------------------------------------------------------------------


def test_a_result_cannot_name_a_log_outside_the_workspace(whole, capsys, tmp_path):
    log = shutil.copyfile(next(whole.folder.glob("logs/*/*.eval")), tmp_path / "elsewhere.eval")
    for name in (str(log), "../elsewhere.eval"):
        made = lab.result_of(whole, log={**lab.payload(whole, "result").predicate["log"], "name": name})
        lab.force(whole, lab.envelope(made, lab.key(whole, "evaluation-team")))
        said = lab.command(capsys, whole, "ledger", "verify")
        assert said.code == 4
        assert "is missing" in said.err


# -- the ledger's bytes -----------------------------------------------------------------------------------------------


def test_any_byte_of_the_ledger_that_changes_is_found(whole, capsys):
    lab.issue(whole)
    assert lab.command(capsys, whole, "ledger", "verify").code == 0
    published = (path for path in (whole.folder / "ledger").rglob("*") if path.parent.name != "sequencer")
    files = sorted(path for path in published if path.is_file() and path.stat().st_size)
    rng = random.Random(0)  # noqa: S311  the same changes every time
    missed = []
    for _ in range(200):
        path = rng.choice(files)
        data = path.read_bytes()
        place, flip = rng.randrange(len(data)), rng.randrange(1, 256)
        path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
        said = lab.command(capsys, whole, "ledger", "verify")
        if said.code != 4 or not said.err.startswith("interlock: ") or said.out:
            missed.append((path.name, place, flip, said))
        path.write_bytes(data)
    assert missed == []
    assert lab.command(capsys, whole, "ledger", "verify").code == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"policy": "0" * 64}, 4),
        ({"log_key": ANOTHER}, 4),
        ({"origin": "another-lab.rsp/ledger"}, 4),
        ({"policy": None}, 2),
        ({"origin": 5}, 2),
        ({"log_key": "ed25519:AAAA"}, 2),
        ({"override": "permit"}, 2),
    ],
    ids=str,
)
def test_a_workspace_that_trusts_something_else_than_its_ledger_shows_is_refused(whole, capsys, changes, code):
    path = whole.folder / "interlock.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    for arguments in (["decide", "-s", "honest"], ["ledger", "verify"]):
        said = lab.command(capsys, whole, *arguments)
        if "log_key" in changes and arguments[0] == "decide":
            assert said.code in {2, 4}  # the private key beside it is not the log's: a usage error already
        else:
            assert said.code == code
        assert said.out == ""


# -- statements that do not belong where they stand -------------------------------------------------------------------


def _refused(capsys, workspace, made, *pairs, match):
    """Refused when it is appended, with nothing written; and where it was forced in, no command answers."""
    before = lab.size(workspace)
    with pytest.raises(EvidenceError, match=match):
        workspace.append(made, pairs)
    assert lab.size(workspace) == before
    lab.force(workspace, lab.envelope(made, *pairs))
    for arguments in (["ledger", "verify"], ["decide", "-s", "honest"], ["permit", "show", "0" * 64]):
        said = lab.command(capsys, workspace, *arguments)
        assert (said.code, said.out) == (4, "")
        assert f"ledger entry {before}" in said.err


def test_an_entry_that_somebody_else_signed_again_is_refused(whole, capsys):
    """The bytes of an honest result, without the evaluator's signature and under a stranger's."""
    made = lab.payload(whole, "result")
    lab.force(whole, lab.envelope(made, keys.KeyPair.generate()))
    assert lab.command(capsys, whole, "ledger", "verify").code == 4


def test_the_log_key_and_one_key_of_the_board_are_no_role(whole, capsys):
    made = lab.changed(lab.payload(whole, "attestation"), statement="again")
    _refused(
        capsys, whole, made, lab.key(whole, "log"), lab.key(whole, "board-1"), match="signed by the quorum of no role"
    )


def _ledger_of(workspace, folder, data):
    """Another ledger of the same name and key, with one entry."""
    log_key = lab.key(workspace, "log")
    ledger = create(folder, workspace.origin, log_key, now())
    with Writer(ledger, log_key, clock=now) as writer:
        writer.append_at(data, 0)
    return ledger


def test_a_policy_that_the_board_did_not_sign_is_refused(whole, tmp_path):
    data = lab.envelope(lab.payload(whole, "policy"), lab.key(whole, "external-auditor"))
    ledger = _ledger_of(whole, tmp_path / "ledger", data)
    with pytest.raises(EvidenceError, match="not signed by `board`"):
        read(ledger.read(), pinned_policy=whole.policy_digest)


def test_a_signature_that_does_not_verify_is_refused_beside_a_good_one(whole, capsys):
    made = lab.result_of(whole, environment={"again": "yes"})
    forged = json.loads(lab.envelope(made, lab.key(whole, "evaluation-team"), lab.key(whole, "external-auditor")))
    forged["signatures"][1]["sig"] = forged["signatures"][0]["sig"]
    lab.force(whole, json.dumps(forged).encode())
    said = lab.command(capsys, whole, "ledger", "verify")
    assert said.code == 4
    assert "does not verify" in said.err


def test_a_second_policy_is_refused(whole, capsys):
    loose = lab.changed(lab.payload(whole, "policy"), title="a looser one")
    pairs = [lab.key(whole, "board-1"), lab.key(whole, "board-2")]
    _refused(capsys, whole, loose, *pairs, match="expected a policy as entry 0 and nowhere else")


def test_a_statement_cannot_be_played_again(whole, capsys):
    """Else an old attestation would be as fresh as its last copy."""
    old = lab.payload(whole, "attestation")
    _refused(capsys, whole, old, lab.key(whole, "external-auditor"), match="repeats an earlier statement")


@pytest.mark.parametrize("kind", ["subject", "plan", "result", "attestation", "permit", "snapshot"])
def test_a_member_that_no_reader_knows_is_refused(whole, capsys, kind):
    if kind == "permit":
        made = _permit_statement(whole)
    elif kind == "snapshot":
        made = _snapshot_statement(whole, lab.issue(whole))
    else:
        made = lab.payload(whole, kind)
    everyone = [lab.key(whole, name) for name in ("evaluation-team", "external-auditor", "gatekeeper")]
    _refused(capsys, whole, lab.changed(made, override="permit"), *everyone, match="unknown member `override`")


def test_a_statement_of_an_unknown_kind_is_refused(whole, capsys):
    made = Statement("urn:interlock:override:v1", lab.payload(whole, "result").subjects, {"verdict": "permit"})
    _refused(capsys, whole, made, lab.key(whole, "gatekeeper"), match="unknown predicate type")


def test_a_statement_about_two_things_is_refused(whole, capsys):
    made = lab.payload(whole, "attestation")
    two = Statement(made.predicate_type, (*made.subjects, ("another", "0" * 64)), made.predicate)
    _refused(capsys, whole, two, lab.key(whole, "external-auditor"), match="names 2 things, expected one")


# -- subjects ---------------------------------------------------------------------------------------------------------


def _child(workspace, name="child", *, files=None, **members):
    """A subject made from the honest one, with one file more."""
    parent = lab.payload(workspace, "subject", 0)
    plain = workspace.read().manifests[parent.subjects[0][1]].files
    made_of = Manifest((*plain, ("zz", "0" * 64)) if files is None else files)
    made = lab.changed(
        parent,
        **{
            "name": name,
            "manifest": made_of.to_json(),
            "model_signing_sha256": made_of.model_signing_digest,
            "training_compute": str(lab.COMPUTE + 1),
            "effective_compute": {"low": str(lab.COMPUTE), "high": str(lab.COMPUTE + 1)},
            "steps": [{"parent": parent.subjects[0][1], "kind": "continued", "compute": "1"}],
            **members,
        },
    )
    return Statement(made.predicate_type, ((name, made_of.digest),), made.predicate)


def test_the_child_of_the_attacks_below_is_accepted(whole):
    whole.append(_child(whole), [lab.key(whole, "evaluation-team")])


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"name": "honest"}, "another subject is called `honest`"),
        ({"effective_compute": {"low": "1", "high": str(lab.COMPUTE)}}, "below that of its parent"),
        ({"effective_compute": {"low": str(lab.COMPUTE), "high": "1"}}, "is not an interval"),
        ({"effective_compute": {"low": "0", "high": "0"}}, "is not an interval"),
        ({"steps": [{"parent": "0" * 64, "kind": "continued", "compute": "1"}]}, "is not in the ledger before it"),
        ({"steps": [{"parent": "0" * 64, "kind": "renamed", "compute": "1"}]}, "`kind` is `renamed`"),
        (
            {"training_compute": str(lab.COMPUTE)},
            "training compute 1000000000000 is below that of its way from `honest`",
        ),
        ({"model_signing_sha256": "0" * 64}, "`model_signing_sha256` is 000000000000, expected"),
        ({"run": {"config_sha256": "0" * 64, "data_sha256": "0" * 64}}, "unknown member"),
        ({"sizes": []}, "unknown member `sizes`"),
    ],
    ids=[
        *("name twice", "less compute", "not an interval", "no compute", "parent unknown", "step unknown"),
        *("less training", "another digest for other tools", "weights and none", "a member more"),
    ],
)
def test_a_subject_that_cannot_be_is_refused(whole, capsys, members, match):
    _refused(capsys, whole, _child(whole, **members), lab.key(whole, "evaluation-team"), match=match)


def test_the_same_weights_under_a_second_name_are_refused(whole, capsys):
    (files,) = whole.read().manifests.values()
    same = _child(whole, "clean", files=files.files, steps=[])
    _refused(capsys, whole, same, lab.key(whole, "evaluation-team"), match="is there already as `honest`")


def test_a_digest_that_its_files_do_not_make_is_refused(whole, capsys):
    made = _child(whole)
    other = Statement(made.predicate_type, (("child", "1" * 64),), made.predicate)
    _refused(capsys, whole, other, lab.key(whole, "evaluation-team"), match="its files make subject")


def _reversed(manifest):
    manifest["resources"].reverse()


def _doubled(manifest):
    manifest["resources"].append(manifest["resources"][-1])


def _ignoring(manifest):
    manifest["serialization"]["ignore_paths"] = ["evil.py"]


def _with_links(manifest):
    manifest["serialization"]["allow_symlinks"] = True


def _zero_for_false(manifest):
    manifest["serialization"]["allow_symlinks"] = 0


def _blake3(manifest):
    manifest["resources"][0]["algorithm"] = "blake3"


def _two_cases(manifest):
    manifest["resources"].insert(0, {**manifest["resources"][0], "name": manifest["resources"][0]["name"].upper()})


def _climbing(manifest):
    manifest["resources"][-1]["name"] = "zz/../../up"


def _saying_more(manifest):
    manifest["resources"][0]["size"] = 1


@pytest.mark.parametrize(
    ("alter", "match"),
    [
        (_reversed, "lists each file once and in order"),
        (_doubled, "lists each file once and in order"),
        (_ignoring, "`serialization` is"),
        (_with_links, "`serialization` is"),
        (_zero_for_false, "`serialization` is"),
        (_blake3, "`algorithm` is `blake3`, expected one of sha256"),
        (_two_cases, "are one name on some machines"),
        (_climbing, "is not a plain relative path"),
        (_saying_more, "unknown member `size`"),
    ],
)
def test_the_same_files_under_another_list_are_no_other_subject(whole, capsys, alter, match):
    """A second spelling of one list would be a subject without the results of the first."""
    made = _child(whole)
    manifest = json.loads(made.to_bytes())["predicate"]["manifest"]
    alter(manifest)
    _refused(capsys, whole, lab.changed(made, manifest=manifest), lab.key(whole, "evaluation-team"), match=match)


@pytest.mark.parametrize("version", ["v1", "v3", ""])
def test_a_subject_of_another_version_is_refused(whole, capsys, version):
    made = _child(whole)
    other = Statement(f"urn:interlock:subject:{version}", made.subjects, made.predicate)
    _refused(capsys, whole, other, lab.key(whole, "evaluation-team"), match="unknown predicate type `urn:interlock:s")


# -- plans and results ------------------------------------------------------------------------------------------------


@pytest.fixture
def awaiting(few_shot, finished_lab):
    """Everything but the fine-tuned result that its last plan announces; the result's log is here."""
    lab.attest_everything(few_shot)
    lab.announce(few_shot, "fine-tuned", 16)
    shutil.copytree(finished_lab.folder / "logs", few_shot.folder / "logs", dirs_exist_ok=True)
    return few_shot


@pytest.fixture
def finished(finished_lab):
    """The fine-tuned result, to be adapted."""
    return lab.payload(finished_lab, "result")


def _report(workspace, finished, *pairs, **members):
    made = lab.changed(finished, **{"plan": lab.payload(workspace, "plan").digest, **members})
    workspace.append(made, pairs or [lab.key(workspace, "evaluation-team")])


def test_the_result_of_the_attacks_below_would_open_the_gate(awaiting, finished, capsys):
    assert lab.verdict(capsys, awaiting)[0] == "hold"
    _report(awaiting, finished)
    assert lab.verdict(capsys, awaiting)[0] == "permit"


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"demonstrations": 17},
        {"samples_digest": "0" * 64},
        {"samples": 119},
        {"task": "interlock/other"},
        {"elicitation": "few-shot"},
    ],
    ids=str,
)
def test_a_result_whose_plan_announced_something_else_counts_as_unplanned(awaiting, finished, capsys, other):
    plan = awaiting.read().facts.plans[-1]
    predicate = dict(lab.payload(awaiting, "plan").predicate)
    predicate["protocol"] = protocol_to_json(replace(plan.protocol, **other))
    made = lab.about_honest(awaiting, "plan", predicate)
    awaiting.append(made, [lab.key(awaiting, "evaluation-team")])
    _report(awaiting, finished, plan=made.digest)
    verdict, reasons = lab.verdict(capsys, awaiting)
    assert verdict == "hold"
    assert "no plan stands before it in the ledger" in reasons


def test_a_plan_for_another_subject_does_not_serve(awaiting, finished, capsys):
    child = _child(awaiting)
    awaiting.append(child, [lab.key(awaiting, "evaluation-team")])
    predicate = lab.payload(awaiting, "plan").predicate
    made = statement("plan", name="child", digest=child.subjects[0][1], predicate=predicate)
    awaiting.append(made, [lab.key(awaiting, "evaluation-team")])
    _report(awaiting, finished, plan=made.digest)
    verdict, reasons = lab.verdict(capsys, awaiting)
    assert verdict == "hold"
    assert "no plan stands before it in the ledger" in reasons


def test_a_plan_that_another_role_announced_does_not_serve(awaiting, finished, capsys):
    predicate = dict(lab.payload(awaiting, "plan").predicate)
    predicate["report_by"] = timestamp(now() + timedelta(days=1))
    made = lab.about_honest(awaiting, "plan", predicate)
    awaiting.append(made, [lab.key(awaiting, "gatekeeper")])
    _report(awaiting, finished, plan=made.digest)
    assert lab.verdict(capsys, awaiting)[0] == "hold"


def test_an_adverse_result_without_a_plan_by_another_role_holds(whole, capsys):
    assert lab.verdict(capsys, whole)[0] == "permit"
    adverse = lab.result_of(whole, plan="0" * 64, counts=lab.counts(120))
    whole.append(adverse, [lab.key(whole, "external-auditor")])
    verdict, reasons = lab.verdict(capsys, whole)
    assert verdict == "hold"
    assert "evidence shows codebook >= 0.2" in reasons


@pytest.mark.parametrize(
    "counts",
    [
        {"correct": 121},
        {"scored": 121},
        {"completed": 121},
        {"planned": 1000},
        {"correct": -1},
        {"correct": True},
        {"refused_at_most": 121},
        {"refused_scores": 2, "refused_at_most": 1},
        {"scored": 119, "refused_scores": 120},
        {"refused_at_most": "unknown"},
        {"refused_at_most": None},
        {"errored": 1},
        {"completed": 119, "scored": 119, "errored": 2},
        {"limited": 121},
        {"limited": "unknown"},
    ],
    ids=str,
)
def test_counts_that_cannot_be_are_refused(whole, capsys, counts):
    made = lab.result_of(whole, counts={**lab.counts(0), **counts})
    _refused(capsys, whole, made, lab.key(whole, "evaluation-team"), match="ledger entry")


def test_a_plan_cannot_put_off_its_report(whole, capsys):
    """An evaluation that went badly would never be overdue."""
    far = lab.changed(lab.payload(whole, "plan"), report_by="9999-01-01T00:00:00Z")
    _refused(capsys, whole, far, lab.key(whole, "evaluation-team"), match="reports by 9999-01-01T00:00:00Z, expected")


def test_an_overdue_plan_is_not_closed_by_somebody_elses_report(whole, capsys):
    plan = lab.payload(whole, "plan")
    overdue = lab.changed(
        plan,
        report_by=timestamp(now() - timedelta(seconds=1)),
        protocol={**plan.predicate["protocol"], "elicitation": {**_elicitation(plan), "seed": 7}},
    )
    whole.append(overdue, [lab.key(whole, "evaluation-team")])
    assert lab.verdict(capsys, whole)[0] == "hold"
    report = lab.result_of(whole, plan=overdue.digest, protocol=overdue.predicate["protocol"])
    whole.append(report, [lab.key(whole, "gatekeeper")])
    verdict, reasons = lab.verdict(capsys, whole)
    assert verdict == "hold"
    assert "never reported" in reasons
    whole.append(lab.changed(report, environment={}), [lab.key(whole, "evaluation-team")])
    assert lab.verdict(capsys, whole)[0] == "permit"


def _elicitation(plan):
    return plan.predicate["protocol"]["elicitation"]


def test_an_open_plan_on_any_kin_holds_what_cannot_be_taken_back(whole, capsys):
    whole.append(_child(whole), [lab.key(whole, "evaluation-team")])
    lab.announce(whole, "few-shot", subject="child")
    said = lab.command(capsys, whole, "decide", "-s", "honest", "-a", "release-weights", "--json")
    (ruling,) = said.json["rulings"]
    codes = {reason["code"] for cell in ruling["cells"] for reason in cell["finding"]["reasons"]}
    assert "open-plan" in codes
    assert lab.verdict(capsys, whole)[0] == "permit"


# -- attestations -----------------------------------------------------------------------------------------------------


def _without(workspace, source, name):
    """Play every entry of `source` that `workspace` lacks, but the attestations of one name."""
    for entry in source.ledger.read().entries[lab.size(workspace) :]:
        made = Statement.parse(dsse.parse(entry.data).payload)
        if made.predicate.get("name") != name:
            lab.force(workspace, entry.data)
    shutil.copytree(source.folder / "logs", workspace.folder / "logs", dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("names", "opens"),
    [
        (["external-auditor"], True),
        (["evaluation-team"], False),
        (["gatekeeper"], False),
        (["board-1", "board-2"], False),
    ],
    ids=str,
)
def test_only_the_role_that_the_policy_names_states_an_assumption(few_shot, finished_lab, capsys, names, opens):
    _without(few_shot, finished_lab, "no-gradient-hacking")
    verdict, reasons = lab.verdict(capsys, few_shot)
    assert verdict == "hold"
    assert "`no-gradient-hacking` is not stated by `external-auditor`" in reasons
    (stated,) = [
        made
        for made in (lab.payload(finished_lab, "attestation", number) for number in range(5))
        if made.predicate["name"] == "no-gradient-hacking"
    ]
    few_shot.append(stated, [lab.key(few_shot, name) for name in names])
    assert lab.verdict(capsys, few_shot)[0] == ("permit" if opens else "hold")


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"at": "9999-01-01T00:00:00Z"}, "later than its own ledger time"),
        ({"about": "developer"}, "which is no version of this one"),
        ({"kind": "approval"}, "expected one of assumption, requirement"),
        ({"statement": ""}, "a non-empty string"),
    ],
    ids=["of tomorrow", "about the developer", "unknown kind", "says nothing"],
)
def test_an_attestation_that_cannot_be_is_refused(whole, capsys, members, match):
    made = lab.changed(lab.payload(whole, "attestation", 0), **members)
    _refused(capsys, whole, made, lab.key(whole, "external-auditor"), match=match)


def test_an_attestation_that_was_kept_back_is_not_fresh(few_shot, finished_lab, capsys):
    _without(few_shot, finished_lab, "no-gradient-hacking")
    old = lab.about_honest(
        few_shot,
        "attestation",
        {
            "kind": "assumption",
            "name": "no-gradient-hacking",
            "about": "subject",
            "statement": "true when it was signed",
            "at": timestamp(now() - timedelta(days=190)),
        },
    )
    few_shot.append(old, [lab.key(few_shot, "external-auditor")])
    assert lab.verdict(capsys, few_shot)[0] == "hold"


# -- decisions, permits and snapshots ---------------------------------------------------------------------------------


def _decision_statement(workspace, *, action="scale", **members):
    evidence = workspace.read()
    decision = permits.ask(evidence, subject=evidence.subject("honest"), action=action, at=now())
    return lab.about_honest(workspace, "decision", {**to_json(decision), **members})


def _terms(workspace, decision, **terms):
    evidence = workspace.read()
    action = terms.get("action", "scale")
    usual = PermitPredicate(
        action=action,
        decision=decision,
        policies=(workspace.policy_digest,),
        lineage=(),
        start_compute=lab.COMPUTE,
        most_compute=4 * lab.COMPUTE,
        not_before=now(),
        not_after=now() + timedelta(days=1),
        single_use=action == "release-weights",
    )
    assert evidence.subject("honest").ec_high == lab.COMPUTE
    return lab.about_honest(workspace, "permit", replace(usual, **terms).to_json())


def _permit_statement(workspace, **terms):
    workspace.refresh()
    decided = workspace.append(_decision_statement(workspace), [lab.key(workspace, "gatekeeper")])
    return _terms(workspace, decided, **terms)


SAVED = Manifest((("loop.pt", "8" * 64), ("model.safetensors", "7" * 64)))


def _snapshot_statement(workspace, permit, *, about=SAVED.digest, **members):
    parent = workspace.read().subject("honest").digest
    usual = SnapshotPredicate(SAVED, permit, parent, 1, 1, lab.COMPUTE + 1, None, "1" * 64)
    predicate = replace(usual, **members).to_json()
    return statement("snapshot", name="checkpoint-1", digest=about, predicate=predicate)


def test_the_permit_of_the_attacks_below_opens_its_gate(whole, capsys):
    permit = whole.append(_permit_statement(whole), [lab.key(whole, "gatekeeper")])
    assert lab.command(capsys, whole, "permit", "verify", permit, "-a", "scale").code == 0
    assert lab.command(capsys, whole, "ledger", "verify").code == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"action": "deploy-api"},
        {"most_compute": 4 * lab.COMPUTE + 1},
        {"start_compute": 0},
        {"start_compute": 4 * lab.COMPUTE + 1},
        {"not_after": now() + timedelta(days=400)},
    ],
    ids=["another action", "more compute", "an earlier start", "a later start", "a longer lease"],
)
def test_a_permit_that_grants_more_than_its_decision_is_refused(whole, capsys, terms):
    made = _permit_statement(whole, **terms)
    _refused(capsys, whole, made, lab.key(whole, "gatekeeper"), match="the permit grants what its decision")


def test_a_permit_for_another_subject_than_its_decision_is_refused(whole, capsys):
    child = _child(whole)
    whole.append(child, [lab.key(whole, "evaluation-team")])
    made = _permit_statement(whole)
    other = Statement(made.predicate_type, child.subjects, made.predicate)
    _refused(capsys, whole, other, lab.key(whole, "gatekeeper"), match="the permit grants what its decision")


def test_a_permit_on_a_hold_or_on_no_decision_is_refused(whole, capsys):
    hold = whole.append(_decision_statement(whole, action="release-weights"), [lab.key(whole, "gatekeeper")])
    gatekeeper = lab.key(whole, "gatekeeper")
    for decision, match in ((hold, "the permit grants what"), ("0" * 64, "is not in the ledger before it")):
        with pytest.raises(EvidenceError, match=match):
            whole.append(_terms(whole, decision, action="release-weights"), [gatekeeper])
    _refused(capsys, whole, _terms(whole, hold, action="release-weights"), gatekeeper, match="the permit grants what")


def test_a_permit_under_another_policy_is_refused(whole, capsys):
    made = _permit_statement(whole, policies=("0" * 64,))
    _refused(capsys, whole, made, lab.key(whole, "gatekeeper"), match="is no version that the ledger has before it")


def lie(workspace, action="release-weights"):
    """A recorded decision that says `permit` where the rule says `hold`, and a permit that rests on it."""
    lied = _decision_statement(
        workspace,
        action=action,
        verdict="permit",
        bounds={
            "most_effective_compute": str(4 * lab.COMPUTE),
            "not_after": timestamp(now() + timedelta(days=20)),
        },
    )
    key = lab.key(workspace, "gatekeeper")
    _forced(workspace, lied, key, match="says `permit` otherwise than the rule, which says `hold`")
    return workspace.append(_terms(workspace, lied.digest, action=action), [key])


def _forced(workspace, made, *pairs, match):
    """Refused when it is appended, and forced in by who holds the log's key: whoever reads on takes it."""
    with pytest.raises(EvidenceError, match=match):
        workspace.append(made, pairs)
    lab.force(workspace, lab.envelope(made, *pairs))


def test_a_decision_that_lies_is_found_and_its_permit_opens_nothing(whole, capsys):
    permit = lie(whole)
    said = lab.command(capsys, whole, "ledger", "verify")
    assert (said.code, said.out) == (4, "")
    assert "says `permit` otherwise than the rule, which says `hold`" in said.err
    verified = lab.command(capsys, whole, "permit", "verify", permit, "-a", "release-weights")
    assert (verified.code, verified.out) == (3, "")
    assert "codebook-use-open not ruled out" in verified.err


def test_a_decision_with_one_more_member_is_found(whole, capsys):
    whole.refresh()
    made = _decision_statement(whole, override="permit")
    _forced(whole, made, lab.key(whole, "gatekeeper"), match="otherwise than the rule")
    assert lab.command(capsys, whole, "ledger", "verify").code == 4


@pytest.mark.parametrize(
    ("checkpoint", "match"),
    [
        ({"size": 0}, "claims a checkpoint of size 0"),
        ({"size": 10_000}, "claims a checkpoint of size 10000"),
        ({"root": "0" * 64}, "claims root 000000000000"),
        ({"time": "2020-01-01T00:00:00Z"}, "claims times"),
    ],
    ids=str,
)
def test_a_decision_on_another_ledger_is_found(whole, capsys, checkpoint, match):
    whole.refresh()
    honest = _decision_statement(whole)
    other = lab.changed(honest, checkpoint={**honest.predicate["checkpoint"], **checkpoint})
    _forced(whole, other, lab.key(whole, "gatekeeper"), match=match)
    said = lab.command(capsys, whole, "ledger", "verify")
    assert said.code == 4
    assert match in said.err


def test_a_permit_stops_opening_when_adverse_evidence_arrives(whole, capsys):
    permit = lab.issue(whole)
    assert lab.command(capsys, whole, "permit", "verify", permit, "-a", "scale").code == 0
    whole.append(lab.result_of(whole, counts=lab.counts(120)), [lab.key(whole, "external-auditor")])
    assert lab.command(capsys, whole, "permit", "verify", permit, "-a", "scale").code == 3


def test_a_permit_that_is_over_or_not_yet_begun_holds(whole):
    permit = lab.issue(whole)
    evidence = whole.read()
    terms = permits.find(evidence, permit).terms
    for at, match in ((terms.not_after, "the permit ended"), (terms.not_before - timedelta(seconds=1), "starts at")):
        with pytest.raises(permits.Held, match=match):
            permits.verify(evidence, permit, action="scale", at=at)


@pytest.mark.parametrize(
    ("members", "names", "match"),
    [
        ({}, ["external-auditor"], "the snapshot is not signed by `gatekeeper`"),
        ({"permit": "0" * 64}, ["gatekeeper"], "is not in the ledger before it"),
        ({"parent": "0" * 64}, ["gatekeeper"], "does not go on from the subject"),
        ({"compute": lab.COMPUTE}, ["gatekeeper"], f"come to {lab.COMPUTE + 1} FLOP of effective compute, got"),
        ({"about": "0" * 64}, ["gatekeeper"], "its files make snapshot"),
    ],
    ids=["another role", "no such permit", "another parent", "less than its training comes to", "other files"],
)
def test_a_snapshot_that_could_give_a_lease_more_room_is_refused(whole, capsys, members, names, match):
    made = _snapshot_statement(whole, **{"permit": lab.issue(whole), **members})
    _refused(capsys, whole, made, *(lab.key(whole, name) for name in names), match=match)


@pytest.mark.parametrize(("version", "match"), [(3, "unknown predicate type"), (4, "`flop` is missing")])
def test_a_snapshot_that_counts_one_for_one_as_earlier_releases_did_is_not_read(whole, capsys, version, match):
    """Nobody could tell what its effective compute is: FLOP that were added up, or what they come to."""
    made = _snapshot_statement(whole, lab.issue(whole))
    told = {name: value for name, value in made.predicate.items() if name != "flop"}
    old = Statement(f"urn:interlock:snapshot:v{version}", made.subjects, told)
    _refused(capsys, whole, old, lab.key(whole, "gatekeeper"), match=match)


SPENT = 7 * 10**11  # by the snapshot, over its parent
SAVED_AS = {
    "the whole folder": (SAVED.files, {}),
    "without the optimizer": (SAVED.files[1:], {}),
    "renamed": ([("renamed.safetensors", "7" * 64)], {}),
    "made from nobody": (SAVED.files[1:], {"steps": []}),
    "said to be fine-tuned": (SAVED.files[1:], {"kind": "fine-tuned"}),
}
SAID = {
    "fine-tuned, for as much": [("fine-tuned", SPENT)],
    "edited, for nothing": [("edited", 0)],
    "continued for nothing": [("continued", 1)],
    "continued for more, and so beside no later state": [("continued", SPENT + 1)],
    "continued for as much, and for more": [("continued", SPENT), ("continued", SPENT + 1)],
    "continued for as much, and fine-tuned": [("continued", SPENT), ("fine-tuned", SPENT)],
}


def _spent(workspace, files, *, spent, kind="continued", **members):
    """A subject of these files that has spent so much more than the honest one."""
    parent, most = workspace.read().subject("honest").digest, str(lab.COMPUTE + spent)
    plain = {
        "training_compute": most,
        "effective_compute": {"low": str(lab.COMPUTE), "high": most},
        "steps": [{"parent": parent, "kind": kind, "compute": str(spent)}],
    }
    return _child(workspace, "next", files=tuple(files), **{**plain, **members})


def _after(spent):
    """What a snapshot says of so many FLOP from the honest subject on, a FLOP of which is worth one."""
    return {"flop": spent, "compute": lab.COMPUTE + spent}


def _save(workspace):
    made = _snapshot_statement(workspace, lab.issue(workspace), **_after(SPENT))
    workspace.append(made, [lab.key(workspace, "gatekeeper")])


@pytest.mark.parametrize(("files", "members"), SAVED_AS.values(), ids=SAVED_AS)
def test_weights_of_a_snapshot_are_not_registered_with_less_than_it_had_spent(whole, capsys, files, members):
    """By which a rule that asks for effective compute would believe the subject, not the snapshot."""
    _save(whole)
    made = _spent(whole, files, spent=SPENT - (members != {"steps": []}), **members)
    _refused(capsys, whole, made, lab.key(whole, "evaluation-team"), match="the snapshot of entry .* has them")


@pytest.mark.parametrize("which", ["training_compute", "effective_compute"])
def test_neither_figure_of_a_snapshots_weights_may_be_less(whole, capsys, which):
    _save(whole)
    less = str(lab.COMPUTE + SPENT - 1)
    value = less if which == "training_compute" else {"low": str(lab.COMPUTE), "high": less}
    made = _spent(whole, SAVED.files[1:], spent=SPENT, **{which: value})
    _refused(capsys, whole, made, lab.key(whole, "evaluation-team"), match=f"{less}( at the most|.* is below)")


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_weights_of_a_snapshot_are_made_as_it_says_and_in_no_other_way(whole, capsys, said, before):
    """Whatever its figures: what an earlier state of a run shows is shown of what was continued for as long."""
    parent, most = whole.read().subject("honest").digest, str(lab.COMPUTE * 4)
    steps = [{"parent": parent, "kind": kind, "compute": str(flop)} for kind, flop in said]
    figures = {"training_compute": most, "effective_compute": {"low": most, "high": most}}
    made = _spent(whole, SAVED.files[1:], spent=SPENT, steps=steps, **figures)
    if before:
        whole.append(made, [lab.key(whole, "evaluation-team")])
        told = _snapshot_statement(whole, lab.issue(whole), **_after(SPENT))
        _refused(
            capsys, whole, told, lab.key(whole, "gatekeeper"), match="subject `next` has its weights, and said other"
        )
    else:
        _save(whole)
        match = f"the snapshot of entry .* has them, `continued` from `honest` for {SPENT} FLOP, got `{said[0][0]}` for"
        _refused(capsys, whole, made, lab.key(whole, "evaluation-team"), match=match)


def test_weights_of_a_snapshot_that_a_subject_has_are_made_from_that_in_any_way(whole):
    """Once they are a subject, they are that one's: what is edited of it keeps a file of its own accord."""
    _save(whole)
    team = [lab.key(whole, "evaluation-team")]
    whole.append(_spent(whole, SAVED.files[1:], spent=SPENT), team)
    most = str(lab.COMPUTE + SPENT)
    step = {"parent": whole.read().subject("next").digest, "kind": "edited", "compute": "0"}
    files = Manifest((("config.json", "5" * 64), SAVED.files[1]))
    figures = {"training_compute": most, "effective_compute": {"low": most, "high": most}}
    whole.append(_child(whole, "edited", files=files.files, steps=[step], **figures), team)
    assert whole.read().subject("edited").steps[0].kind == "edited"


def test_a_snapshot_of_weights_that_a_subject_said_had_spent_less_is_refused(whole, capsys):
    whole.append(_spent(whole, SAVED.files[1:], spent=1), [lab.key(whole, "evaluation-team")])
    made = _snapshot_statement(whole, lab.issue(whole), **_after(SPENT))
    _refused(capsys, whole, made, lab.key(whole, "gatekeeper"), match="subject `next` has its weights, and said other")


def test_a_snapshots_weights_are_a_subject_with_what_they_had_spent_before_or_after_it(whole):
    _save(whole)
    whole.append(_spent(whole, SAVED.files[1:], spent=SPENT), [lab.key(whole, "evaluation-team")])
    # a file that nothing changed any more has spent what it had when the ledger first saw it
    later = Manifest((SAVED.files[1], ("other.safetensors", "6" * 64)))
    permit = whole.read().permits[-1].digest
    made = _snapshot_statement(whole, permit, about=later.digest, files=later, **_after(2 * SPENT))
    whole.append(made, [lab.key(whole, "gatekeeper")])
    assert whole.read().subject("next").ec_high == lab.COMPUTE + SPENT


def test_a_name_that_two_subjects_could_have_is_refused(whole):
    digest = whole.read().subject("honest").digest
    whole.append(_child(whole, digest[:12]), [lab.key(whole, "evaluation-team")])
    with pytest.raises(UsageError, match="no single subject"):
        whole.read().subject(digest[:12])
