"""Relations under aggregates only: where they may stand in a statement, and what becomes of the query around them.

Such a relation stands alone in the FROM of a query that groups it (a *block*). What leaves the block are its keys and
`count`, `sum` and `avg` of plain fields, of groups that may be told; what is done with these, in the block or around
it (expressions, HAVING, ORDER BY, windows, joins, sub-queries), tells nothing more, and is free.

INVARIANT: every use of such a relation is claimed by one block, or the statement is refused (`finish`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, RangeVar, SelectStmt

from bailiwick.model.decision import Denial
from bailiwick.sql.calls import AGGREGATES
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.dimensions import NUMBERS, Dimensions
from bailiwick.sql.environment import Block, Level, Refused, Source, Use, Walk, refuse
from bailiwick.sql.grouping import bare_name, is_position
from bailiwick.sql.groupings import Given, Grouping, Text, given_mark, mark, rendered
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.parser import deparse, expression, query_text
from bailiwick.sql.plan import Plan
from bailiwick.sql.quote import ident
from bailiwick.sql.scoped import ScopedRelation

_ADMITTED = frozenset({"count", "sum", "avg"})
_MOST_MEASURES = 4
_ALLOWED = "SELECT of groups with `count(*)`, `count(field)`, `sum(field)` and `avg(field)`"


def relations(scoped: Iterable[ScopedRelation], catalogue: Catalogue) -> dict[tuple[str, str], ScopedRelation]:
    """Return the relations that may only be aggregated, as their aggregates see them."""
    found: dict[tuple[str, str], ScopedRelation] = {}
    for each in scoped:
        told = each.scope.aggregate
        place = (each.relation.schema, each.relation.name)
        if told is not None and not each.scope.reads and place in catalogue.relations:
            found[place] = ScopedRelation(replace(each.scope, reads=told.grants), each.relation)
    return found


def relation(named: RangeVar, walk: Walk) -> ScopedRelation | None:
    """Return what a name in FROM stands for if it may only be aggregated."""
    if named.catalogname or not walk.aggregates:
        return None
    for schema in (named.schemaname,) if named.schemaname else walk.visible.search_path:
        found = walk.aggregates.get((schema, named.relname))
        if found is not None and found.columns:
            return found
        if (schema, named.relname) in walk.relations:
            return None
    return None


def is_aggregated(use: Use | None) -> bool:
    """Whether the use is one of a relation that may only be aggregated."""
    return use is not None and isinstance(use.relation, ScopedRelation) and use.relation.only_aggregated


def block(select: SelectStmt, level: Level, walk: Walk) -> None:
    """Check a query that has such a relation in its FROM, and make it tell groups that may be told only."""
    if any(is_aggregated(source.use) for source in level.sources):
        _Reader(select, level, walk).read()


def refuse_in(uses: Iterable[Use], where: str) -> None:
    """Refuse such relations where nothing may be told of them."""
    for use in uses:
        if is_aggregated(use):
            refuse("action_not_granted", f"`{use.alias}` may only be aggregated, not in {where}", _ALLOWED)


def finish(plan: Plan, blocks: Sequence[Block], uses: Iterable[Use]) -> Plan | Denial:
    """Return the plan with its groupings."""
    claimed = {id(each.use) for each in blocks}
    for use in uses:
        if is_aggregated(use) and id(use) not in claimed:
            return _misplaced(use.alias)
    if not blocks:
        return plan
    template = plan.sql
    if "width_bucket" in template:  # by its error the guard is known, and by nothing else
        return Denial("function_not_allowed", "`width_bucket` is not allowed beside what may only be aggregated")
    if any(template.count(mark(place)) != 1 for place in range(len(blocks))):
        return Denial("syntax_not_supported", "a text of the statement looks like one of the gateway's own")
    groupings = tuple(_grouping(each) for each in blocks)
    given = {part for each in groupings for part in each.given}
    sql = template
    for part in given:
        sql = sql.replace(given_mark(part), f"${part.number}")
    return replace(plan, sql=sql, template=template, groupings=groupings)


def give_sources(blocks: Iterable[Block], parameters: Parameters) -> None:
    """Give the blocks their relations' scoped forms, as long as parameters may be added to the plan."""
    for each in blocks:
        place = Node()
        each.relation.put(place, parameters, tuple(each.relation.columns), only=False, fenced=True)
        source = deparse(place.range_subselect.subquery)
        if isinstance(source, Denial):
            raise Refused(source)
        each.source = source


def _grouping(made: Block) -> Grouping:
    told = made.relation.scope.aggregate
    return Grouping(
        made.relation.resource.name,
        told.min_group if told else 0,
        told.groupings if told else 0,
        made.filter,
        made.keys,
        made.measures,
        made.source,
    )


def _misplaced(alias: str) -> Denial:
    return Denial(
        "action_not_granted",
        f"`{alias}` may only be aggregated: it cannot be used here",
        _ALLOWED,
        "aggregate it in a sub-query of its own, and use the result of that",
    )


class _Reader:
    """Reads one block."""

    def __init__(self, select: SelectStmt, level: Level, walk: Walk) -> None:
        self._select = select
        self._walk = walk
        self._source, self._use, self._relation = _alone(select, level)
        self._dimensions = Dimensions(self._source, self._relation)
        self._keys: dict[Text, None] = {}
        self._measures: set[str] = set()
        self._tells = False

    def read(self) -> None:
        """Check the block, rewrite it, and claim it."""
        select, walk = self._select, self._walk
        walk.by_value = True  # whether groupings are the same is a question of their literals
        self._use.copies.clear()
        where = self._dimensions.condition(select.where_clause) if select.where_clause.WhichOneof("node") else ("TRUE",)
        for item in select.group_clause:
            self._keys[self._key(self._grouped(item))] = None
        for place in self._places():
            self._passes(place)
        if not self._tells and not select.group_clause:
            self._refuse("its rows cannot be read")
        if len(self._measures) > _MOST_MEASURES:
            self._refuse(f"more than {_MOST_MEASURES} of its fields cannot be aggregated at once")
        if where != ("TRUE",):
            select.where_clause.CopyFrom(self._parsed(where))
        made = Block(self._use, self._relation, where, tuple(self._keys), tuple(sorted(self._measures)))
        self._guard(len(walk.blocks))
        walk.blocks.append(made)

    def _refuse(self, what: str, remedy: str = "") -> None:
        name = self._relation.resource.name
        refuse("action_not_granted", f"`{name}` may only be aggregated: {what}", _ALLOWED, remedy)

    # --- keys ---

    def _grouped(self, item: Node) -> Node:
        """Return the expression that a grouping key stands for: an input column before an output one."""
        if is_position(item):
            place = item.a_const.ival.ival
            if not 1 <= place <= len(self._select.target_list):
                self._refuse("a position of GROUP BY is none of the select list")
            return self._select.target_list[place - 1].res_target.val
        name = bare_name(item)
        if name is not None and self._dimensions.names_field(item) is None:
            for target in self._select.target_list:
                if target.res_target.name == name:
                    return target.res_target.val
        return item

    def _key(self, node: Node) -> Text:
        if node.HasField("grouping_set") or node.HasField("row_expr"):
            self._refuse("several groupings at once are not supported", "ask for each in a statement of its own")
        found = self._dimensions.key(node)
        if found is None:
            self._dimensions.refuse_key()
            return ()
        return found.text

    # --- what is done with groups ---

    def _places(self) -> list[Node]:
        """Return the expressions that are evaluated over groups, keys among them."""
        select = self._select
        found = [item.res_target.val for item in select.target_list]
        found += [item for item in select.group_clause if not is_position(item) and self._grouped(item) is item]
        outputs = {item.res_target.name for item in select.target_list}
        sorted_by = [item.sort_by.node for item in select.sort_clause]
        found += [node for node in [*sorted_by, *select.distinct_clause] if bare_name(node) not in outputs]
        found += list(select.window_clause)
        found += [select.having_clause, select.limit_count, select.limit_offset]
        return [node for node in found if node.WhichOneof("node")]

    def _passes(self, node: Node) -> None:
        """Check an expression over groups: fields of the relation only as keys, and in admitted aggregates."""
        known = self._dimensions.key(node) if self._keys else None
        if known is not None and known.text in self._keys:
            node.CopyFrom(self._parsed(known.text))
            return
        if node.HasField("func_call") and not node.func_call.HasField("over") and self._aggregate(node.func_call):
            return
        if node.HasField("column_ref"):
            field = self._dimensions.names_field(node)
            shown = f"`{field}`" if field is not None else "its rows"
            self._refuse(f"{shown} can only be told in an aggregate, or as a key of GROUP BY")
        if node.HasField("sub_link") or node.HasField("grouping_func"):
            self._refuse("a sub-query cannot stand in the query that groups it", "put the grouping into the sub-query")
        for inner in _nodes_in(node):
            self._passes(inner)

    def _aggregate(self, call: pb.FuncCall) -> bool:
        """Check an aggregate; False for any other function."""
        name = call.funcname[-1].string.sval
        is_one = name in AGGREGATES or call.agg_within_group or call.agg_star or bool(call.agg_order)
        if not (is_one or call.agg_distinct or call.agg_filter.WhichOneof("node")):
            return False
        if name not in _ADMITTED:
            self._refuse(f"`{name}` tells of single rows")
        if call.agg_distinct or call.agg_order:
            self._refuse(f"`{name}` with DISTINCT or ORDER BY is not supported")
        if call.agg_filter.WhichOneof("node"):
            self._refuse("FILTER is not supported", "put the condition into WHERE, or group by it")
        self._tells = True
        if not call.agg_star and not (len(call.args) == 1 and self._is_measure(call.args[0], name)):
            self._refuse(
                f"`{name}` takes a plain {'field' if name == 'count' else 'number field'} of it only",
                "compute with the aggregates instead, put conditions into WHERE, or group by them",
            )
        return True

    def _is_measure(self, node: Node, name: str) -> bool:
        if node.HasField("a_const"):
            return not node.a_const.isnull
        if node.HasField("type_cast") and node.type_cast.type_name.names[-1].string.sval == "numeric":
            inner = node.type_cast.arg
            field = self._dimensions.names_field(inner)
            plain = not node.type_cast.type_name.typmods and field is not None
            return plain and self._relation.columns[field or ""].type in NUMBERS and self._is_measure(inner, name)
        field = self._dimensions.names_field(node)
        if field is None or (name != "count" and self._relation.columns[field].type not in NUMBERS):
            return False
        self._measures.add(field)
        return True

    # --- what becomes of it ---

    def _parsed(self, text: Text) -> Node:
        return expression(rendered(text, ident(self._source.alias), _template))

    def _guard(self, place: int) -> None:
        """Let only groups leave that may be told, and nothing be evaluated over others.

        CASE keeps the agent's own condition from running before ours; OFFSET keeps conditions around the block from
        being moved below it, to where they would see single rows.
        """
        select = self._select
        own = "TRUE" if not select.having_clause.WhichOneof("node") else "$1"
        condition = f"CASE WHEN {self._may_be_told()} AND {mark(place)} THEN {own} ELSE FALSE END"
        made = expression(condition)
        if own == "$1":
            made.case_expr.args[0].case_when.result.CopyFrom(select.having_clause)
        select.having_clause.CopyFrom(made)
        if not select.limit_count.WhichOneof("node") and not select.limit_offset.WhichOneof("node"):
            sample = query_text("SELECT 1 OFFSET 0").select_stmt
            select.limit_offset.CopyFrom(sample.limit_offset)
            select.limit_option = sample.limit_option

    def _may_be_told(self) -> str:
        told = self._relation.scope.aggregate
        smallest = told.min_group if told is not None else 0
        parts = [f"count(*) >= {smallest}"]
        alias = ident(self._source.alias)
        names = sorted(self._measures)
        for pattern in range(2 ** len(names) if names else 0):
            tests = [
                f"{alias}.{ident(name)} IS {'NOT NULL' if pattern >> place & 1 else 'NULL'}"
                for place, name in enumerate(names)
            ]
            parts.append(f"count(*) FILTER (WHERE {' AND '.join(tests)}) NOT BETWEEN 1 AND {smallest - 1}")
        return " AND ".join(parts)


def _template(given: Given) -> str:
    return f"{given_mark(given)}::{given.type}"


def _alone(select: SelectStmt, level: Level) -> tuple[Source, Use, ScopedRelation]:
    """Return the one relation of the query. Raises Refused when it does not stand alone, as it is."""
    source = next(each for each in level.sources if is_aggregated(each.use))
    use = source.use
    if use is None or not isinstance(use.relation, ScopedRelation):
        raise TypeError("not the use of a relation")
    named = select.from_clause[0].range_var
    alone = len(select.from_clause) == 1 and select.from_clause[0].HasField("range_var") and len(level.sources) == 1
    if not alone or use.sample is not None or use.only or named.alias.colnames or select.locking_clause:
        refuse(
            "action_not_granted",
            f"`{use.relation.resource.name}` may only be aggregated: it must stand alone in FROM, as it is",
            _ALLOWED,
            "aggregate it in a sub-query of its own, and join the result of that",
        )
    return source, use, use.relation


def _nodes_in(node: Message) -> list[Node]:
    """Return the nodes right below one."""
    found: list[Node] = []
    stack: list[Message] = [node]
    while stack:
        message = stack.pop()
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            for each in value if field.is_repeated else [value]:
                if isinstance(each, Node):
                    found.append(each)
                else:
                    stack.append(each)
    return found
