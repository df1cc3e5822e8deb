"""References to columns and rows: each resolved against the scope, or refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from postgast.pg_query_pb2 import Node

from bailiwick.sql.environment import NOTHING, Columns, Fact, Level, Replacement, Source, Walk, joined, refuse
from bailiwick.sql.results import result_columns
from bailiwick.sql.scoped import ScopedRelation


def column(node: Node, level: Level, walk: Walk) -> Fact:
    """Resolve a column reference that stands where a value is expected."""
    fields = node.column_ref.fields
    if fields[-1].HasField("a_star"):
        return _row(node, level, walk)
    names = [part.string.sval for part in fields]
    if len(names) == 1:
        return _unqualified(node, names[0], level, walk)
    source = qualified_source(node, level)
    name = names[-1]
    if name not in source.columns:
        _missing(name, [source])
    return _found(node, source, name, walk)


def qualified_source(node: Node, level: Level) -> Source:
    """Return the FROM item that `alias.x` or `schema.relation.x` refers to, and strip the schema from the reference."""
    fields = node.column_ref.fields
    names = [part.string.sval for part in fields if part.HasField("string")]
    qualifier = names[: len(fields) - 1]
    source = level.find(qualifier[-1])
    if source is None or len(qualifier) > 2 or (len(qualifier) == 2 and source.schema != qualifier[0]):
        refuse("resource_unknown", f"`{'.'.join(qualifier)}` is not a table or alias of this query")
    if len(qualifier) == 2:
        del fields[0]
    return source


def _unqualified(node: Node, name: str, level: Level, walk: Walk) -> Fact:
    sources = level.having(name)
    if sources:
        facts = [_found(node, source, name, walk) for source in sources]
        return facts[0] if len(facts) == 1 else joined(facts, facts[0].type)
    source = level.find(name)
    if source is not None:
        return whole(source)
    _missing(name, _all_sources(level))


def _all_sources(level: Level | None) -> list[Source]:
    found: list[Source] = []
    while level is not None:
        found += level.sources
        level = level.outer
    return found


def _found(node: Node, source: Source, name: str, walk: Walk) -> Fact:
    source.read((name,), node)
    if source.use is not None and source.target:
        walk.replacements.append(Replacement(node, source, name))
    return source.columns[name]


def _missing(name: str, sources: Iterable[Source]) -> NoReturn:
    """Deny a name that means nothing here. A hidden column and one that does not exist are the same to the agent."""
    scoped = [source.use.relation for source in sources if source.use is not None]
    relations = [relation for relation in scoped if isinstance(relation, ScopedRelation)]
    for relation in relations:
        if relation.is_held(name):
            resource = relation.resource.name
            refuse(
                "needs_approval",
                f"reading `{name}` of `{resource}` needs an approval",
                f"`{resource}`: {', '.join(relation.columns)}",
                "ask a person to approve it, or leave the field out",
                f"{resource}:read:{name}",
            )
    allowed = "; ".join(f"`{relation.resource.name}`: {', '.join(relation.columns)}" for relation in relations)
    action = f"{relations[0].resource.name}:read:{name}" if len(relations) == 1 else ""
    refuse("field_not_granted", f"column `{name}` is not in the scope of this session", allowed, "", action)


def whole(source: Source) -> Fact:
    """Return the fact of a whole row of a FROM item, and count all its columns as read."""
    if source.target:
        refuse("syntax_not_supported", f"the whole row `{source.alias}` cannot be used here", "name its columns")
    source.read(source.columns)
    if source.scalar:
        return next(iter(source.columns.values()))
    return Fact("record", joined(source.columns.values()).uses, any(fact.leaky for fact in source.columns.values()))


def _row(node: Node, level: Level, walk: Walk) -> Fact:  # noqa: ARG001  # the signature of handlers
    if len(node.column_ref.fields) == 1:
        refuse("syntax_not_supported", "`*` cannot be used here", "name the columns")
    return whole(qualified_source(node, level))


def star(node: Node, level: Level) -> Columns | None:
    """Return the columns that `*` or `alias.*` of a select list stands for; None for anything else."""
    if node.HasField("a_indirection"):
        parts = node.a_indirection.indirection
        inner = node.a_indirection.arg
        if len(parts) != 1 or not parts[0].HasField("a_star") or not inner.HasField("column_ref"):
            return None
        return _starred([_row_source(inner, level)])
    if not node.HasField("column_ref") or not node.column_ref.fields[-1].HasField("a_star"):
        return None
    if len(node.column_ref.fields) > 1:
        return _starred([qualified_source(node, level)])
    for source in level.sources:
        source.read(source.columns)
    return tuple(level.starred)


def composite_star(node: Node, level: Level, walk: Walk) -> Columns:
    """Return the columns of `(f(x)).*`; empty for anything else."""
    parts, call = node.a_indirection.indirection, node.a_indirection.arg
    if len(parts) != 1 or not parts[0].HasField("a_star") or not call.HasField("func_call"):
        return ()
    known = composite(call, walk)
    fact = joined((walk.value(call, level, walk),), leaky=True) if known else NOTHING
    return tuple((name, fact) for name in known)


def _starred(sources: list[Source]) -> Columns:
    columns: list[tuple[str, Fact]] = []
    for source in sources:
        source.read(source.columns)
        columns += source.shown
    return tuple(columns)


def _row_source(node: Node, level: Level) -> Source:
    """Return the FROM item whose whole row a reference names."""
    fields = node.column_ref.fields
    names = [part.string.sval for part in fields if part.HasField("string")]
    if fields[-1].HasField("a_star") and len(fields) > 1:
        source = qualified_source(node, level)
    else:
        source = level.find(names[0]) if len(names) == 1 and not level.having(names[0]) else None
    if source is None or source.target:
        refuse("syntax_not_supported", "`(…).name` is only supported on a table or alias of this query")
    return source


def composite(call: Node, walk: Walk) -> tuple[str, ...]:
    """Return the columns of the row that a call returns; empty when it does not return a row of known columns.

    INVARIANT: one value is never taken for a row: `(f(x)).name` would then call `name` (SQL-RULES 6)."""
    known = result_columns(call.func_call, walk)
    return known if len(known) > 1 else ()


def field_selection(node: Node, level: Level, walk: Walk) -> Fact:
    """Resolve `(alias).name`. On anything else that form may call a function (SQL-RULES 6), so it is refused."""
    parts = node.a_indirection.indirection
    arg = node.a_indirection.arg
    if len(parts) != 1 or not parts[0].HasField("string"):
        refuse("syntax_not_supported", "this way to select a field is not supported")
    name = parts[0].string.sval
    if arg.HasField("func_call"):
        known = composite(arg, walk)
        if name in known:
            return joined((walk.value(arg, level, walk),), leaky=True)
    if not arg.HasField("column_ref"):
        refuse("syntax_not_supported", "`(…).name` is only supported on a table or alias of this query")
    source = _row_source(arg, level)
    if name not in source.columns:
        _missing(name, [source])
    source.read((name,), node)
    return source.columns[name]
