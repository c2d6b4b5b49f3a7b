"""The duties that start with a decision (docs/semantics.md, rule 44), an incident or the opening of an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import Started
from interlock.decide.finding import find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from interlock.decide.decision import Cell, Finding, Verdict
    from interlock.decide.view import View
    from interlock.policy.duty import Duty, Response, Start


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
    told = f": {', '.join(response.notify)}" if response.notify else ""
    turned = f" to {', '.join(response.to)}" if response.to else ""
    since = _reached_since(view, finding) if finding is not None and finding.state == "reached" else None
    return Started(f"on_hold.{about}.{response.do}", f"{response.do}{turned}{told}", about, since, response.within)


def _reached_since(view: View, finding: Finding) -> datetime | None:
    """The ledger time of the last result on its measures: from then on it could be known. None: there is none."""
    tasks = {
        getattr(view.policy.measures[name], "task", "") for name in view.policy.thresholds[finding.threshold].measures
    }
    times = [r.at for task in tasks for r in view.index.results.get((task, view.subject), ())]
    return max(times, default=None)


def _duties(view: View, cells: Sequence[Cell], verdict: Verdict) -> Iterator[Started]:
    for name, duty in view.policy.duties.items():
        for about, since in _starts(view, duty, cells, verdict):
            yield Started(name, duty.what, about, since, duty.within)


def _starts(view: View, duty: Duty, cells: Sequence[Cell], verdict: Verdict) -> Iterator[tuple[str, datetime | None]]:
    """What starts a duty, and when its clock began; None: with the decision."""
    on, of = duty.start.on, duty.start.of
    if on == "effective":
        yield "policy", view.policy.effective
    elif on in {"incident", "exception"}:
        yield from _happened(view, duty.start)
    elif on in {"hold", "permit"}:
        if verdict == on and (not of or view.case.action in of):
            yield view.case.action, None
    elif on == "alert":
        for name in _alerts(view, of):
            yield name, None
    else:
        for cell in cells:
            finding = cell.finding
            so = {finding.state.replace(" ", "-")} | ({"overdue"} if finding.overdue else set())
            if on in so and (not of or finding.threshold in of):
                yield finding.threshold, _reached_since(view, finding) if on == "reached" else None


def _happened(view: View, start: Start) -> Iterator[tuple[str, datetime]]:
    """The incidents, or the openings of exceptions, that start a duty, each with its moment."""
    for incident in view.index.incidents if start.on == "incident" else ():
        moment = incident.moments.get(start.moment)
        if incident.kind in start.of and moment is not None:
            yield f"{incident.kind} of entry {incident.entry}", moment
    for amendment in view.index.facts.amendments if start.on == "exception" else ():
        if amendment.exception in start.of and amendment.subject in {None, view.subject}:
            yield amendment.exception, amendment.at


def _alerts(view: View, of: Sequence[str]) -> list[str]:
    """The alert lines that are not shown to be clear."""
    alerts = [name for name, it in view.policy.thresholds.items() if it.role == "alert" and (not of or name in of)]
    return [name for name in alerts if find(view, name).state == "reached"]
