"""A frozen dataclass to plain JSON values and back, led by its fields and their types.

A dataclass is an object of its fields, a tuple a list, a mapping an object, None null. A field that equals its default
is left out. Where an annotation allows several dataclasses, the object says which one `is` there: the class's name in
lower case with hyphens. No field can be called `is`, so that never collides. An entry of a mapping has its `name` for a
key and does not repeat it. Single values go through the `Leaf` of their type, or a reader of their field.

Reading is strict and names the place of a mistake. That each value is in its one spelling is left to the caller, who
writes what was read and compares; so is a bound on the depth of what is read.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Union, cast, get_args, get_origin, get_type_hints

from interlock.policy import _scalar as scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Path = tuple[str | int, ...]

_TAG = "is"


class Refused(ValueError):  # noqa: N818  # it refuses, like `_yaml.Refused`
    """A value that cannot be read, and its `path` inside what was to be read."""

    def __init__(self, message: str, path: Path = ()) -> None:
        super().__init__(message)
        self.path = path


class Codec(Protocol):
    """How one type is written and read. `name` is the key that an entry of a mapping stands under."""

    def write(self, value: Any) -> Any:  # noqa: ANN401  # any value of the type
        """The value as plain JSON values."""

    def read(self, value: object, name: str | None = None) -> Any:  # noqa: ANN401
        """The value that was written.

        Raises:
            ValueError: it is anything else.
        """


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value: `to_json` writes it, `of_json` takes what was written or raises `ValueError`."""

    to_json: Callable[[Any], Any]
    of_json: Callable[[object], Any]

    def write(self, value: Any) -> Any:  # noqa: ANN401
        """The value as JSON."""
        return self.to_json(value)

    def read(self, value: object, _name: str | None = None) -> Any:  # noqa: ANN401
        """The value from JSON."""
        return self.of_json(value)


class Codecs:
    """The codecs of a family of dataclasses.

    `names` are what their annotations mention, `leaves` the single values by type. `readers` take the place of a leaf's
    for one field, by `Class.field` or else by `field`, and reach through the tuples and mappings of its type.
    """

    def __init__(
        self,
        *,
        names: Mapping[str, Any],
        leaves: Mapping[Any, Leaf],
        readers: Mapping[str, Callable[[object], Any]],
    ) -> None:
        self._names, self._leaves, self._readers = dict(names), leaves, readers
        self._records: dict[type, _Record] = {}

    def record(self, kind: type) -> _Record:
        """The codec of a dataclass. Its fields are looked at when it is first used, since an expression has parts."""
        return self._records.setdefault(kind, _Record(kind, self))

    def hints(self, kind: type) -> dict[str, Any]:
        """The types of a dataclass's fields."""
        return get_type_hints(kind, self._names)

    def of(self, hint: Any, owner: type, field: str) -> Codec:  # noqa: ANN401  # a type as `typing` has it
        """The codec of one field of the dataclass `owner`."""
        origin, inner = get_origin(hint), get_args(hint)
        if origin in (Union, UnionType):
            return self._choice(inner, owner, field)
        if origin is Literal:
            return Leaf(_itself, scalar.one_of(*inner))
        if origin is tuple:
            items = tuple(self.of(item, owner, field) for item in inner if item is not Ellipsis)
            return _List(items[0]) if inner[-1] is Ellipsis else _Pair(items)
        if origin is not None:
            return _Mapping(self.of(inner[1], owner, field))
        leaf = self._leaves.get(hint)
        if leaf is None:
            return self.record(hint)
        return Leaf(leaf.to_json, self._reader(owner, field) or leaf.of_json)

    def _reader(self, owner: type, field: str) -> Callable[[object], Any] | None:
        return self._readers.get(f"{owner.__name__}.{field}") or self._readers.get(field)

    def _choice(self, kinds: tuple[Any, ...], owner: type, field: str) -> Codec:
        some = tuple(kind for kind in kinds if kind is not NoneType)
        one: Codec = self.of(some[0], owner, field) if len(some) == 1 else _OneOf(tuple(map(self.record, some)))
        return _Optional(one) if NoneType in kinds else one


def _itself(value: object) -> object:
    return value


def _at(step: str | int, codec: Codec, value: object, name: str | None = None) -> Any:  # noqa: ANN401
    """Read the value at one step down; a mistake there has the step before its path."""
    try:
        return codec.read(value, name)
    except ValueError as error:
        raise Refused(str(error), (step, *getattr(error, "path", ()))) from error


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"expected an object, got {scalar.quote(value)}")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"expected a list, got {scalar.quote(value)}")
    return value


@dataclass(frozen=True, slots=True)
class _Optional:
    inner: Codec

    def write(self, value: Any) -> Any:  # noqa: ANN401
        return None if value is None else self.inner.write(value)

    def read(self, value: object, name: str | None = None) -> Any:  # noqa: ANN401
        return None if value is None else self.inner.read(value, name)


@dataclass(frozen=True, slots=True)
class _List:
    item: Codec

    def write(self, value: tuple[Any, ...]) -> list[Any]:
        return [self.item.write(item) for item in value]

    def read(self, value: object, _name: str | None = None) -> tuple[Any, ...]:
        return tuple(_at(place, self.item, item) for place, item in enumerate(_list(value)))


@dataclass(frozen=True, slots=True)
class _Pair:
    items: tuple[Codec, ...]

    def write(self, value: tuple[Any, ...]) -> list[Any]:
        return [codec.write(item) for codec, item in zip(self.items, value, strict=True)]

    def read(self, value: object, _name: str | None = None) -> tuple[Any, ...]:
        listed = _list(value)
        if len(listed) != len(self.items):
            raise Refused(f"expected a list of {len(self.items)}, got one of {len(listed)}")
        return tuple(_at(place, codec, listed[place]) for place, codec in enumerate(self.items))


@dataclass(frozen=True, slots=True)
class _Mapping:
    item: Codec

    def write(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.item.write(item) for name, item in value.items()}

    def read(self, value: object, _name: str | None = None) -> Mapping[str, Any]:
        entries = _object(value)
        for name in entries:
            scalar.name(name)
        return MappingProxyType({name: _at(name, self.item, item, name) for name, item in entries.items()})


class _OneOf:
    """One of several dataclasses."""

    def __init__(self, records: tuple[_Record, ...]) -> None:
        self._by_kind = {record.kind: record for record in records}
        self._by_tag = {record.tag: record for record in records}
        self._tag = Leaf(_itself, scalar.one_of(*self._by_tag))

    def write(self, value: Any) -> dict[str, Any]:  # noqa: ANN401
        record = self._by_kind[type(value)]
        return {_TAG: record.tag, **record.write(value)}

    def read(self, value: object, name: str | None = None) -> Any:  # noqa: ANN401
        entries = _object(value)
        tag = _at(_TAG, self._tag, entries.get(_TAG))
        return self._by_tag[tag].read({field: item for field, item in entries.items() if field != _TAG}, name)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    codec: Codec
    default: Any


class _Record:
    """A dataclass as an object of its fields."""

    def __init__(self, kind: type, codecs: Codecs) -> None:
        self.kind, self._codecs = kind, codecs
        self.tag = re.sub(r"(?<=.)(?=[A-Z])", "-", kind.__name__).lower()

    @cached_property
    def _fields(self) -> dict[str, _Field]:
        hints = self._codecs.hints(self.kind)
        own = fields(cast("Any", self.kind))
        return {it.name: _Field(it.name, self._codecs.of(hints[it.name], self.kind, it.name), it.default) for it in own}

    def write(self, value: Any) -> dict[str, Any]:  # noqa: ANN401
        """The fields, without the `name` that is a key elsewhere and without what equals its default."""
        written = {}
        for name, field in self._fields.items():
            own = getattr(value, name)
            if name != "name" and (field.default is MISSING or own != field.default):
                written[name] = field.codec.write(own)
        return written

    def read(self, value: object, name: str | None = None) -> Any:  # noqa: ANN401
        """The dataclass from the object of its fields."""
        entries = _object(value)
        for given in entries:
            if given not in self._fields or given == "name":
                raise Refused(f"unknown field {scalar.quote(given)}{scalar.suggest(str(given), self._fields)}")
        return self.kind(**{field.name: self._taken(field, entries, name) for field in self._fields.values()})

    def _taken(self, field: _Field, entries: dict[str, Any], name: str | None) -> Any:  # noqa: ANN401
        if field.name == "name":
            return name
        if field.name not in entries:
            if field.default is MISSING:
                raise Refused("expected this field, got nothing", (field.name,))
            return field.default
        value = _at(field.name, field.codec, entries[field.name])
        if value == field.default:
            raise Refused("expected the field to be left out where it has its default", (field.name,))
        return value
