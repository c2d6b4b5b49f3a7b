"""The processes that came from a command, in whatever session: what they are told, and that they end.

Why not the command's process group alone: torchrun's workers are in sessions of their own, and torchrun itself dies of
the SIGUSR1 that is meant for them.
Guarantees (Linux): what outlives its parent is found, since the launcher adopts it; nothing that was there before the
command is told anything. On another system the command and its process group are all that is known.
What it leaves to the caller: that Linux tells of children at all (`_watchdog.tells`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from interlock.gate._watchdog import children, kill_all, running

__all__ = ["Tree"]

_PATIENCE = 10.0  # seconds until what SIGKILL does not end is told
_LOOK = 0.1  # seconds between looks at which of them still run


@dataclass(frozen=True, slots=True)
class Tree:
    """`process` is the command, and leads a process group; `others` were there before it."""

    process: subprocess.Popen[bytes]
    others: frozenset[int]

    def alive(self) -> list[int]:
        """Those that run."""
        command = [self.process.pid] if self.process.poll() is None else []
        self.reap()
        return list(dict.fromkeys([*command, *running(os.getpid(), self.others)]))

    def reap(self) -> None:
        """Read the exit codes of those that were handed on when their parents ended; not the command's own."""
        for pid in children(os.getpid()) - self.others - {self.process.pid}:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def save_within(self, seconds: float) -> bool:
        """SIGUSR1 to each that wants it, also to one that wants it only after a while; gives whether all have ended.

        Who does not want it would die of it. Where nobody does, there is nothing to wait for. What is started meanwhile
        is not told: it may be what saves.
        """
        waiting = set(self.alive())
        if not any(_wants(pid, signal.SIGUSR1) for pid in waiting):
            return not waiting
        until = time.monotonic() + seconds
        while alive := self.alive():
            for pid in [it for it in alive if it in waiting and _wants(it, signal.SIGUSR1)]:
                waiting.discard(pid)
                _send(pid, signal.SIGUSR1)
            if not _time_left(until):
                return False
        return True

    def end_within(self, seconds: float) -> bool:
        """SIGTERM to all; gives whether all have ended."""
        alive = self.alive()
        self._send_group(signal.SIGTERM)
        for pid in alive:
            if _group(pid) != self.process.pid:
                _send(pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while self.alive():
            if not _time_left(until):
                return False
        return True

    def pass_on(self, number: int) -> None:
        """A signal from outside, to the group; SIGUSR1 and SIGUSR2, of which a program dies that does not know them, to
        all who want it, if some do.
        """
        asked = number in (signal.SIGUSR1, signal.SIGUSR2)
        wanting = [pid for pid in self.alive() if _wants(pid, number)] if asked else []
        for pid in wanting:
            _send(pid, number)
        if not wanting:
            self._send_group(number)

    def kill(self) -> list[int]:
        """SIGKILL to all; gives those that the system does not end."""
        self._send_group(signal.SIGKILL)
        kill_all(os.getpid(), self.others, _PATIENCE)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE)
        return self.alive()

    def _send_group(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def _wants(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, or blocks it, as one does that waits for it."""
    if sys.platform != "linux":
        return True
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().split(b"\n")  # a name may be any bytes
        told = dict(line.split(b":", 1) for line in lines if line)
        return bool((int(told[b"SigCgt"], 16) | int(told[b"SigBlk"], 16)) >> (number - 1) & 1)
    except (OSError, ValueError, KeyError):
        return False


def _group(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getpgid(pid)
    return None


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _time_left(until: float) -> bool:
    """Wait for a look's time; False: there is none left."""
    left = until - time.monotonic()
    time.sleep(max(0, min(_LOOK, left)))
    return left > 0
