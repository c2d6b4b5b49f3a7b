"""Merkle trees over the ledger: hashing of RFC 6962 section 2.1, proofs of RFC 9162 sections 2.1.3 and 2.1.4.

Everything here is about hashes: a tree is the sequence of its leaf hashes. `Frontier` grows a tree and gives its root
after each leaf at logarithmic cost. A proof that verifies says nothing about who stands behind the root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from interlock.errors import LedgerError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "Subtree",
    "consistency_path",
    "consistency_proof",
    "inclusion_path",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root",
    "verify_consistency",
    "verify_inclusion",
]

Subtree = Callable[[int, int], bytes]
"""The root over the leaves from the first number up to, and without, the second."""

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash an entry (RFC 6962, section 2.1): the 0x00 in front keeps leaves and nodes apart."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The perfect subtrees of a growing tree, largest first: all that is needed to go on."""

    __slots__ = ("_roots", "size")

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    @classmethod
    def restored(cls, size: int, roots: Iterable[bytes]) -> Frontier:
        """Return the frontier of a tree of `size` whose perfect subtrees have `roots`, largest first.

        Raises:
            LedgerError: not as many roots as `size` has one bits.
        """
        frontier = cls()
        frontier.size, frontier._roots = size, list(roots)
        if len(frontier._roots) != size.bit_count():
            raise LedgerError(f"got {len(frontier._roots)} subtrees, expected {size.bit_count()} at size {size}")
        return frontier

    def append(self, leaf: bytes) -> list[bytes]:
        """Add one leaf hash; return the perfect subtrees that it completes, by height from 0, itself the first."""
        completed, size = [leaf], self.size
        while size & 1:
            completed.append(node_hash(self._roots.pop(), completed[-1]))
            size >>= 1
        self._roots.append(completed[-1])
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the tree so far; of an empty one, the hash of no bytes."""
        if not self._roots:
            return EMPTY_ROOT
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = node_hash(left, node)
        return node


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes (RFC 6962, section 2.1)."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf `index`, nearest sibling first (RFC 9162, section 2.1.3.1).

    Raises:
        LedgerError: `index` is not in the tree.
    """
    return inclusion_path(index, len(leaves), _subtrees_of(leaves))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `leaves` extends its first `old_size` (RFC 9162, section 2.1.4.1).

    Raises:
        LedgerError: `old_size` is zero, or larger than the tree.
    """
    return consistency_path(old_size, len(leaves), _subtrees_of(leaves))


def inclusion_path(index: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """As `inclusion_proof`, in a tree of `size` leaves that only `subtree(first, after)` knows.

    Raises:
        LedgerError: `index` is not in the tree.
    """
    if not 0 <= index < size:
        raise LedgerError(f"inclusion proof: got index {index}, expected one in a tree of size {size}")
    path, first, after = [], 0, size
    while after - first > 1:
        split = first + _split(after - first)
        if index < split:
            path.append(subtree(split, after))
            after = split
        else:
            path.append(subtree(first, split))
            first = split
    return tuple(reversed(path))


def consistency_path(old_size: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """As `consistency_proof`, in a tree of `size` leaves that only `subtree(first, after)` knows.

    Raises:
        LedgerError: `old_size` is zero, or larger than the tree.
    """
    if not 0 < old_size <= size:
        raise LedgerError(f"consistency proof: got old size {old_size}, expected 1 to {size}")
    path, first, after = [], 0, size
    while old_size != after:
        split = first + _split(after - first)
        if old_size <= split:
            path.append(subtree(split, after))
            after = split
        else:
            path.append(subtree(first, split))
            first = split
    if first:  # the old tree's last subtree, which its holder cannot know by itself
        path.append(subtree(first, after))
    return tuple(reversed(path))


def _subtrees_of(leaves: Sequence[bytes]) -> Subtree:
    return lambda first, after: root(leaves[first:after])


def verify_inclusion(leaf: bytes, index: int, *, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` stands at `index` of the tree of `size` with `root` (RFC 9162, section 2.1.3.2).

    Raises:
        LedgerError: it is not shown.
    """
    _check_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        raise LedgerError(f"inclusion proof: got index {index}, expected one in a tree of size {size}")
    node, fn, sn = leaf, index, size - 1
    for sibling in proof:
        if sn == 0:
            raise LedgerError(f"inclusion proof: got {len(proof)} hashes, expected fewer")
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise LedgerError(f"inclusion proof: got {len(proof)} hashes, expected more")
    if node != root:
        raise LedgerError(f"inclusion proof: got root {node.hex()}, expected {root.hex()}")


def verify_consistency(
    old_size: int, new_size: int, *, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `new_size` begins with the tree of `old_size` (RFC 9162, section 2.1.4.2).

    An empty old tree is a prefix of everything and proves nothing: refused, unless the new tree is empty too.

    Raises:
        LedgerError: it is not shown.
    """
    _check_hashes([old_root, new_root, *proof])
    if old_size == new_size:
        _check_same_tree(old_size, old_root=old_root, new_root=new_root, proof=proof)
        return
    if not 0 < old_size < new_size:
        raise LedgerError(f"consistency proof: got sizes {old_size} and {new_size}, expected 0 < old <= new")
    got_old, got_new = _chained_roots(old_size, new_size, old_root=old_root, proof=proof)
    if got_old != old_root:
        raise LedgerError(f"consistency proof: got old root {got_old.hex()}, expected {old_root.hex()}")
    if got_new != new_root:
        raise LedgerError(f"consistency proof: got new root {got_new.hex()}, expected {new_root.hex()}")


def _chained_roots(old_size: int, new_size: int, *, old_root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the two roots that `proof` leads to (steps 2 to 6 of RFC 9162, section 2.1.4.2)."""
    if not proof:
        raise LedgerError("consistency proof: got no hashes, expected some between different sizes")
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for node in path[1:]:
        if sn == 0:
            raise LedgerError(f"consistency proof: got {len(proof)} hashes, expected fewer")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(node, fr), node_hash(node, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, node)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise LedgerError(f"consistency proof: got {len(proof)} hashes, expected more")
    return fr, sr


def _check_same_tree(size: int, *, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if size < 0 or proof:
        raise LedgerError(f"consistency proof: got {len(proof)} hashes at equal sizes {size}, expected none")
    if old_root != new_root:
        raise LedgerError(f"consistency proof: got root {new_root.hex()}, expected {old_root.hex()} at size {size}")
    if size == 0 and new_root != EMPTY_ROOT:
        raise LedgerError(f"consistency proof: got root {new_root.hex()} at size 0, expected {EMPTY_ROOT.hex()}")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise LedgerError(f"got a hash of {len(value)} bytes, expected {HASH_BYTES}")


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
