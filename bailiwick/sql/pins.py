"""Keys whose values the scope decides, so that a conflict with a row tells nothing of rows outside (SQL-RULES 20).

A new row that meets an existing one of the same key shows that it exists. That is harmless where every row of that key
lies in the read scope: then the columns by which the scope admits rows belong to the key, and the new row's values
for them are held to the scope's before the database looks for a conflict.
"""

from __future__ import annotations

from collections.abc import Collection

from postgast.pg_query_pb2 import Node

from bailiwick.model.value import Operand, Ref
from bailiwick.sql.checks import FAILS
from bailiwick.sql.comparing import base_type
from bailiwick.sql.parser import expression as parsed
from bailiwick.sql.pinned import Pins, pins_of
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.scoped import ScopedRelation

_EXACT = frozenset(
    {
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "text",
        "character varying",
        "uuid",
        "boolean",
        "date",
        "timestamp with time zone",
        "timestamp without time zone",
    }
)
"""Types whose equality in an index is the one of the scope's conditions."""


def pins(target: ScopedRelation, key: Collection[str]) -> Pins | None:
    """Return what a new row's key must hold so that every row of the same key is visible; None when nothing does that.

    Every column of the key has to be shown in clear: else a conflict would tell what may not be read."""
    table = target.table
    if not all(name in target.columns and table.columns[name].clear for name in key):
        return None
    if not table.hides_rows:
        return ()
    if any(denied.fields is None for denied in table.scope.denied_rows):
        return None
    tenant = table.resource.tenant
    of_tenant: Pins = () if tenant is None else ((tenant, Ref(("tenant",))),)
    for grant in table.scope.reads:
        found = pins_of(grant.filter)
        if found is not None and all(_pinnable(table, name, key) for name, _ in (*of_tenant, *found)):
            return (*of_tenant, *found)
    return None


def _pinnable(target: ScopedRelation, name: str, key: Collection[str]) -> bool:
    column = target.relation.column(name)
    return name in key and column is not None and column.kind == "b" and base_type(column.type) in _EXACT


def held(value: str, pin: str) -> str:
    """Return the pin where the value equals it; the statement fails otherwise."""
    return f"CASE WHEN {value} = {pin} THEN {pin} WHEN {FAILS} THEN {pin} END"


def hold(value: Node, name: str, operand: Operand, text: RelationText) -> None:
    """Hold a new row's value to the scope's. What is written is the scope's: the agent's could change in between."""
    made = parsed(held("NULL", text.value(name, operand)))
    made.case_expr.args[0].case_when.expr.a_expr.lexpr.CopyFrom(value)
    value.CopyFrom(made)
