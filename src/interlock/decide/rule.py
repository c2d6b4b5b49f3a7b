"""The one rule (docs/semantics.md): permit only what the evidence shows; everything else is a hold.

A gate permits an action on a subject if, for every threshold listed there, the subject is shown to be below it or
every requirement listed is met, and no threshold is overdue for evaluation. Numbers in comments are those of
docs/semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide import bounds
from interlock.decide.decision import (
    Bounds,
    Cell,
    Counted,
    Decision,
    Finding,
    Reason,
    Requirement,
    State,
    Verdict,
    timestamp,
)
from interlock.policy import exact
from interlock.policy.model import ASSUMED, Attested, Elicitation, Hole, Policy, RuleOut, Threshold

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.decide.facts import Attestation, Facts, Plan, Result
    from interlock.policy.model import Measure

#: Actions that can be taken back. Any other, also one that only the policy knows, is held by every open plan.
REVERSIBLE = frozenset({"scale", "deploy-internal", "deploy-api"})


def decide(policy: Policy, facts: Facts, *, policy_digest: str, subject: str, action: str, at: datetime) -> Decision:
    """Decide `action` on `subject` (a manifest digest) at the time `at`.

    Total: whatever is missing, stale or unknown ends in `hold` with a reason; nothing is raised for it.
    """
    reasons = _standing(policy, facts, subject=subject, action=action, at=at)
    cells: tuple[Cell, ...] = ()
    relied: list[datetime] = [policy.permits.lease.after(at)]
    limit: int | None = None
    if subject in facts.subjects and action in policy.gates:
        views = [_View(policy, facts, policy.thresholds[name], subject, action, at) for name in policy.gates[action]]
        cells = tuple(view.cell(policy.gates[action][view.threshold.name]) for view in views)
        relied += [moment for view, cell in zip(views, cells, strict=True) for moment in view.expiries(cell)]
        limit, too_wide = _most_compute(policy, facts, subject, views)
        reasons += too_wide
    permitted = bool(cells) and all(cell.opens for cell in cells) and not reasons
    if permitted and min(relied) <= at:
        permitted = False
        reasons.append(Reason("expired", "what the permit would rely on has expired", "evaluate again"))
    verdict: Verdict = "permit" if permitted else "hold"
    return Decision(
        verdict=verdict,
        action=action,
        subject=subject,
        policy=policy_digest,
        checkpoint=facts.checkpoint,
        at=at,
        cells=cells,
        reasons=tuple(reasons),
        bounds=Bounds(limit, min(relied)) if permitted and limit is not None else None,
    )


def _standing(policy: Policy, facts: Facts, *, subject: str, action: str, at: datetime) -> list[Reason]:
    """What must be in order before any threshold is looked at (rules 1 to 4)."""
    reasons = []
    if action not in policy.gates:
        reasons.append(Reason("silent", f"the policy does not gate `{action}`; what it is silent about holds"))
    elif not policy.gates[action]:
        reasons.append(Reason("empty-gate", f"the policy lists no threshold at `{action}`; an empty gate holds"))
    if subject not in facts.subjects:
        reasons.append(Reason("unknown-subject", "the ledger has no such subject", "interlock subject add PATH"))
    if at < policy.effective:
        reasons.append(Reason("not-in-force", f"the policy takes effect at {timestamp(policy.effective)}"))
    if at < facts.checkpoint.time:
        reasons.append(Reason("clock", f"asked for {timestamp(at)}, before the ledger's own time"))
    elif at > policy.permits.ledger_age.after(facts.checkpoint.time):
        age = f"the ledger's checkpoint is of {timestamp(facts.checkpoint.time)}, older than the policy allows"
        reasons.append(Reason("stale-ledger", age, "have the log sign a new checkpoint"))
    return reasons


def _most_compute(policy: Policy, facts: Facts, subject: str, views: list[_View]) -> tuple[int, list[Reason]]:
    """EC of the subject measured (lower end) x the least of the refresh multiple and every threshold's EC buffer."""
    model = facts.subjects[subject]
    multiple = min([policy.refresh_multiple, *(view.threshold.rule_out.buffer for view in views)])
    limit = int(model.ec_low * multiple)
    if model.ec_high <= limit:
        return limit, []
    text = f"effective compute may be {model.ec_high} FLOP, over the {limit} FLOP that its lower end allows"
    return limit, [Reason("compute-uncertain", text)]


@dataclass(frozen=True, slots=True)
class _View:
    """One threshold, seen for one subject at one time."""

    policy: Policy
    facts: Facts
    threshold: Threshold
    subject: str
    action: str
    at: datetime

    @property
    def rule(self) -> RuleOut:
        return self.threshold.rule_out

    @property
    def measure(self) -> Measure:
        return self.policy.measures[self.threshold.measure]

    @property
    def alpha(self) -> Fraction:
        return 1 - self.rule.confidence

    # -- results ------------------------------------------------------------------------------------------------------

    def results(self, subject: str) -> tuple[Result, ...]:
        """Every result of the task on exactly this subject, whatever its defects (rule 6)."""
        return tuple(r for r in self.facts.results if r.subject == subject and r.protocol.task == self.measure.task)

    def positive(self, subject: str) -> bool:
        """Whether any result on `subject` shows the level: unscored samples count on the harmless side."""
        return any(
            bounds.shows(r.correct, r.protocol.samples, self.threshold.level, self.alpha) for r in self.results(subject)
        )

    def defects(self, result: Result) -> list[str]:
        """Why a result may not count towards a permit; assumptions aside (rules 7 to 12). Empty: it may."""
        rule, protocol = self.rule, result.protocol
        checks = [
            (result.plan is not None, "no plan stands before it in the ledger"),
            (
                result.plan is None or rule.run_by in result.plan.signers,
                f"its plan is not signed by `{rule.run_by}`",
            ),
            (rule.run_by in result.signers, f"it is not signed by `{rule.run_by}`"),
            (
                (protocol.task_version, protocol.metric) == (self.measure.task_version, self.measure.metric),
                f"it ran `{protocol.task}@{protocol.task_version}`, expected @{self.measure.task_version}",
            ),
            (
                result.scored >= rule.coverage * protocol.samples and protocol.samples > 0,
                f"coverage {result.scored}/{protocol.samples} is under {exact(rule.coverage)}",
            ),
            (self.at < self.expiry(result), f"it expired at {timestamp(self.expiry(result))}"),
            (
                protocol.elicitation != "fine-tuned" or protocol.demonstrations >= rule.demonstrations,
                f"demonstrations trained on: {protocol.demonstrations}, the policy demands {rule.demonstrations}",
            ),
            (protocol.elicitation != "few-shot" or protocol.shots > 0, "it is called few-shot and showed no examples"),
        ]
        return [text for holds, text in checks if not holds]

    def expiry(self, result: Result) -> datetime:
        """A result's age runs from its plan's ledger time."""
        return self.policy.refresh_period.after(result.plan.at if result.plan else result.at)

    def admissible(self, elicitation: str) -> list[Result]:
        """The sound, fresh results under one elicitation on this very subject."""
        return [r for r in self.results(self.subject) if r.protocol.elicitation == elicitation and not self.defects(r)]

    # -- assumptions and attestations ---------------------------------------------------------------------------------

    def statement(self, assumption: str) -> datetime | None:
        """When the freshest statement of the assumption expires; None if none is valid now."""
        rule = self.policy.assumptions[assumption]
        return self._freshest(
            [
                rule.fresh_for.after(a.at)
                for a in self.facts.attestations
                if a.is_assumption
                and a.name == assumption
                and a.about == self.subject
                and rule.stated_by in a.signers
                and self.rule.run_by not in a.signers
            ]
        )

    def attestation(self, requirement: Attested) -> datetime | None:
        """When the freshest attestation of the requirement expires; None if none is valid now."""
        about = self.subject if requirement.about == "subject" else None
        return self._freshest(
            [
                requirement.fresh_for.after(a.at)
                for a in self.facts.attestations
                if self._attests(a, requirement) and a.about == about
            ]
        )

    @staticmethod
    def _attests(attestation: Attestation, requirement: Attested) -> bool:
        return (
            not attestation.is_assumption
            and attestation.name == requirement.name
            and requirement.by in attestation.signers
        )

    def _freshest(self, expiries: list[datetime]) -> datetime | None:
        return max((moment for moment in expiries if moment > self.at), default=None)

    # -- the finding --------------------------------------------------------------------------------------------------

    def finding(self) -> Finding:
        """`reached`, else `below` if nothing stands against it, else `not ruled out`."""
        counted = tuple(self._counted(r) for r in self.results(self.subject))
        reached = self._reached()
        against = [*reached] or [*self._unshown(), *self._unreported(), *self._not_under()]
        overdue = not any(not self.defects(r) for r in self.results(self.subject))
        if overdue:
            text = f"no sound evaluation of `{self.measure.name}` within the last refresh period"
            against.append(Reason("overdue", text, self._evaluate_command()))
        state: State = "reached" if reached else "not ruled out" if against else "below"
        return Finding(
            threshold=self.threshold.name,
            measure=self.measure.name,
            level=self.threshold.level,
            margin=self.rule.margin,
            confidence=self.rule.confidence,
            state=state,
            upper=max((c.upper for c in counted), default=Fraction(1)),
            lower=max((c.lower for c in counted), default=Fraction(0)),
            overdue=overdue,
            counted=counted,
            reasons=tuple(against),
        )

    def _counted(self, result: Result) -> Counted:
        samples = result.protocol.samples
        return Counted(
            entry=result.entry,
            elicitation=result.protocol.elicitation,
            demonstrations=result.protocol.demonstrations,
            planned=samples,
            scored=result.scored,
            correct=result.correct,
            upper=bounds.upper(_dangerous(result), samples, self.alpha),
            lower=bounds.lower(result.correct, samples, self.alpha),
            admissible=not self.defects(result),
        )

    def _reached(self) -> list[Reason]:
        """Positive evidence on the subject itself or its kin (rules 5 and 14)."""
        level = f"{self.measure.name} >= {exact(self.threshold.level)}"
        if self.positive(self.subject):
            return [Reason("reached", f"evidence shows {level}")]
        for relative in sorted({self.subject, *self.facts.ancestors(self.subject)}):
            if relative != self.subject and self.positive(relative):
                return [Reason("reached-ancestor", f"its ancestor {self._name(relative)} shows {level}")]
            source = self._cheap_positive(relative)
            if source is not None:
                text = f"{self._name(source)}, made from {self._name(relative)} at little cost, shows {level}"
                return [Reason("reached-derivative", text)]
        return []

    def _cheap_positive(self, parent: str) -> str | None:
        """A derivative of `parent`, within the attacker's budget, with a positive result of its own."""
        return next(filter(self.positive, self._cheap(parent)), None)

    def _cheap(self, parent: str) -> list[str]:
        """The derivatives of `parent` within the attacker's budget."""
        budget = self.policy.attacker_budget * self.facts.subjects[parent].training_compute
        return sorted(d for d, cost in self.facts.derivatives(parent).items() if cost <= budget)

    def _name(self, digest: str) -> str:
        return f"`{self.facts.subjects[digest].name}`"

    def _unshown(self) -> list[Reason]:
        """Elicitations without a sound result, and assumptions that nobody has stated (rules 13 and 16)."""
        reasons = []
        assumptions: dict[str, None] = {}
        for elicitation in self.rule.elicitation:
            assumptions.update(dict.fromkeys(ASSUMED[elicitation]))
            if not self.admissible(elicitation):
                resume = f"a sound `{elicitation}` result: {self._evaluate_command()}"
                reasons.append(Reason("missing-evidence", self._missing(elicitation), resume))
        for name in assumptions:
            if self.statement(name) is None:
                role = self.policy.assumptions[name].stated_by
                resume = f"`{role}` states it: interlock attest --assumption {name} --subject {self._plain_name()}"
                reasons.append(Reason("assumption", f"`{name}` is not stated by `{role}`", resume))
        return reasons

    def _missing(self, elicitation: Elicitation) -> str:
        defective = [
            f"entry {r.entry}: {'; '.join(self.defects(r))}"
            for r in self.results(self.subject)
            if r.protocol.elicitation == elicitation
        ]
        found = f" ({' | '.join(defective)})" if defective else ""
        return f"`{elicitation}` evidence missing{found}"

    def _evaluate_command(self) -> str:
        return f"interlock plan --subject {self._plain_name()}, then interlock evaluate --subject {self._plain_name()}"

    def _plain_name(self) -> str:
        return self.facts.subjects[self.subject].name

    def _unreported(self) -> list[Reason]:
        """Plans that were due and gave nothing, on the subject and all its kin (rules 14 and 15)."""
        return [self._unreported_reason(p) for p in self._open_plans() if self._blocks(p)]

    def _open_plans(self) -> list[Plan]:
        """The plans that have not reported, wherever a positive result would count."""
        ancestors = self.facts.ancestors(self.subject)
        kin = {self.subject, *ancestors, *self.facts.derivatives(self.subject)}
        kin.update(d for ancestor in ancestors for d in self._cheap(ancestor))
        reported = {r.plan.digest for r in self.facts.results if r.plan and self._reports(r)}
        return [
            p
            for p in self.facts.plans
            if p.subject in kin and p.protocol.task == self.measure.task and p.digest not in reported
        ]

    def _reports(self, result: Result) -> bool:
        """Whether a result ends that its plan is open: an empty one, or a stranger's, must not."""
        return self.rule.run_by in result.signers and result.scored >= self.rule.coverage * result.protocol.samples

    def _due(self, plan: Plan) -> datetime:
        """When a plan must have reported: its own word, at most the policy's."""
        return min(plan.report_by, self.policy.report_within.after(plan.at))

    def _blocks(self, plan: Plan) -> bool:
        return self._due(plan) <= self.at or self.action not in REVERSIBLE

    def _unreported_reason(self, plan: Plan) -> Reason:
        name = self._name(plan.subject)
        if self._due(plan) <= self.at:
            text = (
                f"the plan of entry {plan.entry} on {name} was due at {timestamp(self._due(plan))} and never reported"
            )
            return Reason("unreported", text, f"run it: interlock evaluate --subject {name[1:-1]}")
        text = f"the plan of entry {plan.entry} on {name} is still open, and `{self.action}` cannot be taken back"
        return Reason("open-plan", text, f"run it: interlock evaluate --subject {name[1:-1]}")

    def _not_under(self) -> list[Reason]:
        """Rule 16: the bound of every result, of any age and soundness, plus the margin, is under the level."""
        limit = self.threshold.level - self.rule.margin
        return [
            Reason("bound", self._too_high(r))
            for r in self.results(self.subject)
            if not bounds.rules_out(_dangerous(r), r.protocol.samples, limit, self.alpha)
        ]

    def _too_high(self, result: Result) -> str:
        high = exact(bounds.upper(_dangerous(result), result.protocol.samples, self.alpha))
        level, margin = exact(self.threshold.level), exact(self.rule.margin)
        return (
            f"entry {result.entry} ({result.protocol.elicitation}, {result.correct}/{result.protocol.samples}, "
            f"{result.scored} scored): upper bound {high} + margin {margin} is not under {level}"
        )

    # -- the cell -----------------------------------------------------------------------------------------------------

    def cell(self, names: tuple[str, ...]) -> Cell:
        """The finding, the requirements beside it, and whether they open this part of the gate."""
        finding = self.finding()
        requirements = tuple(self._requirement(name) for name in names)
        met = bool(requirements) and all(r.met for r in requirements)
        return Cell(finding, requirements, opens=not finding.overdue and (finding.state == "below" or met))

    def _requirement(self, name: str) -> Requirement:
        rule = self.policy.requirements[name]
        if isinstance(rule, Attested):
            return self._attested(rule)
        if isinstance(rule, Hole):
            text = f"`{name}` is a hole: {rule.what} (owner `{rule.owner}`)"
            return Requirement(name, "hole", met=False, reason=Reason("hole", text))
        return Requirement(name, "never", met=False, reason=Reason("never", "the policy says never"))

    def _attested(self, rule: Attested) -> Requirement:
        expiry = self.attestation(rule)
        if expiry is not None:
            text = f"`{rule.name}` is attested by `{rule.by}` until {timestamp(expiry)}"
            return Requirement(rule.name, "attested", met=True, reason=Reason("attested", text))
        about = f"--subject {self._plain_name()}" if rule.about == "subject" else "--about developer"
        resume = f"`{rule.by}` attests it: interlock attest --requirement {rule.name} {about}"
        reason = Reason("not-attested", f"`{rule.name}` ({rule.what}) is not attested by `{rule.by}`", resume)
        return Requirement(rule.name, "attested", met=False, reason=reason)

    def expiries(self, cell: Cell) -> list[datetime]:
        """When the things that an open cell relies on end; the first of them ends the permit."""
        if not cell.opens:
            return []
        if cell.finding.state == "below":
            results = [max(self.expiry(r) for r in self.admissible(e)) for e in self.rule.elicitation]
            names = {name for e in self.rule.elicitation for name in ASSUMED[e]}
            stated = [self.statement(name) for name in sorted(names)]
            due = [self._due(plan) for plan in self._open_plans()]
            return results + due + [moment for moment in stated if moment is not None]
        rules = [self.policy.requirements[r.name] for r in cell.requirements]
        attested = [self.attestation(rule) for rule in rules if isinstance(rule, Attested)]
        sound = [self.expiry(r) for r in self.results(self.subject) if not self.defects(r)]
        return [max(sound), *(moment for moment in attested if moment is not None)]


def _dangerous(result: Result) -> int:
    """A planned sample without a score counts as a success when ruling out."""
    return result.correct + result.protocol.samples - result.scored


def unevaluated(policy: Policy, facts: Facts, *, threshold: str, subject: str, at: datetime) -> tuple[Elicitation, ...]:
    """The elicitations that a threshold demands and that no sound, fresh result on the subject covers."""
    view = _View(policy, facts, policy.thresholds[threshold], subject, "", at)
    return tuple(e for e in view.rule.elicitation if not view.admissible(e))


def defects(policy: Policy, facts: Facts, *, threshold: str, result: Result, at: datetime) -> tuple[str, ...]:
    """Why a result may not count towards a permit at a threshold, in words; empty if it may."""
    return tuple(_View(policy, facts, policy.thresholds[threshold], result.subject, "", at).defects(result))
