"""Reading: nothing changes unseen."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair
from interlock.ledger import merkle
from interlock.ledger.log import Ledger
from interlock.ledger.note import Checkpoint, Note, NoteKey, NoteSignature, verify_signature
from interlock.ledger.writer import Writer
from ledger.ledgers import KEY, ORIGIN, START, at, check, new_ledger, open_ledger, published, writer


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """Twelve entries, then a refresh, so that `checkpoint` is not a copy of the last in the history."""
    folder = tmp_path_factory.mktemp("pristine") / "ledger"
    with writer(new_ledger(folder, entries=12), 500) as opened:
        opened.refresh()
    return folder


@pytest.fixture
def altered(pristine, tmp_path) -> Ledger:
    folder = tmp_path / "ledger"
    shutil.copytree(pristine, folder)
    return open_ledger(folder)


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Ledger:
    """600 entries under three checkpoints: two full tiles, and a level above."""
    ledger = new_ledger(tmp_path_factory.mktemp("long") / "ledger")
    with writer(ledger) as opened:
        for start, end in ((0, 250), (250, 520), (520, 600)):
            tickets = [opened.submit(b"entry %d" % n) for n in range(start, end)]
            assert [opened.wait(ticket) for ticket in tickets] == list(range(start, end))
            opened.publish()
    return ledger


# What is written is read


def test_entries_are_read_back_with_their_ledger_times(pristine):
    view = open_ledger(pristine).read()
    assert [(e.index, e.data, e.time) for e in view.entries] == [
        (n, b"entry %d" % n, at(10 * n + 10)) for n in range(12)
    ]
    assert (view.size, view.origin, view.time, view.seal) == (12, ORIGIN, at(500), None)
    assert view.root == merkle.root(merkle.leaf_hash(e.data) for e in view.entries)


def test_the_note_is_a_checkpoint_that_other_tools_of_the_format_verify(pristine):
    view = open_ledger(pristine).read()
    note = Note.parse(view.note.encode())
    verify_signature(note, NoteKey(ORIGIN, KEY.public))
    assert Checkpoint.parse(note.text) == Checkpoint(ORIGIN, 12, view.root)


def test_an_empty_ledger_has_a_checkpoint_too(tmp_path):
    ledger = new_ledger(tmp_path / "ledger")
    view = ledger.read()
    assert (view.entries, view.size, view.root, view.time) == ((), 0, merkle.EMPTY_ROOT, START)
    assert (ledger.verify().checkpoints, ledger.verify().size) == (1, 0)


def test_every_checkpoint_of_the_history_is_consistent_with_the_next(pristine):
    leaves = [merkle.leaf_hash(b"entry %d" % n) for n in range(12)]
    lines = (pristine / "history").read_text().splitlines(keepends=True)
    notes = [Note.parse("".join(lines[n : n + 6]).encode()) for n in range(0, len(lines), 6)]
    heads = [Checkpoint.parse(note.text) for note in notes]
    assert [head.size for head in heads] == list(range(13))
    for size in range(1, 12):
        proof = merkle.consistency_proof(leaves, size)
        merkle.verify_consistency(size, 12, old_root=heads[size].root, new_root=heads[12].root, proof=proof)


def test_verify_counts_what_it_recomputed_and_tells_how_far_it_is(long):
    told = []
    verified = long.verify(lambda done, total: told.append((done, total)))
    assert (verified.size, verified.checkpoints, verified.root) == (600, 4, check(long).root)
    assert told == [(0, 600), (256, 600), (512, 600), (600, 600)]


def test_partial_tiles_go_when_their_full_tile_is_there(long):
    names = published(long.folder)
    assert {name for name in names if name.startswith("tile/0/")} == {
        "tile/0/000", "tile/0/001", "tile/0/002.p/8", "tile/0/002.p/88"
    }  # fmt: skip
    assert {name for name in names if name.startswith("tile/1/")} == {"tile/1/000.p/2"}
    assert "tile/entries/001" in names
    assert "tile/entries/001.p/4" not in names


def test_there_is_nothing_to_open_in_a_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="expected a ledger"):
        open_ledger(tmp_path / "nothing")
    with pytest.raises(LedgerError, match="checkpoint"):
        open_ledger(tmp_path).read()


def test_another_key_or_origin_does_not_verify(pristine):
    with pytest.raises(LedgerError, match="checkpoint"):
        Ledger.open(pristine, KeyPair.generate().public, ORIGIN).read()
    with pytest.raises(LedgerError, match="checkpoint"):
        Ledger.open(pristine, KEY.public, "example.com/other").read()


# Nothing changes unseen

NEEDED = ["checkpoint", "history", "tile/0/000.p/12", "tile/entries/000.p/12"]


def test_law_no_byte_of_any_file_changes_unseen(altered):
    draw = random.Random(7)  # noqa: S311  which bytes to flip is no secret
    files = [altered.folder / name for name, data in published(altered.folder).items() if data]
    assert len(files) == 2 + 12 + 12
    flips = [(path, offset) for path in files for offset in range(path.stat().st_size)]
    for path, offset in draw.sample(flips, 250):
        original = path.read_bytes()
        value = draw.choice([v for v in range(256) if v != original[offset]])
        path.write_bytes(original[:offset] + bytes([value]) + original[offset + 1 :])
        with pytest.raises(LedgerError):
            altered.verify()
        if str(path.relative_to(altered.folder)) in NEEDED:
            with pytest.raises(LedgerError):
                altered.read()
        path.write_bytes(original)
    check(altered)


def test_no_byte_of_a_longer_ledger_changes_unseen(long, tmp_path):
    draw = random.Random(8)  # noqa: S311
    ledger = open_ledger(shutil.copytree(long.folder, tmp_path / "ledger"))
    files = [ledger.folder / name for name, data in published(ledger.folder).items() if data]
    for path in files:
        for _ in range(3):
            original = path.read_bytes()
            offset = draw.randrange(len(original))
            flipped = bytes([original[offset] ^ 1 << draw.randrange(8)])
            path.write_bytes(original[:offset] + flipped + original[offset + 1 :])
            with pytest.raises(LedgerError):
                ledger.verify()
            path.write_bytes(original)
    check(ledger)


def test_every_byte_of_the_latest_checkpoint_counts(altered):
    path = altered.folder / "checkpoint"
    original = path.read_bytes()
    for offset in range(len(original)):
        changed = bytearray(original)
        changed[offset] ^= 1 << offset % 8
        path.write_bytes(changed)
        with pytest.raises(LedgerError):
            altered.read()


@pytest.mark.parametrize("name", NEEDED)
def test_no_file_disappears_or_is_cut_or_extended_unseen(altered, name):
    path = altered.folder / name
    original = path.read_bytes()
    for changed in {original + b"\n", original + b"\0", original[:-1], original[:1], b"", b"\n"}:
        path.write_bytes(changed)
        with pytest.raises(LedgerError):
            altered.read()
    path.unlink()
    with pytest.raises(LedgerError, match=name):
        altered.read()
    path.write_bytes(original)
    check(altered)


@pytest.mark.parametrize("name", NEEDED)
def test_a_symbolic_link_or_a_pipe_is_refused_and_not_waited_for(altered, tmp_path, name):
    path = altered.folder / name
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(LedgerError, match="expected"):
        altered.read()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LedgerError, match="expected"):
        altered.read()


@pytest.mark.parametrize("name", ["x", ".hidden", "checkpoint~", "tile/x", "tile/0/x", "tile/0/000.p/x", "tile/0/0"])
def test_verify_refuses_a_file_that_does_not_belong(altered, name):
    (altered.folder / name).write_bytes(b"x")
    with pytest.raises(LedgerError, match=r"unknown file.*expected none"):
        altered.verify()


def test_a_tile_that_nothing_covers_is_not_read(altered):
    """A killed publication leaves such; what stands in them means nothing, whoever wrote them."""
    for name in ("tile/0/000.p/13", "tile/entries/000.p/13", "tile/entries/001", "tile/0/001"):
        (altered.folder / name).write_bytes(b"planted")
    before = altered.read()
    check(altered)
    with writer(altered) as opened:
        opened.append_at(b"next", 12)
    assert check(altered).entries[:12] == before.entries


def test_an_entry_is_named_that_differs_from_its_hash(altered):
    path = altered.folder / "tile/entries/000.p/12"
    path.write_bytes(path.read_bytes().replace(b"entry 4", b"entry X"))
    with pytest.raises(LedgerError, match=r"tile/0/000.p/12`: entry 4 differs|entries 4 to 4: got root"):
        altered.read()


# The ledger is put back, cut off, or told otherwise


def test_a_checkpoint_that_is_put_back_is_refused(altered):
    lines = (altered.folder / "history").read_bytes().splitlines(keepends=True)
    (altered.folder / "checkpoint").write_bytes(b"".join(lines[-12:-6]))
    with pytest.raises(LedgerError, match=r"got size 11, expected 12 by `history`: it was put back"):
        altered.read()


def test_a_history_that_ends_early_or_begins_late_or_leaves_one_out_is_refused(altered):
    path = altered.folder / "history"
    lines = path.read_bytes().splitlines(keepends=True)
    for changed, message in (
        (lines[:-6], "ends at size 11, expected 12"),
        (lines[6:], "got size 1 first, expected 0"),
        ([], "ends at size nothing, expected 12"),
        (lines[:12] + lines[6:], "got size 1 after 1, expected a larger one"),
        (lines[:6] + lines[12:18] + lines[6:12] + lines[18:], "got size 1 after 2, expected a larger one"),
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(LedgerError, match=message):
            altered.read()
    # left out in the middle, its entry counts as later than it was: no decision that read it can look newer
    path.write_bytes(b"".join(lines[:24] + lines[30:]))
    assert altered.read().entries[3].time == at(50)


def test_times_that_go_back_are_refused(altered):
    path = altered.folder / "history"
    lines = path.read_bytes().splitlines(keepends=True)
    root = merkle.root(merkle.leaf_hash(b"entry %d" % n) for n in range(5))
    older = altered.log.sign(Checkpoint(ORIGIN, 5, root), KEY, int(at(1).timestamp()))
    path.write_bytes(b"".join(lines[:30]) + older + b"".join(lines[36:]))
    with pytest.raises(LedgerError, match=r"got time .* at size 5, expected .* or later"):
        altered.read()


def test_a_time_of_the_history_after_the_latest_is_refused(altered):
    lines = (altered.folder / "history").read_bytes().splitlines(keepends=True)
    root = altered.read().root
    newer = altered.log.sign(Checkpoint(ORIGIN, 12, root), KEY, int(at(600).timestamp()))
    (altered.folder / "history").write_bytes(b"".join(lines[:-6]) + newer)
    with pytest.raises(LedgerError, match=r"checkpoint`: got time 2026-12-01 00:08:20.*or later"):
        altered.read()


@pytest.mark.parametrize("change", ["lines swapped", "no cosignature", "a stranger's line first"])
def test_a_checkpoint_has_the_log_s_two_lines_first(altered, change):
    path = altered.folder / "checkpoint"
    note = Note.parse(path.read_bytes())
    first, second = note.signatures
    stranger = NoteSignature("example.com/w", b"abcd", b"x")
    lines = {
        "lines swapped": (second, first),
        "no cosignature": (first,),
        "a stranger's line first": (stranger, first, second),
    }
    path.write_bytes(Note(note.text, lines[change]).to_bytes())
    with pytest.raises(LedgerError, match="other signature lines"):
        altered.read()


def test_lines_of_witnesses_may_follow_in_the_checkpoint_and_not_in_the_history(altered):
    path, history = altered.folder / "checkpoint", altered.folder / "history"
    note = Note.parse(path.read_bytes())
    witness = NoteSignature("example.com/w", b"abcd", b"x")
    path.write_bytes(Note(note.text, (*note.signatures, witness)).to_bytes())
    assert "example.com/w" in altered.read().note
    lines = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join(lines[:6]) + witness.line().encode() + b"".join(lines[6:]))
    with pytest.raises(LedgerError, match="history"):
        altered.read()


# Who reads


def test_a_reader_without_permission_to_write_reads_and_verifies(tmp_path_factory):
    """As root, permissions mean nothing: there the reader becomes nobody for a moment."""
    base = tmp_path_factory.mktemp("read-only")
    ledger = new_ledger(base / "ledger", entries=3)
    for path in (base, *base.rglob("*")):
        path.chmod(0o500 if path.name == "sequencer" else 0o555 if path.is_dir() else 0o444)
    for path in base.parents[:3]:
        path.chmod(path.stat().st_mode | 0o055)
    script = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from interlock.evidence.keys import PublicKey\n"
        "from interlock.ledger.log import Ledger\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "ledger = Ledger.open(Path(sys.argv[1]), PublicKey.parse(sys.argv[2]), sys.argv[3])\n"
        "assert not os.access(ledger.folder, os.W_OK)\n"
        "print(ledger.verify().size, ledger.read().size, 'sqlite3' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(ledger.folder), str(KEY.public), ORIGIN]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    for path in (base, *base.rglob("*")):
        path.chmod(0o755)
    assert (said.stdout, said.stderr) == ("3 3 False\n", "")


def test_a_copy_without_the_sequencer_and_the_lock_verifies(altered):
    shutil.rmtree(altered.folder / "sequencer")
    (altered.folder / "lock").unlink()
    assert check(altered).size == 12
    with pytest.raises(LedgerError, match="lock"):
        writer(altered)


def test_a_reader_waits_for_who_publishes(altered):
    with (altered.folder / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        script = (
            "import sys; from pathlib import Path; from interlock.evidence.keys import PublicKey\n"
            "from interlock.ledger.log import Ledger\n"
            "print(Ledger.open(Path(sys.argv[1]), PublicKey.parse(sys.argv[2]), sys.argv[3]).read().size)"
        )
        command = [sys.executable, "-c", script, str(altered.folder), str(KEY.public), ORIGIN]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            fcntl.flock(file, fcntl.LOCK_UN)
            assert process.communicate()[0] == "12\n"


def test_memory_does_not_grow_with_the_ledger(tmp_path):
    """Ten thousand entries take no more than a thousand, within what Python itself moves."""
    peaks = []
    for entries in (1_000, 10_000):
        ledger = new_ledger(tmp_path / str(entries))
        with Writer(ledger, KEY, clock=lambda: at(1000)) as opened:
            for start in range(0, entries, 1000):
                tickets = [opened.submit(b"%d" % n * 40) for n in range(start, start + 1000)]
                for ticket in tickets:
                    opened.wait(ticket)
        script = (
            "import sys, tracemalloc; from pathlib import Path; from interlock.evidence.keys import PublicKey\n"
            "from interlock.ledger.log import Ledger\n"
            "ledger = Ledger.open(Path(sys.argv[1]), PublicKey.parse(sys.argv[2]), sys.argv[3])\n"
            "tracemalloc.start(); ledger.verify(); print(tracemalloc.get_traced_memory()[1])"
        )
        command = [sys.executable, "-c", script, str(ledger.folder), str(KEY.public), ORIGIN]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] < peaks[0] * 1.2 < 2_000_000
