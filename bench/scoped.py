"""What a scope costs in the database: queries of an agent, scoped by the gateway, against the same written by hand.

    python bench/scoped.py [--quick] [--rows N] [--rounds N] [--write]

Five ways to the same rows, one after the other in every round: unscoped; with the filter written by hand; as the
gateway rewrites it; through security-barrier views; under row level security. `in the database` is the execution time
that EXPLAIN ANALYZE tells of the text that each way runs, planning apart; `for a client` is what one statement takes
over a connection, directly or through the gateway with everything that it does. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import psycopg

ROOT = Path(__file__).resolve().parents[1]
# At the end: `bench/http.py` is not to stand for the standard library's `http`.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

from common import Report, machine, median, record  # noqa: E402  # the path is set above

from tests.support.gateway import RunningGateway, prepare_gateway  # noqa: E402  # the path is set above
from tests.support.postgres import Database, running_server  # noqa: E402  # the path is set above

BY_HAND, BY_BARRIER = 1.15, 1.2
"""At most so much more: than the filter written by hand; than a security-barrier view, where a fence is needed."""
TENANT, TENANTS, PER_CUSTOMER = 3, 10, 20
LONG = 20.0
"""Milliseconds from which on a query is not run thirty times a round."""
OWN = 200.0
"""Milliseconds from which on what a client waits for is the database, and not the way to it."""
POLICY = """
bailiwick: 1
mounts:
  bench:
    kind: postgres
    url: ${BENCH_URL}
    resources:
      customers: {table: public.customers, key: customer_id, tenant: tenant_id}
      events: {table: public.events, key: event_id, tenant: tenant_id}
roles:
  reader:
    grants:
      - {allow: customers:read, reason: of its own tenant}
      - {allow: events:read, reason: of its own tenant, rows: {level: {max: 8}}}
agents:
  bench-bot: {owner: bench, purpose: is measured, roles: [reader]}
"""
DATA = f"""
CREATE UNLOGGED TABLE public.customers AS
  SELECT g AS customer_id, g % {TENANTS} AS tenant_id, 'customer ' || g AS name, 'region ' || g % 7 AS region
  FROM generate_series(1, {{customers}}) AS g;
CREATE UNLOGGED TABLE public.events AS
  SELECT g::bigint AS event_id, g % {{customers}} + 1 AS customer_id, (g % {{customers}} + 1) % {TENANTS} AS tenant_id,
         g / 7 % 10 AS level, 'kind ' || g / 3 % 12 AS kind, (g % 100000)::bigint AS amount,
         timestamptz '2025-01-01' + g * interval '3 seconds' AS at, md5(g::text) AS note
  FROM generate_series(1, {{rows}}) AS g;
ALTER TABLE public.customers ADD PRIMARY KEY (customer_id);
ALTER TABLE public.events ADD PRIMARY KEY (event_id);
CREATE INDEX ON public.events (customer_id);
CREATE INDEX ON public.events (at);
CREATE INDEX ON public.events (tenant_id, at);
CREATE SCHEMA barrier;
CREATE VIEW barrier.customers WITH (security_barrier) AS
  SELECT * FROM public.customers WHERE tenant_id = {TENANT};
CREATE VIEW barrier.events WITH (security_barrier) AS
  SELECT * FROM public.events WHERE tenant_id = {TENANT} AND level <= 8;
CREATE ROLE limited LOGIN PASSWORD 'limited';
GRANT SELECT ON public.customers, public.events TO limited;
ALTER TABLE public.customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON public.customers USING (tenant_id = (SELECT current_setting('bench.tenant')::int));
CREATE POLICY p ON public.events USING (tenant_id = (SELECT current_setting('bench.tenant')::int) AND level <= 8);
"""  # noqa: S608  # numbers of this file
WAYS = ("unscoped", "by hand", "scoped", "barrier view", "RLS")
Row = tuple[object, ...]
Connection = psycopg.Connection[Row]


@dataclass(frozen=True, slots=True)
class Case:
    """A query of an agent; `$1` is a key."""

    name: str
    sql: str
    hand: str
    """The same with the filter, the tenant `$2` (`$1` where there is no key)."""
    key: str = ""
    fenced: bool = False
    """An expression of its own may tell something, so that a fence is needed."""


def _cases() -> Iterator[Case]:
    """Yield four queries, each with expressions that are leakproof, and with one that is not."""
    mine, own = "e.tenant_id = {t} AND e.level <= 8", "c.tenant_id = {t}"
    for fenced, also in ((False, ""), (True, " AND e.note LIKE '%7%'")):
        alone, suffix = also.replace(" AND", " WHERE", 1), ", fenced" if fenced else ""
        look = f"SELECT e.amount, e.note FROM events e WHERE e.event_id = $1{also}"  # noqa: S608  # of this file
        yield Case(f"point look-up{suffix}", look, f"{look} AND {mine.format(t='$2')}", "event_id", fenced)
        join = "SELECT c.name, e.amount FROM customers c JOIN events e ON e.customer_id = c.customer_id"
        join = f"{join} WHERE c.customer_id = $1{also}"
        both = f"{join} AND {own.format(t='$2')} AND {mine.format(t='$2')}"
        yield Case(f"join{suffix}", join, both, "customer_id", fenced)
        for name, start, end in (
            ("aggregate", "SELECT e.kind, count(*), sum(e.amount) FROM events e", " GROUP BY e.kind"),
            ("top-n", "SELECT e.event_id, e.at, e.amount FROM events e", " ORDER BY e.at DESC LIMIT 10"),
        ):
            hand = f"{start} WHERE {mine.format(t='$1')}{also}{end}"
            yield Case(name + suffix, start + alone + end, hand, "", fenced)


CASES = tuple(_cases())


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds."""

    executing: float
    planning: float


@dataclass(frozen=True, slots=True)
class Way:
    """A connection, and what a case is on it."""

    connection: Connection
    texts: Mapping[str, str]
    bound: bool
    """Whether the tenant is bound behind the case's own parameter."""

    def parameters(self, case: Case, key: str) -> list[str]:
        """Return what is bound; untyped, as most drivers bind it."""
        return [key] * bool(case.key) + [str(TENANT)] * self.bound

    def explained(self, case: Case, key: str) -> Taken:
        """Run a case and return what the database says that it took."""
        sql = f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT JSON) {self.texts[case.name]}"
        with psycopg.RawCursor(self.connection) as cursor:
            found = cursor.execute(cast(LiteralString, sql), self.parameters(case, key)).fetchone()
        if found is None:
            raise RuntimeError("EXPLAIN told nothing")
        told = cast("list[Mapping[str, float]]", found[0])[0]
        return Taken(told["Execution Time"], told["Planning Time"])

    def clocked(self, case: Case, key: str) -> tuple[float, list[Row]]:
        """Run a case; return the milliseconds that it took here, and its rows."""
        with psycopg.RawCursor(self.connection) as cursor:
            began = time.perf_counter()
            rows = cursor.execute(cast(LiteralString, self.texts[case.name]), self.parameters(case, key)).fetchall()
            return (time.perf_counter() - began) * 1e3, rows


def rewritten(gateway: RunningGateway, case: Case) -> str:
    """Return what the gateway runs for an agent's query; its only bound value is the tenant."""
    session = ["--agent", "bench-bot", "--tenant", str(TENANT), "--policy", str(gateway.policy)]
    done = gateway.say("explain", "--connect", "--json", *session, case.sql)
    if done.returncode != 0:
        raise RuntimeError(f"{case.name}: {done.stdout}{done.stderr}")
    (told,) = json.loads(done.stdout)
    if len(told["bound"]) != 1:
        raise RuntimeError(f"{case.name}: not only the tenant is bound: {told['bound']}")
    return str(told["rewritten"])


@contextmanager
def ways(database: Database) -> Generator[tuple[Mapping[str, Way], Way]]:
    """Connect in every way, and through the gateway; that is the second of the result."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bwsc")))
        gateway = prepare_gateway(folder, POLICY, {"BENCH_URL": database.url()})
        stack.callback(gateway.stop)
        gateway.start()

        def connected(url: str, settings: str = "") -> Connection:
            made = psycopg.connect(url, autocommit=True, prepare_threshold=None)
            if settings:
                made.execute(settings.encode())
            return stack.enter_context(made)

        plain = {case.name: case.sql for case in CASES}
        hand = {case.name: case.hand for case in CASES}
        scoped = {case.name: rewritten(gateway, case) for case in CASES}
        direct = connected(database.url())
        found = {
            "unscoped": Way(direct, plain, bound=False),
            "by hand": Way(direct, hand, bound=True),
            "scoped": Way(direct, scoped, bound=True),
            "barrier view": Way(connected(database.url(), "SET search_path = barrier"), plain, bound=False),
            "RLS": Way(
                connected(database.url("limited", "limited"), f"SET bench.tenant = '{TENANT}'"), plain, bound=False
            ),
        }
        session = gateway.open_session("bench-bot", tenant=str(TENANT))
        yield found, Way(connected(session.url()), plain, bound=False)


def keys(case: Case, rows: int, count: int) -> list[str]:
    """Return keys that lie in the scope, the same for every way."""
    chosen = random.Random(7)  # noqa: S311  # which rows are read must be the same in every run
    customers = rows // PER_CUSTOMER
    found: list[str] = []
    while len(found) < count:
        number = chosen.randrange(1, (customers if case.key == "customer_id" else rows) + 1)
        customer = number if case.key == "customer_id" else number % customers + 1
        if customer % TENANTS == TENANT and (case.key == "customer_id" or number // 7 % 10 <= 8):
            found.append(str(number))
    return found


def in_the_database(
    report: Report, found: Mapping[str, Way], rows: int, rounds: int
) -> dict[tuple[str, str], Sequence[Taken]]:
    """Measure every case in every way. What is short is run more often."""
    taken: dict[tuple[str, str], list[Taken]] = {}
    for case in CASES:
        slowest = max(way.explained(case, keys(case, rows, 1)[0]).executing for way in found.values())
        for key in keys(case, rows, rounds * (30 if slowest < LONG else 3 if slowest < LONG * 10 else 1)):
            for name, way in found.items():
                taken.setdefault((case.name, name), []).append(way.explained(case, key))
    report.say("")
    report.say("| in the database, ms | " + " | ".join(WAYS) + " | planning: by hand | scoped |")
    report.say("|---|" + "---|" * (len(WAYS) + 2))
    for case in CASES:
        figures = [median([each.executing for each in taken[case.name, name]]) for name in WAYS]
        figures += [median([each.planning for each in taken[case.name, name]]) for name in ("by hand", "scoped")]
        report.say(f"| {case.name} | " + " | ".join(f"{figure:,.3f}" for figure in figures) + " |")
    report.say("")
    for case in CASES:
        other, target = ("barrier view", BY_BARRIER) if case.fenced else ("by hand", BY_HAND)
        own, theirs = (median([each.executing for each in taken[case.name, name]]) for name in ("scoped", other))
        report.line(f"{case.name}, in the database: scoped / {other}", own / theirs, "", target, most=True)
    return {**taken}


def for_a_client(report: Report, found: Mapping[str, Way], through: Way, rows: int, rounds: int) -> None:
    """Measure what a client waits, directly and through the gateway, and that both see the same rows."""
    report.say("")
    for case in CASES:
        other, target = ("barrier view", BY_BARRIER) if case.fenced else ("by hand", BY_HAND)
        spent: dict[str, list[float]] = {}
        for key in keys(case, rows, rounds * (1 if case.name.startswith("aggregate") else 5)):
            own, seen = through.clocked(case, key)
            theirs, wanted = found[other].clocked(case, key)
            if sorted(map(repr, seen)) != sorted(map(repr, wanted)):
                raise RuntimeError(f"{case.name}: the gateway gave other rows")
            spent.setdefault("gateway", []).append(own)
            spent.setdefault("direct", []).append(theirs)
        direct, gateway = median(spent["direct"]), median(spent["gateway"])
        told = f"{case.name}, for a client: gateway / direct {other} ({gateway:.3g} ms / {direct:.3g} ms)"
        report.line(told, gateway / direct, "", target if direct >= OWN else None, most=True)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description="Measure what a scope costs in the database.")
    options.add_argument("--quick", action="store_true", help="300,000 rows and few rounds: under 40 seconds")
    options.add_argument("--rows", type=int, default=0, help="rows of the largest table (10,000,000)")
    options.add_argument("--rounds", type=int, default=0)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    quick: bool = chosen.quick
    rows = int(chosen.rows) or (300_000 if quick else 10_000_000)
    rounds = int(chosen.rounds) or (3 if quick else 5)
    report = Report()
    settings = {"shared_buffers": "1GB", "maintenance_work_mem": "512MB", "jit": "off", "max_wal_size": "4GB"}
    with running_server(settings) as server:
        database = server.create()
        database.script(DATA.format(rows=rows, customers=rows // PER_CUSTOMER))
        with psycopg.connect(database.url(), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        version = database.rows("SHOW server_version")[0][0]
        report.say(f"{machine()}; PostgreSQL {version}; {rows:,} rows, {rows // TENANTS * 9 // 10:,} of them in scope")
        with ways(database) as (found, through):
            in_the_database(report, found, rows, rounds)
            for_a_client(report, found, through, rows, rounds)
    if chosen.write:
        record("scoped", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
