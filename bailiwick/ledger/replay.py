"""The second pass of a verification: the tree rebuilt from the leaves and compared with what was signed.

The tree is followed in several *readings* at once: by the records' bytes, by the stored hashes, by the second of two
rows that claim one place, and by the stored roots of tiles (256 records) where those contradict the leaves. A signed
checkpoint that confirms a reading settles what happened since the one before; then all readings go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.ledger.leaves import Leaves
from bailiwick.ledger.merkle import TILE_HEIGHT, TILE_WIDTH, Frontier, extend
from bailiwick.ledger.report import Finding, overlaps, span


@dataclass(frozen=True, slots=True)
class Anchor:
    """A size and root that were signed. `external`: kept outside of the ledger, so not in an intruder's reach."""

    size: int
    root: bytes
    external: bool = False


_EMPTY = Frontier()


@dataclass(slots=True)
class _Reading:
    """The tree so far in one reading; `frontier` None: cannot be known, because a record is missing."""

    frontier: Frontier | None = _EMPTY
    base: Frontier | None = _EMPTY
    """The frontier at the start of the current tile."""
    tile: bytes | None = None
    """Root of the tile that the last leaves completed."""

    def take_over(self, other: _Reading) -> None:
        """Go on from where another reading is."""
        self.frontier, self.base, self.tile = other.frontier, other.base, other.tile

    def follow(self, leaves: Sequence[bytes] | None) -> None:
        """Append leaves; None if they cannot be known."""
        self.tile = None
        if self.frontier is None or leaves is None:
            self.frontier = None
            return
        self.frontier, completed = extend(self.frontier, leaves)
        for subtree in completed:
            if subtree.level == TILE_HEIGHT:
                self.tile = subtree.root

    def gives(self, root: bytes) -> bool:
        """Tell whether the tree in this reading has that root."""
        return self.frontier is not None and self.frontier.root() == root


class Replay:
    """One run over the tree."""

    def __init__(self, leaves: Leaves, tiles: Mapping[int, bytes], anchors: Sequence[Anchor]) -> None:
        self._leaves = leaves
        self._tiles = tiles
        self._anchors = sorted(anchors, key=lambda anchor: (anchor.size, anchor.external))
        self._missing = leaves.missing()
        self._findings: list[Finding] = []
        self._by_bytes, self._by_hashes, self._by_rivals, self._by_tiles = (_Reading() for _ in range(4))
        self._apart = False
        """Whether the readings differ; while not, only `_by_bytes` is followed."""
        self._good = 0
        """Size up to which a checkpoint has confirmed a reading."""
        self._suspects: list[int] = []
        """Tiles since `_good` whose stored root is given by no reading of their leaves."""
        self._unmet: list[Anchor] = []
        self._doubtful: list[tuple[int, int]] = []
        """Records reported by tile, as (first, last)."""

    def run(self) -> list[Finding]:
        """Return what the tree shows beyond what the rows did."""
        bounds = {anchor.size for anchor in self._anchors} | set(range(0, self._leaves.limit, TILE_WIDTH))
        due = list(reversed(self._anchors))
        at = 0
        for stop in sorted(bounds | {self._leaves.limit}):
            if stop > at:
                self._advance(at, stop)
            at = stop
            while due and due[-1].size == stop:
                self._compare(due.pop())
        self._conclude()
        return self._findings

    def _advance(self, start: int, end: int) -> None:
        """Follow all readings over the leaves from `start` to before `end`, which lie in one tile."""
        leaves = self._leaves
        by_bytes = leaves.by_bytes(start, end)
        if not self._apart and (by_bytes is None or leaves.ambiguous(start // TILE_WIDTH)):
            self._part()
        self._by_bytes.follow(by_bytes)
        if self._apart:
            by_hashes = leaves.by_hashes(start, end)
            self._by_hashes.follow(by_hashes)
            self._by_rivals.follow(leaves.by_rivals(start, end))
            self._by_tiles.follow(by_hashes)
        if end % TILE_WIDTH == 0:
            self._close_tile(end // TILE_WIDTH - 1)

    def _part(self) -> None:
        self._apart = True
        for reading in (self._by_hashes, self._by_rivals, self._by_tiles):
            reading.take_over(self._by_bytes)

    def _close_tile(self, tile: int) -> None:
        """Compare a whole tile with its stored root, and let the reading by tiles go on from that root."""
        stored = self._tiles.get(tile)
        given = {reading.tile for reading in (self._by_bytes, self._by_hashes, self._by_rivals)}
        if stored is None:
            first, last = _span_of(tile)
            text = f"{span(first, last)}: the stored hash over them (subtree root) is missing"
            self._findings.append(Finding("index", text, first, last))
        elif stored != self._by_bytes.tile and not self._apart:
            self._part()
        if stored is not None and self._apart:
            if stored not in given:
                self._suspects.append(tile)
            base = self._by_tiles.base
            self._by_tiles.frontier = None if base is None else base.append_tile(stored)
        for reading in (self._by_bytes, self._by_hashes, self._by_rivals, self._by_tiles):
            reading.base = reading.frontier

    def _compare(self, anchor: Anchor) -> None:
        """Confirm a reading by a signed checkpoint, or note that none meets it."""
        for reading in (self._by_bytes, self._by_hashes, self._by_rivals, self._by_tiles):
            if reading.gives(anchor.root) and (self._apart or reading is self._by_bytes):
                self._settle(reading)
                self._good = anchor.size
                return
        self._unmet.append(anchor)

    def _settle(self, met: _Reading) -> None:
        for tile in self._suspects:
            if met is self._by_tiles:
                self._doubt(tile)
            else:
                first, last = _span_of(tile)
                text = f"{span(first, last)}: the stored hash over them (subtree root) is false; they are as signed"
                self._findings.append(Finding("index", text, first, last))
        self._suspects.clear()
        self._by_bytes.take_over(met)
        self._apart = False

    def _doubt(self, tile: int) -> None:
        """Report a tile whose stored root is right and whose records are not, as narrowly as checkpoints allow."""
        start, end = tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH
        first = max(start, self._good)
        last = min([end, *(anchor.size for anchor in self._unmet if first < anchor.size < end)]) - 1
        self._doubtful.append((start, end - 1))
        self._report_range(first, last, "")

    def _report_range(self, first: int, last: int, more: str) -> None:
        gone = [run for run in self._missing if overlaps([run], first, last)]
        if gone:
            names = ", ".join(span(*run) for run in gone[:5])
            if not any(start <= first and last <= end for start, end in gone):
                text = f"{span(first, last)}: what is left of them cannot be proven without {names}{more}"
                self._findings.append(Finding("unprovable", text, first, last))
            return
        what = "it was" if first == last else "at least one was"
        text = f"{span(first, last)}: {what} changed, with its stored hash; they do not give what was signed{more}"
        self._findings.append(Finding("changed", text, first, last))

    def _conclude(self) -> None:
        """Report the checkpoints that no reading met."""
        ahead = [anchor for anchor in self._unmet if anchor.size > self._good]
        for anchor in self._unmet:
            if anchor.size <= self._good and not overlaps(self._doubtful, anchor.size - 1, anchor.size):
                self._report_fork(anchor)
        if ahead:
            more = ""
            if self._leaves.limit > ahead[0].size:
                more = "; the records after them cannot be judged by themselves"
            self._report_range(self._good, ahead[0].size - 1, more)

    def _report_fork(self, anchor: Anchor) -> None:
        """A checkpoint contradicts a later one that was met: two histories were signed."""
        known = [other.size for other in self._anchors if other.size < anchor.size and other not in self._unmet]
        first = max(known, default=0)
        whose = "the checkpoint held elsewhere" if anchor.external else "a checkpoint in the ledger"
        text = f"{span(first, anchor.size - 1)}: {whose} for {anchor.size} records was signed for another history"
        self._findings.append(Finding("forked", text, first, anchor.size - 1))


def _span_of(tile: int) -> tuple[int, int]:
    return tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH - 1
