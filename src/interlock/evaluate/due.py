"""Which evaluations are due: what the policy demands of a subject and no sound, fresh result covers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from interlock.decide.rule import unevaluated
from interlock.errors import UsageError
from interlock.evaluate.eliciting import RUNNABLE
from interlock.policy.model import TRAINED, Mean, Measure, Measured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from interlock.decide.facts import Plan
    from interlock.decide.view import Section
    from interlock.evidence.read import Evidence
    from interlock.policy.model import Demand, Elicitation, Policy, RuleOut


@dataclass(frozen=True, slots=True)
class Due:
    """One evaluation that is due: on so many demonstrations, trained on or shown, and with so many attempts at each
    sample, at the least.

    `planned` if an open plan in the ledger announces it already; `runnable` if `interlock evaluate` can run it.
    """

    measure: str
    elicitation: Elicitation
    demonstrations: int
    thresholds: tuple[str, ...]
    requirements: tuple[str, ...]
    planned: bool
    runnable: bool
    attempts: int = 1


def due(evidence: Evidence, *, subject: str, at: datetime) -> tuple[Due, ...]:
    """What is due for a subject (a digest) at a time, in the policy's order."""
    policy = evidence.in_force(at).policy
    wanted: dict[tuple[str, Elicitation, int, int, bool], list[tuple[Section, str]]] = {}
    owners: list[tuple[Section, str]] = [("thresholds", name) for name in policy.thresholds]
    owners += [("requirements", name) for name in policy.requirements]
    for owner in owners:
        for measure, demand in unevaluated(evidence.versions, evidence.facts, owner=owner, subject=subject, at=at):
            runnable = _can_run(policy, measure, demand)
            found = wanted.setdefault(
                (measure, demand.elicitation, demand.demonstrations, demand.attempts, runnable), []
            )
            found += [owner] if owner not in found else []
    plans = open_plans(evidence, subject=subject)
    items = (
        Due(
            measure,
            elicitation,
            demonstrations,
            tuple(name for section, name in found if section == "thresholds"),
            tuple(name for section, name in found if section == "requirements"),
            planned=False,
            runnable=runnable,
            attempts=attempts,
        )
        for (measure, elicitation, demonstrations, attempts, runnable), found in wanted.items()
    )
    return tuple(replace(item, planned=_announced(policy, plans, item)) for item in items)


def open_plans(evidence: Evidence, *, subject: str) -> tuple[Plan, ...]:
    """The subject's plans that have not reported, oldest first."""
    reported = {result.plan.digest for result in evidence.facts.results if result.plan}
    return tuple(p for p in evidence.facts.plans if p.subject == subject and p.digest not in reported)


def runner(policy: Policy, measure: str) -> str:
    """The role that the policy names to run the evaluations of a measure.

    Raises:
        UsageError: it names none.
    """
    for name, rule in _rules(policy):
        measured = policy.measures[name]
        if measure == name or (isinstance(measured, Mean) and measure in measured.weights):
            return rule.run_by
    raise UsageError(f"no threshold and no requirement of the policy says who runs the measure `{measure}`")


def runners(policy: Policy) -> tuple[str, ...]:
    """Every role that the policy names to run evaluations."""
    return tuple(dict.fromkeys(rule.run_by for _, rule in _rules(policy)))


def _rules(policy: Policy) -> Iterator[tuple[str, RuleOut]]:
    """Each measure with a rule that it stands under."""
    for threshold in policy.thresholds.values():
        if threshold.rule_out is not None and threshold.rule_out.elicitation:
            judged = threshold.judged.on if threshold.judged else ()
            for name in (*threshold.measures, *judged):
                if name in policy.measures:
                    yield name, threshold.rule_out
    for requirement in policy.requirements.values():
        if isinstance(requirement, Measured):
            yield requirement.measure, requirement.rule_out


def _can_run(policy: Policy, name: str, demand: Demand) -> bool:
    """Whether a run by this version could be sound for a demand: of the bare model, and after training one attempt a
    sample.
    """
    measure = policy.measures[name]
    return (
        isinstance(measure, Measure)
        and (measure.on, measure.unit) == ("model", "sample")
        and demand.elicitation in RUNNABLE
        and (demand.attempts <= 1 or demand.elicitation not in TRAINED)
        and not (demand.tools or demand.safety_ablated)
    )


def _announced(policy: Policy, plans: tuple[Plan, ...], item: Due) -> bool:
    measure = policy.measures[item.measure]
    return isinstance(measure, Measure) and any(
        (p.protocol.task, p.protocol.elicitation) == (measure.task, item.elicitation)
        and (p.protocol.shots if item.elicitation == "few-shot" else p.protocol.demonstrations) >= item.demonstrations
        and p.protocol.attempts >= item.attempts
        for p in plans
    )
