"""From verified ledger bytes to facts.

Guarantees: every entry was read, in order; each is a strictly parsed envelope that keys of the policy's roles signed;
entry 0 is the first version of the policy, signed by the quorum that the policy itself names, and its digest is the
pinned one. Anything else is an `EvidenceError`: a ledger with one entry that cannot be understood supports no decision
at all.
What it leaves to the caller: pinning the policy's digest, and checking the logs' bytes (`evaluate.logs`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.decide.facts import (
    Amendment,
    Approval,
    Attestation,
    Checkpoint,
    Deployment,
    Facts,
    Forecast,
    Incident,
    Judgement,
    Lapse,
    Plan,
    Protocol,
    Result,
    SetAside,
    Signers,
    Subject,
    Version,
    Withdrawal,
    ancestors,
)
from interlock.duties.account import Account, Decided, Done
from interlock.duties.running import running
from interlock.errors import EvidenceError, UsageError
from interlock.evidence import amendment, canonical, dsse, duties, testimony
from interlock.evidence.imported import UNKNOWN_FLOP, ImportedPredicate
from interlock.evidence.leases import Leases, Permit, had_read, under
from interlock.evidence.predicates import (
    KINDS,
    ComputeSource,
    DeploymentPredicate,
    ResultPredicate,
    SnapshotPredicate,
    SubjectPredicate,
    predicate_type,
    protocol_from_json,
)
from interlock.evidence.roles import Electorate, in_force
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.evidence.testimony import BY_ONE_KEY, Audit, Before, Revocation, Said, Spent
from interlock.policy.compile import from_json as policy_from_json
from interlock.policy.model import ELICITATIONS, Policy
from interlock.subject import deployment as offers
from interlock.subject.lineage import (
    Charge,
    Made,
    Saved,
    ancestry,
    below_parent,
    only_continued,
    otherwise_saved,
    somebody_elses,
)
from interlock.subject.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from interlock.ledger.log import LedgerView

__all__ = ["Evidence", "Permit", "Record", "Snapshot", "read", "read_at"]

_TYPES = {predicate_type(kind): kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as it stands in the ledger; `subject` is the digest of the saved weights."""

    entry: int
    subject: str
    terms: SnapshotPredicate


@dataclass(frozen=True, slots=True)
class Record:
    """One entry, for people: its kind, what it is about, who signed; with one key only, `members`.

    `about` is by its digest: the name of a subject or a deployment, `entry N` for a statement, else the policy's id.
    """

    entry: int
    kind: str
    about: str
    signers: Signers
    at: datetime
    digest: str
    members: Signers = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a ledger holds: the policy's versions, the facts, and the paper trail beside them.

    `manifests` are those of the subjects, by digest; a run from scratch that has no weights yet has none.
    `offered` is what deployments consist of, by digest; `decisions` are the recorded ones, with the duties that they
    name, and `done` is somebody's word that a duty was done. `revoked`, `narrowed` and `spent` are, by digest, the
    permits that open nothing any more: taken back; with a narrower one in their place, by its digest; used. `validity`
    the validity records that checks of assumptions name, as (name, SHA-256) by the check's entry.
    """

    versions: tuple[Version, ...]
    facts: Facts
    results: Mapping[int, ResultPredicate | ImportedPredicate]
    permits: tuple[Permit, ...]
    snapshots: tuple[Snapshot, ...]
    records: tuple[Record, ...]
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    compute_sources: Mapping[str, ComputeSource] = field(default_factory=dict)
    offered: Mapping[str, offers.Deployment] = field(default_factory=dict)
    audits: tuple[Audit, ...] = ()
    decisions: tuple[Decided, ...] = ()
    done: tuple[Done, ...] = ()
    revoked: Mapping[str, Revocation] = field(default_factory=dict)
    narrowed: Mapping[str, str] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)
    validity: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    def in_force(self, at: datetime) -> Version:
        """The version of the policy that is in force at a time; the first one, before that takes effect."""
        return in_force(self.versions, at)[0]

    def duties(self, at: datetime) -> Account:
        """Every duty that has started, as it stands at a time that is not before the ledger's own."""
        return running(self.versions, self.facts, self.decisions, self.done, at=at)

    @property
    def policy(self) -> Policy:
        """The policy in the version that was in force when the ledger was last signed."""
        return self.in_force(self.facts.checkpoint.time).policy

    @property
    def policy_digest(self) -> str:
        """The digest of that version."""
        return self.in_force(self.facts.checkpoint.time).digest

    def charge(self, permit: Permit) -> Charge:
        """What training under a permit is charged, by its FLOP since the permit's subject."""
        parent = self.facts.subjects[permit.subject]
        return _charge(permit, Made(parent, "continued", 0, parent.digest in self.manifests))

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


def _charge(permit: Permit, made: Made) -> Charge:
    """What a step from a permit's subject is charged under it, as `Made.effective` charges it from there on."""
    return Charge(permit.terms.start_compute, made.worth)


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
    versions: list[Version] = field(default_factory=list)
    subjects: dict[str, Subject] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    compute_sources: dict[str, ComputeSource] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    offered: dict[str, offers.Deployment] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    details: dict[int, ResultPredicate | ImportedPredicate] = field(default_factory=dict)
    attestations: list[Attestation] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    set_asides: list[SetAside] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    forecasts: list[Forecast] = field(default_factory=list)
    amendments: list[Amendment] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    lapses: dict[str, Lapse] = field(default_factory=dict)
    validity: dict[int, tuple[str, str]] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)
    snapshots: list[Snapshot] = field(default_factory=list)
    saved: dict[str, Saved] = field(default_factory=dict)  # by file of weights
    records: list[Record] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)  # by digest of the statement
    electorate: Electorate = field(default_factory=Electorate)

    def take(self, index: int, data: bytes, at: datetime) -> None:
        """Read one entry."""
        where = f"ledger entry {index}"
        envelope = dsse.parse(data)
        statement = Statement.parse(dsse.payload(envelope, PAYLOAD_TYPE, where=where))
        kind = _TYPES.get(statement.predicate_type)
        if kind is None:
            raise EvidenceError(f"{where}: unknown predicate type `{statement.predicate_type}`")
        if (kind == "policy") != (index == 0):
            raise EvidenceError(
                f"{where}: a `{kind}`, expected a policy as entry 0 and nowhere else; its next versions are amendments"
            )
        if len(statement.subjects) != 1:
            raise EvidenceError(f"{where}: names {len(statement.subjects)} things, expected one")
        if statement.digest in self.kinds:
            first = self.entries[statement.digest]
            raise EvidenceError(
                f"{where}: repeats an earlier statement, that of entry {first}; to say the same by other keys, sign it "
                "with a word changed, such as its reason or date"
            )
        if kind == "policy":
            self._policy(statement, at, where)
        said = self._said(index, envelope, statement, at, kind)
        readers: dict[str, Callable[[Said], str | None]] = {
            "policy": self._check_policy,
            "subject": self._subject,
            "deployment": self._deployment,
            "plan": self._plan,
            "result": self._result,
            "attestation": self._attestation,
            "decision": self._decision,
            "permit": self._permit,
            "snapshot": self._snapshot,
            "withdrawal": self._withdrawal,
            "set-aside": self._set_aside,
            "assumption-check": self._assumption_check,
            "judgement": self._judgement,
            "approval": self._approval,
            "forecast": self._forecast,
            "incident": self._incident,
            "amendment": self._amendment,
            "audit": self._audit,
            "duty": self._duty,
            "duty-overdue": self._overdue,
            "revocation": self._revocation,
            "permit-spent": self._spent,
        }
        self.kinds[statement.digest] = readers[kind](said) or kind
        self.entries[statement.digest] = index
        about = self._named(said.about)
        self.records.append(Record(index, kind, about, said.signers, at, statement.digest, said.members))

    def _named(self, digest: str) -> str:
        """What people call a thing, by its digest: the name that a statement gives it may be that of another."""
        known = self.subjects.get(digest) or self.deployments.get(digest)
        if known is not None:
            return known.name
        if digest in self.entries:
            return f"entry {self.entries[digest]}"
        if self.snapshots and self.snapshots[-1].subject == digest:
            saved = self.snapshots[-1].terms
            return f"{self.subjects[saved.parent].name}, step {saved.step}"
        return next(it.policy.id for it in self.versions if it.digest == digest)

    def _said(self, index: int, envelope: dsse.Envelope, statement: Statement, at: datetime, kind: str) -> Said:
        where = f"ledger entry {index}"
        signers, members = self.electorate.signed(envelope, at)
        if not members:
            raise EvidenceError(f"{where}: signed by the quorum of no role, and by no key of one")
        # who must have signed a new version of the policy is checked where it is read: two versions have a say
        amends = kind == "amendment" and "policy" in statement.predicate
        if not signers and not amends and kind not in BY_ONE_KEY:
            raise EvidenceError(f"{where}: signed by the quorum of no role")
        return Said(index, statement, signers, members, at, where, envelope)

    def facts(self, checkpoint: Checkpoint) -> Facts:
        """What was read, as the rule reads it."""
        return Facts(
            checkpoint=checkpoint,
            subjects=dict(self.subjects),
            plans=tuple(self.plans.values()),
            results=tuple(self.results.values()),
            attestations=tuple(self.attestations),
            deployments=dict(self.deployments),
            approvals=tuple(self.approvals),
            judgements=tuple(self.judgements),
            withdrawals=tuple(self.withdrawals),
            set_asides=tuple(self.set_asides),
            incidents=tuple(self.incidents.values()),
            forecasts=tuple(self.forecasts),
            amendments=tuple(self.amendments),
            lapses=tuple(self.lapses.values()),
        )

    def evidence(self, checkpoint: Checkpoint) -> Evidence:
        """What was read so far; reading on does not change it."""
        return Evidence(
            versions=tuple(self.versions),
            facts=self.facts(checkpoint),
            results=dict(self.details),
            permits=tuple(self.leases.permits.values()),
            snapshots=tuple(self.snapshots),
            records=tuple(self.records),
            manifests=dict(self.manifests),
            compute_sources=dict(self.compute_sources),
            offered=dict(self.offered),
            audits=tuple(self.audits),
            decisions=tuple(self.decided),
            done=tuple(self.done),
            revoked=dict(self.leases.revoked),
            narrowed=dict(self.leases.narrowed),
            spent=dict(self.leases.spent),
            validity=dict(self.validity),
        )

    @property
    def _before(self) -> Before:
        return Before(self.versions, self.kinds, self.subjects, self.deployments, self.results, self.incidents)

    def _known(self, digest: str, where: str) -> Subject:
        if digest not in self.subjects:
            raise EvidenceError(f"{where}: subject {digest[:12]} is not in the ledger before it")
        return self.subjects[digest]

    def _policy(self, statement: Statement, at: datetime, where: str) -> None:
        policy = policy_from_json(dict(statement.predicate))  # which has one spelling only: it is the compiled policy
        digest = hashlib.sha256(canonical.dumps(statement.predicate)).hexdigest()
        if digest != self.pinned_policy or statement.subjects[0][1] != digest:
            raise EvidenceError(f"{where}: policy {digest[:12]}, expected {self.pinned_policy[:12]}")
        self._enter(Version(policy, digest, policy.effective, at))

    def _enter(self, version: Version) -> None:
        self.versions.append(version)
        self.electorate = self.electorate.after(version)

    def _check_policy(self, said: Said) -> None:
        approved_by = self.versions[0].policy.amendments.approved_by
        if not approved_by:
            raise said.wrong("the policy names nobody who approves it")
        for role in approved_by:
            if role not in said.signers:
                raise said.wrong(f"the policy is not signed by `{role}`")

    def _subject(self, said: Said) -> None:
        statement, where = said.statement, said.where
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
        problem = only_continued(made)
        problem = problem or below_parent(made, training=read.training_compute, low=read.ec_low, high=read.ec_high)
        if problem:
            raise EvidenceError(f"{where}: {problem}")
        subject = Subject(digest, read.name, read.training_compute, read.ec_low, read.ec_high, read.steps)
        if isinstance(read.identity, Manifest):
            self._check_weights(subject, read.identity, where)
            self.manifests[digest] = read.identity
        if read.source is not None:
            self.compute_sources[digest] = read.source
        self.subjects[digest] = subject

    def _check_weights(self, subject: Subject, files: Manifest, where: str) -> None:
        """Whose weights a subject has, it is made from; as a snapshot of them says, and for as much compute."""
        line = ancestry([step.parent for step in subject.steps], self.subjects)
        problem = somebody_elses(files, line, self.subjects, self.manifests)
        if problem:
            raise EvidenceError(f"{where}: {problem}")
        if problem := self._otherwise_saved(subject, files, line, self.saved):
            raise EvidenceError(f"{where}: its weights are not its own: {problem}")

    def _otherwise_saved(
        self, subject: Subject, files: Manifest, line: set[str], saved: Mapping[str, Saved]
    ) -> str | None:
        """Why a subject cannot have the files that snapshots have; those that an ancestor has are the ancestor's."""
        own = set(files.weights.values()) - self._weights(line)
        return otherwise_saved(subject, [saved[it] for it in sorted(own & saved.keys())])

    def _weights(self, subjects: set[str]) -> set[str]:
        """All of their files of weights."""
        return {it for one in subjects & self.manifests.keys() for it in self.manifests[one].weights.values()}

    def _deployment(self, said: Said) -> None:
        statement, where = said.statement, said.where
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

    def _plan(self, said: Said) -> None:
        fields, digest = said.fields(), said.statement.digest
        protocol = protocol_from_json(fields.nested("protocol"), ELICITATIONS)
        subject = self._ran(said.statement, protocol, said.where)
        report_by = fields.time("report_by")
        latest = min(version.policy.report_within.after(said.at) for version in in_force(self.versions, said.at))
        fields.done()
        if report_by > latest:  # else a plan could put off its report for good
            raise said.wrong(f"reports by {timestamp(report_by)}, expected {timestamp(latest)} or before")
        self.plans[digest] = Plan(said.entry, digest, subject.digest, protocol, said.signers, said.at, report_by)

    def _result(self, said: Said) -> None:
        if "imported" in said.statement.predicate:
            self._imported(said)
            return
        read = ResultPredicate.from_json(said.statement.predicate, said.where, ELICITATIONS)
        subject = self._ran(said.statement, read.protocol, said.where)
        plan = self.plans.get(read.plan)
        if plan and (plan.subject, plan.protocol) != (subject.digest, read.protocol):
            plan = None  # it names a plan that announced something else: it counts as unplanned
        if plan and not plan.signers & said.signers:
            plan = None  # nobody reports on somebody else's plan: it would close what is still open
        self.details[said.entry] = read
        self.results[said.statement.digest] = Result(
            entry=said.entry,
            digest=said.statement.digest,
            subject=subject.digest,
            protocol=read.protocol,
            completed=read.completed,
            scored=read.scored,
            correct=read.correct,
            refused_scores=read.refused_scores,
            refused_at_most=read.refused_at_most,
            flop=read.flop,
            signers=said.signers,
            plan=plan,
            at=said.at,
            stopped_at=read.stopped.at if read.stopped else None,
        )

    def _imported(self, said: Said) -> None:
        """Somebody else's log. Whatever it says, it has no plan and an unknown elicitation: it can only hold."""
        read = ImportedPredicate.from_json(said.statement.predicate, said.where)
        subject = self._with_weights(said.about, said.where)
        if read.edit_of is not None and read.edit_of not in self.results:
            raise said.wrong(f"the result {read.edit_of[:12]} that it edits is not in the ledger before it")
        self.details[said.entry] = read
        self.results[said.statement.digest] = Result(
            entry=said.entry,
            digest=said.statement.digest,
            subject=subject.digest,
            protocol=read.protocol,
            completed=read.counts.completed,
            scored=read.counts.scored,
            correct=read.counts.correct,
            refused_scores=read.counts.refused_scores,
            refused_at_most=read.counts.refused_at_most,
            flop=UNKNOWN_FLOP,
            signers=said.signers,
            plan=None,
            at=said.at,
            total=read.counts.total,
        )

    def _attestation(self, said: Said) -> None:
        self.attestations.append(testimony.attestation(said, self._before))

    def _assumption_check(self, said: Said) -> None:
        told, record = testimony.assumption_check(said, self._before)
        self.attestations.append(told)
        self.validity |= {said.entry: record} if record else {}

    def _approval(self, said: Said) -> None:
        self.approvals.append(testimony.approval(said, self._before))

    def _judgement(self, said: Said) -> None:
        self.judgements.append(testimony.judgement(said, self._before))

    def _forecast(self, said: Said) -> None:
        self.forecasts.append(testimony.forecast(said, self._before))

    def _withdrawal(self, said: Said) -> None:
        self.withdrawals.append(testimony.withdrawal(said, self._before))

    def _set_aside(self, said: Said) -> None:
        self.set_asides.append(testimony.set_aside(said, self._before))

    def _audit(self, said: Said) -> None:
        found = testimony.audit(said, self._before)
        self.audits.append(found)
        against = testimony.disagreement(said, found, self._before)
        self.withdrawals += [against] if against else []

    def _duty(self, said: Said) -> None:
        word = duties.done(said, self._before)
        self.done.append(word)
        lapse = self.lapses.get(word.of)
        if lapse is not None and lapse.done is None:
            item = self._account(said).find(word.of)
            answer = item.answer if item else None
            self.lapses[word.of] = replace(lapse, done=answer.entry if answer else None)

    def _overdue(self, said: Said) -> None:
        lapse = duties.overdue(said, self._before, self._account(said))
        self.lapses[lapse.of] = lapse

    def _account(self, said: Said) -> Account:
        """The duties as they stand at the ledger time of an entry."""
        facts = self.facts(Checkpoint(said.entry, "", said.at))
        return running(self.versions, facts, self.decided, self.done, at=said.at)

    def _revocation(self, said: Said) -> None:
        permit = self.leases.permits.get(said.about)
        own = under(said, permit.terms.policies, self.versions) if permit else []
        issuers = [*own, *(version.policy for version in in_force(self.versions, said.at))]
        self.leases.revoked[said.about] = testimony.revocation(said, self._before, issuers)

    def _amendment(self, said: Said) -> str:
        if "policy" not in said.statement.predicate:
            self.amendments.append(testimony.opening(said, self._before))
            return "opening of an exception"
        earlier = Checkpoint(said.entry, "", self.records[-1].at)
        self._enter(amendment.amended(said, self.versions, lambda: self.facts(earlier)))
        return "version of the policy"

    def _incident(self, said: Said) -> str:
        if "kind" in said.statement.predicate:
            told = testimony.incident(said, self._before)
            self.incidents[told.digest] = told
            return "incident"
        told = testimony.resolution(said, self._before)
        self.incidents[told.digest] = told  # in its own place: nothing else that it said has changed
        return "incident resolution"

    def _decision(self, said: Said) -> None:
        def time(entry: int) -> datetime:
            return said.at if entry == said.entry else self.records[entry].at

        fields = said.fields()
        read, _ = had_read(fields, said.where, said.entry, time)
        self.leases.decided(said, self._known(said.about, said.where), read.time)
        action, offered = fields.text("action"), fields.digest_or_none("deployment")
        self.decided.append(duties.decided(said, self._before, action=action, deployment=offered))

    def _permit(self, said: Said) -> None:
        subject = self._known(said.about, said.where)
        self.leases.issued(said, subject, lineage=ancestors(self.subjects, subject.digest), versions=self.versions)

    def _spent(self, said: Said) -> None:
        self.leases.used(testimony.spent(said, self._before), said)

    def _snapshot(self, said: Said) -> None:
        terms = SnapshotPredicate.from_json(said.statement.predicate, said.where)
        permit = self.leases.permits.get(terms.permit)
        if permit is None:
            raise said.wrong(f"its permit {terms.permit[:12]} is not in the ledger before it")
        if permit.terms.action != "scale":
            raise said.wrong(f"its permit {terms.permit[:12]} is for `{permit.terms.action}`, expected one to `scale`")
        # it says how much of the lease is spent: who issued it, or whoever issues permits by now
        current = (version.policy for version in in_force(self.versions, said.at))
        issuers = [*under(said, permit.terms.policies, self.versions), *current]
        if not any(policy.permits.issued_by in said.signers for policy in issuers):
            raise said.wrong(f"the snapshot is not signed by `{issuers[0].permits.issued_by}`")
        if terms.parent != permit.subject:
            raise said.wrong("the snapshot does not go on from the subject of its permit")
        parent = self.subjects[permit.subject]
        made = Made(parent, "continued", terms.flop, parent.digest in self.manifests)
        if terms.compute != (spent := _charge(permit, made).effective(terms.flop)):
            raise said.wrong(
                f"{terms.flop} FLOP of training that continued `{parent.name}` come to {spent} FLOP of effective "
                f"compute, got {terms.compute}"
            )
        if terms.files.digest != said.about:
            raise said.wrong(f"its files make snapshot {terms.files.digest[:12]}, got {said.about[:12]}")
        self._save(said, terms, made)
        self.snapshots.append(Snapshot(said.entry, said.about, terms))

    def _save(self, said: Said, terms: SnapshotPredicate, made: Made) -> None:
        """Keep what was spent on weights that nobody before it in its line, and no earlier snapshot, had; a subject
        that has them already may have said nothing else.
        """
        known = self._weights(ancestry([made.parent.digest], self.subjects)) | self.saved.keys()
        new = set(terms.files.weights.values()) - known
        saved = self.saved | dict.fromkeys(new, Saved(said.entry, made, terms.compute))
        for digest, files in self.manifests.items():
            if new.isdisjoint(files.weights.values()):
                continue
            subject = self.subjects[digest]
            line = ancestry([step.parent for step in subject.steps], self.subjects)
            if problem := self._otherwise_saved(subject, files, line, saved):
                raise said.wrong(f"subject `{subject.name}` has its weights, and said otherwise: {problem}")
        self.saved = saved
