"""The corpus' database with its policy's scope, on every PostgreSQL that the machine has."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psycopg

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.sql.catalogue import Catalogue, Visible, VisibleRelation
from tests.sql.introspection_cases import script
from tests.support.postgres import Cell, Database, Server

SHOWN: dict[str, tuple[str, ...] | None] = {
    "customers": ("customer_id", "name", "email", "region"),
    "orders": ("order_id", "customer_id", "status", "created_at"),
    "tickets": None,
    "kb_articles": None,
    "feelings": None,
}
"""Relation of `public` → columns that the policy shows; None: all."""

HIDDEN = (
    r"CANARY_\w+|\bssn\b|password_hash|payment_method|internal_notes|author_note|\bsalary\b|employee_records|hidden_mood"
    r"|agent_scope|v_all_customers|mv_customer_totals|kb_articles_drafts|events_19\d\d|events_default|invoice_seq"
    r"|orders_order_id_seq|\bhr_admin\b|\bapp_owner\b|\bpostgres_fdw\b|get_customer|customer_secret|run_sql|cust_ref"
    r"|customers_ssn_key|customers_region_ssn|customers_region_part|customers_lower"
)
"""What no answer of the virtual catalogue may hold."""


@dataclass(frozen=True, slots=True)
class Rig:
    database: Database
    connection: psycopg.Connection
    catalogue: Catalogue
    visible: Visible

    def value(self, expression: str) -> Cell:
        """Return an expression's value as the gateway's upstream would compute it."""
        return self.rows(f"SELECT {expression}")[0][0]

    def rows(self, sql: str) -> list[tuple[Cell, ...]]:
        """Run a statement under the search path that is pinned upstream."""
        cursor = self.connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def mount() -> Mount:
    """Return the mount of the corpus' policy."""
    resources = {name: Resource(name, "crm", "public", name) for name in SHOWN}
    return Mount("crm", "postgres", SecretRef("${CRM_URL}"), resources)


def visible(catalogue: Catalogue) -> Visible:
    """Return what the corpus' policy shows."""
    relations: list[VisibleRelation] = []
    for name, shown in SHOWN.items():
        found = catalogue.relations["public", name]
        columns = tuple(column for column in found.columns if shown is None or column.name in shown)
        relations.append(VisibleRelation(found.schema, name, found.oid, found.kind, columns, name == "tickets"))
    return Visible(tuple(relations), "support-bot", ("public",), "crm")


def make_rig(server: Server) -> Rig:
    """Build the database and read its catalogue."""
    database = server.create(script())
    locked = asyncio.run(read_tables(database.url(), None))
    catalogue = asyncio.run(read_catalogue(database.url(), mount(), locked))
    options = "-c search_path=pg_catalog,pg_temp"
    connection = psycopg.connect(database.url(), autocommit=True, options=options)
    return Rig(database, connection, catalogue, visible(catalogue))
