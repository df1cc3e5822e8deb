"""Where agents' HTTP clients connect: the server below the MCP endpoint and the one of the HTTP mounts."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import GatewayConfig, WebListener
from bailiwick.mounts.gathered import Gathered
from bailiwick.mounts.web import Checks, Receive, Scope, Send

_longest_head = 64 * 1024
_stop_seconds = 5
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Listening:
    """An endpoint that listens: made by `start`, ended by `stop`."""

    def __init__(self, name: str, listener: WebListener, config: GatewayConfig) -> None:
        self._name = name
        self._listener = listener
        self._config = config
        self._server: WebServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._port = 0

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients on this machine, or with its address, connect to; None when it does not listen."""
        if self._server is None:
            return None
        host = self._listener.host
        return ("127.0.0.1" if host in ("0.0.0.0", "") else host), self._port  # noqa: S104  # compared, not bound

    @property
    def url(self) -> str:
        """Where clients connect; with TLS by the first of its `hosts`, if there is one. Empty: it does not listen."""
        if self.address is None:
            return ""
        host, port = self.address
        listener = self._listener
        if listener.tls_cert is None:
            return f"http://{_bracketed(host)}:{port}"
        return f"https://{_bracketed(listener.hosts[0] if listener.hosts else host)}:{port}"

    async def start(self, endpoint: Application) -> None:
        """Begin to listen. Raises ConfigError when it cannot."""
        made = bound(self._listener, self._name)
        self._port = int(made.getsockname()[1])
        self._server = WebServer(settings_of(self._listener, endpoint, self._config))
        self._serving = asyncio.create_task(self._server.serve(sockets=[made]))
        while not self._server.started:
            if self._serving.done():
                message = f"the {self._name} front cannot listen"
                raise ConfigError(message, remedy=f"check the settings that begin with `{self._name}.`")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Take no more clients; let what is in flight end."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._serving, _stop_seconds * 2)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class WebServer(uvicorn.Server):
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


def settings_of(listener: WebListener, endpoint: Application, config: GatewayConfig) -> uvicorn.Config:
    """Return how an endpoint is served."""
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


def checks_of(listener: WebListener) -> Checks:
    """Return who may call."""
    own = {"localhost", "127.0.0.1", "[::1]", *listener.hosts}
    if listener.host not in ("0.0.0.0", "::", ""):  # noqa: S104  # compared, not bound
        own.add(f"[{listener.host}]".lower() if ":" in listener.host else listener.host.lower())
    return Checks(frozenset(own), frozenset(listener.origins), only_loopback=listener.tls_cert is None)


def bound(listener: WebListener, name: str) -> socket.socket:
    """Return a socket bound to where a listener listens. Raises ConfigError."""
    try:
        version = ipaddress.ip_address(listener.host).version
    except ValueError:
        version = 4
    made = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((listener.host, listener.port))
    except OSError as error:
        made.close()
        message = f"cannot listen on {listener.host}:{listener.port}: {(error.strerror or 'failed').lower()}"
        raise ConfigError(message, remedy=f"set `{name}.host` and `{name}.port` in gateway.yaml") from None
    made.setblocking(False)
    return made
