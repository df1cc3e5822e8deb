"""SQL/JSON: constructors, aggregates and query functions. Paths and values are expressions like any other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

from bailiwick.sql.calls import check_sort, window
from bailiwick.sql.casts import type_name
from bailiwick.sql.environment import NOTHING, Fact, Level, Walk, joined, not_late, refuse


def _value(value: pb.JsonValueExpr, level: Level, walk: Walk) -> Fact:
    return walk.value(value.raw_expr, level, walk)


def _returning(output: pb.JsonOutput, walk: Walk) -> str:
    """Check `RETURNING type`; empty when there is none."""
    return type_name(output.type_name, walk) if output.HasField("type_name") else ""


def _passed(nodes: Iterable[Node], level: Level, walk: Walk) -> list[Fact]:
    return [_value(node.json_argument.val, level, walk) for node in nodes]


def behaviour(owner: pb.JsonFuncExpr | pb.JsonTableColumn, level: Level, walk: Walk) -> list[Fact]:
    """Walk the expressions of `DEFAULT … ON EMPTY` and `DEFAULT … ON ERROR`."""
    return walk.values((owner.on_empty.expr, owner.on_error.expr), level)


def context(owner: pb.JsonFuncExpr | pb.JsonTable, level: Level, walk: Walk) -> list[Fact]:
    """Walk the document and what is passed to its path."""
    return [_value(owner.context_item, level, walk), *_passed(owner.passing, level, walk)]


def json_function(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk JSON_VALUE, JSON_QUERY and JSON_EXISTS."""
    call = node.json_func_expr
    if call.op not in (pb.JSON_VALUE_OP, pb.JSON_QUERY_OP, pb.JSON_EXISTS_OP):
        refuse("syntax_not_supported", "this SQL/JSON function is not supported")
    kind = _returning(call.output, walk)
    facts = [*context(call, level, walk), *walk.values((call.pathspec,), level), *behaviour(call, level, walk)]
    return joined(facts, "boolean" if call.op == pb.JSON_EXISTS_OP else kind, leaky=True)


def json_parse(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON(…)`."""
    _returning(node.json_parse_expr.output, walk)
    return joined((_value(node.json_parse_expr.expr, level, walk),), "json", leaky=True)


def json_scalar(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_SCALAR(…)`."""
    _returning(node.json_scalar_expr.output, walk)
    return joined((walk.value(node.json_scalar_expr.expr, level, walk),), "json", leaky=True)


def json_serialize(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_SERIALIZE(…)`."""
    kind = _returning(node.json_serialize_expr.output, walk)
    return joined((_value(node.json_serialize_expr.expr, level, walk),), kind or "text", leaky=True)


def json_object(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_OBJECT(…)`."""
    made = node.json_object_constructor
    _returning(made.output, walk)
    facts: list[Fact] = []
    for item in made.exprs:
        facts.append(walk.value(item.json_key_value.key, level, walk))
        facts.append(_value(item.json_key_value.value, level, walk))
    return joined(facts, leaky=True)


def json_array(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_ARRAY(value, …)`."""
    made = node.json_array_constructor
    _returning(made.output, walk)
    return joined([_value(item.json_value_expr, level, walk) for item in made.exprs], leaky=True)


def json_array_query(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_ARRAY(query)`: a sub-query whose rows become one value."""
    made = node.json_array_query_constructor
    _returning(made.output, walk)
    if not made.query.HasField("select_stmt"):
        refuse("syntax_not_supported", "only a query can be a sub-query")
    select = made.query.select_stmt
    columns, around = walk.correlated(lambda: walk.query(select, level.inner(), walk))
    inner = joined(fact for _, fact in columns)
    return Fact("", inner.uses | around, inner.leaky or bool(inner.uses) or bool(around))


def _aggregate(made: pb.JsonAggConstructor, arguments: Sequence[Node], level: Level, walk: Walk) -> Fact:
    _returning(made.output, walk)
    before = not_late(level) if not made.HasField("over") else nullcontext()
    with before:
        values = walk.values(arguments, level)
        walk.values((made.agg_filter, *(item.sort_by.node for item in made.agg_order)), level)
    check_sort(made.agg_order)
    if made.HasField("over"):
        window(made.over, level, walk)
    walk.leaks = walk.leaks.union(*(fact.uses for fact in values))
    return NOTHING  # computed after every filter; see `calls`


def json_object_agg(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_OBJECTAGG(…)`."""
    made = node.json_object_agg
    return _aggregate(made.constructor, (made.arg.key, made.arg.value.raw_expr), level, walk)


def json_array_agg(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `JSON_ARRAYAGG(…)`."""
    made = node.json_array_agg
    return _aggregate(made.constructor, (made.arg.raw_expr,), level, walk)


def json_is(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk `… IS JSON`."""
    return joined((walk.value(node.json_is_predicate.expr, level, walk),), "boolean", leaky=True)
