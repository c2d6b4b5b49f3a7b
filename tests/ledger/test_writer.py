"""Writing: nothing acknowledged is lost, nothing is signed over a broken ledger, whatever fails and whenever."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair
from interlock.ledger import _database, _disk, _publish, _queue, entry
from interlock.ledger import writer as writers
from interlock.ledger.entry import ENTRY_LIMIT
from interlock.ledger.log import Ledger
from interlock.ledger.note import COSIGNATURE, Note, NoteKey, cosign
from interlock.ledger.writer import Writer, create
from ledger.ledgers import (
    KEY,
    ORIGIN,
    START,
    at,
    check,
    data_of,
    held_by_a_stopped_process,
    new_ledger,
    open_ledger,
    published,
    writer,
)

KILL_CYCLES = int(os.environ.get("INTERLOCK_KILL_CYCLES", "25"))
OLD = [b"entry 0", b"entry 1"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "ledger"
    new_ledger(folder, entries=2)
    return folder


@pytest.fixture
def small(pristine, tmp_path) -> Ledger:
    return open_ledger(shutil.copytree(pristine, tmp_path / "ledger"))


# What is written is read


#: But for those that begin as the place of a payload does, which no other entry may (docs/ledger.md).
any_bytes = st.binary(min_size=1, max_size=50).filter(lambda it: not it.startswith(b"interlock payload v1\n"))


@settings(max_examples=15)
@given(st.lists(any_bytes, max_size=6), st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_law_any_bytes_come_back_in_order_with_the_time_of_their_publication(tmp_path_factory, entries, steps):
    ledger = create(tmp_path_factory.mktemp("law") / "ledger", ORIGIN, KEY, START)
    seconds, times = 0, []
    for data, step in zip(entries, steps, strict=False):
        seconds += step
        times.append(at(seconds))
        with writer(ledger, seconds) as opened:
            opened.append(data)
    view = check(ledger)
    assert [(item.data, item.time) for item in view.entries] == list(zip(entries, times, strict=True))


def test_an_append_is_visible_when_its_writer_closes_and_not_before_its_checkpoint(small):
    with writer(small) as opened:
        opened._closed.wait = lambda lag: threading.Event().wait()  # the publisher never wakes
        assert opened.append(b"new") == 2
        assert data_of(small) == OLD
        opened.publish()
        assert data_of(small) == [*OLD, b"new"]
        opened._thread = None
    assert check(small).entries[2].time == at(1000)


def test_an_append_is_published_by_itself_after_a_moment(small, monkeypatch):
    monkeypatch.setattr(writers, "LAG", 0.01)
    with writer(small) as opened:
        opened.append(b"new")
        for _ in range(1000):
            if opened.ledger.latest().size == 3:
                break
            threading.Event().wait(0.01)
        assert data_of(small) == [*OLD, b"new"]


def test_a_publication_that_fails_by_itself_is_told_to_the_next_append(small, monkeypatch):
    monkeypatch.setattr(writers, "LAG", 0.01)
    opened = writer(small)
    with monkeypatch.context() as patch:
        patch.setattr(writers, "Publication", lambda *_: (_ for _ in ()).throw(LedgerError("the disk is broken")))
        assert opened.append(b"new") == 2
        opened._thread.join()
    with pytest.raises(LedgerError, match="the disk is broken"):
        opened.append(b"more")
    opened.close()
    assert data_of(small) == [*OLD, b"new"]


# A lock is not waited for without end


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(_disk, "PATIENCE", 0.2)


HELD = "this lock has been held for 0.2 seconds by another"


@pytest.mark.parametrize(
    ("name", "written"), [("sequencer/lock", [b"new", b"more"]), ("sequencer/queue", [b"more"])]
)  # one that waits for its turn in the queue gets it; neither was acknowledged
def test_an_append_that_a_stopped_process_is_in_the_way_of_is_not_acknowledged(small, impatient, name, written):
    with writer(small) as opened:
        with held_by_a_stopped_process(small.folder / name), pytest.raises(LedgerError, match=HELD):
            opened.append(b"new")
        assert opened.append(b"more") == 1 + len(written)
    assert data_of(small) == [*OLD, *written]


def test_what_was_acknowledged_while_a_stopped_process_holds_publication_up_is_not_lost(small, impatient):
    with writer(small) as opened:
        with held_by_a_stopped_process(small.folder / "lock"):
            assert opened.append(b"new") == 2
            for refused in (opened.publish, lambda: opened.append_at(b"more", 3), small.read):
                with pytest.raises(LedgerError, match=HELD):
                    refused()
        assert opened.append_at(b"more", 3) == 3
    assert data_of(small) == [*OLD, b"new", b"more"]


def test_no_ledger_is_opened_while_a_stopped_process_holds_its_lock(small, impatient):
    with held_by_a_stopped_process(small.folder / "lock"), pytest.raises(LedgerError, match=HELD):
        writer(small)
    writer(small).close()


def test_a_thread_that_keeps_a_lock_is_not_waited_for_without_end_either(small, impatient):
    with closing(_disk.Lock(small.folder / "lock")) as lock, lock:
        with ThreadPoolExecutor(1) as other, pytest.raises(LedgerError, match=HELD):
            other.submit(lock.acquire).result()
        assert not lock.at_once()
    with closing(_disk.Lock(small.folder / "lock")) as lock:
        assert lock.at_once()
        lock.release()


def test_append_at_refuses_a_number_that_is_taken(small):
    with writer(small) as opened:
        assert opened.append_at(b"two", 2) == 2
        for size in (2, 1, 4):
            with pytest.raises(LedgerError, match=f"got entry {size}, expected 3: others came first"):
                opened.append_at(b"late", size)
    assert data_of(small) == [*OLD, b"two"]


def test_a_refresh_changes_the_time_and_nothing_else(small):
    before, files = small.read(), published(small.folder)
    with writer(small, 100) as opened:
        opened.refresh()
    after = check(small)
    assert (after.entries, after.root, after.time) == (before.entries, before.root, at(100))
    assert {name for name, data in published(small.folder).items() if files[name] != data} == {"checkpoint"}


def test_a_refresh_publishes_what_waits(small):
    with writer(small, 100) as opened:
        opened.append(b"new")
        opened.refresh()
        assert data_of(small) == [*OLD, b"new"]


def test_times_are_whole_seconds_in_utc(tmp_path):
    there = datetime(2026, 12, 1, 9, 0, 5, 999_999, tzinfo=timezone(timedelta(hours=9)))
    ledger = new_ledger(tmp_path / "ledger")
    with Writer(ledger, KEY, clock=lambda: there) as opened:
        opened.append(b"x")
    assert ledger.read().entries[0].time == at(5)


def test_every_size_up_to_two_tiles_and_more_verifies(tmp_path):
    ledger = new_ledger(tmp_path / "ledger")
    with writer(ledger) as opened:
        for start, end in ((0, 1), (1, 255), (255, 256), (256, 257), (257, 512), (512, 1100)):
            for ticket in [opened.submit(b"%d" % n) for n in range(start, end)]:
                opened.wait(ticket)
            opened.publish()
            assert len(check(ledger).entries) == end


# Payloads


def test_an_entry_too_long_for_a_bundle_lies_in_payload(small):
    longest, longer = bytes(ENTRY_LIMIT), bytes(ENTRY_LIMIT + 1)
    with writer(small) as opened:
        assert [opened.append(longest), opened.append(longer), opened.append(b"after")] == [2, 3, 4]
    view = check(small, {2: longest, 3: longer, 4: b"after"})
    assert [path.name for path in (small.folder / "payload").iterdir()] == [entry.logged(longer).split()[4].decode()]
    assert view.entries[3].leaf != view.entries[2].leaf


def test_a_payload_that_is_missing_altered_or_cut_is_refused(small):
    data = os.urandom(ENTRY_LIMIT + 1)
    with writer(small) as opened:
        opened.append(data)
    (path,) = (small.folder / "payload").iterdir()
    for changed in (data[:-1], data + b"x", bytes([data[0] ^ 1]) + data[1:], b""):
        path.write_bytes(changed)
        for reading in (small.read, small.verify):
            with pytest.raises(LedgerError, match="payload"):
                reading()
    path.unlink()
    with pytest.raises(LedgerError, match=path.name):
        small.verify()


@pytest.mark.parametrize(
    "data",
    [b"", bytes(entry.PAYLOAD_LIMIT + 1), b"interlock payload v1\nsha256 " + b"0" * 64 + b"\n70000\n",
     b"interlock payload v1\n", b"interlock seal v1\nx"],
    ids=["nothing", "too long", "the name of a payload", "the beginning of one", "the beginning of a seal"],
)  # fmt: skip
def test_an_entry_is_refused_that_is(small, data):
    with writer(small) as opened:
        for append in (opened.append, lambda d: opened.append_at(d, 2)):
            with pytest.raises(LedgerError, match="got an entry"):
                append(data)
    assert data_of(small) == OLD


@pytest.mark.parametrize(
    "named", [b"x", b"sha256 " + b"0" * 64 + b"\n5\n", b"sha256 " + b"0" * 64 + b"\n99999999999\n"]
)
def test_a_payload_that_is_named_wrongly_is_refused(small, named):
    with writer(small) as opened:
        opened._logged = lambda data: data
        opened.append(entry.RESERVED + named)
    with pytest.raises(LedgerError, match="entry 2: got a name of a payload that cannot be read"):
        small.read()


# Seals


def test_a_sealed_ledger_takes_no_more_and_stays_readable(small):
    other = writer(small)
    with writer(small) as opened:
        assert opened.seal(successor="example.com/next", reason="it is full") == 2
    before = published(small.folder)
    with writer(small) as again:
        assert again.sealed
        for write in (
            lambda: again.append(b"x"),
            lambda: other.append(b"x"),
            lambda: other.append_at(b"x", 3),
            again.refresh,
            lambda: again.seal(successor="-", reason="again"),
        ):
            with pytest.raises(LedgerError, match="the ledger is sealed"):
                write()
    other.close()
    view = check(small)
    assert (view.seal.size, view.seal.successor, view.seal.reason) == (2, "example.com/next", "it is full")
    assert [item.data for item in view.statements] == OLD
    assert published(small.folder) == before


@pytest.mark.parametrize(
    ("successor", "reason"), [("", "x"), ("x", ""), ("a\nb", "x"), ("x", "a\nb"), ("x", "y" * 1001)]
)
def test_a_seal_says_one_line(small, successor, reason):
    with writer(small) as opened, pytest.raises(UsageError, match="expected one line"):
        opened.seal(successor=successor, reason=reason)
    assert data_of(small) == OLD
    with writer(small) as opened:
        assert not opened.sealed


def test_an_entry_after_a_seal_is_refused_though_the_log_signed_it(small):
    with writer(small) as opened:
        opened.seal(successor="-", reason="done")
        opened._database._db.execute("UPDATE state SET sealed = 0")
        opened.append(b"late")
    with pytest.raises(LedgerError, match="entry 3: got an entry after the seal of entry 2"):
        small.read()


@pytest.mark.parametrize("change", ["another key", "another ledger", "another place", "not a note"])
def test_a_seal_that_is_none_of_this_ledger_is_refused(small, change):
    made = {
        "another key": lambda: writers.Seal(ORIGIN, 2, "-", "x").entry(KeyPair.generate()),
        "another ledger": lambda: writers.Seal("example.com/other", 2, "-", "x").entry(KEY),
        "another place": lambda: writers.Seal(ORIGIN, 1, "-", "x").entry(KEY),
        "not a note": lambda: b"interlock seal v1\n",
    }[change]()
    with writer(small) as opened:
        opened._logged = lambda data: data
        opened.append(made)
    with pytest.raises(LedgerError, match="entry 2"):
        small.read()


# What the caller may not do


def test_a_ledger_is_created_in_a_new_or_empty_folder_only(tmp_path):
    (tmp_path / "empty").mkdir()
    create(tmp_path / "empty", ORIGIN, KEY, START)
    for folder in (tmp_path, tmp_path / "empty"):
        with pytest.raises(UsageError, match="is not empty"):
            create(folder, ORIGIN, KEY, START)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot make"):
        create(tmp_path / "file", ORIGIN, KEY, START)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb"])
def test_an_origin_that_no_note_can_carry_is_refused(tmp_path, origin):
    with pytest.raises(UsageError, match="cannot start"):
        create(tmp_path / "ledger", origin, KEY, START)
    assert not (tmp_path / "ledger").exists()


def test_another_log_s_key_opens_nothing(small):
    with pytest.raises(UsageError, match="got log key"):
        Writer(small, KeyPair.generate())


@pytest.mark.parametrize("now", [datetime(2027, 1, 1), datetime(1969, 12, 31, tzinfo=UTC)])  # noqa: DTZ001
def test_a_time_without_a_zone_or_before_the_epoch_is_refused(small, now):
    with Writer(small, KEY, clock=lambda: now) as opened:
        for write in (lambda: opened.append(b"x"), lambda: opened.append_at(b"x", 2), opened.refresh):
            with pytest.raises(UsageError, match="got time"):
                write()
    assert data_of(small) == OLD


def test_a_clock_that_went_back_is_refused(small):
    with writer(small, 19) as opened:
        for write in (
            lambda: opened.append(b"x"),
            lambda: opened.append_at(b"x", 2),
            opened.refresh,
            lambda: opened.seal(successor="-", reason="x"),
        ):
            with pytest.raises(LedgerError, match=r"clock went back: got 2026-12-01 00:00:19.*expected.* 00:00:20"):
                write()
    with writer(small, 20) as opened:
        assert opened.append(b"x") == 2
    assert check(small).size == 3


def test_a_clock_that_goes_back_before_publication_signs_nothing_and_loses_nothing(small):
    now = [at(1000)]
    opened = Writer(small, KEY, clock=lambda: now[0])
    assert opened.append(b"new") == 2
    now[0] = at(10)
    with pytest.raises(LedgerError, match="clock went back"):
        opened.close()
    assert data_of(small) == OLD
    with pytest.raises(LedgerError, match="clock went back"):
        writer(small, 11)
    writer(small, 30).close()
    assert check(small, {2: b"new"}).entries[2].time == at(30)


# Nothing is signed over a broken ledger; an ambiguous start is refused


def _forget(folder: Path, name: str) -> None:
    for path in folder.glob(f"sequencer/{name}*"):
        path.unlink()


BREAKS = {
    "an altered newest bundle": lambda folder: (folder / "tile/entries/000.p/2").write_bytes(b"\0\1x\0\1y"),
    "a missing newest bundle": lambda folder: (folder / "tile/entries/000.p/2").unlink(),
    "an altered tile": lambda folder: (folder / "tile/0/000.p/2").write_bytes(bytes(64)),
    "a short tile": lambda folder: (folder / "tile/0/000.p/2").write_bytes(bytes(32)),
    "an altered checkpoint": lambda folder: (folder / "checkpoint").write_bytes(b"x"),
    "no checkpoint": lambda folder: (folder / "checkpoint").unlink(),
    "a history cut off": lambda folder: (folder / "history").write_bytes((folder / "history").read_bytes()[:-1]),
    "a history that goes on": lambda folder: (folder / "history").write_bytes((folder / "history").read_bytes() + b"x"),
    "no history": lambda folder: (folder / "history").unlink(),
    "no database": lambda folder: _forget(folder, "ledger.db"),
    "an empty database": lambda folder: (folder / "sequencer/ledger.db").write_bytes(b""),
    "a database that is none": lambda folder: (folder / "sequencer/ledger.db").write_bytes(b"x" * 5000),
    "no queue": lambda folder: _forget(folder, "queue"),
    "no lock": lambda folder: (folder / "lock").unlink(),
}


@pytest.mark.parametrize("case", BREAKS)
def test_nothing_is_signed_over(small, case):
    BREAKS[case](small.folder)
    before = published(small.folder)
    with pytest.raises(LedgerError):
        writer(small)
    assert published(small.folder) == before


def _sequencer_of(folder: Path, other: Path) -> None:
    shutil.rmtree(folder / "sequencer")
    shutil.copytree(other / "sequencer", folder / "sequencer")


def test_a_sequencer_that_was_put_back_is_refused(small, pristine):
    with writer(small) as opened:
        opened.append(b"new")
    _sequencer_of(small.folder, pristine)
    with pytest.raises(LedgerError, match=r"the sequencer was put back: got size 2 .*expected 3"):
        writer(small)


def test_a_sequencer_of_before_a_refresh_is_refused(small, pristine):
    with writer(small) as opened:
        opened.refresh()
    _sequencer_of(small.folder, pristine)
    with pytest.raises(LedgerError, match="the sequencer was put back"):
        writer(small)


def test_a_sequencer_of_another_ledger_is_refused(small, tmp_path):
    other = create(tmp_path / "other", ORIGIN, KEY, START)
    with writer(other, 20) as opened:
        opened.append(b"a")
        opened.append(b"b")
    _sequencer_of(small.folder, other.folder)
    with pytest.raises(LedgerError, match=r"checkpoint`: got root|tile`: got root"):
        writer(small)
    stranger = KeyPair.generate()
    _sequencer_of(small.folder, create(tmp_path / "third", ORIGIN, stranger, START).folder)
    with pytest.raises(LedgerError, match=r"ledger\.db"):
        writer(small)


def test_published_files_that_were_put_back_are_brought_forward_again(small, pristine):
    """The sequencer recorded what it signed: an older copy of the published part cannot pass for the present one."""
    with writer(small) as opened:
        opened.append(b"new")
    shutil.copy(pristine / "checkpoint", small.folder / "checkpoint")
    with pytest.raises(LedgerError, match="it was put back, or"):
        small.read()
    writer(small).close()
    assert check(small).size == 3


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_history_that_was_torn_while_it_was_written_is_finished(small, pristine, kept):
    before = (small.folder / "history").read_bytes()
    with writer(small) as opened:
        opened.append(b"new")
    last = (small.folder / "history").read_bytes()[len(before) :]
    (small.folder / "history").write_bytes(before + last[:kept])
    shutil.copy(pristine / "checkpoint", small.folder / "checkpoint")
    writer(small).close()
    assert (small.folder / "history").read_bytes() == before + last
    assert check(small).size == 3


def test_an_entry_that_somebody_without_the_key_put_into_the_database_is_not_signed(small):
    path = small.folder / "sequencer" / "ledger.db"
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO entry VALUES (2, ?, ?)", (b"planted", bytes(32)))
    db.close()
    with pytest.raises(LedgerError, match="no writer of this log made"):
        writer(small)
    assert data_of(small) == OLD


def test_an_entry_that_somebody_without_the_key_put_into_the_queue_is_not_taken(small):
    stranger = _queue.Queue(small.folder / "sequencer" / "queue", b"another secret")
    stranger.put(b"planted")
    with writer(small) as opened:
        assert opened.append(b"new") == 2
    assert data_of(small) == [*OLD, b"new"]


@pytest.mark.parametrize("garbage", [b"x", b"x" * 500, b"ilqueue1" + b"\xff" * 500])
def test_a_queue_that_cannot_be_read_begins_anew(small, garbage):
    (small.folder / "sequencer" / "queue").write_bytes(garbage)
    with writer(small) as opened:
        assert opened.append(b"new") == 2
    assert check(small).size == 3


@contextmanager
def another_has_the_turn(ledger: Ledger) -> Iterator[None]:
    """While this lasts, whoever waits puts its entries into the queue."""
    with closing(_disk.Lock(ledger.folder / "sequencer" / "lock")) as lock, lock:
        yield


def test_records_that_were_torn_by_a_crash_are_told_to_who_waits(small):
    path = small.folder / "sequencer" / "queue"
    with writer(small) as opened, ThreadPoolExecutor(1) as pool:
        with another_has_the_turn(small):
            waiting = pool.submit(opened.append, b"torn")
            while not path.read_bytes().endswith(b"torn"):
                time.sleep(0.01)
            path.write_bytes(path.read_bytes()[:-2] + b"xx")
        with pytest.raises(LedgerError, match="the entry was not written, it can be appended again"):
            waiting.result()
        assert opened.append(b"new") == 2
    assert data_of(small) == [*OLD, b"new"]


def test_what_waits_beyond_one_batch_of_the_queue_is_taken_by_the_next(small, monkeypatch):
    monkeypatch.setattr(_queue, "_MOST_TAKEN", 300)  # bytes: some five records
    expected = {n: b"entry %d" % n for n in range(2, 30)}
    with writer(small) as opened, ThreadPoolExecutor(1) as pool:
        submitted = [opened.submit(data) for data in expected.values()]
        with another_has_the_turn(small):
            waiting = pool.submit(lambda: [opened.wait(one) for one in submitted])
            while not (small.folder / "sequencer" / "queue").read_bytes().endswith(b"entry 29"):
                time.sleep(0.01)
        assert waiting.result() == list(expected)
    check(small, expected)


def test_what_became_of_an_entry_is_not_said_while_nobody_can_read_it(small, monkeypatch):
    """The commit fails and persists, and the database cannot be read: nobody says that it was not written."""
    real = _database.Database._commit
    with writer(small) as opened:
        submitted = [opened.submit(b"entry %d" % n) for n in (2, 3)]

        def persists(self):
            real(self)
            raise sqlite3.OperationalError("disk I/O error")

        def unreadable(*_):
            raise LedgerError("cannot read")

        with monkeypatch.context() as patch:
            patch.setattr(_database.Database, "_commit", persists)
            patch.setattr(_database.Database, "outcome", unreadable)
            for one in submitted:
                with pytest.raises(LedgerError, match="cannot read"):
                    opened.wait(one)
        assert [opened.wait(one) for one in submitted] == [2, 3]
    check(small, {2: b"entry 2", 3: b"entry 3"})


def test_threads_whose_commit_fails_are_all_told(small, monkeypatch):
    with writer(small) as opened, monkeypatch.context() as patch:
        submitted = [opened.submit(b"entry %d" % n) for n in range(3)]

        def refused(*_):
            raise sqlite3.OperationalError("disk I/O error")

        patch.setattr(_database.Database, "_commit", refused)
        with pytest.raises(LedgerError, match="disk I/O error"):
            opened.wait(submitted[0])
        for one in submitted:
            with pytest.raises(LedgerError, match="the entry was not written, it can be appended again"):
                opened.wait(one)
    assert data_of(small) == OLD


def test_what_does_not_read_back_as_written_is_not_signed(small, monkeypatch):
    real = _publish._disk.read_back

    def flipped(path, limit):
        data = real(path, limit)
        return bytes([*data[:-1], data[-1] ^ 1]) if path.match("tile/entries/*/3") else data

    with monkeypatch.context() as patch:
        patch.setattr(_publish._disk, "read_back", flipped)
        opened = writer(small)
        assert opened.append(b"new") == 2
        with pytest.raises(LedgerError, match=r"read back .*nothing was signed"):
            opened.close()
    assert data_of(small) == OLD
    writer(small).close()
    assert check(small, {2: b"new"}).size == 3


# Crash points: a process that dies before each durable step or right after it; then the next writer settles

STEPS = {os: ("pwrite", "fsync", "ftruncate"), Path: ("rename",), _database.Database: ("_commit",)}


def _each_step(act) -> None:
    """Call `act(owner, name)` for every function that makes something durable."""
    for owner, names in STEPS.items():
        for name in names:
            act(owner, name)


def dying(call: int, work, *, persist: bool) -> tuple[int, list[int]]:
    """Do `work` in a process that dies at its `call`-th durable step; return its exit code and what it acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            acknowledged = [int(line) for line in told.read().split()]
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), acknowledged
    made = [0]

    def hook(owner, name):
        real = getattr(owner, name)

        def step(*args, **settings):
            made[0] += 1
            if made[0] != call:
                return real(*args, **settings)
            if persist:
                real(*args, **settings)
            os._exit(9)

        setattr(owner, name, step)

    try:
        _each_step(hook)
        for number in work():
            os.write(writing, b"%d\n" % number)
    except BaseException:  # noqa: BLE001  the parent asserts on the code
        os._exit(1)
    os._exit(0)


WORK = {
    "append": lambda ledger: lambda: _appending(ledger),
    "append while another has the turn": lambda ledger: lambda: _queueing(ledger),
    "append_at": lambda ledger: lambda: _working(ledger, lambda w: [w.append_at(b"new", 2)]),
    "refresh": lambda ledger: lambda: _working(ledger, lambda w: w.refresh() or []),
    "cosignature": lambda ledger: lambda: _working(ledger, lambda w: w.add_cosignature(*_cosigned(ledger)) and []),
    "seal": lambda ledger: lambda: _working(ledger, lambda w: [w.seal(successor="-", reason="done")]),
    "payload": lambda ledger: lambda: _working(ledger, lambda w: [w.append_at(b"x" * 70_000, 2)]),
}


def _cosigned(ledger) -> tuple[Note, NoteKey]:
    """The latest checkpoint's text as a witness cosigned it."""
    text, witness = Note.parse(ledger.latest().data).text, KeyPair.generate()
    line = cosign(text, "example.com/witness", witness, time=1)
    return Note(text, (line,)), NoteKey("example.com/witness", witness.public, COSIGNATURE)


def _appending(ledger):
    with writer(ledger, 100) as opened:
        yield opened.append(b"new")


def _queueing(ledger):
    """The entry waits in the queue's file until the other lets go of the turn."""
    queue = ledger.folder / "sequencer" / "queue"
    with writer(ledger, 100) as opened, ThreadPoolExecutor(1) as pool:
        with another_has_the_turn(ledger):
            waiting = pool.submit(opened.append, b"new")
            while not waiting.done() and not queue.read_bytes().endswith(b"new"):
                time.sleep(0.001)
        yield waiting.result()


def _working(ledger, work):
    with writer(ledger, 100) as opened:
        yield from work(opened)


@pytest.mark.parametrize("persist", [False, True], ids=["not persisted", "persisted"])
@pytest.mark.parametrize("kind", WORK)
def test_a_death_at_any_step_loses_nothing_and_is_settled(pristine, tmp_path, kind, persist):
    for call in range(1, 100):
        ledger = open_ledger(shutil.copytree(pristine, tmp_path / f"ledger-{call}"))
        code, acknowledged = dying(call, WORK[kind](ledger), persist=persist)
        if code == 0:
            break
        assert code == 9
        try:
            seen = data_of(ledger)[:2]
        except LedgerError as error:
            assert "settles what a crash left" in str(error)  # noqa: PT017  either is right, and nothing else
            seen = OLD
        assert seen == OLD
        with writer(ledger, 200) as opened:
            assert opened.sealed or opened.append(b"next") in (2, 3)
        view = check(ledger)
        assert [item.data for item in view.entries][:2] == OLD
        assert acknowledged == [] or view.size >= 3
        new = [item for item in view.statements[2:] if item.data != b"next"]
        assert [item.data for item in new] in ([], [b"new"], [b"x" * 70_000])
        assert not acknowledged or kind == "seal" or len(new) == 1
        assert view.seal is not None or kind != "seal" or not acknowledged
    assert call > 5  # every step was tried, and there are some


@pytest.mark.parametrize("persist", [False, True], ids=["not persisted", "persisted"])
def test_a_death_while_settling_is_settled_too(pristine, tmp_path, persist):
    """Each step of the settling, after a death right after the checkpoint was recorded, and after one before that."""
    seen, tried = set(), set()
    for first in range(1, 100):
        base = open_ledger(shutil.copytree(pristine, tmp_path / f"ledger-{first}"))
        code, _ = dying(first, WORK["append_at"](base), persist=False)
        if code == 0:
            break
        if (state := _state(base)) in tried:
            continue
        tried.add(state)
        for second in range(1, 100):
            ledger = open_ledger(shutil.copytree(base.folder, tmp_path / f"ledger-{first}-{second}"))
            code, _ = dying(second, lambda ledger=ledger: _working(ledger, lambda w: []), persist=persist)
            writer(ledger, 200).close()
            seen.add(tuple(item.data for item in check(ledger).entries))
            shutil.rmtree(ledger.folder)
            if code == 0:
                break
    assert seen == {tuple(OLD), (*OLD, b"new")}


def _state(ledger: Ledger) -> tuple[object, ...]:
    """Everything on the disk that the next writer can see, but for the queue."""
    with sqlite3.connect(ledger.folder / "sequencer" / "ledger.db") as db:
        rows = [tuple(db.execute(f"SELECT * FROM {table}")) for table in ("state", "entry")]  # noqa: S608
    db.close()
    return (*rows, *published(ledger.folder).items())


def test_a_death_while_creating_leaves_no_ledger_or_a_whole_one(tmp_path):
    for persist in (False, True):
        for call in range(1, 100):
            folder = tmp_path / f"{persist}-{call}"
            code, _ = dying(call, lambda folder=folder: create(folder, ORIGIN, KEY, START) and [], persist=persist)
            with pytest.raises(UsageError, match="is not empty"):
                create(folder, ORIGIN, KEY, START)
            if code == 0 or (folder / "checkpoint").exists():
                assert check(open_ledger(folder)).size == 0
                writer(open_ledger(folder)).close()
            else:
                for act in (open_ledger(folder).read, lambda folder=folder: writer(open_ledger(folder))):
                    with pytest.raises(LedgerError, match="checkpoint"):
                        act()
            if code == 0:
                break
        assert call > 5


def failing(monkeypatch, call: int, *, persist: bool) -> list[str]:
    """Make the `call`-th durable step fail as on a full disk, before it takes effect or after; return the steps."""
    made: list[str] = []

    def hook(owner, name):
        real = getattr(owner, name)

        def step(*args, **settings):
            made.append(name)
            if len(made) != call:
                return real(*args, **settings)
            if persist:
                real(*args, **settings)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(owner, name, step)

    _each_step(hook)
    return made


@pytest.mark.parametrize("persist", [False, True], ids=["not persisted", "persisted"])
@pytest.mark.parametrize("kind", WORK)
def test_a_step_that_fails_acknowledges_nothing_and_leaves_a_ledger_that_verifies(
    pristine, tmp_path, monkeypatch, kind, persist
):
    for call in range(1, 100):
        ledger = open_ledger(shutil.copytree(pristine, tmp_path / f"ledger-{call}"))
        acknowledged: list[int] = []
        with monkeypatch.context() as patch:
            made = failing(patch, call, persist=persist)
            try:
                acknowledged.extend(WORK[kind](ledger)())
                whole = True
            except LedgerError as error:
                assert "No space left on device" in str(error)  # noqa: PT017
                whole = False
        if len(made) < call:
            break
        with writer(ledger, 200) as opened:
            assert opened.sealed or opened.append(b"next") in (2, 3)
        view = check(ledger)
        assert [item.data for item in view.entries][:2] == OLD
        if acknowledged:
            assert view.size > acknowledged[0] == 2
            assert view.entries[2].data != b"next"
        assert whole is False or kind in ("refresh", "cosignature") or acknowledged
    assert call > 5


@pytest.mark.parametrize("persist", [False, True], ids=["not persisted", "persisted"])
def test_a_step_of_the_settling_that_fails_is_settled_by_the_next_writer(pristine, tmp_path, monkeypatch, persist):
    """The checkpoint over a new entry is recorded, and nothing of it visible; then the disk is full, step by step."""
    base = open_ledger(shutil.copytree(pristine, tmp_path / "base"))
    with monkeypatch.context() as patch, writer(base, 100) as opened:
        patch.setattr(writers._disk, "write_end", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(LedgerError, match="full"):
            opened.append_at(b"new", 2)
    for call in range(1, 100):
        ledger = open_ledger(shutil.copytree(base.folder, tmp_path / f"ledger-{call}"))
        with monkeypatch.context() as patch:
            made = failing(patch, call, persist=persist)
            try:
                writer(ledger, 150).close()
            except LedgerError as error:
                assert "No space left on device" in str(error)  # noqa: PT017
        writer(ledger, 200).close()
        assert check(ledger, {2: b"new"}).entries[2].time == at(100)
        if len(made) < call:
            break
    assert call > 2


@pytest.mark.parametrize("persist", [False, True], ids=["not persisted", "persisted"])
def test_a_step_of_the_creation_that_fails_leaves_no_ledger_or_a_whole_one(tmp_path, monkeypatch, persist):
    for call in range(1, 100):
        folder = tmp_path / f"ledger-{call}"
        with monkeypatch.context() as patch:
            made = failing(patch, call, persist=persist)
            try:
                create(folder, ORIGIN, KEY, START)
            except LedgerError as error:
                assert "No space left on device" in str(error)  # noqa: PT017
        if (folder / "checkpoint").exists():
            writer(open_ledger(folder)).close()
            assert check(open_ledger(folder)).size == 0
        else:
            with pytest.raises(LedgerError, match="checkpoint"):
                open_ledger(folder).read()
        if len(made) < call:
            break
    assert call > 5


def test_a_checkpoint_that_could_not_be_placed_leaves_readers_what_stood_before(small, monkeypatch):
    with monkeypatch.context() as patch, writer(small, 100) as opened:
        patch.setattr(writers._disk, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(LedgerError, match="full"):
            opened.append_at(b"new", 2)
        assert data_of(small) == OLD
    writer(small, 200).close()
    assert check(small, {2: b"new"}).entries[2].time == at(100)  # it was signed then


@pytest.mark.parametrize("kind", ["append_at", "seal"])
def test_what_could_not_be_published_at_once_does_not_turn_up_later(small, monkeypatch, kind):
    with monkeypatch.context() as patch, writer(small, 100) as opened:
        patch.setattr(_publish._disk, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(LedgerError, match="full"):
            opened.append_at(b"new", 2) if kind == "append_at" else opened.seal(successor="-", reason="x")
    with writer(small, 200) as opened:
        assert data_of(small) == OLD
        assert opened.append_at(b"other", 2) == 2
    assert check(small).seal is None


def test_a_disk_that_is_really_full(pristine, tmp_path):
    """The kernel refuses to let any file grow beyond a limit: SQLite's own writes fail too, where no hook reaches."""
    outcomes = set()
    for limit in [*range(0, 40_000, 2_500), 60_000, 100_000, 200_000, 2_000_000]:
        ledger = open_ledger(shutil.copytree(pristine, tmp_path / f"ledger-{limit}"))

        def work(ledger=ledger, limit=limit):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                with writer(ledger, 100) as opened:
                    for n in range(8):
                        yield opened.append_at(b"new %d" % n + bytes(9_000), 2 + n)
            except LedgerError:
                return

        code, acknowledged = dying(0, work, persist=False)
        assert code == 0
        outcomes.add(len(acknowledged))
        with writer(ledger, 200) as opened:
            opened.append(b"next")
        check(ledger, {number: b"new %d" % (number - 2) + bytes(9_000) for number in acknowledged})
    assert {0, 8} < outcomes  # too full to begin, room for all, and something between


def test_a_disk_that_cannot_be_written_is_read_and_not_written(small, monkeypatch):
    real = os.open

    def refusing(path, flags, *args, **settings):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *args, **settings)

    monkeypatch.setattr(os, "open", refusing)
    assert check(small).size == 2
    with pytest.raises(LedgerError, match="Read-only file system"):
        writer(small)


# Many writers


def test_threads_share_commits_and_each_gets_its_own_number(small, monkeypatch):
    commits = []
    real = _database.Database.sequence

    def counted(self, entries, *rest):
        commits.append(len(entries))
        real(self, entries, *rest)

    monkeypatch.setattr(_database.Database, "sequence", counted)
    got: dict[int, bytes] = {}
    with writer(small) as opened:

        def work(name: int) -> None:
            waiting = [(opened.submit(b"%d %d" % (name, n)), b"%d %d" % (name, n)) for n in range(50)]
            for ticket, data in waiting:
                got[opened.wait(ticket)] = data

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got) == list(range(2, 402))
    check(small, got)
    assert sum(commits) == 400
    assert len(commits) < 100


def _working_process(folder: Path, name: int, writing: int) -> None:
    """Append without end, in batches of several sizes, and say what was acknowledged, number and entry a line."""
    draw = random.Random(name)  # noqa: S311
    with Writer(open_ledger(folder), KEY) as opened:
        n = 0
        while True:
            waiting = []
            for _ in range(draw.choice([1, 1, 3, 20])):
                data = b"%d-%d-%s" % (name, n, b"x" * draw.choice([0, 10, 700]))
                waiting.append((opened.submit(data), data))
                n += 1
            for ticket, data in waiting:
                os.write(writing, b"%d %s\n" % (opened.wait(ticket), data))


def _killed_while_appending(ledger: Ledger, cycle: int) -> dict[int, bytes]:
    """Four processes append; all are killed at once, at a moment that `cycle` draws. Return what they acknowledged."""
    draw = random.Random(cycle)  # noqa: S311
    reading, writing = os.pipe()
    children = []
    for name in range(4):
        child = os.fork()
        if not child:
            try:
                _working_process(ledger.folder, cycle * 4 + name, writing)
            finally:
                os._exit(1)
        children.append(child)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        first = [told.readline() for _ in range(draw.choice([1, 5, 40, 150]))]
        for child in children:
            os.kill(child, signal.SIGKILL)
        rest = told.read()
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    lines = (b"".join(first) + rest).split(b"\n")[:-1]
    return {int(line.split(b" ")[0]): line.split(b" ")[1] for line in lines}


def test_kill_9_of_four_processes_loses_nothing_that_was_acknowledged(tmp_path):
    """As many cycles as INTERLOCK_KILL_CYCLES says: 25, and 1,000 in `make proofs`."""
    ledger = create(tmp_path / "ledger-0", ORIGIN, KEY, datetime(2026, 1, 1, tzinfo=UTC))
    acknowledged: dict[int, bytes] = {}
    for cycle in range(KILL_CYCLES):
        if cycle % 25 == 24:  # so that a thousand cycles do not read an ever longer ledger
            acknowledged = {}
            ledger = create(tmp_path / f"ledger-{cycle}", ORIGIN, KEY, datetime(2026, 1, 1, tzinfo=UTC))
        acknowledged |= _killed_while_appending(ledger, cycle)
        Writer(ledger, KEY).close()
        view = check(ledger, acknowledged)
        data = [item.data for item in view.entries]
        assert len(set(data)) == len(data)  # nothing twice, either
        assert len(acknowledged) > 0


def test_a_reader_beside_writers_always_reads_a_whole_ledger(small):
    stop = threading.Event()
    with Writer(small, KEY, clock=lambda: at(1000)) as opened:

        def work() -> None:
            while not stop.is_set():
                opened.append(b"x")
                opened.publish()

        thread = threading.Thread(target=work)
        thread.start()
        sizes, late = [], time.monotonic() + 60
        while len(sizes) < 40 or (sizes[-1] == sizes[0] and time.monotonic() < late):  # the writer may be slow
            sizes.append(check_size(small))
        stop.set()
        thread.join()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def check_size(ledger: Ledger) -> int:
    view = ledger.read()
    assert [item.data for item in view.entries] == [*OLD, *[b"x"] * (view.size - 2)]
    return view.size
