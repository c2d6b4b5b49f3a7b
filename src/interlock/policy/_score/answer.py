"""A yardstick: rows with weights, each with a question of the policy; and what a question answers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from interlock.policy._lint.view import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from interlock.policy._score.asked import Asked

State = Literal["met", "in part", "missing", "not judged"]
STATES: tuple[State, ...] = ("met", "in part", "missing", "not judged")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question found: the paths of the `clauses` that meet it, and what it `lacks`."""

    state: State
    clauses: tuple[str, ...] = ()
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a program asks of a policy for a row. `counts`: what exactly it counts; `unseen`: what no program can judge
    about it; `write`: policy language that would meet it. Without `asks`, nothing is judged, and `unseen` says why.
    """

    unseen: str
    counts: str = ""
    write: str = ""
    asks: Callable[[Asked], Answer] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a yardstick asks for, in Interlock's words.

    `source` begins with what it rests on, as sources in a policy do. `weight` is the published share of what the row
    stands in; None: not published, or not known here.
    """

    id: str
    ask: str
    source: str
    question: Question
    weight: Fraction | None = None

    def answer(self, asked: Asked) -> Answer:
        """What the policy answers."""
        return self.question.asks(asked) if self.question.asks else Answer("not judged")


@dataclass(frozen=True, slots=True)
class Criterion:
    """Rows that a yardstick weighs together. `weight` as for a row."""

    id: str
    title: str
    parts: tuple[Row | Criterion, ...]
    weight: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A published list of what a policy should say. `weighed`: weights are published for it, 100 points in all."""

    name: str
    title: str
    about: str
    parts: tuple[Row | Criterion, ...]

    @property
    def weighed(self) -> bool:
        """Whether any weights are published."""
        return any(part.weight is not None for part in self.parts)

    def rows(self) -> Iterator[tuple[Row, Fraction | None]]:
        """Every row with its published points: none, where a weight on the way to it is not known."""
        yield from _rows(self.parts, Fraction(100))

    def undivided(self) -> Fraction:
        """The points of criteria whose division among their rows is not known."""
        known = (points for _, points in self.rows() if points is not None)
        return Fraction(100) - sum(known, Fraction(0)) if self.weighed else Fraction(0)


def _rows(parts: tuple[Row | Criterion, ...], points: Fraction | None) -> Iterator[tuple[Row, Fraction | None]]:
    for part in parts:
        own = None if points is None or part.weight is None else points * part.weight
        if isinstance(part, Row):
            yield part, own
        else:
            yield from _rows(part.parts, own)


# -- how questions answer


def met(clauses: Iterable[str]) -> Answer:
    """It is there."""
    return Answer("met", tuple(dict.fromkeys(clauses)))


def in_part(clauses: Iterable[str], lacks: str) -> Answer:
    """Something is there, and something is lacking."""
    return Answer("in part", tuple(dict.fromkeys(clauses)), lacks)


def missing(lacks: str) -> Answer:
    """Nothing of it is there."""
    return Answer("missing", (), lacks)


def both(*answers: Answer) -> Answer:
    """Several things are asked for at once."""
    clauses = [clause for answer in answers for clause in answer.clauses]
    lacks = "; ".join(dict.fromkeys(answer.lacks for answer in answers if answer.lacks))
    states = {answer.state for answer in answers}
    if states == {"met"}:
        return met(clauses)
    return missing(lacks) if states == {"missing"} else in_part(clauses, lacks)


def each(found: Iterable[tuple[str, Iterable[str]]], *, lacks: str, none: str) -> Answer:
    """One thing is asked for at several places: (name of the place, the clauses that carry it there).

    `lacks` says of `{names}`, the places without one, what is not there; `none`, that there is no such place.
    """
    places = [(name, tuple(clauses)) for name, clauses in found]
    clauses = [clause for _, own in places for clause in own]
    bare = [name for name, own in places if not own]
    if not clauses:
        return missing(lacks.replace("{names}", listing(bare)) if places else none)
    return in_part(clauses, lacks.replace("{names}", listing(bare))) if bare else met(clauses)
