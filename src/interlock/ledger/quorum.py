"""Which witnesses must have cosigned a checkpoint: the quorum file (c2sp.org/tlog-policy, of commit 5ba5ee83).

    log VKEY [URL]
    witness NAME VKEY [URL]
    group NAME (all|any|K) MEMBER...
    quorum NAME

Guarantees: a file that is read names only what stands on an earlier line, counts no key and no member twice, and asks
for at least one witness. Stricter than the specification: `quorum none` is refused, a witness may not have a log's
key, the file is UTF-8 and its last line ends in a newline (one that was cut off may ask for less).

Leaves to the caller: whether different keys belong to different people, and how old a cosignature may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from interlock.errors import LedgerError, UsageError
from interlock.ledger._signed import Log, seconds, utc
from interlock.ledger.note import COSIGNATURE, ED25519, Note, NoteKey, verify_cosignature

__all__ = ["Cosigner", "Group", "Quorum", "Standing", "Witness", "check", "parse", "parse_logs"]

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name in the file, the key it cosigns with, and where it is asked, if that is said."""

    name: str
    key: NoteKey
    url: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Stands for its members if at least `threshold` of them stand."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quorum:
    """A quorum file: `groups` in the order of their definition, `name` the witness or group that must stand."""

    logs: tuple[NoteKey, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness, and when it cosigned (UTC); or None, and why it does not count."""

    witness: Witness
    time: datetime | None
    problem: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the witnesses of a quorum say of one checkpoint, in the order of the file."""

    quorum: str
    cosigners: tuple[Cosigner, ...]
    met: bool

    def require(self) -> None:
        """Insist on the quorum.

        Raises:
            LedgerError: it is not met; says of each witness why it does not count.
        """
        if self.met:
            return
        missing = "; ".join(f"`{it.witness.name}`: {it.problem}" for it in self.cosigners if it.time is None)
        counted = sum(it.time is not None for it in self.cosigners)
        raise LedgerError(
            f"quorum `{self.quorum}` is not met: got {counted} of {len(self.cosigners)} witnesses; {missing}"
        )


def check(note: bytes, quorum: Quorum, *, log: Log, now: datetime) -> Standing:
    """Say which witnesses cosigned a checkpoint of `log`, and whether they are a quorum, by a clock that shows `now`.

    A cosignature that is dated after `now` does not count, nor one by the log's own key, nor one that stands twice.

    Raises:
        LedgerError: `note` is no checkpoint of `log`, or the file names logs and this is none of them.
    """
    log.read(note, "checkpoint")
    if quorum.logs and NoteKey(log.origin, log.key) not in quorum.logs:
        raise LedgerError(f"got a checkpoint of log `{log.origin}`, expected one of a log that the quorum file names")
    parsed = Note.parse(note)
    cosigners = tuple(_cosigner(parsed, witness, log, seconds(now)) for witness in quorum.witnesses)
    standing = {it.witness.name: it.time is not None for it in cosigners}
    for group in quorum.groups:  # members are defined before their group
        standing[group.name] = sum(standing[member] for member in group.members) >= group.threshold
    return Standing(quorum.name, cosigners, standing[quorum.name])


def _cosigner(note: Note, witness: Witness, log: Log, now: int) -> Cosigner:
    key = witness.key
    if key.public == log.key:
        return Cosigner(witness, None, "has the log's own key, which is no witness of itself")
    if not any((line.name, line.key_id) == (key.name, key.key_id) for line in note.signatures):
        return Cosigner(witness, None, "no cosignature")
    try:
        time = verify_cosignature(note, key)
    except LedgerError as error:
        return Cosigner(witness, None, str(error))
    if time > now:
        return Cosigner(witness, None, f"dated in the future: got time {time}, expected {now} or earlier")
    return Cosigner(witness, utc(time), "")


def parse(data: bytes, where: str) -> Quorum:
    """Read a quorum file.

    Raises:
        UsageError: `where:LINE:` and what is wrong there.
    """
    file = _File()
    words: dict[str, Callable[[list[str]], None]] = {
        "log": file.log,
        "witness": file.witness,
        "group": file.group,
        "quorum": file.quorum,
    }
    _read(data, where, words)
    if file.name is None:
        raise UsageError(f"{where}: got no `quorum` line, expected one")
    return Quorum(tuple(file.logs), tuple(file.witnesses.values()), tuple(file.groups.values()), file.name)


def parse_logs(data: bytes, where: str) -> tuple[NoteKey, ...]:
    """Read a file that has only the `log` lines of a quorum file: what a witness trusts.

    Raises:
        UsageError: as for `parse`; or there is no log in it.
    """
    file = _File()
    _read(data, where, {"log": file.log})
    if not file.logs:
        raise UsageError(f"{where}: got no log, expected a line `log VKEY` for each")
    return tuple(file.logs)


class _WrongError(Exception):
    """What is wrong with a line."""


@dataclass(slots=True)
class _File:
    """What the lines so far define."""

    logs: list[NoteKey] = field(default_factory=list)
    witnesses: dict[str, Witness] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    name: str | None = None

    def log(self, words: list[str]) -> None:
        if len(words) not in {1, 2}:
            raise _WrongError("expected `log VKEY [URL]`")
        key = _key(words[0], ED25519, "a log's, of type 1")
        self._check_new(key)
        self.logs.append(key)

    def witness(self, words: list[str]) -> None:
        if len(words) not in {2, 3}:
            raise _WrongError("expected `witness NAME VKEY [URL]`")
        key = _key(words[1], COSIGNATURE, "a witness's, of type 4")
        self._check_new(key)
        self.witnesses[self._new_name(words[0])] = Witness(words[0], key, words[2] if words[2:] else None)

    def group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise _WrongError("expected `group NAME (all|any|K) MEMBER...`")
        name, threshold, *members = words
        for place, member in enumerate(members):
            taken = next((group.name for group in self.groups.values() if member in group.members), None)
            if taken is not None or member in members[:place]:
                raise _WrongError(f"`{member}` is a member of `{taken or name}` already, and counts only once")
            self._check_defined(member)
        self.groups[self._new_name(name)] = Group(name, _threshold(threshold, len(members)), tuple(members))

    def quorum(self, words: list[str]) -> None:
        if len(words) != 1:
            raise _WrongError("expected `quorum NAME`")
        if self.name is not None:
            raise _WrongError("got a second `quorum` line, expected one")
        if words == ["none"]:
            raise _WrongError("`quorum none` asks for no witness, expected the name of a witness or a group")
        self._check_defined(words[0])
        self.name = words[0]

    def _new_name(self, name: str) -> str:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise _WrongError(f"the name `{name}` is taken, expected another")
        return name

    def _check_defined(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise _WrongError(f"`{name}` is no witness or group of a line before this one")

    def _check_new(self, key: NoteKey) -> None:
        """One key is one party, whatever it is called."""
        named = [(log.name, log) for log in self.logs] + [(it.name, it.key) for it in self.witnesses.values()]
        for name, other in named:
            if other.public == key.public:
                raise _WrongError(f"this public key is that of `{name}` already, expected another")


def _threshold(text: str, members: int) -> int:
    if text in {"any", "all"}:
        return 1 if text == "any" else members
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text) or int(text) > members:
        raise _WrongError(f"got threshold `{text:.20}`, expected `all`, `any` or 1 to {members}")
    return int(text)


def _key(vkey: str, kind: int, expected: str) -> NoteKey:
    try:
        key = NoteKey.parse(vkey)
    except LedgerError as error:
        raise _WrongError(str(error)) from error
    if key.kind != kind:
        raise _WrongError(f"got a verifier key of type {key.kind}, expected {expected}")
    return key


def _read(data: bytes, where: str, words: dict[str, Callable[[list[str]], None]]) -> None:
    """Give the words of each line to what reads them."""
    for number, (word, *rest) in _lines(data, where):
        if word not in words:
            raise UsageError(f"{where}:{number}: got `{word:.40}`, expected {', '.join(f'`{it}`' for it in words)}")
        try:
            words[word](rest)
        except _WrongError as error:
            raise UsageError(f"{where}:{number}: {error}") from error


def _lines(data: bytes, where: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that say something, by number: their words."""
    if len(data) > _LIMIT:
        raise UsageError(f"{where}: got {len(data)} bytes, expected at most {_LIMIT}")
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        bad = next((byte for byte in line if (byte < 0x20 and byte != 0x09) or byte == 0x7F), None)
        if bad is not None:
            raise UsageError(f"{where}:{number}: got control character 0x{bad:02X}, expected none but tabs")
        try:
            text = line.decode("utf-8").strip(" \t")
        except UnicodeDecodeError as error:
            raise UsageError(f"{where}:{number}: got bytes that are not UTF-8, expected text") from error
        if number == len(lines) and text:
            raise UsageError(f"{where}:{number}: got a line without a newline at its end: the file was cut off")
        if text and not text.startswith("#"):
            yield number, re.split(r"[ \t]+", text)
