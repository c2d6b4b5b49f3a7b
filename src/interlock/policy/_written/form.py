"""How one entry of the written policy is read, and the types of its single values.

Each type also says how it stands in the JSON schema (`schema.py`), so that editors know the same language. What is
wrong with an entry is told in the words of a policy's author, with paths that start at the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from interlock.policy import _scalar as scalar
from interlock.policy._structure.check import Problem
from interlock.policy.duty import Clock
from interlock.policy.model import About, Modality
from interlock.policy.time import Duration

F = TypeVar("F")
G = TypeVar("G", bound="Form")


class Wrong(ValueError):  # noqa: N818  # pydantic carries it to the entry around it, nobody else sees it
    """An entry does not fit its form. The paths of its `problems` start at the entry."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(*(problem.text for problem in self.problems[:1]))


class Form(BaseModel):
    """One mapping of the written policy. `taken_over_by`: the field that, where it is, gives what is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    taken_over_by: ClassVar[str] = ""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Its JSON schema: with `taken_over_by`, nothing else is required."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.taken_over_by:
            schema["anyOf"] = [{"required": [cls.taken_over_by]}, {"required": schema.pop("required")}]
        return schema


def read(form: type[G], value: object) -> G:
    """The value in its form.

    Raises:
        Wrong: it does not fit.
    """
    try:
        return form.model_validate(value)
    except ValidationError as error:
        raise Wrong(_problems(error, form)) from error


def each(
    reader: Callable[[Any], F], values: Iterable[tuple[str | int, object]], *, at_key: bool = False
) -> dict[str | int, F]:
    """What `reader` makes of every value, by its place.

    Raises:
        Wrong: what is wrong with any of them, each at its place.
    """
    made: dict[str | int, F] = {}
    wrong: list[Problem] = []
    for place, value in values:
        try:
            made[place] = reader(value)
        except ValueError as error:
            wrong.extend(problems(error, (place,), at_key=at_key))
    if wrong:
        raise Wrong(wrong)
    return made


def problems(error: ValueError, path: tuple[str | int, ...], *, at_key: bool = False) -> Iterator[Problem]:
    """What a reader found wrong with the entry at `path`, in the words of a policy's author."""
    if isinstance(error, Wrong):
        for problem in error.problems:
            yield replace(problem, path=(*path, *problem.path))
    else:
        yield Problem(path, str(error), at_key)


def _problems(error: ValidationError, form: type[Form]) -> Iterator[Problem]:
    for item in error.errors(include_url=False):
        path, kind = item["loc"], item["type"]
        cause = item.get("ctx", {}).get("error")
        if kind == "missing" and form.taken_over_by and form.taken_over_by in item["input"]:
            continue
        if kind == "missing":
            yield Problem(path[:-1], f"expected field `{path[-1]}`, got nothing", at_key=True)
        elif kind == "extra_forbidden":
            field = str(path[-1])
            known = _fields(form, path[:-1])
            yield Problem(path, f"unknown field {scalar.quote(field)}", at_key=True, wrong=field, known=known)
        elif isinstance(cause, ValueError):
            yield from problems(cause, path)
        else:
            yield Problem(path, f"expected a mapping, got {scalar.quote(item['input'])}")


@lru_cache(maxsize=512)
def _fields(form: type[Form], path: tuple[str | int, ...]) -> frozenset[str]:
    """The fields of the form that stands at `path` inside `form`."""
    for step in path:
        annotation = form.model_fields[str(step)].annotation
        inner = (annotation, *get_args(annotation))
        form = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, Form))
    return frozenset(field.alias or name for name, field in form.model_fields.items())


# -- single values -----------------------------------------------------------------------------------------------------


def shown(says: str, **schema: Any) -> WithJsonSchema:  # noqa: ANN401  # whatever JSON schema allows
    return WithJsonSchema({"description": says, **schema})


def says(what: str) -> FieldInfo:
    """What a field means, for whoever writes it."""
    info: FieldInfo = Field(description=what)
    return info


def text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def amount(pattern: str) -> dict[str, Any]:
    """A number as YAML reads it, or as the exact text that it stands for here."""
    return {"anyOf": [{"type": "number"}, text(pattern)]}


def word(says: str, *allowed: str) -> WithJsonSchema:
    return shown(says, type="string", enum=list(allowed))


NUMBER, _MULTIPLE = scalar.NUMBER.pattern, scalar.MULTIPLE.pattern
_LENGTH = "[0-9]+ +(second|minute|hour|day|week|month|year)s?"
_PROSE = {"type": ["string", "number", "boolean"]}
_MODALITIES: tuple[Modality, ...] = ("must", "will", "intends", "recommends")

Text = Annotated[str, PlainValidator(scalar.prose), shown("a text", **_PROSE)]
Subject = Annotated[str, PlainValidator(scalar.subject), shown("a subject's name or digest", **_PROSE)]
Name = Annotated[
    str,
    PlainValidator(scalar.name),
    shown(
        "a name: lower-case letters, digits and hyphens", **{**text(scalar.NAME.pattern), "type": ["string", "integer"]}
    ),
]
Names = Annotated[tuple[Name, ...], BeforeValidator(scalar.listed)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(scalar.listed)]
Count = Annotated[int, PlainValidator(scalar.whole), shown("a whole number", anyOf=[{"type": "integer", "minimum": 0}])]
Positive = Annotated[
    int, PlainValidator(scalar.positive), shown("a whole number of at least 1", type="integer", minimum=1)
]
Flop = Annotated[
    int,
    PlainValidator(scalar.flop),
    shown("compute in FLOP, a whole number such as 1e18", **amount(scalar.COMPUTE.pattern)),
]
Parameters = Annotated[
    int,
    PlainValidator(scalar.parameters),
    shown("a whole number of parameters such as 5e5", **amount(scalar.COMPUTE.pattern)),
]
Share = Annotated[Fraction, PlainValidator(scalar.proportion), shown("a proportion between 0 and 1", **amount(NUMBER))]
Margin = Annotated[Fraction, PlainValidator(scalar.margin), shown("a number of at least 0", **amount(NUMBER))]
Weight = Annotated[Fraction, PlainValidator(scalar.weight), shown("a number above 0", **amount(NUMBER))]
Number = Annotated[
    Fraction, PlainValidator(scalar.number), shown("an exact number such as 0.95 or 1/3", **amount(NUMBER))
]
Confidence = Annotated[
    Fraction,
    PlainValidator(scalar.confidence),
    shown("one-sided confidence, above 0.5 and below 1", **amount(NUMBER)),
]
Coverage = Annotated[
    Fraction, PlainValidator(scalar.coverage), shown("a share above 0 and at most 1", **amount(NUMBER))
]
Multiple = Annotated[
    Fraction, PlainValidator(scalar.multiple), shown("a multiple such as 6x, at least 1x", **text(_MULTIPLE))
]
Length = Annotated[Duration, PlainValidator(scalar.duration), shown("a duration such as 30 days", **text(_LENGTH))]
Deadline = Annotated[
    Clock,
    PlainValidator(scalar.clock),
    shown("a deadline such as 24 hours or 5 business days", **text(f"{_LENGTH}|{scalar.BUSINESS.pattern}")),
]
Instant = Annotated[
    datetime,
    PlainValidator(scalar.moment),
    shown("a time with its zone, such as 2026-01-01T00:00:00Z", **text(scalar.MOMENT.pattern)),
]
Day = Annotated[
    datetime,
    PlainValidator(scalar.day),
    shown("a date, or a time with its zone", **text(f"{scalar.DAY.pattern}|{scalar.MOMENT.pattern}")),
]
Version = Annotated[
    str,
    PlainValidator(scalar.version),
    shown("a version such as 1.0.0", anyOf=[text(scalar.VERSION.pattern), {"type": "number"}]),
]
Truth = Annotated[bool, PlainValidator(scalar.truth), shown("true or false", type="boolean")]
Binding = Annotated[
    Modality,
    PlainValidator(scalar.one_of(*_MODALITIES)),
    word("must and will bind; intends and recommends are shown", *_MODALITIES),
]
Kind = Literal["capability", "propensity", "safeguard", "understanding"]
_KINDS = ("capability", "propensity", "safeguard", "understanding")
KindOf = Annotated[Kind, PlainValidator(scalar.one_of(*_KINDS)), word("what a measure is about", *_KINDS)]
On = Annotated[
    Literal["model", "deployment"],
    PlainValidator(scalar.one_of("model", "deployment")),
    word("what is evaluated: the bare model, or the model as offered", "model", "deployment"),
]
Danger = Annotated[
    Literal["higher", "lower"],
    PlainValidator(scalar.one_of("higher", "lower")),
    word("which scores are the dangerous ones", "higher", "lower"),
]
AboutWhat = Annotated[
    About,
    PlainValidator(scalar.one_of("subject", "deployment", "developer")),
    word("what it is about", "subject", "deployment", "developer"),
]


def one_or_more(value: object) -> object:
    return scalar.listed([value] if isinstance(value, str) else value)


OneOrMore = Annotated[tuple[Name, ...], BeforeValidator(one_or_more, json_schema_input_type=Name | list[Name])]


# -- entries that are told by what they hold ---------------------------------------------------------------------------


def kept(written: Any) -> PlainValidator:  # noqa: ANN401  # a type, as annotations have them
    """Left as it is, to be read on its own; only the JSON schema looks inside."""
    return PlainValidator(lambda value: value, json_schema_input_type=written)


def section(value: object) -> dict[str, Any]:
    """A mapping of at least one, with names for its keys; what they name is read entry by entry."""
    entries = scalar.filled(value)
    each(scalar.name, ((str(key), key) for key in entries), at_key=True)
    return {str(key): entry for key, entry in entries.items()}


def section_of(written: Any) -> PlainValidator:  # noqa: ANN401
    return PlainValidator(section, json_schema_input_type=dict[Name, written])


def told_by(value: object, what: str, forms: Mapping[str, type[G]], otherwise: type[G] | None = None) -> G:
    """The value in the form whose field it has.

    Raises:
        Wrong: it does not fit that form. ValueError: it has no such field, or more than one.
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected {what} as a mapping, got {scalar.quote(value)}")  # noqa: TRY004  # for pydantic
    told = [field for field in forms if field in value]
    if len(told) == 1:
        return read(forms[told[0]], value)
    if not told and otherwise is not None:
        return read(otherwise, value)
    wanted = ", ".join(f"`{field}`" for field in forms)
    got = " and ".join(f"`{field}`" for field in told) or "none"
    hints = (scalar.suggest(field, forms) for field in value if not told)
    raise ValueError(f"expected {what} with one of {wanted}, got {got}{next(filter(None, hints), '')}")
