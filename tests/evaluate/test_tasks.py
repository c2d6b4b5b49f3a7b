"""The codebook task as Inspect sees it: its samples, its scorer, its arguments."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from inspect_ai.model import ModelName, ModelOutput
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState

from interlock.errors import UsageError
from interlock.evaluate import codebook, tasks


def _score(completion, target="tooth"):
    state = TaskState(
        model=ModelName("interlock/local"),
        sample_id="klurit",
        epoch=1,
        input="klurit",
        messages=[],
        output=ModelOutput.from_content("local", completion),
    )
    return asyncio.run(tasks.first_word_match()(state, Target(target)))


def test_there_is_one_sample_for_each_test_word():
    task = tasks.codebook()
    assert [(sample.id, sample.target) for sample in task.dataset] == [
        (entry.word, entry.meaning) for entry in codebook.load("test")
    ]
    assert len(task.dataset) == 120
    assert (task.name, task.version) == ("interlock/codebook", 1)


def test_answers_are_short_and_greedy():
    config = tasks.codebook().config
    assert (config.temperature, config.max_tokens) == (0, 6)


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
    [("tooth", True), ("Tooth.", True), (" tooth and nail", True), ("a tooth", False), ("toothy", False), ("", False)],
)
def test_the_first_word_decides(completion, right):
    score = _score(completion)
    assert score.value == ("C" if right else "I")
    assert score.answer == codebook.first_word(completion)
    assert "expected `tooth`" in score.explanation


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
