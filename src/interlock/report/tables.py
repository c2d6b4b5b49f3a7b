"""Tables of what policies say, and as Markdown. A terminal and a page show the same tables.

Guarantees: nothing is cut, each thing is marked by what it rests on, and what stands in a cell is text, never markup.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from interlock.policy.clauses import Standing
    from interlock.policy.matrix import Said

#: How something is marked whose clause rests on more than the primary text.
MARKS: dict[Standing, str] = {"secondary": "S", "memory": "M", "added": "+"}
#: What each mark says.
LEGEND: dict[str, str] = {
    "S": "from a secondary source, at least in part",
    "M": "from memory, not checked again, at least in part",
    "+": "added by Interlock, at least in part: the text does not say it, and without it nothing could be decided",
}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$!&])")


@dataclass(frozen=True, slots=True)
class Item:
    """Something in a cell. `line` 0: it stands in no one clause. `strong`: what the cell says in short."""

    text: str
    marks: tuple[str, ...] = ()
    path: str = ""
    file: Path | None = None
    line: int = 0
    strong: bool = False


Cell = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` are as long as `head`; the first cell of each names its row."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def plain(*texts: str) -> Cell:
    """A cell of texts that stand in no clause."""
    return tuple(Item(text) for text in texts)


def item(said: Said, file: Path, *, text: str = "") -> Item:
    """What a policy says, as an item; with other words for it."""
    marks = tuple(MARKS[it] for it in said.standings if it in MARKS)
    return Item(text or said.text, marks, said.path, file, said.line)


def marks(tables: Iterable[Table]) -> tuple[str, ...]:
    """The marks that stand in the tables, in the order of the legend."""
    found = {mark for table in tables for row in table.rows for cell in row for it in cell for mark in it.marks}
    return tuple(mark for mark in LEGEND if mark in found)


def turned(table: Table, rows: Sequence[int]) -> Table:
    """The table on its side: a column for each of its `rows`."""
    chosen = [table.rows[index] for index in rows]
    return Table(
        table.caption,
        (table.head[0], *(" ".join(it.text for it in row[0]) for row in chosen)),
        tuple((plain(name), *(row[at] for row in chosen)) for at, name in enumerate(table.head) if at),
    )


def markdown(tables: Sequence[Table], *, folder: Path) -> str:
    """The tables and their legend. Each thing is a link to its line, from a file that lies in `folder`."""
    parts = [part for table in tables for part in ("\n".join(_markdown(table, folder)), "")]
    legend = [f"- `[{mark}]` {LEGEND[mark]}" for mark in marks(tables)]
    return "\n".join([*parts, *legend]).rstrip("\n") + "\n"


def _markdown(table: Table, folder: Path) -> Iterator[str]:
    if table.caption:
        yield f"**{escaped(table.caption)}**"
        yield ""
    yield f"| {' | '.join(map(escaped, table.head))} |"
    yield "|" + "---|" * len(table.head)
    for row in table.rows:
        yield f"| {' | '.join('<br>'.join(_linked(it, folder) for it in cell) for cell in row)} |"


def _linked(it: Item, folder: Path) -> str:
    text = escaped(it.text)
    if it.file is not None:
        where = quote(os.path.relpath(it.file.resolve(), folder.resolve()).replace(os.sep, "/"))
        text = f"[{text}]({where}{f'#L{it.line}' if it.line else ''})"
    said = f"**{text}**" if it.strong else text
    return said + "".join(f" `[{mark}]`" for mark in it.marks)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
