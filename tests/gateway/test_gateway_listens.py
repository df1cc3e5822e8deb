"""The gateway listens for what its policy has, and for nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bailiwick.gateway.config import load_config
from bailiwick.gateway.run import running
from bailiwick.mounts.postgres.front import PostgresFront
from bailiwick.mounts.sql.front import SqlMounts
from tests.engines.engines_rig import lock_of, make_database
from tests.support.postgres import Database

FILE = """
bailiwick: 1
mounts:
  shop: {kind: sql, engine: sqlite, file: shop.db, resources: {words: {table: words}}}
"""
BOTH = (
    FILE
    + """\
  crm: {kind: postgres, url: "${CRM_URL}", resources: {notes: {table: public.notes}}}
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="bwlisten"))  # the socket's path has to be short
    make_database(made / "shop.db", "CREATE TABLE words (word TEXT);")
    yield made
    shutil.rmtree(made)


async def test_the_port_of_postgresql_is_open_only_where_a_mount_needs_it(folder: Path, database: Database) -> None:
    with psycopg.connect(database.url()) as connection:
        connection.execute("CREATE TABLE notes (id integer PRIMARY KEY)")
    environ = {"CRM_URL": database.url()}
    policy, lock = folder / "policy.yaml", folder / "bailiwick.lock"
    policy.write_text(FILE)
    lock.write_text(await lock_of(FILE, folder, environ))
    config = load_config(policy, environ)
    async with running(policy, config, environ, [SqlMounts(config), PostgresFront(config)]) as gateway:
        assert gateway.addresses() == {}
        policy.write_text(BOTH)
        lock.write_text(await lock_of(BOTH, folder, environ))
        assert gateway.reloader is not None
        refused = await gateway.reloader.reload()
        assert refused is not None
        assert "does not listen for PostgreSQL" in refused.message
        assert set(gateway.ready.force.policy.mounts) == {"shop"}
    async with running(policy, config, environ, [SqlMounts(config), PostgresFront(config)]) as gateway:
        assert set(gateway.addresses()) == {"postgres"}
        assert gateway.reloader is not None
        policy.write_text(FILE)
        assert await gateway.reloader.reload() is None
        policy.write_text(BOTH)
        assert await gateway.reloader.reload() is None
