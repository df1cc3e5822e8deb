"""The issuer and the gateway of the tests of identity, started once for each module."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from identity_world import NODE, POLICY, ROWS, SECRET, World

from tests.support.gateway import running_gateway


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    modules = Path(sys.prefix) / "node" / "node_modules"
    script = (Path(__file__).parent / "issuer.mjs").read_text()
    copy = modules.parent / f"issuer-{os.getpid()}.mjs"  # where its imports are found
    copy.write_text(script)
    process = subprocess.Popen([str(NODE), str(copy)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = next(line.strip() for line in process.stdout if line.startswith("http://"))
        yield url
    finally:
        process.kill()
        process.wait(30)
        copy.unlink()


@pytest.fixture(scope="module")
def world(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("shop") / "shop.db"
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, tenant_id INTEGER, region TEXT, note TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    settings = f"""
api: {{port: 0}}
issuers:
  login: {{issuer: "{issuer}", audience: bailiwick, tenant: tenant, claims: [region], roles: {{auditor: [sales]}}}}
clients:
  desk: {{agent: desk-bot, secret: "${{DESK_SECRET}}"}}
  admin: {{roles: [administrator], secret: "${{DESK_SECRET}}"}}
  watcher: {{roles: [viewer], secret: "${{DESK_SECRET}}"}}
"""
    policy = POLICY.replace("file: shop.db", f"file: {file}")
    with running_gateway(policy, {"DESK_SECRET": SECRET}, settings) as gateway:
        yield World(issuer, gateway)
