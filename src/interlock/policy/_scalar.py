"""One text to one exact value: names, numbers, multiples, durations, times, tasks, predicates.

Every function takes what stood in the file and returns the value, or raises `ValueError` with a message that says what
was expected and what was there. Nothing passes through a float. `_schema.py` reads the written form with these,
`compile.py` the compiled one, so that both accept the same values.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy.model import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: Control characters, line separators that editors do not count, overrides of the text's direction, lone surrogates.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,99}(/[a-z0-9][a-z0-9-]{0,99})?")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+|/[0-9]+)?")
_MULTIPLE = re.compile(r"([0-9]+(\.[0-9]+)?)x")
_DURATION = re.compile(r"([0-9]+) +([a-zA-Z]+)")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([Zz]|[+-][0-9]{2}:[0-9]{2})")
_NO_ZONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]*)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TASK = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]*)@([1-9][0-9]{0,8})")
_PREDICATE = re.compile(r"(\S+?)\s*(>=|=>|<=|==|!=|≥|≤|>|<|=)\s*(\S+)")

_MONTHS = {"month": 1, "year": 12}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
_UNITS = [f"{unit}s" for unit in (*_SECONDS, *_MONTHS)]
_MAX_MONTHS, _MAX_SECONDS = 1200, 100 * 366 * 86400
_MAX_DIGITS = 256


def quote(value: object) -> str:
    """What was there, for a message: texts in backticks, on one line, cut after 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"  # Python refuses to print more than 4300 digits
    text = " ".join(CONTROL.sub("\ufffd", str(value)).split())
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def suggest(wrong: str, known: Collection[str]) -> str:
    """`; did you mean ...?` with the nearest spelling, or nothing."""
    import difflib

    close = difflib.get_close_matches(wrong[:100], sorted(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _error(expected: str, value: object) -> ValueError:
    return ValueError(f"expected {expected}, got {quote(value)}")


def _matched(pattern: re.Pattern[str], value: object, expected: str) -> re.Match[str]:
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _error(expected, value)
    return match


def name(value: object) -> str:
    """A name: lower-case letters, digits and hyphens."""
    return _matched(_NAME, value, "a name of lower-case letters, digits and hyphens")[0]


def policy_id(value: object) -> str:
    """A policy's id: a name, or two names with a slash between."""
    return _matched(_ID, value, "an id such as `example-lab/rsp` (lower-case letters, digits, hyphens, one slash)")[0]


def version(value: object) -> str:
    """A policy's version: one to three numbers with dots between."""
    return _matched(_VERSION, value, "a version such as `1.0.0`")[0]


def prose(value: object) -> str:
    """Text for people: not empty, no control characters."""
    if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
        raise _error("a text", value)
    return value


def number(value: object) -> Fraction:
    """An exact number: `12`, `0.95` or `1/3`."""
    expected = "a number such as `0.95` or `1/3`"
    text = _matched(_NUMBER, value, expected)[0]
    try:
        if len(text) <= _MAX_DIGITS and len(exact(Fraction(text))) <= _MAX_DIGITS:
            return Fraction(text)
    except ZeroDivisionError:
        raise _error(expected, value) from None
    raise _error(f"a number of at most {_MAX_DIGITS} characters", value)


def exact(value: Fraction) -> str:
    """The number's one text: a finite decimal where there is one, else `p/q` in lowest terms. Inverse of `number`."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def proportion(value: object) -> Fraction:
    """A number in [0, 1]."""
    share = number(value)
    if not 0 <= share <= 1:
        raise _error("a proportion between 0 and 1", value)
    return share


def confidence(value: object) -> Fraction:
    """A number in (0.5, 1)."""
    share = number(value)
    if not Fraction(1, 2) < share < 1:
        raise _error("a confidence above 0.5 and below 1", value)
    return share


def coverage(value: object) -> Fraction:
    """A number in (0, 1]."""
    share = number(value)
    if not 0 < share <= 1:
        raise _error("a coverage above 0 and at most 1", value)
    return share


def factor(value: object) -> Fraction:
    """A number of at least 1: how many times as much compute."""
    times = number(value)
    if times < 1:
        raise _error("a multiple of at least 1", value)
    return times


def multiple(value: object) -> Fraction:
    """A factor as it is written in a policy: `6x`."""
    times = number(_matched(_MULTIPLE, value, "a multiple such as `6x`")[1])
    if times < 1:
        raise _error("a multiple of at least `1x`", value)
    return times


def whole(value: object) -> int:
    """A whole number from 0 to 10^9."""
    return _whole(value, least=0)


def positive(value: object) -> int:
    """A whole number from 1 to 10^9."""
    return _whole(value, least=1)


def _whole(value: object, *, least: int) -> int:
    count = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value) else -1
    if not least <= count <= 10**9:
        raise _error(f"a whole number of at least {least}", value)
    return count


def truth(value: object) -> bool:
    """`true` or `false`."""
    return one_of("true", "false")(value) == "true"


def duration(value: object) -> Duration:
    """A length of time: a whole number and one unit."""
    if not isinstance(value, str) or not (match := _DURATION.fullmatch(value)):
        raise _error("a duration such as `30 days`", value)
    unit = match[2].removesuffix("s")
    if unit not in _MONTHS and unit not in _SECONDS:
        raise ValueError(
            f"expected a duration in one of {', '.join(_UNITS)}, got {quote(value)}{suggest(match[2], _UNITS)}"
        )
    count = int(match[1]) if len(match[1]) <= 12 else 10**12
    return span(months=count * _MONTHS.get(unit, 0), seconds=count * _SECONDS.get(unit, 0), written=value)


def span(*, months: int, seconds: int, written: object = None) -> Duration:
    """A duration from its parts: longer than nothing, at most 100 years."""
    length = Duration(months, seconds)
    if not (0 <= months <= _MAX_MONTHS and 0 <= seconds <= _MAX_SECONDS and months + seconds > 0):
        got = written if written is not None else f"{months} months, {seconds} seconds"
        raise _error("a duration above nothing and of at most 100 years", got)
    return length


def moment(value: object) -> datetime:
    """A moment with its zone, in UTC, to the second (RFC 3339)."""
    expected = "a time such as `2026-01-01T00:00:00Z`"
    if isinstance(value, str) and _NO_ZONE.fullmatch(value):
        raise _error(f"a time with its zone, such as `{value[:10]}T00:00:00Z`", value)
    text = _matched(_MOMENT, value, expected)[0]
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _error(expected, value) from None


def day(value: object) -> datetime:
    """A moment, or a date, which means its midnight in UTC."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return moment(value)
    try:
        start = date.fromisoformat(value)
    except ValueError:
        raise _error("a date such as `2027-06-01`", value) from None
    return datetime(start.year, start.month, start.day, tzinfo=UTC)


def stamp(value: datetime) -> str:
    """The moment's one text: RFC 3339 in UTC. Inverse of `moment`.

    Raises:
        ValueError: the moment has no zone, or is not a whole second.
    """
    if value.tzinfo is None or value.microsecond or value.utcoffset() is None:
        raise ValueError(f"expected a time in whole seconds with its zone, got `{value.isoformat()}`")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def task(value: object) -> tuple[str, int]:
    """A task's name and version, written `TASK@VERSION`."""
    match = _matched(_TASK, value, "a task and its version such as `example/replication@3`")
    return match[1], int(match[2])


def predicate(value: object) -> tuple[str, Fraction]:
    """The measure and the level of `MEASURE >= LEVEL`. Only `>=` exists: a threshold includes its level."""
    match = _matched(_PREDICATE, value, "a predicate such as `replication >= 0.50`")
    if match[2] != ">=":
        raise ValueError(f"`{match[2]}` is not supported, only `>=` (the level itself is reached), got {quote(value)}")
    return name(match[1]), proportion(match[3])


def one_of(*allowed: str, later: Collection[str] = ()) -> Callable[[object], str]:
    """A reader of one of the words `allowed`. The words in `later` exist in the design and cannot be used yet."""
    wanted = ", ".join(f"`{word}`" for word in allowed)
    expected = f"one of {wanted}" if len(allowed) > 1 else wanted

    def read(value: object) -> str:
        if isinstance(value, str) and value in later:
            raise ValueError(f"`{value}` is not supported yet, expected {expected}")
        if not isinstance(value, str) or value not in allowed:
            hint = suggest(value, allowed) if isinstance(value, str) and len(allowed) > 1 else ""
            raise ValueError(f"expected {expected}, got {quote(value)}{hint}")
        return value

    return read


def listed(value: object) -> list[object]:
    """The value, if it is a list with something in it and nothing twice."""
    if not isinstance(value, list) or not value:
        raise _error("a list of at least one", value)
    seen: set[str] = set()
    for item in value:
        if isinstance(item, str) and item in seen:
            raise ValueError(f"{quote(item)} is listed twice")
        seen.update([item] if isinstance(item, str) else [])
    return value


def filled(value: object) -> dict[object, object]:
    """The value, if it is a mapping with something in it."""
    if not isinstance(value, dict) or not value:
        raise _error("a mapping of at least one", value)
    return value
