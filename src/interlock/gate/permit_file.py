"""A permit in a file, for gates that may not reach the ledger.

    permit_file   the format
    entry         the permit as it stands in the ledger: a statement in a signed envelope (DSSE)
    proof         that it stands there: an inclusion proof (c2sp.org/tlog-proof) with the checkpoint that it leads to

Guarantees: `read` believes nothing in the file that the keys of the trust file did not sign, and no byte of the file
can be another one. What it gives is checked against a question in a few microseconds, as often as one likes.
What no file can show: that the permit was not revoked, narrowed or spent since. So it never opens what cannot be taken
back, nor what is for one use; and it ends, as every lease does. docs/permits.md has the format and what it proves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, LedgerError
from interlock.evidence import canonical, dsse
from interlock.evidence.predicates import Fields, PermitPredicate, predicate_type
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.gate.lease import Grant
from interlock.gate.permit import Held, check_not_ended, find
from interlock.ledger import quorum as quorums
from interlock.ledger._signed import utc
from interlock.ledger.note import Note
from interlock.ledger.prefix import cosigned, no_cosigners
from interlock.ledger.proof import InclusionProof, prove

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.read import Permit
    from interlock.gate.trust import Trust, Trusted
    from interlock.workspace import Workspace

__all__ = ["FORMAT", "LIMIT", "PermitFile", "export", "read", "written"]

FORMAT = "urn:interlock:permit-file:v1"
LIMIT = 1 << 18
"""Most bytes of a permit file."""


@dataclass(frozen=True, slots=True)
class PermitFile:
    """A permit whose signatures and proof have verified. `time` is the ledger's, of the checkpoint that shows it;
    `versions` are those of the policy that it names; it is over at `until` at the latest.
    """

    digest: str
    name: str
    subject: str
    terms: PermitPredicate
    time: datetime
    cosigned_by: tuple[str, ...]
    versions: tuple[Trusted, ...]
    until: datetime

    def verify(
        self,
        *,
        action: str,
        subject: str,
        at: datetime,
        deployment: str | None = None,
        effective_compute: int | None = None,
    ) -> Grant:
        """What it grants now, for this action on this subject. `effective_compute` is what will have been spent.

        Raises:
            Held: it does not open it; the message says why, and what would lift the hold.
        """
        terms = self.terms
        if terms.action != action:
            raise Held(f"the permit is for `{terms.action}`, expected one for `{action}`")
        if terms.single_use or not all(version.reversible(action) for version in self.versions):
            raise Held(
                f"`{action}` cannot be taken back, or the permit is for one use: a file does not show whether it is "
                "spent; ask a gate that reaches the ledger"
            )
        if subject != self.subject:
            made = ", which it was made from" if subject in terms.lineage else ""
            raise Held(f"the permit is for subject {self.subject[:12]}, expected one for {subject[:12]}{made}")
        if terms.deployment != deployment:
            got, asked = terms.deployment or "the bare model", deployment or "the bare model"
            raise Held(f"the permit is for deployment {got[:14]}, expected one for {asked[:14]}")
        if at < self.time:
            raise Held(f"the clock shows {timestamp(at)}, before the ledger's own time {timestamp(self.time)}")
        if any(version.since > at for version in self.versions):
            raise Held(f"a version of the policy that the permit was issued under is not in force at {timestamp(at)}")
        if at < terms.not_before:
            raise Held(f"the permit starts at {timestamp(terms.not_before)}, and it is {timestamp(at)}")
        if at >= self.until:
            raise Held(f"the permit ended at {timestamp(self.until)}; ask for a new one: interlock permit issue")
        grant = Grant(terms.start_compute, terms.most_compute, terms.not_before, self.until, self.time)
        if effective_compute is not None:
            grant.check_compute(effective_compute)
        return grant


def export(workspace: Workspace, digest: str) -> bytes:
    """The file of a permit that stands in the ledger and was not ended.

    Raises:
        Held: there is none, or it was revoked, narrowed, or spent.
        LedgerError, EvidenceError: the ledger cannot be relied on.
    """
    evidence = workspace.read()
    permit = find(evidence, digest)
    check_not_ended(evidence, permit)
    return written(workspace, permit)


def written(workspace: Workspace, permit: Permit) -> bytes:
    """The file of a permit, ended or not.

    Raises:
        LedgerError: the ledger cannot be relied on.
    """
    data = workspace.view().entries[permit.entry].data
    proof = prove(workspace.ledger, permit.entry, data)
    return canonical.dumps({"permit_file": FORMAT, "entry": data.decode(), "proof": proof.to_bytes().decode()})


def read(data: bytes, trust: Trust, *, at: datetime) -> PermitFile:
    """Verify a file, once, in this order; `at` is the time by the gate's clock.

    1. Its form, and that it is in its only spelling.
    2. The proof: the checkpoint is the log's, and the entry stands under it.
    3. The witnesses, if the trust file has some: their quorum cosigned, and nobody else signed.
    4. The entry is a permit, under versions of the policy that the trust file knows.
    5. Who issues permits signed it, by quorum: under each version that it names, and under every later one that stood
       in the ledger by then.
    6. No cosignature is older than the policy allows at the time of issue; and what the permit says can be.

    Raises:
        EvidenceError, LedgerError: one of these is not so.
        Held: it names a version of the policy that the trust file does not have.
    """
    entry, proof = _parse(data)
    time, names = _proven(entry, proof, trust, at)
    envelope = dsse.parse(entry)
    made = _permit(envelope)
    terms = PermitPredicate.from_json(made.predicate, "permit file")
    versions = _versions(trust, terms)
    _check_signed(envelope, _issuing(trust, versions, time))
    _check_terms(terms, versions)
    times = [time, *_times(proof.checkpoint, trust, at)]
    _check_age(terms, versions, min(times))
    ((name, subject),) = made.subjects
    ends = [end for version in versions if (end := trust.ends(version.digest)) is not None]
    return PermitFile(made.digest, name, subject, terms, time, names, versions, min([terms.not_after, *ends]))


def _parse(data: bytes) -> tuple[bytes, InclusionProof]:
    if len(data) > LIMIT:
        raise EvidenceError(f"permit file: got more than {LIMIT} bytes, expected at most that")
    try:
        members = dsse.strict_json(data)
    except EvidenceError as error:
        raise EvidenceError(f"permit file: {error}") from error
    fields = Fields(members, "permit file")
    fields.one_of("permit_file", (FORMAT,))
    entry, text = fields.take("entry"), fields.take("proof")
    fields.done()
    if not isinstance(entry, str) or not isinstance(text, str):
        raise EvidenceError("permit file: `entry` and `proof` are not both text")
    try:
        whole, one, other = canonical.dumps(members), entry.encode(), text.encode()
    except ValueError as error:
        raise EvidenceError("permit file: got a lone surrogate, expected valid Unicode") from error
    if whole != data:
        raise EvidenceError(
            "permit file: got another spelling, expected canonical JSON (RFC 8785) and nothing around it"
        )
    try:
        proof = InclusionProof.parse(other)
    except LedgerError as error:
        raise LedgerError(f"permit file: {error}") from error
    if proof.to_bytes() != other:
        raise LedgerError("permit file: got another spelling of the proof, expected the index and hashes alone")
    return one, proof


def _proven(entry: bytes, proof: InclusionProof, trust: Trust, at: datetime) -> tuple[datetime, tuple[str, ...]]:
    """The time of the checkpoint under which the entry stands, and the witnesses who cosigned it."""
    cosigners = cosigned(trust.witnesses, log=trust.log, now=at) if trust.witnesses else no_cosigners
    try:
        return utc(proof.verify(entry, trust.log).time), cosigners(Note.parse(proof.checkpoint))
    except LedgerError as error:
        raise LedgerError(f"permit file: {error}") from error


def _permit(envelope: dsse.Envelope) -> Statement:
    made = Statement.parse(dsse.payload(envelope, PAYLOAD_TYPE))
    if made.predicate_type != predicate_type("permit") or len(made.subjects) != 1:
        raise EvidenceError(f"permit file: got a `{made.predicate_type}`, expected a `{predicate_type('permit')}`")
    return made


def _versions(trust: Trust, terms: PermitPredicate) -> tuple[Trusted, ...]:
    known = {version.digest: version for version in trust.versions}
    unknown = next((digest for digest in terms.policies if digest not in known), None)
    if unknown is not None:
        raise Held(
            f"the permit was issued under policy {unknown[:12]}, which the trust file does not have; ask for a new "
            "permit, or install a new trust file: interlock permit trust"
        )
    return tuple(known[digest] for digest in terms.policies)


def _issuing(trust: Trust, versions: tuple[Trusted, ...], time: datetime) -> list[Trusted]:
    """The versions under which the permit must be signed: those that it names, and what stood there to follow them."""
    first = min(trust.versions.index(version) for version in versions)
    return [it for it in trust.versions[first:] if it in versions or it.entered <= time]


def _check_signed(envelope: dsse.Envelope, versions: list[Trusted]) -> None:
    keys = {key_id: key for version in versions for key_id, key in version.issuer.keys.items()}
    signed = envelope.signers(keys)
    for issuer in (version.issuer for version in versions):
        got = len(signed & issuer.keys.keys())
        if got < issuer.quorum:
            raise EvidenceError(
                f"permit file: the permit is not signed by `{issuer.role}`: got {got} of its keys, "
                f"expected {issuer.quorum}"
            )


def _check_terms(terms: PermitPredicate, versions: tuple[Trusted, ...]) -> None:
    if not terms.single_use and not all(version.reversible(terms.action) for version in versions):
        raise EvidenceError(f"permit file: `{terms.action}` cannot be taken back, expected a single-use permit")
    if not (terms.start_compute <= terms.most_compute and terms.not_before < terms.not_after):
        raise EvidenceError("permit file: the permit ends before it starts, in time or in compute")


def _times(checkpoint: bytes, trust: Trust, at: datetime) -> list[datetime]:
    """When the witnesses cosigned that count."""
    if trust.witnesses is None:
        return []
    standing = quorums.check(checkpoint, trust.witnesses, log=trust.log, now=at)
    return [it.time for it in standing.cosigners if it.time is not None]


def _check_age(terms: PermitPredicate, versions: tuple[Trusted, ...], oldest: datetime) -> None:
    """A permit in the place of another may start long after it was issued; any other starts when it was issued."""
    if terms.narrows is None and any(it.ledger_age.after(oldest) <= terms.not_before for it in versions):
        raise LedgerError(
            f"permit file: cosigned at {timestamp(oldest)}, longer before the permit starts at "
            f"{timestamp(terms.not_before)} than the policy allows (`permits.ledger_age`)"
        )
