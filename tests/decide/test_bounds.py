"""Exact Clopper-Pearson bounds: known numbers, an independent oracle, laws, and coverage by enumeration."""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import factorial
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.decide import bounds
from interlock.decide.bounds import at_most, lower, rules_out, shows, upper

ALPHA = Fraction(1, 20)
GRID = Fraction(1, 10_000)

exact = settings(deadline=None)
alphas = st.sampled_from([Fraction(1, 1000), Fraction(1, 100), Fraction(1, 20), Fraction(1, 3), Fraction(49, 100)])
levels = st.fractions(min_value=0, max_value=1, max_denominator=40)


@st.composite
def counts(draw):
    n = draw(st.integers(0, 30))
    return draw(st.integers(0, n)), n


def pmf(k, n, p):
    """P(X = k), term by term from the definition."""
    ways = factorial(n) // factorial(k) // factorial(n - k)
    return ways * p**k * (1 - p) ** (n - k)


def cdf(k, n, p):
    return sum((pmf(i, n, p) for i in range(k + 1)), Fraction(0))


# -- known numbers -----------------------------------------------------------------------------------------------------

# Two-sided 95 % intervals as R prints them (`binom.test(k, n)`): each end is one-sided at 0.025.
R_INTERVALS = {
    (7, 20): ("0.1539092", "0.5921885"),
    (10, 100): ("0.04900469", "0.17622260"),
    (682, 925): ("0.7076683", "0.7654066"),  # the example of its manual page, after Conover
}


@pytest.mark.parametrize(("k", "n"), R_INTERVALS)
def test_bounds_are_those_of_binom_test_rounded_outwards(k, n):
    low, high = map(Fraction, R_INTERVALS[k, n])
    assert 0 <= low - lower(k, n, Fraction(1, 40)) < GRID
    assert 0 <= upper(k, n, Fraction(1, 40)) - high < GRID


CLOSED_FORMS = {  # sentence: (bound, its value to four decimals, rounded outwards)
    "none in 10: 1 - 0.05^(1/10) = 0.25887": (upper(0, 10, ALPHA), "0.2589"),
    "none in 59: 1 - 0.05^(1/59) = 0.04951": (upper(0, 59, ALPHA), "0.0496"),
    "none in 58: 1 - 0.05^(1/58) = 0.05034": (upper(0, 58, ALPHA), "0.0504"),
    "all of 10: 0.05^(1/10) = 0.74113": (lower(10, 10, ALPHA), "0.7411"),
    "one of 100: 1 - 0.95^(1/100) = 0.00051": (lower(1, 100, ALPHA), "0.0005"),
    "all of 10 leaves no room above": (upper(10, 10, ALPHA), "1"),
    "none of 10 leaves no room below": (lower(0, 10, ALPHA), "0"),
    "no samples say nothing above": (upper(0, 0, ALPHA), "1"),
    "no samples say nothing below": (lower(0, 0, ALPHA), "0"),
}


@pytest.mark.parametrize("sentence", CLOSED_FORMS)
def test_closed_forms(sentence):
    got, expected = CLOSED_FORMS[sentence]
    assert got == Fraction(expected)


RULED_OUT = {  # sentence: (k, n, level, whether the level is ruled out)
    "rule of three: none in 59 rules out 0.05": (0, 59, "0.05", True),
    "rule of three: none in 58 does not": (0, 58, "0.05", False),
    "8 in 100 rule out 0.15": (8, 100, "0.15", True),
    "9 in 100 do not": (9, 100, "0.15", False),
    "no samples rule out nothing": (0, 0, "1", False),
    "no count rules out a level of zero": (0, 1000, "0", False),
    "no count rules out a negative level": (0, 1000, "-0.1", False),
    "one miss rules out certainty": (9, 10, "1", True),
    "all of them never rule out certainty": (10, 10, "1", False),
    "a level above one is as one: a miss rules it out": (9, 10, "1.5", True),
    "a level above one is as one: no miss does not": (10, 10, "1.5", False),
}


@pytest.mark.parametrize("sentence", RULED_OUT)
def test_rules_out(sentence):
    k, n, level, expected = RULED_OUT[sentence]
    assert rules_out(k, n, Fraction(level), ALPHA) is expected


SHOWN = {  # sentence: (k, n, level, whether the level is shown)
    "all of 10 show 0.74": (10, 10, "0.74", True),
    "all of 10 do not show 0.75": (10, 10, "0.75", False),
    "none shows nothing above zero": (0, 1000, "0.0001", False),
    "no samples show nothing above zero": (0, 0, "0.0001", False),
    "a level of zero is always shown": (0, 0, "0", True),
    "a negative level is always shown": (0, 10, "-1", True),
    "all of them do not show certainty": (10, 10, "1", False),
    "a level above one is never shown": (10, 10, "1.5", False),
}


@pytest.mark.parametrize("sentence", SHOWN)
def test_shows(sentence):
    k, n, level, expected = SHOWN[sentence]
    assert shows(k, n, Fraction(level), ALPHA) is expected


def test_equality_is_not_enough_to_rule_out_and_enough_to_show():
    quarter = Fraction(1, 4)  # P(X <= 0 | 1, 3/4) = P(X >= 1 | 1, 1/4) = 1/4
    assert not rules_out(0, 1, Fraction(3, 4), quarter)
    assert shows(1, 1, quarter, quarter)


# -- an independent oracle ---------------------------------------------------------------------------------------------


@exact
@given(counts(), levels)
def test_at_most_is_the_sum_of_the_probabilities(count, p):
    assert at_most(*count, p) == cdf(*count, p)


@exact
@given(counts(), levels, alphas)
def test_comparisons_are_exact(count, level, alpha):
    k, n = count
    above = sum((pmf(i, n, level) for i in range(k, n + 1)), Fraction(0))
    assert rules_out(k, n, level, alpha) == (n > 0 and level > 0 and cdf(k, n, level) < alpha)
    assert shows(k, n, level, alpha) == (level == 0 or (k > 0 and above <= alpha))


@exact
@given(counts(), alphas)
def test_the_printed_bounds_enclose_the_exact_ones_within_one_step_of_the_grid(count, alpha):
    k, n = count
    high, low = upper(k, n, alpha), lower(k, n, alpha)
    assert high == 1 or cdf(k, n, high) < alpha <= cdf(k, n, high - GRID)
    assert low == 0 or 1 - cdf(k - 1, n, low) <= alpha < 1 - cdf(k - 1, n, low + GRID)


# -- laws --------------------------------------------------------------------------------------------------------------


@exact
@given(counts(), levels, alphas)
def test_printed_and_decided_agree(count, level, alpha):
    k, n = count
    assert not rules_out(k, n, level, alpha) or level > 0
    if level >= upper(k, n, alpha) and upper(k, n, alpha) < 1:
        assert rules_out(k, n, level, alpha)
    if level <= upper(k, n, alpha) - GRID:
        assert not rules_out(k, n, level, alpha)
    assert shows(k, n, level, alpha) or level > lower(k, n, alpha)
    assert not shows(k, n, level, alpha) or level < lower(k, n, alpha) + GRID


@exact
@given(counts(), alphas)
def test_one_more_dangerous_outcome_never_lowers_a_bound(count, alpha):
    k, n = count
    assert upper(k, n + 1, alpha) <= upper(k + 1, n + 1, alpha)
    assert lower(k, n + 1, alpha) <= lower(k + 1, n + 1, alpha)


@exact
@given(counts(), alphas)
def test_one_more_harmless_outcome_never_raises_a_bound(count, alpha):
    k, n = count
    assert upper(k, n + 1, alpha) <= upper(k, n, alpha)
    assert lower(k, n + 1, alpha) <= lower(k, n, alpha)


@exact
@given(counts(), levels, alphas)
def test_more_confidence_never_concludes_more(count, level, alpha):
    k, n = count
    stricter = alpha / 2
    assert not rules_out(k, n, level, stricter) or rules_out(k, n, level, alpha)
    assert not shows(k, n, level, stricter) or shows(k, n, level, alpha)


@exact
@given(counts(), levels, alphas)
def test_no_count_both_shows_a_level_and_rules_it_out(count, level, alpha):
    assert not (shows(*count, level, alpha) and rules_out(*count, level, alpha))


# -- coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("alpha", [Fraction(1, 100), Fraction(1, 20), Fraction(2, 5)])
def test_each_verdict_is_wrong_at_most_with_probability_alpha(n, alpha):
    for rate in (Fraction(step, 24) for step in range(25)):
        chances = [pmf(k, n, rate) for k in range(n + 1)]
        for level in (Fraction(step, 24) for step in range(1, 25)):
            false_safe = sum(c for k, c in enumerate(chances) if rules_out(k, n, level, alpha))
            false_alarm = sum(c for k, c in enumerate(chances) if shows(k, n, level, alpha))
            assert rate < level or false_safe <= alpha
            assert rate >= level or false_alarm <= alpha


@pytest.mark.parametrize("n", [1, 4, 9])
def test_the_true_rate_escapes_a_printed_bound_at_most_with_probability_alpha(n):
    for rate in (Fraction(step, 24) for step in range(25)):
        chances = [pmf(k, n, rate) for k in range(n + 1)]
        assert sum(c for k, c in enumerate(chances) if rate > upper(k, n, ALPHA)) <= ALPHA
        assert sum(c for k, c in enumerate(chances) if rate < lower(k, n, ALPHA)) <= ALPHA


@exact
@given(st.data())
def test_a_long_tail_is_enclosed_and_decided_as_the_whole_sum(data):
    n = data.draw(st.integers(1, 300))
    k = data.draw(st.integers(0, n - 1))
    p = Fraction(data.draw(st.integers(1, 999)), 1000)
    whole = bounds.at_most(k, n, p)
    for bits, kept in ((256, 150), (2048, 1900)):
        low, high, shift = bounds._enclosed(k, n, p, bits)
        assert Fraction(low, 1 << shift) <= whole <= Fraction(high, 1 << shift)
        assert Fraction(high - low, 1 << shift) <= whole / 2**kept
    for bound in (whole, whole - Fraction(1, 10**9), whole + Fraction(1, 10**9)):
        with mock.patch.object(bounds, "_LONG", 1):
            assert bounds.is_under(k, n, p, bound) == (whole < bound)


@exact
@given(st.data())
def test_an_enclosure_of_few_bits_is_one_all_the_same_and_settles_nothing_wrongly(data):
    n = data.draw(st.integers(1, 300))
    k = data.draw(st.integers(0, n - 1))
    p = Fraction(data.draw(st.integers(1, 10**6 - 1)), 10**6)
    rough = {
        "_LONG": 1,
        "_BITS": data.draw(st.sampled_from([(8,), (8, 24)])),
        "_MORE": data.draw(st.integers(8, 32)),
        "_AT_ONCE": data.draw(st.integers(1, 9)),
    }
    whole = bounds.at_most(k, n, p)
    with mock.patch.multiple(bounds, **rough, _choices=bounds._choices.__wrapped__):
        low, high, shift = bounds._enclosed(k, n, p, 8)
        assert Fraction(low, 1 << shift) <= whole <= Fraction(high, 1 << shift)
        for bound in (whole, whole - Fraction(1, 10**90), whole + Fraction(1, 10**90)):
            assert bounds.is_under(k, n, p, bound) == (whole < bound)


@pytest.mark.parametrize("n", [1, 3, 999, 1001, 1_000_001])
def test_at_one_half_both_tails_of_an_odd_number_are_alike_which_no_enclosure_would_tell(n):
    half = Fraction(1, 2)
    if n < 10_000:
        assert bounds.at_most((n - 1) // 2, n, half) == half
    assert not bounds.is_under((n - 1) // 2, n, half, half)
    assert bounds.is_under((n - 1) // 2, n, half, half + Fraction(1, 10**40))


@exact
@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 60))
def test_an_exponent_of_many_digits_decides_as_the_next_ones_of_few(above, below, digits):
    """exp(-x) falls: where two numbers around x say the same, x does."""
    x = min(Fraction(above, below), Fraction(50)) + Fraction(1, 3**500)
    alpha = Fraction(1, 10**digits)
    lower, upper = (bounds.decays_under(Fraction(int(x * 2**40) + more, 2**40), alpha) for more in (0, 1))
    assert lower <= bounds.decays_under(x, alpha) <= upper


@pytest.mark.parametrize("over", [True, False])
def test_an_exponent_too_near_to_the_level_for_rounding_is_decided_exactly(over):
    """ln 20 = 2.9957... to 1,000 digits, and a step of 1e-900 to either side of it: rounded, both look alike."""
    with localcontext() as context:
        context.prec = 1000
        level = Fraction(Decimal(20).ln())
    x = level + Fraction(1 if over else -1, 10**900)
    assert bounds.decays_under(x, Fraction(1, 20)) is over


@exact
@given(st.fractions(0, 50), st.fractions(0, 1), st.integers(-12, 12), st.sampled_from([1, 8, 256]))
def test_the_exponential_is_decided_as_its_decimals_are_from_however_few_bits(x, share, near, bits):
    with localcontext() as context:
        context.prec = 60
        decimal = (-Decimal(x.numerator) / x.denominator).exp()
        alpha = min(
            max(Fraction(decimal) * (1 + share / 10 ** abs(near) * (1 if near > 0 else -1)), Fraction(1, 10**30)), 1
        )
    if alpha < 1 and abs(alpha - Fraction(decimal)) > Fraction(decimal) / 10**50:
        with mock.patch.object(bounds, "_BITS", (bits,)):
            assert bounds.decays_under.__wrapped__(x, alpha) == (Fraction(decimal) < alpha)


def test_a_level_written_next_to_the_bound_of_a_million_samples_is_decided():
    """Of 0 in n, the level at which it is ruled out: 1 - 0.05^(1/n), to the last digit that a policy may write."""
    n, alpha = 10**6, Fraction(1, 20)
    with localcontext() as context:
        context.prec = 300
        level = round(Fraction(1 - (Decimal(1) / 20) ** (Decimal(1) / n)), 250)
    for step in (-1, 1):
        assert bounds.rules_out(0, n, level + Fraction(step, 10**250), alpha) is (step > 0)


def test_a_million_samples_are_counted_exactly():
    """None of them rules out 1 - 0.05^(1/n) = 2.995727786...e-6, and all of them show the rest."""
    n, alpha = 10**6, Fraction(1, 20)
    for level, expected in (("0.000002995727787", True), ("0.000002995727786", False)):
        assert bounds.rules_out(0, n, Fraction(level), alpha) is expected
        assert bounds.shows(n, n, 1 - Fraction(level), alpha) is expected


@pytest.mark.parametrize("level", ["0.3", "0.123456789012", "0.5", "0.9999999999999999999999999999999999999999"])
@pytest.mark.parametrize("alpha", ["0.05", "1e-30"])
def test_every_count_of_a_million_comes_back(level, alpha):
    """The more dangerous outcomes, the less is ruled out; and what is shown is not ruled out."""
    n, level, alpha = 10**6, Fraction(level), Fraction(alpha)
    most = int(n * level)
    tried = sorted({0, 1, n // 10, most - 2000, most, min(most + 2000, n), n // 2, n - 1, n})
    ruled = [bounds.rules_out(k, n, level, alpha) for k in tried]
    shown = [bounds.shows(k, n, level, alpha) for k in tried]
    assert ruled == sorted(ruled, reverse=True)
    assert shown == sorted(shown)
    assert not any(a and b for a, b in zip(ruled, shown, strict=True))


def test_a_hundred_thousand_samples_are_counted_exactly():
    alpha = Fraction(1, 20)
    assert bounds.rules_out(8000, 100_000, Fraction("0.0815"), alpha)
    assert not bounds.rules_out(8000, 100_000, Fraction("0.0814"), alpha)


@pytest.mark.parametrize("n", [10, 2000])
def test_more_dangerous_outcomes_than_samples_rule_nothing_out(n):
    for k in (n, n + 1, 10 * n):
        assert not bounds.rules_out(k, n, Fraction(1, 2), Fraction(1, 20))
