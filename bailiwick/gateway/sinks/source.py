"""Reading the ledger onward, in batches, from its file and behind its writer.

What is still in the journal is not read: it is in the file a tenth of a second later, under a signed head.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from bailiwick.errors import LedgerError

_busy_seconds = 5.0
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint that the ledger kept."""

    size: int
    at: str
    note: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records in their order, and the checkpoints up to the last of them."""

    origin: str
    size: int
    """Records that the file holds."""
    records: tuple[tuple[int, bytes], ...]
    """Sequence number and canonical bytes; none of one that was pruned."""
    checkpoints: tuple[Kept, ...]
    next: int
    """Where to go on."""


class Source:
    """A ledger's file, opened for each batch: nothing is held while nobody reads. For any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self) -> int:
        """Return how many records the file holds. Raises LedgerError, as all methods."""
        return self._read(_size)

    def origin(self) -> str:
        """Return the name of the ledger."""
        return self._read(_origin)

    def moment(self, seq: int) -> str:
        """Return when a record was made; empty for one that is not there."""

        def found(connection: sqlite3.Connection) -> str:
            row = connection.execute("SELECT at FROM facts WHERE seq = ?", (seq,)).fetchone()
            return "" if row is None else str(row[0])

        return self._read(found)

    def batch(self, seq: int, checkpoint: int, most: int, octets: int) -> Batch:
        """Return records from a sequence number on: at most so many, and of so many bytes; always one if there is one.

        `checkpoint`: the size of the last one that was had before.
        """

        def found(connection: sqlite3.Connection) -> Batch:
            size = _size(connection)
            records = tuple(_records(connection, seq, most, octets))
            after = records[-1][0] + 1 if records else seq
            rows = connection.execute(
                "SELECT size, at, note FROM checkpoints WHERE size > ? AND size <= ? ORDER BY size LIMIT ?",
                (checkpoint, after, most),
            ).fetchall()
            kept = tuple(Kept(cast(int, each[0]), str(each[1]), str(each[2])) for each in rows)
            return Batch(_origin(connection), size, records, kept, after)

        return self._read(found)

    def _read(self, found: Callable[[sqlite3.Connection], _Found]) -> _Found:
        try:
            with self._opened() as connection:
                return found(connection)
        except sqlite3.Error as error:
            message = f"the ledger `{self._path}` cannot be read: {error}"
            raise LedgerError(message, remedy="check that it is a ledger's file") from None

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        uri = f"{self._path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_busy_seconds)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")  # one moment for all that is read
            yield connection


def _records(connection: sqlite3.Connection, seq: int, most: int, octets: int) -> Iterator[tuple[int, bytes]]:
    rows = connection.execute("SELECT seq, body FROM records WHERE seq >= ? ORDER BY seq LIMIT ?", (seq, most))
    taken = 0
    for place, body in rows:
        taken += len(cast(bytes, body or b""))
        if taken > octets and place != seq:
            return
        yield cast(int, place), cast(bytes, body or b"")


def _size(connection: sqlite3.Connection) -> int:
    return cast(int, connection.execute("SELECT coalesce(max(seq), -1) + 1 FROM records").fetchone()[0])


def _origin(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT origin FROM log").fetchone()
    return "" if row is None else str(row[0])
