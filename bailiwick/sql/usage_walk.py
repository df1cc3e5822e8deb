"""Finds what a statement uses in its tree. Pure; only for texts that `parser.scan` let pass.

It describes and decides nothing: what it does not understand of an expression counts as read, and a condition that not
every row had to meet (below OR, in the ON of an outer join for the other side) is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from postgast.pg_query_pb2 import (
    DeleteStmt,
    InsertStmt,
    JoinExpr,
    JoinType,
    MergeStmt,
    Node,
    RangeVar,
    SelectStmt,
    UpdateStmt,
    WithClause,
)

from bailiwick.model.decision import Denial
from bailiwick.sql.parser import on_stack, parse, scan
from bailiwick.sql.usage import Known, Shown, Statement, Tables, Using
from bailiwick.sql.usage_conditions import Expressions
from bailiwick.sql.usage_names import Columns, Level, Origins, Source, first_of, own_columns, renamed
from bailiwick.sql.usage_values import names_of, operand, reference_of

_SYSTEM = ("pg_catalog", "information_schema")
_ISSUES = (RecursionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a tree of a form that is not foreseen here ends in: what it uses cannot be told."""


def used_in(sql: str, tables: Tables, search: Sequence[str] = ("public",)) -> tuple[Statement, ...] | None:
    """Return what each statement of a text uses; None for a text that cannot be understood."""
    if scan(sql) is not None:
        return None

    def walked() -> tuple[Statement, ...] | None:
        tree = parse(sql)
        if isinstance(tree, Denial):
            return None
        found = [used_by(raw.stmt, tables, search) for raw in tree.stmts]
        return None if None in found else tuple(each for each in found if each is not None)

    return on_stack(sql, walked)


def used_by(node: Node, tables: Tables, search: Sequence[str] = ("public",)) -> Statement | None:
    """Return what a statement uses; None where it cannot be told. The tree is left as it is."""
    walk = _Walk(tables, search)
    try:
        columns = walk.statement(node)
    except _ISSUES:
        return None
    writes = [each for each in walk.uses if each.verb != "read"]
    own = writes[0] if len(writes) == 1 else walk.uses[0] if walk.row_by_row and len(walk.uses) == 1 else None
    places = {use: number for number, use in enumerate(walk.uses)}
    shown = tuple(_shown(places, origins) for _, origins in columns)
    return Statement(tuple(each.done(counts=each is own) for each in walk.uses), shown)


def _shown(places: Mapping[Using, int], origins: Origins) -> Shown | None:
    if len(origins) != 1:
        return None
    use, column = origins[0]
    return Shown(places[use], column, use.known.types.get(column, ""))


class _Walk:
    """What was found so far."""

    def __init__(self, tables: Tables, search: Sequence[str]) -> None:
        self._tables = tables
        self._search = search
        self._expressions = Expressions(self)
        self.uses: list[Using] = []
        self.row_by_row = False
        """Whether each row of the result is a row of the table, if it is the only one."""

    # --- statements ---

    def statement(self, node: Node, level: Level | None = None) -> Columns:
        """Walk a statement; return the columns of its result."""
        level = level or Level()
        kind = node.WhichOneof("node")
        match kind:
            case "select_stmt":
                stmt = node.select_stmt
                found = self.query(stmt, level)
                self._expressions.mark("read", (origin for _, origin in found))
                plain = not (stmt.group_clause or stmt.distinct_clause or stmt.having_clause.WhichOneof("node"))
                self.row_by_row = plain and stmt.op <= 1 and not any(map(_aggregates, stmt.target_list))
                return found
            case "insert_stmt":
                return self._insert(node.insert_stmt, level)
            case "update_stmt":
                return self._update(node.update_stmt, level)
            case "delete_stmt":
                return self._delete(node.delete_stmt, level)
            case "merge_stmt":
                return self._merge(node.merge_stmt, level)
            case "copy_stmt":
                if node.copy_stmt.HasField("query"):
                    self.statement(node.copy_stmt.query, level)
            case "declare_cursor_stmt":
                self.statement(node.declare_cursor_stmt.query, level)
            case "prepare_stmt":
                return self.statement(node.prepare_stmt.query, level)
            case "explain_stmt":
                self.statement(node.explain_stmt.query, level)
            case _:
                pass
        return []

    def _insert(self, stmt: InsertStmt, level: Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        use, source = self._target(stmt.relation, "create")
        if use is None:
            return []
        names = [each.res_target.name for each in stmt.cols] or list(use.known.columns)
        self._inserted(use, names, stmt.select_stmt, inner)
        found = Level(inner, [source])
        conflict = stmt.on_conflict_clause
        if conflict.target_list:
            again, _ = self._target(stmt.relation, "update")
            if again is not None:
                excluded = Source("excluded", dict.fromkeys(use.known.columns, ()))
                own = Source(source.alias, {name: ((again, name),) for name in use.known.columns}, again)
                within = Level(inner, [own, excluded])
                self._assigned(again, conflict.target_list, within)
                self._expressions.conditions(conflict.where_clause, within)
        return self._returning(stmt.returning_clause.exprs, found)

    def _inserted(self, use: Using, names: Sequence[str], values: Node, level: Level) -> None:
        stmt = values.select_stmt
        if stmt.values_lists:
            for row in stmt.values_lists:
                for name, item in zip(names, row.list.items, strict=False):
                    if item.WhichOneof("node") != "set_to_default":
                        use.put(name, operand(item))
                        self._expressions.expression(item, level)
            return
        if values.WhichOneof("node") == "select_stmt":
            columns = self.query(stmt, Level(level))
            self._expressions.mark("read", (origin for _, origin in columns))
            for name, _ in zip(names, columns, strict=False):
                use.put(name, None)

    def _update(self, stmt: UpdateStmt, level: Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        use, source = self._target(stmt.relation, "update")
        if use is None:
            return []
        found = Level(inner, [source])
        self._from(stmt.from_clause, found)
        self._assigned(use, stmt.target_list, found)
        self._expressions.conditions(stmt.where_clause, found)
        return self._returning(stmt.returning_clause.exprs, found)

    def _delete(self, stmt: DeleteStmt, level: Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        use, source = self._target(stmt.relation, "delete")
        if use is None:
            return []
        found = Level(inner, [source])
        self._from(stmt.using_clause, found)
        self._expressions.conditions(stmt.where_clause, found)
        return self._returning(stmt.returning_clause.exprs, found)

    def _merge(self, stmt: MergeStmt, level: Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        _, target = self._target(stmt.relation, "read")
        found = Level(inner, [target])
        self._from([stmt.source_relation], found)
        self._expressions.conditions(stmt.join_condition, found, only=frozenset({target.alias}))
        for each in stmt.merge_when_clauses:
            when = each.merge_when_clause
            self._expressions.expression(when.condition, found, "filtered")
            verb = _COMMANDS.get(when.command_type)
            use = None if verb is None else self._target(stmt.relation, verb)[0]
            if use is None:
                continue
            if verb == "create":
                names = [item.res_target.name for item in when.target_list] or list(use.known.columns)
                for name, value in zip(names, when.values, strict=False):
                    use.put(name, operand(value))
                    self._expressions.expression(value, found)
            else:
                self._assigned(use, when.target_list, found)
        return self._returning(stmt.returning_clause.exprs, found)

    def _assigned(self, use: Using, targets: Iterable[Node], level: Level) -> None:
        for each in targets:
            value = each.res_target.val
            if value.WhichOneof("node") == "multi_assign_ref":
                row, number = value.multi_assign_ref.source, value.multi_assign_ref.colno
                parts = row.row_expr.args
                value = parts[number - 1] if len(parts) >= number else row
            use.put(each.res_target.name, operand(value))
            self._expressions.expression(value, level)

    def _returning(self, targets: Iterable[Node], level: Level) -> Columns:
        found = self._targets(targets, level)
        self._expressions.mark("read", (origin for _, origin in found))
        return found

    def _target(self, relation: RangeVar, verb: str) -> tuple[Using | None, Source]:
        alias = relation.alias.aliasname or relation.relname
        use = self._use(relation, verb)
        if use is None:
            return None, Source(alias, {})
        return use, Source(alias, own_columns(use), use)

    # --- queries ---

    def query(self, stmt: SelectStmt, level: Level) -> Columns:
        """Walk a query; return its columns, of which nothing is marked yet that is only passed on."""
        inner = self._with(stmt.with_clause, level)
        binding = level.binding
        if stmt.op > 1:  # UNION, INTERSECT, EXCEPT
            left, right = self.query(stmt.larg, Level(inner)), self.query(stmt.rarg, Level(inner))
            both = [(name, mine + other) for (name, mine), (_, other) in zip(left, right, strict=False)]
            if not stmt.all:
                self._expressions.mark("compared", (origin for _, origin in both))
            return both
        if stmt.values_lists:
            for row in stmt.values_lists:
                for item in row.list.items:
                    self._expressions.expression(item, inner)
            first = stmt.values_lists[0].list.items
            return [(f"column{place}", ()) for place in range(1, len(first) + 1)]
        found = Level(inner if inner is not level else level.outer if binding else level, [], {}, binding)
        self._from(stmt.from_clause, found)
        self._expressions.conditions(stmt.where_clause, found)
        columns = self._targets(stmt.target_list, found)
        self._expressions.expression(stmt.having_clause, found)
        named = dict(columns)
        for item in (*stmt.group_clause, *(each.sort_by.node for each in stmt.sort_clause)):
            self._sorted(item, columns, named, found)
        for item in stmt.distinct_clause:
            if item.WhichOneof("node") is None:
                self._expressions.mark("compared", (origin for _, origin in columns))
            else:
                self._sorted(item, columns, named, found)
        for item in (stmt.limit_count, stmt.limit_offset):
            self._expressions.expression(item, found)
        return columns

    def _sorted(self, item: Node, columns: Columns, named: Mapping[str, Origins], level: Level) -> None:
        """Walk what is grouped or ordered by: a place, a name of the result, or an expression."""
        if item.WhichOneof("node") == "a_const" and item.a_const.WhichOneof("val") == "ival":
            place = item.a_const.ival.ival
            if 1 <= place <= len(columns):
                self._expressions.mark("compared", [columns[place - 1][1]])
            return
        reference = reference_of(item)
        if reference is not None and len(reference) == 1 and not level.column(reference):
            self._expressions.mark("compared", [named.get(reference[0], ())])
            return
        self._expressions.expression(item, level, "compared")

    def _with(self, clause: WithClause, level: Level) -> Level:
        if not clause.ctes:
            return level
        inner = Level(level)
        for each in clause.ctes:
            cte = each.common_table_expr
            if clause.recursive:
                inner.ctes[cte.ctename] = {}
            kind = cte.ctequery.WhichOneof("node")
            query = cte.ctequery
            found = self.query(query.select_stmt, inner) if kind == "select_stmt" else self.statement(query, inner)
            names = [part.string.sval for part in cte.aliascolnames]
            inner.ctes[cte.ctename] = dict(renamed(found, names))
        return inner

    def _from(self, items: Iterable[Node], level: Level) -> None:
        for item in items:
            self._item(item, level)

    def _item(self, item: Node, level: Level) -> list[Source]:
        """Walk one item of FROM; return the sources that it added."""
        match item.WhichOneof("node"):
            case "range_var":
                return self._relation(item.range_var, level)
            case "join_expr":
                return self._join(item.join_expr, level)
            case "range_subselect":
                sub = item.range_subselect
                beside = level if sub.lateral else Level(level.outer, [], level.ctes)
                columns = self.query(sub.subquery.select_stmt, Level(beside))
                names = [part.string.sval for part in sub.alias.colnames]
                added = [Source(sub.alias.aliasname, dict(renamed(columns, names)))]
                level.sources += added
                return added
            case "range_table_sample":
                return self._item(item.range_table_sample.relation, level)
            case "range_function":
                for each in item.range_function.functions:
                    self._expressions.expression(each, level)
                added = [Source(item.range_function.alias.aliasname, {})]
                level.sources += added
                return added
            case _:
                self._expressions.expression(item, level)
                return []

    def _relation(self, relation: RangeVar, level: Level) -> list[Source]:
        alias = relation.alias.aliasname or relation.relname
        names = [part.string.sval for part in relation.alias.colnames]
        cte = None if relation.schemaname else level.cte(relation.relname)
        if cte is not None:
            added = [Source(alias, dict(renamed(list(cte.items()), names)))]
        else:
            use = self._use(relation, "read")
            if use is None:
                added = [Source(alias, {})]
            else:
                own = own_columns(use)
                added = [Source(alias, own if own is None else dict(renamed(list(own.items()), names)), use)]
        level.sources += added
        return added

    def _join(self, join: JoinExpr, level: Level) -> list[Source]:
        left, right = self._item(join.larg, level), self._item(join.rarg, level)
        sides = {JoinType.JOIN_LEFT: right, JoinType.JOIN_RIGHT: left, JoinType.JOIN_FULL: []}
        only = None if join.jointype not in sides else frozenset(each.alias for each in sides[join.jointype])
        if join.HasField("quals"):
            self._expressions.conditions(join.quals, level, only=only, role="joined")
        shared = [part.string.sval for part in join.using_clause]
        if join.is_natural:
            mine = {name for each in left for name in each.columns or {}}
            shared = [name for each in right for name in each.columns or {} if name in mine]
        for name in shared:
            first = first_of(each.get(name) for each in left)
            second = first_of(each.get(name) for each in right)
            self._expressions.linked(first, second)
        return [*left, *right]

    def _targets(self, targets: Iterable[Node], level: Level) -> Columns:
        found: Columns = []
        for each in targets:
            value, name = each.res_target.val, each.res_target.name
            if value.WhichOneof("node") == "column_ref":
                parts = value.column_ref.fields
                if parts[-1].WhichOneof("node") == "a_star":
                    alias = parts[-2].string.sval if len(parts) > 1 else None
                    for source in level.sources:
                        if alias in (None, source.alias):
                            found += source.starred()
                    continue
                names = names_of(value.column_ref)
                whole = next((s for s in level.sources if len(names) == 1 and s.alias == names[0]), None)
                origins = level.column(names)
                if whole is not None and not origins:  # the row as a whole
                    self._expressions.mark("read", (origin for _, origin in whole.starred()))
                found.append((name or names[-1], origins))
                continue
            self._expressions.expression(value, level)
            found.append((name, ()))
        return found

    def _use(self, relation: RangeVar, verb: str) -> Using | None:
        """Return a new use of a relation; None for one of the system's own."""
        schemas = (relation.schemaname,) if relation.schemaname else (*self._search,)
        for schema in schemas:
            known = self._tables.get((schema, relation.relname))
            if known is not None:
                return self._added(Using((schema, relation.relname), known, verb))
        system = relation.schemaname in _SYSTEM or (not relation.schemaname and relation.relname.startswith("pg_"))
        if system:
            return None
        place = (relation.schemaname or self._search[0], relation.relname)
        return self._added(Using(place, Known("", ()), verb))

    def _added(self, use: Using) -> Using:
        self.uses.append(use)
        return use


_COMMANDS: Mapping[int, str] = {3: "update", 4: "create", 5: "delete"}
"""`CmdType` of a MERGE's action → its verb."""


def _aggregates(node: Node) -> bool:
    """Whether an output is made of several rows, as far as its name tells."""
    call = node.res_target.val
    return call.WhichOneof("node") == "func_call" and not call.func_call.HasField("over")
