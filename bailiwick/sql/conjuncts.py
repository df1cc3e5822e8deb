"""Conditions of the agent that may be evaluated within a fence: leakproof, on one relation alone (SQL-RULES 17).

Those of WHERE and of inner joins, those of an outer join on its optional side, and what follows from them: where
`a.x = b.y` holds for every row that comes out, `a.x = $1` is also one on `b.y`. The server concludes the same, but
cannot take it below a fence.

INVARIANT: what is copied changes no result. Every row that the copy keeps away would have failed the condition that it
was taken or concluded from; and so does each row that an outer join makes in its stead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import JoinExpr, Node, SelectStmt

from bailiwick.sql.environment import UNTYPED, Fact, Level, Source, Use, Walk
from bailiwick.sql.expressions import expression, is_leakproof
from bailiwick.sql.system import SystemView
from bailiwick.sql.trees import copied

_MOST = 256
"""Comparisons times equalities; with more than that nothing is concluded."""
_Column = tuple[Use, str]


@dataclass(slots=True)
class _Known:
    """What is known of the rows that come out of a query."""

    comparisons: list[tuple[_Column, Node]] = field(default_factory=list["tuple[_Column, Node]"])
    """Column = value."""
    follows: list[tuple[_Column, _Column]] = field(default_factory=list[tuple[_Column, _Column]])
    """If the first column has a value in every row that comes out, the second has the same or none: none is seen."""


def copy_conjuncts(select: SelectStmt, level: Level, walk: Walk) -> None:
    """Remember the conditions: inside a fence they keep index look-ups."""
    _Reader(level, walk, all(map(_is_plain, select.from_clause))).read(select)


class _Reader:
    """Reads the conditions of one query. `plain`: all of its joins are inner or left ones, without an alias."""

    def __init__(self, level: Level, walk: Walk, plain: bool) -> None:
        self._level = level
        self._walk = walk
        self._plain = plain
        self._known = _Known()

    def read(self, select: SelectStmt) -> None:
        """Give each relation its conditions."""
        self._hold(_conjuncts(select.where_clause))
        if self._plain:
            for item in select.from_clause:
                self._joined(item)
        known = self._known
        if known.comparisons and 0 < len(known.comparisons) * len(known.follows) <= _MOST:
            for column, node in known.comparisons:
                self._conclude(column, node)

    def _conclude(self, column: _Column, node: Node) -> None:
        reached, waiting = {column}, [column]
        while waiting:
            here = waiting.pop()
            for first, second in self._known.follows:
                if first == here and second not in reached:
                    reached.add(second)
                    waiting.append(second)
                    second[0].copies.append(_about(node, second[1]))

    def _hold(self, nodes: Iterable[Node]) -> None:
        """Learn from conditions that hold for every row that comes out."""
        for node in nodes:
            column = self._compared(node)
            if column is not None:
                column[0].copies.append(copied(node))
                if node.a_expr.name[0].string.sval == "=":
                    self._known.comparisons.append((column, node))
            elif (both := self._equal(node)) is not None:
                self._known.follows += ((both[0], both[1]), (both[1], both[0]))

    def _joined(self, item: Node) -> None:
        """Learn from the joins of an item of FROM, as far as their conditions hold for every row that comes out."""
        if not item.HasField("join_expr"):
            return
        join = item.join_expr
        self._joined(join.larg)
        left, right = self._sources(join.larg), self._sources(join.rarg)
        shared = [(self._own(name, left), self._own(name, right)) for name in _shared(join)]
        follows = [(a, b) for a, b in shared if a is not None and b is not None and _same_type(a, b)]
        if join.jointype == pb.JOIN_INNER:
            self._joined(join.rarg)
            self._hold(_conjuncts(join.quals))
            self._known.follows += [(b, a) for a, b in follows]
        else:
            self._optional(join, [source.use for source in left], [source.use for source in right])
        self._known.follows += follows

    def _optional(self, join: JoinExpr, left: Sequence[Use | None], right: Sequence[Use | None]) -> None:
        """Learn from the condition of a left join, which says something of its right side only."""
        for node in _conjuncts(join.quals):
            column, both = self._compared(node), self._equal(node)
            if column is not None and column[0] in right:
                column[0].copies.append(copied(node))
            for first, second in () if both is None else ((both[0], both[1]), (both[1], both[0])):
                if first[0] in left and second[0] in right:
                    self._known.follows.append((first, second))

    def _sources(self, item: Node) -> list[Source]:
        """Return the relations that an item of FROM joins, from left to right."""
        if item.HasField("join_expr"):
            return self._sources(item.join_expr.larg) + self._sources(item.join_expr.rarg)
        named = item.range_var
        alias = named.alias.aliasname or named.relname
        return [source for source in self._level.sources if source.alias == alias and source.use is not None]

    def _own(self, name: str, sources: Sequence[Source]) -> _Column | None:
        """Return the column that a shared name stands for on one side of a join: that of the leftmost relation."""
        found = [source for source in sources if name in source.columns]
        return _plain_column(found[0], name) if found else None

    def _column(self, node: Node) -> _Column | None:
        """Return the relation of this very query and its column that a reference names."""
        if not node.HasField("column_ref"):
            return None
        names = [part.string.sval for part in node.column_ref.fields]
        if len(names) > 1:
            source = self._level.find(names[-2])
            found = [] if source is None else [source]
        else:
            found = self._level.having(names[-1])
        if not found or (len(found) > 1 and not self._plain) or found[0] not in self._level.sources:
            return None
        return _plain_column(found[0], names[-1])

    def _equal(self, node: Node) -> tuple[_Column, _Column] | None:
        """Return the columns of `column = column`, of one type and both shown as they are."""
        expr = node.a_expr
        if not node.HasField("a_expr") or expr.kind != pb.AEXPR_OP or _operator(node) != "=":
            return None
        left, right = self._column(expr.lexpr), self._column(expr.rexpr)
        return (left, right) if left is not None and right is not None and _same_type(left, right) else None

    def _compared(self, node: Node) -> _Column | None:
        """Return the column when the node is `column op constant-or-parameter`, leakproof, over one clear column."""
        expr = node.a_expr
        if not node.HasField("a_expr") or expr.kind != pb.AEXPR_OP or not _operator(node):
            return None
        if not (expr.rexpr.HasField("a_const") or expr.rexpr.HasField("param_ref")):
            return None
        column = self._column(expr.lexpr)
        type_name = "" if column is None else _type(column)
        if column is None or not type_name:
            return None
        constant = expression(expr.rexpr, Level(), self._walk)
        if isinstance(column[0].relation, SystemView):
            constant = UNTYPED if (type_name, constant.type) == ("oid", "integer") else constant
        return column if is_leakproof(self._walk, _operator(node), Fact(type_name), constant) else None


def _operator(node: Node) -> str:
    name = node.a_expr.name
    return name[0].string.sval if len(name) == 1 else ""


def _conjuncts(node: Node) -> Sequence[Node]:
    if node.WhichOneof("node") is None:
        return ()
    return node.bool_expr.args if node.HasField("bool_expr") and node.bool_expr.boolop == pb.AND_EXPR else (node,)


def _is_plain(item: Node) -> bool:
    if not item.HasField("join_expr"):
        return True
    join = item.join_expr
    known = join.jointype in (pb.JOIN_INNER, pb.JOIN_LEFT) and not join.is_natural
    named = join.HasField("alias") or join.HasField("join_using_alias")
    return known and not named and _is_plain(join.larg) and _is_plain(join.rarg)


def _shared(join: JoinExpr) -> list[str]:
    return [part.string.sval for part in join.using_clause]


def _about(node: Node, name: str) -> Node:
    """Return the comparison, of a column of that name."""
    made = copied(node)
    del made.a_expr.lexpr.column_ref.fields[:]
    made.a_expr.lexpr.column_ref.fields.add().string.sval = name
    return made


def _plain_column(source: Source, name: str) -> _Column | None:
    """Return a column of a relation, by the name that it has there."""
    use = source.use
    if use is None or source.target or use.node.range_var.alias.colnames or name not in source.columns:
        return None
    return use, name


def _type(column: _Column) -> str:
    """Return the type of a column that is shown as it is; '' for any other."""
    use, name = column
    if isinstance(use.relation, SystemView):
        return use.relation.kept.get(name, "")
    shown = use.relation.columns.get(name)
    return shown.type if shown is not None and shown.clear else ""


def _same_type(left: _Column, right: _Column) -> bool:
    systems = isinstance(left[0].relation, SystemView) or isinstance(right[0].relation, SystemView)
    return left != right and not systems and bool(_type(left)) and _type(left) == _type(right)
