"""`policy explain`: what a policy promises, in plain English, for a board; each sentence with its clause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from interlock.cli import _console
from interlock.cli._text import say
from interlock.cli.options import JsonOption, print_json, told_as_json
from interlock.policy.explain import explain as told_of
from interlock.policy.explain import to_json
from interlock.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from interlock.policy.explain import Explanation, Sentence, Source

#: The marks of sources that are not the primary text.
MARKS = {"secondary": "not read: secondary", "memory": "not read: from memory", "added": "added by Interlock"}
#: Clauses that are named after a sentence; the page and JSON name all.
_SHOWN = 6
#: Characters in a line at the most.
_WIDEST = 110


def explain(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="A policy/v1 YAML file, or the name of one that ships.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="PATH", help="Write one HTML page instead of text.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say in plain English what a policy promises, what stops what, what would lift it, and what is missing.

    Every sentence ends with the line of its clause. Two policies are told in the same order, so that they can be
    read side by side. Exit code 2 if the policy does not load.

    \b
    interlock policy explain policy.yaml
    interlock policy explain anthropic-rsp-3.4 --html page.html
    """
    from interlock.policy import clauses, shipped

    with told_as_json(as_json):
        told = told_of(*clauses.read(shipped.resolve(policy)))
    if html is not None:
        from interlock.report import explain as page

        page.write(told, html)
    if as_json:
        print_json(to_json(told))
    elif html is not None:
        say(f"page written to {html}")
    else:
        _show(told)


def _show(told: Explanation) -> None:
    console = _console.console()
    _print(console, Text(printable(told.name), style="bold"), 0)
    for number, section in enumerate(told.sections, start=1):
        console.print()
        _print(console, Text(f"{number}. {section.title}", style="bold underline"), 0)
        for block in section.blocks:
            if block.title:
                console.print()
                _print(console, _named(block.title, "bold"), 2)
            for sentence in block.sentences:
                _say(console, sentence)


def _say(console: Console, sentence: Sentence) -> None:
    text = _named(sentence.text)
    text.append(f" [{_lines(sentence)}]", style="dim")
    _print(console, text, 4)
    for source in sentence.sources:
        _print(console, Text(printable(_source(source)), style="dim"), 6)


def _print(console: Console, text: Text, indent: int) -> None:
    """Wrapped to the terminal, and to what an eye follows; nothing trails behind."""
    for line in text.wrap(console, max(min(console.width, _WIDEST) - indent, 20)):
        line.rstrip()
        console.print(Text(" " * indent).append_text(line), soft_wrap=True)


def _named(text: str, style: str = "") -> Text:
    """Text whose names stand out where there are colours; the backticks stay for where there are none."""
    made = Text(printable(text), style=style)
    made.highlight_regex(r"`[^`]+`", "cyan")
    return made


def _lines(sentence: Sentence) -> str:
    """Such as `line 42` or `lines 42, 44 and 3 more`."""
    lines = list(dict.fromkeys(place.line for place in sentence.places))
    if len(lines) == 1:
        return f"line {lines[0]}"
    shown = ", ".join(str(line) for line in lines[:_SHOWN])
    return f"lines {shown}" + (f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else "")


def _source(source: Source) -> str:
    mark = f" ({MARKS[source.standing]})" if source.standing in MARKS else ""
    return f"source: {source.text}{mark}"
