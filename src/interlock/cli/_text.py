"""What commands write for people.

Guarantees: each argument of `say` and `note` becomes one line, in which what is not printable is escaped; only what
`styled` wrote has escapes for the terminal. So what others signed can neither forge a line nor touch the screen,
wherever it stands in what a command says. `_console` has the same for what Rich draws; JSON escapes by itself.
"""

from __future__ import annotations

from typing import Any

import typer

from interlock.printable import printable

__all__ = ["Styled", "joined", "note", "say", "styled"]


class Styled(str):
    """Text whose escapes are ours, and which is printed as it is."""

    __slots__ = ()


def styled(text: str, **style: Any) -> Styled:  # noqa: ANN401  what typer.style takes
    """Text in colours and weights, where there are any."""
    return Styled(typer.style(printable(text), **style))


def joined(*parts: str) -> Styled:
    """One line of parts, some of them `styled`."""
    return Styled("".join(it if isinstance(it, Styled) else printable(it) for it in parts))


def say(*lines: str) -> None:
    """Print lines on standard output, all at once."""
    typer.echo("\n".join(map(joined, lines)))


def note(*lines: str) -> None:
    """Print lines on standard error."""
    typer.echo("\n".join(map(joined, lines)), err=True)
