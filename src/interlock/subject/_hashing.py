"""SHA-256 of many files at once: a thread a core, since hashlib lets go of Python's lock; largest files first.

Guarantees: a file is read once, through one descriptor that is the file that was listed; one that changes is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from interlock.errors import EvidenceError, UsageError
from interlock.subject._folder import Listed, changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interlock.subject.manifest import Report

_CHUNK = 1 << 18  # bytes a thread; it stays in the cache of a core between reading and hashing
_EVERY = 0.1  # seconds between reports


@dataclass(slots=True)
class _Work:
    """What the threads share: how far they are, and whether to give up."""

    done: int = 0
    stop: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def hash(self, file: Listed) -> str:
        """SHA-256 of one file in hex."""
        digest, left = hashlib.sha256(), file.size
        buffer = memoryview(bytearray(min(_CHUNK, file.size + 1)))
        # not to wait for a pipe, nor to follow a link, that has taken the file's place since
        with os.fdopen(_open(file.path, os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as opened:
            _same(file, opened.fileno())
            while not self.stop.is_set() and left >= 0 and (count := opened.readinto(buffer)):
                digest.update(buffer[:count])
                left -= count
                with self.lock:
                    self.done += count
            _same(file, opened.fileno())
        if left and not self.stop.is_set():
            raise changed(file.path)
        return digest.hexdigest()


def sha256_of(files: Mapping[str, Listed], report: Report | None = None) -> dict[str, str]:
    """SHA-256 in hex of every file, by name.

    Raises:
        EvidenceError: a file cannot be read, or changed since it was listed.
    """
    work, total = _Work(), sum(file.size for file in files.values())
    largest_first = sorted(files, key=lambda name: -files[name].size)
    with ThreadPoolExecutor(min(len(files), cores()) or 1) as pool:
        futures = {name: pool.submit(work.hash, files[name]) for name in largest_first}
        try:
            _watch(set(futures.values()), work, total, report)
        except BaseException:  # an error of one, or Ctrl-C, ends all
            work.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {name: future.result() for name, future in futures.items()}


def sha256_of_file(path: Path) -> str:
    """SHA-256 in hex of one file that the user names; here a link is followed.

    Raises:
        UsageError: there is no such plain file.
        EvidenceError: it cannot be read, or changed meanwhile.
    """
    if not path.is_file():
        raise UsageError(f"no such file: `{path}`")
    real = path.resolve()
    return _Work().hash(Listed.of(real, real.stat()))


def cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watch(pending: set[Future[str]], work: _Work, total: int, report: Report | None) -> None:
    while pending:
        finished, pending = wait(pending, timeout=_EVERY, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()
        if report:
            report(work.done, total)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except PermissionError as error:
        raise EvidenceError(f"`{path}` cannot be read: {error.strerror}") from error
    except OSError as error:
        raise changed(path) from error


def _same(file: Listed, descriptor: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or Listed.of(file.path, found) != file:
        raise changed(file.path)
