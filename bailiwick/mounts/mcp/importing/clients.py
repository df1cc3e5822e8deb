"""Settings of MCP clients (Claude Desktop and Code, Cursor, VS Code) as the servers that they name. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from bailiwick.errors import ConfigError

Json = object
_sections = ("mcpServers", "servers")
_TOKENS = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[\]}])', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Server:
    """One server as a client's settings name it. Its values may be credentials: they are for use, never to be shown."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    notes: tuple[str, ...] = ()
    """What a person has to know; no values."""


def read_servers(text: str, name: str) -> tuple[Server, ...]:
    """Return the servers of one file's text, comments and trailing commas allowed. Raises ConfigError.

    `name` is the file's, for messages."""
    try:
        found = json.loads(_TOKENS.sub(lambda match: match[0] if match[0].startswith('"') else " ", text))
    except (ValueError, RecursionError):
        raise ConfigError(f"`{name}` is not JSON", remedy="name the settings of an MCP client") from None
    given = _object(found)
    nested = _object(given.get("mcp"))  # VS Code's settings.json
    for section in _sections:
        for place in (given, nested):
            if isinstance(place.get(section), dict):
                servers = _object(place[section])
                return tuple(_server(key, _object(value)) for key, value in servers.items())
    message = f"`{name}` names no MCP servers"
    raise ConfigError(message, remedy="it needs `mcpServers` (Claude, Cursor) or `servers` (VS Code)")


def _object(found: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", found) if isinstance(found, dict) else {}


def _server(name: str, given: Mapping[str, Json]) -> Server:
    notes: list[str] = []
    command, arguments, kind = given.get("command"), given.get("args"), given.get("type")
    url = given.get("url") or given.get("serverUrl")
    parts = [command] if isinstance(command, str) else []
    if parts and isinstance(arguments, list):
        parts += [each for each in cast("list[Json]", arguments) if isinstance(each, str)]
    if kind == "sse":
        notes.append("the client used the old SSE transport, which the gateway does not speak: look for its `/mcp`")
    if isinstance(given.get("cwd"), str):
        notes.append("the client started it in a folder of its own; here it starts in the folder of the policy")
    if isinstance(given.get("envFile"), str):
        notes.append("the client read variables from a file; name those that it needs in `env`")
    if given.get("disabled") is True:
        notes.append("it was switched off in the client")
    return Server(
        name,
        tuple(parts),
        url if isinstance(url, str) and not parts else "",
        _texts(given.get("env")) if parts else {},
        {} if parts else _texts(given.get("headers")),
        tuple(notes),
    )


def _texts(found: Json) -> dict[str, str]:
    return {key: str(value) for key, value in _object(found).items() if isinstance(value, str | int | float)}
