"""Where in its file each clause of a policy stands, and what its sources rest on.

A clause is called by its path: `thresholds.autonomy-3`, `gates.scale.autonomy-3`, `on_hold.autonomy-3.0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interlock.policy import draft
from interlock.policy._written import yaml
from interlock.policy.load import content, loads

if TYPE_CHECKING:
    from pathlib import Path

    from interlock.policy.model import Policy

#: What a source rests on. `read`: the primary text. `secondary`: what others say of it. `memory`: not checked again.
#: `added`: the text does not say it, and without it nothing could be decided.
Standing = Literal["read", "secondary", "memory", "added"]

#: How a source says so, at its beginning: `secondary: SB 53, section 22757.12`.
_MARKS: tuple[Standing, ...] = ("secondary", "memory", "added")


@dataclass(frozen=True, slots=True)
class Clauses:
    """The lines of one policy file."""

    name: str
    lines: tuple[str, ...]
    root: yaml.Node

    def line(self, path: str) -> int:
        """The line of a clause, from 1; where it is not written out, of what it stands in."""
        steps = tuple(int(step) if step.isdigit() else step for step in path.split("."))
        return yaml.nearest(self.root, steps).key_at[0]


def read(path: Path) -> tuple[Policy, Clauses]:
    """A policy as `draft` reads it, and its clauses, from one reading of its file.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: the policy is not valid; lists every problem.
    """
    text = content(path)
    policy = loads(text, name=str(path), folder=path.parent, absent=draft.stand_in)
    return policy, Clauses(str(path), tuple(text.decode().splitlines()), yaml.Composer().compose(text))


def standing(source: str) -> tuple[Standing, str]:
    """What a source rests on, and the source itself."""
    for mark in _MARKS:
        if source.startswith(f"{mark}: "):
            return mark, source.removeprefix(f"{mark}: ")
    return "read", source
