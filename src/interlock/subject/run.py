"""A run from scratch that has no weights yet: a subject by its config and the data that it will train on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import rfc8785


@dataclass(frozen=True, slots=True)
class Run:
    """A training run before its first step. Both are SHA-256 in hex: of the config's bytes, and of the data commitment.

    What the commitment is a digest of (a list of files, the root of a Merkle tree) is for those who check it.
    """

    config: str
    data: str

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON (RFC 8785) of `to_json`; no manifest has the same bytes."""
        return hashlib.sha256(rfc8785.dumps(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, str]:
        """The two digests."""
        return {"config_sha256": self.config, "data_sha256": self.data}
