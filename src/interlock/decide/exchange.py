"""Questions and answers as JSON, so that another implementation of docs/semantics.md can be held to the same cases.

`python -m interlock.decide.exchange` reads one case a line and writes one answer a line: the protocol of
conformance/decide/README.md. Facts are written field by field, as `facts.py` has them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from fractions import Fraction
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from interlock.decide import facts as told
from interlock.decide.decision import Decision, timestamp
from interlock.decide.facts import Facts, Version
from interlock.decide.rule import decide
from interlock.policy import _scalar as scalar
from interlock.policy import exact, from_json, to_json

_SAFE = 2**53
#: What bears on no answer that is asked for.
_UNASKED = frozenset({"lapses", "told_resolved"})
_NAMES = {**vars(told), "datetime": datetime, "Fraction": Fraction, "Mapping": Mapping, "Moment": str}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of `decide`."""

    versions: tuple[Version, ...]
    facts: Facts
    subject: str
    action: str
    at: datetime
    deployment: str | None = None


def question_to_json(question: Question) -> dict[str, Any]:
    """A question as plain JSON values."""
    return {
        "versions": [
            {
                "policy": to_json(version.policy),
                "digest": version.digest,
                "since": scalar.stamp(version.since),
                "entered": scalar.stamp(version.entered),
            }
            for version in question.versions
        ],
        "facts": _write(question.facts),
        "subject": question.subject,
        "action": question.action,
        "at": scalar.stamp(question.at),
        "deployment": question.deployment,
    }


def question_from_json(obj: dict[str, Any]) -> Question:
    """The question that `question_to_json` gave `obj` for.

    Raises:
        EvidenceError: a policy is not one.
        ValueError, KeyError, TypeError: anything else is not what it must be.
    """
    versions = tuple(
        Version(from_json(it["policy"]), it["digest"], scalar.moment(it["since"]), scalar.moment(it["entered"]))
        for it in obj["versions"]
    )
    at = scalar.moment(obj["at"])
    return Question(versions, _read(Facts, obj["facts"]), obj["subject"], obj["action"], at, obj["deployment"])


def decided(question: Question) -> Decision:
    """What `decide` says, all of it."""
    return decide(
        question.versions,
        question.facts,
        subject=question.subject,
        action=question.action,
        at=question.at,
        deployment=question.deployment,
    )


def answer(question: Question) -> dict[str, Any]:
    """What `decide` says, as far as an implementation must say the same."""
    return answered(decided(question))


def answered(decision: Decision) -> dict[str, Any]:
    """The same of a decision that was made."""
    return {
        "verdict": decision.verdict,
        "most_effective_compute": str(decision.bounds.most_effective_compute) if decision.bounds else None,
        "not_after": timestamp(decision.bounds.not_after) if decision.bounds else None,
        "policies": {
            ruling.policy: {
                "governs": ruling.governs,
                "verdict": ruling.verdict,
                "cells": {
                    cell.finding.threshold: {
                        "state": cell.finding.state,
                        "overdue": cell.finding.overdue is not None,
                        "opens": cell.opens,
                        "met": {requirement.name: requirement.met for requirement in cell.requirements},
                    }
                    for cell in ruling.cells
                },
            }
            for ruling in decision.rulings
        },
    }


def main() -> None:
    """Answer every case on standard input."""
    for line in sys.stdin:
        case = json.loads(line)
        found = {"id": case["id"], "answer": answer(question_from_json(case["question"]))}
        sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
        sys.stdout.flush()


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, _NAMES)


def _write(value: Any) -> Any:  # noqa: ANN401, PLR0911  # any value of the facts, one return a kind
    if is_dataclass(value) and not isinstance(value, type):
        return {it.name: _write(getattr(value, it.name)) for it in fields(value) if it.name not in _UNASKED}
    if isinstance(value, Mapping):
        return {name: _write(item) for name, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    if isinstance(value, datetime):
        return scalar.stamp(value)
    if isinstance(value, Fraction):
        return exact(value)
    return str(value) if type(value) is int and value >= _SAFE else value


def _read(hint: Any, value: Any) -> Any:  # noqa: ANN401  # a type as `typing` has it, one return a kind
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if value is None else _read(next(it for it in inner if it is not NoneType), value)
    if origin is tuple:
        return tuple(_read(inner[0], item) for item in value)
    if origin is frozenset:
        return frozenset(value)
    if origin is not None and origin is not Literal:
        return {name: _read(inner[1], item) for name, item in value.items()}
    if is_dataclass(hint):
        kind = cast("type", hint)
        return kind(**{name: _read(its, value[name]) for name, its in _hints(kind).items() if name not in _UNASKED})
    reader = _READERS.get(hint)
    return reader(value) if reader else value


_READERS: dict[Any, Callable[[Any], Any]] = {datetime: scalar.moment, Fraction: scalar.number, int: int}


if __name__ == "__main__":
    main()
