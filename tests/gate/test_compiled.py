"""Models that `torch.compile` has compiled, behind the gate: counted, stopped and saved as any other.

Compiled for the backend `eager`, which needs no C compiler and computes the same bits; what is tried is what Dynamo
does to a model's call and its hooks.
"""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from transformers import Trainer, TrainingArguments

import lab
import training_lab as made
from interlock.errors import UsageError
from interlock.evaluate import local
from interlock.gate import permit as permits
from interlock.gate.plain import gated
from interlock.gate.trainer import PermitCallback
from interlock.subject import manifest


@pytest.fixture(autouse=True)
def _quietly():
    logger = logging.getLogger("torch._dynamo")
    level, threads = logger.level, torch.get_num_threads()
    logger.setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with warnings.catch_warnings(), local.quiet():
        warnings.simplefilter("ignore")
        yield
    torch.compiler.reset()
    torch.set_num_threads(threads)
    logger.setLevel(level)


def _wrapped(loop):
    """What the loop calls is the wrapper, and the gate is given the model."""
    loop.forward = torch.compile(loop.model, backend="eager")


def _given(loop):
    """The gate is given the wrapper, and the loop saves it."""
    loop.model = loop.forward = torch.compile(loop.model, backend="eager")


def _in_place(loop):
    loop.model.compile(backend="eager")


def _in_a_function(loop, **how):
    def called(**given):
        return loop.model(**given)

    loop.forward = torch.compile(called, backend="eager", **how)


def _loop(folder, compiles):
    loop = made.Loop(folder)
    compiles(loop)
    return loop


def _uncompiled(folder, steps, into):
    """The digest of a snapshot of the same run, of a model that is not compiled."""
    loop = made.Loop(folder)
    for step in range(steps):
        loop.model(**made.batch(step)).loss.backward()
        loop.optimizer.step()
        loop.schedule.step()
        loop.optimizer.zero_grad()
    into.mkdir()
    loop.save(into)
    return manifest.of(into).digest


@pytest.mark.parametrize("compiles", [_wrapped, _given, _in_place, _in_a_function])
def test_a_compiled_model_is_counted_stopped_and_saved_as_any_other(whole, permit, model_folder, tmp_path, compiles):
    """What it leaves goes on as a model that is not compiled."""
    loop = _loop(model_folder, compiles)
    gate, _ = made.held(whole, permit, model_folder, tmp_path / "runs", "a new permit lift this", loop=loop)
    assert (gate.step, gate.spent) == (made.STEPS, lab.COMPUTE + made.STEPS * made.step_flop(model_folder))
    (snapshot,) = whole.read().snapshots
    assert snapshot.subject == _uncompiled(model_folder, made.STEPS, tmp_path / "uncompiled")
    folder = tmp_path / "runs" / "checkpoint-3"
    lifted = made.lifted(whole, folder, 2, model_folder)
    made.held(whole, lifted, folder, tmp_path / "runs", "a new permit lift this")
    assert whole.read().snapshots[-1].subject == _uncompiled(model_folder, made.STEPS + 2, tmp_path / "longer")


def _many(loop):
    for step in range(20):
        loop.forward(**made.batch(step)).loss.backward()


@pytest.mark.parametrize("compiles", [_in_place, _in_a_function])
def test_code_that_was_compiled_before_the_gate_watched_does_not_train_uncounted(
    whole, permit, model_folder, tmp_path, compiles
):
    """Dynamo does not look whether hooks have come: of a step of many batches it would count those of a new shape."""
    loop, gate = _loop(model_folder, compiles), made.gate(whole, permit, model_folder)
    loop.forward(**made.batch(0)).loss.backward()
    loop.optimizer.zero_grad()
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        loop.forward(**made.batch(0, rows=1, length=8)).loss.backward()
        with pytest.raises(permits.Held, match="larger than the 32 tokens declared"):
            _many(loop)
        with pytest.raises(permits.Held):
            loop.optimizer.step()
    assert made.same(loop.model, made.load(model_folder))


def test_a_step_that_is_compiled_as_a_whole_is_counted(whole, permit, model_folder, tmp_path):
    """The loop's own function, with the model's call, the gradients and the update in it."""
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)

    @torch.compile(backend="eager")
    def taken(given):
        loop.model(**given).loss.backward()
        loop.optimizer.step()

    taken(made.batch(0))
    loop = made.Loop(model_folder)

    def train():
        with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path) as run:
            for step in range(6):
                taken(made.batch(step))
                loop.optimizer.zero_grad()
                run.step_done()

    with pytest.raises(permits.Held, match="a new permit lift this"):
        train()
    assert (gate.step, gate.spent) == (made.STEPS, lab.COMPUTE + made.STEPS * made.step_flop(model_folder))
    assert made.same(loop.model, made.load(tmp_path / "checkpoint-3"))


def test_a_model_that_must_be_one_graph_is_not_trained_past_the_gate(whole, permit, model_folder, tmp_path):
    """The gate's hook is Python: a function around it that must be one graph is refused by torch."""
    loop, gate = made.Loop(model_folder), made.gate(whole, permit, model_folder)
    _in_a_function(loop, fullgraph=True)
    loop.forward(**made.batch(0))
    with gated(loop.model, loop.optimizer, gate=gate, save=loop.save, output=tmp_path):
        with pytest.raises(torch._dynamo.exc.Unsupported):
            loop.forward(**made.batch(0))
        with pytest.raises(permits.Held):
            loop.optimizer.step()
    assert made.same(loop.model, made.load(model_folder))


@pytest.mark.parametrize("compiles", [_in_place, _in_a_function])
def test_a_model_is_left_as_it_was_when_its_run_is_over(whole, permit, model_folder, tmp_path, compiles):
    loop, gate = _loop(model_folder, compiles), made.gate(whole, permit, model_folder)
    loop.train(gate, tmp_path, steps=2)
    spent = gate.spent
    loop.forward(**made.batch(0)).loss.backward()
    assert gate.spent == spent


def test_a_part_that_is_wrapped_by_itself_does_not_begin_training(whole, permit, model_folder, tmp_path):
    """It would be saved under names from which it cannot be loaded."""
    loop = made.Loop(model_folder)
    loop.model.model.layers[1] = torch.compile(loop.model.model.layers[1], backend="eager")
    made.held(whole, permit, model_folder, tmp_path, "`model.layers.1` is wrapped by torch.compile", loop=loop)


def _trainer(gate, model, output, *, steps=10, **settings):
    ids = [made.batch(row, rows=1)["input_ids"][0].tolist() for row in range(64)]
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=made.ROWS,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        include_num_input_tokens_seen="all",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
        remove_unused_columns=False,  # the Trainer does not see what a wrapped model takes
        **settings,
    )
    rows = [{"input_ids": row, "labels": row} for row in ids]
    callbacks = [PermitCallback(gate)] if gate else []
    return Trainer(model=model, args=arguments, train_dataset=rows, callbacks=callbacks)


def test_a_model_that_the_trainer_compiles_is_counted_stopped_and_saved_as_any_other(
    whole, permit, model_folder, tmp_path
):
    def trained(digest, weights, resume=None, **settings):
        gate = made.gate(whole, digest, weights)
        _trainer(gate, made.load(weights), tmp_path / "runs", **settings).train(resume_from_checkpoint=resume)
        assert "a new permit lift this" in gate.ended
        return gate

    compiled = {"torch_compile": True, "torch_compile_backend": "eager"}  # its bits are not everywhere those without it
    gate = trained(permit, model_folder, **compiled)
    assert (gate.step, gate.spent) == (made.STEPS, lab.COMPUTE + made.STEPS * made.step_flop(model_folder))
    folder = tmp_path / "runs" / "checkpoint-3"
    lifted = made.lifted(whole, folder, 2, model_folder)
    assert trained(lifted, folder, resume=str(folder), **compiled).step == made.STEPS + 2
    bare = _trainer(None, made.load(model_folder), tmp_path / "bare", steps=made.STEPS + 2, **compiled)
    bare.train()
    bare.save_model(tmp_path / "bare")
    assert manifest.of(tmp_path / "bare").weights == manifest.of(tmp_path / "runs" / "checkpoint-5").weights


def test_a_trainer_that_would_save_under_the_wrappers_names_is_refused(whole, permit, model_folder, tmp_path):
    model = torch.compile(made.load(model_folder), backend="eager")
    with pytest.raises(UsageError, match="give it the model itself, and torch_compile=True"):
        _trainer(made.gate(whole, permit, model_folder), model, tmp_path / "runs").train()
    assert not whole.read().snapshots
