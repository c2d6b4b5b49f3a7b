"""Signed notes, checkpoints and cosignatures (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature).

Parsing is strict, and `Note.to_bytes` gives back exactly what `Note.parse` took: there is one spelling of a note, so no
byte of it can change unseen. Signature types: plain Ed25519 (0x01) and timestamped Ed25519 cosignatures v1 (0x04);
ML-DSA-44 is not here yet. Checkpoints with extension lines are refused. Which keys to trust is the caller's.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from interlock.errors import EvidenceError, LedgerError
from interlock.evidence.keys import KeyPair, PublicKey, decode_base64
from interlock.ledger.merkle import HASH_BYTES

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "Checkpoint",
    "Note",
    "NoteKey",
    "NoteSignature",
    "cosign",
    "sign",
    "verify_cosignature",
    "verify_signature",
]

ED25519, COSIGNATURE = 0x01, 0x04

_DASH = "\N{EM DASH} "
_LIMIT = 1 << 16
_MOST_SIGNATURES = 64  # c2sp.org/signed-note asks for at least 16
_MOST = 2**63 - 1  # c2sp.org/tlog-cosignature: most of a timestamp


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key as notes know it: a `name`, a public key, and the signature type (`ED25519` or `COSIGNATURE`).

    Raises:
        LedgerError: a name that is empty or holds a space, a control character or a plus; another type.
    """

    name: str
    public: PublicKey
    kind: int = ED25519

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.kind not in (ED25519, COSIGNATURE):
            raise LedgerError(f"note key `{self.name}`: got signature type {self.kind}, expected 1 or 4")

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, type and key (c2sp.org/signed-note)."""
        encoded = self.name.encode() + b"\n" + bytes([self.kind]) + self.public.raw
        return hashlib.sha256(encoded).digest()[:4]

    @property
    def vkey(self) -> str:
        """The text form, `name+id+base64`, that other tools of this format read."""
        encoded = base64.b64encode(bytes([self.kind]) + self.public.raw).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> NoteKey:
        """Read a verifier key.

        Raises:
            LedgerError: malformed, of another type, or its id does not belong to name and key.
        """
        parts = vkey.split("+", 2)
        try:
            name, _, encoded = parts
            data = decode_base64(encoded)
            key = cls(name, PublicKey(data[1:]), data[0])
        except (ValueError, IndexError, EvidenceError) as error:
            raise LedgerError(
                f"got verifier key `{vkey[:120]}`, expected `name+id+base64` of an Ed25519 key"
            ) from error
        if key.vkey != vkey:
            raise LedgerError(f"verifier key `{name}`: got id `{parts[1][:16]}`, expected {key.key_id.hex()}")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the signer's claimed name and 4-byte key id, and what the key made."""

    name: str
    key_id: bytes
    blob: bytes

    def line(self) -> str:
        """Return the line, newline included."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.blob).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and the signatures under it; not to be believed before it is verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note.

        Raises:
            LedgerError: any departure from c2sp.org/signed-note, or from the limits of size and signatures.
        """
        if len(data) > _LIMIT:
            raise LedgerError(f"note: got {len(data)} bytes, expected at most {_LIMIT}")
        text, found, lines = _decode(data).rpartition("\n\n")
        if not found or not lines.endswith("\n"):
            raise LedgerError(
                "note: got no signature lines after an empty line, expected one or more, each ending in a newline"
            )
        signatures = tuple(_parse_line(line) for line in lines[:-1].split("\n"))
        if len(signatures) > _MOST_SIGNATURES:
            raise LedgerError(f"note: got {len(signatures)} signatures, expected at most {_MOST_SIGNATURES}")
        return cls(text + "\n", signatures)

    def to_bytes(self) -> bytes:
        """Return the note's one spelling."""
        return (self.text + "\n" + "".join(signature.line() for signature in self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The body of a checkpoint (c2sp.org/tlog-checkpoint): whose log, how many leaves, which root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the body.

        Raises:
            LedgerError: not exactly origin, canonical decimal size, and canonical base64 of 32 bytes.
        """
        lines = text.split("\n")
        if len(lines) != 4 or not lines[0] or lines[3]:
            raise LedgerError(f"checkpoint: got {len(lines) - 1} lines, expected origin, size and root")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdecimal() and len(size) < 20 and str(int(size)) == size):
            raise LedgerError(f"checkpoint: got size `{size[:40]}`, expected a decimal without leading zeros")
        try:
            checkpoint = cls(origin, int(size), decode_base64(root))
        except ValueError as error:
            raise LedgerError(f"checkpoint: got root `{root[:60]}`, expected canonical base64") from error
        if len(checkpoint.root) != HASH_BYTES:
            raise LedgerError(f"checkpoint: got a root of {len(checkpoint.root)} bytes, expected {HASH_BYTES}")
        return checkpoint


def sign(text: str, name: str, key: KeyPair) -> NoteSignature:
    """Sign a note's text with plain Ed25519 (c2sp.org/signed-note, type 0x01).

    Raises:
        LedgerError: `text` or `name` cannot stand in a note.
    """
    _check_text(text)
    return NoteSignature(name, NoteKey(name, key.public).key_id, key.sign(text.encode()))


def cosign(text: str, name: str, key: KeyPair, *, time: int) -> NoteSignature:
    """Cosign a checkpoint's text at `time`, in POSIX seconds (c2sp.org/tlog-cosignature, Ed25519, v1).

    Raises:
        LedgerError: `text` or `name` cannot stand in a note, or `time` is out of range.
    """
    _check_text(text)
    if not 0 <= time <= _MOST:
        raise LedgerError(f"cosignature: got time {time}, expected 0 to 2^63 - 1")
    blob = time.to_bytes(8, "big") + key.sign(_cosigned(text, time))
    return NoteSignature(name, NoteKey(name, key.public, COSIGNATURE).key_id, blob)


def verify_signature(note: Note, key: NoteKey) -> None:
    """Check that `key`, of type `ED25519`, signed the note.

    Raises:
        LedgerError: no line of this key, more than one, or a wrong signature.
    """
    blob = _blob_of(note, key, kind=ED25519)
    if not key.public.verify(blob, note.text.encode()):
        raise LedgerError(f"note: signature by `{key.name}` does not verify over the text")


def verify_cosignature(note: Note, key: NoteKey) -> int:
    """Check that `key`, of type `COSIGNATURE`, cosigned the note; return the time, in POSIX seconds.

    Raises:
        LedgerError: no line of this key, more than one, or a wrong signature or time.
    """
    blob = _blob_of(note, key, kind=COSIGNATURE)
    time = int.from_bytes(blob[:8], "big")
    if len(blob) != 72 or time > _MOST:
        raise LedgerError(
            f"note: cosignature by `{key.name}` has {len(blob)} bytes, expected 72 with a time below 2^63"
        )
    if not key.public.verify(blob[8:], _cosigned(note.text, time)):
        raise LedgerError(f"note: cosignature by `{key.name}` does not verify over time {time} and the text")
    return time


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _blob_of(note: Note, key: NoteKey, *, kind: int) -> bytes:
    if key.kind != kind:
        raise LedgerError(f"note key `{key.name}`: got signature type {key.kind}, expected {kind}")
    blobs = [line.blob for line in note.signatures if (line.name, line.key_id) == (key.name, key.key_id)]
    if len(blobs) != 1:
        raise LedgerError(f"note: got {len(blobs)} signature lines of key `{key.name}` {key.key_id.hex()}, expected 1")
    return blobs[0]


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LedgerError(f"note: got bytes that are not UTF-8 at offset {error.start}, expected text") from error
    _check_characters(text)
    return text


def _check_text(text: str) -> None:
    _check_characters(text)
    if not text.endswith("\n"):
        raise LedgerError("note: got a text without a final newline, expected one")


def _check_characters(text: str) -> None:
    bad = next((character for character in text if character < " " and character != "\n"), None)
    if bad is not None:
        raise LedgerError(f"note: got control character U+{ord(bad):04X}, expected none but newlines")


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise LedgerError(f"got key name {name!a:.80}, expected one without spaces or plus signs")


def _parse_line(line: str) -> NoteSignature:
    name, found, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not found:
        raise LedgerError(f"note: got signature line {line!a:.80}, expected an em dash, a name and base64")
    _check_name(name)
    try:
        data = decode_base64(encoded)
    except ValueError as error:
        raise LedgerError(f"note: signature of `{name}` is not canonical base64") from error
    if len(data) < 5:
        raise LedgerError(f"note: signature of `{name}` has {len(data)} bytes, expected 5 or more")
    return NoteSignature(name, data[:4], data[4:])
