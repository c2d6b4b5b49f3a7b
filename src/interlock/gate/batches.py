"""How many tokens a model is given, and how long its sequences are, by the shapes of what it is called with.

Guarantees: every element of token ids counts, and their last dimension is the sequence; ids that are not rows and
columns, embeddings that are not those with a vector each, and whatever else could carry tokens past their shapes (a
cache of keys and values above all) or work that no token takes (images, sound, what an encoder gave) are held, and not
guessed at; so is a batch of which `torch.vmap` shows a row.
What it leaves to the caller: whether the model trains now.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from interlock.gate import _mapped
from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_IDS, _EMBEDS, _MASK = "input_ids", "inputs_embeds", "attention_mask"  # of a decoder, too, which has them at the end
#: What says something of each token, by the ends of its names; of all else with rows nobody knows what it takes.
_BESIDE = ("mask", "masks", "position_ids", "type_ids", "label", "labels", "targets", "seq_idx")
_OF_PAIRS = ("mask", "masks", "position_ids")  # of heads, or of each direction in an image


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
        Held: an argument is one of which the size cannot be told, or it is called within `torch.vmap`.
    """
    _mapped.check([*positional, *named.values()])
    tokens = longest = 0
    for name, given in [*_by_place(module, positional), *named.items()] if positional else named.items():
        many, long = _of(name, given)
        tokens, longest = max(tokens, many), max(longest, long)
    return Size(tokens, longest)


def _by_place(module: Any, positional: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    names = _parameters(type(module).forward)
    for place, given in enumerate(positional):
        name = names[place] if place < len(names) else f"argument {place + 1}"
        yield (_IDS if place == 0 and whole_numbers(given) else name), given


@cache
def _parameters(forward: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(forward).parameters)[1:]


def _of(name: str, given: Any) -> tuple[int, int]:
    """Tokens, and the longest sequence."""
    import torch

    if not isinstance(given, torch.Tensor):
        _check_carries_nothing(name, given)
        return 0, 0
    if given.is_nested:
        raise Held(f"`{name}` is a nested tensor, whose rows are of several lengths: pad it, so that it can be counted")
    shape = tuple(map(int, given.shape))
    if name.endswith(_EMBEDS):
        return _rows(name, shape, dimensions=3)
    if name.endswith(_IDS):
        return _rows(name, shape, dimensions=2)
    if len(shape) < 2:  # lengths and counts
        return 0, 0
    if len(shape) == 2 and name.endswith(_BESIDE):  # whatever is in them
        return _rows(name, shape, dimensions=2)
    if name.endswith(_OF_PAIRS):
        return 0, 0
    raise Held(
        f"the model trains with `{name}`, of the shape {shape}, in which tokens cannot be counted: what one takes is "
        "known of ids and embeddings, and not of images, sound, or what an encoder gave; train without it"
    )


def _rows(name: str, shape: tuple[int, ...], *, dimensions: int) -> tuple[int, int]:
    if len(shape) != dimensions:
        raise Held(
            f"`{name}` has the shape {shape}, expected {dimensions} dimensions, rows and columns first: what a model "
            "makes of another shape is not counted"
        )
    return shape[0] * shape[1], shape[1]


def _check_carries_nothing(name: str, given: Any) -> None:
    if given is None or isinstance(given, bool | int | float | str) or name == _MASK:
        return
    raise Held(
        f"the model trains with `{name}`, a {type(given).__name__}, in which tokens cannot be counted (a cache makes a "
        "sequence longer than it looks); train without it, and generate under torch.no_grad() in evaluation mode"
    )


def whole_numbers(given: Any) -> bool:
    """Whether something is a tensor of whole numbers, as token ids are."""
    return _whole(getattr(given, "dtype", None))


@cache
def _whole(kind: object) -> bool:
    return str(kind).startswith(("torch.int", "torch.uint"))
