"""What people see in a terminal: progress bars, and decisions as tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from interlock.decide.decision import Cell, Decision, lifts, timestamp
from interlock.policy import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interlock.evaluate.execute import Progress as Report

console = Console(highlight=False)


@contextmanager
def progress() -> Iterator[Report]:
    """A progress bar a stage, with the time left; drawn on standard error, so that output can be piped."""
    columns = (
        TextColumn("  {task.description:<34}"),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in tasks:
            bar.start()
            tasks[stage] = bar.add_task(stage, total=total, note="")
        bar.update(tasks[stage], completed=done, total=total, note=note)

    try:
        yield report
    finally:
        if tasks:  # a bar that never started would leave an empty line before an error
            bar.stop()


def decisions(found: Sequence[Decision], *, subject: str) -> None:
    """Verdicts side by side, then each finding once; for a single action also what would lift the hold."""
    table = Table("action", "verdict", "why", title=f"decisions on `{subject}`", title_justify="left", box=box.SIMPLE)
    for decision in found:
        table.add_row(decision.action, verdict(decision), summary(decision))
    console.print(table)
    for cell in {cell.finding.threshold: cell for decision in found for cell in decision.cells}.values():
        _print_finding(cell)
    if len(found) > 1:
        console.print("What would lift a hold: name one action with --action.")
    elif found[0].verdict == "hold":
        _print_lifts(found[0])


def verdict(decision: Decision) -> str:
    """The verdict as Rich markup."""
    return "[bold green]permit[/]" if decision.verdict == "permit" else "[bold red]hold[/]"


def summary(decision: Decision) -> str:
    """Why, on a line for each threshold that holds; or how far a permit would reach."""
    if decision.bounds is not None:
        most = f"{decision.bounds.most_effective_compute:.3g}"
        return f"up to {most} FLOP of effective compute, until {timestamp(decision.bounds.not_after)}"
    lines = [reason.text for reason in decision.reasons]
    for cell in decision.holding:
        unmet = ", ".join(f"{r.name} (a hole)" if r.kind == "hole" else r.name for r in cell.requirements if not r.met)
        lines.append(f"{cell.finding.threshold} {cell.finding.state}, and not met: {unmet or 'nothing'}")
    return escape("\n".join(lines))


def _print_finding(cell: Cell) -> None:
    finding = cell.finding
    numbers = f"lower {exact(finding.lower)}, upper {exact(finding.upper)} + margin {exact(finding.margin)}"
    shown = numbers if finding.counted else "no results"
    head = f"{finding.threshold}: {finding.measure} >= {exact(finding.level)} is {finding.state} ({shown})"
    console.print(f"[bold]{escape(head)}[/]", soft_wrap=True)
    for reason in finding.reasons:
        console.print(f"  - {escape(reason.text)}", soft_wrap=True)
    for requirement in cell.requirements:
        if finding.state != "below":
            console.print(f"  - {escape(requirement.reason.text)}", soft_wrap=True)


def _print_lifts(decision: Decision) -> None:
    console.print(f"[bold]What would lift the hold on {escape(decision.action)}[/]")
    for reason in decision.reasons:
        console.print(f"  {escape(reason.text)}: {escape(reason.resume or 'nothing')}", soft_wrap=True)
    for cell in decision.holding:
        ways = lifts(cell)
        if not ways:
            console.print(f"  {cell.finding.threshold}: nothing under this policy; a stop until it is amended")
        for number, way in enumerate(ways, start=1):
            choice = f", way {number} of {len(ways)}" if len(ways) > 1 else ""
            console.print(f"  {cell.finding.threshold}{choice}:")
            for step in way:
                console.print(f"    - {escape(step)}", soft_wrap=True)
