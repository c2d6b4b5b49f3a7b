"""The same questions asked twice: how far the rates of two runs can be apart.

Guarantees: bounds over questions hold at any n, whatever the two runs have in common. With `gained` questions counted
in the second run only and `lost` in the first only, the difference of the rates is P(gained) - P(lost), and each is a
proportion of the same n questions: an upper bound of the one and a lower bound of the other, each at half of alpha
(Bonferroni; each by Clopper and Pearson 1934, Biometrika 26:404), hold together.
Questions of one family hang together, so that those bounds are too narrow where families have several. There the bound
that is told is the wider one of these and of a betting bound over families (`evaluate.statistics.intervals`), and the
test flips the signs of whole families.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlock.decide import bounds
from interlock.evaluate.statistics.intervals import families_lower, families_upper
from interlock.evaluate.statistics.paired import mcnemar, sign_flip

METHOD = "paired difference: two exact one-sided bounds at half of alpha each (Clopper-Pearson, Bonferroni)"
WIDER = (
    "paired difference: the wider of two one-sided bounds at each end: exact over questions (Clopper-Pearson, "
    "Bonferroni), and betting over families, each counting once (Waudby-Smith and Ramdas 2024)"
)
TEST = "exact McNemar test, two-sided"
FLIPS = "exact sign-flip test over families, two-sided (Fisher 1935)"


@dataclass(frozen=True, slots=True)
class Family:
    """Of the `n` questions of one family, `gained` count in the second run only, `lost` in the first only."""

    n: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class Paired:
    """Of `n` questions, `gained` count in the second run only, `lost` in the first only.

    `families` has the same of each family; empty where each has one question.
    """

    n: int
    gained: int
    lost: int
    families: tuple[Family, ...] = ()

    def at_most(self, alpha: Fraction) -> Fraction:
        """One-sided upper bound of the second rate minus the first."""
        found = bounds.upper(self.gained, self.n, alpha / 2) - bounds.lower(self.lost, self.n, alpha / 2)
        if not self.families:
            return found
        return max(found, 2 * Fraction(repr(families_upper(self._halved, confidence=1 - alpha).high)) - 1)

    def at_least(self, alpha: Fraction) -> Fraction:
        """One-sided lower bound of the second rate minus the first."""
        found = bounds.lower(self.gained, self.n, alpha / 2) - bounds.upper(self.lost, self.n, alpha / 2)
        if not self.families:
            return found
        return min(found, 2 * Fraction(repr(families_lower(self._halved, confidence=1 - alpha).low)) - 1)

    def p_value(self) -> float:
        """Exact two-sided p-value of no difference: `mcnemar`, or `sign_flip` where families have several questions."""
        if self.families:
            return sign_flip([it.gained - it.lost for it in self.families])
        return float(mcnemar(self.lost, self.gained))

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
            "method": WIDER if self.families else METHOD,
            **({"families": len(self.families)} if self.families else {}),
            "p": self.p_value(),
            "test": FLIPS if self.families else TEST,
        }

    @property
    def _halved(self) -> list[float]:
        """Each family's difference, from -1 to 1, moved to 0 to 1."""
        return [(it.gained - it.lost + it.n) / (2 * it.n) for it in self.families]


def compare(first: Collection[str], second: Collection[str], *, asked: Mapping[str, str]) -> Paired:
    """Compare the ids that count in two runs of the same questions; `asked` has the family of each by its id."""
    gained, lost = set(second) - set(first), set(first) - set(second)
    members: dict[str, set[str]] = {}
    for name, family in asked.items():
        members.setdefault(family, set()).add(name)
    families = [Family(len(ids), len(ids & gained), len(ids & lost)) for ids in members.values()]
    several = len(families) < len(asked)
    return Paired(len(asked), len(gained), len(lost), tuple(families) if several else ())
