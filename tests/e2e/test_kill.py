"""kill -9 at any moment: no effect and no reply without its record, the ledger verifies, clients get an error."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.postgres import Database, Server

SCRIPT = """
CREATE TABLE public.notes (note_id serial PRIMARY KEY, worker int NOT NULL, number int NOT NULL);
CREATE TABLE public.facts (fact_id int PRIMARY KEY, text text NOT NULL);
INSERT INTO public.facts SELECT g, 'fact ' || g FROM generate_series(1, 200) g;
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${KILL_URL}
    resources:
      notes: {table: public.notes, key: note_id}
      facts: {table: public.facts, key: fact_id}
roles:
  r:
    grants:
      - {allow: facts:read, reason: a load of reads}
      - {allow: notes:read, reason: reads what it wrote}
      - {allow: notes:create, reason: a load of writes, fields: [worker, number]}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
"""


class Load:
    """Writers and readers that note every reply that they saw, until their connection fails."""

    def __init__(self, session: Credentials) -> None:
        self._session = session
        self._stop = threading.Event()
        self.written: list[tuple[int, int]] = []
        self.reads: list[int] = []
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(4)]
        for each in self.threads:
            each.start()

    def _work(self, worker: int) -> None:
        try:
            with psycopg.connect(self._session.url(), autocommit=True) as connection:
                number = 0
                while not self._stop.is_set():
                    number += 1
                    if worker % 2:
                        values = [worker, number]
                        connection.execute("INSERT INTO notes (worker, number) VALUES (%s, %s)", values)
                        self.written.append((worker, number))
                    else:
                        rows = connection.execute(
                            "SELECT text FROM facts WHERE fact_id <= %s", [number % 200]
                        ).fetchall()
                        self.reads.append(len(rows))
        except psycopg.Error as error:
            self.failures.append(str(error))

    def join(self) -> None:
        """Wait for the workers to notice that their gateway is gone."""
        for each in self.threads:
            each.join(20)
        self._stop.set()
        assert not any(each.is_alive() for each in self.threads), "a client was left waiting"


@pytest.fixture
def killed(postgres: Server) -> Iterator[tuple[RunningGateway, Database]]:
    upstream = postgres.create(SCRIPT)
    folder = Path(tempfile.mkdtemp(prefix="bwkl"))
    gateway = prepare_gateway(folder, POLICY, {"KILL_URL": upstream.url()})
    yield gateway, upstream
    gateway.stop()
    shutil.rmtree(folder, ignore_errors=True)
    upstream.drop()


def _records(gateway: RunningGateway, kind: str) -> int:
    """Count records of a kind through the command line, which reads the store of a gateway that is down."""
    done = gateway.say("ledger", "query", "--json", "--limit", "1000000")
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(
        f'"kind":"{kind}"' in line.replace(" ", "") and "notes:create" in line for line in done.stdout.splitlines()
    )


def _verified(gateway: RunningGateway) -> None:
    done = gateway.say("ledger", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_killed_gateway_leaves_no_effect_and_no_reply_unrecorded(killed: tuple[RunningGateway, Database]) -> None:
    gateway, upstream = killed
    draw = random.Random()
    replies = reads = 0
    for _ in range(3):
        gateway.start()
        load = Load(gateway.open_session("bot"))
        time.sleep(0.4 + draw.random())
        gateway.kill()
        load.join()
        replies += len(load.written)
        reads += len(load.reads)
        assert len(load.failures) == len(load.threads), "a client did not get an error"
        _verified(gateway)
    assert replies > 0
    assert reads > 0
    time.sleep(0.3)  # what was under way at the server ends
    effects = int(str(upstream.rows("SELECT count(*) FROM public.notes")[0][0]))
    intents = _records(gateway, "intent")
    outcomes = _records(gateway, "outcome")
    assert replies <= effects <= intents, "an effect without its intent, or a reply without its effect"
    assert replies <= outcomes <= intents, "a reply without its outcome"


def test_a_torn_ledger_file_is_noticed(killed: tuple[RunningGateway, Database]) -> None:
    gateway, _ = killed
    gateway.start()
    load = Load(gateway.open_session("bot"))
    time.sleep(0.5)
    gateway.kill()
    load.join()
    _verified(gateway)
    with sqlite3.connect(gateway.folder / ".bailiwick" / "ledger.db") as store:
        for trigger in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.execute(f'DROP TRIGGER "{trigger[0]}"')
        store.execute("DELETE FROM records WHERE seq = 5")
    assert gateway.say("ledger", "verify").returncode != 0
