"""Assumptions: what a negative result takes for granted, and which statements and checks can stand for it. Numbers in
comments are those of docs/semantics.md. Who signed, and until when, is left to `view.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.bounds import shows
from interlock.decide.facts import UNKNOWN
from interlock.policy.model import ASSUMED, ASSUMED_OF_PROPENSITY

if TYPE_CHECKING:
    from fractions import Fraction

    from interlock.decide.facts import Attestation, Validity
    from interlock.policy.model import Assumption, Demand, Measure, RuleOut


@dataclass(frozen=True, slots=True)
class Tried:
    """How hard results tried, as far as a certified elicitor asks: its recipe, with how many demonstrations, and at
    which confidence their bounds are read.
    """

    recipe: str
    demonstrations: int
    confidence: Fraction

    def covers(self, own: Tried) -> bool:
        """Whether what was shown of `own` holds of these results."""
        known = self.recipe == own.recipe != UNKNOWN
        return known and self.demonstrations >= own.demonstrations and self.confidence >= own.confidence


def assumed(rule: RuleOut, measure: Measure, demand: Demand) -> tuple[str, ...]:
    """What a negative result under a demand takes for granted (rule 15)."""
    behavioural = demand.elicitation != "understanding-based"
    own = ASSUMED_OF_PROPENSITY if measure.kind == "propensity" and behavioural else ASSUMED[demand.elicitation]
    return (*own, *(name for name in rule.assumes if name not in own))


def certified(said: Attestation) -> Tried | None:
    """How hard results must have tried for a statement to stand for them; None: it stands for all."""
    validity = said.check.validity if said.check else None
    return None if validity is None else Tried(validity.recipe, validity.demonstrations, validity.confidence)


def stands_for(said: Attestation, ran: Tried | None) -> bool:
    """Whether a statement stands for results that tried so hard (None: however hard)."""
    own = certified(said)
    if own is None or ran is None:
        return own is None or own.recipe != UNKNOWN
    return ran.covers(own)


def passes(said: Attestation, rule: Assumption) -> bool:
    """Whether a statement rests on a check that is known to work (rule 16)."""
    it, alpha = said.check, 1 - rule.confidence
    return (
        it is not None
        and it.name == rule.checked
        and it.passed
        and shows(it.caught, it.organisms, rule.coverage, alpha)
        and _valid(it.validity, rule)
    )


def _valid(it: Validity | None, rule: Assumption) -> bool:
    """Whether a check is as sharp as asked, on organisms as large as asked."""
    if it is None:
        return not rule.sharpness and not rule.least_parameters
    sharp = it.at <= rule.sharp_at and shows(it.ruled_out, it.honest, rule.sharpness, 1 - rule.confidence)
    return (sharp or not rule.sharpness) and it.least_parameters >= rule.least_parameters
