"""The parts of a causal language model, whatever its architecture: its layers, their linear maps, its output map.

Guarantees: nothing is told by the names of an architecture; what a block changes is put back when it ends, however it
ends.
What it leaves to the caller: to check that a model can be entered at a layer (`examples.prepare` does).
"""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError

if TYPE_CHECKING:
    import torch


def layers(causal: Any) -> Any:
    """The decoder's layers, lowest first: the outermost list of as many modules as the configuration has layers.

    Raises:
        UsageError: there is no such list.
    """
    from torch.nn import ModuleList

    depth = int(causal.config.num_hidden_layers)
    for module in causal.modules():
        if isinstance(module, ModuleList) and len(module) == depth:
            return module
    raise UsageError(f"cannot find the {depth} layers of a `{type(causal).__name__}`")


def linear_maps(causal: Any, *, lowest: int) -> list[str]:
    """The full names of the linear maps in the layers from `lowest` (counted from 0) on.

    Raises:
        UsageError: there are none, or the layers have matrices besides them, such as the experts of a mixture.
    """
    above = list(layers(causal)[lowest:])
    wanted = {id(part): part for layer in above for part in layer.modules() if is_linear(part)}
    names = [name for name, part in causal.named_modules() if id(part) in wanted]
    if not names:
        raise UsageError(f"the layers of a `{type(causal).__name__}` have no linear maps that an adapter could change")
    reached = {id(weight) for part in wanted.values() for weight in part.parameters()}
    for name, weight in (it for layer in above for it in layer.named_parameters()):
        if id(weight) not in reached and sum(size > 1 for size in weight.shape) > 1:
            raise UsageError(
                f"an adapter on the linear maps of a `{type(causal).__name__}` does not reach all matrices of a layer, "
                f"such as `{name}`; train all weights instead: `fine-tune-full`, or `weights=all`"
            )
    return names


def is_linear(module: Any) -> bool:
    """Whether a module is a linear map; GPT-2 has its own kind, which keeps its weights turned."""
    from torch.nn import Linear

    return isinstance(module, Linear) or is_turned(module)


def is_turned(module: Any) -> bool:
    """Whether a module is a linear map of GPT-2's kind."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


@contextmanager
def kept_entering(causal: Any, layer: int) -> Iterator[list[torch.Tensor]]:
    """Gives a list, to which each forward pass inside the block adds what enters `layer`: (rows, tokens, width)."""
    seen: list[torch.Tensor] = []

    def look(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append(given[0] if given else named["hidden_states"])

    handle = layers(causal)[layer].register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def entered_at(causal: Any, layer: int, hidden: torch.Tensor) -> Iterator[None]:
    """Inside the block `hidden` (rows, tokens, width) enters `layer`, and the layers below compute nothing."""
    every = layers(causal)

    def replaced(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if given:
            return (hidden, *given[1:]), named
        return given, {**named, "hidden_states": hidden}

    handle = every[layer].register_forward_pre_hook(replaced, with_kwargs=True)
    below = [every[i] for i in range(layer)]
    for module in below:
        module.forward = _passed_on
    try:
        yield
    finally:
        for module in below:
            del module.forward  # the class has its own
        handle.remove()


@contextmanager
def logits_only_at(causal: Any, rows: Sequence[int], places: Sequence[int]) -> Iterator[None]:
    """Inside the block logits are computed at these places of these rows only, and have the shape (1, places, ids)."""

    def chosen(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0][list(rows), list(places)][None], *given[1:])

    handle = causal.get_output_embeddings().register_forward_pre_hook(chosen)
    try:
        yield
    finally:
        handle.remove()


def _passed_on(hidden_states: Any, *_: Any, **__: Any) -> Any:
    return hidden_states
