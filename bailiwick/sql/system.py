"""The virtual catalogue: system relations as a session sees them, holding exactly its scope.

A system relation that an agent names is replaced by `SystemView.sql`. Its columns are those of the real relation, in
order; columns that would show more than the scope are typed NULLs, so that clients' queries keep working. Columns of
`reg*` and `aclitem` types are given as text: comparing or uniting an agent's literal with them would otherwise look up
objects by name or by oid on the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.sql import system_catalog, system_information
from bailiwick.sql.catalogue import Catalogue, Column, Visible
from bailiwick.sql.system_catalog import Form, Maker
from bailiwick.sql.system_reach import Reach, identifier, reach_of

AVAILABLE: frozenset[tuple[str, str]] = frozenset(
    {("pg_catalog", name) for name in system_catalog.FORMS}
    | {("information_schema", name) for name in system_information.FORMS}
)
"""(schema, relation) of every system relation that has a scoped form."""

ONLY_BESIDE: frozenset[tuple[str, str]] = frozenset(
    ("pg_catalog", name) for name in ("pg_attrdef", "pg_settings", *system_catalog.BESIDE)
)
"""System relations that may be read only within a statement that reads another one too (as reflection does). Alone
they would be a dump of what is kept from agents (defaults, settings, counters), and the rewriter refuses it."""


SYSTEM_INNER = "c"
"""Alias of the real relation within a `SystemView`."""


@dataclass(frozen=True, slots=True)
class SystemView:
    sql: str
    """A SELECT, fenced by `OFFSET 0`: the agent's own expressions never see a row that it leaves out."""
    columns: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)
    """Column → type of those that are the real relation's own, as they are: conditions on them may be copied inside."""


def system_relation(schema: str, name: str, catalogue: Catalogue, visible: Visible) -> SystemView | None:
    """Return the scoped form of a system relation, or None: it is not available to agents."""
    maker = _maker(schema, name)
    relation = catalogue.system.get((schema, name))
    if maker is None or relation is None:
        return None
    form = maker(reach(catalogue, visible))
    kept = frozenset(form.keep.split())
    columns = ", ".join(f"{_expression(each, form, kept)} AS {identifier(each.name)}" for each in relation.columns)
    source = f" {form.source}" if form.source else ""
    own = {
        each.name: each.type for each in relation.columns if each.name in kept and shown_type(each.type) == each.type
    }
    return SystemView(f"SELECT {columns}{source} OFFSET 0", tuple(each.name for each in relation.columns), own)


def reach(catalogue: Catalogue, visible: Visible) -> Reach:
    """Return the fragments of SQL that tell what `visible` reaches."""
    return reach_of(catalogue, visible, AVAILABLE)


def _maker(schema: str, name: str) -> Maker | None:
    if schema == "pg_catalog":
        return system_catalog.FORMS.get(name)
    return system_information.FORMS.get(name) if schema == "information_schema" else None


def _expression(column: Column, form: Form, kept: frozenset[str]) -> str:
    shown = shown_type(column.type)
    if column.name in form.set:
        return f"({form.set[column.name]})::{shown}"
    if column.name not in kept:
        return f"NULL::{shown}"
    own = f"{SYSTEM_INNER}.{identifier(column.name)}"
    return own if shown == column.type else f"{own}::{shown}"


def shown_type(type_name: str) -> str:
    """Return the type under which a column of the real relation is shown."""
    base = type_name.removesuffix("[]")
    if base.startswith("reg") or base in ("pg_node_tree", "aclitem", "anyarray"):
        return "text[]" if type_name.endswith("[]") or base == "anyarray" else "text"
    return type_name
