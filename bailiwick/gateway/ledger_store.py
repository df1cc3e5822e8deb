"""The ledger's file as its only writer sees it: append durably, sign heads, recover, refuse what is off.

A commit goes to the journal first, and from there to the file with others (`drain`). The file is opened by one process
at a time (a lock file beside it says so). Readers use `ledger_reader` and never disturb the writer.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger_journal import Journal, journal_of
from bailiwick.gateway.ledger_schema import (
    APPLICATION_ID,
    FORMAT,
    SCHEMA,
    TRIGGERS,
    UPGRADE,
    select_accesses,
    select_facts,
)
from bailiwick.ledger.checkpoint import Checkpoint, Signer, is_key_name, open_checkpoint, sign_by
from bailiwick.ledger.encode import Stamped, encode, moment
from bailiwick.ledger.frame import Tail, follow, frame_bytes
from bailiwick.ledger.merkle import Frontier, Subtree, extend, frontier_of, leaf_hash
from bailiwick.ledger.report import span
from bailiwick.model.record import Record

_MOST_ROWS = 128
"""Records that one statement inserts: it binds three parameters for each."""
RETAIN_RECORDS = 1_000
RETAIN_AFTER = timedelta(seconds=60)
"""A signed head is kept as a checkpoint after so many records or so much time."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LedgerStore:
    """An open ledger. Make one with `open_store`.

    For one thread at a time, except that one may call `drain` while another calls `try_append`.
    """

    def __init__(
        self, path: Path, lock: int, connection: sqlite3.Connection, journal: Journal, now: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._place = str(path)
        self._lock = lock
        self._connection = connection
        self._journal = journal
        self._now = now
        self._inode = os.stat(path).st_ino
        self._signers: tuple[Signer, ...] = ()
        """The newest key's first: it vouches. All sign."""
        self._turning = threading.Lock()
        """Held while what is not yet in the file is added to, or taken."""
        self._frontier = Frontier()
        self._rows: list[tuple[int, bytes, bytes]] = []
        """Durable in the journal and not yet in the file: number, hash and bytes of each record."""
        self._subtrees: list[Subtree] = []
        self._sound = False
        self._signed = 0
        self._retained = 0
        self._retained_at = now()

    @property
    def size(self) -> int:
        """Records that are durable."""
        return self._frontier.size

    @property
    def undrained(self) -> int:
        """Records that are in the journal only (readers find them there)."""
        return len(self._rows)

    @property
    def verifier_key(self) -> str:
        """The public key as `ledger verify` reads it. Keep a copy elsewhere."""
        return str(self._signing().verifier)

    def checkpoint(self) -> str:
        """Sign the newest state and return the note, to be kept elsewhere."""
        self.drain()
        return self._head()

    def change_keys(self, keys: Sequence[Ed25519PrivateKey]) -> None:
        """Sign with these keys from now on, the first of which also vouches; keep a checkpoint by them at once."""
        self.drain()
        name = self._signing().name
        with self._turning:
            self._signers = tuple(Signer(name, key) for key in keys)
        self.resign()

    def resign(self) -> None:
        """Sign the head anew, with the keys that sign now, and keep it as a checkpoint."""
        with self._turning:
            self._signed = -1
        self.drain(retain=True)

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._signing().name

    def prune(self, spans: Sequence[tuple[int, int]]) -> None:
        """Remove the content of records (first, last) for good, and what the index tells of it; their hashes stay.

        A durable record must say so already. Brief spans only: it is one transaction.
        """
        execute = self._connection.execute
        with self._guarded():
            execute("PRAGMA secure_delete = ON")
            execute("BEGIN IMMEDIATE")
            for first, last in spans:
                execute("INSERT OR IGNORE INTO pruned (first, last) VALUES (?, ?)", (first, last))
                actions = select_accesses("main.records")
                execute(f"DELETE FROM accesses WHERE (action, seq) IN ({actions})", (first, last))  # noqa: S608 -- a constant
                execute("DELETE FROM facts WHERE seq BETWEEN ? AND ?", (first, last))
                execute("UPDATE records SET body = x'' WHERE seq BETWEEN ? AND ?", (first, last))
            execute("COMMIT")

    def checkpoint_of(self, size: int) -> str:
        """Sign an earlier size of this same ledger, and return the note; LedgerError if it was never as large."""
        self.drain()
        if not 0 <= size <= self._signed:
            raise LedgerError(f"the ledger has {self._signed} records", remedy="give a smaller size")
        try:
            return self._sign(frontier_of(size, self._read_subtrees))
        except LookupError as error:
            raise self._mismatch(str(error)) from error

    def limit_pages(self, pages: int) -> None:
        """Let the file grow to no more than so many pages of 4 KiB; draining beyond fails like on a full disk."""
        self._connection.execute(f"PRAGMA max_page_count = {int(pages)}")

    def append(self, records: Sequence[Record | Stamped]) -> bool:
        """Append records durably, all or none, and return True; LedgerError, and nothing written, if not.

        After a failure the next call first checks the file against its signed head again, so a full disk that has
        room again, or a failed write, needs nobody's hand.
        """
        if not self._sound:
            with self._guarded():
                self._recover()
        if self.try_append(records):
            return True
        self.drain()
        if not self.try_append(records):
            self._append_past_the_journal(records)
        return True

    def try_append(self, records: Sequence[Record | Stamped]) -> bool:
        """Append records as long as the journal has room for them; False, and nothing written, if it has not.

        LedgerError as by `append`. What a failure left is for `append` to mend: until then the answer is False.
        """
        if not records:
            return True
        with self._turning, self._guarded():
            return self._sound and self._write(records)

    def _write(self, records: Sequence[Record | Stamped]) -> bool:
        if os.stat(self._place).st_ino != self._inode:
            raise LedgerError(f"the ledger `{self._path}` was replaced under the gateway", remedy="restart it")
        first = self._frontier.size
        bodies = [encode(record, seq) for seq, record in enumerate(records, first)]
        hashes = [leaf_hash(body) for body in bodies]
        frontier, subtrees = extend(self._frontier, hashes)
        size, root = frontier.size, frontier.root()
        if not self._journal.write(frame_bytes(first, bodies, root, self._signing().vouch(size, root))):
            return False
        self._keep(frontier, zip(range(first, size), hashes, bodies, strict=True), subtrees)
        return True

    def _keep(self, frontier: Frontier, rows: Iterable[tuple[int, bytes, bytes]], subtrees: Iterable[Subtree]) -> None:
        self._frontier = frontier
        self._rows += rows
        self._subtrees += subtrees

    def _append_past_the_journal(self, records: Sequence[Record | Stamped]) -> None:
        """Append what is too large for the journal to the file itself. The journal must be empty."""
        first = self._frontier.size
        bodies = [encode(record, seq) for seq, record in enumerate(records, first)]
        hashes = [leaf_hash(body) for body in bodies]
        frontier, subtrees = extend(self._frontier, hashes)
        self._keep(frontier, zip(range(first, frontier.size), hashes, bodies, strict=True), subtrees)
        self.drain()

    def drain(self, *, retain: bool = False) -> None:
        """Take up into the file what the journal holds, sign it, keep a checkpoint if one is due (or `retain`).

        LedgerError when the file cannot be written: what is in the journal stays there, and `append` begins anew.
        """
        with self._turning:
            if not self._sound:
                return
            rows, subtrees, frontier = self._rows, self._subtrees, self._frontier
            self._rows, self._subtrees = [], []
            if rows:
                self._journal.turn()
        with self._guarded():
            self._take_up(rows, subtrees, frontier, retain=retain)

    def _take_up(
        self, rows: Sequence[tuple[int, bytes, bytes]], subtrees: Sequence[Subtree], frontier: Frontier, *, retain: bool
    ) -> None:
        moment_due = self._due(frontier, at_once=retain)
        if frontier.size == self._signed and moment_due is None:
            return
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for at in range(0, len(rows), _MOST_ROWS):
            chunk = rows[at : at + _MOST_ROWS]
            execute(_insert_records(len(chunk)), list(itertools.chain.from_iterable(chunk)))
        if rows:
            self._connection.executemany(
                "INSERT INTO subtrees (level, idx, root) VALUES (?, ?, ?)",
                [(subtree.level, subtree.index, subtree.root) for subtree in subtrees],
            )
            bounds = (rows[0][0], rows[-1][0])
            execute(f"INSERT INTO facts {select_facts('main.records')}", bounds)
            execute(f"INSERT INTO accesses {select_accesses('main.records')}", bounds)
        note = self._sign(frontier)
        execute("UPDATE head SET note = ?", (note,))
        if moment_due is not None:
            row = (frontier.size, moment(moment_due), note)
            execute("INSERT INTO checkpoints (size, at, note) VALUES (?, ?, ?)", row)
        execute("COMMIT")
        self._signed = frontier.size
        if moment_due is not None:
            self._retained, self._retained_at = frontier.size, moment_due

    def _due(self, frontier: Frontier, *, at_once: bool) -> datetime | None:
        """Return the moment if the head is to be kept as a checkpoint now."""
        now = self._now()
        grown = frontier.size - self._retained
        due = grown >= RETAIN_RECORDS or (grown > 0 and (at_once or now - self._retained_at >= RETAIN_AFTER))
        return now if due else None

    @contextlib.contextmanager
    def _guarded(self) -> Generator[None]:
        """If what is done fails leave no transaction open, and trust nothing in memory until it was read again."""
        try:
            yield
        except (sqlite3.Error, OSError, LedgerError) as error:
            self._sound = False
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            if isinstance(error, LedgerError):
                raise
            text = f"the ledger `{self._path}` cannot be written: {error}"
            raise LedgerError(text, remedy=_remedy(error)) from error

    def close(self) -> None:
        """Take up the rest, keep a last checkpoint, close the files and let go of the lock."""
        try:
            with contextlib.suppress(LedgerError):  # a full disk: the journal holds it all the same
                self.drain(retain=True)
            self._connection.close()
            self._journal.close()
        finally:
            os.close(self._lock)

    def prepare(self, keys: Sequence[Ed25519PrivateKey], origin: str) -> None:
        """Create the tables of a new file, or check an existing one against its signed head. By `open_store`."""
        if not self._one("PRAGMA application_id") and not self._one("SELECT count(*) FROM sqlite_master"):
            self._create(Signer(origin, keys[0]))
        if self._one("PRAGMA application_id") == APPLICATION_ID and self._one("PRAGMA user_version") == FORMAT - 1:
            self._connection.executescript(f"BEGIN IMMEDIATE; {UPGRADE} PRAGMA user_version = {FORMAT}; COMMIT;")
        if self._one("PRAGMA application_id") != APPLICATION_ID or self._one("PRAGMA user_version") != FORMAT:
            raise LedgerError(f"`{self._path}` is not a ledger of this version", remedy="name another file")
        stored = self._connection.execute("SELECT origin FROM log").fetchone()
        if stored is None:
            raise self._mismatch("its name is missing")
        self._signers = tuple(Signer(str(stored[0]), key) for key in keys)
        self._recover()

    def _create(self, signer: Signer) -> None:
        head = signer.sign(Checkpoint(signer.name, 0, Frontier().root()).text())
        self._connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} {TRIGGERS} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {FORMAT};"
        )
        self._connection.execute("INSERT INTO log (one, origin) VALUES (1, ?)", (signer.name,))
        self._connection.execute("INSERT INTO head (one, note) VALUES (1, ?)", (head,))
        self._connection.execute("COMMIT")

    def _recover(self) -> None:
        """Take up the tree from the file, and what the journal has beyond it.

        LedgerError unless the one is what the head was signed for, and the other vouched for.
        """
        head = open_checkpoint(self._head(), *(signer.verifier for signer in self._signers))
        if head is None:
            raise self._mismatch("its head was not signed with this gateway's key")
        last = self._one("SELECT coalesce(max(seq), -1) FROM records")
        if last != head.size - 1:
            raise self._mismatch(f"its head was signed for {head.size} records and it holds {last + 1}")
        try:
            frontier = frontier_of(head.size, self._read_subtrees)
        except LookupError as error:
            raise self._mismatch(str(error)) from error
        if frontier.root() != head.root:
            raise self._mismatch("its hashes do not give the root that was signed")
        self._signed = head.size
        self._retained = self._one("SELECT coalesce(max(size), 0) FROM checkpoints")
        tail = self._checked(follow(self._journal.areas(), frontier))
        self._rows, self._subtrees = [], []
        rows = zip(range(tail.first, tail.size), tail.hashes, tail.bodies, strict=True)
        self._take_up(list(rows), tail.subtrees, tail.frontier, retain=False)
        self._frontier = tail.frontier
        self._journal.turn()
        self._sound = True

    def _checked(self, tail: Tail) -> Tail:
        """Return what the journal holds, if nobody but this gateway can have written it."""
        if tail.missing is not None:
            raise self._mismatch(f"{span(*tail.missing)}: neither in it nor in its journal")
        if tail.changed is not None:
            raise self._mismatch(f"{span(*tail.changed)}: changed in its journal")
        root = tail.frontier.root()
        if tail.bodies and not any(each.vouched(tail.size, root, tail.code) for each in self._signers):
            raise self._mismatch("what its journal holds was not written by this gateway")
        return tail

    def _read_subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
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
        if not self._signers:
            raise LedgerError("the ledger is not open")
        return self._signers[0]

    def _sign(self, frontier: Frontier) -> str:
        return sign_by(Checkpoint(self._signing().name, frontier.size, frontier.root()).text(), self._signers)


def open_store(
    path: Path, *keys: Ed25519PrivateKey, origin: str = "", now: Callable[[], datetime] = _utc_now
) -> LedgerStore:
    """Open or create the ledger for writing. LedgerError if another process has it, or if it does not match its head.

    All `keys` sign, and one of them must have signed its head: more than one while an older is being replaced.
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
        journal = Journal(journal_of(path))
        store = LedgerStore(path, lock, connection, journal, now)
        store.prepare(keys, origin)
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
