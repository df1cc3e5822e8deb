"""Files of JSON lines: appended, flushed to the disk, put aside when they are large or old.

Beside the file stands the newest checkpoint (`….checkpoint`), for `bailiwick ledger verify --checkpoint`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bailiwick.gateway.moments import Clock
from bailiwick.gateway.sinks.item import Item, notes_in
from bailiwick.gateway.sinks.section import Rotation
from bailiwick.gateway.sinks.way import SENT, Came

_block = 64 * 1024
_flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Files:
    """The file that is written, and those that were put aside. What is sent is on disk."""

    most = 500

    def __init__(self, path: Path, rotation: Rotation, clock: Clock, flush: Callable[[int], None] = os.fsync) -> None:
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._flush = flush
        self._file = -1
        self._using = threading.Lock()
        """Held while the file is in use: a sending that was given up goes on in its thread."""

    def broke(self) -> float | None:
        """Files have no connection."""
        return None

    async def send(self, items: Sequence[Item]) -> Came:
        """Append a batch, all of it or nothing."""
        return await asyncio.to_thread(self._appended, items)

    def _appended(self, items: Sequence[Item]) -> Came:
        with self._using:
            return self._append(items)

    async def close(self) -> None:
        """Close the file, once nobody writes to it."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._using:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _append(self, items: Sequence[Item]) -> Came:
        data = "".join(item.text + "\n" for item in items).encode("utf-8", "replace")
        before = -1
        try:
            self._ready()
            before = os.fstat(self._file).st_size
            _write(self._file, data)
            self._flush(self._file)
            self._keep_checkpoint(items)
        except OSError as error:
            if before >= 0:
                _cut(self._file, before)
            return Came("failed", f"the file cannot be written: {error.strerror or 'unknown'}")
        return SENT

    def _ready(self) -> None:
        """Open the file; put it aside first if that is due, or if somebody moved it away."""
        if self._file >= 0 and not self._is_there():
            os.close(self._file)
            self._file = -1
        if self._file < 0:
            self._open()
        status = os.fstat(self._file)
        limit, now = self._rotation.age, self._clock()
        old = limit is not None and status.st_size > 0 and now - self._born(status) >= limit
        if status.st_size >= self._rotation.size or old:
            os.close(self._file)
            self._file = -1
            self._put_aside(now)
            self._open()

    def _is_there(self) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(self._file).st_ino
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(self._path, _flags, 0o600)
        _mend(self._file)

    def _born(self, status: os.stat_result) -> datetime:
        """Return when the file was begun, as it was noted; systems do not tell."""
        mark = self._path.with_name(self._path.name + ".began")
        try:
            return datetime.fromisoformat(mark.read_text())
        except (OSError, ValueError):
            began = datetime.fromtimestamp(status.st_mtime, UTC)
            mark.write_text(began.isoformat())
            return began

    def _put_aside(self, now: datetime) -> None:
        stamp = now.strftime("%Y%m%dT%H%M%S.%fZ")
        self._path.rename(self._path.with_name(f"{self._path.name}.{stamp}"))
        if self._rotation.age is not None:
            self._path.with_name(self._path.name + ".began").write_text(now.isoformat())
        aside = sorted(self._path.parent.glob(f"{self._path.name}.*Z"))
        for each in aside[: max(0, len(aside) - self._rotation.keep)]:
            each.unlink(missing_ok=True)

    def _keep_checkpoint(self, items: Sequence[Item]) -> None:
        newest = next((item for item in reversed(items) if item.kind == "checkpoint"), None)
        notes = notes_in(newest.text) if newest is not None else ()
        if notes:
            draft = self._path.with_name(self._path.name + ".checkpoint.new")
            draft.write_text(notes[-1], encoding="utf-8")
            draft.rename(self._path.with_name(self._path.name + ".checkpoint"))


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _cut(file: int, size: int) -> None:
    """Take away what was written in part; if that fails too, the next opening does it."""
    try:
        os.ftruncate(file, size)
    except OSError:
        return


def _mend(file: int) -> None:
    """Take away a last line that was not written to its end: it was not counted as delivered, and is sent again."""
    end = os.fstat(file).st_size
    at = end
    while at > 0:
        start = max(0, at - _block)
        found = os.pread(file, at - start, start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at < end:
        os.ftruncate(file, at)
