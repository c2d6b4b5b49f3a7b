"""A policy that is only asked what it would say: read with stand-ins for the key files that nobody has made yet."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from interlock.evidence.keys import PublicKey
    from interlock.policy.model import Policy


def draft(path: Path, *, at: datetime | None = None) -> Policy:
    """Read the policy in the file at `path`, once. In place of a key file that is not there stands a key made from its
    name: always the same, and of no use for anything that is signed. With `at`, it must not have expired.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: the policy is not valid; lists every problem.
    """
    from interlock.policy.load import load

    return load(path, at=at, absent=stand_in)


def stand_in(name: str) -> PublicKey:
    """The key that is made from a file's name."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from interlock.evidence.keys import KeyPair

    secret = sha256(f"stand-in for {name}".encode()).digest()
    return KeyPair(Ed25519PrivateKey.from_private_bytes(secret)).public
