"""What the ledger says, as values: the only input of `decide` beside the policy.

`evidence.read` builds these from verified bytes. Whatever it could not verify is not here. Times are ledger time: the
timestamp of the checkpoint that first covered the entry; an attestation's is its own date, which is never later.
Subjects are named by manifest digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Roles whose quorum signed an entry.
Signers = frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """How a subject came from a parent, and the FLOP that the step took."""

    parent: str
    kind: str
    compute: int


@dataclass(frozen=True, slots=True)
class Subject:
    """The exact model that is judged. Compute is FLOP; effective compute is an interval of FLOP."""

    digest: str
    name: str
    training_compute: int
    ec_low: int
    ec_high: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What was, or will be, run: the task, its samples, and how hard it tries."""

    task: str
    task_version: int
    metric: str
    samples: int
    samples_digest: str
    elicitation: str
    shots: int
    demonstrations: int
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation announced before it runs."""

    entry: int
    digest: str
    subject: str
    protocol: Protocol
    signers: Signers
    at: datetime
    report_by: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave. `plan` is None unless an earlier entry of the ledger announced exactly this run.

    Counts satisfy `0 <= correct <= scored <= completed <= planned`; `flop` is what the elicitation spent.
    """

    entry: int
    digest: str
    subject: str
    protocol: Protocol
    completed: int
    scored: int
    correct: int
    flop: int
    signers: Signers
    plan: Plan | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Attestation:
    """A role's signed word that a requirement is met or an assumption holds. `about` None means the developer."""

    entry: int
    name: str
    is_assumption: bool
    about: str | None
    signers: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signed state of the ledger that a decision has read, whole."""

    size: int
    root: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the ledger says, in the order of its entries."""

    checkpoint: Checkpoint
    subjects: Mapping[str, Subject]
    plans: tuple[Plan, ...]
    results: tuple[Result, ...]
    attestations: tuple[Attestation, ...]

    def ancestors(self, digest: str) -> frozenset[str]:
        """Every subject that `digest` was made from, near and far; not itself."""
        found: set[str] = set()
        todo = [digest]
        while todo:
            for step in self.subjects[todo.pop()].steps:
                if step.parent not in found:
                    found.add(step.parent)
                    todo.append(step.parent)
        return frozenset(found)

    def derivatives(self, digest: str) -> dict[str, int]:
        """Every subject made from `digest`, near and far, with the least FLOP of all steps that lead there."""
        costs, before = {digest: 0}, None
        while costs != before:
            before = dict(costs)
            for other, subject in self.subjects.items():
                ways = [costs[step.parent] + step.compute for step in subject.steps if step.parent in costs]
                if ways and other != digest:
                    costs[other] = min(ways)
        return {other: cost for other, cost in costs.items() if other != digest}
