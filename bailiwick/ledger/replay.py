"""The second pass of a verification: the tree rebuilt from the leaves and compared with what was signed.

The tree is followed in several *readings* at once: by the records' bytes, by the stored hashes, by the second of two
rows that claim one place, and by the stored roots of tiles (256 records) where those contradict the leaves. A signed
checkpoint that confirms a reading settles what happened since the one before; then all readings go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.ledger.leaves import Leaves
from bailiwick.ledger.merkle import EMPTY_ROOT, TILE_WIDTH, Frontier, extend, fold
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
    """The tree so far in one reading: whole tiles, and the tile being read; None where a missing record hides it."""

    base: Frontier | None = _EMPTY
    within: Frontier | None = _EMPTY
    """A tree of the current tile's leaves alone."""

    def take_over(self, other: _Reading) -> None:
        """Go on from where another reading is."""
        self.base, self.within = other.base, other.within

    def follow(self, leaves: Sequence[bytes] | None) -> None:
        """Append leaves of the current tile; None if they cannot be known."""
        self.within = None if self.within is None or leaves is None else extend(self.within, leaves)[0]

    def follow_tile(self, root: bytes) -> None:
        """Append all leaves of the current tile."""
        self.within = None if self.within is None else Frontier(TILE_WIDTH, (root,))

    def tile(self) -> bytes | None:
        """Return the root of the current tile."""
        return None if self.within is None else self.within.root()

    def close_tile(self, root: bytes | None) -> None:
        """Add a tile to the whole ones and begin the next."""
        self.base = None if self.base is None or root is None else self.base.append_tile(root)
        self.within = _EMPTY

    def gives(self, root: bytes) -> bool:
        """Tell whether the tree in this reading has that root."""
        if self.base is None or self.within is None:
            return False
        nodes = self.base.nodes + self.within.nodes
        return (fold(nodes) if nodes else EMPTY_ROOT) == root


class Replay:
    """One run over the tree."""

    def __init__(self, leaves: Leaves, tiles: Mapping[int, bytes] | None, anchors: Sequence[Anchor]) -> None:
        self._leaves = leaves
        self._tiles: Mapping[int, bytes] = tiles or {}
        self._tiled = tiles is not None
        """Whether roots of tiles are stored with the records at all."""
        self._anchors = sorted(anchors, key=lambda anchor: (anchor.size, anchor.external))
        self._missing = leaves.missing()
        self._present = next((first for first, last in self._missing if last == leaves.limit - 1), leaves.limit)
        """Records before those cut from the end."""
        self._findings: list[Finding] = []
        self._by_bytes, self._by_hashes, self._by_rivals, self._by_tiles, self._by_tiles_and_bytes = (
            _Reading() for _ in range(5)
        )
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
        root = None if self._apart else leaves.root(start, end)
        if root is not None:
            self._by_bytes.follow_tile(root)
            self._close_tile(start // TILE_WIDTH)
            return
        by_bytes = leaves.by_bytes(start, end)
        if not self._apart and (by_bytes is None or leaves.ambiguous(start // TILE_WIDTH)):
            self._part()
        self._by_bytes.follow(by_bytes)
        if self._apart:
            by_hashes = leaves.by_hashes(start, end)
            self._by_hashes.follow(by_hashes)
            self._by_rivals.follow(leaves.by_rivals(start, end))
            self._by_tiles.follow(by_hashes)
            self._by_tiles_and_bytes.follow(by_bytes)
        if end % TILE_WIDTH == 0:
            self._close_tile(end // TILE_WIDTH - 1)

    def _part(self) -> None:
        self._apart = True
        for reading in (self._by_hashes, self._by_rivals, self._by_tiles, self._by_tiles_and_bytes):
            reading.take_over(self._by_bytes)

    def _close_tile(self, tile: int) -> None:
        """Compare a whole tile with its stored root, and let the reading by tiles go on from that root."""
        stored = self._tiles.get(tile)
        first, last = _span_of(tile)
        if stored is not None and not self._apart and stored != self._by_bytes.tile():
            self._part()
        leafwise = (self._by_bytes, self._by_hashes, self._by_rivals) if self._apart else (self._by_bytes,)
        roots = [reading.tile() for reading in leafwise]
        if stored is None and self._tiled and not overlaps(self._missing, first, last):
            text = f"{span(first, last)}: the stored hash over them (subtree root) is missing"
            self._findings.append(Finding("index", text, first, last))
        elif stored is not None and stored not in roots:
            self._suspects.append(tile)
        if self._apart:
            self._by_tiles.close_tile(stored or self._by_hashes.tile())
            self._by_tiles_and_bytes.close_tile(stored or self._by_bytes.tile())
        for reading, root in zip(leafwise, roots, strict=True):
            reading.close_tile(root)

    def _compare(self, anchor: Anchor) -> None:
        """Confirm a reading by a signed checkpoint, or note that none meets it."""
        for reading in (self._by_bytes, self._by_hashes, self._by_rivals, self._by_tiles, self._by_tiles_and_bytes):
            if reading.gives(anchor.root) and (self._apart or reading is self._by_bytes):
                self._settle(reading)
                self._good = anchor.size
                return
        self._unmet.append(anchor)

    def _settle(self, met: _Reading) -> None:
        for tile in self._suspects:
            if met is self._by_tiles or met is self._by_tiles_and_bytes:
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
        self._report_range(first, last)
        self._report_unproven(last + 1, end - 1)

    def _report_unproven(self, first: int, last: int) -> None:
        """Records after a checkpoint that no reading met: whether they too were changed cannot be told."""
        last = min(last, self._present - 1)
        if first <= last:
            text = f"{span(first, last)}: cannot be proven, because what they were signed on top of is not as it was"
            self._findings.append(Finding("unprovable", text, first, last))

    def _report_range(self, first: int, last: int) -> None:
        gone = [run for run in self._missing if overlaps([run], first, last)]
        if gone:
            names = ", ".join(span(*run) for run in gone[:5])
            first = gone[0][1] + 1 if gone[0][0] <= first else first
            last = gone[-1][0] - 1 if gone[-1][1] >= last else last
            if first <= last:
                text = f"{span(first, last)}: what is left of them cannot be proven without {names}"
                self._findings.append(Finding("unprovable", text, first, last))
            return
        what = "it was" if first == last else "at least one was"
        text = f"{span(first, last)}: {what} changed, with its stored hash; they do not give what was signed"
        self._findings.append(Finding("changed", text, first, last))

    def _conclude(self) -> None:
        """Report the checkpoints that no reading met."""
        ahead = [anchor for anchor in self._unmet if anchor.size > self._good]
        for anchor in self._unmet:
            if anchor.size <= self._good and not overlaps(self._doubtful, anchor.size - 1, anchor.size):
                self._report_fork(anchor)
        if not ahead:
            return
        self._report_range(self._good, ahead[0].size - 1)
        self._report_unproven(ahead[0].size, ahead[-1].size - 1)

    def _report_fork(self, anchor: Anchor) -> None:
        """A checkpoint contradicts a later one that was met: two histories were signed."""
        known = [other.size for other in self._anchors if other.size < anchor.size and other not in self._unmet]
        first = max(known, default=0)
        whose = "the checkpoint held elsewhere" if anchor.external else "a checkpoint in the ledger"
        text = f"{span(first, anchor.size - 1)}: {whose} for {anchor.size} records was signed for another history"
        if anchor.external:
            text += "; this ledger forked from it, or was written anew with a stolen key"
        self._findings.append(Finding("forked", text, first, anchor.size - 1))


def _span_of(tile: int) -> tuple[int, int]:
    return tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH - 1
