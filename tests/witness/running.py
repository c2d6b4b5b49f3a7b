"""Witnesses for tests: a real one in a folder, its server on a free port of this machine, and requests to it."""

from __future__ import annotations

import http.client
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from interlock.evidence.keys import KeyPair
from interlock.ledger import merkle
from interlock.ledger.note import Checkpoint, Note, NoteKey, sign
from interlock.witness.protocol import Submission
from interlock.witness.serve import Server
from interlock.witness.witness import Witness, create

NAME = "example.com/witness"
ORIGIN = "example.com/log"
KEY = KeyPair.generate()
LOG = NoteKey(ORIGIN, KEY.public)
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def new_witness(folder: Path, *logs: NoteKey, name: str = NAME) -> NoteKey:
    """The witness's key."""
    lines = "".join(f"log {log.vkey}\n" for log in logs or (LOG,))
    return create(folder, name, lines.encode(), passphrase=None)


@contextmanager
def opened(folder: Path, clock=lambda: NOW):
    witness = Witness(folder, clock=clock)
    try:
        yield witness
    finally:
        witness.close()


@contextmanager
def serving(folder: Path, clock=lambda: NOW):
    """A server in a thread; what it tells is in its `told`."""
    with opened(folder, clock) as witness:
        told: list[str] = []
        server = Server(witness, "127.0.0.1", 0, told.append)
        server.told = told
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.finish()


def ask(server: Server, body: bytes, method: str = "POST", path: str = "/add-checkpoint", headers=None):
    """Status, media type and body of the answer."""
    with closing(http.client.HTTPConnection(*server.server_address[:2], timeout=20)) as connection:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()


def leaves(count: int, story: str = "one") -> list[bytes]:
    return [merkle.leaf_hash(f"{story} {n}".encode()) for n in range(count)]


def checkpoint(tree: list[bytes], origin: str = ORIGIN, key: KeyPair = KEY) -> bytes:
    text = Checkpoint(origin, len(tree), merkle.root(tree)).text
    return Note(text, (sign(text, origin, key),)).to_bytes()


def submission(old: int, tree: list[bytes], **whose) -> bytes:
    """An honest request of a log that has `tree`, to a witness that stands at `old`."""
    proof = merkle.consistency_proof(tree, old) if 0 < old < len(tree) else ()
    return Submission(old, proof, checkpoint(tree, **whose)).to_bytes()
