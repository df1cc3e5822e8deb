"""Tools of the gateway's own that mounts offer agents over MCP: what is done with files, or with mail.

Unlike a server's tools they need no accepting; unlike `query` each call is decided and recorded as its mount's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bailiwick.gateway.sessions.live import Live
from bailiwick.mounts.mcp.contents import Result
from bailiwick.mounts.mcp.message import Json


@dataclass(frozen=True, slots=True)
class OwnCall:
    """A call of such a tool."""

    arguments: Mapping[str, Json]
    purpose: str = ""
    """The agent's own claim of its reason."""
    patience: float = 0.0
    """Seconds that the caller waits for people, where a gate holds it."""


OwnRun = Callable[[OwnCall], Awaitable[Result]]


class Offered(Protocol):
    """What mounts of one kind offer."""

    def listed(self, live: Live) -> list[dict[str, Json]]:
        """Return the definitions of the tools that a session has, for `tools/list`."""
        ...

    def named(self, name: str, live: Live) -> OwnRun | None:
        """Return what runs a tool, None when the session has none of that name.

        What it returns is on record by then; it records what it refuses."""
        ...
