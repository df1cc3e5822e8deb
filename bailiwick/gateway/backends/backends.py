"""What differs between the kinds of databases behind mounts, for the gateway's own questions to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from bailiwick.errors import PolicyError
from bailiwick.gateway.backends import duckdb, introspect, mariadb, sqlite
from bailiwick.gateway.backends.lookup import PostgresLookup
from bailiwick.gateway.secrets import Secret, resolve
from bailiwick.model.lock import LockedTable
from bailiwick.model.policy import Mount, Resource
from bailiwick.model.value import Scalar
from bailiwick.policy.effective import built_engines, unproven_engines
from bailiwick.policy.sql_mounts import file_engines
from bailiwick.sql.catalogue import Catalogue, Relation

Tables = Mapping[tuple[str, str], LockedTable]


def place_of(mount: Mount, environ: Mapping[str, str], base: Path) -> Secret:
    """Return where a mount's database is: a url, or the path of a file, which is looked for in `base`."""
    found = resolve(mount.url, environ, base)
    return Secret(str(base / found.reveal())) if mount.engine in file_engines else found


async def read_tables(mount: Mount, place: str, wanted: Collection[tuple[str, str]] | None) -> Tables:
    """Read the live tables and views with their columns; None means every one that users made. Raises BackendError."""
    if mount.kind == "postgres":
        return await introspect.read_tables(place, wanted)
    _built(mount)
    if mount.engine == "duckdb":
        return await asyncio.to_thread(duckdb.read_tables, duckdb.place_of(mount, place), wanted)
    if mount.engine == "mariadb":
        return await asyncio.to_thread(mariadb.read_tables, place, wanted)
    return await asyncio.to_thread(sqlite.read_tables, place, wanted)


async def read_catalogue(place: str, mount: Mount, locked: Tables) -> Catalogue:
    """Read what the rewriter needs: of what is mapped and accepted, what did not change. Raises BackendError."""
    if mount.kind == "postgres":
        return await introspect.read_catalogue(place, mount, locked)
    _built(mount)
    mapped = {(resource.schema, resource.table) for resource in mount.resources.values()}
    wanted = {place: table for place, table in locked.items() if place in mapped}
    if mount.engine == "duckdb":
        live = await asyncio.to_thread(duckdb.read_relations, duckdb.place_of(mount, place), wanted)
    elif mount.engine == "mariadb":
        live = await asyncio.to_thread(mariadb.read_relations, place, wanted)
    else:
        live = await asyncio.to_thread(sqlite.read_relations, place, wanted)
    relations = {place: accepted(relation, wanted[place]) for place, relation in live.items()}
    return Catalogue({place: relation for place, relation in relations.items() if relation.columns})


def accepted(relation: Relation, locked: LockedTable) -> Relation:
    """Return a live relation, cut down to what was accepted of it."""
    if relation.kind != locked.kind:
        return replace(relation, columns=())
    known = {column.name: column.type for column in locked.columns}
    columns = tuple(column for column in relation.columns if known.get(column.name) == column.type)
    names = {column.name for column in columns}
    return replace(relation, columns=columns, key=relation.key if names.issuperset(relation.key) else ())


class Lookups:
    """A `Lookup` over whatever stands behind the mounts of the policy in force."""

    def __init__(self, mount: Callable[[str], Mount], place: Callable[[str], Secret]) -> None:
        self._mount = mount
        self._place = place
        self._postgres = PostgresLookup(place)

    async def __call__(
        self, mount: str, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None
    ) -> object:
        """Return the value of the one row; None when there is none, or several."""
        known = self._mount(mount)
        if known.kind == "postgres":
            return await self._postgres(mount, resource, column, by_column, value, tenant)
        _built(known)
        place = self._place(mount).reveal()
        if known.engine == "duckdb":
            at = duckdb.place_of(known, place)
            return await asyncio.to_thread(duckdb.look_up, at, resource, column, by_column, value, tenant)
        return await asyncio.to_thread(sqlite.look_up, place, resource, column, by_column, value, tenant)


def _built(mount: Mount) -> None:
    """Raise for an engine that is known but not built yet."""
    if mount.engine not in built_engines:
        unproven = f": {unproven_engines[mount.engine]}" if mount.engine in unproven_engines else ""
        message = f"mount `{mount.name}`: the engine `{mount.engine}` is not supported yet{unproven}"
        raise PolicyError(message, remedy="use `sqlite` or `duckdb`, or remove the mount")
