"""Effective compute: the FLOP at which the reference recipe would reach a model's loss, as an interval.

The ladder's loss is taken to be L(C) = E + A C^-b with E >= 0, A > 0 and b > 0 (Hoffmann et al. 2022, arXiv:2203.15556,
equation 2, along the compute-optimal line), and its runs to differ from that by independent normal errors of one
variance. The ends of the interval are where the signed root of the profile likelihood ratio of C, scaled by the
residual variance, reaches Student's t with n - 3 degrees of freedom (Bates and Watts 1988, Nonlinear Regression
Analysis and Its Applications, section 6.1). Each end is one-sided: the truth is above the upper end with a chance of at
most alpha, to the method's approximation; tests measure that on ladders of known truth.

What it covers: the noise of the ladder's runs. What it does not: a recipe whose curve has another form, and a model's
loss that is itself uncertain; for that, give the loss as an interval. Therefore an end that lies past the ladder is
moved as far again, one too far past it is refused, and past the ladder the runs themselves show only that it is past.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from interlock.subject.compute.ladder import Ladder, Rung

METHOD = "profile likelihood of a saturating power law, Student's t with n - 3 degrees of freedom, one-sided ends"
FALLBACK = "training FLOP times efficiency gained since the reference recipe"
#: How far past the ladder an end may lie, as a multiple.
MOST_PAST = 4.0
#: Ladders whose runs lie closer to a curve than this share of their spread were computed from it, not measured.
_LEAST_NOISE = 1e-6
#: Exponents that are tried: those of published ladders are between 0.03 and 0.6.
_LEAST_B, _MOST_B, _GRID = 0.002, 2.0, 32
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Fit:
    """L(C) = `floor` + `scale` (C / `unit`)^-`exponent`; `noise` is the residual standard deviation, by n - 3."""

    floor: float
    scale: float
    exponent: float
    unit: float
    noise: float
    n: int

    def loss(self, flop: float) -> float:
        """The loss that the curve gives for so many FLOP."""
        return self.floor + self.scale * math.exp(-self.exponent * math.log(flop / self.unit))

    def flop(self, loss: float) -> float:
        """The FLOP at which the curve has that loss; infinite where it never comes so low."""
        if loss <= self.floor:
            return math.inf
        logarithm = (math.log(self.scale) - math.log(loss - self.floor)) / self.exponent
        return self.unit * math.exp(logarithm) if logarithm < 600 else math.inf


@dataclass(frozen=True, slots=True)
class Effective:
    """Effective compute in FLOP: at least `low`, at most `high`, each at `confidence`. `method` names how.

    `estimate` is the best single guess, which gates nothing. `past` says how many times past the ladder the ends lay
    before they were widened by as much again: below its smallest run and above its largest; 1 is within.
    """

    low: int
    high: int
    estimate: float
    confidence: float
    n: int
    method: str
    past: tuple[float, float] = (1.0, 1.0)


def fit(ladder: Ladder) -> Fit:
    """The least-squares curve through a ladder.

    Raises:
        UsageError: loss does not fall as compute grows, or the runs lie on a curve without any noise.
    """
    unit, points = _points(ladder.rungs)

    def at(b: float) -> tuple[float, float, float]:
        return _line([(math.exp(-b * x), loss) for x, loss in points])

    b, (squares, floor, scale) = _least(at)
    if not scale > 0:
        raise UsageError(f"ladder `{ladder.name}`: loss does not fall as compute grows")
    n = len(points)
    losses = [loss for _, loss in points]
    noise = math.sqrt(squares / (n - 3))
    if noise <= _LEAST_NOISE * (max(losses) - min(losses)):
        raise UsageError(f"ladder `{ladder.name}`: its runs lie on a curve without any noise, expected measured losses")
    return Fit(floor, scale, b, unit, noise, n)


def effective(ladder: Ladder, low_loss: float, high_loss: float, *, confidence: float = 0.95) -> Effective:
    """Effective compute of a model whose loss is between `low_loss` and `high_loss` (the same, if it is one number).

    Raises:
        UsageError: the ladder cannot be fitted, or says too little about that loss: an end would lie more than
            `MOST_PAST` times past its smallest or its largest run.
    """
    if not 0 < low_loss <= high_loss or not math.isfinite(high_loss):
        raise UsageError(f"loss is {low_loss} to {high_loss}, expected numbers over 0, the lower one first")
    if not 0.5 < confidence < 1:
        raise UsageError(f"confidence is {confidence}, expected a number over 0.5 and under 1")
    curve = fit(ladder)
    t = _student(confidence, curve.n - 3)
    high = _end(ladder, curve, low_loss, t, up=True)
    low = _end(ladder, curve, high_loss, t, up=False)
    below, above = max(1.0, ladder.least / low), max(1.0, high / ladder.most)
    middle = curve.flop((low_loss + high_loss) / 2)
    return Effective(
        low=max(1, math.floor(min(low / below, ladder.most))),
        high=math.ceil(max(high * above, ladder.least)),
        estimate=middle,
        confidence=confidence,
        n=curve.n,
        method=METHOD,
        past=(below, above),
    )


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How fast training gets more efficient: months in which the compute for one loss halves, and who says so."""

    fastest: float
    slowest: float
    source: str


#: 90 % interval; the first version of the paper had a narrower one of 5 to 14 at 95 %.
USUAL = Efficiency(
    2, 22, "Ho et al. 2024, arXiv:2403.05812, NeurIPS version: the compute halves in 2 to 22 months (90 %)"
)


def by_efficiency(flop: int, years: float, efficiency: Efficiency = USUAL) -> Effective:
    """A fallback where there is no ladder: training FLOP, times what training gained since the reference recipe.

    It knows nothing of the model. `years` is from the reference recipe to the model's.

    Raises:
        UsageError: `years` or the months are out of range.
    """
    if not 0 <= years <= 20:
        raise UsageError(f"{years} years since the reference recipe, expected 0 to 20")
    if not 0 < efficiency.fastest <= efficiency.slowest < math.inf:
        raise UsageError(f"halving in {efficiency.fastest} to {efficiency.slowest} months, expected LOW..HIGH over 0")
    slow, fast = (years * 12 / months for months in (efficiency.slowest, efficiency.fastest))
    if fast > 60:
        raise UsageError(
            f"{years} years of halving in {efficiency.fastest} months is a factor over 2^60, which says nothing"
        )
    middle = flop * 2 ** math.sqrt(slow * fast)
    method = f"{FALLBACK}: {efficiency.source}"
    low, high = (flop * Fraction(2**times) for times in (slow, fast))  # exact: a float would round the end down
    return Effective(math.floor(low), math.ceil(high), middle, 0.9, 0, method)


def _end(ladder: Ladder, curve: Fit, loss: float, t: float, *, up: bool) -> float:
    """Where the profile likelihood of the compute for `loss` has fallen off, upwards or downwards."""
    edge = ladder.most * MOST_PAST if up else ladder.least / MOST_PAST
    start = curve.flop(loss)
    beyond = not math.isfinite(start) or (start > edge if up else start < edge)
    if beyond or not _rejected(ladder, curve, loss, edge, t):
        reach = f"{ladder.least:.3g} to {ladder.most:.3g} FLOP"
        raise UsageError(
            f"ladder `{ladder.name}` says too little about a loss of {loss:g}: {'above' if up else 'below'}, its "
            f"interval would end more than {MOST_PAST:g} times past the runs, which reach from {reach} and losses of "
            f"{curve.loss(ladder.least):.4g} to {curve.loss(ladder.most):.4g}"
        )
    inside, outside = math.log(start), math.log(edge)
    for _ in range(40):
        middle = (inside + outside) / 2
        if _rejected(ladder, curve, loss, math.exp(middle), t):
            outside = middle
        else:
            inside = middle
    return math.exp(outside)


def _rejected(ladder: Ladder, curve: Fit, loss: float, flop: float, t: float) -> bool:
    """Whether the data speak against `flop` as the compute for `loss`: more than `t` allows."""
    _, points = _points(ladder.rungs)
    there = math.log(flop / curve.unit)

    def at(b: float) -> tuple[float, float, float]:
        base = math.exp(-b * there)
        return _ray([(math.exp(-b * x) - base, y - loss) for x, y in points], loss / base)

    _, (squares, _, _) = _least(at)
    best = curve.noise**2 * (curve.n - 3)
    return math.sqrt(max(0.0, squares - best)) > t * curve.noise


def _points(rungs: Sequence[Rung]) -> tuple[float, list[tuple[float, float]]]:
    """The middle of the sizes, and each run by the logarithm of its FLOP from there."""
    logarithms = [math.log(rung.flop) for rung in rungs]
    middle = sum(logarithms) / len(logarithms)
    return math.exp(middle), [(x - middle, rung.loss) for x, rung in zip(logarithms, rungs, strict=True)]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Sum of squares, floor (0 or more) and scale of the best line through points."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    scale = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    floor = mean_y - scale * mean_x
    if floor < 0:
        floor, scale = 0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points)
    return sum((y - floor - scale * x) ** 2 for x, y in points), floor, scale


def _ray(points: Sequence[tuple[float, float]], most: float) -> tuple[float, float, float]:
    """The same for lines through the origin, whose scale is 0 to `most`: there the floor is 0."""
    square = sum(x * x for x, _ in points)
    scale = min(max(sum(x * y for x, y in points) / square, 0.0), most) if square else 0.0
    return sum((y - scale * x) ** 2 for x, y in points), 0.0, scale


def _least(at: Callable[[float], tuple[float, float, float]]) -> tuple[float, tuple[float, float, float]]:
    """The exponent with the least sum of squares: the best of a grid, then by golden section around it."""
    step = math.log(_MOST_B / _LEAST_B) / (_GRID - 1)
    grid = [math.log(_LEAST_B) + step * index for index in range(_GRID)]
    best = min(grid, key=lambda b: at(math.exp(b))[0])
    low, high = max(grid[0], best - step), min(grid[-1], best + step)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = at(math.exp(left)), at(math.exp(right))
    for _ in range(24):
        if at_left[0] < at_right[0]:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = at(math.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = at(math.exp(right))
    return math.exp((low + high) / 2), min(at_left, at_right)


@lru_cache
def _student(confidence: float, freedom: int) -> float:
    """The quantile of Student's t, by bisection of its distribution (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, freedom) < confidence else (low, middle)
    return high


def _below(t: float, freedom: int) -> float:
    """The chance that Student's t is below `t`, which is not negative."""
    angle = math.atan(t / math.sqrt(freedom))
    term = total = math.cos(angle) if freedom % 2 else 1.0
    for index in range(2 if freedom % 2 else 1, freedom - 2 + (freedom % 2), 2):
        term *= math.cos(angle) ** 2 * index / (index + 1)
        total += term
    if freedom % 2 == 0:
        return 0.5 + math.sin(angle) * total / 2
    return 0.5 + (angle + (math.sin(angle) * total if freedom > 1 else 0.0)) / math.pi
