"""Which evaluations are due: what the policy demands of a subject and no sound, fresh result covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.rule import unevaluated

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.decide.facts import Plan
    from interlock.evidence.read import Evidence
    from interlock.policy.model import Elicitation

#: What this version can run by itself. Anything else is due all the same, and holds.
RUNNABLE: tuple[Elicitation, ...] = ("few-shot", "fine-tuned")
SHOTS = 5


@dataclass(frozen=True, slots=True)
class Due:
    """One evaluation that is due. `planned` if an open plan in the ledger announces it already."""

    measure: str
    elicitation: Elicitation
    demonstrations: int
    thresholds: tuple[str, ...]
    planned: bool

    @property
    def runnable(self) -> bool:
        """Whether `interlock evaluate` can run it."""
        return self.elicitation in RUNNABLE


def due(evidence: Evidence, *, subject: str, at: datetime) -> tuple[Due, ...]:
    """What is due for a subject (a digest) at a time, in the policy's order."""
    policy = evidence.policy
    wanted: dict[tuple[str, Elicitation, int], list[str]] = {}
    for name, threshold in policy.thresholds.items():
        for elicitation in unevaluated(policy, evidence.facts, threshold=name, subject=subject, at=at):
            demonstrations = threshold.rule_out.demonstrations if elicitation == "fine-tuned" else 0
            wanted.setdefault((threshold.measure, elicitation, demonstrations), []).append(name)
    plans = open_plans(evidence, subject=subject)
    return tuple(
        Due(
            measure,
            elicitation,
            demonstrations,
            tuple(names),
            planned=_announced(plans, policy.measures[measure].task, elicitation, demonstrations),
        )
        for (measure, elicitation, demonstrations), names in wanted.items()
    )


def open_plans(evidence: Evidence, *, subject: str) -> tuple[Plan, ...]:
    """The subject's plans that have not reported, oldest first."""
    reported = {result.plan.digest for result in evidence.facts.results if result.plan}
    return tuple(p for p in evidence.facts.plans if p.subject == subject and p.digest not in reported)


def _announced(plans: tuple[Plan, ...], task: str, elicitation: str, demonstrations: int) -> bool:
    return any(
        (p.protocol.task, p.protocol.elicitation) == (task, elicitation) and p.protocol.demonstrations >= demonstrations
        for p in plans
    )
