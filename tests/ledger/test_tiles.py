from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.errors import LedgerError
from interlock.ledger import merkle
from interlock.ledger.log import parse_path
from interlock.ledger.note import Checkpoint, Note, NoteKey, verify_signature
from interlock.ledger.tiles import ENTRIES, WIDTH, Edge, Tile, bundle, edge_tiles, hashes, unbundle

VECTORS = Path(__file__).parents[1] / "vectors/tlog-tiles"
TESSERA = json.loads((VECTORS / "log-info.json").read_text())
LEAVES = [item.encode() for item in TESSERA["leaves"]]


def grown(size: int) -> tuple[Edge, dict[str, bytes]]:
    """The edge of a tree of so many leaves, and every full tile that it left behind."""
    edge, full = Edge(), {}
    for n in range(size):
        full |= {tile.path: data for tile, data in edge.append(merkle.leaf_hash(b"%d" % n))}
    return edge, full


# A log that Go Tessera wrote


@pytest.mark.parametrize("size", range(16))
def test_every_size_of_a_log_by_tessera_is_read(size):
    note = Note.parse((VECTORS / f"checkpoint.{size}").read_bytes())
    verify_signature(note, NoteKey.parse(TESSERA["vkey"]))
    tiles = {int(tile.level): (VECTORS / tile.path).read_bytes() for tile in edge_tiles(size)}
    edge = Edge.restored(size, tiles)
    assert Checkpoint.parse(note.text) == Checkpoint(TESSERA["origin"], size, edge.root())
    if size:
        entries = unbundle((VECTORS / Tile(ENTRIES, 0, size).path).read_bytes(), size)
        assert entries == LEAVES[:size]
        assert b"".join(map(merkle.leaf_hash, entries)) == tiles[0]


@pytest.mark.parametrize("size", range(1, 16))
def test_the_same_leaves_make_the_same_tiles_and_checkpoint_as_tessera_s(size):
    edge = Edge()
    for leaf in LEAVES[:size]:
        assert edge.append(merkle.leaf_hash(leaf)) == []
    assert [(tile.path, data) for tile, data in edge.partial()] == [
        (f"tile/0/000.p/{size}", (VECTORS / f"tile/0/000.p/{size}").read_bytes())
    ]
    assert bundle(LEAVES[:size]) == (VECTORS / f"tile/entries/000.p/{size}").read_bytes()
    theirs = (VECTORS / f"checkpoint.{size}").read_bytes()
    assert theirs.startswith(Checkpoint(TESSERA["origin"], size, edge.root()).text.encode() + b"\n")


# Names


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),  # the specification's example
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(2, 1000), "tile/2/x001/000"),
        (Tile(ENTRIES, 999, 1), "tile/entries/999.p/1"),
    ],
)
def test_a_tile_has_its_path_and_the_path_its_tile(tile, path):
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    ["tile/0/0", "tile/0/001/000", "tile/x/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
     "tile/0", "tile", "tile/0/x000/000", "tile/00/000", "tile/0/000.p", "tile/0/abc", "tile/-1/000"],
)  # fmt: skip
def test_another_path_is_no_tile_s(path):
    assert parse_path(path) is None


def test_the_specification_s_example_of_70_000_entries():
    assert [(t.level, t.index, t.width) for t in edge_tiles(70_000)] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert [(t.level, t.index, t.width) for t in edge_tiles(256)] == [(1, 0, 1)]
    assert list(edge_tiles(0)) == []


# Growth


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537])
def test_a_tree_grows_into_the_tiles_of_the_definition(size):
    edge, full = grown(size)
    leaves = [merkle.leaf_hash(b"%d" % n) for n in range(size)]
    level, expected = leaves, {}
    for number in range(3):
        expected |= {
            Tile(number, at // WIDTH, min(WIDTH, len(level) - at)).path: b"".join(level[at : at + WIDTH])
            for at in range(0, len(level), WIDTH)
        }
        level = [merkle.root(level[at : at + WIDTH]) for at in range(0, len(level) - WIDTH + 1, WIDTH)]
    assert full | {tile.path: data for tile, data in edge.partial()} == expected
    assert edge.root() == merkle.root(leaves)


@given(st.integers(0, 1100))
@example(65_535)
@example(65_536)
@example(65_537)
def test_law_an_edge_is_taken_up_from_its_tiles(size):
    edge, _ = grown(size)
    again = Edge.restored(size, {int(tile.level): data for tile, data in edge.partial()})
    assert (again.size, again.root()) == (size, edge.root())
    assert again.append(merkle.leaf_hash(b"next")) == edge.append(merkle.leaf_hash(b"next"))
    assert (again.root(), again.partial()) == (edge.root(), edge.partial())


def test_an_edge_is_not_taken_up_from_tiles_of_another_size():
    tiles = {int(tile.level): data for tile, data in grown(300)[0].partial()}
    for size in (299, 301, 44, 0x10000 + 300):
        with pytest.raises(LedgerError, match="got a tile of"):
            Edge.restored(size, tiles)


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_law_a_bundle_is_read_back(entries):
    data = bundle(entries)
    assert unbundle(data, len(entries)) == entries
    for width in (len(entries) - 1, len(entries) + 1):
        if width >= 0 and (width or data):
            with pytest.raises(LedgerError, match="entries in"):
                unbundle(data, width)


@pytest.mark.parametrize("data", [b"\0", b"\0\5abc", b"\0\1a\0", b"\0\1ab"])
def test_a_bundle_that_is_cut_or_goes_on_is_refused(data):
    with pytest.raises(LedgerError, match="entries in"):
        unbundle(data, 1)


def test_a_tile_is_its_hashes():
    edge, _ = grown(5)
    assert hashes(edge.levels[0]) == [merkle.leaf_hash(b"%d" % n) for n in range(5)]
