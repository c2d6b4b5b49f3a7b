"""Decisions and permits as they stand in a ledger: what each may grant, and which permits open nothing any more.

Guarantees, of every permit that is read: the roles that issue permits signed it, under each version of the policy that
it names, and it ends before the next one begins; its decision stands before it, says `permit`, covers every term of it,
and had read a ledger that is no older when the permit starts than the policy allows; it names the subject's ancestors;
for an action that cannot be taken back it is single-use; one that narrows another goes beyond it in nothing and takes
its place; no permit comes from a decision whose permit was revoked, narrowed or spent, save the one that narrows it.
One that entered the ledger later than the policy allows after what its decision had read is `late`: what came in
meanwhile had no say in it. It opens nothing; and one that publication does not explain is refused.
It leaves to the caller whether a permit opens a gate now (`interlock.gate.permit`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.decide.facts import Checkpoint
from interlock.errors import EvidenceError
from interlock.evidence.predicates import PermitPredicate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from interlock.decide.facts import Signers, Subject, Version
    from interlock.evidence.predicates import Fields
    from interlock.evidence.testimony import Revocation, Said, Spent
    from interlock.policy.model import Policy


class OutrunError(EvidenceError):
    """A decision's times do not fit its place in the ledger: it was dated otherwise, or an entry came in between."""


#: How long an entry that is durable may take to be published, without making the ledger unreadable.
PUBLISHED_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit as it stands in the ledger. `digest` is that of its statement.

    `late` is when it entered the ledger, of one that entered too late after what its decision had read: it opens
    nothing. None of every other.
    """

    entry: int
    digest: str
    subject: str
    terms: PermitPredicate
    signers: Signers
    late: datetime | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What a decision with the verdict `permit`, which had read the ledger as of `read`, allows a permit to grant."""

    subject: str
    deployment: str | None
    action: str
    policies: tuple[str, ...]
    most_compute: int
    not_after: datetime
    read: datetime

    def covers(self, subject: Subject, terms: PermitPredicate) -> bool:
        """Whether it allows every term of a permit; how long the policy's lease is, is asked elsewhere."""
        return (
            (self.subject, self.deployment, self.action) == (subject.digest, terms.deployment, terms.action)
            and self.policies == terms.policies
            and subject.ec_high <= terms.start_compute <= terms.most_compute <= self.most_compute
            and terms.not_after <= self.not_after
        )


def had_read(fields: Fields, where: str, index: int, times: Callable[[int], datetime]) -> tuple[Checkpoint, datetime]:
    """What the decision of entry `index` says that it had read, and when it was made, if its place in the ledger allows
    that. `times` gives the time of an entry up to and including its own.

    It had read all that there was: it is older than the first entry that it has not read, which may be itself. What
    entered later had no say in it, and so a permit that rests on it must not start long after that.

    Raises:
        EvidenceError: its place does not allow it; OutrunError by its times.
    """
    named, at = fields.nested("checkpoint"), fields.time("at")
    read = Checkpoint(named.count("size"), named.digest("root"), named.time("time"))
    if not 0 < read.size <= index:
        raise EvidenceError(f"{where} claims a checkpoint of size {read.size}, expected 1 to {index}")
    if not times(read.size - 1) <= read.time <= at <= times(read.size):
        raise OutrunError(f"{where} claims times that do not fit what it had read")
    return read, at


@dataclass(slots=True)
class Leases:
    """What the entries so far say, by digest. `decisions`: None of one that holds; `narrowed`: the permit in place of
    another; `revoked` and `spent`: how a permit ended.
    """

    decisions: dict[str, Granted | None] = field(default_factory=dict)
    permits: dict[str, Permit] = field(default_factory=dict)
    revoked: dict[str, Revocation] = field(default_factory=dict)
    narrowed: dict[str, str] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)

    def decided(self, said: Said, subject: Subject, read: datetime) -> None:
        """Take in a decision, which had read the ledger as of `read`: what a permit may rest on.

        Raises:
            EvidenceError: that cannot be read from it. All else in it is derived again when it is appended, and by
                `ledger verify`.
        """
        fields, granted = said.fields(), None
        action, offered = fields.text("action"), fields.digest_or_none("deployment")
        if fields.one_of("verdict", ("permit", "hold")) == "permit":
            bounds, policies = fields.nested("bounds"), [it.digest("digest") for it in fields.items("rulings")]
            granted = Granted(
                subject=subject.digest,
                deployment=offered,
                action=action,
                policies=tuple(sorted(policies)),
                most_compute=bounds.flop("most_effective_compute"),
                not_after=bounds.time("not_after"),
                read=read,
            )
        self.decisions[said.statement.digest] = granted

    def issued(self, said: Said, subject: Subject, *, lineage: Iterable[str], versions: Sequence[Version]) -> None:
        """Take in a permit. `lineage` are the subject's ancestors, by the ledger.

        Raises:
            EvidenceError: one of the module's guarantees does not hold of it.
        """
        terms, digest = PermitPredicate.from_json(said.statement.predicate, said.where), said.statement.digest
        if terms.decision not in self.decisions:
            raise said.wrong(f"its decision {terms.decision[:12]} is not in the ledger before it")
        policies, granted = under(said, terms.policies, versions), self.decisions[terms.decision]
        for issuer in (policy.permits.issued_by for policy in policies):
            if issuer not in said.signers:
                raise said.wrong(f"the permit is not signed by `{issuer}`")
        lease_end = min(policy.permits.lease.after(said.at) for policy in policies)
        if granted is None or not granted.covers(subject, terms) or terms.not_after > lease_end:
            raise said.wrong(f"the permit grants what its decision {terms.decision[:12]} does not")
        late = None if terms.narrows else _check_age(said, terms, granted, policies)
        place = max(n for n, version in enumerate(versions) if version.digest in terms.policies)
        later = [version.since for version in versions[place + 1 :] if version.since < terms.not_after]
        if later:  # a gate without the ledger would go on past it
            raise said.wrong(f"the permit lasts past the next version of the policy, from {timestamp(min(later))} on")
        if terms.lineage != tuple(sorted(lineage)):
            raise said.wrong(f"its lineage is not that of `{subject.name}`")
        if not terms.single_use and not all(policy.reversible(terms.action) for policy in policies):
            raise said.wrong(f"`{terms.action}` cannot be taken back, expected a single-use permit")
        self._check_place(said, subject, terms)
        self.narrowed |= {terms.narrows: digest} if terms.narrows else {}
        self.permits[digest] = Permit(said.entry, digest, subject.digest, terms, said.signers, late)

    def used(self, found: Spent, said: Said) -> None:
        """Take in that a permit was spent.

        Raises:
            EvidenceError: it is not single-use, or opens nothing any more: a permit is spent once.
        """
        if not self._open(said, found.of).terms.single_use:
            raise said.wrong(f"permit {found.of[:12]} is not single-use, so that nothing spends it")
        self.spent[found.of] = found

    def _check_place(self, said: Said, subject: Subject, terms: PermitPredicate) -> None:
        others = [it.digest for it in self.permits.values() if it.terms.decision == terms.decision]
        ended = "revoked" if any(it in self.revoked for it in others) else None
        if terms.narrows is None and ended is None:
            ended = "narrowed" if any(it in self.narrowed for it in others) else None
            ended = "spent" if any(it in self.spent for it in others) else ended
            ended = "issued already, for a single use" if terms.single_use and others and not ended else ended
        if ended is not None:
            raise said.wrong(f"a permit from its decision {terms.decision[:12]} was {ended}, expected a new decision")
        if terms.narrows is not None:
            wider = self._open(said, terms.narrows)
            wrong = "another subject" if wider.subject != subject.digest else terms.widens(wider.terms)
            if wrong is not None:
                raise said.wrong(f"narrows permit {terms.narrows[:12]}, and has {wrong}")

    def _open(self, said: Said, digest: str) -> Permit:
        """A permit that can still be narrowed or spent."""
        permit = self.permits.get(digest)
        if permit is None:
            raise said.wrong(f"permit {digest[:12]} is not in the ledger before it")
        if digest in self.revoked:
            raise said.wrong(f"permit {digest[:12]} was revoked in entry {self.revoked[digest].entry}")
        if digest in self.narrowed:
            raise said.wrong(f"permit {digest[:12]} was narrowed by {self.narrowed[digest][:12]}")
        if digest in self.spent:
            raise said.wrong(f"permit {digest[:12]} was spent in entry {self.spent[digest].entry}")
        if permit.late:
            raise said.wrong(f"permit {digest[:12]} entered the ledger too late, at {timestamp(permit.late)}")
        return permit


def _check_age(said: Said, terms: PermitPredicate, granted: Granted, policies: Iterable[Policy]) -> datetime | None:
    """When a permit entered the ledger, if that was too late for it to open anything; else None.

    An entry's time is that of its publication, which a crash may delay: that it was late must not make the ledger
    unreadable, and that it was right when it was appended is not to be seen any more. Whoever sees a permit's file and
    no decision counts from its start (`interlock.gate.permit_file`): what they would take must not be late. `issue`
    lets a permit start with what its decision had read, so that this is never the case.

    Raises:
        EvidenceError: it starts too late after what its decision had read; or it entered too late, and by its start it
            would not have, or no publication takes so long.
    """
    ages = [policy.permits.ledger_age for policy in policies]
    last, by_start = (min(age.after(moment) for age in ages) for moment in (granted.read, terms.not_before))
    read = f"its decision {terms.decision[:12]} had read the ledger of {timestamp(granted.read)}, and the permit"
    if terms.not_before >= last:
        raise said.wrong(
            f"{read} starts later after that than the policy allows (`permits.ledger_age`), expected a new decision"
        )
    if last <= said.at < by_start or said.at >= last + PUBLISHED_WITHIN:
        raise said.wrong(
            f"{read} entered it at {timestamp(said.at)}, later after that than the policy allows "
            "(`permits.ledger_age`), expected a new decision"
        )
    return said.at if said.at >= last else None


def under(said: Said, digests: Iterable[str], versions: Sequence[Version]) -> list[Policy]:
    """The versions of the policy with these digests.

    Raises:
        EvidenceError: the ledger has no such version before the statement.
    """
    known, named = {version.digest: version.policy for version in versions}, list(digests)
    unknown = next((digest for digest in named if digest not in known), None)
    if unknown is not None:
        raise said.wrong(f"policy {unknown[:12]} is no version that the ledger has before it")
    return [known[digest] for digest in named]
