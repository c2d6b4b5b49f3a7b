"""Duties: what must be done by a time, started by an event.

A duty says what starts its clocks; `Clock.after` gives the moment by which it is to be done. Business days are Monday
to Friday of the duty's zone, less the holidays that it lists; a deadline in business days ends with its last day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from interlock.policy.time import LATEST, Duration

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


@dataclass(frozen=True, slots=True)
class Clock:
    """How long: a `Duration`, or `business_days` of `zone` without its `holidays`."""

    length: Duration | None = None
    business_days: int = 0
    zone: str = "UTC"
    holidays: tuple[date, ...] = ()

    def after(self, start: datetime) -> datetime:
        """The deadline, in UTC. Business days are counted after the day of `start`, to the end of the last one.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: the zone is not known here.
        """
        if self.length is not None:
            return self.length.after(start)
        zone = ZoneInfo(self.zone)
        day, left = start.astimezone(zone).date(), self.business_days
        while left:
            if day >= LATEST.date() - timedelta(days=1):
                return LATEST
            day += timedelta(days=1)
            left -= day.weekday() < 5 and day not in self.holidays
        return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC) - timedelta(seconds=1)


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
    """What is to be done, by whom, after what, within what; again every `repeat` until the incident is resolved.

    `not_before`: how long after the start at the earliest, so that `within` ends a window.
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
