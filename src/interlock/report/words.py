"""What a decision and its findings say, in words that the terminal and the page share.

Guarantees: every number is one that `decide` used. A threshold of one measure is told in one line; any other part by
part. What it leaves to the caller: layout, and escaping. Names in it are data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.policy import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interlock.decide.decision import Cell, Decision, Finding, Node, Reading, Reason, Requirement, Started


def leaf(finding: Finding) -> Node | None:
    """The one measure that the threshold is about; None where there is more to it."""
    parts = finding.tree.parts
    return parts[0] if len(parts) == 1 and parts[0].reading is not None else None


def bounds(reading: Reading) -> str:
    """Both bounds, and the margin on the side that must stay clear of the level."""
    if not reading.counted:
        return "no results"
    lower, upper, margin = exact(reading.lower), exact(reading.upper), exact(reading.margin)
    if reading.scale.turned:
        return f"lower {lower} - margin {margin}, upper {upper}"
    return f"lower {lower}, upper {upper} + margin {margin}"


def notes(reading: Reading | None) -> tuple[str, ...]:
    """What was taken back, and what was taken out."""
    if reading is None:
        return ()
    withdrawn = [it.entry for it in reading.counted if it.withdrawn]
    return (
        *(f"entry {entry} is withdrawn: it counts against a permit only" for entry in withdrawn),
        *(f"entry {entry} is set aside and does not count: {reason}" for entry, reason in reading.set_aside),
    )


def against(node: Node, reasons: Sequence[Reason]) -> str:
    """The bound of one measure against its level. `reasons` are all that stand against the threshold."""
    reading = node.reading
    assert reading is not None  # noqa: S101  the caller's: see `leaf`
    level, turned = exact(reading.level), reading.scale.turned
    end, sign, word = ("lower", "-", "over") if turned else ("upper", "+", "under")
    if node.state == "reached":
        other, shown = ("upper", reading.upper) if turned else ("lower", reading.lower)
        return f"{reasons[0].text}; the {other} bound of its own results is {exact(shown)}"
    if not reading.counted:
        anywhere = f"from {exact(reading.scale.low)} to {exact(reading.scale.high)}"
        return f"no result yet, so nothing is ruled out: the rate may lie anywhere {anywhere}; threshold {level}"
    bound = reading.lower if turned else reading.upper
    total = f"{end} bound {exact(bound)} {sign} margin {exact(reading.margin)}"
    total += f" = {exact(bound - reading.margin if turned else bound + reading.margin)}"
    if any(reason.code == "bound" for reason in reasons) and not _clear(reading):  # else an earlier version's line
        return f"{total} is not {word} {level}"
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{total} is {word} {level}" + (f", but {reasons[0].text}{more}" if reasons else "")


def _clear(reading: Reading) -> bool:
    if reading.scale.turned:
        return reading.lower - reading.margin >= reading.level
    return reading.upper + reading.margin <= reading.level


def part(node: Node) -> str:
    """One part of an explanation in a line: what it is, how it stands, and its bounds."""
    text = f"{node.text}: {standing(node)}" if standing(node) else node.text
    return f"{text} ({bounds(node.reading)})" if node.reading is not None else text


def standing(node: Node) -> str:
    """How a part stands, in a word or two; nothing for the measures of a mean, which do not stand alone."""
    if node.state is not None:
        return node.state
    if node.kind == "measure":
        return "" if node.holds and node.reading is not None else "shown" if node.holds else "not shown"
    return "met" if node.holds else "not met"


def outline(node: Node, depth: int = 0) -> Iterator[tuple[int, str]]:
    """The parts of an explanation with their reasons, each with how deep it stands."""
    yield depth, part(node)
    for text in (*(reason.text for reason in node.reasons), *notes(node.reading)):
        yield depth + 1, text
    for inner in node.parts:
        yield from outline(inner, depth + 1)


def told(finding: Finding) -> Iterator[tuple[int, str]]:
    """A finding with everything that stands against it, each line with how deep it stands."""
    one = leaf(finding)
    if one is not None and one.reading is not None:
        yield 0, f"{finding.threshold}: {one.text} is {finding.state} ({bounds(one.reading)})"
        for text in (*(reason.text for reason in finding.reasons), *notes(one.reading)):
            yield 1, text
        return
    yield 0, f"{finding.threshold} is {finding.state}"
    for reason in (*finding.tree.reasons, *([finding.overdue] if finding.overdue else [])):
        yield 1, reason.text
    for inner in finding.tree.parts:
        yield from outline(inner, 1)


def required(requirement: Requirement) -> Iterator[tuple[int, str]]:
    """A requirement and why it is met or not; part by part where it has any."""
    tree = requirement.tree
    if tree.parts:
        yield from outline(tree)
    else:
        for reason in tree.reasons:
            yield 0, reason.text
        for text in notes(tree.reading):
            yield 0, text


def holding(cell: Cell) -> str:
    """A holding cell in a few words: the finding, and what is not met beside it."""
    unmet = [r for r in cell.requirements if not r.met]
    named = [f"`{r.name}`" + (" (a hole)" if r.kind == "hole" else "") for r in unmet if r.kind != "never"]
    state = "overdue" if cell.finding.overdue else cell.finding.state
    parts = [f"`{cell.finding.threshold}` {state}"]
    parts += [f"{listed(named)} not met"] if named else []
    parts += ["the policy says never" for r in unmet if r.kind == "never"]
    return ", ".join(parts)


def starts(started: Started, decision: Decision) -> str:
    """A duty that starts, by when it is to be done next, what started it, and the other times at which it is due.

    Whether an earlier time was kept is not known here; so one that is the last of all is told as past, not as missed.
    """
    dues = started.dues(decision.at)
    due = dues.next or dues.previous
    opens = f"from {timestamp(dues.opens)} " if dues.opens else ""
    past = "" if dues.next else ", which is past"
    by = f"{opens}by {timestamp(due)}{past}: " if due else ""
    when = f" when {' or '.join(started.when)}" if started.when else ""
    told = [f"`{started.duty}`{when}", f"for {started.about}", f"since {timestamp(started.since or decision.at)}"]
    named = ((dues.previous, "previously"), (dues.final, "finally"), (dues.first, "first"))
    others = {moment: which for moment, which in named if moment is not None and moment != due}
    told += [f"{which} due {timestamp(moment)}" for moment, which in sorted(others.items())]
    return f"{by}{started.what} ({', '.join(told)})"


def lapses(decision: Decision) -> list[str]:
    """The duties that the ledger says were not done in time, each in a line."""
    return [
        f"`{it.duty}` was not done in time: {it.what}, due by {timestamp(it.due)} (entry {it.entry}); "
        + ("and not since" if it.done is None else f"done late, in entry {it.done}")
        for it in decision.lapses
    ]


def started(decision: Decision) -> tuple[Started, ...]:
    """Every duty that starts with a decision, each once."""
    return tuple(dict.fromkeys(it for ruling in decision.rulings for it in ruling.started))


def listed(names: Sequence[str]) -> str:
    """Names in a row: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
