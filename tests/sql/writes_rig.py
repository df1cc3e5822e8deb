"""Writes through a scope built by hand, against a real server, as the mount runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import pq

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.decision import Denial
from bailiwick.model.matcher import Equal, OneOf
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope, WriteGrant
from bailiwick.model.value import Ref
from bailiwick.mounts.postgres.values import type_oid
from bailiwick.sql.plan import COUNTS, OUTSIDE, Bound, Plan
from bailiwick.sql.rewrite import Rewriter
from tests.support.postgres import Database

SCRIPT = """
CREATE SCHEMA shop;
CREATE TABLE shop.items (
  tenant int NOT NULL, id int NOT NULL, owner int, kind text, n int, note varchar(40),
  secret text NOT NULL DEFAULT 'CANARY_DEFAULT', PRIMARY KEY (tenant, id)
);
CREATE TABLE shop.orders (id int PRIMARY KEY, item int, status text, total int, code text UNIQUE);
CREATE TABLE shop.log (line int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant int NOT NULL, about int, what text);
CREATE TABLE shop.parts (region text NOT NULL, id int NOT NULL, n int, PRIMARY KEY (region, id))
  PARTITION BY LIST (region);
CREATE TABLE shop.parts_eu PARTITION OF shop.parts FOR VALUES IN ('eu');
CREATE TABLE shop.parts_us PARTITION OF shop.parts FOR VALUES IN ('us');
CREATE TABLE shop.stock (id int PRIMARY KEY, place int, zone int GENERATED ALWAYS AS (place / 10) STORED, n int);
CREATE TABLE shop.moved (id int PRIMARY KEY, place int, zone int, n int);
CREATE FUNCTION shop.rezone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.zone := NEW.place / 10; RETURN NEW; END';
CREATE TRIGGER rezone BEFORE UPDATE ON shop.moved FOR EACH ROW EXECUTE FUNCTION shop.rezone();
INSERT INTO shop.stock (id, place, n) VALUES (1, 11, 1), (2, 12, 2), (3, 21, 3);
INSERT INTO shop.moved VALUES (1, 11, 1, 1), (2, 12, 1, 2), (3, 21, 2, 3);
INSERT INTO shop.items VALUES
  (7, 1, 10, 'a', 5, 'first', 'CANARY_1'), (7, 2, 10, 'b', 6, 'second', 'CANARY_2'),
  (7, 3, 11, 'a', 7, 'CANARY_other', 'CANARY_3'), (8, 1, 10, 'a', 0, 'CANARY_foreign', 'CANARY_4'),
  (8, 4, 12, 'c', 9, 'CANARY_foreign4', 'CANARY_5');
INSERT INTO shop.orders VALUES (1, 1, 'open', 100, 'CANARY_code1'), (2, 2, 'open', 200, 'CANARY_code2'),
  (3, 3, 'closed', 300, 'CANARY_code3');
INSERT INTO shop.log (tenant, about, what) VALUES (7, 1, 'made'), (8, 1, 'CANARY_log');
INSERT INTO shop.parts VALUES ('eu', 1, 1), ('us', 1, 10), ('us', 2, 20);
"""

VALUES: dict[tuple[str, ...], str] = {("tenant",): "7", ("owner",): "10", ("region",): "eu"}
ITEMS = Resource("items", "crm", "shop", "items", ("tenant", "id"), "tenant")
ORDERS = Resource("orders", "crm", "shop", "orders", ("id",))
LOG = Resource("log", "crm", "shop", "log", ("line",), "tenant")
STOCK = Resource("stock", "crm", "shop", "stock", ("id",))
MOVED = Resource("moved", "crm", "shop", "moved", ("id",))
PARTS = Resource("parts", "crm", "shop", "parts", ("region", "id"))
MINE = RowFilter((("owner", Equal(Ref(("owner",)))),))
SHOWN = ("tenant", "id", "owner", "kind", "n", "note")


def grant(fields: Sequence[str], rows: RowFilter | None = None, **values: OneOf) -> WriteGrant:
    """Return a right to write these fields, of these rows, with these values."""
    return WriteGrant("w", rows or RowFilter(), frozenset(fields), dict(values))


def read(fields: Sequence[str], rows: RowFilter | None = None) -> ReadGrant:
    """Return a right to read these fields of these rows."""
    return ReadGrant("r", rows or RowFilter(), dict.fromkeys(fields))


def shop(items: ResourceScope | None = None) -> dict[str, ResourceScope]:
    """Return the usual scope: a tenant's items, all orders, the tenant's log, one region's parts."""
    every = ("id", "item", "status", "total")
    here = RowFilter((("region", Equal(Ref(("region",)))),))
    return {
        "items": items
        or ResourceScope(
            ITEMS,
            (read(SHOWN),),
            (grant(("kind", "n", "note", "owner"), kind=OneOf(("a", "b"))),),
            (grant(("tenant", "id", "owner", "kind", "n", "note"), kind=OneOf(("a", "b"))),),
            (grant((), RowFilter((("kind", Equal("a")),))),),
        ),
        "orders": ResourceScope(ORDERS, (read(every),), (grant(every),), (grant((*every, "code")),), (grant(()),)),
        "log": ResourceScope(LOG, (read(("line", "tenant", "about", "what")),), (), (grant(("about", "what")),)),
        "parts": ResourceScope(
            PARTS,
            (read(("region", "id", "n"), here),),
            (grant(("region", "id", "n")),),
            (grant(("region", "id", "n")),),
            (grant(()),),
        ),
    }


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a statement: rows, or a denial's code or the server's SQLSTATE."""

    code: str = ""
    rows: tuple[tuple[str | None, ...], ...] = ()
    columns: tuple[str, ...] = ()
    affected: int = 0
    inner: tuple[int, ...] = ()
    message: str = field(default="", compare=False)


class Bench:
    """One database and rewriters over it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        resources = {each.name: each for each in (ITEMS, ORDERS, LOG, PARTS, STOCK, MOVED)}
        self.mount = Mount("crm", "postgres", SecretRef("${URL}"), resources, sql=True)
        locked = asyncio.run(read_tables(database.url(), {(each.schema, each.table) for each in resources.values()}))
        self.catalogue = asyncio.run(read_catalogue(database.url(), self.mount, locked))
        self.connection = psycopg.connect(database.url(), options="-c search_path=pg_catalog,pg_temp")
        self.rewriter = self.rewriter_of(shop())

    def rewriter_of(self, scopes: dict[str, ResourceScope]) -> Rewriter:
        """Return a rewriter of that scope."""
        return Rewriter(Scope("s", "bot", scopes), self.catalogue, "crm")

    def state(self) -> dict[str, list[tuple[object, ...]]]:
        """Return every row of every table, those that nobody may see included."""
        tables = ("items", "orders", "log", "parts")
        return {name: self.database.rows(f"SELECT * FROM shop.{name} ORDER BY 1, 2") for name in tables}

    def run(self, sql: str, *values: str, rewriter: Rewriter | None = None, keep: bool = False) -> Said:
        """Run a statement of the agent. What it did is undone unless `keep`."""
        (plan,) = (rewriter or self.rewriter).rewrite(sql)
        if isinstance(plan, Denial):
            return Said(plan.code, message=f"{plan.message} | {plan.allowed} | {plan.remedy}")
        said = execute(self.connection.pgconn, plan, values)
        self.connection.pgconn.exec_(b"COMMIT" if keep and not said.code else b"ROLLBACK")
        return said


def execute(raw: pq.abc.PGconn, plan: Plan, values: Sequence[str] = ()) -> Said:
    """Run a plan in a transaction that is left open. It is denied where the mount would have denied it."""
    raw.exec_(f"BEGIN; SELECT set_config('{COUNTS}', '', true)".encode())
    own = [value.encode() for value in values]
    bound = [_value(each) for each in plan.bound]
    types = [0] * len(own) + [type_oid(each.type) for each in plan.bound]
    result = raw.exec_params(plan.sql.encode(), [*own, *bound], types)
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        message = result.error_message.decode()
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        outside = OUTSIDE in message or (plan.blind and state == "23505")
        return Said("row_out_of_scope" if outside else state, message=f"{message}\n{plan.sql}")
    width = result.nfields - plan.checked
    if plan.checked and any(result.get_value(row, width) != b"t" for row in range(result.ntuples)):
        return Said("row_out_of_scope", message=plan.sql)
    inner = _counts(raw, plan)
    if inner is None:
        return Said("uncounted", message=plan.sql)
    rows = tuple(tuple(_cell(result, row, column) for column in range(width)) for row in range(result.ntuples))
    names = tuple((result.fname(column) or b"").decode() for column in range(width))
    return Said("", rows if plan.returns else (), names, result.command_tuples or 0, inner, plan.sql)


def _counts(raw: pq.abc.PGconn, plan: Plan) -> tuple[int, ...] | None:
    """Return how many rows the WITH queries wrote; None when that cannot be told."""
    if not plan.inner:
        return ()
    found = raw.exec_(f"SELECT current_setting('{COUNTS}', true)".encode()).get_value(0, 0)
    counts = tuple(int(each) for each in found.split(b",")) if found else None
    return counts if counts is not None and len(counts) == len(plan.inner) else None


def _value(bound: Bound) -> bytes | None:
    assert isinstance(bound.source, Ref)
    found = VALUES.get(bound.source.path)
    return None if found is None else found.encode()


def _cell(result: pq.abc.PGresult, row: int, column: int) -> str | None:
    found = result.get_value(row, column)
    return None if found is None else found.decode()
