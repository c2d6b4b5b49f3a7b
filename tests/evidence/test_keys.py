from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

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
from interlock.evidence import _pkcs8, dsse
from interlock.evidence.keys import (
    KeyPair,
    Privacy,
    PublicKey,
    decode_base64,
    load_private,
    load_public,
    look_at,
    new_key,
)

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


def test_the_format_page_s_examples_are_true():
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    for text in (PUBLIC.hex(), str(PublicKey(PUBLIC)), PublicKey(PUBLIC).key_id):
        assert f" {text}\n" in page
    assert f"=  {dsse.pae(b'{}', 'application/vnd.in-toto+json').decode()}\n" in page


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
    pair = new_key(tmp_path / "keys" / "board-1.key", passphrase=None)
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
        new_key(tmp_path / "a.key", passphrase=None)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "mine")]


def test_a_full_disk_leaves_no_half_key(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        new_key(tmp_path / "a.key", passphrase=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_private_key_that_others_may_read_is_refused_with_the_remedy(tmp_path, mode):
    new_key(tmp_path / "a", passphrase=None)
    (tmp_path / "a").chmod(mode)
    with pytest.raises(UsageError, match=rf"mode {mode:04o}, expected 0600; close it with: chmod 600 "):
        load_private(tmp_path / "a")


def bad_private_files():
    key = Ed25519PrivateKey.generate()
    return {
        "encrypted, and nobody was asked": pem(key, BestAvailableEncryption(b"x")),
        "expected PKCS#8 PEM": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "not a private key, expected": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
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


def test_an_encrypted_key_is_opened_by_its_passphrase_only(tmp_path):
    pair = new_key(tmp_path / "a.key", passphrase="größer als lang".encode())
    assert (tmp_path / "a.key").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    opened = load_private(tmp_path / "a.key", lambda path: "größer als lang".encode())
    assert opened.public == pair.public == load_public(tmp_path / "a.pub")
    for wrong in (b"x", b"gr", b" " + "größer als lang".encode(), b"\0"):
        with pytest.raises(
            UsageError, match=r"a\.key`: the passphrase does not open it: it is wrong, or the file is dam"
        ):
            load_private(tmp_path / "a.key", lambda path, wrong=wrong: wrong)


def test_an_encrypted_key_is_scrypt_and_aes_as_the_format_page_says_and_never_the_same_twice(tmp_path):
    new_key(tmp_path / "a.key", passphrase=b"x")
    der = base64.b64decode(b"".join((tmp_path / "a.key").read_bytes().splitlines()[1:-1]))
    for what in ("2a864886f70d01050d", "2b06010401da47040b", "60864801650304012a", "02024000020108020105"):
        assert bytes.fromhex(what) in der  # PBES2, scrypt, AES-256-CBC; N = 16384, r = 8, p = 5
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    assert _pkcs8.write(key, b"x") != _pkcs8.write(key, b"x")
    assert _pkcs8.read(_pkcs8.write(key, b"x"), b"x").private_bytes_raw() == SEED


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_openssl_reads_our_private_keys(tmp_path, passphrase):
    pair = new_key(tmp_path / "a.key", passphrase=passphrase)
    said = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "a.key", "-passin", "pass:correct horse", "-pubout"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == pair.public.pem()


def test_we_read_private_keys_that_others_encrypted(tmp_path):
    (tmp_path / "a").write_bytes(pem(Ed25519PrivateKey.from_private_bytes(SEED), BestAvailableEncryption(b"x")))
    (tmp_path / "a").chmod(0o600)
    assert load_private(tmp_path / "a", lambda path: b"x").public == PublicKey(PUBLIC)


@pytest.mark.parametrize("at", range(3, 150, 13))
def test_attack_a_byte_of_an_encrypted_key_is_changed(tmp_path, at):
    data = bytearray(_pkcs8.write(Ed25519PrivateKey.from_private_bytes(SEED), b"x"))
    start = data.index(b"\n") + 1
    data[start + at] = ord("A") if data[start + at] != ord("A") else ord("B")
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "a").chmod(0o600)
    with pytest.raises(UsageError):
        load_private(tmp_path / "a", lambda path: b"x")


def test_an_empty_passphrase_is_not_taken_for_none(tmp_path):
    with pytest.raises(UsageError, match="the passphrase is empty"):
        new_key(tmp_path / "a.key", passphrase=b"")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, pathlib, sys
from interlock.evidence.keys import new_key
os.fsync = lambda descriptor: os._exit(9)
new_key(pathlib.Path(sys.argv[1]), passphrase=None)
"""


def test_a_crash_while_a_key_is_written_leaves_no_half_file_under_its_name(tmp_path):
    path = tmp_path / "a.key"
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == 9
    assert not path.exists()
    assert all(stat.S_IMODE(left.stat().st_mode) == 0o600 for left in tmp_path.iterdir())
    new_key(path, passphrase=None)  # and the name is still free


def test_a_key_s_name_that_did_not_become_durable_is_taken_away_again(tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def second_fails(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(UsageError, match="Input/output error"):
        new_key(tmp_path / "a.key", passphrase=None)
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_private_key_opens_nothing(tmp_path):
    clear, locked = new_key(tmp_path / "a.key", passphrase=None), new_key(tmp_path / "b.key", passphrase=b"x")
    assert look_at(tmp_path / "a.key") == Privacy(encrypted=False, public=clear.public, problem=None)
    assert look_at(tmp_path / "b.key") == Privacy(encrypted=True, public=None, problem=None)
    assert locked.public == load_public(tmp_path / "b.pub")
    for name, encrypted in (("a", False), ("b", True)):
        (tmp_path / f"{name}.key").chmod(0o644)
        seen = look_at(tmp_path / f"{name}.key")
        assert (seen.encrypted, seen.public) == (encrypted, None)
        assert "mode 0644, expected 0600" in seen.problem
    assert "cannot read" in look_at(tmp_path / "c.key").problem


def test_the_private_key_is_in_no_text(tmp_path):
    pair = new_key(tmp_path / "a", passphrase=None)
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
