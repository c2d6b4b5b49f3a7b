"""The webhook that an API server asks: HTTPS, one path an action (`/admit/scale`).

Guarantees: one review a request, of a bounded size; a connection is over after `WITHIN` seconds, from its handshake to
the last byte of the answer, however slowly a client sends or reads; no more than `AT_ONCE` are answered at once, and
others are turned away; whatever fails gives no answer that allows.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from interlock.errors import InterlockError, UsageError
from interlock.gate.kubernetes import LIMIT, Door, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["AT_ONCE", "WITHIN", "Server"]

WITHIN = 30.0
"""Seconds a connection: as long as the longest that an API server waits (`timeoutSeconds`)."""
AT_ONCE = 64
_PATH = re.compile(r"/admit/([a-z0-9][a-z0-9-]*)(?:\?.*)?")


class Server(ThreadingHTTPServer):
    """A webhook on an address; `tell` is told of every answer, one line each.

    Raises:
        UsageError: the certificate or its key cannot be used, or the address is taken.
    """

    daemon_threads = True
    within, at_once = WITHIN, AT_ONCE

    def __init__(
        self, address: tuple[str, int], door: Door, *, certificate: Path, key: Path, tell: Callable[[str], None]
    ) -> None:
        self.door, self.tell = door, tell
        self._room = threading.Semaphore(self.at_once)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            self._context.load_cert_chain(certificate, key)
            super().__init__(address, _Handler)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"cannot serve at {address[0]}:{address[1]}: {error}") from error

    def get_request(self) -> tuple[Any, Any]:
        """A connection whose handshake its own thread will make."""
        connection, client = super().get_request()
        connection.settimeout(_Handler.timeout)
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), client

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer in a thread of its own; turn away who comes while too many are answered."""
        if not self._room.acquire(blocking=False):
            self.tell(f"-  {client_address[0]}  turned away: {self.at_once} are being answered")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Make room for the next one at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, and break off what takes too long: a limit for each read bounds no whole."""
        end = threading.Timer(self.within, self._break_off, (request, client_address))
        end.daemon = True
        end.start()
        try:
            super().finish_request(request, client_address)
        finally:
            end.cancel()
            end.join()  # before the connection is closed, and its number another's

    def _break_off(self, request: ssl.SSLSocket, client_address: Any) -> None:  # noqa: ANN401
        self.tell(f"-  {client_address[0]}  broken off after {self.within} seconds")
        with contextlib.suppress(OSError):  # the client was quicker
            socket.socket.shutdown(request, socket.SHUT_RDWR)  # below TLS, whose state another thread is using

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Tell that a client went away, or that answering failed."""
        import sys

        self.tell(f"-  {client_address[0]}  {type(sys.exception()).__name__}: {sys.exception()}")


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10
    server_version, sys_version = "interlock-admission", ""

    def do_POST(self) -> None:
        asked, length = _PATH.fullmatch(self.path), self.headers.get("Content-Length", "")
        if asked is None or not re.fullmatch(r"[0-9]{1,10}", length) or int(length) > LIMIT:
            self._say(404 if asked is None else 413, {"error": "expected a review at /admit/ACTION"}, "refused")
            return
        data = self.rfile.read(int(length))
        if len(data) != int(length):
            self._say(400, {"error": f"got {len(data)} bytes, expected {length}"}, f"got {len(data)} of {length} bytes")
            return
        try:
            said = answer(self.server.door, data, action=asked[1])
        except InterlockError as error:
            self._say(400, {"error": str(error)}, str(error))
            return
        response = said["response"]
        self._say(200, said, "allowed" if response["allowed"] else response["status"]["message"])

    def do_GET(self) -> None:
        fine = self.path == "/healthz"
        self._say(200 if fine else 404, {"ok": fine}, self.path)

    def _say(self, status: int, body: dict[str, Any], told: str) -> None:
        data = json.dumps(body).encode()
        self.server.tell(f"{status}  {self.client_address[0]}  {told}")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Nothing: `_say` tells it."""
