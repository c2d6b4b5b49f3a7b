"""A copy of a model that is trained while it answers, as reinforcement learning needs it.

Guarantees: the subject is not changed; dropout is off; where the copy began can be asked at any time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from interlock.elicit import lora
from interlock.errors import UsageError
from interlock.evaluate.local import LocalModel, ready

Weights = Literal["adapter", "all"]


@dataclass(frozen=True, slots=True)
class Learner:
    """The copy, and a second one of where it began if all weights are trained."""

    local: LocalModel
    _subject: LocalModel
    _began: Any = None

    @contextmanager
    def beginning(self) -> Iterator[Any]:
        """The model as it was before training, in the number format that the copy computes in."""
        if self._began is not None:
            yield self._began
            return
        with self.local.model.disable_adapter():
            yield self.local.model

    @contextmanager
    def answering(self) -> Iterator[LocalModel]:
        """The copy, quick at answering: frozen bfloat16 weights decode slowly (`local.ready`)."""
        frozen = [parameter for parameter in self.local.model.parameters() if not parameter.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_()
        try:
            yield self.local
        finally:
            for parameter in frozen:
                parameter.requires_grad_(requires_grad=False)

    def finished(self) -> LocalModel:
        """The trained model in the subject's number format. The copy is used up."""
        model = self.local.model
        merged = model.merge_and_unload() if self._began is None else model.to(self._subject.dtype)
        return LocalModel(ready(merged), self._subject.tokenizer, self._subject.dtype)


def learner(subject: LocalModel, weights: Weights, *, rank: int, layers: int, seed: int) -> Learner:
    """A copy of `subject` of which all weights are trained, in float32, or an adapter on the last `layers` layers.

    Raises:
        UsageError: `weights` is neither.
    """
    import torch

    if weights not in get_args(Weights):
        raise UsageError(f"cannot train the weights `{weights}`, expected {' or '.join(get_args(Weights))}")
    model = copy.deepcopy(subject.model)
    if weights == "all":  # updates are smaller than what bfloat16 can tell apart
        whole = ready(model.float())
        return Learner(LocalModel(whole, subject.tokenizer, torch.float32), subject, copy.deepcopy(whole))
    shape = lora.Shape(rank=rank, layers=layers, seed=seed)
    adapted = lora.attach(model, shape).eval()
    return Learner(LocalModel(adapted, subject.tokenizer, subject.dtype), subject)
