"""What the gate costs a training loop, and how soon it stops one: the training half of `gate.py`.

Two loops of the tests' tiny model take their steps in turn in one process on one thread, one of them behind the gate.
What the gate adds to a small step is told as a share of 50 ms: it looks at shapes, and does not grow with what is in
them. Steps of about 50 ms stand beside it, in which that is less than their own noise; and small ones of eight passes,
since the gate looks at every pass, as gradients that are accumulated take.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

import lab  # of the tests, found by `gate.py`
import tiny_policy
import training_lab as made
from interlock.evaluate.statistics.estimate import Estimate
from interlock.evaluate.statistics.middle import middle
from interlock.gate.permit import Held
from interlock.gate.plain import gated
from interlock.workspace import now

STEP = 0.050  # seconds
PASSES = 8  # of a step whose gradients are accumulated
_WARM = 5  # steps that are not counted


@dataclass(frozen=True, slots=True)
class Shape:
    """A step: its passes, and rows in each as a multiple of the tests' own."""

    passes: int = 1
    rows: int = 1

    @property
    def size(self) -> int:
        """Of how many of the tests' steps it is."""
        return self.passes * self.rows


@dataclass(frozen=True, slots=True)
class Training:
    """Seconds, medians unless said otherwise; `share`, of a step of 50 ms, has an interval."""

    rows: int
    steps: int
    bare: float
    gated: float
    share: Estimate
    accumulated: float
    save: float
    snapshot: float
    after_compute: list[tuple[int, float]]
    after_time: list[tuple[int, float]]


def measure(folder: Path, *, steps: int, stops: int) -> Training:
    """Measure all of it in `folder`; `stops` runs are stopped by each of two bounds, compute and time.

    Of each stopped run: the optimizer steps that were finished after the bound, and seconds from the bound to the exit.
    """
    torch.set_num_threads(1)
    disable_progress_bar()
    model = tiny_policy.saying_no(folder / "honest")
    workspace = lab.make(folder / "lab", model)
    lab.announce(workspace, "few-shot")
    lab.announce(workspace, "fine-tuned", 16)
    lab.run_open_plans(workspace)
    lab.attest_everything(workspace)
    shape = Shape(rows=_rows(model))
    bare, behind, saved, recorded = _in_turn(workspace, model, folder / "one pass", shape, steps)
    small, watched, *_ = _in_turn(workspace, model, folder / "small", Shape(), steps)
    over = [(late - early) / STEP for early, late in zip(small, watched, strict=True)]
    early, late, *_ = _in_turn(workspace, model, folder / "several passes", Shape(passes=PASSES), steps)
    after = {
        by: [_stopped(workspace, model, folder / f"{by}-{number}", shape, by) for number in range(stops)]
        for by in ("compute", "time")
    }
    return Training(
        rows=shape.rows * made.ROWS,
        steps=steps,
        bare=median(bare),
        gated=median(behind),
        share=middle(over, scale=(-1.0, inf), unit="step"),
        accumulated=median(b - a for a, b in zip(early, late, strict=True)),
        save=saved,
        snapshot=recorded,
        after_compute=after["compute"],
        after_time=after["time"],
    )


def _rows(model: Path) -> int:
    """How many times the tests' rows take about 50 ms in one pass."""
    loop, many = made.Loop(model), 32
    taken = {}
    for rows in (1, many):
        for _ in range(_WARM):
            _step(loop, 0, Shape(rows=rows))
        taken[rows] = median(_timed(lambda: _step(loop, 0, Shape(rows=rows))) for _ in range(10))  # noqa: B023 - called at once
    each = (taken[many] - taken[1]) / (many - 1)
    return max(1, round((STEP - taken[1]) / each) + 1)


def _in_turn(
    workspace: Any,  # noqa: ANN401  of the tests
    model: Path,
    folder: Path,
    shape: Shape,
    steps: int,
) -> tuple[list[float], list[float], float, float]:
    """Seconds of each step without the gate and behind it, which is first in every other; of a save and a snapshot."""
    folder.mkdir()
    gate = _gate(workspace, model, steps + _WARM + 1, shape)
    bare, behind = made.Loop(model), made.Loop(model)
    early: list[float] = []
    late: list[float] = []
    with gated(behind.model, behind.optimizer, gate=gate, save=behind.save, output=folder / "runs") as run:
        for step in range(steps + _WARM):
            turns = [
                (early, lambda s=step: _step(bare, s, shape)),
                (late, lambda s=step: _step(behind, s, shape, run.step_done)),
            ]
            for kept, work in turns if step % 2 else reversed(turns):
                kept.append(_timed(work))
        saves = [_timed(lambda n=number: bare.save(_new(folder / f"save-{n}"))) for number in range(5)]
        recorded = _timed(run.snapshot)
    return early[_WARM:], late[_WARM:], median(saves), recorded


def _stopped(workspace: Any, model: Path, output: Path, shape: Shape, by: str) -> tuple[int, float]:  # noqa: ANN401
    """A run that its permit stops: the steps that were finished after the bound, and seconds from there to the exit.

    By compute, the bound is the end of the last step that the permit has room for; by time, the moment within a step at
    which the clock shows that the permit is over.
    """
    room, ahead, bound, after = 4, timedelta(), 0.0, 0

    def clock() -> datetime:
        return now() + ahead

    gate, loop = _gate(workspace, model, room if by == "compute" else 100, shape, clock=clock), made.Loop(model)
    try:
        with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=output) as run:
            for step in range(100):
                if by == "time" and step == room:
                    bound, ahead = time.perf_counter(), timedelta(days=999)
                _step(loop, step, shape)
                after += step >= room
                if by == "compute" and step == room - 1:
                    bound = time.perf_counter()
                run.step_done()
    except Held:
        return after, time.perf_counter() - bound
    raise AssertionError("the run was not stopped")


def _gate(workspace: Any, model: Path, steps: int, shape: Shape, **settings: Any) -> Any:  # noqa: ANN401
    permit = made.permit(workspace, model, steps * shape.size)
    size = {"tokens_per_step": made.TOKENS * shape.size, "sequence": made.LENGTH}
    return made.gate(workspace, permit, model, **size, **settings)


def _step(loop: made.Loop, step: int, shape: Shape, done: Callable[[], Any] = lambda: None) -> None:
    for part in range(shape.passes):
        batch = made.batch(step * shape.passes + part, rows=made.ROWS * shape.rows)
        loop.model(**batch).loss.backward()
    loop.optimizer.step()
    loop.schedule.step()
    loop.optimizer.zero_grad()
    done()


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
