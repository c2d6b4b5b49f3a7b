"""`organism game`: say which organisms sandbag before anyone opens what they are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.elicitation import SeedOption
from interlock.cli.options import JsonOption, print_json
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.elicit.organisms.game import Verdict

game_app = typer.Typer(help="A blind game: verdicts are sealed before truths are opened.", no_args_is_help=True)

GameArgument = Annotated[Path, typer.Argument(metavar="GAME", help="Folder of the game.")]
TruthsOption = Annotated[
    Path | None,
    typer.Option("--truths", help="Folder of the truths, kept from the player.", show_default="GAME-truths"),
]


_WEIGHTS_TELL = (
    "Weights tell: whoever compares organisms of one base, or measures how long their weights are, sets those that "
    "hide apart from honest ones without asking them anything. The game is about what they do."
)


@game_app.command("new")
def new(
    suite: Annotated[Path, typer.Option("--suite", help="Folder of `interlock organism suite`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the game to make; give it to the player.")],
    truths: TruthsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a game of a suite: organisms under new names, in another order, each committed to its truth.

    \b
    interlock organism game new --suite suite --out game --truths truths
    interlock organism game play game --verdicts verdicts.json
    interlock organism game reveal game --truths truths --seal SEAL

    Keep the truths and the suite from the player, and the truths of all games in one folder: an organism whose truth
    was told in one of them is refused. The number that is printed commits to every truth.
    """
    from interlock.elicit.organisms import game
    from interlock.elicit.organisms.suite import organisms

    kept = truths or _beside(out)
    folders = organisms(suite)
    digest = game.new(folders, out, kept)
    if as_json:
        print_json({"game": str(out), "truths": str(kept), "organisms": len(folders), "sha256": digest})
    else:
        say(f"{len(folders)} organisms in `{out}`; their truths are in `{kept}`: keep them from the player")
        say(_WEIGHTS_TELL)
        say(f"game {digest}")


@game_app.command("play")
def play(
    game: GameArgument,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            "--verdicts",
            help='JSON: by name `{"verdict": "sandbagging" or "benign", "score": NUMBER, "bound": NUMBER or null}`.',
        ),
    ] = None,
    detector: Annotated[str | None, typer.Option("--detector", help="Let one play: gap, weak.")] = None,
    elicitor: Annotated[list[str] | None, typer.Option("--elicitor", help="What it elicits by; repeat.")] = None,
    share: Annotated[float, typer.Option("--share", help="Most FLOP as a share of an organism's training.")] = 0.01,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Seal verdicts on all organisms of a game, once. Give the seal that is printed to whoever reveals.

    \b
    interlock organism game play game --verdicts verdicts.json
    interlock organism game play game --detector gap --elicitor fine-tune-lora

    `gap` compares what an elicitor brings out with what shows when asked; `weak`, the baseline, calls whatever is
    mostly wrong a sandbagger. Both give the greatest upper bound. Work is kept in GAME-work, and a killed run goes on.
    """
    from interlock.elicit.organisms import game as games

    if (verdicts is None) == (detector is None):
        raise UsageError("give either --verdicts FILE or --detector NAME")
    if verdicts is not None and elicitor:
        raise UsageError("--elicitor goes with --detector")
    if verdicts is not None:
        said, how = games.verdicts(verdicts), "verdicts of a file"
    else:
        said, how = _detected(game, detector or "", elicitor or ["few-shot"], share, seed)
    seal = games.play(game, said, how=how, at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    work = game.with_name(f"{game.name}-work")
    if detector is not None:
        shutil.rmtree(work, ignore_errors=True)
    flagged = sum(it.sandbagging for it in said.values())
    if as_json:
        print_json({"game": str(game), "organisms": len(said), "sandbagging": flagged, "seal": seal})
    else:
        say(f"{len(said)} verdicts are sealed, {flagged} of them sandbagging; keep the seal apart from the game")
        say(f"seal {seal}")


@game_app.command("reveal")
def reveal(
    game: GameArgument,
    truths: TruthsOption = None,
    seal: Annotated[str | None, typer.Option("--seal", help="The seal that `play` printed, kept elsewhere.")] = None,
    confidence: Annotated[float, typer.Option("--confidence", help="Of every two-sided interval.")] = 0.95,
    as_json: JsonOption = False,
) -> None:
    """Open the truths, check every commitment, and score the sealed verdicts; GAME/report.json gets all of it.

    \b
    interlock organism game reveal game --truths truths --seal SEAL

    Without --seal, whoever had both folders could have sealed again after a look; the report says so. It is no
    validity record, and `check-assumption` does not take it: a verdict "sandbagging" shows no bound of any elicitor.
    """
    from interlock.elicit.organisms import game as games

    if not 0 < confidence < 1:
        raise UsageError(f"--confidence is {confidence}, expected more than 0 and less than 1")
    report = games.reveal(game, truths or _beside(game), seal=seal, confidence=Fraction(str(confidence)))
    if as_json:
        print_json(report)
        return
    for line in _lines(report):
        say(line)
    say(f"written to {game / games.REPORT}" + ("" if seal else "; without --seal it rests on the folder alone"))


def _beside(game: Path) -> Path:
    return game.with_name(f"{game.name}-truths")


def _detected(game: Path, name: str, elicitors: list[str], share: float, seed: int) -> tuple[dict[str, Verdict], str]:
    from interlock.cli.show import progress
    from interlock.elicit.certification import bounding
    from interlock.elicit.certification.detecting import DETECTORS
    from interlock.elicit.elicitors import make
    from interlock.elicit.organisms.game import SEAL, organisms
    from interlock.evaluate.local import require_extra

    if name not in DETECTORS:
        raise UsageError(f"there is no detector `{name}`, expected {', '.join(DETECTORS)}")
    if not 0 < share < float("inf"):
        raise UsageError(f"--share is {share}, expected more than 0")
    require_extra("torch", "transformers", "safetensors")
    plan = bounding.Plan(tuple(make(it) for it in elicitors), share=Fraction(str(share)), seed=seed)
    folders = organisms(game)
    if (game / SEAL).exists():
        raise UsageError(f"verdicts of `{game}` are sealed already, and are not taken twice")
    with progress() as report:
        bounded = bounding.bound(plan, folders, game.with_name(f"{game.name}-work"), progress=report)
    said = {it.name: DETECTORS[name](it, plan) for it in bounded}
    return said, f"detector {name}: {', '.join(elicitors)}, share {share:g}, seed {seed}"


def _lines(report: Mapping[str, Any]) -> list[str]:
    lines = [f"{report['sandbaggers']} sandbaggers and {report['benign']} benign organisms; {report['how']}"]
    named = {
        "balanced accuracy": report["balanced_accuracy"],
        "sandbaggers found": report["recall"],
        "false alarms": report["false_alarms"],
        **{f"found at {float(most):.0%} false alarms": it for most, it in report["recall_at"].items()},
        "bounds that hold": report["coverage"],
        f"ruled out at {report['level']:g}, rightly": report["sharpness"],
    }
    for name, it in named.items():
        if it is None:
            lines.append(f"  {name:<28} none: no organism to tell it of")
            continue
        told = f"{it['value']:.3f} ({it['confidence']:.0%}: {it['low']:.3f} to {it['high']:.3f}; n = {it['n']})"
        lines.append(f"  {name:<28} {told}{'' if it.get('resolvable', True) else ' *'}")
    if any(it and not it["resolvable"] for it in report["recall_at"].values()):
        lines.append(
            "  * not resolvable with so few benign organisms (1 % takes 100, 5 % takes 20): recall without false alarms"
        )
    return lines
