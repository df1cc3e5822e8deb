"""What a session sees of its tools, prompts and documents: names, descriptions, schemas narrowed to it. No I/O.

A narrowed schema is a help to whoever writes the call; the decision is made on the call itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import cast

from bailiwick.decide.asking import as_json, matcher_of
from bailiwick.match.evaluate import Resolve
from bailiwick.match.uris import is_template
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, OneOf, Prefix
from bailiwick.model.scope import CallGrant, Scope, ToolScope
from bailiwick.model.session import Claim
from bailiwick.model.tool import Kind
from bailiwick.model.value import Operand, Ref
from bailiwick.mounts.mcp.message import Json

Schema = Mapping[str, Json]
_kept = ("title", "description", "annotations")
_limits = {"min": "minimum", "max": "maximum", "over": "exclusiveMinimum", "under": "exclusiveMaximum"}


def listed(scope: Scope, resolve: Resolve, blocked: Iterable[tuple[str, str]]) -> list[dict[str, Json]]:
    """Return the definitions of a session's tools. `blocked`: (mount, tool) of those that changed since accepted."""
    gone = frozenset(blocked)
    shown = (
        _definition(name, tool, resolve)
        for name, tool in scope.tools.items()
        if tool.tool.kind == "tool" and (tool.mount, tool.tool.key) not in gone
    )
    return [each for each in shown if each is not None]


def prompts(scope: Scope, blocked: Iterable[tuple[str, str]]) -> list[dict[str, Json]]:
    """Return the definitions of a session's prompts, with the arguments that it may give."""
    return [_prompt(name, prompt) for name, prompt in _kept_of(scope, "prompt", blocked)]


def _prompt(name: str, prompt: ToolScope) -> dict[str, Json]:
    accepted = _accepted(prompt.locked.definition)
    arguments = cast("list[dict[str, Json]]", accepted.get("arguments") or [])
    shown = [each for each in arguments if _is_given(prompt, str(each.get("name")))]
    return {"name": name, **_described(prompt), "arguments": shown}


def _is_given(prompt: ToolScope, name: str) -> bool:
    """Return whether an argument is the agent's to give."""
    ways = [matcher_of(grant, name) for grant in prompt.allows]
    return name not in prompt.tool.fixed and not all(way is None or isinstance(way, Equal) for way in ways)


def documents(scope: Scope, blocked: Iterable[tuple[str, str]], *, templates: bool) -> list[dict[str, Json]]:
    """Return a session's documents of one URI, or its templates of URIs."""
    key = "uriTemplate" if templates else "uri"
    return [
        {key: uri, "name": _accepted(each.locked.definition).get("named", uri), **_described(each)}
        for uri, each in _kept_of(scope, "document", blocked)
        if is_template(uri) is templates
    ]


def _kept_of(scope: Scope, kind: Kind, blocked: Iterable[tuple[str, str]]) -> Iterator[tuple[str, ToolScope]]:
    gone = frozenset(blocked)
    for name, each in scope.tools.items():
        if each.tool.kind == kind and (each.mount, each.tool.key) not in gone:
            yield name.removeprefix(f"{kind}:"), each


def _described(offered: ToolScope) -> dict[str, Json]:
    accepted = _accepted(offered.locked.definition)
    found = {key: accepted[key] for key in ("title", "description", "mimeType") if key in accepted}
    if offered.tool.description is not None:
        found["description"] = offered.tool.description
    return found


def _definition(name: str, tool: ToolScope, resolve: Resolve) -> dict[str, Json] | None:
    accepted = _accepted(tool.locked.definition)
    schema = narrowed(tool, resolve)
    if schema is None:
        return None
    found: dict[str, Json] = {"name": name}
    found |= {key: accepted[key] for key in _kept if key in accepted}
    if tool.tool.description is not None:
        found["description"] = tool.tool.description
    found["inputSchema"] = schema
    if "outputSchema" in accepted and any(grant.whole for grant in tool.allows) and not tool.denies:
        found["outputSchema"] = accepted["outputSchema"]
    return found


@lru_cache(maxsize=4096)
def _accepted(definition: str) -> Mapping[str, Json]:
    return cast("dict[str, Json]", json.loads(definition))


def narrowed(tool: ToolScope, resolve: Resolve) -> dict[str, Json] | None:
    """Return the input schema as the session may use it; None when it can make no call that the server would take."""
    given = _accepted(tool.locked.definition).get("inputSchema")
    schema = cast("dict[str, Json]", given) if isinstance(given, dict) else {}
    properties = schema.get("properties")
    known = cast("dict[str, Json]", properties) if isinstance(properties, dict) else {}
    needed = schema.get("required")
    required = (
        [name for name in cast("list[Json]", needed) if isinstance(name, str)] if isinstance(needed, list) else []
    )
    shown: dict[str, Json] = {}
    for name, property_ in known.items():
        ways = [_way(tool, grant, name) for grant in tool.allows]
        admitted = [way for way in ways if way is not None]
        if name in tool.tool.fixed or not admitted or all(isinstance(way, Equal) for way in ways):
            continue  # not its to give: filled in, or refused
        shown[name] = _of_values(tool, _without_headers(property_), admitted, resolve)
    filled = {name for grant in tool.allows for name, way in grant.args.items() if isinstance(way, Equal)}
    if any(name not in shown and name not in filled and name not in tool.tool.fixed for name in required):
        return None
    removed = any(name not in shown for name in known)
    found = {key: value for key, value in schema.items() if not (removed and key in _compositions)}
    found |= {"type": "object", "properties": shown, "additionalProperties": False}
    asked = [name for name in shown if _is_required(name, name in required, tool.allows)]
    found.pop("required", None)
    return {**found, "required": asked} if asked else found


def _way(tool: ToolScope, grant: CallGrant, name: str) -> Matcher | None:
    """Return what a grant says of an argument; the variables of templates come with the `template` that it names."""
    found = matcher_of(grant, name)
    if found is None and tool.tool.own == "email" and name == "variables" and matcher_of(grant, "template") is not None:
        return Anything()
    return found


def _of_values(tool: ToolScope, schema: Json, ways: list[Matcher], resolve: Resolve) -> Json:
    """Return the schema of an argument; of a list of the gateway's own tools what is said is said of each value."""
    found = cast("dict[str, Json]", schema) if isinstance(schema, dict) else None
    if tool.tool.own is None or found is None or "items" not in found:
        return _property(cast("Json", schema), ways, resolve)
    return {**found, "items": _property(found["items"], ways, resolve)}


_compositions = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")


def _is_required(name: str, by_server: bool, grants: Iterable[CallGrant]) -> bool:
    """Return whether every way to call needs the argument."""
    ways = [matcher_of(grant, name) for grant in grants]
    if by_server:
        return not any(isinstance(way, Equal) for way in ways)
    return all(way is not None and not isinstance(way, Anything | Equal | Empty) for way in ways)


def _without_headers(schema: Json) -> Json:
    """Return a property's schema without the annotation that has clients repeat values in HTTP headers."""
    if isinstance(schema, dict):
        items = cast("dict[str, Json]", schema).items()
        return {key: _without_headers(value) for key, value in items if key != "x-mcp-header"}
    if isinstance(schema, list):
        return [_without_headers(each) for each in cast("list[Json]", schema)]
    return schema


def _property(schema: Json, ways: list[Matcher], resolve: Resolve) -> Json:
    if not isinstance(schema, dict):
        return schema
    given = cast("dict[str, Json]", schema)
    if all(way == ways[0] for way in ways):
        return _tightened(given, ways[0], resolve)
    if all(isinstance(way, Equal | OneOf) for way in ways):
        values = [value for way in ways for value in _values(way, given, resolve)]
        return _with_values(given, values)
    return given


def _tightened(schema: dict[str, Json], matcher: Matcher, resolve: Resolve) -> dict[str, Json]:
    match matcher:
        case OneOf() | Equal():
            return _with_values(schema, _values(matcher, schema, resolve))
        case Bound():
            ends = ((key, getattr(matcher, name)) for name, key in _limits.items())
            said = {key: as_json(_resolved(cast("Operand", end), resolve)) for key, end in ends if end is not None}
            return {**schema, **_tighter(schema, {key: end for key, end in said.items() if _is_number(end)})}
        case Prefix(operand):
            start = _resolved(operand, resolve)
            return {**schema, "pattern": "^" + re.escape(start)} if isinstance(start, str) else schema
        case Glob(pattern):
            shape = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
            return {**schema, "pattern": f"^{shape}$"}
        case Every(parts):
            for part in parts:
                schema = _tightened(schema, part, resolve)
            return schema
        case _:
            return schema


def _tighter(schema: Mapping[str, Json], said: Mapping[str, Json]) -> dict[str, Json]:
    """Return the bounds, none of them wider than the schema's own."""
    found: dict[str, Json] = {}
    for key, end in said.items():
        own = schema.get(key)
        both = [Decimal(str(each)) for each in (own, end) if _is_number(each)]
        tightest = max(both) if "inimum" in key else min(both)
        found[key] = as_json(tightest)
    return found


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(matcher: Matcher, schema: Json, resolve: Resolve) -> list[Json]:
    operands = (
        matcher.operands if isinstance(matcher, OneOf) else (matcher.operand,) if isinstance(matcher, Equal) else ()
    )
    found: list[Json] = []
    for operand in operands:
        value = _resolved(operand, resolve)
        for each in value if isinstance(value, tuple) else (value,):
            known = as_json(each, schema)
            if known is not None and known not in found:
                found.append(known)
    return found


def _with_values(schema: dict[str, Json], values: list[Json]) -> dict[str, Json]:
    own = schema.get("enum")
    if isinstance(own, list):
        values = [value for value in values if value in cast("list[Json]", own)]
    return {**schema, "enum": values}


def _resolved(operand: Operand, resolve: Resolve) -> Claim | None:
    return resolve(operand) if isinstance(operand, Ref) else operand
