"""A ledger as C2SP tlog-tiles has logs: `checkpoint`, tiles of hashes, bundles of entries, for the tools of others.

An entry is a record's canonical bytes. A bundle that holds a record whose content was pruned, or one of more than
65,535 bytes, which the format has no room for, is left out: its hashes are in the tiles all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.errors import LedgerError
from bailiwick.gateway.backends.places import Place
from bailiwick.gateway.ledger.reader import LedgerReader
from bailiwick.ledger.checkpoint import told_by
from bailiwick.ledger.merkle import TILE_WIDTH, subtree_root

_most_entry = 0xFFFF


def tile_path(level: int | str, number: int, width: int = TILE_WIDTH) -> str:
    """Return where a tile stands: its number in groups of three digits, all but the last behind an `x`."""
    digits = f"{number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    named = "/".join([*(f"x{each}" for each in groups[:-1]), groups[-1]])
    return f"tile/{level}/{named}" + ("" if width == TILE_WIDTH else f".p/{width}")


def write_tiles(reader: LedgerReader, place: Place) -> tuple[int, int]:
    """Write what the signed head covers; return how many records, and how many bundles of entries were left out."""
    left_out = 0
    with reader.at_one_moment():
        note = reader.checkpoint()
        head = told_by(note)
        if head is None:
            raise LedgerError("the ledger has no signed head", remedy="run `bailiwick ledger verify`")
        above: list[bytes] = []
        for start in range(0, head.size, TILE_WIDTH):
            rows = reader.leaves(start, min(start + TILE_WIDTH, head.size))
            hashes, number = [digest for _, digest, _ in rows], start // TILE_WIDTH
            place.write(tile_path(0, number, len(hashes)), b"".join(hashes))
            entries = _bundle([body for _, _, body in rows])
            if entries is None:
                left_out += 1
            else:
                place.write(tile_path("entries", number, len(rows)), entries)
            if len(hashes) == TILE_WIDTH:
                above.append(subtree_root(hashes))
    _write_above(place, above)
    place.write("checkpoint", note.encode())
    return head.size, left_out


def _write_above(place: Place, hashes: Sequence[bytes]) -> None:
    """Write the tiles over whole tiles."""
    level = 0
    while hashes:
        level += 1
        above: list[bytes] = []
        for start in range(0, len(hashes), TILE_WIDTH):
            tile = hashes[start : start + TILE_WIDTH]
            place.write(tile_path(level, start // TILE_WIDTH, len(tile)), b"".join(tile))
            if len(tile) == TILE_WIDTH:
                above.append(subtree_root(tile))
        hashes = above


def _bundle(bodies: Sequence[bytes]) -> bytes | None:
    if any(not 0 < len(body) <= _most_entry for body in bodies):
        return None
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)
