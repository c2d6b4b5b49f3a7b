"""The body of `add-checkpoint` (c2sp.org/tlog-witness, of commit 5ba5ee83), as logs write it and witnesses read it.

old 12
the consistency proof from that size on, a hash a line
                               (an empty line)
the signed checkpoint
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from interlock.errors import LedgerError
from interlock.evidence.keys import decode_base64
from interlock.ledger._signed import NOTE_LIMIT
from interlock.ledger.merkle import HASH_BYTES

__all__ = ["LIMIT", "MOST_SIZE", "SIZE_TYPE", "Submission", "decimal"]

MOST_SIZE = 2**63 - 1
"""The most entries that a log is taken to have."""

SIZE_TYPE = "text/x.tlog.size"
"""Media type of an answer that is the size at which the witness stands."""

_MOST_HASHES = 63

LIMIT = NOTE_LIMIT + 1 + len(f"old {MOST_SIZE}\n") + _MOST_HASHES * 45
"""Bytes of the longest body."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint for a witness, and the proof that its tree begins with the first `old_size` entries."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    @classmethod
    def parse(cls, data: bytes) -> Submission:
        """Read a body; the checkpoint in it is not yet looked at.

        Raises:
            LedgerError: any departure from the format.
        """
        head, found, checkpoint = data.partition(b"\n\n")
        if not found:
            raise LedgerError("request: got no empty line, expected an old size, a proof and a checkpoint")
        try:
            first, *lines = head.decode("ascii").split("\n")
            proof = tuple(decode_base64(line) for line in lines)
        except ValueError as error:
            raise LedgerError("request: got a line that cannot be read, expected hashes in base64") from error
        if not first.startswith("old "):
            raise LedgerError(f"request: got {first!a:.40}, expected `old` and a size")
        if len(proof) > _MOST_HASHES or any(len(node) != HASH_BYTES for node in proof):
            raise LedgerError(
                f"request: got {len(proof)} hashes, expected at most {_MOST_HASHES} of {HASH_BYTES} bytes"
            )
        return cls(decimal(first.removeprefix("old ")), proof, checkpoint)

    def to_bytes(self) -> bytes:
        """The body."""
        lines = [f"old {self.old_size}", *(base64.b64encode(node).decode() for node in self.proof)]
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint


def decimal(text: str) -> int:
    """Read a size.

    Raises:
        LedgerError: not a decimal without leading zeros, or more than `MOST_SIZE`.
    """
    plain = text.isascii() and text.isdecimal() and len(text) < 20
    if not plain or str(int(text)) != text or int(text) > MOST_SIZE:
        raise LedgerError(f"got size {text!a:.40}, expected a decimal from 0 to {MOST_SIZE}")
    return int(text)
