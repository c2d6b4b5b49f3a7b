"""What a witness remembers: for each log, the last checkpoint that it cosigned, durable before a cosignature leaves.

SQLite in WAL mode with `synchronous=FULL`: a commit is on the disk when it returns. One process at a time holds it.
After a write that failed nothing more is written: what the disk holds is then known only to a new start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import LedgerError
from interlock.ledger.merkle import EMPTY_ROOT

__all__ = ["NOTHING", "Record", "Seen"]

_SCHEMA = """
CREATE TABLE witness (one INTEGER PRIMARY KEY CHECK (one = 1), vkey TEXT NOT NULL) STRICT;
CREATE TABLE log (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  time INTEGER NOT NULL,       -- of the cosignature, in POSIX seconds
  note BLOB NOT NULL           -- the checkpoint, with the log's signatures that were verified
) STRICT;
"""
_APPLICATION = 0x494C5731  # "ILW1"


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint of a log that was cosigned, and the cosignature's time."""

    size: int
    root: bytes
    time: int
    note: bytes


NOTHING = Seen(0, EMPTY_ROOT, 0, b"")
"""What stands for a log of which nothing was cosigned."""


class Record:
    """The record at `path`; one thread at a time may call it."""

    def __init__(self, path: Path) -> None:
        self._path, self._failed = path, False
        if not path.is_file():
            raise LedgerError(f"`{path}`: no record there, expected that of a witness; a new one is a new witness")
        with self._refusing("open"):
            self._db = _connect(path, "rw")
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            got = self._db.execute("PRAGMA application_id").fetchone()[0]
            self._db.execute("BEGIN IMMEDIATE")  # from here on no other process reads or writes it
            self._db.execute("COMMIT")
        if got != _APPLICATION:
            raise LedgerError(f"`{path}`: got application id {got}, expected that of a witness, {_APPLICATION}")
        with self._refusing("read"):
            self.vkey = str(self._db.execute("SELECT vkey FROM witness").fetchone()[0])

    @classmethod
    def create(cls, path: Path, vkey: str) -> None:
        """Make the record of a witness that has seen nothing.

        Raises:
            LedgerError: the disk refuses.
        """
        try:
            db = _connect(path, "rwc")
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(f"BEGIN; PRAGMA application_id={_APPLICATION}; {_SCHEMA}")
            db.execute("INSERT INTO witness VALUES (1, ?)", (vkey,))
            db.execute("COMMIT")
            db.close()
        except sqlite3.Error as error:
            raise LedgerError(f"`{path}`: cannot make the witness's record ({error})") from error

    def seen(self, origin: str) -> Seen:
        """Return the last checkpoint of that log; `NOTHING` if none was cosigned.

        Raises:
            LedgerError: it cannot be read, or a write failed since the start.
        """
        with self._refusing("read"):
            row = self._db.execute("SELECT size, root, time, note FROM log WHERE origin = ?", (origin,)).fetchone()
        return NOTHING if row is None else Seen(*row)

    def advance(self, origin: str, seen: Seen) -> None:
        """Make this the last checkpoint of that log, durably.

        Raises:
            LedgerError: it did not become durable; it may have, too.
        """
        with self._refusing("write"):
            try:
                self._db.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?, ?)", _row(origin, seen))
            except BaseException:
                self._failed = True
                raise

    def close(self) -> None:
        """Close the record."""
        with self._refusing("close"):
            self._db.close()

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        if self._failed and what != "close":
            raise LedgerError(f"`{self._path}`: a write failed; nothing is cosigned before a new start")
        try:
            yield
        except (sqlite3.Error, TypeError) as error:
            raise LedgerError(f"`{self._path}`: cannot {what} it ({error}); one process at a time holds it") from error


def _row(origin: str, seen: Seen) -> tuple[str, int, bytes, int, bytes]:
    return origin, seen.size, seen.root, seen.time, seen.note


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=0)
    db.execute("PRAGMA synchronous=FULL")
    return db
