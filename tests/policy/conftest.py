"""The example policy and one that says everything, with key files beside them. The keys, and so digests, are fixed."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.evidence.keys import KeyPair
from interlock.policy.load import load

EXAMPLE = Path(__file__).parents[2] / "policies" / "example-lab.yaml"
FULL = Path(__file__).parent / "full.yaml"
ROLES = ("evaluation-team", "external-auditor", "gatekeeper", "board-1", "board-2", "board-3")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the example policy as `lab.yaml`, the other as `full.yaml`, and their key files."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "keys").mkdir()
    for seed, name in enumerate(ROLES):
        key = KeyPair(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)).public
        (folder / "keys" / f"{name}.pub").write_text(f"{key}\n", encoding="utf-8")
    (folder / "lab.yaml").write_bytes(EXAMPLE.read_bytes())
    (folder / "full.yaml").write_bytes(FULL.read_bytes())
    return folder


@pytest.fixture(scope="session")
def text(folder):
    return (folder / "lab.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def policy(folder):
    return load(folder / "lab.yaml")


@pytest.fixture(scope="session")
def full_text(folder):
    return (folder / "full.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def full(folder):
    return load(folder / "full.yaml")
