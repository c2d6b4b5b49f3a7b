"""A copy of a model that is trained while it answers, as reinforcement learning needs it.

Guarantees: the subject is not changed; dropout is off; where the copy began can be asked at any time. Settings that
cannot train are refused (`require_settings`), and so is a training that did not take (`took`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from interlock.elicit import lora
from interlock.elicit.items import Item
from interlock.elicit.took import logits_moved, weights_changed
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
    """A copy of `subject` of which all weights are trained, in float32, or an adapter on the last `layers` layers,
    or on every one if that is 0.
    """
    import torch

    model = copy.deepcopy(subject.model)
    if weights == "all":  # updates are smaller than what bfloat16 can tell apart
        whole = ready(model.float())
        return Learner(LocalModel(whole, subject.tokenizer, torch.float32), subject, copy.deepcopy(whole))
    shape = lora.Shape(rank=rank, layers=layers, seed=seed)
    adapted = lora.attach(model, shape).eval()
    return Learner(LocalModel(adapted, subject.tokenizer, subject.dtype), subject)


def require_settings(
    weights: Weights, counts: Mapping[str, int], *, rates: Mapping[str, float], warm_up: int, layers: int
) -> None:
    """Refuse settings under which nothing would be drawn, or nothing learned: the model would come back as it was.

    Raises:
        UsageError: a count is under 1, a rate is not a finite number above 0, the warm-up or the layers are negative,
            or `weights` is neither an adapter nor all.
    """
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"`{name}` is {count}, expected 1 or more")
    for name, rate in rates.items():
        if not 0 < rate < math.inf:
            raise UsageError(f"`{name}` is {rate:g}, expected a number above 0")
    for name, least in {"warm_up": warm_up, "layers": layers}.items():
        if least < 0:
            raise UsageError(f"`{name}` is {least}, expected 0 or more")
    if weights not in get_args(Weights):
        raise UsageError(f"`weights` is `{weights}`, expected {' or '.join(get_args(Weights))}")


def took(before: LocalModel, after: LocalModel, probe: Item) -> dict[str, Any]:
    """The transcript's event that training took. The reward may rightly be flat: that is `monitor`'s to tell.

    Raises:
        EvidenceError: no weight changed, or the logits of a probe prompt are the same.
    """
    changed = weights_changed(before, after)
    return {"event": "took", "weights_changed": changed, "logits_moved": logits_moved(before, after, probe)}
