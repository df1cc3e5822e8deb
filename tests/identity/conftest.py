"""The issuer and the gateway of the tests of identity, started once for each module."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from identity_world import POLICY, ROWS, SECRET, World

from tests.support.gateway import running_gateway
from tests.support.issuer import running_issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running_issuer() as url:
        yield url


@pytest.fixture(scope="module")
def world(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("shop") / "shop.db"
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, tenant_id INTEGER, region TEXT, note TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    settings = f"""
api: {{port: 0}}
clearance: {{auditor: public}}
searches: {{denials: {{filter: "decision:deny"}}}}
issuers:
  login: {{issuer: "{issuer}", audience: bailiwick, tenant: tenant, claims: [region], roles: {{auditor: [sales]}}}}
clients:
  desk: {{agent: desk-bot, secret: "${{DESK_SECRET}}"}}
  admin: {{roles: [administrator], secret: "${{DESK_SECRET}}"}}
  watcher: {{roles: [viewer], secret: "${{DESK_SECRET}}"}}
authzen: {{subjects: {{employee: desk-bot}}, actions: {{can_see: read}}}}
"""
    policy = POLICY.replace("file: shop.db", f"file: {file}")
    with running_gateway(policy, {"DESK_SECRET": SECRET}, settings) as gateway:
        yield World(issuer, gateway)
