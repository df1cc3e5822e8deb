"""Walk and rewrite INSERT, UPDATE and DELETE.

The target stays the real relation, so every reference to its columns is replaced by the column as the scope shows it,
rows are limited by the scope in front of the agent's own condition (SQL-RULES 18), and each changed or new row carries
a last result column that says whether it lies in the scope. The mount undoes the statement when it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, RangeVar

from bailiwick.model.scope import RowFilter, WriteGrant
from bailiwick.model.value import Ref
from bailiwick.sql.environment import Columns, Fact, Level, Source, Use, Walk, refuse
from bailiwick.sql.expressions import expression, fence
from bailiwick.sql.parser import conjoin, query_text
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.predicates import Parameters, RelationText, columns_of, condition, parameter_type
from bailiwick.sql.queries import target_list, with_clause
from bailiwick.sql.references import star
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.sources import from_clause, schema_of

CHECK = "bw_check"


@dataclass(eq=False, slots=True)
class Write:
    """What was learnt of a write while walking; `finish` completes the tree once parameters can be numbered."""

    verb: str
    target: ScopedRelation
    alias: str
    use: Use
    fields: tuple[str, ...]
    grants: tuple[WriteGrant, ...]
    leaky: bool = False
    returns: bool = False
    checked: bool = False
    reads: bool = True
    """Whether the read scope applies: always, but for an INSERT that returns nothing."""
    tenant_column: bool = False
    """INSERT: the tenant was omitted and is filled in."""


def _target(relation: RangeVar, verb: str, walk: Walk) -> ScopedRelation:
    name = relation.relname
    if relation.catalogname:
        refuse("resource_unknown", f"relation `{name}` is not in the scope of this session")
    for schema in (relation.schemaname,) if relation.schemaname else walk.visible.search_path:
        found = walk.relations.get((schema, name))
        if found is not None:
            relation.schemaname = found.relation.schema
            return found
    refuse("resource_unknown", f"relation `{name}` is not in the scope of this session", action=f"{name}:{verb}")


def _grants_for(target: ScopedRelation, verb: str, fields: Iterable[str]) -> tuple[WriteGrant, ...]:
    """Return the grants that admit writing all of `fields` together. Raises Refused."""
    scope = target.scope
    every = {"update": scope.updates, "create": scope.creates, "delete": scope.deletes}[verb]
    resource = target.resource.name
    if verb in scope.held:
        refuse(
            "needs_approval",
            f"`{resource}:{verb}` needs an approval",
            remedy="ask a person to approve it",
            action=f"{resource}:{verb}",
        )
    if not every:
        refuse("action_not_granted", f"`{resource}:{verb}` is not granted", action=f"{resource}:{verb}")
    wanted = set(fields)
    found = tuple(grant for grant in every if wanted <= grant.fields) if verb != "delete" else every
    if not found:
        allowed = sorted({name for grant in every for name in grant.fields})
        refused = sorted(wanted - set(allowed)) or sorted(wanted)
        refuse(
            "field_not_granted",
            f"`{resource}:{verb}` of {', '.join(f'`{name}`' for name in refused)} is not granted",
            f"`{resource}:{verb}` of {', '.join(allowed)}",
            action=f"{resource}:{verb}:{refused[0]}",
        )
    return found


def _open(node: Node, relation: RangeVar, target: ScopedRelation, level: Level) -> tuple[Use, str]:
    """Make the target visible to the expressions of the write, as the scope shows it."""
    alias = relation.alias.aliasname or relation.relname
    if relation.alias.colnames:
        refuse("syntax_not_supported", "the target of a write cannot rename its columns")
    use = Use(node, alias, target)
    facts = {column.name: Fact(column.type, frozenset((use,)), column.leaky) for column in target.columns.values()}
    schema = "" if relation.HasField("alias") else schema_of(target)
    level.sources.append(Source(alias, facts, use, schema, target=True))
    if not relation.HasField("alias"):
        relation.alias.aliasname = alias
    return use, alias


def update(node: Node, walk: Walk) -> Write:
    """Walk an UPDATE. Raises Refused."""
    stmt = node.update_stmt
    level = Level()
    target = _target(stmt.relation, "update", walk)
    fields = _set_columns(stmt.target_list)
    grants = _grants_for(target, "update", fields)
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    others = level.beside()
    from_clause(stmt.from_clause, others, walk)
    use, alias = _open(node, stmt.relation, target, level)
    level.sources += others.sources
    for item in stmt.target_list:
        _assigned(item.res_target.val, level, walk)
    write = Write("update", target, alias, use, fields, grants)
    write.leaky = _where(stmt.where_clause, level, walk)
    write.returns = _returning(stmt.returning_clause, level, walk)
    write.checked = _needs_check(write)
    return write


def delete(node: Node, walk: Walk) -> Write:
    """Walk a DELETE. Raises Refused."""
    stmt = node.delete_stmt
    level = Level()
    target = _target(stmt.relation, "delete", walk)
    grants = _grants_for(target, "delete", ())
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    others = level.beside()
    from_clause(stmt.using_clause, others, walk)
    use, alias = _open(node, stmt.relation, target, level)
    level.sources += others.sources
    write = Write("delete", target, alias, use, (), grants)
    write.leaky = _where(stmt.where_clause, level, walk)
    write.returns = _returning(stmt.returning_clause, level, walk)
    return write


def insert(node: Node, walk: Walk) -> Write:
    """Walk an INSERT. Raises Refused."""
    stmt = node.insert_stmt
    level = Level()
    target = _target(stmt.relation, "create", walk)
    if stmt.HasField("on_conflict_clause"):
        refuse("syntax_not_supported", "ON CONFLICT is not supported", "INSERT without ON CONFLICT")
    if stmt.override not in (pb.OVERRIDING_KIND_UNDEFINED, pb.OVERRIDING_NOT_SET):
        refuse("syntax_not_supported", "OVERRIDING is not supported")
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    columns: Columns = ()
    if stmt.select_stmt.HasField("select_stmt"):
        select = stmt.select_stmt.select_stmt
        columns = walk.query(select, level.beside(), walk)
    fields = _insert_columns(stmt, target, len(columns))
    grants = _grants_for(target, "create", fields)
    use, alias = _open(node, stmt.relation, target, level)
    write = Write("create", target, alias, use, fields, grants)
    write.returns = _returning(stmt.returning_clause, level, walk)
    write.reads = write.returns
    write.tenant_column = target.resource.tenant is not None and target.resource.tenant not in fields
    write.checked = True
    return write


def _set_columns(targets: Sequence[Node]) -> tuple[str, ...]:
    names: list[str] = []
    for item in targets:
        if item.res_target.indirection:
            refuse("syntax_not_supported", "assigning to a part of a column is not supported")
        names.append(item.res_target.name)
    return tuple(sorted(set(names)))


def _insert_columns(stmt: pb.InsertStmt, target: ScopedRelation, given: int) -> tuple[str, ...]:
    """Return the columns that are filled; without a list these are the visible ones, in order."""
    if not stmt.cols and given:
        visible = list(target.columns)[:given]
        if len(visible) < given:
            refuse("field_not_granted", f"`{target.resource.name}` has {len(visible)} columns in this session")
        for name in visible:
            stmt.cols.add().res_target.name = name
    return _set_columns(stmt.cols)


def _assigned(value: Node, level: Level, walk: Walk) -> None:
    """Walk the right side of SET, also of `(a, b) = …`, which the tree holds once for every column."""
    if value.HasField("multi_assign_ref"):
        if value.multi_assign_ref.source.WhichOneof("node"):
            expression(value.multi_assign_ref.source, level, walk)
        return
    expression(value, level, walk)


def _where(where: Node, level: Level, walk: Walk) -> bool:
    if where.HasField("current_of_expr"):
        refuse("syntax_not_supported", "WHERE CURRENT OF is not supported", "a condition on the key")
    if not where.WhichOneof("node"):
        return False
    fact = expression(where, level, walk)
    fence(fact)
    return fact.leaky


def _returning(clause: pb.ReturningClause, level: Level, walk: Walk) -> bool:
    if clause.options:
        refuse("syntax_not_supported", "RETURNING WITH is not supported")
    if not clause.exprs:
        return False
    items = list(clause.exprs)
    copies: list[Node] = []
    for item in items:
        starred = star(item.res_target.val, level)
        if starred is None:
            copy = Node()
            copy.CopyFrom(item)
            copies.append(copy)
            continue
        copies += _starred(item, level)
    del clause.exprs[:]
    clause.exprs.extend(copies)
    target_list(clause.exprs, level, walk)
    return True


def _starred(item: Node, level: Level) -> list[Node]:
    """Write `*` of RETURNING out: the real relation has more columns than the scope."""
    fields = item.res_target.val.column_ref.fields
    qualifier = fields[-2].string.sval if len(fields) > 1 else ""
    nodes: list[Node] = []
    for source in level.sources:
        if qualifier in ("", source.alias):
            nodes += [_reference(source.alias, name) for name in source.columns]
    return nodes


def _reference(alias: str, name: str) -> Node:
    node = Node()
    node.res_target.name = name
    reference = node.res_target.val.column_ref
    reference.fields.add().string.sval = alias
    reference.fields.add().string.sval = name
    return node


def _needs_check(write: Write) -> bool:
    """Whether a changed row might leave the scope, or what is written is constrained."""
    scope = write.target.scope
    filters: list[RowFilter] = [grant.filter for grant in scope.reads]
    filters += [grant.filter for grant in write.grants]
    filters += [denied.filter for denied in scope.denied_rows]
    limiting = set(columns_of(filters, write.target.relation)) | {write.target.resource.tenant}
    changed = set(write.fields)
    if len(write.grants) > 1 and changed & columns_of((g.filter for g in write.grants), write.target.relation):
        refuse(
            "statement_not_allowed",
            f"several grants limit this update of `{write.target.resource.name}` by what it changes",
            "changing these columns one at a time",
        )
    return bool(changed & limiting) or any(name in grant.set for grant in write.grants for name in changed)


def finish(node: Node, write: Write, parameters: Parameters) -> None:
    """Put limits and check into the tree. Called once all of the agent's parameters are known."""
    text = RelationText(write.target.relation, write.alias, parameters, direct=False)
    if write.verb == "update":
        _limit(node.update_stmt.where_clause, write, text)
        clause = node.update_stmt.returning_clause
    elif write.verb == "delete":
        _limit(node.delete_stmt.where_clause, write, text)
        return
    else:
        if write.tenant_column:
            _fill_tenant(node.insert_stmt, write, parameters)
        clause = node.insert_stmt.returning_clause
    if write.checked:
        item = clause.exprs.add().res_target
        item.name = CHECK
        item.val.CopyFrom(parsed(f"COALESCE({_check(write, text)}, FALSE)"))


def _limit(where: Node, write: Write, text: RelationText) -> None:
    """Limit the rows. INVARIANT: a leaky condition is only evaluated on rows inside the scope."""
    inside = _inside(write, text)
    if inside == "TRUE":
        return
    limit = parsed(f"({inside})")
    agent = Node()
    if where.WhichOneof("node") is not None and write.leaky:
        branch = agent.case_expr.args.add().case_when
        branch.expr.CopyFrom(limit)
        branch.result.CopyFrom(where)
        agent.case_expr.defresult.CopyFrom(parsed("FALSE"))
    else:
        agent.CopyFrom(where)
    where.CopyFrom(limit)
    if agent.WhichOneof("node") is not None:
        conjoin(where, (agent,))


def _inside(write: Write, text: RelationText) -> str:
    parts: list[str] = []
    if write.reads:
        parts.append(write.target.admits(text))
    parts.append(write.target.limited(text, [grant.filter for grant in write.grants]))
    parts = list(dict.fromkeys(part for part in parts if part != "TRUE"))
    return " AND ".join(f"({part})" for part in parts) or "TRUE"


def _check(write: Write, text: RelationText) -> str:
    """Return the condition that a new or changed row must meet."""
    parts = [write.target.admits(text)] if write.reads else []
    options: list[str] = []
    for grant in write.grants:
        own = [write.target.limited(text, [grant.filter])]
        for name in write.fields:
            column = write.target.relation.column(name)
            if name in grant.set and column is not None:
                own.append(condition(grant.set[name], text.column(name), column, text.parameters))
        options.append(" AND ".join(f"({part})" for part in own))
    parts.append(" OR ".join(f"({option})" for option in options))
    return " AND ".join(f"({part})" for part in parts)


def _fill_tenant(stmt: pb.InsertStmt, write: Write, parameters: Parameters) -> None:
    """Fill in the session's tenant where the statement left it out."""
    name = write.target.resource.tenant or ""
    column = write.target.relation.column(name)
    if column is None:
        refuse("internal_error", f"the tenant of `{write.target.resource.name}` is not known")
    value = parsed(f"{parameters.use(Ref(('tenant',)), parameter_type(column))}::{column.type}")
    select = stmt.select_stmt.select_stmt
    if not stmt.select_stmt.HasField("select_stmt"):
        stmt.select_stmt.CopyFrom(query_text("VALUES (NULL)"))
        stmt.select_stmt.select_stmt.values_lists[0].list.items[0].CopyFrom(value)
    elif select.values_lists:
        for row in select.values_lists:
            row.list.items.add().CopyFrom(value)
    else:
        inner = Node()
        inner.CopyFrom(stmt.select_stmt)
        stmt.select_stmt.CopyFrom(query_text("SELECT *, NULL FROM (SELECT 1) AS bw_rows"))
        outer = stmt.select_stmt.select_stmt
        outer.target_list[1].res_target.val.CopyFrom(value)
        outer.from_clause[0].range_subselect.subquery.CopyFrom(inner)
    stmt.cols.add().res_target.name = name
