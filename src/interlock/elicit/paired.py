"""The same questions asked twice: how far the rates of two runs can be apart.

Guarantees: bounds hold at any n, whatever the two runs have in common. With `gained` questions counted in the second
run only and `lost` in the first only, the difference of the rates is P(gained) - P(lost), and each is a proportion of
the same n questions: an upper bound of the one and a lower bound of the other, each at half of alpha (Bonferroni; each
by Clopper and Pearson 1934, Biometrika 26:404), hold together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlock.decide import bounds
from interlock.evaluate.statistics.paired import mcnemar

METHOD = "paired difference: two exact one-sided bounds at half of alpha each (Clopper-Pearson, Bonferroni)"
TEST = "exact McNemar test, two-sided"


@dataclass(frozen=True, slots=True)
class Paired:
    """Of `n` questions, `gained` count in the second run only, `lost` in the first only."""

    n: int
    gained: int
    lost: int

    def at_most(self, alpha: Fraction) -> Fraction:
        """One-sided upper bound of the second rate minus the first."""
        return bounds.upper(self.gained, self.n, alpha / 2) - bounds.lower(self.lost, self.n, alpha / 2)

    def at_least(self, alpha: Fraction) -> Fraction:
        """One-sided lower bound of the second rate minus the first."""
        return bounds.lower(self.gained, self.n, alpha / 2) - bounds.upper(self.lost, self.n, alpha / 2)

    def p_value(self) -> Fraction:
        """Exact two-sided p-value of no difference (`mcnemar`)."""
        return mcnemar(self.lost, self.gained)

    def to_json(self, confidence: Fraction) -> dict[str, Any]:
        """All of it, each bound one-sided at `confidence`."""
        alpha = 1 - confidence
        return {
            "n": self.n,
            "gained": self.gained,
            "lost": self.lost,
            "difference": (self.gained - self.lost) / self.n if self.n else None,
            "at_least": float(self.at_least(alpha)),
            "at_most": float(self.at_most(alpha)),
            "confidence": float(confidence),
            "method": METHOD,
            "p": float(self.p_value()),
            "test": TEST,
        }


def compare(first: Collection[str], second: Collection[str], *, n: int) -> Paired:
    """Compare the ids that count in two runs of the same `n` questions."""
    return Paired(n, len(set(second) - set(first)), len(set(first) - set(second)))
