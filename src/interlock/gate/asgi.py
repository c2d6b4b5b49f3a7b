"""A gate before any ASGI application (asgi.readthedocs.io, specification 3.0): held, it answers 503 and says why.

Guarantees: no request and no message of one reaches the application, and no part of an answer leaves it, while the gate
is held; a thread verifies again at an interval, and where it does not, whatever the cause, the gate is held. It imports
no framework.
What it leaves to the caller: `requires_permit` before the weights are loaded, and that every way to the model leads
through this application.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from interlock.errors import InterlockError, UsageError
from interlock.gate.permit import Held
from interlock.gate.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PermitMiddleware"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_TRY_AGAIN_LATER = 1013  # IANA, WebSocket Close Code Number Registry
_DENIED = "websocket.http.response"
_BEGINS = {"http.response.start", "websocket.accept", f"{_DENIED}.start"}
_UNGUARDED = {"websocket.close", "websocket.disconnect", "http.disconnect"}  # an end is told, held or not
_MOST_EVERY = 10**6
_SLACK = timedelta(seconds=10)  # on a machine that is busy


class PermitMiddleware:
    """An application that answers only while a permit is open.

    Args:
        app: the application.
        serving: what `requires_permit` gave.
        every: seconds between two verifications; also what `Retry-After` says. Where none began for twice that and ten
            seconds, the gate is held.

    Raises:
        UsageError: `every` is not a positive number.
    """

    def __init__(self, app: _App, serving: Serving, *, every: float = 60.0) -> None:
        if not 0 < every <= _MOST_EVERY:
            raise UsageError(f"every is {every}, expected a positive number of seconds, at most {_MOST_EVERY}")
        self._app, self._serving, self._every = app, serving, every
        self._within = timedelta(seconds=2 * every) + _SLACK
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """One connection, by the specification."""
        self._watch()
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            raise Held(f"a gate for http and websocket does not know `{scope['type']}`")

    def close(self) -> None:
        """Verify no more: the gate is held soon after."""
        self._stop.set()

    async def _http(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        guarded = _Guarded(self._check, receive, send)
        await self._through(scope, guarded)
        if guarded.held is None:
            return
        if guarded.begun:  # its status is gone: the server breaks the connection off
            raise guarded.held
        for message in self._refusal(guarded.held, "http.response"):
            await send(message)

    async def _websocket(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        guarded = _Guarded(self._check, receive, send)
        await self._through(scope, guarded)
        if guarded.held is None or guarded.ended:
            return
        if guarded.begun == f"{_DENIED}.start":  # a refusal of the application's own: broken off, as over http
            raise guarded.held
        if guarded.begun or _DENIED not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "held"})
            return
        for message in self._refusal(guarded.held, _DENIED):
            await send(message)

    async def _through(self, scope: _Message, guarded: _Guarded) -> None:
        """Let a connection through to the application, if the gate is open, until it is not."""
        try:
            guarded.check()
            await self._app(scope, guarded.receive, guarded.send)
        except Exception:
            if guarded.held is None:  # else it is the hold, in whatever a framework made of it
                raise

    def _check(self) -> None:
        self._serving.check(within=self._within)

    def _refusal(self, held: Held, kind: str) -> Iterable[_Message]:
        told = {"held": True, "action": self._serving.asked.action, "why": str(held), "lift": self._serving.asked.lift}
        body = json.dumps(told).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"retry-after", str(math.ceil(self._every)).encode()),
        ]
        yield {"type": f"{kind}.start", "status": 503, "headers": headers}
        yield {"type": f"{kind}.body", "body": body, "more_body": False}

    def _watch(self) -> None:
        """Verify, and have a thread go on with it: one a process, since a fork takes none along."""
        if self._stop.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._renew()
        stop = threading.Event()
        thread = threading.Thread(target=self._renewing, args=(stop,), name="interlock-permit", daemon=True)
        thread.start()  # one that does not start is no thread: the next connection tries again
        self._stop, self._thread = stop, thread

    def _renewing(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            self._renew()

    def _renew(self) -> None:
        with contextlib.suppress(InterlockError):  # a hold is kept, and told to who asks; an outage leaves the lease
            self._serving.renew()


class _Guarded:
    """Messages of one connection, both ways, while the gate is open.

    `held`: the first hold that it met. `begun`: the type of the message that began the answer, or nothing. `ended`:
    whether the connection is over.
    """

    def __init__(self, check: Callable[[], None], receive: _Receive, send: _Send) -> None:
        self._check, self._receive, self._send = check, receive, send
        self.held: Held | None = None
        self.begun, self.ended = "", False

    def check(self) -> None:
        """Hold once and for all, for this connection."""
        if self.held is not None:
            raise self.held
        try:
            self._check()
        except Held as held:
            self.held = held
            raise

    async def receive(self) -> _Message:
        """What came in; not once it is held."""
        message = await self._receive()
        self._pass(message)
        return message

    async def send(self, message: _Message) -> None:
        """Send it on; not once it is held."""
        self._pass(message)
        if message["type"] in _BEGINS:
            self.begun = self.begun or message["type"]
        self.ended |= message["type"] == f"{_DENIED}.body" and not message.get("more_body", False)
        await self._send(message)

    def _pass(self, message: _Message) -> None:
        if message["type"] in _UNGUARDED:
            self.ended = True
            self._silence(message)
        else:
            self.check()

    def _silence(self, message: _Message) -> None:
        """What an application says of why it ends a connection is a part of its answer."""
        if message["type"] != "websocket.close":
            return
        try:
            self.check()
        except Held:
            message.update({"code": _TRY_AGAIN_LATER, "reason": "held"})
