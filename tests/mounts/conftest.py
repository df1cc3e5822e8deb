"""A gateway's front end on a real PostgreSQL, without policy: everything passes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from bailiwick.mounts.postgres.connection import Target
from bailiwick.mounts.postgres.server import Bounds, Server, serve_postgres
from bailiwick.mounts.postgres.translate import Planner
from bailiwick.mounts.postgres.upstream import read_url
from tests.mounts.fakes import Ledger, passing
from tests.support.postgres import Database
from tests.support.postgres import Server as Postgres

_SCRIPT = """
CREATE TABLE items (id int PRIMARY KEY, owner int NOT NULL, name text);
INSERT INTO items SELECT i, i % 4, 'item ' || i FROM generate_series(1, 100) i;
CREATE TABLE secrets (canary text);
INSERT INTO secrets VALUES ('CANARY');
"""


@dataclass(slots=True)
class Gateway:
    """One running front end."""

    server: Server
    ledger: Ledger
    database: Database
    mounts: dict[str, Target] = field(default_factory=dict[str, Target])

    def url(self, token: str = "secret-token", agent: str = "bot", mount: str = "crm") -> str:
        return f"postgresql://{agent}:{token}@127.0.0.1:{self.server.port}/{mount}"


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Iterator[Database]:
    """A database with items and secrets."""
    made = postgres.create(_SCRIPT)
    yield made
    made.drop()


@pytest.fixture
async def start(shop: Database) -> AsyncIterator[Start]:
    """Start gateways; they are closed after the test."""
    running: list[Server] = []

    async def begin(
        planner: Planner = passing,
        ledger: Ledger | None = None,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
    ) -> Gateway:
        ledger = ledger or Ledger()
        mounts = {"crm": Target(read_url(shop.url()))}
        server = await serve_postgres(mounts, ledger, planner, mask_key=b"k" * 32, tls=tls, bounds=bounds or Bounds())
        running.append(server)
        return Gateway(server, ledger, shop, mounts)

    yield begin
    for server in running:
        await server.close(1.0)


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    """A front end where everything passes."""
    return await start()
