"""The launcher's watchdog: a process of its own, so that a launcher which is stopped, stuck or killed ends its command.

It is run as a file, by a Python without site-packages, and imports nothing of Interlock. On its standard input the
launcher says, a line each: `group PID` the command's process group; `until SECONDS` when all must be over, by the
monotonic clock, which is one for all processes; `over` that nothing runs any more.
Its exit code: 0 it did nothing; 3 it has killed the command.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KILLED = 3
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP)
_PATIENCE = 10.0  # seconds for what SIGKILL does not end at once
_OFTEN, _LONG = 10, 100  # times that the launcher is found stopped; looks after which these are forgotten


@dataclass(slots=True)
class _Watch:
    """`look`: seconds between looks; `grace`: from the launcher's death to SIGKILL; `others` are no concern of it;
    `mark`: what stands in the environment of the command and of all that it started.
    """

    launcher: int
    look: float
    grace: float
    others: frozenset[int]
    mark: bytes
    group: int = 0
    until: float = math.inf
    stopped: int = 0
    stopped_at: float = -math.inf
    killed: bool = False

    def run(self) -> int:
        """Watch until the launcher says that it is over, or is gone."""
        for words in _listen(self.look):
            if words == ["over"]:
                return KILLED if self.killed else 0
            self._hear(words)  # all that was said before the launcher died is still heard
            if os.getppid() != self.launcher:
                continue  # its number may be another's by now; the end of what it said comes next
            if time.monotonic() >= self.until or self.stopped >= _OFTEN:
                self._kill()
        self._end_what_is_left()
        return KILLED

    def _hear(self, words: list[str]) -> None:
        match words:
            case ["group", process]:
                self.group = int(process)
            case ["until", moment]:
                self.until = float(moment)
            case [] if os.getppid() == self.launcher and _state(self.launcher) in {"T", "t"}:
                self._wake()

    def _wake(self) -> None:
        """Let a launcher that was stopped go on. One that is left alone for long enough was stopped by a person."""
        at = time.monotonic()
        if at - self.stopped_at > _LONG * self.look:
            self.stopped = 0
        self.stopped, self.stopped_at = self.stopped + 1, at
        _signal(self.launcher, signal.SIGCONT)

    def _kill(self) -> None:
        """End everything that came from the launcher, which then sees it."""
        self.killed = True
        if self.group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)
        for process in descendants(self.launcher, but=self.others | {os.getpid()}):
            _signal(process, signal.SIGKILL)
        _signal(self.launcher, signal.SIGCONT)

    def _end_what_is_left(self) -> None:
        """The launcher is gone, and nobody's child any more what it had adopted. The kernel has sent SIGTERM to the
        command itself.
        """
        for process in _marked(self.mark):
            if process != self.group:
                _signal(process, signal.SIGTERM)
        killing = time.monotonic() + self.grace
        while (now := time.monotonic()) < killing + _PATIENCE:
            number = 0 if now < killing else signal.SIGKILL
            left = [*_marked(self.mark)]
            for process in left:
                _signal(process, number)
            if not self._tell_group(number) and not left:
                return
            time.sleep(min(self.look, 0.1))

    def _tell_group(self, number: int) -> bool:
        """Whether there was any of the group to be told."""
        try:
            if self.group:  # by 0 this process's own would be meant
                os.killpg(self.group, number)
        except (ProcessLookupError, PermissionError):
            self.group = 0  # its number may be another's later
        return self.group != 0


def descendants(process: int, but: frozenset[int] = frozenset()) -> Iterator[int]:
    """Children, their children, and so on, where the system tells (Linux)."""
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            for child in set(map(int, file.read_text().split())) - but:
                yield child
                yield from descendants(child, but)


def _marked(mark: bytes) -> Iterator[int]:
    """Processes with such a line in their environment, as they were started with it, where the system tells (Linux)."""
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in file.read_bytes().split(b"\0"):
                yield int(file.parent.name)


def _listen(look: float) -> Iterator[list[str]]:
    """The words of each line that comes in; none after each `look` in which nothing did; no more at the end."""
    kept = b""
    while True:
        if not select.select([0], [], [], look)[0]:
            yield []
            continue
        data = os.read(0, 4096)
        if not data:
            return
        *lines, kept = (kept + data).split(b"\n")
        for line in lines:
            yield line.decode().split()


def _state(process: int) -> str:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def main() -> int:
    """Watch the process that started this one."""
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    launcher, look, grace, others, mark = sys.argv[1:]
    left_alone = frozenset(map(int, others.split()))
    return _Watch(int(launcher), float(look), float(grace), left_alone, os.fsencode(mark)).run()


if __name__ == "__main__":
    sys.exit(main())
