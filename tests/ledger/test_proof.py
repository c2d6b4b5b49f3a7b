from __future__ import annotations

import base64
import shutil

import pytest

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair
from interlock.ledger import merkle, monitor, proof
from interlock.ledger._signed import Log
from interlock.ledger.note import Checkpoint
from interlock.ledger.proof import InclusionProof, prove
from interlock.ledger.tiles import ENTRY_LIMIT
from ledger.ledgers import KEY, ORIGIN, at, data_of, new_ledger, open_ledger, writer

SIZES = (1, 2, 255, 256, 257, 600)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The same ledger at several sizes: a folder for each."""
    base = tmp_path_factory.mktemp("grown")
    ledger, folders = new_ledger(base / "ledger"), {}
    with writer(ledger) as opened:
        for size in SIZES:
            for ticket in [opened.submit(b"entry %d" % n) for n in range(ledger.latest().size, size)]:
                opened.wait(ticket)
            opened.publish()
            folders[size] = open_ledger(shutil.copytree(ledger.folder, base / str(size)))
    return folders


# tlog-proof files


@pytest.mark.parametrize("size", SIZES)
def test_a_proof_shows_its_entry_at_its_place_only(grown, size):
    ledger, leaves = grown[size], [merkle.leaf_hash(b"entry %d" % n) for n in range(size)]
    for index in sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size))):
        made = prove(ledger, index, b"entry %d" % index)
        assert made.path == merkle.inclusion_proof(leaves, index)
        again = InclusionProof.parse(made.to_bytes())
        assert again == made
        assert again.verify(b"entry %d" % index, ledger.log).size == size
        for wrong in (b"entry %d" % (index + 1), b"", b"entry"):
            with pytest.raises(LedgerError, match="inclusion proof: got root"):
                again.verify(wrong, ledger.log)
        if size > 1:
            with pytest.raises(LedgerError, match="inclusion proof"):
                InclusionProof(index ^ 1, made.path, made.checkpoint).verify(b"entry %d" % index, ledger.log)


def test_a_proof_of_a_payload_is_of_the_payload_s_bytes(tmp_path):
    ledger, data = new_ledger(tmp_path / "ledger"), bytes(ENTRY_LIMIT + 1)
    with writer(ledger) as opened:
        opened.append(data)
    made = prove(ledger, 0, data)
    assert made.verify(data, ledger.log).size == 1
    with pytest.raises(LedgerError, match="inclusion proof"):
        made.verify(data + b"x", ledger.log)


def test_a_proof_for_another_log_or_tree_is_refused(grown):
    made = prove(grown[257], 3, b"entry 3")
    for log in (Log(ORIGIN, KeyPair.generate().public), Log("example.com/other", KEY.public)):
        with pytest.raises(LedgerError, match="proof: "):
            made.verify(b"entry 3", log)
    other = InclusionProof(3, made.path, prove(grown[256], 3, b"entry 3").checkpoint)
    with pytest.raises(LedgerError, match="inclusion proof"):
        other.verify(b"entry 3", grown[256].log)


def test_there_is_no_proof_of_what_is_not_there(grown):
    for index, data in ((2, b"entry 2"), (-1, b"entry 0"), (0, b"other")):
        with pytest.raises(LedgerError, match="inclusion proof"):
            prove(grown[2], index, data)


def test_no_bit_of_a_proof_changes_unseen(grown):
    ledger = grown[257]
    original = prove(ledger, 100, b"entry 100").to_bytes()
    for offset in range(len(original)):
        changed = bytearray(original)
        changed[offset] ^= 1 << offset % 8
        with pytest.raises(LedgerError):  # noqa: PT012  which of the two refuses depends on the byte
            parsed = InclusionProof.parse(bytes(changed))
            parsed.verify(b"entry 100", ledger.log)


def test_the_extra_line_is_passed_over_and_must_be_base64(grown):
    data = prove(grown[2], 1, b"entry 1").to_bytes()
    title, rest = data.split(b"\n", 1)
    extra = b"extra " + base64.b64encode(b"anything") + b"\n"
    assert InclusionProof.parse(title + b"\n" + extra + rest).index == 1
    for bad in (b"extra !\n", extra + extra):
        with pytest.raises(LedgerError, match="proof: got"):
            InclusionProof.parse(title + b"\n" + bad + rest)


BAD = {
    "nothing": b"",
    "another title": b"c2sp.org/tlog-proof@v2\nindex 0\n\nx",
    "no index": b"c2sp.org/tlog-proof@v1\n\nx",
    "a leading zero": b"c2sp.org/tlog-proof@v1\nindex 01\n\nx",
    "a sign": b"c2sp.org/tlog-proof@v1\nindex -1\n\nx",
    "another word": b"c2sp.org/tlog-proof@v1\nnumber 1\n\nx",
    "an index without end": b"c2sp.org/tlog-proof@v1\nindex " + b"9" * 5000 + b"\n\nx",
    "a hash that is not base64": b"c2sp.org/tlog-proof@v1\nindex 0\n!\n\nx",
    "no checkpoint": b"c2sp.org/tlog-proof@v1\nindex 0\n",
    "bytes that are no text": b"c2sp.org/tlog-proof@v1\nindex 0\n\xff\n\nx",
    "too many bytes": b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + bytes(1 << 18),
}


@pytest.mark.parametrize("case", BAD)
def test_a_proof_file_is_refused_that_has(case):
    with pytest.raises(LedgerError, match="proof: got"):
        InclusionProof.parse(BAD[case])


@pytest.mark.parametrize("old", SIZES)
def test_tiles_give_the_consistency_proof_of_the_definition(grown, old):
    leaves = [merkle.leaf_hash(b"entry %d" % n) for n in range(600)]
    latest, path = proof.consistency(grown[600], old)
    assert (latest.size, path) == (600, merkle.consistency_proof(leaves, old))


# Watching


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


def test_a_ledger_that_grows_is_followed(grown, kept):
    assert monitor.start(grown[1], kept).size == 1
    for size in SIZES:
        watched = monitor.watch(grown[size], kept)
        assert watched.latest.size == size
        assert kept.read_bytes() == (grown[size].folder / "checkpoint").read_bytes()


def test_a_start_is_explicit(grown, kept):
    with pytest.raises(UsageError, match="no checkpoint is kept"):
        monitor.watch(grown[1], kept)
    monitor.start(grown[1], kept)
    with pytest.raises(UsageError, match="keeps a checkpoint already"):
        monitor.start(grown[1], kept)


def _conflicts(ledger, kept, match):
    before = kept.read_bytes()
    with pytest.raises(LedgerError, match=match):
        monitor.watch(ledger, kept)
    assert kept.read_bytes() == before
    conflict = kept.with_name("kept.conflict")
    assert conflict.read_bytes() == (ledger.folder / "checkpoint").read_bytes()


def test_a_ledger_that_was_cut_off_is_found(grown, kept):
    monitor.start(grown[257], kept)
    _conflicts(grown[256], kept, "it was cut off: got 256 entries, expected 257 or more")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_fork_is_found_at_any_size(grown, kept, tmp_path, size):
    monitor.start(grown[2], kept)
    fork = new_ledger(tmp_path / "fork")
    with writer(fork) as opened:
        for n in range(max(2, size)):
            opened.append(b"another story %d" % n)
    _conflicts(fork, kept, "does not continue what it showed before: consistency proof")


def test_a_ledger_that_was_put_back_in_time_is_found(tmp_path, kept):
    ledger = new_ledger(tmp_path / "ledger", entries=2)
    older = shutil.copytree(ledger.folder, tmp_path / "older")
    with writer(ledger, 900) as opened:
        opened.refresh()
    monitor.start(ledger, kept)
    _conflicts(open_ledger(older), kept, "it was put back: got time")


def _times(kept):
    return int(kept.with_name("kept.times").read_text().split()[0])


@pytest.mark.parametrize("torn", [0, 1, 40], ids=["whole", "its end", "more of it"])
def test_a_copy_whose_history_is_not_that_of_its_checkpoint_is_not_followed(tmp_path, kept, torn):
    """Copied file by file while the log went on, or made so: what was not seen could be dated anew later."""
    ledger = new_ledger(tmp_path / "ledger", entries=2)
    monitor.start(ledger, kept)
    before = kept.read_bytes(), _times(kept)
    copy = open_ledger(shutil.copytree(ledger.folder, tmp_path / "copy"))
    with writer(ledger, 900) as opened:
        opened.append(b"one more")
    history = (ledger.folder / "history").read_bytes()
    (copy.folder / "history").write_bytes(history[: len(history) - torn])
    with pytest.raises(LedgerError, match="history"):
        monitor.watch(copy, kept)
    assert (kept.read_bytes(), _times(kept)) == before
    monitor.watch(ledger, kept)
    assert _times(kept) == len(history)


@pytest.mark.parametrize(
    "text", ["", "12\n", "-1 " + "a" * 64 + "\n", "1 " + "A" * 64 + "\n", "1 " + "a" * 2000], ids=str
)
def test_times_that_cannot_be_read_are_refused(grown, kept, text):
    monitor.start(grown[1], kept)
    kept.with_name("kept.times").write_text(text)
    with pytest.raises(LedgerError, match=r"kept\.times"):
        monitor.watch(grown[2], kept)


def test_a_checkpoint_of_another_log_is_refused_and_nothing_is_kept(grown, kept, tmp_path):
    monitor.start(grown[1], kept)
    data = grown[2].log.sign(Checkpoint("example.com/other", 2, bytes(32)), KEY, int(at(1).timestamp()))
    folder = shutil.copytree(grown[2].folder, tmp_path / "other")
    (folder / "checkpoint").write_bytes(data)
    with pytest.raises(LedgerError, match="checkpoint"):
        monitor.watch(open_ledger(folder), kept)
    assert not kept.with_name("kept.conflict").exists()
    kept.write_bytes(data)
    with pytest.raises(LedgerError, match="kept"):
        monitor.watch(grown[2], kept)
    assert data_of(grown[2]) == [b"entry 0", b"entry 1"]
