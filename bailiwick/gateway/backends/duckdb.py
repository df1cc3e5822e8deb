"""DuckDB behind mounts: instances that are locked up before anybody's statement reaches them, and what they hold.

One process may open a file once. So all that asks the same place shares one instance, which stays open as long as
somebody holds it. Types are told in PostgreSQL's words, so that policies mean the same.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bailiwick.errors import BackendError
from bailiwick.model.lock import LockedColumn, LockedTable
from bailiwick.model.policy import Mount, Resource
from bailiwick.model.value import Scalar
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.engines.duckdb_names import FILE, SOURCES, full
from bailiwick.sql.quote import ident, text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = 512
"""Megabytes that all statements of one instance may take together; nothing is written to disk in their place."""
_THREADS = 2
_seconds = 10.0
_UNSIGNED = {"UTINYINT": "smallint", "USMALLINT": "integer", "UINTEGER": "bigint", "UBIGINT": "numeric"}
_TYPES = _UNSIGNED | {
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric",
    "UHUGEINT": "numeric",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "VARCHAR": "text",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "BLOB": "bytea",
    "UUID": "uuid",
    "TIME": "time without time zone",
    "INTERVAL": "interval",
    "JSON": "json",
    '"NULL"': "text",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_MOST_SCALE = 18


@dataclass(frozen=True, slots=True)
class Place:
    """What an instance opens."""

    path: str
    """A DuckDB file, or a folder."""
    sources: tuple[tuple[str, str], ...] = ()
    """Name and path, from that folder or the file's, of Parquet and CSV files."""
    writes: bool = False


@dataclass(eq=False, slots=True)
class _Instance:
    place: Place
    connection: DuckDBPyConnection
    seen: tuple[object, ...]
    """What the files were when they were opened."""
    users: int = 0
    broken: bool = False


@dataclass(eq=False, slots=True)
class Instances:
    """The instances of this process."""

    _open: dict[str, _Instance] = field(default_factory=dict[str, _Instance])
    _held: dict[str, list[Place]] = field(default_factory=dict[str, "list[Place]"])
    _lock: threading.Condition = field(default_factory=threading.Condition)

    def hold(self, place: Place) -> None:
        """Have the instance of a place stay open until it is released."""
        with self._lock:
            self._held.setdefault(_key(place), []).append(place)

    def release(self, place: Place) -> None:
        """Take back one `hold`; whoever still uses the instance goes on."""
        with self._lock:
            held = self._held.get(_key(place), [])
            if place in held:
                held.remove(place)
            self._close_unused(_key(place))

    def distrust(self, place: Place) -> None:
        """Have the instance of a place opened anew: it failed within itself, and would do nothing more."""
        with self._lock:
            found = self._open.get(_key(place))
            if found is not None:
                found.broken = True

    @contextmanager
    def cursor(self, place: Place) -> Generator[DuckDBPyConnection]:
        """A connection of its own on the instance of a place. Raises BackendError; its message has no path in it."""
        instance, connection = self._taken(place)
        try:
            yield connection
        finally:
            connection.close()  # what is not committed is rolled back
            with self._lock:
                instance.users -= 1
                self._close_unused(_key(place))
                self._lock.notify_all()

    def _taken(self, place: Place) -> tuple[_Instance, DuckDBPyConnection]:
        key = _key(place)
        with self._lock:
            if not self._lock.wait_for(lambda: self._is_free_for(key, place), _seconds):
                raise BackendError("the DuckDB file is in use otherwise by this gateway", remedy="try again")
            found = self._open.get(key)
            if found is not None and not _serves(found, place):
                del self._open[key]
                found.connection.close()
                found = None
            if found is None:
                found = self._open[key] = _opened(place)
            connection = found.connection.cursor()
            found.users += 1
            return found, connection

    def _is_free_for(self, key: str, place: Place) -> bool:
        found = self._open.get(key)
        return found is None or found.users == 0 or _serves(found, place)

    def _close_unused(self, key: str) -> None:
        found = self._open.get(key)
        if found is not None and found.users == 0 and not self._held.get(key):
            del self._open[key]
            found.connection.close()


INSTANCES = Instances()
"""INVARIANT: the only ones of this process. DuckDB itself refuses to open a file twice."""


def place_of(mount: Mount, path: str, *, writes: bool = False) -> Place:
    """Return the place of a mount whose `file` is this."""
    return Place(path, tuple(sorted(mount.sources.items())), writes)


def _key(place: Place) -> str:
    return str(Path(place.path).resolve())


def _serves(instance: _Instance, place: Place) -> bool:
    """Whether an open instance is what a place asks for, and its files are still those that it opened."""
    known = instance.place
    if instance.broken:
        return False
    if known.sources != place.sources and place.sources:
        return False
    return (known.writes or not place.writes) and instance.seen == _seen(known)


def _seen(place: Place) -> tuple[object, ...]:
    """Return what tells one set of files from another: a file put in the place of another is opened anew."""
    try:
        status = Path(place.path).stat()
    except OSError:
        return ()
    own = () if Path(place.path).is_dir() else (status.st_ino,)
    return (*own, *(tuple(_files(place, pattern)) for _, pattern in place.sources))


def _files(place: Place, pattern: str) -> list[str]:
    """Return the files of a source. None of them lies outside of the folder, whatever links there are."""
    path = Path(place.path)
    folder = (path if path.is_dir() else path.parent).resolve()
    found = sorted(each.resolve() for each in folder.glob(pattern) if each.is_file())
    return [str(each) for each in found if each.is_relative_to(folder)]


def _opened(place: Place) -> _Instance:
    """Open an instance: first the files, then every door is closed, then the lock on that is closed too."""
    try:
        import duckdb  # costs start-up time, and is an extra
    except ImportError:
        message = "the package `duckdb` is not installed"
        raise BackendError(message, remedy="install Bailiwick with the extra `duckdb`") from None
    seen = _seen(place)
    try:
        connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
                "allow_persistent_secrets": "false",
                "python_enable_replacements": "false",
                "temp_directory": "",
                "max_temp_directory_size": "0KB",
                "memory_limit": f"{MEMORY}MB",
                "threads": str(_THREADS),
            },
        )
    except duckdb.Error as error:
        raise _unreadable(error) from None
    try:
        _prepare(connection, place)
    except duckdb.Error as error:
        connection.close()
        raise _unreadable(error) from None
    except BackendError:
        connection.close()
        raise
    return _Instance(place, connection, seen)


def _prepare(connection: DuckDBPyConnection, place: Place) -> None:
    path, allowed = Path(place.path), list[str]()
    if not path.exists():
        raise BackendError("there is no such DuckDB file", remedy="check that the mount's `file` is right")
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(f"CREATE SCHEMA {ident(SOURCES)}")
    if not path.is_dir():
        mode = "" if place.writes else " (READ_ONLY)"
        connection.execute(f"ATTACH {text(str(path.absolute()))} AS {ident(FILE)}{mode}")
    for name, pattern in place.sources:
        files = _files(place, pattern)
        if not files:
            raise BackendError(f"there is no file of the source `{name}`", remedy="check the mount's `sources`")
        allowed += files
        listed = ", ".join(text(each) for each in files)
        reader = "read_parquet" if pattern.endswith(".parquet") else "read_csv"
        view = f"{ident(SOURCES)}.{ident(name)}"
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {reader}([{listed}])")  # noqa: S608  # quoted
    if allowed:
        connection.execute(f"SET allowed_paths = [{', '.join(text(each) for each in allowed)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def read_tables(place: Place, wanted: Collection[tuple[str, str]] | None) -> Mapping[tuple[str, str], LockedTable]:
    """Read the tables, views and sources with their columns; None means all. Raises BackendError."""
    with _asking(place) as connection:
        found = _tables(connection)
    return {name: table for name, table in found.items() if wanted is None or name in wanted}


def read_relations(place: Place, locked: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Relation]:
    """Read the accepted tables as they are now, with what writing them needs. Raises BackendError."""
    with _asking(place) as connection:
        found = _tables(connection)
        rows = connection.execute(
            "SELECT DISTINCT schema_name, table_name FROM duckdb_triggers() WHERE database_name = ?", [FILE]
        ).fetchall()
    triggers = {(str(row[0]), str(row[1])) for row in rows}
    return {name: _relation(table, name in triggers) for name, table in found.items() if name in locked}


def look_up(
    place: Place, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None
) -> object:
    """Return `column` of the one row whose `by_column` is `value`; None when there is none, or several."""
    source = ".".join(ident(each) for each in full(resource.schema, resource.table))
    query = f"SELECT DISTINCT {ident(column)} FROM {source} WHERE {ident(by_column)} = ?"  # noqa: S608  # quoted
    values: list[Scalar] = [value]
    if resource.tenant is not None and tenant is not None:
        query += f" AND {ident(resource.tenant)} = ?"
        values.append(tenant)
    with _asking(place) as connection:
        rows = connection.execute(f"{query} LIMIT 2", values).fetchall()
    return rows[0][0] if len(rows) == 1 else None


def type_of(name: str) -> str:
    """Return the type of a column in PostgreSQL's words; DuckDB's own in lower case for what it has none for."""
    found = _DECIMAL.fullmatch(name)
    if found is not None:
        return f"numeric({found[1]},{found[2]})" if int(found[2]) <= _MOST_SCALE else "any"
    if name.startswith("ENUM("):
        return "enum"
    return _TYPES.get(name, name.lower())


@contextmanager
def _asking(place: Place) -> Generator[DuckDBPyConnection]:
    with INSTANCES.cursor(place) as connection:
        import duckdb

        try:
            yield connection
        except duckdb.Error as error:
            raise _unreadable(error) from None


def _tables(connection: DuckDBPyConnection) -> dict[tuple[str, str], LockedTable]:
    rows = connection.execute(
        "SELECT c.schema_name, c.table_name, c.column_name, c.data_type, c.is_nullable,"
        " EXISTS (SELECT 1 FROM duckdb_tables() AS t WHERE t.database_name = c.database_name"
        "  AND t.schema_name = c.schema_name AND t.table_name = c.table_name),"
        " list_position(k.columns, c.column_name)"
        " FROM duckdb_columns() AS c LEFT JOIN (SELECT database_name, schema_name, table_name,"
        "  any_value(constraint_column_names) AS columns FROM duckdb_constraints()"
        "  WHERE constraint_type = 'PRIMARY KEY' GROUP BY ALL) AS k"
        " USING (database_name, schema_name, table_name)"
        " WHERE NOT c.internal AND (c.database_name = 'memory') = (c.schema_name = $2)"
        " AND c.database_name IN ('memory', $1) ORDER BY c.schema_name, c.table_name, c.column_index",
        [FILE, SOURCES],
    ).fetchall()
    columns: dict[tuple[str, str], list[LockedColumn]] = {}
    kinds: dict[tuple[str, str], str] = {}
    keys: dict[tuple[str, str], dict[int, str]] = {}
    for schema, table, column, kind, nullable, is_table, key in rows:
        name = (str(schema), str(table))
        columns.setdefault(name, []).append(LockedColumn(str(column), type_of(str(kind)), nullable=bool(nullable)))
        kinds[name] = "r" if is_table else "v"
        if key:
            keys.setdefault(name, {})[int(key)] = str(column)
    return {
        name: LockedTable(
            *name, kinds[name], tuple(found), tuple(each for _, each in sorted(keys.get(name, {}).items()))
        )
        for name, found in columns.items()
    }


def _relation(table: LockedTable, triggers: bool) -> Relation:
    columns = tuple(Column(each.name, place + 1, each.type) for place, each in enumerate(table.columns))
    return Relation(table.schema, table.name, 0, table.kind, columns, table.key, derives=triggers)


def _unreadable(error: Exception) -> BackendError:
    """Say how reading failed; DuckDB's own message may quote paths and contents."""
    kind = type(error).__name__.removesuffix("Exception")
    return BackendError(f"the DuckDB files cannot be read: {kind}", remedy="check `file` and `sources` of the mount")
