"""The gate before an ASGI application, driven by hand: messages in, messages out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading

import pytest

import lab
import release_lab
from interlock.errors import UsageError
from interlock.gate.asgi import PermitMiddleware
from interlock.gate.permit import Held
from interlock.gate.serving import ByLedger, requires_permit
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


def asked(gate, scope=HTTP):
    """What comes out of one connection."""
    sent = []

    async def send(message):
        sent.append(dict(message))

    async def receive():
        return {"type": f"{scope['type']}.disconnect"}

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


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf")])
def test_an_interval_that_is_none(serving, every):
    with pytest.raises(UsageError, match="expected a positive number of seconds"):
        PermitMiddleware(answering(), serving, every=every)
