"""A whole gateway before a MariaDB database, made by a script; asked beside the gateway as the administrator."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from bailiwick.gateway.config import load_config
from bailiwick.gateway.run import running
from bailiwick.mounts.sql.front import SqlMounts
from bailiwick.sql.engines.mariadb_words import literal
from tests.engines.engines_rig import Desk, lock_of
from tests.support.canary import leaks_in_files
from tests.support.mariadb import PASSWORD, MariaDB

_ACCOUNT = f"""
DROP DATABASE IF EXISTS shop; CREATE DATABASE shop CHARACTER SET utf8mb4; DROP USER IF EXISTS gateway@localhost;
CREATE USER gateway@localhost IDENTIFIED BY '{PASSWORD}';
"""
ALL_TABLES = "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO gateway@localhost;"


@dataclass(frozen=True, slots=True)
class MariaDesk(Desk):
    """A desk whose database is one of MariaDB."""

    server: MariaDB

    def state(self) -> bytes:
        """Return nothing."""
        return b""

    def dump(self) -> list[str]:
        """Return all that the tables hold."""
        found = self.direct("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1")
        return [f"{name}: {row}" for (name,) in found for row in self.direct(f"SELECT * FROM {name} ORDER BY 1")]

    def direct(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database itself."""
        return self.server.ask_in("shop", sql)


@contextlib.asynccontextmanager
async def maria_desk(
    server: MariaDB, folder: Path, policy: str, script: str, grants: str = ALL_TABLES
) -> AsyncGenerator[MariaDesk]:
    """Run a gateway before the database `shop`. Afterwards nothing of the canaries may stand in its files."""
    await asyncio.to_thread(server.execute, f"{_ACCOUNT}USE shop;{script}{grants}")
    home = folder / "home"
    home.mkdir(parents=True)
    environ = {"SHOP_URL": server.url()}
    (home / "policy.yaml").write_text(policy)
    (home / "gateway.yaml").write_text("environment: staging\n")
    (home / "bailiwick.lock").write_text(await lock_of(policy, home, environ))
    config = load_config(home / "policy.yaml", environ)
    mounts = SqlMounts(config)
    async with running(home / "policy.yaml", config, environ, [mounts]) as gateway:
        yield MariaDesk(folder, gateway, mounts, server)
    assert leaks_in_files(home) == []


_TYPES = {"INTEGER": "BIGINT", "TEXT": "VARCHAR(200)", "NUMERIC": "DECIMAL(20,2)", "TIMESTAMP": "DATETIME"}


def as_mariadb(path: Path) -> str:
    """Return a script that makes the tables of a SQLite file, with their rows."""
    parts: list[str] = []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table,)).fetchall()
            listed = [f"{name} {_TYPES[kind]}" for name, kind, _ in columns]
            key = [name for name, _, place in sorted(columns, key=lambda column: column[2]) if place]
            listed += [f"PRIMARY KEY ({', '.join(key)})"] if key else []
            parts.append(f"CREATE TABLE {table} ({', '.join(listed)});")
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
            parts.append(f"INSERT INTO {table} VALUES {values};")
    return "".join(parts)
