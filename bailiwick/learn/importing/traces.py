"""Traces of agents: OpenTelemetry's (OTLP as JSON, by the conventions for generative AI, databases and HTTP), and the
messages of MCP, one JSON-RPC message a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

from bailiwick.gateway.observing import table_uses
from bailiwick.learn.importing.imported import Counted, Ground, json_object, member, moment, text_of
from bailiwick.model.observation import Argument, Observation, Origin, Seen, TableUse, ToolUse
from bailiwick.sql.parser import normalized
from bailiwick.sql.usage_walk import used_in

_TOOL_CALLS = ("execute_tool", "tools/call")
_PROMPTS = ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.user.message", "input.value")
_shortest = 3
"""Characters of a value that is looked for in what the person said."""
_deepest = 20


@dataclass(frozen=True, slots=True)
class _Span:
    """One span, and what it stands in."""

    name: str
    at: datetime
    microseconds: int | None
    attributes: Mapping[str, object]
    trace: str
    service: str
    failed: bool

    def text(self, *names: str) -> str:
        """Return the first of these attributes, as text."""
        return text_of(member(self.attributes, *names))


def read_otlp(lines: Iterator[str], file: str, ground: Ground, counted: Counted) -> Iterator[Observation]:
    """Yield what spans tell of: calls of tools, statements, requests. The file is one JSON document, or one a line."""
    spans: list[tuple[str, _Span]] = []
    for where, document in _documents(lines, file):
        found = [] if document is None else [*_spans(document)]
        if not found:
            counted.lines += 1
            counted.leave_out("not OTLP as JSON", where)
        for place, each in enumerate(found):
            counted.lines += 1
            if each is None:
                counted.leave_out("a span without times", f"{where}#{place}")
            else:
                spans.append((f"{where}#{place}", each))
    prompts: dict[str, str] = {}
    for _, span in spans:
        for name in _PROMPTS:
            if name in span.attributes:
                prompts[span.trace] = f"{prompts.get(span.trace, '')} {_said(span.attributes[name])}"
    for where, span in sorted(spans, key=lambda each: each[1].at):
        seen = _observed(where, span, ground, counted)
        if seen is not None:
            counted.observations += 1
            yield replace(seen, tool=None if seen.tool is None else _asked_for(seen.tool, span, prompts))


def _documents(lines: Iterator[str], file: str) -> Iterator[tuple[str, Mapping[str, object] | None]]:
    """Yield the JSON documents of a file, each with where it stands: one a line, or all of it one."""
    kept: list[str] = []
    for number, line in enumerate(lines, 1):
        if not kept and line.strip() and (found := json_object(line)) is not None:
            yield f"{file}:{number}", found
        elif kept or line.strip():
            kept.append(line)
    if kept:
        yield f"{file}:1", json_object("".join(kept))


def _spans(document: Mapping[str, object]) -> Iterator[_Span | None]:
    for resource in _dicts(document.get("resourceSpans")):
        around = _attributes(_dict(resource.get("resource")).get("attributes"))
        service = text_of(around.get("service.name"))
        for scope in _dicts(resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans")):
            for span in _dicts(scope.get("spans")):
                yield _span(span, service)


def _span(span: Mapping[str, object], service: str) -> _Span | None:
    began, ended = moment(span.get("startTimeUnixNano")), moment(span.get("endTimeUnixNano"))
    if began is None:
        return None
    attributes = _attributes(span.get("attributes"))
    for told in _dicts(span.get("events")):  # older conventions have prompts as events
        attributes = {**_attributes(told.get("attributes")), **attributes}
    spent = None if ended is None else max(int((ended - began).total_seconds() * 1_000_000), 0)
    failed = _dict(span.get("status")).get("code") in (2, "STATUS_CODE_ERROR")
    return _Span(text_of(span.get("name")), began, spent, attributes, text_of(span.get("traceId")), service, failed)


def _observed(where: str, span: _Span, ground: Ground, counted: Counted) -> Observation | None:
    """Return what a span tells of; what it is not about is counted."""
    session = span.text("gen_ai.conversation.id", "mcp.session.id", "session.id") or span.trace
    observer = ground.observer(session)
    mount, tables, tool, statement = "", tuple[TableUse, ...](), None, ""
    operation = span.text("gen_ai.operation.name", "mcp.method.name")
    name = span.text("gen_ai.tool.name", "mcp.tool.name", "tool.name")
    sql = span.text("db.query.text", "db.statement")
    method = span.text("http.request.method", "http.method")
    if span.failed:
        counted.leave_out("a span that failed", where)
        return None
    if name and (operation in _TOOL_CALLS or not operation):
        known = ground.tool(name)
        mount = "" if known is None else known[0]
        given = _arguments(
            member(span.attributes, "gen_ai.tool.call.arguments", "mcp.request.arguments", "input.value")
        )
        if given is None:
            counted.leave_out("a call whose arguments cannot be read", where)
            return None
        tool = ground.tool_use(name, None if known is None else known[1], given, observer)
    elif sql and span.text("db.system.name", "db.system") in ("postgresql", "postgres"):
        mounts = [each for each, found in ground.policy.mounts.items() if found.kind == "postgres"]
        found = used_in(sql, ground.tables(mounts[0])) if len(mounts) == 1 else None
        tables = tuple(use for each in found or () for use in table_uses(each.tables, {}, ground.clear, observer))
        mount, statement = (mounts[0], normalized(sql)) if tables else ("", "")
        if not tables:
            counted.leave_out("SQL that cannot be understood, or without tables", where)
            return None
    elif method:
        parts = urlsplit(span.text("url.full", "http.url", "url.path", "http.target"))
        route = ground.route(method, parts.path)
        if route is None:
            counted.leave_out("a request that no route of the policy has, or several have", where)
            return None
        mount, target, values = route
        tool = ground.tool_use(target.name, target, {f"path.{key}": text for key, text in values.items()}, observer)
    else:
        counted.leave_out("a span about something else", where)
        return None
    _remember(span, tool, ground, session)
    agent = ground.agent(span.text("gen_ai.agent.name", "gen_ai.agent.id") or span.service or "unknown")
    return Observation(
        agent,
        session,
        span.at,
        user=span.text("user.id", "enduser.id"),
        mount=mount,
        record=where,
        tables=tables,
        tool=tool,
        statement=statement,
        duration_us=span.microseconds,
    )


def _remember(span: _Span, tool: ToolUse | None, ground: Ground, session: str) -> None:
    """Remember what a tool answered, so that what comes again is known to be from there."""
    answer = member(span.attributes, "gen_ai.tool.call.result", "output.value")
    if tool is not None and answer is not None:
        found = _parsed(answer)
        for path, value in _leaves(found, "", 0):
            ground.told(tool, path, value, ground.observer(session))


def _asked_for(tool: ToolUse, span: _Span, prompts: Mapping[str, str]) -> ToolUse:
    """Return the use with the origin of each argument whose value stands in what the person said."""
    said = prompts.get(span.trace, "")
    given = tuple(Argument(each.name, _from_prompt(each.value, said)) for each in tool.arguments)
    return replace(tool, arguments=given)


def _from_prompt(seen: Seen, said: str) -> Seen:
    text = "" if seen.value is None else str(seen.value)
    if seen.origin.kind != "unknown" or len(text) < _shortest or text not in said:
        return seen
    return replace(seen, origin=Origin("prompt"))


def read_mcp(lines: Iterator[str], file: str, ground: Ground, counted: Counted) -> Iterator[Observation]:
    """Yield the calls of tools in a log of MCP's messages, those of them that succeeded."""
    waiting: dict[tuple[str, str], tuple[str, datetime, Mapping[str, object]]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        counted.lines += 1
        where = f"{file}:{number}"
        around = json_object(line)
        if around is None:
            counted.leave_out("not a line of JSON", where)
            continue
        message = around if "jsonrpc" in around else _dict(member(around, "message", "payload", "data", "body"))
        at = moment(member(around, "time", "timestamp", "@timestamp", "ts"))
        session = text_of(member(around, "session", "sessionId", "session_id")) or file
        key = (session, text_of(message.get("id")))
        if message.get("method") == "tools/call":
            if at is None:
                counted.leave_out("a call without a moment", where)
                continue
            waiting[key] = (where, at, {**_dict(message.get("params")), "agent": text_of(around.get("agent"))})
            continue
        asked = waiting.pop(key, None) if "result" in message or "error" in message else None
        if asked is None:
            counted.leave_out("a message about something else", where)
            continue
        counted.lines -= 1
        result = _dict(message.get("result"))
        if "error" in message or result.get("isError") is True:
            counted.leave_out("a call that failed", asked[0])
            continue
        counted.observations += 1
        yield _called(asked, result, session, ground)
    for where, _, _ in waiting.values():
        counted.leave_out("a call without an answer", where)


def _called(
    asked: tuple[str, datetime, Mapping[str, object]], result: Mapping[str, object], session: str, ground: Ground
) -> Observation:
    where, at, params = asked
    name, observer = text_of(params.get("name")), ground.observer(session)
    known = ground.tool(name)
    use = ground.tool_use(name, None if known is None else known[1], _dict(params.get("arguments")), observer)
    answer = member(result, "structuredContent") or [
        _parsed(each.get("text")) for each in _dicts(result.get("content"))
    ]
    for path, value in _leaves(answer, "", 0):
        ground.told(use, path, value, observer)
    agent = ground.agent(text_of(params.get("agent")) or "unknown")
    return Observation(agent, session, at, mount="" if known is None else known[0], record=where, tool=use)


def _arguments(found: object) -> Mapping[str, object] | None:
    if found is None:
        return {}
    parsed = _parsed(found)
    return cast("Mapping[str, object]", parsed) if isinstance(parsed, dict) else None


def _parsed(found: object) -> object:
    if not isinstance(found, str):
        return found
    try:
        return cast("object", json.loads(found))
    except (ValueError, RecursionError):
        return found


def _said(found: object) -> str:
    """Return what a person said: the texts of the user's messages, or all of it where it has no roles."""
    parsed = _parsed(found)
    messages = _dicts(parsed)
    if not messages:
        return parsed if isinstance(parsed, str) else ""
    own = [each for each in messages if each.get("role") in (None, "user")]
    return " ".join(str(value) for each in own for path, value in _leaves(each, "", 0) if not path.endswith("role"))


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and depth < _deepest:
        for key, inner in cast("dict[str, object]", value).items():
            yield from _leaves(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list) and depth < _deepest:
        for inner in cast("list[object]", value):
            yield from _leaves(inner, path, depth + 1)
    elif path:
        yield path, value


def _attributes(found: object) -> dict[str, object]:
    return {text_of(each.get("key")): _value(_dict(each.get("value")), 0) for each in _dicts(found)}


def _value(found: Mapping[str, object], depth: int) -> object:
    """Return the value that OTLP's JSON writes."""
    kind, value = next(iter(found.items()), ("", None))
    if depth > _deepest:
        return None
    match kind:
        case "intValue":
            return int(text_of(value)) if text_of(value).removeprefix("-").isdecimal() else None
        case "arrayValue":
            return [_value(each, depth + 1) for each in _dicts(_dict(value).get("values"))]
        case "kvlistValue":
            pairs = _dicts(_dict(value).get("values"))
            return {text_of(each.get("key")): _value(_dict(each.get("value")), depth + 1) for each in pairs}
        case _:
            return value


def _dict(found: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def _dicts(found: object) -> list[Mapping[str, object]]:
    listed = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("Mapping[str, object]", each) for each in listed if isinstance(each, dict)]
