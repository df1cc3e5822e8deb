"""How the values of a column are compared with what a policy names: by the column's own equality, whatever the session
that asks has set.

INVARIANT: an operator that is not PostgreSQL's own is named with its schema, because the search path is pg_catalog
alone; and no text of ours is read by the rules of a setting that agents may change (TimeZone, DateStyle).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.quote import ident, literal, text

NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision", "oid"})
MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
UNKNOWN = "NULL::boolean"

_TEXTS = frozenset({"text", "character varying", "character", "name", '"char"'})
_WITH_NAN = {"numeric": "numeric", "real": "real", "double precision": "double precision"}
UNEQUAL = frozenset(
    {
        "json",
        "xml",
        "point",
        "polygon",
        "time with time zone",
        "tstzrange",
        "tstzmultirange",
        "jsonpath",
        "txid_snapshot",
    }
)
"""Types whose values have no equality, or whose text is read by a session's settings."""
_SPELLED = {"character": "bpchar", "bit": 'pg_catalog."bit"'}
"""How a type is named so that it has no length: `character` and `bit` alone are of length 1."""
_INTEGERS = (("smallint", 2**15), ("integer", 2**31), ("bigint", 2**63))
_FLOATS = {"real": (Decimal("1e-37"), Decimal("3.4e38")), "double precision": (Decimal("1e-307"), Decimal("1.7e308"))}
"""Type → the smallest and the largest magnitude that it surely holds."""
_EMPTY_JSON = r'^\s*(""|null|\[\s*\]|\{\s*\})\s*$'


@lru_cache(maxsize=1024)
def base_type(type_name: str) -> str:
    """Return the type without its modifier: `character varying(20)` → `character varying`."""
    return re.sub(r"\(.*?\)", "", type_name).replace("  ", " ").strip()


def is_citext(type_name: str) -> bool:
    """Whether it is the extension's type, in whatever schema: it compares by operators of that schema."""
    return type_name.endswith(".citext")


def schema_of(type_name: str) -> str:
    """Return the schema of a type of users', as it is called."""
    schema = type_name.rpartition(".")[0]
    return schema[1:-1].replace('""', '"') if schema.startswith('"') else schema


def is_text(type_name: str) -> bool:
    """Whether values of the type are character strings."""
    return base_type(type_name) in _TEXTS or is_citext(type_name)


def kind_of(column: Column) -> str:
    """Return the type by which a column's values are compared; of a domain the one that it is made of, if known."""
    return base_type(column.base or column.type)


def reference(name: str, column: Column) -> str:
    """Return a column's quoted, qualified reference as a value of `kind_of`."""
    kind = kind_of(column)
    if kind == '"char"':
        return f"{name}::text"
    return f"{name}::{_spelled(kind)}" if column.base else name


def as_text(name: str, column: Column) -> str:
    """Return a text column as the text that it shows: without the blanks that fill a `char(n)`."""
    return name if kind_of(column) in ("text", "character varying") and not column.base else f"{name}::text"


def parameter_type(column: Column) -> str:
    """Return the type under which a value compared with the column is bound."""
    kind = kind_of(column)
    if kind in MOMENTS:
        return "timestamp with time zone"
    return "text" if is_text(kind) or (column.kind != "b" and not column.base) else kind


def session_value(operand: Ref, column: Column, parameters: Parameters) -> str:
    """Return a session value as one of the column's own type, or one that the column is compared with."""
    return _typed(parameters.use(operand, parameter_type(column)), column)


def _typed(value: str, column: Column, array: str = "") -> str:
    kind = kind_of(column)
    if kind in ("date", "timestamp without time zone"):
        return f"pg_catalog.timezone('UTC'::text, {value})"
    if kind in MOMENTS or (is_text(kind) and kind != "character" and not is_citext(kind)):
        return value
    return f"{value}::{_spelled(kind)}{array}"


def _spelled(kind: str) -> str:
    return _SPELLED.get(kind, kind)


def operand_text(operand: Operand, column: Column, parameters: Parameters) -> str | None:
    """Return the operand as SQL that the column can be compared with, or None when it can never be equal to it, nor in
    an order."""
    if isinstance(operand, Ref):
        return None if _unequal(column) else session_value(operand, column, parameters)
    if isinstance(operand, bool):
        return literal(operand, "boolean") if kind_of(column) == "boolean" else None
    if isinstance(operand, int | Decimal):
        return _number(operand, kind_of(column))
    if isinstance(operand, date):
        return _moment(operand, kind_of(column))
    return _string(operand, column)


def _unequal(column: Column) -> bool:
    kind = kind_of(column)
    return kind in UNEQUAL or kind.endswith("[]")


def _number(value: int | Decimal, kind: str) -> str | None:
    """Return a number as a literal that is read without an error, of a type in which the column's index is of use."""
    if kind not in NUMBERS:
        return None
    if kind in _FLOATS:
        least, most = _FLOATS[kind]
        return literal(value, kind) if value == 0 or least <= abs(value) <= most else None
    if isinstance(value, Decimal) or kind == "numeric":
        return literal(value, "numeric")
    if kind == "oid":
        return literal(value, "oid" if 0 <= value < 2**32 else "numeric")
    known = [name for name, _ in _INTEGERS]
    for name, limit in _INTEGERS[known.index(kind) :]:
        if -limit <= value < limit:
            return literal(value, name)
    return literal(value, "numeric")


def _moment(value: date, kind: str) -> str | None:
    """Return a moment, or the midnight in UTC of a date."""
    if kind not in MOMENTS:
        return None
    if not isinstance(value, datetime):
        if kind == "date":
            return literal(value, "date")
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None:
        return None
    value = value.astimezone(UTC)
    if kind == "timestamp with time zone":
        return literal(value, kind)
    return literal(value.replace(tzinfo=None), "timestamp without time zone")


def _string(value: str, column: Column) -> str | None:
    kind = kind_of(column)
    if is_citext(kind) or kind == "character":
        return f"{text(value)}::{_spelled(kind)}"
    if is_text(kind):
        return literal(value, "text")
    if kind in NUMBERS or kind in MOMENTS or kind == "boolean" or _unequal(column):
        return None
    if kind == "uuid":
        return _uuid(value)
    return f"{text(value)}::{_spelled(kind)}"


def _uuid(value: str) -> str | None:
    try:
        return literal(str(UUID(value)), "uuid")
    except ValueError:
        return None


def sign(operator: str, column: Column) -> str:
    """Return an operator as the column's own."""
    kind = kind_of(column)
    if not is_citext(kind):
        return operator
    return f"OPERATOR({ident(schema_of(kind))}.{operator})"


def compare(name: str, operator: str, operand: Operand, column: Column, parameters: Parameters) -> str:
    """Return the column compared with an operand."""
    value = operand_text(operand, column, parameters)
    if value is None:
        return UNKNOWN
    left = reference(name, column)
    if kind_of(column) == "oid" and value.endswith("::numeric"):
        left = f"{left}::bigint"
    return f"{left} {sign(operator, column)} {value}"


def one_of_list(name: str, operand: Ref, column: Column, parameters: Parameters) -> str:
    """Return whether the column is one of a list that the session holds."""
    if _unequal(column):
        return UNKNOWN
    if kind_of(column) in MOMENTS:  # lists of claims hold texts and numbers
        return UNKNOWN
    value = _typed(parameters.use(operand, parameter_type(column) + "[]"), column, "[]")
    return f"{reference(name, column)} {sign('=', column)} ANY ({value})"


def known_number(name: str, column: Column, found: str) -> str:
    """Return a comparison that is unknown of NaN, which is in no order with anything."""
    nan = _WITH_NAN.get(kind_of(column))
    return found if nan is None else f"CASE WHEN {reference(name, column)} <> 'NaN'::{nan} THEN {found} END"


def below_nan(name: str, column: Column) -> Iterable[str]:
    """Yield the condition that keeps NaN out of a range that is open above: the server sorts it last."""
    nan = _WITH_NAN.get(kind_of(column))
    if nan is not None:
        yield f"{reference(name, column)} < 'NaN'::{nan}"


def shaped(name: str, operator: str, value: str, column: Column) -> str:
    """Return a text column compared with a start (`^@`) or a shape (`LIKE`); `value` is a text.

    Of what compares by folding, both sides are folded; unknown where folding is the collation's own.
    """
    kind = kind_of(column)
    if not is_text(kind) or column.folds:
        return UNKNOWN
    if is_citext(kind):
        return f"{_folded(f'{name}::text')} {operator} {_folded(value)}"
    return f"{as_text(name, column)} {operator} {value}"


def _folded(value: str) -> str:
    """Return a text in the case in which citext compares: by the database's own collation."""
    return f'pg_catalog.lower({value} COLLATE pg_catalog."default")'


def empties(name: str, column: Column) -> Iterable[str]:
    """Yield the conditions under which a value that is not NULL is empty: no character, no element."""
    kind = kind_of(column)
    if kind.endswith("[]"):
        yield f"pg_catalog.cardinality({reference(name, column)}) = 0"
    elif kind in ("json", "jsonb"):
        yield f"{name}::text ~ {text(_EMPTY_JSON)}"
    elif is_text(kind) or column.kind in ("d", "e"):
        yield f"{as_text(name, column)} = ''::text"
