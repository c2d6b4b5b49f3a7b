"""The gate around a plain torch loop: the bound, and what goes on bit for bit after it."""

from __future__ import annotations

import errno
import mmap
import multiprocessing
import os
import re
import shutil
import signal
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import lab
import training_lab as made
from interlock.cli.subjects import register
from interlock.errors import EvidenceError, InterlockError, LedgerError, UsageError
from interlock.gate import admission, saving, training
from interlock.gate import permit as permits
from interlock.gate.narrowing import Less, narrow
from interlock.gate.plain import gated
from interlock.gate.training import TrainingGate, exit_code
from interlock.ledger import _disk, seen
from interlock.policy.load import loads
from interlock.subject import manifest
from interlock.workspace import Place, Workspace, now
from ledger.ledgers import held_by_a_stopped_process

pytestmark = pytest.mark.usefixtures("one_thread")

# -- the bound ---------------------------------------------------------------------------------------------------------


def test_a_run_stops_before_the_step_that_would_pass_the_bound_and_a_new_permit_goes_on_bit_for_bit(
    whole, permit, model_folder, tmp_path
):
    takes, runs = made.step_flop(model_folder), tmp_path / "runs"
    gate, loop = made.held(whole, permit, model_folder, runs, "evaluations of the snapshot and a new permit lift this")
    assert (gate.step, gate.spent) == (made.STEPS, lab.COMPUTE + made.STEPS * takes)
    (snapshot,) = whole.read().snapshots
    folder = runs / f"checkpoint-{made.STEPS}"
    assert snapshot.subject == manifest.of(folder).digest
    assert (snapshot.terms.step, snapshot.terms.compute, snapshot.terms.ended) == (gate.step, gate.spent, gate.ended)
    assert made.same(loop.model, made.bare(model_folder, made.STEPS))
    made.held(whole, permit, folder, runs, "was used up at step 3")
    lifted = made.lifted(whole, folder, 2, model_folder)
    resumed, loop = made.held(whole, lifted, folder, runs, "a new permit lift this")
    assert resumed.step == made.STEPS + 2
    assert made.same(loop.model, made.bare(model_folder, made.STEPS + 2))
    assert made.same(made.load(runs / "checkpoint-5"), loop.model)


def test_a_hold_ends_the_process_with_code_3_and_says_what_lifts_it(whole, permit, model_folder, tmp_path, capsys):
    gate, loop = made.gate(whole, permit, model_folder), made.Loop(model_folder)
    with pytest.raises(SystemExit) as ended, exit_code(gate):
        loop.train(gate, tmp_path)
    assert ended.value.code == 3
    assert capsys.readouterr().err.endswith(f"hold: {gate.ended}\n")
    assert "evaluations of the snapshot and a new permit lift this" in gate.ended


def test_a_run_that_ends_by_itself_leaves_its_lease_open(whole, permit, model_folder, tmp_path):
    gate = made.gate(whole, permit, model_folder)
    with exit_code(gate):
        made.Loop(model_folder).train(gate, tmp_path, steps=2, every=1)
    assert [(it.step, it.ended) for it in made.terms(whole)] == [(1, None), (2, None)]
    made.held(whole, permit, tmp_path / "checkpoint-2", tmp_path, "evaluations")
    assert made.terms(whole)[-1].step == made.STEPS


def test_a_loop_that_catches_the_hold_changes_no_weight_after_it(whole, permit, model_folder, tmp_path):
    loop, gate, held = made.Loop(model_folder), made.gate(whole, permit, model_folder), 0
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        for step in range(6):
            try:
                loop.model(**made.batch(step)).loss.backward()
                loop.optimizer.step()
                loop.schedule.step()
                loop.optimizer.zero_grad()
                run.step_done()
            except permits.Held:
                held += 1
        with pytest.raises(permits.Held):
            loop.optimizer.step()
    assert held == 4
    assert made.same(loop.model, made.bare(model_folder, made.STEPS))


def test_a_step_that_nobody_said_was_over_is_the_last(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        loop.model(**made.batch(0)).loss.backward()
        loop.optimizer.step()
        with pytest.raises(permits.Held, match="the weights have changed already in this step"):
            loop.optimizer.step()


def test_a_second_update_on_the_same_gradients_is_not_free(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        loop.model(**made.batch(0)).loss.backward()
        loop.optimizer.step()
        run.step_done()
        with pytest.raises(permits.Held, match="did not let begin"):
            loop.optimizer.step()
    assert made.same(loop.model, made.bare(model_folder, 1))


PROBE = {"input_ids": torch.tensor([[5, 6]]), "labels": torch.tensor([[5, 6]])}


def test_batches_between_the_update_and_the_end_of_its_step_are_not_free(whole, permit, model_folder, tmp_path):
    """Two tokens are counted, and the gradients of a whole batch, made after that, are applied in the next step."""
    loop, gate, seen = made.Loop(model_folder), made.gate(whole, permit, model_folder), []
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        loop.model.register_forward_hook(lambda *_: seen.append(1))  # after the gate's own
        loop.model(**PROBE).loss.backward()
        loop.optimizer.step()
        with pytest.raises(permits.Held, match="after the tokens of its step were counted"):
            loop.model(**made.batch(0)).loss.backward()
        assert len(seen) == 1
        with pytest.raises(permits.Held, match="after the tokens of its step were counted"):
            run.step_done()
    assert [(it.step, it.ended) for it in made.terms(whole)] == [(1, gate.ended)]


def test_a_step_that_came_to_no_update_is_not_forgotten_when_the_next_begins(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        for step in range(made.STEPS):
            gate.before_step()
            loop.model(**made.batch(step)).loss.backward()
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            loop.model(**made.batch(made.STEPS)).loss.backward()


def test_an_optimizer_that_makes_gradients_within_its_own_step_holds(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    optimizer = torch.optim.LBFGS(loop.model.parameters(), max_iter=5)

    def closure():
        raise AssertionError("it was called")

    with gated(loop.model, optimizer, gate=gate, save=loop.save, output=tmp_path):
        loop.model(**PROBE)
        with pytest.raises(permits.Held, match="the optimizer is given a closure"):
            optimizer.step(closure)
    assert made.same(loop.model, made.load(model_folder))


def test_a_sequence_in_pieces_with_a_cache_is_not_taken_for_a_short_one(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        cache = loop.model(**PROBE, use_cache=True).past_key_values
        with pytest.raises(permits.Held, match="the model trains with `past_key_values`, a DynamicCache"):
            loop.model(**PROBE, past_key_values=cache)


def test_ids_that_a_model_flattens_are_not_taken_for_few(whole, tmp_path):
    """GPT-2 makes rows of whatever it is given."""
    weights = tmp_path / "gpt2"
    config = GPT2Config(vocab_size=256, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(weights)
    register(whole, Place(weights, None), name="gpt2", compute=lab.COMPUTE)
    made.evidence_as_of_the_parent(whole, "gpt2")
    whole.refresh()
    most = lab.COMPUTE + 4 * made.step_flop(weights)
    issued = permits.issue(whole, subject="gpt2", action="scale", at=now(), most_compute=most)
    loop, gate = made.Loop(weights), made.gate(whole, issued.permit, weights)
    ids = torch.zeros((1, 2, 64), dtype=torch.long)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        with pytest.raises(permits.Held, match=r"`input_ids` has the shape \(1, 2, 64\), expected 2 dimensions"):
            loop.model(input_ids=ids, labels=ids)
        with pytest.raises(permits.Held, match="no step was let begin: `input_ids` has the shape"):
            loop.model(ids[0])


def test_a_step_larger_than_declared_ends_the_run_before_the_weights_change(whole, permit, model_folder, tmp_path):
    def batches(step):
        return made.batch(step, rows=made.ROWS if step < 2 else 3 * made.ROWS)

    _, loop = made.held(whole, permit, model_folder, tmp_path, "larger than the 32 tokens declared", batches=batches)
    assert made.same(loop.model, made.bare(model_folder, 2))


def test_a_sequence_longer_than_declared_ends_the_run_with_a_snapshot_of_the_step_before(
    whole, permit, model_folder, tmp_path
):
    def batches(step):
        return made.batch(step) if step < 2 else made.batch(step, rows=1, length=made.TOKENS)

    match = "a sequence has 32 tokens, more than the 16 declared"
    _, loop = made.held(whole, permit, model_folder, tmp_path, match, batches=batches)
    assert made.same(loop.model, made.bare(model_folder, 2))
    assert [(it.step, it.ended is None) for it in made.terms(whole)] == [(2, False)]


def test_batches_in_evaluation_mode_count_where_they_leave_gradients(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    loop.model.eval()
    with pytest.raises(permits.Held, match="a new permit lift this"):
        loop.train(gate, tmp_path)
    assert (gate.step, gate.spent) == (made.STEPS, lab.COMPUTE + made.STEPS * made.step_flop(model_folder))
    loop, gate = made.Loop(model_folder), made.gate(whole, made.permit(whole, model_folder), model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        loop.model(**made.batch(0)).loss.backward()
        loop.model.eval()
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            loop.model(**made.batch(1, rows=8 * made.ROWS)).loss.backward()
        assert run.step == 0
    assert made.same(loop.model, made.load(model_folder))


def test_an_evaluation_between_steps_is_not_training(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)

    def evaluate(step):
        loop.model.eval()
        with torch.no_grad():
            loop.model(**made.batch(0, rows=64))
        loop.model.train()

    loop.train(gate, tmp_path, steps=2, happens=evaluate)
    assert gate.spent == lab.COMPUTE + 2 * made.step_flop(model_folder)


@pytest.mark.parametrize("left_out", [None, "loop.pt", "generation_config.json"])
def test_a_snapshot_is_not_registered_with_less_than_it_spent_whatever_is_left_out(
    whole, permit, model_folder, tmp_path, left_out
):
    made.held(whole, permit, model_folder, tmp_path, "a new permit lift this")
    spent, folder = made.terms(whole)[-1].compute, tmp_path / "checkpoint-3"
    if left_out:
        (folder / left_out).unlink()
    with pytest.raises(EvidenceError, match=r"the snapshot of entry .* has them, `continued` from"):
        made.lifted(whole, folder, 2, model_folder, less=1)
    gate, _ = made.held(whole, made.lifted(whole, folder, 2, model_folder), folder, tmp_path, "a new permit lift this")
    assert gate.spent == spent + 2 * made.step_flop(model_folder)


# -- the permit, its file's ledger, and the weights --------------------------------------------------------------------


def test_a_permit_for_a_model_opens_nothing_for_another_nor_for_one_outside_its_lineage(
    whole, permit, model_folder, tmp_path
):
    other = shutil.copytree(model_folder, tmp_path / "other")
    (other / "generation_config.json").write_text("{}")
    made.held(whole, permit, other, tmp_path, "the permit is for subject .* and the weights loaded are")
    runs = tmp_path / "runs"
    made.Loop(model_folder).train(made.gate(whole, permit, model_folder), runs, steps=1)
    api = permits.issue(whole, subject="honest", action="deploy-api", at=now()).permit
    made.held(whole, api, model_folder, tmp_path, "the permit is for `deploy-api`, expected one for `scale`")
    again = permits.issue(whole, subject="honest", action="scale", at=now()).permit
    made.held(whole, again, runs / "checkpoint-1", tmp_path, "neither that nor a snapshot made under the permit")


def test_weights_that_were_swapped_after_the_permit_begin_nothing(whole, permit, model_folder, tmp_path):
    swapped = shutil.copytree(model_folder, tmp_path / "swapped")
    made.bare(model_folder, 1).save_pretrained(swapped)
    made.held(whole, permit, swapped, tmp_path, "the weights loaded are")
    made.held(whole, permit, model_folder, tmp_path, "differs", loop=made.Loop(swapped))


def _delete(path):
    path.unlink()


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_delete, _truncate, _flip])
@pytest.mark.parametrize("which", ["entries", "checkpoint"])
def test_a_ledger_that_is_damaged_begins_nothing_and_ends_a_run_at_its_snapshot(
    whole, permit, model_folder, tmp_path, damage, which
):
    def harm():
        damage(lab.bundle(whole) if which == "entries" else whole.ledger.folder / "checkpoint")

    loop = made.Loop(model_folder)
    with pytest.raises(InterlockError) as caught:
        loop.train(made.gate(whole, permit, model_folder), tmp_path, every=2, happens=lambda n: n == 2 and harm())
    assert caught.value.exit_code == 4
    assert made.same(loop.model, made.bare(model_folder, 2))
    with pytest.raises(InterlockError) as caught:
        made.Loop(model_folder).train(made.gate(whole, permit, model_folder), tmp_path)
    assert caught.value.exit_code == 4


def test_a_ledger_that_is_put_back_during_a_run_ends_it_at_its_next_snapshot(whole, permit, model_folder, tmp_path):
    """The one before is gone from it: a run that began again would have spent nothing."""
    ledger = whole.ledger.folder
    kept = shutil.copytree(ledger, tmp_path / "kept")
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with pytest.raises(LedgerError, match="does not continue what it showed before"):
        loop.train(gate, tmp_path, every=1, happens=lambda n: n == 2 and _put_back(ledger, kept))
    seen._here.clear()  # in another process
    with pytest.raises(LedgerError, match="does not continue what it showed before"):
        made.Loop(model_folder).train(made.gate(whole, permit, model_folder), tmp_path)


def test_a_ledger_that_cannot_be_reached_begins_nothing_and_ends_a_run_at_its_snapshot(
    whole, permit, model_folder, tmp_path
):
    ledger, away = whole.ledger.folder, tmp_path / "away"
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with pytest.raises(UsageError, match="no folder there, expected a ledger"):
        loop.train(gate, tmp_path, every=2, happens=lambda n: n == 2 and ledger.rename(away))
    assert "no folder there, expected a ledger" in gate.ended
    assert made.same(loop.model, made.bare(model_folder, 2))
    loop = made.Loop(model_folder)
    with pytest.raises(UsageError, match="no folder there, expected a ledger"):
        loop.train(made.gate(whole, permit, model_folder), tmp_path)
    assert loop.optimizer.state == {}
    away.rename(ledger)
    assert made.terms(whole) == []


@pytest.mark.parametrize("lock", [".lock", "ledger/lock", "ledger/sequencer/lock"])
def test_a_ledger_whose_lock_a_stopped_process_holds_is_not_waited_for_without_end(
    whole, permit, model_folder, tmp_path, monkeypatch, lock
):
    monkeypatch.setattr(_disk, "PATIENCE", 0.2)
    loop, gate, held = made.Loop(model_folder), made.gate(whole, permit, model_folder), ExitStack()

    def holds(step):
        if step == 2:
            held.enter_context(held_by_a_stopped_process(whole.folder / lock))

    with held, pytest.raises(LedgerError, match="this lock has been held for"):
        loop.train(gate, tmp_path, every=2, happens=holds)
    assert "this lock has been held" in gate.ended
    assert made.same(loop.model, made.bare(model_folder, 2))
    assert made.terms(whole) == []
    made.held(whole, permit, model_folder, tmp_path / "again", "evaluations of the snapshot and a new permit lift this")


# -- what cannot be recorded -------------------------------------------------------------------------------------------


def _log(workspace):
    """The log of a result, as a file."""
    (name, _), *_ = next(iter(workspace.read().results.values())).files
    return workspace.folder / name


@pytest.mark.parametrize("damage", [_delete, _flip])
def test_a_result_whose_log_is_missing_or_altered_begins_nothing(whole, permit, model_folder, tmp_path, damage):
    damage(_log(whole))
    loop = made.Loop(model_folder)
    with pytest.raises(EvidenceError, match=r"the log of ledger entry .* is missing|was altered"):
        loop.train(made.gate(whole, permit, model_folder), tmp_path)
    assert loop.optimizer.state == {}


def _raising(error):
    def fails(*_, **__):
        raise error

    return fails


FULL = OSError(errno.ENOSPC, "No space left on device")


def _full(patch):
    """The disk is full for what is appended to the ledger from now on."""
    append = Workspace.append

    def refused(workspace, made_one, signing):
        with pytest.MonkeyPatch.context() as disk:
            disk.setattr(_disk, "write", _raising(FULL))
            return append(workspace, made_one, signing)

    patch.setattr(Workspace, "append", refused)


def _put_back(ledger, kept):
    shutil.rmtree(ledger)
    shutil.copytree(kept, ledger)


#: What goes wrong after step 2, by workspace, its ledger as it was at the start, and what is patched; and as what.
FAULTS = {
    "entries that are deleted": (lambda of, kept, patch: _delete(lab.bundle(of)), LedgerError),
    "a checkpoint that is altered": (lambda of, kept, patch: _flip(of.ledger.folder / "checkpoint"), LedgerError),
    "a ledger that is taken away": (lambda of, kept, patch: of.ledger.folder.rename(kept / "away"), UsageError),
    "a ledger that is put back": (lambda of, kept, patch: _put_back(of.ledger.folder, kept), LedgerError),
    "a log that is deleted": (lambda of, kept, patch: _delete(_log(of)), EvidenceError),
    "a log that is altered": (lambda of, kept, patch: _flip(_log(of)), EvidenceError),
    "a disk that is full": (lambda of, kept, patch: _full(patch), LedgerError),
    "a lock that does not open": (
        lambda of, kept, patch: patch.setattr(Workspace, "refresh", _raising(PermissionError(13, "denied"))),
        LedgerError,
    ),
    "a mistake of our own": (
        lambda of, kept, patch: patch.setattr(admission, "check_saved", _raising(ZeroDivisionError())),
        ZeroDivisionError,
    ),
}


def _goes_on(loop, gate, output, happens):
    """A loop that catches every error, and goes on: what it caught."""
    caught = []
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=output) as run:
        for step in range(5):
            try:
                loop.model(**made.batch(step)).loss.backward()
                loop.optimizer.step()
                loop.schedule.step()
                loop.optimizer.zero_grad()
                run.step_done()
                happens(run.step)
                run.snapshot()
            except Exception as error:  # noqa: BLE001  as such a loop does
                caught.append(error)
    return caught


@pytest.mark.parametrize(("fault", "error"), FAULTS.values(), ids=FAULTS)
def test_a_snapshot_that_cannot_be_recorded_ends_the_run_whoever_catches_the_error(
    whole, permit, model_folder, tmp_path, monkeypatch, fault, error
):
    """There is room for one step more."""
    kept = shutil.copytree(whole.ledger.folder, tmp_path / "kept")
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    caught = _goes_on(loop, gate, tmp_path, lambda n: n == 2 and fault(whole, kept, monkeypatch))
    assert [type(one) for one in caught] == [error, *[permits.Held] * 3], caught
    assert gate.ended == (str(caught[0]) or "ZeroDivisionError")
    assert made.same(loop.model, made.bare(model_folder, 2))


def test_a_disk_that_is_full_at_the_ledger_records_nothing_and_the_run_goes_on_from_the_snapshot_before(
    whole, permit, model_folder, tmp_path
):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(LedgerError, match="No space left on device"):
        loop.train(gate, tmp_path, every=1, happens=lambda n: n == 2 and _full(patch))
    assert [(it.step, it.ended) for it in made.terms(whole)] == [(1, None)]
    made.held(whole, permit, tmp_path / "checkpoint-2", tmp_path, "neither that nor a snapshot made under the permit")
    made.held(whole, permit, tmp_path / "checkpoint-1", tmp_path, "a new permit lift this")
    assert made.same(made.load(tmp_path / "checkpoint-3"), made.bare(model_folder, made.STEPS))


def test_a_hold_that_was_heard_at_a_snapshot_is_not_taken_back_by_an_interrupt(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        _adverse(whole)
        monkeypatch.setattr(Workspace, "append", _raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run.snapshot()
        with pytest.raises(permits.Held, match="evidence shows"):
            loop.model(**made.batch(0))


def test_a_count_that_held_is_not_taken_back_by_a_lower_one(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        loop.model(**made.batch(0)).loss.backward()
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            gate.before_update(1000 * made.TOKENS)
        with pytest.raises(permits.Held, match="did not let begin"):
            gate.before_update()


# -- the end of the process --------------------------------------------------------------------------------------------


def _ends(loop, gate, output, said, happens):
    """A user's program, in a process of its own: its exit status is what the operating system has."""
    with said.open("w") as sys.stderr, exit_code(gate):
        loop.train(gate, output, every=2, happens=happens)


@pytest.mark.parametrize(
    ("code", "happens", "says"),
    [
        (2, lambda of: shutil.rmtree(of.ledger.folder), "interlock: .*: no folder there, expected a ledger"),
        (3, lambda of: None, "hold: the permit's bound of .* and a new permit lift this"),
        (4, lambda of: _delete(_log(of)), "interlock: the log of ledger entry .* is missing: .*"),
        (4, lambda of: _delete(lab.bundle(of)), "interlock: .*tile/entries.*"),
    ],
    ids=["no ledger", "the bound", "a log that is missing", "a ledger that is damaged"],
)
def test_a_process_ends_with_the_code_of_what_ended_its_run_and_one_line(
    whole, permit, model_folder, tmp_path, code, happens, says
):
    loop, gate, said = made.Loop(model_folder), made.gate(whole, permit, model_folder), tmp_path / "said"
    work = (loop, gate, tmp_path, said, lambda n: happens(whole) if n == 2 else None)
    process = multiprocessing.get_context("fork").Process(target=_ends, args=work)
    process.start()
    process.join()
    assert process.exitcode == code
    assert re.fullmatch(says, said.read_text().splitlines()[-1])
    assert "Traceback" not in said.read_text()


def test_a_run_whose_error_the_loop_caught_ends_the_process_with_code_3(whole, permit, model_folder, tmp_path, capsys):
    gate = made.gate(whole, permit, model_folder)
    with pytest.raises(SystemExit) as ended, exit_code(gate):
        _goes_on(made.Loop(model_folder), gate, tmp_path, lambda n: _delete(_log(whole)))
    assert ended.value.code == 3
    assert "hold: the log of ledger entry" in capsys.readouterr().err


# -- time --------------------------------------------------------------------------------------------------------------


class _Clock:
    """The time, which somebody sets after a step."""

    def __init__(self):
        self.moved = timedelta()

    def __call__(self):
        return now() + self.moved

    def set(self, by, at):
        def happens(step):
            self.moved = by if step == at else self.moved

        return happens


def test_a_permit_that_expires_within_a_step_ends_the_run_at_the_end_of_it(whole, permit, model_folder, tmp_path):
    clock = _Clock()
    later = permits.find(whole.read(), permit).terms.not_after - now()
    gate, loop = made.held(
        whole, permit, model_folder, tmp_path, "the permit ended at", clock=clock, happens=clock.set(later, 2)
    )
    assert [(it.step, it.ended) for it in made.terms(whole)] == [(2, gate.ended)]
    assert made.same(loop.model, made.bare(model_folder, 2))
    made.held(whole, permit, model_folder, tmp_path, "was used up at step 2")


@pytest.mark.parametrize(
    ("by", "match"),
    [(timedelta(seconds=-9), "the clock went back"), (timedelta(days=999), "the permit ended at")],
    ids=["back", "forward"],
)
def test_a_clock_that_is_set_ends_the_run_with_a_snapshot(whole, permit, model_folder, tmp_path, by, match):
    clock = _Clock()
    made.held(whole, permit, model_folder, tmp_path, match, clock=clock, happens=clock.set(by, 2))
    assert [(it.step, it.ended is None) for it in made.terms(whole)] == [(2, False)]


def test_a_clock_that_is_behind_the_ledgers_time_begins_nothing(whole, permit, model_folder, tmp_path):
    made.held(whole, permit, model_folder, tmp_path, "starts at|before", clock=lambda: now() - timedelta(hours=1))


# -- what comes into the ledger while a run goes on --------------------------------------------------------------------


def _adverse(workspace):
    found = lab.result_of(workspace, plan="0" * 64, counts=lab.counts(120))
    workspace.append(found, [lab.key(workspace, "external-auditor")])


def _revoked(workspace):
    permit = workspace.read().permits[-1]
    taken = permits.statement("revocation", name="scale", digest=permit.digest, predicate=_because())
    workspace.append(taken, [lab.key(workspace, "gatekeeper")])


def _because():
    return {"reason": "a test", "at": permits.timestamp(now())}


@pytest.mark.parametrize(("comes", "match"), [(_adverse, "evidence shows"), (_revoked, "revoked by gatekeeper")])
def test_a_hold_that_arises_during_a_run_ends_it_at_the_next_snapshot(
    whole, permit, model_folder, tmp_path, comes, match
):
    gate, _ = made.held(
        whole, permit, model_folder, tmp_path, match, every=2, happens=lambda n: n == 1 and comes(whole)
    )
    assert [(it.step, it.ended) for it in made.terms(whole)] == [(2, gate.ended)]


def test_a_look_at_the_permit_that_fails_as_nobody_foresaw_ends_a_run_at_its_snapshot(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    def fails(*_, **__):
        raise ValueError("Exceeds the limit (4300 digits)")

    gate, _ = made.held(
        whole,
        permit,
        model_folder,
        tmp_path,
        r"the permit cannot be verified: Exceeds the limit \(4300 digits\)",
        every=2,
        happens=lambda n: n == 1 and monkeypatch.setattr(training, "verify", fails),
    )
    assert [(it.step, it.ended) for it in made.terms(whole)] == [(2, gate.ended)]


@pytest.fixture(scope="module")
def _hasty(tmp_path_factory, model_folder):
    """A workspace whose policy may be amended from one day to the next. Not to be changed."""
    folder = tmp_path_factory.mktemp("hasty")
    text = lab.POLICY.read_text().replace("notice: 30 days", "notice: 2 days")
    (folder / "policy.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab, "POLICY", folder / "policy.yaml")
        workspace = lab.make(folder / "lab", model_folder)
    lab.announce(workspace, "few-shot")
    lab.announce(workspace, "fine-tuned", 16)
    lab.run_open_plans(workspace)
    lab.attest_everything(workspace)
    return workspace


@pytest.fixture
def hasty(tmp_path, _hasty):
    return lab.copy(_hasty, tmp_path / "hasty")


def _tighten(workspace):
    """Have a stricter version of the policy stand in the ledger. Returns when it takes effect: in three days."""
    text, effective = (workspace.folder / "policy.yaml").read_text(), now() + timedelta(days=3)
    for old, new in {
        "version: 1.0.0": "version: 1.1.0",
        "effective: 2026-01-01T00:00:00Z": f"effective: {permits.timestamp(effective)}",
        "confidence: 0.95": "confidence: 0.99",
    }.items():
        assert old in text
        text = text.replace(old, new)
    stricter = loads(text, name="policy.yaml", folder=workspace.folder)
    workspace.amend(workspace.read(), stricter, changes="stricter")
    return effective


def test_a_stricter_version_of_the_policy_ends_a_run_at_the_next_snapshot(hasty, model_folder, tmp_path):
    permit, match = made.permit(hasty, model_folder), "reaches further than the evidence now allows"
    gate, _ = made.held(
        hasty, permit, model_folder, tmp_path, match, every=2, happens=lambda n: n == 1 and _tighten(hasty)
    )
    assert [(it.step, it.ended) for it in made.terms(hasty)] == [(2, gate.ended)]


def test_a_stricter_version_that_takes_effect_during_a_run_ends_it_at_that_steps_end(
    hasty, model_folder, tmp_path, monkeypatch
):
    """It stood in the ledger when the run began: the lease reaches no further, and no snapshot has to come."""
    effective = _tighten(hasty)
    permit = made.permit(hasty, model_folder)
    happens = lambda n: lab.later(monkeypatch, effective) if n == 2 else None  # noqa: E731
    gate, loop = made.held(hasty, permit, model_folder, tmp_path, "the permit ended at", happens=happens)
    assert [(it.step, it.ended) for it in made.terms(hasty)] == [(2, gate.ended)]
    assert made.same(loop.model, made.bare(model_folder, 2))
    made.held(hasty, permit, model_folder, tmp_path, "the permit was issued under another policy")


def test_a_stricter_version_that_comes_in_and_takes_effect_during_a_run_ends_it_at_the_next_snapshot(
    hasty, model_folder, tmp_path, monkeypatch
):
    def happens(step):
        if step == 1:
            lab.later(monkeypatch, _tighten(hasty))

    permit, match = made.permit(hasty, model_folder), "the permit was issued under another policy"
    gate, loop = made.held(hasty, permit, model_folder, tmp_path, match, every=2, happens=happens)
    assert [(it.step, it.ended) for it in made.terms(hasty)] == [(2, gate.ended)]
    assert made.same(loop.model, made.bare(model_folder, 2))


def test_a_stop_that_comes_in_while_the_permit_is_narrowed_is_not_forgotten(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    """`narrow` has looked, and not yet written, when the run is stopped."""
    end, append = permits.find(whole.read(), permit).terms.not_after - timedelta(hours=1), Workspace.append

    def stopped_before(workspace, made_one, signing):
        monkeypatch.setattr(Workspace, "append", append)
        gate = made.gate(whole, permit, model_folder)
        with pytest.raises(permits.Held):
            made.Loop(model_folder).train(gate, tmp_path, happens=lambda n: n == 2 and gate.stop("an operator said so"))
        return append(workspace, made_one, signing)

    monkeypatch.setattr(Workspace, "append", stopped_before)
    narrower = narrow(whole, permit, Less(not_after=end), at=now())
    made.held(whole, narrower, tmp_path / "checkpoint-2", tmp_path, "was used up at step 2: an operator said so")
    with pytest.raises(permits.Held, match="was used up at step 2"):
        narrow(whole, narrower, Less(not_after=end - timedelta(hours=1)), at=now())


def test_a_run_that_stops_because_its_permit_was_narrowed_goes_on_under_the_narrower_one(
    whole, permit, model_folder, tmp_path
):
    end, given = permits.find(whole.read(), permit).terms.not_after - timedelta(hours=1), []

    def happens(step):
        if step == 1:
            given.append(narrow(whole, permit, Less(not_after=end), at=now()))

    made.held(whole, permit, model_folder, tmp_path, "which has its place", every=2, happens=happens)
    gate, _ = made.held(whole, given[0], tmp_path / "checkpoint-2", tmp_path, "a new permit lift this")
    assert gate.step == made.STEPS
    made.held(whole, given[0], tmp_path / "checkpoint-3", tmp_path, "was used up at step 3")


# -- crashes -----------------------------------------------------------------------------------------------------------


def _in_a_child(work):
    """Do something in a process that is killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(7)  # it was not killed
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["before the save", "in the save", "after the save", "after the record"])
def test_a_run_that_is_killed_around_a_save_loses_no_snapshot_and_gains_no_compute(
    whole, permit, model_folder, tmp_path, moment, monkeypatch
):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)

    def save(folder):
        if gate.step == 2 and moment == "before the save":
            _die()
        loop.save(folder)
        if gate.step == 2 and moment == "in the save":
            (folder / "model.safetensors").write_bytes(b"half")
            _die()

    def work():
        if moment == "after the save":
            record = TrainingGate.snapshot
            monkeypatch.setattr(TrainingGate, "snapshot", lambda of, at: _die() if of.step == 2 else record(of, at))
        happens = (lambda n: n == 3 and _die()) if moment == "after the record" else made.nothing
        loop.train(gate, tmp_path, every=1, save=save, happens=happens)

    assert _in_a_child(work) == -signal.SIGKILL
    last = 2 if moment == "after the record" else 1
    assert [it.step for it in made.terms(whole)] == list(range(1, last + 1))
    for found in tmp_path.glob("checkpoint-*"):
        made.load(found)  # nothing that has its name is half written
    made.held(whole, permit, tmp_path / f"checkpoint-{last}", tmp_path, "a new permit lift this")
    assert [it.step for it in made.terms(whole)][last:] == [made.STEPS]
    assert made.same(made.load(tmp_path / f"checkpoint-{made.STEPS}"), made.bare(model_folder, made.STEPS))
    assert not list(tmp_path.glob(".checkpoint-3*"))


def test_a_snapshot_that_was_saved_and_not_recorded_begins_nothing(whole, permit, model_folder, tmp_path):
    bare = shutil.copytree(model_folder, tmp_path / "checkpoint-2")
    made.bare(model_folder, 2).save_pretrained(bare)
    made.held(whole, permit, bare, tmp_path, "neither that nor a snapshot made under the permit")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed")])
def test_a_disk_that_is_full_at_the_save_holds_and_leaves_the_snapshot_before(
    whole, permit, model_folder, tmp_path, error
):
    loop = made.Loop(model_folder)

    def save(folder):
        loop.save(folder)
        if len(made.terms(whole)) == 1:
            raise error

    match = "the snapshot of step 2 cannot be saved .*the ledger's last snapshot stands"
    gate, _ = made.held(whole, permit, model_folder, tmp_path, match, loop=loop, every=1, save=save)
    assert [path.name for path in tmp_path.iterdir() if "checkpoint" in path.name] == ["checkpoint-1"]
    assert "cannot be saved" in gate.ended
    made.held(whole, permit, tmp_path / "checkpoint-1", tmp_path, "a new permit lift this")
    assert made.same(made.load(tmp_path / "checkpoint-3"), made.bare(model_folder, made.STEPS))


def test_a_run_that_is_asked_to_save_and_end_does_and_goes_on_under_its_permit(whole, permit, model_folder, tmp_path):
    """SIGUSR1, from `interlock run` or a scheduler, in the middle of step 2."""

    def asks(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGUSR1)

    of, _ = made.held(whole, permit, model_folder, tmp_path, "asked to save and end", happens=asks)
    assert (of.step, of.recorded) == (2, 2)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert [it.terms.ended for it in whole.read().snapshots] == [None]
    of, loop = made.held(whole, permit, tmp_path / "checkpoint-2", tmp_path, "a new permit lift this")
    assert of.step == made.STEPS
    assert made.same(loop.model, made.bare(model_folder, made.STEPS))


def test_a_handler_of_the_runs_own_is_left_in_its_place(whole, permit, model_folder, tmp_path, monkeypatch):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(True))
    try:
        made.Loop(model_folder).train(
            made.gate(whole, permit, model_folder),
            tmp_path,
            steps=1,
            happens=lambda _: os.kill(os.getpid(), signal.SIGUSR1),
        )
        assert heard == [True]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_resume_that_forgets_the_stop_does_not_begin(whole, permit, model_folder, tmp_path):
    """No memory of the run at all: other folder, other process, the weights of the start."""
    made.held(whole, permit, model_folder, tmp_path / "one", "a new permit lift this")
    made.held(whole, permit, model_folder, tmp_path / "other", "was used up at step 3")


def test_a_folder_that_is_named_from_here_is_saved_whole(model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def save(into):
        shutil.copytree(model_folder, into, dirs_exist_ok=True)
        (into / "more").mkdir()
        (into / "more" / "state").write_text("x")

    place = saving.whole(Path("runs/checkpoint-1"), save)
    assert (place / "more" / "state").read_text() == "x"
    assert not list(Path("runs").glob(".*"))
    saving.durable(place)


def test_no_folder_that_stands_is_replaced(whole, permit, model_folder, tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3" / "notes").write_text("mine")
    made.held(whole, permit, model_folder, tmp_path, "a new permit lift this")
    assert (tmp_path / "checkpoint-3" / "notes").read_text() == "mine"
    (snapshot,) = whole.read().snapshots
    assert snapshot.subject == manifest.of(tmp_path / "checkpoint-3.2").digest


def test_a_save_that_writes_no_model_holds(whole, permit, model_folder, tmp_path):
    made.held(whole, permit, model_folder, tmp_path, "has no config.json", save=lambda folder: None)
    assert made.terms(whole) == []


def test_weights_from_elsewhere_are_no_snapshot_of_the_run(whole, permit, model_folder, tmp_path):
    """`save` writes what 60 steps without any gate made."""
    elsewhere = tmp_path / "elsewhere"
    made.bare(model_folder, 2).save_pretrained(elsewhere)

    def save(folder):
        shutil.copytree(elsewhere, folder, dirs_exist_ok=True)

    made.held(whole, permit, model_folder, tmp_path, "weights in memory are not those of", save=save, every=1)
    assert made.terms(whole) == []
    made.held(whole, permit, tmp_path / "checkpoint-1", tmp_path, "neither that nor a snapshot made under the permit")


def test_weights_that_changed_without_a_step_are_no_snapshot_of_the_run(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        run.snapshot()  # of the start, as it is
        loop.model.load_state_dict(made.bare(model_folder, 2).state_dict())
        with pytest.raises(permits.Held, match=r"weights in memory are not those of .*honest"):
            run.snapshot()
        with pytest.raises(permits.Held, match="goes on all the same"):
            gate.before_step()
    assert [it.step for it in made.terms(whole)] == [0]


def test_a_snapshot_that_is_rounded_when_it_is_saved_is_one_of_the_run(whole, permit, model_folder, tmp_path):
    loop = made.Loop(model_folder)

    def save(folder):
        rounded = {name: tensor.bfloat16() for name, tensor in loop.model.state_dict().items()}
        loop.model.save_pretrained(folder, state_dict=rounded)

    loop.train(made.gate(whole, permit, model_folder), tmp_path, steps=1, save=save)
    assert [it.step for it in made.terms(whole)] == [1]


def test_weights_that_are_no_numbers_any_more_are_saved_as_they_are(whole, permit, model_folder, tmp_path):
    loop = made.Loop(model_folder)

    def spoil(step):
        with torch.no_grad():
            next(loop.model.parameters()).fill_(torch.nan)

    loop.train(made.gate(whole, permit, model_folder), tmp_path, steps=1, happens=spoil)
    assert [it.step for it in made.terms(whole)] == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="another system does not tell who has a file mapped")
def test_weights_that_are_mapped_for_writing_begin_nothing(whole, permit, model_folder, tmp_path):
    """What is written through a mapping between the digest and the comparison, and back again, moves no date."""
    place = shutil.copytree(model_folder, tmp_path / "place")
    with (place / "model.safetensors").open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    mapping[-5] = mapping[-5]
    with mapping, pytest.raises(InterlockError, match="is open or mapped for writing"):
        made.Loop(place).train(made.gate(whole, permit, place), tmp_path)


def test_a_folder_that_is_swapped_between_its_digest_and_the_comparison_begins_nothing(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    place, other = shutil.copytree(model_folder, tmp_path / "place"), tmp_path / "other"
    shutil.copytree(model_folder, other)
    made.bare(model_folder, 2).save_pretrained(other)
    loop, compare = made.Loop(other), admission.check_loaded

    def swapped(model, folder):  # by another process, just then
        place.rename(tmp_path / "away")
        other.rename(place)
        compare(model, folder)

    monkeypatch.setattr(admission, "check_loaded", swapped)
    with pytest.raises(InterlockError, match="changed while it was being read"):
        loop.train(made.gate(whole, permit, place), tmp_path)
    assert loop.optimizer.state == {}
