"""A policy's parts as far as they could be read, and a mistake between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from interlock.policy._scalar import expected_one_of
from interlock.policy.model import BUILT_IN, STANDARD_ACTIONS, AtLeast, Context, Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from interlock.policy.duty import Duty, Response
    from interlock.policy.model import (
        Action,
        Amendments,
        AnyMeasure,
        Assumption,
        Cell,
        ExceptionRule,
        Expr,
        Permits,
        Policy,
        Refresh,
        Requirement,
        Role,
        Scope,
        Threshold,
    )

Path = tuple[str | int, ...]

#: Parts of an expression that stand in one another, at the most.
MAX_DEPTH = 32

#: What is wrong with a list that is there to name something.
EMPTY = "expected a list of at least one, got an empty list"

_SINGULAR = {
    "roles": "role",
    "measures": "measure",
    "quantities": "quantity",
    "assumptions": "assumption",
    "thresholds": "threshold",
    "requirements": "requirement",
    "exceptions": "exception",
    "actions": "action",
    "domains": "domain",
    "actors": "actor",
    "threat_models": "threat model",
    "standards": "standard",
    "reports": "report",
    "incidents": "incident kind",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake at `path`: at the value there, or with `at_key` at the key that names it. `wrong` is not `known`."""

    path: Path
    text: str
    at_key: bool = False
    wrong: str = ""
    known: frozenset[str] = frozenset()

    @property
    def message(self) -> str:
        """The text, with the nearest spelling or else what was expected. Looking for that takes its time."""
        return self.text + (expected_one_of(self.wrong, self.known) if self.wrong else "")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a policy, as far as they could be read.

    A field has the entries that could be read; None (or an empty text) where a part could not, or is not written.
    `names` has every name that a section defines, readable or not, so that one mistake is not reported as many: a
    section that may be left out and is not written has no names (an empty set), one that is there and could not be
    read at all is absent. Its keys are the mappings among the fields below and those of `Context` (`domains`, ...);
    `requirements` has `never`. `listed` has the thresholds written at each gate, readable or not.
    """

    roles: Mapping[str, Role]
    measures: Mapping[str, AnyMeasure]
    assumptions: Mapping[str, Assumption]
    thresholds: Mapping[str, Threshold]
    requirements: Mapping[str, Requirement]
    exceptions: Mapping[str, ExceptionRule]
    gates: Mapping[str, Mapping[str, Cell]]
    not_governed: Mapping[str, str]
    actions: Mapping[str, Action]
    on_hold: Mapping[str, tuple[Response, ...]]
    duties: Mapping[str, Duty]
    context: Context
    scope: Scope | None
    refresh: Refresh | None
    permits: Permits | None
    amendments: Amendments | None
    independent: str
    effective: datetime | None
    expires: datetime | None
    version: str
    supersedes: str
    names: Mapping[str, frozenset[str]]
    listed: Mapping[str, frozenset[str]]

    def known(self, section: str) -> frozenset[str] | None:
        """What may be named as one of `section`; None where that cannot be told, since a section could not be read."""
        if section == "quantities":
            measures = self.names.get("measures")
            return None if measures is None else measures | frozenset(BUILT_IN)
        if section == "actions":
            found = [self.names.get(name) for name in ("actions", "gates", "not_governed")]
            return None if None in found else frozenset(STANDARD_ACTIONS).union(*filter(None, found))
        return self.names.get(section)

    def shared(self, one: str, other: str) -> bool:
        """Whether two roles have a key in common. One without keys, or that could not be read, has its name alone."""
        if one == other:
            return True
        if one not in self.roles or other not in self.roles:
            return False
        return not set(self.roles[one].keys).isdisjoint(self.roles[other].keys)

    def plain(self, measure: str) -> tuple[Measure, ...]:
        """The measures that are run for this one: itself, or those that it is the mean of, if they can be read."""
        found = self.measures.get(measure)
        if isinstance(found, Measure):
            return (found,)
        bases = (self.measures.get(base) for base in getattr(found, "weights", ()))
        return tuple(base for base in bases if isinstance(base, Measure))


def parts_of(policy: Policy) -> Parts:
    """All parts of a whole policy."""
    own = {field.name: getattr(policy, field.name) for field in fields(Parts) if hasattr(policy, field.name)}
    named = {**own, **{field.name: getattr(policy.context, field.name) for field in fields(Context)}}
    return Parts(
        **own,
        names={name: frozenset(entries) for name, entries in named.items() if isinstance(entries, Mapping)},
        listed={action: frozenset(cells) for action, cells in policy.gates.items()},
    )


def refers(
    names: Mapping[str, frozenset[str]],
    section: str,
    name: str,
    path: Path,
    *,
    at_key: bool = False,
) -> Iterator[Problem]:
    """The problem with a mention of `name` at `path`, if `section` does not define it."""
    yield from _undefined(names.get(section), section, name, path, at_key=at_key)


def mention(parts: Parts, section: str, name: str, path: Path, *, at_key: bool = False) -> Iterator[Problem]:
    """The same, with what is built in; `section` may also be `quantities` or `actions`. An empty name is none."""
    if name:
        yield from _undefined(parts.known(section), section, name, path, at_key=at_key)


def mentions(parts: Parts, section: str, names: Iterable[str], path: Path) -> Iterator[Problem]:
    """The same for a list at `path`, and what it lists twice."""
    seen: set[str] = set()
    for place, name in enumerate(names):
        yield from mention(parts, section, name, (*path, place))
        if name in seen:
            yield Problem((*path, place), f"{_SINGULAR[section]} `{name}` is listed twice")
        seen.add(name)


def mentioned_kinds(parts: Parts, kinds: Iterable[str], path: Path) -> Iterator[Problem]:
    """The problems with kinds of incident in a list at `path`. Where no kind is defined, any may be named."""
    for place, kind in enumerate(kinds if parts.known("incidents") else ()):
        yield from mention(parts, "incidents", kind, (*path, place))


def _undefined(known: frozenset[str] | None, section: str, name: str, path: Path, *, at_key: bool) -> Iterator[Problem]:
    if known is not None and name not in known:
        yield Problem(path, f"{_SINGULAR[section]} `{name}` is not defined", at_key, name, known)


def listed(cell: Cell) -> Iterator[tuple[Path, str]]:
    """The requirements of a cell, each with where it is written in it."""
    plain = cell.modality == "must" and not cell.weaker and not cell.sources
    for place, name in enumerate(cell.requires):
        yield (place,) if plain else (cell.modality, place), name
    places: Counter[str] = Counter()
    for modality, name in cell.weaker:
        yield (modality, places[modality]), name
        places[modality] += 1


def counted(count: int, of: int, path: Path) -> list[Path]:
    """Where the parts of a combination are written, if it is written in the shortest way."""
    if count == of:
        return [(*path, "all_of", place) for place in range(of)]
    if count == 1:
        return [(*path, "any_of", place) for place in range(of)]
    return [(*path, "at_least", "of", place) for place in range(of)]


def located(expr: Expr, path: Path) -> Iterator[tuple[Path, Expr, int]]:
    """The expression and everything in it, each with where it is written and how deep (from 1)."""
    left: list[tuple[Path, Expr, int]] = [(path, expr, 1)]
    while left:
        at, part, depth = left.pop()
        yield at, part, depth
        if isinstance(part, AtLeast):
            inner = zip(counted(part.count, len(part.parts), at), part.parts, strict=True)
            left.extend(reversed([(where, one, depth + 1) for where, one in inner]))
