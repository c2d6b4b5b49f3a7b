"""Spending a permit that is for one use: what a gate does right before it does something that cannot be taken back.

Guarantees: whoever got an answer from `spend` is the only one who ever gets it for this permit, since the spend stands
in the ledger, and the ledger takes no second one; nothing that the ledger took in before the spend was overlooked.
What it leaves to the caller: doing, afterwards, just what was named, and nothing when `spend` raised. A permit is spent
once its statement is durable, also where the gate then holds, or is killed: it is never handed back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, UsageError
from interlock.evidence.predicates import statement
from interlock.gate.permit import Held, check, check_not_ended, check_not_taken_back, examine, find

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.read import Evidence
    from interlock.evidence.testimony import Spent
    from interlock.workspace import Workspace


def spend(
    workspace: Workspace,
    digest: str,
    *,
    action: str,
    destination: str,
    at: datetime,
    deployment: str | None = None,
    by: str | None = None,
) -> Spent:
    """Verify a single-use permit, put into the ledger that it is used for `destination`, and verify it again.

    It is signed by the role `by`; without one by the role that issues permits.

    Raises:
        Held: it does not open `action`, somebody else spent it, or what came in meanwhile speaks against it.
        UsageError: it is not single-use, or the role's keys are not here.
        EvidenceError, LedgerError: the ledger cannot be relied on, or cannot be written.
    """
    evidence = workspace.read()
    offered = evidence.deployment(deployment) if deployment else None
    permit = examine(evidence, digest, action=action, at=at, deployment=offered)
    if not permit.terms.single_use:
        raise UsageError(f"permit {permit.digest[:12]} is not single-use, so that nothing spends it")
    role = by or evidence.in_force(at).policy.permits.issued_by
    predicate = {"destination": destination, "at": timestamp(at)}
    made = statement("permit-spent", name=action, digest=permit.digest, predicate=predicate)
    try:
        spent = workspace.append(made, workspace.signing(evidence, role))
    except EvidenceError:
        check_not_ended(workspace.read(), permit)  # somebody was quicker: a hold
        raise
    # crash point: spent, and nothing was done with it
    evidence = workspace.read()
    later = max(at, evidence.facts.checkpoint.time)  # the ledger's own time has gone on
    permit = find(evidence, permit.digest)
    check_not_taken_back(evidence, permit)
    check(evidence, permit, action=action, at=later, deployment=offered)
    return next(it for it in evidence.spent.values() if it.digest == spent)


def go_on(
    evidence: Evidence, digest: str, *, action: str, destination: str, at: datetime, deployment: str | None = None
) -> Spent:
    """The spend under which what was begun for `destination`, and broken off, may be finished: the rule is asked again.

    Raises:
        Held: the permit is not spent, or on something else; it was taken back since; or the rule holds now.
    """
    permit = find(evidence, digest)
    used = evidence.spent.get(permit.digest)
    if used is None:
        raise Held(f"permit {permit.digest[:12]} is not spent, so that nothing goes on under it")
    if used.destination != destination:
        check_not_ended(evidence, permit)
    check_not_taken_back(evidence, permit)
    later = max(at, evidence.facts.checkpoint.time)
    offered = evidence.deployment(deployment) if deployment else None
    check(evidence, permit, action=action, at=later, deployment=offered)
    return used
