"""What the ledger costs, and how quick it answers.

    python bench/ledger.py [--quick] [--records 10000000] [--write]

Appends: 32 callers that each wait until their record is durable, through the gateway's own writer, into a file and
into PostgreSQL (that of the tests, with `fsync` and `synchronous_commit` on); beside it, in turns, the same records
committed one by one to the same kind of store, as a plain audit table would be. The latency that is compared is of a
caller, and what it is more than that of one such commit is "added".

Answers, of a file: a ledger of so many records, 30 agents, 2,000 people, 40 resources, one denial in 20, over a month.
A query is the newest hundred records of one value of an index. Read from a warm page cache, as the gateway's own reads
are. The process is set up as `bailiwick serve` sets up its own, for both sides of a comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

import asyncpg  # noqa: E402  # the path is set above
import uvloop  # noqa: E402  # likewise
from common import Report, machine, median, record  # noqa: E402  # likewise
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402  # likewise

from bailiwick.gateway.ledger.address import LedgerAddress, read_address  # noqa: E402  # likewise
from bailiwick.gateway.ledger.figures import violations  # noqa: E402  # likewise
from bailiwick.gateway.ledger.reader import LedgerReader, Query, open_reader  # noqa: E402  # likewise
from bailiwick.gateway.ledger.store import open_store  # noqa: E402  # likewise
from bailiwick.gateway.ledger.writer import LedgerWriter  # noqa: E402  # likewise
from bailiwick.ledger.checkpoint import Signer  # noqa: E402  # likewise
from bailiwick.ledger.encode import encode  # noqa: E402  # likewise
from bailiwick.ledger.verify import verify  # noqa: E402  # likewise
from bailiwick.model.record import Record  # noqa: E402  # likewise
from tests.support.postgres import running_server  # noqa: E402  # likewise

KEY = Ed25519PrivateKey.generate()
BEGIN = datetime(2026, 10, 1, 0, 0, 0, 1, tzinfo=UTC)
MONTH = timedelta(days=31)
ORIGIN = "bench/ledger"
CALLERS = 32
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
Round = tuple[float, list[float], float, list[float]]
"""Appends a second and their waits, single commits a second and theirs."""
CODES = ("action_not_granted", "field_not_granted", "limit_exceeded", "row_ceiling", "argument_not_granted")


def made(number: int, of: int, rng: random.Random) -> Record:
    """Return a record such as a scoped query leaves."""
    denied = number % 20 == 7
    return Record(
        id=f"rec_{number:026d}",
        kind="call",
        at=BEGIN + MONTH * (number / of),
        agent=f"agent-{rng.randrange(30)}",
        user=f"person{rng.randrange(2000)}@corp.example",
        session=f"ses_{number // 50:026d}",
        task=f"task-{number % 7}",
        mount=f"mount-{number % 5}",
        actions=(f"resource-{rng.randrange(40)}:read",),
        fields={"customers": ("customer_id", "email", "name")},
        labels=("confidential",),
        statement="SELECT name, email FROM customers WHERE customer_id = $1",
        decision="deny" if denied else "allow",
        code=CODES[rng.randrange(5)] if denied else "",
        message="`customers:read` is not granted" if denied else "",
        grants=("support/customers:read/99a63e4d1b",),
        policy="c9180bc9825c50809fd7c4345ada5ac484c9b41f6d8cc6bf9d1324aa1f3b3feb",
        rows=1,
        bytes=216,
        duration_us=900,
    )


async def appends(place: LedgerAddress, seconds: float) -> tuple[float, list[float]]:
    """Return the appends a second of 32 callers, and how long each waited."""
    loop = asyncio.get_running_loop()
    writer = LedgerWriter(await asyncio.to_thread(open_store, place, KEY, origin=ORIGIN), loop)
    rng, waits, end = random.Random(1), list[float](), time.perf_counter() + seconds  # noqa: S311  # data of a benchmark

    async def caller(number: int) -> None:
        count = 0
        while time.perf_counter() < end:
            each = made(number * 10_000_000 + count, 10**9, rng)
            begun, done = time.perf_counter(), loop.create_future()
            writer.append(each, done.set_result)
            if not await done:
                raise SystemExit("a record was not kept")
            waits.append(time.perf_counter() - begun)
            count += 1

    begun = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    rate = len(waits) / (time.perf_counter() - begun)
    await writer.close()
    return rate, waits


def commits(folder: Path, seconds: float) -> tuple[float, list[float]]:
    """Return the commits a second of one record each to a plain table, and how long each took."""
    rng, waits = random.Random(1), list[float]()  # noqa: S311  # data of a benchmark
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, body BLOB)")
        begun = time.perf_counter()
        while (now := time.perf_counter()) < begun + seconds:
            connection.execute("INSERT INTO records (body) VALUES (?)", (encode(made(len(waits), 10**9, rng), 0),))
            waits.append(time.perf_counter() - now)
    return len(waits) / seconds, waits


async def rows(url: str, seconds: float) -> tuple[float, list[float]]:
    """Return the same of a plain table of PostgreSQL: one INSERT of one row at a time, each committed by itself."""
    rng, waits = random.Random(1), list[float]()  # noqa: S311  # data of a benchmark
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS plain (seq bigserial PRIMARY KEY, body bytea)")
    begun = time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        body = encode(made(len(waits), 10**9, rng), 0)
        await connection.execute("INSERT INTO plain (body) VALUES ($1)", body)
        waits.append(time.perf_counter() - now)
    await connection.close()
    return len(waits) / seconds, waits


def filled(folder: Path, count: int) -> Path:
    """Return a ledger of so many records."""
    path = folder / "ledger.db"
    store = open_store(path, KEY, origin=ORIGIN)
    rng = random.Random(1)  # noqa: S311  # data of a benchmark
    for at in range(0, count, 10_000):
        store.append([made(number, count, rng) for number in range(at, min(count, at + 10_000))])
        store.drain()
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{at:,} of {count:,} records")
    store.checkpoint()
    store.close()
    return path


def timed(work: Callable[[], object], times: int = 5) -> float:
    """Return the median of the seconds that some work takes."""
    found: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return median(found)


QUERIES = {
    "agent": Query(agent="agent-7"),
    "user": Query(user="person77@corp.example"),
    "task": Query(task="task-3"),
    "code": Query(code="row_ceiling"),
    "decision": Query(decision="deny"),
    "resource": Query(resource="resource-7"),
    "action": Query(action="resource-7:read"),
}


def answers(report: Report, path: Path, count: int) -> None:
    """Measure what is asked of a ledger."""
    with closing(open_reader(path)) as reader:
        slowest = 0.0
        middle = f"ses_{count // 100:026d}"
        asked = {**QUERIES, "mount": Query(filter="mount:mount-3"), "session": Query(session=middle)}
        asked["id"] = Query(id=f"rec_{count // 2:026d}")
        asked["period"] = Query(since=BEGIN + MONTH / 2, until=BEGIN + MONTH / 2 + timedelta(minutes=5))
        for name, query in asked.items():
            took = timed(lambda query=query: reader.query(query))
            slowest = max(slowest, took)
            report.line(f"query by {name}", took * 1000, "ms")
        report.line("slowest of these queries", slowest * 1000, "ms", 100, most=True)
        report.line("report of violations, a month", timed(lambda: _report(reader), 1), "s", 5, most=True)
        report.line("inclusion proof", timed(lambda: reader.prove(count // 3)) * 1000, "ms", 10, most=True)
        begun = time.perf_counter()
        found = verify(reader.begin_evidence(), Signer(ORIGIN, KEY).verifier)
        spent = time.perf_counter() - begun
        if not found.sound:
            raise SystemExit("the ledger is not sound")
        report.line("full verification", count / spent, "records/s", 100_000)
    report.line("disk", path.stat().st_size / count, "bytes a record")


def _report(reader: LedgerReader) -> None:
    violations(reader, BEGIN, BEGIN + MONTH)


def main() -> int:
    """Measure, print, and return 1 when something is short."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    given = parser.parse_args()
    count = 100_000 if given.quick else given.records
    sys.setswitchinterval(0.0001)
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    report = Report()
    report.say(f"Machine: {machine()}. {count:,} records.")
    report.say("")
    seconds = 1.0 if given.quick else 4.0
    _tell(report, "SQLite", [_round(seconds) for _ in range(3)])
    with running_server(DURABLE) as server:
        url = server.create().url()
        _tell(report, "PostgreSQL", [_round_in_postgres(url, number, seconds) for number in range(3)])
    with tempfile.TemporaryDirectory(prefix="bwbl") as folder:
        answers(report, filled(Path(folder), count), count)
    if given.write:
        record("ledger", report)
    return 1 if report.short else 0


def _tell(report: Report, where: str, rounds: list[Round]) -> None:
    """Say what rounds of appends came to."""
    ours, plain = median([one[0] for one in rounds]), median([one[2] for one in rounds])
    report.line(f"{where}: durable appends, 32 callers", ours, "a second")
    report.line(f"{where}: commits of one record each", plain, "a second")
    report.line(f"{where}: appends / single commits", ours / plain, "", 5)
    for name, place, most in (("p50", 0.5, 1.0), ("p99", 0.99, 3.0)):
        own, other = median([_at(one[1], place) for one in rounds]), median([_at(one[3], place) for one in rounds])
        report.line(f"{where}: waited for an append, {name}", own * 1000, "ms")
        report.line(f"{where}: added to a single commit, {name}", max(0.0, own - other) * 1000, "ms", most, most=True)


def _round_in_postgres(url: str, number: int, seconds: float) -> Round:
    ours = uvloop.run(appends(read_address(f"{url}?log=round_{number}"), seconds))
    return (*ours, *uvloop.run(rows(url, seconds)))


def _round(seconds: float) -> Round:
    with tempfile.TemporaryDirectory(prefix="bwbl") as folder:
        ours = uvloop.run(appends(Path(folder) / "ledger.db", seconds))
        plain = commits(Path(folder), seconds)
    return (*ours, *plain)


def _at(waits: list[float], place: float) -> float:
    return sorted(waits)[int(place * (len(waits) - 1))]


if __name__ == "__main__":
    raise SystemExit(main())
