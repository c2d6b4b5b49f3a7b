"""Permits: issued from a decision, verified before and while an action runs.

A permit is a lease. It names the action, the subject, the most effective compute, and when it ends. A gate that reaches
the ledger never trusts the paper alone: it reads the whole ledger and decides again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from interlock.decide.decision import Decision, timestamp, to_json
from interlock.decide.resume import resume, ways
from interlock.decide.rule import decide
from interlock.errors import HOLD, InterlockError, UsageError
from interlock.evidence.leases import OutrunError
from interlock.evidence.predicates import PermitPredicate, statement
from interlock.workspace import now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from interlock.decide.decision import Reason, Ruling
    from interlock.decide.facts import Deployment, Subject
    from interlock.evidence.keys import KeyPair
    from interlock.evidence.read import Evidence, Permit
    from interlock.workspace import Workspace


T = TypeVar("T")


class Held(InterlockError):  # noqa: N818  a hold is a result; only a gate in somebody else's loop raises it
    """A gate stays shut. The message says why, and what would lift the hold."""

    exit_code = HOLD


@dataclass(frozen=True, slots=True)
class Issued:
    """What `issue` did: the decision, and the digest of the permit if there is one.

    A hold is on record, too, unless `unrecorded` says why not.
    """

    decision: Decision
    permit: str | None
    unrecorded: str | None = None


def ask(
    evidence: Evidence, *, subject: Subject, action: str, at: datetime, deployment: Deployment | None = None
) -> Decision:
    """Decide by the policy in force and everything that the ledger holds."""
    offered = deployment.digest if deployment else None
    return decide(evidence.versions, evidence.facts, subject=subject.digest, action=action, at=at, deployment=offered)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision that stands in the ledger, the digest of its statement, and its entry."""

    decision: Decision
    digest: str
    entry: int


def record(workspace: Workspace, *, subject: str, action: str, at: datetime, deployment: str | None = None) -> Recorded:
    """Decide, and put the decision into the ledger, permit or hold, signed by the role that issues permits.

    A decision alone opens nothing; it can be handed on (`bundle export`).

    Raises:
        UsageError: the subject or the deployment is unknown, or the role's keys are not here.
        EvidenceError, LedgerError: the ledger cannot be relied on, or cannot be written.
    """

    def attempt() -> tuple[Decision, str]:
        evidence, model, decision = _asked(workspace, subject, action, at, deployment)
        return decision, _append(workspace, model, decision, _signing(workspace, evidence, decision.at))

    decision, digest = _again(attempt)
    entry = next(it.entry for it in reversed(workspace.read().records) if it.digest == digest)
    return Recorded(decision, digest, entry)


def issue(
    workspace: Workspace,
    *,
    subject: str,
    action: str,
    at: datetime,
    deployment: str | None = None,
    most_compute: int | None = None,
    single_use: bool = False,
) -> Issued:
    """Decide, and put the decision into the ledger; if it is `permit`, a permit, too.

    A hold goes on record because it starts what the policy says `on_hold`. Whoever lacks the role's keys is told the
    hold all the same. With a `deployment`, the permit opens the action for that deployment and no other. `most_compute`
    (FLOP of effective compute) asks for a narrower lease than the decision would allow, `single_use` for one that a use
    ends; for an action that cannot be taken back it always is.

    Raises:
        UsageError: the lease asked for is wider than the decision allows, or leaves no room at all; or the role's
            keys are not here, and nothing holds.
        Held: it took so long that the permit would open nothing.
        EvidenceError, LedgerError: the ledger cannot be relied on, or cannot be written.
    """

    def attempt() -> Issued:
        evidence, model, decision = _asked(workspace, subject, action, at, deployment)
        return _issued(workspace, evidence, model, decision, most_compute=most_compute, single_use=single_use)

    return _again(attempt)


def _asked(
    workspace: Workspace, subject: str, action: str, at: datetime, deployment: str | None
) -> tuple[Evidence, Subject, Decision]:
    """Read the ledger, and decide: now, where that is later, since an entry may have come in since `at`."""
    evidence = workspace.read()
    model = evidence.subject(subject)
    offered = evidence.deployment(deployment) if deployment else None
    return evidence, model, ask(evidence, subject=model, action=action, at=max(at, now()), deployment=offered)


def _again(attempt: Callable[[], T]) -> T:
    """Read and decide again, twice at most, where an entry came in before the decision was appended."""
    for _ in range(2):
        with suppress(OutrunError):
            return attempt()
    return attempt()


def _issued(
    workspace: Workspace,
    evidence: Evidence,
    model: Subject,
    decision: Decision,
    *,
    most_compute: int | None,
    single_use: bool,
) -> Issued:
    """What `issue` does with a decision."""
    at = decision.at
    if decision.bounds is None:
        return Issued(decision, None, _hold_recorded(workspace, evidence, model, decision))
    most = decision.bounds.most_effective_compute if most_compute is None else most_compute
    if not model.ec_high <= most <= decision.bounds.most_effective_compute:
        room = f"from {model.ec_high} to {decision.bounds.most_effective_compute} FLOP"
        raise UsageError(f"a lease up to {most} FLOP is not possible; the decision allows {room}")
    signing = _signing(workspace, evidence, at)
    decided = _append(workspace, model, decision, signing)
    terms = PermitPredicate(
        action=decision.action,
        decision=decided,
        policies=tuple(sorted(ruling.digest for ruling in decision.rulings)),
        lineage=tuple(sorted(evidence.facts.ancestors(model.digest))),
        start_compute=model.ec_high,
        most_compute=most,
        not_before=evidence.facts.checkpoint.time,
        not_after=decision.bounds.not_after,
        single_use=single_use or not evidence.in_force(at).policy.reversible(decision.action),
        deployment=decision.deployment,
    )
    permit = statement("permit", name=model.name, digest=model.digest, predicate=terms.to_json())
    _check_in_time(evidence, at)
    return Issued(decision, workspace.append(permit, signing))


def _check_in_time(evidence: Evidence, at: datetime) -> None:
    read, allowed = evidence.facts.checkpoint.time, evidence.in_force(at).policy.permits.ledger_age
    if (moment := now()) >= allowed.after(read):
        raise Held(
            f"the decision had read the ledger of {timestamp(read)}, and it is {timestamp(moment)}: a permit that "
            "enters the ledger later after that than the policy allows (`permits.ledger_age`) opens nothing; ask again"
        )


def _hold_recorded(workspace: Workspace, evidence: Evidence, subject: Subject, decision: Decision) -> str | None:
    """Put a hold into the ledger. Returns why that could not be done, unless an entry came in before."""
    try:
        _append(workspace, subject, decision, _signing(workspace, evidence, decision.at))
    except OutrunError:
        raise
    except (InterlockError, OSError) as error:
        return str(error)
    return None


def _signing(workspace: Workspace, evidence: Evidence, at: datetime) -> list[KeyPair]:
    """The keys that sign decisions and permits."""
    return workspace.signing(evidence, evidence.in_force(at).policy.permits.issued_by)


def _append(workspace: Workspace, subject: Subject, decision: Decision, signing: list[KeyPair]) -> str:
    """Put a decision into the ledger; returns the digest of its statement."""
    made = statement("decision", name=subject.name, digest=subject.digest, predicate=to_json(decision))
    return workspace.append(made, signing)


def verify(
    evidence: Evidence, digest: str, *, action: str, at: datetime, deployment: Deployment | None = None
) -> Permit:
    """The permit with this digest, if it opens `action` now, and as often as it is asked: checks 1 to 9 in order.

    `deployment` is what the gate is about to offer; None if it is the bare model.

    Raises:
        Held: it does not; the message says which check failed and what would lift it.
    """
    permit = examine(evidence, digest, action=action, at=at, deployment=deployment)
    if permit.terms.single_use:  # 9
        raise Held(
            "the permit is for one use, and a gate that does not spend it could open again and again; use it by "
            "spending it: interlock permit verify --spend DESTINATION"
        )
    return permit


def examine(
    evidence: Evidence, digest: str, *, action: str, at: datetime, deployment: Deployment | None = None
) -> Permit:
    """Checks 1 to 8. It opens no gate: what passes may be for one use, and `interlock.gate.spending` spends that.

    Raises:
        Held: one of them fails.
    """
    permit = find(evidence, digest)
    check_not_ended(evidence, permit)  # 2
    check(evidence, permit, action=action, at=at, deployment=deployment)
    return permit


def check_not_ended(evidence: Evidence, permit: Permit) -> None:
    """Check 2: no statement of the ledger has ended the permit, or one that it narrows, and none of them came too late.

    Raises:
        Held: it was revoked, narrowed, or spent; or it came too late to open anything.
    """
    check_not_taken_back(evidence, permit)
    used = evidence.spent.get(permit.digest)
    if used is not None:
        by = ", ".join(sorted(used.signers))
        raise Held(f"the permit was spent by {by} in entry {used.entry}, on `{used.destination}`; it was for one use")


def check_not_taken_back(evidence: Evidence, permit: Permit) -> None:
    """Check 2, of a permit that was spent and whose use is not over.

    Raises:
        Held: it was revoked, or narrowed; or it came too late.
    """
    for one in chain(evidence, permit):
        if one.late:
            raise Held(
                f"the permit entered the ledger at {timestamp(one.late)}, later than the policy allows after what its "
                "decision had read (`permits.ledger_age`); ask for a new one: interlock permit issue"
            )
        taken_back = evidence.revoked.get(one.digest)
        if taken_back is not None:
            by = ", ".join(sorted(taken_back.signers))
            raise Held(f"the permit was revoked by {by} in entry {taken_back.entry}: {taken_back.reason}")
    if narrowed := _narrowed(evidence, permit):
        raise Held(narrowed)


def check_unused(evidence: Evidence, permit: Permit) -> None:
    """Check that no run was stopped under the permit, nor under one that it narrows; save since it was narrowed.

    A stop counts wherever it stands in the ledger: one that came in while somebody narrowed the permit, too.

    Raises:
        Held: one was.
    """
    held = {one.digest: one for one in chain(evidence, permit)}
    for snapshot in evidence.snapshots:
        terms = snapshot.terms
        if terms.permit in held and terms.ended and terms.ended != _narrowed(evidence, held[terms.permit]):
            raise Held(f"the permit was used up at step {terms.step}: {terms.ended}")


def _narrowed(evidence: Evidence, permit: Permit) -> str | None:
    narrower = evidence.narrowed.get(permit.digest)
    return None if narrower is None else f"the permit was narrowed by {narrower[:12]}, which has its place"


def ended(evidence: Evidence, permit: Permit) -> str | None:
    """Why a permit opens nothing by the statements of the ledger alone, in words; None: they do not end it."""
    try:
        check_not_ended(evidence, permit)
    except Held as held:
        return str(held)
    return None


def chain(evidence: Evidence, permit: Permit) -> tuple[Permit, ...]:
    """A permit, the one that it narrows, and so on: what was done under one counts under those that narrow it."""
    known, found = {it.digest: it for it in evidence.permits}, [permit]
    while found[-1].terms.narrows is not None:
        found.append(known[found[-1].terms.narrows])
    return tuple(found)


def check(
    evidence: Evidence, permit: Permit, *, action: str, at: datetime, deployment: Deployment | None = None
) -> None:
    """Checks 3 to 8: what the permit is for, and that the rule still allows it.

    Raises:
        Held: it is for something else, or not for now; or the rule holds.
    """
    terms = permit.terms
    if terms.action != action:  # 3
        raise Held(f"the permit is for `{terms.action}`, expected one for `{action}`")
    _check_deployment(evidence, terms.deployment, deployment)  # 4
    _check_version(evidence, permit, at)  # 5
    if at < terms.not_before:  # 6
        raise Held(f"the permit starts at {timestamp(terms.not_before)}, and it is {timestamp(at)}")
    _check_rule(evidence, permit, at)


def check_allowed(evidence: Evidence, permit: Permit, *, at: datetime) -> None:
    """Checks 5 to 8 of a permit that may start later: that the rule allows now what it is for.

    Raises:
        Held: it is over, or was issued under another policy; or the rule holds.
    """
    _check_version(evidence, permit, at)
    _check_rule(evidence, permit, at)


def _check_version(evidence: Evidence, permit: Permit, at: datetime) -> None:
    if permit.terms.policies != (evidence.in_force(at).digest,):
        raise Held("the permit was issued under another policy; ask for a new one: interlock permit issue")


def _check_rule(evidence: Evidence, permit: Permit, at: datetime) -> None:
    terms = permit.terms
    if at >= terms.not_after:
        raise Held(f"the permit ended at {timestamp(terms.not_after)}; ask for a new one: interlock permit issue")
    about, versions, facts = permit.subject, evidence.versions, evidence.facts
    decision = decide(versions, facts, subject=about, action=terms.action, at=at, deployment=terms.deployment)
    if decision.bounds is None:  # 7
        raise Held(why(decision))
    if terms.most_compute > decision.bounds.most_effective_compute or terms.not_after > decision.bounds.not_after:  # 8
        raise Held("the permit reaches further than the evidence now allows; ask for a new one: interlock permit issue")


def _check_deployment(evidence: Evidence, permitted: str | None, offered: Deployment | None) -> None:
    if permitted == (offered.digest if offered else None):
        return
    known = evidence.facts.deployments.get(permitted or "")
    got = f"for deployment `{known.name}`" if known else "for the bare model"
    expected = (
        f"one for deployment `{offered.name}`"
        if offered
        else "one for the bare model; name what is offered: --deployment"
    )
    raise Held(f"the permit is {got}, expected {expected}")


def find(evidence: Evidence, digest: str) -> Permit:
    """Check 1: the permit stands in the ledger (where `evidence.read` has verified who issued it).

    `digest` may be cut to eight or more digits.

    Raises:
        Held: it does not.
    """
    found = [permit for permit in evidence.permits if len(digest) >= 8 and permit.digest.startswith(digest)]
    if len(found) == 1:
        return found[0]
    raise Held(f"no permit {digest[:12]} in the ledger; ask for one: interlock permit issue")


def why(decision: Decision) -> str:
    """One line on a hold: the reasons, and the cheapest way to lift all of it."""
    parts = [reason.text for reason in general(decision)]
    for cell in decision.holding:
        reasons = "; ".join(reason.text for reason in cell.finding.reasons)
        parts.append(f"{cell.finding.threshold} {cell.finding.state} ({reasons})")
    found = resume(decision)
    lift = f"to lift: {'; '.join(found[0])}" if found else "stop until amended" if stops(decision) else ""
    return f"`{decision.action}` holds: " + " | ".join([*parts, *([lift] if lift else [])])


def general(decision: Decision) -> tuple[Reason, ...]:
    """Why it holds whatever the evidence: what stands before all policies, or over all cells of one."""
    found = [*decision.reasons]
    for ruling in _holding(decision):
        found += ruling.reasons
    return tuple(dict.fromkeys(found))


def stops(decision: Decision) -> bool:
    """Whether nothing that a policy asks for lifts the hold: a stop until it is amended."""
    closed = [reason for ruling in _holding(decision) for reason in ruling.reasons if reason.resume is None]
    return bool(closed) or any(not ways(cell) for cell in decision.holding)


def _holding(decision: Decision) -> list[Ruling]:
    return [ruling for ruling in decision.rulings if ruling.governs and ruling.verdict == "hold"]
