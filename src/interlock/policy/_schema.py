"""The written form of a policy, field by field: which fields exist, which may be left out, what each may say.

These models stand at the border and nowhere else: `load.py` reads one entry at a time through them and builds the
frozen values of `model.py`. Whether a name that an entry mentions exists is left to `_check.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationError

from interlock.policy import _scalar as scalar
from interlock.policy._check import Problem
from interlock.policy.model import ELICITATIONS, Duration, Elicitation

Text = Annotated[str, PlainValidator(scalar.prose)]
Name = Annotated[str, PlainValidator(scalar.name)]
Names = Annotated[tuple[Name, ...], BeforeValidator(scalar.listed)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(scalar.listed)]
Count = Annotated[int, PlainValidator(scalar.whole)]
Positive = Annotated[int, PlainValidator(scalar.positive)]
Proportion = Annotated[Fraction, PlainValidator(scalar.proportion)]
Multiple = Annotated[Fraction, PlainValidator(scalar.multiple)]
Length = Annotated[Duration, PlainValidator(scalar.duration)]
Section = Annotated[dict[Name, Any], BeforeValidator(scalar.filled)]

#: Words of the design that this version cannot read yet. They are refused like any unknown field, but said so.
LATER = frozenset(
    {
        *("alerts", "any_of", "all_of", "approved", "at_least", "audience", "baselines", "below_if", "checked"),
        *("deployments", "derived", "duties", "frozen_while", "judged_by", "max_of", "mean_of", "measured"),
        *("not_governed", "notice", "on_hold", "regime", "size", "void_at", "watch", "within"),
    }
)


#: Fields that name a role, whichever entry they stand in.
ROLE_FIELDS = frozenset({"approved_by", "by", "issued_by", "owner", "run_by", "stated_by"})


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyForm(_Form):
    """The file as a whole; the entries of its sections are read one by one."""

    interlock: Annotated[str, PlainValidator(scalar.one_of("policy/v1"))]
    id: Annotated[str, PlainValidator(scalar.policy_id)]
    version: Annotated[str, PlainValidator(scalar.version)]
    title: Text
    effective: Annotated[datetime, PlainValidator(scalar.moment)]
    roles: Section
    measures: Section
    assumptions: Section
    thresholds: Section
    requirements: Section = {}
    refresh: Any
    permits: Any
    plans: Any
    attacker_budget: Any = None
    gates: Section
    amendments: Any


class RoleForm(_Form):
    """Keys with a quorum. A key is `ed25519:BASE64` or the path of a .pub file."""

    keys: Texts
    quorum: Positive
    independent_of: Names = ()


class SourceForm(_Form):
    """Where a measure comes from."""

    task: Annotated[tuple[str, int], PlainValidator(scalar.task)]
    metric: Text


def _unit_range(value: object) -> object:
    if value != ["0", "1"]:
        got = f"`[{', '.join(map(str, value))}]`" if isinstance(value, list) else scalar.quote(value)
        raise ValueError(f"only the range `[0, 1]` is supported yet, got {got[:80]}")
    return value


class MeasureForm(_Form):
    """A quantity that an evaluation yields."""

    kind: Annotated[
        Literal["capability"],
        PlainValidator(scalar.one_of("capability", later=("propensity", "safeguard", "understanding"))),
    ]
    on: Annotated[str, PlainValidator(scalar.one_of("model", later=("deployment",)))]
    danger: Annotated[str, PlainValidator(scalar.one_of("higher", later=("lower",)))]
    range: Annotated[Any, PlainValidator(_unit_range)]
    source: SourceForm


class AssumptionForm(_Form):
    """What must be true, who says so, and for how long their word is good."""

    stated_by: Name
    fresh_for: Length


class BufferForm(_Form):
    """Room under the threshold: how much is added to the upper bound, for which multiple of compute, and why."""

    effective_compute: Multiple
    margin: Proportion
    source: Text


def _buffer(value: object) -> object:
    if not isinstance(value, dict):
        expected = "a buffer as a mapping with `effective_compute`, `margin` and `source`"
        raise ValueError(f"expected {expected}, got {scalar.quote(value)}")  # noqa: TRY004  # pydantic catches this
    return value


class RuleOutForm(_Form):
    """What evidence must show before the threshold counts as below. `like` takes over what is left out."""

    like: Name = ""
    confidence: Annotated[Fraction, PlainValidator(scalar.confidence)]
    elicitation: Annotated[
        tuple[
            Annotated[Elicitation, PlainValidator(scalar.one_of(*ELICITATIONS, later=("understanding-based",)))], ...
        ],
        BeforeValidator(scalar.listed),
    ]
    demonstrations: Count = 0
    buffer: Annotated[BufferForm, BeforeValidator(_buffer)]
    coverage: Annotated[Fraction, PlainValidator(scalar.coverage)]
    run_by: Name


class ThresholdForm(_Form):
    """A level of a measure; `rule_out` is read on its own, once `like` is resolved."""

    reached_when: Annotated[tuple[str, Fraction], PlainValidator(scalar.predicate)]
    rule_out: Any
    takeover_potential: Annotated[bool, PlainValidator(scalar.truth)] = False
    sources: Texts = ()


class AttestedForm(_Form):
    """A requirement met by a role's word."""

    attested: Text
    by: Name
    about: Annotated[
        Literal["subject", "developer"],
        PlainValidator(scalar.one_of("subject", "developer", later=("deployment",))),
    ]
    fresh_for: Length


class HoleForm(_Form):
    """A requirement left empty on purpose: whose it is, and when it is looked at again."""

    hole: Text
    owner: Name
    review: Annotated[datetime, PlainValidator(scalar.day)]


class RefreshForm(_Form):
    """How far a result reaches, in compute and in time."""

    effective_compute: Multiple
    period: Length


class PermitsForm(_Form):
    """How long a permit lasts, how old the ledger may be, who signs."""

    lease: Length
    ledger_age: Length
    issued_by: Name


class PlansForm(_Form):
    """How soon a plan reports."""

    report_within: Length


class BudgetForm(_Form):
    """The share of the training compute that somebody else is taken to spend on making the model more dangerous."""

    share: Proportion
    source: Text = ""


class AmendmentsForm(_Form):
    """Who may change the policy."""

    approved_by: Name


def requirement_form(entry: object) -> type[AttestedForm | HoleForm]:
    """The form of a requirement, told by the field that only it has.

    Raises:
        ValueError: it is neither, or both.
    """
    fields = set(entry) if isinstance(entry, dict) else set()
    if later := sorted(fields & {"measured", "approved", "any_of", "all_of", "at_least"}):
        raise ValueError(f"`{later[0]}` is not supported yet, expected `attested` or `hole`")
    if len(fields & {"attested", "hole"}) != 1:
        got = "both" if {"attested", "hole"} <= fields else "neither"
        raise ValueError(f"expected a requirement with `attested` or `hole`, got {got}")
    return AttestedForm if "attested" in fields else HoleForm


def problems(error: ValidationError, form: type[BaseModel]) -> Iterator[Problem]:
    """What the models found, in the words of a policy's author, with paths inside the entry."""
    for item in error.errors(include_url=False):
        path, kind = item["loc"], item["type"]
        if kind == "missing" and form is RuleOutForm and len(path) == 1 and "like" in item["input"]:
            continue  # taken over from the threshold that it is like
        if kind == "missing":
            yield Problem(path[:-1], f"expected field `{path[-1]}`, got nothing", at_key=True)
        elif kind == "extra_forbidden":
            yield Problem(path, _unknown(str(path[-1]), _fields(form, path[:-1])), at_key=True)
        elif path and path[-1] == "[key]":
            yield Problem(path[:-1], _said(item), at_key=True)
        else:
            yield Problem(path, _said(item))


def _said(item: Mapping[str, Any]) -> str:
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return str(cause)
    expected = "a list" if item["type"].startswith(("list", "tuple")) else "a mapping"
    return f"expected {expected}, got {scalar.quote(item['input'])}"


def _unknown(field: str, known: Mapping[str, Any]) -> str:
    if field in LATER:
        return f"field `{field}` is not supported yet"
    return f"unknown field {scalar.quote(field)}{scalar.suggest(field, known)}"


def _fields(form: type[BaseModel], path: tuple[str | int, ...]) -> Mapping[str, Any]:
    """The fields of the form that stands at `path` inside `form`."""
    for step in path:
        inner = form.model_fields[str(step)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            form = inner
    return form.model_fields
