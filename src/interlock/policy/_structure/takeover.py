"""No behavioural evidence of a propensity is admitted for a threshold with takeover potential, whatever way it comes.

A model that could take over can behave as it is wished to while it is watched. So nothing by which such a threshold is
found to be below, and nothing that its cells list, may rest on a measure of kind `propensity`: not through a mean, a
combination, another threshold, a judgement or an exception. What the makers understand is a measure of its own kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy._structure.cycles import resting_on
from interlock.policy._structure.parts import Path, Problem, listed, located
from interlock.policy.model import At, Measured, Ref, RuledOut, Unbounded, UnderReference, UnderScreen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from interlock.policy._structure.parts import Parts
    from interlock.policy.model import Cell, Threshold


def check_takeover(parts: Parts) -> Iterator[Problem]:
    """Every place at which a threshold with takeover potential, or a cell of it, rests on a measure of a propensity."""
    leaning, higher = _leaning(parts), _higher(parts)
    inclined = _inclined(parts, leaning)
    for name, threshold in parts.thresholds.items():
        if threshold.takeover_potential:
            through = _through(threshold, higher.get(name, ()))
            rests = [*_direct(parts, threshold), *((at, leaning[other]) for at, other in through if other in leaning)]
            for path, measure in rests:
                yield Problem(path, _message(name, "evidence", measure))
    for action, cells in parts.gates.items():
        for name, cell in cells.items():
            found = parts.thresholds.get(name)
            if found is not None and found.takeover_potential:
                yield from _cell(name, cell, ("gates", action, name), inclined)


def _message(threshold: str, what: str, measure: str) -> str:
    return (
        f"threshold `{threshold}` has takeover potential, for which no measure of a propensity shows anything; "
        f"expected no {what} that rests on one, got `{measure}`"
    )


def _cell(threshold: str, cell: Cell, path: Path, inclined: Mapping[str, str]) -> Iterator[Problem]:
    for at, name in listed(cell):
        if name in inclined:
            yield Problem((*path, *at), _message(threshold, "requirement", inclined[name]))


# -- what rests on a propensity ----------------------------------------------------------------------------------------


def _propensity(parts: Parts, name: str) -> bool:
    """Whether a measure is of a propensity, or the mean of one."""
    found = parts.measures.get(name)
    own = (found,) if isinstance(found, Unbounded) else parts.plain(name)
    return any(base.kind == "propensity" for base in own)


def _direct(parts: Parts, threshold: Threshold) -> Iterator[tuple[Path, str]]:
    """Where a threshold names measures of a propensity itself, and which."""
    path = ("thresholds", threshold.name)
    named: list[tuple[Path, str]] = []
    if threshold.reached_when is not None:
        for at, part, _ in located(threshold.reached_when, (*path, "reached_when")):
            named += [(at, part.measure)] if isinstance(part, At) else []
    for place, way in enumerate(threshold.below_if):
        if isinstance(way, UnderReference):
            named += [((*path, "below_if", place, "on", at), name) for at, name in enumerate(way.on)]
    if threshold.judged is not None:
        named += [((*path, "on", at), name) for at, name in enumerate(threshold.judged.on)]
    yield from ((at, name) for at, name in named if _propensity(parts, name))


def _through(threshold: Threshold, higher: Iterable[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """Where a threshold rests on others, and on which; `higher` are those that list it in `above`."""
    path = ("thresholds", threshold.name)
    if threshold.reached_when is not None:
        for at, part, _ in located(threshold.reached_when, (*path, "reached_when")):
            if isinstance(part, Ref):
                yield at, part.threshold
    for place, way in enumerate(threshold.below_if):
        if isinstance(way, UnderScreen):
            yield (*path, "below_if", place), way.threshold
    yield from higher


def _higher(parts: Parts) -> dict[str, list[tuple[Path, str]]]:
    """By threshold, where others call themselves a higher level of it."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for higher in parts.thresholds.values():
        for place, name in enumerate(higher.above):
            found.setdefault(name, []).append((("thresholds", higher.name, "above", place), higher.name))
    return found


def _leaning(parts: Parts) -> dict[str, str]:
    """The thresholds whose findings rest on a measure of a propensity, each with the measure."""
    found: dict[str, str] = {}
    users: dict[str, list[str]] = {}
    higher = _higher(parts)
    for threshold in parts.thresholds.values():
        for _, measure in _direct(parts, threshold):
            found.setdefault(threshold.name, measure)
        for _, other in _through(threshold, higher.get(threshold.name, ())):
            users.setdefault(other, []).append(threshold.name)
    left = list(found)
    while left:
        name = left.pop()
        new = [user for user in users.get(name, ()) if user not in found]
        found.update(dict.fromkeys(new, found[name]))
        left += new
    return found


def _inclined(parts: Parts, leaning: Mapping[str, str]) -> dict[str, str]:
    """The requirements that a propensity may meet, by way of exceptions too: each with the one that it does."""
    watched = {
        name: name
        for name, it in parts.requirements.items()
        if (isinstance(it, Measured) and _propensity(parts, it.measure))
        or (isinstance(it, RuledOut) and it.threshold in leaning)
    }
    resting = resting_on(parts.requirements, watched)
    for exception in parts.exceptions.values():
        through = next((resting[name] for name in exception.requires if name in resting), None)
        if through is not None:
            watched.update(dict.fromkeys(exception.instead_of, through))
    return resting_on(parts.requirements, watched)
