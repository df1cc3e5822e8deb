"""The expressions of a statement that is walked: what every row has to meet, and columns by role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from google.protobuf.message import Message
from postgast.pg_query_pb2 import A_Expr, ColumnRef, Node, SelectStmt

from bailiwick.model.observation import Comparison, Link
from bailiwick.sql.usage import Role, UsedCondition
from bailiwick.sql.usage_names import Columns, Level, Origins
from bailiwick.sql.usage_values import condition_of, names_of, reference_of


class Queries(Protocol):
    """Walks the queries within expressions."""

    def query(self, stmt: SelectStmt, level: Level) -> Columns:
        """Walk a query; return its columns, of which nothing is marked yet that is only passed on."""
        ...


class Expressions:
    """Walks expressions, and has the queries in them walked."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    # --- conditions ---

    def conditions(
        self, node: Node, level: Level, *, only: frozenset[str] | None = None, role: Role = "filtered"
    ) -> None:
        """Walk what every row has to meet; with `only`, those of these sources alone."""
        kind = node.WhichOneof("node")
        if kind is None:
            return
        if kind == "bool_expr" and node.bool_expr.boolop == 1:
            for each in node.bool_expr.args:
                self.conditions(each, level, only=only, role=role)
            return
        if kind == "a_expr" and self._compared(node.a_expr, level, only, role):
            return
        if kind == "sub_link" and node.sub_link.sub_link_type == 3 and self._member(node, level, only):
            return
        if kind == "sub_link" and node.sub_link.sub_link_type == 1 and only is None:
            self._queries.query(node.sub_link.subselect.select_stmt, Level(level, binding=True))
            return
        single = self._single(node, level)
        if single is not None:
            origins, comparison = single
            self.mark("filtered", [origins])
            self._meet(origins, UsedCondition("", comparison), level, only)
            return
        self.expression(node, level, role)

    def _single(self, node: Node, level: Level) -> tuple[Origins, Comparison] | None:
        """Return the column that a condition is about alone, other than by an operator."""
        match node.WhichOneof("node"):
            case "null_test":
                reference, comparison = reference_of(node.null_test.arg), "empty"
                comparison = "empty" if node.null_test.nulltesttype == 1 else "other"
            case "boolean_test":
                reference, comparison = reference_of(node.boolean_test.arg), "other"
            case _:
                return None
        return None if reference is None else (level.column(reference), comparison)

    def _compared(self, node: A_Expr, level: Level, only: frozenset[str] | None, role: Role) -> bool:
        """Take a comparison of a column; False: it is none."""
        left, right, name = node.lexpr, node.rexpr, node.name[-1].string.sval
        reference, other = reference_of(left), reference_of(right)
        if reference is not None and other is not None and node.kind == 1 and name == "=":
            first, second = level.column(reference), level.column(other)
            self.linked(first, second, level, only)
            return True
        if reference is None and other is not None and node.kind == 1:
            reference, left, right = other, right, left
            name = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(name, name)
        if reference is None:
            return False
        origins = level.column(reference)
        self.expression(right, level, role)
        condition = condition_of(node, name, right)
        self.mark("filtered", [origins])
        self._meet(origins, condition, level, only)
        return True

    def _member(self, node: Node, level: Level, only: frozenset[str] | None) -> bool:
        """Take `column IN (SELECT column …)`, a join by equality."""
        link = node.sub_link
        reference = reference_of(link.testexpr)
        if reference is None or (link.oper_name and link.oper_name[-1].string.sval != "="):
            return False
        columns = self._queries.query(link.subselect.select_stmt, Level(level))
        origins = level.column(reference)
        self.linked(origins, columns[0][1] if columns else (), None if only is None else level, only)
        return True

    def linked(
        self, first: Origins, second: Origins, level: Level | None = None, only: frozenset[str] | None = None
    ) -> None:
        for mine, other in ((first, second), (second, first)):
            for use, column in mine:
                use.mark("joined", column)
                allowed = level is None or level.binds(use, only)
                if allowed and len(mine) == 1 and len(other) == 1 and other[0][0] is not use:
                    use.links[Link(column, other[0][0].name, other[0][1])] = None

    def _meet(self, origins: Origins, condition: UsedCondition, level: Level, only: frozenset[str] | None) -> None:
        if len(origins) != 1:
            return
        use, column = origins[0]
        if not level.binds(use, only):
            return
        use.conditions[replace(condition, field=column)] = None

    # --- expressions ---

    def expression(self, node: Message, level: Level, role: Role = "read") -> None:
        """Walk an expression: every column in it has the role, those that are only counted or sorted another one."""
        if isinstance(node, Node):
            kind = node.WhichOneof("node")
            if kind is None or kind == "a_const":
                return
            inner: Message = getattr(node, kind)
            if kind == "column_ref":
                self.mark(role, [self._referred(node.column_ref, level)])
                return
            if kind == "sub_link":
                self.expression(node.sub_link.testexpr, level, role)
                columns = self._queries.query(node.sub_link.subselect.select_stmt, Level(level))
                if node.sub_link.sub_link_type != 1:  # of EXISTS nothing is seen
                    self.mark(role, (origin for _, origin in columns))
                return
            if kind == "func_call":
                call = node.func_call
                counts = call.funcname[-1].string.sval == "count"
                for each in call.args:
                    self.expression(each, level, "counted" if counts and reference_of(each) else role)
                self.expression(call.agg_filter, level, "filtered")
                for each in (*call.agg_order, *call.over.partition_clause, *call.over.order_clause):
                    self.expression(each, level, "compared")
                return
            if kind == "sort_by":
                self.expression(node.sort_by.node, level, role)
                return
            self.expression(inner, level, role)
            return
        for child in _children(node):
            self.expression(child, level, role)

    def _referred(self, reference: ColumnRef, level: Level) -> Origins:
        """Return the columns that a reference within an expression stands for: a row as a whole has all of them."""
        if reference.fields[-1].WhichOneof("node") == "a_star":
            names = [part.string.sval for part in reference.fields[:-1]]
            rows = [each for each in level.sources if not names or each.alias == names[-1]]
        else:
            names = names_of(reference)
            found = level.column(names)
            rows = [each for each in level.sources if not found and len(names) == 1 and each.alias == names[0]]
            if found:
                return found
        return tuple(origin for each in rows for _, origins in each.starred() for origin in origins)

    def mark(self, role: Role, columns: Iterable[Origins]) -> None:
        for origins in columns:
            for use, column in origins:
                use.mark(role, column)


def _children(node: Message) -> Iterator[Message]:
    for described, value in node.ListFields():
        if described.message_type is None:
            continue
        if isinstance(value, Message):
            yield value
        else:
            yield from value
