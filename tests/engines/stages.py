"""The same tables before each engine, made by one script in SQLite's words, behind one policy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.engines.duckdb_rig import DuckDesk, make_duckdb
from tests.engines.engines_rig import Desk, desk, make_database
from tests.engines.mariadb_rig import MariaDesk, as_mariadb, maria_desk
from tests.support.installed import programs
from tests.support.mariadb import MariaDB

_INSTALLED = ["sqlite", "duckdb", *(["mariadb"] if programs()["mariadb"] else [])]
ENGINES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in _INSTALLED]
"""For a fixture: every engine that can be had here."""
FILES = ENGINES[:2]
"""Those that know more kinds of writes."""


def in_duckdb(script: str) -> str:
    """Return a script for SQLite in DuckDB's words."""
    found = re.sub(r" REFERENCES \w+\(\w+\)", "", script)
    return found.replace("NUMERIC", "DECIMAL(18, 3)").replace("||g||", "||g::VARCHAR||")


@contextlib.asynccontextmanager
async def stage(engine: str, folder: Path, policy: str, script: str, server: MariaDB | None) -> AsyncGenerator[Desk]:
    """Run a gateway before the tables of a script. The policy is one for a file of SQLite, `../shop.db`."""
    if engine == "sqlite":
        async with desk(folder, policy, script) as found:
            yield found
    elif engine == "duckdb":
        changed = policy.replace("engine: sqlite", "engine: duckdb")
        async with desk(folder, changed, in_duckdb(script), make=make_duckdb, kind=DuckDesk) as found:
            yield found
    else:
        assert server is not None
        make_database(folder / "script.db", script)
        changed = policy.replace("engine: sqlite\n    file: ../shop.db", "engine: mariadb\n    url: ${SHOP_URL}")
        changed = re.sub(r"table: (\w+)", r"table: shop.\1", changed)
        async with maria_desk(server, folder, changed, as_mariadb(folder / "script.db")) as found:
            yield found


def refill(desk: Desk, script: str) -> None:
    """Have the tables hold again what a script put there."""
    if isinstance(desk, DuckDesk):
        changed = in_duckdb(script)
        tables = desk.direct("SELECT table_name FROM duckdb_tables() WHERE database_name = 'bailiwick'")
        desk.restore("".join(f"DELETE FROM {name};" for (name,) in tables) + changed[changed.index("INSERT INTO") :])
    elif isinstance(desk, MariaDesk):
        tables = desk.direct("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'")
        listed = ", ".join(str(name) for (name,) in tables)
        desk.server.execute(f"USE shop; DROP TABLE IF EXISTS {listed};" + as_mariadb(desk.folder / "script.db"))
    else:
        desk.restore(script)
