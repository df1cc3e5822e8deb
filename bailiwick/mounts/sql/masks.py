"""Masks as functions over values: for an engine whose own functions do not reach. They show what PostgreSQL shows.

INVARIANT: none of them ever raises. They may be evaluated before a row's filter is, and an error would tell of it.
"""

from __future__ import annotations

import hmac
import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

_NUMBER_LIKE = re.compile(r"[-0-9 +()./]{7,}")
_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_wide = Context(prec=60)


def text_of(value: object, kind: str) -> str | None:
    """Return a value's text, as PostgreSQL writes values of the type."""
    if value is None or isinstance(value, bytes):
        return None if value is None else "\\x" + value.hex()
    if kind == "boolean" and value in (0, 1):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def partial(value: object, kind: str) -> str | None:
    """`a***@mail.example`; the last four digits of what looks like a number; else the first character."""
    text = text_of(value, kind)
    if text is None:
        return None
    if text.find("@") > 0:
        return f"{text[:1]}***@{text.split('@')[1]}"
    if _NUMBER_LIKE.fullmatch(text):
        return re.sub(r"[0-9]", "*", text[:-4]) + text[-4:]
    return text[:1] + "***"


def last4(value: object, kind: str) -> str | None:
    """The last four characters, the rest as `*`."""
    text = text_of(value, kind)
    if text is None:
        return None
    return "****" if len(text) <= 4 else "*" * (len(text) - 4) + text[-4:]


def hashed(value: object, kind: str, key: bytes) -> str | None:
    """HMAC-SHA-256 in hex."""
    text = text_of(value, kind)
    return None if text is None else hmac.digest(key, text.encode(errors="replace"), "sha256").hex()


def rounded(value: object, step: str, kind: str) -> int | float | None:
    """The number, rounded to the step, away from zero where it lies between two."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    try:
        size = Decimal(step)
        times = _wide.divide(Decimal(repr(value)), size).quantize(Decimal(1), ROUND_HALF_UP, _wide)
        found = _wide.multiply(times, size)
    except (InvalidOperation, ZeroDivisionError):
        return None
    if kind in _INTEGERS:
        most = _INTEGERS[kind]
        return max(-most, min(int(found), most - 1))
    whole = found == found.to_integral_value() and abs(found) < 2**63
    return int(found) if whole and isinstance(value, int) else float(found)
