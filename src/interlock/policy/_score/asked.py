"""A policy that questions are asked of: its cells, what they rest on, and what the checks found in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from interlock.policy._lint.stops import refs
from interlock.policy._lint.view import View
from interlock.policy._lint.ways import Ways
from interlock.policy.lint import lint
from interlock.policy.model import At, AtLeast, Combined, Hole, Never, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from interlock.policy.lint import Finding
    from interlock.policy.model import Expr, Policy, Requirement, Threshold


@dataclass(frozen=True)
class Asked:
    """The policy as the checks see it. It must have loaded."""

    policy: Policy

    @cached_property
    def view(self) -> View:
        """Which of its parts decide anything."""
        return View(self.policy)

    @cached_property
    def ways(self) -> Ways:
        """What can ever be shown under it."""
        return Ways(self.view)

    @cached_property
    def _findings(self) -> tuple[Finding, ...]:
        return lint(self.policy)

    def found(self, *checks: str) -> list[str]:
        """The paths at which the checks found something."""
        return [finding.path for finding in self._findings if finding.check in checks]

    # -- cells

    def cells(self, *actions: str) -> list[tuple[str, str]]:
        """(action, threshold) of the cells that gate: of all actions, or of these and of those that refine them."""
        found = [(action, name) for action, name, _ in self.view.cells]
        return [it for it in found if not actions or self.policy.refined(it[0]) in actions]

    def required(self, action: str, threshold: str) -> list[tuple[str, Requirement]]:
        """What a cell requires, by name, with all parts."""
        listed = self.policy.gates[action][threshold].requires
        names = dict.fromkeys(part for name in listed for part in self.view.within(name))
        return [(name, self.policy.requirements[name]) for name in names]

    def pauses(self, *actions: str) -> list[tuple[str, str]]:
        """The cells that something is there to open: no hole, no `never`."""
        return [
            (action, name)
            for action, name in self.cells(*actions)
            if not self.policy.thresholds[name].hole
            and not any(isinstance(it, Hole | Never) for _, it in self.required(action, name))
        ]

    # -- thresholds

    def thresholds(self, *actions: str) -> list[Threshold]:
        """Those at the gates of the actions, with those that they are made of; of all actions, all that govern."""
        if not actions:
            return list(self.view.governing)
        found: dict[str, Threshold] = {}
        left = [name for _, name in self.cells(*actions)]
        while left:
            name = left.pop(0)
            if name not in found:
                found[name] = self.policy.thresholds[name]
                left += refs(found[name])
        return list(found.values())

    def numbered(self, expr: Expr | None) -> bool:
        """Whether measured capabilities alone can show it to be reached."""
        if isinstance(expr, At):
            return any(measure.kind == "capability" for measure in self.view.plain(expr.measure))
        if isinstance(expr, Ref):
            return self.numbered(self.policy.thresholds[expr.threshold].reached_when)
        return isinstance(expr, AtLeast) and sum(map(self.numbered, expr.parts)) >= expr.count

    def judged(self, thresholds: Iterable[Threshold]) -> list[str]:
        """The names of those that somebody judges and no measured capability shows."""
        return [it.name for it in thresholds if it.judged and not it.hole and not self.numbered(it.reached_when)]

    def vouched(self, word: str, *beginnings: str) -> list[str]:
        """The paths of the attested requirements whose text has the word, by the beginning of their names if any is
        given: what the policy says, and no program can check.
        """
        return [
            f"requirements.{it.name}"
            for it in self.view.attested
            if it.name.startswith(beginnings or ("",)) and word in f"{it.name} {it.what}".replace(" ", "-").lower()
        ]

    def cases(self, action: str, threshold: str) -> Iterator[Combined]:
        """The safety cases that a cell requires: combined requirements with a claim and an argument."""
        for _, it in self.required(action, threshold):
            if isinstance(it, Combined) and it.claim and it.argument:
                yield it

    def outside(self, role: str) -> bool:
        """Whether a role is independent of another."""
        return bool(self.policy.roles[role].independent_of)
