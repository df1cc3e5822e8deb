"""psycopg2: simple queries with parameters in the text, named cursors, refusals."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest

from tests.support.desk import Desk


@pytest.fixture
def connection(desk: Desk) -> Iterator[psycopg2.extensions.connection]:
    made = psycopg2.connect(desk.session.url())
    yield made
    made.close()


def _rows(
    connection: psycopg2.extensions.connection, sql: str, values: tuple[object, ...] = ()
) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall()


def test_selects_and_binds(connection: psycopg2.extensions.connection) -> None:
    assert _rows(connection, "SELECT subject FROM tickets WHERE ticket_id = %s", (502,)) == [("Invoice copy",)]
    assert _rows(connection, "SELECT ticket_id FROM tickets WHERE status IN %s", (("open",),)) == [(501,)]


def test_a_transaction_is_rolled_back(connection: psycopg2.extensions.connection, desk: Desk) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tickets SET status = %s WHERE ticket_id = %s", ("closed", 501))
        assert cursor.rowcount == 1
    connection.rollback()
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("open",)]


def test_an_update_is_committed(connection: psycopg2.extensions.connection, desk: Desk) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE tickets SET status = 'closed' WHERE ticket_id = 501 RETURNING status")
        assert cursor.fetchall() == [("closed",)]
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("closed",)]


def test_a_refusal_has_its_code_and_a_hint(connection: psycopg2.extensions.connection, desk: Desk) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refused:
        _rows(connection, "SELECT ssn FROM customers")
    assert refused.value.pgcode == "42501"
    assert refused.value.diag.message_hint
    desk.clean(refused.value.pgerror)


def test_copies_out(connection: psycopg2.extensions.connection) -> None:
    import io

    out = io.StringIO()
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY (SELECT ticket_id, status FROM tickets ORDER BY 1) TO STDOUT WITH CSV", out)
    assert out.getvalue() == "501,open\n502,pending\n503,closed\n"
