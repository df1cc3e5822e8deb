"""A catalogue from the lock alone, for explaining decisions where no database can be reached."""

from __future__ import annotations

from itertools import product

from bailiwick.model.lock import Lock, LockedExtensions, LockedTable
from bailiwick.model.policy import Mount
from bailiwick.sql.catalogue import Catalogue, Column, Relation
from bailiwick.sql.extension_lists import REVIEWED

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
    brought = brought_by(mount, lock)
    operators: dict[str, tuple[tuple[str, str, str, str], ...]] = {}
    for schema, name, left, right, result in sorted(brought.operators):
        operators[name] = (*operators.get(name, ()), (schema, left, right, result))
    return Catalogue(
        relations,
        leakproof=LEAKPROOF,
        functions=brought.functions,
        operators=operators,
        opened=brought.types,
        results={(name.rpartition(".")[0], name.rpartition(".")[2]): each for name, each in brought.rows.items()},
    )


def brought_by(mount: Mount, lock: Lock) -> LockedExtensions:
    """Return what was accepted of the extensions that the policy opens now, or that a column's type belongs to."""
    accepted = lock.extensions.get(mount.name, LockedExtensions())
    places = ((resource.schema, resource.table) for resource in mount.resources.values())
    tables = [table for schema, name in places if (table := lock.table(mount.name, schema, name)) is not None]
    columns = [column for table in tables for column in table.columns]
    own = {column.type.partition("(")[0].removesuffix("[]").rpartition(".")[2] for column in columns}
    domains = any(column.kind == "d" for column in columns)  # of which type is not in the lock
    opened = [
        known
        for name, known in REVIEWED.items()
        if name in mount.extensions or not known.types.isdisjoint(own) or (domains and known.types)
    ]
    functions = frozenset[str]().union(*(known.functions for known in opened))
    signs = frozenset[str]().union(*(known.operators for known in opened))
    kinds = frozenset[str]().union(*(known.types for known in opened))
    types = frozenset(name for name in accepted.types if name.rpartition(".")[2] in kinds)
    closed = accepted.types - types
    return LockedExtensions(
        {name: result for name, result in accepted.functions.items() if name.rpartition(".")[2] in functions},
        frozenset(each for each in accepted.operators if each[1] in signs and closed.isdisjoint(each[2:])),
        types,
        {name: columns for name, columns in accepted.rows.items() if name.rpartition(".")[2] in functions},
    )


def _relation(table: LockedTable) -> Relation:
    columns = tuple(Column(each.name, 0, each.type, each.kind) for each in table.columns)
    return Relation(table.schema, table.name, 0, table.kind, columns, table.key)
