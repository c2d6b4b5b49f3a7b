"""An adapter of low rank (LoRA, Hu et al. 2021, arXiv:2106.09685) on the last layers of a model, or on all."""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlock.elicit import decoder
from interlock.evaluate.local import quiet


@dataclass(frozen=True, slots=True)
class Shape:
    """Where an adapter goes, and the seed of its initial weights."""

    rank: int  # inner dimension of each pair of adapter matrices
    layers: int  # how many of the last layers get an adapter; 0: every one
    seed: int = 0

    def lowest(self, model: Any) -> int:
        """The lowest layer of a model that gets an adapter, counted from 0."""
        return max(0, int(model.config.num_hidden_layers) - self.layers) if self.layers else 0


def adapters(told: Mapping[str, Any]) -> list[int]:
    """On how many of the last layers each adapter is that an elicitor trains, alone or in a chain, by its settings
    (`Elicitor.describe`); 0: on every one.
    """
    own = [int(told["layers"])] if told.get("weights") == "adapter" else []
    return own + [layers for part in told.get("parts", ()) for layers in adapters(part["settings"])]


def attach(model: Any, shape: Shape) -> Any:
    """`model` with a fresh adapter on every linear map of its last layers (a peft model), which changes nothing yet.

    Raises:
        UsageError: the model's layers, or linear maps in them, cannot be found, or they have matrices of another kind.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    names = decoder.linear_maps(model, lowest=shape.lowest(model))
    turned = any(decoder.is_turned(part) for part in model.modules())
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=2 * shape.rank,
        target_modules=names,
        fan_in_fan_out=turned,
        task_type="CAUSAL_LM",
    )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(shape.seed)
        return get_peft_model(model, config)
