"""Reading a ledger's file while the gateway writes it: query, tail, proofs, and the evidence for verification.

Opened read-only; never waits for the writer nor makes it wait. What a reader shows comes from the records' bytes; the
index only finds them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger_schema import APPLICATION_ID, SELECT_ACCESSES, SELECT_FACTS
from bailiwick.gateway.ledger_store import read_subtrees
from bailiwick.ledger.checkpoint import Proof, parse_checkpoint
from bailiwick.ledger.encode import moment
from bailiwick.ledger.facts import Facts
from bailiwick.ledger.leaves import Row
from bailiwick.ledger.merkle import Subtree, inclusion_proof
from bailiwick.ledger.verify import Evidence, Tail


@dataclass(frozen=True, slots=True)
class Query:
    """What records to find; empty members do not restrict. Every other text must be equal."""

    id: str = ""
    kind: str = ""
    agent: str = ""
    user: str = ""
    session: str = ""
    task: str = ""
    decision: str = ""
    code: str = ""
    refers: str = ""
    resource: str = ""
    action: str = ""
    """`resource:verb`."""
    since: datetime | None = None
    until: datetime | None = None
    """Before that moment."""
    after: int = -1
    """Only records with a higher sequence number."""
    limit: int = 100
    """At most so many, the newest ones."""


_EQUAL = ("id", "kind", "agent", "user", "session", "task", "decision", "code", "refers")
_FACTS = "(SELECT * FROM main.facts UNION ALL SELECT * FROM temp.late_facts)"
_ACCESSES = "(SELECT * FROM main.accesses UNION ALL SELECT * FROM temp.late_accesses)"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it is stored: its place, and its canonical bytes."""

    seq: int
    body: bytes


class LedgerReader:
    """An open ledger, for reading. Make one with `open_reader`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def checkpoint(self) -> str:
        """Return the signed head as a note."""
        return self._text("SELECT note FROM head")

    def origin(self) -> str:
        """Return the name of the log."""
        return self._text("SELECT origin FROM log")

    def query(self, query: Query) -> list[Stored]:
        """Return the records that match, oldest first; of more than `limit` the newest."""
        where, values = _conditions(query)
        self._add_late()
        statement = (
            f"SELECT r.seq, r.body FROM {_FACTS} f JOIN main.records r ON r.seq = f.seq"  # noqa: S608 -- constants; values are bound
            f" WHERE {' AND '.join(where)} ORDER BY f.seq DESC LIMIT ?"
        )
        rows = self._rows(statement, (*values, query.limit))
        return [Stored(cast(int, seq), _bytes(body)) for seq, body in reversed(rows)]

    def at(self, seq: int) -> Stored | None:
        """Return the record of that sequence number."""
        rows = self._rows("SELECT seq, body FROM records WHERE seq = ?", (seq,))
        return Stored(cast(int, rows[0][0]), _bytes(rows[0][1])) if rows else None

    def prove(self, seq: int) -> Proof:
        """Return the proof that a record is in the tree of the signed head."""
        self._connection.execute("BEGIN")
        try:
            note = self.checkpoint()
            head = parse_checkpoint(note.rpartition("\n\n")[0] + "\n")
            if head is None or not 0 <= seq < head.size:
                raise LedgerError(
                    f"the signed head does not reach record {seq}", remedy="run `bailiwick ledger verify`"
                )
            return Proof(seq, inclusion_proof(seq, head.size, self._subtrees), note)
        except LookupError as error:
            raise LedgerError(f"no proof: {error}", remedy="run `bailiwick ledger verify`") from error
        finally:
            self._connection.execute("ROLLBACK")

    def begin_evidence(self) -> Evidence:
        """Return all that verification needs, as it was at one moment; read its rows before closing the reader."""
        self._connection.execute("BEGIN")
        indexed = self._rows("SELECT coalesce(max(seq), -1) + 1 FROM facts")
        return Evidence(
            rows=self._evidence_rows(),
            count=cast(int, self._rows("SELECT count(*) FROM records")[0][0]),
            indexed=cast(int, indexed[0][0]),
            subtrees=[
                Subtree(cast(int, level), cast(int, index), _bytes(root))
                for level, index, root in self._rows("SELECT level, idx, root FROM subtrees")
            ],
            head=self.checkpoint(),
            tail=self._tail(),
            retained=[
                (cast(int, size), _string(note))
                for size, note in self._rows("SELECT size, note FROM checkpoints ORDER BY size")
            ],
        )

    def _tail(self) -> Tail:
        rows = self._rows("SELECT size, root, code FROM head")
        size, root, code = rows[0] if rows else (-1, b"", b"")
        return Tail(size if isinstance(size, int) else -1, _bytes(root), _bytes(code))

    def _evidence_rows(self) -> Iterator[Row]:
        members = ", ".join(f'f."{name}"' for name in Facts._fields)
        columns = f"r.seq, r.hash, r.body, f.seq, {members}"
        records = self._connection.execute(
            f"SELECT {columns} FROM records r LEFT JOIN facts f USING (seq) ORDER BY r.seq"  # noqa: S608 -- constants
        )
        accesses = self._connection.execute("SELECT seq, action FROM accesses ORDER BY seq, action")
        next_access = cast("tuple[object, object] | None", accesses.fetchone())
        for values in records:
            seq = cast(int, values[0])
            actions: list[str] = []
            while next_access is not None and cast(int, next_access[0]) <= seq:
                if next_access[0] == seq:
                    actions.append(_string(next_access[1]))
                next_access = cast("tuple[object, object] | None", accesses.fetchone())
            facts = None if values[3] is None else Facts(*(_string(value) for value in values[4:]))
            yield Row(seq, _bytes(values[1]), _bytes(values[2]), facts, None if facts is None else tuple(actions))

    def _add_late(self) -> None:
        """Fill the temporary tables with the facts of the records that are not indexed yet."""
        execute = self._connection.execute
        execute("DELETE FROM temp.late_facts")
        execute("DELETE FROM temp.late_accesses")
        execute("BEGIN")
        first = cast(int, self._rows("SELECT coalesce(max(seq), -1) + 1 FROM facts")[0][0])
        last = cast(int, self._rows("SELECT coalesce(max(seq), -1) FROM records")[0][0])
        execute(f"INSERT INTO temp.late_facts {SELECT_FACTS}", (first, last))
        execute(f"INSERT INTO temp.late_accesses {SELECT_ACCESSES}", (first, last))
        execute("COMMIT")

    def _subtrees(self, level: int, start: int, count: int) -> Sequence[bytes]:
        return read_subtrees(self._connection, level, start, count)

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from error

    def _text(self, statement: str) -> str:
        rows = self._rows(statement)
        return _string(rows[0][0]) if rows else ""


def _conditions(query: Query) -> tuple[list[str], list[object]]:
    where = ["f.seq > ?"]
    values: list[object] = [query.after]
    for name in _EQUAL:
        value = cast(str, getattr(query, name))
        if value:
            where.append(f'f."{name}" = ?')
            values.append(value)
    if query.since is not None:
        where.append("f.at >= ?")
        values.append(moment(query.since))
    if query.until is not None:
        where.append("f.at < ?")
        values.append(moment(query.until))
    if query.action:
        where.append(f"f.seq IN (SELECT seq FROM {_ACCESSES} WHERE action = ?)")  # noqa: S608 -- a constant
        values.append(query.action)
    if query.resource:
        # `;` follows `:` in ASCII, so this range is every action of the resource, and an index serves it.
        where.append(f"f.seq IN (SELECT seq FROM {_ACCESSES} WHERE action >= ? AND action < ?)")  # noqa: S608 -- a constant
        values += (query.resource + ":", query.resource + ";")
    return where, values


def open_reader(path: Path) -> LedgerReader:
    """Open a ledger for reading; LedgerError if there is none."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger at `{path}`", remedy="name it with `--ledger PATH`")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.text_factory = bytes  # text in a tampered file may be no UTF-8
        connection.execute("PRAGMA trusted_schema = OFF")
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise LedgerError(f"`{path}` is not a ledger", remedy="name it with `--ledger PATH`")
        connection.execute("CREATE TEMP TABLE late_facts AS SELECT * FROM main.facts LIMIT 0")
        connection.execute("CREATE TEMP TABLE late_accesses AS SELECT * FROM main.accesses LIMIT 0")
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    return LedgerReader(path, connection)


def _unreadable(path: Path, error: sqlite3.Error) -> LedgerError:
    return LedgerError(f"the ledger `{path}` cannot be read: {error}", remedy="check that it is a ledger's file")


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _string(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
