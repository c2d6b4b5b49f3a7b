"""A clock for a gate that goes from one lease to the next.

Guarantees: time that has run stays run, though the wall clock stands still or is set back to what it showed last: a new
lease has no more time by it than the old one would have had.
What it leaves to the caller: to keep one of them for as long as the process lives. It knows nothing of a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from interlock.gate.lease import wall
from interlock.gate.permit import Held

__all__ = ["Clock", "Steady"]

#: The time, in UTC; raises `Held` where the clock went back.
Clock = Callable[[], datetime]


class Steady:
    """A clock for as long as this process lives: the later of what the wall clock and the monotonic clock say.

    A lease watches both clocks while it runs; this one does from one lease to the next. It may be asked from several
    threads, and has no lock that a fork could leave locked.
    """

    def __init__(self, wall: Clock = wall, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._began, self._ticked = wall(), monotonic()
        self._before = self._began

    def __call__(self) -> datetime:
        """The time.

        Raises:
            Held: the wall clock shows less than it did before.
        """
        before = self._before  # read first: what another thread sees meanwhile is no reason to hold
        shown = self._wall()
        if shown < before:
            raise Held(f"the clock went back: it shows {shown.isoformat()}, and has shown {before.isoformat()}")
        self._before = max(self._before, shown)
        return max(shown, self._began + timedelta(seconds=self._monotonic() - self._ticked))
