"""The policy by which Interlock was designed (design.yaml, as it stood there) loads after seven changes, of which none
can be left out. docs/adr/0018 tells why the written language asks for each.
"""

from pathlib import Path

import pytest

from interlock.errors import PolicyError
from interlock.policy.lint import lint
from interlock.policy.load import loads
from policy.samples import key

TEXT = (Path(__file__).parent / "design.yaml").read_text(encoding="utf-8")


def keys(*seeds):
    return ", ".join(key(seed) for seed in seeds)


DEFINED = """
  good-demonstrations: {stated_by: board, fresh_for: 6 months}
  no-exploration-hacking: {stated_by: board, fresh_for: 6 months}"""

# why -> what is written in the design, what is written instead, and what is said where it is not
CHANGES = {
    "keys are keys": (
        [
            ("evaluation-team:  {keys: [...]", f"evaluation-team:  {{keys: [{keys(1)}]"),
            ("external-auditor: {keys: [...]", f"external-auditor: {{keys: [{keys(2)}]"),
            ("board:            {keys: [...]", f"board:            {{keys: [{keys(3, 4, 5)}]"),
        ],
        "expected `ed25519:BASE64` or a relative path to a .pub file, got `...`",
    ),
    "somebody runs a check": (
        [("checked: certified-elicitor, coverage", "checked: certified-elicitor, by: board, coverage")],
        "expected field `by`, got nothing",
    ),
    "nobody vouches for evaluations that they run": (
        [("stated_by: external-auditor", "stated_by: board")],
        "expected a role that shares no key with `external-auditor`, which runs the evaluations of threshold",
    ),
    "an assumption is not void at what rests on it": (
        [(", void_at: [takeover]", ""), (", void_at: [takeover]", "")],
        "threshold `takeover` depends on itself",
    ),
    "what an elicitation takes for granted is vouched for": (
        [
            (
                "\n\nthresholds:",
                f"{DEFINED}\n\nthresholds:",
            )
        ],
        "takes `good-demonstrations` for granted, which is not defined under `assumptions`",
    ),
    "fine-tuning says how many demonstrations": (
        [
            (
                "elicitation: [few-shot, fine-tuned]\n      buffer",
                "elicitation: [few-shot, fine-tuned]\n      demonstrations: 16\n      buffer",
            )
        ],
        "elicitation `fine-tuned` needs `demonstrations` of at least 1, got `0`",
    ),
    "somebody signs permits": (
        [("ledger_age: 1 hour}", "ledger_age: 1 hour, issued_by: board}")],
        "expected field `issued_by`, got nothing",
    ),
}


def changed(*, without=""):
    """The text of the example with the changes but one."""
    text = TEXT
    for why, (edits, _) in CHANGES.items():
        for old, new in edits if why != without else ():
            assert old in text, old
            text = text.replace(old, new, 1)
    return text


def written(*, without=""):
    """The example with the changes but one."""
    return loads(changed(without=without), name="design.yaml", folder=None)


def test_with_the_changes_the_example_loads_and_says_what_the_design_says():
    policy = written()
    assert list(policy.gates) == ["scale", "deploy-internal", "deploy-api", "release-weights"]
    assert policy.thresholds["takeover"].takeover_potential
    assert policy.requirements["misuse-3"].rule_out.run_by == "external-auditor"
    assert {it.check for it in lint(policy) if it.level == "error"} == set()


@pytest.mark.parametrize("why", CHANGES)
def test_no_change_can_be_left_out(why):
    with pytest.raises(PolicyError) as caught:
        written(without=why)
    assert any(CHANGES[why][1] in problem for problem in caught.value.problems), caught.value.problems


def test_keys_cannot_be_shared_as_the_example_invites():
    shared = TEXT.replace("keys: [...]", f"keys: [{keys(1)}]")
    with pytest.raises(PolicyError) as caught:
        loads(shared, name="design.yaml", folder=None)
    told = "\n".join(caught.value.problems)
    assert "role `external-auditor` is independent of `evaluation-team` and yet shares a key with it" in told
    assert "expected a quorum from 1 to the number of keys, 1, got `3`" in told
