"""Files that are whole and durable, or an error: reads that follow no link, writes that reach the disk, locks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.errors import LedgerError

#: Seconds that a lock of another process is waited for: longer than any holds one, and then it is an outage.
PATIENCE = 60.0

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.01  # seconds between two tries


def open_plain(path: Path) -> int:
    """Open a plain file for reading: no symbolic link, and nothing that would block."""
    with refusing(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LedgerError(f"`{path}`: got something that is not a plain file, expected one")
    return descriptor


def read(path: Path, limit: int) -> bytes:
    """Return what a plain file of at most `limit` bytes holds."""
    descriptor = open_plain(path)
    with refusing(path), os.fdopen(descriptor, "rb") as file:
        expected = min(os.fstat(descriptor).st_size, limit)  # a buffer for no more than there is
        data = file.read(expected + 1)
    if len(data) > limit:
        raise LedgerError(f"`{path}`: got more than {limit} bytes, expected at most that")
    return data


def read_back(path: Path, limit: int) -> bytes:
    """Return what a file holds on the disk: the memory that it was written from is given up first."""
    descriptor = open_plain(path)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return read(path, limit)


def write(path: Path, data: bytes) -> None:
    """Write a file whole and have its bytes on the disk; its name is durable once its folder is synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        put(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def replace(path: Path, data: bytes) -> None:
    """Put a file in another's place: a reader, and a crash, find the old bytes or the new ones."""
    staged = path.with_name(f"{path.name}.tmp")
    write(staged, data)
    # crash point: a staged file, which the next `replace` writes over
    staged.rename(path)
    # crash point: whole either way; without the sync, the older file may come back
    sync(path.parent)


def size(path: Path) -> int:
    """Return how many bytes a plain file has."""
    descriptor = open_plain(path)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def read_end(path: Path, start: int) -> bytes:
    """Return what a plain file holds from `start` on."""
    descriptor = open_plain(path)
    with refusing(path), os.fdopen(descriptor, "rb") as file:
        file.seek(start)
        return file.read()


def write_end(path: Path, data: bytes, start: int) -> None:
    """Have a file end with `data` from `start` on, durably; what stood there before is cut off."""
    if read_end(path, start) == data:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, start)
        put(descriptor, data, start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cut(path: Path, length: int) -> None:
    """Cut a file off, durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Have the folder's names on the disk: a new file or a rename is durable only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, durably."""
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn an error of the machine while reading into a `LedgerError`."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"`{path}`: cannot read it ({error.strerror}), expected a file or folder of the ledger"
        ) from error


@contextmanager
def locked_shared(path: Path) -> Iterator[None]:
    """Hold a lock file beside other readers; a copy of a ledger may lack it, and then nobody writes there."""
    if not os.path.lexists(path):
        yield
        return
    descriptor = open_plain(path)
    try:
        take(descriptor, fcntl.LOCK_SH, path)
        yield
    finally:
        os.close(descriptor)


def take(descriptor: int, how: int, path: Path) -> None:
    """Take the lock of an open file within `PATIENCE`; `how` is `LOCK_EX` or `LOCK_SH`.

    Raises:
        LedgerError: another process holds it for longer, as one does that was stopped; or there are no locks here.
    """
    until, pause = time.monotonic() + PATIENCE, _FIRST_PAUSE
    with refusing(path):
        while not _taken(descriptor, how):
            if time.monotonic() >= until:
                raise _too_long(path) from TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _too_long(path: Path) -> LedgerError:
    return LedgerError(
        f"`{path}`: this lock has been held for {PATIENCE:g} seconds by another, who may have been stopped; "
        "`fuser` names the processes that have the file open"
    )


class Lock:
    """One holder at a time, among the threads of this process and all processes: the kernel drops it with a process."""

    __slots__ = ("_descriptor", "_mutex", "_path")

    def __init__(self, path: Path) -> None:
        self._descriptor, self._path = open_plain(path), path
        self._mutex = threading.Lock()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait for it, within `PATIENCE`; then `release` it.

        Raises:
            LedgerError: as for `take`.
        """
        if not self._mutex.acquire(timeout=PATIENCE):
            raise _too_long(self._path) from TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        with self._freeing():
            take(self._descriptor, fcntl.LOCK_EX, self._path)

    def at_once(self) -> bool:
        """Take it if nobody holds it, and say whether it was taken; then `release` it."""
        if not self._mutex.acquire(blocking=False):
            return False
        with self._freeing():
            if _taken(self._descriptor, fcntl.LOCK_EX):
                return True
        self._mutex.release()
        return False

    def release(self) -> None:
        """Give it back."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._mutex.release()

    @contextmanager
    def _freeing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._mutex.release()
            raise

    def close(self) -> None:
        """Give up the file."""
        os.close(self._descriptor)
