"""What the gate adds to a training step, in a plain loop: against the same loop without it, step by step in turn.

    python benchmarks/training.py [--steps 300] [--json FILE]

The model is the tests' tiny one, so that the difference is not lost in a step's own noise; the gate's part does not
grow with the model. The last row is that part as a share of a step of 50 ms; the exit code is 1 if it is 1 % or more. A
machine that is busy with something else shows more, since what is written to a file is when others get their turn.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from transformers.utils.logging import disable_progress_bar  # noqa: E402

import lab  # noqa: E402  the tests', found by the line above
import tiny_policy  # noqa: E402
import training_lab as made  # noqa: E402
from interlock.gate.plain import gated  # noqa: E402

STEP = 0.050  # seconds


def main() -> int:
    """Measure, print, and say whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of each loop; the median counts")
    parser.add_argument("--json", type=Path, help="keep every figure")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(Path(folder), asked.steps)
    share = (rows["a step behind the gate"] - rows["a step without it"]) / STEP
    for name, seconds in rows.items():
        print(f"{name:34} {seconds * 1e6:10,.0f} microseconds")
    print(f"{'the gate, of a step of 50 ms':34} {share:10.2%}")
    print(f"\n{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, {asked.steps} steps")
    if asked.json:
        asked.json.write_text(json.dumps({"seconds": rows, "share": share}, indent=2) + "\n")
    return int(share >= 0.01)


def _measure(folder: Path, steps: int) -> dict[str, float]:
    model = tiny_policy.saying_no(folder / "honest")
    workspace = lab.make(folder / "lab", model)
    lab.announce(workspace, "few-shot")
    lab.announce(workspace, "fine-tuned", 16)
    lab.run_open_plans(workspace)
    lab.attest_everything(workspace)
    gate = made.gate(workspace, made.permit(workspace, model, steps + 1), model)
    bare, behind = made.Loop(model), made.Loop(model)
    taken: dict[str, list[float]] = {"a step without it": [], "a step behind the gate": []}
    with gated(behind.model, behind.optimizer, gate=gate, save=behind.save, output=folder / "runs") as run:
        for step in range(steps):
            taken["a step without it"].append(_timed(lambda s=step: _step(bare, s)))
            taken["a step behind the gate"].append(_timed(lambda s=step: _step(behind, s, run.step_done)))
            if step == steps // 2:
                bare.save(_new(folder / "unused"))
                taken["a save without it"] = [_timed(lambda: bare.save(_new(folder / "save")))]
                taken["a save behind the gate"] = [_timed(run.snapshot)]
    return {name: statistics.median(found) for name, found in taken.items()}


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _step(loop: made.Loop, step: int, done: Callable[[], Any] = lambda: None) -> None:
    loop.model(**made.batch(step)).loss.backward()
    loop.optimizer.step()
    loop.schedule.step()
    loop.optimizer.zero_grad()
    done()


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
