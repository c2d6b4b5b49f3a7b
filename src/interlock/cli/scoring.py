"""`policy score`: a policy held against published yardsticks, row by row. A count, and no rating."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say, styled
from interlock.cli.options import JsonOption, print_json, told_as_json
from interlock.errors import OK, Mistake, PolicyError, UsageError
from interlock.policy import _scalar, shipped
from interlock.policy.clauses import Clauses, read, standing
from interlock.policy.score import YARDSTICKS, Answered, Card, Points, cards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    from interlock.policy.model import Policy

#: Said with every card.
NO_RATING = (
    "A count by a program of what is written in the policy. It is no rating by METR, SaferAI or anybody else, and says "
    "nothing of what a developer does."
)
_MARGIN, _INDENT, _LEAST = 14, " " * 14, 20
#: Clauses that are shown for a row at the most; JSON has all of them.
_SHOWN = 4

Scored = tuple[Path, "Policy", Clauses, tuple[Card, ...]]


def score(
    policies: Annotated[
        list[str],
        typer.Argument(metavar="POLICY...", help="Policies: policy/v1 YAML files, or names of those that ship."),
    ],
    yardstick: Annotated[
        list[str] | None,
        typer.Option("--yardstick", "-y", metavar="NAME", help=f"One of {', '.join(YARDSTICKS)}; all without it."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say what is counted, what no program sees, and the source.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables instead of text.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Hold policies against published yardsticks: what each asks for, and the clause that meets it.

    \b
    met         its clauses are there, each shown with its line
    in part     some are, or they only say what no program can check (`but`)
    missing     none are; what would meet it stands after `write`
    not judged  no program can tell: whether a threat model is sound,
                whether what somebody attests is true

    A sum is given only where weights are published, and only of what a program can see; the rest is named beside it.
    What is met says that it is written, not that it is good. This is a count by a program. It is no rating by METR,
    SaferAI or anybody else, and no grade. docs/policy-score.md lists every row.

    Exit code 0; 2 if a policy does not load.
    """
    if as_markdown and as_json:
        raise UsageError("expected --markdown or --json, got both")
    names = list(dict.fromkeys(yardstick or YARDSTICKS))
    for name in names:
        if name not in YARDSTICKS:
            raise UsageError(f"there is no yardstick `{name}`{_scalar.expected_one_of(name, YARDSTICKS)}")
    with told_as_json(as_json):
        found = _scored(policies, names)
    if as_json:
        print_json({"note": NO_RATING, "policies": [_json(*it) for it in found]})
    else:
        lines = _markdown(found) if as_markdown else _text(found, verbose=verbose)
        say(*lines)
    return OK


def _scored(policies: Iterable[str], names: Sequence[str]) -> list[Scored]:
    """The cards of every policy.

    Raises:
        PolicyError: a policy does not load; lists the problems of all.
        UsageError: a file cannot be read.
    """
    found: list[Scored] = []
    mistakes: list[Mistake] = []
    for text in policies:
        file = shipped.resolve(text)
        try:
            policy, clauses = read(file)
        except PolicyError as error:
            mistakes += error.mistakes
        else:
            found.append((file, policy, clauses, cards(policy, names)))
    if mistakes:
        raise PolicyError(mistakes)
    return found


# -- text


def _text(found: Sequence[Scored], *, verbose: bool) -> Iterator[str]:
    yield from _wrapped(NO_RATING, "")
    yield ""
    if len(found) > 1:
        yield from _side_by_side(found)
    for file, policy, clauses, made in found:
        yield styled(f"{policy.id} {policy.version} ({file})", bold=True)
        if policy.imposed_by:
            yield from _wrapped(f"imposed by {policy.imposed_by}: it stands beside other policies, not alone", "")
        for card in made:
            yield ""
            yield styled(f"{card.yardstick.name}: {card.yardstick.title}", bold=True)
            for it in card.rows:
                yield from _row(card, it, clauses, verbose=verbose)
            yield from _sum(card)
        yield ""


def _side_by_side(found: Sequence[Scored]) -> Iterator[str]:
    """One line a policy: how many rows of each yardstick are met, and in part, of those that are judged."""
    names = [card.yardstick.name for card in found[0][3]]
    table = [[_short(card) for card in made] for _, _, _, made in found]
    widths = [max(map(len, column)) for column in zip(names, *table, strict=True)]
    titles = [f"{policy.id} {policy.version}" for _, policy, _, _ in found]
    room = max(shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths), _LEAST)
    wide = min(max(map(len, titles)), room)
    for title, cells in zip(["", *titles], [names, *table], strict=True):
        if len(title) > wide:
            yield title
        shown = title if len(title) <= wide else ""
        yield "  ".join([f"{shown:<{wide}}", *(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))])
    yield from _wrapped("met + in part / rows that a program can judge; --verbose says what is counted", "")
    yield ""


def _short(card: Card) -> str:
    counts = card.counts
    return f"{counts['met']}+{counts['in part']}/{len(card.rows) - counts['not judged']}"


def _row(card: Card, it: Answered, clauses: Clauses, *, verbose: bool) -> Iterator[str]:
    weight = f" ({_weight(it)})" if card.yardstick.weighed else ""
    first, *rest = _wrapped(f"{it.row.id}{weight}: {it.row.ask}", _INDENT)
    yield f"  {it.answer.state:<10}  {first[_MARGIN:]}"
    yield from rest
    yield from _told(it, clauses)
    if verbose:
        yield from _behind(it)


def _weight(it: Answered) -> str:
    return "weight not published" if it.points is None else f"{_tenths(it.points)} points"


def _told(it: Answered, clauses: Clauses) -> Iterator[str]:
    if it.answer.clauses:
        shown = [f"line\xa0{clauses.line(path)}\xa0{path}" for path in it.answer.clauses[:_SHOWN]]
        more = len(it.answer.clauses) - _SHOWN
        yield from _wrapped(", ".join([*shown, *([f"and {more} more"] if more > 0 else [])]), _INDENT)
    if it.answer.lacks:
        yield from _wrapped(f"{'why' if it.answer.state == 'missing' else 'but'}: {it.answer.lacks}", _INDENT)
    if it.answer.state in {"missing", "in part"}:
        yield from _wrapped(f"write: {it.row.question.write}", _INDENT)
    if it.answer.state == "not judged":
        yield from _wrapped(f"why not: {it.row.question.unseen}", _INDENT)


def _behind(it: Answered) -> Iterator[str]:
    if it.answer.state != "not judged":
        yield from _wrapped(f"counted: {it.row.question.counts}", _INDENT)
        yield from _wrapped(f"not seen: {it.row.question.unseen}", _INDENT)
    rests_on, source = standing(it.row.source)
    yield from _wrapped(f"source: {source} ({_STANDINGS[rests_on]})", _INDENT)


_STANDINGS = {
    "read": "read",
    "secondary": "as others tell it",
    "memory": "from memory, not checked again",
    "added": "added",
}


def _sum(card: Card) -> Iterator[str]:
    yield f"  {', '.join(f'{count} {state}' for state, count in card.counts.items())}"
    if card.points is not None:
        yield from _wrapped(_spoken(card.points), "  ")


def _spoken(points: Points) -> str:
    return (
        f"{_tenths(points.met)} of {_tenths(points.seen)} published points that a program can see are met, "
        f"{_tenths(points.in_part)} in part; {_tenths(points.not_judged)} points are not judged; "
        f"{_tenths(points.undivided)} lie where the weights within are not published"
    )


def _tenths(value: Fraction) -> str:
    return f"{float(round(value, 1)):.1f}"


def _wrapped(text: str, indent: str) -> list[str]:
    """The text in lines as wide as the terminal. What hard spaces join stays on one line."""
    room = max(shutil.get_terminal_size().columns, len(indent) + _LEAST)
    wrapper = textwrap.TextWrapper(
        room, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\xa0", " ") for line in wrapper.wrap(text)]


# -- Markdown and JSON


def _markdown(found: Sequence[Scored]) -> Iterator[str]:
    yield NO_RATING
    for _, policy, clauses, made in found:
        yield from ("", f"## {policy.id} {policy.version}")
        for card in made:
            yield from ("", f"### {card.yardstick.title}", "")
            yield from ("| asked | answer | clauses | lacking |", "|---|---|---|---|")
            for it in card.rows:
                lines = ", ".join(f"`{path}` (line {clauses.line(path)})" for path in it.answer.clauses[:_SHOWN])
                lacking = it.answer.lacks or (it.row.question.unseen if it.answer.state == "not judged" else "")
                weight = f" ({_weight(it)})" if card.yardstick.weighed else ""
                yield f"| {it.row.ask}{weight} | {it.answer.state} | {lines} | {lacking} |"
            yield ""
            yield from (line.strip() for line in ([_spoken(card.points)] if card.points else []))
            yield ", ".join(f"{count} {state}" for state, count in card.counts.items())


def _json(file: Path, policy: Policy, clauses: Clauses, made: Sequence[Card]) -> dict[str, Any]:
    return {
        "file": str(file),
        "id": policy.id,
        "version": policy.version,
        "cards": [_card_json(card, clauses) for card in made],
    }


def _card_json(card: Card, clauses: Clauses) -> dict[str, Any]:
    points = card.points
    return {
        "yardstick": card.yardstick.name,
        "title": card.yardstick.title,
        "counts": card.counts,
        "points": None
        if points is None
        else {
            name: _scalar.exact(getattr(points, name))
            for name in ("met", "in_part", "missing", "seen", "not_judged", "undivided")
        },
        "rows": [_row_json(it, clauses) for it in card.rows],
    }


def _row_json(it: Answered, clauses: Clauses) -> dict[str, Any]:
    rests_on, source = standing(it.row.source)
    return {
        "id": it.row.id,
        "ask": it.row.ask,
        "answer": it.answer.state,
        "clauses": [{"path": path, "line": clauses.line(path)} for path in it.answer.clauses],
        "lacks": it.answer.lacks or None,
        "write": it.row.question.write or None,
        "counts": it.row.question.counts or None,
        "unseen": it.row.question.unseen,
        "source": source,
        "standing": rests_on,
        "points": None if it.points is None else _scalar.exact(it.points),
    }
