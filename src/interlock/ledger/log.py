"""The ledger as a folder that anyone can read: tiles, signed checkpoints, and nothing that needs a server or a lock.

    checkpoint     the latest signed checkpoint, cosigned again at a later time by `Writer.refresh`
    history        the checkpoint that first covered each entry, oldest first: what gives every entry its ledger time
    tile/          hashes and entries, 256 a file (c2sp.org/tlog-tiles)
    payload/       entries too long for a tile, by SHA-256
    lock           empty; held by readers for a moment, and by the one who publishes
    sequencer/     the writers' own (interlock.ledger.writer); no reader opens it

Guarantees: `read` and `verify` recompute the tree from the entries' bytes, hold it against every checkpoint in the
history and against the latest, and refuse whatever differs, is missing or goes back in time. They write nothing.

Leaves to the caller: what entries mean, and noticing a folder that was put back as a whole to an earlier state; that
takes a witness, or a checkpoint kept elsewhere (interlock.ledger.monitor).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from interlock.errors import LedgerError, UsageError
from interlock.evidence.keys import PublicKey
from interlock.ledger import _disk
from interlock.ledger._signed import NOTE_LIMIT, Log, Signed, utc
from interlock.ledger.entry import ENTRY_LIMIT, PAYLOAD_LIMIT, Entry, resolve
from interlock.ledger.merkle import HASH_BYTES, leaf_hash
from interlock.ledger.seal import Seal
from interlock.ledger.tiles import BUNDLE_LIMIT, ENTRIES, WIDTH, Edge, Tile, edge_tiles, hashes, unbundle

__all__ = ["ENTRY_LIMIT", "PAYLOAD_LIMIT", "Entry", "Ledger", "LedgerView", "Verified"]

_UNFINISHED = "the next append or refresh settles what a crash left unfinished"
_KNOWN = {"checkpoint", "checkpoint.tmp", "history", "tile", "payload", "lock", "sequencer"}


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A verified ledger: every entry, the latest checkpoint's size, root and time (UTC), and that checkpoint's text.

    `seal` is what closed the ledger, if it is closed: its last entry then, which is no statement.
    """

    entries: tuple[Entry, ...]
    size: int
    root: bytes
    time: datetime
    origin: str
    note: str
    seal: Seal | None = None

    @property
    def statements(self) -> tuple[Entry, ...]:
        """The entries, without the seal."""
        return self.entries[:-1] if self.seal else self.entries


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found: the latest checkpoint, how many checkpoints stand in the history, and the seal.

    `note` is that checkpoint as it stands on disk, with the lines of others.
    """

    size: int
    root: bytes
    time: datetime
    checkpoints: int
    seal: Seal | None
    note: bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger in `folder`, named `origin`, whose checkpoints the holder of `key` signs and cosigns."""

    folder: Path
    key: PublicKey
    origin: str

    @classmethod
    def open(cls, folder: Path, vkey: PublicKey, origin: str) -> Ledger:
        """Name a ledger for reading; nothing is verified before `read` or `verify`.

        Raises:
            UsageError: there is no such folder.
        """
        if not folder.is_dir():
            raise UsageError(f"`{folder}`: no folder there, expected a ledger")
        return cls(folder, vkey, origin)

    @property
    def log(self) -> Log:
        """Whose checkpoints count here."""
        return Log(self.origin, self.key)

    def read(self) -> LedgerView:
        """Verify everything that is needed to rely on the entries, and return them.

        Raises:
            LedgerError: a file differs or is missing; names it, with got and expected.
        """
        entries: list[Entry] = []

        def take(index: int, data: bytes, time: int) -> None:
            entries.append(Entry(index, resolve(self.folder, index, data), utc(time)))

        replay = _Replay(self)
        replay.run(take)
        latest = replay.latest
        return LedgerView(
            entries=tuple(entries),
            size=latest.size,
            root=latest.root,
            time=utc(latest.time),
            origin=self.origin,
            note=latest.data.decode("utf-8"),
            seal=replay.seal,
        )

    def verify(self, progress: Callable[[int, int], None] = lambda *_: None) -> Verified:
        """Recompute everything, one bundle at a time: memory does not grow with the ledger.

        Besides what `read` checks, no file may lie beside those of the ledger, and what is left of tiles that were
        partial once must be a beginning of what stands there now. `progress` is told entries done and in all.

        Raises:
            LedgerError: as for `read`.
        """
        self._check_layout()
        replay = _Replay(self)

        def take(index: int, data: bytes, time: int) -> None:  # noqa: ARG001  a payload is checked, and let go
            resolve(self.folder, index, data)
            if index % WIDTH == 0:
                progress(index, replay.latest.size)

        replay.run(take)
        self._check_leftovers(replay.latest.size)
        progress(replay.latest.size, replay.latest.size)
        latest = replay.latest
        return Verified(latest.size, latest.root, utc(latest.time), replay.checkpoints, replay.seal, latest.data)

    def latest(self) -> Signed:
        """Return the latest checkpoint, its two signatures verified, and nothing else.

        Raises:
            LedgerError: it is missing, or not the log's.
        """
        path = self.folder / "checkpoint"
        return self.log.read(_disk.read(path, NOTE_LIMIT), f"`{path}`")

    def tile(self, tile: Tile, limit: int = BUNDLE_LIMIT) -> bytes:
        """Return a tile's bytes, not yet verified.

        Raises:
            LedgerError: it is missing, or too long.
        """
        return _disk.read(self.folder / tile.path, limit)

    def _check_layout(self) -> None:
        with _disk.refusing(self.folder):
            names = {path.name for path in self.folder.iterdir()}
        for name in sorted(names - _KNOWN):
            raise LedgerError(f"`{self.folder / name}`: got an unknown file or folder, expected none")

    def _check_leftovers(self, size: int) -> None:
        """Check every file under `tile/`: it is one of the tree, the beginning of one, or not covered yet."""
        known = {self.folder / tile.path: tile for tile in _all_edges(size)}
        for folder, _, names in os.walk(self.folder / "tile"):
            for name in names:
                path = Path(folder, name)
                if path not in known:
                    self._check_leftover(path, size)

    def _check_leftover(self, path: Path, size: int) -> None:
        tile = parse_path(str(path.relative_to(self.folder)))
        if tile is None:
            raise LedgerError(f"`{path}`: got an unknown file, expected none")
        per_tile = WIDTH if tile.level == ENTRIES else WIDTH ** (int(tile.level) + 1)
        full, items = size // per_tile, (size % per_tile) // (per_tile // WIDTH)
        if tile.index < full and tile.width == WIDTH:
            return  # replayed
        width = WIDTH if tile.index < full else items if tile.index == full else 0
        if tile.width > width:
            return  # left by a publication that did not finish: no checkpoint covers it, nobody reads it
        now = Tile(tile.level, tile.index, width)
        if not self.tile(now).startswith(self.tile(tile)):
            raise LedgerError(f"`{path}`: got other bytes than `{now.path}` begins with")


class _Replay:
    """One pass over a ledger: its checkpoint and right edge at one moment, then every entry in order."""

    def __init__(self, ledger: Ledger) -> None:
        """Take what changes while others write, under the lock; full tiles and the history's bytes never do."""
        self.ledger, self.checkpoints = ledger, 0
        self.seal: Seal | None = None
        self.edge = Edge()
        with _disk.locked_shared(ledger.folder / "lock"):
            self.latest = ledger.latest()
            self._history = _disk.open_plain(ledger.folder / "history")
            self._length = os.fstat(self._history).st_size
            try:
                self._partial = {tile: ledger.tile(tile) for tile in _all_edges(self.latest.size)}
            except LedgerError:
                os.close(self._history)
                raise

    def run(self, take: Callable[[int, bytes, int], None]) -> None:
        """Give each entry with its time to `take`; nothing given is verified before this returns."""
        entries, last = self._entries(), None
        with os.fdopen(self._history, "rb") as file:
            for signed in self.ledger.log.history(file, self._length, self._where):
                self._check_order(signed, last)
                for index in range(self.edge.size, signed.size):
                    self._take(index, next(entries), signed.time, take)
                self._check_root(signed, last)
                last = signed
                self.checkpoints += 1
        self._check_last(last)
        for tile, expected in self.edge.partial():
            self._check_tile(tile, expected)

    @property
    def _where(self) -> str:
        return f"`{self.ledger.folder / 'history'}`"

    def _entries(self) -> Iterator[bytes]:
        """Every entry's bytes as logged, in order, not yet verified."""
        size = self.latest.size
        for index in range((size + WIDTH - 1) // WIDTH):
            tile = Tile(ENTRIES, index, min(WIDTH, size - index * WIDTH))
            data = self._partial[tile] if tile in self._partial else self.ledger.tile(tile)
            try:
                yield from unbundle(data, tile.width)
            except LedgerError as error:
                raise LedgerError(f"`{self.ledger.folder / tile.path}`: {error}") from error

    def _take(self, index: int, data: bytes, time: int, take: Callable[[int, bytes, int], None]) -> None:
        if self.seal is not None:
            raise LedgerError(f"entry {index}: got an entry after the seal of entry {index - 1}, expected none")
        for tile, expected in self.edge.append(leaf_hash(data)):
            self._check_tile(tile, expected)
        self.seal = Seal.read(data, origin=self.ledger.origin, key=self.ledger.key, index=index)
        take(index, data, time)

    def _check_tile(self, tile: Tile, expected: bytes) -> None:
        got = self._partial[tile] if tile in self._partial else self.ledger.tile(tile, WIDTH * HASH_BYTES)
        if got == expected:
            return
        path, shared = self.ledger.folder / tile.path, min(len(got), len(expected)) // HASH_BYTES
        pairs = zip(hashes(got), hashes(expected), strict=False)
        first = next((n for n, (a, b) in enumerate(pairs) if a != b), shared)
        what = f"entry {tile.index * WIDTH + first}" if tile.level == 0 else f"hash {first}"
        raise LedgerError(
            f"`{path}`: {what} differs from what the entries make it: got {len(got)} bytes with "
            f"{got[first * HASH_BYTES :][:HASH_BYTES].hex() or 'none'} there, expected "
            f"{expected[first * HASH_BYTES :][:HASH_BYTES].hex() or 'none'}"
        )

    def _check_order(self, signed: Signed, last: Signed | None) -> None:
        if last is None and signed.size:
            raise LedgerError(f"{self._where}: got size {signed.size} first, expected 0")
        if last is not None and signed.size <= last.size:
            raise LedgerError(f"{self._where}: got size {signed.size} after {last.size}, expected a larger one")
        if last is not None and signed.time < last.time:
            raise LedgerError(
                f"{self._where}: got time {utc(signed.time)} at size {signed.size}, expected {utc(last.time)} or later"
            )
        if signed.size > self.latest.size:
            raise LedgerError(
                f"`{self.ledger.folder / 'checkpoint'}`: got size {self.latest.size}, expected {signed.size} by "
                f"`history`: it was put back, or {_UNFINISHED}"
            )

    def _check_root(self, signed: Signed, last: Signed | None) -> None:
        if signed.root != self.edge.root():
            first = last.size if last is not None else 0
            for tile, expected in self.edge.partial() if signed.size == self.latest.size else ():
                self._check_tile(tile, expected)  # which names the entry
            raise LedgerError(
                f"entries {first} to {signed.size - 1}: got root {self.edge.root().hex()}, expected "
                f"{signed.root.hex()} by the checkpoint of size {signed.size} in `history`"
            )

    def _check_last(self, last: Signed | None) -> None:
        """Check `checkpoint` against the last of the history: the same tree, no earlier."""
        path = self.ledger.folder / "checkpoint"
        if last is None or last.size != self.latest.size:
            got = last.size if last is not None else "nothing"
            raise LedgerError(f"{self._where}: ends at size {got}, expected {self.latest.size} by `checkpoint`")
        if last.root != self.latest.root:
            raise LedgerError(f"`{path}`: got root {self.latest.root.hex()}, expected {last.root.hex()} by `history`")
        if self.latest.time < last.time:
            raise LedgerError(f"`{path}`: got time {utc(self.latest.time)}, expected {utc(last.time)} or later")


def _all_edges(size: int) -> Iterator[Tile]:
    """The partial tiles of hashes, and that of entries."""
    yield from edge_tiles(size)
    if size % WIDTH:
        yield Tile(ENTRIES, size // WIDTH, size % WIDTH)


def parse_path(name: str) -> Tile | None:
    """Read a tile's path back; None if it is no tile's."""
    try:
        _, level, *parts = name.split("/")
        width = int(parts.pop()) if parts[-2:-1] and parts[-2].endswith(".p") else WIDTH
        index = int("".join(part.removeprefix("x").removesuffix(".p") for part in parts))
        tile = Tile(level if level == ENTRIES else int(level), index, width)
    except (ValueError, IndexError):
        return None
    in_range = 0 < width <= WIDTH and index >= 0 and (level == ENTRIES or 0 <= int(level) < 64)
    return tile if in_range and tile.path == name else None
