"""Real clients through the front end to a real server; everything passes but what names a secret."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import psycopg
import pytest

from tests.mounts.conftest import Gateway
from tests.support.installed import installation


async def _psql(gateway: Gateway, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        str(installation() / "psql"),
        "-X",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PGPASSWORD": "secret-token", "PGHOST": "127.0.0.1", "PGUSER": "bot"}
        | {"PGPORT": str(gateway.server.port), "PGDATABASE": "crm"},
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode(), err.decode()


async def test_psql_reads_rows(gateway: Gateway) -> None:
    code, out, err = await _psql(gateway, "-Atc", "SELECT id, name FROM public.items WHERE id < 3 ORDER BY id")
    assert (code, out, err) == (0, "1|item 1\n2|item 2\n", "")
    assert gateway.ledger.outcomes() == [("call", "", 2)]


async def test_psql_runs_several_statements_and_a_transaction(gateway: Gateway) -> None:
    script = "BEGIN; SELECT 1; COMMIT;\nSELECT 2;\n\\echo done\n"
    code, out, _ = await _psql(gateway, "-At", stdin=script)
    assert (code, out) == (0, "BEGIN\n1\nCOMMIT\n2\ndone\n")


async def test_psql_is_told_why_it_is_denied_and_goes_on(gateway: Gateway) -> None:
    code, out, err = await _psql(gateway, "-At", stdin="SELECT * FROM public.secrets;\nSELECT 1;\n")
    assert code == 0
    assert out == "1\n"
    assert "ERROR:  `secrets:read` is not granted" in err
    assert "decision rec_1" in err
    assert "HINT:  ask the owner" in err


async def test_psql_copies_out(gateway: Gateway) -> None:
    code, out, err = await _psql(gateway, "-c", "COPY (SELECT id FROM public.items WHERE id < 4) TO STDOUT")
    assert (code, out, err) == (0, "1\n2\n3\n", "")
    assert gateway.ledger.outcomes() == [("call", "", 3)]


async def test_a_wrong_token_is_refused(gateway: Gateway) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(gateway.url(token="wrong"))
    assert gateway.ledger.refused == ["bot@crm from 127.0.0.1"]


async def test_asyncpg_prepares_binds_and_iterates(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    rows = await connection.fetch("SELECT id, name FROM public.items WHERE id = $1 OR name = $2", 1, "item 2")
    assert [tuple(row) for row in rows] == [(1, "item 1"), (2, "item 2")]
    async with connection.transaction():
        seen = [row["id"] async for row in connection.cursor("SELECT id FROM public.items ORDER BY id", prefetch=7)]
    assert seen == list(range(1, 101))
    await connection.close()


async def test_asyncpg_writes_many_and_rolls_back(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    transaction = connection.transaction()
    await transaction.start()
    rows = [(1000 + i, 1, "x") for i in range(20)]
    await connection.executemany("INSERT INTO public.items VALUES ($1, $2, $3)", rows)
    assert await connection.fetchval("SELECT count(*) FROM public.items WHERE id >= 1000") == 20
    await transaction.rollback()
    assert await connection.fetchval("SELECT count(*) FROM public.items WHERE id >= 1000") == 0
    await connection.close()
    kinds = gateway.ledger.kinds()
    assert kinds.count("intent") == kinds.count("outcome") == 20


async def test_psycopg_reads_in_binary_and_pipelines(gateway: Gateway) -> None:
    async with await psycopg.AsyncConnection.connect(gateway.url(), autocommit=True) as connection:
        cursor = connection.cursor(binary=True)
        await cursor.execute("SELECT id FROM public.items WHERE id = ANY(%s::int[]) ORDER BY 1", ([3, 4],))
        assert await cursor.fetchall() == [(3,), (4,)]
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", (i,)) for i in range(50)]
        assert [await each.fetchone() for each in cursors] == [(i,) for i in range(50)]


async def test_psycopg_sees_denials_as_insufficient_privilege(gateway: Gateway) -> None:
    async with await psycopg.AsyncConnection.connect(gateway.url()) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="secrets:read"):
            await connection.execute("SELECT * FROM public.secrets")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await connection.execute("SELECT 1")
        await connection.rollback()
        cursor = await connection.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)


async def test_a_million_bytes_stream_under_an_intent(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    rows = await connection.fetch("SELECT i, repeat('x', 50) FROM generate_series(1, 30000) i")
    assert len(rows) == 30000
    await connection.close()
    assert gateway.ledger.kinds() == ["intent", "outcome"]
    assert gateway.ledger.outcomes() == [("outcome", "", 30000)]


async def test_one_row_larger_than_any_buffer_passes(gateway: Gateway) -> None:
    connection = await asyncpg.connect(gateway.url())
    value = await connection.fetchval("SELECT repeat('x', 20000000)")
    assert len(value) == 20000000
    assert gateway.ledger.outcomes() == [("outcome", "", 1)]
    await connection.close()
