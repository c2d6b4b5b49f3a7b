"""A policy that is only asked what it would say: read with stand-ins for the key files that nobody has made yet."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from interlock.errors import PolicyError

if TYPE_CHECKING:
    from interlock.policy.model import Policy


def draft(path: Path) -> Policy:
    """Read the policy in the file at `path`. In place of a key file that is not there stands a key made from its name:
    always the same, and of no use for anything that is signed.

    Raises:
        UsageError: the file is not there, or cannot be read.
        PolicyError: the policy is not valid; lists every problem.
    """
    from interlock.policy.load import key_files, load, loads

    try:
        return load(path)
    except PolicyError:
        content = path.read_bytes()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = ""
        names = [name for name in key_files(text, name=str(path)) if _inside(name)] if text else []
        if all((path.parent / name).is_file() for name in names):
            raise
    with TemporaryDirectory(prefix="interlock-draft-") as folder:
        for name in names:
            copy, given = Path(folder) / name, path.parent / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(given.read_bytes() if given.is_file() else _stand_in(name))
        try:
            return loads(text, name=str(path), folder=Path(folder))
        except PolicyError as error:
            raise PolicyError([problem.replace(folder, str(path.parent)) for problem in error.problems]) from None


def _inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _stand_in(name: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from interlock.evidence.keys import KeyPair

    secret = sha256(f"stand-in for {name}".encode()).digest()
    return f"{KeyPair(Ed25519PrivateKey.from_private_bytes(secret)).public}\n".encode()
