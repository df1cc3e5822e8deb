"""RETURNING: the row that was written as the scope shows it, also as it was before (`old`, PostgreSQL 18)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, ReturningClause

from bailiwick.sql.checks import AFTER, BEFORE, name_rows
from bailiwick.sql.environment import Columns, Level, Source, Use, Walk, refuse
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.queries import target_list
from bailiwick.sql.quote import ident
from bailiwick.sql.references import star
from bailiwick.sql.trees import copied
from bailiwick.sql.written import PG18, Write, since

Item = tuple[str, Node]
"""A name and the reference that has this value."""


def returning(clause: ReturningClause, write: Write, level: Level, walk: Walk, others: Sequence[Node] = ()) -> Columns:
    """Walk RETURNING and return its columns. `others` are the FROM items beside the target."""
    if not clause.exprs:
        return ()
    names = _names_of_rows(clause, walk)
    write.returns = True
    if since(walk, PG18):
        _make_rows_known(names, write, level)
    items: list[Node] = []
    for item in clause.exprs:
        if not item.res_target.val.HasField("column_ref") or star(item.res_target.val, level) is None:
            items.append(copied(item))
        else:
            items += [_named(name, value) for name, value in _starred(item, write, level, others)]
    del clause.exprs[:]
    clause.exprs.extend(items)
    columns = target_list(clause.exprs, level, walk)
    name_rows(clause, *(use.alias for use in write.others if use.fields))
    return columns


def _names_of_rows(clause: ReturningClause, walk: Walk) -> dict[str, str]:
    """Return what the agent calls the rows before and after the change: alias → our own name."""
    if clause.options and not since(walk, PG18):
        refuse("syntax_not_supported", "RETURNING WITH is not supported by this server", "RETURNING without WITH")
    names = {BEFORE: "old", AFTER: "new"}
    for option in clause.options:
        kind = option.returning_option.option
        names[BEFORE if kind == pb.RETURNING_OPTION_OLD else AFTER] = option.returning_option.value
    del clause.options[:]
    return {alias: name for name, alias in names.items()}


def _make_rows_known(names: dict[str, str], write: Write, level: Level) -> None:
    """Let `old.x` and `new.x` be referred to, unless something else has that name."""
    taken = {source.alias for source in level.sources}
    (facts,) = [source.columns for source in level.sources if source.use is write.use]
    for alias, name in names.items():
        if alias not in taken:
            use = Use(write.node, name, write.target)
            write.others.append(use)
            level.sources.append(Source(alias, facts, use, target=True, apart=True))


def _named(name: str, value: Node) -> Node:
    node = Node()
    node.res_target.name = name
    node.res_target.val.CopyFrom(value)
    return node


def _starred(item: Node, write: Write, level: Level, others: Sequence[Node]) -> list[Item]:
    """Write a `*` out: the real relation has more columns than the scope."""
    fields = item.res_target.val.column_ref.fields
    if len(fields) > 1:
        source = level.find(fields[-2].string.sval)
        return list(_columns_of(source)) if source is not None else []
    target = [each for each in level.sources if each.use is write.use]
    beside = [column for other in others for column in _items(other, level)]
    own = [column for source in target for column in _columns_of(source)]
    return [*beside, *own] if write.tag == "MERGE" else [*own, *beside]


def _columns_of(source: Source) -> Iterator[Item]:
    for name, _ in source.shown:
        yield name, parsed(f"{ident(source.alias)}.{ident(name)}")


def _items(item: Node, level: Level) -> list[Item]:
    """Return what `*` shows of a FROM item, in the server's order: the shared columns of a join first, and once."""
    if not item.HasField("join_expr"):
        source = level.find(_alias(item))
        return [] if source is None else list(_columns_of(source))
    join = item.join_expr
    if join.HasField("alias"):
        source = level.find(join.alias.aliasname)
        return [] if source is None else list(_columns_of(source))
    left, right = _items(join.larg, level), _items(join.rarg, level)
    shared = [part.string.sval for part in join.using_clause]
    if join.is_natural:
        known = {name for name, _ in right}
        shared = list(dict.fromkeys(name for name, _ in left if name in known))
    merged = [(name, _merged(name, join.jointype, left, right)) for name in dict.fromkeys(shared)]
    return [*merged, *((name, value) for name, value in (*left, *right) if name not in shared)]


def _merged(name: str, kind: int, left: Sequence[Item], right: Sequence[Item]) -> Node:
    values = [dict(left)[name], dict(right)[name]]
    if kind == pb.JOIN_FULL:
        both = Node()
        both.coalesce_expr.args.extend(values)
        return both
    return values[kind == pb.JOIN_RIGHT]


def _alias(item: Node) -> str:
    kind = item.WhichOneof("node")
    found = ""
    match kind:
        case "range_var":
            found = item.range_var.alias.aliasname or item.range_var.relname
        case "range_subselect":
            found = item.range_subselect.alias.aliasname
        case "range_function":
            found = item.range_function.alias.aliasname
        case "json_table":
            found = item.json_table.alias.aliasname or "json_table"
        case "range_table_func":
            found = item.range_table_func.alias.aliasname or "xmltable"
        case _:
            pass
    if not found:
        refuse("syntax_not_supported", "`*` in RETURNING needs a name for every FROM item", "an alias for each of them")
    return found
