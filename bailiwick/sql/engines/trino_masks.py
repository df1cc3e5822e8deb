"""Masks in Trino's words. They are to show what they show in PostgreSQL, and none of them may fail."""

from __future__ import annotations

from decimal import Decimal

from bailiwick.sql.engines.trino_words import FLOATS, INTEGERS, is_exact, type_of


def is_written_alike(kind: str) -> bool:
    """Whether Trino writes values of the type as PostgreSQL does."""
    return kind in ("text", "boolean", "uuid", "date") or kind in INTEGERS or is_exact(kind)


def partial(reference: str, kind: str) -> str:
    """`a***@mail.example`; the last four digits of what looks like a number; else the first character."""
    text = _text(reference, kind)
    hidden = f"regexp_replace(substr({text}, 1, length({text}) - 4), '[0-9]', '*')"
    return (
        f"CASE WHEN strpos({text}, '@') > 1 THEN substr({text}, 1, 1) || '***@' || split_part({text}, '@', 2)"
        f" WHEN regexp_like({text}, '\\A[-0-9 +()./]{{7,}}\\z') THEN {hidden} || substr({text}, -4)"
        f" ELSE substr({text}, 1, 1) || '***' END"
    )


def last4(reference: str, kind: str) -> str:
    """The last four characters, the rest as `*`."""
    text = _text(reference, kind)
    return f"CASE WHEN length({text}) <= 4 THEN '****' ELSE lpad(substr({text}, -4), length({text}), '*') END"


def hashed(reference: str, kind: str, inner: str, outer: str) -> str:
    """HMAC-SHA-256 in hex; the key's two pads are bound."""
    digest = f"sha256(CAST({inner} AS VARBINARY) || to_utf8({_text(reference, kind)}))"
    return f"lower(to_hex(sha256(CAST({outer} AS VARBINARY) || {digest})))"


def year(reference: str, kind: str) -> str:
    """The first of January of the date's year, in UTC."""
    moment = f"at_timezone({reference}, 'UTC')" if kind == "timestamp with time zone" else reference
    return f"CAST(date_trunc('year', {moment}) AS {type_of(kind)})"


def rounded(reference: str, step: Decimal, kind: str) -> str:
    """The number, rounded to the step, away from zero where it lies between two; NULL where that does not fit."""
    size = format(step.normalize(), "f")
    fits = 0 < step < 10**20 and len(size.partition(".")[2]) <= 18
    if not fits:
        return f"CAST(NULL AS {type_of(kind)})"
    if kind in FLOATS:
        value, by = f"CAST({reference} AS DOUBLE)", f"CAST(DECIMAL '{size}' AS DOUBLE)"
        found = f"round({value} / {by}) * {by}"
        return f"CASE WHEN is_finite({value}) THEN TRY_CAST({found} AS {type_of(kind)}) END"
    value = f"CAST({reference} AS DECIMAL(38, 18))"
    by = f"DECIMAL '{size}'"
    rest = f"{value} % {by}"
    away = f"CASE WHEN {rest} + {rest} >= {by} THEN {by} WHEN {rest} + {rest} <= -{by} THEN -{by} ELSE DECIMAL '0' END"
    return f"TRY(CAST({value} - {rest} + {away} AS {type_of(kind)}))"


def _text(reference: str, kind: str) -> str:
    return reference if kind == "text" else f"CAST({reference} AS VARCHAR)"
