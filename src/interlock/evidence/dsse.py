"""Signed envelopes: DSSE v1 (github.com/secure-systems-lab/dsse, protocol.md and envelope.md).

What is verified is the bytes that were received; nothing is serialised again to check a signature. Reading is stricter
than DSSE asks: one JSON object and nothing around it, no member twice, none unknown, canonical standard base64, every
signature with a `keyid`, at most `LIMIT` bytes. Which keys to trust, and how many must have signed, is the caller's.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import rfc8785

from interlock.errors import EvidenceError, UsageError
from interlock.evidence.keys import KeyPair, PublicKey, decode_base64

__all__ = ["LIMIT", "Envelope", "Signature", "pae", "parse", "payload", "sign", "strict_json"]

LIMIT = 1 << 20
"""Most bytes of an envelope, and of anything inside it."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope: the signer's claimed `key_id`, and the signature's bytes."""

    key_id: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is to be believed before `signers` was asked."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    def signers(self, trusted: Mapping[str, PublicKey]) -> frozenset[str]:
        """Return the key ids, out of `trusted` (by key id), that truly signed; a key that signed twice counts once.

        Signatures by other keys are ignored: they neither help nor harm.

        Raises:
            EvidenceError: a signature that claims a trusted key does not verify.
        """
        message = pae(self.payload, self.payload_type)
        found = set()
        for signature in self.signatures:
            key = trusted.get(signature.key_id)
            if key is None:
                continue
            if not key.verify(signature.sig, message):
                raise EvidenceError(f"signature by key `{signature.key_id}` does not verify over the payload")
            found.add(key.key_id)  # the key that verified, whatever name the table gave it
        return frozenset(found)


def pae(payload: bytes, payload_type: str) -> bytes:
    """Return the pre-authentication encoding, the bytes that are signed (DSSE protocol.md, `PAE`)."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, keys: Sequence[KeyPair]) -> bytes:
    """Return the envelope over `payload`, signed by each of `keys`, as canonical JSON (RFC 8785).

    Raises:
        UsageError: no key, or one key twice.
        EvidenceError: `payload_type` is not printable ASCII, or the envelope is longer than `LIMIT`.
    """
    ids = [key.public.key_id for key in keys]
    if not ids or len(set(ids)) != len(ids):
        raise UsageError(
            f"got {len(ids)} signing keys, {len(set(ids))} of them distinct, expected one or more, each once"
        )
    message = pae(payload, _plain_text(payload_type, where="payloadType"))
    signatures = [{"keyid": key.public.key_id, "sig": _base64(key.sign(message))} for key in keys]
    envelope = rfc8785.dumps({"payload": _base64(payload), "payloadType": payload_type, "signatures": signatures})
    _check_length(envelope)
    return envelope


def parse(data: bytes) -> Envelope:
    """Read an envelope from the bytes received; verifies no signature.

    Raises:
        EvidenceError: anything that the module's docstring refuses.
    """
    members = _members(strict_json(data), {"payload", "payloadType", "signatures"}, where="envelope")
    signatures = members["signatures"]
    if not isinstance(signatures, list) or not signatures:
        raise EvidenceError(f"envelope: got signatures {signatures!a:.60}, expected a list of one or more")
    return Envelope(
        payload=_bytes(members["payload"], where="envelope: payload"),
        payload_type=_plain_text(members["payloadType"], where="envelope: payloadType"),
        signatures=tuple(_signature(item, where=f"signature {n}") for n, item in enumerate(signatures, start=1)),
    )


def payload(envelope: Envelope, payload_type: str, *, where: str = "envelope") -> bytes:
    """The payload of an envelope whose type is the one that the caller understands.

    Raises:
        EvidenceError: it is of another type.
    """
    if envelope.payload_type != payload_type:
        raise EvidenceError(f"{where}: got payload type `{envelope.payload_type}`, expected `{payload_type}`")
    return envelope.payload


def strict_json(data: bytes, *, limit: int = LIMIT) -> dict[str, object]:
    """Read exactly one JSON object, with no byte before or after it.

    Refused, beyond what RFC 8259 refuses: a member named twice, any number with a point or exponent, NaN,
    infinities, nesting deeper than the interpreter takes, more than `limit` bytes.

    Raises:
        EvidenceError: any of these.
    """
    _check_length(data, limit)
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_no_number, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "nesting without end" if isinstance(error, RecursionError) else str(error)
        raise EvidenceError(f"got {len(data)} bytes that are no strict JSON ({why}), expected one object") from error
    if not isinstance(value, dict) or text[0] != "{" or text[-1] != "}":
        raise EvidenceError("got something beside one JSON object, expected `{` first and `}` last")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)  # at one look, however many there are
        raise ValueError(f"member {twice!a} twice")
    return members


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"number `{text[:40]}` where only whole ones and text may stand")


def _signature(value: object, *, where: str) -> Signature:
    members = _members(value, {"keyid", "sig"}, where=where)
    return Signature(
        key_id=_plain_text(members["keyid"], where=f"{where}: keyid"), sig=_bytes(members["sig"], where=f"{where}: sig")
    )


def _members(value: object, names: set[str], *, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise EvidenceError(f"{where}: got {type(value).__name__}, expected a JSON object")
    if value.keys() != names:
        got = ", ".join(ascii(name) for name in sorted(value)) or "none"
        raise EvidenceError(f"{where}: got members {got}, expected {', '.join(sorted(names))}")
    return value


def _plain_text(value: object, *, where: str) -> str:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise EvidenceError(f"{where}: got {value!a:.60}, expected printable ASCII")
    return value


def _bytes(value: object, *, where: str) -> bytes:
    if not isinstance(value, str):
        raise EvidenceError(f"{where}: got {type(value).__name__}, expected base64 text")
    try:
        return decode_base64(value)
    except ValueError as error:
        raise EvidenceError(f"{where}: got {value!a:.60}, expected canonical base64") from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _check_length(data: bytes, limit: int = LIMIT) -> None:
    if len(data) > limit:
        raise EvidenceError(f"got {len(data)} bytes, expected at most {limit}")
