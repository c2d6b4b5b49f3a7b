"""The ledger beside SQLite alone (and pymerkle, where it is installed), in one run on one disk.

    python benchmarks/ledger.py [--quick] [--entries N] [--json FILE]

Appending: durable acknowledgements a second for entries of 1 KiB; one by one, by 8 writers that each wait for one
entry, by 8 that have 32 in flight each, and by 4 processes that do. Each beside a plain SQLite table, one commit an
entry, WAL and `synchronous=FULL`, measured right before and right after on the same disk; the ratio is to their mean.
The second rate counts until everything is published, too: in tiles that were read back, under a signed checkpoint.
Verifying: `Ledger.verify` in a process of its own, at three sizes, with its rate and the most memory it took.
Deciding: the wall time of `interlock ledger verify` as a process on 100 entries.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from interlock.evidence.keys import KeyPair
from interlock.ledger.log import Ledger
from interlock.ledger.note import NoteKey
from interlock.ledger.writer import Writer, create

ORIGIN = "example.com/benchmark"
KEY = KeyPair.generate()
ENTRY = os.urandom(1024)

VERIFY = """
import resource, sys, time
from pathlib import Path
from interlock.ledger.log import Ledger
from interlock.ledger.note import NoteKey
key = NoteKey.parse(sys.argv[2])
before = time.perf_counter()
verified = Ledger.open(Path(sys.argv[1]), key.public, key.name).verify()
print(verified.size, time.perf_counter() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def main() -> None:
    """Measure, print, and keep what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few entries, for a look")
    parser.add_argument("--entries", type=int, default=1_000_000, help="size of the largest ledger that is verified")
    parser.add_argument("--json", type=Path, help="keep every figure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # on a disk, where /tmp may be memory
        found = {
            "appending": _appending(Path(folder), 200 if given.quick else 2_000),
            "verifying": _verifying(Path(folder), 10_000 if given.quick else given.entries),
            "process": _process(Path(folder)),
        }
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def _appending(folder: Path, count: int) -> dict[str, dict[str, float]]:
    print("durable appends a second, entries of 1 KiB; `published`: until readers see all of them")
    cases: dict[str, tuple[int, Callable[[Ledger], float]]] = {
        "one by one": (count, lambda ledger: _threads(ledger, 1, count, in_flight=1)),
        "8 writers, one in flight each": (count * 4, lambda ledger: _threads(ledger, 8, count // 2, in_flight=1)),
        "8 writers, 32 in flight each": (count * 8, lambda ledger: _threads(ledger, 8, count, in_flight=32)),
        "4 processes, 32 in flight each": (count * 8, lambda ledger: _processes(ledger, count * 2)),
    }
    found = {}
    for name, (entries, work) in cases.items():
        ledger = create(folder / name.replace(" ", "-"), ORIGIN, KEY, datetime.now(UTC))
        before = _sqlite(folder, count)
        with _seconds() as took:
            acknowledged = work(ledger)
        plain = (before + _sqlite(folder, count)) / 2
        if ledger.verify().size != entries:
            sys.exit(f"{name}: the ledger has not {entries} entries")
        rate, published = entries / acknowledged, entries / took[0]
        found[name] = {"ledger": rate, "published": published, "sqlite": plain, "ratio": rate / plain}
        print(
            f"  {name:<32} {rate:>9,.0f}   published {published:>7,.0f}   SQLite alone {plain:>7,.0f}   "
            f"ratio {rate / plain:.2f}, {published / plain:.2f}"
        )
    pymerkle = _pymerkle(folder, count)
    if pymerkle:
        found["pymerkle one by one"] = {"pymerkle": pymerkle}
        print(f"  {'pymerkle (SQLite), one by one':<32} {pymerkle:>9,.0f}")
    return found


def _rate(work: Callable[[], int]) -> float:
    before = time.perf_counter()
    return work() / (time.perf_counter() - before)


def _sqlite(folder: Path, count: int) -> float:
    """Commits a second of one row of 1 KiB."""
    path = folder / "plain.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    def work() -> int:
        for _ in range(count):
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO entry (data) VALUES (?)", (ENTRY,))
            db.execute("COMMIT")
        return count

    rate = _rate(work)
    db.close()
    path.unlink()
    return rate


def _append_in_flight(writer: Writer, count: int, in_flight: int) -> None:
    waiting = deque()
    for _ in range(count):
        waiting.append(writer.submit(ENTRY))
        if len(waiting) >= in_flight:
            writer.wait(waiting.popleft())
    while waiting:
        writer.wait(waiting.popleft())


def _threads(ledger: Ledger, writers: int, count: int, *, in_flight: int) -> float:
    """Seconds until all was acknowledged; on return it is published, too."""
    with Writer(ledger, KEY) as writer, _seconds() as took:
        threads = [threading.Thread(target=_append_in_flight, args=(writer, count, in_flight)) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return took[0]


def _processes(ledger: Ledger, count: int) -> float:
    """Seconds from the start of four processes until the last had everything acknowledged."""
    reading, writing = os.pipe()
    before = time.perf_counter()
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            with Writer(ledger, KEY) as writer:
                _append_in_flight(writer, count, 32)
                os.write(writing, b"%f\n" % time.perf_counter())  # one clock for all processes
            os._exit(0)
        children.append(child)
    os.close(writing)
    for child in children:
        if os.waitpid(child, 0)[1]:
            sys.exit("a writing process failed")
    with os.fdopen(reading) as told:
        return max(map(float, told)) - before


def _pymerkle(folder: Path, count: int) -> float | None:
    """Appends a second of pymerkle on SQLite, if somebody installed it: it is GPL, and nothing here depends on it."""
    try:
        import pymerkle
    except ImportError:
        return None
    tree = pymerkle.SqliteTree(str(folder / "pymerkle.db"))

    def work() -> int:
        for _ in range(count):
            tree.append_entry(ENTRY)
        return count

    return _rate(work)


def _verifying(folder: Path, most: int) -> list[dict[str, float]]:
    print("verifying, in a process of its own")
    ledger = create(folder / "long", ORIGIN, KEY, datetime.now(UTC))
    found, size = [], 0
    for target in (most // 100, most // 10, most):
        with _seconds() as filling:
            _grow(ledger, size, target)
        size = target
        vkey = NoteKey(ORIGIN, KEY.public).vkey
        command = [sys.executable, "-c", VERIFY, str(ledger.folder), vkey]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        seconds, memory = float(said[1]), float(said[2])
        found.append(
            {"entries": size, "seconds": seconds, "rate": size / seconds, "memory": memory, "filling": filling[0]}
        )
        print(
            f"  {size:>9,} entries   {seconds:>7.2f} s   {size / seconds:>9,.0f} entries/s   "
            f"{memory / 1e6:>6.0f} MB   (appended in {filling[0]:.0f} s)"
        )
    return found


def _grow(ledger: Ledger, start: int, end: int) -> None:
    with Writer(ledger, KEY) as writer:
        for at in range(start, end, 4096):
            tickets = [writer.submit(b"%d" % n * 16) for n in range(at, min(end, at + 4096))]
            for ticket in tickets:
                writer.wait(ticket)


def _process(folder: Path) -> dict[str, float]:
    ledger = create(folder / "hundred", ORIGIN, KEY, datetime.now(UTC))
    with Writer(ledger, KEY) as writer:
        for n in range(100):
            writer.append_at(ENTRY, n)
    vkey = NoteKey(ORIGIN, KEY.public).vkey
    program = "from interlock.cli import main; main()"
    command = [sys.executable, "-c", program, "ledger", "verify", "--ledger", str(ledger.folder), "--vkey", vkey]
    times = []
    for _ in range(7):
        with _seconds() as took:
            subprocess.run(command, capture_output=True, check=True)
        times.append(took[0])
    median = sorted(times)[3]
    print(f"`interlock ledger verify` on 100 entries under 100 checkpoints, as a process: {median:.3f} s (median of 7)")
    return {"seconds": median}


@contextmanager
def _seconds() -> Iterator[list[float]]:
    took: list[float] = []
    before = time.perf_counter()
    yield took
    took.append(time.perf_counter() - before)


if __name__ == "__main__":
    main()
