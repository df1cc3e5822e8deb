"""The sessions that use the MCP front: each admitted once, with its connections, calls in flight and listeners."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.gateway.enforce import Gateway, attempt
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.calls import Calls
from bailiwick.mounts.mcp.conversation import Conversation, Questions
from bailiwick.mounts.mcp.errands import Errands, Terms, patience
from bailiwick.mounts.mcp.listing import documents, listed, prompts
from bailiwick.mounts.mcp.message import Id, Json
from bailiwick.mounts.mcp.notices import LISTS
from bailiwick.mounts.mcp.relay import LEVELS
from bailiwick.mounts.mcp.servers import Connections, Servers

most_calls = 32
"""Calls of one session at once."""
_most_listeners = 8
_unused_after = 300.0
"""Seconds after which a session's connections are ended; its next call opens them anew."""
busy = Denial("limit_exceeded", "this session has too many calls in flight", remedy="wait for some of them")


@dataclass(frozen=True, slots=True)
class Parked:
    """A request that waits for its retry."""

    digest: str
    """Of what was asked; the retry asks the same."""
    task: asyncio.Task[dict[str, Json]]
    conversation: Conversation


class Listener:
    """Somebody who wants to know which lists are others now."""

    def __init__(self) -> None:
        self.stirred = asyncio.Event()
        self._changed: dict[str, None] = {}

    def tell(self, changed: Iterable[str]) -> None:
        """Tell of lists, or of none: that something else is over."""
        self._changed.update(dict.fromkeys(changed))
        self.stirred.set()

    def taken(self) -> tuple[str, ...]:
        """Return the lists that changed since this was last asked."""
        found = tuple(self._changed)
        self._changed.clear()
        self.stirred.clear()
        return found


class Client:
    """One admitted session at this front."""

    def __init__(self, clients: Clients, live: Live) -> None:
        self.live = live
        self.ended: Denial | None = None
        self.used = time.monotonic()
        self.listeners: set[Listener] = set()
        self._clients = clients
        self.seal = clients.terms.seal
        self._connections = Connections(clients.servers)
        self._errands = Errands(clients.gateway, live, self._connections, clients.terms, clients.tools_changed)
        self.calls = Calls(clients.gateway, live, self._errands, clients.built_in, clients.terms)
        self.capabilities: Mapping[str, Json] = {}
        """What the client said, when it introduced itself, that it can do (in the legacy revisions)."""
        self.level: str | None = "info"
        """The least severe log messages that it wants (in the legacy revisions)."""
        self.questions = Questions()
        self.parked: dict[str, Parked] = {}
        """Requests of the modern revision that ended with questions, by the state that their retry brings."""
        self._running: set[asyncio.Task[dict[str, Json]]] = set()
        self._named: dict[Id, list[asyncio.Task[dict[str, Json]]]] = {}
        self.on_forget: Callable[[str], None] = _nothing
        self._shown: dict[str, Json] = {}

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
        found = self._listed()
        self._shown["tools"] = found
        return found

    def introduced(self, params: Mapping[str, Json]) -> None:
        """Note what the client says that it can do, in the legacy revisions."""
        found = params.get("capabilities")
        self.capabilities = cast("dict[str, Json]", found) if isinstance(found, dict) else {}

    async def wants(self, level: Json) -> bool:
        """Note the least severe log messages that the client wants; return whether there is such a level."""
        if not isinstance(level, str) or level not in LEVELS:
            return False
        self.level = level
        await self._connections.tell_level(level)
        return True

    def prompts(self) -> list[dict[str, Json]]:
        """Return the definitions of the prompts that the session may use."""
        return prompts(self.live.tools, self._clients.servers.blocked())

    def documents(self, *, templates: bool) -> list[dict[str, Json]]:
        """Return the documents that the session may read, or the templates of them."""
        return documents(self.live.tools, self._clients.servers.blocked(), templates=templates)

    def start(
        self, identity: Id | None, work: Coroutine[object, object, dict[str, Json]]
    ) -> asyncio.Task[dict[str, Json]]:
        """Start what the agent asks. Its task may be cancelled; it then still records what came of it."""
        task = asyncio.get_running_loop().create_task(work)
        if identity is not None:
            self._named.setdefault(identity, []).append(task)
            task.add_done_callback(lambda _: self._unnamed(identity, task))
        self._running.add(task)
        task.add_done_callback(self._over)
        return task

    def cancel(self, identity: Json) -> None:
        """Cancel what was asked with that id; nothing when it is not clear what is meant."""
        named = self._named.get(identity, []) if isinstance(identity, str | int) else []
        if len(named) == 1:
            named[0].cancel()

    def _unnamed(self, identity: Id, task: asyncio.Task[dict[str, Json]]) -> None:
        named = self._named.get(identity, [])
        named.remove(task)
        if not named:
            del self._named[identity]

    def park(self, parked: Parked) -> str:
        """Keep what waits for answers; return the state that brings it back. It waits no longer than an errand may."""
        state = secrets.token_urlsafe(32)
        self.parked[state] = parked
        ending = asyncio.get_running_loop().call_later(patience, self._given_up, state)
        parked.task.add_done_callback(lambda _: ending.cancel())
        return state

    def unpark(self, state: Json, digest: str) -> Parked | None:
        """Return what a retry goes on with: once, and only the same request; None when there is no such thing."""
        parked = self.parked.get(state) if isinstance(state, str) else None
        if parked is None or not isinstance(state, str) or parked.digest != digest or parked.task.done():
            return None
        return self.parked.pop(state)

    def _given_up(self, state: str) -> None:
        parked = self.parked.pop(state, None)
        if parked is not None:
            parked.task.cancel()

    def look(self) -> None:
        """Tell the listeners which lists are others than they were shown."""
        if not self.listeners:
            return
        found = attempt("a listing", self._lists)
        shown: dict[str, Json] = {} if isinstance(found, Denial) else found  # failing: the next to ask is told so
        before, self._shown = self._shown, shown
        changed = [kind for kind in LISTS if before.get(kind) != shown.get(kind)]
        for listener in self.listeners if changed else ():
            listener.tell(changed)

    def listen(self) -> Listener | None:
        """Return what is told when a list changes; None when too many listen already."""
        if len(self.listeners) >= _most_listeners:
            return None
        self._shown = self._lists()
        listener = Listener()
        self.listeners.add(listener)
        return listener

    def cut(self, denial: Denial) -> None:
        """End it at once: nothing more is started, what runs is cancelled."""
        self.ended = denial
        for task in tuple(self._running):
            task.cancel()
        for listener in self.listeners:
            listener.tell(())
        self._clients.forget(self)

    def renew(self) -> None:
        """Serve another policy. Calls in flight to mounts whose servers are reached otherwise end, and say so."""
        for each in self._connections.renew():
            self._clients.later(each.close())

    async def close(self) -> None:
        """Wait for what was cancelled, and end the connections."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._connections.close()

    def _lists(self) -> dict[str, Json]:
        documents = [self.documents(templates=False), self.documents(templates=True)]
        return {"tools": self._listed(), "prompts": self.prompts(), "resources": documents}

    def _listed(self) -> list[dict[str, Json]]:
        session = self.live.session
        own = self._clients.built_in.listed(self.live)
        blocked = self._clients.servers.blocked()
        found = listed(self.live.tools, lambda ref: session.value(ref.path), blocked)
        return [*own, *(self._described(each) for each in found)]

    def _described(self, definition: dict[str, Json]) -> dict[str, Json]:
        """Return the definition of a tool; of what the gateway itself does, in words for this session alone."""
        tool = self.live.tools.tools.get(str(definition["name"]))
        doing = None if tool is None or tool.tool.own is None else self._clients.terms.own.get(tool.tool.own)
        if tool is None or doing is None:
            return definition
        return {**definition, "description": doing.described(self.live, tool)}

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
        """After another policy: the connections of mounts that it changed are opened anew."""
        for client in tuple(self._known.values()):
            client.renew()
        self.tools_changed()

    async def close(self) -> None:
        """End all of them."""
        for client in tuple(self._known.values()):
            self.forget(client, "the gateway stops")
        await asyncio.gather(*self._closing, return_exceptions=True)
