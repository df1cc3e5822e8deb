"""What `my_permissions` tells: what a session may do, what of its budgets is left, and what could be asked for."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.gateway.live import Live
from bailiwick.gateway.moments import utc_now
from bailiwick.model.lock import Lock
from bailiwick.mounts.mcp.message import Json
from bailiwick.policy.tool_words import session_in_words
from bailiwick.policy.words import duration_in_words


def permissions(live: Live, lock: Lock) -> tuple[tuple[str, ...], dict[str, Json]]:
    """Return it as lines, and as data."""
    session, scope = live.session, live.tools
    lines = session_in_words(scope, lock, live.mounts)
    budgets, requests = _budgets(live), _requests(live)
    data: dict[str, Json] = {
        "agent": session.agent,
        "user": None if session.user is None else session.user.id,
        "task": session.task,
        "tenant": _plain(session.tenant),
        "context": {name: _plain(value) for name, value in session.context.items()},
        "expires_at": session.expires_at.isoformat(),
        "tools": [name for name, each in scope.tools.items() if each.tool.kind == "tool"],
        "may": list(lines),
        "budgets": budgets,
        "on_request": requests,
    }
    said = [f"agent {session.agent}, until {session.expires_at.isoformat()}", *lines]
    left = _groupings(live)
    said += [f"{name}: {count} further groupings" for name, count in left.items()]
    said += [f"on request: {each}" for each in requests]
    return tuple(said), data


def _budgets(live: Live) -> dict[str, Json]:
    """Return what is left: seconds of the session, seconds without use, and groupings of what is only aggregated."""
    left = live.session.expires_at - utc_now()
    idle = live.terms.idle
    return {
        "seconds": max(0, int(left.total_seconds())),
        "idle_seconds": None if idle is None else int(idle.total_seconds()),
        "groupings": dict(_groupings(live)),
    }


def _groupings(live: Live) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for name, scope in live.scope.resources.items():
        if scope.aggregate is not None and scope.resource.mount in live.mounts:
            found[name] = max(0, scope.aggregate.groupings - live.groupings.asked(name))
    return found


def _requests(live: Live) -> list[str]:
    """Return what people could open: gates that hold what is granted, and elevations that this agent may have."""
    held = {
        f"{tool.tool.action.resource}:{tool.tool.action.verb}": tool.held[0]
        for tool in live.tools.tools.values()
        if tool.held
    }
    for name, scope in live.scope.resources.items():
        if scope.resource.mount in live.mounts:
            held |= {f"{name}:{verb}": gate for verb, gate in scope.held.items()}
    policy = live.terms.table.policy
    elevations = [
        f"elevation {each.name} (role {each.role}) for at most {duration_in_words(each.max)}"
        for each in policy.elevations.values()
        if live.session.agent in each.agents
    ]
    return [*(f"{action}, which gate {gate} holds" for action, gate in held.items()), *elevations]


def _plain(value: object) -> Json:
    return value if value is None or isinstance(value, str | int | bool) else str(value)
