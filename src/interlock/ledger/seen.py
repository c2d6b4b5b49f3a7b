"""What a workspace's ledger showed last, remembered outside of its folder: in the process, and in a file beside it.

Guarantees: a ledger that is not longer than it was seen to be, or does not begin with what was seen, at the times that
were seen, is refused: by a process that saw it, as long as that runs; by every later one on the machine, as long as the
files are there. So a folder that is put back to an older copy forgets no revocation, and no use of a permit for one
use; and what went stale is not fresh again.
What it leaves to the caller: to look before the ledger is read, since others may go on meanwhile. Where the file cannot
be written, and where it was put back or removed together with the ledger, only the processes remember; that takes a
witness, or a monitor on another machine (interlock.ledger.monitor).
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import LedgerError, UsageError
from interlock.ledger import _disk, merkle
from interlock.ledger._signed import NOTE_LIMIT, Log, Signed
from interlock.ledger._times import Times
from interlock.ledger.log import Ledger, LedgerView
from interlock.ledger.monitor import continues, no_earlier
from interlock.ledger.proof import consistency

__all__ = ["FILE", "TIMES", "Memory"]

#: The file, beside the ledger's folder: the checkpoint as it was signed.
FILE = "last-checkpoint"
#: Beside it: the times of the entries, as a length and a digest of the ledger's history.
TIMES = f"{FILE}.times"
_GIVEN_UP = f"{FILE}.given-up"
_LIFT = "if it was restored on purpose: interlock ledger accept-restored"
#: What this process has seen of a log, by the workspace's folder as it is called and as it is: a link may come to lead
#: elsewhere. It outlives every `Workspace` that is opened.
_here: dict[tuple[Log, Path], Signed] = {}
_times_here: dict[tuple[Log, Path], Times] = {}


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen of a workspace's `ledger`, kept in its `folder`."""

    folder: Path
    ledger: Ledger

    @property
    def log(self) -> Log:
        """Who signs it."""
        return self.ledger.log

    def seen(self) -> tuple[Signed, ...]:
        """The latest checkpoint that this process saw, and the latest that any saw, as far as there are any.

        Raises:
            LedgerError: the file cannot be read, or was not signed by the log.
        """
        here, path = [_here[it] for it in self._keys if it in _here], self.folder / FILE
        there = self.log.read(_disk.read(path, NOTE_LIMIT), f"`{path}`") if path.exists() else None
        return (*here, *([there] if there else []))

    def check(self, view: LedgerView, seen: tuple[Signed, ...]) -> None:
        """Check that a ledger as it was read continues what was seen before that, and remember it.

        Raises:
            LedgerError: it does not.
        """
        latest = self.log.read(view.note.encode(), "checkpoint")
        for old in seen:
            with self._refusing():
                no_earlier(old, latest)
                root = merkle.root(entry.leaf for entry in view.entries[: old.size])
                if root != old.root:
                    raise LedgerError(f"its first {old.size} entries have root {root.hex()}, expected {old.root.hex()}")
        self._check_times()
        self.keep(latest)

    def check_latest(self) -> None:
        """Check that the ledger's latest checkpoint continues what was seen, by its tiles: before anything is signed.

        Raises:
            LedgerError: it does not.
        """
        for old in self.seen():
            latest, path = consistency(self.ledger, old.size)
            with self._refusing():
                continues(old, latest, path)

    def _check_times(self) -> None:
        """Check that the entries have the times that they had, and remember those of all."""
        path = self.folder / TIMES
        for old in (*(_times_here[it] for it in self._keys if it in _times_here), Times.read(path)):
            with self._refusing():
                now = old.continued(self.ledger)
        for key in self._keys:
            _times_here[key] = now
        with contextlib.suppress(OSError), self._guarded():
            if Times.read(path).length < now.length:
                _disk.replace(path, now.line)

    def keep(self, latest: Signed) -> None:
        """Remember a checkpoint that continues what was seen, unless a later one is remembered."""
        for key in self._keys:
            _here[key] = _later(_here.get(key), latest)
        with contextlib.suppress(OSError), self._guarded():
            path = self.folder / FILE
            there = self.log.read(_disk.read(path, NOTE_LIMIT), f"`{path}`") if path.exists() else None
            if _later(there, latest) is not there:
                _disk.replace(path, latest.data)

    def give_up(self) -> None:
        """Forget what was seen, in this process and in the file, which is kept under another name.

        Raises:
            UsageError: it cannot be moved.
        """
        path = self.folder / FILE
        try:
            (self.folder / TIMES).unlink(missing_ok=True)
            if path.exists():
                path.replace(self.folder / _GIVEN_UP)
        except OSError as error:
            raise UsageError(f"`{path}`: cannot move it ({error.strerror})") from error
        for key in self._keys:
            _here.pop(key, None)
            _times_here.pop(key, None)

    @property
    def _keys(self) -> tuple[tuple[Log, Path], ...]:
        return (self.log, self.folder.absolute()), (self.log, self.folder.resolve())

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Alone with the files."""
        path = self.folder / f".{FILE}.lock"
        with path.open("ab") as lock:
            _disk.take(lock.fileno(), fcntl.LOCK_EX, path)
            yield

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except LedgerError as error:
            told = f"the ledger in `{self.folder}` does not continue what it showed before: {error}; {_LIFT}"
            raise LedgerError(told) from error


def _later(one: Signed | None, other: Signed) -> Signed:
    return one if one is not None and (one.size, one.time) >= (other.size, other.time) else other
