"""Two runs on the same items: did one do better, could the comparison have seen it, and what is the least it can see?

"Not significant" says nothing without the last two: a comparison is told with its power (docs/statistics.md).
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import starmap
from typing import TYPE_CHECKING

from interlock.decide.bounds import at_most
from interlock.errors import UsageError, missing_extra
from interlock.evaluate.statistics.estimate import CONFIDENCE, Estimate, sure
from interlock.evaluate.statistics.intervals import families

if TYPE_CHECKING:
    from collections.abc import Sequence

_HALF = Fraction(1, 2)
#: The steps in which the least difference is sought.
_STEPS = 1000


def mcnemar(first: int, second: int) -> Fraction:
    """The exact two-sided p-value of `first` items that only the first run solved and `second` that only the second did
    (McNemar 1947, Psychometrika 12:153, in its binomial form). 1 where no item differs.

    Raises:
        UsageError: a count under zero.
    """
    if min(first, second) < 0:
        raise UsageError(f"got {first} and {second}, expected counts of 0 or more")
    return min(Fraction(1), 2 * at_most(min(first, second), first + second, _HALF))


def mcnemar_power(n: int, first: float, second: float, *, confidence: Fraction = CONFIDENCE) -> float:
    """The exact chance that `mcnemar` on n items gives at most 1 - confidence, where an item is solved only by the
    first run with probability `first`, only by the second with `second`.

    Raises:
        UsageError: no items, or shares that cannot be; scipy is not installed.
    """
    if n < 1 or min(first, second) < 0 or first + second > 1:
        raise UsageError(f"got {n} items, {first:g} and {second:g}, expected 1 or more, and shares of at most 1 in all")
    differing = first + second
    if not differing:
        return 0.0
    try:
        import numpy as np
        from scipy.stats import binom
    except ImportError as error:
        raise missing_extra("statistics", "scipy") from error
    alpha = float(sure(confidence))
    d = np.arange(1, n + 1)
    last = binom.ppf(alpha / 2, d, 0.5)  # the most on the lesser side that is still rare
    last -= binom.cdf(last, d, 0.5) > alpha / 2
    rejects = binom.cdf(last, d, first / differing) + binom.cdf(last, d, second / differing)
    return float(np.sum(binom.pmf(d, n, differing) * rejects))


def least_detectable(
    n: int, differing: float, *, power: float = 0.8, confidence: Fraction = CONFIDENCE
) -> float | None:
    """The minimum detectable effect: the least difference of two rates, in 1000ths of `differing`, that `mcnemar` on n
    items finds with this power, where the two runs differ on the share `differing` of the items.

    None: it does not even find the greatest one there could be. Raises as `mcnemar_power`.
    """
    if not 0 < differing <= 1 or not 0 < power < 1:
        raise UsageError(f"got a differing share of {differing:g} and a power of {power:g}, expected 0 to 1")

    def enough(step: int) -> bool:
        gap = differing * step / _STEPS
        return mcnemar_power(n, (differing + gap) / 2, (differing - gap) / 2, confidence=confidence) >= power

    if not enough(_STEPS):
        return None
    low, high = 0, _STEPS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return differing * low / _STEPS


def sign_flip(differences: Sequence[int]) -> float:
    """The two-sided p-value that a sum of differences as great as this one comes from chance, a family at a time.

    `differences` has, for each family, how many more of its items the first run solved than the second. Under the null
    each is as likely as its opposite, so that all signs are tried, by their exact distribution (Fisher 1935, The Design
    of Experiments, section 21). A family's own items may hang together as they like. With families of one item it is
    `mcnemar`.

    Raises:
        UsageError: there is no family.
    """
    import numpy as np

    if not differences:
        raise UsageError("got no families, expected one or more")
    steps = [abs(it) for it in differences if it]
    most, seen = sum(steps), abs(sum(differences))
    chances = np.zeros(2 * most + 1)
    chances[most] = 1.0
    reach = 0
    for step in steps:
        after = np.zeros_like(chances)
        now = chances[most - reach : most + reach + 1] / 2
        after[most - reach + step : most + reach + step + 1] += now
        after[most - reach - step : most + reach - step + 1] += now
        chances, reach = after, reach + step
    far = np.abs(np.arange(-most, most + 1)) >= seen
    return min(1.0, float(chances[far].sum()))


def difference(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], *, confidence: Fraction = CONFIDENCE
) -> Estimate:
    """How much higher the first run scores, with a betting interval over families (`intervals.families`), at any n.

    Each run has a list of scores in [0, 1] for each family, in the same order; single items are families of one.

    Raises:
        UsageError: the families are not the same, one is empty, or a score is not between 0 and 1.
    """
    if len(first) != len(second) or any(len(a) != len(b) for a, b in zip(first, second, strict=True)):
        raise UsageError("got two runs of different items, expected the same families of the same sizes")
    if not all(first) or not all(0 <= it <= 1 for run in (first, second) for family in run for it in family):
        raise UsageError("got a family without a score, or a score outside 0 to 1")
    gaps = list(starmap(_gap, zip(first, second, strict=True)))
    half = families([(gap + 1) / 2 for gap in gaps], confidence=confidence)
    method = "betting over families on paired differences, two-sided"
    value = math.fsum(gaps) / len(gaps)
    return Estimate(value, 2 * half.low - 1, 2 * half.high - 1, half.n, "family", confidence, method)


def _gap(first: Sequence[float], second: Sequence[float]) -> float:
    return (math.fsum(first) - math.fsum(second)) / len(first)
