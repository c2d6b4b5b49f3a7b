"""What other tools sign, we read, and the other way round; what the specification's own examples are to our reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from interlock.errors import EvidenceError
from interlock.evidence import dsse
from interlock.evidence.keys import KeyPair, PublicKey
from interlock.evidence.statement import PAYLOAD_TYPE, Statement

EXAMPLES = json.loads((Path(__file__).parents[1] / "vectors/in-toto/spec-examples.json").read_text())
OURS, OTHERS = KeyPair.generate(), [Ed25519PrivateKey.generate() for _ in range(2)]
DATA = Statement("https://example.com/x/v1", (("model", "ab" * 32),), {"scored": 3}).to_bytes()


def their_key(public: PublicKey) -> SSlibKey:
    """Our key as securesystemslib has it, under our id."""
    return SSlibKey(public.key_id, "ed25519", "ed25519", {"public": public.raw.hex()})


def our_key(private: Ed25519PrivateKey) -> PublicKey:
    return PublicKey(private.public_key().public_bytes_raw())


# -- securesystemslib --------------------------------------------------------------------------------------------------


def test_securesystemslib_verifies_our_envelopes():
    pairs = [OURS, KeyPair.generate()]
    envelope = Envelope.from_dict(json.loads(dsse.sign(DATA, PAYLOAD_TYPE, pairs)))
    assert (envelope.payload, envelope.payload_type) == (DATA, PAYLOAD_TYPE)
    found = envelope.verify([their_key(pair.public) for pair in pairs], threshold=2)
    assert set(found) == {pair.public.key_id for pair in pairs}


def test_securesystemslib_refuses_our_envelope_when_its_payload_changes():
    value = json.loads(dsse.sign(DATA, PAYLOAD_TYPE, [OURS]))
    value["payload"] = json.loads(dsse.sign(DATA + b" ", PAYLOAD_TYPE, [OURS]))["payload"]
    with pytest.raises(VerificationError):
        Envelope.from_dict(value).verify([their_key(OURS.public)], threshold=1)


def test_we_verify_securesystemslib_s_envelopes():
    envelope = Envelope(DATA, PAYLOAD_TYPE, {})
    for private in OTHERS:
        envelope.sign(CryptoSigner(private, their_key(our_key(private))))
    read = dsse.parse(json.dumps(envelope.to_dict()).encode())
    trusted = {our_key(private).key_id: our_key(private) for private in OTHERS}
    assert dsse.payload(read, PAYLOAD_TYPE) == DATA
    assert read.signers(trusted) == trusted.keys()
    assert Statement.parse(read.payload).predicate == {"scored": 3}


def test_we_refuse_securesystemslib_s_envelope_when_its_payload_changes():
    envelope = Envelope(DATA, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(OTHERS[0], their_key(our_key(OTHERS[0]))))
    envelope.payload = DATA + b" "
    read = dsse.parse(json.dumps(envelope.to_dict()).encode())
    with pytest.raises(EvidenceError, match="does not verify"):
        read.signers({our_key(OTHERS[0]).key_id: our_key(OTHERS[0])})


def test_a_key_that_goes_by_another_tool_s_id_signs_for_nobody():
    """securesystemslib's own key ids hash a JSON object; ours the 32 bytes. No identity comes from a re-encoding."""
    signer = CryptoSigner(OTHERS[0])
    assert signer.public_key.keyid != our_key(OTHERS[0]).key_id
    envelope = Envelope(DATA, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    read = dsse.parse(json.dumps(envelope.to_dict()).encode())
    assert read.signers({our_key(OTHERS[0]).key_id: our_key(OTHERS[0])}) == frozenset()


def test_both_refuse_the_same_signature_of_nobody():
    value = json.loads(dsse.sign(DATA, PAYLOAD_TYPE, [OURS]))
    with pytest.raises(VerificationError):
        Envelope.from_dict(json.loads(json.dumps(value))).verify([their_key(our_key(OTHERS[0]))], threshold=1)
    assert dsse.parse(json.dumps(value).encode()).signers({}) == frozenset()


# -- the examples of the in-toto attestation specification -------------------------------------------------------------

#: Why each of the specification's blocks is refused, by file and number; the others are read. Digests cut short are the
#: specification's own shorthand; everything else is where this reader is stricter on purpose (docs/formats.md).
SHORTHAND = "expected 64 lowercase hex digits"
REFUSED = {
    ("spec/predicates/release.md", 1): SHORTHAND,
    ("spec/predicates/release.md", 2): SHORTHAND,
    ("spec/predicates/release.md", 3): SHORTHAND,
    ("spec/predicates/release.md", 4): "expected an object with sha256 only",
    ("spec/predicates/release.md", 5): "expected an object with sha256 only",
    ("spec/predicates/scai.md", 1): SHORTHAND,
    ("spec/predicates/scai.md", 2): SHORTHAND,
    ("spec/predicates/scai.md", 3): SHORTHAND,
    ("spec/predicates/svr.md", 1): SHORTHAND,
    ("spec/predicates/svr.md", 2): SHORTHAND,
    ("spec/predicates/svr.md", 3): SHORTHAND,
    ("spec/predicates/test-result.md", 1): "expected an object with name and digest",
    ("spec/v0.1.0/README.md", 0): "got _type None",
    **{("spec/v1/resource_descriptor.md", block): "got _type None" for block in range(1, 6)},
    **{("docs/motivating_use_case.md", block): "got _type None" for block in range(8)},
}


@pytest.mark.parametrize("block", EXAMPLES, ids=[f"{it['file'].rpartition('/')[2]} {it['block']}" for it in EXAMPLES])
def test_the_specification_s_example(block):
    data = rfc8785.dumps(block["value"])  # in the one spelling that is read; the examples are indented
    match = REFUSED.get((block["file"], block["block"]))
    if match is None:
        made = Statement.parse(data)
        assert json.loads(made.to_bytes()) == block["value"]
        assert made.to_bytes() == data
    else:
        with pytest.raises(EvidenceError, match=match):
            Statement.parse(data)


def test_all_the_blocks_are_there_and_each_refusal_is_of_one():
    names = {(block["file"], block["block"]) for block in EXAMPLES}
    assert len(names) == 28
    assert REFUSED.keys() < names


@pytest.mark.parametrize("block", [it for it in EXAMPLES if "/svr" in it["file"] or "scai" in it["file"]])
def test_the_specification_s_examples_with_whole_digests_are_read(block):
    value = json.loads(json.dumps(block["value"]))
    for subject in value["subject"]:
        subject["digest"] = {"sha256": "ab" * 32}
    assert json.loads(Statement.parse(rfc8785.dumps(value)).to_bytes()) == value


def test_the_specification_s_indented_spelling_is_refused():
    [block] = [it for it in EXAMPLES if (it["file"], it["block"]) == ("spec/predicates/reference.md", 1)]
    with pytest.raises(EvidenceError, match="got another spelling, expected canonical JSON"):
        Statement.parse(json.dumps(block["value"], indent=2).encode())


def test_the_specification_s_envelope_example_is_no_envelope():
    [block] = [it for it in EXAMPLES if it["file"] == "spec/v0.1.0/README.md"]
    with pytest.raises(EvidenceError, match=r"payload: got '<Base64.Statement.>', expected canonical base64"):
        dsse.parse(json.dumps(block["value"]).encode())
    signature = {"sig": "AAAA"}  # the specification leaves the key id out; here it is asked for
    with pytest.raises(EvidenceError, match="signature 1: got members 'sig', expected keyid, sig"):
        dsse.parse(json.dumps({**block["value"], "payload": "AAAA", "signatures": [signature]}).encode())
