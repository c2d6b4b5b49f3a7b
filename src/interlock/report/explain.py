"""`policy explain` as one page, with the policy's own text at its end, line by line.

Guarantees: what it says is what `interlock.policy.explain` says; the page is one file that loads nothing and runs
nothing, and names in it are data. What it leaves to the caller: reading the policy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interlock.report._html import render
from interlock.workspace import write_whole

if TYPE_CHECKING:
    from interlock.policy.explain import Explanation, Sentence


def write(told: Explanation, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        UsageError: jinja2 is not installed.
        OSError: the file cannot be written.
    """
    page = render("explain.html", {"lines": _lines}, told=told, file=Path(told.name).name, cited=_cited(told))
    write_whole(path, page.encode("utf-8", "xmlcharrefreplace"))


def _lines(sentence: Sentence) -> dict[int, str]:
    """The lines of a sentence's clauses, in their order, each with the first clause there."""
    found: dict[int, str] = {}
    for place in sentence.places:
        found.setdefault(place.line, place.path)
    return found


def _cited(told: Explanation) -> frozenset[int]:
    return frozenset(line for sentence in told.sentences() for line in _lines(sentence))
