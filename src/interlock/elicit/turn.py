"""A model's own turn: an answer in tokens, where and as the model's chat template writes it.

Guarantees: what is trained on is what the template shows of an answered turn, if that is graded as right; else the
answer alone, after the space that the template writes before it. Choices are weighed after the same space. An answer
that cannot be told as it was written, or whose parts end it or are left out, is asked for by nobody (`require_told`).
What it leaves to the caller: the prompt itself (`local.encode`).
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

from interlock.elicit import grading
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.choices import Question
from interlock.evaluate.local import encode, end_tokens, text_of

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
    ids = _right(local, asked, answer, grade)
    if ids is None:
        raise UsageError(f"the model's tokenizer cannot write the answer `{answer}`: it would not be graded as right")
    return ids if end_tokens(local).intersection(ids) else [*ids, end(local)]


def require_told(local: LocalModel, asked: Iterable[tuple[Conversation, str]], *, grade: grading.Grade) -> None:
    """Check, before questions are asked, that each can be said as it stands (`local.encode`), and that the right answer
    would be graded as right if the model gave it: its tokens, decoded as answers are, say it; and none of its parts
    ends an answer, or is left out as a special token.

    Raises:
        UsageError: the model's chat template takes no such conversation.
        EvidenceError: one cannot, or would not: what a model is not told or cannot say shows nothing of what it knows.
    """
    told = list(asked)
    every = "\0".join(answer.casefold() for _, answer in told)
    parts = sorted(part for part in _taken(local) if _has(every, part))
    for conversation, answer in told:
        encode(local, conversation)
        part = next((it for it in parts if _has(answer.casefold(), it)), None)
        if part is not None:
            raise EvidenceError(
                f"the model's tokenizer or generation settings take `{part}` for a mark that ends an answer or is left "
                f"out, and the right answer `{answer}` has it: it would not be graded as right"
            )
        if _right(local, conversation, answer, grade) is None:
            raise EvidenceError(
                f"the model's tokenizer cannot write the right answer `{answer}`: it would not be graded as right"
            )


def _right(local: LocalModel, asked: Conversation, answer: str, grade: grading.Grade) -> list[int] | None:
    """The tokens of an answer behind the prompt, up to the first that ends it, if they are graded as right."""
    ends = end_tokens(local)
    for text in (written(local, asked, answer), space(local, asked, answer) + answer):
        ids = _until_end(_after(local, asked, text), ends)
        if grading.correct(grade, text_of(local, ids), answer):
            return ids
    return None


def _taken(local: LocalModel) -> set[str]:
    """What the tokens that end an answer, or are left out of it, say, in lower case: without the space and the
    punctuation around it, unless it is nothing else.
    """
    known = local.tokenizer.added_tokens_decoder.items()
    special = {*local.tokenizer.all_special_ids, *(place for place, token in known if token.special)}
    texts = {str(local.tokenizer.decode([place])).casefold() for place in special | end_tokens(local)}
    return {text.strip(f"{string.whitespace}{grading.MARKS}") or text for text in texts} - {""}


def _has(answer: str, part: str) -> bool:
    """Whether an answer has a part, or, where that is no whole character, might have it."""
    return part in answer or ("\ufffd" in part and not answer.isascii())


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
