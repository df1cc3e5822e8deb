"""One connection of the gateway's own to an MCP server, whatever carries it: requests, replies, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, cast

from bailiwick.match.uris import is_template
from bailiwick.model.tool import LockedTool, McpMount
from bailiwick.mounts.mcp.era import (
    CAPABILITIES_KEY,
    CLIENT_KEY,
    LEGACY,
    LEVEL_KEY,
    MODERN,
    VERSION_KEY,
    server_info,
)
from bailiwick.mounts.mcp.message import METHOD_NOT_FOUND, Json, read_faithfully
from bailiwick.mounts.mcp.relay import Answered, Hears
from bailiwick.policy.locked_tools import locked_document, locked_prompt, locked_tool

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
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


@dataclass(frozen=True, slots=True)
class Modern:
    """What each request to a server of the modern revision says of whom it is for."""

    version: str
    capabilities: Mapping[str, Json]
    level: str | None


LISTS_CHANGED = frozenset(f"notifications/{each}/list_changed" for each in ("tools", "prompts", "resources"))


class Upstream(Protocol):
    """An open connection. After an `UpstreamError` of `request` it must not be used again."""

    async def request(
        self,
        method: str,
        params: Mapping[str, Json],
        most: int,
        hears: Hears | None = None,
        mirrored: Mapping[str, str] = NO_HEADERS,
    ) -> Reply:
        """Return the answer, of at most so many bytes. Raises UpstreamError. Cancelling tells the server.

        `hears` takes what the server says and asks meanwhile; without it that is dropped and refused. `mirrored` are
        headers that repeat arguments, where there are headers.
        """
        ...

    async def notify(self, method: str, params: Mapping[str, Json]) -> None:
        """Send a notification. Raises UpstreamError."""
        ...

    modern: Modern | None
    """How it is spoken with, if it speaks the modern revision."""
    logs: bool
    """Whether the server has log messages to send."""
    changed: bool
    """Whether the server said, since this was last set to False, that what it offers is something else now."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        ...

    async def close(self) -> None:
        """End it; never raises."""
        ...


async def introduce(upstream: Upstream, capabilities: Mapping[str, Json], level: str | None) -> str:
    """Open the protocol with a server; return the revision that it speaks. Raises UpstreamError.

    It is told these capabilities of the agent's client, and which log messages are wanted.
    """
    asked: dict[str, Json] = {"protocolVersion": LEGACY[0], "capabilities": capabilities, "clientInfo": server_info()}
    reply = await upstream.request("initialize", asked, longest)
    version = None if reply.result is None else reply.result.get("protocolVersion")
    if version not in (*LEGACY, *_OLDER):
        return await _discover(upstream, Modern(MODERN[0], capabilities, level))
    await upstream.notify("notifications/initialized", {})
    able = None if reply.result is None else reply.result.get("capabilities")
    upstream.logs = isinstance(able, dict) and "logging" in able
    if level is not None:
        await set_level(upstream, level)
    return str(version)


async def _discover(upstream: Upstream, modern: Modern) -> str:
    """Speak with a server that does not take `initialize`: it is of the modern revision, or of none of ours."""
    upstream.modern = modern
    reply = await upstream.request("server/discover", {}, longest)
    known = None if reply.result is None else reply.result.get("supportedVersions")
    if not isinstance(known, list) or modern.version not in known:
        raise UpstreamError("the server speaks no revision of the protocol that the gateway does")
    return modern.version


async def set_level(upstream: Upstream, level: str) -> None:
    """Tell a server that has a log which messages of it are wanted. Raises UpstreamError."""
    if upstream.logs:
        await upstream.request("logging/setLevel", {"level": level}, longest)


def outgoing(
    params: Mapping[str, Json], identity: int, hears: Hears | None, modern: Modern | None
) -> Mapping[str, Json]:
    """Return the parameters of a request as they are sent: with its id as token of progress, if anybody wants to know;
    in the modern revision with what it says of itself."""
    meta: dict[str, Json] = {"progressToken": identity} if hears is not None and hears.progress else {}
    if modern is not None:
        meta |= {VERSION_KEY: modern.version, CLIENT_KEY: server_info(), CAPABILITIES_KEY: modern.capabilities}
        meta |= {LEVEL_KEY: modern.level} if modern.level is not None else {}
    return {**params, "_meta": meta} if meta else params


def response_to(identity: Json, answered: Answered) -> dict[str, Json]:
    """Return an answer to what a server asked."""
    result, error = answered
    head: dict[str, Json] = {"jsonrpc": "2.0", "id": identity}
    return {**head, "result": result} if error is None else {**head, "error": error}


def params_of(message: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the parameters of a server's message."""
    found = message.get("params")
    return cast("dict[str, Json]", found) if isinstance(found, dict) else {}


async def offered(upstream: Upstream, mount: McpMount) -> dict[str, LockedTool]:
    """Return what a server offers now of what the policy maps, by `Tool.key`. Raises UpstreamError.

    A document that the server does not list is taken as it is mapped.
    """
    found = await tools_of(upstream) if mount.tools else {}
    if mount.prompts:
        listed = await _listed(upstream, "prompts/list", "prompts", "name")
        found |= {tool.name: tool for tool in (locked_prompt(*each) for each in listed.items())}
    if mount.documents:
        known = await _listed(upstream, "resources/list", "resources", "uri")
        if any(map(is_template, mount.documents)):
            known |= await _listed(upstream, "resources/templates/list", "resourceTemplates", "uriTemplate")
        found |= {tool.key: locked_document(uri, known.get(uri, {})) for uri, tool in mount.documents.items()}
    return {tool.key: found[tool.key] for tool in mount.offered if tool.key in found}


async def tools_of(upstream: Upstream) -> dict[str, LockedTool]:
    """Return the tools of a server as they are now. Raises UpstreamError, also for a name that stands twice."""
    listed = await _listed(upstream, "tools/list", "tools", "name")
    return {name: locked_tool(name, definition) for name, definition in listed.items()}


async def _listed(upstream: Upstream, method: str, key: str, named: str) -> dict[str, Mapping[str, Json]]:
    """Return all pages of a list. Raises UpstreamError, also for a name that stands twice."""
    found: dict[str, Mapping[str, Json]] = {}
    cursor: Json = None
    for _ in range(_most_pages):
        params: dict[str, Json] = {} if cursor is None else {"cursor": cursor}
        reply = await upstream.request(method, params, longest)
        if reply.result is None and reply.code == METHOD_NOT_FOUND and key != "tools":
            return found
        listed = None if reply.result is None else reply.result.get(key)
        if not isinstance(listed, list):
            raise UpstreamError(f"the server does not list its {key}")
        for each in cast("list[Json]", listed):
            name = cast("dict[str, Json]", each).get(named) if isinstance(each, dict) else None
            if not isinstance(name, str) or name in found:
                raise UpstreamError(f"the server lists its {key} in a way that is not clear")
            found[name] = cast("dict[str, Json]", each)
        cursor = None if reply.result is None else reply.result.get("nextCursor")
        if cursor is None:
            return found
    raise UpstreamError(f"the server's list of {key} does not end")


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
