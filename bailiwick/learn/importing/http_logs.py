"""Access logs of HTTP servers: the common and the combined format, and JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from bailiwick.decide.seen import typed
from bailiwick.learn.importing.imported import Counted, Ground, json_object, member, moment, text_of
from bailiwick.model.observation import Observation, SeenType
from bailiwick.model.tool import Tool

_LINE = re.compile(
    r'(?P<client>\S+) \S+ (?P<user>\S+) \[(?P<at>[^\]]+)\] "(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/[\d.]+)?"'
    r" (?P<status>\d{3}) (?P<size>\d+|-).*"
)
_TYPES: Mapping[str, SeenType] = {"integer": "integer", "number": "number", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class _Request:
    at: datetime
    method: str
    target: str
    status: int
    client: str
    user: str = ""
    agent: str = ""
    size: int | None = None
    microseconds: int | None = None


def read(lines: Iterator[str], file: str, ground: Ground, counted: Counted) -> Iterator[Observation]:
    """Yield the requests of an access log that a route of the policy has."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        counted.lines += 1
        where = f"{file}:{number}"
        asked = _of_json(line) if line.lstrip().startswith("{") else _of_text(line)
        if asked is None:
            counted.leave_out("not a line of an access log", where)
            continue
        if asked.status >= 400:
            counted.leave_out("a request that failed", where)
            continue
        parts = urlsplit(asked.target)
        found = ground.route(asked.method, parts.path)
        if found is None:
            counted.leave_out("a request that no route of the policy has, or several have", where)
            continue
        mount, tool, values = found
        session = ground.session_of(asked.client or asked.user, asked.at)
        given = _arguments(tool, values, parts.query)
        counted.observations += 1
        yield Observation(
            ground.agent(asked.agent),
            session,
            asked.at,
            user=asked.user,
            mount=mount,
            record=where,
            tool=ground.tool_use(tool.name, tool, given, ground.observer(session)),
            bytes=asked.size,
            duration_us=asked.microseconds,
        )


def _arguments(tool: Tool, values: Mapping[str, str], query: str) -> dict[str, object]:
    """Return the arguments that a request's target has, under their names; none that the route does not have."""
    types = tool.route.arguments if tool.route is not None else {}
    found: dict[str, object] = {}
    for name, text in values.items():
        found[f"path.{name}"] = typed(text, _TYPES.get(types.get(f"path.{name}", ""), "string"))
    several: dict[str, list[object]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        key = f"query.{name}"
        if key in types:
            kind = types[key]
            several.setdefault(key, []).append(typed(text, _TYPES.get(kind.removesuffix("s"), "string")))
    for key, each in several.items():
        found[key] = each if types[key].endswith("s") else each[0]
    return found


def _of_text(line: str) -> _Request | None:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    try:
        at = datetime.strptime(match["at"], "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        return None
    user = "" if match["user"] == "-" else match["user"]
    size = int(match["size"]) if match["size"].isdecimal() else None
    return _Request(
        at, match["method"], match["target"], int(match["status"]), match["client"], user, user or "unknown", size
    )


def _of_json(line: str) -> _Request | None:
    found = json_object(line)
    if found is None:
        return None
    at = moment(member(found, "time", "timestamp", "@timestamp", "ts", "time_iso8601", "start_time"))
    method, target = text_of(member(found, "method", "request_method", "verb")), _target(found)
    status = member(found, "status", "status_code", "response_code", "code")
    if at is None or not method or not target or not text_of(status).isdecimal():
        return None
    user = text_of(member(found, "user", "remote_user", "user_id"))
    agent = text_of(member(found, "agent", "client_id", "service")) or user or "unknown"
    client = text_of(member(found, "session", "session_id", "client_ip", "remote_addr", "remote_ip", "client"))
    size = member(found, "bytes", "size", "body_bytes_sent", "bytes_sent")
    return _Request(
        at, method.upper(), target, int(text_of(status)), client, user, agent, size if isinstance(size, int) else None
    )


def _target(found: Mapping[str, object]) -> str:
    target = text_of(member(found, "path", "uri", "request_uri", "url", "target"))
    if not target:
        parts = text_of(found.get("request")).split(" ")
        target = parts[1] if len(parts) == 3 else ""
    query = text_of(found.get("query") or found.get("query_string"))
    if "://" in target:
        split = urlsplit(target)
        target = split.path + (f"?{split.query}" if split.query else "")
    return f"{target}?{query.removeprefix('?')}" if query and "?" not in target else target
