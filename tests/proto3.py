"""Reads proto3 messages as they are published, and holds JSON values against them (protobuf's JSON mapping)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

_TOKEN = re.compile(r'"[^"]*"|[\w.]+|[^\s\w]')
_SCALARS = {"string": str, "bytes": str, "uint64": int}


def messages(*paths: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Messages by name: each member's name in JSON, with how often it stands there, and its type."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for path in paths:
        text = re.sub(r"//[^\n]*", "", path.read_text())
        tokens, within = _TOKEN.findall(text), []
        while tokens:
            end = next(place for place, it in enumerate(tokens) if it in {";", "{", "}"})
            words, mark, tokens = tokens[:end], tokens[end], tokens[end + 1 :]
            if mark == "{":
                within.append(words[1])
                found[words[1]] = {}
            elif mark == "}":
                within.pop()
            elif within:
                name, often, kind = _field(words)
                found[within[-1]][name] = often, kind
    return found


def _field(words: list[str]) -> tuple[str, str, str]:
    declared = words[: words.index("=")]
    often = declared[0] if declared[0] in {"repeated", "map"} else "once"
    kind = declared[{"repeated": 1, "map": -3, "once": 0}[often]]
    camel = re.sub(r"_(\w)", lambda it: it[1].upper(), declared[-1])
    name = words[words.index("json_name") + 2].strip('"') if "json_name" in words else camel
    return name, often, kind.rpartition(".")[2]


def misfits(
    known: dict[str, dict[str, tuple[str, str]]], message: str, value: object, where: str = ""
) -> Iterator[str]:
    """Where a value is not one of the message."""
    if not isinstance(value, dict):
        yield f"{where}: not an object"
        return
    for name, inner in value.items():
        at = f"{where}.{name}"
        if name not in known[message]:
            yield f"{at}: unknown to {message}"
            continue
        often, kind = known[message][name]
        wanted = {"once": object, "repeated": list, "map": dict}[often]
        if not isinstance(inner, wanted):
            yield f"{at}: {often} is asked for"
            continue
        items = {"once": [inner], "repeated": inner, "map": inner.values() if often == "map" else ()}[often]
        for item in items:
            yield from _misfit(known, kind, item, at)


def _misfit(known: dict[str, dict[str, tuple[str, str]]], kind: str, item: object, at: str) -> Iterator[str]:
    if kind in known:
        yield from misfits(known, kind, item, at)
    elif kind == "Timestamp":
        if not isinstance(item, str) or datetime.fromisoformat(item).utcoffset() is None:
            yield f"{at}: not a time"
    elif kind == "Struct":
        if not isinstance(item, dict):
            yield f"{at}: not an object"
    elif not isinstance(item, _SCALARS[kind]):
        yield f"{at}: not a {kind}"
