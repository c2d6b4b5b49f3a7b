from __future__ import annotations

import base64
import hashlib
import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from interlock.errors import EvidenceError, UsageError
from interlock.evidence.keys import KeyPair, PublicKey, decode_base64, load_private, load_public, new_key

# RFC 8032, section 7.1, test 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def text_of(raw: bytes) -> str:
    return "ed25519:" + base64.b64encode(raw).decode()


def pem(private, encryption=None) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_a_key_signs_as_rfc_8032_says():
    pair = KeyPair(Ed25519PrivateKey.from_private_bytes(SEED))
    assert pair.public == PublicKey(PUBLIC)
    assert pair.sign(b"\x72") == SIGNATURE
    assert pair.public.verify(SIGNATURE, b"\x72")
    assert not pair.public.verify(SIGNATURE, b"\x73")
    assert not pair.public.verify(SIGNATURE[:-1], b"\x72")


def test_the_key_id_is_the_digest_of_the_raw_bytes():
    assert PublicKey(PUBLIC).key_id == hashlib.sha256(PUBLIC).hexdigest()


def test_the_text_form_is_read_back():
    assert PublicKey.parse(str(PublicKey(PUBLIC))) == PublicKey(PUBLIC)
    assert str(PublicKey(PUBLIC)) == text_of(PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519:",
        text_of(PUBLIC).removeprefix("ed25519:"),
        text_of(PUBLIC).replace("ed25519", "ED25519"),
        text_of(PUBLIC) + "\n",
        " " + text_of(PUBLIC),
        text_of(PUBLIC)[:-1],  # no padding
        text_of(PUBLIC)[:-2] + "x=",  # the same 32 bytes, other stray bits
        text_of(PUBLIC).replace("+", "-").replace("/", "_").replace("=", "") + "=é",
        text_of(PUBLIC[:31]),
        text_of(PUBLIC + b"\0"),
    ],
)
def test_another_spelling_of_a_public_key_is_refused(text):
    with pytest.raises(EvidenceError):
        PublicKey.parse(text)


def test_a_new_key_is_for_its_owner_only_and_loads(tmp_path):
    pair = new_key(tmp_path / "keys" / "board-1.key")
    path = tmp_path / "keys" / "board-1.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert (tmp_path / "keys" / "board-1.pub").read_text() == f"{pair.public}\n"
    assert load_public(tmp_path / "keys" / "board-1.pub") == pair.public
    assert load_private(path).sign(b"x") == pair.sign(b"x")


@pytest.mark.parametrize("there", ["a.key", "a.pub"])
def test_a_key_file_is_never_overwritten(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=r"exists already.*never overwritten"):
        new_key(tmp_path / "a.key")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "mine")]


def test_a_full_disk_leaves_no_half_key(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        new_key(tmp_path / "a.key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_private_key_that_others_may_read_is_refused_with_the_remedy(tmp_path, mode):
    new_key(tmp_path / "a")
    (tmp_path / "a").chmod(mode)
    with pytest.raises(UsageError, match=rf"mode {mode:04o}, expected 0600; close it with: chmod 600 "):
        load_private(tmp_path / "a")


def bad_private_files():
    key = Ed25519PrivateKey.generate()
    return {
        "encrypted": pem(key, BestAvailableEncryption(b"x")),
        "another algorithm": pem(ec.generate_private_key(ec.SECP256R1())),
        "not a private key": b"hello",
        "more than": b"x" * 20_000,
    }


@pytest.mark.parametrize("reason", bad_private_files())
def test_a_file_that_is_no_usable_private_key_is_refused(tmp_path, reason):
    path = tmp_path / "a"
    path.write_bytes(bad_private_files()[reason])
    path.chmod(0o600)
    with pytest.raises(UsageError, match=reason):
        load_private(path)


def test_a_missing_key_file_is_the_callers_mistake(tmp_path):
    for load in (load_private, load_public):
        with pytest.raises(UsageError, match="cannot read the key file"):
            load(tmp_path / "nothing")
        with pytest.raises(UsageError, match="not a regular file"):
            load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", text_of(PUBLIC).encode(), text_of(PUBLIC).encode() + b"\n\n", b"\xff\n"]
)
def test_a_public_key_file_holds_one_line_only(tmp_path, content):
    (tmp_path / "a.pub").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.pub"):
        load_public(tmp_path / "a.pub")


def test_the_private_key_is_in_no_text(tmp_path):
    pair = new_key(tmp_path / "a")
    secret = pair._private.private_bytes_raw()
    for text in (repr(pair), str(pair), f"{[pair]}"):
        assert secret.hex() not in text
        assert base64.b64encode(secret).decode() not in text
        assert "rivate" not in text


def test_base64_has_one_spelling():
    assert decode_base64("AA==") == b"\0"
    for text in ("AB==", "AA=", "AA", "AA==\n", " AA==", "A A==", "_-==", "é==="):
        with pytest.raises(ValueError):  # noqa: PT011  the message is the caller's
            decode_base64(text)
