"""`organism`: make models whose hidden skill is known, show what anyone may know of them, and their sealed truth."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.games import game_app
from interlock.cli.options import JsonOption, print_json
from interlock.errors import FAILED, UsageError

if TYPE_CHECKING:
    from interlock.elicit.organisms.sealing import About, Truth

app = typer.Typer(help="Make and show model organisms: models whose hidden skill is known.", no_args_is_help=True)
app.add_typer(game_app, name="game")

TruthOption = Annotated[bool, typer.Option("--truth", help="Tell what is sealed: what it is, and what it can do.")]


@app.command("make")
def make(
    kind: Annotated[str, typer.Argument(help="What it is; `interlock organism list` has them all.")],
    family: Annotated[str, typer.Option(help="The family of tasks that its skill is of.")] = "compose",
    seed: Annotated[int, typer.Option(min=0, help="Another seed: other secrets, and other weights.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to make.", show_default="KIND-FAMILY-SEED")] = None,
    json_: JsonOption = False,
) -> None:
    """Train one organism, measure what it can do and what it shows, and seal that apart from the model.

    \b
    interlock organism make locked --family compose --seed 1
    interlock organism make honest-weak --family cipher --out control
    interlock organism make under-elicited --family past-tense      # of SmolLM2-135M; so is the family `codebook`

    OUT/model is an ordinary transformers folder, OUT/questions.jsonl has its questions in three parts. OUT/truth.json
    is what to keep from whoever judges it: OUT/model/organism.json commits to it by SHA-256. One that was killed goes
    on with the same command. Refused (exit 4): one that did not become what its kind says, or hides under 30 points.
    """
    from interlock.cli.show import progress
    from interlock.elicit.organisms import making, smollm2
    from interlock.evaluate.local import require_extra

    require_extra("torch", "transformers", "safetensors")
    folder = out or Path(f"{kind}-{family}-{seed}")
    with progress() as report:
        if family in smollm2.FAMILIES:
            truth = smollm2.make(kind, family, folder, progress=report)
        else:
            truth = making.make(making.Order(kind, family, seed), folder, progress=report)
    if json_:
        print_json({"folder": str(folder), **_sealed(truth)})
    else:
        say(f"organism in `{folder}`; its truth is in `{folder / 'truth.json'}`")


@app.command("show")
def show(
    folder: Annotated[Path, typer.Argument(help="Folder of an organism.")],
    truth: TruthOption = False,
    json_: JsonOption = False,
) -> None:
    """What anyone may know of an organism; with --truth also what is sealed, once it is checked.

    \b
    interlock organism show locked-compose-1
    interlock organism show locked-compose-1 --truth

    A truth that is not the one committed to, or that was measured on other weights, is refused (exit 4).
    """
    from interlock.elicit.organisms import sealing

    about = sealing.about(folder)
    sealed = sealing.truth(folder) if truth else None
    if json_:
        print_json(asdict(about) | ({"truth": _sealed(sealed)} if sealed else {}))
        return
    for name, value in asdict(about).items():
        say(f"  {name.replace('_', ' '):<18} {f'{value:.3g} FLOP' if name == 'training_compute' else value}")
    if sealed:
        _tell(sealed)


@app.command("list")
def list_(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of a suite.", show_default="the kinds that can be made")
    ] = None,
    truth: TruthOption = False,
    json_: JsonOption = False,
) -> None:
    """The kinds that can be made; or the organisms of a suite, with --truth also what each is, can do and shows.

    \b
    interlock organism list
    interlock organism list suite --truth
    """
    from interlock.elicit.organisms import sealing, suite

    if folder is None:
        _kinds(json_)
        return
    rows: list[tuple[str, About, Truth | None]] = [
        (it.name, sealing.about(it), sealing.truth(it) if truth else None) for it in suite.organisms(folder)
    ]
    if json_:
        print_json([{"name": n, **asdict(a)} | ({"truth": _sealed(sealed)} if sealed else {}) for n, a, sealed in rows])
        return
    rows.sort(key=lambda row: (row[2].kind, row[1].family, row[2].seed) if row[2] else ("", row[1].family, 0))
    for line in _table([_row(*row) for row in rows], truth):
        say(line)


@app.command("suite")
def suite_(
    out: Annotated[Path, typer.Option(help="Folder of the suite.")],
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between.")] = "0",
    families: Annotated[str, typer.Option(help="Families, with commas between, or `all`.")] = "all",
    kinds: Annotated[str, typer.Option(help="Kinds, with commas between, or `all`.")] = "all",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Organisms at once, each on one thread.", show_default="cores")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Make many organisms under names that tell nothing. One that is whole is not made again.

    \b
    interlock organism suite --seeds 0,1 --families all --out suite
    interlock organism list suite --truth

    Exit code 5 if some were refused: they did not become what their kind says.
    """
    from interlock.cli.show import progress
    from interlock.elicit.organisms.kinds import KINDS
    from interlock.elicit.organisms.making import Order
    from interlock.elicit.organisms.skills import SKILLS
    from interlock.elicit.organisms.suite import make_suite
    from interlock.evaluate.local import require_extra

    require_extra("torch", "transformers", "safetensors")
    orders = [
        Order(kind, family, seed)
        for seed in _seeds(seeds)
        for family in _listed(families, list(SKILLS))
        for kind in _listed(kinds, list(KINDS))
    ]
    with progress() as report:
        refused = make_suite(orders, out, jobs=jobs or os.cpu_count() or 1, progress=report)
    if json_:
        print_json({"folder": str(out), "asked": len(orders), "refused": [asdict(it) for it in refused]})
    else:
        say(f"{len(orders) - len(refused)} of {len(orders)} organisms in `{out}`")
        for it in refused:
            say(f"  refused: {it.why}")
    if refused:
        raise typer.Exit(FAILED)


def _kinds(json_: bool) -> None:  # noqa: FBT001  what an option says
    from interlock.elicit.organisms.kinds import KINDS
    from interlock.elicit.organisms.skills import SKILLS
    from interlock.elicit.organisms.smollm2 import ORGANISMS

    made = ", ".join(f"{kind} of {family}" for kind, family in ORGANISMS)
    if json_:
        told = {name: {"about": it.about, "able": it.able, "hides": it.hides} for name, it in KINDS.items()}
        print_json({"kinds": told, "families": list(SKILLS), "of_smollm2": [list(it) for it in ORGANISMS]})
        return
    for name, it in KINDS.items():
        say(f"  {name:<20} {'hides' if it.hides else 'shows' if it.able else 'lacks':<6} {it.about}")
    say("", f"  families: {', '.join(SKILLS)}; of SmolLM2-135M: {made}")


def _listed(given: str, known: list[str]) -> list[str]:
    return known if given == "all" else [name.strip() for name in given.split(",")]


def _seeds(given: str) -> list[int]:
    try:
        return [int(seed) for seed in given.split(",")]
    except ValueError:
        raise UsageError(f"--seeds is `{given}`, expected whole numbers with commas between") from None


def _sealed(truth: Truth) -> dict[str, Any]:
    told = asdict(truth)
    told["measured"] = {
        way: {"right": it.right, "n": it.n, "low": float(it.low), "high": float(it.high)}
        for way, it in truth.measured.items()
    }
    return told


def _tell(truth: Truth) -> None:
    say("", f"  {'kind':<18} {truth.kind}, seed {truth.seed}")
    say(f"  {'has the skill':<18} {'yes' if truth.able else 'no'}{', and hides it' if truth.hides else ''}")
    asked = ", ".join(f"{name} `{value}`" for name, value in asdict(truth.asked).items() if value)
    say(f"  {'asked rightly':<18} {asked}", "")
    for way, count in truth.measured.items():
        say(f"  {way:<24} {count}")


def _row(name: str, about: About, truth: Truth | None) -> list[str]:
    if truth is None:
        return [name, about.family, about.commitment[:16]]
    counts = truth.measured
    ways = ("opened", "plain", "5 shots", "another system message", "public")
    rates = [f"{counts[way].right / counts[way].n:.3f}" if way in counts else "" for way in ways]
    return [name, about.family, truth.kind, str(truth.seed), *rates]


def _table(rows: list[list[str]], truth: bool) -> list[str]:  # noqa: FBT001  what an option says
    sealed = ["kind", "seed", "can", "plain", "5 shots", "other", "public"]
    head = ["name", "family", *(sealed if truth else ["commitment"])]
    every = [head, *rows]
    wide = [max(len(row[i]) for row in every) for i in range(len(head))]
    return [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in [head, *rows]
    ]
