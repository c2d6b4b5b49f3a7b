"""When a duty is due, in words."""

from datetime import UTC, datetime

import pytest

from decide.cases import AT, ask, known, simple
from interlock.decide.decision import Started
from interlock.policy.duty import Clock, Schedule
from interlock.policy.time import Duration
from interlock.report import words

DAY, MONTH = Clock(Duration(0, 86400)), Clock(Duration(1, 0))
SINCE = datetime(2026, 3, 15, tzinfo=UTC)
TOLD = {  # sentence: (schedule, since, what is told before and after the duty)
    "no deadline": (Schedule(None), SINCE, "", "since 2026-03-15T00:00:00Z"),
    "from now on": (Schedule(DAY), None, "by 2026-06-02T00:00:00Z: ", "since 2026-06-01T00:00:00Z"),
    "a deadline that is past": (
        Schedule(MONTH), SINCE, "by 2026-04-15T00:00:00Z, which is past: ", "since 2026-03-15T00:00:00Z",
    ),
    "every month, in a window": (
        Schedule(MONTH, DAY, MONTH, endless=True), SINCE, "from 2026-05-16T00:00:00Z by 2026-06-15T00:00:00Z: ",
        "since 2026-03-15T00:00:00Z, first due 2026-04-15T00:00:00Z, previously due 2026-05-15T00:00:00Z",
    ),
    "twice, and now it is late": (
        Schedule(MONTH, repeat=MONTH, until=AT), SINCE, "by 2026-05-15T00:00:00Z, which is past: ",
        "since 2026-03-15T00:00:00Z, first due 2026-04-15T00:00:00Z",
    ),
    "a last report before the first is due": (
        Schedule(MONTH.times(4), report=datetime(2026, 6, 3, tzinfo=UTC)), SINCE, "by 2026-06-03T00:00:00Z: ",
        "since 2026-03-15T00:00:00Z, finally due 2026-07-15T00:00:00Z",
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", TOLD)
def test_when_a_duty_is_due(sentence):
    schedule, since, before, after = TOLD[sentence]
    begun = Started("tell", "tell the regulator", "leak of entry 1", since, schedule)
    decision = ask(known(), simple())
    told = words.starts(begun, decision)
    assert told == f"{before}tell the regulator (`tell`, for leak of entry 1, {after})"
