"""A lease while it runs: what a gate keeps of a permit that it has verified, and asks before every step.

Guarantees: the time that has run is the greater of what the wall clock and the monotonic clock say, so that neither
setting back the one nor a machine that sleeps through the other makes a lease last longer; a clock that shows less than
it has shown before, in this process, in the ledger, or in the `seen` file, holds for good, and so does the end of it.
A check takes microseconds, and once a second a fraction of a millisecond, to write the `seen` file, if there is one.
What it leaves to the caller: verifying the permit first, again at every snapshot where the ledger can be reached, and
a `seen` file where nobody deletes it: without it a restart forgets what the clock has shown.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import dsse
from interlock.evidence.predicates import Fields
from interlock.gate import _fork
from interlock.gate.outage import UnreachableError, file_now
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.evidence.read import Evidence, Permit

__all__ = ["Grant", "Lease", "wall"]

_RENEW = "ask for a new one: interlock permit issue"
_NOTED_EVERY = timedelta(seconds=1)
_MOST = 1 << 10  # bytes of a `seen` file


def wall() -> datetime:
    """The machine's clock in UTC, to the microsecond."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified permit grants: effective compute in FLOP from `start_compute` to at most `most_compute`, from
    `begins` up to but not at `ends`. `ledger_time` is the time of the ledger that showed it: it cannot be earlier now.
    """

    start_compute: int
    most_compute: int
    begins: datetime
    ends: datetime
    ledger_time: datetime

    @classmethod
    def of(cls, evidence: Evidence, permit: Permit) -> Grant:
        """What a permit grants that `interlock.gate.permit.verify` has just let through."""
        terms = permit.terms
        place = max(n for n, version in enumerate(evidence.versions) if version.digest in terms.policies)
        later = (version.since for version in evidence.versions[place + 1 :])
        ends, ledger_time = min([terms.not_after, *later]), evidence.facts.checkpoint.time
        return cls(terms.start_compute, terms.most_compute, terms.not_before, ends, ledger_time)

    def check_compute(self, effective_compute: int) -> None:
        """Check that so much effective compute, in FLOP, is within the bound.

        Raises:
            Held: it is more, or less than the subject had at the start.
        """
        if not effective_compute <= self.most_compute:  # so written that what is no number holds
            raise Held(
                f"{effective_compute} FLOP of effective compute are asked for, and the permit allows at most "
                f"{self.most_compute}; evaluations and a new permit lift this"
            )
        if not effective_compute >= self.start_compute:
            raise Held(f"got {effective_compute} FLOP of effective compute, expected {self.start_compute} or more")


class Lease:
    """A running lease. It may be checked from several threads.

    Args:
        grant: what was verified.
        clock: the wall clock, in UTC.
        monotonic: seconds of a clock that nobody can set.
        seen: a file that keeps the latest time seen, so that a restart does not forget it.

    Raises:
        Held: it does not begin: the clock is behind, or it is not the time.
    """

    def __init__(
        self,
        grant: Grant,
        *,
        clock: Callable[[], datetime] = wall,
        monotonic: Callable[[], float] = time.monotonic,
        seen: Path | None = None,
    ) -> None:
        self.grant = grant
        self._clock, self._monotonic, self._seen = clock, monotonic, seen
        self._lock = _fork.lock(self)
        kept = self._kept()  # read first: what another lease on this machine sees meanwhile is no reason to hold
        self._began, self._ticked = clock(), monotonic()
        self._shown_before, self._ticks_before = self._began, self._ticked
        self._note_from = self._began
        self._held: str | None = None
        self._check_start(kept)
        self.check()

    def check(self, *, effective_compute: int | None = None) -> timedelta:
        """Check that the lease still runs, and that so much effective compute (FLOP) is within it; returns the time
        that is left.

        Raises:
            Held: it is over, a clock went back now or before, or the compute is beyond the bound.
        """
        with self._lock:
            if self._held is not None:
                raise Held(self._held)
            try:
                left = self._left()
            except Held as held:
                self._held = str(held)
                raise
        if effective_compute is not None:
            self.grant.check_compute(effective_compute)
        return left

    def _left(self) -> timedelta:
        now = self._now()
        if now >= self.grant.ends:  # not kept: a clock that once showed 2099 would hold this machine's gates until then
            raise Held(f"the permit ended at {timestamp(self.grant.ends)}; {_RENEW}")
        if now >= self._note_from:
            self._note(now)
        return self.grant.ends - now

    def _now(self) -> datetime:
        """The later of what both clocks say, which have not gone back since they were last read."""
        shown, ticks = self._clock(), self._monotonic()
        if shown < self._shown_before:
            raise Held(f"the clock went back: it shows {_exact(shown)}, and has shown {_exact(self._shown_before)}")
        if ticks < self._ticks_before:
            raise Held(f"the monotonic clock went back, from {self._ticks_before} to {ticks} seconds")
        self._shown_before, self._ticks_before = shown, ticks
        return max(shown, self._began + timedelta(seconds=ticks - self._ticked))

    def _check_start(self, kept: datetime | None) -> None:
        shown = self._began
        known = {"the ledger's own time": self.grant.ledger_time, "the start of the permit": self.grant.begins}
        known |= {f"the latest time seen, by `{self._seen}`": kept} if kept else {}
        for what, moment in known.items():
            if shown < moment:
                raise Held(f"the clock shows {_exact(shown)}, before {what}, {timestamp(moment)}")

    def _kept(self) -> datetime | None:
        """The time in the file; None at the first start, when there is no file."""
        if self._seen is None:
            return None
        try:
            fields = Fields(dsse.strict_json(file_now(self._seen, _MOST).strip()), f"`{self._seen}`")
            moment = fields.time("seen")
            fields.done()
        except (UsageError, UnreachableError, EvidenceError) as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise Held(f"the latest time seen cannot be read: {error}") from error
        return moment

    def _note(self, now: datetime) -> None:
        self._note_from = now + _NOTED_EVERY
        if self._seen is None:
            return
        kept = self._kept()  # another lease on this machine may have seen more
        if kept is not None and kept >= now:
            return
        try:
            _replace(self._seen, json.dumps({"seen": timestamp(now)}).encode() + b"\n")
        except OSError as error:
            raise Held(f"the latest time seen cannot be kept in `{self._seen}`: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole. It outlives this process, however that ends; a step does not wait for the disk to have it.

    Each write has a name of its own meanwhile: several leases, in threads too, may keep one file.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _exact(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
