"""What the endpoints of MCP and of HTTP mounts have in common: ASGI's words, who may call, bodies within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

Scope = MutableMapping[str, object]
Received = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Received]]
Send = Callable[[Received], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Checks:
    """Who may call, before a token is looked at."""

    hosts: frozenset[str]
    """Names, without ports, that a request may be addressed to."""
    origins: frozenset[str]
    only_loopback: bool


def bare(host: str) -> str:
    """Return a `Host` without its port, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


@lru_cache(maxsize=256)
def is_loopback(host: str | None) -> bool:
    """Return whether a client's address is of this machine."""
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def read_body(receive: Receive, most: int) -> bytes | None:
    """Return the whole body; None when it is too long, or when the client left."""
    parts: list[bytes] = []
    size = 0
    while True:
        part = await receive()
        if part["type"] != "http.request":
            return None
        data = cast("bytes", part.get("body", b""))
        size += len(data)
        if size > most:
            return None
        parts.append(data)
        if not part.get("more_body"):
            return b"".join(parts)


async def left(receive: Receive) -> None:
    """Return when the client has left."""
    with contextlib.suppress(asyncio.CancelledError):  # whoever waits for it has what they wanted
        while (await receive())["type"] != "http.disconnect":
            pass
