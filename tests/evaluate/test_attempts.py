"""Several attempts at a question through Inspect: seeds of their own, one sample run, and a log that binds them all."""

from __future__ import annotations

import json

import pytest
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, Score, accuracy, scorer

import tiny_model
from interlock.errors import UsageError
from interlock.evaluate import inspect_run, local, logs
from interlock.evaluate.attempts import attempts, completions

WORDS = ("klurit", "mofan", "dree")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny")))


@scorer(metrics=[accuracy()])
def contains():
    async def score(state, target):
        said = completions(state)
        return Score(value=CORRECT if target.text in said else INCORRECT, answer=said[0])

    return score


def task(solver, targets, **settings):
    samples = [Sample(id=word, input=word, target=targets.get(word, "nothing")) for word in WORDS]
    config = GenerateConfig(max_tokens=4, **settings)
    return Task(dataset=MemoryDataset(samples), solver=solver, scorer=contains(), config=config, name="tries")


def expected(tiny, word, seeds):
    asked = [[{"role": "user", "content": word}]] * len(seeds)
    drawn = local.sample(tiny, asked, seeds=seeds, temperature=2.0, max_new_tokens=4)
    return [answer.text for answer in drawn]


def most_likely(tiny, word):
    return local.generate(tiny, [[{"role": "user", "content": word}]], max_new_tokens=4)[0].text


def run(tiny, task, folder):
    path = inspect_run.run(
        task, local=tiny, model_name="tiny", model_args={}, log_dir=folder, progress=lambda *told: None
    )
    return logs.read_answers(path)


def test_attempts_have_seeds_of_their_own_and_count_as_one_sample(tiny, tmp_path):
    third = expected(tiny, "klurit", [11, 12])[1]
    facts, answers = run(tiny, task(attempts(3, seed=9), {"klurit": third}, temperature=2.0, seed=9), tmp_path)
    assert (facts.planned, facts.scored, facts.correct) == (3, 3, 1)
    for word in WORDS:
        assert json.loads(answers[word, 1].text) == [most_likely(tiny, word), *expected(tiny, word, [11, 12])]
    assert answers["klurit", 1].correct


def test_each_epoch_has_its_own_seed(tiny, tmp_path):
    twice = task(attempts(seed=9), {}, temperature=2.0, seed=9)
    twice.epochs = 2
    _, answers = run(tiny, twice, tmp_path)
    assert [answers["mofan", epoch].text for epoch in (1, 2)] == expected(tiny, "mofan", [10, 11])


def test_an_attempt_that_only_another_seed_gives_changes_what_the_log_binds(tiny, tmp_path):
    one, _ = run(tiny, task(attempts(3, seed=9), {}, temperature=2.0, seed=9), tmp_path / "one")
    same, _ = run(tiny, task(attempts(3, seed=9), {}, temperature=2.0, seed=9), tmp_path / "same")
    other, _ = run(tiny, task(attempts(3, seed=8), {}, temperature=2.0, seed=9), tmp_path / "other")
    assert one.outcomes_digest == same.outcomes_digest != other.outcomes_digest


def test_no_attempt_is_no_answer():
    with pytest.raises(UsageError, match="cannot make 0 attempts"):
        attempts(0)
