"""A command under a permit: it does not start without one, and does not outlive it.

Guarantees: the command starts only once the permit was verified; it is asked to stop (SIGUSR1) so long before the lease
ends that it can be made to (SIGTERM, then SIGKILL) by then, and at once when the permit holds meanwhile. What is killed
at last is the command, its process group, and everything that it started, in whatever session. Where the permit cannot
be looked at (a server that is down, a disk that is not there), the command runs on, until the lease ends that was
verified last; a permit or a ledger that can be read and is wrong holds at once. A launcher that dies takes the command
with it (SIGTERM, by the kernel, on Linux).
What it leaves to others: a command that hands its work to another machine or to a service, and whoever starts the same
command without the launcher. docs/launching.md says which gate stops what.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from interlock.errors import InterlockError, UsageError
from interlock.gate.clock import Clock, Steady
from interlock.gate.lease import Lease
from interlock.gate.permit import Held

__all__ = ["Clock", "Ended", "Pace", "Unreachable", "Verify", "launch"]

#: Opens a lease by such a clock, or holds. It is asked at the start and again and again.
Verify = Callable[[Clock], Lease]

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PATIENCE = 10.0  # seconds until what SIGKILL does not end is told


class Unreachable(Exception):  # noqa: N818  no error: the lease goes on
    """The permit cannot be looked at now: nothing says that it holds, and nothing that it still opens."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between looks at the lease, and at the permit; from SIGUSR1 to SIGTERM; from that to SIGKILL.

    Raises:
        UsageError: one is below 0, or there is no time between looks.
    """

    look: float = 1.0
    verify: float = 60.0
    notice: float = 60.0
    grace: float = 30.0

    def __post_init__(self) -> None:
        for name in ("look", "verify", "notice", "grace"):
            value, least = getattr(self, name), 0.01 if name in {"look", "verify"} else 0
            if not least <= value <= 10**6:
                raise UsageError(f"--{name} is {value} seconds, expected {least} to a million")

    @property
    def stopping(self) -> timedelta:
        """How long it may take until nothing runs any more."""
        return timedelta(seconds=self.notice + self.grace + 2 * self.look)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command ended: its exit code, 128 and the signal if one ended it; and why it was stopped, if it was."""

    code: int
    held: str | None


def launch(command: Sequence[str], verify: Verify, *, pace: Pace, say: Callable[[str], None]) -> Ended:
    """Run a command for as long as `verify` gives a lease. Signals that come in meanwhile are passed on to it.

    `say` is told, once each, that it is asked to stop and why, and that the permit cannot be reached or can be again.

    Raises:
        Held: there is no permit, it cannot be reached, or what is left of it is less than stopping may take.
        UsageError, EvidenceError, LedgerError: the permit cannot be verified, or the command cannot be started.
    """
    clock = Steady()
    try:
        lease = verify(clock)
    except Unreachable as why:
        raise Held(f"the permit cannot be reached: {why}") from why
    if (left := lease.check()) <= pace.stopping:
        raise Held(
            f"the lease has {left.total_seconds():.0f} seconds left, and stopping may take "
            f"{pace.stopping.total_seconds():.0f}; a new permit lifts this, or shorter --notice and --grace"
        )
    others = frozenset(_descendants(os.getpid()))
    process = _start(command)
    watched = _Watched(process, partial(verify, clock), lease, pace, say)
    with _passing_on(process):
        try:
            held = watched.until_it_ends()
        finally:
            if alive := _kill(process, others):
                say(f"could not be killed: {', '.join(map(str, alive))}")
    code = process.returncode or 0
    return Ended(code if code >= 0 else 128 - code, held)


@dataclass(slots=True)
class _Watched:
    process: subprocess.Popen[bytes]
    verify: Callable[[], Lease]
    lease: Lease
    pace: Pace
    say: Callable[[str], None]
    unreachable: str | None = None

    def until_it_ends(self) -> str | None:
        """Why it was stopped; None: it ended by itself."""
        looked = time.monotonic()
        while not self._ended_within(self.pace.look):
            try:
                if time.monotonic() - looked >= self.pace.verify:
                    self._verify_again()
                    looked = time.monotonic()
                self._check()
            except InterlockError as why:
                self._stop(str(why))
                return str(why)
        return None

    def _check(self) -> None:
        left = self.lease.check()
        if left <= self.pace.stopping:
            raise Held(
                f"the lease ends in {max(left.total_seconds(), 0):.0f} seconds, which stopping may take; "
                "a new permit lifts this: interlock permit issue"
            )

    def _verify_again(self) -> None:
        try:
            self.lease = self.verify()
        except Unreachable as why:
            if self.unreachable is None:
                self.say(f"the permit cannot be reached, and the lease runs on until {self.lease.grant.ends}: {why}")
            self.unreachable = str(why)
        else:
            if self.unreachable is not None:
                self.say("the permit can be reached again")
            self.unreachable = None

    def _stop(self, why: str) -> None:
        """Ask, then make it. The whole group is told; `_kill` does the rest."""
        self.say(f"hold: {why}")
        for number, seconds in ((signal.SIGUSR1, self.pace.notice), (signal.SIGTERM, self.pace.grace)):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            if self._ended_within(seconds):
                return
        self.say("it has not stopped, and is killed")

    def _ended_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what outlives its own parent becomes this process's child, and is found
    parent = os.getpid()

    def bound() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before this was said
            os._exit(128 + signal.SIGTERM)

    try:
        return subprocess.Popen(list(command), start_new_session=True, preexec_fn=bound)  # noqa: PLW1509, S603 - one thread; the user's own command
    except OSError as error:
        raise UsageError(f"cannot start `{command[0]}`: {error.strerror}") from error


def _kill(process: subprocess.Popen[bytes], others: frozenset[int]) -> list[int]:
    """End the group, and every process that came from it; gives those that the system does not end. `others` were
    there before.
    """

    def came() -> list[int]:
        return [pid for pid in _descendants(os.getpid(), but=others) if not _is_over(pid)]

    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)  # its own exit code is read first: what follows reads those of others
    until = time.monotonic() + _PATIENCE
    while (left := came()) and time.monotonic() < until:
        for pid in left:  # they may start others meanwhile
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    for pid in set(_descendants(os.getpid(), but=others)) - {
        process.pid
    }:  # handed to this process when their parents ended
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return left


def _descendants(pid: int, but: frozenset[int] = frozenset()) -> Iterator[int]:
    """Children, their children, and so on, where the system tells (Linux)."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            for child in set(map(int, file.read_text().split())) - but:
                yield child
                yield from _descendants(child, but)


def _is_over(pid: int) -> bool:
    """Whether a process is only waiting for its exit code to be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (OSError, IndexError):
        return True


@contextmanager
def _passing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: Any) -> None:  # noqa: ANN401 - a frame
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
