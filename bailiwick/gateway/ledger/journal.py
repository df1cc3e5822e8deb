"""The journal: where a commit of the ledger is made durable at once, until the ledger's file has taken it up.

A file of fixed size beside the ledger's, written over and over: a commit there is one synchronous write of blocks that
exist already, a third of what a transaction of SQLite takes. It has areas, and goes from each to the next one. What the
file has taken up is not flushed to the disk each time, so an area is written over only when that was done (`release`).
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
from pathlib import Path

AREA = 1 << 20
"""Bytes of one area. No commit stands in two."""
AREAS = 8
SIZE = AREAS * AREA
"""Bytes of all."""
_DIRECT = getattr(os, "O_DIRECT", 0) and os.O_DIRECT | os.O_DSYNC
"""Past the page cache, durable on return: half the processor time of a write and a flush. Linux only."""


class Journal:
    """An open journal. Its methods raise OSError; not safe for use by two threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file, self._direct = _open(path)
        self._area = 0
        """How many areas were written before the one that is: those between are counted each time."""
        self._at = 0
        """Where the next commit goes in its area."""
        self._oldest = 0
        """The area, counted likewise, that may not be written over."""
        self._buffer = mmap.mmap(-1, 1 << 16)
        """A page's alignment is what a direct write asks of memory."""

    def write(self, frame: bytes) -> bool:
        """Make a commit durable; False, and nothing written, when there is no room for it.

        `frame` is a multiple of `frame.BLOCK` bytes.
        """
        size = len(frame)
        if self._at + size > AREA:
            if size > AREA or self._area + 1 - self._oldest == AREAS:
                return False
            self._area += 1
            self._at = 0
        place = self._area % AREAS * AREA + self._at
        if self._direct:
            written = os.pwrite(self._file, self._aligned(frame), place)
        else:
            written = os.pwrite(self._file, frame, place)
        if written != size:
            raise OSError("the journal was written in part only")
        if not self._direct:
            _flush(self._file)
        self._at += size
        return True

    def _aligned(self, frame: bytes) -> memoryview:
        size = len(frame)
        if size > len(self._buffer):
            self._buffer = mmap.mmap(-1, size)
        self._buffer[:size] = frame
        return memoryview(self._buffer)[:size]

    def part(self) -> None:
        """Go to another area: the next commit does not follow the one before, and an area has what follows only."""
        if self._at:
            self._at = AREA

    @property
    def mark(self) -> int:
        """The place before which everything was written until now, to be given to `release`."""
        return self._area

    @property
    def crowded(self) -> bool:
        """Whether half of it is in use."""
        return self._area - self._oldest >= AREAS // 2

    def release(self, mark: int) -> None:
        """Let what was written before a mark be written over: the ledger's file has it, and the disk."""
        self._oldest = max(self._oldest, mark)

    def areas(self) -> list[bytes]:
        """Return what the areas hold."""
        return _areas_of(self._path.read_bytes())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def journal_of(ledger: Path) -> Path:
    """Return where the journal of a ledger is."""
    return ledger.with_name(ledger.name + ".journal")


def read_areas(ledger: Path) -> list[bytes]:
    """Return what the journal of a ledger holds, also while it is written; nothing if there is none."""
    try:
        return _areas_of(journal_of(ledger).read_bytes())
    except FileNotFoundError:
        return []


def _areas_of(data: bytes) -> list[bytes]:
    return [data[at : at + AREA] for at in range(0, SIZE, AREA)]


def _open(path: Path) -> tuple[int, bool]:
    """Open the journal, laid out if need be, and tell whether it is written past the page cache."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_size != SIZE:
            _lay_out(file, path.parent)
        if not _DIRECT:
            return file, False
        try:
            direct = os.open(path, os.O_RDWR | os.O_CLOEXEC | _DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return file, False  # a file system without it
    except OSError:
        os.close(file)
        raise
    os.close(file)
    return direct, True


def _lay_out(file: int, folder: Path) -> None:
    """Write every block once, so that a commit changes nothing but data."""
    os.ftruncate(file, 0)
    os.pwrite(file, bytes(SIZE), 0)
    _flush(file)
    inside = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(inside)
    finally:
        os.close(inside)


def _flush(file: int) -> None:
    if sys.platform == "darwin":
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # fsync leaves it in the drive's cache there
    else:
        os.fdatasync(file)
