"""A ledger and its witnesses: what is asked, what is believed, and where the cosignatures stand."""

from __future__ import annotations

import shutil
import socket
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair
from interlock.ledger.note import COSIGNATURE, Note, NoteKey, cosign, verify_cosignature
from interlock.ledger.proof import InclusionProof, prove
from interlock.ledger.quorum import check, parse
from interlock.ledger.writer import Writer
from interlock.witness import ask as asking
from interlock.witness.ask import ask, cosign_ledger
from ledger.ledgers import KEY, ORIGIN, at, data_of, new_ledger, open_ledger, writer
from ledger.ledgers import check as check_ledger
from witness.running import new_witness, serving

LOG = NoteKey(ORIGIN, KEY.public)


@pytest.fixture
def ledger(tmp_path):
    return new_ledger(tmp_path / "ledger", entries=3)


@pytest.fixture
def witness(tmp_path):
    """Its key, and its server."""
    key = new_witness(tmp_path / "witness", LOG)
    with serving(tmp_path / "witness", lambda: at(500)) as server:
        server.key = key
        yield server


def now():
    return at(1000)


def lines(ledger) -> list[str]:
    return [line.name for line in Note.parse((ledger.folder / "checkpoint").read_bytes()).signatures]


def get(ledger, server, seconds: int = 1000):
    with writer(ledger, seconds) as opened:
        return cosign_ledger(opened, server.url, server.key, lambda: at(seconds))


def test_a_cosignature_stands_under_the_checkpoint_and_the_ledger_verifies(ledger, witness):
    cosigned = get(ledger, witness)
    assert (cosigned.size, cosigned.time) == (3, at(500))
    assert lines(ledger) == [ORIGIN, ORIGIN, witness.key.name]
    assert verify_cosignature(Note.parse(ledger.verify().note), witness.key) == int(at(500).timestamp())
    assert check_ledger(ledger).size == 3


def test_a_ledger_that_grows_is_followed(ledger, witness):
    for size in (3, 4, 300):
        with writer(ledger) as opened:
            for ticket in [opened.submit(b"entry %d" % n) for n in range(ledger.latest().size, size)]:
                opened.wait(ticket)
        assert get(ledger, witness).size == size
    with writer(ledger) as opened:
        opened.append(b"one more")
    assert lines(ledger) == [ORIGIN, ORIGIN]  # a new tree, which no witness saw
    check_ledger(ledger)


def test_a_refresh_keeps_the_lines_and_a_second_one_replaces_the_first(ledger, witness, tmp_path):
    get(ledger, witness)
    with writer(ledger, 2000) as opened:
        opened.refresh()
    assert ledger.latest().time == int(at(2000).timestamp())
    assert lines(ledger) == [ORIGIN, ORIGIN, witness.key.name]
    key = new_witness(tmp_path / "second", LOG, name="example.com/second")
    with serving(tmp_path / "second", lambda: at(600)) as second:
        second.key = key
        get(ledger, second, 2000)
        get(ledger, witness, 2000)
    assert lines(ledger) == [ORIGIN, ORIGIN, "example.com/second", witness.key.name]
    with Writer(ledger, KEY, clock=lambda: at(2000)) as opened:  # which settles
        assert not opened.sealed
    assert lines(ledger) == [ORIGIN, ORIGIN, "example.com/second", witness.key.name]
    check_ledger(ledger)


def test_a_sealed_ledger_can_be_witnessed(ledger, witness):
    with writer(ledger) as opened:
        opened.seal(successor="-", reason="done")
    assert get(ledger, witness).size == 4
    check_ledger(ledger)


def test_a_proof_carries_the_cosignatures(ledger, witness):
    get(ledger, witness)
    made = InclusionProof.parse(prove(ledger, 1, b"entry 1").to_bytes())
    signed = made.verify(b"entry 1", ledger.log)
    quorum = parse(f"witness w {witness.key.vkey}\nquorum w\n".encode(), "quorum")
    assert check(signed.data, quorum, log=ledger.log, now=now()).met
    assert not check(signed.data, quorum, log=ledger.log, now=at(499)).met  # from that clock's future
    without = InclusionProof.parse(made.to_bytes().rpartition("\N{EM DASH}".encode())[0])
    assert not check(without.verify(b"entry 1", ledger.log).data, quorum, log=ledger.log, now=now()).met


def test_a_ledger_that_grows_while_a_witness_is_asked_is_asked_again(ledger, witness, monkeypatch):
    real, left = asking.ask, [2]
    with writer(ledger) as opened:

        def ask_and_grow(*args):
            cosigned = real(*args)
            if left[0]:
                left[0] -= 1
                opened.append_at(b"meanwhile", ledger.latest().size)
            return cosigned

        monkeypatch.setattr(asking, "ask", ask_and_grow)
        assert cosign_ledger(opened, witness.url, witness.key, now).size == 5
        left[0] = 100
        with pytest.raises(LedgerError, match="it grew while"):
            cosign_ledger(opened, witness.url, witness.key, now)
    check_ledger(ledger)


# A ledger that cheats


def test_attack_a_ledger_that_was_cut_off_is_found_by_its_witness(tmp_path, ledger, witness):
    older = open_ledger(shutil.copytree(ledger.folder, tmp_path / "older"))
    with writer(ledger) as opened:
        opened.append(b"more")
    get(ledger, witness)
    with pytest.raises(LedgerError, match="cosigned a tree of 4 entries, got one of 3: the ledger was cut off"):
        get(older, witness)


@pytest.mark.parametrize("entries", [3, 5])
def test_attack_a_fork_is_found_by_its_witness(tmp_path, ledger, witness, entries):
    get(ledger, witness)
    fork = new_ledger(tmp_path / "fork")
    with writer(fork) as opened:
        for n in range(entries):
            opened.append(b"another story %d" % n)
    with pytest.raises(LedgerError, match="the ledger was forked or altered"):
        get(fork, witness)
    assert lines(fork) == [ORIGIN, ORIGIN]
    assert any("ALARM" in told for told in witness.told) == (entries == 3)


# A witness that cheats


@contextmanager
def answering(status: int, body: bytes):
    """Not a witness: whatever it is asked, that is its answer."""

    class Liar(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/prefix/"
        finally:
            server.shutdown()
            thread.join()


PAIR = KeyPair.generate()
LIAR = NoteKey("example.com/liar", PAIR.public, COSIGNATURE)


def _line(ledger, *, name=LIAR.name, pair=PAIR, time=500, text=None) -> bytes:
    text = text or Note.parse(ledger.latest().data).text
    return cosign(text, name, pair, time=int(at(time).timestamp())).line().encode()


LIES = {
    "nothing": (200, lambda ledger: b"", "note: got no signature lines"),
    "rubbish": (200, lambda ledger: b"\xff\n", "not UTF-8"),
    "another witness's line": (200, lambda ledger: _line(ledger, name="example.com/x"), "got 0 signature lines"),
    "another key's line": (200, lambda ledger: _line(ledger, pair=KeyPair.generate()), "got 0 signature lines"),
    "a line over another tree": (200, lambda ledger: _line(ledger, text="x\n"), "does not verify"),
    "two lines": (200, lambda ledger: 2 * _line(ledger), "got 2 signature lines"),
    "a line from the future": (200, lambda ledger: _line(ledger, time=1001), "dated in the future"),
    "text before its line": (200, lambda ledger: b"x\n\n" + _line(ledger), "got text before the lines"),
    "a size above the ledger's": (409, lambda ledger: b"4\n", "cosigned a tree of 4 entries, got one of 3"),
    "the same size for ever": (409, lambda ledger: b"2\n", "named another size 5 times"),
    "no size": (409, lambda ledger: b"many\n", "got 409 with b'many"),
    "a size of two lines": (409, lambda ledger: b"2\n2\n", "got 409 with"),
    "that the proof is wrong": (422, lambda ledger: b"no\n", "does not find that the tree of 3 entries continues"),
    "that it does not know the log": (404, lambda ledger: b"unknown\x1b[2J\n", r"got 404 'unknown\\x1b"),
    "another address": (302, lambda ledger: b"", "gave no cosignature: got 302"),
    "far too much": (200, lambda ledger: bytes(1 << 17), "an answer of more than"),
}


@pytest.mark.parametrize("case", LIES)
def test_attack_a_witness_is_not_believed_that_says(ledger, case):
    status, body, match = LIES[case]
    before = (ledger.folder / "checkpoint").read_bytes()
    refused = pytest.raises((LedgerError, UsageError), match=match)
    with answering(status, body(ledger)) as url, writer(ledger) as opened, refused:
        cosign_ledger(opened, url, LIAR, now)
    assert (ledger.folder / "checkpoint").read_bytes() == before


def test_lines_of_others_in_an_answer_are_ignored(ledger):
    with answering(200, _line(ledger, name="example.com/x", pair=KeyPair.generate()) + _line(ledger)) as url:
        assert [line.name for line in ask(ledger, url, LIAR, now).note.signatures] == [LIAR.name]


def test_attack_a_witness_that_drips_is_given_up(ledger, monkeypatch):
    monkeypatch.setattr(asking, "_WHOLE", 0.05)
    silent = socket.create_server(("127.0.0.1", 0))  # connects, and never answers
    with silent, pytest.raises(UsageError, match="no answer of a witness there"):
        ask(ledger, f"http://127.0.0.1:{silent.getsockname()[1]}", LIAR, now)


NO_ADDRESSES = (
    ["", "/w", "example.com", "file:///etc/passwd", "ftp://w/", "http://", "http://w:x/", "http://w:0/"],
    ["http://w:99999/", "http://u@w/", "http://w/?q", "http://w/#f", "http://w/a b", "http://w/\r\nX: y"],
)


@pytest.mark.parametrize("url", [url for urls in NO_ADDRESSES for url in urls])
def test_an_address_is_refused_that_is(ledger, url):
    with pytest.raises(UsageError, match="got witness address"):
        ask(ledger, url, LIAR, now)


# What a writer takes


def _cosigned(ledger, **how) -> Note:
    text = Note.parse(ledger.latest().data).text
    return Note.parse(text.encode() + b"\n" + _line(ledger, **how))


def test_a_writer_takes_only_what_verifies_and_is_another_s(ledger):
    before = (ledger.folder / "checkpoint").read_bytes()
    with writer(ledger) as opened:
        with pytest.raises(LedgerError, match="does not verify"):
            opened.add_cosignature(
                Note(_cosigned(ledger).text.replace("3", "4", 1), _cosigned(ledger).signatures), LIAR
            )
        own = NoteKey("example.com/alias", KEY.public, COSIGNATURE)
        with pytest.raises(LedgerError, match="the log's own key"):
            opened.add_cosignature(_cosigned(ledger, name=own.name, pair=KEY), own)
        late = _cosigned(ledger)
        opened.append_at(b"more", 3)
        assert not opened.add_cosignature(late, LIAR)
    assert Note.parse((ledger.folder / "checkpoint").read_bytes()).signatures[2:] == ()
    assert data_of(ledger)[3] == b"more"
    assert before != (ledger.folder / "checkpoint").read_bytes()


def test_a_checkpoint_takes_no_more_lines_than_a_note_may_have(ledger):
    with writer(ledger) as opened:
        for n in range(62):
            key = NoteKey(f"example.com/{n}", PAIR.public, COSIGNATURE)
            assert opened.add_cosignature(_cosigned(ledger, name=key.name), key)
        with pytest.raises(LedgerError, match="expected at most 64"):
            opened.add_cosignature(_cosigned(ledger), LIAR)
    check_ledger(ledger)


def test_the_machine_s_clock_decides_what_the_future_is(ledger, witness):
    with writer(ledger) as opened, pytest.raises(LedgerError, match="dated in the future"):
        cosign_ledger(opened, witness.url, witness.key, lambda: at(500) - timedelta(seconds=1))
