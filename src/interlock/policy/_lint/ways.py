"""What can ever be shown under a policy as it is written: which thresholds can be ruled out, which requirements met.

Whatever is possible for some subject and some evidence counts as possible, so "never" is always true. What is
impossible comes with what stands in the way: something left empty on purpose, a role without keys, or anything else.
The numbers of rules are those of docs/semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from interlock.policy.model import (
    ASSUMED,
    ASSUMED_OF_PROPENSITY,
    Approved,
    At,
    AtLeast,
    Attested,
    Combined,
    Defined,
    Hole,
    Measured,
    Never,
    Ref,
    RuledOut,
    UnderQuantity,
    UnderScreen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from interlock.policy._lint.view import View
    from interlock.policy.model import Cell, Expr, Judged, Measure, RuleOut, Threshold


@dataclass(frozen=True, slots=True)
class Block:
    """What stands in the way for good. `name` is the hole, the role without keys, or the part at fault."""

    kind: Literal["explicit", "keys", "other"]
    name: str
    text: str


Blocks = frozenset[Block]
_NONE: Blocks = frozenset()


def of_kind(blocks: Blocks, kind: str) -> list[Block]:
    """The blocks of one kind, in order of their text."""
    return sorted((block for block in blocks if block.kind == kind), key=lambda block: block.text)


def assumptions(measure: Measure, rule: RuleOut) -> tuple[str, ...]:
    """What a result under the rule takes for granted about a measure (15)."""
    if measure.kind == "propensity":
        return (*ASSUMED_OF_PROPENSITY, *rule.assumes)
    named = [name for demand in rule.elicitation for name in ASSUMED[demand.elicitation]]
    return tuple(dict.fromkeys([*named, *rule.assumes]))


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways out of a hold. Every method returns what stands in the way; nothing: it is possible."""

    view: View
    _below: dict[str, Blocks] = field(default_factory=dict)
    _met: dict[tuple[str, frozenset[str]], Blocks] = field(default_factory=dict)

    def signed(self, role: str) -> Blocks:
        """For a role to sign."""
        if self.view.policy.roles[role].keys:
            return _NONE
        return frozenset({Block("keys", role, f"role `{role}` has no keys")})

    # -- thresholds (21 to 28)

    def below(self, name: str) -> Blocks:
        """For a threshold to be ruled out."""
        if name not in self._below:
            self._below[name] = self._ruled_out(self.view.policy.thresholds[name])
        return self._below[name]

    def _ruled_out(self, threshold: Threshold) -> Blocks:
        # `UnderReference` adds no way: the reference must be below by the same threshold in another one.
        found = [self.below(way.threshold) for way in threshold.below_if if isinstance(way, UnderScreen)]
        found += [_NONE for way in threshold.below_if if isinstance(way, UnderQuantity)]
        if threshold.hole:
            found.append(_hole(threshold))
        elif threshold.judged is not None:
            found.append(self._judged(threshold.judged))
        else:
            found.append(self._expr(threshold.reached_when, threshold))
        return _any(found)

    def _judged(self, judged: Judged) -> Blocks:
        requirements = [name for name in judged.on if name in self.view.policy.requirements]
        return self.signed(judged.by).union(*(self.met(name) for name in requirements))

    def _expr(self, expr: Expr | None, threshold: Threshold) -> Blocks:
        if isinstance(expr, At) and threshold.rule_out is not None:
            return self._under(expr.measure, threshold.rule_out)
        if isinstance(expr, Ref):
            return self.below(expr.threshold)
        if isinstance(expr, AtLeast):
            return _at_least(len(expr.parts) - expr.count + 1, [self._expr(part, threshold) for part in expr.parts])
        return _NONE

    def _under(self, measure: str, rule: RuleOut) -> Blocks:
        found = self.signed(rule.run_by)
        if rule.buffer.forecast_by:
            found |= self.signed(rule.buffer.forecast_by)
        taken = {other for part in self.view.plain(measure) for other in assumptions(part, rule)}
        return found.union(*(self.discharged(other) for other in sorted(taken)))

    def discharged(self, name: str) -> Blocks:
        """For an assumption to be discharged (16)."""
        assumption = self.view.policy.assumptions[name]
        found = self.signed(assumption.by)
        for other in assumption.void_at:
            blocks = self.below(other)
            why = [Block("other", name, f"`{name}` is void at `{other}`, and {it.text}") for it in blocks]
            found |= frozenset(it if it.kind == "keys" else new for it, new in zip(blocks, why, strict=True))
        return found

    def evaluated(self, name: str) -> Blocks:
        """For a threshold that is not ruled out not to be overdue (28)."""
        threshold = self.view.policy.thresholds[name]
        if threshold.hole:
            return _hole(threshold)
        if threshold.judged is not None:
            return self._judged(threshold.judged)
        return self._reported(threshold.reached_when, threshold)

    def _reported(self, expr: Expr | None, threshold: Threshold) -> Blocks:
        if isinstance(expr, At) and threshold.rule_out is not None:
            return self.signed(threshold.rule_out.run_by)
        if isinstance(expr, Ref):
            return _any([self.below(expr.threshold), self.evaluated(expr.threshold)])
        if isinstance(expr, AtLeast):
            every = _NONE.union(*(self._reported(part, threshold) for part in expr.parts))
            return _any([self._expr(expr, threshold), every])
        return _NONE

    # -- requirements (29 to 33)

    def met(self, name: str, excused: frozenset[str] = frozenset()) -> Blocks:
        """For a requirement to be met; an exception may stand in for those `excused`."""
        if name in excused:
            return _NONE
        if (name, excused) not in self._met:
            self._met[name, excused] = self._shown(name, excused)
        return self._met[name, excused]

    def _shown(self, name: str, excused: frozenset[str]) -> Blocks:
        it = self.view.policy.requirements[name]
        if isinstance(it, Attested | Approved):
            return self.signed(it.by)
        if isinstance(it, Measured):
            return self._under(it.measure, it.rule_out)
        if isinstance(it, Defined | RuledOut):
            return self.below(it.threshold) if isinstance(it, RuledOut) else self._defined(it.threshold)
        if isinstance(it, Combined):
            return _at_least(it.count, [self.met(part, excused) for part in it.of])
        what = f"`{name}` is a hole" if isinstance(it, Hole) else "`never` is required"
        return frozenset({Block("explicit", name, what)})

    def _defined(self, name: str) -> Blocks:
        threshold = self.view.policy.thresholds.get(name)
        if threshold is None:
            return frozenset({Block("explicit", name, f"threshold `{name}` is not defined yet")})
        return _hole(threshold) if threshold.hole else _NONE

    def excused(self, cell: Cell) -> frozenset[str]:
        """The requirements that an exception can stand in for in a cell (33)."""
        policy, view = self.view.policy, self.view
        deep = [policy.requirements[part] for name in cell.requires for part in view.within(name)]
        if any(isinstance(it, Hole | Never) for it in deep):
            return frozenset()
        found = set[str]()
        for rule in policy.exceptions.values():
            over = view.at is not None and rule.until is not None and rule.until <= view.at
            blocks = _NONE.union(*(self.met(name) for name in rule.requires), *map(self.signed, rule.approved_by))
            if not over and not blocks:
                found.update(rule.instead_of)
        return frozenset(found)

    def required(self, threshold: str, cell: Cell) -> Blocks:
        """For a cell to open by its requirements (36)."""
        excused = self.excused(cell)
        return self.evaluated(threshold).union(*(self.met(name, excused) for name in cell.requires))


def _hole(threshold: Threshold) -> Blocks:
    return frozenset({Block("explicit", threshold.name, f"threshold `{threshold.name}` is a hole")})


def _any(found: Iterable[Blocks]) -> Blocks:
    return _at_least(1, list(found))


def _at_least(count: int, found: list[Blocks]) -> Blocks:
    return _NONE if sum(not blocks for blocks in found) >= count else _NONE.union(*found)
