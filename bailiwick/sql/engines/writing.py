"""What differs between engines where they write: how rows that were written are found again, and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines.duckdb_names import TEMPORARY
from bailiwick.sql.engines.mariadb_words import is_number, plain_text


class Writing(Protocol):
    """One engine."""

    exact: frozenset[str]
    """Types whose values a unique key tells apart as the policy's conditions do; numerics by their plain name."""
    temporary: str
    """The schema of tables of ours; empty where there are none, and then no ON CONFLICT."""

    by_row: bool
    """Whether a row that was written is known by the engine's own identity of rows; otherwise it is by its key."""

    keys: frozenset[str]
    """Types of columns that tell rows apart whose values can be given back to the database as they came."""

    def is_aggregate(self, function: str, arguments: int) -> bool:
        """Whether a function that agents may call is about more than one row."""
        ...

    def told(self, column: str) -> str:
        """Return a column of the key as the mount is told it."""
        ...

    def among(self, identity: Sequence[str], key: Sequence[Column], rows: str) -> str:
        """Return whether an identity is one of the `rows`, a parameter that the mount fills."""
        ...

    def same(self, first: str, second: str, column: Column) -> str:
        """Return whether two values of a column are the same to a unique key."""
        ...


_SQLITE_AGGREGATES = """
sum group_concat json_group_array json_group_object count avg total
"""


class SQLiteWriting:
    """SQLite: a row is known by its rowid. A key compares by its column's collation, and so does this."""

    exact: frozenset[str] = frozenset({"bigint", "numeric", "text", "boolean"})
    temporary: str = "temp"
    by_row: bool = True
    keys: frozenset[str] = frozenset()

    def is_aggregate(self, function: str, arguments: int) -> bool:
        """Whether it is about more than one row: `min` and `max` of one value are."""
        return function in _SQLITE_AGGREGATES.split() or (function in ("min", "max") and arguments == 1)

    def told(self, column: str) -> str:
        """Return it as it is."""
        return column

    def among(self, identity: Sequence[str], key: Sequence[Column], rows: str) -> str:  # noqa: ARG002
        """Return whether it is one of a list in JSON."""
        return f"{identity[0]} IN (SELECT value FROM json_each({rows}))"  # noqa: S608  # our own names, here and below

    def same(self, first: str, second: str, column: Column) -> str:  # noqa: ARG002
        """Return whether values are the same."""
        return f"{first} = {second}"


_DUCKDB_AGGREGATES = """
count min max sum avg mean any_value arbitrary first last median mode quantile quantile_cont quantile_disc
approx_count_distinct approx_quantile count_if countif fsum favg product bool_and bool_or bit_and bit_or bit_xor
stddev stddev_pop stddev_samp var_pop var_samp variance corr covar_pop covar_samp skewness kurtosis entropy mad
regr_slope regr_intercept regr_r2 regr_count regr_avgx regr_avgy regr_sxx regr_syy regr_sxy
arg_max arg_min max_by min_by string_agg group_concat listagg list array_agg histogram
"""
_DUCKDB_EXACT = """
smallint;integer;bigint;numeric;text;uuid;boolean;date;timestamp without time zone;timestamp with time zone
"""


class DuckDBWriting:
    """DuckDB: a row's identity does not outlast its change, so rows are known by their key, as text. Keys compare
    texts by their characters, whatever a column's collation says."""

    exact: frozenset[str] = frozenset(_DUCKDB_EXACT.strip().split(";"))
    temporary: str = TEMPORARY
    by_row: bool = False
    keys: frozenset[str] = exact

    def is_aggregate(self, function: str, arguments: int) -> bool:  # noqa: ARG002
        """Whether it is about more than one row."""
        return function in _DUCKDB_AGGREGATES.split()

    def told(self, column: str) -> str:
        """Return it as text."""
        return f"CAST({column} AS VARCHAR)"

    def among(self, identity: Sequence[str], key: Sequence[Column], rows: str) -> str:  # noqa: ARG002
        """Return whether it is one of a list of lists."""
        return f"[{', '.join(identity)}] IN (SELECT unnest(CAST({rows} AS VARCHAR[][])))"

    def same(self, first: str, second: str, column: Column) -> str:
        """Return whether values are the same."""
        return f'({first} COLLATE "binary") = {second}' if column.type == "text" else f"{first} = {second}"


_MARIADB_AGGREGATES = """
sum avg std stddev stddev_pop stddev_samp var_pop var_samp variance group_concat json_arrayagg json_objectagg
min max count median
"""


class MariaDBWriting:
    """MariaDB: rows are known by their key."""

    exact: frozenset[str] = frozenset()
    temporary: str = ""
    by_row: bool = False
    keys: frozenset[str] = frozenset({"smallint", "integer", "bigint", "text"})

    def is_aggregate(self, function: str, arguments: int) -> bool:  # noqa: ARG002
        """Whether it is about more than one row."""
        return function in _MARIADB_AGGREGATES.split()

    def told(self, column: str) -> str:
        """Return it as it is."""
        return column

    def among(self, identity: Sequence[str], key: Sequence[Column], rows: str) -> str:
        """Return whether it is one of a list of lists in JSON."""
        kinds = ["DECIMAL(38,0)" if is_number(each.type) else "LONGTEXT" for each in key]
        columns = [f"`k{place}` {kind} PATH '$[{place}]'" for place, kind in enumerate(kinds)]
        table = f"JSON_TABLE({rows}, '$[*]' COLUMNS ({', '.join(columns)})) AS `j`"
        same = [
            self.same(each, f"`j`.`k{place}`", column)
            for place, (each, column) in enumerate(zip(identity, key, strict=True))
        ]
        return f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(same)})"  # noqa: S608

    def same(self, first: str, second: str, column: Column) -> str:
        """Return whether values are the same."""
        if is_number(column.type):
            return f"{first} = {second}"
        return f"{plain_text(first)} = {plain_text(second)}"
