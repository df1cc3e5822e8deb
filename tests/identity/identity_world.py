"""A real issuer and a real gateway, and how a client talks with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.support.gateway import RunningGateway

SECRET = "desk-secret-canary-0815-4711-abcdef"
POLICY = """
bailiwick: 1
mounts:
  shop:
    kind: sql
    engine: sqlite
    file: shop.db
    resources: {orders: {table: orders, key: order_id, tenant: tenant_id}}
roles:
  support:
    grants:
      - {allow: orders:read, reason: answers for its region, rows: {region: $user.region}}
agents:
  desk-bot: {owner: support, purpose: answers, roles: [support]}
tasks:
  look: {agents: [desk-bot], users: {groups: [support]}}
"""
ROWS = ((1, 4, "EU", "canary-eu-four"), (2, 4, "US", "canary-us-four"), (3, 5, "EU", "canary-eu-five"))
Answer = tuple[int, Mapping[str, str], dict[str, object]]


@dataclass(frozen=True)
class World:
    """The issuer and the gateway."""

    issuer: str
    gateway: RunningGateway

    @property
    def mcp(self) -> str:
        return f"http://127.0.0.1:{self.gateway.mcp_port}/mcp"

    def id_token(self, name: str, client: str = "bailiwick") -> str:
        """Return a person's ID token, as the issuer gives it to a client."""
        form = {"grant_type": "name", "username": name, "client_id": client, "client_secret": "only-for-tests-0815"}
        status, _, body = call(f"{self.issuer}/token", form)
        assert status == 200, body
        return str(body["id_token"])

    def exchange(self, endpoint: str, subject: str) -> Answer:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": subject,
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "authorization_details": '[{"type": "bailiwick_session", "task": "look"}]',
            "resource": self.mcp,
            "client_id": "desk",
            "client_secret": SECRET,
        }
        return call(endpoint, form)

    def rows(self, token: str) -> str:
        """Return what the agent reads, as text."""
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "query", "arguments": {"mount": "shop", "sql": "SELECT order_id, note FROM orders"}},
        }
        return json.dumps(self._asked(message, token))

    def refused(self, token: str) -> str:
        """Have a statement of the agent refused, and return what it is told."""
        params = {"name": "query", "arguments": {"mount": "shop", "sql": "SELECT 'x' FROM secrets_canary"}}
        told = json.dumps(self._asked({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, token))
        assert "secrets_canary" in told
        return told

    def _asked(self, message: Mapping[str, object], token: str) -> dict[str, object]:
        status, _, body = call(self.mcp, json.dumps(message).encode(), token)
        assert status == 200, body
        return body


def call(url: str, body: bytes | Mapping[str, str] | None = None, token: str = "") -> Answer:
    """Call, and return status, headers and JSON."""
    headers = {"Accept": "application/json, text/event-stream"}
    if isinstance(body, Mapping):
        data: bytes | None = urlencode(body).encode()
    else:
        data = body
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        with urlopen(Request(url, data, headers), timeout=60) as answer:
            found = answer.read()
            status, told = answer.status, dict(answer.headers)
    except HTTPError as error:
        found, status, told = error.read(), error.code, dict(error.headers)
    read: object = json.loads(found) if found else None
    return status, {name.lower(): value for name, value in told.items()}, cast("dict[str, object]", read or {})


def spoiled(token: str) -> str:
    """Return a token with another signature. Its first character counts whole; of the last one not every bit does."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}"
