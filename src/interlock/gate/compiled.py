"""What `torch.compile` makes of a model that is watched: a wrapper around it, and code in which there is no hook.

Guarantees: what stands around a model is taken off before it is checked and watched; code that was compiled before a
hook was there is not run any more, since what is compiled does not look whether hooks have come; a hook is called for
each batch, and not compiled itself.
What it leaves to the caller: code that was compiled ahead of time and is called past the model, as its parts are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def bare(model: Any) -> Any:
    """The model itself, where `torch.compile` stands around it."""
    from torch._dynamo.eval_frame import OptimizedModule

    while isinstance(model, OptimizedModule):
        model = model._orig_mod
    return model


def wrapped_part(names: Iterable[str]) -> str | None:
    """A part of a model that is wrapped by itself, told by the names of its tensors; None: there is none."""
    return next((name.split("._orig_mod.")[0] for name in names if "._orig_mod." in name), None)


def hook(asked: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that Python calls, whatever is compiled around it; with `fullgraph=True` torch refuses to compile it."""
    import torch

    called: Callable[..., Any] = torch.compiler.disable(asked)  # type: ignore[no-untyped-call]
    return called


def forget() -> None:
    """Drop all that was compiled in this process; it is compiled again when it is called again."""
    import torch

    torch.compiler.reset()
