"""What stands in FROM and makes rows: functions, JSON_TABLE, XMLTABLE. Each sees the items before it (LATERAL)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, RangeFunction

from bailiwick.sql import json_calls
from bailiwick.sql.casts import type_name
from bailiwick.sql.environment import Columns, Fact, Level, Source, Walk, joined, refuse, renamed, source_of_columns
from bailiwick.sql.expressions import expression, fence
from bailiwick.sql.results import LEXEMES, TSVECTOR, result_columns


def function(item: RangeFunction, level: Level, walk: Walk) -> Source:
    """Walk functions in FROM."""
    columns: list[tuple[str, Fact]] = []
    single = len(item.functions) == 1
    for entry in item.functions:
        call, defined = entry.list.items[0], entry.list.items[1]
        columns += _function_columns(call, [*defined.list.items, *item.coldeflist], item, single, level, walk)
    if item.ordinality:
        columns.append(("ordinality", Fact("bigint")))
    alias = item.alias.aliasname or (_bare_name(item.functions[0].list.items[0]) if single else "")
    pairs = renamed(tuple(columns), item.alias)
    if not _is_defined(item):
        # Say the columns that we resolved by, so that no reference can mean another column or a function call.
        item.alias.aliasname = alias or "bw_function"
        del item.alias.colnames[:]
        for name, _ in pairs:
            item.alias.colnames.add().string.sval = name
    source = source_of_columns(alias, pairs)
    source.scalar = single and len(pairs) == 1 and not item.ordinality and not _is_defined(item)
    return source


def _is_defined(item: RangeFunction) -> bool:
    """Whether the statement itself says the columns of the result."""
    return bool(item.coldeflist) or any(entry.list.items[1].list.items for entry in item.functions)


def _bare_name(call: Node) -> str:
    return call.func_call.funcname[-1].string.sval if call.HasField("func_call") else "value"


def _function_columns(
    call: Node, defined: Sequence[Node], item: RangeFunction, single: bool, level: Level, walk: Walk
) -> Columns:
    name = _bare_name(call)
    known = result_columns(call.func_call, walk) if call.HasField("func_call") else ()
    arguments = len(call.func_call.args)
    fact = expression(call, level.inner(), walk)
    fence(fact)
    if defined:
        for column in defined:
            type_name(column.column_def.type_name, walk)
        return tuple((column.column_def.colname, fact) for column in defined)
    if name == "unnest" and arguments > 1:
        return tuple((name, fact) for _ in range(arguments))
    if name == "unnest" and fact.type == LEXEMES:
        known = TSVECTOR
    row = walk.catalogue.composites.get(fact.type, ())
    if row and not known:
        return tuple((field, Fact(kind, fact.uses, fact.leaky)) for field, kind in row)
    if known:  # even a single OUT parameter names its column, whatever the alias
        return tuple((out, fact) for out in known)
    return ((item.alias.aliasname if single and item.alias.aliasname else name, fact),)


def json_table(table: pb.JsonTable, level: Level, walk: Walk) -> Source:
    """Walk JSON_TABLE."""
    table.lateral = False  # a noise word, which the deparser forgets
    inside = level.inner()
    facts = [*json_calls.context(table, inside, walk), *walk.values((table.pathspec.string,), inside)]
    facts += walk.values((table.on_error.expr,), inside)
    columns = list(_json_columns(table.columns, facts, inside, walk))
    whole = joined(facts, leaky=True)
    fence(whole)
    pairs = renamed(tuple((name, Fact(kind, whole.uses, whole.leaky)) for name, kind in columns), table.alias)
    return source_of_columns(table.alias.aliasname or "json_table", pairs)


def _json_columns(nodes: Iterable[Node], facts: list[Fact], level: Level, walk: Walk) -> list[tuple[str, str]]:
    """Return names and types in the server's order: the columns of a NESTED PATH come behind those around it."""
    own: list[tuple[str, str]] = []
    nested: list[tuple[str, str]] = []
    for node in nodes:
        column = node.json_table_column
        facts += walk.values((column.pathspec.string,), level)
        if column.coltype == pb.JTC_NESTED:
            walk.deeper()
            nested += _json_columns(column.columns, facts, level, walk)
            walk.depth -= 1
            continue
        facts += json_calls.behaviour(column, level, walk)
        ordinal = column.coltype == pb.JTC_FOR_ORDINALITY
        own.append((column.name, "integer" if ordinal else type_name(column.type_name, walk)))
    return own + nested


def xml_table(table: pb.RangeTableFunc, level: Level, walk: Walk) -> Source:
    """Walk XMLTABLE."""
    inside = level.inner()
    facts = walk.values((table.docexpr, table.rowexpr), inside)
    facts += walk.values((space.res_target.val for space in table.namespaces), inside)
    columns: list[tuple[str, str]] = []
    for node in table.columns:
        column = node.range_table_func_col
        facts += walk.values((column.colexpr, column.coldefexpr), inside)
        columns.append((column.colname, "integer" if column.for_ordinality else type_name(column.type_name, walk)))
    if len(columns) == 0:
        refuse("syntax_not_supported", "XMLTABLE without columns is not supported")
    whole = joined(facts, leaky=True)
    fence(whole)
    pairs = renamed(tuple((name, Fact(kind, whole.uses, whole.leaky)) for name, kind in columns), table.alias)
    return source_of_columns(table.alias.aliasname or "xmltable", pairs)
