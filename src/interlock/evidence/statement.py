"""What an envelope carries: in-toto Statement v1 (in-toto/attestation, spec/v1/statement.md).

A statement has exactly one spelling: its RFC 8785 bytes. `Statement.parse` takes no other, so `digest` is that of the
bytes that were signed. Stricter than in-toto: no unknown member, sha256 digests only, at least one subject, no name
twice. Predicates hold no floats: quantities travel as strings or as integers below 2^53. What a predicate type means is
left to the caller.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from interlock.errors import EvidenceError
from interlock.evidence import canonical
from interlock.evidence.dsse import strict_json

__all__ = ["PAYLOAD_TYPE", "STATEMENT_TYPE", "Statement"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 2**53 - 1  # the integers that every JSON reader keeps exactly (RFC 8259, section 6)
_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Statement:
    """A typed predicate about `subjects`, pairs of a name and a lowercase sha256. Equal when its bytes are.

    The predicate is copied; do not change it afterwards: `to_bytes` would not follow.

    Raises:
        EvidenceError: an empty type, no subject, a bad digest, or a value that has no exact JSON form.
    """

    predicate_type: str = field(compare=False)
    subjects: tuple[tuple[str, str], ...] = field(compare=False)
    predicate: Mapping[str, object] = field(compare=False)
    _payload: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_text(self.predicate_type, where="predicateType")
        _check_subjects(self.subjects)
        if not isinstance(self.predicate, Mapping):
            raise EvidenceError(f"predicate: got {type(self.predicate).__name__}, expected an object")
        predicate = _copy(self.predicate, where="predicate", depth=0)
        value = {
            "_type": STATEMENT_TYPE,
            "predicateType": self.predicate_type,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in self.subjects],
            "predicate": predicate,
        }
        object.__setattr__(self, "predicate", predicate)
        object.__setattr__(self, "_payload", _canonical(value))

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Read a statement from a verified payload.

        Raises:
            EvidenceError: not strict JSON, another `_type`, unknown or missing members, or not in canonical form.
        """
        members = strict_json(data)
        if members.get("_type") != STATEMENT_TYPE:
            raise EvidenceError(f"statement: got _type {members.get('_type')!a:.60}, expected `{STATEMENT_TYPE}`")
        if members.keys() != {"_type", "predicateType", "subject", "predicate"}:
            got = ", ".join(ascii(name) for name in sorted(members))
            raise EvidenceError(f"statement: got members {got}, expected _type, predicate, predicateType, subject")
        statement = cls(
            predicate_type=members["predicateType"],  # type: ignore[arg-type]  # checked where it is built
            subjects=_subjects(members["subject"]),
            predicate=members["predicate"],  # type: ignore[arg-type]  # checked where it is built
        )
        if statement.to_bytes() != data:
            raise EvidenceError("statement: got another spelling, expected canonical JSON (RFC 8785)")
        return statement

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, the payload of the envelope."""
        return self._payload

    @property
    def digest(self) -> str:
        """Lowercase hexadecimal SHA-256 of the payload."""
        return hashlib.sha256(self._payload).hexdigest()


def _subjects(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise EvidenceError(f"subject: got {type(value).__name__}, expected a list")
    return tuple(_subject(item, where=f"subject {n}") for n, item in enumerate(value, start=1))


def _subject(value: object, *, where: str) -> tuple[str, str]:
    if not isinstance(value, dict) or value.keys() != {"name", "digest"}:
        raise EvidenceError(f"{where}: got {value!a:.60}, expected an object with name and digest")
    digest = value["digest"]
    if not isinstance(digest, dict) or digest.keys() != {"sha256"}:
        raise EvidenceError(f"{where}: got digest {digest!a:.60}, expected an object with sha256 only")
    return value["name"], digest["sha256"]


def _check_subjects(subjects: tuple[tuple[str, str], ...]) -> None:
    if not subjects:
        raise EvidenceError("subject: got none, expected one or more")
    for name, digest in subjects:
        _check_text(name, where="subject: name")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise EvidenceError(f"subject {name!a:.60}: got sha256 {digest!a:.80}, expected 64 lowercase hex digits")
    names = {name for name, _ in subjects}
    if len(names) != len(subjects):
        raise EvidenceError(f"subject: got {len(subjects)} with {len(names)} names, expected each name once")


def _check_text(value: object, *, where: str) -> None:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise EvidenceError(f"{where}: got {value!a:.60}, expected printable text")


def _copy(value: object, *, where: str, depth: int) -> object:
    """Return `value` as plain JSON types; refuses what JSON cannot carry exactly."""
    if depth > _DEPTH:
        raise EvidenceError(f"{where:.80}: got more than {_DEPTH} levels of nesting, expected at most that many")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > _MOST:
            raise EvidenceError(f"{where}: got an integer beyond 2^53 - 1, expected it as a string")
        return value
    if isinstance(value, list | tuple):
        return [_copy(item, where=f"{where}[{n}]", depth=depth + 1) for n, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_name(k, where=where): _copy(v, where=f"{where}.{k}", depth=depth + 1) for k, v in value.items()}
    raise EvidenceError(
        f"{where}: got {type(value).__name__}, expected text, an integer, a boolean, null, a list or an object"
    )


def _name(value: object, *, where: str) -> str:
    if not isinstance(value, str):
        raise EvidenceError(f"{where}: got a member name of type {type(value).__name__}, expected text")
    return value


def _canonical(value: object) -> bytes:
    try:
        return canonical.dumps(value)  # `_copy` leaves only what it may have
    except ValueError as error:  # a lone surrogate is the only thing left to refuse
        raise EvidenceError("statement: got text that is not valid Unicode, expected no lone surrogates") from error
