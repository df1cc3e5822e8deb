"""Runs statements on a SQLite file: on a connection of their own, under an authorizer that knows only the plan.

The authorizer is the second layer. SQLite names the WITH query in whose text a column stands, and the real tables
stand in the generated ones alone: what reads them from anywhere else is refused, whatever the rewriter thought of it.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import orjson

from bailiwick.mounts.sql import masks
from bailiwick.mounts.sql.results import CONSTRAINT, KEY_TAKEN, Failed
from bailiwick.mounts.sql.running import Job, Ran, Rows, Stop, Stopped, fetched
from bailiwick.mounts.sql.values import Value
from bailiwick.mounts.sql.writing import Found, written
from bailiwick.sql.engines.plan import Step, Upsert
from bailiwick.sql.engines.scoped import folded

_log = logging.getLogger("bailiwick.sql")
_STEPS = 2000
_NO_KEYS = tuple(f"SQLITE_CONSTRAINT_{what}" for what in ("NOTNULL", "CHECK", "FOREIGNKEY", "DATATYPE"))
"""Instructions of SQLite's machine between two looks at the clock."""
_BUSY_SECONDS = 5.0
_LARGEST_VALUE = 64 * 1024 * 1024
_IMPLICIT = "ROWID"
_PARAMETER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\?([0-9]+)""")
"""What is quoted in text that we generated, or the number of a parameter outside of it."""


class SQLiteFile:
    """One file. Queries open it read-only."""

    def __init__(self, path: str) -> None:
        self._uri = Path(path).absolute().as_uri()

    def run(self, job: Job, stop: Stop) -> Ran:
        """Run a statement; see `Engine`."""
        writes = job.plan.kind == "WRITE"
        try:
            connection = sqlite3.connect(
                f"{self._uri}?mode={'rw' if writes else 'ro'}",
                uri=True,
                timeout=min(_BUSY_SECONDS, stop.left),
                isolation_level=None,
                check_same_thread=False,  # `interrupt` comes from another
            )
        except sqlite3.Error as error:
            return _failed(error)
        try:
            return self._run(connection, job, stop)
        except sqlite3.Error as error:
            if stop.due:
                return Stopped(late=not stop.told)
            return _failed(error)
        finally:
            stop.on_tell(None)
            connection.close()  # what is not committed is rolled back

    def close(self) -> None:
        """Nothing is held between statements."""

    def _run(self, connection: sqlite3.Connection, job: Job, stop: Stop) -> Ran:
        _prepare(connection, job)
        stop.on_tell(connection.interrupt)
        connection.set_progress_handler(lambda: int(stop.due), _STEPS)
        on = _Connection(connection, job)
        if job.plan.kind == "READ":
            return on.read(job.plan.step)
        connection.execute("BEGIN IMMEDIATE")
        found = written(job, on)
        found = found if isinstance(found, Failed) else job.settled(found)
        if isinstance(found, Failed) or found.verdict or job.dry:
            return found
        if stop.due:
            return Stopped(late=not stop.told)
        connection.execute("COMMIT")
        return found


class _Connection:
    """Runs the steps of one statement, each under an authorizer of its own."""

    def __init__(self, connection: sqlite3.Connection, job: Job) -> None:
        self._connection, self._job = connection, job

    def read(self, step: Step) -> Rows:
        """Run a query."""
        with self._guarded(step):
            return _read(self._connection.execute(step.sql, _given(step.sql, self._job.values)), self._job)

    def ask(self, step: Step) -> list[tuple[object, ...]]:
        """Run a step under the authorizer."""
        with self._guarded(step):
            return self._all(step.sql)

    def own(self, sql: str) -> list[tuple[object, ...]]:
        """Run text of ours."""
        return self._all(sql)

    def rows(self, step: Step, identities: Found) -> Rows:
        """Run the query of what is returned."""
        listed = orjson.dumps([each[0] for each in identities]).decode()
        values = list(self._job.values)
        for place, bound in enumerate(self._job.plan.bound, self._job.plan.parameters):
            if bound.source == "written":
                values[place] = listed
        with self._guarded(step):
            return _read(self._connection.execute(step.sql, _given(step.sql, values)), self._job)

    def tells_apart(self, upsert: Upsert, step: Step) -> bool:
        """Whether every unique index over the key compares the pinned columns byte by byte."""
        if not upsert.pinned or step.target is None:
            return True
        key, pinned = {folded(name) for name in upsert.key}, {folded(name) for name in upsert.pinned}
        rows = self._connection.execute(
            "SELECT i.name, x.name, x.coll FROM pragma_index_list(?1) AS i, pragma_index_xinfo(i.name) AS x"
            ' WHERE i."unique" AND x.key',
            (step.target.relation,),
        ).fetchall()
        for index in {row[0] for row in rows}:
            columns = {folded(str(name)): str(collation) for of, name, collation in rows if of == index}
            if {*columns} == key and any(columns[name].upper() != "BINARY" for name in pinned):
                return False
        return True

    def _all(self, sql: str) -> list[tuple[object, ...]]:
        return self._connection.execute(sql, _given(sql, self._job.values)).fetchall()

    @contextmanager
    def _guarded(self, step: Step) -> Generator[None]:
        self._connection.set_authorizer(Guard(step, *_around(self._connection, step)))
        try:
            yield
        finally:
            self._connection.set_authorizer(None)


def _given(sql: str, values: Sequence[Value]) -> Sequence[Value]:
    """Return the values up to the last one that a text has: SQLite takes no more."""
    places = [int(found[1]) for found in _PARAMETER.finditer(sql) if found[1]]
    return values[: max(places, default=0)]


def _prepare(connection: sqlite3.Connection, job: Job) -> None:
    """Pin what a statement's meaning depends on, and add the masks."""
    connection.text_factory = _text
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA query_only = {'OFF' if job.plan.kind == 'WRITE' else 'ON'}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA recursive_triggers = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("SELECT 1 FROM json_each('[]')")  # SQLite makes it when it is first used, as if it were a table
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
    own: tuple[tuple[str, int, Callable[..., str | int | float | None]], ...] = (
        ("bw_partial", 2, masks.partial),
        ("bw_last4", 2, masks.last4),
        ("bw_hash", 2, partial(masks.hashed, key=job.mask_key)),
        ("bw_round", 3, masks.rounded),
    )
    for name, arguments, function in own:
        connection.create_function(name, arguments, function, deterministic=True)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _read(cursor: sqlite3.Cursor, job: Job) -> Rows:
    return fetched(job, [str(each[0]) for each in cursor.description or ()], cursor)


class Guard:
    """The authorizer: allows what a step of the plan says it does, and denies everything else."""

    def __init__(self, step: Step, row: frozenset[str], keys: frozenset[tuple[str, str]]) -> None:
        self._step = step
        self._reads = step.reads
        self._views = frozenset(folded(each.relation) for each in step.reads.values() if each.view)
        self._tables = frozenset(folded(each.relation) for each in step.reads.values())
        self._row = row
        """What SQLite calls the identity of the rows that are written."""
        self._keys = keys
        """(table, column) that foreign keys around the target make SQLite look at."""

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, source: str | None
    ) -> int:
        """Return whether SQLite may do one thing, while it compiles the statement."""
        if self._allows(action, first or "", second or "", database or "", source or ""):
            return sqlite3.SQLITE_OK
        _log.error("SQLite's authorizer refused action %d on `%s.%s` from `%s`", action, first, second, source)
        return sqlite3.SQLITE_DENY

    def _allows(self, action: int, first: str, second: str, database: str, source: str) -> bool:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return True
        if action == sqlite3.SQLITE_FUNCTION:
            return folded(second) in self._step.functions or folded(source) in self._views
        if action == sqlite3.SQLITE_READ:
            return self._may_read(first, second, database, source)
        target = self._step.target
        if target is None or folded(first) != folded(target.relation) or database != target.schema or source:
            return False
        if action == sqlite3.SQLITE_UPDATE:
            return target.verb == "update" and second in target.written
        return (action, target.verb) in ((sqlite3.SQLITE_INSERT, "create"), (sqlite3.SQLITE_DELETE, "delete"))

    def _may_read(self, table: str, column: str, database: str, source: str) -> bool:
        if not database:
            return table in self._reads or table.startswith("bw")  # a WITH query, no table
        if column == "" and folded(table) in self._tables:
            return True  # that it is read at all, or nothing of it but the identity of its rows
        if folded(source) in self._views:
            return True
        target = self._step.target
        reached = self._reads.get(source)
        if reached is not None:
            if table == "json_each":
                return True
            same = database == reached.schema and folded(table) == folded(reached.relation)
            return same and (column in reached.columns or (reached.row and column in self._row))
        if target is None or source or database != target.schema:
            return False
        if (folded(table), folded(column)) in self._keys:
            return True
        return folded(table) == folded(target.relation) and (
            column in target.looked_at or column == "" or column in self._row
        )


def _around(connection: sqlite3.Connection, step: Step) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Return what the rows' identity is called, and what SQLite itself looks at to keep the foreign keys around."""
    written = {each.relation for each in step.reads.values() if each.row}
    row = frozenset((_IMPLICIT, *(name for each in written for name in _key_of(connection, each))))
    target = step.target
    if target is None:
        return row, frozenset()
    row |= {*_key_of(connection, target.relation)}
    rows = connection.execute(
        'SELECT t.name, k."table", k."from", k."to" FROM main.sqlite_master AS t, pragma_foreign_key_list(t.name) AS k'
        " WHERE t.type = 'table' AND (lower(t.name) = lower(?1) OR lower(k.\"table\") = lower(?1))",
        (target.relation,),
    ).fetchall()
    found: set[tuple[str, str]] = set()
    for child, parent, column, key in rows:
        found.add((folded(child), folded(column)))
        found.add((folded(parent), folded(key or "")))
        found.add((folded(parent), folded(_IMPLICIT)))
        found |= {(folded(parent), folded(each)) for each in _key_of(connection, parent)}
    return row, frozenset(found)


def _key_of(connection: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?1) WHERE pk > 0", (table,))]


def _failed(error: sqlite3.Error) -> Failed:
    """Say in our words how it failed. SQLite's own message may hold names and values from outside the scope."""
    name = str(getattr(error, "sqlite_errorname", "") or "")
    if name.startswith("SQLITE_CONSTRAINT"):
        return CONSTRAINT if name in _NO_KEYS else KEY_TAKEN
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Failed("55P03", "the database is locked by somebody else; try again")
    if name in ("SQLITE_TOOBIG", "SQLITE_NOMEM"):
        return Failed("54000", "a value of this statement is too large")
    if name == "SQLITE_READONLY" or name.startswith("SQLITE_READONLY"):
        return Failed("25006", "the database cannot be written")
    if name == "SQLITE_AUTH" or "prohibited" in str(error) or "not authorized" in str(error):
        return Failed("42501", "the database's own guard does not allow this statement")
    if name == "SQLITE_ERROR":
        return Failed("42000", "the database cannot do this: check names, arguments and types")
    _log.error("SQLite failed: %s", name or type(error).__name__)
    return Failed("58000", "the database failed")
