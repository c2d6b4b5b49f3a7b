"""Sampled answers to training questions, graded, and how probable a model finds them.

Guarantees: which questions a step takes, and what is drawn, are functions of the seed, the step and the model as it
then is; grading sees the whole answer; nothing is drawn that the meter does not afford.
"""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.elicit import budget, grading
from interlock.elicit.items import Item, require_open
from interlock.evaluate import local
from interlock.evaluate.local import LocalModel, Sampled

if TYPE_CHECKING:
    import torch

ROWS = 16  # answers in one forward pass
BUCKET = 16  # lengths are padded to a multiple of this


@dataclass(frozen=True, slots=True)
class Draws:
    """How answers are drawn: so many to a question, at this temperature, at most so long."""

    count: int
    temperature: float
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Group:
    """Answers to one question and what each earned: 1 if it is right, else 0. `said` is what was graded of each."""

    item: Item
    answers: tuple[Sampled, ...]
    rewards: tuple[float, ...]
    said: tuple[str, ...]


def turn(items: Sequence[Item], *, step: int, size: int, seed: int) -> list[Item]:
    """The questions of a step: round and round, in a new order each time."""
    taken = []
    for place in range(step * size, (step + 1) * size):
        order = list(items)
        random.Random(f"{seed}/{place // len(items)}").shuffle(order)  # noqa: S311 - a reproducible order
        taken.append(order[place % len(items)])
    return taken


def draw(model: LocalModel, items: Sequence[Item], draws: Draws, *, grade: grading.Grade, stream: str) -> list[Group]:
    """One group of graded answers for each question. Other streams draw other answers.

    Raises:
        UsageError: a question has choices.
        EvidenceError: the model gave numbers that are not finite.
    """
    require_open(items, by="learning from drawn answers")
    asked = [item.messages for item in items for _ in range(draws.count)]
    seeds = [_seed(stream, place) for place in range(len(asked))]
    said = local.sample(model, asked, seeds=seeds, temperature=draws.temperature, max_new_tokens=draws.max_new_tokens)
    groups = [said[start : start + draws.count] for start in range(0, len(said), draws.count)]
    return [_graded(item, answers, grade) for item, answers in zip(items, groups, strict=True)]


def cost_of_drawing(model: LocalModel, items: Sequence[Item], draws: Draws) -> int:
    """The most FLOP that `draw` takes."""
    asked = [item.messages for item in items for _ in range(draws.count)]
    return sum(
        budget.generation(model.model, rows=local.ROWS, width=width, new_tokens=draws.max_new_tokens)
        for width in local.widths(model, asked)
    )


def log_probabilities(model: Any, answers: Sequence[Sampled], *, temperature: float) -> list[torch.Tensor]:
    """For each answer, the natural logarithm of each of its tokens' probability at a temperature: (tokens of it).

    One forward pass; logits are computed from the end of the shortest prompt on.
    """
    import torch

    wide = width(answers)
    rows = [[*answer.prompt, *answer.tokens] for answer in answers]
    ids = torch.tensor([[*row, *[0] * (wide - len(row))] for row in rows])  # on the right, where causality masks it
    first = min(len(answer.prompt) for answer in answers) - 1
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=wide - first).logits
    chances = (logits.float() / temperature).log_softmax(-1)
    found = []
    for row, answer in enumerate(answers):
        start = len(answer.prompt) - 1 - first
        tokens = torch.tensor(answer.tokens)[:, None]
        found.append(chances[row, start : start + len(answer.tokens)].gather(-1, tokens)[:, 0])
    return found


def width(answers: Sequence[Sampled]) -> int:
    """The padded width, in tokens, of a forward pass over answers with their prompts."""
    longest = max(len(answer.prompt) + len(answer.tokens) for answer in answers)
    return -(-longest // BUCKET) * BUCKET


def most_width(model: LocalModel, items: Sequence[Item], draws: Draws) -> int:
    """The most that `width` can be of answers to these questions."""
    longest = max(len(local.encode(model, item.messages)) for item in items) + draws.max_new_tokens
    return -(-longest // BUCKET) * BUCKET


def _graded(item: Item, answers: Sequence[Sampled], grade: grading.Grade) -> Group:
    rewards = tuple(float(grading.correct(grade, answer.text, item.target)) for answer in answers)
    return Group(item, tuple(answers), rewards, tuple(grading.given(grade, answer.text) for answer in answers))


def _seed(stream: str, place: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{stream}/{place}".encode()).digest()[:8])
