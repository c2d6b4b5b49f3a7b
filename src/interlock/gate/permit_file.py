"""A permit in a file, for gates that may not reach the ledger.

    permit_file   the format
    entry         the permit as it stands in the ledger: a statement in a signed envelope (DSSE)
    logged        since when it stands there: an inclusion proof (c2sp.org/tlog-proof) with the checkpoint of the
                  ledger's history that first covered it
    proof         that it stands there: the same with the latest checkpoint, and the cosignatures of witnesses

Guarantees: `read` believes nothing in the file that the keys of the trust file did not sign, and no byte of the file
can be another one. A permit that entered the ledger long after it starts, when the evidence may have been worse, opens
nothing. What it gives is checked against a question in a few microseconds, as often as one likes.
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
from interlock.gate.permit import Held, check_allowed, check_not_ended, find
from interlock.ledger import merkle
from interlock.ledger import quorum as quorums
from interlock.ledger._signed import utc
from interlock.ledger.note import Note
from interlock.ledger.prefix import cosigned, cut, no_cosigners
from interlock.ledger.proof import InclusionProof, prove
from interlock.workspace import now

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.read import Permit
    from interlock.gate.trust import Trust, Trusted
    from interlock.ledger._signed import Signed
    from interlock.workspace import Workspace

__all__ = ["FORMAT", "LIMIT", "PermitFile", "export", "read", "written"]

FORMAT = "urn:interlock:permit-file:v2"
LIMIT = 1 << 18
"""Most bytes of a permit file."""


@dataclass(frozen=True, slots=True)
class PermitFile:
    """A permit whose signatures and proofs have verified. `time` is the ledger's, of the checkpoint that shows it;
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
    """The file of a permit that stands in the ledger and was not ended, and that the rule still allows.

    Raises:
        Held: there is none, or it was revoked, narrowed, or spent, came too late, or is over; or the rule holds now.
        LedgerError, EvidenceError: the ledger cannot be relied on.
    """
    evidence = workspace.read()
    permit = find(evidence, digest)
    check_not_ended(evidence, permit)
    check_allowed(evidence, permit, at=max(now(), evidence.facts.checkpoint.time))
    return written(workspace, permit)


def written(workspace: Workspace, permit: Permit) -> bytes:
    """The file of a permit, ended or not.

    Raises:
        LedgerError: the ledger cannot be relied on.
    """
    view, place = workspace.view(), permit.entry
    data, ledger = view.entries[place].data, workspace.ledger
    first = cut(ledger, view, place + 1).history[-1]
    leaves = [entry.leaf for entry in view.entries[: ledger.log.read_own(first, "history").size]]
    logged = InclusionProof(place, merkle.inclusion_proof(leaves, place), first)
    proofs = {"logged": logged, "proof": prove(ledger, place, data)}
    texts = {name: proof.to_bytes().decode() for name, proof in proofs.items()}
    return canonical.dumps({"permit_file": FORMAT, "entry": data.decode(), **texts})


def read(data: bytes, trust: Trust, *, at: datetime) -> PermitFile:
    """Verify a file, once, in this order; `at` is the time by the gate's clock.

    1. Its form, and that it is in its only spelling.
    2. The proofs: the checkpoints are the log's, the entry stands under both at its place, and the one of the history
       has no line but the log's and is no later.
    3. The witnesses, if the trust file has some: their quorum cosigned the latest one, and nobody else signed.
    4. The entry is a permit, under versions of the policy that the trust file knows.
    5. Who issues permits signed it, by quorum: under each version that it names, and under every later one that stood
       in the ledger by then.
    6. No cosignature is older than the policy allows at the time of issue; and what the permit says can be.
    7. It entered the ledger no later after its start than the policy allows.

    Raises:
        EvidenceError, LedgerError: one of these is not so.
        Held: it names a version of the policy that the trust file does not have, or it entered too late.
    """
    entry, logged, proof = _parse(data)
    latest, names = _proven(entry, proof, trust, at)
    time, entered = utc(latest.time), _entered(entry, logged, trust, latest, place=proof.index)
    envelope = dsse.parse(entry)
    made = _permit(envelope)
    terms = PermitPredicate.from_json(made.predicate, "permit file")
    versions = _versions(trust, terms)
    _check_signed(envelope, _issuing(trust, versions, time))
    _check_terms(terms, versions)
    times = [time, *_times(proof.checkpoint, trust, at)]
    _check_age(terms, versions, min(times))
    _check_in_time(terms, versions, entered)
    ((name, subject),) = made.subjects
    ends = [end for version in versions if (end := trust.ends(version.digest)) is not None]
    return PermitFile(made.digest, name, subject, terms, time, names, versions, min([terms.not_after, *ends]))


def _parse(data: bytes) -> tuple[bytes, InclusionProof, InclusionProof]:
    if len(data) > LIMIT:
        raise EvidenceError(f"permit file: got more than {LIMIT} bytes, expected at most that")
    try:
        members = dsse.strict_json(data)
    except EvidenceError as error:
        raise EvidenceError(f"permit file: {error}") from error
    fields = Fields(members, "permit file")
    fields.one_of("permit_file", (FORMAT,))
    taken = [fields.take(name) for name in ("entry", "logged", "proof")]
    fields.done()
    texts = [text for text in taken if isinstance(text, str)]
    if len(texts) < len(taken):
        raise EvidenceError("permit file: `entry`, `logged` and `proof` are not all text")
    try:
        whole, (entry, logged, proof) = canonical.dumps(members), (text.encode() for text in texts)
    except ValueError as error:
        raise EvidenceError("permit file: got a lone surrogate, expected valid Unicode") from error
    if whole != data:
        raise EvidenceError(
            "permit file: got another spelling, expected canonical JSON (RFC 8785) and nothing around it"
        )
    return entry, _proof(logged), _proof(proof)


def _proof(text: bytes) -> InclusionProof:
    try:
        proof = InclusionProof.parse(text)
    except LedgerError as error:
        raise LedgerError(f"permit file: {error}") from error
    if proof.to_bytes() != text:
        raise LedgerError("permit file: got another spelling of the proof, expected the index and hashes alone")
    return proof


def _proven(entry: bytes, proof: InclusionProof, trust: Trust, at: datetime) -> tuple[Signed, tuple[str, ...]]:
    """The latest checkpoint, under which the entry stands, and the witnesses who cosigned it."""
    cosigners = cosigned(trust.witnesses, log=trust.log, now=at) if trust.witnesses else no_cosigners
    try:
        return proof.verify(entry, trust.log), cosigners(Note.parse(proof.checkpoint))
    except LedgerError as error:
        raise LedgerError(f"permit file: {error}") from error


def _entered(entry: bytes, logged: InclusionProof, trust: Trust, latest: Signed, *, place: int) -> datetime:
    """When the entry stood in the ledger, by a checkpoint that need not be the first: a later one only opens less."""
    try:
        first = logged.verify(entry, trust.log)
        no_cosigners(Note.parse(logged.checkpoint))
    except LedgerError as error:
        raise LedgerError(f"permit file: logged: {error}") from error
    if logged.index != place or first.size > latest.size or first.time > latest.time:
        got = f"entry {logged.index} of {first.size} at {timestamp(utc(first.time))}"
        expected = f"entry {place} of {latest.size} or fewer, at {timestamp(utc(latest.time))} or before"
        raise LedgerError(f"permit file: logged: got {got}, expected {expected}")
    return utc(first.time)


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


def _check_in_time(terms: PermitPredicate, versions: tuple[Trusted, ...], entered: datetime) -> None:
    """One that was kept back, or made afterwards, had no say by what came into the ledger meanwhile."""
    if terms.narrows is None and any(it.ledger_age.after(terms.not_before) <= entered for it in versions):
        raise Held(
            f"the permit entered the ledger at {timestamp(entered)}, longer after its start at "
            f"{timestamp(terms.not_before)} than the policy allows (`permits.ledger_age`); ask for a new one: "
            "interlock permit issue"
        )
