"""Entries of the ledger, and the payloads of those that are too long for a bundle.

An entry of at most `ENTRY_LIMIT` bytes is logged as it is. A longer one lies in `payload/` under its SHA-256, and what
is logged names it, in three lines:

    interlock payload v1
    sha256 0b6b...
    1048576

Nothing else that begins with the first line can be logged, so an entry is one or the other by its bytes alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from interlock.errors import LedgerError
from interlock.ledger import _disk
from interlock.ledger.merkle import leaf_hash
from interlock.ledger.tiles import ENTRY_LIMIT

__all__ = ["ENTRY_LIMIT", "PAYLOAD_LIMIT", "Entry", "logged", "payload_path", "resolve", "store"]

PAYLOAD_LIMIT = 1 << 26
"""Most bytes of one payload."""

RESERVED = b"interlock payload v1\n"
_REFERENCE = re.compile(rb"interlock payload v1\nsha256 ([0-9a-f]{64})\n([1-9][0-9]{0,8})\n")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its `index` from 0, its exact bytes (of its payload, if it has one), and its ledger time in UTC."""

    index: int
    data: bytes
    time: datetime

    @property
    def leaf(self) -> bytes:
        """The hash by which it stands in the tree."""
        return leaf_hash(logged(self.data))


def logged(data: bytes) -> bytes:
    """What is logged for an entry: itself, or the three lines that name it."""
    if len(data) <= ENTRY_LIMIT:
        return data
    return RESERVED + f"sha256 {hashlib.sha256(data).hexdigest()}\n{len(data)}\n".encode()


def check(data: bytes) -> None:
    """Check that an entry can be appended.

    Raises:
        LedgerError: it is empty, too long, or begins like the name of a payload.
    """
    if not 0 < len(data) <= PAYLOAD_LIMIT:
        raise LedgerError(f"got an entry of {len(data)} bytes, expected 1 to {PAYLOAD_LIMIT}")
    if data.startswith(RESERVED):
        raise LedgerError(f"got an entry that begins with `{RESERVED.decode().strip()}`, expected any other")


def payload_path(folder: Path, digest: str) -> Path:
    """Where the payload with this SHA-256 lies."""
    return folder / "payload" / digest


def store(folder: Path, data: bytes) -> None:
    """Make a payload durable, if `data` needs one.

    Raises:
        OSError: the disk refuses.
    """
    if len(data) <= ENTRY_LIMIT:
        return
    path = payload_path(folder, hashlib.sha256(data).hexdigest())
    _disk.make_folder(path.parent)
    staged = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    _disk.write(staged, data)
    # crash point: a staged payload that nothing names
    staged.rename(path)
    _disk.sync(path.parent)
    # crash point: a payload that no entry names yet; it does no harm


def resolve(folder: Path, index: int, data: bytes) -> bytes:
    """Return the entry that was logged as `data`.

    Raises:
        LedgerError: it names a payload that is missing or altered, or names one wrongly.
    """
    if not data.startswith(RESERVED):
        return data
    named = _REFERENCE.fullmatch(data)
    if named is None or not ENTRY_LIMIT < int(named[2]) <= PAYLOAD_LIMIT:
        raise LedgerError(f"entry {index}: got a name of a payload that cannot be read, expected sha256 and length")
    path = payload_path(folder, named[1].decode())
    payload = _disk.read(path, int(named[2]))
    if logged(payload) != data:
        got = hashlib.sha256(payload).hexdigest()
        raise LedgerError(
            f"`{path}`: got {len(payload)} bytes of SHA-256 {got[:12]}, expected {int(named[2])} by entry {index}"
        )
    return payload
