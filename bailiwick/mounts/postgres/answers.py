"""From the messages that a wire client would get to an answer with types, for those who speak no protocol. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from bailiwick.model.record import JsonValue
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.codec import Framer, int16_at, int32_at
from bailiwick.mounts.postgres.errors import read_denied
from bailiwick.mounts.sql.results import Answer, Denied, Failed, Result, Row
from bailiwick.sql.types import built_in_of

_NULL = 0xFFFFFFFF
_ENDING = ("rows_exceeded", "bytes_exceeded")
_words: Mapping[str, str] = {
    "bool": "boolean",
    "bpchar": "character",
    "float4": "real",
    "float8": "double precision",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}
"""Types whose name in a catalogue is not the one that people write."""


def type_named(oid: int, own: Mapping[int, str]) -> str:
    """Return the name of a type as the lock has it; `own` are those that users made. `text` where it is not known."""
    name = built_in_of(oid)
    base = name.removesuffix("[]")
    return _words.get(base, base) + name[len(base) :] if name else own.get(oid, "text")


class Reply:
    """What one statement of the extended protocol, all of it as text, was replied."""

    def __init__(self, own: Mapping[int, str]) -> None:
        self._framer = Framer(codec.MAX_REPLY)
        self._own = own
        self._columns: tuple[tuple[str, str], ...] = ()
        self._readers: tuple[Callable[[str], JsonValue], ...] = ()
        self._rows: list[Row] = []
        self._size = 0
        self._affected: int | None = None
        self.tag = b""
        """What the end of the statement told."""
        self.texts: list[tuple[str | None, ...]] = []
        """The rows as they were written, where they are kept."""
        self.keeps = False
        self._error: Mapping[str, str] | None = None
        self.complete = False
        """Whether nothing more comes."""

    def feed(self, data: bytes) -> None:
        """Take what a client would get."""
        self._framer.feed(data)
        while (taken := self._framer.message()) is not None:
            self._take(*taken)

    def answer(self, record: str, *, reads: bool) -> Answer:
        """Return the answer; `reads`: to a query."""
        denied = None if self._error is None else read_denied(self._error)
        if denied is not None and not (reads and denied[0].code in _ENDING):
            return Denied(denied[0], denied[1] or record)
        if denied is None and self._error is not None:
            return Failed(self._error.get("C", "XX000"), self._error.get("M", ""), record)
        if denied is None and not self.complete:
            return Failed("08006", "the connection to the database is lost", record)
        return Result(
            self._columns,
            tuple(self._rows),
            None if reads else self._affected or 0,
            None if denied is None else denied[0],
            self._size,
            record,
        )

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"D":
            self._size += len(body)
            self._rows.append(self._row(body))
            if self.keeps:
                self.texts.append(_texts(body))
        elif kind == b"T":
            self._describe(body)
        elif kind == b"C":
            self.tag = body[:-1]
            self._affected = codec.tag_rows(codec.message(kind, body))
        elif kind == b"E" and self._error is None:
            self._error = codec.error_fields(codec.message(kind, body))
        elif kind == b"Z":
            self.complete = True

    def _describe(self, body: bytes) -> None:
        found: list[tuple[str, str]] = []
        pos = 2
        for place in range(int16_at(body, 0)[0]):
            name, pos = codec.text_until_zero(body, pos)
            kind = type_named(int32_at(body, pos + 6)[0], self._own)
            found.append((name.decode() or f"column{place + 1}", kind))
            pos += 18
        self._columns = tuple(found)
        self._readers = tuple(_readers.get(kind, str) for _, kind in found)

    def _row(self, body: bytes) -> Row:
        found: list[JsonValue] = []
        pos = 2
        for read in self._readers:
            size: int = int32_at(body, pos)[0]
            pos += 4
            if size == _NULL:
                found.append(None)
            else:
                found.append(read(body[pos : pos + size].decode()))
                pos += size
        return tuple(found)


def _texts(body: bytes) -> tuple[str | None, ...]:
    """Return the values of a row as they were written."""
    found: list[str | None] = []
    pos = 2
    for _ in range(int16_at(body, 0)[0]):
        size: int = int32_at(body, pos)[0]
        pos += 4
        found.append(None if size == _NULL else body[pos : pos + size].decode())
        pos += 0 if size == _NULL else size
    return tuple(found)


def _number(text: str) -> JsonValue:
    value = float(text)
    return value if math.isfinite(value) else text


_readers: Mapping[str, Callable[[str], JsonValue]] = {
    "boolean": lambda text: text == "t",
    "smallint": int,
    "integer": int,
    "bigint": int,
    "oid": int,
    "real": _number,
    "double precision": _number,
}
"""What JSON has a type for; everything else is told as the text that PostgreSQL writes."""
