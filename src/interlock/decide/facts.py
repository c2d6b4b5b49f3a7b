"""What the ledger says, as values: the only input of `decide` beside the policies.

`evidence.read` builds these from verified bytes. Whatever it could not verify is not here. Times are ledger time: the
timestamp of the checkpoint that first covered the entry; those of an attestation, approval, statement, judgement and
forecast are their own dates, which are never later. Subjects and deployments are named by digest. `digest` of a fact is
that of its statement, `entry` its place in the ledger. docs/semantics.md says what each fact does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from interlock.policy.duty import Moment
    from interlock.policy.model import Policy

#: The recipe of what does not say how it was elicited.
UNKNOWN = "unknown"
#: Roles whose quorum signed an entry.
Signers = frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """How a subject came from a parent, and the FLOP that the step took."""

    parent: str
    kind: str
    compute: int


@dataclass(frozen=True, slots=True)
class Subject:
    """The exact model that is judged. Compute is FLOP; effective compute is an interval of FLOP."""

    digest: str
    name: str
    training_compute: int
    ec_low: int
    ec_high: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A subject as offered."""

    digest: str
    name: str
    subject: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """What was, or will be, run: the task, its samples, and how hard it tries.

    `samples` counts units of the measure: samples, or families of them. `deployment` None: the bare model. The elicitor
    had so many `demonstrations`, and showed `shots`. `recipe` is the SHA-256 of what says which elicitor was used, with
    which settings, or `UNKNOWN`. Under `stopping: e-process` the samples are asked in the order that `order_seed`
    commits to, and the run may stop after any of them.
    """

    task: str
    task_version: int
    metric: str
    samples: int
    samples_digest: str
    elicitation: str
    shots: int
    demonstrations: int
    seed: int
    deployment: str | None = None
    attempts: int = 1
    tools: bool = False
    safety_ablated: bool = False
    unit: Literal["sample", "family"] = "sample"
    recipe: str = UNKNOWN
    stopping: Literal["fixed", "e-process"] = "fixed"
    order_seed: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation announced before it runs."""

    entry: int
    digest: str
    subject: str
    protocol: Protocol
    signers: Signers
    at: datetime
    report_by: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave. `plan` is None unless an earlier entry of the ledger announced exactly this run.

    Of an imported log, the protocol's elicitation is `unknown` and `flop` more than any other result can have spent.

    Counts satisfy `0 <= correct <= scored <= completed <= planned`. Of the scores, `refused_scores` are known to be of
    units that were refused; of all units, at most `refused_at_most` were. `flop` is what the elicitation spent. With
    `total` None every score was 0 or 1 and `correct` of them were 1; else `total` is the sum of the scores of the
    scored units, and `correct` is 0. Under an e-process it ended after `stopped_at` samples of the committed order, and
    its counts are over these.
    """

    entry: int
    digest: str
    subject: str
    protocol: Protocol
    completed: int
    scored: int
    correct: int
    refused_scores: int
    refused_at_most: int
    flop: int
    signers: Signers
    plan: Plan | None
    at: datetime
    total: Fraction | None = None
    stopped_at: int | None = None

    @property
    def sequential(self) -> bool:
        """Whether it stopped by the rule of its plan, which pays for every look (rule 1)."""
        ran, plan = self.protocol, self.plan
        return (
            plan is not None
            and (ran.stopping, ran.unit, ran.attempts, self.total) == ("e-process", "sample", 1, None)
            and ran.order_seed is not None
            and (plan.protocol.stopping, plan.protocol.order_seed) == (ran.stopping, ran.order_seed)
            and self.stopped_at is not None
            and 0 <= self.stopped_at <= ran.samples
        )

    @property
    def units(self) -> int:
        """Of how many units it is: all that were planned, or those up to where it stopped by its rule."""
        return self.stopped_at if self.sequential and self.stopped_at is not None else self.protocol.samples


@dataclass(frozen=True, slots=True)
class Validity:
    """What is known of the elicitor behind a check, by its `recipe`, beside the organisms that it caught.

    It let `ruled_out` of the `honest` organisms that never had the skill be ruled out at the level `at`. The smallest
    of all organisms had `least_parameters` parameters; none was elicited with more than so many `demonstrations`. The
    bounds that covered them were one-sided, at `confidence`.
    """

    recipe: str
    demonstrations: int
    ruled_out: int
    honest: int
    at: Fraction
    least_parameters: int
    confidence: Fraction


@dataclass(frozen=True, slots=True)
class Check:
    """What a check of an assumption showed: whether it passed here, and how many model organisms it caught.

    `validity` None: it speaks of no elicitor, and was tried on organisms of which nothing is known.
    """

    name: str
    passed: bool
    caught: int
    organisms: int
    validity: Validity | None = None


@dataclass(frozen=True, slots=True)
class Attestation:
    """A role's signed word that a requirement is met or an assumption holds. `about` None means the developer.

    `check` is given where the word rests on one. `about` is the digest of a subject or of a deployment.
    """

    entry: int
    name: str
    is_assumption: bool
    about: str | None
    signers: Signers
    at: datetime
    check: Check | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A role's signed approval. `findings` are the digests of the findings that it saw (`decision.finding_digest`)."""

    entry: int
    digest: str
    name: str
    about: str | None
    findings: frozenset[str]
    signers: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a role says about a judged threshold. `on`: digests of the results and attestations that it names.

    `members`: the roles of which at least one key signed.
    """

    entry: int
    digest: str
    threshold: str
    subject: str
    verdict: Literal["below", "reached"]
    on: frozenset[str]
    signers: Signers
    members: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A signer takes back an earlier statement, by digest: it no longer counts towards a permit. All else stays."""

    entry: int
    digest: str
    of: str
    signers: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class SetAside:
    """A signed, reasoned removal of a result, or of what an incident says of a threshold, from what counts against."""

    entry: int
    digest: str
    of: str
    reason: str
    signers: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class Incident:
    """Something happened. `subject` None: it concerns all. `moments` are the clocks' starts; `at` is its ledger time.

    Kinds that a refresh lists as an event, and the kind `refresh` of a member of the refresh's role, end results. At
    `told_resolved` the ledger was told that it was `resolved`, which decides nothing.
    """

    entry: int
    digest: str
    kind: str
    subject: str | None
    thresholds: frozenset[str]
    requirements: frozenset[str]
    signers: Signers
    members: Signers
    at: datetime
    moments: Mapping[Moment, datetime]
    resolved: datetime | None = None
    told_resolved: datetime | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """How much a measure is expected to move towards danger while effective compute grows by `multiple`."""

    entry: int
    digest: str
    measure: str
    multiple: Fraction
    margin: Fraction
    signers: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class Amendment:
    """The approved and published opening of one of a policy's exceptions. `subject` None: for all."""

    entry: int
    digest: str
    exception: str
    subject: str | None
    published: str
    signers: Signers
    at: datetime


@dataclass(frozen=True, slots=True)
class Lapse:
    """Recorded non-compliance: the duty `of` (its digest) was due, and not done in time. It decides nothing; every
    later decision shows it. `done` is the entry that says that it was done later; None: nobody has said so.
    """

    entry: int
    digest: str
    of: str
    duty: str
    what: str
    due: datetime
    at: datetime
    done: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signed state of the ledger that a decision has read, whole."""

    size: int
    root: str
    time: datetime


#: Before everything.
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one policy, in force from `since` until the next one's `since`. `digest` is the compiled one's.

    `entered` is when the ledger took it in, as its entry `entry`: what is older than the first version's never counts
    in favour.
    """

    policy: Policy
    digest: str
    since: datetime
    entered: datetime = BEGINNING
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the ledger says, in the order of its entries."""

    checkpoint: Checkpoint
    subjects: Mapping[str, Subject]
    plans: tuple[Plan, ...] = ()
    results: tuple[Result, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    approvals: tuple[Approval, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    set_asides: tuple[SetAside, ...] = ()
    incidents: tuple[Incident, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    lapses: tuple[Lapse, ...] = ()

    def ancestors(self, digest: str) -> frozenset[str]:
        """Every subject that `digest` was made from, near and far; not itself."""
        return ancestors(self.subjects, digest)

    def derivatives(self, digest: str) -> dict[str, int]:
        """Every subject made from `digest`, near and far, with the least FLOP of all steps that lead there."""
        costs, before = {digest: 0}, None
        while costs != before:
            before = dict(costs)
            for other, subject in self.subjects.items():
                ways = [costs[step.parent] + step.compute for step in subject.steps if step.parent in costs]
                if ways and other != digest:
                    costs[other] = min(ways)
        return {other: cost for other, cost in costs.items() if other != digest}


def ancestors(subjects: Mapping[str, Subject], digest: str) -> frozenset[str]:
    """Every known subject that `digest` was made from, near and far; not itself."""
    found: set[str] = set()
    todo = [digest]
    while todo:
        for step in subjects[todo.pop()].steps:
            if step.parent not in found and step.parent in subjects:
                found.add(step.parent)
                todo.append(step.parent)
    return frozenset(found)


def is_later(said: Attestation | Judgement, adverse: Attestation | Judgement) -> bool:
    """Whether a statement came after an adverse one: by its date, and into the ledger, so that none helps by being kept
    back (rules 16 and 25).
    """
    return said.at > adverse.at and said.entry > adverse.entry
