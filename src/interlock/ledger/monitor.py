"""Watching a ledger from outside: is what it shows now a continuation of what it showed before?

One checkpoint is kept in a file. A ledger that lost entries, changed one, or tells two people two stories cannot show
a tree that continues it; what it signed then stands beside the kept one, in `FILE.conflict`: two signatures by one key
over trees that exclude each other. In `FILE.times` are the times of the entries, which no tree covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from interlock.errors import LedgerError, UsageError
from interlock.ledger import _disk, merkle
from interlock.ledger._signed import NOTE_LIMIT, Signed, utc
from interlock.ledger._times import Times
from interlock.ledger.log import Ledger
from interlock.ledger.proof import consistency

__all__ = ["Watched", "continues", "no_earlier", "start", "watch"]


@dataclass(frozen=True, slots=True)
class Watched:
    """The checkpoint that was kept, and the later one that continues it."""

    kept: Signed
    latest: Signed


def start(ledger: Ledger, kept: Path) -> Signed:
    """Keep the ledger's checkpoint for the first time: from here on it cannot change unseen.

    Raises:
        UsageError: there is a kept one already, or it cannot be written.
        LedgerError: the checkpoint is not the log's.
    """
    latest = ledger.latest()
    if kept.exists():
        raise UsageError(f"`{kept}` keeps a checkpoint already; watch against it without --start")
    times = Times().continued(ledger)
    _keep(kept, latest.data)
    _keep(_times(kept), times.line)
    return latest


def watch(ledger: Ledger, kept: Path) -> Watched:
    """Check that the ledger continues the kept checkpoint, and keep the latest one instead.

    Raises:
        UsageError: nothing is kept there, or it cannot be written.
        LedgerError: the ledger was cut off, forked or put back; the kept checkpoint stays, the other is put beside it.
            Or its entries have other times than they had; what is kept stays.
    """
    if not kept.is_file():
        raise UsageError(f"no checkpoint is kept in `{kept}`; keep the first one with --start")
    old = ledger.log.read(_disk.read(kept, NOTE_LIMIT), f"`{kept}`")
    latest, path = consistency(ledger, old.size)
    try:
        continues(old, latest, path)
    except LedgerError as error:
        conflict = kept.with_name(f"{kept.name}.conflict")
        _keep(conflict, latest.data)
        raise LedgerError(
            f"`{ledger.folder}` does not continue what it showed before: {error}; both checkpoints are kept, in "
            f"`{kept}` and `{conflict}`"
        ) from error
    times = Times.read(_times(kept)).continued(ledger)
    _keep(kept, latest.data)
    _keep(_times(kept), times.line)
    return Watched(old, latest)


def continues(old: Signed, latest: Signed, path: tuple[bytes, ...]) -> None:
    """Check that a later checkpoint continues an earlier one, by the path from the one tree to the other.

    Raises:
        LedgerError: it has fewer entries, an earlier time, or does not begin with the same.
    """
    no_earlier(old, latest)
    if old.size:  # everything continues an empty ledger
        merkle.verify_consistency(old.size, latest.size, old_root=old.root, new_root=latest.root, proof=path)


def no_earlier(old: Signed, latest: Signed) -> None:
    """Check that a checkpoint is of no earlier state than another, by what the two say.

    Raises:
        LedgerError: it has fewer entries, or an earlier time.
    """
    if latest.size < old.size:
        raise LedgerError(f"it was cut off: got {latest.size} entries, expected {old.size} or more")
    if latest.time < old.time:
        raise LedgerError(f"it was put back: got time {utc(latest.time)}, expected {utc(old.time)} or later")


def _times(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.times")


def _keep(path: Path, note: bytes) -> None:
    try:
        _disk.replace(path, note)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot write ({error.strerror})") from error
