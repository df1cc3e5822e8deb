"""`enforce: both`: behind the rewriter, the gateway's connection is itself limited to the session's scope."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import psycopg
import pytest
from typer.testing import CliRunner

from bailiwick.cli.postgres import app
from bailiwick.errors import BackendError, ConfigError
from bailiwick.gateway.config import load_config
from bailiwick.gateway.run import running
from bailiwick.mounts.postgres.front import PostgresFront
from tests.native.native_desk import POLICY, SCRIPT
from tests.support.canary import leaks
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.mcp_client import McpClient
from tests.support.postgres import Database, Server

BOTH = (
    POLICY.replace("    sql: true\n", "    sql: true\n    enforce: both\n")
    .replace(
        "      - {allow: prefs:create,", "      - {allow: prefs:delete, reason: asks}\n      - {allow: prefs:create,"
    )
    .replace("balance, born]\n", "balance, born, ssn]\n")
)


@dataclass
class Both:
    database: Database
    gateway: RunningGateway

    def opened(self, tenant: str = "10") -> Credentials:
        """Open a session of the support bot."""
        groups, values = ("north", "south"), {"customer_id": "1"}
        return self.gateway.open_session(
            "support-bot", task="handle-ticket", user="grace", groups=groups, tenant=tenant, values=values
        )

    def session(self, tenant: str = "10") -> psycopg.Connection:
        """Open a session of the support bot, and a connection with it."""
        return psycopg.connect(self.opened(tenant).url(), autocommit=True)


@pytest.fixture(scope="module")
def both(postgres: Server) -> Iterator[Both]:
    database = postgres.create(SCRIPT)
    folder = Path(tempfile.mkdtemp(prefix="bwnative"))
    gateway = prepare_gateway(folder, BOTH, {"CRM_URL": database.url(), "BAILIWICK_MCP_LISTEN": "always"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRM_URL", database.url())
        _command("apply", gateway)
        gateway.start()
        yield Both(database, gateway)
        gateway.stop()
        _command("remove", gateway)
    database.drop()


def _command(name: str, gateway: RunningGateway) -> None:
    assert CliRunner().invoke(app, [name, str(gateway.policy), "--yes"]).exit_code == 0


@pytest.fixture
def agent(both: Both) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    with both.session() as connection:

        def run(sql: str) -> list[tuple[object, ...]]:
            cursor = connection.execute(cast(LiteralString, sql))
            found: list[tuple[object, ...]] = [(cursor.rowcount,)]
            if cursor.description:
                found = cursor.fetchall()
            assert leaks(str(found)) == []
            return found

        yield run


Run = Callable[[str], list[tuple[object, ...]]]


def _view(both: Both, name: str) -> tuple[str, str]:
    """Return the view that the support bot has over a table in its task, and the role that may use it."""
    found = both.database.rows(
        "SELECT format('%%I.%%I', n.nspname, c.relname), (SELECT a.grantee::regrole::text FROM aclexplode(c.relacl) a"
        " WHERE a.grantee <> c.relowner LIMIT 1) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'v' AND c.relname = %s AND n.nspname LIKE 'bw_crm_support_bot_handle_ticket%%'",
        (name,),
    )
    return str(found[0][0]), str(found[0][1])


def test_reads_show_the_scope(agent: Run) -> None:
    assert agent("SELECT ticket_id FROM tickets ORDER BY 1") == [(100,), (101,)]
    assert agent("SELECT customer_id, region FROM public.customers ORDER BY 1") == [(1, "north"), (2, None)]
    assert agent("SELECT email FROM customers WHERE customer_id = 1") == [("a***@mail.example",)]
    assert agent("SELECT c.name IS NULL, count(*) FROM customers c JOIN tickets t USING (customer_id) GROUP BY 1") == [
        (False, 2)
    ]
    assert agent("SELECT body FROM notes") == [("likes tea",)]


def test_copies_show_the_scope(both: Both) -> None:
    with both.session() as connection, connection.cursor().copy("COPY (SELECT body FROM notes) TO STDOUT") as copy:
        assert b"".join(bytes(data) for data in copy) == b"likes tea\n"


def test_the_connection_itself_is_limited(both: Both, agent: Run) -> None:
    view, role = _view(both, "notes")
    assert agent("SELECT count(*) FROM notes") == [(1,)]
    both.database.script(f"REVOKE SELECT ON {view} FROM {role}")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent("SELECT count(*) FROM notes")
    finally:
        both.database.script(f"GRANT SELECT ON {view} TO {role}")
    assert agent("SELECT count(*) FROM notes") == [(1,)]


def test_what_comes_through_the_tool_is_limited_too(both: Both) -> None:
    view, role = _view(both, "notes")
    client = McpClient(both.gateway.mcp_port, both.opened().token)
    assert client.call("query", sql="SELECT body FROM notes").data["rows"] == [["likes tea"]]
    both.database.script(f"REVOKE SELECT ON {view} FROM {role}")
    try:
        refused = client.call("query", sql="SELECT body FROM notes").data
    finally:
        both.database.script(f"GRANT SELECT ON {view} TO {role}")
    assert cast("dict[str, str]", refused["failed"])["code"] == "42501"
    assert client.call("query", sql="SELECT body FROM notes").data["rows"] == [["likes tea"]]


def test_writes_pass_both_depths(both: Both, agent: Run) -> None:
    assert agent("UPDATE tickets SET status = 'pending' WHERE ticket_id = 100 RETURNING status") == [("pending",)]
    assert agent("UPDATE public.tickets SET priority = 'high' WHERE tickets.ticket_id = 101") == [(1,)]
    assert agent("INSERT INTO tickets (customer_id, subject) VALUES (1, 'both')") == [(1,)]
    assert both.database.rows("SELECT tenant_id FROM tickets WHERE subject = 'both'") == [(10,)]
    assert agent("DELETE FROM notes WHERE note_id = 99") == [(0,)]


UPSERT = (
    "INSERT INTO prefs (customer_id, name, value) VALUES ({}, '{}', 'yes')"
    " ON CONFLICT (tenant_id, customer_id, name) DO UPDATE SET value = excluded.value RETURNING value"
)
MERGE = (
    "MERGE INTO prefs p USING (VALUES (1, 'tea'), (1, 'milk')) v(c, n) ON p.customer_id = v.c AND p.name = v.n"
    " WHEN MATCHED THEN UPDATE SET value = 'maybe' WHEN NOT MATCHED THEN INSERT (customer_id, name, value)"
    " VALUES (v.c, v.n, 'yes')"
)


def test_upserts_and_merges_pass_both_depths(both: Both, agent: Run) -> None:
    assert agent(UPSERT.format(1, "tea")) == [("yes",)]
    assert agent(UPSERT.format(1, "salt")) == [("yes",)]
    assert agent(MERGE) == [(2,)]
    assert agent("SELECT name, value FROM prefs ORDER BY 1") == [("milk", "yes"), ("salt", "yes"), ("tea", "maybe")]
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        agent(UPSERT.format(1, "tea").replace("excluded.value", "'never'"))
    assert "row_out_of_scope" in str(caught.value)
    assert agent(
        "INSERT INTO prefs (customer_id, name) VALUES (1, 'tea') ON CONFLICT (tenant_id, customer_id, name) DO NOTHING"
    ) == [(0,)]
    hidden = both.database.rows("SELECT value FROM prefs WHERE value LIKE 'CANARY%' ORDER BY 1")
    assert hidden == [("CANARY_BOB_TEA",), ("CANARY_TEA_20",)]
    both.database.script("DELETE FROM prefs WHERE name <> 'tea'")


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (UPSERT.format(2, "tea"), "row_out_of_scope"),
        (UPSERT.format(2, "milk"), "row_out_of_scope"),
        (UPSERT.replace("(customer_id", "(tenant_id, customer_id").format("20, 1", "tea"), "row_out_of_scope"),
        # what hides these rows is no column of the key, or nothing that the view shows
        ("INSERT INTO notes (customer_id, body) VALUES (1, 'x') ON CONFLICT (note_id) DO NOTHING", "statement_not"),
        ("INSERT INTO notes (customer_id, body) VALUES (1, 'x') ON CONFLICT DO NOTHING", "statement_not_allowed"),
        ("INSERT INTO tickets (customer_id, subject) VALUES (1, 'x') ON CONFLICT (ticket_id) DO NOTHING", "statement_"),
        (MERGE.replace("(1, 'milk')", "(2, 'milk')"), "row_out_of_scope"),
        (MERGE.replace("'maybe'", "'never'"), "row_out_of_scope"),
    ],
)
def test_upserts_and_merges_tell_nothing_of_hidden_rows(agent: Run, statement: str, code: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        agent(statement)
    assert f"code {code}" in str(caught.value)
    assert leaks(str(caught.value)) == []
    assert agent("SELECT count(*) FROM prefs") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tickets SET status = 'lost' WHERE ticket_id = 100",
        "UPDATE tickets SET subject = 'x'",
        "UPDATE tickets SET status = 'open', priority = 'low'",
        "INSERT INTO tickets (customer_id, subject) VALUES (2, 'x')",
        "INSERT INTO notes (customer_id, body) VALUES (2, 'x')",
        "SELECT ssn FROM customers",
        "SELECT * FROM assigned",
        "SET ROLE postgres",
        "SET ROLE NONE",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "RESET SESSION AUTHORIZATION",
        "SET bailiwick.session = 'x'",
        "RESET bailiwick.session",
        "SHOW bailiwick.session",
        "SELECT current_setting('bailiwick.session')",
        "SELECT set_config('bailiwick.session', '', false)",
        "SELECT set_config('role', 'none', false)",
        "SELECT * FROM ONLY tickets",
        "SELECT * FROM tickets TABLESAMPLE BERNOULLI (100)",
    ],
)
def test_what_is_denied_stays_denied(agent: Run, statement: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        agent(statement)
    assert leaks(str(caught.value)) == []
    assert agent("SELECT count(*) FROM customers") == [(2,)]


@pytest.mark.parametrize("statement", ["RESET ALL", "DISCARD ALL", "RESET timezone", "DISCARD TEMP"])
def test_resetting_keeps_role_and_values(agent: Run, statement: str) -> None:
    agent("SET timezone = 'Asia/Tokyo'")
    agent(statement)
    assert agent("SELECT ticket_id FROM tickets WHERE ticket_id IN (100, 101) ORDER BY 1") == [(100,), (101,)]
    with pytest.raises(psycopg.Error):
        agent("SELECT * FROM assigned")
    if statement in ("RESET ALL", "DISCARD ALL"):
        assert agent("SHOW timezone") != [("Asia/Tokyo",)]


def test_a_reset_is_answered_as_what_it_is(both: Both) -> None:
    with both.session() as connection:
        assert connection.execute("DISCARD ALL").statusmessage == "DISCARD ALL"
        assert connection.execute("RESET ALL").statusmessage == "RESET"


def test_another_tenant_sees_nothing(both: Both) -> None:
    with both.session(tenant="20") as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchall() == [(0,)]


def test_a_session_with_nothing_here_runs_as_a_role_with_nothing(both: Both) -> None:
    opened = both.gateway.open_session("idle-bot")
    with psycopg.connect(opened.url(), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT * FROM notes")


def test_a_connection_ends_when_it_would_run_as_another_role(both: Both) -> None:
    with both.session() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchall() == [(1,)]
        _reload(both.gateway, POLICY)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT count(*) FROM notes")
    _reload(both.gateway, BOTH)
    with both.session() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchall() == [(1,)]


def test_a_policy_that_is_not_applied_is_not_put_in_force(both: Both) -> None:
    wider = BOTH.replace("{within: 90d}", "{within: 900d}")
    both.gateway.policy.write_text(wider)
    _until(both.gateway, "does not enforce this policy")
    with both.session() as connection:
        assert connection.execute("SELECT count(*) FROM tickets WHERE ticket_id < 104").fetchall() == [(2,)]
    _reload(both.gateway, BOTH)


def _reload(gateway: RunningGateway, policy: str) -> None:
    before = gateway.log().count("policy loaded")
    gateway.policy.write_text(policy)
    if gateway.process is not None:
        gateway.process.send_signal(signal.SIGHUP)
    _until(gateway, "policy loaded", before)


def _until(gateway: RunningGateway, words: str, before: int = 0) -> None:
    deadline = time.monotonic() + 60
    while gateway.log().count(words) <= before:
        assert time.monotonic() < deadline, gateway.log()
        time.sleep(0.05)


async def _served(folder: Path, environ: dict[str, str]) -> None:
    """Start a gateway, and stop it when it runs."""
    config = load_config(folder / "policy.yaml", environ)
    async with running(folder / "policy.yaml", config, environ, [PostgresFront(config)]):
        pass


def test_a_database_that_differs_is_not_served(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    database = postgres.create(SCRIPT)
    monkeypatch.setenv("CRM_URL", database.url())
    environ = {"CRM_URL": database.url()}
    gateway = prepare_gateway(Path(tempfile.mkdtemp(prefix="bwnative")), BOTH, environ)

    def serve() -> None:
        asyncio.run(_served(gateway.folder, environ))

    with pytest.raises(BackendError, match="does not enforce this policy") as caught:
        serve()
    assert "bailiwick postgres apply" in caught.value.remedy
    _command("apply", gateway)
    serve()
    (gateway.folder / ".bailiwick" / "mask.key").unlink()
    with pytest.raises(ConfigError, match="keys of another gateway"):
        serve()
    _command("apply", gateway)
    serve()
    view = database.rows("SELECT oid::regclass::text FROM pg_class WHERE relname = 'notes' AND relkind = 'v' LIMIT 1")
    database.script(f"DROP VIEW {view[0][0]}")
    with pytest.raises(BackendError, match="does not enforce this policy"):
        serve()
    _command("remove", gateway)
    database.drop()


def test_a_write_through_the_queue_is_previewed_and_run_as_the_session(both: Both) -> None:
    sql = "UPDATE notes SET body = 'likes coffee'"
    ask = both.gateway.admin.ask
    with both.session() as connection:
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            connection.execute(sql)
        assert "code queued" in str(caught.value)
        approval = str(caught.value).split("held as `")[1].split("`")[0]
        told = cast("dict[str, object]", ask("approval.show", {"approval": approval})["approval"])
        assert "likes tea" in str(told)
        assert "likes coffee" in str(told)
        assert leaks(str(told)) == []
        assert both.database.rows("SELECT count(*) FROM notes WHERE body = 'likes coffee'") == [(0,)]
        ask("approval.approve", {"approval": approval, "digest": str(told["digest"])})
        assert connection.execute(sql).rowcount == told["rows"]
        both.database.script("UPDATE notes SET body = 'likes tea' WHERE body = 'likes coffee'")


def test_what_a_gate_holds_is_previewed_and_run_as_the_session(both: Both) -> None:
    ask = both.gateway.admin.ask
    with both.session() as connection:
        sql = "DELETE FROM prefs WHERE name = 'tea'"
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            connection.execute(sql)
        approval = str(caught.value).split("held as `")[1].split("`")[0]
        told = cast("dict[str, object]", ask("approval.show", {"approval": approval})["approval"])
        assert (told["rows"], leaks(str(told))) == (1, [])
        ask("approval.approve", {"approval": approval, "digest": str(told["digest"])})
        assert connection.execute(sql).rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs_approval"):
            connection.execute("SELECT ssn FROM customers")  # the views do not show it
    assert both.database.rows("SELECT count(*) FROM prefs WHERE name = 'tea'") == [(2,)]
    both.database.script("INSERT INTO prefs VALUES (10, 1, 'tea', 'no')")
