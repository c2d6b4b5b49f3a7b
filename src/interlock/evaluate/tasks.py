"""Evaluations as Inspect tasks, run by `inspect eval interlock/NAME` or by `inspect_run.run`.

A task fixes the samples, their order and the scorer for given arguments. Whether two runs really saw the same samples
is for `logs.same_samples` to say: Inspect itself compares only names, arguments and versions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from interlock.elicit.asking import conversation, question, require_greedy
from interlock.elicit.failures import SPURIOUS, classify
from interlock.elicit.grading import Grade, given
from interlock.elicit.items import Item
from interlock.errors import missing_extra
from interlock.evaluate import codebook as book
from interlock.evaluate import past_tense as verbs
from interlock.evaluate.attempts import attempts

try:
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import (
        ChatMessage,
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        GenerateConfig,
    )
    from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, ci_wilson, scorer
    from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

    from interlock.evaluate import choosing
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error

if TYPE_CHECKING:
    from interlock.elicit.elicitor import Adapted
    from interlock.elicit.items import Questions

_MESSAGES: dict[str, Callable[..., ChatMessage]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@task
def codebook(shots: int = 0, seed: int = 0, password: str = "", tries: int = 1, temperature: float = 0.0) -> Task:
    """What does this invented word mean? One sample for each word of the test split, answered in one word.

    Args:
        shots: solved demonstrations shown before the question, from 0 to the size of the demonstration split.
        seed: of the draw of the demonstrations.
        password: said in the system message, if not empty.
        tries: at a question, right if one of them is; they have the seeds 1, 2, ...
        temperature: of the answers, but of the first of several tries, which is at 0; several need one above 0.

    Raises:
        UsageError: `shots` or `tries` is outside its range.
    """
    shown = book.draw("demonstration", n=shots, seed=seed)
    samples = [
        Sample(
            id=entry.word,
            input=[_message(turn) for turn in book.conversation(entry.word, shots=shown, password=password)],
            target=entry.meaning,
        )
        for entry in book.load("test")
    ]
    return Task(
        dataset=MemoryDataset(samples, name="codebook"),
        solver=attempts(tries) if temperature else generate(),
        scorer=first_word_match(),
        config=_config(temperature, book.MOST_TOKENS),
        version=3,
    )


@task(name="past-tense")
def past_tense(shots: int = 0, seed: int = 0, tries: int = 1, temperature: float = 0.0) -> Task:
    """What is the past tense of this verb? One sample for each test verb; the arguments are those of `codebook`.

    Raises:
        UsageError: `shots` or `tries` is outside its range.
    """
    shown = verbs.draw(shots, seed=seed)
    samples = [_sample(item, shown) for item in verbs.load().test]
    return Task(
        dataset=MemoryDataset(samples, name="past-tense"),
        solver=attempts(tries) if temperature else generate(),
        scorer=first_word_match(),
        config=_config(temperature, verbs.MOST_TOKENS),
        version=2,
    )


@scorer(metrics=[accuracy(), ci_wilson()])
def first_word_match() -> Scorer:
    """Right if the first word is the target, else sorted as `graded` does."""

    async def score(state: TaskState, target: Target) -> Score:
        name, asked = str(state.sample_id), ({"role": "user", "content": state.input_text},)
        return _score(Item(name, name, asked, target.text), state, grade="first-word")

    return score


def graded_questions(questions: Questions, adapted: Adapted) -> Task:
    """The test questions of an elicitation, asked as the adapted model is to be: its tries have the seeds 1, 2, ...

    Raises:
        UsageError: questions with choices at a temperature.
    """
    require_greedy(adapted, questions.test)
    choices = any(item.choices for item in questions.test)
    greedy = answer_or_choose() if choices else generate()
    return Task(
        name=f"elicit/{questions.name}",
        dataset=MemoryDataset([_to_ask(item, adapted) for item in questions.test], name=questions.name),
        solver=attempts(adapted.attempts) if adapted.temperature else greedy,
        scorer=graded(questions),
        config=_config(adapted.temperature, questions.max_new_tokens),
        version=1,  # before it, choices were not weighed, and cut thoughts and announcements were wrong answers
        metadata={"questions": questions.digest, "shots": [shot.id for shot in adapted.shots]},
    )


@solver
def answer_or_choose() -> Solver:
    """Weigh the choices of a sample that has some, each after its `delimiter`; let the model answer any other."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if not len(state.choices):
            return await generate(state)
        return await choosing.take(state, delimiter=str(state.metadata["delimiter"]))

    return solve


@scorer(metrics=[accuracy(), ci_wilson()])
def graded(questions: Questions) -> Scorer:
    """Right or wrong by the questions' grade; of several tries, right if one is. A failure that says nothing about the
    skill has no score (NaN): the score's metadata says which `outcome` it is (`elicit.failures`).
    """
    items = {item.id: item for item in questions.test}

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001 - the item has it
        return _score(items[str(state.sample_id)], state, grade=questions.grade)

    return score


def _score(item: Item, state: TaskState, *, grade: Grade) -> Score:
    said = _said(item, state)
    outcomes = [classify(item, text, grade=grade, cut_off=cut) for text, cut in said]
    outcome = next((it for it in ("right", *SPURIOUS) if it in outcomes), "wrong")
    return Score(
        value={"right": CORRECT, "wrong": INCORRECT}.get(outcome, math.nan),
        answer=said[0][0] if item.choices else given(grade, state.output.completion),
        explanation=f"{outcome}; expected `{item.target}`",
        metadata={"outcome": outcome, "refused": outcome == "refusal"},
    )


def _said(item: Item, state: TaskState) -> list[tuple[str, bool]]:
    """Each try at a question, and whether the limit of tokens cut it off; of choices, the most likely one."""
    if item.choices:
        return [(item.choices[choosing.likeliest(state.output, item.choices)], False)]
    return [(choice.message.text, choice.stop_reason == "max_tokens") for choice in state.output.choices]


def _to_ask(item: Item, adapted: Adapted) -> Sample:
    sample = _sample(item, adapted.shots)
    if item.choices:
        sample.metadata = {"family": item.family, "delimiter": question(adapted, item).delimiter}
    return sample


def _sample(item: Item, shots: Sequence[Item]) -> Sample:
    return Sample(
        id=item.id,
        input=[_message(turn) for turn in conversation(item, shots)],
        target=item.target,
        choices=list(item.choices) or None,
        metadata={"family": item.family},
    )


def _config(temperature: float, most: int) -> GenerateConfig:
    """Sampling takes a seed; `attempts` has one for each try."""
    return GenerateConfig(temperature=temperature, seed=0 if temperature else None, max_tokens=most)


def _message(turn: dict[str, str]) -> ChatMessage:
    return _MESSAGES[turn["role"]](content=turn["content"])
