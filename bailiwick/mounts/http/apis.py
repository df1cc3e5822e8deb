"""The APIs of the policy in force: of each mount its routes, and the way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailiwick.gateway.policies.ready import ApiSecrets, Ready
from bailiwick.match.routes import Router
from bailiwick.model.http import HttpMount
from bailiwick.model.lock import Lock
from bailiwick.model.tool import Tool
from bailiwick.mounts.http.upstream import Api

if TYPE_CHECKING:
    from bailiwick.mounts.http.graphql.graph import Graph

_last_answers = 60.0
"""Seconds that what is in flight has when its mount is another one now."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount."""

    mount: HttpMount
    given: ApiSecrets
    api: Api
    router: Router[Tool]
    graph: Graph | None = None
    """Its GraphQL, where it speaks it."""

    def shown(self, tool: Tool) -> str:
        """Return the name under which a scope has a route, without its kind."""
        return self.mount.shown(tool).removeprefix("route:")


class Apis:
    """All of them."""

    def __init__(self) -> None:
        self._mounted: Mapping[str, Mounted] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def get(self, name: str) -> Mounted | None:
        """Return the mount of that name."""
        return self._mounted.get(name)

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that cannot be served."""
        for name, mount in ready.force.policy.http.items():
            Api(mount, ready.apis[name])

    def install(self, ready: Ready) -> None:
        """Serve another policy. The connections of a mount that stays as it was are kept."""
        before = self._mounted
        self._mounted = {
            name: self._kept(before.get(name), mount, ready.apis[name], ready.force.lock)
            for name, mount in ready.force.policy.http.items()
        }
        kept = {id(each.api) for each in self._mounted.values()}
        for each in before.values():
            if id(each.api) not in kept:
                task = asyncio.get_running_loop().create_task(_end(each.api))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    def _kept(self, before: Mounted | None, mount: HttpMount, given: ApiSecrets, lock: Lock) -> Mounted:
        router = Router(
            [(tool.route.method, tool.route.path, tool) for tool in mount.offered if tool.route is not None]
        )
        same = before is not None and before.given == given and _reached(before.mount) == _reached(mount)
        api = before.api if before is not None and same else Api(mount, given)
        return Mounted(mount, given, api, router, _graph(mount, lock))

    async def close(self) -> None:
        """End all connections."""
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        for each in self._mounted.values():
            await each.api.close()


def _reached(mount: HttpMount) -> object:
    return mount.url, mount.networks, mount.authority, None if mount.credential is None else mount.credential.kind


def _graph(mount: HttpMount, lock: Lock) -> Graph | None:
    if mount.graphql is None:
        return None
    from bailiwick.mounts.http.graphql.graph import graph_of  # a fifth of a second, and few need it

    return graph_of(mount, lock)


async def _end(api: Api) -> None:
    try:
        await asyncio.sleep(_last_answers)
    finally:
        await api.close()
