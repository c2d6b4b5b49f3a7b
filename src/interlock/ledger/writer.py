"""Writing the ledger: entries are sequenced, then published under a signed checkpoint.

**Sequenced**: an entry has its number for good and is durable in SQLite. Writers of all threads and processes that wait
at once share one commit: whoever gets the turn takes all that wait in its process, and in the queue; a process that
does not get it at once puts what it has into the queue.
**Published**: its tiles are on the disk and were read back, the root was recomputed from those bytes, and a checkpoint
over it was signed and recorded before anyone could see it. From then on readers find the entry.

Guarantees: what `append` returned is never lost and never changes its number, through a kill or a full disk at any
point; two different trees of one size are never signed. Whatever a crash leaves, the next writer finishes or clears.

Leaves to the caller: that an entry makes sense where it stands (`append_at` refuses if others came first).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair
from interlock.ledger import _disk, entry
from interlock.ledger._database import Database, State
from interlock.ledger._publish import Publication, published_edge
from interlock.ledger._queue import Queue, Taken, Ticket
from interlock.ledger._signed import NOTE_LIMIT, Log, Signed, seconds, utc
from interlock.ledger.log import Ledger
from interlock.ledger.merkle import EMPTY_ROOT
from interlock.ledger.note import Checkpoint, Note, NoteKey, verify_cosignature
from interlock.ledger.seal import Seal

__all__ = ["LAG", "Submitted", "Writer", "create"]

LAG = 1.0
"""Seconds after which what was sequenced is published, while a writer is open."""

_PRIVATE = "sequencer"
_PAUSE, _MOST_PAUSE = 0.1, 0.01  # of the last commit's duration, and seconds: for those whom it told
_OWN = 2  # lines of the log itself: its signature and its cosignature


def create(folder: Path, origin: str, log_key: KeyPair, now: datetime) -> Ledger:
    """Start an empty ledger in a new or empty folder. A crash here leaves a folder that no one can read: remove it.

    Raises:
        UsageError: the folder holds something, cannot be made, or `now` or `origin` cannot be used.
        LedgerError: the ledger could not be written.
    """
    time = seconds(now)
    ledger = Ledger(folder, log_key.public, origin)
    try:
        note = ledger.log.sign(Checkpoint(origin, 0, EMPTY_ROOT), log_key, time)
    except LedgerError as error:
        raise UsageError(f"cannot start a ledger named `{origin}`: {error}") from error
    _make_folders(folder)
    try:
        Database.create(folder / _PRIVATE / "ledger.db", note)
        for name, data in (("sequencer/queue", b""), ("sequencer/lock", b""), ("lock", b""), ("history", note)):
            _disk.write(folder / name, data)
        _disk.sync(folder / _PRIVATE)
        # crash point: no `checkpoint`, so this is no ledger, to readers and writers alike
        _disk.replace(folder / "checkpoint", note)
        _disk.sync(folder.parent)
    except OSError as error:
        raise LedgerError(f"`{folder}`: cannot start the ledger ({error.strerror}); remove the folder") from error
    return ledger


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"`{folder}` is not empty, expected a new or empty folder for the ledger")
        (folder / _PRIVATE).mkdir(mode=0o700)
    except OSError as error:
        raise UsageError(f"`{folder}`: cannot make the ledger's folder ({error.strerror})") from error


@dataclass(slots=True, eq=False)
class Submitted:
    """An entry on its way into the ledger, and then its number; or it failed, and was not written."""

    entry: bytes
    number: int | None = None
    failed: bool = False

    @property
    def settled(self) -> bool:
        """Whether anything is known of it."""
        return self.failed or self.number is not None


class Writer:
    """An open ledger. Any number of threads may use one writer, and any number of processes may have one each.

    Opening settles what a crash left. Use it as a context, or `close` it: that publishes what was sequenced.

    Raises:
        UsageError: another log's key.
        LedgerError: the folder is no whole ledger, or its sequencer is missing, another's or behind the checkpoint.
    """

    def __init__(
        self, ledger: Ledger, log_key: KeyPair, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if log_key.public != ledger.key:
            raise UsageError(f"got log key `{log_key.public}`, expected `{ledger.key}`")
        self.ledger, self._key, self._clock = ledger, log_key, clock
        self._log = Log(ledger.origin, ledger.key)
        self._waiting: list[Submitted] = []
        self._queued: dict[Ticket, Submitted] = {}
        self._name, self._submitted = secrets.token_bytes(16), 0  # of this process's own entries, as a queue
        self._leading, self._led = threading.Lock(), threading.Condition()
        self._expected, self._pause = 0, 0.0  # entries that the next commit may wait for, and seconds that it may
        self._latest: Signed | None = None
        self._dirty, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: LedgerError | None = None
        ledger.latest()  # no checkpoint, no ledger
        with ExitStack() as stack:
            self._open(stack)
            with self._publishing, self._durably():
                self._settle()
            self._files = stack.pop_all()

    def _open(self, stack: ExitStack) -> None:
        private = self.ledger.folder / _PRIVATE
        # Ed25519 is deterministic: every holder of the log's key comes to the same secret, and nobody else
        signed = self._key.sign(b"interlock sequencer secret v1\n" + self.ledger.origin.encode())
        secret = hashlib.sha256(signed).digest()
        self._publishing = stack.enter_context(closing(_disk.Lock(self.ledger.folder / "lock")))
        self._turn = stack.enter_context(closing(_disk.Lock(private / "lock")))
        self._queue = stack.enter_context(closing(Queue(private / "queue", secret)))
        with self._turn:
            self._database = stack.enter_context(closing(Database(private / "ledger.db", secret)))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Sequencing

    def append(self, data: bytes) -> int:
        """Sequence one entry, and return its number once it is durable; readers see it after at most `LAG` seconds.

        Raises:
            LedgerError: the entry cannot be one, the ledger is sealed, or the disk refuses. Not acknowledged then.
        """
        return self.wait(self.submit(data))

    def submit(self, data: bytes) -> Submitted:
        """Have an entry wait for its turn: the first half of `append`, for many at once. Nothing is acknowledged yet.

        Raises:
            LedgerError: as for `append`.
        """
        if self._failure is not None:
            raise self._failure
        made = Submitted(self._logged(data))
        with self._led:
            self._waiting.append(made)
            if len(self._waiting) == self._expected:
                self._led.notify_all()
        return made

    def wait(self, submitted: Submitted) -> int:
        """Return the number of a submitted entry once it is durable: the second half of `append`.

        Raises:
            LedgerError: as for `append`.
        """
        with self._durably():
            while not submitted.settled:
                if self._leading.acquire(blocking=False):
                    self._take_turn(submitted)
                else:  # another thread leads, perhaps with this entry: what it learns, it tells all
                    with self._led:
                        self._led.wait_for(lambda: submitted.settled or not self._leading.locked())
        if submitted.number is None:
            raise LedgerError(f"`{self.ledger.folder}`: the entry was not written, it can be appended again")
        self._publish_soon()
        return submitted.number

    def _take_turn(self, submitted: Submitted) -> None:
        """Sequence what this process waits for. The lead among its threads is held."""
        try:
            if submitted.settled:
                return
            if not self._turn.at_once():
                self._queue_up()
                self._turn.acquire()
            try:
                self._tell([])
                if not submitted.settled:
                    self._lead()
                submitted.failed |= not submitted.settled and submitted not in self._queued.values()
            finally:
                self._turn.release()
        finally:
            with self._led:
                self._leading.release()
                self._led.notify_all()

    def _queue_up(self) -> None:
        """Put what this process waits for where whoever has the next turn takes it, in this process or another."""
        with self._led:
            waiting, self._waiting = self._waiting, []
        while waiting:
            try:
                self._queued[self._queue.put(waiting[0].entry)] = waiting[0]
            except BaseException:
                with self._led:
                    self._waiting[:0] = waiting
                raise
            del waiting[0]

    def check_open(self) -> None:
        """Check that the ledger takes entries.

        Raises:
            LedgerError: it is sealed.
        """
        with self._turn:
            self._check_open()

    @property
    def sealed(self) -> bool:
        """Whether the ledger takes no more entries."""
        with self._turn:
            return self._database.state().sealed

    def append_at(self, data: bytes, size: int) -> int:
        """Append one entry as number `size` and publish it: readers see it when this returns.

        Raises:
            LedgerError: as for `append`; or the ledger has grown, and `size` is taken.
        """
        logged = self._logged(data)
        with self._publishing, self._durably():
            with self._turn, self._database.transaction():
                self._time(self._check_open())
                number = self._database.next_number()
                if number != size:
                    raise LedgerError(f"`{self.ledger.folder}`: got entry {size}, expected {number}: others came first")
                self._database.sequence([logged], [], number)
            # crash point: durable and numbered, not visible; the next writer publishes it
            self._publish_or_withdraw(number)
        return number

    def _lead(self) -> None:
        """Sequence all that waits, in the queue and in this process, in one commit. The turn is held."""
        with self._led:  # who was told last may have more: a commit that they share is worth a short wait
            self._led.wait_for(lambda: len(self._waiting) >= self._expected, self._pause)
            waiting, self._waiting = self._waiting, []
        taken, began = self._queue.take(), time.monotonic()
        mine = Taken(self._name, self._submitted, tuple(one.entry for one in waiting), 0)
        self._submitted = mine.after
        try:
            with self._database.transaction():
                self._time(self._check_open())
                start = self._database.next_number()
                done = self._database.sequenced(taken.queue) if taken.entries else 0
                entries, batches = _runs(taken, start, done=done)
                own, own_batches = _runs(mine, start + len(entries), done=0)
                # crash point: nothing is durable; the queue still has the entries, and nobody was told anything
                self._database.sequence([*entries, *own], [*batches, *own_batches], start)
            # crash point: durable; who waits in another process finds the outcome by its ticket
        except BaseException:
            batches = own_batches = []
            raise
        finally:
            if taken.entries:
                self._queue.drop(taken)
            with self._led:
                self._expected = len(waiting) + len(self._waiting)
                self._pause = min(_PAUSE * (time.monotonic() - began), _MOST_PAUSE)
            self._queued |= {Ticket(self._name, mine.first + n): one for n, one in enumerate(waiting)}
            self._tell([*batches, *own_batches])

    def _tell(self, batches: Iterable[tuple[bytes, int, int, int]]) -> None:
        """Tell those who wait in this process what became of their entries. The turn is held."""
        for queue, first, count, number in batches:
            for n in range(count):
                if one := self._queued.pop(Ticket(queue, first + n), None):
                    one.number = number + n
        if not self._queued:
            return
        queue, left = self._queue.left()
        for ticket, one in [*self._queued.items()]:
            if ticket.queue != queue or ticket.number not in left:  # another process took it, or nobody could
                one.number = self._database.outcome(ticket)  # where that fails, whoever waits asks again
                one.failed = one.number is None
                del self._queued[ticket]

    def _logged(self, data: bytes) -> bytes:
        entry.check(data)
        if Seal.begins(data):
            raise LedgerError("got an entry that begins like a seal, expected any other; seal with `seal`")
        with self._durably():
            entry.store(self.ledger.folder, data)
        return entry.logged(data)

    def _check_open(self) -> State:
        """The state of a ledger that is not sealed. The turn is held."""
        state = self._database.state()
        if state.sealed:
            raise LedgerError(f"`{self.ledger.folder}`: the ledger is sealed, it takes no more entries")
        return state

    # Publishing

    def publish(self) -> None:
        """Publish what was sequenced; without anything new, do nothing.

        Raises:
            LedgerError: the tiles or the checkpoint could not be written, do not read back as written, or the clock is
                before the latest checkpoint.
        """
        with self._publishing, self._durably():
            self._publish()

    def refresh(self) -> None:
        """Publish what was sequenced; without anything new, cosign the latest checkpoint again, at the present time.

        Cosignatures of others stay under it: they are over the same text.

        Raises:
            LedgerError: as for `publish`; or the ledger is sealed.
        """
        with self._publishing, self._durably():
            if self._publish():
                return
            with self._turn:
                state = self._check_open()
            time, edge = self._time(state), published_edge(self.ledger, self._read(state))
            checkpoint = Checkpoint(self.ledger.origin, edge.size, edge.root())
            note = self._log.sign(checkpoint, self._key, time, others=Note.parse(state.latest).signatures[_OWN:])
            self._record(State(state.size, note, state.covering, state.start, state.sealed))

    def add_cosignature(self, cosigned: Note, key: NoteKey) -> bool:
        """Put another's cosignature under the latest checkpoint, in the place of an earlier one by the same `key`.

        `cosigned` is the checkpoint's text with that line under it. False, and nothing is done, if by now the latest
        checkpoint is another. A sealed ledger takes cosignatures too.

        Raises:
            LedgerError: it does not verify, is by the log's own key, or there are too many already; or it could not be
                written.
        """
        verify_cosignature(cosigned, key)
        if key.public == self.ledger.key:
            raise LedgerError(f"cosignature by `{key.name}`: got the log's own key, expected another's")
        (line,) = (it for it in cosigned.signatures if (it.name, it.key_id) == (key.name, key.key_id))
        with self._publishing, self._durably():
            with self._turn:
                state = self._database.state()
            note = Note.parse(state.latest)
            if note.text != cosigned.text:
                return False
            kept = (it for it in note.signatures if (it.name, it.key_id) != (line.name, line.key_id))
            latest = Note(note.text, (*kept, line)).to_bytes()
            self._log.read(latest, "checkpoint with one more line")
            self._record(State(state.size, latest, state.covering, state.start, state.sealed))
        return True

    def seal(self, *, successor: str, reason: str) -> int:
        """Close the ledger for good, with a last entry that says why and where it goes on (`-` for nowhere).

        Raises:
            UsageError: a successor or a reason that is not one line.
            LedgerError: as for `append`.
        """
        with self._publishing, self._durably():
            self._publish()
            with self._turn:
                self._time(self._check_open())
                number = self._database.next_number()
                seal = Seal(self.ledger.origin, number, successor, reason)
                self._database.seal(seal.entry(self._key), number)
            # crash point: sealed, and the seal not visible yet; the next writer publishes it
            self._publish_or_withdraw(number)
        return number

    def close(self) -> None:
        """Publish what was sequenced, and give up the files.

        Raises:
            LedgerError: as for `publish`; what was acknowledged is durable, and the next writer publishes it.
        """
        self._closed.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()
        try:
            if self._thread is not None:
                self.publish()
        finally:
            self._files.close()

    def _publish(self) -> bool:
        """Publish until nothing waits; say whether there was anything. The publishing lock is held."""
        any_new = False
        while True:
            with self._turn:
                state = self._database.state()
                waiting = self._database.waiting(state.size)
            if not waiting:
                return any_new
            any_new, time = True, self._time(state)
            tree = Publication(self.ledger, self._read(state)).write(waiting)
            note = self._log.sign(Checkpoint(self.ledger.origin, tree.size, tree.root), self._key, time)
            # crash point: tiles that no checkpoint covers; they are written again, the same, by the next writer
            self._record(State(tree.size, note, note, state.start + len(state.covering), state.sealed))
            tree.clear()

    def _publish_or_withdraw(self, number: int) -> None:
        """Publish; where that fails, take entry `number` out again, if nobody was told of it and none came after."""
        try:
            self._publish()
        except (LedgerError, OSError):
            with suppress(LedgerError), self._turn:  # else it stays, and the next writer publishes it
                if self._database.state().size <= number == self._database.next_number() - 1:
                    self._database.withdraw(number)
            raise

    def _record(self, state: State) -> None:
        """Make a checkpoint durable where nobody looks, then visible: what was signed is never unsaid."""
        with self._turn:
            self._database.record(state)
        # crash point: recorded and not visible; `_settle` of the next writer goes on here
        try:
            self._place(state)
        except OSError:
            self._hide(state)
            raise

    def _hide(self, state: State) -> None:
        """Cut the history back to what `checkpoint` still says, so that readers go on; the next writer places both."""
        with suppress(OSError, LedgerError):
            if self.ledger.latest().size < state.size:
                _disk.cut(self.ledger.folder / "history", state.start)

    def _place(self, state: State) -> None:
        """Make the recorded checkpoint visible; may be repeated from any point."""
        path = self.ledger.folder / "history"
        _disk.write_end(path, state.covering, state.start)
        # crash point: `checkpoint` is one behind the history; readers refuse, the next writer settles
        if _disk.read(self.ledger.folder / "checkpoint", NOTE_LIMIT) != state.latest:
            _disk.replace(self.ledger.folder / "checkpoint", state.latest)

    def _settle(self) -> None:
        """Hold the sequencer against what is visible, finish what a crash cut short, and publish what was sequenced."""
        with self._turn:
            state = self._database.state()
        seen, latest = self.ledger.latest(), self._read(state)
        if (seen.size, seen.time) > (latest.size, latest.time):
            raise LedgerError(
                f"`{self.ledger.folder / _PRIVATE}`: the sequencer was put back: got size {latest.size} of "
                f"{utc(latest.time)}, expected {seen.size} of {utc(seen.time)} by `checkpoint`"
            )
        if seen.size == latest.size and seen.root != latest.root:
            raise LedgerError(
                f"`{self.ledger.folder / 'checkpoint'}`: got root {seen.root.hex()}, expected {latest.root.hex()}"
            )
        published_edge(self.ledger, latest)
        self._check_history(state, is_visible=seen.size == latest.size)
        self._place(state)
        self._publish()

    def _check_history(self, state: State, *, is_visible: bool) -> None:
        """Check that the history ends where the recorded checkpoint begins, or with it."""
        path = self.ledger.folder / "history"
        length = _disk.size(path)
        end = state.start + len(state.covering)
        if not (end if is_visible else state.start) <= length <= end:
            raise LedgerError(f"`{path}`: got {length} bytes, expected {end} by the sequencer")
        if is_visible and _disk.read_end(path, state.start) != state.covering:
            raise LedgerError(f"`{path}`: its end differs from the checkpoint that the sequencer recorded")

    def _read(self, state: State) -> Signed:
        """The recorded checkpoint, verified."""
        if self._latest is None or self._latest.data != state.latest:
            self._latest = self._log.read(state.latest, f"`{self.ledger.folder / _PRIVATE / 'ledger.db'}`")
        return self._latest

    def _time(self, state: State) -> int:
        """The clock, in POSIX seconds; never before the latest checkpoint."""
        time, latest = seconds(self._clock()), self._read(state)
        if time < latest.time:
            raise LedgerError(
                f"`{self.ledger.folder}`: the clock went back: got {utc(time)}, expected {utc(latest.time)} or later"
            )
        return time

    def _publish_soon(self) -> None:
        """Have what was sequenced published within `LAG`, by a thread that lives as long as this writer."""
        self._dirty.set()
        if self._thread is None:
            with self._turn:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._publish_often, daemon=True)
                    self._thread.start()

    def _publish_often(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            self._dirty.clear()
            if self._closed.wait(LAG):
                return
            try:
                self.publish()
            except (LedgerError, UsageError) as error:  # told to whoever appends next: fail closed
                self._failure = LedgerError(str(error))
                return

    @contextmanager
    def _durably(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LedgerError(
                f"`{self.ledger.folder}`: cannot write ({error.strerror}); nothing was acknowledged, and what stood "
                "before stands"
            ) from error


def _runs(taken: Taken, start: int, *, done: int) -> tuple[list[bytes], list[tuple[bytes, int, int, int]]]:
    """The entries to sequence from number `start` on, and which records they were, in runs without a gap.

    Records below `done` were sequenced by a leader that was killed before it could take them out of the queue.
    """
    entries: list[bytes] = []
    batches: list[tuple[bytes, int, int, int]] = []
    for record, data in enumerate(taken.entries, start=taken.first):
        if data is None or record < done:
            continue
        if batches and batches[-1][1] + batches[-1][2] == record:
            queue, first, count, number = batches[-1]
            batches[-1] = (queue, first, count + 1, number)
        else:
            batches.append((taken.queue, record, 1, start + len(entries)))
        entries.append(data)
    return entries, batches
