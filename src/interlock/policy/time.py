"""Lengths of time as a policy writes them: calendar months plus seconds."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: What a moment past the end of the calendar becomes: nothing lasts longer.
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

#: The starts of a short month and of a long one: where one duration is longer from both, it is longer.
_STARTS = (datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC))


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
    """Whether one length of time is certainly longer than another, however long their months are."""
    return all(one.after(start) > other.after(start) for start in _STARTS)
