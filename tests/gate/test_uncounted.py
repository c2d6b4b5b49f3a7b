"""What a run does past the gate's count: within a step, without an update, under vmap, in a fork."""

from __future__ import annotations

import os
import signal

import pytest
import torch

import lab
import training_lab as made
from interlock.errors import UsageError
from interlock.gate import permit as permits
from interlock.gate import transcript
from interlock.gate.plain import gated

pytestmark = pytest.mark.usefixtures("one_thread")

# -- steps without an update, and snapshots within a step --------------------------------------------------------------


def _by_hand(loop, step):
    """A step of which the gate is not asked."""
    loop.model(**made.batch(step)).loss.backward()
    with torch.no_grad():
        for weight in loop.model.parameters():
            if weight.grad is not None:
                weight.sub_(weight.grad, alpha=0.01)
    loop.optimizer.zero_grad()


def _step(loop, step):
    loop.model(**made.batch(step)).loss.backward()
    loop.optimizer.step()
    loop.optimizer.zero_grad()


def test_a_snapshot_within_a_step_does_not_forget_its_tokens(whole, permit, model_folder, tmp_path):
    """The weights are changed by hand; a snapshot is tried, and tried again."""
    loop, gate, takes = made.Loop(model_folder), made.gate(whole, permit, model_folder), made.step_flop(model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        _step(loop, 0)
        assert run.step_done()
        for step in range(2):
            _by_hand(loop, step)
        for _ in range(2):
            with pytest.raises(permits.Held, match="a snapshot is taken within a step, which has seen 64 tokens here"):
                run.snapshot()
    (terms,) = made.terms(whole)
    assert (terms.step, terms.compute, terms.ended) == (1, lab.COMPUTE + 3 * takes, gate.ended)


def test_a_snapshot_between_an_update_and_the_end_of_its_step_holds(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        _step(loop, 0)
        with pytest.raises(permits.Held, match="a snapshot is taken within a step, which has seen 32 tokens here"):
            run.snapshot()
    assert made.terms(whole) == []


def test_a_batch_that_was_held_is_not_counted_as_trained(whole, permit, model_folder, tmp_path):
    loop, gate, takes = made.Loop(model_folder), made.gate(whole, permit, model_folder), made.step_flop(model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        _step(loop, 0)
        run.step_done()
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            loop.model(**made.batch(1, rows=8 * made.ROWS))
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            run.snapshot()
    assert [(it.step, it.compute) for it in made.terms(whole)] == [(1, lab.COMPUTE + takes)]


def test_an_update_that_a_gradient_scaler_skips_leaves_its_step_open(whole, model_folder, tmp_path):
    loop, takes = made.Loop(model_folder), made.step_flop(model_folder)
    gate = made.gate(whole, made.permit(whole, model_folder, 4), model_folder)
    scaler, over = torch.amp.GradScaler("cpu", init_scale=2.0), []
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        for factor in (torch.inf, torch.inf, 1.0):
            scaler.scale(loop.model(**made.batch(len(over))).loss * factor).backward()
            scaler.step(loop.optimizer)
            scaler.update()
            loop.optimizer.zero_grad()
            over.append(run.step_done())
            if over[-1]:
                run.snapshot()
        assert (over, run.step, gate.ended) == ([False, False, True], 1, None)
    assert [(it.step, it.compute) for it in made.terms(whole)] == [(1, lab.COMPUTE + 3 * takes)]


def test_updates_that_are_always_skipped_hold_at_the_bound(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        for step in range(made.STEPS):
            loop.model(**made.batch(step))
            assert not run.step_done()
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            loop.model(**made.batch(made.STEPS))


def test_weights_that_another_optimizer_changes_are_no_skipped_update(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        _by_hand(loop, 0)
        assert not run.step_done()
        _by_hand(loop, 1)
        with pytest.raises(permits.Held, match="changed in a step that the gate was not asked for"):
            run.step_done()
        with pytest.raises(permits.Held, match="changed in a step that the gate was not asked for"):
            run.step_done()


def test_the_end_of_a_step_that_never_began_holds(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    with (
        gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run,
        pytest.raises(permits.Held, match="a step is said to be over, and the gate let none begin"),
    ):
        run.step_done()


class _NoHooks:
    """As an optimizer of one's own, or a wrapper that has torch's method, and not what it stands on."""

    def step(self):
        raise AssertionError("it was called")


class _HalfWrapped(torch.optim.Optimizer):
    def __init__(self):
        """Leave torch's own out."""


@pytest.mark.parametrize("optimizer", [_NoHooks(), _HalfWrapped()], ids=["of one's own", "a wrapper"])
def test_an_optimizer_that_cannot_be_made_to_ask_begins_nothing(whole, permit, model_folder, tmp_path, optimizer):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    before = signal.getsignal(signal.SIGUSR1)  # other tests may have left one
    with (
        pytest.raises(UsageError, match=r"the optimizer, a `_\w+`, takes no hook before its step"),
        gated(loop.model, optimizer, gate=gate, save=loop.save, output=tmp_path),
    ):
        raise AssertionError("it began")
    assert not loop.model._forward_pre_hooks
    assert not loop.model._forward_hooks
    assert gate.transcript is None
    assert signal.getsignal(signal.SIGUSR1) is before


# -- what hides a batch ------------------------------------------------------------------------------------------------


def test_rows_under_vmap_are_not_taken_for_one(whole, permit, model_folder, tmp_path):
    """Gradients a sample: 64 rows are trained on, and the model is shown one."""
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    loop.model.set_attn_implementation("eager")

    def loss(weights, row):
        logits = torch.func.functional_call(loop.model, weights, (row[None],), {"use_cache": False}).logits
        return torch.nn.functional.cross_entropy(logits[0, :-1], row[1:])

    weights = {name: weight.detach() for name, weight in loop.model.named_parameters()}
    each = torch.vmap(torch.func.grad(loss), in_dims=(None, 0), randomness="different")
    with (
        gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path),
        pytest.raises(permits.Held, match=r"called within torch.vmap"),
    ):
        each(weights, made.batch(0, rows=64)["input_ids"])
    assert made.same(loop.model, made.load(model_folder))


# -- forks -------------------------------------------------------------------------------------------------------------


def _in_fork(work):
    """What a fork says of what it did."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        signal.alarm(100)
        try:
            said = work()
        except BaseException as error:  # noqa: BLE001  for the test to see
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as told:
        return told.read()


def test_a_fork_that_shares_the_weights_trains_nothing(whole, permit, model_folder, tmp_path):
    """It catches what holds, leaves the block, saves, and puts an end to the transcript, as a run would."""
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    loop.model.share_memory()

    def train():
        loop.model(**made.batch(1)).loss.backward()

    def forked():
        said, tries = [], [gate.before_step, train, loop.optimizer.step, run.step_done, run.snapshot]
        tries += [gate.release, train, loop.optimizer.step]
        for one in tries:
            try:
                one()
                said.append("went through")
            except permits.Held as held:
                said.append(str(held))
        return "\n".join(said)

    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        _step(loop, 0)
        run.step_done()
        loop.model(**made.batch(1)).loss.backward()  # gradients that a fork has, too
        before = {name: tensor.clone() for name, tensor in loop.model.state_dict().items()}
        said = _in_fork(forked).splitlines()
        assert said.pop(5) == "went through"  # the release, which releases nothing
        assert len(said) == 7
        assert all("is a fork of the one that began the run" in one for one in said), said
        assert all(torch.equal(tensor, before[name]) for name, tensor in loop.model.state_dict().items())
        loop.optimizer.step()
        run.step_done()
        run.snapshot()
        path = gate.transcript.path
    assert [it.step for it in made.terms(whole)] == [2]
    told = [line.tells for line in transcript.read(path.read_bytes())]
    assert told == ["begin", "step", "step", "snapshot", "end"]


class _Rows(torch.utils.data.Dataset):
    """Says, with each row, from which process it comes."""

    def __len__(self):
        return made.STEPS * made.ROWS

    def __getitem__(self, place):
        return made.batch(place, rows=1)["input_ids"][0], os.getpid()


def test_workers_that_load_data_are_forks_that_go_on(whole, permit, model_folder, tmp_path):
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    rows = torch.utils.data.DataLoader(_Rows(), batch_size=made.ROWS, num_workers=1, multiprocessing_context="fork")
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
        for ids, process in rows:
            assert os.getpid() not in process
            loop.model(input_ids=ids, labels=ids).loss.backward()
            loop.optimizer.step()
            loop.optimizer.zero_grad()
            if run.step < made.STEPS - 1:
                run.step_done()
    assert gate.spent == lab.COMPUTE + made.STEPS * made.step_flop(model_folder)
