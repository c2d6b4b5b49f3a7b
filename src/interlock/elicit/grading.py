"""When an answer is right: a few named ways, each a pure function of the answer and the target."""

from __future__ import annotations

import string
from typing import Literal, get_args

Grade = Literal["exact", "first-word", "first-line"]
GRADES: tuple[Grade, ...] = get_args(Grade)


def correct(grade: Grade, answer: str, target: str) -> bool:
    """Whether `answer` is right. Case, and space around it, never count.

    `exact`: the whole answer is the target. `first-word`: its first word is, without punctuation around it.
    `first-line`: its first line that is not empty is.
    """
    return given(grade, answer) == given(grade, target)


def given(grade: Grade, answer: str) -> str:
    """The part of an answer that is compared with the target's; empty if there is none."""
    text = answer.strip().casefold()
    if grade == "exact":
        return text
    if grade == "first-word":
        words = text.split()
        return words[0].strip(string.punctuation) if words else ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
