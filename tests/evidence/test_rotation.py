"""A proof of rotation: both keys, or it is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from interlock.errors import EvidenceError, UsageError
from interlock.evidence import dsse
from interlock.evidence.keys import KeyPair
from interlock.evidence.rotation import Rotation, prove, verify
from interlock.evidence.statement import PAYLOAD_TYPE, Statement

OLD, NEW, THIEF = (KeyPair.generate() for _ in range(3))
AT = datetime(2026, 12, 1, tzinfo=UTC)
GOOD = prove("board-1.2", OLD, NEW, at=AT)
MADE = Statement.parse(dsse.parse(GOOD).payload)


def signed(*pairs, kind=MADE.predicate_type, subjects=MADE.subjects, payload_type=PAYLOAD_TYPE, **members) -> bytes:
    made = Statement(kind, subjects, {**MADE.predicate, **members})
    return dsse.sign(made.to_bytes(), payload_type, pairs)


def swapped_signatures() -> bytes:
    value = json.loads(GOOD)
    one, two = value["signatures"]
    one["sig"], two["sig"] = two["sig"], one["sig"]
    return json.dumps(value).encode()


def test_a_proof_is_read_back():
    assert verify(GOOD) == Rotation("board-1.2", OLD.public, NEW.public, AT)


ATTACKS = {
    "signed by the old key only": (signed(OLD), "expected one by the old key and one by the new"),
    "signed by the new key only": (signed(NEW), "expected one by the old key and one by the new"),
    "signed by a thief for the old key": (signed(THIEF, NEW), "expected one by the old key and one by the new"),
    "signed by a third key too": (signed(OLD, NEW, THIEF), "3 signature"),
    "signatures swapped": (swapped_signatures(), "does not verify"),
    "another new key, old signatures": (
        json.dumps(
            {**json.loads(GOOD), "payload": json.loads(signed(OLD, THIEF, new=str(THIEF.public)))["payload"]}
        ).encode(),
        "about",
    ),
    "about another key": (signed(OLD, NEW, subjects=(("x", OLD.public.key_id),)), "expected the new key"),
    "about two keys": (signed(OLD, NEW, subjects=(*MADE.subjects, ("x", OLD.public.key_id))), "expected the new key"),
    "to the same key": (
        signed(OLD, new=str(OLD.public), subjects=(("x", OLD.public.key_id),)),
        "to itself, expected another key",
    ),
    "of another kind": (signed(OLD, NEW, kind="urn:interlock:key-rotation:v2"), "key-rotation:v2`, expected `urn"),
    "of another payload type": (signed(OLD, NEW, payload_type="text/plain"), "got payload type `text/plain`, expected"),
    "with an unknown member": (signed(OLD, NEW, role="board"), "unknown member `role`"),
    "with a time that is none": (signed(OLD, NEW, at="soon"), "expected a time"),
    "with a key that is none": (signed(OLD, NEW, old="ed25519:AAAA"), "public key"),
    "with a trailing byte": (GOOD + b"\n", "expected `{` first and `}` last"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_a_proof(attack):
    data, match = ATTACKS[attack]
    with pytest.raises(EvidenceError, match=match):
        verify(data)


def test_a_key_does_not_hand_over_to_itself():
    with pytest.raises(UsageError, match="each once"):
        prove("x", OLD, OLD, at=AT)
