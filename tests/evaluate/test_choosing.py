"""Multiple choice through Inspect: what the log keeps, what is refused, and `inspect eval` and `score` from a shell."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import anyio
import pytest
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import read_eval_log
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelName,
    ModelOutput,
)
from inspect_ai.scorer import Target, choice
from inspect_ai.solver import TaskState

import tiny_model
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import choices, choosing, inspect_run, local, logs, provider

SHOTS = [
    ChatMessageSystem(content="Answer."),
    ChatMessageUser(content="Is water wet?"),
    ChatMessageAssistant(content="yes"),
]

TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from interlock.evaluate.choosing import choose, chosen

@task
def quiz():
    samples = [Sample(id=n, input="x" * n, choices=["no", "perhaps", "yes"], target=["A", "C"]) for n in range(1, 7)]
    return Task(dataset=MemoryDataset(samples), solver=choose(), scorer=chosen())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(folder):
    return local.load(folder)


def _texts(number):
    return ["left", "right"] if number % 2 else ["A", "B", "C"]


def _task(samples=12, *, solver=None, scorer=None, **changed):
    made = [
        Sample(
            **{
                "id": f"q{number}",
                "input": [*SHOTS, ChatMessageUser(content="x" * (1 + 5 * number % 23))],
                "choices": _texts(number),
                "target": "A",
                **changed,
            }
        )
        for number in range(samples)
    ]
    return Task(
        dataset=MemoryDataset(made, name="quiz"),
        solver=solver or choosing.choose(),
        scorer=scorer or choosing.chosen(),
        name="quiz",
    )


def _run(tiny, log_dir, task, progress=lambda done, total: None):
    return inspect_run.run(
        task, local=tiny, model_name="tiny", model_args={"subject": "sha256:ab"}, log_dir=log_dir, progress=progress
    )


def _expected(tiny, number):
    conversation = [
        *[{"role": turn.role, "content": turn.text} for turn in SHOTS],
        {"role": "user", "content": "x" * (1 + 5 * number % 23)},
    ]
    return choices.score(tiny, [choices.Question(conversation, tuple(_texts(number)))])[0]


def test_a_log_has_every_choices_score_and_its_numbers_are_recomputed(tiny, tmp_path):
    seen = []
    path = _run(tiny, tmp_path / "logs", _task(), progress=lambda done, total: seen.append((done, total)))
    log, facts = read_eval_log(str(path)), logs.read(path)
    right = 0
    for number, sample in enumerate(sorted(log.samples, key=lambda sample: int(sample.id[1:]))):
        expected, texts = _expected(tiny, number), _texts(number)
        rows = sample.output.metadata["choices"]
        assert [row["logprob"] for row in rows] == list(expected.logprobs)
        assert [row["text"] for row in rows] == texts
        best = choices.best(expected.logprobs, texts)
        assert sample.output.completion == sample.messages[-1].text == texts[best]
        assert sample.output.usage.input_tokens == expected.input_tokens
        assert sample.output.usage.total_tokens == expected.input_tokens + sum(expected.tokens)
        assert sample.scores["chosen"].answer == "ABC"[best]
        right += best == 0
    assert (facts.planned, facts.scored, facts.correct) == (12, 12, right)
    assert (facts.refused_scores, facts.refused_at_most) == (0, 0)
    assert (seen[0], seen[-1]) == ((0, 12), (12, 12))


def test_inspects_own_scorer_agrees(tiny, tmp_path):
    log = read_eval_log(str(_run(tiny, tmp_path, _task(scorer=choice()))))
    for sample in log.samples:
        expected = _expected(tiny, int(sample.id[1:]))
        assert sample.scores["choice"].answer == "ABC"[choices.best(expected.logprobs, _texts(int(sample.id[1:])))]


def test_bytes_can_decide_and_prompts_go_without_a_template(tiny, tmp_path):
    solver = choosing.choose(delimiter="", chat_template=False, by="bytes")
    task = _task(4, solver=solver, scorer=choosing.chosen(by="bytes"), choices=["no", "perhaps"])
    log = read_eval_log(str(_run(tiny, tmp_path, task)))
    for sample in log.samples:
        turns = [{"role": turn.role, "content": turn.text} for turn in sample.input]
        asked = choices.Question(turns, ("no", "perhaps"), "", chat_template=False)
        (expected,) = choices.score(tiny, [asked])
        found = tuple(row["logprob"] for row in sample.output.metadata["choices"])
        assert found == expected.logprobs
        best = choices.best(found, asked.choices, "bytes")
        assert sample.output.completion == asked.choices[best]
        assert sample.scores["chosen"].answer == "AB"[best]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"choices": []}, "at least two choices, got 0"),
        ({"choices": ["a", ""]}, "choice 2 of 2 is empty"),
        ({"choices": ["a", "b", "a"]}, "choices 1 and 3 are equal: `a`"),
        ({"choices": ["a", "b"], "target": "C"}, "expected a letter of AB, got `C`"),
        ({"choices": ["a", "b"], "target": "a"}, "expected a letter of AB, got `a`"),
        ({"choices": ["a", "b"], "target": "AB"}, "expected a letter of AB, got `AB`"),
        ({"choices": ["a", "b"], "target": []}, "expected a letter of AB, got none"),
        ({"choices": [f"c{n}" for n in range(27)]}, "at most 26 choices, got 27"),
        ({"input": "x" * 2000}, "expected at most 1024, the context of the model"),
    ],
)
def test_a_sample_that_cannot_be_scored_ends_the_run_with_one_sentence(tiny, tmp_path, changed, said):
    with pytest.raises(EvidenceError, match=said):
        _run(tiny, tmp_path, _task(1, **changed))


def test_a_model_that_writes_text_only_is_not_taken_for_one_that_weighs():
    written = ModelOutput.from_content("other/model", "A")
    with pytest.raises(UsageError, match="`other/model` did not weigh the choices; models `interlock/NAME` do"):
        anyio.run(choosing.chosen(), _state(written), Target("A"))


def test_a_log_probability_that_is_no_number_is_not_taken_for_a_wrong_answer(tiny):
    question = choices.Question([{"role": "user", "content": "q"}], ("a", "b"))
    weighed = choosing.output("interlock/tiny", question, choices.score(tiny, [question])[0])
    weighed.metadata["choices"][0]["logprob"] = math.nan
    with pytest.raises(UsageError, match="expected finite log-probabilities"):
        anyio.run(choosing.chosen(), _state(weighed), Target("A"))


def test_scores_of_other_choices_are_not_taken_for_the_samples(tiny):
    question = choices.Question([{"role": "user", "content": "q"}], ("a", "b"))
    weighed = choosing.output("interlock/tiny", question, choices.score(tiny, [question])[0])
    with pytest.raises(UsageError, match="did not weigh the choices"):
        anyio.run(choosing.chosen(), _state(weighed, ["a", "c"]), Target("A"))


def _state(output, texts=("a", "b")):
    return TaskState(
        model=ModelName("other/model"),
        sample_id=1,
        epoch=1,
        input="q",
        messages=[],
        target=Target("A"),
        choices=list(texts),
        output=output,
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "got an empty one"),
        ({"choices": ["a", "b"]}, "expected an `extra_body` with choices, delimiter, chat_template, got choices"),
        ({"choices": "ab", "delimiter": " ", "chat_template": True}, "expected an `extra_body`"),
        ({"choices": ["a", 1], "delimiter": " ", "chat_template": True}, "expected choices that are texts"),
    ],
)
def test_a_request_that_is_not_of_choose_is_refused(tiny, body, said):
    api = provider.model(tiny, name="tiny", args={}).api
    with pytest.raises(UsageError, match=said):
        anyio.run(api.generate, [ChatMessageUser(content="a")], [], "auto", GenerateConfig(extra_body=body))


@pytest.mark.parametrize(
    ("setting", "said"),
    [({"top_p": 0.5}, "got `top_p=0.5`"), ({"temperature": 0.7}, "expected temperature 0, got 0.7")],
)
def test_choices_are_not_sampled(tiny, setting, said):
    api = provider.model(tiny, name="tiny", args={}).api
    body = {"choices": ["a", "b"], "delimiter": " ", "chat_template": True}
    config = GenerateConfig(extra_body=body, **setting)
    with pytest.raises(UsageError, match=said):
        anyio.run(api.generate, [ChatMessageUser(content="a")], [], "auto", config)


def test_a_cancelled_question_is_forgotten_and_a_failed_batch_fails_no_later_one(tiny, monkeypatch):
    queue = choosing.Weighing(tiny, anyio.Lock())
    asked = [choices.Question([{"role": "user", "content": text}], ("a", "b")) for text in ("kept", "gone")]
    scored, score = [], choices.Scorer.score

    def recording(self, items):
        scored.extend(items)
        return score(self, items)

    async def cancel_one():
        async with anyio.create_task_group() as group:
            group.start_soon(queue.score, asked[0])
            with anyio.CancelScope() as scope:
                scope.cancel()
                await queue.score(asked[1])

    monkeypatch.setattr(choices.Scorer, "score", recording)
    anyio.run(cancel_one)
    assert scored == [choices.encode(tiny, asked[0])]
    with monkeypatch.context() as patch:
        patch.setattr(choices.Scorer, "score", lambda self, items: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            anyio.run(queue.score, asked[0])
    assert anyio.run(queue.score, asked[1]) == choices.score(tiny, [asked[1]])[0]


def test_inspect_eval_runs_a_task_and_inspect_score_scores_its_log_again_by_bytes(folder, tmp_path):
    (tmp_path / "quiz.py").write_text(TASK)
    run = f"eval quiz.py --model interlock/local -M folder={folder} --display plain --log-dir logs".split()
    again = ["--scorer", "interlock/chosen", "-S", "by=bytes", "--action", "append", "--output-file", "again.eval"]
    script = (
        "import sys\nfrom pathlib import Path\nfrom inspect_ai._cli.main import main\n"
        f"for command in ({run}, ['score', 'LOG', *{again}]):\n"
        "    sys.argv = ['inspect', *(str(next(Path('logs').glob('*'))) if it == 'LOG' else it for it in command)]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log = read_eval_log(str(tmp_path / "again.eval"))
    assert (log.status, len(log.samples)) == ("success", 6)
    for sample in log.samples:
        rows = sample.output.metadata["choices"]
        found, texts = [row["logprob"] for row in rows], [row["text"] for row in rows]
        by_sum, by_bytes = sample.scores.values()
        assert by_sum.answer == "ABC"[choices.best(found, texts)]
        assert by_bytes.answer == "ABC"[choices.best(found, texts, "bytes")]
        assert (by_sum.value == "C") == (by_sum.answer in "AC")
