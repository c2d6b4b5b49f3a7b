"""A policy as the checks look at it: which of its parts decide anything, and on one scale.

The cells that gate, the thresholds and requirements that they rest on, and levels turned so that more is more
dangerous. The policy has loaded: every reference resolves and nothing goes round in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from interlock.policy.model import (
    At,
    Attested,
    Combined,
    Mean,
    Measure,
    Measured,
    Ref,
    RuledOut,
    UnderScreen,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from interlock.policy.model import Cell, Expr, Policy, Requirement, RuleOut, Threshold

_MANY = 6


@dataclass(frozen=True, slots=True)
class Hit:
    """What one check found: a path into the policy, and a sentence that says what to do."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of a measure. `flipped`: smaller values are the dangerous ones."""

    low: Fraction
    high: Fraction
    flipped: bool

    def turned(self, value: Fraction) -> Fraction:
        """A value so that more is more dangerous; and such a value back."""
        return self.low + self.high - value if self.flipped else value


@dataclass(frozen=True, slots=True)
class Rule:
    """A `rule_out` that decides something: of the threshold or measured requirement at `path`, for its `leaves`."""

    path: str
    name: str
    rule: RuleOut
    leaves: tuple[At, ...]


@dataclass(frozen=True)
class View:
    """A policy, and the time at which it is checked (None: what depends on the time is left out)."""

    policy: Policy
    at: datetime | None = None

    @cached_property
    def cells(self) -> tuple[tuple[str, str, Cell], ...]:
        """(action, threshold, cell) of every cell that gates."""
        gates = self.policy.gates.items()
        return tuple((action, name, cell) for action, row in gates for name, cell in row.items() if cell.requires)

    @cached_property
    def needed(self) -> dict[str, Requirement]:
        """The requirements that cells list, with all their parts, and those that stand in for them."""
        listed = [name for _, _, cell in self.cells for name in cell.requires]
        listed += [name for rule in self.policy.exceptions.values() for name in rule.requires]
        return {name: self.policy.requirements[name] for one in listed for name in self.within(one)}

    @cached_property
    def attested(self) -> tuple[Attested, ...]:
        """The attested requirements that decide anything: those needed, and those that somebody judges by."""
        judged = [name for it in self.governing if it.judged for name in it.judged.on]
        names = dict.fromkeys([*self.needed, *judged])
        used = [self.policy.requirements[name] for name in names if name in self.policy.requirements]
        return tuple(it for it in used if isinstance(it, Attested))

    def within(self, name: str) -> Iterator[str]:
        """A requirement and all its parts."""
        seen, left = set(), [name]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                yield name
                requirement = self.policy.requirements[name]
                left += requirement.of if isinstance(requirement, Combined) else ()

    @cached_property
    def governing(self) -> tuple[Threshold, ...]:
        """The thresholds at gates, and those that they or their requirements are made of."""
        ruled_out = [it.threshold for it in self.needed.values() if isinstance(it, RuledOut)]
        return self._closed([*(name for _, name, _ in self.cells), *ruled_out], _made_of)

    @cached_property
    def deciding(self) -> tuple[Threshold, ...]:
        """The same, with their screens, and the thresholds at which an assumption is void."""
        void = [name for it in self.policy.assumptions.values() for name in it.void_at]
        return self._closed([*(it.name for it in self.governing), *void], _made_of_or_screened)

    def _closed(self, names: Iterable[str], parts: Callable[[Threshold], list[str]]) -> tuple[Threshold, ...]:
        found: dict[str, Threshold] = {}
        left = list(names)
        while left:
            name = left.pop(0)
            if name not in found:
                found[name] = self.policy.thresholds[name]
                left += parts(found[name])
        return tuple(found.values())

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule by which a measure is judged at a gate."""
        found = [
            Rule(f"thresholds.{it.name}", it.name, it.rule_out, leaves(it.reached_when))
            for it in self.deciding
            if it.rule_out is not None and it.rule_out.elicitation
        ]
        measured = [it for it in self.needed.values() if isinstance(it, Measured)]
        found += [Rule(f"requirements.{it.name}", it.name, it.rule_out, (At(it.measure, it.level),)) for it in measured]
        return tuple(found)

    @cached_property
    def runners(self) -> tuple[str, ...]:
        """The roles that run evaluations."""
        return tuple(dict.fromkeys(it.rule.run_by for it in self.rules))

    def plain(self, name: str) -> tuple[Measure, ...]:
        """The measures that one is made of: itself, or those of a mean."""
        measure = self.policy.measures[name]
        if isinstance(measure, Mean):
            return tuple(part for other in measure.weights for part in self.plain(other))
        return (measure,) if isinstance(measure, Measure) else ()

    def scale(self, name: str) -> Scale:
        """The range of a measure or a mean."""
        measure, parts = self.policy.measures[name], self.plain(name)
        weights = measure.weights if isinstance(measure, Mean) else {name: Fraction(1)}
        low = sum((weights[part.name] * part.low for part in parts), Fraction(0))
        high = sum((weights[part.name] * part.high for part in parts), Fraction(0))
        return Scale(low, high, all(part.danger == "lower" for part in parts))

    def line(self, leaf: At, rule: RuleOut) -> Fraction:
        """Where the bound must be under, turned: the level less the margin. A forecast margin counts as nothing."""
        margin = Fraction(0) if rule.buffer.forecast_by else rule.buffer.margin
        return self.scale(leaf.measure).turned(leaf.level) - margin

    def same(self, one: str, other: str) -> bool:
        """Whether two roles are one, or share a key."""
        keys = (set(self.policy.roles[one].keys), set(self.policy.roles[other].keys))
        return one == other or not keys[0].isdisjoint(keys[1])

    def independent(self, one: str, other: str) -> bool:
        """Whether one of two roles is declared to be independent of the other."""
        roles = self.policy.roles
        return other in roles[one].independent_of or one in roles[other].independent_of


def _made_of(threshold: Threshold) -> list[str]:
    parts = walk(threshold.reached_when) if threshold.reached_when else ()
    return [part.threshold for part in parts if isinstance(part, Ref)]


def _made_of_or_screened(threshold: Threshold) -> list[str]:
    return _made_of(threshold) + [way.threshold for way in threshold.below_if if isinstance(way, UnderScreen)]


def leaves(expr: Expr | None) -> tuple[At, ...]:
    """The predicates over measures in an expression."""
    return tuple(part for part in walk(expr) if isinstance(part, At)) if expr else ()


def listing(names: Iterable[str]) -> str:
    """Names in backticks, each once; past six only how many more."""
    every = list(dict.fromkeys(names))
    shown = ", ".join(f"`{name}`" for name in every[:_MANY])
    return f"{shown} and {len(every) - _MANY} more" if len(every) > _MANY else shown


def by_message(found: Iterable[tuple[str, str, str]]) -> Iterator[Hit]:
    """(path, name, message with `{names}`) with the same message as one hit, at the first path."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for path, name, message in found:
        groups.setdefault(message, []).append((path, name))
    for message, places in groups.items():
        yield Hit(places[0][0], message.replace("{names}", listing(name for _, name in places)))
