"""Mounts of kind `http`: YAML → `model.http.HttpMount`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from bailiwick.match.routes import template_problem, variables_of
from bailiwick.model.http import Credential, CredentialKind, HttpMount, credential_kinds
from bailiwick.model.policy import SecretRef
from bailiwick.model.route import (
    BodyKind,
    JsonType,
    Method,
    PartType,
    Plain,
    Route,
    Several,
    json_types,
    methods,
    part_types,
    plain_types,
    several_types,
)
from bailiwick.model.tool import Tool
from bailiwick.policy.document import Block, Entry, Leaf, Node
from bailiwick.policy.expect import block, choice, required, several, text
from bailiwick.policy.graphql import graphql_of
from bailiwick.policy.mcp import read_tool, tool_keys, tool_resources
from bailiwick.policy.problem import Report, near, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import call_limits, mount_limits, secret_text, web_url

http_keys = ("kind", "url", "credential", "networks", "authority", "routes", "graphql", "resources", "limits")
route_keys = (*tool_keys, "path", "query", "headers", "body", "form", "multipart")
credential_keys: Mapping[CredentialKind, tuple[str, ...]] = {
    "header": (),
    "query": (),
    "basic": ("user", "password"),
    "oauth": ("token_url", "client_id", "client_secret", "scope", "audience"),
    "aws": ("access_key", "secret_key", "session_token", "region", "service"),
}
"""What each kind takes; of headers and queries the names are the API's."""
_OPTIONAL = frozenset({"scope", "audience", "session_token"})
_SECRET = frozenset({"password", "client_secret", "secret_key", "session_token"})
_KINDS: Mapping[str, CredentialKind] = {each: each for each in credential_kinds}
_METHODS: Mapping[str, Method] = {each: each for each in methods}
_PLAIN: Mapping[str, Plain] = {each: each for each in plain_types}
_SEVERAL: Mapping[str, Several] = {each: each for each in several_types}
_PARTS: Mapping[str, PartType] = {each: each for each in part_types}
_JSON: Mapping[str, JsonType] = {each: each for each in json_types}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_.~$@:\[\]-]{1,128}")
_KEY = re.compile(r"[^.\x00-\x1f]{1,128}(?:\.[^.\x00-\x1f]{1,128}){0,8}")
_OWN_HEADERS = re.compile(
    r"accept(-encoding)?|authorization|connection|content-.*|cookie|date|expect|forwarded|host|keep-alive|origin|proxy-.*"
    r"|set-cookie|te|trailer|transfer-encoding|upgrade|via|x-forwarded-.*|x-http-method.*|x-method-override"
    r"|x-original-.*|x-real-ip|x-rewrite-url|x-amz-.*|bailiwick-.*",
)
"""Headers that are the gateway's, or that change what a request is: none of them is an argument."""
Kind = TypeVar("Kind", Plain, Several, PartType, JsonType)


def header_is_ours(name: str) -> bool:
    """Return whether a header, by its name in small letters, can be no argument."""
    return _OWN_HEADERS.fullmatch(name) is not None


def http_mount(reading: Reading, entry: Entry, found: Block) -> HttpMount | None:
    """Return one mount of kind `http`, or None when it is not usable."""
    report, what = reading.report, f"mount {quoted(entry.key)}"
    block(report, found, what, http_keys)
    url = required(report, found, "url", what)
    where = web_url(report, url.value, f"`url` of {what}") if url else None
    if url and where is not None and re.search(r"[?#]", where.text.replace("${", "")):
        report.error(url.value.position, "bad_url", f"`url` of {what} has a query or a fragment", "leave it out")
    routes = _routes(reading, found, what)
    operations = found.get("graphql")
    graphql = graphql_of(reading, operations, what, routes) if operations else None
    mapped = (*routes.values(), *(graphql.fields.values() if graphql is not None else ()))
    given, networks, authority = found.get("credential"), found.get("networks"), found.get("authority")
    mount = HttpMount(
        name=entry.key,
        url=where or SecretRef(""),
        routes=routes,
        resources=tool_resources(reading, found, entry, mapped),
        credential=_credential(report, given, what) if given else None,
        networks=several(report, networks.value, f"`networks` of {what}", _network, least=1) if networks else (),
        authority=(text(report, authority.value, f"`authority` of {what}") or "") if authority else "",
        graphql=graphql,
        limits=mount_limits(report, found, what, call_limits),
        position=entry.position,
    )
    return None if where is None else mount


def _network(report: Report, node: Node, what: str) -> str | None:
    found = text(report, node, what)
    try:
        return None if found is None else str(ipaddress.ip_network(found))
    except ValueError:
        hint = "write it as in `10.1.0.0/16`, or one address"
        report.error(node.position, "bad_network", f"{what}: {quoted(found or '')} is not a network", hint)
        return None


def _credential(report: Report, entry: Entry, what: str) -> Credential | None:
    whole = f"`credential` of {what}"
    found = block(report, entry.value, whole, credential_kinds)
    if found is None:
        return None
    if len(found.entries) != 1:
        hint = "one of `header`, `query`, `basic`, `oauth` and `aws`"
        report.error(entry.position, "missing_key", f"{whole} is of one kind", hint)
        return None
    name, given = next(iter(found.entries.items()))
    kind = _KINDS.get(name)
    inner = block(report, given.value, f"{quoted(name)} of {whole}", (credential_keys[kind] or None) if kind else None)
    if kind is None or inner is None:
        return None
    values: dict[str, SecretRef] = {}
    for item in inner.entries.values():
        if kind in ("header", "query") and not (_TOKEN if kind == "header" else _NAME).fullmatch(item.key):
            report.error(item.position, "bad_name", f"{quoted(item.key)} is not the name of a {kind}")
            continue
        needed = kind in ("header", "query") or item.key in _SECRET
        read = web_url(report, item.value, "`token_url`") if item.key == "token_url" else None
        read = read or secret_text(report, item.value, quoted(item.key), needed=needed)
        if read is not None:
            values[item.key] = read
    for key in credential_keys[kind]:
        if key not in _OPTIONAL:
            required(report, inner, key, whole)
    if not inner.entries:
        report.error(given.position, "missing_key", f"{quoted(name)} of {whole} is empty", "name the value to send")
    return Credential(kind, values)


def _routes(reading: Reading, found: Block, what: str) -> dict[str, Tool]:
    entry = found.get("routes")
    inner = block(reading.report, entry.value, f"`routes` of {what}") if entry else None
    read: dict[str, Tool] = {}
    shapes: dict[str, str] = {}
    for item in inner.entries.values() if inner else ():
        route = _route(reading.report, item)
        tool = read_tool(reading, item, "route", route_keys) if route is not None else None
        if route is None or tool is None:
            continue
        same = shapes.setdefault(f"{route.method} {re.sub(r'{[^}]*}', '{}', route.path)}", item.key)
        if same != item.key:
            message = f"route {quoted(item.key)} is the same as {quoted(same)}"
            reading.report.error(item.position, "duplicate_route", message, "map it once")
        _check(reading.report, item, tool, route)
        read[item.key] = replace(tool, route=route)
    return read


def _check(report: Report, entry: Entry, tool: Tool, route: Route) -> None:
    if tool.action.verb == "read" and route.method in ("PUT", "PATCH", "DELETE"):
        message = f"{quoted(entry.key)} is mapped to {quoted(str(tool.action))}"
        report.error(entry.position, "bad_action", message, "its verb says what it does, as in `update` or `delete`")
    names = route.arguments
    for name in (*tool.fixed, *tool.target):
        if name not in names:
            message = f"{quoted(name)} is not an argument of route {quoted(entry.key)}"
            report.error(entry.position, "unknown_argument", message, near(name, names) or "name it where it stands")


def _route(report: Report, entry: Entry) -> Route | None:
    """Return the route that a key and its block describe; None when its key is none."""
    method, space, path = entry.key.partition(" ")
    known = _METHODS.get(method)
    problem = template_problem(path) if known and space else "write a method and a path, as in `GET /invoices/{id}`"
    if known is None or problem:
        report.error(entry.position, "bad_route", f"{quoted(entry.key)} is not a route", problem)
        return None
    found = entry.value if isinstance(entry.value, Block) else Block(entry.position, {})
    body, kind = _body(report, found, entry.key, known)
    asked = found.get("query")
    return Route(
        method=known,
        path=path,
        variables=_variables(report, found.get("path"), entry.key, path),
        query=_typed(report, asked, entry.key, _NAME, _SEVERAL) if asked else {},
        headers=_headers(report, found.get("headers"), entry.key),
        body=body,
        kind=kind,
    )


def _variables(report: Report, entry: Entry | None, route: str, path: str) -> dict[str, Plain]:
    names = variables_of(path)
    typed = _named(report, entry, route, _NAME)
    for name in typed:
        if entry and name not in names:
            message = f"{quoted(name)} is not a variable of {quoted(route)}"
            report.error(entry.position, "unknown_argument", message, near(name, names))
    return {name: typed.get(name, "string") for name in names}


def _headers(report: Report, entry: Entry | None, route: str) -> dict[str, Plain]:
    found: dict[str, Plain] = {name.lower(): type_ for name, type_ in _named(report, entry, route, _TOKEN).items()}
    for name in found:
        if entry and header_is_ours(name):
            report.error(entry.position, "bad_name", f"header {quoted(name)} is not an argument", "leave it out")
    return found


def _body(report: Report, found: Block, route: str, method: Method) -> tuple[dict[str, JsonType | PartType], BodyKind]:
    json, form, parts = found.get("body"), found.get("form"), found.get("multipart")
    given = [each for each in (json, form, parts) if each]
    either = given[0] if given else None
    for other in given[1:]:
        message = f"{quoted(route)} has `{given[0].key}` and `{other.key}`"
        report.error(other.position, "misplaced_key", message, "a body is one of them")
    if either is None:
        return {}, "none"
    if method in ("GET", "HEAD"):
        report.error(either.position, "misplaced_key", f"{quoted(route)} has no body", f"remove `{either.key}`")
        return {}, "none"
    if either is form:
        return {**_typed(report, either, route, _NAME, _SEVERAL)}, "form"
    if either is parts:
        return {**_typed(report, either, route, _NAME, _PARTS)}, "multipart"
    if isinstance(either.value, Leaf):
        whole = choice(report, either.value, f"`body` of {quoted(route)}", _JSON)
        return ({"": whole} if whole else {}), "json"
    return {**_typed(report, either, route, _KEY, _JSON)}, "json"


def _named(report: Report, entry: Entry | None, route: str, shape: re.Pattern[str]) -> dict[str, Plain]:
    return _typed(report, entry, route, shape, _PLAIN) if entry else {}


def _typed(
    report: Report, entry: Entry, route: str, shape: re.Pattern[str], kinds: Mapping[str, Kind]
) -> dict[str, Kind]:
    """Return name → type; a list of names means text."""
    what = f"`{entry.key}` of {quoted(route)}"
    if not isinstance(entry.value, Block):
        names = several(report, entry.value, what, text, least=1)
        found = dict.fromkeys(names, kinds["string"])
    else:
        read = {item.key: choice(report, item.value, quoted(item.key), kinds) for item in entry.value.entries.values()}
        found = {name: type_ for name, type_ in read.items() if type_ is not None}
    for name in found:
        if not shape.fullmatch(name):
            report.error(entry.position, "bad_name", f"{quoted(name)} in {what} is not a name that can stand there")
        if any(name.startswith(other + ".") for other in found):
            report.error(entry.position, "bad_name", f"{quoted(name)} in {what} is within another one", "name one")
    return {name: type_ for name, type_ in found.items() if shape.fullmatch(name)}
