"""asyncpg: binary protocol, prepared statements, portals with a fetch size, type look-ups."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.support.desk import Desk


async def test_selects_and_binds(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        rows = await connection.fetch("SELECT ticket_id, subject FROM tickets WHERE ticket_id = ANY($1::int[])", [502])
        assert [tuple(row) for row in rows] == [(502, "Invoice copy")]
        assert await connection.fetchval("SELECT count(*) FROM orders") == 4
    finally:
        await connection.close()


async def test_a_prepared_statement_runs_again(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        prepared = await connection.prepare("SELECT status FROM tickets WHERE ticket_id = $1")
        assert [await prepared.fetchval(ticket) for ticket in (501, 502, 503, 505)] == [
            "open",
            "pending",
            "closed",
            None,
        ]
    finally:
        await connection.close()


async def test_a_portal_is_read_in_portions(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        async with connection.transaction():
            found = [row[0] async for row in connection.cursor("SELECT order_id FROM orders ORDER BY 1", prefetch=2)]
            cursor = await connection.cursor("SELECT order_id FROM orders ORDER BY 1")
            first, rest = await cursor.fetch(1), await cursor.fetch(10)
        assert found == [90001, 90002, 90003, 90004]
        assert [row[0] for row in (*first, *rest)] == found
    finally:
        await connection.close()


async def test_a_transaction_with_a_savepoint_is_rolled_back(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        outer = connection.transaction()
        await outer.start()
        assert (
            await connection.execute("UPDATE tickets SET status = $1 WHERE ticket_id = $2", "closed", 501) == "UPDATE 1"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.fetch("SELECT * FROM hr.employee_records")
        assert await connection.fetchval("SELECT status FROM tickets WHERE ticket_id = 501") == "closed"
        await outer.rollback()
        assert await connection.fetchval("SELECT status FROM tickets WHERE ticket_id = 501") == "open"
    finally:
        await connection.close()


async def test_a_refusal_has_its_code_and_a_hint(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await connection.fetch("SELECT ssn FROM customers")
        assert refused.value.sqlstate == "42501"
        assert refused.value.hint
        desk.clean([str(refused.value), refused.value.hint, refused.value.detail])
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()


async def test_copies_out(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    out = bytearray()

    async def take(data: bytes) -> None:
        out.extend(data)

    try:
        await connection.copy_from_query("SELECT ticket_id FROM tickets ORDER BY 1", output=take)
        assert bytes(out) == b"501\n502\n503\n"
    finally:
        await connection.close()


async def test_unknown_types_are_looked_up(desk: Desk) -> None:
    connection = await asyncpg.connect(desk.session.url())
    try:
        rows = await connection.fetch(
            "SELECT row(ticket_id, status), ARRAY[tier] FROM tickets ORDER BY ticket_id LIMIT 1"
        )
        assert tuple(rows[0][0]) == (501, "open")
        assert rows[0][1] == [1]
    finally:
        await connection.close()


async def test_many_connections_at_once(desk: Desk) -> None:
    connections = await asyncio.gather(*(asyncpg.connect(desk.session.url()) for _ in range(10)))
    try:
        asked = (each.fetchval("SELECT $1::int + count(*) FROM tickets", n) for n, each in enumerate(connections))
        assert await asyncio.gather(*asked) == [n + 3 for n in range(10)]
    finally:
        await asyncio.gather(*(each.close() for each in connections))
