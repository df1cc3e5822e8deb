"""A ledger in a file of SQLite: the storage of the one process that writes it, and the source of its readers.

A commit goes to the journal beside the file, and from there to the file with others. A lock file says who writes.
Readers open the file read-only; they never wait for the writer nor make it wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.faults import faults_of
from bailiwick.gateway.ledger.journal import Journal, journal_of, read_areas
from bailiwick.gateway.ledger.schema import (
    APPLICATION_ID,
    FORMAT,
    SCHEMA,
    TRIGGERS,
    UPGRADE,
    select_accesses,
    select_facts,
)
from bailiwick.gateway.ledger.storage import Commit, Taken
from bailiwick.ledger.checkpoint import told_by
from bailiwick.ledger.frame import Tail, follow, frame_bytes
from bailiwick.ledger.merkle import Frontier, frontier_of
from bailiwick.ledger.words import SQLITE, Words

_PAGES = 4_096
"""Pages of 4 KiB after which SQLite moves what transactions wrote to where it belongs, and flushes it twice."""
_MOST_ROWS = 128
"""Records that one statement inserts: it binds three parameters for each."""


class SqliteStorage:
    """An open file and its journal. Made with `open_storage`."""

    quick = True
    buffers = True
    failures: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path, lock: int, connection: sqlite3.Connection, journal: Journal) -> None:
        self._path = path
        self._place = str(path)
        self._lock = lock
        self._connection = connection
        self._journal = journal
        self._inode = os.stat(path).st_ino
        self._mark = self._covered = 0
        """What of the journal is about to be taken up, and what the file has."""

    @property
    def name(self) -> str:
        """The path."""
        return self._place

    def write(self, commit: Commit) -> bool:
        """Make records durable in the journal; False, and nothing written, when it has no room for them."""
        if os.stat(self._place).st_ino != self._inode:
            raise LedgerError(f"the ledger `{self._path}` was replaced under the gateway", remedy="restart it")
        return self._journal.write(frame_bytes(commit.first, commit.bodies, commit.root, commit.code))

    def turn(self) -> None:
        """Remember what is about to be taken up."""
        self._mark = self._journal.mark

    def take_up(self, taken: Taken) -> None:
        """Write records to the file, index them and replace the head."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        rows = taken.rows
        for at in range(0, len(rows), _MOST_ROWS):
            chunk = rows[at : at + _MOST_ROWS]
            execute(_insert_records(len(chunk)), list(itertools.chain.from_iterable(chunk)))
        if rows:
            self._connection.executemany(
                "INSERT INTO subtrees (level, idx, root) VALUES (?, ?, ?)",
                [(subtree.level, subtree.index, subtree.root) for subtree in taken.subtrees],
            )
            bounds = (rows[0][0], rows[-1][0])
            execute(f"INSERT INTO facts {select_facts('main.records')}", bounds)
            execute(f"INSERT INTO accesses {select_accesses('main.records')}", bounds)
        execute("UPDATE head SET note = ?", (taken.head,))
        if taken.kept is not None:
            execute("INSERT INTO checkpoints (size, at, note) VALUES (?, ?, ?)", (*taken.kept, taken.head))
        execute("COMMIT")
        self._covered = self._mark
        if self._journal.crowded:
            self.settle()

    def part(self) -> None:
        """Let the journal go on in another area, and over what it holds, which was settled."""
        self._journal.part()
        self._journal.release(self._journal.mark)

    def settle(self) -> None:
        """Flush what was taken up, and let the journal write over it.

        Other transactions are not flushed: should the machine stop, the file is as it was after one of them, and the
        journal has what came behind that.
        """
        execute = self._connection.execute
        execute("PRAGMA synchronous = FULL")
        execute("UPDATE head SET note = note")
        execute("PRAGMA synchronous = NORMAL")
        self._journal.release(self._covered)

    def prune(self, spans: Sequence[tuple[int, int]]) -> None:
        """Remove the content of records (first, last), and what the index tells of it."""
        execute = self._connection.execute
        execute("PRAGMA secure_delete = ON")
        execute("BEGIN IMMEDIATE")
        for first, last in spans:
            execute("INSERT OR IGNORE INTO pruned (first, last) VALUES (?, ?)", (first, last))
            actions = select_accesses("main.records")
            execute(f"DELETE FROM accesses WHERE (action, seq) IN ({actions})", (first, last))  # noqa: S608 -- a constant
            execute("DELETE FROM facts WHERE seq BETWEEN ? AND ?", (first, last))
            execute("UPDATE records SET body = x'' WHERE seq BETWEEN ? AND ?", (first, last))
        execute("COMMIT")
        self.settle()

    def limit_pages(self, pages: int) -> None:
        """Let the file grow to no more than so many pages of 4 KiB; draining beyond fails like on a full disk."""
        self._connection.execute(f"PRAGMA max_page_count = {int(pages)}")

    def create(self, origin: str, head: str) -> None:
        """Create the tables of a new file, or bring an existing one to this version's; LedgerError for another."""
        if not self._one("PRAGMA application_id") and not self._one("SELECT count(*) FROM sqlite_master"):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} {TRIGGERS} PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {FORMAT};"
            )
            self._connection.execute("INSERT INTO log (one, origin) VALUES (1, ?)", (origin,))
            self._connection.execute("INSERT INTO head (one, note) VALUES (1, ?)", (head,))
            self._connection.execute("COMMIT")
        if self._one("PRAGMA application_id") == APPLICATION_ID and self._one("PRAGMA user_version") == FORMAT - 1:
            self._connection.executescript(f"BEGIN IMMEDIATE; {UPGRADE} PRAGMA user_version = {FORMAT}; COMMIT;")
        if self._one("PRAGMA application_id") != APPLICATION_ID or self._one("PRAGMA user_version") != FORMAT:
            raise LedgerError(f"`{self._path}` is not a ledger of this version", remedy="name another file")

    def origin(self) -> str | None:
        """Return the ledger's name."""
        stored = self._connection.execute("SELECT origin FROM log").fetchone()
        return None if stored is None else str(stored[0])

    def head(self) -> str:
        """Return the signed head; empty when there is none."""
        row = self._connection.execute("SELECT note FROM head").fetchone()
        return "" if row is None else str(row[0])

    def last(self) -> int:
        """Return the number of the file's last record; -1 when there is none."""
        return self._one("SELECT coalesce(max(seq), -1) FROM records")

    def retained(self) -> int:
        """Return the size of the newest checkpoint that was kept."""
        return self._one("SELECT coalesce(max(size), 0) FROM checkpoints")

    def subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
        return _read_subtrees(self._connection, level, start, count)

    def tail(self, frontier: Frontier) -> Tail:
        """Return what the journal holds beyond the file."""
        return follow(self._journal.areas(), frontier)

    def undo(self) -> None:
        """Leave no transaction open."""
        with contextlib.suppress(sqlite3.Error):  # a file that takes no ROLLBACK is undone when it is opened again
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def reason(self, error: Exception) -> str:
        """Return what failed, in words that may be shown."""
        return str(error)

    def remedy(self, error: Exception) -> str:
        """Return what to do about a failure."""
        return _remedy(error)

    def let_go(self) -> None:
        """Close the files and let go of the lock."""
        try:
            self._connection.close()
            self._journal.close()
        finally:
            os.close(self._lock)

    def _one(self, query: str) -> int:
        return cast(int, self._connection.execute(query).fetchone()[0])


def open_storage(path: Path) -> SqliteStorage:
    """Open a file for writing, or make it. LedgerError if another process has it."""
    lock = _take_lock(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=160)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "fullfsync = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES}")
        return SqliteStorage(path, lock, connection, Journal(journal_of(path)))
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise LedgerError(f"the ledger `{path}` cannot be opened: {error}", remedy=_remedy(error)) from error


class SqliteSource:
    """An open file, read-only. Made with `open_source`."""

    words: Words = SQLITE
    apart = True

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._areas: Sequence[bytes] = ()

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @contextlib.contextmanager
    def moment(self) -> Generator[None]:
        """Read within it what the file holds at its beginning."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def begin(self) -> None:
        """Read from now on what is stored now."""
        self._areas = read_areas(self.path)  # before the snapshot: what is drained between is in both, not in neither
        self._connection.execute("BEGIN")

    @contextlib.contextmanager
    def latest(self) -> Generator[None]:
        """Read within it at one moment, with the journal's records in the temporary tables."""
        self.begin()
        try:
            self._fill()
            yield
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error
        finally:
            self._connection.execute("COMMIT")

    def _fill(self) -> None:
        execute = self._connection.execute
        head = told_by(self._head())
        try:
            tail = self.tail(Frontier() if head is None else frontier_of(head.size, self.subtrees))
        except LookupError:
            tail = Tail(0, Frontier())
        execute("CREATE TEMP TABLE IF NOT EXISTS late_records (seq INTEGER PRIMARY KEY, body BLOB)")
        execute("CREATE TEMP TABLE IF NOT EXISTS late_facts AS SELECT * FROM main.facts LIMIT 0")
        execute("CREATE TEMP TABLE IF NOT EXISTS late_accesses AS SELECT * FROM main.accesses LIMIT 0")
        for table in ("late_records", "late_facts", "late_accesses"):
            execute(f"DELETE FROM temp.{table}")  # noqa: S608 -- constants
        rows = list(enumerate(tail.bodies, tail.first))
        if rows:
            self._connection.executemany("INSERT INTO temp.late_records (seq, body) VALUES (?, ?)", rows)
            bounds = (tail.first, tail.size)
            execute(f"INSERT INTO temp.late_facts {select_facts('temp.late_records')}", bounds)
            execute(f"INSERT INTO temp.late_accesses {select_accesses('temp.late_records')}", bounds)

    def _head(self) -> str:
        rows = self.rows("SELECT note FROM head")
        note = rows[0][0] if rows else b""
        return note.decode("utf-8", "replace") if isinstance(note, bytes) else ""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def each_row(self, statement: str, values: Sequence[object]) -> Iterator[tuple[object, ...]]:
        """Yield them."""
        try:
            # not the cursor itself, which would be closed with whoever stops early, perhaps behind the connection
            for some in iter(partial(self._connection.execute(statement, values).fetchmany, 256), []):
                yield from some
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
        try:
            return _read_subtrees(self._connection, level, start, count)
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def faults(self, *, whole: bool) -> tuple[str, ...]:
        """Return what is wrong with the file itself; see `ledger_faults`."""
        try:
            return faults_of(self._connection, whole=whole)
        except sqlite3.Error as error:
            raise _unreadable(self.path, error) from error

    def tail(self, frontier: Frontier) -> Tail:
        """Return what the journal held beyond the file."""
        return follow(self._areas, frontier)

    def disk(self) -> int:
        """Return the file's size."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def open_source(path: Path) -> SqliteSource:
    """Open a file for reading; LedgerError if there is none."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger at `{path}`", remedy="name it with `--ledger PATH`")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.text_factory = bytes  # text in a tampered file may be no UTF-8
        connection.execute("PRAGMA trusted_schema = OFF")
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise LedgerError(f"`{path}` is not a ledger", remedy="name it with `--ledger PATH`")
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    return SqliteSource(path, connection)


def _unreadable(path: Path, error: sqlite3.Error) -> LedgerError:
    return LedgerError(f"the ledger `{path}` cannot be read: {error}", remedy="check that it is a ledger's file")


def _read_subtrees(connection: sqlite3.Connection, level: int, start: int, count: int) -> Sequence[bytes]:
    """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
    if level:
        query = "SELECT root FROM subtrees WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx"
        rows = connection.execute(query, (level, start, start + count)).fetchall()
    else:
        query = "SELECT hash FROM records WHERE seq >= ? AND seq < ? ORDER BY seq"
        rows = connection.execute(query, (start, start + count)).fetchall()
    if len(rows) != count:
        first, last = start << level, (start + count << level) - 1
        raise LookupError(f"hashes of the records {first} to {last} are missing")
    return [cast(bytes, row[0]) for row in rows]


def _take_lock(path: Path) -> int:
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"the ledger `{path}` cannot be opened: {error}", remedy=_remedy(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise LedgerError(
            f"the ledger `{path}` is in use by another gateway", remedy="stop that one, or name another data folder"
        ) from error
    return lock


def _insert_records(count: int) -> str:
    """Return the one statement that inserts `count` records: one step, so that the GIL is given up once."""
    return "INSERT INTO records (seq, hash, body) VALUES (?, ?, ?)" + ", (?, ?, ?)" * (count - 1)


def _remedy(error: Exception) -> str:
    if "full" in str(error) or "No space" in str(error):
        return "free some disk space; the gateway goes on by itself"
    return "check the folder's permissions and the disk"
