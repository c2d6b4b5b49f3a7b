"""The exploration monitor: what it flags, what it leaves alone, and when it spoke first."""

from __future__ import annotations

import pytest

from interlock.elicit.items import Item
from interlock.elicit.monitor import Flag, Observed, Rule, Seen, flags, from_json, seen
from interlock.elicit.rollouts import Group

RULE = Rule(steps=3)
STUCK = Seen(reward=0.0, zero_variance=1.0, variance=0.0, distinct=0.125, entropy=0.0)
LEARNING = Seen(reward=0.4, zero_variance=0.1, variance=0.2, distinct=0.5, entropy=0.6)
SOLVED = Seen(reward=1.0, zero_variance=1.0, variance=0.0, distinct=0.125, entropy=0.0)
UNABLE = Seen(reward=0.0, zero_variance=1.0, variance=0.0, distinct=0.9, entropy=0.9)
STOCHASTIC = Seen(reward=0.2, zero_variance=0.2, variance=0.1, distinct=0.4, entropy=0.5)


def kinds(*run, control=None):
    observed = [Observed(step, one, control) for step, one in enumerate(run)]
    return [flag.kind for flag in flags(observed, total=len(run), rule=RULE)]


CASES = {
    "a deterministic wrong answer": ([STUCK] * 9, LEARNING, ["no-reward-variance", "entropy-collapse"]),
    "the same without control": ([STUCK] * 9, None, ["no-reward-variance"]),
    "the same where control is as narrow": ([STUCK] * 9, SOLVED, ["no-reward-variance"]),
    "a task that is solved": ([SOLVED] * 9, LEARNING, []),
    "a model that learns": ([LEARNING] * 9, LEARNING, []),
    "a model that tries and cannot": ([UNABLE] * 9, LEARNING, ["no-reward-variance"]),
    "wrong answers at random": ([STOCHASTIC] * 9, LEARNING, []),
    "two steps only": ([STUCK] * 2, LEARNING, []),
    "stuck at first, then learning": ([STUCK, STUCK, *[LEARNING] * 7], LEARNING, []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_flagged(case):
    run, control, expected = CASES[case]
    assert kinds(*run, control=control) == expected


def test_a_flag_says_when_it_was_raised_first_and_how_long_before_the_end():
    run = [*[LEARNING] * 4, *[STUCK] * 16]
    observed = [Observed(step, one) for step, one in enumerate(run)]
    assert flags(observed, total=30, rule=RULE) == (Flag("no-reward-variance", step=7, lead=23),)


def test_what_a_step_showed():
    item = Item("a", "a", ({"role": "user", "content": "a"},), "B")
    mixed = Group(item, (), (1.0, 0.0, 0.0, 0.0), ("b", "a", "c", "d"))
    alike = Group(item, (), (0.0, 0.0, 0.0, 0.0), ("a", "a", "a", "a"))
    told = seen([mixed, alike])
    assert told == Seen(reward=0.125, zero_variance=0.5, variance=0.09375, distinct=0.625, entropy=0.5)
    observed = Observed(3, told, told)
    assert from_json(observed.to_json()) == observed
