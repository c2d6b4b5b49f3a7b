"""The gate around a training loop of one's own, in plain torch, in one process or in several.

    gate = TrainingGate(workspace, permit, weights=folder, tokens_per_step=4 * 64)
    with exit_code(gate), gated(model, optimizer, gate=gate, save=save, output=runs) as run:
        for batch in batches[run.step :]:
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            run.step_done()

`step_done` gives False where no update was asked for (a gradient scaler skipped it): the step goes on.

Guarantees: what `gate.training` does; a hold inside a step, before the weights change, comes out of the model's or the
optimizer's own call, whatever the loop does; every snapshot is written whole, and stands in the ledger.
What it leaves to the caller: one call of `step_done` when a step is over, all that belongs to it included (scheduler,
random state); and a `save` that writes what a resume needs. `model` is the bare one, also where the loop calls
`DistributedDataParallel(model)`; a wrapper of `torch.compile` is taken off.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError
from interlock.gate import compiled, saving
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from interlock.gate.training import TrainingGate

__all__ = ["Run", "gated"]


class Run:
    """A training run behind a gate."""

    def __init__(self, gate: TrainingGate, save: Callable[[Path], object], output: Path) -> None:
        self.gate = gate
        self._save_into = save
        self._output = output

    @property
    def step(self) -> int:
        """Optimizer steps so far, by the ledger at the start: where the data goes on."""
        return self.gate.step

    def step_done(self, loss: Any = None) -> bool:
        """Say that a step is over. `loss` is for the transcript, where it is not the model that computes it.

        Returns whether it is. False: its update was skipped, by a gradient scaler say, so that the step stays open; the
        tokens of the next are added to its own, and no snapshot is taken before an update.

        Raises:
            Held: the run ends here, with a snapshot that stands in the ledger; or the weights changed in this step and
                the one before, and the gate was asked in neither.
        """
        if self.gate.skipped():
            return False
        self.updated(loss)
        return True

    def updated(self, loss: Any = None) -> None:
        """Say that a step is over in which the weights have changed.

        Raises:
            Held: the gate was not asked before; or the run ends here, with a snapshot that stands in the ledger.
        """
        reason = self.gate.after_step(loss)
        if reason is not None:
            self._stop(reason)

    def snapshot(self) -> Path:
        """Save the model as it is, and put it into the ledger. Returns its folder. With any error the run ends here:
        no step begins any more, whoever catches it.

        Raises:
            Held: the rule holds by now, or it could not be saved.
            UsageError: there is no ledger any more.
            EvidenceError, LedgerError: it cannot be recorded, or a result's log is missing or altered.
        """
        folder = self._output / f"checkpoint-{self.step}"
        saved = self.gate.together(lambda: self._save(folder) if self.gate.first else folder)
        reason = self.gate.snapshot(saved)
        if reason is not None:
            raise Held(reason)
        return saved

    def asks(self, question: Callable[[], None]) -> None:
        """Ask the gate something within a step, before the weights change.

        Raises:
            Held: the run ends here; what was trained in the steps before is saved.
        """
        over = self.gate.ended is not None
        try:
            question()
        except Held as held:
            if over:
                raise
            self._stop(str(held))

    def _save(self, folder: Path) -> Path:
        try:
            return saving.whole(folder, self._save_into)
        except Exception as error:  # whatever a full disk makes of a save
            raise Held(
                f"the snapshot of step {self.step} cannot be saved ({error}); the ledger's last snapshot stands, and a "
                "run that starts from it with the same permit lifts this"
            ) from error

    def _stop(self, reason: str) -> None:
        """End the run; what was trained since the last snapshot is saved."""
        self.gate.stop(reason)
        if self.gate.trained:
            self.snapshot()
        raise Held(reason)

    def _before_update(self, optimizer: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        def question() -> None:
            _check_no_closure(positional, named)
            self.gate.before_update()

        self.asks(question)


def _before_each(optimizer: Any, question: Callable[..., None]) -> Any:
    """Have the optimizer ask before each update. Returns the hook.

    Raises:
        UsageError: it cannot.
    """
    try:
        return optimizer.register_step_pre_hook(compiled.hook(question))
    except AttributeError as error:  # a wrapper may have the method, and not what it stands on
        raise UsageError(
            f"the optimizer, a `{type(optimizer).__name__}`, takes no hook before its step, so that the gate would not "
            "be asked before the weights change; expected a torch.optim.Optimizer, without a wrapper around it"
        ) from error


def _check_no_closure(positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    if any(map(callable, positional)) or any(map(callable, named.values())):
        raise Held(
            "the optimizer is given a closure, and makes gradients within its own step, when its tokens are counted "
            "already; make them before, and call step() without one"
        )


@contextmanager
def gated(
    model: Any, optimizer: Any, *, gate: TrainingGate, save: Callable[[Path], object], output: Path
) -> Iterator[Run]:
    """A run of `model` behind `gate`, for as long as the block lasts.

    `save` fills an empty folder: the weights as a transformers folder, and whatever else a resume needs. Snapshots lie
    in `output`, as `checkpoint-STEP`.

    Raises:
        Held: training must not begin, or it ends here.
        UsageError: there is no ledger, or the optimizer takes no hook.
        EvidenceError, LedgerError: the ledger, or a result's log, cannot be relied on.
    """
    run = Run(gate, save, output)
    gate.begin(model, opens=lambda: run.asks(gate.before_step))
    try:
        gate.together(lambda: gate.keep(_before_each(optimizer, run._before_update)))
        yield run
    finally:
        gate.release()
