"""The past-tense task: put an English verb into the past, in one word.

460 verbs of BIG-bench (`data/past-tense.json` has source and licence). A real skill of a small pretrained model, which
it shows after examples and hardly without: what nobody hid can be under-elicited, too.
"""

from __future__ import annotations

import hashlib
import json
import random
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.elicit.items import Item, Material, Questions

SHOWN, DEV = 100, 80  # verbs; the others are the test
MOST_TOKENS = 8  # of an answer


@cache
def load() -> Questions:
    """All verbs in their three parts, in the order of their SHA-256."""
    from interlock.elicit.items import Item, questions

    text = resources.files("interlock.evaluate").joinpath("data/past-tense.json").read_text(encoding="utf-8")
    verbs = json.loads(text)["verbs"]
    ranked = sorted(verbs, key=lambda verb: hashlib.sha256(verb.encode()).digest())
    items = [Item(it, it, ({"role": "user", "content": f"Today I {it}. Yesterday I"},), verbs[it]) for it in ranked]
    parts = {"demonstration": items[:SHOWN], "dev": items[SHOWN : SHOWN + DEV], "test": items[SHOWN + DEV :]}
    return questions("past-tense", parts, grade="first-word", max_new_tokens=MOST_TOKENS)  # type: ignore[arg-type]


def draw(n: int, *, seed: int) -> tuple[Item, ...]:
    """`n` demonstrations, drawn without replacement. At one seed a smaller draw is the start of a larger one.

    Raises:
        UsageError: `n` is below zero or above their number.
    """
    items = list(load().demonstrations)
    if not 0 <= n <= len(items):
        raise UsageError(f"cannot draw {n} demonstrations, expected 0 to {len(items)}")
    random.Random(seed).shuffle(items)  # noqa: S311 - a reproducible draw, not a secret
    return tuple(items[:n])


def material(n: int, *, seed: int, dev: int = 0) -> Material:
    """`n` demonstrations to learn from, and the first `dev` of the dev verbs to choose settings with.

    Raises:
        UsageError: as for `draw`.
    """
    from interlock.elicit.items import Material

    of = load()
    return Material(draw(n, seed=seed), of.dev[:dev], of.grade, of.max_new_tokens)
