"""A permit for what is offered rests on evidence about just that. Each attack tries to open it for something else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

import lab
from interlock.cli.decisions import sign_attestation
from interlock.cli.deployments import register as offer
from interlock.cli.setup import start
from interlock.cli.subjects import From, register, register_run
from interlock.decide.decision import timestamp
from interlock.decide.facts import Protocol
from interlock.errors import EvidenceError
from interlock.evidence.predicates import DeploymentPredicate, ResultPredicate, protocol_to_json, statement
from interlock.gate import permit as permits
from interlock.gate import permit_file
from interlock.gate.permit import Held
from interlock.gate.trust import Trust
from interlock.subject.deployment import Deployment
from interlock.subject.run import Run
from interlock.workspace import Place, now

POLICY = """
interlock: policy/v1
id: test-lab/offered
version: 1.0.0
title: What is offered must withstand abuse
effective: 2026-01-01T00:00:00Z
roles:
  evaluation-team:  {keys: [keys/evaluation-team.pub], quorum: 1}
  external-auditor: {keys: [keys/external-auditor.pub], quorum: 1, independent_of: [evaluation-team]}
  gatekeeper:       {keys: [keys/gatekeeper.pub], quorum: 1}
measures:
  jailbreaks:
    {kind: safeguard, on: deployment, danger: higher, range: [0, 1], source: {task: lab/jailbreaks@1, metric: rate}}
assumptions:
  no-evaluation-gaming: {stated_by: external-auditor, fresh_for: 6 months}
thresholds:
  abuse:
    reached_when: jailbreaks >= 0.20
    rule_out:
      {confidence: 0.95, elicitation: [prompted], buffer: {none: a test}, coverage: 0.98, run_by: evaluation-team}
  any-model: {reached_when: training_compute >= 1}
requirements:
  filters-2: {attested: filters are on, by: external-auditor, about: deployment, fresh_for: 6 months}
refresh: {effective_compute: 4x, period: 3 months}
permits: {lease: 30 days, ledger_age: 1 hour, issued_by: gatekeeper}
plans:   {report_within: 21 days}
gates:
  deploy-api:      {abuse: [never]}
  deploy-internal: {any-model: [filters-2]}
not_governed: {scale: not tested here, release-weights: not tested here}
amendments: {approved_by: [gatekeeper]}
"""
PROTOCOL = Protocol("lab/jailbreaks", 1, "rate", 120, "5a" * 32, "prompted", 0, 0, 0)


def _parts(subject, prompt=b"be good"):
    return Deployment(subject, sha256(prompt).hexdigest(), (), (), "api", "public", {})


@pytest.fixture(scope="module")
def _evaluated(tmp_path_factory, model_folder):
    """One subject in two deployments; `safe` withstood 120 attempts, `other` was never tried."""
    folder = tmp_path_factory.mktemp("offered")
    (folder / "policy.yaml").write_text(POLICY)
    workspace = start(folder / "lab", folder / "policy.yaml", encrypt_with=lambda: None)
    model = register(workspace, Place(model_folder, None), name="honest", compute=lab.COMPUTE)
    offer(workspace, name="safe", offered=_parts(model.digest))
    offer(workspace, name="other", offered=_parts(model.digest, b"be bad"))
    sign_attestation(workspace, assumption="no-evaluation-gaming", subject="honest", text="a test")
    _evaluate(workspace, "safe")
    return workspace


@pytest.fixture
def evaluated(tmp_path, _evaluated):
    return lab.copy(_evaluated, tmp_path / "lab")


def _plan(workspace, protocol):
    report_by = timestamp(now() + timedelta(days=1))
    return lab.about_honest(workspace, "plan", {"protocol": protocol_to_json(protocol), "report_by": report_by})


def _result(workspace, protocol, plan="00" * 32, correct=0):
    log = workspace.folder / "logs" / "log.json"
    log.parent.mkdir(exist_ok=True)
    log.write_text("{}")
    made = ResultPredicate(
        plan=plan,
        protocol=protocol,
        log=sha256(b"{}").hexdigest(),
        log_name="logs/log.json",
        outcomes="00" * 32,
        completed=120,
        scored=120,
        correct=correct,
        refused_scores=0,
        refused_at_most=120,
        errored=0,
        limited=0,
        tokens=1,
        flop=0,
        environment={},
    )
    return lab.about_honest(workspace, "result", made.to_json())


def _evaluate(workspace, deployment, correct=0):
    team = [lab.key(workspace, "evaluation-team")]
    protocol = replace(
        PROTOCOL, seed=correct, deployment=workspace.read().deployment(deployment).digest if deployment else None
    )
    plan = workspace.append(_plan(workspace, protocol), team)
    workspace.append(_result(workspace, protocol, plan, correct), team)


def _verdict(capsys, workspace, *options, action="deploy-api", subject="honest"):
    said = lab.command(capsys, workspace, "decide", "-s", subject, "-a", action, *options, "--json")
    assert said.code == {"permit": 0, "hold": 3}[said.json["verdict"]]
    return said.json


def _codes(document):
    cells = [cell for ruling in document["rulings"] for cell in ruling["cells"]]
    inner = [reason["code"] for cell in cells for reason in cell["finding"]["reasons"]]
    return {*(reason["code"] for reason in document["reasons"]), *inner}


def _refused(workspace, made, *roles, match):
    size = lab.size(workspace)
    with pytest.raises(EvidenceError, match=match):
        workspace.append(made, [lab.key(workspace, role) for role in roles])
    assert lab.size(workspace) == size


# -- decisions --------------------------------------------------------------------------------------------------------


def test_what_withstood_is_permitted_and_nothing_else(evaluated, capsys):
    assert _verdict(capsys, evaluated, "--deployment", "safe")["verdict"] == "permit"
    assert _verdict(capsys, evaluated, "--deployment", "other")["verdict"] == "hold"
    bare = _verdict(capsys, evaluated)
    assert (bare["verdict"], "no-deployment" in _codes(bare)) == ("hold", True)
    assert (
        "decisions on `honest` as offered in `safe`"
        in lab.command(capsys, evaluated, "decide", "-s", "honest", "-d", "safe").out
    )


def test_a_deployment_is_named_by_the_start_of_its_digest(evaluated, capsys):
    digest = evaluated.read().deployment("safe").digest
    assert _verdict(capsys, evaluated, "-d", digest[:8])["deployment"] == digest
    assert lab.command(capsys, evaluated, "decide", "-s", "honest", "-d", digest[:7]).code == 2


def test_what_was_broken_is_held_whatever_else_withstood(evaluated, capsys):
    _evaluate(evaluated, "safe", correct=60)
    assert "reached" in _codes(_verdict(capsys, evaluated, "-d", "safe"))


def test_results_of_the_bare_model_say_nothing_of_what_is_offered(evaluated, capsys):
    _evaluate(evaluated, None)
    assert _verdict(capsys, evaluated, "-d", "other")["verdict"] == "hold"
    assert _verdict(capsys, evaluated)["verdict"] == "hold"


def test_the_deployment_of_another_subject_is_none_of_this_one(evaluated, model_folder, tmp_path, capsys):
    child = shutil.copytree(model_folder, tmp_path / "child")
    (child / "extra.txt").write_text("")
    register(evaluated, Place(child, None), name="child", made_from=[From("honest", "edited", 1)])
    held = _verdict(capsys, evaluated, "-d", "safe", subject="child")
    assert (held["verdict"], "unknown-deployment" in _codes(held)) == ("hold", True)


def test_a_word_about_one_deployment_is_none_about_another(evaluated, capsys):
    attest = ("attest", "--requirement", "filters-2")
    said = lab.command(capsys, evaluated, *attest, "--deployment", "safe")
    assert (said.code, said.out) == (0, "`external-auditor` signed `filters-2` about `safe`\n")
    verdicts = {
        name: _verdict(capsys, evaluated, *(("-d", name) if name else ()), action="deploy-internal")["verdict"]
        for name in ("safe", "other", "")
    }
    assert verdicts == {"safe": "permit", "other": "hold", "": "hold"}


def test_a_recorded_decision_about_a_deployment_is_derived_again(evaluated, capsys):
    lab.command(capsys, evaluated, "permit", "issue", "-s", "honest", "-a", "deploy-api", "-d", "safe")
    said = lab.command(capsys, evaluated, "ledger", "verify", "--json")
    assert (said.code, said.json["decisions_derived_again"]) == (0, 1)
    assert lab.command(capsys, evaluated, "report", "--json").code == 0


# -- permits ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def permit(evaluated):
    evaluated.refresh()
    return permits.issue(evaluated, subject="honest", action="deploy-api", at=now(), deployment="safe").permit


def test_a_permit_opens_its_deployment_and_no_other(evaluated, permit, capsys):
    verify = ("permit", "verify", permit, "-a", "deploy-api")
    assert lab.command(capsys, evaluated, *verify, "-d", "safe").code == 0
    other = lab.command(capsys, evaluated, *verify, "-d", "other")
    said = "interlock: the permit is for deployment `safe`, expected one for deployment `other`\n"
    assert (other.code, other.err) == (3, said)
    bare = lab.command(capsys, evaluated, *verify)
    assert bare.code == 3
    assert "expected one for the bare model; name what is offered: --deployment" in bare.err
    shown = lab.command(capsys, evaluated, "permit", "show", permit, "--json").json
    assert shown["deployment"] == evaluated.read().deployment("safe").digest


def test_a_file_opens_its_deployment_and_no_other(evaluated, permit):
    evidence, at = evaluated.read(), now()
    offered = {name: evidence.deployment(name).digest for name in ("safe", "other")}
    data, subject = permit_file.export(evaluated, permit), evidence.subject("honest").digest
    found = permit_file.read(data, Trust.of(evidence, evaluated.ledger.log, at=at), at=at)
    assert found.verify(action="deploy-api", subject=subject, at=at, deployment=offered["safe"]).ends == found.until
    for deployment, match in ((offered["other"], f"expected one for {offered['other'][:12]}"), (None, "the bare mod")):
        with pytest.raises(Held, match=match):
            found.verify(action="deploy-api", subject=subject, at=at, deployment=deployment)


def test_a_permit_for_the_bare_model_opens_no_deployment(whole, capsys):
    digest = whole.read().subject("honest").digest
    offered = offer(whole, name="api", offered=_parts(digest))
    permit = lab.issue(whole, action="deploy-api")
    evidence = whole.read()
    assert permits.verify(evidence, permit, action="deploy-api", at=now()).digest == permit
    with pytest.raises(Held, match="is for the bare model, expected one for deployment `api`"):
        permits.verify(evidence, permit, action="deploy-api", at=now(), deployment=offered)


def test_a_permit_ends_with_the_evidence_about_its_deployment(evaluated, permit, capsys):
    _evaluate(evaluated, "safe", correct=60)
    verify = ("permit", "verify", permit, "-a", "deploy-api", "-d", "safe")
    said = lab.command(capsys, evaluated, *verify)
    assert (said.code, "reached" in said.err) == (3, True)


@pytest.mark.parametrize("swap", ["other", None, "unknown"])
def test_a_permit_for_another_deployment_than_its_decision_is_refused(evaluated, permit, swap):
    """The gatekeeper signs, from a decision on the safe one, a permit for another, or for whatever comes."""
    made = lab.payload(evaluated, "permit")
    members = {key: value for key, value in made.predicate.items() if key != "deployment"}
    if swap is not None:
        members["deployment"] = evaluated.read().deployment("other").digest if swap == "other" else "0" * 64
    forged = statement("permit", name="honest", digest=made.subjects[0][1], predicate=members)
    _refused(evaluated, forged, "gatekeeper", match="the permit grants what its decision")


@pytest.mark.parametrize("value", [None, "", "safe", 5], ids=str)
def test_a_permit_spells_its_deployment_in_one_way(evaluated, permit, value):
    made = lab.changed(lab.payload(evaluated, "permit"), deployment=value)
    _refused(evaluated, made, "gatekeeper", match="`deployment` is .*, expected a SHA-256")


# -- statements -------------------------------------------------------------------------------------------------------


def _offered(workspace, name="third", digest=None, **members):
    parts = _parts(workspace.read().subject("honest").digest, b"third")
    predicate = {**DeploymentPredicate(name, parts).to_json(), **members}
    return statement("deployment", name=name, digest=digest or parts.digest, predicate=predicate)


def test_the_deployment_of_the_attacks_below_is_accepted(evaluated):
    evaluated.append(_offered(evaluated), [lab.key(evaluated, "evaluation-team")])
    assert evaluated.read().deployment("third").subject == evaluated.read().subject("honest").digest


BAD = {
    "another prompt under its digest": ({"system_prompt_sha256": "1" * 64}, "its parts make deployment"),
    "another tier under its digest": ({"access_tier": "trusted"}, "its parts make deployment"),
    "an unknown subject": ({"subject": "1" * 64}, "its parts make deployment"),
    "a name that is taken": ({"name": "safe"}, "another deployment is called `safe`"),
    "an unknown member": ({"override": True}, "unknown member `override`"),
    "no digest for a prompt": ({"system_prompt_sha256": ""}, "expected a SHA-256"),
    "a filter twice": ({"filters": [{"name": "a", "sha256": "1" * 64}] * 2}, "a filter is named twice"),
    "a filter that says more": ({"filters": [{"name": "a", "sha256": "1" * 64, "off": True}]}, "unknown member `off`"),
    "a limit that is no text": ({"sampling": {"t": 1}}, "`sampling` must map names to strings"),
    "a limit spelled otherwise": ({"sampling": {"t": "1.0"}}, "expected a lower-case name and a plain decimal"),
    "an empty surface": ({"surface": ""}, "`surface` is ``, expected a non-empty string"),
}


@pytest.mark.parametrize(("members", "match"), BAD.values(), ids=BAD)
def test_a_deployment_that_cannot_be_is_refused(evaluated, members, match):
    _refused(evaluated, _offered(evaluated, **members), "evaluation-team", match=match)


def test_a_deployment_whose_name_has_a_letter_that_nobody_sees_is_refused(evaluated):
    made = lab.changed(_offered(evaluated), name="third\u200b")
    _refused(evaluated, made, "evaluation-team", match="expected printable text")


@pytest.mark.parametrize("member", [*_parts("0" * 64).to_json(), "name"])
def test_a_deployment_that_leaves_something_out_is_refused(evaluated, member):
    made = _offered(evaluated)
    members = {key: value for key, value in made.predicate.items() if key != member}
    short = statement("deployment", name="third", digest=made.subjects[0][1], predicate=members)
    _refused(evaluated, short, "evaluation-team", match=f"`{member}` is missing")


def test_the_same_parts_under_a_second_name_are_refused(evaluated):
    """Else what `safe` failed at would be forgotten of its twin."""
    parts = _parts(evaluated.read().subject("honest").digest)
    again = statement(
        "deployment", name="clean", digest=parts.digest, predicate=DeploymentPredicate("clean", parts).to_json()
    )
    _refused(evaluated, again, "evaluation-team", match="is there already as `safe`")


def test_a_deployment_of_a_subject_that_is_not_there_is_refused(evaluated):
    parts = _parts("1" * 64)
    made = statement("deployment", name="x", digest=parts.digest, predicate=DeploymentPredicate("x", parts).to_json())
    _refused(evaluated, made, "evaluation-team", match="subject 111111111111 is not in the ledger before it")


@pytest.mark.parametrize("kind", ["plan", "result"])
def test_what_ran_on_a_deployment_that_is_not_there_is_refused(evaluated, kind):
    protocol = replace(PROTOCOL, deployment="1" * 64)
    made = _plan(evaluated, protocol) if kind == "plan" else _result(evaluated, protocol)
    _refused(evaluated, made, "evaluation-team", match="deployment 111111111111 is not in the ledger before it as one")


def test_a_result_of_another_deployment_than_its_plan_counts_as_unplanned(evaluated, capsys):
    """A plan for `other`, and the numbers of `safe` under it."""
    digests = {name: evaluated.read().deployment(name).digest for name in ("safe", "other")}
    team = [lab.key(evaluated, "evaluation-team")]
    plan = evaluated.append(_plan(evaluated, replace(PROTOCOL, deployment=digests["other"], seed=1)), team)
    evaluated.append(_result(evaluated, replace(PROTOCOL, deployment=digests["safe"], seed=1), plan), team)
    assert evaluated.read().facts.results[-1].plan is None
    assert _verdict(capsys, evaluated, "-d", "other")["verdict"] == "hold"


def test_a_word_about_a_deployment_that_is_not_there_is_refused(evaluated):
    predicate = {"kind": "requirement", "name": "filters-2", "about": "deployment", "statement": "x"}
    made = statement("attestation", name="x", digest="1" * 64, predicate={**predicate, "at": timestamp(now())})
    _refused(evaluated, made, "external-auditor", match="deployment 111111111111 is not in the ledger before it")


def test_nothing_runs_on_a_run_that_has_no_weights(evaluated):
    """Signed all the same, the numbers of some other model would speak for one that does not exist yet."""
    run = register_run(evaluated, Run("1" * 64, "2" * 64), name="next", compute=lab.COMPUTE)
    for made in (_plan(evaluated, PROTOCOL), _result(evaluated, PROTOCOL)):
        forged = statement(
            made.predicate_type.split(":")[2],
            name="next",
            digest=run.digest,
            predicate=json.loads(made.to_bytes())["predicate"],
        )
        _refused(evaluated, forged, "evaluation-team", match="`next` is a run from scratch that has no weights yet")


# -- before there are weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("compute", "code"), [(4 * 10**12, 0), (10**13, 3)], ids=["under the line", "at the line"])
def test_a_run_without_weights_may_begin_only_by_its_compute(tmp_path, capsys, compute, code):
    """The only thing that can be known of it; and the permit ends at the line, not at what was planned."""
    policy = POLICY.replace("  any-model:", "  large: {reached_when: effective_compute >= 1e13}\n  any-model:")
    policy = policy.replace("gates:\n", "gates:\n  scale: {large: [never]}\n").replace("scale: not tested here, ", "")
    (tmp_path / "policy.yaml").write_text(policy)
    workspace = start(tmp_path / "lab", tmp_path / "policy.yaml", encrypt_with=lambda: None)
    register_run(workspace, Run("1" * 64, "2" * 64), name="next", compute=compute)
    said = lab.command(capsys, workspace, "permit", "issue", "-s", "next", "-a", "scale", "--json")
    assert said.code == code
    bounds = said.json["decision"]["bounds"]
    assert (bounds and bounds["most_effective_compute"]) == (None if code else str(10**13 - 1))
    for action in ("deploy-api", "deploy-internal"):
        assert _verdict(capsys, workspace, subject="next", action=action)["verdict"] == "hold"
