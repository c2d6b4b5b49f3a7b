"""Ed25519 keys (RFC 8032): made, stored, loaded, and written as one line of text.

A key is known by its `key_id`: the lowercase hexadecimal SHA-256 of the 32 raw bytes of the public key, never of a
re-encoding. Public keys that would let anyone sign, and second encodings of one key, are refused.
A private key appears in no `repr`, no message and no file that others may read, and is encrypted at rest unless whoever
makes it asks for the opposite. Hardware tokens are left to the caller's operating system.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from interlock.errors import EvidenceError, UsageError
from interlock.evidence import _pkcs8
from interlock.evidence._curve import sound

__all__ = [
    "KeyPair",
    "Privacy",
    "PublicKey",
    "Unlock",
    "decode_base64",
    "load_private",
    "load_public",
    "look_at",
    "new_key",
]

#: Gives the passphrase of the encrypted key at a path, or raises `UsageError`.
Unlock = Callable[[Path], bytes]

_PREFIX = "ed25519:"
_FILE_LIMIT = 1 << 14


def decode_base64(text: str) -> bytes:
    """Decode standard base64 (RFC 4648, section 4), accepting only the one canonical spelling of each byte string.

    Raises:
        ValueError: another alphabet, white space, missing padding or stray trailing bits.
    """
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError(f"`{text[:40]}` is not canonical base64")
    return data


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: `raw` is its 32 bytes (RFC 8032, section 5.1.5).

    Raises:
        EvidenceError: not 32 bytes, or not the canonical encoding of a point of prime order.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise EvidenceError(f"public key has {len(self.raw)} bytes, expected 32")
        if not sound(self.raw):
            raise EvidenceError(
                f"public key `{self.raw.hex()}` is weak or not canonical, expected a point of prime order"
            )

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read the text form, `ed25519:` and the canonical base64 of 32 bytes.

        Raises:
            EvidenceError: anything else, white space included.
        """
        if not text.startswith(_PREFIX):
            # never echoed: it may be a private key under a wrong name
            raise EvidenceError(f"not a public key, expected `{_PREFIX}` and base64")
        try:
            raw = decode_base64(text.removeprefix(_PREFIX))
        except ValueError as error:
            raise EvidenceError(f"not a public key, expected canonical base64 after `{_PREFIX}`") from error
        return cls(raw)

    @property
    def key_id(self) -> str:
        """Lowercase hexadecimal SHA-256 of the raw 32 bytes."""
        return hashlib.sha256(self.raw).hexdigest()

    def __str__(self) -> str:
        return _PREFIX + base64.b64encode(self.raw).decode()

    def pem(self) -> str:
        """The form that OpenSSL and other tools read: SubjectPublicKeyInfo (RFC 8410) in PEM."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` is this key's over `message` (RFC 8032, section 5.1.7)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class KeyPair:
    """A private key, which only signs, and its public half."""

    _private: Ed25519PrivateKey = field(repr=False)
    public: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", PublicKey(self._private.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> KeyPair:
        """Make a fresh key in memory, from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte deterministic signature over `message` (RFC 8032, section 5.1.6)."""
        return self._private.sign(message)


def new_key(path: Path, *, passphrase: bytes | None) -> KeyPair:
    """Make a key: PKCS#8 PEM (RFC 8410) at `path`, mode 0600, and its text form with a newline beside it.

    It is encrypted with `passphrase`; None, in so many words, leaves it in the clear.
    The public file has the same name with `.pub`: for `board-1.key`, and for `board-1`, it is `board-1.pub`.
    The folder is made, for its owner only, where it is missing.

    Raises:
        UsageError: the passphrase is empty, either file is there already, or cannot be written; then neither is left
            behind.
    """
    if passphrase == b"":
        raise UsageError(f"`{path}`: the passphrase is empty, expected one, or None for a key in the clear")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"`{path.parent}`: cannot make the folder ({error.strerror})") from error
    private = Ed25519PrivateKey.generate()
    pair = KeyPair(private)
    _write_new(path, _pkcs8.write(private, passphrase), mode=0o600)
    # crash point: a private key without its public file; `interlock keys export` makes that one
    try:
        _write_new(path.with_name(path.name.removesuffix(".key") + ".pub"), f"{pair.public}\n".encode(), mode=0o644)
    except UsageError:
        path.unlink(missing_ok=True)
        raise
    return pair


def load_private(path: Path, unlock: Unlock | None = None) -> KeyPair:
    """Load a PKCS#8 PEM Ed25519 private key that only its owner may read. `unlock` is asked only for encrypted ones.

    Raises:
        UsageError: missing, open to group or others, not an Ed25519 key, or encrypted and not opened.
    """
    data, mode = _read_file(path)
    if problem := _open_to_others(path, mode):
        raise UsageError(problem)
    try:
        if not _pkcs8.is_encrypted(data):
            return KeyPair(_pkcs8.read(data, None))
        if unlock is None:
            raise UsageError(f"`{path}`: private key is encrypted, and nobody was asked for its passphrase")
        return KeyPair(_pkcs8.read(data, unlock(path)))
    except _pkcs8.Refused as refused:
        raise UsageError(f"`{path}`: {refused}") from None


@dataclass(frozen=True, slots=True)
class Privacy:
    """How a private key lies on disk; `encrypted` and `public` are None where it takes opening it to tell."""

    encrypted: bool | None
    public: PublicKey | None
    problem: str | None


def look_at(path: Path) -> Privacy:
    """Look at a private key file without a passphrase; what is wrong with it becomes its `problem`."""
    encrypted = None
    try:
        data, mode = _read_file(path)
        with suppress(_pkcs8.Refused):
            encrypted = _pkcs8.is_encrypted(data)
        public = None if encrypted else load_private(path).public
    except UsageError as error:
        return Privacy(encrypted, None, str(error))
    return Privacy(encrypted, public, _open_to_others(path, mode))


def _open_to_others(path: Path, mode: int) -> str | None:
    if not mode & 0o077:
        return None
    return f"`{path}`: private key has mode {mode & 0o777:04o}, expected 0600; close it with: chmod 600 {path}"


def load_public(path: Path) -> PublicKey:
    """Load a `.pub` file: the text form of one key and a newline, nothing else.

    Raises:
        UsageError: missing, or holds anything else.
    """
    data, _ = _read_file(path)
    if not data.endswith(b"\n") or not data.isascii():
        raise UsageError(f"`{path}`: not a public key, expected one line that starts with `{_PREFIX}`")
    try:
        return PublicKey.parse(data[:-1].decode("ascii"))
    except EvidenceError as error:
        raise UsageError(f"`{path}`: {error}") from error


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Create `path` with `data`, whole and durable; never replaces a file and leaves none behind when it fails."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot create the key file ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.link(hidden, path)  # which fails where a file is there already
        # crash point: the file is whole; nobody has been told of it
        _sync_folder(path)
    except FileExistsError:
        raise UsageError(f"`{path}` exists already, expected a new name; a key file is never overwritten") from None
    except OSError as error:
        raise UsageError(f"`{path}`: cannot write the key file ({error.strerror})") from error
    finally:
        hidden.unlink(missing_ok=True)


def _sync_folder(made: Path) -> None:
    """Make a new file's name durable, or take the file away again."""
    descriptor = os.open(made.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        made.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _read_file(path: Path) -> tuple[bytes, int]:
    """Return content and mode of the same open file, so that no swap comes between the two."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot read the key file ({error.strerror})") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"`{path}`: not a regular file, expected a key file")
        data = os.read(descriptor, _FILE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(data) > _FILE_LIMIT:
        raise UsageError(f"`{path}`: more than {_FILE_LIMIT} bytes, expected a key file")
    return data, mode
