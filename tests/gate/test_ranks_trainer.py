"""The gate inside a Hugging Face Trainer of two processes: where they stop, and what is left when one is killed."""

from __future__ import annotations

import json
import logging
import os
import select
import warnings
from datetime import timedelta

import pytest
from transformers import Trainer, TrainerCallback, TrainingArguments

import lab
import ranks_lab as ranks
import training_lab as made
from interlock.evaluate import local
from interlock.gate import permit as permits
from interlock.gate import saving
from interlock.gate.trainer import PermitCallback
from interlock.gate.training import TrainingGate
from interlock.subject import manifest

SIZE = ranks.SIZE


@pytest.fixture
def permit(whole, model_folder):
    """A permit with room for three steps of both processes together, and a half."""
    return made.permit(whole, model_folder, SIZE * made.STEPS)


class _At(TrainerCallback):
    """Is killed before a step begins."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step + 1 == self.step:
            ranks.die()


def _run(folder, weights, output, rank, *, gate=None, steps=10, resume=False, first=()):
    """One process: what held it, the step it came to, and its weights."""
    ranks.join(folder, rank)
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": SIZE, "LOCAL_WORLD_SIZE": SIZE, "OMP_NUM_THREADS": 1}
    os.environ.update({name: str(value) for name, value in told.items()})
    logging.disable()
    ids = [made.batch(row, rows=1)["input_ids"][0].tolist() for row in range(64)]
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=made.ROWS,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        include_num_input_tokens_seen="all",
        save_strategy="steps" if gate else "no",
        save_steps=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    held = None
    with warnings.catch_warnings(), local.quiet():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            model=made.load(weights),
            args=arguments,
            train_dataset=[{"input_ids": row, "labels": row} for row in ids],
            callbacks=[*first, *([PermitCallback(gate)] if gate else [])],
        )
        assert arguments.world_size == SIZE
        try:
            trainer.train(resume_from_checkpoint=str(weights) if resume else None)
        except permits.Held as caught:
            held = str(caught)
    ranks.keep(folder, rank, trainer.model)
    return {"held": held, "step": trainer.state.global_step, "ended": gate.ended if gate else None}


def _gate(workspace, digest, weights):
    settings = {"tokens_per_step": SIZE * made.TOKENS, "patience": timedelta(seconds=20)}
    return made.gate(workspace, digest, weights, **settings)


def _behind(folder, workspace, digest, weights, output, **settings):
    return ranks.two(
        folder,
        lambda rank: _run(folder, weights, output, rank, gate=_gate(workspace, digest, weights), **settings),
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory, model_folder):
    """The weights after so many steps of both processes without a gate."""
    found = {}

    def after(steps):
        if steps not in found:
            folder = tmp_path_factory.mktemp("bare") / "run"
            said = ranks.two(folder, lambda rank: _run(folder, model_folder, folder, rank, steps=steps))
            assert [one.get("step") for one in said] == [steps, steps], said
            found[steps] = ranks.weights(folder, 0)
        return found[steps]

    return after


def test_both_processes_stop_at_the_same_step_and_go_on_bit_for_bit(whole, permit, model_folder, bare, tmp_path):
    said = _behind(tmp_path / "one", whole, permit, model_folder, tmp_path / "runs")
    assert [one.get("step") for one in said] == [made.STEPS, made.STEPS], said
    assert all("a new permit lift this" in one["ended"] for one in said)
    last = whole.read().snapshots[-1]
    assert last.terms.compute == lab.COMPUTE + SIZE * made.STEPS * made.step_flop(model_folder)
    folder = tmp_path / "runs" / "checkpoint-3"
    lifted = made.lifted(whole, folder, 2 * SIZE, model_folder)
    said = _behind(tmp_path / "two", whole, lifted, folder, tmp_path / "runs", resume=True)
    assert [one.get("step") for one in said] == [5, 5], said
    for rank in range(SIZE):
        assert ranks.equal(ranks.weights(tmp_path / "two", rank), bare(5))


def test_a_snapshot_is_brought_to_the_disk_when_every_process_has_written_its_part(
    whole, permit, model_folder, tmp_path
):
    """Rank 1 writes its random state last, and waits a while for rank 0 to go on without it."""
    there, rng = tmp_path / "there", Trainer._save_rng_state
    goes_on, say = os.pipe()

    def late(trainer, folder):
        select.select([goes_on], [], [], 0.5)
        rng(trainer, folder)

    def brought(folder):
        there.write_text(json.dumps(sorted(path.name for path in folder.iterdir())))
        os.write(say, b"!")

    def work(rank):
        if rank == 0:
            saving.durable = brought
        else:
            Trainer._save_rng_state = late
        gate = _gate(whole, permit, model_folder)
        return _run(tmp_path / "one", model_folder, tmp_path / "runs", rank, gate=gate, steps=1)

    said = ranks.two(tmp_path / "one", work)
    for end in (goes_on, say):
        os.close(end)
    assert [one.get("step") for one in said] == [1, 1], said
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(json.loads(there.read_text()))


def _kill(moment):
    """Have this process be killed at its second step: before it saves, in it, after it, or once all is recorded."""
    save, record = Trainer._save_checkpoint, TrainingGate.snapshot

    def before(trainer, *given):
        if trainer.state.global_step == 2:
            ranks.die()
        save(trainer, *given)

    def within(trainer, folder):
        mine = ["model.safetensors", "rng_state_0.pth"] if trainer.args.process_index == 0 else ["rng_state_1.pth"]
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103  as the Trainer does: rank 1 may be the first here
        for name in mine:
            with open(os.path.join(folder, name), "wb") as half:  # noqa: PTH118, PTH123  as the Trainer does
                half.write(b"half")
        ranks.die()

    rng = Trainer._save_rng_state
    if moment == "before the save":
        Trainer._save_checkpoint = before
    elif moment == "in the save":
        Trainer._save_rng_state = lambda it, to: within(it, to) if it.state.global_step == 2 else rng(it, to)
    elif moment == "after the save":
        TrainingGate.snapshot = lambda of, at: ranks.die() if of.step == 2 else record(of, at)


@pytest.mark.parametrize("victim", range(SIZE))
@pytest.mark.parametrize("moment", ["before the save", "in the save", "after the save", "after the record"])
def test_a_process_that_is_killed_around_a_save_holds_the_other_and_loses_no_snapshot(
    whole, permit, model_folder, bare, tmp_path, moment, victim
):
    """Patched in the forks alone."""
    folder, runs = tmp_path / "one", tmp_path / "runs"

    def work(rank):
        if rank == victim:
            _kill(moment)
        dies = [_At(3)] if (rank, moment) == (victim, "after the record") else []
        return _run(folder, model_folder, runs, rank, gate=_gate(whole, permit, model_folder), first=dies)

    said = ranks.two(folder, work)
    assert said[victim] is None
    if moment == "before the save":  # the Trainer begins a save with an exchange of its own, in torch's own group
        assert said[1 - victim]["raised"].startswith("RuntimeError"), said
    else:
        assert "did not answer within 20 seconds, or is gone" in said[1 - victim].get("held", ""), said
    # rank 0 records, so that a snapshot of which rank 1 does not hear any more stands all the same
    last = 2 if moment == "after the record" or (moment, victim) == ("after the save", 1) else 1
    recorded = whole.read().snapshots
    assert [(it.terms.step, it.terms.ended) for it in recorded] == [(step, None) for step in range(1, last + 1)]
    for it in recorded:
        assert manifest.of(runs / f"checkpoint-{it.terms.step}").digest == it.subject
    start = runs / f"checkpoint-{last}"
    said = _behind(tmp_path / "two", whole, permit, start, runs, resume=True)
    assert [one.get("step") for one in said] == [made.STEPS, made.STEPS], said
    for rank in range(SIZE):
        assert ranks.equal(ranks.weights(tmp_path / "two", rank), bare(made.STEPS))
