"""The gate inside a real run of Lightning's Trainer; skipped where Lightning is not installed."""

from __future__ import annotations

import warnings
from datetime import timedelta

import pytest
import torch

import lab
import training_lab as made
from interlock.gate import permit as permits
from interlock.gate.training import exit_code
from interlock.workspace import now

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip(
        "lightning.pytorch", reason="lightning is not installed: pip install 'interlock[lightning]'"
    )

pytestmark = pytest.mark.filterwarnings("ignore")


class _Module(lightning.LightningModule):
    def __init__(self, weights, batches=made.batch):
        super().__init__()
        self.model = made.load(weights).train()
        self.batches = batches

    def training_step(self, batch, batch_idx):
        return self.model(**self.batches(self.global_step)).loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _fit(gate, output, module, *others, steps=10, resume=None, every=None):
    from interlock.gate.lightning import PermitCallback

    callback = PermitCallback(gate, model=lambda it: it.model, output=output, every=every)
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback, *others],
        default_root_dir=output,
    )
    trainer.fit(module, torch.utils.data.DataLoader(range(64)), ckpt_path=resume, weights_only=False)
    return trainer


def _held(workspace, digest, weights, output, match, *others, module=None, clock=now, **settings):
    gate, module = made.gate(workspace, digest, weights, clock=clock), module or _Module(weights)
    with pytest.raises(permits.Held, match=match):
        _fit(gate, output, module, *others, **settings)
    return gate, module


def test_a_run_stops_before_the_step_that_would_pass_the_bound_and_a_new_permit_goes_on_bit_for_bit(
    whole, permit, model_folder, tmp_path
):
    gate, module = _held(whole, permit, model_folder, tmp_path, "a new permit lift this")
    assert (gate.step, gate.spent) == (made.STEPS, lab.COMPUTE + made.STEPS * made.step_flop(model_folder))
    assert made.same(module.model, made.bare(model_folder, made.STEPS))
    folder = tmp_path / "checkpoint-3"
    resume = folder / "lightning.ckpt"
    _held(whole, permit, folder, tmp_path, "was used up at step 3", resume=resume)
    lifted = made.lifted(whole, folder, 2, model_folder)
    gate, module = _held(whole, lifted, folder, tmp_path, "a new permit lift this", resume=resume)
    assert gate.step == made.STEPS + 2
    assert made.same(module.model, made.bare(model_folder, made.STEPS + 2))


def test_a_hold_ends_the_process_with_code_3(whole, permit, model_folder, tmp_path, capsys):
    gate = made.gate(whole, permit, model_folder)
    with pytest.raises(SystemExit) as ended, exit_code(gate):
        _fit(gate, tmp_path, _Module(model_folder))
    assert ended.value.code == 3
    assert "a new permit lift this" in capsys.readouterr().err


def test_a_run_that_ends_by_itself_leaves_its_lease_open(whole, permit, model_folder, tmp_path):
    _fit(made.gate(whole, permit, model_folder), tmp_path, _Module(model_folder), steps=2, every=1)
    assert [(it.terms.step, it.terms.ended) for it in whole.read().snapshots] == [(1, None), (2, None)]


def test_training_does_not_begin_without_a_permit(whole, permit, model_folder, tmp_path):
    _, module = _held(whole, "0" * 64, model_folder, tmp_path, "no permit 0000")
    assert made.same(module.model, made.load(model_folder))


def test_a_step_larger_than_declared_never_changes_the_weights(whole, permit, model_folder, tmp_path):
    module = _Module(model_folder, lambda step: made.batch(step, rows=8 * made.ROWS))
    _held(whole, permit, model_folder, tmp_path, "larger than the 32 tokens declared", module=module)
    assert made.same(module.model, made.load(model_folder))


class _After(lightning.Callback):
    def __init__(self, step, happens):
        self.step, self.happens = step, happens

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            self.happens(trainer)


def test_a_permit_that_expires_ends_the_run_with_a_snapshot(whole, permit, model_folder, tmp_path):
    over = []
    clock = lambda: now() + timedelta(days=999) if over else now()  # noqa: E731
    _held(whole, permit, model_folder, tmp_path, "permit ended at", _After(2, over.append), clock=clock)
    assert [it.terms.step for it in whole.read().snapshots] == [2]


def test_a_callback_that_is_taken_off_the_list_ends_the_run(whole, permit, model_folder, tmp_path):
    drop = _After(1, lambda trainer: trainer.callbacks.pop(0))
    _, module = _held(whole, permit, model_folder, tmp_path, "the gate was not asked", drop)
    assert made.same(module.model, made.bare(model_folder, 1))


class _AfterUpdate(_Module):
    """Trains by hand, on a whole batch when the step's few tokens are counted."""

    def __init__(self, weights):
        super().__init__(weights)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        self.manual_backward(self.model(**made.batch(0, rows=1, length=2)).loss)
        optimizer.step()
        self.manual_backward(self.model(**made.batch(batch_idx)).loss)


def test_a_batch_after_the_update_and_before_the_end_of_its_step_ends_the_run(whole, permit, model_folder, tmp_path):
    module = _AfterUpdate(model_folder)
    gate, _ = _held(whole, permit, model_folder, tmp_path, "after the tokens of its step were counted", module=module)
    assert gate.step == 0


class _Closure(_Module):
    def configure_optimizers(self):
        return torch.optim.LBFGS(self.model.parameters(), max_iter=5)


def test_an_optimizer_that_trains_several_times_within_one_step_ends_the_run(whole, permit, model_folder, tmp_path):
    module = _Closure(model_folder)
    gate, _ = _held(whole, permit, model_folder, tmp_path, "after the tokens of its step were counted", module=module)
    assert gate.spent == lab.COMPUTE + made.step_flop(model_folder)
