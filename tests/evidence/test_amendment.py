"""Who is kept apart from whom over all versions of a policy, whether it says so or its rules need it (ADR 0021)."""

from __future__ import annotations

import re

import pytest

import ledger_lab as made
from interlock.evidence.amendment import misfits
from interlock.evidence.keys import KeyPair
from interlock.policy.load import loads

TEAM, AUDITOR, GATEKEEPER, BOARD = "evaluation-team", "external-auditor", "gatekeeper", "board"
KEYS = {name: KeyPair.generate().public for name in (*re.findall(r"keys/(\S+)\.pub", made.POLICY), "new-1", "new-2")}
SAYS = ("quorum: 1, independent_of: [evaluation-team, gatekeeper, board]", "quorum: 1")
# Changes of a policy in which the auditor is the independent role, and vouches for what evaluations assume.
VOUCHED_BY_BOARD = ((f"stated_by: {AUDITOR}", f"stated_by: {BOARD}"), (f"probe, by: {AUDITOR}", f"probe, by: {BOARD}"))
REPEATED_BY_BOARD = (("independent: external-auditor", "independent: board"),)
WITH_TESTERS = (
    ("  board:  ", "  testers: {keys: [keys/new-2.pub], quorum: 1}\n  board:  "),
    (f"run_by: {TEAM}", "run_by: testers"),
)
RUN_BY_AUDITOR = ((f"run_by: {TEAM}", f"run_by: {AUDITOR}"),)
HARMLESS = """
  harmless:
    {measured: skill <= 0.2, run_by: gatekeeper, confidence: 0.95, elicitation: [prompted], coverage: 0.98,
     buffer: {none: a test}}
  agreed:"""
MEASURED = (("\n  agreed:", HARMLESS),)
NOTHING: dict[str, str] = {}
SWAPPED = {AUDITOR: TEAM, TEAM: "new-1"}


def policy(version, changes=(), held=NOTHING, said=SAYS):
    """The policy of that version, its roles with the keys of others where `held` says so."""
    text = made.POLICY.replace("version: 1.0.0", f"version: {version}")
    for old, new in (said, *changes):
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"keys/(\S+?)\.pub", lambda it: str(KEYS[held.get(it[1], it[1])]), text)
    return loads(text, name="policy.yaml", folder=None)


APART = "independent of the evaluations of `evaluation-team`, and has a key that version 1.0.0 gave to that"
VOUCHES = "vouches for `no-evaluation-gaming` in the evaluations of `evaluation-team`, and has a key that version"
REFUSED = {  # sentence: (the changes and keys of the first version, those of the second, what is said)
    "the runner's key is the independent role's": ((VOUCHED_BY_BOARD, NOTHING), (VOUCHED_BY_BOARD, SWAPPED), APART),
    "the independent role's key is the runner's": (
        (VOUCHED_BY_BOARD, NOTHING),
        (VOUCHED_BY_BOARD, {TEAM: AUDITOR, AUDITOR: "new-1"}),
        APART.replace("1.0.0", "1.1.0"),
    ),
    "the runner's key is the independent role's, and others run what follows": (
        (VOUCHED_BY_BOARD, NOTHING),
        ((*VOUCHED_BY_BOARD, *WITH_TESTERS), SWAPPED),
        APART,
    ),
    "the runner is the independent role": (
        (VOUCHED_BY_BOARD, NOTHING),
        ((*VOUCHED_BY_BOARD, *REPEATED_BY_BOARD, *RUN_BY_AUDITOR), NOTHING),
        f"independent of the evaluations of `{AUDITOR}`",
    ),
    "the runner's key is that of who vouches": ((REPEATED_BY_BOARD, NOTHING), (REPEATED_BY_BOARD, SWAPPED), VOUCHES),
    "the key of who vouches is the runner's": (
        (REPEATED_BY_BOARD, NOTHING),
        (REPEATED_BY_BOARD, {TEAM: AUDITOR, AUDITOR: "new-1"}),
        VOUCHES,
    ),
    "who vouches once had the runner's key": (
        ((*REPEATED_BY_BOARD, *VOUCHED_BY_BOARD), {AUDITOR: TEAM}),
        (REPEATED_BY_BOARD, NOTHING),
        VOUCHES,
    ),
    "the runner's key is that of who vouches for a measured requirement": (
        ((*REPEATED_BY_BOARD, *MEASURED), NOTHING),
        ((*REPEATED_BY_BOARD, *MEASURED), {AUDITOR: GATEKEEPER, GATEKEEPER: "new-1"}),
        "in the evaluations of `gatekeeper`, and has a key that version 1.0.0 gave to that",
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_attack_a_key_goes_between_who_runs_and_who_judges_what_was_run(sentence):
    """Each version by itself loads."""
    *versions, said = REFUSED[sentence]
    first, second = (policy(number, *it) for number, it in zip(("1.0.0", "1.1.0"), versions, strict=True))
    assert said in next(misfits([first], second))


def test_attack_a_key_goes_there_by_a_version_in_between():
    """What the version before that gave is not forgotten."""
    first, between = policy("1.0.0"), policy("1.1.0", held={TEAM: "new-1"})
    assert list(misfits([first], between)) == []
    assert APART in next(misfits([first, between], policy("1.2.0", held=SWAPPED)))


TAKEN = {
    "each has a new key": ((), {TEAM: "new-1", AUDITOR: "new-2"}),
    "the key of a role that runs nothing is the auditor's": ((), {AUDITOR: GATEKEEPER, GATEKEEPER: "new-1"}),
    "others run what follows": (WITH_TESTERS, NOTHING),
    "another role is independent and vouches": ((*REPEATED_BY_BOARD, *VOUCHED_BY_BOARD), NOTHING),
}


@pytest.mark.parametrize("sentence", TAKEN)
def test_keys_change_between_roles_that_nothing_keeps_apart(sentence):
    assert list(misfits([policy("1.0.0")], policy("1.1.0", *TAKEN[sentence]))) == []


def test_attack_a_role_stops_to_say_that_it_is_independent_and_takes_a_key_of_the_other():
    first = policy("1.0.0", said=("", ""))
    second = policy("1.1.0", held={AUDITOR: GATEKEEPER, GATEKEEPER: "new-1"})
    assert "is independent of `gatekeeper`, and has a key that version 1.0.0 gave" in next(misfits([first], second))
