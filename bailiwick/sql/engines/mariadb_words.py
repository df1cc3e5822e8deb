"""Small pieces of MariaDB's language."""

from __future__ import annotations


def hexadecimal(value: str) -> str:
    """Return a text as a literal that holds nothing but digits."""
    return f"_utf8mb4 X'{value.encode().hex()}'"


def plain_text(reference: str) -> str:
    """Return a text that compares by its characters alone, the blanks at its end among them."""
    return f"CONVERT({reference} USING utf8mb4) COLLATE utf8mb4_nopad_bin"


def is_number(kind: str) -> bool:
    """Whether a type of the lock is one of numbers."""
    return kind in ("smallint", "integer", "bigint", "real", "double precision") or kind.startswith("numeric")
