"""What the gateway returns equals what a database returns that holds only the permitted rows and columns.

The second database is filled by `oracle_policy`, which evaluates the policy in Python over the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.oracle.oracle_policy import DATA, SESSION, TABLES, TENANT, Policy, Row, policies, text, visible
from tests.oracle.oracle_queries import queries
from tests.support.gateway import Credentials, RunningGateway, running_gateway
from tests.support.postgres import Database, Server
from tests.support.wire import Reply, Wire

KINDS: dict[str, LiteralString] = {"int": "integer", "text": "text", "date": "date"}
QUERIES = 12
"""Queries a policy: a policy costs a reload, a query a millisecond."""


def _fill(connection: psycopg.Connection, table: str, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Make a table of exactly these columns and rows."""
    spec = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(KINDS[TABLES[table][name]])) for name in columns
    )
    connection.execute(sql.SQL("DROP TABLE IF EXISTS public.{}").format(sql.Identifier(table)))
    connection.execute(sql.SQL("CREATE TABLE public.{} ({})").format(sql.Identifier(table), spec))
    if rows and columns:
        places = sql.SQL(", ").join(sql.Placeholder() for _ in columns)
        insert = sql.SQL("INSERT INTO public.{} VALUES ({})").format(sql.Identifier(table), places)
        connection.cursor().executemany(insert, [[row[name] for name in columns] for row in rows])


@dataclass
class Bench:
    gateway: RunningGateway
    permitted: Database
    upstream: Database

    def load(self, policy: Policy) -> dict[str, dict[str, str]]:
        """Put a policy in force on both sides and return the columns that it shows."""
        self.gateway.policy.write_text(text(policy))
        self.gateway.admin.ask("reload", {})
        shown: dict[str, dict[str, str]] = {}
        with psycopg.connect(self.permitted.url(), autocommit=True) as connection:
            for table in TABLES:
                columns, rows = visible(policy, table)
                _fill(connection, table, columns, rows)
                if columns:
                    shown[table] = {name: TABLES[table][name] for name in columns}
        return shown

    def open(self) -> Credentials:
        """Open a session of the drawn policy."""
        values = {name: str(value) for name, value in SESSION.items()}
        return self.gateway.open_session("bot", task="t", tenant=str(TENANT), values=values)


@pytest.fixture(scope="module")
def bench(postgres: Server) -> Iterator[Bench]:
    """The database with everything, the gateway before it, and the database with the permitted alone."""
    upstream, permitted = postgres.create(), postgres.create()
    with psycopg.connect(upstream.url(), autocommit=True) as connection:
        for table, columns in TABLES.items():
            _fill(connection, table, tuple(columns), DATA[table])
            connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(sql.Identifier(table)))
        connection.execute("ANALYZE")
    with running_gateway(
        text(Policy((), {}, frozenset(), frozenset(), None)), {"ORACLE_URL": upstream.url()}
    ) as gateway:
        yield Bench(gateway, permitted, upstream)


def _answer(wire: Wire, query: str, extended: bool) -> Reply:
    return wire.extended(query) if extended else wire.simple(query)


def _compare(query: str, through: Reply, expected: Reply) -> None:
    if expected.errors:
        assert through.code == expected.code, f"{query}\n{through.errors}\n{expected.errors}"
        return
    assert not through.errors, f"{query}\n{through.errors}"
    if "ORDER BY" in query.rpartition("FROM")[2]:
        assert through.rows == expected.rows, query
    else:
        assert Counter(through.rows) == Counter(expected.rows), query
    assert [column.name for column in through.columns] == [column.name for column in expected.columns], query
    assert [column.type for column in through.columns if column.name != "x"] == [
        column.type for column in expected.columns if column.name != "x"
    ], query


@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(policy=policies(), data=st.data())
def test_the_gateway_returns_what_a_database_with_the_permitted_data_returns(
    bench: Bench, policy: Policy, data: st.DataObject
) -> None:
    shown = bench.load(policy)
    if not shown:
        return
    texts = [data.draw(queries(shown)) for _ in range(QUERIES)]
    session = bench.open()
    server = bench.permitted.server
    with (
        closing(Wire("127.0.0.1", session.port)) as wire,
        closing(Wire("127.0.0.1", server.port)) as direct,
    ):
        assert wire.login(session.user, session.database, session.token).status == "I"
        assert direct.login("postgres", bench.permitted.name, "canary-free-superuser").status == "I"
        for number, query in enumerate(texts):
            expected = direct.simple(query)
            _compare(query, _answer(wire, query, extended=bool(number % 2)), expected)


@settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(policy=policies())
def test_what_no_grant_shows_cannot_be_named(bench: Bench, policy: Policy) -> None:
    shown = bench.load(policy)
    if not shown:
        return
    session = bench.open()
    with Wire("127.0.0.1", session.port) as wire:
        assert wire.login(session.user, session.database, session.token).status == "I"
        for table, columns in TABLES.items():
            for column in columns:
                reply = wire.simple(f"SELECT count({column}) FROM public.{table}")
                assert bool(reply.errors) == (column not in shown.get(table, {})), f"{table}.{column}: {reply.errors}"
