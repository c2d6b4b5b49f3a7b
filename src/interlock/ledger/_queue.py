"""What waits to be sequenced, in one file that every writer appends to and whoever leads takes from.

    header    magic, 16 random bytes that name this queue, number of the first record, number of the next, start, end
    record    length, number, HMAC-SHA-256, the entry

It is never synced: nothing in it was acknowledged. A record counts only under the log's own secret, so that nobody
without the log's key has an entry signed by writing here.
"""

from __future__ import annotations

import hmac
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import LedgerError
from interlock.ledger import _disk

_HEADER = struct.Struct("<8s16sQQQQ")
_RECORD = struct.Struct("<IQ32s")
_MAGIC = b"ilqueue1"
_MOST_TAKEN = 1 << 23  # bytes a batch
_COMPACT = 1 << 24


@dataclass(frozen=True, slots=True)
class Ticket:
    """The place of an entry in a queue: which queue, and which number."""

    queue: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A run of records: the number of the first, their entries (None for one that is not the log's), where it ends."""

    queue: bytes
    first: int
    entries: tuple[bytes | None, ...]
    end: int

    @property
    def after(self) -> int:
        """The number of the first record that was not taken."""
        return self.first + len(self.entries)


@dataclass(frozen=True, slots=True)
class _Header:
    queue: bytes
    first: int
    after: int
    start: int
    end: int


class Queue:
    """The queue file at `path`; `secret` is the log's."""

    def __init__(self, path: Path, secret: bytes) -> None:
        self._secret = secret
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise LedgerError(f"`{path}`: cannot write ({error.strerror}), expected the ledger's queue") from error
        self._lock = _disk.Lock(path)

    def put(self, data: bytes) -> Ticket:
        """Add an entry at the end."""
        with self._lock:
            header = self._header()
            record = _RECORD.pack(len(data), header.after, self._mac(header.queue, header.after, data)) + data
            _disk.put(self._file, record, header.end)
            # a kill here leaves bytes after the end, which the next record writes over
            self._set(_Header(header.queue, header.first, header.after + 1, header.start, header.end + len(record)))
        return Ticket(header.queue, header.after)

    def left(self) -> tuple[bytes, range]:
        """What is still in the queue: its name, and the numbers of its records."""
        with self._lock:
            header = self._header()
            return header.queue, range(header.first, header.after)

    def take(self) -> Taken:
        """Return what waits, from the first record on; it stays until `drop`."""
        with self._lock:
            header = self._header()
            data = os.pread(self._file, min(header.end - header.start, _MOST_TAKEN), header.start)
        entries, at, number = [], 0, header.first
        while at + _RECORD.size <= len(data):
            length, stated, mac = _RECORD.unpack_from(data, at)
            end = at + _RECORD.size + length
            if end > len(data):
                break
            entry = data[at + _RECORD.size : end]
            mine = stated == number and hmac.compare_digest(mac, self._mac(header.queue, number, entry))
            entries.append(entry if mine else None)
            at, number = end, number + 1
        if not entries and header.first != header.after:  # cannot be read: none of it was acknowledged
            return Taken(header.queue, header.first, (None,) * (header.after - header.first), header.end)
        return Taken(header.queue, header.first, tuple(entries), header.start + at)

    def drop(self, taken: Taken) -> None:
        """Remove what was taken."""
        with self._lock:
            header = self._header()
            if header.queue != taken.queue or taken.after < header.first:
                return
            if header.end == taken.end:
                self._set(_Header(header.queue, header.after, header.after, _HEADER.size, _HEADER.size))
                os.ftruncate(self._file, _HEADER.size)
                return
            start, end = taken.end, header.end
            if start > _COMPACT and end - start < start - _HEADER.size:
                rest = os.pread(self._file, end - start, start)
                _disk.put(self._file, rest, _HEADER.size)
                start, end = _HEADER.size, _HEADER.size + len(rest)
            self._set(_Header(header.queue, taken.after, header.after, start, end))

    def close(self) -> None:
        """Give up the file."""
        os.close(self._file)
        self._lock.close()

    def _header(self) -> _Header:
        """Read the header; a file that has none, or one that cannot be, becomes a new queue under a new name."""
        data = os.pread(self._file, _HEADER.size, 0)
        if len(data) == _HEADER.size:
            magic, *fields = _HEADER.unpack(data)
            header = _Header(*fields)
            within = _HEADER.size <= header.start <= header.end <= os.fstat(self._file).st_size
            if magic == _MAGIC and within and header.first <= header.after:
                return header
        header = _Header(secrets.token_bytes(16), 0, 0, _HEADER.size, _HEADER.size)
        self._set(header)
        return header

    def _set(self, header: _Header) -> None:
        data = _HEADER.pack(_MAGIC, header.queue, header.first, header.after, header.start, header.end)
        _disk.put(self._file, data, 0)

    def _mac(self, queue: bytes, number: int, data: bytes) -> bytes:
        return hmac.digest(self._secret, queue + number.to_bytes(8, "big") + data, "sha256")
