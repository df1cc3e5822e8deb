"""HTTP/1.1 towards backends (RFC 9112): requests over connections that are kept open, each to one origin.

It adds nothing to what it is given but `Host` and the length of the body: no cookies, no redirects, no proxies, no
credentials of the environment, no decompression. What it cannot read without doubt ends the connection.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import quote, unquote, urlsplit

import httptools

Header = tuple[bytes, bytes]

_longest_head = 64 * 1024
_most_headers = 256
_read_ahead = 256 * 1024
"""Bytes of a body that may wait to be taken."""
_opening_time = 30.0
_idle_time = 15.0
_leaving_time = 1.0
_most_idle = 32


class HttpError(Exception):
    """A request came to no whole answer. Whether the server acted on it is not known, unless `unsent`."""

    def __init__(self, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.unsent = unsent


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go."""

    scheme: str
    """`http` or `https`."""
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return what stands in `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _ports[self.scheme] else f"{host}:{self.port}"


_ports = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A URL as requests need it."""

    origin: Origin
    target: str
    """Path and query, as they are sent."""
    authorization: str
    """The value of `Authorization` for a name and password in the URL; empty without them."""


def address_of(url: str) -> Address:
    """Return the address that a URL names. Raises ValueError for one that is not `http` or `https` with a host."""
    parts = urlsplit(url)
    if parts.scheme not in _ports or not parts.hostname:
        raise ValueError("not a URL of http or https")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    origin = Origin(parts.scheme, host, parts.port or _ports[parts.scheme])
    target = quote(parts.path or "/", safe=_kept) + (f"?{quote(parts.query, safe=_kept)}" if parts.query else "")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Address(origin, target, authorization)


_kept = "/%:@!$&'()*+,;=-._~?"


class Answer:
    """The answer to one request: its head, and its body in parts. Read it to its end, leave it, or close it."""

    def __init__(self, connection: _Connection, status: int, headers: tuple[Header, ...]) -> None:
        self.status = status
        self.headers = headers
        """In their order; names in small letters."""
        self._connection: _Connection | None = connection

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value by its name in small letters; the first, if there are several."""
        return next((value for key, value in self.headers if key == name), None)

    async def part(self) -> bytes:
        """Return the next part of the body; empty at its end. Raises HttpError when it breaks off."""
        if self._connection is None:
            return b""
        part = await self._connection.part()
        if not part:
            self._connection = None
        return part

    def leave(self) -> None:
        """Take no more of it; if it ends soon by itself, its connection is kept."""
        if self._connection is not None:
            self._connection.leave()
            self._connection = None

    def close(self) -> None:
        """Take no more of it, and have the server see that."""
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None


Find = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → the addresses that may be connected to."""


class HttpClient:
    """Connections to one origin."""

    def __init__(self, origin: Origin, context: ssl.SSLContext | None = None, *, find: Find | None = None) -> None:
        """With `https` a context of the system's trust is used when none is given; `find` says which addresses the host
        has, and nothing else is connected to. What it raises, but OSError, `send` raises."""
        self._origin = origin
        self._find = find
        self._context = (context or _trust()) if origin.scheme == "https" else None
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()

    async def send(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Answer:
        """Send a request; return once the head of its answer is there. Cancelling it ends the connection.

        Raises HttpError, and ValueError for a method, target or header that cannot stand in a request.
        """
        data = _written(self._origin.authority, method, target, headers, body)
        connection = self._kept() or await self._opened()
        try:
            status, found = await connection.exchange(data, bodyless=method == "HEAD")
        except BaseException:
            connection.abandon()
            raise
        return Answer(connection, status, found)

    async def close(self) -> None:
        """End all connections, also those with answers that are not read yet."""
        for connection in tuple(self._open):
            connection.abandon()
        self._idle.clear()

    def _kept(self) -> _Connection | None:
        oldest = time.monotonic() - _idle_time
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.since > oldest:
                return connection
            connection.abandon()
        return None

    async def _opened(self) -> _Connection:
        loop, origin = asyncio.get_running_loop(), self._origin
        name = origin.host if self._context is not None else None
        try:
            async with asyncio.timeout(_opening_time):
                places = (origin.host,) if self._find is None else await self._find(origin.host, origin.port)
                for place in places:
                    try:
                        _, connection = await loop.create_connection(
                            lambda: _Connection(self._free, self._open.discard),
                            place,
                            origin.port,
                            ssl=self._context,
                            server_hostname=name,
                        )
                        break
                    except OSError:
                        if place == places[-1]:
                            raise
                else:
                    raise OSError("no address")
        except (OSError, TimeoutError, ssl.SSLError):
            raise HttpError("the server cannot be reached", unsent=True) from None
        self._open.add(connection)
        return connection

    def _free(self, connection: _Connection) -> None:
        self._idle.append(connection)
        if len(self._idle) > _most_idle:
            self._idle.popleft().abandon()


_Told = Callable[["_Connection"], None]


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, free: _Told, gone: _Told) -> None:
        self.since = 0.0
        """When it last became idle."""
        self._free = free
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[None] | None = None
        self._failed = ""
        self._number = 0
        self._begin(bodyless=False)
        self._busy = False

    @property
    def usable(self) -> bool:
        """Whether it can take a request."""
        return not self._busy and not self._failed and self._transport is not None

    async def exchange(self, data: bytes, *, bodyless: bool) -> tuple[int, tuple[Header, ...]]:
        """Send a request; return status and headers of the answer. Raises HttpError."""
        if self._transport is None:
            raise HttpError("the server cannot be reached", unsent=True)
        self._begin(bodyless=bodyless)
        self._transport.write(data)
        while not self._headed:
            await self._stirred()
        return self._status, tuple(self._headers)

    async def part(self) -> bytes:
        """Return what came of the body, at least a byte; nothing at its end. Raises HttpError."""
        while not self._parts:
            if self._whole:
                self._over()
                return b""
            await self._stirred()
        found = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return found

    def leave(self) -> None:
        """Drop what is left of the answer, as long as that is little and comes soon."""
        self._parts.clear()
        if self._whole:
            self._over()
        else:
            self._left = True
            asyncio.get_running_loop().call_later(_leaving_time, self._left_long, self._number)

    def _left_long(self, number: int) -> None:
        if self._left and self._number == number:
            self.abandon()

    def abandon(self) -> None:
        """End it at once."""
        self._fail("the request was abandoned")
        if self._transport is not None:
            self._transport.abort()

    def _begin(self, *, bodyless: bool) -> None:
        self._busy = True
        self._number += 1
        self._left = False
        self._bodyless = bodyless
        self._head = self._unheaded = 0
        self._status = 0
        self._headers: list[Header] = []
        self._headed = self._whole = self._paused = False
        self._lasts = self._ends = False
        self._parts: list[bytes] = []
        self._size = 0

    def _over(self) -> None:
        """The answer was read whole: another request may follow, where both sides say so."""
        sent = self._transport is not None and not self._transport.get_write_buffer_size()
        if self._lasts and sent and not self._failed:
            self._busy, self.since = False, time.monotonic()
            self._free(self)
        else:
            self.abandon()

    async def _stirred(self) -> None:
        if self._failed:
            raise HttpError(self._failed)
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _stir(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _fail(self, why: str) -> None:
        self._failed = self._failed or why
        self._stir()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read what the server sends."""
        if not self._busy or self._whole or self._failed:  # it speaks unasked: nothing of this connection is sure
            self.abandon()
            return
        self._unheaded += 0 if self._headed else len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # also what a call-back raises
            self._whole = False
            self.abandon()
            return
        if self._left:
            self._leaving()
        elif not self._headed and self._unheaded > _longest_head:
            self.abandon()
        elif self._size > _read_ahead and not self._whole and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._headed:
            self._stir()

    def _leaving(self) -> None:
        self._parts.clear()
        if self._whole:
            self._over()
        elif self._size > _read_ahead:
            self.abandon()

    def eof_received(self) -> bool:
        """The server ends: so does a body whose end nothing else marks."""
        if self._headed and self._ends and not self._failed:
            self._whole = True
            self._stir()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        if exc is not None or not self._whole:
            self._fail("the connection broke off")
        self._lasts = False
        self._transport = None
        self._gone(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """An answer begins; only one is expected."""
        if self._headed:
            raise _UnclearError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, or a trailer, which is not passed on."""
        if not self._headed:
            self._headers.append((name.lower(), value))
            self._head += len(name) + len(value)
            if len(self._headers) > _most_headers or self._head > _longest_head:
                raise _UnclearError

    def on_headers_complete(self) -> None:
        """The head is over."""
        status = self._parser.get_status_code()
        if status == 101:  # nothing was asked that could be switched to
            raise _UnclearError
        if status < 200:
            self._headers.clear()
            return
        names = [name for name, _ in self._headers]
        if names.count(b"content-length") > 1 or names.count(b"transfer-encoding") > 1:
            raise _UnclearError
        self._status, self._headed = status, True
        bounded = b"content-length" in names or b"transfer-encoding" in names or status in (204, 304)
        self._ends = not bounded and not self._bodyless
        self._lasts = bounded and not self._bodyless and self._parser.should_keep_alive()
        if self._bodyless:  # the parser does not know of HEAD: the connection is not used again
            self._whole = True

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        if self._bodyless:
            raise _UnclearError
        self._parts.append(body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._headed:
            self._whole = True


class _UnclearError(Exception):
    """An answer that could be read in two ways."""


def _written(authority: str, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Return the bytes of a request. Raises ValueError where one of the parts would say more than it should."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {authority}", *(f"{name}: {value}" for name, value in headers)]
    if body or method not in _without_body:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text or lines[0].count(" ") != 2:
        raise ValueError("a line of the head holds a character that ends it")
    return text.encode() + b"\r\n\r\n" + body


_without_body = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()
