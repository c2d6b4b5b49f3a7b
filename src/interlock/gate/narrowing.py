"""Narrowing a permit: a permit with less in the place of another. Nothing here can give more.

The wider one ends with it, for every gate that reaches the ledger; docs/adr/0025 says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.errors import UsageError
from interlock.evidence.predicates import statement
from interlock.gate.permit import Held, check_not_ended, check_unused, find

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.predicates import PermitPredicate
    from interlock.evidence.read import Evidence, Permit
    from interlock.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Less:
    """What a narrower permit has less of; None stays as it was."""

    most_compute: int | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    single_use: bool = False


def narrow(workspace: Workspace, digest: str, less: Less, *, at: datetime) -> str:
    """Put a narrower permit into the ledger, in the place of another. Returns its digest.

    Raises:
        UsageError: what is asked for is wider, the same, or leaves nothing; or keys that sign permits are not here.
        Held: there is no such permit, or it was revoked, narrowed, spent, used up, or is over.
        EvidenceError, LedgerError: the ledger cannot be relied on, or cannot be written.
    """
    evidence = workspace.read()
    permit = find(evidence, digest)
    _check_alive(evidence, permit, at)
    terms = _narrower(permit, less, at)
    model = evidence.facts.subjects[permit.subject]
    made = statement("permit", name=model.name, digest=model.digest, predicate=terms.to_json())
    # each version that the permit names has its say, and those by which roles sign now
    policies = {version.digest: version.policy for version in evidence.versions}
    issuers = {policies[one].permits.issued_by for one in terms.policies}
    return workspace.append(made, workspace.signing(evidence, *sorted(issuers)))


def _check_alive(evidence: Evidence, permit: Permit, at: datetime) -> None:
    check_not_ended(evidence, permit)
    if at >= permit.terms.not_after:
        raise Held(f"the permit ended at {timestamp(permit.terms.not_after)}, so that there is nothing to narrow")
    check_unused(evidence, permit)


def _narrower(permit: Permit, less: Less, at: datetime) -> PermitPredicate:
    """The terms of the narrower permit.

    Raises:
        UsageError: they are not narrower.
    """
    old = permit.terms
    terms = replace(
        old,
        most_compute=old.most_compute if less.most_compute is None else less.most_compute,
        not_before=less.not_before or old.not_before,
        not_after=less.not_after or old.not_after,
        single_use=old.single_use or less.single_use,
        narrows=permit.digest,
    )
    wider = terms.widens(old)
    if wider is not None:
        raise UsageError(f"a permit is only ever narrowed, got {wider}")
    if terms.not_before >= terms.not_after:
        got = f"from {timestamp(terms.not_before)} to {timestamp(terms.not_after)}"
        raise UsageError(f"got a permit {got}, expected one that ends after it starts")
    if terms.not_after <= at:
        raise UsageError(f"got an end at {timestamp(terms.not_after)}, expected one after {timestamp(at)}")
    if replace(terms, narrows=old.narrows) == old:
        raise UsageError("nothing is less: say a lower most compute, a later start, an earlier end, or a single use")
    return terms
