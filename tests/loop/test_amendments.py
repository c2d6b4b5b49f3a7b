"""A policy changes by the quorums of both versions, after its notice, one version after another."""

from __future__ import annotations

from datetime import timedelta

import pytest

import lab
import ledger_lab as made
from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import keys
from interlock.evidence.predicates import statement
from interlock.evidence.rederive import rederive
from interlock.gate import permit as permits
from interlock.policy import compile as compiled
from interlock.policy.load import loads
from interlock.workspace import now

BOARD = ("board-1", "board-2")
SOON = timedelta(days=31)


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    workspace = made.make(tmp_path_factory.mktemp("amended"), made.FROZEN)
    made.evaluate(workspace)
    made.attest(workspace, "no-evaluation-gaming")
    return workspace


@pytest.fixture
def workspace(tmp_path, _lab):
    return lab.copy(_lab, tmp_path / "lab")


def written(version="1.1.0", *changes, effective=None):
    """The policy's text with another version, and what else is changed."""
    text = made.FROZEN.replace("version: 1.0.0", f"version: {version}")
    text = text.replace("effective: 2026-01-01T00:00:00Z", f"effective: {timestamp(effective or now() + SOON)}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def policy(workspace, *args, **members):
    return loads(written(*args, **members), name="policy.yaml", folder=workspace.folder)


def amendment(workspace, new, supersedes=None):
    digest = supersedes or workspace.read().versions[-1].digest
    predicate = {"policy": compiled.to_json(new), "supersedes": digest, "changes": "x", "at": timestamp(now())}
    return statement("amendment", name=new.id, digest=compiled.digest(new), predicate=predicate)


def refused(workspace, statement, *names, match):
    before = lab.size(workspace)
    with pytest.raises(EvidenceError, match=match):
        made.sign(workspace, statement, *names)
    assert lab.size(workspace) == before
    lab.force(workspace, lab.envelope(statement, *(lab.key(workspace, name) for name in names)))
    with pytest.raises(EvidenceError, match=match):
        workspace.read()


TIGHTER = ("skill >= 0.50", "skill >= 0.40")
LOOSER = ("skill >= 0.50", "skill >= 0.90")
ROTATED = ("keys/external-auditor.pub", "keys/new-auditor.pub")


def test_an_amendment_takes_effect_when_it_says_and_not_before(workspace, capsys, tmp_path, monkeypatch):
    effective = now() + SOON
    (tmp_path / "next.yaml").write_text(written("1.1.0", TIGHTER, effective=effective))
    shown = lab.command(capsys, workspace, "amend", str(tmp_path / "next.yaml"), "--dry-run", "--json")
    assert (shown.code, shown.json["changed"][2:], shown.json["looser"]) == (0, ["thresholds.expert changed"], [])
    assert lab.command(capsys, workspace, "amend", str(tmp_path / "next.yaml")).code == 0
    first, second = workspace.read().versions
    assert (first.digest, second.since) == (workspace.policy_digest, effective)
    assert made.decide(workspace, "scale").rulings[0].version == "1.0.0"
    assert (workspace.folder / "policy.yaml").read_text() == (tmp_path / "next.yaml").read_text()
    lab.later(monkeypatch, effective + timedelta(days=1))
    assert made.decide(workspace, "scale", effective + timedelta(days=1)).rulings[0].version == "1.1.0"
    assert workspace.read().policy_digest == second.digest


def test_decisions_of_both_versions_are_derived_again(workspace, monkeypatch):
    made.attest(workspace, "watched")
    lab_permit(workspace)
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", TIGHTER), changes="x")
    lab_permit(workspace)
    lab.later(monkeypatch, now() + SOON + timedelta(days=1))
    workspace.refresh()
    issued = permits.issue(workspace, subject="m", action="scale", at=now())
    assert issued.permit is not None
    assert rederive(workspace.ledger.read(), pinned_policy=workspace.policy_digest) == 3


def lab_permit(workspace):
    workspace.refresh()
    issued = permits.issue(workspace, subject="m", action="scale", at=now())
    assert issued.permit is not None
    return issued.permit


def test_a_permit_ends_at_the_latest_when_the_next_version_takes_effect(workspace):
    effective = now() + timedelta(days=31)
    workspace.amend(workspace.read(), policy(workspace, effective=effective), changes="x")
    assert made.decide(workspace, "scale", now()).bounds.not_after <= effective


# -- the chain --------------------------------------------------------------------------------------------------------


def test_attack_an_amendment_that_was_superseded_is_put_in_again(workspace):
    loose = amendment(workspace, policy(workspace, "1.2.0", LOOSER))
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", TIGHTER), changes="x")
    refused(workspace, loose, *BOARD, match="supersedes policy .*, expected the latest version")


def test_attack_an_amendment_that_skips_a_version(workspace):
    """Made on top of one that never went into the ledger."""
    between = policy(workspace, "1.1.0", TIGHTER)
    made_on_it = amendment(workspace, policy(workspace, "1.2.0"), supersedes=compiled.digest(between))
    refused(workspace, made_on_it, *BOARD, match="expected the latest version")


def test_attack_two_amendments_of_one_version(workspace):
    one, other = (amendment(workspace, policy(workspace, version)) for version in ("1.1.0", "1.1.1"))
    made.sign(workspace, one, *BOARD)
    refused(workspace, other, *BOARD, match="expected the latest version")


def test_attack_another_policy_under_this_one_s_digest(workspace):
    made_up = amendment(workspace, policy(workspace))
    forged = statement("amendment", name="x", digest=workspace.policy_digest, predicate=dict(made_up.predicate))
    refused(workspace, forged, *BOARD, match="by its bytes")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("id: test-lab/said", "id: test-lab/other"), "expected the same policy"),
        (("title: What", "supersedes: 0.9.0\ntitle: What"), "supersedes version `0.9.0`, expected `1.0.0`"),
        (("version: 1.1.0", "version: 1.0"), "version `1.0` was there before"),
        (("version: 1.1.0", "version: 01.0.0"), "version `01.0.0` was there before"),
        (("version: 1.1.0", "version: 0.0.1"), "version `0.0.1` is below `1.0.0`, expected one above all that were"),
    ],
    ids=["another id", "another predecessor", "the same, shorter", "the same, padded", "a lower version"],
)
def test_what_is_no_next_version_is_refused(workspace, change, match):
    new = policy(workspace, "1.1.0", change)
    refused(workspace, amendment(workspace, new), *BOARD, match=match)
    with pytest.raises(EvidenceError):
        workspace.read()


def test_attack_effective_before_the_version_that_it_follows(workspace):
    workspace.amend(workspace.read(), policy(workspace, effective=now() + timedelta(days=60)), changes="x")
    new = policy(workspace, "1.2.0", effective=now() + timedelta(days=40))
    refused(workspace, amendment(workspace, new), *BOARD, match="or later")


# -- notice -----------------------------------------------------------------------------------------------------------


def test_too_short_a_notice_is_refused_where_it_is_made(workspace):
    new = policy(workspace, effective=now() + timedelta(days=29))
    with pytest.raises(UsageError, match="so long before it takes effect"):
        workspace.amend(workspace.read(), new, changes="x")


def test_attack_an_amendment_that_was_forced_in_without_notice_waits_all_the_same(workspace):
    new = policy(workspace, "1.1.0", LOOSER, effective=now())
    lab.force(workspace, lab.envelope(amendment(workspace, new), *(lab.key(workspace, name) for name in BOARD)))
    _, second = workspace.read().versions
    assert second.since >= second.entered + timedelta(days=30)
    assert made.decide(workspace, "scale").rulings[0].version == "1.0.0"


def test_attack_a_first_amendment_drops_the_notice_for_a_second(workspace):
    """As long as the first version is in force, its notice is kept."""
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", (", notice: 30 days", "")), changes="x")
    early = policy(workspace, "1.2.0", (", notice: 30 days", ""), LOOSER, effective=now() + timedelta(days=31))
    monday = workspace.read().versions[-1]
    lab.force(workspace, lab.envelope(amendment(workspace, early), *(lab.key(workspace, name) for name in BOARD)))
    third = workspace.read().versions[-1]
    assert third.since >= max(third.entered + timedelta(days=30), monday.since)


# -- who signs --------------------------------------------------------------------------------------------------------


def _new_board(workspace):
    for number in (1, 2, 3):
        keys.new_key(workspace.folder / "keys" / f"new-{number}.key", passphrase=None)
    return policy(workspace, "1.1.0", *((f"keys/board-{number}.pub", f"keys/new-{number}.pub") for number in (1, 2, 3)))


NEW = ("new-1", "new-2")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (NEW, "by no key of one"),
        ((*NEW, "board-1"), "not signed by `board` as version 1.0.0 has it"),
        ((*NEW, "external-auditor", "gatekeeper"), "not signed by `board` as version 1.0.0 has it"),
        (BOARD, "not signed by `board` as version 1.1.0 has it"),
        ((*BOARD, "new-1"), "not signed by `board` as version 1.1.0 has it"),
    ],
    ids=["the new quorum only", "and one of the old", "and other roles", "the old quorum only", "and one of the new"],
)
def test_attack_an_amendment_signed_by_one_quorum_only(workspace, names, match):
    refused(workspace, amendment(workspace, _new_board(workspace)), *names, match=match)


def test_an_amendment_signed_by_both_quorums_hands_over(workspace):
    made.sign(workspace, amendment(workspace, _new_board(workspace)), *BOARD, *NEW)
    second = policy(workspace, "1.2.0", *((f"keys/board-{it}.pub", f"keys/new-{it}.pub") for it in (1, 2, 3)))
    made.sign(workspace, amendment(workspace, second), *NEW)
    assert len(workspace.read().versions) == 3


def _rotated(workspace):
    """The auditor gets another key; the old one is still about."""
    keys.new_key(workspace.folder / "keys" / "new-auditor.key", passphrase=None)
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", ROTATED), changes="x")


def test_attack_a_key_that_was_rotated_out_signs_nothing_in_favour(workspace, monkeypatch):
    _rotated(workspace)
    stated = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "again"}
    for name in ("external-auditor", "new-auditor"):  # the notice is running: neither signs for both versions
        with pytest.raises(EvidenceError, match="signed by the quorum of no role"):
            made.sign(workspace, made.said("attestation", stated), name)
    made.sign(workspace, made.said("attestation", stated), "external-auditor", "new-auditor")
    lab.later(monkeypatch, now() + SOON + timedelta(days=1))
    with pytest.raises(EvidenceError, match="signed by the quorum of no role"):
        made.sign(workspace, made.said("attestation", {**stated, "statement": "later"}), "external-auditor")
    made.sign(workspace, made.said("attestation", {**stated, "statement": "later"}), "new-auditor")


def test_a_key_that_was_rotated_out_still_speaks_against(workspace):
    _rotated(workspace)
    made.result(workspace, 110, "external-auditor", seed=5)
    assert made.state(workspace, "expert") == "reached"


def test_the_workspace_signs_with_the_keys_of_both_versions_meanwhile(workspace):
    _rotated(workspace)
    assert len(workspace.signing(workspace.read(), "external-auditor")) == 2
    assert len(workspace.signing(workspace.read(), "gatekeeper")) == 1


# -- frozen while reached ---------------------------------------------------------------------------------------------


def test_attack_loosened_while_reached(workspace):
    made.evaluate(workspace, correct=110, seed=1)
    with pytest.raises(UsageError, match=r"`m` has reached `adept`.*frozen.*the level of `skill` is less strict"):
        workspace.amend(workspace.read(), policy(workspace, "1.1.0", LOOSER), changes="x")
    match = "amendments are frozen but for what only tightens"
    refused(workspace, amendment(workspace, policy(workspace, "1.1.0", LOOSER)), *BOARD, match=match)


NEARLY = r"`m` was evaluated, and `adept` is not ruled out, and amendments are frozen but for what only tightens"


def test_attack_loosened_after_a_near_miss(workspace):
    """No level is reached, and the evaluation is over: the rules do not move to where it would have passed."""
    made.evaluate(workspace, correct=30, seed=1)
    states = made.state(workspace, "expert"), made.state(workspace, "adept", "deploy-api")
    assert states == ("below", "not ruled out")
    loose = policy(workspace, "1.1.0", ("skill >= 0.30", "skill >= 0.35"))
    with pytest.raises(UsageError, match=NEARLY):
        workspace.amend(workspace.read(), loose, changes="x")
    refused(workspace, amendment(workspace, loose), *BOARD, match=NEARLY)


@pytest.mark.parametrize("what", ["an evaluation that is still open", "the report taken back"])
def test_attack_a_near_miss_is_not_over_by(workspace, what):
    told = made.evaluate(workspace, correct=30, seed=1)
    if what == "the report taken back":
        made.sign(workspace, made.said("withdrawal", {"reason": "x"}, about=told), "evaluation-team")
    else:
        made.plan(workspace, seed=2)
    with pytest.raises(UsageError, match=NEARLY):
        workspace.amend(workspace.read(), policy(workspace, "1.1.0", LOOSER), changes="x")


def test_after_a_near_miss_a_policy_may_be_tightened(workspace):
    made.evaluate(workspace, correct=30, seed=1)
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", TIGHTER), changes="x")
    assert len(workspace.read().versions) == 2


#: By what another model is not below, that does not freeze.
FREE = {
    "nothing was evaluated": lambda it, of: None,
    "nobody vouches for what was": lambda it, of: made.evaluate(it, seed=1, about=of),
    "a plan was not reported in full": lambda it, of: made.result(
        it, 30, of=made.plan(it, seed=1, about=of), seed=1, scored=100, about=of
    ),
    "nobody announced what was run": lambda it, of: made.result(it, 30, seed=1, about=of),
    "what was reported was set aside": lambda it, of: made.sign(
        it,
        made.said("set-aside", {"reason": "x"}, about=made.evaluate(it, correct=30, seed=1, about=of)),
        "external-auditor",
    ),
}


@pytest.mark.parametrize("what", FREE.values(), ids=FREE)
def test_a_threshold_that_no_evaluation_speaks_against_freezes_nothing(workspace, what):
    what(workspace, made.near_copy(workspace))
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", LOOSER), changes="x")
    assert len(workspace.read().versions) == 2


def test_while_reached_a_policy_may_be_tightened(workspace):
    made.evaluate(workspace, correct=110, seed=1)
    workspace.amend(workspace.read(), policy(workspace, "1.1.0", TIGHTER), changes="x")
    assert len(workspace.read().versions) == 2


# -- exceptions -------------------------------------------------------------------------------------------------------

EXCEPTION = """
exceptions:
  meanwhile:
    {kind: interim, instead_of: [agreed], requires: [watched], approved_by: [board, external-auditor], lasts: 1 month}
gates:
"""


def test_an_exception_is_opened_by_all_who_must_and_in_public(tmp_path, capsys):
    workspace = made.make(tmp_path / "with", made.POLICY.replace("\ngates:\n", EXCEPTION))
    made.evaluate(workspace)
    made.attest(workspace, "no-evaluation-gaming", "watched")
    made.evaluate(workspace, correct=30, seed=1)
    assert made.verdict(workspace, "deploy-api") == "hold"
    said = {"exception": "meanwhile", "about": "subject", "published": "https://example.org/x", "statement": "x"}
    made.sign(workspace, made.said("amendment", said), *BOARD)
    assert made.verdict(workspace, "deploy-api") == "hold"  # the auditor has not signed
    told = lab.command(capsys, workspace, "except", "meanwhile", "-s", "m", "--published", "https://example.org/y")
    assert told.code == 0, told.err
    assert made.verdict(workspace, "deploy-api") == "permit"
    digest = workspace.read().records[-1].digest
    assert lab.command(capsys, workspace, "withdraw", digest, "--reason", "over").code == 0
    assert made.verdict(workspace, "deploy-api") == "hold"
    for changes, match in (
        ({"exception": "meanwile"}, "the exception `meanwile`"),
        ({"published": " "}, "expected where it can be read"),
    ):
        with pytest.raises(EvidenceError, match=match):
            made.sign(workspace, made.said("amendment", {**said, **changes}), *BOARD)
