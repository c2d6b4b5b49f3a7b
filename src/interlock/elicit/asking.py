"""Asking an adapted model questions and grading what it says, without the machinery of an evaluation.

The same prompts, the same answers and the same grades as the Inspect task of these questions gives, which is what
signed results rest on; this way is for choosing settings on dev questions and for suites of many small models.
Where a question has choices, the model writes nothing: its answer is the choice that it finds most likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from interlock.elicit import budget, grading, turn
from interlock.elicit.elicitor import Adapted
from interlock.elicit.failures import SPURIOUS, Outcome, classify
from interlock.elicit.items import Item, Turn, require_open
from interlock.evaluate import choices, local
from interlock.evaluate.local import LocalModel


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a model said once, whether it was right, and whether it was cut off by the limit of tokens."""

    text: str
    correct: bool
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one question, in as many attempts as it had."""

    item: Item
    attempts: tuple[Attempt, ...]

    @property
    def correct(self) -> bool:
        """Whether any attempt was right."""
        return any(attempt.correct for attempt in self.attempts)

    @property
    def text(self) -> str:
        """The first attempt that was right, or the first."""
        return next((attempt.text for attempt in self.attempts if attempt.correct), self.attempts[0].text)


def conversation(item: Item, shots: Sequence[Item] = ()) -> list[Turn]:
    """The messages that ask a question: its system message, one answered turn for each shot, its own turns."""
    system = [turn for turn in item.messages if turn["role"] == "system"]
    turns = [turn for turn in item.messages if turn["role"] != "system"]
    shown = [turn for shot in shots for turn in _solved(shot)]
    return [*system, *shown, *turns]


def ask(
    adapted: Adapted, items: Sequence[Item], *, grade: grading.Grade, max_new_tokens: int, seed: int = 0
) -> tuple[Answer, ...]:
    """The answers of a model, in the order of `items`: greedy at temperature 0, else drawn with the seeds after `seed`,
    one for each attempt, of which the first is greedy if there are several. Of a question with choices it is the most
    likely one.

    Raises:
        UsageError: a question with choices and a temperature, or choices that cannot be weighed (`choices.encode`).
        EvidenceError: the model gave numbers that are not finite.
    """
    require_greedy(adapted, items)
    chosen = iter(_chosen(adapted, [item for item in items if item.choices]))
    open_ones = [item for item in items if not item.choices]
    written = iter(_written(adapted, open_ones, grade=grade, max_new_tokens=max_new_tokens, seed=seed))
    return tuple(next(chosen if item.choices else written) for item in items)


def require_told(model: LocalModel, items: Iterable[Item], *, grade: grading.Grade) -> None:
    """Check, before questions are asked, those without choices: that they can be said, and their right answers told
    (`turn.require_told`).

    Raises:
        UsageError, EvidenceError: one cannot.
    """
    turn.require_told(model, [(item.messages, item.target) for item in items if not item.choices], grade=grade)


def require_greedy(adapted: Adapted, items: Sequence[Item]) -> None:
    """Check that no question with choices is to be asked at a temperature.

    Raises:
        UsageError: one is.
    """
    if adapted.temperature:
        require_open(items, by=f"temperature {adapted.temperature:g}")


def question(adapted: Adapted, item: Item) -> choices.Question:
    """The choices of a question, as they are weighed."""
    return turn.question(adapted.local, conversation(item, adapted.shots), item.choices)


def outcome(answer: Answer, *, grade: grading.Grade) -> Outcome:
    """What became of a question, as `failures.classify` has it: right if one attempt is; spurious before wrong."""
    found = [classify(answer.item, it.text, grade=grade, cut_off=it.cut_off) for it in answer.attempts]
    return next((kind for kind in ("right", *SPURIOUS) if kind in found), "wrong")


def cost(adapted: Adapted, items: Sequence[Item], *, max_new_tokens: int) -> int:
    """The most FLOP that `ask` takes."""
    model, asked = adapted.local.model, [conversation(item, adapted.shots) for item in items if not item.choices]
    widths = local.widths(adapted.local, asked)
    once = [budget.generation(model, rows=local.ROWS, width=w, new_tokens=max_new_tokens) for w in widths]
    encoded = [choices.encode(adapted.local, question(adapted, item)) for item in items if item.choices]
    weighed = [budget.forward(model, rows=rows, width=width) for rows, width in choices.passes(encoded)]
    return adapted.attempts * sum(once) + sum(weighed)


def _written(
    adapted: Adapted, items: Sequence[Item], *, grade: grading.Grade, max_new_tokens: int, seed: int
) -> list[Answer]:
    asked = [conversation(item, adapted.shots) for item in items]
    tries = range(1, adapted.attempts + 1)
    said = [_said(adapted, asked, max_new_tokens, seed, attempt) for attempt in tries]
    return [
        Answer(item, tuple(Attempt(text, grading.correct(grade, text, item.target), cut) for text, cut in texts))
        for item, texts in zip(items, zip(*said, strict=True), strict=True)
    ]


def _chosen(adapted: Adapted, items: Sequence[Item]) -> list[Answer]:
    if not items:
        return []
    found = choices.score(adapted.local, [question(adapted, item) for item in items])
    best = [it.choices[choices.best(scores.logprobs, it.choices)] for it, scores in zip(items, found, strict=True)]
    return [Answer(item, (Attempt(text, text == item.target),)) for item, text in zip(items, best, strict=True)]


def _said(
    adapted: Adapted, asked: Sequence[list[Turn]], max_new_tokens: int, seed: int, attempt: int
) -> list[tuple[str, bool]]:
    """Each text of an attempt, from 1, and whether the limit of tokens cut it off."""
    if not adapted.temperature or (attempt == 1 and adapted.attempts > 1):
        greedy = local.generate(adapted.local, asked, max_new_tokens=max_new_tokens)
        return [(it.text, it.output_tokens >= max_new_tokens) for it in greedy]
    seeds, temperature = [seed + attempt] * len(asked), adapted.temperature
    drawn = local.sample(adapted.local, asked, seeds=seeds, temperature=temperature, max_new_tokens=max_new_tokens)
    return [(it.text, len(it.tokens) >= max_new_tokens) for it in drawn]


def _solved(shot: Item) -> list[Turn]:
    return [*(t for t in shot.messages if t["role"] != "system"), {"role": "assistant", "content": shot.target}]
