"""Derive recorded decisions again, each from the entries that it had read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.decision import to_json
from interlock.decide.facts import Checkpoint
from interlock.decide.rule import decide
from interlock.errors import EvidenceError
from interlock.evidence import dsse
from interlock.evidence.predicates import Fields, predicate_type
from interlock.evidence.read import read_at
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger.merkle import Frontier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from interlock.decide.decision import Decision
    from interlock.evidence.read import Evidence
    from interlock.ledger.log import LedgerView


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What a recorded decision says that it was asked, and had read; its place in the ledger allows it."""

    index: int
    made: Statement
    checkpoint: Checkpoint
    at: datetime
    action: str
    deployment: str | None

    @property
    def where(self) -> str:
        return f"the decision of ledger entry {self.index}"


def rederive(view: LedgerView, *, pinned_policy: str) -> int:
    """Derive each decision in a verified ledger again, in one pass. Returns how many there were.

    Raises:
        EvidenceError: a decision claims another state of the ledger than the entries before it, another time than
            its place in the ledger allows, or another answer than the rule gives.
    """
    made = [_statement(view, entry.index) for entry in view.statements]
    found = [_claimed(view, index, made[index]) for index in range(len(made)) if _is_decision(made[index])]
    found.sort(key=lambda one: one.checkpoint.size)
    _check_roots(view, found)
    read = read_at(view, [one.checkpoint for one in found], pinned_policy=pinned_policy)
    for one, evidence in zip(found, read, strict=True):
        _derived(one, evidence)
    return len(found)


@dataclass(frozen=True, slots=True)
class Rederived:
    """A decision that was derived again, what it had read, and all that the ledger holds."""

    decision: Decision
    past: Evidence
    evidence: Evidence


def again(view: LedgerView, index: int, *, pinned_policy: str) -> Rederived:
    """Derive the decision at `index` of a verified ledger again.

    Raises:
        EvidenceError: no decision stands there, or as for `rederive`; or an entry cannot be read.
    """
    made = _statement(view, index)
    if not _is_decision(made):
        raise EvidenceError(f"ledger entry {index} is a `{made.predicate_type}`, expected a decision")
    one = _claimed(view, index, made)
    _check_roots(view, [one])
    now = Checkpoint(view.size, view.root.hex(), view.time)
    past, evidence = read_at(view, [one.checkpoint, now], pinned_policy=pinned_policy)
    return Rederived(_derived(one, past), past, evidence)


def _claimed(view: LedgerView, index: int, made: Statement) -> _Claimed:
    where = f"the decision of ledger entry {index}"
    fields = Fields(made.predicate, where)
    named = fields.nested("checkpoint")
    checkpoint = Checkpoint(named.count("size"), named.digest("root"), named.time("time"))
    at, action, deployment = fields.time("at"), fields.text("action"), fields.take("deployment")
    if not 0 < checkpoint.size <= index:
        raise EvidenceError(f"{where} claims a checkpoint of size {checkpoint.size}, expected 1 to {index}")
    last, unread = view.entries[checkpoint.size - 1], view.entries[checkpoint.size]
    # `at` the latest, it had read everything there was: the first entry that it has not read is no older
    if not last.time <= checkpoint.time <= at <= unread.time:
        raise EvidenceError(f"{where} claims times that do not fit what it had read")
    return _Claimed(index, made, checkpoint, at, action, deployment if isinstance(deployment, str) else None)


def _check_roots(view: LedgerView, found: Sequence[_Claimed]) -> None:
    """Check the root that each claims, in the order of their sizes."""
    frontier = Frontier()
    for one in found:
        for entry in view.entries[frontier.size : one.checkpoint.size]:
            frontier.append(entry.leaf)
        got, claimed = frontier.root().hex(), one.checkpoint.root
        if got != claimed:
            raise EvidenceError(f"{one.where} claims root {claimed[:12]} at size {frontier.size}, got {got[:12]}")


def _derived(one: _Claimed, evidence: Evidence) -> Decision:
    """The answer of the rule, if it is the one that was recorded."""
    subject = one.made.subjects[0][1]
    decision = decide(
        evidence.versions, evidence.facts, subject=subject, action=one.action, at=one.at, deployment=one.deployment
    )
    if to_json(decision) != one.made.predicate:
        said = one.made.predicate.get("verdict")
        raise EvidenceError(f"{one.where} says `{said}` otherwise than the rule, which says `{decision.verdict}`")
    return decision


def _statement(view: LedgerView, index: int) -> Statement:
    return Statement.parse(dsse.payload(dsse.parse(view.entries[index].data), PAYLOAD_TYPE))


def _is_decision(made: Statement) -> bool:
    return made.predicate_type == predicate_type("decision")
