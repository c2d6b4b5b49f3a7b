"""What a gate asks again and again, a workspace or a file: what it says now, or that it cannot be reached.

Guarantees: only a workspace that is not there, or a disk or server that does not answer, is out; what can be read and
is wrong raises as ever. A file that is missing where others are, that nobody may read, or that is no file, is wrong.
What it leaves to the caller: what to do in an outage. Nothing begins in one, and no lease grows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from interlock.errors import InterlockError, LedgerError, UsageError
from interlock.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from interlock.evidence.passphrase import Passphrases
    from interlock.evidence.read import Evidence

__all__ = ["UnreachableError", "evidence_now", "file_now"]

_MOST_CONFIG = 1 << 20

#: What the system says where a disk or a server does not answer. Everything else is an answer, and a wrong one.
_OUT = {
    getattr(errno, name)
    for name in (
        *("EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
        *("ENETRESET", "ENOTCONN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET"),
    )
    if hasattr(errno, name)
}


class UnreachableError(LedgerError):
    """What a permit is verified by is not there to be asked. It says nothing, neither for nor against."""


def evidence_now(folder: Path, passphrases: Passphrases | None = None) -> Evidence:
    """All evidence of a workspace, with the logs of its results checked; signed anew if the log's key is here.

    Raises:
        UnreachableError: the workspace is out.
        UsageError, EvidenceError, LedgerError: it does not verify.
    """
    _check_there(folder)  # tells an outage from a workspace that is malformed
    try:
        return _read(folder, passphrases)
    except (OSError, InterlockError) as error:
        if (why := _outage(error) or _away(folder)) is not None:  # it may have gone while it was read
            raise UnreachableError(f"the ledger in `{folder}` cannot be reached: {why}") from error
        if isinstance(error, OSError):
            raise LedgerError(f"the workspace `{folder}` is not whole: {error}") from error
        raise


def _read(folder: Path, passphrases: Passphrases | None) -> Evidence:
    opened = Workspace.open(folder, passphrases)
    with contextlib.suppress(LedgerError, OSError):  # a time that is too old, the rule refuses
        if opened.can_sign_checkpoints():
            opened.refresh()
    evidence = opened.read()
    opened.check_logs(evidence)
    return evidence


def file_now(path: Path, limit: int) -> bytes:
    """A file, up to one byte more than may be read. One that is no file, such as a pipe, is not waited for.

    Raises:
        UnreachableError: the disk does not answer.
        UsageError: there is none, or it may not be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"`{path}`: cannot read it (it is no file)")
            return file.read(limit + 1)
    except OSError as error:
        if _outage(error):
            raise UnreachableError(f"`{path}` does not answer ({error.strerror})") from error
        raise UsageError(f"`{path}`: cannot read it ({error.strerror})") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _check_there(folder: Path) -> None:
    try:
        file_now(folder / "interlock.json", _MOST_CONFIG)
    except UnreachableError as error:
        raise UnreachableError(f"the ledger in `{folder}` cannot be reached: {error}") from error
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError) and (why := _away(folder)):
            raise UnreachableError(f"the ledger in `{folder}` cannot be reached: {why}") from error
        raise


def _away(folder: Path) -> str | None:
    """Why a workspace without its `interlock.json` is out; None: the rest of it is there."""
    try:
        return None if any(folder.iterdir()) else "the folder is empty"  # as one is where nothing is mounted
    except FileNotFoundError as error:
        return error.strerror
    except OSError as error:
        return _outage(error)


def _outage(error: BaseException | None) -> str | None:
    """What the system says of an outage that an error comes from; None: it comes from none."""
    if isinstance(error, LedgerError):
        error = error.__cause__
    return error.strerror if isinstance(error, OSError) and error.errno in _OUT else None
