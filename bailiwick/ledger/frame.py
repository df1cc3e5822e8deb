"""Frames: what one commit adds to the ledger, as it stands in the journal until it is part of the file.

A frame begins with where its records belong and what the tree is with them: root, and the code that vouches for it
(`Signer.vouch`). So a frame that was cut short by a crash (its records are not all there) can be told from one whose
records were changed (all there, and not what the root says). Each begins on a block of its own, so that writing one
never touches what is durable already, and the operating system need not copy it. Pure; bad data gives fewer frames,
never an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from bailiwick.ledger.encode import read
from bailiwick.ledger.merkle import Frontier, Subtree, extend, leaf_hash

_MAGIC = b"BWF2"
_HEAD = struct.Struct(">4sQII32s32s")
_LENGTH = struct.Struct(">I")
FRAME_HEAD = _HEAD.size + _LENGTH.size
"""Bytes in front of the records: the last four check the others, so that a torn head is none."""
BLOCK = 4096
"""Frames are a multiple of it in bytes: the largest unit that disks write."""


class Frame(NamedTuple):
    """One commit: its first record's number, the tree's root and code after it, its records' bytes."""

    first: int
    number: int
    """How many records."""
    root: bytes
    code: bytes
    bodies: tuple[bytes, ...] | None
    """None when they are not all there: the frame was never finished."""

    @property
    def end(self) -> int:
        """The tree's size after it."""
        return self.first + self.number


def frame_bytes(first: int, bodies: Sequence[bytes], root: bytes, code: bytes) -> bytes:
    """Return a frame's bytes, zeros behind its records up to the end of its last block."""
    size = sum(map(len, bodies)) + _LENGTH.size * len(bodies)
    head = _HEAD.pack(_MAGIC, first, len(bodies), size, root, code)
    parts = [head, _LENGTH.pack(crc32(head))]
    for body in bodies:
        parts += (_LENGTH.pack(len(body)), body)
    parts.append(bytes(-(FRAME_HEAD + size) % BLOCK))
    return b"".join(parts)


def frames_in(area: bytes, since: int = 0) -> list[Frame]:
    """Return the frames at the beginning of an area, each beginning on the next block behind the one before.

    Records before `since` are not looked at: where a frame has no others, they are left out.
    What stands behind the last one is left over from an earlier use of the area: its records' numbers are lower.
    """
    frames: list[Frame] = []
    at = 0
    while at + FRAME_HEAD <= len(area):
        magic, first, count, size, root, code = _HEAD.unpack_from(area, at)
        check: int = _LENGTH.unpack_from(area, at + _HEAD.size)[0]
        whole = magic == _MAGIC and check == crc32(area[at : at + _HEAD.size])
        at += FRAME_HEAD
        if not whole or not count or (frames and first != frames[-1].end):
            break
        bodies = () if first + count <= since else _bodies(area[at : at + size], first, count)
        frames.append(Frame(first, count, root, code, bodies))
        at += size
        at += -at % BLOCK
        if frames[-1].bodies is None:
            break
    return frames


def _bodies(data: bytes, first: int, count: int) -> tuple[bytes, ...] | None:
    """Return the records' bytes; None unless all are there, each a record in its place."""
    found: list[bytes] = []
    at = 0
    while len(found) < count and at + _LENGTH.size <= len(data):
        size: int = _LENGTH.unpack_from(data, at)[0]
        at += _LENGTH.size
        body = data[at : at + size]
        at += size
        if (read(body) or {}).get("seq") != first + len(found):
            return None
        found.append(body)
    return tuple(found) if len(found) == count and at == len(data) else None


@dataclass(frozen=True, slots=True)
class Tail:
    """What the journal holds beyond the file: the records from `first` on, and the tree with them."""

    first: int
    frontier: Frontier
    bodies: tuple[bytes, ...] = ()
    hashes: tuple[bytes, ...] = ()
    subtrees: tuple[Subtree, ...] = ()
    code: bytes = b""
    """What vouches for the tree; empty when there are no records."""
    missing: tuple[int, int] | None = None
    """Records (first, last) that are neither in the file nor in the journal, which goes on behind them."""
    changed: tuple[int, int] | None = None
    """Records (first, last) that do not give the root that stands beside them."""

    @property
    def size(self) -> int:
        """The tree's size with it."""
        return self.frontier.size


def follow(areas: Iterable[bytes], frontier: Frontier) -> Tail:
    """Return what the journal's areas add to the tree of a file. What the file holds already is passed over."""
    due = [frame for area in areas for frame in frames_in(area, frontier.size) if frame.first >= frontier.size]
    start, code = frontier.size, b""
    bodies: list[bytes] = []
    hashes: list[bytes] = []
    subtrees: list[Subtree] = []
    missing = changed = None
    for frame in sorted(due, key=lambda each: each.first):
        if frame.first != frontier.size:
            missing = (frontier.size, frame.first - 1)
            break
        if frame.bodies is None:
            continue
        leaves = [leaf_hash(body) for body in frame.bodies]
        grown, completed = extend(frontier, leaves)
        if grown.root() != frame.root:
            changed = (frame.first, frame.end - 1)
            break
        frontier, code = grown, frame.code
        bodies += frame.bodies
        hashes += leaves
        subtrees += completed
    return Tail(start, frontier, tuple(bodies), tuple(hashes), tuple(subtrees), code, missing, changed)
