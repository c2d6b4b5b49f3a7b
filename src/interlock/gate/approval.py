"""What an approver sees: the present findings of the cells that ask for an approval, each with its digest (rule 30)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.clock import Clock
from interlock.decide.index import Index
from interlock.decide.requirement import resting_on, saw_finding
from interlock.decide.rule import Decider, in_order
from interlock.decide.view import Case, View

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.read import Evidence


@dataclass(frozen=True, slots=True)
class Seen:
    """One finding: of a subject (its name), at a threshold, in a cell of the gate `action`."""

    subject: str
    action: str
    threshold: str
    state: str
    digest: str


def seen(
    evidence: Evidence, requirement: str, *, subject: str, deployment: str | None, at: datetime
) -> tuple[Seen, ...]:
    """The findings of every cell at a gate of the version in force in which a requirement stands, by itself, as a part
    of another, or as one that an exception asks for instead.
    """
    versions, facts = in_order(evidence.versions), evidence.facts
    current = max((place for place, it in enumerate(versions) if it.since <= at), default=0)
    policy, name = versions[current].policy, facts.subjects[subject].name
    wanted = resting_on(policy, requirement)
    decider, made = Decider(evidence.versions, facts), []
    for action in policy.gates:
        view = View(Case(versions, Index(facts), action, Clock(at)), current, versions[0].entered, subject, deployment)
        decision = decider.decide(subject=subject, action=action, at=at, deployment=deployment)
        for cell in (cell for ruling in decision.rulings for cell in ruling.cells):
            finding = cell.finding
            if wanted & {it.name for it in cell.requirements}:
                saw = saw_finding(view, finding, finding.state)
                made.append(Seen(name, action, finding.threshold, finding.state, saw))
    return tuple(made)
