"""A whole gateway before DuckDB files: made by scripts, asked beside the gateway on the instance that it has open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from bailiwick.gateway.backends.duckdb import INSTANCES, Place
from tests.engines.engines_rig import Desk


def make_duckdb(path: Path, script: str) -> None:
    """Make a DuckDB file; `{folder}` in the script is where it lies."""
    connection = duckdb.connect(path)
    try:
        connection.execute(script.replace("{folder}", str(path.parent)))
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class DuckDesk(Desk):
    """A desk whose database is one of DuckDB."""

    def state(self) -> bytes:
        """Return nothing."""
        return b""

    def dump(self) -> list[str]:
        """Return all that the tables hold."""
        found = self.direct("SELECT table_name FROM duckdb_tables() WHERE database_name = 'bailiwick' ORDER BY 1")
        return [f"{name}: {row}" for (name,) in found for row in self.direct(f"SELECT * FROM bailiwick.{name}")]

    def direct(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database itself."""
        with INSTANCES.cursor(Place(str(self.folder / "shop.db"))) as connection:
            connection.execute("USE bailiwick")
            return connection.execute(sql).fetchall()

    def restore(self, script: str) -> None:
        """Fill the tables anew."""
        with INSTANCES.cursor(Place(str(self.folder / "shop.db"), writes=True)) as connection:
            connection.execute("USE bailiwick")
            connection.execute(script)
