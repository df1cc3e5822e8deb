"""Rows that an INSERT is about to write, looked at before the database looks for their keys.

A row outside of the scope is undone anyway, by what it answers once it is written. But a key that a hidden row has
makes the database fail before that, which tells that there is one. So what is known to be outside is refused first.
What is left to its default is not known: there, and where an UPDATE changes what limits the scope, a write is `blind`.
"""

from __future__ import annotations

from bailiwick.model.scope import RowFilter
from bailiwick.sql.engines.predicates import FALSE, TRUE, RelationText, every, some
from bailiwick.sql.engines.writes import Act, Write, tenant_of


def is_blind(found: Write) -> bool:
    """Whether a key that is taken could tell of a hidden row, by a new row that is outside as well."""
    filled = {*found.fields, *tenant_of(found)}
    for act in found.acts:
        limiting = _limiting(found, act)
        if act.verb == "update" and limiting & {*act.fields}:
            return True
        if act.verb == "create" and limiting - filled:
            return True
    return False


def foreseen(found: Write, text: RelationText) -> str:
    """Return what must hold of each row that an INSERT gives, over the columns that it fills; TRUE: anything may."""
    target, known = found.target, {*found.fields, *tenant_of(found)}
    if not target.hides_rows:
        return TRUE
    every_column = len(known) == len(target.relation.columns)

    def of(rows: RowFilter) -> RowFilter:
        conditions = tuple((name, matcher) for name, matcher in rows.conditions if name in known)
        return RowFilter(conditions, rows.sql if every_column else None)

    options: list[str] = []
    for grant in found.act.grants:
        own = [text.rows(of(grant.filter))]
        for name in found.act.fields:
            column = target.relation.column(name)
            if name in grant.set:
                own.append(FALSE if column is None else text.condition(grant.set[name], column))
        options.append(every(own))
    parts = [some(options)]
    if found.back is not None:
        parts.append(text.some(of(grant.filter) for grant in target.scope.reads))
    if target.resource.tenant in known:
        parts.append(text.tenant(target.resource.tenant or ""))
    parts += [
        text.is_kept(denied)
        for denied in target.scope.denied_rows
        if denied.fields is None and {name for name, _ in denied.filter.conditions} <= known
    ]
    return every(parts)


def _limiting(found: Write, act: Act) -> frozenset[str]:
    """Return the columns that decide whether a row to come is in the scope; none where no row is hidden."""
    target = found.target
    if not target.hides_rows:
        return frozenset()
    filters = [grant.filter for grant in act.grants]
    if act.verb != "create" or found.back is not None:
        filters += [grant.filter for grant in target.scope.reads]
    filters += [denied.filter for denied in target.scope.denied_rows if denied.fields is None]
    names = {name for rows in filters for name, _ in rows.conditions}
    names.update(name for grant in act.grants for name in grant.set)
    tenant = target.resource.tenant
    return frozenset(names if tenant is None else {*names, tenant})
