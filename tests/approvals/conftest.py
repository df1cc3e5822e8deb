"""A gateway whose gates hold calls of a tool, a route and a function, and what reached those behind them."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from bailiwick.gateway.wire import Json
from tests.http.conftest import API, Reply, listens
from tests.mcp.conftest import SERVER
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.issuer import running_issuer
from tests.support.mcp_client import McpClient
from tests.support.postgres import free_port

POLICY = """\
bailiwick: 1
mounts:
  billing:
    kind: http
    url: http://127.0.0.1:PORT/v2
    routes:
      POST /refunds: {action: refunds:create, body: {customer_id: integer, amount: number, note: string}}
  desk:
    kind: mcp
    command: [PYTHON, SERVER]
    env: {CALLS: FOLDER/calls, TOOLS: FOLDER/tools}
    tools:
      refund: {action: billing:refund, fixed: {tenant: $tenant}}
      echo: {action: notes:create}
  app:
    kind: python
    functions:
      transfer: {action: transfers:send, parameters: [to, amount], effects: [money]}
roles:
  support:
    grants:
      - {allow: refunds:create, reason: tests, args: {body.customer_id: $customer_id, body.amount: any, body.note: any}}
      - {allow: billing:refund, reason: tests, args: {customer_id: $customer_id, amount: {max: 500}, currency: EUR}}
      - {allow: notes:create, reason: tests, args: any}
      - {allow: transfers:send, reason: tests, args: any}
  frugal:
    grants:
      - {allow: refunds:create, reason: tests, args: any, limits: {actions: 2/h}}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
  miser: {owner: team, purpose: tests, roles: [frugal]}
  scrooge: {owner: team, purpose: tests, roles: [frugal]}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
gates:
  large-refund: {on: refunds:create, args: {body.amount: {over: 50}}, approvers: [finance], message: over fifty}
  large-payback: {on: billing:refund, args: {amount: {over: 50}}, approvers: [finance], expires: 4h}
  night-refund: {on: refunds:create, args: {body.note: {prefix: night}}, approvers: [finance], mode: execute}
  night-note: {on: notes:create, args: {text: {prefix: night}}, approvers: [finance], mode: execute}
  money: {args: {amount: {over: 50}}, reason: small sums are harmless, approvers: [finance], quorum: 1}
approvers:
  finance: {users: [fay@corp], groups: [sales]}
"""

SECRET = "client-secret-of-tests-0815-4711-abcdef"
SETTINGS = """\
api: {port: 0}
issuers:
  login: {issuer: "ISSUER", audience: bailiwick, roles: {approver: [sales, support]}}
clients:
  robot: {roles: [approver], secret: "${CLIENT_SECRET}"}
  watcher: {roles: [viewer], secret: "${CLIENT_SECRET}"}
"""


@dataclass(frozen=True, slots=True)
class World:
    """The issuer of the people who decide, and the gateway's API."""

    issuer: str
    gateway: RunningGateway

    def person(self, name: str) -> str:
        """Return a person's token."""
        form = {
            "grant_type": "name",
            "username": name,
            "client_id": "bailiwick",
            "client_secret": "only-for-tests-0815",
        }
        return str(_json(f"{self.issuer}/token", urlencode(form).encode())[1]["id_token"])

    def program(self, client: str) -> str:
        """Return the token of a client."""
        form = {"grant_type": "client_credentials", "resource": "bailiwick:api", "client_id": client}
        return str(
            _json(f"{self._base}/oauth/token", urlencode({**form, "client_secret": SECRET}).encode())[1]["access_token"]
        )

    def ask(self, token: str, path: str, body: Mapping[str, Json] | None = None) -> tuple[int, dict[str, Json]]:
        """Ask the API."""
        data = None if body is None else json.dumps(body).encode()
        return _json(f"{self._base}/api/v1/approvals{path}", data, token)

    @property
    def _base(self) -> str:
        return f"http://127.0.0.1:{self.gateway.api_port}"


def _json(url: str, data: bytes | None, token: str = "") -> tuple[int, dict[str, Json]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} if token else {}
    try:
        with urlopen(Request(url, data, headers), timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


@dataclass(frozen=True, slots=True)
class Desk:
    """The gateway and its people."""

    gateway: RunningGateway
    log: Path
    world: World

    def session(self, user: str = "ada") -> Credentials:
        """Open a session."""
        return self.gateway.open_session("bot", task="work", user=user, tenant="acorn", values={"customer_id": "501"})

    def mcp(self) -> McpClient:
        """Open a session and return its MCP client."""
        return McpClient(self.gateway.mcp_port, self.session().token)

    def post(self, token: str, amount: float, *, wait: int | None = None, note: str = "") -> Reply:
        """Ask for a refund over HTTP."""
        body = json.dumps({"customer_id": 501, "amount": amount, "note": note}).encode()
        more = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self.http(token, "POST", "/billing/refunds", body, more)

    def http(
        self, token: str, method: str, target: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request as an agent does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=120)
        try:
            given = {"Authorization": f"Bearer {token}", "Bailiwick-Reason": "a customer asked"}
            if body is not None:
                given["Content-Type"] = "application/json"
            connection.request(method, target, body, {**given, **(more or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def once_over(self, approval: str) -> dict[str, Json]:
        """Return an approval as people see it, once it is final: the gateway runs it by itself."""
        deadline = time.monotonic() + 60
        while (found := self.shown(approval))["state"] in ("PENDING", "APPROVED", "RUNNING"):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def refunds(self, note: str) -> list[float]:
        """Return the amounts of refunds with a note that reached the API."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        bodies = [json.loads(json.loads(line)["body"]) for line in lines if json.loads(line).get("body")]
        return [each["amount"] for each in bodies if each.get("note") == note]

    def calls(self, name: str) -> list[dict[str, object]]:
        """Return the arguments of the calls that reached the MCP server."""
        log = self.gateway.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        found = [cast("tuple[str, dict[str, object]]", tuple(json.loads(line))) for line in lines]
        return [arguments for called, arguments in found if called == name]

    def ask(self, do: str, **fields: Json) -> dict[str, Json]:
        """Ask the desk, as a person of this machine."""
        return dict(self.gateway.admin.ask(do, fields))

    def shown(self, approval: str) -> dict[str, Json]:
        """Return an approval as people see it."""
        return cast("dict[str, Json]", self.ask("approval.show", approval=approval)["approval"])

    def approve(self, approval: str) -> None:
        """Approve what is shown now."""
        self.ask("approval.approve", approval=approval, digest=self.shown(approval)["digest"])

    def deny(self, approval: str, reason: str) -> None:
        """Deny it."""
        self.ask("approval.deny", approval=approval, reason=reason)

    def waiting(self, session: str) -> list[str]:
        """Return the approvals of a session that wait."""
        listed = cast("list[dict[str, str]]", self.ask("approval.list", all=False)["approvals"])
        return [each["id"] for each in listed if each["session"] == session]

    def once_held(self, session: str, then: Callable[[str], None]) -> threading.Thread:
        """Do something with what a session comes to wait for, in a thread."""

        def run() -> None:
            seen: Json = None
            while not (found := self.waiting(session)):
                seen = self.ask("approval.watch", seen=seen)["seen"]
            then(found[0])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def records(self, session: str) -> list[dict[str, object]]:
        """Return the ledger's records of a session, the oldest first."""
        told = self.gateway.say("ledger", "query", "--json", "--limit", "1000", "--session", session)
        assert told.returncode == 0, told.stderr
        return [cast("dict[str, object]", json.loads(line)) for line in told.stdout.splitlines()]


@pytest.fixture(scope="package")
def desk() -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="bwappr"))
    port, log = free_port(), folder / "reached"
    api = subprocess.Popen([sys.executable, API, str(port), str(log)])
    text = POLICY.replace("PORT", str(port)).replace("PYTHON", sys.executable).replace("SERVER", SERVER)
    try:
        with running_issuer() as issuer:
            settings = SETTINGS.replace("ISSUER", issuer)
            gateway = prepare_gateway(folder, text.replace("FOLDER", str(folder)), {"CLIENT_SECRET": SECRET}, settings)
            try:
                listens(port)
                gateway.start()
                yield Desk(gateway, log, World(issuer, gateway))
            finally:
                gateway.stop()
    finally:
        api.kill()
        api.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
