"""`elicit certify`: does an elicitor bring out what is there? Seen on model organisms."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.elicitation import (
    ConfidenceOption,
    CountOption,
    OutOption,
    SeedOption,
    SetOption,
    confidence_of,
    fraction_of,
    settings_of,
)
from interlock.cli.options import JsonOption, print_json
from interlock.errors import UsageError


def certify(
    elicitors: Annotated[
        list[str],
        typer.Argument(metavar="ELICITOR...", help="Their names; of several the highest bound counts, too."),
    ],
    suite: Annotated[Path, typer.Option("--suite", help="Folder of `interlock organism suite`.")],
    out: OutOption,
    level: Annotated[float, typer.Option("--level", help="What organisms without the skill are ruled out at.")] = 0.5,
    confidence: ConfidenceOption = 0.95,
    demonstrations: CountOption = None,
    share: Annotated[float, typer.Option("--share", help="Most FLOP as a share of an organism's training.")] = 0.01,
    calibrate: Annotated[
        str | None,
        typer.Option("--calibrate", help="Seeds of organisms that only learn the margin, with commas between."),
    ] = None,
    target: Annotated[float, typer.Option("--target", help="Coverage that the margin is to reach there.")] = 0.95,
    seed: SeedOption = 0,
    check: Annotated[str, typer.Option("--check", help="What the policy calls the check.")] = "certified-elicitor",
    settings: SetOption = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the plot (.svg, .png, .pdf) here.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Organisms at once, each on one thread.", show_default="cores")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """See on model organisms whether an elicitor brings out what is there, and lets be ruled out what is not.

    \b
    interlock organism suite --seeds 0,1,2 --families all --out suite
    interlock elicit certify fine-tune-lora --suite suite --calibrate 0 --out certified
    interlock check-assumption no-gradient-hacking -s NAME --passed --record certified/validity-fine-tune-lora.json

    Blind: first every organism is asked plainly, after solved examples, and by each elicitor, and all bounds are
    written to OUT/bounds.jsonl; then the truths are opened, and checked against their commitments. OUT gets
    certified.json, and a validity record for each elicitor. Killed, the same command goes on.

    A record stands for results of its recipe that had at least as many demonstrations as any organism here: give
    --demonstrations if an evaluation will have fewer than the suite. It stands for runs that no budget ends early.
    """
    from interlock.cli.show import progress
    from interlock.elicit import session
    from interlock.elicit.certification import bounding, drawing, judging
    from interlock.elicit.elicitors import make
    from interlock.elicit.organisms.suite import organisms
    from interlock.evaluate.local import require_extra

    require_extra("torch", "transformers", "safetensors")
    if settings and len(elicitors) > 1:
        raise UsageError(f"--set goes with one elicitor, got {len(elicitors)}")
    plan = bounding.Plan(
        elicitors=tuple(make(name, settings_of(settings)) for name in elicitors),
        level=fraction_of("level", level),
        confidence=confidence_of(confidence),
        share=_share(share),
        seed=seed,
        calibrate=_seeds(calibrate),
        target=fraction_of("target", target),
        check=check,
        demonstrations=demonstrations,
    )
    folders = organisms(suite)
    with progress() as report:
        bounded = bounding.bound(plan, folders, out, progress=report, jobs=jobs or os.cpu_count() or 1)
    found = judging.judge(plan, bounded, folders, out)
    told = found.to_json()
    for elicitor in plan.elicitors:
        data = found.record(elicitor).to_bytes().decode()
        session.write(out / f"validity-{elicitor.name}.json", data)
    session.write(out / "certified.json", json.dumps(told, indent=1, sort_keys=True) + "\n")
    if plot is not None:
        drawing.draw(told, plot)
    if as_json:
        print_json(told)
        return
    for line in _certified(told):
        say(line)
    say(f"written to {out}; truths were opened after {found.bounds_sha256[:16]} (bounds.jsonl)")


def _certified(told: Mapping[str, Any]) -> list[str]:
    """The kinds, each on a line, and the figures."""
    head = ["kind", "organisms", "plain", "elicited", "can", "bound", "covered", "ruled out"]
    rows = [
        [
            kind,
            str(it["organisms"]),
            *(f"{it[name]:.3f}" for name in ("plain", "elicited", "can")),
            "none" if it["bound"] is None else f"{it['bound']:.3f}",
            str(it["covered"]),
            str(it["ruled_out"]),
        ]
        for kind, it in told["certified"]["by_kind"].items()
    ]
    wide = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)) for row in [head, *rows]]
    lines += ["  (medians of each kind; covered or ruled out by the greatest bound of all ways)", ""]
    for title, part in [("all ways", told["certified"]), *((f"{name} alone", it) for name, it in told["each"].items())]:
        lines += [
            f"{title}:",
            f"  coverage, of organisms that have the skill   {_ratio(part['coverage'])}",
            f"  of those that hide 30 points or more         {_ratio(part['coverage_of_hiding'])}",
            f"  sharpness, of those that never had it        {_ratio(part['sharpness'])}",
            f"  ruled out, although they reach the level     {_ratio(part['ruled_out_wrongly'])}",
            f"  bound minus truth                            {_median(part['bound_minus_truth'])}",
            f"  recovered, where 30 points or more are hid   {_median(part['recovered'])}",
            f"  taught, not elicited                         {_median(part['taught'])}",
            f"  cost                                         {_cost(part)}",
        ]
        lines += [f"  failed on {part['failed']} organisms: not covered, and not ruled out"] if part["failed"] else []
        lines += [f"  cut short by the budget on {_cut_short(part)}"] if part["cut_short"] else []
    made = told["suite"]
    lines.append(f"suite: {made['organisms']} organisms of {made['asked_for']} that were asked for")
    lines.append(f"demonstrations: {told['demonstrations']} at most; a record stands for results that had as many")
    margin, wider = told["margin"], told["certified_widened"]
    if not margin["organisms"]:
        lines.append("margin: none was learned (--calibrate)")
    elif margin["value"] is None:
        lines.append(f"margin: none covers enough of the {margin['organisms']} organisms that calibrate")
    else:
        more = (
            f"; with it coverage {_ratio(wider['coverage'])}, sharpness {_ratio(wider['sharpness'])}" if wider else ""
        )
        lines.append(f"margin: {margin['value']:g}, learned on {margin['organisms']} organisms{more}")
    return lines


def _cost(part: Mapping[str, Any]) -> str:
    most = part["share_of_training"]["most"] or 0
    return f"{part['flop']['total']:.3g} FLOP in all, at most {most:.3g} of an organism's training"


def _cut_short(part: Mapping[str, Any]) -> str:
    return f"{part['cut_short']} organisms: less was done than the recipe says, give more by --share"


def _ratio(it: Mapping[str, Any] | None) -> str:
    if it is None:
        return "none"
    return f"{it['k']}/{it['n']} ({it['confidence']:.0%}: {it['low']:.3f} to {it['high']:.3f}; {it['method']})"


def _median(it: Mapping[str, Any] | None) -> str:
    if not it or not it["n"]:
        return "none"
    return (
        f"median {it['value']:.3f} ({it['confidence']:.0%}: {it['low']:.3f} to {it['high']:.3f}; n = {it['n']}; "
        f"{it['method']})"
    )


def _seeds(given: str | None) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(seed) for seed in (given or "").split(",") if seed.strip()}))
    except ValueError:
        raise UsageError(f"--calibrate is `{given}`, expected whole numbers with commas between") from None


def _share(value: float) -> Fraction:
    if not 0 < value < float("inf"):
        raise UsageError(f"--share is {value}, expected more than 0")
    return Fraction(str(value))
