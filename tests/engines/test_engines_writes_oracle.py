"""Random writes do behind the gateway what they do in a database that holds the permitted rows alone, and no more."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.decide.scope import effective_scope
from bailiwick.gateway.backends.duckdb import INSTANCES, Place
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.policy import Engine
from bailiwick.model.session import Session, User
from bailiwick.mounts.sql.duckdb import DuckDBFile
from bailiwick.mounts.sql.running import Bounds, Failed, Job, Stop, Written
from bailiwick.mounts.sql.sqlite import SQLiteFile
from bailiwick.mounts.sql.values import bound_values
from bailiwick.policy.load import load
from bailiwick.sql.engines.rewrite import EngineRewriter
from bailiwick.sql.snapshot import snapshot

pytestmark = pytest.mark.xdist_group("duckdb")
POLICY = """
bailiwick: 1
mounts:
  shop:
    kind: sql
    engine: ENGINE
    file: shop.db
    resources:
      items: {table: items, key: [tenant, sku], tenant: tenant}
      prices: {table: prices, key: sku, tenant: tenant}
roles:
  clerk:
    grants: [{allow: "items:*", reason: all of them}, {allow: prices:read, reason: all of them}]
gates: {delete: {loosen: [items:delete], reason: the tests delete}}
agents: {clerk-bot: {owner: tests, purpose: writes, roles: [clerk]}}
"""
TABLES = """
CREATE TABLE items (tenant BIGINT, sku TEXT, amount BIGINT, label TEXT, PRIMARY KEY (tenant, sku));
CREATE TABLE prices (tenant BIGINT, sku TEXT, price BIGINT, PRIMARY KEY (tenant, sku));
"""
OURS = """
INSERT INTO items VALUES (1, 'a', 5, 'x'), (1, 'b', 7, 'y'), (1, 'c', NULL, NULL);
INSERT INTO prices VALUES (1, 'a', 3), (1, 'b', 4), (1, 'd', NULL);
"""
OTHERS = """
INSERT INTO items VALUES (2, 'a', 6, 'other'), (2, 'd', 8, 'other'), (3, 'e', 1, NULL);
INSERT INTO prices VALUES (2, 'a', 9), (2, 'e', 10);
"""
_NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
_NUMBERS = (LockedColumn("tenant", "bigint"), LockedColumn("sku", "text"))
LOCK = Lock(
    {
        "shop": {
            ("main", "items"): LockedTable(
                "main",
                "items",
                "r",
                (*_NUMBERS, LockedColumn("amount", "bigint"), LockedColumn("label", "text")),
                ("tenant", "sku"),
            ),
            ("main", "prices"): LockedTable(
                "main", "prices", "r", (*_NUMBERS, LockedColumn("price", "bigint")), ("tenant", "sku")
            ),
        }
    }
)

SKUS = st.sampled_from("abcdez")
VALUES = st.sampled_from(["0", "1", "7", "NULL"])
LABELS = st.sampled_from(["'x'", "'other'", "NULL"])


def conditions(table: str) -> st.SearchStrategy[str]:
    """Conditions over a row of items under this name."""
    base = st.one_of(
        SKUS.map(lambda sku: f"{table}.sku = '{sku}'"),
        VALUES.map(lambda value: f"{table}.amount > {value}"),
        st.sampled_from([f"{table}.label = 'other'", f"{table}.amount IS NULL", f"{table}.tenant = 2", "1 = 1"]),
        SKUS.map(lambda sku: f"EXISTS (SELECT 1 FROM prices WHERE prices.sku = '{sku}' AND price > {table}.amount)"),
    )
    pairs = st.tuples(base, st.sampled_from(["AND", "OR", "AND NOT"]), base)
    return base | pairs.map(" ".join)


RETURNING = st.sampled_from(
    ["", " RETURNING *", " RETURNING sku, amount", " RETURNING amount + 1 AS more, items.label", " RETURNING tenant"]
)
SETS = st.one_of(
    VALUES.map(lambda value: f"amount = {value}"),
    st.sampled_from(["amount = items.amount + 1", "label = items.sku, amount = 2", "label = 'other'"]),
)
ROWS = st.lists(SKUS, min_size=1, max_size=3, unique=True).flatmap(
    lambda skus: st.tuples(*(st.tuples(st.just(sku), VALUES, LABELS) for sku in skus))
)


def _values(rows: Sequence[tuple[str, str, str]]) -> str:
    return "VALUES " + ", ".join(f"(1, '{sku}', {amount}, {label})" for sku, amount, label in rows)


CONFLICTS = st.one_of(
    st.just(" ON CONFLICT (tenant, sku) DO NOTHING"),
    st.tuples(
        st.sampled_from(
            [
                "amount = excluded.amount",
                "amount = items.amount + excluded.amount, label = excluded.label",
                "label = items.sku",
            ]
        ),
        st.none() | st.sampled_from(["items.amount > 5", "excluded.amount > 0", "items.label = excluded.label"]),
    ).map(
        lambda found: (
            f" ON CONFLICT (tenant, sku) DO UPDATE SET {found[0]}" + (f" WHERE {found[1]}" if found[1] else "")
        )
    ),
)
SOURCES = st.one_of(
    ROWS.map(_values),
    conditions("items").map(lambda cond: f"SELECT 1, sku || 'n', amount, label FROM items WHERE {cond}"),
    st.just("SELECT 1, sku, price, 'p' FROM prices WHERE price IS NOT NULL"),
)
INSERTS = st.tuples(SOURCES, st.just("") | CONFLICTS, RETURNING).map(
    lambda found: f"INSERT INTO items (tenant, sku, amount, label) {found[0]}{found[1]}{found[2]}"
)
UPDATES = st.tuples(SETS, conditions("items"), RETURNING).map(
    lambda found: f"UPDATE items SET {found[0]} WHERE {found[1]}{found[2]}"
)
JOINED = st.tuples(conditions("items"), RETURNING).map(
    lambda found: (
        "UPDATE items SET amount = p.price FROM prices AS p"
        f" WHERE p.sku = items.sku AND p.tenant = items.tenant AND ({found[0]}){found[1]}"
    )
)
DELETES = st.tuples(conditions("items"), RETURNING).map(lambda found: f"DELETE FROM items WHERE {found[0]}{found[1]}")
STATEMENTS = st.one_of(INSERTS, UPDATES, JOINED, DELETES)
ALL = "SELECT tenant, sku, amount, label FROM items ORDER BY 1, 2"


class Bench(Protocol):
    """An engine with a database of everything, and one of the permitted rows alone."""

    def behind(self, sql: str) -> Written | Failed:
        """Do a statement behind the gateway's rewriting."""
        ...

    def directly(self, sql: str) -> list[tuple[object, ...]] | None:
        """Do it where nothing else is; None when the engine cannot."""
        ...

    def rows(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """Return all rows of both, and have them be as before."""
        ...


def _rewriter(engine: Engine) -> tuple[EngineRewriter, Session]:
    policy = load({"policy.yaml": POLICY.replace("ENGINE", engine)}).policy
    assert policy is not None
    session = Session("ses_1", "clerk-bot", User("ada"), None, {}, "1", _NOW, _NOW + timedelta(hours=1), None)
    scope = effective_scope(policy, LOCK, session)
    return EngineRewriter(scope, snapshot(policy.mounts["shop"], LOCK), "shop", engine), session


def _job(found: tuple[EngineRewriter, Session], sql: str) -> Job:
    plan = found[0].rewrite(sql)
    assert not isinstance(plan, Denial), f"{sql}: {plan}"
    return Job(plan, bound_values(plan.bound, found[1], _NOW), Bounds(None, 10**6, None), b"k" * 32)


class InSQLite:
    """SQLite: files, written anew each time."""

    def __init__(self, folder: Path) -> None:
        self._path, self._of, self._scope = folder / "all.db", _rewriter("sqlite"), sqlite3.connect(":memory:")
        self._fill()

    def _fill(self) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            drop = "DROP TABLE IF EXISTS items; DROP TABLE IF EXISTS prices;"
            connection.executescript("PRAGMA synchronous = OFF;" + drop + TABLES + OURS + OTHERS)
            self._scope.executescript(drop + TABLES + OURS)

    def behind(self, sql: str) -> Written | Failed:
        """Do a statement behind the gateway's rewriting."""
        found = SQLiteFile(str(self._path)).run(_job(self._of, sql), Stop(60))
        assert isinstance(found, Written | Failed), found
        return found

    def directly(self, sql: str) -> list[tuple[object, ...]] | None:
        """Do it where nothing else is."""
        try:
            return self._scope.execute(sql).fetchall()
        except sqlite3.Error:
            self._scope.rollback()
            return None

    def rows(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """Return all rows of both."""
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute(ALL).fetchall(), self._scope.execute(ALL).fetchall()
        self._scope.rollback()
        self._fill()
        return found


class InDuckDB:
    """DuckDB: the instance of the mounts, and one in memory."""

    def __init__(self, folder: Path) -> None:
        self._path, self._of, self._scope = folder / "all.db", _rewriter("duckdb"), duckdb.connect(":memory:")
        with duckdb.connect(self._path) as connection:
            connection.execute(TABLES + OURS + OTHERS)
        self._scope.execute(TABLES + OURS)
        self._place = Place(str(self._path), writes=True)
        self._file = DuckDBFile(self._place)

    def behind(self, sql: str) -> Written | Failed:
        """Do a statement behind the gateway's rewriting."""
        found = self._file.run(_job(self._of, sql), Stop(60))
        assert isinstance(found, Written | Failed), found
        return found

    def directly(self, sql: str) -> list[tuple[object, ...]] | None:
        """Do it where nothing else is."""
        try:
            found = self._scope.execute(sql).fetchall()
        except duckdb.Error:
            return None
        return found if "RETURNING" in sql else []

    def rows(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """Return all rows of both."""
        with INSTANCES.cursor(self._place) as connection:
            connection.execute("USE bailiwick")
            found = connection.execute(ALL).fetchall(), self._scope.execute(ALL).fetchall()
            for each, script in ((connection, OURS + OTHERS), (self._scope, OURS)):
                each.execute("DELETE FROM items; DELETE FROM prices;")
                each.execute(script)
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._scope.close()


@pytest.fixture(scope="module", params=["sqlite", "duckdb"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        if request.param == "sqlite":
            yield InSQLite(Path(folder))
        else:
            found = InDuckDB(Path(folder))
            yield found
            found.close()


HIDDEN = [(2, "a", 6, "other"), (2, "d", 8, "other"), (3, "e", 1, None)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sql=STATEMENTS)
def test_a_write_does_what_it_does_among_the_permitted_rows(bench: Bench, sql: str) -> None:
    found, told = bench.behind(sql), bench.directly(sql)
    everything, alone = bench.rows()
    assert [row for row in everything if row[0] != 1] == HIDDEN, sql
    assert [row for row in everything if row[0] == 1] == alone, (sql, found)
    if isinstance(found, Failed):
        assert told is None, (sql, found)
        return
    assert found.verdict == "", (sql, found)
    assert told is not None, (sql, found)
    rows = () if found.returned is None else found.returned.rows
    assert sorted(map(repr, rows)) == sorted(map(repr, told)), sql
