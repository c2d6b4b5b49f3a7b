"""One version of a policy, seen for one subject: which results count, which are sound, what is assumed and planned.

Numbers in comments are those of docs/semantics.md. Nothing here concludes; `finding.py` and `requirement.py` do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from interlock.decide.assumption import Tried, assumed, passes, stands_for
from interlock.decide.decision import Held, Reason, timestamp
from interlock.decide.facts import BEGINNING, is_later
from interlock.decide.line import Floor, Line, draw, leaves, plain
from interlock.decide.one_result import scale, scored, start, tally, too_weak, wrong_measure
from interlock.policy import exact
from interlock.policy.model import TRAINED, At, Measure, Ref, RuleOut, Unbounded, walk
from interlock.policy.time import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from interlock.decide.clock import Clock
    from interlock.decide.decision import Finding, Node
    from interlock.decide.facts import Attestation, Incident, Plan, Result, Subject, Version
    from interlock.decide.index import Index
    from interlock.policy.model import Buffer, Demand, Policy, Refresh

#: The results that are taken of a measure.
Results = Callable[["Measure"], "list[Result]"]
#: A part of a policy that names things.
Section = Literal["measures", "assumptions", "thresholds", "requirements", "exceptions"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked: of all versions of one policy, of one ledger, about one action, at one time."""

    versions: Sequence[Version]
    index: Index
    action: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for: sound results of a measure, for the rule of an `owner` (a section of the policy and a name
    there), on one of `subjects`, planned after `after`.
    """

    owner: tuple[Section, str]
    rule: RuleOut
    measure: Measure
    subjects: tuple[str, ...]
    after: datetime | None = None


@dataclass(slots=True)
class View:
    """A version (`current` is its place among the policy's), a horizon before which nothing counts in favour, and a
    subject as deployed. `references`: whether a threshold may lean on another subject.
    """

    case: Case
    current: int
    horizon: datetime
    subject: str
    deployment: str | None
    references: bool = True
    findings: dict[tuple[str, Fraction, Fraction], Finding] = field(default_factory=dict)
    _sound: dict[tuple[object, ...], list[Result]] = field(default_factory=dict)
    _standing: dict[tuple[str, str, str], list[tuple[datetime, Attestation]]] = field(default_factory=dict)
    _earlier: dict[int, View] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        """The policy in this version."""
        return self.case.versions[self.current].policy

    @property
    def index(self) -> Index:
        """The facts."""
        return self.case.index

    @property
    def model(self) -> Subject:
        """The subject's own statement."""
        return self.index.facts.subjects[self.subject]

    def passed(self, moment: datetime) -> bool:
        """Whether the moment lies at or before the decision's time."""
        return self.case.clock.passed(moment)

    def other(self, subject: str) -> View:
        """The same, for another subject without a deployment, which leans on no third one."""
        return View(self.case, self.current, self.horizon, subject, None, references=False)

    def earlier(self, place: int) -> View:
        """An earlier version, as if it were in force and no later one were there, with everything since the first."""
        if place not in self._earlier:
            case = replace(self.case, versions=self.case.versions[: place + 1])
            self._earlier[place] = View(case, place, case.versions[0].entered, self.subject, self.deployment)
        return self._earlier[place]

    def name(self, digest: str) -> str:
        """A subject's name, for people."""
        return f"`{self.index.facts.subjects[digest].name}`"

    # -- measures and lines --------------------------------------------------------------------------------------------

    def kin(self, moment: datetime) -> frozenset[str]:
        """The subject's kin, where something of that moment is concerned."""
        return self.index.kin(self.subject, self.share(moment))

    def relatives(self, moment: datetime) -> frozenset[str]:
        """Wherever positive evidence of that moment is positive for the subject."""
        share = self.share(moment)
        return self.index.relatives(self.subject, share) | self._onward(share)

    def near(self, moment: datetime) -> frozenset[str]:
        """Those of them whose positive evidence nothing of the subject's own answers (rules 21 and 25)."""
        share = self.share(moment)
        return frozenset((self.subject, *self.index.cheap(self.subject, share))) | self._onward(share)

    def _onward(self, share: Fraction) -> frozenset[str]:
        return self.index.onward(self.subject, share) if self.case.action == "scale" else frozenset()

    def seen(self, version: int, start: datetime) -> bool:
        """Whether an earlier version was in force at some time since `start`."""
        return self.case.versions[version + 1].since > start

    def line(self, version: int, owner: tuple[Section, str], at: At, rule: RuleOut) -> Line:
        """The line that a version draws at a level of one of its measures."""
        return draw(version, self.case.versions[version].policy, owner, at, rule)

    def own_line(self, owner: tuple[Section, str], at: At, rule: RuleOut) -> Line:
        """The line that this version draws."""
        return self.line(self.current, owner, at, rule)

    def at_stake(self, threshold: str) -> list[tuple[str, Measure]]:
        """The plain measures by which a threshold may be reached, each with the threshold whose rule asks for it:
        through references and higher levels, in this version and the earlier ones (rule 20).
        """
        found: dict[tuple[str, Measure], None] = {}
        for version in self.case.versions[: self.current + 1]:
            policy, names, todo = version.policy, set[str](), [threshold]
            while todo:
                name = todo.pop()
                held = policy.thresholds.get(name)
                if held is None or name in names:
                    continue
                names.add(name)
                todo += [it.name for it in policy.thresholds.values() if name in it.above]
                for part in walk(held.reached_when) if held.reached_when is not None else ():
                    if isinstance(part, Ref):
                        todo.append(part.threshold)
                    elif isinstance(part, At):
                        found.update(((name, base), None) for base, _ in plain(policy, part.measure))
        return list(found)

    def unreported(self, threshold: str) -> list[Plan]:
        """The open plans of all that is at stake: what they hide may be that the threshold is reached."""
        found = {
            plan.digest: plan
            for name, measure in self.at_stake(threshold)
            for plan in self.open_plans(measure, ("thresholds", name))
        }
        return list(found.values())

    # -- what counts ---------------------------------------------------------------------------------------------------

    def counting(self, measure: Measure | Unbounded, subject: str) -> list[Result]:
        """The results that count on a subject, whatever their defects (rule 6)."""
        found = self.index.results.get((measure.task, subject), ())
        return [r for r in found if not self.aside(r.digest, start(r)) and self._offered(r, measure)]

    def _offered(self, result: Result, measure: Measure | Unbounded) -> bool:
        asked = self.deployment
        return measure.on == "model" or (asked is not None and result.protocol.deployment == asked)

    def witnesses(self, moment: datetime) -> list[Policy]:
        """This version, and the earlier ones that have seen a moment: what is held against a permit, they all judge."""
        return [self.case.versions[place].policy for place in self._places(moment)]

    def _places(self, moment: datetime) -> list[int]:
        return [*(place for place in range(self.current) if self.seen(place, moment)), self.current]

    def incidents_naming(self, threshold: str) -> list[Incident]:
        """The incidents that make a threshold reached (rule 25)."""
        return [
            it
            for it in self.index.incidents
            if threshold in it.thresholds
            and (it.subject is None or it.subject in self.relatives(it.at))
            and not self.aside(it.digest, it.at)
        ]

    def aside(self, digest: str, moment: datetime) -> bool:
        """Whether something of that moment was set aside, by the independent role of every version that has seen it."""
        said = self.index.set_aside.get(digest, ())
        roles = {policy.independent for policy in self.witnesses(moment)} if said else set()
        return any(
            "" not in roles
            and roles <= it.signers
            and self.horizon <= it.at <= self.index.facts.checkpoint.time
            and it.digest not in self.index.withdrawn
            for it in said
        )

    def share(self, moment: datetime) -> Fraction:
        """The attacker's budget that decides who is a relative where something of that moment is concerned."""
        return max(policy.attacker_budget for policy in self.witnesses(moment))

    def concerned(self, line: Line, results: list[Result]) -> list[Result]:
        """Those of the results that the line's version has seen, and for this version's own line all (rule 7)."""
        if line.version == self.current:
            return results
        return [r for r in results if self.seen(line.version, start(r))]

    def at_level(self, line: Line, subjects: Sequence[str], alpha: Fraction) -> bool:
        """Whether the results on these subjects, taken together, show the line's level (rules 5 and 8)."""
        if line.plain:
            measure = line.bases[0][0]
            return any(
                (found := tally(result, measure)) is not None and found.shows(line.level, alpha)
                for subject in subjects
                for result in self.concerned(line, self.counting(measure, subject))
            )
        total = Fraction(0)
        for measure, weight in line.bases:
            results = [r for one in subjects for r in self.concerned(line, self.counting(measure, one))]
            total += weight * scale(measure).shown([tally(r, measure) for r in results], alpha / len(line.bases))
        return total >= line.level

    def not_under(self, line: Line, results: Results, margin: Fraction, alpha: Fraction) -> list[Result]:
        """Those of the results, by measure, that keep the line from being ruled out (rules 5 and 21); empty: it is."""
        limit = line.level - margin
        counted = {measure.name: self.concerned(line, results(measure)) for measure, _ in line.bases}
        if line.plain:
            measure = line.bases[0][0]
            return [r for r in counted[measure.name] if not ((t := tally(r, measure)) and t.puts_under(limit, alpha))]
        everything = [r for results in counted.values() for r in results]
        known = {m.name: counted[m.name] if self._is_known(line, m, counted[m.name]) else [] for m, _ in line.bases}
        total = sum(
            weight * scale(m).dangerous([tally(r, m) for r in known[m.name]], alpha / len(line.bases))
            for m, weight in line.bases
        )
        return [] if total <= limit else everything

    def _is_known(self, line: Line, measure: Measure, results: list[Result]) -> bool:
        """Whether results may lower what is not known of a mean's measure: under this version its demands are asked for
        beside; under an earlier one a sound result takes that place (rule 7).
        """
        asked = line.version == self.current
        return asked or any(self.sound_then(line, measure, results, it) for it in line.rule.elicitation)

    def sound_then(self, line: Line, measure: Measure, results: list[Result], demand: Demand) -> list[Result]:
        """Those of the results that were sound for a demand under an earlier version, at whatever age (rule 7)."""
        then, sought = self.earlier(line.version), Sought(line.owner, line.rule, measure, ())
        return [r for r in results if next(then.flaws(r, sought, demand), None) is None]

    # -- soundness -----------------------------------------------------------------------------------------------------

    def defects(self, result: Result, sought: Sought, demand: Demand, *, run_by: str = "") -> Iterator[str]:
        """Why a result is not sound for a demand, in words (rules 10 to 14); nothing: it is. `run_by` other than the
        rule's may be asked for.
        """
        yield from self.flaws(result, sought, demand, run_by=run_by)
        if self.passed(expires := self.expiry(result, sought.rule.refresh, sought.rule.buffer)):
            yield f"it expired at {timestamp(expires)}"

    def flaws(self, result: Result, sought: Sought, demand: Demand, *, run_by: str = "") -> Iterator[str]:
        """The same, whatever its age (rules 10 to 13)."""
        rule, measure, samples = sought.rule, sought.measure, result.units
        yield from self._unaccounted(result, run_by or rule.run_by)
        if not self.counts_from(*sought.owner, start(result)):
            yield "it was planned before the policy said so"
        if sought.after is not None and start(result) <= sought.after:
            yield "it was planned before the incident"
        yield from wrong_measure(result, measure)
        if result.protocol.deployment != (self.deployment if measure.on == "deployment" else None):
            yield "it ran another deployment" if measure.on == "deployment" else "it ran a deployment, not the model"
        elif measure.on == "deployment" and self.deployment is None:
            yield "no deployment is asked about"
        answered = scored(result, measure)
        if not (samples > 0 and answered >= rule.coverage * samples):
            yield f"coverage {answered}/{samples} is under {exact(rule.coverage)}"
        if samples < measure.least_samples:
            yield f"it has {samples} samples, the policy demands {measure.least_samples}"
        if measure.kind == "propensity" and result.protocol.elicitation in TRAINED:
            yield "training changes what is measured"
        yield from too_weak(result, demand)

    def _unaccounted(self, result: Result, run_by: str) -> Iterator[str]:
        """Where nobody answers for a result as the policy asks (rule 10)."""
        plan = result.plan
        if plan is None:
            yield "no plan stands before it in the ledger"
        elif run_by not in plan.signers:
            yield f"its plan is not signed by `{run_by}`"
        if run_by not in result.signers:
            yield f"it is not signed by `{run_by}`"
        if result.protocol.stopping == "e-process":
            if not result.sequential:
                yield "its plan does not let it stop by an e-process"
            elif plan is not None and self.policy.independent not in plan.signers:
                yield f"the order of its samples is not signed by `{self.policy.independent or 'an independent role'}`"
        if result.at > self.index.facts.checkpoint.time:
            yield "it is dated after the ledger's checkpoint"
        if result.digest in self.index.withdrawn or (plan and plan.digest in self.index.withdrawn):
            yield "it was withdrawn"
        elif result.digest in self.index.set_aside:
            yield "it was set aside"
        elif self.index.spoilt(result):
            yield "a result of its run was withdrawn, contradicted or set aside, so that it takes a new plan"

    def is_sound(self, result: Result, sought: Sought, demand: Demand, *, run_by: str = "") -> bool:
        """Whether a result is sound for a demand."""
        return next(self.defects(result, sought, demand, run_by=run_by), None) is None

    def counts_from(self, section: Section, name: str, moment: datetime) -> bool:
        """Whether what began at a moment may count in favour of what the policy names (rule 35): it is not before the
        horizon, and the version in force by then, or else the first one, had the name.
        """
        if moment < self.horizon or moment > self.index.facts.checkpoint.time:
            return False
        return name in getattr(self.at(moment), section)

    def at(self, moment: datetime) -> Policy:
        """The version in force at a moment, or the first one before that."""
        versions = self.case.versions
        return versions[max((i for i, version in enumerate(versions) if version.since <= moment), default=0)].policy

    def expiry(self, result: Result, refresh: Refresh, buffer: Buffer | None) -> datetime:
        """When a result stops being fresh; its age runs from its plan's ledger time (rule 14)."""
        begun = start(result)
        moments = [refresh.period.after(begun)]
        if buffer is not None and buffer.period is not None:
            moments.append(buffer.period.after(begun))
        for incident in self.index.incidents:
            called = incident.kind in refresh.events or (
                incident.kind == "refresh" and refresh.discretion in incident.members
            )
            if (
                called
                and incident.at >= begun
                and (incident.subject is None or incident.subject in self._kin_of(result, incident.at))
            ):
                moments.append(incident.at)
        return min(moments)

    def _kin_of(self, result: Result, moment: datetime) -> frozenset[str]:
        return self.index.kin(result.subject, self.share(moment))

    def sound(self, sought: Sought, subject: str, demand: Demand) -> list[Result]:
        """The sound results on a subject for a demand of the rule that is sought."""
        key = (subject, sought.owner, id(sought.rule), sought.measure.name, id(demand), sought.after)
        found = self._sound.get(key)
        if found is None:
            results = self.index.results.get((sought.measure.task, subject), ())
            tried = (result for result in results if result.protocol.elicitation == demand.elicitation)
            found = self._sound[key] = [result for result in tried if self.is_sound(result, sought, demand)]
        return found

    # -- demands -------------------------------------------------------------------------------------------------------

    def counted(self, share: Fraction) -> tuple[str, ...]:
        """The subject, and at `scale` those whose results count with its own for ruling out: the ancestors that it only
        continued, and what stands beside it by an attacker's budget (rule 17), which is what stands beside them, too.
        """
        way = (self.subject, *self._continued())
        beside = self.index.beside(self.subject, share) if self.case.action == "scale" else ()
        return tuple(dict.fromkeys([*way, *sorted(beside)]))

    def ruling_out(self, measure: Measure) -> list[Result]:
        """The results that count for ruling out (rule 17): each on whatever counts with the subject by the greatest
        attacker's budget of the versions that have seen it.
        """
        widest = self.counted(self.share(BEGINNING))
        found = [r for one in widest for r in self.counting(measure, one)]
        return [r for r in found if r.subject in self.counted(self.share(start(r)))]

    def stand_ins(self, rule: RuleOut) -> list[str]:
        """The ancestors that it only continued whose results may stand in for its own (rule 17)."""
        subjects, high = self.index.facts.subjects, self.model.ec_high
        return [a for a in self._continued() if high <= rule.refresh.multiple * subjects[a].ec_low]

    def _continued(self) -> list[str]:
        return self.index.line_of_descent(self.subject) if self.case.action == "scale" else []

    def satisfied(self, sought: Sought, demand: Demand, multiple: Fraction) -> Held | None:
        """By what a demand is met, at best (rule 18); None: it is not. Each evaluation reaches `multiple` times as far
        as the effective compute that it measured.
        """
        found: list[Held] = []
        rule, assumptions = sought.rule, assumed(sought.rule, sought.measure, demand)
        for subject in sought.subjects:
            for ran, results in self.tried(sought, subject, demand).items():
                said = [self.discharged(name, subject, rule.run_by, ran) for name in assumptions]
                stated = [it for it in said if it is not None]
                if len(stated) < len(said):
                    continue
                expires = max(self.expiry(r, rule.refresh, rule.buffer) for r in results)
                reaches = [self.index.facts.subjects[subject].ec_low * multiple, *(it.reach for it in stated)]
                held = Held(min([expires, *(it.expires for it in stated)]), least(reaches))
                found += [held] if self.has_room(held.reach) else []
        return max(found, key=lambda it: (it.expires, it.reach), default=None)

    def tried(self, sought: Sought, subject: str, demand: Demand) -> dict[Tried, list[Result]]:
        """The sound results on a subject for a demand, by how hard they tried: each must be certified (rule 16)."""
        found: dict[Tried, list[Result]] = {}
        for result in self.sound(sought, subject, demand):
            ran = Tried(result.protocol.recipe, result.protocol.demonstrations, sought.rule.confidence)
            found.setdefault(ran, []).append(result)
        return found

    def has_room(self, reach: Fraction | None) -> bool:
        """Whether the subject is certainly within so much effective compute."""
        return reach is None or self.model.ec_high <= reach.__floor__()

    def discharged(self, name: str, subject: str, run_by: str, ran: Tried | None) -> Held | None:
        """Until when an assumption is discharged about a subject for results that tried so hard (rule 16; None: however
        hard); None: it is not.
        """
        said = self.standing(name, subject, run_by)
        stated = [end for end, it in said if stands_for(it, ran)]
        still = [self._below(threshold) for threshold in self.policy.assumptions[name].void_at] if stated else []
        if not stated or not all(tree.holds for tree in still):
            return None
        return Held(min([max(stated), *(tree.expires for tree in still)]), least(tree.reach for tree in still))

    def standing(self, name: str, subject: str, run_by: str) -> list[tuple[datetime, Attestation]]:
        """The words that stand for an assumption about a subject, each with its end (rule 16, all but `void_at`)."""
        key = (name, subject, run_by)
        if key not in self._standing:
            self._standing[key] = self._stand(name, subject, run_by)
        return self._standing[key]

    def _stand(self, name: str, subject: str, run_by: str) -> list[tuple[datetime, Attestation]]:
        rule = self.policy.assumptions.get(name)
        if rule is None:
            return []
        told = self.index.statements.get(name, ())
        failed = [a for a in told if a.check is not None and a.check.name == rule.checked and not passes(a, rule)]
        failed = [a for a in failed if a.about in self.counted(self.share(a.at))]  # the subject is one of these
        return [
            (expires, a)
            for a in told
            if a.about == subject
            and rule.by in a.signers
            and run_by not in a.signers
            and a.digest not in self.index.withdrawn
            and self.counts_from("assumptions", name, a.at)
            and (
                passes(a, rule) and all(self._answers(a, subject, it) for it in failed)
                if rule.checked
                else a.check is None
            )
            and not self.passed(expires := rule.fresh_for.after(a.at))
        ]

    def _answers(self, said: Attestation, about: str, failed: Attestation) -> bool:
        """Whether what a check showed is later than one that failed, and about the same subject or one further on."""
        before = failed.about in self.index.forebears(about, self.share(failed.at))
        made_from = failed.about is not None and about in self.index.ancestors(failed.about)  # it may be both
        return is_later(said, failed) and (failed.about == about or (before and not made_from))

    def _below(self, threshold: str) -> Node:
        from interlock.decide.finding import find

        return find(self, threshold).tree

    # -- margins -------------------------------------------------------------------------------------------------------

    def margin(self, line: Line, measure: str) -> tuple[Fraction, datetime | None]:
        """The room that a line asks for, and until when that is known (rule 9); None: it is not."""
        buffer = line.rule.buffer
        if not buffer.forecast_by:
            return buffer.margin, LATEST
        told = [f for f in self.index.facts.forecasts if f.measure == measure and buffer.forecast_by in f.signers]
        fresh = [
            expires
            for f in told
            if f.multiple >= buffer.multiple
            and self.counts_from("measures", measure, f.at)
            and f.digest not in self.index.withdrawn
            and buffer.fresh_for is not None
            and not self.passed(expires := buffer.fresh_for.after(f.at))
        ]
        return max((f.margin for f in told if f.margin > 0), default=Fraction(0)), max(fresh, default=None)

    # -- plans ---------------------------------------------------------------------------------------------------------

    def open_plans(self, measure: Measure | Unbounded, owner: tuple[Section, str]) -> list[Plan]:
        """The open plans that matter to a measure of a threshold or requirement (rule 19)."""
        return [
            plan
            for task in self._tasks(measure)
            for plan in self.index.plans.get(task, ())
            if plan.subject in self.kin(plan.at)
            and (measure.on == "model" or plan.protocol.deployment == self.deployment is not None)
            and not all(self._has_reported(plan, floor) for floor in self._floors(plan, owner))
        ]

    def silent(self) -> list[Plan]:
        """The plans on the subject's kin of which there is no result at all, of any task (rule 30)."""
        kin = self.kin(BEGINNING)
        return [it for it in self.index.facts.plans if it.subject in kin and it.digest not in self.index.reports]

    def _tasks(self, measure: Measure | Unbounded) -> list[str]:
        """The tasks that this version and earlier ones measure it by."""
        past = [version.policy.measures.get(measure.name) for version in self.case.versions[: self.current]]
        return list(dict.fromkeys([measure.task, *(it.task for it in past if isinstance(it, (Measure, Unbounded)))]))

    def _floors(self, plan: Plan, owner: tuple[Section, str]) -> Iterator[Floor]:
        """What is enough of a report on a plan, under every version that has seen it."""
        section, name = owner
        for place in self._places(plan.at):
            policy = self.case.versions[place].policy
            held = getattr(policy, section).get(name)
            rule = getattr(held, "rule_out", None)
            if rule is not None:
                drawn = (draw(place, policy, owner, at, rule) for at in leaves(held))
                lines = [it for it in drawn if any(base.task == plan.protocol.task for base, _ in it.bases)]
                yield Floor(rule.coverage, tuple(lines))
            elif held is not None:
                yield Floor(Fraction(1), ())

    def _has_reported(self, plan: Plan, floor: Floor) -> bool:
        """Whether all who announced a plan have reported enough of it."""
        reports = self.index.reports.get(plan.digest, ())
        return any(floor.enough(r) and r.digest not in self.index.withdrawn for r in reports)

    def due(self, plan: Plan) -> datetime:
        """When a plan must have reported: its own word, at most that of any version that has seen it."""
        return min([plan.report_by, *(it.report_within.after(plan.at) for it in self.witnesses(plan.at))])

    def blocking(self, plans: list[Plan]) -> list[Reason]:
        """What open plans stand in the way (rule 20): at once, where a version that has seen them calls the action
        irreversible.
        """
        running = [plan for plan in plans if not self.passed(self.due(plan))]
        return [self._late(plan) for plan in plans if self.passed(self.due(plan))] + [
            self._running(plan)
            for plan in running
            if not all(policy.reversible(self.case.action) for policy in self.witnesses(plan.at))
        ]

    def _late(self, plan: Plan) -> Reason:
        text = f"the plan of entry {plan.entry} on {self.name(plan.subject)} was due at {timestamp(self.due(plan))}"
        return Reason("unreported", f"{text} and never reported", self._run_it(plan))

    def _running(self, plan: Plan) -> Reason:
        text = f"the plan of entry {plan.entry} on {self.name(plan.subject)} is still open"
        return Reason("open-plan", f"{text}, and `{self.case.action}` cannot be taken back", self._run_it(plan))

    def _run_it(self, plan: Plan) -> str:
        return f"run it: interlock evaluate --subject {self.index.facts.subjects[plan.subject].name}"

    def evaluate_command(self) -> str:
        """How to get a sound result."""
        return f"interlock plan --subject {self.model.name}, then interlock evaluate --subject {self.model.name}"


def least(reaches: Iterable[Fraction | None]) -> Fraction | None:
    """The least of several reaches; None where none sets a limit."""
    return min((reach for reach in reaches if reach is not None), default=None)
