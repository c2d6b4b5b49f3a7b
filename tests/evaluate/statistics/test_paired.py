"""Comparisons of two runs on the same items: exact tests, their power, and what they cannot see."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from interlock.errors import UsageError
from interlock.evaluate.statistics.paired import difference, least_detectable, mcnemar, mcnemar_power, sign_flip


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40)
def test_mcnemar_is_the_sign_test_of_the_items_that_differ(first, second):
    expected = binomtest(first, first + second).pvalue if first + second else 1
    assert float(mcnemar(first, second)) == pytest.approx(expected)
    if first + second:
        assert sign_flip([1] * first + [-1] * second) == pytest.approx(expected)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
@settings(max_examples=40)
def test_signs_are_tried_as_by_hand(differences):
    seen = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    assert sign_flip(differences) == pytest.approx(np.mean([it >= seen for it in sums]))


# n, solved only by the first, only by the second: by 20,000 draws at a fixed seed, in the test
POWER = [(100, 0.12, 0.02), (100, 0.15, 0.05), (100, 0.25, 0.15), (400, 0.25, 0.15)]


@pytest.mark.parametrize(("n", "first", "second"), POWER)
def test_power_is_how_often_the_test_rejects(n, first, second):
    drawn = np.random.default_rng(1).multinomial(n, [first, second, 1 - first - second], size=20_000)
    cells, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    rejected = sum(
        int(c) for (b, d), c in zip(cells, counts, strict=True) if mcnemar(int(b), int(d)) <= Fraction(1, 20)
    )
    assert mcnemar_power(n, first, second) == pytest.approx(rejected / 20_000, abs=0.012)


def test_the_bar_of_a_published_game_is_mostly_missed_at_100_items_and_met_at_400():
    """A sandbagger must show a gap of 10 points (reference: arXiv:2512.07810, n = 100, McNemar, p < 0.05)."""
    assert [round(mcnemar_power(100, a, b), 2) for a, b in ((0.12, 0.02), (0.15, 0.05), (0.25, 0.15))] == [
        0.73,
        0.54,
        0.30,
    ]
    assert mcnemar_power(400, 0.25, 0.15) > 0.85


def test_the_level_is_kept_where_both_are_alike():
    assert mcnemar_power(200, 0.1, 0.1) <= 0.05
    assert mcnemar_power(200, 0.0, 0.0) == 0


def test_the_least_difference_that_is_found_is_found_and_a_smaller_one_is_not():
    gap = least_detectable(100, 0.2)
    assert gap is not None
    assert mcnemar_power(100, (0.2 + gap) / 2, (0.2 - gap) / 2) >= 0.8
    assert mcnemar_power(100, (0.2 + gap - 0.001) / 2, (0.2 - gap + 0.001) / 2) < 0.8
    assert least_detectable(20, 0.05) is None
    assert least_detectable(400, 0.2) < gap


def test_items_of_one_family_are_no_news_by_themselves():
    """50 families of 10 paired items that hang together (0.5) under the null: counted one by one they cry too often."""
    chance = np.random.default_rng(3)
    naive = ours = 0
    for _ in range(200):
        sides = chance.beta(0.5, 0.5, size=50)
        first = chance.binomial(10, sides)
        naive += mcnemar(int(first.sum()), int(500 - first.sum())) <= Fraction(1, 20)
        ours += sign_flip([int(it) for it in 2 * first - 10]) <= 0.05
    assert naive / 200 > 0.3
    assert ours / 200 < 0.1


def test_a_difference_has_an_interval_at_any_number_of_families():
    found = difference([[1.0, 1.0], [1.0]] * 20, [[0.0, 1.0], [0.0]] * 20)
    assert found.value == pytest.approx(0.75)
    assert 0.2 < found.low < 0.75 < found.high <= 1
    assert difference([[1.0]], [[0.0]]).low < -0.9
    same = difference([[0.0], [1.0]] * 30, [[0.0], [1.0]] * 30)
    assert same.low < 0 == same.value < same.high


BAD = {
    "no items": lambda: mcnemar_power(0, 0.1, 0.1),
    "shares over one": lambda: mcnemar_power(10, 0.7, 0.7),
    "a count under zero": lambda: mcnemar(-1, 3),
    "no families to flip": lambda: sign_flip([]),
    "no differing share": lambda: least_detectable(10, 0),
    "other families": lambda: difference([[1.0]], [[1.0], [0.0]]),
    "families of other sizes": lambda: difference([[1.0]], [[1.0, 0.0]]),
    "an empty family": lambda: difference([[]], [[]]),
    "a score over one": lambda: difference([[2.0]], [[1.0]]),
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_cannot_be_is_refused(sentence):
    with pytest.raises(UsageError, match="got"):
        BAD[sentence]()
