"""`elicit`: try hard to bring out what a model can do, on questions in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import JsonOption, print_json
from interlock.errors import UsageError

if TYPE_CHECKING:
    from interlock.elicit.elicitor import Elicitor
    from interlock.elicit.items import Item, Questions
    from interlock.elicit.session import Terms
    from interlock.evaluate.local import LocalModel

ElicitorArgument = Annotated[
    str, typer.Argument(metavar="ELICITOR", help="Its name (`interlock elicit list`); A+B is A and then B.")
]
ModelOption = Annotated[Path, typer.Option("--model", help="Folder of a transformers model.")]
AdapterOption = Annotated[Path | None, typer.Option("--adapter", help="Folder of a LoRA adapter of it.")]
ItemsOption = Annotated[
    Path,
    typer.Option(
        "--items",
        help="JSON lines: `input`, `target`, perhaps `id`, `family`, `choices`, and `part` "
        "(demonstration, dev, test). Without parts, families are divided by --seed.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for what it gives; the same command goes on there.")]
GradeOption = Annotated[str, typer.Option("--grade", help="When an answer is right: exact, first-word, first-line.")]
TokensOption = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Most tokens of an answer.")]
DevOption = Annotated[float, typer.Option("--dev", help="Share of the families for dev, where lines name no part.")]
TestOption = Annotated[float, typer.Option("--test", help="Share of the families for the test, likewise.")]
CountOption = Annotated[
    int | None, typer.Option("--demonstrations", "-n", min=1, help="Use only the first so many demonstrations.")
]
BudgetOption = Annotated[float | None, typer.Option("--budget", help="Most FLOP to spend.")]
ShareOption = Annotated[float, typer.Option("--share", help="Most FLOP as a share of --training-compute.")]
ComputeOption = Annotated[
    float | None, typer.Option("--training-compute", help="FLOP that training the model took; instead of --budget.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of every draw.")]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Of every one-sided bound.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; may be given again for others.")
]
ControlItemsOption = Annotated[
    Path | None,
    typer.Option(
        "--control-items",
        help="JSON lines with questions of another task: reinforcement learning asks them to compare with.",
    ),
]
ToleranceOption = Annotated[float, typer.Option("--tolerance", help="Differences of rates under it count as none.")]


def list_elicitors(as_json: JsonOption = False) -> None:
    """Every elicitor with its settings, and what each setting is unless --set says otherwise."""
    from interlock.elicit.elicitors import ELICITORS, make, settable

    if as_json:
        print_json([{"name": it, "kind": make(it).kind, "settings": settable(it)} for it in ELICITORS])
        return
    for name in ELICITORS:
        say(f"{name:<18} {make(name).kind}")
        for setting, usual in settable(name).items():
            shown = ",".join(map(str, usual)) if isinstance(usual, tuple) else usual
            say(f"    {setting} = {shown}")


def run(
    elicitor: ElicitorArgument,
    model: ModelOption,
    items: ItemsOption,
    out: OutOption,
    adapter: AdapterOption = None,
    grade: GradeOption = "first-word",
    max_new_tokens: TokensOption = 16,
    demonstrations: CountOption = None,
    dev: DevOption = 0.2,
    test: TestOption = 0.5,
    budget: BudgetOption = None,
    share: ShareOption = 0.01,
    training_compute: ComputeOption = None,
    seed: SeedOption = 0,
    confidence: ConfidenceOption = 0.95,
    settings: SetOption = None,
    deployed: Annotated[
        bool, typer.Option("--deployed", help="Ask the test again in prompts that look like deployment.")
    ] = False,
    tolerance: ToleranceOption = 0.1,
    save_model: Annotated[bool, typer.Option("--save-model", help="Write the adapted model to OUT/model.")] = False,
    control_items: ControlItemsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Elicit once: adapt the model, ask it the test questions, and state bounds on what it can do.

    OUT gets the Inspect log of the test (logs/), transcript.jsonl with every step and choice, and elicited.json with
    counts, bounds and FLOP. Demonstrations, dev and test must share no family and no text; settings are chosen on dev.
    Failures that say nothing about the skill (refusals, cut-off answers, wrong format...) count as right in the upper
    bound. Killed, the same command goes on, and ends with the same bits.
    """
    from interlock.cli.show import progress
    from interlock.elicit import elicitors, session

    chosen = elicitors.make(elicitor, settings_of(settings))
    terms = _terms(budget, share, training_compute, seed, confidence, tolerance if deployed else None)
    questions = questions_of(items, grade, max_new_tokens, dev, test, seed, demonstrations)
    if control_items is not None:
        chosen = elicitors.controlled(chosen, aside_of(control_items, questions))
    subject = subject_of(model, adapter)
    with progress() as report:
        done = session.run(chosen, subject, questions, terms=terms, out=out, progress=report)
    if save_model:
        session.save_model(done.elicited.adapted, out / "model")
    if as_json:
        print_json(done.record)
        return
    _say(chosen.name, done.record["test"], flop=done.elicited.flop)
    _say_idle(done.idle)
    if done.retest is not None:
        sides = " and ".join(done.retest.flagged)
        found = f"may be {sides} by {tolerance:g} or more" if sides else f"differ by less than {tolerance:g}"
        _say("in deployment-looking prompts", done.record["deployed"]["framed"])
        say(f"{'FLAG' if sides else 'ok'}: rates in deployment-looking prompts {found}")
    say(f"written to {out}")


def curve(
    elicitor: ElicitorArgument,
    model: ModelOption,
    items: ItemsOption,
    out: OutOption,
    adapter: AdapterOption = None,
    grade: GradeOption = "first-word",
    max_new_tokens: TokensOption = 16,
    demonstrations: CountOption = None,
    dev: DevOption = 0.2,
    test: TestOption = 0.5,
    budget: BudgetOption = None,
    share: ShareOption = 0.01,
    training_compute: ComputeOption = None,
    seed: SeedOption = 0,
    confidence: ConfidenceOption = 0.95,
    settings: SetOption = None,
    tolerance: ToleranceOption = 0.1,
    least: Annotated[
        int, typer.Option("--least", min=1, help="Never stop below so many demonstrations: skills may come back late.")
    ] = 16,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the plot (.svg, .png, .pdf) here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Elicit with 1, 2, 4, ... demonstrations until the last doubling is shown to have brought less than --tolerance.

    Whether to stop is decided on dev questions, by an exact bound that allows for every look. The budget is for each
    point. OUT gets a folder for each point, as of `elicit run`, and curve.json.
    """
    from interlock.cli.show import progress
    from interlock.elicit import curve as curves
    from interlock.elicit import elicitors, session

    chosen = elicitors.make(elicitor, settings_of(settings))
    terms = _terms(budget, share, training_compute, seed, confidence, None)
    questions = questions_of(items, grade, max_new_tokens, dev, test, seed, demonstrations)
    subject, within = subject_of(model, adapter), fraction_of("tolerance", tolerance)
    with progress() as report:
        found = curves.climb(
            chosen, subject, questions, terms=terms, tolerance=within, least=least, out=out, progress=report
        )
    session.write(out / "curve.json", json.dumps(found.to_json(), indent=1, sort_keys=True) + "\n")
    if plot is not None:
        curves.draw(found, plot)
    if as_json:
        print_json(found.to_json())
        return
    for point in found.points:
        _say(f"{point.demonstrations} demonstrations", point.measured.to_json(terms.confidence), flop=point.flop)
    if found.settled:
        say(f"settled: the last doubling brought less than {tolerance:g} on dev")
    else:
        say("not settled: more demonstrations may bring more")


def compare(
    elicitors: Annotated[list[str], typer.Argument(metavar="ELICITOR...", help="Their names; A+B is A and then B.")],
    model: ModelOption,
    items: ItemsOption,
    out: OutOption,
    adapter: AdapterOption = None,
    grade: GradeOption = "first-word",
    max_new_tokens: TokensOption = 16,
    demonstrations: CountOption = None,
    dev: DevOption = 0.2,
    test: TestOption = 0.5,
    budget: BudgetOption = None,
    share: ShareOption = 0.01,
    training_compute: ComputeOption = None,
    seed: SeedOption = 0,
    confidence: ConfidenceOption = 0.95,
    as_json: JsonOption = False,
) -> None:
    """Run several elicitors on one model: each score, the highest bound, and the gap that supervised training makes.

    The budget is for each. With both A+B and B, the gap between them is stated: if B alone does worse, it did not
    bring out what is there. OUT gets a folder for each elicitor, as of `elicit run`, and portfolio.json.
    """
    from interlock.cli.show import progress
    from interlock.elicit import portfolio, session
    from interlock.elicit.elicitors import make

    chosen: list[Elicitor] = [make(name) for name in elicitors]
    terms = _terms(budget, share, training_compute, seed, confidence, None)
    questions = questions_of(items, grade, max_new_tokens, dev, test, seed, demonstrations)
    subject = subject_of(model, adapter)
    with progress() as report:
        found = portfolio.run(chosen, subject, questions, terms=terms, out=out, progress=report)
    told = found.to_json()
    session.write(out / "portfolio.json", json.dumps(told, indent=1, sort_keys=True) + "\n")
    if as_json:
        print_json(told)
        return
    for name, row in told["elicitors"].items():
        _say(name, row, flop=row["flop"])
        _say_idle(row.get("nothing_learned", ""))
    say(f"highest upper bound {told['upper']['value']:.4f}; all together {told['together']['value']:.4f}")
    for gap in told["gaps"]:
        say(
            f"{gap['after']} minus {gap['alone']}: {gap['difference']:+.3f} "
            f"({gap['at_least']:+.3f} to {gap['at_most']:+.3f}), p = {gap['p']:.3g} ({gap['test']})"
        )


def _say(name: str, row: Mapping[str, Any], *, flop: int | None = None) -> None:
    spurious = sum(map(len, row["spurious"].values()))
    spent = f", {flop:.3g} FLOP" if flop is not None else ""
    more = f", {spurious} spurious failures" if spurious else ""
    wider = f" (the wider over questions or {row['over_families']['n']} families)" if "over_families" in row else ""
    say(
        f"{name}: {row['correct']}/{row['n']} right{more}; one-sided {row['confidence']:.0%} bounds{wider}: at least "
        f"{row['lower']:.4f}, at most {row['upper']:.4f}{spent}"
    )


def _say_idle(why: str) -> None:
    if why:
        say(f"FLAG: {why}; these bounds are on what it was given, not on what it could bring out")


def subject_of(model: Path, adapter: Path | None) -> LocalModel:
    """The model that --model and --adapter name."""
    from interlock.evaluate import local

    return local.load(model, adapter=adapter)


def questions_of(
    path: Path, grade: str, tokens: int, dev: float, test: float, seed: int, count: int | None
) -> Questions:
    """The questions that the options name."""
    from dataclasses import replace

    from interlock.elicit import grading, items

    if grade not in grading.GRADES:
        raise UsageError(f"--grade is `{grade}`, expected {', '.join(grading.GRADES)}")
    found = items.load(
        path,
        grade=grade,
        max_new_tokens=tokens,
        dev=fraction_of("dev", dev),
        test=fraction_of("test", test),
        seed=seed,
    )
    return found if count is None else replace(found, demonstrations=found.material.first(count).demonstrations)


def aside_of(path: Path, questions: Questions) -> tuple[Item, ...]:
    """The control questions of a file, whatever part it says that they are of."""
    from interlock.elicit import elicitors, items

    return elicitors.aside([item for part in items.read(path).values() for item in part], questions)


def _terms(
    budget: float | None,
    share: float,
    compute: float | None,
    seed: int,
    confidence: float,
    tolerance: float | None,
) -> Terms:
    from interlock.elicit.session import Terms

    if (budget is None) == (compute is None):
        raise UsageError("expected --budget FLOP, or --training-compute FLOP of which --share may be spent; not both")
    cap = cap_of(budget if compute is None else share * compute)
    within = None if tolerance is None else fraction_of("tolerance", tolerance)
    return Terms(cap, seed, confidence_of(confidence), within)


def cap_of(budget: float | None) -> int | None:
    """The most FLOP that a budget allows; None: there is none.

    Raises:
        UsageError: it is not over 0, or not finite.
    """
    if budget is not None and not 0 < budget < float("inf"):
        raise UsageError(f"the budget is {budget} FLOP, expected more than 0")
    return None if budget is None else int(budget)


def confidence_of(value: float) -> Fraction:
    """The confidence of one-sided bounds: at a half or less they would bound nothing.

    Raises:
        UsageError: it is that, or 1 or more.
    """
    if not 0.5 < value < 1:
        raise UsageError(f"--confidence is {value}, expected more than 0.5 and less than 1")
    return Fraction(str(value))


def fraction_of(name: str, value: float) -> Fraction:
    """The value of an option that is a share.

    Raises:
        UsageError: it is under 0, or 1 or more.
    """
    if not 0 <= value < 1:
        raise UsageError(f"--{name} is {value}, expected 0 or more and less than 1")
    return Fraction(str(value))


def settings_of(given: list[str] | None) -> dict[str, str]:
    """What --set names.

    Raises:
        UsageError: one has no `=`.
    """
    pairs = [text.partition("=") for text in given or []]
    for name, sign, _ in pairs:
        if not sign:
            raise UsageError(f"--set is `{name}`, expected NAME=VALUE")
    return {name: value for name, _, value in pairs}
