"""Asking an adapted model questions and grading what it says, without the machinery of an evaluation.

The same prompts, the same greedy answers and the same grades as the Inspect task of these questions gives, which is
what signed results rest on; this way is for choosing settings on dev questions and for suites of many small models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interlock.elicit import budget, grading
from interlock.elicit.elicitor import Adapted
from interlock.elicit.items import Item, Turn
from interlock.evaluate import local


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one question, and whether it was right."""

    item: Item
    text: str
    correct: bool


def conversation(item: Item, shots: Sequence[Item] = ()) -> list[Turn]:
    """The messages that ask a question: its system message, one answered turn for each shot, its own turns."""
    system = [turn for turn in item.messages if turn["role"] == "system"]
    turns = [turn for turn in item.messages if turn["role"] != "system"]
    shown = [turn for shot in shots for turn in _solved(shot)]
    return [*system, *shown, *turns]


def ask(adapted: Adapted, items: Sequence[Item], *, grade: grading.Grade, max_new_tokens: int) -> tuple[Answer, ...]:
    """The greedy answers of a model, in the order of `items`.

    Raises:
        EvidenceError: the model gave numbers that are not finite.
    """
    asked = [conversation(item, adapted.shots) for item in items]
    said = local.generate(adapted.local, asked, max_new_tokens=max_new_tokens)
    pairs = zip(items, said, strict=True)
    return tuple(Answer(item, it.text, grading.correct(grade, it.text, item.target)) for item, it in pairs)


def cost(adapted: Adapted, items: Sequence[Item], *, max_new_tokens: int) -> int:
    """FLOP of `ask`, at most, but for rows that only fill a batch."""
    model = adapted.local.model
    asked = [local.encode(adapted.local, conversation(item, adapted.shots)) for item in items]
    width = max((len(tokens) for tokens in asked), default=0) + local.BUCKET + max_new_tokens
    return adapted.attempts * budget.forward(model, rows=len(items), width=width)


def _solved(shot: Item) -> list[Turn]:
    return [*(t for t in shot.messages if t["role"] != "system"), {"role": "assistant", "content": shot.target}]
