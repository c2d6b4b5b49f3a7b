"""The gate before an ASGI application, driven by hand: messages in, messages out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from dataclasses import dataclass
from datetime import timedelta

import pytest

import lab
import release_lab
from interlock.errors import UsageError
from interlock.gate import lease as lease_module
from interlock.gate.asgi import PermitMiddleware
from interlock.gate.permit import Held
from interlock.gate.serving import ByLedger, requires_permit
from interlock.workspace import now
from release_lab import issue

HTTP = {"type": "http", "asgi": {"version": "3.0"}, "method": "GET", "path": "/", "headers": []}
SOCKET = {"type": "websocket", "asgi": {"version": "3.0"}, "path": "/", "headers": []}
ANSWER = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"one", "more_body": True},
    {"type": "http.response.body", "body": b"two", "more_body": False},
]


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    return release_lab.make(tmp_path_factory.mktemp("asgi"))


@pytest.fixture
def workspace(tmp_path, _lab):
    return release_lab.copy(_lab, tmp_path / "here")


@pytest.fixture
def permit(workspace):
    return issue(workspace, "deploy-api")


@pytest.fixture
def serving(workspace, permit):
    return requires_permit(
        "deploy-api", subject=workspace.folder.parent / "model", by=ByLedger(workspace.folder, permit)
    )


@pytest.fixture
def revoke(workspace, permit, serving, capsys):
    """Take the permit back, and let the gate see it."""

    def take_back():
        assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0
        with pytest.raises(Held):
            serving.renew()

    return take_back


def later(monkeypatch, length):
    """The machine's clock, so long after the gate was made."""
    lab.later(monkeypatch, now() + length)
    monkeypatch.setattr(lease_module, "datetime", lab.workspace_module.datetime)


def answering(before=lambda number: None):
    """An application that answers in three messages."""
    reached = []

    async def app(scope, receive, send):
        reached.append(scope["type"])
        for number, message in enumerate(ANSWER):
            before(number)
            await send(message)

    app.reached = reached
    return app


def asked(gate, scope=HTTP, received=()):
    """What comes out of one connection, into which comes what is received. A function among that is called first."""
    sent, coming = [], iter([*received, {"type": f"{scope['type']}.disconnect"}])

    async def send(message):
        sent.append(dict(message))

    async def receive():
        message = next(coming)
        if callable(message):
            message()
            message = next(coming)
        return message

    asyncio.run(gate(dict(scope), receive, send))
    return sent


@pytest.fixture
def gate(serving):
    made = []

    def build(app, every=3600.0):
        made.append(PermitMiddleware(app, serving, every=every))
        return made[-1]

    yield build
    for one in made:
        one.close()


def refused(sent, kind="http.response"):
    start, body = sent
    headers = dict(start["headers"])
    assert (start["type"], start["status"], body["type"]) == (f"{kind}.start", 503, f"{kind}.body")
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"retry-after"] == b"3600"
    told = json.loads(body["body"])
    assert (told["held"], told["action"]) == (True, "deploy-api")
    assert "interlock permit issue" in told["lift"]
    assert "-a deploy-api" in told["lift"]
    return told["why"]


def test_an_open_gate_is_not_seen(gate):
    app = answering()
    assert asked(gate(app)) == ANSWER
    assert app.reached == ["http"]


def test_a_held_gate_answers_503_and_says_why(gate, revoke):
    app = answering()
    revoke()
    assert "the permit was revoked by" in refused(asked(gate(app)))
    assert app.reached == []


def test_a_hold_before_the_answer_has_begun_takes_its_place(gate, revoke):
    app = answering(before=lambda number: revoke() if number == 0 else None)
    assert "the permit was revoked by" in refused(asked(gate(app)))


def test_a_hold_in_the_answer_breaks_it_off(gate, serving, revoke):
    sent = []

    async def send(message):
        sent.append(message)

    app = answering(before=lambda number: revoke() if number == 2 else None)
    with pytest.raises(Held, match="the permit was revoked by"):
        asyncio.run(gate(app)(HTTP, None, send))
    assert sent == ANSWER[:2]


def test_a_framework_that_swallows_the_hold_swallows_no_answer(gate, revoke):
    """It makes a page of its own of any error, and sends that."""

    async def app(scope, receive, send):
        revoke()
        for message in ANSWER:
            with contextlib.suppress(Exception):
                await send(message)

    assert "the permit was revoked by" in refused(asked(gate(app)))


def test_a_framework_that_wraps_the_hold_is_seen_through(gate, revoke):
    async def app(scope, receive, send):
        revoke()
        async with asyncio.TaskGroup() as group:
            group.create_task(send(ANSWER[0]))

    assert "the permit was revoked by" in refused(asked(gate(app)))


def test_an_error_of_the_application_is_its_own(gate):
    async def app(scope, receive, send):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asked(gate(app))


def test_a_websocket_is_not_accepted_while_held(gate, revoke):
    revoke()
    assert asked(gate(answering()), SOCKET) == [{"type": "websocket.close", "code": 1013, "reason": "held"}]
    told = asked(gate(answering()), SOCKET | {"extensions": {"websocket.http.response": {}}})
    assert "the permit was revoked by" in refused(told, "websocket.http.response")


def test_an_open_websocket_is_closed_on_a_hold(gate, revoke):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "one"})
        revoke()
        await send({"type": "websocket.send", "text": "two"})

    sent = asked(gate(app), SOCKET)
    assert [message.get("text") for message in sent[1:-1]] == ["one"]
    assert sent[-1] == {"type": "websocket.close", "code": 1013, "reason": "held"}


REFUSING = [
    {"type": "websocket.http.response.start", "status": 403, "headers": []},
    {"type": "websocket.http.response.body", "body": b"no", "more_body": False},
]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_attack_a_hold_in_an_applications_own_refusal_of_a_websocket_starts_no_second_answer(gate, revoke, after):
    """Before it has begun, in the middle, and once all of it was sent."""
    sent = []

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        for number, message in enumerate([*REFUSING, REFUSING[1]]):
            if number == after:
                revoke()
            await send(message)

    def ask():
        asyncio.run(gate(app)(SOCKET | {"extensions": {"websocket.http.response": {}}}, None, send))

    if after == 1:
        with pytest.raises(Held, match="the permit was revoked by"):
            ask()
    else:
        ask()
    if after:
        assert sent == REFUSING[:after]
    else:
        assert "the permit was revoked by" in refused(sent, "websocket.http.response")


def listening(reached):
    """An application that takes what comes in, whatever is raised meanwhile, until that is over."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        for _ in range(5):
            with contextlib.suppress(Held):
                message = await receive()
                if message["type"].endswith(".disconnect"):
                    reached.append("the end")
                    return
                reached.append(message.get("text") or message.get("body"))

    return app


def test_attack_messages_that_come_in_on_an_open_websocket_while_held(gate, revoke):
    reached = []
    one, two, three = ({"type": "websocket.receive", "text": text} for text in ("one", "two", "three"))
    sent = asked(gate(listening(reached)), SOCKET, [one, revoke, two, three])
    assert reached == ["one", "the end"]
    assert [message["type"] for message in sent] == ["websocket.accept"]  # who has gone is not told

    async def until_held(scope, receive, send):
        await send({"type": "websocket.accept"})
        while True:
            reached.append((await receive())["text"])

    sent = asked(gate(until_held), SOCKET, [one])
    assert sent == [{"type": "websocket.close", "code": 1013, "reason": "held"}]
    assert reached == ["one", "the end"]


def test_attack_the_rest_of_a_request_comes_in_while_held(gate, revoke):
    reached = []
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in (b"one", b"two")]
    sent = asked(gate(listening(reached)), received=[parts[0], revoke, parts[1]])
    assert reached == [b"one", "the end"]
    assert "the permit was revoked by" in refused(sent)


def test_a_websocket_that_the_application_closes_on_a_hold_is_closed_once(gate, revoke):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        revoke()
        with contextlib.suppress(Held):
            await receive()
        await send({"type": "websocket.close", "code": 1000, "reason": "the answer is 42"})

    sent = asked(gate(app), SOCKET, [{"type": "websocket.receive", "text": "one"}])
    assert sent[1:] == [{"type": "websocket.close", "code": 1013, "reason": "held"}]


def test_startup_and_shutdown_pass(gate, revoke):
    app = answering()
    revoke()
    asked(gate(app), {"type": "lifespan"})
    assert app.reached == ["lifespan"]


def test_what_the_gate_does_not_know_is_held(gate):
    app = answering()
    with pytest.raises(Held, match="does not know `webtransport`"):
        asked(gate(app), {"type": "webtransport"})
    assert app.reached == []


def test_it_verifies_again_by_itself(gate, serving, workspace, permit, capsys, monkeypatch):
    """Nobody calls `renew` but the gate's own thread."""
    renew, seen = type(serving).renew, threading.Event()

    def and_tell(self):
        try:
            renew(self)
        except Held:
            seen.set()
            raise

    monkeypatch.setattr(type(serving), "renew", and_tell)
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0
    app, built = answering(), gate(answering(), every=0.01)
    asked(built)
    assert seen.wait(60)
    assert asked(built)[0]["status"] == 503
    assert app.reached == []


# -- nobody verifies ---------------------------------------------------------------------------------------------------


def revoked(workspace, permit, capsys):
    """Nobody has looked since."""
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0


def test_the_first_connection_of_a_process_verifies(gate, workspace, permit, capsys):
    """It may have been made, or have slept, long before."""
    app = answering()
    revoked(workspace, permit, capsys)
    assert "the permit was revoked by" in refused(asked(gate(app)))
    assert app.reached == []


def test_attack_the_thread_that_verifies_does_not_start(gate, workspace, permit, capsys, monkeypatch):
    """As where the system has no more threads to give."""
    app = answering()
    built = gate(app)

    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            asked(built)
    revoked(workspace, permit, capsys)
    assert "the permit was revoked by" in refused(asked(built))
    assert app.reached == []


def test_attack_the_thread_that_verifies_is_stuck_or_gone(gate, monkeypatch):
    """A disk that does not answer, a process that was stopped: what counts is when it last looked."""
    app = answering()
    built = gate(app)
    assert asked(built) == ANSWER
    later(monkeypatch, timedelta(hours=1))
    assert asked(built) == ANSWER
    later(monkeypatch, timedelta(hours=2, seconds=5))
    assert "nobody has verified the permit for" in refused(asked(built))
    assert app.reached == ["http"] * 2


def test_a_gate_that_was_closed_is_held_soon(gate, monkeypatch):
    built = gate(answering())
    assert asked(built) == ANSWER
    built.close()
    assert asked(built) == ANSWER
    later(monkeypatch, timedelta(hours=4))
    assert "nobody has verified the permit for" in refused(asked(built))


@dataclass(frozen=True)
class _Slow:
    """A ledger that takes its time, in the process that it was made in."""

    by: ByLedger
    process: int
    inside: threading.Event
    go_on: threading.Event

    def grant(self, asked, clock):
        if os.getpid() == self.process and threading.current_thread() is not threading.main_thread():
            self.inside.set()
            assert self.go_on.wait(60)
        return self.by.grant(asked, clock)

    def lease(self, grant, clock):
        return self.by.lease(grant, clock)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no system that forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_attack_a_fork_while_another_thread_verifies(workspace, permit, capsys):
    """The child has its lock, and not the thread that would let go of it."""
    slow = _Slow(ByLedger(workspace.folder, permit), os.getpid(), threading.Event(), threading.Event())
    serving = requires_permit("deploy-api", subject=workspace.folder.parent / "model", by=slow)

    def renew():
        with contextlib.suppress(Held):
            serving.renew()

    thread = threading.Thread(target=renew)
    thread.start()
    assert slow.inside.wait(60)
    revoked(workspace, permit, capsys)
    child = os.fork()
    if not child:
        signal.alarm(60)
        try:
            os._exit(asked(PermitMiddleware(answering(), serving))[0]["status"] - 500)
        finally:
            os._exit(1)
    slow.go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


@pytest.mark.parametrize("every", [0, 1e7, -1, float("nan"), float("inf")])
def test_an_interval_that_is_none(serving, every):
    with pytest.raises(UsageError, match="expected a positive number of seconds"):
        PermitMiddleware(answering(), serving, every=every)
