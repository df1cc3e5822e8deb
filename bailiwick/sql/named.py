"""Statements about names of a connection: cursors and prepared statements. And EXPLAIN, which is refused.

Cursors and prepared statements themselves are the server's. What is in them is rewritten like any other statement, and
what the gateway binds becomes parameters of the declaration, or of the prepared statement.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import NoReturn

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import DeclareCursorStmt, Node, PrepareStmt, TypeName

from bailiwick.model.decision import Denial
from bailiwick.sql.casts import type_name
from bailiwick.sql.environment import Refused, Walk, refuse
from bailiwick.sql.parser import deparse, expression, normalized
from bailiwick.sql.plan import Act, Constant, Declare, Drop, Fetch, Plan, Prepare, Run

_HOLD, _ASENSITIVE = 0x0020, 0x0010
"""`CURSOR_OPT_HOLD` and `CURSOR_OPT_ASENSITIVE` of PostgreSQL; the second says what is so anyway."""
_ARGUMENTS = "constants: numbers, strings, booleans, NULL, and arrays of them"
_ONLY_AGGREGATED = Denial(
    "statement_not_allowed",
    "what may only be aggregated can neither be declared as a cursor nor prepared by SQL",
    "the query itself",
    "send the query as a statement of its own",
)
_DISCARDS = {
    pb.DISCARD_ALL: "ALL",
    pb.DISCARD_PLANS: "PLANS",
    pb.DISCARD_SEQUENCES: "SEQUENCES",
    pb.DISCARD_TEMP: "TEMP",
}


def declaration(node: Node) -> Plan:
    """Return the plan of DECLARE, whose query is still to be walked. Its kind changes nothing but the name."""
    stmt: DeclareCursorStmt = node.declare_cursor_stmt
    if not stmt.query.HasField("select_stmt"):
        refuse("statement_not_allowed", "only a query can be declared as a cursor", "DECLARE … CURSOR FOR SELECT")
    stmt.options &= ~_ASENSITIVE  # the deparser does not know it
    act = Declare(stmt.portalname, bool(stmt.options & _HOLD))
    return Plan("SESSION", "", returns=False, act=act, tag="DECLARE CURSOR")


def declared(plan: Plan | Denial) -> Plan | Denial:
    """Return the plan of a declaration, unless what may only be aggregated is in it: that is made anew at each use."""
    if isinstance(plan, Plan) and plan.groupings:
        return _ONLY_AGGREGATED
    return plan


def fetch(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let FETCH and MOVE pass to the mount, which knows the cursor."""
    stmt = node.fetch_stmt
    tag = "MOVE" if stmt.ismove else "FETCH"
    return Plan("READ", "", returns=not stmt.ismove, act=Fetch(stmt.portalname), tag=tag)


def close(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let CLOSE pass: cursors are the client's own."""
    name = node.close_portal_stmt.portalname
    tag = "CLOSE CURSOR" if name else "CLOSE CURSOR ALL"
    return _dropping(Drop(cursors=True, statements=False, name=name or None), tag)


def deallocate(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let DEALLOCATE pass: prepared statements are the client's own."""
    stmt = node.deallocate_stmt
    of_all = stmt.isall or not stmt.name
    act = Drop(cursors=False, statements=True, name=None if of_all else stmt.name)
    return _dropping(act, "DEALLOCATE ALL" if of_all else "DEALLOCATE")


def discard(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let DISCARD pass: what it resets are the settings that we pinned at start-up, to just these."""
    tag = f"DISCARD {_DISCARDS.get(node.discard_stmt.target, 'ALL')}"
    return _dropping(everything(tag), tag)


def everything(tag: str) -> Act | None:
    """Return what a statement of that tag drops, if it drops everything."""
    return Drop(cursors=True, statements=True) if tag == "DISCARD ALL" else None


def _dropping(act: Act | None, tag: str) -> Plan:
    return Plan("SESSION", "", returns=False, act=act, tag=tag)


def declared_types(stmt: PrepareStmt, walk: Walk) -> tuple[str, ...]:
    """Check the types that PREPARE declares, qualify them in place, and return them; '' for `unknown`."""
    return tuple(_declared(item.type_name, walk) for item in stmt.argtypes)


def _declared(name: TypeName, walk: Walk) -> str:
    del name.typmods[:]  # a parameter has none
    if [part.string.sval for part in name.names] in (["unknown"], ["pg_catalog", "unknown"]) and not name.array_bounds:
        return ""
    return type_name(name, walk)


def without(declared: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the declared types, but '' where `known` says that the type is not: it may be for more parameters."""
    pairs = zip_longest(declared, known, fillvalue="unknown")
    return tuple("" if told == "" else own for own, told in pairs)


def inner_statement(stmt: PrepareStmt) -> str:
    """Return the statement in a PREPARE as the ledger may keep it: its literals replaced. Call before it is walked."""
    sql = deparse(stmt.query)
    return normalized(sql) if isinstance(sql, str) else ""


def declare_all(stmt: PrepareStmt, plan: Plan) -> None:
    """Declare the parameters that the gateway bound behind the agent's own."""
    if plan.kind not in ("READ", "WRITE") or plan.copy or plan.act is not None or plan.inner:
        allowed = "PREPARE … AS SELECT, INSERT, UPDATE or DELETE, without WITH queries that write"
        refuse("statement_not_allowed", "this cannot be prepared", allowed)
    types = ["unknown"] * (plan.first - 1 - len(stmt.argtypes)) + [bound.type for bound in plan.bound]
    if plan.groupings:
        raise Refused(_ONLY_AGGREGATED)
    if plan.bound:
        stmt.argtypes.extend(_type_node(each) for each in types)


def _type_node(name: str) -> Node:
    found = Node()
    found.type_name.CopyFrom(expression(f"NULL::{name}").type_cast.type_name)
    del found.type_name.typmods[:]
    return found


def prepared(stmt: PrepareStmt, plan: Plan) -> Plan:
    """Return the plan of PREPARE around that of the statement in it."""
    return Plan("SESSION", "", returns=False, act=Prepare(stmt.name, plan), tag="PREPARE")


def execute(node: Node) -> Plan:
    """Return the plan of EXECUTE. Its arguments are bound, not evaluated, so they must be constants."""
    stmt = node.execute_stmt
    arguments = tuple(_argument(item) for item in stmt.params)
    statement = f'EXECUTE "{stmt.name}"'
    if arguments:
        statement += f" ({', '.join(f'${place + 1}' for place in range(len(arguments)))})"
    return Plan("SESSION", "", act=Run(stmt.name, arguments), statement=statement, tag="EXECUTE")


def _argument(node: Node) -> Constant:
    kind = node.WhichOneof("node")
    if kind == "a_const":
        return Constant(_text(node))
    if kind == "a_array_expr":
        return Constant("{" + ",".join(_element(item) for item in node.a_array_expr.elements) + "}")
    what = {"param_ref": "a parameter", "sub_link": "a sub-query", "type_cast": "a cast"}.get(kind or "", "this")
    refuse(
        "syntax_not_supported",
        f"{what} cannot be an argument of EXECUTE",
        _ARGUMENTS,
        "give the value itself; it takes the type of the parameter, which PREPARE can declare",
    )


def _element(node: Node) -> str:
    if node.HasField("a_array_expr"):
        return "{" + ",".join(_element(item) for item in node.a_array_expr.elements) + "}"
    if not node.HasField("a_const"):
        refuse("syntax_not_supported", "an array in EXECUTE may hold constants only", _ARGUMENTS)
    text = _text(node)
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(node: Node) -> str | None:
    const = node.a_const
    match const.WhichOneof("val"):
        case "sval":
            return const.sval.sval
        case "ival":
            return str(const.ival.ival)
        case "fval":
            return const.fval.fval
        case "boolval":
            return "true" if const.boolval.boolval else "false"
        case None if const.isnull:
            return None
        case _:
            refuse("syntax_not_supported", "a bit string cannot be an argument of EXECUTE", _ARGUMENTS)


def explain(node: Node, walk: Walk) -> NoReturn:  # noqa: ARG001  # the signature of the table
    """Refuse EXPLAIN: it shows the conditions that hide rows, estimates from hidden rows, and ANALYZE executes."""
    refuse(
        "statement_not_allowed",
        "EXPLAIN is not allowed: it would show how rows are hidden, and estimates made from them",
        "the statement itself",
        "run the statement without EXPLAIN",
    )
