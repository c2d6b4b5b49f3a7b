"""What a gate costs: a permit verified, a training step behind the gate, and how soon a run is stopped. One run.

    python benchmarks/gate.py [--runs 300] [--steps 200] [--stops 5] [--markdown FILE] [--json FILE]

Verifying stands beside others that check a signature of the same kind in the same process (`_gate_permit.py`); training
beside the same loop without the gate, step by step in turn (`_gate_training.py`). The exit code is 1 if a goal is
missed: a permit's file verified, and a lease checked, in under a millisecond once the process knows the keys; the gate
under 1 % of a step of 50 ms, in the median; at most one step after the bound. A machine that is busy with something
else shows more, since what is written to a file is when others get their turn: the load is told.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # what is measured on is made as the tests make it

import _gate_permit as verifying  # noqa: E402
import _gate_training as training  # noqa: E402
import torch  # noqa: E402

GOAL, SHARE = 1e-3, 0.01


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="how often each verification is run; the median counts")
    parser.add_argument("--steps", type=int, default=200, help="training steps with the gate, and without it")
    parser.add_argument("--stops", type=int, default=5, help="runs that are stopped, by each of two bounds")
    parser.add_argument("--markdown", type=Path, help="write what is printed to a file")
    parser.add_argument("--json", type=Path, help="keep every figure")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        permits = verifying.measure(Path(folder) / "permits", runs=given.runs)
        trained = training.measure(Path(folder) / "training", steps=given.steps, stops=given.stops)
    goals = _goals(permits, trained)
    text = "\n".join([*_head(before), "", *_verified(permits), "", *_trained(trained), "", *_told(goals)])
    print(text)
    if given.markdown:
        command = " ".join(["python", "benchmarks/gate.py", *sys.argv[1:]])
        given.markdown.write_text(f"# What a gate costs\n\n    {command}\n\n{text}\n")
    if given.json:
        found = {"permits": asdict(permits), "training": asdict(trained), "goals": goals}
        given.json.write_text(json.dumps(found, indent=2, default=str) + "\n")
    return 0 if all(goals.values()) else 1


def _goals(permits: verifying.Verifying, trained: training.Training) -> dict[str, bool]:
    stopped = [*trained.after_compute, *trained.after_time]
    return {
        "a permit's file in under 1 ms, keys known": permits.rows[verifying.LOADED] < GOAL,
        "a lease checked in under 1 ms": permits.rows[verifying.CHECK] < GOAL,
        "under 1 % of a step of 50 ms, in the median": trained.share.value < SHARE,
        "at most one step after the bound": all(steps <= 1 for steps, _ in stopped),
    }


def _head(before: float) -> Iterator[str]:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    day = datetime.now(UTC).date().isoformat()
    yield f"{day}; {machine}, torch {torch.__version__}; load before {before:.1f}, after {os.getloadavg()[0]:.1f}"


def _verified(found: verifying.Verifying) -> Iterator[str]:
    peer = found.rows[found.peer] if found.peer else None
    yield f"## Verifying a permit\n\nA permit's file of {found.size:,} bytes; medians of {found.runs}.\n"
    yield "| | microseconds | a second | times the first peer |"
    yield "|---|---|---|---|"
    for name, seconds in found.rows.items():
        ratio = f"{seconds / peer:.3f}" if peer else "no peer is installed"
        yield f"| {name} | {1e6 * seconds:,.1f} | {1 / seconds:,.0f} | {ratio} |"


def _trained(found: training.Training) -> Iterator[str]:
    share, n = found.share, found.steps
    yield "## Training\n"
    yield f"The tests' model, {found.rows} rows of 16 tokens in one pass a step, one thread; {n} steps each, in turn.\n"
    yield "| | milliseconds, median |"
    yield "|---|---|"
    yield f"| a step without the gate | {1e3 * found.bare:.2f} |"
    yield f"| a step behind it | {1e3 * found.gated:.2f} |"
    yield f"| a save without it (n = 5) | {1e3 * found.save:.1f} |"
    yield f"| a snapshot: on the disk, in the ledger, decided again, read back (n = 1) | {1e3 * found.snapshot:.1f} |"
    yield ""
    told = f"95 %: {share.low:.2%} to {share.high:.2%}; n = {n}; {share.method}"
    yield f"To a small step the gate adds {share.value:.2%} of 50 ms (median of pairs; {told})."
    more, passes = 1e3 * found.accumulated, training.PASSES
    yield f"A step of {passes} small passes, whose gradients are accumulated, takes {more:.2f} ms more behind the gate."
    yield "\n## Stopping\n"
    yield "| bound | runs | optimizer steps finished after it | milliseconds to the exit: median (range) |"
    yield "|---|---|---|---|"
    for name, stopped in (("compute", found.after_compute), ("time, within a step", found.after_time)):
        steps, taken = [it for it, _ in stopped], [1e3 * it for _, it in stopped]
        spread = f"{median(taken):.0f} ({min(taken):.0f} to {max(taken):.0f})"
        yield f"| {name} | {len(stopped)} | {min(steps)} to {max(steps)} | {spread} |"


def _told(goals: dict[str, bool]) -> Iterator[str]:
    yield "## Against the goals\n"
    yield from (f"- {name}: {'yes' if met else '**no**'}" for name, met in goals.items())


if __name__ == "__main__":
    sys.exit(main())
