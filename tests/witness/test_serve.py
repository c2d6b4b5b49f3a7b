"""A witness over HTTP: what is bounded, what is told, and how it ends. Real sockets, on this machine only."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from interlock import cli
from interlock.errors import UsageError
from interlock.evidence.keys import load_public
from interlock.ledger.note import COSIGNATURE, Note, NoteKey, verify_cosignature
from interlock.witness import serve as serving_module
from interlock.witness.protocol import LIMIT
from interlock.witness.serve import Server, line
from witness.running import KEY, LOG, NAME, ORIGIN, ask, checkpoint, leaves, new_witness, opened, serving, submission


@pytest.fixture
def folder(tmp_path):
    new_witness(tmp_path / "witness")
    return tmp_path / "witness"


@pytest.fixture
def server(folder):
    with serving(folder) as server:
        yield server


REFUSED = {
    "a body that is too long": ("POST", "/add-checkpoint", bytes(LIMIT + 1), {}, 413),
    "a length that is no number": ("POST", "/add-checkpoint", b"", {"Content-Length": "-1"}, 400),
    "a length without end": ("POST", "/add-checkpoint", b"", {"Content-Length": "9" * 50}, 400),
    "a body in chunks": ("POST", "/add-checkpoint", b"0\r\n\r\n", {"Transfer-Encoding": "chunked"}, 411),
    "another path": ("POST", "/add-checkpoints", b"x", {}, 404),
    "a query": ("POST", "/add-checkpoint?x", b"x", {}, 404),
    "the wrong method": ("GET", "/add-checkpoint", None, {}, 405),
    "a file": ("GET", "/../record.db", None, {}, 404),
    "another method": ("DELETE", "/add-checkpoint", None, {}, 501),
}


@pytest.mark.parametrize("case", REFUSED)
def test_attack_a_request_is_refused_that_has(server, case):
    method, path, body, headers, expected = REFUSED[case]
    assert ask(server, body, method, path, headers)[0] == expected
    assert ask(server, submission(0, leaves(2)))[0] == 200  # and others are served
    assert len(server.told) == 2


def test_a_body_without_a_length_is_refused(server):
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 411")


def test_a_body_that_is_cut_off_is_refused(server):
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        body = submission(0, leaves(2))
        head = f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: {len(body) + 1}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert ask(server, submission(0, leaves(2)))[0] == 200  # nothing was taken from the half one


def test_a_connection_is_kept_for_the_next_request(server):
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    for old, size in ((0, 2), (2, 3)):
        connection.request("POST", "/add-checkpoint", submission(old, leaves(size)))
        response = connection.getresponse()
        assert (response.status, response.read()[:3]) == (200, "\N{EM DASH}".encode())
    connection.close()


def test_a_monitor_gets_the_last_checkpoint(server, folder):
    path = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert ask(server, None, "GET", path)[0] == 404
    cosignature = ask(server, submission(0, leaves(4)))[2]
    assert ask(server, None, "GET", path) == (
        200,
        "text/plain; charset=utf-8",
        checkpoint(leaves(4)) + cosignature,
    )


def test_attack_many_connections_do_not_pile_up(server, monkeypatch):
    monkeypatch.setattr(serving_module, "MOST_CONNECTIONS", 2)
    held = [socket.create_connection(server.server_address[:2], timeout=20) for _ in range(2)]
    for connection in held:
        connection.sendall(b"GET")  # and no more
    with socket.create_connection(server.server_address[:2], timeout=20) as third:
        assert third.recv(1) == b""
    for connection in held:
        connection.close()


def test_attack_a_connection_that_drips_is_ended(server, monkeypatch):
    monkeypatch.setattr(serving_module, "WHOLE", 0.0)
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(b"POST /add-ch")
        assert connection.recv(1) == b""


def test_attack_a_connection_that_says_nothing_is_ended(server, monkeypatch):
    monkeypatch.setattr(serving_module._Handler, "timeout", 0.01)
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        assert connection.recv(1) == b""


def test_a_line_is_told_for_each_request_and_no_stranger_writes_another(server):
    ask(server, submission(0, leaves(2)))
    assert server.told == [f"200  127.0.0.1  `{ORIGIN}` cosigned from size 0 to 2"]
    told = line("a\nb\x1b[2J\u202ec")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  a\\nb\\x1b\[2J\\u202ec", told)
    assert len(line("x" * 5000)) < 1100


def test_it_cannot_listen_where_another_does(server, folder, tmp_path):
    new_witness(tmp_path / "second")
    with opened(tmp_path / "second") as witness:
        for host, port in (("127.0.0.1", server.server_port), ("198.51.100.1", 0)):
            with pytest.raises(UsageError, match="cannot listen at"):
                Server(witness, host, port, print)


# The command


class Running:
    """`interlock witness serve` in a process of its own."""

    def __init__(self, folder) -> None:
        program = "from interlock.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "witness", "serve", str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error"},
        )
        self.first = self.process.stdout.readline()
        found = re.search(r"at http://127\.0\.0\.1:(\d+)$", self.first.rstrip())
        assert found, self.process.stderr.read()
        self.server_address = ("127.0.0.1", int(found[1]))


def test_the_command_serves_and_ends_cleanly_on_sigterm(folder):
    running = Running(folder)
    assert running.first.startswith(f"witness `{NAME}` for 1 log(s) at ")
    idle = http.client.HTTPConnection(*running.server_address, timeout=20)
    idle.request("POST", "/add-checkpoint", submission(0, leaves(2)))
    response = idle.getresponse()
    assert response.status == 200
    note = Note.parse(Note.parse(checkpoint(leaves(2))).text.encode() + b"\n" + response.read())
    verify_cosignature(note, _key(folder))
    running.process.send_signal(signal.SIGTERM)  # with a connection that is still open, and idle
    out, err = running.process.communicate(timeout=60)
    idle.close()
    assert (running.process.returncode, out) == (0, "stopped; what was cosigned is recorded\n")
    assert err.count("\n") == 1
    assert f"200  127.0.0.1  `{ORIGIN}` cosigned from size 0 to 2" in err


def _key(folder) -> NoteKey:
    """The witness's key by its public file: the record is held by the server."""
    return NoteKey(NAME, load_public(folder / "witness.pub"), COSIGNATURE)


def test_attack_kill_9_of_the_server_among_two_histories(folder):
    """Two logs with one key race for the witness, which is killed at any moment; all that left it is one history."""
    cosigned: list[tuple[str, int]] = []
    stands = {"one": 0, "two": 0}
    for cycle in range(3):
        running = Running(folder)

        def push(story: str, running=running) -> None:
            size = stands[story] + 1
            while True:
                try:
                    status, _, body = ask(running, submission(stands[story], leaves(size, story)))
                except (OSError, http.client.HTTPException):
                    return
                if status == 200:
                    cosigned.append((story, size))
                    stands[story], size = size, size + 1
                elif status == 409:
                    stands[story] = int(body)
                    size = max(size, int(body))
                else:
                    return  # 422: the other history won

        threads = [threading.Thread(target=push, args=(story,)) for story in ("one", "two")]
        for thread in threads:
            thread.start()
        while len(cosigned) < 5 * (cycle + 1):
            threading.Event().wait(0.001)
        running.process.kill()
        running.process.communicate()
        for thread in threads:
            thread.join()
    assert len({story for story, _ in cosigned}) == 1
    sizes = [size for _, size in cosigned]
    assert sizes == sorted(sizes)


def test_creating_one_is_refused(tmp_path, capsys):
    base = ["witness", "init", str(tmp_path / "w"), "--name", NAME, "--no-passphrase"]
    for extra, match in (
        ([], "expected the logs to watch"),
        (["--log", "nonsense"], "logs:1: got verifier key"),
        (["--logs", str(tmp_path / "nothing")], "cannot read it"),
        (["--log", LOG.vkey, "--logs", "x"], "either by --log or by --logs"),
        (["--log", LOG.vkey, "--log", NoteKey("example.com/b", KEY.public).vkey], "logs:2: this public key"),
    ):
        assert cli.run([*base, *extra]) == 2
        assert match in capsys.readouterr().err
        assert not (tmp_path / "w").exists()
    assert cli.run([*base, "--log", LOG.vkey, "--json"]) == 0
    assert NoteKey.parse(json.loads(capsys.readouterr().out)["vkey"]).name == NAME
    assert cli.run(["witness", "serve", str(tmp_path / "nothing")]) == 2
    assert "make one with `interlock witness init`" in capsys.readouterr().err
