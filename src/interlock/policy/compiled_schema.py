"""The JSON schema of a compiled policy, made from the dataclasses that `compile` writes and reads.

Whatever it refuses is refused by `compile.from_json` too. Much that it lets through is not: whether a name is defined,
which numbers are in range and everything between entries is found there only.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from datetime import date, datetime
from fractions import Fraction
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from interlock.policy.compile import _CODECS, FORMAT
from interlock.policy.model import Policy
from interlock.policy.time import Duration

_TEXT = {"type": "string"}
_WHOLE = {
    "anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, {"type": "string", "pattern": "^[1-9][0-9]*$"}]
}
_LEAVES: dict[Any, dict[str, Any]] = {
    str: _TEXT,
    bool: {"type": "boolean"},
    int: _WHOLE,
    Fraction: {"type": "string", "pattern": "^-?[0-9]"},
    datetime: {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
    date: {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    Duration: {
        "type": "object",
        "properties": {"months": _WHOLE, "seconds": _WHOLE},
        "required": ["months", "seconds"],
        "additionalProperties": False,
    },
}


def schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a compiled policy, and the definitions that it refers to as `#/$defs/...`."""
    definitions: dict[str, Any] = {}
    made = _record(Policy, definitions)
    return {
        **made,
        "properties": {"interlock": {"const": FORMAT}, **made["properties"]},
        "required": ["interlock", *made["required"]],
    }, definitions


def _record(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """A dataclass: its fields but the `name` that it stands under, those with a default left out where they have it."""
    hints = _CODECS.hints(kind)
    own = [field for field in fields(cast("Any", kind)) if field.name != "name"]
    return {
        "type": "object",
        "properties": {field.name: _of(hints[field.name], definitions) for field in own},
        "required": [field.name for field in own if field.default is MISSING],
        "additionalProperties": False,
    }


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401  # a type as `typing` has it
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _choice(inner, definitions)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple and inner[-1] is Ellipsis:
        return {"type": "array", "items": _of(inner[0], definitions)}
    if origin is tuple:
        items = [_of(item, definitions) for item in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is not None:
        return {"type": "object", "additionalProperties": _of(inner[1], definitions)}
    return _LEAVES.get(hint) or _reference(hint, definitions, tagged=False)


def _choice(kinds: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    some = [kind for kind in kinds if kind is not NoneType]
    made = [_of(some[0], definitions)] if len(some) == 1 else [_reference(it, definitions, tagged=True) for it in some]
    return {"anyOf": [*made, *([{"type": "null"}] if NoneType in kinds else [])]}


def _reference(kind: type, definitions: dict[str, Any], *, tagged: bool) -> dict[str, Any]:
    """A reference to a dataclass's definition; where several may stand, it says in `is` which one it is."""
    tag = re.sub(r"(?<=.)(?=[A-Z])", "-", kind.__name__).lower()
    name = f"one-of-{tag}" if tagged else tag
    if name not in definitions:
        definitions[name] = {}  # before its fields are looked at: an expression has parts
        made = _record(kind, definitions)
        if tagged:
            made["properties"] = {"is": {"const": tag}, **made["properties"]}
            made["required"] = ["is", *made["required"]]
        definitions[name] = made
    return {"$ref": f"#/$defs/{name}"}
