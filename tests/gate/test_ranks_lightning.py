"""The gate inside a run of Lightning's Trainer of two processes; skipped where Lightning is not installed."""

from __future__ import annotations

import logging
import os
import warnings
from datetime import timedelta

import pytest
import torch

import lab
import ranks_lab as ranks
import training_lab as made
from interlock.evaluate import local
from interlock.gate import permit as permits
from interlock.gate.plain import Run
from interlock.gate.training import TrainingGate
from interlock.subject import manifest
from interlock.workspace import now

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    lightning = pytest.importorskip(
        "lightning.pytorch", reason="lightning is not installed: pip install 'interlock[lightning]'"
    )

SIZE = ranks.SIZE


@pytest.fixture
def permit(whole, model_folder):
    """A permit with room for three steps of both processes together, and a half."""
    return made.permit(whole, model_folder, SIZE * made.STEPS)


class _Module(lightning.LightningModule):
    def __init__(self, weights, rank, optimizer):
        super().__init__()
        self.model = made.load(weights).train()
        self.rank, self.optimizer = rank, optimizer

    def training_step(self, batch, batch_idx):
        return self.model(**made.batch(SIZE * self.global_step + self.rank)).loss

    def configure_optimizers(self):
        optimizer = self.optimizer(self.model.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _run(folder, weights, output, rank, *, gate=None, steps=10, resume=None, every=None, optimizer=torch.optim.AdamW):
    """One process: what held it, the step it came to, and its weights."""
    from interlock.gate.lightning import PermitCallback

    ranks.join(folder, rank)
    told = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": SIZE, "MASTER_PORT": 1}  # they have met already
    os.environ.update({name: str(value) for name, value in told.items()})
    logging.disable()
    held = None
    with warnings.catch_warnings(), local.quiet():
        warnings.simplefilter("ignore")
        module = _Module(weights, rank, optimizer)
        callback = [PermitCallback(gate, model=lambda it: it.model, output=output, every=every)] if gate else []
        trainer = lightning.Trainer(
            max_steps=steps,
            accelerator="cpu",
            devices=SIZE,
            strategy="ddp",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callback,
            default_root_dir=output,
        )
        assert trainer.world_size == SIZE
        try:
            trainer.fit(module, torch.utils.data.DataLoader(range(64)), ckpt_path=resume, weights_only=False)
        except permits.Held as caught:
            held = str(caught)
    ranks.keep(folder, rank, module.model)
    return {"held": held, "step": gate.step if gate else trainer.global_step}


def _behind(folder, workspace, digest, weights, output, *, clock=lambda rank: now, **settings):
    declared = {"tokens_per_step": SIZE * made.TOKENS, "patience": timedelta(seconds=20)}

    def work(rank):
        gate = made.gate(workspace, digest, weights, clock=clock(rank), **declared)
        return _run(folder, weights, output, rank, gate=gate, **settings)

    return ranks.two(folder, work)


def test_both_processes_stop_at_the_same_step_and_go_on_bit_for_bit(whole, permit, model_folder, tmp_path):
    said = _behind(tmp_path / "one", whole, permit, model_folder, tmp_path / "runs")
    assert [one.get("step") for one in said] == [made.STEPS, made.STEPS], said
    assert all("a new permit lift this" in one["held"] for one in said)
    (snapshot,) = whole.read().snapshots
    assert snapshot.terms.compute == lab.COMPUTE + SIZE * made.STEPS * made.step_flop(model_folder)
    folder = tmp_path / "runs" / "checkpoint-3"
    assert snapshot.subject == manifest.of(folder).digest
    resume = folder / "lightning.ckpt"
    said = _behind(tmp_path / "again", whole, permit, folder, tmp_path / "runs", resume=resume)
    assert all("was used up at step 3" in one["held"] for one in said), said
    lifted = made.lifted(whole, folder, 2 * SIZE, model_folder)
    said = _behind(tmp_path / "two", whole, lifted, folder, tmp_path / "runs", resume=resume)
    assert [one.get("step") for one in said] == [5, 5], said
    ranks.two(tmp_path / "bare", lambda rank: _run(tmp_path / "bare", model_folder, tmp_path, rank, steps=5))
    for rank in range(SIZE):
        assert ranks.equal(ranks.weights(tmp_path / "two", rank), ranks.weights(tmp_path / "bare", rank))


def test_a_hold_in_one_process_stops_all_at_the_same_step(whole, permit, model_folder, tmp_path):
    """The clock of rank 1 passes the permit's end once the second snapshot is there."""
    end, second = permits.find(whole.read(), permit).terms.not_after, tmp_path / "runs" / "checkpoint-2"

    def clock(rank):
        return lambda: end if rank == 1 and second.exists() else now()

    said = _behind(tmp_path / "one", whole, permit, model_folder, tmp_path / "runs", clock=clock, every=1)
    assert [one.get("step") for one in said] == [2, 2], said
    assert said[0]["held"].startswith("rank 1: the permit ended at")
    assert [it.terms.step for it in whole.read().snapshots] == [1, 2]
    assert ranks.equal(ranks.weights(tmp_path / "one", 0), ranks.weights(tmp_path / "one", 1))


@pytest.mark.parametrize("victim", range(SIZE))
def test_a_process_that_is_killed_at_a_save_holds_the_other_and_loses_no_snapshot(
    whole, permit, model_folder, tmp_path, victim
):
    """Rank 0 once it has saved its second snapshot, rank 1 while that is saved; patched in the forks alone."""
    runs, snapshot, record = tmp_path / "runs", Run.snapshot, TrainingGate.snapshot

    def kill(rank):
        if rank == victim == 0:
            TrainingGate.snapshot = lambda of, at: ranks.die() if of.step == 2 else record(of, at)
        elif rank == victim:
            Run.snapshot = lambda run: ranks.die() if run.step == 2 else snapshot(run)
        return now

    said = _behind(tmp_path / "one", whole, permit, model_folder, runs, clock=kill, every=1)
    assert said[victim] is None
    assert "did not answer within 20 seconds, or is gone" in said[1 - victim].get("held", ""), said
    assert [it.terms.step for it in whole.read().snapshots] == [1]
    start = runs / "checkpoint-1"
    said = _behind(tmp_path / "two", whole, permit, start, runs, resume=start / "lightning.ckpt")
    assert [one.get("step") for one in said] == [made.STEPS, made.STEPS], said
    assert whole.read().snapshots[-1].subject == manifest.of(runs / "checkpoint-3").digest


def test_an_optimizer_that_is_spread_over_the_processes_is_refused(whole, permit, model_folder, tmp_path):
    """Rank 0 alone could not save it."""

    def spread(parameters, **settings):
        from torch.distributed.optim import ZeroRedundancyOptimizer  # warns

        return ZeroRedundancyOptimizer(parameters, optimizer_class=torch.optim.AdamW, **settings)

    said = _behind(tmp_path / "one", whole, permit, model_folder, tmp_path / "runs", optimizer=spread)
    assert all("the optimizer's state is spread" in one["raised"] for one in said), said
    assert not whole.read().snapshots
