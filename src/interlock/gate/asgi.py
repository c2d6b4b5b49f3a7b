"""A gate before any ASGI application (asgi.readthedocs.io, specification 3.0): held, it answers 503 and says why.

Guarantees: no request reaches the application, and no part of an answer leaves it, while the gate is held; a thread
verifies again at an interval. It imports no framework.
What it leaves to the caller: `requires_permit` before the weights are loaded, and that every way to the model leads
through this application.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Awaitable, Callable, MutableMapping
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


class PermitMiddleware:
    """An application that answers only while a permit is open.

    Args:
        app: the application.
        serving: what `requires_permit` gave.
        every: seconds between two verifications; also what `Retry-After` says.

    Raises:
        UsageError: `every` is not a positive number.
    """

    def __init__(self, app: _App, serving: Serving, *, every: float = 60.0) -> None:
        if not 0 < every < math.inf:
            raise UsageError(f"every is {every}, expected a positive number of seconds")
        self._app, self._serving, self._every = app, serving, every
        self._stop, self._process = threading.Event(), 0

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
        """Verify no more. What is verified goes on to its end."""
        self._stop.set()

    async def _http(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        guarded = _Guarded(self._serving, send, "http.response.start")
        await self._through(scope, receive, guarded)
        if guarded.held is None:
            return
        if guarded.begun:  # its status is gone: the server breaks the connection off
            raise guarded.held
        for message in self._refusal(guarded.held, "http.response"):
            await send(message)

    async def _websocket(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        guarded = _Guarded(self._serving, send, "websocket.accept")
        await self._through(scope, receive, guarded)
        if guarded.held is None:
            return
        if guarded.begun or "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "held"})
            return
        for message in self._refusal(guarded.held, "websocket.http.response"):
            await send(message)

    async def _through(self, scope: _Message, receive: _Receive, guarded: _Guarded) -> None:
        """Let a connection through to the application, if the gate is open, until it is not."""
        try:
            guarded.check()
            await self._app(scope, receive, guarded)
        except Exception:
            if guarded.held is None:  # else it is the hold, in whatever a framework made of it
                raise

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
        """Start the thread, once a process: a server that forks does so after this object was made."""
        if self._process != os.getpid():
            self._process, self._stop = os.getpid(), threading.Event()
            threading.Thread(target=self._renewing, args=(self._stop,), name="interlock-permit", daemon=True).start()

    def _renewing(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            with contextlib.suppress(
                InterlockError
            ):  # a hold is kept, and told to who asks; an outage leaves the lease
                self._serving.renew()


class _Guarded:
    """Sends while the gate is open. `held`: the first hold that it met; `begun`: whether the answer has begun."""

    def __init__(self, serving: Serving, send: _Send, first: str) -> None:
        self._serving, self._send, self._first = serving, send, first
        self.held: Held | None = None
        self.begun = False

    def check(self) -> None:
        """Hold once and for all, for this connection."""
        if self.held is not None:
            raise self.held
        try:
            self._serving.check()
        except Held as held:
            self.held = held
            raise

    async def __call__(self, message: _Message) -> None:
        if message["type"] != "websocket.close":
            self.check()
        self.begun = self.begun or message["type"] == self._first
        await self._send(message)
