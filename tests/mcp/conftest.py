"""A gateway in front of one MCP server, and what an agent and its people see of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from bailiwick.mounts.mcp import clients
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.mcp_client import McpClient

SECRET = "CANARY-upstream-credential-4711"
SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
POLICY = """\
bailiwick: 1
mounts:
  desk:
    kind: mcp
    command: [PYTHON, SERVER]
    env: {SECRET: "${DESK_SECRET}", CALLS: FOLDER/calls, TOOLS: FOLDER/tools}
    relay: {logging: tests of the log, sampling: tests of models, elicitation: tests of people}
    tools:
      search: {action: articles:read, items: results}
      refund: {action: billing:refund, description: pays back, fixed: {tenant: $tenant}}
      echo: {action: notes:create}
      misbehave: {action: tests:run}
    prompts:
      greet: {action: greetings:use, fixed: {tenant: $tenant}}
    documents:
      "notes://handbook": {action: handbook:read, description: the rules}
      "notes://secret": {action: secrets:read}
      "notes://{name}": {action: notes:read}
      "notes://orders": {action: orderings:read}
      "customers://{id}/file": {action: files:read}
  shop:
    kind: sql
    engine: sqlite
    file: FOLDER/shop.db
    resources:
      orders: {table: orders, labels: {card: restricted}}
roles:
  support:
    grants:
      - {allow: orders:read, reason: looks orders up, rows: {customer_id: $customer_id}}
      - allow: articles:read
        reason: answers
        args: {query: any}
        items: {customer_id: $customer_id}
        fields: [id, title, author]
        mask: {author.email: partial}
      - allow: billing:refund
        reason: small ones
        args: {customer_id: $customer_id, amount: {max: 500}, currency: [EUR, USD]}
      - {allow: notes:create, reason: notes, args: any}
      - {allow: handbook:read, reason: knows the rules}
      - {allow: notes:read, reason: reads notes, args: {name: any}}
      - {allow: orderings:read, reason: sees its own, items: {customer_id: $customer_id}, fields: [id, customer_id]}
      - {allow: files:read, reason: reads its customer's file, args: {id: $customer_id}}
      - {allow: greetings:use, reason: greets, args: {customer: $customer_id, tone: [kind, formal]}}
  tester:
    grants:
      - {allow: handbook:read, reason: tests}
      - {allow: tests:run, reason: tests, args: any, limits: {bytes: 100000, timeout: 5s}}
      - {allow: notes:create, reason: tests, args: any, when: args.text != "never"}
      - {allow: articles:read, reason: tests of one, args: {query: one}, limits: {rows: 1}}
      - {allow: articles:read, reason: tests of two, args: {query: two}, limits: {rows: 2}}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
  tester: {owner: team, purpose: tests, roles: [tester]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
"""


@dataclass(frozen=True, slots=True)
class Desk:
    """The gateway, and what its server was asked to do."""

    gateway: RunningGateway

    @property
    def calls(self) -> list[tuple[str, dict[str, object]]]:
        """Return every call that reached the server: name and arguments."""
        log = self.gateway.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [cast("tuple[str, dict[str, object]]", tuple(json.loads(line))) for line in lines]

    def session(self, agent: str = "bot") -> Credentials:
        """Open a session."""
        if agent == "bot":
            return self.gateway.open_session(
                agent, task="work", user="ada", tenant="acorn", values={"customer_id": "501"}
            )
        return self.gateway.open_session(agent, tenant="acorn")

    def client(self, agent: str = "bot") -> McpClient:
        """Open a session and return its client."""
        return McpClient(self.gateway.mcp_port, self.session(agent).token)

    def records(self) -> list[dict[str, object]]:
        """Return the ledger's records so far, the oldest first."""
        told = self.gateway.say("ledger", "query", "--json", "--limit", "1000")
        assert told.returncode == 0, told.stderr
        return [cast("dict[str, object]", json.loads(line)) for line in told.stdout.splitlines()]


def policy_in(folder: Path, text: str = POLICY) -> str:
    """Return the policy's text for a folder."""
    return text.replace("PYTHON", sys.executable).replace("SERVER", SERVER).replace("FOLDER", str(folder))


@pytest.fixture(scope="package")
def desk() -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="bwmcp"))
    with sqlite3.connect(folder / "shop.db") as database:
        database.executescript(
            "CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer, total numeric, card text);"
            "INSERT INTO orders VALUES (1, 501, 20, 'CANARY10'), (2, 502, 40, 'CANARY11');"
        )
    database.close()
    gateway = prepare_gateway(folder, policy_in(folder), {"DESK_SECRET": SECRET})
    try:
        gateway.start()
        yield Desk(gateway)
    finally:
        gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[clients.Listener]:
    """Return whoever begins to listen."""
    every: asyncio.Queue[clients.Listener] = asyncio.Queue()

    class Seen(clients.Listener):
        def __init__(self) -> None:
            super().__init__()
            every.put_nowait(self)

    monkeypatch.setattr(clients, "Listener", Seen)
    return every
