"""Records and ledgers for the ledger's tests, and the tools of an intruder who may edit the file but has no key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.gateway.ledger.address import LedgerAddress, PostgresAddress
from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.gateway.ledger.sqlite import SqliteStorage
from bailiwick.gateway.ledger.store import LedgerStore, open_store
from bailiwick.ledger.checkpoint import Signer, VerifierKey
from bailiwick.ledger.encode import encode
from bailiwick.ledger.facts import Facts, actions_of
from bailiwick.ledger.merkle import leaf_hash, subtree_root
from bailiwick.ledger.report import Report
from bailiwick.ledger.verify import verify
from bailiwick.model.record import Record

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "test/ledger"
SIGNER = Signer(ORIGIN, KEY)
VERIFIER: VerifierKey = SIGNER.verifier
START = datetime(2026, 11, 22, 8, 0, 0, 1, UTC)


def record(number: int, *, agent: str = "support-bot", action: str = "tickets:read", statement: str = "") -> Record:
    """A record as the gateway makes them; its moment is `number` seconds after `START`."""
    return Record(
        id=f"rec_{number:026d}",
        kind="call",
        at=START + timedelta(seconds=number),
        agent=agent,
        user=f"user{number % 3}",
        session=f"ses_{number % 7}",
        task="handle-ticket",
        mount="crm",
        actions=(action,),
        statement=statement or f"SELECT subject FROM tickets WHERE ticket_id = $1 -- {number}",
        decision="deny" if number % 10 == 9 else "allow",
        code="action_not_granted" if number % 10 == 9 else "",
        rows=1,
    )


def fixed_now() -> datetime:
    """A clock that stands still."""
    return START


def new_store(path: LedgerAddress, now: Callable[[], datetime] = fixed_now) -> LedgerStore:
    """Open a ledger with the tests' key."""
    return open_store(path, KEY, origin=ORIGIN, now=now)


def file_of(store: LedgerStore) -> SqliteStorage:
    """Return the file that a ledger is kept in."""
    assert isinstance(store.storage, SqliteStorage)
    return store.storage


def fill(store: LedgerStore, records: Sequence[Record], batch: int = 100) -> None:
    """Append records in batches, each of them taken up by the file."""
    for at in range(0, len(records), batch):
        store.append(records[at : at + batch])
        store.drain()


def checked(path: LedgerAddress, external: Sequence[str] = ()) -> Report:
    """Verify a ledger."""
    reader = open_reader(path)
    with closing(reader):
        return verify(reader.begin_evidence(), VERIFIER, external, SIGNER)


class Cursor(Protocol):
    """The rows of a statement."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """A database as an intruder has it."""

    def execute(self, statement: str, values: Sequence[object] = ..., /) -> Cursor: ...


class InPostgres:
    """A superuser's connection to a log in PostgreSQL, who says things as for SQLite."""

    def __init__(self, address: PostgresAddress) -> None:
        self.real = psycopg.connect(address.url, options=f"-c search_path={address.log}")
        self.execute("SET session_replication_role = replica")

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Cursor:
        """Run a statement."""
        said = statement.replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')").replace("?", "%s")
        return self.real.execute(said.encode(), values or None)


class Intruder:
    """Edits a ledger past its triggers."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, statement: str, *values: object) -> None:
        """Run any SQL."""
        self.connection.execute(statement, values)

    def body(self, seq: int) -> bytes:
        """Return a record's bytes."""
        return cast(bytes, self.connection.execute("SELECT body FROM records WHERE seq = ?", (seq,)).fetchone()[0])

    def rewrite(self, seq: int, body: bytes, *, hashed: bool = True) -> None:
        """Replace a record's bytes, and its hash to fit."""
        self.run("UPDATE records SET body = ? WHERE seq = ?", body, seq)
        if hashed:
            self.run("UPDATE records SET hash = ? WHERE seq = ?", leaf_hash(body), seq)

    def forge(self, seq: int, *, hashed: bool = True, claim: int | None = None) -> None:
        """Replace a record by a false one."""
        false = record(seq, statement="SELECT 1")
        self.rewrite(seq, encode(false, seq if claim is None else claim), hashed=hashed)

    def insert(self, seq: int, body: bytes) -> None:
        """Add a row."""
        self.run("INSERT INTO records (seq, hash, body) VALUES (?, ?, ?)", seq, leaf_hash(body), body)

    def shift(self, start: int, by: int) -> None:
        """Renumber the rows from `start` on."""
        self.run("UPDATE records SET seq = -seq - ? WHERE seq >= ?", by, start)
        self.run("UPDATE records SET seq = -seq WHERE seq < 0")

    def retile(self, tile: int) -> None:
        """Make a tile's stored root fit its rows."""
        query = "SELECT hash FROM records WHERE seq >= ? AND seq < ? ORDER BY seq"
        rows = self.connection.execute(query, (tile * 256, tile * 256 + 256)).fetchall()
        root = subtree_root([cast(bytes, row[0]) for row in rows])
        self.run("UPDATE subtrees SET root = ? WHERE level = 8 AND idx = ?", root, tile)

    def reindex(self, seq: int) -> None:
        """Make the search index fit a row."""
        from bailiwick.ledger.encode import read

        document = read(self.body(seq)) or {}
        for name in Facts._fields:
            self.run(f'UPDATE facts SET "{name}" = ? WHERE seq = ?', document.get(name, ""), seq)
        self.run("DELETE FROM accesses WHERE seq = ?", seq)
        for action in actions_of(document):
            self.run("INSERT INTO accesses (action, seq) VALUES (?, ?)", action, seq)

    def cut(self, size: int) -> None:
        """Remove everything from record `size` on, wherever it stands."""
        for table in ("records", "facts", "accesses"):
            self.run(f"DELETE FROM {table} WHERE seq >= ?", size)
        self.run("DELETE FROM checkpoints WHERE size > ?", size)
        self.run("DELETE FROM subtrees WHERE (idx + 1) * (CASE level WHEN 8 THEN 256 ELSE 65536 END) > ?", size)


@contextmanager
def intruding(path: LedgerAddress) -> Generator[Intruder]:
    """Edit a ledger that no gateway has open."""
    if isinstance(path, PostgresAddress):
        link = InPostgres(path)
        with link.real:
            yield Intruder(link)
        return
    with closing(sqlite3.connect(path)) as connection, connection:
        drop_triggers(connection)
        yield Intruder(connection)


def drop_triggers(connection: Connection) -> None:
    """Let a file be edited."""
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
