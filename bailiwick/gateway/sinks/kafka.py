"""Kafka, by the extra `kafka`: all replicas acknowledge before a record counts as delivered.

The client is tested against a stub of its library, not against a broker.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, cast

from bailiwick.errors import ConfigError
from bailiwick.gateway.identity import is_safe
from bailiwick.gateway.sinks.item import Item
from bailiwick.gateway.sinks.section import SECTION, Sink
from bailiwick.gateway.sinks.way import SENT, Came

_seconds = 60.0
_longest = 16 * 1024 * 1024


class Producer(Protocol):
    """What is used of aiokafka's producer."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def send(
        self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]]
    ) -> Awaitable[object]: ...


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where a cluster is, and as whom it is spoken to."""

    addresses: tuple[str, ...]
    context: ssl.SSLContext | None
    user: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Brokers({len(self.addresses)})"


def brokers_of(sink: Sink, text: str, context: ssl.SSLContext, secret: str) -> Brokers:
    """Return the brokers that a text names: `host:port`, with commas. TLS, but on this machine. Raises ConfigError."""
    addresses = tuple(each.strip() for each in text.split(",") if each.strip())
    if not addresses or any(not each.rpartition(":")[2].isdigit() for each in addresses):
        message = f"`{SECTION}.{sink.name}.kafka` does not name brokers"
        raise ConfigError(message, remedy="write `host:port`, several with commas")
    here = all(is_safe(f"http://{each}") for each in addresses)
    uses_tls = not here or bool(sink.tls.ca)
    return Brokers(addresses, context if uses_tls else None, sink.user, secret)


def producer_of(brokers: Brokers) -> Callable[[], Producer]:
    """Return what makes a producer. Raises ConfigError without the extra."""
    if find_spec("aiokafka") is None:
        raise ConfigError("the package `aiokafka` is not installed", remedy="pip install 'bailiwick[kafka]'")
    from aiokafka import AIOKafkaProducer  # pyright: ignore[reportMissingTypeStubs]  # it has none

    protocol = "SASL_" if brokers.user else ""
    protocol += "PLAINTEXT" if brokers.context is None else "SSL"

    def make() -> Producer:
        return cast(
            "Producer",
            AIOKafkaProducer(
                bootstrap_servers=",".join(brokers.addresses),
                client_id="bailiwick",
                acks="all",
                enable_idempotence=True,
                max_request_size=_longest,
                security_protocol=protocol,
                ssl_context=brokers.context,
                sasl_mechanism="SCRAM-SHA-512" if brokers.user else "PLAIN",
                sasl_plain_username=brokers.user or None,
                sasl_plain_password=brokers.secret or None,
            ),
        )

    return make


class Kafka:
    """One producer, begun when there is something to send."""

    most = 500

    def __init__(self, topic: str, make: Callable[[], Producer], failures: tuple[type[Exception], ...]) -> None:
        """`failures`: what the library raises when a broker cannot be reached, or does not take something."""
        self._topic = topic
        self._make = make
        self._failures = (*failures, OSError)
        self._producer: Producer | None = None

    def broke(self) -> float | None:
        """Records are acknowledged: nothing is in doubt."""
        return None

    async def send(self, items: Sequence[Item]) -> Came:
        """Send a batch; `sent` when all replicas have all of it."""
        try:
            async with asyncio.timeout(_seconds):
                producer = await self._started()
                sent = [
                    await producer.send(
                        self._topic,
                        value=item.text.encode("utf-8", "replace"),
                        key=(item.agent or "bailiwick").encode("utf-8", "replace"),
                        headers=[("id", item.id.encode("utf-8", "replace")), ("kind", item.kind.encode())],
                    )
                    for item in items
                ]
                await asyncio.gather(*sent)
        except TimeoutError:
            await self.close()
            return Came("failed", "no answer in time")
        except self._failures as error:
            await self.close()
            return Came("failed", f"the brokers do not take it: {type(error).__name__}")
        return SENT

    async def close(self) -> None:
        """Stop the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await producer.stop()
            except self._failures:
                return

    async def _started(self) -> Producer:
        if self._producer is None:
            producer = self._make()
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer
