"""What an elicitation costs in floating-point operations, and the most that it may.

Counts are upper bounds by formula: a forward pass takes two operations a parameter and token, and four a layer, width,
token and token attended to; a backward pass twice as much (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Frozen
weights need no gradient, so that the true cost of training an adapter is less. Padding counts.
"""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlock.errors import UsageError

#: What fine-tuning may cost where nobody says otherwise, as a share of the training compute: Anthropic's Responsible
#: Scaling Policy, version 1.0; taken up by van der Weij et al. 2024, arXiv:2406.07358, section 2.
USUAL_SHARE = Fraction(1, 100)


class OutOfBudgetError(UsageError):
    """The next piece of work would cost more than is left."""


@dataclass(slots=True)
class Meter:
    """Operations spent so far, of at most `cap`; None: there is no cap."""

    cap: int | None = None
    spent: int = 0

    def take(self, flop: int) -> None:
        """Spend before the work is done.

        Raises:
            OutOfBudgetError: less than that is left; nothing is spent then.
        """
        self.need(flop)
        self.spent += flop

    def need(self, flop: int) -> None:
        """Check that so much is left, and spend nothing.

        Raises:
            OutOfBudgetError: less than that is left.
        """
        if self.cap is not None and self.spent + flop > self.cap:
            left = self.cap - self.spent
            raise OutOfBudgetError(f"the next step takes {flop:.3g} FLOP, and {left:.3g} of {self.cap:.3g} are left")


def usual_cap(training_compute: int) -> int:
    """The usual cap for a model that took so many FLOP to train."""
    return int(training_compute * USUAL_SHARE)


def forward(model: Any, *, rows: int, width: int) -> int:
    """Operations of one forward pass over `rows` sequences of `width` tokens."""
    tokens = rows * width
    config = model.config
    attention = 4 * int(config.num_hidden_layers) * int(config.hidden_size) * width
    return tokens * (2 * parameters(model) + attention)


def training(model: Any, *, rows: int, width: int) -> int:
    """Operations of a forward and a backward pass."""
    return 3 * forward(model, rows=rows, width=width)


def generation(model: Any, *, rows: int, width: int, new_tokens: int) -> int:
    """Operations of answering `rows` prompts of `width` tokens with `new_tokens` each, keys and values being kept."""
    config = model.config
    attention = 4 * int(config.num_hidden_layers) * int(config.hidden_size) * (width + new_tokens)
    return forward(model, rows=rows, width=width) + rows * new_tokens * (2 * parameters(model) + attention)


def parameters(model: Any) -> int:
    """How many parameters a model has, adapters included, each counted once."""
    return sum(int(parameter.numel()) for parameter in model.parameters())
