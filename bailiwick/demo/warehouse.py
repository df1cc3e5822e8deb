"""The SQLite file of the demonstration: the warehouse of the made-up desk, for all its tenants."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bailiwick.demo.dataset import CANARY, CUSTOMER, tenants
from bailiwick.demo.words import last_names

PARCEL = 601
"""The parcel with the boots in the wrong size."""
_tables = """
CREATE TABLE stock (stock_id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, item TEXT NOT NULL, size INTEGER,
  on_hand INTEGER NOT NULL, purchase_price TEXT NOT NULL);
CREATE TABLE parcels (parcel_id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, customer_id INTEGER NOT NULL,
  recipient TEXT NOT NULL, phone TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE supplier_contracts (supplier TEXT PRIMARY KEY, terms TEXT NOT NULL);
"""


def make_warehouse(path: Path) -> int:
    """Make the file. Returns the number of rows."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_tables)
        for table, rows in (("stock", list(_stock())), ("parcels", list(_parcels()))):
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608  # names of ours
        terms = [(name, f"{CANARY}terms_{place}") for place, name in enumerate(last_names)]
        connection.executemany("INSERT INTO supplier_contracts VALUES (?, ?)", terms)
        connection.commit()
        tables = ("stock", "parcels", "supplier_contracts")
        return sum(connection.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in tables)  # noqa: S608  # names of ours


def _stock() -> Iterator[tuple[int, str, str, int, int, str]]:
    number = 0
    for tenant, *_ in tenants:
        for item in ("Rugged boots", "Warm jacket"):
            for size in range(36, 47):
                number += 1
                yield number, tenant, item, size, size * 7 % 5, f"{CANARY}price_{number}"


def _parcels() -> Iterator[tuple[int, str, int, str, str, str]]:
    for number in range(1, 901):
        place = (number - 1) % len(tenants)
        tenant = tenants[place][0]
        if number == PARCEL:
            yield number, tenant, CUSTOMER, "Alan Ferrari", "+49 30 5550142", "delivered"
        else:
            status = "delivered" if number % 4 else "shipped"
            yield number, tenant, number * len(tenants) + place, f"{CANARY}name_{number}", f"{CANARY}phone", status
