# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
"""sqlglot's dialects, with functions left plain calls of their names: it would translate those that it knows.

Its tables of parsers have no types, hence the first line.
"""

from __future__ import annotations

from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.sqlite import SQLite
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.parsers.sqlite import SQLiteParser


class _PlainSQLite(SQLite):
    class Parser(SQLiteParser):
        FUNCTIONS = {}  # noqa: RUF012  # here and below: sqlglot's own way to be configured
        FUNCTION_PARSERS = {"CAST": SQLiteParser.FUNCTION_PARSERS["CAST"]}  # noqa: RUF012
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": SQLiteParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012


class _PlainDuckDB(DuckDB):
    class Parser(DuckDBParser):
        FUNCTIONS = {}  # noqa: RUF012
        FUNCTION_PARSERS = {name: DuckDBParser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT")}  # noqa: RUF012
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": DuckDBParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012


GRAMMARS: dict[str, Dialect] = {"sqlite": _PlainSQLite(), "duckdb": _PlainDuckDB()}
