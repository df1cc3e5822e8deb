"""A blocking PostgreSQL client that hides nothing: every byte, every error field, every notice.

Written from the protocol's documentation, not from the gateway's codec, so that the two can disagree.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Row = tuple[str | None, ...]


class WireClosedError(Exception):
    """The peer closed the connection, or said nothing in time."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    table: int
    number: int
    type: int
    format: int


@dataclass(slots=True)
class Reply:
    """All that came back for one exchange, up to ReadyForQuery or the end of the connection."""

    columns: list[Column] = field(default_factory=list[Column])
    rows: list[Row] = field(default_factory=list[Row])
    tags: list[str] = field(default_factory=list[str])
    copied: bytes = b""
    errors: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    notices: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    settings: dict[str, str] = field(default_factory=dict[str, str])
    status: str = ""
    """Transaction status of ReadyForQuery; empty when the connection ended first."""
    kinds: str = ""
    """Message types in the order they came."""
    raw: bytearray = field(default_factory=bytearray)

    @property
    def code(self) -> str:
        """SQLSTATE of the first error, or empty."""
        return self.errors[0]["C"] if self.errors else ""

    def texts(self) -> list[str]:
        """Everything readable: names, values, copy data, tags, and every field of errors and notices."""
        found = [column.name for column in self.columns]
        found += [value for row in self.rows for value in row if value is not None]
        found.append(self.copied.decode("utf-8", "replace"))
        for each in (*self.errors, *self.notices):
            found += [text for key, text in each.items() if key not in "FLR"]
        return found


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Frame one front-end message."""
    return kind + struct.pack("!i", len(body) + 4) + body


def cstring(text: str) -> bytes:
    """Encode a zero-terminated string."""
    return text.encode() + b"\0"


def startup(parameters: Mapping[str, str], version: int = 196608) -> bytes:
    """Frame a start-up message."""
    body = struct.pack("!i", version) + b"".join(cstring(k) + cstring(v) for k, v in parameters.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def parse(sql: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    """Frame Parse."""
    return message(b"P", cstring(name) + cstring(sql) + struct.pack(f"!h{len(types)}i", len(types), *types))


def bind(values: Sequence[str | None] = (), statement: str = "", portal: str = "", binary: bool = False) -> bytes:
    """Frame Bind with parameters in text; `binary` asks for binary results."""
    body = cstring(portal) + cstring(statement) + struct.pack("!hh", 0, len(values))
    for value in values:
        raw = None if value is None else value.encode()
        body += struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw
    return message(b"B", body + (struct.pack("!hh", 1, 1) if binary else struct.pack("!h", 0)))


def describe(name: str = "", kind: bytes = b"P") -> bytes:
    """Frame Describe of a portal (`P`) or a statement (`S`)."""
    return message(b"D", kind + cstring(name))


def execute(portal: str = "", limit: int = 0) -> bytes:
    """Frame Execute."""
    return message(b"E", cstring(portal) + struct.pack("!i", limit))


def query(sql: str) -> bytes:
    """Frame a simple Query."""
    return message(b"Q", cstring(sql))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


def _fields(body: bytes) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}


def _columns(body: bytes) -> list[Column]:
    found: list[Column] = []
    at = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        end = body.index(b"\0", at)
        table, number, kind, _, _, shape = struct.unpack_from("!ihihih", body, end + 1)
        found.append(Column(body[at:end].decode("utf-8", "replace"), table, number, kind, shape))
        at = end + 19
    return found


def _row(body: bytes) -> Row:
    values: list[str | None] = []
    at = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append(None if size < 0 else body[at : at + size].decode("utf-8", "backslashreplace"))
        at += max(size, 0)
    return tuple(values)


def _absorb(reply: Reply, kind: bytes, body: bytes) -> None:
    """Add one message of the back end to the reply."""
    if kind == b"T":
        reply.columns = _columns(body)
    elif kind == b"D":
        reply.rows.append(_row(body))
    elif kind == b"C":
        reply.tags.append(body[:-1].decode())
    elif kind == b"d":
        reply.copied += body
    elif kind == b"E":
        reply.errors.append(_fields(body))
    elif kind == b"N":
        reply.notices.append(_fields(body))
    elif kind == b"S":
        name, value = body.split(b"\0")[:2]
        reply.settings[name.decode()] = value.decode()
    elif kind == b"Z":
        reply.status = body.decode()


class Wire:
    """One connection. Not thread-safe."""

    def __init__(self, host: str, port: int, timeout: float = 20) -> None:
        """Connect. `timeout` bounds every exchange as a whole; `largest` its bytes."""
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.timeout = timeout
        self.largest = 16 << 20
        self.buffer = bytearray()
        self.key: tuple[int, bytes] | None = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket without a word."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise WireClosedError(str(error)) from error

    def _fill(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except OSError as error:
            raise WireClosedError(str(error) or "timed out") from error
        if not data:
            raise WireClosedError("closed by the peer")
        self.buffer += data

    def receive(self) -> tuple[bytes, bytes]:
        """Return the next message as its type and body."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack_from("!i", self.buffer, 1)[0]:
            self._fill()
        end = 1 + struct.unpack_from("!i", self.buffer, 1)[0]
        kind, body = bytes(self.buffer[:1]), bytes(self.buffer[5:end])
        del self.buffer[:end]
        return kind, body

    def collect(self, until: bytes = b"Z") -> Reply:
        """Read until a message of one of the types, or the end of the connection (then `status` is empty)."""
        reply = Reply()
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                kind, body = self.receive()
            except WireClosedError:
                return reply
            if time.monotonic() > deadline or len(reply.raw) > self.largest:
                return reply
            reply.kinds += kind.decode("latin-1")
            reply.raw += kind + body
            _absorb(reply, kind, body)
            if kind == b"G":
                self.send(message(b"f", cstring("no copy in")))
            if kind in (bytes([each]) for each in until):
                return reply

    def login(self, user: str, database: str, password: str, extra: Mapping[str, str] | None = None) -> Reply:
        """Start up and authenticate. A refusal is in the reply's errors."""
        try:
            self.send(startup({"user": user, "database": database, **(extra or {})}))
            refused = self._authenticate(user, password)
        except WireClosedError:
            return Reply()
        return refused or self._start()

    def _start(self) -> Reply:
        reply = Reply()
        while not reply.status and not reply.errors:
            kind, body = self.receive()
            reply.raw += kind + body
            _absorb(reply, kind, body)
            if kind == b"K":
                self.key = (struct.unpack_from("!i", body)[0], body[4:])
        return reply

    def _authenticate(self, user: str, password: str) -> Reply | None:
        exchange = _Scram(password)
        while True:
            kind, body = self.receive()
            if kind == b"v":
                continue
            if kind != b"R":
                reply = Reply(raw=bytearray(kind + body))
                _absorb(reply, kind, body)
                return reply
            step = struct.unpack_from("!i", body)[0]
            if step == 0:
                return None
            if step == 3:
                self.send(message(b"p", cstring(password)))
            elif step == 10:
                first = exchange.first()
                self.send(message(b"p", cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
            elif step == 11:
                self.send(message(b"p", exchange.final(body[4:])))
            elif step != 12:
                raise WireClosedError(f"authentication request {step} for {user}")

    def simple(self, sql: str) -> Reply:
        """Run a simple query."""
        self.send(query(sql))
        return self.collect()

    def extended(self, sql: str, values: Sequence[str | None] = (), binary: bool = False) -> Reply:
        """Run one statement by Parse, Bind, Describe, Execute, Sync."""
        self.send(parse(sql) + bind(values, binary=binary) + describe() + execute() + SYNC)
        return self.collect()


class _Scram:
    """SCRAM-SHA-256 without channel binding, for connections to the real server."""

    def __init__(self, password: str) -> None:
        self.password = password.encode()
        self.nonce = secrets.token_urlsafe(18)
        self.bare = f"n=,r={self.nonce}"

    def first(self) -> bytes:
        return ("n,," + self.bare).encode()

    def final(self, challenge: bytes) -> bytes:
        parts = dict(part.split("=", 1) for part in challenge.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, b64decode(parts["s"]), int(parts["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c=biws,r={parts['r']}"
        signed = f"{self.bare},{challenge.decode()},{without}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(one ^ two for one, two in zip(key, signature, strict=True))
        return f"{without},p={b64encode(proof).decode()}".encode()
