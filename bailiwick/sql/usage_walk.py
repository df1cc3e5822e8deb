"""Finds what a statement uses in its tree. Pure; only for texts that `parser.scan` let pass.

It describes and decides nothing: what it does not understand of an expression counts as read, and a condition that not
every row had to meet (below OR, in the ON of an outer join for the other side) is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.message import Message
from postgast.pg_query_pb2 import (
    A_Const,
    A_Expr,
    ColumnRef,
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
from bailiwick.model.observation import Comparison, Link
from bailiwick.sql.parser import on_stack, parse, scan
from bailiwick.sql.usage import Known, Operand, Parameter, Role, Tables, UsedCondition, UsedTable, Using, Written

_SYSTEM = ("pg_catalog", "information_schema")
_RANGES = frozenset({"<", "<=", ">", ">="})
_NEGATED = frozenset({"<>", "!="})
_ISSUES = (RecursionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a tree of a form that is not foreseen here ends in: what it uses cannot be told."""


Statement = tuple[UsedTable, ...]
"""What one statement uses."""


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
        walk.statement(node)
    except _ISSUES:
        return None
    writes = [each for each in walk.uses if each.verb != "read"]
    own = writes[0] if len(writes) == 1 else walk.uses[0] if walk.row_by_row and len(walk.uses) == 1 else None
    return tuple(each.done(counts=each is own) for each in walk.uses)


Origins = tuple[tuple[Using, str], ...]
"""The columns of tables that a column is, in clear."""


@dataclass(eq=False, slots=True)
class _Source:
    """One item of FROM. `columns` None: a table of which nothing is known."""

    alias: str
    columns: dict[str, Origins] | None
    use: Using | None = None

    def get(self, name: str) -> Origins | None:
        """Return what a column of that name is; None: it has none."""
        if self.columns is None:
            return ((self.use, name),) if self.use is not None else ()
        return self.columns.get(name)

    def has(self, use: Using) -> bool:
        """Return whether rows of a use of a table come from it."""
        if self.use is not None or self.columns is None:
            return self.use is use
        return any(each is use for origins in self.columns.values() for each, _ in origins)

    def starred(self) -> list[tuple[str, Origins]]:
        """Return what `*` stands for."""
        return list((self.columns or {}).items())


@dataclass(eq=False, slots=True)
class _Level:
    """The names of one query."""

    outer: _Level | None = None
    sources: list[_Source] = field(default_factory=list[_Source])
    ctes: dict[str, dict[str, Origins]] = field(default_factory=dict[str, "dict[str, Origins]"])
    binding: bool = False
    """Whether what its rows meet is met by those of the query around it as well: it stands there in an EXISTS."""

    def binds(self, use: Using, only: frozenset[str] | None) -> bool:
        """Return whether a condition here is one of the rows of that use."""
        if any(source.has(use) for source in self.sources if only is None or source.alias in only):
            return True
        return self.binding and self.outer is not None and self.outer.binds(use, None)

    def cte(self, name: str) -> dict[str, Origins] | None:
        """Return the columns of a WITH query."""
        level: _Level | None = self
        while level is not None:
            if name in level.ctes:
                return level.ctes[name]
            level = level.outer
        return None

    def column(self, names: Sequence[str]) -> Origins:
        """Return what a reference stands for; nothing where that is not known."""
        level: _Level | None = self
        while level is not None:
            mine = [each for each in level.sources if len(names) == 1 or each.alias == names[-2]]
            sure = [each for each in mine if each.columns is not None]
            for each in (*sure, *(mine if len(mine) == len(sure) + 1 else ())):
                found = each.get(names[-1])
                if found is not None:
                    return found
            level = level.outer
        return ()


Columns = list[tuple[str, Origins]]


class _Walk:
    """What was found so far."""

    def __init__(self, tables: Tables, search: Sequence[str]) -> None:
        self._tables = tables
        self._search = search
        self.uses: list[Using] = []
        self.row_by_row = False
        """Whether each row of the result is a row of the table, if it is the only one."""

    # --- statements ---

    def statement(self, node: Node, level: _Level | None = None) -> Columns:
        """Walk a statement; return the columns of its result."""
        level = level or _Level()
        kind = node.WhichOneof("node")
        match kind:
            case "select_stmt":
                stmt = node.select_stmt
                found = self.query(stmt, level)
                self._mark("read", (origin for _, origin in found))
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
                return self.statement(node.copy_stmt.query, level) if node.copy_stmt.HasField("query") else []
            case "declare_cursor_stmt":
                return self.statement(node.declare_cursor_stmt.query, level)
            case "prepare_stmt":
                return self.statement(node.prepare_stmt.query, level)
            case "explain_stmt":
                return self.statement(node.explain_stmt.query, level)
            case _:
                return []

    def _insert(self, stmt: InsertStmt, level: _Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        use, source = self._target(stmt.relation, "create")
        if use is None:
            return []
        names = [each.res_target.name for each in stmt.cols] or list(use.known.columns)
        self._inserted(use, names, stmt.select_stmt, inner)
        found = _Level(inner, [source])
        conflict = stmt.on_conflict_clause
        if conflict.target_list:
            again, _ = self._target(stmt.relation, "update")
            if again is not None:
                excluded = _Source("excluded", dict.fromkeys(use.known.columns, ()))
                own = _Source(source.alias, {name: ((again, name),) for name in use.known.columns}, again)
                within = _Level(inner, [own, excluded])
                self._assigned(again, conflict.target_list, within)
                self._conditions(conflict.where_clause, within)
        return self._returning(stmt.returning_clause.exprs, found)

    def _inserted(self, use: Using, names: Sequence[str], values: Node, level: _Level) -> None:
        stmt = values.select_stmt
        if stmt.values_lists:
            for row in stmt.values_lists:
                for name, item in zip(names, row.list.items, strict=False):
                    if item.WhichOneof("node") != "set_to_default":
                        use.put(name, operand(item))
                        self._expression(item, level)
            return
        if values.WhichOneof("node") == "select_stmt":
            columns = self.query(stmt, _Level(level))
            self._mark("read", (origin for _, origin in columns))
            for name, _ in zip(names, columns, strict=False):
                use.put(name, None)

    def _update(self, stmt: UpdateStmt, level: _Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        use, source = self._target(stmt.relation, "update")
        if use is None:
            return []
        found = _Level(inner, [source])
        self._from(stmt.from_clause, found)
        self._assigned(use, stmt.target_list, found)
        self._conditions(stmt.where_clause, found)
        return self._returning(stmt.returning_clause.exprs, found)

    def _delete(self, stmt: DeleteStmt, level: _Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        use, source = self._target(stmt.relation, "delete")
        if use is None:
            return []
        found = _Level(inner, [source])
        self._from(stmt.using_clause, found)
        self._conditions(stmt.where_clause, found)
        return self._returning(stmt.returning_clause.exprs, found)

    def _merge(self, stmt: MergeStmt, level: _Level) -> Columns:
        inner = self._with(stmt.with_clause, level)
        _, target = self._target(stmt.relation, "read")
        found = _Level(inner, [target])
        self._from([stmt.source_relation], found)
        self._conditions(stmt.join_condition, found, only=frozenset({target.alias}))
        for each in stmt.merge_when_clauses:
            when = each.merge_when_clause
            self._expression(when.condition, found, "filtered")
            verb = _COMMANDS.get(when.command_type)
            use = None if verb is None else self._target(stmt.relation, verb)[0]
            if use is None:
                continue
            if verb == "create":
                names = [item.res_target.name for item in when.target_list] or list(use.known.columns)
                for name, value in zip(names, when.values, strict=False):
                    use.put(name, operand(value))
                    self._expression(value, found)
            else:
                self._assigned(use, when.target_list, found)
        return self._returning(stmt.returning_clause.exprs, found)

    def _assigned(self, use: Using, targets: Iterable[Node], level: _Level) -> None:
        for each in targets:
            value = each.res_target.val
            if value.WhichOneof("node") == "multi_assign_ref":
                row, number = value.multi_assign_ref.source, value.multi_assign_ref.colno
                parts = row.row_expr.args
                value = parts[number - 1] if len(parts) >= number else row
            use.put(each.res_target.name, operand(value))
            self._expression(value, level)

    def _returning(self, targets: Iterable[Node], level: _Level) -> Columns:
        found = self._targets(targets, level)
        self._mark("read", (origin for _, origin in found))
        return found

    def _target(self, relation: RangeVar, verb: str) -> tuple[Using | None, _Source]:
        alias = relation.alias.aliasname or relation.relname
        use = self._use(relation, verb)
        if use is None:
            return None, _Source(alias, {})
        return use, _Source(alias, _own(use), use)

    # --- queries ---

    def query(self, stmt: SelectStmt, level: _Level) -> Columns:
        """Walk a query; return its columns, of which nothing is marked yet that is only passed on."""
        inner = self._with(stmt.with_clause, level)
        binding = level.binding
        if stmt.op > 1:  # UNION, INTERSECT, EXCEPT
            left, right = self.query(stmt.larg, _Level(inner)), self.query(stmt.rarg, _Level(inner))
            both = [(name, mine + other) for (name, mine), (_, other) in zip(left, right, strict=False)]
            if not stmt.all:
                self._mark("compared", (origin for _, origin in both))
            return both
        if stmt.values_lists:
            for row in stmt.values_lists:
                for item in row.list.items:
                    self._expression(item, inner)
            first = stmt.values_lists[0].list.items
            return [(f"column{place}", ()) for place in range(1, len(first) + 1)]
        found = _Level(inner if inner is not level else level.outer if binding else level, [], {}, binding)
        self._from(stmt.from_clause, found)
        self._conditions(stmt.where_clause, found)
        columns = self._targets(stmt.target_list, found)
        self._expression(stmt.having_clause, found)
        named = dict(columns)
        for item in (*stmt.group_clause, *(each.sort_by.node for each in stmt.sort_clause)):
            self._sorted(item, columns, named, found)
        for item in stmt.distinct_clause:
            if item.WhichOneof("node") is None:
                self._mark("compared", (origin for _, origin in columns))
            else:
                self._sorted(item, columns, named, found)
        for item in (stmt.limit_count, stmt.limit_offset):
            self._expression(item, found)
        return columns

    def _sorted(self, item: Node, columns: Columns, named: Mapping[str, Origins], level: _Level) -> None:
        """Walk what is grouped or ordered by: a place, a name of the result, or an expression."""
        if item.WhichOneof("node") == "a_const" and item.a_const.WhichOneof("val") == "ival":
            place = item.a_const.ival.ival
            if 1 <= place <= len(columns):
                self._mark("compared", [columns[place - 1][1]])
            return
        reference = _reference(item)
        if reference is not None and len(reference) == 1 and not level.column(reference):
            self._mark("compared", [named.get(reference[0], ())])
            return
        self._expression(item, level, "compared")

    def _with(self, clause: WithClause, level: _Level) -> _Level:
        if not clause.ctes:
            return level
        inner = _Level(level)
        for each in clause.ctes:
            cte = each.common_table_expr
            if clause.recursive:
                inner.ctes[cte.ctename] = {}
            kind = cte.ctequery.WhichOneof("node")
            query = cte.ctequery
            found = self.query(query.select_stmt, inner) if kind == "select_stmt" else self.statement(query, inner)
            names = [part.string.sval for part in cte.aliascolnames]
            inner.ctes[cte.ctename] = dict(_renamed(found, names))
        return inner

    def _from(self, items: Iterable[Node], level: _Level) -> None:
        for item in items:
            self._item(item, level)

    def _item(self, item: Node, level: _Level) -> list[_Source]:
        """Walk one item of FROM; return the sources that it added."""
        match item.WhichOneof("node"):
            case "range_var":
                return self._relation(item.range_var, level)
            case "join_expr":
                return self._join(item.join_expr, level)
            case "range_subselect":
                sub = item.range_subselect
                beside = level if sub.lateral else _Level(level.outer, [], level.ctes)
                columns = self.query(sub.subquery.select_stmt, _Level(beside))
                names = [part.string.sval for part in sub.alias.colnames]
                added = [_Source(sub.alias.aliasname, dict(_renamed(columns, names)))]
                level.sources += added
                return added
            case "range_table_sample":
                return self._item(item.range_table_sample.relation, level)
            case "range_function":
                for each in item.range_function.functions:
                    self._expression(each, level)
                added = [_Source(item.range_function.alias.aliasname, {})]
                level.sources += added
                return added
            case _:
                self._expression(item, level)
                return []

    def _relation(self, relation: RangeVar, level: _Level) -> list[_Source]:
        alias = relation.alias.aliasname or relation.relname
        names = [part.string.sval for part in relation.alias.colnames]
        cte = None if relation.schemaname else level.cte(relation.relname)
        if cte is not None:
            added = [_Source(alias, dict(_renamed(list(cte.items()), names)))]
        else:
            use = self._use(relation, "read")
            if use is None:
                added = [_Source(alias, {})]
            else:
                own = _own(use)
                added = [_Source(alias, own if own is None else dict(_renamed(list(own.items()), names)), use)]
        level.sources += added
        return added

    def _join(self, join: JoinExpr, level: _Level) -> list[_Source]:
        left, right = self._item(join.larg, level), self._item(join.rarg, level)
        sides = {JoinType.JOIN_LEFT: right, JoinType.JOIN_RIGHT: left, JoinType.JOIN_FULL: []}
        only = None if join.jointype not in sides else frozenset(each.alias for each in sides[join.jointype])
        if join.HasField("quals"):
            self._conditions(join.quals, level, only=only, role="joined")
        shared = [part.string.sval for part in join.using_clause]
        if join.is_natural:
            mine = {name for each in left for name in each.columns or {}}
            shared = [name for each in right for name in each.columns or {} if name in mine]
        for name in shared:
            first = _first(each.get(name) for each in left)
            second = _first(each.get(name) for each in right)
            self._linked(first, second)
        return [*left, *right]

    def _targets(self, targets: Iterable[Node], level: _Level) -> Columns:
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
                names = _names(value.column_ref)
                whole = next((s for s in level.sources if len(names) == 1 and s.alias == names[0]), None)
                origins = level.column(names)
                if whole is not None and not origins:  # the row as a whole
                    self._mark("read", (origin for _, origin in whole.starred()))
                found.append((name or names[-1], origins))
                continue
            self._expression(value, level)
            found.append((name, ()))
        return found

    # --- conditions ---

    def _conditions(
        self, node: Node, level: _Level, *, only: frozenset[str] | None = None, role: Role = "filtered"
    ) -> None:
        """Walk what every row has to meet; with `only`, those of these sources alone."""
        kind = node.WhichOneof("node")
        if kind is None:
            return
        if kind == "bool_expr" and node.bool_expr.boolop == 1:
            for each in node.bool_expr.args:
                self._conditions(each, level, only=only, role=role)
            return
        if kind == "a_expr" and self._compared(node.a_expr, level, only, role):
            return
        if kind == "sub_link" and node.sub_link.sub_link_type == 3 and self._member(node, level, only):
            return
        if kind == "sub_link" and node.sub_link.sub_link_type == 1 and only is None:
            self.query(node.sub_link.subselect.select_stmt, _Level(level, binding=True))
            return
        single = self._single(node, level)
        if single is not None:
            origins, comparison = single
            self._mark("filtered", [origins])
            self._meet(origins, UsedCondition("", comparison), level, only)
            return
        self._expression(node, level, role)

    def _single(self, node: Node, level: _Level) -> tuple[Origins, Comparison] | None:
        """Return the column that a condition is about alone, other than by an operator."""
        match node.WhichOneof("node"):
            case "null_test":
                reference, comparison = _reference(node.null_test.arg), "empty"
                comparison = "empty" if node.null_test.nulltesttype == 1 else "other"
            case "boolean_test":
                reference, comparison = _reference(node.boolean_test.arg), "other"
            case _:
                return None
        return None if reference is None else (level.column(reference), comparison)

    def _compared(self, node: A_Expr, level: _Level, only: frozenset[str] | None, role: Role) -> bool:
        """Take a comparison of a column; False: it is none."""
        left, right, name = node.lexpr, node.rexpr, node.name[-1].string.sval
        reference, other = _reference(left), _reference(right)
        if reference is not None and other is not None and node.kind == 1 and name == "=":
            first, second = level.column(reference), level.column(other)
            self._linked(first, second, level, only)
            return True
        if reference is None and other is not None and node.kind == 1:
            reference, left, right = other, right, left
            name = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(name, name)
        if reference is None:
            return False
        origins = level.column(reference)
        self._expression(right, level, role)
        condition = _condition(node, name, right)
        self._mark("filtered", [origins])
        self._meet(origins, condition, level, only)
        return True

    def _member(self, node: Node, level: _Level, only: frozenset[str] | None) -> bool:
        """Take `column IN (SELECT column …)`, a join by equality."""
        link = node.sub_link
        reference = _reference(link.testexpr)
        if reference is None or (link.oper_name and link.oper_name[-1].string.sval != "="):
            return False
        columns = self.query(link.subselect.select_stmt, _Level(level))
        origins = level.column(reference)
        self._linked(origins, columns[0][1] if columns else (), None if only is None else level, only)
        return True

    def _linked(
        self, first: Origins, second: Origins, level: _Level | None = None, only: frozenset[str] | None = None
    ) -> None:
        for mine, other in ((first, second), (second, first)):
            for use, column in mine:
                use.mark("joined", column)
                allowed = level is None or level.binds(use, only)
                if allowed and len(mine) == 1 and len(other) == 1 and other[0][0] is not use:
                    use.links[Link(column, other[0][0].name, other[0][1])] = None

    def _meet(self, origins: Origins, condition: UsedCondition, level: _Level, only: frozenset[str] | None) -> None:
        if len(origins) != 1:
            return
        use, column = origins[0]
        if not level.binds(use, only):
            return
        use.conditions[replace(condition, field=column)] = None

    # --- expressions ---

    def _expression(self, node: Message, level: _Level, role: Role = "read") -> None:
        """Walk an expression: every column in it has the role, those that are only counted or sorted another one."""
        if isinstance(node, Node):
            kind = node.WhichOneof("node")
            if kind is None or kind == "a_const":
                return
            inner: Message = getattr(node, kind)
            if kind == "column_ref":
                self._mark(role, [self._referred(node.column_ref, level)])
                return
            if kind == "sub_link":
                self._expression(node.sub_link.testexpr, level, role)
                columns = self.query(node.sub_link.subselect.select_stmt, _Level(level))
                if node.sub_link.sub_link_type != 1:  # of EXISTS nothing is seen
                    self._mark(role, (origin for _, origin in columns))
                return
            if kind == "func_call":
                call = node.func_call
                counts = call.funcname[-1].string.sval == "count"
                for each in call.args:
                    self._expression(each, level, "counted" if counts and _reference(each) else role)
                self._expression(call.agg_filter, level, "filtered")
                for each in (*call.agg_order, *call.over.partition_clause, *call.over.order_clause):
                    self._expression(each, level, "compared")
                return
            if kind == "sort_by":
                self._expression(node.sort_by.node, level, role)
                return
            self._expression(inner, level, role)
            return
        for child in _children(node):
            self._expression(child, level, role)

    def _referred(self, reference: ColumnRef, level: _Level) -> Origins:
        """Return the columns that a reference within an expression stands for: a row as a whole has all of them."""
        if reference.fields[-1].WhichOneof("node") == "a_star":
            names = [part.string.sval for part in reference.fields[:-1]]
            rows = [each for each in level.sources if not names or each.alias == names[-1]]
        else:
            names = _names(reference)
            found = level.column(names)
            rows = [each for each in level.sources if not found and len(names) == 1 and each.alias == names[0]]
            if found:
                return found
        return tuple(origin for each in rows for _, origins in each.starred() for origin in origins)

    def _mark(self, role: Role, columns: Iterable[Origins]) -> None:
        for origins in columns:
            for use, column in origins:
                use.mark(role, column)

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


def _own(use: Using) -> dict[str, Origins] | None:
    return {name: ((use, name),) for name in use.known.columns} if use.known.columns else None


def _renamed(columns: Columns, names: Sequence[str]) -> Iterator[tuple[str, Origins]]:
    for place, (name, origins) in enumerate(columns):
        yield names[place] if place < len(names) else name, origins


def _first(found: Iterable[Origins | None]) -> Origins:
    return next((each for each in found if each), ())


def _names(reference: ColumnRef) -> list[str]:
    return [part.string.sval for part in reference.fields]


def _reference(node: Node) -> list[str] | None:
    """Return the names of a column that stands alone, whatever it is cast to."""
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    if node.WhichOneof("node") != "column_ref" or node.column_ref.fields[-1].WhichOneof("node") != "string":
        return None
    return _names(node.column_ref)


def _children(node: Message) -> Iterator[Message]:
    for described, value in node.ListFields():
        if described.message_type is None:
            continue
        if isinstance(value, Message):
            yield value
        else:
            yield from value


def _aggregates(node: Node) -> bool:
    """Whether an output is made of several rows, as far as its name tells."""
    call = node.res_target.val
    return call.WhichOneof("node") == "func_call" and not call.func_call.HasField("over")


def operand(node: Node) -> Operand | None:
    """Return the value that an expression is: a literal or a parameter, whatever it is cast to."""
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    match node.WhichOneof("node"):
        case "a_const":
            return _literal(node.a_const)
        case "param_ref" if node.param_ref.number > 0:
            return Parameter(node.param_ref.number)
        case _:
            return None


def _literal(constant: A_Const) -> Written | None:
    if constant.isnull:
        return Written("null", "")
    match constant.WhichOneof("val"):
        case "ival":
            return Written("integer", str(constant.ival.ival))
        case "fval":
            return Written("number", constant.fval.fval)
        case "sval":
            return Written("string", constant.sval.sval)
        case "boolval":
            return Written("boolean", "true" if constant.boolval.boolval else "false")
        case _:
            return None


def _condition(node: A_Expr, name: str, right: Node) -> UsedCondition:
    """Return what a comparison asks of its column."""
    value = operand(right)
    values = () if value is None else (value,)
    match node.kind:
        case 1:  # an operator
            comparison: Comparison = "equal" if name == "=" else "range" if name in _RANGES else "other"
            if name in _NEGATED or (comparison == "equal" and value is None):
                comparison, values = "other", ()
            return UsedCondition("", comparison, values)
        case 2 if name == "=":  # = ANY
            if isinstance(value, Parameter):
                return UsedCondition("", "one_of", (replace(value, listed=True),))
            elements = [operand(each) for each in right.a_array_expr.elements]
            return _one_of(elements)
        case 7 if name == "=":  # IN
            return _one_of([operand(each) for each in right.list.items])
        case 8:  # LIKE
            return _like(name, value)
        case 11:  # BETWEEN
            ends = [operand(each) for each in right.list.items]
            return UsedCondition("", "range", tuple(each for each in ends if each is not None))
        case _:
            return UsedCondition("", "other")


def _one_of(values: Sequence[Operand | None]) -> UsedCondition:
    known = tuple(each for each in values if each is not None)
    return UsedCondition("", "one_of", known) if known and len(known) == len(values) else UsedCondition("", "other")


def _like(name: str, value: Operand | None) -> UsedCondition:
    if name != "~~" or not isinstance(value, Written):
        return UsedCondition("", "like" if name == "~~" else "other", () if value is None else (value,))
    start = value.text.removesuffix("%")
    if value.text.endswith("%") and not any(mark in start for mark in "%_\\"):
        return UsedCondition("", "prefix", (Written("string", start),))
    return UsedCondition("", "like", (value,))
