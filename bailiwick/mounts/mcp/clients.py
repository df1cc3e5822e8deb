"""The sessions that use the MCP front: each admitted once, with its connections, calls in flight and listeners."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Mapping

from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.calls import Calls, Terms
from bailiwick.mounts.mcp.listing import listed
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.mcp.servers import Connections, Servers

most_calls = 32
"""Calls of one session at once."""
_most_listeners = 8
_unused_after = 300.0
"""Seconds after which a session's connections are ended; its next call opens them anew."""
busy = Denial("limit_exceeded", "this session has too many calls in flight", remedy="wait for some of them")


class Client:
    """One admitted session at this front."""

    def __init__(self, clients: Clients, live: Live) -> None:
        self.live = live
        self.ended: Denial | None = None
        self.used = time.monotonic()
        self.listeners: set[asyncio.Event] = set()
        """Set when the session's list of tools is another one."""
        self._clients = clients
        self._connections = Connections(clients.servers)
        self._calls = Calls(
            clients.gateway, live, self._connections, clients.built_in, clients.terms, clients.tools_changed
        )
        self._running: set[asyncio.Task[dict[str, Json]]] = set()
        self.on_forget: Callable[[str], None] = _nothing
        self._shown: list[dict[str, Json]] = []

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs, listens or was used for a while."""
        unused = time.monotonic() - self.used > _unused_after
        return unused and not self._running and not self.listeners

    @property
    def is_busy(self) -> bool:
        """Whether it may start nothing more now."""
        return len(self._running) >= most_calls

    def tools(self) -> list[dict[str, Json]]:
        """Return the definitions of the tools that the session may call."""
        self._shown = self._listed()
        return self._shown

    def call(self, params: Mapping[str, Json]) -> asyncio.Task[dict[str, Json]]:
        """Start a call. Its task may be cancelled; it then still records what came of it."""
        task = asyncio.get_running_loop().create_task(self._calls.call(params))
        self._running.add(task)
        task.add_done_callback(self._over)
        return task

    def look(self) -> None:
        """Tell the listeners if what they were shown is not what there is."""
        if self.listeners and self._listed() != self._shown:
            for listener in self.listeners:
                listener.set()

    def listen(self) -> asyncio.Event | None:
        """Return what is set when the list of tools changes; None when too many listen already."""
        if len(self.listeners) >= _most_listeners:
            return None
        self._shown = self._listed()
        listener = asyncio.Event()
        self.listeners.add(listener)
        return listener

    def cut(self, denial: Denial) -> None:
        """End it at once: nothing more is started, what runs is cancelled."""
        self.ended = denial
        for task in tuple(self._running):
            task.cancel()
        for listener in self.listeners:
            listener.set()
        self._clients.forget(self)

    def renew(self, connections: Connections) -> None:
        """Use other connections from now on; calls in flight lose theirs, and say so."""
        before, self._connections = self._connections, connections
        self._calls.connections = connections
        self._clients.later(before.close())

    async def close(self) -> None:
        """Wait for what was cancelled, and end the connections."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._connections.close()

    def _listed(self) -> list[dict[str, Json]]:
        session = self.live.session
        own = self._clients.built_in.listed(self.live)
        blocked = self._clients.servers.blocked()
        return [*own, *listed(self.live.tools, lambda ref: session.value(ref.path), blocked)]

    def _over(self, task: asyncio.Task[dict[str, Json]]) -> None:
        self._running.discard(task)
        self.used = time.monotonic()
        if not task.cancelled():
            task.exception()  # whoever waited for it has left, or has it


def _nothing(_: str) -> None:
    """Nobody was told of it yet."""


class Clients:
    """All of them, by the digest of their token."""

    def __init__(self, gateway: Gateway, servers: Servers, built_in: BuiltIn, terms: Terms) -> None:
        self.gateway = gateway
        self.servers = servers
        self.built_in = built_in
        self.terms = terms
        self._known: dict[bytes, Client] = {}
        self._admitting: dict[bytes, asyncio.Lock] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def admit(self, token: str, peer: str) -> Client | Denial:
        """Return the client of a token, admitted at its first use; or why it may do nothing."""
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is None:
            lock = self._admitting.setdefault(key, asyncio.Lock())
            try:
                async with lock:
                    known = self._known.get(key)
                    if known is None:
                        return await self._enter(key, token, peer)
            finally:
                self._admitting.pop(key, None)
        blocked = known.ended or known.live.blocked()
        known.used = time.monotonic()
        return known if blocked is None else blocked

    async def _enter(self, key: bytes, token: str, peer: str) -> Client | Denial:
        made: list[Client] = []
        early: list[Denial] = []

        def cut(denial: Denial) -> None:
            early.append(denial)
            for client in made:
                client.cut(denial)

        live = await self.gateway.enter("mcp", token, peer, cut)
        if isinstance(live, Denial):
            return live
        client = Client(self, live)
        made.append(client)
        if early:
            client.ended = early[0]
            return early[0]
        client.on_forget = lambda reason: self.gateway.disconnect(live, cut, reason)
        self._known[key] = client
        return client

    def forget(self, client: Client, reason: str = "the session ended") -> None:
        """Forget a client; its connections are ended beside."""
        for key, each in tuple(self._known.items()):
            if each is client:
                del self._known[key]
                client.on_forget(reason)
                self.later(client.close())

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Do something beside, before the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def sweep(self) -> None:
        """Forget those that were not used for a while."""
        for client in tuple(self._known.values()):
            if client.idle:
                self.forget(client, "not used for a while")

    def tools_changed(self) -> None:
        """Tell whoever listens and is concerned that tools are others now."""
        for client in tuple(self._known.values()):
            client.look()

    def renew(self) -> None:
        """After another policy: every session's connections are opened anew."""
        for client in tuple(self._known.values()):
            client.renew(Connections(self.servers))
        self.tools_changed()

    async def close(self) -> None:
        """End all of them."""
        for client in tuple(self._known.values()):
            self.forget(client, "the gateway stops")
        await asyncio.gather(*self._closing, return_exceptions=True)
