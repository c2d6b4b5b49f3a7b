"""Duties that run: what started each, by when it must be done, and whether it was (docs/semantics.md, rules 47 to 50).

Guarantees: a function of what the ledger says and of a time, with no clock and no files. A deadline is kept or missed
by ledger time: by when a statement that a duty was done stood in the ledger, whatever date it gives. A statement that
does not count is told with the reason, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from interlock.decide.decision import timestamp
from interlock.policy.duty import Clock, Schedule
from interlock.policy.model import BINDING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from interlock.decide.facts import Facts, Incident, Signers, Version
    from interlock.policy.duty import Duty, Response
    from interlock.policy.model import Policy

#: `lifted`: what a hold asked for, and the hold ended before it was due.
State = Literal["open", "done", "done late", "overdue", "lifted"]
#: Of a duty that repeats, so many times are told: the latest.
MOST = 1000
#: What starts duties without any decision.
_WITHOUT = frozenset({"incident", "exception", "effective"})


@dataclass(frozen=True, slots=True)
class Begun:
    """A duty that a recorded decision names, under the version of the policy with the digest `policy`."""

    duty: str
    what: str
    about: str
    policy: str
    since: datetime
    due: datetime | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as it stands in the ledger, as far as duties start or end with it. `at` is its ledger time."""

    entry: int
    digest: str
    subject: str
    deployment: str | None
    action: str
    at: datetime
    begun: tuple[Begun, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """Who was told of something, through what, and when that was delivered."""

    role: str
    through: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """Somebody's word that a duty was done: `of` which one (a digest), about a subject or (None) the developer.

    `done` is when it says that it was, `at` its ledger time, `document` the SHA-256 of what shows it.
    """

    entry: int
    of: str
    duty: str
    about: str | None
    done: datetime
    signers: Signers
    at: datetime
    document: str | None = None
    told: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """What started a duty: an entry of the ledger, its statement's digest, and what it is in words."""

    entry: int
    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class Running:
    """One thing to be done by one time (None: no time is set). `digest` names it for good.

    `by` are the roles that may say that it was done, each from the ledger time on from which a version names it; none:
    any role may. `to` are the requirements that work turns to. It can be done from `opens` on. `lifted` is when a later
    decision no longer asked for it.
    """

    digest: str
    duty: str
    what: str
    about: str
    cause: Cause
    subject: str | None
    deployment: str | None
    by: Mapping[str, datetime]
    notify: tuple[str, ...]
    to: tuple[str, ...]
    modality: str
    since: datetime
    opens: datetime
    due: datetime | None
    state: State = "open"
    lifted: datetime | None = None
    answer: Done | None = None
    lapse: int | None = None

    @property
    def binding(self) -> bool:
        """Whether the policy binds itself: `must` or `will`. What it `intends` or `recommends` is never a lapse."""
        return self.modality in BINDING

    @property
    def waits(self) -> bool:
        """Whether it is still to be done."""
        return self.state in {"open", "overdue"}

    @property
    def lapsed(self) -> bool:
        """Whether a binding deadline has passed without it."""
        return self.binding and self.state in {"overdue", "done late"}

    @property
    def does(self) -> str:
        """What a playbook calls it: what an answer to a hold does, or the duty's name."""
        return self.duty.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A statement that a duty was done, which counts as nothing, and why."""

    entry: int
    duty: str
    why: str


@dataclass(frozen=True, slots=True)
class Account:
    """Every duty that the ledger has started, in the order of what started them; and what does not count."""

    duties: tuple[Running, ...]
    ignored: tuple[Ignored, ...]

    def find(self, digest: str) -> Running | None:
        """The duty with this digest."""
        return next((it for it in self.duties if it.digest == digest), None)


def urgency(item: Running) -> tuple[bool, datetime]:
    """The order in which duties are to be done: by when they are due; those without a time are last."""
    return item.due is None, item.due or item.since


def running(
    versions: Sequence[Version], facts: Facts, decisions: Sequence[Decided], done: Sequence[Done], *, at: datetime
) -> Account:
    """Every duty that has started, as it stands at a time, by what the ledger says.

    `versions` are those of one policy, in their order; decisions and statements stand in the order of their entries.
    """
    starts = [*_from_versions(versions), *_from_facts(versions, facts), *_from_decisions(versions, decisions)]
    starts.sort(key=lambda it: it.cause.entry)
    found = {item.digest: item for start in starts for item in start.items(at)}
    words, ignored = _words(found, done)
    lapses = {it.of: it.entry for it in facts.lapses}
    told = (_stands(item, words.get(item.digest), lapses.get(item.digest), at) for item in found.values())
    return Account(tuple(told), tuple(ignored))


def _stands(item: Running, answer: Done | None, lapse: int | None, at: datetime) -> Running:
    """A duty with its state."""
    late = item.due is not None and (answer.at if answer else at) > item.due
    if answer is not None:
        state: State = "done late" if late else "done"
    elif item.lifted is not None and (item.due is None or item.lifted <= item.due):
        state = "lifted"
    else:
        state = "overdue" if late else "open"
    return replace(item, state=state, answer=answer, lapse=lapse)


# -- who says that it was done -----------------------------------------------------------------------------------------


def _words(found: Mapping[str, Running], done: Sequence[Done]) -> tuple[dict[str, Done], list[Ignored]]:
    """The first statement that counts, for each duty; and those that do not count."""
    counted, ignored = dict[str, Done](), list[Ignored]()
    for word in done:
        why = _against(found.get(word.of), word)
        if why:
            ignored.append(Ignored(word.entry, word.duty, why))
        else:
            counted.setdefault(word.of, word)
    return counted, ignored


def _against(item: Running | None, word: Done) -> str:
    """Why a statement does not show that a duty was done; nothing, if it does."""
    if item is None or word.entry <= item.cause.entry:
        return f"no duty {word.of[:12]} had started"
    if (word.duty, word.about) != (item.duty, item.subject):
        return f"it is about `{word.duty}` of another, expected `{item.duty}` of what that is about"
    if item.by and not any(role in word.signers and named <= word.at for role, named in item.by.items()):
        expected = " or ".join(f"`{role}`" for role in item.by)
        return f"signed by {', '.join(sorted(word.signers))}, expected {expected}"
    if word.done < item.opens:
        return f"done {timestamp(word.done)}, before it could be: from {timestamp(item.opens)} on"
    return ""


# -- what starts them --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Start:
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


def _from_versions(versions: Sequence[Version]) -> Iterator[_Start]:
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


def _from_facts(versions: Sequence[Version], facts: Facts) -> Iterator[_Start]:
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


def _of(versions: Sequence[Version], version: Version, duty: Duty, about: str, cause: Cause) -> _Start:
    """The start of a duty of the policy. Whom any version names for it may say that it was done, once it does."""
    by: dict[str, datetime] = {}
    for it in versions:
        if duty.name in it.policy.duties:
            by.setdefault(it.policy.duties[duty.name].by, it.entered)
    return _Start(
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
_Key = tuple[str, str, str, str, str | None, Clock | None]


def _from_decisions(versions: Sequence[Version], decisions: Sequence[Decided]) -> Iterator[_Start]:
    """What decisions start. It goes on while the latest decision on any action names it; named again after that, it
    starts again.
    """
    policies = {it.digest: it for it in versions}
    current: dict[_Key, _Start] = {}
    for decided in decisions:
        named: dict[_Key, _Start] = {}
        for begun in decided.begun:
            key, start = _named(versions, policies[begun.policy], decided, begun)
            if start is not None:
                named.setdefault(key, start)
        yield from _ended(current, decided, named)
        for key, start in named.items():
            current.setdefault(key, start).actions.add(decided.action)
    yield from current.values()


def _ended(current: dict[_Key, _Start], decided: Decided, named: Mapping[_Key, _Start]) -> Iterator[_Start]:
    """What a decision on the same no longer names, and none on another action does."""
    asked = decided.subject, decided.deployment
    for key, start in list(current.items()):
        if key not in named and (start.subject, start.deployment) == asked and decided.action in start.actions:
            start.actions.remove(decided.action)
            if not start.actions:
                yield replace(current.pop(key), ended=decided.at)


def _named(versions: Sequence[Version], version: Version, decided: Decided, begun: Begun) -> tuple[_Key, _Start | None]:
    """A duty that a decision names; None: it starts without one."""
    cause = Cause(decided.entry, decided.digest, f"decision on `{decided.action}`")
    duty, within = version.policy.duties.get(begun.duty), None
    if duty is None:
        response = _response(version.policy, begun)
        within, start = response.within, _answer(response, begun, cause)
    else:
        start = _of(versions, version, duty, begun.about, cause)
    key = (begun.duty, begun.what, begun.about, decided.subject, decided.deployment, within)
    if duty is not None and duty.start.on in _WITHOUT:
        return key, None
    return key, replace(start, since=begun.since, subject=decided.subject, deployment=decided.deployment)


def _answer(response: Response, begun: Begun, cause: Cause) -> _Start:
    """The start of an answer to a hold: the policy does not say whose it is."""
    return _Start(
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
    """The answers to a hold that a decision may mean: of that name and text, due at that time. None: it made it up."""
    return [
        it
        for it in policy.on_hold.get(begun.about, ())
        if (f"on_hold.{begun.about}.{it.do}", it.what) == (begun.duty, begun.what)
        and (it.within.after(begun.since) if it.within else None) == begun.due
    ]
