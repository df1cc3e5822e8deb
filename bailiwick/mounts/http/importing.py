"""From an OpenAPI document (3.x) to a mount: every operation a route with a guessed action, nothing granted. No I/O.

A guess: people decide. What a document says only names things; it never makes anything a read but GET and HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from bailiwick.match.routes import template_problem, variables_of
from bailiwick.model.action import data_verbs
from bailiwick.model.route import listed_types, methods, plain_types
from bailiwick.mounts.mcp.importing.guess import effects_of
from bailiwick.policy.http import header_is_ours
from bailiwick.policy.lock_scalar import scalar_text

_deepest = 3
"""Levels of a body whose keys are arguments of their own; below, a key's value is one."""
_VERBS: Mapping[str, str] = {
    "GET": "read",
    "HEAD": "read",
    "POST": "create",
    "PUT": "update",
    "PATCH": "update",
    "DELETE": "delete",
}
_SYNONYMS: Mapping[str, str] = {"select": "call", "insert": "create", "write": "update", "remove": "delete"}
Value = object


@dataclass(frozen=True, slots=True)
class Imported:
    """One route of the document."""

    name: str
    action: str
    effects: tuple[str, ...]
    arguments: Mapping[str, Mapping[str, str]]
    """`path`, `query`, `headers`, `body` or `form` → name → type."""


@dataclass(frozen=True, slots=True)
class Found:
    """A mount as the document has it."""

    name: str
    url: str
    credential: Mapping[str, Mapping[str, str]]
    routes: tuple[Imported, ...]
    notes: tuple[str, ...] = ()
    """What could not be taken over."""
    variables: tuple[str, ...] = field(default=())
    """Environment variables that the gateway needs."""


class _Document:
    def __init__(self, root: Mapping[str, Value]) -> None:
        self.root = root

    def of(self, value: Value) -> Mapping[str, Value]:
        """Return an object of the document, through its references; empty for what is none."""
        for _ in range(8):
            found = _members(value)
            place = found.get("$ref")
            if not isinstance(place, str):
                return found
            value = self._at(place)
        return {}

    def _at(self, place: str) -> Value:
        found: Value = self.root
        if not place.startswith("#/"):
            return None
        for part in place[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = _members(found).get(key)
        return found


def imported(name: str, root: Mapping[str, Value]) -> Found:
    """Return the mount that a document describes."""
    document, notes = _Document(root), list[str]()
    routes: dict[str, Imported] = {}
    for path, item in document.of(root.get("paths")).items():
        inner = document.of(item)
        for method in methods:
            operation = document.of(inner.get(method.lower()))
            if not operation:
                continue
            if template_problem(path):
                notes.append(f"{method} {path[:200]}: left out, {template_problem(path)}")
                continue
            shared = [*_listed(inner.get("parameters")), *_listed(operation.get("parameters"))]
            routes[f"{method} {path}"] = _route(document, method, path, operation, shared, notes)
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "API"
    credential = _credential(document, variable)
    servers = _listed(root.get("servers"))
    url = document.of(servers[0]).get("url") if servers else None
    known = isinstance(url, str) and url.startswith(("https://", "http://")) and "{" not in url and "@" not in url
    place = str(url).rstrip("/") if known else f"${{{variable}_URL}}"
    text = place + str(credential)
    names = tuple(dict.fromkeys(re.findall(r"\$\{([A-Z0-9_]+)\}", text)))
    return Found(name, place, credential, tuple(routes.values()), tuple(notes), names)


def _route(
    document: _Document,
    method: str,
    path: str,
    operation: Mapping[str, Value],
    parameters: Iterable[Value],
    notes: list[str],
) -> Imported:
    name = f"{method} {path}"
    arguments: dict[str, dict[str, str]] = {}
    for each in map(document.of, parameters):
        where, called = each.get("in"), each.get("name")
        if not isinstance(called, str):
            continue
        type_ = _type(document, each.get("schema"))
        if where == "cookie" or (where == "header" and header_is_ours(called.lower())):
            if where == "cookie":
                notes.append(f"{name}: cookie {called[:100]} is left out")
        elif where == "path" and called in variables_of(path):
            arguments.setdefault("path", {})[called] = type_ if type_ in plain_types else "string"
        elif where in ("query", "header"):
            key = "query" if where == "query" else "headers"
            several = _several(document, each) if where == "query" else None
            if several is None and type_ not in plain_types:
                notes.append(f"{name}: {called[:100]} is a {type_}, and is taken as text that stands once")
            arguments.setdefault(key, {})[called] = several or (type_ if type_ in plain_types else "string")
    body = document.of(operation.get("requestBody"))
    if body and method not in ("GET", "HEAD"):
        _body(document, name, document.of(body.get("content")), arguments, notes)
    action = _action(method, path)
    words = re.findall(r"[a-z]+", f"{path} {operation.get('operationId', '')}".lower())
    effects = () if action.endswith(":read") else effects_of(words)
    return Imported(name, action, effects, arguments)


def _body(
    document: _Document,
    name: str,
    content: Mapping[str, Value],
    arguments: dict[str, dict[str, str]],
    notes: list[str],
) -> None:
    json = next((each for kind, each in content.items() if kind.partition(";")[0] == "application/json"), None)
    form, parts = content.get("application/x-www-form-urlencoded"), content.get("multipart/form-data")
    if json is not None:
        arguments["body"] = dict(_keys(document, document.of(json).get("schema"), "", 0)) or {"": "any"}
    elif form is not None:
        found = _keys(document, document.of(form).get("schema"), "", _deepest)
        arguments["form"] = {key: type_ if type_ in plain_types else "string" for key, type_ in found}
    elif properties := document.of(document.of(document.of(parts).get("schema")).get("properties")):
        arguments["multipart"] = {key: _part(document, each) for key, each in properties.items() if key.isprintable()}
    else:
        notes.append(f"{name}: a body of {', '.join(content)[:100] or 'no type'} cannot be sent")


def _several(document: _Document, parameter: Mapping[str, Value]) -> str | None:
    """Return the type of a parameter that stands several times; None: it does not, or its values cannot be told."""
    schema = document.of(parameter.get("schema"))
    if schema.get("type") != "array" or parameter.get("explode") is False:
        return None
    each = _type(document, schema.get("items"))
    return next((several for several, of in listed_types.items() if of == each), None)


def _part(document: _Document, schema: Value) -> str:
    found, type_ = document.of(schema), _type(document, schema)
    if found.get("format") == "binary" or "contentMediaType" in found:
        return "file"
    return _several(document, {"schema": schema}) or (type_ if type_ in plain_types else "string")


def _keys(document: _Document, schema: Value, at: str, depth: int) -> Iterator[tuple[str, str]]:
    found = document.of(schema)
    every = [found, *map(document.of, _listed(found.get("allOf")))]
    properties = {key: each for part in every for key, each in document.of(part.get("properties")).items()}
    for key, inner in properties.items():
        if "." in key or not key.isprintable() or not key or len(key) > 100:
            continue
        below = list(_keys(document, inner, f"{at}{key}.", depth + 1)) if depth < _deepest else []
        yield from below or [(f"{at}{key}", _type(document, inner))]


def _type(document: _Document, schema: Value) -> str:
    found = document.of(schema)
    type_ = found.get("type")
    if isinstance(type_, list):
        kinds = [each for each in cast("list[Value]", type_) if each != "null"]
        type_ = kinds[0] if len(kinds) == 1 else None
    if found.get("nullable") is True or (isinstance(found.get("type"), list)):
        return "any"  # what may be null fits no plain type
    return type_ if isinstance(type_, str) and type_ in (*plain_types, "object", "array") else "any"


def _action(method: str, path: str) -> str:
    """Return an action: the last word of the path is the resource, or behind a variable of POST the verb."""
    segments = [segment for segment in path.split("/") if segment]
    words = [(place, segment) for place, segment in enumerate(segments) if "{" not in segment]
    if not words:
        return f"api:{_VERBS[method]}"
    place, last = words[-1]
    if method == "POST" and len(words) > 1 and place > 0 and "{" in segments[place - 1]:
        verb = _named(last).lower()
        return f"{_named(words[-2][1])}:{_SYNONYMS.get(verb, 'call' if verb in ('read', '') else verb)}"
    verb = _VERBS[method]
    return f"{_named(last)}:{verb if verb in data_verbs else 'call'}"


def _named(text: str) -> str:
    found = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:50]
    return found if found and found[0].isalpha() else f"r_{found}" if found else "api"


def _members(value: Value) -> Mapping[str, Value]:
    return cast("dict[str, Value]", value) if isinstance(value, dict) else {}


def _listed(value: Value) -> list[Value]:
    return cast("list[Value]", value) if isinstance(value, list) else []


def _credential(document: _Document, variable: str) -> dict[str, dict[str, str]]:
    schemes = document.of(document.of(document.root.get("components")).get("securitySchemes"))
    for scheme in map(document.of, schemes.values()):
        kind, where, name = scheme.get("type"), scheme.get("in"), scheme.get("name")
        if kind == "http" and str(scheme.get("scheme")).lower() == "basic":
            return {"basic": {"user": f"${{{variable}_USER}}", "password": f"${{{variable}_PASSWORD}}"}}
        if kind == "http" and str(scheme.get("scheme")).lower() == "bearer":
            return {"header": {"Authorization": f"Bearer ${{{variable}_TOKEN}}"}}
        if kind == "apiKey" and where in ("header", "query") and isinstance(name, str):
            return {str(where): {name: f"${{{variable}_KEY}}"}}
        flow = document.of(document.of(scheme.get("flows")).get("clientCredentials"))
        url = flow.get("tokenUrl")
        if kind == "oauth2" and isinstance(url, str) and url.startswith("https://"):
            client = {"client_id": f"${{{variable}_CLIENT}}", "client_secret": f"${{{variable}_SECRET}}"}
            return {"oauth": {"token_url": url, **client}}
    return {}


def as_policy(found: Found) -> str:
    """Return a mount as the text of a policy."""
    lines = [
        "# Written by `bailiwick http import`. Actions and effects are guesses: look them through. Nothing is granted."
    ]
    lines += [f"# set where the gateway starts: {', '.join(found.variables)}"] if found.variables else []
    lines += [f"# {scalar_text(note)}" for note in found.notes]
    lines += ["bailiwick: 1", "mounts:", f"  {scalar_text(found.name)}:", "    kind: http"]
    lines.append(f"    url: {scalar_text(found.url)}")
    for kind, values in found.credential.items():
        lines.append(f"    credential: {{{kind}: {_flow(values)}}}")
    lines.append("    routes:" if found.routes else "    routes: {}")
    for route in found.routes:
        lines += [f"      {scalar_text(route.name)}:", f"        action: {scalar_text(route.action)}"]
        lines += [f"        effects: [{', '.join(route.effects)}]"] if route.effects else []
        for where, names in route.arguments.items():
            whole = where == "body" and list(names) == [""]
            lines.append(f"        {where}: {names[''] if whole else _flow(names)}")
    return "\n".join(lines) + "\n"


def _flow(values: Mapping[str, str]) -> str:
    inner = ", ".join(
        f"{scalar_text(key)}: {value if value == 'any' else scalar_text(value)}" for key, value in values.items()
    )
    return f"{{{inner}}}"
