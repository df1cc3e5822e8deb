"""How much the gateway costs in front of an HTTP API, and what two proxies cost that decide nothing, in one run.

    python bench/http.py [--quick] [--requests N] [--rounds N] [--write]

All ways are taken in turns; figures are medians of rounds. Policy, session, masks and the durable ledger are on, as a
user gets them. CPU is what the system charged the process. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# At the end: this file is not to stand for the standard library's `http`.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

from common import Report, machine, median, record  # noqa: E402  # the path is set above
from http_peers import command  # noqa: E402  # the path is set above
from mcp_peers import MissingError  # noqa: E402  # the path is set above

from tests.support.gateway import running_gateway  # noqa: E402  # the path is set above
from tests.support.postgres import free_port  # noqa: E402  # the path is set above

POLICY = """
bailiwick: 1
mounts:
  bench:
    kind: http
    url: http://127.0.0.1:PORT
    credential: {header: {Authorization: "Bearer ${BENCH_TOKEN}"}}
    routes:
      GET /items/{id}: {action: items:read, path: {id: integer}}
roles:
  caller:
    grants:
      - allow: items:read
        reason: measured
        args: {path.id: {min: 1, max: 100}}
        fields: [id, name, email, lines.sku, lines.amount]
        mask: {email: partial}
agents:
  bench-bot: {owner: bench, purpose: is measured, roles: [caller]}
"""
_tick = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the API."""

    name: str
    port: int
    process: int
    path: str = "/items/5"
    token: str = ""

    @property
    def request(self) -> bytes:
        """Return the bytes of one request."""
        lines = [f"GET {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Accept: application/json"]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        return "\r\n".join([*lines, "", ""]).encode()

    def spent(self) -> float:
        """Return the microseconds of CPU that its process has had."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _tick


async def _requests(way: Way, count: int) -> list[float]:
    """Send requests over one connection; return the seconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    request, spent = way.request, list[float]()
    for _ in range(count):
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        spent.append(time.perf_counter() - began)
        if b" 200 " not in head[:16] or b"Ada" not in body or (way.token and b"Lovelace@" in body):
            raise RuntimeError(f"{way.name} refused a request: {head + body[:300]!r}")
    writer.close()
    return spent


async def _round(way: Way, clients: int, count: int) -> tuple[float, float, float, float]:
    """Return p50 and p99 in milliseconds, requests a second, and microseconds of CPU a request."""
    before, began = way.spent(), time.perf_counter()
    found = await asyncio.gather(*(_requests(way, count) for _ in range(clients)))
    passed, used = time.perf_counter() - began, way.spent() - before
    every = sorted(value for each in found for value in each)
    size = len(every)
    return every[size // 2] * 1000, every[int(size * 0.99)] * 1000, size / passed, used / size


def measure(report: Report, ways: tuple[Way, ...], rounds: int, count: int) -> None:
    """Measure at 1 and at 32 clients, one way after the other in every round."""
    figures: dict[tuple[str, int], list[tuple[float, float, float, float]]] = {}
    for way in ways:
        asyncio.run(_round(way, 2, 50))  # opens what is opened once
    for _ in range(rounds):
        for clients in (1, 32):
            for way in ways:
                each = asyncio.run(_round(way, clients, max(count // clients, 20)))
                figures.setdefault((way.name, clients), []).append(each)
    middle = {key: [median([each[place] for each in found]) for place in range(4)] for key, found in figures.items()}
    report.say("")
    report.say("| GET of 0.6 kB of JSON | p50 ms | p99 ms | requests/s | CPU µs a request |")
    report.say("|---|---|---|---|---|")
    for (name, clients), (p50, p99, rate, cpu) in middle.items():
        report.say(f"| {name}, {clients} clients | {p50:.3g} | {p99:.3g} | {rate:,.0f} | {cpu:,.0f} |")
    report.say("")
    proxies = [way.name for way in ways if way.name not in ("direct", "gateway")]
    for clients in (1, 32):
        added = middle["gateway", clients][0] - middle["direct", clients][0]
        report.line(f"added p50, {clients} clients", added, "ms")
        for name in proxies:
            over = middle[name, clients][0] - middle["direct", clients][0]
            report.line(f"added p50 of {name}, {clients} clients", over, "ms")
    for name in proxies:
        rate = middle["gateway", 32][2] / middle[name, 32][2]
        report.line(f"requests a second, gateway / {name} proxy", rate, "", 1.0 if name == "aiohttp" else None)


@contextmanager
def peer(kind: str, api: int) -> Generator[tuple[int, int]]:
    """Run one of the peers; give its port and its process. Raises MissingError."""
    port = free_port()
    process = subprocess.Popen(command(kind, port, api))  # noqa: S603  # our own
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port, process.pid
    finally:
        process.kill()
        process.wait(30)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round: under 40 seconds")
    options.add_argument("--requests", type=int, default=4000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    rounds, count = (1, 1000) if chosen.quick else (int(chosen.rounds), int(chosen.requests))
    report = Report()
    report.say(machine())
    with ExitStack() as stack:
        api, api_process = stack.enter_context(peer("api", 0))
        proxies: list[Way] = []
        for name, kind in _PROXIES:
            try:
                proxies.append(Way(name, *stack.enter_context(peer(kind, api))))
            except MissingError as error:
                report.say(f"{name}: left out: {error}")
        secret = {"BENCH_TOKEN": "only-the-gateway-has-it"}
        gateway = stack.enter_context(running_gateway(POLICY.replace("PORT", str(api)), secret))
        process = gateway.process.pid if gateway.process else 0
        token = gateway.open_session("bench-bot").token
        through = Way("gateway", gateway.http_port, process, "/bench/items/5", token)
        measure(report, (Way("direct", api, api_process), *proxies, through), rounds, count)
    if chosen.write:
        record("http", report)
    return 1 if report.short else 0


_PROXIES = (("aiohttp", "aiohttp"), ("raw ASGI", "asgi"))

if __name__ == "__main__":
    sys.exit(main())
