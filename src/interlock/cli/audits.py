"""`audit`: ask some samples of a recorded result again, or train some segments of a run again, and compare."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, passphrases, print_json
from interlock.cli.testimony import ByOption, KeyOption, pairs
from interlock.decide.decision import timestamp
from interlock.errors import FAILED, OK, UsageError
from interlock.evidence.predicates import statement
from interlock.workspace import Workspace, now, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.evaluate.rerun import Report
    from interlock.evidence.statement import Statement


def audit(
    result: Annotated[
        str | None, typer.Argument(help="Entry number or digest of a result.", show_default="the latest one")
    ] = None,
    rerun: Annotated[int, typer.Option("--rerun", min=1, help="How many of its samples to ask again.")] = 50,
    replay: Annotated[
        int | None, typer.Option(min=1, help="How many segments of a training run to train again, in place of that.")
    ] = None,
    transcript: Annotated[Path | None, typer.Option(help="The run's transcript.")] = None,
    snapshots: Annotated[Path | None, typer.Option(help="The folder that holds its snapshots.")] = None,
    by_function: Annotated[
        str | None, typer.Option("--with", metavar="FILE.py:FUNCTION", help="What trains a segment again.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The report.", show_default="audits/RESULT-SIZE-N.json")
    ] = None,
    by: ByOption = None,
    key: KeyOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask samples of a recorded result again, and compare answers and scores with the log that it binds.

    The ledger's root draws the samples, so nobody can choose them once it stands. Who is audited should not have signed
    the last entry: they could have tried several; the report says so. Of a run that stopped early it is checked, too,
    that the samples in its log are the first ones of the order that its plan committed to. With --by or --key what was
    seen is signed into the ledger: one sample that disagrees, or was asked out of turn, ends what the result shows in
    favour. Exit code 0 if all agree, 5 if one does not, 4 if the log or the subject's files are not the recorded ones.

    With --replay, segments of a training run between snapshots are trained again by FUNCTION(start, segment, into),
    which gives the loss of each step, and compared bit for bit; tokens and FLOP are counted again. On another machine,
    with other threads or versions, the answer is "not comparable"; "agrees in part" where something could not be
    checked. Exit code 0 if it agrees, 5 if not.

    \b
        interlock audit --rerun 50
        interlock audit 12 --rerun 120 --by external-auditor
        interlock audit --replay 3 --transcript run.jsonl --snapshots runs --with train.py:again
    """
    if replay is not None:
        opened = Workspace.open(workspace, passphrases(passphrase_file))
        return _replay(opened, replay, transcript, snapshots, by_function, as_json=as_json)
    from interlock.cli.show import progress
    from interlock.evaluate import rerun as again

    opened = Workspace.open(workspace, passphrases(passphrase_file))
    evidence = opened.read()
    found = again.find(evidence, result)
    name = f"{found.digest[:16]}-{evidence.facts.checkpoint.size}-{rerun}"
    file = output or opened.folder / "audits" / f"{name}.json"
    with progress() as report_progress:
        report = again.rerun(
            opened,
            evidence,
            found,
            count=rerun,
            keep=opened.folder / "audits" / f"{name}.eval",
            progress=report_progress,
        )
    written = json.dumps(report.to_json(), indent=2, sort_keys=True).encode() + b"\n"
    try:
        write_whole(file, written)
    except OSError as error:
        raise UsageError(f"`{file}`: cannot write it ({error.strerror})") from error
    signing = pairs(opened, evidence, [], by=by, key=key) if by or key else []
    digest = opened.append(_statement(report, hashlib.sha256(written).hexdigest()), signing) if signing else None
    if as_json:
        print_json({**report.to_json(), "signed_as": digest})
    else:
        _show(report, file)
        say(f"signed as audit {digest[:12]}" if digest else "it is not signed; --by ROLE signs it into the ledger")
    return OK if report.passed else FAILED


def _replay(
    opened: Workspace, count: int, transcript: Path | None, snapshots: Path | None, again: str | None, *, as_json: bool
) -> int:
    from interlock.gate import replay

    if transcript is None or snapshots is None or again is None:
        raise UsageError("--replay needs --transcript, --snapshots and --with")
    try:
        data = transcript.read_bytes()
        folders = [found for found in snapshots.iterdir() if (found / "config.json").is_file()]
    except OSError as error:
        raise UsageError(f"`{error.filename}` cannot be read: {error.strerror}") from error
    folders += [place.folder for place in opened.places().values() if place.adapter is None]
    report = replay.replay(opened.read(), data, count=count, folders=folders, again=_function(again))
    chance = report.detects(1)
    told = {
        "verdict": report.verdict,
        "segments": report.total,
        "drawn": list(report.drawn),
        "root": report.root,
        "differs": dict(report.differs),
        "wrong": list(report.wrong),
        "unchecked": list(report.unchecked),
        "environment": {name: list(pair) for name, pair in report.environment.items()},
        "detects_one_altered": f"{chance.numerator}/{chance.denominator}",
    }
    if as_json:
        print_json(told)
    else:
        say(
            f"{report.verdict}: {len(report.drawn)} of {report.total} segments trained again, drawn by root "
            f"{report.root[:16]}; one altered segment is among them with a chance of {float(chance):.0%}"
        )
        for wrong in report.wrong:
            say(f"  - {wrong}")
        for name, how in report.differs.items():
            say(f"  - {name}: {how} differs")
        for unchecked in report.unchecked:
            say(f"  - not checked: {unchecked}")
        for name, (recorded, here) in report.environment.items():
            say(f"  - {name}: recorded {recorded!r}, here {here!r}")
    return OK if report.verdict == "agrees" else FAILED


def _function(named: str) -> Callable[..., Any]:
    """A function in a file, by `FILE.py:FUNCTION`."""
    file, _, name = named.rpartition(":")
    spec = importlib.util.spec_from_file_location("again", file) if file.endswith(".py") else None
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise UsageError(f"got `{named}`, expected FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(found):
        raise UsageError(f"`{file}` has no function `{name}`")
    return found


def _statement(report: Report, sha256: str) -> Statement:
    predicate = {
        "seed": {"size": report.checkpoint.size, "root": report.checkpoint.root},
        "drawn": len(report.checked),
        "agreed": len(report.checked - report.disagreeing),
        "disagreed": len(report.disagreeing),
        "statement": f"asked again by interlock audit; SHA-256 of the report: {sha256}",
        "at": timestamp(now()),
    }
    return statement("audit", name=f"entry {report.entry}", digest=report.result, predicate=predicate)


def _show(report: Report, file: Path) -> None:
    told = report.to_json()["disagreeing"]
    of_all = told["of_all"]
    say(
        f"result {report.result[:12]} (entry {report.entry}): {len(report.drawn)} of {report.total} samples asked "
        f"again, drawn by root {report.checkpoint.root[:16]} of {report.checkpoint.size} entries",
        f"  agreed     {report.agreed}",
        f"  disagreed  {len(report.differences)}: of all {report.total}, {of_all['least']} to {of_all['most']} at "
        f"confidence {told['confidence']} ({told['method']})",
    )
    for one in report.differences:
        say(
            f"  - {one.sample}: recorded {one.recorded.text!r} ({_scored(one.recorded.correct)}), "
            f"seen {one.seen.text!r} ({_scored(one.seen.correct)})"
        )
    if report.order is not None:
        missed = sorted(report.order.out_of_turn)
        found = f"{len(missed)} of its log are not, such as `{missed[0]}`" if missed else "they are those of its log"
        order = f"the first {report.order.stopped_at} samples of the order by seed {report.order.seed}"
        say(f"  {order} were to be asked; {found}")
    for name, (before, after) in report.environment.items():
        say(f"  {name} was {before or 'not there'}, is {after or 'not there'}")
    if report.chosen_by:
        roles = ", ".join(f"`{role}`" for role in sorted(report.chosen_by))
        say(f"  note: {roles} signed the result and the ledger's last entry, and could have tried several roots")
    say(f"report {file}")


def _scored(correct: bool | None) -> str:  # noqa: FBT001  what a log says
    return "no score" if correct is None else "right" if correct else "wrong"
