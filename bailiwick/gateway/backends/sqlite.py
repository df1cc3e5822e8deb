"""Reads what a SQLite file behind a mount has. Types are told in PostgreSQL's words, so that policies mean the same."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from bailiwick.errors import BackendError
from bailiwick.model.lock import LockedColumn, LockedTable
from bailiwick.model.policy import Resource
from bailiwick.model.value import Scalar
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.quote import ident

SCHEMA = "main"
_seconds = 10
_MOMENT = re.compile(r"(DATETIME|TIMESTAMP)\b.*")


@contextmanager
def opened(path: str) -> Generator[sqlite3.Connection]:
    """A read-only connection for the gateway's own questions. Raises BackendError; its message has no path in it."""
    try:
        connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=_seconds)
    except sqlite3.Error as error:
        raise _unreadable(error) from None
    try:
        yield connection
    except sqlite3.Error as error:
        raise _unreadable(error) from None
    finally:
        connection.close()


def read_tables(path: str, wanted: Collection[tuple[str, str]] | None) -> Mapping[tuple[str, str], LockedTable]:
    """Read the tables and views with their columns; None means all. Raises BackendError."""
    with opened(path) as connection:
        found = {(SCHEMA, name): _table(connection, name, kind) for name, kind in _names(connection)}
    return {place: table for place, table in found.items() if wanted is None or place in wanted}


def read_relations(path: str, locked: Mapping[tuple[str, str], LockedTable]) -> Mapping[tuple[str, str], Relation]:
    """Read the accepted tables as they are now, with what writing them needs. Raises BackendError."""
    with opened(path) as connection:
        return {
            (SCHEMA, name): _relation(connection, _table(connection, name, kind))
            for name, kind in _names(connection)
            if (SCHEMA, name) in locked
        }


def look_up(path: str, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None) -> object:
    """Return `column` of the one row whose `by_column` is `value`; None when there is none, or several."""
    query = (
        f"SELECT DISTINCT {ident(column)} FROM {ident(SCHEMA)}.{ident(resource.table)}"  # noqa: S608  # quoted names
        f" WHERE {ident(by_column)} = ?1"
    )
    values = [stored(value)]
    if resource.tenant is not None and tenant is not None:
        query += f" AND {ident(resource.tenant)} = ?2"
        values.append(stored(tenant))
    with opened(path) as connection:
        rows = connection.execute(f"{query} LIMIT 2", values).fetchall()
    return rows[0][0] if len(rows) == 1 else None


def stored(value: Scalar) -> str | int | float:
    """Return a value as SQLite stores it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else value


def type_of(declared: str) -> str:
    """Return the type of a column that was declared so. What was not declared, or is not known, is `any`."""
    name = declared.upper().strip()
    if "BOOL" in name:
        return "boolean"
    if name == "DATE":
        return "date"
    if _MOMENT.fullmatch(name):
        return "timestamp without time zone"
    if "INT" in name:
        return "bigint"
    if any(word in name for word in ("CHAR", "CLOB", "TEXT", "UUID")):
        return "text"
    if "BLOB" in name:
        return "bytea"
    if any(word in name for word in ("REAL", "FLOA", "DOUB")):
        return "double precision"
    return "numeric" if any(word in name for word in ("NUM", "DEC", "MONEY")) else "any"


def _names(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return name and kind of the tables and views; virtual tables run code of theirs and are left out."""
    rows = connection.execute(
        "SELECT name, type FROM main.sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite@_%'"
        " ESCAPE '@' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    )
    return [(str(name), "r" if kind == "table" else "v") for name, kind in rows]


def _table(connection: sqlite3.Connection, name: str, kind: str) -> LockedTable:
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid', (name,)
    ).fetchall()
    columns = tuple(LockedColumn(str(row[0]), type_of(str(row[1])), nullable=not (row[2] or row[3])) for row in rows)
    key = tuple(str(row[0]) for row in sorted(rows, key=lambda row: int(row[3])) if row[3])
    return LockedTable(SCHEMA, name, kind, columns, key)


def _relation(connection: sqlite3.Connection, table: LockedTable) -> Relation:
    triggers = connection.execute(
        "SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?1)", (table.name,)
    ).fetchone()[0]
    columns = tuple(Column(each.name, place + 1, each.type) for place, each in enumerate(table.columns))
    return Relation(SCHEMA, table.name, 0, table.kind, columns, table.key, derives=bool(triggers))


def _unreadable(error: sqlite3.Error) -> BackendError:
    """Say how reading failed; SQLite's own message may quote the database's contents."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return BackendError(f"the SQLite file cannot be read: {name}", remedy="check that the mount's `file` is right")
