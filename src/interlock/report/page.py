"""The report: one page that shows what the gates say, on what evidence, and what would lift each hold.

Guarantees: every number on the page is one that `decide` used; what is shown as HTML and as JSON is the same; the
HTML is one file that loads nothing and runs nothing, and names in it are data, never markup.
What it leaves to the caller: verifying the ledger, which `Workspace.read` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from interlock.decide import rule
from interlock.decide.decision import Decision, Finding, in_order, timestamp
from interlock.decide.decision import to_json as decision_to_json
from interlock.decide.resume import resume, ways
from interlock.duties.account import urgency
from interlock.evidence.predicates import UNKNOWN
from interlock.gate.permit import Held, ask, examine, general, stops
from interlock.policy import exact
from interlock.policy.model import At, Hole, Mean, Measure, walk
from interlock.report import curves, running, words
from interlock.report._html import render
from interlock.report.curves import Level, Plot, Point, Series
from interlock.workspace import now, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from markupsafe import Markup

    from interlock.decide.decision import Reading
    from interlock.decide.facts import Checkpoint, Result, Subject
    from interlock.duties.account import Running
    from interlock.evidence.read import Evidence, Permit, Record, Snapshot
    from interlock.policy.model import Policy, Threshold


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding, and the actions whose gates read it."""

    finding: Finding
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One reading as it is drawn, and its words. `level` None: it is part of a mean, and has no level of its own."""

    reading: Reading
    level: Fraction | None
    text: str

    def place(self, value: Fraction) -> str:
        """Where a value of the measure stands on the bar, in per cent of its width."""
        return _place((value - self.reading.scale.low) / self._span)

    def width(self, value: Fraction) -> str:
        """How wide a difference is, in per cent of the bar's width."""
        return _place(value / self._span)

    @property
    def ticks(self) -> tuple[tuple[str, str], ...]:
        """Places on the bar, each with the value there."""
        quarters = (Fraction(n, 4) for n in range(5))
        return tuple((_place(q), exact(self.reading.scale.low + q * self._span)) for q in quarters)

    @property
    def margin(self) -> tuple[str, str]:
        """Where the margin begins, and how wide it is: beside the bound that must stay clear of the level."""
        it = self.reading
        if it.scale.turned:
            wide = min(it.margin, it.lower - it.scale.low)
            return self.place(it.lower - wide), self.width(wide)
        return self.place(it.upper), self.width(min(it.margin, it.scale.high - it.upper))

    @property
    def _span(self) -> Fraction:
        return self.reading.scale.high - self.reading.scale.low


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
    """One-sided bounds at a confidence each; samples without a score count on the side that hurts.

    `readable`: whether the scores are ones that the measure can have; else the bounds are the ends of its scale.
    """

    lower: Fraction
    upper: Fraction
    confidence: Fraction
    method: str
    readable: bool


@dataclass(frozen=True, slots=True)
class Ran:
    """One result in the ledger. `intervals` are by measure; there are none if it measures nothing that is gated."""

    result: Result
    subject: str
    intervals: Mapping[str, Interval]
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
    duties: tuple[Running, ...]
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
    results, version = _results(evidence, rows, at), evidence.in_force(at)
    return Page(
        policy=version.policy,
        policy_digest=version.digest,
        checkpoint=evidence.facts.checkpoint,
        at=at,
        actions=tuple(in_order(version.policy.gates)),
        rows=rows,
        plots=_plots(version.policy, results, rows),
        results=results,
        leases=tuple(_lease(evidence, permit, at) for permit in evidence.permits),
        snapshots=evidence.snapshots,
        duties=tuple(sorted(evidence.duties(max(at, evidence.facts.checkpoint.time)).duties, key=urgency)),
        records=evidence.records,
    )


def _row(evidence: Evidence, subject: Subject, at: datetime) -> Row:
    gates = evidence.in_force(at).policy.gates
    decisions = tuple(ask(evidence, subject=subject, action=action, at=at) for action in in_order(gates))
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
            intervals=intervals.get(result.entry, {}),
            standings=_standings(evidence, result, at),
            log=evidence.results[result.entry].log_name if result.entry in evidence.results else None,
        )
        for result in evidence.facts.results
    )


def _intervals(rows: Sequence[Row]) -> dict[int, dict[str, Interval]]:
    """The bounds of each result as the decisions used them, at the highest confidence that any of them asks."""
    found: dict[int, dict[str, Interval]] = {}
    for reading in (reading for row in rows for judged in row.findings for reading in judged.finding.readings):
        for it in reading.counted:
            by_measure = found.setdefault(it.entry, {})
            known = by_measure.get(reading.measure)
            if known is None or known.confidence < reading.confidence:
                by_measure[reading.measure] = Interval(
                    it.lower, it.upper, reading.confidence, reading.method, it.tally is not None
                )
    return found


def _standings(evidence: Evidence, result: Result, at: datetime) -> tuple[Standing, ...]:
    """Thresholds on the result's task, those with the same defects together."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    policy = evidence.in_force(at).policy
    for threshold in policy.thresholds.values():
        if threshold.rule_out is not None and result.protocol.task in _tasks(policy, threshold):
            found = rule.defects(evidence.versions, evidence.facts, threshold=threshold.name, result=result, at=at)
            grouped.setdefault(found, []).append(threshold.name)
    return tuple(Standing(tuple(names), defects) for defects, names in grouped.items())


def _tasks(policy: Policy, threshold: Threshold) -> set[str]:
    """The tasks that a threshold's expression reads, by itself or through a mean."""
    found = set()
    for name in threshold.measures:
        measure = policy.measures[name]
        for one in measure.weights if isinstance(measure, Mean) else (name,):
            plain = policy.measures[one]
            found |= {plain.task} if isinstance(plain, Measure) else set()
    return found


def _lease(evidence: Evidence, permit: Permit, at: datetime) -> Lease:
    """A permit, checked as a gate would check it."""
    name = evidence.facts.subjects[permit.subject].name
    offered = evidence.facts.deployments.get(permit.terms.deployment or "")
    try:
        examine(evidence, permit.digest, action=permit.terms.action, at=at, deployment=offered)
    except Held as held:
        return Lease(permit, name, str(held))
    return Lease(permit, name, None)


def _plots(policy: Policy, results: Sequence[Ran], rows: Sequence[Row]) -> tuple[Plot, ...]:
    """One plot for each measure that has a curve to show."""
    margins = _margins(rows)
    plots = (_plot(policy, it, results, margins) for it in policy.measures.values() if isinstance(it, Measure))
    return tuple(plot for plot in plots if plot is not None)


#: By threshold, measure and level: the margin that decisions used.
Margins = dict[tuple[str, str, Fraction], Fraction]


def _margins(rows: Sequence[Row]) -> Margins:
    return {
        (judged.finding.threshold, reading.measure, reading.level): reading.margin
        for row in rows
        for judged in row.findings
        for reading in judged.finding.readings
    }


def _plot(policy: Policy, measure: Measure, results: Sequence[Ran], margins: Margins) -> Plot | None:
    ran = [r for r in results if r.result.protocol.task == measure.task]
    series: dict[str, list[Point]] = {}
    for each in ran:
        protocol = each.result.protocol
        same = (protocol.task_version, protocol.metric) == (measure.task_version, measure.metric)
        interval = each.intervals.get(measure.name)
        if same and protocol.elicitation in ("few-shot", "fine-tuned") and interval is not None:
            series.setdefault(each.subject, []).append(_point(each.result, interval))
    if not series:
        return None
    drawn = tuple(Series(s, tuple(sorted(p, key=lambda p: (p.demonstrations, p.entry)))) for s, p in series.items())
    intervals = [each.intervals[measure.name] for each in ran if measure.name in each.intervals]
    return Plot(
        measure=measure.name,
        task=f"{measure.task}@{measure.task_version}",
        metric=measure.metric,
        scale=(measure.low, measure.high),
        confidence=max(interval.confidence for interval in intervals),
        method=intervals[0].method,
        series=drawn,
        levels=tuple(
            level for threshold in policy.thresholds.values() for level in _levels(threshold, measure, margins)
        ),
        left_out=len(ran) - sum(len(s.points) for s in drawn),
    )


def _levels(threshold: Threshold, measure: Measure, margins: Margins) -> list[Level]:
    """The levels of a measure at which a threshold draws a line, each once."""
    parts = walk(threshold.reached_when) if threshold.reached_when is not None else ()
    levels = dict.fromkeys(p.level for p in parts if isinstance(p, At) and p.measure == measure.name)
    planned = threshold.rule_out.buffer.margin if threshold.rule_out is not None else Fraction(0)
    found = ((level, margins.get((threshold.name, measure.name, level), planned)) for level in levels)
    return [
        Level(threshold.name, level, margin, clear=level + margin if measure.danger == "lower" else level - margin)
        for level, margin in found
    ]


def _point(result: Result, interval: Interval) -> Point:
    mean = Fraction(result.correct) if result.total is None else result.total
    return Point(
        entry=result.entry,
        demonstrations=result.protocol.demonstrations if result.protocol.elicitation == "fine-tuned" else 0,
        mean=mean / result.scored if result.scored and interval.readable else None,
        lower=interval.lower,
        upper=interval.upper,
        planned=result.units,
    )


# -- words ------------------------------------------------------------------------------------------------------------


def line(decision: Decision) -> str:
    """Why a decision is as it is, in one line."""
    if decision.verdict == "permit":
        below = [f"`{c.finding.threshold}`" for c in decision.cells if c.finding.state == "below"]
        others = [c.finding for c in decision.cells if c.finding.state != "below"]
        met = [f"`{finding.threshold}` {finding.state}, but every requirement met" for finding in others]
        return "; ".join(([f"below {words.listed(below)}"] if below else []) + met)
    return "; ".join([reason.text for reason in general(decision)] + [words.holding(cell) for cell in decision.holding])


def against(finding: Finding) -> str:
    """The bound of a threshold of one measure, in words."""
    node = words.leaf(finding)
    return f"it is {finding.state}" if node is None else words.against(node, finding.reasons)


def bars(finding: Finding) -> tuple[Bar, ...]:
    """What is drawn of a finding: a bar for each measure in it, once for each level."""
    one = words.leaf(finding)
    if one is not None and one.reading is not None:
        return (Bar(one.reading, one.reading.level, words.against(one, finding.reasons)),)
    found: dict[Reading, Bar] = {}
    for node in finding.tree.walk():
        if node.reading is not None and node.reading not in found:
            alone = node.state is not None  # a measure of a mean has no level of its own
            text = words.against(node, node.reasons) if alone else words.part(node)
            found[node.reading] = Bar(node.reading, node.reading.level if alone else None, f"{node.text}: {text}")
    return tuple(found.values())


def ruling_out(finding: Finding) -> frozenset[str]:
    """The steps that would rule out a threshold of one measure, as one of the ways that `resume.ways` gives."""
    return frozenset(str(reason.resume) for reason in finding.reasons if reason != finding.overdue)


def samples(reading: Reading) -> str:
    """How many results and samples stand behind a reading, and which of them sets the bounds."""
    if not reading.counted:
        return "n = 0"
    planned = sorted({it.planned if it.stopped_at is None else it.stopped_at for it in reading.counted})
    each = f"n = {planned[0]} samples" if len(planned) == 1 else f"n = {planned[0]} to {planned[-1]} samples"
    count = "1 result" if len(reading.counted) == 1 else f"{len(reading.counted)} results"
    if reading.scale.turned:
        worst = min(reading.counted, key=lambda counted: counted.lower)
        return f"{count}, {each} each; the smallest lower bound is entry {worst.entry}'s ({worst.elicitation})"
    worst = max(reading.counted, key=lambda counted: counted.upper)
    return f"{count}, {each} each; the largest upper bound is entry {worst.entry}'s ({worst.elicitation})"


def flop(value: int) -> str:
    """Compute for people: three digits and a power of ten."""
    return f"{float(value):.3g}".replace("e+", "e") if value >= 10**6 else str(value)


def percent(value: Fraction) -> str:
    """A proportion as per cent, for labels: `95 %`."""
    return f"{exact(value * 100)}\N{NO-BREAK SPACE}%"


def _place(value: Fraction) -> str:
    """Where a share of a bar's width stands; what passes the end stops there."""
    return f"{float(min(max(value, Fraction(0)), Fraction(1))) * 100:.2f}%"


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
    filters: dict[str, Any] = {
        "against": against,
        "bars": bars,
        "due": running.due,
        "duties": _duties,
        "exact": exact,
        "flop": flop,
        "general": general,
        "lapses": words.lapses,
        "leaf": words.leaf,
        "line": line,
        "notes": words.notes,
        "part": words.part,
        "percent": percent,
        "resume": resume,
        "ruling_out": ruling_out,
        "samples": samples,
        "stops": stops,
        "timestamp": timestamp,
        "unordered": frozenset,
        "ways": ways,
    }
    return render(
        "page.html",
        filters,
        page=page,
        duties=[(it, [*running.notes(it, _subjects(page))]) for it in page.duties],
        drawings=[_drawings(plot) for plot in page.plots],
        markers=[path for _, path in curves.MARKERS],
        colours=curves.COLOURS,
    )


def _duties(decision: Decision) -> list[str]:
    return [words.starts(it, decision) for it in words.started(decision)]


def _drawings(plot: Plot) -> dict[str, Markup]:
    """Both sizes of a plot; matplotlib escapes what it draws."""
    from markupsafe import Markup

    return {"wide": Markup(curves.draw(plot, size="wide")), "narrow": Markup(curves.draw(plot, size="narrow"))}  # noqa: S704


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
        "duties": [running.to_json(it, _subjects(page)) for it in page.duties],
        "snapshots": [{"entry": s.entry, "subject": s.subject, "terms": s.terms.to_json()} for s in page.snapshots],
        "entries": [_recorded(record) for record in page.records],
    }


def _subjects(page: Page) -> dict[str, Subject]:
    return {row.subject.digest: row.subject for row in page.rows}


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
        "method": plot.method,
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
        "mean": None if point.mean is None else exact(point.mean),
        "lower": exact(point.lower),
        "upper": exact(point.upper),
        "planned": point.planned,
    }


def _ran(ran: Ran) -> dict[str, Any]:
    result = ran.result
    tried = result.protocol.elicitation != UNKNOWN  # else a log of somebody's, which does not say how hard
    return {
        "entry": result.entry,
        "subject": ran.subject,
        "task": f"{result.protocol.task}@{result.protocol.task_version}",
        "elicitation": result.protocol.elicitation,
        "shots": result.protocol.shots if tried else None,
        "demonstrations": result.protocol.demonstrations if tried else None,
        "planned": result.protocol.samples,
        "scored": result.scored,
        "correct": result.correct,
        "intervals": {measure: _interval(interval) for measure, interval in ran.intervals.items()},
        "flop": str(result.flop) if tried else None,
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
        "method": interval.method,
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
