"""The MCP mounts of a gateway as one front: one endpoint for all of them, for the policy in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bailiwick.errors import ConfigError
from bailiwick.gateway.approvals.executing import Void
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.elevations.desk import ElevationDesk
from bailiwick.gateway.enforce import Gateway, attempt
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import keyed_digest
from bailiwick.model.approval import Approval, Subject
from bailiwick.mounts.listening import Listening, checks_of
from bailiwick.mounts.mcp.asgi import PATH, Endpoint
from bailiwick.mounts.mcp.builtin import BuiltIn, Databases
from bailiwick.mounts.mcp.calls import Calls
from bailiwick.mounts.mcp.clients import Clients
from bailiwick.mounts.mcp.discovery import Discovery
from bailiwick.mounts.mcp.errands import Errands, Terms
from bailiwick.mounts.mcp.offered import Offered
from bailiwick.mounts.mcp.sealed import seal_of
from bailiwick.mounts.mcp.servers import Connections, Servers
from bailiwick.mounts.offered import Doings

_sweep_seconds = 15.0


class Alone:
    """Runs calls that people have approved, for who is not there: of servers' tools, and of the gateway's own."""

    def __init__(
        self, gateway: Gateway, servers: Servers, built_in: BuiltIn, terms: Terms, in_force: Callable[[], Ready]
    ) -> None:
        self._gateway = gateway
        self._servers = servers
        self._built_in = built_in
        self._terms = terms
        self._in_force = in_force

    def runs(self, subject: Subject) -> bool:
        """See `Executor`."""
        policy = self._in_force().force.policy
        served = subject.mount in policy.mcp or (subject.mount in policy.email and "email" in self._terms.own)
        return served and subject.kind == "call" and ":" not in subject.text  # no prompt, and no document

    async def execute(self, live: Live, approval: Approval) -> Came | Void:
        """See `Executor`. It has a connection of its own to the server, which ends with the call."""
        connections = Connections(self._servers)
        try:
            errands = Errands(self._gateway, live, connections, self._terms, _unchanged)
            calls = Calls(self._gateway, live, errands, self._built_in, self._terms)
            return await calls.run_approved(approval)
        finally:
            await connections.close()


def _unchanged() -> None:
    """Nobody looks at lists."""


class McpFront:
    """A `Front` of the gateway. It listens when the policy that it starts with has mounts of kind `mcp` or `sql`, or
    when it is told to."""

    name = "mcp"

    def __init__(
        self,
        config: GatewayConfig,
        databases: Sequence[Databases],
        authority: Callable[[], str] = lambda: "",
        own: Doings | None = None,
        offered: Sequence[Offered] = (),
    ) -> None:
        """`authority`: where tokens are to be had, empty when nowhere. `own`: what the gateway itself does."""
        self._own: Doings = own or {}
        self._config = config
        self._authority = authority
        self._databases = databases
        self._offered = offered
        self._ready: Ready | None = None
        self._clients: Clients | None = None
        self._servers: Servers | None = None
        self._listening = Listening("mcp", config.mcp, config)
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients on this machine, or with its address, connect to; None when it does not listen."""
        return self._listening.address

    @property
    def url(self) -> str:
        """Where clients connect: `mcp.url`; else, with TLS, by the first of `mcp.hosts`. Empty: it does not listen."""
        if self.address is None:
            return ""
        return self._config.mcp_url or self._listening.url + PATH

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Begin to listen, if there is something to serve. Raises ConfigError when it cannot."""
        if not (self._config.mcp_always or _needed(ready)):
            return
        self._ready = ready
        self._servers = Servers(ready, self._config.data_dir.parent)
        longest, seal = self._config.limits.statement_time.total_seconds(), seal_of(keys.signing)
        terms = Terms(longest, keyed_digest(keys.mask), self._own, seal)
        elevations = ElevationDesk(gateway.elevations)
        built_in = BuiltIn(lambda: self._in_force().force.lock, self._databases, gateway, elevations, self._offered)
        self._clients = Clients(gateway, self._servers, built_in, terms)
        gateway.executions.executors.append(Alone(gateway, self._servers, built_in, terms, self._in_force))
        gateway.elevations.listeners.append(self._clients.tools_changed)
        await self._listening.start(Endpoint(self._clients, checks_of(self._config.mcp), self._discovery()))
        self._sweeping = asyncio.create_task(self._sweep(self._clients))

    def _discovery(self) -> Discovery:
        return Discovery(self._authority, self._config.mcp_url, secure=self._config.mcp.tls_cert is not None)

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        if _needed(ready) and self._listening.address is None:
            message = "the policy has its first mounts that are reached by MCP, and the gateway does not listen for it"
            raise ConfigError(message, remedy="start the gateway anew")

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        if self._servers is not None and self._clients is not None:
            self._ready = ready
            self._servers.install(ready)
            self._clients.renew()

    async def stop(self) -> None:
        """Take no more clients, let what is in flight end, cut the rest."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._clients is not None:
            await self._clients.close()
        await self._listening.stop()

    def _in_force(self) -> Ready:
        if self._ready is None:
            raise ConfigError("the MCP front was not started")
        return self._ready

    async def _sweep(self, clients: Clients) -> None:
        while True:
            await asyncio.sleep(_sweep_seconds)
            attempt("forgetting clients that are not used", clients.sweep)


def _needed(ready: Ready) -> bool:
    """Return whether something is reached by MCP alone: tools, or the databases that `query` asks."""
    policy = ready.force.policy
    served = policy.mcp or policy.email or policy.files
    return bool(served) or any(mount.kind == "sql" for mount in policy.mounts.values())
