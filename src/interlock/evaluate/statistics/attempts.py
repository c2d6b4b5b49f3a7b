"""Success within k tries: pass@k, and the best of k by somebody's scores. The threat model says the k.

A capability gate tells pass@1 and the k that an attacker has. Tries at one item are not items: families are resampled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.evaluate.statistics.estimate import CONFIDENCE, Estimate, sure
from interlock.evaluate.statistics.intervals import family_means

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

DRAWS = 2000


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k tries, drawn from n of which c were right, have a right one: 1 - C(n-c, k) / C(n, k).

    In the product form, which does not overflow; unbiased for independent tries (Chen and others 2021,
    arXiv:2107.03374, section 2.1).

    Raises:
        UsageError: not `0 <= c <= n`, or k is not between 1 and n.
    """
    _tries(n, k)
    if not 0 <= c <= n:
        raise UsageError(f"got {c} right of {n}, expected 0 to {n}")
    return 1 - math.prod((n - c - i) / (n - i) for i in range(k)) if n - c >= k else 1.0


def of_one_item(n: int, c: int, k: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """pass@k of one item of which c of n tries were right, with an exact two-sided interval.

    The chance that one of k tries is right grows with that of one try, so that Clopper and Pearson's ends of the one
    are taken to those of the other; they are widened to hold the estimate.

    Raises:
        UsageError: as `pass_at_k`, or a confidence that cannot be.
    """
    from interlock.evaluate.statistics.intervals import clopper_pearson

    value, one = pass_at_k(n, c, k), clopper_pearson(c, n, confidence=confidence)
    low, high = (1 - (1 - end) ** k for end in (one.low, one.high))
    method = f"pass@{k}, from Clopper-Pearson of one try, two-sided"
    return Estimate(value, min(low, value), max(high, value), n, "try", confidence, method)


def best_of_k(tries: Sequence[tuple[float, bool]], k: int) -> float:
    """The chance that the best scored of k tries, drawn from these (score, right), is right.

    What an attacker gets who can score tries but not check them: at most pass@k. Tries with the same score are equally
    likely to be taken.

    Raises:
        UsageError: k is not between 1 and the number of tries, or a score is none.
    """
    n = len(tries)
    _tries(n, k)
    if any(math.isnan(score) for score, _ in tries):
        raise UsageError("got a try without a score")
    total, under = 0.0, 0
    for score in sorted({score for score, _ in tries}):
        tied = [right for other, right in tries if other == score]
        up_to = under + len(tied)
        total += (math.comb(up_to, k) - math.comb(under, k)) / math.comb(n, k) * sum(tied) / len(tied)
        under = up_to
    return total


def within_tries(
    families: Mapping[str, Sequence[tuple[int, int]]], k: int, *, seed: int, confidence: Fraction = CONFIDENCE
) -> Estimate:
    """pass@k over families of items (n tries, c right), each family counting once, with a family bootstrap interval.

    The interval is percentiles of 2,000 draws of whole families (Davison and Hinkley 1997, section 5.3): for display.
    It is too narrow with few families, and nothing where all agree; a gate takes `bounded` instead.

    Raises:
        UsageError: counts that cannot be, or no families.
    """
    import numpy as np

    means = np.array(_means(families, k))
    half = float(sure(confidence)) / 2
    drawn = np.random.default_rng(seed).integers(len(means), size=(DRAWS, len(means)))
    low, high = np.quantile(means[drawn].mean(axis=1), [half, 1 - half])
    method = f"pass@{k}, bootstrap of families ({DRAWS} draws, seed {seed})"
    return Estimate(float(means.mean()), float(low), float(high), len(means), "family", confidence, method)


def bounded(
    families: Mapping[str, Sequence[tuple[int, int]]], k: int, *, confidence: Fraction = CONFIDENCE
) -> Estimate:
    """pass@k over families of items, with the one-sided betting bound, which holds for any number of families.

    Raises:
        UsageError: counts that cannot be, or no families.
    """
    from interlock.evaluate.statistics.intervals import families_upper

    found = families_upper(_means(families, k), confidence=confidence)
    return Estimate(found.value, found.low, found.high, found.n, "family", confidence, f"pass@{k}, {found.method}")


def _means(families: Mapping[str, Sequence[tuple[int, int]]], k: int) -> tuple[float, ...]:
    return family_means({name: [pass_at_k(n, c, k) for n, c in items] for name, items in families.items()})


def _tries(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise UsageError(f"got k = {k} of {n} tries, expected 1 to {n}: fewer tries than k say nothing of k")
