"""Syslog: messages of RFC 5424 over TCP or TLS, framed by octet counting (RFC 6587, RFC 5425).

Syslog has no acknowledgements. A batch counts as sent when the receiver's system has acknowledged its last byte; what
was sent in the seconds before a connection broke is sent again.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import socket
import ssl
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bailiwick.errors import ConfigError
from bailiwick.gateway.identity import is_safe
from bailiwick.gateway.sinks.item import Item
from bailiwick.gateway.sinks.section import SECTION, Sink
from bailiwick.gateway.sinks.way import SENT, Came
from bailiwick.ledger.severity import Severity

_log = logging.getLogger("bailiwick.sinks")
_audit = 13
"""The facility `log audit`."""
_levels: Mapping[Severity, int] = {"informational": 6, "low": 5, "medium": 4, "high": 3, "critical": 2}
_ports = {"tcp": 601, "tls": 6514}
_seconds = 30.0
_look_seconds = 0.005
_unprintable = re.compile(r"[^\x21-\x7e]")
NUMBER = 32473
"""The enterprise number of examples (RFC 5612): there is none of our own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a syslog receiver listens."""

    scheme: str
    host: str
    port: int


def place_of(sink: Sink, url: str) -> Place:
    """Return where a URL of syslog leads. Raises ConfigError, which does not show it."""
    what = f"{SECTION}.{sink.name}"
    try:
        parts = urlsplit(url)
        place = Place(parts.scheme, parts.hostname or "", parts.port or _ports.get(parts.scheme, 0))
    except ValueError:
        place = Place("", "", 0)
    if place.scheme not in _ports or not place.host:
        message = f"the URL of `{what}` is not one of syslog"
        raise ConfigError(message, remedy="write e.g. `tls://logs.corp.example:6514`, or `tcp://127.0.0.1:601`")
    host = f"[{place.host}]" if ":" in place.host else place.host
    if place.scheme == "tcp" and not is_safe(f"http://{host}"):
        message = f"`{what}` sends records in clear to another machine"
        raise ConfigError(message, remedy="write `tls://…`; `tcp://` is for a receiver on this machine")
    return place


def message_of(item: Item, host: str, process: int) -> bytes:
    """Return the message of a record or checkpoint, without its frame."""
    priority = _audit * 8 + _levels[item.severity]
    at = item.at if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", item.at) else "-"
    named = {"id": item.id, "seq": str(item.seq), "kind": item.kind, "agent": item.agent, "session": item.session}
    parts = " ".join(f'{name}="{_escaped(value)}"' for name, value in named.items() if value)
    head = f"<{priority}>1 {at} {_word(host, 255)} bailiwick {process} {_word(item.kind, 32)} "
    return f"{head}[bailiwick@{NUMBER} {parts}] {item.text}".encode("utf-8", "replace")


def framed(message: bytes) -> bytes:
    """Return a message as it goes over a stream."""
    return b"%d %b" % (len(message), message)


def _word(text: str, longest: int) -> str:
    return _unprintable.sub("", text)[:longest] or "-"


def _escaped(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", "".join(each if each.isprintable() else " " for each in text))


class Syslog:
    """One connection to a receiver, opened when there is something to send."""

    most = 500

    def __init__(self, place: Place, context: ssl.SSLContext | None) -> None:
        self._place = place
        self._context = context
        self._writer: asyncio.StreamWriter | None = None
        self._watching: asyncio.Task[None] | None = None
        self._broke: float | None = None
        self._host = socket.gethostname()

    def broke(self) -> float | None:
        """Return when the connection broke, once."""
        found, self._broke = self._broke, None
        return found

    async def send(self, items: Sequence[Item]) -> Came:
        """Send a batch; `sent` once the receiver's system has it all."""
        data = b"".join(framed(message_of(item, self._host, os.getpid())) for item in items)
        try:
            async with asyncio.timeout(_seconds):
                writer = await self._connected()
                writer.write(data)
                await writer.drain()
                while self._writer is writer and _unacknowledged(writer):  # noqa: ASYNC110  # only looking tells
                    await asyncio.sleep(_look_seconds)
        except ssl.SSLCertVerificationError:
            return await self._failed("its certificate is not trusted")
        except ssl.SSLError:
            return await self._failed("TLS failed")
        except TimeoutError:
            return await self._failed("it takes nothing more")
        except OSError as error:
            return await self._failed(f"it cannot be reached: {error.strerror or 'the connection failed'}")
        return SENT if self._writer is writer else Came("failed", "the connection broke off")

    async def close(self) -> None:
        """End the connection."""
        writer, self._writer = self._writer, None
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if writer is not None:
            writer.close()

    async def _failed(self, reason: str) -> Came:
        if self._writer is not None:
            self._broke = time.monotonic()
        await self.close()
        return Came("failed", reason)

    async def _connected(self) -> asyncio.StreamWriter:
        if self._writer is None:
            name = self._place.host if self._context is not None else None
            reader, writer = await asyncio.open_connection(
                self._place.host, self._place.port, ssl=self._context, server_hostname=name
            )
            self._writer = writer
            self._watching = asyncio.create_task(self._watch(reader, writer))
        return self._writer

    async def _watch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Notice the end of the connection as soon as it comes: receivers of syslog say nothing else."""
        try:
            while await reader.read(4096):
                continue
            _log.info("the receiver of syslog closed the connection")
        except OSError as error:
            _log.warning("the connection to the receiver of syslog broke: %s", error.strerror or type(error).__name__)
        finally:  # whatever it was: what was sent last may be lost, and is sent again
            if self._writer is writer:
                self._writer = None
                self._broke = time.monotonic()
                writer.close()


def _unacknowledged(writer: asyncio.StreamWriter) -> bool:
    """Return whether some of what was written is not yet acknowledged by the other side's system."""
    if writer.transport.get_write_buffer_size():
        return True
    connection = writer.get_extra_info("socket")
    if connection is None or not sys.platform.startswith("linux"):
        return False
    if connection.fileno() < 0:  # it is closed, and `_watch` is about to say so
        return True
    waiting = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return struct.unpack("i", waiting)[0] > 0
