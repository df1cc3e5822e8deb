"""Small pieces of MariaDB's language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

_PLACE = re.compile(r"`(?:[^`]|``)*`|\?([0-9]+)")


def quoted(name: str) -> str:
    """Return a name as a quoted identifier."""
    return "`" + name.replace("`", "``") + "`"


def hexadecimal(value: str) -> str:
    """Return a text as a literal that holds nothing but digits."""
    return f"_utf8mb4 X'{value.encode().hex()}'"


def plain_text(reference: str) -> str:
    """Return a text that compares by its characters alone, the blanks at its end among them."""
    return f"CONVERT({reference} USING utf8mb4) COLLATE utf8mb4_nopad_bin"


def is_number(kind: str) -> bool:
    """Whether a type of the lock is one of numbers."""
    return kind in ("smallint", "integer", "bigint", "real", "double precision") or kind.startswith("numeric")


def prepared(sql: str, values: Sequence[object]) -> str:
    """Return what has the server prepare a text and run it with values. INVARIANT: no value is part of the text.

    `?n` stands for the n-th value. The text holds no quotes but those of names, so that this finds each of them.
    """
    order: list[int] = []

    def place(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        order.append(int(found[1]))
        return "?"

    text = _PLACE.sub(place, sql)
    given = ", ".join(literal(values[number - 1]) for number in order)
    return f"EXECUTE IMMEDIATE {hexadecimal(text)}" + (f" USING {given}" if given else "")


def literal(value: object) -> str:
    """Return a value as a literal in which nothing can be mistaken for something else."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return f"{value!r}e0" if "e" not in repr(value) else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return hexadecimal(value.isoformat(sep=" ") if isinstance(value, datetime) else str(value))
