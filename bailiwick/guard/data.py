"""Between the application's values and JSON: what is no data is refused, nothing is guessed."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import cast
from uuid import UUID

from bailiwick.gateway.wire import Json

_deepest = 64


class NotDataError(Exception):
    """A value that is neither JSON nor a number, date or UUID."""


def plain(value: object, depth: int = _deepest) -> Json:
    """Return a value as JSON. Raises NotDataError; subclasses count as something else, for they may be anything."""
    kind = type(value)
    if value is None or kind in (str, bool, int):
        return cast("Json", value)
    if kind in (list, tuple) and depth:
        return [plain(each, depth - 1) for each in cast("list[object]", value)]
    if kind is dict and depth:
        found = cast("dict[object, object]", value)
        if all(type(key) is str for key in found):
            return {cast("str", key): plain(each, depth - 1) for key, each in found.items()}
    return _scalar(value)


def _scalar(value: object) -> Json:
    match value:
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            number = int(value) if value == value.to_integral_value() and abs(value.adjusted()) < 20 else float(value)
            if Decimal(repr(number)) == value:
                return number
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            pass
    raise NotDataError


def frozen(arguments: Mapping[str, object]) -> tuple[dict[str, object], dict[str, Json]]:
    """Return arguments as they are now, and as JSON: nobody can change them between decision and execution.

    Raises NotDataError with the name of one that is no data.
    """
    kept: dict[str, object] = {}
    sent: dict[str, Json] = {}
    for name, value in arguments.items():
        try:
            kept[name] = copy.deepcopy(value) if type(value) in (list, tuple, dict) else value
            sent[name] = plain(kept[name])
        except (NotDataError, RecursionError, TypeError):
            raise NotDataError(name) from None
    return kept, sent
