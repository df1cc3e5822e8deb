"""Walk queries: SELECT, VALUES, TABLE, set operations, WITH. Returns the output columns that a query around it sees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import CommonTableExpr, Node, SelectStmt, WithClause

from bailiwick.model.scope import RowFilter
from bailiwick.sql import aggregates, grouping, locks
from bailiwick.sql.calls import check_sort, window
from bailiwick.sql.casts import reg_type, shown_reg
from bailiwick.sql.conjuncts import copy_conjuncts
from bailiwick.sql.environment import Columns, Cte, Fact, Level, Walk, joined, not_late, refuse, renamed
from bailiwick.sql.expressions import condition, expression
from bailiwick.sql.grouping import bare_name, is_position
from bailiwick.sql.names import UNNAMED, output_name
from bailiwick.sql.references import composite_star, star
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.sources import from_clause
from bailiwick.sql.system import SystemView


def query(select: SelectStmt, level: Level, walk: Walk) -> Columns:
    """Walk one query; `level` is its own, empty one. Raises Refused."""
    walk.deeper()
    if select.HasField("into_clause"):
        refuse("statement_not_allowed", "SELECT INTO creates a table", "SELECT without INTO")
    if select.HasField("with_clause"):
        with_clause(select.with_clause, level, walk)
    if select.op != pb.SETOP_NONE:
        columns = _set_operation(select, level, walk)
    elif select.values_lists:
        columns = _values(select.values_lists, level, walk)
        _order(select, level, columns, walk)
    else:
        columns = _plain(select, level, walk)
    walk.values((select.limit_offset, select.limit_count), level)
    _locking(select, level, walk)
    walk.depth -= 1
    return columns


def with_clause(clause: WithClause, level: Level, walk: Walk) -> None:
    """Make the CTEs known to the level. Inside its own non-recursive body a name is the real relation (rule 10)."""
    pending = [item.common_table_expr.ctename for item in clause.ctes]
    if len(set(pending)) < len(pending):
        refuse("syntax_not_supported", "a WITH query name is used twice")
    walked = [partial(_cte, item.common_table_expr, level, walk, clause.recursive) for item in clause.ctes]
    made = dict(zip(pending, (Cte(pending=each) for each in walked), strict=True))
    if clause.recursive:
        level.ctes.update(made)
    for name, cte in made.items():
        cte.known()
        level.ctes[name] = cte


def _cte(cte: CommonTableExpr, level: Level, walk: Walk, recursive: bool, made: Cte) -> None:
    if not cte.ctequery.HasField("select_stmt"):
        if not level.top:
            refuse(
                "syntax_not_supported", "a WITH query can only write at the top of a statement", "WITH in front of it"
            )
        # one that returns nothing cannot be referred to: what we let it return is the gateway's
        made.columns = walk.write(cte, level.beside(), walk) or None
        return
    select = cte.ctequery.select_stmt
    below = level.beside()
    if recursive and select.op == pb.SETOP_UNION:
        if select.HasField("with_clause"):
            with_clause(select.with_clause, below, walk)
        columns = query(select.larg, below.beside(), walk)
        made.columns, made.marks = named_columns(cte, columns), _search_columns(cte, walk)
        columns = _united(columns, query(select.rarg, below.beside(), walk))
        _order(select, below, columns, walk)
        walk.values((select.limit_offset, select.limit_count), below)
        _locking(select, below, walk)
    else:
        columns = query(select, below, walk)
    made.columns, made.marks = (*named_columns(cte, columns), *_search_columns(cte, walk)), ()


def named_columns(cte: CommonTableExpr, columns: Columns) -> Columns:
    alias = pb.Alias(aliasname=cte.ctename)
    alias.colnames.extend(cte.aliascolnames)
    return renamed(columns, alias)


def _search_columns(cte: CommonTableExpr, walk: Walk) -> Columns:
    added: list[str] = []
    if cte.HasField("search_clause"):
        added.append(cte.search_clause.search_seq_column)
    if cte.HasField("cycle_clause"):
        cycle = cte.cycle_clause
        walk.values((cycle.cycle_mark_value, cycle.cycle_mark_default), Level())
        added += [cycle.cycle_mark_column, cycle.cycle_path_column]
    return tuple((name, Fact()) for name in added if name)


def _united(left: Columns, right: Columns) -> Columns:
    """Return the columns of a set operation: the left one's names, both sides' values."""
    columns: list[tuple[str, Fact]] = []
    for i, (name, fact) in enumerate(left):
        other = right[i][1] if i < len(right) else fact
        columns.append((name, joined((fact, other), fact.type if fact.type == other.type else "")))
    return tuple(columns)


def _set_operation(select: SelectStmt, level: Level, walk: Walk) -> Columns:
    columns = _united(query(select.larg, level.beside(), walk), query(select.rarg, level.beside(), walk))
    _order(select, level, columns, walk)
    return columns


def _values(rows: Sequence[Node], level: Level, walk: Walk) -> Columns:
    facts: list[Fact] = []
    for row in rows:
        for i, fact in enumerate(walk.values(row.list.items, level)):
            if i < len(facts):
                same = facts[i].type if facts[i].type == fact.type else ""
                facts[i] = joined((facts[i], fact), same)
            else:
                facts.append(fact)
    return tuple((f"column{i + 1}", fact) for i, fact in enumerate(facts))


def _plain(select: SelectStmt, level: Level, walk: Walk) -> Columns:
    level.locking = select if locks.is_direct(select) else None
    from_clause(select.from_clause, level, walk)
    level.locking = None
    if level.sources and level.sources[0].target:
        locks.write_out_stars(select, level)
    _refuse_catalogue_product(select, level)
    condition(select.where_clause, level, walk)
    implied = grouping.keyed(level) if select.group_clause else []
    if implied:
        grouping.write_out_stars(select, implied, level)
    for source in implied:
        source.late = []
    columns = target_list(select.target_list, level, walk)
    names = {name for name, _ in columns}
    for item in select.distinct_clause:
        if item.WhichOneof("node"):
            _sort_key(item, level, names, walk)
    with not_late(level):
        for item in select.group_clause:
            grouping.group_item(item, level, names, walk)
    condition(select.having_clause, level, walk)
    for item in select.window_clause:
        window(item.window_def, level, walk)
    _order(select, level, columns, walk)
    copy_conjuncts(select, level, walk)
    if implied:
        grouping.extend(select, implied, level, walk)
    aggregates.block(select, level, walk)
    return columns


def _refuse_catalogue_product(select: SelectStmt, level: Level) -> None:
    """Every pair of catalogue rows is never what reflection asks for, and it is work without bound for the server."""
    views = [
        source for source in level.sources if source.use is not None and isinstance(source.use.relation, SystemView)
    ]
    if len(views) > 1 and len(select.from_clause) > 1 and select.where_clause.WhichOneof("node") is None:
        refuse(
            "statement_not_allowed", "catalogue relations can only be combined by a condition", "JOIN … ON, or WHERE"
        )


def target_list(targets: Sequence[Node], level: Level, walk: Walk) -> Columns:
    """Walk a select list, naming every unnamed column as PostgreSQL would have named it."""
    columns: list[tuple[str, Fact]] = []
    for item in targets:
        target = item.res_target
        starred = composite_star(target.val, level, walk) or star(target.val, level)
        if starred is not None:
            columns += starred
            continue
        name = target.name or output_name(target.val)
        named = reg_type(target.val)  # shown by name, as a client would see it
        fact = shown_reg(target.val, named, level, walk, "text") if named else expression(target.val, level, walk)
        columns.append((name, fact))
        if not target.name and name != UNNAMED:
            target.name = name
    return tuple(columns)


def _sort_key(node: Node, level: Level, outputs: set[str], walk: Walk) -> None:
    """A key of ORDER BY or DISTINCT ON: a position, else an output name, else an expression over the input."""
    if not is_position(node) and bare_name(node) not in outputs:
        expression(node, level, walk)


def _order(select: SelectStmt, level: Level, columns: Columns, walk: Walk) -> None:
    check_sort(select.sort_clause)
    outputs = {name for name, _ in columns}
    for item in select.sort_clause:
        _sort_key(item.sort_by.node, level, outputs, walk)


def _locking(select: SelectStmt, level: Level, walk: Walk) -> None:
    """FOR UPDATE and its kin lock rows against others: only where the session may update them."""
    for item in select.locking_clause:
        walk.locks = True
        names = [relation.range_var.relname for relation in item.locking_clause.locked_rels]
        sources = [source for source in level.sources if not names or source.alias in names]
        if len({source.alias for source in sources}) < len(set(names)):
            refuse("resource_unknown", "FOR UPDATE OF names a relation that is not in FROM")
        for source in sources:
            if source.use is None:
                refuse("syntax_not_supported", "row locks are only supported on tables named in FROM")
            relation = source.use.relation
            if not isinstance(relation, ScopedRelation) or not relation.scope.updates:
                refuse("action_not_granted", f"locking rows of `{source.alias}` needs the right to update them")
            if "update" in relation.scope.held:
                refuse("needs_approval", f"locking rows of `{source.alias}` needs an approval, as updating them does")
            if not (source.target or relation.through or _updates_all(relation)):
                refuse(
                    "syntax_not_supported",
                    f"not all rows of `{source.alias}` that can be read can be updated",
                    "locking rows in a query over this table alone",
                )


def _updates_all(relation: ScopedRelation) -> bool:
    """Whether every row that can be read can be updated."""
    filters = [grant.filter for grant in relation.scope.updates]
    return RowFilter() in filters or all(grant.filter in filters for grant in relation.scope.reads)
