"""From sequenced entries to tiles on the disk, read back before anyone signs for them.

A bit that flips between hashing and storing has ended real logs (DigiCert Yeti 2022, entry 65562066): so the root that
is signed is recomputed from bytes that were read back, entries and hashes alike, and must be the one that was built.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from interlock.errors import LedgerError
from interlock.ledger import _disk
from interlock.ledger._signed import Signed
from interlock.ledger.log import Ledger
from interlock.ledger.merkle import HASH_BYTES, leaf_hash
from interlock.ledger.tiles import BUNDLE_LIMIT, ENTRIES, WIDTH, Edge, Tile, bundle, edge_tiles, unbundle


def published_edge(ledger: Ledger, latest: Signed) -> Edge:
    """Take up the tree that `latest` covers from its tiles on the disk.

    Raises:
        LedgerError: they do not make its root, or the last bundle of entries does not make its hashes.
    """
    edge = _read_edge(ledger, latest.size, _disk.read)
    if edge.root() != latest.root:
        raise LedgerError(
            f"`{ledger.folder / 'tile'}`: got root {edge.root().hex()} at size {latest.size}, expected "
            f"{latest.root.hex()} by the latest checkpoint"
        )
    if latest.size % WIDTH:
        _check_bundle(ledger, Tile(ENTRIES, latest.size // WIDTH, latest.size % WIDTH), bytes(edge.levels[0]))
    return edge


def _check_bundle(ledger: Ledger, tile: Tile, expected: bytes) -> None:
    path, data = ledger.folder / tile.path, ledger.tile(tile)
    try:
        entries = unbundle(data, tile.width)
    except LedgerError as error:
        raise LedgerError(f"`{path}`: {error}") from error
    if b"".join(map(leaf_hash, entries)) != expected:
        raise LedgerError(f"`{path}`: the entries differ from their hashes in `tile/0`")


class Publication:
    """One step of a ledger's growth, from what `latest` covers on."""

    def __init__(self, ledger: Ledger, latest: Signed) -> None:
        self._ledger, self._old = ledger, latest
        self._edge = published_edge(ledger, latest)

    @property
    def size(self) -> int:
        """Entries in the tree."""
        return self._edge.size

    @property
    def root(self) -> bytes:
        """The tree's root."""
        return self._edge.root()

    def write(self, entries: Sequence[bytes]) -> Publication:
        """Write the tiles that `entries` make, durably, and read them back.

        Raises:
            LedgerError: what was read back is not what was built.
            OSError: the disk refuses.
        """
        written = self._tiles(entries)
        for tile, data in written:
            path = self._ledger.folder / tile.path
            _disk.make_folder(path.parent)
            # crash point: some tiles, or parts of one; their names lie beyond what any checkpoint covers
            _disk.write(path, data)
        for folder in {(self._ledger.folder / tile.path).parent for tile, _ in written}:
            _disk.sync(folder)
        self._read_back()
        return self

    def clear(self) -> None:
        """Remove partial tiles whose full one is published; one that cannot be removed does no harm."""
        for tile in _filled(self._old.size, self._edge.size):
            with suppress(OSError):
                shutil.rmtree(self._ledger.folder / f"{tile.path}.p")

    def _tiles(self, entries: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Grow the tree by `entries`; return the tiles of hashes and of entries that are new."""
        start = self._old.size - self._old.size % WIDTH
        old = Tile(ENTRIES, start // WIDTH, self._old.size % WIDTH)
        waiting = unbundle(self._ledger.tile(old), old.width) if old.width else []
        written: list[tuple[Tile, bytes]] = []
        for data in entries:
            waiting.append(data)
            full = self._edge.append(leaf_hash(data))
            if full:
                written += [(Tile(ENTRIES, full[0][0].index), bundle(waiting)), *full]
                waiting = []
        if waiting:
            last = Tile(ENTRIES, self._edge.size // WIDTH, len(waiting))
            written.append((last, bundle(waiting)))
        same = {tile.path for tile in edge_tiles(self._old.size)}
        return written + [(tile, data) for tile, data in self._edge.partial() if tile.path not in same]

    def _read_back(self) -> None:
        """Recompute the tree from the first bundle that this step touched, by what the disk gives back."""
        start = self._old.size - self._old.size % WIDTH
        again = _read_edge(self._ledger, start, _disk.read_back)
        for index in range(start // WIDTH, (self._edge.size + WIDTH - 1) // WIDTH):
            tile = Tile(ENTRIES, index, min(WIDTH, self._edge.size - index * WIDTH))
            for data in unbundle(_disk.read_back(self._ledger.folder / tile.path, BUNDLE_LIMIT), tile.width):
                for filled, expected in again.append(leaf_hash(data)):
                    self._check(filled, expected)
        for tile, expected in again.partial():
            self._check(tile, expected)
        if again.root() != self._edge.root():
            raise LedgerError(
                f"`{self._ledger.folder}`: got root {again.root().hex()} from what was read back, expected "
                f"{self._edge.root().hex()}; nothing was signed"
            )

    def _check(self, tile: Tile, expected: bytes) -> None:
        path = self._ledger.folder / tile.path
        if _disk.read_back(path, WIDTH * HASH_BYTES) != expected:
            raise LedgerError(f"`{path}`: what was read back is not what the entries make it; nothing was signed")


def _read_edge(ledger: Ledger, size: int, read: Callable[[Path, int], bytes]) -> Edge:
    tiles = {int(t.level): read(ledger.folder / t.path, WIDTH * HASH_BYTES) for t in edge_tiles(size)}
    try:
        return Edge.restored(size, tiles)
    except LedgerError as error:
        raise LedgerError(f"`{ledger.folder / 'tile'}`: {error}") from error


def _filled(old: int, new: int) -> list[Tile]:
    """The tiles that were partial at size `old` and are full at `new`."""
    found = [Tile(tile.level, tile.index) for tile in edge_tiles(old) if new >> 8 * (int(tile.level) + 1) > tile.index]
    return found + [Tile(ENTRIES, tile.index) for tile in found if tile.level == 0]
