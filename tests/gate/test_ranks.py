"""Two processes of one run (torch.distributed, gloo) behind the gate: they stop together, or hold."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

import lab
import ranks_lab as ranks
import training_lab as made
from interlock.errors import InterlockError
from interlock.gate import permit as permits
from interlock.gate.plain import Run, gated
from interlock.gate.training import TrainingGate
from interlock.workspace import now

SIZE = ranks.SIZE


@pytest.fixture
def permit(whole, model_folder):
    """A permit with room for three steps of both processes together, and a half."""
    return made.permit(whole, model_folder, 2 * made.STEPS)


def _share(rank):
    return lambda step: made.batch(SIZE * step + rank)


def _run(
    folder, weights, output, rank, *, gate=None, happens=made.nothing, steps=6, batches=None, every=0, compiled=False
):
    """One process: what held it, the step it came to, and its weights."""
    ranks.join(folder, rank)
    loop, held = made.Loop(weights), None
    loop.forward = DistributedDataParallel(loop.model)
    if compiled:
        loop.forward = torch.compile(loop.forward, backend="eager")
        loop.forward(**_share(rank)(0)).loss.backward()  # compiled before there is a gate
        loop.optimizer.zero_grad()
    batches = batches or _share(rank)
    try:
        if gate is None:
            for step in range(steps):
                loop.forward(**batches(step)).loss.backward()
                loop.optimizer.step()
                loop.schedule.step()
                loop.optimizer.zero_grad()
        else:
            loop.train(gate, output, steps=steps, happens=happens, batches=batches, every=every)
    except permits.Held as caught:
        held = str(caught)
    ranks.keep(folder, rank, loop.model)
    return {"held": held, "step": gate.step if gate else steps, "ended": gate.ended if gate else None}


def _gate(workspace, digest, weights, **settings):
    declared = {"tokens_per_step": SIZE * made.TOKENS, "patience": timedelta(seconds=20), **settings}
    return made.gate(workspace, digest, weights, **declared)


def _behind(folder, workspace, digest, weights, output, **settings):
    return ranks.two(
        folder,
        lambda rank: _run(folder, weights, output, rank, gate=_gate(workspace, digest, weights), **settings),
    )


def test_both_processes_stop_at_the_same_step_and_go_on_bit_for_bit(whole, permit, model_folder, tmp_path):
    said = _behind(tmp_path / "one", whole, permit, model_folder, tmp_path / "runs")
    assert [one["step"] for one in said] == [made.STEPS, made.STEPS], said
    assert all("a new permit lift this" in one["held"] for one in said)
    (snapshot,) = whole.read().snapshots
    assert snapshot.terms.compute == lab.COMPUTE + SIZE * made.STEPS * made.step_flop(model_folder)
    folder = tmp_path / "runs" / "checkpoint-3"
    lifted = made.lifted(whole, folder, 2 * SIZE, model_folder)
    said = _behind(tmp_path / "two", whole, lifted, folder, tmp_path / "runs")
    assert [one["step"] for one in said] == [5, 5], said
    ranks.two(tmp_path / "bare", lambda rank: _run(tmp_path / "bare", model_folder, None, rank, steps=5))
    for rank in range(SIZE):
        assert ranks.equal(ranks.weights(tmp_path / "two", rank), ranks.weights(tmp_path / "bare", rank))


def test_compiled_processes_are_counted_and_stopped_as_any_other(whole, permit, model_folder, tmp_path):
    said = _behind(tmp_path / "one", whole, permit, model_folder, tmp_path / "runs", compiled=True)
    assert [one.get("step") for one in said] == [made.STEPS, made.STEPS], said
    (snapshot,) = whole.read().snapshots
    assert snapshot.terms.compute == lab.COMPUTE + SIZE * made.STEPS * made.step_flop(model_folder)
    ranks.two(tmp_path / "bare", lambda rank: _run(tmp_path / "bare", model_folder, None, rank, steps=made.STEPS))
    for rank in range(SIZE):
        assert ranks.equal(ranks.weights(tmp_path / "one", rank), ranks.weights(tmp_path / "bare", rank))


def test_a_process_that_sees_another_permit_holds_all(whole, permit, model_folder, tmp_path):
    other = made.permit(whole, model_folder, 2 * made.STEPS + 2)
    folder = tmp_path / "one"

    def work(rank):
        gate = _gate(whole, other if rank else permit, model_folder)
        return _run(folder, model_folder, tmp_path / "runs", rank, gate=gate)

    said = ranks.two(folder, work)
    assert all("the processes differ in permit" in one["held"] for one in said), said
    assert not whole.read().snapshots


def test_a_process_that_has_no_permit_holds_all(whole, permit, model_folder, tmp_path):
    folder = tmp_path / "one"

    def work(rank):
        gate = _gate(whole, "0" * 64 if rank else permit, model_folder)
        return _run(folder, model_folder, tmp_path / "runs", rank, gate=gate)

    said = ranks.two(folder, work)
    assert said[0]["held"].startswith("rank 1: no permit 0000"), said
    assert said[1]["held"].startswith("no permit 0000")


def test_a_hold_in_one_process_stops_all_at_the_same_step_with_one_snapshot(whole, permit, model_folder, tmp_path):
    """The clock of rank 1 passes the permit's end in its second step."""
    folder, end = tmp_path / "one", permits.find(whole.read(), permit).terms.not_after

    def work(rank):
        over = []
        gate = _gate(whole, permit, model_folder, clock=lambda: end if over else now())
        happens = lambda step: over.append(step) if (rank, step) == (1, 2) else None  # noqa: E731
        return _run(folder, model_folder, tmp_path / "runs", rank, gate=gate, happens=happens)

    said = ranks.two(folder, work)
    assert [one["step"] for one in said] == [2, 2], said
    assert said[0]["held"].startswith("rank 1: the permit ended at")
    assert said[1]["held"].startswith("the permit ended at")
    (snapshot,) = whole.read().snapshots
    assert (snapshot.terms.step, snapshot.terms.ended) == (2, said[0]["held"])
    assert ranks.equal(ranks.weights(folder, 0), ranks.weights(folder, 1))


def test_a_sequence_that_is_too_long_in_one_process_changes_no_weight_in_any(whole, permit, model_folder, tmp_path):
    folder = tmp_path / "one"

    def work(rank):
        def batches(step):
            long = (rank, step) == (1, 1)
            return made.batch(step, rows=1, length=made.TOKENS) if long else _share(rank)(step)

        gate = _gate(whole, permit, model_folder)
        return _run(folder, model_folder, tmp_path / "runs", rank, gate=gate, batches=batches)

    said = ranks.two(folder, work)
    assert [one["step"] for one in said] == [1, 1], said
    assert all("a sequence has 32 tokens" in one["held"] for one in said)
    assert ranks.equal(ranks.weights(folder, 0), made.load(tmp_path / "runs" / "checkpoint-1").state_dict())
    assert ranks.equal(ranks.weights(folder, 1), ranks.weights(folder, 0))


def test_a_snapshot_that_cannot_be_recorded_ends_the_run_in_each_process_whoever_catches_the_error(
    whole, permit, model_folder, tmp_path
):
    """Rank 0 finds a log gone; there is room for one step more."""
    (name, _), *_ = next(iter(whole.read().results.values())).files

    def work(rank):
        ranks.join(tmp_path / "one", rank)
        loop, gate, caught = made.Loop(model_folder), _gate(whole, permit, model_folder), []
        loop.forward = DistributedDataParallel(loop.model)

        def lose(step):
            if (rank, step) == (0, 2):
                (whole.folder / name).unlink()

        with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path / "runs") as run:
            for step in range(made.STEPS):
                try:
                    loop.forward(**_share(rank)(step)).loss.backward()
                    loop.optimizer.step()
                    loop.optimizer.zero_grad()
                    run.step_done()
                    lose(run.step)
                    run.snapshot()
                except InterlockError as error:
                    caught.append([error.exit_code, gate.ended])
        return {"caught": caught, "step": gate.step}

    said = ranks.two(tmp_path / "one", work)
    assert [one.get("step") for one in said] == [2, 2], said
    assert [[code for code, _ in one["caught"]] for one in said] == [[4, 3], [3, 3]], said
    assert all(ended.removeprefix("rank 0: ").startswith("the log of") for one in said for _, ended in one["caught"])
    assert [(it.terms.step, it.terms.ended) for it in whole.read().snapshots] == [(1, None)]


def test_batches_after_the_update_are_not_free_in_any_process(whole, permit, model_folder, tmp_path):
    def work(rank):
        ranks.join(tmp_path / "one", rank)
        loop, gate, held = made.Loop(model_folder), _gate(whole, permit, model_folder), []
        loop.forward = DistributedDataParallel(loop.model)

        def more(step):
            try:
                loop.forward(**_share(rank)(step))
            except permits.Held as caught:
                held.append(str(caught))

        with pytest.raises(permits.Held):
            loop.train(gate, tmp_path / "runs", happens=more)
        return {"held": held, "step": gate.step}

    said = ranks.two(tmp_path / "one", work)
    assert [one["step"] for one in said] == [1, 1], said
    assert all("after the tokens of its step were counted" in one["held"][0] for one in said), said


@pytest.mark.parametrize("lost", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stuck"])
def test_a_process_that_is_gone_or_stuck_is_a_hold_for_the_other_after_a_bounded_wait(
    whole, permit, model_folder, tmp_path, lost
):
    """Rank 1 does not come to the exchange at the end of its second step."""
    folder, pid = tmp_path / "one", tmp_path / "pid"

    def work(rank):
        def happens(step):
            if (rank, step) == (1, 2):
                pid.write_text(str(os.getpid()))
                os.kill(os.getpid(), lost)

        gate = _gate(whole, permit, model_folder, patience=timedelta(seconds=2))
        try:
            return _run(folder, model_folder, tmp_path / "runs", rank, gate=gate, happens=happens)
        finally:
            if rank == 0 and lost == signal.SIGSTOP:
                os.kill(int(pid.read_text()), signal.SIGKILL)

    said = ranks.two(folder, work)
    assert said[1] is None
    assert "did not answer within 2 seconds, or is gone" in said[0]["held"], said


def _kill(moment):
    """Have this process be killed at its second snapshot; patched in the fork alone."""
    save, snapshot, record = made.Loop.save, Run.snapshot, TrainingGate.snapshot

    def half(loop, folder):
        save(loop, folder)
        if folder.name == ".checkpoint-2.partial":
            (folder / "model.safetensors").write_bytes(b"half")
            ranks.die()

    if moment == "before the save":
        Run.snapshot = lambda run: ranks.die() if run.step == 2 else snapshot(run)
    elif moment == "in the save":
        made.Loop.save = half
    else:
        TrainingGate.snapshot = lambda of, at: ranks.die() if of.step == 2 else record(of, at)


@pytest.mark.parametrize(
    ("moment", "victim"),
    [("before the save", 0), ("before the save", 1), ("in the save", 0), ("after the save", 0), ("after the save", 1)],
)
def test_a_process_that_is_killed_around_a_save_holds_the_other_and_loses_no_snapshot(
    whole, permit, model_folder, tmp_path, moment, victim
):
    runs = tmp_path / "runs"

    def work(rank):
        if rank == victim:
            _kill(moment)
        return _run(tmp_path / "one", model_folder, runs, rank, gate=_gate(whole, permit, model_folder), every=1)

    said = ranks.two(tmp_path / "one", work)
    assert said[victim] is None
    assert "did not answer within 20 seconds, or is gone" in said[1 - victim].get("held", ""), said
    # rank 0 records, so that a snapshot of which rank 1 does not hear any more stands all the same
    last = 2 if (moment, victim) == ("after the save", 1) else 1
    assert [(it.terms.step, it.terms.ended) for it in whole.read().snapshots] == [(n, None) for n in range(1, last + 1)]
    for found in runs.glob("checkpoint-*"):
        made.load(found)  # nothing that has its name is half written
    said = _behind(tmp_path / "two", whole, permit, runs / f"checkpoint-{last}", runs)
    assert [one.get("step") for one in said] == [made.STEPS, made.STEPS], said
    ranks.two(tmp_path / "bare", lambda rank: _run(tmp_path / "bare", model_folder, None, rank, steps=made.STEPS))
    for rank in range(SIZE):
        assert ranks.equal(ranks.weights(tmp_path / "two", rank), ranks.weights(tmp_path / "bare", rank))


@pytest.mark.parametrize("at", [0, 1], ids=["before the first step", "between two steps"])
def test_processes_that_are_joined_after_training_began_hold(whole, permit, model_folder, tmp_path, at):
    """Each began alone, and would be bounded alone: together they would train twice as much."""

    def work(rank):
        loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
        held = "went through"
        with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path / str(rank)) as run:
            try:
                for step in range(at + 1):
                    if step == at:
                        ranks.join(tmp_path / "one", rank)
                    loop.model(**_share(rank)(step)).loss.backward()
                    loop.optimizer.step()
                    loop.optimizer.zero_grad()
                    run.step_done()
            except permits.Held as caught:
                held = str(caught)
        return {"held": held, "step": gate.step}

    said = ranks.two(tmp_path / "one", work)
    assert [one.get("step") for one in said] == [at, at], said
    assert all(
        one["held"].startswith("torch.distributed has 2 processes, and the run began as one of 1") for one in said
    )


def test_an_optimizer_that_cannot_ask_in_one_process_begins_nothing_in_any(whole, permit, model_folder, tmp_path):
    def work(rank):
        ranks.join(tmp_path / "one", rank)
        loop, gate = made.Loop(model_folder), _gate(whole, permit, model_folder)
        optimizer = object() if rank else loop.optimizer
        try:
            with gated(loop.model, optimizer, gate=gate, save=loop.save, output=tmp_path / "runs"):
                return {"held": "it began"}
        except InterlockError as error:
            return {"held": str(error), "code": error.exit_code}

    said = ranks.two(tmp_path / "one", work)
    assert [one.get("code") for one in said] == [3, 2], said
    assert said[0]["held"].startswith("rank 1: the optimizer, a `object`, takes no hook")


def test_tokens_of_every_process_count_in_the_snapshot_of_a_step_that_was_cut_short(
    whole, permit, model_folder, tmp_path
):
    def work(rank):
        ranks.join(tmp_path / "one", rank)
        loop, gate, held = made.Loop(model_folder), _gate(whole, permit, model_folder), []
        loop.forward = DistributedDataParallel(loop.model)
        with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path / "runs") as run:
            loop.forward(**_share(rank)(0)).loss.backward()
            for _ in range(2):
                try:
                    run.snapshot()
                except permits.Held as caught:
                    held.append(str(caught))
        return {"held": held}

    said = ranks.two(tmp_path / "one", work)
    assert all("a snapshot is taken within a step" in held for one in said for held in one["held"]), said
    assert [len(one["held"]) for one in said] == [2, 2]
    (snapshot,) = whole.read().snapshots
    assert snapshot.terms.compute == lab.COMPUTE + SIZE * made.step_flop(model_folder)
