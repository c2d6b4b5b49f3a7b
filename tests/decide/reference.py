"""The rule once more, slow and obvious, written from docs/semantics.md and not from `rule.py`.

It answers with the verdict and the bounds of a permit and nothing else. Numbers in comments are those of the page.
"""

from __future__ import annotations

from math import comb, floor
from typing import TYPE_CHECKING

from interlock.policy.model import ASSUMED, Attested

if TYPE_CHECKING:
    from datetime import datetime
    from fractions import Fraction

    from interlock.decide.facts import Facts, Plan, Result
    from interlock.policy.model import Policy, RuleOut, Threshold


def chance(k: int, n: int, p: Fraction) -> Fraction:
    return comb(n, k) * p**k * (1 - p) ** (n - k)


def parents_to_children(facts: Facts) -> set[tuple[str, str]]:
    """Every pair of an ancestor and its descendant."""
    pairs = {(step.parent, child) for child, subject in facts.subjects.items() for step in subject.steps}
    while True:
        further = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not further:
            return pairs
        pairs |= further


def cost(facts: Facts, parent: str, derivative: str) -> int | None:
    if parent == derivative:
        return 0
    steps = facts.subjects[derivative].steps
    ways = [(cost(facts, parent, step.parent), step.compute) for step in steps]
    return min((before + own for before, own in ways if before is not None), default=None)


class Reference:
    """One question, answered by `bounds`: None is a hold."""

    def __init__(self, policy: Policy, facts: Facts, subject: str, action: str, at: datetime) -> None:
        self.policy, self.facts, self.subject, self.action, self.at = policy, facts, subject, action, at

    def bounds(self) -> tuple[int, datetime] | None:
        policy, facts, at = self.policy, self.facts, self.at
        if self.action not in policy.gates or not policy.gates[self.action] or self.subject not in facts.subjects:
            return None  # 1, 2
        clock = facts.checkpoint.time
        if not max(policy.effective, clock) <= at <= policy.permits.ledger_age.after(clock):
            return None  # 3, 4
        ends = [policy.permits.lease.after(at)]
        multiples = [policy.refresh_multiple]
        for name, requirements in policy.gates[self.action].items():
            multiples.append(policy.thresholds[name].rule_out.buffer)
            relied = self.relied(policy.thresholds[name], requirements)
            if relied is None:
                return None  # 21
            ends += relied
        model = facts.subjects[self.subject]
        most = floor(model.ec_low * min(multiples))  # 22
        return (most, min(ends)) if model.ec_high <= most and at < min(ends) else None  # 23

    def relied(self, threshold: Threshold, requirements: tuple[str, ...]) -> list[datetime] | None:
        """When what an open cell relies on ends; None if the cell holds."""
        sound = [r for r in self.of(self.subject, threshold) if self.sound(r, threshold.rule_out)]
        if not sound:
            return None  # 18
        below = None if self.reached(threshold) else self.below(threshold, sound)  # 17
        if below is not None:
            return below
        met = [self.attested(name) for name in requirements]  # 19
        if not met or None in met:
            return None  # 20
        return [max(map(self.expiry, sound)), *(end for end in met if end is not None)]

    def of(self, subject: str, threshold: Threshold) -> list[Result]:
        task = self.policy.measures[threshold.measure].task
        return [r for r in self.facts.results if r.subject == subject and r.protocol.task == task]

    def positive(self, subject: str, threshold: Threshold) -> bool:  # 5
        alpha = 1 - threshold.rule_out.confidence
        for result in self.of(subject, threshold):
            n, k = result.protocol.samples, result.correct
            if k > 0 and sum(chance(i, n, threshold.level) for i in range(k, n + 1)) <= alpha:
                return True
        return False

    def sound(self, result: Result, rule: RuleOut) -> bool:
        protocol, plan = result.protocol, result.plan
        measure = next(m for m in self.policy.measures.values() if m.task == protocol.task)
        return (
            plan is not None  # 7
            and rule.run_by in plan.signers & result.signers  # 8
            and (protocol.task_version, protocol.metric) == (measure.task_version, measure.metric)  # 9
            and 0 < protocol.samples * rule.coverage <= result.scored  # 10
            and self.at < self.expiry(result)  # 11
            and (protocol.elicitation != "few-shot" or protocol.shots >= 1)  # 12
            and (protocol.elicitation != "fine-tuned" or protocol.demonstrations >= rule.demonstrations)
        )

    def expiry(self, result: Result) -> datetime:
        assert result.plan is not None
        return self.policy.refresh_period.after(result.plan.at)

    def stated(self, name: str, rule: RuleOut) -> datetime | None:  # 13
        assumption = self.policy.assumptions[name]
        words = [
            assumption.fresh_for.after(a.at)
            for a in self.facts.attestations
            if (a.is_assumption, a.name, a.about) == (True, name, self.subject)
            and assumption.stated_by in a.signers
            and rule.run_by not in a.signers
        ]
        return max((end for end in words if end > self.at), default=None)

    def attested(self, name: str) -> datetime | None:  # 19
        rule = self.policy.requirements[name]
        if not isinstance(rule, Attested):
            return None
        about = self.subject if rule.about == "subject" else None
        words = [
            rule.fresh_for.after(a.at)
            for a in self.facts.attestations
            if (a.is_assumption, a.name, a.about) == (False, name, about) and rule.by in a.signers
        ]
        return max((end for end in words if end > self.at), default=None)

    def cheap(self) -> set[tuple[str, str]]:
        """Pairs of an ancestor and a derivative within the attacker's budget."""
        budget = {d: self.policy.attacker_budget * s.training_compute for d, s in self.facts.subjects.items()}
        return {(a, d) for a, d in parents_to_children(self.facts) if (cost(self.facts, a, d) or 0) <= budget[a]}

    def line(self) -> set[str]:
        """The subject and its ancestors."""
        return {self.subject, *(a for a, d in parents_to_children(self.facts) if d == self.subject)}

    def reached(self, threshold: Threshold) -> bool:  # 14
        telling = self.line() | {d for a, d in self.cheap() if a in self.line()}
        return any(self.positive(relative, threshold) for relative in telling)

    def open_plans(self, threshold: Threshold) -> list[Plan]:  # 15
        kin = self.line() | {d for a, d in parents_to_children(self.facts) if a == self.subject}
        kin |= {d for a, d in self.cheap() if a in self.line()}
        task = self.policy.measures[threshold.measure].task
        rule = threshold.rule_out
        done = {
            r.plan.digest
            for r in self.facts.results
            if r.plan is not None and rule.run_by in r.signers and r.scored >= rule.coverage * r.protocol.samples
        }
        return [p for p in self.facts.plans if p.subject in kin and p.protocol.task == task and p.digest not in done]

    def due(self, plan: Plan) -> datetime:
        return min(plan.report_by, self.policy.report_within.after(plan.at))

    def below(self, threshold: Threshold, sound: list[Result]) -> list[datetime] | None:  # 16
        rule = threshold.rule_out
        ends = []
        for elicitation in rule.elicitation:
            serving = [self.expiry(r) for r in sound if r.protocol.elicitation == elicitation]
            if not serving:
                return None
            ends.append(max(serving))
            for assumption in ASSUMED[elicitation]:
                end = self.stated(assumption, rule)
                if end is None:
                    return None
                ends.append(end)
        due = [self.due(plan) for plan in self.open_plans(threshold)]
        irreversible = self.action not in {"scale", "deploy-internal", "deploy-api"}
        if any(moment <= self.at for moment in due) or (due and irreversible):
            return None
        limit = threshold.level - rule.margin
        for result in self.of(self.subject, threshold):
            n = result.protocol.samples
            dangerous = result.correct + n - result.scored
            if limit <= 0 or n == 0:
                return None
            if sum(chance(i, n, limit) for i in range(dangerous + 1)) >= 1 - rule.confidence:
                return None
        return ends + due
