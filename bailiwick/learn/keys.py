"""One key for each value, by which values are lined up: the same key, the same value."""

from __future__ import annotations

from decimal import Decimal

from bailiwick.model.observation import Seen
from bailiwick.model.value import Scalar

_FAR = 100
"""Digits before or behind the point up to which numbers are compared however they are written."""


def key_of(value: Scalar) -> str:
    """Return the key of a value in clear. Numbers are the same however they are written, and never text."""
    if isinstance(value, str):
        return "s:" + value
    if isinstance(value, bool):
        return "b:1" if value else "b:0"
    if isinstance(value, int):
        return f"n:{value}"
    if isinstance(value, Decimal) and abs(value.adjusted()) > _FAR:
        return f"n:{value}"  # written out, it might have a thousand million digits
    if isinstance(value, Decimal):
        return f"n:{int(value)}" if value == value.to_integral_value() else f"n:{value.normalize():f}"
    return "m:" + value.isoformat()


def keys_of(seen: Seen) -> tuple[str, ...]:
    """Return the keys under which a value can be met again: its own, and its digest's. None: it cannot."""
    if seen.value is None:
        return ("d:" + seen.digest,) if seen.digest else ()
    if not seen.digest:
        return (key_of(seen.value),)
    return (key_of(seen.value), "d:" + seen.digest)
