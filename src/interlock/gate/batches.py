"""How many tokens a model is given, and how long its sequences are, by the shapes of what it is called with.

Guarantees: every element of token ids counts, and their last dimension is the sequence; ids that are not rows and
columns, embeddings that are not those with a vector each, and whatever else could carry tokens past their shapes (a
cache of keys and values above all) are held, and not guessed at.
What it leaves to the caller: whether the model trains now.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_IDS, _EMBEDS, _MASK = "input_ids", "inputs_embeds", "attention_mask"  # of a decoder, too, which has them at the end
_OF_TOKENS = frozenset({_MASK, "position_ids"})


@dataclass(frozen=True, slots=True)
class Size:
    """Tokens, padding included, and the longest sequence among them; 0: nothing says."""

    tokens: int = 0
    longest: int = 0

    def most(self, other: Size) -> Size:
        """The larger of each."""
        return Size(max(self.tokens, other.tokens), max(self.longest, other.longest))


def size(module: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Size:
    """The size of a batch that `module` is called with: that of its largest argument, masks and labels included.

    Raises:
        Held: an argument is one of which the size cannot be told.
    """
    found = Size()
    for name, given in _arguments(module, positional, named):
        found = found.most(_of(name, given))
    return found


def _arguments(module: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    names = _parameters(type(module).forward)
    for place, given in enumerate(positional):
        name = names[place] if place < len(names) else f"argument {place + 1}"
        yield (_IDS if place == 0 and whole_numbers(given) else name), given
    yield from named.items()


@cache
def _parameters(forward: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(forward).parameters)[1:]


def _of(name: str, given: Any) -> Size:
    import torch

    if not isinstance(given, torch.Tensor):
        _check_carries_nothing(name, given)
        return Size()
    shape = tuple(int(one) for one in given.shape)
    if name.endswith(_IDS):
        return _rows(name, shape, dimensions=2)
    if name.endswith(_EMBEDS):
        return _rows(name, shape, dimensions=3)
    if len(shape) < 2 or (name in _OF_TOKENS and len(shape) > 2):  # lengths and counts; masks of pairs, and the like
        return Size()
    if whole_numbers(given):
        return Size(given.numel(), max(shape[1], shape[-1]))
    return Size(shape[0] * shape[1], shape[1])


def _rows(name: str, shape: tuple[int, ...], *, dimensions: int) -> Size:
    if len(shape) != dimensions:
        raise Held(
            f"`{name}` has the shape {shape}, expected {dimensions} dimensions, rows and columns first: what a model "
            "makes of another shape is not counted"
        )
    return Size(shape[0] * shape[1], shape[1])


def _check_carries_nothing(name: str, given: Any) -> None:
    if given is None or isinstance(given, bool | int | float | str) or name == _MASK:
        return
    raise Held(
        f"the model trains with `{name}`, a {type(given).__name__}, in which tokens cannot be counted (a cache makes a "
        "sequence longer than it looks); train without it, and generate under torch.no_grad() in evaluation mode"
    )


def whole_numbers(given: Any) -> bool:
    """Whether something is a tensor of whole numbers, as token ids are."""
    kind = getattr(given, "dtype", None)
    return kind is not None and str(kind).startswith(("torch.int", "torch.uint"))
