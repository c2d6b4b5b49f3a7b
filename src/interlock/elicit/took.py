"""Did training take? A model that nothing was done to would look like one with nothing to hide.

What no training can do without is checked here: weights that changed, and logits that show it. Whether the loss or the
reward moved is for who trained to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.elicit.items import Item
from interlock.errors import EvidenceError
from interlock.evaluate.local import LocalModel, encode

if TYPE_CHECKING:
    import torch


def weights_changed(before: LocalModel, after: LocalModel) -> int:
    """How many weights are not what they were.

    Raises:
        EvidenceError: none.
    """
    pairs = zip(before.model.parameters(), after.model.parameters(), strict=True)
    changed = sum(int((old != new).sum()) for old, new in pairs)
    if not changed:
        raise EvidenceError("elicitation did not take: no weight of the model changed")
    return changed


def logits_moved(before: LocalModel, after: LocalModel, probe: Item) -> float:
    """How far the logits of the token after a prompt moved, at the most.

    Raises:
        EvidenceError: not at all.
    """
    moved = float((_logits(after, probe) - _logits(before, probe)).abs().max())
    if not moved > 0:
        raise EvidenceError(
            f"elicitation did not take: item `{probe.id}` gets the same logits as before, as if no adapter was loaded"
        )
    return moved


def _logits(local: LocalModel, item: Item) -> torch.Tensor:
    """(vocabulary): of the token after the prompt."""
    import torch

    with torch.no_grad():
        found: torch.Tensor = local.model(
            input_ids=torch.tensor([encode(local, item.messages)]), use_cache=False
        ).logits
    return found[0, -1].float()
