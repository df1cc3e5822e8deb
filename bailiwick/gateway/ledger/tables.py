"""Records as tables of DuckDB: for SQL over the ledger and its archive, and for Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, cast

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.ledger.reader import Stored
from bailiwick.ledger.encode import read
from bailiwick.sql.quote import text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COLUMNS = {
    "seq": "BIGINT",
    "time": "TIMESTAMPTZ",
    "id": "VARCHAR",
    "kind": "VARCHAR",
    "agent": "VARCHAR",
    "person": "VARCHAR",
    "session": "VARCHAR",
    "task": "VARCHAR",
    "chain": "VARCHAR[]",
    "mount": "VARCHAR",
    "actions": "VARCHAR[]",
    "fields": "JSON",
    "labels": "VARCHAR[]",
    "statement": "VARCHAR",
    "purpose": "VARCHAR",
    "decision": "VARCHAR",
    "code": "VARCHAR",
    "message": "VARCHAR",
    "grants": "VARCHAR[]",
    "policy": "VARCHAR",
    "refers": "VARCHAR",
    "rows": "BIGINT",
    "bytes": "BIGINT",
    "duration_us": "BIGINT",
    "detail": "JSON",
}
"""The columns of the table `records` and their types; what a record does not have is NULL.

Named as the members of records, except for two that are words of SQL.
"""
_MEMBERS = {"time": "at", "person": "user"}

VIEWS = """
CREATE VIEW accesses AS
  SELECT seq, time, agent, person, session, mount, decision, code, action,
    split_part(action, ':', 1) AS resource, split_part(action, ':', 2) AS verb
  FROM (SELECT *, unnest(actions) AS action FROM records);
CREATE VIEW touched AS
  SELECT seq, time, agent, person, session, mount, decision, key AS resource, unnest(value::VARCHAR[]) AS field
  FROM records, json_each(records.fields);
CREATE VIEW calls AS
  SELECT i.* REPLACE (
    coalesce(o.code, i.code) AS code, coalesce(o.rows, i.rows) AS rows, coalesce(o.bytes, i.bytes) AS bytes,
    coalesce(o.duration_us, i.duration_us) AS duration_us),
    CASE i.kind WHEN 'call' THEN 'known' ELSE if(o.id IS NULL, 'unknown', 'known') END AS outcome
  FROM records i LEFT JOIN records o ON o.kind = 'outcome' AND o.refers = i.id WHERE i.kind IN ('call', 'intent');
"""
_REMEDY = "install `bailiwick[duckdb]`"
_MEMORY = 1024
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement answered."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]


class Tables(AbstractContextManager["Tables"]):
    """Records in a database of DuckDB's, in a folder of its own that goes with it. Raises ConfigError without DuckDB.

    After `lock` statements reach nothing but what was taken in.
    """

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise ConfigError("this needs DuckDB", remedy=_REMEDY) from None
        self._closing = ExitStack()
        self._folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="bailiwick-")))
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{_MEMORY}MB",
            "temp_directory": str(self._folder / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._connection: DuckDBPyConnection = duckdb.connect(self._folder / "records.duckdb", config=settings)
        self._error = duckdb.Error
        self._run("SET TimeZone = 'UTC'")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        self._run(f"CREATE TABLE records ({columns})")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._closing.close()

    def take(self, records: Iterable[Stored], went: Callable[[int], None] = lambda _: None) -> int:
        """Take records in and return how many; `went` hears how many so far. What is no record is left out."""
        path = self._folder / "records.jsonl"
        taken = 0
        with path.open("wb") as file:
            for each in records:
                if read(each.body) is None:
                    continue
                file.write(each.body + b"\n")
                taken += 1
                if taken % 10_000 == 0:
                    went(taken)
        named = ", ".join(f'"{_MEMBERS.get(name, name)}"' for name in COLUMNS)
        columns = ", ".join(f"{text(_MEMBERS.get(name, name))}: {text(kind)}" for name, kind in COLUMNS.items())
        self._run(
            f"INSERT INTO records SELECT {named} FROM read_json({text(str(path))}, format = 'newline_delimited', "  # noqa: S608 -- names of our own
            f"columns = {{{columns}}}, maximum_object_size = {_LARGEST})"
        )
        path.unlink()
        went(taken)
        return taken

    def take_parquet(self, pattern: str) -> None:
        """Take in the records of an archive's Parquet files, those that are not here yet. Raises LedgerError."""
        have = ", ".join(f'"{name}"' for name in COLUMNS)
        self._run(
            f"INSERT INTO records BY NAME SELECT {have} FROM read_parquet({text(pattern)}) "  # noqa: S608 -- names of our own
            "WHERE seq NOT IN (SELECT seq FROM records)"
        )

    def differing(self, path: Path) -> int:
        """Return how many rows a Parquet file has, or lacks, that these records do not say. Raises LedgerError."""
        columns = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in COLUMNS.items())
        there = f"SELECT {columns} FROM read_parquet({text(str(path))}, hive_partitioning = false)"  # noqa: S608 -- names of our own
        either = f"(FROM records EXCEPT ALL ({there})) UNION ALL (({there}) EXCEPT ALL FROM records)"
        found = self._run(f"SELECT count(*) FROM ({either})").fetchone()  # noqa: S608 -- likewise
        return int(found[0]) if found is not None else 0

    def write_parquet(self, path: Path) -> None:
        """Write all of them to a Parquet file, the oldest first."""
        self._run(f"COPY (FROM records ORDER BY seq) TO {text(str(path))} (FORMAT parquet, COMPRESSION zstd)")

    def lock(self) -> None:
        """Make the views, and shut every door but the tables."""
        self._run(VIEWS)
        self._run("SET enable_external_access = false")
        self._run("SET lock_configuration = true")

    def ask(self, statement: str) -> Answer:
        """Return what a statement answers. Raises LedgerError, with DuckDB's own words."""
        found = self._run(statement)
        return Answer(tuple(column[0] for column in found.description or ()), found.fetchall())

    def _run(self, statement: str) -> DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except self._error as error:
            words = cast("str", error.args[0]) if error.args else "it failed"
            raise LedgerError(words.partition("\n\n")[0], remedy="`DESCRIBE records` lists the columns") from error
