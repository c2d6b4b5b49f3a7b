"""The written form of a policy, field by field: which fields exist, which may be left out, what each may say.

These models stand at the border and nowhere else: `load.py` reads one entry at a time through them, and `build.py`
makes the frozen values of `model.py` from them. Whether a name that is mentioned exists is left to `_structure`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from interlock.policy import _scalar as scalar
from interlock.policy._written.form import (
    Binding,
    Deadline,
    Form,
    Instant,
    Length,
    Name,
    Names,
    OneOrMore,
    Share,
    Text,
    Texts,
    Truth,
    Version,
    each,
    kept,
    read,
    says,
    section_of,
    shown,
    text,
    word,
)
from interlock.policy._written.form_requirement import (
    ExceptionForm,
    RequirementForm,
)
from interlock.policy._written.form_threshold import (
    AnyMeasureForm,
    CheckedForm,
    RefreshForm,
    RoleForm,
    StatedForm,
    ThresholdForm,
    Written,
)
from interlock.policy.duty import STOPS, Moment, Starter

# -- gates and rules ---------------------------------------------------------------------------------------------------


class CellForm(Form):
    """What must be met at a gate unless the threshold is ruled out, and how firmly the policy says so."""

    must: Names = ()
    will: Names = ()
    intends: Names = ()
    recommends: Names = ()
    sources: Texts = ()


def cell(value: object) -> CellForm:
    """A cell: a list of what must be met, or lists by how firmly the policy says so. One may come out empty."""
    if isinstance(value, dict):
        return read(CellForm, value)
    if not isinstance(value, list):
        raise ValueError(f"expected a list of requirements, got {scalar.quote(value)}")  # noqa: TRY004  # for pydantic
    names = each(scalar.name, enumerate(value))
    return CellForm.model_construct(must=tuple(names.values()))


class ActionForm(Form):
    """An action that the policy names: what it refines, and whether it can be taken back."""

    refines: Annotated[Name, says("the action that this is a case of")] = ""
    reversible: Annotated[Truth, says("it can be taken back")] = False
    audience: Text = ""
    size: Text = ""
    surface: Text = ""
    sources: Texts = ()


def _when(value: object) -> str:
    if isinstance(value, str) and value.startswith("unmet:"):
        return f"unmet:{scalar.name(value.removeprefix('unmet:'))}"
    states = scalar.one_of("reached", "not ruled out", "overdue", "unmet:REQUIREMENT")
    return states(value)


class ResponseForm(Form):
    """What is done about a hold, or who is told."""

    do: Annotated[
        str,
        PlainValidator(scalar.one_of(*STOPS, "notify")),
        word("what is done; left out: somebody is told", *STOPS, "notify"),
    ] = "notify"
    when: Annotated[
        tuple[
            Annotated[
                str,
                PlainValidator(_when),
                shown(
                    "reached, not ruled out, overdue, or unmet:REQUIREMENT",
                    **text(f"reached|not ruled out|overdue|unmet:{scalar.NAME.pattern}"),
                ),
            ],
            ...,
        ],
        BeforeValidator(scalar.listed),
        says("in which states; left out: whenever it holds"),
    ] = ()
    notify: Annotated[OneOrMore, says("the roles that are told")] = ()
    within: Annotated[Deadline | None, says("how soon")] = None
    to: Annotated[Names, says("the requirements that work turns to")] = ()
    modality: Binding = "must"
    sources: Texts = ()


def responses(value: object) -> tuple[ResponseForm, ...]:
    """What is done about a hold."""
    return tuple(each(lambda item: read(ResponseForm, item), enumerate(scalar.listed(value))).values())


_MOMENTS = ("event", "awareness", "discovery", "determination")
NAMED_STARTERS: tuple[Starter, ...] = (
    *("incident", "reached", "not-ruled-out", "overdue", "alert", "hold", "permit", "exception"),
)


class StartForm(Form):
    """What starts a duty's clock: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [starter]} for starter in (*NAMED_STARTERS, "effective")]}
    )

    incident: OneOrMore = ()
    moment: Annotated[
        Moment,
        PlainValidator(scalar.one_of(*_MOMENTS)),
        word("from which moment of an incident the clock runs", *_MOMENTS),
    ] = Field(default="event", alias="from")
    reached: OneOrMore = ()
    not_ruled_out: OneOrMore = Field(default=(), alias="not-ruled-out")
    overdue: OneOrMore = ()
    alert: OneOrMore = ()
    hold: OneOrMore = ()
    permit: OneOrMore = ()
    exception: Annotated[OneOrMore, says("from when an exception is opened")] = ()
    effective: Annotated[
        bool,
        PlainValidator(lambda value: scalar.one_of("true")(value) == "true"),
        shown("from when the policy takes effect", const=True),
    ] = False

    def names(self, starter: Starter) -> tuple[str, ...]:
        """What the starter names; nothing if this is not what starts the duty."""
        found: tuple[str, ...] = getattr(self, starter.replace("-", "_"))
        return found

    @model_validator(mode="after")
    def _one(self) -> Self:
        told = [starter for starter in NAMED_STARTERS if self.names(starter)] + ["effective"] * self.effective
        if len(told) != 1:
            wanted = ", ".join(f"`{starter}`" for starter in (*NAMED_STARTERS, "effective"))
            got = " and ".join(f"`{starter}`" for starter in told) or "none"
            raise ValueError(f"expected exactly one of {wanted}, got {got}")
        return self


class DutyForm(Form):
    """What must be done by a time, started by an event."""

    do: Annotated[Text, says("what is to be done")]
    by: Annotated[Name, says("the role that does it")]
    starts: StartForm
    within: Annotated[Deadline | None, says("how soon after the start")] = None
    not_before: Annotated[Deadline | None, says("how long after the start at the earliest")] = None
    zone: Annotated[str, PlainValidator(scalar.zone), shown("the time zone where days are counted", type="string")] = (
        "UTC"
    )
    holidays: Annotated[
        tuple[
            Annotated[date, PlainValidator(scalar.calendar_day), shown("a date", **text(scalar.DAY.pattern))],
            ...,
        ],
        BeforeValidator(scalar.listed),
    ] = ()
    repeat: Annotated[Deadline | None, says("how often again; without `until`, without end")] = None
    until: Annotated[
        Literal["resolved", ""],
        PlainValidator(scalar.one_of("resolved")),
        word("until the incident is resolved", "resolved"),
    ] = ""
    after_resolved: Annotated[Deadline | None, says("how soon after the resolution the last report is due")] = None
    report: Annotated[Name, says("the report that it is")] = ""
    notify: Annotated[OneOrMore, says("the roles that are told")] = ()
    regime: Annotated[Text, says("the law or code that asks for it")] = ""
    modality: Binding = "must"
    sources: Texts = ()


class PermitsForm(Form):
    """How long a permit lasts, how old the ledger may be, who signs, who may revoke."""

    lease: Annotated[Length, says("how long a permit lasts at most")]
    ledger_age: Annotated[Length, says("how old the ledger's checkpoint may be")]
    issued_by: Annotated[Name, says("the role whose key signs permits")]
    revocable_by: Annotated[Names, says("the roles that may revoke them")] = ()
    sources: Texts = ()


class PlansForm(Form):
    """How soon a plan reports."""

    report_within: Length


class BudgetForm(Form):
    """The share of the training compute that somebody else is taken to spend on making the model more dangerous."""

    share: Share
    source: Annotated[Text, says("why so much")] = ""


class AmendmentsForm(Form):
    """Who changes the policy, who is asked, how long before, when only tightening is allowed, and what is told."""

    approved_by: Annotated[OneOrMore, says("the roles that all approve")]
    consulted: Annotated[Names, says("the roles that are asked")] = ()
    notice: Annotated[Length | None, says("how long before it takes effect it is published")] = None
    frozen_while: Annotated[
        Literal["reached", ""],
        PlainValidator(scalar.one_of("reached")),
        word("only tightening while a threshold is reached", "reached"),
    ] = ""
    proposed_by: Annotated[Names, says("the roles that propose changes")] = ()
    changelog: Annotated[
        Literal["required", ""],
        PlainValidator(scalar.one_of("required")),
        word("each version says what it changes", "required"),
    ] = ""
    sources: Texts = ()


class ScopeForm(Form):
    """Whom and what the policy binds. `subjects` is read on its own."""

    subjects: Annotated[
        Any, kept(Written), says("an expression over quantities; out of scope only if certainly false")
    ] = None
    developers: Annotated[Text, says("which developers")] = ""
    exempt: Annotated[Texts, says("what is exempt")] = ()
    binds: Annotated[Texts, says("who is bound beside the developer")] = ()
    sources: Texts = ()


# -- what the policy speaks of -----------------------------------------------------------------------------------------


class DomainForm(Form):
    """A field of risk."""

    title: Text
    sources: Texts = ()


class ActorForm(Form):
    """Who might do harm."""

    skill: Text
    budget: Text = ""
    time: Text = ""
    access: Text = ""
    sources: Texts = ()


class ThreatModelForm(Form):
    """How harm would come about."""

    domain: Name
    what: Text
    actor: Name = ""
    harm: Text = ""
    baseline: Text = ""
    probability: Share | None = None
    horizon: Length | None = None
    sources: Texts = ()


class StandardForm(Form):
    """A level of protection: what it maps to elsewhere, which attackers it is and is not meant to stop."""

    title: Text
    maps_to: Texts = ()
    stops: Names = ()
    does_not_stop: Names = ()
    sources: Texts = ()


class ReportForm(Form):
    """A document that the policy promises."""

    title: Text
    by: Name
    audience: Texts
    contents: Texts = ()
    redactions: Text = ""
    keep_for: Length | None = None
    sources: Texts = ()


class ChannelForm(Form):
    """Where somebody reports that the policy is not kept."""

    to: Names
    anonymous: Truth
    sources: Texts = ()


class IncidentForm(Form):
    """A kind of incident."""

    title: Text
    near_miss_of: Annotated[Name, says("the kind that it nearly was")] = ""
    sources: Texts = ()


# -- the file ----------------------------------------------------------------------------------------------------------


class PolicyForm(Form):
    """The file as a whole; its sections and blocks are read one by one."""

    interlock: Annotated[str, PlainValidator(scalar.one_of("policy/v1")), word("the format", "policy/v1")]
    id: Annotated[
        str, PlainValidator(scalar.policy_id), shown("an id such as example-lab/rsp", **text(scalar.ID.pattern))
    ]
    version: Version
    title: Annotated[Text, says("what the policy is called")]
    effective: Annotated[Instant, says("from when it decides")]
    expires: Annotated[Instant | None, says("after it every action holds")] = None
    supersedes: Annotated[Version, says("the version that it replaces")] = ""
    imposed_by: Annotated[Text, says("the authority that imposes it, of a baseline")] = ""
    scope: Annotated[Any, kept(ScopeForm), says("whom and what it binds")] = None
    domains: Annotated[Any, section_of(DomainForm), says("fields of risk")] = None
    actors: Annotated[Any, section_of(ActorForm), says("who might do harm")] = None
    threat_models: Annotated[Any, section_of(ThreatModelForm), says("how harm would come about")] = None
    standards: Annotated[Any, section_of(StandardForm), says("levels of protection")] = None
    channels: Annotated[Any, section_of(ChannelForm), says("where somebody reports that the policy is not kept")] = None
    incidents: Annotated[
        Any, section_of(IncidentForm), says("kinds of incident; if any is listed, every one that is named must be")
    ] = None
    reports: Annotated[Any, section_of(ReportForm), says("documents that the policy promises")] = None
    roles: Annotated[Any, section_of(RoleForm), says("keys with a quorum")]
    independent: Annotated[
        Name, says("the role that sets results aside, and repeats the evaluations of a reached ancestor")
    ] = ""
    measures: Annotated[Any, section_of(AnyMeasureForm), says("what evaluations yield")] = None
    assumptions: Annotated[
        Any, section_of(StatedForm | CheckedForm), says("what must be true for a negative result to mean anything")
    ] = None
    thresholds: Annotated[Any, section_of(ThresholdForm), says("levels of capability")]
    requirements: Annotated[
        Any, section_of(RequirementForm), says("what must be shown unless a threshold is ruled out")
    ] = None
    exceptions: Annotated[
        Any, section_of(ExceptionForm), says("ways round requirements that are approved, published and end")
    ] = None
    refresh: Annotated[Any, kept(RefreshForm), says("how far a result reaches")]
    permits: Annotated[Any, kept(PermitsForm), says("the bounds of permits")]
    plans: Annotated[Any, kept(PlansForm), says("how soon a plan reports")]
    attacker_budget: Annotated[
        Any, kept(BudgetForm), says("how much somebody else is taken to spend on making the model more dangerous")
    ] = None
    actions: Annotated[
        Any, section_of(ActionForm), says("actions beside scale, deploy-internal, deploy-api and release-weights")
    ] = None
    gates: Annotated[
        Any,
        section_of(dict[Name, list[Name] | CellForm]),
        says("action, threshold, and what must be met unless the threshold is ruled out"),
    ]
    not_governed: Annotated[
        Any, section_of(Text), says("actions that the policy leaves open, and where it says so")
    ] = None
    on_hold: Annotated[
        Any, section_of(list[ResponseForm]), says("what is done while a threshold, a requirement or an action holds")
    ] = None
    duties: Annotated[Any, section_of(DutyForm), says("what must be done by a time, started by an event")] = None
    amendments: Annotated[Any, kept(AmendmentsForm), says("how the policy changes")]
    sources: Texts = ()
