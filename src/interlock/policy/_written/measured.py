"""What a measured requirement leaves out is the strictest that the thresholds around it say.

Around it are those in whose cells it stands: listed there, in what is combined there, however deep, or instead of one
of these.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from interlock.policy._structure.check import Problem
from interlock.policy._written.form import Wrong
from interlock.policy._written.rule_out import buffer, demands, idle_demonstrations, refresh_of
from interlock.policy.model import ELICITATIONS, Buffer, Combined, Demand, Refresh, RuleOut
from interlock.policy.time import longer, sometimes_longer, spoken, undecided

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from interlock.policy._written.form_requirement import MeasuredForm
    from interlock.policy.model import Cell, ExceptionRule, Requirement, Threshold
    from interlock.policy.time import Duration

#: What a measured requirement keeps free under its level where it does not say so.
NO_BUFFER = Buffer(Fraction(1), Fraction(0), "measured on the deployment itself", MappingProxyType({}))


def thresholds_around(
    thresholds: Mapping[str, Threshold],
    gates: Mapping[str, Mapping[str, Cell]],
    requirements: Mapping[str, Requirement],
    exceptions: Mapping[str, ExceptionRule],
) -> dict[str, list[Threshold]]:
    """For each requirement that stands in a cell the thresholds around it that have a rule, in their order."""
    around: dict[str, set[str]] = {}
    for cells in gates.values():
        for threshold, cell in cells.items():
            for name in _within(cell, requirements, exceptions):
                around.setdefault(name, set()).add(threshold)
    ruled = [it for it in thresholds.values() if it.rule_out]
    return {name: [it for it in ruled if it.name in found] for name, found in around.items()}


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


def completed(form: MeasuredForm, around: Sequence[Threshold], refresh: Refresh) -> RuleOut:
    """A measured requirement's rule. What it leaves out is the strictest that the thresholds `around` it say, those in
    whose cells it stands, each of the fields that it uses; or of the policy's `refresh`. A margin of another measure
    means nothing here.

    Raises:
        Wrong: a field is left out, and nothing, or not one thing, can be taken for it.
    """
    wanted = [field for field in ("confidence", "elicitation", "coverage", "run_by") if not getattr(form, field)]
    missing = [field for field in wanted if not _said(field, around)]
    if missing:
        where = "it stands in no cell of a threshold with `rule_out`"
        raise Wrong(Problem((), f"expected field `{field}`, got nothing; {where}", at_key=True) for field in missing)
    if form.demonstrations is not None and not form.elicitation:
        raise Wrong([Problem(("demonstrations",), "expected field `elicitation` beside `demonstrations`", at_key=True)])
    if idle := list(idle_demonstrations(form, ())):
        raise Wrong(idle)
    assumed = [name for names in _said("assumes", around) for name in names]
    hardest = demands(form.elicitation, form.demonstrations) if form.elicitation else _hardest(around)
    return RuleOut(
        confidence=form.confidence or max(_said("confidence", around)),
        elicitation=hardest,
        buffer=buffer(form.buffer) if form.buffer else NO_BUFFER,
        coverage=form.coverage or max(_said("coverage", around)),
        run_by=form.run_by or _agreed("run_by", _said("run_by", around)),
        refresh=refresh_of(form.refresh) if form.refresh else _shortest(_said("refresh", around) or [refresh]),
        assumes=form.assumes or tuple(dict.fromkeys(assumed)),
    )


def _said(field: str, around: Iterable[Threshold]) -> list[Any]:
    """What those of the thresholds that use the field say."""
    return [getattr(it.rule_out, field) for it in around if field in it.uses]


def _agreed(field: str, names: Iterable[str]) -> str:
    """The one name among them."""
    found = sorted(set(names))
    if len(found) > 1:
        said = " and ".join(f"`{name}`" for name in found)
        message = f"expected field `{field}`, got nothing; the thresholds in whose cells it stands say {said}"
        raise Wrong([Problem((), message, at_key=True)])
    return found[0]


def _hardest(around: Iterable[Threshold]) -> tuple[Demand, ...]:
    """Every elicitation that some threshold demands, each as hard as any demands it."""
    every = [demand for demanded in _said("elicitation", around) for demand in demanded]
    made = []
    for word in ELICITATIONS:
        found = [demand for demand in every if demand.elicitation == word]
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


def _shortest(found: Sequence[Refresh]) -> Refresh:
    """The shortest reach in compute and in time, ended by whatever ends any of them."""
    who = {refresh.discretion for refresh in found} - {""}
    return Refresh(
        multiple=min(refresh.multiple for refresh in found),
        period=_shortest_period([refresh.period for refresh in found]),
        events=tuple(dict.fromkeys(event for refresh in found for event in refresh.events)),
        discretion=_agreed("refresh", who) if who else "",
        sources=tuple(dict.fromkeys(source for refresh in found for source in refresh.sources)),
    )


def _shortest_period(found: Sequence[Duration]) -> Duration:
    """The one that never ends after another, whenever they start."""
    least = [period for period in found if not any(longer(period, other) for other in found)]
    for period in least:
        if not any(sometimes_longer(period, other) for other in least):
            return period
    one, other = next((one, other) for one, other in combinations(least, 2) if undecided(one, other))
    message = (
        f"expected field `refresh`, got nothing; the thresholds in whose cells it stands say `{spoken(one)}` and "
        f"`{spoken(other)}`, of which either may be the shorter one; write the period"
    )
    raise Wrong([Problem((), message, at_key=True)])
