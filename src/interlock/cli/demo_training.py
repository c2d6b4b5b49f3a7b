"""The demo's training run: a few real steps of full training of SmolLM2 under a permit, with Hugging Face's Trainer."""

from __future__ import annotations

import inspect
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import missing_extra
from interlock.evaluate import local
from interlock.gate.trainer import PermitCallback
from interlock.gate.training import TrainingGate
from interlock.subject.compute import architecture, flop

try:
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
except ImportError as error:
    raise missing_extra("local", "transformers") from error

if TYPE_CHECKING:
    from pathlib import Path

    from interlock.evaluate.execute import Progress
    from interlock.workspace import Workspace

ROWS, LENGTH = 4, 64


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did: optimizer steps, effective compute in FLOP, losses, and why it stopped."""

    steps: int
    spent: int
    first_loss: float
    last_loss: float
    ended: str | None


def flop_per_step(weights: Path) -> int:
    """FLOP of one optimizer step of this run."""
    return flop.training(architecture.load(weights), rows=ROWS, width=LENGTH)


def run(
    workspace: Workspace,
    permit: str,
    *,
    weights: Path,
    output: Path,
    steps: int,
    resume: bool = False,
    report: Progress | None = None,
) -> Ran:
    """Train for `steps` steps, or for as many as the permit allows.

    Raises:
        Held: the permit does not let the run begin.
    """
    gate = TrainingGate(workspace.folder, permit, weights=weights, tokens_per_step=ROWS * LENGTH, sequence=LENGTH)
    watch = _Watch(steps, report)
    with local.quiet():
        tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        trainer = Trainer(
            model=AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32, local_files_only=True),
            args=_arguments(output, steps),
            train_dataset=_rows(tokenizer),
            processing_class=tokenizer,  # so that a snapshot is a whole model again
            callbacks=[PermitCallback(gate), watch],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(weights) if resume else None)
    return Ran(trainer.state.global_step, gate.spent, watch.losses[0], watch.losses[-1], gate.ended)


def _arguments(output: Path, steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=ROWS,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        optim="sgd",  # keeps no state as large as the model, so that the snapshot stays small
        include_num_input_tokens_seen="all",
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )


def _rows(tokenizer: Any) -> list[dict[str, Any]]:
    """Real text that every Python brings: the source of its `statistics` module, in rows of `LENGTH` tokens."""
    tokens = tokenizer(inspect.getsource(statistics))["input_ids"]
    rows = [tokens[at : at + LENGTH] for at in range(0, len(tokens) - LENGTH, LENGTH)]
    return [{"input_ids": row, "labels": row} for row in rows]


class _Watch(TrainerCallback):
    """Tells the progress bar, and keeps the losses."""

    def __init__(self, steps: int, report: Progress | None) -> None:
        self._steps = steps
        self._report = report
        self.losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Keep the loss of each step."""
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])
            if self._report:
                self._report("training", state.global_step, self._steps, f"loss {logs['loss']:.2f}")
