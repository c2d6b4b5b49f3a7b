"""The beginning of a ledger, whole, in one piece: its entries from 0 on, the checkpoints that date them, and the proofs
that a later checkpoint continues them.

Guarantees: what `Prefix.verify` lets through are the first entries of a log whose key signed every checkpoint here,
none left out; each was there at the time that it is given. No byte of the piece can be another one.
Leaves to the caller: what the entries mean; that an entry may have been there earlier (the notes of a history do not
name each other, so one may be missing); and that the log shows everybody the same, which takes cosignatures of
witnesses, in the checkpoint alone: `cosigners` checks them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.errors import LedgerError, UsageError
from interlock.ledger import _disk, entry, merkle
from interlock.ledger import quorum as quorums
from interlock.ledger._signed import Log, Signed, utc
from interlock.ledger.log import Entry, Ledger, LedgerView
from interlock.ledger.merkle import Frontier
from interlock.ledger.note import Note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from interlock.ledger.quorum import Quorum

__all__ = ["Cosigners", "Prefix", "Shown", "cosigned", "cut", "no_cosigners"]

Cosigners = Callable[[Note], tuple[str, ...]]
"""Checks each signature line of a checkpoint after the log's two; returns the names of those who cosigned."""

_OWN_LINES = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """What a piece shows: its entries at their times; the checkpoint that continues them; who cosigned that one.

    The view's size, root and time are those at the last entry of the piece. `uncovered` has for each entry the time of
    the last checkpoint that did not cover it: it was not there before.
    """

    view: LedgerView
    uncovered: tuple[datetime, ...]
    checkpoint: Signed
    cosigned_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first entries of a ledger; nothing in it is to be believed before `verify`.

    `history` are the checkpoints from the first one up to the one that covers the last entry; `history_proof` and
    `checkpoint_proof` lead from the tree of these entries to that one, and to `checkpoint`.
    """

    entries: tuple[bytes, ...]
    history: tuple[bytes, ...]
    history_proof: tuple[bytes, ...]
    checkpoint: bytes
    checkpoint_proof: tuple[bytes, ...]

    def verify(self, log: Log, cosigners: Cosigners) -> Shown:
        """Check everything, in one pass over the entries.

        1. The history begins at size 0; sizes grow, times never go back; its last note, and no earlier one, covers the
           last entry. Each note has the log's two signature lines and no other.
        2. The entries make the root of each note of the history up to their number.
        3. The last note of the history, and the checkpoint, continue the tree of the entries, by their proofs.
        4. The checkpoint is no smaller and no earlier than the history, and of the same tree where it is as large.
        5. Whoever else signed the checkpoint is known to `cosigners`.

        Raises:
            LedgerError: one of these is not so; says which.
        """
        frontier, entries, last = Frontier(), list[Entry](), None
        uncovered: list[datetime] = []
        for signed in self._dated(log):
            for index, data in enumerate(self.entries[frontier.size : signed.size], frontier.size):
                entry.check(data)
                entries.append(Entry(index, data, utc(signed.time)))
                uncovered.append(utc(last.time if last else signed.time))
                frontier.append(entries[-1].leaf)
            if signed.size == frontier.size and signed.root != frontier.root():
                first = last.size if last else 0
                raise LedgerError(
                    f"entries {first} to {signed.size - 1}: got root {frontier.root().hex()}, expected "
                    f"{signed.root.hex()} by the history's checkpoint of size {signed.size}"
                )
            last = signed
        if last is None or last.size < len(self.entries):
            got = last.size if last else "nothing"
            raise LedgerError(f"history: ends at size {got}, expected {len(self.entries)} or more")
        size, root = frontier.size, frontier.root()
        _continues(size, root, last, self.history_proof, "history")
        latest, cosigned_by = self._latest(log, last, cosigners)
        _continues(size, root, latest, self.checkpoint_proof, "checkpoint")
        view = LedgerView(tuple(entries), size, root, utc(last.time), log.origin, self.checkpoint.decode("utf-8"))
        return Shown(view, tuple(uncovered), latest, cosigned_by)

    def _dated(self, log: Log) -> Iterator[Signed]:
        """The notes of the history, in an order that a history can have."""
        last: Signed | None = None
        for number, note in enumerate(self.history):
            signed, where = log.read_own(note, f"history {number}"), f"history {number}"
            if last is None and signed.size:
                raise LedgerError(f"{where}: got size {signed.size} first, expected 0")
            if last is None and signed.root != merkle.EMPTY_ROOT:
                raise LedgerError(
                    f"{where}: got root {signed.root.hex()} at size 0, expected {merkle.EMPTY_ROOT.hex()}"
                )
            if last is not None and signed.size <= last.size:
                raise LedgerError(f"{where}: got size {signed.size} after {last.size}, expected a larger one")
            if last is not None and signed.time < last.time:
                got, expected = utc(signed.time), utc(last.time)
                raise LedgerError(f"{where}: got time {got} at size {signed.size}, expected {expected} or later")
            if last is not None and last.size >= len(self.entries):
                raise LedgerError(
                    f"{where}: got another checkpoint after the one that covers all entries, expected none"
                )
            last = signed
            yield signed

    def _latest(self, log: Log, last: Signed, cosigners: Cosigners) -> tuple[Signed, tuple[str, ...]]:
        signed = log.read(self.checkpoint, "checkpoint")
        if signed.size < last.size:
            raise LedgerError(f"checkpoint: got size {signed.size}, expected {last.size} or more by the history")
        if signed.time < last.time:
            got, expected = utc(signed.time), utc(last.time)
            raise LedgerError(f"checkpoint: got time {got}, expected {expected} or later by the history")
        if signed.size == last.size and signed.root != last.root:
            raise LedgerError(
                f"checkpoint: got root {signed.root.hex()} at size {signed.size}, the history has {last.root.hex()}: "
                "the log signed two trees of one size"
            )
        return signed, cosigners(Note.parse(self.checkpoint))


def no_cosigners(note: Note) -> tuple[str, ...]:
    """Allow nobody beside the log: a line that is not verified is a field that nobody signed.

    Raises:
        LedgerError: there is one.
    """
    if len(note.signatures) > _OWN_LINES:
        name = note.signatures[_OWN_LINES].name
        raise LedgerError(f"checkpoint: got a signature line of `{name}`, expected none without a file of witnesses")
    return ()


def cosigned(quorum: Quorum, *, log: Log, now: datetime) -> Cosigners:
    """Insist on a quorum of witnesses, by a clock that shows `now`, and on no line but the log's and theirs."""

    def check(note: Note) -> tuple[str, ...]:
        standing = quorums.check(note.to_bytes(), quorum, log=log, now=now)
        standing.require()
        counted = {(it.witness.key.name, it.witness.key.key_id) for it in standing.cosigners if it.time is not None}
        for line in note.signatures[_OWN_LINES:]:
            if (line.name, line.key_id) not in counted:
                raise LedgerError(f"checkpoint: got a signature line of `{line.name}` that no witness of the file made")
        return tuple(it.witness.name for it in standing.cosigners if it.time is not None)

    return check


def cut(ledger: Ledger, view: LedgerView, size: int) -> Prefix:
    """Return the first `size` entries of a ledger that was read as `view`, with what dates and proves them.

    Raises:
        UsageError: the ledger has fewer, or none is asked for.
        LedgerError: the history does not cover them any more.
    """
    if not 0 < size <= view.size:
        raise UsageError(f"got {size} entries to cut off, expected 1 to {view.size}")
    history = _history(ledger, size)
    leaves = [one.leaf for one in view.entries]
    return Prefix(
        entries=tuple(one.data for one in view.entries[:size]),
        history=tuple(signed.data for signed in history),
        history_proof=merkle.consistency_proof(leaves[: history[-1].size], size),
        checkpoint=view.note.encode(),
        checkpoint_proof=merkle.consistency_proof(leaves, size),
    )


def _history(ledger: Ledger, size: int) -> list[Signed]:
    """The checkpoints of a ledger up to the one that first covers `size` entries."""
    path, found = ledger.folder / "history", list[Signed]()
    with os.fdopen(_disk.open_plain(path), "rb") as file:
        for signed in ledger.log.history(file, os.fstat(file.fileno()).st_size, f"`{path}`"):
            found.append(signed)
            if signed.size >= size:
                return found
    raise LedgerError(f"`{path}`: ends before it covers {size} entries")


def _continues(size: int, root: bytes, signed: Signed, proof: tuple[bytes, ...], where: str) -> None:
    try:
        merkle.verify_consistency(size, signed.size, old_root=root, new_root=signed.root, proof=proof)
    except LedgerError as error:
        raise LedgerError(f"{where}: {error}") from error
