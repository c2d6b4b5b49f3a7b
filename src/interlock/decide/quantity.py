"""Signed quantities of a subject: training compute, effective compute, and its ratio to another subject's
(docs/semantics.md, rules 22 and 41).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.decision import Node, Reason
from interlock.policy import exact
from interlock.policy.model import ComputeRatio

if TYPE_CHECKING:
    from interlock.decide.view import View


def amount(view: View, quantity: str, level: Fraction, *, kind: str, place: int | None = None) -> Node:
    """A signed quantity against its level (rule 22), and how far compute may grow before it gets there (rule 41).

    `place`: of the version that means it, if not this one.
    """
    version = view.current if place is None else place
    text = f"{quantity} >= {exact(level)}"
    ends = interval(view, version, quantity)
    if ends is None:
        reason = Reason("unknown-reference", f"`{quantity}` compares with a subject that the ledger does not know")
        return Node(kind, text, holds=False, state="not ruled out", reasons=(reason,))
    low, high = ends
    if low >= level:
        reason = Reason("reached", f"{text}: it is at least {_number(low)}")
        return Node(kind, text, holds=False, state="reached", reasons=(reason,))
    cap = _cap(view, version, quantity, level, high)
    if high is None or high >= level or not view.has_room(cap):
        most = "anything" if high is None else _number(high)
        said = f"{quantity} may be {most}, or grow there: not certainly under {exact(level)}"
        reason = Reason("uncertain-quantity", said)
        return Node(kind, text, holds=False, state="not ruled out", reasons=(reason,))
    return Node(kind, text, holds=True, state="below", reach=cap)


def interval(view: View, version: int, quantity: str) -> tuple[Fraction, Fraction | None] | None:
    """The least and the greatest that a version's quantity can be; None for an upper end without bound, or for all.

    What is made of a subject has no less of it than the subject (rule 22).
    """
    lineage = [view.index.facts.subjects[it] for it in (view.subject, *view.index.ancestors(view.subject))]
    if quantity == "training_compute":
        told = max(it.training_compute for it in lineage)
        added = sum(max((step.compute for step in it.steps), default=it.training_compute) for it in lineage)
        return Fraction(max(told, added)), Fraction(max(told, added))
    low, high = max(it.ec_low for it in lineage), max(it.ec_high for it in lineage)
    if quantity == "effective_compute":
        return Fraction(low), Fraction(high)
    measure = view.case.versions[version].policy.measures.get(quantity)
    named = view.index.named(measure.subject) if isinstance(measure, ComputeRatio) else None
    if named is None:
        return None
    return (
        Fraction(low, named.ec_high) if named.ec_high else Fraction(0),
        Fraction(high, named.ec_low) if named.ec_low else None,
    )


def _cap(view: View, version: int, quantity: str, level: Fraction, high: Fraction | None) -> Fraction:
    """The greatest effective compute at which a quantity, `high` by now, stays under its level."""
    model, limit = view.model, level
    if quantity == "training_compute":
        grown = model.ec_low * level / high if high else None
        limit = Fraction(model.ec_low + 1) if grown is None else grown
    elif quantity != "effective_compute":
        measure = view.case.versions[version].policy.measures[quantity]
        named = view.index.named(measure.subject) if isinstance(measure, ComputeRatio) else None
        limit = level * named.ec_low if named else Fraction(0)
    return Fraction(-(-limit.numerator // limit.denominator) - 1)


def _number(value: Fraction) -> str:
    return exact(value) if value < 10**6 else f"{float(value):.3g}"
