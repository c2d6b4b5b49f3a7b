"""The times of a ledger's entries, pinned: a digest over what its `history` holds so far.

No root covers a time: whoever has the log's key can sign the notes of a history again with others, and the tree stays
as it was. A history only ever grows, so whoever saw it once knows it by its first bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from interlock.errors import LedgerError
from interlock.ledger import _disk
from interlock.ledger._signed import NOTE_LIMIT
from interlock.ledger.log import Ledger

_LIMIT = 1 << 10
_LINE = re.compile(r"(\d{1,18}) ([0-9a-f]{64})\n")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Times:
    """The first `length` bytes of a history, by their SHA-256."""

    length: int = 0
    sha256: str = hashlib.sha256().hexdigest()

    @classmethod
    def read(cls, path: Path) -> Times:
        """What a file keeps; nothing, where there is none.

        Raises:
            LedgerError: it cannot be read.
        """
        if not path.exists():
            return cls()
        match = _LINE.fullmatch(_disk.read(path, _LIMIT).decode("ascii", "replace"))
        if match is None:
            raise LedgerError(f"`{path}`: expected a length and a SHA-256 in hexadecimal digits")
        return cls(int(match[1]), match[2])

    @property
    def line(self) -> bytes:
        """As a file keeps it."""
        return f"{self.length} {self.sha256}\n".encode()

    def continued(self, ledger: Ledger) -> Times:
        """Check that the ledger's history begins with these bytes, and return all of it.

        Raises:
            LedgerError: it does not, or does not end with what `checkpoint` covers: of the rest nothing would be known.
        """
        path = ledger.folder / "history"
        with _disk.locked_shared(ledger.folder / "lock"):
            length, latest = _disk.size(path), ledger.latest()
            end = _disk.read_end(path, max(0, length - NOTE_LIMIT))
        last = ledger.log.last(end, f"`{path}`")
        if (last.size, last.root) != (latest.size, latest.root):
            raise LedgerError(
                f"`{path}`: ends at size {last.size}, expected {latest.size} by `checkpoint`; copy a ledger that is in "
                "use once more"
            )
        found, seen = hashlib.sha256(), min(self.length, length)
        with _disk.refusing(path), os.fdopen(_disk.open_plain(path), "rb") as file:
            _update(found, file, seen)
            if (seen, found.hexdigest()) != (self.length, self.sha256):
                raise LedgerError(
                    f"`{path}`: the entries have other times than before: its first {self.length} bytes have SHA-256 "
                    f"{found.hexdigest()}, expected {self.sha256}"
                )
            _update(found, file, length - seen)
        return Times(length, found.hexdigest())


def _update(found: hashlib._Hash, file: BinaryIO, length: int) -> None:
    while length and (part := file.read(min(_CHUNK, length))):
        found.update(part)
        length -= len(part)
