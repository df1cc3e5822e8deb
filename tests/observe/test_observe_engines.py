"""Statements on SQLite, DuckDB and MariaDB, observed: taken apart as those of PostgreSQL are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bailiwick.decide.scope import effective_scope
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.ledger.encode import decode
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.observation import Condition, Link, Observation, Origin, Seen
from bailiwick.model.observation_record import observation_of
from bailiwick.model.policy import Engine
from bailiwick.model.session import Session
from bailiwick.mounts.sql.results import Result
from bailiwick.policy.load import load
from bailiwick.sql.engines.rewrite import EngineRewriter
from bailiwick.sql.snapshot import snapshot
from bailiwick.sql.usage import Parameter, Statement, UsedCondition, UsedTable, Written
from tests.engines.engines_rig import Desk, desk

POLICY = """
bailiwick: 1
mounts:
  shop:
    kind: sql
    engine: ENGINE
    LOCATION
    resources:
      orders: {table: orders, key: id, labels: {note: confidential}}
      people: {table: people, key: Id, labels: {ssn: restricted}}
roles:
  none: {grants: [{deny: 'people:update'}]}
agents:
  bot: {owner: shop, purpose: works, roles: [none], observe: true}
tasks:
  serve: {agents: [bot], context: {person: integer}}
"""
SCRIPT = """
CREATE TABLE people (Id INTEGER PRIMARY KEY, Name TEXT, ssn TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER, status TEXT, note TEXT);
INSERT INTO people VALUES (1, 'Ann', 'CANARY_SSN_1'), (2, 'Bob', 'CANARY_SSN_2');
INSERT INTO orders VALUES (10, 1, 'open', 'CANARY_NOTE_10'), (11, 1, 'done', 'CANARY_NOTE_11'),
  (12, 2, 'open', 'CANARY_NOTE_12');
"""
_NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
_TABLES = {"people": ("Id integer", "Name text", "ssn text"), "orders": ("id integer", "person integer", "status text")}
ENGINES: dict[Engine, str] = {
    "sqlite": "file: ../shop.db",
    "duckdb": "file: ../shop.db",
    "mariadb": "url: ${SHOP_URL}",
}


def rewriter(engine: Engine) -> EngineRewriter:
    location = ENGINES[engine]
    policy = POLICY.replace("ENGINE", engine).replace("LOCATION", location)
    if engine == "mariadb":
        policy = policy.replace("table: ", "table: shop.")
    loaded = load({"p.yaml": policy})
    assert loaded.policy is not None, loaded.problems
    mount = loaded.policy.mounts["shop"]
    found: dict[tuple[str, str], LockedTable] = {}
    for resource in mount.resources.values():
        declared = (each.split(" ") for each in _TABLES[resource.table])
        columns = tuple(LockedColumn(name, kind) for name, kind in declared)
        found[resource.schema, resource.table] = LockedTable(
            resource.schema, resource.table, "r", columns, key=resource.key
        )
    lock = Lock({"shop": found})
    session = Session("ses_1", "bot", None, None, {}, None, _NOW, _NOW + timedelta(hours=1), None)
    return EngineRewriter(effective_scope(loaded.policy, lock, session), snapshot(mount, lock), "shop", engine)


def used(engine: Engine, sql: str) -> tuple[Statement, dict[str, UsedTable]]:
    plan = rewriter(engine).rewrite(sql)
    assert not isinstance(plan, Denial), plan
    assert plan.used is not None, sql
    return plan.used, {f"{each.resource}:{each.verb}": each for each in plan.used.tables}


@pytest.mark.parametrize("engine", [*ENGINES])
def test_reads_are_taken_apart_whatever_the_case_of_their_names(engine: Engine) -> None:
    sql = (
        "SELECT O.ID, p.name, count(*) AS n FROM ORDERS o JOIN People AS p ON p.ID = o.person"
        " WHERE o.Person = ? AND o.status IN ('open', 'held') GROUP BY o.id, p.Name"
    )
    if engine == "mariadb":
        sql = sql.replace("ORDERS", "orders").replace("People", "people")
    statement, tables = used(engine, sql)
    orders, people = tables["orders:read"], tables["people:read"]
    assert orders.conditions == (
        UsedCondition("person", "equal", (Parameter(1),)),
        UsedCondition("status", "one_of", (Written("string", "open"), Written("string", "held"))),
    )
    assert (orders.read, orders.links) == (("id",), (Link("person", "people", "Id"),))
    assert (people.read, people.joined, people.reach) == (("Name",), ("Id",), "key")
    assert people.place[1] == "people"
    shown = [None if each is None else each.field for each in statement.shown]
    assert shown == ["id", "Name", None]


@pytest.mark.parametrize("engine", [*ENGINES])
def test_writes_are_taken_apart(engine: Engine) -> None:
    _, tables = used(engine, "UPDATE orders SET status = ? WHERE id = ? AND person = 3")
    update = tables["orders:update"]
    assert [(each.field, each.operands) for each in update.sets] == [("status", (Parameter(1),))]
    assert (update.reach, update.written, update.counts) == ("key", ("status",), True)
    _, tables = used(engine, "INSERT INTO orders (id, status) VALUES (?, 'new')")
    assert [each.operands for each in tables["orders:create"].sets] == [(Parameter(1),), (Written("string", "new"),)]


def test_a_text_that_postgres_has_no_words_for_is_not_told_and_still_runs() -> None:
    plan = rewriter("sqlite").rewrite("SELECT id FROM orders WHERE status GLOB 'o*'")
    assert not isinstance(plan, Denial)
    assert plan.used is None or plan.used.tables[0].resource == "orders"


def observed(shop: Desk) -> list[Observation]:
    reader = open_reader(shop.folder / "home" / ".bailiwick" / "ledger.db")
    try:
        entries = [decode(each.body) for each in reader.query(Query(limit=1000))]
    finally:
        reader.close()
    records = sorted((each.record for each in entries if each is not None), key=lambda each: each.id)
    return [found for each in records if (found := observation_of(each)) is not None]


async def test_what_statements_used_stands_in_their_records(tmp_path: Path) -> None:
    policy = POLICY.replace("ENGINE", "sqlite").replace("LOCATION", "file: ../shop.db")
    async with desk(tmp_path, policy, SCRIPT) as shop:
        live = await shop.session("bot", task="serve", person="1")
        assert await shop.rows(live, "SELECT id, note FROM orders WHERE person = ? ORDER BY id", 1) == [
            (10, "CANARY_NOTE_10"),
            (11, "CANARY_NOTE_11"),
        ]
        assert await shop.written(live, "UPDATE orders SET status = 'held' WHERE id = ?", 11) == 1
        found = await shop.ask(live, "SELECT ssn FROM people")
        assert isinstance(found, Result)
        assert "CANARY" not in str(found.rows), "restricted fields are hashes"
        assert (await shop.denial(live, "UPDATE people SET Name = 'x'")).code == "action_not_granted"
        read, write, people = observed(shop)
    assert {seen.value for seen in read.values.values()} == {None}
    (use,) = read.tables
    assert use.conditions[0].values[0].origin == Origin("session", "person")
    held = {each.field: each.values for each in use.holds}
    assert [seen.value for seen in held["id"]] == [10, 11]
    assert {seen.value for seen in held["note"]} == {None}
    assert (use.table, use.rows, read.rows) == ("main.orders", 2, 2)
    again = Seen("integer", 11, origin=Origin("result", "orders.id"))
    assert write.tables[0].conditions == (Condition("id", "equal", (again,)),)
    assert (write.tables[0].rows, write.tables[0].reach) == (1, "key")
    assert people.tables[0].read == ("ssn",)
