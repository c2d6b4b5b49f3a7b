"""Ledgers for tests: a fixed key and clock, and the one check of a whole ledger that every crash test ends with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from interlock.evidence.keys import KeyPair
from interlock.ledger import merkle
from interlock.ledger.log import Ledger, LedgerView
from interlock.ledger.writer import Writer, create

ORIGIN = "example.com/ledger"
KEY = KeyPair.generate()
START = datetime(2026, 12, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def writer(ledger: Ledger, seconds: int = 1000) -> Writer:
    """A writer whose clock stands still."""
    return Writer(ledger, KEY, clock=lambda: at(seconds))


def new_ledger(folder: Path, entries: int = 0) -> Ledger:
    """A ledger with one checkpoint an entry, ten seconds apart."""
    ledger = create(folder, ORIGIN, KEY, START)
    now = [START]
    with Writer(ledger, KEY, clock=lambda: now[0]) as opened:
        for index in range(entries):
            now[0] = at(10 * index + 10)
            assert opened.append_at(b"entry %d" % index, index) == index
    return ledger


def open_ledger(folder: Path) -> Ledger:
    return Ledger.open(folder, KEY.public, ORIGIN)


def data_of(ledger: Ledger) -> list[bytes]:
    return [entry.data for entry in ledger.read().entries]


def published(folder: Path) -> dict[str, bytes]:
    """Every file that readers read."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "sequencer"
    }


def check(ledger: Ledger, acknowledged: dict[int, bytes] | None = None) -> LedgerView:
    """A whole ledger: it verifies, its root is that of its entries, and what was acknowledged stands at its number."""
    verified, view = ledger.verify(), ledger.read()
    assert (verified.size, verified.root, verified.time) == (view.size, view.root, view.time)
    assert view.root == merkle.root(entry.leaf for entry in view.entries)
    assert [entry.index for entry in view.entries] == list(range(view.size))
    assert all(a.time <= b.time for a, b in zip(view.entries, view.entries[1:], strict=False))
    for number, data in (acknowledged or {}).items():
        assert view.entries[number].data == data
    return view


_HOLDING = """
import fcntl, sys
held = [open(path, "ab") for path in sys.argv[1:]]
for file in held:
    fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_a_stopped_process(*locks: Path) -> Iterator[None]:
    """Lock files that a process holds which was stopped (SIGSTOP) and never lets go; within the block."""
    command = [sys.executable, "-I", "-c", _HOLDING, *map(str, locks)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"held\n"
            os.kill(process.pid, signal.SIGSTOP)
            yield
        finally:
            process.kill()
