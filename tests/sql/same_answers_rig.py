"""Two connections to one database: one sees it as it is, the other what the rewriter made of a full scope."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psycopg
from psycopg import pq

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.decision import Denial
from bailiwick.model.matcher import Anything, Empty
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.sql.rewrite import Rewriter
from tests.support.postgres import Database

FOLDER = Path(__file__).parent / "same_answers"
SCHEMAS = ("desk", "sensors", "shop")
_PINNED = "SET TimeZone = 'UTC'; SET statement_timeout = '5s'; SET max_parallel_workers_per_gather = 0; SET jit = off;"
_RECORD = 2249
Cells = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    values: tuple[str, ...] = ()
    ordered: bool = False
    """Whether its rows have one order only."""


@dataclass(frozen=True, slots=True)
class Answer:
    error: str = ""
    columns: tuple[tuple[str, int, int], ...] = ()
    """Name, oid and modifier of the type."""
    rows: tuple[Cells, ...] = ()


def awkward() -> list[Query]:
    """Return the statements that people wrote down."""
    return statements((FOLDER / "awkward.sql").read_text())


def statements(text: str) -> list[Query]:
    """Return the statements of a text: one ends where a line ends with a semicolon."""
    found: list[Query] = []
    for each in text.split(";\n"):
        values: tuple[str, ...] = ()
        sql = each
        if each.startswith("--! "):
            first, _, sql = each.partition("\n")
            values = tuple(value.strip() for value in first.removeprefix("--! ").split("|"))
        if sql.strip():
            found.append(Query(sql, values))
    return found


class Pair:
    """Asks both and compares."""

    def __init__(self, database: Database, script: str = "", schemas: Sequence[str] = SCHEMAS) -> None:
        self.database = database
        database.script(script or (FOLDER / "schema.sql").read_text())
        found = database.rows("SELECT oid FROM pg_type WHERE typtype = 'c' AND oid >= 16384")
        self._own = frozenset(cast("int", oid) for (oid,) in found)
        """Row types of relations: a whole row of a scoped form is a `record` instead."""
        self.rewriters = make_rewriters(database.url(), schemas)
        self._direct = _connection(database.url(), ", ".join(schemas))
        self._scoped = _connection(database.url(), "pg_catalog, pg_temp")

    def close(self) -> None:
        """Close both connections."""
        self._direct.close()
        self._scoped.close()

    def expected(self, query: Query) -> Answer:
        """Ask the database as it is."""
        return _ask(self._direct, query.sql, query.values, self._own)

    def difference(self, query: Query) -> str:
        """Say how the answers to a query differ; empty when they do not. A query that fails directly is a mistake."""
        expected = self.expected(query)
        if expected.error:
            return f"INVALID: {expected.error}"
        for name, rewriter in self.rewriters.items():
            if name == "filtered" and "REPEATABLE" in query.sql:
                continue  # would tell where hidden rows lie
            said = _compared(expected, self.answers(query, rewriter), query)
            if said:
                return f"{name}: {said}"
        return ""

    def answers(self, query: Query, rewriter: Rewriter) -> Answer:
        """Ask what the rewriter made of it. A denial is an error."""
        plans = rewriter.rewrite(query.sql)
        if len(plans) != 1 or isinstance(plans[0], Denial):
            return Answer(f"DENIED: {plans[0].message if isinstance(plans[0], Denial) else plans}")
        if plans[0].bound:
            return Answer("session values in a full scope")
        return _ask(self._scoped, plans[0].sql, query.values, self._own)


def make_rewriters(url: str, schemas: Collection[str] = SCHEMAS) -> dict[str, Rewriter]:
    """Return rewriters of two scopes that show every column of every row. `filtered` does not know that it is every
    row: it has a filter, and so it fences."""
    tables = {place: table for place, table in asyncio.run(read_tables(url, None)).items() if place[0] in schemas}
    mapped = {table.name: Resource(table.name, "all", table.schema, table.name, table.key) for table in tables.values()}
    mount = Mount("all", "postgres", SecretRef("${URL}"), mapped, sql=True)
    catalogue = asyncio.run(read_catalogue(url, mount, tables))
    found: dict[str, Rewriter] = {}
    for name, matcher in {"open": Anything(), "filtered": Empty(False)}.items():
        scopes: dict[str, ResourceScope] = {}
        for resource in mapped.values():
            columns = [column.name for column in tables[resource.schema, resource.table].columns]
            rows = RowFilter() if name == "open" else RowFilter(((columns[0], matcher),))
            scopes[resource.name] = ResourceScope(resource, (ReadGrant("g", rows, dict.fromkeys(columns)),))
        found[name] = Rewriter(Scope("s", "bot", scopes), catalogue, "all")
    return found


def _compared(expected: Answer, found: Answer, query: Query) -> str:
    if found.error:
        return found.error
    if expected.columns != found.columns:
        return f"columns {found.columns} instead of {expected.columns}"
    if sorted(map(repr, expected.rows)) != sorted(map(repr, found.rows)):
        return f"rows {found.rows[:3]} … ({len(found.rows)}) instead of {expected.rows[:3]} … ({len(expected.rows)})"
    return "rows in another order" if query.ordered and expected.rows != found.rows else ""


def _connection(url: str, path: str) -> psycopg.Connection:
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(f"{_PINNED} SET search_path = {path}".encode())
    return connection


def _ask(connection: psycopg.Connection, sql: str, values: Sequence[str], own: Collection[int]) -> Answer:
    raw = connection.pgconn
    result = raw.exec_params(sql.encode(), [value.encode() for value in values])
    if result.status != pq.ExecStatus.TUPLES_OK:
        if result.error_field(pq.DiagnosticField.SQLSTATE) != b"0A000":
            return Answer(f"{result.error_message.decode().strip()}\n  in {sql}")
        raw.prepare(b"", sql.encode())  # the wheel has no XML: what it would have returned is compared all the same
        result = raw.describe_prepared(b"")
    width = range(result.nfields)
    types = (_RECORD if result.ftype(i) in own else result.ftype(i) for i in width)
    columns = tuple(((result.fname(i) or b"").decode(), kind, result.fmod(i)) for i, kind in enumerate(types))
    rows = tuple(tuple(result.get_value(row, i) for i in width) for row in range(result.ntuples))
    return Answer("", columns, rows)
