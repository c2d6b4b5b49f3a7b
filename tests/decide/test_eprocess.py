"""The e-process: an independent oracle, its martingale step and Ville's bound without rounding, and its edges."""

from fractions import Fraction
from math import comb
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.decide import bounds, eprocess
from interlock.decide.eprocess import evidence, rules_out, shows

ALPHA = Fraction(1, 20)

exact = settings(deadline=None, max_examples=50)
alphas = st.sampled_from([Fraction(1, 1000), Fraction(1, 100), Fraction(1, 20), Fraction(1, 3)])
rates = st.fractions(min_value=Fraction(1, 40), max_value=Fraction(39, 40), max_denominator=40)


@st.composite
def counts(draw):
    n = draw(st.integers(0, 30))
    return draw(st.integers(0, n)), n


def mixture(k, n, p0):
    """The mean over q uniform on [0, p0], from the definition: (1-q)^(n-k) is multiplied out and integrated."""
    parts = (Fraction((-1) ** i * comb(n - k, i)) * p0 ** (k + i + 1) / (k + i + 1) for i in range(n - k + 1))
    return sum(parts, Fraction(0)) / p0 / (p0**k * (1 - p0) ** (n - k))


@exact
@given(counts(), rates)
def test_evidence_is_the_mixture(count, p0):
    assert evidence(*count, p0) == mixture(*count, p0)


@exact
@given(counts(), rates, rates)
def test_one_more_outcome_adds_nothing_in_the_mean_at_p0_and_takes_away_above(count, p0, p):
    k, n = count
    mean = p * evidence(k + 1, n + 1, p0) + (1 - p) * evidence(k, n + 1, p0)
    now = evidence(k, n, p0)
    assert p != p0 or mean == now
    assert p <= p0 or mean <= now
    assert p >= p0 or mean >= now
    assert p0 * evidence(k + 1, n + 1, p0) + (1 - p0) * evidence(k, n + 1, p0) == now


@exact
@given(counts(), rates)
def test_one_more_dangerous_outcome_never_raises_the_evidence(count, p0):
    k, n = count
    assert evidence(k + 1, n + 1, p0) <= evidence(k, n + 1, p0)
    assert evidence(k + 1, n + 1, p0) <= evidence(k, n, p0) <= evidence(k, n + 1, p0)


@exact
@given(counts(), rates, alphas)
def test_decisions_are_those_of_the_exact_evidence(count, p0, alpha):
    k, n = count
    assert rules_out(k, n, p0, alpha) == (k < n and mixture(k, n, p0) * alpha >= 1)
    assert shows(k, n, p0, alpha) == (k > 0 and mixture(n - k, n, 1 - p0) * alpha >= 1)


@exact
@given(counts(), rates, alphas)
def test_a_higher_line_and_less_confidence_never_rule_out_less(count, p0, alpha):
    if rules_out(*count, p0, alpha):
        assert rules_out(*count, p0 + (1 - p0) / 2, alpha)
        assert rules_out(*count, p0, alpha * 2)


def ever(concludes, rate, most):
    """The exact chance that `concludes(k, n)` holds for some n up to `most`, looking after every outcome."""
    alive, found = {0: Fraction(1)}, Fraction(0)
    for n in range(1, most + 1):
        after: dict[int, Fraction] = {}
        for k, chance in alive.items():
            after[k] = after.get(k, Fraction(0)) + chance * (1 - rate)
            after[k + 1] = after.get(k + 1, Fraction(0)) + chance * rate
        found += sum(chance for k, chance in after.items() if concludes(k, n))
        alive = {k: chance for k, chance in after.items() if not concludes(k, n)}
    return found


@pytest.mark.parametrize("alpha", [Fraction(1, 100), Fraction(1, 20), Fraction(2, 5)])
@pytest.mark.parametrize("level", [Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)])
def test_looking_after_every_outcome_is_wrong_at_most_with_probability_alpha(level, alpha):
    for rate in {level, (level + 1) / 2, Fraction(1)}:
        assert ever(lambda k, n: rules_out(k, n, level, alpha), rate, 60) <= alpha
    for rate in {level, level / 2, Fraction(0)}:
        assert ever(lambda k, n: shows(k, n, level, alpha), rate, 60) <= alpha


def test_the_test_for_a_fixed_number_does_not_bear_looks_as_the_e_process_does():
    half = Fraction(1, 2)
    assert ever(lambda k, n: bounds.rules_out(k, n, half, ALPHA), half, 60) > Fraction(1, 10)
    assert ever(lambda k, n: rules_out(k, n, half, ALPHA), half, 60) < ALPHA


@exact
@given(st.data())
def test_a_tie_that_the_enclosure_cannot_settle_is_settled_by_the_whole_sum(data):
    n = data.draw(st.integers(1, 200))
    k = data.draw(st.integers(0, n - 1))
    p0 = Fraction(data.draw(st.integers(1, 99)), 100)
    worth = evidence(k, n, p0)
    for bits in ((1,), (256,), (1, 256)):
        with mock.patch.object(eprocess, "_BITS", bits):
            assert eprocess._reaches(k, n, p0, 1 / worth)
            assert not eprocess._reaches(k, n, p0, (1 - Fraction(1, 10**90)) / worth)


RULED_OUT = {  # sentence: (k, n, p0, whether it is ruled out at 0.05)
    "a clean run of 88 rules out 0.05": (0, 88, "0.05", True),
    "a clean run of 87 does not": (0, 87, "0.05", False),
    "no samples rule out nothing": (0, 0, "1", False),
    "no count rules out a rate of zero": (0, 1000, "0", False),
    "no count rules out a negative rate": (0, 1000, "-0.1", False),
    "one miss rules out certainty": (9, 10, "1", True),
    "all of them never rule out certainty": (1000, 1000, "1", False),
    "a rate above one is as one": (9, 10, "1.5", True),
    "more dangerous outcomes than samples rule out nothing": (11, 10, "0.5", False),
    "fewer than none rule out nothing": (-1, 1000, "0.5", False),
}


@pytest.mark.parametrize("sentence", RULED_OUT)
def test_rules_out(sentence):
    k, n, level, expected = RULED_OUT[sentence]
    assert rules_out(k, n, Fraction(level), ALPHA) is expected


SHOWN = {  # sentence: (k, n, p0, whether it is shown at 0.05)
    "a clean run of 88 shows 0.95": (88, 88, "0.95", True),
    "a clean run of 87 does not": (87, 87, "0.95", False),
    "a rate of zero is always reached": (0, 0, "0", True),
    "a negative rate is always reached": (0, 10, "-1", True),
    "none shows nothing above zero": (0, 1000, "0.0001", False),
    "one shows a rate above zero, however small": (1, 10, "0.0001", True),
    "all of them do not show certainty": (1000, 1000, "1", False),
    "a rate above one is never shown": (10, 10, "1.5", False),
    "more outcomes than samples show nothing": (11, 10, "0.5", False),
}


@pytest.mark.parametrize("sentence", SHOWN)
def test_shows(sentence):
    k, n, level, expected = SHOWN[sentence]
    assert shows(k, n, Fraction(level), ALPHA) is expected


def test_ten_thousand_samples_are_decided_at_the_very_count():
    n, level = 10_000, Fraction(1, 10)
    last = max(k for k in range(n // 10) if rules_out(k, n, level, ALPHA))
    assert evidence(last, n, level) * ALPHA >= 1 > evidence(last + 1, n, level) * ALPHA


@pytest.mark.parametrize("level", [Fraction(0), Fraction(-1, 10), Fraction(1, 2)])
@pytest.mark.parametrize("alpha", [Fraction(0), Fraction(-1, 20)])
def test_no_chance_to_be_wrong_rules_nothing_out(level, alpha):
    assert not rules_out(0, 1000, level, alpha)
    assert not shows(1000, 1000, 1 - level, alpha)


@pytest.mark.parametrize("level", [Fraction(0), Fraction(-1, 10)])
def test_a_rate_of_zero_is_not_ruled_out_at_any_alpha(level):
    assert not rules_out(0, 5, level, Fraction(1))
