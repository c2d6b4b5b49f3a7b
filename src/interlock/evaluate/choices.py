"""Which of its choices a local model finds most likely: the log-probability of each, one forward pass for an item.

An item is one row: what is left of its prompt after the part that it shares with others, then its choices as branches
that see the prompt and themselves, and not each other. The shared part is every message but the last: its keys and
values are computed once. Items of one shared part and one length class go together.

Guarantees: the scores of an item depend on its own tokens and the model, bit for bit, and not on which other items are
scored, in which batches or in which order. That holds because where a prompt is cut is decided by the prompt alone,
and because every forward pass has a shape that follows from the item alone. It does not hold for a batch that did not
fit in memory and was halved, which is said in `Scores.halved`; nor between kinds of CPU. Nothing is ever cut off: what
does not fit into the model's context is refused. A model that this layout does not suit (recurrent layers, positions
that it works out itself) is refused before its first item, by comparing with plain forward passes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.local import BUCKET, Conversation, LocalModel, out_of_memory, require_room, require_said
from interlock.evaluate.prefixes import Prefixes, cut, same

if TYPE_CHECKING:
    import torch

By = Literal["sum", "bytes"]

BATCH_TOKENS = 256  # columns of a batch, which decide its rows; more gained a tenth at most on the CPU tried
_AGREEMENT = {"torch.float32": 0.01, "torch.bfloat16": 1.0}  # nats between this layout and plain forward passes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and the choices to continue it with.

    Each choice is scored as `delimiter` + choice. Without `chat_template` the prompt is the text of the messages, one
    after the other, with nothing added. The messages before the last are what is shared with other questions.
    """

    conversation: Conversation
    choices: tuple[str, ...]
    delimiter: str = " "
    chat_template: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """A question in tokens: the shared part of its prompt, the rest of it (never empty), and each choice's tokens.

    `common` is how many tokens all choices begin with, less than the length of the shortest.
    """

    prefix: tuple[int, ...]
    rest: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    common: int

    @property
    def shape(self) -> tuple[int, int]:
        """Columns of its row, and how many of the last of them give logits: what decides its length class."""
        behind = self.common + sum(len(choice) - 1 - self.common for choice in self.choices)
        width = _whole(len(self.rest) + behind)
        return width, min(width, _whole(behind + 1)) if behind else 1


@dataclass(frozen=True, slots=True)
class Scores:
    """Natural log-probability of each choice given the prompt, summed over its `tokens`, in the order of the choices.

    `halved`: memory ran out, so that the batch had other rows than it should, and the last bits may differ.
    """

    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]
    input_tokens: int
    halved: bool = False


def best(logprobs: Sequence[float], choices: Sequence[str], by: By = "sum") -> int:
    """The place of the most likely choice, the first of equals.

    `sum` compares log-probabilities, `bytes` the same divided by the bytes of the choice in UTF-8, without the
    delimiter: `acc` and `acc_bytes` of lm-evaluation-harness 0.4 (whose `acc_norm` divides by characters, which is
    the same for ASCII).
    """
    weights = [len(choice.encode()) if by == "bytes" else 1 for choice in choices]
    found = [logprob / weight for logprob, weight in zip(logprobs, weights, strict=True)]
    return found.index(max(found))


def require_choices(choices: Sequence[str]) -> None:
    """Raise UsageError unless there are at least two choices, none empty and no two equal."""
    if len(choices) < 2:
        raise UsageError(f"expected at least two choices, got {len(choices)}")
    for place, choice in enumerate(choices):
        if not choice.strip():
            raise UsageError(f"choice {place + 1} of {len(choices)} is empty, expected a text")
        if choice in choices[:place]:
            raise UsageError(f"choices {choices.index(choice) + 1} and {place + 1} are equal: `{choice}`")


def encode(local: LocalModel, question: Question) -> Item:
    """The tokens of a question.

    Prompt and choice are encoded together, space at the end of the prompt going to the choice, and the choice's tokens
    are those after as many as the prompt alone has: the rule of lm-evaluation-harness 0.4 (`_encode_pair`).

    Raises:
        UsageError: choices are too few, empty or equal, also as tokens; there is no prompt; or prompt and choice are
            longer than the model's context.
        EvidenceError: the chat template or the tokenizer leaves out something that was said.
    """
    require_choices(question.choices)
    prompt = _prompt(local, question, question.conversation, ask=True)
    text = prompt.rstrip()
    ends = [prompt[len(text) :] + question.delimiter + choice for choice in question.choices]
    context, *wholes = _tokens(local, question, [text, *(text + end for end in ends)])
    if not context:
        raise UsageError("the prompt has no tokens, expected a question before the choices")
    if question.chat_template:
        require_said(local, question.conversation, prompt, context)
    tokens = tuple(tuple(whole[len(context) :]) for whole in wholes)
    _require_distinct(question.choices, tokens)
    read = len(context) + max(map(len, tokens)) - 1  # the last token of a choice is only told
    require_room(local, read, "prompt and choice have", window=True)
    shared = _cut(local, question, context)
    return Item(tuple(context[:shared]), tuple(context[shared:]), tokens, _common(tokens))


def plan(items: Sequence[Item], *, tokens: int = BATCH_TOKENS) -> list[list[int]]:
    """Batches of the places of items of one shared part and length class: full batches first, the longest first."""
    classes: dict[tuple[tuple[int, ...], tuple[int, int]], list[int]] = {}
    for place, item in enumerate(items):
        classes.setdefault((item.prefix, item.shape), []).append(place)
    batches = []
    for (prefix, shape), places in classes.items():
        rows = _rows(shape[0], tokens)
        batches += [
            (len(places[i : i + rows]) < rows, prefix, [-n for n in shape], places[i : i + rows])
            for i in range(0, len(places), rows)
        ]
    return [places for *_, places in sorted(batches)]


def first(items: Sequence[Item]) -> tuple[list[int], bool]:
    """The first batch of `plan`, and whether it is full."""
    places = plan(items)[0]
    return places, len(places) == _rows(items[places[0]].shape[0], BATCH_TOKENS)


def passes(items: Sequence[Item]) -> list[tuple[int, int]]:
    """Rows and width, shared part included, of the forward passes that scoring takes, at most; the trial is one."""
    if not items:
        return []
    firsts = [items[places[0]] for places in plan(items)]
    trial = [(2 + 4, 64)]  # what `_probe` takes: a batch of two rows, and a plain pass for each of its choices
    return trial + [(_rows(it.shape[0], BATCH_TOKENS), len(it.prefix) + it.shape[0]) for it in firsts]


def score(
    local: LocalModel, questions: Sequence[Question], *, progress: Callable[[int], None] | None = None
) -> list[Scores]:
    """The scores of each question, in their order. `progress` is told how many are done, after each batch.

    Raises:
        UsageError: as `encode`, and as `Scorer`.
        EvidenceError: the model computed a logit that is not a finite number.
    """
    items, scorer = [encode(local, question) for question in questions], Scorer(local)
    found: dict[int, Scores] = {}
    for places in plan(items):
        found.update(zip(places, scorer.score([items[place] for place in places]), strict=True))
        if progress:
            progress(len(found))
    return [found[place] for place in range(len(items))]


class Scorer:
    """A model that scores batches, and the shared parts that it computed last.

    Raises:
        UsageError: the model does not suit the layout: it gives other scores than plain forward passes do.
        EvidenceError: the model computed a logit that is not a finite number.
    """

    def __init__(self, local: LocalModel) -> None:
        self._local = local
        self._prefixes = Prefixes(local.model)
        self._tokens = BATCH_TOKENS
        self._require_suited()

    def score(self, items: Sequence[Item]) -> list[Scores]:
        """The scores of items of one shared part and length class, at most one batch of `plan`.

        Raises:
            UsageError: one item alone does not fit in memory.
            EvidenceError: the model computed a logit that is not a finite number.
        """
        found: list[Scores] = []
        while len(found) < len(items):
            rows = _rows(items[0].shape[0], self._tokens)
            try:
                found += self._batch(items[len(found) : len(found) + rows], rows)
            except (MemoryError, RuntimeError) as error:
                self._halve(error, rows, items[0])
        return found

    def _halve(self, error: Exception, rows: int, item: Item) -> None:
        if not out_of_memory(error):
            raise error
        self._prefixes.clear()
        width, length = item.shape[0], len(item.prefix) + len(item.rest)
        if rows == 1:
            raise UsageError(f"out of memory: a question of {length} tokens does not fit even alone") from error
        _log.warning("out of memory at %d rows of %d tokens: the batch is halved, to %d rows", rows, length, rows // 2)
        self._tokens = width * (rows // 2)

    def _batch(self, items: Sequence[Item], rows: int) -> list[Scores]:
        """Missing rows are copies of the first item."""
        import torch

        width, kept = items[0].shape
        prefix = items[0].prefix
        laid = [_row(item, width) for item in [*items, *[items[0]] * (rows - len(items))]]
        with torch.inference_mode():
            logits = self._local.model(
                input_ids=torch.tensor([tokens for tokens, _, _ in laid]),
                position_ids=torch.tensor([positions for _, positions, _ in laid]),
                attention_mask=_mask(torch.tensor([groups for _, _, groups in laid]), len(prefix), self._local.dtype),
                past_key_values=self._prefixes.rows([prefix] * rows),
                use_cache=True,
                logits_to_keep=kept,
            ).logits[: len(items), -kept:]
            logprobs = _finite(logits).float().log_softmax(-1)
            halved = self._tokens < BATCH_TOKENS
            return [_scores(item, found, halved) for item, found in zip(items, logprobs, strict=True)]

    def _require_suited(self) -> None:
        """Compare a made-up item with one plain forward pass for each of its choices."""
        probe = _probe(_embeddings(self._local))
        try:
            (found,) = self._batch([probe], 2)
            expected = [_plain(self._local, probe, choice) for choice in probe.choices]
        except EvidenceError:
            raise
        except Exception as error:
            raise UsageError(self._unsuited(f"{type(error).__name__} on a trial")) from error
        finally:
            self._prefixes.clear()
        off = max(abs(a - b) for a, b in zip(found.logprobs, expected, strict=True))
        if not off <= _AGREEMENT[str(self._local.dtype)]:
            raise UsageError(self._unsuited(f"a trial is off by {off:.3g} nats"))

    def _unsuited(self, why: str) -> str:
        return f"choices cannot be scored with a `{type(self._local.model).__name__}`: {why}"


def _prompt(local: LocalModel, question: Question, turns: Conversation, *, ask: bool) -> str:
    if not question.chat_template:
        return "".join(turn["content"] for turn in turns)
    return str(local.tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=ask))


def _tokens(local: LocalModel, question: Question, texts: list[str]) -> list[list[int]]:
    """A chat template writes the special tokens itself; else the tokenizer adds them, unless they stand there."""
    start = local.tokenizer.bos_token
    special = not question.chat_template and not (start and texts[0].startswith(start))
    return [list(ids) for ids in local.tokenizer(texts, add_special_tokens=special)["input_ids"]]


def _cut(local: LocalModel, question: Question, context: list[int]) -> int:
    """How many tokens of the context its messages before the last give. At least one token is left behind it."""
    from jinja2 import TemplateError

    if len(question.conversation) < 2:
        return 0
    try:
        text = _prompt(local, question, question.conversation[:-1], ask=False)
    except TemplateError:  # the template wants another last message: nothing is shared
        return 0
    (prefix,) = _tokens(local, question, [text])
    return cut(prefix, context)


def _common(choices: Sequence[tuple[int, ...]]) -> int:
    return min([len(choice) - 1 for choice in choices] + [same(choices[0], choice) for choice in choices[1:]])


def _require_distinct(choices: Sequence[str], tokens: Sequence[tuple[int, ...]]) -> None:
    for place, ids in enumerate(tokens):
        if not ids:
            raise UsageError(f"choice `{choices[place]}` adds no token to the prompt")
        if ids in tokens[:place]:
            raise UsageError(f"choices `{choices[tokens.index(ids)]}` and `{choices[place]}` are the same tokens")


def _whole(length: int) -> int:
    return -(-length // BUCKET) * BUCKET


def _rows(width: int, tokens: int) -> int:
    return max(1, tokens // width)


def _row(item: Item, width: int) -> tuple[list[int], list[int], list[int]]:
    """Tokens, positions and groups of its columns, padded on the left. Group 0 is the prompt, -1 padding."""
    trunk = [*item.rest, *item.choices[0][: item.common]]
    tokens, groups = list(trunk), [0] * len(trunk)
    first = len(item.prefix)
    positions = list(range(first, first + len(trunk)))
    for group, choice in enumerate(item.choices, 1):
        branch = choice[item.common : -1]
        tokens += branch
        positions += range(first + len(trunk), first + len(trunk) + len(branch))
        groups += [group] * len(branch)
    pad = width - len(tokens)
    return [0] * pad + tokens, [0] * pad + positions, [-1] * pad + groups


def _mask(groups: torch.Tensor, prefix: int, dtype: torch.dtype) -> torch.Tensor:
    """What each column sees, as what is added to its attention: (rows, 1, width, prefix + width).

    The shared part, then the prompt and its own branch up to itself. Padding sees only itself, and nobody sees it.
    """
    import torch

    rows, width = groups.shape
    one, other = groups[:, :, None], groups[:, None, :]
    seen = ((other == 0) | ((other == one) & (other > 0))) & (one >= 0)
    seen &= torch.ones(width, width, dtype=torch.bool).tril()
    seen |= torch.eye(width, dtype=torch.bool)
    seen = torch.cat([(one >= 0).expand(rows, width, prefix), seen], dim=2)
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]


def _scores(item: Item, logprobs: torch.Tensor, halved: bool) -> Scores:  # noqa: FBT001 - a field
    """`logprobs`: (kept, vocabulary), of the last columns of the item's row."""
    used = item.common + sum(len(choice) - 1 - item.common for choice in item.choices)
    first = len(logprobs) - 1 - used  # the last token before the choices
    branch, sums = first + item.common + 1, []
    for choice in item.choices:
        inner = len(choice) - 1 - item.common
        columns = [*range(first, first + item.common + 1), *range(branch, branch + inner)]
        sums.append(float(logprobs[columns, list(choice)].double().sum()))
        branch += inner
    context = len(item.prefix) + len(item.rest)
    return Scores(tuple(sums), tuple(map(len, item.choices)), context, halved)


def _finite(logits: torch.Tensor) -> torch.Tensor:
    if not bool(logits.isfinite().all()):
        raise EvidenceError("model produced non-finite logits; its weights are damaged or overflow its number format")
    return logits


def _embeddings(local: LocalModel) -> int:
    return int(local.model.get_input_embeddings().num_embeddings)


def _probe(vocabulary: int) -> Item:
    """An item of tokens from all over the vocabulary, with choices of one, two and four tokens."""
    ids = [(97 + 7919 * place) % vocabulary for place in range(40)]
    choices = (tuple(ids[30:34]), (ids[30], ids[35]), (ids[30], ids[36], ids[37]), (ids[38],))
    return Item(tuple(ids[:17]), tuple(ids[17:30]), choices, _common(choices))


def _plain(local: LocalModel, item: Item, choice: tuple[int, ...]) -> float:
    """The log-probability of one choice from one forward pass over all tokens."""
    import torch

    context = [*item.prefix, *item.rest]
    with torch.inference_mode():
        logits = local.model(input_ids=torch.tensor([[*context, *choice[:-1]]])).logits[0, len(context) - 1 :]
        logprobs = _finite(logits).float().log_softmax(-1)
    return float(logprobs[range(len(choice)), list(choice)].double().sum())
