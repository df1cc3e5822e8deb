"""How much the gateway costs in front of PostgreSQL, against a direct connection and against pgbouncer.

    python bench/postgres.py [--quick] [--seconds N] [--rounds N]

Everything is interleaved in one run; figures are medians of rounds. Policy, tenant, row filter and the durable ledger
are on, as a user gets them; `gateway in memory` is the same with its data on a file system in memory, so that a commit
costs nothing. Exits 1 when a target is missed. The targets of transactions are against pgbouncer: without it there are
none, and nothing is written.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# At the end: `bench/http.py` is not to stand for the standard library's `http`.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

from common import Report, geometric_mean, machine, median, record  # noqa: E402  # the path is set above
from peers import Peer, bouncer_version, fill, peers  # noqa: E402  # the path is set above

from tests.support.postgres import running_server  # noqa: E402  # the path is set above
from tests.support.wire import Wire, bind, describe, execute, parse, query  # noqa: E402  # the path is set above

MODES = ("simple", "extended", "prepared")
TARGETS = {"simple": 0.35, "extended": 0.5, "prepared": 0.5}
END = b"Z\x00\x00\x00\x05I"
SYNC = b"S\x00\x00\x00\x04"
Figures = dict[tuple[str, str, int], list[float]]


def transactions(found: Sequence[Peer], clients: Sequence[int], rounds: int, seconds: int, scale: int) -> Figures:
    """Measure `pgbench -S` for every mode and number of clients, one peer after the other in every round."""
    figures: Figures = {}
    for _ in range(rounds):
        for mode in MODES:
            for number in clients:
                for peer in found:
                    if mode in peer.modes:
                        tps = peer.pgbench(mode, number, seconds, scale)
                        figures.setdefault((peer.name, mode, number), []).append(tps)
    return figures


def tell_transactions(report: Report, figures: Figures, clients: Sequence[int]) -> None:
    """Print the table of transactions a second and the ratios that have targets."""
    names = list(dict.fromkeys(name for name, _, _ in figures))
    report.say("")
    report.say("| pgbench -S, transactions/s | " + " | ".join(names) + " |")
    report.say("|---|" + "---|" * len(names))
    ratios: list[float] = []
    for mode in MODES:
        for number in clients:
            row = {name: median(figures.get((name, mode, number), [])) for name in names}
            report.say(f"| {mode}, {number} clients | " + " | ".join(f"{row[name]:,.0f}" for name in names) + " |")
            ratios.append(row["gateway"] / row.get("pgbouncer", row["direct"]))
    report.say("")
    against = "pgbouncer" if "pgbouncer" in names else "direct"
    for mode in MODES:
        for name in names:
            if name.startswith("gateway") and 8 in clients:
                ratio = median(figures[name, mode, 8]) / median(figures[against, mode, 8])
                target = TARGETS[mode] if name == "gateway" and against == "pgbouncer" else None
                report.line(f"{name} / {against}, {mode}, 8 clients", ratio, "", target)
    report.line(f"gateway / {against}, geometric mean of all", geometric_mean(ratios), "")


def _connected(peer: Peer) -> Wire:
    wire = Wire(peer.session.host, peer.session.port, timeout=120)
    reply = wire.login(peer.session.user, peer.session.database, peer.session.token)
    if reply.status != "I":
        raise RuntimeError(f"{peer.name} refused the login: {reply.errors}")
    return wire


def _drain(wire: Wire) -> int:
    """Read until the end of an exchange, counting bytes: the cheapest client there is."""
    total, tail = 0, b""
    while not tail.endswith(END):
        data = wire.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the connection ended")
        total += len(data)
        tail = (tail + data)[-6:]
    return total


def _timed(wire: Wire, request: bytes) -> float:
    began = time.perf_counter()
    wire.socket.sendall(request)
    _drain(wire)
    return time.perf_counter() - began


def floods(report: Report, found: Sequence[Peer], rounds: int, rows: int) -> None:
    """Measure many rows out, wide and narrow."""
    report.say("")
    for table, target in (("wide", 0.85), ("narrow", 0.6)):
        seconds: dict[str, list[float]] = {}
        for _ in range(rounds):
            for peer in found:
                if "simple" in peer.modes:
                    with _connected(peer) as wire:
                        seconds.setdefault(peer.name, []).append(_timed(wire, query(f"TABLE public.{table}")))
        for name, values in seconds.items():
            report.line(f"{rows:,} {table} rows, {name}", rows / median(values), "rows/s")
        ratio = median(seconds["direct"]) / median(seconds["gateway"])
        report.line(f"{rows:,} {table} rows, gateway / direct", ratio, "", target)


def _commit_milliseconds(count: int) -> float:
    """Measure one durable commit of a record's size on the disk where the gateway's data is."""
    with tempfile.TemporaryDirectory(prefix="bwcm") as folder:
        store = sqlite3.connect(f"{folder}/x.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            store.execute(f"PRAGMA {pragma}")
        store.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        spent: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            store.execute("INSERT INTO t (b) VALUES (?)", [b"x" * 600])
            spent.append(time.perf_counter() - began)
        store.close()
    return median(spent) * 1000


def _latencies(found: Sequence[Peer], count: int, request: Callable[[int], bytes]) -> dict[str, float]:
    """Return each peer's median milliseconds of one exchange at one client, taken in turns."""
    spent: dict[str, list[float]] = {peer.name: [] for peer in found}
    wires = {peer.name: _connected(peer) for peer in found}
    for number in range(count):
        for name, wire in wires.items():
            spent[name].append(_timed(wire, request(number)))
    for wire in wires.values():
        wire.close()
    return {name: median(values[count // 10 :]) * 1000 for name, values in spent.items()}


def latency(report: Report, found: Sequence[Peer], count: int) -> None:
    """Measure what is added at one client, for a repeated text and for one seen first."""
    plain = [peer for peer in found if peer.name != "pgbouncer"]
    text = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
    again = _latencies(plain, count, lambda n: parse(text) + bind([str(n + 1)]) + describe() + execute() + SYNC)
    unseen = "SELECT abalance, {0} AS c{0} FROM pgbench_accounts WHERE aid = {1}"
    fresh = _latencies(plain, count // 2, lambda n: query(unseen.format(n, n + 1)))
    commit = _commit_milliseconds(200)
    report.say("")
    report.line("one durable commit", commit, "ms")
    report.line("direct, one client", again["direct"], "ms")
    for name in [peer.name for peer in plain[1:]]:
        own = 0.1 + commit if name == "gateway" else None
        added = again[name] - again["direct"]
        report.line(f"added by {name}, repeated text", added, "ms", own, most=True)
        more = fresh[name] - fresh["direct"] - added
        report.line(f"added by {name} for a text seen first, on top", more, "ms", 1.0 if own else None, most=True)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="8 clients only, one short round: under 40 seconds")
    options.add_argument("--seconds", type=int, default=3)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    if chosen.write and not bouncer_version():
        options.error("--write needs pgbouncer: the figures in docs/benchmarks.md are against it")
    quick: bool = chosen.quick
    rounds, seconds = (1, 1) if quick else (int(chosen.rounds), int(chosen.seconds))
    clients, scale, rows = ((8,), 1, 200_000) if quick else ((1, 8, 32), 10, 1_000_000)
    report = Report()
    with running_server({"shared_buffers": "512MB"}) as server:
        database = server.create()
        fill(database, scale, rows)
        version = database.rows("SHOW server_version")[0][0]
        bouncer = ".".join(map(str, bouncer_version())) or "none"
        report.say(f"{machine()}; PostgreSQL {version}; pgbouncer {bouncer}")
        with peers(server, database) as found:
            tell_transactions(report, transactions(found, clients, rounds, seconds, scale), clients)
            floods(report, found, rounds, rows)
            latency(report, found, 300 if quick else 2000)
    if chosen.write:
        record("postgres", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
