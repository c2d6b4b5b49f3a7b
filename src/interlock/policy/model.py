"""A policy as values: what was promised, after loading and checking.

Everything here is frozen and exact: proportions and multiples are `Fraction`, compute is `int` FLOP, times are aware
`datetime` in UTC. `decide` reads these values and nothing else of a policy; `compile.py` turns them into canonical JSON
and back, so that the ledger and every verifier read the same bytes.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Elicitation = Literal["prompted", "few-shot", "scaffolded", "fine-tuned", "rl-fine-tuned"]
ELICITATIONS: tuple[Elicitation, ...] = ("prompted", "few-shot", "scaffolded", "fine-tuned", "rl-fine-tuned")

#: What a negative result under each elicitation takes for granted (Hubinger, "When can we trust model evaluations?").
ASSUMED: dict[Elicitation, tuple[str, ...]] = {
    "prompted": ("no-evaluation-gaming",),
    "few-shot": ("no-evaluation-gaming",),
    "scaffolded": ("no-evaluation-gaming",),
    "fine-tuned": ("no-gradient-hacking", "good-demonstrations"),
    "rl-fine-tuned": ("no-gradient-hacking", "no-exploration-hacking"),
}


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months plus seconds. `3 months` after 30 November is 28 (or 29) February."""

    months: int
    seconds: int

    def after(self, start: datetime) -> datetime:
        """The moment this long after `start`; a day that the month lacks becomes its last day.

        Raises:
            OverflowError: the moment lies beyond year 9999.
        """
        month = start.month - 1 + self.months
        year, month = start.year + month // 12, month % 12 + 1
        if year > 9999:
            raise OverflowError(f"year {year} is out of range")
        day = min(start.day, calendar.monthrange(year, month)[1])
        return start.replace(year=year, month=month, day=day) + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Role:
    """Keys with a quorum. `keys` are public keys in text form (`ed25519:BASE64`)."""

    name: str
    keys: tuple[str, ...]
    quorum: int
    independent_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity that an evaluation yields: a proportion in [0, 1] for which higher is more dangerous."""

    name: str
    kind: Literal["capability"]
    task: str
    task_version: int
    metric: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """What must be true for a negative result to mean anything, stated by a role for a time."""

    name: str
    stated_by: str
    fresh_for: Duration


@dataclass(frozen=True, slots=True)
class RuleOut:
    """What evidence must show before a threshold counts as `below`.

    `confidence` is one-sided; `margin` is added to the upper bound; `buffer` is the EC multiple that the margin covers;
    `demonstrations` is the fewest that a fine-tuned result must have trained on to satisfy the demand.
    """

    confidence: Fraction
    elicitation: tuple[Elicitation, ...]
    demonstrations: int
    buffer: Fraction
    margin: Fraction
    margin_source: str
    coverage: Fraction
    run_by: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level of capability: reached when `measure` >= `level`."""

    name: str
    measure: str
    level: Fraction
    rule_out: RuleOut
    takeover_potential: bool
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attested:
    """Met by a fresh attestation of role `by` about the subject or the developer."""

    name: str
    what: str
    by: str
    about: Literal["subject", "developer"]
    fresh_for: Duration


@dataclass(frozen=True, slots=True)
class Hole:
    """Empty on purpose: nobody knows yet what would show it. Never met."""

    name: str
    what: str
    owner: str
    review: datetime


@dataclass(frozen=True, slots=True)
class Never:
    """A requirement that is never met: the gate stays shut unless the threshold is ruled out."""

    name: str


Requirement = Attested | Hole | Never


@dataclass(frozen=True, slots=True)
class Permits:
    """How long a permit lasts at most, how old the ledger's checkpoint may be, and whose key signs permits."""

    lease: Duration
    ledger_age: Duration
    issued_by: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy. `gates` maps action -> threshold -> requirement names; none of them is empty."""

    id: str
    version: str
    title: str
    effective: datetime
    roles: Mapping[str, Role]
    measures: Mapping[str, Measure]
    assumptions: Mapping[str, Assumption]
    thresholds: Mapping[str, Threshold]
    requirements: Mapping[str, Requirement]
    gates: Mapping[str, Mapping[str, tuple[str, ...]]]
    refresh_multiple: Fraction
    refresh_period: Duration
    attacker_budget: Fraction
    attacker_budget_source: str
    permits: Permits
    report_within: Duration
    approved_by: str
