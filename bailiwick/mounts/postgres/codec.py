"""Framing and messages of the PostgreSQL protocol, versions 3.0 and 3.2, for both sides.

Bytes in, bytes out; no sockets, no state but the framer's buffer. Every length is checked against a bound before
anything of that length is kept. Malformed input raises `ProtocolError` and nothing else.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from functools import cache

from bailiwick.errors import ProtocolError

MAX_MESSAGE = 16 * 1024 * 1024
"""Longest message taken from a client."""
MAX_REPLY = 64 * 1024 * 1024
"""Longest message kept whole of a server. Rows that pass unread are not kept."""
MAX_STARTUP = 10_000
"""Longest start-up packet, as in PostgreSQL."""
MAX_SMALL = 10_000
"""Longest message of the kinds that carry names only, as in PostgreSQL; and of a password."""
MAX_NAME = 63
"""Longest name of a statement or portal. A server cuts longer ones, so two of ours could be one of its."""

VERSION_3_0 = 196608
VERSION_3_2 = 196610
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

int32_at = struct.Struct(">I").unpack_from
int16_at = struct.Struct(">H").unpack_from
pack_int32 = struct.Struct(">I").pack
pack_int16 = struct.Struct(">H").pack
_pack_header = struct.Struct(">cI").pack

SYNC = b"S\x00\x00\x00\x04"
FLUSH = b"H\x00\x00\x00\x04"
TERMINATE = b"X\x00\x00\x00\x04"
NO_DATA = b"n\x00\x00\x00\x04"
AUTHENTICATION_OK = b"R\x00\x00\x00\x08\x00\x00\x00\x00"
AUTHENTICATION_CLEARTEXT = b"R\x00\x00\x00\x08\x00\x00\x00\x03"
NULL_VALUE = b"\xff\xff\xff\xff"


def message(kind: bytes, body: bytes) -> bytes:
    """Return one message with its header."""
    return _pack_header(kind, len(body) + 4) + body


def untyped(body: bytes) -> bytes:
    """Return a packet of the start-up phase, which has no type byte."""
    return pack_int32(len(body) + 4) + body


def text_until_zero(body: bytes, pos: int) -> tuple[bytes, int]:
    """Return the zero-terminated string at `pos` and the position behind its terminator."""
    end = body.find(0, pos)
    if end < 0:
        raise ProtocolError("a string in a message is not terminated")
    return body[pos:end], end + 1


class Framer:
    """Cuts a stream into messages. For the phases that are not hot; takes one byte at a time as well as a flood."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = MAX_SMALL) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._buffer += data

    def message(self) -> tuple[bytes, bytes] | None:
        """Return the next message as (kind, body), or None when it is not complete."""
        if len(self._buffer) < 5:
            return None
        size = self._size(1)
        if len(self._buffer) < size + 1:
            return None
        kind, body = bytes(self._buffer[:1]), bytes(self._buffer[5 : size + 1])
        del self._buffer[: size + 1]
        return kind, body

    def packet(self) -> bytes | None:
        """Return the body of the next packet of the start-up phase, or None when it is not complete."""
        if len(self._buffer) < 4:
            return None
        size = self._size(0)
        if len(self._buffer) < size:
            return None
        body = bytes(self._buffer[4:size])
        del self._buffer[:size]
        return body

    def peek(self) -> int | None:
        """Return the first byte that is buffered, if any, and leave it there."""
        return self._buffer[0] if self._buffer else None

    def rest(self) -> bytes:
        """Take out everything that is buffered."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _size(self, offset: int) -> int:
        size: int = int32_at(self._buffer, offset)[0]
        if not 4 <= size <= self._limit:
            raise ProtocolError(
                f"a message of {size} bytes is longer than the {self._limit} allowed here, or too short"
            )
        return size


# --- what a client sends -------------------------------------------------------------------------------------------


def startup(parameters: Mapping[str, str], version: int = VERSION_3_0) -> bytes:
    """Return a StartupMessage."""
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in parameters.items())
    return untyped(pack_int32(version) + body + b"\0")


def read_startup(body: bytes) -> tuple[int, dict[str, str]]:
    """Return version and parameters of a StartupMessage's body."""
    if len(body) < 5:
        raise ProtocolError("the start-up packet is too short")
    version: int = int32_at(body, 0)[0]
    parameters: dict[str, str] = {}
    pos = 4
    while pos < len(body) and body[pos]:
        key, pos = text_until_zero(body, pos)
        value, pos = text_until_zero(body, pos)
        try:
            name, text = key.decode(), value.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a start-up parameter is not valid UTF-8") from error
        if name in parameters:
            raise ProtocolError("a start-up parameter is given twice")
        parameters[name] = text
    if pos != len(body) - 1:
        raise ProtocolError("the start-up packet has no terminator at its end")
    return version, parameters


def parse(name: bytes, text: bytes, types: bytes = b"\0\0") -> bytes:
    """Return a Parse message; `types` is the count and the OIDs as on the wire."""
    return message(b"P", name + b"\0" + text + b"\0" + types)


def read_parse(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (name, text, types as on the wire) of a whole Parse message."""
    name, pos = text_until_zero(raw, 5)
    text, pos = text_until_zero(raw, pos)
    types = raw[pos:]
    if len(types) < 2 or len(types) != 2 + 4 * int16_at(types, 0)[0]:
        raise ProtocolError("the parameter types of a parse message do not add up")
    return name, text, types


def bind(portal: bytes, statement: bytes, tail: bytes = b"\0\0\0\0\0\0") -> bytes:
    """Return a Bind message; `tail` is everything behind the names as on the wire."""
    return message(b"B", portal + b"\0" + statement + b"\0" + tail)


def read_bind(raw: bytes) -> tuple[bytes, bytes, int]:
    """Return (portal, statement, position of the rest) of a whole Bind message."""
    portal, pos = text_until_zero(raw, 5)
    statement, pos = text_until_zero(raw, pos)
    return portal, statement, pos


def read_bind_tail(raw: bytes, pos: int) -> tuple[bytes, int, bytes, bytes]:
    """Return (parameter formats, number of values, values, result formats); formats as on the wire, less counts."""
    try:
        formats_end = pos + 2 + 2 * int16_at(raw, pos)[0]
        formats = raw[pos + 2 : formats_end]
        count: int = int16_at(raw, formats_end)[0]
        start = at = formats_end + 2
        for _ in range(count):
            size: int = int32_at(raw, at)[0]
            at += 4 if size == 0xFFFFFFFF else 4 + size
        results_end = at + 2 + 2 * int16_at(raw, at)[0]
    except struct.error as error:
        raise ProtocolError("the values of a bind message do not add up") from error
    if results_end != len(raw):
        raise ProtocolError("the values of a bind message do not add up")
    return formats, count, raw[start:at], raw[at + 2 :]


def describe(kind: bytes, name: bytes) -> bytes:
    """Return a Describe message; `kind` is `S` or `P`."""
    return message(b"D", kind + name + b"\0")


def execute(portal: bytes, rows: int = 0) -> bytes:
    """Return an Execute message."""
    return message(b"E", portal + b"\0" + pack_int32(rows))


def read_execute(raw: bytes) -> tuple[bytes, int]:
    """Return (portal, most rows) of a whole Execute message."""
    portal, pos = text_until_zero(raw, 5)
    if len(raw) != pos + 4:
        raise ProtocolError("an execute message has the wrong length")
    return portal, int32_at(raw, pos)[0]


def read_named(raw: bytes) -> tuple[int, bytes]:
    """Return (kind, name) of a whole Describe or Close message."""
    if len(raw) < 7 or raw[5] not in b"SP":
        raise ProtocolError("a describe or close message names neither statement nor portal")
    name, pos = text_until_zero(raw, 6)
    if pos != len(raw):
        raise ProtocolError("a describe or close message has the wrong length")
    return raw[5], name


def read_query(raw: bytes) -> bytes:
    """Return the text of a whole Query message."""
    text, pos = text_until_zero(raw, 5)
    if pos != len(raw):
        raise ProtocolError("a query message has the wrong length")
    return text


# --- what a server sends -------------------------------------------------------------------------------------------


def error_fields(raw: bytes) -> dict[str, str]:
    """Return the fields of a whole ErrorResponse or NoticeResponse by their letter."""
    fields: dict[str, str] = {}
    pos = 5
    while pos < len(raw) and raw[pos]:
        letter = chr(raw[pos])
        value, pos = text_until_zero(raw, pos + 1)
        fields[letter] = value.decode(errors="replace")
    return fields


def error_response(fields: Iterable[tuple[str, str]], kind: bytes = b"E") -> bytes:
    """Return an ErrorResponse (or, with kind `N`, a NoticeResponse). Zero bytes in values are dropped."""
    body = b"".join(f"{letter}{value}".replace("\0", "").encode() + b"\0" for letter, value in fields if value)
    return message(kind, body + b"\0")


def parameter_status(name: str, value: str) -> bytes:
    """Return a ParameterStatus."""
    return message(b"S", f"{name}\0{value}\0".encode())


def read_parameter_status(raw: bytes) -> tuple[str, str]:
    """Return (name, value) of a whole ParameterStatus."""
    name, pos = text_until_zero(raw, 5)
    value, _ = text_until_zero(raw, pos)
    return name.decode(), value.decode()


def without_origins(raw: bytes, drop_last: bool) -> bytes:
    """Return a RowDescription without the table and column that its fields came from; `drop_last` drops a field."""
    count: int = int16_at(raw, 5)[0]
    keep = count - 1 if drop_last else count
    if keep < 0:
        raise ProtocolError("a row description has no field to drop")
    parts: list[bytes] = [pack_int16(keep)]
    pos = 7
    for _ in range(keep):
        end = raw.find(0, pos)
        if end < 0 or end + 19 > len(raw):
            raise ProtocolError("a row description does not add up")
        parts.append(raw[pos : end + 1])
        parts.append(b"\0\0\0\0\0\0")
        parts.append(raw[end + 7 : end + 19])
        pos = end + 19
    return message(b"T", b"".join(parts))


def first_parameters(raw: bytes, keep: int) -> bytes:
    """Return a ParameterDescription of the first `keep` parameters."""
    if int16_at(raw, 5)[0] < keep:
        raise ProtocolError("a parameter description is shorter than the statement")
    return message(b"t", pack_int16(keep) + raw[7 : 7 + 4 * keep])


def split_last_value(raw: bytes) -> tuple[bytes, bytes | None]:
    """Return a DataRow without its last value, and that value."""
    count: int = int16_at(raw, 5)[0]
    if count < 1:
        raise ProtocolError("a row has no value to check")
    pos = 7
    try:
        for _ in range(count - 1):
            size: int = int32_at(raw, pos)[0]
            pos += 4 if size == 0xFFFFFFFF else 4 + size
        size = int32_at(raw, pos)[0]
    except struct.error as error:
        raise ProtocolError("a row does not add up") from error
    if pos + 4 + (0 if size == 0xFFFFFFFF else size) != len(raw):
        raise ProtocolError("a row does not add up")
    value = None if size == 0xFFFFFFFF else raw[pos + 4 :]
    return message(b"D", pack_int16(count - 1) + raw[7:pos]), value


def tag_rows(raw: bytes) -> int | None:
    """Return the number of rows that a CommandComplete tells, or None when it tells none."""
    last = raw[5:-1].rpartition(b" ")[2]
    return int(last) if last.isdigit() else None


# --- runs of rows --------------------------------------------------------------------------------------------------

_RUN = 32
_WIDEST = 4
"""Rows of 256 times this size and more are walked in Python: there are few of them in a chunk."""


@cache
def _run_of(kind: int, high: int) -> re.Pattern[bytes]:
    """Match exactly `_RUN` whole messages of the kind whose sizes have that high byte, by walking their lengths.

    Sizes are looked up by their high, then their low four bits, so that a match tries 32 alternatives and not 256.
    """
    groups: list[bytes] = []
    for nibble in range(16):
        lows = range(nibble << 4, (nibble << 4) + 16)
        bodies = [(low, (high << 8) + low - 4) for low in lows if (high << 8) + low > 4]
        if bodies:
            choices = b"|".join(re.escape(bytes([low])) + b".{%d}" % size for low, size in bodies)
            groups.append(b"(?=[\\x%02x-\\x%02x])(?:%s)" % (lows[0], lows[-1], choices))
    head = re.escape(bytes([kind, 0, 0, high]))
    return re.compile(b"(?:" + head + b"(?:" + b"|".join(groups) + b")){%d}+" % _RUN, re.DOTALL)


def skip_rows(data: bytes, pos: int, kind: int) -> tuple[int, int]:
    """Return (position behind, number of) the whole rows of that kind from `pos` on.

    Exact: the length of every row is read. Narrow rows are walked by the regular expression engine, in C.
    """
    count = 0
    end = len(data)
    by_hand = 0 if end - pos > 2048 else end
    while end - pos >= 5 and data[pos] == kind:
        size: int = int32_at(data, pos + 1)[0]
        if by_hand == 0:
            found = _run_of(kind, size >> 8).match(data, pos) if size >> 8 < _WIDEST else None
            if found is not None:
                pos = found.end()
                count += _RUN
                continue
            by_hand = _RUN
        by_hand -= 1
        after = pos + 1 + size
        if after > end:
            break
        if size < 4:
            raise ProtocolError("a row is shorter than its header")
        pos = after
        count += 1
    return pos, count
