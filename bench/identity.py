"""What identity costs: the check of a session on the data path, token exchange, and introspection.

    python bench/identity.py [--quick] [--write]

The check is what every request begins with: the client of its token is looked up, and its session asked whether it may
still act (ended, expired, idle, suspended, out of hours, and the same of those that delegated to it). Exchange and
introspection are asked of a gateway's process over HTTP, by clients at once that keep their connections; the issuer's
keys are fetched once. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
# At the end: `http.py` beside this file is not to stand for the standard library's `http`.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: E402  # the path is set above

from common import Report, machine, median, record  # noqa: E402  # the path is set above
from joserfc import jwt  # noqa: E402  # the path is set above
from joserfc.jwk import RSAKey  # noqa: E402  # the path is set above

from bailiwick.gateway.sessions.opening import Opened, Wanted  # noqa: E402  # the path is set above
from bailiwick.match.masks import keyed_digest  # noqa: E402  # the path is set above
from bailiwick.model.decision import Denial  # noqa: E402  # the path is set above
from bailiwick.mounts.http.apis import Apis  # noqa: E402  # the path is set above
from bailiwick.mounts.http.clients import Clients  # noqa: E402  # the path is set above
from bailiwick.mounts.http.exchange import Terms  # noqa: E402  # the path is set above
from tests.gateway.gateway_rig import Hand, make_rig  # noqa: E402  # the path is set above
from tests.support.gateway import running_gateway  # noqa: E402  # the path is set above

CHECKED = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources: {tickets: {table: public.tickets, key: ticket_id}}
roles:
  reader: {grants: [{allow: tickets:read, reason: measured}]}
agents:
  bench-bot:
    owner: bench
    purpose: is measured
    roles: [reader]
    session: {ttl: 30m, idle: 20m, hours: "Mon-Sun 00:00-24:00 Europe/Berlin"}
"""
ASKED = """
bailiwick: 1
mounts:
  shop:
    kind: sql
    engine: sqlite
    file: FILE
    resources: {orders: {table: orders, key: order_id, tenant: tenant_id}}
roles:
  support:
    grants:
      - {allow: orders:read, reason: measured, rows: {region: $user.region}}
agents:
  desk-bot: {owner: bench, purpose: is measured, roles: [support]}
tasks:
  look: {agents: [desk-bot], users: {groups: [support]}}
"""
SECRET = "only-for-this-benchmark-0815-4711"  # noqa: S105  # of a gateway that lives for seconds
MOST_US = 20.0
CLIENTS = (1, 8)


class Now(Hand):
    """The clock that gateways have."""

    def __call__(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)


async def checks(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each check: of a session of its own, and of one that was delegated twice."""
    rig = await make_rig(folder, CHECKED, Now())
    clients = Clients(rig.gateway, Apis(), Terms(30.0, 1000, keyed_digest(b"0" * 32)))
    found: dict[str, list[float]] = {}
    opened = await _opened(rig.opener.open(Wanted("bench-bot", None)))
    for depth in range(3):
        if depth:
            opened = await _opened(rig.opener.open(Wanted("bench-bot", None, parent=opened.live)))
        admitted = await clients.admit(opened.token, "127.0.0.1:1")
        if isinstance(admitted, Denial):
            raise TypeError(f"the session was refused: {admitted.message}")
        found["delegated twice" if depth else "of its own"] = _checked(clients, opened.token, rounds)
    await clients.close()
    await rig.sessions.stop()
    await rig.state.close()
    return found


async def _opened(opening: object) -> Opened:
    answer = await cast("asyncio.Future[Opened | Denial]", opening)
    if isinstance(answer, Denial):
        raise TypeError(f"no session: {answer.message}")
    return answer


def _checked(clients: Clients, token: str, rounds: int) -> list[float]:
    spent: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        client = clients.known(token)
        denial = None if client is None else client.live.blocked()
        spent.append(time.perf_counter() - began)
        if client is None or denial is not None:
            raise RuntimeError("the session was refused")
    return spent


@contextmanager
def issuer(key: RSAKey) -> Generator[str]:
    """Publish the key of an issuer; give the issuer's URL."""

    class Published(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {"keys": [key.as_dict(private=False)]} if self.path == "/jwks" else named
            data = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Published) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        named = {"issuer": url, "jwks_uri": f"{url}/jwks"}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield url
        server.shutdown()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, as often as it is wanted."""

    port: int
    path: str
    form: dict[str, str]
    shows: bytes
    """What stands in every answer to it."""

    @property
    def request(self) -> bytes:
        """Return its bytes."""
        body = urlencode({**self.form, "client_id": "desk", "client_secret": SECRET}).encode()
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


async def _asked(ask: Ask, count: int) -> list[bytes]:
    """Ask over one connection; return the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ask.port)
    request, answers = ask.request, list[bytes]()
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answers.append(await reader.readexactly(length))
        if b" 200 " not in head[:16] or ask.shows not in answers[-1]:
            raise RuntimeError(f"{ask.path} refused a request: {head + answers[-1][:300]!r}")
    writer.close()
    return answers


async def rate(ask: Ask, clients: int, count: int) -> float:
    """Return the answers a second to clients at once."""
    began = time.perf_counter()
    await asyncio.gather(*(_asked(ask, count // clients) for _ in range(clients)))
    return count // clients * clients / (time.perf_counter() - began)


def endpoints(report: Report, rounds: int, count: int) -> None:
    """Measure exchange and introspection of a gateway's process."""
    key = RSAKey.generate_key(2048, {"kid": "bench"})
    with tempfile.TemporaryDirectory() as folder, issuer(key) as url:
        file = Path(folder) / "shop.db"
        with closing(sqlite3.connect(file)) as shop, shop:
            shop.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, tenant_id INTEGER, region TEXT)")
        settings = f"""
api: {{port: 0}}
sessions: {{max_open: 1000000}}
issuers:
  login: {{issuer: "{url}", audience: bench, tenant: tenant, claims: [region]}}
clients:
  desk: {{opens: [desk-bot], secret: "${{DESK_SECRET}}"}}
"""
        with running_gateway(ASKED.replace("FILE", str(file)), {"DESK_SECRET": SECRET}, settings) as gateway:
            exchange = Ask(gateway.api_port, "/oauth/token", _exchange(key, url), b"access_token")
            (answer,) = asyncio.run(_asked(exchange, 1))
            token = str(cast("dict[str, object]", json.loads(answer))["access_token"])
            introspect = Ask(gateway.api_port, "/oauth/introspect", {"token": token}, b'"active":true')
            told = {"token exchange": exchange, "introspection": introspect}
            for name, ask in told.items():
                for clients in CLIENTS:
                    each = [asyncio.run(rate(ask, clients, count)) for _ in range(rounds)]
                    report.line(f"{name}, {clients} clients, a second", median(each), "")


def _exchange(key: RSAKey, url: str) -> dict[str, str]:
    now = int(time.time())
    person = {"groups": ["support"], "region": "EU", "tenant": 4}
    claims = {"iss": url, "aud": "bench", "sub": "ada", "iat": now, "exp": now + 3600, **person}
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": jwt.encode({"alg": "RS256", "kid": "bench"}, claims, key),
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "authorization_details": '[{"type": "bailiwick_session", "agent": "desk-bot", "task": "look"}]',
    }


def told_of_checks(report: Report, name: str, spent: Sequence[float]) -> None:
    """Report the median and the 99th percentile of checks."""
    ordered = sorted(spent)
    report.line(f"session check, {name}, median", ordered[len(ordered) // 2] * 1e6, "µs", MOST_US, most=True)
    report.line(f"session check, {name}, p99", ordered[len(ordered) * 99 // 100] * 1e6, "µs")


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round: under 40 seconds")
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    report = Report()
    report.say(machine())
    with tempfile.TemporaryDirectory() as folder:
        for name, spent in asyncio.run(checks(Path(folder), 20_000 if chosen.quick else 200_000)).items():
            told_of_checks(report, name, spent)
    endpoints(report, *((1, 200) if chosen.quick else (5, 800)))
    if chosen.write:
        record("identity", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
