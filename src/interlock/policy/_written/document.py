"""One policy file on its way to a policy: its tree, where everything stands in it, and the problems so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from interlock.errors import SHOWN
from interlock.policy._structure import check as _check
from interlock.policy._structure.check import Problem
from interlock.policy._written import form as _form
from interlock.policy._written import yaml as _yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from interlock.policy._written.yaml import Mark, Node, Path, Plain

F = TypeVar("F")

#: Fields that name roles, whichever entry they stand in.
_ROLE_FIELDS = frozenset(
    {
        *("approved_by", "by", "consulted", "discretion", "forecast_by", "independent", "independent_of", "issued_by"),
        *("judged_by", "notify", "owner", "proposed_by", "revocable_by", "run_by", "stated_by"),
    }
)
#: What may be written for one another where `_structure/check.py` knows the meaning only: any of one is all of it.
_COMBINATIONS: tuple[tuple[str, ...], ...] = (("any_of",), ("all_of",), ("at_least", "of"))


@dataclass(frozen=True, slots=True)
class Document:
    """The tree with positions, the same without, the names that its sections define, and what is wrong so far."""

    root: Node
    data: Plain
    names: Mapping[str, frozenset[str]]
    found: list[tuple[Mark, str]]

    def at(self, *path: str) -> Plain:
        """The plain data at `path`, or nothing."""
        data = self.data
        for step in path:
            data = data.get(step) if isinstance(data, dict) else None
        return data

    def entries(self, *path: str) -> dict[str, Plain]:
        """The mapping at `path`; an empty one where there is none."""
        data = self.at(*path)
        return data if isinstance(data, dict) else {}

    def read(self, reader: Callable[[Plain], F], *path: str) -> F | None:
        """What `reader` makes of the entry at `path`, or nothing: what is wrong with it is noted. That it is missing is
        its parent's problem.
        """
        entry = self.at(*path)
        if entry is None:
            return None
        try:
            return reader(entry)
        except ValueError as error:
            self.add_all(_form.problems(error, path))
            self.add_mentions(*path)
        return None

    def section(self, section: str, reader: Callable[[Plain], F]) -> dict[str, F]:
        """What `reader` makes of the entries of a section, as far as they can be read."""
        made = ((name, self.read(reader, section, name)) for name in self.entries(section))
        return {name: value for name, value in made if value is not None}

    def add(self, problem: Problem) -> None:
        """Note a problem at its line and column; a value that is not there was reported already."""
        path = self._written(problem.path)
        node = _yaml.find(self.root, path)
        if node is not None and node.value is None and not problem.at_key:
            return
        node = node or _yaml.nearest(self.root, path)
        message = problem.message if len(self.found) < SHOWN else problem.text
        self.found.append((node.key_at if problem.at_key else node.at, message))

    def add_all(self, problems: Iterable[Problem]) -> None:
        """Note all of them."""
        for problem in problems:
            self.add(problem)

    def add_checks(self, parts: _check.Parts) -> None:
        """Note what is wrong between the parts. A mistake taken over by `like` is told once, where it was written."""
        told: set[str] = set()
        elsewhere = []
        for problem in _check.check(parts):
            if _yaml.find(self.root, self._written(problem.path)) is None:
                elsewhere.append(problem)
            else:
                told.add(problem.text)
                self.add(problem)
        for problem in elsewhere:
            if problem.text not in told:
                told.add(problem.text)
                self.add(problem)

    def add_mentions(self, *path: str) -> None:
        """Check the roles in an entry that cannot be read as a whole, so that they are not left for the next time."""
        for at, name in self._roles(path):
            self.add_all(_check.refers(self.names, "roles", name, at))

    def _roles(self, path: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
        for field, value in self.entries(*path).items():
            listed = enumerate(value) if isinstance(value, list) else []
            for at, name in [((), value), *(((place,), item) for place, item in listed)]:
                if field in _ROLE_FIELDS and isinstance(name, str):
                    yield (*path, field, *at), name

    def _written(self, path: Path) -> Path:
        """The path as this file has it, where the same can be written in more than one way."""
        if path[:1] == ("gates",) and len(path) > 3:
            return self._in_cell(path)
        written: Path = ()
        left = path
        while left:
            here = next((form for form in _COMBINATIONS if left[: len(form)] == form), left[:1])
            left = left[len(here) :]
            if here in _COMBINATIONS and _yaml.find(self.root, (*written, *here)) is None:
                others = (form for form in _COMBINATIONS if _yaml.find(self.root, (*written, *form)))
                here = next(others, here)
            written = (*written, *here)
        return written

    def _in_cell(self, path: Path) -> Path:
        """A cell lists what gates under one word, under two, or under none."""
        cell, place = path[:3], path[-1]
        node = _yaml.find(self.root, cell)
        if node is None or not isinstance(node.value, dict) or not isinstance(place, int):
            return path
        if path[3] in {"intends", "recommends"}:
            return path
        lists = [(word, node.value[word].value) for word in ("must", "will") if word in node.value]
        places = [(word, at) for word, items in lists if isinstance(items, list) for at in range(len(items))]
        return (*cell, *places[place]) if place < len(places) else path


def names(data: Plain, sections: Iterable[str], required: frozenset[str]) -> dict[str, frozenset[str]]:
    """What each section defines; nothing of one that is no mapping, or that is `required` and missing."""
    written = data if isinstance(data, dict) else {}
    found: dict[str, frozenset[str]] = {}
    for section in sections:
        entries = written.get(section)
        if isinstance(entries, dict):
            found[section] = frozenset(entries)
        elif section not in written and section not in required:
            found[section] = frozenset()
    return found
