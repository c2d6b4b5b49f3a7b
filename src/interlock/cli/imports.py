"""`import`: put other people's logs on record, as evidence that can hold a gate and never opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from interlock.cli._text import say
from interlock.cli.options import (
    HERE,
    JsonOption,
    PassphraseOption,
    SubjectOption,
    WorkspaceOption,
    fresh,
    print_json,
)
from interlock.evaluate.importing.record import Wanted, look, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from interlock.evaluate.importing.record import Item

_Step = TypeVar("_Step")


def import_logs(
    log: Annotated[
        list[str],
        typer.Argument(help="Inspect .eval or .json logs, or results_*.json of lm-evaluation-harness; paths or URLs."),
    ],
    subject: SubjectOption,
    measure: Annotated[str | None, typer.Option(help="The measure, where several are of the log's task.")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="The scorer or filter to count, where several give the metric.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="The role that signs.", show_default="who runs the measure")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be recorded, and record nothing.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check logs against themselves and record what they say of a subject.

    \b
    interlock import run.eval --subject NAME --dry-run
    interlock import results_2026-11-28T12-40-37.json --subject NAME   (its samples_*.jsonl lie beside it)
    interlock import 's3://bucket/logs/run.eval' --subject NAME

    Every number is counted from the samples; a header that says otherwise is refused. A log cannot show which
    weights answered, or that nothing better was left out, so it never counts towards a permit. It does count against
    one: a few samples leave a high upper bound, and only a set-aside takes a recorded result out. One bad log, and
    none of those given is recorded.
    """

    opened, evidence = fresh(workspace, passphrase_file)
    wanted = Wanted(evidence.subject(subject), measure, scorer, role)
    looks = list(_watched("reading logs", (look(evidence, place, wanted) for place in log), total=len(log)))
    items = [item for found in looks for item in found.items]
    made = ((item, None) if dry_run else record(opened, item, wanted) for item in items)
    rows = [_row(*it) for it in _watched("recording", made, total=len(items))]
    others = [task for found in looks for task in found.others]
    if as_json:
        print_json({"subject": wanted.subject.name, "imported": rows, "not_measured": others})
        return
    for row in rows:
        say(*_told(row))
    for task in others:
        say(f"left out: no measure of the policy is of `{task}`")
    say(f"next: interlock decide --subject {wanted.subject.name}")


def _watched(stage: str, steps: Iterable[_Step], *, total: int) -> Iterator[_Step]:
    """The steps, one after the other, under a progress bar if there are several."""
    from interlock.cli.show import progress

    with progress() as report:
        for done, step in enumerate(steps, start=1):
            if total > 1:
                report(stage, done, total)
            yield step


def _row(item: Item, digest: str | None) -> dict[str, Any]:
    return {
        "log": item.place,
        "measure": item.measure.name,
        "state": f"in the ledger already, entry {item.entry}"
        if item.entry is not None
        else f"recorded as {digest[:12]}"
        if digest
        else "would be recorded",
        "digest": digest,
        "doubts": list(item.doubts),
        "predicate": item.predicate.to_json(),
    }


def _told(row: Mapping[str, Any]) -> Iterator[str]:
    """What was counted, and what the log leaves open."""
    said = row["predicate"]
    counts, task = said["counts"], said["task"]
    got = f"{counts['correct']} correct" if said["total"] == "none" else f"scores of {said['total']} in all"
    yield f"{row['log']}: {task['name']}@{task['version']}, {task['metric']} ({task['scorer']}): {row['state']}"
    yield (
        f"  {got} of {counts['planned']} planned: {counts['completed']} completed, {counts['scored']} scored, "
        f"at most {counts['refused_at_most']} refused, {counts['errored']} errored, {counts['limited']} cut by a limit"
    )
    if said["imported"]["edit_of"] != "none":
        yield f"  it is an edit of the result {said['imported']['edit_of'][:12]}, which goes on counting"
    yield from (f"  {doubt}" for doubt in row["doubts"])
    yield "  it counts in the bounds, and never towards a permit: no plan stands before it"
