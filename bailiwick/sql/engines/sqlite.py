"""SQLite. Its columns hold values of any class, so a comparison looks at the value's class before its order.

Masks are functions that the mount registers (`OWN`), so that they show what they show in PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlglot import exp

from bailiwick.model.mask import Mask
from bailiwick.model.policy import Engine
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.grammar import CONFLICTS
from bailiwick.sql.engines.predicates import UNKNOWN
from bailiwick.sql.engines.tree import Node
from bailiwick.sql.engines.writing import SQLiteWriting, Writing
from bailiwick.sql.quote import ident, text

OWN = frozenset({"bw_partial", "bw_last4", "bw_hash", "bw_round"})
"""Functions that the mount registers, for masks. Agents cannot call them."""
_USED = frozenset({"typeof", "julianday", "substr", "length", "strftime", "coalesce", "glob"})
_NUMBERS = frozenset({"bigint", "double precision", "numeric"})
_MOMENTS = frozenset({"date", "timestamp without time zone"})
_LARGEST = 2**63 - 1

_QUIET = """
length lower upper substr substring trim ltrim rtrim instr coalesce ifnull nullif iif round sign typeof unicode
octet_length floor ceil ceiling trunc sqrt pow power exp ln log log2 log10 mod pi sin cos tan asin acos atan atan2
degrees radians random
min max count avg total date time datetime julianday strftime unixepoch
row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""
_LOUD = """
abs sum group_concat string_agg concat concat_ws
replace hex quote printf format json json_extract json_type json_valid json_array_length
json_array json_object json_group_array json_group_object json_quote json_patch json_set json_insert json_replace
json_remove char likelihood likely unlikely
"""
"""They can fail because of a value, or make large ones."""


class SQLite:
    """SQLite 3.35 and later."""

    engine: Engine = "sqlite"
    grammar = "sqlite"
    functions: Mapping[str, bool] = {name: name in _LOUD.split() for name in (_QUIET + _LOUD).split()}
    casts = frozenset({"INT", "BIGINT", "TEXT", "VARCHAR", "DOUBLE", "FLOAT", "DECIMAL", "CHAR"})
    fence = "LIMIT -1"
    loud = frozenset({"DPipe", "JSONExtract", "JSONExtractScalar"})
    always_loud = False
    collations = frozenset({"BINARY", "NOCASE", "RTRIM"})
    joins = frozenset({"NATURAL"})
    gaps: re.Pattern[str] | None = None
    by_key = False
    catalogs = False
    recursive = True
    writing: Writing | None = SQLiteWriting()
    lacks: frozenset[str] = frozenset()
    clock: Mapping[str, tuple[str, ...]] = {
        "current_date": ("date", "now"),
        "current_time": ("time", "now"),
        "current_timestamp": ("datetime", "now"),
    }
    clock_is_reserved = True
    values: tuple[str, int] = ("column", 1)
    arrows: Mapping[type[Node], str] = {}
    aliases = frozenset({"where"})
    holds: Mapping[type[Node], frozenset[str]] = {
        **CONFLICTS,
        exp.JSONExtract: frozenset({"this", "expression"}),
        exp.JSONExtractScalar: frozenset({"this", "expression"}),
    }
    rows: tuple[str, ...] = ("rowid", "_rowid_", "oid")

    def ident(self, name: str) -> str:
        """Return a name as a quoted identifier."""
        return ident(name)

    def place(self, schema: str, name: str) -> str:
        """Return the full name of a relation."""
        return f"{ident(schema)}.{ident(name)}"

    def parameter(self, number: int) -> str:
        """Return the place of a parameter."""
        return f"?{number}"

    def returned(self, check: str) -> str:
        """Return a condition as it may stand in a RETURNING clause."""
        return check

    def own_functions(self) -> frozenset[str]:
        """Return the functions that the text of this class itself may call."""
        return _USED | OWN

    def compare(
        self, reference: str, sign: str, operand: Operand, column: Column, parameters: Parameters, *, exact: bool
    ) -> str:
        """Compare; equality with a value of another class is false by itself, so only `exact` needs to look."""
        value = self.value(operand, column, parameters)
        if value is None:
            return UNKNOWN
        if column.type in _MOMENTS:
            inner = f"julianday({reference}) {sign} julianday({value})"
            return f"CASE WHEN {_is_moment(reference)} THEN {inner} END"
        collated = f"{reference} {sign} {value}" + (" COLLATE BINARY" if column.type == "text" else "")
        right = _is_of(column.type, reference)
        if exact:
            return f"CASE WHEN {right} THEN {collated} END"
        return f"({collated})" if sign == "=" else f"({collated} AND {right})"

    def one_of_list(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Compare with each value of a list, which is bound as JSON."""
        if not isinstance(operand, Ref) or column.type not in _NUMBERS | {"text"}:
            return UNKNOWN
        value = self.parameter(parameters.number(operand, f"{column.type}[]"))
        name = f"{reference} COLLATE BINARY" if column.type == "text" else reference
        found = f"{name} IN (SELECT value FROM json_each({value}))"  # noqa: S608  # composed of quoted names
        return f"CASE WHEN {value} IS NOT NULL THEN {found} END"  # a list that is missing is not an empty one

    def within(self, reference: str, span: timedelta, column: Column, parameters: Parameters) -> str:
        """Return whether a moment lies in the last so long."""
        if column.type not in _MOMENTS:
            return UNKNOWN
        now = f"julianday({self.parameter(parameters.number('now', 'timestamp without time zone'))})"
        days = Decimal(int(span.total_seconds())) / 86400
        inner = f"julianday({reference}) BETWEEN {now} - {days:.12f} AND {now}"
        return f"CASE WHEN {_is_moment(reference)} THEN {inner} END"

    def prefix(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Return whether a text starts so."""
        value = self.value(operand, column, parameters) if column.type == "text" else None
        if value is None:
            return UNKNOWN
        inner = f"substr({reference}, 1, length({value})) = {value} COLLATE BINARY"
        return f"CASE WHEN typeof({reference}) = 'text' THEN {inner} END"

    def glob(self, reference: str, pattern: str, column: Column) -> str:
        """Return whether the whole text matches; `[` means nothing in our patterns."""
        if column.type != "text":
            return UNKNOWN
        return f"CASE WHEN typeof({reference}) = 'text' THEN {reference} GLOB {text(pattern.replace('[', '[[]'))} END"

    def value(self, operand: Operand, column: Column, parameters: Parameters) -> str | None:
        """Return an operand as a value of the column."""
        kind = column.type
        if kind not in _NUMBERS | _MOMENTS | {"text", "boolean"}:
            return None
        if isinstance(operand, Ref):
            return self.parameter(parameters.number(operand, kind))
        if isinstance(operand, bool):
            return str(int(operand)) if kind == "boolean" else None
        if isinstance(operand, int | Decimal):
            return _number(operand) if kind in _NUMBERS else None
        if kind in _MOMENTS:
            moment = operand.isoformat(sep=" ") if isinstance(operand, datetime) else str(operand)
            return text(moment)
        return text(operand.isoformat() if isinstance(operand, date) else operand) if kind == "text" else None

    def masked(self, mask: Mask, reference: str, column: Column, parameters: Parameters) -> tuple[str, str]:  # noqa: ARG002  # the key is the mount's
        """Return how a column is shown under a mask."""
        kind = column.type
        match mask.name:
            case "full":
                return ("'***'", "text") if kind == "text" else ("NULL", kind)
            case "partial" | "last4" | "hash":
                return f"bw_{mask.name}({reference}, {text(kind)})", "text"
            case "year" if kind in _MOMENTS:
                shape = "%Y-01-01" if kind == "date" else "%Y-01-01 00:00:00"
                return f"CASE WHEN {_is_moment(reference)} THEN strftime('{shape}', {reference}) END", kind
            case "round" if kind in _NUMBERS:
                return f"bw_round({reference}, {text(mask.arg or '1')}, {text(kind)})", kind
            case _:
                return "NULL", kind


def _is_of(kind: str, reference: str) -> str:
    """Whether a value is one of its column's type."""
    if kind == "boolean":
        return f"{reference} IN (0, 1)"
    classes = "'text'" if kind == "text" else "'integer', 'real'"
    return f"typeof({reference}) IN ({classes})"


def _number(value: int | Decimal) -> str | None:
    if value == int(value):
        return str(int(value)) if abs(value) <= _LARGEST else None
    return format(value, "f") if isinstance(value, Decimal) else None


def _is_moment(reference: str) -> str:
    """Whether a value is written as a date. INVARIANT: `now` and other words of SQLite's are not moments."""
    return f"{reference} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"
