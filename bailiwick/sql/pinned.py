"""What every row of a scope has in common: the columns that a filter holds to one value each. For every engine."""

from __future__ import annotations

from bailiwick.model.matcher import Anything, Equal
from bailiwick.model.scope import RowFilter
from bailiwick.model.value import Operand

Pins = tuple[tuple[str, Operand], ...]
"""Columns of a key, with the value that the scope wants there."""


def pins_of(rows: RowFilter) -> Pins | None:
    """Return the columns that a filter holds to one value; None when it says anything else of a row."""
    if rows.sql is not None:
        return None
    found: list[tuple[str, Operand]] = []
    for name, matcher in rows.conditions:
        if isinstance(matcher, Equal):
            found.append((name, matcher.operand))
        elif not isinstance(matcher, Anything):
            return None
    return tuple(found)
