"""A policy in plain English: what is promised, what stops what, what would lift it, what is left open.

Guarantees: every sentence names the clauses that it tells of, with their lines; every clause that can open or close a
gate, or start a duty, is told; equal policies give equal sentences, in one order. Nothing is read but what is given.
What it leaves to the caller: layout, and escaping. Names and texts in it are data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.policy._explain.asked import lifts, ways_round
from interlock.policy._explain.book import Block, Book, Place, Section, Sentence, Source
from interlock.policy._explain.missing import holes, judgement, missing
from interlock.policy._explain.short import short_of_it
from interlock.policy._explain.stops import stops
from interlock.policy._explain.times import changes, told, tried_again
from interlock.policy._explain.what import what

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy.clauses import Clauses
    from interlock.policy.model import Policy

__all__ = ["Block", "Explanation", "Place", "Section", "Sentence", "Source", "explain", "to_json"]

#: In the order in which a member of a board asks.
_SECTIONS = (what, short_of_it, stops, lifts, holes, judgement, ways_round, tried_again, told, changes, missing)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A whole policy, told. `lines` are those of its file `name`."""

    policy: Policy
    name: str
    lines: tuple[str, ...]
    sections: tuple[Section, ...]

    def sentences(self) -> Iterator[Sentence]:
        """All of them, in order."""
        for section in self.sections:
            for block in section.blocks:
                yield from block.sentences


def explain(policy: Policy, clauses: Clauses) -> Explanation:
    """The policy, section by section. It must have loaded from the file of the clauses."""
    book = Book(policy, clauses)
    return Explanation(policy, clauses.name, clauses.lines, tuple(section(book) for section in _SECTIONS))


def to_json(told: Explanation) -> dict[str, Any]:
    """The same for programs."""
    return {
        "file": told.name,
        "id": told.policy.id,
        "version": told.policy.version,
        "title": told.policy.title,
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "blocks": [
                    {"title": block.title, "sentences": [_sentence(it) for it in block.sentences]}
                    for block in section.blocks
                ],
            }
            for section in told.sections
        ],
    }


def _sentence(it: Sentence) -> dict[str, Any]:
    return {
        "text": it.text,
        "clauses": [{"path": place.path, "line": place.line} for place in it.places],
        "sources": [{"standing": source.standing, "text": source.text} for source in it.sources],
    }
