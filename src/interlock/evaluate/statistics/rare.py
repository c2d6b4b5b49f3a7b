"""Behaviour that was hardly ever seen, or never: what so many clean samples exclude, and what many more may bring.

The first is a bound; the forecast is none. It extrapolates a tail and is told with its alternative and its caveat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError
from interlock.evaluate.statistics.estimate import CONFIDENCE, Estimate, sure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

DRAWS = 1000
CAVEAT = (
    "an extrapolation, and no bound: it tends to predict too much, and too little where the queries asked miss a rare "
    "kind that is dangerous (arXiv:2605.15134); it rules nothing out"
)


def none_seen(n: int, *, confidence: Fraction = CONFIDENCE) -> Estimate:
    """The exact one-sided upper bound of a rate after n samples without a single case: 1 - alpha^(1/n).

    The rule of three says 3 / n of it at 95 % (Hanley and Lippman-Hand 1983, JAMA 249:1743). Rounded up in the last
    place of a float.

    Raises:
        UsageError: no samples, or a confidence that cannot be.
    """
    if n < 1:
        raise UsageError(f"got {n} samples, expected 1 or more")
    high = -math.expm1(math.log(float(sure(confidence))) / n)
    return Estimate(0.0, 0.0, math.nextafter(high, 1), n, "sample", confidence, "exact, no case seen, one-sided upper")


def clean_samples(rate: Fraction, *, confidence: Fraction = CONFIDENCE) -> int:
    """How many samples without a case rule out `rate`: the least n with (1 - rate)^n < 1 - confidence.

    Raises:
        UsageError: the rate is not between 0 and 1, or a confidence that cannot be.
    """
    alpha = sure(confidence)
    if not 0 < rate <= 1:
        raise UsageError(f"got a rate of {float(rate):g}, expected more than 0 and at most 1")
    if rate == 1:
        return 1
    n = max(1, math.ceil(math.log(float(alpha)) / math.log1p(-float(rate))) - 1)
    while n > 1 and (1 - rate) ** (n - 1) < alpha:
        n -= 1
    while (1 - rate) ** n >= alpha:
        n += 1
    return n


@dataclass(frozen=True, slots=True)
class Forecast:
    """The greatest chance of the behaviour among `deployed` queries, from the `tail` greatest of those asked.

    `gumbel` is the forecast of Jones and others; `pareto` the same from another model of the tail: where they are far
    apart, neither is to be believed. `caveat` is to be shown with them.
    """

    deployed: int
    tail: int
    gumbel: Estimate
    pareto: Estimate
    caveat: str = CAVEAT

    def to_json(self) -> dict[str, Any]:
        """All of it, the caveat too."""
        return {
            "deployed": self.deployed,
            "tail": self.tail,
            "gumbel": self.gumbel.to_json(),
            "pareto": self.pareto.to_json(),
            "caveat": self.caveat,
        }


def forecast(
    chances: Sequence[float], *, deployed: int, tail: int = 10, seed: int, confidence: Fraction = CONFIDENCE
) -> Forecast:
    """Extrapolate from the chance of a behaviour at each query asked to the worst of `deployed` queries.

    Each chance p becomes psi = -log(-log p). *Gumbel tail*: the logarithm of the share of queries beyond psi is a line
    in psi, fitted by least squares to the `tail` greatest (Jones and others 2025, arXiv:2502.16797, section 3).
    *Pareto tail*: their excess over the next one is generalized Pareto, fitted by probability-weighted moments (Hosking
    and Wallis 1987, Technometrics 29:339). Intervals: percentiles of 1,000 draws of the queries, at `seed`; they know
    of the noise in the queries asked, and nothing of a wrong tail.

    Raises:
        UsageError: too few queries, too few above zero, a chance that is not at least 0 and less than 1, or fewer
            deployed than asked.
    """
    import numpy as np

    asked = np.asarray(chances, dtype=float)
    if tail < 3 or len(asked) <= tail or deployed < len(asked):
        raise UsageError(
            f"got {len(asked)} queries, a tail of {tail} and {deployed} deployed, "
            "expected a tail of 3 or more, more queries, and no fewer deployed"
        )
    if not np.all((asked >= 0) & (asked < 1)):
        raise UsageError("got a chance that is not at least 0 and less than 1")
    if int((asked > 0).sum()) <= tail:
        raise UsageError(f"expected more than {tail} queries with a chance above zero; with none seen, take a bound")
    drawn = np.random.default_rng(seed).integers(len(asked), size=(DRAWS, len(asked)))
    half = float(sure(confidence)) / 2
    psi = _greatest(np.vstack([asked, asked[drawn]]), tail + 1)

    def estimate(name: str, worst: NDArray[np.float64]) -> Estimate:
        value, *again = np.exp(-np.exp(-worst))
        low, high = np.quantile(again, [half, 1 - half])
        method = f"{name} tail of {tail}, bootstrap of queries ({DRAWS} draws, seed {seed})"
        return Estimate(float(value), float(low), float(high), len(asked), "query", confidence, method)

    gumbel = estimate("Gumbel", _gumbel(psi, asked=len(asked), deployed=deployed))
    return Forecast(deployed, tail, gumbel, estimate("generalized Pareto", _pareto(psi, len(asked), deployed)))


def _greatest(chances: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """psi of the greatest ones of each row, falling; of a chance of zero that of the least float."""
    import numpy as np

    top = np.sort(chances, axis=1)[:, ::-1][:, :count]
    return -np.log(-np.log(np.maximum(top, np.finfo(float).tiny)))


def _gumbel(psi: NDArray[np.float64], *, asked: int, deployed: int) -> NDArray[np.float64]:
    """psi of the worst query; that of the greatest seen where the tail has no slope."""
    import numpy as np

    beyond, tail = psi[:, :-1], psi.shape[1] - 1
    share = np.log(np.arange(1, tail + 1) / (asked + 1))
    spread = beyond - beyond.mean(axis=1, keepdims=True)
    flat = (spread**2).sum(axis=1) == 0
    slope = np.where(flat, -1.0, (spread * share).sum(axis=1) / np.where(flat, 1.0, (spread**2).sum(axis=1)))
    return np.where(flat, beyond[:, 0], beyond.mean(axis=1) + (-math.log(deployed) - share.mean()) / slope)


def _pareto(psi: NDArray[np.float64], asked: int, deployed: int) -> NDArray[np.float64]:
    """The same by excesses over the last column: shape and size by their first two probability-weighted moments."""
    import numpy as np

    tail = psi.shape[1] - 1
    over = (psi[:, :-1] - psi[:, -1:])[:, ::-1]
    mean = over.mean(axis=1)
    weighted = (over * (1 - (np.arange(1, tail + 1) - 0.35) / tail)).mean(axis=1)
    left = mean - 2 * weighted
    sound = left > 0
    left = np.where(sound, left, 1.0)
    shape, size = 2 - mean / left, 2 * mean * weighted / left
    shape = np.where(np.abs(shape) < 1e-9, 1e-9, shape)
    excess = size / shape * np.expm1(shape * math.log(tail / asked * deployed))
    return np.where(sound, psi[:, -1] + excess, psi[:, 0])
