"""A catalogue from the lock alone, for explaining decisions where no database can be reached."""

from __future__ import annotations

from itertools import product

from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.policy import Mount
from bailiwick.sql.catalogue import Catalogue, Column, Relation

_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_ALONE = ("text", "oid", "name", "boolean", "date", "bytea", "uuid", "timestamp with time zone")
_INTEGERS = ("smallint", "integer", "bigint")
LEAKPROOF = frozenset(
    {(sign, kind, kind) for sign in _COMPARISONS for kind in (*_ALONE, "timestamp without time zone")}
    | {(sign, left, right) for sign in _COMPARISONS for left, right in product(_INTEGERS, _INTEGERS)}
    | {("^@", "text", "text")}
)
"""The leakproof comparisons of the commonest types; the same on PostgreSQL 15 to 18."""


def snapshot(mount: Mount, lock: Lock) -> Catalogue:
    """Return what the lock knows of the mount's resources. It has no oids and no system relations."""
    relations: dict[tuple[str, str], Relation] = {}
    for resource in mount.resources.values():
        table = lock.table(mount.name, resource.schema, resource.table)
        if table is not None:
            relations[resource.schema, resource.table] = _relation(table)
    return Catalogue(relations, leakproof=LEAKPROOF)


def _relation(table: LockedTable) -> Relation:
    columns = tuple(Column(each.name, 0, each.type, each.kind) for each in table.columns)
    return Relation(table.schema, table.name, 0, table.kind, columns, table.key)
