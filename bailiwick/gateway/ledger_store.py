"""The ledger's file as its only writer sees it: append batches durably, sign heads, recover, refuse what is off.

The file is opened by one process at a time (a lock file beside it says so). Everything here blocks; the gateway calls
it from the thread of `ledger_writer`. Readers use `ledger_reader` and never disturb the writer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger_schema import APPLICATION_ID, FORMAT, SCHEMA, SELECT_ACCESSES, SELECT_FACTS, TRIGGERS
from bailiwick.ledger.checkpoint import Checkpoint, Signer, is_key_name, open_checkpoint
from bailiwick.ledger.encode import Stamped, encode, moment
from bailiwick.ledger.merkle import Frontier, Subtree, extend, frontier_of, leaf_hash
from bailiwick.model.record import Record

MAX_BATCH = 128
"""Records that one `append` takes: its statement binds three parameters for each."""
SIGN_AFTER = 0.02
"""Seconds for which a signature may stand for what came after it as well; until then the head is vouched for."""
RETAIN_RECORDS = 1_000
RETAIN_AFTER = timedelta(seconds=60)
"""A signed head is kept as a checkpoint after so many records or so much time."""
INDEX_CHUNK = 64


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LedgerStore:
    """An open ledger. Make one with `open_store`; not safe for use by two threads at once."""

    def __init__(self, path: Path, lock: int, connection: sqlite3.Connection, now: Callable[[], datetime]) -> None:
        self._path = path
        self._lock = lock
        self._connection = connection
        self._now = now
        self._inode = os.stat(path).st_ino
        self._signer: Signer | None = None
        self._frontier = Frontier()
        self._sound = False
        self._retained = 0
        self._retained_at = now()
        self._signed = Frontier()
        """The tree that the signed head is for."""
        self._signed_at = 0.0
        self._indexed = 0

    @property
    def size(self) -> int:
        """Records that are durable."""
        return self._frontier.size

    @property
    def unindexed(self) -> int:
        """Records that queries do not find through the index yet (readers add them)."""
        return self._frontier.size - self._indexed

    @property
    def verifier_key(self) -> str:
        """The public key as `ledger verify` reads it. Keep a copy elsewhere."""
        return str(self._signing().verifier)

    def checkpoint(self) -> str:
        """Sign the newest state and return the note, to be kept elsewhere."""
        self.tidy()
        return self._head()

    def limit_pages(self, pages: int) -> None:
        """Let the file grow to no more than so many pages of 4 KiB; appending beyond fails like on a full disk."""
        self._connection.execute(f"PRAGMA max_page_count = {int(pages)}")

    def append(self, records: Sequence[Record | Stamped]) -> None:
        """Append at most `MAX_BATCH` records in one durable transaction; LedgerError, and nothing written, if not.

        After a failure the next call first checks the file against its signed head again, so a full disk that has
        room again, or a failed write, needs nobody's hand.
        """
        if not records:
            return
        try:
            if not self._sound:
                self._recover()
            if os.stat(self._path).st_ino != self._inode:
                raise LedgerError(f"the ledger `{self._path}` was replaced under the gateway", remedy="restart it")
            self._write(records)
        except (sqlite3.Error, OSError) as error:
            self._undo()
            raise LedgerError(f"the ledger `{self._path}` cannot be written: {error}", remedy=_remedy(error)) from error

    def _write(self, records: Sequence[Record | Stamped]) -> None:
        first = self._frontier.size
        values: list[object] = []
        hashes: list[bytes] = []
        for seq, record in enumerate(records, first):
            body = encode(record, seq)
            digest = leaf_hash(body)
            hashes.append(digest)
            values += (seq, digest, body)
        frontier, subtrees = extend(self._frontier, hashes)
        size, root = frontier.size, frontier.root()
        vouched = (size, root, self._signing().vouch(size, root))
        due = time.monotonic() - self._signed_at > SIGN_AFTER or size - self._retained >= RETAIN_RECORDS
        note = self._sign(frontier) if due else ""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute(_insert_records(len(hashes)), values)
        if subtrees:
            self._keep_subtrees(subtrees)
        execute("UPDATE head SET size = ?, root = ?, code = ?", vouched)
        retained = self._keep_note(frontier, note) if note else None
        execute("COMMIT")
        self._frontier = frontier
        if note:
            self._signed, self._signed_at = frontier, time.monotonic()
        if retained is not None:
            self._retained, self._retained_at = frontier.size, retained

    def _keep_note(self, frontier: Frontier, note: str, *, at_once: bool = False) -> datetime | None:
        """Make a note the signed head, and a checkpoint if one is due; return the moment if it was."""
        self._connection.execute("UPDATE head SET note = ?", (note,))
        return self._retain(frontier, note, at_once=at_once)

    def _keep_subtrees(self, subtrees: Sequence[Subtree]) -> None:
        rows = [(subtree.level, subtree.index, subtree.root) for subtree in subtrees]
        self._connection.executemany("INSERT INTO subtrees (level, idx, root) VALUES (?, ?, ?)", rows)

    def _retain(self, frontier: Frontier, note: str, *, at_once: bool = False) -> datetime | None:
        """Keep the head as a checkpoint when it is due; return the moment if it was."""
        now = self._now()
        grown = frontier.size - self._retained
        due = grown >= RETAIN_RECORDS or (grown > 0 and (at_once or now - self._retained_at >= RETAIN_AFTER))
        if not due:
            return None
        row = (frontier.size, moment(now), note)
        self._connection.execute("INSERT INTO checkpoints (size, at, note) VALUES (?, ?, ?)", row)
        return now

    def _undo(self) -> None:
        """Leave no transaction open, and trust nothing in memory until it was checked against the file."""
        self._sound = False
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def tidy(self, *, retain: bool = False) -> int:
        """Sign the head, index a piece of what is not yet indexed, keep a checkpoint if one is due (or `retain`).

        Return how many records are still to be indexed. For quiet moments: it is a transaction of its own.
        """
        if not self._sound:
            return 0
        last = min(self._indexed + INDEX_CHUNK, self._frontier.size) - 1
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            if last >= self._indexed:
                execute(f"INSERT INTO facts {SELECT_FACTS}", (self._indexed, last))
                execute(f"INSERT INTO accesses {SELECT_ACCESSES}", (self._indexed, last))
            if self._signed == self._frontier:
                retained = self._retain(self._frontier, self._head(), at_once=retain)
            else:
                retained = self._keep_note(self._frontier, self._sign(self._frontier), at_once=retain)
            execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise LedgerError(f"the ledger `{self._path}` cannot be written: {error}", remedy=_remedy(error)) from error
        self._indexed = last + 1
        self._signed, self._signed_at = self._frontier, time.monotonic()
        if retained is not None:
            self._retained, self._retained_at = self._frontier.size, retained
        return self.unindexed

    def close(self) -> None:
        """Index the rest, keep a last checkpoint, close the file and let go of the lock."""
        try:
            with contextlib.suppress(LedgerError):  # a full disk: the signed head is on disk all the same
                while self.tidy(retain=True):
                    pass
            self._connection.close()
        finally:
            os.close(self._lock)

    def prepare(self, key: Ed25519PrivateKey, origin: str) -> None:
        """Create the tables of a new file, or check an existing one against its signed head. By `open_store`."""
        if not self._one("PRAGMA application_id") and not self._one("SELECT count(*) FROM sqlite_master"):
            self._create(Signer(origin, key))
        if self._one("PRAGMA application_id") != APPLICATION_ID or self._one("PRAGMA user_version") != FORMAT:
            raise LedgerError(f"`{self._path}` is not a ledger of this version", remedy="name another file")
        stored = self._connection.execute("SELECT origin FROM log").fetchone()
        if stored is None:
            raise self._mismatch("its name is missing")
        self._signer = Signer(str(stored[0]), key)
        self._recover()

    def _create(self, signer: Signer) -> None:
        head = signer.sign(Checkpoint(signer.name, 0, Frontier().root()).text())
        self._connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} {TRIGGERS} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {FORMAT};"
        )
        self._connection.execute("INSERT INTO log (one, origin) VALUES (1, ?)", (signer.name,))
        root = Frontier().root()
        values = (head, root, signer.vouch(0, root))
        self._connection.execute("INSERT INTO head (one, note, size, root, code) VALUES (1, ?, 0, ?, ?)", values)
        self._connection.execute("COMMIT")

    def _recover(self) -> None:
        """Take up the tree from the file; LedgerError unless it is the one that the head was signed for."""
        head = open_checkpoint(self._head(), self._signing().verifier)
        if head is None:
            raise self._mismatch("its head was not signed with this gateway's key")
        last = self._one("SELECT coalesce(max(seq), -1) FROM records")
        size, root = self._vouched(head)
        if last != size - 1:
            raise self._mismatch(f"its head was signed for {size} records and it holds {last + 1}")
        try:
            frontier = frontier_of(size, self._subtrees)
        except LookupError as error:
            raise self._mismatch(str(error)) from error
        if frontier.root() != root:
            raise self._mismatch("its hashes do not give the root that was signed")
        self._frontier = frontier
        self._signed = frontier if size == head.size else Frontier()
        self._signed_at = 0.0
        self._retained = self._one("SELECT coalesce(max(size), 0) FROM checkpoints")
        self._indexed = self._one("SELECT coalesce(max(seq), -1) + 1 FROM facts")
        self._sound = True

    def _vouched(self, head: Checkpoint) -> tuple[int, bytes]:
        """Return size and root of the last batch: what was signed, or what has been vouched for since."""
        row = self._connection.execute("SELECT size, root, code FROM head").fetchone()
        size, root, code = cast("tuple[int, bytes, bytes]", row)
        if size == head.size:
            return head.size, head.root
        if size < head.size or not self._signing().vouched(size, root, code):
            raise self._mismatch("what came after its last signature was not written by this gateway")
        return size, root

    def _subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        return read_subtrees(self._connection, level, start, count)

    def _mismatch(self, what: str) -> LedgerError:
        return LedgerError(
            f"the ledger `{self._path}` is damaged or was tampered with: {what}",
            remedy="see `bailiwick ledger verify`; keep the file as evidence and start with a new one",
        )

    def _one(self, query: str) -> int:
        return cast(int, self._connection.execute(query).fetchone()[0])

    def _head(self) -> str:
        row = self._connection.execute("SELECT note FROM head").fetchone()
        return "" if row is None else str(row[0])

    def _signing(self) -> Signer:
        if self._signer is None:
            raise LedgerError("the ledger is not open")
        return self._signer

    def _sign(self, frontier: Frontier) -> str:
        signer = self._signing()
        return signer.sign(Checkpoint(signer.name, frontier.size, frontier.root()).text())


def open_store(
    path: Path, key: Ed25519PrivateKey, *, origin: str = "", now: Callable[[], datetime] = _utc_now
) -> LedgerStore:
    """Open or create the ledger for writing. LedgerError if another process has it, or if it does not match its head.

    `origin` names a new ledger in its checkpoints (no spaces, no `+`); by default a random name.
    """
    origin = origin or f"bailiwick/{os.urandom(8).hex()}"
    if not is_key_name(origin):
        raise LedgerError(f"`{origin}` cannot name a ledger", remedy="use a name without spaces and plus signs")
    lock = _take_lock(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=160)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        store = LedgerStore(path, lock, connection, now)
        store.prepare(key, origin)
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise LedgerError(f"the ledger `{path}` cannot be opened: {error}", remedy=_remedy(error)) from error
    except LedgerError:
        os.close(lock)
        raise
    return store


def read_subtrees(connection: sqlite3.Connection, level: int, start: int, count: int) -> Sequence[bytes]:
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
