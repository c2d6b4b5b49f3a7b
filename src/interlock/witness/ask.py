"""Asking a witness for its cosignature on a ledger's latest checkpoint, and putting it under that checkpoint.

Guarantees: a cosignature is taken only if it verifies over the checkpoint that was sent, and is not dated in the
future; a witness that saw another tree, or a larger one, ends in an error. Nothing that a witness says is believed
otherwise.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from interlock.errors import LedgerError, UsageError
from interlock.ledger._signed import NOTE_LIMIT, Signed, seconds, utc
from interlock.ledger.log import Ledger
from interlock.ledger.note import Note, NoteKey, verify_cosignature
from interlock.ledger.proof import consistency
from interlock.ledger.writer import Writer
from interlock.witness.protocol import Submission, decimal

__all__ = ["Cosigned", "ask", "cosign_ledger"]

_ROUNDS = 5  # a ledger that grows, or a witness that others ask at the same time
_IDLE, _WHOLE = 10.0, 30.0  # seconds
_KINDS = {"http": HTTPConnection, "https": HTTPSConnection}


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint's text with a witness's verified cosignature under it, its size, and when the witness made it."""

    note: Note
    size: int
    time: datetime


def cosign_ledger(writer: Writer, url: str, key: NoteKey, clock: Callable[[], datetime]) -> Cosigned:
    """Have the witness at `url` cosign the latest checkpoint, and put its line there.

    Raises:
        UsageError, LedgerError: as for `ask`; or the ledger does not stop growing.
    """
    for _ in range(_ROUNDS):
        cosigned = ask(writer.ledger, url, key, clock)
        if writer.add_cosignature(cosigned.note, key):
            return cosigned
    raise LedgerError(f"`{writer.ledger.folder}`: it grew while `{url}` was asked, {_ROUNDS} times; ask again")


def ask(ledger: Ledger, url: str, key: NoteKey, clock: Callable[[], datetime]) -> Cosigned:
    """Have the witness at `url` cosign the ledger's latest checkpoint.

    Raises:
        UsageError: the address cannot be used, nobody answers there, or the witness does not serve this log.
        LedgerError: what the witness saw is not a beginning of this ledger; or its answer is no cosignature by `key`.
    """
    old = 0
    for _ in range(_ROUNDS):
        latest, path = consistency(ledger, old)
        status, answer = _post(url, Submission(old, path, latest.data).to_bytes())
        if status == 200:
            return _checked(latest, answer, key, clock)
        if status != 409:
            raise _refused(url, status, answer, latest)
        seen = _size(url, answer)
        if seen > latest.size:
            raise LedgerError(
                f"`{url}` cosigned a tree of {seen} entries, got one of {latest.size}: the ledger was cut off or put "
                "back, or its witness is wrong"
            )
        old = seen
    raise LedgerError(f"`{url}` named another size {_ROUNDS} times, expected a cosignature; ask again")


def _checked(latest: Signed, answer: bytes, key: NoteKey, clock: Callable[[], datetime]) -> Cosigned:
    text = Note.parse(latest.data).text
    try:
        answered = Note.parse(text.encode() + b"\n" + answer)
        if answered.text != text:
            raise LedgerError("got text before the lines, expected signature lines alone")  # noqa: TRY301
        mine = tuple(line for line in answered.signatures if (line.name, line.key_id) == (key.name, key.key_id))
        time, now = verify_cosignature(Note(text, mine), key), seconds(clock())
    except LedgerError as error:
        raise LedgerError(f"answer of witness `{key.name}`: {error}") from error
    if time > now:
        raise LedgerError(f"answer of witness `{key.name}`: dated in the future: got time {time}, expected {now}")
    return Cosigned(Note(text, mine), latest.size, utc(time))


def _refused(url: str, status: int, answer: bytes, latest: Signed) -> UsageError | LedgerError:
    said = f"{status} {answer[:300].decode(errors='replace').strip()!a}"
    if status == 422:
        return LedgerError(
            f"`{url}` does not find that the tree of {latest.size} entries continues what it cosigned: {said}; the "
            "ledger was forked or altered, or its witness is wrong"
        )
    return UsageError(f"`{url}` gave no cosignature: got {said}, expected 200")


def _size(url: str, answer: bytes) -> int:
    try:
        return decimal(answer.decode("ascii").removesuffix("\n"))
    except (LedgerError, UnicodeDecodeError) as error:
        raise UsageError(f"`{url}`: got 409 with {answer[:40]!r}, expected a size") from error


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    """One request; no redirect is followed, and no answer is longer or takes longer than it may."""
    parts = _address(url)
    try:
        with closing(_KINDS[parts.scheme](str(parts.hostname), parts.port, timeout=_IDLE)) as connection:
            connection.connect()
            ending = threading.Timer(_WHOLE, _end, [connection.sock])
            ending.daemon = True
            ending.start()
            try:
                connection.request("POST", parts.path.rstrip("/") + "/add-checkpoint", body)
                with connection.getresponse() as response:
                    status, data = response.status, response.read(NOTE_LIMIT + 1)
            finally:
                ending.cancel()
    except (OSError, HTTPException) as error:
        raise UsageError(f"`{url}`: no answer of a witness there ({error or type(error).__name__})") from error
    if len(data) > NOTE_LIMIT:
        raise UsageError(f"`{url}`: got an answer of more than {NOTE_LIMIT} bytes, expected one of a witness")
    return status, data


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _KINDS and parts.hostname and not (parts.query or parts.fragment or parts.username)
        if not usable or parts.port == 0 or not re.fullmatch(r"[!-~]+", url):
            raise ValueError  # noqa: TRY301  as for a port that is no number
    except ValueError as error:
        raise UsageError(f"got witness address `{url:.200}`, expected `https://HOST[:PORT][/PREFIX]`") from error
    return parts
