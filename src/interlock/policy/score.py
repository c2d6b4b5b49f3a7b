"""A policy held against published yardsticks: what they ask for, row by row, and the clauses that meet it.

    for card in cards(policy):
        print(card.yardstick.title, card.counts["met"], card.points)

A program counts what is written. What it cannot judge (whether a threat model is sound, whether what somebody attests
is true) is a row of its own or stands beside the row, and never in a sum. No card is a rating by those who published
the yardstick. docs/policy-score.md lists every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._score.answer import STATES, Answer, Criterion, Question, Row, State, Yardstick
from interlock.policy._score.asked import Asked
from interlock.policy._score.metr import COMMON, PARTS
from interlock.policy._score.pauses import PAUSES
from interlock.policy._score.saferai import SAFERAI
from interlock.policy._score.seoul import SEOUL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interlock.policy.model import Policy

__all__ = [
    "STATES",
    "YARDSTICKS",
    "Answer",
    "Answered",
    "Card",
    "Criterion",
    "Points",
    "Question",
    "Row",
    "State",
    "Yardstick",
    "cards",
]

#: Every yardstick, by its name.
YARDSTICKS: dict[str, Yardstick] = {it.name: it for it in (PAUSES, PARTS, COMMON, SAFERAI, SEOUL)}


@dataclass(frozen=True, slots=True)
class Answered:
    """A row, what a policy answers, and the published points of the row: None where its weight is not known."""

    row: Row
    answer: Answer
    points: Fraction | None


@dataclass(frozen=True, slots=True)
class Points:
    """Published points, 100 in all: of rows that are met, met in part, missing, and not judged; and `undivided`, of
    criteria whose weights within are not known. What is met in part stands apart: nobody published what that is worth.
    """

    met: Fraction
    in_part: Fraction
    missing: Fraction
    not_judged: Fraction
    undivided: Fraction

    @property
    def seen(self) -> Fraction:
        """The points of the rows that a program can see."""
        return self.met + self.in_part + self.missing


@dataclass(frozen=True, slots=True)
class Card:
    """What one policy answers to one yardstick."""

    yardstick: Yardstick
    rows: tuple[Answered, ...]

    @property
    def counts(self) -> dict[State, int]:
        """How many rows are in each state."""
        return {state: sum(it.answer.state == state for it in self.rows) for state in STATES}

    @property
    def points(self) -> Points | None:
        """The published points by state; None where no weights are published."""
        if not self.yardstick.weighed:
            return None
        met, in_part, missing, not_judged = (self._of(state) for state in STATES)
        return Points(met, in_part, missing, not_judged, self.yardstick.undivided())

    def _of(self, state: State) -> Fraction:
        return sum((it.points for it in self.rows if it.points and it.answer.state == state), Fraction(0))


def cards(policy: Policy, names: Iterable[str] = YARDSTICKS) -> tuple[Card, ...]:
    """What a policy that has loaded answers to the yardsticks of these names.

    Raises:
        KeyError: there is no such yardstick.
    """
    asked = Asked(policy)
    yardsticks = [YARDSTICKS[name] for name in names]
    return tuple(
        Card(it, tuple(Answered(row, row.answer(asked), points) for row, points in it.rows())) for it in yardsticks
    )
