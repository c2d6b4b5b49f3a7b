"""The processes that came from a command, in whatever session: what they are told, and that they end.

Why not the command's process group alone: torchrun's workers are in sessions of their own, and torchrun itself dies of
the SIGUSR1 that is meant for them.
Guarantees (Linux): what outlives its parent is found, since the launcher adopts it; nothing that was there before the
command is told anything. On another system the command and its process group are all that is known.
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

from interlock.gate._watchdog import descendants

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
        came = (pid for pid in descendants(os.getpid(), but=self.others) if not is_over(pid))
        return list(dict.fromkeys([*command, *came]))

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
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE)  # its own exit code is read first: what follows reads those of others
        until = time.monotonic() + _PATIENCE
        while (left := self.alive()) and time.monotonic() < until:
            for pid in left:  # they may start others meanwhile
                _send(pid, signal.SIGKILL)
            time.sleep(0.01)
        handed_on = set(descendants(os.getpid(), but=self.others)) - {self.process.pid}  # when their parents ended
        for pid in handed_on:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return left

    def _send_group(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def is_over(pid: int) -> bool:
    """Whether a process is only waiting for its exit code to be read. One whose first thread has ended, and no other,
    looks like that and is not.
    """
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = int(numbers[16])  # proc_pid_stat(5): state is field 3, num_threads 20
    except (OSError, ValueError, IndexError):
        return True
    return state == "X" or (state == "Z" and threads <= 1)


def _wants(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, or blocks it, as one does that waits for it."""
    if sys.platform != "linux":
        return True
    try:
        told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return bool((int(told["SigCgt"], 16) | int(told["SigBlk"], 16)) >> (number - 1) & 1)
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
