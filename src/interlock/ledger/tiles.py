"""The tiles of a log: where they lie, what they hold, and how they grow (c2sp.org/tlog-tiles).

    tile/0/000 ...          256 leaf hashes each; `tile/1/000` has the roots of 256 such tiles, and so on
    tile/entries/000 ...    the entries themselves, each after its length in two bytes, 256 a bundle
    tile/0/001.p/17         a tile that is not full yet has its width in its name

Everything here is about bytes and names; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from interlock.errors import LedgerError
from interlock.ledger import merkle
from interlock.ledger.merkle import HASH_BYTES, Frontier

__all__ = ["BUNDLE_LIMIT", "ENTRIES", "ENTRY_LIMIT", "WIDTH", "Edge", "Tile", "bundle", "edge_tiles", "unbundle"]

WIDTH = 256
ENTRIES = "entries"
ENTRY_LIMIT = (1 << 16) - 1
"""Most bytes of one entry: its length is written in two bytes."""
BUNDLE_LIMIT = WIDTH * (2 + ENTRY_LIMIT)


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of a tile: its level (or `ENTRIES`), its index there, and how many items it has (`WIDTH` when full)."""

    level: int | str
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The name under the ledger's folder."""
        rest, digits = divmod(self.index, 1000)
        name = f"{digits:03d}"
        while rest:
            rest, digits = divmod(rest, 1000)
            name = f"x{digits:03d}/{name}"
        return f"tile/{self.level}/{name}" + (f".p/{self.width}" if self.width < WIDTH else "")


def edge_tiles(size: int) -> Iterator[Tile]:
    """The partial tiles of a tree of `size`, by level from 0; a level whose last tile is full has none."""
    for level in range((max(size.bit_length(), 1) + 7) // 8):
        width = (size >> 8 * level) % WIDTH
        if width:
            yield Tile(level, size >> 8 * (level + 1), width)


def bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries one after another, each behind its length in two bytes, big end first."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundle(data: bytes, width: int) -> list[bytes]:
    """Read exactly `width` entries.

    Raises:
        LedgerError: fewer or more bytes than they take.
    """
    entries, at = [], 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    if at != len(data):
        raise LedgerError(f"got {len(data)} bytes, expected {width} entries in {at}")
    return entries


@dataclass(slots=True)
class Edge:
    """The right edge of a growing tree: all that is needed to go on, to give the root, and to write the tiles."""

    frontier: Frontier = field(default_factory=Frontier)
    levels: list[bytearray] = field(default_factory=list)

    @classmethod
    def restored(cls, size: int, tiles: dict[int, bytes]) -> Edge:
        """Take up a tree of `size` from its partial tiles, by level.

        Raises:
            LedgerError: a tile has another length than the tree's size asks for.
        """
        levels: list[bytearray] = []
        for level in range(max([(size.bit_length() + 7) // 8, *(level + 1 for level in tiles)])):
            data, width = tiles.get(level, b""), (size >> 8 * level) % WIDTH
            if len(data) != width * HASH_BYTES:
                raise LedgerError(f"got a tile of {len(data)} bytes at level {level}, expected {width * HASH_BYTES}")
            levels.append(bytearray(data))
        roots = [root for level in reversed(levels) for root in _perfect(hashes(level))]
        return cls(Frontier.restored(size, roots), levels)

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self.frontier.size

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add one leaf hash; return the tiles that it fills, by level from 0."""
        index, full = self.frontier.size, []
        for level, node in enumerate(self.frontier.append(leaf)[::8]):
            if level == len(self.levels):
                self.levels.append(bytearray())
            tile = self.levels[level]
            tile += node
            if len(tile) == WIDTH * HASH_BYTES:
                full.append((Tile(level, index >> 8 * (level + 1)), bytes(tile)))
                tile.clear()
        return full

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The tiles that are begun, by level from 0."""
        return [(tile, bytes(self.levels[int(tile.level)])) for tile in edge_tiles(self.size)]

    def root(self) -> bytes:
        """The root of the tree."""
        return self.frontier.root()


def hashes(tile: bytes | bytearray) -> list[bytes]:
    """The hashes of a tile."""
    return [bytes(tile[at : at + HASH_BYTES]) for at in range(0, len(tile), HASH_BYTES)]


def _perfect(nodes: list[bytes]) -> Iterator[bytes]:
    """The roots of the perfect subtrees over fewer than 256 nodes, largest first."""
    at = 0
    for width in (128, 64, 32, 16, 8, 4, 2, 1):
        if len(nodes) & width:
            yield merkle.root(nodes[at : at + width])
            at += width
