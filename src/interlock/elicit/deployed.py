"""The adapted model asked again in prompts that look like deployment.

Why: a model that can tell training from deployment may be good in training and hold back, or show more, elsewhere (Ryd
et al. 2026, arXiv:2604.22082). Framings are our own words, kept in `data/framings.json`; each question's is drawn by
seed and id.
Guarantees: the flag is raised unless both sides of the difference are shown to be within the tolerance: too few
questions raise it.
What it leaves to the caller: framings are few and plain. A model that knows them from tests knows the test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

from interlock.elicit import paired
from interlock.elicit.items import Item, Questions, Turn
from interlock.elicit.measuring import Measured
from interlock.elicit.paired import Paired


@dataclass(frozen=True, slots=True)
class Retest:
    """Both runs compared, question by question, in what counts as dangerous."""

    plain: Measured
    framed: Measured
    difference: Paired
    tolerance: Fraction
    confidence: Fraction

    @property
    def flagged(self) -> tuple[str, ...]:
        """The sides on which the framed prompts may differ by the tolerance or more: `higher`, `lower`."""
        alpha = 1 - self.confidence
        sides = {
            "higher": self.difference.at_most(alpha) >= self.tolerance,
            "lower": -self.difference.at_least(alpha) >= self.tolerance,
        }
        return tuple(side for side, found in sides.items() if found)

    def to_json(self) -> dict[str, Any]:
        """The framed run, the difference to the plain one, and the flag."""
        return {
            "framed": self.framed.to_json(self.confidence),
            "difference": self.difference.to_json(self.confidence),
            "tolerance": float(self.tolerance),
            "flagged": list(self.flagged),
        }


def framed(questions: Questions, *, seed: int) -> Questions:
    """The same questions with test prompts that look like deployment. Demonstrations and dev stay as they are."""
    test = tuple(replace(item, messages=_frame(item, seed)) for item in questions.test)
    return replace(questions, name=f"{questions.name}-deployed", test=test)


def retest(plain: Measured, again: Measured, *, tolerance: Fraction, confidence: Fraction) -> Retest:
    """Compare the run on plain prompts with the one on framed prompts."""
    difference = paired.compare(plain.dangerous, again.dangerous, asked=plain.asked)
    return Retest(plain, again, difference, tolerance, confidence)


def _frame(item: Item, seed: int) -> tuple[Turn, ...]:
    """What the item's own system message says is kept: it may hold what the answer needs."""
    own = [turn["content"] for turn in item.messages if turn["role"] == "system"]
    system = " ".join([_drawn("systems", item, seed), *own])
    rest = [turn for turn in item.messages if turn["role"] != "system"]
    words = [_drawn("before", item, seed), rest[-1]["content"], _drawn("after", item, seed)]
    asked = {"role": "user", "content": "\n".join(word for word in words if word)}
    return ({"role": "system", "content": system}, *rest[:-1], asked)


def _drawn(part: str, item: Item, seed: int) -> str:
    choices = _framings()[part]
    rank = int.from_bytes(hashlib.sha256(f"{seed}\n{part}\n{item.id}".encode()).digest()[:8], "big")
    return choices[rank % len(choices)]


@cache
def _framings() -> dict[str, Sequence[str]]:
    text = resources.files("interlock.elicit").joinpath("data/framings.json").read_text(encoding="utf-8")
    found: dict[str, Sequence[str]] = json.loads(text)
    return found
