"""FLOP as torch counts them in real passes, and whether the formula agrees.

torch's counter knows operations by name, and one that it does not know counts for nothing. In torch 2.13 that is so of
fused attention on a CPU and of grouped products of experts; so both are taken apart into products that it knows while
it counts. Tests say so, and fail the day that torch counts them.
"""

# ruff: noqa: ANN401 - models of transformers have no static types worth naming

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError, missing_extra
from interlock.subject.compute import architecture, flop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interlock.subject.compute.architecture import Architecture

#: How far formula and counter may be apart, as a share of what was counted.
MOST_APART = Fraction(5, 100)
#: Tokens of the shorter one of two sequences from which `forward` reads what longer ones take.
SHORT = 16


class GapError(UsageError):
    """Formula and counter disagree: one of the two does not know the model."""


@dataclass(frozen=True, slots=True)
class Counted:
    """FLOP of a forward and a backward pass over `rows` sequences of `width` tokens.

    `recomputes`: the model computes activations again in training (gradient checkpointing). That is not counted here,
    and is up to a forward pass more.
    """

    flop: int
    rows: int
    width: int
    recomputes: bool = False

    @property
    def per_token(self) -> int:
        """FLOP of training on one token, rounded up."""
        return -(-self.flop // (self.rows * self.width))


def count(model: Any, *, rows: int, width: int) -> Counted:
    """Run `model` once forward and backward over nonsense, and count. Weights, gradients and settings stay as they are.

    A model on the meta device works too: the same operations, without memory.

    Raises:
        UsageError: torch is not installed, weights are frozen, or attention cannot be taken apart.
    """
    try:
        import torch
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError as error:
        raise missing_extra("local", "torch") from error
    weights = list(model.parameters())
    if frozen := sum(not weight.requires_grad for weight in weights):
        raise UsageError(f"{frozen} of {len(weights)} tensors are frozen: a pass without them is no full training step")
    tokens = torch.zeros((rows, width), dtype=torch.long, device=weights[0].device)
    seen = torch.ones_like(tokens)  # given, so that nothing has to be looked up in tensors without memory
    recomputes = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    with _taken_apart(model), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        logits = model(input_ids=tokens, attention_mask=seen, use_cache=False).logits
        torch.autograd.grad(logits.sum(), weights, allow_unused=True)  # experts that no token chose
    return Counted(int(counter.get_total_flops()), rows, width, recomputes)


def forward(model: Any, *, width: int) -> Counted:
    """FLOP of training on a sequence, by passes forward over nonsense, of 16 and of 32 tokens where it is longer.

    A pass over w tokens takes a w for the weights and b w^2 for pairs of positions, so two lengths give both, and a
    backward pass takes twice as much. That costs what those few tokens cost, whatever the length. Weights, settings
    and random state stay as they were.

    Raises:
        UsageError: torch is not installed, or attention cannot be taken apart.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_extra("local", "torch") from error
    with _taken_apart(model), torch.no_grad():
        if width <= 2 * SHORT:
            return Counted(flop.TRAINING * _passed(model, width), 1, width)
        short, twice = (_passed(model, length) for length in (SHORT, 2 * SHORT))
    pairs = Fraction(twice - 2 * short, 2 * SHORT**2)
    weights = Fraction(short, SHORT) - pairs * SHORT
    return Counted(ceil(flop.TRAINING * (weights * width + pairs * width**2)), 1, width)


def _passed(model: Any, width: int) -> int:
    """FLOP of a pass forward over one sequence."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    tokens = torch.zeros((1, width), dtype=torch.long, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
    return int(counter.get_total_flops())


def of_config(config: Mapping[str, Any], *, rows: int, width: int) -> Counted:
    """The same for the model of a config, which is built without memory.

    Raises:
        UsageError: transformers is not installed, or does not build the model.
    """
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise missing_extra("local", "transformers") from error
    builder: Any = AutoModelForCausalLM
    members = {name: value for name, value in config.items() if name not in {"model_type", "quantization_config"}}
    try:
        known = AutoConfig.for_model(str(config.get("model_type")), **members)
        with torch.device("meta"):
            model = builder.from_config(known, attn_implementation="eager")
    except Exception as error:  # whatever transformers raises for a config that makes no model
        raise UsageError(f"transformers does not build the model of this config: {error}") from error
    return count(model, rows=rows, width=width)


def agree(made: Architecture, counted: Counted) -> Fraction:
    """How far formula and counter are apart, as a share of what was counted.

    Raises:
        GapError: further than `MOST_APART`.
    """
    expected = flop.training(made, rows=counted.rows, width=counted.width)
    gap = abs(Fraction(expected - counted.flop, counted.flop or 1))
    if gap > MOST_APART:
        raise GapError(
            f"a forward and a backward pass over {counted.rows} x {counted.width} tokens takes {expected} FLOP by the "
            f"formula and {counted.flop} by torch's counter: {float(gap):.1%} apart, accepted up to "
            f"{float(MOST_APART):.0%}; the formula's parameters are {made.parameters}"
        )
    return gap


def of_model(model: Any) -> Architecture:
    """The architecture of a model in memory, by its own config.

    Raises:
        UnknownArchitectureError: the formula does not know it, or the model has other parameters than its config says.
    """
    made = architecture.read(model.config.to_dict(), where=f"model `{type(model).__name__}`")
    held = sum(int(weight.numel()) for weight in model.parameters())
    if held != made.parameters:
        raise architecture.UnknownArchitectureError(
            f"the model has {held} parameters, and by its config {made.parameters}: the formula does not speak of it"
        )
    return made


@contextmanager
def _taken_apart(model: Any) -> Iterator[None]:
    """Attention and experts in plain products, and nothing computed twice."""
    config, modes = model.config, [(module, module.training) for module in model.modules()]
    attention, experts = config._attn_implementation, getattr(config, "_experts_implementation", None)
    meta = next(model.parameters()).device.type == "meta"
    try:
        model.set_attn_implementation("eager")
        if experts is not None:
            model.set_experts_implementation("batched_mm" if meta else "eager")
        model.eval()  # activations are computed again in training only
        yield
    except (AttributeError, ValueError) as error:
        raise UsageError(f"attention or experts cannot be counted in plain products: {error}") from error
    finally:
        for module, training in modes:  # a part may be in another mode than the whole
            module.training = training
        model.set_attn_implementation(attention)
        if experts is not None:
            model.set_experts_implementation(experts)
