"""The median of few numbers, whatever they are distributed like."""

from __future__ import annotations

from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

from interlock.decide import bounds
from interlock.errors import UsageError
from interlock.evaluate.statistics.estimate import CONFIDENCE, Estimate, sure

if TYPE_CHECKING:
    from collections.abc import Sequence

_HALF = Fraction(1, 2)


def middle(
    values: Sequence[float], *, scale: tuple[float, float], unit: str, confidence: Fraction = CONFIDENCE
) -> Estimate:
    """The median and its two-sided interval between order statistics (Hahn and Meeker 1991, Statistical Intervals,
    section 5.2): the j-th number from each end, with the greatest j for which P(X < j) <= alpha / 2, X ~ Bin(n, 1/2).

    Exact for independent numbers of any one continuous distribution, and never too narrow for others. Of too few
    numbers (under 6 at 95 %) nothing can be said: the ends are those of `scale`.

    Raises:
        UsageError: no values, or a confidence that cannot be.
    """
    half, n, ordered = sure(confidence) / 2, len(values), sorted(values)
    if not n:
        raise UsageError("got no values, expected one or more")
    place = sum(1 for j in range(n // 2) if bounds.at_most(j, n, _HALF) <= half)
    low, high = (ordered[place - 1], ordered[n - place]) if place else scale
    return Estimate(float(median(ordered)), float(low), float(high), n, unit, confidence, "order statistics, two-sided")
