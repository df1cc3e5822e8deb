"""Elevations of a gateway that runs: asked for by HTTP and MCP, decided on the command line, felt in a transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import gateway_rig
import psycopg
import pytest

from bailiwick.errors import BailiwickError
from tests.support.gateway import Credentials, RunningGateway, running_gateway
from tests.support.mcp_client import McpClient
from tests.support.postgres import Database, Server

pytestmark = pytest.mark.xdist_group("elevation-run")
script = """
CREATE TABLE tickets (ticket_id int PRIMARY KEY, tenant_id int NOT NULL, customer_id int NOT NULL);
CREATE TABLE customers (customer_id int PRIMARY KEY, tenant_id int NOT NULL);
INSERT INTO customers VALUES (70, 4), (80, 5);
INSERT INTO tickets VALUES (7, 4, 70), (8, 5, 80), (9, 4, 70);
"""
policy = (
    gateway_rig.text.replace(", hours: Mon-Fri 07:00-19:00 Europe/Berlin", "")
    .replace("only: {tickets: {}}", "only: {tickets: {}, customers: {}}")
    .replace(
        "agents:\n  support-bot",
        """  escalation:
    grants:
      - {allow: customers:read, id: calls-people, reason: calls people}
agents:
  support-bot""",
    )
    + "elevations:\n  escalation: {role: escalation, for: [support-bot], max: 4h, approvers: [leads]}\n"
)


@pytest.fixture(scope="module")
def upstream(postgres: Server) -> Iterator[Database]:
    made = postgres.create(script)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def gateway(upstream: Database) -> Iterator[RunningGateway]:
    environ = {"CRM_URL": upstream.url(), "BAILIWICK_MCP_LISTEN": "always"}
    with running_gateway(policy, environ, "api: {port: 0}\n") as running:
        yield running


@pytest.fixture(scope="module")
def session(gateway: RunningGateway) -> Credentials:
    return opened(gateway)


def opened(gateway: RunningGateway) -> Credentials:
    return gateway.open_session(
        "support-bot", task="handle-ticket", user="ada", groups=("support",), tenant="4", values={"ticket_id": "7"}
    )


def api(
    gateway: RunningGateway, token: str, path: str, body: object = None
) -> tuple[int, dict[str, str], dict[str, object]]:
    """Call the API; return status, headers and JSON."""
    fronts = cast("dict[str, dict[str, object]]", gateway.admin.ask("status", {})["fronts"])
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(f"http://127.0.0.1:{fronts['api']['port']}/api/v1{path}", data, headers)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, json.loads(answer.read())
    except HTTPError as error:
        return error.code, {}, cast("dict[str, object]", json.loads(error.read()))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def count(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """Return how many customers are seen, or the code of the denial; an aborted transaction is rolled back."""
    try:
        row = connection.execute("SELECT count(*) FROM customers").fetchone()
    except psycopg.Error as error:
        connection.rollback()
        return str(error.sqlstate)
    assert row is not None
    return str(row[0])


def asked_for(gateway: RunningGateway, session: Credentials, duration: str) -> str:
    body = {"elevation": "escalation", "duration": duration, "reason": "ticket 7 is stuck"}
    status, headers, told = api(gateway, session.token, "/elevations", body)
    found = cast("dict[str, str]", told["elevation"])
    assert (status, found["state"]) == (202, "PENDING"), told
    assert headers["location"] == f"/api/v1/elevations/{found['id']}"
    return found["id"]


def approve(gateway: RunningGateway, number: str) -> None:
    found = cast("dict[str, str]", gateway.admin.ask("elevation.show", {"elevation": number})["elevation"])
    gateway.admin.ask("approval.approve", {"approval": number, "digest": found["digest"]})


def state_of(gateway: RunningGateway, session: Credentials, number: str) -> str:
    return cast("dict[str, str]", api(gateway, session.token, f"/elevations/{number}")[2]["elevation"])["state"]


def test_elevation_begins_and_ends_in_the_middle_of_a_transaction(
    gateway: RunningGateway, session: Credentials
) -> None:
    with closing(psycopg.connect(session.url())) as connection:
        assert connection.execute("SELECT ticket_id FROM tickets").fetchall() == [(7,)]
        number = asked_for(gateway, session, "2h")
        listed = gateway.say("elevation", "list", "--json")
        assert (listed.returncode, "ticket 7 is stuck" in listed.stdout) == (0, True)
        approved = gateway.say("elevation", "approve", number)
        assert approved.returncode == 0, approved.stderr
        until(lambda: state_of(gateway, session, number) == "IN FORCE")
        assert count(connection) == "1"
        live = gateway.say("matrix", "--live", str(gateway.policy)).stdout
        assert "has elevation escalation in its session" in " ".join(live.split())
        assert gateway.say("elevation", "revoke", number, "--reason", "done").returncode == 0
        assert count(connection) == "42501"
        assert connection.execute("SELECT ticket_id FROM tickets").fetchall() == [(7,)]
    records = [
        cast("dict[str, object]", json.loads(line))
        for line in gateway.say("ledger", "query", "--json", "--session", session.id).stdout.splitlines()
    ]
    used = [each for each in records if "calls-people" in cast("list[str]", each.get("grants", []))]
    assert [cast("dict[str, object]", each["detail"])["elevation"] for each in used] == [[number]]
    kinds = [each["kind"] for each in records if str(each["kind"]).startswith("elevation")]
    assert sorted(cast("list[str]", kinds)) == ["elevation.ended", "elevation.granted"]
    over = cast("list[dict[str, str]]", gateway.admin.ask("elevation.list", {"all": True})["over"])
    assert (number, "revoked") in [(each["id"], each["ended"]) for each in over]


def test_elevation_ends_by_itself(gateway: RunningGateway, session: Credentials) -> None:
    number = asked_for(gateway, session, "3s")
    approve(gateway, number)
    until(lambda: state_of(gateway, session, number) == "ENDED")
    with closing(psycopg.connect(session.url())) as connection:
        assert count(connection) == "42501"


def test_denied_elevation_says_why(gateway: RunningGateway, session: Credentials) -> None:
    number = asked_for(gateway, session, "1h")
    gateway.admin.ask("approval.deny", {"approval": number, "reason": "ask the customer"})
    told = cast("dict[str, str]", api(gateway, session.token, f"/elevations/{number}")[2]["elevation"])
    assert (told["state"], told["why"]) == ("DENIED", "ask the customer")


def test_agent_asks_by_mcp_for_what_is_for_it_and_others_have_no_such_tool(
    gateway: RunningGateway, session: Credentials
) -> None:
    bot = McpClient(gateway.mcp_port, session.token)
    other = McpClient(gateway.mcp_port, gateway.open_session("night-bot", tenant="4").token)
    assert "request_elevation" in bot.tools()
    assert "request_elevation" not in other.tools()
    asked = bot.call("request_elevation", elevation="escalation", duration="2h", reason="stuck")
    assert (asked.code, asked.data["state"]) == ("", "PENDING")
    again = bot.call("request_elevation", elevation="escalation", duration="2h", reason="stuck")
    assert again.data["id"] == asked.data["id"]
    number = str(asked.data["id"])
    with pytest.raises(BailiwickError, match="no elevation"):
        gateway.admin.ask("elevation.revoke", {"elevation": number})
    approve(gateway, number)
    until(lambda: "70" in bot.call("query", sql="SELECT customer_id FROM customers").text)
    gateway.stop()
    gateway.start()  # it is in force after a restart too
    bot = McpClient(gateway.mcp_port, session.token)
    assert "70" in bot.call("query", sql="SELECT customer_id FROM customers").text
    gateway.admin.ask("elevation.revoke", {"elevation": number})
    assert "70" not in bot.call("query", sql="SELECT customer_id FROM customers").text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"duration": "5h"}, "elevation_too_long"),
        ({"elevation": "root"}, "elevation_unknown"),
        ({"duration": "soon"}, "session"),
        ({"agent": "night-bot"}, "protocol"),
        ({"session": "ses_x"}, "protocol"),
        ({"reason": ""}, "protocol"),
    ],
)
def test_agent_asks_for_nothing_else(
    gateway: RunningGateway, session: Credentials, changes: dict[str, str], code: str
) -> None:
    body = {"elevation": "escalation", "duration": "1h", "reason": "x", **changes}
    status, _, told = api(gateway, session.token, "/elevations", body)
    assert (status, told["code"]) == (400 if code == "protocol" else 409, code)
    assert api(gateway, session.token, "/elevations")[0] == 403
    assert api(gateway, session.token, "/elevations/apr_x/revoke", {})[0] == 403
    assert api(gateway, "x", "/elevations", body)[0] == 401
