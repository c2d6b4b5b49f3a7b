"""What depends on what: thresholds on thresholds, combined requirements on requirements.

Nothing may depend on itself, or deciding would not end; nor through a longer chain than `MAX_CHAIN`, or a policy could
exhaust whoever decides by it. A threshold depends on those in its expression, on its screens, on those that list it in
`above`, and on those at which an assumption behind its rule is void.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from interlock.policy._structure.parts import Parts, Path, Problem, located
from interlock.policy._structure.rules import assumed_by
from interlock.policy.model import Combined, Defined, Hole, Measured, Never, Ref, RuledOut, UnderScreen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interlock.policy.model import Requirement, Threshold

#: Steps from one threshold or requirement to the next, with the levels of the expressions between, at the most.
MAX_CHAIN = 64
#: Parts of an explanation in which everything that something depends on is written out, at the most.
MAX_PARTS = 10_000

#: name -> what it depends on -> (how many steps away, why; an empty text where that is plain).
Graph = dict[str, dict[str, tuple[int, str]]]


def check_cycles(parts: Parts) -> Iterator[Problem]:
    """Every threshold and requirement that depends on itself."""
    combined = [it for it in parts.requirements.values() if isinstance(it, Combined)]
    requirements: Graph = {it.name: dict.fromkeys(it.of, (1, "")) for it in combined}
    problems = [
        *_circles(_thresholds(parts), "threshold", ("thresholds",)),
        *_circles(requirements, "requirement", ("requirements",)),
    ]
    yield from problems
    if not problems:
        mentions = {it.name: list(_mentioned(it)) for it in parts.thresholds.values()}
        yield from _too_many_parts(mentions, "threshold", ("thresholds",))
        yield from _too_many_parts({it.name: list(it.of) for it in combined}, "requirement", ("requirements",))


def _mentioned(threshold: Threshold) -> Iterator[str]:
    """The thresholds whose findings are part of this one's explanation, as often as they are."""
    for _, part, _ in located(threshold.reached_when, ()) if threshold.reached_when else ():
        if isinstance(part, Ref):
            yield part.threshold
    yield from (way.threshold for way in threshold.below_if if isinstance(way, UnderScreen))


def _too_many_parts(mentions: Mapping[str, list[str]], kind: str, section: Path) -> Iterator[Problem]:
    """The first whose explanation would be too long: few names can stand in one another very often."""
    sizes: dict[str, int] = {}

    def size(name: str) -> int:
        if name not in sizes:
            sizes[name] = 1 + sum(size(other) for other in mentions.get(name, ()))
        return sizes[name]

    for name in mentions:
        if size(name) > MAX_PARTS:
            message = f"expected at most {MAX_PARTS} parts when all that {kind} `{name}` depends on is written out"
            yield Problem((*section, name), f"{message}, got {size(name)}", at_key=True)
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
    found: dict[str, tuple[int, str]] = {}
    for _, part, depth in located(threshold.reached_when, ()) if threshold.reached_when else ():
        if isinstance(part, Ref):
            found[part.threshold] = (max(depth, *found.get(part.threshold, (0, ""))[:1]), "")
    for way in threshold.below_if:
        if isinstance(way, UnderScreen):
            found.setdefault(way.threshold, (1, ""))
    for name, why in _voids(parts, threshold).items():
        found.setdefault(name, (1, why))
    return found


def _voids(parts: Parts, owner: Threshold | Measured) -> dict[str, str]:
    """The thresholds at which an assumption behind a rule is void."""
    assumed = [parts.assumptions[name] for name in assumed_by(parts, owner) if name in parts.assumptions]
    return {name: f"`{it.name}` is void at `{name}`" for it in assumed for name in it.void_at}


def _circles(graph: Graph, kind: str, section: Path) -> Iterator[Problem]:
    """Every circle, at the first name on it; and the first chain that is too long."""
    lengths: dict[str, int] = {}
    for start in graph:
        yield from _from(start, graph, lengths, kind=kind, section=section)
    longest = max(lengths, key=lengths.__getitem__, default=None)
    if longest is not None and lengths[longest] > MAX_CHAIN:
        yield Problem(
            (*section, longest),
            f"expected at most {MAX_CHAIN} steps from {kind} `{longest}` to the last that it depends on, "
            f"got {lengths[longest]}",
            at_key=True,
        )


def _from(start: str, graph: Graph, lengths: dict[str, int], *, kind: str, section: Path) -> Iterator[Problem]:
    """Walk everything that `start` depends on, depth first; `lengths` has what was walked already."""
    if start in lengths:
        return
    trail = {start: iter(graph[start])}  # from `start` to where we are, with what is left to walk there
    while trail:
        name, left = next(reversed(trail.items()))
        step = next((step for step in left if step in graph and step not in lengths), None)
        if step is None:
            steps = [away + lengths.get(on, 0) for on, (away, _) in graph[name].items()]
            lengths[name] = max(steps, default=0)
            del trail[name]
        elif step in trail:
            yield _circle(list(trail), step, graph, kind=kind, section=section)
        else:
            trail[step] = iter(graph[step])


def _circle(
    trail: list[str], back: str, graph: Mapping[str, Mapping[str, tuple[int, str]]], *, kind: str, section: Path
) -> Problem:
    circle = [*trail[trail.index(back) :], back]
    reasons = dict.fromkeys(graph[one][other][1] for one, other in pairwise(circle))
    told = ", ".join(filter(None, reasons))
    way = " -> ".join(f"`{name}`" for name in circle)
    said = f" ({told})" if told else ""
    message = f"{kind} `{back}` depends on itself: {way}{said}; expected none that does"
    return Problem((*section, back), message, at_key=True)
