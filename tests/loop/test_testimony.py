"""What roles say in the ledger counts for what the rule says, up to the decision; what an attacker says does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import pytest

import lab
import ledger_lab as made
from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError
from interlock.evidence import validity
from interlock.evidence.keys import KeyPair
from interlock.evidence.predicates import statement
from interlock.policy.load import loads
from interlock.workspace import now

BOARD = ("board-1", "board-2")


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    """A subject that was evaluated, and scores nothing; every assumption that is stated is stated."""
    workspace = made.make(tmp_path_factory.mktemp("said"))
    made.evaluate(workspace)
    made.attest(workspace, "no-evaluation-gaming")
    return workspace


@pytest.fixture
def workspace(tmp_path, _lab):
    return lab.copy(_lab, tmp_path / "lab")


def run(capsys, workspace, *arguments):
    said = lab.command(capsys, workspace, *arguments)
    assert said.code == 0, said.err
    return said


def refused(workspace, statement, *names, match):
    """Refused when it is appended; and where it was forced in, no reader takes the ledger."""
    before = lab.size(workspace)
    with pytest.raises(EvidenceError, match=match):
        made.sign(workspace, statement, *names)
    assert lab.size(workspace) == before
    lab.force(workspace, lab.envelope(statement, *(lab.key(workspace, name) for name in names)))
    with pytest.raises(EvidenceError, match=match):
        workspace.read()


def last(workspace, kind):
    return next(it.digest for it in reversed(workspace.read().records) if it.kind == kind)


# -- taking back ------------------------------------------------------------------------------------------------------


def test_a_result_that_was_withdrawn_permits_nothing_any_more(workspace, capsys):
    assert made.verdict(workspace) == "permit"
    run(capsys, workspace, "withdraw", last(workspace, "result")[:12], "--reason", "the grader was broken")
    assert made.verdict(workspace) == "hold"


def test_attack_a_withdrawn_statement_that_still_counts(workspace, capsys):
    """The auditor takes its word back; said once more by another date it would count, the old one does not."""
    run(capsys, workspace, "withdraw", last(workspace, "attestation"), "--reason", "we were wrong")
    assert made.verdict(workspace) == "hold"
    old = lab.payload(workspace, "attestation")
    refused(workspace, old, "external-auditor", match="repeats an earlier statement")


def test_attack_a_withdrawal_of_a_positive_result_hides_nothing(workspace, capsys):
    digest = made.evaluate(workspace, correct=110, seed=1)
    run(capsys, workspace, "withdraw", digest, "--reason", "inconvenient")
    assert made.state(workspace, "expert") == "reached"


def test_attack_a_withdrawal_by_somebody_else_counts_for_nothing(workspace, capsys):
    digest = last(workspace, "attestation")
    told = lab.command(capsys, workspace, "withdraw", digest, "--reason", "we would rather not", "--by", "board")
    assert (told.code, "did not sign it" in told.err) == (2, True)
    made.sign(workspace, made.said("withdrawal", {"reason": "x"}, about=digest), *BOARD)
    assert made.verdict(workspace) == "permit"


def test_a_positive_result_leaves_the_bounds_by_the_independent_role_only(workspace, capsys):
    digest = made.evaluate(workspace, correct=110, seed=1)
    run(capsys, workspace, "set-aside", digest, "--reason", "the samples had leaked")
    assert made.state(workspace, "expert") == "below"


@pytest.mark.parametrize("names", [("evaluation-team",), ("gatekeeper",), BOARD], ids=str)
def test_attack_a_set_aside_by_one_who_may_not(workspace, names):
    digest = made.evaluate(workspace, correct=110, seed=1)
    made.sign(workspace, made.said("set-aside", {"reason": "inconvenient"}, about=digest), *names)
    assert made.state(workspace, "expert") == "reached"


def test_a_set_aside_that_was_withdrawn_puts_the_result_back(workspace, capsys):
    digest = made.evaluate(workspace, correct=110, seed=1)
    run(capsys, workspace, "set-aside", digest, "--reason", "the samples had leaked")
    run(capsys, workspace, "withdraw", last(workspace, "set-aside"), "--reason", "they had not")
    assert made.state(workspace, "expert") == "reached"


@pytest.mark.parametrize("kind", ["withdrawal", "set-aside"])
@pytest.mark.parametrize(
    ("about", "match"),
    [
        ("0" * 64, "is not in the ledger before it"),
        ("policy", "a `policy`, expected one of"),
        ("subject", "a `subject`"),
    ],
    ids=["unknown", "policy", "subject"],
)
def test_what_cannot_be_taken_back_is_refused(workspace, kind, about, match):
    digest = last(workspace, about) if about in {"policy", "subject"} else about
    refused(workspace, made.said(kind, {"reason": "x"}, about=digest), "external-auditor", match=match)


# -- words ------------------------------------------------------------------------------------------------------------


def test_an_approval_counts_for_what_stands_now(workspace, capsys):
    made.evaluate(workspace, correct=30, seed=1)
    assert (made.state(workspace, "adept", "deploy-api"), made.verdict(workspace, "deploy-api")) == (
        "not ruled out",
        "hold",
    )
    told = run(capsys, workspace, "approve", "agreed", "--subject", "m", "--json").json
    assert (len(told["findings"]), told["signers"]) == (1, ["board"])
    assert made.verdict(workspace, "deploy-api") == "permit"


def test_attack_an_approval_of_another_finding(workspace):
    made.evaluate(workspace, correct=30, seed=1)
    predicate = {"requirement": "agreed", "about": "subject", "findings": ["ab" * 32], "statement": "x"}
    made.sign(workspace, made.said("approval", predicate), *BOARD)
    assert made.verdict(workspace, "deploy-api") == "hold"


def test_a_judgement_on_the_latest_result_opens(workspace, capsys, monkeypatch):
    lab.later(monkeypatch, now() + timedelta(seconds=2))  # one of the result's own second is on nothing
    assert made.verdict(workspace, "deploy-internal") == "hold"
    told = run(capsys, workspace, "judge", "judged", "-s", "m", "--verdict", "below", "--json").json
    assert told["on"] == [last(workspace, "result")]
    assert made.verdict(workspace, "deploy-internal") == "permit"


def test_a_judgement_of_one_member_that_it_is_reached_holds(workspace, capsys):
    run(capsys, workspace, "judge", "judged", "-s", "m", "--verdict", "below")
    run(capsys, workspace, "judge", "judged", "-s", "m", "--verdict", "reached", "--key", "board-3")
    assert made.state(workspace, "judged", "deploy-internal") == "reached"
    record = workspace.read().records[-1]
    assert (record.signers, record.members) == (frozenset(), {"board"})


def test_attack_a_judgement_below_by_one_member_opens_nothing(workspace, capsys):
    run(capsys, workspace, "judge", "judged", "-s", "m", "--verdict", "below", "--key", "board-3")
    assert made.verdict(workspace, "deploy-internal") == "hold"


@pytest.mark.parametrize("names", [("external-auditor",), ("evaluation-team", "gatekeeper")], ids=str)
def test_attack_a_judgement_by_a_stranger_to_the_bench(workspace, names):
    predicate = {"threshold": "judged", "verdict": "below", "on": [last(workspace, "result")], "statement": "x"}
    made.sign(workspace, made.said("judgement", predicate), *names)
    assert made.verdict(workspace, "deploy-internal") == "hold"


def test_attack_a_judgement_by_a_stranger(workspace):
    predicate = {"threshold": "judged", "verdict": "below", "on": [last(workspace, "result")], "statement": "x"}
    with pytest.raises(EvidenceError, match="by no key of one"):
        workspace.append(made.said("judgement", predicate), [KeyPair.generate()])


def test_a_failed_check_counts_whoever_signs_it(workspace, capsys):
    common = ("check-assumption", "no-gradient-hacking", "-s", "m", "--organisms", "60")
    run(capsys, workspace, *common, "--caught", "60", "--passed")
    run(capsys, workspace, *common, "--caught", "60", "--failed", "--key", "board-1")
    told = [it.check for it in workspace.read().facts.attestations if it.check]
    assert [it.passed for it in told] == [True, False]


def test_attack_a_failed_check_of_what_is_only_stated_by_now(tmp_path, capsys, monkeypatch):
    """The ledger's last checkpoint is of before the version in which the assumption is stated."""
    checked = "no-evaluation-gaming: {checked: probe, coverage: 0.9, by: external-auditor"
    stated = "no-evaluation-gaming: {stated_by: external-auditor"
    workspace = made.make(tmp_path, made.POLICY.replace(stated, checked))
    since = now() + timedelta(days=31)
    text = made.POLICY.replace("version: 1.0.0", "version: 1.1.0")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(since)}")
    workspace.amend(workspace.read(), loads(text, name="policy.yaml", folder=workspace.folder), changes="stated again")
    lab.later(monkeypatch, since + timedelta(hours=1))
    failed = ("check-assumption", "no-evaluation-gaming", "-s", "m", "--failed", "--caught", "0", "--organisms", "60")
    said = lab.command(capsys, workspace, *failed)
    assert said.code == 2
    assert "is stated, not checked" in said.err
    assert not workspace.read().facts.attestations


@pytest.fixture
def record(tmp_path):
    made = validity.Record(
        "probe", validity.Elicitor("lora", "fine-tuned", {"rank": 8}, 16), 60, 60, 28, 30,
        Fraction(1, 2), 500_000, 5_000_000, Fraction(19, 20), {},
    )  # fmt: skip
    path = tmp_path / "validity.json"
    path.write_bytes(made.to_bytes())
    return path


CHECKED = ("check-assumption", "no-gradient-hacking", "-s", "m", "--passed")


def test_a_validity_record_fills_the_numbers_and_is_kept(workspace, capsys, record):
    run(capsys, workspace, *CHECKED, "--record", str(record))
    (check,) = [it.check for it in workspace.read().facts.attestations if it.check]
    assert (check.caught, check.organisms, check.validity) == (60, 60, validity.parse(record.read_bytes(), "").validity)
    record.unlink()
    assert lab.command(capsys, workspace, "ledger", "verify").code == 0


@pytest.mark.parametrize("attack", ["altered", "gone"])
def test_attack_a_validity_record_that_is_not_what_the_ledger_names(workspace, capsys, record, attack):
    run(capsys, workspace, *CHECKED, "--record", str(record))
    (kept,) = (workspace.folder / "logs/validity").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"28", b"29")) if attack == "altered" else kept.unlink()
    said = lab.command(capsys, workspace, "decide", "-s", "m", "-a", "scale")
    assert said.code == 4
    assert "logs/validity/" in said.err


def test_a_record_and_numbers_beside_it_or_neither_are_refused(workspace, capsys, record, tmp_path):
    other = tmp_path / "other.json"
    other.write_bytes(replace(validity.parse(record.read_bytes(), ""), check="noise").to_bytes())
    before = lab.size(workspace)
    for arguments, match in (
        (("--record", str(record), "--caught", "60"), "give either --record, or --caught and --organisms"),
        (("--caught", "60"), "give --caught and --organisms, or the validity record"),
        (("--record", str(tmp_path / "none.json")), "cannot read"),
        (("--record", str(other)), "is the record of the check `noise`, the policy asks for `probe`"),
    ):
        said = lab.command(capsys, workspace, *CHECKED, *arguments)
        assert said.code == 2
        assert match in said.err
    assert lab.size(workspace) == before


def test_a_result_by_one_key_of_a_quorum_counts_against_and_for_nothing(workspace):
    made.result(workspace, 110, "board-1", seed=3)
    assert made.state(workspace, "expert") == "reached"
    assert workspace.read().facts.results[-1].signers == frozenset()


@pytest.mark.parametrize("kind", ["attestation", "approval", "set-aside", "withdrawal"])
def test_what_speaks_in_favour_needs_a_quorum(workspace, capsys, kind):
    words = {
        "attestation": {"kind": "requirement", "name": "watched", "about": "developer", "statement": "x"},
        "approval": {"requirement": "agreed", "about": "subject", "findings": ["ab" * 32], "statement": "x"},
        "set-aside": {"reason": "x"},
        "withdrawal": {"reason": "x"},
    }
    refused(workspace, made.said(kind, words[kind]), "board-1", match="signed by the quorum of no role")


# -- incidents --------------------------------------------------------------------------------------------------------


def test_an_incident_that_names_a_threshold_makes_it_reached(workspace, capsys):
    run(capsys, workspace, "incident", "report", "theft", "--threshold", "expert", "--key", "board-2")
    assert made.state(workspace, "expert") == "reached"


def test_attack_an_incident_hidden_by_a_later_one(workspace, capsys):
    """Neither that it is resolved, nor the same kind once more about nothing, takes back what it shows."""
    run(capsys, workspace, "incident", "report", "theft", "--threshold", "expert", "--by", "gatekeeper")
    run(capsys, workspace, "incident", "resolve", last(workspace, "incident"))
    run(capsys, workspace, "incident", "report", "theft", "--resolved", timestamp(now()), "--by", "gatekeeper")
    assert made.state(workspace, "expert") == "reached"
    first, second = workspace.read().facts.incidents
    assert (first.thresholds, second.thresholds) == ({"expert"}, frozenset())
    assert None not in {first.resolved, second.resolved}


def test_an_incident_is_resolved_once_and_by_who_reported_it(workspace, capsys):
    run(capsys, workspace, "incident", "report", "theft", "--by", "gatekeeper")
    digest = last(workspace, "incident")
    predicate = {"resolved": timestamp(now()), "statement": "x"}
    with pytest.raises(EvidenceError, match="that others reported, expected the quorum of `gatekeeper`"):
        made.sign(workspace, made.said("incident", predicate, about=digest), *BOARD)
    run(capsys, workspace, "incident", "resolve", digest)
    with pytest.raises(EvidenceError, match="is resolved already"):
        made.sign(workspace, made.said("incident", {**predicate, "statement": "y"}, about=digest), "gatekeeper")


def test_the_independent_role_sets_aside_what_an_incident_says_of_thresholds(workspace, capsys):
    run(capsys, workspace, "incident", "report", "theft", "--threshold", "expert", "--by", "gatekeeper")
    run(capsys, workspace, "set-aside", last(workspace, "incident"), "--reason", "a false alarm")
    assert made.state(workspace, "expert") == "below"


def test_an_incident_starts_a_duty_from_the_moment_that_it_names(workspace, capsys):
    moment = timestamp(now() - timedelta(days=3))
    run(
        *(capsys, workspace, "incident", "report", "theft", "--moment", f"awareness={moment}"),
        *("--by", "evaluation-team"),
    )
    started = [it for ruling in made.decide(workspace, "scale").rulings for it in ruling.started if it.duty == "tell"]
    assert [timestamp(it.since) for it in started] == [moment]


def test_an_event_of_the_refresh_ends_results(workspace, capsys):
    assert made.verdict(workspace) == "permit"
    run(capsys, workspace, "incident", "report", "new-tools", "-s", "m", "--key", "gatekeeper")
    assert made.verdict(workspace) == "hold"


INCIDENT = {
    "kind": "theft",
    "about": "subject",
    "thresholds": [],
    "requirements": [],
    "moments": {},
    "resolved": None,
    "statement": "x",
}
TOMORROW = timestamp(now() + timedelta(days=2))
REFUSED = {
    "an incident of a kind that the policy does not name": (
        "incident",
        {**INCIDENT, "kind": "thefd"},
        "the incident `thefd`",
    ),
    "an incident at a threshold that is not there": (
        "incident",
        {**INCIDENT, "thresholds": ["exprt"]},
        "threshold `exprt`",
    ),
    "an incident against a requirement that is not there": (
        "incident",
        {**INCIDENT, "requirements": ["wached"]},
        "the requirement `wached`",
    ),
    "an incident of tomorrow": ("incident", {**INCIDENT, "moments": {"event": TOMORROW}}, "later than its own ledger"),
    "an incident with a moment of no name": (
        "incident",
        {**INCIDENT, "moments": {"rumour": TOMORROW}},
        "unknown member",
    ),
    "a forecast of a measure that is not there": (
        "forecast",
        {"measure": "skil", "multiple": "6", "margin": "0.1", "statement": "x"},
        "the measure `skil`",
    ),
    "a forecast in another spelling": (
        "forecast",
        {"measure": "skill", "multiple": "6.0", "margin": "0.1", "statement": "x"},
        "`multiple` is `6.0`",
    ),
    "a judgement of a threshold that is not there": (
        "judgement",
        {"threshold": "juged", "verdict": "reached", "on": [], "statement": "x"},
        "the threshold `juged`",
    ),
    "a judgement of a threshold that nobody judges": (
        "judgement",
        {"threshold": "expert", "verdict": "reached", "on": [], "statement": "x"},
        "is not judged in any version",
    ),
    "a judgement on nothing": (
        "judgement",
        {"threshold": "judged", "verdict": "below", "on": [], "statement": "x"},
        "judges `below` on nothing",
    ),
    "a judgement on a result that is not there": (
        "judgement",
        {"threshold": "judged", "verdict": "below", "on": ["0" * 64], "statement": "x"},
        "statement 000000000000 is not in the ledger",
    ),
    "an approval of a requirement that is attested": (
        "approval",
        {"requirement": "watched", "about": "developer", "findings": ["0" * 64], "statement": "x"},
        "the approved requirement `watched`",
    ),
    "a check by another name": (
        "assumption-check",
        {
            "assumption": "no-gradient-hacking",
            "check": "prob",
            "passed": False,
            "caught": 0,
            "organisms": 60,
            "statement": "x",
        },
        "is not shown by the check `prob`, expected probe",
    ),
    "a check that ruled out more honest organisms than there were": (
        "assumption-check",
        {
            "assumption": "no-gradient-hacking",
            "check": "probe",
            "passed": True,
            "caught": 60,
            "organisms": 60,
            "validity": {
                "recipe": "1f" * 32,
                "demonstrations": 16,
                "ruled_out": 31,
                "honest": 30,
                "at": "0.5",
                "least_parameters": 500000,
                "confidence": "0.95",
                "record": {"name": "logs/validity/1.json", "sha256": "2e" * 32},
            },
            "statement": "x",
        },
        "ruled out 31 of 30 organisms",
    ),
    "an attestation of an assumption that is not there": (
        "attestation",
        {"kind": "assumption", "name": "no-sandbaging", "about": "subject", "statement": "x"},
        "the assumption `no-sandbaging`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_word_that_would_vanish_is_refused(workspace, name):
    kind, predicate, match = REFUSED[name]
    about = (
        workspace.policy_digest if kind == "forecast" or predicate.get("about") == "developer" else made.FILES.digest
    )
    refused(workspace, made.said(kind, predicate, about=about), "external-auditor", match=match)


def test_the_ledger_with_all_of_it_verifies(workspace, capsys):
    run(capsys, workspace, "forecast", "skill", "--multiple", "6x", "--margin", "0.12", "--by", "evaluation-team")
    run(capsys, workspace, "incident", "report", "theft", "--requirement", "watched", "--key", "board-1")
    run(capsys, workspace, "judge", "judged", "-s", "m", "--verdict", "below")
    run(capsys, workspace, "ledger", "verify")
    told = run(capsys, workspace, "ledger", "log").out
    assert "a member of board" in told


# -- what was done ----------------------------------------------------------------------------------------------------


def test_an_audit_that_agrees_changes_nothing_and_one_that_does_not_holds(workspace, capsys):
    digest = last(workspace, "result")
    run(capsys, workspace, "record-audit", digest, "--drawn", "50", "--disagreed", "0")
    assert made.verdict(workspace) == "permit"
    run(capsys, workspace, "record-audit", digest, "--drawn", "50", "--disagreed", "1", "--key", "board-3")
    assert made.verdict(workspace) == "hold"
    assert [it.disagreed for it in workspace.read().audits] == [0, 1]
    run(capsys, workspace, "ledger", "verify")


def test_an_audit_hides_no_positive_result(workspace, capsys):
    digest = made.evaluate(workspace, correct=110, seed=1)
    run(capsys, workspace, "record-audit", digest, "--drawn", "50", "--disagreed", "50")
    assert made.state(workspace, "expert") == "reached"


AUDIT = {"drawn": 5, "agreed": 5, "disagreed": 0, "statement": "x"}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"seed": {"size": 1, "root": "0" * 64}}, "its seed is of size 1, expected"),
        ({"seed": {"size": 99, "root": "0" * 64}}, "its seed is of size 99, expected"),
        ({"agreed": 4}, "drew 5, 4 agreed and 0 not"),
        ({"drawn": 121, "agreed": 121}, "expected their sum, 1 to 120"),
    ],
    ids=["older than the result", "of the future", "one is missing", "more than there are"],
)
def test_an_audit_that_cannot_be_is_refused(workspace, changes, match):
    right = {"seed": {"size": lab.size(workspace), "root": "0" * 64}, **AUDIT}
    digest = last(workspace, "result")
    refused(workspace, made.said("audit", {**right, **changes}, about=digest), "external-auditor", match=match)


def test_attack_an_audit_by_samples_of_its_own_choice(workspace, capsys):
    seed = {"seed": {"size": lab.size(workspace), "root": "0" * 64}}
    made.sign(workspace, made.said("audit", {**seed, **AUDIT}, about=last(workspace, "result")), "external-auditor")
    told = lab.command(capsys, workspace, "ledger", "verify")
    assert (told.code, "claims root 000000000000" in told.err) == (4, True)


@pytest.mark.parametrize("by", ["gatekeeper", "board"])
def test_a_permit_that_was_revoked_does_not_verify(workspace, capsys, by):
    permit = run(capsys, workspace, "permit", "issue", "-s", "m", "-a", "scale", "--json").json["permit"]
    run(capsys, workspace, "permit", "verify", permit, "-a", "scale")
    run(capsys, workspace, "permit", "revoke", permit[:12], "--reason", "not what was agreed", "--by", by)
    told = lab.command(capsys, workspace, "permit", "verify", permit, "-a", "scale")
    assert (told.code, "was revoked by" in told.err, "not what was agreed" in told.err) == (3, True, True)


def test_attack_a_permit_revoked_by_one_who_may_not(workspace, capsys):
    permit = run(capsys, workspace, "permit", "issue", "-s", "m", "-a", "scale", "--json").json["permit"]
    told = made.said("revocation", {"reason": "x"}, about=permit)
    refused(workspace, told, "evaluation-team", match="expected the quorum of `gatekeeper` or `board`")


def test_attack_a_permit_again_from_the_decision_of_one_that_was_revoked(workspace, capsys):
    permit = run(capsys, workspace, "permit", "issue", "-s", "m", "-a", "scale", "--json").json["permit"]
    first = lab.payload(workspace, "permit").predicate
    narrower = first | {"not_after": timestamp(datetime.fromisoformat(first["not_after"]) - timedelta(seconds=1))}
    again = statement("permit", name="m", digest=made.FILES.digest, predicate=narrower)
    run(capsys, workspace, "permit", "revoke", permit, "--reason", "not what was agreed")
    run(capsys, workspace, "permit", "issue", "-s", "m", "-a", "scale", "--json")  # which decides anew
    refused(workspace, again, "gatekeeper", match="was revoked, expected a new decision")


def test_only_a_permit_is_revoked(workspace):
    told = made.said("revocation", {"reason": "x"}, about=last(workspace, "result"))
    refused(workspace, told, "gatekeeper", match="a `result`, expected one of permit")
