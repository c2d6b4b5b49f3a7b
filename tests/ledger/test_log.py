from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair, new_key
from interlock.ledger import merkle
from interlock.ledger.log import ENTRY_LIMIT, Ledger
from interlock.ledger.note import Checkpoint, Note, NoteKey, verify_signature

ORIGIN = "example.com/ledger"
KEY = KeyPair.generate()
START = datetime(2026, 12, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def new_ledger(folder: Path, entries: int = 0) -> Ledger:
    ledger = Ledger.create(folder, ORIGIN, KEY, START)
    for index in range(entries):
        assert ledger.append(b"entry %d" % index, log_key=KEY, now=at(10 * index + 10)) == index
    return ledger


def data_of(ledger: Ledger) -> list[bytes]:
    return [entry.data for entry in ledger.read().entries]


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """Twelve entries, then a refresh, so that `checkpoint` is not a copy of the last numbered one."""
    folder = tmp_path_factory.mktemp("pristine") / "ledger"
    new_ledger(folder, entries=12).refresh(KEY, at(500))
    return folder


@pytest.fixture
def altered(pristine, tmp_path) -> Ledger:
    folder = tmp_path / "ledger"
    shutil.copytree(pristine, folder)
    return Ledger.open(folder, KEY.public, ORIGIN)


# What is written is read


def test_entries_are_read_back_with_their_ledger_times(pristine):
    view = Ledger.open(pristine, KEY.public, ORIGIN).read()
    assert [(e.index, e.data, e.time) for e in view.entries] == [
        (n, b"entry %d" % n, at(10 * n + 10)) for n in range(12)
    ]
    assert (view.size, view.origin, view.time) == (12, ORIGIN, at(500))
    assert view.root == merkle.root(merkle.leaf_hash(e.data) for e in view.entries)


def test_the_note_is_a_checkpoint_that_other_tools_of_the_format_verify(pristine):
    view = Ledger.open(pristine, KEY.public, ORIGIN).read()
    note = Note.parse(view.note.encode())
    verify_signature(note, NoteKey(ORIGIN, KEY.public))
    assert Checkpoint.parse(note.text) == Checkpoint(ORIGIN, 12, view.root)


def test_an_empty_ledger_has_a_checkpoint_too(tmp_path):
    view = new_ledger(tmp_path / "ledger").read()
    assert (view.entries, view.size, view.root, view.time) == ((), 0, merkle.EMPTY_ROOT, START)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_law_any_bytes_come_back_in_order(tmp_path, entries, steps):
    shutil.rmtree(tmp_path / "ledger", ignore_errors=True)
    ledger, seconds = new_ledger(tmp_path / "ledger"), 0
    for data, step in zip(entries, steps, strict=False):
        seconds += step
        ledger.append(data, log_key=KEY, now=at(seconds))
    assert data_of(ledger) == entries
    assert ledger.read().time == at(seconds)


def test_every_checkpoint_is_consistent_with_the_next(pristine):
    leaves = [merkle.leaf_hash(b"entry %d" % n) for n in range(12)]
    notes = [Note.parse(path.read_bytes()) for path in sorted((pristine / "checkpoints").iterdir())]
    roots = [Checkpoint.parse(note.text).root for note in notes]
    for size in range(1, 12):
        merkle.verify_consistency(
            size, 12, old_root=roots[size], new_root=roots[12], proof=merkle.consistency_proof(leaves, size)
        )


def test_the_longest_entry_is_kept_and_a_longer_one_refused(tmp_path):
    ledger = new_ledger(tmp_path / "ledger")
    ledger.append(bytes(ENTRY_LIMIT), log_key=KEY, now=at(1))
    for data in (bytes(ENTRY_LIMIT + 1), b""):
        with pytest.raises(LedgerError, match=f"got an entry of {len(data)} bytes, expected 1 to {ENTRY_LIMIT}"):
            ledger.append(data, log_key=KEY, now=at(2))
    assert ledger.read().size == 1


def test_a_refresh_changes_the_time_and_nothing_else(tmp_path):
    ledger = new_ledger(tmp_path / "ledger", entries=2)
    before, files = ledger.read(), contents(tmp_path / "ledger")
    ledger.refresh(KEY, at(100))
    after = ledger.read()
    assert (after.entries, after.size, after.root, after.time) == (before.entries, 2, before.root, at(100))
    assert {name for name, data in contents(tmp_path / "ledger").items() if files[name] != data} == {"checkpoint"}


def test_times_are_whole_seconds_in_utc(tmp_path):
    ledger = new_ledger(tmp_path / "ledger")
    there = datetime(2026, 12, 1, 9, 0, 5, 999_999, tzinfo=timezone(timedelta(hours=9)))
    ledger.append(b"x", log_key=KEY, now=there)
    assert ledger.read().entries[0].time == at(5)


# What the caller may not do


def test_a_ledger_is_created_in_a_new_or_empty_folder_only(tmp_path):
    (tmp_path / "empty").mkdir()
    Ledger.create(tmp_path / "empty", ORIGIN, KEY, START)
    for folder in (tmp_path, tmp_path / "empty"):
        with pytest.raises(UsageError, match="is not empty"):
            Ledger.create(folder, ORIGIN, KEY, START)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot make"):
        Ledger.create(tmp_path / "file", ORIGIN, KEY, START)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb"])
def test_an_origin_that_no_note_can_carry_is_refused(tmp_path, origin):
    with pytest.raises(UsageError, match="cannot start"):
        Ledger.create(tmp_path / "ledger", origin, KEY, START)
    assert not (tmp_path / "ledger").exists()


def test_there_is_nothing_to_open_in_a_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="expected a ledger"):
        Ledger.open(tmp_path / "nothing", KEY.public, ORIGIN)
    with pytest.raises(LedgerError):
        Ledger.open(tmp_path, KEY.public, ORIGIN).read()


def test_another_log_s_key_appends_nothing(altered):
    for write in (
        lambda: altered.append(b"x", log_key=KeyPair.generate(), now=at(900)),
        lambda: altered.refresh(KeyPair.generate(), at(900)),
    ):
        with pytest.raises(UsageError, match="got log key"):
            write()


@pytest.mark.parametrize("now", [datetime(2027, 1, 1), datetime(1969, 12, 31, tzinfo=UTC)])  # noqa: DTZ001
def test_a_time_without_a_zone_or_before_the_epoch_is_refused(altered, now):
    with pytest.raises(UsageError, match="got time"):
        altered.append(b"x", log_key=KEY, now=now)


def test_a_clock_that_went_back_is_refused(altered):
    for write in (
        lambda: altered.append(b"x", log_key=KEY, now=at(499)),
        lambda: altered.refresh(KEY, at(499)),
    ):
        with pytest.raises(
            LedgerError, match=r"clock went back: got 2026-12-01 00:08:19.*expected 2026-12-01 00:08:20"
        ):
            write()
    assert altered.append(b"x", log_key=KEY, now=at(500)) == 12


def test_another_key_or_origin_does_not_verify(pristine):
    with pytest.raises(LedgerError, match="checkpoint"):
        Ledger.open(pristine, KeyPair.generate().public, ORIGIN).read()
    with pytest.raises(LedgerError, match="checkpoint"):
        Ledger.open(pristine, KEY.public, "example.com/other").read()


# Nothing changes unseen


def test_law_no_byte_of_any_file_changes_unseen(altered):
    draw = random.Random(7)  # noqa: S311  which bytes to flip is no secret
    files = sorted(path for path in altered.folder.rglob("*") if path.is_file())
    assert len(files) == 12 + 13 + 2
    flips = [(path, offset) for path in files for offset in range(path.stat().st_size)]
    for path, offset in draw.sample(flips, 400):
        original = path.read_bytes()
        value = draw.choice([v for v in range(256) if v != original[offset]])
        path.write_bytes(original[:offset] + bytes([value]) + original[offset + 1 :])
        with pytest.raises(LedgerError):
            altered.read()
        path.write_bytes(original)
    assert altered.read().size == 12


def test_every_byte_of_the_latest_checkpoint_counts(altered):
    path = altered.folder / "checkpoint"
    original = path.read_bytes()
    for offset in range(len(original)):
        changed = bytearray(original)
        changed[offset] ^= 1 << offset % 8
        path.write_bytes(changed)
        with pytest.raises(LedgerError):
            altered.read()


def test_no_file_disappears_unseen(altered):
    for path in sorted(path for path in altered.folder.rglob("*") if path.is_file()):
        original = path.read_bytes()
        path.unlink()
        with pytest.raises(LedgerError):
            altered.read()
        path.write_bytes(original)
    assert altered.read().size == 12


def test_no_file_is_truncated_or_extended_unseen(altered):
    for path in sorted(path for path in altered.folder.rglob("*") if path.is_file()):
        original = path.read_bytes()
        for changed in {original + b"\n", original + b"\0", original[:-1], original[:1], b"", b"\n"} - {original}:
            path.write_bytes(changed)
            with pytest.raises(LedgerError):
                altered.read()
        path.write_bytes(original)
    assert altered.read().size == 12


@pytest.mark.parametrize(
    "name",
    [
        "x",
        ".hidden",
        "entry.tmp",
        "record.tmp",
        "checkpoint.tmp",
        "checkpoint~",
        "entries/00000012",
        "entries/99999999",
        "entries/x",
        "entries/0000000",
        "entries/000000000",
        "entries/.x",
        "entries/\N{ARABIC-INDIC DIGIT ONE}0000012",
        "checkpoints/00000013",
        "checkpoints/x",
    ],
)
@pytest.mark.parametrize("data", [b"", b"entry 12"])
def test_no_file_is_added_unseen(altered, name, data):
    (altered.folder / name).write_bytes(data)
    with pytest.raises(LedgerError, match="expected"):
        altered.read()


@pytest.mark.parametrize("name", ["x", "entries/x", "entries/00000012", "checkpoints/00000013"])
def test_no_folder_is_added_unseen(altered, name):
    (altered.folder / name).mkdir()
    with pytest.raises(LedgerError, match="expected"):
        altered.read()


@pytest.mark.parametrize("name", ["entries", "checkpoints", "checkpoint", "lock", "entries/00000003"])
def test_a_symbolic_link_to_the_same_content_is_refused(altered, tmp_path, name):
    path = altered.folder / name
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(LedgerError, match="expected"):
        altered.read()


@pytest.mark.parametrize("name", ["checkpoint", "lock", "entries/00000003"])
def test_a_pipe_is_refused_and_not_waited_for(altered, name):
    (altered.folder / name).unlink()
    os.mkfifo(altered.folder / name)
    with pytest.raises(LedgerError, match="expected"):
        altered.read()


@pytest.mark.parametrize("kind", ["entries", "checkpoints"])
def test_no_two_files_change_places_unseen(altered, kind):
    a, b = altered.folder / kind / "00000003", altered.folder / kind / "00000007"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    with pytest.raises(LedgerError, match="00000003"):
        altered.read()


def test_an_entry_with_its_checkpoint_is_not_dropped_unseen(altered):
    (altered.folder / "entries/00000011").unlink()
    (altered.folder / "checkpoints/00000012").unlink()
    with pytest.raises(LedgerError, match="got 11 files, expected 12"):
        altered.read()


def test_a_refreshed_checkpoint_is_not_put_in_a_numbered_one_s_place(altered):
    shutil.copy(altered.folder / "checkpoint", altered.folder / "checkpoints/00000011")
    with pytest.raises(LedgerError, match="checkpoint of size 12, expected 11"):
        altered.read()


def test_a_numbered_time_after_the_latest_is_refused(altered):
    newer = Ledger(altered.folder, KEY.public, ORIGIN)._sign(12, altered.read().root, KEY, int(at(600).timestamp()))
    (altered.folder / "checkpoints/00000012").write_bytes(newer)
    with pytest.raises(LedgerError, match=r"checkpoint`: got time 2026-12-01 00:08:20.*or later"):
        altered.read()


def test_times_that_go_back_between_entries_are_refused(altered):
    leaves = [merkle.leaf_hash(b"entry %d" % n) for n in range(5)]
    older = altered._sign(5, merkle.root(leaves), KEY, int(at(1).timestamp()))
    (altered.folder / "checkpoints/00000005").write_bytes(older)
    with pytest.raises(LedgerError, match=r"00000005`: got time .* or later"):
        altered.read()


@pytest.mark.parametrize("change", ["lines swapped", "a line twice", "no cosignature", "a stranger's line"])
def test_a_checkpoint_has_the_log_s_two_lines_in_order_and_no_other(altered, change):
    path = altered.folder / "checkpoint"
    note = Note.parse(path.read_bytes())
    first, second = note.signatures
    lines = {
        "lines swapped": (second, first),
        "a line twice": (first, second, second),
        "no cosignature": (first,),
        "a stranger's line": (first, second, first.__class__("example.com/w", b"abcd", b"x")),
    }
    path.write_bytes(Note(note.text, lines[change]).to_bytes())
    with pytest.raises(LedgerError, match="other signature lines"):
        altered.read()


def test_the_error_names_the_file_and_what_was_expected(altered):
    (altered.folder / "entries/00000004").write_bytes(b"entry X")
    with pytest.raises(
        LedgerError, match=r"entries/00000004`: got root [0-9a-f]{64}, expected [0-9a-f]{64} by `.*/00000005`"
    ):
        altered.read()


# Nothing is signed over a broken ledger

BREAKS = {
    "an altered entry": lambda folder: (folder / "entries/00000004").write_bytes(b"entry X"),
    "a missing entry": lambda folder: (folder / "entries/00000004").unlink(),
    "an altered checkpoint": lambda folder: (folder / "checkpoint").write_bytes(b"x"),
    "an altered last checkpoint": lambda folder: (folder / "checkpoints/00000012").write_bytes(b"x"),
    "a missing checkpoint": lambda folder: (folder / "checkpoints/00000004").unlink(),
    "a foreign file": lambda folder: (folder / "x").write_bytes(b"x"),
    "a foreign entry": lambda folder: (folder / "entries/x").write_bytes(b"x"),
    "a lock that holds a byte": lambda folder: (folder / "lock").write_bytes(b"x"),
    "an entry that the log never took": lambda folder: (folder / "entries/00000012").write_bytes(b"planted"),
    "a checkpoint of nothing": lambda folder: (folder / "checkpoints/00000013").write_bytes(b"x"),
}


@pytest.mark.parametrize("case", BREAKS)
def test_nothing_is_signed_over(altered, case):
    BREAKS[case](altered.folder)
    before = contents(altered.folder)
    for write in (
        lambda: altered.append(b"x", log_key=KEY, now=at(900)),
        lambda: altered.refresh(KEY, at(900)),
        altered.mend,
    ):
        with pytest.raises(LedgerError):
            write()
    assert contents(altered.folder) == before


# Crash points: fail before the call, fail after it; then the next writer settles


class Killed(BaseException):
    """Nothing in the ledger catches this, as nothing catches a kill."""


SAVING = ("write", "fsync", "rename")


def fail_at(monkeypatch, *, call: int, persist: bool, error: BaseException, names=SAVING) -> list[str]:
    """Make the `call`-th of these system calls fail, before it takes effect or after; return the calls made."""
    made: list[str] = []

    def patched(name, real):
        def run(*args, **kwargs):
            made.append(name)
            if len(made) != call:
                return real(*args, **kwargs)
            if persist:
                real(*args, **kwargs)
            raise error

        return run

    for name in names:
        monkeypatch.setattr(os, name, patched(name, getattr(os, name)))
    return made


# The calls of an append: three files staged, their folder synced, then three renames, each synced.
CALLS = ["write", "fsync"] * 3 + ["fsync"] + ["rename", "fsync"] * 3
STAGED, ENTRY_VISIBLE = 8, 10  # the call at which a kill leaves everything staged; the entry visible
OLD = [b"entry 0", b"entry 1"]

every_call = pytest.mark.parametrize("call", range(1, len(CALLS) + 1))
both_ways = pytest.mark.parametrize("persist", [False, True], ids=["not persisted", "persisted"])


@pytest.fixture(scope="module")
def small_pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "ledger"
    new_ledger(folder, entries=2)
    return folder


@pytest.fixture
def small(small_pristine, tmp_path) -> Ledger:
    shutil.copytree(small_pristine, tmp_path / "ledger")
    return Ledger.open(tmp_path / "ledger", KEY.public, ORIGIN)


def killed_append(ledger: Ledger, monkeypatch, *, call: int, persist: bool = False) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, call=call, persist=persist, error=Killed())
        with pytest.raises(Killed):
            ledger.append(b"new", log_key=KEY, now=at(100))


def test_an_append_has_the_crash_points_that_are_tried_below(small, monkeypatch):
    with monkeypatch.context() as patch:
        made = fail_at(patch, call=0, persist=False, error=Killed())
        small.append(b"new", log_key=KEY, now=at(100))
    assert made == CALLS


@both_ways
@pytest.mark.parametrize("settle", ["append", "refresh", "mend"])
@every_call
def test_a_kill_at_any_point_loses_nothing_and_is_settled(small, monkeypatch, call, settle, persist):
    killed_append(small, monkeypatch, call=call, persist=persist)
    try:
        seen = data_of(small)
    except LedgerError:
        seen = None
    assert seen in (None, OLD, [*OLD, b"new"])  # a reader sees nothing else

    if settle == "append":
        small.append(b"next", log_key=KEY, now=at(200))
    elif settle == "refresh":
        small.refresh(KEY, at(200))
    else:
        small.mend()

    view = small.read()
    data = [entry.data for entry in view.entries if entry.data != b"next"]
    assert data == ([*OLD, b"new"] if call >= STAGED or (call, persist) == (7, True) else data)
    assert data in (OLD, [*OLD, b"new"])
    assert [entry.data for entry in view.entries][len(data) :] == [b"next"] * (settle == "append")
    assert [entry.time for entry in view.entries][: len(data)] == [at(10), at(20), at(100)][: len(data)]


@both_ways
@pytest.mark.parametrize("call", range(1, 14))
def test_a_kill_while_settling_is_settled_too(small, monkeypatch, call, persist):
    killed_append(small, monkeypatch, call=ENTRY_VISIBLE)
    with monkeypatch.context() as patch:
        made = fail_at(patch, call=call, persist=persist, error=Killed(), names=(*SAVING, "unlink"))
        with contextlib.suppress(Killed, FileNotFoundError):
            small.mend()
    assert len(made) <= 12  # so every call was tried
    small.mend()
    assert data_of(small) == [*OLD, b"new"]
    assert small.read().entries[2].time == at(100)


@both_ways
@every_call
def test_a_full_disk_acknowledges_nothing_and_leaves_a_ledger_that_verifies(small, monkeypatch, call, persist):
    with monkeypatch.context() as patch:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fail_at(patch, call=call, persist=persist, error=error)
        with pytest.raises(LedgerError, match=r"No space left on device\); nothing was acknowledged"):
            small.append(b"new", log_key=KEY, now=at(100))
    assert data_of(small) == (OLD if call < STAGED else [*OLD, b"new"])
    small.append(b"next", log_key=KEY, now=at(200))
    assert data_of(small)[-1] == b"next"


@both_ways
@pytest.mark.parametrize("call", range(1, 5))
def test_a_full_disk_at_a_refresh_changes_no_tree(small, monkeypatch, call, persist):
    with monkeypatch.context() as patch:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        made = fail_at(patch, call=call, persist=persist, error=error)
        with pytest.raises(LedgerError, match="No space left on device"):
            small.refresh(KEY, at(100))
    assert made == ["write", "fsync", "rename", "fsync"][:call]
    assert data_of(small) == OLD


def test_a_disk_that_stays_full_changes_nothing(small, tmp_path, monkeypatch):
    before = contents(small.folder)

    def full(descriptor, data):
        os.pwrite(descriptor, bytes(data)[:3], 0)  # some of it fits
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for write in (
            lambda: small.append(b"new", log_key=KEY, now=at(100)),
            lambda: small.refresh(KEY, at(100)),
        ):
            with pytest.raises(LedgerError, match="No space left on device"):
                write()
            assert contents(small.folder) == before
        with pytest.raises(LedgerError, match=r"No space left.*remove the folder"):
            Ledger.create(tmp_path / "other", ORIGIN, KEY, START)


def test_short_writes_are_completed(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    assert data_of(new_ledger(tmp_path / "ledger", entries=2)) == [b"entry 0", b"entry 1"]


def test_a_reader_is_told_how_an_unfinished_write_is_settled(small, monkeypatch):
    killed_append(small, monkeypatch, call=ENTRY_VISIBLE)
    with pytest.raises(LedgerError, match="the next append, refresh or mend settles it"):
        small.read()


def test_an_entry_that_was_signed_keeps_its_time_when_it_is_settled_later(small, monkeypatch):
    killed_append(small, monkeypatch, call=ENTRY_VISIBLE)
    with pytest.raises(LedgerError, match="clock went back"):
        small.append(b"next", log_key=KEY, now=at(99))
    assert [(e.data, e.time) for e in small.read().entries[2:]] == [(b"new", at(100))]


def test_an_entry_that_was_replaced_after_the_crash_is_not_signed_over(small, monkeypatch):
    killed_append(small, monkeypatch, call=ENTRY_VISIBLE)
    (small.folder / "entries/00000002").write_bytes(b"planted")
    with pytest.raises(LedgerError):
        small.append(b"next", log_key=KEY, now=at(200))


def test_a_staged_entry_that_was_replaced_after_the_crash_is_not_taken(small, monkeypatch):
    killed_append(small, monkeypatch, call=STAGED)
    (small.folder / "entry.tmp").write_bytes(b"planted")
    small.mend()
    assert data_of(small) == OLD


def test_a_staged_entry_planted_after_the_true_one_is_visible_is_not_taken(small, monkeypatch):
    killed_append(small, monkeypatch, call=ENTRY_VISIBLE)
    assert (small.folder / "entries/00000002").read_bytes() == b"new"
    (small.folder / "entry.tmp").write_bytes(b"planted")
    small.mend()
    assert data_of(small) == [*OLD, b"new"]


def test_mending_a_whole_ledger_changes_nothing(altered):
    before = contents(altered.folder)
    altered.mend()
    assert contents(altered.folder) == before


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from interlock.evidence.keys import load_private
from interlock.ledger.log import Ledger

folder, count = Path(sys.argv[1]), int(sys.argv[2])
key = load_private(folder.parent / "log.key")
ledger = Ledger.open(folder, key.public, "example.com/ledger")
for n in range(count):
    index = ledger.append(b"%s %d" % (sys.argv[3].encode(), n), log_key=key, now=datetime.now(UTC))
    print(index, flush=True)
"""


def writer(folder: Path, count: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def shared(tmp_path) -> Ledger:
    key = new_key(tmp_path / "log.key", passphrase=None)
    return Ledger.create(tmp_path / "ledger", ORIGIN, key, datetime(2026, 1, 1, tzinfo=UTC))


def test_kill_9_loses_nothing_that_was_acknowledged(shared):
    process = writer(shared.folder, 10_000, "a")
    with process:
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
    shared.mend()
    view = shared.read()
    assert acknowledged == list(range(20))
    assert view.size >= 20
    assert [entry.data for entry in view.entries] == [b"a %d" % n for n in range(view.size)]


def test_two_writers_take_turns(shared):
    with writer(shared.folder, 15, "a") as first, writer(shared.folder, 15, "b") as second:
        outputs = [process.communicate()[0] for process in (first, second)]
    indices = sorted(int(line) for output in outputs for line in output.split())
    assert indices == list(range(30))
    data = data_of(shared)
    for name in (b"a", b"b"):
        assert [item for item in data if item.startswith(name)] == [b"%s %d" % (name, n) for n in range(15)]


def test_a_reader_waits_for_the_writer(altered):
    descriptor = os.open(altered.folder / "lock", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        assert altered.read().size == 12  # readers share
        command = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        blocked = subprocess.run(
            [sys.executable, "-c", command, str(altered.folder / "lock")], capture_output=True, text=True, check=False
        )
        assert "BlockingIOError" in blocked.stderr
    finally:
        os.close(descriptor)
