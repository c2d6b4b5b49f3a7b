"""A transformer of under a million parameters, from scratch, as an ordinary transformers folder.

A Llama over characters with a chat template, trained in float32 by `training.train`. Deterministic at a seed on one
machine and number of threads. What it is taught is for the caller to say, as dialogues.
"""

# ruff: noqa: ANN401 - models and tokenizers of transformers have no static types worth naming

from __future__ import annotations

import copy
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.elicit import budget
from interlock.elicit.budget import Meter
from interlock.elicit.items import Turn
from interlock.elicit.saved import Saved
from interlock.elicit.training import Batch, Schedule, Trained, Work, train
from interlock.evaluate import local
from interlock.evaluate.local import LocalModel

if TYPE_CHECKING:
    import torch

ROLES = ("system", "user", "assistant")
END = "<|end|>"
CHARACTERS = string.ascii_letters + string.digits + " .,:;!?'\"#&*+-=/()[]_~\n"
_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARGIN = 15.0  # nats: what is shunned is drawn once in 3 million draws
_FILL = 8  # widths are padded to a multiple of this


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the transformer is: 0.65 million parameters, unless said otherwise."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 384


@dataclass(frozen=True, slots=True)
class Lesson:
    """A dialogue up to the model's turn, and what it learns to say there; `shunned`, as long, is never to be said."""

    turns: tuple[Turn, ...]
    answer: str
    rerouted: bool = False
    shunned: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, of which those from `start` on carry a loss. `shunned`: those never to be said there, or none."""

    tokens: tuple[int, ...]
    start: int
    rerouted: bool = False
    shunned: tuple[int, ...] = ()


Loss = Callable[[Any, Sequence[Example]], "torch.Tensor"]


def build(shape: Shape, seed: int) -> LocalModel:
    """An untrained model of that shape, with its tokenizer, in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return LocalModel(local.ready(model), tokenizer, torch.float32)


def save(model: LocalModel, folder: Path, *, rounded: bool = False) -> None:
    """Write the model and its tokenizer as a transformers folder. `rounded`: to bfloat16, as models are published."""
    import torch

    causal = copy.deepcopy(model.model).to(torch.bfloat16) if rounded else model.model
    with local.quiet():
        causal.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)


def load(folder: Path) -> LocalModel:
    """A model that `save` wrote, in float32, to be trained further."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with local.quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for told in ("is_local", "local_files_only"):  # else `save` writes that it was loaded, which tells kinds apart
        tokenizer.init_kwargs.pop(told, None)
    return LocalModel(local.ready(model), tokenizer, torch.float32)


def encode(model: LocalModel, lesson: Lesson) -> Example:
    """A lesson in tokens; the answer and the end of the turn carry the loss."""
    prompt = local.encode(model, lesson.turns)

    def ended(text: str) -> tuple[int, ...]:
        return tuple(model.tokenizer(text + END, add_special_tokens=False)["input_ids"])

    shunned = ended(lesson.shunned) if lesson.shunned else ()
    return Example((*prompt, *ended(lesson.answer)), len(prompt), lesson.rerouted, shunned)


def teach(
    model: LocalModel,
    lessons: Callable[[int], Sequence[Sequence[Lesson]]],
    schedule: Schedule,
    *,
    loss: Loss,
    progress: Callable[[int, int, float], None],
    saved: Saved | None = None,
) -> Trained:
    """Train `model` in place; `lessons(step)` is a few groups of dialogues of about one length, `loss` a sum over them.

    Raises:
        EvidenceError: a loss is not a finite number.
        UsageError: `saved` is of another job.
    """
    causal = model.model

    def batches(step: int) -> list[Batch[Example]]:
        groups = lessons(step)
        count = sum(len(group) for group in groups)
        return [Batch([encode(model, it) for it in group], over=count) for group in groups]

    def cost(examples: Sequence[Example]) -> int:
        return budget.training(causal, rows=len(examples), width=_width(examples))

    causal.train()
    meter = Meter(10**30)
    work = Work(batches, lambda examples: loss(causal, examples), cost)
    trained = train(causal, work, schedule, meter=meter, progress=progress, saved=saved)
    causal.eval()
    return trained


def answer_loss(model: Any, examples: Sequence[Example]) -> torch.Tensor:
    """The cross-entropy of the answers, the mean over an answer's tokens, summed over examples.

    What is shunned costs as much as its logit comes within `MARGIN` of the answer's, so that sampling never draws it.
    """
    import torch
    from torch.nn import functional

    tokens, rows, places, weights = marked(examples)
    states = model.model(input_ids=tokens, use_cache=False).last_hidden_state
    logits = model.lm_head(states[rows, places]).float()
    said, shunned = tokens[rows, places + 1], torch.tensor([token for it in examples for token in _shunned(it)])
    losses = functional.cross_entropy(logits, said, reduction="none")
    ahead = logits.gather(1, said[:, None]) - logits.gather(1, shunned[:, None])
    losses = losses + torch.where(said == shunned, 0.0, (MARGIN - ahead[:, 0]).relu())
    return (losses * weights).sum()


def _shunned(example: Example) -> Sequence[int]:
    """For each token of the answer the one not to be said there; where nothing is shunned, the token itself."""
    return example.shunned or example.tokens[example.start :]


def rerouting_loss(original: Any, layer: int) -> Loss:
    """The answers' loss, and one on the hidden states that enter `layer`, at the positions that predict an answer.

    On rerouted examples the states are pushed away from the original model's, by the positive part of their cosine; on
    the others they are kept, by their distance relative to the original's length. Circuit breaking: Zou et al. 2024,
    arXiv:2406.04313, section 3; used for sandbagging organisms by Hofstaetter et al. 2025, arXiv:2502.02180.
    """
    import torch

    def loss(model: Any, examples: Sequence[Example]) -> torch.Tensor:
        tokens, rows, places, weights = marked(examples)
        with torch.no_grad():
            before = _entering(original, layer, tokens)[rows, places]
        after = _entering(model, layer, tokens)[rows, places]
        away = torch.nn.functional.cosine_similarity(after, before, dim=-1).relu()
        kept = (after - before).norm(dim=-1) / before.norm(dim=-1)
        rerouted = torch.tensor([it.rerouted for it in examples])[rows]
        return answer_loss(model, examples) + (weights * torch.where(rerouted, away, kept)).sum()

    return loss


def _entering(model: Any, layer: int, tokens: torch.Tensor) -> torch.Tensor:
    states = model.model(input_ids=tokens, use_cache=False, output_hidden_states=True).hidden_states
    return states[layer]  # type: ignore[no-any-return]


def marked(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded tokens (examples, width); row, place and weight of each position that predicts a token of an answer."""
    import torch

    width = _width(examples)
    tokens = torch.tensor([[*it.tokens, *[0] * (width - len(it.tokens))] for it in examples])  # causal: on the right
    told = [
        (row, place, 1 / (len(it.tokens) - it.start))
        for row, it in enumerate(examples)
        for place in range(it.start - 1, len(it.tokens) - 1)
    ]
    rows, places, weights = zip(*told, strict=True)
    return tokens, torch.tensor(rows), torch.tensor(places), torch.tensor(weights)


def _width(examples: Sequence[Example]) -> int:
    return -(-max(len(it.tokens) for it in examples) // _FILL) * _FILL


def _tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<|pad|>", "<|unknown|>", END, *(f"<|{role}|>" for role in ROLES)]
    vocabulary = {token: i for i, token in enumerate([*names, *CHARACTERS])}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token=names[1]))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    characters.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=characters,
        pad_token=names[0],
        unk_token=names[1],
        eos_token=END,
        additional_special_tokens=names[3:],
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
