"""Lengths of time as a policy writes them: calendar months plus seconds."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate

#: What a moment past the end of the calendar becomes: nothing lasts longer.
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

#: The calendar repeats after so many months (RFC 3339 dates are of the Gregorian calendar: 400 years).
_CYCLE = 4800
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months plus seconds. `3 months` after 30 November is 28 (or 29) February."""

    months: int
    seconds: int

    def after(self, start: datetime) -> datetime:
        """The moment this long after `start`, in UTC; a day that the month lacks becomes its last day.

        A moment past the year 9999 is the last second of that year.
        """
        start = start.astimezone(UTC)
        month = start.month - 1 + self.months
        year, month = start.year + month // 12, month % 12 + 1
        if year > LATEST.year:
            return LATEST
        day = min(start.day, calendar.monthrange(year, month)[1])
        try:
            return min(start.replace(year=year, month=month, day=day) + timedelta(seconds=self.seconds), LATEST)
        except OverflowError:
            return LATEST


def longer(one: Duration, other: Duration) -> bool:
    """Whether one length of time ends after another, whenever both start."""
    return _ahead(one, other)[0] > 0


def sometimes_longer(one: Duration, other: Duration) -> bool:
    """Whether one length of time ends after another for some start of both."""
    return _ahead(one, other)[1] > 0


def undecided(one: Duration, other: Duration) -> bool:
    """Whether it depends on the start which of two lengths of time is the longer one: `1 month` and `30 days`."""
    return sometimes_longer(one, other) and sometimes_longer(other, one)


def _ahead(one: Duration, other: Duration) -> tuple[int, int]:
    """By how many seconds one length of time ends after another: the least and the most, over all starts."""
    least, most = _days_ahead(one.months, other.months)
    rest = one.seconds - other.seconds
    return least * _DAY + rest, most * _DAY + rest


@lru_cache(maxsize=256)
def _days_ahead(one: int, other: int) -> tuple[int, int]:
    """The same in days, of whole months: over every month of the calendar's cycle and every day of it that matters."""
    firsts, sizes = _months(_CYCLE + max(one, other) + 1)
    found = set()
    for start in range(_CYCLE):
        for day in {1, *range(28, sizes[start] + 1)}:
            ends = [firsts[start + months] + min(day, sizes[start + months]) for months in (one, other)]
            found.add(ends[0] - ends[1])
    return min(found), max(found)


@lru_cache(maxsize=4)
def _months(count: int) -> tuple[list[int], list[int]]:
    """The day on which each of so many months starts, counted from the year 2000, and how many days each has."""
    sizes = [calendar.monthrange(2000 + month // 12, month % 12 + 1)[1] for month in range(count)]
    return list(accumulate(sizes, initial=0)), sizes


_UNITS = (("day", _DAY), ("hour", 3600), ("minute", 60), ("second", 1))


def spoken(length: Duration) -> str:
    """A length of time in words, as a policy writes it."""
    parts = [(length.months, "month")] if length.months else []
    for unit, size in _UNITS:
        if length.seconds and length.seconds % size == 0:
            parts.append((length.seconds // size, unit))
            break
    return " and ".join(f"{count} {unit}{'s' if count != 1 else ''}" for count, unit in parts)
