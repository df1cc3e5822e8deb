"""The first pass of a verification: every row by itself, and which leaf of the tree it is.

A row's bytes say which record it is (`seq`); they are trusted over the row's number when the two differ, because the
hashes can confirm them. So a row moved elsewhere is found at home, and only what is nowhere counts as removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

import orjson

from bailiwick.ledger.encode import read
from bailiwick.ledger.facts import actions_of, joined_facts
from bailiwick.ledger.merkle import TILE_WIDTH, leaf_hash, tile_root
from bailiwick.ledger.report import Finding, ranges, span
from bailiwick.model.record import JsonValue

HASH = 32
STRETCH = 4 * TILE_WIDTH
"""Rows that are looked at together: where each is as it should be, that is told sooner of all than of each."""


class Row(NamedTuple):
    """A stored record as the file has it. `facts` and `actions` are None where the index has no row for it.

    `facts` are the members in the index, joined as `joined_facts` does.
    """

    seq: int
    hash: bytes
    body: bytes
    facts: bytes | None = None
    actions: tuple[str, ...] | None = None


class Stretch(NamedTuple):
    """Rows that follow each other, each of them as it should be as far as a row shows by itself. By `stretch_of`."""

    first: int
    hashes: bytes
    """Of the bytes of each record, one behind the other."""
    roots: tuple[bytes, ...]
    """Of the tiles that are whole in it, in their order."""
    facts: int
    accesses: int
    """Rows of the search index, and actions in it."""


@dataclass(slots=True)
class Leaves:
    """The leaf hashes of a log of `limit` records, as the rows give them. 33 bytes a record."""

    limit: int
    computed: bytearray = field(default_factory=bytearray)
    """Hash of the bytes of each record."""
    present: bytearray = field(default_factory=bytearray)
    given: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """The stored hash, where it differs from that of the bytes."""
    rivals: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Hash of the bytes of a second row that claims to be the same record."""
    split: set[int] = field(default_factory=set[int])
    """Tiles with an entry in `given` or `rivals`."""
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Roots of tiles by the bytes of their records, where they are known and the tile is not in `split`."""
    rows: int = 0
    facts: int = 0
    accesses: int = 0
    """Rows of the search index and actions in it that belong to these rows."""
    changed: list[int] = field(default_factory=list[int])
    unreadable: list[int] = field(default_factory=list[int])
    misindexed: list[int] = field(default_factory=list[int])
    moved: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """(row, record that it holds) where they differ."""
    doubled: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """(row, record) where another row holds the same record."""
    beyond: list[int] = field(default_factory=list[int])
    """Rows after the last record that was signed."""
    emptied: list[int] = field(default_factory=list[int])
    """Rows without content, which no record says was pruned."""
    pruned: int = 0
    """Rows without content that was pruned."""

    def __post_init__(self) -> None:
        self.computed = bytearray(self.limit * HASH)
        self.present = bytearray(self.limit)

    def by_bytes(self, start: int, end: int) -> list[bytes] | None:
        """Return the hashes of the bytes from `start` to before `end`; None if a record is missing."""
        if self.present.find(0, start, end) >= 0:
            return None
        return [bytes(self.computed[at : at + HASH]) for at in range(start * HASH, end * HASH, HASH)]

    def by_hashes(self, start: int, end: int) -> list[bytes] | None:
        """Return the stored hashes likewise."""
        leaves = self.by_bytes(start, end)
        return leaves and [self.given.get(seq, leaf) for seq, leaf in enumerate(leaves, start)]

    def by_rivals(self, start: int, end: int) -> list[bytes] | None:
        """Return the hashes of the bytes, of the second row where there are two."""
        leaves = self.by_bytes(start, end)
        return leaves and [self.rivals.get(seq, leaf) for seq, leaf in enumerate(leaves, start)]

    def ambiguous(self, tile: int) -> bool:
        """Tell whether the three differ in that tile."""
        return tile in self.split

    def root(self, start: int, end: int) -> bytes | None:
        """Return the root over the bytes from `start` to before `end`, if it is that of a tile and known already."""
        return self.roots.get(start // TILE_WIDTH) if end - start == TILE_WIDTH else None

    def missing(self) -> list[tuple[int, int]]:
        """Return the records that no row holds, as runs."""
        if self.present.find(0) < 0:
            return []
        return ranges(seq for seq in range(self.limit) if not self.present[seq])


def stretch_of(rows: Sequence[Row], indexed: int) -> Stretch | None:
    """Return rows as a stretch, `indexed` being as for `place`; None unless each of them is as it should be.

    The order of what is asked of a row is `_place`'s, which says what is wrong with it. At least one row.
    """
    first = rows[0].seq
    hashes: list[bytes] = []
    facts = accesses = 0
    try:
        for expected, (seq, digest, body, members, actions) in enumerate(rows, first):
            document: Mapping[str, JsonValue] = orjson.loads(body)
            claimed = document["seq"]
            if seq != expected or claimed != seq or type(claimed) is not int:
                return None
            if sha256(b"\x00" + body).digest() != digest:
                return None
            if members is not None:
                if members != joined_facts(document) or (actions or ()) != actions_of(document):
                    return None
                facts += 1
                accesses += len(actions or ())
            elif seq < indexed:
                return None
            hashes.append(digest)
    except (TypeError, KeyError, orjson.JSONDecodeError, RecursionError):
        return None
    together = b"".join(hashes)
    whole = range(-first % TILE_WIDTH, len(hashes) - TILE_WIDTH + 1, TILE_WIDTH)
    roots = tuple(tile_root(together[at * HASH : (at + TILE_WIDTH) * HASH]) for at in whole)
    return Stretch(first, together, roots, facts, accesses) if first >= 0 else None


def place(rows: Iterable[Row | Stretch], limit: int, indexed: int, pruned: Iterable[tuple[int, int]] = ()) -> Leaves:
    """Check each row by itself and put its hashes in place.

    `indexed`: records below it must be in the index. `pruned`: records (first, last) that may be hashes only.
    """
    leaves = Leaves(limit)
    bare = bytearray(limit)
    for first, last in pruned:
        bare[first : last + 1] = b"\1" * (min(last + 1, limit) - min(first, limit))
    held: list[Row] = []
    for each in rows:
        if isinstance(each, Row):
            held.append(each)
            if len(held) < STRETCH:
                continue
        _place_all(leaves, held, indexed, bare)
        held = []
        if isinstance(each, Stretch):
            _place_stretch(leaves, each)
    _place_all(leaves, held, indexed, bare)
    return leaves


def _place_all(leaves: Leaves, rows: Sequence[Row], indexed: int, bare: bytearray) -> None:
    stretch = stretch_of(rows, indexed) if rows else None
    if stretch is not None:
        _place_stretch(leaves, stretch)
        return
    for row in rows:
        leaves.rows += 1
        if row.facts is not None:
            leaves.facts += 1
            leaves.accesses += len(row.actions or ())
        if not row.body and 0 <= row.seq < leaves.limit and bare[row.seq]:
            _place_pruned(leaves, row)
        else:
            _place(leaves, row, indexed)


def _place_stretch(leaves: Leaves, stretch: Stretch) -> None:
    """The same as `_place` does of each row of it."""
    first, hashes, roots, facts, accesses = stretch
    count = len(hashes) // HASH
    leaves.rows += count
    leaves.facts += facts
    leaves.accesses += accesses
    end = max(first, min(first + count, leaves.limit))
    leaves.beyond += range(end, first + count)
    tile = -(-first // TILE_WIDTH)
    if leaves.present.find(1, first, end) < 0:
        leaves.present[first:end] = b"\1" * (end - first)
        leaves.computed[first * HASH : end * HASH] = hashes[: (end - first) * HASH]
        whole = {at: root for at, root in enumerate(roots, tile) if (at + 1) * TILE_WIDTH <= end}
        leaves.roots.update(whole)
        return
    for seq in range(first, end):
        _place_hash(leaves, seq, seq, hashes[(seq - first) * HASH : (seq - first + 1) * HASH])


def _place_pruned(leaves: Leaves, row: Row) -> None:
    """A row of which the hash is left: whether it is right the tree tells."""
    leaves.pruned += 1
    if row.facts is not None or row.actions:
        leaves.misindexed.append(row.seq)
    if leaves.present[row.seq]:
        leaves.doubled.append((row.seq, row.seq))
        return
    leaves.present[row.seq] = 1
    leaves.computed[row.seq * HASH : (row.seq + 1) * HASH] = row.hash if len(row.hash) == HASH else bytes(HASH)


def _place(leaves: Leaves, row: Row, indexed: int) -> None:
    if not row.body and 0 <= row.seq < leaves.limit:
        leaves.emptied.append(row.seq)
    digest = leaf_hash(row.body)
    document = read(row.body)
    claimed = None if document is None else document.get("seq")
    seq = claimed if type(claimed) is int else row.seq
    if document is None or seq is not claimed:
        leaves.unreadable.append(row.seq)
    if seq != row.seq:
        leaves.moved.append((row.seq, seq))
    elif _misindexed(row, document or {}, indexed):
        leaves.misindexed.append(row.seq)
    if not 0 <= seq < leaves.limit:
        leaves.beyond.append(row.seq)
    elif _place_hash(leaves, row.seq, seq, digest) and digest != row.hash:
        leaves.changed.append(seq)
        leaves.given[seq] = row.hash
        _split(leaves, seq)


def _place_hash(leaves: Leaves, row: int, seq: int, digest: bytes) -> bool:
    """Put a hash in its place; False if that of another row is there."""
    if leaves.present[seq]:
        leaves.doubled.append((row, seq))
        leaves.rivals[seq] = digest
        _split(leaves, seq)
        return False
    leaves.present[seq] = 1
    leaves.computed[seq * HASH : (seq + 1) * HASH] = digest
    return True


def _split(leaves: Leaves, seq: int) -> None:
    leaves.split.add(seq // TILE_WIDTH)
    leaves.roots.pop(seq // TILE_WIDTH, None)


def _misindexed(row: Row, document: Mapping[str, JsonValue], indexed: int) -> bool:
    if row.facts is None:
        return 0 <= row.seq < indexed
    return row.facts != joined_facts(document) or (row.actions or ()) != actions_of(document)


def findings_of(leaves: Leaves) -> list[Finding]:
    """Return what the rows by themselves show."""
    found: list[Finding] = []
    for first, last in ranges(leaves.emptied):
        text = f"{span(first, last)}: the content was removed, and no record of the ledger says that it was pruned"
        found.append(Finding("removed", text, first, last))
    for first, last in ranges(sorted(set(leaves.changed) - set(leaves.emptied))):
        found.append(Finding("changed", f"{span(first, last)}: the bytes do not give the stored hash", first, last))
    for first, last in ranges(
        seq for seq in leaves.unreadable if seq not in leaves.given and seq not in leaves.emptied
    ):
        found.append(Finding("changed", f"{span(first, last)}: the bytes are not a record", first, last))
    for first, last, shift in _shifts(leaves.moved):
        text = f"{_rows(first, last)} in place of {span(first, last)} in fact {_be(first, last)}"
        found.append(Finding("reordered", f"{text} {span(first + shift, last + shift)}", first, last))
    for row, seq in leaves.doubled:
        found.append(Finding("inserted", f"record {seq}: there are two of them, the second in row {row}", seq, row))
    for first, last in ranges(leaves.beyond):
        text = f"{span(first, last)}: inserted after the last record that was signed ({leaves.limit - 1})"
        found.append(Finding("inserted", text, first, last))
    for first, last in ranges(leaves.misindexed):
        found.append(Finding("index", f"{span(first, last)}: the search index does not agree with it", first, last))
    return found


def _shifts(moved: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return runs of consecutive rows that were moved by the same distance: (first row, last row, distance)."""
    runs: list[tuple[int, int, int]] = []
    for row, seq in moved:
        if runs and runs[-1][1] == row - 1 and runs[-1][2] == seq - row:
            runs[-1] = (runs[-1][0], row, seq - row)
        else:
            runs.append((row, row, seq - row))
    return runs


def _rows(first: int, last: int) -> str:
    return f"row {first}" if first == last else f"rows {first} to {last}"


def _be(first: int, last: int) -> str:
    return "is" if first == last else "are"
