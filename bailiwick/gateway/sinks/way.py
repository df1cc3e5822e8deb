"""A way to a sink: what sends a batch by one protocol, once. Nothing is retried here."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bailiwick.errors import ConfigError
from bailiwick.gateway.sinks.item import Item
from bailiwick.gateway.sinks.section import SECTION, Sink


@dataclass(frozen=True, slots=True)
class Came:
    """What came of sending a batch.

    `sent`: the sink has it, as far as its protocol tells. `failed`: it may have some of it; all is sent again.
    `refused`: it will not take this content, however often it is sent.
    """

    how: Literal["sent", "failed", "refused"]
    reason: str = ""
    """Never holds a URL, a secret, or what the other side said."""
    after: float = 0.0
    """Seconds that the sink asks to be left alone for."""
    lost: int = 0
    """How many of a batch that was sent the sink did not keep, and says so."""


SENT = Came("sent")


class Way(Protocol):
    """What sends."""

    @property
    def most(self) -> int:
        """How many items one batch holds at most."""
        ...

    async def send(self, items: Sequence[Item]) -> Came:
        """Send a batch, in order. Never raises, but when it is cancelled."""
        ...

    def broke(self) -> float | None:
        """Return when (on the monotonic clock) a connection broke on which what was sent may be lost; once."""
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...


def trust_of(sink: Sink, base: Path) -> ssl.SSLContext:
    """Return how the other side is verified, and shown who we are. Raises ConfigError."""
    files = sink.tls
    try:
        context = ssl.create_default_context(cafile=str(base / files.ca) if files.ca else None)
        if files.cert:
            context.load_cert_chain(base / files.cert, base / files.key)
    except (OSError, ssl.SSLError, ValueError):
        message = f"the certificates of `{SECTION}.{sink.name}` cannot be read"
        raise ConfigError(message, remedy="make `ca`, `cert` and `key` PEM files that the gateway may read") from None
    return context
