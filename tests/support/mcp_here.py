"""A gateway that runs in the tests' process, in front of the MCP server of the tests: faults can be put into it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bailiwick.gateway.config import load_config
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.run import Running, running
from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.mounts.mcp.front import McpFront
from bailiwick.mounts.sql.front import SqlMounts
from tests.mcp.conftest import SECRET, policy_in
from tests.support.gateway import prepare_gateway
from tests.support.mcp_client import McpClient


@dataclass(frozen=True, slots=True)
class Here:
    """A gateway in this process, with one session."""

    gateway: Running
    client: McpClient
    folder: Path

    async def ask(self, method: str, **params: object) -> dict[str, object]:
        return (await asyncio.to_thread(self.client.ask, method, params)).json

    def told(self, code: str) -> list[dict[str, object]]:
        """Return the records with a code."""
        reader = open_reader(self.gateway.config.ledger)
        try:
            every = [json.loads(each.body) for each in reader.query(Query(limit=1000))]
        finally:
            reader.close()
        assert "CANARY" not in str(every)
        return [each for each in every if each.get("code") == code]


@asynccontextmanager
async def here(environ: Mapping[str, str] | None = None) -> AsyncGenerator[Here]:
    """Run a gateway in this process. `environ`: more of its environment."""
    folder = Path(tempfile.mkdtemp(prefix="bwfault"))
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute("CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer, card text)")
    database.close()
    environ = {"DESK_SECRET": SECRET, **(environ or {})}
    try:
        await asyncio.to_thread(prepare_gateway, folder, policy_in(folder), environ)
        config = load_config(folder / "policy.yaml", environ)
        databases = SqlMounts(config)
        async with running(
            folder / "policy.yaml", config, environ, [databases, McpFront(config, [databases])]
        ) as gateway:
            wanted = Wanted(agent="tester", task=None, user=None, tenant="acorn", values={}, opener="tests")
            opened = await gateway.opener.open(wanted)
            assert isinstance(opened, Opened)
            yield Here(gateway, McpClient(gateway.addresses()["mcp"][1], opened.token), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
