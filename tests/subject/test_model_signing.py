"""OpenSSF model signing: what it signed is what we read off the same files, and it verifies what we read off ours."""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from interlock.subject import _folder, _hashing, manifest
from interlock.subject.manifest import Manifest

VECTORS = Path(__file__).parents[1] / "vectors" / "model-signing"
FOLDERS = ("v0.3.1-certificate", "v1.0.0-certificate", "v1.1.0-elliptic-key")
FILES = ("v0.3.1-elliptic-key", "v1.0.0-elliptic-key")  # here a file was signed, not the folder
TYPE = "application/vnd.in-toto+json"


def _public_key(name):
    keys = VECTORS / "keys"
    if name.endswith("certificate"):
        return x509.load_pem_x509_certificate((keys / "signing-key-cert.pem").read_bytes()).public_key()
    return serialization.load_pem_public_key((keys / "signing-key-pub.pem").read_bytes())


def _signed(folder):
    """The statement that `model.sig` signs, its signature verified."""
    envelope = json.loads((folder / "model.sig").read_bytes())["dsseEnvelope"]
    payload, signature = (base64.b64decode(text) for text in (envelope["payload"], envelope["signatures"][0]["sig"]))
    key = _public_key(folder.name)
    digest = {384: hashes.SHA384(), 256: hashes.SHA256()}[key.curve.key_size]
    try:
        key.verify(
            signature, b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload), ec.ECDSA(digest)
        )
    except InvalidSignature:  # before 1.0 it signed Python's way of showing the bytes
        said = f"DSSEV1 {len(TYPE)} {TYPE} {len(payload)} {payload}"
        key.verify(signature, said.encode(), ec.ECDSA(digest))
    return json.loads(payload)


def _of_anything(folder, ignored):
    """A manifest of a folder that is no model."""
    listed = {name: file for name, file in _folder.listing(folder, None).items() if name not in ignored}
    digests = _hashing.sha256_of(listed)
    return Manifest(tuple((name, digests[name]) for name in sorted(listed, key=manifest.order)))


@pytest.mark.parametrize("name", FOLDERS)
def test_what_it_signed_of_a_folder_is_what_we_read(name):
    signed = _signed(VECTORS / name)
    serialization = signed["predicate"]["serialization"]
    ours = _of_anything(VECTORS / name, {"model.sig", *serialization.get("ignore_paths", [])})
    (subject,) = signed["subject"]
    assert subject["digest"]["sha256"] == ours.model_signing_digest
    assert signed["predicate"]["resources"] == ours.to_json()["resources"]
    assert {**serialization, "ignore_paths": []} == ours.to_json()["serialization"]


@pytest.mark.parametrize("name", FILES)
def test_what_it_signed_of_a_file_is_its_digest_alone(name):
    signed = _signed(VECTORS / name)
    (resource,) = signed["predicate"]["resources"]
    assert resource["name"] == "."
    assert resource["digest"] == _hashing.sha256_of_file(VECTORS / name / "signme-1")


@pytest.mark.parametrize("name", FOLDERS)
def test_what_it_signed_is_not_what_we_read_of_other_bytes(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    for path in (VECTORS / name).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "signme-1").write_bytes(b"0" + (folder / "signme-1").read_bytes()[1:])
    signed = _signed(folder)
    ours = _of_anything(folder, {"model.sig", *signed["predicate"]["serialization"].get("ignore_paths", [])})
    assert signed["subject"][0]["digest"]["sha256"] != ours.model_signing_digest


# -- the tool itself --------------------------------------------------------------------------------------------------

_TOOL = pytest.mark.skipif(
    importlib.util.find_spec("model_signing") is None or importlib.util.find_spec("OpenSSL") is None,
    reason="model-signing is not installed: pip install -e '.[interop]'",
)
_RUN = [sys.executable, "-m", "model_signing"]
_ALL = "--no-ignore-git-paths"  # we leave nothing out


@pytest.fixture
def model(tmp_path):
    """Names in every order that matters: by character and by part."""
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    for name in ("a/c", "a-b", "a.txt", "z", "Zz", "\u00e9", "\U0001f600", ".hidden", ".gitattributes"):
        (folder / name).write_text(name)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    return folder


def _verify(folder, signature, key):
    command = [*_RUN, "verify", "key", str(folder), "--signature", str(signature), "--public_key", str(key), _ALL]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _sign(ours, folder):
    """A bundle as model-signing makes it, over our manifest as it stands in a subject's statement."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    payload = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "model", "digest": {"sha256": ours.model_signing_digest}}],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": ours.to_json(),
        }
    ).encode()
    message = b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)
    signature = base64.b64encode(key.sign(message, ec.ECDSA(hashes.SHA256()))).decode()
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": sha256(public).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": TYPE,
            "signatures": [{"sig": signature, "keyid": ""}],
        },
    }
    (folder / "ours.sig").write_text(json.dumps(bundle))
    (folder / "ours.pub").write_bytes(public)
    return folder / "ours.sig", folder / "ours.pub"


@_TOOL
def test_the_tool_verifies_our_manifest_and_sees_what_changed(model, tmp_path):
    signature, key = _sign(manifest.of(model), tmp_path)
    said = _verify(model, signature, key)
    assert said.returncode == 0, said
    (model / "a-b").write_text("another")
    said = _verify(model, signature, key)
    assert said.returncode != 0
    assert "a-b" in said.stdout + said.stderr
    (model / "a-b").write_text("a-b")
    (model / "more").write_text("")
    assert _verify(model, signature, key).returncode != 0


@_TOOL
def test_we_read_what_the_tool_signs(model, tmp_path):
    private = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    sign = [*_RUN, "sign", "key", str(model), "--signature", str(tmp_path / "sig"), _ALL]
    subprocess.run([*sign, "--private_key", str(tmp_path / "key")], capture_output=True, check=True)
    payload = json.loads(base64.b64decode(json.loads((tmp_path / "sig").read_bytes())["dsseEnvelope"]["payload"]))
    ours = manifest.of(model)
    assert payload["subject"][0]["digest"]["sha256"] == ours.model_signing_digest
    assert payload["predicate"]["resources"] == ours.to_json()["resources"]
