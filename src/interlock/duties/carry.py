"""Carry out what runs, by a playbook: tell whom the policy names, do what a hold asks for, record what was not in time.

Guarantees: a delivery that has arrived is not made again. What is known of each stands in `duties.json`, written whole
before it is made and after; a run that is killed in between makes it once more, with the same idempotency key. Nothing
is said in the ledger of what did not arrive.
"""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp
from interlock.duties.account import Told, urgency
from interlock.duties.channels import Undelivered, deliver
from interlock.duties.playbook import Command, Mail
from interlock.duties.record import say_done, say_overdue, speaker, who_says_done, who_says_overdue
from interlock.errors import EvidenceError, LedgerError, UsageError
from interlock.evidence import canonical
from interlock.workspace import now, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from interlock.duties.account import Account, Running
    from interlock.duties.playbook import Channel, Playbook
    from interlock.evidence.read import Evidence
    from interlock.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing to deliver for a duty: to a role, or (None) to do it. `key` says which one it is, for good."""

    item: Running
    role: str | None
    channel: Channel

    @property
    def key(self) -> str:
        """The idempotency key: another recipient, another address or another command is another delivery."""
        named = {"duty": self.item.digest, "role": self.role, "through": self.channel.kind, "where": self._where()}
        return sha256(canonical.dumps(named)).hexdigest()

    def _where(self) -> list[str]:
        channel = self.channel
        if isinstance(channel, Command):
            return list(channel.argv)
        return [channel.to if isinstance(channel, Mail) else channel.url]

    @property
    def text(self) -> str:
        """What it is, in a line."""
        return f"`{self.item.duty}` {self.item.digest[:12]}: " + (
            f"{self.role} by {self.channel.text}" if self.role else self.channel.text
        )


@dataclass(slots=True)
class Outcome:
    """What a run did, each in words: delivered, recorded in the ledger, left to people; and what failed."""

    delivered: list[str] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `sleep` waits so many seconds; `by` is the role that signs, where it is not the one that the policy
    names; without a playbook nothing is carried out, and what is overdue is recorded.
    """

    workspace: Workspace
    playbook: Playbook | None
    sleep: Callable[[float], None]
    by: str | None = None

    def go(self) -> tuple[Outcome, Account]:
        """Record what is overdue, carry out what is open, record what was carried out; and how all duties stand then.

        Raises:
            UsageError: another run is under way, or what is known of deliveries cannot be read.
            EvidenceError, LedgerError: the ledger cannot be relied on.
        """
        outcome = Outcome()
        with _alone(self.workspace.folder):
            evidence = self.workspace.read()
            account = evidence.duties(evidence.facts.checkpoint.time)
            for item in account.duties:
                if item.lapsed and item.lapse is None:
                    self._overdue(evidence, item, outcome)
            log = _Log.read(self.workspace.folder / "duties.json")
            for item in sorted(account.duties, key=urgency):  # what is slow must not make others late
                if item.waits and item.opens <= evidence.facts.checkpoint.time:
                    self._carry_out(evidence, item, log, outcome)
        evidence = self.workspace.read()
        return outcome, evidence.duties(evidence.facts.checkpoint.time)

    def _overdue(self, evidence: Evidence, item: Running, outcome: Outcome) -> None:
        due = timestamp(item.due) if item.due else ""
        try:
            signing = speaker(self.workspace, evidence, who_says_overdue(evidence, item, self.by))
            say_overdue(self.workspace, evidence, item, signing, text="recorded by interlock duties run")
        except (UsageError, EvidenceError, LedgerError) as error:
            outcome.failed.append(f"`{item.duty}` {item.digest[:12]} was due {due}, which cannot be recorded: {error}")
            return
        outcome.recorded.append(f"`{item.duty}` {item.digest[:12]} was not done by {due}, says `{signing.role}`")

    def _carry_out(self, evidence: Evidence, item: Running, log: _Log, outcome: Outcome) -> None:
        deliveries, notification, left = _planned(self.playbook, item)
        outcome.left += [f"`{item.duty}` {item.digest[:12]}: {why}" for why in left]
        arrived = [self._deliver(evidence, it, log, outcome) for it in deliveries]
        if notification and not left and arrived and all(arrived):
            told = [Told(it.role, it.channel.kind, log.arrived(it.key)) for it in deliveries if it.role]
            self._done(evidence, item, list(dict.fromkeys(told)), outcome)

    def _deliver(self, evidence: Evidence, it: Delivery, log: _Log, outcome: Outcome) -> bool:
        """Make a delivery that has not arrived yet. Says whether it has now."""
        assert self.playbook is not None  # noqa: S101  without one nothing is planned
        if log.has_arrived(it.key):
            return True
        log.write(it, "sending")
        # Crash point: killed from here on, the next run makes the delivery again, with the same key.
        waits = self.playbook.retry.waits()
        while True:
            try:
                deliver(it.channel, _told(evidence, it), key=it.key, playbook=self.playbook)
                break
            except Undelivered as error:
                wait = None if error.final else next(waits, None)
                if wait is None:
                    outcome.failed.append(f"{it.text}: {error}")
                    return False
                self.sleep(wait)
        log.write(it, "arrived")
        outcome.delivered.append(it.text)
        return True

    def _done(self, evidence: Evidence, item: Running, told: list[Told], outcome: Outcome) -> None:
        when = max([item.opens, *(it.at for it in told)] if told else [now()])
        try:
            signing = speaker(self.workspace, evidence, who_says_done(evidence, item, self._speaks_for(item)))
        except UsageError as error:
            outcome.left.append(f"`{item.duty}` {item.digest[:12]}: all are told, which is not on record: {error}")
            return
        text = "carried out by interlock duties run"
        try:
            say_done(self.workspace, evidence, item, signing, done=when, text=text, told=told)
        except (EvidenceError, LedgerError) as error:
            outcome.failed.append(f"`{item.duty}` {item.digest[:12]} was done, which cannot be recorded: {error}")
            return
        outcome.recorded.append(f"`{item.duty}` {item.digest[:12]} was done, says `{signing.role}`")

    def _speaks_for(self, item: Running) -> str | None:
        return None if item.by and self.by not in item.by else self.by


def _planned(playbook: Playbook | None, item: Running) -> tuple[list[Delivery], bool, list[str]]:
    """What is to be delivered for a duty; whether it is done by that; and what the playbook says nothing about.

    An answer to a hold tells those whom it names. A duty of the policy does so where the playbook calls it one of
    telling: of a report that is due in half a year, nobody is told today.
    """
    if playbook is None:
        return [], False, []
    answer = item.duty.startswith("on_hold.")
    act = playbook.acts.get(item.does)
    notification = item.does == "notify" if answer else act is not None and act.notification
    roles = item.notify if answer or notification else ()
    left = [f"the playbook does not say how to tell `{role}`" for role in roles if role not in playbook.tell]
    if act is None and not notification:
        left.append(f"the playbook does not say how to do it: {item.what}")
    doing = [Delivery(item, None, act.command)] if act is not None and act.command is not None else []
    telling = [Delivery(item, role, it) for role in roles for it in playbook.tell.get(role, ())]
    return [*doing, *telling], notification, left


def _told(evidence: Evidence, it: Delivery) -> dict[str, Any]:
    """What is delivered, as JSON."""
    item, subjects = it.item, evidence.facts.subjects
    subject = subjects.get(item.subject or "")
    return {
        "interlock": "duty/v1",
        "id": item.digest,
        "duty": item.duty,
        "what": item.what,
        "about": item.about,
        "to": list(item.to),
        "subject": None if subject is None else {"name": subject.name, "digest": subject.digest},
        "deployment": item.deployment,
        "role": it.role,
        "started_by": {"entry": item.cause.entry, "what": item.cause.text, "since": timestamp(item.since)},
        "due": None if item.due is None else timestamp(item.due),
        "state": item.state,
        "binding": item.binding,
        "policy": {"id": evidence.policy.id, "digest": evidence.policy_digest},
    }


# -- what is known of deliveries ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Log:
    """What is known of each delivery, by its key."""

    path: Path
    known: dict[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path) -> _Log:
        """Raises:
        UsageError: the file is there, and cannot be read: what has arrived would be sent again.
        """
        try:
            known = json.loads(path.read_bytes()) if path.exists() else {}
            fine = isinstance(known, dict) and all(_is_known(it) for it in known.values())
        except ValueError:
            fine = False
        if not fine:
            raise UsageError(
                f"`{path}` cannot be read: expected the state of each delivery; without it all are made again"
            )
        return cls(path, known)

    def has_arrived(self, key: str) -> bool:
        return self.known.get(key, {}).get("state") == "arrived"

    def arrived(self, key: str) -> datetime:
        return datetime.fromisoformat(self.known[key]["at"]).astimezone(UTC)

    def write(self, it: Delivery, state: str) -> None:
        self.known[it.key] = {
            "state": state,
            "at": timestamp(now()),
            "duty": it.item.digest,
            "role": it.role or "",
            "through": it.channel.kind,
        }
        write_whole(self.path, json.dumps(self.known, indent=2, sort_keys=True).encode() + b"\n")


def _is_known(value: object) -> bool:
    if not isinstance(value, dict) or value.get("state") not in {"sending", "arrived"}:
        return False
    try:
        return datetime.fromisoformat(value["at"]).tzinfo is not None
    except (KeyError, TypeError, ValueError):
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One run at a time: two would make the same delivery.

    Raises:
        UsageError: another one is under way.
    """
    with (folder / ".duties.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("another `interlock duties run` is under way in this workspace") from None
        yield
