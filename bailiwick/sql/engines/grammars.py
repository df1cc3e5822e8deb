# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
"""sqlglot's dialects, with functions left plain calls of their names: it would translate those that it knows.

Its tables of parsers have no types, hence the first line.
"""

from __future__ import annotations

import re

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.mysql import MySQL
from sqlglot.dialects.sqlite import SQLite
from sqlglot.dialects.trino import Trino
from sqlglot.generators.mysql import MySQLGenerator
from sqlglot.generators.sqlite import SQLiteGenerator
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.parsers.sqlite import SQLiteParser
from sqlglot.parsers.trino import TrinoParser

from bailiwick.sql.engines.mariadb_words import hexadecimal


class _PlainSQLite(SQLite):
    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """Return what stands behind `->` as it is: a label and a path are not the same in SQLite."""
        return path

    class Parser(SQLiteParser):
        FUNCTIONS = {}  # noqa: RUF012  # here and below: sqlglot's own way to be configured
        FUNCTION_PARSERS = {"CAST": SQLiteParser.FUNCTION_PARSERS["CAST"]}  # noqa: RUF012
        LAMBDAS = {}  # noqa: RUF012  # `f(a -> 'b')` is JSON
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": SQLiteParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012

    class Generator(SQLiteGenerator):
        TYPE_MAPPING = {  # noqa: RUF012
            **SQLiteGenerator.TYPE_MAPPING,
            exp.DType.DECIMAL: "NUMERIC",
            exp.DType.CHAR: "CHAR",
            exp.DType.VARCHAR: "VARCHAR",
        }


class _PlainDuckDB(DuckDB):
    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """Return what stands behind `->` as it is."""
        return path

    class Parser(DuckDBParser):
        FUNCTIONS = {}  # noqa: RUF012
        FUNCTION_PARSERS = {name: DuckDBParser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT")}  # noqa: RUF012
        LAMBDAS = {}  # noqa: RUF012
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": DuckDBParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012


class _PlainMySQL(MySQL):
    class Parser(MySQLParser):
        FUNCTIONS = {"TIMESTAMPDIFF": MySQLParser.FUNCTIONS["TIMESTAMPDIFF"]}  # noqa: RUF012
        FUNCTION_PARSERS = {name: MySQLParser.FUNCTION_PARSERS[name] for name in ("CAST", "EXTRACT", "GROUP_CONCAT")}  # noqa: RUF012
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": MySQLParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012

    class Generator(MySQLGenerator):
        def regexplike_sql(self, expression: exp.RegexpLike) -> str:
            """Return the operator: MariaDB has no REGEXP_LIKE."""
            return self.binary(expression, "REGEXP")

        def groupconcat_sql(self, expression: exp.GroupConcat) -> str:
            """Return the call; its separator may be no literal with a character set."""
            separator = self.sql(expression, "separator").removeprefix("_utf8mb4 ")
            return f"GROUP_CONCAT({self.sql(expression, 'this')}{f' SEPARATOR {separator}' if separator else ''})"

        TRANSFORMS = {  # noqa: RUF012
            kind: how
            for kind, how in MySQLGenerator.TRANSFORMS.items()
            if kind not in (exp.RegexpLike, exp.GroupConcat)
        }


class _PlainTrino(Trino):
    class Parser(TrinoParser):
        FUNCTIONS = {}  # noqa: RUF012
        FUNCTION_PARSERS = {name: TrinoParser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT")}  # noqa: RUF012
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {"CASE": TrinoParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012


class _WrittenMySQL(_PlainMySQL):
    """Writes texts in hexadecimal: nothing then depends on how the server reads quotes and backslashes."""

    class Generator(_PlainMySQL.Generator):
        def literal_sql(self, expression: exp.Literal) -> str:
            """Return the text of a literal."""
            text = str(expression.this)
            if expression.is_string:
                return hexadecimal(text)
            if not _NUMBER.fullmatch(text):
                self.unsupported("this number is not supported here")
            return text


_NUMBER = re.compile(r"[0-9]{1,65}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,3})?")
GRAMMARS: dict[str, Dialect] = {
    "sqlite": _PlainSQLite(),
    "duckdb": _PlainDuckDB(),
    "mariadb": _PlainMySQL(),
    "trino": _PlainTrino(),
}
WRITERS: dict[str, Dialect] = {**GRAMMARS, "mariadb": _WrittenMySQL()}
"""By which a statement is written that is executed; by `GRAMMARS` it is read, and written to be read again."""
