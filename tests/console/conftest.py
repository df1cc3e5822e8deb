"""One issuer and one gateway for all tests of the console; they run in one process of pytest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from console_world import POLICY, ROWS, SCRIPT, SECRET, SETTINGS, World

from tests.support.gateway import running_gateway
from tests.support.issuer import running_issuer
from tests.support.postgres import GATEWAY_ROLE, Server


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> Iterator[World]:
    database = postgres.create(SCRIPT, GATEWAY_ROLE)
    file = tmp_path_factory.mktemp("shop") / "shop.db"
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, tenant_id INTEGER, region TEXT, note TEXT)")
        shop.execute("CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT, ssn TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    policy = POLICY.replace("file: shop.db", f"file: {file}")
    with running_issuer() as issuer:
        settings = SETTINGS.format(issuer=issuer)
        environ = {"CONSOLE_SECRET": SECRET, "CRM_URL": database.url("gw", "gw")}
        with running_gateway(policy, environ, settings) as gateway:
            yield World(issuer, gateway, database)
