"""Small pieces of Trino's language."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

INTEGERS = frozenset({"smallint", "integer", "bigint"})
FLOATS = frozenset({"real", "double precision"})
MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_WHOLE, _DECIMALS = 20, 18
"""Digits before and behind the point within which numbers compare exactly as DECIMAL(38, 18)."""
_TYPES = {
    "double precision": "DOUBLE",
    "timestamp without time zone": "TIMESTAMP(6)",
    "timestamp with time zone": "TIMESTAMP(6) WITH TIME ZONE",
    "bytea": "VARBINARY",
    "numeric": "DECIMAL(38, 0)",
}
_PLAIN = frozenset({"smallint", "integer", "bigint", "real", "boolean", "date", "uuid"})
_SIZED = re.compile(r"numeric\((\d+),(\d+)\)")
_QUOTED_OR_PLACE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\?([0-9]+)""")


def type_of(kind: str) -> str:
    """Return Trino's word for a type of the lock; VARCHAR for what is not known."""
    sized = _SIZED.fullmatch(kind)
    if sized is not None:
        return f"DECIMAL({sized[1]}, {sized[2]})"
    return kind.upper() if kind in _PLAIN else _TYPES.get(kind, "VARCHAR")


def is_exact(kind: str) -> bool:
    """Whether a type is one of numbers that compare exactly: not FLOATS, and within the digits."""
    sized = _SIZED.fullmatch(kind)
    if sized is None:
        return kind in INTEGERS
    return int(sized[1]) - int(sized[2]) <= _WHOLE and int(sized[2]) <= _DECIMALS


def literal_number(value: int | Decimal, kind: str) -> str | None:
    """Return a number as a literal to compare a column with; None where that would not be exact."""
    if not (kind in FLOATS or is_exact(kind)) or not abs(value) < 10**_WHOLE:
        return None
    found = format(Decimal(value).normalize(), "f")
    if len(found.partition(".")[2]) > _DECIMALS:
        return None
    return f"CAST(DECIMAL '{found}' AS {type_of(kind)})" if kind in FLOATS else f"DECIMAL '{found}'"


def literal_moment(operand: str | date, kind: str) -> str | None:
    """Return a moment as a literal; without a zone it is UTC's."""
    if isinstance(operand, datetime):
        moment = operand.astimezone(UTC) if operand.tzinfo is not None else operand
        found = moment.replace(tzinfo=None).isoformat(sep=" ")
    elif isinstance(operand, date):
        found = operand.isoformat() + " 00:00:00"
    else:
        return None
    return f"TIMESTAMP '{found} UTC'" if kind == "timestamp with time zone" else f"TIMESTAMP '{found}'"


def positional(sql: str) -> tuple[str, tuple[int, ...]]:
    """Return a generated text with `?` in place of each `?n`, and the n in order: a value may be given twice."""
    order: list[int] = []

    def place(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        order.append(int(found[1]))
        return "?"

    return _QUOTED_OR_PLACE.sub(place, sql), tuple(order)
