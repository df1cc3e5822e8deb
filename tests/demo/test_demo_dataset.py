"""The made-up support desk: big enough, the same every time, and with its secrets where they must be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bailiwick.demo import dataset, words
from bailiwick.demo.database import script
from bailiwick.demo.dataset import CANARY, CUSTOMER, TENANT, TICKET, Row
from bailiwick.demo.run import policy_text
from bailiwick.demo.warehouse import make_warehouse
from bailiwick.gateway.backends import sqlite
from bailiwick.gateway.backends.introspect import read_tables
from bailiwick.model.lock import Lock
from bailiwick.mounts.mcp.accepting import live_tools
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import render_lock
from tests.support.postgres import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Row]]:
    return dict(dataset.rows(NOW))


def test_there_are_at_least_twelve_tables_and_fifty_thousand_rows(tables: dict[str, list[Row]]) -> None:
    assert len(tables) >= 12
    assert sum(map(len, tables.values())) >= 50_000
    assert {name: len(tables[name]) for name in dataset.sizes} == dataset.sizes


def test_rows_depend_on_seed_and_moment_only(tables: dict[str, list[Row]]) -> None:
    assert dict(dataset.rows(NOW)) == tables
    assert dict(dataset.rows(NOW, seed=2)) != tables


def test_every_tenant_has_a_third_of_the_tickets(tables: dict[str, list[Row]]) -> None:
    for tenant, *_ in dataset.tenants:
        assert sum(row[1] == tenant for row in tables["tickets"]) == len(tables["tickets"]) / len(dataset.tenants)


def test_the_handled_ticket_belongs_to_its_customer_and_tenant(tables: dict[str, list[Row]]) -> None:
    (ticket,) = [row for row in tables["tickets"] if row[0] == TICKET]
    (customer,) = [row for row in tables["customers"] if row[0] == CUSTOMER]
    assert ticket[1:3] == (TENANT, CUSTOMER)
    assert customer[1] == TENANT
    assert ticket[4:6] == words.handled


def test_references_stay_within_a_tenant(tables: dict[str, list[Row]]) -> None:
    of_customer = {row[0]: row[1] for row in tables["customers"]}
    of_staff = {row[0]: row[1] for row in tables["staff"]}
    of_product = {row[0]: row[1] for row in tables["products"]}
    assert all(of_customer[row[2]] == row[1] for row in tables["orders"])
    assert all(of_customer[row[2]] == row[1] and of_staff[row[3]] == row[1] for row in tables["tickets"])
    assert all(of_customer[row[3]] == row[1] and of_product[row[4]] == row[1] for row in tables["order_items"])


def test_what_must_not_leak_holds_a_canary_and_what_may_be_shown_holds_none(tables: dict[str, list[Row]]) -> None:
    def marked(row: Row) -> bool:
        return any(CANARY in str(value) for value in row)

    for hidden in ("tenants", "staff", "api_keys", "audit_log", "payments", "hr.employees", "hr.salaries", "customers"):
        assert all(marked(row) for row in tables[hidden]), hidden
    assert all(marked(row) == (row[2] != CUSTOMER) for row in tables["tickets"])
    assert all(marked(row) == (row[3] == "draft") for row in tables["knowledge_base"])
    assert {marked(row) for row in tables["messages"] if row[2] == TICKET and not row[4]} == {False}
    assert {marked(row) for row in tables["messages"] if row[4]} == {True}


def test_the_policy_is_without_problems() -> None:
    loaded = load({"policy.yaml": script("policy.yaml")})
    assert loaded.problems == ()
    assert loaded.policy is not None


async def test_the_lock_holds_what_the_databases_have(new_database: Callable[[str], Database], tmp_path: Path) -> None:
    policy = load({"policy.yaml": policy_text()}).policy
    assert policy is not None
    wanted = {
        name: {(each.schema, each.table) for each in mount.resources.values()} for name, mount in policy.mounts.items()
    }
    live = await read_tables(new_database(script("schema.sql")).url(), wanted["desk"])
    assert make_warehouse(tmp_path / "warehouse.db") > 900
    shelves = sqlite.read_tables(str(tmp_path / "warehouse.db"), wanted["warehouse"])
    tools = await live_tools(policy, {}, tmp_path)
    assert script("bailiwick.lock") == render_lock(Lock({"desk": live, "warehouse": shelves}, tools))
