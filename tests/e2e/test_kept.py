"""Statements that come again are kept prepared at the server: what they return is what they would anyway."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.support.desk import Desk
from tests.support.wire import Wire

QUERIES = (
    "SELECT ticket_id, status FROM tickets WHERE ticket_id = {}",
    "SELECT ticket_id FROM tickets WHERE ticket_id >= {} AND NOT ticket_id > 502 ORDER BY ticket_id",
    "SELECT ticket_id FROM tickets WHERE ticket_id <> {} LIMIT 2",
    "SELECT subject FROM tickets WHERE ticket_id = {} AND upper(status) <> status",
    "SELECT count(*) FROM tickets t JOIN customers c USING (customer_id) WHERE t.ticket_id < {}",
)
NUMBERS = (501, 502, 503, 0, 999_999_999, 501)


def connected(desk: Desk) -> Wire:
    wire = Wire(desk.session.host, desk.session.port)
    wire.login(desk.session.user, desk.session.database, desk.session.token)
    return wire


def by_query(wire: Wire, text: str, number: int) -> object:
    reply = wire.simple(text.format(number))
    return reply.rows, reply.columns, reply.errors


def by_parse(wire: Wire, text: str, number: int) -> object:
    reply = wire.extended(text.format("$1"), [str(number)])
    return reply.rows, reply.columns, reply.errors


@pytest.mark.parametrize("ask", [by_query, by_parse])
@pytest.mark.parametrize("text", QUERIES)
def test_what_is_asked_again_answers_as_the_first_time(
    desk: Desk, text: str, ask: Callable[[Wire, str, int], object]
) -> None:
    with connected(desk) as again:
        found = [ask(again, text, number) for number in NUMBERS]
        for number, each in zip(NUMBERS, found, strict=True):
            with connected(desk) as first:
                assert ask(first, text, number) == each


def test_a_setting_holds_for_what_was_asked_before(desk: Desk) -> None:
    text = "SELECT '2026-01-01 00:00'::timestamptz AT TIME ZONE 'UTC' AS x FROM tickets WHERE ticket_id = 501"
    with connected(desk) as wire:
        for zone, hour in (("UTC", "00"), ("America/New_York", "05"), ("UTC", "00")):
            assert not wire.simple(f"SET TimeZone TO '{zone}'").errors
            for _ in range(4):
                assert wire.extended(text).rows == wire.simple(text).rows == [(f"2026-01-01 {hour}:00:00",)]
        wire.simple("BEGIN")
        wire.simple("SET LOCAL TimeZone TO 'America/New_York'")
        assert wire.extended(text).rows == [("2026-01-01 05:00:00",)]
        wire.simple("ROLLBACK")
        assert wire.extended(text).rows == [("2026-01-01 00:00:00",)]


@pytest.mark.parametrize("literal", ["'now'", "E'N\\x6fW'", "$$ now $$", "'{now}'::timestamptz[])[1]"])
def test_a_time_in_a_literal_is_that_of_each_execution(desk: Desk, literal: str) -> None:
    opened = "(" * literal.count(")")
    text = f"SELECT {opened}{literal}::timestamptz = now() AS same FROM tickets WHERE ticket_id = 501"
    with connected(desk) as wire:
        for _ in range(4):
            assert wire.extended(text).rows == wire.simple(text).rows == [("t",)]


def test_what_agents_discard_and_name_does_not_touch_what_is_kept(desk: Desk) -> None:
    text = "SELECT status FROM tickets WHERE ticket_id = 501"
    with connected(desk) as wire:
        for said in ("DISCARD ALL", "DEALLOCATE ALL", 'DEALLOCATE "bailiwick kept 0"', "SELECT 1"):
            for _ in range(4):
                assert wire.extended(text).rows == wire.simple(text).rows == [("open",)]
            wire.simple(said)
        assert wire.simple('PREPARE "bailiwick kept 0" AS SELECT 1').errors
        assert wire.simple('EXECUTE "bailiwick kept 0"').errors
        assert wire.extended(text).rows == [("open",)]


def test_a_column_may_change_its_type_meanwhile(desk: Desk) -> None:
    text = "SELECT status FROM tickets WHERE ticket_id = 501"
    with connected(desk) as wire:
        for _ in range(4):
            assert wire.extended(text).rows == [("open",)]
        with psycopg.connect(desk.upstream.url(), autocommit=True) as owner:
            owner.execute("ALTER TABLE public.tickets ALTER status TYPE varchar(40)")
            try:
                assert wire.extended(text).rows == [("open",)]
            finally:
                owner.execute("ALTER TABLE public.tickets ALTER status TYPE text")
        assert wire.extended(text).rows == [("open",)]
