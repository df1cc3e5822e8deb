"""One issuer and one gateway for all tests of the console; they run in one process of pytest."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from console_world import POLICY, ROWS, SCRIPT, SECRET, SETTINGS, World

from tests.http.conftest import API, listens
from tests.support.gateway import running_gateway
from tests.support.installed import programs
from tests.support.issuer import running_issuer
from tests.support.postgres import GATEWAY_ROLE, Server, free_port

collect_ignore = [] if programs()["chromium"] else ["test_console_browser.py"]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> Iterator[World]:
    database = postgres.create(SCRIPT, GATEWAY_ROLE)
    file = tmp_path_factory.mktemp("shop") / "shop.db"
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, tenant_id INTEGER, region TEXT, note TEXT)")
        shop.execute("CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT, ssn TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    port, reached = free_port(), file.with_name("reached")
    policy = POLICY.replace("file: shop.db", f"file: {file}").replace("PORT", str(port))
    with running_issuer() as issuer, running_api(port, reached):
        settings = SETTINGS.format(issuer=issuer)
        environ = {"CONSOLE_SECRET": SECRET, "CRM_URL": database.url("gw", "gw")}
        with running_gateway(policy, environ, settings) as gateway:
            yield World(issuer, gateway, database, reached)


@contextmanager
def running_api(port: int, reached: Path) -> Generator[None]:
    api = subprocess.Popen([sys.executable, API, str(port), str(reached)])
    try:
        listens(port)
        yield
    finally:
        api.kill()
        api.wait(30)
