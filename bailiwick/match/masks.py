"""Masks over JSON values. The twin of the SQL that `sql.predicates` writes for the same masks."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import cast

from bailiwick.model.mask import Mask

Digest = Callable[[str], str]
"""Text → its keyed hash, as `hash` masks show it."""
_NUMBER_LIKE = re.compile(r"[-0-9 +()./]{7,}")
_DATE_LIKE = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}")
_MOST_DIGITS = 300


def keyed_digest(key: bytes) -> Digest:
    """Return a keyed digest of texts (HMAC-SHA256, hexadecimal). The key is set up once: that takes longer than most
    texts."""
    begun = hmac.new(key, digestmod=hashlib.sha256)

    def digest(text: str) -> str:
        found = begun.copy()
        found.update(text.encode())
        return found.hexdigest()

    return digest


def masked(mask: Mask, value: object, digest: Digest) -> object:
    """Return how a value is shown. What a mask has no meaning for is shown as nothing (None).

    A list is masked item by item; a mapping, whose shape would tell, as a whole.
    """
    if isinstance(value, list):
        return [masked(mask, item, digest) for item in cast("list[object]", value)]
    if value is None or isinstance(value, dict):
        return None
    text = value if isinstance(value, str) else None
    match mask.name:
        case "full":
            return "***" if text is not None else None
        case "partial":
            return _partial(_written(value))
        case "last4":
            return _last4(_written(value))
        case "hash":
            return digest(_written(value))
        case "year":
            found = _DATE_LIKE.match(text or "")
            return f"{found[1]}-01-01" if found else None
        case "round":
            return _rounded(value, mask.arg or "1")
        case _:
            return None


def masker(mask: Mask, digest: Digest) -> Callable[[object], object]:
    """Return `masked` for one mask and many values."""
    if mask.name != "partial":
        return lambda value: masked(mask, value, digest)

    def partly(value: object) -> object:
        plain = isinstance(value, str) and value.isascii()
        return _partial(cast("str", value)) if plain else masked(mask, value, digest)

    return partly


def _written(value: object) -> str:
    """Return a scalar as text, without surrogates that no hash could take."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).encode("utf-8", "replace").decode()


def _partial(text: str) -> str:
    at = text.find("@")
    if at > 0:
        return f"{text[:1]}***@{text.split('@')[1]}"
    if _NUMBER_LIKE.fullmatch(text):
        return re.sub(r"[0-9]", "*", text[:-4]) + text[-4:]
    return text[:1] + "***"


def _last4(text: str) -> str:
    return "****" if len(text) <= 4 else "*" * (len(text) - 4) + text[-4:]


def _rounded(value: object, step: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite() or abs(exact.adjusted()) > _MOST_DIGITS:
        return None
    size = Decimal(step)
    rounded = (exact / size).to_integral_value(ROUND_HALF_UP) * size
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)
