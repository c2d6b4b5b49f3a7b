"""The rules of thresholds, as written, to values."""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

from interlock.policy._structure.parts import Problem
from interlock.policy._written.form_threshold import BufferForm, ForecastForm
from interlock.policy.model import NO_CONFIDENCE, Buffer, Demand, Refresh, RuleOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from interlock.policy._structure.parts import Path
    from interlock.policy._written.form_requirement import MeasuredForm
    from interlock.policy._written.form_threshold import AnyBufferForm, DemandForm, PartForm, RefreshForm, RuleOutForm
    from interlock.policy.model import Elicitation


def rule_out(form: RuleOutForm, refresh: Refresh) -> RuleOut:
    """A threshold's rule; `refresh` is the policy's."""
    return RuleOut(
        confidence=form.confidence,
        elicitation=demands(form.elicitation, form.demonstrations),
        buffer=buffer(form.buffer),
        coverage=form.coverage,
        run_by=form.run_by,
        refresh=refresh_of(form.refresh) if form.refresh else refresh,
        assumes=form.assumes,
    )


def part(form: PartForm, refresh: Refresh) -> RuleOut:
    """The rule of a threshold that measures nothing itself: what is not written asks for nothing."""
    reach = refresh_of(form.refresh) if form.refresh else refresh
    return RuleOut(
        confidence=form.confidence or NO_CONFIDENCE,
        elicitation=(),
        buffer=Buffer(reach.multiple, Fraction(0), "nothing is measured", MappingProxyType({})),
        coverage=form.coverage,
        run_by="",
        refresh=reach,
    )


def refresh_of(form: RefreshForm) -> Refresh:
    """How far a result reaches."""
    return Refresh(form.effective_compute, form.period, form.events, form.discretion, form.sources)


def idle_demonstrations(form: RuleOutForm | MeasuredForm, path: Path) -> Iterator[Problem]:
    """What is wrong with the `demonstrations` of a rule at `path` that no `fine-tuned` in it is left to take."""
    if form.demonstrations is None:
        return
    tuned = next((demand for word, demand in form.elicitation or () if word == "fine-tuned"), None)
    if tuned is None:
        other = "any other elicitation says its own, such as `few-shot: {demonstrations: 5}`"
        message = f"expected `fine-tuned` under `elicitation`, which `demonstrations` are for, got none; {other}"
        yield Problem((*path, "demonstrations"), message, at_key=True)
    elif tuned.demonstrations is not None:
        said = f"`elicitation` has a `fine-tuned` that says `{tuned.demonstrations}`"
        message = f"expected `demonstrations` of `fine-tuned` in one place, got a second; {said}"
        yield Problem((*path, "demonstrations"), message, at_key=True)


def demands(written: Iterable[tuple[Elicitation, DemandForm]], demonstrations: int | None) -> tuple[Demand, ...]:
    """What must have been tried. `demonstrations` are those of `fine-tuned` where it does not say how many."""
    made = []
    for word, form in written:
        least = demonstrations or 0 if word == "fine-tuned" else 0
        made.append(
            Demand(
                elicitation=word,
                demonstrations=least if form.demonstrations is None else form.demonstrations,
                flop=form.flop,
                attempts=form.attempts,
                tools=form.tools,
                safety_ablated=form.safety_ablated,
                refusals=form.refusals,
            )
        )
    return tuple(made)


def buffer(form: AnyBufferForm) -> Buffer:
    """The room under a level."""
    if isinstance(form, BufferForm):
        items = form.margin if isinstance(form.margin, dict) else {}
        margin = form.margin if isinstance(form.margin, Fraction) else sum(items.values(), Fraction(0))
        return Buffer(form.effective_compute, margin, form.source, MappingProxyType(items), form.period)
    if isinstance(form, ForecastForm):
        return Buffer(
            form.effective_compute,
            Fraction(0),
            form.source,
            MappingProxyType({}),
            period=form.period,
            forecast_by=form.forecast_by,
            fresh_for=form.fresh_for,
        )
    return Buffer(Fraction(1), Fraction(0), form.none, MappingProxyType({}))
