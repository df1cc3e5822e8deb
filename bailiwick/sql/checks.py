"""The limits of a write: which rows it may reach, and what a row that it has written must be like.

A row is looked at in RETURNING. The outermost statement hands the result to the mount as a last column; a write within
a WITH query, whose rows may never get that far, fails by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node, ReturningClause

from bailiwick.sql.environment import Level, Walk, refuse
from bailiwick.sql.expressions import expression, fence
from bailiwick.sql.parser import conjoin
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.plan import OUTSIDE
from bailiwick.sql.predicates import RelationText, condition
from bailiwick.sql.quote import ident
from bailiwick.sql.trees import become, copied
from bailiwick.sql.written import PG18, Act, Write

CHECK = "bw_check"
BEFORE, AFTER = "bw_old", "bw_new"
"""What we name the rows before and after a change in RETURNING, whatever the agent names them."""
FAILS = f"pg_catalog.concat('{OUTSIDE}')::boolean"
"""A condition that fails with `plan.OUTSIDE` in the server's message; `concat` is not immutable, so not in plans."""


def conjuncts(node: Node) -> Sequence[Node]:
    """Return the conditions that a condition joins by AND."""
    is_and = node.HasField("bool_expr") and node.bool_expr.boolop == pb.AND_EXPR
    return node.bool_expr.args if is_and else (node,)


def agents_condition(node: Node, level: Level, walk: Walk) -> tuple[int, ...]:
    """Walk a condition over the target. Returns the places of the conjuncts that must not see hidden rows."""
    if node.HasField("current_of_expr"):
        refuse("syntax_not_supported", "WHERE CURRENT OF is not supported", "a condition on the key")
    if not node.WhichOneof("node"):
        return ()
    leaky: list[int] = []
    for place, each in enumerate(conjuncts(node)):
        fact = expression(each, level, walk)
        fence(fact)
        if fact.leaky:
            leaky.append(place)
    return tuple(leaky)


def limit(where: Node, inside: str, leaky: Iterable[int]) -> None:
    """Limit a condition of the agent. INVARIANT: a leaky conjunct is only evaluated on rows inside."""
    if inside == "TRUE":
        return
    free: list[Node] = []
    guarded: list[Node] = []
    if where.WhichOneof("node") is not None:
        places = frozenset(leaky)
        for place, each in enumerate(conjuncts(where)):
            (guarded if place in places else free).append(copied(each))
    limited = parsed(f"({inside})")
    if guarded:
        agent = Node()
        branch = agent.case_expr.args.add().case_when
        become(branch.expr, limited)
        conjoin(branch.result, guarded)
        become(agent.case_expr.defresult, parsed("FALSE"))
        free.append(agent)
    become(where, limited)
    if free:
        conjoin(where, free)


def both(*parts: str) -> str:
    """Return the conjunction of conditions in SQL text."""
    kept = list(dict.fromkeys(part for part in parts if part != "TRUE"))
    return " AND ".join(f"({part})" for part in kept) or "TRUE"


def reached(write: Write, acts: Iterable[Act], text: RelationText) -> str:
    """Return the condition under which these acts may reach a row, beside being readable."""
    return both(*(write.target.limited(text, [grant.filter for grant in act.grants]) for act in acts))


def _written(write: Write, act: Act, text: RelationText, *, reads: bool) -> str:
    """Return the condition that a row must meet once this was done to it."""
    options: list[str] = []
    for grant in act.grants:
        own = [write.target.limited(text, [grant.filter])]
        for name in act.fields:
            column = write.target.relation.column(name)
            if name in grant.set and column is not None:
                own.append(condition(grant.set[name], text.column(name), column, text.parameters))
        options.append(both(*own))
    either = "TRUE" if "TRUE" in options else " OR ".join(f"({option})" for option in options)
    return both(write.target.admits(text), either) if reads else either


def _after(write: Write, text: RelationText) -> str:
    """Return the condition that every row which the statement returns must meet."""
    merges = write.tag == "MERGE"
    updates = [_written(write, each, text, reads=True) for each in write.of("update") if each.checked]
    creates = [_written(write, each, text, reads=write.returns) for each in write.of("create")]
    changed, made = both(*updates), both(*creates)
    if merges:
        return f"CASE merge_action() WHEN 'UPDATE' THEN {changed} WHEN 'INSERT' THEN {made} ELSE TRUE END"
    if creates and write.of("update") and write.version >= PG18:
        given = _never_null(write)
        return f"CASE WHEN {BEFORE}.{given} IS NULL THEN {made} ELSE {changed} END" if given else both(made, changed)
    return both(made, changed)


def _never_null(write: Write) -> str:
    """Return a column of the target that no row has empty; a view has no system columns."""
    if not write.target.through:
        return "ctid"
    return next((ident(name) for name in write.target.relation.key), "")


def check(clause: ReturningClause, write: Write, text: RelationText) -> None:
    """Have every row looked at that the statement writes."""
    if write.checked:
        after = f"COALESCE({_after(write, text)}, FALSE)"
        if f"{BEFORE}." in after:
            name_rows(clause, BEFORE)
        if write.inner:
            _fail_unless(clause, after)
        else:
            item = clause.exprs.add().res_target
            item.name = CHECK
            become(item.val, parsed(after))
    elif write.inner and not clause.exprs:
        clause.exprs.add().res_target.val.CopyFrom(parsed("TRUE"))  # to be counted


def _fail_unless(clause: ReturningClause, after: str) -> None:
    """Let the statement fail when a row is outside. RETURNING of a WITH query is evaluated for each row that is
    written, whatever is read of it; and its first column first."""
    holds = parsed(f"CASE WHEN {after} THEN TRUE ELSE {FAILS} END")
    if not clause.exprs:
        clause.exprs.add().res_target.val.CopyFrom(holds)
        return
    first = clause.exprs[0].res_target.val
    value = Node()
    value.CopyFrom(first)
    first.Clear()
    branch = first.case_expr.args.add().case_when
    branch.expr.CopyFrom(holds)
    branch.result.CopyFrom(value)
    first.case_expr.defresult.CopyFrom(value)  # never reached; NULL would lose the column's exact type


def name_rows(clause: ReturningClause, *names: str) -> None:
    """Name the rows before and after the change (PostgreSQL 18)."""
    known = {option.returning_option.value for option in clause.options}
    for name in names:
        if name not in known:
            option = clause.options.add().returning_option
            option.option = pb.RETURNING_OPTION_OLD if name == BEFORE else pb.RETURNING_OPTION_NEW
            option.value = name
