"""The tool `query` before a PostgreSQL mount: types, parameters, writes, ceilings, held changes, records, ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import psycopg
import pytest

from tests.support.canary import leaks, leaks_in_files
from tests.support.gateway import Credentials, RunningGateway, running_gateway
from tests.support.mcp_client import Answer, McpClient
from tests.support.postgres import GATEWAY_ROLE, Database, Server

SCRIPT = """
CREATE TYPE public.mood AS ENUM ('calm', 'cross');
CREATE TABLE public.items (
  id int PRIMARY KEY, owner int NOT NULL, note text, secret text DEFAULT 'CANARY_ITEM_SECRET', mood public.mood,
  size int CHECK (size < 100));
INSERT INTO public.items
  SELECT g, g % 2, CASE g % 2 WHEN 1 THEN 'n' || g ELSE 'CANARY_NOTE_' || g END, 'CANARY_ITEM_' || g, 'calm', 1
  FROM generate_series(1, 40) g;
CREATE TABLE public.pages (id int PRIMARY KEY, body text);
INSERT INTO public.pages SELECT g, repeat('x', 1000) FROM generate_series(1, 300) g;
CREATE TABLE public.asked (id int PRIMARY KEY, note text);
INSERT INTO public.asked VALUES (1, 'x');
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${ITEMS_URL}
    resources:
      items: {table: public.items, key: id, labels: {secret: restricted}}
      pages: {table: public.pages, key: id}
      asked: {table: public.asked, key: id}
roles:
  r:
    grants:
      - allow: items:read
        reason: looks
        fields: [id, owner, note, mood, size]
        rows: {owner: 1}
      - {allow: items:update, reason: edits, fields: [note, owner, size], limits: {batch: 5}}
      - {allow: items:create, reason: adds, fields: [id, owner, note], set: {owner: 1}}
      - {allow: pages:read, reason: reads, limits: {rows: 20}}
      - {allow: asked:read, reason: reads}
      - {allow: asked:update:note, reason: asks, through: queue}
  w:
    grants:
      - {allow: pages:read, reason: reads, limits: {bytes: 20000}}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
  heavy: {owner: o, purpose: p, roles: [w]}
"""

pytestmark = pytest.mark.xdist_group("query-tool")


@dataclass(frozen=True, slots=True)
class Gate:
    gateway: RunningGateway
    session: Credentials
    upstream: Database

    def client(self, session: Credentials | None = None) -> McpClient:
        """Return the tools of a session."""
        return McpClient(self.gateway.mcp_port, (session or self.session).token)

    def ask(self, sql: str, *parameters: object, **more: object) -> Answer:
        """Call `query`; nothing of what is hidden may come."""
        found = self.client().call("query", sql=sql, parameters=[*parameters], **more)
        assert leaks(found.body) == []
        return found

    def rows(self, sql: str, *parameters: object) -> list[list[object]]:
        """Return the rows of a query that is allowed."""
        found = self.ask(sql, *parameters)
        assert found.code == "", found.data
        return cast("list[list[object]]", found.data["rows"])

    def records(self) -> list[dict[str, object]]:
        """Return the ledger's records so far."""
        told = self.gateway.say("ledger", "query", "--json", "--limit", "1000")
        return [cast("dict[str, object]", json.loads(line)) for line in told.stdout.splitlines()]


@pytest.fixture(scope="module")
def gate(postgres: Server) -> Iterator[Gate]:
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    environ = {"ITEMS_URL": upstream.url("gw", "gw"), "BAILIWICK_MCP_LISTEN": "always"}
    with running_gateway(POLICY, environ, "limits: {result: 1MiB}") as gateway:
        yield Gate(gateway, gateway.open_session("bot"), upstream)
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


@pytest.fixture(autouse=True)
def _whole(gate: Gate) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest uses it
    yield
    gate.upstream.script("DELETE FROM items WHERE id > 40; UPDATE items SET note = 'n' || id, size = 1 WHERE owner = 1")


def test_the_tool_tells_of_the_database_what_the_session_sees(gate: Gate) -> None:
    said = str(gate.client().tools()["query"]["description"])
    assert "m is postgres:" in said
    assert "items(id integer, owner integer, note text, mood public.mood, size integer)" in said
    assert "secret" not in said


def test_rows_have_types_and_values_of_json(gate: Gate) -> None:
    sql = """SELECT 1::int2, 2::int8, 1.50::numeric, 0.5::float8, 'NaN'::float8, true, false, NULL::text,
      'a'::varchar, '2026-01-02'::date, '2026-01-02 03:04:05+02'::timestamptz, '\\x00ff'::bytea, '{"a": 1}'::jsonb,
      ARRAY[1, 2], '1 day'::interval, mood FROM items WHERE id = 1"""
    found = gate.ask(sql)
    moment, day = "2026-01-02 01:04:05+00", "2026-01-02"
    values = [1, 2, "1.50", 0.5, "NaN", True, False, None, "a", day, moment, "\\x00ff", '{"a": 1}', "{1,2}", "1 day"]
    assert found.data["rows"] == [[*values, "calm"]]
    kinds = [each["type"] for each in cast("list[dict[str, str]]", found.data["columns"])]
    assert kinds[:9] == [
        "smallint",
        "bigint",
        "numeric",
        "double precision",
        "double precision",
        "boolean",
        "boolean",
        "text",
        "character varying",
    ]
    assert kinds[9:] == ["date", "timestamp with time zone", "bytea", "jsonb", "integer[]", "interval", "public.mood"]


def test_parameters_are_bound_and_counted(gate: Gate) -> None:
    assert gate.rows("SELECT id FROM items WHERE id = $1 OR note = $2", 1, "n3") == [[1], [3]]
    assert gate.rows("SELECT $1::bool, $2::float8, $3::text, $4::text", True, 1.5, None, "'; --") == [
        [True, 1.5, None, "'; --"]
    ]
    for wrong in ((1,), (1, 2, 3), (1, [2]), (1, "\0")):
        assert gate.ask("SELECT id FROM items WHERE id = $1 OR id = $2", *wrong).code == "statement_unparsable"
    assert gate.rows("SELECT count(*) FROM items WHERE id IN ($1, $2)", 1, 2) == [[1]]


def test_csv_is_told_too(gate: Gate) -> None:
    found = gate.ask("SELECT id, note FROM items WHERE id < 4 ORDER BY id", format="csv")
    assert found.data["csv"] == "id,note\r\n1,n1\r\n3,n3\r\n"


DENIED = (
    "SELECT secret FROM items",
    "SELECT * FROM outside",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT note::int FROM items WHERE (SELECT secret FROM items LIMIT 1) IS NULL",
    "SELECT 1; SELECT 2",
    "BEGIN",
    "SET bailiwick.reason = 'x'",
    "COPY (SELECT id FROM items) TO STDOUT",
    "DECLARE c CURSOR FOR SELECT 1",
    "EXPLAIN SELECT id FROM items",
    "",
    "SELEC",
)


def test_what_is_not_for_the_tool_or_not_granted_is_denied_and_on_record(gate: Gate) -> None:
    denied = [gate.ask(sql) for sql in DENIED]
    assert [each.code for each in denied if each.code in ("", "tool")] == []
    known = {each["id"]: each for each in gate.records()}
    told = [known[each.data["decision"]] for each in denied]
    assert {each["decision"] for each in told} == {"deny"}
    assert [each["code"] for each in told] == [each.code for each in denied]


def test_a_write_is_done_and_its_rows_come_back(gate: Gate) -> None:
    found = gate.ask("UPDATE items SET note = $1 WHERE id < 4 RETURNING id, note", "z")
    assert (found.data["affected"], found.data["rows"]) == (2, [[1, "z"], [3, "z"]])
    assert gate.ask("INSERT INTO items (id, owner, note) VALUES (41, 1, 'new')").data["affected"] == 1
    assert gate.upstream.rows("SELECT count(*) FROM items WHERE note IN ('z', 'new')") == [(3,)]


def test_a_write_outside_of_the_scope_is_undone(gate: Gate) -> None:
    before = gate.upstream.rows("SELECT * FROM items ORDER BY id")
    assert gate.ask("UPDATE items SET owner = 0 WHERE id = 1").code == "row_out_of_scope"
    assert gate.ask("INSERT INTO items (id, owner) VALUES (50, 0)").code in ("row_out_of_scope", "value_not_granted")
    assert gate.ask("UPDATE items SET note = 'z'").code == "batch_exceeded"
    assert gate.ask("UPDATE items SET secret = 'z' WHERE id = 1").code == "field_not_granted"
    assert gate.upstream.rows("SELECT * FROM items ORDER BY id") == before
    assert gate.ask("UPDATE items SET owner = 1, note = 'z' WHERE id = 1").data["affected"] == 1


def test_what_the_database_refuses_fails_in_our_words(gate: Gate) -> None:
    found = gate.ask("UPDATE items SET size = 1000 WHERE id = 1")
    assert found.result["isError"] is True
    assert found.data["failed"] == {"code": "23514", "message": "a value breaks a check of its table"}
    assert gate.ask("UPDATE items SET size = 99 WHERE id = 1").data["affected"] == 1


def test_a_ceiling_ends_a_result_and_says_so(gate: Gate) -> None:
    found = gate.ask("SELECT id FROM pages ORDER BY id")
    assert found.data["rows"] == [[each] for each in range(1, 21)]
    assert cast("dict[str, object]", found.data["ended"])["code"] == "rows_exceeded"
    assert "ended" not in gate.ask("SELECT id FROM pages ORDER BY id LIMIT 20").data
    heavy = gate.client(gate.gateway.open_session("heavy"))
    cut = heavy.call("query", sql="SELECT id, body FROM pages ORDER BY id").data
    rows = cast("list[list[object]]", cut["rows"])
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert 10 < len(rows) < 20
    assert cast("dict[str, object]", cut["ended"])["code"] == "bytes_exceeded"
    long = gate.ask("SELECT i, repeat('x', 100000) FROM generate_series(1, 30) AS g(i)").data
    held = cast("list[list[object]]", long["rows"])
    assert [row[0] for row in held] == list(range(1, len(held) + 1))
    assert len(held) <= 10
    assert cast("dict[str, object]", long["ended"])["code"] == "bytes_exceeded"
    told = next(each for each in gate.records() if each["id"] == found.data["record"])
    assert (told["code"], told["kind"]) == ("rows_exceeded", "call")


def test_a_change_that_waits_for_approval_is_kept_and_not_made(gate: Gate) -> None:
    found = gate.ask("UPDATE asked SET note = $1 WHERE id = 1", "y")
    assert found.code == "queued", found.data
    assert gate.upstream.rows("SELECT note FROM asked") == [("x",)]
    listed = json.loads(gate.gateway.say("approvals", "list", "--json").stdout)
    assert [(each["state"], each["actions"][0], each["rows"]) for each in listed] == [("PENDING", "asked:update", 1)]


def test_the_reason_and_no_literal_are_on_record(gate: Gate) -> None:
    found = gate.ask("SELECT id FROM items WHERE id <> 7345127 AND note = $1", "n1", reason="looks it up")
    told = next(each for each in gate.records() if each["id"] == found.data["record"])
    assert (told["purpose"], told["rows"], told["decision"]) == ("looks it up", 1, "allow")
    assert "7345127" not in json.dumps(gate.records())


def test_a_revoked_session_ends_what_runs(gate: Gate) -> None:
    session = gate.gateway.open_session("bot")
    client = gate.client(session)
    assert client.call("query", sql="SELECT 1").code == ""
    found: list[Answer] = []
    with psycopg.connect(gate.upstream.url()) as blocker:
        blocker.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        asking = threading.Thread(
            target=lambda: found.append(client.call("query", sql="UPDATE items SET note = 'late' WHERE id = 1"))
        )
        asking.start()
        _wait_until(gate, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)
        gate.gateway.revoke(session)
        asking.join(60)
        blocker.rollback()
    assert found[0].status != 200 or found[0].code != "" or "error" in found[0].json
    _wait_until(gate, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gw'", 0)
    assert gate.upstream.rows("SELECT note FROM items WHERE id = 1") == [("n1",)]
    assert gate.rows("SELECT note FROM items WHERE id = 1") == [["n1"]]


def test_a_session_has_the_wire_and_the_tool_at_once(gate: Gate) -> None:
    with psycopg.connect(gate.session.url(), autocommit=True) as connection:
        sql = "SELECT id, note FROM items WHERE id < 6 ORDER BY id"
        assert [list(row) for row in connection.execute(sql).fetchall()] == gate.rows(sql)


def test_a_new_policy_holds_for_the_next_statement(gate: Gate) -> None:
    assert gate.rows("SELECT count(*) FROM items") == [[20]]
    gate.gateway.policy.write_text(POLICY.replace("rows: {owner: 1}", "rows: {owner: 1, id: 1}"))
    _wait(lambda: gate.rows("SELECT count(*) FROM items") == [[1]])
    gate.gateway.policy.write_text(POLICY)
    _wait(lambda: gate.rows("SELECT count(*) FROM items") == [[20]])


def _wait(over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not over():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _wait_until(gate: Gate, sql: str, wanted: int) -> None:
    _wait(lambda: gate.upstream.rows(sql) == [(wanted,)])
