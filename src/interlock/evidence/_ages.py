"""What a bundle's checkpoints leave open of how old its entries are, tried.

A checkpoint shows that an entry was there at its time, not that it was not there before: whoever makes a bundle can
leave a note of the history out, or put another one of the same size in its place, and so make an entry look younger
than it was. Old is worse in most respects: a plan is stale, a version of the policy is in force, and what was said
before a looser version was seen by a stricter one. In others young is: a result or an incident comes after what it
ends, and a younger version takes away what was said before it.

Guarantees: `check` lets a permit through only if it is one in each of these readings: of the versions, any number of
the first ones as old as they may be, and the others as shown; whatever else an entry dates as old as it may be then,
but results and incidents so and also as shown; and signed by the roles of that time and of the time shown.
Leaves to the caller: the reading by the times shown; and what the entries say of themselves. An attestation, approval,
judgement or forecast is as old as its own date, which nobody can move.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from interlock.decide.facts import (
    Amendment,
    Approval,
    Attestation,
    Forecast,
    Incident,
    Judgement,
    Plan,
    Result,
    SetAside,
)
from interlock.decide.rule import decide
from interlock.errors import EvidenceError
from interlock.evidence import dsse
from interlock.evidence.amendment import noticed
from interlock.evidence.roles import Electorate, in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from interlock.decide.facts import Facts, Signers, Version
    from interlock.evidence.read import Evidence
    from interlock.evidence.rederive import Rederived
    from interlock.ledger.prefix import Shown
__all__ = ["check"]

_Dated = TypeVar("_Dated", Result, Incident, SetAside, Amendment)
_Said = TypeVar("_Said", Result, Attestation, Approval, Judgement, Forecast, SetAside, Amendment)

_SECOND = timedelta(seconds=1)


def check(shown: Shown, found: Rederived) -> None:
    """Decide again by every reading of how old the entries are (above).

    Raises:
        EvidenceError: it holds by one of them.
    """
    decision = found.decision
    for early in range(len(found.past.versions) + 1):
        versions = _entered(shown.uncovered, found.past.versions, early)
        for facts in _older(shown, versions, found.past):
            worst = decide(
                versions,
                facts,
                subject=decision.subject,
                action=decision.action,
                at=decision.at,
                deployment=decision.deployment,
            )
            if worst.verdict != "permit":
                raise EvidenceError(
                    f"the decision of ledger entry {found.evidence.records[-1].entry} permits by the times of its "
                    "entries, which may be older than the history shows: then it holds"
                )


def _entered(first: Sequence[datetime], versions: Sequence[Version], early: int) -> list[Version]:
    """The versions of the policy as if the first `early` had entered the ledger at the earliest moment."""
    made: list[Version] = []
    for place, version in enumerate(versions):
        entered, since = first[version.entry] if place < early else version.entered, version.policy.effective
        since = max(since, made[-1].since, noticed(made, entered)) if made else since
        made.append(replace(version, since=since, entered=entered))
    return made


def _older(shown: Shown, versions: Sequence[Version], past: Evidence) -> Iterator[Facts]:
    """The facts as old as they may be under these versions: with results and incidents as shown, and all of them."""
    told, first = past.facts, _earliest(shown.uncovered, versions)
    roles = _roles(shown, first, versions, past)

    def signed(facts: Iterable[_Said]) -> tuple[_Said, ...]:
        return tuple(replace(it, signers=it.signers & roles(it.entry)) for it in facts)

    def dated(facts: Iterable[_Dated]) -> tuple[_Dated, ...]:
        return tuple(replace(it, at=first[it.entry]) for it in facts)

    plans = {
        it.digest: replace(it, at=_announced(it, first[it.entry], past.versions), signers=it.signers & roles(it.entry))
        for it in told.plans
    }
    results = (replace(it, plan=plans[it.plan.digest] if it.plan else None) for it in told.results)
    facts = replace(
        told,
        plans=tuple(plans.values()),
        results=signed(results),
        attestations=signed(told.attestations),
        approvals=signed(told.approvals),
        judgements=signed(told.judgements),
        forecasts=signed(told.forecasts),
        withdrawals=tuple(replace(it, signers=it.signers | roles(it.entry)) for it in told.withdrawals),
        set_asides=dated(signed(told.set_asides)),
        amendments=dated(signed(told.amendments)),
    )
    yield facts
    yield replace(facts, results=dated(facts.results), incidents=dated(facts.incidents))


def _earliest(first: Sequence[datetime], versions: Sequence[Version]) -> list[datetime]:
    """For each entry the earliest moment at which it may have been there: never before a version before it."""
    entered = {version.entry: version.entered for version in versions}
    moments: list[datetime] = []
    latest = first[0]
    for entry, moment in enumerate(first):
        latest = max(latest, moment, entered.get(entry, moment))
        moments.append(latest)
    return moments


def _announced(plan: Plan, first: datetime, versions: Sequence[Version]) -> datetime:
    """The first second, from `first` on, at which a plan may have been logged: not so early that it would report later
    than every version of the policy allows."""
    last = plan.at
    while last - first > _SECOND:
        middle = first + (last - first) // 2
        if any(version.policy.report_within.after(middle) >= plan.report_by for version in versions):
            last = middle
        else:
            first = middle
    return first


def _roles(
    shown: Shown, first: Sequence[datetime], versions: Sequence[Version], past: Evidence
) -> Callable[[int], Signers]:
    """The roles whose quorum signed an entry, by its number, if it is as old as it may be: who signs for a role is said
    by the version that is in force, and by those to come."""

    def signers(number: int) -> Signers:
        count = sum(version.entry < number for version in versions)
        then, entry = in_force(versions[:count], first[number]), shown.view.entries[number]
        if len(then) == len(in_force(past.versions[:count], entry.time)):
            return past.records[number].signers
        electorate = Electorate()
        for version in versions[:count]:
            electorate = electorate.after(version)
        return electorate.signed(dsse.parse(entry.data), first[number])[0]

    return signers
