"""Elicitation by fine-tuning: it takes, it repeats, it leaves its subject alone, and it refuses to fail quietly."""

from __future__ import annotations

import pytest

import tiny_model
from interlock.elicit.fine_tune import Recipe, fine_tune
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")

RECIPE = Recipe(rank=4, steps=40, learning_rate=2e-2, batch=4)
DEMONSTRATIONS = [([{"role": "user", "content": word}], answer) for word, answer in [("ab", "x"), ("cd", "y")]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))


def silent(step, total, loss):
    pass


def test_the_model_learns_its_demonstrations_and_the_subject_is_unchanged(model):
    before = [parameter.clone() for parameter in model.model.parameters()]
    elicited = fine_tune(model, DEMONSTRATIONS, recipe=RECIPE, progress=silent)
    answers = local.generate(elicited.local, [prompt for prompt, _ in DEMONSTRATIONS], max_new_tokens=3)
    assert [answer.text for answer in answers] == ["x", "y"]
    assert elicited.last_loss < elicited.first_loss
    assert all(torch.equal(old, new) for old, new in zip(before, model.model.parameters(), strict=True))


def test_two_runs_at_one_seed_agree_bitwise(model):
    one, two = (fine_tune(model, DEMONSTRATIONS, recipe=RECIPE, progress=silent) for _ in range(2))
    assert one.last_loss == two.last_loss
    pairs = zip(one.local.model.parameters(), two.local.model.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


def test_compute_is_six_operations_a_parameter_and_token(model):
    elicited = fine_tune(model, DEMONSTRATIONS[:1], recipe=Recipe(rank=4, steps=3), progress=silent)
    (prompt, _), end = DEMONSTRATIONS[0], 2  # the answer's one token, and the end token
    assert elicited.tokens == 3 * (-(-(len(local.encode(model, prompt)) + end) // 16) * 16)
    assert elicited.flop % (6 * elicited.tokens) == 0
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    assert elicited.flop // (6 * elicited.tokens) > parameters


def test_progress_is_told_after_every_step(model):
    seen = []
    fine_tune(model, DEMONSTRATIONS, recipe=Recipe(steps=3), progress=lambda *told: seen.append(told))
    assert [(step, total) for step, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]


def test_no_demonstrations_are_refused(model):
    with pytest.raises(UsageError, match="0 demonstrations"):
        fine_tune(model, [], recipe=RECIPE, progress=silent)


def test_a_learning_rate_of_zero_is_noticed(model):
    with pytest.raises(EvidenceError, match="did not take"):
        fine_tune(model, DEMONSTRATIONS, recipe=Recipe(steps=2, learning_rate=0.0), progress=silent)


def test_a_loss_that_is_not_finite_is_refused(model):
    with pytest.raises(EvidenceError, match="expected a finite number"):
        fine_tune(model, DEMONSTRATIONS, recipe=Recipe(steps=9, learning_rate=float("inf")), progress=silent)
