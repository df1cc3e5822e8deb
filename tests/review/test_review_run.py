"""A review of a gateway that runs, on the command line: what was revoked is denied once its patch is applied."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import cast

import psycopg
import pytest

from bailiwick.policy.load import load
from tests.support.gateway import Credentials, RunningGateway, running_gateway
from tests.support.postgres import Database, Server

pytestmark = pytest.mark.xdist_group("review-run")
SCRIPT = """
CREATE TABLE tickets (ticket_id int PRIMARY KEY, subject text NOT NULL);
CREATE TABLE customers (customer_id int PRIMARY KEY, name text NOT NULL);
INSERT INTO tickets VALUES (7, 'stuck');
INSERT INTO customers VALUES (70, 'Ada');
"""
POLICY = """\
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets, key: ticket_id}
      customers: {table: public.customers, key: customer_id}
roles:
  support:
    grants:
      - {allow: tickets:read, id: tickets, reason: answers them}
      - {allow: customers:read, id: customers, reason: calls them}  # once
agents:
  support-bot: {owner: desk, purpose: answers tickets, roles: [support]}
review: {every: 30d}
"""


@pytest.fixture(scope="module")
def upstream(postgres: Server) -> Iterator[Database]:
    made = postgres.create(SCRIPT)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def gateway(upstream: Database) -> Iterator[RunningGateway]:
    with running_gateway(POLICY, {"CRM_URL": upstream.url()}) as running:
        yield running


def asked(session: Credentials, sql: str) -> str:
    with closing(psycopg.connect(session.url(), autocommit=True)) as connection:
        try:
            row = connection.execute(sql.encode()).fetchone()
        except psycopg.Error as error:
            return str(error.sqlstate)
    assert row is not None
    return str(row[0])


def ran(gateway: RunningGateway, *arguments: str) -> str:
    done = gateway.say(*arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_review_from_its_opening_to_the_patched_policy(gateway: RunningGateway) -> None:
    session = gateway.open_session("support-bot", user="ada")
    assert asked(session, "SELECT subject FROM tickets") == "stuck"
    assert asked(session, "SELECT name FROM customers") == "Ada"
    status = json.loads(ran(gateway, "review", "status", "--json"))["agents"]
    assert [(each["agent"], each["every_days"], each["overdue"]) for each in status] == [("support-bot", 30, False)]
    review = json.loads(ran(gateway, "review", "open", "--owner", "desk", "--json"))["id"]
    shown = " ".join(ran(gateway, "review", "show", review).split())
    assert "used once, on 1 day" in shown
    assert review in ran(gateway, "review", "list")
    ran(gateway, "review", "decide", review, "1", "keep")
    assert "close it with" in ran(gateway, "review", "decide", review, "2", "revoke", "--note", "nobody calls them")
    closed = ran(gateway, "review", "close", review)
    digest = json.loads(ran(gateway, "review", "show", review, "--json"))["digest"]
    assert digest in closed
    records = [
        json.loads(line) for line in ran(gateway, "ledger", "query", "--json", "--kind", "review.closed").splitlines()
    ]
    assert [each["detail"]["digest"] for each in records] == [digest]
    patch = ran(gateway, "review", "patch", review)
    applied = subprocess.run(
        ["patch", "-p1"], cwd=gateway.folder, input=patch, capture_output=True, text=True, check=False
    )
    assert applied.returncode == 0, applied.stdout + applied.stderr + patch
    text = gateway.policy.read_text()
    assert text == POLICY.replace("      - {allow: customers:read, id: customers, reason: calls them}  # once\n", "")
    wanted = load({"policy.yaml": text}).policy
    assert wanted is not None
    deadline = time.monotonic() + 120
    while cast("str", gateway.admin.ask("status", {})["policy"]) != wanted.version:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert asked(session, "SELECT subject FROM tickets") == "stuck"
    assert asked(session, "SELECT name FROM customers") == "42501"
    report = gateway.folder / "report.html"
    ran(gateway, "review", "report", "--html", str(report))
    assert "<svg" in report.read_text()


def test_what_is_used_wrongly_is_said(gateway: RunningGateway) -> None:
    for arguments, said in (
        (("open",), "one agent's or one owner's"),
        (("open", "--agent", "nobody"), "no agent `nobody`"),
        (("show", "rev_0"), "there is no review"),
        (("decide", "rev_0", "1", "keep"), "there is no review"),
    ):
        done = gateway.say("review", *arguments)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
