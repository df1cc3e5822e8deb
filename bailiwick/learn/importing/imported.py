"""What every kind of log is read into: observations, and a count of what was not understood. Nothing is guessed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from bailiwick.decide.ground import labels_of
from bailiwick.decide.seen import Observer, is_harmless
from bailiwick.gateway.observing import open_levels, path_is_clear
from bailiwick.match.masks import Digest
from bailiwick.match.routes import Router, path_fault
from bailiwick.model.label import level_of
from bailiwick.model.lock import Lock
from bailiwick.model.observation import Argument, Observation, Seen, ToolUse
from bailiwick.model.policy import Policy
from bailiwick.model.session import Session
from bailiwick.model.tool import Tool
from bailiwick.sql.usage import Known

_most_examples = 3
_nobody = Session(
    "", "", None, None, {}, None, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), None
)
_pause = timedelta(minutes=30)
"""Between two requests of one client that are of different sessions, where a log knows no sessions."""


@dataclass(slots=True)
class Counted:
    """How much of a log was understood."""

    lines: int = 0
    observations: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Why → how many lines."""
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Why → where, for a few."""

    def leave_out(self, why: str, where: str) -> None:
        """Count something that is no observation."""
        self.left_out[why] += 1
        found = self.examples.setdefault(why, [])
        if len(found) < _most_examples:
            found.append(where)


class Ground:
    """The mounts of a policy, as logs speak of them; and the values of each session that a log tells of."""

    def __init__(self, policy: Policy, lock: Lock, digest: Digest, agent: str = "") -> None:
        """`agent`: of whom all of it is; empty: of whom the log says."""
        self.policy = policy
        self.lock = lock
        self._digest = digest
        self._agent = agent
        self._observers: dict[str, Observer] = {}
        self._last: dict[str, tuple[datetime, int]] = {}
        self._tools = {
            name: (mount.name, tool)
            for mount in policy.tool_mounts.values()
            for tool in mount.offered
            for name in (mount.shown(tool), tool.name)
        }
        self._routes = [
            (name, Router([(t.route.method, t.route.path, t) for t in mount.offered if t.route is not None]))
            for name, mount in policy.http.items()
        ]

    def agent(self, named: str) -> str:
        """Return the agent that something is of."""
        return self._agent or named

    def observer(self, session: str) -> Observer:
        """Return who looks at the values of a session."""
        return self._observers.setdefault(session, Observer(_nobody, self._digest))

    def session_of(self, client: str, at: datetime) -> str:
        """Return the session of a client in a log that knows none: a pause of half an hour ends it."""
        before, number = self._last.get(client, (at, 1))
        if at - before > _pause:
            number += 1
        self._last[client] = (max(at, before), number)
        return f"{client}#{number}"

    def tables(self, mount: str) -> dict[tuple[str, str], Known]:
        """Return the accepted tables of a mount."""
        found: dict[tuple[str, str], Known] = {}
        known = self.policy.mounts.get(mount)
        for resource in known.resources.values() if known is not None else ():
            table = self.lock.table(mount, resource.schema, resource.table)
            if table is not None:
                columns = tuple(column.name for column in table.columns)
                keys = tuple(key for key in (resource.key, table.key) if key)
                types = {column.name: column.type for column in table.columns}
                found[resource.schema, resource.table] = Known(resource.name, columns, keys, types)
        return found

    def clear(self, resource: str, column: str) -> bool:
        """Return whether values of a column may stand in clear."""
        known = self.policy.resource(resource)
        return known is not None and level_of(labels_of(known, column)) in open_levels

    def tool(self, name: str) -> tuple[str, Tool] | None:
        """Return the mount and the tool of a name; of one that two servers have neither."""
        return self._tools.get(name)

    def route(self, method: str, path: str) -> tuple[str, Tool, Mapping[str, str]] | None:
        """Return the mount, the route of a request, and the values in its path; None where it is none or several's."""
        if path_fault(path):
            return None
        found = [(mount, each) for mount, router in self._routes if (each := router.find(method, path)) is not None]
        if len(found) != 1:
            return None
        mount, each = found[0]
        return mount, each.target, each.values

    def tool_use(self, name: str, tool: Tool | None, arguments: Mapping[str, object], observer: Observer) -> ToolUse:
        """Return the use of a tool, or of one that the policy does not map."""
        given = tuple(Argument(key, self.argument(tool, value, observer)) for key, value in arguments.items())
        if tool is None:
            return ToolUse(name, arguments=given)
        effects = tuple(sorted(tool.effects))
        return ToolUse(tool.name, tool.action.resource, tool.action.verb, tool.kind, given, effects=effects)

    def told(self, use: ToolUse, path: str, value: object, observer: Observer) -> None:
        """Remember what a tool answered, so that what comes again is known to be from there."""
        known = self.policy.tool_resource(use.resource)
        clear = known is not None and path_is_clear(known.labels, path)
        observer.told(f"{use.resource or use.name}.{path}", value, clear=clear)

    def argument(self, tool: Tool | None, value: object, observer: Observer) -> Seen:
        """Return an argument as it is seen: in clear where the policy maps the tool and labels its resource below
        `confidential`."""
        resource = None if tool is None else self.policy.tool_resource(tool.action.resource)
        clear = resource is not None and level_of(resource.labels.get("*", frozenset())) in open_levels
        return observer.seen(value, clear=clear and is_harmless(value))


Reader = Callable[[Iterator[str], str, Ground, Counted], Iterator[Observation]]
"""(lines, what the log is called, …) → observations."""


def moment(text: object) -> datetime | None:
    """Return the moment that a log writes: RFC 3339, PostgreSQL's, or seconds or nanoseconds since the epoch."""
    try:
        if isinstance(text, int | float) and not isinstance(text, bool):
            return datetime.fromtimestamp(
                text / 1_000_000_000 if text > 1e14 else text / 1000 if text > 1e11 else text, UTC
            )
        if not isinstance(text, str):
            return None
        if text.isdecimal():
            return moment(int(text))
        for zone in (" UTC", " GMT"):
            text = text.removesuffix(zone) + "+00:00" if text.endswith(zone) else text
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None


def json_object(text: str) -> Mapping[str, object] | None:
    """Return the object that a line of JSON is."""
    try:
        found = cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None


def member(found: Mapping[str, object], *names: str) -> object:
    """Return the first of these members that is there."""
    return next((found[name] for name in names if found.get(name) is not None), None)


def text_of(value: object) -> str:
    """Return a text, empty where it is none."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
