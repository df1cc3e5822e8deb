"""What was accepted of the extensions of databases, in `bailiwick.lock`: names and types, as the catalogue prints them.

The gateway itself reads them from the database. These are for what has none at hand: explaining, and compiling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bailiwick.model.lock import Lock, LockedExtensions
from bailiwick.policy.document import Entry, Leaf, Listing, Node
from bailiwick.policy.expect import block, text, wrong
from bailiwick.policy.lock_scalar import scalar_text
from bailiwick.policy.problem import Report, quoted

_NOTHING = LockedExtensions()
_SEVERAL = "unknown"
"""Stands for the result of a function whose overloads differ in it; no function gives PostgreSQL's `unknown`."""


def extension_lines(lock: Lock) -> Iterator[str]:
    """Yield the lines of what extensions bring; none when nothing is opened."""
    mounts = {name: found for name, found in sorted(lock.extensions.items()) if found != _NOTHING}
    if mounts:
        yield "extensions:"
    for mount, found in mounts.items():
        yield f"  {scalar_text(mount)}:"
        if found.types:
            yield f"    types: [{', '.join(scalar_text(name) for name in sorted(found.types))}]"
        if found.functions:
            yield "    functions:"
            yield from (
                f"      {scalar_text(name)}: {scalar_text(result or _SEVERAL)}"
                for name, result in sorted(found.functions.items())
            )
        if found.rows:
            yield "    rows:"
            yield from (
                f"      {scalar_text(name)}: [{', '.join(map(scalar_text, columns))}]"
                for name, columns in sorted(found.rows.items())
            )
        if found.operators:
            yield "    operators:"
            yield from (
                f"      - [{', '.join(scalar_text(part) for part in each)}]" for each in sorted(found.operators)
            )


def read_extensions(report: Report, entry: Entry | None) -> dict[str, LockedExtensions]:
    """Return mount → what its opened extensions bring."""
    mounts = block(report, entry.value, "`extensions`") if entry else None
    return {each.key: _read(report, each) for each in mounts.entries.values()} if mounts else {}


def _read(report: Report, entry: Entry) -> LockedExtensions:
    what = f"the extensions of mount {quoted(entry.key)}"
    found = block(report, entry.value, what, ("types", "functions", "rows", "operators"))
    if found is None:
        return _NOTHING
    types, functions, operators = found.get("types"), found.get("functions"), found.get("operators")
    results = block(report, functions.value, f"`functions` of {what}") if functions else None
    rows = found.get("rows")
    returned = block(report, rows.value, f"`rows` of {what}") if rows else None
    listed = _items(report, operators.value, what) if operators else ()
    told = {
        name: text(report, each.value, f"the result of {quoted(name)}") or _SEVERAL
        for name, each in (results.entries.items() if results else ())
    }
    return LockedExtensions(
        {name: "" if result == _SEVERAL else result for name, result in told.items()},
        frozenset(each for each in (_operator(report, node, what) for node in listed) if each is not None),
        frozenset(_words(report, types.value, what)) if types else frozenset(),
        {
            name: tuple(_words(report, each.value, what))
            for name, each in (returned.entries.items() if returned else ())
        },
    )


def _operator(report: Report, node: Node, what: str) -> tuple[str, str, str, str, str] | None:
    words = _words(report, node, what)
    if len(words) == 5:
        return words[0], words[1], words[2], words[3], words[4]
    wrong(report, node, what, "operators: schema, name, left and right type, result")
    return None


def _items(report: Report, node: Node, what: str) -> Sequence[Node]:
    if isinstance(node, Listing):
        return node.items
    wrong(report, node, what, "lists")
    return ()


def _words(report: Report, node: Node, what: str) -> list[str]:
    found = [
        item.value for item in _items(report, node, what) if isinstance(item, Leaf) and isinstance(item.value, str)
    ]
    if len(found) < len(_items(report, node, what)):
        wrong(report, node, what, "names")
    return found


def extensions_diff(old: Lock, new: Lock) -> Iterator[str]:
    """Yield in words what differs between what extensions bring, one line a name."""
    for mount in sorted({*old.extensions, *new.extensions}):
        before, after = (set(_told(each.extensions.get(mount, _NOTHING))) for each in (old, new))
        yield from (f"{mount}: new {each}" for each in sorted(after - before))
        yield from (f"{mount}: {each} is gone" for each in sorted(before - after))


def _told(found: LockedExtensions) -> Iterator[str]:
    """Yield in words what extensions bring; of operators one line for each schema and name."""
    yield from (f"type {name} of an extension" for name in found.types)
    for name, result in found.functions.items():
        gives = result or ", ".join(found.rows.get(name, ()))
        yield f"function {name} of an extension" + (f", which gives {gives}" if gives else "")
    for schema, name, left, right, result in found.operators:
        yield f"operator {schema}.{name} of an extension ({left}, {right}: {result})"
