"""Rare behaviour: the exact bound of a clean run, and forecasts that are told with their caveat."""

from fractions import Fraction

import numpy as np
import pytest

from interlock.errors import UsageError
from interlock.evaluate.statistics.rare import clean_samples, forecast, none_seen


@pytest.mark.parametrize(("n", "percent"), [(30, 9.5), (100, 2.95), (300, 0.99), (1000, 0.30), (3000, 0.10)])
def test_a_clean_run_excludes_what_the_rule_of_three_says(n, percent):
    assert 100 * none_seen(n).high == pytest.approx(percent, abs=0.006)
    assert (1 - none_seen(n).high) ** n <= 0.05 * (1 + 1e-9)


@pytest.mark.parametrize("rate", ["1", "0.5", "0.05", "0.01", "0.0003"])
def test_so_many_clean_samples_are_enough_and_one_less_is_not(rate):
    p, alpha = Fraction(rate), Fraction(1, 20)
    n = clean_samples(p)
    assert (1 - p) ** n < alpha <= (1 - p) ** (n - 1)


def queries(seed, n=900):
    """Chances whose psi has an exponential tail: the model that the forecast assumes."""
    psi = np.random.default_rng(seed).exponential(0.35, n) - 1.6
    return np.exp(-np.exp(-psi))


def test_a_hundred_times_more_queries_are_forecast_within_an_order_of_magnitude_where_the_tail_goes_on():
    near = 0
    for seed in range(30):
        found = forecast(queries(seed, 300), deployed=30_000, seed=0).gumbel
        near += abs(np.log10(-np.log(found.value)) - np.log10(-np.log(queries(1000 + seed, 30_000).max()))) < 1
    assert near >= 24  # Jones and others: 86 % of theirs


def test_a_rare_kind_that_nobody_asked_about_is_not_foreseen_and_the_caveat_says_so():
    asked = np.full(900, 1e-6) * np.linspace(0.5, 1.5, 900)
    found = forecast(asked, deployed=90_000, seed=0)
    assert found.gumbel.high < 0.01  # while the deployed ones may hold a password that is certain to work
    assert "miss a rare kind" in found.caveat
    assert found.to_json()["caveat"] == found.caveat


def test_the_same_seed_gives_the_same_forecast_and_both_tails_are_told():
    found = forecast(queries(1), deployed=90_000, seed=7)
    assert found == forecast(queries(1), deployed=90_000, seed=7)
    assert found.gumbel.low <= found.gumbel.value <= found.gumbel.high
    assert found.pareto.method.startswith("generalized Pareto")
    assert forecast(queries(1), deployed=900, seed=7).gumbel.value < found.gumbel.value


BAD = {
    "nothing above zero": [0.0] * 100,
    "certainty": [1.0, *[0.1] * 99],
    "too few queries": [0.1] * 5,
    "no number": [float("nan")] * 100,
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_has_no_tail_is_refused(sentence):
    with pytest.raises(UsageError, match=r"got|expected"):
        forecast(BAD[sentence], deployed=1000, seed=0)


def test_no_samples_say_nothing():
    with pytest.raises(UsageError, match="got 0 samples"):
        none_seen(0)
    with pytest.raises(UsageError, match="got a rate of 0"):
        clean_samples(Fraction(0))
