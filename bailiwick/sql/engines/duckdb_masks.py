"""Masks in DuckDB's words. They show what they show in PostgreSQL, and none of them ever fails."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from bailiwick.sql.engines.dialect import Parameters

_USED_WORDS = """
position left right length split_part regexp_full_match regexp_replace repeat hex lower encode sha256 unhex
concat trunc abs sign greatest least round isfinite date_trunc strpos
"""
USED = frozenset(_USED_WORDS.split())
"""Functions that the masks call."""
_TYPES = {
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "bytea": "BLOB",
}
_PLAIN = frozenset({"smallint", "integer", "bigint", "boolean", "date", "uuid"})
_MOST = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_MOST_DECIMALS = 9


def type_of(kind: str) -> str:
    """Return DuckDB's word for a type of the lock."""
    if kind.startswith("numeric("):
        return kind.replace("numeric", "DECIMAL")
    if kind == "numeric":
        return "HUGEINT"
    return kind.upper() if kind in _PLAIN else _TYPES.get(kind, "VARCHAR")


def partly(name: Literal["partial", "last4"], reference: str, kind: str) -> str:
    """Return the mask that shows the end, or the beginning, of a text."""
    text = _text(reference, kind)
    if name == "last4":
        return f"CASE WHEN length({text}) <= 4 THEN '****' ELSE repeat('*', length({text}) - 4) || right({text}, 4) END"
    return (
        f"CASE WHEN strpos({text}, '@') > 1 THEN left({text}, 1) || '***@' || split_part({text}, '@', 2)"
        f" WHEN regexp_full_match({text}, '[-0-9 +()./]{{7,}}')"
        f" THEN regexp_replace(left({text}, length({text}) - 4), '[0-9]', '*', 'g') || right({text}, 4)"
        f" ELSE left({text}, 1) || '***' END"
    )


def hashed(reference: str, kind: str, parameters: Parameters, place: str) -> str:
    """Return the keyed HMAC-SHA-256 in hex. The key's two pads are bound; `place` is the form of a parameter."""
    inner, outer = (
        f"CAST({place.format(parameters.number(pad, 'bytea'))} AS BLOB)" for pad in ("mask.inner", "mask.outer")
    )
    digest = f"sha256({inner} || encode({_text(reference, kind)}))"
    return f"CASE WHEN {reference} IS NOT NULL THEN sha256({outer} || unhex({digest})) END"


def rounded(reference: str, step: Decimal, kind: str) -> str:
    """Return the number rounded to the step, away from zero where it lies between two."""
    if kind not in _MOST:
        value = f"CAST({reference} AS DOUBLE)"
        found = f"round({value} / {step:f}) * {step:f}"
        return f"CASE WHEN isfinite({value}) THEN TRY_CAST({found} AS {type_of(kind)}) END"
    decimals = max(-int(step.normalize().as_tuple().exponent), 0)
    if decimals > _MOST_DECIMALS or step <= 0 or step > 2**63:
        return f"CAST(NULL AS {type_of(kind)})"
    scale, size, most = 10**decimals, int(step * 10**decimals), _MOST[kind]
    value = f"CAST({reference} AS HUGEINT)"
    times = f"(abs({value}) * {2 * scale} + {size}) // {2 * size}"
    found = f"sign({value}) * (({times}) * {size} // {scale})"
    return f"CAST(greatest(least({found}, {most - 1}), {-most}) AS {type_of(kind)})"


def _text(reference: str, kind: str) -> str:
    """Return a value's text, as PostgreSQL writes values of the type."""
    if kind == "bytea":
        return f"('\\x' || lower(hex({reference})))"
    if kind in ("real", "double precision"):
        whole = f"{reference} = trunc({reference}) AND abs({reference}) < 1e15"
        short = f"CAST(TRY_CAST({reference} AS BIGINT) AS VARCHAR)"
        return f"(CASE WHEN {whole} THEN {short} ELSE CAST({reference} AS VARCHAR) END)"
    return f"CAST({reference} AS VARCHAR)"
