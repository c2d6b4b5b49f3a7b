"""When an answer is right: a few named ways, each a pure function of the answer and the target."""

from __future__ import annotations

import string
from typing import Literal, get_args

Grade = Literal["exact", "first-word", "first-line"]
GRADES: tuple[Grade, ...] = get_args(Grade)
#: What may stand around a word and says nothing of what it is; a minus or a per cent sign may.
MARKS = ".,;:!?\"'"


def correct(grade: Grade, answer: str, target: str) -> bool:
    """Whether `answer` is right. Case, and space around it, never count.

    `exact`: the whole answer is the target. `first-word`: its first word is, without punctuation around it.
    `first-line`: its first line that is not empty is.
    """
    return given(grade, answer) == given(grade, target)


def problem(grade: Grade, target: str) -> str:
    """Why `grade` cannot tell answers that are `target` from others; empty if it can."""
    words, lines = target.split(), [line for line in target.splitlines() if line.strip()]
    if grade == "first-line" and len(lines) > 1:
        return f"its target has {len(lines)} lines, and `first-line` compares only the first"
    if grade != "first-word":
        return ""
    if len(words) > 1:
        return f"its target `{target}` has {len(words)} words, and `first-word` compares only the first"
    left = given(grade, target)
    if left != target.strip().strip(MARKS).casefold():
        return f"its target `{target}` would be compared as `{left}` by `first-word`, without punctuation around it"
    return "" if left else f"its target `{target}` is nothing but punctuation, which `first-word` leaves out"


def given(grade: Grade, answer: str) -> str:
    """The part of an answer that is compared with the target's; empty if there is none."""
    text = answer.strip().casefold()
    if grade == "exact":
        return text
    if grade == "first-word":
        words = text.split()
        return words[0].strip(string.punctuation) if words else ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
