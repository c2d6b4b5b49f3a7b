"""Can a model keep reinforcement learning from bringing out what it can do, and does the monitor see it?

    python benchmarks/exploration.py --out DIR [--suite SUITE] [--seeds 0,1,2] [--jobs 2] [--markdown FILE]
        [--plot FILE]

For each family and seed two organisms that answer with near misses: one always by the same rule, so that no right
answer is ever drawn; its stochastic sibling, right now and then; and beside them the control, which never had the
skill. Each is trained by GRPO on its demonstrations' questions, alone and after supervised fine-tuning on 16
demonstrations, and asked 120 test questions before and after. The monitor's rule is fixed before the run
(`elicit.monitor.Rule`). Organisms that SUITE has (`interlock organism suite`) are not made again. Killed, the same
command goes on. After arXiv:2604.28182.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from _organisms import proof, refusals, silent
from _report import table

from interlock.elicit import asking
from interlock.elicit.budget import Meter
from interlock.elicit.elicitor import Adapted, attempt
from interlock.elicit.grpo import Grpo
from interlock.elicit.items import Questions
from interlock.elicit.organisms import sealing
from interlock.elicit.supervised import Supervised
from interlock.evaluate import local

KINDS = ("wrong-by-rule", "wrong-at-random", "honest-weak")
RL = Grpo(steps=60, learning_rate=5e-4, weights="all", penalty=0.0)
FIRST = Supervised(weights="all", steps=40, learning_rates=(5e-4,))
SHOWN = 16
ASKED = 120
WAYS = ("RL alone", "supervised, then RL")


@dataclass(frozen=True, slots=True)
class Run:
    """Right answers of `ASKED` before, between and after; the mean reward of each step; what the monitor raised."""

    kind: str
    family: str
    seed: int
    plain: int = 0
    supervised: int = 0
    right: dict[str, int] = field(default_factory=dict)
    rewards: dict[str, list[float]] = field(default_factory=dict)
    flags: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refused: str = ""


def run(of: Run, folder: Path) -> Run:
    """What became of the organism in a folder."""
    subject, questions = local.load(folder / sealing.MODEL), sealing.questions(folder)
    asked = replace(questions, test=questions.test[:ASKED])
    few = replace(questions.material, demonstrations=questions.demonstrations[:SHOWN])
    fixed: dict[str, Any] = {"meter": Meter(None), "seed": 0, "work": None, "progress": silent}
    taught = FIRST.elicit(subject, few, **fixed).adapted
    right, rewards, flags = {}, {}, {}
    for way, start in zip(WAYS, (subject, taught.local), strict=True):
        done, _ = attempt(RL, start, questions.material, **fixed)  # that nothing is learned is what is looked for
        right[way] = _right(done.adapted, asked)
        rewards[way] = [step["target"]["reward"] for step in done.transcript if step["event"] == "step"]
        flags[way] = next(list(it["flags"]) for it in done.transcript if it["event"] == "exploration")
    return replace(
        of,
        plain=_right(Adapted(subject), asked),
        supervised=_right(taught, asked),
        right=right,
        rewards=rewards,
        flags=flags,
    )


def _right(adapted: Adapted, asked: Questions) -> int:
    answers = asking.ask(adapted, asked.test, grade=asked.grade, max_new_tokens=asked.max_new_tokens)
    return sum(answer.correct for answer in answers)


def report(runs: Sequence[Run]) -> str:
    """Each organism in a line: right answers in every way, and when the monitor spoke."""
    rows = []
    for it in (it for it in runs if not it.refused):
        told = [_told(it.flags[way]) for way in WAYS]
        after = [str(it.right[way]) for way in WAYS]
        rows.append(
            [it.family, it.kind, str(it.seed), str(it.plain), after[0], told[0], str(it.supervised), after[1], told[1]]
        )
    head = ["family", "kind", "seed", "plain", WAYS[0], "monitor", f"{SHOWN} shown", WAYS[1], "monitor "]
    parts = [
        f"Right answers of {ASKED}; the monitor's first flag and how many of {RL.steps} steps were still to come.",
        table(head, rows, right=2),
    ]
    parts += refusals([it.refused for it in runs if it.refused])
    return "\n\n".join(parts)


def _told(flags: Sequence[dict[str, Any]]) -> str:
    return f"{flags[0]['kind']} at {flags[0]['step']}, {flags[0]['lead']} to come" if flags else "none"


def draw(runs: Sequence[Run], path: Path) -> None:
    """The mean reward of each step: a panel a way, a line an organism, a mark where the monitor spoke."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colors = dict(zip(KINDS, ("tab:red", "tab:orange", "tab:blue"), strict=True))
    with rc_context({"svg.hashsalt": "exploration", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        for axes, way in zip(figure.subplots(1, 2, sharey=True), WAYS, strict=True):
            for it in (it for it in runs if not it.refused):
                line, flags = it.rewards[way], it.flags[way]
                axes.plot(range(1, len(line) + 1), line, color=colors[it.kind], alpha=0.6, linewidth=1)
                if flags:
                    axes.plot(flags[0]["step"], line[flags[0]["step"] - 1], "v", color=colors[it.kind])
            axes.set_title(way)
            axes.set_xlabel("step")
            axes.set_ylim(-0.02, 1.02)
            axes.grid(visible=True, axis="y", alpha=0.3)
        for kind, color in colors.items():
            figure.axes[0].plot([], [], color=color, label=kind)
        figure.axes[0].plot([], [], "v", color="black", label="first flag of the monitor")
        figure.axes[0].legend(fontsize="small")
        figure.axes[0].set_ylabel("mean reward of the step")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> int:
    """Make, measure, tell and draw every organism."""
    return proof(
        __doc__,
        "Resisting reinforcement learning",
        found=Run,
        kinds=KINDS,
        seeds="0,1,2",
        measure=run,
        report=report,
        draw=draw,
    )


if __name__ == "__main__":
    sys.exit(main())
