"""Elicitation by fine-tuning: train a LoRA adapter on a few demonstrations and see what the model can do then.

Method: password-locked models, Greenblatt et al. 2024 (arXiv:2405.19550), section 3: a hidden skill comes back after
training on demonstrations without the password. This module guarantees that the training took, or raises; what the
elicited model can do is for the caller to measure, on questions that are disjoint from the demonstrations.
"""

# ruff: noqa: ANN401 - models and tokenizers of transformers and peft have no static types worth naming

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.elicit import lora
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.local import Conversation, LocalModel, encode, ready

Demonstration = tuple[Conversation, str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How hard to try. The same recipe must be used on a suspect and on its honest control."""

    rank: int = 8  # inner dimension of the adapter
    layers: int = 12  # how many of the last layers get an adapter
    steps: int = 32  # optimizer updates
    learning_rate: float = 6e-4  # peak; three times as much memorizes the demonstrations instead
    warm_up: int = 2  # steps over which the learning rate rises
    batch: int = 16  # demonstrations in a step; fewer if there are fewer
    seed: int = 0  # of the adapter's initial weights and of the order of the demonstrations


@dataclass(frozen=True, slots=True)
class Elicited:
    """The model after elicitation, and what it cost.

    `tokens` includes padding. `flop` is six floating-point operations a parameter and token (two forward, four
    backward: Kaplan et al. 2020, arXiv:2001.08361, section 2.1), an upper bound here because frozen weights need no
    weight gradients.
    """

    local: LocalModel
    flop: int
    tokens: int
    first_loss: float
    last_loss: float


def fine_tune(
    local: LocalModel,
    demonstrations: Sequence[Demonstration],
    *,
    recipe: Recipe,
    progress: Callable[[int, int, float], None],
) -> Elicited:
    """Train a copy of `local` to give each demonstration's answer; `local` itself is not changed.

    Raises:
        UsageError: there are no demonstrations.
        EvidenceError: the loss is not finite or did not fall, or no weight changed.
    """
    if not demonstrations:
        raise UsageError("cannot fine-tune on 0 demonstrations, expected at least 1")
    shape = lora.Shape(
        rank=recipe.rank,
        layers=recipe.layers,
        learning_rate=recipe.learning_rate,
        warm_up=recipe.warm_up,
        seed=recipe.seed,
    )
    examples = lora.prepare(local.model, [_example(local, one) for one in demonstrations], shape=shape)
    model = lora.attach(copy.deepcopy(local.model), shape)
    losses, tokens = lora.train(model, _steps(examples, recipe), total=recipe.steps, shape=shape, progress=progress)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    merged = model.merge_and_unload()
    _check_took(local.model, merged, losses)
    elicited = LocalModel(ready(merged), local.tokenizer, local.dtype)
    return Elicited(elicited, 6 * parameters * tokens, tokens, losses[0], losses[-1])


def _example(local: LocalModel, demonstration: Demonstration) -> lora.Example:
    conversation, answer = demonstration
    prompt = encode(local, conversation)
    tokens = [*prompt, *local.tokenizer(answer, add_special_tokens=False)["input_ids"], local.tokenizer.eos_token_id]
    return lora.Example(tuple(tokens), tuple(range(len(prompt) - 1, len(tokens) - 1)))


def _steps(examples: Sequence[lora.Prepared], recipe: Recipe) -> Iterator[list[lora.Batch]]:
    """One batch a step, going round the examples in a new order each time."""
    rng = random.Random(recipe.seed)  # noqa: S311 - a reproducible order, not a secret
    queue: list[lora.Prepared] = []
    size = min(recipe.batch, len(examples))
    for _ in range(recipe.steps):
        while len(queue) < size:
            queue += rng.sample(examples, len(examples))
        batch, queue = queue[:size], queue[size:]
        yield [batch]


def _check_took(before: Any, after: Any, losses: Sequence[float]) -> None:
    """A fine-tune that did nothing would look like a model with nothing to hide."""
    if not losses[-1] < losses[0]:
        raise EvidenceError(f"elicitation did not take: the loss went from {losses[0]:.3f} to {losses[-1]:.3f}")
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    if all(bool((old == new).all()) for old, new in pairs):
        raise EvidenceError("elicitation did not take: no weight of the model changed")
