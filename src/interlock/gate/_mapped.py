"""Whether a model is called within `torch.vmap`, which shows it one row of a batch and computes all of them.

Guarantees: a call within `torch.vmap` holds, whatever stands between (`grad`, `functional_call`), and so does one
within the older vmap that torch keeps for gradients; so does every call where this torch cannot be asked.
What it leaves to the caller: backward passes that are mapped, whose model was called outside of it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def check(given: Iterable[Any]) -> None:
    """Check that what a model is `given` is all that it computes.

    Raises:
        Held: it is called within `torch.vmap`, or this torch does not say whether it is.
    """
    if any(mapped(given) for mapped in _ways()):
        raise Held(
            "the model is called within torch.vmap, which shows it one row of a batch, so that its tokens cannot be "
            "counted; call it with the whole batch"
        )


@cache
def _ways() -> tuple[Callable[[Iterable[Any]], bool], ...]:
    """How this torch is asked; none of it is part of torch's public interface.

    Raises:
        Held: it cannot be.
    """
    import torch

    inside = getattr(torch._C, "_functorch", None)
    old = [_in_old] if hasattr(torch._C, "_vmapmode_increment_nesting") else []
    if hasattr(inside, "get_interpreter_stack") and hasattr(inside, "TransformType"):
        return (_in_vmap, *old)
    if hasattr(inside, "is_batchedtensor"):
        return (_are_batched, *old)
    raise Held(
        f"torch {torch.__version__} does not say whether a model is called within torch.vmap, which hides most of a "
        "batch, so that tokens cannot be counted; a version that does (2.13 was tested) lifts this"
    )


def _in_vmap(_: Iterable[Any]) -> bool:
    from torch._C import _functorch

    stack = _functorch.get_interpreter_stack()  # None outside of all transforms
    return stack is not None and any(it.key() == _functorch.TransformType.Vmap for it in stack)


def _are_batched(given: Iterable[Any]) -> bool:
    import torch

    return any(torch._C._functorch.is_batchedtensor(one) for one in given if isinstance(one, torch.Tensor))


def _in_old(_: Iterable[Any]) -> bool:
    """How deep this thread is in the older vmap is told by going one deeper, and back."""
    from torch import _C

    try:
        return _C._vmapmode_increment_nesting() > 1
    finally:
        _C._vmapmode_decrement_nesting()
