"""When duties are due (docs/semantics.md, rules 45 and 46)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.policy.duty import Clock, Dues, Duty, Schedule, Start
from interlock.policy.time import LATEST, Duration

HOUR, DAY, WEEK = (Clock(Duration(0, seconds)) for seconds in (3600, 86400, 7 * 86400))
SECOND, MONTH, QUARTER = Clock(Duration(0, 1)), Clock(Duration(1, 0)), Clock(Duration(3, 0))
CHRISTMAS = (date(2026, 12, 25), date(2026, 12, 26), date(2026, 12, 28))


def moment(text):
    """A time, at midnight where it says none."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(number, zone="UTC", holidays=()):
    """Business days."""
    return Clock(business_days=number, zone=zone, holidays=tuple(holidays))


CLOCKS = {  # sentence: (the clock, from, to)
    "a month": (MONTH, "2026-03-15T10:30", "2026-04-15T10:30"),
    "a month that lacks the day": (MONTH, "2027-01-31T10:30", "2027-02-28T10:30"),
    "a month that lacks the day in a leap year": (MONTH, "2028-01-31", "2028-02-29"),
    "two months at once": (MONTH.times(2), "2027-01-31", "2027-03-31"),
    "a year from a leap day": (MONTH.times(12), "2028-02-29", "2029-02-28"),
    "months come before seconds": (Clock(Duration(1, 86400)), "2027-01-31", "2027-03-01"),
    "days are of 24 hours where the clocks change": (DAY.times(2), "2026-03-28T22:30", "2026-03-30T22:30"),
    "a length past the calendar": (MONTH.times(10**6), "2026-01-01", "9999-12-31T23:59:59"),
    "seconds past the calendar": (SECOND.times(10**18), "2026-01-01", "9999-12-31T23:59:59"),
    "the next day": (days(1), "2026-12-10T10:30", "2026-12-11T23:59:59"),
    "from a Friday": (days(1), "2026-12-11T10:30", "2026-12-14T23:59:59"),
    "from a Saturday": (days(1), "2026-12-12", "2026-12-14T23:59:59"),
    "from a Sunday": (days(6), "2026-12-13", "2026-12-21T23:59:59"),
    "past holidays, of which one is a Saturday": (days(2, holidays=CHRISTMAS), "2026-12-24", "2026-12-30T23:59:59"),
    "up to the day before a holiday": (days(1, holidays=CHRISTMAS), "2026-12-23", "2026-12-24T23:59:59"),
    "a holiday that is over": (days(1, holidays=CHRISTMAS), "2026-12-29", "2026-12-30T23:59:59"),
    "a holiday on the day itself": (days(1, holidays=CHRISTMAS), "2026-12-28", "2026-12-29T23:59:59"),
    "a holiday told twice": (days(1, holidays=CHRISTMAS[:1] * 2), "2026-12-24", "2026-12-28T23:59:59"),
    "in a zone it is a day later": (days(1, "Europe/Brussels"), "2026-12-10T23:30", "2026-12-14T22:59:59"),
    "in a zone it is a day earlier": (days(1, "America/Los_Angeles"), "2026-12-11T03:00", "2026-12-12T07:59:59"),
    "in summer time": (days(1, "Europe/Brussels"), "2026-06-10", "2026-06-11T21:59:59"),
    "over a change of the clocks": (days(1, "Europe/Brussels"), "2026-03-27", "2026-03-30T21:59:59"),
    "to a midnight that does not exist": (days(1, "Africa/Cairo"), "2025-04-23", "2025-04-24T21:59:59"),
    "to a midnight that comes twice": (days(1, "Asia/Jerusalem"), "2004-09-20T12:00", "2004-09-21T20:59:59"),
    "to a day that the zone skips": (days(1, "Pacific/Apia"), "2011-12-29T12:00", "2011-12-30T09:59:59"),
    "past a day that the zone skips": (days(2, "Pacific/Apia"), "2011-12-29T12:00", "2012-01-02T09:59:59"),
    "two times three days": (days(3).times(2), "2026-12-10", "2026-12-18T23:59:59"),
    "past the last day": (days(1), "9999-12-30", "9999-12-31T23:59:59"),
    "far past the last day": (days(10**12), "2026-01-01", "9999-12-31T23:59:59"),
    "from the last day, in the east": (days(1, "Asia/Tokyo"), "9999-12-31T23:00", "9999-12-31T23:59:59"),
    "from the first day, in the west": (days(1, "America/Los_Angeles"), "0001-01-01T00:00", "0001-01-03T07:52:57"),
}


@pytest.mark.parametrize("sentence", CLOCKS)
def test_how_long_a_clock_runs(sentence):
    clock, start, end = CLOCKS[sentence]
    assert clock.after(moment(start)) == moment(end)


ZONES = st.sampled_from(["UTC", "Europe/Brussels", "America/Los_Angeles", "Pacific/Apia", "Asia/Kathmandu"])
STARTS = st.builds(  # within a few months, so that holidays are near, before and after
    lambda day, seconds: datetime.combine(day, time(), UTC) + timedelta(seconds=seconds),
    st.dates(date(2026, 9, 1), date(2027, 3, 31)),
    st.integers(0, 86399),
)
HOLIDAYS = st.lists(st.dates(date(2026, 9, 1), date(2027, 6, 1)), max_size=40).map(tuple)
WORKING = st.builds(Clock, st.none(), st.integers(1, 40), ZONES, HOLIDAYS)
LENGTHS = st.builds(Duration, st.integers(0, 5), st.integers(0, 40 * 86400)).filter(lambda it: it.months or it.seconds)
REPEATS = st.builds(Duration, st.integers(0, 5), st.integers(86400, 90 * 86400)).map(Clock) | WORKING
CLOCK = LENGTHS.map(Clock) | WORKING


def one_by_one(clock, start):
    """Business days as one counts them at a calendar."""
    zone = ZoneInfo(clock.zone)
    day, left = start.astimezone(zone).date(), clock.business_days
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5 and day not in clock.holidays
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC) - timedelta(seconds=1)


@given(clock=WORKING, start=STARTS)
@example(clock=days(1, holidays=[date(2026, 12, 14)]), start=moment("2026-12-12"))
def test_business_days_are_counted_as_at_a_calendar(clock, start):
    assert clock.after(start) == one_by_one(clock, start)


# -- schedules ---------------------------------------------------------------------------------------------------------

NOTHING = Dues(None, None, None, None, None)


def dues(**told):
    """What is told, by name; of what is left out nothing is."""
    return Dues(**{**dict.fromkeys(("first", "previous", "opens", "next", "final")), **told})


def at(**told):
    return dues(**{name: moment(text) for name, text in told.items()})


START = "2026-01-31T12:00"
SCHEDULES = {  # sentence: (the schedule, at, what is told)
    "nothing is due": (Schedule(None), "2026-06-01", NOTHING),
    "once, not yet": (
        Schedule(DAY), "2026-01-31T12:00",
        at(first="2026-02-01T12:00", next="2026-02-01T12:00", final="2026-02-01T12:00"),
    ),
    "once, just now": (
        Schedule(DAY), "2026-02-01T12:00",
        at(first="2026-02-01T12:00", previous="2026-02-01T12:00", final="2026-02-01T12:00"),
    ),
    "a window": (
        Schedule(MONTH, DAY), "2026-02-02",
        at(first="2026-02-28T12:00", next="2026-02-28T12:00", final="2026-02-28T12:00", opens="2026-02-01T12:00"),
    ),
    "every quarter, in December": (
        Schedule(QUARTER, repeat=QUARTER, endless=True), "2026-12-10",
        at(first="2026-04-30T12:00", previous="2026-10-30T12:00", next="2027-01-30T12:00"),
    ),
    "every quarter, without a first time": (
        Schedule(None, repeat=QUARTER, endless=True), "2026-12-10",
        at(first="2026-04-30T12:00", previous="2026-10-31T12:00", next="2027-01-31T12:00"),
    ),
    "every quarter in a window, before the first time": (
        Schedule(QUARTER, MONTH, QUARTER, endless=True), "2026-02-01",
        at(first="2026-04-30T12:00", next="2026-04-30T12:00", opens="2026-02-28T12:00"),
    ),
    "every quarter in a window, in December": (
        Schedule(QUARTER, MONTH, QUARTER, endless=True), "2026-12-10",
        at(first="2026-04-30T12:00", previous="2026-10-30T12:00", next="2027-01-30T12:00", opens="2026-11-28T12:00"),
    ),
    "a window does not open after it ends": (
        Schedule(days(1), WEEK), "2026-02-01",
        at(first="2026-02-02T23:59:59", next="2026-02-02T23:59:59", final="2026-02-02T23:59:59",
           opens="2026-02-02T23:59:59"),
    ),
    "every week until it is resolved between two times": (
        Schedule(DAY, repeat=WEEK, until=moment("2026-02-20")), "2026-12-10",
        at(first="2026-02-01T12:00", previous="2026-02-15T12:00", final="2026-02-15T12:00"),
    ),
    "every week until it is resolved at one of the times": (
        Schedule(DAY, repeat=WEEK, until=moment("2026-02-22T12:00")), "2026-02-20",
        at(first="2026-02-01T12:00", previous="2026-02-15T12:00", next="2026-02-22T12:00", final="2026-02-22T12:00"),
    ),
    "resolved before the first time, which is due nevertheless": (
        Schedule(DAY, repeat=WEEK, until=moment("2026-01-31T13:00")), "2026-01-31T14:00",
        at(first="2026-02-01T12:00", next="2026-02-01T12:00", final="2026-02-01T12:00"),
    ),
    "resolved before any repeat, and nothing else is due": (
        Schedule(None, repeat=WEEK, until=moment("2026-02-01")), "2026-02-02", NOTHING,
    ),
    "a last report": (
        Schedule(DAY, report=moment("2026-03-01")), "2026-02-10",
        at(first="2026-02-01T12:00", previous="2026-02-01T12:00", next="2026-03-01", final="2026-03-01"),
    ),
    "a last report before the first is due": (
        Schedule(WEEK, DAY, report=moment("2026-02-02")), "2026-02-01T12:00",
        at(first="2026-02-02", next="2026-02-02", final="2026-02-07T12:00"),
    ),
    "every second for ten years": (
        Schedule(SECOND, repeat=SECOND, endless=True), "2036-01-31T12:00",
        at(first="2026-01-31T12:00:01", previous="2036-01-31T12:00", next="2036-01-31T12:00:01"),
    ),
    "every second until the end of the calendar": (
        Schedule(SECOND, repeat=SECOND, until=LATEST), "2036-01-31T12:00",
        at(first="2026-01-31T12:00:01", previous="2036-01-31T12:00", next="2036-01-31T12:00:01",
           final="9999-12-31T23:59:59"),
    ),
    "every business day for eight thousand years": (
        Schedule(days(1), repeat=days(1, "Europe/Brussels", CHRISTMAS), endless=True), "9999-12-30T12:00",
        at(first="2026-02-02T23:59:59", previous="9999-12-29T22:59:59", next="9999-12-30T22:59:59"),
    ),
    "at the end of the calendar nothing follows": (
        Schedule(DAY, repeat=DAY, endless=True), "9999-12-31T23:59:59",
        at(first="2026-02-01T12:00", previous="9999-12-31T23:59:59"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", SCHEDULES)
def test_what_is_told_of_a_schedule(sentence):
    schedule, now, told = SCHEDULES[sentence]
    assert schedule.dues(moment(START), moment(now)) == told


def test_a_repeat_in_no_time_ends():
    """No file can say this."""
    schedule = Schedule(None, repeat=Clock(Duration(0, 0)), endless=True)
    assert schedule.dues(LATEST, LATEST) == dues(first=LATEST, previous=LATEST)


def every_time(schedule, start, end):
    """Each time until `end`, and the next one, one after the other."""
    base = start if schedule.within is None else schedule.within.after(start)
    opens = None if schedule.not_before is None else schedule.not_before.after(start)
    found = {} if schedule.within is None else {base: opens and min(opens, base)}
    for number in count(1) if schedule.repeat else ():
        again = schedule.repeat.times(number)
        due = again.after(base)
        if schedule.until is not None and due > schedule.until:
            break
        found[due] = opens and min(again.after(opens), due)
        if due > end:
            break
    return {**({schedule.report: None} if schedule.report else {}), **found}


@given(
    within=st.none() | CLOCK,
    not_before=st.none() | CLOCK,
    repeat=st.none() | REPEATS,
    resolved=st.none() | STARTS,
    report=st.none() | CLOCK,
    until=st.booleans(),
    start=STARTS,
    later=st.timedeltas(timedelta(), timedelta(days=1000)),
)
def test_what_is_told_is_what_counting_finds(within, not_before, repeat, resolved, report, until, start, later):
    clocks = {"not_before": not_before if within else None, "repeat": repeat, "after_resolved": report}
    duty = Duty("d", "do", "role", Start("incident", ("leak",)), within, until_resolved=until, **clocks)
    now = start + timedelta(seconds=later // timedelta(seconds=1))
    schedule = duty.schedule(resolved)
    found = every_time(schedule, start, max(now, resolved or now))
    told = schedule.dues(start, now)
    assert told.first == min(found, default=None)
    assert told.previous == max((due for due in found if due <= now), default=None)
    assert told.next == min((due for due in found if due > now), default=None)
    assert told.opens == (found[told.next] if told.next else None)
    more = (repeat and not (until and resolved)) or (report and not resolved)
    assert told.final == (None if more else max(found, default=None))
    through = schedule.through(start, now, most=10**9)
    told_times = sorted({due for due in found if due <= now} | ({told.next} if told.next else set()))
    assert sorted({due for _, due in through}) == told_times
    assert [due for _, due in through] == sorted(due for _, due in through)
    assert schedule.through(start, now, most=3)[-3:] == through[-3:]


BEGINS = {  # sentence: (schedule, from when each time can be done)
    "from the start": (Schedule(DAY), ["2026-01-31T12:00"]),
    "from the time before": (Schedule(DAY, repeat=WEEK), ["2026-01-31T12:00", "2026-02-01T12:00", "2026-02-08T12:00"]),
    "without a first time": (Schedule(None, repeat=WEEK), ["2026-01-31T12:00", "2026-02-07T12:00"]),
    "from the opening of a window": (Schedule(WEEK, DAY, WEEK), ["2026-02-01T12:00", "2026-02-08T12:00"]),
    "a report, of which the caller knows": (Schedule(DAY, report=moment("2026-02-03")), ["2026-01-31T12:00", None]),
}


@pytest.mark.parametrize("sentence", BEGINS)
def test_from_when_each_time_can_be_done(sentence):
    schedule, expected = BEGINS[sentence]
    found = schedule.through(moment(START), moment("2026-02-09"), most=9)
    assert [begins for begins, _ in found][: len(expected)] == [it and moment(it) for it in expected]


RESOLVED = moment("2026-02-20")
DUTIES = {  # sentence: (fields of the duty, resolved, its schedule)
    "once": ({}, None, Schedule(DAY)),
    "again and again": ({"repeat": WEEK}, None, Schedule(DAY, repeat=WEEK, endless=True)),
    "again and again, also when it is resolved": (
        {"repeat": WEEK}, RESOLVED, Schedule(DAY, repeat=WEEK, endless=True),
    ),
    "until it is resolved, and it is not": (
        {"repeat": WEEK, "until_resolved": True}, None, Schedule(DAY, repeat=WEEK, endless=True),
    ),
    "until it is resolved, and it is": (
        {"repeat": WEEK, "until_resolved": True}, RESOLVED, Schedule(DAY, repeat=WEEK, until=RESOLVED),
    ),
    "a last report, and it is not resolved": ({"after_resolved": DAY}, None, Schedule(DAY, endless=True)),
    "a last report": ({"after_resolved": DAY}, RESOLVED, Schedule(DAY, report=moment("2026-02-21"))),
    "a window": ({"not_before": HOUR}, None, Schedule(DAY, HOUR)),
}  # fmt: skip


@pytest.mark.parametrize("sentence", DUTIES)
def test_the_schedule_of_a_duty(sentence):
    fields, resolved, schedule = DUTIES[sentence]
    assert Duty("d", "do", "role", Start("incident", ("leak",)), DAY, **fields).schedule(resolved) == schedule
