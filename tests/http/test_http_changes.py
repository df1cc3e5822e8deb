"""What changes under a running gateway, and who is trusted: reloads, requests made again, TLS to an API, delegation.

One gateway in the tests' process, in front of two APIs that are there too: one in the clear, one over TLS.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import ssl
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import pytest

from bailiwick.control.front import ControlFront
from bailiwick.gateway.config import load_config
from bailiwick.gateway.http_client import HttpClient, Origin
from bailiwick.gateway.run import Running, running
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.model.decision import Denial
from bailiwick.model.matcher import Anything, Every, Matcher, Not, Within
from bailiwick.model.session import User
from bailiwick.mounts.http import repeated
from bailiwick.mounts.http.front import HttpFront
from tests.support.certificates import certificate
from tests.support.gateway import accept, prepare_gateway

pytestmark = pytest.mark.xdist_group("http")
SECRET = "CANARY_UPSTREAM_CREDENTIAL0815"
BOT = "bot-secret-canary-4711-0815-abcdef"
PUBLIC = """http: {port: 0, url: "https://Apis.example/"}
api: {port: 0}
clients: {bot: {agent: bot, secret: "${BOT_SECRET}"}}
"""
WIDE = "args: {path.id: {max: 9}}"
POLICY = f"""\
bailiwick: 1
mounts:
  plain:
    kind: http
    url: ${{PLAIN_URL}}
    credential: {{header: {{Authorization: "Bearer ${{API_TOKEN}}"}}}}
    routes:
      GET /items/{{id}}: {{action: items:read, path: {{id: integer}}}}
      POST /items: {{action: items:create, body: {{size: integer}}}}
  trusted:
    kind: http
    url: https://localhost:TLS_PORT
    networks: [127.0.0.0/8, "::1"]
    authority: cert.pem
    credential: {{header: {{Authorization: "Bearer ${{API_TOKEN}}"}}}}
    routes: {{GET /items: {{action: trusted:read}}}}
  misnamed:
    kind: http
    url: https://127.0.0.2:TLS_PORT
    authority: cert.pem
    credential: {{header: {{Authorization: "Bearer ${{API_TOKEN}}"}}}}
    routes: {{GET /items: {{action: misnamed:read}}}}
  unvouched:
    kind: http
    url: https://localhost:TLS_PORT
    networks: [127.0.0.0/8, "::1"]
    credential: {{header: {{Authorization: "Bearer ${{API_TOKEN}}"}}}}
    routes: {{GET /items: {{action: unvouched:read}}}}
roles:
  clerk:
    grants:
      - {{allow: items:read, reason: tests, {WIDE}}}
      - {{allow: items:create, reason: tests, args: {{body.size: {{max: 50}}}}}}
      - {{allow: "trusted:read", reason: tests}}
      - {{allow: "misnamed:read", reason: tests}}
      - {{allow: "unvouched:read", reason: tests}}
  helper:
    grants:
      - {{allow: items:read, reason: tests, args: {{path.id: {{min: 5}}}}, fields: [id]}}
      - {{allow: items:create, reason: tests, args: {{body.size: any}}}}
agents:
  bot: {{owner: team, purpose: tests, roles: [clerk]}}
  sub-bot: {{owner: team, purpose: tests, roles: [helper]}}
"""


@dataclass
class Api:
    """An API of two words: what reached it, and on how many connections."""

    name: str
    port: int = 0
    asked: list[str] = field(default_factory=list[str])
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head)
                length = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length")]
                await reader.readexactly(int(length[0]) if length else 0)
                body = json.dumps({"id": 5, "of": self.name}).encode()
                told = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                writer.write(told % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def serving(api: Api, context: ssl.SSLContext | None = None) -> AsyncGenerator[Api]:
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0, ssl=context)
    api.port = int(server.sockets[0].getsockname()[1])
    also = [await asyncio.start_server(api.serve, "127.0.0.2", api.port, ssl=context)] if context else []
    try:
        yield api
    finally:
        for each in (server, *also):
            each.close()


@dataclass
class Place:
    gateway: Running
    folder: Path
    environ: dict[str, str]
    api: Api
    secure: Api

    async def session(self, agent: str = "bot", parent: Live | None = None) -> Opened:
        asked = Wanted(agent, user=User("ada"), tenant="acorn", opener="tests")
        found = await self.gateway.opener.open(asked if parent is None else Wanted(agent, parent=parent))
        assert isinstance(found, Opened), found
        return found

    async def ask(self, token: str, target: str, method: str = "GET", body: object = None) -> tuple[int, str]:
        """Return the status of a request, and the code of a denial or who answered."""
        client = HttpClient(Origin("http", *self.gateway.addresses()["http"]))
        data = b"" if body is None else json.dumps(body).encode()
        said = [("Content-Type", "application/json")] if data else []
        try:
            answer = await client.send(method, target, [("Authorization", f"Bearer {token}"), *said], data)
            found = bytearray()
            while part := await answer.part():
                found += part
        finally:
            await client.close()
        assert b"CANARY" not in found
        read = cast("dict[str, object]", json.loads(found))
        return answer.status, str(read.get("code", read.get("of", sorted(read))))

    async def change(self, change: Callable[[str], str]) -> None:
        """Put another policy in force, with the lock that it needs."""
        policy = self.folder / "policy.yaml"
        policy.write_text(change(policy.read_text()))
        await asyncio.to_thread(accept, self.folder, self.environ)
        assert self.gateway.reloader is not None
        assert await self.gateway.reloader.reload() is None


@asynccontextmanager
async def place(settings: str = "") -> AsyncGenerator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="bwchange"))
    chain, key = await asyncio.to_thread(certificate, folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    try:
        async with serving(Api("plain")) as api, serving(Api("secure"), context) as secure:
            environ = {"API_TOKEN": SECRET, "BOT_SECRET": BOT, "PLAIN_URL": f"http://127.0.0.1:{api.port}/v2"}
            policy = POLICY.replace("TLS_PORT", str(secure.port))
            await asyncio.to_thread(prepare_gateway, folder, policy, environ, settings)
            if settings:  # `http` stands there once
                written = (folder / "gateway.yaml").read_text().replace("http: {port: 0}\n", "")
                (folder / "gateway.yaml").write_text(written)
            config = load_config(folder / "policy.yaml", environ)
            control = ControlFront(config)
            fronts = [HttpFront(config, lambda: control.url), control]
            async with running(folder / "policy.yaml", config, environ, fronts) as gateway:
                yield Place(gateway, folder, environ, api, secure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_an_api_over_tls_has_to_be_vouched_for_and_to_be_the_one_that_is_named() -> None:
    async with place() as found:
        token = (await found.session()).token
        assert await found.ask(token, "/trusted/items") == (200, "secure")
        for mount in ("misnamed", "unvouched"):
            assert await found.ask(token, f"/{mount}/items") == (502, "backend_unavailable")
        assert len(found.secure.asked) == 1
        for wrong, says in (("key.pem", "has no certificates"), ("nothing.pem", "cannot be read")):
            policy = found.folder / "policy.yaml"
            policy.write_text(policy.read_text().replace("authority: cert.pem", f"authority: {wrong}", 1))
            assert found.gateway.reloader is not None
            assert says in str(await found.gateway.reloader.reload())
            policy.write_text(policy.read_text().replace(wrong, "cert.pem"))
        assert await found.ask(token, "/trusted/items") == (200, "secure")


async def test_what_is_reloaded_holds_for_the_next_request_also_for_one_made_before() -> None:
    async with place() as found, serving(Api("other")) as other:
        token = (await found.session()).token
        for _ in range(3):
            assert await found.ask(token, "/plain/items/5") == (200, "plain")
        assert found.api.connections == 1
        await found.change(lambda text: text.replace(WIDE, "args: {path.id: {max: 4}}"))
        assert await found.ask(token, "/plain/items/5") == (403, "argument_not_granted")
        assert await found.ask(token, "/plain/items/4") == (200, "plain")
        assert found.api.connections == 1  # the mount is the same: so is its connection
        await found.change(lambda text: text.replace("${PLAIN_URL}", f"http://127.0.0.1:{other.port}/v3"))
        assert await found.ask(token, "/plain/items/4") == (200, "other")
        assert other.asked[-1].startswith("GET /v3/items/4 ")
        found.gateway.sessions.registry.closed_mounts["plain"] = Denial("mount_closed", "closed")
        assert await found.ask(token, "/plain/items/4") == (503, "mount_closed")
        del found.gateway.sessions.registry.closed_mounts["plain"]
        assert await found.ask(token, "/plain/items/4") == (200, "other")
        await found.change(lambda text: text.replace("GET /items/{id}: {action", "GET /things/{id}: {action"))
        assert (await found.ask(token, "/plain/items/4"))[0] in (404, 405)
        assert await found.ask(token, "/plain/things/4") == (200, "other")


async def test_a_delegated_session_has_of_routes_what_both_have() -> None:
    async with place() as found:
        parent = await found.session()
        child = await found.session("sub-bot", parent=parent.live)
        alone = await found.session("sub-bot")
        assert (await found.ask(parent.token, "/plain/items/3"))[0] == 200
        assert await found.ask(child.token, "/plain/items/3") == (403, "argument_not_granted")
        assert await found.ask(child.token, "/plain/items/10") == (403, "argument_not_granted")
        assert await found.ask(alone.token, "/plain/items/10") == (200, "['id']")
        for _ in range(2):
            assert await found.ask(child.token, "/plain/items/5") == (200, "['id']")
        assert await found.ask(child.token, "/plain/items", "POST", {"size": 51}) == (403, "argument_not_granted")
        assert await found.ask(child.token, "/plain/items", "POST", {"size": 50}) == (200, "plain")
        assert await found.ask(child.token, "/trusted/items") == (404, "resource_unknown")
        await found.gateway.sessions.end(parent.live.session.id, "REVOKED", "over", "tests")
        assert await found.ask(child.token, "/plain/items/5") == (401, "session_closed")
        assert (await found.ask(alone.token, "/plain/items/5"))[0] == 200


async def test_behind_a_proxy_everything_leads_to_the_public_url() -> None:
    async with place(PUBLIC) as found:
        addresses = found.gateway.addresses()
        assert [front.url for front in found.gateway.fronts if isinstance(front, HttpFront)] == ["https://apis.example"]

        def get(target: str, host: str) -> tuple[int, str, dict[str, object]]:
            connection = http.client.HTTPConnection(*addresses["http"], timeout=60)
            connection.request("GET", target, headers={"Host": host})
            answer = connection.getresponse()
            told = (answer.status, answer.getheader("www-authenticate", ""), json.loads(answer.read()))
            connection.close()
            return told

        well_known = "/.well-known/oauth-protected-resource/plain"
        status, challenge, _ = await asyncio.to_thread(get, "/plain/items/5", "apis.example")
        assert (status, f'resource_metadata="https://apis.example{well_known}"' in challenge) == (401, True)
        assert (await asyncio.to_thread(get, "/plain/items/5", "other.example"))[0] == 403
        metadata = (await asyncio.to_thread(get, well_known, "apis.example"))[2]
        assert metadata["resource"] == "https://apis.example/plain"

        client = HttpClient(Origin("http", *addresses["api"]))
        said = {"grant_type": "client_credentials", "client_id": "bot", "client_secret": BOT}
        for resource, expected in (("https://apis.example/plain", 200), ("https://other.example/plain", 400)):
            form = urlencode({**said, "resource": resource}).encode()
            kind = [("Content-Type", "application/x-www-form-urlencoded")]
            answer = await client.send("POST", "/oauth/token", kind, form)
            assert answer.status == expected
            answer.close()
        await client.close()


@pytest.mark.parametrize(
    ("matcher", "kept"),
    [
        (Anything(), True),
        (Every((Anything(), Not(Anything()))), True),
        (Within(timedelta(days=1)), False),
        (Not(Within(timedelta(days=1))), False),
        (Every((Anything(), Not(Within(timedelta(days=1))))), False),
    ],
)
def test_what_hangs_on_the_clock_is_decided_each_time(matcher: Matcher, *, kept: bool) -> None:
    assert repeated.is_timeless([matcher]) is kept
