"""What depends on what: thresholds on thresholds, combined requirements on requirements.

Nothing may depend on itself, or deciding would not end; nor through a longer chain than `MAX_CHAIN`, or a policy could
exhaust whoever decides by it. A threshold depends on those in its expression, on its screens, on those that list it in
`above`, and on those at which an assumption behind its rule is void. A requirement depends on those that it combines,
on what may stand in for it, on the threshold that it wants ruled out, and on assumptions like a threshold.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from interlock.policy._structure.parts import Parts, Problem, located
from interlock.policy._structure.rules import assumed_by
from interlock.policy.model import (
    At,
    Combined,
    Defined,
    Hole,
    Measured,
    Never,
    Ref,
    RuledOut,
    UnderReference,
    UnderScreen,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interlock.policy.model import Requirement, Threshold

#: Steps from one threshold or requirement to the last that it depends on, at the most. A step is as far as whoever
#: decides goes down for one level of an expression: three of Python's calls, of which it has a thousand for all.
MAX_CHAIN = 64
#: Steps from a measure to a threshold at which an assumption behind it is void; from a threshold to a subject that it
#: names, and to its screen; from a requirement to one that it combines or for which it stands in; to a threshold.
_VOID, _REFERENCE, _SCREEN, _COMBINED, _RULED_OUT = 4, 2, 2, 2, 1
#: Parts of an explanation in which everything that something depends on is written out, at the most.
MAX_PARTS = 10_000
_SECTIONS = {"threshold": "thresholds", "requirement": "requirements"}

#: name -> what it depends on -> (how many steps away, why; an empty text where that is plain).
Graph = dict[str, dict[str, tuple[int, str]]]


def check_cycles(parts: Parts) -> Iterator[Problem]:
    """Every threshold and requirement that depends on itself."""
    lengths: dict[str, int] = {}
    problems = [*_circles(_thresholds(parts), lengths, kind="threshold"), *_too_long(lengths, kind="threshold")]
    problems += _requirements(parts, {} if problems else lengths)
    yield from problems
    if not problems:
        combined = [it for it in parts.requirements.values() if isinstance(it, Combined)]
        mentions = {it.name: list(_mentioned(it)) for it in parts.thresholds.values()}
        yield from _too_many_parts(mentions, "threshold")
        yield from _too_many_parts({it.name: list(it.of) for it in combined}, "requirement")


def _requirements(parts: Parts, thresholds: Mapping[str, int]) -> Iterator[Problem]:
    """Every requirement that depends on itself, and the first that depends on too much. `thresholds`: their lengths."""
    graph: Graph = {
        name: dict.fromkeys(it.of, (_COMBINED, "")) if isinstance(it, Combined) else {}
        for name, it in parts.requirements.items()
    }
    ends = {name: _asks(parts, it, thresholds) for name, it in parts.requirements.items()}
    alone: dict[str, int] = {}
    circles = list(_circles(graph, alone, ends, kind="requirement"))
    if circles:
        yield from circles
        return
    for rule in parts.exceptions.values():  # for what stands in for one, nothing else does
        longest = max((alone.get(name, 0) for name in rule.requires), default=0)
        for name in rule.instead_of:
            ends[name] = max(ends.get(name, 0), _COMBINED + longest)
    lengths: dict[str, int] = {}
    yield from _circles(graph, lengths, ends, kind="requirement")
    yield from _too_long(lengths, kind="requirement")


def _asks(parts: Parts, requirement: Requirement, thresholds: Mapping[str, int]) -> int:
    """The steps from a requirement through the thresholds that it asks for itself."""
    if isinstance(requirement, RuledOut):
        return _RULED_OUT + thresholds.get(requirement.threshold, 0)
    voids = _voids(parts, requirement) if isinstance(requirement, Measured) else {}
    return max((_VOID + thresholds.get(name, 0) for name in voids), default=0)


def _mentioned(threshold: Threshold) -> Iterator[str]:
    """The thresholds whose findings are part of this one's explanation, as often as they are."""
    for _, part, _ in located(threshold.reached_when, ()) if threshold.reached_when else ():
        if isinstance(part, Ref):
            yield part.threshold
    yield from (way.threshold for way in threshold.below_if if isinstance(way, UnderScreen))


def _too_many_parts(mentions: Mapping[str, list[str]], kind: str) -> Iterator[Problem]:
    """The first whose explanation would be too long: few names can stand in one another very often."""
    sizes: dict[str, int] = {}

    def size(name: str) -> int:
        if name not in sizes:
            sizes[name] = 1 + sum(size(other) for other in mentions.get(name, ()))
        return sizes[name]

    for name in mentions:
        if size(name) > MAX_PARTS:
            message = f"expected at most {MAX_PARTS} parts when all that {kind} `{name}` depends on is written out"
            yield Problem((_SECTIONS[kind], name), f"{message}, got {size(name)}", at_key=True)
            return


def resting_on(requirements: Mapping[str, Requirement], found: Mapping[str, str]) -> dict[str, str]:
    """The requirements `found`, and all that combine them, however far up: each with what was found under it."""
    users: dict[str, list[str]] = {}
    for requirement in requirements.values():
        for name in requirement.of if isinstance(requirement, Combined) else ():
            users.setdefault(name, []).append(requirement.name)
    under = dict(found)
    left = list(under)
    while left:
        name = left.pop()
        for user in users.get(name, ()):
            if user not in under:
                under[user] = under[name]
                left.append(user)
    return under


def never_met(requirements: Mapping[str, Requirement]) -> dict[str, str]:
    """The requirements that are, or combine, a hole or `never`: each with that one."""
    empty = [it.name for it in requirements.values() if isinstance(it, (Hole, Never))]
    return resting_on(requirements, {name: name for name in (*empty, "never")})


def needed(parts: Parts) -> set[str]:
    """The thresholds that some gate depends on: they stand there, or something that stands there asks for them."""
    graph = _thresholds(parts)
    left = [name for listed in parts.listed.values() for name in listed]
    for requirement in parts.requirements.values():
        if isinstance(requirement, RuledOut):
            left.append(requirement.threshold)
        elif isinstance(requirement, Measured):
            left.extend(_voids(parts, requirement))
        elif isinstance(requirement, Defined):
            threshold = parts.thresholds.get(requirement.threshold)
            left.extend([threshold.name] if threshold and threshold.hole else [])
    found: set[str] = set()
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(graph.get(name, ()))
    return found


def _thresholds(parts: Parts) -> Graph:
    graph: Graph = {name: _own(parts, threshold) for name, threshold in parts.thresholds.items()}
    for higher in parts.thresholds.values():
        for name in higher.above:
            if name in graph:
                graph[name].setdefault(higher.name, (1, f"`{higher.name}` lists `{name}` in `above`"))
    return graph


def _own(parts: Parts, threshold: Threshold) -> dict[str, tuple[int, str]]:
    """What a threshold depends on by itself, the shallowest reason for each but with the longest way."""
    inside = list(located(threshold.reached_when, ())) if threshold.reached_when else []
    ways = [(part.threshold, depth, "") for _, part, depth in inside if isinstance(part, Ref)]
    ways += [(way.threshold, _SCREEN, "") for way in threshold.below_if if isinstance(way, UnderScreen)]
    asking = [depth for _, part, depth in inside if isinstance(part, At)]
    asking += [_REFERENCE for way in threshold.below_if if isinstance(way, UnderReference)]
    ways += [(name, max(asking, default=0) + _VOID, why) for name, why in _voids(parts, threshold).items()]
    found: dict[str, tuple[int, str]] = {}
    for name, away, why in ways:
        longest, first = found.get(name, (0, why))
        found[name] = (max(longest, away), first)
    return found


def _voids(parts: Parts, owner: Threshold | Measured) -> dict[str, str]:
    """The thresholds at which an assumption behind a rule is void."""
    assumed = [parts.assumptions[name] for name in assumed_by(parts, owner) if name in parts.assumptions]
    return {name: f"`{it.name}` is void at `{name}`" for it in assumed for name in it.void_at}


def _circles(
    graph: Graph, lengths: dict[str, int], ends: Mapping[str, int] | None = None, *, kind: str
) -> Iterator[Problem]:
    """Every circle, at the first name on it. `lengths` fills with the steps to the last that each depends on; `ends`:
    those that one takes outside of the graph.
    """
    for start in graph:
        yield from _from(start, graph, lengths, ends or {}, kind=kind)


def _too_long(lengths: Mapping[str, int], *, kind: str) -> Iterator[Problem]:
    """The first chain of the longest, if that is too long."""
    longest = max(lengths, key=lengths.__getitem__, default=None)
    if longest is not None and lengths[longest] > MAX_CHAIN:
        yield Problem(
            (_SECTIONS[kind], longest),
            f"expected at most {MAX_CHAIN} steps from {kind} `{longest}` to the last that it depends on, "
            f"got {lengths[longest]}",
            at_key=True,
        )


def _from(
    start: str, graph: Graph, lengths: dict[str, int], ends: Mapping[str, int], *, kind: str
) -> Iterator[Problem]:
    """Walk everything that `start` depends on, depth first; `lengths` has what was walked already."""
    if start in lengths:
        return
    trail = {start: iter(graph[start])}  # from `start` to where we are, with what is left to walk there
    while trail:
        name, left = next(reversed(trail.items()))
        step = next((step for step in left if step in graph and step not in lengths), None)
        if step is None:
            steps = [away + lengths.get(on, 0) for on, (away, _) in graph[name].items()]
            lengths[name] = max([ends.get(name, 0), *steps])
            del trail[name]
        elif step in trail:
            yield _circle(list(trail), step, graph, kind=kind)
        else:
            trail[step] = iter(graph[step])


def _circle(trail: list[str], back: str, graph: Mapping[str, Mapping[str, tuple[int, str]]], *, kind: str) -> Problem:
    circle = [*trail[trail.index(back) :], back]
    reasons = dict.fromkeys(graph[one][other][1] for one, other in pairwise(circle))
    told = ", ".join(filter(None, reasons))
    way = " -> ".join(f"`{name}`" for name in circle)
    said = f" ({told})" if told else ""
    message = f"{kind} `{back}` depends on itself: {way}{said}; expected none that does"
    return Problem((_SECTIONS[kind], back), message, at_key=True)
