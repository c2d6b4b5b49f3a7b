"""Part (i): what Interlock, Cedar and Rego answer to the same defective inputs under the same policy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from _inputs import BAD, DEFECTIVE, SOUND, Input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _peers import Answer

#: What stops an answer from counting as a permit.
STOPPED = ("hold", "deny", "refused")


@dataclass(frozen=True, slots=True)
class Row:
    """One input: Interlock's verdict and reasons, and the others' answers by style."""

    input: Input
    verdict: str
    reasons: tuple[str, ...]
    others: dict[str, Answer]

    def said(self, style: str) -> str:
        """The answer in one column."""
        return self.verdict if style == INTERLOCK else self.others[style].verdict


INTERLOCK = "Interlock"


def installed() -> bool:
    """Whether both other engines can be asked."""
    return all(find_spec(name) for name in ("cedarpy", "regopy"))


def rows(inputs: Sequence[Input] = (SOUND, BAD, *DEFECTIVE)) -> list[Row]:
    """Ask everybody."""
    styles = {}
    if installed():
        from _peers import styles as made

        styles = made()
    found = []
    for it in inputs:
        text = it.document().text
        verdict, reasons = it.draft().decide()
        found.append(Row(it, verdict, reasons, {name: style.ask(text) for name, style in styles.items()}))
    return found


def through_python(inputs: Sequence[Input] = DEFECTIVE) -> dict[str, list[str]]:
    """What Rego permits beyond the table where Python's `json` reads the text first: titles, by style."""
    if not installed():
        return {}
    from _peers import Rego
    from _peers import styles as made

    found: dict[str, list[str]] = {}
    for name, style in made().items():
        if isinstance(style, Rego):
            texts = [(it.title, it.document().text) for it in inputs]
            found[name] = [
                title
                for title, text in texts
                if style.ask_through_python(text).verdict == "permit" and style.ask(text).verdict != "permit"
            ]
    return found


def permitted(found: Sequence[Row], style: str) -> list[str]:
    """The titles of the defective inputs that a style permits."""
    return [row.input.title for row in found if row.input.group != "control" and row.said(style) == "permit"]
