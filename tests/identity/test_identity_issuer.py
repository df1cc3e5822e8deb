"""From nothing but a refusal to rows of one person's region: a real issuer, a real gateway, a client that discovers."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.support.gateway import RunningGateway, running_gateway

SECRET = "desk-secret-canary-0815-4711-abcdef"
NODE = Path(sys.prefix) / "bin" / "node"
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
        status, _, body = call(self.mcp, json.dumps(message).encode(), token)
        assert status == 200, body
        return json.dumps(body)


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


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    modules = Path(sys.prefix) / "node" / "node_modules"
    script = (Path(__file__).parent / "issuer.mjs").read_text()
    copy = modules.parent / "issuer-for-tests.mjs"  # where its imports are found
    copy.write_text(script)
    process = subprocess.Popen([str(NODE), str(copy)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = next(line.strip() for line in process.stdout if line.startswith("http://"))
        yield url
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def world(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("shop") / "shop.db"
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, tenant_id INTEGER, region TEXT, note TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    settings = f"""
api: {{port: 0}}
issuers:
  login: {{issuer: "{issuer}", audience: bailiwick, tenant: tenant, claims: [region]}}
clients:
  desk: {{agent: desk-bot, secret: "${{DESK_SECRET}}"}}
"""
    policy = POLICY.replace("file: shop.db", f"file: {file}")
    with running_gateway(policy, {"DESK_SECRET": SECRET}, settings) as gateway:
        yield World(issuer, gateway)


def discovered(world: World) -> str:
    """Return the token endpoint, as a client finds it that knows the MCP endpoint alone."""
    status, headers, _ = call(world.mcp, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    assert status == 401
    found = re.search(r'resource_metadata="([^"]+)"', headers["www-authenticate"])
    assert found is not None
    _, _, resource = call(found[1])
    assert resource["resource"] == world.mcp
    (server,) = cast("list[str]", resource["authorization_servers"])
    _, _, metadata = call(f"{server}/.well-known/oauth-authorization-server")
    assert metadata["issuer"] == server
    return str(metadata["token_endpoint"])


@pytest.mark.xdist_group("identity")
def test_agent_of_a_person_sees_that_persons_rows(world: World) -> None:
    endpoint = discovered(world)
    for person, row in (("ada", "canary-eu-four"), ("bob", "canary-us-four")):
        status, _, body = world.exchange(endpoint, world.id_token(person))
        assert status == 200, body
        told = world.rows(str(body["access_token"]))
        assert [note for *_, note in ROWS if note in told] == [row]


@pytest.mark.xdist_group("identity")
def test_wrong_person_wrong_audience_and_forged_tokens_get_nothing(world: World) -> None:
    endpoint = discovered(world)
    good = world.id_token("ada")
    for token in (world.id_token("eve"), world.id_token("ada", "another-app"), good[:-4] + "AAAA", SECRET):
        status, _, body = world.exchange(endpoint, token)
        assert status == 400
        assert "access_token" not in body
        assert "canary" not in json.dumps(body)
    assert world.exchange(endpoint, good)[0] == 200


@pytest.mark.xdist_group("identity")
def test_revoked_token_is_replayed_in_vain_and_no_secret_is_written_anywhere(world: World) -> None:
    endpoint = discovered(world)
    token = str(world.exchange(endpoint, world.id_token("ada"))[2]["access_token"])
    client = {"client_id": "desk", "client_secret": SECRET, "token": token}
    assert call(endpoint.replace("/token", "/introspect"), client)[2]["active"] is True
    assert call(endpoint.replace("/token", "/revoke"), client)[0] == 200
    assert call(endpoint.replace("/token", "/introspect"), client)[2] == {"active": False}
    assert call(world.mcp, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', token)[0] == 401
    written = b"".join(each.read_bytes() for each in world.gateway.folder.rglob("*") if each.is_file())
    for secret in (SECRET, token.rpartition(".")[2]):
        assert secret.encode() not in written
