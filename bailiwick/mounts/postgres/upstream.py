"""The gateway's own connection to a PostgreSQL server: address, encryption, authentication, start-up.

Errors are `BackendError`s that name the server and its SQLSTATE, never a credential.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from scramp import ScramClient, ScramException  # pyright: ignore[reportMissingTypeStubs] - it has none

from bailiwick.errors import BackendError, ConfigError, ProtocolError
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.codec import Framer, error_fields, int32_at, message, untyped
from bailiwick.mounts.postgres.tls import TlsPipe

_P = TypeVar("_P", bound=asyncio.Protocol)

PINNED: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "search_path": "pg_catalog, pg_temp",
    "jit": "off",
}
"""What every rewritten statement relies on. Nothing a client sends can override it."""

_sslmodes = ("disable", "prefer", "require", "verify-ca", "verify-full")
_HANDSHAKE_LIMIT = 64 * 1024
_CONNECT_SECONDS = 10.0
_CANCEL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and who the gateway is there."""

    host: str
    """A name, an address, or the folder of a Unix socket."""
    port: int
    user: str
    database: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    sslrootcert: str = ""

    @property
    def local(self) -> bool:
        """Whether what is sent stays on this machine."""
        return self.host.startswith("/") or is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class BackendKey:
    """By which the server knows what to cancel."""

    process: int
    secret: bytes


def is_loopback(host: str) -> bool:
    """Return whether an address (or `localhost`) is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def read_url(url: str) -> Address:
    """Read a `postgresql://` URL, as libpq does: host or `?host=`, `sslmode`, `sslrootcert`."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError("the mount's `url` does not begin with `postgresql://`")
    try:
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        port = parts.port or int(query.pop("port", "5432"))
    except ValueError:
        raise ConfigError("the mount's `url` has a malformed port or query") from None
    host = query.pop("host", "") or unquote(parts.hostname or "") or "localhost"
    user = unquote(parts.username or "") or query.pop("user", "") or "postgres"
    sslmode = query.pop("sslmode", "prefer")
    if sslmode not in _sslmodes:
        raise ConfigError(f"the mount's `url` has an unknown `sslmode`: use one of {', '.join(_sslmodes)}")
    address = Address(
        host,
        port,
        user,
        unquote(parts.path.lstrip("/")) or user,
        unquote(parts.password or "") or query.pop("password", ""),
        sslmode,
        query.pop("sslrootcert", ""),
    )
    query.pop("application_name", None)
    query.pop("connect_timeout", None)
    if query:
        raise ConfigError(f"the mount's `url` has the unknown setting `{sorted(query)[0]}`")
    return address


class Upstream(asyncio.Protocol):
    """One connection to a server. During the start-up it authenticates; then it hands everything to `receiver`."""

    def __init__(self, address: Address, settings: Mapping[str, str]) -> None:
        self._address = address
        self._startup = codec.startup({"user": address.user, "database": address.database, **settings, **PINNED})
        self._framer = Framer(_HANDSHAKE_LIMIT)
        self._scram: ScramClient | None = None
        self._proved = False
        self._tls: TlsPipe | None = None
        self._asked_tls = False
        self.transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.key: BackendKey | None = None
        self.parameters: list[bytes] = []
        """Every ParameterStatus of the start-up, whole."""
        self.receiver: Callable[[bytes], None] | None = None
        self.lost: Callable[[], None] | None = None
        self.writable: Callable[[bool], None] | None = None

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self.transport = transport
        if self._address.sslmode == "disable" or self._address.host.startswith("/"):
            transport.write(self._startup)
        else:
            self._asked_tls = True
            transport.write(untyped(codec.pack_int32(codec.SSL_REQUEST)))

    def data_received(self, data: bytes) -> None:
        if self.receiver is not None and self._tls is None:
            self.receiver(data)
            return
        try:
            self._received(data)
        except (ProtocolError, BackendError, ScramException) as error:
            text = error.message if isinstance(error, (ProtocolError, BackendError)) else "SCRAM authentication failed"
            self._fail(text)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._fail("the server closed the connection during the start-up")
        if self.lost is not None:
            self.lost()

    def pause_writing(self) -> None:
        if self.writable is not None:
            self.writable(False)

    def resume_writing(self) -> None:
        if self.writable is not None:
            self.writable(True)

    # --- for the connection ---

    def send(self, data: bytes) -> None:
        """Send to the server."""
        if self.transport is not None:
            self.transport.write(data if self._tls is None else self._tls.send(data))

    def read(self, on: bool) -> None:
        """Go on or stop to read from the server."""
        if self.transport is not None and not self.transport.is_closing():
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def close(self) -> None:
        """Say good-bye and close."""
        if self.transport is not None and not self.transport.is_closing():
            if self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None:
                self.send(codec.TERMINATE)
            self.transport.close()

    # --- the start-up ---

    def _fail(self, text: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(BackendError(text, remedy="check the mount's `url` and the database's log"))
            if self.transport is not None:
                self.transport.abort()

    def _received(self, data: bytes) -> None:
        if self._tls is None and self._asked_tls:
            self._asked_tls = False
            self._answered_tls(data)
            return
        if self._tls is not None:
            was_ready = self._tls.ready
            data, out, closed = self._tls.received(data)
            if self.transport is not None:
                if out:
                    self.transport.write(out)
                if self._tls.ready and not was_ready:
                    self.send(self._startup)
                if closed:
                    self.transport.close()
        if self.receiver is not None:
            if data:
                self.receiver(data)
            return
        self._framer.feed(data)
        while self.receiver is None and (taken := self._framer.message()) is not None:
            self._take(*taken)

    def _answered_tls(self, data: bytes) -> None:
        if data == b"S":
            name = self._address.host
            self._tls = TlsPipe(_client_context(self._address), server_hostname=name)
            _, out, _ = self._tls.received(b"")
            if self.transport is not None:
                self.transport.write(out)
        elif data == b"N" and self._address.sslmode == "prefer":
            self.send(self._startup)
        else:
            raise BackendError("the server does not offer TLS, which `sslmode` requires")

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"R":
            self._authenticate(int32_at(body, 0)[0], body[4:])
        elif kind == b"S":
            self.parameters.append(message(kind, body))
        elif kind == b"K":
            self.key = BackendKey(int32_at(body, 0)[0], body[4:])
        elif kind == b"Z":
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == b"E":
            state = error_fields(message(kind, body)).get("C", "")
            raise BackendError(f"the database refuses the gateway's connection (SQLSTATE {state})")
        elif kind != b"N":
            raise BackendError("the server does not speak the protocol 3.0 of PostgreSQL")

    def _authenticate(self, method: int, body: bytes) -> None:
        if method == 0:
            if self._scram is not None and not self._proved:
                raise BackendError("the server did not prove that it knows the password")
            return
        if method in (3, 5) and self._tls is None and not self._address.local:
            raise BackendError("the server asks for a password unprotected: use SCRAM or `sslmode=require`")
        address = self._address
        if method == 3:
            self.send(message(b"p", address.password.encode() + b"\0"))
        elif method == 5:
            inner = hashlib.md5((address.password + address.user).encode(), usedforsecurity=False).hexdigest()
            outer = hashlib.md5(inner.encode() + body[:4], usedforsecurity=False).hexdigest()
            self.send(message(b"p", b"md5" + outer.encode() + b"\0"))
        elif method == 10:
            self._scram = ScramClient(["SCRAM-SHA-256"], address.user, address.password)
            first = self._scram.get_client_first().encode()
            self.send(message(b"p", b"SCRAM-SHA-256\0" + codec.pack_int32(len(first)) + first))
        elif method == 11 and self._scram is not None:
            self._scram.set_server_first(body.decode())  # pyright: ignore[reportUnknownMemberType] - untyped
            self.send(message(b"p", self._scram.get_client_final().encode()))
        elif method == 12 and self._scram is not None:
            self._scram.set_server_final(body.decode())  # pyright: ignore[reportUnknownMemberType] - untyped
            self._proved = True
        else:
            raise BackendError("the server asks for an authentication method that is not supported: use SCRAM-SHA-256")


def _client_context(address: Address) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=address.sslrootcert or None)
    if address.sslmode == "verify-ca":
        context.check_hostname = False
    elif address.sslmode != "verify-full":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connect(address: Address, settings: Mapping[str, str]) -> Upstream:
    """Connect and authenticate. `settings` are further start-up parameters; `PINNED` ones win."""

    def make() -> Upstream:
        return Upstream(address, settings)

    upstream: Upstream | None = None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, upstream = await _open(address, make)
            await upstream.ready
    except (OSError, ssl.SSLError, ValueError) as error:
        _abandon(upstream)
        remedy = "check that it runs and the mount's `url`"
        raise BackendError(
            f"cannot connect to the database of the mount ({type(error).__name__})", remedy=remedy
        ) from None
    except BaseException:
        _abandon(upstream)
        raise
    return upstream


def _abandon(upstream: Upstream | None) -> None:
    if upstream is not None and upstream.transport is not None:
        upstream.transport.abort()


class _CancelSender(asyncio.Protocol):
    """Sends one cancel request, encrypted if the address says so, and is `done` when the server closes."""

    def __init__(self, address: Address, packet: bytes) -> None:
        self._packet = packet
        self._tls = TlsPipe(_client_context(address), server_hostname=address.host) if _requires_tls(address) else None
        self._asked = False
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._tls is None:
            self._transport.write(self._packet)
        else:
            self._transport.write(untyped(codec.pack_int32(codec.SSL_REQUEST)))

    def data_received(self, data: bytes) -> None:
        if self._tls is None or self._transport is None:
            return
        if not self._asked:
            self._asked = True
            if data != b"S":
                self._transport.close()
                return
            data = b""
        ready = self._tls.ready
        try:
            _, out, closed = self._tls.received(data)
        except ProtocolError:
            self._transport.abort()
            return
        self._transport.write(out)
        if self._tls.ready and not ready:
            self._transport.write(self._tls.send(self._packet))
        if closed:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.done.done():
            self.done.set_result(None)


def _requires_tls(address: Address) -> bool:
    return address.sslmode not in ("disable", "prefer") and not address.host.startswith("/")


async def cancel(address: Address, key: BackendKey) -> None:
    """Ask the server to cancel what it runs for that key. Says nothing about whether it did."""
    packet = untyped(codec.pack_int32(codec.CANCEL_REQUEST) + codec.pack_int32(key.process) + key.secret)
    transport: asyncio.BaseTransport | None = None
    try:
        async with asyncio.timeout(_CANCEL_SECONDS):
            transport, sender = await _open(address, lambda: _CancelSender(address, packet))
            await sender.done
    except OSError:
        return
    finally:
        if transport is not None:
            transport.close()


async def _open(address: Address, make: Callable[[], _P]) -> tuple[asyncio.BaseTransport, _P]:
    loop = asyncio.get_running_loop()
    if address.host.startswith("/"):
        return await loop.create_unix_connection(make, f"{address.host}/.s.PGSQL.{address.port}")
    return await loop.create_connection(make, address.host, address.port)
