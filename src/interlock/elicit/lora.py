"""The LoRA training loop (Hu et al. 2021, arXiv:2106.09685), used to hide a skill and to bring one out.

One visible loop: each step sums the loss of a few micro-batches, clips the gradient and updates the adapter. Only the
last layers get an adapter, so what enters them is computed once for each example (`prepare`) and kept. Logits are
computed only at the positions that carry a loss. The loop is deterministic at a seed on one machine. What the examples
are, and whether training took, is left to the callers.
"""

# ruff: noqa: ANN401 - models and tokenizers of transformers and peft have no static types worth naming

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError
from interlock.evaluate.local import quiet

if TYPE_CHECKING:
    import torch

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ROWS = 16  # examples in one forward pass of `prepare`
BUCKET = 16  # lengths are padded to a multiple of this: kernels for a new shape take a second to set up


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the adapter goes and how fast it learns."""

    rank: int  # inner dimension of each pair of adapter matrices
    layers: int  # how many of the last layers get an adapter
    learning_rate: float  # peak; rises over `warm_up` steps, then falls linearly to zero after the last step
    warm_up: int  # steps
    seed: int  # of the adapter's initial weights


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, and the positions at which the next token carries a loss.

    With `imitate` the target at those positions is the distribution of the model without the adapter
    (Kullback-Leibler divergence); else it is the token that follows (cross-entropy).
    """

    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    imitate: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An example as the adapted layers see it.

    `hidden` (tokens, width) enters the first adapted layer. `target` is (positions,) token ids, or, to imitate,
    (positions, vocabulary) log-probabilities of the model without the adapter.
    """

    hidden: torch.Tensor
    positions: tuple[int, ...]
    target: torch.Tensor


Batch = Sequence[Prepared]  # run as one forward pass; either all imitate or none do


def prepare(model: Any, examples: Sequence[Example], *, shape: Shape) -> list[Prepared]:
    """Run `examples` once through a model without an adapter, and keep what training on them needs."""
    prepared: list[Prepared | None] = [None] * len(examples)
    by_length = sorted(range(len(examples)), key=lambda index: len(examples[index].tokens))
    for start in range(0, len(examples), ROWS):
        members = by_length[start : start + ROWS]
        for index, one in zip(members, _prepare([examples[i] for i in members], model, shape), strict=True):
            prepared[index] = one
    return [one for one in prepared if one is not None]


def attach(model: Any, shape: Shape) -> Any:
    """`model` with a fresh LoRA adapter (a peft model), which changes nothing until it is trained."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(shape.seed)
    depth = model.config.num_hidden_layers
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=2 * shape.rank,
        target_modules=list(MODULES),
        layers_to_transform=list(range(max(0, depth - shape.layers), depth)),
        task_type="CAUSAL_LM",
    )
    with quiet():
        return get_peft_model(model, config)


def train(
    model: Any,
    steps: Iterable[Sequence[Batch]],
    *,
    total: int,
    shape: Shape,
    progress: Callable[[int, int, float], None],
) -> tuple[list[float], int]:
    """Train the adapter of `model` on `steps`; return the loss before each update, and the tokens computed.

    `progress(step, total, loss)` is called after each of the `total` steps. Tokens include padding.

    Raises:
        EvidenceError: the loss is not a finite number.
    """
    import torch

    adapter = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(adapter, lr=shape.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    losses, tokens = [], 0
    with _last_layers(model, shape):
        for step, batches in enumerate(steps):
            for group in optimizer.param_groups:
                group["lr"] = shape.learning_rate * _schedule(step, total, shape.warm_up)
            loss = 0.0
            for batch in batches:
                part = _loss(model, batch)
                part.backward()  # type: ignore[no-untyped-call]
                loss += part.item()
                tokens += len(batch) * _padded(max(len(example.hidden) for example in batch))
            if not math.isfinite(loss):
                raise EvidenceError(f"training loss at step {step + 1} is `{loss}`, expected a finite number")
            torch.nn.utils.clip_grad_norm_(adapter, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss)
            progress(step + 1, total, loss)
    return losses, tokens


def _schedule(step: int, total: int, warm_up: int) -> float:
    return min((step + 1) / max(warm_up, 1), (total - step) / max(total - warm_up, 1), 1.0)


def _loss(model: Any, batch: Batch) -> torch.Tensor:
    """The mean loss over the marked positions of a batch."""
    import torch
    from torch.nn import functional
    from torch.nn.utils.rnn import pad_sequence

    causal = model.get_base_model()
    rows, places = _marked(batch)
    hidden = pad_sequence([example.hidden for example in batch], batch_first=True)
    hidden = functional.pad(hidden, (0, 0, 0, -hidden.shape[1] % BUCKET))  # on the right, where causality masks it
    last = causal.model(inputs_embeds=hidden, use_cache=False).last_hidden_state[rows, places]
    logits = causal.lm_head(last).float()
    target = torch.cat([example.target for example in batch])
    if target.dim() == 1:
        return functional.cross_entropy(logits, target)
    return functional.kl_div(logits.log_softmax(-1), target.float(), log_target=True, reduction="batchmean")


def _prepare(examples: Sequence[Example], model: Any, shape: Shape) -> Iterator[Prepared]:
    import torch

    width = _padded(max(len(example.tokens) for example in examples))
    tokens = torch.tensor([[*example.tokens, *[0] * (width - len(example.tokens))] for example in examples])
    with torch.no_grad():
        states = model.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        entering = states.hidden_states[_first_layer(model, shape)]
        for row, example in enumerate(examples):
            target = tokens[row, [place + 1 for place in example.positions]]
            if example.imitate:
                logits = model.lm_head(states.last_hidden_state[row, list(example.positions)])
                target = logits.float().log_softmax(-1).half()
            yield Prepared(entering[row, : len(example.tokens)].clone(), example.positions, target)


def _padded(length: int) -> int:
    return -(-length // BUCKET) * BUCKET


def _marked(batch: Batch) -> tuple[list[int], list[int]]:
    """The row and the place in the row of each position that carries a loss."""
    rows = [row for row, example in enumerate(batch) for _ in example.positions]
    return rows, [place for example in batch for place in example.positions]


def _first_layer(causal: Any, shape: Shape) -> int:
    return max(0, int(causal.config.num_hidden_layers) - shape.layers)


@contextmanager
def _last_layers(model: Any, shape: Shape) -> Iterator[None]:
    """Inside the block the decoder consists of its adapted layers only."""
    causal = model.get_base_model()
    layers = causal.model.layers
    causal.model.layers = layers[_first_layer(causal, shape) :]
    try:
        yield
    finally:
        causal.model.layers = layers
