"""Exact one-sided bounds: of a proportion (Clopper and Pearson 1934, Biometrika 26:404), and of the mean of bounded
scores (Hoeffding 1963, JASA 58:13, theorem 1).

Comparisons are decided in exact rational arithmetic: long tails, and Hoeffding's exponential, are enclosed between two
rationals of more and more bits until the bound lies outside. The printed bounds are rounded outwards to the 10,000th
part of the range. A tail that was computed once is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_GRID = 10_000
_ONE = Fraction(1)
_HALF = Fraction(1, 2)
#: From so many samples on a tail is enclosed first: the numbers of the whole sum have about as many digits.
_LONG = 1_000
#: The precisions of an enclosed tail relative to its last term, in bits, as they are tried. The second tells apart what
#: differs from the 600th decimal on: twice as many as a number of a policy has characters.
_BITS = (256, 2048)
#: What is left out of an enclosed tail at the most, of a last term of so many bits.
_SMALL = 1 << 64
#: How many bits more a factor of that term has, and how many numbers are multiplied before it is cut to that.
_MORE, _AT_ONCE = 128, 32

#: A number above zero, enclosed: from low * 2 ** exponent to high * 2 ** exponent.
_Between = tuple[int, int, int]


def at_most(k: int, n: int, p: Fraction) -> Fraction:
    """P(X <= k) for X ~ Binomial(n, p), exactly. `0 <= k <= n`, `0 <= p <= 1`."""
    return Fraction(_ways(k, n, p), p.denominator**n)


def _ways(k: int, n: int, p: Fraction) -> int:
    """P(X <= k) times denominator(p) ** n: a whole number."""
    success, failure = p.numerator, p.denominator - p.numerator
    if failure == 0:
        return int(k == n)  # p = 1 / 1
    ways: int = failure**n  # comb(n, i) * success**i * failure**(n - i), from i = 0 on
    term = ways
    for i in range(k):
        term = term * (n - i) * success // ((i + 1) * failure)
        ways += term
    return ways


def is_under(k: int, n: int, p: Fraction, bound: Fraction) -> bool:
    """Whether P(X <= k) < bound, for `0 < p <= 1`. Exact for any n; counts that cannot be show nothing.

    From `_LONG` samples on, the tail is first enclosed between two rationals (`_enclosed`), near ones and then nearer
    ones; where `bound` lies outside, that decides. Else, and for fewer samples, the whole sum does. Of many samples
    that would take long; but where both tails are alike, which is told at once, no other bound that somebody wrote is
    known to lie that near to a tail.
    """
    if k >= n:  # certain; also of more outcomes than samples, which nothing here may take for rare
        return bound > 1
    if p == _HALF and 2 * k + 1 == n:
        return bound > _HALF
    if n >= _LONG and p < 1:
        for bits in _BITS:
            low, high, shift = _enclosed(k, n, p, bits)
            wanted = bound.numerator << shift
            if high * bound.denominator < wanted:
                return True
            if low * bound.denominator >= wanted:
                return False
    everything: int = p.denominator**n
    return _ways(k, n, p) * bound.denominator < bound.numerator * everything


def _enclosed(k: int, n: int, p: Fraction, bits: int) -> tuple[int, int, int]:
    """P(X <= k) between low and high, both over 2 ** shift, to about so many bits. `0 <= k < n`, `0 < p < 1`.

    Over the mean it is what the other tail leaves, which is shorter.
    """
    if k > n * p:
        low, high, shift = _enclosed(n - 1 - k, n, 1 - p, bits)
        return (1 << shift) - high, (1 << shift) - low, shift
    return _summed(k, n, p, bits)


def _summed(k: int, n: int, p: Fraction, bits: int) -> tuple[int, int, int]:
    """The same as a sum, from its last term on: each one before it from its neighbour, rounded down and up.

    The terms fall once they are under the mean: those left out are fewer than i, and none is larger than the last one.
    """
    success, failure = p.numerator, p.denominator - p.numerator
    below, above, shift = _term(k, n, p, bits)
    low, high, i = below, above, k
    while i:
        up, down = i * failure, (n - i + 1) * success
        below, above = below * up // down, -(-above * up // down)
        low, high, i = low + below, high + above, i - 1
        if up < down and above * i < _SMALL:
            return low, high + above * i, shift
    return low, high, shift


def _term(k: int, n: int, p: Fraction, bits: int) -> tuple[int, int, int]:
    """P(X = k) between low and high, both over 2 ** shift, to so many bits or more."""
    width = bits + _MORE
    ways = _times(_choices(min(k, n - k), n, width), _power(p.numerator, k, width), width)
    low, high, exponent = _times(ways, _power(p.denominator - p.numerator, n - k, width), width)
    least, most, under = _power(p.denominator, n, width)
    more = max(0, bits + most.bit_length() - low.bit_length() + 1)
    return (low << more) // most, -(-(high << more) // least), under + more - exponent  # the last above 0, as P <= 1


@lru_cache(maxsize=1 << 10)
def _choices(k: int, n: int, width: int) -> _Between:
    """The number of ways to choose k of n: a product of quotients, each rounded down and up."""
    low, high, exponent = 1, 1, 0
    for i in range(0, k, _AT_ONCE):
        end = min(i + _AT_ONCE, k)
        up, down = prod(range(n - k + i + 1, n - k + end + 1)), prod(range(i + 1, end + 1))
        low, high = (low * up << width) // down, -(-(high * up << width) // down)
        low, high, exponent = _cut(low, high, exponent - width, width)
    return low, high, exponent


def _power(base: int, exponent: int, width: int) -> _Between:
    """A power, for a base above zero and an exponent of zero or more: squared and multiplied, digit by digit."""
    found: _Between = (1, 1, 0)
    for digit in f"{exponent:b}":
        found = _times(found, found, width)
        if digit == "1":
            found = _times(found, (base, base, 0), width)
    return found


def _times(one: _Between, other: _Between, width: int) -> _Between:
    return _cut(one[0] * other[0], one[1] * other[1], one[2] + other[2], width)


def _cut(low: int, high: int, exponent: int, width: int) -> _Between:
    """The same, or farther apart, with the upper end's first `width` bits."""
    more = max(0, high.bit_length() - width)
    return low >> more, -(-high >> more), exponent + more


@lru_cache(maxsize=1 << 16)
def rules_out(k: int, n: int, level: Fraction, alpha: Fraction) -> bool:
    """Whether k dangerous outcomes in n show the rate to be under `level`: P(X <= k | n, level) < alpha.

    Nothing is ruled out without samples, nor at a level of zero or less.
    """
    return n > 0 and level > 0 and is_under(k, n, min(level, _ONE), alpha)


@lru_cache(maxsize=1 << 16)
def shows(k: int, n: int, level: Fraction, alpha: Fraction) -> bool:
    """Whether k outcomes in n show the rate to be at or over `level`: P(X >= k | n, level) <= alpha.

    A level of zero or less is always reached. No count shows a rate above one.
    """
    return level <= 0 or (0 < k <= n and level <= 1 and not is_under(k - 1, n, level, 1 - alpha))


def upper(k: int, n: int, alpha: Fraction) -> Fraction:
    """The one-sided upper bound of a proportion, rounded up to four decimals; 1 without samples."""
    return Tally(n, Fraction(k), Fraction(k)).upper(alpha)


def lower(k: int, n: int, alpha: Fraction) -> Fraction:
    """The one-sided lower bound of a proportion, rounded down to four decimals; 0 without samples."""
    return Tally(n, Fraction(k), Fraction(k)).lower(alpha)


@lru_cache(maxsize=1 << 14)
def decays_under(x: Fraction, alpha: Fraction) -> bool:
    """Whether exp(-x) < alpha, for x >= 0 and 0 < alpha < 1. Equality cannot be: exp of a rational is irrational.

    exp(x) is enclosed until 1 / alpha is outside: by its Taylor sum and the geometric bound of the remainder, in whole
    numbers of 2 ** -bits rounded down and up, of twice as many bits where that does not decide.
    """
    bits = _BITS[0]
    while (found := _grows_over(x, 1 / alpha, bits)) is None:
        bits *= 2
    return found


def _grows_over(x: Fraction, wanted: Fraction, bits: int) -> bool | None:
    """Whether exp(x) > wanted; None if that takes more bits."""
    least, most = _rounded(x, bits)
    enough, little = reversed(_rounded(wanted, bits))  # rounded up, and down
    below = above = low = high = 1 << bits  # the n-th term, and the sum up to it
    n = 0
    while low < enough:
        n += 1
        below, above = (below * least >> bits) // n, -((-above * most >> bits) // n)
        low, high = low + below, high + above
        left = (n + 1 << bits) - most  # above 0, later terms fall faster than the powers of most / (n + 1)
        if left > 0 and high - (-above * most // left) <= little:
            return False
        if left > 0 and not below:
            return None
    return True


def _rounded(x: Fraction, bits: int) -> tuple[int, int]:
    """Down and up, in whole numbers of 2 ** -bits."""
    down, rest = divmod(x.numerator << bits, x.denominator)
    return down, down + (rest > 0)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one result counts to, turned so that more is more dangerous: sums over `n` units of scores in [low, high].

    `dangerous` counts the units without a score at `high`, `harmless` at `low`. With `binary` all scores are 0 or 1;
    `sequential`, it stopped when it chose to, and an e-process decides.
    """

    n: int
    dangerous: Fraction
    harmless: Fraction
    low: Fraction = Fraction(0)
    high: Fraction = _ONE
    binary: bool = True
    sequential: bool = False

    def puts_under(self, level: Fraction, alpha: Fraction) -> bool:
        """Whether the mean is shown to be under `level` (rules 1 and 2)."""
        if self.sequential:
            from interlock.decide import eprocess

            return eprocess.rules_out(int(self.dangerous), self.n, level, alpha)
        if self.binary:
            return rules_out(int(self.dangerous), self.n, level, alpha)
        return self.n > 0 and level > self.low and self._apart(level - self.dangerous / self.n, alpha)

    def shows(self, level: Fraction, alpha: Fraction) -> bool:
        """Whether the mean is shown to be at or over `level` (rules 1 and 2)."""
        if self.sequential:
            from interlock.decide import eprocess

            return eprocess.shows(int(self.harmless), self.n, level, alpha)
        if self.binary:
            return shows(int(self.harmless), self.n, level, alpha)
        if level <= self.low:
            return True
        return self.n > 0 and level <= self.high and self._apart(self.harmless / self.n - level, alpha)

    def _apart(self, gap: Fraction, alpha: Fraction) -> bool:
        return gap > 0 and decays_under(2 * self.n * (gap / (self.high - self.low)) ** 2, alpha)

    def upper(self, alpha: Fraction) -> Fraction:
        """The least level of the grid that is ruled out; `high` if none is."""
        return _upper(self, alpha)

    def lower(self, alpha: Fraction) -> Fraction:
        """The greatest level of the grid that is shown."""
        return _lower(self, alpha)

    def at(self, i: int) -> Fraction:
        """The level at a place of the grid."""
        return self.low + Fraction(i, _GRID) * (self.high - self.low)


@lru_cache(maxsize=1 << 14)
def _upper(tally: Tally, alpha: Fraction) -> Fraction:
    return tally.at(_first(lambda i: tally.puts_under(tally.at(i), alpha)))


@lru_cache(maxsize=1 << 14)
def _lower(tally: Tally, alpha: Fraction) -> Fraction:
    return tally.at(_GRID - _first(lambda i: tally.shows(tally.at(_GRID - i), alpha)))


def _first(holds: Callable[[int], bool]) -> int:
    """The first i of the grid from which `holds`, which is monotone; the last one if it never does."""
    low, high = 0, _GRID
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
