"""A witness over HTTP: `POST /add-checkpoint`, and `GET /<sha-256 of the origin>/checkpoint` for monitors.

Bounded: bytes of a body, connections at a time, seconds of a connection. A line is told for every request. TLS, and
who may ask how often, are left to a proxy in front of it: whoever asks, only what a log signed is ever cosigned.
"""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from interlock.errors import UsageError
from interlock.printable import printable
from interlock.witness.protocol import LIMIT
from interlock.witness.witness import Answer, Witness

__all__ = ["IDLE", "MOST_CONNECTIONS", "WHOLE", "Server", "serve"]

IDLE = 10.0
"""Seconds that a connection may say nothing."""

WHOLE = 60.0
"""Seconds that a connection may last, however busy: a client opens another."""

MOST_CONNECTIONS = 64
"""Connections at a time; one more is closed at once."""


class Server(ThreadingHTTPServer):
    """Answers for a witness at `host` and `port` (0 for any that is free); `tell` is given a line for each request.

    Raises:
        UsageError: it cannot listen there.
    """

    daemon_threads = False  # so that closing waits for what is being answered

    def __init__(self, witness: Witness, host: str, port: int, tell: Callable[[str], None]) -> None:
        self.witness, self.tell = witness, tell
        self._lock, self._ends = threading.Lock(), dict[socket.socket, float]()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"cannot listen at {host} port {port} ({error})") from error

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Bind, without the look-up of a name that `HTTPServer` makes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  socketserver's own
        """Answer in a thread, if there are not too many."""
        with self._lock:
            full = len(self._ends) >= MOST_CONNECTIONS
            if not full:
                self._ends[request] = time.monotonic() + WHOLE
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """End a connection."""
        with self._lock:
            self._ends.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections whose time is over; called twice a second."""
        super().service_actions()
        self._shut(socket.SHUT_RDWR, time.monotonic())

    def finish(self) -> None:
        """Take no further request, answer those that are here whole, and give up the port."""
        self._shut(socket.SHUT_RD, float("inf"))
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Tell that a client went away, or that answering failed: one line either way, and no cosignature."""
        import sys

        error = sys.exception()
        self.tell(f"-  {client_address[0]}  {type(error).__name__}: {error}")

    def _shut(self, how: int, before: float) -> None:
        with self._lock:
            for connection, end in self._ends.items():
                if end < before:
                    with suppress(OSError):
                        connection.shutdown(how)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "interlock-witness", ""
    timeout = IDLE
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        refused = self._refused()
        if refused is not None:
            self.close_connection = True  # the body was not read
            self._answer(refused)
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) != length:
            self.close_connection = True
            self._answer(Answer.refusing(400, f"got {len(body)} bytes, expected {length}"))
            return
        self._answer(self.server.witness.add_checkpoint(body))

    def do_GET(self) -> None:
        if self.path == "/add-checkpoint":
            self._answer(Answer.refusing(405, "got GET, expected POST"))
            return
        asked = re.fullmatch(r"/([0-9a-f]{64})/checkpoint", self.path)
        self._answer(self.server.witness.checkpoint(asked[1]) if asked else Answer.refusing(404, "nothing there"))

    def _refused(self) -> Answer | None:
        """What is wrong with a POST before its body is read."""
        if self.path != "/add-checkpoint":
            return Answer.refusing(404, "nothing there, expected /add-checkpoint")
        length = self.headers.get_all("Content-Length", [])
        if self.headers["Transfer-Encoding"] or len(length) != 1:
            return Answer.refusing(411, "got no length of the body, expected Content-Length")
        if not re.fullmatch(r"[0-9]{1,10}", length[0]):
            return Answer.refusing(400, "got a length that is no decimal, expected Content-Length")
        if int(length[0]) > LIMIT:
            return Answer.refusing(413, f"got a body of {int(length[0])} bytes, expected at most {LIMIT}")
        return None

    def _answer(self, answer: Answer) -> None:
        self.server.tell(f"{answer.status}  {self.client_address[0]}  {answer.told}")
        self.send_response_only(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: `_answer` and `log_message` tell it."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  what http.server itself refuses
        self.server.tell(f"-  {self.client_address[0]}  {format % args}")


def serve(server: Server) -> None:
    """Answer until SIGTERM or SIGINT, then finish what was begun. Called by the main thread of a process."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    stop.wait()
    server.shutdown()
    thread.join()
    server.finish()


def line(text: str) -> str:
    """A line for the operator's log: the time, and a text that may hold what strangers sent, on one line."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}  {printable(text[:1000])}"
