"""Limits through one real gateway, on mounts of every kind: what is allowed runs, what is beyond says when it will."""

from __future__ import annotations

import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import psycopg
import pytest
from psycopg import errors

from tests.http.conftest import API, listens
from tests.limits.conftest import RedisServer
from tests.mcp.conftest import SERVER
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.mcp_client import McpClient
from tests.support.postgres import GATEWAY_ROLE, Server, free_port

pytestmark = pytest.mark.xdist_group("limits")
SCRIPT = """
CREATE TABLE public.items (id int PRIMARY KEY, note text);
INSERT INTO public.items SELECT g, 'n' || g FROM generate_series(1, 100) g;
"""
POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      items: {table: public.items, key: id}
  shop:
    kind: sql
    engine: sqlite
    file: FOLDER/shop.db
    resources:
      orders: {table: orders}
  desk:
    kind: mcp
    command: [PYTHON, SERVER]
    env: {CALLS: FOLDER/calls}
    tools:
      search: {action: articles:read, items: results, cost: {row: 0.001 USD}}
      refund: {action: billing:refund, cost: 0.4 USD}
      echo: {action: notes:create, cost: {call: 0.1 USD, path: text, most: 0.5 USD}}
  billing:
    kind: http
    url: http://127.0.0.1:PORT/v2
    limits: {actions: 3/day}
    routes:
      GET /invoices/{id}: {action: invoices:read, path: {id: integer}}
      GET /plain: {action: plain:read}
roles:
  r:
    grants:
      - {allow: items:read, reason: tests}
      - {allow: items:update, reason: tests, limits: {actions: 1/day}}
  reads: {grants: [{allow: items:read, reason: tests, limits: {rows: 10/day}}]}
  shopper: {grants: [{allow: orders:read, reason: tests, limits: {actions: [2/day, 9/month]}}]}
  caller:
    grants:
      - {allow: articles:read, reason: tests, args: any}
      - {allow: billing:refund, reason: tests, args: any}
      - {allow: notes:create, reason: tests, args: any}
  web:
    limits: {actions: 9/day}
    grants: [{allow: invoices:read, reason: tests, args: any}, {allow: plain:read, reason: tests}]
agents:
  acting: {owner: o, purpose: p, roles: [r], limits: {actions: 4/day}}
  writing: {owner: o, purpose: p, roles: [r], session: {actions: 5}}
  reading: {owner: o, purpose: p, roles: [reads]}
  shopping: {owner: o, purpose: p, roles: [shopper]}
  calling: {owner: o, purpose: p, roles: [caller], session: {cost: 1 USD}}
  told: {owner: o, purpose: p, roles: [caller], limits: {cost: 1 USD/month}}
  listing: {owner: o, purpose: p, roles: [caller], limits: {cost: 0.003 USD/day}}
  web: {owner: o, purpose: p, roles: [web]}
"""


@dataclass(frozen=True, slots=True)
class Desk:
    """The gateway, and sessions of its agents."""

    gateway: RunningGateway
    sessions: dict[str, Credentials] = field(default_factory=dict[str, Credentials])

    def client(self, agent: str) -> McpClient:
        return McpClient(self.gateway.mcp_port, self.gateway.open_session(agent).token)

    def records(self, kind: str) -> list[dict[str, object]]:
        told = self.gateway.say("ledger", "query", "--json", "--limit", "1000")
        assert told.returncode == 0, told.stderr
        found = [cast("dict[str, object]", json.loads(line)) for line in told.stdout.splitlines()]
        return [each for each in found if each["kind"] == kind]


@pytest.fixture(scope="module")
def desk(postgres: Server, redis_server: RedisServer) -> Iterator[Desk]:
    """A gateway that counts in Redis: what it counts by itself is tested at each store and each front alone."""
    folder = Path(tempfile.mkdtemp(prefix="bwlim"))
    with sqlite3.connect(folder / "shop.db") as database:
        database.executescript("CREATE TABLE orders (id integer PRIMARY KEY); INSERT INTO orders VALUES (1), (2);")
    database.close()
    port = free_port()
    api = subprocess.Popen([sys.executable, API, str(port), str(folder / "reached")])
    text = POLICY.replace("PYTHON", sys.executable).replace("SERVER", SERVER).replace("FOLDER", str(folder))
    upstream = postgres.create(SCRIPT, GATEWAY_ROLE)
    environ = {"CRM_URL": upstream.url("gw", "gw")}
    counted = f"limits: {{store: '{redis_server.url}'}}\n"
    gateway = prepare_gateway(folder, text.replace("PORT", str(port)), environ, counted)
    try:
        listens(port)
        gateway.start()
        yield Desk(gateway)
    finally:
        gateway.stop()
        api.kill()
        api.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def used_up(connection: psycopg.Connection[tuple[object, ...]], statement: bytes) -> psycopg.Error:
    with pytest.raises(errors.ConfigurationLimitExceeded) as error:
        connection.execute(statement)
    assert "limit_exceeded" in str(error.value.diag.message_detail)
    return error.value


def test_statements_beyond_the_actions_of_the_agent_are_denied_with_the_time_when_they_will_not_be(desk: Desk) -> None:
    with psycopg.connect(desk.gateway.open_session("acting").url()) as connection:
        connection.execute("SELECT 1")
        for _ in range(3):
            connection.execute("SELECT id FROM items WHERE id = %s", [1], prepare=True)
        told = used_up(connection, b"SELECT id FROM items").diag
        assert "4 actions in 1 day of agent `acting`" in str(told.message_primary)
        assert str(told.message_hint).startswith("try again in ")
        connection.rollback()
    with psycopg.connect(desk.gateway.open_session("acting").url()) as another_session:
        used_up(another_session, b"SELECT id FROM items")
    with psycopg.connect(desk.gateway.open_session("writing").url()) as another_agent:
        another_agent.execute("SELECT id FROM items")


def test_a_write_whose_grant_is_used_up_is_not_done_and_reads_go_on(desk: Desk) -> None:
    with psycopg.connect(desk.gateway.open_session("writing").url(), autocommit=True) as connection:
        connection.execute("UPDATE items SET note = 'a' WHERE id = 1")
        used_up(connection, b"UPDATE items SET note = 'CHANGED' WHERE id = 2")
        assert connection.execute("SELECT note FROM items WHERE id IN (1, 2) ORDER BY id").fetchall() == [
            ("a",),
            ("n2",),
        ]
        for _ in range(3):
            connection.execute("SELECT id FROM items")
        told = used_up(connection, b"SELECT id FROM items").diag
        assert "5 actions of this session" in str(told.message_primary)


def test_rows_are_charged_as_they_really_were_and_an_overdraft_ends_the_budget(desk: Desk) -> None:
    with psycopg.connect(desk.gateway.open_session("reading").url(), autocommit=True) as connection:
        assert len(connection.execute("SELECT id FROM items WHERE id <= 8").fetchall()) == 8
        assert connection.execute("SELECT count(*) FROM items").fetchall() == [(100,)]
        assert len(connection.execute("SELECT id FROM items").fetchall()) == 100
        used_up(connection, b"SELECT id FROM items WHERE id = 1")


def test_queries_of_another_engine_say_in_data_when_they_will_work(desk: Desk) -> None:
    client = desk.client("shopping")
    for _ in range(2):
        assert client.call("query", sql="SELECT id FROM orders", mount="shop").code == ""
    denied = client.call("query", sql="SELECT id FROM orders", mount="shop")
    assert denied.code == "limit_exceeded"
    wait = denied.data["retry_after"]
    assert isinstance(wait, int)
    assert 0 < wait <= 86400
    told = client.call("my_permissions")
    left = [cast("int", each["left"]) for each in cast("list[dict[str, object]]", told.data["limits"])]
    assert sorted(left) == [0, 7], told.data
    assert ": 7 left, more at " in told.text


def test_tools_cost_what_they_are_declared_to_and_a_session_ends_with_its_money(desk: Desk) -> None:
    client = desk.client("calling")
    for _ in range(2):
        assert client.call("refund", customer_id=1).code == ""
    denied = client.call("refund", customer_id=1)
    assert (denied.code, "retry_after" in denied.data) == ("limit_exceeded", False)
    assert "1 USD of this session" in str(denied.data["message"])
    assert desk.client("calling").call("refund", customer_id=1).code == ""


def test_a_call_costs_what_its_answer_says_and_the_most_when_it_says_nothing(desk: Desk) -> None:
    client = desk.client("told")
    assert client.call("echo", text="0.05").code == ""  # 0.15
    assert client.call("echo", text="nothing").code == ""  # 0.6: it had to say
    assert client.call("echo", text="0.1").code == "limit_exceeded"  # 0.6 at most, of which 0.25 are left
    denied = client.call("refund", customer_id=1)
    assert denied.code == "limit_exceeded"
    assert client.call("search", query="a").code == ""


def test_rows_cost_money_too(desk: Desk) -> None:
    client = desk.client("listing")
    for _ in range(2):
        assert client.call("search", query="a").code == ""  # two items each
    assert client.call("search", query="a").code == "limit_exceeded"


def asked(desk: Desk, target: str, token: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", desk.gateway.http_port, timeout=60)
    connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_requests_beyond_what_a_mount_takes_are_answered_429_with_retry_after(desk: Desk) -> None:
    token = desk.gateway.open_session("web").token
    for _ in range(3):
        assert asked(desk, "/billing/invoices/1", token).status == 200
    answer = asked(desk, "/billing/invoices/1", token)
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= 86400
    assert asked(desk, "/billing/plain", desk.gateway.open_session("web").token).status == 429


def test_what_is_nearly_used_up_is_on_record_once(desk: Desk) -> None:
    with psycopg.connect(desk.gateway.open_session("writing").url(), autocommit=True) as connection:
        for _ in range(5):
            connection.execute("SELECT 1")
        used_up(connection, b"SELECT 1")
        session = connection.info.password
    assert session
    warned = [each for each in desk.records("limit.warned") if each["agent"] == "writing"]
    of_totals = [each for each in warned if "of this session" in str(each["message"])]
    assert [each["detail"]["percent"] for each in of_totals][-2:] == [80, 100]  # type: ignore[index]
