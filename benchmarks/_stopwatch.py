"""How long something takes, told alike by the benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(run: Callable[[], object], times: int) -> float:
    """The median of so many runs, after one that does not count."""
    run()
    taken = []
    for _ in range(max(1, times)):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
