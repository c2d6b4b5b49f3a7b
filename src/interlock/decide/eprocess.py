"""Evidence that may be looked at after every sample: the e-process of 0/1 outcomes, as a uniform mixture.

`E_n(k)` is the mean, over q uniform on [0, p0], of q^k (1-q)^(n-k) / (p0^k (1-p0)^(n-k)): a betting test martingale
(Waudby-Smith and Ramdas 2024, JRSS-B 86:1, section 3) mixed as in Robbins 1970 (Annals of Mathematical Statistics
41:1397). It is also P(X > k) / ((k+1) P(X = k+1)) for X ~ Binomial(n+1, p0).

Guarantee. One more outcome, which is 1 with probability p given the past, multiplies the part of q by
p q/p0 + (1-p) (1-q)/(1-p0) in the mean: that is 1 at p = p0 and does not grow with p, since q <= p0.
So E is a supermartingale from 1 for every p >= p0, and P(ever E >= 1/alpha) <= alpha (Ville 1939): looks are free.

What it leaves to the caller: the order of the samples stands before the first look, and none is left out.
Comparisons are decided in exact rational arithmetic.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb

from interlock.decide.bounds import at_most

#: The precisions of the sum of terms relative to its first one, in bits, as they are tried: see `bounds`.
_BITS = (256, 2048)


def evidence(k: int, n: int, p0: Fraction) -> Fraction:
    """E_n(k) against a rate of `p0` or more, exactly. `0 <= k <= n`, `0 < p0 < 1`; 1 without samples."""
    tail = 1 - at_most(k, n + 1, p0)
    return tail / ((k + 1) * comb(n + 1, k + 1) * p0 ** (k + 1) * (1 - p0) ** (n - k))


@lru_cache(maxsize=1 << 16)
def rules_out(k: int, n: int, p0: Fraction, alpha: Fraction) -> bool:
    """Whether k dangerous outcomes in the first n show the rate to be under `p0`, whenever asked: E_n(k) >= 1 / alpha.

    Over all n together this is wrong with probability `alpha` at the most. Nothing is ruled out without samples, at a
    rate of zero or less, or by counts that cannot be; a rate above one is as one.
    """
    if not 0 <= k < n or p0 <= 0 or alpha <= 0:
        return False  # with k = n, E_n(n) = 1 / (n + 1) at p0 = 1, and less than 1 everywhere
    return p0 >= 1 or _reaches(k, n, p0, alpha)


@lru_cache(maxsize=1 << 16)
def shows(k: int, n: int, p0: Fraction, alpha: Fraction) -> bool:
    """Whether k outcomes in the first n show the rate to be at or over `p0`, whenever asked: the mirror of `rules_out`.

    A rate of zero or less is always reached; no count shows a rate of one.
    """
    return p0 <= 0 or rules_out(n - k, n, 1 - p0, alpha)


def _reaches(k: int, n: int, p0: Fraction, alpha: Fraction) -> bool:
    """Whether (k + 1) E_n(k), a sum of positive terms from 1 on, reaches (k + 1) / alpha, for `0 < p0 < 1`.

    Each term is its neighbour's times a ratio that falls, rounded down and up. Once the sum of the lower ones reaches
    the bound it is over; once the upper ones and a geometric bound of the rest cannot, neither. Where more bits do not
    tell, the exact sum does.
    """
    for bits in _BITS:
        reached = _sum_reaches(k, n, p0, alpha, bits)
        if reached is not None:
            return reached
    return evidence(k, n, p0) * alpha >= 1


def _sum_reaches(k: int, n: int, p0: Fraction, alpha: Fraction, bits: int) -> bool | None:
    """The same by terms of so many bits; None where these do not tell."""
    success, failure = p0.numerator, p0.denominator - p0.numerator
    wanted = -(-((k + 1) * alpha.denominator << bits) // alpha.numerator)
    below = above = low = high = 1 << bits
    for i in range(k + 1, n + 1):
        up, down = (n + 1 - i) * success, (i + 1) * failure
        if low >= wanted:
            return True
        if up < down and high - (-above * up // (down - up)) < wanted:
            return False
        below, above = below * up // down, -(-above * up // down)
        low, high = low + below, high + above
    return low >= wanted if (low >= wanted) == (high >= wanted) else None
