"""How fast and how exactly requests are charged: four limits at once, in memory and by Redis.

    python bench/limits.py [--quick] [--write]

One round is a reservation of four budgets (actions in a minute and in a day, rows in an hour, what runs at once) and
its settlement. 64 callers at once then ask for more than is allowed: exactly what is allowed must be let through.
Redis runs on this machine, without persistence; its figures hold its client and the loop-back network.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from common import Report, machine, record

from bailiwick.gateway.limits.counting import microseconds
from bailiwick.gateway.limits.limits import LimitStore
from bailiwick.gateway.limits.memory import MemoryStore, Reserved
from bailiwick.gateway.limits.redis import RedisStore
from bailiwick.model.budget import Budget, Full, Used, Want

CALLERS = 64
ALLOWED = 500


def four(name: str, actions: int) -> tuple[Want, ...]:
    """Return what one request wants of four budgets."""
    minute, hour, day = 60_000_000, 3_600_000_000, 86_400_000_000
    return (
        Want(Budget(f"{name}:a", "actions", actions, minute, "bench"), take=1),
        Want(Budget(f"{name}:d", "actions", 10**12, day, "bench"), take=1),
        Want(Budget(f"{name}:r", "rows", 10**12, hour, "bench")),
        Want(Budget(f"{name}:c", "concurrent", 10**6, None, "bench"), hold=1),
    )


def _nobody(_: object) -> None:
    """Nobody is told of what is crossed."""


def in_memory(rounds: int) -> list[float]:
    """Return the seconds of each round in memory."""
    store, wanted, used = MemoryStore(microseconds), four("memory", 10**12), Used(rows=5, bytes=500)
    found: list[Reserved] = []

    def done(answer: Reserved | Full | None) -> None:
        if isinstance(answer, Reserved):
            found.append(answer)

    spent: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        store.reserve(wanted, done)
        store.settle(found.pop(), used, _nobody)
        spent.append(time.perf_counter() - began)
    return spent


async def asked(store: LimitStore, wanted: tuple[Want, ...]) -> Reserved | Full | None:
    """Reserve, and wait for the answer."""
    answer: asyncio.Future[Reserved | Full | None] = asyncio.get_running_loop().create_future()
    store.reserve(wanted, answer.set_result)
    return await answer


async def by_redis(store: LimitStore, rounds: int) -> list[float]:
    """Return the seconds of each reservation, one after the other; the settlements follow by themselves."""
    wanted, spent = four("redis", 10**12), list[float]()
    for _ in range(rounds):
        began = time.perf_counter()
        answer = await asked(store, wanted)
        spent.append(time.perf_counter() - began)
        if isinstance(answer, Reserved):
            store.settle(answer, Used(rows=5), _nobody)
        await store.levels(())
    return spent


async def at_once(store: LimitStore) -> tuple[int, float]:
    """Have 64 callers ask for twice what is allowed; return how many were let through, and requests a second."""
    wanted, tries, through = four("exact", ALLOWED), 2 * ALLOWED // CALLERS, 0

    async def caller() -> None:
        nonlocal through
        for _ in range(tries):
            answer = await asked(store, wanted)
            if isinstance(answer, Reserved):
                through += 1
                await asyncio.sleep(0)
                store.settle(answer, Used(rows=1), _nobody)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return through, tries * CALLERS / (time.perf_counter() - began)


@contextmanager
def redis() -> Generator[str]:
    """Run a Redis of our own; yield its URL."""
    found = shutil.which("redis-server", path=f"{Path(sys.prefix) / 'bin'}:/usr/bin:/usr/local/bin")
    if found is None:
        raise SystemExit("redis-server is not installed: run scripts/setup dev")
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port: int = plug.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen([found, *options], stdout=subprocess.DEVNULL)  # noqa: S603  # ours
        try:
            for _ in range(600):
                with socket.socket() as plug:
                    if plug.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()


def told(report: Report, name: str, spent: list[float], most_us: float | None) -> None:
    """Report the median, the 99th percentile and the rate of rounds."""
    ordered = sorted(spent)
    report.line(f"{name}, median", ordered[len(ordered) // 2] * 1e6, "µs", most_us, most=True)
    report.line(f"{name}, p99", ordered[len(ordered) * 99 // 100] * 1e6, "µs")
    report.line(f"{name}, a second", len(spent) / sum(spent), "")


async def measured(report: Report, url: str, rounds: int) -> None:
    """Measure Redis, and 64 callers at once on both."""
    store = RedisStore(url)
    await store.start()
    told(report, "four limits reserved by Redis", await by_redis(store, rounds), None)
    stores: tuple[tuple[str, LimitStore], ...] = (("memory", MemoryStore(microseconds)), ("Redis", store))
    for name, each in stores:
        through, rate = await at_once(each)
        report.line(f"64 callers at once, {name}: let through of {ALLOWED} allowed", through, "", ALLOWED)
        report.short |= through != ALLOWED
        report.line(f"64 callers at once, {name}: answered a second", rate, "")
    await store.stop()


def main() -> None:
    """Measure and report; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    given = parser.parse_args()
    report = Report()
    report.say(machine())
    in_memory(2000)
    spent = in_memory(20_000 if given.quick else 200_000)
    told(report, "four limits reserved and settled in memory", spent, 10)
    with redis() as url:
        asyncio.run(measured(report, url, 500 if given.quick else 5000))
    if given.write:
        record("limits", report)
    sys.exit(1 if report.short else 0)


if __name__ == "__main__":
    main()
