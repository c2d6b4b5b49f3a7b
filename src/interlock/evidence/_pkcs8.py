"""Ed25519 private keys as PKCS#8 PEM, in the clear or under a passphrase.

Encrypted by PBES2 (RFC 8018, section 6.2) with AES-256-CBC and scrypt (RFC 7914), N = 2^14, r = 8, p = 5: 16 MiB and
some tenths of a second a guess, as much as OpenSSL still reads. The library's own `BestAvailableEncryption` would spend
2,048 rounds of PBKDF2, which is far less work a guess.
No message here has a byte of the key or of the passphrase in it.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

_CLEAR, _ENCRYPTED = b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_N, _R, _PARALLEL = 1 << 14, 8, 5
_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42


class Refused(ValueError):  # noqa: N818  it says why a file is no key, and the caller where
    """A file is not the private key that was expected. The message is about the kind of file, never its content."""


def is_encrypted(pem: bytes) -> bool:
    """Whether a file needs a passphrase; told by its first line.

    Raises:
        Refused: it is neither of the two kinds of file.
    """
    if not pem.startswith((_CLEAR, _ENCRYPTED)):
        raise Refused("not a private key, expected PKCS#8 PEM")
    return pem.startswith(_ENCRYPTED)


def write(private: Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    """The PEM file of a key; in the clear where `passphrase` is None."""
    if passphrase is None:
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    clear = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _pem("ENCRYPTED PRIVATE KEY", _encrypted(clear, passphrase))


def read(pem: bytes, passphrase: bytes | None) -> Ed25519PrivateKey:
    """The key in a PEM file.

    Raises:
        Refused: not an Ed25519 key, or the passphrase does not open it.
    """
    encrypted = is_encrypted(pem)
    try:
        private = load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # one message for both: a file that was damaged cannot be told from a passphrase that is wrong
        damaged = "the passphrase does not open it: it is wrong, or the file is damaged"
        raise Refused(damaged if encrypted else "not a private key, expected PKCS#8 PEM") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise Refused("private key of another algorithm, expected Ed25519")
    return private


def _encrypted(clear: bytes, passphrase: bytes) -> bytes:
    """EncryptedPrivateKeyInfo (RFC 5958, section 3)."""
    salt, vector = os.urandom(16), os.urandom(16)
    key = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_PARALLEL).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    data = encryptor.update(padder.update(clear) + padder.finalize()) + encryptor.finalize()
    cost = _sequence(_octets(salt), _integer(_N), _integer(_R), _integer(_PARALLEL))
    scheme = _sequence(_sequence(_SCRYPT, cost), _sequence(_AES_256_CBC, _octets(vector)))
    return _sequence(_sequence(_PBES2, scheme), _octets(data))


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


# DER (X.690): a tag, a length, a value.


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    length = bytes([size]) if size < 128 else bytes([0x81, size])  # nothing here is longer than 255 bytes
    return bytes([tag]) + length + value


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _octets(value: bytes) -> bytes:
    return _der(0x04, value)


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))
