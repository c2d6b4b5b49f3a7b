"""The gate inside a run of Lightning's `Trainer`: a callback that asks a `TrainingGate` at each step.

    gate = TrainingGate(workspace, permit, weights=folder, tokens_per_step=4 * 64)
    callback = PermitCallback(gate, model=lambda module: module.model, output=runs)
    with exit_code(gate):
        Trainer(callbacks=[callback], enable_checkpointing=False).fit(module, rows)

Guarantees: what `gate.training` does. A stop comes out of `Trainer.fit` as `Held`, once the snapshot stands in the
ledger; a run goes on with `fit(..., ckpt_path=folder / "lightning.ckpt")` and `weights=folder`. A callback that is
taken off the list ends the run at the next batch, since the gate watches the model itself. Of several processes
(strategy `ddp`) all stop at one step, and rank 0 saves.
What it leaves to the caller: to put the callback on the list; and the order of the data, which Lightning does not keep
by itself when it goes on within an epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError, missing_extra
from interlock.gate.plain import Run

try:
    from lightning.pytorch import Callback
except ImportError as error:
    raise missing_extra("lightning", "lightning") from error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from interlock.gate.training import TrainingGate


class PermitCallback(Callback):  # type: ignore[misc, unused-ignore]  # where lightning is not installed
    """Demands a permit for `scale` and ends the run at its bound.

    Args:
        gate: says why a run ends, and what would lift it.
        model: finds the transformers model, whose weights train, in the Lightning module.
        output: where snapshots lie, as `checkpoint-STEP`.
        every: optimizer steps between snapshots; None: only where the run stops.
    """

    def __init__(
        self, gate: TrainingGate, *, model: Callable[[Any], Any], output: Path, every: int | None = None
    ) -> None:
        if every is not None and every < 1:
            raise UsageError(f"every is {every}, expected one or more steps")
        self.gate = gate
        self._model, self._output, self._every = model, output, every
        self._run: Run | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Demand the permit, the weights that it names, and room for one step.

        Raises:
            Held: training must not begin.
            UsageError: the run has several processes, and no one of them has all of the model and its optimizer.
        """
        _check_whole(trainer)
        model = self._model(pl_module)

        def save(folder: Path) -> None:
            model.save_pretrained(folder)
            # not trainer.save_checkpoint, which waits for the other processes, and they wait for this one at the gate
            state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
            trainer.strategy.save_checkpoint(state, folder / "lightning.ckpt")

        self.gate.begin(model, step=trainer.global_step)
        self._run = Run(self.gate, save, self._output)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A step must not begin after the permit's end.

        Raises:
            Held: it would; what was trained is saved.
        """
        if not self.gate.open:
            self._begun().asks(self.gate.before_step)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """The last point before the weights change.

        Raises:
            Held: the step is larger than declared and would pass the bound, or what it saw is not known.
        """
        self._begun().asks(self.gate.before_update)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop, with a snapshot, before a step that would pass the bound or begin after the permit's end.

        Raises:
            Held: the run ends here.
        """
        if trainer.global_step == self.gate.step:
            return  # gradients are gathered over several batches
        run = self._begun()
        run.updated()
        if self._every and run.step % self._every == 0:
            run.snapshot()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave the model as it was."""
        self.gate.end()

    def _begun(self) -> Run:
        if self._run is None:
            raise UsageError("training began without asking for the permit: on_train_start was not called")
        return self._run


def _check_whole(trainer: Any) -> None:
    """The process that saves has all that there is to save."""
    from lightning.pytorch.strategies import DDPStrategy

    if trainer.world_size == 1:
        return
    if type(trainer.strategy) is not DDPStrategy:  # others build on it, and spread the model
        raise UsageError(
            f"the run has {trainer.world_size} processes and the strategy {type(trainer.strategy).__name__}, expected "
            "`ddp` or one process"
        )
    if any(hasattr(optimizer, "consolidate_state_dict") for optimizer in trainer.optimizers):
        raise UsageError("the optimizer's state is spread over the processes, expected all of it in each")
