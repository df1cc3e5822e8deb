"""Statements other than queries and writes: transactions, harmless settings, COPY of a query. Nothing else passes."""

from __future__ import annotations

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

from bailiwick.sql import settings
from bailiwick.sql.environment import Walk, refuse
from bailiwick.sql.plan import Plan

_TRANSACTIONS = {
    pb.TRANS_STMT_BEGIN: "BEGIN",
    pb.TRANS_STMT_START: "START TRANSACTION",
    pb.TRANS_STMT_COMMIT: "COMMIT",
    pb.TRANS_STMT_ROLLBACK: "ROLLBACK",
    pb.TRANS_STMT_SAVEPOINT: "SAVEPOINT",
    pb.TRANS_STMT_RELEASE: "RELEASE",
    pb.TRANS_STMT_ROLLBACK_TO: "ROLLBACK",
}
_COPY_OPTIONS = {"format", "header", "delimiter", "null", "quote", "escape", "force_quote", "encoding"}
_ALLOWED = "SELECT, INSERT, UPDATE, DELETE, transactions, SET and SHOW of harmless settings"


def control(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let transaction control pass; two-phase commit is refused."""
    stmt = node.transaction_stmt
    tag = _TRANSACTIONS.get(stmt.kind)
    if tag is None:
        refuse("statement_not_allowed", "two-phase commit is not allowed", _ALLOWED)
    for option in stmt.options:
        if option.def_elem.defname not in (
            "transaction_isolation",
            "transaction_read_only",
            "transaction_deferrable",
        ):
            refuse("statement_not_allowed", f"transaction option `{option.def_elem.defname}` is not allowed")
    return Plan("CONTROL", "", returns=False, tag=tag)


def variable_set(node: Node, walk: Walk) -> Plan:
    """Let SET and RESET of harmless settings pass."""
    stmt = node.variable_set_stmt
    values = tuple(_text(item) for item in stmt.args)
    tag = "RESET" if stmt.kind in (pb.VAR_RESET, pb.VAR_RESET_ALL) else "SET"
    plan = Plan("SESSION", "", returns=False, tag=tag)
    if stmt.kind == pb.VAR_RESET_ALL:
        return plan
    scope = "LOCAL" if stmt.is_local else "SESSION"
    if stmt.kind == pb.VAR_SET_MULTI:
        if stmt.name not in ("TRANSACTION", "SESSION CHARACTERISTICS") or not _characteristics(stmt):
            refuse("statement_not_allowed", f"SET {stmt.name} is not allowed", _ALLOWED)
        return plan
    if stmt.name == "search_path" and settings.search_path_unchanged(values, walk.visible.search_path):
        stmt.name = "bailiwick.search_path"  # names are resolved here: the server's own path stays pinned
        stmt.args[0].a_const.sval.sval = ", ".join(values)  # a setting that nobody knows takes one value
        del stmt.args[1:]
        return plan
    if stmt.name == "statement_timeout" and stmt.kind == pb.VAR_SET_VALUE:
        asked = settings.milliseconds(values)
        if asked is not None and asked > walk.visible.longest:
            stmt.kind = pb.VAR_SET_DEFAULT  # no more than what was pinned at start-up
            del stmt.args[:]
        if asked is not None:
            return plan
    resets = stmt.kind in (pb.VAR_RESET, pb.VAR_SET_DEFAULT)
    allowed = settings.reset_allowed(stmt.name) if resets else settings.set_allowed(stmt.name, values, scope)
    if not allowed or stmt.kind == pb.VAR_SET_CURRENT:
        refuse("statement_not_allowed", f"{tag} `{stmt.name}` to this value is not allowed", _ALLOWED)
    if stmt.name == settings.REASON:
        return Plan("SESSION", "", returns=False, tag=tag, purpose="" if resets else values[0])
    if stmt.name == settings.WAIT:
        patience = None if resets else settings.seconds(values)
        return Plan("SESSION", "", returns=False, tag=tag, patience=patience or 0.0)
    return plan


def _characteristics(stmt: pb.VariableSetStmt) -> bool:
    known = {"transaction_isolation", "transaction_read_only", "transaction_deferrable"}
    return all(item.def_elem.defname in known for item in stmt.args)


def _text(node: Node) -> str:
    """Return a value of SET as text; anything that is not a plain constant gives a value that is never allowed."""
    if node.HasField("type_cast"):
        return _text(node.type_cast.arg)
    if not node.HasField("a_const"):
        return "\x00"
    const = node.a_const
    match const.WhichOneof("val"):
        case "sval":
            return const.sval.sval
        case "ival":
            return str(const.ival.ival)
        case "fval":
            return const.fval.fval
        case "boolval":
            return "on" if const.boolval.boolval else "off"
        case _:
            return "\x00"


def variable_show(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let SHOW of harmless settings pass."""
    name = node.variable_show_stmt.name
    if not settings.show_allowed(name):
        refuse("statement_not_allowed", f"SHOW `{name}` is not allowed", _ALLOWED)
    return Plan("SESSION", "", tag="SHOW")


def copy_query(node: Node) -> Node:
    """Check COPY … TO STDOUT and return its query as a node of the tree.."""
    stmt = node.copy_stmt
    if stmt.is_from or stmt.is_program or stmt.filename or stmt.HasField("where_clause"):
        refuse("statement_not_allowed", "only COPY … TO STDOUT is allowed", "COPY (query) TO STDOUT")
    for option in stmt.options:
        if option.def_elem.defname not in _COPY_OPTIONS:
            refuse("statement_not_allowed", f"COPY option `{option.def_elem.defname}` is not allowed")
        if option.def_elem.defname == "encoding" and option.def_elem.arg.string.sval.lower() not in ("utf8", "utf-8"):
            refuse("statement_not_allowed", "COPY is only possible in UTF8")
    if stmt.HasField("relation") or not stmt.query.HasField("select_stmt"):
        refuse("statement_not_allowed", "only a query can be copied", "COPY (SELECT …) TO STDOUT")
    return stmt.query


def unlisten(node: Node, walk: Walk) -> Plan:  # noqa: ARG001  # the signature of the table
    """Let UNLISTEN pass: pools send it, and nothing can be listened to."""
    return Plan("SESSION", "", returns=False, tag="UNLISTEN")
