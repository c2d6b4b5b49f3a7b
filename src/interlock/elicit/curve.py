"""How much more demonstrations bring: 1, 2, 4, ... of them, until the last doubling is shown to have brought little.

Guarantees: whether to stop is decided on dev questions alone; the bound of a gain holds at every look together (alpha
is divided by the number of doublings that are planned, Bonferroni), by `paired`: over families, too, where they have
several questions. The test is asked once a point.
A curve never stops below `least` demonstrations: a hidden skill may show nothing at 1 or 2 and come back at 4 or 16
(docs/hidden-subject.md), and a flat start is no evidence of a flat end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from interlock.elicit import paired, session
from interlock.elicit.elicitor import Elicitor, Progress, under
from interlock.elicit.items import Questions
from interlock.elicit.measuring import Measured
from interlock.elicit.paired import Paired
from interlock.elicit.session import Terms
from interlock.errors import UsageError, missing_extra
from interlock.evaluate.local import LocalModel

#: Fewer demonstrations than this never end a curve.
LEAST = 16


@dataclass(frozen=True, slots=True)
class Point:
    """One number of demonstrations: the test, right answers on dev, and the gain there over the point before."""

    demonstrations: int
    measured: Measured
    dev_right: frozenset[str]
    gain: Paired | None
    flop: int


@dataclass(frozen=True, slots=True)
class Curve:
    """All points that were run. `settled`: the last gain is bounded below the tolerance."""

    elicitor: str
    points: tuple[Point, ...]
    planned: tuple[int, ...]
    tolerance: Fraction
    confidence: Fraction
    settled: bool

    @property
    def alpha(self) -> Fraction:
        """What one look at a gain may spend."""
        return (1 - self.confidence) / max(1, len(self.planned) - 1)

    def to_json(self) -> dict[str, Any]:
        """Each point with n, bounds and method, and why the curve ended."""
        return {
            "elicitor": self.elicitor,
            "planned": list(self.planned),
            "tolerance": float(self.tolerance),
            "confidence": float(self.confidence),
            "settled": self.settled,
            "points": [
                {
                    "demonstrations": point.demonstrations,
                    "test": point.measured.to_json(self.confidence),
                    "dev_correct": len(point.dev_right),
                    "gain_on_dev": point.gain and point.gain.to_json(1 - self.alpha),
                    "flop": point.flop,
                }
                for point in self.points
            ],
        }


def counts(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `most` itself.

    Raises:
        UsageError: `most` is less than 1.
    """
    if most < 1:
        raise UsageError(f"cannot draw a curve up to {most} demonstrations, expected at least 1")
    doubled = [1 << i for i in range(most.bit_length())]
    return tuple(dict.fromkeys([*(n for n in doubled if n <= most), most]))


def climb(
    elicitor: Elicitor,
    subject: LocalModel,
    questions: Questions,
    *,
    terms: Terms,
    tolerance: Fraction,
    least: int = LEAST,
    out: Path,
    progress: Progress,
) -> Curve:
    """Run the elicitor at each number of demonstrations, each in a folder of its own under `out`, each within the cap.

    Raises:
        UsageError, OutOfBudgetError, EvidenceError: as `session.run`.
    """
    planned = counts(len(questions.demonstrations))
    dev = {item.id: item.family for item in questions.dev}
    curve = Curve(elicitor.name, (), planned, tolerance, terms.confidence, settled=False)
    for number in planned:
        some = replace(questions, demonstrations=questions.demonstrations[:number])
        done = session.run(
            elicitor,
            subject,
            some,
            terms=terms,
            out=out / f"n-{number:04d}",
            progress=under(str(number), progress),
        )
        right = session.dev_right(done.elicited.adapted, questions.material) if questions.dev else frozenset[str]()
        gain = paired.compare(curve.points[-1].dev_right, right, asked=dev) if curve.points else None
        point = Point(number, done.measured, right, gain, done.elicited.flop)
        shown = gain is not None and not done.idle and gain.at_most(curve.alpha) < tolerance
        settled = number >= least and shown
        curve = replace(curve, points=(*curve.points, point), settled=settled)
        if settled:
            break
    return curve


def draw(curve: Curve, path: Path) -> None:
    """Write the plot: the share of right test answers against demonstrations, with both bounds.

    Raises:
        UsageError: matplotlib is not installed, or does not write files of this kind.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", "matplotlib") from error
    alpha, points = 1 - curve.confidence, curve.points
    x = [point.demonstrations for point in points]
    shares = [len(point.measured.right) / point.measured.n for point in points]
    with rc_context({"svg.hashsalt": "curve", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        low, high = ([float(of(point.measured)(alpha)) for point in points] for of in _BOUNDS)
        axes.vlines(x, low, high, color="tab:blue")
        axes.plot(x, shares, "o-", color="tab:blue")
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [str(n) for n in x])
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("demonstrations (log scale)")
        axes.set_ylabel("right answers on the test")
        axes.set_title(f"{curve.elicitor}: n = {points[0].measured.n}, one-sided {float(curve.confidence):.0%} bounds")
        axes.grid(visible=True, axis="y", alpha=0.3)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        try:
            figure.savefig(path, metadata=metadata)
        except ValueError as error:
            raise UsageError(f"cannot draw `{path}`: {str(error).splitlines()[0]}") from None


_BOUNDS: tuple[Callable[[Measured], Callable[[Fraction], Fraction]], ...] = (
    lambda measured: measured.lower,
    lambda measured: measured.upper,
)
