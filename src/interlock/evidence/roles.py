"""Who signed: the roles of all versions of a policy, over the keys of an envelope.

A role signed a statement if its quorum did under the version in force and under every later one that the ledger has
taken in, as far as these have a role of that name. So a key that an amendment takes out of a role signs nothing more in
favour from the moment at which the amendment stands in the ledger, and one that it brings in signs nothing before the
amendment takes effect; between the two both must sign. What speaks against a permit needs less: a member is a role of
which one key of any version so far signed. docs/adr/0021 says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from interlock.evidence.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from interlock.decide.facts import Signers, Version
    from interlock.evidence.dsse import Envelope
    from interlock.policy.model import Policy

#: The ids of a role's keys, and how many of them are its quorum.
Quorum = tuple[frozenset[str], int]


def in_force(versions: Sequence[Version], at: datetime) -> tuple[Version, ...]:
    """The version in force at a time (the first one, before that takes effect) and all that are to follow it."""
    place = max((place for place, it in enumerate(versions) if max(it.since, it.entered) <= at), default=0)
    return tuple(versions[place:])


def quorums(policy: Policy) -> dict[str, Quorum]:
    """Every role of a policy, by name."""
    return {name: (key_ids(role.keys), role.quorum) for name, role in policy.roles.items()}


def key_ids(keys: Sequence[str]) -> frozenset[str]:
    """The ids of keys in text form."""
    return frozenset(PublicKey.parse(key).key_id for key in keys)


@dataclass(frozen=True, slots=True)
class Electorate:
    """The roles of every version that the ledger has taken in, and all of their keys by id."""

    versions: tuple[Version, ...] = ()
    roles: tuple[Mapping[str, Quorum], ...] = ()
    keys: Mapping[str, PublicKey] = field(default_factory=dict)

    def after(self, version: Version) -> Electorate:
        """The same, and the roles of one more version."""
        keys = [PublicKey.parse(key) for role in version.policy.roles.values() for key in role.keys]
        return replace(
            self,
            versions=(*self.versions, version),
            roles=(*self.roles, quorums(version.policy)),
            keys={**self.keys, **{key.key_id: key for key in keys}},
        )

    def signed(self, envelope: Envelope, at: datetime) -> tuple[Signers, Signers]:
        """The roles whose quorum signed, and those of which at least one key did: distinct keys, each counted once.

        Raises:
            EvidenceError: a signature that claims a key of a role does not verify.
        """
        signed = envelope.signers(self.keys)
        current = self.roles[-len(in_force(self.versions, at)) :]
        names = dict.fromkeys(name for roles in current for name in roles)
        signers = (name for name in names if all(_met(roles[name], signed) for roles in current if name in roles))
        members = (name for roles in self.roles for name, (keys, _) in roles.items() if keys & signed)
        return frozenset(signers), frozenset(members)


def _met(role: Quorum, signed: frozenset[str]) -> bool:
    keys, quorum = role
    return 0 < quorum <= len(keys & signed)
