"""What a dry run of a write executes: the write with the keys of its rows, and those rows as the scope shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import DeleteStmt, InsertStmt, Node, SelectStmt, UpdateStmt

from bailiwick.model.decision import Denial
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.parser import deparse, on_stack, parse, query_text
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.plan import Bound, Plan
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.quote import ident
from bailiwick.sql.scoped import INNER, ScopedRelation

_KEY, _REST = "bw_key", "bw_rest"


@dataclass(frozen=True, slots=True)
class RowsQuery:
    """The rows of some keys, as the session may see them: `keys` columns of text, then `columns`, all as text."""

    sql: str
    bound: tuple[Bound, ...]
    """Behind the values of the keys, which are parameters of type text, row by row."""
    keys: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    """A write whose RETURNING has `keys` columns of text behind the agent's own and before the check, if it has one."""

    sql: str
    keys: int
    verb: str


def dry_run(plan: Plan, relation: ScopedRelation | None) -> DryRun:
    """Return the dry run of a plan. Where keys cannot be told it has none: then only a count is known of it."""
    alone = DryRun(plan.sql, 0, "")
    writes = [access for access in plan.accesses if access.verb != "read"]
    if relation is None or len(writes) != 1 or writes[0].resource != relation.resource.name:
        return alone
    keys = relation.resource.key
    if not keys or any(relation.relation.column(name) is None for name in keys):
        return alone
    sql = on_stack(plan.sql, lambda: _with_keys(plan, keys))
    if sql is None:
        return alone
    return DryRun(sql, len(keys), writes[0].verb)


def _with_keys(plan: Plan, keys: Sequence[str]) -> str | None:
    tree = parse(plan.sql)
    if isinstance(tree, Denial) or len(tree.stmts) != 1:
        return None
    node = tree.stmts[0].stmt
    if node.HasField("select_stmt"):
        done = _return_written(node.select_stmt, keys)
    else:
        done = not plan.inner and _return_keys(node, keys, behind=1 if plan.checked else 0)
    sql = deparse(node) if done else None
    return sql if isinstance(sql, str) else None


def _return_keys(node: Node, keys: Sequence[str], *, behind: int) -> bool:
    """Have a write return keys as well, before its last `behind` columns. False: it is not one that can."""
    kind = node.WhichOneof("node") or ""
    if kind not in ("insert_stmt", "update_stmt", "delete_stmt"):
        return False
    statement: InsertStmt | UpdateStmt | DeleteStmt = getattr(node, kind)
    alias = statement.relation.alias.aliasname or statement.relation.relname
    clause = statement.returning_clause
    own = [_copy(item) for item in clause.exprs]
    place = len(own) - behind
    made = (_key(alias, name, number) for number, name in enumerate(keys))
    del clause.exprs[:]
    clause.exprs.extend([*own[:place], *made, *own[place:]])
    return True


def _return_written(select: SelectStmt, keys: Sequence[str]) -> bool:
    """Have a query return the keys of the rows that its one WITH query writes, in place of what it is about."""
    writes = [each.common_table_expr for each in select.with_clause.ctes]
    writes = [cte for cte in writes if not cte.ctequery.HasField("select_stmt")]
    if len(writes) != 1 or not _return_keys(writes[0].ctequery, keys, behind=0):
        return False
    name = ident(writes[0].ctename)
    columns = ", ".join(f"{name}.{ident(f'{_KEY}{number}')}" for number in range(len(keys)))
    alone = query_text(f"SELECT {columns} FROM {name}").select_stmt  # noqa: S608  # composed of quoted names
    alone.with_clause.CopyFrom(select.with_clause)
    select.ClearField("with_clause")
    rest = alone.with_clause.ctes.add().common_table_expr  # never run, but it gives parameters their types
    rest.ctename = _REST
    rest.ctematerialized = pb.CTEMaterializeDefault
    rest.ctequery.select_stmt.CopyFrom(select)
    select.CopyFrom(alone)
    return True


def _copy(node: Node) -> Node:
    copy = Node()
    copy.CopyFrom(node)
    return copy


def _key(alias: str, name: str, number: int) -> Node:
    node = Node()
    node.res_target.name = f"{_KEY}{number}"
    node.res_target.val.CopyFrom(parsed(f"{ident(alias)}.{ident(name)}::text"))
    return node


def rows_query(relation: ScopedRelation, count: int) -> RowsQuery | None:
    """Return the query for the rows of `count` keys. INVARIANT: of the read scope's rows, as it shows them."""
    keys = relation.resource.key
    if not count or not relation.columns or not relation.scope.reads:
        return None
    parameters = Parameters(count * len(keys) + 1)
    text = RelationText(relation.relation, INNER, parameters, direct=True)
    wanted = [f"{INNER}.{ident(name)}::text AS {_KEY}" for name in keys]
    names = tuple(relation.columns)
    shown = [f"({relation.field(text, name)})::text AS {ident(name)}" for name in names]
    cases: list[str] = []
    for row in range(count):
        parts: list[str] = []
        for place, name in enumerate(keys):
            column = relation.relation.column(name)
            kind = "text" if column is None else column.type
            parts.append(f"{INNER}.{ident(name)} = ${row * len(keys) + place + 1}::text::{kind}")
        cases.append("(" + " AND ".join(parts) + ")")
    admitted = relation.admits(text)
    where = f"({admitted}) AND ({' OR '.join(cases)})"
    source = f"SELECT {', '.join([*wanted, *shown])} FROM {relation.source()} AS {INNER} WHERE {where}"  # noqa: S608  # composed of quoted names of the policy
    sql = on_stack(source, lambda: deparse(query_text(source)))
    return None if isinstance(sql, Denial) else RowsQuery(sql, parameters.bound, len(keys), names)
