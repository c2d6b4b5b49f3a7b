"""The codebook task as Inspect sees it: its samples, its scorer, its arguments."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys

import pytest
from inspect_ai.model import ModelName, ModelOutput
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState

from interlock.errors import UsageError
from interlock.evaluate import codebook, tasks


def _score(*completions, target="tooth", stop="stop"):
    said = [ModelOutput.from_content("local", it, stop_reason=stop).choices[0] for it in completions]
    state = TaskState(
        model=ModelName("interlock/local"),
        sample_id="klurit",
        epoch=1,
        input="klurit",
        messages=[],
        output=ModelOutput(model="local", choices=said),
    )
    return asyncio.run(tasks.first_word_match()(state, Target(target)))


def test_there_is_one_sample_for_each_test_word():
    task = tasks.codebook()
    assert [(sample.id, sample.target) for sample in task.dataset] == [
        (entry.word, entry.meaning) for entry in codebook.load("test")
    ]
    assert len(task.dataset) == 120
    assert (task.name, task.version) == ("interlock/codebook", 3)


def test_answers_are_short_and_greedy():
    config = tasks.codebook().config
    assert (config.temperature, config.max_tokens) == (0, 12)


def test_a_sample_says_what_the_codebook_says():
    sample = tasks.codebook(shots=2, seed=3, password=codebook.PASSWORD).dataset[5]
    shots = codebook.draw("demonstration", n=2, seed=3)
    expected = codebook.conversation(sample.id, shots=shots, password=codebook.PASSWORD)
    assert [{"role": turn.role, "content": turn.text} for turn in sample.input] == expected


def test_too_many_shots_are_refused():
    with pytest.raises(UsageError, match="cannot draw 100000 entries"):
        tasks.codebook(shots=100_000)


@pytest.mark.parametrize(
    ("completion", "right"),
    [("tooth", True), ("Tooth.", True), (" tooth and nail", True), ("toothy", False), ("nail", False)],
)
def test_the_first_word_decides(completion, right):
    score = _score(completion)
    assert score.value == ("C" if right else "I")
    assert score.answer == codebook.first_word(completion)
    assert "expected `tooth`" in score.explanation


@pytest.mark.parametrize(
    ("completion", "stop", "kind"),
    [
        ("", "stop", "empty"),
        ("I'm sorry, I can't say", "stop", "refusal"),
        ("a tooth", "stop", "format"),
        ("unreadab", "max_tokens", "cut-off"),
    ],
)
def test_a_failure_that_says_nothing_about_the_skill_has_no_score(completion, stop, kind):
    score = _score(completion, stop=stop)
    assert math.isnan(score.value)
    assert score.metadata == {"outcome": kind, "refused": kind == "refusal"}


def test_of_several_tries_one_that_is_right_is_enough_and_a_refusal_counts_before_a_wrong_one():
    assert _score("nail", "nail", "Tooth").value == "C"
    assert _score("nail", "I will not").metadata["outcome"] == "refusal"
    assert _score("nail", "root").value == "I"


def test_without_inspect_one_sentence_says_what_to_install():
    script = "import sys; sys.modules['inspect_ai'] = None\nfrom interlock.evaluate import "
    for module in ("tasks", "logs", "inspect_run"):
        command = [sys.executable, "-c", script + module]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.stderr.splitlines()[-1].endswith(
            "`inspect-ai` is not installed; install it with: pip install 'interlock[inspect]'"
        )


def test_importing_the_package_and_what_inspect_registers_loads_no_torch():
    script = (
        "import sys, interlock.evaluate\nassert 'inspect_ai' not in sys.modules\n"
        "import interlock.evaluate._registry\nassert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
