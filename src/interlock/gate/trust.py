"""The trust file: what a gate that may not reach the ledger believes. Its owner installs it once.

It has the log's key, the witnesses whose quorum must have cosigned, and of every version of the policy in force or to
come: when it begins, who issues permits by which keys, and which actions can be taken back. It is not signed: whoever
can change it decides what the gate opens for, so it belongs where the gate's own code is. Its own digest stands in it,
against bits that turn by themselves, and for people to compare.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, InterlockError
from interlock.evidence import canonical, dsse
from interlock.evidence.keys import PublicKey
from interlock.evidence.predicates import Fields
from interlock.evidence.roles import in_force
from interlock.ledger import quorum
from interlock.ledger._signed import Log
from interlock.ledger.note import ED25519, NoteKey
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from interlock.decide.facts import Version
    from interlock.evidence.read import Evidence
    from interlock.ledger.quorum import Quorum

__all__ = ["FORMAT", "LIMIT", "Issuer", "Trust", "Trusted"]

FORMAT = "urn:interlock:permit-trust:v1"
LIMIT = 1 << 20
"""Most bytes of a trust file."""
_REVERSIBLE, _IRREVERSIBLE = "reversible", "irreversible"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The role that issues permits: its keys by id, and how many of them must have signed."""

    role: str
    keys: Mapping[str, PublicKey]
    quorum: int


@dataclass(frozen=True, slots=True)
class Trusted:
    """One version of the policy. It is in force from `since`, and stood in the ledger from `entered`. `actions` are
    those that it gates, each with whether it can be taken back.
    """

    digest: str
    version: str
    since: datetime
    entered: datetime
    ledger_age: Duration
    issuer: Issuer
    actions: Mapping[str, bool]

    def reversible(self, action: str) -> bool:
        """Whether an action can be taken back; one that is not gated here is taken for one that cannot."""
        return self.actions.get(action, False)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a gate believes. `versions` are in order; `witnesses` is None where the log's word is enough."""

    policy: str
    log: Log
    witnesses: Quorum | None
    witnesses_text: str | None
    versions: tuple[Trusted, ...]

    @classmethod
    def of(cls, evidence: Evidence, log: Log, *, at: datetime, witnesses: str | None = None) -> Trust:
        """What a ledger says at a time. `witnesses` is the text of a quorum file (c2sp.org/tlog-policy).

        Raises:
            UsageError: the quorum file cannot be read.
        """
        read = quorum.parse(witnesses.encode(), "witnesses") if witnesses else None
        versions = tuple(_trusted(version) for version in in_force(evidence.versions, at))
        return cls(evidence.policy.id, log, read, witnesses, versions)

    @classmethod
    def parse(cls, data: bytes) -> Trust:
        """Read a trust file.

        Raises:
            EvidenceError: it is not one, to the last member.
        """
        try:
            members = dsse.strict_json(data.strip())
            claimed = Fields(members, "trust file").digest("digest")
            read = cls._read(Fields({name: it for name, it in members.items() if name != "digest"}, "trust file"))
        except InterlockError as error:  # of a key or a quorum file, too
            text = str(error)
            raise EvidenceError(text if text.startswith("trust file") else f"trust file: {text}") from error
        if claimed != read.digest:
            raise EvidenceError(f"trust file: its `digest` is {claimed[:12]}, expected {read.digest[:12]}")
        return read

    @classmethod
    def _read(cls, fields: Fields) -> Trust:
        fields.one_of("trust", (FORMAT,))
        policy, key = fields.text("policy"), NoteKey.parse(fields.text("log"))
        if key.kind != ED25519:
            raise EvidenceError(f"trust file: `log` is a key of signature type {key.kind}, expected a log's, {ED25519}")
        text = fields.take("witnesses")
        if not (text is None or isinstance(text, str)):
            raise EvidenceError("trust file: `witnesses` is neither text nor null")
        versions = tuple(_version(item) for item in fields.items("versions"))
        fields.done()
        if not versions or any(one.since > other.since for one, other in pairwise(versions)):
            raise EvidenceError("trust file: expected one version of the policy or more, in the order of `since`")
        if len({one.digest for one in versions}) < len(versions):
            raise EvidenceError("trust file: a version of the policy stands there twice")
        read = None if text is None else quorum.parse(text.encode(), "witnesses")
        return cls(policy, Log(key.name, key.public), read, text, versions)

    @property
    def digest(self) -> str:
        """The SHA-256 of the RFC 8785 bytes of what it says."""
        return hashlib.sha256(canonical.dumps(self._members())).hexdigest()

    def to_bytes(self) -> bytes:
        """The file, for people as well."""
        return json.dumps({**self._members(), "digest": self.digest}, indent=2).encode() + b"\n"

    def _members(self) -> dict[str, Any]:
        return {
            "trust": FORMAT,
            "policy": self.policy,
            "log": NoteKey(self.log.origin, self.log.key).vkey,
            "witnesses": self.witnesses_text,
            "versions": [_to_json(version) for version in self.versions],
        }

    def in_force(self, at: datetime) -> str | None:
        """The digest of the version that is in force at a time; None before the first."""
        started = [version.digest for version in self.versions if version.since <= at]
        return started[-1] if started else None

    def ends(self, digest: str) -> datetime | None:
        """When a version is followed by the next one; None: nothing is known to follow it."""
        place = next(place for place, version in enumerate(self.versions) if version.digest == digest)
        return self.versions[place + 1].since if place + 1 < len(self.versions) else None


def _trusted(version: Version) -> Trusted:
    policy = version.policy
    rules, role = policy.permits, policy.roles[policy.permits.issued_by]
    keys = [PublicKey.parse(text) for text in role.keys]
    return Trusted(
        digest=version.digest,
        version=policy.version,
        since=max(version.since, version.entered),
        entered=version.entered,
        ledger_age=rules.ledger_age,
        issuer=Issuer(rules.issued_by, {key.key_id: key for key in keys}, role.quorum),
        actions={action: policy.reversible(action) for action in policy.gates},
    )


def _to_json(version: Trusted) -> dict[str, Any]:
    issuer = version.issuer
    return {
        "digest": version.digest,
        "version": version.version,
        "since": timestamp(version.since),
        "entered": timestamp(version.entered),
        "ledger_age": {"months": version.ledger_age.months, "seconds": version.ledger_age.seconds},
        "issued_by": {
            "role": issuer.role,
            "keys": [str(key) for key in issuer.keys.values()],
            "quorum": issuer.quorum,
        },
        "actions": {name: _REVERSIBLE if back else _IRREVERSIBLE for name, back in version.actions.items()},
    }


def _version(fields: Fields) -> Trusted:
    age, issuer, actions = fields.nested("ledger_age"), fields.nested("issued_by"), fields.free("actions")
    read = Trusted(
        digest=fields.digest("digest"),
        version=fields.text("version"),
        since=fields.time("since"),
        entered=fields.time("entered"),
        ledger_age=Duration(age.count("months"), age.count("seconds")),
        issuer=_issuer(issuer),
        actions={name: value == _REVERSIBLE for name, value in actions.items()},
    )
    age.done()
    fields.done()
    other = next((value for value in actions.values() if value not in (_REVERSIBLE, _IRREVERSIBLE)), None)
    if other is not None or actions.get("release-weights") == _REVERSIBLE:
        raise EvidenceError("trust file: an action is neither reversible nor irreversible, or weights come back")
    return read


def _issuer(fields: Fields) -> Issuer:
    keys = [PublicKey.parse(text) for text in fields.texts("keys")]
    read = Issuer(fields.text("role"), {key.key_id: key for key in keys}, fields.count("quorum"))
    fields.done()
    if not 0 < read.quorum <= len(read.keys) == len(keys):
        raise EvidenceError(
            f"trust file: a quorum of {read.quorum} of {len(read.keys)} keys, expected 1 to all of them"
        )
    return read
