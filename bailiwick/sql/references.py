"""References to columns and rows: each resolved against the scope, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from postgast.pg_query_pb2 import Node

from bailiwick.sql.environment import NOTHING, Columns, Fact, Level, Replacement, Source, Walk, joined, refuse
from bailiwick.sql.results import result_columns
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.trees import PENDING


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
        node.column_ref.location = PENDING
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
                "read it by a query of its own, which people can decide on, or leave the field out",
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
    facts = source.columns.values()
    return Fact("record", joined(facts).uses, any(fact.leaky for fact in facts), source.shown)


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
        if not source.apart:
            source.read(source.columns)
    return tuple(level.starred)


def composite_star(node: Node, level: Level, walk: Walk) -> Columns:
    """Return the columns of `(expression).*` over a row of known fields; empty for anything else."""
    parts = node.a_indirection.indirection
    if len(parts) == 0 or not parts[-1].HasField("a_star"):
        return ()
    inner = node.a_indirection.arg
    if inner.HasField("func_call") and len(parts) == 1:
        known = composite(inner, walk)
        fact = joined((walk.value(inner, level, walk),), leaky=True) if known else NOTHING
        return tuple((name, fact) for name in known)
    if inner.HasField("column_ref") and _named_row(inner, level) is not None and len(parts) == 1:
        return ()
    return _fields(_selected(node, parts[:-1], level, walk), walk)


def _starred(sources: list[Source]) -> Columns:
    columns: list[tuple[str, Fact]] = []
    for source in sources:
        source.read(source.columns)
        columns += source.shown
    return tuple(columns)


def _named_row(node: Node, level: Level) -> Source | None:
    """Return the FROM item whose whole row a reference names; None when it names a column."""
    fields = node.column_ref.fields
    names = [part.string.sval for part in fields if part.HasField("string")]
    if fields[-1].HasField("a_star") and len(fields) > 1:
        return qualified_source(node, level)
    return level.find(names[0]) if len(names) == 1 and not level.having(names[0]) else None


def _row_source(node: Node, level: Level) -> Source:
    source = _named_row(node, level)
    if source is None or source.target:
        refuse("syntax_not_supported", _NO_ROW, _ROWS)
    return source


def composite(call: Node, walk: Walk) -> tuple[str, ...]:
    """Return the columns of the row that a call returns; empty when it does not return a row of known columns.

    INVARIANT: one value is never taken for a row: `(f(x)).name` would then call `name` (SQL-RULES 6)."""
    known = result_columns(call.func_call, walk)
    return known if len(known) > 1 else ()


_NO_ROW = "`(…).name` is only supported on rows whose fields are known"
_ROWS = "a table or alias of this query, a column of a composite type, a function that returns one"


def field_selection(node: Node, level: Level, walk: Walk) -> Fact:
    """Resolve `(row).name`, and what is selected of that. On anything but a row of known fields that form may call a
    function (SQL-RULES 6), so it is refused."""
    return _selected(node, node.a_indirection.indirection, level, walk)


def _selected(node: Node, parts: Sequence[Node], level: Level, walk: Walk) -> Fact:
    arg = node.a_indirection.arg
    first = parts[0].string.sval if parts and parts[0].HasField("string") else ""
    if arg.HasField("func_call") and first in composite(arg, walk):
        return _parts(joined((walk.value(arg, level, walk),), leaky=True), parts[1:], level, walk)
    if first and arg.HasField("column_ref") and _named_row(arg, level) is not None:
        source = _row_source(arg, level)
        if first not in source.columns:
            _missing(first, [source])
        source.read((first,), node)
        return _parts(source.columns[first], parts[1:], level, walk)
    return _parts(walk.value(arg, level, walk), parts, level, walk)


def _parts(fact: Fact, parts: Iterable[Node], level: Level, walk: Walk) -> Fact:
    for part in parts:
        if part.HasField("a_indices"):
            places = walk.values((part.a_indices.lidx, part.a_indices.uidx), level)
            kind = fact.type if part.a_indices.is_slice else fact.type.removesuffix("[]") if "[]" in fact.type else ""
            fact = joined((fact, *places), kind, leaky=True)
            continue
        known = dict(_fields(fact, walk))
        if not part.HasField("string") or part.string.sval not in known:
            refuse("syntax_not_supported", _NO_ROW, _ROWS)
        fact = known[part.string.sval]
    return fact


def _fields(fact: Fact, walk: Walk) -> Columns:
    """Return the fields of a value that is a row."""
    if fact.row:
        return tuple((name, joined((field, fact), field.type)) for name, field in fact.row)
    known = walk.catalogue.composites.get(fact.type, ())
    return tuple((name, Fact(kind, fact.uses, fact.leaky)) for name, kind in known)
