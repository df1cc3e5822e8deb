"""Writes `through: queue`, through the real gateway and real drivers: previewed, kept, told; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from typing import Any, cast

import asyncpg
import psycopg
import pytest
from psycopg import errors

from tests.support.canary import leaks, leaks_in_files
from tests.support.desk import Desk, clean
from tests.support.gateway import running_gateway
from tests.support.postgres import GATEWAY_ROLE, Server

Connection = psycopg.Connection[tuple[Any, ...]]
Change = dict[str, Any]

SCRIPT = """
CREATE TABLE public.items (
  id int PRIMARY KEY, owner int NOT NULL, note text, email text, secret text,
  size int CHECK (size < 100), UNIQUE (owner, email)
);
INSERT INTO public.items SELECT g, g % 2, 'n' || g, 'CANARY_MAIL_' || g, 'CANARY_ITEM_' || g, 1
  FROM generate_series(1, 100) g;
CREATE TABLE public.pairs (a int, b text, note text, PRIMARY KEY (a, b));
INSERT INTO public.pairs SELECT g, 'b' || g, 'x' FROM generate_series(1, 5) g;
CREATE TABLE public.outside (id int PRIMARY KEY, note text);
INSERT INTO public.outside VALUES (1, 'x');
CREATE TABLE public.seen (what text);
CREATE SEQUENCE public.fired;
CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN PERFORM nextval('public.fired'); RETURN new; END $$;
CREATE TRIGGER fire BEFORE UPDATE ON public.outside FOR EACH ROW EXECUTE FUNCTION public.fire();
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${QUEUE_URL}
    resources:
      items: {table: public.items, key: id, labels: {email: confidential}}
      pairs: {table: public.pairs, key: [a, b]}
      outside: {table: public.outside, key: id}
roles:
  r:
    grants:
      - allow: items:read
        reason: looks
        fields: [id, owner, note, email, size]
        mask: {email: full}
        rows: {owner: 1}
      - {allow: items:update:note, reason: edits, through: queue, limits: {batch: 30}}
      - {allow: items:update:size, reason: edits directly}
      - {allow: items:create, reason: adds, fields: [id, owner, note], set: {owner: 1}, through: queue}
      - {allow: items:delete, reason: removes, through: queue}
      - {allow: pairs:read, reason: looks}
      - {allow: pairs:update:note, reason: edits, through: queue, preview: count}
      - {allow: outside:read, reason: looks}
      - {allow: outside:update:note, reason: edits, through: queue, preview: "off"}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
"""


@pytest.fixture(scope="module")
def gate(postgres: Server) -> Iterator[Desk]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    with running_gateway(POLICY, {"QUEUE_URL": upstream.url("gw", "gw")}) as gateway:
        yield Desk(gateway, gateway.open_session("bot"), upstream, clean)
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


@pytest.fixture
def connection(gate: Desk) -> Iterator[Connection]:
    session = gate.gateway.open_session("bot")
    before = state(gate)
    with psycopg.connect(session.url(), autocommit=True) as made:
        yield made
    assert state(gate) == before, "something was changed"


def state(gate: Desk) -> list[object]:
    tables = ("items", "pairs", "outside")
    return [gate.upstream.rows(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {one} t") for one in tables]


def held(connection: Connection, gate: Desk, sql: str, values: list[object] | None = None) -> Change:
    """Run a write that is queued; return the change as people see it."""
    with pytest.raises(errors.LockNotAvailable) as error:
        connection.execute(sql.encode(), values)
    diag = error.value.diag
    clean((diag.message_primary, diag.message_detail, diag.message_hint))
    assert "code queued" in (diag.message_detail or "")
    change_id = (diag.message_primary or "").split("held as `")[1].split("`")[0]
    assert change_id in (diag.message_hint or "")
    return shown(gate, change_id)


def shown(gate: Desk, change_id: str) -> Change:
    found = gate.gateway.admin.ask("approval.show", {"approval": change_id})["approval"]
    clean(found)
    return cast("Change", found)


def test_an_update_is_held_with_its_rows_before_and_after(connection: Connection, gate: Desk) -> None:
    change = held(connection, gate, "UPDATE items SET note = 'new' || id WHERE id < 6")
    assert change["rows"] == 3  # of 1 … 5, those of the scope
    assert change["state"] == "PENDING"
    assert change["statement"] == "UPDATE items SET note = 'new' || id WHERE id < 6"
    assert change["actions"] == ["items:update", "items:read"]
    row = {"id": "3", "owner": "1", "note": "n3", "email": "***", "size": "1"}
    whole = {"key": ["3"], "before": row, "after": {**row, "note": "new3"}, "changed": ["note"], "hidden": []}
    assert whole in change["shown"]
    assert [each["key"] for each in change["shown"]] == [["1"], ["3"], ["5"]]


def test_parameters_are_kept_and_the_count_is_exact_beyond_what_is_shown(connection: Connection, gate: Desk) -> None:
    change = held(connection, gate, "UPDATE items SET note = %s WHERE id <= %s", ["it's", 50])
    assert (change["rows"], len(change["shown"])) == (25, 20)
    assert change["parameters"]["values"][0] == "it's"
    assert change["shown"][0]["after"]["note"] == "it's"


def test_what_cannot_be_told_apart_from_its_preview_is_held_by_its_count_or_not_at_all(
    connection: Connection, gate: Desk
) -> None:
    for table, where in (("items", "id < 6"), ("pairs", "a < 3")):
        first = f"WITH x AS (UPDATE {table} SET note = 'w' WHERE {where} RETURNING note)"
        for sql in (f"{first} SELECT count(*) FROM x", f"{first} UPDATE {table} SET note = 'y' WHERE note = 'no'"):
            if table == "pairs":  # of which only a count is previewed
                change = held(connection, gate, sql)
                assert (change["rows"], change["shown"]) == (2, [])
            else:
                with pytest.raises(errors.InsufficientPrivilege, match="which rows this statement would write"):
                    connection.execute(sql.encode())


def test_a_delete_has_rows_before_only_and_an_insert_after_only(connection: Connection, gate: Desk) -> None:
    gone = held(connection, gate, "DELETE FROM items WHERE id = 7 RETURNING note")
    assert (gone["rows"], gone["shown"][0]["before"]["note"], gone["shown"][0]["after"]) == (1, "n7", None)
    made = held(connection, gate, "INSERT INTO items (id, owner, note) VALUES (901, 1, 'a'), (902, 1, 'b')")
    assert [(row["before"], row["after"]["note"]) for row in made["shown"]] == [(None, "a"), (None, "b")]


def test_what_is_out_of_scope_is_not_held(connection: Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="outside of what this session may write"):
        connection.execute("INSERT INTO items (id, owner, note) VALUES (901, 0, 'a')")


def test_a_change_beyond_its_batch_is_not_held(connection: Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="50 rows, but it may write at most 30"):
        connection.execute("UPDATE items SET note = 'x'")


def test_what_the_database_would_refuse_is_not_held(connection: Connection) -> None:
    with pytest.raises(errors.UniqueViolation) as error:
        connection.execute("INSERT INTO items (id, owner, note) VALUES (1, 1, 'x')")
    clean(str(error.value))
    assert "nothing is held" in (error.value.diag.message_hint or "")


def test_count_shows_no_rows_and_off_runs_nothing(connection: Connection, gate: Desk) -> None:
    counted = held(connection, gate, "UPDATE pairs SET note = 'y' WHERE a < 3")
    assert (counted["rows"], counted["shown"], counted["preview"]) == (2, [], "count")
    kept = held(connection, gate, "UPDATE outside SET note = 'y'")
    assert (kept["rows"], kept["shown"], kept["preview"]) == (None, [], "off")
    assert gate.upstream.rows("SELECT is_called FROM fired") == [(False,)]


def test_the_same_statement_again_is_the_same_change(connection: Connection, gate: Desk) -> None:
    first = held(connection, gate, "UPDATE items SET note = 'q' WHERE id = %s", [9])
    again = held(connection, gate, "UPDATE items SET note = 'q' WHERE id = %s", [9])
    other = held(connection, gate, "UPDATE items SET note = 'q' WHERE id = %s", [11])
    assert first["id"] == again["id"] != other["id"]
    assert first["digest"] == again["digest"] != other["digest"]


def test_the_agents_transaction_is_untouched_but_for_the_error(connection: Connection, gate: Desk) -> None:
    before = gate.upstream.rows("SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass")
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT mine")
    held(connection, gate, "UPDATE items SET note = 'z' WHERE id = 1")
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.execute("ROLLBACK TO mine")
    assert connection.execute("SELECT count(*) FROM items").fetchall() == [(50,)]
    connection.execute("ROLLBACK")
    assert gate.upstream.rows("SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass") == before


def test_a_row_that_the_agent_itself_has_locked_is_not_waited_for(connection: Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("UPDATE items SET size = 2 WHERE id = 1")
    with pytest.raises(errors.LockNotAvailable):
        connection.execute("UPDATE items SET note = 'z' WHERE id = 1")
    connection.execute("ROLLBACK")


def test_a_direct_write_beside_it_is_done(gate: Desk) -> None:
    with psycopg.connect(gate.session.url(), autocommit=True) as made:
        assert made.execute("UPDATE items SET size = 5 WHERE id = 1").rowcount == 1
        with pytest.raises(errors.InsufficientPrivilege):  # no grant admits both
            made.execute("UPDATE items SET size = 6, note = 'x' WHERE id = 1")
    gate.upstream.script("UPDATE items SET size = 1 WHERE id = 1")


def test_a_string_and_a_pipeline_are_undone_with_it(connection: Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="others stand beside it"):
        connection.execute(
            "UPDATE items SET size = 3 WHERE id = 9;UPDATE items SET note = 'x' WHERE id = 1; UPDATE items SET size = 4"
        )

    def run() -> None:
        with connection.pipeline():
            connection.execute("UPDATE items SET size = 3 WHERE id = 99")
            connection.execute("UPDATE items SET note = 'x' WHERE id = 1")
            connection.execute("UPDATE items SET size = 4 WHERE id = 99")

    with pytest.raises(errors.LockNotAvailable, match="waits for an approval"):
        run()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_prepared_statement_with_binary_values_is_held_too(gate: Desk) -> None:
    session = gate.gateway.open_session("bot")

    async def run() -> str:
        made = await asyncpg.connect(session.url())
        said: list[str] = []
        try:
            statement = await made.prepare("UPDATE items SET note = $2 WHERE id = $1")
            for _ in range(2):
                with pytest.raises(asyncpg.PostgresError) as error:
                    await statement.fetch(13, "bin")
                said.append(str(error.value).partition("\n")[0])
            assert said[0] == said[1]
            return said[0]
        finally:
            await made.close()

    change = shown(gate, asyncio.run(run()).split("held as `")[1].split("`")[0])
    assert (change["rows"], change["shown"][0]["after"]["note"]) == (1, "bin")
    assert change["parameters"]["values"] == [{"hex": "0000000d"}, "bin"]


def test_a_change_ends_with_its_session(gate: Desk) -> None:
    session = gate.gateway.open_session("bot")
    with psycopg.connect(session.url(), autocommit=True) as made:
        change = held(made, gate, "UPDATE items SET note = 'gone' WHERE id = 1")
    gate.gateway.revoke(session)
    assert shown(gate, change["id"])["state"] == "WITHDRAWN"
    listed = cast("list[Change]", gate.gateway.admin.ask("approval.list", {"all": False})["approvals"])
    assert change["id"] not in [each["id"] for each in listed]
    everything = json.loads(gate.gateway.say("approvals", "list", "--all", "--json").stdout)
    assert change["id"] in [each["id"] for each in everything]


def test_a_session_has_a_bounded_number_of_them(gate: Desk) -> None:
    session = gate.gateway.open_session("bot")
    with psycopg.connect(session.url(), autocommit=True) as made:
        for number in range(20):
            held(made, gate, f"UPDATE outside SET note = '{number}'")
        with pytest.raises(errors.ConfigurationLimitExceeded, match="waiting already"):
            made.execute("UPDATE outside SET note = 'more'")
        held(made, gate, "UPDATE outside SET note = '7'")  # one of those that wait
    gate.gateway.revoke(session)


def test_preview_and_holding_are_on_record(connection: Connection, gate: Desk) -> None:
    change = held(connection, gate, "UPDATE items SET note = 'rec' WHERE id = 15")
    records = [json.loads(line) for line in gate.gateway.say("ledger", "query", "--json").stdout.splitlines()]
    mine = [each for each in records if each.get("session") == change["session"]]
    kinds = [(each["kind"], each.get("decision", ""), each.get("code", "")) for each in mine if "update" in str(each)]
    assert ("intent", "hold", "") in kinds
    assert ("outcome", "hold", "") in kinds
    assert ("call", "hold", "queued") in kinds
    assert any(change["id"] in json.dumps(each) for each in mine)


def test_a_person_can_read_it(connection: Connection, gate: Desk) -> None:
    change = held(connection, gate, "UPDATE items SET note = 'said' WHERE id = 17")
    assert json.loads(gate.gateway.say("approvals", "show", change["id"], "--json").stdout) == change
    said = gate.gateway.say("approvals", "show", change["id"]).stdout
    assert "note: 'n17' -> 'said'" in said
    assert change["id"] in gate.gateway.say("approvals", "list").stdout


def test_what_is_kept_holds_no_canary(gate: Desk) -> None:
    with sqlite3.connect(gate.gateway.folder / ".bailiwick" / "state.db") as store:
        kept = store.execute("SELECT * FROM approvals").fetchall()
    assert kept
    assert leaks(repr(kept)) == []
