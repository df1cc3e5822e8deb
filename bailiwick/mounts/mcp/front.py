"""The MCP mounts of a gateway as one front: one endpoint for all of them, for the policy in force."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Generator
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import GatewayConfig, McpListener
from bailiwick.gateway.enforce import Gateway, attempt
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.ready import Ready
from bailiwick.match.masks import Digest
from bailiwick.mounts.gathered import Gathered
from bailiwick.mounts.mcp.asgi import PATH, Checks, Endpoint
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.clients import Clients
from bailiwick.mounts.mcp.errands import Terms
from bailiwick.mounts.mcp.servers import Servers
from bailiwick.mounts.sql.front import SqlMounts

_longest_head = 64 * 1024
_sweep_seconds = 15.0
_stop_seconds = 5


class McpFront:
    """A `Front` of the gateway. It listens when the policy that it starts with has mounts of kind `mcp` or `sql`."""

    name = "mcp"

    def __init__(self, config: GatewayConfig, databases: SqlMounts) -> None:
        self._config = config
        self._databases = databases
        self._ready: Ready | None = None
        self._clients: Clients | None = None
        self._servers: Servers | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._port = 0

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients on this machine, or with its address, connect to; None when it does not listen."""
        host = self._config.mcp.host
        if self._server is None:
            return None
        return ("127.0.0.1" if host in ("0.0.0.0", "") else host), self._port  # noqa: S104  # compared, not bound

    @property
    def url(self) -> str:
        """Where clients connect; with TLS by the first of `mcp.hosts`, if there is one. Empty: it does not listen."""
        if self.address is None:
            return ""
        host, port = self.address
        listener = self._config.mcp
        if listener.tls_cert is None:
            return f"http://{_bracketed(host)}:{port}{PATH}"
        return f"https://{_bracketed(listener.hosts[0] if listener.hosts else host)}:{port}{PATH}"

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Begin to listen, if there is something to serve. Raises ConfigError when it cannot."""
        if not _needed(ready):
            return
        listener = self._config.mcp
        self._ready = ready
        self._servers = Servers(ready, self._config.data_dir.parent)
        terms = Terms(self._config.limits.statement_time.total_seconds(), _digest(keys.mask))
        built_in = BuiltIn(lambda: self._in_force().force.lock, self._databases)
        self._clients = Clients(gateway, self._servers, built_in, terms)
        bound = _bound(listener)
        self._port = int(bound.getsockname()[1])
        self._server = _Server(_settings(listener, Endpoint(self._clients, _checks(listener)), self._config))
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]))
        while not self._server.started:
            if self._serving.done():
                raise ConfigError("the MCP front cannot listen", remedy="check the settings that begin with `mcp.`")
            await asyncio.sleep(0.01)
        self._sweeping = asyncio.create_task(self._sweep(self._clients))

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        if _needed(ready) and self._server is None:
            message = "the policy has its first mounts of kind `mcp` or `sql`, and the gateway does not listen for MCP"
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
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._serving, _stop_seconds * 2)

    def _in_force(self) -> Ready:
        if self._ready is None:
            raise ConfigError("the MCP front was not started")
        return self._ready

    async def _sweep(self, clients: Clients) -> None:
        while True:
            await asyncio.sleep(_sweep_seconds)
            attempt("forgetting clients that are not used", clients.sweep)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _digest(key: bytes) -> Digest:
    """Return a keyed digest of texts. The key is set up once: that takes longer than most texts."""
    begun = hmac.new(key, digestmod=hashlib.sha256)

    def digest(text: str) -> str:
        found = begun.copy()
        found.update(text.encode())
        return found.hexdigest()

    return digest


def _needed(ready: Ready) -> bool:
    """Return whether something is reached by MCP alone: tools, or the databases that `query` asks."""
    policy = ready.force.policy
    return bool(policy.mcp) or any(mount.kind == "sql" for mount in policy.mounts.values())


class _Server(uvicorn.Server):
    """uvicorn, without handlers of signals: the gateway has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


class _Protocol(HttpToolsProtocol):
    """HTTP whose heads are bounded: before it is authorised nobody makes the gateway hold more."""

    _head = 0

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._head >= 0:
            self._head += len(data)
            if self._head > _longest_head * 2:
                self.transport.close()
                return
        super().data_received(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a client: what is written to it in one turn leaves as one."""
        super().connection_made(cast("asyncio.Transport", Gathered(cast("asyncio.Transport", transport))))

    def on_headers_complete(self) -> None:
        """The head is over; what follows is counted where it is read."""
        self._head = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Another head may follow."""
        self._head = 0
        super().on_message_complete()


def _settings(listener: McpListener, endpoint: Endpoint, config: GatewayConfig) -> uvicorn.Config:
    return uvicorn.Config(
        endpoint,  # pyright: ignore[reportArgumentType]  # ASGI's own types are looser mappings
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=config.limits.connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_stop_seconds,
        ssl_certfile=None if listener.tls_cert is None else str(listener.tls_cert),
        ssl_keyfile=None if listener.tls_key is None else str(listener.tls_key),
    )


def _checks(listener: McpListener) -> Checks:
    own = {"localhost", "127.0.0.1", "[::1]", *listener.hosts}
    if listener.host not in ("0.0.0.0", "::", ""):  # noqa: S104  # compared, not bound
        own.add(f"[{listener.host}]".lower() if ":" in listener.host else listener.host.lower())
    return Checks(frozenset(own), frozenset(listener.origins), only_loopback=listener.tls_cert is None)


def _bound(listener: McpListener) -> socket.socket:
    try:
        version = ipaddress.ip_address(listener.host).version
    except ValueError:
        version = 4
    bound = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((listener.host, listener.port))
    except OSError as error:
        bound.close()
        message = f"cannot listen on {listener.host}:{listener.port}: {(error.strerror or 'failed').lower()}"
        raise ConfigError(message, remedy="set `mcp.host` and `mcp.port` in gateway.yaml") from None
    bound.setblocking(False)
    return bound
