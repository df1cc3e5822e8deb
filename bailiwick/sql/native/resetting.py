"""RESET ALL and DISCARD ALL where the connection's role and bound values must outlive them."""

from __future__ import annotations

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import Node

from bailiwick.sql.native.pieces import dollar
from bailiwick.sql.quote import ident
from bailiwick.sql.settings import REASON, RESETTABLE

_CLOSING = ("CLOSE ALL", "UNLISTEN *", "DEALLOCATE ALL", "DISCARD PLANS", "DISCARD TEMP", "DISCARD SEQUENCES")


def resets_everything(node: Node) -> str:
    """Return the command tag of a statement that would end `SET ROLE` or the bound values; empty for every other."""
    if node.HasField("variable_set_stmt") and node.variable_set_stmt.kind == pb.VAR_RESET_ALL:
        return "RESET"
    if node.HasField("discard_stmt") and node.discard_stmt.target == pb.DISCARD_ALL:
        return "DISCARD ALL"
    return ""


def reset_what_agents_set(tag: str) -> str:
    """Return the statement that does, in the place of such a one, what concerns the agent: every setting that it can
    set is reset, and for DISCARD ALL what it may have open is closed. It runs as the agent's role."""
    steps = [f"RESET {name}" for name in sorted(RESETTABLE | {"default_transaction_read_only"})]
    steps.append("RESET " + ".".join(ident(part) for part in REASON.split(".")))
    if tag == "DISCARD ALL":
        steps += _CLOSING
    body = " ".join(f"EXECUTE {_text(step)};" for step in steps)
    unlock = " PERFORM pg_catalog.pg_advisory_unlock_all();" if tag == "DISCARD ALL" else ""
    return f"DO {dollar(f'BEGIN {body}{unlock} END')}"


def _text(step: str) -> str:
    return "'" + step.replace("'", "''") + "'"
