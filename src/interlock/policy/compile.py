"""A policy to canonical JSON and back: the bytes that the ledger signs and that every decision reads.

`to_json` and `from_json` are inverses, exactly: whatever `from_json` accepts, `to_json` gives back unchanged, so one
policy has one digest. `from_json` trusts nothing: it checks every range and every reference again, since a compiled
policy may come from anywhere. Neither pydantic nor ruamel.yaml is imported here, so that a decision starts fast.

The compiled form is the dataclasses of `model.py`, as `_codec.py` writes them, with `interlock` naming the format. An
exact number is a text (`0.05`, `1/3`); a count is a number, and from 2^53 on a text, since not every JSON reader keeps
those exact (RFC 8785, section 3.2.2.3). The order of an object's fields means nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from interlock.errors import EvidenceError
from interlock.evidence.keys import PublicKey
from interlock.policy import _scalar as scalar
from interlock.policy import duty, model
from interlock.policy._codec import Codecs, Leaf, Refused
from interlock.policy._structure import check as _check
from interlock.policy.model import BUILT_IN, NO_CONFIDENCE, Policy
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Callable

#: The format that this version writes and reads.
FORMAT: Final = "policy/v1"

#: Levels of nesting in a compiled policy: twice those of an expression, and what stands around it.
_MAX_DEPTH = 2 * _check.MAX_DEPTH + 16
_SAFE = 2**53
_MAX_FLOP = 10**256
_MAX_BUSINESS_DAYS = 36_600  # a hundred years, like every other length of time


def digest(policy: Policy) -> str:
    """SHA-256 of the canonical bytes, in lower-case hexadecimal."""
    return hashlib.sha256(canonical(policy)).hexdigest()


def canonical(policy: Policy) -> bytes:
    """The policy's one byte string (RFC 8785)."""
    return rfc8785.dumps(to_json(policy))


def to_json(policy: Policy) -> dict[str, Any]:
    """The policy as plain JSON values. Numbers that are not whole are texts: `0.05`, `1/3`.

    Raises:
        ValueError: a time has no zone or is not a whole second.
    """
    return {"interlock": FORMAT, **_CODECS.record(Policy).write(policy)}


def from_json(obj: object) -> Policy:
    """The policy that `to_json` gave `obj` for.

    Raises:
        EvidenceError: `obj` is anything else, or breaks what a policy must hold.
    """
    try:
        policy = _policy(obj)
    except Refused as error:
        raise _invalid(error.path, str(error)) from error
    problem = next(iter(_check.check(_check.parts_of(policy))), None)
    if problem is not None:
        raise _invalid(problem.path, problem.message)
    if to_json(policy) != obj:  # a second spelling of a number or a time would be a second digest
        raise EvidenceError("compiled policy: expected each number, time and key in its one exact text")
    return policy


def _policy(obj: object) -> Policy:
    if not isinstance(obj, dict):
        raise Refused(f"expected an object, got {scalar.quote(obj)}")
    if _deeper(obj, _MAX_DEPTH):
        raise Refused(f"expected at most {_MAX_DEPTH} levels of nesting, got more")
    if obj.get("interlock") != FORMAT:
        raise Refused(f"expected `{FORMAT}`, got {scalar.quote(obj.get('interlock'))}", ("interlock",))
    fields = {field: value for field, value in obj.items() if field != "interlock"}
    policy: Policy = _CODECS.record(Policy).read(fields)
    return policy


def _deeper(obj: object, levels: int) -> bool:
    """Whether objects and lists stand in one another on more than so many levels."""
    layer = [obj]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(layer)


def _invalid(path: tuple[str | int, ...], message: str) -> EvidenceError:
    where = ".".join(scalar.quote(step).strip("`") for step in path)
    return EvidenceError(f"compiled policy: {where}: {message}" if where else f"compiled policy: {message}")


# -- single values -----------------------------------------------------------------------------------------------------


def _whole_json(value: int) -> int | str:
    return value if value < _SAFE else str(value)


def _whole(least: int, most: int = _SAFE - 1) -> Callable[[object], int]:
    """A reader of whole numbers in a range: a number below 2^53, decimal text from there on."""

    def read(value: object) -> int:
        if isinstance(value, str) and len(value) <= len(str(most)) and re.fullmatch("[1-9][0-9]*", value, re.ASCII):
            count = int(value)
        else:
            count = value if type(value) is int and value < _SAFE else -1  # bool is an int to isinstance
        if not least <= count <= most:
            raise ValueError(f"expected a whole number of at least {least}, got {scalar.quote(value)}")
        return count

    return read


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {scalar.quote(value)}")  # noqa: TRY004  # caught with its place
    return value


def _day(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        raise ValueError(f"expected a date such as `2027-06-01`, got {scalar.quote(value)}")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"expected a date such as `2027-06-01`, got {scalar.quote(value)}") from None


def _duration_json(length: Duration) -> dict[str, int]:
    return {"months": length.months, "seconds": length.seconds}


def _duration(value: object) -> Duration:
    if not isinstance(value, dict) or value.keys() != {"months", "seconds"}:
        raise ValueError(f"expected an object with `months` and `seconds`, got {scalar.quote(value)}")
    whole = _whole(0)
    return scalar.span(months=whole(value["months"]), seconds=whole(value["seconds"]))


def _key(value: object) -> str:
    try:
        return str(PublicKey.parse(scalar.prose(value)))
    except EvidenceError as error:
        raise ValueError(str(error)) from error


def _number(reader: Callable[[object], Fraction]) -> Callable[[object], Fraction]:
    """The same reader, which remembers: a policy has few numbers, each many times."""
    remembered = lru_cache(maxsize=1024)(reader)
    return lambda value: remembered(value) if isinstance(value, str) else reader(value)


def _matching(pattern: str, expected: str) -> Callable[[object], str]:
    compiled = re.compile(pattern, re.ASCII)

    def read(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(f"expected {expected}, got {scalar.quote(value)}")
        return value

    return read


def _or_empty(reader: Callable[[object], str]) -> Callable[[object], str]:
    return lambda value: "" if value == "" else reader(value)


def _task(value: object) -> str:
    return scalar.task(f"{scalar.prose(value)}@1")[0]


def _confidence(value: object) -> Fraction:
    """A rule's confidence, or that of a rule that asks for none."""
    return NO_CONFIDENCE if value == scalar.exact(NO_CONFIDENCE) else scalar.confidence(value)


def _quantity(value: object) -> str:
    return str(value) if value in BUILT_IN else scalar.name(value)


_LEAVES: Mapping[Any, Leaf] = {
    str: Leaf(str, scalar.prose),
    bool: Leaf(bool, _truth),
    int: Leaf(_whole_json, _whole(0)),
    Fraction: Leaf(lru_cache(maxsize=1024)(scalar.exact), _number(scalar.number)),
    datetime: Leaf(scalar.stamp, scalar.moment),
    date: Leaf(date.isoformat, _day),
    Duration: Leaf(_duration_json, _duration),
}

#: Fields whose texts are names, wherever they stand; any other text is prose.
_NAMES = (
    *("above", "actor", "alert_for", "approved_by", "assumes", "by", "checked", "consulted", "discretion"),
    *("does_not_stop", "domain", "events", "forecast_by", "independent_of", "instead_of", "issued_by", "measure"),
    *("near_miss_of", "notify", "of", "on", "owner", "proposed_by", "refines", "report", "requires", "revocable_by"),
    *("rung", "run_by", "standard", "stops", "threat_models", "threshold", "to", "void_at", "weaker"),
)

_READERS: dict[str, Callable[[object], Any]] = {
    **dict.fromkeys(_NAMES, scalar.name),
    "Clock.business_days": _whole(1, _MAX_BUSINESS_DAYS),
    "Clock.zone": scalar.zone,
    "Policy.id": scalar.policy_id,
    "Policy.imposed_by": _or_empty(scalar.prose),
    "Policy.independent": _or_empty(scalar.name),
    "Policy.supersedes": _or_empty(scalar.version),
    "Policy.version": scalar.version,
    "Response.do": scalar.one_of(*duty.STOPS, "notify"),
    "Response.when": _matching(
        "reached|not ruled out|overdue|unmet:[a-z0-9][a-z0-9-]{0,99}",
        "`reached`, `not ruled out`, `overdue` or `unmet:REQUIREMENT`",
    ),
    "attacker_budget": _number(scalar.proportion),
    "attempts": _whole(1),
    "confidence": _number(scalar.confidence),
    "count": _whole(1),
    "coverage": _number(scalar.coverage),
    "flop": _whole(0, _MAX_FLOP),
    "items": _number(scalar.margin),
    "keys": _key,
    "least_parameters": _whole(0, _MAX_FLOP),
    "least_samples": _whole(1),
    "margin": _number(scalar.margin),
    "multiple": _number(scalar.factor),
    "probability": _number(scalar.proportion),
    "quantity": _quantity,
    "quorum": _whole(1),
    "RuleOut.confidence": _number(_confidence),
    "RuleOut.run_by": _or_empty(scalar.name),
    "refusals": _number(scalar.proportion),
    "samples_digest": _matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits"),
    "sharp_at": _number(scalar.coverage),
    "sharpness": _number(scalar.proportion),
    "subject": scalar.subject,
    "task": _task,
    "task_version": _whole(1, 10**9 - 1),
    "weights": _number(scalar.weight),
}

_CODECS = Codecs(names={**vars(duty), **vars(model), "Mapping": Mapping}, leaves=_LEAVES, readers=_READERS)
