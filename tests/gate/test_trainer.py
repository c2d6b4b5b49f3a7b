"""The gate inside a real Hugging Face Trainer, on a model small enough to train in a second."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import warnings
from datetime import timedelta

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

import lab
import training_lab as made
from interlock.cli.subjects import From, Interval, register
from interlock.decide.decision import timestamp, to_json
from interlock.errors import EvidenceError, LedgerError, UsageError
from interlock.evaluate import local
from interlock.evidence.predicates import PermitPredicate
from interlock.gate import admission
from interlock.gate import permit as permits
from interlock.gate.narrowing import Less, narrow
from interlock.gate.trainer import PermitCallback
from interlock.gate.training import TrainingGate
from interlock.subject import manifest
from interlock.subject.compute import architecture, counted, flop
from interlock.workspace import Place, now

ROWS, LENGTH, TOKENS = made.ROWS, made.LENGTH, made.TOKENS
STEPS = 3  # that a permit of `permit` has room for


@pytest.fixture(autouse=True)
def _quietly():
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the model is too small for more
    with warnings.catch_warnings(), local.quiet():
        warnings.simplefilter("ignore")
        yield
    torch.set_num_threads(threads)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def step_flop(model_folder):
    """FLOP of one optimizer step of the runs below."""
    return made.step_flop(model_folder)


@pytest.fixture
def permit(whole, step_flop):
    """A permit with room for `STEPS` steps and a half."""
    return _lease(whole, STEPS * step_flop + step_flop // 2)


def _lease(workspace, room):
    return lab.issue(workspace, most_compute=lab.COMPUTE + room)


def _trainer(gate, model, output, *others, steps=10, length=LENGTH, rows=None, **settings):
    """A Trainer behind a gate, on rows of nonsense."""
    arguments = {
        "output_dir": str(output),
        "max_steps": steps,
        "per_device_train_batch_size": ROWS,
        "learning_rate": 1e-2,
        "include_num_input_tokens_seen": "all",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 0,
        **settings,
    }
    text = list(range(3, 3 + length))
    return Trainer(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=rows or [{"input_ids": text, "labels": text}] * 64,
        eval_dataset=[{"input_ids": text, "labels": text}],
        callbacks=[*([PermitCallback(gate)] if gate else []), *others],
    )


def _gate(workspace, permit, weights, **settings):
    declared = {"tokens_per_step": TOKENS, "sequence": LENGTH, **settings}
    return TrainingGate(workspace.folder, permit, weights=weights, **declared)


def _run(workspace, permit, weights, output, *, model=None, resume=None, **settings):
    """Train behind a gate; returns the gate and the trainer."""
    gate = _gate(workspace, permit, weights)
    trainer = _trainer(gate, model or made.load(weights), output, **settings)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return gate, trainer


def _unchanged(model, folder):
    before = made.load(folder).state_dict()
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def _held(workspace, permit, weights, output, match, **settings):
    """Training does not begin, and no weight changes."""
    gate = _gate(workspace, permit, weights)
    model = settings.pop("model", None) or made.load(weights)
    resume = settings.pop("resume", None)
    trainer = _trainer(gate, model, output, **settings)
    size, before = lab.size(workspace), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(permits.Held, match=match):
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if resume is None:
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert lab.size(workspace) == size
    return gate


# -- the bound ---------------------------------------------------------------------------------------------------------


def test_a_run_stops_before_the_step_that_would_pass_the_bound_with_a_snapshot_in_the_ledger(
    whole, permit, model_folder, step_flop, tmp_path, capsys
):
    gate, trainer = _run(whole, permit, model_folder, tmp_path / "run")
    most = lab.COMPUTE + STEPS * step_flop + step_flop // 2
    assert trainer.state.global_step == STEPS
    assert gate.spent == lab.COMPUTE + STEPS * step_flop
    assert gate.spent <= most < gate.spent + step_flop
    assert "evaluations of the snapshot and a new permit lift this" in gate.ended
    (snapshot,) = whole.read().snapshots
    assert snapshot.subject == manifest.of(tmp_path / "run" / f"checkpoint-{STEPS}").digest
    assert (snapshot.terms.permit, snapshot.terms.step, snapshot.terms.compute) == (permit, STEPS, gate.spent)
    assert snapshot.terms.ended == gate.ended
    assert not _unchanged(trainer.model, model_folder)
    assert lab.command(capsys, whole, "ledger", "verify").code == 0


def test_a_lease_that_is_used_up_does_not_begin_again(whole, permit, model_folder, tmp_path):
    _run(whole, permit, model_folder, tmp_path / "run")
    snapshot = tmp_path / "run" / f"checkpoint-{STEPS}"
    _held(whole, permit, snapshot, tmp_path / "run", "was used up at step 3", resume=snapshot)
    _held(whole, permit, model_folder, tmp_path / "again", "was used up at step 3")
    state = snapshot / "trainer_state.json"
    for forgotten in ({"num_input_tokens_seen": 0}, {"num_input_tokens_seen": 0, "global_step": 0}):
        state.write_text(json.dumps(json.loads(state.read_text()) | forgotten))
        _held(whole, permit, snapshot, tmp_path / "run", "was used up at step 3", resume=snapshot)
        _held(whole, permit, model_folder, tmp_path / "run", "was used up at step 3", resume=snapshot)


class _Crash(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise RuntimeError("the machine crashed")


@pytest.fixture
def crashed(whole, permit, model_folder, tmp_path):
    """The snapshot of step 2, after a crash in step 3 of a run whose lease has room for three steps."""
    gate = _gate(whole, permit, model_folder)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", _Crash(3), save_strategy="steps", save_steps=2)
    with pytest.raises(RuntimeError, match="the machine crashed"):
        trainer.train()
    return tmp_path / "run" / "checkpoint-2"


def test_a_run_that_crashed_goes_on_from_its_snapshot_with_what_is_left(whole, permit, crashed, step_flop, tmp_path):
    gate, trainer = _run(whole, permit, crashed, tmp_path / "run", resume=crashed)
    assert trainer.state.global_step == STEPS
    assert gate.spent == lab.COMPUTE + STEPS * step_flop
    assert gate.ended


def test_a_run_goes_on_under_a_narrower_permit_from_a_snapshot_of_the_wider_one(
    whole, permit, crashed, model_folder, step_flop, tmp_path
):
    """The wider permit begins nothing any more; what was spent under it is spent."""
    least = narrow(whole, permit, Less(most_compute=lab.COMPUTE + 2 * step_flop), at=now())
    _held(whole, permit, crashed, tmp_path / "run", "the permit was narrowed by", resume=crashed)
    _held(whole, least, crashed, tmp_path / "run", "leaves 0", resume=crashed)
    gate, trainer = _run(whole, least, model_folder, tmp_path / "again")
    assert (trainer.state.global_step, gate.spent) == (2, lab.COMPUTE + 2 * step_flop)


def test_a_run_that_crashed_goes_on_under_a_narrower_permit(whole, permit, crashed, step_flop, tmp_path):
    end = permits.find(whole.read(), permit).terms.not_after - timedelta(hours=1)
    narrower = narrow(whole, permit, Less(not_after=end), at=now())
    gate, trainer = _run(whole, narrower, crashed, tmp_path / "run", resume=crashed)
    assert (trainer.state.global_step, gate.spent) == (STEPS, lab.COMPUTE + STEPS * step_flop)


def test_a_permit_for_one_use_does_not_begin_training(whole, model_folder, tmp_path):
    issued = permits.issue(whole, subject="honest", action="scale", at=now(), single_use=True)
    _held(whole, issued.permit, model_folder, tmp_path / "run", "the permit is for one use")


def test_a_crashed_run_does_not_forget_what_it_spent(whole, permit, crashed, model_folder, step_flop, tmp_path):
    """The trainer's own memory is edited: in place, and in a copy beside the snapshot that the ledger knows."""
    edited = shutil.copytree(crashed, tmp_path / "edited" / "checkpoint-2")
    state = edited / "trainer_state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"num_input_tokens_seen": 0}))
    _held(whole, permit, edited, tmp_path / "run", "neither that nor a snapshot made under the permit", resume=edited)
    gate, trainer = _run(whole, permit, crashed, tmp_path / "run", resume=edited)
    assert (trainer.state.global_step, gate.spent) == (STEPS, lab.COMPUTE + STEPS * step_flop)


def test_a_crashed_run_does_not_begin_at_step_zero_with_trained_weights(whole, permit, crashed, model_folder, tmp_path):
    edited = shutil.copytree(crashed, tmp_path / "edited" / "checkpoint-2")
    state = edited / "trainer_state.json"
    forgotten = {"num_input_tokens_seen": 0, "global_step": 0}
    state.write_text(json.dumps(json.loads(state.read_text()) | forgotten))
    _held(whole, permit, crashed, tmp_path / "run", "are of step 2, and the trainer is at 0", resume=edited)
    _held(whole, permit, model_folder, tmp_path / "run", "differs", resume=edited)
    _held(whole, permit, crashed, tmp_path / "run", "are of step 2, and the trainer is at 0")


def test_a_step_larger_than_declared_never_changes_the_weights(whole, model_folder, step_flop, tmp_path):
    permit = _lease(whole, 2 * step_flop)
    model = made.load(model_folder)
    with pytest.raises(permits.Held, match="a step was larger than the 32 tokens declared"):
        _run(whole, permit, model_folder, tmp_path / "run", model=model, length=3 * LENGTH)
    assert _unchanged(model, model_folder)


def test_a_larger_batch_by_accumulation_never_changes_the_weights(whole, model_folder, step_flop, tmp_path):
    permit = _lease(whole, 2 * step_flop)
    model = made.load(model_folder)
    with pytest.raises(permits.Held, match="a step was larger than the 32 tokens declared"):
        _run(whole, permit, model_folder, tmp_path / "run", model=model, gradient_accumulation_steps=4)
    assert _unchanged(model, model_folder)


def test_a_sequence_longer_than_declared_never_changes_the_weights(whole, model_folder, step_flop, tmp_path):
    """As many tokens as declared, in one row: each takes more compute, since it is paired with more."""
    permit, model = _lease(whole, 9 * step_flop), made.load(model_folder)
    with pytest.raises(permits.Held, match="a sequence has 32 tokens, more than the 16 declared"):
        _run(whole, permit, model_folder, tmp_path / "run", model=model, length=TOKENS, per_device_train_batch_size=1)
    assert _unchanged(model, model_folder)


def test_a_step_in_which_no_sequence_was_seen_never_changes_the_weights(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    """As if the model were called in a way that the gate does not watch."""
    monkeypatch.setattr(TrainingGate, "_watch", lambda gate, model: None)
    model = made.load(model_folder)
    with pytest.raises(permits.Held, match="no sequence was seen in this step"):
        _run(whole, permit, model_folder, tmp_path / "run", model=model)
    assert _unchanged(model, model_folder)


def test_longer_sequences_take_more_compute_a_token_so_fewer_steps_fit(whole, permit, model_folder, tmp_path):
    """The same number of tokens a step, and the same permit; nothing is declared, so all may be in one sequence."""
    gate = _gate(whole, permit, model_folder, sequence=None)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", length=TOKENS, per_device_train_batch_size=1)
    trainer.train()
    config = architecture.load(model_folder)
    assert trainer.state.global_step == STEPS - 1 + (flop.training(config, rows=1, width=TOKENS) * STEPS <= gate.spent)
    taken = gate.spent - lab.COMPUTE
    assert taken == trainer.state.global_step * flop.training(config, rows=1, width=TOKENS)
    assert taken > trainer.state.global_step * flop.training(config, rows=ROWS, width=LENGTH)


class _Unknown(TrainerCallback):
    """Stands before the gate, and makes the model's config say what no formula knows."""

    def on_train_begin(self, args, state, control, model=None, **_):
        model.config.add_cross_attention = True


def _unknown(workspace, permit, weights, output, **settings):
    model = made.load(weights)
    gate = _gate(workspace, permit, weights, **settings)
    trainer = _trainer(gate, model, output)
    trainer.callback_handler.callbacks.insert(0, _Unknown())
    return gate, trainer, model


def test_an_architecture_that_the_formula_does_not_know_holds(whole, permit, model_folder, tmp_path):
    _, trainer, model = _unknown(whole, permit, model_folder, tmp_path / "run")
    with pytest.raises(permits.Held, match=r"compute of a step is unknown: .*add_cross_attention.*give counted_flop"):
        trainer.train()
    assert _unchanged(model, model_folder)


def test_what_torch_counted_stands_in_for_a_formula_that_does_not_know(
    whole, permit, model_folder, step_flop, tmp_path
):
    found = counted.count(made.load(model_folder), rows=ROWS, width=LENGTH)
    assert found.flop == step_flop
    gate, trainer, _ = _unknown(whole, permit, model_folder, tmp_path / "run", counted_flop=found.per_token)
    trainer.train()
    assert (trainer.state.global_step, gate.spent) == (STEPS, lab.COMPUTE + STEPS * step_flop)


def test_a_count_for_an_unknown_architecture_that_is_too_low_holds(whole, permit, model_folder, tmp_path):
    """However it is trained: frozen weights are counted, too."""
    counts = counted.count(made.load(model_folder), rows=ROWS, width=LENGTH).per_token
    _, trainer, model = _unknown(whole, permit, model_folder, tmp_path / "run", counted_flop=counts - 1)
    next(model.parameters()).requires_grad = False
    with pytest.raises(permits.Held, match=f"got {counts - 1} FLOP a token, torch's counter says {counts}"):
        trainer.train()
    assert [weight.requires_grad for weight in model.parameters()].count(False) == 1
    assert _unchanged(model, model_folder)


def test_a_count_for_an_unknown_architecture_that_cannot_be_repeated_holds(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    _, trainer, model = _unknown(whole, permit, model_folder, tmp_path / "run", counted_flop=10**9)
    monkeypatch.setattr(model.model, "forward", None)
    with pytest.raises(permits.Held, match="does not get through a sequence of 16 tokens"):
        trainer.train()


def test_a_count_that_the_formula_denies_holds(whole, permit, model_folder, step_flop, tmp_path):
    gate = _gate(whole, permit, model_folder, counted_flop=step_flop // TOKENS // 2)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run")
    with pytest.raises(permits.Held, match=r"counted_flop is not believed: .* apart"):
        trainer.train()


def test_a_count_a_little_above_the_formula_is_what_counts(whole, permit, model_folder, step_flop, tmp_path):
    more = step_flop // TOKENS * 103 // 100
    gate = _gate(whole, permit, model_folder, counted_flop=more)
    _trainer(gate, made.load(model_folder), tmp_path / "run", steps=2).train()
    assert gate.spent == lab.COMPUTE + 2 * more * TOKENS


@pytest.mark.parametrize("settings", [{"sequence": 0}, {"sequence": TOKENS + 1}, {"counted_flop": 0}])
def test_what_is_declared_must_be_possible(whole, permit, model_folder, settings):
    with pytest.raises(UsageError, match="expected"):
        _gate(whole, permit, model_folder, **settings)


def test_a_lease_without_room_for_one_step_does_not_begin(whole, model_folder, step_flop, tmp_path):
    _held(whole, _lease(whole, step_flop - 1), model_folder, tmp_path / "run", "and the next step takes")


@pytest.mark.parametrize("counting", ["no", "non_padding", False])
def test_a_trainer_that_does_not_count_every_token_is_refused(whole, permit, model_folder, tmp_path, counting):
    with pytest.raises(UsageError, match="compute is not counted"):
        _run(whole, permit, model_folder, tmp_path / "run", include_num_input_tokens_seen=counting)


def test_what_the_trainer_does_not_count_the_gate_does(whole, permit, model_folder, step_flop, tmp_path):
    """Embeddings instead of token ids: the Trainer only warns, and counts nothing."""
    model = made.load(model_folder)
    with torch.no_grad():
        embedded = model.get_input_embeddings()(torch.arange(3, 3 + LENGTH)).clone()
    rows = [{"inputs_embeds": embedded, "labels": list(range(3, 3 + LENGTH))}] * 64
    gate, trainer = _run(whole, permit, model_folder, tmp_path / "run", model=model, rows=rows)
    assert trainer.state.num_input_tokens_seen == 0
    assert (trainer.state.global_step, gate.spent) == (STEPS, lab.COMPUTE + STEPS * step_flop)


def test_a_trainer_that_would_skip_the_snapshot_of_a_stop_is_refused(whole, permit, model_folder, tmp_path):
    trainer = _trainer(_gate(whole, permit, model_folder), made.load(model_folder), tmp_path / "run")
    trainer.args.save_strategy = "best"
    with pytest.raises(UsageError, match="save_strategy is `best`"):
        trainer.train()


def test_a_run_that_ends_by_itself_leaves_its_lease_open(whole, permit, model_folder, step_flop, tmp_path):
    gate, trainer = _run(whole, permit, model_folder, tmp_path / "run", steps=2, save_strategy="steps", save_steps=1)
    assert (trainer.state.global_step, gate.ended) == (2, None)
    assert [snapshot.terms.step for snapshot in whole.read().snapshots] == [1, 2]
    assert [snapshot.terms.compute for snapshot in whole.read().snapshots] == [
        lab.COMPUTE + step_flop,
        lab.COMPUTE + 2 * step_flop,
    ]


def test_a_stop_at_the_end_of_an_epoch_is_saved_twice_and_recorded_all_the_same(
    whole, permit, model_folder, step_flop, tmp_path
):
    rows = [{"input_ids": list(range(3, 3 + LENGTH)), "labels": list(range(3, 3 + LENGTH))}] * ROWS * STEPS
    gate, trainer = _run(whole, permit, model_folder, tmp_path / "run", rows=rows, save_strategy="epoch")
    assert trainer.state.global_step == STEPS
    assert gate.ended
    assert {snapshot.terms.step for snapshot in whole.read().snapshots} == {STEPS}
    assert all(snapshot.terms.ended == gate.ended for snapshot in whole.read().snapshots)


# -- the permit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["0" * 64, "", "abc"])
def test_training_does_not_begin_without_a_permit(whole, permit, model_folder, tmp_path, digest):
    _held(whole, digest, model_folder, tmp_path / "run", "no permit .* in the ledger")


def test_a_permit_for_another_action_does_not_begin_training(whole, model_folder, tmp_path):
    issued = permits.issue(whole, subject="honest", action="deploy-api", at=now())
    _held(whole, issued.permit, model_folder, tmp_path / "run", "the permit is for `deploy-api`, expected one for")


def test_a_permit_that_is_over_does_not_begin_training(whole, permit, model_folder, tmp_path):
    end = permits.find(whole.read(), permit).terms.not_after
    gate = _gate(whole, permit, model_folder, clock=lambda: end)
    model = made.load(model_folder)
    with pytest.raises(permits.Held, match="the permit ended at"):
        _trainer(gate, model, tmp_path / "run").train()
    assert _unchanged(model, model_folder)


class _Clock(TrainerCallback):
    """Says that it is now until an event happens for the first time, and after that that the permit is over."""

    def __init__(self, end, event):
        self.over = False
        self.end = end
        setattr(self, event, self._happens)

    def _happens(self, args, state, control, **_):
        self.over = state.global_step >= 1

    def __call__(self):
        return self.end if self.over else now()


def test_a_permit_that_ends_during_a_run_stops_it_with_a_snapshot(whole, permit, model_folder, tmp_path):
    clock = _Clock(permits.find(whole.read(), permit).terms.not_after, "on_step_begin")
    gate = _gate(whole, permit, model_folder, clock=clock)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", clock)
    trainer.train()
    assert trainer.state.global_step == 2  # the clock turned after the gate let the second step begin
    (snapshot,) = whole.read().snapshots
    assert snapshot.terms.step == 2
    assert snapshot.terms.ended == gate.ended
    assert gate.ended.startswith("the permit ended at")
    _held(whole, permit, model_folder, tmp_path / "again", "was used up at step 2")


def test_no_step_begins_after_the_permits_end_however_long_the_step_before_took(whole, permit, model_folder, tmp_path):
    """Between a step's end and the next one's begin there may be an evaluation of hours."""
    clock = _Clock(permits.find(whole.read(), permit).terms.not_after, "on_log")
    gate = _gate(whole, permit, model_folder, clock=clock)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", clock, logging_steps=1)
    with pytest.raises(permits.Held, match="the permit ended at"):
        trainer.train()
    assert trainer.state.global_step == 1


def test_a_permit_that_ends_during_an_evaluation_stops_the_run_with_a_snapshot(whole, permit, model_folder, tmp_path):
    clock = _Clock(permits.find(whole.read(), permit).terms.not_after, "on_prediction_step")
    gate = _gate(whole, permit, model_folder, clock=clock)
    settings = {"eval_strategy": "steps", "eval_steps": 1}
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", clock, rows=_rows(), **settings, **CONSTANT)
    trainer.train()
    assert gate.ended.startswith("the permit ended at")
    assert [(it.terms.step, it.terms.ended) for it in whole.read().snapshots] == [(1, gate.ended)]
    assert made.same(trainer.model, _trained(model_folder, 1))


def test_an_evaluation_before_or_after_the_run_asks_the_gate_nothing(whole, permit, model_folder, tmp_path):
    over = []
    clock = lambda: now() + timedelta(days=999) if over else now()  # noqa: E731
    gate = _gate(whole, permit, model_folder, clock=clock)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", steps=1, eval_on_start=True)
    trainer.evaluate()
    trainer.train()
    over.append(1)
    trainer.evaluate()
    assert (gate.step, gate.ended) == (1, None)


def test_a_permit_that_rests_on_a_lie_does_not_begin_training(few_shot, model_folder, tmp_path):
    """The gatekeeper records `permit` where the rule says `hold`, and signs a permit for it."""
    few_shot.refresh()
    evidence = few_shot.read()
    decision = permits.ask(evidence, subject=evidence.subject("honest"), action="scale", at=now())
    assert decision.verdict == "hold"
    end = now() + timedelta(days=1)
    bounds = {"most_effective_compute": str(2 * lab.COMPUTE), "not_after": timestamp(end)}
    lied = lab.about_honest(few_shot, "decision", {**to_json(decision), "verdict": "permit", "bounds": bounds})
    gatekeeper = [lab.key(few_shot, "gatekeeper")]
    lab.force(few_shot, lab.envelope(lied, *gatekeeper))
    terms = PermitPredicate(
        action="scale",
        decision=lied.digest,
        policies=(few_shot.policy_digest,),
        lineage=(),
        start_compute=lab.COMPUTE,
        most_compute=2 * lab.COMPUTE,
        not_before=now(),
        not_after=end,
        single_use=False,
    )
    permit = few_shot.append(lab.about_honest(few_shot, "permit", terms.to_json()), gatekeeper)
    _held(few_shot, permit, model_folder, tmp_path / "run", "`scale` holds: codebook-use not ruled out")


def test_an_altered_ledger_does_not_begin_training(whole, permit, model_folder, tmp_path):
    path = lab.bundle(whole)
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    trainer = _trainer(_gate(whole, permit, model_folder), made.load(model_folder), tmp_path / "run")
    with pytest.raises(Exception, match=r"tile/.*differ|history") as caught:
        trainer.train()
    assert caught.value.exit_code == 4


# -- the weights -------------------------------------------------------------------------------------------------------


def test_weights_of_another_folder_do_not_begin_training(whole, permit, model_folder, tmp_path):
    other = shutil.copytree(model_folder, tmp_path / "other")
    (other / "generation_config.json").write_text("{}")
    _held(whole, permit, other, tmp_path / "run", "the permit is for subject .* and the weights loaded are")


def test_tensors_that_were_altered_in_memory_do_not_begin_training(whole, permit, model_folder, tmp_path):
    model = made.load(model_folder)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] += 1e-3
    _held(whole, permit, model_folder, tmp_path / "run", "up_proj.weight` differs", model=model)


def test_tensors_that_the_folder_lacks_do_not_begin_training(whole, permit, model_folder, tmp_path):
    model = made.load(model_folder)
    model.extra = torch.nn.Linear(2, 2)
    _held(whole, permit, model_folder, tmp_path / "run", "`extra.weight` is not in it", model=model)


def test_untied_weights_do_not_begin_training(whole, permit, model_folder, tmp_path):
    """The output matrix is stored once, as the input matrix; in memory it is another."""
    model = made.load(model_folder)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone() + 1)
    _held(whole, permit, model_folder, tmp_path / "run", "`lm_head.weight` is not in it", model=model)


def test_attack_weights_that_begin_where_the_folders_do_and_go_on(model_folder):
    """A tensor that shares the beginning of its memory with one of the folder is not tied to it."""
    model = made.load(model_folder)
    model.lm_head.weight = model.get_input_embeddings().weight
    admission.check_loaded(model, model_folder)
    stored = model.get_input_embeddings().weight
    longer = torch.cat([stored.detach(), torch.ones_like(stored)])
    stored.data = longer[: len(stored)]
    model.register_buffer("more", longer)
    assert model.more.data_ptr() == stored.data_ptr()
    with pytest.raises(permits.Held, match="`more` is not in it"):
        admission.check_loaded(model, model_folder)


def test_a_model_that_has_trained_does_not_begin_again_as_the_subject(whole, permit, model_folder, tmp_path):
    _, trainer = _run(whole, permit, model_folder, tmp_path / "run", steps=1)
    _held(whole, permit, model_folder, tmp_path / "again", "differs", model=trainer.model)


# -- what happens in the ledger while a run goes on --------------------------------------------------------------------


class _At(TrainerCallback):
    """Does something at the end of a step."""

    def __init__(self, step, action):
        self.step = step
        self.action = action

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            self.action()


def _adverse(workspace):
    workspace.append(
        lab.result_of(workspace, plan="0" * 64, counts=lab.counts(120)), [lab.key(workspace, "external-auditor")]
    )


def _overdue(workspace):
    past = timestamp(now() - timedelta(seconds=1))
    plan = lab.changed(lab.payload(workspace, "plan"), report_by=past)
    workspace.append(plan, [lab.key(workspace, "evaluation-team")])


@pytest.mark.parametrize(("happens", "why"), [(_adverse, "evidence shows"), (_overdue, "never reported")])
def test_a_hold_that_arises_during_a_run_stops_it_at_the_next_snapshot(
    whole, permit, model_folder, tmp_path, happens, why
):
    gate = _gate(whole, permit, model_folder)
    others = _At(1, lambda: happens(whole))
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", others, save_strategy="steps", save_steps=2)
    trainer.train()
    assert trainer.state.global_step == 2
    assert why in gate.ended
    (snapshot,) = whole.read().snapshots
    assert (snapshot.terms.step, snapshot.terms.ended) == (2, gate.ended)
    _held(whole, permit, tmp_path / "run" / "checkpoint-2", tmp_path / "again", "scale` holds|was used up")


def test_a_snapshot_that_cannot_be_recorded_ends_the_run(whole, permit, model_folder, tmp_path):
    def lose_the_log():
        lab.bundle(whole).unlink()

    gate = _gate(whole, permit, model_folder)
    others = _At(1, lose_the_log)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", others, save_strategy="steps", save_steps=2)
    with pytest.raises(Exception, match="tile/entries") as caught:
        trainer.train()
    assert caught.value.exit_code == 4
    assert trainer.state.global_step == 2


def test_a_trainer_that_catches_what_a_snapshot_raises_trains_no_further(
    whole, permit, model_folder, tmp_path, monkeypatch
):
    save, caught = Trainer._maybe_log_save_evaluate, []

    def forgiving(trainer, *given, **settings):
        try:
            save(trainer, *given, **settings)
        except LedgerError as error:
            caught.append(error)

    monkeypatch.setattr(Trainer, "_maybe_log_save_evaluate", forgiving)
    gate, others = _gate(whole, permit, model_folder), _At(2, lambda: lab.bundle(whole).unlink())
    settings = {"save_strategy": "steps", "save_steps": 1, "rows": _rows()}
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", others, **settings, **CONSTANT)
    with pytest.raises(permits.Held, match=r"goes on all the same: .*tile/entries"):
        trainer.train()
    monkeypatch.undo()
    assert len(caught) == 1
    assert made.same(trainer.model, _trained(model_folder, 2))


# -- the list of callbacks, and the disk -------------------------------------------------------------------------------


def _trained(folder, steps):
    """The weights after so many steps of the runs above, without a gate."""
    trainer = _trainer(None, made.load(folder), folder.parent / "unused", steps=steps, rows=_rows(), **CONSTANT)
    trainer.train()
    return trainer.model


def _rows():
    ids = [made.batch(row, rows=1)["input_ids"][0].tolist() for row in range(64)]
    return [{"input_ids": row, "labels": row} for row in ids]


CONSTANT = {"lr_scheduler_type": "constant"}


def test_a_callback_that_is_taken_off_the_list_ends_the_run_at_the_next_batch(whole, permit, model_folder, tmp_path):
    gate = _gate(whole, permit, model_folder)
    drop = _At(1, lambda: trainer.remove_callback(PermitCallback))
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", drop, rows=_rows(), **CONSTANT)
    with pytest.raises(permits.Held, match="no step was let begin: the gate was not asked"):
        trainer.train()
    assert made.same(trainer.model, _trained(model_folder, 1))


class _GoesOn(TrainerCallback):
    """Stands behind the gate, and takes back what it said."""

    def __init__(self, *said):
        self.said = said

    def on_step_end(self, args, state, control, **_):
        for said in self.said:
            setattr(control, said, False)
        return control


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (["should_save"], "its last step was not saved: the permit's bound"),
        (["should_training_stop", "should_save"], "the run was stopped, and goes on all the same: the permit's bound"),
    ],
    ids=["does not save", "neither saves nor stops"],
)
def test_a_callback_that_overrules_the_gate_trains_no_further(whole, permit, model_folder, tmp_path, said, match):
    gate = _gate(whole, permit, model_folder)
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", _GoesOn(*said), rows=_rows(), **CONSTANT)
    with pytest.raises(permits.Held, match=match):
        trainer.train()
    assert made.same(trainer.model, _trained(model_folder, STEPS))


def test_a_callback_that_takes_back_the_stop_alone_takes_back_nothing(whole, permit, model_folder, tmp_path):
    gate, others = _gate(whole, permit, model_folder), _GoesOn("should_training_stop")
    trainer = _trainer(gate, made.load(model_folder), tmp_path / "run", others)
    trainer.train()
    assert (trainer.state.global_step, gate.recorded) == (STEPS, STEPS)
    assert gate.ended


def test_a_disk_that_is_full_at_the_save_leaves_the_snapshot_before(
    whole, permit, model_folder, step_flop, tmp_path, monkeypatch
):
    """The Trainer writes into a folder that has its name already: what is half written is not in the ledger."""
    save = Trainer._save

    def full(trainer, output_dir=None, state_dict=None):
        save(trainer, output_dir, state_dict)
        if trainer.state.global_step == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Trainer, "_save", full)
    with pytest.raises(OSError, match="No space left on device"):
        _run(whole, permit, model_folder, tmp_path / "run", save_strategy="steps", save_steps=1)
    monkeypatch.undo()
    assert [it.terms.step for it in whole.read().snapshots] == [1]
    half = tmp_path / "run" / "checkpoint-2"
    _held(whole, permit, half, tmp_path / "run", "neither that nor a snapshot made under the permit")
    first = tmp_path / "run" / "checkpoint-1"
    gate, trainer = _run(whole, permit, first, tmp_path / "run", resume=first)
    assert (trainer.state.global_step, gate.spent) == (STEPS, lab.COMPUTE + STEPS * step_flop)


# -- going on under a new permit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "more"), [("fine-tuned", 0), ("adapter", 0), ("edited", 0), ("continued", 1), ("continued", -1)], ids=str
)
def test_a_snapshot_is_a_subject_as_the_ledger_has_it_and_in_no_other_way(
    whole, permit, model_folder, step_flop, tmp_path, step, more
):
    """Made otherwise, what an earlier state of the run shows would not be shown of it; or of it, not of later ones."""
    _run(whole, permit, model_folder, tmp_path / "run")
    place, spent = Place(tmp_path / "run" / f"checkpoint-{STEPS}", None), STEPS * step_flop
    with pytest.raises(
        EvidenceError, match=f"`continued` from `honest` for {spent} FLOP, got `{step}` for {spent + more}"
    ):
        register(whole, place, name="next", made_from=[From("honest", step, spent + more)])


def test_a_snapshot_that_was_continued_for_too_long_needs_evidence_of_its_own(
    whole, permit, model_folder, step_flop, tmp_path
):
    _run(whole, permit, model_folder, tmp_path / "run")
    place, spent = Place(tmp_path / "run" / f"checkpoint-{STEPS}", None), STEPS * step_flop
    grown = Interval(lab.COMPUTE + spent, 4 * lab.COMPUTE + 1)
    register(whole, place, name="next", made_from=[From("honest", "continued", spent)], effective_compute=grown)
    assert permits.issue(whole, subject="next", action="scale", at=now()).permit is None


def test_a_snapshot_goes_on_under_a_permit_of_its_own(whole, permit, model_folder, step_flop, tmp_path):
    _run(whole, permit, model_folder, tmp_path / "run")
    snapshot = tmp_path / "run" / f"checkpoint-{STEPS}"
    made_from = [From("honest", "continued", STEPS * step_flop)]
    subject = register(whole, Place(snapshot, None), name="next", made_from=made_from)
    # what it was continued from stands in for it, at this action only and only as far as its own evidence reaches
    continued = permits.issue(whole, subject="next", action="scale", at=now())
    assert continued.decision.bounds.most_effective_compute == 4 * lab.COMPUTE < 4 * subject.ec_low
    assert permits.issue(whole, subject="next", action="deploy-internal", at=now()).permit is None
    made.evidence_as_of_the_parent(whole, "next")
    whole.refresh()
    most = subject.ec_high + 2 * step_flop
    issued = permits.issue(whole, subject="next", action="scale", at=now(), most_compute=most)
    gate, trainer = _run(whole, issued.permit, snapshot, tmp_path / "run", resume=snapshot)
    assert (trainer.state.global_step, gate.spent) == (STEPS + 2, most)
    _held(whole, permit, snapshot, tmp_path / "run", "was used up", resume=snapshot)


def test_a_run_that_was_stopped_and_resumed_has_the_weights_of_one_that_was_not_bit_for_bit(
    whole, permit, model_folder, tmp_path
):
    settings = {"rows": _rows(), **CONSTANT}
    _run(whole, permit, model_folder, tmp_path / "run", **settings)
    snapshot = tmp_path / "run" / f"checkpoint-{STEPS}"
    lifted = made.lifted(whole, snapshot, 2, model_folder)
    gate, trainer = _run(whole, lifted, snapshot, tmp_path / "run", resume=snapshot, **settings)
    assert (trainer.state.global_step, gate.step) == (STEPS + 2, STEPS + 2)
    assert made.same(trainer.model, _trained(model_folder, STEPS + 2))
    assert made.same(made.load(tmp_path / "run" / f"checkpoint-{STEPS + 2}"), trainer.model)


# -- what is trained beside the step -----------------------------------------------------------------------------------


class _More(TrainerCallback):
    """Trains when the step's tokens are counted, and before the step is over."""

    def on_optimizer_step(self, args, state, control, model=None, **_):
        model(**made.batch(state.global_step)).loss.backward()


def test_a_callback_that_trains_after_the_update_ends_the_run(whole, permit, model_folder, tmp_path):
    gate = _gate(whole, permit, model_folder)
    with pytest.raises(permits.Held, match="after the tokens of its step were counted"):
        _trainer(gate, made.load(model_folder), tmp_path, _More()).train()
    assert gate.step == 0
    assert "after the tokens of its step were counted" in gate.ended
