"""The archive: whole days of the ledger, each a partition of its own, and the way back.

`date=2026-11-22/` holds `records.parquet` (for queries), `records.jsonl.gz` (the bytes that were signed, see
`ledger_bundle`) and, written last, `checkpoints.jsonl` with a checkpoint at exactly its end. Nothing is ever rewritten
that has its checkpoints.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from bailiwick.errors import LedgerError
from bailiwick.gateway.backends.places import Place
from bailiwick.gateway.ledger.bundle import CHECKPOINTS, Bundle, checkpoint_lines, record_lines, verified_bundle
from bailiwick.gateway.ledger.reader import LedgerReader, Stored
from bailiwick.gateway.ledger.schema import (
    APPLICATION_ID,
    FORMAT,
    SCHEMA,
    TRIGGERS,
    select_accesses,
    select_facts,
)
from bailiwick.gateway.ledger.tables import Tables
from bailiwick.ledger.checkpoint import VerifierKey
from bailiwick.ledger.encode import read
from bailiwick.ledger.merkle import Frontier, extend

_PAGE = 2_000


class Signing(Protocol):
    """Whoever holds the ledger's keys."""

    def __call__(self, size: int) -> str:
        """Return a checkpoint of the ledger as it was at that size."""
        ...


@dataclass(frozen=True, slots=True)
class Partition:
    """A day's records: from `first` to before `end`."""

    day: str
    first: int
    end: int


def archived(place: Place) -> int:
    """Return how many records the archive holds, from the first on."""
    notes = Bundle(place).notes()
    return notes[-1][0] if notes else 0


def archive(
    reader: LedgerReader, place: Place, today: date, sign: Signing, went: Callable[[Partition], None]
) -> list[Partition]:
    """Archive the days before today that are not in the archive yet; `went` hears of each that is."""
    found: list[Partition] = []
    for part in _partitions(reader, archived(place), _day_after(place), today):
        _write(reader, place, part, sign(part.end))
        went(part)
        found.append(part)
    return found


def _day_after(place: Place) -> str:
    """Return the day after the last one that is in the archive; empty when there is none."""
    days = [name.removeprefix("date=").partition("/")[0] for name in place.names() if name.endswith(CHECKPOINTS)]
    return (date.fromisoformat(max(days)) + timedelta(days=1)).isoformat() if days else ""


def _partitions(reader: LedgerReader, start: int, floor: str, today: date) -> Iterator[Partition]:
    """Yield the days. A record that a clock set back belongs to the day of those before it."""
    first, day = start, ""
    for seq, its in _days(reader, start):
        its = max(its, day, floor) if its else day
        if its >= today.isoformat():
            if seq > first:
                yield Partition(day, first, seq)
            return
        if its != day:
            if day and seq > first:
                yield Partition(day, first, seq)
            first, day = (seq if day else first), its
    end = reader.size()
    if day and end > first:
        yield Partition(day, first, end)


def _days(reader: LedgerReader, start: int) -> Iterator[tuple[int, str]]:
    """Yield each record's number and day; of one that was pruned the day is not known, and empty."""
    for at in range(start, reader.size(), _PAGE):
        for seq, _, body in reader.leaves(at, at + _PAGE):
            told = (read(body) or {}).get("at") if body else None
            yield seq, told[:10] if isinstance(told, str) else ""


def _write(reader: LedgerReader, place: Place, part: Partition, note: str) -> None:
    folder = f"date={part.day}"
    if f"{folder}/{CHECKPOINTS}" in place.names():
        raise LedgerError(f"`{place}` has `{folder}` already", remedy="verify the archive; name another place")
    with place.writing(f"{folder}/records.jsonl.gz") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        for line in record_lines(reader, part.first, part.end):
            packed.write(line)
    with TemporaryDirectory(prefix="bailiwick-") as temporary, Tables() as tables:
        tables.take(_stored(reader, part))
        path = Path(temporary) / "records.parquet"
        tables.write_parquet(path)
        place.write(f"{folder}/records.parquet", path.read_bytes())
    kept = [(size, kept) for size, kept in reader.checkpoints() if part.first < size < part.end]
    place.write(f"{folder}/{CHECKPOINTS}", checkpoint_lines([*kept, (part.end, note)]))


def _stored(reader: LedgerReader, part: Partition) -> Iterator[Stored]:
    for at in range(part.first, part.end, _PAGE):
        for seq, _, body in reader.leaves(at, min(at + _PAGE, part.end)):
            if body:
                yield Stored(seq, body)


def restore(place: Place, target: Path, keys: Sequence[VerifierKey]) -> int:
    """Make a ledger's file of an export or an archive, for queries and proofs; return how many records it has.

    It is verified first. Raises LedgerError when it is not as it was signed, or when there is something at `target`.
    """
    report = verified_bundle(place, keys)
    if not report.sound:
        first = report.findings[0].text
        raise LedgerError(
            f"`{place}` is not as it was signed: {first}", remedy=f"see `bailiwick ledger verify {place}`"
        )
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise LedgerError(f"`{target}` cannot be made: {error.strerror}", remedy="name a new file") from None
    bundle = Bundle(place)
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; {SCHEMA}")
        connection.execute("BEGIN")
        notes = bundle.notes()
        connection.execute("INSERT INTO log (one, origin) VALUES (1, ?)", (keys[0].name,))
        connection.execute("INSERT INTO head (one, note) VALUES (1, ?)", (notes[-1][1],))
        connection.executemany("INSERT INTO checkpoints (size, at, note) VALUES (?, '', ?)", notes)
        size = _fill(connection, bundle)
        connection.execute("COMMIT")
        connection.executescript(TRIGGERS)
    return size


def _fill(connection: sqlite3.Connection, bundle: Bundle) -> int:
    frontier = Frontier()
    for row in bundle.rows():
        frontier, completed = extend(frontier, (row.hash,))
        connection.execute("INSERT INTO records (seq, hash, body) VALUES (?, ?, ?)", (row.seq, row.hash, row.body))
        if not row.body:
            connection.execute("INSERT INTO pruned (first, last) VALUES (?, ?)", (row.seq, row.seq))
        for subtree in completed:
            values = (subtree.level, subtree.index, subtree.root)
            connection.execute("INSERT INTO subtrees (level, idx, root) VALUES (?, ?, ?)", values)
    bounds = (0, frontier.size)
    connection.execute(f"INSERT INTO facts {select_facts('main.records')}", bounds)
    connection.execute(f"INSERT INTO accesses {select_accesses('main.records')}", bounds)
    return frontier.size
