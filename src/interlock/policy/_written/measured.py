"""What a measured requirement leaves out is the strictest that the thresholds around it say.

Around it are those in whose cells it stands: listed there, in what is combined there, however deep, or instead of one
of these.
"""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

from interlock.policy._structure.check import Problem
from interlock.policy._written.form import Wrong
from interlock.policy._written.rule_out import buffer, demands, refresh_of
from interlock.policy.model import ELICITATIONS, Buffer, Combined, Demand, Refresh, RuleOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from interlock.policy._written.form_requirement import MeasuredForm
    from interlock.policy.model import Cell, ExceptionRule, Requirement, Threshold
    from interlock.policy.time import Duration

#: What a measured requirement keeps free under its level where it does not say so.
NO_BUFFER = Buffer(Fraction(1), Fraction(0), "measured on the deployment itself", MappingProxyType({}))

_MONTH = 2_629_746  # seconds, on average over the 400 years of the calendar


def rules_around(
    thresholds: Mapping[str, Threshold],
    gates: Mapping[str, Mapping[str, Cell]],
    requirements: Mapping[str, Requirement],
    exceptions: Mapping[str, ExceptionRule],
) -> dict[str, list[RuleOut]]:
    """For each requirement that stands in a cell the rules of the thresholds around it, in their order."""
    around: dict[str, set[str]] = {}
    for cells in gates.values():
        for threshold, cell in cells.items():
            for name in _within(cell, requirements, exceptions):
                around.setdefault(name, set()).add(threshold)
    rules = {name: it.rule_out for name, it in thresholds.items() if it.rule_out}
    return {name: [rule for on, rule in rules.items() if on in found] for name, found in around.items()}


def _within(cell: Cell, requirements: Mapping[str, Requirement], exceptions: Mapping[str, ExceptionRule]) -> set[str]:
    seen: set[str] = set()
    left = [*cell.requires, *(name for _, name in cell.weaker)]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            requirement = requirements.get(name)
            left.extend(requirement.of if isinstance(requirement, Combined) else ())
            left.extend(new for rule in exceptions.values() if name in rule.instead_of for new in rule.requires)
    return seen


def completed(form: MeasuredForm, rules: Sequence[RuleOut], refresh: Refresh) -> RuleOut:
    """A measured requirement's rule. What it leaves out is the strictest of `rules`, those of the thresholds in whose
    cells it stands, and of the policy's `refresh` where there are none. A margin of another measure means nothing here.

    Raises:
        Wrong: a field is left out, and nothing, or not one thing, can be taken for it.
    """
    missing = [
        field for field in ("confidence", "elicitation", "coverage", "run_by") if not rules and not getattr(form, field)
    ]
    if missing:
        where = "it stands in no cell of a threshold with `rule_out`"
        raise Wrong(Problem((), f"expected field `{field}`, got nothing; {where}", at_key=True) for field in missing)
    if form.demonstrations and not form.elicitation:
        raise Wrong([Problem(("demonstrations",), "expected field `elicitation` beside `demonstrations`", at_key=True)])
    return RuleOut(
        confidence=form.confidence or max(rule.confidence for rule in rules),
        elicitation=demands(form.elicitation, form.demonstrations) if form.elicitation else _hardest(rules),
        buffer=buffer(form.buffer) if form.buffer else NO_BUFFER,
        coverage=form.coverage or max(rule.coverage for rule in rules),
        run_by=form.run_by or _agreed("run_by", [rule.run_by for rule in rules]),
        refresh=refresh_of(form.refresh) if form.refresh else _shortest(rules, refresh),
        assumes=form.assumes or tuple(dict.fromkeys(name for rule in rules for name in rule.assumes)),
    )


def _agreed(field: str, names: Iterable[str]) -> str:
    """The one name among them."""
    found = sorted(set(names))
    if len(found) > 1:
        said = " and ".join(f"`{name}`" for name in found)
        message = f"expected field `{field}`, got nothing; the thresholds in whose cells it stands say {said}"
        raise Wrong([Problem((), message, at_key=True)])
    return found[0]


def _hardest(rules: Sequence[RuleOut]) -> tuple[Demand, ...]:
    """Every elicitation that some rule demands, each as hard as any rule demands it."""
    made = []
    for word in ELICITATIONS:
        found = [demand for rule in rules for demand in rule.elicitation if demand.elicitation == word]
        if found:
            made.append(
                Demand(
                    elicitation=word,
                    demonstrations=max(demand.demonstrations for demand in found),
                    flop=max(demand.flop for demand in found),
                    attempts=max(demand.attempts for demand in found),
                    tools=any(demand.tools for demand in found),
                    safety_ablated=any(demand.safety_ablated for demand in found),
                    refusals=min(demand.refusals for demand in found),
                )
            )
    return tuple(made)


def _shortest(rules: Sequence[RuleOut], policys: Refresh) -> Refresh:
    """The shortest reach in compute and in time, ended by whatever ends any of them."""
    found = [rule.refresh for rule in rules] or [policys]
    who = {refresh.discretion for refresh in found} - {""}
    return Refresh(
        multiple=min(refresh.multiple for refresh in found),
        period=min((refresh.period for refresh in found), key=_about),
        events=tuple(dict.fromkeys(event for refresh in found for event in refresh.events)),
        discretion=_agreed("refresh", who) if who else "",
        sources=tuple(dict.fromkeys(source for refresh in found for source in refresh.sources)),
    )


def _about(length: Duration) -> int:
    """A duration in seconds, as near as months allow, to tell which of two is shorter."""
    return length.months * _MONTH + length.seconds
