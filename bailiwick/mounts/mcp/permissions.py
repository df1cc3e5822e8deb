"""What `my_permissions` tells: what a session may do, what of its budgets is left, and what could be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.in_words import duration_in_words
from bailiwick.model.lock import Lock
from bailiwick.mounts.mcp.message import Json
from bailiwick.policy.tool_words import session_in_words


def permissions(live: Live, lock: Lock, limits: Sequence[Json] = ()) -> tuple[tuple[str, ...], dict[str, Json]]:
    """Return it as lines, and as data; `limits`: how the budgets stand that its requests are charged to."""
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
        "limits": [_left(cast("Mapping[str, Json]", each)) for each in limits],
        "on_request": requests,
        "requestable": _requestable(live),
    }
    said = [f"agent {session.agent}, until {session.expires_at.isoformat()}", *lines]
    left = _groupings(live)
    said += [f"{name}: {count} further groupings" for name, count in left.items()]
    said += [_limit_said(cast("Mapping[str, Json]", each)) for each in limits]
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


def _left(limit: Mapping[str, Json]) -> dict[str, Json]:
    """Return how a limit stands for its agent: what it bounds, how much of it is left, and when more of it is."""
    most, used = Decimal(str(limit["limit"])), Decimal(str(limit["used"]))
    left = max(Decimal(0), most - used)
    told: Json = int(left) if limit["measure"] != "cost" else str(left)
    kept = ("name", "measure", "limit", "used", "unit", "window", "resets_at")
    return {**{key: limit[key] for key in kept}, "left": told}


def _limit_said(limit: Mapping[str, Json]) -> str:
    found = _left(limit)
    again = f", more at {found['resets_at']}" if found["resets_at"] else ""
    return f"{found['name']}: {found['left']} left{again}"


def _requestable(live: Live) -> list[Json]:
    """Return what can be asked for: elevations, by `request_elevation`; people decide on each."""
    found: list[Json] = []
    for each in live.terms.table.policy.elevations.values():
        if live.session.agent in each.agents:
            longest = int(each.max.total_seconds())
            found.append({"elevation": each.name, "role": each.role, "max_seconds": longest})
    return found


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
