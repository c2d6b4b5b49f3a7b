"""`compute estimate`: training FLOP of a model by formula, and its effective compute by a ladder of reference runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say, styled
from interlock.cli.options import JsonOption, print_json
from interlock.errors import UsageError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.subject.compute.architecture import Architecture
    from interlock.subject.compute.effective import Effective
    from interlock.subject.compute.ladder import Ladder

app = typer.Typer(help="Training FLOP and effective compute, and how they were found.", no_args_is_help=True)

METHOD = "formula from the config, every position paired with every other"
#: The trainer's own file in the folder of a snapshot.
_STATE = "trainer_state.json"
#: Sequences that torch's counter runs over.
_ROWS = 2


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a trainer's snapshot says that it spent: tokens seen, and FLOP by its own count; 0: it did not count."""

    tokens: int
    flop: float


@app.command("estimate")
def estimate(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG|RUN", help="A model folder, a config.json, or a snapshot of a trainer."),
    ] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens trained on.  [default: those that a snapshot saw]")] = None,
    sequence: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a sequence.  [default: the most that the config allows]")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Sequences of a step: says what one step takes.")] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Count with torch too, without the weights; refuse a gap over 5 %."),
    ] = False,
    ladder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Runs of the reference recipe, JSON or CSV: flop and loss."),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="L|LOW..HIGH", help="The model's loss on the ladder's held-out set.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="One-sided confidence of each end, with --ladder.")] = 0.95,
    years: Annotated[
        float | None, typer.Option(help="Fallback without a ladder: years from the reference recipe to the model's.")
    ] = None,
    halving: Annotated[
        str | None,
        typer.Option(metavar="LOW..HIGH", help="Months in which the compute for one loss halves.  [default: 2..22]"),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Whose figure --halving is.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the ladder: .svg, .png, .pdf.")] = None,
    as_json: JsonOption = False,
) -> None:
    """How much compute a model took, and how much the reference recipe would have needed for what it can.

    \b
    interlock compute estimate MODEL-FOLDER --tokens 2e12 --sequence 2048     training FLOP by formula
    interlock compute estimate config.json --tokens 15.6e12 --check           and by torch's counter, beside it
    interlock compute estimate run/checkpoint-500 --sequence 1024             of a run that the trainer counted
    interlock compute estimate --ladder ladder.json --loss 2.31               effective compute, by reference runs
    interlock compute estimate MODEL --tokens 2e12 --ladder L --loss 2.31 --json > m.json
    interlock subject add MODEL --estimate m.json                             sign it, with the file's SHA-256

    A token takes 2 FLOP forward for every weight that it is multiplied with (of a mixture, only the experts chosen),
    and attention 2 for every entry of query and value and every pair of positions; backward takes twice as much. The
    count is the most that it can be: attention in full. The causal count beside it leaves out what the mask hides.
    Recomputation (gradient checkpointing) is in neither: it is up to a third more work for the machine and none for
    the model.

    Effective compute is what the reference recipe would need to reach this model's loss, on the same frozen held-out
    set with the same tokenizer: L(C) = E + A C^-b through the ladder, and an interval for C, of which the upper end
    gates. A ladder has runs of 5 sizes or more. Past its runs an end is widened by as much again as it lies past them,
    up to 4 times; further out it is refused.
    """
    config = None if model is None else _config(model)
    made = None if config is None else _architecture(config, model)
    ran = _ran(model)
    training = _training(made, ran, tokens=tokens, sequence=sequence, batch=batch, nothing_else=not check)
    counter = _counter(config, made, min(sequence or 256, 256)) if check else None
    climbed = _climbed(ladder, loss)
    effective, between = None, None
    if climbed is not None:
        from interlock.subject.compute import effective as by

        between = _between("--loss", loss or "")
        effective = by.effective(climbed, *between, confidence=confidence)
    elif years is not None:
        effective = _fallback(training, years, halving, source)
    if plot is not None:
        _draw(plot, climbed, effective, between)
    found = _to_json(model, made, training, counter)
    if effective is not None:
        from interlock.subject.compute.estimate import effective_to_json

        found["effective_compute"] = effective_to_json(effective, between, climbed)
    found["options"] = _options(training, effective)
    if found["options"] is None and counter is None:
        raise UsageError("nothing to estimate: give a model and --tokens, or --ladder and --loss")
    if as_json:
        print_json(found)
    else:
        say(*_lines(found))


def _config(path: Path) -> dict[str, Any]:
    from interlock.subject.compute import architecture

    return architecture.load_config(path)


def _architecture(config: dict[str, Any], path: Path | None) -> Architecture:
    from interlock.subject.compute import architecture

    return architecture.read(config, where=f"`{path}`")


def _ran(path: Path | None) -> _Ran | None:
    """What the trainer wrote beside the config, if this is a snapshot."""
    if path is None or not (file := (path if path.is_dir() else path.parent) / _STATE).is_file():
        return None
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        tokens, spent = state.get("num_input_tokens_seen", 0), state.get("total_flos", 0)
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"`{file}`: expected the state of a transformers trainer: {error}") from error
    for name, value in (("num_input_tokens_seen", tokens), ("total_flos", spent)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e40:
            raise UsageError(f"`{file}`: `{name}` is `{str(value)[:80]}`, expected a number, 0 or more")
    return _Ran(int(tokens), float(spent))


def _training(
    made: Architecture | None,
    ran: _Ran | None,
    *,
    tokens: str | None,
    sequence: int | None,
    batch: int | None,
    nothing_else: bool,
) -> dict[str, Any] | None:
    """Training FLOP by formula, most and least, and what the trainer and 6 N D say."""
    from interlock.cli.subjects import flop as whole
    from interlock.subject.compute import flop

    if made is None:
        if tokens is not None:
            raise UsageError("--tokens go with a model: give its folder or its config.json")
        return None
    seen = ran.tokens if ran is not None and tokens is None else None
    if seen == 0:
        raise UsageError(
            f"the trainer counted no tokens (`num_input_tokens_seen` of {_STATE} is 0): say how many with --tokens"
        )
    if tokens is None and seen is None:
        if nothing_else:
            raise UsageError("--tokens is missing: how many the model was trained on, such as 2e12")
        return None
    count = seen if tokens is None and seen is not None else whole(tokens, option="--tokens")
    width = sequence or made.positions
    most, least = (flop.trained(made, tokens=count, width=width, attention=kind) for kind in ("full", "causal"))
    return {
        "flop": str(most),
        "flop_causal": str(least),
        "flop_recomputed": str(most * flop.RECOMPUTED // flop.TRAINING),
        "six_n_d": str(6 * made.parameters * count),
        "tokens": str(count),
        "tokens_by": "the trainer's count" if seen else "--tokens",
        "sequence": width,
        "flop_per_step": str(flop.training(made, rows=batch, width=width)) if batch else None,
        "trainer_flop": ran.flop if ran is not None and seen else None,
        "method": METHOD,
    }


def _counter(config: dict[str, Any] | None, made: Architecture | None, width: int) -> dict[str, Any]:
    from interlock.subject.compute import counted, flop

    if config is None or made is None:
        raise UsageError("--check counts on a model: give its folder or its config.json")
    found = counted.of_config(config, rows=_ROWS, width=width)
    apart = counted.agree(made, found)
    return {
        "flop": str(found.flop),
        "formula": str(flop.training(made, rows=_ROWS, width=width)),
        "rows": _ROWS,
        "width": width,
        "apart": float(apart),
        "most_apart": float(counted.MOST_APART),
    }


def _climbed(file: Path | None, loss: str | None) -> Ladder | None:
    if (file is None) != (loss is None):
        raise UsageError("--ladder and --loss go together: the runs, and the model's loss on their held-out set")
    if file is None:
        return None
    from interlock.subject.compute import ladder

    return ladder.load(file)


def _between(option: str, text: str) -> tuple[float, float]:
    """Two numbers from `LOW..HIGH`, or one twice."""
    low, _, high = text.partition("..")
    try:
        found = float(low), float(high or low)
    except ValueError as error:
        raise UsageError(f"{option} is `{text}`, expected a number or LOW..HIGH") from error
    return found


def _fallback(training: dict[str, Any] | None, years: float, halving: str | None, source: str | None) -> Effective:
    from interlock.subject.compute import effective

    if training is None:
        raise UsageError("--years goes with training FLOP: give a model and --tokens")
    if (halving is None) != (source is None):
        raise UsageError("--halving and --source go together: a figure, and whose it is")
    known = effective.USUAL
    if halving is not None and source is not None:
        known = effective.Efficiency(*_between("--halving", halving), source)
    return effective.by_efficiency(int(training["flop"]), years, known)


def _options(training: dict[str, Any] | None, effective: Effective | None) -> str | None:
    """What to give `interlock subject add`."""
    parts = []
    if training is not None:
        parts.append(f"--compute {training['flop']}")
    if effective is not None:
        parts.append(f"--effective-compute {effective.low}..{effective.high}")
    return " ".join(parts) or None


def _to_json(
    model: Path | None, made: Architecture | None, training: dict[str, Any] | None, counter: dict[str, Any] | None
) -> dict[str, Any]:
    from interlock.subject.compute.estimate import KIND

    return {
        "interlock": KIND,
        "model": made
        and {
            "path": str(model),
            "family": made.family,
            "parameters": str(made.parameters),
            "weights_per_token": str(made.used),
        },
        "training": training,
        "counter": counter,
        "effective_compute": None,
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if (model := found["model"]) is not None:
        yield styled(f"{model['family']}, {int(model['parameters']):,} parameters", bold=True)
        yield f"  each token    is multiplied with {int(model['weights_per_token']):,} weights"
    if (training := found["training"]) is not None:
        yield from _training_lines(training)
    if (counter := found["counter"]) is not None:
        on = f"{counter['rows']} x {counter['width']} tokens"
        told = f"the formula {counter['formula']}: {counter['apart']:.2%} apart"
        yield f"  torch counts  {counter['flop']} FLOP on {on}, {told}"
    if (effective := found["effective_compute"]) is not None:
        yield from _effective_lines(effective)
    if found["options"] is not None:
        yield f"to sign it:     interlock subject add ... {found['options']}"


def _training_lines(training: dict[str, Any]) -> Iterator[str]:
    tokens, most = int(training["tokens"]), int(training["flop"])
    yield f"  training      {most:.4g} FLOP on {tokens:.4g} tokens in sequences of {training['sequence']} (what gates)"
    yield f"  causal        {int(training['flop_causal']):.4g} FLOP, without the pairs that the mask hides"
    again = int(training["flop_recomputed"])
    yield f"  recomputing   {again:.4g} FLOP of the machine, if all activations are computed again"
    yield f"  6 N D         {int(training['six_n_d']):.4g} FLOP, attention left out and every parameter counted"
    if training["flop_per_step"] is not None:
        yield f"  a step        {int(training['flop_per_step']):.4g} FLOP"
    if training["trainer_flop"]:
        spent = training["trainer_flop"]
        yield f"  trainer says  {spent:.4g} FLOP (total_flos), {spent / most:.3g} times the formula"


def _effective_lines(found: dict[str, Any]) -> Iterator[str]:
    low, high, ladder = int(found["low"]), int(found["high"]), found["ladder"]
    yield styled(f"effective compute {low:.4g} to {high:.4g} FLOP (the upper end gates)", bold=True)
    yield f"  best guess    {found['estimate']:.4g} FLOP, which gates nothing"
    if ladder is None:
        yield "  fallback      this knows nothing of the model but its training FLOP; a ladder is better"
    else:
        on = f", losses on {ladder['held_out']}" if ladder["held_out"] else ""
        reach = "{:.3g} to {:.3g}".format(*ladder["flop"])
        yield f"  ladder        {ladder['name']}, n = {found['n']} runs of {reach} FLOP{on}"
        yield f"  confidence    {found['confidence_of_each_end']:g} for each end"
    yield f"  method        {found['method']}"
    below, above = (found["times_past_the_ladder"][end] for end in ("below", "above"))
    if max(below, above) > 1:
        told = [f"{times:.3g} times {word}" for times, word in ((below, "below"), (above, "above")) if times > 1]
        yield f"  extrapolated  {' and '.join(told)} the ladder's runs, and widened by as much again"


def _draw(path: Path, climbed: Ladder | None, found: Effective | None, between: tuple[float, float] | None) -> None:
    """The runs, the curve through them, and the model's loss with its interval."""
    if climbed is None or found is None or between is None:
        raise UsageError("--plot draws a ladder: give --ladder and --loss")
    if path.suffix not in {".svg", ".png", ".pdf"}:
        raise UsageError(f"--plot is `{path}`, expected a file that ends in .svg, .png or .pdf")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", "matplotlib") from error
    from interlock.subject.compute.effective import fit

    curve = fit(climbed)
    ends = min(climbed.least, found.low), max(climbed.most, found.high)
    steps = [ends[0] * (ends[1] / ends[0]) ** (index / 100) for index in range(101)]
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.axvspan(found.low, found.high, alpha=0.18, color="tab:orange", label="effective compute, interval")
    axes.axhspan(*between, color="tab:orange", alpha=0.5)
    axes.axhline(sum(between) / 2, color="tab:orange", linewidth=1.2, label="the model's loss")
    axes.plot(steps, [curve.loss(it) for it in steps], color="tab:blue", label="E + A C^-b")
    axes.plot([it.flop for it in climbed.rungs], [it.loss for it in climbed.rungs], "o", color="tab:blue", label="runs")
    axes.set_xlabel("training FLOP of the reference recipe")
    axes.set_ylabel("loss")
    axes.legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
