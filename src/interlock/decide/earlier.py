"""What earlier versions of a policy make of the evidence that they have seen (docs/semantics.md, rules 7 and 25).

A later version cannot ask less of what was planned before it: a threshold that an earlier one calls reached is reached,
and one that an earlier one does not call below is not below, whatever the later one calls its measures.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.decision import Held, Node, Reason
from interlock.decide.leaf import Leaf, at_least, not_under, tests
from interlock.decide.quantity import amount, interval
from interlock.decide.view import least
from interlock.policy import exact
from interlock.policy.model import Amount, At, Mean, Ref, UnderQuantity, UnderReference, UnderScreen
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from interlock.decide.facts import Result
    from interlock.decide.line import Line
    from interlock.decide.view import View
    from interlock.policy.model import BelowIf, Expr, Policy, Threshold

#: Why a measure is not under a line. A quantity alone is judged by the level of today.
_BY_EVIDENCE = {"bound", "no-forecast"}


class Past:
    """One earlier version, at its `place` among the policy's, and one subject. `excused` fills with the moments at
    which positive evidence on a relative stops being answered.
    """

    def __init__(self, view: View, place: int) -> None:
        self.view, self.place, self.version = view, place, view.case.versions[place]
        self.excused: list[datetime] = []
        self._found: dict[str, tuple[Reason, ...]] = {}  # of many ways up to a threshold only the first is walked

    # -- reached -------------------------------------------------------------------------------------------------------

    def reached(self, name: str) -> list[Reason]:
        """What the version has seen that makes a threshold reached; nothing: it is not, or by quantities alone. What
        incidents and members of a judging role say of this very threshold is left to this version, which asks too.
        """
        return self._told_of(self._reached(name))

    def left(self, name: str) -> list[Reason]:
        """The same of a threshold that this version does not ask about: with what incidents and members say."""
        return self._told_of([*self._reached(name), *self._told(self.version.policy.thresholds[name])])

    def _told_of(self, found: Sequence[Reason]) -> list[Reason]:
        if all(reason.code == "amount" for reason in found):
            return []
        return [Reason("reached", f"version {self.version.policy.version}: {reason.text}") for reason in found]

    def _reached(self, name: str) -> tuple[Reason, ...]:
        if name not in self._found:
            policy = self.version.policy
            threshold = policy.thresholds[name]
            found = [] if threshold.reached_when is None else self._shown(threshold, threshold.reached_when)
            for other in policy.thresholds.values():
                if name in other.above:
                    found += [*self._reached(other.name), *self._told(other)]
            self._found[name] = tuple(dict.fromkeys(found))
        return self._found[name]

    def _told(self, threshold: Threshold) -> list[Reason]:
        """What incidents and members of a judging role say of a threshold."""
        view, name = self.view, threshold.name
        found = [
            Reason("incident", f"the incident of entry {it.entry} (`{it.kind}`) names `{name}`")
            for it in view.incidents_naming(name)
        ]
        by = threshold.judged.by if threshold.judged else None
        return found + [
            Reason("reached-judged", f"entry {said.entry}: a member of `{by}` judged `{name}` to be reached")
            for said in view.index.judgements.get(name, ())
            if said.verdict == "reached"
            and by in said.members
            and said.subject in view.relatives(said.at)
            and view.seen(self.place, said.at)
        ]

    def _shown(self, owner: Threshold, expr: Expr) -> list[Reason]:
        """Why an expression is reached (rules 21 to 24); nothing: it is not."""
        view = self.view
        if isinstance(expr, At):
            assert owner.rule_out is not None  # noqa: S101  the policy's own check: a leaf has a rule
            leaf = Leaf(view, view.line(self.place, ("thresholds", owner.name), expr, owner.rule_out))
            reasons = leaf.reached()
            self.excused += leaf.excused
            return reasons
        if isinstance(expr, Amount):
            ends = interval(view, self.place, expr.quantity)
            text = f"{expr.quantity} >= {exact(expr.level)}"
            return [Reason("amount", text)] if ends is not None and ends[0] >= expr.level else []
        if isinstance(expr, Ref):
            other = self.version.policy.thresholds[expr.threshold]
            return [*self._reached(other.name), *self._told(other)]
        parts = [found for part in expr.parts if (found := self._shown(owner, part))]
        return [reason for part in parts for reason in part] if len(parts) >= expr.count else []

    # -- below ---------------------------------------------------------------------------------------------------------

    def clear(self, name: str, alpha: Fraction, share: Fraction) -> Node:
        """Whether nothing that the version has seen speaks against its being below: the node holds, if nothing does."""
        node = self._under(self.version.policy.thresholds[name], alpha, share)
        text, held = f"version {self.version.policy.version}", _clear(node)
        if held is None:
            return Node("version", text, holds=False, state="not ruled out", parts=(node,), need=1)
        return Node("version", text, holds=True, expires=held.expires, reach=held.reach)

    def _under(self, threshold: Threshold, alpha: Fraction, share: Fraction) -> Node:
        if threshold.reached_when is None or threshold.judged is not None:
            return Node("version", threshold.name, holds=False, reasons=(_unseen(threshold.name),))
        for way in threshold.below_if:
            if isinstance(way, UnderQuantity):
                node = amount(self.view, way.quantity, way.level, kind="below-if", place=self.place)
                if node.holds:
                    return node
        if threshold.rule_out is not None:
            alpha = min(alpha, 1 - threshold.rule_out.confidence)
        return self._part(threshold, threshold.reached_when, alpha, share / max(1, tests(threshold)))

    def _part(self, owner: Threshold, expr: Expr, alpha: Fraction, share: Fraction) -> Node:
        if isinstance(expr, At):
            return self._leaf(owner, expr, alpha * share)
        if isinstance(expr, Amount):
            return amount(self.view, expr.quantity, expr.level, kind="quantity", place=self.place)
        if isinstance(expr, Ref):
            return self._under(self.version.policy.thresholds[expr.threshold], alpha, share)
        return at_least(expr, [self._part(owner, part, alpha, share / expr.count) for part in expr.parts])

    def _leaf(self, owner: Threshold, expr: At, alpha: Fraction) -> Node:
        """A measure at its level: it holds if sound results, too, put it under."""
        view = self.view
        assert owner.rule_out is not None  # noqa: S101  the policy's own check: a leaf has a rule
        line = view.line(self.place, ("thresholds", owner.name), expr, owner.rule_out)
        seen = {measure.name: view.concerned(line, view.ruling_out(measure)) for measure, _ in line.bases}
        against, until = not_under(view, [line], view.ruling_out, lambda _: alpha)
        if not any(seen.values()):
            return Node("measure", line.text, holds=False, reasons=(_unseen(line.text),))
        if against:
            return Node("measure", line.text, holds=False, reasons=tuple(against))
        reach = self._shown_as_far_as(line, seen)
        holds = view.has_room(reach)
        reasons = () if holds else (_unseen(line.text, "nothing sound"),)
        return Node("measure", line.text, holds, reasons=reasons, expires=until, reach=reach)

    def _shown_as_far_as(self, line: Line, seen: Mapping[str, list[Result]]) -> Fraction:
        """How far the sound ones of the results that it has seen reach, whatever their age: less than nothing, where a
        demand has none (rules 7 and 18).
        """
        view, rule = self.view, line.rule
        multiple, near = min(rule.refresh.multiple, rule.buffer.multiple), {view.subject, *view.stand_ins(rule)}
        reaches = []
        for measure, _ in line.bases:
            for demand in rule.elicitation:
                sound = view.sound_then(line, measure, seen[measure.name], demand)
                lows = [view.index.facts.subjects[it.subject].ec_low for it in sound if it.subject in near]
                reaches.append(multiple * max(lows, default=-1))
        return min(reaches, default=Fraction(-1))


def _unseen(what: str, subject: str = "nothing") -> Reason:
    return Reason("unseen", f"{subject} that the version has seen rules out {what}")


def same_way(past: Policy, now: Policy, threshold: str, way: BelowIf | None) -> bool:
    """Whether a version's threshold has this very way to be below, and means the same by it (rule 25)."""
    if way is None or way not in past.thresholds[threshold].below_if:
        return False
    if isinstance(way, UnderScreen):
        screen = past.thresholds[way.threshold]
        return screen == now.thresholds[way.threshold] and _alike(past, now, screen.measures)
    return _alike(past, now, way.on if isinstance(way, UnderReference) else [way.quantity])


def _alike(past: Policy, now: Policy, names: Iterable[str]) -> bool:
    """Whether two versions mean the same by the names of measures."""
    for name in names:
        one, other = past.measures.get(name), now.measures.get(name)
        if one != other or (isinstance(one, Mean) and not _alike(past, now, one.weights)):
            return False
    return True


def _clear(node: Node) -> Held | None:
    """Until when, and up to how much effective compute, no evidence is against a part; None: some is. What is against a
    part of several is outweighed where enough of the others hold.
    """
    if node.kind != "at-least":
        against = any(reason.code in _BY_EVIDENCE for reason in node.reasons)
        return None if against else Held(node.expires, None if node.kind == "measure" else node.reach)
    parts = [_clear(part) for part in node.parts]
    clear = [it for it in parts if it is not None]
    ways = [Held(node.expires, node.reach)] if node.holds else []
    if len(clear) == len(parts):
        ways.insert(0, Held(min((it.expires for it in clear), default=LATEST), least(it.reach for it in clear)))
    return max(ways, key=lambda it: it.expires, default=None)
