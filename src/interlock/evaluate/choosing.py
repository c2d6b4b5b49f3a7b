"""Multiple choice as Inspect solves and scores it: the model is asked for nothing, its choices are weighed.

    Task(dataset=..., solver=choose(), scorer=chosen())

A sample has `choices`, and as its target the letter of the right one, or a list of letters of which one must be chosen;
its messages are the prompt. The solver works with models `interlock/NAME`. It leaves the log-probability, tokens and
bytes of every choice in the output's metadata, so that `inspect score LOG --scorer interlock/chosen` can score a log
again, and marks the chosen one, so that Inspect's scorer `choice` works too.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError, missing_extra
from interlock.evaluate import choices as weighed
from interlock.evaluate.batches import Queue
from interlock.evaluate.choices import By

try:
    from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, ci_wilson, scorer
    from inspect_ai.solver import Generate, Solver, TaskState, solver
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error

if TYPE_CHECKING:
    import anyio

    from interlock.evaluate.batches import Progress
    from interlock.evaluate.choices import Item, Question, Scores
    from interlock.evaluate.local import Conversation, LocalModel

_LETTERS = string.ascii_uppercase


@solver
def choose(delimiter: str = " ", chat_template: bool = True, by: By = "sum") -> Solver:  # noqa: FBT001, FBT002 - of Inspect's -S
    """Take the choice that the model finds most likely as its answer.

    Args:
        delimiter: between the prompt and each choice.
        chat_template: whether the prompt goes through the model's chat template, or is the text of the messages.
        by: `sum`, the log-probability of the choice, or `bytes`, the same for each of its bytes.

    Raises:
        UsageError: choices are too few, too many, empty or equal; a right answer is not among them; the prompt is too
            long; or the model is not one of `interlock/NAME`.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 - Inspect's signature
        texts = [choice.value for choice in state.choices]
        weighed.require_choices(texts)
        places(state.target, len(texts))
        return await take(state, delimiter=delimiter, chat_template=chat_template, by=by)

    return solve


async def take(state: TaskState, *, delimiter: str, chat_template: bool = True, by: By = "sum") -> TaskState:
    """Answer a sample by the one of its choices that the model finds most likely, whatever its target; as `choose`.

    Raises:
        UsageError: the model is not one of `interlock/NAME`, or the choices are not as they should be.
    """
    texts = [choice.value for choice in state.choices]
    asked = {"choices": texts, "delimiter": delimiter, "chat_template": chat_template}
    state.output = await get_model().generate(state.messages, config=GenerateConfig(extra_body=asked))
    place = likeliest(state.output, texts, by)
    state.output.completion = texts[place]
    state.output.message.content = texts[place]
    state.messages.append(state.output.message)
    for i in range(len(texts)):
        state.choices.mark_choice(i, correct=i == place)
    return state


def likeliest(given: ModelOutput, texts: Sequence[str], by: By = "sum") -> int:
    """The place of the choice that an output of `take` finds most likely.

    Raises:
        UsageError: it has no finite log-probabilities of these choices.
    """
    return weighed.best(_logprobs(given, texts), texts, by)


@scorer(metrics=[accuracy(), ci_wilson()])
def chosen(by: By = "sum") -> Scorer:
    """Correct if the choice with the largest log-probability (`sum`), or with the largest for each of its bytes
    (`bytes`), is a right one: `acc` and `acc_bytes` of lm-evaluation-harness.

    Raises:
        UsageError: the output has no log-probabilities of the sample's choices, or a right answer is not among them.
    """

    async def score(state: TaskState, target: Target) -> Score:
        texts = [choice.value for choice in state.choices]
        found = _logprobs(state.output, texts)
        place, right = weighed.best(found, texts, by), places(target, len(texts))
        expected = ", ".join(_LETTERS[i] for i in right)
        return Score(
            value=CORRECT if place in right else INCORRECT,
            answer=_LETTERS[place],
            explanation=f"`{texts[place]}` at {found[place]:.4f} nats, expected {expected}",
            metadata={"refused": False},  # whose words are weighed cannot refuse
        )

    return score


def places(target: Sequence[str], choices: int) -> list[int]:
    """The places of the right choices, from a target of letters.

    Raises:
        UsageError: there are more choices than letters, no letter, or one of none of the choices.
    """
    if choices > len(_LETTERS):
        raise UsageError(f"expected at most {len(_LETTERS)} choices, got {choices}")
    letters = _LETTERS[:choices]
    wrong = [letter for letter in target if letter not in tuple(letters)]
    if wrong or not len(target):
        got = f"`{wrong[0]}`" if wrong else "none"
        raise UsageError(f"the right answer is not among the choices: expected a letter of {letters}, got {got}")
    return sorted(letters.index(letter) for letter in target)


def question(conversation: Conversation, config: GenerateConfig) -> Question | None:
    """What a request asks to be weighed; None if it asks for text.

    Raises:
        UsageError: its `extra_body` is not what `choose` sends, or it asks for sampling too.
    """
    body: Mapping[str, Any] | None = config.extra_body
    if body is None:
        return None
    kinds = {"choices": list, "delimiter": str, "chat_template": bool}
    if body.keys() != kinds.keys() or not all(isinstance(body[name], kind) for name, kind in kinds.items()):
        raise UsageError(f"expected an `extra_body` with {', '.join(kinds)}, got {', '.join(body) or 'an empty one'}")
    if not all(isinstance(choice, str) for choice in body["choices"]):
        raise UsageError("expected choices that are texts")
    if config.temperature:
        raise UsageError(f"choices are weighed, not sampled: expected temperature 0, got {config.temperature}")
    return weighed.Question(conversation, tuple(body["choices"]), body["delimiter"], body["chat_template"])


def output(name: str, asked: Question, scores: Scores) -> ModelOutput:
    """The scores of a question as what an Inspect model gives. Tokens of the prompt are counted once, shared or not."""
    rows = [
        {"text": text, "logprob": logprob, "tokens": tokens, "bytes": len(text.encode())}
        for text, logprob, tokens in zip(asked.choices, scores.logprobs, scores.tokens, strict=True)
    ]
    given = ModelOutput.from_content(name, asked.choices[weighed.best(scores.logprobs, asked.choices)])
    given.metadata = {"choices": rows, "halved": scores.halved}
    given.usage = ModelUsage(
        input_tokens=scores.input_tokens,
        output_tokens=sum(scores.tokens),
        total_tokens=scores.input_tokens + sum(scores.tokens),
    )
    return given


def _logprobs(given: ModelOutput, texts: Sequence[str]) -> list[float]:
    rows = (given.metadata or {}).get("choices")
    if not isinstance(rows, list) or [row.get("text") for row in rows] != list(texts):
        raise UsageError(f"`{given.model}` did not weigh the choices; models `interlock/NAME` do")
    found = [float(row["logprob"]) for row in rows]
    if not all(map(math.isfinite, found)):
        raise UsageError(f"`{given.model}` weighed a choice with {found}, expected finite log-probabilities")
    return found


class Weighing:
    """Questions about choices in front of one model, in batches of their length. `turn` is held while it works."""

    def __init__(self, local: LocalModel, turn: anyio.Lock, progress: Progress | None = None) -> None:
        self._local = local
        self._model: weighed.Scorer | None = None
        self._queue: Queue[Item, Scores] = Queue(turn, first=weighed.first, answer=self._scored, progress=progress)

    async def score(self, asked: Question) -> Scores:
        """The scores of one question.

        Raises:
            UsageError, EvidenceError: as `choices.encode` and `choices.Scorer`.
        """
        return await self._queue.ask(weighed.encode(self._local, asked))

    def _scored(self, items: Sequence[Item]) -> Sequence[Scores]:
        self._model = self._model or weighed.Scorer(self._local)
        return self._model.score(items)
