"""FLOP of a transformer by formula: forward, backward, generation. A multiplication and an addition are two.

A token takes two operations for every weight that it is multiplied with, and in each layer two for every entry of the
query and of the value of each head, and every position that it is paired with (Kaplan et al. 2020, arXiv:2001.08361,
section 2.1; Chowdhery et al. 2022, arXiv:2204.02311, appendix B). A backward pass takes twice a forward pass: the
gradient by the inputs and that by the weights. Embeddings that are looked up, norms, biases, activations and the
softmax are not counted; padding is. Recomputation (gradient checkpointing) is no part of training FLOP: what the
machine does then is another forward pass on top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from interlock.subject.compute.architecture import Architecture

#: `full`: every position is paired with every other, as kernels that skip nothing do: the most it can be.
#: `causal`: only pairs that the mask lets through, windows included: the least that the result needs.
Attention = Literal["full", "causal"]

#: Forward and backward in forward passes, and the same where activations are computed again.
TRAINING, RECOMPUTED = 3, 4


def forward(made: Architecture, *, rows: int, width: int, attention: Attention = "full") -> int:
    """FLOP of one forward pass over `rows` sequences of `width` tokens."""
    pairs = sum(layer.across * _pairs(width, layer.window, attention) for layer in made.layers)
    return 2 * rows * (width * made.used + pairs)


def training(made: Architecture, *, rows: int, width: int, attention: Attention = "full") -> int:
    """FLOP of a forward and a backward pass over `rows` sequences of `width` tokens."""
    return TRAINING * forward(made, rows=rows, width=width, attention=attention)


def trained(made: Architecture, *, tokens: int, width: int, attention: Attention = "full") -> int:
    """FLOP of training on so many tokens, in sequences of `width`: of fewer tokens, the share of a sequence."""
    return -(-tokens * training(made, rows=1, width=width, attention=attention) // width)


def per_token(made: Architecture, *, width: int) -> int:
    """FLOP of training on one token of a sequence of at most `width`: the most it can be."""
    return TRAINING * _token(made, width)


def generation(made: Architecture, *, rows: int, width: int, new_tokens: int) -> int:
    """FLOP of answering `rows` prompts of `width` tokens with `new_tokens` each, keys and values kept: at most.

    Every new token is counted as if it saw all of the answer.
    """
    return forward(made, rows=rows, width=width) + rows * new_tokens * _token(made, width + new_tokens)


def _token(made: Architecture, seen: int) -> int:
    """FLOP of a forward pass of one token that is paired with `seen` positions in every layer."""
    return 2 * (made.used + seen * sum(layer.across for layer in made.layers))


def _pairs(width: int, window: int | None, attention: Attention) -> int:
    """Pairs of positions in one sequence."""
    if attention == "full":
        return width * width
    seen = min(width, window or width)
    return seen * (seen + 1) // 2 + (width - seen) * seen
