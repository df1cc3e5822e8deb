"""The servers behind the mounts, as one session uses them: opened when first needed, checked, ended with it.

One connection (or child process) for each session and mount: what a server keeps in mind of a connection is never
shared between sessions. A server that fails is tried again after a pause that grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.gateway.policies.ready import Ready, ServerSecrets
from bailiwick.model.tool import LockedTool, McpMount, Relayed
from bailiwick.mounts.mcp.http import HttpUpstream
from bailiwick.mounts.mcp.relay import Relay
from bailiwick.mounts.mcp.stdio import start
from bailiwick.mounts.mcp.upstream import Guard, Upstream, UpstreamError, introduce, offered, opening_time, set_level

_log = logging.getLogger("bailiwick.mcp")
_compared_again = 60.0
"""Seconds after which a server is asked again what it offers: not every one tells when that changes."""
_first_pause, _longest_pause = 0.2, 10.0


async def open_upstream(mount: McpMount, given: ServerSecrets, folder: Path, relay: Relay | None = None) -> Upstream:
    """Return an open connection to a mount's server, for whoever the relay speaks. Raises UpstreamError."""
    secret = [value.reveal() for name, value in (*given.env.items(), *given.headers.items()) if _refers(mount, name)]
    if mount.url is not None and given.url is not None and given.url.reveal() != mount.url.text:
        secret.append(given.url.reveal())
    guard = Guard(tuple(secret))
    env = {name: value.reveal() for name, value in given.env.items()}
    headers = {name: value.reveal() for name, value in given.headers.items()}
    upstream: Upstream
    if given.url is not None:
        try:
            upstream = HttpUpstream(given.url.reveal(), headers, guard)
        except ValueError:
            raise UpstreamError("what its `url` refers to is no address of a server") from None
    else:
        upstream = await start(mount.command, env, folder, guard, os.environ)
    try:
        told, level = ({}, None) if relay is None else (relay.capabilities, relay.level)
        await asyncio.wait_for(introduce(upstream, told, level), opening_time)
    except TimeoutError:
        await upstream.close()
        raise UpstreamError("the server does not answer") from None
    except BaseException:
        await upstream.close()
        raise
    return upstream


def _refers(mount: McpMount, name: str) -> bool:
    """Return whether a value is a secret: the policy refers to it and does not say it itself."""
    ref = mount.env.get(name) or mount.headers.get(name)
    return ref is not None and ("${" in ref.text or ref.text.startswith(("file:", "vault:")))


def _reached(ready: Ready, mount: str) -> tuple[object, ...]:
    """Return all on which a connection to a mount's server depends; a policy that changes none of it keeps it."""
    policy, given = ready.force.policy.mcp.get(mount), ready.servers.get(mount)
    if policy is None or given is None:
        return ()
    url = None if given.url is None else given.url.reveal()
    env = {name: value.reveal() for name, value in given.env.items()}
    headers = {name: value.reveal() for name, value in given.headers.items()}
    return policy.command, policy.url, policy.env, policy.headers, frozenset(policy.relay), url, env, headers


@dataclass(slots=True)
class Health:
    """What is known of one mount's server, by whatever session."""

    failures: int = 0
    not_before: float = 0.0
    changed: frozenset[str] = frozenset()
    """Tools that are not as they were accepted."""

    def failed(self) -> None:
        """Note a failure: nobody tries again before a pause."""
        self.failures += 1
        self.not_before = time.monotonic() + min(_longest_pause, _first_pause * 2 ** min(self.failures, 10))

    def worked(self) -> None:
        """Note that it works."""
        self.failures, self.not_before = 0, 0.0


class Servers:
    """The servers of the policy in force."""

    def __init__(self, ready: Ready, folder: Path) -> None:
        self.ready = ready
        self.folder = folder
        self._health: dict[str, Health] = {}

    def health(self, mount: str) -> Health:
        """Return what is known of a mount's server."""
        return self._health.setdefault(mount, Health())

    def install(self, ready: Ready) -> None:
        """Serve another policy. What is known of servers is found out anew; tell `Connections.renew` afterwards."""
        self.ready = ready
        self._health = {}

    def blocked(self) -> tuple[tuple[str, str], ...]:
        """Return (mount, tool) of every tool known not to be as it was accepted."""
        return tuple((mount, tool) for mount, health in self._health.items() for tool in health.changed)

    def compare(self, mount: str, live: Mapping[str, LockedTool]) -> bool:
        """Compare a server's tools with what was accepted; return whether what is blocked is another now."""
        accepted = self.ready.force.lock.tools.get(mount, {})
        policy = self.ready.force.policy.mcp.get(mount)
        mapped = frozenset[str]() if policy is None else frozenset(tool.key for tool in policy.offered)
        changed = frozenset(
            name
            for name, tool in accepted.items()
            if name in mapped and (name not in live or live[name].fingerprint != tool.fingerprint)
        )
        health = self.health(mount)
        for name in sorted(changed - health.changed):
            _log.warning("tool %s of mount %s is not as it was accepted and is blocked: bailiwick accept", name, mount)
        different, health.changed = changed != health.changed, changed
        return different


@dataclass(slots=True)
class _Held:
    """One session's connection to one mount."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    upstream: Upstream | None = None
    changed: frozenset[str] = frozenset()
    compared: float = 0.0
    """When what it offers was last compared with what was accepted."""
    gone: bool = False
    """Whether the policy does not mean this connection any more: what is still being opened must not be used."""


class Connections:
    """The connections of one session."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._ready = servers.ready
        self._held: dict[str, _Held] = {}
        self._closed = False

    async def use(self, mount: str, relay: Relay) -> tuple[Upstream, frozenset[str], bool]:
        """Return a mount's connection, the tools of it that are not as accepted, and whether that is news.

        Raises UpstreamError.
        """
        held = self._held.setdefault(mount, _Held())
        async with held.lock:
            if self._closed:
                raise UpstreamError("the session has ended")
            news = False
            if held.upstream is not None and not held.upstream.alive:
                await held.upstream.close()
                held.upstream = None
            if held.upstream is None:
                opened = await self._open(mount, relay)
                if held.gone or self._closed:
                    await opened.close()
                    raise UpstreamError("the session has ended" if self._closed else "the policy changed meanwhile")
                held.upstream = opened
                news = await self._compare(mount, held)
            elif held.upstream.changed or time.monotonic() - held.compared > _compared_again:
                news = await self._compare(mount, held)
            return held.upstream, held.changed, news

    def relayed(self, mount: str) -> frozenset[Relayed]:
        """Return what a mount's server may say to and ask of the agent's client."""
        found = self._ready.force.policy.mcp.get(mount)
        return frozenset[Relayed]() if found is None else frozenset(found.relay)

    async def tell_level(self, level: str) -> None:
        """Tell the servers whose log messages are relayed which of them are wanted."""
        for mount, held in tuple(self._held.items()):
            if held.upstream is not None and "logging" in self.relayed(mount):
                with contextlib.suppress(UpstreamError, TimeoutError):
                    await asyncio.wait_for(set_level(held.upstream, level), opening_time)

    def renew(self) -> Sequence[Upstream]:
        """Serve the policy that is in force now. Returns the connections of mounts whose servers are reached otherwise
        from now on, to be closed: what is in flight on them fails. The others are kept, and compared anew."""
        before, self._ready = self._ready, self._servers.ready
        over: list[Upstream] = []
        for mount, held in tuple(self._held.items()):
            if _reached(before, mount) == _reached(self._ready, mount):
                held.compared = -math.inf
                continue
            del self._held[mount]
            held.gone = True
            if held.upstream is not None:
                over.append(held.upstream)
                held.upstream = None
        return over

    async def drop(self, mount: str, failed: Upstream | None = None) -> None:
        """End a mount's connection: it failed, or what it still says cannot be told apart. `failed`: only that one."""
        held = self._held.get(mount)
        if held is not None and held.upstream is not None and failed in (None, held.upstream):
            upstream, held.upstream = held.upstream, None
            await upstream.close()

    async def close(self) -> None:
        """End all of them."""
        self._closed = True
        await asyncio.gather(*(self.drop(mount) for mount in tuple(self._held)))

    def _mapped(self, mount: str) -> McpMount:
        found = self._ready.force.policy.mcp.get(mount)
        if found is None or mount not in self._ready.servers:
            raise UpstreamError("the mount is not in the policy any more")
        return found

    async def _open(self, mount: str, relay: Relay) -> Upstream:
        policy, given = self._mapped(mount), self._ready.servers[mount]
        health = self._servers.health(mount)
        if time.monotonic() < health.not_before:
            raise UpstreamError("the server failed a moment ago")
        try:
            return await open_upstream(policy, given, self._servers.folder, relay)
        except UpstreamError as error:
            health.failed()
            _log.warning("mount %s: %s", mount, error)
            raise

    async def _compare(self, mount: str, held: _Held) -> bool:
        upstream = held.upstream
        if upstream is None:
            raise UpstreamError("the server has ended")
        upstream.changed = False
        held.compared = time.monotonic()
        try:
            live = await asyncio.wait_for(offered(upstream, self._mapped(mount)), opening_time)
        except (UpstreamError, TimeoutError) as error:
            self._servers.health(mount).failed()
            held.upstream = None
            await upstream.close()
            raise UpstreamError(str(error) or "the server does not answer") from None
        self._servers.health(mount).worked()
        news = self._servers.compare(mount, live)
        held.changed = self._servers.health(mount).changed
        return news
