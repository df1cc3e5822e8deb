"""Literals as parameters: so that texts which differ in their literals only are one statement for the server, too.

Only where a literal stands that means the same as a parameter: an integer (its type is `integer` either way) that a
column is compared with in WHERE, or the limit of the whole. Elsewhere its place may have a meaning of its own (ORDER
BY 1), or it is compared with another one (GROUP BY). Proven by the parser: with the literals back in these places the
tree is the one of the statement.
"""

from __future__ import annotations

import re

import postgast
from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, SelectStmt

from bailiwick.sql.literals import Form, number_of
from bailiwick.sql.parser import same_tree
from bailiwick.sql.plan import Plan

_COMPARISONS = [["="], ["<>"], ["<"], ["<="], [">"], [">="]]
_LIKELY = re.compile(r"[=<>] $|LIMIT $")
"""How what stands before such a literal ends: most texts need no more than this look."""


def with_parameters(plan: Plan, made: Form, literals: int) -> str:
    """Return the SQL of a plan that was made with stand-ins, with a parameter in the place of each: `$n` behind those
    that the plan has. Empty when that could mean something else."""
    plain = plan.kind == "READ" and not (plan.copy or plan.checked or plan.groupings or plan.locks)
    if not plain or plan.first != 1 or not all(_LIKELY.search(text) for text in made.texts[:-1]):
        return ""
    first = plan.first + len(plan.bound)
    sql = made.fill([f"${first + place}" for place in range(literals)])
    tree = postgast.parse(sql)
    select = tree.stmts[0].stmt.select_stmt
    _put_back(select.limit_count, first)
    _conditions(select, first)
    return sql if same_tree(tree, plan.sql) else ""


def _conditions(select: SelectStmt, first: int) -> None:
    """Put the literals back into the conditions of a query and of the queries that it reads from."""
    _condition(select.where_clause, first)
    for source in select.from_clause:
        if source.HasField("range_subselect"):
            _conditions(source.range_subselect.subquery.select_stmt, first)


def _condition(node: Node, first: int) -> None:
    if node.HasField("bool_expr"):
        for each in node.bool_expr.args:
            _condition(each, first)
    elif node.HasField("a_expr"):
        found = node.a_expr
        compares = found.kind == pb.AEXPR_OP and [each.string.sval for each in found.name] in _COMPARISONS
        if compares and found.lexpr.HasField("column_ref"):
            _put_back(found.rexpr, first)


def _put_back(node: Node, first: int) -> None:
    if node.HasField("param_ref") and node.param_ref.number >= first:
        literal = number_of(node.param_ref.number - first)
        node.Clear()
        node.a_const.ival.ival = literal
