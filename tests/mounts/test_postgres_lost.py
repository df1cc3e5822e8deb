"""A whole gateway whose analysts are lost: the statement is denied and on record, everybody goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from bailiwick.gateway.config import load_config
from bailiwick.gateway.run import running
from bailiwick.mounts.postgres.analyst_process import Allowance
from bailiwick.mounts.postgres.aside import Aside
from bailiwick.mounts.postgres.front import PostgresFront
from tests.support.gateway import RunningGateway, prepare_gateway
from tests.support.postgres import Server

SCRIPT = """
CREATE TABLE public.facts (fact_id int PRIMARY KEY, text text NOT NULL);
INSERT INTO public.facts SELECT g, 'fact ' || g FROM generate_series(1, 9) g;
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${LOST_URL}
    resources:
      facts: {table: public.facts, key: fact_id}
roles:
  r: {grants: [{allow: facts:read, reason: reads them}, {allow: facts:create, fields: [fact_id, text], reason: adds}]}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
"""
FAULTY = (sys.executable, "-I", str(Path(__file__).with_name("faulty_analyst.py")))


@dataclass(slots=True)
class Lossy:
    """A gateway in this process."""

    gateway: RunningGateway

    async def connect(self) -> asyncpg.Connection:
        """Connect in a session of its own."""
        session = await asyncio.to_thread(self.gateway.open_session, "bot")
        return await asyncpg.connect(session.url())

    def denied(self) -> list[str]:
        """Return the statements that are on record as denied because nothing could read them."""
        done = self.gateway.say("ledger", "query", "--json", "--limit", "1000")
        records = [json.loads(line) for line in done.stdout.splitlines()]
        return [
            each["statement"]
            for each in records
            if (each.get("decision"), each.get("code")) == ("deny", "statement_unparsable")
        ]


@pytest.fixture
async def lossy(postgres: Server) -> AsyncIterator[Lossy]:
    upstream = postgres.create(SCRIPT)
    environ = {"LOST_URL": upstream.url()}
    folder = Path(tempfile.mkdtemp(prefix="bwlost"))
    gateway = await asyncio.to_thread(prepare_gateway, folder, POLICY, environ)
    config = load_config(gateway.policy, environ)
    front = PostgresFront(config, Aside(2, Allowance(processor=60.0, seconds=120.0), FAULTY))
    async with running(gateway.policy, config, environ, [front]) as started:
        gateway.port = started.addresses()["postgres"][1]
        yield Lossy(gateway)
    shutil.rmtree(folder)
    upstream.drop()


async def test_a_crash_over_a_statement_denies_it_and_nothing_else(
    lossy: Lossy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "bailiwick.aside")
    one, other = await lossy.connect(), await lossy.connect()
    for fault in ("fault_crash", "fault_exit"):
        with pytest.raises(asyncpg.PostgresError, match="could not be analysed") as refused:
            await one.fetch(f"SELECT {fault} FROM facts WHERE text = 'CANARY'")
        assert refused.value.sqlstate == "42601"
        assert await one.fetchval("SELECT text FROM facts WHERE fact_id = 3") == "fact 3"
        assert await other.fetchval("SELECT count(*) FROM facts") == 9
    assert len([each for each in caplog.messages if "was lost over a statement of session" in each]) == 2
    assert "CANARY" not in caplog.text
    assert sorted(await asyncio.to_thread(lossy.denied)) == [
        "SELECT fault_crash FROM facts WHERE text = $1",
        "SELECT fault_exit FROM facts WHERE text = $1",
    ]
    await one.close()
    await other.close()


async def test_a_crash_within_a_transaction_fails_that_transaction(lossy: Lossy) -> None:
    connection = await lossy.connect()
    await connection.execute("BEGIN")
    await connection.execute("INSERT INTO facts (fact_id, text) VALUES (70, 'seventy')")
    with pytest.raises(asyncpg.PostgresError, match="could not be analysed"):
        await connection.fetch("SELECT fault_crash FROM facts")
    assert await connection.execute("COMMIT") == "ROLLBACK"
    assert await connection.fetchval("SELECT count(*) FROM facts") == 9
    await connection.close()


async def test_while_one_statement_is_read_for_long_others_go_on_and_it_can_be_cancelled(lossy: Lossy) -> None:
    stuck, other = await lossy.connect(), await lossy.connect()
    waiting = asyncio.create_task(stuck.fetch("SELECT fault_sleep FROM facts"))
    for number in range(1, 6):
        assert await other.fetchval(f"SELECT text || '{number}'::text FROM facts WHERE fact_id = $1", number)
    assert await other.fetchval("SELECT count(*) FROM facts") == 9
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await stuck.fetchval("SELECT count(*) FROM facts") == 9
    await stuck.close()
    await other.close()
