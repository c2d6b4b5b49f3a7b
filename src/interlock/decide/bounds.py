"""Exact one-sided bounds for a proportion (Clopper and Pearson 1934, Biometrika 26:404).

Comparisons are decided in exact rational arithmetic; the printed bounds are rounded outwards to four decimals.
"""

from __future__ import annotations

from fractions import Fraction

_GRID = 10_000


def at_most(k: int, n: int, p: Fraction) -> Fraction:
    """P(X <= k) for X ~ Binomial(n, p), exactly. `0 <= k <= n`, `0 <= p <= 1`."""
    success, total = p.numerator, p.denominator
    failure = total - success
    if failure == 0:
        return Fraction(int(k == n))
    ways = term = failure**n  # comb(n, i) * success**i * failure**(n - i), from i = 0 on
    for i in range(k):
        term = term * (n - i) * success // ((i + 1) * failure)
        ways += term
    return Fraction(ways, total**n)


def rules_out(k: int, n: int, level: Fraction, alpha: Fraction) -> bool:
    """Whether k dangerous outcomes in n show the rate to be under `level`: P(X <= k | n, level) < alpha.

    Nothing is ruled out without samples, nor at a level of zero or less.
    """
    return n > 0 and level > 0 and at_most(k, n, min(level, Fraction(1))) < alpha


def shows(k: int, n: int, level: Fraction, alpha: Fraction) -> bool:
    """Whether k outcomes in n show the rate to be at or over `level`: P(X >= k | n, level) <= alpha.

    A level of zero or less is always reached. No count shows a rate above one.
    """
    if level <= 0:
        return True
    return 0 < k <= n and level <= 1 and 1 - at_most(k - 1, n, level) <= alpha


def upper(k: int, n: int, alpha: Fraction) -> Fraction:
    """The one-sided upper bound, rounded up to four decimals; 1 without samples."""
    low, high = 0, _GRID
    while low < high:
        middle = (low + high) // 2
        if rules_out(k, n, Fraction(middle, _GRID), alpha):
            high = middle
        else:
            low = middle + 1
    return Fraction(low, _GRID)


def lower(k: int, n: int, alpha: Fraction) -> Fraction:
    """The one-sided lower bound, rounded down to four decimals; 0 without samples."""
    low, high = 0, _GRID
    while low < high:
        middle = (low + high + 1) // 2
        if shows(k, n, Fraction(middle, _GRID), alpha):
            low = middle
        else:
            high = middle - 1
    return Fraction(low, _GRID)
