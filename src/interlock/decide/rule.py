"""The one rule (docs/semantics.md): permit only what the evidence shows; everything else is a hold.

A gate permits an action on a subject if, for every threshold listed there, the subject is shown to be below it or
every requirement listed is met, and no threshold is overdue for evaluation. Numbers in comments are those of
docs/semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.clock import Clock
from interlock.decide.decision import Bounds, Cell, Decision, Held, Reason, Ruling, Verdict, against, timestamp
from interlock.decide.duties import started
from interlock.decide.earlier import Past
from interlock.decide.finding import find
from interlock.decide.index import Index
from interlock.decide.line import plain
from interlock.decide.quantity import amount
from interlock.decide.requirement import incident_against, require
from interlock.decide.view import Case, Sought, View, least
from interlock.policy.model import Amount, AtLeast, Threshold
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from interlock.decide.facts import Facts, Result, Version
    from interlock.decide.view import Section
    from interlock.policy.model import Demand, Expr, RuleOut
    from interlock.policy.time import Duration


def decide(
    versions: Sequence[Version],
    facts: Facts,
    *,
    subject: str,
    action: str,
    at: datetime,
    deployment: str | None = None,
) -> Decision:
    """Decide `action` on `subject` (a manifest digest), as offered in `deployment`, at the time `at`.

    Total: whatever is missing, stale or unknown ends in `hold` with a reason; nothing is raised for it.
    """
    return Decider(versions, facts).decide(subject=subject, action=action, at=at, deployment=deployment)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one policy says, and how far: most compute (None: any), the leases, the ends of all that it relies on."""

    ruling: Ruling
    reach: Fraction | None = None
    leases: tuple[Duration, ...] = ()
    ends: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """Everything in a decision but its time, and the window in which it stays as it is."""

    since: datetime
    until: datetime
    reasons: tuple[Reason, ...]
    judged: tuple[_Judged, ...]


class Decider:
    """All policies and all facts of one ledger, to be asked many times.

    Between two moments at which nothing expires and nothing falls due, the answer stays as it is and is not worked out
    again: what is kept holds exactly within the window that its `Clock` has recorded.
    """

    def __init__(self, versions: Sequence[Version], facts: Facts) -> None:
        self.facts, self.index = facts, Index(facts)
        policies: dict[str, list[Version]] = {}
        for version in in_order(versions):
            policies.setdefault(version.policy.id, []).append(version)
        self.policies = {name: tuple(found) for name, found in sorted(policies.items())}
        self._seen: dict[tuple[str, str, str | None], _Seen] = {}

    def decide(self, *, subject: str, action: str, at: datetime, deployment: str | None = None) -> Decision:
        """The decision at one time."""
        key = (subject, action, deployment)
        seen = self._seen.get(key)
        if seen is None or not seen.since <= at < seen.until:
            seen = self._seen[key] = self._look(subject, action, at, deployment)
        governing = [it for it in seen.judged if it.ruling.governs]
        reasons = seen.reasons
        if not governing and not reasons:
            text = f"every policy in force leaves `{action}` open, or this subject out of its scope; silence holds"
            reasons = (Reason("ungoverned", text),)
        permitted = not reasons and all(it.ruling.verdict == "permit" for it in governing)
        bounds = self._bounds(seen.judged, at) if permitted else None
        rulings = tuple(it.ruling for it in seen.judged)
        verdict: Verdict = "permit" if permitted else "hold"
        seen_at, lapses = self.facts.checkpoint, self.facts.lapses
        return Decision(verdict, action, subject, deployment, seen_at, at, rulings, reasons, bounds, lapses)

    def _bounds(self, judged: Sequence[_Judged], at: datetime) -> Bounds:
        """How far a permit reaches (rules 41 and 43)."""
        ends = [moment for it in judged for moment in (*it.ends, *(lease.after(at) for lease in it.leases))]
        later = [v.since for versions in self.policies.values() for v in versions if v.since > at]
        most = min(it.reach for it in judged if it.reach is not None)
        return Bounds(most.__floor__(), min([*ends, *later]))

    def _look(self, subject: str, action: str, at: datetime, deployment: str | None) -> _Seen:
        clock = Clock(at)
        reasons = self._standing(subject, deployment, clock)
        asked = []
        for versions in self.policies.values():
            in_force = [place for place, version in enumerate(versions) if clock.passed(version.since)]
            if in_force:
                case = Case(versions, self.index, action, clock)
                asked.append(View(case, in_force[-1], versions[0].entered, subject, deployment))
        if not asked:
            first = min((v.since for versions in self.policies.values() for v in versions), default=None)
            when = f"; the first takes effect at {timestamp(first)}" if first else ""
            reasons.append(Reason("not-in-force", f"no policy is in force{when}"))
        stale = {view.policy.id: self._stale(view) if governs(view) else [] for view in asked}
        stands = not reasons and not any(stale.values())
        judged = [self._judge(view, stale[view.policy.id], stands=stands) for view in asked]
        return _Seen(clock.since, clock.until, tuple(reasons), tuple(judged))

    def _standing(self, subject: str, deployment: str | None, clock: Clock) -> list[Reason]:
        """What must be in order before any policy is looked at (rule 38)."""
        reasons, checkpoint = [], self.facts.checkpoint
        if subject not in self.facts.subjects:
            reasons.append(Reason("unknown-subject", "the ledger has no such subject", "interlock subject add PATH"))
        elif not self.index.known(subject):
            reasons.append(
                Reason(
                    "unknown-parent", "the ledger does not know what the subject was made from", "register its parents"
                )
            )
        if deployment is not None:
            offered = self.facts.deployments.get(deployment)
            if offered is None or offered.subject != subject:
                reasons.append(
                    Reason("unknown-deployment", "the ledger has no such deployment of this subject", "register it")
                )
        if not clock.passed(checkpoint.time):
            reasons.append(Reason("clock", "asked for a time before the ledger's own"))
        return reasons

    def _stale(self, view: View) -> list[Reason]:
        """Whether the ledger's checkpoint is too old for a policy (rule 38)."""
        checkpoint, age = self.facts.checkpoint, view.policy.permits.ledger_age
        if not view.passed(age.after(checkpoint.time)):
            return []
        text = f"the ledger's checkpoint is of {timestamp(checkpoint.time)}, older than the policy allows"
        return [Reason("stale-ledger", text, "have the log sign a new checkpoint")]

    def _judge(self, view: View, stale: list[Reason], *, stands: bool) -> _Judged:
        """What one policy says, in the version in force: the latest horizon from which it permits, or why there is
        none (rules 35 to 41). Without standing it holds.
        """
        version, known = view.case.versions[view.current], self.index.known(view.subject)

        def ruling(verdict: Verdict, cells: tuple[Cell, ...], reasons: Sequence[Reason]) -> Ruling:
            here = tuple(cell for cell in cells if cell.finding.threshold in view.policy.thresholds)
            begun = started(view, here, verdict) if known else ()
            name, number = version.policy.id, version.policy.version
            why = against(reasons, cells)
            return Ruling(name, number, version.digest, True, verdict, cells, tuple(reasons), begun, why)  # noqa: FBT003

        if not governs(view):
            return self._left_open(view)
        reasons = [*_shut(view), *stale]
        if not known:
            return _Judged(ruling("hold", (), reasons))
        gates: list[_Gate] = []
        for first in range(view.current, -1, -1) if stands else ():
            gates, edges = _gates(view, first)
            if gates and all(gate.permits and not gate.no_room() for gate in gates):
                leases = tuple(gate.view.policy.permits.lease for gate in gates)
                ends = tuple(moment for gate in gates for moment in gate.ends())
                reach = min([*(gate.reach() for gate in gates), *edges])
                return _Judged(ruling("permit", gates[-1].cells, ()), reach, leases, ends)
        gate = gates[-1] if gates else _Gate(view)  # the last ones, with everything since the first version counted
        if stands and gate.permits:
            reasons = gate.no_room() or [_superseded(view)]
        return _Judged(ruling("hold", gate.cells, reasons))

    def _left_open(self, view: View) -> _Judged:
        """A policy that leaves the action open: it holds only where an earlier version did, by what that has seen."""
        version = view.case.versions[view.current]
        scope = _edge(view)
        gate = _Gate(view) if self.index.known(view.subject) else None
        name, number = version.policy.id, version.policy.version
        if gate is None or not (gate.cells or gate.limits):
            return _Judged(Ruling(name, number, version.digest, False, "hold", (), (), ()), scope)  # noqa: FBT003
        closed = not all(cell.opens for cell in gate.cells)
        reasons = () if closed else tuple(gate.no_room())
        holds = closed or bool(reasons)
        cells = gate.cells if holds else ()
        ruling = Ruling(name, number, version.digest, holds, "hold", cells, reasons, (), against(reasons, cells))
        return _Judged(ruling, least([gate.reach(), scope]), (view.policy.permits.lease,), tuple(gate.ends()))


def in_order(versions: Sequence[Version]) -> list[Version]:
    """The versions by the time from which they are in force: never before the ledger had them (rule 35)."""
    return sorted((replace(it, since=max(it.since, it.entered)) for it in versions), key=lambda it: it.since)


def _listed(view: View) -> dict[str, tuple[str, ...]]:
    """The cells that gate the action, with what they require; none where the version does not govern it."""
    return _gating(view) if governs(view) else {}


def _gating(view: View) -> dict[str, tuple[str, ...]]:
    """The cells that would gate the action if the version governs it."""
    cells = view.policy.gates.get(view.case.action, {})
    return {name: cell.requires for name, cell in cells.items() if cell.requires}


def _left(view: View) -> tuple[list[tuple[View, Cell]], list[Held]]:
    """The cells of earlier versions' gates that this version's does not have, as far as what they have seen keeps their
    thresholds from being below (rule 36): nothing that was reached is got rid of by leaving it out. And until when, and
    up to how much compute, the others do not.
    """
    own, left, limits = _listed(view), [], []
    for place in range(view.current):
        then = view.earlier(place)
        dropped = {name: requires for name, requires in _gating(then).items() if name not in own}
        if not governs(then):
            limits += [Held(LATEST, _edge(then))] if dropped else []
            continue
        for name, requires in dropped.items():
            past = Past(view, place)
            reached, clear = past.left(name), past.clear(name, Fraction(1), Fraction(1))
            if clear.holds and not reached:
                limits.append(Held(min([clear.expires, *past.excused]), clear.reach))
                continue
            finding = find(then, name)
            if finding.state == "below":
                limits.append(Held(finding.tree.expires, finding.tree.reach))
            else:
                requirements = require(then, requires, finding)
                finding = replace(finding, overdue=None)  # nobody is to evaluate it any more
                left.append((then, Cell(finding, requirements, all(it.met for it in requirements))))
    return left, limits


def _gates(view: View, first: int) -> tuple[list[_Gate], list[Fraction]]:
    """The gates of the versions from one to that in force, as far as they govern, from the first one's horizon; and up
    to how much effective compute the others do not.
    """
    case, version = view.case, view.case.versions[first]
    horizon = version.since if first else version.entered
    views = [View(case, at, horizon, view.subject, view.deployment) for at in range(first, view.current + 1)]
    if not governs(views[0]):
        return [], []
    edges = (_edge(it) for it in views if not governs(it))
    return [_Gate(it) for it in views if governs(it)], [edge for edge in edges if edge is not None]


def _shut(view: View) -> list[Reason]:
    """Why a policy holds whatever the evidence (rules 37 and 39)."""
    reasons, policy, action = [], view.policy, view.case.action
    cells = policy.gates.get(action)
    if cells is None:
        reasons.append(Reason("silent", f"the policy does not gate `{action}`; what it is silent about holds"))
    elif not _gating(view):
        reasons.append(Reason("empty-gate", f"the policy lists no threshold at `{action}`; an empty gate holds"))
    if policy.expires is not None and view.passed(policy.expires):
        reasons.append(Reason("policy-expired", f"the policy expired at {timestamp(policy.expires)}"))
    return reasons


def governs(view: View) -> bool:
    """Whether a version governs the action for the subject (rule 39)."""
    if view.case.action in view.policy.not_governed:
        return False
    return view.subject not in view.index.facts.subjects or _outside(view, view.policy.scope.subjects) is None


def _outside(view: View, expr: Expr | None) -> Fraction | None:
    """Up to how much effective compute the subject is certainly outside a scope (rules 39 and 41); None: it is not."""
    if isinstance(expr, Amount):
        node = amount(view, expr.quantity, expr.level, kind="scope")
        return node.reach if node.holds else None
    if not isinstance(expr, AtLeast):
        return None
    parts = sorted((it for part in expr.parts if (it := _outside(view, part)) is not None), reverse=True)
    need = len(expr.parts) - expr.count + 1
    return parts[need - 1] if 0 < need <= len(parts) else None


def _edge(view: View) -> Fraction | None:
    """Up to how much effective compute a version does not govern an action that its scope leaves out (rule 41)."""
    return None if view.case.action in view.policy.not_governed else _outside(view, view.policy.scope.subjects)


def _superseded(view: View) -> Reason:
    """What stands is only enough because a later version asks for less (rule 35)."""
    for gate in reversed(_gates(view, 0)[0]):
        if not gate.permits:
            held = next((f"`{cell.finding.threshold}`" for cell in gate.cells if not cell.opens), "the gate")
            text = f"version {gate.view.policy.version}, in force before, holds on {held}"
            text += ": a looser version helps only later evidence"
            return Reason("superseded", text, "plan and evaluate again under the version in force")
    return Reason("superseded", "earlier versions do not permit it together", "plan and evaluate again")


class _Gate:
    """One version's gate for the action, from one horizon (rules 36 and 37)."""

    def __init__(self, view: View) -> None:
        self.view = view
        own = [(view, self._cell(name, requires)) for name, requires in _listed(view).items()]
        left, self.limits = _left(view)
        self.seen = [*own, *left]
        self.cells = tuple(cell for _, cell in self.seen)
        expires = view.policy.expires
        self.permits = (
            bool(own) and all(cell.opens for cell in self.cells) and not (expires is not None and view.passed(expires))
        )

    def _cell(self, name: str, requires: Sequence[str]) -> Cell:
        finding = find(self.view, name)
        requirements = require(self.view, requires, finding)
        met = all(it.met for it in requirements)
        return Cell(finding, requirements, finding.overdue is None and (finding.state == "below" or met))

    def ends(self) -> list[datetime]:
        """When the things that the open cells rely on end (rule 43)."""
        found = [self.view.policy.expires] if self.view.policy.expires else []
        found += [it.expires for it in self.limits]
        for cell in self.cells:
            if cell.finding.state == "below":
                found.append(cell.finding.tree.expires)
            else:
                found += [it.tree.expires for it in cell.requirements]
                found += [cell.finding.evaluated.expires] if cell.finding.evaluated else []
        return found

    def reach(self) -> Fraction:
        """The most effective compute that the evidence reaches (rule 41)."""
        low = self.view.model.ec_low
        limits = [low * self.view.policy.refresh.multiple, *(it.reach for it in self.limits if it.reach is not None)]
        for view, cell in self.seen:
            rule = view.policy.thresholds[cell.finding.threshold].rule_out
            if rule is not None:
                limits.append(low * min(rule.refresh.multiple, rule.buffer.multiple))
            if cell.finding.state == "below":
                relied = [cell.finding.tree.reach]
            else:
                relied = [it.tree.reach for it in cell.requirements]
                relied += [cell.finding.evaluated.reach] if cell.finding.evaluated else []
            limits += [reach for reach in relied if reach is not None]
        return min(limits)

    def no_room(self) -> list[Reason]:
        """Why what the gate relies on leaves a permit no room (rules 37, 41 and 43)."""
        most, high, lease = self.reach().__floor__(), self.view.model.ec_high, self.view.policy.permits.lease
        if high > most:
            text = f"effective compute may be {high} FLOP, over the {most} FLOP that the evidence reaches"
            return [Reason("compute-uncertain", text)]
        if any(self.view.passed(moment) for moment in self.ends()) or (lease.months, lease.seconds) == (0, 0):
            return [Reason("expired", "what the permit would rely on has expired", "evaluate again")]
        return []


def unevaluated(
    versions: Sequence[Version], facts: Facts, *, owner: tuple[Section, str], subject: str, at: datetime
) -> tuple[tuple[str, Demand], ...]:
    """The (measure, demand) pairs of an `owner` (thresholds or requirements, and a name there) that no sound, fresh
    result on the subject covers under the version in force.
    """
    found = _view(versions, facts, subject, at)
    return tuple(
        (sought.measure.name, demand)
        for sought in _sought(found, owner)
        for demand in sought.rule.elicitation
        if not found.sound(sought, subject, demand)
    )


def defects(
    versions: Sequence[Version], facts: Facts, *, threshold: str, result: Result, at: datetime
) -> tuple[str, ...]:
    """Why a result may not count towards a permit at a threshold, in words: those of the demand that it comes nearest
    to, which is one of its own elicitation where there is any; empty if it may.
    """
    found = _view(versions, facts, result.subject, at)
    against = [
        (demand.elicitation != result.protocol.elicitation, tuple(found.defects(result, sought, demand)))
        for sought in _sought(found, ("thresholds", threshold))
        if sought.measure.task == result.protocol.task
        for demand in sought.rule.elicitation
    ]
    nearest = min(against, key=lambda it: (it[0], len(it[1])), default=(True, ("it measures something else",)))
    return nearest[1]


def _sought(view: View, owner: tuple[Section, str]) -> list[Sought]:
    """What a threshold or a measured requirement looks for, measure by measure."""
    section, name = owner
    held = getattr(view.policy, section)[name]
    rule: RuleOut | None = getattr(held, "rule_out", None)
    if rule is None:
        return []
    measures = held.measures if isinstance(held, Threshold) else [held.measure]
    after = incident_against(view, name) if section == "requirements" else None
    bases = [base for one in measures for base, _ in plain(view.policy, one)]
    return [Sought(owner, rule, base, (view.subject,), after) for base in bases]


def _view(versions: Sequence[Version], facts: Facts, subject: str, at: datetime) -> View:
    """The version in force, with everything since the first one counted."""
    ordered = in_order(versions)
    case = Case(ordered, Index(facts), "", Clock(at))
    current = max((place for place, it in enumerate(ordered) if it.since <= at), default=0)
    return View(case, current, ordered[0].entered, subject, None)
