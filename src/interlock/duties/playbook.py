"""A playbook: how a developer carries out what its policy asks for. It is the developer's own file, not the policy's.

    interlock: playbook/v1
    mail: {host: smtp.example.org, port: 587, from: interlock@example.org, user: x, password_from: SMTP_PASSWORD}
    retry: {times: 5, wait: 2 seconds, longest: 1 minute}
    tell:                                  # by role: through each of these
      board: [{mail: [chair@example.org]}, {webhook: "https://hooks.example.org/x", secret_from: HOOK_SECRET}]
    do:                                    # by what an answer to a hold does, or by duty
      pause-training: {command: [scripts/pause.sh], limit: 2 minutes}

Guarantees: a playbook that loads names only roles and duties that the policy has, and holds no secret: those are read
from the environment when something is sent. Every mistake is told by file, line and column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args
from urllib.parse import urlsplit

from interlock.errors import PolicyError
from interlock.policy import _scalar as scalar
from interlock.policy._cases.read import Entry, Problems, nearest
from interlock.policy._scalar import quote
from interlock.policy._written.source import content_of
from interlock.policy._written.yaml import Composer, Node, Refused, mistakes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from interlock.policy.model import Policy

T = TypeVar("T")

FORMAT = "playbook/v1"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_ADDRESS = re.compile(r"[^\s@,;<>\"()]{1,64}@[A-Za-z0-9.-]{1,255}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,255}")
#: How long a command may take if the playbook does not say, and the most that it may say, in seconds.
_LIMIT, _LONGEST = 60, 3600


Encryption = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Server:
    """How e-mail leaves. Unless `encryption` is `none`, the connection is encrypted, from its start (`tls`, RFC 8314)
    or before anything is said (`starttls`), and checked against the system's authorities or those in `ca_file`; a
    password is never sent without.
    """

    host: str
    port: int
    encryption: Encryption
    sender: str
    user: str | None
    password_from: str | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to one address: what one server refuses is not sent to others again."""

    to: str

    @property
    def text(self) -> str:
        """What it is, in an error."""
        return f"e-mail to {self.to}"

    kind = "e-mail"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of JSON to an address, signed with a secret if there is one."""

    url: str
    secret_from: str | None

    @property
    def text(self) -> str:
        """What it is, in an error: without path and query, in which there may be a token."""
        parts = urlsplit(self.url)
        return f"webhook at {parts.scheme}://{parts.hostname}"

    kind = "webhook"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, without a shell, that gets JSON and must end with 0 within `limit` seconds."""

    argv: tuple[str, ...]
    limit: int

    @property
    def text(self) -> str:
        """What it is, in an error: without the arguments."""
        return f"command `{self.argv[0]}`"

    kind = "command"


Channel = Mail | Webhook | Command


@dataclass(frozen=True, slots=True)
class Act:
    """How something is done: by a command; and whether it consists in telling those whom the policy names."""

    command: Command | None
    notification: bool


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a delivery is tried, and the seconds between: `wait`, then twice as long each time, up to `longest`."""

    times: int = 5
    wait: int = 2
    longest: int = 60

    def waits(self) -> Iterator[int]:
        """The seconds before the second try, the third, and so on."""
        for tried in range(self.times - 1):
            yield min(self.wait << min(tried, 32), self.longest)


@dataclass(frozen=True, slots=True)
class Playbook:
    """How each role is told, and how each thing is done. Commands run in `folder`."""

    folder: Path
    mail: Server | None
    tell: Mapping[str, tuple[Channel, ...]]
    acts: Mapping[str, Act]
    retry: Retry

    @property
    def secrets(self) -> tuple[str, ...]:
        """The environment variables in which there are secrets."""
        named = [self.mail.password_from if self.mail else None]
        named += [it.secret_from for told in self.tell.values() for it in told if isinstance(it, Webhook)]
        return tuple(dict.fromkeys(name for name in named if name))

    def missing(self, policy: Policy) -> list[str]:
        """What the policy asks for and this does not say how to do, in words."""
        found = dict[str, None]()
        for about, given in policy.on_hold.items():
            for it in given:
                where = f"on_hold.{about}.{it.do}"
                found |= dict.fromkeys(
                    f"`{where}`: nobody tells `{role}`" for role in it.notify if role not in self.tell
                )
                if it.do != "notify" and it.do not in self.acts:
                    found[f"`{where}`: nothing does `{it.do}`"] = None
        for duty in policy.duties.values():
            act = self.acts.get(duty.name)
            if act is None:
                found[f"`{duty.name}`: nothing does it: {duty.what}"] = None
            elif act.notification:
                told = (role for role in duty.notify if role not in self.tell)
                found |= dict.fromkeys(f"`{duty.name}`: nobody tells `{role}`" for role in told)
        return list(found)


def load(path: Path, policies: Sequence[Policy]) -> Playbook:
    """Read the playbook in the file at `path`. `policies` are the versions whose roles and duties it may name.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: it is not valid; lists every problem.
    """
    composer = Composer("a playbook")
    try:
        made = _Reading(path, policies, composer.problems).playbook(composer.compose(content_of(path, "a playbook")))
    except Refused:
        made = None
    if made is None or composer.problems:
        raise PolicyError(mistakes(composer.problems, name=str(path)))
    return made


@dataclass(frozen=True, slots=True)
class _Reading:
    """One file on its way to a playbook."""

    path: Path
    policies: Sequence[Policy]
    found: Problems

    def playbook(self, root: Node) -> Playbook:
        entry = Entry(root, self.found, "a playbook")
        entry.need("interlock", scalar.one_of(FORMAT))
        roles = {role for policy in self.policies for role in policy.roles}
        does = {it.do for policy in self.policies for given in policy.on_hold.values() for it in given} - {"notify"}
        notified = {duty.name: bool(duty.notify) for policy in self.policies for duty in policy.duties.values()}
        mail, retry = entry.child("mail"), entry.child("retry")
        told = self._named(entry, "tell", "role", roles)
        acts = self._named(entry, "do", "duty or answer to a hold", does | notified.keys())
        made = Playbook(
            folder=self.path.parent,
            mail=self._server(Entry(mail, self.found, "a mail server")) if mail else None,
            tell={role: tuple(self._channels(node, mail)) for role, node in told.items()},
            acts={
                name: self._act(Entry(node, self.found, "an act"), notified.get(name, False))
                for name, node in acts.items()
            },
            retry=self._retry(Entry(retry, self.found, "retry")) if retry else Retry(),
        )
        entry.end()
        return made

    def _named(self, entry: Entry, section: str, what: str, names: Collection[str]) -> dict[str, Node]:
        nodes = entry.named(section)
        for name, node in nodes.items():
            if name not in names:
                self.found.append(
                    (node.key_at, f"{what} {quote(name)} is not one of the policy's{nearest(name, names)}")
                )
        return {name: node for name, node in nodes.items() if name in names}

    def _server(self, entry: Entry) -> Server:
        encryption = cast("Encryption", entry.get("encryption", scalar.one_of(*get_args(Encryption)), "starttls"))
        made = Server(
            host=entry.need("host", _matching(_HOST, "a host such as `smtp.example.org`")),
            port=entry.get("port", _port, 465 if encryption == "tls" else 587),
            encryption=encryption,
            sender=entry.need("from", _address),
            user=entry.get("user", scalar.prose, None),
            password_from=entry.get("password_from", _variable, None),
            ca_file=entry.get("ca_file", self._file, None),
        )
        if (made.user is None) != (made.password_from is None):
            entry.wrong(entry.node, "expected both of `user` and `password_from`, or neither")
        if made.password_from and made.encryption == "none":
            entry.wrong(entry.node, "expected an `encryption` where a password is sent, got `none`")
        entry.end()
        return made

    def _file(self, value: object) -> Path:
        return self.path.parent / scalar.prose(value)

    def _channels(self, node: Node, mail: Node | None) -> Iterator[Channel]:
        nodes = node.value if isinstance(node.value, list) else [node]
        if not nodes:
            self.found.append((node.at, "expected at least one of `mail`, `webhook` and `command`, got none"))
        for it in nodes:
            entry = Entry(it, self.found, "a channel")
            made = self._channel(entry, mail)
            if made and entry.end():
                yield from made

    def _channel(self, entry: Entry, mail: Node | None) -> list[Channel]:
        """What one entry of a role says: of e-mail, one for each address."""
        named = [kind for kind in ("mail", "webhook", "command") if kind in entry]
        if len(named) != 1:
            got = " and ".join(f"`{kind}`" for kind in named) or "none"
            entry.wrong(entry.node, f"expected one of `mail`, `webhook` and `command`, got {got}")
            return []
        if named == ["webhook"]:
            return [Webhook(entry.need("webhook", _url), entry.get("secret_from", _variable, None))]
        if named == ["command"]:
            return [self._command(entry)]
        if mail is None:
            entry.wrong(entry.node, "expected a `mail` server in this playbook, got none")
        if not entry.nodes("mail"):
            entry.wrong(entry.node, "expected at least one address, got none")
        return [Mail(address) for address in entry.each("mail", _address)]

    def _act(self, entry: Entry, notified: bool) -> Act:  # noqa: FBT001  whether the duty names whom to tell
        notification = entry.get("notification", scalar.truth, default=False)
        command = self._command(entry) if "command" in entry else None
        if notification and not notified:
            entry.wrong(entry.node, "expected no `notification` where the policy does not say who is told")
        if command is None and not notification:
            entry.wrong(entry.node, "expected `command`, or `notification: true`, got neither")
        entry.end()
        return Act(command, notification)

    def _command(self, entry: Entry) -> Command:
        argv, node = entry.each("command", scalar.prose), entry.child("command")
        split = node is not None and isinstance(node.value, str) and len(node.value.split()) > 1
        if not argv or split:
            got = quote(argv[0]) if split else "none"
            entry.wrong(entry.node, f"expected a program and its arguments as a list, got {got}")
        return Command(argv or ("",), entry.get("limit", _seconds, _LIMIT))

    def _retry(self, entry: Entry) -> Retry:
        usual = Retry()
        made = Retry(
            times=entry.get("times", _times, usual.times),
            wait=entry.get("wait", _seconds, usual.wait),
            longest=entry.get("longest", _seconds, usual.longest),
        )
        entry.end()
        return made


# -- scalars -----------------------------------------------------------------------------------------------------------


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise ValueError(f"expected {expected}, got {quote(value)}")

    return read


_address = _matching(_ADDRESS, "an address such as `chair@example.org`")
_named_variable = _matching(_VARIABLE, "the name of an environment variable, such as `SMTP_PASSWORD`")


def _variable(value: object) -> str:
    """The name of an environment variable. What is no name may be the secret itself: it is not repeated."""
    try:
        return _named_variable(value)
    except ValueError:
        raise ValueError(
            "expected the name of an environment variable, such as `SMTP_PASSWORD`, got something else"
        ) from None


def _port(value: object) -> int:
    port = scalar.positive(value)
    if port > 65535:
        raise ValueError(f"expected a port up to 65535, got {quote(value)}")
    return port


def _times(value: object) -> int:
    times = scalar.positive(value)
    if times > 100:
        raise ValueError(f"expected at most 100 tries, got {quote(value)}")
    return times


def _seconds(value: object) -> int:
    length = scalar.duration(value)
    if length.months or length.seconds > _LONGEST:
        raise ValueError(f"expected at most 1 hour, got {quote(value)}")
    return length.seconds


def _url(value: object) -> str:
    """An https address; http only on this machine, since everybody on the way reads it."""
    try:
        parts = urlsplit(scalar.prose(value))
        fine = parts.scheme == "https" or (parts.scheme == "http" and _here(parts.hostname or ""))
        fine = fine and bool(parts.hostname) and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine or not re.fullmatch(r"[!-~]{1,2000}", str(value)):
        raise ValueError("expected an https address such as `https://hooks.example.org/x`, got something else")
    return str(value)


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
