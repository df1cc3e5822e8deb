"""The tree against RFC 6962's definition, written out naively, and against published roots."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Frontier,
    consistency_proof,
    cover,
    extend,
    frontier_of,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots that the implementations of Certificate Transparency share.
INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


class StoredTree:
    """Keeps what the ledger's store keeps: the leaves and the subtrees at multiples of eight levels."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.frontier, completed = extend(Frontier(), leaves)
        self.roots = {(0, index): leaf for index, leaf in enumerate(leaves)}
        self.roots |= {(subtree.level, subtree.index): subtree.root for subtree in completed}

    def subtrees(self, level: int, start: int, count: int) -> list[bytes]:
        return [self.roots[level, index] for index in range(start, start + count)]


def test_published_roots() -> None:
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    for data, root in zip(INPUTS, ROOTS, strict=True):
        frontier = frontier.append(leaf_hash(bytes.fromhex(data)))
        assert frontier.root().hex() == root


@given(st.lists(st.integers(0, 300), max_size=4))
def test_appending_in_any_batches_gives_the_naive_root(batches: list[int]) -> None:
    leaves = some_leaves(sum(batches))
    frontier, at = Frontier(), 0
    for batch in batches:
        frontier, _ = extend(frontier, leaves[at : at + batch])
        at += batch
    assert frontier == Frontier(len(leaves), frontier.nodes)
    assert frontier.root() == naive_root(leaves)


@given(st.integers(1, 1100), st.data())
def test_inclusion_proof_is_the_naive_path_and_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = some_leaves(size)
    tree = StoredTree(leaves)
    proof = inclusion_proof(index, size, tree.subtrees)
    assert list(proof) == naive_path(index, leaves)
    assert verify_inclusion(leaves[index], index, size, proof, tree.frontier.root())


@given(st.integers(2, 600), st.data())
def test_inclusion_proof_shows_nothing_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index))
    leaves = some_leaves(size)
    tree = StoredTree(leaves)
    root = tree.frontier.root()
    proof = inclusion_proof(index, size, tree.subtrees)
    assert not verify_inclusion(leaves[other], index, size, proof, root)
    assert not verify_inclusion(leaves[index], other, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)
    assert not verify_inclusion(leaves[index], index, size, (*proof, root), root)
    assert not verify_inclusion(leaves[index], index, size, proof, leaf_hash(b"another tree"))
    assert not verify_inclusion(leaves[index], index, index, proof, root)


@given(st.integers(1, 1100), st.data())
def test_consistency_proof_verifies_for_a_prefix_only(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    leaves = some_leaves(new)
    tree = StoredTree(leaves)
    before, after = naive_root(leaves[:old]), tree.frontier.root()
    proof = consistency_proof(old, new, tree.subtrees)
    assert verify_consistency(old, new, before, after, proof)
    assert not verify_consistency(old, new, leaf_hash(b"fork"), after, proof)
    assert not verify_consistency(old, new, before, leaf_hash(b"fork"), proof)
    assert not verify_consistency(old, new, before, after, (*proof, after))
    if proof:
        assert not verify_consistency(old, new, before, after, proof[:-1])


def test_everything_is_consistent_with_the_empty_tree() -> None:
    root = naive_root(some_leaves(3))
    assert verify_consistency(0, 3, EMPTY_ROOT, root, ())
    assert not verify_consistency(0, 3, root, root, ())
    assert not verify_consistency(3, 0, root, EMPTY_ROOT, ())


@given(st.integers(0, 1100))
def test_frontier_is_taken_up_from_stored_subtrees(size: int) -> None:
    tree = StoredTree(some_leaves(size))
    assert frontier_of(size, tree.subtrees) == tree.frontier


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_cover_is_exactly_the_range(start: int, length: int) -> None:
    covered = [
        leaf for level, index in cover(start, start + length) for leaf in range(index << level, (index + 1) << level)
    ]
    assert covered == list(range(start, start + length))


def test_tile_is_appended_by_its_root_alone() -> None:
    leaves = some_leaves(3 * TILE_WIDTH)
    frontier = Frontier()
    for tile in range(3):
        frontier = frontier.append_tile(naive_root(leaves[tile * TILE_WIDTH : (tile + 1) * TILE_WIDTH]))
    assert frontier == extend(Frontier(), leaves)[0]


def test_tile_is_refused_off_its_boundary() -> None:
    with pytest.raises(ValueError, match="boundary"):
        Frontier().append(leaf_hash(b"")).append_tile(EMPTY_ROOT)


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-1, 3), (0, 0)])
def test_no_proof_for_a_leaf_outside(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(index, size, StoredTree(some_leaves(3)).subtrees)


_A, _B, _C, _D, _E, _F, _G, _H = (
    bytes.fromhex(each)
    for each in (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    )
)
_EMPTY_LEAF = bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")


def _published(size: int) -> tuple[list[bytes], Frontier]:
    leaves = [leaf_hash(bytes.fromhex(each)) for each in INPUTS]
    return leaves, extend(Frontier(), leaves[:size])[0]


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [(0, 1, ()), (0, 8, (_A, _B, _C)), (5, 8, (_D, _E, _F)), (2, 3, (_G,)), (1, 5, (_EMPTY_LEAF, _B, _D))],
)
def test_published_inclusion_proofs(index: int, size: int, path: tuple[bytes, ...]) -> None:
    """The vectors of the reference implementation of Certificate Transparency (RFC 6962, RFC 9162)."""
    leaves, tree = _published(size)
    assert inclusion_proof(index, size, StoredTree(leaves).subtrees) == path
    assert verify_inclusion(leaves[index], index, size, path, tree.root())


@pytest.mark.parametrize(
    ("old", "new", "path"), [(1, 1, ()), (1, 8, (_A, _B, _C)), (6, 8, (_H, _E, _F)), (2, 5, (_B, _D))]
)
def test_published_consistency_proofs(old: int, new: int, path: tuple[bytes, ...]) -> None:
    leaves, tree = _published(new)
    assert consistency_proof(old, new, StoredTree(leaves).subtrees) == path
    assert verify_consistency(old, new, _published(old)[1].root(), tree.root(), path)
