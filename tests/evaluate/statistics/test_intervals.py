"""Intervals: known numbers, an independent oracle, and coverage by enumeration or at a fixed seed."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from interlock.decide import eprocess
from interlock.errors import UsageError
from interlock.evaluate.statistics.estimate import Estimate
from interlock.evaluate.statistics.intervals import (
    clopper_pearson,
    clopper_pearson_lower,
    clopper_pearson_upper,
    credible,
    families,
    families_lower,
    families_upper,
    family_means,
    greatest,
    wilson,
)

METHODS = {"clopper-pearson": clopper_pearson, "wilson": wilson, "beta": credible}


@pytest.mark.parametrize(("k", "n"), [(0, 1), (3, 10), (10, 10), (7, 300)])
def test_exact_and_score_intervals_are_those_of_scipy(k, n):
    for found, method in ((clopper_pearson(k, n), "exact"), (wilson(k, n), "wilson")):
        expected = binomtest(k, n).proportion_ci(method=method)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize("n", [1, 3, 10, 30, 100])
def test_clopper_pearson_never_covers_too_seldom(n):
    rates = np.linspace(0.001, 0.999, 400)
    found = [clopper_pearson(k, n) for k in range(n + 1)]
    covers = np.array([[it.low <= rate <= it.high for it in found] for rate in rates])
    assert (binom.pmf(np.arange(n + 1), n, rates[:, None]) * covers).sum(axis=1).min() >= 0.95


@pytest.mark.parametrize("method", ["wilson", "beta"])
def test_what_is_for_display_covers_as_said_on_average_and_too_seldom_near_zero(method):
    n = 30
    rates = (np.arange(20_000) + 0.5) / 20_000
    found = [METHODS[method](k, n) for k in range(n + 1)]
    low, high = (np.array([getattr(it, end) for it in found]) for end in ("low", "high"))
    each = (binom.pmf(np.arange(n + 1), n, rates[:, None]) * ((low <= rates[:, None]) & (rates[:, None] <= high))).sum(
        1
    )
    assert each.mean() == pytest.approx(0.95, abs=0.005)
    assert each[rates < 0.05].min() < 0.9


def test_the_bounds_on_one_side_are_those_that_decide():
    assert clopper_pearson_upper(0, 59).high == 0.0496
    assert (clopper_pearson_upper(0, 59).low, clopper_pearson_lower(59, 59).high) == (0, 1)
    assert clopper_pearson_lower(59, 59).low == 0.9504


BAD = {
    "more than all": lambda: clopper_pearson(3, 2),
    "fewer than none": lambda: wilson(-1, 2),
    "no samples": lambda: credible(0, 0),
    "certainty": lambda: clopper_pearson_upper(0, 2, confidence=Fraction(1)),
    "no confidence": lambda: families_upper([0.5], confidence=Fraction(0)),
    "no families": lambda: families_upper([]),
    "a mean over one": lambda: families_upper([0.5, 1.5]),
    "a mean that is none": lambda: families_upper([float("nan")]),
    "an empty family": lambda: family_means({"a": [1.0], "b": []}),
    "a score under zero": lambda: family_means({"a": [-0.1]}),
    "no results": lambda: greatest([]),
    "ends turned round": lambda: Estimate(0.5, 0.6, 0.4, 1, "sample", Fraction(19, 20), "mine"),
    "no method": lambda: Estimate(0.5, 0.4, 0.6, 1, "sample", Fraction(19, 20), ""),
    "no number": lambda: Estimate(float("nan"), 0.4, 0.6, 1, "sample", Fraction(19, 20), "mine"),
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_cannot_be_is_refused(sentence):
    with pytest.raises(UsageError, match=r"got|outside"):
        BAD[sentence]()


def test_a_number_is_told_with_everything_beside_it():
    found = clopper_pearson(1, 10)
    assert str(found) == "0.1 (95 %: 0.0025 to 0.4451; n = 10, sample; Clopper-Pearson, two-sided)"
    assert set(found.to_json()) == {"value", "low", "high", "n", "unit", "confidence", "method"}


# -- families ----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(1, 40))
@settings(max_examples=40)
def test_families_of_one_item_are_bounded_as_by_the_e_process(k, more):
    n = k + more
    high = families_upper([1.0] * k + [0.0] * (n - k)).high
    alpha, step = Fraction(1, 20), Fraction(1, 200)  # a sum of 200 bets for an integral
    assert high == 1 or eprocess.rules_out(k, n, Fraction(high).limit_denominator(10_000) + step, alpha)
    assert not eprocess.rules_out(k, n, Fraction(high).limit_denominator(10_000) - step, alpha)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms())
@settings(max_examples=40)
def test_the_order_of_families_changes_nothing_and_a_worse_one_never_helps(means, chance):
    shuffled = chance.sample(means, len(means))
    assert families_upper(shuffled).high == pytest.approx(families_upper(means).high, abs=1e-4)
    worse = [max(means[0], 0.9), *means[1:]]
    assert families_upper(worse).high >= families_upper(means).high
    found = families(means)
    assert found.low <= found.value <= found.high
    assert families_lower(means).low == pytest.approx(1 - families_upper([1 - it for it in means]).high)


def test_a_family_bound_misses_at_most_as_often_as_it_says_by_enumeration():
    values, chances = (0.0, 0.5, 1.0), (0.5, 0.2, 0.3)  # the mean is 0.4
    for n in (2, 5):
        missed = sum(
            float(np.prod([chances[i] for i in drawn]))
            for drawn in product(range(3), repeat=n)
            if families_upper([values[i] for i in drawn], confidence=Fraction(7, 10)).high < 0.4
        )
        assert missed <= 0.3


def test_items_that_hang_together_rule_out_falsely_when_counted_one_by_one_and_not_by_families():
    """50 families of 10 items, intra-family correlation 0.3, a true rate of 0.2 that is at the level."""
    chance = np.random.default_rng(0)
    size = 0.2 * (1 / 0.3 - 1), 0.8 * (1 / 0.3 - 1)
    naive = ours = 0
    for _ in range(200):
        counts = chance.binomial(10, chance.beta(*size, size=50))
        naive += clopper_pearson_upper(int(counts.sum()), 500).high < 0.2
        ours += families_upper(counts / 10).high < 0.2
    assert naive / 200 > 0.12
    assert ours / 200 <= 0.05


def test_families_count_once_whatever_their_size():
    assert family_means({"b": [1.0], "a": [0.0, 0.0, 0.5, 0.5]}) == (0.25, 1.0)


# -- several elicitations ----------------------------------------------------------------------------------------------


def test_the_greatest_of_several_rates_is_covered_though_the_luckiest_is_picked():
    rates, n = (0.3, 0.3, 0.25), 12
    pmf = [binom.pmf(np.arange(n + 1), n, rate) for rate in rates]
    missed_above = missed_below = 0.0
    for counts in product(range(n + 1), repeat=3):
        chance = float(np.prod([pmf[i][k] for i, k in enumerate(counts)]))
        if chance < 1e-7:
            continue
        found = greatest([(k, n) for k in counts], confidence=Fraction(8, 10))
        missed_above += chance * (found.high < 0.3)
        missed_below += chance * (found.low > 0.3)
    assert missed_above <= 0.1
    assert missed_below <= 0.1


def test_one_elicitation_more_never_lowers_the_upper_bound():
    assert greatest([(1, 50), (0, 50)]).high == greatest([(1, 50)]).high < greatest([(1, 50), (9, 50)]).high
    assert greatest([(9, 50), (0, 50)]).low < greatest([(9, 50)]).low
