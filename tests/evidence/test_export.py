"""Decisions and results in other people's formats: what they say, that others read it, and that we do not."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

import lab
import ledger_lab
import proto3
import story
from interlock.decide.decision import timestamp, to_json
from interlock.decide.rule import decide
from interlock.errors import EvidenceError
from interlock.evidence import bundle, dsse, export
from interlock.evidence.imported import Counts, ImportedPredicate
from interlock.evidence.predicates import UNKNOWN, DeploymentPredicate, statement
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.policy.load import loads
from interlock.subject.deployment import Deployment

VECTORS = Path(__file__).parents[1] / "vectors" / "in-toto"
PUBLISHED = proto3.messages(*sorted(VECTORS.glob("*.proto")))
MESSAGES = {export.VSA: "VerificationSummary", export.TEST_RESULT: "TestResult"}
EXAMPLES = json.loads((VECTORS / "spec-examples.json").read_text())


def theirs(made: Statement) -> dict:
    """What other tools know of a predicate: it fits the published message, and one member alone is ours."""
    whole = json.loads(made.to_bytes())
    assert list(proto3.misfits(PUBLISHED, "Statement", whole)) == []
    ours = [f".{export.EXTENSION}: unknown to {MESSAGES[made.predicate_type]}"]
    assert list(proto3.misfits(PUBLISHED, MESSAGES[made.predicate_type], whole["predicate"])) == ours
    return {name: value for name, value in whole["predicate"].items() if name != export.EXTENSION}


def test_the_published_messages_tell_what_fits():
    [example] = [it["value"] for it in EXAMPLES if it["value"].get("predicateType") == export.TEST_RESULT]
    assert list(proto3.misfits(PUBLISHED, "Statement", example)) == []
    assert list(proto3.misfits(PUBLISHED, "TestResult", example["predicate"])) == []
    for member, value, told in (
        ("result", ["PASSED"], ".result: not a string"),
        ("configuration", {}, ".configuration: repeated is asked for"),
        ("configuration", [{"digest": {"sha256": 1}}], ".configuration.digest: not a string"),
        ("passed_tests", [], ".passed_tests: unknown to TestResult"),
    ):
        assert list(proto3.misfits(PUBLISHED, "TestResult", {**example["predicate"], member: value})) == [told]
    assert PUBLISHED["VerificationSummary"].keys() == {
        *("verifier", "timeVerified", "resourceUri", "policy", "inputAttestations", "verificationResult"),
        *("verifiedLevels", "dependencyLevels", "slsaVersion"),
    }


def named(told: story.Story, number: int) -> dict:
    data = told.entries[number].data
    digest = sha256(dsse.parse(data).payload).hexdigest()
    return {"uri": f"urn:interlock:statement:{digest}", "digest": {"sha256": sha256(data).hexdigest()}}


# -- a decision --------------------------------------------------------------------------------------------------------


def summary(told: story.Story, by: str = "team") -> Statement:
    """The VSA of the last entry."""
    return export.vsa(bundle.verify(told.bundle(), told.log), by=by)


def test_a_permit_passed():
    told = story.honest()
    made, subject = summary(told, by="the board"), told.read().subject("model").digest
    assert (made.predicate_type, made.subjects) == (export.VSA, (("model", subject),))
    decision = story_decision(told)
    assert theirs(made) == {
        "verifier": {"id": "urn:interlock:role:lab/rsp:the%20board"},
        "timeVerified": decision["at"],
        "resourceUri": f"urn:interlock:action:scale:{subject}",
        "policy": {"uri": "urn:interlock:policy:lab/rsp@1.0.0", "digest": {"sha256": told.digest}},
        "inputAttestations": [named(told, number) for number in range(5)],
        "verificationResult": "PASSED",
        "verifiedLevels": ["INTERLOCK_PERMIT:scale"],
    }
    assert made.predicate[export.EXTENSION] == {
        "ledger": story.ORIGIN,
        "entry": 5,
        "digest": told.read().records[5].digest,
        "checkpoint": decision["checkpoint"],
        "action": "scale",
        "subject": subject,
        "deployment": None,
        "bounds": decision["bounds"],
    }
    assert decision["bounds"] is not None


def story_decision(told: story.Story) -> dict:
    return json.loads(dsse.parse(told.entries[-1].data).payload)["predicate"]


def test_a_hold_failed_and_has_no_level():
    told = story.told()
    told.decide(told.register("model"))
    made = summary(told)
    said = theirs(made)
    assert (said["verificationResult"], said["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert made.predicate[export.EXTENSION]["bounds"] is None
    assert said["inputAttestations"] == [named(told, 0), named(told, 1)]


def test_a_decision_that_lies_has_no_summary():
    told = story.told()
    bounds = {"most_effective_compute": "1", "not_after": "2030-01-01T00:00:00Z"}
    told.decide(told.register("model"), verdict="permit", bounds=bounds)
    with pytest.raises(EvidenceError, match="otherwise than the rule"):
        summary(told)


def test_what_was_decided_of_a_deployment_is_not_said_of_the_bare_model():
    told = story.told()
    subject = told.evaluated()
    deployment = offer(told, subject)
    decide_on(told, subject, deployment)
    made = summary(told)
    assert made.subjects == (("offered", deployment),)
    assert theirs(made)["resourceUri"] == f"urn:interlock:action:scale:{subject}:{deployment}"
    assert theirs(made)["verificationResult"] == "PASSED"


def test_a_deployment_that_the_ledger_has_not_is_named_by_its_digest():
    told = story.told()
    decide_on(told, told.evaluated(), "d" * 64)
    made = summary(told)
    assert (made.subjects, theirs(made)["verificationResult"]) == ((("d" * 64, "d" * 64),), "FAILED")


def offer(told: story.Story, subject: str) -> str:
    offered = Deployment(subject, None, (), (), "api", "public", {})
    predicate = DeploymentPredicate("offered", offered).to_json()
    told.say(statement("deployment", name="offered", digest=offered.digest, predicate=predicate), "team")
    return offered.digest


def decide_on(told: story.Story, subject: str, deployment: str) -> None:
    held = told.read()
    made = decide(held.versions, held.facts, subject=subject, action="scale", at=told.now, deployment=deployment)
    told.say(statement("decision", name="model", digest=subject, predicate=to_json(made)), "team")


def test_more_statements_than_fit_are_not_listed_in_part(monkeypatch):
    told = story.honest()
    monkeypatch.setattr(export, "MOST_INPUTS", 5)
    assert len(theirs(summary(told))["inputAttestations"]) == 5
    monkeypatch.setattr(export, "MOST_INPUTS", 4)
    assert "inputAttestations" not in theirs(summary(told))


def test_as_many_statements_as_are_listed_fit_into_an_envelope():
    told = story.honest()
    made = summary(told)
    [one, *_] = made.predicate["inputAttestations"]
    full = {**made.predicate, "inputAttestations": [one] * export.MOST_INPUTS}
    assert dsse.sign(Statement(made.predicate_type, made.subjects, full).to_bytes(), PAYLOAD_TYPE, [told.keys["team"]])


def test_the_policy_is_the_version_in_force_at_the_decision():
    told = story.honest()
    first = told.digest
    text = story.SMALL.format(**story.names(told.keys)).replace("1.0.0", "1.1.0")
    later = timestamp(told.now.replace(month=9))
    told.amend(loads(text.replace("2026-01-01T00:00:00Z", later), name="next", folder=None))
    told.decide(told.read().subject("model").digest)
    [ruling] = story_decision(told)["rulings"]
    assert theirs(summary(told))["policy"]["digest"]["sha256"] == first == ruling["digest"]


# -- a result ----------------------------------------------------------------------------------------------------------


def of_result(told: story.Story, number: int) -> Statement:
    return export.test_result(told.view(), told.read(), number)


def outcome(made: Statement) -> tuple[str, list[str], list[str]]:
    said = theirs(made)
    assert said["passedTests"] == []
    return said["result"], said["warnedTests"], said["failedTests"]


LINE = "skilled: skill >= 0.5"


def test_a_result_that_is_under_its_line_is_a_warning():
    told = story.honest()
    made, subject = of_result(told, 3), told.read().subject("model").digest
    assert (made.predicate_type, made.subjects) == (export.TEST_RESULT, (("model", subject),))
    assert outcome(made) == ("WARNED", [LINE], [])
    assert theirs(made)["configuration"] == [
        {"name": "plan", **named(told, 2)},
        {"name": "samples", "uri": "urn:interlock:task:lab/skill@1", "digest": {"sha256": "2" * 64}},
        {"name": "logs/1.eval", "digest": {"sha256": "0" * 64}},
        {"name": "policy", "uri": "urn:interlock:policy:lab/rsp@1.0.0", "digest": {"sha256": told.digest}},
    ]
    said = made.predicate[export.EXTENSION]
    assert (said["entry"], said["digest"]) == (3, told.read().records[3].digest)
    assert (said["checkpoint"]["size"], said["checkpoint"]["root"]) == (told.view().size, told.view().root.hex())
    assert (said["elicitation"], said["counts"]["correct"]) == ("few-shot", 10)


@pytest.mark.parametrize("correct", [47, 49, 50, 51, 60, 61, 120])
def test_it_fails_where_its_own_bound_is_not_under_the_line(correct):
    told = story.told()
    told.evaluated(correct=correct)
    expected = ("WARNED", [LINE], []) if correct < 51 else ("FAILED", [], [LINE])  # 50 of 120: 0.4969, 51: 0.5052
    assert outcome(of_result(told, 3)) == expected


def planned(told: story.Story, **changes) -> tuple[str, str]:
    subject = told.register("model")
    return subject, told.plan(subject, **changes)


def unplanned(told):
    told.report(told.register("model"), "00" * 32, correct=0)


def of_another_plan(told):
    subject, plan = planned(told)
    told.report(subject, plan, correct=0, seed=7)


def signed_by_the_wrong_role(told):
    subject = told.register("model")
    plan = told.plan(subject, "auditor")
    told.report(subject, plan, correct=0, signer="auditor")


def without_scores(told):
    subject, plan = planned(told)
    told.report(subject, plan, correct=0, scored=0)


def too_few_scores(told):
    subject, plan = planned(told)
    told.report(subject, plan, correct=0, scored=110)


def withdrawn(told):
    subject, plan = planned(told)
    take_back(told, "withdrawal", told.report(subject, plan, correct=0), "team")


def weaker_than_demanded(told):
    subject, plan = planned(told, elicitation="prompted", shots=0)
    told.report(subject, plan, correct=0, elicitation="prompted", shots=0)


def take_back(told, kind, of, signer):
    predicate = {"reason": "a test", "at": timestamp(told.now)}
    told.say(statement(kind, name="result", digest=of, predicate=predicate), signer)


FAILING = (
    unplanned,
    of_another_plan,
    signed_by_the_wrong_role,
    without_scores,
    too_few_scores,
    withdrawn,
    weaker_than_demanded,
)


@pytest.mark.parametrize("tell", FAILING, ids=lambda it: it.__name__.replace("_", " "))
def test_a_result_that_shows_nothing_in_favour_fails(tell):
    told = story.told()
    tell(told)
    [record] = [it for it in told.read().records if it.kind == "result"]
    assert outcome(of_result(told, record.entry)) == ("FAILED", [], [LINE])


def test_a_result_that_is_no_longer_fresh_fails():
    told = story.honest()
    told.wait(100 * 24 * 60 * story.STEP)
    told.register("another")
    assert outcome(of_result(told, 3)) == ("FAILED", [], [LINE])


def test_a_result_of_nothing_at_a_gate_fails():
    told = story.told()
    subject, plan = planned(told, task="lab/other")
    told.report(subject, plan, correct=0, task="lab/other")
    assert outcome(of_result(told, 3)) == ("FAILED", [], [])


def test_a_result_that_was_set_aside_fails():
    told = story.told()
    subject, plan = planned(told)
    take_back(told, "set-aside", told.report(subject, plan, correct=120), "auditor")
    assert outcome(of_result(told, 3)) == ("FAILED", [], [])


def test_the_margin_is_added():
    for margin, expected in (("0.36", "WARNED"), ("0.37", "FAILED")):  # 10 of 120: at most 0.1377
        told = story.under(
            'buffer: {none: "a test"}', f"buffer: {{effective_compute: 2x, margin: {margin}, source: a test}}"
        )
        told.evaluated(correct=10)
        assert outcome(of_result(told, 3))[0] == expected


def test_where_less_is_more_dangerous():
    for correct, expected in ((120, "WARNED"), (36, "WARNED"), (34, "FAILED"), (0, "FAILED")):  # 35 of 120: 0.2231
        told = story.under("danger: higher", "danger: lower", "skill >= 0.50", "skill <= 0.226")
        told.evaluated(correct=correct)
        assert outcome(of_result(told, 3))[0] == expected, correct


CRAFT = "kind: capability, on: model, danger: higher, range: [0, 1], source: {task: lab/craft@1, metric: accuracy}"
MEAN = (
    "assumptions:",
    f"  craft: {{{CRAFT}}}\n  both: {{mean_of: [skill, craft]}}\nassumptions:",
    "reached_when: skill",
    "reached_when: both",
)


def test_one_of_the_measures_of_a_mean_does_not_put_the_mean_under_its_level():
    told = story.under(*MEAN)
    told.evaluated(correct=0)
    assert outcome(of_result(told, 3)) == ("FAILED", [], ["skilled: both >= 0.5"])


MEASURED = ("requirements:", "requirements:\n  able: {measured: skill <= 0.05}", "[secure]", "[secure, able]")


def test_a_measured_requirement_is_a_line_too():
    for correct, failed in ((0, []), (10, ["able: skill <= 0.05"])):
        told = story.under(*MEASURED)
        told.evaluated(correct=correct)
        result, warned, found = outcome(of_result(told, 3))
        assert (result, found) == ("FAILED" if failed else "WARNED", failed)
        assert LINE in warned


OFFERED = ("on: model", "on: deployment", *MEASURED, "kind: capability", "kind: safeguard", "[few-shot]", "[prompted]")


def test_what_is_measured_on_a_deployment_is_asked_of_that():
    told = story.under(*OFFERED)
    subject = told.register("model")
    protocol = {"deployment": offer(told, subject), "elicitation": "prompted", "shots": 0}
    told.report(subject, told.plan(subject, **protocol), correct=0, **protocol)
    assert outcome(of_result(told, 4)) == ("WARNED", ["able: skill <= 0.05", LINE], [])


def test_a_log_that_was_imported_fails():
    told = story.told()
    subject = told.register("model")
    said = ImportedPredicate(
        kind="inspect",
        run="run",
        status="success",
        edit_of=None,
        updates=0,
        edited=0,
        task="lab/skill",
        version="1",
        metric="accuracy",
        scorer="match",
        samples="1" * 64,
        files=(("logs/imported/x/log.eval", "2" * 64), ("logs/imported/x/more", "4" * 64)),
        outcomes="3" * 64,
        counts=Counts(120, 120, 120, 0, None, 0, 120, None, 1),
        model="model",
        model_args={},
        adapter=UNKNOWN,
        template=UNKNOWN,
        environment={},
    )
    told.say(statement("result", name="model", digest=subject, predicate=said.to_json()), "team")
    made = of_result(told, 2)
    assert outcome(made) == ("FAILED", [], [LINE])
    names = [part["name"] for part in theirs(made)["configuration"]]
    assert names == ["samples", "logs/imported/x/log.eval", "logs/imported/x/more", "policy"]
    assert made.predicate[export.EXTENSION]["counts"]["errored"] == UNKNOWN
    said = replace(said, version="2024-02", task="lab/skill")
    told.say(statement("result", name="model", digest=subject, predicate=said.to_json()), "team")
    assert theirs(of_result(told, 3))["configuration"][0]["uri"] == "urn:interlock:task:lab/skill@2024-02"


def test_what_a_deployment_was_asked_is_not_said_of_the_bare_model():
    told = story.told()
    subject = told.register("model")
    deployment = offer(told, subject)
    told.report(subject, told.plan(subject, deployment=deployment), correct=0, deployment=deployment)
    assert of_result(told, 4).subjects == (("offered", deployment),)


# -- nothing of it is evidence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [export.VSA, export.TEST_RESULT])
def test_a_ledger_refuses_what_was_exported(form):
    told = story.honest()
    made = summary(told) if form == export.VSA else of_result(told, 3)
    assert made.predicate_type == form
    told.say(made, "team", "auditor", "board_1", "board_2")
    with pytest.raises(EvidenceError, match=f"ledger entry 6: unknown predicate type `{form}`"):
        told.read()


# -- on the command line -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _judged(tmp_path_factory):
    """A workspace whose ledger has a result as entry 3, and two decisions, a permit and a hold, as entries 6 and 7."""
    workspace = ledger_lab.make(tmp_path_factory.mktemp("exported"))
    ledger_lab.evaluate(workspace, 5)
    ledger_lab.attest(workspace, "no-evaluation-gaming", "watched")
    for action in ("scale", "deploy-internal"):
        made = statement(
            "decision",
            name="m",
            digest=ledger_lab.FILES.digest,
            predicate=to_json(ledger_lab.decide(workspace, action)),
        )
        ledger_lab.sign(workspace, made, "gatekeeper")
    return workspace


@pytest.fixture
def judged(_judged, tmp_path):
    return lab.copy(_judged, tmp_path / "lab")


def payload_of(file) -> dict:
    return json.loads(base64.b64decode(json.loads(file.read_text())["payload"]))


@pytest.mark.parametrize(
    ("entry", "result"), [("6", "PASSED"), ("7", "FAILED"), ("3", "WARNED")], ids=["a permit", "a hold", "a result"]
)
def test_another_tool_verifies_what_the_quorum_of_a_role_signed(judged, capsys, tmp_path, entry, result):
    file = tmp_path / "exported.json"
    said = lab.command(capsys, judged, "export", entry, "--by", "board", "-o", str(file), "--json")
    assert said.code == 0
    told = said.json
    assert (told["file"], told["entry"], told["by"], told["result"]) == (str(file), int(entry), "board", result)
    envelope = Envelope.from_dict(json.loads(file.read_text()))
    pairs = [lab.key(judged, name).public for name in ("board-1", "board-2", "board-3")]
    keys = [SSlibKey(key.key_id, "ed25519", "ed25519", {"public": key.raw.hex()}) for key in pairs]
    assert envelope.verify(keys, threshold=2).keys() == {*told["key_ids"]}
    assert envelope.payload_type == PAYLOAD_TYPE
    assert sha256(envelope.payload).hexdigest() == told["digest"]
    made = Statement.parse(envelope.payload)
    assert theirs(made)["verificationResult" if entry != "3" else "result"] == result
    with pytest.raises(VerificationError):
        envelope.verify(keys[2:], threshold=1)


def test_a_file_is_named_by_its_entry_and_format(judged, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for entry, name, told in (
        ("6", "entry-6.vsa.json", "SLSA VSA v1 of entry 6, PASSED, signed by `gatekeeper`"),
        ("3", "entry-3.test-result.json", "in-toto test-result v0.1 of entry 3, WARNED, signed by `gatekeeper`"),
    ):
        said = lab.command(capsys, judged, "export", entry, "--by", "gatekeeper")
        assert (said.code, (tmp_path / name).exists()) == (0, True)
        assert told in said.out


def test_its_inputs_are_the_bytes_that_ledger_show_writes(judged, capsys, tmp_path):
    file = tmp_path / "vsa.json"
    assert lab.command(capsys, judged, "export", "7", "--by", "gatekeeper", "-o", str(file)).code == 0
    inputs = payload_of(file)["predicate"]["inputAttestations"]
    assert len(inputs) == 7
    for number, one in enumerate(inputs):
        shown = tmp_path / str(number)
        assert lab.command(capsys, judged, "ledger", "show", str(number), "-o", str(shown)).code == 0
        assert sha256(shown.read_bytes()).hexdigest() == one["digest"]["sha256"]


def test_a_decision_that_lies_is_not_exported(judged, capsys, tmp_path):
    lie = to_json(ledger_lab.decide(judged, "deploy-internal")) | {
        "verdict": "permit",
        "bounds": {"most_effective_compute": "1", "not_after": "2030-01-01T00:00:00Z"},
    }
    made = statement("decision", name="m", digest=ledger_lab.FILES.digest, predicate=lie)
    lab.force(judged, lab.envelope(made, lab.key(judged, "gatekeeper")))
    said = lab.command(capsys, judged, "export", "8", "--by", "gatekeeper", "-o", str(tmp_path / "x"))
    assert (said.code, said.out, (tmp_path / "x").exists()) == (4, "", False)
    assert "otherwise than the rule" in said.err


def test_a_result_whose_log_was_altered_is_not_exported(judged, capsys, tmp_path):
    (judged.folder / "logs" / "log.json").write_text("{ }")
    said = lab.command(capsys, judged, "export", "3", "--by", "gatekeeper", "-o", str(tmp_path / "x"))
    assert (said.code, said.out, (tmp_path / "x").exists()) == (4, "", False)
    assert "was altered" in said.err


@pytest.mark.parametrize("entry", ["6", "3"])
def test_what_was_exported_cannot_be_appended(judged, capsys, tmp_path, entry):
    file, before = tmp_path / "x", lab.size(judged)
    assert lab.command(capsys, judged, "export", entry, "--by", "gatekeeper", "-o", str(file)).code == 0
    made = Statement.parse(dsse.parse(file.read_bytes()).payload)
    with pytest.raises(EvidenceError, match="unknown predicate type `https://"):
        ledger_lab.sign(judged, made, "gatekeeper")
    assert lab.size(judged) == before


WRONG = {
    "another kind of entry": (("1", "--by", "board"), "entry 1 is a `subject`, expected the number of a decision"),
    "no entry": (("8", "--by", "board"), "the ledger has 8 statements, got 8, expected the number of a decision"),
    "nobody signs": (("6",), "missing option '--by'"),
    "a role that is none": (("6", "--by", "nobody"), "the policy has no role `nobody`"),
    "a file that cannot be": (("6", "--by", "board", "-o", "/nowhere/x"), "`/nowhere/x`: cannot write it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_usage(case, judged, capsys):
    arguments, match = WRONG[case]
    said = lab.command(capsys, judged, "export", *arguments)
    assert (said.code, said.out) == (2, "")
    assert match in said.err
