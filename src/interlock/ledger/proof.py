"""Proofs from tiles, and the file that carries one (c2sp.org/tlog-proof, draft of commit 0065ea5b).

    c2sp.org/tlog-proof@v1
    index 12
    the hashes from the entry up to the root, one a line
                                   (an empty line)
    the signed checkpoint that they lead to

Whoever holds the entry, the log's key and such a file needs nothing else to know that the entry is in the log.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from interlock.errors import LedgerError
from interlock.evidence.keys import decode_base64
from interlock.ledger import _disk, entry, merkle
from interlock.ledger._signed import Log, Signed
from interlock.ledger.log import Ledger
from interlock.ledger.merkle import HASH_BYTES
from interlock.ledger.tiles import WIDTH, Tile, hashes

__all__ = ["InclusionProof", "consistency", "prove"]

_TITLE = "c2sp.org/tlog-proof@v1"
_LIMIT = 1 << 17


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry stands at `index` of the tree under `checkpoint`, by `path`; not to be believed before `verify`."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    @classmethod
    def parse(cls, data: bytes) -> InclusionProof:
        """Read a proof file; its unauthenticated `extra` line is passed over.

        Raises:
            LedgerError: any departure from the format.
        """
        head, found, checkpoint = data.partition(b"\n\n")
        if len(data) > _LIMIT or not found:
            raise LedgerError(f"proof: got {len(data)} bytes, expected `{_TITLE}`, an empty line and a checkpoint")
        try:
            title, *lines = head.decode("ascii").split("\n")
            if lines and lines[0].startswith("extra "):
                decode_base64(lines.pop(0).removeprefix("extra "))
            word, _, index = lines.pop(0).partition(" ")
            path = tuple(decode_base64(line) for line in lines)
        except (ValueError, IndexError) as error:
            raise LedgerError("proof: got a line that cannot be read, expected an index and hashes") from error
        if (title, word) != (_TITLE, "index") or not _is_decimal(index):
            raise LedgerError(f"proof: got `{title[:40]}` and `{index[:20]}`, expected `{_TITLE}` and a decimal index")
        return cls(int(index), path, checkpoint)

    def to_bytes(self) -> bytes:
        """The file."""
        lines = [_TITLE, f"index {self.index}", *(base64.b64encode(node).decode() for node in self.path)]
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint

    def verify(self, data: bytes, log: Log) -> Signed:
        """Check that the entry with these exact bytes is in the log; return the checkpoint that says so.

        Raises:
            LedgerError: it is not shown.
        """
        signed = log.read(self.checkpoint, "proof")
        leaf = merkle.leaf_hash(entry.logged(data))
        merkle.verify_inclusion(leaf, self.index, size=signed.size, proof=self.path, root=signed.root)
        return signed


@dataclass(slots=True)
class _Tree:
    """The tree of `size` by its tiles; each is read once."""

    ledger: Ledger
    size: int
    read: dict[Tile, list[bytes]] = field(default_factory=dict)

    def subtree(self, first: int, after: int) -> bytes:
        """The root over leaves `first` up to `after`."""
        width = after - first
        if width & (width - 1) or first % width:
            split = first + (1 << (width - 1).bit_length() - 1)
            return merkle.node_hash(self.subtree(first, split), self.subtree(split, after))
        level = (width.bit_length() - 1) // 8
        items, start = width >> 8 * level, first >> 8 * level
        return merkle.root(self.tile(level, start // WIDTH)[start % WIDTH :][:items])

    def tile(self, level: int, index: int) -> list[bytes]:
        """The hashes of a tile."""
        tile = Tile(level, index, min(WIDTH, (self.size >> 8 * level) - index * WIDTH))
        if tile not in self.read:
            data = self.ledger.tile(tile, WIDTH * HASH_BYTES)
            if len(data) != tile.width * HASH_BYTES:
                path = self.ledger.folder / tile.path
                raise LedgerError(f"`{path}`: got {len(data)} bytes, expected {tile.width * HASH_BYTES}")
            self.read[tile] = hashes(data)
        return self.read[tile]


def prove(ledger: Ledger, index: int, data: bytes) -> InclusionProof:
    """Make the proof that entry `index`, with these bytes, is under the latest checkpoint.

    Raises:
        LedgerError: there is no such entry, or the tiles do not show it.
    """
    with _disk.locked_shared(ledger.folder / "lock"):
        latest = ledger.latest()
        path = merkle.inclusion_path(index, latest.size, _Tree(ledger, latest.size).subtree)
    proof = InclusionProof(index, path, latest.data)
    proof.verify(data, ledger.log)
    return proof


def consistency(ledger: Ledger, old_size: int) -> tuple[Signed, tuple[bytes, ...]]:
    """Return the latest checkpoint, and the path that should show that its tree begins with the first `old_size`.

    Raises:
        LedgerError: the ledger has fewer entries, or a tile cannot be read.
    """
    with _disk.locked_shared(ledger.folder / "lock"):
        latest = ledger.latest()
        if not 0 < old_size < latest.size:
            return latest, ()
        return latest, merkle.consistency_path(old_size, latest.size, _Tree(ledger, latest.size).subtree)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and str(int(text)) == text
