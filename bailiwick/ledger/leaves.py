"""The first pass of a verification: every row by itself, and which leaf of the tree it is.

A row's bytes say which record it is (`seq`); they are trusted over the row's number when the two differ, because the
hashes can confirm them. So a row moved elsewhere is found at home, and only what is nowhere counts as removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bailiwick.ledger.encode import read
from bailiwick.ledger.facts import actions_of, joined_facts
from bailiwick.ledger.merkle import TILE_WIDTH, leaf_hash
from bailiwick.ledger.report import Finding, ranges, span
from bailiwick.model.record import JsonValue

HASH = 32


class Row(NamedTuple):
    """A stored record as the file has it. `facts` and `actions` are None where the index has no row for it.

    `facts` are the members in the index, joined as `joined_facts` does.
    """

    seq: int
    hash: bytes
    body: bytes
    facts: bytes | None = None
    actions: tuple[str, ...] | None = None


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
    rows: int = 0
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
        if not all(self.present[start:end]):
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

    def missing(self) -> list[tuple[int, int]]:
        """Return the records that no row holds, as runs."""
        return ranges(seq for seq in range(self.limit) if not self.present[seq])


def place(rows: Iterable[Row], limit: int, indexed: int, pruned: Iterable[tuple[int, int]] = ()) -> Leaves:
    """Check each row by itself and put its hashes in place.

    `indexed`: records below it must be in the index. `pruned`: records (first, last) that may be hashes only.
    """
    leaves = Leaves(limit)
    bare = bytearray(limit)
    for first, last in pruned:
        bare[first : last + 1] = b"\1" * (min(last + 1, limit) - min(first, limit))
    for row in rows:
        leaves.rows += 1
        if not row.body and 0 <= row.seq < limit and bare[row.seq]:
            _place_pruned(leaves, row)
        else:
            _place(leaves, row, indexed)
    return leaves


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
    elif leaves.present[seq]:
        leaves.doubled.append((row.seq, seq))
        leaves.rivals[seq] = digest
        leaves.split.add(seq // TILE_WIDTH)
    else:
        leaves.present[seq] = 1
        leaves.computed[seq * HASH : (seq + 1) * HASH] = digest
        if digest != row.hash:
            leaves.changed.append(seq)
            leaves.given[seq] = row.hash
            leaves.split.add(seq // TILE_WIDTH)


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
