"""A gateway in front of one HTTP API, and what reached the API."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.postgres import free_port

SECRET = "CANARY_UPSTREAM_CREDENTIAL4711"
API = str(Path(__file__).parents[1] / "support" / "http_api.py")
POLICY = """\
bailiwick: 1
mounts:
  billing:
    kind: http
    url: http://127.0.0.1:PORT/v2
    credential: {header: {Authorization: "Bearer ${API_TOKEN}"}}
    resources:
      invoices: {labels: {card: restricted, lines.cost: confidential}}
    routes:
      GET /invoices: {action: invoices:read, query: {customer_id: integer, page: integer}, items: data}
      GET /invoices/{id}: {action: invoices:read, path: {id: integer}}
      GET /invoices/secret: {action: vault:read}
      PUT /invoices/{id}: {action: invoices:update, path: {id: integer}, body: any}
      DELETE /invoices/{id}: {action: invoices:cancel, path: {id: integer}}
      POST /refunds:
        action: billing:refund
        headers: [Idempotency-Key]
        body: {customer_id: integer, amount: number, note: string, by.tenant: string, tags: array}
        fixed: {body.by.tenant: $tenant}
      POST /forms: {action: notes:create, form: {text: string, count: integer}}
      GET /files/{+path}: {action: files:read}
      GET /search: {action: search:read, query: {tag: strings, id: integers, page: integer}}
      POST /uploads: {action: uploads:create, multipart: {note: string, tag: strings, count: integer, photo: file}}
      GET /names/{name}: {action: names:read}
      GET /echo-credential/{how}: {action: tests:read}
      GET /redirect/{where}: {action: tests:read}
      GET /events: {action: tests:read}
      GET /large: {action: tests:read}
      GET /broken: {action: tests:read}
      GET /plain: {action: tests:read}
      GET /packed: {action: tests:read}
      GET /unauthorized: {action: tests:read}
      GET /cookies: {action: tests:read}
  basic:
    kind: http
    url: http://127.0.0.1:PORT/v2
    credential: {basic: {user: gateway, password: "${API_TOKEN}"}}
    routes: {GET /whoami: {action: basic_user:read}}
  keyed:
    kind: http
    url: http://127.0.0.1:PORT/v2
    credential: {query: {api_key: "${API_TOKEN}"}}
    routes: {GET /whoami: {action: keyed_user:read, query: [page]}}
  tokens:
    kind: http
    url: http://127.0.0.1:PORT/v2
    credential:
      oauth: {token_url: "http://127.0.0.1:PORT/token", client_id: gateway, client_secret: "${API_TOKEN}", scope: read}
    routes: {GET /whoami: {action: tokens_user:read}}
  signed:
    kind: http
    url: http://127.0.0.1:PORT/v2
    credential: {aws: {access_key: AKIDEXAMPLE, secret_key: "${API_TOKEN}", region: eu-central-1, service: execute-api}}
    routes: {GET /whoami: {action: signed_user:read, query: [page]}}
  inside:
    kind: http
    url: http://localhost:PORT/v2
    routes: {GET /whoami: {action: inside_user:read}}
  named:
    kind: http
    url: http://localhost:PORT/v2
    networks: [127.0.0.0/8, "::1"]
    routes: {GET /whoami: {action: named_user:read}}
roles:
  support:
    grants:
      - allow: invoices:read
        reason: answers about them
        args: {query.customer_id: $customer_id}
        items: {customer_id: $customer_id}
        mask: {email: partial}
      - allow: invoices:read
        reason: looks one up
        args: {path.id: any}
        items: {customer_id: $customer_id}
        mask: {email: partial}
      - allow: billing:refund
        reason: small ones
        args: {body.customer_id: $customer_id, body.amount: {max: 500}, body.note: any, header.idempotency-key: any}
        when: args.body.amount < 400 || args.body.note == "agreed"
      - {allow: notes:create, reason: notes, args: {body.text: any, body.count: {max: 9}}}
      - {allow: files:read, reason: manuals, args: {path.path: {prefix: manuals/}}}
      - {allow: names:read, reason: tests, args: {path.name: any}}
      - {allow: search:read, reason: tests, args: {query.tag: [red, blue], query.id: {max: 9}}}
      - {deny: search:read, reason: tests, args: {query.id: 7}}
      - allow: uploads:create
        reason: pictures of what is broken
        args:
          body.note: any
          body.tag: {prefix: t}
          body.photo.type: [image/png, image/jpeg]
          body.photo.size: {max: 20000}
          body.photo.name: {glob: "*.png"}
      - {allow: uploads:create, reason: words alone, args: {body.note: any, body.count: any}}
      - {allow: tests:read, reason: tests, args: any, limits: {bytes: 1000000}}
      - {allow: basic_user:read, reason: tests}
      - {allow: keyed_user:read, reason: tests, args: any}
      - {allow: tokens_user:read, reason: tests}
      - {allow: signed_user:read, reason: tests, args: any}
      - {allow: inside_user:read, reason: tests}
      - {allow: named_user:read, reason: tests}
  reader:
    grants:
      - {allow: invoices:read, reason: tests, args: {query.page: any}, fields: [id], limits: {rows: 2}}
      - {allow: invoices:read, reason: tests of one, args: {path.id: any}, fields: [id], limits: {rows: 2}}
      - {allow: tests:read, reason: tests of filters, args: any, fields: [got]}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
  reader: {owner: team, purpose: tests, roles: [reader]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """Return the body as JSON."""
        return cast("dict[str, object]", json.loads(self.body))

    @property
    def code(self) -> object:
        """Return the code of a denial."""
        assert self.headers["content-type"] == "application/problem+json", self
        return self.json.get("code")


@dataclass(frozen=True, slots=True)
class Desk:
    """The gateway, and what its API was asked."""

    gateway: RunningGateway
    log: Path
    port: int
    sessions: dict[str, Credentials] = field(default_factory=dict[str, Credentials])

    @property
    def reached(self) -> list[dict[str, object]]:
        """Return every request that reached the API."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [cast("dict[str, object]", json.loads(line)) for line in lines]

    @property
    def sent_headers(self) -> dict[str, str]:
        """Return the headers of the last request that reached the API."""
        return cast("dict[str, str]", self.reached[-1]["headers"])

    def session(self, agent: str = "bot") -> Credentials:
        """Return an open session, the same one for all."""
        if agent not in self.sessions:
            self.sessions[agent] = self.new_session(agent)
        return self.sessions[agent]

    def new_session(self, agent: str = "bot") -> Credentials:
        """Open another session."""
        if agent == "bot":
            return self.gateway.open_session(
                agent, task="work", user="ada", tenant="acorn", values={"customer_id": "501"}
            )
        return self.gateway.open_session(agent, tenant="acorn")

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        agent: str = "bot",
        token: str | None = None,
    ) -> Reply:
        """Send a request as an agent does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=60)
        try:
            given = {"Authorization": f"Bearer {token or self.session(agent).token}"}
            if body is not None:
                given["Content-Type"] = "application/json"
            connection.request(method, target, body, {**given, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> Reply:
        """Send bytes as they are; `TOKEN` in them is a session's token."""
        with socket.create_connection(("127.0.0.1", self.gateway.http_port), timeout=20) as plug:
            plug.sendall(data.replace(b"TOKEN", self.session().token.encode()))
            answer = http.client.HTTPResponse(plug)
            try:
                answer.begin()
            except http.client.HTTPException:  # closed without a word
                return Reply(400, {}, b"")
            return Reply(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())

    def until_closed(self, target: str, token: str = "") -> bytes:
        """Return all that comes of a request until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.gateway.http_port), timeout=20) as plug:
            known = token or self.session().token
            plug.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {known}\r\n\r\n".encode())
            found = b""
            while part := plug.recv(65536):
                found += part
            return found

    def records(self) -> list[dict[str, object]]:
        """Return the ledger's records so far."""
        told = self.gateway.say("ledger", "query", "--json", "--limit", "1000")
        assert told.returncode == 0, told.stderr
        return [cast("dict[str, object]", json.loads(line)) for line in told.stdout.splitlines()]


def listens(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the API did not start")


@pytest.fixture(scope="package")
def desk() -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="bwhttp"))
    port, log = free_port(), folder / "reached"
    api = subprocess.Popen([sys.executable, API, str(port), str(log)])
    gateway = prepare_gateway(folder, POLICY.replace("PORT", str(port)), {"API_TOKEN": SECRET})
    try:
        listens(port)
        gateway.start()
        yield Desk(gateway, log, port)
    finally:
        gateway.stop()
        api.kill()
        api.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
