"""What is wrong with a ledger's file beside what it says: structures by which SQLite would find too little."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import cast

from bailiwick.gateway.ledger.schema import SCHEMA

MOST = 1_000_000
"""Records of a ledger whose structures are compared entry by entry unless more is asked for: it takes its time."""
_named = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index', 'view') AND name NOT LIKE 'sqlite_%'"


def faults_of(connection: sqlite3.Connection, *, whole: bool) -> tuple[str, ...]:
    """Return what is wrong with its tables and their own indexes; `whole`: also entry by entry.

    Such an index decides what a query finds: one that lacks an entry hides a record from whoever asks by it.
    """
    found = _structures(connection)
    if whole:
        answered = [_text(row[0]) for row in connection.execute("PRAGMA main.integrity_check(20)")]
        found += [f"the file's own structures are damaged: {each}" for each in answered if each != "ok"]
    return tuple(found)


def _structures(connection: sqlite3.Connection) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA)
        wanted = _statements(fresh)
    there = _statements(connection)
    found = [
        f"`{name}` is missing in the file, or was made otherwise" for name in wanted if _differs(name, wanted, there)
    ]
    return [*found, *(f"`{name}` in the file is not the ledger's" for name in there if name not in wanted)]


def _differs(name: str, wanted: dict[str, str], there: dict[str, str]) -> bool:
    return "".join(wanted[name].split()) != "".join(there.get(name, "").split())


def _statements(connection: sqlite3.Connection) -> dict[str, str]:
    rows = cast("Sequence[tuple[object, object]]", connection.execute(_named).fetchall())
    return {_text(name): _text(sql) for name, sql in rows}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
