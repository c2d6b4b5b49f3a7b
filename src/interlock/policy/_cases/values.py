"""A test of a policy, and what came of it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from interlock.decide.decision import Decision, State, Verdict
    from interlock.decide.facts import Facts, Version
    from interlock.policy._cases.facts import Saw

#: An action and a threshold at its gate.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one action. None: whatever comes out."""

    verdict: Verdict
    most_effective_compute: int | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One test: the facts of a ledger, a question, and what is expected of the answer.

    `also` are versions in force beside the tested policy; `since` is when that one came into force, if not at its
    `effective`, and `entered` when the ledger took it in, if not before everything. `saw` are, by digest, what the
    approvals saw; their findings are worked out from it when the case is run.
    """

    name: str
    where: str
    at: datetime
    subject: str
    deployment: str | None
    facts: Facts
    saw: Mapping[str, Saw]
    since: datetime | None
    entered: datetime | None
    also: tuple[Version, ...]
    expect: Mapping[str, Expected]
    findings: Mapping[str, State]
    because: Mapping[str, tuple[str, ...]]
    resume: Mapping[str, tuple[str, ...]]
    duties: Mapping[str, datetime | None]

    @property
    def expects(self) -> bool:
        """Whether anything is expected. A case that expects nothing fails."""
        return bool(self.expect or self.findings or self.because or self.resume or self.duties)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a case expected and did not get. `stood`: the reasons that did stand."""

    text: str
    stood: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case: the decision on every action, and what was not as expected."""

    case: Case
    decisions: Mapping[str, Decision]
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """Everything was as expected."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a policy no case exercises. Of a place: no case permits the action; none is held by the threshold."""

    never_permitted: tuple[Place, ...]
    never_held: tuple[Place, ...]
    never_below: tuple[str, ...]
    never_reached: tuple[str, ...]
    never_met: tuple[str, ...]
    never_unmet: tuple[str, ...]
