"""What the servers behind a policy's mounts offer now, for `bailiwick accept`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from bailiwick.errors import BackendError
from bailiwick.gateway.policies.ready import server_secrets
from bailiwick.model.email import EmailMount
from bailiwick.model.http import HttpMount
from bailiwick.model.policy import Policy
from bailiwick.model.tool import LockedTool, McpMount
from bailiwick.mounts.mcp.servers import open_upstream
from bailiwick.mounts.mcp.upstream import Upstream, UpstreamError, offered, opening_time, tools_of
from bailiwick.policy.locked_tools import locked_routes


async def live_tools(policy: Policy, environ: Mapping[str, str], base: Path) -> dict[str, dict[str, LockedTool]]:
    """Return mount → `Tool.key` → what is offered, of what the policy maps. Raises BackendError, ConfigError."""
    servers = {
        name: await _asked(mount, environ, base, lambda upstream, mount=mount: offered(upstream, mount))
        for name, mount in policy.mcp.items()
    }
    apis = {name: await _of_api(mount, environ, base) for name, mount in policy.http.items()}
    return servers | apis | {name: _of_mail(mount, base) for name, mount in policy.email.items()}


def _of_mail(mount: EmailMount, base: Path) -> dict[str, LockedTool]:
    """Return what a mount sends: its templates."""
    from bailiwick.mounts.email.accepting import live_templates  # brings Jinja, which few policies need

    return live_templates(mount, base)


async def _of_api(mount: HttpMount, environ: Mapping[str, str], base: Path) -> dict[str, LockedTool]:
    """Return the routes of an API, which lists none itself, and what its GraphQL has."""
    if mount.graphql is None:
        return locked_routes(mount)
    from bailiwick.mounts.http.graphql.accepting import live_fields  # a fifth of a second, and few need it

    return locked_routes(mount) | await live_fields(mount, environ, base)


async def server_tools(mount: McpMount, environ: Mapping[str, str], base: Path) -> dict[str, LockedTool]:
    """Return every tool that a mount's server has now. Raises BackendError, ConfigError."""
    return await _asked(mount, environ, base, tools_of)


async def _asked(
    mount: McpMount,
    environ: Mapping[str, str],
    base: Path,
    ask: Callable[[Upstream], Coroutine[object, object, dict[str, LockedTool]]],
) -> dict[str, LockedTool]:
    try:
        upstream = await open_upstream(mount, server_secrets(mount, environ, base), base)
        try:
            return await asyncio.wait_for(ask(upstream), opening_time)
        finally:
            await upstream.close()
    except (UpstreamError, TimeoutError) as error:
        message = f"mount `{mount.name}`: {error or 'the server does not answer'}"
        raise BackendError(message, remedy="check its `command` or `url`, and what it needs") from None
