from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import LedgerError
from interlock.ledger import merkle

VECTORS = Path(__file__).parents[1] / "vectors/rfc6962"
INCLUSION = json.loads((VECTORS / "inclusion.json").read_text())
CONSISTENCY = json.loads((VECTORS / "consistency.json").read_text())
TREE = json.loads((VECTORS / "tree8.json").read_text())

# Upstream accepts equal roots of any length here; a root that is not 32 bytes is refused at every size.
STRICTER = {"testdata/consistency/additional/sizes-are-equal-one-and-proof-is-empty.json"}

leaf_lists = st.integers(1, 40).map(lambda n: [merkle.leaf_hash(b"%d" % i) for i in range(n)])


def hashes(encoded: list[str] | None) -> list[bytes]:
    return [base64.b64decode(item) for item in encoded or []]


def reference_root(leaves: list[bytes]) -> bytes:
    """The recursive definition of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + reference_root(leaves[:k]) + reference_root(leaves[k:])).digest()


def is_included(leaf, index, size, proof, root) -> bool:
    try:
        merkle.verify_inclusion(leaf, index, size=size, proof=proof, root=root)
    except LedgerError:
        return False
    return True


def is_consistent(old_size, new_size, old_root, new_root, proof) -> bool:
    try:
        merkle.verify_consistency(old_size, new_size, old_root=old_root, new_root=new_root, proof=proof)
    except LedgerError:
        return False
    return True


@pytest.mark.parametrize("case", INCLUSION, ids=lambda case: case["file"].removeprefix("testdata/"))
def test_published_inclusion_proof(case):
    (leaf,), (root,) = hashes([case["leafHash"]]), hashes([case["root"]])
    got = is_included(leaf, case["leafIdx"], case["treeSize"], hashes(case["proof"]), root)
    assert got is not case["wantErr"]


@pytest.mark.parametrize("case", CONSISTENCY, ids=lambda case: case["file"].removeprefix("testdata/"))
def test_published_consistency_proof(case):
    old, new = hashes([case["root1"], case["root2"]])
    got = is_consistent(case["size1"], case["size2"], old, new, hashes(case["proof"]))
    assert got is (not case["wantErr"] and case["file"] not in STRICTER)


def test_the_reference_tree_has_its_published_roots():
    leaves = [merkle.leaf_hash(bytes.fromhex(item)) for item in TREE["leaf_inputs_hex"]]
    assert [leaf.hex() for leaf in leaves] == TREE["leaf_hash_hex"]
    assert [merkle.root(leaves[:n]).hex() for n in range(9)] == TREE["root_hex_by_size"]


@given(leaf_lists)
def test_law_the_growing_tree_has_the_root_of_the_definition(leaves):
    frontier = merkle.Frontier()
    for size, leaf in enumerate(leaves, start=1):
        completed = frontier.append(leaf)
        assert (frontier.size, frontier.root()) == (size, reference_root(leaves[:size]))
        assert completed == [reference_root(leaves[size - (1 << h) : size]) for h in range(len(completed))]
        assert size % (1 << len(completed)) != 0 == size % (1 << (len(completed) - 1))


@given(leaf_lists)
def test_law_a_frontier_is_taken_up_from_its_perfect_subtrees(leaves):
    at, roots = 0, []
    for height in reversed(range(len(leaves).bit_length())):
        if len(leaves) >> height & 1:
            roots.append(reference_root(leaves[at : at + (1 << height)]))
            at += 1 << height
    frontier = merkle.Frontier.restored(len(leaves), roots)
    assert frontier.root() == reference_root(leaves)
    frontier.append(leaves[0])
    assert frontier.root() == reference_root([*leaves, leaves[0]])
    with pytest.raises(LedgerError, match="subtrees, expected"):
        merkle.Frontier.restored(len(leaves), roots[1:])


@given(leaf_lists, st.data())
def test_law_an_inclusion_proof_shows_its_leaf_at_its_place_only(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.integers(0, len(leaves) - 1).filter(lambda i: i != index)) if len(leaves) > 1 else None
    proof, root = merkle.inclusion_proof(leaves, index), merkle.root(leaves)
    assert is_included(leaves[index], index, len(leaves), proof, root)
    assert not is_included(leaves[index], index, len(leaves), [*proof, root], root)
    assert not is_included(merkle.leaf_hash(b"other"), index, len(leaves), proof, root)
    if other is not None:
        assert not is_included(leaves[index], other, len(leaves), proof, root)
        assert not is_included(leaves[index], index, len(leaves), proof[:-1], root)


@given(leaf_lists, st.data())
def test_law_a_consistency_proof_shows_a_prefix_only(leaves, data):
    old = data.draw(st.integers(1, len(leaves)))
    proof = merkle.consistency_proof(leaves, old)
    old_root, new_root = merkle.root(leaves[:old]), merkle.root(leaves)
    assert is_consistent(old, len(leaves), old_root, new_root, proof)
    assert not is_consistent(old, len(leaves), merkle.leaf_hash(b"other"), new_root, proof)
    assert not is_consistent(old, len(leaves), old_root, merkle.leaf_hash(b"other"), proof)
    assert not is_consistent(old, len(leaves), old_root, new_root, [*proof, new_root])
    if proof:
        assert not is_consistent(old, len(leaves), old_root, new_root, proof[:-1])


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_for_a_leaf_outside_the_tree(index):
    leaves = [merkle.leaf_hash(b"x")] * 3
    with pytest.raises(LedgerError, match="size 3"):
        merkle.inclusion_proof(leaves, index)


@pytest.mark.parametrize("old_size", [-1, 0, 4])
def test_there_is_no_consistency_with_nothing_or_with_more(old_size):
    leaves = [merkle.leaf_hash(b"x")] * 3
    with pytest.raises(LedgerError, match="expected 1 to 3"):
        merkle.consistency_proof(leaves, old_size)


def test_an_empty_tree_agrees_with_itself_only():
    assert is_consistent(0, 0, merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, [])
    other = merkle.leaf_hash(b"x")
    assert not is_consistent(0, 0, other, other, [])
    assert not is_consistent(0, 1, merkle.EMPTY_ROOT, other, [])
    assert not is_consistent(0, 0, b"", b"", [])
    assert not is_consistent(-1, -1, other, other, [])
