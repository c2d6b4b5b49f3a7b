"""The gate in serving code: nothing is offered unless a permit opens the action on the weights that lie there.

Guarantees: `requires_permit` hashes every file of the folder, and returns only if a permit opens the action on exactly
these, for exactly this deployment; `check` then holds once the lease ends, a clock goes back, or the last verification
held; `renew` verifies again, by the ledger with the rule asked anew, and holds on whatever it cannot read or believe.
The one exception is what cannot be reached (`gate.outage`): then the rest of the lease counts, and nothing beyond.
What it leaves to the caller: to load this folder and nothing else, after `requires_permit`, and `renew` once it is
loaded, which sees a file that was touched meanwhile; and to ask `check` before every answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from interlock.errors import EvidenceError, InterlockError, UsageError
from interlock.gate import _fork, permit_file, trust
from interlock.gate.clock import Steady
from interlock.gate.guarding import guard
from interlock.gate.lease import Grant, Lease
from interlock.gate.outage import UnreachableError, evidence_now, file_now
from interlock.gate.permit import Held, find, verify
from interlock.subject import manifest
from interlock.subject.deployment import Deployment
from interlock.workspace import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from types import TracebackType

    from interlock.gate.clock import Clock
    from interlock.subject._folder import Still

__all__ = ["Asked", "ByFile", "ByLedger", "Serving", "UnreachableError", "requires_permit"]

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a gate is about to do: an action, with a subject, as a deployment or bare (None); both by digest."""

    action: str
    subject: str
    deployment: str | None

    @property
    def lift(self) -> str:
        """What would lift any hold: the command that asks for a permit."""
        offered = f" -d {self.deployment}" if self.deployment else ""
        return f"interlock permit issue -s {self.subject} -a {self.action}{offered}"


class Source(Protocol):
    """Where a permit is verified."""

    def grant(self, asked: Asked, clock: Clock) -> Grant:
        """What the permit grants now, by such a clock.

        Raises:
            Held: it does not open what is asked.
            UnreachableError: the ledger, or the file, is not there to be asked.
            InterlockError: the permit or the ledger is not as it should be.
        """

    def lease(self, grant: Grant, clock: Clock) -> Lease:
        """A lease on it, by the same clock."""


@dataclass(frozen=True, slots=True)
class ByLedger:
    """A permit, by its digest, in the ledger of a workspace: the rule is asked again each time."""

    workspace: Path
    permit: str

    def grant(self, asked: Asked, clock: Clock) -> Grant:
        """What it grants now: checks 1 to 9."""
        evidence = evidence_now(self.workspace)
        wanted = find(evidence, self.permit)
        if wanted.subject != asked.subject:
            raise Held(f"the permit is for subject {wanted.subject[:12]}, expected one for {asked.subject[:12]}")
        offered = None
        if asked.deployment is not None:
            offered = evidence.facts.deployments.get(asked.deployment)
            if offered is None:
                raise Held(f"the ledger has no deployment {asked.deployment[:12]}: interlock deployment add")
        return Grant.of(evidence, verify(evidence, wanted.digest, action=asked.action, at=clock(), deployment=offered))

    def lease(self, grant: Grant, clock: Clock) -> Lease:
        """A lease on it, by the same clock."""
        return Lease(grant, clock=clock)


@dataclass(frozen=True, slots=True)
class ByFile:
    """A permit's file, by what a trust file says, without the ledger (docs/permits.md). A newer file in its place is
    seen at the next `renew`. `seen` keeps the latest time over a restart.
    """

    permit: Path
    trust: Path
    seen: Path | None = None

    def grant(self, asked: Asked, clock: Clock) -> Grant:
        """What it grants now."""
        believed = trust.Trust.parse(file_now(self.trust, trust.LIMIT))
        read = permit_file.read(file_now(self.permit, permit_file.LIMIT), believed, at=clock())
        return read.verify(action=asked.action, subject=asked.subject, at=clock(), deployment=asked.deployment)

    def lease(self, grant: Grant, clock: Clock) -> Lease:
        """A lease on it, by the same clock."""
        return Lease(grant, clock=clock, seen=self.seen)


def requires_permit(
    action: str,
    *,
    subject: Path,
    by: ByLedger | ByFile,
    deployment: Deployment | str | None = None,
    adapter: Path | None = None,
    report: manifest.Report | None = None,
) -> Serving:
    """Demand a permit for an action on the weights in a folder, and go on only with it.

    `subject` is the folder that is loaded, with its peft `adapter` if it has one. `deployment` is what is offered, or
    its digest; None is the bare model. The answer holds the lease; it is a decorator and a context manager as well.

    Raises:
        Held: no permit opens it; the message says why, and what would lift it.
        UsageError, EvidenceError, LedgerError: the folder is no model, or something is not as it should be.
    """
    loaded = _Loaded.of(Place(subject, adapter), report)
    if isinstance(deployment, Deployment):
        if deployment.subject != loaded.digest:
            raise Held(f"the deployment is of subject {deployment.subject[:12]}, and {loaded.digest[:12]} is loaded")
        deployment = deployment.digest
    return Serving(Asked(action, loaded.digest, deployment), loaded, by)


class Serving:
    """An action that a permit has opened. It may be asked from several threads.

    Raises:
        As `requires_permit`.
    """

    def __init__(self, asked: Asked, loaded: _Loaded, by: Source) -> None:
        self.asked = asked
        self._loaded, self._by, self._lock, self._clock = loaded, by, _fork.lock(self), Steady()
        self._held: str | None = None
        self._for_good = False
        self._asked_at = self._clock()
        self.lease = by.lease(by.grant(asked, self._clock), self._clock)
        self._loaded.check()

    def check(self, *, within: timedelta | None = None) -> timedelta:
        """Check that it is still open; returns the time that is left. It takes microseconds.

        Args:
            within: how long ago the last `renew` may have begun, or the first verification.

        Raises:
            Held: the lease is over, a clock went back, the last `renew` held, or nobody has called it `within`.
        """
        held = self._held
        if held is not None:
            raise Held(held)
        if within is not None and (ago := self._clock() - self._asked_at) > within:
            raise Held(
                f"nobody has verified the permit for {ago.total_seconds():.0f} seconds, "
                f"expected once in {within.total_seconds():.0f}"
            )
        return self.lease.check()

    def renew(self) -> None:
        """Verify again: the permit, by where it is, and that nobody touched the weights.

        A hold stays until a later `renew` lifts it; that of a clock that went back, or of touched weights, for good.

        Raises:
            Held: it is not open any more.
            UnreachableError: it cannot be asked; the lease counts, and a hold that stands goes on.
        """
        with self._lock:
            if self._for_good:
                raise Held(self._held or "held")
            try:
                self._renew()
            except UnreachableError:
                raise
            except Held as held:
                self._held = str(held)
                raise
            except Exception as error:  # whatever it is, nothing shows that it is open
                told = str(error) if isinstance(error, InterlockError) else f"{type(error).__name__}: {error}"
                self._held = f"the permit cannot be verified: {told}"
                raise Held(self._held) from error

    def _renew(self) -> None:
        try:
            self._loaded.check()
            began = self._check_clocks()
        except BaseException:
            self._for_good = True
            raise
        try:
            self.lease = self._by.lease(self._by.grant(self.asked, self._clock), self._clock)
        except UnreachableError:
            self._asked_at = began
            raise
        self._asked_at, self._held = began, None

    def _check_clocks(self) -> datetime:
        """The time. A lease that holds before its end holds for a clock, and a new one must not forget that."""
        try:
            self.lease.check()
        except Held:
            if self._clock() < self.lease.grant.ends:
                raise
        return self._clock()

    def __call__(self, function: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
        """A function that runs, and whose items and answer are handed out, only while it is open."""
        return guard(self.check, function)

    def __enter__(self) -> Lease:
        """The lease, if it is open now."""
        self.check()
        return self.lease

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do: a lease is not given back."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A folder of weights as it was hashed: its digest, and how it lay there then."""

    digest: str
    still: Still

    @classmethod
    def of(cls, place: Place, report: manifest.Report | None) -> _Loaded:
        from interlock.subject import _folder

        still = _folder.Still.of(place.folder, place.adapter)
        loaded = cls(manifest.of(place.folder, adapter=place.adapter, progress=report).digest, still)
        loaded.check()
        return loaded

    def check(self) -> None:
        """Check that no file was touched since.

        Raises:
            Held: one was.
        """
        try:
            self.still.check()
        except (EvidenceError, UsageError, OSError) as error:
            raise Held(f"the weights in `{self.still.folder}` are not as they were hashed: {error}") from error
