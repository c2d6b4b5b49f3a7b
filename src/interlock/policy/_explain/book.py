"""The sentences of an explanation, and the policy as those who write them look at it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from interlock.policy._lint.view import View
from interlock.policy._lint.ways import Ways
from interlock.policy.clauses import Standing, standing
from interlock.policy.model import Attested

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interlock.policy._lint.view import Rule
    from interlock.policy.clauses import Clauses
    from interlock.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Place:
    """A clause, such as `gates.scale.autonomy-3`, and its line, from 1."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where a clause comes from, and what that rests on."""

    standing: Standing
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """What one or more clauses say. `places` is never empty; names in `text` stand in backticks."""

    text: str
    places: tuple[Place, ...]
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Sentences about one thing; `title` is empty where the section has only one thing to tell."""

    title: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One question that a reader has. `id` is stable."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Book:
    """A policy, where its clauses stand, and what `policy check` knows of it."""

    policy: Policy
    clauses: Clauses

    @cached_property
    def view(self) -> View:
        """The parts that decide anything."""
        return View(self.policy)

    @cached_property
    def ways(self) -> Ways:
        """What can ever be shown."""
        return Ways(self.view)

    @cached_property
    def measured(self) -> tuple[Rule, ...]:
        """The rules by which thresholds are ruled out by a measurement."""
        return tuple(it for it in self.view.rules if it.path.startswith("thresholds."))

    @cached_property
    def roomy(self) -> tuple[Rule, ...]:
        """Those of them that keep room under their line."""
        rooms = ((it, it.rule.buffer) for it in self.measured)
        return tuple(it for it, room in rooms if room.multiple > 1 or room.margin or room.forecast_by)

    def attested(self, *prefixes: str) -> list[str]:
        """The attested requirements whose names begin so."""
        made = self.policy.requirements.items()
        return [name for name, it in made if isinstance(it, Attested) and name.startswith(prefixes)]

    def say(self, text: str, *paths: str, sources: Iterable[str] = ()) -> Sentence:
        """A sentence about the clauses at `paths`, the most important first."""
        places = tuple(Place(path, self.clauses.line(path)) for path in dict.fromkeys(paths))
        return Sentence(text, places, tuple(Source(*standing(source)) for source in dict.fromkeys(sources)))


def blocks(*made: Block) -> tuple[Block, ...]:
    """Those that say something."""
    return tuple(block for block in made if block.sentences)
