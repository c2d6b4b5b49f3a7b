"""Planning: numbers of items are the least that do, powers are exact, and a policy's lines are those that decide."""

from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from interlock.decide import bounds, eprocess
from interlock.errors import UsageError
from interlock.evaluate.statistics import planning
from interlock.evaluate.statistics.planning import Line
from interlock.policy.draft import draft

EXAMPLE = resources.files("interlock") / "policies" / "example-lab.yaml"


def line(level, margin="0", alpha=Fraction(1, 20), **more):
    return Line("x", "m", Fraction(level), Fraction(margin), alpha, **more)


@pytest.mark.parametrize(("target", "expected"), [("0.05", 59), ("0.15", 19), ("0.01", 299), ("0.001", 2995), ("1", 1)])
def test_the_fewest_items_are_those_of_the_rule_of_three(target, expected):
    assert planning.fewest(line(target)) == expected


def test_a_line_without_room_cannot_be_ruled_out_by_any_number():
    assert planning.fewest(line("0.05", "0.05")) is None
    assert planning.critical(line("0.05", "0.1"), 1000) == -1


@given(st.integers(1, 200), st.integers(1, 39))
@settings(max_examples=60)
def test_floats_decide_as_the_exact_bound(n, parts):
    it = line(Fraction(parts, 40))
    most = planning.critical(it, n)
    assert most < 0 or bounds.rules_out(most, n, it.target, it.alpha)
    assert not bounds.rules_out(most + 1, n, it.target, it.alpha)


def test_a_tie_with_alpha_is_decided_exactly():
    """P(X <= 0 | 2, 1/2) = 1/4 is not under 1/4."""
    assert planning.fewest(line("0.5", alpha=Fraction(1, 4))) == 3


@pytest.mark.parametrize(
    ("k", "n", "p"), [(0, 10, 0.1), (9, 10, 0.9), (300, 1000, 0.3), (100, 100_000, 0.0012), (50_000, 100_000, 0.5)]
)
def test_tails_are_those_of_scipy(k, n, p):
    assert planning._at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-8)


@pytest.mark.parametrize(
    ("target", "rate"), [("0.2", "0.02"), ("0.2", "0.1"), ("0.5", "0.4"), ("0.5", "0.45"), ("0.02", "0.005")]
)
def test_the_items_needed_have_the_power_and_no_smaller_number_has(target, rate):
    it, true = line(target), Fraction(rate)
    found = planning.needed(it, true)
    assert found.power >= 0.8
    assert found.most == planning.critical(it, found.items)
    assert found.power == pytest.approx(binom.cdf(found.most, found.items, float(true)))
    assert all(planning.power(it, n, true) < 0.8 for n in range(1, found.items))


def test_a_bounded_score_needs_what_hoeffding_asks_for():
    assert planning.fewest(line("0.2", binary=False)) == 38  # exp(-2 n 0.04) < 0.05
    assert planning.needed(line("0.2", binary=False), Fraction(1, 50)).items > 38


@pytest.mark.parametrize(("target", "rate"), [("0.5", "0.5"), ("0.5", "0.6"), ("0.001", "0.00095"), ("0.5", "1.5")])
def test_what_no_plan_can_do_is_refused(target, rate):
    with pytest.raises(UsageError, match=r"not under|more than|expected 0 to 1"):
        planning.needed(line(target), Fraction(rate))


# -- by looks ----------------------------------------------------------------------------------------------------------


def test_stopping_times_are_those_of_simulated_runs():
    it, rate, items = line("0.3", "0.05"), Fraction(1, 10), 80
    found = planning.looks(it, rate, items=items)
    drawn = np.random.default_rng(5).random((4000, items)) < float(rate)
    counts = drawn.cumsum(axis=1)
    most = np.array(
        [
            max((k for k in range(n + 1) if eprocess.rules_out(k, n, it.target, it.alpha)), default=-1)
            for n in range(1, items + 1)
        ]
    )
    out = counts <= most
    stopped = np.where(out.any(axis=1), out.argmax(axis=1) + 1, items)
    assert found.power == pytest.approx(out.any(axis=1).mean(), abs=0.03)
    assert found.expected == pytest.approx(stopped.mean(), rel=0.03)
    assert found.ninetieth == pytest.approx(np.quantile(stopped, 0.9), abs=4)


@pytest.mark.parametrize("rate", ["0.3", "0.5", "1"])
def test_looks_do_not_rule_out_falsely_more_often_than_alpha(rate):
    assert planning.looks(line("0.3"), Fraction(rate), items=400).power <= 0.05


def test_a_rate_far_above_is_shown_early():
    found = planning.looks(line("0.2"), Fraction(8, 10), items=300)
    assert found.shown > 0.99
    assert found.expected < 20


def test_the_least_number_by_looks_has_the_power_and_one_less_has_not():
    it, rate = line("0.5"), Fraction(3, 10)
    found = planning.looks_needed(it, rate)
    assert found.power >= 0.8 > planning.looks(it, rate, items=found.items - 1).power
    assert found.expected <= found.ninetieth <= found.items
    with pytest.raises(UsageError, match="by looks"):
        planning.looks_needed(it, Fraction(49, 100), most=500)
    with pytest.raises(UsageError, match="not under"):
        planning.looks_needed(it, Fraction(6, 10))


def test_at_equal_error_rates_looks_save_most_items_where_the_truth_is_far():
    """A plan for a true rate of 0.35 against 0.5; the truth turns out to be 0.02."""
    it, planned = line("0.5"), Fraction(35, 100)
    fixed = planning.needed(it, planned).items
    by_looks = planning.looks_needed(it, planned)
    assert planning.looks(it, Fraction(1, 50), items=by_looks.items).expected < fixed / 2


# -- the lines of a policy ---------------------------------------------------------------------------------------------


@pytest.fixture
def altered(tmp_path):
    """The shipped policy with some text put in place of other text."""

    def change(*changes):
        text = EXAMPLE.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        file = Path(tmp_path / "policy.yaml")
        file.write_text(text, encoding="utf-8")
        return draft(file)

    return change


def test_level_margin_and_confidence_are_the_policys(altered):
    (it,) = planning.lines(altered(), "codebook-use")
    assert (it.level, it.margin, it.alpha, it.binary) == (Fraction(1, 5), Fraction(1, 20), Fraction(1, 20), True)
    assert str(it) == "`codebook-use`: `codebook` under 0.2 less the margin 0.05"
    assert it.rate == Fraction(15, 1000)
    with pytest.raises(UsageError, match="no threshold `codebook`; it has"):
        planning.lines(altered(), "codebook")


def test_alpha_is_divided_where_all_of_several_lines_must_be_reached(altered):
    both = altered(("reached_when: codebook >= 0.50", "reached_when: {all_of: [codebook >= 0.50, codebook-use]}"))
    own, other = planning.lines(both, "takeover")
    assert (own.alpha, other.alpha) == (Fraction(1, 40), Fraction(1, 40))
    assert (own.level, other.level) == (Fraction(1, 2), Fraction(1, 5))


def test_a_measure_on_which_less_is_dangerous_is_turned_and_one_on_a_longer_scale_shortened(altered):
    turned = altered(
        ("danger: higher, range: [0, 1]", "danger: lower, range: [0, 10]"),
        ("codebook >= 0.20", "codebook <= 8"),
        ("codebook >= 0.10", "codebook <= 9"),
        ("codebook >= 0.50", "codebook <= 5"),
    )
    (it,) = planning.lines(turned, "codebook-use")
    assert (it.level, it.margin, it.binary) == (Fraction(1, 5), Fraction(1, 200), False)


def test_a_plan_that_serves_one_line_is_not_refused_and_one_that_serves_none_is(altered):
    policy = altered()
    planning.refuse_hopeless(policy, "codebook", 6)  # takeover needs 6
    with pytest.raises(UsageError, match=r"5 items can rule out nothing .* `takeover`: .* needs 6 or more"):
        planning.refuse_hopeless(policy, "codebook", 5)
    planning.refuse_hopeless(policy, "another", 1)  # no line is drawn on it


def test_where_no_number_would_do_that_is_said(altered):
    changes = [
        (f"codebook >= {level}", f"codebook >= {low}")
        for level, low in (("0.20", "0.05001"), ("0.10", "0.05001"), ("0.50", "0.05002"))
    ]
    with pytest.raises(UsageError, match="not even 100,000 rule out `codebook-use`"):
        planning.refuse_hopeless(altered(*changes), "codebook", 1000)


def test_little_power_is_told_with_the_number_that_has_enough(altered):
    drawn = planning.lines_on(altered(), "codebook")
    told = planning.weak(drawn, 60)
    assert len(told) == 1
    assert told[0].startswith(
        "60 items rule out `codebook-use-open`: `codebook` under 0.1 less the margin 0.05 with power 0.74"
    )
    assert told[0].endswith("93 have 0.8")
    assert planning.weak(drawn, 120) == ()


def test_little_power_by_looks_is_told_with_the_number_that_has_enough(altered):
    (told,) = planning.weak(planning.lines_on(altered(), "codebook"), 120, stopping="e-process")
    assert told.startswith("120 items by looks rule out `codebook-use-open`")
    assert told.endswith("with power 0.64 at an assumed rate of 0.005; 134 have 0.8")


def test_a_line_that_needs_more_items_than_can_be_planned_says_so():
    assert planning.weak([line("0.00001")], 10)[0].endswith("more than 100,000 are needed for 0.8")
    assert planning.weak([line("0.001")], 10, stopping="e-process")[0].endswith("more than 2,000 are needed for 0.8")


def test_a_line_whose_margin_leaves_nothing_is_told_by_itself():
    drawn = [line("0.05", "0.05")]
    assert planning.weak(drawn, 100) == ()
    assert planning.without_room(drawn) == ("no number of items rules out `x`: `m` under 0.05 less the margin 0.05",)
    assert planning.without_room([line("0.05")]) == ()


def test_what_a_gate_needs_is_what_it_lists_and_what_it_asks_for(altered):
    listed = "deploy-api:      {codebook-use: [security-3, misuse-3], takeover: [understanding]}"
    named = "misuse-3:      {attested: safeguards against misuse withstood red teaming, by: external-auditor, about: "
    policy = altered(
        (listed, "deploy-api:      {codebook-use: [safe], takeover: [understanding]}"),
        ("release-weights: {codebook-use-open: [never], takeover", "release-weights: {takeover"),
        ("reached_when: codebook >= 0.10", "role: watch\n    reached_when: codebook >= 0.10"),
        (
            named + "subject, fresh_for: 6 months}",
            "misuse-3: {measured: codebook <= 0.3}\n  safe: {all_of: [misuse-3]}",
        ),
    )
    at_gates = planning.lines_at_gates(policy, "codebook")
    assert [it.name for it in at_gates] == ["codebook-use", "takeover", "misuse-3"]
    assert [it.name for it in planning.lines_on(policy, "codebook")][1] == "codebook-use-open"
    (due,) = planning.lines_at_gates(policy, "codebook", thresholds=("takeover", "codebook-use-open"))
    assert due.name == "takeover"
    (due,) = planning.lines_at_gates(policy, "codebook", requirements=("misuse-3",))
    assert due.level == Fraction(3, 10)
