"""The example policy with key files beside it. The keys are fixed, so that digests are."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.evidence.keys import KeyPair
from interlock.policy.load import load

EXAMPLE = Path(__file__).parents[2] / "policies" / "example-lab.yaml"
ROLES = ("evaluation-team", "external-auditor", "gatekeeper", "board-1", "board-2", "board-3")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the example policy as `lab.yaml` and its key files."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "keys").mkdir()
    for seed, name in enumerate(ROLES):
        key = KeyPair(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)).public
        (folder / "keys" / f"{name}.pub").write_text(f"{key}\n", encoding="utf-8")
    (folder / "lab.yaml").write_bytes(EXAMPLE.read_bytes())
    return folder


@pytest.fixture(scope="session")
def text(folder):
    return (folder / "lab.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def policy(folder):
    return load(folder / "lab.yaml")
