"""What is said of a duty in the ledger: that it was done, or that it was not in time; each signed by a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp
from interlock.errors import UsageError
from interlock.evidence.predicates import statement
from interlock.workspace import now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from interlock.duties.account import Running, Told
    from interlock.evidence.keys import KeyPair
    from interlock.evidence.read import Evidence
    from interlock.evidence.statement import Statement
    from interlock.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Speaker:
    """A role that can sign here, and its keys."""

    role: str
    keys: Sequence[KeyPair]


def speaker(workspace: Workspace, evidence: Evidence, roles: Sequence[str]) -> Speaker:
    """The first of some roles whose quorum of keys is here.

    Raises:
        UsageError: none is; says why the first is not.
    """
    problems: list[UsageError] = []
    for role in dict.fromkeys(roles):
        try:
            return Speaker(role, workspace.signing(evidence, role))
        except UsageError as error:
            problems.append(error)
    raise problems[0] if problems else UsageError("no role was named that signs")


def who_says_done(evidence: Evidence, item: Running, by: str | None) -> list[str]:
    """The roles that may say that a duty was done: where the policy names none, who issues permits.

    Raises:
        UsageError: `by` is none of them.
    """
    if by is not None and item.by and by not in item.by:
        expected = " or ".join(f"`{role}`" for role in item.by)
        raise UsageError(f"`{item.duty}` is done by {expected}, got --by {by}")
    return [by] if by is not None else [*(item.by or (evidence.policy.permits.issued_by,))]


def who_says_overdue(evidence: Evidence, item: Running, by: str | None) -> list[str]:
    """The roles that say that a duty was not done in time: any may."""
    return [by] if by is not None else [*item.by, evidence.policy.permits.issued_by]


def say_done(
    workspace: Workspace,
    evidence: Evidence,
    item: Running,
    signing: Speaker,
    *,
    done: datetime,
    text: str,
    document: str | None = None,
    told: Sequence[Told] = (),
) -> str:
    """Append that a duty was done. Returns the statement's digest.

    Raises:
        EvidenceError, LedgerError: the ledger would not take it in.
    """
    shown = {"told": [{"role": it.role, "through": it.through, "at": timestamp(it.at)} for it in told]} if told else {}
    predicate = {
        "of": item.digest,
        "duty": item.duty,
        "about": _kind(item),
        "done": timestamp(done),
        **({"document": document} if document else {}),
        **shown,
        "statement": text,
    }
    return workspace.append(_about(evidence, "duty", item, predicate), list(signing.keys))


def say_overdue(workspace: Workspace, evidence: Evidence, item: Running, signing: Speaker, *, text: str) -> str:
    """Append that a duty was not done in time. Returns the statement's digest.

    Raises:
        EvidenceError, LedgerError: it is not so, or the ledger would not take it in.
    """
    predicate = {
        "of": item.digest,
        "duty": item.duty,
        "what": item.what,
        "about": _kind(item),
        "due": timestamp(item.due) if item.due else "",
        "statement": text,
    }
    return workspace.append(_about(evidence, "duty-overdue", item, predicate), list(signing.keys))


def _kind(item: Running) -> str:
    return "subject" if item.subject else "developer"


def _about(evidence: Evidence, kind: str, item: Running, predicate: dict[str, Any]) -> Statement:
    """A statement, dated now, about the subject of a duty, or the developer."""
    name, digest = evidence.policy.id, evidence.policy_digest
    if item.subject is not None:
        name, digest = evidence.facts.subjects[item.subject].name, item.subject
    return statement(kind, name=name, digest=digest, predicate={**predicate, "at": timestamp(now())})
