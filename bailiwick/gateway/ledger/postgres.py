"""A ledger in a schema of PostgreSQL: the storage of the one process that writes it, and the source of its readers.

A commit is one statement, durable on return; another connection indexes and signs meanwhile what was committed. A lock
of the connection that commits says who writes: whoever lost the connection has lost the lock with it, and reads again
what is stored before it writes on, so that nothing is there twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from typing import cast

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.address import PostgresAddress
from bailiwick.gateway.ledger.pg_link import FAILURES, Link, numbered, reason, remedy, unreadable
from bailiwick.gateway.ledger.pg_schema import FORMAT, insert_accesses, insert_facts, setup
from bailiwick.gateway.ledger.storage import Commit, Taken
from bailiwick.ledger.frame import Tail
from bailiwick.ledger.merkle import Frontier, Subtree, extend, leaf_hash
from bailiwick.ledger.words import Postgres, Words

_PATIENCE = 10.0
"""Seconds that a statement of the writer may take."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds from a failed attempt to connect to the next one."""
_SETTINGS = {
    "tcp_keepalives_idle": "10",  # a server that waits for a machine that is gone holds its lock for no longer than so
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "60000",
}
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""


class PostgresStorage:
    """A log that this process writes. Made with `open_storage`."""

    quick = False
    buffers = False
    failures: tuple[type[Exception], ...] = FAILURES

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._s = f'"{address.log}".'
        self._insert = (
            f"INSERT INTO {self._s}records (seq, hash, body, code) "  # noqa: S608 -- a checked name
            "SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[])"
        )
        self._links: tuple[Link, Link] | None = None
        """The one that commits and holds the lock, and the one for all else."""
        self._stale = False
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """Where it is."""
        return str(self._address)

    def connect(self) -> None:
        """Connect and take the lock. LedgerError if another process has it."""
        self._open()

    def write(self, commit: Commit) -> bool:
        """Make records durable."""
        count = len(commit.bodies)
        numbers = [*range(commit.first, commit.first + count)]
        codes = [*([None] * (count - 1)), commit.code]
        self._open()[0].run(self._insert, numbers, commit.hashes, commit.bodies, codes)
        return True

    def turn(self) -> None:
        """Nothing: what was written is where it belongs."""

    def take_up(self, taken: Taken) -> None:
        """Index records and replace the head, if it is the one that is known."""
        link = self._open()[1]
        link.run("BEGIN")
        if taken.end > taken.first:
            bounds = (taken.first, taken.end - 1)
            link.run(insert_facts(self._address.log), *bounds)
            link.run(insert_accesses(self._address.log), *bounds)
        if taken.subtrees:
            rows = [(each.level, each.index, each.root) for each in taken.subtrees]
            link.each(f"INSERT INTO {self._s}subtrees (level, idx, root) VALUES ($1, $2, $3)", rows)  # noqa: S608 -- a checked name
        done = link.run(f"UPDATE {self._s}head SET note = $1 WHERE note = $2", taken.head, taken.before)  # noqa: S608 -- likewise
        if done != "UPDATE 1":
            raise LedgerError(f"the ledger `{self.name}` was written by somebody else", remedy="see `ledger verify`")
        if taken.kept is not None:
            values = (*taken.kept, taken.head)
            link.run(f"INSERT INTO {self._s}checkpoints (size, at, note) VALUES ($1, $2, $3)", *values)  # noqa: S608 -- likewise
        link.run("COMMIT")

    def part(self) -> None:
        """Nothing: each record stands for itself."""

    def settle(self) -> None:
        """Nothing: each transaction is durable."""

    def prune(self, spans: Sequence[tuple[int, int]]) -> None:
        """Remove the content of records (first, last), and what the index tells of it."""
        link = self._open()[1]
        link.run("BEGIN")
        for span in spans:
            link.rows(f"SELECT {self._s}prune($1, $2)", *span)
        link.run("COMMIT")

    def create(self, origin: str, head: str) -> None:
        """Make the schema unless it is there, and name a new ledger; LedgerError if there is something else."""
        link = self._open()[1]
        if link.rows("SELECT to_regclass($1)::text", f"{self._s}log")[0][0] is None:
            link.run(f"BEGIN; {setup(self._address.log)} COMMIT;")
        if link.rows("SELECT to_regclass($1)::text", f"{self._s}head")[0][0] is None:
            raise LedgerError(f"`{self.name}` is not a ledger of this version", remedy="name another log: `?log=NAME`")
        if not link.rows(f"SELECT FROM {self._s}log UNION ALL SELECT FROM {self._s}records LIMIT 1"):  # noqa: S608 -- a checked name
            link.run("BEGIN")
            link.run(f"INSERT INTO {self._s}log (one, format, origin) VALUES (1, $1, $2)", FORMAT, origin)  # noqa: S608 -- likewise
            link.run(f"INSERT INTO {self._s}head (one, note) VALUES (1, $1)", head)  # noqa: S608 -- likewise
            link.run("COMMIT")
        formats = link.rows(f"SELECT format FROM {self._s}log")  # noqa: S608 -- likewise
        if formats and formats[0][0] != FORMAT:
            raise LedgerError(f"`{self.name}` is not a ledger of this version", remedy="name another log: `?log=NAME`")

    def origin(self) -> str | None:
        """Return the ledger's name."""
        rows = self._open()[1].rows(f"SELECT origin FROM {self._s}log")  # noqa: S608 -- a checked name
        return str(rows[0][0]) if rows else None

    def head(self) -> str:
        """Return the signed head; empty when there is none."""
        rows = self._open()[1].rows(f"SELECT note FROM {self._s}head")  # noqa: S608 -- likewise
        return str(rows[0][0]) if rows else ""

    def last(self) -> int:
        """Return the number of the last record that is indexed; -1 when there is none."""
        indexed = f"(SELECT max(seq) FROM {self._s}facts)"  # noqa: S608 -- likewise
        return self._number(f"SELECT coalesce(max(seq), -1) FROM {self._s}records WHERE seq <= {indexed}")  # noqa: S608 -- likewise

    def retained(self) -> int:
        """Return the size of the newest checkpoint that was kept."""
        return self._number(f"SELECT coalesce(max(size), 0) FROM {self._s}checkpoints")  # noqa: S608 -- likewise

    def subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
        return _subtrees(self._open()[1], self._s, level, start, count)

    def tail(self, frontier: Frontier) -> Tail:
        """Return the records beyond what the head was signed for."""
        return _tail(self._open()[1], self._s, frontier)

    def undo(self) -> None:
        """Use these connections no more: what is under way there is rolled back when they are cut."""
        self._stale = True

    def reason(self, error: Exception) -> str:
        """Return what failed, in words that may be shown."""
        return reason(error)

    def remedy(self, error: Exception) -> str:
        """Return what to do about a failure."""
        return remedy(error)

    def let_go(self) -> None:
        """Close the connections, and so let go of the lock."""
        for link in self._links or ():
            link.close()
        self._links = None

    def _number(self, statement: str) -> int:
        return cast(int, self._open()[1].rows(statement)[0][0])

    def _open(self) -> tuple[Link, Link]:
        """Return the connections, made anew after a failure, though not at once again and again."""
        if self._links is not None and not self._stale:
            return self._links
        self.let_go()
        if time.monotonic() < self._not_before:
            raise LedgerError(f"the ledger `{self.name}` cannot be reached", remedy="it is tried again in a moment")
        self._not_before = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._links = self._connected()
        self._stale = False
        self._pause = _FIRST_PAUSE
        return self._links

    def _connected(self) -> tuple[Link, Link]:
        with contextlib.ExitStack() as opened:
            first = Link(self._address, _SETTINGS, _PATIENCE)
            opened.callback(first.close)
            first.rows(_DURABLE)
            lock = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
            if first.rows(lock, f"bailiwick ledger {self._address.log}")[0][0] is not True:
                text = f"the ledger `{self.name}` is in use by another gateway"
                raise LedgerError(text, remedy="stop that one, or give each gateway a log of its own: `?log=NAME`")
            second = Link(self._address, _SETTINGS, 10 * _PATIENCE)
            opened.callback(second.close)
            second.rows(_DURABLE)
            opened.pop_all()
            return first, second


def open_storage(address: PostgresAddress) -> PostgresStorage:
    """Open a log for writing. LedgerError if another process writes it, or if it cannot be reached."""
    storage = PostgresStorage(address)
    try:
        storage.connect()
    except FAILURES as error:
        text = f"the ledger `{address}` cannot be opened: {reason(error)}"
        raise LedgerError(text, remedy=remedy(error)) from None
    return storage


class PostgresSource:
    """A log that is read. Made with `open_source`."""

    apart = False

    def __init__(self, address: PostgresAddress, link: Link) -> None:
        self._address = address
        self._link = link
        self._s = f'"{address.log}".'
        self.words: Words = Postgres(address.log)

    @property
    def name(self) -> str:
        """Where it is."""
        return str(self._address)

    @contextlib.contextmanager
    def moment(self) -> Generator[None]:
        """Read within it what is stored at its beginning."""
        self.begin()
        try:
            yield
        finally:
            with contextlib.suppress(*FAILURES):  # nothing was written, and a broken link is closed by whoever reads
                self._link.run("ROLLBACK")

    def begin(self) -> None:
        """Read from now on what is stored now."""
        try:
            self._link.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except FAILURES as error:
            raise unreadable(self._address, error) from None

    def latest(self) -> contextlib.AbstractContextManager[None]:
        """Read within it at one moment, with what is not indexed yet: views show it."""
        return self.moment()

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        try:
            return self._link.rows(numbered(statement), *values)
        except FAILURES as error:
            raise unreadable(self._address, error) from None

    def each_row(self, statement: str, values: Sequence[object]) -> Iterator[tuple[object, ...]]:
        """Yield them, some thousands in memory at a time."""
        try:
            yield from self._link.each_row(numbered(statement), *values)
        except FAILURES as error:
            raise unreadable(self._address, error) from None

    def subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return stored roots of subtrees (`merkle.Subtrees`); LookupError if one is missing."""
        try:
            return _subtrees(self._link, self._s, level, start, count)
        except FAILURES as error:
            raise unreadable(self._address, error) from None

    def tail(self, frontier: Frontier) -> Tail:
        """Return the records beyond what the head was signed for."""
        try:
            return _tail(self._link, self._s, frontier)
        except FAILURES as error:
            raise unreadable(self._address, error) from None

    def disk(self) -> int:
        """Return the bytes of its tables and their indexes."""
        of = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
        where = "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = ?"
        return cast(int, self.rows(f"{of} {where}", (self._address.log,))[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def open_source(address: PostgresAddress) -> PostgresSource:
    """Open a log for reading; LedgerError if there is none."""
    try:
        link = Link(address, {}, None)
    except FAILURES as error:
        raise unreadable(address, error) from None
    source = PostgresSource(address, link)
    try:
        if source.rows("SELECT to_regclass(?)::text", (f'"{address.log}".records',))[0][0] is None:
            raise LedgerError(f"there is no ledger at `{address}`", remedy="name its log: `?log=NAME`")
    except LedgerError:
        source.close()
        raise
    return source


def _subtrees(link: Link, s: str, level: int, start: int, count: int) -> Sequence[bytes]:
    if level:
        query = f"SELECT root FROM {s}subtrees WHERE level = $1 AND idx >= $2 AND idx < $3 ORDER BY idx"  # noqa: S608 -- a checked name
        rows = link.rows(query, level, start, start + count)
    else:
        query = f"SELECT hash FROM {s}records WHERE seq >= $1 AND seq < $2 ORDER BY seq"  # noqa: S608 -- likewise
        rows = link.rows(query, start, start + count)
    if len(rows) != count:
        first, last = start << level, (start + count << level) - 1
        raise LookupError(f"hashes of the records {first} to {last} are missing")
    return [cast(bytes, row[0]) for row in rows]


def _tail(link: Link, s: str, frontier: Frontier) -> Tail:
    """Follow the commits beyond a tree. Each ends with the record that has its code."""
    query = f"SELECT seq, hash, body, code FROM {s}records WHERE seq >= $1 ORDER BY seq"  # noqa: S608 -- a checked name
    start, code = frontier.size, b""
    bodies: list[bytes] = []
    hashes: list[bytes] = []
    subtrees: list[Subtree] = []
    commit: list[tuple[bytes, bytes]] = []
    missing = changed = None
    for number, digest, body, its in cast("list[tuple[int, bytes, bytes, bytes | None]]", link.rows(query, start)):
        at = frontier.size + len(commit)
        if number != at:
            missing = (at, number - 1)
            break
        if leaf_hash(body) != digest:
            changed = (number, number)
            break
        commit.append((body, digest))
        if its is not None:
            frontier, completed = extend(frontier, [each for _, each in commit])
            subtrees += completed
            bodies += [each for each, _ in commit]
            hashes += [each for _, each in commit]
            commit, code = [], its
    else:
        if commit:
            changed = (frontier.size, frontier.size + len(commit) - 1)
    return Tail(start, frontier, tuple(bodies), tuple(hashes), tuple(subtrees), code, missing, changed)
