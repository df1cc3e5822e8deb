"""psycopg 3: parameters, prepared statements, pipelines, cursors, COPY, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import dict_row

from tests.support.desk import Desk

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def connection(desk: Desk) -> Iterator[Connection]:
    with psycopg.connect(desk.session.url(), autocommit=True) as made:
        yield made


def test_selects_and_binds(connection: Connection) -> None:
    found = connection.execute("SELECT subject FROM tickets WHERE ticket_id = %s", [502]).fetchall()
    assert found == [("Invoice copy",)]


def test_parameters_in_binary(connection: Connection) -> None:
    with connection.cursor(binary=True, row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT ticket_id, tier FROM tickets WHERE ticket_id = %b", [502]).fetchall()
    assert found == [{"ticket_id": 502, "tier": 1}]


def test_a_prepared_statement_runs_again(connection: Connection) -> None:
    for ticket, subject in ((501, "Cannot log in"), (502, "Invoice copy"), (505, None), (503, "Change address")) * 3:
        row = connection.execute("SELECT subject FROM tickets WHERE ticket_id = %s", [ticket], prepare=True).fetchone()
        assert (row and row[0]) == subject


def test_a_pipeline_is_answered_in_order(connection: Connection) -> None:
    with connection.pipeline():
        cursors = [connection.execute("SELECT status FROM tickets WHERE ticket_id = %s", [n]) for n in (501, 502, 503)]
        assert [cursor.fetchall() for cursor in cursors] == [[("open",)], [("pending",)], [("closed",)]]


def _pipelined(connection: Connection, *texts: str) -> None:
    with connection.pipeline():
        for each in texts:
            connection.execute(each.encode())


def test_a_refusal_inside_a_pipeline_stops_what_follows(connection: Connection) -> None:
    texts = ("UPDATE tickets SET status = 'closed' WHERE ticket_id = {}", "SELECT ssn FROM customers")
    with pytest.raises(errors.InsufficientPrivilege):
        _pipelined(connection, texts[0].format(501), texts[1], texts[0].format(502))
    assert connection.execute("SELECT status FROM tickets ORDER BY ticket_id").fetchall()[1] == ("pending",)


def test_streams_in_chunks(connection: Connection) -> None:
    rows = list(connection.cursor().stream("SELECT ticket_id FROM tickets ORDER BY 1", size=2))
    assert rows == [(501,), (502,), (503,)]


def test_copies_out(connection: Connection) -> None:
    with connection.cursor().copy("COPY (SELECT ticket_id, subject FROM tickets ORDER BY 1) TO STDOUT") as copy:
        rows = list(copy.rows())
    assert rows[1] == ("502", "Invoice copy")


def test_a_transaction_is_rolled_back(connection: Connection, desk: Desk) -> None:
    with connection.transaction(force_rollback=True):
        assert connection.execute("UPDATE tickets SET status = 'closed' WHERE ticket_id = 501").rowcount == 1
        with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
            connection.execute("SELECT * FROM hr.employee_records")
        assert connection.execute("SELECT status FROM tickets WHERE ticket_id = 501").fetchone() == ("closed",)
    assert desk.upstream.rows("SELECT status FROM public.tickets WHERE ticket_id = 501") == [("open",)]


def test_an_update_outside_the_scope_reaches_nothing(connection: Connection) -> None:
    assert connection.execute("UPDATE tickets SET status = 'closed' WHERE ticket_id = 505").rowcount == 0


def test_a_refusal_tells_what_would_be_allowed(connection: Connection, desk: Desk) -> None:
    with pytest.raises(errors.InsufficientPrivilege) as refused:
        connection.execute("SELECT ssn FROM customers")
    assert refused.value.diag.message_hint
    assert "ssn" in (refused.value.diag.message_primary or "")
    desk.clean([refused.value.diag.message_primary, refused.value.diag.message_hint, refused.value.diag.message_detail])


def test_many_rows_of_a_failed_transaction_are_refused_like_a_server_does(desk: Desk) -> None:
    with psycopg.connect(desk.session.url()) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT ssn FROM customers")
        with pytest.raises(errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_type_is_looked_up(connection: Connection) -> None:
    found = psycopg.types.TypeInfo.fetch(connection, "timestamptz")
    assert found is not None
    assert found.oid == 1184


def test_a_query_is_cancelled(connection: Connection) -> None:
    import threading

    timer = threading.Timer(0.5, connection.cancel_safe)
    timer.start()
    with pytest.raises(errors.QueryCanceled):
        connection.execute("SELECT count(*) FROM generate_series(1, 2000000000) g")
    timer.join()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_wrong_token_and_a_wrong_user_are_refused(desk: Desk) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(desk.session.url(token="x" * 40))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(desk.session.url(user="subquery-bot"))


ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000)"


def test_a_client_sets_itself_a_shorter_time(connection: Connection) -> None:
    connection.execute("SET statement_timeout = '100ms'")
    with pytest.raises(errors.QueryCanceled):
        connection.execute(ENDLESS)
    assert connection.execute("SHOW statement_timeout").fetchone() == ("100ms",)


def test_a_client_gets_no_longer_time_than_the_session_has(connection: Connection) -> None:
    (pinned,) = connection.execute("SHOW statement_timeout").fetchone() or ("",)
    for asked in ("SET statement_timeout = '1h'", "SET statement_timeout TO DEFAULT", "RESET statement_timeout"):
        connection.execute("SET statement_timeout = '7s'")
        assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        connection.execute(asked.encode())
        assert connection.execute("SHOW statement_timeout").fetchone() == (pinned,) == ("1min",)
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = '10min'")
        assert connection.execute("SHOW statement_timeout").fetchone() == (pinned,)
