"""What a policy's names mean on one accepted table: columns, groups, labels, filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bailiwick.model.action import Action
from bailiwick.model.label import level_of, levels
from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.matcher import Anything, Matcher
from bailiwick.model.policy import Grant, Mount, Resource
from bailiwick.model.scope import RowFilter

EVERY_ROW = RowFilter()


def labels_of(resource: Resource, column: str) -> frozenset[str]:
    """Return the labels of a column. One without a level of its own has also those of the resource (`*`)."""
    own = resource.labels.get(column, frozenset())
    return own if own & set(levels) else own | resource.labels.get("*", frozenset())


@dataclass(frozen=True, slots=True)
class Ground:
    """A resource and the table that was accepted for it."""

    resource: Resource
    table: LockedTable
    columns: tuple[str, ...]
    sql: bool
    """Whether the mount takes predicates and masks in SQL."""

    def expand(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the accepted columns that the names, of columns or of groups, stand for."""
        wanted: set[str] = set()
        for name in names:
            wanted.update(self.resource.groups.get(name, (name,)))
        return tuple(column for column in self.columns if column in wanted)

    def plain(self) -> tuple[str, ...]:
        """Return the columns labelled below confidential: what a grant without `fields` means."""
        open_levels = levels[: levels.index("confidential")]
        return tuple(name for name in self.columns if level_of(labels_of(self.resource, name)) in open_levels)

    def restricted(self, column: str) -> bool:
        """Return whether the column is labelled restricted."""
        return level_of(labels_of(self.resource, column)) == "restricted"

    def filter(self, rows: Mapping[str, Matcher], sql: str | None = None) -> RowFilter | None:
        """Return the filter; None when it names what was not accepted, or is SQL where that is off."""
        if (sql is not None and not self.sql) or not set(rows) <= set(self.columns):
            return None
        return RowFilter(tuple((name, rows[name]) for name in rows if not isinstance(rows[name], Anything)), sql)


def ground_of(mount: Mount, resource: Resource, lock: Lock) -> Ground | None:
    """Return the ground of a resource; None when it, or its tenant column, was not accepted."""
    table = lock.table(resource.mount, resource.schema, resource.table)
    if table is None:
        return None
    columns = tuple(column.name for column in table.columns)
    if resource.tenant is not None and resource.tenant not in columns:
        return None
    return Ground(resource, table, columns, mount.sql)


def named_fields(grant: Grant) -> tuple[str, ...] | None:
    """Return the fields or groups that a grant names, None when it names none."""
    return grant.fields if grant.action.field is None else (grant.action.field,)


def covers(action: Action, resource: str, verb: str) -> bool:
    """Return whether a grant's (or gate's) action reaches a verb of a resource, fields apart."""
    return action.resource in ("*", resource) and action.verb in ("*", verb)


def both(first: RowFilter, second: RowFilter) -> RowFilter:
    """Return the conjunction of two filters."""
    return RowFilter(first.conditions + second.conditions, both_sql(first.sql, second.sql))


def both_sql(first: str | None, second: str | None) -> str | None:
    """Return the conjunction of two predicates. Line ends keep a trailing comment from swallowing a bracket."""
    if first is None or second is None:
        return first if second is None else second
    return f"({first}\n) AND ({second}\n)"
