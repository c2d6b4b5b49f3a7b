"""What an elicitation costs in floating-point operations, and the most that it may.

Counts are upper bounds by the formula of `subject.compute.flop`, every position paired with every other and padding
included. Weights that the model's config does not name (an adapter's) are taken to be used once a token; frozen weights
need no gradient, so that the true cost of training an adapter is less.
"""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError
from interlock.subject.compute import architecture, flop

if TYPE_CHECKING:
    from interlock.subject.compute.architecture import Architecture

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


def forward(model: Any, *, rows: int, width: int) -> int:
    """Operations of one forward pass over `rows` sequences of `width` tokens.

    Raises:
        UnknownArchitectureError: the formula does not know the model.
    """
    made, added = _made(model)
    return flop.forward(made, rows=rows, width=width) + 2 * rows * width * added


def training(model: Any, *, rows: int, width: int) -> int:
    """Operations of a forward and a backward pass.

    Raises:
        UnknownArchitectureError: the formula does not know the model.
    """
    return flop.TRAINING * forward(model, rows=rows, width=width)


def generation(model: Any, *, rows: int, width: int, new_tokens: int) -> int:
    """Operations of answering `rows` prompts of `width` tokens with `new_tokens` each, keys and values being kept.

    Raises:
        UnknownArchitectureError: the formula does not know the model.
    """
    made, added = _made(model)
    tokens = rows * (width + new_tokens)
    return flop.generation(made, rows=rows, width=width, new_tokens=new_tokens) + 2 * tokens * added


def _made(model: Any) -> tuple[Architecture, int]:
    """The architecture by the model's config, and how many parameters the model has on top."""
    made = architecture.read(model.config.to_dict(), where=f"model `{type(model).__name__}`")
    added = parameters(model) - made.parameters
    if added < 0:
        raise architecture.UnknownArchitectureError(
            f"the model has {-added} parameters fewer than its config says: the formula does not speak of it"
        )
    return made, added


def parameters(model: Any) -> int:
    """How many parameters a model has, adapters included, each counted once."""
    return sum(int(parameter.numel()) for parameter in model.parameters())
