"""The interval of a median lies between the order statistics that tables give."""

from __future__ import annotations

import random

import pytest

from interlock.errors import UsageError
from interlock.evaluate.statistics.middle import middle

SCALE = {"scale": (-1.0, 1000.0), "unit": "organism"}


@pytest.mark.parametrize(
    ("n", "places"),
    [(1, None), (5, None), (6, (0, 5)), (8, (0, 7)), (9, (1, 7)), (20, (5, 14)), (100, (39, 60))],
)
def test_it_is_the_tabled_one_whatever_the_order_of_the_numbers(n, places):
    values = [float(it) for it in range(n)]
    random.Random(n).shuffle(values)  # noqa: S311 - reproducible
    found = middle(values, **SCALE)
    assert (found.low, found.high) == (places or SCALE["scale"])
    assert found.value == (n - 1) / 2


def test_it_covers_the_median_of_a_skewed_distribution_as_often_as_it_says():
    rng = random.Random(7)  # noqa: S311 - reproducible
    hits = 0
    for _ in range(1000):
        found = middle([rng.expovariate(1) for _ in range(11)], **SCALE)
        hits += found.low <= 0.6931 <= found.high
    assert 960 <= hits <= 1000  # 98.8 % is exact for 11


def test_of_nothing_there_is_no_median():
    with pytest.raises(UsageError, match="got no values"):
        middle([], **SCALE)
