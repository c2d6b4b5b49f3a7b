"""A command under a permit: it does not start without one, and does not outlive it.

Guarantees: the command starts only once the permit was verified; it is asked to stop (SIGUSR1) so long before the lease
ends that it can be made to (SIGTERM, then SIGKILL) by then, and at once when the permit holds meanwhile. The command is
all that it started, in whatever session: each process that wants SIGUSR1 gets it, it is over when all have ended, and
all are killed at last; where Linux does not tell which these are, nothing starts. Where the permit cannot be looked at
(a server that is down, a disk that is not there), the command runs on, until the lease ends that was verified last; a
permit or a ledger that can be read and is wrong holds at once, and so does a look at them that does not come back, or
fails as nobody foresaw. A command that fails after a gate inside it has held was held. A launcher that dies takes the
command with it (SIGTERM, by the kernel, on Linux), and all that it started (SIGTERM and SIGKILL by the watchdog, a
second process that knows them by their environment). The watchdog also wakes a launcher that was stopped, and kills the
command where that does not help, or where the launcher is stuck and the lease ends or a look at the permit does not;
and a launcher whose watchdog is gone stops the command.
What it leaves to others: a command that hands its work to another machine or to a service, one that stops launcher and
watchdog both, and whoever starts the same command without the launcher. docs/launching.md says which gate stops what.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

from interlock.errors import InterlockError, UsageError
from interlock.gate import _inside, _watchdog
from interlock.gate._tree import Tree
from interlock.gate._watchdog import descendants
from interlock.gate.clock import Clock, Steady
from interlock.gate.lease import Lease
from interlock.gate.outage import UnreachableError
from interlock.gate.permit import Held

__all__ = ["Clock", "Ended", "Pace", "UnreachableError", "Verify", "launch"]

#: Opens a lease by such a clock, or holds. It is asked at the start and again and again.
Verify = Callable[[Clock], Lease]

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PATIENCE = 10.0  # seconds until a watchdog that does not end is killed
#: Seconds that a look at the permit may take: longer than it waits for a lock, which is an outage (`_disk.PATIENCE`).
#: Whoever can append what takes long to decide upon could else keep a hold from being heard.
_LATE = 180.0
_HEARD = 5.0  # seconds that a line may take to be said: whoever should read it may have been stopped


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
    """How the command ended: its exit code, 128 and the signal if one ended it; and why it was held, if it was."""

    code: int
    held: str | None


def launch(command: Sequence[str], verify: Verify, *, pace: Pace, say: Callable[[str], None]) -> Ended:
    """Run a command for as long as `verify` gives a lease. Signals that come in meanwhile are passed on to it.

    `say` is told, once each, that it is asked to stop and why, and that the permit cannot be reached or can be again.

    Raises:
        Held: there is no permit, it cannot be reached, or what is left of it is less than stopping may take; or Linux
            does not tell what the command starts.
        UsageError, EvidenceError, LedgerError: the permit cannot be verified, or the command cannot be started.
    """
    with _hearing():
        return _launch(command, verify, pace, partial(_say, say))


def _launch(command: Sequence[str], verify: Verify, pace: Pace, say: Callable[[str], None]) -> Ended:
    if sys.platform == "linux" and not _watchdog.tells():
        raise Held(
            "the system does not tell which processes a command starts, so that they could not be stopped; a /proc of "
            "this PID namespace lifts this, of a kernel with CONFIG_PROC_CHILDREN"
        )
    clock = Steady()
    try:
        lease = verify(clock)
    except UnreachableError as why:
        raise Held(f"the permit cannot be reached: {why}") from why
    if (left := lease.check()) <= pace.stopping:
        raise Held(
            f"the lease has {left.total_seconds():.0f} seconds left, and stopping may take "
            f"{pace.stopping.total_seconds():.0f}; a new permit lifts this, or shorter --notice and --grace"
        )
    with _inside.listening() as file:
        told = {_inside.FILE: str(file)}
        with _Watchdog(pace, told) as watchdog:
            watchdog.tell(left)
            ends = time.monotonic() + left.total_seconds()
            others = frozenset(descendants(os.getpid()))
            with _passing_on() as pass_on:
                tree = Tree(_start(command, watchdog, told), others)
                watchdog.over = False
                watched = _Watched(tree, partial(verify, clock), lease, watchdog, pace, say, ends)
                try:
                    pass_on(tree)
                    held = watched.until_it_ends()
                finally:
                    alive = tree.kill()
                    watchdog.over = True
                    if alive:
                        say(f"could not be killed: {', '.join(map(str, alive))}")
        code = tree.process.returncode or 0
        if held is None and (held := _why_it_failed(watchdog, file if code else None)) is not None:
            say(f"hold: {held}")
    return Ended(code if code >= 0 else 128 - code, held)


def _why_it_failed(watchdog: _Watchdog, told: Path | None) -> str | None:
    if watchdog.killed:
        return "the launcher was stopped or stuck, and its watchdog has killed the command"
    return _inside.read(told) if told is not None else None


def _say(say: Callable[[str], None], text: str) -> None:
    """Say it, if anybody listens: what it is about goes on in any case."""
    with suppress(OSError, ValueError, Held), _back_within(_HEARD):
        say(text)


@contextmanager
def _hearing() -> Iterator[None]:
    """Signals that this process and the command rely on come, whatever whoever started it blocks or ignores. Where
    SIGCHLD is ignored, every exit code reads as 0.
    """
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    needed = {signal.SIGCHLD, signal.SIGALRM, *_PASSED_ON}
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, needed) & needed
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


class _Watchdog:
    """The launcher's end of `_watchdog.py`. `over`: nothing runs that it would have to end."""

    def __init__(self, pace: Pace, told: Mapping[str, str]) -> None:
        others = " ".join(map(str, descendants(os.getpid())))
        marks = [f"{name}={value}" for name, value in told.items()]
        words = [str(os.getpid()), str(pace.look), str(pace.grace), others, *marks]
        command = [sys.executable, "-I", "-S", _watchdog.__file__, *words]
        listens, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self.killed, self.over = False, True
        self._patience = pace.grace + 3 * _PATIENCE  # for all that it does without a word that all is over
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this package's own file
                command,
                stdin=listens,
                start_new_session=True,
                preexec_fn=partial(_prctl, _PR_SET_PDEATHSIG, signal.SIGCONT),  # noqa: PLW1509 - one thread; it wakes when this dies
            )
        except OSError as error:
            os.close(self._pipe)
            raise UsageError(f"cannot start the watchdog by `{sys.executable}`: {error.strerror}") from error
        finally:
            os.close(listens)

    def tell(self, left: timedelta) -> None:
        """All must be over in so long.

        Raises:
            Held: there is no watchdog any more, or it does not listen.
        """
        self._process.send_signal(signal.SIGCONT)
        self._say(f"until {time.monotonic() + left.total_seconds()}")

    def is_for(self, group: int) -> None:
        """The command's process group. Called in the child, before it is the command."""
        self._say(f"group {group}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Without a word that all is over the watchdog kills what there is."""
        self._process.send_signal(signal.SIGCONT)
        if self.over:
            with suppress(Held):
                self._say("over")
        os.close(self._pipe)
        try:
            self.killed = self._process.wait(_PATIENCE if self.over else self._patience) == _watchdog.KILLED
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, words: str) -> None:
        try:
            os.write(self._pipe, f"{words}\n".encode())
        except OSError as error:
            raise Held(f"the launcher's watchdog is gone, or does not listen: {error.strerror}") from error


@dataclass(slots=True)
class _Watched:
    """`ends` is when all must be over by the lease as it was checked last, by the monotonic clock."""

    tree: Tree
    verify: Callable[[], Lease]
    lease: Lease
    watchdog: _Watchdog
    pace: Pace
    say: Callable[[str], None]
    ends: float
    unreachable: str | None = None

    def until_it_ends(self) -> str | None:
        """Why it was stopped; None: it ended by itself."""
        looked = time.monotonic()
        while not self._ended_within(self.pace.look):
            try:
                self.tree.reap()
                if time.monotonic() - looked >= self.pace.verify:
                    self._verify_again()
                    looked = time.monotonic()
                self._check()
            except InterlockError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing shows that it may go on
                why = f"the launcher failed: {type(error).__name__}: {error}"
            else:
                continue
            self._stop(why)
            return why
        return None

    def _check(self) -> None:
        left = self.lease.check()
        self.ends = time.monotonic() + left.total_seconds()
        if left <= self.pace.stopping:
            raise Held(
                f"the lease ends in {max(left.total_seconds(), 0):.0f} seconds, which stopping may take; "
                "a new permit lifts this: interlock permit issue"
            )
        self.watchdog.tell(left)

    def _verify_again(self) -> None:
        """Look at the permit. Where that cannot even be interrupted, the watchdog kills the command soon after."""
        left = timedelta(seconds=self.ends - time.monotonic())
        self.watchdog.tell(min(left, timedelta(seconds=_LATE) + self.pace.stopping))
        try:
            with _back_within(_LATE):
                self.lease = self.verify()
        except UnreachableError as why:
            if self.unreachable is None:
                self.say(f"the permit cannot be reached, and the lease runs on until {self.lease.grant.ends}: {why}")
            self.unreachable = str(why)
        except InterlockError:
            raise
        except Exception as error:  # whatever it is, nothing shows that it is open
            raise Held(f"the permit cannot be verified: {type(error).__name__}: {error}") from error
        else:
            if self.unreachable is not None:
                self.say("the permit can be reached again")
            self.unreachable = None

    def _stop(self, why: str) -> None:
        """Ask, then make it, both shorter where a look at the permit took so long that less is left."""
        takes = self.pace.stopping
        left = min(takes, timedelta(seconds=max(self.ends - time.monotonic(), 0)))
        with suppress(Held):
            self.watchdog.tell(left)
        self.say(f"hold: {why}")
        if self.tree.save_within(self.pace.notice * (left / takes)):
            return
        if not self.tree.end_within(self.pace.grace * (left / takes)):
            self.say("it has not stopped, and is killed")

    def _ended_within(self, seconds: float) -> bool:
        try:
            self.tree.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def _back_within(seconds: float) -> Iterator[None]:
    """A block that is left when so much time is over.

    Raises:
        Held: it was; from inside the block.
    """

    def late(*_: object) -> None:
        raise Held(f"a look at the permit did not come back within {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _start(command: Sequence[str], watchdog: _Watchdog, told: Mapping[str, str]) -> subprocess.Popen[bytes]:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what outlives its own parent becomes this process's child, and is found
    parent = os.getpid()

    def bound() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before this was said
            os._exit(128 + signal.SIGTERM)
        watchdog.is_for(os.getpid())

    try:
        return subprocess.Popen(list(command), env={**os.environ, **told}, start_new_session=True, preexec_fn=bound)  # noqa: PLW1509, S603 - one thread; the user's own command
    except OSError as error:
        raise UsageError(f"cannot start `{command[0]}`: {error.strerror}") from error
    except subprocess.SubprocessError as error:  # what went wrong before it was the command
        raise Held("the launcher's watchdog is gone") from error


@contextmanager
def _passing_on() -> Iterator[Callable[[Tree], None]]:
    """Signals go to the processes that the block says; those that come in before that, then."""
    trees, waiting = list[Tree](), list[int]()

    def come(number: int, _: Any) -> None:  # noqa: ANN401 - a frame
        waiting.append(number)
        pass_on()

    def pass_on() -> None:
        while trees and waiting:
            trees[0].pass_on(waiting.pop(0))

    def begin(tree: Tree) -> None:
        trees.append(tree)
        pass_on()

    before = {number: signal.signal(number, come) for number in _PASSED_ON}
    try:
        yield begin
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
