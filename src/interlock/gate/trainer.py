"""The gate inside a Hugging Face training run: a `TrainerCallback` that asks a `TrainingGate` at each step.

Guarantees: what `gate.training` does, in a run of `transformers.Trainer`. A callback that is taken off the list while
the run is on ends it at the next batch, since the gate watches the model itself; one that tells the trainer to go on
after a stop ends it before the next step.
What it leaves to the caller: to put the callback on the list at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError, missing_extra
from interlock.gate import compiled, saving

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise missing_extra("local", "transformers") from error

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from interlock.gate.training import TrainingGate


class PermitCallback(TrainerCallback):
    """Demands a permit for `scale` and stops the run at its bound; `gate` says why, and what would lift it."""

    def __init__(self, gate: TrainingGate) -> None:
        self.gate = gate
        self._seen = 0
        self._trains = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Demand the permit, the weights that it names, and room for one step.

        Raises:
            Held: training must not begin.
            UsageError: the trainer does not count tokens, would not save a snapshot when told to, or would save it
                under other names.
        """
        _check_settings(args)
        if compiled.bare(kwargs["model"]) is not kwargs["model"]:
            raise UsageError(
                "the model is wrapped by torch.compile, and the Trainer would save its weights under names from which "
                "they cannot be loaded: give it the model itself, and torch_compile=True"
            )
        self.gate.begin(kwargs["model"], step=state.global_step)
        self._seen, self._trains = int(state.num_input_tokens_seen), True

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A step must not begin after the permit's end, whatever went on before it.

        Raises:
            Held: it would. What was trained since the last snapshot is not saved: nobody can tell the trainer to, here.
        """
        self.gate.before_step()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The last point before the weights change.

        Raises:
            Held: the step is larger than declared and would pass the bound, or what it saw is not known. As before a
                step, nothing is saved.
        """
        seen = int(state.num_input_tokens_seen)
        self.gate.before_update(seen - self._seen)
        self._seen = seen

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Stop, with a snapshot, before a step that would pass the bound or begin after the permit's end."""
        return _stopped(control) if self.gate.after_step() is not None else control

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Stop, with a snapshot, after an evaluation that took longer than the permit lasts: the trainer saves next."""
        between = self._trains and self.gate.trained and not self.gate.open
        return _stopped(control) if between and self.gate.between_steps() is not None else control

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Put the snapshot into the ledger, and decide again: a hold ends the run here."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        self.gate.together(lambda: None)  # every process has written its part: each keeps its own random state
        self.gate.together(lambda: saving.durable(folder) if self.gate.first else None)
        if self.gate.snapshot(folder) is not None:
            control.should_training_stop = True
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model as it was.

        Raises:
            Held: the run was stopped, and the trainer was kept from saving its last step.
        """
        self._trains = False
        self.gate.end()


def _stopped(control: TrainerControl) -> TrainerControl:
    """Have the trainer save, and stop."""
    control.should_save = True
    control.should_training_stop = True
    return control


def _check_settings(args: TrainingArguments) -> None:
    if args.include_num_input_tokens_seen != "all":
        raise UsageError("compute is not counted: set include_num_input_tokens_seen='all' in TrainingArguments")
    if args.save_strategy == "best":
        raise UsageError("save_strategy is `best`, which skips the snapshot of a stop; expected no, steps or epoch")
