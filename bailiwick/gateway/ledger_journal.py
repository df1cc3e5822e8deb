"""The journal: where a commit of the ledger is made durable at once, until the ledger's file has taken it up.

A file of fixed size beside the ledger's, written over and over: a commit there is one write and one flush of blocks
that exist already, a third of what a transaction of SQLite takes. It has two areas. Commits go to one; when the file
takes up what is there they turn to the other, and the first is free again once the file has it.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

AREA = 2 << 20
"""Bytes of one of the two areas."""


class Journal:
    """An open journal. Its methods raise OSError; not safe for use by two threads at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._file).st_size != 2 * AREA:
                self._lay_out(path)
        except OSError:
            os.close(self._file)
            raise
        self._area = 0
        self._at = 0
        """Where the next commit goes in its area."""

    def _lay_out(self, path: Path) -> None:
        """Write every block once, so that a commit changes nothing but data."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, bytes(2 * AREA), 0)
        _flush(self._file)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def write(self, frame: bytes) -> bool:
        """Make a commit durable; False, and nothing written, when the area has no room for it."""
        if self._at + len(frame) > AREA:
            return False
        if os.pwrite(self._file, frame, self._area * AREA + self._at) != len(frame):
            raise OSError("the journal was written in part only")
        _flush(self._file)
        self._at += len(frame)
        return True

    def turn(self) -> None:
        """Write to the other area from now on. What it held must be in the ledger's file."""
        self._area = 1 - self._area
        self._at = 0

    def areas(self) -> tuple[bytes, bytes]:
        """Return what the areas hold."""
        return os.pread(self._file, AREA, 0), os.pread(self._file, AREA, AREA)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def journal_of(ledger: Path) -> Path:
    """Return where the journal of a ledger is."""
    return ledger.with_name(ledger.name + ".journal")


def read_areas(ledger: Path) -> tuple[bytes, ...]:
    """Return what the journal of a ledger holds, also while it is written; nothing if there is none."""
    try:
        data = journal_of(ledger).read_bytes()
    except FileNotFoundError:
        return ()
    return data[:AREA], data[AREA : 2 * AREA]


def _flush(file: int) -> None:
    if sys.platform == "darwin":
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # fsync leaves it in the drive's cache there
    else:
        os.fdatasync(file)
