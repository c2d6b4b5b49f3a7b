"""A workspace as a gate asks it, again and again: what its ledger says now, or that it cannot be reached.

Guarantees: only a workspace that is not there, or that the machine cannot read, is out; one that can be read and is
wrong raises as ever, and a file that is missing from a ledger that is there, or is no file any more, is wrong.
What it leaves to the caller: what to do in an outage. Nothing begins in one, and no lease grows.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from interlock.errors import LedgerError
from interlock.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from interlock.evidence.passphrase import Passphrases
    from interlock.evidence.read import Evidence


#: What a ledger that is there shows where something else stands in a file's place: it is wrong, not out.
_WRONG = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


class UnreachableError(LedgerError):
    """What a permit is verified by is not there to be asked. It says nothing, neither for nor against."""


def evidence_now(folder: Path, passphrases: Passphrases | None = None) -> Evidence:
    """All evidence of a workspace, with the logs of its results checked; signed anew if the log's key is here.

    Raises:
        UnreachableError: the workspace is out.
        UsageError, EvidenceError, LedgerError: it does not verify.
    """
    try:
        (folder / "interlock.json").read_bytes()  # tells an outage from a workspace that is malformed
    except OSError as error:
        raise _out(folder, error) from error
    try:
        opened = Workspace.open(folder, passphrases)
        with contextlib.suppress(LedgerError, OSError):  # a time that is too old, the rule refuses
            if opened.can_sign_checkpoints():
                opened.refresh()
        evidence = opened.read()
        opened.check_logs(evidence)
    except OSError as error:
        if error.errno not in _WRONG:
            raise _out(folder, error) from error
        raise LedgerError(f"the workspace `{folder}` is not whole: {error}") from error
    except LedgerError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _WRONG:
            raise _out(folder, error.__cause__) from error
        raise
    return evidence


def _out(folder: Path, error: OSError) -> UnreachableError:
    return UnreachableError(f"the ledger in `{folder}` cannot be reached: {error.strerror or error}")
