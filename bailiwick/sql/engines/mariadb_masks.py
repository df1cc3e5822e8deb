"""Masks in MariaDB's words. They show what they show in PostgreSQL, and none of them ever fails."""

from __future__ import annotations

from decimal import Decimal

from bailiwick.sql.engines.mariadb_words import hexadecimal, plain_text

_DIGITS = hexadecimal("[0-9]")
_NUMBER_LIKE = hexadecimal(r"^[-0-9 +()./]{7,}\z")
_INTEGERS = frozenset({"smallint", "integer", "bigint"})


def partial(reference: str, kind: str) -> str:
    """`a***@mail.example`; the last four digits of what looks like a number; else the first character."""
    text = _text(reference, kind)
    host = f"SUBSTRING_INDEX(SUBSTRING_INDEX({text}, '@', 2), '@', -1)"
    hidden = f"REGEXP_REPLACE(LEFT({text}, CHAR_LENGTH({text}) - 4), {_DIGITS}, '*')"
    return (
        f"CASE WHEN LOCATE('@', {text}) > 1 THEN CONCAT(LEFT({text}, 1), '***@', {host})"
        f" WHEN {text} REGEXP {_NUMBER_LIKE} THEN CONCAT({hidden}, RIGHT({text}, 4))"
        f" ELSE CONCAT(LEFT({text}, 1), '***') END"
    )


def last4(reference: str, kind: str) -> str:
    """The last four characters, the rest as `*`."""
    text = _text(reference, kind)
    return (
        f"CASE WHEN CHAR_LENGTH({text}) <= 4 THEN '****'"
        f" ELSE CONCAT(REPEAT('*', CHAR_LENGTH({text}) - 4), RIGHT({text}, 4)) END"
    )


def hashed(reference: str, kind: str, inner: str, outer: str) -> str:
    """HMAC-SHA-256 in hex; the key's two pads are bound."""
    digest = f"SHA2(CONCAT({inner}, CAST({_text(reference, kind)} AS BINARY)), 256)"
    return f"CASE WHEN {reference} IS NOT NULL THEN SHA2(CONCAT({outer}, UNHEX({digest})), 256) END"


def year(reference: str, kind: str) -> str:
    """The first of January of the date's year."""
    first = f"MAKEDATE(YEAR({reference}), 1)"
    shown = first if kind == "date" else f"CAST({first} AS DATETIME)"
    return f"CASE WHEN YEAR({reference}) > 0 THEN {shown} END"


def rounded(reference: str, step: Decimal, kind: str) -> str:
    """The number, rounded to the step, away from zero where it lies between two."""
    size = format(abs(step), "f")
    exact = f"CAST({reference} AS DECIMAL(60,10))"
    rest = f"MOD({exact}, {size})"
    found = f"({exact} - {rest} + CASE WHEN ABS({rest}) * 2 >= {size} THEN SIGN({exact}) * {size} ELSE 0 END)"
    found = f"CASE WHEN ABS({reference}) < 1e30 THEN {found} END"
    if kind in _INTEGERS:
        return f"CAST({found} AS SIGNED)"
    return f"CAST({found} AS DOUBLE)" if kind in ("real", "double precision") else found


def _text(reference: str, kind: str) -> str:
    """Return a value's text, as PostgreSQL writes values of the type."""
    if kind == "boolean":
        return f"CASE {reference} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    if kind == "bytea":
        return f"CONCAT({hexadecimal(chr(92) + 'x')}, LOWER(HEX({reference})))"
    return plain_text(reference if kind == "text" else f"CAST({reference} AS CHAR)")
