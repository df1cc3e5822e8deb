"""Quoting of identifiers and literals for PostgreSQL text that we compose from the *policy* (never from agents)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from bailiwick.errors import PolicyError
from bailiwick.model.value import Scalar


def ident(name: str) -> str:
    """Return `name` as a quoted identifier. Raises PolicyError for an empty name or one with NUL."""
    if not name or "\x00" in name:
        raise PolicyError(f"`{name!r}` cannot be an identifier")
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string literal (standard_conforming_strings is on upstream). Raises PolicyError for NUL."""
    if "\x00" in value:
        raise PolicyError("a string literal cannot hold NUL")
    return "'" + value.replace("'", "''") + "'"


def plain(value: Scalar) -> str:
    """Return the text form of a scalar as PostgreSQL's input functions read it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def literal(value: Scalar, type_name: str) -> str:
    """Return `value` as a literal of a type that `format_type` printed."""
    return f"{text(plain(value))}::{type_name}"
