"""Mounts and their resources: YAML → `model.policy.Mount`; those of tools, functions and routes are read beside."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from bailiwick.model.http import ToolMount
from bailiwick.model.policy import Mount, Resource
from bailiwick.policy.agents import observe
from bailiwick.policy.document import Block, Entry, Leaf, Node
from bailiwick.policy.email import email_mount
from bailiwick.policy.expect import (
    block,
    choice,
    column,
    columns,
    flag,
    name_is_good,
    required,
    several,
    text,
)
from bailiwick.policy.files import files_mount
from bailiwick.policy.http import http_mount
from bailiwick.policy.labels import labels
from bailiwick.policy.mcp import mcp_mount
from bailiwick.policy.problem import Report, near, quoted
from bailiwick.policy.python import python_mount
from bailiwick.policy.reading import Reading
from bailiwick.policy.sql_mounts import default_schema, sql_mount
from bailiwick.policy.values import mount_limits, secret_url, table
from bailiwick.sql.extension_lists import REVIEWED

mount_keys = ("kind", "url", "resources", "sql", "functions", "extensions", "plaintext", "limits", "enforce")
resource_keys = ("table", "key", "tenant", "labels", "groups")
kinds = ("postgres", "sql", "mcp", "python", "http", "email", "files")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\.[A-Za-z_][A-Za-z0-9_$]*")


def mount(reading: Reading, entry: Entry) -> Mount | ToolMount | None:
    """Return one mount, or None when its kind is not supported or it is not usable.

    Whether it is observed is noted in the reading, for mounts of all kinds."""
    found = block(reading.report, entry.value, f"mount {quoted(entry.key)}")
    if found is None:
        return None
    given = found.get("observe")
    rest = {key: each for key, each in found.entries.items() if key != "observe"}
    made = _mount(reading, entry, found if given is None else replace(found, entries=rest))
    if given is not None:
        _observed(reading, entry, given, made)
    return made


def _observed(reading: Reading, entry: Entry, given: Entry, made: Mount | ToolMount | None) -> None:
    report, what = reading.report, f"mount {quoted(entry.key)}"
    mode = observe(reading, given, what)
    if mode is None or made is None:
        return
    reading.observed[entry.key] = mode
    for name in mode.boundary or ():
        if name not in made.resources:
            message = f"`boundary` of {what} names {quoted(name)}, which is no resource of it"
            report.error(given.position, "unknown_resource", message, near(name, made.resources))
    if isinstance(made, Mount) and made.enforce == "both":
        message = f"`observe` of {what}: inside PostgreSQL nothing is let through"
        report.error(given.position, "misplaced_key", message, "use `enforce: rewrite` while it is observed")


def _mount(reading: Reading, entry: Entry, found: Block) -> Mount | ToolMount | None:
    report, what = reading.report, f"mount {quoted(entry.key)}"
    kind = required(report, found, "kind", what)
    if not _kind_is_supported(report, kind, what):
        reading.foreign |= _foreign(found)
        return None
    if kind is not None and isinstance(kind.value, Leaf) and kind.value.value == "mcp":
        return mcp_mount(reading, entry, found)
    if kind is not None and isinstance(kind.value, Leaf) and kind.value.value == "python":
        return python_mount(reading, entry, found)
    if kind is not None and isinstance(kind.value, Leaf) and kind.value.value == "http":
        return http_mount(reading, entry, found)
    if kind is not None and isinstance(kind.value, Leaf) and kind.value.value == "email":
        return email_mount(reading, entry, found)
    if kind is not None and isinstance(kind.value, Leaf) and kind.value.value == "files":
        return files_mount(reading, entry, found)
    if _is_sql(kind):
        return sql_mount(reading, entry, found, _resources(reading, found, entry.key, default_schema(found)))
    block(report, found, what, mount_keys)
    url = required(report, found, "url", what)
    address = secret_url(report, url.value, f"`url` of {what}") if url else None
    resources = _resources(reading, found, entry.key)
    sql, plaintext, functions = found.get("sql"), found.get("plaintext"), found.get("functions")
    switched = bool(flag(report, sql.value, f"`sql` of {what}")) if sql else False
    plain = bool(flag(report, plaintext.value, f"`plaintext` of {what}")) if plaintext else False
    callable_ = several(report, functions.value, f"`functions` of {what}", _function) if functions else ()
    opened = found.get("extensions")
    extensions = several(report, opened.value, f"`extensions` of {what}", _extension) if opened else ()
    ceilings = mount_limits(report, found, what)
    depth = found.get("enforce")
    depths: dict[str, Literal["rewrite", "both"]] = {"rewrite": "rewrite", "both": "both"}
    enforce = choice(report, depth.value, f"`enforce` of {what}", depths) if depth else None
    if address is None:
        return None
    return Mount(
        entry.key,
        "postgres",
        address,
        resources,
        sql=switched,
        functions=callable_,
        extensions=extensions,
        plaintext=plain,
        limits=ceilings,
        enforce=enforce or "rewrite",
        position=entry.position,
    )


def _kind_is_supported(report: Report, kind: Entry | None, what: str) -> bool:
    if kind is None:
        return True  # reported as missing; the rest is read as what is most likely meant
    found = text(report, kind.value, f"`kind` of {what}")
    if found is None or found in kinds:
        return True
    hint = near(found, kinds) or "did you mean `postgres`?"
    report.error(kind.value.position, "unknown_kind", f"unknown kind {quoted(found)}", hint)
    return False


def _is_sql(kind: Entry | None) -> bool:
    return kind is not None and isinstance(kind.value, Leaf) and kind.value.text == "sql"


def _foreign(found: Block) -> set[str]:
    """Return the resources that a mount of an unsupported kind names, so that grants on them are not called unknown."""
    names: set[str] = set()
    resources, tools = found.get("resources"), found.get("tools")
    if resources and isinstance(resources.value, Block):
        names |= set(resources.value.entries)
    if tools and isinstance(tools.value, Block):
        for tool in tools.value.entries.values():
            action = tool.value.get("action") if isinstance(tool.value, Block) else None
            if action and isinstance(action.value, Leaf):
                names.add(action.value.text.partition(":")[0])
    return names


def _resources(reading: Reading, found: Block, mount_name: str, schema: str | None = "public") -> dict[str, Resource]:
    """Return the resources of a mount; `schema` is that of a bare table name (None: it must be named; empty: with its
    catalog too)."""
    entry = found.get("resources")
    inner = block(reading.report, entry.value, f"`resources` of mount {quoted(mount_name)}") if entry else None
    read: dict[str, Resource] = {}
    tables: dict[tuple[str, str], str] = {}
    for item in inner.entries.values() if inner else ():
        resource = _resource(reading, item, mount_name, schema)
        if resource is None:
            continue
        read[item.key] = resource
        other = tables.setdefault((resource.schema, resource.table), item.key)
        if other != item.key:
            message = f"table `{resource.schema}.{resource.table}` is already the resource {quoted(other)}"
            reading.report.error(item.position, "duplicate_table", message, "map a table once")
    return read


def _resource(reading: Reading, entry: Entry, mount_name: str, schema: str | None) -> Resource | None:
    report, what = reading.report, f"resource {quoted(entry.key)}"
    found = block(report, entry.value, what, resource_keys)
    good = name_is_good(report, entry.key, entry.position, "resource")
    first = reading.known.get(entry.key) or reading.tool_resources.get(entry.key)
    if first is not None:
        message = f"{what} stands twice; first in mount {quoted(first.mount)}, line {first.position.line}"
        report.error(entry.position, "duplicate_resource", message, "names are unique over all mounts")
    if found is None:
        reading.foreign.add(entry.key)
        return None
    source = required(report, found, "table", what)
    relation = table(report, source.value, f"`table` of {what}", schema) if source else None
    key, tenant = found.get("key"), found.get("tenant")
    tenant_column = column(report, tenant.value, f"`tenant` of {what}") if tenant else None
    resource = Resource(
        name=entry.key,
        mount=mount_name,
        schema=relation[0] if relation else "",
        table=relation[1] if relation else entry.key,
        key=columns(report, key.value, f"`key` of {what}") if key else (),
        tenant=tenant_column.text if tenant_column else None,
        labels=labels(report, found.get("labels"), what),
        groups=_groups(report, found.get("groups"), what),
        position=entry.position,
    )
    reading.known.setdefault(entry.key, resource)
    return resource if good else None


def _groups(report: Report, entry: Entry | None, what: str) -> dict[str, tuple[str, ...]]:
    found = block(report, entry.value, f"`groups` of {what}") if entry else None
    read: dict[str, tuple[str, ...]] = {}
    for item in found.entries.values() if found else ():
        if name_is_good(report, item.key, item.position, "group"):
            read[item.key] = columns(report, item.value, f"group {quoted(item.key)}")
    return read


def _function(report: Report, node: Node, what: str) -> str | None:
    found = text(report, node, what)
    if found is None or _FUNCTION.fullmatch(found):
        return found
    report.error(node.position, "bad_function", f"{what}: {quoted(found)} is not a function", "write `schema.name`")
    return None


def _extension(report: Report, node: Node, what: str) -> str | None:
    found = text(report, node, what)
    if found is None or found in REVIEWED:
        return found
    remedy = near(found, tuple(REVIEWED)) or "name its functions in `functions`, one by one"
    report.error(node.position, "bad_extension", f"{what}: {quoted(found)} cannot be opened as a whole", remedy)
    return None
