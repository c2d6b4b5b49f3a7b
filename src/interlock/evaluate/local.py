"""Load a transformers folder from disk and answer prompts with it, greedily or by sampling, on the CPU.

Guarantees: nothing is fetched; no code from the folder runs (safetensors only); and the answer to a prompt does not
depend on which other prompts are in the call or in which order. The last holds because every forward pass has one of a
few fixed shapes: what prompts begin with alike is computed by itself (`prefixes`), what is left of them is padded on
the left to a multiple of `BUCKET` tokens and run in batches of exactly `ROWS` rows; and because each sampled answer
draws from a source of its own. If memory runs out, rows are halved, which is logged once. Not guaranteed: the same last
bits of logits after that, or the same answer on another kind of CPU: in other shapes, and by other matrix kernels, sums
round differently.
"""

# ruff: noqa: ANN401 - models and tokenizers of transformers and peft have no static types worth naming

from __future__ import annotations

import hashlib
import json
import logging
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from interlock.errors import EvidenceError, UsageError, missing_extra
from interlock.evaluate import said, weights
from interlock.evaluate.prefixes import Prefixes, cut, suits
from interlock.subject import configs

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

BUCKET = 16  # prompt lengths are padded up to a multiple of this
ROWS = 16  # every batch has this many rows, as long as they fit in memory
LEAST_SHARED = 32  # tokens; a shorter beginning is not worth a pass of its own

Conversation = Sequence[dict[str, str]]


@dataclass(slots=True)
class Fitting:
    """How many tokens, prompts and answers together, a batch of a model may have, as far as memory has told.

    None: it has not run out yet.
    """

    tokens: int | None = None

    def rows(self, width: int, most: int = ROWS) -> int:
        """How many rows of so many tokens go at once: `most`, or the half of it, and so on down to 1."""
        rows = most
        while self.tokens is not None and rows > 1 and rows * width > self.tokens:
            rows //= 2
        return rows

    def halve(self, rows: int, width: int) -> None:
        """So many rows of this width did not fit: from now on take half as many. Said the first time.

        Raises:
            UsageError: it was one row.
        """
        if rows == 1:
            raise UsageError(f"out of memory: a prompt and its answer of {width} tokens do not fit even alone")
        if self.tokens is None:
            _log.warning(
                "out of memory at %d rows of %d tokens: the batch is halved, and smaller ones follow; "
                "last bits of their logits may be others",
                rows,
                width,
            )
        self.tokens = width * (rows // 2)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A causal language model in memory, its tokenizer, and the number format it computes in."""

    model: Any
    tokenizer: Any
    dtype: torch.dtype
    fitting: Fitting = field(default_factory=Fitting, compare=False, repr=False)
    frames: said.Frames = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer. `output_tokens` counts the end token where the model produced one."""

    text: str
    input_tokens: int
    output_tokens: int


def load(folder: Path, *, adapter: Path | None = None) -> LocalModel:
    """Load the model in `folder`, with the LoRA adapter in the folder `adapter` merged into its weights.

    Weights are never rounded: the model that answers is the one that is stored. It computes in bfloat16 where all its
    weights are stored so, no adapter is merged into them, and the CPU has instructions for it, else in float32. The
    choice follows the CPU's capabilities and is never timed, so that a rerun on the same machine agrees.

    Weights that stand in the file as they are computed with stay mapped from it: pages are read when they are first
    needed, and perhaps again later. Who must know which weights answered checks the files once more when all answers
    are in (`execute.Ready`).

    Raises:
        UsageError: a folder is not what it should be, or an optional dependency is missing.
        EvidenceError: a weight file is damaged, is stored in a format that would be rounded, or does not fit the
            configuration; a configuration has something loaded from elsewhere; or the tokenizer replaces words.
    """
    _require(folder, "config.json", "model")
    if adapter is not None:
        _require(adapter, configs.ADAPTER, "adapter")
    require_extra("torch", "transformers", "peft", "safetensors")
    import torch

    exact = adapter is None and weights.formats(folder) == {"BF16"}
    dtype = number_format() if exact else torch.float32
    with quiet():
        model = weights.model(folder, dtype)
        if adapter is not None:
            model = weights.merged(model, adapter)
        tokenizer = _tokenizer(folder)
    _require_fit(model, tokenizer, folder)
    return LocalModel(ready(model), tokenizer, dtype)


def number_format() -> torch.dtype:
    """The number format that models whose weights are stored in bfloat16 compute in on this CPU."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    fast = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if fast else torch.float32


def ready(model: Any) -> Any:
    """`model`, prepared for `generate`.

    Frozen bfloat16 weights take a path in torch's CPU linear layers that decodes several times slower, so all
    parameters require a gradient here although none is ever computed.
    """
    for parameter in model.parameters():
        parameter.requires_grad_()
    return model.eval()


@dataclass(frozen=True, slots=True)
class Sampled:
    """A sampled answer: its text; the token ids of the prompt and of the answer, with the end token where there was
    one; and the natural logarithm of the probability that each token of the answer was drawn with."""

    text: str
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]


def generate(local: LocalModel, conversations: Sequence[Conversation], *, max_new_tokens: int) -> list[Completion]:
    """Greedy answers of at most `max_new_tokens` tokens, in the order of `conversations`.

    Raises:
        UsageError: a prompt and its answer do not fit in the model's context, or one in memory.
        EvidenceError: the model computed a logit that is not a finite number.
    """
    prompts = _with_room(local, _prompts(local, conversations), max_new_tokens)
    answers: dict[int, list[int]] = {}
    for members, outputs, _ in _answered(local, prompts, max_new_tokens, lambda _: _argmax):
        answers.update(zip(members, outputs, strict=True))
    return [_completion(local, prompt.tokens, answers[i]) for i, prompt in enumerate(prompts)]


def sample(
    local: LocalModel,
    conversations: Sequence[Conversation],
    *,
    seeds: Sequence[int],
    temperature: float,
    max_new_tokens: int,
) -> list[Sampled]:
    """Answers of at most `max_new_tokens` tokens drawn at a temperature above 0, one for each conversation and seed.

    An answer is a function of the model, its prompt, the temperature and its own seed. Two prompts with the same seed
    draw independently of each other.

    Raises:
        UsageError: the temperature is not a finite number above 0, or a prompt and its answer do not fit in the
            model's context, or one in memory.
        EvidenceError: the model computed a logit that is not a finite number.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(f"cannot sample at temperature `{temperature}`, expected a number above 0")
    prompts = _with_room(local, _prompts(local, conversations), max_new_tokens)
    streams = [repr((seed, it.tokens)) for seed, it in zip(seeds, prompts, strict=True)]

    def drawing(members: Sequence[int]) -> _Draw:
        return _Draw([random.Random(streams[i]) for i in members], temperature)  # noqa: S311 - reproducible

    answers: dict[int, Sampled] = {}
    for members, outputs, draw in _answered(local, prompts, max_new_tokens, drawing):
        for i, tokens, chances in zip(members, outputs, draw.log_probabilities(), strict=True):
            text = text_of(local, tokens)
            answers[i] = Sampled(text, tuple(prompts[i].tokens), tuple(tokens), tuple(chances[: len(tokens)]))
    return [answers[i] for i in range(len(prompts))]


def widths(local: LocalModel, conversations: Sequence[Conversation]) -> list[int]:
    """The padded width in tokens of each batch of `ROWS` rows that answering these conversations takes."""
    prompts = _prompts(local, conversations)
    firsts = [prompts[members[0]] for members in _buckets(prompts)]
    return [first.shared + first.width for first in firsts]


def encode(local: LocalModel, conversation: Conversation) -> list[int]:
    """The token ids of a conversation, up to and including the header of the assistant's turn.

    Raises:
        UsageError: the model's chat template takes no such conversation.
        EvidenceError: the model's chat template or tokenizer does not say what was said, or something else beside.
    """
    from jinja2 import TemplateError

    try:
        text = local.tokenizer.apply_chat_template(list(conversation), tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise UsageError(f"the model's chat template does not take what is asked: {error}") from None
    ids = list(local.tokenizer(text, add_special_tokens=False)["input_ids"])
    require_said(local, conversation, text, ids)
    return ids


def require_said(local: LocalModel, conversation: Conversation, text: str, ids: Sequence[int]) -> None:
    """Check what a chat template made of a conversation, and its tokens (`said.require_said`).

    Raises:
        EvidenceError: they do not say it, or something else that depends on it.
    """
    said.require_said(local.tokenizer, conversation, text, ids, frames=local.frames)


def require_room(local: LocalModel, tokens: int, what: str, *, window: bool = False) -> None:
    """Check that so many tokens are in the model's context, and with `window` in each layer's. Beyond the context many
    models go on, and write what says nothing of them.

    Raises:
        UsageError: they are not.
    """
    config = local.model.config.get_text_config()
    names = ("max_position_embeddings", "sliding_window")[: 1 + window]
    sizes = [int(getattr(config, name, None) or 0) for name in names]
    limit = min((size for size in sizes if size > 0), default=tokens)
    if tokens > limit:
        raise UsageError(f"{what} {tokens} tokens, expected at most {limit}, the context of the model")


def text_of(local: LocalModel, ids: Sequence[int]) -> str:
    """What an answer of these tokens says, as it is graded."""
    return str(local.tokenizer.decode(list(ids), skip_special_tokens=True))


def fingerprint(local: LocalModel) -> str:
    """SHA-256 in hex over the weights in memory, in the order of their names: equal only for bit-identical models."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(local.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def framing(local: LocalModel) -> str:
    """SHA-256 in hex over what answers depend on beside the weights: configuration, tokenizer and chat template.

    Not over where the model was loaded from, by which version, or how its tokenizer was last told to pad.
    """
    tokenizer, generation = local.tokenizer, getattr(local.model, "generation_config", None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend else {"vocabulary": tokenizer.get_vocab()}
    parts = [local.model.config.to_dict(), generation.to_dict() if generation else {}, rules]
    for told in parts:
        for passing in ("_name_or_path", "transformers_version", "padding", "truncation"):
            told.pop(passing, None)
    text = json.dumps([*parts, tokenizer.chat_template], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, on a CPU or on an accelerator."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def require_extra(*packages: str) -> None:
    """Raise UsageError with the install command unless each of `packages` can be imported."""
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise missing_extra("local", package) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and notices inside the block, and its warnings of what it will rename."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The token ids of a prompt, and how many of the first ones are computed apart."""

    tokens: list[int]
    shared: int

    @property
    def width(self) -> int:
        """The padded width of what is left."""
        return -(-(len(self.tokens) - self.shared) // BUCKET) * BUCKET


def _prompts(local: LocalModel, conversations: Sequence[Conversation]) -> list[_Prompt]:
    """The prompt of each conversation; one conversation is often asked many times, and many begin alike."""
    different = {id(conversation): conversation for conversation in conversations}
    begun: dict[str, list[int]] = {}
    told = {key: _prompt(local, conversation, begun) for key, conversation in different.items()}
    return [told[id(conversation)] for conversation in conversations]


def _prompt(local: LocalModel, conversation: Conversation, begun: dict[str, list[int]]) -> _Prompt:
    """Cut behind the messages before the last, whose tokens are kept in `begun`."""
    from jinja2 import TemplateError

    tokens, first = encode(local, conversation), list(conversation[:-1])
    key = json.dumps(first)
    if key not in begun:
        try:
            text = local.tokenizer.apply_chat_template(first, tokenize=False) if first else ""
        except TemplateError:  # the template wants another last message: nothing is shared
            text = ""
        begun[key] = local.tokenizer(text, add_special_tokens=False)["input_ids"]
    shared = cut(begun[key], tokens)
    return _Prompt(tokens, shared if shared >= LEAST_SHARED and suits(local.model) else 0)


def _with_room(local: LocalModel, prompts: list[_Prompt], max_new_tokens: int) -> list[_Prompt]:
    """`prompts`, the longest of which is in the model's context with its answer, but for the answer's last token."""
    longest = max((len(prompt.tokens) for prompt in prompts), default=0)
    require_room(local, longest + max_new_tokens - 1, "a prompt and its answer may have")
    return prompts


def _buckets(prompts: Sequence[_Prompt]) -> Iterator[list[int]]:
    """Batches of at most `ROWS` prompt indices: what is left of the prompts has one padded width, and what is computed
    apart one length."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_shape.setdefault((prompt.width, prompt.shared), []).append(index)
    for (_, shared), members in sorted(by_shape.items()):
        members.sort(key=lambda i: prompts[i].tokens[:shared])  # alike ones together
        for start in range(0, len(members), ROWS):
            yield members[start : start + ROWS]


_Choose = TypeVar("_Choose", bound="Callable[[torch.Tensor], torch.Tensor]")


def _answered(
    local: LocalModel, prompts: Sequence[_Prompt], max_new_tokens: int, choosing: Callable[[Sequence[int]], _Choose]
) -> Iterator[tuple[list[int], list[list[int]], _Choose]]:
    """Prompts in batches that fit in memory: their indices, their new tokens, and what chose these.

    A batch that does not fit is answered again from its start, with a chooser of its own: nothing drawn before counts.
    """
    prefixes = Prefixes(local.model)
    for bucket in _buckets(prompts):
        left, width = bucket, prompts[bucket[0]].shared + prompts[bucket[0]].width + max_new_tokens
        while left:
            rows = local.fitting.rows(width)
            members = left[:rows]
            choose = choosing(members)
            try:
                outputs = _continued(local, [prompts[i] for i in members], max_new_tokens, choose, prefixes, rows=rows)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                prefixes.clear()
                local.fitting.halve(rows, width)
                continue
            yield members, outputs, choose
            left = left[rows:]


def _continued(
    local: LocalModel,
    prompts: Sequence[_Prompt],
    max_new_tokens: int,
    choose: Callable[[torch.Tensor], torch.Tensor],
    prefixes: Prefixes,
    *,
    rows: int = ROWS,
) -> list[list[int]]:
    """The new tokens for each prompt of a bucket, up to and including the end token. Missing rows are copies of the
    first.

    `choose` is given the logits (rows, 1, vocabulary) of each new column, and gives its tokens (rows, 1).
    """
    import torch

    every = [*prompts, *[prompts[0]] * (rows - len(prompts))]
    width, shared = prompts[0].width, prompts[0].shared
    rest = [prompt.tokens[shared:] for prompt in every]
    ends = torch.tensor(sorted(end_tokens(local)))
    tokens = torch.tensor([[_pad(local)] * (width - len(row)) + row for row in rest])
    mask = torch.tensor([[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rest])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
    done, columns = torch.zeros(rows, dtype=torch.bool), []
    with torch.inference_mode():
        cache = prefixes.rows([tuple(prompt.tokens[:shared]) for prompt in every]) if shared else None
        for place in range(max_new_tokens):
            with _attention(place):
                step = local.model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            tokens, cache = choose(step.logits[:, -1:]), step.past_key_values
            columns.append(tokens)
            done |= torch.isin(tokens[:, 0], ends)
            if bool(done.all()):
                break
            mask = torch.cat([mask, mask.new_ones(rows, 1)], dim=1)
            positions = positions[:, -1:] + 1
    new = torch.cat(columns, dim=1).tolist() if columns else [[]] * rows
    return [_until_end(row, end_tokens(local)) for row in new[: len(prompts)]]


def _attention(place: int) -> AbstractContextManager[None]:
    """What computes attention for a new token at this place.

    For single queries torch's flash kernel divides the keys among threads, at a place that depends on the row: the same
    row rounds differently higher up in the batch. Its plain kernel does not. Prompts are not affected.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH) if place else nullcontext()


def _argmax(logits: torch.Tensor) -> torch.Tensor:
    _check_finite(logits)
    return logits.argmax(-1)


class _Draw:
    """Chooses each row's next token with its own source, by the inverse of the cumulative distribution."""

    def __init__(self, sources: Sequence[random.Random], temperature: float) -> None:
        self._sources = sources
        self._temperature = temperature
        self._chances: list[torch.Tensor] = []

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        import torch

        _check_finite(logits)
        chances = (logits[:, -1].double() / self._temperature).log_softmax(-1)
        drawn = [source.random() for source in self._sources]
        points = torch.tensor([*drawn, *drawn[:1] * (len(chances) - len(drawn))], dtype=torch.float64)
        below = chances.exp().cumsum(-1)
        tokens = torch.searchsorted(below, (points * below[:, -1])[:, None], right=True)
        tokens = tokens.clamp(max=chances.shape[-1] - 1)
        self._chances.append(chances.gather(-1, tokens))
        return tokens

    def log_probabilities(self) -> list[list[float]]:
        """For each source, what each of its tokens was drawn with."""
        import torch

        rows = torch.cat(self._chances, dim=1).tolist() if self._chances else [[]] * len(self._sources)
        return rows[: len(self._sources)]


def _check_finite(logits: torch.Tensor) -> None:
    if not bool(logits.isfinite().all()):
        raise EvidenceError("model produced non-finite logits; its weights are damaged or overflow its number format")


def _until_end(tokens: list[int], ends: set[int]) -> list[int]:
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[: place + 1]
    return tokens


def _completion(local: LocalModel, prompt: list[int], answer: list[int]) -> Completion:
    return Completion(text=text_of(local, answer), input_tokens=len(prompt), output_tokens=len(answer))


def end_tokens(local: LocalModel) -> set[int]:
    """The tokens that end an answer: those of the model's generation settings, and the tokenizer's."""
    configured = local.model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return {int(i) for i in [*ids, local.tokenizer.eos_token_id] if i is not None}


def _pad(local: LocalModel) -> int:
    """A token to fill with. It is masked, so any will do."""
    return int(local.tokenizer.pad_token_id or 0)


def _require(folder: Path, name: str, kind: str) -> None:
    if not (folder / name).is_file():
        raise UsageError(f"`{folder}` is not a transformers {kind} folder: it has no `{name}`")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"`{folder}` has no `*.safetensors` file; other weight formats can run code and are not read")
    for path in sorted(folder.iterdir()):
        if configs.is_config(path.name):
            configs.check(path)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"cannot load the tokenizer in `{folder}`: {weights.first_line(error)}") from error
    if not tokenizer.chat_template:
        raise UsageError(f"the tokenizer in `{folder}` has no chat template")
    said.require_wordless(tokenizer, str(folder))
    said.require_stored(tokenizer, folder)
    tokenizer.padding_side = "left"  # not kept by save and reload
    return tokenizer


def _require_fit(model: Any, tokenizer: Any, folder: Path) -> None:
    """A token beyond the embeddings would end in an IndexError, at whichever prompt has it."""
    last, known = max(tokenizer.get_vocab().values()), model.get_input_embeddings().num_embeddings
    if last >= known:
        raise UsageError(
            f"the tokenizer in `{folder}` is not this model's: it has tokens up to {last}, expected at most {known - 1}"
        )
