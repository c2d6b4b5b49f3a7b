"""The answer: rulings, cells, findings, the tree of reasons, and the bounds of a permit. Values and their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from interlock.policy import exact
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from interlock.decide.bounds import Tally
    from interlock.decide.facts import Checkpoint, Lapse
    from interlock.policy.duty import Dues, Schedule

State = Literal["below", "reached", "not ruled out"]
Verdict = Literal["permit", "hold"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is (`code` is stable), and what would change it; no `resume` means nothing would."""

    code: str
    text: str
    resume: str | None = None


#: The bounds of counts, by whether a run may stop when it likes.
_METHODS = {False: "Clopper-Pearson", True: "e-process (uniform mixture)"}


@dataclass(frozen=True, slots=True)
class Counted:
    """One result as it counts in the bounds, which are one-sided at `alpha`, on the measure's own scale.

    `total` is the sum of the scores where they are not all 0 or 1; `stopped_at` after how many of the planned samples
    it stopped by its plan's rule (None: it did not); `recipe` says how it was elicited. `tally` None: it cannot be read
    for the measure.
    """

    entry: int
    elicitation: str
    demonstrations: int
    planned: int
    stopped_at: int | None
    scored: int
    correct: int
    total: Fraction | None
    recipe: str
    admissible: bool
    withdrawn: bool
    tally: Tally | None
    alpha: Fraction
    scale: Scale

    @property
    def upper(self) -> Fraction:
        """The upper bound; the end of the scale where nothing can be read."""
        return self.scale.upper([self.tally], self.alpha)

    @property
    def lower(self) -> Fraction:
        """The lower bound; the end of the scale where nothing can be read."""
        return self.scale.lower([self.tally], self.alpha)


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of a measure: its ends, and whether smaller is more dangerous, so that its tallies are turned."""

    low: Fraction
    high: Fraction
    turned: bool

    def turn(self, value: Fraction) -> Fraction:
        """Between the measure's own scale and that on which more is more dangerous."""
        return self.low + self.high - value if self.turned else value

    def dangerous(self, tallies: Sequence[Tally | None], alpha: Fraction) -> Fraction:
        """The greatest U (rule 4), turned; `high` without any."""
        return max((t.upper(alpha) if t else self.high for t in tallies), default=self.high)

    def shown(self, tallies: Sequence[Tally | None], alpha: Fraction) -> Fraction:
        """The greatest L (rule 4), turned; `low` without any."""
        return max((t.lower(alpha) if t else self.low for t in tallies), default=self.low)

    def upper(self, tallies: Sequence[Tally | None], alpha: Fraction) -> Fraction:
        """The upper bound on the measure's own scale."""
        return self.turn(self.shown(tallies, alpha)) if self.turned else self.dangerous(tallies, alpha)

    def lower(self, tallies: Sequence[Tally | None], alpha: Fraction) -> Fraction:
        """The lower bound on the measure's own scale."""
        return self.turn(self.dangerous(tallies, alpha)) if self.turned else self.shown(tallies, alpha)


@dataclass(frozen=True, slots=True)
class Certified:
    """An assumption that a check shows, and its entry: for results of one recipe, on so many demonstrations or more,
    whose bounds are read at so much confidence or more.
    """

    assumption: str
    recipe: str
    demonstrations: int
    confidence: Fraction
    entry: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What the results say about one plain measure at one level. `confidence` is that of each bound, after it was
    divided among parts; `set_aside` are (entry, reason) of the results that were taken out; `certified` the results
    for which the assumptions of the rule's demands are shown.
    """

    measure: str
    level: Fraction
    margin: Fraction
    confidence: Fraction
    scale: Scale
    counted: tuple[Counted, ...]
    set_aside: tuple[tuple[int, str], ...]
    certified: tuple[Certified, ...]

    @property
    def upper(self) -> Fraction:
        """The upper bound that counts: on the dangerous side the largest over all results."""
        return self.scale.upper([it.tally for it in self.counted], 1 - self.confidence)

    @property
    def lower(self) -> Fraction:
        """The lower bound that counts: on the dangerous side the largest over all results."""
        return self.scale.lower([it.tally for it in self.counted], 1 - self.confidence)

    @property
    def method(self) -> str:
        """The name of the bound."""
        tallies = [it.tally for it in self.counted if it.tally is not None]
        if any(not it.binary for it in tallies):
            return "Hoeffding, one-sided"
        named = {it.sequential: _METHODS[it.sequential] for it in tallies} or {False: _METHODS[False]}
        return f"{' and '.join(named[it] for it in sorted(named))}, one-sided"


@dataclass(frozen=True, slots=True)
class Node:
    """One part of the explanation. It `holds` (a threshold or a part of it is below; a requirement is met) if it has no
    `reasons` and at least `need` of its `parts` hold.

    While it holds: until `expires`, and up to `reach` FLOP of effective compute (None: it sets no limit).
    """

    kind: str
    text: str
    holds: bool
    state: State | None = None
    reasons: tuple[Reason, ...] = ()
    parts: tuple[Node, ...] = ()
    need: int = 0
    reading: Reading | None = None
    expires: datetime = LATEST
    reach: Fraction | None = None

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class Held:
    """Something that is shown: until when, and up to how much effective compute (None: it sets no limit)."""

    expires: datetime
    reach: Fraction | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What the evidence shows about one threshold. `evaluated` is when its evaluation ends; None: it is overdue unless
    it is below.
    """

    threshold: str
    state: State
    tree: Node
    overdue: Reason | None
    evaluated: Held | None
    unreached: datetime = LATEST

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Every reason in the tree that stands against `below`, each once."""
        return tuple(dict.fromkeys([*_against(self.tree), *([self.overdue] if self.overdue else [])]))

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The readings of every measure in the tree, each once."""
        return tuple(dict.fromkeys(node.reading for node in self.tree.walk() if node.reading))


def _against(node: Node) -> Iterator[Reason]:
    if node.holds:
        return
    yield from node.reasons
    for part in node.parts if node.state != "reached" else ():
        yield from _against(part)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of a cell, met or not."""

    name: str
    kind: str
    met: bool
    tree: Node

    @property
    def reason(self) -> Reason:
        """The first thing to say about it: of a requirement that is met, what meets it."""
        node = self.tree
        while not node.reasons:
            node = next(part for part in node.parts if part.holds == self.met)
        return node.reasons[0]


@dataclass(frozen=True, slots=True)
class Cell:
    """One threshold at the gate: it opens if it is not overdue, and below or with every requirement met."""

    finding: Finding
    requirements: tuple[Requirement, ...]
    opens: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a permit may reach: most effective compute in FLOP, and the moment after which it is void."""

    most_effective_compute: int
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """A duty that starts with what was found. `since` is when its clocks began; None: with the decision itself. `when`
    is that of the entry of `on_hold` whose answer it is.
    """

    duty: str
    what: str
    about: str
    since: datetime | None
    schedule: Schedule
    when: tuple[str, ...] = ()

    def dues(self, at: datetime) -> Dues:
        """When it is due, as the decision of that time tells it."""
        return self.schedule.dues(self.since or at, at)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one policy says. `version` and `digest` are those of the version in force; `against` is every reason of its
    hold, its own `reasons` and those of its cells.
    """

    policy: str
    version: str
    digest: str
    governs: bool
    verdict: Verdict
    cells: tuple[Cell, ...]
    reasons: tuple[Reason, ...]
    started: tuple[Started, ...]
    against: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`permit` or `hold` for one action on one subject, at one time, under all policies and one state of the ledger.

    `lapses` are the duties that the ledger says were not done in time, whatever they were about.
    """

    verdict: Verdict
    action: str
    subject: str
    deployment: str | None
    checkpoint: Checkpoint
    at: datetime
    rulings: tuple[Ruling, ...]
    reasons: tuple[Reason, ...]
    bounds: Bounds | None
    lapses: tuple[Lapse, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of every ruling."""
        return tuple(cell for ruling in self.rulings for cell in ruling.cells)

    @property
    def holding(self) -> tuple[Cell, ...]:
        """The cells that hold."""
        return tuple(cell for cell in self.cells if not cell.opens)

    @property
    def all_reasons(self) -> tuple[Reason, ...]:
        """Every reason for the hold, whatever it is about; empty for a permit."""
        said = [self.reasons, *(ruling.against for ruling in self.rulings)]
        told = [reasons for reasons in said if reasons]
        return told[0] if len(told) == 1 else tuple(dict.fromkeys(reason for reasons in told for reason in reasons))


def against(reasons: Iterable[Reason], cells: Iterable[Cell]) -> tuple[Reason, ...]:
    """Every reason of a hold: a policy's own, and those of its cells that hold, each once."""
    found = [*reasons]
    for cell in cells:
        if not cell.opens:
            found += cell.finding.reasons
            found += [reason for requirement in cell.requirements for reason in _against(requirement.tree)]
    return tuple(dict.fromkeys(found))


def finding_digest(where: Mapping[str, str], state: State, seen: Iterable[str]) -> str:
    """What an approval names (rule 30): the finding that it saw, and every statement on the subject's kin by then."""
    import rfc8785

    saw = {**where, "state": state, "seen": sorted(seen)}
    return sha256(rfc8785.dumps(saw)).hexdigest()


#: The order in which people read actions; any other follows.
_ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")


def in_order(actions: Iterable[str]) -> list[str]:
    """Actions from the least to the most irreversible, as people read them."""
    return sorted(actions, key=lambda name: (_ACTIONS.index(name) if name in _ACTIONS else len(_ACTIONS), name))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_json(decision: Decision) -> dict[str, Any]:
    """Plain JSON: quantities as exact strings, so that other implementations read the same numbers."""
    from interlock.decide.resume import resume, ways

    def cell(it: Cell) -> dict[str, Any]:
        return {
            "threshold": it.finding.threshold,
            "opens": it.opens,
            "finding": _finding(it.finding),
            "requirements": [
                {"name": r.name, "kind": r.kind, "met": r.met, "tree": _node(r.tree)} for r in it.requirements
            ],
            "lifts": [list(way) for way in ways(it)] if not it.opens else [],
        }

    return {
        "verdict": decision.verdict,
        "action": decision.action,
        "subject": decision.subject,
        "deployment": decision.deployment,
        "at": timestamp(decision.at),
        "checkpoint": {
            "size": decision.checkpoint.size,
            "root": decision.checkpoint.root,
            "time": timestamp(decision.checkpoint.time),
        },
        "reasons": [_reason(reason) for reason in decision.reasons],
        "rulings": [
            {
                "policy": ruling.policy,
                "version": ruling.version,
                "digest": ruling.digest,
                "governs": ruling.governs,
                "verdict": ruling.verdict,
                "reasons": [_reason(reason) for reason in ruling.reasons],
                "cells": [cell(it) for it in ruling.cells],
                "duties": [started_to_json(it, decision.at) for it in ruling.started],
            }
            for ruling in decision.rulings
        ],
        "non_compliance": [_lapse(it) for it in decision.lapses],
        "resume": [list(way) for way in resume(decision)],
        "bounds": None
        if decision.bounds is None
        else {
            "most_effective_compute": str(decision.bounds.most_effective_compute),
            "not_after": timestamp(decision.bounds.not_after),
        },
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {"code": reason.code, "text": reason.text, "resume": reason.resume}


def started_to_json(it: Started, at: datetime) -> dict[str, Any]:
    """A duty that starts, with its times, as plain JSON."""
    dues = it.dues(at)
    times = {
        "first_due": dues.first,
        "previous_due": dues.previous,
        "opens": dues.opens,
        "next_due": dues.next,
        "final_due": dues.final,
    }
    return {
        "duty": it.duty,
        "what": it.what,
        "about": it.about,
        "when": list(it.when),
        "since": timestamp(it.since or at),
        **{name: timestamp(moment) if moment else None for name, moment in times.items()},
    }


def _lapse(it: Lapse) -> dict[str, Any]:
    due = timestamp(it.due)
    return {"entry": it.entry, "of": it.of, "duty": it.duty, "what": it.what, "due": due, "done": it.done}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "state": finding.state,
        "overdue": finding.overdue is not None,
        "evaluated_until": None if finding.evaluated is None else timestamp(finding.evaluated.expires),
        "reasons": [_reason(reason) for reason in finding.reasons],
        "tree": _node(finding.tree),
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "kind": node.kind,
        "text": node.text,
        "holds": node.holds,
        "state": node.state,
        "reasons": [_reason(reason) for reason in node.reasons],
        "need": node.need,
        "parts": [_node(part) for part in node.parts],
        "reading": None if node.reading is None else _reading(node.reading),
        "expires": timestamp(node.expires) if node.holds and node.expires != LATEST else None,
        "reach": str(node.reach.__floor__()) if node.holds and node.reach is not None else None,
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "measure": reading.measure,
        "level": exact(reading.level),
        "margin": exact(reading.margin),
        "confidence": exact(reading.confidence),
        "upper": exact(reading.upper),
        "lower": exact(reading.lower),
        "method": reading.method,
        "counted": [_counted(counted) for counted in reading.counted],
        "set_aside": [{"entry": entry, "reason": reason} for entry, reason in reading.set_aside],
        "certified": [_certified(it) for it in reading.certified],
    }


def _certified(it: Certified) -> dict[str, Any]:
    return {
        "assumption": it.assumption,
        "recipe": it.recipe,
        "demonstrations": it.demonstrations,
        "confidence": exact(it.confidence),
        "entry": it.entry,
    }


def _counted(counted: Counted) -> dict[str, Any]:
    return {
        "entry": counted.entry,
        "elicitation": counted.elicitation,
        "demonstrations": counted.demonstrations,
        "planned": counted.planned,
        "stopped_at": counted.stopped_at,
        "scored": counted.scored,
        "correct": counted.correct,
        "total": None if counted.total is None else exact(counted.total),
        "recipe": counted.recipe,
        "upper": exact(counted.upper),
        "lower": exact(counted.lower),
        "admissible": counted.admissible,
        "withdrawn": counted.withdrawn,
    }
