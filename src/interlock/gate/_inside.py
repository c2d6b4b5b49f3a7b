"""What a gate inside a command tells the launcher outside of it: that it holds, and why.

A program between the two ends with an exit code of its own: torchrun with 1, whatever its workers end with. So the
launcher names a file, and a gate that holds writes into it. Nothing opens by what stands there: it makes of the
command's failure a hold.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from interlock.errors import UsageError

__all__ = ["FILE", "listening", "read", "tell"]

FILE = "INTERLOCK_HELD_FILE"
_MOST = 1 << 12


def tell(reason: str) -> None:
    """Tell the launcher, if this process runs under one."""
    if file := os.environ.get(FILE):
        with suppress(OSError), _plain(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as told:
            os.write(told, f"{reason}\n".encode(errors="replace"))


@contextmanager
def listening() -> Iterator[Path]:
    """A file to be told in.

    Raises:
        UsageError: there is no place for temporary files.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="interlock-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(f"no temporary folder can be made: {error.strerror or error}") from error
    try:
        yield Path(folder.name) / "held"
    finally:
        with suppress(OSError, RecursionError):  # whatever a command has made there
            folder.cleanup()


def read(file: Path) -> str | None:
    """What was told first; None: nothing."""
    try:
        with _plain(file, os.O_RDONLY) as told:
            return os.read(told, _MOST).decode(errors="replace").partition("\n")[0].strip() or None
    except OSError:
        return None


@contextmanager
def _plain(file: str | Path, flags: int) -> Iterator[int]:
    """A file that is open. A pipe in its place is not waited for, nor a link followed.

    Raises:
        OSError: there is none, it is no plain file, or it may not be opened.
    """
    descriptor = os.open(file, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        yield descriptor
    finally:
        os.close(descriptor)
