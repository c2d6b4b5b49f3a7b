"""The one fine-tuning that checks use: short, on few demonstrations, nothing chosen, alike for every model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.elicit.checks.check import Case, cut_off, fewer
from interlock.elicit.elicitor import Adapted, under
from interlock.elicit.items import Item, Material
from interlock.elicit.supervised import Supervised
from interlock.evaluate.local import LocalModel, ready

#: The adapter's rate is higher than on large models: tiny ones do not move at less.
RECIPE = Supervised(steps=32, learning_rates=(3e-3,))
DEMONSTRATIONS = 16


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a fine-tuning gave, and that the budget ended it; an empty text: it did not."""

    adapted: Adapted
    cut_off: str = ""


def tuned(case: Case, model: LocalModel, demonstrations: Sequence[Item], stage: str) -> Tuned:
    """`model`, fine-tuned on these demonstrations.

    Raises:
        UsageError, OutOfBudgetError, EvidenceError: as `Supervised.elicit`.
    """
    questions = case.questions
    material = Material(tuple(demonstrations), (), questions.grade, questions.max_new_tokens)
    done = RECIPE.elicit(
        model, material, meter=case.meter, seed=case.seed, work=None, progress=under(stage, case.progress)
    )
    return Tuned(done.adapted, cut_off(done.transcript))


def few(case: Case) -> str:
    """That there are fewer demonstrations than a check fine-tunes on; empty: there are enough."""
    return fewer(len(case.questions.demonstrations), DEMONSTRATIONS, "demonstrations to train on")


def untrained(like: LocalModel, *, seed: int) -> LocalModel:
    """A model of the same architecture with weights that were never trained: the control where there is no better one.

    Every matrix is drawn anew, with its own standard deviation; vectors (norms, biases) stay. Those of its norms are a
    trace of training, which holds no facts.
    """
    import torch

    model = copy.deepcopy(like.model)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.copy_(parameter.float().std() * torch.randn(parameter.shape, generator=source))
    return LocalModel(ready(model), like.tokenizer, like.dtype)
