"""How much the gateway costs in front of an MCP server: `tools/call` through it, directly, and through the gateways of
others (ContextForge, a fastmcp proxy); and filtering a result.

    python bench/mcp.py [--quick] [--seconds N] [--rounds N] [--alone] [--write]

All ways are taken in turns in one run; figures are medians of rounds. Policy, session and the durable ledger are on,
as a user gets them. Exits 1 when a target is missed. The first run installs the others, which takes minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]
# At the end: `bench/http.py` is not to stand for the standard library's `http`.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

from common import Report, machine, median, record  # noqa: E402  # the path is set above
from mcp_peers import MissingError, contextforge, fastmcp  # noqa: E402  # the path is set above

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


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the server."""

    name: str
    port: int
    token: str = ""
    path: str = "/mcp"
    tool: str = "echo"

    @property
    def request(self) -> bytes:
        """Return the bytes of one call."""
        params = {"name": self.tool, "arguments": {"text": "x" * 64}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json"]
        lines += ["Accept: application/json, text/event-stream", "MCP-Protocol-Version: 2025-11-25"]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _calls(way: Way, seconds: float) -> list[float]:
    """Make calls over one connection for a while; return the seconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    request, spent = way.request, list[float]()
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        spent.append(time.perf_counter() - began)
        if b" 200 " not in head[:16] or b'"isError":true' in body or b"xxx" not in body:
            raise RuntimeError(f"{way.name} refused a call: {body[:300]!r}")
    writer.close()
    return spent


async def _round(way: Way, clients: int, seconds: float) -> Figures:
    """Return p50 and p99 in milliseconds, and calls a second."""
    began = time.perf_counter()
    found = await asyncio.gather(*(_calls(way, seconds) for _ in range(clients)))
    passed = time.perf_counter() - began
    every = sorted(value for each in found for value in each)
    return every[len(every) // 2] * 1000, every[int(len(every) * 0.99)] * 1000, len(every) / passed


Figures = tuple[float, float, float]
CLIENTS = (1, 32)


def calls(report: Report, ways: Sequence[Way], rounds: int, seconds: float) -> None:
    """Measure calls at 1 and at 32 clients, one way after the other in every round."""
    figures: dict[tuple[str, int], list[Figures]] = {}
    for way in ways:
        asyncio.run(_round(way, 1, 0.3))  # opens what is opened once
    for _ in range(rounds):
        for clients in CLIENTS:
            for way in ways:
                figures.setdefault((way.name, clients), []).append(asyncio.run(_round(way, clients, seconds)))
    middle = {
        key: tuple(median([each[place] for each in found]) for place in range(3)) for key, found in figures.items()
    }
    report.say("")
    report.say("| tools/call | clients | p50 ms | p99 ms | added p50 ms | added p99 ms | calls/s |")
    report.say("|---|---|---|---|---|---|---|")
    for (name, clients), (p50, p99, rate) in middle.items():
        before = middle["direct", clients]
        cells = (f"{each:.3g}" for each in (p50, p99, p50 - before[0], p99 - before[1]))
        report.say(f"| {name} | {clients} | {' | '.join(cells)} | {rate:,.0f} |")
    report.say("")
    targets(report, middle)


def targets(report: Report, middle: Mapping[tuple[str, int], tuple[float, ...]]) -> None:
    """Compare with what is aimed at."""
    for clients in CLIENTS:
        direct, gateway = middle["direct", clients], middle["gateway", clients]
        target = 1.0 if clients == 1 else None
        report.line(f"added p50, {clients} clients", gateway[0] - direct[0], "ms", target, most=True)
        report.line(f"added p99, {clients} clients", gateway[1] - direct[1], "ms")
        for name, least in (("ContextForge", 5.0), ("fastmcp proxy", None)):
            other = middle.get((name, clients))
            if other is not None:
                report.line(f"calls/s, gateway / {name}, {clients} clients", gateway[2] / other[2], "", least)


def others(report: Report, stack: ExitStack, port: int) -> Generator[Way]:
    """Yield the ways through the gateways of others that can be had here."""
    for run in (contextforge, fastmcp):
        try:
            peer = stack.enter_context(run(port))
        except MissingError as error:
            report.say(f"not compared with {run.__name__}: {error}")
        else:
            yield Way(peer.name, peer.port, peer.token, peer.path, peer.tool)


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
    options.add_argument("--quick", action="store_true", help="one short round: under 40 seconds once set up")
    options.add_argument("--seconds", type=float, default=2.0, help="of each way in each round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--alone", action="store_true", help="without the gateways of others")
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    rounds, seconds = (1, 0.7) if chosen.quick else (int(chosen.rounds), float(chosen.seconds))
    report = Report()
    report.say(machine())
    with ExitStack() as stack:
        port = stack.enter_context(upstream())
        ways = [Way("direct", port)] + ([] if chosen.alone else list(others(report, stack, port)))
        gateway = stack.enter_context(running_gateway(POLICY.replace("PORT", str(port)), {}))
        ways.insert(1, Way("gateway", gateway.mcp_port, gateway.open_session("bench-bot").token))
        calls(report, ways, rounds, seconds)
    filtering(report, max(rounds, 3))
    if chosen.write:
        record("mcp", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
