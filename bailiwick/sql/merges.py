"""MERGE: each WHEN is an action under its own grants, over the rows that the read scope shows.

What is hidden is never matched. An INSERT is therefore only allowed where no hidden row can be in its way, or it would
tell that there is one; and NOT MATCHED BY SOURCE, which sees the whole table, is limited by itself.
"""

from __future__ import annotations

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import MergeStmt, MergeWhenClause, Node

from bailiwick.sql.checks import agents_condition, both, conjuncts, limit
from bailiwick.sql.environment import Columns, Level, Walk, refuse
from bailiwick.sql.filling import assigned, inserted_columns, set_columns, tenant_value
from bailiwick.sql.foresight import foresee_update
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.pins import hold, pins
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.queries import with_clause
from bailiwick.sql.returning import returning
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.sources import source_of
from bailiwick.sql.written import PG17, Act, Verb, Write, act, opened, since, target_of

_VERBS: dict[int, Verb] = {pb.CMD_INSERT: "create", pb.CMD_UPDATE: "update", pb.CMD_DELETE: "delete"}
_WITHOUT = "INSERT, UPDATE and DELETE, one after the other"


def merge(node: Node, level: Level, walk: Walk) -> tuple[Write, Columns]:
    """Walk a MERGE. Raises Refused."""
    stmt = node.merge_stmt
    clauses = [item.merge_when_clause for item in stmt.merge_when_clauses]
    target = target_of(stmt.relation, _VERBS.get(clauses[0].command_type, "update"), walk)
    if target.through and not since(walk, PG17):
        refuse(
            "syntax_not_supported",
            "MERGE where the database enforces the scope too needs PostgreSQL 17, which can merge into views",
            _WITHOUT,
        )
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    source = level.beside()
    source_of(stmt.source_relation, source, walk)
    level.sources += source.sources
    write = opened(node, stmt.relation, target, level, walk)
    write.leaky = agents_condition(stmt.join_condition, level, walk)
    own = Level(outer=level.outer, above=level, sources=level.sources[-1:])
    levels = {
        pb.MERGE_WHEN_MATCHED: level,
        pb.MERGE_WHEN_NOT_MATCHED_BY_SOURCE: own,
        pb.MERGE_WHEN_NOT_MATCHED_BY_TARGET: Level(outer=level.outer, above=level, sources=source.sources),
    }
    for clause in clauses:
        _when(clause, write, levels[clause.match_kind], walk)
    _refuse_what_tells(clauses, write)
    if not since(walk, PG17) and (write.checked or stmt.returning_clause.exprs):
        refuse(
            "syntax_not_supported",
            "MERGE … RETURNING, by which what was written is checked, needs PostgreSQL 17",
            "a MERGE that neither inserts nor changes a column that limits the scope",
            f"use {_WITHOUT}",
        )
    return write, returning(stmt.returning_clause, write, level, walk, [stmt.source_relation])


def _when(clause: MergeWhenClause, write: Write, level: Level, walk: Walk) -> None:
    if clause.match_kind == pb.MERGE_WHEN_NOT_MATCHED_BY_SOURCE and not since(walk, PG17):
        refuse("syntax_not_supported", "WHEN NOT MATCHED BY SOURCE needs PostgreSQL 17", _WITHOUT)
    agents_condition(clause.condition, level, walk)
    done = _act(clause, write.target)
    if done is not None and done not in write.acts:
        write.acts.append(done)
    if clause.command_type == pb.CMD_UPDATE:
        for item in clause.target_list:
            assigned(item.res_target.val, level, walk)
    walk.values(clause.values, level)


def _act(clause: MergeWhenClause, target: ScopedRelation) -> Act | None:
    """Return what a WHEN does, None for DO NOTHING. It names the columns that an INSERT leaves unnamed."""
    if clause.command_type == pb.CMD_INSERT:
        given = inserted_columns(clause.target_list, clause.target_list.add, target, len(clause.values))
        return act(target, "create", given)
    if clause.command_type == pb.CMD_UPDATE:
        return act(target, "update", set_columns(clause.target_list))
    return act(target, "delete") if clause.command_type == pb.CMD_DELETE else None


def _refuse_what_tells(clauses: list[MergeWhenClause], write: Write) -> None:
    """An INSERT that meets a hidden row tells that it exists. Keys that the statement does not fill meet none by its
    choice; the others have to be held to the scope."""
    target = write.target
    filled = {name for each in write.of("create") for name in each.fields}
    unknown: tuple[tuple[str, ...], ...] = ((),) if target.table.hides_rows else ()
    for key in unknown if target.relation.uniques is None else target.relation.uniques:
        if not write.of("create") or (key and not filled & set(key)):
            continue
        found = pins(target, key) if key else None
        given = found is not None and all(_is_given(name, clause, target) for name, _ in found for clause in clauses)
        if found is None or not given:
            named = f" of the key ({', '.join(key)})" if key and set(key) <= set(target.columns) else ""
            refuse(
                "statement_not_allowed",
                f"WHEN NOT MATCHED … INSERT{named} could tell which rows of `{target.resource.name}` are hidden",
                "keys that hold every column by which the scope admits rows, or are left to their default",
                f"use {_WITHOUT}",
            )
        write.pins = tuple(dict.fromkeys((*write.pins, *found)))


def _is_given(name: str, clause: MergeWhenClause, target: ScopedRelation) -> bool:
    """Whether an INSERT gives the column a value, other than its default; a tenant is filled in."""
    if clause.command_type != pb.CMD_INSERT:
        return True
    for item, value in zip(clause.target_list, clause.values, strict=False):
        if item.res_target.name == name:
            return not value.HasField("set_to_default")
    return name == target.resource.tenant


def finish(write: Write, text: RelationText) -> None:
    """Limit the join and every WHEN."""
    stmt = write.node.merge_stmt
    inside = write.target.admits(text)
    if _is_full(stmt) and inside != "TRUE":
        _limit_full(stmt.join_condition, write, inside)
    else:
        limit(stmt.join_condition, inside, write.leaky)
    made: list[Node] = []
    for item in stmt.merge_when_clauses:
        clause = MergeWhenClause()
        clause.CopyFrom(item.merge_when_clause)
        if clause.command_type == pb.CMD_INSERT:
            _fill(clause, write, text)
            made.append(Node(merge_when_clause=clause))
        else:
            made += (Node(merge_when_clause=each) for each in _limited(clause, write, text, inside))
    del stmt.merge_when_clauses[:]
    stmt.merge_when_clauses.extend(made)


def _is_full(stmt: MergeStmt) -> bool:
    """Whether the server makes a full join of it, which knows equalities only."""
    kinds = {item.merge_when_clause.match_kind for item in stmt.merge_when_clauses}
    return {pb.MERGE_WHEN_NOT_MATCHED_BY_SOURCE, pb.MERGE_WHEN_NOT_MATCHED_BY_TARGET} <= kinds


def _limit_full(condition: Node, write: Write, inside: str) -> None:
    """Limit a full join: a column of the target that the source is compared with is NULL in a hidden row."""
    for each in conjuncts(condition):
        if [part.string.sval for part in each.a_expr.name] != ["="] or each.a_expr.kind != pb.AEXPR_OP:
            continue
        for side in (each.a_expr.lexpr, each.a_expr.rexpr):
            fields = side.column_ref.fields
            if not write.leaky and len(fields) == 2 and fields[0].string.sval == write.alias:
                shown = parsed(f"CASE WHEN {inside} THEN NULL END")
                shown.case_expr.args[0].case_when.result.CopyFrom(side)
                side.CopyFrom(shown)
                return
    refuse(
        "syntax_not_supported",
        "MERGE with both WHEN NOT MATCHED and WHEN NOT MATCHED BY SOURCE needs a plain equality of a column",
        "ON target.column = source.column",
        f"use {_WITHOUT}",
    )


def _fill(clause: MergeWhenClause, write: Write, text: RelationText) -> None:
    for name, operand in write.pins:
        for item, value in zip(clause.target_list, clause.values, strict=False):
            if item.res_target.name == name:
                hold(value, name, operand, text)
    tenant = write.target.resource.tenant
    if tenant is not None and all(item.res_target.name != tenant for item in clause.target_list):
        clause.target_list.add().res_target.name = tenant
        clause.values.add().CopyFrom(tenant_value(write, text.parameters))


def _limited(clause: MergeWhenClause, write: Write, text: RelationText, inside: str) -> list[MergeWhenClause]:
    """Limit what is done to existing rows. One that the WHEN is for, but its grants do not reach, is left alone."""
    done = _act(clause, write.target)
    if done is not None and done.verb == "update":
        foresee_update(clause.target_list, write, done, text)
    reach = "TRUE" if done is None else text.some(grant.filter for grant in done.grants)  # `inside` has the rest
    by_source = clause.match_kind == pb.MERGE_WHEN_NOT_MATCHED_BY_SOURCE
    whole = inside if by_source else "TRUE"  # what is matched was limited by the join
    guarded = range(len(conjuncts(clause.condition))) if by_source else ()
    rest = MergeWhenClause(
        match_kind=clause.match_kind, command_type=pb.CMD_NOTHING, override=clause.override, condition=clause.condition
    )
    limit(clause.condition, both(whole, reach), guarded)
    if reach == "TRUE":
        return [clause]
    limit(rest.condition, both(whole, f"({reach}) IS NOT TRUE"), guarded)
    return [clause, rest]
