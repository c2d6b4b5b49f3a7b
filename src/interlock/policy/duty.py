"""Duties: what must be done by a time, started by an event (docs/semantics.md, rules 44 to 46, 49).

A duty says what starts its clocks, and its `Schedule` when it is due: exactly, and in bounded work, however often that
is. What it leaves to the caller: whether an earlier time was kept.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from interlock.policy.time import LATEST, Duration

if TYPE_CHECKING:
    from collections.abc import Iterator

#: From which moment of an event a clock runs. Statutes differ: awareness (EU), discovery (CA), determination (NY).
Moment = Literal["event", "awareness", "discovery", "determination"]
#: What can start a duty beside an incident.
Starter = Literal[
    "incident", "reached", "not-ruled-out", "overdue", "hold", "permit", "alert", "exception", "effective"
]

#: What a hold may ask for (the stops of published frameworks).
STOPS = (
    "pause-training",
    "cap-next-scale-up",
    "hold-development",
    "halt-until-standard",
    "restrict-weight-access",
    "restrict-customers",
    "halt-new-customers",
    "downgrade",
    "de-deploy",
    "lock-weights",
    "delete-weights",
    "recall",
    "reroute-work",
    "reassess",
    "write-policy",
)


#: More than there are seconds in the calendar, and so more than anything is repeated in it.
_OFTEN = 2**39


@dataclass(frozen=True, slots=True)
class Clock:
    """How long: a `Duration`, or `business_days` of `zone` without its `holidays`."""

    length: Duration | None = None
    business_days: int = 0
    zone: str = "UTC"
    holidays: tuple[date, ...] = ()

    def after(self, start: datetime) -> datetime:
        """The deadline, in UTC (rule 45). Business days are counted after the day of `start`, to the end of the last.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: the zone is not known here.
        """
        if self.length is not None:
            return self.length.after(start)
        zone = ZoneInfo(self.zone)
        last = _business_day(_day(start, zone), self.business_days, self.holidays)
        if last >= LATEST.toordinal():
            return LATEST
        midnight = datetime.combine(date.fromordinal(last + 1), time(), zone)  # of two the first; of none, its gap
        return midnight.astimezone(UTC) - timedelta(seconds=1)

    def times(self, count: int) -> Clock:
        """`count` of this, counted at once."""
        if self.length is not None:
            return replace(self, length=Duration(count * self.length.months, count * self.length.seconds))
        return replace(self, business_days=count * self.business_days)


def _day(moment: datetime, zone: ZoneInfo) -> date:
    """The day of a moment in a zone; at either end of the calendar, that of UTC."""
    try:
        return moment.astimezone(zone).date()
    except OverflowError:
        return moment.astimezone(UTC).date()


def _business_day(day: date, count: int, holidays: tuple[date, ...]) -> int:
    """The ordinal of the `count`-th business day after a day."""
    for holiday in sorted({it for it in holidays if it > day and it.weekday() < 5}):
        count += holiday.toordinal() <= _working_day(day, count)
    return _working_day(day, count)


def _working_day(day: date, count: int) -> int:
    """The ordinal of the `count`-th day from Monday to Friday after a day."""
    week, weekday = divmod(day.toordinal() - 1, 7)
    weeks, rest = divmod(min(weekday, 4) + count, 5)
    return 1 + 7 * (week + weeks) + rest


@dataclass(frozen=True, slots=True)
class Dues:
    """The times of a schedule that matter at one moment; None: there is none.

    `first` of all; `previous`, the latest that is not after the moment; `next`, the earliest after it, for which
    something may be done from `opens` on; `final`, the last of all: none while more may follow without end.
    """

    first: datetime | None
    previous: datetime | None
    opens: datetime | None
    next: datetime | None
    final: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something that has started is due (rule 46): `within`, again every `repeat` until `until`, and at `report`.

    `endless`: more times may follow than are known.
    """

    within: Clock | None
    not_before: Clock | None = None
    repeat: Clock | None = None
    until: datetime | None = None
    report: datetime | None = None
    endless: bool = False

    def dues(self, start: datetime, at: datetime) -> Dues:
        """The times that matter at `at`, if the clocks began at `start`."""
        windows = dict(self._windows(start, at))
        following = min((due for due in windows if due > at), default=None)
        return Dues(
            first=min(windows, default=None),
            previous=max((due for due in windows if due <= at), default=None),
            opens=None if following is None else windows[following],
            next=following,
            final=None if self.endless else max(windows, default=None),
        )

    def through(self, start: datetime, at: datetime, *, most: int) -> list[tuple[datetime | None, datetime]]:
        """All times up to the earliest after `at`, in order; of what repeats, the latest `most`. Each with the moment
        from which it can be done: when its window opens, or the time before it; of `report`, None: the caller knows.
        """
        last = 0 if self.repeat is None else self._repeats(start, at) + 1
        if self.repeat is not None and self.until is not None:
            last = min(last, self._repeats(start, self.until))
        first = max(0 if self.within is not None else 1, last - most + 1)
        found: list[tuple[datetime | None, datetime]] = []
        for count in range(first, last + 1):
            due, opens = self._window(start, count)
            found.append((opens or (self._due(start, count - 1) if count else start), due))
        found += [(None, self.report)] if self.report is not None else []
        found.sort(key=lambda it: it[1])
        return found[: next((place for place, it in enumerate(found, start=1) if it[1] > at), len(found))]

    def _windows(self, start: datetime, at: datetime) -> Iterator[tuple[datetime, datetime | None]]:
        """The first and the last of all times, and those beside `at`; each with when its window opens."""
        if self.report is not None:
            yield self.report, None
        if self.within is not None:
            yield self._window(start, 0)
        if self.repeat is not None:
            most = _OFTEN if self.until is None else self._repeats(start, self.until)
            done = self._repeats(start, at)
            for count in sorted({1, done, done + 1, most}):
                if 1 <= count <= most:
                    yield self._window(start, count)

    def _repeats(self, start: datetime, moment: datetime) -> int:
        """How many repeats are due by a moment. Their times never run backwards, so that halving finds it."""
        return bisect_right(range(1, _OFTEN), moment, key=lambda count: self._due(start, count))

    def _window(self, start: datetime, count: int) -> tuple[datetime, datetime | None]:
        """When the `count`-th repeat is due, and from when; of 0 the first."""
        due = self._due(start, count)
        opens = None if self.not_before is None else self._moved(self.not_before.after(start), count)
        return due, None if opens is None else min(opens, due)

    def _due(self, start: datetime, count: int) -> datetime:
        return self._moved(start if self.within is None else self.within.after(start), count)

    def _moved(self, moment: datetime, count: int) -> datetime:
        return self.repeat.times(count).after(moment) if self.repeat is not None and count else moment


@dataclass(frozen=True, slots=True)
class Start:
    """What starts a duty: an incident of one of the kinds `of`, from one of its moments; the opening of one of the
    exceptions `of`; or what a decision finds about the thresholds or actions `of`.
    """

    on: Starter
    of: tuple[str, ...] = ()
    moment: Moment = "event"


@dataclass(frozen=True, slots=True)
class Duty:
    """What is to be done, by whom, after what, within what; again every `repeat`; for a last time `after_resolved`.

    `not_before`: how long after the start at the earliest, so that `within` ends a window. `until_resolved`: what is
    repeated ends when the incident is resolved.
    """

    name: str
    what: str
    by: str
    start: Start
    within: Clock | None
    not_before: Clock | None = None
    repeat: Clock | None = None
    until_resolved: bool = False
    after_resolved: Clock | None = None
    report: str = ""
    notify: tuple[str, ...] = ()
    regime: str = ""
    modality: Literal["must", "will", "intends", "recommends"] = "must"
    sources: tuple[str, ...] = ()

    def schedule(self, resolved: datetime | None = None) -> Schedule:
        """When it is due, if what started it was resolved at that time; None: it is not, or cannot be."""
        repeats = self.repeat is not None and (not self.until_resolved or resolved is None)
        unreported = self.after_resolved is not None and resolved is None
        return Schedule(
            within=self.within,
            not_before=self.not_before,
            repeat=self.repeat,
            until=resolved if self.until_resolved else None,
            report=self.after_resolved.after(resolved) if self.after_resolved and resolved else None,
            endless=repeats or unreported,
        )


@dataclass(frozen=True, slots=True)
class Response:
    """What is done about a hold: one of `STOPS`, or somebody is told, when a finding or a requirement is so.

    `when`: finding states, `unmet:REQUIREMENT`, or nothing: whenever the threshold holds. `to`: the requirements that
    work turns to.
    """

    do: str
    when: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    within: Clock | None = None
    to: tuple[str, ...] = ()
    modality: Literal["must", "will", "intends", "recommends"] = "must"
    sources: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What is done, in a few words: the act, the requirements that work turns to, the roles that are told."""
        turned = f" to {', '.join(self.to)}" if self.to else ""
        told = f": {', '.join(self.notify)}" if self.notify else ""
        return f"{self.do}{turned}{told}"
