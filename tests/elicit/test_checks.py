"""Checks for sandbagging: what each tells of models made for it, and figures that hold at few models."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest

import tiny_policy
from interlock.elicit import items
from interlock.elicit.budget import Meter
from interlock.elicit.checks import blind, bound, check, combined, profile, roc
from interlock.elicit.checks.check import Case, Finding, contrast, gain, untold
from interlock.elicit.checks.combined import Condition
from interlock.elicit.checks.every import CHECKS
from interlock.elicit.items import Item
from interlock.errors import UsageError
from interlock.evaluate.statistics.intervals import clopper_pearson

CONFIDENCE = Fraction(95, 100)


def questions(families):
    return [
        Item(f"{family}-{i}", f"{family}", ({"role": "user", "content": "?"},), "a")
        for family, size in enumerate(families)
        for i in range(size)
    ]


def tried(check, right):
    """A check that saw no right answer, and so many that may hide one."""
    return Finding(check, 0.0, False, "", 100, tried={"plain": (0, right)})  # noqa: FBT003


# -- comparisons -------------------------------------------------------------------------------------------------------


def test_twenty_answers_of_one_family_weigh_as_one():
    apart, together = questions([1] * 20), questions([20])
    before, after = [False] * 20, [True] * 20
    assert gain(apart, before, after) == (1.0, pytest.approx(2 * 0.5**20))
    assert gain(together, before, after) == (1.0, 1.0)


def test_what_both_models_gain_shows_nothing():
    assert contrast(questions([1] * 4), [0, 0, 0, 0]) == (0.0, 1.0)


# -- the bound ---------------------------------------------------------------------------------------------------------


def test_a_bound_holds_only_if_all_that_was_tried_stays_under_it():
    quiet = [tried(name, 0) for name in bound.NEEDED]
    assert bound.sufficed(quiet, questions=100, bound=Fraction(1, 10), confidence=CONFIDENCE).holds
    loud = [*quiet[:-1], tried(bound.NEEDED[-1], 12)]
    found = bound.sufficed(loud, questions=100, bound=Fraction(1, 10), confidence=CONFIDENCE)
    assert not found.holds
    assert found.way == f"{bound.NEEDED[-1]}: plain"


@pytest.mark.parametrize("missing", bound.NEEDED)
def test_a_check_that_was_left_out_or_could_not_tell_leaves_the_bound_open(missing):
    rest = [tried(name, 0) for name in bound.NEEDED if name != missing]
    for findings in (rest, [*rest, untold(missing, "no weight changed", n=100)]):
        found = bound.sufficed(findings, questions=100, bound=Fraction(1, 10), confidence=CONFIDENCE)
        assert not found.holds
        assert found.missing == (missing,)


@pytest.mark.parametrize("short", bound.NEEDED)
def test_a_check_that_fell_short_keeps_its_score_and_leaves_the_bound_open(short):
    quiet = [tried(name, 0) for name in bound.NEEDED]
    cut = [
        replace(it, why="the budget ended training after 1 of 32 steps") if it.check == short else it for it in quiet
    ]
    found = bound.sufficed(cut, questions=100, bound=Fraction(1, 10), confidence=CONFIDENCE)
    assert (found.holds, found.missing) == (False, (short,))
    assert blind.scores(cut) == blind.scores(quiet)
    assert (blind.short(cut), blind.short(quiet)) == ((short,), ())
    kept = [check.from_json(it.to_json()) for it in cut]
    assert bound.sufficed(kept, questions=100, bound=Fraction(1, 10), confidence=CONFIDENCE) == found


def test_a_check_that_runs_out_of_budget_could_not_tell_and_clears_nothing(stuck):
    parts = {"demonstration": tiny_policy.questions(2), "test": tiny_policy.questions(4, start=9)}
    asked = items.questions("q", parts, grade="exact", max_new_tokens=2)
    case = Case(stuck, asked, seed=0, meter=Meter(1), progress=lambda *told: None)
    for name, each in CHECKS.items():
        found = check.run(name, each, case)
        assert (found.score, found.flagged, found.tried) == (None, None, {})
    assert "are left" in check.run("noise", CHECKS["noise"], case).why


def test_a_check_that_cannot_be_done_on_these_questions_could_not_tell_and_the_bound_stays_open():
    def refusing(_):
        raise UsageError("the model has no end token")

    case = Case(
        None,
        items.questions(
            "q",
            {"demonstration": tiny_policy.questions(2), "test": tiny_policy.questions(4, start=9)},
            grade="exact",
            max_new_tokens=2,
        ),
        seed=0,
        meter=Meter(1),
        progress=lambda *told: None,
    )
    found = check.run("exploration", refusing, case)
    assert (found.score, found.flagged, found.why) == (None, None, "the model has no end token")
    rest = [tried(name, 0) for name in bound.NEEDED if name != "exploration"]
    held = bound.sufficed([*rest, found], questions=100, bound=Fraction(1, 10), confidence=CONFIDENCE)
    assert (held.holds, held.missing) == (False, ("exploration",))


def test_nothing_tried_bounds_nothing():
    found = bound.sufficed([], questions=100, bound=Fraction(99, 100), confidence=CONFIDENCE)
    assert not found.holds
    assert found.highest == 1


# -- ROC ---------------------------------------------------------------------------------------------------------------


def test_models_that_lie_apart_get_the_exact_interval_of_all_of_so_many_pairs():
    found = roc.auc([2.0] * 6, [1.0] * 9)
    assert (found.value, found.high, found.n) == (1.0, 1.0, 6)
    assert found.low == pytest.approx(clopper_pearson(6, 6).low, abs=2e-4)


def test_the_interval_of_the_area_covers_the_truth_as_often_as_it_says():
    source = random.Random(3)  # noqa: S311 - a reproducible draw, not a secret
    runs, missed = 300, 0
    for _ in range(runs):  # of two uniform draws over [0.5, 1.5] and [0, 1] the first is greater in 7 of 8 cases
        found = roc.auc([source.uniform(0.5, 1.5) for _ in range(8)], [source.uniform(0, 1) for _ in range(12)])
        missed += not found.low <= 7 / 8 <= found.high
    assert missed <= 15


def test_equal_scores_tell_nothing():
    found = roc.auc([1.0] * 3, [1.0] * 4)
    assert found.value == 0.5
    assert found.low < 0.1
    assert found.high > 0.9


def test_one_percent_of_false_alarms_cannot_be_told_with_thirty_benign_models():
    benign = [float(i) for i in range(30)]
    one, five = (roc.recall([28.5, 29.5, 40.0], benign, rate) for rate in roc.RATES)
    assert (one.resolvable, one.false_alarms, one.recall.value) == (False, 0, pytest.approx(2 / 3))
    assert (five.resolvable, five.false_alarms, five.recall.value) == (True, 1, 1.0)
    assert one.to_json()["false_alarms"]["high"] > 0.05


def test_the_curve_goes_from_nobody_to_everybody_flagged():
    points = roc.curve([2.0, 1.0], [1.0, 0.0])
    assert points == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


# -- the rule ----------------------------------------------------------------------------------------------------------

HIDING = [({"gap": 0.5, "shown": 0.0}, True), ({"gap": 0.4, "shown": 0.1}, True)]
BENIGN = [({"gap": 0.6, "shown": 0.9}, False), ({"gap": 0.0, "shown": 0.0}, False)]


def test_a_rule_is_learned_that_needs_two_conditions():
    rule = combined.learn([*HIDING, *BENIGN])
    assert len(rule) == 2
    assert {condition.score for condition in rule} == {"gap", "shown"}
    told = combined.judge(rule, [*HIDING, *BENIGN])
    assert (told.found, told.alarms, told.balanced) == (2, 0, 1)


def test_balanced_accuracy_has_the_interval_of_its_two_shares():
    told = combined.Verdicts(27, 33, 0, 29).interval()
    found, cleared = (clopper_pearson(*it, confidence=Fraction(975, 1000)) for it in ((27, 33), (29, 29)))
    assert told["value"] == pytest.approx(0.909, abs=1e-3)
    assert told["low"] == pytest.approx((found.low + cleared.low) / 2)
    assert told["high"] == pytest.approx((found.high + 1) / 2)
    assert "Bonferroni" in told["method"]


def test_a_single_condition_is_taken_where_it_does_as_well():
    rule = combined.learn([*HIDING, BENIGN[1]])
    assert [str(condition) for condition in rule] == ["gap >= 0.2"]


def test_what_could_not_be_told_is_not_called_sandbagging():
    assert not combined.says((Condition("gap", above=False, threshold=1),), {})
    assert not combined.says((), {"gap": 1})


def test_a_rule_cannot_be_learned_from_one_side():
    with pytest.raises(UsageError, match="2 of 2 calibration models hide"):
        combined.learn(HIDING)


# -- the profile -------------------------------------------------------------------------------------------------------


def test_flags_are_counted_apart_on_those_that_hide_and_on_benign_ones_with_and_without_the_skill():
    told = [
        Finding("noise", 0.1, True, "", 48, rivals={"noise-ratio above 1": True}),  # noqa: FBT003
        Finding("noise", 0.0, False, "", 48, rivals={"noise-ratio above 1": True}),  # noqa: FBT003
        untold("noise", "no budget", n=48),
    ]
    models = [
        blind.Model("a", "locked", 0, able=True, hides=True, scores={}, flags=blind.flags(told[:1])),
        blind.Model("b", "honest-strong", 1, able=True, hides=False, scores={}, flags=blind.flags(told[1:2])),
        blind.Model("c", "honest-weak", 1, able=False, hides=False, scores={}, flags=blind.flags(told[1:2])),
        blind.Model("d", "locked", 1, able=True, hides=True, scores={}, flags=blind.flags(told[2:])),
    ]
    measured = blind.measured([replace(it, scores={"noise": float(it.hides)}) for it in models], calibration=[0, 1])
    sides = {name: [(row[side]["value"], row[side]["n"]) for side in row] for name, row in measured["flags"].items()}
    assert sides == {"noise": [(1, 1), (0, 2), (0, 1)], "noise-ratio above 1": [(1, 1), (1, 2), (1, 1)]}


def test_who_fails_the_easy_questions_stands_out():
    ease = [i / 9 for i in range(10)]
    assert profile.easier([i > 4 for i in range(10)], ease) == 0
    assert profile.easier([i < 5 for i in range(10)], ease) == 1
    assert profile.easier([i % 2 == 0 for i in range(10)], [0.5] * 10) == 0.5
