"""Row locks (FOR UPDATE and its kin) of a query over one relation.

Within a scoped sub-query the server would lock every row that comes out of it, before LIMIT and what cannot be pushed
down. So the relation stays the real one, as the target of a write does: references to its columns are replaced one by
one, and its rows are limited in front of the agent's own condition. As with row security, what may be locked is what
may be both read and updated.
"""

from __future__ import annotations

from postgast.pg_query_pb2 import Node, RangeVar, SelectStmt

from bailiwick.sql.environment import Fact, Level, Locked, Source, Use, Walk
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.parser import conjoin
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.scoped import ScopedRelation


def is_direct(select: SelectStmt) -> bool:
    """Whether the query locks rows and reads nothing but what may be one relation in FROM."""
    if len(select.locking_clause) == 0 or len(select.from_clause) != 1:
        return False
    item = select.from_clause[0]
    return item.HasField("range_var") and not item.range_var.alias.colnames


def open_locked(node: Node, relation: RangeVar, scoped: ScopedRelation, level: Level, walk: Walk) -> Source:
    """Return the relation as a FROM item whose rows are locked, and remember to limit it."""
    alias = relation.alias.aliasname or relation.relname
    use = Use(node, alias, scoped, only=not relation.inh)
    facts = {column.name: Fact(column.type, frozenset((use,)), column.leaky) for column in scoped.columns.values()}
    schema = "" if relation.HasField("alias") else scoped.relation.schema
    relation.schemaname, relation.relname = scoped.relation.schema, scoped.relation.name
    relation.alias.aliasname = alias
    if level.locking is not None:
        walk.locked.append(Locked(use, level.locking))
    return Source(alias, facts, use, schema, target=True)


def write_out_stars(select: SelectStmt, level: Level) -> None:
    """Name the columns of `*`: the real relation has more of them than the scope."""
    source = level.sources[0]
    targets: list[Node] = []
    for item in select.target_list:
        fields = item.res_target.val.column_ref.fields
        qualifier = [part.string.sval for part in fields[:-1]]
        starred = len(fields) > 0 and fields[-1].HasField("a_star")
        if starred and (not qualifier or level.find(qualifier[-1]) is source):
            targets += [_reference(source.alias, name) for name in source.columns]
            continue
        copy = Node()
        copy.CopyFrom(item)
        targets.append(copy)
    del select.target_list[:]
    select.target_list.extend(targets)


def _reference(alias: str, name: str) -> Node:
    node = Node()
    node.res_target.name = name
    node.res_target.val.column_ref.fields.add().string.sval = alias
    node.res_target.val.column_ref.fields.add().string.sval = name
    return node


def limit(locked: Locked, parameters: Parameters) -> None:
    """Limit the rows. INVARIANT: a leaky condition is only evaluated on rows inside the scope (SQL-RULES 18)."""
    relation = locked.use.relation
    if not isinstance(relation, ScopedRelation):
        return
    text = RelationText(relation.relation, locked.use.alias, parameters, direct=False)
    parts = [relation.admits(text), relation.limited(text, [grant.filter for grant in relation.scope.updates])]
    parts = list(dict.fromkeys(part for part in parts if part != "TRUE"))
    if not parts:
        return
    where = locked.select.where_clause
    inside = parsed(f"({' AND '.join(f'({part})' for part in parts)})")
    agent = Node()
    if where.WhichOneof("node") is not None and locked.use.fenced:
        branch = agent.case_expr.args.add().case_when
        branch.expr.CopyFrom(inside)
        branch.result.CopyFrom(where)
        agent.case_expr.defresult.CopyFrom(parsed("FALSE"))
    else:
        agent.CopyFrom(where)
    where.CopyFrom(inside)
    if agent.WhichOneof("node") is not None:
        conjoin(where, (agent,))
