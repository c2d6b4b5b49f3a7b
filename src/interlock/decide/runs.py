"""Which subjects one training run may have saved, one after the other, as far as a ledger can tell."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from fractions import Fraction

    from interlock.decide.facts import Step, Subject


class _Spent(NamedTuple):
    """FLOP of the cheapest and of the dearest way from one subject to another."""

    least: int
    most: int


_Ways = dict[str, _Spent]


class Runs:
    """The ways of steps that go on: `continued` ones, and those within a share of what their parent was trained with,
    by which a subject is copied rather than made anew.
    """

    def __init__(self, subjects: Mapping[str, Subject], share: Fraction) -> None:
        self._subjects, self._share = subjects, share
        self._ways = self._measured()
        self._runs: dict[str, list[tuple[str, _Spent]]] = defaultdict(list)
        self._onto: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        for it, subject in subjects.items():
            steps = self._going_on(subject)
            for origin, spent in _joined([step for step in steps if step.kind == "continued"], self._ways).items():
                self._runs[origin].append((it, spent))
            for step in steps:
                self._onto[step.parent].append((it, step.kind == "continued"))

    def before(self, subjects: Iterable[str]) -> frozenset[str]:
        """What was continued, by some way for no more than some way took to one of these from the same subject."""
        furthest: dict[str, int] = {}
        for origin, spent in (it for one in subjects for it in self._ways[one].items()):
            furthest[origin] = max(spent.most, furthest.get(origin, 0))
        ends = ((self._runs.get(origin, ()), most) for origin, most in furthest.items())
        return frozenset(other for run, most in ends for other, spent in run if spent.least <= most)

    def after(self, subject: str) -> frozenset[str]:
        """What was continued from it, near and far, or by some way for more than some way took to it."""
        ways = self._ways[subject].items()
        found = {it for at, own in ways for it, spent in self._runs.get(at, ()) if spent.most > own.least}
        seen, todo = {subject}, [subject]
        while todo:
            onto = self._onto.get(todo.pop(), ())
            found.update(other for other, continued in onto if continued)
            todo += (new := {other for other, _ in onto} - seen)
            seen |= new
        return frozenset(found - {subject})

    def _going_on(self, subject: Subject) -> list[Step]:
        return [it for it in subject.steps if it.kind == "continued" or self._is_cheap(it)]

    def _is_cheap(self, step: Step) -> bool:
        parent = self._subjects.get(step.parent)
        return parent is not None and step.compute <= self._share * parent.training_compute

    def _measured(self) -> dict[str, _Ways]:
        """Of each subject, where ways to it begin, and what these ways spent.

        Only where no step goes on to the beginning itself: of two subjects that both follow from another, whichever is
        further by some ways is so from where the other came from, too.
        """
        found: dict[str, _Ways] = {}
        seen: set[str] = set()
        todo = list(self._subjects)
        while todo:
            steps = self._going_on(self._subjects[todo[-1]])
            waiting = {it.parent for it in steps} & self._subjects.keys() - seen  # a circle, which none has, ends here
            seen |= {todo[-1]}
            todo += waiting
            if not waiting:
                found[todo.pop()] = _joined(steps, found)
        return found


def _joined(steps: list[Step], found: Mapping[str, _Ways]) -> _Ways:
    ways: _Ways = {}
    for step in steps:
        for origin, spent in (found.get(step.parent) or {step.parent: _Spent(0, 0)}).items():
            least, most = spent.least + step.compute, spent.most + step.compute
            other = ways.get(origin, _Spent(least, most))
            ways[origin] = _Spent(min(least, other.least), max(most, other.most))
    return ways
