"""From verified ledger bytes to facts.

Guarantees: every entry was read, in order; each is a strictly parsed envelope that keys of the policy's roles signed;
entry 0 is the one policy, signed by the quorum that the policy itself names, and its digest is the pinned one. Anything
else is an `EvidenceError`: a ledger with one entry that cannot be understood supports no decision at all.
What it leaves to the caller: pinning the policy's digest, and checking the logs' bytes (`evaluate.logs`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.decide.facts import (
    Attestation,
    Checkpoint,
    Deployment,
    Facts,
    Plan,
    Protocol,
    Result,
    Signers,
    Subject,
    Version,
)
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import canonical, dsse
from interlock.evidence.imported import UNKNOWN_FLOP, ImportedPredicate
from interlock.evidence.keys import PublicKey
from interlock.evidence.predicates import (
    KINDS,
    DeploymentPredicate,
    Fields,
    PermitPredicate,
    ResultPredicate,
    SnapshotPredicate,
    SubjectPredicate,
    predicate_type,
    protocol_from_json,
)
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.policy.compile import from_json as policy_from_json
from interlock.policy.model import ELICITATIONS, Policy
from interlock.subject import deployment as offers
from interlock.subject.lineage import Made, below_parent
from interlock.subject.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from interlock.ledger.log import LedgerView

_TYPES = {predicate_type(kind): kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit as it stands in the ledger. `digest` is that of its statement."""

    entry: int
    digest: str
    subject: str
    terms: PermitPredicate
    signers: Signers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as it stands in the ledger; `subject` is the digest of the saved weights."""

    entry: int
    subject: str
    terms: SnapshotPredicate


@dataclass(frozen=True, slots=True)
class _Granted:
    """What a decision with the verdict `permit` allows a permit to grant."""

    subject: str
    deployment: str | None
    action: str
    most_compute: int
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One entry, for people: its kind, what it is about, who signed."""

    entry: int
    kind: str
    about: str
    signers: Signers
    at: datetime
    digest: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a ledger holds: the policy, the facts, and the paper trail beside them.

    `manifests` are those of the subjects, by digest; a run from scratch that has no weights yet has none.
    `offered` is what deployments consist of, by digest.
    """

    policy: Policy
    policy_digest: str
    facts: Facts
    results: Mapping[int, ResultPredicate | ImportedPredicate]
    permits: tuple[Permit, ...]
    snapshots: tuple[Snapshot, ...]
    records: tuple[Record, ...]
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    offered: Mapping[str, offers.Deployment] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions of the policies in this ledger, for `decide`: one, in force from its effective date."""
        return (Version(self.policy, self.policy_digest, self.policy.effective, self.records[0].at),)

    def subject(self, name: str) -> Subject:
        """The subject with this name or digest (or a digest's first eight or more digits).

        Raises:
            UsageError: none has it, or several do.
        """
        subjects = self.facts.subjects.values()
        found = [s for s in subjects if name in {s.name, s.digest} or (len(name) >= 8 and s.digest.startswith(name))]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"`{s.name}`" for s in subjects) or "none yet"
        raise UsageError(f"no single subject is called `{name}`; the ledger knows: {known}")

    def deployment(self, name: str) -> Deployment:
        """The deployment with this name or digest (or a digest's first eight or more digits).

        Raises:
            UsageError: none has it, or several do.
        """
        offered = self.facts.deployments.values()
        found = [d for d in offered if name in {d.name, d.digest} or (len(name) >= 8 and d.digest.startswith(name))]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"`{d.name}`" for d in offered) or "none yet"
        raise UsageError(f"no single deployment is called `{name}`; the ledger knows: {known}")


def read(view: LedgerView, *, pinned_policy: str) -> Evidence:
    """Read every entry of a verified ledger.

    `pinned_policy` is the digest of the compiled policy that the workspace trusts.

    Raises:
        EvidenceError: an entry is malformed, wrongly signed, or refers to something that is not there before it.
    """
    (evidence,) = read_at(view, [Checkpoint(view.size, view.root.hex(), view.time)], pinned_policy=pinned_policy)
    return evidence


def read_at(view: LedgerView, checkpoints: Sequence[Checkpoint], *, pinned_policy: str) -> Iterator[Evidence]:
    """As `read`, in one pass: what the ledger held at each checkpoint, in the order of their sizes.

    Raises:
        EvidenceError: as `read`, about an entry up to the last of them.
    """
    if not view.statements:
        raise EvidenceError("the ledger is empty, expected the policy as entry 0")
    reader, done = _Reader(pinned_policy), 0
    for checkpoint in checkpoints:
        for entry in view.statements[done : checkpoint.size]:
            reader.take(entry.index, entry.data, entry.time)
        done = checkpoint.size
        yield reader.evidence(checkpoint)


@dataclass(slots=True)
class _Reader:
    """Reads entry after entry, and refuses what an earlier entry does not support."""

    pinned_policy: str
    policy: Policy | None = None
    subjects: dict[str, Subject] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    offered: dict[str, offers.Deployment] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    details: dict[int, ResultPredicate | ImportedPredicate] = field(default_factory=dict)
    attestations: list[Attestation] = field(default_factory=list)
    decisions: dict[str, _Granted | None] = field(default_factory=dict)
    permits: dict[str, Permit] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    keys: dict[str, PublicKey] = field(default_factory=dict)
    roles: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)

    def take(self, index: int, data: bytes, at: datetime) -> None:
        """Read one entry."""
        where = f"ledger entry {index}"
        envelope = dsse.parse(data)
        statement = Statement.parse(dsse.payload(envelope, PAYLOAD_TYPE, where=where))
        kind = _TYPES.get(statement.predicate_type)
        if kind is None:
            raise EvidenceError(f"{where}: unknown predicate type `{statement.predicate_type}`")
        if (kind == "policy") != (index == 0):
            raise EvidenceError(f"{where}: a `{kind}`, expected the one policy as entry 0 and nowhere else")
        if len(statement.subjects) != 1:
            raise EvidenceError(f"{where}: names {len(statement.subjects)} things, expected one")
        if statement.digest in self.digests:
            raise EvidenceError(f"{where}: repeats an earlier statement")
        self.digests.add(statement.digest)
        if kind == "policy":
            self._policy(statement, where)
        signers = self._signers(envelope, where)
        readers: dict[str, Callable[[int, Statement, Signers, datetime, str], None]] = {
            "policy": self._check_policy,
            "subject": self._subject,
            "deployment": self._deployment,
            "plan": self._plan,
            "result": self._result,
            "attestation": self._attestation,
            "decision": self._decision,
            "permit": self._permit,
            "snapshot": self._snapshot,
        }
        readers[kind](index, statement, signers, at, where)
        self.records.append(Record(index, kind, statement.subjects[0][0], signers, at, statement.digest))

    def evidence(self, checkpoint: Checkpoint) -> Evidence:
        """What was read so far; reading on does not change it."""
        assert self.policy is not None  # noqa: S101  entry 0 set it, or `take` raised
        facts = Facts(
            checkpoint=checkpoint,
            subjects=dict(self.subjects),
            plans=tuple(self.plans.values()),
            results=tuple(self.results),
            attestations=tuple(self.attestations),
            deployments=dict(self.deployments),
        )
        return Evidence(
            policy=self.policy,
            policy_digest=self.pinned_policy,
            facts=facts,
            results=dict(self.details),
            permits=tuple(self.permits.values()),
            snapshots=tuple(self.snapshots),
            records=tuple(self.records),
            manifests=dict(self.manifests),
            offered=dict(self.offered),
        )

    def _signers(self, envelope: dsse.Envelope, where: str) -> Signers:
        """The roles whose quorum signed: distinct keys, each counted once."""
        signed = envelope.signers(self.keys)
        roles = frozenset(name for name, (keys, quorum) in self.roles.items() if 0 < quorum <= len(signed & keys))
        if not roles:
            raise EvidenceError(f"{where}: signed by the quorum of no role")
        return roles

    def _known(self, digest: str, where: str) -> Subject:
        if digest not in self.subjects:
            raise EvidenceError(f"{where}: subject {digest[:12]} is not in the ledger before it")
        return self.subjects[digest]

    def _policy(self, statement: Statement, where: str) -> None:
        policy = policy_from_json(dict(statement.predicate))  # which has one spelling only: it is the compiled policy
        digest = hashlib.sha256(canonical.dumps(statement.predicate)).hexdigest()
        if digest != self.pinned_policy or statement.subjects[0][1] != digest:
            raise EvidenceError(f"{where}: policy {digest[:12]}, expected {self.pinned_policy[:12]}")
        self.policy = policy
        for role in policy.roles.values():
            public = [PublicKey.parse(key) for key in role.keys]
            self.keys |= {key.key_id: key for key in public}
            self.roles[role.name] = (frozenset(key.key_id for key in public), role.quorum)

    def _check_policy(self, _: int, __: Statement, signers: Signers, ___: datetime, where: str) -> None:
        assert self.policy is not None  # noqa: S101
        approved_by = self.policy.amendments.approved_by
        if not approved_by:
            raise EvidenceError(f"{where}: the policy names nobody who approves it")
        for role in approved_by:
            if role not in signers:
                raise EvidenceError(f"{where}: the policy is not signed by `{role}`")

    def _subject(self, _: int, statement: Statement, __: Signers, ___: datetime, where: str) -> None:
        read = SubjectPredicate.from_json(statement.predicate, where)
        digest, expected = statement.subjects[0][1], read.identity.digest
        if expected != digest:
            raise EvidenceError(f"{where}: its files make subject {expected[:12]}, got {digest[:12]}")
        if digest in self.subjects:
            raise EvidenceError(f"{where}: subject {digest[:12]} is there already as `{self.subjects[digest].name}`")
        if any(read.name == other.name for other in self.subjects.values()):
            raise EvidenceError(f"{where}: another subject is called `{read.name}`")
        made = [
            Made(self._known(step.parent, where), step.kind, step.compute, step.parent in self.manifests)
            for step in read.steps
        ]
        problem = below_parent(made, training=read.training_compute, low=read.ec_low, high=read.ec_high)
        if problem:
            raise EvidenceError(f"{where}: {problem}")
        if isinstance(read.identity, Manifest):
            self.manifests[digest] = read.identity
        self.subjects[digest] = Subject(digest, read.name, read.training_compute, read.ec_low, read.ec_high, read.steps)

    def _deployment(self, _: int, statement: Statement, __: Signers, ___: datetime, where: str) -> None:
        read = DeploymentPredicate.from_json(statement.predicate, where)
        digest, expected, subject = statement.subjects[0][1], read.offered.digest, read.offered.subject
        if expected != digest:
            raise EvidenceError(f"{where}: its parts make deployment {expected[:12]}, got {digest[:12]}")
        self._with_weights(subject, where)
        for other in self.deployments.values():
            if digest == other.digest:
                raise EvidenceError(f"{where}: deployment {digest[:12]} is there already as `{other.name}`")
            if read.name == other.name:
                raise EvidenceError(f"{where}: another deployment is called `{read.name}`")
        self.deployments[digest] = Deployment(digest, read.name, subject)
        self.offered[digest] = read.offered

    def _with_weights(self, digest: str, where: str) -> Subject:
        """A known subject that can be run."""
        subject = self._known(digest, where)
        if digest not in self.manifests:
            raise EvidenceError(f"{where}: `{subject.name}` is a run from scratch that has no weights yet")
        return subject

    def _ran(self, statement: Statement, protocol: Protocol, where: str) -> Subject:
        """The subject that a plan or a result is about; its deployment, if it has one, is one of this subject."""
        subject = self._with_weights(statement.subjects[0][1], where)
        if protocol.deployment is not None:
            offered = self.deployments.get(protocol.deployment)
            if offered is None or offered.subject != subject.digest:
                raise EvidenceError(
                    f"{where}: deployment {protocol.deployment[:12]} is not in the ledger before it as one of "
                    f"`{subject.name}`"
                )
        return subject

    def _plan(self, index: int, statement: Statement, signers: Signers, at: datetime, where: str) -> None:
        assert self.policy is not None  # noqa: S101
        fields = Fields(statement.predicate, where)
        protocol = protocol_from_json(fields.nested("protocol"), ELICITATIONS)
        subject = self._ran(statement, protocol, where)
        report_by, latest = fields.time("report_by"), self.policy.report_within.after(at)
        fields.done()
        if report_by > latest:  # else a plan could put off its report for good
            raise EvidenceError(f"{where}: reports by {timestamp(report_by)}, expected {timestamp(latest)} or before")
        self.plans[statement.digest] = Plan(index, statement.digest, subject.digest, protocol, signers, at, report_by)

    def _result(self, index: int, statement: Statement, signers: Signers, at: datetime, where: str) -> None:
        if "imported" in statement.predicate:
            self._imported(index, statement, signers, at, where)
            return
        read = ResultPredicate.from_json(statement.predicate, where, ELICITATIONS)
        subject = self._ran(statement, read.protocol, where)
        plan = self.plans.get(read.plan)
        if plan and (plan.subject, plan.protocol) != (subject.digest, read.protocol):
            plan = None  # it names a plan that announced something else: it counts as unplanned
        if plan and not plan.signers & signers:
            plan = None  # nobody reports on somebody else's plan: it would close what is still open
        self.details[index] = read
        self.results.append(
            Result(
                entry=index,
                digest=statement.digest,
                subject=subject.digest,
                protocol=read.protocol,
                completed=read.completed,
                scored=read.scored,
                correct=read.correct,
                flop=read.flop,
                signers=signers,
                plan=plan,
                at=at,
                refused=None,  # a result does not say yet how many were refused
            )
        )

    def _imported(self, index: int, statement: Statement, signers: Signers, at: datetime, where: str) -> None:
        """Somebody else's log. Whatever it says, it has no plan and an unknown elicitation: it can only hold."""
        read = ImportedPredicate.from_json(statement.predicate, where)
        subject = self._with_weights(statement.subjects[0][1], where)
        if read.edit_of is not None and all(result.digest != read.edit_of for result in self.results):
            raise EvidenceError(f"{where}: the result {read.edit_of[:12]} that it edits is not in the ledger before it")
        self.details[index] = read
        self.results.append(
            Result(
                entry=index,
                digest=statement.digest,
                subject=subject.digest,
                protocol=read.protocol,
                completed=read.counts.completed,
                scored=read.counts.scored,
                correct=read.counts.correct,
                flop=UNKNOWN_FLOP,
                signers=signers,
                plan=None,
                at=at,
                total=read.counts.total,
                refused=read.counts.refused,
            )
        )

    def _attestation(self, index: int, statement: Statement, signers: Signers, at: datetime, where: str) -> None:
        fields = Fields(statement.predicate, where)
        kind, name = fields.one_of("kind", ("assumption", "requirement")), fields.text("name")
        about = fields.one_of("about", ("subject", "deployment", "developer"))
        fields.text("statement")
        stated = fields.time("at")
        fields.done()
        if stated > at:
            raise EvidenceError(f"{where}: dated {timestamp(stated)}, later than its own ledger time {timestamp(at)}")
        digest = statement.subjects[0][1]
        if about == "developer" and digest != self.pinned_policy:
            raise EvidenceError(f"{where}: about the developer under policy {digest[:12]}, which is not in force")
        if about == "subject":
            self._known(digest, where)
        if about == "deployment" and digest not in self.deployments:
            raise EvidenceError(f"{where}: deployment {digest[:12]} is not in the ledger before it")
        known = None if about == "developer" else digest
        # its age runs from its own date: kept back, a statement does not stay fresh
        self.attestations.append(
            Attestation(index, name, kind == "assumption", known, signers, stated, digest=statement.digest)
        )

    def _decision(self, _: int, statement: Statement, __: Signers, ___: datetime, where: str) -> None:
        subject, fields = self._known(statement.subjects[0][1], where), Fields(statement.predicate, where)
        action, offered, granted = fields.text("action"), fields.digest_or_none("deployment"), None
        if fields.one_of("verdict", ("permit", "hold")) == "permit":
            bounds = fields.nested("bounds")
            most, end = bounds.flop("most_effective_compute"), bounds.time("not_after")
            granted = _Granted(subject.digest, offered, action, most, end)
        self.decisions[statement.digest] = granted

    def _permit(self, index: int, statement: Statement, signers: Signers, at: datetime, where: str) -> None:
        assert self.policy is not None  # noqa: S101
        terms = PermitPredicate.from_json(statement.predicate, where)
        subject = self._known(statement.subjects[0][1], where)
        if terms.decision not in self.decisions:
            raise EvidenceError(f"{where}: its decision {terms.decision[:12]} is not in the ledger before it")
        if self.policy.permits.issued_by not in signers:
            raise EvidenceError(f"{where}: the permit is not signed by `{self.policy.permits.issued_by}`")
        if not _allows(self.decisions[terms.decision], subject, terms, lease_end=self.policy.permits.lease.after(at)):
            raise EvidenceError(f"{where}: the permit grants what its decision {terms.decision[:12]} does not")
        self.permits[statement.digest] = Permit(index, statement.digest, subject.digest, terms, signers)

    def _snapshot(self, index: int, statement: Statement, signers: Signers, _: datetime, where: str) -> None:
        assert self.policy is not None  # noqa: S101
        terms = SnapshotPredicate.from_json(statement.predicate, where)
        permit = self.permits.get(terms.permit)
        if permit is None:
            raise EvidenceError(f"{where}: its permit {terms.permit[:12]} is not in the ledger before it")
        if self.policy.permits.issued_by not in signers:  # it says how much of the lease is spent
            raise EvidenceError(f"{where}: the snapshot is not signed by `{self.policy.permits.issued_by}`")
        if terms.parent != permit.subject or terms.compute < permit.terms.start_compute:
            raise EvidenceError(f"{where}: the snapshot does not go on from the subject of its permit")
        self.snapshots.append(Snapshot(index, statement.subjects[0][1], terms))


def _allows(granted: _Granted | None, subject: Subject, terms: PermitPredicate, *, lease_end: datetime) -> bool:
    """Whether a decision, and the policy's lease, cover every term of a permit."""
    return (
        granted is not None
        and (granted.subject, granted.deployment, granted.action) == (subject.digest, terms.deployment, terms.action)
        and subject.ec_high <= terms.start_compute <= terms.most_compute <= granted.most_compute
        and terms.not_after <= min(granted.not_after, lease_end)
    )
