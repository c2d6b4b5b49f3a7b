"""Proof that the holder of one key has handed over to another: a statement that both keys signed.

It changes nothing by itself: which keys a role has is said by its policy, and only an amendment changes that. It shows
those who sign the amendment that the new key is held by whoever answers for the old one, and that it can sign. Whoever
has stolen a key can make such a proof as well; then the old key's holder says so, and a key is made anew instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError
from interlock.evidence import dsse
from interlock.evidence.keys import PublicKey
from interlock.evidence.predicates import Fields, predicate_type
from interlock.evidence.statement import PAYLOAD_TYPE, Statement

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.keys import KeyPair

__all__ = ["Rotation", "prove", "verify"]

_TYPE = predicate_type("key-rotation")


@dataclass(frozen=True, slots=True)
class Rotation:
    """From now on `new` signs where `old` did, says the holder of both, under the name `name`."""

    name: str
    old: PublicKey
    new: PublicKey
    at: datetime


def prove(name: str, old: KeyPair, new: KeyPair, *, at: datetime) -> bytes:
    """The proof, as a signed envelope about the new key.

    Raises:
        UsageError: it is one key, not two.
        EvidenceError: `name` is not printable text.
    """
    predicate = {"old": str(old.public), "new": str(new.public), "at": timestamp(at)}
    made = Statement(_TYPE, ((name, new.public.key_id),), predicate)
    return dsse.sign(made.to_bytes(), PAYLOAD_TYPE, [old, new])


def verify(data: bytes) -> Rotation:
    """Read a proof and check that both keys signed it.

    Raises:
        EvidenceError: it is anything else, or a signature does not verify.
    """
    envelope = dsse.parse(data)
    made = Statement.parse(dsse.payload(envelope, PAYLOAD_TYPE))
    if made.predicate_type != _TYPE:
        raise EvidenceError(f"got predicate type `{made.predicate_type}`, expected `{_TYPE}`")
    fields = Fields(made.predicate, "key rotation")
    old, new = PublicKey.parse(fields.text("old")), PublicKey.parse(fields.text("new"))
    [(name, digest), *more] = made.subjects
    rotation = Rotation(name, old, new, fields.time("at"))
    fields.done()
    if more or digest != new.key_id:
        raise EvidenceError(f"key rotation: about {digest[:12]}, expected the new key, {new.key_id[:12]}, alone")
    if old == new:
        raise EvidenceError(f"key rotation: from key {old.key_id[:12]} to itself, expected another key")
    signed = envelope.signers({key.key_id: key for key in (old, new)})
    if signed != {old.key_id, new.key_id} or len(envelope.signatures) != 2:
        raise EvidenceError(
            f"key rotation: {len(envelope.signatures)} signature(s), {len(signed)} of them by its keys; "
            "expected one by the old key and one by the new"
        )
    return rotation
