"""Duties as values: what a decision names, what somebody says was done, what runs, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interlock.policy.model import BINDING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from interlock.decide.facts import Signers

#: `lifted`: what a hold asked for, and the hold ended before it was due.
State = Literal["open", "done", "done late", "overdue", "lifted"]


@dataclass(frozen=True, slots=True)
class Begun:
    """A duty that a recorded decision names, under the version of the policy with the digest `policy`. `when` is that
    of the entry of `on_hold` whose answer it is.
    """

    duty: str
    what: str
    about: str
    policy: str
    since: datetime
    due: datetime | None
    when: tuple[str, ...] = ()


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
