"""The facts of a case: every kind that a ledger knows, written short, to the values that `decide` reads.

What a fact leaves out is read so that it does not help a permit; docs/policy-language.md lists every field and default.
Digests are made from names, so that the same file always gives the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, get_args

from interlock.decide import facts as told
from interlock.decide.decision import State
from interlock.decide.facts import Facts
from interlock.policy import _scalar as scalar
from interlock.policy._cases.read import Entry, Problems, interval, known, nearest
from interlock.policy._scalar import quote
from interlock.policy._written.yaml import Node, plain
from interlock.policy.duty import Clock, Moment
from interlock.policy.model import ELICITATIONS, Measure, Policy, Unbounded
from interlock.subject.lineage import STEPS

V = TypeVar("V")

STATES: tuple[State, ...] = get_args(State)
MOMENTS: tuple[Moment, ...] = get_args(Moment)
_HEX = re.compile(r"[0-9a-f]{64}")
#: What a plan says for its results.
_ANNOUNCED = (
    *("subject", "measure", "task", "metric", "elicitation", "deployment", "planned", "samples", "shots", "seed"),
    *("demonstrations", "attempts", "tools", "safety_ablated", "unit", "planned_at", "planned_by", "report_by"),
    *("recipe", "stopping", "order_seed"),
)
_MOST_UNITS = 100_000  # the exact bounds of more take minutes
_SHOTS = 5  # examples of a few-shot result that does not say how many it showed

#: A fact of the ledger. All have an `entry` and an `at`.
Fact = (
    told.Plan
    | told.Result
    | told.Attestation
    | told.Approval
    | told.Judgement
    | told.Withdrawal
    | told.SetAside
    | told.Incident
    | told.Forecast
    | told.Amendment
)
_FIELDS: dict[type[Fact], str] = {
    told.Plan: "plans",
    told.Result: "results",
    told.Attestation: "attestations",
    told.Approval: "approvals",
    told.Judgement: "judgements",
    told.Withdrawal: "withdrawals",
    told.SetAside: "set_asides",
    told.Incident: "incidents",
    told.Forecast: "forecasts",
    told.Amendment: "amendments",
}

#: What an approval saw: the state of each threshold that it names; None: what stood when it was signed.
Saw = Mapping[str, State] | None


def digest(name: str) -> str:
    """The digest that stands for a name; a digest stands for itself."""
    return name if _HEX.fullmatch(name) else sha256(name.encode()).hexdigest()


def clocks(policy: Policy) -> dict[str, Clock | None]:
    """What a decision may start, by name, and within what it is due: duties, and the answers to a hold."""
    answers = {f"on_hold.{about}.{it.do}": it.within for about, all_ in policy.on_hold.items() for it in all_}
    return {**answers, **{name: duty.within for name, duty in policy.duties.items()}}


class Known:
    """What the policies of a case define, by name. Where several define a name, the first one's is meant."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.policies = tuple(policies)
        self.roles = self._all(lambda policy: policy.roles)
        self.measures = self._all(lambda policy: policy.measures)
        self.thresholds = self._all(lambda policy: policy.thresholds)
        self.requirements = self._all(lambda policy: policy.requirements)
        self.assumptions = self._all(lambda policy: policy.assumptions)
        self.exceptions = self._all(lambda policy: policy.exceptions)
        self.duties = self._all(clocks)

    def _all(self, section: Callable[[Policy], Mapping[str, V]]) -> dict[str, V]:
        return {name: value for policy in reversed(self.policies) for name, value in section(policy).items()}


@dataclass(slots=True)
class Telling:
    """One case's facts as they are read. `subjects` and `deployments` are by name; `until` is the ledger's time;
    `ids` are the names that facts gave themselves, with their kinds.
    """

    known: Known
    until: datetime
    subject: str
    deployment: str | None
    subjects: dict[str, told.Subject]
    deployments: dict[str, told.Deployment]
    ids: dict[str, str]
    found: Problems
    made: list[Fact]
    saw: dict[str, Saw]

    def tell(self, kind: str, entry: Entry, name: str) -> None:
        """Read one fact, whose digest is that of `name`."""
        entry.child("id")
        KINDS[kind](self, entry, digest(name))

    def facts(self) -> Facts:
        """All facts, numbered in the order of their times."""
        ordered = sorted(self.made, key=lambda fact: fact.at)
        numbered = [replace(fact, entry=entry) for entry, fact in enumerate(ordered, start=1)]
        plans = {fact.digest: fact for fact in numbered if isinstance(fact, told.Plan)}
        lists: dict[str, list[Any]] = {field: [] for field in _FIELDS.values()}
        for fact in numbered:
            if isinstance(fact, told.Result) and fact.plan:
                fact = replace(fact, plan=plans[fact.plan.digest])  # noqa: PLW2901  with its number
            lists[_FIELDS[type(fact)]].append(fact)
        size = len(numbered) + 1
        return Facts(
            checkpoint=told.Checkpoint(size, digest(f"root {size}"), self.until),
            subjects=MappingProxyType({it.digest: it for it in self.subjects.values()}),
            deployments=MappingProxyType({it.digest: it for it in self.deployments.values()}),
            **{field: tuple(values) for field, values in lists.items()},
        )

    # -- fields that many facts have -----------------------------------------------------------------------------------

    def moment(self, value: object) -> datetime:
        """A time that the ledger has seen."""
        moment = scalar.moment(value)
        if moment > self.until:
            raise ValueError(
                f"expected a time not after the ledger's, `{scalar.stamp(self.until)}`, got {quote(value)}"
            )
        return moment

    def role(self, value: object) -> str:
        """A role that has keys to sign with."""
        role = known("role", self.known.roles)(value)
        if not role.keys:
            raise ValueError(f"nobody can sign for `{role.name}`: the policy gives it no keys")
        return role.name

    def signers(self, entry: Entry, name: str = "by") -> frozenset[str]:
        """The roles whose quorum signed; must be written."""
        if name not in entry:
            entry.need(name, str)
        return frozenset(entry.each(name, self.role))

    def signed(self, entry: Entry) -> tuple[frozenset[str], frozenset[str]]:
        """The roles whose quorum signed, and those of which at least one key did. There must be one."""
        signers = frozenset(entry.each("by", self.role))
        members = signers | frozenset(entry.each("member_of", self.role))
        if not members and entry.sound:
            entry.wrong(entry.node, "expected `by` (a quorum signed) or `member_of` (one key signed), got neither")
        return signers, members

    def who(self, entry: Entry, name: str = "subject") -> str:
        """The digest of a subject; left out, that of the case's."""
        return entry.get(name, known("subject", self.subjects), self.subjects[self.subject]).digest

    def about(self, value: object) -> str | None:
        """The digest of a subject or a deployment, or nothing for the developer."""
        if value == "developer":
            return None
        things = {name: it.digest for name, it in self.subjects.items()}
        things |= {name: it.digest for name, it in self.deployments.items()}
        if isinstance(value, str) and value in things:
            return things[value]
        hint = nearest(value, things)
        raise ValueError(f"expected `developer`, or the name of a subject or a deployment, got {quote(value)}{hint}")

    def refers(self, *kinds: str) -> Callable[[object], str]:
        """A reader of another fact's `id`; gives its digest."""
        ids = {name: f"fact {name}" for name, kind in self.ids.items() if not kinds or kind in kinds}

        def read(value: object) -> str:
            what = " or ".join(kinds) if kinds else "fact"
            if not isinstance(value, str) or value not in ids:
                raise ValueError(f"expected the `id` of a {what} of this case, got {quote(value)}{nearest(value, ids)}")
            return digest(ids[value])

        return read

    # -- evaluations ---------------------------------------------------------------------------------------------------

    def plan(self, entry: Entry, name: str) -> None:
        """An evaluation announced, and not reported unless a result names it."""
        who, protocol, signers = self.who(entry), self.protocol(entry), self.signers(entry, "run_by")
        at = entry.need("at", self.moment)
        report_by = entry.get("report_by", scalar.moment, None)
        if entry.end() and protocol:
            self.made.append(self._plan(name, who, protocol, signers=signers, at=at, report_by=report_by))

    def _plan(
        self,
        name: str,
        subject: str,
        protocol: told.Protocol,
        *,
        signers: frozenset[str],
        at: datetime,
        report_by: datetime | None,
    ) -> told.Plan:
        by = report_by or self.known.policies[0].report_within.after(at)
        return told.Plan(0, name, subject, protocol, signers, at, by)

    def result(self, entry: Entry, name: str) -> None:
        """What a run gave: of a plan of its own, of a `plan` told before, or of none."""
        signers, at = self.signers(entry, "run_by"), entry.need("at", self.moment)
        plan: told.Plan | None = None
        if "plan" in entry:
            of = entry.need("plan", self.refers("plan"))
            plan = next((it for it in self.made if isinstance(it, told.Plan) and it.digest == of), None)
            for field in _ANNOUNCED:
                if field in entry:
                    entry.wrong(cast("Node", entry.child(field)), f"`{field}` is announced by the plan")
            if of and plan is None and not self.found:  # else its own problem was told
                entry.wrong(cast("Node", entry.child("plan")), "expected a plan that stands before its result")
            subject, protocol = (plan.subject, plan.protocol) if plan else ("", None)
        else:
            subject, protocol = self.who(entry), self.protocol(entry)
            planned_at = entry.need("planned_at", lambda value: None if value == "never" else self.moment(value))
            planned_by = frozenset(entry.each("planned_by", self.role)) or signers
            report_by = entry.get("report_by", scalar.moment, None)
            if planned_at and at and planned_at > at:
                entry.wrong(cast("Node", entry.child("planned_at")), "expected `planned_at` to be not after `at`")
            if planned_at and protocol:
                plan = self._plan(
                    digest(f"plan {name}"), subject, protocol, signers=planned_by, at=planned_at, report_by=report_by
                )
        counts = self.counts(entry, protocol)
        if entry.end() and protocol:
            if plan and "plan" not in entry:
                self.made.append(plan)
            self.made.append(told.Result(0, name, subject, protocol, signers=signers, plan=plan, at=at, **counts))

    def counts(self, entry: Entry, protocol: told.Protocol | None) -> dict[str, Any]:
        """How a run went: how many units were completed, scored, refused, and what they scored."""
        planned, at_once = protocol.samples if protocol else 0, protocol is None or protocol.stopping == "fixed"
        stopped_at = None if at_once else entry.need("stopped_at", scalar.whole)
        if stopped_at is not None and stopped_at > planned:
            entry.wrong(cast("Node", entry.child("stopped_at")), f"expected at most {planned}, got {stopped_at}")
        planned = planned if stopped_at is None else stopped_at
        scored = entry.get("scored", scalar.whole, planned)
        completed = entry.get("completed", scalar.whole, scored)
        refused = entry.get("refused", scalar.whole, 0)
        at_most = entry.get("refused_at_most", scalar.whole, refused)
        correct, total = entry.get("correct", scalar.whole, None), entry.get("total", scalar.number, None)
        flop = entry.get("flop", scalar.flop, 0)
        if ("correct" in entry) == ("total" in entry):
            got = "both" if "total" in entry else "neither"
            entry.wrong(
                entry.node, f"expected `correct` (how many scored 1) or `total` (the sum of the scores), got {got}"
            )
        if entry.sound and protocol and not ((correct or 0) <= scored <= completed <= planned and refused <= completed):
            got = f"{correct or 0} <= {scored} <= {completed} <= {planned}, {refused} refused"
            entry.wrong(
                entry.node, f"expected correct <= scored <= completed <= planned, refused <= completed, got {got}"
            )
        if entry.sound and protocol and not refused <= at_most <= planned:
            entry.wrong(entry.node, f"expected refused <= refused_at_most <= {planned}, got {refused} and {at_most}")
        values = {"completed": completed, "scored": scored, "flop": flop, "correct": correct or 0, "total": total}
        values |= {"refused_scores": max(scored + refused - completed, 0), "refused_at_most": at_most}
        return {**values, "stopped_at": stopped_at}

    def protocol(self, entry: Entry) -> told.Protocol | None:
        """What is run; nothing where the measure is not known."""
        measure = entry.need("measure", self.measured)
        task, version = entry.get("task", scalar.task, (measure.task, measure.task_version) if measure else ("", 0))
        elicitation = entry.need("elicitation", scalar.one_of(*ELICITATIONS))
        default = self.deployment if measure and measure.on == "deployment" else None
        deployment = entry.get("deployment", known("deployment", self.deployments), self.deployments.get(default or ""))
        if entry.sound and measure.on == "deployment" and not deployment:
            entry.wrong(entry.node, f"expected `deployment`: `{measure.name}` is measured on deployments")
        stopping = entry.get("stopping", scalar.one_of("fixed", "e-process"), "fixed")
        own = isinstance(measure, Measure)
        samples = measure.samples_digest if isinstance(measure, Measure) else ""
        protocol = told.Protocol(
            task=task,
            task_version=version,
            metric=entry.get("metric", scalar.prose, measure.metric if measure else ""),
            samples=entry.need("planned", units),
            samples_digest=entry.get("samples", _samples, samples or digest(f"samples of {task}")),
            elicitation=elicitation,
            shots=entry.get("shots", scalar.whole, _SHOTS if elicitation == "few-shot" else 0),
            demonstrations=entry.get("demonstrations", scalar.whole, 0),
            seed=entry.get("seed", scalar.whole, 0),
            deployment=deployment.digest if deployment else None,
            attempts=entry.get("attempts", scalar.positive, 1),
            tools=entry.get("tools", scalar.truth, default=False),
            safety_ablated=entry.get("safety_ablated", scalar.truth, default=False),
            recipe=recipe(entry.get("recipe", scalar.name, "")),
            stopping=cast("Any", stopping),
            order_seed=None if stopping == "fixed" else entry.get("order_seed", scalar.whole, 0),
            unit=cast(
                "Any",
                entry.get(
                    "unit",
                    scalar.one_of("sample", "family"),
                    measure.unit if own and isinstance(measure, Measure) else "sample",
                ),
            ),
        )
        return protocol if entry.sound else None

    def measured(self, value: object) -> Measure | Unbounded:
        """A measure that an evaluation yields itself."""
        measure = known("measure", self.known.measures)(value)
        if not isinstance(measure, Measure | Unbounded):
            raise ValueError(f"`{measure.name}` is derived from others: tell a result of each of them")  # noqa: TRY004
        return measure

    # -- words ---------------------------------------------------------------------------------------------------------

    def assumption(self, entry: Entry, name: str) -> None:
        """A role's word that an assumption holds, perhaps on a check."""
        assumption = entry.need("name", known("assumption", self.known.assumptions))
        about, signers, at = self.who(entry, "about"), self.signers(entry), entry.need("at", self.moment)
        check = self.check(entry)
        if entry.end():
            self.made.append(
                told.Attestation(0, assumption.name, True, about, signers, at, check=check, digest=name)  # noqa: FBT003
            )

    def check(self, entry: Entry) -> told.Check | None:
        """What a check of an assumption showed."""
        node = entry.child("check")
        if node is None:
            return None
        inner = Entry(node, self.found, "a check")
        check = told.Check(
            inner.need("name", scalar.name),
            inner.need("passed", scalar.truth),
            inner.need("caught", scalar.whole),
            inner.need("organisms", units),
            self.validity(inner),
        )
        entry.sound &= inner.end()
        return check

    def validity(self, entry: Entry) -> told.Validity | None:
        """What is known of the elicitor behind a check."""
        node = entry.child("validity")
        if node is None:
            return None
        inner = Entry(node, self.found, "a check's validity")
        validity = told.Validity(
            recipe(inner.need("recipe", scalar.name)),
            inner.need("demonstrations", scalar.whole),
            inner.need("ruled_out", scalar.whole),
            inner.need("honest", units),
            inner.need("at", scalar.number),
            inner.need("least_parameters", scalar.parameters),
            inner.need("confidence", scalar.confidence),
        )
        entry.sound &= inner.end()
        return validity

    def attestation(self, entry: Entry, name: str) -> None:
        """A role's word that a requirement is met."""
        requirement, about = self.required(entry)
        signers, at = self.signers(entry), entry.need("at", self.moment)
        if entry.end():
            self.made.append(
                told.Attestation(0, requirement, False, about, signers, at, digest=name)  # noqa: FBT003
            )

    def approval(self, entry: Entry, name: str) -> None:
        """A role's approval of what it saw."""
        requirement, about = self.required(entry)
        signers, at = self.signers(entry), entry.need("at", self.moment)
        saw = self.seen(entry)
        if entry.end():
            self.saw[name] = saw
            self.made.append(told.Approval(0, name, requirement, about, frozenset(), signers, at))

    def required(self, entry: Entry) -> tuple[str, str | None]:
        """The name of a requirement, and whom the word is about: as the requirement has it, unless it is written."""
        requirement = entry.need("requirement", known("requirement", self.known.requirements))
        whom = getattr(requirement, "about", "developer")
        own = {"developer": None, "subject": self.subjects[self.subject].digest}
        if whom == "deployment" and "about" not in entry and not self.deployment:
            entry.wrong(entry.node, f"expected `about`: `{requirement.name}` is about a deployment")
        default = own[whom] if whom in own else digest(self.deployment or "")
        return requirement.name if requirement else "", entry.get("about", self.about, default)

    def seen(self, entry: Entry) -> Saw:
        """The findings that an approval saw."""
        node = entry.child("findings")
        if node is None or node.value == "current":
            return None
        if not isinstance(node.value, dict):
            entry.wrong(node, f"expected `current`, or a mapping of thresholds to states, got {quote(plain(node))}")
            return None
        return states(entry, "findings", self.known.thresholds)

    def judgement(self, entry: Entry, name: str) -> None:
        """What a role, or a member of it, says about a judged threshold."""
        threshold = entry.need("threshold", known("threshold", self.known.thresholds))
        verdict = entry.need("verdict", scalar.one_of("below", "reached"))
        who, at = self.who(entry), entry.need("at", self.moment)
        on = frozenset(entry.each("on", self.refers("result", "attestation")))
        signers, members = self.signed(entry)
        if entry.end():
            said = cast("Literal['below', 'reached']", verdict)
            self.made.append(told.Judgement(0, name, threshold.name, who, said, on, signers, members, at))

    def withdrawal(self, entry: Entry, name: str) -> None:
        """A signer takes a statement back."""
        of, signers, at = entry.need("of", self.refers()), self.signers(entry), entry.need("at", self.moment)
        if entry.end():
            self.made.append(told.Withdrawal(0, name, of, signers, at))

    def set_aside(self, entry: Entry, name: str) -> None:
        """A result, or an incident, is taken out of what counts."""
        of, reason = entry.need("of", self.refers("result", "incident")), entry.need("reason", scalar.prose)
        signers, at = self.signers(entry), entry.need("at", self.moment)
        if entry.end():
            self.made.append(told.SetAside(0, name, of, reason, signers, at))

    def incident(self, entry: Entry, name: str) -> None:
        """Something happened: to one subject, or to nobody in particular."""
        kind, at = entry.need("kind", scalar.name), entry.need("at", self.moment)
        who = self.who(entry) if "subject" in entry else None
        thresholds = entry.each("thresholds", known("threshold", self.known.thresholds))
        requirements = entry.each("requirements", known("requirement", self.known.requirements))
        signers, members = self.signed(entry)
        moments = dict.fromkeys(MOMENTS, at)
        node = entry.child("moments")
        if node is not None:
            inner = Entry(node, self.found, "moments")
            moments = {moment: inner.get(moment, self.moment, at) for moment in MOMENTS}
            entry.sound &= inner.end()
        resolved = entry.get("resolved", self.moment, None)
        if entry.end():
            self.made.append(
                told.Incident(
                    entry=0,
                    digest=name,
                    kind=kind,
                    subject=who,
                    thresholds=frozenset(it.name for it in thresholds),
                    requirements=frozenset(it.name for it in requirements),
                    signers=signers,
                    members=members,
                    at=at,
                    moments=moments,
                    resolved=resolved,
                )
            )

    def forecast(self, entry: Entry, name: str) -> None:
        """How far a measure may move while effective compute grows."""
        measure = entry.need("measure", known("measure", self.known.measures))
        multiple, margin = entry.need("multiple", scalar.multiple), entry.need("margin", scalar.number)
        signers, at = self.signers(entry), entry.need("at", self.moment)
        if entry.end():
            self.made.append(told.Forecast(0, name, measure.name, multiple, margin, signers, at))

    def amendment(self, entry: Entry, name: str) -> None:
        """An exception of the policy is opened."""
        exception = entry.need("exception", known("exception", self.known.exceptions))
        who = self.who(entry) if "subject" in entry else None
        published = entry.get("published", scalar.prose, "")
        signers, at = self.signers(entry), entry.need("at", self.moment)
        if entry.end():
            self.made.append(told.Amendment(0, name, exception.name, who, published, signers, at))

    def lineage(self, entry: Entry, name: str) -> None:  # noqa: ARG002  subjects are named, not digested
        """A step from a parent: says the same as `from` in `subjects`."""
        who = entry.get("subject", known("subject", self.subjects), self.subjects[self.subject])
        made = step(entry, self.subjects)
        if entry.end():
            self.subjects[who.name] = replace(self.subjects[who.name], steps=(*who.steps, made))


KINDS: Mapping[str, Callable[[Telling, Entry, str], None]] = {
    "result": Telling.result,
    "judgement": Telling.judgement,
    "assumption": Telling.assumption,
    "attestation": Telling.attestation,
    "approval": Telling.approval,
    "plan": Telling.plan,
    "withdrawal": Telling.withdrawal,
    "set-aside": Telling.set_aside,
    "incident": Telling.incident,
    "forecast": Telling.forecast,
    "lineage": Telling.lineage,
    "amendment": Telling.amendment,
}


def units(value: object) -> int:
    """A number of samples, families or organisms."""
    count = scalar.whole(value)
    if count > _MOST_UNITS:
        raise ValueError(f"expected at most {_MOST_UNITS}, got {quote(value)}")
    return count


def recipe(name: str | None) -> str:
    """The recipe that a name stands for; without one, none is known."""
    return digest(f"recipe {name}") if name else told.UNKNOWN


def step(entry: Entry, subjects: Collection[str]) -> told.Step:
    """How a subject came from a parent."""
    parent = entry.need("parent", known("subject", {name: name for name in subjects}))
    kind, compute = entry.need("step", scalar.one_of(*STEPS)), entry.need("compute", scalar.flop)
    return told.Step(digest(parent or ""), kind, compute)  # that there is no parent was told


def subjects(nodes: Mapping[str, Node], found: Problems) -> dict[str, told.Subject]:
    """The subjects of a case, by name."""
    made: dict[str, told.Subject] = {}
    for name, node in nodes.items():
        entry = Entry(node, found, "a subject")
        ends = cast("tuple[int, int] | None", entry.need("effective_compute", interval))
        low, high = ends or (0, 0)
        training = entry.get("training_compute", scalar.flop, high)
        steps = []
        for origin in entry.nodes("from"):
            inner = Entry(origin, found, "a step from a parent")
            steps.append(step(inner, nodes))
            inner.end()
        entry.end()
        made[name] = told.Subject(digest(name), name, training, low, high, tuple(steps))
    return made


def states(entry: Entry, name: str, thresholds: Collection[str]) -> dict[str, State]:
    """A mapping of thresholds to the states that they are found in."""
    read = scalar.one_of(*STATES)
    return {
        it: cast("State", entry.value(node, read)) for it, node in entry.keyed(name, "threshold", thresholds).items()
    }


def _samples(value: object) -> str:
    return digest(scalar.prose(value).removeprefix("sha256:"))
