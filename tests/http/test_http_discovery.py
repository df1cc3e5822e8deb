"""How clients of APIs find out where tokens are to be had, and get one for just one API (RFC 9728, RFC 8707)."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlencode, urlsplit

import pytest

from tests.http.conftest import API, Reply, listens
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.postgres import free_port

pytestmark = pytest.mark.xdist_group("http")
CLIENT = "client-secret-canary-0815-4711-abcdef"
POLICY = """
bailiwick: 1
mounts:
  billing:
    kind: http
    url: http://127.0.0.1:PORT/v2
    routes: {GET /plain: {action: plain:read}}
  sales:
    kind: http
    url: http://127.0.0.1:PORT/v2
    routes: {GET /plain: {action: sales:read}}
roles:
  reader:
    grants:
      - {allow: plain:read, reason: tests}
      - {allow: sales:read, reason: tests}
agents:
  bot: {owner: team, purpose: tests, roles: [reader]}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The gateway, and how it is asked."""

    gateway: RunningGateway

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.gateway.http_port}"

    def get(self, url: str, token: str = "") -> Reply:
        return ask("GET", url, None, {"Authorization": f"Bearer {token}"} if token else {})

    def token(self, resource: str) -> Reply:
        form = {"grant_type": "client_credentials", "client_id": "bot", "client_secret": CLIENT, "resource": resource}
        url = f"http://127.0.0.1:{self.gateway.api_port}/oauth/token"
        return ask("POST", url, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"})


def ask(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    try:
        connection.request(method, parts.path, body, dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    port = free_port()
    api = subprocess.Popen([sys.executable, API, str(port), str(tmp_path_factory.mktemp("api") / "reached")])
    settings = 'api: {port: 0}\nclients: {bot: {agent: bot, secret: "${BOT_SECRET}"}}\n'
    try:
        listens(port)
        with running_gateway(POLICY.replace("PORT", str(port)), {"BOT_SECRET": CLIENT}, settings) as gateway:
            yield Place(gateway)
    finally:
        api.kill()
        api.wait(30)


def led_to(reply: Reply) -> str:
    assert reply.status == 401, reply
    found = re.search(r'resource_metadata="([^"]+)"', reply.headers["www-authenticate"])
    assert found is not None, reply
    return found[1]


def test_a_client_without_a_token_finds_one_for_just_this_api(place: Place) -> None:
    metadata = place.get(led_to(place.get(f"{place.root}/billing/plain")))
    assert metadata.status == 200
    assert metadata.json["resource"] == f"{place.root}/billing"
    assert metadata.json["authorization_servers"] == [f"http://127.0.0.1:{place.gateway.api_port}"]
    issued = place.token(str(metadata.json["resource"]))
    assert issued.status == 200, issued
    (granted,) = cast("list[dict[str, object]]", issued.json["authorization_details"])
    assert granted["mounts"] == ["billing"]
    token = str(issued.json["access_token"])
    assert place.get(f"{place.root}/billing/plain", token).status == 200
    assert place.get(f"{place.root}/sales/plain", token).status == 404


def test_a_token_that_does_not_count_leads_there_too(place: Place) -> None:
    url = f"{place.root}/.well-known/oauth-protected-resource/sales"
    assert led_to(place.get(f"{place.root}/sales/plain", "nobody")) == url
    session = place.gateway.open_session("bot")
    assert place.get(f"{place.root}/sales/plain", session.token).status == 200
    place.gateway.revoke(session)
    assert led_to(place.get(f"{place.root}/sales/plain", session.token)) == url


def test_nobody_learns_which_mounts_there_are(place: Place) -> None:
    known, unknown = (place.get(f"{place.root}/{name}/plain") for name in ("sales", "vault"))
    assert known.body == unknown.body
    assert led_to(known).replace("sales", "vault") == led_to(unknown)
    told = [place.get(led_to(each)) for each in (known, unknown)]
    assert json.loads(told[0].body.replace(b"sales", b"vault")) == told[1].json
    refused = place.token(f"{place.root}/vault")
    assert (refused.status, refused.json["error"]) == (400, "invalid_target")


@pytest.mark.parametrize("path", ["", "/", "/billing/plain", "/a%22b", "/..", "x"])
def test_nothing_else_is_there_without_a_token(place: Place, path: str) -> None:
    reply = place.get(f"{place.root}/.well-known/oauth-protected-resource{path}")
    assert reply.status in (400, 401), reply
    assert "resource_metadata" not in reply.headers.get("www-authenticate", "")
    assert b"authorization_servers" not in reply.body
