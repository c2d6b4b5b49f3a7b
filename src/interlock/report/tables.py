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

#: How something is marked by what the sources of its clause rest on.
LEGEND: dict[str, str] = {
    "S": "rests on a secondary source",
    "M": "from memory, not checked again",
    "+": "added by Interlock: the text does not say it, and without it nothing could be decided",
    "(+)": "in part added by Interlock, such as for how long something counts",
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


#: What stands in a cell for which there is nothing.
EMPTY = "-"


def plain(*texts: str) -> Cell:
    """A cell of texts that stand in no clause."""
    return tuple(Item(text) for text in texts)


def item(said: Said, file: Path) -> Item:
    """What a policy says, as an item."""
    return Item(said.text, marked(said.standings), said.path, file, said.line)


def marked(standings: Sequence[Standing]) -> tuple[str, ...]:
    """The marks of a clause by what its sources rest on."""
    found = {"secondary": "S", "memory": "M", "added": "+" if set(standings) == {"added"} else "(+)"}
    return tuple(mark for standing, mark in found.items() if standing in standings)


def marks(tables: Iterable[Table]) -> tuple[str, ...]:
    """The marks that stand in the tables, in the order of the legend."""
    found = {mark for table in tables for row in table.rows for cell in row for it in cell for mark in it.marks}
    return tuple(mark for mark in LEGEND if mark in found)


def turned(table: Table) -> Table:
    """The table on its side: a column for each row."""
    return Table(
        table.caption,
        (table.head[0], *(" ".join(it.text for it in row[0]) for row in table.rows)),
        tuple((plain(name), *(row[at] for row in table.rows)) for at, name in enumerate(table.head) if at),
    )


def columns(table: Table, chosen: Sequence[int]) -> Table:
    """The table with these of its columns."""
    head = tuple(table.head[at] for at in chosen)
    return Table(table.caption, head, tuple(tuple(row[at] for at in chosen) for row in table.rows))


def markdown(tables: Sequence[Table], *, folder: Path) -> str:
    """The tables and their legend. Each thing is a link to its line, from a file that lies in `folder`."""
    parts = [part for table in tables for part in ("\n".join(_markdown(table, folder)), "")]
    legend = [f"- `[{mark}]` {LEGEND[mark]}" for mark in marks(tables)]
    return "\n".join([*parts, *legend]).rstrip("\n") + "\n"


def html(tables: Sequence[Table], *, title: str) -> str:
    """The tables as one page that loads nothing.

    Raises:
        UsageError: jinja2 is not installed.
    """
    from interlock.report._html import render

    legend = {mark: LEGEND[mark] for mark in marks(tables)}
    return render("matrix.html", {}, tables=tables, title=title, legend=legend) + "\n"


def _markdown(table: Table, folder: Path) -> Iterator[str]:
    if table.caption:
        yield f"## {escaped(table.caption)}"
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
