"""Ed25519 keys (RFC 8032): made, stored, loaded, and written as one line of text.

A key is known by its `key_id`: the lowercase hexadecimal SHA-256 of the 32 raw bytes of the public key, never of a
re-encoding. Public keys that would let anyone sign, and second encodings of one key, are refused.
A private key appears in no `repr`, no message and no file that others may read. Passphrases and hardware tokens are
left to the caller's operating system.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from interlock.errors import EvidenceError, UsageError
from interlock.evidence._curve import sound

__all__ = ["KeyPair", "PublicKey", "decode_base64", "load_private", "load_public", "new_key"]

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

    def _pem(self) -> bytes:
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_key(path: Path) -> KeyPair:
    """Make a key: PKCS#8 PEM (RFC 8410) at `path`, mode 0600, and its text form with a newline beside it.

    The public file has the same name with `.pub`: for `board-1.key`, and for `board-1`, it is `board-1.pub`.
    The folder is made, for its owner only, where it is missing.

    Raises:
        UsageError: either file is there already, or cannot be written; then neither is left behind.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"`{path.parent}`: cannot make the folder ({error.strerror})") from error
    pair = KeyPair.generate()
    _write_new(path, pair._pem(), mode=0o600)
    try:
        _write_new(path.with_name(path.name.removesuffix(".key") + ".pub"), f"{pair.public}\n".encode(), mode=0o644)
    except UsageError:
        path.unlink(missing_ok=True)
        raise
    return pair


def load_private(path: Path) -> KeyPair:
    """Load a PKCS#8 PEM Ed25519 private key that only its owner may read.

    Raises:
        UsageError: missing, open to group or others, encrypted, or not an Ed25519 key.
    """
    data, mode = _read_file(path)
    if mode & 0o077:
        raise UsageError(
            f"`{path}`: private key has mode {mode & 0o777:04o}, expected 0600; close it with: chmod 600 {path}"
        )
    try:
        private = load_pem_private_key(data, password=None)
    except TypeError:
        raise UsageError(f"`{path}`: private key is encrypted, expected unencrypted PKCS#8 PEM") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"`{path}`: not a private key, expected unencrypted PKCS#8 PEM") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"`{path}`: private key of another algorithm, expected Ed25519")
    return KeyPair(private)


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
    """Create `path` with `data`, durable; never replaces a file and leaves none behind when it fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UsageError(f"`{path}` exists already, expected a new name; a key file is never overwritten") from None
    except OSError as error:
        raise UsageError(f"`{path}`: cannot create the key file ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"`{path}`: cannot write the key file ({error.strerror})") from error


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
