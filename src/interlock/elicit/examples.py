"""What a model is trained on: token ids, the positions that carry a loss, and the loss, on any causal model.

Guarantees: logits are computed only where a loss is; padding stands on the right, where causality masks it. Layers that
training does not change are computed once for each example, and only where that was seen to give the same bits. If
memory runs out while they are, fewer go at once, which is logged once (`local.Fitting`).
"""

# ruff: noqa: ANN401 - models and tokenizers of transformers and peft have no static types worth naming

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from interlock.elicit import budget, decoder, grading, turn
from interlock.elicit.items import Item
from interlock.evaluate import choices
from interlock.evaluate.local import Fitting, LocalModel, encode, out_of_memory, require_room

if TYPE_CHECKING:
    import torch

ROWS = 16  # examples in one forward pass of `prepare`, at most
TOKENS = 4096  # in one forward pass, padding included; one longer example goes alone
BUCKET = 16  # lengths are padded to a multiple of this: kernels for a new shape take a second to set up
MOST_KEPT = 2**30  # bytes of hidden states that are kept in memory


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, and the positions at which the next token carries a loss.

    With `imitate` the target at those positions is the distribution of the model before training (Kullback-Leibler
    divergence); else it is the token that follows (cross-entropy).
    """

    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    imitate: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An example with all that training on it needs.

    `target` is (positions,) token ids, or, to imitate, (positions, vocabulary) log-probabilities. `hidden` (tokens,
    width) enters the layer from which on the model is trained; None: the whole model is run.
    """

    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    target: torch.Tensor
    hidden: torch.Tensor | None = None


M = TypeVar("M", Example, Prepared)
T = TypeVar("T")


def answered(local: LocalModel, item: Item, *, grade: grading.Grade) -> Example:
    """An item asked and answered, the loss on the answer and its end: as the model's chat template writes them, or, of
    an item with choices, as its right choice is weighed.

    Raises:
        UsageError: the model has no end token, cannot write the answer, or does not take so many tokens.
        EvidenceError: the model's chat template or tokenizer leaves out something that was said.
    """
    if item.choices:
        asked = choices.encode(local, turn.question(local, item.messages, item.choices))
        prompt = [*asked.prefix, *asked.rest]
        said = [*asked.choices[item.choices.index(item.target)], turn.end(local)]
    else:
        prompt = encode(local, item.messages)
        said = turn.tokens(local, item.messages, item.target, grade=grade)
    tokens = (*prompt, *said)
    require_room(local, len(tokens), f"item `{item.id}` has, with its answer,")
    return Example(tokens, tuple(range(len(prompt) - 1, len(tokens) - 1)))


def prepare(
    causal: Any, examples: Sequence[Example], *, lowest: int = 0, fitting: Fitting | None = None
) -> list[Prepared]:
    """Run `examples` once through a model as it is before training, and keep what training from layer `lowest` needs.

    Hidden states are kept if the model, entered with those of the first examples, gives the same logits to the bit, and
    if they take no more than `MOST_KEPT` bytes. `fitting` is what is known of the model's memory, if anything is.

    Raises:
        UsageError: memory does not suffice for one example.
    """
    fitting = fitting or Fitting()
    kept = lowest > 0 and _bytes(causal, examples) <= MOST_KEPT
    by_length = sorted(range(len(examples)), key=lambda index: len(examples[index].tokens))
    ordered = [examples[index] for index in by_length]
    done: list[Prepared] = []

    def run(some: Sequence[Example]) -> tuple[list[Prepared], bool]:
        return _prepare(some, causal, lowest if kept else 0, compare=not done)

    for group in _groups(ordered, [len(example.tokens) for example in ordered], most=ROWS):
        for found, same in fitted(group, fitting, run):
            done += found
            kept = kept and same
    prepared = [one for _, one in sorted(zip(by_length, done, strict=True), key=lambda it: it[0])]
    return prepared if kept or not lowest else [_whole(one) for one in prepared]


def fitted(members: Sequence[M], fitting: Fitting, run: Callable[[Sequence[M]], T]) -> Iterator[T]:
    """What `run` gives of examples in their order, as many at once as fit in memory: all, or half of them, and so on.

    Raises:
        UsageError: memory does not suffice for one of them.
    """
    left, width = members, padded(max(len(member.tokens) for member in members))
    while left:
        rows = fitting.rows(width, len(left))
        try:
            found = run(left[:rows])
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            fitting.halve(rows, width)
            continue
        yield found
        left = left[rows:]


def loss(causal: Any, batch: Sequence[Prepared], *, lowest: int = 0) -> torch.Tensor:
    """The summed loss over the marked positions of a batch, in which either all imitate or none do."""
    import torch
    from torch.nn import functional

    logits = _logits(causal, batch, lowest).float()
    target = torch.cat([example.target for example in batch])
    if target.dim() == 1:
        return functional.cross_entropy(logits, target, reduction="sum")
    return functional.kl_div(logits.log_softmax(-1), target.float(), log_target=True, reduction="sum")


def marked(batch: Sequence[Prepared]) -> int:
    """How many positions of a batch carry a loss."""
    return sum(len(example.positions) for example in batch)


def cost(causal: Any, batch: Sequence[Prepared]) -> int:
    """FLOP of a forward and a backward pass over a batch, at most."""
    return budget.training(causal, rows=len(batch), width=padded(max(len(example.tokens) for example in batch)))


def passed(causal: Any, examples: Sequence[Example]) -> int:
    """FLOP of running each of `examples` once forward, at most: as if all were as long as the longest."""
    width = padded(max(len(example.tokens) for example in examples))
    return budget.forward(causal, rows=len(examples), width=width)


def split(batch: Sequence[Prepared]) -> list[list[Prepared]]:
    """A batch in parts of at most `TOKENS` tokens with their padding, alike in length; as it is if it is one."""
    whole = len(batch) * padded(max(len(example.tokens) for example in batch))
    if whole <= TOKENS:
        return [list(batch)]
    ordered = sorted(batch, key=lambda example: len(example.tokens))
    return list(_groups(ordered, [len(example.tokens) for example in ordered], most=len(ordered)))


def padded(length: int) -> int:
    """A length rounded up to a whole number of buckets."""
    return -(-length // BUCKET) * BUCKET


def _groups(members: Sequence[Any], lengths: Sequence[int], *, most: int) -> Iterator[list[Any]]:
    """Members, whose lengths rise, in groups of at most `most` and of at most `TOKENS` tokens."""
    group: list[Any] = []
    for member, length in zip(members, lengths, strict=True):
        if group and (len(group) == most or (len(group) + 1) * padded(length) > TOKENS):
            yield group
            group = []
        group.append(member)
    if group:
        yield group


def _prepare(examples: Sequence[Example], causal: Any, lowest: int, *, compare: bool) -> tuple[list[Prepared], bool]:
    """The examples prepared, and, to compare, whether the model gives the same when entered with what was kept."""
    import torch

    tokens = _tokens([example.tokens for example in examples])
    rows = [row for row, example in enumerate(examples) for _ in example.positions]
    places = [place for example in examples for place in example.positions]
    with torch.no_grad(), decoder.logits_only_at(causal, rows, places):
        with decoder.kept_entering(causal, lowest) as entering:
            logits = causal(input_ids=tokens, use_cache=False).logits[0]
        same = not (lowest and compare) or _same(causal, tokens, lowest, entering[-1], logits)
    found, start = [], 0
    for row, example in enumerate(examples):
        target = tokens[row, [place + 1 for place in example.positions]]
        if example.imitate:
            target = logits[start : start + len(example.positions)].float().log_softmax(-1).half()
        start += len(example.positions)
        hidden = entering[-1][row, : len(example.tokens)].clone() if lowest else None
        found.append(Prepared(example.tokens, example.positions, target, hidden))
    return found, same


def _same(causal: Any, tokens: torch.Tensor, lowest: int, hidden: torch.Tensor, expected: torch.Tensor) -> bool:
    import torch

    try:
        with decoder.entered_at(causal, lowest, hidden):
            again = causal(input_ids=tokens, use_cache=False).logits[0]
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        if out_of_memory(error):
            raise
        return False  # its upper layers need more of the lower ones than what they pass on
    return torch.equal(again, expected)


def _logits(causal: Any, batch: Sequence[Prepared], lowest: int) -> torch.Tensor:
    """(positions of all, vocabulary)"""
    from torch.nn import functional
    from torch.nn.utils.rnn import pad_sequence

    tokens = _tokens([example.tokens for example in batch])
    rows = [row for row, example in enumerate(batch) for _ in example.positions]
    places = [place for example in batch for place in example.positions]
    hidden = [example.hidden for example in batch if example.hidden is not None]
    with ExitStack() as block:
        block.enter_context(decoder.logits_only_at(causal, rows, places))
        if hidden:
            entering = pad_sequence(hidden, batch_first=True)
            entering = functional.pad(entering, (0, 0, 0, tokens.shape[1] - entering.shape[1]))
            block.enter_context(decoder.entered_at(causal, lowest, entering))
        found: torch.Tensor = causal(input_ids=tokens, use_cache=False).logits[0]
    return found


def _tokens(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Padded on the right."""
    import torch

    width = padded(max(len(row) for row in rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


def _whole(one: Prepared) -> Prepared:
    return Prepared(one.tokens, one.positions, one.target)


def _bytes(causal: Any, examples: Sequence[Example]) -> int:
    width = int(causal.config.hidden_size) * int(next(causal.parameters()).element_size())
    return width * sum(len(example.tokens) for example in examples)
