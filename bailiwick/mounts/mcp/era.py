"""Protocol revisions, and how each says things. No I/O.

*Legacy* revisions open with `initialize`; a *modern* one says its version with each request, in `_meta` and headers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import cast

import bailiwick
from bailiwick.mounts.mcp.message import HEADER_MISMATCH, INVALID_PARAMS, UNSUPPORTED_VERSION, Json, Message

LEGACY = ("2025-11-25", "2025-06-18")
"""The newest first."""
MODERN = ("2026-07-28",)
EVERY = (*MODERN, *LEGACY)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
LEVEL_KEY = "io.modelcontextprotocol/logLevel"
CLIENT_KEY = "io.modelcontextprotocol/clientInfo"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"
INSTRUCTIONS = (
    "Tools of this session: what is not listed does not exist for it. "
    "`my_permissions` says what may be done; each denial says why, and what would be allowed."
)
_named = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def server_info() -> dict[str, Json]:
    """Return who we are."""
    return {"name": "bailiwick", "title": "Bailiwick", "version": bailiwick.__version__}


def capabilities() -> dict[str, Json]:
    """Return what we can do."""
    changing: dict[str, Json] = {"listChanged": True}
    return {"tools": changing, "prompts": changing, "resources": changing, "completions": {}, "logging": {}}


def initialized(params: Mapping[str, Json]) -> dict[str, Json]:
    """Return the result of `initialize`: the revision asked for, if it is a legacy one of ours, else our newest."""
    asked = params.get("protocolVersion")
    version = asked if isinstance(asked, str) and asked in LEGACY else LEGACY[0]
    return {
        "protocolVersion": version,
        "capabilities": capabilities(),
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    }


def discovered() -> dict[str, Json]:
    """Return the result of `server/discover`."""
    return {
        "supportedVersions": list(EVERY),
        "capabilities": capabilities(),
        "instructions": INSTRUCTIONS,
        "ttlMs": 0,
        "cacheScope": "private",
    }


def completed(result: Mapping[str, Json], *, listed: bool = False) -> dict[str, Json]:
    """Return a result as the modern revision has it; `listed`: one that clients may keep for a while."""
    meta = cast("Mapping[str, Json]", result.get("_meta") or {})
    said: dict[str, Json] = {"resultType": "complete", **result, "_meta": {**meta, SERVER_KEY: server_info()}}
    return {**said, "ttlMs": 0, "cacheScope": "private"} if listed else said


def is_modern(message: Message, header: str | None) -> bool:
    """Return whether a request is of the modern revision: by its `_meta`, or by a header that no legacy one has."""
    meta = message.params.get("_meta")
    if isinstance(meta, dict) and VERSION_KEY in meta:
        return True
    return message.method == "server/discover" or (
        header is not None and header not in LEGACY and message.method != "initialize"
    )


class Mismatch(tuple[int, str, Json]):
    """Code, message and data of the error that a modern request is answered with."""

    __slots__ = ()


def modern_problem(message: Message, headers: Mapping[str, str] | None) -> Mismatch | None:
    """Return what is wrong with a modern request: its version, or headers that say other things than its body.

    `headers` None: it came by a channel that has none.
    """
    meta = message.params.get("_meta")
    given: Mapping[str, Json] = cast("dict[str, Json]", meta) if isinstance(meta, dict) else {}
    version = given.get(VERSION_KEY)
    if not isinstance(version, str):  # before the headers: nothing can be compared with what is not there
        return Mismatch((INVALID_PARAMS, f"`_meta` has no `{VERSION_KEY}`", None))
    if headers is not None:
        problem = _header_problem(message, headers, version)
        if problem:
            return Mismatch((HEADER_MISMATCH, f"header mismatch: {problem}", None))
    if version not in MODERN:
        return Mismatch(
            (UNSUPPORTED_VERSION, "unsupported protocol version", {"supported": list(EVERY), "requested": version[:64]})
        )
    if not isinstance(given.get(CAPABILITIES_KEY), dict):
        return Mismatch((INVALID_PARAMS, f"`_meta` has no `{CAPABILITIES_KEY}`", None))
    return None


def _header_problem(message: Message, headers: Mapping[str, str], version: Json) -> str:
    if headers.get("mcp-protocol-version") != version:
        return "MCP-Protocol-Version is not the version in the body"
    if message.kind == "request" and headers.get("mcp-method") != message.method:
        return "Mcp-Method is not the method in the body"
    key = _named.get(message.method)
    if key is not None:
        name = headers.get("mcp-name")
        if name is None or decoded(name) != message.params.get(key):
            return "Mcp-Name is not the name in the body"
    return ""


def encoded(value: str) -> str:
    """Return a text as the value of a header: in base64 where it could be read as something else."""
    plain = value.isascii() and value.isprintable() and value == value.strip()
    if plain and value and not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def headers_of(method: str, params: Mapping[str, Json], version: str) -> dict[str, str]:
    """Return the headers that repeat what the body of a modern request says."""
    found = {"MCP-Protocol-Version": version, "Mcp-Method": method}
    named = params.get(_named.get(method, ""))
    return {**found, "Mcp-Name": encoded(named)} if isinstance(named, str) else found


def decoded(value: str) -> str | None:
    """Return the text of a header's value, which may stand in base64; None when that is malformed."""
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
