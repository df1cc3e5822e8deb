"""What an answer says that it cost, for calls whose price is told only then. No I/O."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import cast

from bailiwick.model.budget import Price
from bailiwick.mounts.mcp.message import Json

_longest = 40


def told_in_body(price: Price | None, found: object) -> Decimal | None:
    """Return the cost that stands in a JSON answer where the price says; None when there is none to be read."""
    if price is None or not price.path:
        return None
    for key in price.path:
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, Json]", found).get(key)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    return _amount(str(found))


def told_in_header(price: Price | None, value: bytes | None) -> Decimal | None:
    """Return the cost that a header says; None when there is none to be read."""
    return None if price is None or not price.header or value is None else _amount(value.decode("latin-1"))


def _amount(text: str) -> Decimal | None:
    if len(text) > _longest:
        return None
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found < 10**12 else None
