"""Weights on this machine as an Inspect model, answered greedily or by sampling, in batches.

Inspect asks for one answer at a time, many times at once; the model is several times faster on a batch. Requests
therefore wait in a queue, and whoever reaches its head answers the whole batch in a worker thread.
This module guarantees that every answer carries its token counts (without them Inspect would fetch a tokenizer from
the network), and that a request for anything but text at a temperature is refused, never silently answered otherwise.
It relies on `local` that an answer does not depend on the company it has in a batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
from inspect_ai._util.error import PrerequisiteError  # private, but the only error `inspect` prints without a traceback
from inspect_ai.model import ChatMessage, ChatMessageTool, GenerateConfig, Model, ModelAPI, ModelOutput, ModelUsage
from inspect_ai.tool import ToolChoice, ToolInfo
from rich.markup import escape

from interlock.errors import InterlockError, UsageError
from interlock.evaluate import choosing
from interlock.evaluate.batches import Progress, Queue

if TYPE_CHECKING:
    from interlock.evaluate.local import Completion, LocalModel

BATCH = 16  # answers in one call of the model
CONNECTIONS = 16 * BATCH  # waiting costs nothing, and of many there are enough of each length to fill a batch

_DEFAULT_MAX_TOKENS = 256
_TRANSPORT = {"max_retries", "timeout", "attempt_timeout", "stream_idle_timeout", "max_connections"}
_HONOURED = _TRANSPORT | {"adaptive_connections", "max_tokens", "system_message", "seed", "temperature"}


@dataclass(frozen=True, slots=True)
class _Request:
    conversation: list[dict[str, str]]
    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0

    @property
    def kind(self) -> tuple[int, float]:
        """Requests of one kind can be answered together."""
        return self.max_new_tokens, self.temperature


class Batches:
    """What waits for one model: conversations, and in `choices` questions whose choices are weighed, which take turns.

    `progress` is told the number of answers so far of either, after each batch.
    """

    def __init__(self, local: LocalModel, progress: Progress | None = None) -> None:
        turn = anyio.Lock()
        self._conversations: Queue[_Request, Completion] = Queue(
            turn, first=_alike, answer=lambda asked: _answers(local, asked), progress=progress
        )
        self.choices = choosing.Weighing(local, turn, progress)

    async def answer(
        self, conversation: list[dict[str, str]], max_new_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Completion:
        """The model's continuation of one conversation: greedy at temperature 0, else drawn with `seed`.

        Raises:
            EvidenceError: the model did not give finite numbers.
        """
        return await self._conversations.ask(_Request(conversation, max_new_tokens, temperature, seed))


def _alike(asked: Sequence[_Request]) -> tuple[list[int], bool]:
    """The places of the first one and of others of its kind, at most a batch; and whether it is one."""
    places = [place for place, it in enumerate(asked) if it.kind == asked[0].kind][:BATCH]
    return places, len(places) == BATCH


def _answers(model: LocalModel, batch: Sequence[_Request]) -> list[Completion]:
    from interlock.evaluate import local

    conversations = [request.conversation for request in batch]
    limit, temperature = batch[0].kind
    if temperature == 0:
        return local.generate(model, conversations, max_new_tokens=limit)
    seeds = [request.seed for request in batch]
    drawn = local.sample(model, conversations, seeds=seeds, temperature=temperature, max_new_tokens=limit)
    return [local.Completion(it.text, len(it.prompt), len(it.tokens)) for it in drawn]


class LocalAPI(ModelAPI):
    """Inspect model `interlock/NAME`: `-M folder=PATH` of a transformers model, `-M adapter=PATH` of its adapter."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - the signature that Inspect's providers have
        *,
        batches: Batches | None = None,
        **paths: object,
    ) -> None:
        super().__init__(model_name, base_url, api_key, config=config)
        self._batches = batches or _load(paths)

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - Inspect's name
        tools: list[ToolInfo],
        tool_choice: ToolChoice,  # noqa: ARG002 - says nothing without tools
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer one conversation with at most `config.max_tokens` new tokens, at `config.temperature` (0 where it does
        not say) and with `config.seed`; or weigh choices for `choose`.

        Raises:
            UsageError: tools, sampling without a seed, another setting, or content other than text are asked for, or
                choices are not as they should be.
            EvidenceError: the model did not give finite numbers.
        """
        question = choosing.question([_turn(message) for message in input], config)
        refuse_unhonoured(config.model_copy(update={"extra_body": None}))
        if tools:
            raise UsageError(f"local models take no tools, got `{tools[0].name}`")
        if question:
            return choosing.output(self.model_name, question, await self._batches.choices.score(question))
        limit = config.max_tokens or _DEFAULT_MAX_TOKENS
        asked = [_turn(message) for message in input]
        completion = await self._batches.answer(
            asked, limit, temperature=config.temperature or 0.0, seed=config.seed or 0
        )
        output = ModelOutput.from_content(
            self.model_name, completion.text, "max_tokens" if completion.output_tokens >= limit else "stop"
        )
        output.usage = ModelUsage(
            input_tokens=completion.input_tokens,
            output_tokens=completion.output_tokens,
            total_tokens=completion.input_tokens + completion.output_tokens,
        )
        return output

    def max_connections(self) -> int:
        """Enough that batches fill."""
        return CONNECTIONS

    def max_tokens(self) -> int:
        """New tokens of an answer where the task does not say."""
        return _DEFAULT_MAX_TOKENS


def model(local: LocalModel, *, name: str, args: Mapping[str, str], progress: Progress | None = None) -> Model:
    """An already loaded model as Inspect model `interlock/NAME`. Logs show `args` as its model arguments."""
    from interlock.evaluate import _registry

    create = cast(Any, _registry.interlock)  # Inspect's decorator tags what it makes, and types it as the bare base
    api = cast(LocalAPI, create(model_name=name, batches=Batches(local, progress)))
    wrapped = Model(api, GenerateConfig(), dict(args))
    api.qualified_model_name = str(wrapped)
    return wrapped


def refuse_unhonoured(config: GenerateConfig) -> None:
    """Refuse generation settings that decoding here does not honour.

    Raises:
        UsageError: the temperature is not a finite number of at least 0, or is above 0 without a seed; or a setting
            other than `temperature`, `seed`, `max_tokens` and those of the transport is set.
    """
    settings = config.model_dump(exclude_none=True, exclude=_HONOURED)
    if settings:
        setting, value = next(iter(settings.items()))
        raise UsageError(f"local models honour temperature, seed and max_tokens only, got `{setting}={value}`")
    if not 0 <= (config.temperature or 0) < math.inf:
        raise UsageError(f"got `temperature={config.temperature}`, expected a number of at least 0")
    if config.temperature and config.seed is None:
        raise UsageError(f"sampling at temperature {config.temperature} takes a seed, got none")


def _load(paths: Mapping[str, object]) -> Batches:
    from interlock.evaluate import local

    given = {name: Path(str(value)) for name, value in paths.items()}
    try:
        if "folder" not in given or given.keys() - {"folder", "adapter"}:
            raise UsageError(f"expected -M folder=PATH and perhaps -M adapter=PATH, got {_quoted(given) or 'neither'}")
        return Batches(local.load(given["folder"], adapter=given.get("adapter")))
    except InterlockError as error:
        raise PrerequisiteError(escape(str(error))) from None


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def turns(told: str | Sequence[ChatMessage]) -> list[dict[str, str]]:
    """What a sample says as a conversation.

    Raises:
        UsageError: content other than text.
    """
    return [{"role": "user", "content": told}] if isinstance(told, str) else [_turn(message) for message in told]


def _turn(message: ChatMessage) -> dict[str, str]:
    if isinstance(message, ChatMessageTool) or getattr(message, "tool_calls", None):
        raise UsageError("local models take no tools, got a message of a tool call")
    if not isinstance(message.content, str) and any(part.type != "text" for part in message.content):
        raise UsageError(f"local models take text, got {', '.join(part.type for part in message.content)}")
    return {"role": message.role, "content": message.text}
