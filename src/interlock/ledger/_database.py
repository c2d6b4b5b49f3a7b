"""The sequencer's database: entries in their final order, durable before they are acknowledged.

SQLite in WAL mode with `synchronous=FULL`: a commit is one append to its write-ahead log and one sync. An entry stays
here until its tiles are durable. Every row of an entry has a MAC under the log's secret, and what stands for the
latest checkpoint is that checkpoint itself, signed: who can write here and has not the log's key gets nothing signed.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import LedgerError
from interlock.ledger._queue import Ticket

_SCHEMA = """
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  size INTEGER NOT NULL,       -- entries that the latest checkpoint covers
  latest BLOB NOT NULL,        -- that checkpoint, with its latest cosignature
  covering BLOB NOT NULL,      -- that checkpoint, as it stands at the end of `history`
  start INTEGER NOT NULL,      -- where it begins there
  sealed INTEGER NOT NULL      -- whether the ledger takes no more entries
) STRICT;
CREATE TABLE entry (number INTEGER PRIMARY KEY, data BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE TABLE batch (
  queue BLOB NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (queue, first)
) STRICT, WITHOUT ROWID;
"""
_APPLICATION = 0x494C4C31  # "ILL1"
_OUTCOMES_KEPT = 100_000  # entries, for writers that were stopped and come back to ask for the outcome
_BYTES_A_PUBLICATION = 1 << 25


@dataclass(frozen=True, slots=True)
class State:
    """The latest checkpoint as the sequencer knows it; see the schema."""

    size: int
    latest: bytes
    covering: bytes
    start: int
    sealed: bool


class Database:
    """The database at `path`. The caller holds the sequencer's lock during every call."""

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path, self._secret = path, secret
        with self._refusing("open"):
            self._db = _connect(path, "rw")
            got = self._db.execute("PRAGMA application_id").fetchone()[0]
        if got != _APPLICATION:
            raise LedgerError(f"`{path}`: got application id {got}, expected that of a sequencer, {_APPLICATION}")

    @classmethod
    def create(cls, path: Path, note: bytes) -> None:
        """Make the database of an empty ledger whose first checkpoint is `note`.

        Raises:
            OSError, LedgerError: the disk refuses.
        """
        try:
            db = _connect(path, "rwc")
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(f"BEGIN; PRAGMA application_id={_APPLICATION}; {_SCHEMA}")
            db.execute("INSERT INTO state VALUES (1, 0, ?, ?, 0, 0)", (note, note))
            db.execute("COMMIT")
            db.close()
        except sqlite3.Error as error:
            raise LedgerError(f"`{path}`: cannot make the sequencer's database ({error})") from error

    def state(self) -> State:
        """Read the state.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._refusing("read"):
            row = self._db.execute("SELECT size, latest, covering, start, sealed FROM state").fetchone()
        if row is None:
            raise LedgerError(f"`{self._path}`: got no state, expected one")
        return State(row[0], row[1], row[2], row[3], sealed=bool(row[4]))

    def next_number(self) -> int:
        """The number of the next entry."""
        with self._refusing("read"):
            row = self._db.execute("SELECT max(size, coalesce((SELECT max(number) + 1 FROM entry), 0)) FROM state")
            return int(row.fetchone()[0])

    def outcome(self, ticket: Ticket) -> int | None:
        """Return the number that an entry of a queue was given, if it was sequenced."""
        with self._refusing("read"):
            found = self._db.execute(
                "SELECT first, count, number FROM batch WHERE queue = ? AND first <= ? ORDER BY first DESC LIMIT 1",
                (ticket.queue, ticket.number),
            ).fetchone()
        if found is None or ticket.number >= found[0] + found[1]:
            return None
        return int(found[2] + ticket.number - found[0])

    def sequenced(self, queue: bytes) -> int:
        """The number of the first record of a queue that no leader has sequenced, as far as is known."""
        with self._refusing("read"):
            found = self._db.execute(
                "SELECT first + count FROM batch WHERE queue = ? ORDER BY first DESC LIMIT 1", (queue,)
            ).fetchone()
        return int(found[0]) if found else 0

    def sequence(self, entries: Sequence[bytes], batches: Sequence[tuple[bytes, int, int, int]], number: int) -> None:
        """Give `entries` the numbers from `number` on, within a `transaction`: an acknowledgement rests on its end.

        `batches` says which records of which queue they were: queue, first, count, number.
        """
        rows = [(n, data, self._mac(n, data)) for n, data in enumerate(entries, start=number)]
        self._db.executemany("INSERT INTO entry VALUES (?, ?, ?)", rows)
        self._db.executemany("INSERT INTO batch VALUES (?, ?, ?, ?)", batches)

    def seal(self, entry: bytes, number: int) -> None:
        """Give the last entry its number; none is sequenced after it.

        Raises:
            LedgerError: as for `transaction`.
        """
        with self.transaction():
            self._db.execute("INSERT INTO entry VALUES (?, ?, ?)", (number, entry, self._mac(number, entry)))
            self._db.execute("UPDATE state SET sealed = 1")

    def withdraw(self, number: int) -> None:
        """Take out the last entry, which no checkpoint covers and nobody was told of; a seal with it.

        Raises:
            LedgerError: it may still be there.
        """
        with self.transaction():
            self._db.execute("DELETE FROM entry WHERE number = ?", (number,))
            self._db.execute("UPDATE state SET sealed = 0")

    def waiting(self, size: int) -> list[bytes]:
        """The entries from number `size` on that no checkpoint covers, at most so many as one publication takes.

        Raises:
            LedgerError: a gap, or an entry that the log's own writers did not put there.
        """
        found: list[bytes] = []
        taken = 0
        with self._refusing("read"):
            rows = self._db.execute("SELECT number, data, mac FROM entry WHERE number >= ? ORDER BY number", (size,))
            for expected, (number, data, mac) in enumerate(rows, start=size):
                if number != expected or not hmac.compare_digest(mac, self._mac(number, data)):
                    raise LedgerError(
                        f"`{self._path}`: got entry {number} that no writer of this log made, expected its {expected}"
                    )
                found.append(data)
                taken += len(data)
                if taken > _BYTES_A_PUBLICATION:
                    break
        return found

    def record(self, state: State) -> None:
        """Make a signed checkpoint the latest one, and let go of the entries that it covers.

        Raises:
            LedgerError: it did not become durable; it may have, too.
        """
        with self.transaction():
            self._db.execute(
                "UPDATE state SET size = ?, latest = ?, covering = ?, start = ?, sealed = ?",
                (state.size, state.latest, state.covering, state.start, int(state.sealed)),
            )
            self._db.execute("DELETE FROM entry WHERE number < ?", (state.size,))
            self._db.execute("DELETE FROM batch WHERE number < ?", (state.size - _OUTCOMES_KEPT,))

    def close(self) -> None:
        """Close the database."""
        with self._refusing("close"):
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read and write at once; all of it is durable when this ends, or none of it.

        Raises:
            LedgerError: it did not become durable; it may have, too.
        """
        with self._refusing("write"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                # crash point: nothing of it is there; after the commit, all of it
                self._commit()
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"`{self._path}`: cannot {what} ({error}); nothing was acknowledged, and what stood before stands"
            ) from error

    def _mac(self, number: int, data: bytes) -> bytes:
        return hmac.digest(self._secret, b"entry" + number.to_bytes(8, "big") + data, "sha256")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a database that one thread at a time uses; `BEGIN` and `COMMIT` are written out."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    db.execute("PRAGMA synchronous=FULL")
    return db
