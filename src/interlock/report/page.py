"""The report: one page that shows what the gates say, on what evidence, and what would lift each hold.

Guarantees: every number on the page is one that `decide` used; what is shown as HTML and as JSON is the same; the
HTML is one file that loads nothing and runs nothing, and names in it are data, never markup.
What it leaves to the caller: verifying the ledger, which `Workspace.read` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from typing import TYPE_CHECKING, Any

from interlock.decide import rule
from interlock.decide.decision import Cell, Decision, Finding, in_order, lifts, timestamp
from interlock.decide.decision import to_json as decision_to_json
from interlock.errors import missing_extra
from interlock.gate.permit import Held, ask, verify
from interlock.policy import exact
from interlock.policy.model import Hole
from interlock.report import curves
from interlock.report.curves import Level, Plot, Point, Series
from interlock.workspace import now, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from markupsafe import Markup

    from interlock.decide.facts import Checkpoint, Result, Subject
    from interlock.evidence.read import Evidence, Permit, Record, Snapshot
    from interlock.policy.model import Policy

METHOD = "Clopper-Pearson, one-sided"

_OPTION = re.compile(r"(?<!\S)--[a-z-]+")


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding, and the actions whose gates read it."""

    finding: Finding
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of the gate matrix: a decision for each of the page's actions, in their order, and its findings."""

    subject: Subject
    decisions: tuple[Decision, ...]
    findings: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a result is admissible for these thresholds: no defects, or what they are. Assumptions aside."""

    thresholds: tuple[str, ...]
    defects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """One-sided bounds at a confidence each; samples without a score count on the side that hurts."""

    lower: Fraction
    upper: Fraction
    confidence: Fraction


@dataclass(frozen=True, slots=True)
class Ran:
    """One result in the ledger. `interval` is None if it measures nothing that the policy gates."""

    result: Result
    subject: str
    interval: Interval | None
    standings: tuple[Standing, ...]
    log: str | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A permit in the ledger; `held` is why it does not open its gate now, None if it does."""

    permit: Permit
    subject: str
    held: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page shows."""

    policy: Policy
    policy_digest: str
    checkpoint: Checkpoint
    at: datetime
    actions: tuple[str, ...]
    rows: tuple[Row, ...]
    plots: tuple[Plot, ...]
    results: tuple[Ran, ...]
    leases: tuple[Lease, ...]
    snapshots: tuple[Snapshot, ...]
    records: tuple[Record, ...]

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The policy's requirements that are empty on purpose."""
        return tuple(r for r in self.policy.requirements.values() if isinstance(r, Hole))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision of the matrix, row by row."""
        return tuple(decision for row in self.rows for decision in row.decisions)


# -- gathering --------------------------------------------------------------------------------------------------------


def gather(evidence: Evidence, *, at: datetime | None = None) -> Page:
    """Decide every gated action on every subject at the time `at` (now if not given), and put beside it all evidence.

    Order is the ledger's for subjects and results, and the policy's for actions and thresholds.
    """
    at = now() if at is None else at
    rows = tuple(_row(evidence, subject, at) for subject in evidence.facts.subjects.values())
    results = _results(evidence, rows, at)
    return Page(
        policy=evidence.policy,
        policy_digest=evidence.policy_digest,
        checkpoint=evidence.facts.checkpoint,
        at=at,
        actions=tuple(in_order(evidence.policy.gates)),
        rows=rows,
        plots=_plots(evidence.policy, results),
        results=results,
        leases=tuple(_lease(evidence, permit, at) for permit in evidence.permits),
        snapshots=evidence.snapshots,
        records=evidence.records,
    )


def _row(evidence: Evidence, subject: Subject, at: datetime) -> Row:
    decisions = tuple(
        ask(evidence, subject=subject, action=action, at=at) for action in in_order(evidence.policy.gates)
    )
    return Row(subject, decisions, _findings(decisions))


def _findings(decisions: Sequence[Decision]) -> tuple[Judged, ...]:
    """Each finding once: gates that read the same finding share it."""
    readers: dict[Finding, list[str]] = {}
    for decision in decisions:
        for cell in decision.cells:
            readers.setdefault(cell.finding, []).append(decision.action)
    return tuple(Judged(finding, tuple(actions)) for finding, actions in readers.items())


def _results(evidence: Evidence, rows: Sequence[Row], at: datetime) -> tuple[Ran, ...]:
    intervals = _intervals(rows)
    return tuple(
        Ran(
            result=result,
            subject=evidence.facts.subjects[result.subject].name,
            interval=intervals.get(result.entry),
            standings=_standings(evidence, result, at),
            log=evidence.results[result.entry].log_name if result.entry in evidence.results else None,
        )
        for result in evidence.facts.results
    )


def _intervals(rows: Sequence[Row]) -> dict[int, Interval]:
    """The bounds of each result as the decisions used them, at the highest confidence that any threshold asks."""
    found: dict[int, Interval] = {}
    for finding in (judged.finding for row in rows for judged in row.findings):
        for counted in finding.counted:
            if counted.entry not in found or found[counted.entry].confidence < finding.confidence:
                found[counted.entry] = Interval(counted.lower, counted.upper, finding.confidence)
    return found


def _standings(evidence: Evidence, result: Result, at: datetime) -> tuple[Standing, ...]:
    """Thresholds on the result's task, those with the same defects together."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for threshold in evidence.policy.thresholds.values():
        if evidence.policy.measures[threshold.measure].task == result.protocol.task:
            found = rule.defects(evidence.policy, evidence.facts, threshold=threshold.name, result=result, at=at)
            grouped.setdefault(found, []).append(threshold.name)
    return tuple(Standing(tuple(names), defects) for defects, names in grouped.items())


def _lease(evidence: Evidence, permit: Permit, at: datetime) -> Lease:
    """A permit, checked as a gate would check it."""
    name = evidence.facts.subjects[permit.subject].name
    try:
        verify(evidence, permit.digest, action=permit.terms.action, at=at)
    except Held as held:
        return Lease(permit, name, str(held))
    return Lease(permit, name, None)


def _plots(policy: Policy, results: Sequence[Ran]) -> tuple[Plot, ...]:
    """One plot for each measure that has a curve to show."""
    plots = (_plot(policy, name, results) for name in policy.measures)
    return tuple(plot for plot in plots if plot is not None)


def _plot(policy: Policy, name: str, results: Sequence[Ran]) -> Plot | None:
    measure = policy.measures[name]
    ran = [r for r in results if r.result.protocol.task == measure.task]
    series: dict[str, list[Point]] = {}
    for each in ran:
        protocol = each.result.protocol
        same = (protocol.task_version, protocol.metric) == (measure.task_version, measure.metric)
        if same and protocol.elicitation in ("few-shot", "fine-tuned") and each.interval is not None:
            series.setdefault(each.subject, []).append(_point(each.result, each.interval))
    if not series:
        return None
    drawn = tuple(Series(s, tuple(sorted(p, key=lambda p: (p.demonstrations, p.entry)))) for s, p in series.items())
    thresholds = [t for t in policy.thresholds.values() if t.measure == name]
    return Plot(
        measure=name,
        task=f"{measure.task}@{measure.task_version}",
        confidence=max(each.interval.confidence for each in ran if each.interval is not None),
        series=drawn,
        levels=tuple(Level(t.name, t.level, t.rule_out.margin) for t in thresholds),
        left_out=len(ran) - sum(len(s.points) for s in drawn),
    )


def _point(result: Result, interval: Interval) -> Point:
    return Point(
        entry=result.entry,
        demonstrations=result.protocol.demonstrations if result.protocol.elicitation == "fine-tuned" else 0,
        accuracy=Fraction(result.correct, result.scored) if result.scored else None,
        lower=interval.lower,
        upper=interval.upper,
        planned=result.protocol.samples,
    )


# -- words ------------------------------------------------------------------------------------------------------------


def line(decision: Decision) -> str:
    """Why a decision is as it is, in one line."""
    if decision.verdict == "permit":
        below = [f"`{c.finding.threshold}`" for c in decision.cells if c.finding.state == "below"]
        others = [c.finding for c in decision.cells if c.finding.state != "below"]
        met = [f"`{finding.threshold}` {finding.state}, but every requirement met" for finding in others]
        return "; ".join(([f"below {_and(below)}"] if below else []) + met)
    return "; ".join([reason.text for reason in decision.reasons] + [_holding(cell) for cell in decision.holding])


def _holding(cell: Cell) -> str:
    """A holding cell in a few words: the finding, and what is not met beside it."""
    unmet = [r for r in cell.requirements if not r.met]
    named = [f"`{r.name}`" + (" (a hole)" if r.kind == "hole" else "") for r in unmet if r.kind != "never"]
    state = "overdue" if cell.finding.overdue else cell.finding.state
    parts = [f"`{cell.finding.threshold}` {state}"]
    parts += [f"{_and(named)} not met"] if named else []
    parts += ["the policy says never" for r in unmet if r.kind == "never"]
    return ", ".join(parts)


def stops(decision: Decision) -> bool:
    """Whether nothing lifts the hold under this policy: a stop until it is amended."""
    return any(not lifts(cell) for cell in decision.holding)


def against(finding: Finding) -> str:
    """The bound against the threshold, in words."""
    level, reasons = exact(finding.level), finding.reasons
    if finding.state == "reached":
        return f"{reasons[0].text}; the lower bound of its own results is {exact(finding.lower)}"
    if not finding.counted:
        return f"no result yet, so nothing is ruled out: the rate may lie anywhere from 0 to 1; threshold {level}"
    total = f"upper bound {exact(finding.upper)} + margin {exact(finding.margin)}"
    total += f" = {exact(finding.upper + finding.margin)}"
    if any(reason.code == "bound" for reason in reasons):
        return f"{total} is not under {level}"
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{total} is under {level}" + (f", but {reasons[0].text}{more}" if reasons else "")


def ruling_out(finding: Finding) -> tuple[str, ...]:
    """The steps that would rule the threshold out, as one of the ways that `lifts` gives."""
    return tuple(dict.fromkeys(str(reason.resume) for reason in finding.reasons))


def samples(finding: Finding) -> str:
    """How many results and samples stand behind a finding, and which of them sets the bounds."""
    if not finding.counted:
        return "n = 0"
    planned = sorted({counted.planned for counted in finding.counted})
    each = f"n = {planned[0]} samples" if len(planned) == 1 else f"n = {planned[0]} to {planned[-1]} samples"
    count = "1 result" if len(finding.counted) == 1 else f"{len(finding.counted)} results"
    highest = max(finding.counted, key=lambda counted: counted.upper)
    return f"{count}, {each} each; the largest upper bound is entry {highest.entry}'s ({highest.elicitation})"


def flop(value: int) -> str:
    """Compute for people: three digits and a power of ten."""
    return f"{float(value):.3g}".replace("e+", "e") if value >= 10**6 else str(value)


def percent(value: Fraction) -> str:
    """A proportion as per cent, for labels: `95 %`."""
    return f"{exact(value * 100)}\N{NO-BREAK SPACE}%"


def place(value: Fraction) -> str:
    """Where a proportion stands on a bar from 0 to 1; what passes the end stops there."""
    return f"{float(min(max(value, Fraction(0)), Fraction(1))) * 100:.2f}%"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# -- writing ----------------------------------------------------------------------------------------------------------


def write(page: Page, path: Path) -> None:
    """Write the page as one HTML file, whole or not at all.

    Raises:
        UsageError: jinja2 or matplotlib is not installed.
        OSError: the file cannot be written.
    """
    # A lone surrogate in a name cannot be encoded; as a character reference the browser shows a replacement mark.
    write_whole(path, _html(page).encode("utf-8", "xmlcharrefreplace"))


def _html(page: Page) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise missing_extra("report", "jinja2") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "against": against,
        "exact": exact,
        "flop": flop,
        "lifts": lifts,
        "line": line,
        "marked": _marked,
        "percent": percent,
        "place": place,
        "ruling_out": ruling_out,
        "samples": samples,
        "stops": stops,
        "timestamp": timestamp,
    }
    template = environment.from_string(resources.files("interlock.report").joinpath("page.html").read_text("utf-8"))
    return template.render(
        page=page,
        drawings=[_drawings(plot) for plot in page.plots],
        markers=[path for _, path in curves.MARKERS],
        colours=curves.COLOURS,
        method=METHOD,
    )


def _drawings(plot: Plot) -> dict[str, Markup]:
    """Both sizes of a plot; matplotlib escapes what it draws."""
    from markupsafe import Markup

    return {"wide": Markup(curves.draw(plot, size="wide")), "narrow": Markup(curves.draw(plot, size="narrow"))}  # noqa: S704


def _marked(text: str) -> Markup:
    """Text whose `quoted` parts become code, and whose options do not break after their dashes; all of it escaped."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick comes from a name: show it as it is
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(p) if index % 2 else _unbroken(escape(p)) for index, p in enumerate(parts))


def _unbroken(escaped: Markup) -> Markup:
    return type(escaped)(_OPTION.sub(r'<span class="option">\g<0></span>', str(escaped)))


def to_json(page: Page) -> dict[str, Any]:
    """The page's content as plain JSON; quantities as exact strings."""
    return {
        "policy": {
            "id": page.policy.id,
            "version": page.policy.version,
            "title": page.policy.title,
            "digest": page.policy_digest,
        },
        "at": timestamp(page.at),
        "checkpoint": {
            "size": page.checkpoint.size,
            "root": page.checkpoint.root,
            "time": timestamp(page.checkpoint.time),
        },
        "actions": list(page.actions),
        "subjects": [_subject(row) for row in page.rows],
        "holes": [
            {"name": h.name, "what": h.what, "owner": h.owner, "review": timestamp(h.review)} for h in page.holes
        ],
        "curves": [_curves(plot) for plot in page.plots],
        "results": [_ran(ran) for ran in page.results],
        "permits": [_leased(lease) for lease in page.leases],
        "snapshots": [{"entry": s.entry, "subject": s.subject, "terms": s.terms.to_json()} for s in page.snapshots],
        "entries": [_recorded(record) for record in page.records],
    }


def _subject(row: Row) -> dict[str, Any]:
    subject = row.subject
    return {
        "name": subject.name,
        "digest": subject.digest,
        "training_compute": str(subject.training_compute),
        "effective_compute": {"low": str(subject.ec_low), "high": str(subject.ec_high)},
        "steps": [{"parent": s.parent, "kind": s.kind, "compute": str(s.compute)} for s in subject.steps],
        "decisions": [
            {"line": line(decision), "stop_until_amended": stops(decision), **decision_to_json(decision)}
            for decision in row.decisions
        ],
    }


def _curves(plot: Plot) -> dict[str, Any]:
    return {
        "measure": plot.measure,
        "task": plot.task,
        "confidence": exact(plot.confidence),
        "method": METHOD,
        "thresholds": [
            {"name": each.threshold, "level": exact(each.level), "margin": exact(each.margin)} for each in plot.levels
        ],
        "series": [
            {"subject": series.subject, "points": [_pointed(point) for point in series.points]}
            for series in plot.series
        ],
        "left_out": plot.left_out,
    }


def _pointed(point: Point) -> dict[str, Any]:
    return {
        "entry": point.entry,
        "demonstrations": point.demonstrations,
        "accuracy": None if point.accuracy is None else exact(point.accuracy),
        "lower": exact(point.lower),
        "upper": exact(point.upper),
        "planned": point.planned,
    }


def _ran(ran: Ran) -> dict[str, Any]:
    result, interval = ran.result, ran.interval
    return {
        "entry": result.entry,
        "subject": ran.subject,
        "task": f"{result.protocol.task}@{result.protocol.task_version}",
        "elicitation": result.protocol.elicitation,
        "shots": result.protocol.shots,
        "demonstrations": result.protocol.demonstrations,
        "planned": result.protocol.samples,
        "scored": result.scored,
        "correct": result.correct,
        "interval": None if interval is None else _interval(interval),
        "flop": str(result.flop),
        "admissible": [
            {"thresholds": list(s.thresholds), "admissible": not s.defects, "defects": list(s.defects)}
            for s in ran.standings
        ],
        "log": ran.log,
    }


def _interval(interval: Interval) -> Mapping[str, str]:
    return {
        "lower": exact(interval.lower),
        "upper": exact(interval.upper),
        "confidence": exact(interval.confidence),
        "method": METHOD,
    }


def _leased(lease: Lease) -> dict[str, Any]:
    permit = lease.permit
    return {
        "entry": permit.entry,
        "digest": permit.digest,
        "subject": lease.subject,
        "terms": permit.terms.to_json(),
        "opens": lease.held is None,
        "held": lease.held,
    }


def _recorded(record: Record) -> dict[str, Any]:
    return {
        "entry": record.entry,
        "kind": record.kind,
        "about": record.about,
        "signers": sorted(record.signers),
        "at": timestamp(record.at),
        "digest": record.digest,
    }
