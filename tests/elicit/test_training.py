"""The training loop: killed and resumed it gives the same bits, it stays inside its budget, and it fails in words."""

from __future__ import annotations

import pytest

from interlock.elicit import training
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.saved import Saved
from interlock.elicit.training import Batch, Schedule, Work, train
from interlock.errors import EvidenceError, UsageError

torch = pytest.importorskip("torch")

STEPS = Schedule(steps=8, learning_rate=0.1, warm_up=2)
ROWS = torch.arange(24.0).reshape(8, 3) / 10


class KilledError(Exception):
    pass


def model():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def work(linear, *, most_at_once=99, killed_at=None, poison=None):
    calls = {"at_once": []}

    def loss(rows):
        calls["at_once"].append(len(rows))
        if len(rows) > most_at_once:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        value = (linear(torch.stack(list(rows))) - 1).square().sum()
        return value * float("nan") if poison else value

    def batches(step):
        if step == killed_at:
            raise KilledError
        return [Batch([ROWS[(step + i) % 8] for i in range(4)], over=4)]

    return Work(batches, loss, lambda rows: 10 * len(rows)), calls


def run(linear, job, *, cap=10**6, saved=None):
    return train(linear, job, STEPS, meter=Meter(cap), progress=lambda *told: None, saved=saved)


def test_killed_and_resumed_gives_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    whole = model()
    expected = run(whole, work(whole)[0])
    saved = Saved(tmp_path / "state", "job")
    first = model()
    with pytest.raises(KilledError):
        run(first, work(first, killed_at=5)[0], saved=saved)
    second = model()
    resumed = run(second, work(second)[0], saved=saved)
    assert resumed.losses == expected.losses
    assert torch.equal(second.weight, whole.weight)
    assert resumed.flop == expected.flop == 8 * 40


def test_a_finished_run_is_not_run_again(tmp_path):
    saved = Saved(tmp_path / "state", "job")
    first = model()
    run(first, work(first)[0], saved=saved)
    second = model()
    job, calls = work(second)
    run(second, job, saved=saved)
    assert calls["at_once"] == []
    assert torch.equal(first.weight, second.weight)


def test_the_state_of_another_job_is_refused(tmp_path):
    first = model()
    run(first, work(first)[0], saved=Saved(tmp_path / "state", "job"))
    with pytest.raises(UsageError, match="holds another job"):
        run(first, work(first)[0], saved=Saved(tmp_path / "state", "other"))


def test_a_damaged_state_is_refused(tmp_path):
    (tmp_path / "state").write_bytes(b"\x00" * 99)
    with pytest.raises(UsageError, match="cannot be read"):
        run(model(), work(model())[0], saved=Saved(tmp_path / "state", "job"))


def test_memory_that_does_not_suffice_halves_the_batch_and_says_so():
    small, large = model(), model()
    trained = run(small, work(small, most_at_once=1)[0])
    run(large, work(large)[0])
    halved = [dict(event) for event in trained.events]
    assert halved == [{"event": "batch-halved", "step": 0, "examples_at_once": n} for n in (2, 1)]
    assert torch.allclose(small.weight, large.weight, atol=1e-6)


def test_memory_for_not_even_one_example_is_an_error():
    linear = model()
    with pytest.raises(EvidenceError, match="out of memory at step 1, with one example"):
        run(linear, work(linear, most_at_once=0)[0])


def test_another_runtime_error_is_not_taken_for_memory():
    def loss(rows):
        raise RuntimeError("shapes do not fit")

    linear = model()
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(linear, Work(work(linear)[0].batches, loss, len))


def test_training_stops_before_the_step_that_the_budget_does_not_afford():
    linear = model()
    meter = Meter(100)
    trained = train(linear, work(linear)[0], STEPS, meter=meter, progress=lambda *told: None)
    assert (len(trained.losses), trained.flop, meter.spent) == (2, 80, 80)
    assert trained.events == [{"event": "out-of-budget", "step": 2, "of": 8}]


def test_a_budget_for_no_step_at_all_is_an_error():
    linear = model()
    with pytest.raises(OutOfBudgetError, match="takes 40 FLOP, and 39 of 39 are left"):
        run(linear, work(linear)[0], cap=39)


def test_a_loss_that_is_no_number_is_an_error():
    linear = model()
    with pytest.raises(EvidenceError, match="loss at step 1 is `nan`"):
        run(linear, work(linear, poison=True)[0])


def test_what_a_step_remembers_and_what_its_preparation_costs_survive_a_kill(tmp_path, monkeypatch):
    """A step that draws answers with the model as it is must be taken up with what earlier steps drew."""
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)

    def drawing(linear, meter, killed_at=None):
        plain, _ = work(linear, killed_at=killed_at)
        memory = {}

        def batches(step):
            meter.take(5)
            memory[str(step)] = float(linear.weight.detach().sum())
            return plain.batches(step)

        return Work(batches, plain.loss, plain.cost, memory)

    def go(linear, killed_at=None, saved=None):
        meter = Meter(10**6)
        job = drawing(linear, meter, killed_at)
        trained = train(linear, job, STEPS, meter=meter, progress=lambda *told: None, saved=saved)
        assert trained.flop == meter.spent
        return trained, job.memory

    expected, remembered = go(model())
    saved = Saved(tmp_path / "state", "job")
    with pytest.raises(KilledError):
        go(model(), killed_at=5, saved=saved)
    resumed, again = go(model(), saved=saved)
    assert (resumed, again) == (expected, remembered)
    assert len(again) == 8
    assert expected.flop == 8 * 45


def test_a_step_whose_preparation_is_not_afforded_ends_the_run(tmp_path):
    linear, meter = model(), Meter(100)
    plain, _ = work(linear)

    def batches(step):
        meter.take(20)
        return plain.batches(step)

    trained = train(linear, Work(batches, plain.loss, plain.cost), STEPS, meter=meter, progress=lambda *told: None)
    assert len(trained.losses) == 1
    assert trained.events == [{"event": "out-of-budget", "step": 1, "of": 8}]


def test_a_step_without_a_batch_changes_nothing():
    linear = model()
    before = linear.weight.detach().clone()
    plain, _ = work(linear)
    trained = run(linear, Work(lambda step: [], plain.loss, plain.cost))
    assert trained.losses == [0.0] * 8
    assert torch.equal(linear.weight, before)
