"""One connection of the gateway's own to an MCP server, whatever carries it: requests, replies, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from bailiwick.model.tool import LockedTool
from bailiwick.mounts.mcp.era import LEGACY, server_info
from bailiwick.mounts.mcp.message import Json, read_faithfully
from bailiwick.policy.locked_tools import locked_tool

longest = 32 * 1024 * 1024
"""Bytes of one message of a server."""
opening_time = 20.0
"""Seconds that a server may take to answer while a connection is opened."""
_most_pages = 100
_OLDER = ("2025-03-26", "2024-11-05")
"""Revisions that servers may fall back to; what we use of them is the same."""


class UpstreamError(Exception):
    """The server cannot be reached, broke off, or says what is no answer. Never holds anything that it said."""


class WithheldError(UpstreamError):
    """The answer held one of the gateway's own credentials, so nobody gets it."""


class TooLongError(UpstreamError):
    """The answer is longer than it may be."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: a result, or an error with code and message. `size` is what it had in bytes."""

    result: Mapping[str, Json] | None
    code: int
    message: str
    size: int


class Upstream(Protocol):
    """An open connection. After an `UpstreamError` of `request` it must not be used again."""

    async def request(self, method: str, params: Mapping[str, Json], most: int) -> Reply:
        """Return the answer, of at most so many bytes. Raises UpstreamError. Cancelling tells the server."""
        ...

    async def notify(self, method: str, params: Mapping[str, Json]) -> None:
        """Send a notification. Raises UpstreamError."""
        ...

    @property
    def changed(self) -> bool:
        """Whether the server said, since the last `tools/list`, that its tools are others now."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        ...

    async def close(self) -> None:
        """End it; never raises."""
        ...


async def introduce(upstream: Upstream) -> str:
    """Open the protocol with a server; return the revision that it speaks. Raises UpstreamError."""
    asked: dict[str, Json] = {"protocolVersion": LEGACY[0], "capabilities": {}, "clientInfo": server_info()}
    reply = await upstream.request("initialize", asked, longest)
    version = None if reply.result is None else reply.result.get("protocolVersion")
    if version not in (*LEGACY, *_OLDER):
        raise UpstreamError("the server speaks no revision of the protocol that the gateway does")
    await upstream.notify("notifications/initialized", {})
    return str(version)


async def tools_of(upstream: Upstream) -> dict[str, LockedTool]:
    """Return the tools of a server as they are now. Raises UpstreamError, also for a name that stands twice."""
    found: dict[str, LockedTool] = {}
    cursor: Json = None
    for _ in range(_most_pages):
        params: dict[str, Json] = {} if cursor is None else {"cursor": cursor}
        reply = await upstream.request("tools/list", params, longest)
        listed = None if reply.result is None else reply.result.get("tools")
        if not isinstance(listed, list):
            raise UpstreamError("the server does not list its tools")
        for each in cast("list[Json]", listed):
            name = cast("dict[str, Json]", each).get("name") if isinstance(each, dict) else None
            if not isinstance(name, str) or name in found:
                raise UpstreamError("the server lists its tools in a way that is not clear")
            found[name] = locked_tool(name, cast("dict[str, Json]", each))
        cursor = None if reply.result is None else reply.result.get("nextCursor")
        if cursor is None:
            return found
    raise UpstreamError("the server's list of tools does not end")


class Guard:
    """Keeps the gateway's credentials out of what servers send back."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        # Shorter ones would be met by accident; those that a policy refers to are longer.
        self._marks = tuple(dict.fromkeys(mark for text in secrets if len(text) >= 8 for mark in _spellings(text)))

    def read(self, data: bytes) -> Json:
        """Return the JSON of a server's message. Raises UpstreamError."""
        if any(mark in data for mark in self._marks):
            raise WithheldError("the server's answer holds a credential of the gateway")
        try:
            return read_faithfully(data)
        except ValueError:
            raise UpstreamError("the server does not speak JSON") from None


def _spellings(secret: str) -> tuple[bytes, ...]:
    import json

    plain, escaped = secret.encode(), json.dumps(secret)[1:-1].encode()
    bare = secret.removeprefix("Bearer ").encode()
    return (plain, escaped, bare) if len(bare) >= 8 else (plain, escaped)


def reply_of(message: Mapping[str, Json], size: int) -> Reply:
    """Return a response as a reply. Raises UpstreamError when it is none."""
    result, error = message.get("result"), message.get("error")
    if isinstance(result, dict) and error is None:
        return Reply(cast("dict[str, Json]", result), 0, "", size)
    if isinstance(error, dict):
        given = cast("dict[str, Json]", error)
        code, text = given.get("code"), given.get("message")
        if isinstance(code, int) and isinstance(text, str):
            return Reply(None, code, text, size)
    raise UpstreamError("the server's answer is neither a result nor an error")
