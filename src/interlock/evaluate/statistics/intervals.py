"""Bounds of a proportion, of a mean over families, and of the greatest of several proportions.

Which one is used where, and why, stands in docs/statistics.md. Ruling out is the matter of one-sided exact bounds
(`interlock.decide.bounds`); Wilson and Beta(1, 1) are for display only: near 0 they may miss more often than they say.
Clustered items (questions about one text, tries at one task) carry less than their number: the family is the unit.
"""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING

from interlock.decide import bounds
from interlock.errors import UsageError, missing_extra
from interlock.evaluate.statistics.estimate import CONFIDENCE, Estimate, counted, sure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

#: How many bets are mixed, and the steps in which a betting bound is sought.
_BETS, _GRID = 200, 10_000
#: What rounding could add to the logarithm of the evidence at the most, far from it in truth.
_ROUNDING = 1e-9


def clopper_pearson(k: int, n: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The two-sided exact interval of k in n (Clopper and Pearson 1934, Biometrika 26:404). Never covers too seldom.

    Raises:
        UsageError: counts or a confidence that cannot be.
    """
    counted(k, n)
    half = sure(confidence) / 2
    low, high = bounds.lower(k, n, half), bounds.upper(k, n, half)
    return Estimate(k / n, float(low), float(high), n, "sample", confidence, "Clopper-Pearson, two-sided")


def clopper_pearson_upper(k: int, n: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The one-sided exact upper bound, as `decide` has it. Raises as `clopper_pearson`."""
    counted(k, n)
    high = bounds.upper(k, n, sure(confidence))
    return Estimate(k / n, 0.0, float(high), n, "sample", confidence, "Clopper-Pearson, one-sided upper")


def clopper_pearson_lower(k: int, n: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The one-sided exact lower bound, as `decide` has it. Raises as `clopper_pearson`."""
    counted(k, n)
    low = bounds.lower(k, n, sure(confidence))
    return Estimate(k / n, float(low), 1.0, n, "sample", confidence, "Clopper-Pearson, one-sided lower")


def wilson(k: int, n: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The two-sided score interval (Wilson 1927, JASA 22:209). For display. Raises as `clopper_pearson`."""
    counted(k, n)
    z2, share = NormalDist().inv_cdf(1 - float(sure(confidence)) / 2) ** 2, k / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if k == 0 else max(0.0, middle - half)
    high = 1.0 if k == n else min(1.0, middle + half)
    return Estimate(share, low, high, n, "sample", confidence, "Wilson, two-sided")


def credible(k: int, n: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The equal-tailed credible interval under a uniform prior, Beta(1, 1) (Bowyer and others 2025, arXiv:2503.01747,
    section 3). For display. Raises as `clopper_pearson`, and if scipy is not installed.
    """
    counted(k, n)
    half = float(sure(confidence)) / 2
    try:
        from scipy.special import betaincinv
    except ImportError as error:
        raise missing_extra("statistics", "scipy") from error
    low, high = (float(betaincinv(k + 1, n - k + 1, it)) for it in (half, 1 - half))
    return Estimate(k / n, low, high, n, "sample", confidence, "Beta(1, 1), equal-tailed")


# -- families ----------------------------------------------------------------------------------------------------------


def family_means(scores: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    """The mean score of each family, in the order of their names.

    Raises:
        UsageError: there is no family, one is empty, or a score is not between 0 and 1.
    """
    if not scores or not all(scores.values()):
        raise UsageError("got no family, or one without a score, expected one score or more in each")
    for name, given in scores.items():
        if not all(0 <= it <= 1 for it in given):
            raise UsageError(f"family `{name}` has a score outside 0 to 1")
    return tuple(math.fsum(scores[name]) / len(scores[name]) for name in sorted(scores))


def families(means: Sequence[float], *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """Two one-sided betting bounds of the mean over families, at half of 1 - confidence each; see `families_upper`."""
    half = (1 + confidence) / 2
    low, high = families_lower(means, confidence=half).low, families_upper(means, confidence=half).high
    return Estimate(_mean(means), low, high, len(means), "family", confidence, "betting over families, two-sided")


def families_upper(means: Sequence[float], *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """An upper bound of the expected mean of a family, drawn independently; each counts once, whatever its size.

    The least m, in 10,000ths, against which betting wins 1 / alpha: the capital of the bets u (m - x) / (1 - m) on
    each mean x, averaged over u = 1/400, 3/400, ..., 399/400. Each bet is fair or worse while the mean is at least m:
    capital is rarely large (Waudby-Smith and Ramdas 2024, JRSS-B 86:1, section 4; here bets are mixed, not adapted).
    Where all means are 0 or 1 it is `interlock.decide.eprocess` with a sum for the integral. It does not depend on the
    order, and holds at every number of families.

    Raises:
        UsageError: no means, one outside 0 to 1, or a confidence that cannot be.
    """
    high = _betting(means, sure(confidence))
    return Estimate(_mean(means), 0.0, high, len(means), "family", confidence, "betting over families, one-sided upper")


def families_lower(means: Sequence[float], *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The mirror of `families_upper`."""
    low = (_GRID - round(_betting([1 - it for it in means], sure(confidence)) * _GRID)) / _GRID
    return Estimate(_mean(means), low, 1.0, len(means), "family", confidence, "betting over families, one-sided lower")


def _betting(means: Sequence[float], alpha: Fraction) -> float:
    import numpy as np

    x = np.asarray(means, dtype=float)
    if not x.size or not np.all((x >= 0) & (x <= 1)):
        raise UsageError("got no family means, or one outside 0 to 1")
    wanted = math.log(1 / float(alpha)) + _ROUNDING
    return _first(lambda i: _capital(x, i / _GRID) >= wanted) / _GRID


def _capital(x: NDArray[np.float64], m: float) -> float:
    """The logarithm of the capital against a mean of m or more; it grows with m."""
    import numpy as np

    u = (np.arange(_BETS) + 0.5) / _BETS
    each = np.log1p(np.outer(u / (1 - m), m - x)).sum(axis=1)
    most = each.max()
    return float(most + np.log(np.exp(each - most).mean()))


def _first(holds: Callable[[int], bool]) -> int:
    """The first step from which `holds`, which is monotone; the last one if it does not before."""
    low, high = 0, _GRID
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


# -- several elicitations ----------------------------------------------------------------------------------------------


def greatest(results: Sequence[tuple[int, int]], *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The greatest of the rates behind several results (k, n), one an elicitation, all of which were tried: two-sided.

    Above: the greatest of the upper bounds, each at half of 1 - confidence. No correction is needed, since the bound of
    the elicitation that is best in truth is among them (intersection-union test; Berger 1982, Technometrics 24:295).
    Below: the greatest of the lower bounds, each at the m-th part (Bonferroni), since the luckiest is picked. The value
    is the best one that was seen, which is too high on average. Results that were left out make all of this void.

    Raises:
        UsageError: no results, or as `clopper_pearson`.
    """
    if not results:
        raise UsageError("got no results, expected one or more")
    for k, n in results:
        counted(k, n)
    half = sure(confidence) / 2
    high = max(bounds.upper(k, n, half) for k, n in results)
    low = max(bounds.lower(k, n, half / len(results)) for k, n in results)
    return Estimate(
        max(k / n for k, n in results),
        float(low),
        float(high),
        min(n for _, n in results),
        "sample",
        confidence,
        f"Clopper-Pearson over {len(results)} elicitations: greatest above, Bonferroni below",
    )


def _mean(means: Sequence[float]) -> float:
    return math.fsum(means) / len(means)
