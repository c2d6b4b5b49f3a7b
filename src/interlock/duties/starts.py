"""What starts duties, and until when each is asked for (docs/semantics.md, rules 47 to 49)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.duties.account import Begun, Cause, Decided, Running
from interlock.policy.duty import Schedule
from interlock.policy.model import BINDING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from interlock.decide.facts import Facts, Incident, Version
    from interlock.policy.duty import Duty, Response
    from interlock.policy.model import Policy

#: Of a duty that repeats, so many times are told: the latest.
MOST = 1000
#: What starts duties without any decision.
_WITHOUT = frozenset({"incident", "exception", "effective"})


@dataclass(slots=True)
class Ongoing:
    """Something that has started, and its clocks. It is asked for until `ended`; `entered`: nothing that was due before
    is asked for. `stop`: it lasts as long as the hold that asks for it.
    """

    duty: str
    what: str
    about: str
    policy: str
    cause: Cause
    by: Mapping[str, datetime]
    notify: tuple[str, ...]
    modality: str
    since: datetime
    schedule: Schedule
    resolved: datetime | None = None
    subject: str | None = None
    deployment: str | None = None
    to: tuple[str, ...] = ()
    stop: bool = False
    periodic: bool = False
    entered: datetime | None = None
    ended: datetime | None = None
    actions: set[str] = field(default_factory=set)

    def items(self, at: datetime) -> Iterator[Running]:
        """Each time at which it is to be done, up to the next one."""
        if max(self.since, self.entered or self.since) > at:
            return
        times = self.schedule.through(self.since, min(at, self.ended or at), most=MOST)
        if not times and self.schedule == Schedule(None):
            yield self._item(self.since, None)
        for opens, due in times:
            first = due == times[0][1] and not self.periodic
            superseded = self.ended is not None and due > self.ended and not first
            if not superseded and (self.entered is None or due >= self.entered):
                yield self._item(opens or self.resolved or self.since, due)

    def _item(self, opens: datetime, due: datetime | None) -> Running:
        return Running(
            digest=self._digest(due),
            duty=self.duty,
            what=self.what,
            about=self.about,
            cause=self.cause,
            subject=self.subject,
            deployment=self.deployment,
            by=self.by,
            notify=self.notify,
            to=self.to,
            modality=self.modality,
            since=self.since,
            opens=opens,
            due=due,
            lifted=self.ended if self.stop else None,
        )

    def _digest(self, due: datetime | None) -> str:
        import rfc8785

        named = {
            "duty": self.duty,
            "what": self.what,
            "about": self.about,
            "subject": self.subject,
            "deployment": self.deployment,
            "policy": self.policy,
            "started_by": self.cause.digest,
            "due": None if due is None else timestamp(due),
        }
        return sha256(rfc8785.dumps(named)).hexdigest()


def from_versions(versions: Sequence[Version]) -> Iterator[Ongoing]:
    """What starts when a version takes effect, and ends with it."""
    for place, version in enumerate(versions):
        later = next((max(it.since, it.entered) for it in versions[place + 1 :]), None)
        for duty in version.policy.duties.values():
            if duty.start.on == "effective":
                text = f"version {version.policy.version} of the policy"
                start = _of(versions, version, duty, "policy", Cause(version.entry, version.digest, text))
                since = version.policy.effective
                entered = max(version.since, version.entered)
                yield replace(start, since=since, periodic=True, entered=entered, ended=later)


def from_facts(versions: Sequence[Version], facts: Facts) -> Iterator[Ongoing]:
    """What incidents and openings of exceptions start, under the version in force when the ledger took them in."""
    for incident in facts.incidents:
        version = _in_force(versions, incident.at)
        for duty in version.policy.duties.values():
            moment = incident.moments.get(duty.start.moment)
            if duty.start.on == "incident" and incident.kind in duty.start.of and moment is not None:
                cause = Cause(incident.entry, incident.digest, f"incident `{incident.kind}`")
                about, resolved = f"{incident.kind} of entry {incident.entry}", _resolved(incident, facts)
                start = _of(versions, version, duty, about, cause)
                schedule = _until_told(duty.schedule(resolved), incident)
                yield replace(start, since=moment, schedule=schedule, resolved=resolved)
    for opened in facts.amendments:
        version = _in_force(versions, opened.at)
        for duty in version.policy.duties.values():
            if duty.start.on == "exception" and opened.exception in duty.start.of:
                cause = Cause(opened.entry, opened.digest, f"opening of `{opened.exception}`")
                start = _of(versions, version, duty, opened.exception, cause)
                yield replace(start, since=opened.at, subject=opened.subject)


def _resolved(incident: Incident, facts: Facts) -> datetime | None:
    resolved = incident.resolved
    return None if resolved is None or resolved > facts.checkpoint.time else resolved


def _until_told(schedule: Schedule, incident: Incident) -> Schedule:
    """What is repeated until an incident is resolved ends when the ledger is told so: a date in the past ends nothing
    that was due before that.
    """
    if schedule.until is None or incident.told_resolved is None:
        return schedule
    return replace(schedule, until=max(schedule.until, incident.told_resolved))


def _in_force(versions: Sequence[Version], at: datetime) -> Version:
    """The version in force at a time; the first one, before that takes effect."""
    return [versions[0], *(it for it in versions if max(it.since, it.entered) <= at)][-1]


def _of(versions: Sequence[Version], version: Version, duty: Duty, about: str, cause: Cause) -> Ongoing:
    """The start of a duty of the policy. Whom any version names for it may say that it was done, once it does."""
    by: dict[str, datetime] = {}
    for it in versions:
        if duty.name in it.policy.duties:
            by.setdefault(it.policy.duties[duty.name].by, it.entered)
    return Ongoing(
        duty=duty.name,
        what=duty.what,
        about=about,
        policy=version.digest,
        cause=cause,
        by=by,
        notify=duty.notify,
        modality=duty.modality,
        since=version.since,
        schedule=duty.schedule(),
    )


#: What is asked for once, however many actions and decisions ask for it.
_Key = tuple[str, str, str, str, str | None, tuple[str, ...]]


def from_decisions(versions: Sequence[Version], decisions: Sequence[Decided]) -> Iterator[Ongoing]:
    """What decisions start. It goes on while the latest decision on any action names it; named again after that, it
    starts again.
    """
    policies = {it.digest: it for it in versions}
    current: dict[_Key, Ongoing] = {}
    for decided in decisions:
        named: dict[_Key, Ongoing] = {}
        for begun in decided.begun:
            key, start = _named(versions, policies[begun.policy], decided, begun)
            if start is not None and (key not in named or _first(start) < _first(named[key])):
                named[key] = start
        yield from _ended(current, decided, named)
        for key, start in named.items():
            current.setdefault(key, start).actions.add(decided.action)
    yield from current.values()


def _first(start: Ongoing) -> tuple[bool, datetime]:
    """When it is due for the first time; without a time, last."""
    due = start.schedule.dues(start.since, start.since).first
    return due is None, due or start.since


def _ended(current: dict[_Key, Ongoing], decided: Decided, named: Mapping[_Key, Ongoing]) -> Iterator[Ongoing]:
    """What a decision on the same no longer names, and none on another action does."""
    asked = decided.subject, decided.deployment
    for key, start in list(current.items()):
        if key not in named and (start.subject, start.deployment) == asked and decided.action in start.actions:
            start.actions.remove(decided.action)
            if not start.actions:
                yield replace(current.pop(key), ended=decided.at)


def _named(
    versions: Sequence[Version], version: Version, decided: Decided, begun: Begun
) -> tuple[_Key, Ongoing | None]:
    """A duty that a decision names; None: it starts without one."""
    cause = Cause(decided.entry, decided.digest, f"decision on `{decided.action}`")
    duty = version.policy.duties.get(begun.duty)
    if duty is None:
        start = _answer(_response(version.policy, begun), begun, cause)
    else:
        start = _of(versions, version, duty, begun.about, cause)
    key = (begun.duty, begun.what, begun.about, decided.subject, decided.deployment, begun.when)
    if duty is not None and duty.start.on in _WITHOUT:
        return key, None
    return key, replace(start, since=begun.since, subject=decided.subject, deployment=decided.deployment)


def _answer(response: Response, begun: Begun, cause: Cause) -> Ongoing:
    """The start of an answer to a hold: the policy does not say whose it is."""
    return Ongoing(
        duty=begun.duty,
        what=begun.what,
        about=begun.about,
        policy=begun.policy,
        cause=cause,
        by={},
        notify=response.notify,
        modality=response.modality,
        since=begun.since,
        schedule=Schedule(response.within),
        to=response.to,
        stop=response.do != "notify",
    )


def _response(policy: Policy, begun: Begun) -> Response:
    """The entry of `on_hold` that a decision names: of several that say the same, one that binds."""
    fitting = answers(policy, begun)
    return next((it for it in fitting if it.modality in BINDING), fitting[0])


def answers(policy: Policy, begun: Begun) -> list[Response]:
    """The answers to a hold that a decision may mean: of that name, text and `when`, due at that time."""
    return [
        it
        for it in policy.on_hold.get(begun.about, ())
        if (f"on_hold.{begun.about}.{it.do}", it.what, it.when) == (begun.duty, begun.what, begun.when)
        and (it.within.after(begun.since) if it.within else None) == begun.due
    ]
