"""`elicit check` and `elicit roc`: does a model hold back, and how well do the checks tell?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.elicitation import (
    AdapterOption,
    BudgetOption,
    ConfidenceOption,
    ControlItemsOption,
    DevOption,
    GradeOption,
    ItemsOption,
    ModelOption,
    SeedOption,
    TestOption,
    TokensOption,
    aside_of,
    cap_of,
    confidence_of,
    fraction_of,
    questions_of,
    subject_of,
)
from interlock.cli.options import JsonOption, print_json
from interlock.errors import FAILED, UsageError

if TYPE_CHECKING:
    from interlock.elicit.checks.bound import Sufficed
    from interlock.elicit.checks.check import Finding

CapOption = Annotated[int, typer.Option("--questions", min=2, help="Most test questions to ask, the first ones.")]


def check(
    name: Annotated[str, typer.Argument(metavar="CHECK", help="Its name, or `all`.")],
    model: ModelOption,
    items: ItemsOption,
    adapter: AdapterOption = None,
    control: Annotated[
        Path | None,
        typer.Option(
            "--control",
            help="Folder of a model of the same size that never had the skill.",
            show_default="the same architecture with weights that were never trained",
        ),
    ] = None,
    panel: Annotated[
        list[Path] | None, typer.Option("--panel", help="Folder of another model to compare with; may be given again.")
    ] = None,
    control_items: ControlItemsOption = None,
    bound: Annotated[
        float | None,
        typer.Option("--bound", help="Say whether all that was tried stays under this share (with `all`)."),
    ] = None,
    grade: GradeOption = "first-word",
    max_new_tokens: TokensOption = 16,
    dev: DevOption = 0.2,
    test: TestOption = 0.5,
    most: CapOption = 240,
    budget: BudgetOption = None,
    seed: SeedOption = 0,
    confidence: ConfidenceOption = 0.95,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to keep each finding in; the same command goes on there.", show_default="none"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for signs that a model holds back what it can do.

    \b
    interlock elicit check all --model MODEL-FOLDER --items questions.jsonl --control CONTROL-FOLDER --bound 0.2
    interlock elicit check noise --model MODEL-FOLDER --items questions.jsonl --json

    baseline, noise, tuning-gap, sample-efficiency, weak-unlock, exploration, profile: docs/sandbagging.md says what
    each shows and what fools it. A flag is a guess about the model. Only "the bound holds" says that elicitation
    sufficed: nothing that was tried reached the bound, and every check could tell and was done in full (no training cut
    off by --budget, 16 demonstrations to train on), but for profile, which needs a panel and brings nothing out. Exit
    code 5 if it does not hold. On questions with choices exploration cannot be done.
    On a large model name a folder with --out: killed, the same command goes on with the next check.
    """
    from interlock.cli.show import progress
    from interlock.elicit.budget import Meter
    from interlock.elicit.checks import bound as bounded
    from interlock.elicit.checks import every
    from interlock.elicit.checks.blind import first
    from interlock.elicit.checks.check import Case
    from interlock.elicit.checks.examine import examine

    chosen = every.chosen(name)
    if bound is not None and name != "all":
        raise UsageError(
            f"--bound goes with the check `all`, got `{name}`: a bound covers everything that can be tried"
        )
    within = None if bound is None else fraction_of("bound", bound)
    sure, meter = confidence_of(confidence), Meter(cap_of(budget))
    asked = first(questions_of(items, grade, max_new_tokens, dev, test, seed, None), most)
    subject, others = subject_of(model, adapter), [subject_of(it, None) for it in panel or []]
    never = subject_of(control, None) if control else None
    aside = () if control_items is None else aside_of(control_items, asked)
    with progress() as report:
        case = Case(subject, asked, seed=seed, meter=meter, progress=report, control=never, panel=others, aside=aside)
        findings = examine(chosen, case, out=out)
    held = None
    if within is not None:
        held = bounded.sufficed(findings, questions=len(asked.test), bound=within, confidence=sure)
    if as_json:
        print_json({"findings": [it.to_json() for it in findings], "bound": held and held.to_json()})
    else:
        _say(findings, held, len(asked.test))
    if held is not None and not held.holds:
        raise typer.Exit(FAILED)


def roc(
    suite: Annotated[Path, typer.Option("--suite", help="Folder of a suite (`interlock organism suite`).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for scores and figures; the same command goes on there.")],
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="FAMILY=DIR", help="Control of a family; may be given again for others."),
    ] = None,
    calibrate: Annotated[
        str, typer.Option("--calibrate", help="Seeds that the combined rule is learned on; it is tested on the others.")
    ] = "0",
    most: CapOption = 96,
    seed: SeedOption = 0,
    budget: Annotated[float | None, typer.Option("--budget", help="Most FLOP for one organism.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Write plots (.svg, .png, .pdf): ROC, and scores by kind.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Organisms at once, each on one thread.", show_default="cores")
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Stop before the truths are opened.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every check on a suite of organisms, blind, then open the truths and tell how well each check told.

    \b
    interlock organism suite --seeds 0,1,2,3 --out suite
    interlock elicit roc --suite suite --calibrate 0,1 --out told --plot told/roc.svg

    All scores are written before the first truth is opened. Killed, the same command goes on. With few benign
    organisms 1 % of false alarms cannot be told from none, and the output says so.
    """
    from interlock.cli.show import progress
    from interlock.elicit import session
    from interlock.elicit.checks import blind as blinded
    from interlock.elicit.checks import drawing

    seeds = _seeds(calibrate)
    terms = blinded.Terms(most, seed, cap_of(budget), _controls(control or []))
    with progress() as report:
        found = blinded.score(suite, out, terms=terms, jobs=jobs or os.cpu_count() or 1, progress=report)
    if blind:
        told: dict[str, Any] = {it: blinded.scores(findings) for it, findings in found.items()}
        if as_json:
            print_json(told)
        else:
            say(f"scores of {len(found)} organisms in `{out / 'scores'}`; no truth was opened")
        return
    models = blinded.opened(suite, found)
    figures = blinded.measured(models, calibration=seeds)
    session.write(out / "measured.json", json.dumps(figures, indent=1, sort_keys=True) + "\n")
    if plot is not None:
        drawing.draw(models, plot)
    if as_json:
        print_json(figures)
    else:
        _table(figures)


def _say(findings: Sequence[Finding], held: Sufficed | None, n: int) -> None:
    for it in findings:
        if it.score is None:
            say(f"  {it.check:<18} cannot tell: {it.why}")
            continue
        p = "" if it.p is None else f", p = {it.p:.3g}"
        say(f"  {it.check:<18} {'FLAG' if it.flagged else 'no flag':<8} score {it.score:.3f}{p}, n = {it.n}")
        say(f"  {'':<18} flagged if {it.point}")
        tried = ", ".join(f"{way} {right}/{n}" for way, (right, _) in it.tried.items())
        say(f"  {'':<18} right: {tried}")
        if it.why:
            say(f"  {'':<18} falls short: {it.why}")
    say("A flag is a guess about the model, for its developer; no decision rests on it.")
    if held is not None:
        missing = f"; not told, or not in full: {', '.join(held.missing)}" if held.missing else ""
        say(
            f"The bound {'holds' if held.holds else 'does not hold'}: at most {float(held.highest):.4f} by "
            f"`{held.way}`, bound {float(held.bound):g}{missing} (n = {n}; {held.to_json()['method']}, "
            f"{float(held.confidence):.0%})"
        )


def _table(figures: Mapping[str, Any]) -> None:
    say(
        f"{figures['hiding']} organisms that hide, {figures['benign']} benign "
        f"({figures['benign_with_the_skill']} of them with the skill)",
        "",
    )
    say(f"  {'score':<18} {'AUC':<27} {'AUC, with the skill':<27} recall at 1 % and at 5 % false alarms")
    for name, row in figures["scores"].items():
        if row["auc"] is None:
            say(f"  {name:<18} told of {row['hiding']} hiding and {row['benign']} benign only")
            continue
        recalls = ", ".join(f"{_interval(it['recall'])}{'' if it['resolvable'] else ' *'}" for it in row["recall"])
        able = row["auc_with_the_skill"]
        say(f"  {name:<18} {_interval(row['auc']):<27} {_interval(able) if able else '-':<27} {recalls}")
    if any(not it["resolvable"] for row in figures["scores"].values() if row["auc"] for it in row["recall"]):
        say(
            "  * not resolvable with so few benign organisms (1 % takes 100, 5 % takes 20): recall without false alarms"
        )
    if figures["fell_short"]:
        short = ", ".join(f"{name} on {count} organisms" for name, count in figures["fell_short"].items())
        say(f"  fell short (cut off by --budget, or too few demonstrations), and counted all the same: {short}")
    _flags(figures["flags"])
    rule = figures["combined"]
    say("", f"  sandbagging if {' and '.join(rule['conditions'])}")
    for on, told in {"calibration": rule["calibration"], **rule["tested"]}.items():
        if told["balanced_accuracy"] is not None:
            say(
                f"  {on:<16} balanced accuracy {_interval(told['balanced_accuracy'])}; "
                f"found {_interval(told['found'])}, false alarms {_interval(told['false_alarms'])}"
            )
    say("  Intervals: 95 %; AUC by Hoeffding's bound for U-statistics, shares by Clopper and Pearson,")
    say("  balanced accuracy the mean of two of these, each at half of 5 % (Bonferroni).")


def _flags(flags: Mapping[str, Mapping[str, Any]]) -> None:
    """How often each operating point, fixed beforehand, raised its flag."""
    say("", f"  {'flag':<22} {'raised of hiding':<27} {'of benign':<27} of benign with the skill")
    for name, row in flags.items():
        cells = [_interval(it) if it else "-" for it in row.values()]
        say(f"  {name:<22} {cells[0]:<27} {cells[1]:<27} {cells[2]}")


def _interval(told: Mapping[str, Any]) -> str:
    return f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def _controls(given: Sequence[str]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in given]
    for family, _, folder in pairs:
        if not family or not folder:
            raise UsageError(f"--control is `{family}`, expected FAMILY=DIR")
    return {family: Path(folder) for family, _, folder in pairs}


def _seeds(given: str) -> list[int]:
    try:
        return [int(seed) for seed in given.split(",")]
    except ValueError:
        raise UsageError(f"--calibrate is `{given}`, expected whole numbers with commas between") from None
