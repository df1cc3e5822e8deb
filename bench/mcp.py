"""How much the gateway costs in front of an MCP server: `tools/call` through it and directly, and filtering a result.

    python bench/mcp.py [--quick] [--calls N] [--rounds N] [--write]

Both ways are taken in turns in one run; figures are medians of rounds. Policy, session and the durable ledger are on,
as a user gets them. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from common import Report, machine, median, record  # noqa: E402  # the path is set above

from bailiwick.decide.results import View  # noqa: E402  # the path is set above
from bailiwick.model.mask import Mask  # noqa: E402  # the path is set above
from bailiwick.model.matcher import Equal  # noqa: E402  # the path is set above
from bailiwick.model.scope import CallGrant  # noqa: E402  # the path is set above
from bailiwick.mounts.mcp.contents import Sight  # noqa: E402  # the path is set above
from bailiwick.mounts.mcp.message import read_faithfully, write  # noqa: E402  # the path is set above
from bailiwick.mounts.mcp.replies import looked_at  # noqa: E402  # the path is set above
from tests.support.gateway import running_gateway  # noqa: E402  # the path is set above
from tests.support.postgres import free_port  # noqa: E402  # the path is set above

POLICY = """
bailiwick: 1
mounts:
  bench:
    kind: mcp
    url: http://127.0.0.1:PORT/mcp
    tools:
      echo: {action: words:read}
roles:
  caller:
    grants:
      - {allow: words:read, reason: measured, args: any}
agents:
  bench-bot: {owner: bench, purpose: is measured, roles: [caller]}
"""
CALL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x" * 64}}}
).encode()


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the server."""

    name: str
    port: int
    token: str = ""

    @property
    def request(self) -> bytes:
        """Return the bytes of one call."""
        lines = ["POST /mcp HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json"]
        lines += ["Accept: application/json, text/event-stream", "MCP-Protocol-Version: 2025-11-25"]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        return "\r\n".join([*lines, f"Content-Length: {len(CALL)}", "", ""]).encode() + CALL


async def _calls(way: Way, count: int) -> list[float]:
    """Make calls over one connection; return the seconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    request, spent = way.request, list[float]()
    for _ in range(count):
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        spent.append(time.perf_counter() - began)
        if b" 200 " not in head[:16] or b'"isError":true' in body:
            raise RuntimeError(f"{way.name} refused a call: {body[:300]!r}")
    writer.close()
    return spent


async def _round(way: Way, clients: int, count: int) -> tuple[float, float, float]:
    """Return p50 and p99 in milliseconds, and calls a second."""
    began = time.perf_counter()
    found = await asyncio.gather(*(_calls(way, count) for _ in range(clients)))
    passed = time.perf_counter() - began
    every = sorted(value for each in found for value in each)
    return every[len(every) // 2] * 1000, every[int(len(every) * 0.99)] * 1000, len(every) / passed


def calls(report: Report, ways: tuple[Way, ...], rounds: int, count: int) -> None:
    """Measure calls at 1 and at 32 clients, one way after the other in every round."""
    figures: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for way in ways:
        asyncio.run(_round(way, 1, 20))  # opens what is opened once
    for _ in range(rounds):
        for clients in (1, 32):
            for way in ways:
                each = asyncio.run(_round(way, clients, max(count // clients, 20)))
                figures.setdefault((way.name, clients), []).append(each)
    report.say("")
    report.say("| tools/call | p50 ms | p99 ms | calls/s |")
    report.say("|---|---|---|---|")
    middle: Mapping[tuple[str, int], tuple[float, ...]] = {
        key: tuple(median([each[place] for each in found]) for place in range(3)) for key, found in figures.items()
    }
    for (name, clients), (p50, p99, rate) in middle.items():
        report.say(f"| {name}, {clients} clients | {p50:.3g} | {p99:.3g} | {rate:,.0f} |")
    report.say("")
    for clients in (1, 32):
        direct, gateway = middle["direct", clients], middle["gateway", clients]
        target = 1.0 if clients == 1 else None
        report.line(f"added p50, {clients} clients", gateway[0] - direct[0], "ms", target, most=True)
        report.line(f"added p99, {clients} clients", gateway[1] - direct[1], "ms")


def _large() -> dict[str, object]:
    """Return a result of one megabyte: items of which every second one is in scope."""
    person = {"email": "ada.lovelace@mail.example", "name": "Ada Lovelace", "phone": "+44 20 7946 0958"}
    items = [
        {"id": number, "team": number % 2, "title": f"ticket {number}", "body": "words " * 20, "author": dict(person)}
        for number in range(3700)
    ]
    return {"structuredContent": {"items": items, "total": len(items)}}


def filtering(report: Report, rounds: int) -> None:
    """Measure what filtering and masking a result of one megabyte takes, with reading and writing it."""
    fields = ("id", "title", "body", "author.email", "author.name")
    grant = CallGrant("g", {}, items={"team": Equal(1)}, fields=fields, masks={"author.email": Mask("partial")})
    view, data = View(("items",), (grant,)), write(_large())
    sight = Sight(view, lambda _: None, datetime.now(UTC), lambda text: text, lambda _: False)
    spent: list[float] = []
    kept = 0
    for _ in range(rounds * 5):
        began = time.process_time()
        result = cast("dict[str, object]", read_faithfully(data))
        looked = looked_at(sight, result)
        write(looked.result)
        spent.append(time.process_time() - began)
        kept = looked.items or 0
    report.say("")
    report.line(
        f"filter and mask {len(data) / 1e6:.2f} MB, {kept:,} items kept", median(spent) * 1000, "ms", 15, most=True
    )


@contextmanager
def upstream() -> Generator[int]:
    """Run the server behind; give its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "bench/mcp_upstream.py"), str(port)])  # noqa: S603  # our own
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait(30)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round: under 40 seconds")
    options.add_argument("--calls", type=int, default=3000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    rounds, count = (1, 500) if chosen.quick else (int(chosen.rounds), int(chosen.calls))
    report = Report()
    report.say(machine())
    with upstream() as port, running_gateway(POLICY.replace("PORT", str(port)), {}) as gateway:
        through = Way("gateway", gateway.mcp_port, gateway.open_session("bench-bot").token)
        calls(report, (Way("direct", port), through), rounds, count)
    filtering(report, max(rounds, 3))
    if chosen.write:
        record(ROOT / "docs" / "benchmarks.md", "mcp", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
