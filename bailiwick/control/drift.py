"""Drift: what is behind the mounts now, against what was accepted in the lock. Changes nothing; `accept` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bailiwick.errors import BailiwickError
from bailiwick.gateway.backends.backends import place_of, read_tables
from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.policy import Mount, Policy
from bailiwick.model.tool import LockedTool, McpMount
from bailiwick.mounts.mcp.accepting import live_tools, server_tools
from bailiwick.policy.lockfile import lock_diff

Tables = Mapping[tuple[str, str], LockedTable]
Tools = Mapping[str, LockedTool]


@dataclass(frozen=True, slots=True)
class Drift:
    """How one mount stands."""

    mount: str
    changes: tuple[str, ...] = ()
    """What differs from what was accepted, in words."""
    unmapped: tuple[str, ...] = ()
    """What the backend has beside that: tables and tools that no resource maps, and agents do not see."""
    unreachable: str = ""
    """Why nothing is known of it."""

    @property
    def drifted(self) -> bool:
        """Whether it is not known to be as it was accepted."""
        return bool(self.changes or self.unreachable)


async def drift_of(policy: Policy, lock: Lock, environ: Mapping[str, str], base: Path) -> tuple[Drift, ...]:
    """Return how each mount with a backend stands; one that cannot be asked is said, and not left out."""
    found = [await _database(mount, lock, environ, base) for mount in policy.mounts.values()]
    found += [await _server(policy, name, lock, environ, base) for name in (*policy.mcp, *policy.http, *policy.email)]
    return tuple(found)


async def _database(mount: Mount, lock: Lock, environ: Mapping[str, str], base: Path) -> Drift:
    mapped = {(found.schema, found.table) for found in mount.resources.values()}
    try:
        place = place_of(mount, environ, base).reveal()
        live: Tables = await read_tables(mount, place, sorted(mapped))
        every: Tables = await read_tables(mount, place, None)
    except BailiwickError as error:
        return Drift(mount.name, unreachable=error.message)
    old, new = Lock({mount.name: lock.mounts.get(mount.name, {})}), Lock({mount.name: live})
    beside = sorted(f"{schema}.{name}" for schema, name in every if (schema, name) not in mapped)
    return Drift(mount.name, tuple(lock_diff(old, new)), tuple(beside))


async def _server(policy: Policy, name: str, lock: Lock, environ: Mapping[str, str], base: Path) -> Drift:
    server = policy.mcp.get(name)
    try:
        live = await live_tools(_alone(policy, name), environ, base)
        every: Tools = await server_tools(server, environ, base) if isinstance(server, McpMount) else {}
    except BailiwickError as error:
        return Drift(name, unreachable=error.message)
    old, new = Lock({}, {name: lock.tools.get(name, {})}), Lock({}, {name: live.get(name, {})})
    mapped = {tool.key for tool in server.offered} if server is not None else set[str]()
    return Drift(name, tuple(lock_diff(old, new)), tuple(sorted(key for key in every if key not in mapped)))


def _alone(policy: Policy, name: str) -> Policy:
    """Return the policy with no server, API or mail server but one."""
    return replace(
        policy,
        mcp={key: each for key, each in policy.mcp.items() if key == name},
        http={key: each for key, each in policy.http.items() if key == name},
        email={key: each for key, each in policy.email.items() if key == name},
    )
