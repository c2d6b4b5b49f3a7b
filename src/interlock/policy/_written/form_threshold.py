"""The written form of what is measured, by whom, and of the levels that it may reach."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from interlock.policy import _scalar as scalar
from interlock.policy._structure.check import Problem
from interlock.policy._written.form import (
    NUMBER,
    Confidence,
    Count,
    Coverage,
    Danger,
    Flop,
    Form,
    KindOf,
    Length,
    Margin,
    Multiple,
    Name,
    Names,
    Number,
    On,
    Parameters,
    Positive,
    Share,
    Subject,
    Text,
    Texts,
    Truth,
    Weight,
    Wrong,
    amount,
    each,
    kept,
    read,
    says,
    section,
    shown,
    text,
    told_by,
    word,
)
from interlock.policy.model import ELICITATIONS, Elicitation

# -- roles and measures ------------------------------------------------------------------------------------------------


def _keys(value: object) -> tuple[str, ...]:
    if value == "unassigned":
        return ()
    if isinstance(value, str):
        raise ValueError(f"expected a list of keys, or `unassigned`, got {scalar.quote(value)}")  # noqa: TRY004  # for pydantic
    return tuple(each(scalar.prose, enumerate(scalar.listed(value))).values())


class RoleForm(Form):
    """Keys with a quorum. A key is `ed25519:BASE64` or the path of a .pub file; `unassigned`: nobody can sign yet."""

    keys: Annotated[
        tuple[str, ...],
        PlainValidator(_keys, json_schema_input_type=list[Text] | Literal["unassigned"]),
        says("public keys, or `unassigned`: whatever it must sign holds"),
    ]
    quorum: Annotated[Positive, says("how many of the keys must sign")]
    independent_of: Annotated[Names, says("roles with which it shares no key")] = ()
    declares: Annotated[Texts, says("what its members say of themselves")] = ()
    sources: Texts = ()


class SourceForm(Form):
    """Where a measure comes from: a task at one version, its metric, and which samples rule anything out."""

    task: Annotated[
        tuple[str, int],
        PlainValidator(scalar.task),
        shown("a task and its version, TASK@VERSION", **text(scalar.TASK.pattern)),
    ]
    metric: Annotated[Text, says("the metric of the task")]
    unit: Annotated[
        Literal["sample", "family"],
        PlainValidator(scalar.one_of("sample", "family")),
        word("what is counted: samples, or families of samples", "sample", "family"),
    ] = "sample"
    samples: Annotated[
        str,
        PlainValidator(scalar.samples),
        shown("the digest of the only samples that rule anything out", **text(scalar.SAMPLES.pattern)),
    ] = ""
    at_least: Annotated[Positive, says("the fewest samples that rule anything out")] = 1


class OpenSourceForm(Form):
    """Where an unbounded measure comes from."""

    task: Annotated[
        tuple[str, int],
        PlainValidator(scalar.task),
        shown("a task and its version, TASK@VERSION", **text(scalar.TASK.pattern)),
    ]
    metric: Text


class MeasureForm(Form):
    """A quantity that an evaluation yields: the mean of one score a unit, each in `range`."""

    kind: KindOf
    on: On
    danger: Danger
    range: Annotated[
        tuple[Fraction, Fraction],
        PlainValidator(scalar.bounds),
        shown("the least and the greatest score", type="array", items=amount(NUMBER), minItems=2, maxItems=2),
    ]
    source: Annotated[SourceForm, says("the evaluation that yields it")]
    valid_below: Annotated[Number | None, says("the benchmark says nothing from this value on: it saturates")] = None
    sources: Texts = ()


class UnboundedForm(Form):
    """A quantity without bounds: it can be judged, and never stands in a predicate."""

    kind: KindOf
    on: On
    range: Annotated[Literal["unbounded"], PlainValidator(scalar.one_of("unbounded")), word("no bounds", "unbounded")]
    source: OpenSourceForm
    sources: Texts = ()


def _weights(value: object) -> dict[str, Fraction]:
    if isinstance(value, dict):
        weights = {str(key): weight for key, weight in each(scalar.weight, section(value).items()).items()}
    else:
        named = each(scalar.name, enumerate(scalar.listed(value)))
        weights = dict.fromkeys(named.values(), Fraction(1))
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


class MeanForm(Form):
    """The mean of measures, each with the same weight or with its own."""

    mean_of: Annotated[
        dict[str, Fraction], PlainValidator(_weights, json_schema_input_type=list[Name] | dict[Name, Weight])
    ]
    sources: Texts = ()


class WorstForm(Form):
    """The most dangerous of measures: in a predicate the same as any of them."""

    max_of: Names
    sources: Texts = ()


class RatioForm(Form):
    """The subject's effective compute over that of another, which is given by name or digest."""

    compute_ratio_to: Subject
    sources: Texts = ()


AnyMeasureForm = MeasureForm | UnboundedForm | MeanForm | WorstForm | RatioForm


def measure(value: object) -> AnyMeasureForm:
    """A measure in its form."""
    open_ended = isinstance(value, dict) and value.get("range") == "unbounded"
    derived: dict[str, type[AnyMeasureForm]] = {"mean_of": MeanForm, "max_of": WorstForm, "compute_ratio_to": RatioForm}
    return told_by(value, "a measure", derived, UnboundedForm if open_ended else MeasureForm)


class StatedForm(Form):
    """What must be true: who says so, and for how long their word is good."""

    stated_by: Annotated[Name, says("the role that says so")]
    fresh_for: Length
    void_at: Annotated[Names, says("thresholds that must be below, or it is void")] = ()
    sources: Texts = ()


class CheckedForm(Form):
    """What must be true: the check that shows it, who runs it, which share of the model organisms it must catch."""

    checked: Annotated[Name, says("the name of the check")]
    by: Annotated[Name, says("the role that runs the check")]
    coverage: Coverage
    confidence: Confidence = Fraction(19, 20)
    sharpness: Annotated[
        Coverage, says("the least share of the organisms without the skill that it lets be ruled out")
    ] = Fraction(0)
    sharp_at: Annotated[Coverage, says("the highest level at which these may have been ruled out")] = Fraction(1, 2)
    least_parameters: Annotated[Parameters, says("the fewest parameters that any of its organisms may have")] = 0
    fresh_for: Length
    void_at: Annotated[Names, says("thresholds that must be below, or it is void")] = ()
    sources: Texts = ()


def assumption(value: object) -> StatedForm | CheckedForm:
    """An assumption in its form."""
    forms: dict[str, type[StatedForm | CheckedForm]] = {"stated_by": StatedForm, "checked": CheckedForm}
    return told_by(value, "an assumption", forms)


# -- expressions -------------------------------------------------------------------------------------------------------


def compared(value: object) -> scalar.Comparison | str:
    """A comparison, or the bare name of a threshold."""
    if isinstance(value, str) and scalar.NAME.fullmatch(value):
        return value
    return scalar.comparison(value, example="replication >= 0.50", operators=(">=", "<="))


def expression(value: object) -> Expression:
    """An expression in its form: a text, or a mapping that combines others."""
    if not isinstance(value, dict):
        return compared(value)
    forms: dict[str, type[_Combination]] = {
        "any_of": AnyForm,
        "all_of": AllForm,
        "at_least": AtLeastForm,
        "any_rung": RungForm,
    }
    return told_by(value, "an expression", forms)


class AnyForm(Form):
    """True where one of the parts is."""

    any_of: Annotated[tuple[Inner, ...], BeforeValidator(scalar.listed)]


class AllForm(Form):
    """True where all of the parts are."""

    all_of: Annotated[tuple[Inner, ...], BeforeValidator(scalar.listed)]


class CountedForm(Form):
    """How many of which parts."""

    count: Positive
    of: Annotated[tuple[Inner, ...], BeforeValidator(scalar.listed)]


class AtLeastForm(Form):
    """True where at least `count` of the parts are."""

    at_least: CountedForm


class RungForm(Form):
    """True where one of the thresholds with this rung is reached."""

    any_rung: Name


_Combination = AnyForm | AllForm | AtLeastForm | RungForm
Expression = scalar.Comparison | str | _Combination
_Leaf = Annotated[str, shown("a comparison such as `replication >= 0.50`, or the name of a threshold", type="string")]
Written = _Leaf | AnyForm | AllForm | AtLeastForm | RungForm
Inner = Annotated[Any, PlainValidator(expression, json_schema_input_type=Written)]

for _form in (AnyForm, AllForm, CountedForm, AtLeastForm):
    _form.model_rebuild()


# -- thresholds --------------------------------------------------------------------------------------------------------


class DemandForm(Form):
    """How hard one elicitation must have tried, at the least."""

    demonstrations: Annotated[Count | None, says("the fewest that were shown, or trained on")] = None
    flop: Annotated[Flop, says("the least compute spent on the elicitation")] = 0
    attempts: Annotated[Positive, says("the fewest attempts a sample")] = 1
    tools: Annotated[Truth, says("the subject had tools")] = False
    safety_ablated: Annotated[Truth, says("its refusals were trained away first")] = False
    refusals: Annotated[Share, says("the greatest share of samples that it may refuse")] = Fraction(1)


def _demand(value: object) -> tuple[Elicitation, DemandForm]:
    """An elicitation: one word, or one word with its fields."""
    wanted = scalar.one_of(*ELICITATIONS)
    if not isinstance(value, dict):
        return cast("Elicitation", wanted(value)), DemandForm()
    if len(value) != 1:
        raise ValueError(f"expected one elicitation and its fields, got {len(value)} of them")
    (word,) = each(wanted, ((key, key) for key in value), at_key=True).values()
    (form,) = each(lambda fields: read(DemandForm, fields), value.items()).values()
    return cast("Elicitation", word), form


def _demands(value: object) -> tuple[tuple[Elicitation, DemandForm], ...]:
    demands = tuple(each(_demand, enumerate(scalar.listed(value))).values())
    scalar.listed([word for word, _ in demands])
    return demands


_Elicitation = Annotated[Elicitation, word("an elicitation", *ELICITATIONS)]
_OneDemand = Annotated[dict[_Elicitation, DemandForm], Field(min_length=1, max_length=1)]
Demands = Annotated[
    tuple[tuple[Elicitation, DemandForm], ...],
    PlainValidator(_demands, json_schema_input_type=list[_Elicitation | _OneDemand]),
]


def _margins(value: object) -> dict[str, Fraction] | Fraction:
    if not isinstance(value, dict):
        return scalar.margin(value)
    return {str(name): share for name, share in each(scalar.margin, section(value).items()).items()}


class BufferForm(Form):
    """Room under the level: what is kept free, for which growth in compute, in which time, and why."""

    effective_compute: Annotated[Multiple, says("the growth in effective compute that the buffer covers")]
    margin: Annotated[
        dict[str, Fraction] | Fraction,
        PlainValidator(_margins, json_schema_input_type=Margin | dict[Name, Margin]),
        says("the room under the level: one number, or its parts by name"),
    ]
    period: Annotated[Length | None, says("the time that the buffer covers")] = None
    source: Annotated[Text, says("why so much")]


class ForecastForm(Form):
    """Room under the level as a role forecasts it."""

    effective_compute: Multiple
    forecast_by: Annotated[Name, says("the role whose forecasts give the margin")]
    fresh_for: Annotated[Length, says("how old the newest forecast may be")]
    period: Length | None = None
    source: Text


class NoBufferForm(Form):
    """No room under the level, and why."""

    none: Text


AnyBufferForm = BufferForm | ForecastForm | NoBufferForm


def _buffer(value: object) -> AnyBufferForm:
    forms: dict[str, type[AnyBufferForm]] = {"margin": BufferForm, "forecast_by": ForecastForm, "none": NoBufferForm}
    return told_by(value, "a buffer", forms, BufferForm)


Buffering = Annotated[AnyBufferForm, PlainValidator(_buffer, json_schema_input_type=AnyBufferForm)]


class RefreshForm(Form):
    """How far a result reaches: in compute, in time, until an event, until a role says so."""

    effective_compute: Annotated[Multiple, says("how far a result reaches in effective compute")]
    period: Annotated[Length, says("how far a result reaches in time")]
    events: Annotated[Names, says("kinds of incident that end it")] = ()
    discretion: Annotated[Name, says("the role of which one member ends it")] = ""
    sources: Texts = ()


class RuleOutForm(Form):
    """What evidence must show before the threshold counts as below. `like` takes over what is left out."""

    taken_over_by = "like"

    like: Annotated[Name, says("the threshold whose rule_out gives what is left out here")] = ""
    confidence: Confidence
    elicitation: Annotated[Demands, says("how hard the evaluation must have tried")]
    demonstrations: Annotated[Count | None, says("for fine-tuned, where the elicitation does not say")] = None
    buffer: Annotated[Buffering, says("the room kept under the level")]
    coverage: Annotated[Coverage, says("the least share of planned samples that are scored")]
    run_by: Annotated[Name, says("the role that runs the evaluations")]
    assumes: Annotated[Names, says("assumptions beside those of each elicitation")] = ()
    refresh: Annotated[RefreshForm | None, says("how far a result reaches, instead of the policy's")] = None


class PartForm(Form):
    """What a threshold that measures nothing itself may ask for: which of these it uses depends on the threshold."""

    confidence: Confidence | None = None
    coverage: Annotated[Coverage, says("the least share of planned samples under a judgement")] = Fraction(1)
    refresh: Annotated[RefreshForm | None, says("how far a result under a judgement reaches")] = None


class ScreenForm(Form):
    """Below if a cheaper threshold is."""

    below: Name


class ReferenceForm(Form):
    """Below if it is no more capable than a subject that is, given by name or digest."""

    no_more_capable_than: Annotated[Subject, says("a subject, by name or digest")]
    on: Annotated[Names, says("the measures that are compared")]
    margin: Annotated[Margin, says("by how much it must be under the other")]


BelowForm = scalar.Comparison | ScreenForm | ReferenceForm


def _below_if(value: object) -> BelowForm:
    if not isinstance(value, dict):
        return scalar.comparison(value, example="effective_compute < 1e22", operators=("<",))
    forms: dict[str, type[ScreenForm | ReferenceForm]] = {"below": ScreenForm, "no_more_capable_than": ReferenceForm}
    return told_by(value, "a way to be below", forms)


_Under = Annotated[str, shown("a quantity under a level, such as effective_compute < 1e22", type="string")]
Below = Annotated[BelowForm, PlainValidator(_below_if, json_schema_input_type=_Under | ScreenForm | ReferenceForm)]


def _judged_on(value: object) -> tuple[str, ...]:
    if value == "unspecified":
        return ()
    return tuple(each(scalar.name, enumerate(scalar.listed(value))).values())


class ThresholdForm(Form):
    """A level of capability. `reached_when` and `rule_out` are read on their own."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["reached_when"]}, {"required": ["judged_by"]}],
            "dependentRequired": {"judged_by": ["on"], "on": ["judged_by"], "fresh_for": ["judged_by", "on"]},
        }
    )

    role: Annotated[
        Literal["gate", "watch", "alert"],
        PlainValidator(scalar.one_of("watch", "alert")),
        word("a threshold that stands at no gate", "watch", "alert"),
    ] = "gate"
    alert_for: Annotated[Name, says("the threshold that this is the earlier line of")] = ""
    reached_when: Annotated[
        Any, kept(Written), says("when it is reached: a comparison, a threshold, or a combination")
    ] = None
    judged_by: Annotated[Name, says("the role that judges it")] = ""
    on: Annotated[
        tuple[str, ...] | None,
        PlainValidator(_judged_on, json_schema_input_type=list[Name] | Literal["unspecified"]),
        says("the measures and requirements that a judgement rests on, or `unspecified`"),
    ] = None
    fresh_for: Annotated[Length | None, says("how old a judgement may be")] = None
    rule_out: Annotated[
        Any, kept(RuleOutForm | PartForm), says("what evidence must show before it counts as below")
    ] = None
    below_if: Annotated[
        tuple[Below, ...], BeforeValidator(scalar.listed), says("other ways to be below, of which one is enough")
    ] = ()
    takeover_potential: Annotated[Truth, says("a subject at this level could take over")] = False
    domain: Annotated[Name, says("its domain of risk")] = ""
    rung: Annotated[Name, says("what `any_rung` finds")] = ""
    above: Annotated[Names, says("lower levels, which are reached with this one")] = ()
    threat_models: Annotated[Names, says("the threat models that it stands for")] = ()
    sources: Texts = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        judged = {"judged_by": bool(self.judged_by), "on": self.on is not None}
        if any(judged.values()) or self.fresh_for is not None:
            for field in (field for field, given in judged.items() if not given):
                raise Wrong([Problem((), f"expected field `{field}` of a judged threshold, got nothing", at_key=True)])
        return self
