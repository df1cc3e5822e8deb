"""What is to be accepted of a GraphQL API: its types, from a file beside the policy or from the API itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from graphql import GraphQLField, GraphQLSchema, get_introspection_query, print_type

from bailiwick.errors import BackendError, ConfigError
from bailiwick.gateway.policies.ready import api_secrets
from bailiwick.model.http import SCHEMA, GraphQL, HttpMount
from bailiwick.model.tool import LockedTool, Tool
from bailiwick.mounts.http.arguments import Outgoing
from bailiwick.mounts.http.graphql.types import kept, named, needed, properties, root_of, schema_of, type_of
from bailiwick.mounts.http.upstream import Api, ApiError, whole
from bailiwick.mounts.mcp.message import write
from bailiwick.policy.locked_tools import locked_tool

largest_schema = 8 * 1024 * 1024
_patience = 30.0


async def live_fields(mount: HttpMount, environ: Mapping[str, str], base: Path) -> dict[str, LockedTool]:
    """Return what the policy maps of a mount's GraphQL, and its types. Raises BackendError, ConfigError."""
    if mount.graphql is None:
        return {}
    schema = await _schema(mount, mount.graphql, environ, base)
    there = [tool for tool in mount.graphql.fields.values() if root_of(schema, tool.name) is not None]
    types = kept(schema, [tool.name for tool in there])
    found = {tool.key: _locked(tool, schema) for tool in there}
    return {**found, SCHEMA: locked_tool(SCHEMA, {"types": types})}


def _locked(tool: Tool, schema: GraphQLSchema) -> LockedTool:
    field = cast("GraphQLField", root_of(schema, tool.name))
    given: dict[str, object] = {"properties": properties(field.args), "required": needed(field.args)}
    words = {"description": field.description} if field.description else {}
    return locked_tool(
        tool.key, {**words, "inputSchema": given, "types": f"{type_of(field)}: {print_type(named(field))}"}
    )


async def _schema(mount: HttpMount, graphql: GraphQL, environ: Mapping[str, str], base: Path) -> GraphQLSchema:
    if graphql.schema:
        path = base / graphql.schema
        return schema_of(await asyncio.to_thread(read_schema, path), f"`{path}`")
    text = await _asked(mount, graphql, environ, base)
    return schema_of(text, f"the API of mount `{mount.name}`")


def read_schema(path: Path) -> str:
    """Return the text of a file of types. Raises ConfigError."""
    try:
        if path.stat().st_size > largest_schema:
            raise ConfigError(f"`{path}` is larger than 8 MiB", remedy="export the part that agents need")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"`{path}` cannot be read", remedy="name a file of GraphQL types, as SDL or JSON") from None


async def _asked(mount: HttpMount, graphql: GraphQL, environ: Mapping[str, str], base: Path) -> str:
    """Return the API's answer to an introspection, asked with the gateway's credential."""
    api = Api(mount, api_secrets(mount, environ, base))
    body = write({"query": get_introspection_query()})
    try:
        async with asyncio.timeout(_patience):
            out = Outgoing(graphql.path, "", (), body, "application/json")
            answer = await api.send("POST", out, "application/json")
            data = await whole(answer, largest_schema)
    except (ApiError, TimeoutError) as error:
        message = f"mount `{mount.name}`: {error or 'the API does not answer'}"
        raise BackendError(message, remedy="check `url` and `credential`, or name a `schema` file") from None
    finally:
        await api.close()
    if answer.status != 200:
        message = f"mount `{mount.name}`: the API answers {answer.status} to an introspection"
        raise BackendError(message, remedy="it may be switched off there: name a `schema` file")
    return data.decode("utf-8", "replace")
