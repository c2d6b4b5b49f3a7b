"""The seal: the last entry of a ledger that takes no more, signed by the log's key (c2sp.org/signed-note).

interlock seal v1
example.com/ledger        the ledger
12                        its entries before this one
example.org/next          the ledger that goes on from here, or `-`
the reason, in one line
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import KeyPair, PublicKey
from interlock.ledger.note import Note, NoteKey, sign, verify_signature

__all__ = ["Seal"]

_TITLE = "interlock seal v1"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a seal says: which ledger, after how many entries, where it goes on (`-` for nowhere), and why."""

    origin: str
    size: int
    successor: str
    reason: str

    def entry(self, key: KeyPair) -> bytes:
        """Sign it.

        Raises:
            UsageError: a successor or a reason that is not one printable line.
        """
        for name, text in (("successor", self.successor), ("reason", self.reason)):
            if not text.strip() or not text.isprintable() or len(text) > 1000:
                raise UsageError(f"got {name} {text!a:.80}, expected one line of at most 1000 printable characters")
        text = f"{_TITLE}\n{self.origin}\n{self.size}\n{self.successor}\n{self.reason}\n"
        return Note(text, (sign(text, self.origin, key),)).to_bytes()

    @staticmethod
    def begins(data: bytes) -> bool:
        """Whether an entry begins like a seal."""
        return data.startswith(_TITLE.encode())

    @classmethod
    def read(cls, data: bytes, *, origin: str, key: PublicKey, index: int) -> Seal | None:
        """Read entry `index`, if it is a seal.

        Raises:
            LedgerError: it begins like one, and is not one of this ledger at this place.
        """
        if not cls.begins(data):
            return None
        try:
            note = Note.parse(data)
            verify_signature(note, NoteKey(origin, key))
            _, named, size, successor, reason, end = note.text.split("\n")
        except (LedgerError, ValueError) as error:
            raise LedgerError(f"entry {index} begins like a seal and is none: {error}") from error
        if (named, size, end, len(note.signatures)) != (origin, str(index), "", 1):
            raise LedgerError(f"entry {index}: got a seal of `{named}` at {size[:20]}, expected `{origin}` at {index}")
        return cls(origin, index, successor, reason)
