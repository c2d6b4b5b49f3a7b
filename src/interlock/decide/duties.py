"""The duties that start with a decision (docs/semantics.md, rule 44), an incident or the opening of an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import Started
from interlock.decide.finding import find
from interlock.policy.duty import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from interlock.decide.decision import Cell, Finding, Verdict
    from interlock.decide.facts import Incident
    from interlock.decide.view import View
    from interlock.policy.duty import Response, Start, Starter


def started(view: View, cells: Sequence[Cell], verdict: Verdict) -> tuple[Started, ...]:
    """What is to be done from now on: the answers to a hold; the duties that findings, verdict and incidents start."""
    return tuple(dict.fromkeys([*_responses(view, cells, verdict), *_duties(view, cells, verdict)]))


def _responses(view: View, cells: Sequence[Cell], verdict: Verdict) -> Iterator[Started]:
    policy, action = view.policy, view.case.action
    if verdict == "hold":
        for response in policy.on_hold.get(action, ()):
            yield _answer(view, response, action)
    for cell in cells:
        finding = cell.finding
        for response in policy.on_hold.get(finding.threshold, ()) if not cell.opens else ():
            if _answers(response, finding, cell):
                yield _answer(view, response, finding.threshold, finding)
        for requirement in cell.requirements:
            for response in policy.on_hold.get(requirement.name, ()) if not cell.opens and not requirement.met else ():
                yield _answer(view, response, requirement.name)


def _answers(response: Response, finding: Finding, cell: Cell) -> bool:
    """Whether a response's `when` is so; without one it answers every hold."""
    so = {finding.state} | ({"overdue"} if finding.overdue else set())
    so |= {f"unmet:{it.name}" for it in cell.requirements if not it.met}
    return not response.when or bool(so & set(response.when))


def _answer(view: View, response: Response, about: str, finding: Finding | None = None) -> Started:
    since = _reached_since(view, finding) if finding is not None and finding.state == "reached" else None
    name, due = f"on_hold.{about}.{response.do}", Schedule(response.within)
    return Started(name, response.what, about, since, due, response.when)


def _reached_since(view: View, finding: Finding) -> datetime | None:
    """The ledger time of the last result on its measures: from then on it could be known. None: there is none."""
    tasks = {
        getattr(view.policy.measures[name], "task", "") for name in view.policy.thresholds[finding.threshold].measures
    }
    times = [r.at for task in tasks for r in view.index.results.get((task, view.subject), ())]
    return max(times, default=None)


def _duties(view: View, cells: Sequence[Cell], verdict: Verdict) -> Iterator[Started]:
    for name, duty in view.policy.duties.items():
        if duty.start.on == "incident":
            for incident, since in _incidents(view, duty.start):
                about = f"{incident.kind} of entry {incident.entry}"
                yield Started(name, duty.what, about, since, duty.schedule(_resolved(view, incident)))
        else:
            for about, moment in _starts(view, duty.start, cells, verdict):
                yield Started(name, duty.what, about, moment, duty.schedule())


def _incidents(view: View, start: Start) -> Iterator[tuple[Incident, datetime]]:
    """The incidents that start a duty, each with the moment from which its clocks run."""
    for incident in view.index.incidents:
        moment = incident.moments.get(start.moment)
        if incident.kind in start.of and moment is not None:
            yield incident, moment


def _resolved(view: View, incident: Incident) -> datetime | None:
    """When an incident was resolved; not yet, where that is said of a time after the ledger's own."""
    resolved = incident.resolved
    return None if resolved is None or resolved > view.index.facts.checkpoint.time else resolved


def _starts(view: View, start: Start, cells: Sequence[Cell], verdict: Verdict) -> Iterator[tuple[str, datetime | None]]:
    """What other than an incident starts a duty, and when its clocks began; None: with the decision."""
    on, of = start.on, start.of
    if on == "effective":
        yield "policy", view.policy.effective
    elif on == "exception":
        for amendment in view.index.facts.amendments:
            if amendment.exception in of and amendment.subject in {None, view.subject}:
                yield amendment.exception, amendment.at
    elif on in {"hold", "permit"}:
        if verdict == on and (not of or view.case.action in of):
            yield view.case.action, None
    else:
        for finding in _findings(view, cells, start):
            reached = finding.state == "reached" and on != "overdue"
            if _so(finding, on):
                yield finding.threshold, _reached_since(view, finding) if reached else None


def _findings(view: View, cells: Sequence[Cell], start: Start) -> Iterator[Finding]:
    """The findings that may start a duty: the alert lines'; or the gate's, and those of named lines at no gate."""
    of, thresholds = start.of, view.policy.thresholds
    if start.on == "alert":
        lines = [name for name, it in thresholds.items() if it.role == "alert" and (not of or name in of)]
    else:
        yield from (cell.finding for cell in cells if not of or cell.finding.threshold in of)
        gated = {name for listed in view.policy.gates.values() for name, cell in listed.items() if cell.requires}
        lines = [name for name in of if name in thresholds and name not in gated]
    yield from (find(view, name) for name in lines)


def _so(finding: Finding, on: Starter) -> bool:
    """Whether a finding is what starts the duty. An alert line must be shown to be clear, or it does."""
    if on == "alert":
        return finding.state != "below"
    if on == "overdue":
        return finding.overdue is not None
    return finding.state.replace(" ", "-") == on
