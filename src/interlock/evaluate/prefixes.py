"""What prompts begin with, computed once: keys and values of all messages but the last.

Guarantees: where a prompt is cut is decided by the prompt alone, and what is in front of the cut is computed by itself,
in its exact length; so nothing here depends on which other prompts there are.
What it leaves to the caller: passes over what is behind the cut, in shapes that follow from the prompt.
"""

# ruff: noqa: ANN401 - models and caches of transformers have no static types worth naming

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

_KEPT = 4  # shared parts kept at a time


def cut(shared: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens a prompt has in common with what is shared. At least one token is left behind them."""
    return min(same(shared, prompt), len(prompt) - 1)


def same(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    for place, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return place
    return min(len(a), len(b))


class Prefixes:
    """A model's keys and values of the shared parts that were asked for last."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def rows(self, prefixes: Sequence[tuple[int, ...]]) -> Any:
        """A cache that starts, in each row, with a shared part; all have one length. An empty one where that is 0."""
        import torch
        from transformers import DynamicCache

        wide = DynamicCache()
        if prefixes[0]:
            caches = [self._of(prefix) for prefix in prefixes]
            alone = all(cache is caches[0] for cache in caches)
            for place in range(len(caches[0].layers)):
                layers = [cache.layers[place] for cache in caches]
                both = [[layer.keys for layer in layers], [layer.values for layer in layers]]
                keys, values = (told[0].expand(len(layers), -1, -1, -1) if alone else torch.cat(told) for told in both)
                wide.update(keys, values, place)
        return wide

    def clear(self) -> None:
        """Forget all that is kept."""
        self._kept.clear()

    def _of(self, prefix: tuple[int, ...]) -> Any:
        import torch
        from transformers import DynamicCache

        if prefix not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.popitem(last=False)
            cache = DynamicCache()
            self._model(input_ids=torch.tensor([prefix]), past_key_values=cache, use_cache=True, logits_to_keep=1)
            self._kept[prefix] = cache
        self._kept.move_to_end(prefix)
        return self._kept[prefix]


def suits(model: Any) -> bool:
    """Whether the model's layers all keep plain keys and values of all that came before: no window, no recurrence."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    return kinds == {"full_attention"} and not windowed and not getattr(model, "_is_stateful", False)
