"""The listener: accepts clients, bounds them, and stops without losing what is in flight."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.gateway.enforcer import Enforcer
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres.connection import Connection, Surroundings, Target
from bailiwick.mounts.postgres.frontend import LARGEST_RESULT
from bailiwick.mounts.postgres.keys import CancelKeys
from bailiwick.mounts.postgres.planning import NO_ANALYSIS, Analysis
from bailiwick.mounts.postgres.tls import offer_protocol
from bailiwick.mounts.postgres.translate import Planner
from bailiwick.mounts.postgres.values import MaskPads

_STOPPING = Denial("backend_unavailable", "the gateway is shutting down", remedy="connect again later")
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a listener takes on."""

    connections: int = 1000
    half_open: int = 200
    """Clients that have not sent a password yet; with one more, the oldest of them is dropped."""
    login_timeout: float = 10.0
    statement_timeout: float = 60.0
    """Seconds that one statement may run."""
    largest_result: int = LARGEST_RESULT


class Server:
    """One listening port of the PostgreSQL front end. Made by `serve_postgres`."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._connections: set[Connection] = set()
        self._half_open: dict[Connection, None] = {}
        self._listener: asyncio.Server | None = None
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._listener is None or not self._listener.sockets:
            return 0
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients there are, half-open ones included."""
        return len(self._connections)

    async def start(self, around: Surroundings, host: str, port: int) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(around, self), host, port, backlog=1024)

    def recheck(self) -> None:
        """The policy has changed: end the connections that would run under another depth now."""
        for connection in list(self._connections):
            connection.recheck()

    async def close(self, deadline: float = 5.0) -> None:
        """Take no more clients; let the statements in flight end within `deadline` seconds; cut the rest."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        while self._connections:
            late = loop.time() >= until
            for connection in list(self._connections):
                if late or not connection.busy:
                    connection.cut(_STOPPING)
            if loop.time() >= until + 3.0:
                break
            await asyncio.sleep(_POLL)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    # --- Register ---

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self._connections.add(connection)
        self._half_open[connection] = None
        if self._stopping:
            connection.abort()
        elif len(self._half_open) > self._bounds.half_open:
            oldest = next(iter(self._half_open))
            del self._half_open[oldest]
            oldest.abort()

    def identified(self, connection: Connection) -> bool:
        """The client has sent its password. False: there are too many."""
        self._half_open.pop(connection, None)
        return len(self._connections) - len(self._half_open) <= self._bounds.connections

    def closed(self, connection: Connection) -> None:
        """The client is gone."""
        self._half_open.pop(connection, None)
        self._connections.discard(connection)


async def serve_postgres(
    targets: Mapping[str, Target],
    enforcer: Enforcer,
    planner: Planner,
    *,
    mask_key: bytes,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = Bounds(),
    analysis: Analysis = NO_ANALYSIS,
) -> Server:
    """Listen for PostgreSQL clients. `targets` is looked up at every connection, so its owner may change it.

    `analysis` makes the plans that `planner` does not know.
    """
    if tls is not None:
        offer_protocol(tls)
    server = Server(bounds)
    around = Surroundings(
        targets,
        enforcer,
        planner,
        MaskPads.of(mask_key),
        CancelKeys(),
        tls,
        bounds.login_timeout,
        bounds.statement_timeout,
        bounds.largest_result,
        analysis,
    )
    await server.start(around, host, port)
    return server
