"""What people see in a terminal: progress bars, and decisions."""

from __future__ import annotations

import shutil
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

from interlock.cli._text import joined, say, styled
from interlock.decide.decision import Cell, Decision, timestamp
from interlock.decide.resume import resume, ways
from interlock.gate.permit import general
from interlock.printable import printable
from interlock.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from interlock.evaluate.execute import Progress as Report


@contextmanager
def progress() -> Iterator[Report]:
    """A progress bar a stage, with the time left; drawn on standard error, so that output can be piped."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from interlock.cli._console import console

    columns = (
        TextColumn("  {task.description:<34}", markup=False),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    bar = Progress(*columns, console=console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in tasks:
            bar.start()
            tasks[stage] = bar.add_task(printable(stage), total=total, note="")
        bar.update(tasks[stage], completed=done, total=total, note=printable(note))

    try:
        yield report
    finally:
        if tasks:  # a bar that never started would leave an empty line before an error
            bar.stop()


def decisions(found: Sequence[Decision], *, subject: str) -> None:
    """Verdicts side by side, then each finding once; for a single action also what would lift the hold."""
    say(*_lines(found, subject))  # at once: a policy of many rules has many lines


def _lines(found: Sequence[Decision], subject: str) -> Iterator[str]:
    yield styled(f"decisions on {subject}", italic=True)
    yield ""
    yield from _table(found)
    yield ""
    for cell in {cell.finding.threshold: cell for decision in found for cell in decision.cells}.values():
        yield from _finding(cell)
    yield from _started(found)
    yield from _lapses(found[0])
    if len(found) > 1:
        yield "What would lift a hold: name one action with --action."
    elif found[0].verdict == "hold":
        yield from _lifts(found[0])


def _table(found: Sequence[Decision]) -> Iterator[str]:
    """Action, verdict and why; only the last is wrapped."""
    wide = max(len("action"), *(len(decision.action) for decision in found))
    indent = " " * (wide + 14)
    room = max(shutil.get_terminal_size().columns - len(indent), 30)
    wrapped = textwrap.TextWrapper(room, break_long_words=False, break_on_hyphens=False)
    yield f"  {'action':<{wide}}   verdict  why"
    for decision in found:
        colour = "green" if decision.verdict == "permit" else "red"
        verdict = styled(f"{decision.verdict:<6}", fg=colour, bold=True)
        why = [part for line in summary(decision) for part in wrapped.wrap(line)]
        yield joined(f"  {decision.action:<{wide}}   ", verdict, f"   {why[0] if why else ''}")
        yield from (f"{indent}{part}" for part in why[1:])


def summary(decision: Decision) -> list[str]:
    """Why, on a line for each threshold that holds; or how far a permit would reach."""
    if decision.bounds is not None:
        most = f"{decision.bounds.most_effective_compute:.3g}"
        return [f"up to {most} FLOP of effective compute, until {timestamp(decision.bounds.not_after)}"]
    lines = [reason.text for reason in general(decision)]
    for cell in decision.holding:
        unmet = ", ".join(f"{r.name} (a hole)" if r.kind == "hole" else r.name for r in cell.requirements if not r.met)
        lines.append(f"{cell.finding.threshold} {cell.finding.state}, and not met: {unmet or 'nothing'}")
    return lines


def _finding(cell: Cell) -> Iterator[str]:
    (_, head), *rest = words.told(cell.finding)
    yield _bold(head)
    yield from _bullets(rest)
    if cell.finding.state != "below":
        for requirement in cell.requirements:
            yield from _bullets((depth + 1, text) for depth, text in words.required(requirement))


def _bullets(lines: Iterable[tuple[int, str]]) -> Iterator[str]:
    return (f"{'  ' * depth}- {text}" for depth, text in lines)


def _bold(text: str) -> str:
    return styled(text, bold=True)


def _started(found: Sequence[Decision]) -> Iterator[str]:
    """Duties whose clocks run, each once."""
    duties = {started: decision for decision in found for started in words.started(decision)}
    if duties:
        yield _bold("Starts:")
        yield from _bullets((1, words.starts(started, decision)) for started, decision in duties.items())


def _lapses(decision: Decision) -> Iterator[str]:
    """Recorded non-compliance: the same in every decision of one ledger."""
    lines = words.lapses(decision)
    if lines:
        yield _bold("Non-compliance on record:")
        yield from _bullets((1, line) for line in lines)


def _lifts(decision: Decision) -> Iterator[str]:
    found = resume(decision)
    for number, way in enumerate(found, start=1):
        choice = f", way {number} of {len(found)}" if len(found) > 1 else ""
        yield _bold(f"To lift the hold on {decision.action}{choice}:")
        yield from _bullets((1, step) for step in way)
    if not found:
        yield _bold(f"Nothing lifts the hold on {decision.action} as it stands:")
        yield from _bullets((1, reason.text) for reason in general(decision) if reason.resume is None)
        for cell in decision.holding:
            if not ways(cell):
                yield from _bullets(
                    [(1, f"{cell.finding.threshold}: nothing under this policy; a stop until it is amended")]
                )
