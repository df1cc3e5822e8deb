"""How long `policy plan` takes to replay a ledger against another policy.

    python bench/plan.py [--quick] [--write]

A ledger is written by the ledger's own store: sessions of 30 agents in three tasks, statements of 60 shapes over 12
tables and calls of four functions with amounts that all differ, some of them denied. The policy that is planned masks a
field, limits rows, takes a grant away and lowers an amount, so that nothing is left out as equal. Timed is all that the
command does: reading, grouping, deciding, sorting.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common import Report, machine, record
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.gateway.ledger.reader import open_reader
from bailiwick.gateway.ledger.store import open_store
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.record import Record
from bailiwick.policy.load import load
from bailiwick.review.plan import gather, plan, uncollected
from bailiwick.review.side import Side

COLUMNS = tuple(f"c{number}" for number in range(8))
TABLES = tuple(f"t{number}" for number in range(12))
AGENTS = tuple(f"bot{number}" for number in range(30))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
A_SESSION = 50
"""Requests of one session."""


def policy_text(*, planned: bool) -> str:
    """Return the policy of then, or the one that is planned."""
    tables = "".join(f"      {name}: {{table: public.{name}, tenant: c7}}\n" for name in TABLES)
    fields, masks = "[c0, c1, c2, c3, c4]", ", mask: {c1: partial}" if planned else ""
    rows = "{c0: $key, c2: 1}" if planned else "{c0: $key}"
    grants = "".join(
        f"      - {{allow: {name}:read, reason: r, fields: {fields}, rows: {rows}{masks}}}\n"
        for name in (TABLES[1:] if planned else TABLES)
    )
    most = 50 if planned else 500
    functions = "".join(f"      f{n}: {{action: sums:do{n}, parameters: [key, amount, note]}}\n" for n in range(4))
    calls = "".join(
        f"      - {{allow: sums:do{n}, reason: r, args: {{key: $key, amount: {{max: {most}}}, note: any}}}}\n"
        for n in range(4)
    )
    agents = "".join(f"  {name}: {{owner: o, purpose: p, roles: [r]}}\n" for name in AGENTS)
    tasks = "".join(f"  k{n}: {{agents: [{', '.join(AGENTS)}], context: {{key: integer}}}}\n" for n in range(3))
    return (
        "bailiwick: 1\nmounts:\n  m:\n    kind: postgres\n    url: ${URL}\n    resources:\n"
        f"{tables}  f:\n    kind: python\n    functions:\n{functions}roles:\n  r:\n    grants:\n{grants}{calls}"
        f"agents:\n{agents}tasks:\n{tasks}"
    )


def side(*, planned: bool) -> Side:
    """Return a policy with a lock."""
    found = load({"policy.yaml": policy_text(planned=planned)})
    if found.policy is None:
        raise SystemExit("; ".join(map(str, found.problems)))
    columns = tuple(LockedColumn(name, "integer" if name in ("c0", "c7") else "text", "b", True) for name in COLUMNS)
    tables = {("public", name): LockedTable("public", name, "r", columns, ("c0",)) for name in TABLES}
    return Side(found.policy, Lock({"m": tables}))


def statements() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the shapes: table, statement, fields; the last of each table is denied."""
    shapes: list[tuple[str, str, tuple[str, ...]]] = []
    for name in TABLES:
        shapes += [
            (name, f"SELECT c1, c2 FROM {name} WHERE c0 = $1", ("c0", "c1", "c2")),  # noqa: S608  # not executed
            (name, f"SELECT count(*) FROM {name} WHERE c3 = $1", ("c3",)),  # noqa: S608  # likewise
            (name, f"SELECT c1, c4 FROM {name} ORDER BY c0 LIMIT $1", ("c0", "c1", "c4")),  # noqa: S608  # likewise
            (name, f"SELECT a.c2, b.c3 FROM {name} a JOIN {name} b USING (c0)", ("c0", "c2", "c3")),  # noqa: S608
            (name, f"SELECT c6 FROM {name}", ()),  # noqa: S608  # likewise
        ]
    return shapes


def records(count: int, version: str, grants: dict[str, str]) -> Iterator[Record]:
    """Yield so many records, in the order in which a gateway writes them."""
    draw, shapes = random.Random(7), statements()  # noqa: S311  # made-up data
    session, agent, task, made = "", "", "", 0
    while made < count:
        at = BEGIN + timedelta(milliseconds=7 * made)
        if made % A_SESSION == 0:
            session, agent, task = f"ses_{made:026}", draw.choice(AGENTS), f"k{draw.randrange(3)}"
        common = Record(
            f"rec_{made:026}", "call", at, agent, f"user{made // A_SESSION % 300}@corp", session, task, policy=version
        )
        if made % A_SESSION == 0:
            detail = {"context": ["key"], "own": False, "asked": [], "parent": "", "passed": []}
            yield common._replace(kind="session.opened", detail=detail)
        elif made % 10 == 3:
            name, amount = f"f{draw.randrange(4)}", draw.randrange(1, 50_000) / 100
            told = f'{name} {{"amount":{amount},"key":"hmac:0123456789abcdef","note":"hmac:{made:016x}"}}'
            action = f"sums:do{name[1]}"
            yield common._replace(
                mount="f", statement=told, actions=(action,), decision="allow", grants=(grants[action],), rows=1
            )
        else:
            table, text, fields = draw.choice(shapes)
            if fields:
                yield common._replace(
                    mount="m",
                    statement=text,
                    actions=(f"{table}:read",),
                    fields={table: fields},
                    decision="allow",
                    grants=(grants[f"{table}:read"],),
                    rows=draw.randrange(100),
                    bytes=1234,
                    duration_us=800,
                )
            else:
                yield common._replace(mount="m", statement=text, decision="deny", code="field_not_granted")
        made += 1


def written(folder: Path, count: int, then: Side) -> Path:
    """Write a ledger; return its file."""
    path = folder / "ledger.db"
    ids = {str(grant.action): grant.id for grant in then.policy.roles["r"].grants}
    store = open_store(path, Ed25519PrivateKey.generate())
    batch: list[Record] = []
    for each in records(count, then.policy.version, ids):
        batch.append(each)
        if len(batch) == 2000:
            store.append(batch)
            batch.clear()
    store.append(batch)
    store.drain()
    store.close()
    return path


def main() -> None:
    """Measure and report; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the records")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    given = parser.parse_args()
    count = 100_000 if given.quick else 1_000_000
    report = Report()
    report.say(machine())
    then, new = side(planned=False), side(planned=True)
    with tempfile.TemporaryDirectory(prefix="bwbench-") as folder:
        path = written(Path(folder), count, then)
        began = time.perf_counter()
        with uncollected():
            reader = open_reader(path)
            gathered = gather(reader, 0, lambda _: None)
            reader.close()
            read = time.perf_counter() - began
            found = plan(gathered.groups.values(), new, lambda _: then)
        whole = time.perf_counter() - began
    report.line("records replayed", count, "")
    report.line("different requests", found.groups, "")
    report.line("changes told", len(found.changes), "")
    report.line("not told", found.counts.get("unknown", 0), "")
    report.line("reading and grouping", read, "s")
    report.line("policy plan, all of it", whole, "s", 60 * count / 1_000_000, most=True)
    if given.write:
        record("plan", report)
    sys.exit(1 if report.short else 0)


if __name__ == "__main__":
    main()
