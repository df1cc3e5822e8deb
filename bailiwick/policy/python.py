"""Mounts of kind `python`: YAML → `model.tool.PythonMount`. The functions are an application's."""

from __future__ import annotations

import keyword
from dataclasses import replace

from bailiwick.model.tool import PythonMount, Tool
from bailiwick.policy.document import Block, Entry, Node
from bailiwick.policy.expect import block, required, several, text
from bailiwick.policy.locked_tools import locked_tool
from bailiwick.policy.mcp import read_tool, tool_keys, tool_resources
from bailiwick.policy.problem import Report, near, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import call_limits, mount_limits

python_keys = ("kind", "functions", "resources", "limits")
function_keys = (*tool_keys, "parameters")


def python_mount(reading: Reading, entry: Entry, found: Block) -> PythonMount:
    """Return one mount of kind `python`."""
    report, what = reading.report, f"mount {quoted(entry.key)}"
    block(report, found, what, python_keys)
    functions = _functions(reading, found, what)
    return PythonMount(
        name=entry.key,
        tools=functions,
        resources=tool_resources(reading, found, entry, tuple(functions.values())),
        accepted={name: locked_tool(name, _definition(each)) for name, each in functions.items()},
        limits=mount_limits(report, found, what, call_limits),
        position=entry.position,
    )


def _functions(reading: Reading, found: Block, what: str) -> dict[str, Tool]:
    entry = required(reading.report, found, "functions", what)
    inner = block(reading.report, entry.value, f"`functions` of {what}") if entry else None
    read: dict[str, Tool] = {}
    for item in inner.entries.values() if inner else ():
        function = read_tool(reading, item, "function", function_keys)
        if function is not None:
            read[item.key] = replace(function, parameters=_parameters(reading.report, item, function))
    return read


def _parameters(report: Report, entry: Entry, function: Tool) -> tuple[str, ...]:
    """Return the names of a function's parameters; none are said: it takes none."""
    given = entry.value.get("parameters") if isinstance(entry.value, Block) else None
    what = f"`parameters` of function {quoted(entry.key)}"
    names = several(report, given.value, what, _name) if given else ()
    for name in function.fixed:
        if name not in names:
            message = f"{quoted(name)} in `fixed` is not a parameter of function {quoted(entry.key)}"
            report.error(entry.position, "unknown_argument", message, near(name, names) or "add it to `parameters`")
    if len(set(names)) < len(names) and given:
        report.error(given.position, "duplicate_name", f"{what} name one twice", "name it once")
    return names


def _name(report: Report, node: Node, what: str) -> str | None:
    found = text(report, node, what)
    if found is None or (found.isidentifier() and found.isascii() and not keyword.iskeyword(found)):
        return found
    report.error(node.position, "bad_name", f"{what}: {quoted(found)} is not the name of a parameter")
    return None


def _definition(function: Tool) -> dict[str, object]:
    properties: dict[str, object] = {name: {} for name in function.parameters or ()}
    definition: dict[str, object] = {"inputSchema": {"type": "object", "properties": properties}}
    return definition if function.description is None else {**definition, "description": function.description}
