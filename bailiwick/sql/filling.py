"""The values of new rows: which columns they fill, and the session's tenant where a statement left it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import InsertStmt, Node, SelectStmt

from bailiwick.model.value import Ref
from bailiwick.sql.catalogue import Relation
from bailiwick.sql.comparing import base_type, session_value
from bailiwick.sql.environment import Level, Walk, refuse
from bailiwick.sql.expressions import expression
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.parser import query_text
from bailiwick.sql.pins import held
from bailiwick.sql.quote import ident
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.written import Write

_ROWS = "bw_rows"
SIZED = frozenset({"character", "bit"})
"""Types whose bare name has a length: nothing can be cast to them without one."""


def cast_to(relation: Relation, name: str) -> str:
    """Return the type that values can be cast to before they are assigned to the column; empty when there is none."""
    column = relation.column(name)
    kind = "" if column is None else base_type(column.type)
    return "" if kind.removesuffix("[]") in SIZED else kind


def named_source(stmt: InsertStmt, relation: Relation) -> None:
    """Put a query around the one that the rows come from, in which every column has a name."""
    names = [f"c{place}" for place in range(len(stmt.cols))]
    columns = ", ".join(f"{_ROWS}.{ident(name)}" for name in names)
    outer = query_text(f"SELECT {columns} FROM (SELECT 1) AS {_ROWS} ({', '.join(names)})")  # noqa: S608  # ours
    inner = Node()
    inner.CopyFrom(stmt.select_stmt)
    targets = inner.select_stmt.target_list
    if len(targets) == len(names):
        for item, target in zip(targets, stmt.cols, strict=True):
            _keep_untyped(item.res_target.val, cast_to(relation, target.res_target.name))
    outer.select_stmt.from_clause[0].range_subselect.subquery.CopyFrom(inner)
    stmt.select_stmt.CopyFrom(outer)


def _keep_untyped(value: Node, type_name: str) -> None:
    """Give a literal or parameter without a type the one that it would get where it is assigned: within a query it
    would be text."""
    const = value.a_const
    if type_name and (
        value.HasField("param_ref") or (value.HasField("a_const") and (const.isnull or const.HasField("sval")))
    ):
        typed = parsed(f"NULL::{type_name}")
        typed.type_cast.arg.CopyFrom(value)
        value.CopyFrom(typed)


def set_columns(targets: Iterable[Node]) -> tuple[str, ...]:
    """Return the columns that are written. Raises Refused for a part of one."""
    names: set[str] = set()
    for item in targets:
        if item.res_target.indirection:
            refuse("syntax_not_supported", "assigning to a part of a column is not supported")
        names.add(item.res_target.name)
    return tuple(sorted(names))


def assigned(value: Node, level: Level, walk: Walk) -> None:
    """Walk the right side of SET, also of `(a, b) = …`, which the tree holds once for every column."""
    if value.HasField("multi_assign_ref"):
        if value.multi_assign_ref.source.WhichOneof("node"):
            expression(value.multi_assign_ref.source, level, walk)
        return
    expression(value, level, walk)


def inserted_columns(
    columns: Sequence[Node], add: Callable[[], Node], target: ScopedRelation, given: int
) -> tuple[str, ...]:
    """Return the columns that are filled; without a list these are the visible ones, in order, which are then named."""
    if not columns and given:
        visible = list(target.columns)[:given]
        if len(visible) < given:
            refuse("field_not_granted", f"`{target.resource.name}` has {len(visible)} columns in this session")
        for name in visible:
            add().res_target.name = name
    return set_columns(columns)


def tenant_value(write: Write, parameters: Parameters) -> Node:
    """Return the session's tenant as a value for its column."""
    name = write.target.resource.tenant or ""
    column = write.target.relation.column(name)
    if column is None:
        refuse("internal_error", f"the tenant of `{write.target.resource.name}` is not known")
    value = session_value(Ref(("tenant",)), column, parameters)
    value = value if value.endswith(f"::{column.type}") else f"{value}::{column.type}"
    pinned = any(each == name for each, _ in write.pins)
    return parsed(held(value, value) if pinned else value)


def fill_tenant(stmt: InsertStmt, write: Write, parameters: Parameters) -> None:
    """Fill in the session's tenant where the statement left it out."""
    name = write.target.resource.tenant
    if name is None or name in write.acts[0].fields:
        return
    value = tenant_value(write, parameters)
    if stmt.select_stmt.HasField("select_stmt"):
        _append(stmt.select_stmt.select_stmt, value)
    else:
        stmt.select_stmt.CopyFrom(query_text("VALUES (NULL)"))
        stmt.select_stmt.select_stmt.values_lists[0].list.items[0].CopyFrom(value)
    stmt.cols.add().res_target.name = name


def _append(select: SelectStmt, value: Node) -> None:
    """Append a constant column to each query that the rows come from."""
    if select.op != pb.SETOP_NONE:
        _append(select.larg, value)
        _append(select.rarg, value)
    elif select.values_lists:
        for row in select.values_lists:
            row.list.items.add().CopyFrom(value)
    else:
        select.target_list.add().res_target.val.CopyFrom(value)
