"""`power`: how many items a decision needs, and what so many can show, before anything is run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say, styled
from interlock.cli.options import JsonOption, exactly, print_json
from interlock.errors import FAILED, OK, UsageError, missing_extra
from interlock.policy import exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.evaluate.statistics.planning import Line

#: The true rates of the table, as parts of what is to be ruled out.
_PARTS = tuple(Fraction(it, 20) for it in (0, 1, 2, 4, 8, 12, 16, 20))
#: More items than this are not followed look by look.
_MOST_LOOKS = 10_000


def power(
    policy: Annotated[
        str | None, typer.Option("--policy", "-p", metavar="POLICY", help="A policy/v1 YAML file, or one that ships.")
    ] = None,
    threshold: Annotated[
        str | None, typer.Option("--threshold", "-t", help="A threshold of it: gives level, margin and confidence.")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="Instead of a policy: the level that the dangerous rate must stay under.")
    ] = None,
    margin: Annotated[str | None, typer.Option(help="Room under the level.  [default: the policy's, or 0]")] = None,
    confidence: Annotated[
        str | None, typer.Option(help="One-sided confidence.  [default: the policy's, or 0.95]")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="The true rate assumed.  [default: a tenth of what is to be ruled out]")
    ] = None,
    wanted: Annotated[str, typer.Option("--power", help="The power asked for.")] = "0.8",
    items: Annotated[int | None, typer.Option(min=1, help="How many items you have: say what they can show.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw power by true rate: .svg, .png, .pdf.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """How many items a decision needs, and what so many can show.

    \b
    interlock power --policy small-lab --threshold NAME            items that its rule-out needs
    interlock power --policy small-lab --threshold NAME --items 120  what 120 items can do; exit 5 if too little
    interlock power --level 0.2 --margin 0.05 --rate 0.05          the same for numbers of your own

    A level is ruled out if the exact upper bound is under level less margin. `power` is the chance of that where each
    item is dangerous with the assumed true rate. By looks: the same with an e-process that is looked at after every
    item and may stop early; it needs more at the most, and far less where the truth is far away.

    Exit code 0; 5 if --items has less power than asked for at the assumed rate; 2 if no number of items would do.
    """
    from interlock.evaluate.statistics import planning

    drawn = _lines(policy, threshold, level=level, margin=margin, confidence=confidence)
    asked = share("--power", wanted)
    rows = [_planned(line, line.rate if rate is None else share("--rate", rate), asked, items) for line in drawn]
    if plot is not None:
        _draw(plot, drawn, rows)
    if as_json:
        print_json({"lines": rows, "method": planning.METHOD, "method_of_looks": planning.METHOD_OF_LOOKS})
    else:
        for line, row in zip(drawn, rows, strict=True):
            say(*_text(line, row))
    return FAILED if any(row["enough"] is False for row in rows) else OK


def _lines(
    policy: str | None, threshold: str | None, *, level: str | None, margin: str | None, confidence: str | None
) -> list[Line]:
    """The lines to plan for: the policy's, with what was given put in its place; or the one that was given."""
    from dataclasses import replace

    from interlock.evaluate.statistics import planning

    room = None if margin is None else share("--margin", margin)
    alpha = None if confidence is None else 1 - share("--confidence", confidence)
    if (policy is None) != (threshold is None) or (policy is None) == (level is None):
        raise UsageError("expected --policy and --threshold, or --level")
    if policy is None or threshold is None:
        drawn: tuple[Line, ...] = (
            planning.Line("--level", "the dangerous rate", share("--level", level or ""), Fraction(0), Fraction(1, 20)),
        )
    else:
        from interlock.policy import shipped
        from interlock.policy.draft import draft

        drawn = planning.lines(draft(shipped.resolve(policy)), threshold)
        if not drawn:
            raise UsageError(f"`{threshold}` draws no line on a plain measure: there is nothing to count items for")
    made = [
        replace(line, margin=line.margin if room is None else room, alpha=line.alpha if alpha is None else alpha)
        for line in drawn
    ]
    for line in made:
        if line.forecast and margin is None:
            raise UsageError(f"the margin of `{line.name}` comes from forecasts; say what they are to be: --margin")
        if not 0 < line.target <= 1 or not 0 < line.alpha < 1:
            raise UsageError(
                f"{line} at a confidence of {exact(1 - line.alpha)} cannot be ruled out, expected 0 to 1 for each, "
                "and a level over the margin"
            )
    return made


def share(option: str, text: str) -> Fraction:
    """The number from 0 to 1 that an option gives, exactly.

    Raises:
        UsageError: it is none, or too long to be built (`options.exactly`).
    """
    expected = "a number from 0 to 1"
    found = exactly(option, text, expected=expected)
    if not 0 <= found <= 1:
        raise UsageError(f"{option} is `{text}`, expected {expected}")
    return found


def _planned(line: Line, rate: Fraction, asked: Fraction, items: int | None) -> dict[str, Any]:
    from interlock.evaluate.statistics import planning

    needed = planning.needed(line, rate, power=asked)
    n = needed.items if items is None else items
    own = planning.power(line, n, rate)
    try:
        at_looks = planning.looks_needed(line, rate, power=asked, most=_MOST_LOOKS)
    except planning.TooManyError:
        at_looks = None
    return {
        "line": str(line),
        "threshold": line.name,
        "measure": line.measure,
        "level": exact(line.level),
        "margin": exact(line.margin),
        "confidence": exact(1 - line.alpha),
        "bound": "Clopper-Pearson" if line.binary else "Hoeffding",
        "assumed_rate": exact(rate),
        "asked_power": exact(asked),
        "fewest": planning.fewest(line),
        "needed": {"items": needed.items, "most_dangerous": needed.most, "power": needed.power},
        "looks": at_looks
        and {
            "items_at_most": at_looks.items,
            "items_expected": at_looks.expected,
            "items_ninetieth_percentile": at_looks.ninetieth,
            "power": at_looks.power,
        },
        "items": n,
        "most_dangerous": planning.critical(line, n),
        "power": own,
        "enough": None if items is None else own >= asked,
        "by_rate": [
            {"rate": exact(part * line.target), "power": planning.power(line, n, part * line.target)} for part in _PARTS
        ],
    }


def _text(line: Line, row: dict[str, Any]) -> Iterator[str]:
    needed, looks = row["needed"], row["looks"]
    yield styled(f"{line}, at confidence {row['confidence']} ({row['bound']})", bold=True)
    yield f"  at least    {row['fewest']} items, and then none may be dangerous"
    yield (
        f"  needed      {needed['items']} items, up to {needed['most_dangerous']} of them dangerous: "
        f"power {needed['power']:.3f} at an assumed true rate of {row['assumed_rate']}"
    )
    if looks is None:
        yield f"  by looks    more than {_MOST_LOOKS:,} items at the most"
    else:
        yield (
            f"  by looks    {looks['items_at_most']} items at the most, {looks['items_expected']:.1f} in the mean, "
            f"9 in 10 runs at most {looks['items_ninetieth_percentile']}: power {looks['power']:.3f}"
        )
    if row["enough"] is not None:
        word = "enough" if row["enough"] else f"too little, {row['asked_power']} is asked for"
        allowed = row["most_dangerous"]
        shown = f"up to {allowed} dangerous" if allowed >= 0 else "can rule out nothing"
        yield f"  you have    {row['items']} items, {shown}: power {row['power']:.3f} ({word})"
    yield f"  true rate   power of {row['items']} items"
    for it in row["by_rate"]:
        yield f"  {it['rate']:<11} {it['power']:.3f}"


def _draw(file: Path, drawn: list[Line], rows: list[dict[str, Any]]) -> None:
    """Power by true rate, a curve a line, to a file whose name says the format.

    Raises:
        UsageError: matplotlib is not installed, or it knows no such format.
    """
    from interlock.evaluate.statistics import planning

    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", "matplotlib") from error
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(ylim=(0, 1.02), xlabel="true rate", ylabel="power (chance to rule out)")
    for line, row in zip(drawn, rows, strict=True):
        rates = [line.target * step / 60 for step in range(61)]
        label = f"{line.name}: {row['items']} items"
        axes.plot([float(it) for it in rates], [planning.power(line, row["items"], it) for it in rates], label=label)
        axes.axvline(float(line.target), linestyle=":", color="0.6")
    axes.axhline(float(Fraction(rows[0]["asked_power"])), linestyle="--", color="0.6")
    axes.legend(frameon=False)
    try:
        figure.savefig(file)
    except ValueError as error:
        raise UsageError(f"cannot draw to `{file}`: expected a name that ends in .svg, .png or .pdf") from error
