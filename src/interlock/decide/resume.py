"""What would lift a hold: the smallest sets of things to do, in words, the cheapest first.

They are necessary, not sufficient: an evaluation may find that a threshold is reached. No way at all is a *stop until
amended*.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interlock.decide.decision import Cell, Decision, Node, Reason

#: How many ways are followed at once; the cheapest survive.
_KEPT = 8
#: What it takes, roughly, by the code of a reason: paper before people before evaluations.
_COSTS = {
    **dict.fromkeys(("stale-ledger", "unknown-subject", "unknown-parent", "unknown-deployment", "no-deployment"), 1),
    **dict.fromkeys(("assumption", "not-attested", "no-forecast"), 2),
    **dict.fromkeys(("not-approved", "not-judged"), 3),
    **dict.fromkeys(("unreported", "open-plan"), 5),
}
_EVALUATION = 8

#: A set of steps, each with what it costs.
Way = frozenset[tuple[str, int]]
_NOTHING: tuple[Way, ...] = (frozenset(),)


def resume(decision: Decision) -> tuple[tuple[str, ...], ...]:
    """The ways to lift the hold; empty for a permit, and for a stop until amended."""
    if decision.verdict == "permit":
        return ()
    found = _all(decision.reasons)
    for ruling in decision.rulings:
        if ruling.governs and ruling.verdict == "hold":
            found = _both(found, _all(ruling.reasons))
            for cell in ruling.cells:
                found = _both(found, _NOTHING if cell.opens else _cell(cell))
    return _said(found)


def ways(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """The ways to lift one holding cell."""
    return _said(_cell(cell))


def _said(found: Iterable[Way]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(text for text, _ in sorted(way, key=lambda step: (step[1], step[0]))) for way in found)


def _cell(cell: Cell) -> tuple[Way, ...]:
    overdue = _all([cell.finding.overdue] if cell.finding.overdue else [])
    by_requirements = overdue
    for requirement in cell.requirements:
        by_requirements = _both(by_requirements, _of(requirement.tree))
    by_evidence = () if cell.finding.state == "reached" else _of(cell.finding.tree)
    return _cheapest([*by_requirements, *by_evidence])


def _of(node: Node) -> tuple[Way, ...]:
    """The ways to make a node hold."""
    if node.holds:
        return _NOTHING
    found = _all(node.reasons)
    if node.need:
        counts: list[tuple[Way, ...]] = [_NOTHING] + [()] * node.need  # ways to have so many parts hold
        for part in node.parts:
            more = _of(part)
            for count in range(node.need, 0, -1):
                counts[count] = _cheapest([*counts[count], *_both(counts[count - 1], more)])
        found = _both(found, counts[node.need])
    return found


def _all(reasons: Iterable[Reason]) -> tuple[Way, ...]:
    steps = set()
    for reason in reasons:
        if reason.resume is None:
            return ()
        steps.add((reason.resume, _COSTS.get(reason.code, _EVALUATION)))
    return (frozenset(steps),)


def _both(one: tuple[Way, ...], other: tuple[Way, ...]) -> tuple[Way, ...]:
    return _cheapest([_joined(first, second) for first, second in product(one, other)])


def _joined(one: Way, other: Way) -> Way:
    """All steps of both; a step that both take is taken once, at the lesser cost."""
    costs = dict(sorted(one | other, key=lambda step: step[1], reverse=True))
    return frozenset(costs.items())


def _steps(way: Way) -> frozenset[str]:
    return frozenset(text for text, _ in way)


def _cheapest(found: Iterable[Way]) -> tuple[Way, ...]:
    kept: list[Way] = []
    for way in sorted(set(found), key=lambda way: (sum(cost for _, cost in way), len(way), sorted(way))):
        if len(kept) < _KEPT and not any(_steps(smaller) <= _steps(way) for smaller in kept):
            kept.append(way)
    return tuple(kept)
