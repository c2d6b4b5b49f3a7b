"""The time of a decision, and how long the same answer lasts.

Every comparison of the decision's time with another moment goes through one `Clock`, which keeps the window around the
time in which all of them come out alike. Within it nothing else can change, since nothing else is read.
"""

from __future__ import annotations

from datetime import UTC, datetime

from interlock.decide.facts import BEGINNING

_NEVER = datetime.max.replace(tzinfo=UTC)


class Clock:
    """`at`, and the window [`since`, `until`) in which every comparison made so far gives the same."""

    __slots__ = ("at", "since", "until")

    def __init__(self, at: datetime) -> None:
        self.at, self.since, self.until = at, BEGINNING, _NEVER

    def passed(self, moment: datetime) -> bool:
        """Whether `moment` <= `at`."""
        if moment <= self.at:
            self.since = max(self.since, moment)
            return True
        self.until = min(self.until, moment)
        return False
