"""What was accepted of tools, in `bailiwick.lock`: their definitions, word for word, and fingerprints of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from bailiwick.match.uris import variables
from bailiwick.model.http import HttpMount
from bailiwick.model.lock import Lock
from bailiwick.model.route import listed_types
from bailiwick.model.tool import LockedTool, Tool, keyed
from bailiwick.policy.document import Entry
from bailiwick.policy.expect import block, required, text
from bailiwick.policy.lock_scalar import scalar_text
from bailiwick.policy.problem import Report, quoted

pinned = (
    *("title", "description", "inputSchema", "outputSchema", "annotations", "execution"),
    *("named", "arguments", "mimeType", "types", "templates"),
)
"""What of the definition of a tool, prompt or document an agent or its model acts upon.

Icons and `_meta` are not passed on at all."""
_ARGUMENT = ("name", "title", "description", "required")
_LONGEST = 60


def locked_tool(name: str, definition: Mapping[str, object]) -> LockedTool:
    """Return a tool as a server defines it, ready to be accepted. What differs in `pinned` has another fingerprint."""
    kept = {"name": name, **{key: definition[key] for key in pinned if definition.get(key) is not None}}
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return LockedTool(name, canonical, fingerprint_of(canonical))


def locked_prompt(name: str, definition: Mapping[str, object]) -> LockedTool:
    """Return a prompt as a server defines it; its arguments, which are all text, are those of its schema too."""
    given = definition.get("arguments")
    listed = [cast("dict[str, object]", each) for each in cast("list[object]", given or ()) if isinstance(each, dict)]
    told = [{key: each[key] for key in _ARGUMENT if key in each} for each in listed]
    needed = [str(each.get("name")) for each in listed if each.get("required") is True]
    kept = {key: definition[key] for key in ("title", "description") if key in definition}
    schema = _texts([str(each.get("name")) for each in listed], needed)
    return locked_tool(keyed("prompt", name), {**kept, "arguments": told, "inputSchema": schema})


def locked_document(name: str, definition: Mapping[str, object]) -> LockedTool:
    """Return a document as a server lists it; of what it does not list, the URI or template by itself."""
    kept = {key: definition[key] for key in ("title", "description", "mimeType") if key in definition}
    names = variables(name)
    more = {"named": definition.get("name", name), "inputSchema": _texts(names, names)}
    return locked_tool(keyed("document", name), {**kept, **more})


def locked_route(tool: Tool) -> LockedTool:
    """Return a route as the policy maps it, ready to be accepted: what a request of it may carry."""
    route = tool.route
    given = {} if route is None else route.arguments
    properties = {name: _schema_of(type_) for name, type_ in given.items()}
    needed = [name for name in properties if name.startswith("path.")]
    schema: dict[str, object] = {"properties": properties, "required": needed}
    more = {} if route is None or route.kind == "none" else {"mimeType": route.kind}
    return locked_tool(tool.key, {**more, "inputSchema": schema})


def _schema_of(type_: str) -> dict[str, object]:
    for several, each in listed_types.items():
        if several == type_:
            return {"type": "array", "items": {"type": each}}
    return {} if type_ == "any" else {"type": type_}


def locked_routes(mount: HttpMount) -> dict[str, LockedTool]:
    """Return all routes of a mount, ready to be accepted."""
    return {tool.key: locked_route(tool) for tool in mount.routes.values()}


def _texts(names: Sequence[str], needed: Sequence[str]) -> dict[str, object]:
    return {"properties": {name: {"type": "string"} for name in names}, "required": list(needed)}


def fingerprint_of(definition: str) -> str:
    """Return the fingerprint of a definition in canonical JSON."""
    return "sha256:" + hashlib.sha256(definition.encode()).hexdigest()


def tool_lines(lock: Lock) -> Iterator[str]:
    """Yield the lines of a lock's tools; none when it has none."""
    if not lock.tools:
        return
    yield "tools:"
    for mount in sorted(lock.tools):
        tools = lock.tools[mount]
        yield f"  {scalar_text(mount)}:" + ("" if tools else " {}")
        for name in sorted(tools):
            yield f"    {scalar_text(name)}:"
            yield f"      fingerprint: {scalar_text(tools[name].fingerprint)}"
            yield f"      definition: {scalar_text(tools[name].definition)}"


def read_tools(report: Report, entry: Entry | None) -> dict[str, dict[str, LockedTool]]:
    """Return mount → name → tool. A fingerprint that is not that of its definition is an error."""
    mounts = block(report, entry.value, "`tools`") if entry else None
    read: dict[str, dict[str, LockedTool]] = {}
    for mount in mounts.entries.values() if mounts else ():
        tools = block(report, mount.value, f"mount {quoted(mount.key)}")
        read[mount.key] = {}
        for item in tools.entries.values() if tools else ():
            tool = _tool(report, item)
            if tool is not None:
                read[mount.key][item.key] = tool
    return read


def _tool(report: Report, entry: Entry) -> LockedTool | None:
    what = f"tool {quoted(entry.key)}"
    found = block(report, entry.value, what, ("fingerprint", "definition"))
    if found is None:
        return None
    mark, given = required(report, found, "fingerprint", what), required(report, found, "definition", what)
    definition = text(report, given.value, f"`definition` of {what}") if given else None
    fingerprint = text(report, mark.value, f"`fingerprint` of {what}") if mark else None
    if given is None or definition is None or fingerprint is None:
        return None
    if fingerprint != fingerprint_of(definition) or _parsed(definition).get("name") != entry.key:
        report.error(given.position, "bad_fingerprint", f"the definition of {what} is not the one that was accepted")
        return None
    return LockedTool(entry.key, definition, fingerprint)


def _parsed(definition: str) -> Mapping[str, object]:
    try:
        found = cast("object", json.loads(definition))
    except ValueError:
        return {}
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def tools_diff(old: Lock, new: Lock) -> Iterator[str]:
    """Yield in words what differs between the tools of two locks."""
    for mount in sorted({*old.tools, *new.tools}):
        before, after = old.tools.get(mount, {}), new.tools.get(mount, {})
        for name in sorted({*before, *after}):
            was, now = before.get(name), after.get(name)
            if was is None and now is not None:
                yield f"{mount}: new {_called(name)}: {_said(_parsed(now.definition).get('description'))}"
            elif now is None:
                yield f"{mount}: {_called(name)} is gone"
            elif was is not None and was.fingerprint != now.fingerprint:
                yield from _changes(f"{mount}: {_called(name)}", _parsed(was.definition), _parsed(now.definition))


def _called(key: str) -> str:
    """Return in words what the key of the lock names."""
    kind, colon, name = key.partition(":")
    return f"{kind} {name}" if colon else f"tool {key}"


def _changes(where: str, was: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    for key in pinned:
        if was.get(key) != now.get(key):
            yield from _differences(f"{where}: {key}", was.get(key), now.get(key))


def _differences(where: str, was: object, now: object) -> Iterator[str]:
    """Yield what differs, member by member, in full: it is read by somebody who decides."""
    if isinstance(was, dict) and isinstance(now, dict):
        before, after = cast("dict[str, object]", was), cast("dict[str, object]", now)
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                yield from _differences(f"{where}.{key}", before.get(key), after.get(key))
        return
    if was is None:
        yield f"{where} is new: {_said(now, whole=True)}"
    elif now is None:
        yield f"{where} is gone"
    else:
        yield f"{where} was {_said(cast('object', was), whole=True)}, is {_said(now, whole=True)}"


def _said(value: object, *, whole: bool = False) -> str:
    """Return a value on one line of printable characters; what a terminal would act upon is escaped."""
    line = json.dumps(value, ensure_ascii=True)
    return line if whole or len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
