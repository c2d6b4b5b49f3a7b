from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError, UsageError
from interlock.evidence import dsse
from interlock.evidence.keys import KeyPair

VECTOR = json.loads((Path(__file__).parents[1] / "vectors/dsse/dsse-v1.json").read_text())
A, B, C = (KeyPair.generate() for _ in range(3))
TRUSTED = {key.public.key_id: key.public for key in (A, B)}
TYPE = "application/vnd.in-toto+json"


def envelope(**changes) -> bytes:
    value = json.loads(dsse.sign(b"payload", TYPE, [A])) | changes
    return json.dumps(value).encode()


def test_the_signed_bytes_are_those_of_the_published_vector():
    made = dsse.pae(VECTOR["payload"].encode(), VECTOR["payloadType"])
    assert made == VECTOR["pae"].encode()
    raw = base64.b64decode(VECTOR["envelope"]["signatures"][0]["sig"])
    key = ec.EllipticCurvePublicNumbers(int(VECTOR["key"]["X"]), int(VECTOR["key"]["Y"]), ec.SECP256R1()).public_key()
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(der, made, ec.ECDSA(hashes.SHA256()))  # raises where it does not verify


def test_lengths_are_counted_in_bytes():
    assert dsse.pae("é".encode(), "ü") == "DSSEv1 2 ü 2 é".encode()


@given(st.binary(max_size=300), st.lists(st.sampled_from([A, B, C]), min_size=1, unique=True))
def test_law_what_was_signed_is_read_back_and_names_the_trusted_signers(payload, signing):
    read = dsse.parse(dsse.sign(payload, TYPE, signing))
    assert (read.payload, read.payload_type) == (payload, TYPE)
    assert read.signers(TRUSTED) == {key.public.key_id for key in signing} & TRUSTED.keys()


@given(st.data())
def test_law_no_changed_byte_yields_other_content_under_a_signature(data):
    original = dsse.sign(b"a payload of some length", TYPE, [A, B])
    at = data.draw(st.integers(0, len(original) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != original[at]))
    changed = original[:at] + bytes([value]) + original[at + 1 :]
    try:
        read = dsse.parse(changed)
        signers = read.signers(TRUSTED)
    except EvidenceError:
        return
    # only a claimed key id may change: then that signature counts for nobody
    assert (read.payload, read.payload_type) == (b"a payload of some length", TYPE)
    assert len(signers) < 2


def test_a_signature_by_a_stranger_neither_helps_nor_harms():
    read = dsse.parse(dsse.sign(b"x", TYPE, [A, C]))
    assert read.signers(TRUSTED) == {A.public.key_id}
    assert read.signers({}) == frozenset()


def test_a_wrong_signature_by_a_known_key_condemns_the_envelope():
    value = json.loads(dsse.sign(b"x", TYPE, [A, B]))
    value["signatures"][1]["sig"] = base64.b64encode(bytes(64)).decode()
    read = dsse.parse(json.dumps(value).encode())
    with pytest.raises(EvidenceError, match=f"{B.public.key_id}` does not verify"):
        read.signers(TRUSTED)


def test_a_signature_does_not_carry_over_to_another_payload_type():
    value = json.loads(dsse.sign(b"x", TYPE, [A])) | {"payloadType": "text/plain"}
    with pytest.raises(EvidenceError, match="does not verify"):
        dsse.parse(json.dumps(value).encode()).signers(TRUSTED)


def test_attack_a_member_twice_among_very_many_is_found_at_one_look():
    members = ",".join(f'"{number:x}":0' for number in range(90_000))
    with pytest.raises(EvidenceError, match="member '15f8f' twice"):
        dsse.strict_json(f'{{{members},"15f8f":0}}'.encode())


def test_a_reader_of_something_larger_says_how_large():
    data = b'{"a":"' + b"x" * dsse.LIMIT + b'"}'
    with pytest.raises(EvidenceError, match=f"expected at most {dsse.LIMIT}"):
        dsse.strict_json(data)
    assert dsse.strict_json(data, limit=len(data)) == {"a": "x" * dsse.LIMIT}
    with pytest.raises(EvidenceError, match=f"expected at most {len(data) - 1}"):
        dsse.strict_json(data, limit=len(data) - 1)


def test_one_key_that_signs_twice_counts_once():
    value = json.loads(dsse.sign(b"x", TYPE, [A]))
    value["signatures"] *= 2
    assert dsse.parse(json.dumps(value).encode()).signers(TRUSTED) == {A.public.key_id}


def test_a_signer_has_its_own_name_whatever_the_table_says():
    read = dsse.parse(dsse.sign(b"x", TYPE, [A]))
    value = dsse.Envelope(read.payload, read.payload_type, (dsse.Signature("alias", read.signatures[0].sig),))
    assert value.signers({"alias": A.public}) == {A.public.key_id}


GOOD = envelope()
SIG = json.loads(GOOD)["signatures"][0]

REFUSED = {
    "no bytes": b"",
    "a list": b"[]",
    "text": b'"x"',
    "not UTF-8": b"\xff" + GOOD,
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "a trailing newline": GOOD + b"\n",
    "a leading space": b" " + GOOD,
    "a second object": GOOD + GOOD,
    "a member twice": GOOD[:-1] + b', "payload": "eA=="}',
    "a member twice, further in": GOOD.replace(b'"keyid"', b'"sig": "", "keyid"'),
    "an unknown member": envelope(note="x"),
    "an unknown member of a signature": envelope(signatures=[SIG | {"cert": "x"}]),
    "a missing member": GOOD.replace(b"payloadType", b"payloadtype"),
    "a signature without a key id": envelope(signatures=[{"sig": SIG["sig"]}]),
    "an empty key id": envelope(signatures=[SIG | {"keyid": ""}]),
    "a key id that is a number": envelope(signatures=[SIG | {"keyid": 1}]),
    "no signatures": envelope(signatures=[]),
    "signatures that are no list": envelope(signatures=SIG),
    "a signature that is no object": envelope(signatures=["x"]),
    "a payload without padding": envelope(payload="eA"),
    "a payload with stray bits": envelope(payload="eB=="),
    "a payload in the URL alphabet": envelope(payload="_-8="),
    "a payload with a newline": envelope(payload="eA==\n"),
    "a payload that is not ASCII": envelope(payload="é==="),
    "a payload that is null": envelope(payload=None),
    "an empty payload type": envelope(payloadType=""),
    "a payload type with a control character": envelope(payloadType="a\nb"),
    "a payload type with a lone surrogate": GOOD.replace(b"vnd", rb"\ud800"),
    "a float": envelope(payload=1.5),
    "NaN": envelope(payload=float("nan")),
    "a number of very many digits": GOOD.replace(b'"cGF5bG9hZA=="', b"1" * 10_000),
    "nesting without end": b'{"a":' + b"[" * 100_000,
    "too many bytes": GOOD[:-1] + b" " * dsse.LIMIT + b"}",
}


def test_a_payload_of_another_type_is_refused():
    read = dsse.parse(dsse.sign(b"x", "text/plain", [A]))
    with pytest.raises(EvidenceError, match=r"entry 3: got payload type `text/plain`, expected `application/vnd\.in-"):
        dsse.payload(read, TYPE, where="entry 3")
    assert dsse.payload(read, "text/plain") == b"x"


@pytest.mark.parametrize("case", REFUSED)
def test_an_envelope_is_refused_that_has(case):
    with pytest.raises(EvidenceError, match=r"got .*, expected "):
        dsse.parse(REFUSED[case])


def test_the_good_envelope_beside_them_is_read():
    assert dsse.parse(GOOD).payload == b"payload"


def test_signing_needs_keys_each_once():
    for signing in ([], [A, A]):
        with pytest.raises(UsageError, match="each once"):
            dsse.sign(b"x", TYPE, signing)


def test_nothing_is_signed_that_would_not_be_read():
    with pytest.raises(EvidenceError, match="at most"):
        dsse.sign(bytes(dsse.LIMIT), TYPE, [A])
    with pytest.raises(EvidenceError, match="printable ASCII"):
        dsse.sign(b"x", "a\nb", [A])
