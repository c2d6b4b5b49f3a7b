"""The answer: findings, cells, reasons, and what would lift a hold. Values only, with their JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from interlock.policy import exact

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from interlock.decide.facts import Checkpoint

State = Literal["below", "reached", "not ruled out"]
Verdict = Literal["permit", "hold"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is (`code` is stable), and what would change it; no `resume` means nothing would."""

    code: str
    text: str
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """One result as it counts in the bounds. `dangerous` includes the samples without a score; bounds are one-sided."""

    entry: int
    elicitation: str
    demonstrations: int
    planned: int
    scored: int
    correct: int
    upper: Fraction
    lower: Fraction
    admissible: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """What the evidence shows about one threshold. `upper` and `lower` are the largest bounds over all results."""

    threshold: str
    measure: str
    level: Fraction
    margin: Fraction
    confidence: Fraction
    state: State
    upper: Fraction
    lower: Fraction
    overdue: bool
    counted: tuple[Counted, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of a cell, met or not."""

    name: str
    kind: Literal["attested", "hole", "never"]
    met: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class Cell:
    """One threshold at the gate: it opens if `below`, or if every requirement is met; never when overdue."""

    finding: Finding
    requirements: tuple[Requirement, ...]
    opens: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a permit may reach: most effective compute in FLOP, and the moment after which it is void."""

    most_effective_compute: int
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """`permit` or `hold` for one action on one subject, at one time, under one policy and one state of the ledger."""

    verdict: Verdict
    action: str
    subject: str
    policy: str
    checkpoint: Checkpoint
    at: datetime
    cells: tuple[Cell, ...]
    reasons: tuple[Reason, ...]
    bounds: Bounds | None

    @property
    def holding(self) -> tuple[Cell, ...]:
        """The cells that hold."""
        return tuple(cell for cell in self.cells if not cell.opens)


def lifts(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """The ways to lift a holding cell: sets of things to do, the smallest first. Empty: a stop until amended."""
    ways = []
    requirements = [r.reason.resume for r in cell.requirements if not r.met]
    overdue = [reason.resume for reason in cell.finding.reasons if reason.code == "overdue"]
    if cell.requirements and all(requirements):
        ways.append(tuple(dict.fromkeys(str(way) for way in [*overdue, *requirements])))
    if cell.finding.state == "not ruled out" and all(reason.resume for reason in cell.finding.reasons):
        ways.append(tuple(dict.fromkeys(str(reason.resume) for reason in cell.finding.reasons)))
    return tuple(sorted(ways, key=len))


#: The order in which people read actions; any other follows.
_ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")


def in_order(actions: Iterable[str]) -> list[str]:
    """Actions from the least to the most irreversible, as people read them."""
    return sorted(actions, key=lambda name: (_ACTIONS.index(name) if name in _ACTIONS else len(_ACTIONS), name))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_json(decision: Decision) -> dict[str, Any]:
    """Plain JSON: quantities as exact strings, so that other implementations read the same numbers."""
    return {
        "verdict": decision.verdict,
        "action": decision.action,
        "subject": decision.subject,
        "policy": decision.policy,
        "at": timestamp(decision.at),
        "checkpoint": {
            "size": decision.checkpoint.size,
            "root": decision.checkpoint.root,
            "time": timestamp(decision.checkpoint.time),
        },
        "reasons": [_reason(reason) for reason in decision.reasons],
        "cells": [_cell(cell) for cell in decision.cells],
        "bounds": None
        if decision.bounds is None
        else {
            "most_effective_compute": str(decision.bounds.most_effective_compute),
            "not_after": timestamp(decision.bounds.not_after),
        },
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {"code": reason.code, "text": reason.text, "resume": reason.resume}


def _cell(cell: Cell) -> dict[str, Any]:
    finding = cell.finding
    return {
        "threshold": finding.threshold,
        "opens": cell.opens,
        "finding": {
            "state": finding.state,
            "measure": finding.measure,
            "level": exact(finding.level),
            "margin": exact(finding.margin),
            "confidence": exact(finding.confidence),
            "upper": exact(finding.upper),
            "lower": exact(finding.lower),
            "method": "Clopper-Pearson, one-sided",
            "overdue": finding.overdue,
            "counted": [_counted(counted) for counted in finding.counted],
            "reasons": [_reason(reason) for reason in finding.reasons],
        },
        "requirements": [
            {"name": r.name, "kind": r.kind, "met": r.met, "reason": _reason(r.reason)} for r in cell.requirements
        ],
        "lifts": [list(way) for way in lifts(cell)] if not cell.opens else [],
    }


def _counted(counted: Counted) -> dict[str, Any]:
    return {
        "entry": counted.entry,
        "elicitation": counted.elicitation,
        "demonstrations": counted.demonstrations,
        "planned": counted.planned,
        "scored": counted.scored,
        "correct": counted.correct,
        "upper": exact(counted.upper),
        "lower": exact(counted.lower),
        "admissible": counted.admissible,
    }
