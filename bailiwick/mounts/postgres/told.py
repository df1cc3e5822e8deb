"""Statements over relations that may only be aggregated: composed anew at each Bind, since what may be told depends on
what the session was told before, and on the values that are bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from struct import unpack
from typing import Final
from uuid import UUID

from bailiwick.gateway.call import Call
from bailiwick.gateway.sessions.told import TOO_CLOSE, Telling
from bailiwick.model.decision import Denial, Deny
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.codec import NULL_VALUE, int32_at, pack_int16, pack_int32
from bailiwick.mounts.postgres.prepared import Prepared
from bailiwick.sql.dimensions import literal
from bailiwick.sql.groupings import Cells, Given, composed

OWN: Final = b"bailiwick told"
"""Name of the statement that is bound in place of the agent's; no client may use it."""
_TEXT_OID = 25
_PLAIN_TEXT = frozenset({0, 25, 1042, 1043, 705})

Values = Mapping[int, str | None]
"""The agent's parameters that groupings depend on, by number, as text; None is NULL."""


def given_numbers(prepared: Prepared) -> frozenset[int]:
    """Return the numbers of the parameters on which the statement's groupings depend."""
    return frozenset(part.number for each in prepared.plan.groupings for part in each.given)


def given_values(prepared: Prepared, raw: bytes, pos: int, types: bytes) -> Values | None:
    """Return the values that a client's Bind gives to these; None when one cannot be read exactly."""
    numbers = given_numbers(prepared)
    formats, count, own, _ = codec.read_bind_tail(raw, pos)
    found: dict[int, str | None] = {}
    for number, value in enumerate(each_value(own, count), 1):
        if number not in numbers:
            continue
        form = formats[:2] if len(formats) == 2 else formats[2 * number - 2 : 2 * number]
        oid = int32_at(types, 4 * number - 2)[0] if 4 * number + 2 <= len(types) else 0
        kinds = {part.type for each in prepared.plan.groupings for part in each.given if part.number == number}
        try:
            text = None if value is None else value.decode() if form != b"\0\1" else binary_text(value, oid, kinds)
        except (UnicodeDecodeError, ValueError, OverflowError):
            return None
        if text is None and value is not None:
            return None
        found[number] = text
    return found if found.keys() == numbers else None


def told_of(prepared: Prepared, values: Values) -> list[Cells] | Denial:
    """Return the groupings with their values; a denial where one could be read in more than one way."""

    def text(given: Given) -> str:
        found = _literal(given, values)
        if found is None:
            raise ValueError(given.type)
        return found

    try:
        return [each.told(text) for each in prepared.plan.groupings]
    except ValueError as error:
        return Denial(
            "value_not_granted",
            f"a parameter that filters what may only be aggregated cannot be read exactly as `{error}`",
            "numbers, texts, and moments as `2026-01-31` or `2026-01-31 12:00`",
            "write the value as a literal of the statement",
        )


def as_composed(prepared: Prepared, asked: Telling, values: Values) -> Prepared:
    """Return the statement as it runs now."""
    plan = prepared.plan
    sql = composed(plan.template, plan.groupings, asked.told, lambda given: _literal(given, values) or "NULL")
    old = prepared.call
    call = Call(old.mount, old.statement, old.request, old.decision, asked.detail, old.budgets)
    made = Prepared(prepared.text, replace(plan, sql=sql), prepared.scope, call)
    made.asked = asked
    return made


def declared(prepared: Prepared, types: bytes) -> bytes:
    """Return the types of the agent's parameters: those that became literals are texts that nobody reads."""
    numbers = given_numbers(prepared)
    oids = [int32_at(types, place)[0] for place in range(2, len(types) - 3, 4)]
    oids += [0] * (max(numbers, default=0) - len(oids))
    oids = [_TEXT_OID if number in numbers else oid for number, oid in enumerate(oids, 1)]
    return pack_int16(len(oids)) + b"".join(map(pack_int32, oids))


def without_given(prepared: Prepared, raw: bytes, pos: int, portal: bytes) -> bytes:
    """Return a client's Bind as one of our statement, without the values that became literals."""
    numbers = given_numbers(prepared)
    formats, count, own, results = codec.read_bind_tail(raw, pos)
    values = [
        NULL_VALUE if value is None or number in numbers else pack_int32(len(value)) + value
        for number, value in enumerate(each_value(own, count), 1)
    ]
    tail = (pack_int16(len(formats) // 2), formats, pack_int16(count), *values, pack_int16(len(results) // 2), results)
    return codec.bind(portal, OWN, b"".join(tail))


def refused(call: Call) -> Call:
    """Return the call of a statement whose guard has refused it."""
    return Call(call.mount, call.statement, call.request, Deny(TOO_CLOSE), call.detail)


def each_value(own: bytes, count: int) -> list[bytes | None]:
    """Return values as they stand in a Bind, one by one."""
    values: list[bytes | None] = []
    at = 0
    for _ in range(count):
        size: int = int32_at(own, at)[0]
        at += 4
        if size == 0xFFFFFFFF or size < 0:
            values.append(None)
        else:
            values.append(own[at : at + size])
            at += size
    return values


def _literal(given: Given, values: Values) -> str | None:
    value = values.get(given.number)
    if value is None:
        return "NULL"
    return literal(value, given.type, enum="." in given.type)


def binary_text(value: bytes, oid: int, kinds: set[str]) -> str | None:
    """Return a value in binary format as text, None for a type that is not known here."""
    kind = _oids.get(oid) if oid else next(iter(kinds)) if len(kinds) == 1 else None
    if kind in ("text", "character varying", "character") or oid in _PLAIN_TEXT - {0}:
        return value.decode()
    sizes = {"smallint": ">h", "integer": ">i", "bigint": ">q", "date": ">i"}
    if kind in sizes:
        number: int = unpack(sizes[kind], value)[0]
        return str(number) if kind != "date" else (date(2000, 1, 1) + timedelta(days=number)).isoformat()
    if kind == "boolean":
        return "true" if value == b"\1" else "false"
    if kind in ("timestamp with time zone", "timestamp without time zone"):
        moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=unpack(">q", value)[0])
        return moment.isoformat() if kind == "timestamp with time zone" else moment.replace(tzinfo=None).isoformat()
    if kind == "uuid":
        return str(UUID(bytes=value))
    if kind in ("real", "double precision"):
        found: float = unpack(">f" if kind == "real" else ">d", value)[0]
        return format(Decimal(repr(found)), "f")
    return _numeric(value) if kind == "numeric" else None


def _numeric(value: bytes) -> str | None:
    count, weight, sign, scale = unpack(">hhHh", value[:8])
    if sign not in (0, 0x4000):
        return None
    digits = unpack(f">{count}h", value[8:])
    total = sum((Decimal(digit) * Decimal(10_000) ** (weight - place) for place, digit in enumerate(digits)), Decimal())
    return f"{'-' if sign else ''}{total:.{max(scale, 0)}f}"


_oids: Mapping[int, str] = {
    16: "boolean",
    20: "bigint",
    21: "smallint",
    23: "integer",
    25: "text",
    700: "real",
    701: "double precision",
    1042: "character",
    1043: "character varying",
    1082: "date",
    1114: "timestamp without time zone",
    1184: "timestamp with time zone",
    1700: "numeric",
    2950: "uuid",
}
