"""The HTTP mounts of a gateway as one front: one endpoint for all of them, below `/MOUNT/`, for the policy in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from bailiwick.errors import ConfigError
from bailiwick.gateway.approvals.executing import Void
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import keyed_digest
from bailiwick.model.approval import Approval, Subject
from bailiwick.mounts.files.front import FilesFront
from bailiwick.mounts.http.apis import Apis
from bailiwick.mounts.http.asgi import Endpoint
from bailiwick.mounts.http.clients import Clients
from bailiwick.mounts.http.exchange import Terms
from bailiwick.mounts.http.files import FileRequests
from bailiwick.mounts.http.requests import Requests
from bailiwick.mounts.http.signpost import Signpost
from bailiwick.mounts.listening import Listening, checks_of
from bailiwick.mounts.mcp.discovery import Discovery
from bailiwick.mounts.offered import Doings
from bailiwick.mounts.web import bare

_sweep_seconds = 15.0


class Alone:
    """Runs requests that people have approved, for who is not there."""

    def __init__(self, gateway: Gateway, apis: Apis, terms: Terms) -> None:
        self._gateway = gateway
        self._apis = apis
        self._terms = terms

    def runs(self, subject: Subject) -> bool:
        """See `Executor`."""
        known = self._apis.get(subject.mount) is not None
        return known and subject.kind == "call" and subject.text.startswith("route:")

    async def execute(self, live: Live, approval: Approval) -> Came | Void:
        """See `Executor`."""
        return await Requests(self._gateway, live, self._apis, self._terms).run_approved(approval)


class HttpFront:
    """A `Front` of the gateway. It listens when the policy that it starts with has mounts of kind `http` or `email`."""

    name = "http"

    def __init__(
        self,
        config: GatewayConfig,
        authority: Callable[[], str] = lambda: "",
        files: FilesFront | None = None,
        own: Doings | None = None,
    ) -> None:
        """`authority`: where tokens are to be had, empty when nowhere. `files`: the mounts that are served beside;
        `own`: what the gateway itself does of others."""
        self._files = files
        self._own: Doings = own or {}
        self._config = config
        self._authority = authority
        self._apis = Apis()
        self._clients: Clients | None = None
        self._listening = Listening("http", config.http, config)
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients connect to; None when it does not listen."""
        return self._listening.address

    @property
    def url(self) -> str:
        """Where clients connect; below it each mount has its name. Empty: it does not listen."""
        return self._listening.url and (self._config.http_url or self._listening.url)

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Begin to listen, if there is something to serve. Raises ConfigError when it cannot."""
        if not self._needed(ready):
            return
        limits = self._config.limits
        terms = Terms(
            limits.statement_time.total_seconds(),
            limits.result,
            keyed_digest(keys.mask),
            self._own,
        )
        self._apis.install(ready)
        self._clients = Clients(gateway, self._apis, terms)
        gateway.executions.executors.append(Alone(gateway, self._apis, terms))
        config, public = self._config, self._config.http_url
        signpost = Signpost(Discovery(self._authority, "", config.http.tls_cert is not None, public))
        checks = checks_of(config.http)
        if public:
            checks = replace(checks, hosts=checks.hosts | {bare(public.partition("://")[2])})
        files = None if self._files is None else FileRequests(self._files)
        await self._listening.start(Endpoint(self._clients, checks, signpost, files))
        self._sweeping = asyncio.create_task(self._sweep(self._clients))

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        if self._needed(ready) and self._listening.address is None:
            message = (
                "the policy has its first mounts that are reached by HTTP, and the gateway does not listen for them"
            )
            raise ConfigError(message, remedy="start the gateway anew")
        self._apis.check(ready)

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        if self._clients is not None:
            self._apis.install(ready)

    async def stop(self) -> None:
        """Take no more clients, cut what is in flight."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._clients is not None:
            await self._clients.close()
        await self._listening.stop()
        await self._apis.close()

    def _needed(self, ready: Ready) -> bool:
        """Return whether something is reached by HTTP: APIs, mail, or files."""
        policy = ready.force.policy
        return bool(policy.http or policy.email) or (self._files is not None and bool(policy.files))

    async def _sweep(self, clients: Clients) -> None:
        while True:
            await asyncio.sleep(_sweep_seconds)
            clients.sweep()
