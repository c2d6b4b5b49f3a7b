"""`audit`: ask some samples of a recorded result again, and compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interlock.cli.options import HERE, JsonOption, WorkspaceOption, print_json
from interlock.errors import FAILED, OK, UsageError
from interlock.workspace import Workspace, write_whole

if TYPE_CHECKING:
    from interlock.evaluate.rerun import Report


def audit(
    result: Annotated[
        str | None, typer.Argument(help="Entry number or digest of a result.", show_default="the latest one")
    ] = None,
    rerun: Annotated[int, typer.Option("--rerun", min=1, help="How many of its samples to ask again.")] = 50,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The report.", show_default="audits/RESULT-SIZE-N.json")
    ] = None,
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Ask samples of a recorded result again, and compare answers and scores with the log that it binds.

    The ledger's root draws the samples, so nobody can choose them once it stands. Who is audited should not have signed
    the last entry: they could have tried several; the report says so. Exit code 0 if all agree, 5 if one does not, 4 if
    the log or the subject's files are not the recorded ones.

    \b
        interlock audit --rerun 50
        interlock audit 12 --rerun 120 --json
    """
    from interlock.cli.show import progress
    from interlock.evaluate import rerun as again

    opened = Workspace.open(workspace)
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
    # SEAM: signed as a statement of the kind `audit` once the ledger knows it; until then the report is a file
    try:
        write_whole(file, json.dumps(report.to_json(), indent=2, sort_keys=True).encode() + b"\n")
    except OSError as error:
        raise UsageError(f"`{file}`: cannot write it ({error.strerror})") from error
    if as_json:
        print_json(report.to_json())
    else:
        _show(report, file)
    return FAILED if report.differences else OK


def _show(report: Report, file: Path) -> None:
    told = report.to_json()["disagreeing"]
    of_all = told["of_all"]
    typer.echo(
        f"result {report.result[:12]} (entry {report.entry}): {len(report.drawn)} of {report.total} samples asked "
        f"again, drawn by root {report.checkpoint.root[:16]} of {report.checkpoint.size} entries\n"
        f"  agreed     {report.agreed}\n"
        f"  disagreed  {len(report.differences)}: of all {report.total}, {of_all['least']} to {of_all['most']} at "
        f"confidence {told['confidence']} ({told['method']})"
    )
    for one in report.differences:
        typer.echo(
            f"  - {one.sample}: recorded {one.recorded.text!r} ({_scored(one.recorded.correct)}), "
            f"seen {one.seen.text!r} ({_scored(one.seen.correct)})"
        )
    for name, (before, now) in report.environment.items():
        typer.echo(f"  {name} was {before or 'not there'}, is {now or 'not there'}")
    if report.chosen_by:
        roles = ", ".join(f"`{role}`" for role in sorted(report.chosen_by))
        typer.echo(f"  note: {roles} signed the result and the ledger's last entry, and could have tried several roots")
    typer.echo(f"report {file}; it is not signed")


def _scored(correct: bool | None) -> str:  # noqa: FBT001  what a log says
    return "no score" if correct is None else "right" if correct else "wrong"
