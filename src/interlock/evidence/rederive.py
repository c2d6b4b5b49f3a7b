"""Derive every recorded decision again from the entries that it had read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from interlock.decide.decision import to_json
from interlock.decide.rule import decide
from interlock.errors import EvidenceError
from interlock.evidence import dsse
from interlock.evidence.predicates import Fields, predicate_type
from interlock.evidence.read import read
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger import merkle

if TYPE_CHECKING:
    from interlock.ledger.log import LedgerView


def rederive(view: LedgerView, *, pinned_policy: str) -> int:
    """Derive each decision in a verified ledger again, and check the seed of each audit. Returns how many decisions
    there were.

    Raises:
        EvidenceError: an audit drew its samples by another seed than the ledger's root; or a decision claims another
            state of the ledger than the entries before it, another time than its place in the ledger allows, or another
            answer than the rule gives.
    """
    count = 0
    for entry in view.statements:
        made = Statement.parse(dsse.payload(dsse.parse(entry.data), PAYLOAD_TYPE))
        if made.predicate_type == predicate_type("decision"):
            _check(view, entry.index, made, pinned_policy)
            count += 1
        elif made.predicate_type == predicate_type("audit"):
            _check_seed(view, entry.index, made)
    return count


def _check_seed(view: LedgerView, index: int, made: Statement) -> None:
    where = f"the audit of ledger entry {index}"
    seed = Fields(made.predicate, where).nested("seed")
    size, root = seed.count("size"), seed.digest("root")
    got = merkle.root(entry.leaf for entry in view.entries[:size]).hex()
    if got != root:
        raise EvidenceError(f"{where} claims root {root[:12]} at size {size}, got {got[:12]}")


def _check(view: LedgerView, index: int, made: Statement, pinned_policy: str) -> None:
    where = f"the decision of ledger entry {index}"
    claimed = Fields(made.predicate, where)
    checkpoint = claimed.nested("checkpoint")
    size, root, signed = checkpoint.count("size"), checkpoint.digest("root"), checkpoint.time("time")
    at, action, deployment = claimed.time("at"), claimed.text("action"), claimed.take("deployment")
    offered = deployment if isinstance(deployment, str) else None
    if not 0 < size <= index:
        raise EvidenceError(f"{where} claims a checkpoint of size {size}, expected 1 to {index}")
    entries = view.entries[:size]
    got = merkle.root(entry.leaf for entry in entries)
    if got.hex() != root:
        raise EvidenceError(f"{where} claims root {root[:12]} at size {size}, got {got.hex()[:12]}")
    # `at` the latest, it had read everything there was: the first entry that it has not read is no older
    if not entries[-1].time <= signed <= at <= view.entries[size].time:
        raise EvidenceError(f"{where} claims times that do not fit what it had read")
    past = replace(view, entries=entries, size=size, root=got, time=signed, seal=None)
    evidence = read(past, pinned_policy=pinned_policy)
    subject = made.subjects[0][1]
    again = decide(evidence.versions, evidence.facts, subject=subject, action=action, at=at, deployment=offered)
    if to_json(again) != made.predicate:
        raise EvidenceError(
            f"{where} says `{made.predicate.get('verdict')}` otherwise than the rule, which says `{again.verdict}`"
        )
