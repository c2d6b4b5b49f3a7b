"""What the gate costs a training loop, and how soon it stops one: the training half of `gate.py`.

Two loops of the tests' tiny model take their steps in turn in one process on one thread, one of them behind the gate.
A step has as many backward passes as make it about 50 ms without the gate; the gate sees every one of them.
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
_WARM = 5  # steps that are not counted


@dataclass(frozen=True, slots=True)
class Training:
    """Seconds, medians unless said otherwise; `share`, of a step without the gate, has an interval."""

    passes: int
    steps: int
    bare: float
    gated: float
    share: Estimate
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
    passes = _passes(model)
    bare, behind, saved, recorded = _in_turn(workspace, model, folder, passes, steps)
    over = [(late - early) / early for early, late in zip(bare, behind, strict=True)]
    after = {
        by: [_stopped(workspace, model, folder / f"{by}-{number}", passes, by) for number in range(stops)]
        for by in ("compute", "time")
    }
    return Training(
        passes=passes,
        steps=steps,
        bare=median(bare),
        gated=median(behind),
        share=middle(over, scale=(-1.0, inf), unit="step"),
        save=saved,
        snapshot=recorded,
        after_compute=after["compute"],
        after_time=after["time"],
    )


def _passes(model: Path) -> int:
    """How many backward passes take about 50 ms."""
    loop = made.Loop(model)
    for _ in range(_WARM):
        _step(loop, 0, 1)
    once = median(_timed(lambda: _step(loop, 0, 1)) for _ in range(20))
    return max(1, round(STEP / once))


def _in_turn(
    workspace: Any,  # noqa: ANN401  of the tests
    model: Path,
    folder: Path,
    passes: int,
    steps: int,
) -> tuple[list[float], list[float], float, float]:
    """Seconds of each step without the gate and behind it; of a save and of a snapshot."""
    gate = _gate(workspace, model, steps + _WARM + 1, passes)
    bare, behind = made.Loop(model), made.Loop(model)
    early, late = [], []
    with gated(behind.model, behind.optimizer, gate=gate, save=behind.save, output=folder / "runs") as run:
        for step in range(steps + _WARM):
            early.append(_timed(lambda s=step: _step(bare, s, passes)))
            late.append(_timed(lambda s=step: _step(behind, s, passes, run.step_done)))
        saves = [_timed(lambda n=number: bare.save(_new(folder / f"save-{n}"))) for number in range(5)]
        recorded = _timed(run.snapshot)
    return early[_WARM:], late[_WARM:], median(saves), recorded


def _stopped(workspace: Any, model: Path, output: Path, passes: int, by: str) -> tuple[int, float]:  # noqa: ANN401
    """A run that its permit stops: the steps that were finished after the bound, and seconds from there to the exit.

    By compute, the bound is the end of the last step that the permit has room for; by time, the moment within a step at
    which the clock shows that the permit is over.
    """
    room, ahead, bound, after = 4, timedelta(), 0.0, 0

    def clock() -> datetime:
        return now() + ahead

    gate, loop = _gate(workspace, model, room if by == "compute" else 100, passes, clock=clock), made.Loop(model)
    try:
        with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=output) as run:
            for step in range(100):
                if by == "time" and step == room:
                    bound, ahead = time.perf_counter(), timedelta(days=999)
                _step(loop, step, passes)
                after += step >= room
                if by == "compute" and step == room - 1:
                    bound = time.perf_counter()
                run.step_done()
    except Held:
        return after, time.perf_counter() - bound
    raise AssertionError("the run was not stopped")


def _gate(workspace: Any, model: Path, steps: int, passes: int, **settings: Any) -> Any:  # noqa: ANN401
    permit = made.permit(workspace, model, steps * passes)
    return made.gate(workspace, permit, model, tokens_per_step=made.TOKENS * passes, **settings)


def _step(loop: made.Loop, step: int, passes: int, done: Callable[[], Any] = lambda: None) -> None:
    for part in range(passes):
        loop.model(**made.batch(step * passes + part)).loss.backward()
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
