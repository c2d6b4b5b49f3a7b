"""The forms of single entries to the frozen values of `model.py` and `duty.py`, where no other entry is needed."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from interlock.policy._written import form_requirement as requirements
from interlock.policy._written import form_threshold as thresholds
from interlock.policy._written import forms as _schema
from interlock.policy.duty import Clock, Duty, Response, Start
from interlock.policy.model import (
    Amendments,
    Approved,
    Assumption,
    Attested,
    Cell,
    Combined,
    ComputeRatio,
    Defined,
    Hole,
    Judged,
    Mean,
    Measure,
    Modality,
    Permits,
    RuledOut,
    Scope,
    Threshold,
    Unbounded,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from interlock.policy._written.expression import Words
    from interlock.policy._written.form import Form
    from interlock.policy.model import AnyMeasure, BelowIf, ExceptionRule, Expr, Requirement

    T = TypeVar("T")


def named(kind: Callable[..., T], name: str, form: Form) -> T:
    """A value with the fields of its form."""
    return kind(name=name, **dict(form))


def measure(name: str, form: thresholds.AnyMeasureForm) -> AnyMeasure | None:
    """A measure; nothing for a `max_of`, which stands in expressions only."""
    if isinstance(form, thresholds.WorstForm):
        return None
    if isinstance(form, thresholds.MeanForm):
        return Mean(name, MappingProxyType(form.mean_of), form.sources)
    if isinstance(form, thresholds.RatioForm):
        return ComputeRatio(name, form.compute_ratio_to, form.sources)
    if isinstance(form, thresholds.UnboundedForm):
        return Unbounded(name, form.kind, form.on, *form.source.task, form.source.metric, form.sources)
    low, high = form.range
    task, task_version = form.source.task
    return Measure(
        name=name,
        kind=form.kind,
        on=form.on,
        danger=form.danger,
        low=low,
        high=high,
        task=task,
        task_version=task_version,
        metric=form.source.metric,
        unit=form.source.unit,
        samples_digest=form.source.samples,
        least_samples=form.source.at_least,
        valid_below=form.valid_below,
        sources=form.sources,
    )


def assumption(name: str, form: thresholds.StatedForm | thresholds.CheckedForm) -> Assumption:
    """An assumption."""
    if isinstance(form, thresholds.StatedForm):
        return Assumption(name, form.stated_by, form.fresh_for, void_at=form.void_at, sources=form.sources)
    return named(Assumption, name, form)


def threshold(name: str, form: thresholds.ThresholdForm, words: Words, when: Expr | None) -> Threshold:
    """A threshold without its rule; `when` as it was read."""
    judged = Judged(form.judged_by, words.plain(form.on or ()), form.fresh_for) if form.judged_by else None
    return Threshold(
        name=name,
        reached_when=when,
        rule_out=None,
        judged=judged,
        below_if=tuple(_below_if(way, words) for way in form.below_if),
        takeover_potential=form.takeover_potential,
        role=form.role,
        alert_for=form.alert_for,
        above=form.above,
        domain=form.domain,
        rung=form.rung,
        threat_models=form.threat_models,
        sources=form.sources,
    )


def _below_if(form: thresholds.BelowForm, words: Words) -> BelowIf:
    if isinstance(form, thresholds.ScreenForm):
        return UnderScreen(form.below)
    if isinstance(form, thresholds.ReferenceForm):
        return UnderReference(form.no_more_capable_than, words.plain(form.on), form.margin)
    return UnderQuantity(form.name, form.level)


def requirement(name: str, form: requirements.RequirementForm) -> Requirement | None:
    """A requirement; nothing for a measured one, which needs the thresholds around it."""
    if isinstance(form, requirements.AttestedForm):
        return Attested(name, form.attested, form.by, form.about, form.fresh_for, form.standard, form.sources)
    if isinstance(form, requirements.ApprovedForm):
        return Approved(name, form.approved, form.by, form.about, form.fresh_for, form.sources)
    if isinstance(form, requirements.DefinedForm):
        return Defined(name, form.defined, form.sources)
    if isinstance(form, requirements.RuledOutForm):
        return RuledOut(name, form.ruled_out, form.sources)
    if isinstance(form, requirements.HoleForm):
        return Hole(name, form.hole, form.owner, form.review, form.sources)
    return None if isinstance(form, requirements.MeasuredForm) else _combined(name, form)


def _combined(
    name: str, form: requirements.AnyCaseForm | requirements.AllCaseForm | requirements.MostCaseForm
) -> Combined:
    if isinstance(form, requirements.AnyCaseForm):
        count, of = 1, form.any_of
    elif isinstance(form, requirements.AllCaseForm):
        count, of = len(form.all_of), form.all_of
    else:
        count, of = form.at_least.count, form.at_least.of
    return Combined(name, count, of, form.claim, form.argument, form.doubt, form.sources)


def cell(form: _schema.CellForm) -> Cell:
    """A cell: what gates first, `must` before `will`."""
    weaker: list[tuple[Modality, str]] = [("intends", name) for name in form.intends]
    weaker += [("recommends", name) for name in form.recommends]
    modality: Modality = "will" if form.will and not form.must else "must"
    return Cell((*form.must, *form.will), tuple(weaker), modality, form.sources)


def mentioned(
    gates: Mapping[str, Mapping[str, Cell]],
    requirements: Mapping[str, Requirement],
    exceptions: Mapping[str, ExceptionRule],
    on_hold: Mapping[str, tuple[Response, ...]],
) -> frozenset[str]:
    """Every requirement that something names."""
    cells = [cell for gate in gates.values() for cell in gate.values()]
    held = [response for listed in on_hold.values() for response in listed]
    return frozenset().union(
        on_hold,
        *(cell.requires for cell in cells),
        *([name for _, name in cell.weaker] for cell in cells),
        *(it.of for it in requirements.values() if isinstance(it, Combined)),
        *((*rule.instead_of, *rule.requires) for rule in exceptions.values()),
        *(response.to for response in held),
        *([state.removeprefix("unmet:") for state in response.when] for response in held),
    )


def scope(form: _schema.ScopeForm, subjects: Expr | None) -> Scope:
    """Whom the policy binds; `subjects` as it was read."""
    return Scope(subjects, form.developers, form.exempt, form.binds, form.sources)


def permits(form: _schema.PermitsForm) -> Permits:
    """The bounds of permits."""
    return Permits(form.lease, form.ledger_age, form.issued_by, form.revocable_by, form.sources)


def amendments(form: _schema.AmendmentsForm) -> Amendments:
    """How the policy changes."""
    return Amendments(
        approved_by=form.approved_by,
        consulted=form.consulted,
        notice=form.notice,
        frozen_while_reached=form.frozen_while == "reached",
        proposed_by=form.proposed_by,
        changelog_required=form.changelog == "required",
        sources=form.sources,
    )


def responses(forms: tuple[_schema.ResponseForm, ...]) -> tuple[Response, ...]:
    """What is done about a hold."""
    return tuple(Response(**dict(form)) for form in forms)


def duty(name: str, form: _schema.DutyForm) -> Duty:
    """A duty. Its zone and holidays are those of each of its clocks."""

    def here(clock: Clock | None) -> Clock | None:
        return replace(clock, zone=form.zone, holidays=form.holidays) if clock else None

    return Duty(
        name=name,
        what=form.do,
        by=form.by,
        start=_start(form.starts),
        within=here(form.within),
        not_before=here(form.not_before),
        repeat=here(form.repeat),
        until_resolved=form.until == "resolved",
        after_resolved=here(form.after_resolved),
        report=form.report,
        notify=form.notify,
        regime=form.regime,
        modality=form.modality,
        sources=form.sources,
    )


def _start(form: _schema.StartForm) -> Start:
    named = next((starter for starter in _schema.NAMED_STARTERS if form.names(starter)), None)
    return Start(named, form.names(named), form.moment) if named else Start("effective")
