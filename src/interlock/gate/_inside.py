"""What a gate inside a command tells the launcher outside of it: that it holds, and why.

A program between the two ends with an exit code of its own: torchrun with 1, whatever its workers end with. So the
launcher names a file, and a gate that holds writes into it. Nothing opens by what stands there: it makes of the
command's failure a hold.
"""

from __future__ import annotations

import os
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
        with suppress(OSError), Path(file).open("a", encoding="utf-8") as told:
            told.write(f"{reason}\n")


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
    with folder as name:
        yield Path(name) / "held"


def read(file: Path) -> str | None:
    """What was told first; None: nothing."""
    try:
        with file.open("rb") as told:
            return told.read(_MOST).decode(errors="replace").partition("\n")[0].strip() or None
    except OSError:
        return None
