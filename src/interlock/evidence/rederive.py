"""Derive recorded decisions again, each from the entries that it had read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.decision import to_json
from interlock.decide.facts import Checkpoint
from interlock.decide.rule import decide
from interlock.errors import EvidenceError
from interlock.evidence import dsse, leases
from interlock.evidence.predicates import Fields, predicate_type
from interlock.evidence.read import read_at
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger.merkle import Frontier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from interlock.decide.decision import Decision
    from interlock.evidence.read import Evidence
    from interlock.ledger.log import LedgerView


@dataclass(frozen=True, slots=True)
class _Root:
    """The root that something in the ledger claims to have read, at a size."""

    where: str
    size: int
    root: str


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

    @property
    def root(self) -> _Root:
        return _Root(self.where, self.checkpoint.size, self.checkpoint.root)


def rederive(view: LedgerView, *, pinned_policy: str) -> int:
    """Derive each decision in a verified ledger again, and check the seed of each audit, in one pass. Returns how many
    decisions there were.

    Raises:
        EvidenceError: an audit drew its samples by another seed than the ledger's root; or a decision claims another
            state of the ledger than the entries before it, another time than its place in the ledger allows, or another
            answer than the rule gives.
    """
    made = [_statement(view, entry.index) for entry in view.statements]
    found = [_claimed(view, index, it) for index, it in enumerate(made) if _is(it, "decision")]
    found.sort(key=lambda one: one.checkpoint.size)
    _check_roots(view, [*(one.root for one in found), *_seeds(made)])
    read = read_at(view, [one.checkpoint for one in found], pinned_policy=pinned_policy)
    for one, evidence in zip(found, read, strict=True):
        _derived(one, evidence)
    return len(found)


def read_derived(view: LedgerView, *, pinned_policy: str) -> Evidence:
    """Read a ledger whose last entry is a decision, and derive that again.

    Raises:
        EvidenceError: as for `read`, or about this decision as for `rederive`.
    """
    one = _claimed(view, view.size - 1, _statement(view, view.size - 1))
    _check_roots(view, [one.root])
    whole = Checkpoint(view.size, view.root.hex(), view.time)
    had_read, evidence = read_at(view, [one.checkpoint, whole], pinned_policy=pinned_policy)
    _derived(one, had_read)
    return evidence


@dataclass(frozen=True, slots=True)
class Rederived:
    """A decision that was derived again, what it had read, and all that the ledger holds."""

    decision: Decision
    past: Evidence
    evidence: Evidence


def again(view: LedgerView, index: int, *, pinned_policy: str) -> Rederived:
    """Derive the decision at `index` of a verified ledger again, and those on which the permits of the ledger rest.

    Raises:
        EvidenceError: no decision stands there, or as for `rederive`; or an entry cannot be read.
    """
    made = [_statement(view, entry.index) for entry in view.statements]
    if not _is(made[index], "decision"):
        raise EvidenceError(f"ledger entry {index} is a `{made[index].predicate_type}`, expected a decision")
    rested = {str(it.predicate.get("decision")) for it in made if _is(it, "permit")}
    found = [
        _claimed(view, number, it)
        for number, it in enumerate(made)
        if number == index or (_is(it, "decision") and it.digest in rested)
    ]
    found.sort(key=lambda one: one.checkpoint.size)
    _check_roots(view, [*(one.root for one in found), *_seeds(made)])
    now = Checkpoint(view.size, view.root.hex(), view.time)
    read = read_at(view, [*(one.checkpoint for one in found), now], pinned_policy=pinned_policy)
    derived = ((one.index, _derived(one, past), past) for one, past in zip(found, read, strict=False))
    [(decision, had_read)] = [(answer, past) for number, answer, past in derived if number == index]
    return Rederived(decision, had_read, next(read))


def _claimed(view: LedgerView, index: int, made: Statement) -> _Claimed:
    where = f"the decision of ledger entry {index}"
    fields = Fields(made.predicate, where)
    checkpoint, at = leases.had_read(fields, where, index, lambda number: view.entries[number].time)
    action, deployment = fields.text("action"), fields.take("deployment")
    return _Claimed(index, made, checkpoint, at, action, deployment if isinstance(deployment, str) else None)


def _seeds(made: Sequence[Statement]) -> Iterator[_Root]:
    """The roots from which audits say that they drew their samples."""
    for index, it in enumerate(made):
        if _is(it, "audit"):
            where = f"the audit of ledger entry {index}"
            seed = Fields(it.predicate, where).nested("seed")
            size, root = seed.count("size"), seed.digest("root")
            if not 0 < size <= index:
                raise EvidenceError(f"{where} claims a checkpoint of size {size}, expected 1 to {index}")
            yield _Root(where, size, root)


def _check_roots(view: LedgerView, claimed: Iterable[_Root]) -> None:
    """Check the roots that entries claim, in the order of their sizes."""
    frontier = Frontier()
    for one in sorted(claimed, key=lambda it: it.size):
        for entry in view.entries[frontier.size : one.size]:
            frontier.append(entry.leaf)
        got = frontier.root().hex()
        if got != one.root:
            raise EvidenceError(f"{one.where} claims root {one.root[:12]} at size {frontier.size}, got {got[:12]}")


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


def _is(made: Statement, kind: str) -> bool:
    return made.predicate_type == predicate_type(kind)
