"""Reading the ledger onward, in batches, from where it is kept and behind its writer.

What is not signed yet is not read: it is a tenth of a second later.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import open_source
from bailiwick.gateway.ledger.storage import Source as Place


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
    """A ledger, opened for each batch: nothing is held while nobody reads. For any thread."""

    def __init__(self, ledger: LedgerAddress) -> None:
        self._ledger = ledger

    def size(self) -> int:
        """Return how many records are signed. Raises LedgerError, as all methods."""
        with self._opened() as place:
            return _size(place)

    def origin(self) -> str:
        """Return the name of the ledger."""
        with self._opened() as place:
            return _origin(place)

    def moment(self, seq: int) -> str:
        """Return when a record was made; empty for one that is not there."""
        with self._opened() as place:
            rows = place.rows(f"SELECT at FROM {place.words.stored}facts WHERE seq = ?", (seq,))  # noqa: S608 -- a name of our own
            return _text(rows[0][0]) if rows else ""

    def batch(self, seq: int, checkpoint: int, most: int, octets: int) -> Batch:
        """Return records from a sequence number on: at most so many, and of so many bytes; always one if there is one.

        `checkpoint`: the size of the last one that was had before.
        """
        with self._opened() as place:
            size = _size(place)
            records = tuple(_records(place, seq, min(most, max(0, size - seq)), octets))
            after = records[-1][0] + 1 if records else seq
            statement = (
                f"SELECT size, at, note FROM {place.words.stored}checkpoints "  # noqa: S608 -- a name of our own
                "WHERE size > ? AND size <= ? ORDER BY size LIMIT ?"
            )
            rows = place.rows(statement, (checkpoint, after, most))
            kept = tuple(Kept(cast(int, each[0]), _text(each[1]), _text(each[2])) for each in rows)
            return Batch(_origin(place), size, records, kept, after)

    @contextmanager
    def _opened(self) -> Generator[Place]:
        with closing(open_source(self._ledger)) as place, place.moment():  # one moment for all that is read
            yield place


def _records(place: Place, seq: int, most: int, octets: int) -> Iterator[tuple[int, bytes]]:
    statement = f"SELECT seq, body FROM {place.words.stored}records WHERE seq >= ? ORDER BY seq LIMIT ?"  # noqa: S608 -- a name of our own
    taken = 0
    for number, body in place.each_row(statement, (seq, most)):
        taken += len(cast(bytes, body or b""))
        if taken > octets and number != seq:
            return
        yield cast(int, number), cast(bytes, body or b"")


def _size(place: Place) -> int:
    return cast(int, place.rows(f"SELECT coalesce(max(seq), -1) + 1 FROM {place.words.whole}")[0][0])  # noqa: S608 -- likewise


def _origin(place: Place) -> str:
    rows = place.rows(f"SELECT origin FROM {place.words.stored}log")  # noqa: S608 -- likewise
    return _text(rows[0][0]) if rows else ""


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
