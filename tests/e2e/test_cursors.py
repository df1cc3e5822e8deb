"""Cursors and prepared statements of SQL over real drivers; what a revoked session and a changed policy do to them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import asyncpg
import psycopg
import psycopg2
import pytest
from sqlalchemy import column, create_engine, select, table
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.corpus import FOLDER, ROLES
from tests.support.desk import Desk
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.postgres import Server

ALL = [(501, "open"), (502, "pending"), (503, "closed")]
STATEMENT = "SELECT ticket_id, status FROM tickets ORDER BY ticket_id"
TICKETS = table("tickets", column("ticket_id"), column("status"))


def test_psycopg2_reads_a_named_cursor_in_portions(desk: Desk) -> None:
    with psycopg2.connect(desk.session.url()) as connection, connection.cursor(name="big") as cursor:
        cursor.itersize = 2
        cursor.execute("SELECT ticket_id, status FROM tickets WHERE ticket_id > %s ORDER BY 1", (500,))
        assert list(cursor) == ALL


def test_django_s_iterator_reads_a_held_cursor_in_autocommit(desk: Desk) -> None:
    """What `QuerySet.iterator()` sends, through both of its drivers."""
    old = psycopg2.connect(desk.session.url())
    old.autocommit = True
    with old.cursor("_django_curs_1_sync_1", scrollable=False, withhold=True) as cursor:
        cursor.execute(STATEMENT)
        assert [cursor.fetchmany(2), cursor.fetchmany(2), cursor.fetchmany(2)] == [ALL[:2], ALL[2:], []]
    old.close()
    with (
        psycopg.connect(desk.session.url(), autocommit=True) as connection,
        connection.cursor("_django_curs_1_sync_2", scrollable=False, withhold=True) as cursor,
    ):
        cursor.execute("SELECT ticket_id, status FROM tickets WHERE ticket_id > %s ORDER BY 1", [500])
        assert [cursor.fetchmany(2), cursor.fetchmany(2), cursor.fetchmany(2)] == [ALL[:2], ALL[2:], []]


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_scrolls_a_server_cursor(desk: Desk, binary: bool) -> None:
    with (
        psycopg.connect(desk.session.url()) as connection,
        connection.cursor("srv", binary=binary, scrollable=True) as cursor,
    ):
        cursor.execute("SELECT ticket_id, status FROM tickets WHERE ticket_id > %s ORDER BY 1", [500])
        assert [each.name for each in cursor.description or ()] == ["ticket_id", "status"]
        assert cursor.fetchall() == ALL
        cursor.scroll(1, mode="absolute")
        assert cursor.fetchone() == ALL[1]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy_streams(desk: Desk, driver: str) -> None:
    engine = create_engine(desk.session.url(scheme=f"postgresql+{driver}"))
    with engine.connect() as connection:
        query = select(TICKETS.c.ticket_id, TICKETS.c.status).order_by(TICKETS.c.ticket_id)
        result = connection.execution_options(yield_per=2).execute(query)
        assert [[tuple(row) for row in part] for part in result.partitions()] == [ALL[:2], ALL[2:]]
    engine.dispose()


async def test_sqlalchemy_streams_with_asyncpg(desk: Desk) -> None:
    engine = create_async_engine(desk.session.url(scheme="postgresql+asyncpg"))
    async with engine.connect() as connection:
        result = await connection.stream(select(TICKETS.c.ticket_id).order_by(TICKETS.c.ticket_id))
        assert [row[0] async for row in result] == [501, 502, 503]
    await engine.dispose()


async def test_asyncpg_moves_in_cursors_and_executes_by_name(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    async with connection.transaction():
        cursor = await connection.cursor(STATEMENT)
        assert await cursor.forward(1) == 1
        assert [tuple(row) for row in await cursor.fetch(5)] == ALL[1:]
        await connection.execute("DECLARE c SCROLL CURSOR FOR SELECT ticket_id FROM tickets WHERE ticket_id > $1", 501)
        assert await connection.execute("MOVE FORWARD ALL c") == "MOVE 2"
        assert len(await connection.fetch("FETCH BACKWARD ALL FROM c")) == 2
    await connection.execute("PREPARE p (int) AS SELECT status FROM tickets WHERE ticket_id = $1")
    assert await connection.fetchval("EXECUTE p (502)") == "pending"
    again = await connection.prepare("EXECUTE p (503)")
    assert [await again.fetchval(), await again.fetchval()] == ["closed", "closed"]
    await connection.close()


def test_names_of_sql_and_of_the_protocol_are_the_same(desk: Desk) -> None:
    with psycopg.connect(desk.session.url(), autocommit=True) as connection:
        connection.execute("PREPARE p AS SELECT status FROM tickets WHERE ticket_id = $1")
        found = connection.pgconn.exec_prepared(b"p", [b"501"])
        assert found.get_value(0, 0) == b"open"
        connection.pgconn.prepare(b"q", b"SELECT subject FROM tickets WHERE ticket_id = $1")
        assert connection.execute("EXECUTE q (502)").fetchall() == [("Invoice copy",)]
        connection.execute("DEALLOCATE q")
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute("EXECUTE q (502)")
        with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
            connection.execute("PREPARE p AS SELECT 1")


def test_an_executed_write_is_checked_and_rolled_back(desk: Desk) -> None:
    with psycopg.connect(desk.session.url()) as connection:
        connection.execute("PREPARE p AS UPDATE tickets SET status = $1 WHERE ticket_id = $2 RETURNING status")
        assert connection.execute("EXECUTE p ('closed', 501)").fetchall() == [("closed",)]
        assert connection.execute("EXECUTE p ('closed', 504)").fetchall() == []
        connection.rollback()
        assert connection.execute("EXECUTE p ('pending', 501)").fetchall() == [("pending",)]
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("pending",)]


def test_a_cursor_belongs_to_its_connection(desk: Desk) -> None:
    with psycopg.connect(desk.session.url()) as mine, psycopg.connect(desk.session.url()) as other:
        mine.execute(f"DECLARE c CURSOR WITH HOLD FOR {STATEMENT}")
        mine.commit()
        with pytest.raises(psycopg.errors.InvalidCursorName):
            other.execute("FETCH ALL FROM c")
        assert mine.execute("FETCH ALL FROM c").fetchall() == ALL


def test_savepoints_and_cursors_are_as_at_the_server(desk: Desk) -> None:
    with psycopg.connect(desk.session.url()) as connection:
        connection.execute(f"DECLARE a CURSOR FOR {STATEMENT}")
        with connection.transaction(force_rollback=True):
            connection.execute(f"DECLARE b CURSOR FOR {STATEMENT}")
            assert connection.execute("FETCH 1 FROM a").fetchall() == ALL[:1]
        assert connection.execute("FETCH 1 FROM a").fetchall() == ALL[1:2]
        with pytest.raises(psycopg.errors.InvalidCursorName), connection.transaction():
            connection.execute("FETCH 1 FROM b")
        connection.execute("DECLARE b CURSOR FOR SELECT 7")
        assert connection.execute("FETCH 1 FROM b").fetchall() == [(7,)]


@pytest.fixture
def gateway(postgres: Server) -> Iterator[RunningGateway]:
    """A gateway whose policy and sessions a test may change."""
    upstream = postgres.create((FOLDER / "fixture.sql").read_text(), ROLES)
    policy = (FOLDER / "policy.yaml").read_text()
    with running_gateway(policy, {"CORPUS_URL": upstream.url("gw", "gw")}) as running:
        yield running


def test_every_fetch_and_execute_is_on_record(gateway: RunningGateway) -> None:
    with psycopg.connect(gateway.open_session("constant-bot").url(), autocommit=True) as connection:
        connection.execute(f"DECLARE c CURSOR WITH HOLD FOR {STATEMENT}")
        connection.execute("FETCH 2 FROM c")
        connection.execute("PREPARE p AS SELECT name FROM customers WHERE name <> $1")
        connection.execute("EXECUTE p ('a private value')")
    listed = gateway.say("ledger", "query", "--json", "--limit", "1000").stdout
    assert "a private value" not in listed
    records = [each for each in map(json.loads, listed.splitlines()) if each["kind"] == "call"]
    told = {each["statement"].split(" AS ")[0]: (each["actions"], each["rows"]) for each in records}
    assert told["FETCH 2 FROM c"] == (["tickets:read"], 2)
    assert told['EXECUTE "p" ($1)'] == (["customers:read"], 1)


def test_nothing_more_comes_of_a_cursor_when_its_session_is_revoked(gateway: RunningGateway) -> None:
    session = gateway.open_session("constant-bot")
    with psycopg.connect(session.url(), autocommit=True) as connection:
        connection.execute(f"DECLARE c CURSOR WITH HOLD FOR {STATEMENT}")
        assert connection.execute("FETCH 1 FROM c").fetchall() == ALL[:1]
        gateway.revoke(session)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("FETCH 1 FROM c")


def test_a_policy_that_narrows_ends_open_cursors_and_prepared_statements(gateway: RunningGateway) -> None:
    with psycopg.connect(gateway.open_session("constant-bot").url(), autocommit=True) as connection:
        for name, query in (("c", STATEMENT), ("d", "SELECT title FROM kb_articles ORDER BY 1")):
            connection.execute(f"DECLARE {name} CURSOR WITH HOLD FOR {query}".encode())
            connection.execute(f"PREPARE p{name} AS {query}".encode())
        narrower = gateway.policy.read_text().replace(
            "rows: {tier: 1, customer_id: 4521}", "rows: {tier: 3, customer_id: 4521}"
        )
        gateway.policy.write_text(narrower)
        gateway.admin.ask("reload", {})
        for ended in ("FETCH 1 FROM c", "EXECUTE pc"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy has changed"):
                connection.execute(ended.encode())
        assert connection.execute("FETCH 1 FROM d").fetchone()
        assert connection.execute("EXECUTE pd").fetchone()
        connection.execute("CLOSE c")
        connection.execute(f"DECLARE c CURSOR WITH HOLD FOR {STATEMENT}")
        assert connection.execute("FETCH ALL FROM c").fetchall() == []
