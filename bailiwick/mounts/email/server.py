"""The way to one mail server: connections that are kept, and one message given to it, all or nothing, once.

INVARIANT: a message whose fate is not known is never given to the server again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from bailiwick.errors import BackendError, ConfigError
from bailiwick.gateway.secrets import Secret

Fate = Literal["accepted", "refused", "unavailable", "unknown"]
"""The server has taken it; it has not, and said so; it was never given to it; nobody knows."""
most_connections = 8
_connect_seconds = 30.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message."""

    fate: Fate
    code: int = 0
    """Of the server's reply; 0: there was none."""
    refused: tuple[str, ...] = ()
    """Recipients that the server does not take; then nobody got it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, and as whom the gateway speaks to it."""

    host: str
    port: int
    implicit: bool
    """TLS from the first byte."""
    user: str
    password: Secret

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, where nobody listens in between."""
        return self.host in _LOOPBACK


def place_of(name: str, url: Secret) -> Place:
    """Return where a mount's server is. Raises ConfigError, which never names the URL."""
    advice = "write `smtp://user:password@host:587` or `smtps://…:465`"
    try:
        parts = urlsplit(url.reveal())
        port = parts.port
    except ValueError:
        raise ConfigError(f"mount `{name}`: `smtp` is no URL", remedy=advice) from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ConfigError(f"mount `{name}`: `smtp` is no URL of a mail server", remedy=advice)
    if parts.query or parts.fragment:
        raise ConfigError(f"mount `{name}`: `smtp` has more than a host and a port", remedy=advice)
    implicit = parts.scheme == "smtps"
    return Place(
        parts.hostname,
        port or (465 if implicit else 587),
        implicit,
        unquote(parts.username or ""),
        Secret(unquote(parts.password or "")),
    )


def tls_of(name: str, authority: str, base: Path) -> ssl.SSLContext:
    """Return how the certificate of a mount's server is verified. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=str(base / authority) if authority else None)
    except (OSError, ssl.SSLError):
        message = f"mount `{name}`: the certificates in `{authority}` cannot be read"
        raise ConfigError(message, remedy="give `authority` a file of certificates in PEM") from None


class MailServer:
    """One server."""

    def __init__(self, place: Place, tls: ssl.SSLContext) -> None:
        self.place = place
        self._tls = tls
        self._idle: list[SMTP] = []
        self._slots = asyncio.Semaphore(most_connections)
        self._closed = False

    async def send(self, sender: str, recipients: Sequence[str], message: bytes) -> Delivery:
        """Give a message to the server; cancelled, its fate is not known."""
        async with self._slots:
            while self._idle:  # one that the server has closed meanwhile has taken nothing of this message
                kept = self._idle.pop()
                if kept.is_connected:
                    given = await self._given(kept, sender, recipients, message)
                    if given is not None:
                        return given
            try:
                made = await self.connect()
            except BackendError:
                return Delivery("unavailable")
            given = await self._given(made, sender, recipients, message)
            return given or Delivery("unavailable")

    async def connect(self) -> SMTP:
        """Return a connection, secured and logged in. Raises BackendError, in words without a value of the server's."""
        place = self.place
        made = SMTP(
            hostname=place.host,
            port=place.port,
            use_tls=place.implicit,
            start_tls=False,
            tls_context=self._tls,
            timeout=_connect_seconds,
            local_hostname="localhost",
        )
        try:
            await made.connect()
            await made.ehlo()
            if not place.implicit and not place.is_here:
                await made.starttls(tls_context=self._tls, server_hostname=place.host)
                await made.ehlo()
            if place.user:
                await made.login(place.user, place.password.reveal())
        except (SMTPException, OSError, ssl.SSLError) as error:
            made.close()
            raise _unreachable(error) from None
        except BaseException:
            made.close()
            raise
        return made

    async def close(self) -> None:
        """End all connections that nothing is sent over."""
        self._closed = True
        while self._idle:
            await _ended(self._idle.pop())

    async def _given(self, connection: SMTP, sender: str, recipients: Sequence[str], message: bytes) -> Delivery | None:
        """Return what became of the message; None: the connection was lost before anything of it was given."""
        kept = False
        try:
            refused = await self._envelope(connection, sender, recipients)
            if refused is _LOST:
                return None
            found = refused or await _data(connection, message)
            kept = found.fate in ("accepted", "refused") and connection.is_connected
            return found
        finally:
            if kept and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()

    async def _envelope(self, connection: SMTP, sender: str, recipients: Sequence[str]) -> Delivery | None:
        """Say from whom and to whom. INVARIANT: when one recipient is refused, nobody gets anything."""
        refused: list[str] = []
        code = 0
        try:
            await _ordered(connection, b"MAIL", f"FROM:<{sender}>")
            for each in recipients:
                try:
                    await _ordered(connection, b"RCPT", f"TO:<{each}>")
                except SMTPServerDisconnected:
                    raise
                except SMTPResponseException as error:
                    refused.append(each)
                    code = error.code
            if refused:
                await connection.rset()
                return Delivery("refused", code, tuple(refused))
        except SMTPServerDisconnected:
            return _LOST
        except SMTPResponseException as error:
            with contextlib.suppress(SMTPException):  # nothing was handed over; the server forgets it in any case
                await connection.rset()
            return Delivery("refused", error.code)
        except SMTPException:
            return Delivery("unavailable")
        return None


async def _ordered(connection: SMTP, command: bytes, argument: str) -> None:
    """Say one command of an envelope; its address is plain by now. Raises SMTPException."""
    reply = await connection.execute_command(command, argument.encode("ascii"))
    if not 200 <= reply.code < 300:
        raise SMTPResponseException(reply.code, reply.message)


_LOST = Delivery("unavailable")


async def _data(connection: SMTP, message: bytes) -> Delivery:
    try:
        reply = await connection.data(message)
    except SMTPServerDisconnected:
        return Delivery("unknown")
    except SMTPResponseException as error:
        return Delivery("refused", error.code) if 400 <= error.code < 600 else Delivery("unknown", error.code)
    except (SMTPException, OSError):
        return Delivery("unknown")
    return Delivery("accepted", reply.code)


def _unreachable(error: Exception) -> BackendError:
    if isinstance(error, SMTPResponseException) and error.code in (530, 534, 535, 538):
        return BackendError("the mail server does not take the gateway's login", remedy="check user and password")
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return BackendError("the mail server's certificate is not trusted", remedy="check `authority` of the mount")
    if isinstance(error, SMTPConnectError | OSError):
        return BackendError("the mail server cannot be reached", remedy="check its address, and that it runs")
    return BackendError("the mail server offers no STARTTLS, or no login", remedy="use `smtps://`, or another server")


async def _ended(connection: SMTP) -> None:
    with contextlib.suppress(SMTPException, OSError, TimeoutError):  # a farewell; what counts has been answered
        await connection.quit(timeout=2.0)
    connection.close()
