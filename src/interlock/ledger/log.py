"""The ledger as a folder: append-only, signed and timed by the log's key, verified whole whenever it is read.

    entries/00000000 ...      the exact bytes of each entry
    checkpoints/00000000 ...  for each size, the first checkpoint signed at it; never rewritten
    checkpoint                the latest, of the last size, cosigned again at a later time by `refresh`
    lock                      empty; held shared by readers and exclusively by the one writer

Guarantees: `Ledger.read` returns only what every checkpoint covers, and refuses a folder in which any byte of any file
differs or any file is missing or new. Nothing is signed before the bytes it covers were read back from the disk. After
a crash at any point, the next `append`, `refresh` or `mend` finishes what had been signed and clears away the rest.

Leaves to the caller: what entries mean, and noticing a folder that was put back as a whole to an earlier state; that
takes a witness, or a checkpoint kept elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair, PublicKey
from interlock.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from interlock.ledger.note import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteKey,
    cosign,
    sign,
    verify_cosignature,
    verify_signature,
)

__all__ = ["ENTRY_LIMIT", "Entry", "Ledger", "LedgerView"]

ENTRY_LIMIT = 1 << 20
"""Most bytes of one entry."""

_NOTE_LIMIT = 1 << 14
_MOST_ENTRIES = 10**8 - 1  # file names have eight digits
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)

_LAYOUT = {"entries": stat.S_ISDIR, "checkpoints": stat.S_ISDIR, "checkpoint": stat.S_ISREG, "lock": stat.S_ISREG}

# Where a write is staged. `_RECORD` is staged last and cleared first: whole and signed, it is the commit record.
_ENTRY, _LATEST, _RECORD = "entry.tmp", "checkpoint.tmp", "record.tmp"
_UNFINISHED = "an unfinished write leaves this; the next append, refresh or mend settles it"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its `index` from 0, its exact bytes, and its ledger time (UTC, whole seconds)."""

    index: int
    data: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A verified ledger: every entry, the latest checkpoint's size, root and time (UTC), and that checkpoint's text."""

    entries: tuple[Entry, ...]
    size: int
    root: bytes
    time: datetime
    origin: str
    note: str


@dataclass(frozen=True, slots=True)
class _Signed:
    """A checkpoint whose signature and cosignature verified; `time` in POSIX seconds; `data` as it stands on disk."""

    size: int
    root: bytes
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger in `folder`, named `origin`, whose checkpoints the holder of `key` signs and cosigns."""

    folder: Path
    key: PublicKey
    origin: str

    @classmethod
    def create(cls, folder: Path, origin: str, log_key: KeyPair, now: datetime) -> Ledger:
        """Start an empty ledger in a new or empty folder. A crash here leaves a folder that no one can read: remove it.

        Raises:
            UsageError: the folder holds something, cannot be made, or `now` or `origin` cannot be used.
            LedgerError: the ledger could not be written.
        """
        time = _seconds(now)
        ledger = cls(folder, log_key.public, origin)
        try:
            note = ledger._sign(0, EMPTY_ROOT, log_key, time)
        except LedgerError as error:
            raise UsageError(f"cannot start a ledger named `{origin}`: {error}") from error
        _make_folders(folder)
        try:
            _write(folder / "lock", b"")
            _write(ledger._checkpoint(0), note)
            _write(folder / "checkpoint", note)  # last: without it this is no ledger
            for made in (folder / "entries", folder / "checkpoints", folder, folder.parent):
                _sync(made)
        except OSError as error:
            raise LedgerError(f"`{folder}`: cannot start the ledger ({error.strerror}); remove the folder") from error
        return ledger

    @classmethod
    def open(cls, folder: Path, vkey: PublicKey, origin: str) -> Ledger:
        """Name a ledger for reading or writing; nothing is verified before `read`.

        Raises:
            UsageError: there is no such folder.
        """
        if not folder.is_dir():
            raise UsageError(f"`{folder}`: no folder there, expected a ledger")
        return cls(folder, vkey, origin)

    def read(self) -> LedgerView:
        """Verify everything and return it.

        Raises:
            LedgerError: any file differs, is missing, or does not belong; names it, with got and expected.
        """
        with self._locked(fcntl.LOCK_SH):
            self._check_layout()
            latest = self._signed(self.folder / "checkpoint")
            self._check_counts(latest.size)
            entries, last = self._replay(latest.size)
        self._check_same_tree(latest, last)
        return LedgerView(
            entries=entries,
            size=latest.size,
            root=latest.root,
            time=_utc(latest.time),
            origin=self.origin,
            note=latest.data.decode("utf-8"),
        )

    def append(self, data: bytes, *, log_key: KeyPair, now: datetime) -> int:
        """Append one entry; return its index, once the entry and its checkpoint are durable.

        Raises:
            LedgerError: the entry is empty or too long, the ledger does not verify, `now` is before its latest
                checkpoint, or the disk refuses. Nothing was acknowledged then.
            UsageError: another log's key, or `now` has no time zone.
        """
        if not 0 < len(data) <= ENTRY_LIMIT:
            raise LedgerError(f"got an entry of {len(data)} bytes, expected 1 to {ENTRY_LIMIT}")
        time = self._check_signer(log_key, now)
        with self._locked(fcntl.LOCK_EX):
            latest, frontier = self._settled()
            self._check_clock(time, latest)
            if latest.size >= _MOST_ENTRIES:
                raise LedgerError(f"`{self.folder}`: got {latest.size} entries, expected fewer than {_MOST_ENTRIES}")
            frontier.append(leaf_hash(data))
            note = self._sign(frontier.size, frontier.root(), log_key, time)
            self._write_entry(latest.size, data, note)
        return latest.size

    def refresh(self, log_key: KeyPair, now: datetime) -> None:
        """Cosign the latest checkpoint again, at `now`: nothing was added until then.

        Raises:
            LedgerError: as for `append`.
            UsageError: as for `append`.
        """
        time = self._check_signer(log_key, now)
        with self._locked(fcntl.LOCK_EX):
            latest, _ = self._settled()
            self._check_clock(time, latest)
            note = self._sign(latest.size, latest.root, log_key, time)
            try:
                self._replace_latest(note)
            except OSError as error:
                with suppress(OSError):
                    self._clear()
                raise self._refused(error) from error

    def mend(self) -> None:
        """Settle a write that a crash cut short; changes nothing in a whole ledger. Needs no key: it signs nothing.

        Raises:
            LedgerError: the folder holds something that no crash leaves behind, or the disk refuses.
        """
        with self._locked(fcntl.LOCK_EX):
            self._settled()

    # Reading

    def _replay(self, size: int) -> tuple[tuple[Entry, ...], _Signed]:
        """Read the first `size` entries beside the checkpoint of each; return them with the last checkpoint."""
        frontier, entries = Frontier(), []
        last = self._matching(frontier, not_before=0)
        for index in range(size):
            data = _read(self._entry(index), ENTRY_LIMIT)
            frontier.append(leaf_hash(data))
            last = self._matching(frontier, not_before=last.time)
            entries.append(Entry(index, data, _utc(last.time)))
        return tuple(entries), last

    def _matching(self, frontier: Frontier, *, not_before: int) -> _Signed:
        """Return the numbered checkpoint that signs exactly the tree of `frontier`."""
        path = self._checkpoint(frontier.size)
        signed = self._signed(path)
        if signed.size != frontier.size:
            raise LedgerError(f"`{path}`: got a checkpoint of size {signed.size}, expected {frontier.size}")
        if signed.root != frontier.root():
            covered = self._entry(frontier.size - 1) if frontier.size else path
            raise LedgerError(
                f"`{covered}`: got root {frontier.root().hex()}, expected {signed.root.hex()} by `{path}`"
            )
        if signed.time < not_before:
            raise LedgerError(f"`{path}`: got time {_utc(signed.time)}, expected {_utc(not_before)} or later")
        return signed

    def _signed(self, path: Path) -> _Signed:
        """Read a checkpoint that the log's key signed and then cosigned, and that nobody else did."""
        data = _read(path, _NOTE_LIMIT)
        try:
            checkpoint, time = self._verified(Note.parse(data))
        except LedgerError as error:
            raise LedgerError(f"`{path}`: {error}") from error
        return _Signed(checkpoint.size, checkpoint.root, time, data)

    def _verified(self, note: Note) -> tuple[Checkpoint, int]:
        signer, cosigner = NoteKey(self.origin, self.key), NoteKey(self.origin, self.key, COSIGNATURE)
        if [line.key_id for line in note.signatures] != [signer.key_id, cosigner.key_id]:
            raise LedgerError("note: got other signature lines, expected the log's signature, then its cosignature")
        verify_signature(note, signer)
        time = verify_cosignature(note, cosigner)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.origin:
            raise LedgerError(f"checkpoint: got origin `{checkpoint.origin}`, expected `{self.origin}`")
        if time > _LATEST_TIME:
            raise LedgerError(f"cosignature: got time {time}, expected at most {_LATEST_TIME}")
        return checkpoint, time

    def _check_same_tree(self, latest: _Signed, last: _Signed) -> None:
        """Check `checkpoint` against the numbered checkpoint of its size: the same tree, no earlier."""
        path = self.folder / "checkpoint"
        if latest.root != last.root:
            raise LedgerError(f"`{path}`: got root {latest.root.hex()}, expected {last.root.hex()}")
        if latest.time < last.time:
            raise LedgerError(f"`{path}`: got time {_utc(latest.time)}, expected {_utc(last.time)} or later")

    def _check_layout(self) -> None:
        with _refusing(self.folder), os.scandir(self.folder) as found:
            modes = {item.name: item.stat(follow_symlinks=False).st_mode for item in found}
        for name in sorted(modes.keys() - _LAYOUT.keys()):
            hint = f" ({_UNFINISHED})" if name in (_ENTRY, _LATEST, _RECORD) else ""
            raise LedgerError(f"`{self.folder / name}`: got an unknown file or folder, expected none{hint}")
        for name, is_right in _LAYOUT.items():
            if name not in modes or not is_right(modes[name]):
                kind = "file" if is_right is stat.S_ISREG else "folder"
                raise LedgerError(f"`{self.folder / name}`: got none, or something else, expected a {kind}")

    def _check_counts(self, size: int) -> None:
        for folder, expected in ((self.folder / "entries", size), (self.folder / "checkpoints", size + 1)):
            got = _count(folder)
            if got != expected:
                first = folder / f"{min(got, expected):08d}"
                raise LedgerError(f"`{folder}`: got {got} files, expected {expected} by `checkpoint`; see `{first}`")

    # Writing

    def _settled(self) -> tuple[_Signed, Frontier]:
        """Settle what a crash left, re-read every entry, and return the latest checkpoint with the tree it covers."""
        latest = self._signed(self.folder / "checkpoint")
        frontier = self._reread(latest)
        record = self._record(latest, frontier)
        if record is not None:
            with self._durably():
                self._roll_forward(record.size, record.data)
            frontier.append(leaf_hash(_read(self._entry(frontier.size), ENTRY_LIMIT)))
            latest = self._matching(frontier, not_before=latest.time)
        with self._durably():
            self._clear()
        self._check_layout()
        self._check_counts(latest.size)
        return latest, frontier

    def _reread(self, latest: _Signed) -> Frontier:
        """Rebuild the tree from the bytes on the disk, and hold it against what was signed last."""
        frontier = Frontier()
        for index in range(latest.size):
            frontier.append(leaf_hash(_read(self._entry(index), ENTRY_LIMIT)))
        self._check_same_tree(latest, self._matching(frontier, not_before=0))
        return frontier

    def _record(self, latest: _Signed, frontier: Frontier) -> _Signed | None:
        """Return the signed checkpoint of an append that was cut short after it was committed, if there is one.

        Only what the log's key has signed is ever finished: an entry put here by somebody else is not.
        """
        for path in (self.folder / _RECORD, self._checkpoint(latest.size + 1)):
            for entry in (self.folder / _ENTRY, self._entry(latest.size)):
                with suppress(LedgerError):  # torn or absent: the write was never committed
                    record, grown = self._signed(path), frontier.copy()
                    grown.append(leaf_hash(_read(entry, ENTRY_LIMIT)))
                    if record.time >= latest.time and (record.size, record.root) == (grown.size, grown.root()):
                        return record
        return None

    def _write_entry(self, index: int, data: bytes, note: bytes) -> None:
        """Make an entry and its checkpoint durable, both or neither.

        Everything that takes space is staged first. Until all of it is durable, an error undoes, and the signed note
        was never where anyone reads; after that it only goes forward, as after a crash: the log must not publish two
        different trees of one size (c2sp.org/tlog-checkpoint).
        """
        staged = ((_ENTRY, data), (_LATEST, note), (_RECORD, note))
        try:
            for name, content in staged:
                # crash point: parts of the staged files; no record, so the next writer clears them away
                _write(self.folder / name, content)
            _sync(self.folder)
        except OSError as error:
            with suppress(OSError):
                self._clear()
            raise self._refused(error) from error
        # crash point: the record is durable, nothing is visible; the next writer rolls forward, as we do here
        try:
            self._roll_forward(index + 1, note)
        except OSError as error:
            with suppress(OSError):
                self._roll_forward(index + 1, note)
                self._clear()
            raise self._refused(error) from error

    def _roll_forward(self, size: int, note: bytes) -> None:
        """Make a committed append visible; may be repeated from any point."""
        _place(self.folder / _ENTRY, self._entry(size - 1))
        # crash point: an entry without its checkpoint; the record still covers it
        _place(self.folder / _RECORD, self._checkpoint(size))
        # crash point: `checkpoint` is one behind; the numbered checkpoint now serves as the record
        self._replace_latest(note)

    def _replace_latest(self, note: bytes) -> None:
        staged = self.folder / _LATEST
        if not _holds(staged, note):
            staged.unlink(missing_ok=True)
            _write(staged, note)
        staged.rename(self.folder / "checkpoint")
        # crash point: whole either way; without the sync, the older `checkpoint` may come back
        _sync(self.folder)

    def _clear(self) -> None:
        """Remove what was staged, the record first: without it the rest means nothing."""
        for name in (_RECORD, _LATEST, _ENTRY):
            (self.folder / name).unlink(missing_ok=True)

    def _sign(self, size: int, root: bytes, log_key: KeyPair, time: int) -> bytes:
        text = Checkpoint(self.origin, size, root).text
        return Note(text, (sign(text, self.origin, log_key), cosign(text, self.origin, log_key, time=time))).to_bytes()

    def _check_signer(self, log_key: KeyPair, now: datetime) -> int:
        if log_key.public != self.key:
            raise UsageError(f"got log key `{log_key.public}`, expected `{self.key}`")
        return _seconds(now)

    def _check_clock(self, time: int, latest: _Signed) -> None:
        if time < latest.time:
            raise LedgerError(
                f"`{self.folder}`: the clock went back: got {_utc(time)}, expected {_utc(latest.time)} or later"
            )

    def _refused(self, error: OSError) -> LedgerError:
        return LedgerError(
            f"`{self.folder}`: cannot write ({error.strerror}); nothing was acknowledged, and what stood before stands"
        )

    @contextmanager
    def _durably(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(error) from error

    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        """Hold the lock: one writer, or any number of readers. The kernel drops it when a process dies."""
        path = self.folder / "lock"
        descriptor = _open(path)
        try:
            size = os.fstat(descriptor).st_size
            if size:
                raise LedgerError(f"`{path}`: got {size} bytes, expected an empty file")
            with _refusing(path):
                fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)

    def _entry(self, index: int) -> Path:
        return self.folder / "entries" / f"{index:08d}"

    def _checkpoint(self, size: int) -> Path:
        return self.folder / "checkpoints" / f"{size:08d}"


def _seconds(now: datetime) -> int:
    """Return `now` as POSIX seconds, fractions dropped."""
    if now.utcoffset() is None:
        raise UsageError(f"got time `{now}`, expected one with a time zone")
    time = (now - _EPOCH) // timedelta(seconds=1)
    if time < 0:
        raise UsageError(f"got time `{now}`, expected 1970 or later")
    return time


def _utc(time: int) -> datetime:
    return _EPOCH + timedelta(seconds=time)


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"`{folder}` is not empty, expected a new or empty folder for the ledger")
        (folder / "entries").mkdir()
        (folder / "checkpoints").mkdir()
    except OSError as error:
        raise UsageError(f"`{folder}`: cannot make the ledger's folder ({error.strerror})") from error


def _count(folder: Path) -> int:
    """Return how many files stand in `folder`; they must be plain files named 00000000 and on, without a gap."""
    with _refusing(folder), os.scandir(folder) as found:
        modes = {item.name: item.stat(follow_symlinks=False).st_mode for item in found}
    expected = [f"{n:08d}" for n in range(len(modes))]
    for name in sorted(modes):
        if not stat.S_ISREG(modes[name]):
            raise LedgerError(f"`{folder / name}`: got something that is not a plain file, expected one")
        if not (len(name) == 8 and name.isascii() and name.isdecimal()):
            raise LedgerError(f"`{folder / name}`: got an unknown file, expected none")
    missing = next((name for name in expected if name not in modes), None)
    if missing is not None:
        raise LedgerError(f"`{folder / missing}`: got none, expected a file, since later ones are there")
    return len(modes)


def _read(path: Path, limit: int) -> bytes:
    """Return what a plain file holds."""
    descriptor = _open(path)
    with _refusing(path), os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LedgerError(f"`{path}`: got more than {limit} bytes, expected at most that")
    return data


def _open(path: Path) -> int:
    """Open a plain file for reading: no symbolic link, and nothing that would block."""
    with _refusing(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LedgerError(f"`{path}`: got something that is not a plain file, expected one")
    return descriptor


def _holds(path: Path, data: bytes) -> bool:
    try:
        return _read(path, len(data)) == data
    except LedgerError:
        return False


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"`{path}`: cannot read it ({error.strerror}), expected a file or folder of the ledger"
        ) from error


def _write(path: Path, data: bytes) -> None:
    """Write a new file whole and have it on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(staged: Path, target: Path) -> None:
    """Rename, unless an earlier attempt did; never replaces what stands at `target`."""
    if not os.path.lexists(target):
        staged.rename(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    """Have the folder's names on the disk: a rename is durable only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
