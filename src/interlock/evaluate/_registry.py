"""What Inspect finds by the entry point `inspect_ai: interlock`. Light to import: torch loads with the first model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspect_ai.model import modelapi

from interlock.evaluate.attempts import attempts
from interlock.evaluate.choosing import choose, chosen
from interlock.evaluate.tasks import codebook, first_word_match, past_tense

if TYPE_CHECKING:
    from interlock.evaluate.provider import LocalAPI

__all__ = ["attempts", "choose", "chosen", "codebook", "first_word_match", "interlock", "past_tense"]


@modelapi(name="interlock")
def interlock() -> type[LocalAPI]:
    """The provider of models `interlock/NAME`; see `interlock.evaluate.provider`."""
    from interlock.evaluate.provider import LocalAPI

    return LocalAPI
