"""The written form of requirements, and of the exceptions to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainValidator

from interlock.policy import _scalar as scalar
from interlock.policy._written.form import (
    AboutWhat,
    Confidence,
    Count,
    Coverage,
    Day,
    Form,
    Length,
    Name,
    Names,
    OneOrMore,
    Positive,
    Text,
    Texts,
    says,
    shown,
    told_by,
    word,
)
from interlock.policy._written.form_threshold import (
    Buffering,
    Demands,
    RefreshForm,
)


class AttestedForm(Form):
    """Met by a role's fresh word."""

    attested: Annotated[Text, says("what is attested")]
    by: Annotated[Name, says("the role that signs it")]
    about: AboutWhat
    fresh_for: Length
    standard: Annotated[Name, says("the standard that it attests")] = ""
    sources: Texts = ()


class ApprovedForm(Form):
    """Met by a role's fresh approval, which names the finding that it saw."""

    approved: Annotated[Text, says("what is approved")]
    by: Annotated[Name, says("the role that signs it")]
    about: AboutWhat
    fresh_for: Length
    sources: Texts = ()


def _safe(value: object) -> scalar.Comparison:
    return scalar.comparison(value, example="jailbreaks <= 0.01", operators=("<=", ">="))


class MeasuredForm(Form):
    """Met if a measure is shown to be on its safe side. What is left out is the strictest of the cells that list it."""

    measured: Annotated[
        scalar.Comparison,
        PlainValidator(_safe),
        shown("a measure on its safe side, such as jailbreaks <= 0.01", type="string"),
    ]
    confidence: Confidence | None = None
    elicitation: Demands | None = None
    demonstrations: Count | None = None
    buffer: Buffering | None = None
    coverage: Coverage | None = None
    run_by: Name = ""
    assumes: Names | None = None
    refresh: RefreshForm | None = None
    sources: Texts = ()


class DefinedForm(Form):
    """Met if the threshold is written, and not a hole."""

    defined: Name
    sources: Texts = ()


class RuledOutForm(Form):
    """Met if another threshold is below."""

    ruled_out: Name
    sources: Texts = ()


def _part(value: object) -> str:
    if isinstance(value, dict):
        raise ValueError(  # noqa: TRY004  # for pydantic
            "expected the name of a requirement, got a mapping; what stands in a combination is an entry of its own "
            "under `requirements`"
        )
    return scalar.name(value)


_Part = Annotated[str, PlainValidator(_part, json_schema_input_type=Name)]
_PartNames = Annotated[tuple[_Part, ...], BeforeValidator(scalar.listed)]


class _CaseForm(Form):
    claim: Text = ""
    argument: Text = ""
    doubt: Text = ""
    sources: Texts = ()


class AnyCaseForm(_CaseForm):
    """Met if one of the requirements is."""

    any_of: _PartNames


class AllCaseForm(_CaseForm):
    """Met if all of the requirements are."""

    all_of: _PartNames


class NamedForm(Form):
    """How many of which requirements."""

    count: Positive
    of: _PartNames


class MostCaseForm(_CaseForm):
    """Met if at least `count` of the requirements are."""

    at_least: NamedForm


class HoleForm(Form):
    """Left empty on purpose: whose it is, and when it is looked at again. Never met."""

    hole: Annotated[Text, says("what is not known yet")]
    owner: Annotated[Name, says("the role that fills it")]
    review: Annotated[Day, says("when it is looked at again")]
    sources: Texts = ()


RequirementForm = (
    AttestedForm
    | ApprovedForm
    | MeasuredForm
    | DefinedForm
    | RuledOutForm
    | AnyCaseForm
    | AllCaseForm
    | MostCaseForm
    | HoleForm
)


def requirement(value: object) -> RequirementForm:
    """A requirement in its form."""
    forms: dict[str, type[RequirementForm]] = {
        "attested": AttestedForm,
        "approved": ApprovedForm,
        "measured": MeasuredForm,
        "defined": DefinedForm,
        "ruled_out": RuledOutForm,
        "any_of": AnyCaseForm,
        "all_of": AllCaseForm,
        "at_least": MostCaseForm,
        "hole": HoleForm,
    }
    return told_by(value, "a requirement", forms)


def choices(form: RequirementForm) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What a combination lists that may be met in part, and under which words."""
    if isinstance(form, AnyCaseForm):
        return [(("any_of",), form.any_of)]
    return [(("at_least", "of"), form.at_least.of)] if isinstance(form, MostCaseForm) else []


class ExceptionForm(Form):
    """A way round requirements that is approved, published and ends."""

    kind: Annotated[
        Literal["interim", "marginal-risk", "emergency"],
        PlainValidator(scalar.one_of("interim", "marginal-risk", "emergency")),
        word("the kind of exception", "interim", "marginal-risk", "emergency"),
    ]
    instead_of: Annotated[Names, says("the requirements that it stands in for")]
    requires: Annotated[Names, says("what must be met instead")]
    approved_by: Annotated[OneOrMore, says("the roles that all approve it")]
    lasts: Annotated[Length, says("how long it is open")]
    until: Annotated[Day | None, says("when it ends at the latest")] = None
    sources: Texts = ()
