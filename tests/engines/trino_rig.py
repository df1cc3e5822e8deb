"""Statements of sessions before a lake of Trino, as far as their SQL: there is no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bailiwick.decide.scope import effective_scope
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.session import Session, User
from bailiwick.policy.load import load
from bailiwick.sql.engines.rewrite import EngineRewriter
from bailiwick.sql.snapshot import snapshot

HERE = Path(__file__).parent
POLICY = (HERE / "trino_shop.yaml").read_text()
_TABLES = {
    ("hive.shop", "customers"): (
        "id bigint, name text, email text, phone text, born date, balance numeric(12,2), tenant integer, vip boolean,"
        " ssn text"
    ),
    ("hive.shop", "orders"): (
        "id bigint, customer bigint, status text, placed timestamp without time zone, amount double precision,"
        " note text"
    ),
    ("iceberg.public", "products"): "sku text, name text, price numeric(38,0), secret text",
    ("hive.hr", "payroll"): "id bigint, salary numeric(12,2)",
}
_NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def _column(declared: str) -> LockedColumn:
    name, _, kind = declared.strip().partition(" ")
    return LockedColumn(name, kind)


def lock() -> Lock:
    """Return what was accepted of the lake."""
    found: dict[tuple[str, str], LockedTable] = {}
    for (schema, name), declared in _TABLES.items():
        columns = tuple(map(_column, declared.replace("numeric(12,2)", "numeric(12;2)").split(", ")))
        columns = tuple(LockedColumn(each.name, each.type.replace(";", ",")) for each in columns)
        found[schema, name] = LockedTable(schema, name, "r", columns)
    return Lock({"lake": found})


def rewriter(agent: str) -> EngineRewriter:
    """Return the rewriter of an agent's session."""
    policy = load({"policy.yaml": POLICY}).policy
    assert policy is not None
    session = Session("ses_1", agent, User("ada"), None, {}, "7", _NOW, _NOW + timedelta(hours=1), None)
    scope = effective_scope(policy, lock(), session)
    return EngineRewriter(scope, snapshot(policy.mounts["lake"], lock()), "lake", "trino")
