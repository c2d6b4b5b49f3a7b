"""Findings: what the evidence shows about a threshold (docs/semantics.md, rules 21 to 28 and 41 to 43).

Each part of a threshold's expression becomes a `Node` of the explanation: it holds if the subject is shown to be below.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.decision import Finding, Held, Node, Reason, State
from interlock.decide.earlier import Past, same_way
from interlock.decide.judged import Bench
from interlock.decide.leaf import Leaf, at_least, demanded, no_room, not_under, tests
from interlock.decide.one_result import fits, scale, tally
from interlock.decide.quantity import amount
from interlock.decide.view import Sought, least
from interlock.policy import exact
from interlock.policy.model import (
    Amount,
    At,
    AtLeast,
    Measure,
    Ref,
    RuleOut,
    Threshold,
    UnderQuantity,
    UnderReference,
)
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from interlock.decide.view import View
    from interlock.policy.model import BelowIf, Expr

ONE = Fraction(1)


def find(view: View, name: str, *, outer: Fraction = ONE, share: Fraction = ONE) -> Finding:
    """The finding on a threshold (rules 25 and 28). `outer` caps alpha, `share` divides it."""
    key = (name, outer, share)
    if key not in view.findings:
        view.findings[key] = _Finding(view, view.policy.thresholds[name], outer, share).made()
    return view.findings[key]


class _Finding:
    """One threshold on its way to a finding. `alpha` is what being below may cost, `share` how it is divided."""

    def __init__(self, view: View, threshold: Threshold, outer: Fraction, share: Fraction) -> None:
        self.view, self.threshold, self.rule = view, threshold, threshold.rule_out
        self.alpha = min(outer, 1 - self.rule.confidence) if self.rule else outer
        self.share = share / max(1, tests(threshold))
        self.bench = Bench(view, threshold)
        self.excused: list[datetime] = []
        past = (Past(view, place) for place in range(view.current))
        having = (it for it in past if threshold.name in it.version.policy.thresholds)
        self.before = [(it, it.clear(threshold.name, self.alpha, share)) for it in having]

    def made(self) -> Finding:
        """The finding, with its tree."""
        expr = self.threshold.reached_when
        expression = None if expr is None else self._part(expr, self.share)
        reached = self._reached(expression)
        ways = self._ways(expression)
        way = None if reached else next((way for way in ways if way.holds), None)
        hidden = self.view.unreported(self.threshold.name) if way else []
        late = self.view.blocking(hidden)
        below = None if late else way
        state: State = "reached" if reached else "below" if below else "not ruled out"
        tree = Node(
            kind="threshold",
            text=self.threshold.name,
            holds=below is not None,
            state=state,
            reasons=tuple(reached or late),
            parts=tuple([*ways, expression] if expression is not None and _speaks_against(expression, ways) else ways),
            need=1,
        )
        if below:
            ends = [below.expires, *self.excused, *(self.view.due(plan) for plan in hidden)]
            tree = replace(tree, expires=min(ends), reach=below.reach)
        unreached = min([LATEST, *self.excused])
        evaluated = self._evaluated()
        overdue = self._overdue() if state != "below" and evaluated is None else None
        return Finding(self.threshold.name, state, tree, overdue, evaluated, unreached)

    # -- reached -------------------------------------------------------------------------------------------------------

    def _reached(self, expression: Node | None) -> list[Reason]:
        """What makes the threshold reached (rule 25)."""
        view, name = self.view, self.threshold.name
        found = list(expression.reasons) if expression is not None and expression.state == "reached" else []
        for past, _ in self.before:
            found += past.reached(name)
            self.excused += past.excused
        for incident in view.incidents_naming(name):
            found.append(Reason("incident", f"the incident of entry {incident.entry} (`{incident.kind}`) names it"))
        judged, until = self.bench.reached()
        found += judged
        self.excused += until
        for other in view.policy.thresholds.values():
            if name in other.above:
                higher = find(view, other.name)
                self.excused.append(higher.unreached)
                if higher.state == "reached":
                    found.append(Reason("reached-above", f"`{other.name}`, a higher level, is reached"))
        return found

    # -- below ---------------------------------------------------------------------------------------------------------

    def _ways(self, expression: Node | None) -> list[Node]:
        """The ways to be below, in order of writing (rules 25 and 42)."""
        if self.threshold.hole:
            text = "nobody has said yet when it is reached; only an amendment can"
            return [Node("hole", "unspecified", holds=False, reasons=(Reason("hole", text),))]
        ways = [self._as_before(self._below_if(way), way) for way in self.threshold.below_if]
        if self.threshold.judged is not None:
            return [*ways, self._as_before(self.bench.node(), None)]
        assert expression is not None  # noqa: S101  else it would be a hole
        return [*ways, self._as_before(expression, None)]

    def _as_before(self, node: Node, way: BelowIf | None) -> Node:
        """A way to be below, and what earlier versions that did not have it make of what they have seen (rule 7)."""
        name, policy = self.threshold.name, self.view.policy
        asked = [it for past, it in self.before if not same_way(past.version.policy, policy, name, way)]
        against = [it for it in asked if not it.holds]
        if against:
            state: State = "reached" if node.state == "reached" else "not ruled out"
            return Node("versions", node.text, False, state, (), (node, *against), 1 + len(against))  # noqa: FBT003
        limits = [node, *asked]
        return replace(node, expires=min(it.expires for it in limits), reach=least(it.reach for it in limits))

    def _below_if(self, way: BelowIf) -> Node:
        if isinstance(way, UnderQuantity):
            return amount(self.view, way.quantity, way.level, kind="below-if")
        if isinstance(way, UnderReference):
            return self._under_reference(way)
        tree = find(self.view, way.threshold, outer=self.alpha, share=self.share).tree
        return _through(tree, kind="below-if", text=f"below `{way.threshold}`")

    def _under_reference(self, way: UnderReference) -> Node:
        """No more capable than another subject, which is below (rule 26)."""
        view, rule = self.view, self.rule
        text = f"no more capable than `{way.subject}` on {', '.join(way.on)} by {exact(way.margin)}"
        named = view.index.named(way.subject)
        measures = [m for name in way.on if isinstance(m := view.policy.measures.get(name), Measure)]
        usable = 0 < len(way.on) == len(measures) and view.references
        if (
            rule is None
            or named is None
            or named.digest == view.subject
            or not usable
            or not view.index.known(named.digest)
        ):
            reason = Reason("unknown-reference", f"`{way.subject}` is not one other subject that the ledger knows")
            return Node("below-if", text, holds=False, reasons=(reason,))
        there = view.other(named.digest)
        parts = [find(there, self.threshold.name, outer=self.alpha, share=self.share).tree]
        parts += [self._compared(there, measure, rule, way.margin) for measure in measures]
        reach = least(part.reach for part in parts)
        room = () if view.has_room(reach) else (no_room(view),)
        holds = not room and all(part.holds for part in parts)
        state: State = "below" if holds else "not ruled out"
        expires = min(part.expires for part in parts)
        return Node("below-if", text, holds, state, room, tuple(parts), len(parts), expires=expires, reach=reach)

    def _compared(self, there: View, measure: Measure, rule: RuleOut, margin: Fraction) -> Node:
        view, half = self.view, self.alpha * self.share / 2
        reasons, held = self._demanded(self._sought(measure, rule, (view.subject,)))
        high = scale(measure).dangerous([tally(r, measure) for r in view.counting(measure, view.subject)], half)
        asked = self._sought(measure, rule, (there.subject,))
        sound = [r for demand in rule.elicitation for r in there.sound(asked, there.subject, demand)]
        told = [r for r in there.counting(measure, there.subject) if r.plan is not None and fits(r, measure)]
        low = min((scale(measure).shown([tally(r, measure)], half) for r in told), default=measure.low)
        plans = there.open_plans(measure, ("thresholds", self.threshold.name))
        reasons += there.blocking(plans)
        expires = min([held.expires, *(there.due(plan) for plan in plans)])
        if not sound or high + margin > low:
            theirs = f"the lower bound {exact(low)} of {there.name(there.subject)}"
            text = f"upper bound {exact(high)} + {exact(margin)} is not under {theirs}"
            reasons.append(Reason("reference", text))
        else:
            expires = min(expires, max(there.expiry(r, rule.refresh, rule.buffer) for r in sound))
        return Node("measure", measure.name, not reasons, None, tuple(reasons), expires=expires, reach=held.reach)

    # -- parts of an expression ----------------------------------------------------------------------------------------

    def _part(self, expr: Expr, share: Fraction) -> Node:
        if isinstance(expr, At):
            return self._leaf(expr, share)
        if isinstance(expr, Amount):
            return amount(self.view, expr.quantity, expr.level, kind="quantity")
        if isinstance(expr, AtLeast):
            return self._at_least(expr, share)
        found = find(self.view, expr.threshold, outer=self.alpha, share=share)
        self.excused.append(found.unreached)
        return _through(found.tree, kind="ref", text=f"`{expr.threshold}`")

    def _at_least(self, expr: AtLeast, share: Fraction) -> Node:
        return at_least(expr, [self._part(part, share / expr.count) for part in expr.parts])

    def _leaf(self, expr: At, share: Fraction) -> Node:
        """One measure at its level (rule 21)."""
        view, name, rule = self.view, self.threshold.name, self.rule
        assert rule is not None  # noqa: S101  the policy's own check: a leaf has a rule
        leaf = Leaf(view, view.own_line(("thresholds", name), expr, rule))
        reasons, held = leaf.reached(), Held(LATEST, None)
        self.excused += leaf.excused
        state: State = "reached"
        if not reasons:
            subjects = (view.subject, *view.stand_ins(rule))
            for measure, _ in leaf.line.bases:
                against, more = self._demanded(self._sought(measure, rule, subjects))
                reasons = [*reasons, *(reason for reason in against if reason not in reasons)]
                held = Held(min(held.expires, more.expires), least([held.reach, more.reach]))
            against, until = not_under(view, [leaf.line], view.ruling_out, lambda _: self.alpha * share)
            reasons = [*reasons, *against]
            held = Held(min(held.expires, until), held.reach)
            state = "not ruled out" if reasons else "below"
        return leaf.node(state, reasons, held, self.alpha * share)

    def _sought(self, measure: Measure, rule: RuleOut, subjects: tuple[str, ...]) -> Sought:
        return Sought(("thresholds", self.threshold.name), rule, measure, subjects)

    def _demanded(self, sought: Sought) -> tuple[list[Reason], Held]:
        rule = sought.rule
        return demanded(self.view, sought, multiple=min(rule.refresh.multiple, rule.buffer.multiple))

    # -- overdue -------------------------------------------------------------------------------------------------------

    def _overdue(self) -> Reason:
        if self.threshold.hole:
            return Reason("overdue", "it cannot be evaluated: nobody has said yet when it is reached")
        if self.threshold.judged is not None:
            return Reason("overdue", "no standing judgement on fresh evidence", self.bench.resume())
        names = " and ".join(f"`{name}`" for name in self.threshold.measures) or f"`{self.threshold.name}`"
        text = f"no sound evaluation of {names} within the last refresh period"
        return Reason("overdue", text, self.view.evaluate_command())

    def _evaluated(self) -> Held | None:
        """Until when the threshold counts as evaluated (rules 28 and 43); None: it does not."""
        if self.threshold.hole:
            return None
        if self.threshold.judged is not None:
            return self.bench.evaluated()
        assert self.threshold.reached_when is not None  # noqa: S101  else it would be a hole
        return self._part_evaluated(self.threshold.reached_when, self.share)

    def _part_evaluated(self, expr: Expr, share: Fraction) -> Held | None:
        if isinstance(expr, Amount):
            return Held(LATEST, None)
        if isinstance(expr, Ref):
            found = find(self.view, expr.threshold, outer=self.alpha, share=share)
            return Held(found.tree.expires, found.tree.reach) if found.tree.holds else found.evaluated
        if isinstance(expr, AtLeast):
            node = self._at_least(expr, share)
            parts = [self._part_evaluated(part, share / expr.count) for part in expr.parts]
            return Held(min([node.expires, *self.excused]), node.reach) if node.holds else _all_of(parts)
        assert self.rule is not None  # noqa: S101  a leaf has a rule
        line = self.view.own_line(("thresholds", self.threshold.name), expr, self.rule)
        return _all_of(self._measure_evaluated(measure, self.rule) for measure, _ in line.bases)

    def _measure_evaluated(self, measure: Measure, rule: RuleOut) -> Held | None:
        view, multiple = self.view, min(rule.refresh.multiple, rule.buffer.multiple)
        sought = self._sought(measure, rule, (view.subject, *view.stand_ins(rule)))
        found = [
            Held(view.expiry(result, rule.refresh, rule.buffer), reach)
            for subject in sought.subjects
            if view.has_room(reach := view.index.facts.subjects[subject].ec_low * multiple)
            for demand in rule.elicitation
            for result in view.sound(sought, subject, demand)
        ]
        return max(found, key=lambda it: (it.expires, it.reach), default=None)


def _speaks_against(expression: Node, ways: Sequence[Node]) -> bool:
    """Whether the expression of a judged threshold is to be told: it makes it reached, and is no way to be below."""
    return expression.state == "reached" and all(it.state != "reached" for it in ways)


def _through(tree: Node, *, kind: str, text: str) -> Node:
    """Another threshold's finding as a part of this one."""
    reasons = tree.reasons if tree.state == "reached" else ()
    return Node(kind, text, tree.holds, tree.state, reasons, (tree,), 1, expires=tree.expires, reach=tree.reach)


def _all_of(parts: Iterable[Held | None]) -> Held | None:
    """The earliest end and the least reach of parts that are all there; None if one is not."""
    known = list(parts)
    held = [part for part in known if part is not None]
    if not held or len(held) < len(known):
        return None
    return Held(min(part.expires for part in held), least(part.reach for part in held))
