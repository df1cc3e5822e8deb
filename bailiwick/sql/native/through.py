"""The scope as it is seen through its views: what the rewriter puts on top of the native depth (`enforce: both`).

The views mask and filter already, and the connection's role reaches nothing else. The rewriter still limits fields and
statements, and repeats every row filter that it can: those over columns that the views show as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bailiwick.model.scope import DenyRows, ReadGrant, ResourceScope, RowFilter, WriteGrant
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.scoped import ScopedRelation

_KINDS = ("r", "p", "f")


def through_views(scoped: ScopedRelation, schemas: Mapping[str, str]) -> ScopedRelation | None:
    """Return the relation as its view shows it; None when there is no view over it. `schemas`: of tables → of views."""
    schema = schemas.get(scoped.relation.schema)
    if schema is None or not scoped.columns:
        return None
    return ScopedRelation(_scope(scoped, schema), _relation(scoped, schema), beneath=scoped)


def _relation(scoped: ScopedRelation, schema: str) -> Relation:
    columns: list[Column] = []
    for column in scoped.relation.columns:
        shown = scoped.columns.get(column.name)
        if shown is not None:
            columns.append(column if shown.clear else replace(column, type=shown.type, kind="b", base=""))
    names = {column.name for column in columns if scoped.columns[column.name].clear}
    key = scoped.relation.key if names.issuperset(scoped.relation.key) else ()
    return replace(scoped.relation, schema=schema, columns=tuple(columns), key=key)


def _scope(scoped: ScopedRelation, schema: str) -> ResourceScope:
    scope = scoped.scope
    clear = frozenset(column.name for column in scoped.columns.values() if column.clear)
    tenant = scope.resource.tenant
    if tenant not in clear or any(tenant not in grant.fields for grant in scope.creates):
        tenant = None  # the view filters and the guard fills in: the role may not name a column that no grant has
    shown = dict.fromkeys(scoped.columns)
    writable = scoped.relation.kind in _KINDS
    return replace(
        scope,
        resource=replace(scope.resource, schema=schema, tenant=tenant),
        reads=tuple(ReadGrant(grant.grant, _evident(grant.filter, clear), shown) for grant in scope.reads),
        updates=_writes(scope.updates, clear) if writable else (),
        creates=_writes(scope.creates, clear) if writable else (),
        deletes=tuple(replace(grant, filter=_evident(grant.filter, clear)) for grant in scope.deletes if writable),
        denied_rows=tuple(deny for deny in scope.denied_rows if _repeats(deny, clear)),
    )


def _evident(rows: RowFilter, clear: frozenset[str]) -> RowFilter:
    """Return what is left of a filter over columns that are shown as they are. The policy's own SQL is the view's."""
    return RowFilter(tuple((name, matcher) for name, matcher in rows.conditions if name in clear))


def _writes(grants: Sequence[WriteGrant], clear: frozenset[str]) -> tuple[WriteGrant, ...]:
    """Only what is shown as it is can be written through a view."""
    found = (replace(grant, filter=_evident(grant.filter, clear), fields=grant.fields & clear) for grant in grants)
    return tuple(grant for grant in found if grant.fields)


def _repeats(deny: DenyRows, clear: frozenset[str]) -> bool:
    """Whether a deny of rows can be repeated whole; half of it would take away more."""
    return deny.fields is None and deny.filter.sql is None and all(name in clear for name, _ in deny.filter.conditions)
