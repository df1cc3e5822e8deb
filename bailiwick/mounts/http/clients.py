"""The sessions that use the HTTP front: each admitted once, with what runs of it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable

from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.mounts.http.apis import Apis
from bailiwick.mounts.http.exchange import Terms
from bailiwick.mounts.http.messages import Messages
from bailiwick.mounts.http.requests import Requests

most_requests = 64
"""Requests of one session at once."""
_unused_after = 300.0
BUSY = Denial("limit_exceeded", "this session has too many requests in flight", remedy="wait for some of them")


class Client:
    """One admitted session at this front."""

    def __init__(self, live: Live, requests: Requests, messages: Messages) -> None:
        self.live = live
        self.requests = requests
        self.messages = messages
        self.ended: Denial | None = None
        self.used = time.monotonic()
        self.running: set[asyncio.Task[object]] = set()
        self.on_forget: Callable[[str], None] = _nothing

    def cut(self, denial: Denial) -> None:
        """End it at once: what runs is cancelled."""
        self.ended = denial
        for task in tuple(self.running):
            task.cancel()


def _nothing(_: str) -> None:
    """Nobody was told of it yet."""


class Clients:
    """All of them, by the digest of their token."""

    def __init__(self, gateway: Gateway, apis: Apis, terms: Terms) -> None:
        self.gateway = gateway
        self._apis = apis
        self._terms = terms
        self._known: dict[bytes, Client] = {}
        self._admitting: dict[bytes, asyncio.Lock] = {}

    def known(self, token: str) -> Client | None:
        """Return the client of a token that was admitted before."""
        return self._known.get(_key(token))

    async def admit(self, token: str, peer: str) -> Client | Denial:
        """Return the client of a token, admitted now if it is not yet; or why it may do nothing."""
        key = _key(token)
        lock = self._admitting.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self._known.get(key)
                return known if known is not None else await self._enter(key, token, peer)
        finally:
            self._admitting.pop(key, None)

    async def _enter(self, key: bytes, token: str, peer: str) -> Client | Denial:
        made: list[Client] = []
        early: list[Denial] = []

        def cut(denial: Denial) -> None:
            early.append(denial)
            for client in made:
                client.cut(denial)
                self._forget(client, "the session ended")

        live = await self.gateway.enter("http", token, peer, cut)
        if isinstance(live, Denial):
            return live
        messages = Messages(self.gateway, live, self._terms)
        client = Client(live, Requests(self.gateway, live, self._apis, self._terms), messages)
        made.append(client)
        if early:
            return early[0]
        client.on_forget = lambda reason: self.gateway.disconnect(live, cut, reason)
        self._known[key] = client
        return client

    def _forget(self, client: Client, reason: str) -> None:
        for key, each in tuple(self._known.items()):
            if each is client:
                del self._known[key]
                client.on_forget(reason)

    def sweep(self) -> None:
        """Forget those that were not used for a while."""
        before = time.monotonic() - _unused_after
        for client in tuple(self._known.values()):
            if not client.running and client.used < before:
                self._forget(client, "not used for a while")

    async def close(self) -> None:
        """End all of them; what was under way is on record."""
        running = [task for client in self._known.values() for task in client.running]
        for client in tuple(self._known.values()):
            client.cut(Denial("session_closed", "the gateway was stopped", remedy="start it again"))
            self._forget(client, "the gateway stops")
        await asyncio.gather(*running, return_exceptions=True)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
