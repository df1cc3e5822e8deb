"""Count what WITH queries write: the command tag of the statement around them does not say it (SQL-RULES 19).

The counts go into a setting of the server, which the mount reads before it lets the statement stand (`plan.COUNTS`).
They are taken where the server looks once, whatever rows the statement itself finds: in OFFSET, or in a condition that
holds no column. Where it does look there after all, nothing is in the setting, and the mount undoes the statement.
"""

from __future__ import annotations

from collections.abc import Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import InsertStmt, Node, SelectStmt

from bailiwick.sql.checks import CHECK
from bailiwick.sql.environment import refuse
from bailiwick.sql.parser import conjoin
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.plan import COUNTS
from bailiwick.sql.quote import ident, text


def count(node: Node, names: Sequence[str]) -> None:
    """Have the rows of these WITH queries counted. Call when the tree is complete otherwise."""
    if not names:
        return
    rows = " || ',' || ".join(f"(SELECT pg_catalog.count(*) FROM {ident(name)})::text" for name in names)  # noqa: S608  # names are quoted
    kept = f"pg_catalog.set_config({text(COUNTS)}, {rows}, TRUE) IS NOT NULL"
    match node.WhichOneof("node"):
        case "select_stmt":
            _by_offset(node.select_stmt, kept)
        case "insert_stmt":
            _insert(node.insert_stmt, kept)
        case "update_stmt":
            _by_condition(node.update_stmt.where_clause, kept)
        case "delete_stmt":
            _by_condition(node.delete_stmt.where_clause, kept)
        case _:
            refuse(
                "syntax_not_supported",
                "MERGE is not supported around a WITH query that writes",
                "the two statements one after the other",
            )


def _by_offset(select: SelectStmt, kept: str) -> None:
    skipped = parsed(f"CASE WHEN {kept} THEN 0::bigint END")
    if select.limit_offset.WhichOneof("node"):
        both = parsed("1 + 1")
        both.a_expr.lexpr.CopyFrom(skipped)
        both.a_expr.rexpr.CopyFrom(select.limit_offset)
        skipped = both
    select.limit_offset.CopyFrom(skipped)
    if select.limit_option == pb.LIMIT_OPTION_DEFAULT:
        select.limit_option = pb.LIMIT_OPTION_COUNT


def _by_condition(where: Node, kept: str) -> None:
    condition = Node()
    condition.CopyFrom(where)
    where.CopyFrom(parsed(f"(SELECT {kept})"))
    if condition.WhichOneof("node"):
        conjoin(where, (condition,))


def _insert(stmt: InsertStmt, kept: str) -> None:
    select = stmt.select_stmt.select_stmt
    if select.HasField("with_clause"):
        refuse("syntax_not_supported", "an INSERT of a query with a WITH of its own is not supported here", "one WITH")
    if stmt.select_stmt.HasField("select_stmt") and not select.values_lists:
        _by_offset(select, kept)
        return
    for item in stmt.returning_clause.exprs:  # its rows are given: at least one of them is written, or there was none
        if item.res_target.name == CHECK:
            checked = Node()
            checked.CopyFrom(item.res_target.val)
            item.res_target.val.CopyFrom(parsed(f"(SELECT {kept})"))
            conjoin(item.res_target.val, (checked,))
