"""GROUP BY: its keys, and the other columns that a primary key implies.

A scoped sub-query has no primary key, so `GROUP BY key` no longer implies the other columns of the relation
(SQL-RULES 11): those that are referred to are named too, or, where their type cannot be compared, aggregated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, SelectStmt

from bailiwick.sql.environment import Level, Source, Walk, refuse
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.templates import put
from bailiwick.sql.trees import copied

_UNCOMPARED = frozenset({"json", "xml", "point", "lseg", "path", "box", "polygon", "line", "circle", "jsonpath"})
"""Types that cannot be grouped by."""


def bare_name(node: Node) -> str | None:
    """Return the name of an unqualified column reference."""
    if node.HasField("column_ref") and len(node.column_ref.fields) == 1:
        return node.column_ref.fields[0].string.sval or None
    return None


def is_position(node: Node) -> bool:
    """Whether a key of ORDER BY or GROUP BY is the number of an output column."""
    return node.HasField("a_const") and node.a_const.HasField("ival")


def group_item(node: Node, level: Level, outputs: set[str], walk: Walk) -> None:
    """Walk a grouping key: a position, an input column, else an output name (SQL-RULES 12)."""
    parts = node.grouping_set.content if node.HasField("grouping_set") else node.row_expr.args
    if node.HasField("grouping_set") or node.HasField("row_expr"):
        for item in parts:
            group_item(item, level, outputs, walk)
        return
    name = bare_name(node)
    if is_position(node):
        return
    if name is not None and name in outputs and not level.having(name):
        _refuse_hidden_name(name, level)
        return
    walk.value(node, level, walk)


def _refuse_hidden_name(name: str, level: Level) -> None:
    # Without a scope this name would be the input column; grouping by the output column instead would change the
    # statement's meaning silently.
    for source in level.sources:
        relation = source.use.relation if source.use is not None else None
        if isinstance(relation, ScopedRelation) and relation.relation.column(name) is not None:
            refuse(
                "field_not_granted",
                f"column `{name}` is not in the scope of this session",
                "group by the position or the expression of the output column",
            )


def keyed(level: Level) -> list[Source]:
    """Return the relations of FROM whose columns their key implies, if the query groups by it."""
    found: list[Source] = []
    for source in level.sources:
        relation = source.use.relation if source.use is not None else None
        if isinstance(relation, ScopedRelation) and relation.relation.key:
            shown = [relation.columns.get(name) for name in relation.relation.key]
            if all(column is not None and column.clear for column in shown):
                found.append(source)
    return found


def write_out_stars(select: SelectStmt, sources: Sequence[Source], level: Level) -> None:
    """Name the columns of `alias.*` (or of `*` over one relation) where some of them must be aggregated."""
    targets: list[Node] = []
    for item in select.target_list:
        fields = item.res_target.val.column_ref.fields
        starred = len(fields) > 0 and fields[-1].HasField("a_star")
        source = None
        if starred:
            source = level.find(fields[-2].string.sval) if len(fields) > 1 else level.sources[0]
        alone = len(fields) > 1 or len(level.sources) == 1
        if source is None or not alone or source not in sources or not any(map(_is_uncompared, source.columns.items())):
            targets.append(copied(item))
        else:
            targets += [_target(source, name) for name in source.columns]
    del select.target_list[:]
    select.target_list.extend(targets)


def _is_uncompared(column: tuple[str, object]) -> bool:
    kind: str = getattr(column[1], "type", "")
    return kind.removesuffix("[]") in _UNCOMPARED


def _target(source: Source, name: str) -> Node:
    node = Node()
    node.res_target.name = name
    _refer(node.res_target.val, source, name)
    return node


def _refer(node: Node, source: Source, name: str) -> None:
    node.column_ref.fields.add().string.sval = source.alias
    node.column_ref.fields.add().string.sval = name


def extend(select: SelectStmt, sources: Sequence[Source], level: Level, walk: Walk) -> None:
    """Add what the keys imply. `Source.late` holds the references that were made after grouping."""
    mentioned: set[tuple[int, str]] = set()
    common = _union(_common(item, select, level, mentioned) for item in select.group_clause)
    for source in sources:
        late, source.late = source.late or [], None
        key = _key(source)
        if not key <= common:
            continue
        walk.by_value = True  # what a position stands for
        added: set[str] = set()
        for node, name in late:
            if (id(source), name) in mentioned or name in added:
                continue
            if node is not None and _is_uncompared((name, source.columns[name])):
                put(node, "(pg_catalog.array_agg($1))[1]", (node,), walk)
                continue
            added.add(name)
        for name in sorted(added):
            _refer(select.group_clause.add(), source, name)
    outputs = _union(_columns(item.res_target.val, select, level) for item in select.target_list)
    walk.by_value = walk.by_value or any(_key(source) & outputs for source in sources)


def _key(source: Source) -> set[tuple[int, str]]:
    """Return the key's columns by their names here; never empty."""
    relation = source.use.relation if source.use is not None else None
    key = relation.relation.key if isinstance(relation, ScopedRelation) else ()
    return {(id(source), name) for name in source.columns if source.real(name) in key}


def _union(sets: Iterable[set[tuple[int, str]]]) -> set[tuple[int, str]]:
    return set[tuple[int, str]]().union(*sets)


def _common(node: Node, select: SelectStmt, level: Level, mentioned: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return the columns by which every grouping set of an item groups; `mentioned` gets those of any."""

    def inner(item: Node) -> set[tuple[int, str]]:
        return _common(item, select, level, mentioned)

    if node.HasField("row_expr"):
        return _union(map(inner, node.row_expr.args))
    if node.HasField("list"):
        return _union(map(inner, node.list.items))
    if node.HasField("grouping_set"):
        sets = [inner(item) for item in node.grouping_set.content]
        if node.grouping_set.kind == pb.GROUPING_SET_SIMPLE:
            return _union(sets)
        every = node.grouping_set.kind == pb.GROUPING_SET_SETS and sets
        return set[tuple[int, str]].intersection(*sets) if every else set()
    if is_position(node):
        node = _output(select, node.a_const.ival.ival)
    found = _columns(node, select, level)
    mentioned |= found
    return found


def _output(select: SelectStmt, position: int) -> Node:
    """Return an output column's expression; an empty node where a `*` stands before it."""
    before = [item.res_target.val for item in select.target_list[: max(position, 0)]]
    starred = any(len(val.column_ref.fields) and val.column_ref.fields[-1].HasField("a_star") for val in before)
    return Node() if starred or not 1 <= position <= len(before) or is_position(before[-1]) else before[-1]


def _columns(node: Node, select: SelectStmt, level: Level) -> set[tuple[int, str]]:
    """Return the column that a key is: an input column, or an output column of that name."""
    name = bare_name(node)
    if name is not None:
        own = [source for source in level.sources if name in source.columns]
        outputs = [item.res_target.val for item in select.target_list if item.res_target.name == name]
        if own or not outputs or bare_name(outputs[0]) == name:
            return {(id(source), name) for source in own}
        return _columns(outputs[0], select, level)
    fields = node.column_ref.fields
    source = level.find(fields[-2].string.sval) if len(fields) > 1 else None
    if source is None or source not in level.sources or fields[-1].string.sval not in source.columns:
        return set()
    return {(id(source), fields[-1].string.sval)}
