"""A model's own turn: an answer in tokens, where and as the model's chat template writes it.

Guarantees: what is trained on is what the template shows of an answered turn, if that is graded as right; else the
answer alone, after the space that the template writes before it. Choices are weighed after the same space.
What it leaves to the caller: the prompt itself (`local.encode`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.elicit import grading
from interlock.errors import UsageError
from interlock.evaluate.choices import Question
from interlock.evaluate.local import end_tokens

if TYPE_CHECKING:
    from interlock.evaluate.local import Conversation, LocalModel


def written(local: LocalModel, asked: Conversation, answer: str) -> str:
    """What the chat template writes after the prompt if the model answers so.

    Empty if it takes no such turn, or if what it writes of the whole does not begin with the prompt.
    """
    from jinja2 import TemplateError

    try:
        whole = _told(local, [*asked, {"role": "assistant", "content": answer}], ask=False)
    except TemplateError:
        return ""
    prompt = _told(local, asked, ask=True)
    return whole[len(prompt) :] if whole.startswith(prompt) else ""


def space(local: LocalModel, asked: Conversation, answer: str) -> str:
    """The space that the chat template writes between prompt and answer; empty if it writes anything else there."""
    text = written(local, asked, answer)
    bare = text.lstrip()
    return text[: len(text) - len(bare)] if bare.startswith(answer.strip()) else ""


def question(local: LocalModel, asked: Conversation, choices: tuple[str, ...]) -> Question:
    """Choices to be weighed where the model's answer would stand."""
    return Question(asked, choices, space(local, asked, choices[0]))


def tokens(local: LocalModel, asked: Conversation, answer: str, *, grade: grading.Grade) -> list[int]:
    """The tokens of an answer and its end, as they follow those of the prompt.

    They are those of prompt and answer encoded together; where the border between them falls into a token, those of
    the answer encoded by itself. The first token that ends a turn is the last; where there is none, the end token is
    added.

    Raises:
        UsageError: the tokenizer has no end token, or cannot write the answer so that it is graded as right.
    """
    ends = end_tokens(local)
    for text in (written(local, asked, answer), space(local, asked, answer) + answer):
        ids = _until_end(_after(local, asked, text), ends)
        if grading.correct(grade, local.tokenizer.decode(ids, skip_special_tokens=True), answer):
            return ids if ends.intersection(ids) else [*ids, end(local)]
    raise UsageError(f"the model's tokenizer cannot write the answer `{answer}`: it would not be graded as right")


def end(local: LocalModel) -> int:
    """The tokenizer's end token.

    Raises:
        UsageError: it has none.
    """
    if local.tokenizer.eos_token_id is None:
        raise UsageError("the tokenizer has no end token (`eos_token`), so no answer can be taught to end")
    return int(local.tokenizer.eos_token_id)


def _told(local: LocalModel, turns: Conversation, *, ask: bool) -> str:
    return str(local.tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=ask))


def _after(local: LocalModel, asked: Conversation, text: str) -> list[int]:
    """The tokens that a text behind the prompt adds to the prompt's."""
    prompt = _told(local, asked, ask=True)
    first, whole, alone = (
        list(local.tokenizer(told, add_special_tokens=False)["input_ids"]) for told in (prompt, prompt + text, text)
    )
    return whole[len(first) :] if whole[: len(first)] == first else alone


def _until_end(ids: list[int], ends: set[int]) -> list[int]:
    place = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: place + 1]
