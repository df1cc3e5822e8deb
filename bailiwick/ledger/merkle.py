"""The RFC 6962 Merkle tree: hashes, appending, proofs and their verification. Bytes and ints only.

A *subtree* (level, index) is the perfect tree over the leaves `index << level` up to `(index + 1) << level`; level 0
is a leaf. Proofs are made from a function that gives the roots of subtrees, so that the caller chooses what to store:
`frontier.extend` hands out the subtrees at every eighth level, from which any proof needs some hundred hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

Subtrees = Callable[[int, int, int], Sequence[bytes]]
"""`(level, start, count)` → the roots of `count` subtrees of that level from index `start` on.

Only asked for levels that are multiples of `TILE_HEIGHT`, and only for perfect subtrees."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Subtree:
    """The root of one perfect subtree."""

    level: int
    index: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree reduced to what appending needs: the roots of its largest perfect subtrees, left to right."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """Return the root hash of the tree."""
        return fold(self.nodes) if self.nodes else EMPTY_ROOT

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier after one more leaf hash."""
        return extend(self, (leaf,))[0]

    def append_tile(self, root: bytes) -> Frontier:
        """Return the frontier after `TILE_WIDTH` leaves of which only the subtree's root is known.

        The size must be a multiple of `TILE_WIDTH`; else ValueError.
        """
        if self.size % TILE_WIDTH:
            raise ValueError("a tile can be appended only at a tile's boundary")
        nodes = list(self.nodes)
        _merge(nodes, root, self.size >> TILE_HEIGHT)
        return Frontier(self.size + TILE_WIDTH, tuple(nodes))


def extend(frontier: Frontier, leaves: Iterable[bytes]) -> tuple[Frontier, list[Subtree]]:
    """Append leaf hashes; return the new frontier and the subtrees at multiples of `TILE_HEIGHT` thereby completed."""
    nodes = list(frontier.nodes)
    size = frontier.size
    completed: list[Subtree] = []
    sha256 = hashlib.sha256
    for leaf in leaves:
        node, index, level = leaf, size, 0
        while index & 1:
            node = sha256(b"\x01" + nodes.pop() + node).digest()
            index >>= 1
            level += 1
            if not level % TILE_HEIGHT:
                completed.append(Subtree(level, index, node))
        nodes.append(node)
        size += 1
    return Frontier(size, tuple(nodes)), completed


def _merge(nodes: list[bytes], node: bytes, index: int) -> None:
    while index & 1:
        node = node_hash(nodes.pop(), node)
        index >>= 1
    nodes.append(node)


def fold(nodes: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees of falling size, left to right. At least one."""
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of sibling hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def tile_root(hashes: bytes) -> bytes:
    """Return the same over hashes that stand one behind the other; at least two."""
    sha256 = hashlib.sha256
    row = [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)]
    while len(row) > 1:
        row = [sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
    return row[0]


def cover(start: int, end: int) -> list[tuple[int, int]]:
    """Return the largest perfect subtrees (level, index) that together are the leaves `start` … `end` - 1."""
    parts: list[tuple[int, int]] = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        parts.append((level, start >> level))
        start += 1 << level
    return parts


def _root_at(level: int, index: int, subtrees: Subtrees) -> bytes:
    rest = level % TILE_HEIGHT
    return subtree_root(subtrees(level - rest, index << rest, 1 << rest))


def range_root(start: int, end: int, subtrees: Subtrees) -> bytes:
    """Return RFC 6962's `MTH(D[start:end])` for a range that occurs in the tree's recursion."""
    parts = cover(start, end)
    return fold([_root_at(level, index, subtrees) for level, index in parts]) if parts else EMPTY_ROOT


def frontier_of(size: int, subtrees: Subtrees) -> Frontier:
    """Return the frontier of a stored tree."""
    return Frontier(size, tuple(_root_at(level, index, subtrees) for level, index in cover(0, size)))


def _split(count: int) -> int:
    """Return the largest power of two below `count` (at least 2)."""
    return 1 << (count - 1).bit_length() - 1


def inclusion_proof(index: int, size: int, subtrees: Subtrees) -> tuple[bytes, ...]:
    """Return RFC 6962's `PATH(index, D[0:size])`, from the leaf upward. ValueError unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(middle, end, subtrees))
            end = middle
        else:
            path.append(range_root(start, middle, subtrees))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old: int, new: int, subtrees: Subtrees) -> tuple[bytes, ...]:
    """Return RFC 6962's `PROOF(old, D[0:new])`. ValueError unless 0 < old <= new."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    start, end, whole = 0, new, True
    path: list[bytes] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_root(middle, end, subtrees))
            end = middle
        else:
            path.append(range_root(start, middle, subtrees))
            start, whole = middle, False
    if not whole:
        path.append(range_root(start, end, subtrees))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the proof shows that `leaf` (a leaf hash) is entry `index` of the tree. RFC 9162 §2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the tree of `old` leaves is a prefix of that of `new`; an empty one is. RFC 9162 §2.1.4.2."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == new_root
