"""What a witness answers: the checks of c2sp.org/tlog-witness, then the record, then the cosignature.

    WITNESS/witness.key, witness.pub   the key, made with the witness and never used by another
    WITNESS/record.db                  what it cosigned last (interlock.witness.record)
    WITNESS/logs                       the logs that it watches: `log VKEY`, a line each; read at the start
    WITNESS/conflicts/                 two checkpoints of one log and one size with different roots: proof to anyone

Guarantees: of each log it cosigns one history, at times that never go back, whenever the process is killed; what it
answers was durable before. The first checkpoint of a log is taken as it comes.

Leaves to its operator: to keep `record.db` from being put back to an earlier state, and the key in one place.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from interlock.errors import InterlockError, LedgerError, UsageError
from interlock.evidence import keys
from interlock.ledger import _disk, merkle
from interlock.ledger._signed import seconds
from interlock.ledger.note import COSIGNATURE, Checkpoint, Note, NoteKey, cosign, verify_signature
from interlock.ledger.quorum import parse_logs
from interlock.witness.protocol import MOST_SIZE, SIZE_TYPE, Submission
from interlock.witness.record import NOTHING, Record, Seen

__all__ = ["Answer", "Witness", "create"]

_LOGS_LIMIT = 1 << 20
_MOST_CONFLICTS = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, and what the witness tells its operator of the request."""

    status: int
    body: bytes
    told: str
    kind: str = "text/plain; charset=utf-8"

    @classmethod
    def refusing(cls, status: int, why: str) -> Answer:
        """An answer without a cosignature."""
        return cls(status, f"{why}\n".encode(errors="backslashreplace"), why)


def create(folder: Path, name: str, logs: bytes, *, passphrase: bytes | None) -> NoteKey:
    """Start a witness in a new or empty folder, with a new key; `logs` is the file of that name.

    A crash here leaves a folder that is no witness: remove it.

    Raises:
        UsageError: the folder holds something, or the name or the logs cannot be used.
        LedgerError: it could not be written.
    """
    parse_logs(logs, "logs")
    _check_name(name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"`{folder}` is not empty, expected a new or empty folder for the witness")
        key = NoteKey(name, keys.new_key(folder / "witness.key", passphrase=passphrase).public, COSIGNATURE)
        _disk.write(folder / "logs", logs)
        (folder / "conflicts").mkdir()
        # crash point: no record, so this is no witness
        Record.create(folder / "record.db", key.vkey)
        _disk.sync(folder)
        _disk.sync(folder.parent)
    except OSError as error:
        raise UsageError(f"`{folder}`: cannot start the witness ({error.strerror}); remove the folder") from error
    return key


class Witness:
    """An opened witness. Any number of threads may ask it; one request at a time reaches the record.

    Raises:
        UsageError: the folder holds no witness, its key cannot be opened, or its logs cannot be read.
        LedgerError: the record is missing, another witness's, or held by another process.
    """

    def __init__(
        self, folder: Path, unlock: keys.Unlock | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if not folder.is_dir():
            raise UsageError(f"`{folder}`: no folder there, expected a witness; make one with `interlock witness init`")
        self._folder, self._clock, self._mutex = folder, clock, threading.Lock()
        self._logs = _logs(folder / "logs")
        self._record = Record(folder / "record.db")
        try:
            self._pair = keys.load_private(folder / "witness.key", unlock)
            self.key = NoteKey.parse(self._record.vkey)
            self._check_keys()
        except BaseException:
            self._record.close()
            raise

    def _check_keys(self) -> None:
        if (self.key.public, self.key.kind) != (self._pair.public, COSIGNATURE):
            raise LedgerError(
                f"`{self._folder}`: the record is of key `{self.key.public}`, got `{self._pair.public}` in "
                "witness.key: one of the two was put there from another witness"
            )
        if any(log.public == self.key.public for logs in self._logs.values() for log in logs):
            raise UsageError(f"`{self._folder / 'logs'}`: a log there has the witness's own key, expected another")

    @property
    def logs(self) -> tuple[NoteKey, ...]:
        """The logs that it watches."""
        return tuple(log for logs in self._logs.values() for log in logs)

    def close(self) -> None:
        """Give up the record, once nothing is being answered.

        Raises:
            LedgerError: it cannot be closed.
        """
        with self._mutex:
            self._record.close()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one `add-checkpoint` request."""
        try:
            submitted = Submission.parse(body)
            tree = _tree(submitted.checkpoint)
        except LedgerError as error:
            return Answer.refusing(400, str(error))
        if tree.origin not in self._logs:
            return Answer.refusing(404, f"unknown log {tree.origin!a:.120}")
        try:
            note = _verified(submitted.checkpoint, self._logs[tree.origin])
        except LedgerError as error:
            return Answer.refusing(403, f"`{tree.origin}`: invalid signature: {error}")
        if submitted.old_size > tree.size:
            return Answer.refusing(
                400, f"`{tree.origin}`: got old size {submitted.old_size}, expected at most {tree.size}"
            )
        try:
            with self._mutex:
                return self._judge(submitted, tree, note)
        except InterlockError as error:
            return Answer.refusing(500, str(error))

    def checkpoint(self, path: str) -> Answer:
        """Answer a monitor: the last checkpoint cosigned of the log whose origin has this SHA-256, in hexadecimal."""
        origin = next((it for it in self._logs if hashlib.sha256(it.encode()).hexdigest() == path), None)
        try:
            with self._mutex:
                seen = NOTHING if origin is None else self._record.seen(origin)
        except LedgerError as error:
            return Answer.refusing(500, str(error))
        if not seen.note:
            return Answer.refusing(404, "unknown log, or nothing was cosigned of it")
        note = Note.parse(seen.note)
        line = cosign(note.text, self.key.name, self._pair, time=seen.time)  # the bytes that were answered then
        return Answer(200, Note(note.text, (*note.signatures, line)).to_bytes(), f"`{origin}` at size {seen.size}")

    def _judge(self, submitted: Submission, tree: Checkpoint, note: Note) -> Answer:
        """Cosign, if the checkpoint continues the last one. The mutex is held."""
        seen, time = self._record.seen(tree.origin), seconds(self._clock())
        alarm = self._keep_conflict(seen, tree, note) if _is_fork(seen, tree) else ""
        if submitted.old_size != seen.size:
            told = f"`{tree.origin}`: got old size {submitted.old_size}, expected {seen.size}{alarm}"
            return Answer(409, f"{seen.size}\n".encode(), told, SIZE_TYPE)
        try:
            _check_continues(seen, tree, submitted.proof)
        except LedgerError as error:
            return Answer.refusing(422, f"`{tree.origin}` at size {tree.size}: {error}{alarm}")
        if time < seen.time:
            return Answer.refusing(503, f"the clock went back: got time {time}, expected {seen.time} or later")
        self._record.advance(tree.origin, Seen(tree.size, tree.root, time, note.to_bytes()))
        # crash point: recorded, and nothing was answered; asked again from this size, it cosigns this tree
        line = cosign(note.text, self.key.name, self._pair, time=time)
        return Answer(200, line.line().encode(), f"`{tree.origin}` cosigned from size {seen.size} to {tree.size}")

    def _keep_conflict(self, seen: Seen, tree: Checkpoint, note: Note) -> str:
        """Keep two checkpoints that exclude each other; say so."""
        folder, text = self._folder / "conflicts", seen.note + b"\n" + note.to_bytes()
        path = folder / hashlib.sha256(note.text.encode()).hexdigest()
        try:
            if not path.exists() and sum(1 for _ in folder.iterdir()) < _MOST_CONFLICTS:
                _disk.replace(path, text)
        except OSError as error:
            return f"; ALARM: the log signed two trees of size {tree.size}, and they cannot be kept ({error.strerror})"
        return f"; ALARM: the log signed two trees of size {tree.size}: `{path}` has both"


def _logs(path: Path) -> dict[str, list[NoteKey]]:
    """The keys that are trusted, by the origin that they sign for."""
    try:
        data = _disk.read(path, _LOGS_LIMIT)
    except LedgerError as error:
        raise UsageError(f"{error}: no witness, or one whose creation was cut short") from error
    logs: dict[str, list[NoteKey]] = {}
    for key in parse_logs(data, str(path)):
        logs.setdefault(key.name, []).append(key)
    return logs


def _tree(data: bytes) -> Checkpoint:
    """The first three lines. Extension lines are cosigned with them, and mean nothing to a witness."""
    text, found, _ = data.rpartition(b"\n\n")
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise LedgerError("checkpoint: got bytes that are not UTF-8, expected text") from error
    if "" in lines or not found:
        raise LedgerError("checkpoint: got no text, or an empty line, expected text and one before the signatures")
    tree = Checkpoint.parse("\n".join(lines[:3]) + "\n")
    if tree.size > MOST_SIZE:
        raise LedgerError(f"checkpoint: got size {tree.size}, expected at most {MOST_SIZE}")
    return tree


def _verified(data: bytes, logs: list[NoteKey]) -> Note:
    """The checkpoint with the lines of the log's keys alone: at least one, and each good."""
    note = Note.parse(data)
    known = {(key.name, key.key_id): key for key in logs}
    lines = tuple(line for line in note.signatures if (line.name, line.key_id) in known)
    if not lines:
        raise LedgerError("got no line of a key that is trusted for this log, expected one")
    for line in lines:
        verify_signature(note, known[line.name, line.key_id])
    return Note(note.text, lines)


def _is_fork(seen: Seen, tree: Checkpoint) -> bool:
    return tree.size == seen.size > 0 and tree.root != seen.root


def _check_continues(seen: Seen, tree: Checkpoint, proof: tuple[bytes, ...]) -> None:
    if seen.size or not tree.size:
        merkle.verify_consistency(
            seen.size, tree.size, old_root=seen.root, new_root=tree.root, proof=proof
        )  # which an empty old tree passes only beside another empty one
    elif proof:
        raise LedgerError(f"consistency proof: got {len(proof)} hashes from size 0 on, expected none")


def _check_name(name: str) -> None:
    try:
        NoteKey(name, keys.KeyPair.generate().public, COSIGNATURE)
    except LedgerError as error:
        raise UsageError(f"--name: {error}") from error
