"""Mounts of kind `mcp`: YAML → `model.tool.McpMount`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from bailiwick.match.uris import uri_problem
from bailiwick.model.files import FILE_TOOLS, FilesMount
from bailiwick.model.http import ToolMount
from bailiwick.model.policy import SecretRef
from bailiwick.model.tool import (
    BUILT_IN,
    Effect,
    Kind,
    McpMount,
    Relayed,
    Tool,
    ToolResource,
    effects,
    relayed,
)
from bailiwick.model.value import Operand
from bailiwick.policy.document import Block, Entry, Node
from bailiwick.policy.expect import block, choice, name_is_good, required, several, text
from bailiwick.policy.labels import labels
from bailiwick.policy.matchers import single_operand
from bailiwick.policy.prices import price
from bailiwick.policy.problem import Report, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import action, call_limits, mount_limits, secret_text, web_url

mcp_keys = (
    *("kind", "command", "url", "env", "headers"),
    *("tools", "prompts", "documents", "resources", "prefix", "limits", "relay"),
)
tool_keys = ("action", "description", "fixed", "items", "effects", "target", "cost")
prompt_keys = ("action", "description", "fixed", "effects")
document_keys = ("action", "description", "items", "effects")
tool_resource_keys = ("labels",)
"""Ceilings on one call: items of its result, bytes of its result, how long it may run."""
Offered = Literal["tool", "prompt", "document"]
"""What an MCP server offers."""
_EFFECTS: Mapping[str, Effect] = {name: name for name in effects}
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_TOOL = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SECRETIVE = re.compile(r"auth|cookie|token|secret|password|passwd|api.?key|private", re.IGNORECASE)
_OWN_HEADERS = re.compile(
    r"accept|content-(type|length)|host|connection|transfer-encoding|mcp-(session-id|protocol-version|method|name)"
    r"|last-event-id",
    re.IGNORECASE,
)
_KEYS: Mapping[Offered, tuple[str, ...]] = {"tool": tool_keys, "prompt": prompt_keys, "document": document_keys}
_NOTHING = re.compile(r"(?!)")


def mcp_mount(reading: Reading, entry: Entry, found: Block) -> McpMount | None:
    """Return one mount of kind `mcp`, or None when it is not usable."""
    report, what = reading.report, f"mount {quoted(entry.key)}"
    block(report, found, what, mcp_keys)
    command, url, prefix = found.get("command"), found.get("url"), found.get("prefix")
    if (command is None) == (url is None):
        message = f"{what} has {'both `command` and' if command else 'neither `command` nor'} `url`"
        report.error(found.position, "missing_key", message, "say how its server is reached: by one of the two")
    for key, belongs in (("env", command), ("headers", url)):
        lost = found.get(key)
        if lost and belongs is None:
            other = "command" if key == "env" else "url"
            message = f"`{key}` of {what} has no meaning without `{other}`"
            report.error(lost.position, "misplaced_key", message, "remove it")
    tools, prompts, documents = (_offered(reading, found, entry.key, kind) for kind in _KEYS)
    return McpMount(
        name=entry.key,
        command=_command(report, command, what) if command else (),
        url=web_url(report, url.value, f"`url` of {what}") if url else None,
        tools=tools,
        prompts=prompts,
        documents=documents,
        resources=tool_resources(reading, found, entry, (*tools.values(), *prompts.values(), *documents.values())),
        env=_secrets(report, found.get("env"), what, _VARIABLE, _NOTHING),
        headers=_secrets(report, found.get("headers"), what, _TOKEN, _OWN_HEADERS),
        prefix=_prefix(report, prefix, what) if prefix else "",
        limits=mount_limits(report, found, what, call_limits),
        relay=_relay(report, found.get("relay"), what),
        position=entry.position,
    )


def _command(report: Report, entry: Entry, what: str) -> tuple[str, ...]:
    parts = several(report, entry.value, f"`command` of {what}", text, least=1)
    if len(parts) == 1 and " " in parts[0]:
        message = f"`command` of {what} is one program with a space in its name"
        report.error(entry.value.position, "bad_command", message, "write a list: `[program, argument]`")
    if any("${" in part for part in parts):
        message = f"`command` of {what} has a reference in it, which everybody on the machine could read"
        report.error(entry.value.position, "bad_command", message, "hand it over in `env`")
    return parts


def _secrets(
    report: Report, entry: Entry | None, what: str, shape: re.Pattern[str], ours: re.Pattern[str]
) -> dict[str, SecretRef]:
    found = block(report, entry.value, f"`{entry.key}` of {what}") if entry else None
    read: dict[str, SecretRef] = {}
    for item in found.entries.values() if found else ():
        if not shape.fullmatch(item.key) or ours.fullmatch(item.key):
            message = f"{quoted(item.key)} cannot be set here"
            report.error(item.position, "bad_name", message, "choose another name, or leave it out")
            continue
        value = secret_text(report, item.value, quoted(item.key), needed=_SECRETIVE.search(item.key) is not None)
        if value is not None:
            read[item.key] = value
    return read


def _relay(report: Report, entry: Entry | None, what: str) -> dict[Relayed, str]:
    found = block(report, entry.value, f"`relay` of {what}", relayed) if entry else None
    read: dict[Relayed, str] = {}
    for kind in relayed if found else ():
        each = found.get(kind) if found else None
        reason = text(report, each.value, f"`{kind}` of `relay`") if each else None
        if reason is not None:
            read[kind] = reason
    return read


def _prefix(report: Report, entry: Entry, what: str) -> str:
    found = text(report, entry.value, f"`prefix` of {what}") or ""
    if found and not _PREFIX.fullmatch(found):
        message = f"`prefix` of {what} is {quoted(found)}"
        report.error(entry.value.position, "bad_name", message, "use up to 32 letters, digits, `_`, `-` and `.`")
        return ""
    return found


def _offered(reading: Reading, found: Block, mount: str, kind: Offered) -> dict[str, Tool]:
    entry = found.get(f"{kind}s")
    inner = block(reading.report, entry.value, f"`{kind}s` of mount {quoted(mount)}") if entry else None
    read: dict[str, Tool] = {}
    for item in inner.entries.values() if inner else ():
        tool = read_tool(reading, item, kind, _KEYS[kind])
        if tool is not None:
            read[item.key] = tool
    return read


def _is_named(report: Report, entry: Entry, kind: str) -> bool:
    problem = uri_problem(entry.key) if kind == "document" else ""
    if problem:
        report.error(entry.position, "bad_name", f"{quoted(entry.key)} does not name documents: {problem}")
    elif kind not in ("document", "route", "field") and not _TOOL.fullmatch(entry.key):
        message = f"{kind} {quoted(entry.key)} is not the name of a {kind}"
        report.error(entry.position, "bad_name", message, "letters, digits, `_`, `-` and `.`, at most 128")
        return False
    return not problem


def read_tool(reading: Reading, entry: Entry, kind: Kind | Literal["function"], keys: tuple[str, ...]) -> Tool | None:
    """Return a tool, prompt, document, route or function (`kind`) as an action; None when it is not usable."""
    report, what = reading.report, f"{kind} {quoted(entry.key)}"
    if not _is_named(report, entry, kind):
        return None
    found = block(report, entry.value, what, keys)
    named = required(report, found, "action", what) if found else None
    done = action(report, named.value, f"`action` of {what}") if named else None
    if found is None or named is None or done is None:
        return None
    if "*" in (done.resource, done.verb) or done.field is not None:
        message = f"{what} is mapped to {quoted(str(done))}"
        hint = "name one resource and one verb, as in `billing:refund`"
        report.error(named.value.position, "bad_action", message, hint)
        return None
    description, items, marks = found.get("description"), found.get("items"), found.get("effects")
    target, cost, fixed = found.get("target"), found.get("cost"), found.get("fixed")
    return Tool(
        name=entry.key,
        action=done,
        description=text(report, description.value, f"`description` of {what}") if description else None,
        fixed=_fixed(reading, fixed, what) if fixed else {},
        items=_path(report, items.value, f"`items` of {what}") if items else (),
        effects=frozenset(several(report, marks.value, f"`effects` of {what}", _effect)) if marks else frozenset(),
        target=several(report, target.value, f"`target` of {what}", text) if target else (),
        cost=price(report, cost.value, f"`cost` of {what}", kind) if cost else None,
        kind="tool" if kind == "function" else kind,
        position=entry.position,
    )


def _effect(report: Report, node: Node, what: str) -> Effect | None:
    return choice(report, node, what, _EFFECTS)


def _path(report: Report, node: Node, what: str) -> tuple[str, ...]:
    found = text(report, node, what)
    parts = tuple((found or "").split("."))
    if found and not all(parts):
        report.error(node.position, "bad_path", f"{what} is {quoted(found)}", "write keys with dots between them")
        return ()
    return parts if found else ()


def _fixed(reading: Reading, entry: Entry, what: str) -> dict[str, Operand]:
    found = block(reading.report, entry.value, f"`fixed` of {what}")
    read: dict[str, Operand] = {}
    for item in found.entries.values() if found else ():
        value = single_operand(reading, item.value, f"{quoted(item.key)} in `fixed` of {what}")
        if value is not None:
            read[item.key] = value
    return read


def tool_resources(reading: Reading, found: Block, mount: Entry, tools: Sequence[Tool]) -> dict[str, ToolResource]:
    """Return the resources that the tools act on, with their labels, and note their verbs."""
    report = reading.report
    entry = found.get("resources")
    inner = block(report, entry.value, f"`resources` of mount {quoted(mount.key)}") if entry else None
    described: Mapping[str, Entry] = inner.entries if inner else {}
    read: dict[str, ToolResource] = {}
    for tool in tools:
        name = tool.action.resource
        other = reading.known.get(name) or reading.tool_resources.get(name)
        if other is not None and other.mount != mount.key:
            message = (
                f"resource {quoted(name)} of {tool.kind} {quoted(tool.name)} is one of mount {quoted(other.mount)}"
            )
            report.error(tool.position, "duplicate_resource", message, "names are unique over all mounts")
            continue
        if name not in read and name_is_good(report, name, tool.position, "resource"):
            read[name] = reading.tool_resources[name] = _resource(report, name, mount.key, described.get(name))
        reading.tool_verbs.setdefault(name, {}).setdefault(tool.action.verb, None)
    for key, item in described.items():
        if key not in read:
            message = f"no tool of mount {quoted(mount.key)} acts on {quoted(key)}"
            report.error(item.position, "unknown_resource", message, "name it in the `action` of a tool, or remove it")
    return read


def _resource(report: Report, name: str, mount: str, entry: Entry | None) -> ToolResource:
    what = f"resource {quoted(name)}"
    found = block(report, entry.value, what, tool_resource_keys) if entry else None
    marks = labels(report, found.get("labels") if found else None, what)
    return ToolResource(name, mount, marks, entry.position if entry else ToolResource(name, mount).position)


def check_tool_names(reading: Reading, mounts: Mapping[str, ToolMount]) -> None:
    """Report what agents would see under one name, or under a name of the gateway's own."""
    seen: dict[str, str] = {}
    own = (*BUILT_IN, *(FILE_TOOLS if any(isinstance(each, FilesMount) for each in mounts.values()) else ()))
    for mount in mounts.values():
        for tool in mount.offered:
            shown = mount.shown(tool)
            folded = shown if tool.kind in ("document", "route", "field", "file") else shown.casefold()
            if folded in own:
                message = f"tool {quoted(shown)} has the name of one of the gateway's own"
                reading.report.error(tool.position, "duplicate_tool", message, "give the mount a `prefix`")
            other = seen.setdefault(folded, f"{mount.name}/{tool.key}")
            if other != f"{mount.name}/{tool.key}":
                message = f"{tool.kind} {quoted(shown)} of mount {quoted(mount.name)} is also one of {quoted(other)}"
                reading.report.error(tool.position, "duplicate_tool", message, "give one of the mounts a `prefix`")
