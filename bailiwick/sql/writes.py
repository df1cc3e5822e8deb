"""Walk and rewrite INSERT, UPDATE and DELETE; MERGE is in `merges`, ON CONFLICT in `conflicts`.

The target stays the real relation, so every reference to its columns is replaced by the column as the scope shows it,
rows are limited by the scope in front of the agent's own condition (SQL-RULES 18), and each changed or new row is
looked at in RETURNING: does it lie in the scope? The mount undoes the statement when it does not (see `checks`).
"""

from __future__ import annotations

from collections.abc import Callable

from postgast.pg_query_pb2 import CommonTableExpr, Node

from bailiwick.sql import conflicts, merges
from bailiwick.sql.checks import agents_condition, both, check, limit, reached
from bailiwick.sql.environment import Columns, Fact, Level, Walk, refuse
from bailiwick.sql.filling import assigned, fill_tenant, inserted_columns, set_columns
from bailiwick.sql.foresight import foresee_insert, foresee_update
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.queries import named_columns, with_clause
from bailiwick.sql.returning import returning
from bailiwick.sql.sources import from_clause
from bailiwick.sql.written import PG17, Write, act, opened, since, target_of

Walked = tuple[Write, Columns]
"""What was learnt of a write, and what it returns."""


def written(node: Node, level: Level, walk: Walk) -> Walked:
    """Walk a statement that writes. Raises Refused."""
    return _WALKS[node.WhichOneof("node") or ""](node, level, walk)


def within(found: list[Write]) -> Callable[[CommonTableExpr, Level, Walk], Columns]:
    """Return what walks a WITH query that writes, and adds it to `found`."""

    def walked(cte: CommonTableExpr, level: Level, walk: Walk) -> Columns:
        return _within(cte, level, walk, found)

    return walked


def _within(cte: CommonTableExpr, level: Level, walk: Walk, found: list[Write]) -> Columns:
    """Walk a statement of its own: its checks and counts must not depend on what is around it."""
    kind = cte.ctequery.WhichOneof("node") or ""
    if kind not in _WALKS or (kind == "merge_stmt" and not since(walk, PG17)):
        name = kind.removesuffix("_stmt").upper().replace("_", " ")
        refuse("syntax_not_supported", f"{name} is not supported in a WITH query", "INSERT, UPDATE and DELETE")
    write, columns = written(cte.ctequery, level, walk)
    write.inner = cte.ctename
    found.append(write)
    # What it returns is computed on rows of the scope only, and is never moved into the query around it.
    return named_columns(cte, tuple((name, Fact(fact.type)) for name, fact in columns))


def _update(node: Node, level: Level, walk: Walk) -> Walked:
    stmt = node.update_stmt
    target = target_of(stmt.relation, "update", walk)
    fields = set_columns(stmt.target_list)
    done = act(target, "update", fields)
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    others = level.beside()
    from_clause(stmt.from_clause, others, walk)
    write = opened(node, stmt.relation, target, level, walk)
    level.sources += others.sources
    for item in stmt.target_list:
        assigned(item.res_target.val, level, walk)
    write.acts.append(done)
    write.leaky = agents_condition(stmt.where_clause, level, walk)
    return write, returning(stmt.returning_clause, write, level, walk, stmt.from_clause)


def _delete(node: Node, level: Level, walk: Walk) -> Walked:
    stmt = node.delete_stmt
    target = target_of(stmt.relation, "delete", walk)
    done = act(target, "delete")
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    others = level.beside()
    from_clause(stmt.using_clause, others, walk)
    write = opened(node, stmt.relation, target, level, walk)
    level.sources += others.sources
    write.acts.append(done)
    write.leaky = agents_condition(stmt.where_clause, level, walk)
    return write, returning(stmt.returning_clause, write, level, walk, stmt.using_clause)


def _insert(node: Node, level: Level, walk: Walk) -> Walked:
    stmt = node.insert_stmt
    target = target_of(stmt.relation, "create", walk)
    if stmt.HasField("with_clause"):
        with_clause(stmt.with_clause, level, walk)
    columns: Columns = ()
    if stmt.select_stmt.HasField("select_stmt"):
        columns = walk.query(stmt.select_stmt.select_stmt, level.beside(), walk)
    done = act(target, "create", inserted_columns(stmt.cols, stmt.cols.add, target, len(columns)))
    write = opened(node, stmt.relation, target, level, walk)
    write.acts.append(done)
    if stmt.HasField("on_conflict_clause"):
        conflicts.on_conflict(stmt, write, level, walk)
    return write, returning(stmt.returning_clause, write, level, walk)


_WALKS: dict[str, Callable[[Node, Level, Walk], Walked]] = {
    "insert_stmt": _insert,
    "update_stmt": _update,
    "delete_stmt": _delete,
    "merge_stmt": merges.merge,
}
KINDS = frozenset(_WALKS)


def finish(write: Write, parameters: Parameters) -> None:
    """Put limits and checks into the tree. Called once all of the agent's parameters are known."""
    text = RelationText(write.target.relation, write.alias, parameters, direct=False)
    match write.tag:
        case "UPDATE":
            _limit(write.node.update_stmt.where_clause, write, text)
            foresee_update(write.node.update_stmt.target_list, write, write.acts[0], text)
            check(write.node.update_stmt.returning_clause, write, text)
        case "DELETE":
            _limit(write.node.delete_stmt.where_clause, write, text)
            check(write.node.delete_stmt.returning_clause, write, text)
        case "MERGE":
            merges.finish(write, text)
            check(write.node.merge_stmt.returning_clause, write, text)
        case _:
            stmt = write.node.insert_stmt
            foresee_insert(write, text)
            for update in write.of("update"):
                _limit(stmt.on_conflict_clause.where_clause, write, text)
                foresee_update(stmt.on_conflict_clause.target_list, write, update, text)
            conflicts.hold_to_scope(stmt, write, text)
            fill_tenant(stmt, write, text.parameters)
            check(stmt.returning_clause, write, text)


def _limit(where: Node, write: Write, text: RelationText) -> None:
    inside = both(write.target.admits(text), reached(write, write.of("update", "delete"), text))
    limit(where, inside, write.leaky)
