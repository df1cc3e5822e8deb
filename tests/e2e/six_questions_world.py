"""One gateway with a mount of every kind, and what its ledger tells of a call: nothing else is asked."""

from __future__ import annotations

import http.client
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import duckdb

from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.model.record import JsonValue
from tests.http.conftest import API, listens
from tests.mcp.conftest import SERVER
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.graphql_api import TYPES
from tests.support.mail_server import mail_server
from tests.support.mcp_client import McpClient
from tests.support.postgres import GATEWAY_ROLE, Database, Server, free_port

GRAPHQL = str(Path(__file__).parents[1] / "support" / "graphql_api.py")
SECRET = "CANARY-secret-of-the-client-4711"
VALUE = "CANARY-value-of-an-argument"
"""What is given as an argument everywhere and stands in no record."""
SCRIPT = """
CREATE TABLE public.tickets (ticket_id int PRIMARY KEY, customer_id int NOT NULL, subject text NOT NULL, status text);
INSERT INTO public.tickets SELECT g, 500 + g % 2, 'CANARY-subject-' || g, 'open' FROM generate_series(1, 40) g;
CREATE TABLE public.letters (id int PRIMARY KEY, text text);
"""
ORDERS = """
CREATE TABLE orders (order_id integer PRIMARY KEY, customer_id integer, total integer, note text);
INSERT INTO orders VALUES (1, 501, 20, 'CANARY-note-1'), (2, 500, 40, 'CANARY-note-2');
"""
POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets, key: ticket_id, labels: {subject: confidential}}
      letters: {table: public.letters, key: id}
  shop: {kind: sql, engine: sqlite, file: FOLDER/shop.db, resources: {orders: {table: orders, key: order_id}}}
  stock: {kind: sql, engine: duckdb, file: FOLDER/stock.db, resources: {stocked: {table: orders, key: order_id}}}
  desk:
    kind: mcp
    command: [PYTHON, SERVER]
    env: {CALLS: FOLDER/calls}
    tools:
      search: {action: articles:read, items: results}
      echo: {action: remarks:create}
      refund: {action: billing:refund, fixed: {tenant: acorn}}
      misbehave: {action: tests:run}
  billing:
    kind: http
    url: http://127.0.0.1:HTTP_PORT/v2
    routes:
      GET /invoices: {action: invoices:read, query: {customer_id: integer}, items: data}
      POST /refunds: {action: invoices:refund, body: {customer_id: integer, amount: number, note: string}}
      GET /broken: {action: invoices:break}
  graph:
    kind: http
    url: http://127.0.0.1:GRAPH_PORT/api
    resources: {people: {labels: {ssn: restricted}}}
    graphql:
      schema: shop.graphql
      fields: {Query.customer: {action: people:read}, Mutation.refund: {action: money:refund}}
  mail: {kind: email, smtp: "${SMTP_URL}", from: support@acme.example, internal: [acme.example, refused.example]}
  docs: {kind: files, root: ./files, resources: {articles_kept: {paths: ["kb/**"]}}}
  app: {kind: python, functions: {pay: {action: payments:make, parameters: [amount, note]}}}
roles:
  support:
    grants:
      - {allow: tickets:read, id: reads-tickets, reason: answers, rows: {customer_id: $customer_id},
         fields: [ticket_id, customer_id, subject, status]}
      - {allow: tickets:update:status, id: closes, reason: closes, rows: {customer_id: $customer_id}}
      - {allow: tickets:delete, id: removes, reason: clears, rows: {customer_id: $customer_id}}
      - {allow: orders:read, id: reads-orders, reason: answers, rows: {customer_id: $customer_id}}
      - {allow: orders:update:note, id: notes-orders, reason: notes, rows: {customer_id: $customer_id}}
      - {allow: stocked:read, id: reads-stock, reason: answers, rows: {customer_id: $customer_id}}
      - {allow: stocked:update:note, id: notes-stock, reason: notes, rows: {customer_id: $customer_id}}
      - {allow: articles:read, id: searches, reason: answers, args: {query: any}, items: {customer_id: $customer_id}}
      - {allow: remarks:create, id: remarks, reason: notes, args: {text: any}}
      - {allow: tests:run, id: tests, reason: tests, args: any}
      - {allow: invoices:read, id: reads-invoices, reason: answers, args: {query.customer_id: $customer_id}}
      - {allow: invoices:break, id: breaks, reason: tests}
      - {allow: invoices:refund, id: refunds-invoices, reason: small ones,
         args: {body.customer_id: $customer_id, body.amount: {max: 50}, body.note: any}}
      - {allow: people:read, id: reads-people, reason: answers, args: {id: $customer_id}, fields: [id, name]}
      - {allow: money:refund, id: refunds-money, reason: small ones,
         args: {input.orderId: any, input.money.amount: {max: 50}, input.tags: any}}
      - {allow: email:send, id: writes, reason: writes to colleagues,
         args: {to: {not: {glob: "*@evil.example"}}, subject: any, body: any}}
      - {allow: articles_kept:read, id: reads-files, reason: answers}
      - {allow: articles_kept:list, id: lists-files, reason: finds}
      - {allow: articles_kept:create, id: writes-files, reason: drafts}
      - {allow: payments:make, id: pays, reason: small ones, args: {amount: {max: 50}, note: any}}
      - {allow: billing:refund, id: refunds-held, reason: people decide, args: any}
  letters:
    grants: [{allow: letters:read, id: reads-letters, reason: while it is needed}]
agents:
  bot: {owner: support, purpose: answers, roles: [support]}
  helper: {owner: support, purpose: helps the bot, roles: [support]}
tasks:
  work: {agents: [bot, helper], context: {customer_id: integer}}
gates:
  refunds: {on: billing:refund, approvers: [leads], message: refunds are looked at}
elevations:
  letters: {role: letters, for: [bot], max: 4h, approvers: [leads]}
approvers:
  leads: {users: [ann]}
"""
SETTINGS = """\
smtp: {port: 0}
api: {port: 0}
clients:
  bot: {agent: bot, secret: "${BOT_SECRET}"}
"""
Told = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class World:
    """The gateway, and the database behind one of its mounts."""

    gateway: RunningGateway
    upstream: Database
    session: Credentials

    @property
    def mcp(self) -> McpClient:
        """Return the session's client."""
        return McpClient(self.gateway.mcp_port, self.session.token)

    def http(self, method: str, target: str, body: object = None, token: str = "") -> int:
        """Return the status of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=60)
        with closing(connection):
            data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {token or self.session.token}", "Content-Type": "application/json"}
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status

    def delegated(self, agent: str) -> str:
        """Return the token of a session that the agent delegated."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": self.session.token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "authorization_details": json.dumps([{"type": "bailiwick_session", "agent": agent, "task": "work"}]),
            "client_id": "bot",
            "client_secret": SECRET,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.api_port, timeout=60)
        with closing(connection):
            head = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/oauth/token", urlencode(form), head)
            told = cast("dict[str, str]", json.loads(connection.getresponse().read()))
        assert "access_token" in told, told
        return told["access_token"]

    def records(self, after: int = -1) -> list[Told]:
        """Return what the ledger tells so far, the oldest first."""
        with closing(open_reader(self.gateway.folder / ".bailiwick" / "ledger.db")) as reader:
            found = reader.query(Query(after=after, limit=10_000))
        return [cast("Told", json.loads(each.body)) for each in found]


@contextmanager
def open_world(server: Server) -> Generator[World]:
    """Run it, with one session."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bwsix"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        upstream = server.create(SCRIPT, GATEWAY_ROLE)
        stack.callback(upstream.drop)
        with closing(sqlite3.connect(folder / "shop.db")) as shop:
            shop.executescript(ORDERS)
        with closing(duckdb.connect(folder / "stock.db")) as stock:
            stock.execute(ORDERS)
        (folder / "files" / "kb").mkdir(parents=True)
        (folder / "files" / "kb" / "a.md").write_text("CANARY-content-of-a-file")
        (folder / "shop.graphql").write_text(TYPES)
        ports = free_port(), free_port()
        for program, port in zip((API, GRAPHQL), ports, strict=True):
            api = subprocess.Popen([sys.executable, program, str(port), str(folder / f"reached{port}")])
            stack.callback(api.wait, 30)
            stack.callback(api.kill)
        mail = stack.enter_context(mail_server())
        for port in ports:
            listens(port)
        policy = POLICY.replace("PYTHON", sys.executable).replace("SERVER", SERVER).replace("FOLDER", str(folder))
        policy = policy.replace("HTTP_PORT", str(ports[0])).replace("GRAPH_PORT", str(ports[1]))
        environ = {
            "CRM_URL": upstream.url("gw", "gw"),
            "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "BOT_SECRET": SECRET,
        }
        gateway = prepare_gateway(folder, policy, environ, SETTINGS)
        stack.callback(gateway.stop)
        gateway.start()
        session = gateway.open_session("bot", task="work", user="grace", values={"customer_id": "501"})
        yield World(gateway, upstream, replace(session, database="crm"))
