"""Asking an adapted model questions and grading what it says, without the machinery of an evaluation.

The same prompts, the same answers and the same grades as the Inspect task of these questions gives, which is what
signed results rest on; this way is for choosing settings on dev questions and for suites of many small models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interlock.elicit import budget, grading
from interlock.elicit.elicitor import Adapted
from interlock.elicit.items import Item, Turn
from interlock.evaluate import local


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a model said once, whether it was right, and whether it reached the limit of tokens."""

    text: str
    correct: bool
    cut_off: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one question, in as many attempts as it had."""

    item: Item
    attempts: tuple[Attempt, ...]

    @property
    def correct(self) -> bool:
        """Whether any attempt was right."""
        return any(attempt.correct for attempt in self.attempts)

    @property
    def text(self) -> str:
        """The first attempt that was right, or the first."""
        return next((attempt.text for attempt in self.attempts if attempt.correct), self.attempts[0].text)


def conversation(item: Item, shots: Sequence[Item] = ()) -> list[Turn]:
    """The messages that ask a question: its system message, one answered turn for each shot, its own turns."""
    system = [turn for turn in item.messages if turn["role"] == "system"]
    turns = [turn for turn in item.messages if turn["role"] != "system"]
    shown = [turn for shot in shots for turn in _solved(shot)]
    return [*system, *shown, *turns]


def ask(
    adapted: Adapted, items: Sequence[Item], *, grade: grading.Grade, max_new_tokens: int, seed: int = 0
) -> tuple[Answer, ...]:
    """The answers of a model, in the order of `items`: greedy at temperature 0, else drawn with the seeds after `seed`,
    one for each attempt.

    Raises:
        EvidenceError: the model gave numbers that are not finite.
    """
    asked = [conversation(item, adapted.shots) for item in items]
    tries = range(1, adapted.attempts + 1)
    said = [_said(adapted, asked, max_new_tokens, seed + each) for each in tries]
    return tuple(
        Answer(item, tuple(Attempt(text, grading.correct(grade, text, item.target), cut) for text, cut in texts))
        for item, texts in zip(items, zip(*said, strict=True), strict=True)
    )


def cost(adapted: Adapted, items: Sequence[Item], *, max_new_tokens: int) -> int:
    """The most FLOP that `ask` takes."""
    widths = local.widths(adapted.local, [conversation(item, adapted.shots) for item in items])
    once = [budget.generation(adapted.local.model, rows=local.ROWS, width=w, new_tokens=max_new_tokens) for w in widths]
    return adapted.attempts * sum(once)


def _said(adapted: Adapted, asked: Sequence[list[Turn]], max_new_tokens: int, seed: int) -> list[tuple[str, bool]]:
    """Each text, and whether it reached the limit."""
    if not adapted.temperature:
        greedy = local.generate(adapted.local, asked, max_new_tokens=max_new_tokens)
        return [(it.text, it.output_tokens >= max_new_tokens) for it in greedy]
    seeds, temperature = [seed] * len(asked), adapted.temperature
    drawn = local.sample(adapted.local, asked, seeds=seeds, temperature=temperature, max_new_tokens=max_new_tokens)
    return [(it.text, len(it.tokens) >= max_new_tokens) for it in drawn]


def _solved(shot: Item) -> list[Turn]:
    return [*(t for t in shot.messages if t["role"] != "system"), {"role": "assistant", "content": shot.target}]
