"""Checkpoints as this log signs them: its signature first, then its timestamped cosignature, the ledger's time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair, PublicKey
from interlock.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteKey,
    NoteSignature,
    cosign,
    sign,
    verify_cosignature,
    verify_signature,
)

NOTE_LIMIT = 1 << 16
_HISTORY_LINES = 6  # origin, size, root, an empty line, signature, cosignature
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signature and cosignature verified; `time` in POSIX seconds; `data` as it stands on disk."""

    size: int
    root: bytes
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """The name and the public key by which a log's checkpoints are known."""

    origin: str
    key: PublicKey

    def read(self, data: bytes, where: str) -> Signed:
        """Read a checkpoint that this log signed and cosigned.

        Lines of others may follow: nothing here relies on them (c2sp.org/signed-note says to ignore unknown keys), and
        whoever has their keys finds them in `Signed.data`.

        Raises:
            LedgerError: anything else, `where`.
        """
        try:
            note = Note.parse(data)
            checkpoint, time = self._verified(note)
        except LedgerError as error:
            raise LedgerError(f"{where}: {error}") from error
        return Signed(checkpoint.size, checkpoint.root, time, data)

    def read_own(self, data: bytes, where: str) -> Signed:
        """Read a checkpoint with the log's two lines and no other.

        Raises:
            LedgerError: anything else, `where`.
        """
        signed = self.read(data, where)
        if data.count(b"\n") != _HISTORY_LINES:
            raise LedgerError(f"{where}: got {data.count(10)} lines, expected six")
        return signed

    def sign(self, checkpoint: Checkpoint, key: KeyPair, time: int, others: tuple[NoteSignature, ...] = ()) -> bytes:
        """Sign and cosign a checkpoint of this log; the lines of `others` follow."""
        text = checkpoint.text
        own = sign(text, self.origin, key), cosign(text, self.origin, key, time=time)
        return Note(text, (*own, *others)).to_bytes()

    def history(self, file: BinaryIO, length: int, where: str) -> Iterator[Signed]:
        """Read the first `length` bytes of a history: checkpoints with the log's two lines and no other, one by one.

        Raises:
            LedgerError: anything else.
        """
        at = 0
        while at < length:
            data = b"".join(file.readline(NOTE_LIMIT) for _ in range(_HISTORY_LINES))
            at += len(data)
            yield self.read_own(data, f"{where}, byte {at - len(data)}")
        if at != length:
            raise LedgerError(f"{where}: got {length} bytes, expected a checkpoint's end at {at}")

    def last(self, end: bytes, where: str) -> Signed:
        """Read the last checkpoint of a history from its `end`.

        Raises:
            LedgerError: it is not this log's, or not whole.
        """
        return self.read_own(b"".join(end.splitlines(keepends=True)[-_HISTORY_LINES:]), f"{where}, at its end")

    def _verified(self, note: Note) -> tuple[Checkpoint, int]:
        signer, cosigner = NoteKey(self.origin, self.key), NoteKey(self.origin, self.key, COSIGNATURE)
        if [line.key_id for line in note.signatures[:2]] != [signer.key_id, cosigner.key_id]:
            raise LedgerError("note: got other signature lines, expected the log's signature, then its cosignature")
        verify_signature(note, signer)
        time = verify_cosignature(note, cosigner)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.origin:
            raise LedgerError(f"checkpoint: got origin `{checkpoint.origin}`, expected `{self.origin}`")
        if time > _LATEST_TIME:
            raise LedgerError(f"cosignature: got time {time}, expected at most {_LATEST_TIME}")
        return checkpoint, time


def seconds(now: datetime) -> int:
    """Return `now` as POSIX seconds, fractions dropped."""
    if now.utcoffset() is None:
        raise UsageError(f"got time `{now}`, expected one with a time zone")
    time = (now - _EPOCH) // timedelta(seconds=1)
    if time < 0:
        raise UsageError(f"got time `{now}`, expected 1970 or later")
    return time


def utc(time: int) -> datetime:
    """Return POSIX seconds as a time in UTC."""
    return _EPOCH + timedelta(seconds=time)
