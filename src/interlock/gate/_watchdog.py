"""The launcher's watchdog: a process of its own, so that a launcher which is stopped, stuck or killed ends its command.

It is run as a file, by a Python without site-packages, and imports nothing of Interlock. On its standard input the
launcher says, a line each: `group PID` the command's process group; `until SECONDS` when all must be over, by the
monotonic clock, which is one for all processes; `over` that nothing runs any more.
Where that ends without `over`, or the watchdog itself fails, it kills the command first.
Its exit code: 0 it did nothing; 3 it has killed the command.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KILLED = 3
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP)
_PATIENCE = 10.0  # seconds for what SIGKILL does not end at once
_LEAVES = 2.0  # seconds for a launcher to be gone that says no more
_AT_ONCE = 1.0  # seconds of killing until the launcher is listened to again
_OFTEN, _LONG = 10, 100  # times that the launcher is found stopped; looks after which these are forgotten
#: What the system says of a process that has ended meanwhile, or is not to be seen. All else it says is no answer.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
_ROUNDS = 10  # looks in a row that find new processes, and all of them over, until these are taken to be running


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
        """Watch until the launcher says that it is over, or is gone; then nothing runs any more."""
        try:
            over = self._until_over()
        except Exception:  # noqa: BLE001 - whatever it is, what this watches does not outlive it
            over = False
        if over:
            return KILLED if self.killed else 0
        if self._launcher_lives():
            with suppress(OSError):
                self._kill(_PATIENCE)
                self.group = 0  # it was killed; its first process may stay there, unread
        self._end_what_is_left()
        return KILLED

    def _launcher_lives(self) -> bool:
        """Whether it does still, once it has said its last. One that dies closes what it has open before it is gone."""
        until = time.monotonic() + _LEAVES
        while (lives := os.getppid() == self.launcher) and time.monotonic() < until:
            time.sleep(0.01)
        return lives

    def _until_over(self) -> bool:
        """Whether the launcher has said so; else it says no more."""
        for words in _listen(self.look):
            if words == ["over"]:
                return True
            self._hear(words)  # all that was said before the launcher died is still heard
            if os.getppid() != self.launcher:
                continue  # its number may be another's by now; the end of what it said comes next
            if time.monotonic() >= self.until or self.stopped >= _OFTEN:
                self._kill(_AT_ONCE)
        return False

    def _hear(self, words: list[str]) -> None:
        match words:
            case ["group", process]:
                self.group = int(process)
            case ["until", moment]:
                self.until = float(moment)
            case [] if os.getppid() == self.launcher and _is_stopped(self.launcher):
                self._wake()

    def _wake(self) -> None:
        """Let a launcher that was stopped go on. One that is left alone for long enough was stopped by a person."""
        at = time.monotonic()
        if at - self.stopped_at > _LONG * self.look:
            self.stopped = 0
        self.stopped, self.stopped_at = self.stopped + 1, at
        _signal(self.launcher, signal.SIGCONT)

    def _kill(self, seconds: float) -> None:
        """End everything that came from the launcher, which then sees it, in so much time."""
        self.killed = True
        if self.group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)
        kill_all(self.launcher, self.others | {os.getpid()}, seconds)
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


def tells() -> bool:
    """Whether Linux tells this process of its children. It does not without CONFIG_PROC_CHILDREN, without /proc, or
    where /proc is that of another PID namespace, and each process seems to have none then.
    """
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def children(process: int) -> set[int]:
    """Those of all its threads, where the system tells (Linux)."""
    found = set[int]()
    with suppress(*_GONE):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(*_GONE):
                found.update(map(int, (thread / "children").read_bytes().split()))
    return found


def descendants(process: int, but: Set[int] = frozenset()) -> Iterator[int]:
    """Children, their children, and so on, however deep.

    Raises:
        OSError: the system does not tell.
    """
    seen, parents = set(but), [process]
    while parents:
        came = children(parents.pop()) - seen
        seen |= came
        parents += came
        yield from came


def running(process: int, but: Set[int] = frozenset()) -> list[int]:
    """Those of its descendants that are not over; none only if none is, if it adopts orphans.

    What ends while it is looked at may have left a child that was not there yet, and which is adopted. So where all are
    over, they are looked for once more.
    """
    known = set(but)
    for _ in range(_ROUNDS):
        came = [*descendants(process, known)]
        left = [it for it in came if not is_over(it)]
        if left or not came:
            return left
        known.update(came)
    return came  # each has left another before it could be looked at


def kill_all(process: int, but: Set[int], seconds: float) -> list[int]:
    """SIGKILL to all its descendants, until none runs or so much time is over; gives those that do."""
    until, before = time.monotonic() + seconds, list[int]()
    while (left := running(process, but)) and time.monotonic() < until:
        for it in left:
            _signal(it, signal.SIGKILL)
        if left == before:  # they take their time; those that start others are not left any
            time.sleep(0.01)
        before = left
    return left


def is_over(process: int) -> bool:
    """Whether a process is gone, or only waits for its exit code to be read. One whose first thread has ended, and no
    other, looks like that and is not; nor is one of which the system does not tell, or that it hides (hidepid).
    """
    try:
        state, *numbers = _stat(process)
    except (FileNotFoundError, ProcessLookupError):
        return not _is_there(process)
    except OSError:
        return False
    return state == b"X" or (state == b"Z" and int(numbers[16]) <= 1)  # proc_pid_stat(5): num_threads is field 20


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_stopped(process: int) -> bool:
    with suppress(OSError):
        return _stat(process)[0] in {b"T", b"t"}
    return False


def _stat(process: int) -> list[bytes]:
    """What the system tells of a process from field 3, its state, on. Its name, before that, may be any bytes.

    Raises:
        OSError: it does not tell, or there is none.
    """
    return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()


def _marked(mark: bytes) -> Iterator[int]:
    """Processes with such a line in their environment, as they were started with it, where the system tells (Linux)."""
    for process in _processes():
        with suppress(OSError):
            if mark in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
                yield process


def _processes() -> list[int]:
    with suppress(OSError):
        return [int(it.name) for it in Path("/proc").iterdir() if it.name.isdecimal()]
    return []


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
