"""Whether a matcher, a mask or a session value fits the type of a column. Types as in `LockedColumn.type`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Literal
from uuid import UUID

from bailiwick.model.lock import LockedColumn
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.value import Operand, Ref, ValueType
from bailiwick.sql.comparing import UNEQUAL

Family = Literal["number", "text", "boolean", "uuid", "moment", "array", "enum", "other", "uncompared", "unknown"]
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision", "oid"})
_TEXTS = frozenset({"text", "character varying", "character", "name", '"char"'})
_MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_FITTING: dict[ValueType, frozenset[Family]] = {
    "integer": frozenset({"number"}),
    "number": frozenset({"number"}),
    "string": frozenset({"text", "enum", "other"}),
    "boolean": frozenset({"boolean"}),
    "uuid": frozenset({"uuid", "text"}),
    "date": frozenset({"moment"}),
    "timestamp": frozenset({"moment"}),
}


def family(column: LockedColumn) -> Family:
    """Return what kind of values a column holds; `unknown` for domains, of which only the name was accepted."""
    if column.type.endswith("[]"):
        return "array"
    if column.kind == "d":
        return "unknown"
    if column.kind == "e":
        return "enum"
    base = re.sub(r"\(.*?\)", "", column.type).replace("  ", " ").strip()
    if base in _NUMBERS:
        return "number"
    if base in _TEXTS or base.endswith(".citext"):
        return "text"
    if base in _MOMENTS:
        return "moment"
    if base in UNEQUAL:
        return "uncompared"
    return "boolean" if base == "boolean" else "uuid" if base == "uuid" else "other"


def value_fits(kind: ValueType, column: LockedColumn) -> bool:
    """Return whether a session value of that type can be compared with the column."""
    found = family(column)
    return found == "unknown" or found in _FITTING[kind]


def mask_fits(mask: Mask, column: LockedColumn) -> bool:
    """Return whether the mask shows anything of such a column; one that does not fit shows NULL."""
    needed = {"year": "moment", "round": "number"}.get(mask.name)
    return needed is None or family(column) in (needed, "unknown")


def references(matcher: Matcher) -> Iterator[Ref]:
    """Yield the session values that a matcher names."""
    for operand in _operands(matcher):
        if isinstance(operand, Ref):
            yield operand


def _operands(matcher: Matcher) -> Iterator[Operand]:
    match matcher:
        case Equal(operand) | Prefix(operand):
            yield operand
        case OneOf(operands):
            yield from operands
        case Bound(low, high, over, under):
            yield from (operand for operand in (low, high, over, under) if operand is not None)
        case Not(inner):
            yield from _operands(inner)
        case Every(parts):
            for part in parts:
                yield from _operands(part)
        case Anything() | Within() | Glob() | Empty():
            pass


def misfits(matcher: Matcher, column: LockedColumn) -> Iterator[str]:
    """Yield, in words, why the matcher can never be true of the column; references are left to `value_fits`."""
    found = family(column)
    match matcher:
        case Anything() | Empty():
            return
        case Not(inner):
            yield from misfits(inner, column)
            return
        case Every(parts):
            for part in parts:
                yield from misfits(part, column)
            return
        case _ if found == "unknown":
            return
        case _ if found == "array":
            yield "a list of values can only be tested with `empty`"
            return
        case _ if found == "uncompared":
            yield "its values have no equality, or one that depends on a session's settings"
            return
        case Within() if found != "moment":
            yield "`within` needs a date or a moment"
        case Prefix() | Glob() if found != "text":
            yield f"`{'prefix' if isinstance(matcher, Prefix) else 'glob'}` needs text"
        case Bound() if found not in ("number", "moment"):
            yield "its values have no order"
        case _:
            pass
    for operand in _operands(matcher):
        problem = _operand_misfit(operand, found)
        if problem:
            yield problem


def _operand_misfit(operand: Operand, found: Family) -> str:
    shown = f"`{operand}`"
    if isinstance(operand, Ref):
        return ""
    if isinstance(operand, bool):
        shown = f"`{str(operand).lower()}`"
        return "" if found == "boolean" else f"{shown} is true or false"
    if isinstance(operand, (int, Decimal)):
        return "" if found == "number" else f"{shown} is a number"
    if isinstance(operand, date):  # also a moment
        return "" if found == "moment" else f"{shown} is a date"
    if found == "uuid":
        return "" if _is_uuid(operand) else f"{shown} is not a UUID"
    return "" if found in ("text", "enum", "other") else f"{shown} is text"


def _is_uuid(found: str) -> bool:
    try:
        UUID(found)
    except ValueError:
        return False
    return True
