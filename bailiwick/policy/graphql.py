"""The part of a mount of kind `http` that speaks GraphQL: YAML → `model.http.GraphQL`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bailiwick.match.routes import template_problem
from bailiwick.model.http import GraphQL
from bailiwick.model.tool import Tool
from bailiwick.policy.document import Entry
from bailiwick.policy.expect import block, required, text
from bailiwick.policy.mcp import read_tool, tool_keys
from bailiwick.policy.problem import Report, quoted
from bailiwick.policy.reading import Reading

graphql_keys = ("path", "schema", "fields")
_FIELD = re.compile(r"(Query|Mutation)\.[_A-Za-z][_0-9A-Za-z]{0,127}")
_DEFAULT_PATH = "/graphql"


def graphql_of(reading: Reading, entry: Entry, what: str, routes: Mapping[str, Tool]) -> GraphQL | None:
    """Return what a mount says of its GraphQL; None when it is not usable."""
    report, whole = reading.report, f"`graphql` of {what}"
    found = block(report, entry.value, whole, graphql_keys)
    if found is None:
        return None
    given, file = found.get("path"), found.get("schema")
    path = text(report, given.value, f"`path` of {whole}") if given else None
    path = _DEFAULT_PATH if path is None else path
    problem = "it is one path" if "{" in path else template_problem(path)
    if problem:
        report.error((given or entry).position, "bad_path", f"`path` of {whole} is {quoted(path)}", problem)
    if f"POST {path}" in routes:
        message = f"{quoted(f'POST {path}')} is a route of {what}, and where its GraphQL is"
        report.error(entry.position, "duplicate_route", message, "map it as one of them")
    listed = required(report, found, "fields", whole)
    inner = block(report, listed.value, f"`fields` of {whole}") if listed else None
    fields = {item.key: tool for item in (inner.entries.values() if inner else ()) if (tool := _field(reading, item))}
    return GraphQL(path, (text(report, file.value, f"`schema` of {whole}") or "") if file else "", fields)


def _field(reading: Reading, entry: Entry) -> Tool | None:
    if not _FIELD.fullmatch(entry.key):
        message = f"{quoted(entry.key)} is not what an operation begins with"
        hint = "write it as in `Query.customer` or `Mutation.refund`"
        reading.report.error(entry.position, "bad_field", message, hint)
        return None
    tool = read_tool(reading, entry, "field", tool_keys)
    if tool is not None:
        _check(reading.report, entry, tool)
    return tool


def _check(report: Report, entry: Entry, tool: Tool) -> None:
    if tool.action.verb == "read" and entry.key.startswith("Mutation."):
        message = f"{quoted(entry.key)} is mapped to {quoted(str(tool.action))}"
        report.error(entry.position, "bad_action", message, "its verb says what it does, as in `update` or `delete`")
