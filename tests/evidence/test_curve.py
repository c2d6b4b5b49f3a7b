"""Public keys that are no honest key's: found by the group's order, whatever they look like."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence import _curve
from interlock.evidence.keys import KeyPair, PublicKey

P, L = 2**255 - 19, _curve._ORDER
WYCHEPROOF = json.loads((Path(__file__).parents[1] / "vectors/wycheproof/ed25519_test.json").read_text())
SIGNATURES = [(group["publicKey"]["pk"], case) for group in WYCHEPROOF["testGroups"] for case in group["tests"]]
BASE = _curve._decode(bytes([0x58]) + bytes([0x66]) * 31)  # RFC 8032, section 5.1: y = 4/5, x even


def is_neutral(point) -> bool:
    return point[0] == 0 and point[1] == point[2]


def encoded(point) -> bytes:
    x, y, z, _ = point
    x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def point_of_order_8():
    """L times a point that no prime divides out of: what is left is torsion."""
    for y in range(2, 100):
        point = _curve._decode(y.to_bytes(32, "little"))
        left = _curve._times(L, point) if point else _curve._NEUTRAL
        if not is_neutral(_curve._times(4, left)):
            return left
    raise AssertionError("no point found")


def hashed(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


@pytest.mark.parametrize(("key", "case"), SIGNATURES, ids=[str(case["tcId"]) for _, case in SIGNATURES])
def test_wycheproof_s_answer_is_given_on_signature(key, case):
    answer = PublicKey(bytes.fromhex(key)).verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
    assert answer == (case["result"] == "valid")


def test_the_vectors_are_all_there():
    assert len(SIGNATURES) == WYCHEPROOF["numberOfTests"] == 151


def test_attack_one_private_key_signs_under_a_second_public_key_for_a_quorum_of_two():
    """Signature checks accept the twin; so the twin is refused as a key, and no quorum counts it."""
    secret, message = 0x1234567 * 8 + (1 << 200), b"both of us agree"
    twin = encoded(_curve._add(_curve._times(secret, BASE), point_of_order_8()))
    for nonce in range(1, 1000):
        start = encoded(_curve._times(nonce, BASE))
        challenge = hashed(start, twin, message)
        if challenge % 8 == 0:  # then the torsion part drops out of the equation that is checked
            signature = start + ((nonce + challenge * secret) % L).to_bytes(32, "little")
            break
    Ed25519PublicKey.from_public_bytes(twin).verify(signature, message)  # raises where it does not verify
    with pytest.raises(EvidenceError, match="expected a point of prime order"):
        PublicKey(twin)
    PublicKey(encoded(_curve._times(secret, BASE)))  # the key itself is fine


def test_attack_a_key_under_which_anyone_can_sign():
    torsion = point_of_order_8()
    weak = {encoded(_curve._times(factor, torsion)) for factor in range(8)}
    assert len(weak) == 8
    for raw in weak:
        with pytest.raises(EvidenceError, match="expected a point of prime order"):
            PublicKey(raw)


@pytest.mark.parametrize("y", [P, P + 1, P + 5, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_attack_a_second_encoding_of_a_point(y, sign):
    with pytest.raises(EvidenceError, match="weak or not canonical"):
        PublicKey((y | sign).to_bytes(32, "little"))


def test_a_point_that_is_not_on_the_curve_is_no_key():
    outside = [y for y in range(2, 40) if _curve._decode(y.to_bytes(32, "little")) is None]
    assert outside
    for y in outside:
        with pytest.raises(EvidenceError, match="weak or not canonical"):
            PublicKey(y.to_bytes(32, "little"))


@given(st.integers(1, L - 1), st.integers(0, 7))
def test_law_only_a_multiple_of_the_base_point_is_sound(factor, torsion):
    point = _curve._add(_curve._times(factor, BASE), _curve._times(torsion, point_of_order_8()))
    assert _curve.sound(encoded(point)) == (torsion == 0)


def test_every_key_that_the_library_makes_is_sound():
    assert all(_curve.sound(KeyPair.generate().public.raw) for _ in range(20))
