"""What roles say about what stands in the ledger already, read strictly.

Guarantees: each reader here gives the fact that the rule reads, or refuses: what the statement names must stand before
it, its date must not be later than its ledger time, and every name in it must be one that some version of the policy
uses, since a misspelt one would do nothing and nobody would know. It judges nothing: who must have signed, and what a
fact counts for, is told by docs/semantics.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args

from interlock.decide.decision import timestamp
from interlock.decide.facts import (
    Amendment,
    Approval,
    Attestation,
    Check,
    Forecast,
    Incident,
    Judgement,
    SetAside,
    Signers,
    Validity,
    Withdrawal,
)
from interlock.errors import EvidenceError
from interlock.evidence.predicates import MOST_ORGANISMS, Fields
from interlock.policy import exact
from interlock.policy.duty import Moment
from interlock.policy.model import Approved, Attested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from interlock.decide.facts import Deployment, Result, Subject, Version
    from interlock.evidence.dsse import Envelope
    from interlock.evidence.statement import Statement
    from interlock.policy.model import Policy

T = TypeVar("T")

ABOUT = ("subject", "deployment", "developer")
VERDICTS = ("below", "reached")
MOMENTS: tuple[Moment, ...] = get_args(Moment)
#: The kinds of statement that their signers may take back. An incident is set aside instead, a permit revoked.
WITHDRAWABLE = (
    *("plan", "result", "attestation", "assumption-check", "approval", "judgement", "forecast", "set-aside"),
    "opening of an exception",
)
#: What may speak against a permit by the word of one key of a role. All else needs a role's quorum.
BY_ONE_KEY = frozenset({"result", "assumption-check", "judgement", "incident", "audit"})
URL = re.compile(r"https?://[!-~]{1,2000}")


@dataclass(frozen=True, slots=True)
class Said:
    """One statement of the ledger: who signed it, when the ledger took it in, and what to call it in an error.

    `signers` are the roles whose quorum signed, `members` those of which at least one key did.
    """

    entry: int
    statement: Statement
    signers: Signers
    members: Signers
    at: datetime
    where: str
    envelope: Envelope

    @property
    def about(self) -> str:
        """The digest of what it is about."""
        return self.statement.subjects[0][1]

    def fields(self) -> Fields:
        """Its predicate, to be read."""
        return Fields(self.statement.predicate, self.where)

    def dated(self, fields: Fields, name: str = "at") -> datetime:
        """A date in it, which is not later than its ledger time.

        Raises:
            EvidenceError: it is.
        """
        stated = fields.time(name)
        self._check_past(stated)
        return stated

    def dated_or_none(self, fields: Fields, name: str) -> datetime | None:
        """The same, or null."""
        stated = fields.time_or_none(name)
        if stated is not None:
            self._check_past(stated)
        return stated

    def _check_past(self, stated: datetime) -> None:
        if stated > self.at:
            raise self.wrong(f"dated {timestamp(stated)}, later than its own ledger time {timestamp(self.at)}")

    def wrong(self, what: str) -> EvidenceError:
        """What is wrong with it."""
        return EvidenceError(f"{self.where}: {what}")


@dataclass(frozen=True, slots=True)
class Before:
    """What stands in the ledger before a statement. `kinds` has the kind of every statement, by digest."""

    versions: Sequence[Version]
    kinds: Mapping[str, str]
    subjects: Mapping[str, Subject]
    deployments: Mapping[str, Deployment]
    results: Mapping[str, Result]
    incidents: Mapping[str, Incident]

    def kind(self, said: Said, digest: str, *expected: str) -> str:
        """The kind of an earlier statement.

        Raises:
            EvidenceError: there is no such statement before it, or it is of another kind.
        """
        kind = self.kinds.get(digest)
        if kind is None:
            raise said.wrong(f"statement {digest[:12]} is not in the ledger before it")
        if kind not in expected:
            raise said.wrong(f"names {digest[:12]}, a `{kind}`, expected one of {', '.join(expected)}")
        return kind

    def subject(self, said: Said) -> str:
        """The digest of the subject that it is about.

        Raises:
            EvidenceError: the ledger has no such subject before it.
        """
        if said.about not in self.subjects:
            raise said.wrong(f"subject {said.about[:12]} is not in the ledger before it")
        return said.about

    def whom(self, said: Said, about: str) -> str | None:
        """The digest of the subject or deployment that it is about; None: the developer.

        Raises:
            EvidenceError: the ledger has no such thing before it; of the developer, no such version of the policy.
        """
        if about == "subject":
            return self.subject(said)
        if about == "deployment" and said.about not in self.deployments:
            raise said.wrong(f"deployment {said.about[:12]} is not in the ledger before it")
        if about == "deployment":
            return said.about
        if all(version.digest != said.about for version in self.versions):
            raise said.wrong(f"about the developer under policy {said.about[:12]}, which is no version of this one")
        return None

    def named(self, said: Said, what: str, name: str, section: Callable[[Policy], Mapping[str, T]]) -> list[T]:
        """What the versions of the policy have under a name.

        Raises:
            EvidenceError: none has it.
        """
        sections = [section(version.policy) for version in self.versions]
        found = [values[name] for values in sections if name in values]
        if not found:
            known = ", ".join(dict.fromkeys(f"`{it}`" for values in sections for it in values)) or "none"
            raise said.wrong(f"no version of the policy has the {what} `{name[:80]}`, expected one of {known[:400]}")
        return found


# -- taking back -------------------------------------------------------------------------------------------------------


def withdrawal(said: Said, before: Before) -> Withdrawal:
    """A signer takes back an earlier statement: about its digest, with a reason."""
    fields = said.fields()
    fields.text("reason")
    said.dated(fields)
    fields.done()
    before.kind(said, said.about, *WITHDRAWABLE)
    return Withdrawal(said.entry, said.statement.digest, said.about, said.signers, said.at)


def set_aside(said: Said, before: Before) -> SetAside:
    """A result, or what an incident says of thresholds, taken out of what counts: about its digest, with a reason."""
    fields = said.fields()
    reason = fields.text("reason")
    said.dated(fields)
    fields.done()
    before.kind(said, said.about, "result", "incident")
    incident = before.incidents.get(said.about)
    if incident is not None and not incident.thresholds:
        raise said.wrong(f"the incident of entry {incident.entry} names no threshold, expected one that does")
    return SetAside(said.entry, said.statement.digest, said.about, reason, said.signers, said.at)


# -- words in favour, or against ---------------------------------------------------------------------------------------


def attestation(said: Said, before: Before) -> Attestation:
    """A role's word that a requirement is met, or that an assumption holds."""
    fields = said.fields()
    kind, name = fields.one_of("kind", ("assumption", "requirement")), fields.text("name")
    about = fields.one_of("about", ABOUT)
    fields.text("statement")
    stated = said.dated(fields)  # its age runs from its own date: kept back, a statement does not stay fresh
    fields.done()
    whom = before.whom(said, about)
    if kind == "assumption":
        before.named(said, "assumption", name, lambda policy: policy.assumptions)
    else:
        before.named(said, "attested requirement", name, _attested)
    return Attestation(said.entry, name, kind == "assumption", whom, said.signers, stated, digest=said.statement.digest)


def assumption_check(said: Said, before: Before) -> tuple[Attestation, tuple[str, str] | None]:
    """What a check of an assumption showed about a subject, and how many model organisms it caught; and the name and
    SHA-256 of its validity record, if it has one.
    """
    fields = said.fields()
    name, check = fields.text("assumption"), fields.text("check")
    passed, caught, organisms = fields.truth("passed"), fields.count("caught"), fields.count("organisms")
    validity, record = _validity(said, fields.nested("validity")) if fields.has("validity") else (None, None)
    fields.text("statement")
    stated = said.dated(fields)
    fields.done()
    if not caught <= organisms <= MOST_ORGANISMS:
        raise said.wrong(f"caught {caught} of {organisms} organisms, expected caught <= organisms <= {MOST_ORGANISMS}")
    rules = before.named(said, "assumption", name, lambda policy: policy.assumptions)
    checks = sorted({rule.checked for rule in rules if rule.checked})
    if check not in checks:
        raise said.wrong(f"`{name}` is not shown by the check `{check[:80]}`, expected {', '.join(checks) or 'none'}")
    told = Check(check, passed, caught, organisms, validity)
    about = before.subject(said)
    made = Attestation(
        entry=said.entry,
        name=name,
        is_assumption=True,
        about=about,
        signers=said.signers,
        at=stated,
        check=told,
        digest=said.statement.digest,
    )
    return made, record


def _validity(said: Said, fields: Fields) -> tuple[Validity, tuple[str, str]]:
    record = fields.nested("record")
    found = Validity(
        recipe=fields.digest("recipe"),
        demonstrations=fields.count("demonstrations"),
        ruled_out=fields.count("ruled_out"),
        honest=fields.count("honest"),
        at=fields.exact("at", least=0),
        least_parameters=fields.count("least_parameters"),
        confidence=fields.exact("confidence", least=0),
    )
    named = record.text("name"), record.digest("sha256")
    record.done()
    fields.done()
    if not found.ruled_out <= found.honest <= MOST_ORGANISMS:
        got = f"ruled out {found.ruled_out} of {found.honest} organisms"
        raise said.wrong(f"{got}, expected ruled_out <= honest <= {MOST_ORGANISMS}")
    if not 0 < found.confidence < 1:
        raise said.wrong(f"`confidence` is {exact(found.confidence)}, expected above 0 and below 1")
    return found, named


def approval(said: Said, before: Before) -> Approval:
    """A role's approval of what it saw: the digests of findings."""
    fields = said.fields()
    name, about, findings = fields.text("requirement"), fields.one_of("about", ABOUT), fields.digests("findings")
    fields.text("statement")
    stated = said.dated(fields)
    fields.done()
    if not findings:
        raise said.wrong("approves no finding, expected one or more")
    rules = before.named(said, "approved requirement", name, _approved)
    if all(rule.about != about for rule in rules):
        raise said.wrong(f"`{name}` is about the {rules[-1].about}, got {about}")
    whom = before.whom(said, about)
    return Approval(said.entry, said.statement.digest, name, whom, frozenset(findings), said.signers, stated)


def judgement(said: Said, before: Before) -> Judgement:
    """What a role, or a member of it, says about a judged threshold, and on what grounds."""
    fields = said.fields()
    name, verdict, on = fields.text("threshold"), fields.one_of("verdict", VERDICTS), fields.digests("on")
    fields.text("statement")
    stated = said.dated(fields)
    fields.done()
    subject = before.subject(said)
    if all(rule.judged is None for rule in before.named(said, "threshold", name, lambda policy: policy.thresholds)):
        raise said.wrong(f"the threshold `{name}` is not judged in any version of the policy")
    if verdict == "below" and not on:
        raise said.wrong("judges `below` on nothing, expected the digests of results or attestations")
    for digest in on:
        before.kind(said, digest, "result", "attestation", "assumption-check")
    return Judgement(
        entry=said.entry,
        digest=said.statement.digest,
        threshold=name,
        subject=subject,
        verdict=cast("Literal['below', 'reached']", verdict),
        on=frozenset(on),
        signers=said.signers,
        members=said.members,
        at=stated,
    )


def forecast(said: Said, before: Before) -> Forecast:
    """How far a measure may move towards danger while effective compute grows by a multiple."""
    fields = said.fields()
    measure, multiple, margin = (
        fields.text("measure"),
        fields.exact("multiple", least=1),
        fields.exact("margin", least=0),
    )
    fields.text("statement")
    stated = said.dated(fields)
    fields.done()
    before.whom(said, "developer")
    before.named(said, "measure", measure, lambda policy: policy.measures)
    return Forecast(said.entry, said.statement.digest, measure, multiple, margin, said.signers, stated)


def opening(said: Said, before: Before) -> Amendment:
    """One of the policy's exceptions is opened, for a subject or for all, and it is published where."""
    fields = said.fields()
    name, about = fields.text("exception"), fields.one_of("about", ("subject", "all"))
    published = fields.text("published")
    fields.text("statement")
    said.dated(fields)
    fields.done()
    if not URL.fullmatch(published):
        raise said.wrong(f"`published` is `{published[:80]}`, expected where it can be read, such as https://...")
    subject = before.subject(said) if about == "subject" else before.whom(said, "developer")
    before.named(said, "exception", name, lambda policy: policy.exceptions)
    return Amendment(said.entry, said.statement.digest, name, subject, published, said.signers, said.at)


# -- what was done -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Audit:
    """What somebody re-ran of a result (`of`): `drawn` samples, by the ledger's root at `size` as their seed."""

    entry: int
    of: str
    size: int
    root: str
    drawn: int
    agreed: int
    disagreed: int
    signers: Signers
    members: Signers
    at: datetime


def audit(said: Said, before: Before) -> Audit:
    """A re-run of samples of a result: about its digest. The seed is younger than the result: nobody chose it."""
    fields = said.fields()
    seed = fields.nested("seed")
    size, root = seed.count("size"), seed.digest("root")
    seed.done()
    drawn, agreed, disagreed = fields.count("drawn"), fields.count("agreed"), fields.count("disagreed")
    fields.text("statement")
    said.dated(fields)
    fields.done()
    before.kind(said, said.about, "result")
    result = before.results[said.about]
    if not result.entry < size <= said.entry:
        raise said.wrong(f"its seed is of size {size}, expected {result.entry + 1} to {said.entry}")
    if not 0 < drawn == agreed + disagreed <= result.protocol.samples:
        got = f"drew {drawn}, {agreed} agreed and {disagreed} not"
        raise said.wrong(f"{got}, expected their sum, 1 to {result.protocol.samples}")
    return Audit(said.entry, said.about, size, root, drawn, agreed, disagreed, said.signers, said.members, said.at)


def disagreement(said: Said, found: Audit, before: Before) -> Withdrawal | None:
    """What an audit that disagrees does: as if those who signed the result had taken it back. It shows nothing in
    favour any more and its plan is open again; against a permit it counts as before. None: the audit agrees.
    """
    if not found.disagreed:
        return None
    return Withdrawal(said.entry, said.statement.digest, found.of, before.results[found.of].signers, said.at)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A permit that was taken back, and why."""

    entry: int
    of: str
    reason: str
    signers: Signers
    at: datetime


def revocation(said: Said, before: Before, issuers: Sequence[Policy]) -> Revocation:
    """A permit is taken back, for good: about its digest. `issuers`: the versions that have a say."""
    fields = said.fields()
    reason = fields.text("reason")
    said.dated(fields)
    fields.done()
    before.kind(said, said.about, "permit")
    roles = dict.fromkeys(role for policy in issuers for role in revokers(policy))
    if not said.signers & roles.keys():
        raise said.wrong(f"revokes a permit, expected the quorum of {' or '.join(f'`{role}`' for role in roles)}")
    return Revocation(said.entry, said.about, reason, said.signers, said.at)


@dataclass(frozen=True, slots=True)
class Spent:
    """A single-use permit that was used, for what (`destination`)."""

    entry: int
    digest: str
    of: str
    destination: str
    signers: Signers
    at: datetime


def spent(said: Said, before: Before) -> Spent:
    """A single-use permit is used: about its digest. Any role may say so, since all that it does is to end a permit."""
    fields = said.fields()
    destination = fields.text("destination")
    said.dated(fields)
    fields.done()
    before.kind(said, said.about, "permit")
    return Spent(said.entry, said.statement.digest, said.about, destination, said.signers, said.at)


def revokers(policy: Policy) -> tuple[str, ...]:
    """The roles that may each take back a permit: who issues them, whom the policy names, who approves the policy."""
    rules = policy.permits
    return tuple(dict.fromkeys([rules.issued_by, *rules.revocable_by, *policy.amendments.approved_by]))


# -- incidents ---------------------------------------------------------------------------------------------------------


def incident(said: Said, before: Before) -> Incident:
    """Something happened: to a subject, or to nobody in particular. A moment that it does not name is its own date."""
    fields = said.fields()
    kind, about = fields.text("kind"), fields.one_of("about", ("subject", "all"))
    thresholds, requirements = fields.texts("thresholds"), fields.texts("requirements")
    given = fields.nested("moments")
    moments = {moment: said.dated(given, moment) for moment in MOMENTS if given.has(moment)}
    given.done()
    resolved = said.dated_or_none(fields, "resolved")
    fields.text("statement")
    stated = said.dated(fields)
    fields.done()
    subject = before.subject(said) if about == "subject" else before.whom(said, "developer")
    known = kinds_of_incident(version.policy for version in before.versions)
    if known and kind not in known:
        raise said.wrong(f"no version of the policy has the incident `{kind[:80]}`, expected {', '.join(known)}")
    for name in thresholds:
        before.named(said, "threshold", name, lambda policy: policy.thresholds)
    for name in requirements:
        before.named(said, "requirement", name, lambda policy: policy.requirements)
    return Incident(
        entry=said.entry,
        digest=said.statement.digest,
        kind=kind,
        subject=subject,
        thresholds=frozenset(thresholds),
        requirements=frozenset(requirements),
        signers=said.signers,
        members=said.members,
        at=said.at,
        moments={moment: moments.get(moment, stated) for moment in MOMENTS},
        resolved=resolved,
        told_resolved=said.at if resolved else None,
    )


def resolution(said: Said, before: Before) -> Incident:
    """An earlier incident, now resolved: about its digest. All that it says besides stays as it was."""
    fields = said.fields()
    resolved = said.dated(fields, "resolved")
    fields.text("statement")
    said.dated(fields)
    fields.done()
    before.kind(said, said.about, "incident")
    told = before.incidents[said.about]
    if not said.signers & (told.signers or told.members):
        expected = " or ".join(f"`{role}`" for role in sorted(told.signers or told.members))
        raise said.wrong(f"resolves an incident that others reported, expected the quorum of {expected}")
    if told.resolved is not None:
        raise said.wrong(f"the incident of entry {told.entry} is resolved already, since {timestamp(told.resolved)}")
    return replace(told, resolved=resolved, told_resolved=said.at)


def kinds_of_incident(policies: Iterator[Policy]) -> tuple[str, ...]:
    """The kinds of incident by which the policies do something, or that they define; none: they name no kind."""
    return tuple(dict.fromkeys(kind for policy in policies for kind in policy.kinds_of_incident))


def _attested(policy: Policy) -> dict[str, Attested]:
    return {name: it for name, it in policy.requirements.items() if isinstance(it, Attested)}


def _approved(policy: Policy) -> dict[str, Approved]:
    return {name: it for name, it in policy.requirements.items() if isinstance(it, Approved)}
