"""Values that the gateway binds behind the agent's own parameters, and whether an agent's may be bound."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from bailiwick.gateway.backends.sqlite import stored
from bailiwick.model.record import JsonValue
from bailiwick.model.session import Claim, Session
from bailiwick.model.value import Scalar
from bailiwick.sql.engines.plan import Bound

Value = str | int | float | None
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMALS, _WHOLE = 18, 20
_NUMBERS = frozenset({"bigint", "double precision", "numeric"})
_MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_MOST_TEXT = 64 * 1024


def bound_values(bound: Sequence[Bound], session: Session, now: datetime) -> tuple[Value, ...]:
    """Return the values in order. One that is missing, or is none of its type, is NULL, which matches nothing."""
    return tuple(_value(one, session, now) for one in bound)


def given_values(parameters: Sequence[JsonValue]) -> tuple[Value, ...] | None:
    """Return the agent's parameters as they are bound; None when one cannot be."""
    found: list[Value] = []
    for each in parameters:
        if isinstance(each, list | dict) or not _fits(each):
            return None
        found.append(int(each) if isinstance(each, bool) else each)
    return tuple(found)


def _fits(value: str | int | float | None) -> bool:
    if isinstance(value, str):
        return len(value) <= _MOST_TEXT and "\0" not in value and _is_text(value)
    return not isinstance(value, int) or abs(value) < 2**63


def _is_text(value: str) -> bool:
    """Whether it holds no halves of characters (JSON can)."""
    return not any(0xD800 <= ord(one) <= 0xDFFF for one in value)


def _value(one: Bound, session: Session, now: datetime) -> Value:
    if one.source in ("mask.inner", "mask.outer", "written"):
        return None  # the mount's own matter
    if one.source == "now":
        return now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    value = None if isinstance(one.source, str) else session.value(one.source.path)
    if one.type.endswith("[]"):
        return _listed(value, one.type[:-2])
    return None if value is None or isinstance(value, tuple) else _typed(value, one.type)


def _listed(value: Claim | None, kind: str) -> str | None:
    if value is None:
        return None
    items = value if isinstance(value, tuple) else (value,)
    return json.dumps([_typed(item, kind) for item in items])  # what is of another type is NULL: not known to differ


def _typed(value: Scalar, kind: str) -> Value:
    """Return a value as one of the type, None where it is none."""
    if kind == "boolean":
        return int(value) if isinstance(value, bool) else None
    if kind == "truth":
        return value if isinstance(value, bool) else None
    if kind in ("integer", "decimal"):
        return _exact(value, kind)
    if kind in _NUMBERS:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        return stored(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if kind in _MOMENTS:
        return stored(value) if isinstance(value, str | date) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text if "\0" not in text and _is_text(text) else None


def _exact(value: Scalar, kind: str) -> Value:
    """Return a whole number as one, any other as text in digits; None where it would be rounded."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if kind == "integer":
        return int(value) if value == int(value) and abs(value) < 2**63 else None
    digits = format(Decimal(value), "f").lstrip("-").partition(".")
    return format(Decimal(value), "f") if len(digits[0]) <= _WHOLE and len(digits[2]) <= _DECIMALS else None
