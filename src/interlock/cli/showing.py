"""`policy show`: a policy on a screen, its gates as a table, and several policies side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from interlock.cli._text import Styled, note, say
from interlock.cli.options import JsonOption, print_json, told_as_json
from interlock.errors import Mistake, PolicyError, UsageError
from interlock.policy import clauses, shipped
from interlock.report import matrix, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from interlock.policy.clauses import Clauses
    from interlock.policy.model import Policy
    from interlock.report.matrix import Placed
    from interlock.report.tables import Cell, Table

#: No column is narrower, where the terminal has room for two: in a table, and where a column is a whole policy.
_LEAST, _LEAST_OF_POLICY = 16, 30
#: The first column is no wider.
_WIDEST_FIRST = 30
_Read = tuple[Path, "Policy", "Clauses"]


def show(
    policies: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY...", help="Files of policies, or names of policies that ship with Interlock."),
    ] = None,
    as_matrix: Annotated[
        bool, typer.Option("--matrix", help="Threshold x action x requirement, and what stands around the gates.")
    ] = False,
    layout: Annotated[
        Literal["text", "markdown", "html", "json"], typer.Option("--format", "-f", help="How it is written.")
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default="standard output")
    ] = None,
    list_names: Annotated[bool, typer.Option("--list", help="List the policies that ship with Interlock.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a policy: what it is, who signs, its thresholds, requirements and gates; or several side by side.

    \b
        interlock policy show anthropic-rsp-1.0
        interlock policy show --matrix my-policy.yaml
        interlock policy show --matrix anthropic-rsp-1.0 anthropic-rsp-3.4
        interlock policy show --matrix a.yaml b.yaml --format html -o compared.html

    With --json, one policy in its compiled form; with --matrix too, the table. A number after a colon is the line in
    the policy's file.
    """
    if list_names:
        say(*shipped.names())
        return
    if not policies:
        raise UsageError("expected at least one policy, got none; --list shows those that ship with Interlock")
    if len(policies) > 1 and not as_matrix:
        raise UsageError(f"expected one policy, got {len(policies)}; --matrix shows several side by side")
    if as_json and layout in {"markdown", "html"}:
        raise UsageError(f"expected --json or --format {layout}, got both")
    as_json = as_json or layout == "json"
    with told_as_json(as_json):
        read = _read(policies)
    placed = [matrix.placed(*it) for it in read]
    if as_json:
        _write_json(_json(read, placed, as_matrix=as_matrix), output)
        return
    shown = _tables(read, placed, as_matrix=as_matrix)
    if layout == "text":
        _write(_text(shown, color=output is None), output)
    elif layout == "markdown":
        _write(_lines(tables.markdown(shown, folder=output.parent if output else Path())), output)
    else:
        title = placed[0].row.title if len(placed) == 1 else f"{len(placed)} policies side by side"
        _write(_lines(tables.html(shown, title=title)), output)


def _read(policies: list[str]) -> list[_Read]:
    """Every policy with its clauses.

    Raises:
        PolicyError: one does not load; lists the problems of all.
        UsageError: one is not there, or cannot be read.
    """
    read: list[_Read] = []
    mistakes: list[Mistake] = []
    for text in policies:
        file = shipped.resolve(text)
        try:
            read.append((file, *clauses.read(file)))
        except PolicyError as error:
            mistakes += error.mistakes
    if mistakes:
        raise PolicyError(mistakes)
    return read


def _json(read: list[_Read], placed: list[Placed], *, as_matrix: bool) -> dict[str, Any]:
    from interlock.policy.compile import to_json

    return {"policies": [matrix.to_json(it) for it in placed]} if as_matrix else to_json(read[0][1])


def _tables(read: list[_Read], placed: list[Placed], *, as_matrix: bool) -> tuple[Table, ...]:
    if not as_matrix:
        from interlock.report.overview import overview

        [(_, policy, of_file)] = read
        return overview(policy, of_file, placed[0])
    return matrix.several(placed) if len(placed) > 1 else matrix.one(placed[0])


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _write(lines: Iterable[str], output: Path | None) -> None:
    if output is None:
        say(*lines)
        return
    from interlock.workspace import write_whole

    if not output.absolute().parent.is_dir():
        raise UsageError(f"expected a folder for `{output}`, got `{output.parent}`, which is none")
    write_whole(output, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    note(f"written to {output}")


def _write_json(value: dict[str, Any], output: Path | None) -> None:
    import json

    if output is None:
        print_json(value)
    else:
        _write(_lines(json.dumps(value, indent=2, sort_keys=True)), output)


# -- text --------------------------------------------------------------------------------------------------------------


def _text(shown: tuple[Table, ...], *, color: bool) -> Iterator[str]:
    """The tables for a terminal. One that is too wide comes in pieces, each with its first column; nothing is cut."""
    from interlock.cli import _console

    console = _console.console(force_terminal=None if color else False)
    with console.capture() as captured:
        for table in shown:
            if table.caption:
                console.print(f"\n{table.caption}", style="bold", markup=False)
            for piece in _pieces(table, console.width):
                console.print(_drawn(piece, console.width))
        for mark in tables.marks(shown):
            console.print(f"[{mark}] {tables.LEGEND[mark]}", style="dim", markup=False)
        console.print(":42 is the line in the policy's file", style="dim", markup=False)
    yield from (Styled(line.rstrip()) for line in captured.get().strip("\n").split("\n"))


def _pieces(table: Table, width: int) -> Iterator[Table]:
    """The table in as few pieces as fit, each column wide enough for its longest word. A table of policies comes on its
    side, so that they stand side by side. A row with nothing in any column of a piece is left out of that piece.
    """
    of_policies = table.head[0] == matrix.POLICY
    whole, least = (tables.turned(table), _LEAST_OF_POLICY) if of_policies else (table, _LEAST)
    least = max([least, *(len(word) for row in whole.rows for cell in row[1:] for word in _words(cell))])
    first = max(len(word) for row in whole.rows for word in _words(row[0]))
    others = range(1, len(whole.head))
    fit = max(1, (width - min(max(first, _LEAST), _WIDEST_FIRST) - 4) // (least + 3))
    each = -(-len(others) // -(-len(others) // fit))
    for start in range(0, len(others), each):
        piece = tables.columns(whole, (0, *others[start : start + each]))
        filled = tuple(row for row in piece.rows if any(cell != tables.plain(tables.EMPTY) for cell in row[1:]))
        yield replace(piece, rows=filled)


def _drawn(table: Table, width: int) -> Any:  # noqa: ANN401  Rich's own
    from rich import box
    from rich.table import Table as Drawn

    lined = any(len(cell) > 1 for row in table.rows for cell in row)
    drawn = Drawn(box=box.HORIZONTALS, show_lines=lined, width=width, show_header=any(table.head), pad_edge=False)
    drawn.add_column(table.head[0], overflow="fold", max_width=_WIDEST_FIRST)
    for name in table.head[1:]:
        drawn.add_column(name, overflow="fold", ratio=1)
    for row in table.rows:
        drawn.add_row(*map(_cell, row))
    return drawn


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    lines = Text()
    for at, it in enumerate(cell):
        lines.append("\n" if at else "")
        lines.append("- " if len(cell) > 1 and not it.strong else "")
        lines.append(it.text, style="bold" if it.strong else "")
        lines.append("".join(f" [{mark}]" for mark in it.marks))
        lines.append(f" :{it.line}" if it.line else "", style="dim")
    return lines


def _words(cell: Cell) -> list[str]:
    return [word for it in cell for word in it.text.split()]
