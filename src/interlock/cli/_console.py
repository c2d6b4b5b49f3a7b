"""Rich's console for what commands draw: as `_text`, it writes nothing to a terminal that others' text asks of it.

Guarantees: of the text that is drawn, whatever is not printable is escaped, but for newlines, which lay it out.
Leaves to the caller: the newlines in texts of others (`printable`), and what a `Live` draws by itself.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from interlock.printable import printable

__all__ = ["console"]


def console(**options: Any) -> Console:  # noqa: ANN401  what Rich's takes
    """A console that highlights nothing by itself."""
    made = Console(highlight=False, **options)
    made.push_render_hook(_Hook())
    return made


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Escaped(it) for it in renderables]


class _Escaped:
    """Something as it is drawn, with its text escaped. What Rich itself tells the terminal is a control segment."""

    def __init__(self, drawn: ConsoleRenderable) -> None:
        self._drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self._drawn, options):
            yield Segment(text if control else "\n".join(map(printable, text.split("\n"))), style, control)
