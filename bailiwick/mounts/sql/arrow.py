"""Rows as an Arrow stream (IPC), with the types of their columns. Needs the extra `arrow`.

A column whose values do not all fit its type (SQLite's may hold anything) is told as text.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bailiwick.model.record import JsonValue
from bailiwick.mounts.sql.results import Result

if TYPE_CHECKING:
    import nanoarrow as na

MIME_TYPE = "application/vnd.apache.arrow.stream"
_EPOCH, _START = date(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 38
_modifiers = re.compile(r"\([^)]*\)")
_UNFIT = (ValueError, TypeError, OverflowError, InvalidOperation)

Values = Sequence[JsonValue]


@cache
def available() -> bool:
    """Return whether the package that writes Arrow is installed."""
    return find_spec("nanoarrow") is not None


def stream(result: Result) -> bytes:
    """Return the rows of a result as one stream of one batch."""
    import nanoarrow as na
    from nanoarrow.ipc import StreamWriter

    fields: list[na.Schema] = []
    children: list[na.CArray] = []
    for place, (name, kind) in enumerate(result.columns):
        schema, array = _column(kind, [row[place] for row in result.rows])
        fields.append(na.Schema(schema, name=name))
        children.append(array)
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(
            na.c_array_from_buffers(na.struct(fields), len(result.rows), [None], children=children),
        )
    return out.getvalue()


def _column(kind: str, values: Values) -> tuple[na.Schema, na.CArray]:
    import nanoarrow as na

    make = _makers.get(_modifiers.sub("", kind))
    try:
        if make is not None:
            return make(values)
    except _UNFIT:
        pass  # as text, below
    schema = na.string()
    return schema, na.c_array([None if value is None else _text(value) for value in values], schema)


def _text(value: JsonValue) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _integers(bits: int) -> Callable[[Values], tuple[na.Schema, na.CArray]]:
    def make(values: Values) -> tuple[na.Schema, na.CArray]:
        import nanoarrow as na

        schema = {16: na.int16, 32: na.int32, 64: na.int64}[bits]()
        return schema, na.c_array([_whole(value) for value in values], schema)

    return make


def _whole(value: JsonValue) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("no integer")
    return value


def _floats(values: Values) -> tuple[na.Schema, na.CArray]:
    import nanoarrow as na

    schema = na.float64()
    found = [None if value is None else _float(value) for value in values]
    return schema, na.c_array(found, schema)


def _float(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no number")
    found = float(value)
    if isinstance(value, str) and math.isfinite(found):
        raise ValueError("a text")  # the only numbers that are told as texts are those that JSON has none for
    return found


def _truths(values: Values) -> tuple[na.Schema, na.CArray]:
    import nanoarrow as na

    if not all(value is None or isinstance(value, bool) for value in values):
        raise ValueError("no truth value")
    schema = na.bool_()
    return schema, na.c_array(values, schema)


def _bytes(values: Values) -> tuple[na.Schema, na.CArray]:
    import nanoarrow as na

    schema = na.binary()
    return schema, na.c_array([None if value is None else _read_bytes(_read(value)) for value in values], schema)


def _read(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def _read_bytes(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError("no bytes")
    return bytes.fromhex(text[2:])


def _decimals(values: Values) -> tuple[na.Schema, na.CArray]:
    """Return exact numbers with as many decimals as the most precise of them has."""
    import nanoarrow as na

    found = [None if value is None else _decimal(value) for value in values]
    scale = max((-exponent for _, exponent in (each for each in found if each is not None)), default=0)
    scale = max(scale, 0)
    if scale > _DIGITS:
        raise ValueError("too many decimals")
    scaled = [None if each is None else each[0] * 10 ** (each[1] + scale) for each in found]
    if any(each is not None and abs(each) >= 10**_DIGITS for each in scaled):
        raise ValueError("too many digits")
    return _fixed(na.decimal128(_DIGITS, scale), scaled, 16)


def _decimal(value: JsonValue) -> tuple[int, int]:
    """Return a number as digits and their exponent."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no number")
    sign, digits, exponent = Decimal(str(value)).as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > _DIGITS or len(digits) > 2 * _DIGITS:
        raise ValueError("no number of that many digits")
    found = int("".join(map(str, digits)))
    return -found if sign else found, exponent


def _dates(values: Values) -> tuple[na.Schema, na.CArray]:
    import nanoarrow as na

    days = [None if value is None else (date.fromisoformat(_read(value)) - _EPOCH).days for value in values]
    return _fixed(na.date32(), days, 4)


def _times(values: Values) -> tuple[na.Schema, na.CArray]:
    import nanoarrow as na

    return _fixed(na.time64("us"), [None if value is None else _of_day(_read(value)) for value in values], 8)


def _of_day(text: str) -> int:
    found = time.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError("a time with a zone")
    return ((found.hour * 60 + found.minute) * 60 + found.second) * 1_000_000 + found.microsecond


def _moments(zone: str | None) -> Callable[[Values], tuple[na.Schema, na.CArray]]:
    def make(values: Values) -> tuple[na.Schema, na.CArray]:
        import nanoarrow as na

        found = [None if value is None else _moment(_read(value), zone) for value in values]
        return _fixed(na.timestamp("us", zone), found, 8)

    return make


def _moment(text: str, zone: str | None) -> int:
    found = datetime.fromisoformat(text)
    if (found.tzinfo is None) != (zone is None):
        raise ValueError("a moment of another type")
    passed = (found if zone else found.replace(tzinfo=UTC)) - _START
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _fixed(schema: na.Schema, values: Sequence[int | None], width: int) -> tuple[na.Schema, na.CArray]:
    """Return numbers of a fixed width as they lie in memory: which are there, and the numbers."""
    import nanoarrow as na

    there = bytearray((len(values) + 7) // 8)
    for place, value in enumerate(values):
        if value is not None:
            there[place // 8] |= 1 << place % 8
    data = b"".join((value or 0).to_bytes(width, "little", signed=True) for value in values)
    return schema, na.c_array_from_buffers(schema, len(values), [bytes(there), data])


_makers: dict[str, Callable[[Values], tuple[na.Schema, na.CArray]]] = {
    "bigint": _integers(64),
    "boolean": _truths,
    "bytea": _bytes,
    "date": _dates,
    "double precision": _floats,
    "integer": _integers(32),
    "numeric": _decimals,
    "oid": _integers(64),
    "real": _floats,
    "smallint": _integers(16),
    "time without time zone": _times,
    "timestamp with time zone": _moments("UTC"),
    "timestamp without time zone": _moments(None),
}
