"""Derive recorded decisions again, each from the entries that it had read."""

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
    from interlock.decide.decision import Decision
    from interlock.ledger.log import LedgerView


def rederive(view: LedgerView, *, pinned_policy: str) -> int:
    """Derive each decision in a verified ledger again. Returns how many there were.

    Raises:
        EvidenceError: a decision claims another state of the ledger than the entries before it, another time than
            its place in the ledger allows, or another answer than the rule gives.
    """
    found = [entry.index for entry in view.statements if _is_decision(_statement(view, entry.index))]
    for index in found:
        again(view, index, pinned_policy=pinned_policy)
    return len(found)


def again(view: LedgerView, index: int, *, pinned_policy: str) -> Decision:
    """Derive the decision that stands at `index` of a verified ledger again; return it.

    Raises:
        EvidenceError: no decision stands there, or as for `rederive`.
    """
    where, made = f"the decision of ledger entry {index}", _statement(view, index)
    if not _is_decision(made):
        raise EvidenceError(f"ledger entry {index} is a `{made.predicate_type}`, expected a decision")
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
    decision = decide(evidence.versions, evidence.facts, subject=subject, action=action, at=at, deployment=offered)
    if to_json(decision) != made.predicate:
        raise EvidenceError(
            f"{where} says `{made.predicate.get('verdict')}` otherwise than the rule, which says `{decision.verdict}`"
        )
    return decision


def _statement(view: LedgerView, index: int) -> Statement:
    return Statement.parse(dsse.payload(dsse.parse(view.entries[index].data), PAYLOAD_TYPE))


def _is_decision(made: Statement) -> bool:
    return made.predicate_type == predicate_type("decision")
