"""Inside PostgreSQL, without the rewriter: a compiled role reads and writes its scope, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import LiteralString, cast

import psycopg
import pytest

from bailiwick.model.session import Session, User
from tests.native.native_desk import POLICY, SCRIPT
from tests.support.canary import leaks
from tests.support.native import MASK_KEY, Native, loaded, session_of
from tests.support.postgres import Server

GRACE = User("grace", frozenset({"north", "south"}))


@dataclass
class Acting:
    """A connection that acts natively; what it did is undone after each test."""

    connection: psycopg.Connection

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Run one statement and return its rows, or the number of rows that it touched."""
        cursor = self.connection.execute(cast(LiteralString, sql))
        found: list[tuple[object, ...]] = [(cursor.rowcount,)]
        if cursor.description:
            found = cursor.fetchall()
        assert leaks(str(found)) == []
        return found

    def refused(self, sql: str) -> str:
        """Run one statement that must fail; return its SQLSTATE."""
        with pytest.raises(psycopg.Error) as caught, self.connection.transaction():
            self.connection.execute(cast(LiteralString, sql))
        return caught.value.sqlstate or ""


@pytest.fixture(scope="module")
def native(postgres: Server) -> Iterator[Native]:
    database = postgres.create(SCRIPT)
    made = Native(database, loaded(POLICY))
    made.apply()
    yield made
    database.drop()


@pytest.fixture
def act(native: Native) -> Iterator[Callable[[Session], Acting]]:
    opened: list[psycopg.Connection] = []

    def connect(session: Session) -> Acting:
        connection = psycopg.connect(native.url)
        opened.append(connection)
        native.bind(connection, session)
        return Acting(connection)

    yield connect
    for connection in opened:
        connection.rollback()
        connection.close()


@pytest.fixture
def support(act: Callable[[Session], Acting]) -> Acting:
    return act(session_of("support-bot", task="handle-ticket", user=GRACE, tenant=10, values={"customer_id": 1}))


def test_rows_fields_and_masks_are_those_of_the_scope(support: Acting) -> None:
    found = support.rows("SELECT * FROM customers ORDER BY customer_id")
    assert [(row[0], row[2], row[3], row[4], str(row[5])) for row in found] == [
        (1, "a***@mail.example", "north", 100, "1980-01-01"),
        (2, None, None, None, "None"),
    ]
    assert len(str(found[0][1])) == 64


def test_a_window_of_time_ends_where_it_ends(support: Acting) -> None:
    assert support.rows("SELECT ticket_id FROM tickets ORDER BY 1") == [(100,), (101,)]


def test_own_sql_of_the_policy_limits_rows(support: Acting) -> None:
    assert support.rows("SELECT body FROM notes") == [("likes tea",)]


def test_the_tables_themselves_are_out_of_reach(support: Acting) -> None:
    assert support.refused("SELECT * FROM public.customers") == "42501"
    assert support.refused("UPDATE public.tickets SET status = 'closed'") == "42501"
    assert support.rows("SELECT count(*) FROM customers") == [(2,)]


def test_an_update_reaches_what_its_grant_admits_and_passes_over_the_rest(support: Acting) -> None:
    assert support.rows("UPDATE tickets SET status = 'pending' RETURNING ticket_id") == [(100,)]


def test_what_is_written_is_constrained(support: Acting) -> None:
    assert support.refused("UPDATE tickets SET status = 'lost' WHERE ticket_id = 100") == "42501"
    assert support.rows("UPDATE tickets SET status = 'pending' WHERE ticket_id = 100") == [(1,)]


def test_a_column_that_is_not_written_is_not_constrained(support: Acting) -> None:
    assert support.rows("UPDATE tickets SET priority = 'high' WHERE ticket_id = 101") == [(1,)]


def test_one_grant_admits_the_whole_change(support: Acting) -> None:
    assert support.refused("UPDATE tickets SET status = 'closed', priority = 'high' WHERE ticket_id = 100") == "42501"


def test_a_column_without_a_grant_is_not_written(support: Acting) -> None:
    assert support.refused("UPDATE tickets SET subject = 'x' WHERE ticket_id = 100") == "42501"


def test_a_new_row_gets_the_tenant_and_lies_in_the_scope(support: Acting) -> None:
    made = support.rows("INSERT INTO tickets (customer_id, subject) VALUES (1, 'new') RETURNING ticket_id, status")
    assert made[0][1] == "open"
    support.connection.execute("RESET ROLE")
    told = support.connection.execute("SELECT tenant_id FROM public.tickets WHERE subject = 'new'").fetchall()
    assert told == [(10,)]


def test_a_new_row_outside_of_the_scope_is_refused(support: Acting) -> None:
    assert support.refused("INSERT INTO tickets (customer_id, subject) VALUES (2, 'new')") == "42501"
    assert support.refused("INSERT INTO tickets (customer_id, status) VALUES (1, 'closed')") == "42501"
    assert support.refused("INSERT INTO notes (customer_id, body) VALUES (2, 'x')") in ("42501", "44000")
    assert support.rows("INSERT INTO notes (customer_id, body) VALUES (1, 'x')") == [(1,)]


def test_a_delete_reaches_what_its_grant_admits(support: Acting) -> None:
    support.rows("INSERT INTO notes (customer_id, body) VALUES (1, 'hates tea')")
    assert support.rows("DELETE FROM notes RETURNING body") == [("likes tea",)]
    assert support.refused("DELETE FROM tickets") == "42501"


def test_another_tenant_or_no_tenant_sees_nothing(act: Callable[[Session], Acting]) -> None:
    values = {"customer_id": 1}
    other = act(session_of("support-bot", task="handle-ticket", user=GRACE, tenant=20, values=values))
    assert other.rows("SELECT count(*) FROM tickets") == [(0,)]
    nobody = act(session_of("support-bot", task="handle-ticket", user=GRACE, values=values))
    assert nobody.rows("SELECT count(*) FROM customers") == [(0,)]


def test_conditions_on_the_session_choose_the_role(act: Callable[[Session], Acting], native: Native) -> None:
    ada, ben = session_of("seer-bot", user=User("ada")), session_of("seer-bot", user=User("ben"))
    assert native.role(ada) != native.role(ben)
    assert act(ben).rows("SELECT note_id FROM notes") == [(1,)]
    acting = act(ada)
    assert acting.connection.execute("SELECT count(*) FROM notes").fetchall() == [(2,)]


def _asked(connection: psycopg.Connection, schema: str) -> int:
    statement = f'SELECT count(*) FROM "{schema}".notes'
    found = connection.execute(cast(LiteralString, statement)).fetchone()
    return int(found[0]) if found else -1


@pytest.mark.parametrize("forged", ["", "x" * 70, "0" * 64 + '{"role":"none","until":9999999999,"values":{}}'])
def test_values_that_nobody_bound_show_nothing(native: Native, forged: str) -> None:
    session = session_of("seer-bot", user=User("ada"))
    schema = native.schemas(session)["public"]
    with native.connect(session) as connection:
        assert _asked(connection, schema) == 2
        connection.execute("SELECT set_config('bailiwick.session', %s, false)", (forged,))
        assert _asked(connection, schema) == 0


def test_values_of_another_connection_or_role_show_nothing(native: Native) -> None:
    ada, ben = session_of("seer-bot", user=User("ada")), session_of("seer-bot", user=User("ben"))
    schema = native.schemas(ada)["public"]
    with native.connect(ada) as connection, native.connect(ben) as other:
        text = connection.execute("SELECT current_setting('bailiwick.session')").fetchone()
        assert text is not None
        other.execute("RESET ROLE")
        other.execute("SELECT set_config('bailiwick.session', %s, false)", text)
        other.execute(cast(LiteralString, f'SET ROLE "{native.role(ada)}"'))
        assert _asked(other, schema) == 0
        assert _asked(connection, schema) == 2
        connection.execute(cast(LiteralString, f'SET ROLE "{native.role(ben)}"'))
        assert _asked(connection, native.schemas(ben)["public"]) == 0


def test_values_of_an_ended_session_show_nothing(native: Native) -> None:
    session = session_of("seer-bot", user=User("ada"))
    late = Session(**{**_members(session), "expires_at": session.opened_at.replace(year=2020)})  # pyright: ignore[reportArgumentType] - members of a session
    with native.connect(late) as connection:
        assert _asked(connection, native.schemas(late)["public"]) == 0


def _members(session: Session) -> dict[str, object]:
    return {name: getattr(session, name) for name in Session.__dataclass_fields__}


def test_the_views_owner_has_no_column_that_the_scope_does_not_need(native: Native) -> None:
    owned = "SELECT DISTINCT attname FROM pg_attribute, aclexplode(attacl) WHERE attrelid = 'public.{}'::regclass"
    assert ("ssn",) not in native.database.rows(owned.format("customers"))
    assert ("mood",) in native.database.rows(owned.format("customers"))
    assert native.database.rows(owned.format("notes") + " AND attname NOT IN ('note_id', 'customer_id', 'body')") == []


def test_an_agent_can_call_nothing_of_the_binding(support: Acting, native: Native) -> None:
    home = native.compiled.home
    for call in ("session()", "value('tenant')", "started()", "bound()"):
        assert support.refused(f'SELECT "{home}".{call}') == "42501"
    assert support.refused(f'SELECT * FROM "{home}".keys') == "42501"
    assert support.refused(f'SELECT * FROM "{home}".masks') == "42501"


def test_what_was_applied_is_not_applied_again(native: Native) -> None:
    native.apply()
    assert native.drift() == ()
    assert native.apply() == ()


def test_a_hash_mask_is_the_gateways(support: Acting) -> None:
    shown = support.rows("SELECT name FROM customers WHERE customer_id = 1")
    assert shown == [(hmac.new(MASK_KEY, b"Ann", hashlib.sha256).hexdigest(),)]
