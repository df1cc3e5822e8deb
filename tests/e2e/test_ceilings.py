"""Ceilings on statements, through the real gateway and real drivers: what happened is counted, and undone beyond."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, LiteralString, cast

import asyncpg
import psycopg
import pytest
from psycopg import errors

from bailiwick.gateway.ledger.reader import Query, open_reader
from tests.support.canary import leaks_in_files
from tests.support.desk import Desk, clean
from tests.support.gateway import running_gateway
from tests.support.postgres import GATEWAY_ROLE, Server

Connection = psycopg.Connection[tuple[Any, ...]]

SCRIPT = """
CREATE TABLE public.items (id int PRIMARY KEY, owner int NOT NULL, note text, secret text);
INSERT INTO public.items SELECT g, g % 2, 'n' || g, 'CANARY_ITEM_' || g FROM generate_series(1, 300) g;
CREATE TABLE public.people (id int PRIMARY KEY, name text);
INSERT INTO public.people VALUES (1, 'Ann'), (2, NULL), (3, 'CANARY_CY');
CREATE TABLE public.pages (id int PRIMARY KEY, body text);
INSERT INTO public.pages SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g;
CREATE TABLE public.free (id int PRIMARY KEY, note text);
INSERT INTO public.free SELECT g, 'f' || g FROM generate_series(1, 3000) g;
CREATE TABLE public.parents (id int PRIMARY KEY);
CREATE TABLE public.children (id int PRIMARY KEY, parent int REFERENCES public.parents ON DELETE CASCADE);
INSERT INTO public.parents SELECT g FROM generate_series(1, 20) g;
INSERT INTO public.children SELECT g, g % 20 + 1 FROM generate_series(1, 100) g;
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${CEILING_URL}
    limits: {bytes: 200000}
    resources:
      items: {table: public.items, key: id}
      people: {table: public.people, key: id}
      pages: {table: public.pages, key: id}
      free: {table: public.free, key: id}
      parents: {table: public.parents, key: id}
roles:
  r:
    grants:
      - allow: items:read
        reason: looks
        fields: [id, owner, note]
        rows: {owner: 1}
        limits: {rows: 100, timeout: 2s}
      - {allow: items:update:note, reason: edits, limits: {batch: 5}}
      - {allow: items:create, reason: adds, fields: [id, owner, note], limits: {batch: 3}}
      - {allow: people:read, reason: counts, mask: {name: hash}, rows: {id: {under: 10}}, limits: {rows: 5}}
      - {allow: pages:read, reason: reads}
      - {allow: free:read, reason: reads}
      - {allow: free:update, reason: edits}
      - {allow: parents:read, reason: reads}
      - {allow: parents:delete, reason: cleans, limits: {batch: 2}}
gates:
  delete: {loosen: [parents:delete], reason: test data only}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
"""


@pytest.fixture(scope="module")
def gate(postgres: Server) -> Iterator[Desk]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    with running_gateway(POLICY, {"CEILING_URL": upstream.url("gw", "gw")}) as gateway:
        yield Desk(gateway, gateway.open_session("bot"), upstream, clean)
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


@pytest.fixture
def connection(gate: Desk) -> Iterator[Connection]:
    with psycopg.connect(gate.session.url(), autocommit=True) as made:
        yield made
    gate.upstream.script("DELETE FROM items WHERE id > 300; UPDATE items SET note = 'n' || id")


def changed(gate: Desk) -> int:
    found = gate.upstream.rows("SELECT count(*) FROM items WHERE note IS DISTINCT FROM 'n' || id")[0][0]
    assert isinstance(found, int)
    return found


def told(error: pytest.ExceptionInfo[psycopg.Error]) -> str:
    found = error.value.diag
    clean((found.message_primary, found.message_detail, found.message_hint))
    return f"{found.message_primary} | {found.message_detail} | {found.message_hint}"


# --- batch ---


def test_a_write_up_to_its_batch_is_done(connection: Connection, gate: Desk) -> None:
    assert connection.execute("UPDATE items SET note = 'a' WHERE id < 11").rowcount == 5
    assert changed(gate) == 5


def test_a_write_beyond_its_batch_is_undone_and_the_denial_has_the_real_count(
    connection: Connection, gate: Desk
) -> None:
    with pytest.raises(errors.InsufficientPrivilege) as error:
        connection.execute("UPDATE items SET note = 'a'")
    said = told(error)
    assert "150 rows" in said
    assert "at most 5" in said
    assert "batch_exceeded" in said
    assert changed(gate) == 0
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_what_a_with_query_writes_is_counted(connection: Connection, gate: Desk) -> None:
    within = "WITH x AS (UPDATE items SET note = 'a' WHERE id < %s RETURNING id)"
    assert connection.execute(f"{within} SELECT count(*) FROM x".encode(), [11]).fetchall() == [(5,)]
    assert changed(gate) == 5
    for statement in (f"{within} SELECT id FROM x WHERE id = 1", f"{within} UPDATE items SET note = 'b' WHERE id = 21"):
        limit = 15 if "SELECT" in statement else 11
        with pytest.raises(errors.InsufficientPrivilege) as error:
            connection.execute(statement.encode(), [limit])
        said = told(error)
        assert ("7 rows" if "SELECT" in statement else "6 rows") in said
        assert "at most 5" in said
    assert changed(gate) == 5


def test_with_queries_are_counted_in_transactions_and_pipelines(connection: Connection, gate: Desk) -> None:
    within = "WITH x AS (UPDATE items SET note = 'a' WHERE id < {} RETURNING id) SELECT id FROM x"
    with connection.transaction():
        assert len(connection.execute(within.format(11).encode()).fetchall()) == 5
        with pytest.raises(errors.InsufficientPrivilege, match="7 rows"), connection.transaction():
            connection.execute(within.format(15).encode())
        connection.execute(within.format(5).encode())
    assert changed(gate) == 5
    with connection.pipeline():
        found = [connection.execute(within.format(limit).encode(), prepare=True) for limit in (5, 3, 11)]
    assert [len(each.fetchall()) for each in found] == [2, 1, 5]


def test_returning_is_held_back_until_the_count_is_known(connection: Connection, gate: Desk) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="7 rows"):
        connection.execute("UPDATE items SET note = 'a' WHERE id < 15 RETURNING id")
    found = connection.execute("UPDATE items SET note = 'a' WHERE id < 11 RETURNING id").fetchall()
    assert sorted(found) == [(1,), (3,), (5,), (7,), (9,)]
    assert changed(gate) == 5


def test_an_execute_with_a_row_limit_counts_all_that_was_written(gate: Desk) -> None:
    async def run() -> None:
        made = await asyncpg.connect(gate.session.url())
        try:
            statement = await made.prepare("UPDATE items SET note = 'a' RETURNING id")
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="150 rows"):
                await statement.fetchrow()  # Execute with a limit of one row, then Sync
            assert await made.fetchval("SELECT 1") == 1
        finally:
            await made.close()

    asyncio.run(run())
    assert changed(gate) == 0


def test_in_a_transaction_the_denial_aborts_it_as_an_error_does(connection: Connection, gate: Desk) -> None:
    connection.execute("BEGIN")
    connection.execute("UPDATE items SET note = 'a' WHERE id = 1")
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute("UPDATE items SET note = 'b'")
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.execute("COMMIT")  # answers ROLLBACK
    assert changed(gate) == 0


def test_a_savepoint_keeps_what_came_before_it(connection: Connection, gate: Desk) -> None:
    with connection.transaction():
        connection.execute("UPDATE items SET note = 'a' WHERE id = 1")
        with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
            connection.execute("UPDATE items SET note = 'b'")
        connection.execute("UPDATE items SET note = 'c' WHERE id = 3")
    assert changed(gate) == 2


def test_a_string_of_statements_is_undone_whole(connection: Connection, gate: Desk) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="150 rows"):
        connection.execute(
            "UPDATE free SET note = 'z' WHERE id = 1; UPDATE items SET note = 'b'; UPDATE free SET note = 'z'"
        )
    assert gate.upstream.rows("SELECT count(*) FROM free WHERE note = 'z'") == [(0,)]
    assert changed(gate) == 0
    connection.execute("UPDATE free SET note = 'f1' WHERE id = 1; UPDATE items SET note = 'b' WHERE id = 1; COMMIT")
    assert changed(gate) == 1


def test_a_commit_in_the_string_does_not_save_a_write_beyond_its_batch(connection: Connection, gate: Desk) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute("BEGIN; UPDATE items SET note = 'b'; COMMIT; SELECT 1")
    connection.execute("ROLLBACK")
    assert changed(gate) == 0


def test_a_pipeline_stops_at_the_write_beyond_its_batch(connection: Connection, gate: Desk) -> None:
    def run() -> None:
        with connection.pipeline():
            connection.execute("UPDATE items SET note = 'a' WHERE id = 1")
            connection.execute("UPDATE items SET note = 'b'")
            connection.execute("UPDATE free SET note = 'zz' WHERE id = 1")

    with pytest.raises(errors.InsufficientPrivilege):
        run()
    assert gate.upstream.rows("SELECT count(*) FROM free WHERE note = 'zz'") == [(0,)]
    assert changed(gate) == 0
    assert connection.execute("SELECT count(*) FROM items").fetchall() == [(150,)]


def test_a_checked_write_is_counted_too(connection: Connection) -> None:
    values = ", ".join(f"({n}, 1, 'x')" for n in range(301, 305))
    with pytest.raises(errors.InsufficientPrivilege, match="4 rows"):
        connection.execute(f"INSERT INTO items (id, owner, note) VALUES {values}".encode())
    made = connection.execute("INSERT INTO items (id, owner, note) VALUES (301, 1, 'x'), (302, 1, 'x') RETURNING id")
    assert made.fetchall() == [(301,), (302,)]


def test_a_delete_counts_its_own_rows_and_not_the_cascade(connection: Connection, gate: Desk) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="20 rows"):
        connection.execute("DELETE FROM parents")
    assert gate.upstream.rows("SELECT count(*) FROM children") == [(100,)]
    assert connection.execute("DELETE FROM parents WHERE id <= 2").rowcount == 2
    assert gate.upstream.rows("SELECT count(*) FROM children") == [(90,)]


# --- rows ---


def test_a_result_up_to_its_rows_is_given_and_one_beyond_is_not(connection: Connection) -> None:
    assert len(connection.execute("SELECT id FROM items LIMIT 100").fetchall()) == 100
    with pytest.raises(errors.InsufficientPrivilege) as error:
        connection.execute("SELECT id, note FROM items")
    assert "more than 100 rows" in told(error)
    assert connection.execute("SELECT count(*) FROM items").fetchall() == [(150,)]


async def _read(made: asyncpg.Connection, sql: str, seen: list[int]) -> None:
    async with made.transaction():
        seen.extend([row["id"] async for row in made.cursor(sql, prefetch=30)])


def test_rows_are_counted_over_a_portal_that_is_read_in_parts(gate: Desk) -> None:
    async def run() -> None:
        made = await asyncpg.connect(gate.session.url())
        part: list[int] = []
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await _read(made, "SELECT id FROM items", [])
            await _read(made, "SELECT id FROM items LIMIT 100", part)
        finally:
            await made.close()
        assert len(part) == 100

    asyncio.run(run())


def test_rows_are_counted_over_all_of_a_cursor(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT id FROM items")
        assert len(connection.execute("FETCH 60 FROM c").fetchall()) == 60
    with pytest.raises(errors.InsufficientPrivilege) as refused:
        connection.execute("FETCH 60 FROM c")
    assert "rows_exceeded" in told(refused)
    connection.execute("DECLARE d CURSOR WITH HOLD FOR SELECT id FROM items WHERE id < 20")
    assert [len(connection.execute("FETCH 300 FROM d").fetchall()) for _ in range(3)] == [10, 0, 0]


def test_what_is_executed_by_its_name_has_its_ceilings(connection: Connection, gate: Desk) -> None:
    connection.execute("PREPARE r AS SELECT id FROM items WHERE id < $1")
    assert len(connection.execute("EXECUTE r (200)").fetchall()) == 100
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute("EXECUTE r (210)")
    connection.execute("PREPARE w AS UPDATE items SET note = 'x' WHERE id < $1")
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute("EXECUTE w (20)")
    assert changed(gate) == 0
    connection.execute("EXECUTE w (5)")


def test_copy_counts_its_rows(connection: Connection) -> None:
    def copied(sql: str) -> bytes:
        with connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            return b"".join(copy)

    for limit, options in ((101, ""), (101, " WITH (FORMAT csv, HEADER)"), (150, " WITH (FORMAT binary)")):
        with pytest.raises(errors.InsufficientPrivilege):
            copied(f"COPY (SELECT id FROM items LIMIT {limit}) TO STDOUT{options}")
        assert copied(f"COPY (SELECT id FROM items LIMIT 100) TO STDOUT{options}")
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_no_value_of_the_gateway_stands_in_what_a_copy_runs(gate: Desk) -> None:
    database = gate.upstream.name
    log, said = gate.upstream.server.data.parent / "log", "ALTER ROLE gw IN DATABASE {} SET {}"
    gate.upstream.script(said.format(database, "log_statement = 'all'"))
    gate.upstream.script(said.format(database, "log_parameter_max_length = 0"))
    before = log.stat().st_size
    copy = "COPY (SELECT id, name FROM people ORDER BY id) TO STDOUT"
    with psycopg.connect(gate.session.url(), autocommit=True) as connection:
        shown = connection.execute("SELECT id, name FROM people ORDER BY id").fetchall()
        for around in (None, "BEGIN"):
            if around:
                connection.execute(around)
            for _ in range(2):
                with connection.cursor().copy(copy) as copied:
                    assert [(int(key), name) for key, name in copied.rows()] == shown
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute("SELECT current_setting('bailiwick.lent_1', true)")
    gate.upstream.script(f"ALTER ROLE gw IN DATABASE {database} RESET ALL")
    written = log.read_bytes()[before:].decode()
    assert "COPY (SELECT" in written
    assert "set_config('bailiwick.lent_1', '', true)" in written
    assert not re.search(r"\\\\?x[0-9a-f]{64}", written)


# --- bytes and time ---


def test_a_result_beyond_its_bytes_ends_the_statement_not_the_connection(connection: Connection) -> None:
    assert len(connection.execute("SELECT body FROM pages LIMIT 150").fetchall()) == 150
    for _ in range(3):
        with pytest.raises(errors.ProgramLimitExceeded) as error:
            connection.execute("SELECT a.body FROM pages a, pages b")
        assert "200000 bytes" in told(error)
        assert connection.execute("SELECT count(*) FROM pages").fetchall() == [(3000,)]


def test_an_error_in_the_middle_of_rows_keeps_a_transaction_honest(connection: Connection) -> None:
    connection.execute("BEGIN")
    with pytest.raises(errors.ProgramLimitExceeded):
        connection.execute("SELECT body FROM pages")
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.execute("ROLLBACK")


def test_a_runaway_is_cancelled_at_the_server(connection: Connection, gate: Desk) -> None:
    begun = time.monotonic()
    with pytest.raises(errors.QueryCanceled) as error:
        connection.execute("SELECT count(*) FROM items a, free b, free c, free d")
    assert time.monotonic() - begun < 8
    assert "2 seconds" in told(error)
    running = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gw' AND state = 'active' AND query LIKE '%count%'"
    assert gate.upstream.rows(running) == [(0,)]
    assert connection.execute("SELECT count(*) FROM items").fetchall() == [(150,)]


def test_what_broke_a_ceiling_is_on_record_with_its_count(gate: Desk, connection: Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege) as error:
        connection.execute("UPDATE items SET note = 'a'")
    detail = error.value.diag.message_detail or ""
    record = detail.rpartition("decision ")[2]
    shown = gate.gateway.say("ledger", "query", "--json")
    assert '"batch_exceeded"' in shown.stdout
    assert record in shown.stdout


def _ends(gate: Desk) -> list[Mapping[str, Any]]:
    with closing(open_reader(gate.gateway.folder / ".bailiwick" / "ledger.db")) as reader:
        found = reader.query(Query(kind="transaction.ended", session=gate.session.id, limit=1_000))
        outcomes = {str(read_record(each.body)["refers"]) for each in reader.query(Query(kind="outcome", limit=10_000))}
    ends = [read_record(each.body)["detail"] for each in found]
    assert all(intent in outcomes for end in ends for intent in end["intents"])
    return ends


def read_record(body: bytes) -> Mapping[str, Any]:
    return json.loads(body)


def test_how_each_transaction_ended_is_on_record(gate: Desk) -> None:
    """An outcome says that a write was done; whether it lasted is told when its transaction ends."""
    before = len(_ends(gate))

    def run(*statements: str) -> None:
        with closing(psycopg.connect(gate.session.url(), autocommit=True)) as connection:
            for statement in statements:
                with suppress(errors.Error):
                    connection.execute(cast("LiteralString", statement))

    one = "UPDATE free SET note = 'b' WHERE id = 1"
    run(one)  # by itself: its outcome says all
    run("BEGIN", "SELECT 1", "COMMIT")  # nothing was written
    run("BEGIN", one, "COMMIT")
    run("BEGIN", one, one, "ROLLBACK")
    run("BEGIN", one, "SELECT 1 / 0", "COMMIT")  # answers ROLLBACK
    run("BEGIN", one, "SAVEPOINT s", one, "ROLLBACK TO s", "COMMIT")
    run(f"BEGIN; {one}; ROLLBACK")  # in one string
    run(f"BEGIN; {one}; COMMIT")
    run("BEGIN", one)  # and the client goes
    deadline = time.monotonic() + 60
    while len(_ends(gate)) < before + 7 and time.monotonic() < deadline:
        time.sleep(0.05)  # a connection's end is recorded behind it
    told = [(end["fate"], end["writes"]) for end in _ends(gate)[before:]]
    assert told == [
        ("committed", 1),
        ("rolled_back", 2),
        ("rolled_back", 1),
        ("in_part", 2),
        ("rolled_back", 1),
        ("committed", 1),
        ("rolled_back", 1),
    ]
