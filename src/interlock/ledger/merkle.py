"""Merkle trees over the ledger: hashing of RFC 6962 section 2.1, proofs of RFC 9162 sections 2.1.3 and 2.1.4.

Everything here is about hashes: a tree is the sequence of its leaf hashes. `Frontier` grows a tree and gives its root
after each leaf at logarithmic cost. A proof that verifies says nothing about who stands behind the root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from interlock.errors import LedgerError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root",
    "verify_consistency",
    "verify_inclusion",
]

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

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash: as many merges as the old size has trailing one bits."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def copy(self) -> Frontier:
        """Return an independent copy."""
        other = Frontier()
        other.size, other._roots = self.size, self._roots.copy()
        return other

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
    if not 0 <= index < len(leaves):
        raise LedgerError(f"inclusion proof: got index {index}, expected one in a tree of size {len(leaves)}")
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*inclusion_proof(leaves[:split], index), root(leaves[split:]))
    return (*inclusion_proof(leaves[split:], index - split), root(leaves[:split]))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `leaves` extends its first `old_size` (RFC 9162, section 2.1.4.1).

    Raises:
        LedgerError: `old_size` is zero, or larger than the tree.
    """
    if not 0 < old_size <= len(leaves):
        raise LedgerError(f"consistency proof: got old size {old_size}, expected 1 to {len(leaves)}")
    return _subproof(leaves, old_size, old_root_is_known=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, old_root_is_known: bool) -> tuple[bytes, ...]:
    if old_size == len(leaves):
        return () if old_root_is_known else (root(leaves),)
    split = _split(len(leaves))
    if old_size <= split:
        left = _subproof(leaves[:split], old_size, old_root_is_known=old_root_is_known)
        return (*left, root(leaves[split:]))
    return (*_subproof(leaves[split:], old_size - split, old_root_is_known=False), root(leaves[:split]))


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
