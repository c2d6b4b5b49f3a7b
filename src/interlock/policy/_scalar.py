"""One text to one exact value: names, numbers, multiples, durations, deadlines, times, tasks, comparisons.

Every function takes what stood in the file and returns the value, or raises `ValueError` with a message that says what
was expected and what was there. Nothing passes through a float. `_written/forms.py` reads the written form with these,
`compile.py` the compiled one, so that both accept the same values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from interlock.policy.duty import Clock
from interlock.policy.model import BUILT_IN
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: What no editor shows: Unicode's category Cf, as of version 16. It turns a text's direction, or hides in a name.
_UNSEEN = (
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    "\U000e0020-\U000e007f"
)
#: That; control characters; separators of lines that editors do not count, a lone carriage return too; surrogates.
CONTROL = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff{_UNSEEN}]|\r(?!\n)")

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,99}(/[a-z0-9][a-z0-9-]{0,99})?")
VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+|/[0-9]+)?")
COMPUTE = re.compile(r"[0-9]{1,100}(\.[0-9]{1,100})?([eE]\+?[0-9]{1,2})?")
MULTIPLE = re.compile(r"([0-9]+(\.[0-9]+)?)x")
DURATION = re.compile(r"([0-9]+) +([a-zA-Z]+)")
BUSINESS = re.compile(r"([0-9]{1,5}) +business +days?")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([Zz]|[+-][0-9]{2}:[0-9]{2})")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TASK = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]*)@([1-9][0-9]{0,8})")
SAMPLES = re.compile(r"sha256:([0-9a-f]{64})")
_NO_ZONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]*)?")
_COMPARISON = re.compile(r"(\S+?)\s*(>=|=>|=<|<=|==|!=|≥|≤|>|<|=)\s*(\S+)")

_MONTHS = {"month": 1, "year": 12}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
_UNITS = [f"{unit}s" for unit in (*_SECONDS, *_MONTHS)]
_MAX_MONTHS, _MAX_DAYS = 1200, 36_600
_MAX_SECONDS = _MAX_DAYS * 86400
_MAX_DIGITS = 256
#: Python refuses to turn an int of more digits into text, or back.
_MOST_PLACES = 4300
_UNPRINTABLE = 10**_MOST_PLACES
#: Names that are compared with a misspelt one at the most, and that are listed at the most.
_MANY_NAMES, _LISTED = 60, 40


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

    text = wrong[:100]
    names = sorted(known)
    if len(names) > _MANY_NAMES:  # then only those that begin or end like it, and not all of these
        names = [name for name in names if name[:2] == text[:2] or name[-3:] == text[-3:]][:_MANY_NAMES]
    close = difflib.get_close_matches(text, names, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def expected_one_of(wrong: str, known: Collection[str]) -> str:
    """The nearest spelling, or else what may stand there, if that can be listed."""
    listed = ", ".join(f"`{name}`" for name in sorted(known)) if len(known) <= _LISTED else "the names defined there"
    return suggest(wrong, known) or f"; expected {'one of ' if len(known) > 1 else ''}{listed or 'none'}"


def _error(expected: str, value: object) -> ValueError:
    return ValueError(f"expected {expected}, got {quote(value)}")


def _matched(pattern: re.Pattern[str], value: object, expected: str) -> re.Match[str]:
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _error(expected, value)
    return match


def name(value: object) -> str:
    """A name: lower-case letters, digits and hyphens."""
    return _matched(NAME, value, "a name of lower-case letters, digits and hyphens")[0]


def policy_id(value: object) -> str:
    """A policy's id: a name, or two names with a slash between."""
    return _matched(ID, value, "an id such as `example-lab/rsp` (lower-case letters, digits, hyphens, one slash)")[0]


def version(value: object) -> str:
    """A policy's version: one to three numbers with dots between."""
    return _matched(VERSION, value, "a version such as `1.0.0`")[0]


def numbers(version: str) -> tuple[int, ...]:
    """A version as it is compared: three numbers, so that `1.0` is `1.0.0`."""
    found = [int(number) for number in version.split(".")]
    return (*found, *(0 for _ in range(3 - len(found))))


def prose(value: object) -> str:
    """Text for people: not empty, nothing in it that is not seen."""
    if not isinstance(value, str) or not value.strip() or CONTROL.search(value):
        raise _error("a text", value)
    return value


def subject(value: object) -> str:
    """A subject's name or digest: text on one line, all of which is seen, as in the statement that registers it."""
    text = prose(value)
    if not text.isprintable():
        raise _error("printable text on one line", value)
    return text


def number(value: object) -> Fraction:
    """An exact number: `12`, `0.95` or `1/3`."""
    expected = "a number such as `0.95` or `1/3`"
    text = _matched(NUMBER, value, expected)[0]
    try:
        if len(text) <= _MAX_DIGITS and len(exact(Fraction(text))) <= _MAX_DIGITS:
            return Fraction(text)
    except ZeroDivisionError:
        raise _error(expected, value) from None
    raise _error(f"a number of at most {_MAX_DIGITS} characters", value)


def exact(value: Fraction) -> str:
    """The number's one text: a finite decimal where there is one of at most 4300 digits, else `p/q` in lowest terms, in
    hexadecimal where one of these has more. Inverse of `number` for all that is read. It never fails.
    """
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > _MOST_PLACES:
        return _ratio(value)
    whole = abs(value.numerator) * 10**places // value.denominator
    if whole >= _UNPRINTABLE:
        return _ratio(value)
    digits = str(whole).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def _ratio(value: Fraction) -> str:
    above, below = value.numerator, value.denominator
    if max(abs(above), below) >= _UNPRINTABLE:
        return f"{above:#x}/{below:#x}"
    return f"{above}/{below}"


def proportion(value: object) -> Fraction:
    """A number in [0, 1]."""
    share = number(value)
    if not 0 <= share <= 1:
        raise _error("a proportion between 0 and 1", value)
    return share


def margin(value: object) -> Fraction:
    """A number of at least 0, on the scale of a measure."""
    room = number(value)
    if room < 0:
        raise _error("a number of at least 0", value)
    return room


def weight(value: object) -> Fraction:
    """A number above 0."""
    share = number(value)
    if share <= 0:
        raise _error("a number above 0", value)
    return share


def bounds(value: object) -> tuple[Fraction, Fraction]:
    """The two ends of a range, the lower one first."""
    if not isinstance(value, list) or len(value) != 2:
        raise _error("a range of two numbers such as `[0, 1]`, or `unbounded`", value)
    low, high = number(value[0]), number(value[1])
    if low >= high:
        raise ValueError(f"expected a range from a lower to a higher number, got `[{exact(low)}, {exact(high)}]`")
    return low, high


def flop(value: object) -> int:
    """Compute in FLOP, a whole number: `100` or `1.5e18`."""
    return _amount(value, "a whole number of FLOP such as `1e18`")


def parameters(value: object) -> int:
    """A number of parameters: `500000` or `5e5`."""
    return _amount(value, "a whole number of parameters such as `5e5`")


def _amount(value: object, expected: str) -> int:
    amount = Fraction(_matched(COMPUTE, value, expected)[0])
    if amount.denominator != 1:
        raise _error(expected, value)
    return amount.numerator


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
        raise _error("a share above 0 and at most 1", value)
    return share


def factor(value: object) -> Fraction:
    """A number of at least 1: how many times as much compute."""
    times = number(value)
    if times < 1:
        raise _error("a multiple of at least 1", value)
    return times


def multiple(value: object) -> Fraction:
    """A factor as it is written in a policy: `6x`."""
    times = number(_matched(MULTIPLE, value, "a multiple such as `6x`")[1])
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
    if isinstance(value, str) and BUSINESS.fullmatch(value):
        raise _error("a duration such as `30 days`; business days count in deadlines only", value)
    if not isinstance(value, str) or not (match := DURATION.fullmatch(value)):
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


def clock(value: object) -> Clock:
    """A deadline: a duration, or business days, at most 100 years of them, in UTC until a duty says otherwise."""
    match = BUSINESS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return Clock(duration(value))
    if not 1 <= int(match[1]) <= _MAX_DAYS:
        raise _error(f"from 1 to {_MAX_DAYS} business days", value)
    return Clock(business_days=int(match[1]))


def zone(value: object) -> str:
    """A time zone that this machine knows, by its name in the IANA database."""
    text = prose(value)
    if text != "UTC" and text not in (known := _zones()):
        hint = suggest(text, known)
        raise ValueError(f"expected a time zone such as `Europe/Brussels`, got {quote(value)}{hint}")
    return text


@cache
def _zones() -> frozenset[str]:
    """The zones that are the same wherever they are known: not those that each machine, or nobody, sets."""
    from zoneinfo import available_timezones

    return frozenset(available_timezones() - {"Factory", "localtime", "posixrules"})


def moment(value: object) -> datetime:
    """A moment with its zone, in UTC, to the second (RFC 3339)."""
    expected = "a time such as `2026-01-01T00:00:00Z`"
    if isinstance(value, str) and _NO_ZONE.fullmatch(value):
        raise _error(f"a time with its zone, such as `{value[:10]}T00:00:00Z`", value)
    text = _matched(MOMENT, value, expected)[0]
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _error(expected, value) from None


def day(value: object) -> datetime:
    """A moment, or a date, which means its midnight in UTC."""
    if not isinstance(value, str) or not DAY.fullmatch(value):
        return moment(value)
    start = calendar_day(value)
    return datetime(start.year, start.month, start.day, tzinfo=UTC)


def calendar_day(value: object) -> date:
    """A date, wherever its clock may stand."""
    expected = "a date such as `2027-06-01`"
    try:
        return date.fromisoformat(_matched(DAY, value, expected)[0])
    except ValueError:
        raise _error(expected, value) from None


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
    match = _matched(TASK, value, "a task and its version such as `example/replication@3`")
    return match[1], int(match[2])


def samples(value: object) -> str:
    """The digest of a set of samples, in hexadecimal, from `sha256:HEX`."""
    return _matched(SAMPLES, value, "`sha256:` and 64 lower-case hexadecimal digits")[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A quantity against a level, as written: `replication >= 0.50`."""

    name: str
    operator: str
    level: Fraction


def comparison(value: object, *, example: str, operators: Collection[str]) -> Comparison:
    """`NAME >= LEVEL` with one of the `operators`. A level may have an exponent, and is exact all the same."""
    match = _matched(_COMPARISON, value, f"a comparison such as `{example}`")
    if match[2] not in operators:
        raise _error(f"{' or '.join(f'`{operator}`' for operator in operators)} in a comparison", match[2])
    level = flop(match[3]) if re.search("[eE][+0-9]", match[3]) else number(match[3])
    if "_" in match[1] and match[1] not in BUILT_IN:
        raise ValueError(f"quantity {quote(match[1])} is not defined{suggest(match[1], BUILT_IN)}")
    return Comparison(match[1] if match[1] in BUILT_IN else name(match[1]), match[2], Fraction(level))


def one_of(*allowed: str) -> Callable[[object], str]:
    """A reader of one of the words `allowed`."""
    wanted = ", ".join(f"`{word}`" for word in allowed)
    expected = f"one of {wanted}" if len(allowed) > 1 else wanted

    def read(value: object) -> str:
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
