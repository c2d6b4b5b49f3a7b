"""A witness cosigns one history of each log, whatever it is sent and whenever it dies."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair, PublicKey
from interlock.ledger.note import ED25519, Checkpoint, Note, NoteKey, NoteSignature, cosign, sign, verify_cosignature
from interlock.ledger.quorum import parse_logs
from interlock.witness import witness as witnesses
from interlock.witness.protocol import LIMIT, Submission
from interlock.witness.record import Record
from interlock.witness.witness import Witness, create
from witness.running import (
    KEY,
    LOG,
    NAME,
    NOW,
    ORIGIN,
    ask,
    checkpoint,
    leaves,
    new_witness,
    opened,
    serving,
    submission,
)

TRANSCRIPT = json.loads(
    (Path(__file__).parents[1] / "vectors/tlog-witness/litewitness-transcript.json").read_text(encoding="utf-8")
)


@pytest.fixture
def folder(tmp_path) -> Path:
    new_witness(tmp_path / "witness")
    return tmp_path / "witness"


def cosigned(answer, body: bytes, key: NoteKey) -> int:
    """The time of the cosignature that was answered to a request."""
    note = Note.parse(Submission.parse(body).checkpoint)
    return verify_cosignature(Note.parse(note.text.encode() + b"\n" + answer.body), key)


# What others say


def test_the_transcript_of_litewitness_is_answered_as_the_specification_says(tmp_path):
    key = PublicKey(bytes.fromhex(TRANSCRIPT["log_ed25519_pub_hex"]))
    new_witness(tmp_path / "witness", NoteKey(TRANSCRIPT["log_origin"], key))
    with serving(tmp_path / "witness") as server:
        for step in TRANSCRIPT["steps"]:
            status, kind, body = ask(server, step["request_body"].encode())
            text = body.decode()
            if step.get("body_contains") == "unknown log":  # 404 since the specification's 1.0; see vectors/README.md
                assert (status, step["expect_status"]) == (404, 403)
            else:
                assert status == step["expect_status"]
            assert step.get("body_contains", "") in text
            assert text == step.get("body_==", text)
            assert (kind == "text/x.tlog.size") == (status == 409)
    assert len(server.told) == len(TRANSCRIPT["steps"]) == 9


SIZE_ZERO = {  # of torchwood's own tests of size zero; roots that differ at one size are 422 since 2026
    "an empty tree": (0, 0, [], "empty", (), 200),
    "an empty tree with another root": (0, 0, [], "leaf", (), 422),
    "an empty tree with a root of zeros": (0, 0, [], "zeros", (), 422),
    "an empty tree with a proof": (0, 0, [], "empty", ("leaf",), 422),
    "a first tree": (0, 1, [], "leaf", (), 200),
    "a first tree with a proof": (0, 1, [], "leaf", ("leaf",), 422),
    "an old size that the witness is past": (0, 1, [1], "leaf", ("leaf",), 409),
    "an old size above the checkpoint's": (1, 0, [1], "empty", (), 400),
    "another root at the size that was seen": (1, 1, [1], "zeros", (), 422),
    "the same tree again": (1, 1, [1], "leaf", (), 200),
    "the same tree again with a proof": (1, 1, [1], "leaf", ("leaf",), 422),
}


@pytest.mark.parametrize("case", SIZE_ZERO)
def test_sizes_zero_and_one(folder, case):
    old, size, before, root, proof, expected = SIZE_ZERO[case]
    hashes = {"empty": hashlib.sha256(b"").digest(), "leaf": leaves(1)[0], "zeros": bytes(32)}
    text = Checkpoint(ORIGIN, size, hashes[root]).text
    note = Note(text, (sign(text, ORIGIN, KEY),)).to_bytes()
    with opened(folder) as witness:
        for n in before:
            assert witness.add_checkpoint(submission(0, leaves(n))).status == 200
        answer = witness.add_checkpoint(Submission(old, tuple(hashes[it] for it in proof), note).to_bytes())
    assert answer.status == expected
    assert (b"\xe2\x80\x94" in answer.body) == (expected == 200)


# What it cosigns


def test_a_log_that_grows_is_cosigned_at_the_witness_s_time(folder):
    clock = [NOW]
    with opened(folder, lambda: clock[0]) as witness:
        for old, size in ((0, 1), (1, 5), (5, 5), (5, 600)):
            clock[0] += timedelta(seconds=1)
            body = submission(old, leaves(size))
            answer = witness.add_checkpoint(body)
            assert answer.status == 200
            assert cosigned(answer, body, witness.key) == int(clock[0].timestamp())
            assert "cosigned" in answer.told


def test_the_memory_outlives_the_process(folder):
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).body == b"7\n"
        assert witness.add_checkpoint(submission(7, leaves(9))).status == 200


def test_extension_lines_and_lines_of_others_are_no_obstacle(folder):
    text = Checkpoint(ORIGIN, 3, leaves(3)[0]).text + "an extension\n"
    other = KeyPair.generate()
    lines = (sign(text, "example.com/other", other), sign(text, ORIGIN, KEY), cosign(text, "w", other, time=1))
    body = Submission(0, (), Note(text, lines).to_bytes()).to_bytes()
    with opened(folder) as witness:
        answer = witness.add_checkpoint(body)
        assert cosigned(answer, body, witness.key) == int(NOW.timestamp())


def test_logs_do_not_disturb_each_other(tmp_path):
    other = KeyPair.generate()
    new_witness(tmp_path / "witness", LOG, NoteKey("example.com/other", other.public))
    theirs = {"origin": "example.com/other", "key": other}
    with opened(tmp_path / "witness") as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
        assert witness.add_checkpoint(submission(0, leaves(3, "two"), **theirs)).status == 200
        assert witness.add_checkpoint(submission(3, leaves(4, "two"), **theirs)).status == 200
        assert witness.add_checkpoint(submission(7, leaves(8))).status == 200


def test_a_log_may_have_two_keys_and_either_signs(tmp_path):
    second = KeyPair.generate()
    new_witness(tmp_path / "witness", LOG, NoteKey(ORIGIN, second.public))
    with opened(tmp_path / "witness") as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
        assert witness.add_checkpoint(submission(7, leaves(8), key=second)).status == 200
        text = Checkpoint(ORIGIN, 9, leaves(1)[0]).text
        lines = (sign(text, ORIGIN, KEY), NoteSignature(ORIGIN, NoteKey(ORIGIN, second.public).key_id, bytes(64)))
        answer = witness.add_checkpoint(Submission(8, (), Note(text, lines).to_bytes()).to_bytes())
        assert answer.status == 403  # one good line does not make up for a wrong one


def test_a_monitor_gets_what_was_cosigned_last_the_very_bytes(folder):
    path = hashlib.sha256(ORIGIN.encode()).hexdigest()
    with opened(folder) as witness:
        assert witness.checkpoint(path).status == 404
        answer = witness.add_checkpoint(submission(0, leaves(5)))
        served = witness.checkpoint(path)
        assert served.body == checkpoint(leaves(5)) + answer.body
        assert witness.checkpoint("0" * 64).status == 404


# Attacks


def _refused(witness, body: bytes, status: int, match: str):
    """No cosignature is answered, and the witness stands where it stood."""
    path = hashlib.sha256(ORIGIN.encode()).hexdigest()
    before = witness.checkpoint(path)
    answer = witness.add_checkpoint(body)
    assert (answer.status, b"\xe2\x80\x94" in answer.body) == (status, False)
    assert match in answer.told
    assert witness.checkpoint(path) == before


@pytest.fixture
def at_seven(folder):
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
        yield witness


def test_attack_a_second_history_of_the_same_size_is_refused_and_both_are_kept(at_seven, folder):
    _refused(at_seven, submission(7, leaves(7, "two")), 422, "ALARM: the log signed two trees of size 7")
    (kept,) = (folder / "conflicts").iterdir()
    assert checkpoint(leaves(7)) in kept.read_bytes()
    assert checkpoint(leaves(7, "two")) in kept.read_bytes()
    _refused(at_seven, submission(3, leaves(7, "two")), 409, "ALARM")  # whatever old size comes with it
    assert len(list((folder / "conflicts").iterdir())) == 1


def test_attack_a_second_history_that_is_longer_is_refused(at_seven):
    _refused(at_seven, submission(7, leaves(9, "two")), 422, "consistency proof: got old root")
    fork = leaves(6) + leaves(5, "two")
    _refused(at_seven, submission(7, fork), 422, "consistency proof")


def test_attack_no_number_of_conflicts_fills_the_disk(at_seven, folder, monkeypatch):
    monkeypatch.setattr(witnesses, "_MOST_CONFLICTS", 3)
    for n in range(6):
        _refused(at_seven, submission(7, leaves(7, f"story {n}")), 422, "ALARM")
    assert len(list((folder / "conflicts").iterdir())) == 3


def test_attack_a_rolled_back_checkpoint_is_refused(at_seven):
    for old in (0, 3, 5):
        _refused(at_seven, submission(old, leaves(5)), 409, "expected 7")
    _refused(at_seven, submission(7, leaves(5)), 400, "got old size 7, expected at most 5")


def test_attack_a_wrong_old_size_is_told_the_right_one(at_seven):
    for old in (0, 1, 6, 8, 9):
        _refused(at_seven, submission(old, leaves(9)), 409, f"got old size {old}, expected 7")
        assert at_seven.add_checkpoint(submission(old, leaves(9))).body == b"7\n"


def test_attack_a_proof_of_another_tree_is_refused(at_seven):
    for proof in (submission(7, leaves(9, "two")), submission(6, leaves(9)), submission(7, leaves(10))):
        body = Submission(7, Submission.parse(proof).proof, checkpoint(leaves(9))).to_bytes()
        _refused(at_seven, body, 422, "consistency proof")
    _refused(at_seven, Submission(7, (), checkpoint(leaves(9))).to_bytes(), 422, "consistency proof: got no hashes")


def test_attack_an_unknown_log_is_refused(at_seven):
    other = KeyPair.generate()
    _refused(at_seven, submission(0, leaves(3), origin="example.com/stranger", key=other), 404, "unknown log")
    _refused(at_seven, submission(7, leaves(9), key=other), 403, "invalid signature: got no line of a key")
    text = Checkpoint("example.com/stranger", 9, leaves(1)[0]).text  # the right signer under another log's text
    note = Note(text, (sign(text, ORIGIN, KEY),))
    _refused(at_seven, Submission(7, (), note.to_bytes()).to_bytes(), 404, "unknown log")


def test_attack_a_forged_signature_is_refused(at_seven):
    text = Checkpoint(ORIGIN, 9, leaves(1)[0]).text
    forged = NoteSignature(ORIGIN, LOG.key_id, bytes(64))
    _refused(at_seven, Submission(7, (), Note(text, (forged,)).to_bytes()).to_bytes(), 403, "does not verify")
    twice = Note(text, (sign(text, ORIGIN, KEY), forged))
    _refused(at_seven, Submission(7, (), twice.to_bytes()).to_bytes(), 403, "got 2 signature lines")


def test_attack_a_log_s_signature_over_anything_else_is_no_checkpoint(at_seven):
    for text in ("hello\n", f"{ORIGIN}\n9\n", Checkpoint(ORIGIN, 9, bytes(32)).text + "\nmore\n"):
        note = Note(text, (sign(text, ORIGIN, KEY),))
        _refused(at_seven, Submission(7, (), note.to_bytes()).to_bytes(), 400, "checkpoint: got")


def test_attack_a_clock_that_went_back_signs_nothing(folder):
    clock = [NOW]
    with opened(folder, lambda: clock[0]) as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
        clock[0] -= timedelta(seconds=1)
        _refused(witness, submission(7, leaves(9)), 503, "the clock went back")
        clock[0] = NOW.replace(year=1969)
        _refused(witness, submission(7, leaves(9)), 500, "expected 1970 or later")


HASH = base64.b64encode(bytes(32)).decode()
MALFORMED = {
    "nothing": b"",
    "no empty line": b"old 0\n",
    "no old size": b"\n\n" + checkpoint(leaves(9)),
    "another word": b"size 7\n\n" + checkpoint(leaves(9)),
    "two spaces": b"old  7\n\n" + checkpoint(leaves(9)),
    "a leading zero": b"old 07\n\n" + checkpoint(leaves(9)),
    "a sign": b"old -7\n\n" + checkpoint(leaves(9)),
    "digits that are not ASCII": "old \u0667\n\n".encode() + checkpoint(leaves(9)),
    "a size without end": b"old " + b"9" * 5000 + b"\n\n" + checkpoint(leaves(9)),
    "a size of more than 63 bits": b"old 9223372036854775808\n\n" + checkpoint(leaves(9)),
    "a carriage return": b"old 7\r\n\r\n" + checkpoint(leaves(9)),
    "a proof line that is not base64": b"old 7\n!\n\n" + checkpoint(leaves(9)),
    "a hash of 31 bytes": f"old 7\n{base64.b64encode(bytes(31)).decode()}\n\n".encode() + checkpoint(leaves(9)),
    "64 hashes": f"old 7\n{f'{HASH}{chr(10)}' * 64}\n".encode() + checkpoint(leaves(9)),
    "no checkpoint": b"old 7\n\n",
    "a checkpoint without signatures": b"old 7\n\n" + checkpoint(leaves(9)).partition(b"\n\n")[0] + b"\n",
    "a checkpoint without lines": b"old 7\n\n\n\n",
    "bytes that are no text": b"old 7\n\n\xff",
    "a checkpoint of more than 63 bits": b"old 7\n\n"
    + checkpoint(leaves(9)).replace(b"\n9\n", b"\n9999999999999999999\n"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_attack_a_request_is_refused_that_has(at_seven, case):
    _refused(at_seven, MALFORMED[case], 400, "got")


def test_the_longest_body_is_within_the_limit():
    proof = (bytes(32),) * 63
    assert len(Submission(2**63 - 1, proof, bytes(1 << 16)).to_bytes()) == LIMIT
    assert Submission.parse(Submission(7, proof, b"x").to_bytes()) == Submission(7, proof, b"x")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_law_no_two_cosignatures_exclude_each_other(tmp_path_factory, requests):
    """Two histories of one log, any sizes and old sizes in any order: what is cosigned is prefixes of one of them."""
    folder = tmp_path_factory.mktemp("law") / "witness"
    new_witness(folder)
    sizes, stories = [0], set()
    with opened(folder) as witness:
        for story, old, size in requests:
            if witness.add_checkpoint(submission(old, leaves(size, story))).status == 200:
                stories |= {story} if size else set()
                assert old == sizes[-1] <= size
                sizes.append(size)
    assert len(stories) <= 1


def test_two_requests_at_once_do_not_roll_back(folder):
    """The race of the specification: whoever comes second is told the size that the first one left."""
    with opened(folder) as witness:
        witness.add_checkpoint(submission(0, leaves(1)))
        for old in range(1, 20, 3):
            bodies = [submission(old, leaves(old + grown)) for grown in (1, 2, 3)]
            with ThreadPoolExecutor(3) as pool:
                answers = list(pool.map(witness.add_checkpoint, bodies))
            assert sorted(answer.status for answer in answers) == [200, 409, 409]
            size = int(next(answer.body for answer in answers if answer.status == 409))
            assert witness.add_checkpoint(submission(size, leaves(old + 3))).status == 200


# Crashes


def _dying(folder: Path, owner, name: str, body: bytes, *, persist: bool) -> int:
    """Ask in a process that is killed by signal 9 at `name`; how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        real = getattr(owner, name)

        def killed(*args, **settings):
            if persist:
                real(*args, **settings)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, killed)
        Witness(folder, clock=lambda: NOW).add_checkpoint(body)
    finally:
        os._exit(1)


CRASHES = {
    "before it is recorded": (Record, "advance", False, 7),
    "once it is recorded": (Record, "advance", True, 9),
    "before it is cosigned": (witnesses, "cosign", False, 9),
    "before it is answered": (witnesses, "cosign", True, 9),
}


@pytest.mark.parametrize("case", CRASHES)
def test_attack_kill_9_never_leads_to_a_second_history(folder, case):
    owner, name, persist, stands = CRASHES[case]
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
    assert _dying(folder, owner, name, submission(7, leaves(9)), persist=persist) == -signal.SIGKILL
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(0, leaves(9))).body == b"%d\n" % stands
        fork = leaves(7) + leaves(2, "two")
        if stands == 9:  # what may have been seen outside is the only history now
            _refused(witness, submission(7, fork), 409, "ALARM")
            _refused(witness, submission(9, fork), 422, "ALARM")
            assert witness.add_checkpoint(submission(9, leaves(9))).status == 200
        else:  # nothing left the house: either history may go on, and only one
            assert witness.add_checkpoint(submission(7, fork)).status == 200
            _refused(witness, submission(9, leaves(9)), 422, "ALARM")


def test_attack_a_disk_that_refuses_gets_no_cosignature_nor_any_later_one(folder):
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(0, leaves(7))).status == 200
        witness._record._db.execute("PRAGMA query_only=1")  # SQLite refuses to write
        assert witness.add_checkpoint(submission(7, leaves(9))).status == 500
        witness._record._db.execute("PRAGMA query_only=0")
        answer = witness.add_checkpoint(submission(7, leaves(9)))
        assert (answer.status, "nothing is cosigned before a new start" in answer.told) == (500, True)
    with opened(folder) as witness:
        assert witness.add_checkpoint(submission(7, leaves(9))).status == 200


# Starting


def test_a_creation_is_explicit_and_in_an_empty_folder(tmp_path, folder):
    with pytest.raises(UsageError, match="is not empty"):
        new_witness(folder)
    with pytest.raises(UsageError, match="no folder there"):
        Witness(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no witness, or one whose creation was cut short"):
        Witness(tmp_path / "empty")
    with pytest.raises(UsageError, match="--name: got key name"):
        create(tmp_path / "new", "two words", f"log {LOG.vkey}\n".encode(), passphrase=None)
    with pytest.raises(UsageError, match="got no log"):
        create(tmp_path / "new", NAME, b"", passphrase=None)
    assert not (tmp_path / "new").exists()


def test_an_ambiguous_start_is_refused(tmp_path, folder):
    new_witness(tmp_path / "other")

    def damaged(name: str) -> Path:
        return shutil.copytree(folder, tmp_path / name)

    (damaged("no record") / "record.db").unlink()
    with pytest.raises(LedgerError, match="no record there"):  # the key alone must not start anew
        Witness(tmp_path / "no record")
    shutil.copy(tmp_path / "other/record.db", damaged("another's record") / "record.db")
    with pytest.raises(LedgerError, match="put there from another witness"):
        Witness(tmp_path / "another's record")
    (damaged("no key") / "witness.key").unlink()
    with pytest.raises(UsageError, match=r"witness\.key"):
        Witness(tmp_path / "no key")
    (damaged("rubbish") / "record.db").write_bytes(b"x" * 5000)
    with pytest.raises(LedgerError, match="not a database"):
        Witness(tmp_path / "rubbish")
    sqlite3.connect(damaged("strange") / "strange.db").executescript("CREATE TABLE a (b); ").close()
    shutil.move(tmp_path / "strange/strange.db", tmp_path / "strange/record.db")
    with pytest.raises(LedgerError, match="application id"):
        Witness(tmp_path / "strange")
    (damaged("no logs") / "logs").write_text("# none\n")
    with pytest.raises(UsageError, match="got no log"):
        Witness(tmp_path / "no logs")


def test_a_second_process_cannot_serve_the_same_witness(folder):
    with opened(folder), pytest.raises(LedgerError, match="one process at a time"):
        Witness(folder)
    Witness(folder).close()


def test_a_witness_is_no_witness_of_its_own_log(folder):
    with opened(folder) as witness:
        own = NoteKey("example.com/own", witness.key.public, ED25519)
    (folder / "logs").write_text(f"log {LOG.vkey}\nlog {own.vkey}\n")
    with pytest.raises(UsageError, match="the witness's own key"):
        Witness(folder)
    assert parse_logs((folder / "logs").read_bytes(), "logs") == (LOG, own)
