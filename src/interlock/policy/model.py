"""A policy as values: what was promised, after loading and checking.

Everything here is frozen and exact: proportions and multiples are `Fraction`, compute is FLOP, times are aware and in
UTC. `decide` reads these values and nothing else of a policy; `compile.py` turns them into canonical JSON and back,
so that the ledger and every verifier read the same bytes. What the values mean is told by docs/semantics.md (the parts
that decide) and docs/policy-language.md (all parts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from interlock.policy.duty import Duty, Response
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Elicitation = Literal["prompted", "few-shot", "scaffolded", "fine-tuned", "rl-fine-tuned", "understanding-based"]
ELICITATIONS: tuple[Elicitation, ...] = (
    "prompted",
    "few-shot",
    "scaffolded",
    "fine-tuned",
    "rl-fine-tuned",
    "understanding-based",
)
#: The elicitations that train the subject first. They show nothing about propensity: training changes what is measured.
TRAINED: frozenset[Elicitation] = frozenset({"fine-tuned", "rl-fine-tuned"})

#: What a negative result under each elicitation takes for granted (Hubinger, "When can we trust model evaluations?").
ASSUMED: dict[Elicitation, tuple[str, ...]] = {
    "prompted": ("no-evaluation-gaming",),
    "few-shot": ("no-evaluation-gaming",),
    "scaffolded": ("no-evaluation-gaming",),
    "fine-tuned": ("no-gradient-hacking", "good-demonstrations"),
    "rl-fine-tuned": ("no-gradient-hacking", "no-exploration-hacking"),
    "understanding-based": ("valid-understanding",),
}
#: The same for a measure of propensity, whatever the (untrained) elicitation.
ASSUMED_OF_PROPENSITY: tuple[str, ...] = ("no-test-awareness",)

#: The actions that every policy gates or declares `not_governed`.
STANDARD_ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")

Modality = Literal["must", "will", "intends", "recommends"]
#: Only these gate.
BINDING: frozenset[Modality] = frozenset({"must", "will"})


# -- who ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Role:
    """Keys with a quorum. `keys` are public keys in text form (`ed25519:BASE64`); none yet: nobody can sign for it.

    `declares` is what its members say of themselves: no shared employer, no financial interest.
    """

    name: str
    keys: tuple[str, ...]
    quorum: int
    independent_of: tuple[str, ...]
    declares: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


# -- what is measured --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity that an evaluation yields: the mean of one score a unit, each in [`low`, `high`].

    With `danger` higher, larger values are more dangerous; with lower, smaller ones. `unit` family: where samples share
    a family, the family is counted. `samples_digest`, where given, is that of the only samples that rule anything out;
    `least_samples` is the fewest. `valid_below`: the benchmark says nothing from this value on (it saturates).
    """

    name: str
    kind: Literal["capability", "propensity", "safeguard", "understanding"]
    on: Literal["model", "deployment"]
    danger: Literal["higher", "lower"]
    low: Fraction
    high: Fraction
    task: str
    task_version: int
    metric: str
    unit: Literal["sample", "family"] = "sample"
    samples_digest: str = ""
    least_samples: int = 1
    valid_below: Fraction | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mean:
    """A derived measure: the weighted mean of others. Weights are above zero and add up to one."""

    name: str
    weights: Mapping[str, Fraction]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComputeRatio:
    """A derived quantity: effective compute of the subject over that of `subject` (a name or a digest)."""

    name: str
    subject: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unbounded:
    """A quantity without bounds. It can be evaluated and judged, and never stands in a predicate."""

    name: str
    kind: Literal["capability", "propensity", "safeguard", "understanding"]
    on: Literal["model", "deployment"]
    task: str
    task_version: int
    metric: str
    sources: tuple[str, ...] = ()


AnyMeasure = Measure | Mean | ComputeRatio | Unbounded

#: Quantities of a subject that its signed statement gives, as intervals, in FLOP.
BUILT_IN = ("training_compute", "effective_compute")


# -- predicates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class At:
    """True where a measure is at its level or on the dangerous side of it. `measure` is a `Measure` or a `Mean`."""

    measure: str
    level: Fraction


@dataclass(frozen=True, slots=True)
class Amount:
    """True where a signed quantity is at least `level`: a built-in one, or a `ComputeRatio`."""

    quantity: str
    level: Fraction


@dataclass(frozen=True, slots=True)
class Ref:
    """True where another threshold is reached."""

    threshold: str


@dataclass(frozen=True, slots=True)
class AtLeast:
    """True where at least `count` of the parts are. Any of: 1; all of: as many as there are. Never empty."""

    count: int
    parts: tuple[Expr, ...]


Expr = At | Amount | Ref | AtLeast


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything in it, from the top."""
    yield expr
    if isinstance(expr, AtLeast):
        for part in expr.parts:
            yield from walk(part)


# -- thresholds --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Demand:
    """One elicitation that must have been tried, and how hard at the least.

    `demonstrations` trained on, or shown; `flop` spent by the elicitation; `attempts` a sample; `tools` were given;
    `safety_ablated`: the refusals were trained away first; at most the share `refusals` of the samples was refused.
    """

    elicitation: Elicitation
    demonstrations: int = 0
    flop: int = 0
    attempts: int = 1
    tools: bool = False
    safety_ablated: bool = False
    refusals: Fraction = Fraction(1)


#: A refresh of so many times the compute, or months, or more bounds nothing: so is written that a text names none.
UNBOUNDED_MULTIPLE, UNBOUNDED_MONTHS = 1_000_000, 1200


@dataclass(frozen=True, slots=True)
class Refresh:
    """How far a result reaches: in effective compute, in time, until one of the `events`, until a member of the role
    `discretion` says so. Whichever comes first.
    """

    multiple: Fraction
    period: Duration
    events: tuple[str, ...] = ()
    discretion: str = ""
    sources: tuple[str, ...] = ()

    @property
    def names_multiple(self) -> bool:
        """Whether some growth in effective compute ends it."""
        return self.multiple < UNBOUNDED_MULTIPLE

    @property
    def names_period(self) -> bool:
        """Whether some length of time ends it."""
        return self.period.months < UNBOUNDED_MONTHS


@dataclass(frozen=True, slots=True)
class Buffer:
    """The room kept under a level. `multiple` is the growth in effective compute that it covers (1: none), `period` the
    time; `margin` is its sum of `items` (name to share), or comes from forecasts of the role `forecast_by`, one of
    which is not older than `fresh_for`.
    """

    multiple: Fraction
    margin: Fraction
    source: str
    items: Mapping[str, Fraction]
    period: Duration | None = None
    forecast_by: str = ""
    fresh_for: Duration | None = None

    @property
    def names_multiple(self) -> bool:
        """Whether it covers some growth in effective compute."""
        return 1 < self.multiple < UNBOUNDED_MULTIPLE


@dataclass(frozen=True, slots=True)
class RuleOut:
    """What evidence must show before a measure counts as under its level. `confidence` is one-sided.

    `assumes` are assumptions beside those of each elicitation. `refresh` is the policy's unless the threshold has one.
    A threshold that measures nothing itself uses a part of these (`Threshold.uses`). What it does not use asks for
    nothing: confidence 1/2, no elicitation, no margin, all samples, nobody who runs it, the policy's refresh.
    """

    confidence: Fraction
    elicitation: tuple[Demand, ...]
    buffer: Buffer
    coverage: Fraction
    run_by: str
    refresh: Refresh
    assumes: tuple[str, ...] = ()


#: The names of all of them.
RULE_FIELDS = frozenset(RuleOut.__dataclass_fields__)
#: The confidence of a rule that asks for none: under every one that may be written, so that it caps no alpha.
NO_CONFIDENCE = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold that a role judges. `on`: names of measures and of attested requirements. None: a hole."""

    by: str
    on: tuple[str, ...]
    fresh_for: Duration | None = None


@dataclass(frozen=True, slots=True)
class UnderQuantity:
    """Below if a signed quantity is certainly less than `level`."""

    quantity: str
    level: Fraction


@dataclass(frozen=True, slots=True)
class UnderScreen:
    """Below if another threshold, a cheaper one, is below."""

    threshold: str


@dataclass(frozen=True, slots=True)
class UnderReference:
    """Below if the subject scores less than `subject` on every measure in `on`, by `margin`, and that one is below."""

    subject: str
    on: tuple[str, ...]
    margin: Fraction


BelowIf = UnderQuantity | UnderScreen | UnderReference


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level of capability. `reached_when` None: only judged. `rule_out` None: the expression has no `At`.

    `above` are the thresholds of which this is a higher level. `role`: `watch` and `alert` ones stand at no gate.
    """

    name: str
    reached_when: Expr | None
    rule_out: RuleOut | None
    judged: Judged | None = None
    below_if: tuple[BelowIf, ...] = ()
    takeover_potential: bool = False
    role: Literal["gate", "watch", "alert"] = "gate"
    alert_for: str = ""
    above: tuple[str, ...] = ()
    domain: str = ""
    rung: str = ""
    threat_models: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures in its expression, each once, in order."""
        parts = walk(self.reached_when) if self.reached_when else ()
        return tuple(dict.fromkeys(part.measure for part in parts if isinstance(part, At)))

    @property
    def uses(self) -> frozenset[str]:
        """The fields of its rule by which something is decided: all where it measures, few or none where it does not.

        A judgement rests on results of some coverage and age; what leans on other thresholds divides its alpha.
        """
        parts = tuple(walk(self.reached_when)) if self.reached_when else ()
        if any(isinstance(part, At) for part in parts) or any(isinstance(it, UnderReference) for it in self.below_if):
            return RULE_FIELDS
        leaning = self.judged is None and any(isinstance(part, Ref) for part in parts)
        screened = any(isinstance(it, UnderScreen) for it in self.below_if)
        judged = frozenset({"coverage", "refresh"}) if self.judged is not None else frozenset()
        return judged | (frozenset({"confidence"}) if leaning or screened else frozenset())

    @property
    def hole(self) -> bool:
        """Nobody has said yet when it is reached."""
        return self.reached_when is None and (self.judged is None or not self.judged.on)


#: The check that an elicitor was tried on model organisms of which the truth is known.
CERTIFIED = "certified-elicitor"
#: The highest level at which ruling out counts as sharp, where a policy does not say.
SHARP_AT = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Assumption:
    """What must be true for a negative result to mean anything: stated by a role, or shown by a check.

    A check `checked` is run by `by`, and is believed if the share of model organisms that it catches is shown to be at
    least `coverage` at `confidence`; and, with `sharpness`, the share of organisms without the skill that it lets be
    ruled out, at a level of at most `sharp_at`, to be at least that; and no organism had fewer parameters than
    `least_parameters`. The assumption is void unless every threshold in `void_at` is below.
    """

    name: str
    by: str
    fresh_for: Duration
    checked: str = ""
    coverage: Fraction = Fraction(0)
    confidence: Fraction = Fraction(19, 20)
    sharpness: Fraction = Fraction(0)
    sharp_at: Fraction = SHARP_AT
    least_parameters: int = 0
    void_at: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


# -- requirements ------------------------------------------------------------------------------------------------------

About = Literal["subject", "deployment", "developer"]


@dataclass(frozen=True, slots=True)
class Attested:
    """Met by a fresh attestation of role `by`."""

    name: str
    what: str
    by: str
    about: About
    fresh_for: Duration
    standard: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Approved:
    """Met by a fresh approval of role `by` that names the finding that it saw."""

    name: str
    what: str
    by: str
    about: About
    fresh_for: Duration
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """Met if a measure is shown to be on the safe side of `level`, as for ruling out."""

    name: str
    measure: str
    level: Fraction
    rule_out: RuleOut
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Defined:
    """Met if the policy defines the threshold: it is there, and not a hole."""

    name: str
    threshold: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuledOut:
    """Met if another threshold is below."""

    name: str
    threshold: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Combined:
    """Met if at least `count` of the requirements `of` are. As a safety case: `claim`, `argument`, residual `doubt`."""

    name: str
    count: int
    of: tuple[str, ...]
    claim: str = ""
    argument: str = ""
    doubt: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """Empty on purpose: nobody knows yet what would show it. Never met."""

    name: str
    what: str
    owner: str
    review: datetime
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Never:
    """A requirement that is never met: the gate stays shut unless the threshold is ruled out."""

    name: str


Requirement = Attested | Approved | Measured | Defined | RuledOut | Combined | Hole | Never


@dataclass(frozen=True, slots=True)
class ExceptionRule:
    """A way round requirements that is approved, published and ends: `requires` stand in for each of `instead_of`.

    It is open for `lasts` from an amendment that every role in `approved_by` signed, and never after `until`.
    """

    name: str
    kind: Literal["interim", "marginal-risk", "emergency"]
    instead_of: tuple[str, ...]
    requires: tuple[str, ...]
    approved_by: tuple[str, ...]
    lasts: Duration
    until: datetime | None = None
    sources: tuple[str, ...] = ()


# -- gates and rules ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """What must be met at a gate unless the threshold is ruled out. `weaker` says what is only intended or recommended:
    (modality, requirement). A cell without `requires` gates nothing.
    """

    requires: tuple[str, ...]
    weaker: tuple[tuple[Modality, str], ...] = ()
    modality: Modality = "must"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """An action that the policy names beside the standard ones, or a standard one that it calls irreversible."""

    name: str
    reversible: bool
    refines: str = ""
    audience: str = ""
    size: str = ""
    surface: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom and what the policy binds. `subjects` None: every subject; else those of which it is not certainly false."""

    subjects: Expr | None = None
    developers: str = ""
    exempt: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Permits:
    """How long a permit lasts at most, how old the ledger's checkpoint may be, whose key signs permits, and which
    roles may revoke them.
    """

    lease: Duration
    ledger_age: Duration
    issued_by: str
    revocable_by: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Amendments:
    """How the policy changes: the roles that all approve, who is consulted, how long before it takes effect it is
    published, whether only tightening (or filling a hole) is allowed while a threshold is reached, which roles propose
    changes, and whether each comes with a change log.
    """

    approved_by: tuple[str, ...]
    consulted: tuple[str, ...] = ()
    notice: Duration | None = None
    frozen_while_reached: bool = False
    proposed_by: tuple[str, ...] = ()
    changelog_required: bool = False
    sources: tuple[str, ...] = ()


# -- what the policy speaks of -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Domain:
    """A field of risk."""

    name: str
    title: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who might do harm: skill, money, time, access."""

    name: str
    skill: str
    budget: str = ""
    time: str = ""
    access: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreatModel:
    """How harm would come about: by whom, compared with which baseline, and how much risk is tolerated."""

    name: str
    domain: str
    what: str
    actor: str = ""
    harm: str = ""
    baseline: str = ""
    probability: Fraction | None = None
    horizon: Duration | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standard:
    """A level of protection: what it maps to elsewhere, and which attackers it is and is not meant to stop."""

    name: str
    title: str
    maps_to: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    does_not_stop: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A document that the policy promises: who writes it, for whom, what it says, what may be left out, how long an
    unredacted copy is kept.
    """

    name: str
    title: str
    by: str
    audience: tuple[str, ...]
    contents: tuple[str, ...] = ()
    redactions: str = ""
    keep_for: Duration | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """Where somebody reports that the policy is not kept."""

    name: str
    to: tuple[str, ...]
    anonymous: bool
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """A kind of incident that starts duties or ends results; or of what nearly was one, with `near_miss_of`."""

    name: str
    title: str
    near_miss_of: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What the policy speaks of without deciding by it. `incidents` lists every kind that is named, or none."""

    domains: Mapping[str, Domain]
    actors: Mapping[str, Actor]
    threat_models: Mapping[str, ThreatModel]
    standards: Mapping[str, Standard]
    reports: Mapping[str, Report]
    channels: Mapping[str, Channel]
    incidents: Mapping[str, IncidentKind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy. `gates` maps action -> threshold -> cell; no gate is without a cell that gates.

    `not_governed` maps an action to the source that leaves it open. `independent` is the role that sets results aside
    and repeats the evaluations of a reached ancestor. `imposed_by` names the authority behind a baseline.
    """

    id: str
    version: str
    title: str
    effective: datetime
    expires: datetime | None
    supersedes: str
    imposed_by: str
    scope: Scope
    roles: Mapping[str, Role]
    measures: Mapping[str, AnyMeasure]
    assumptions: Mapping[str, Assumption]
    thresholds: Mapping[str, Threshold]
    requirements: Mapping[str, Requirement]
    exceptions: Mapping[str, ExceptionRule]
    gates: Mapping[str, Mapping[str, Cell]]
    not_governed: Mapping[str, str]
    actions: Mapping[str, Action]
    refresh: Refresh
    attacker_budget: Fraction
    attacker_budget_source: str
    permits: Permits
    report_within: Duration
    independent: str
    on_hold: Mapping[str, tuple[Response, ...]]
    duties: Mapping[str, Duty]
    amendments: Amendments
    context: Context
    sources: tuple[str, ...]

    @property
    def rules(self) -> tuple[RuleOut, ...]:
        """What its thresholds and requirements are ruled out by."""
        lines = (it.rule_out for it in self.thresholds.values() if it.rule_out is not None)
        return (*lines, *(it.rule_out for it in self.requirements.values() if isinstance(it, Measured)))

    @property
    def kinds_of_incident(self) -> tuple[str, ...]:
        """The kinds by which it does something, or that it defines, each once; none: it names no kind."""
        refreshes = [self.refresh, *(rule.refresh for rule in self.rules)]
        starts = (duty.start for duty in self.duties.values() if duty.start.on == "incident")
        named = [*self.context.incidents, *(kind for start in starts for kind in start.of)]
        named += [kind for refresh in refreshes for kind in refresh.events]
        return tuple(dict.fromkeys([*named, *(["refresh"] if any(it.discretion for it in refreshes) else [])]))

    def refined(self, action: str) -> str:
        """The action that an action refines in the end: itself, if it refines none."""
        while action in self.actions and self.actions[action].refines:
            action = self.actions[action].refines
        return action

    def reversible(self, action: str) -> bool:
        """Whether the action can be taken back. Any other is held by every open plan."""
        if action == "release-weights":
            return False
        if action in self.actions:
            return self.actions[action].reversible
        return action in {"scale", "deploy-internal", "deploy-api"}
