"""`bailiwick.lock` ↔ `Lock`: YAML in a stable order, made to be reviewed in git."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bailiwick.errors import PolicyError
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.policy.document import Block, Entry, Leaf, Listing, Node, read_document
from bailiwick.policy.expect import block, flag, required, text, wrong
from bailiwick.policy.lock_scalar import scalar_text
from bailiwick.policy.locked_extensions import extension_lines, extensions_diff, read_extensions
from bailiwick.policy.locked_tools import read_tools, tool_lines, tools_diff
from bailiwick.policy.problem import Report, quoted

_HEADER = """\
# What was accepted of each backend. What is not in here does not exist for agents.
# Written by `bailiwick accept`; review its changes like code, and keep it in git.
"""
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialised view", "f": "foreign table"}
_COLUMN_KINDS = {
    "b": "base",
    "e": "enum",
    "d": "domain",
    "c": "composite",
    "r": "range",
    "m": "multirange",
    "p": "pseudo",
}


def render_lock(lock: Lock) -> str:
    """Return the text of a lock. Equal locks render the same; columns keep the order of their table."""
    lines = [_HEADER + "bailiwick-lock: 1", "mounts:" if lock.mounts else "mounts: {}"]
    for mount in sorted(lock.mounts):
        tables = lock.mounts[mount]
        lines.append(f"  {scalar_text(mount)}:" + ("" if tables else " {}"))
        for schema, name in sorted(tables):
            lines.extend(_table(tables[(schema, name)]))
    lines.extend(extension_lines(lock))
    lines.extend(tool_lines(lock))
    return "\n".join(lines) + "\n"


def _table(table: LockedTable) -> Iterator[str]:
    yield f"    {scalar_text(f'{_identifier(table.schema)}.{_identifier(table.name)}')}:"
    yield f"      kind: {_KINDS[table.kind]}"
    if table.key:
        yield f"      key: [{', '.join(scalar_text(name) for name in table.key)}]"
    yield "      columns:" + ("" if table.columns else " {}")
    for column in table.columns:
        parts = [f"type: {scalar_text(column.type)}"]
        if column.kind != "b":
            parts.append(f"kind: {_COLUMN_KINDS[column.kind]}")
        if not column.nullable:
            parts.append("nullable: false")
        yield f"        {scalar_text(column.name)}: {{{', '.join(parts)}}}"


def _identifier(name: str) -> str:
    return name if _BARE.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def parse_lock(source: str, file: str = "bailiwick.lock") -> Lock:
    """Return the lock that a text holds. Raises PolicyError, naming the first thing that is wrong and where."""
    report = Report()
    root = read_document(file, source, report)
    if root is None and not report.problems:
        return Lock({})
    lock = _lock(report, root) if root is not None else Lock({})
    if report.problems:
        first = report.sorted()[0]
        raise PolicyError(f"{first.position}: {first.message}", remedy="restore it from git, or run `bailiwick accept`")
    return lock


def _lock(report: Report, root: Node) -> Lock:
    found = block(report, root, "the lock", ("bailiwick-lock", "mounts", "extensions", "tools"))
    if found is None:
        return Lock({})
    version, mounts = (
        required(report, found, "bailiwick-lock", "the lock"),
        required(report, found, "mounts", "the lock"),
    )
    if version and not (isinstance(version.value, Leaf) and version.value.text == "1"):
        report.error(version.position, "bad_version", "this lock was written by another version of bailiwick")
    inner = block(report, mounts.value, "`mounts`") if mounts else None
    tools = read_tools(report, found.get("tools"))
    tables = {entry.key: _mount(report, entry) for entry in inner.entries.values()} if inner else {}
    return Lock(tables, tools, read_extensions(report, found.get("extensions")))


def _mount(report: Report, entry: Entry) -> dict[tuple[str, str], LockedTable]:
    found = block(report, entry.value, f"mount {quoted(entry.key)}")
    tables: dict[tuple[str, str], LockedTable] = {}
    for item in found.entries.values() if found else ():
        table = _read_table(report, item)
        if table is not None:
            tables[(table.schema, table.name)] = table
    return tables


def _read_table(report: Report, entry: Entry) -> LockedTable | None:
    what = f"table {quoted(entry.key)}"
    found = block(report, entry.value, what, ("kind", "key", "columns"))
    name = re.fullmatch(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)', entry.key)
    if name is None:
        report.error(entry.position, "bad_table", f"{quoted(entry.key)} is not `schema.table`")
    if found is None or name is None:
        return None
    kind, columns = required(report, found, "kind", what), required(report, found, "columns", what)
    key = found.get("key")
    inner = block(report, columns.value, f"`columns` of {what}") if columns else None
    return LockedTable(
        schema=_unquoted(name[1]),
        name=_unquoted(name[2]),
        kind=_code(report, kind, _KINDS),
        columns=tuple(_column(report, item) for item in inner.entries.values()) if inner else (),
        key=tuple(_texts(report, key.value, f"`key` of {what}")) if key else (),
    )


def _texts(report: Report, node: Node, what: str) -> Iterator[str]:
    for item in node.items if isinstance(node, Listing) else (node,):
        if isinstance(item, Leaf) and isinstance(item.value, str):
            yield item.value
        else:
            wrong(report, item, what, "the names of columns")


def _column(report: Report, entry: Entry) -> LockedColumn:
    what = f"column {quoted(entry.key)}"
    found = block(report, entry.value, what, ("type", "kind", "nullable")) or Block(entry.position, {})
    kind, nullable, type_ = found.get("kind"), found.get("nullable"), required(report, found, "type", what)
    return LockedColumn(
        name=entry.key,
        type=(text(report, type_.value, f"`type` of {what}") or "") if type_ else "",
        kind=_code(report, kind, _COLUMN_KINDS) if kind else "b",
        nullable=flag(report, nullable.value, f"`nullable` of {what}") is not False if nullable else True,
    )


def _code(report: Report, entry: Entry | None, words: dict[str, str]) -> str:
    """Return the catalogue's letter for a word."""
    found = entry.value.text if entry and isinstance(entry.value, Leaf) else ""
    for code, word in words.items():
        if word == found:
            return code
    if entry:
        report.error(entry.position, "unknown_value", f"unknown kind {quoted(found)}")
    return ""


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def lock_diff(old: Lock, new: Lock) -> list[str]:
    """Return in words what differs, one line a change, in a stable order; empty when nothing does."""
    lines: list[str] = []
    for mount in sorted({*old.mounts, *new.mounts}):
        before, after = old.mounts.get(mount, {}), new.mounts.get(mount, {})
        for key in sorted({*before, *after}):
            was, now = before.get(key), after.get(key)
            where = f"{mount}: {key[0]}.{key[1]}"
            if was is None and now is not None:
                names = ", ".join(column.name for column in now.columns)
                lines.append(f"{where}: new {_KINDS[now.kind]} with {len(now.columns)} columns: {names}")
            elif now is None:
                lines.append(f"{where}: gone")
            elif was is not None:
                lines.extend(f"{where}: {change}" for change in _changes(was, now))
    return [*lines, *extensions_diff(old, new), *tools_diff(old, new)]


def _changes(was: LockedTable, now: LockedTable) -> Iterator[str]:
    if was.kind != now.kind:
        yield f"was a {_KINDS[was.kind]}, is a {_KINDS[now.kind]}"
    if was.key != now.key:
        yield f"key was ({', '.join(was.key)}), is ({', '.join(now.key)})"
    for column in now.columns:
        before = was.column(column.name)
        if before is None:
            yield f"new column {column.name} {column.type}"
            continue
        if (before.type, before.kind) != (column.type, column.kind):
            yield f"column {column.name} was {before.type}, is {column.type}"
        if before.nullable != column.nullable:
            yield f"column {column.name} " + ("may now be NULL" if column.nullable else "may no longer be NULL")
    for column in was.columns:
        if now.column(column.name) is None:
            yield f"column {column.name} is gone"
