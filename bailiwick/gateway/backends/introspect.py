"""Reads what a PostgreSQL behind a mount has: tables for the lock, and the catalogue for the rewriter.

Speaks to the database with the gateway's own credential, which never appears in an error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast
from urllib.parse import urlsplit

import asyncpg

from bailiwick.errors import BackendError
from bailiwick.gateway.backends.extensions import read_brought
from bailiwick.model.lock import LockedColumn, LockedExtensions, LockedTable
from bailiwick.model.policy import Mount
from bailiwick.sql.catalogue import Catalogue, Column, Relation
from bailiwick.sql.system_reach import FIRST_USER_OID

CONNECT_SECONDS = 10
TableName = tuple[str, str]

_UNREADABLE = "an address that is not a plain url"
_PLAIN = re.compile(r"[A-Za-z0-9_-]*")

_COLUMNS = """
WITH RECURSIVE innermost(root, oid, typtype, typelem, typbasetype, typcategory, depth) AS (
    SELECT t.oid, t.oid, t.typtype, t.typelem, t.typbasetype, t.typcategory, 0 FROM pg_catalog.pg_type AS t
  UNION ALL
    SELECT i.root, t.oid, t.typtype, t.typelem, t.typbasetype, t.typcategory, i.depth + 1
    FROM innermost AS i JOIN pg_catalog.pg_type AS t ON t.oid = i.typelem
    WHERE i.typcategory = 'A' AND i.typtype = 'b' AND i.depth < 8
),
domains(root, base) AS (
    SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type AS t WHERE t.typtype = 'd'
  UNION ALL
    SELECT d.root, t.typbasetype FROM domains AS d JOIN pg_catalog.pg_type AS t ON t.oid = d.base AND t.typtype = 'd'
)
SELECT n.nspname::text AS schema, c.relname::text AS name, c.oid::int8 AS oid, c.relkind::text AS kind,
       a.attname::text AS column, a.attnum::int4 AS number,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.atttypid::int8 AS type_oid,
       COALESCE(i.typtype, 'b')::text AS type_kind, COALESCE(b.base, '') AS base,
       EXISTS (SELECT FROM pg_catalog.pg_collation AS l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic)
           AS folds,
       NOT a.attnotnull AS nullable,
       COALESCE(array_position(k.conkey, a.attnum), 0)::int4 AS key_place
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN (SELECT DISTINCT ON (root) root, typtype FROM innermost ORDER BY root, depth DESC) AS i ON i.root = a.atttypid
LEFT JOIN (SELECT d.root, pg_catalog.format_type(t.oid, NULL) AS base
           FROM domains AS d JOIN pg_catalog.pg_type AS t ON t.oid = d.base AND t.typtype <> 'd') AS b
    ON b.root = a.atttypid
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND CASE WHEN $1 THEN n.nspname IN ('pg_catalog', 'information_schema')
      ELSE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_' END
  AND ($2::text[] IS NOT NULL OR NOT c.relispartition AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_depend AS d
       WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
  AND ($2::text[] IS NULL OR (n.nspname, c.relname) IN (SELECT w.s, w.t FROM unnest($2::text[], $3::text[]) AS w(s, t)))
ORDER BY n.nspname, c.relname, a.attnum
"""

_LEAKPROOF = """
SELECT DISTINCT o.oprname::text AS operator, pg_catalog.format_type(o.oprleft, NULL) AS "left",
       pg_catalog.format_type(o.oprright, NULL) AS "right"
FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_proc AS p ON p.oid = o.oprcode
WHERE p.proleakproof AND o.oprnamespace = 11 AND o.oprleft <> 0
"""

_TYPES = """
WITH RECURSIVE near(root, oid, depth) AS (
    SELECT r.oid, r.oid, 0 FROM unnest($1::int8[]) AS r(oid)
  UNION
    SELECT n.root, near.oid::int8, n.depth + 1
    FROM near AS n JOIN pg_catalog.pg_type AS t ON t.oid = n.oid::oid
    CROSS JOIN LATERAL (VALUES (t.typelem), (t.typarray), (t.typbasetype)) AS near(oid)
    WHERE n.depth < 4 AND near.oid <> 0
)
SELECT n.root, n.oid FROM near AS n JOIN pg_catalog.pg_type AS t ON t.oid = n.oid::oid
WHERE n.oid >= 16384 AND t.typtype <> 'c' GROUP BY n.root, n.oid
"""

_COMPOSITES = """
WITH RECURSIVE near(oid) AS (
    SELECT r.oid FROM unnest($1::int8[]) AS r(oid)
  UNION
    SELECT inner_type.oid::int8 FROM near AS n JOIN pg_catalog.pg_type AS t ON t.oid = n.oid::oid
    CROSS JOIN LATERAL (
        SELECT t.typelem
      UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS inner_type(oid) WHERE inner_type.oid <> 0
)
SELECT pg_catalog.format_type(t.oid, NULL) AS type, array_agg(a.attname::text ORDER BY a.attnum) AS names,
       array_agg(pg_catalog.format_type(a.atttypid, NULL) ORDER BY a.attnum) AS types
FROM near AS n JOIN pg_catalog.pg_type AS t ON t.oid = n.oid::oid
JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid AND c.relkind = 'c'
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY t.oid
"""

_NAMED_KEYS = """
SELECT r.oid AS relation, c.relname::text AS name, ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::int2[]) ORDER BY a.attname
) AS columns
FROM unnest($1::int8[]) AS r(oid) JOIN pg_catalog.pg_index AS x ON x.indrelid = r.oid::oid
JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
WHERE x.indisunique AND x.indexprs IS NULL AND x.indpred IS NULL
ORDER BY r.oid, c.relname
"""
_UNIQUES = """
WITH RECURSIVE parts(root, oid) AS (
    SELECT r.oid, r.oid FROM unnest($1::int8[]) AS r(oid)
  UNION
    SELECT p.root, i.inhrelid::int8 FROM parts AS p JOIN pg_catalog.pg_inherits AS i ON i.inhparent = p.oid::oid
)
SELECT DISTINCT p.root, CASE WHEN x.indexprs IS NULL AND x.indisunique AND NOT EXISTS (
    SELECT FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1], x.indcollation::oid[]) AS k(number, rule)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number
    JOIN pg_catalog.pg_collation AS l ON l.oid = k.rule
    WHERE NOT l.collisdeterministic AND l.oid <> a.attcollation
) THEN ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = x.indrelid AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) ORDER BY a.attname
) ELSE '{}' END AS columns
FROM parts AS p JOIN pg_catalog.pg_index AS x ON x.indrelid = p.oid::oid
WHERE x.indisunique OR x.indisexclusion
ORDER BY p.root, columns
"""

_DERIVES = """
WITH RECURSIVE parts(root, oid) AS (
    SELECT r.oid, r.oid FROM unnest($1::int8[]) AS r(oid)
  UNION
    SELECT p.root, i.inhrelid::int8 FROM parts AS p JOIN pg_catalog.pg_inherits AS i ON i.inhparent = p.oid::oid
)
SELECT DISTINCT p.root FROM parts AS p
WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = p.oid::oid AND a.attgenerated <> '')
  OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = p.oid::oid AND t.tgtype::int4 & 2 = 2)
"""

_RESULTS = """
SELECT f.schema, f.name, min(f.columns) AS columns
FROM (
    SELECT n.nspname::text AS schema, p.proname::text AS name, CASE
        WHEN t.typtype = 'c' THEN (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
        ELSE (SELECT array_agg(u.name::text ORDER BY u.place)
              FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS u(name, mode, place)
              WHERE u.mode IN ('o', 'b', 't')) END AS columns
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_type AS t ON t.oid = p.prorettype
    WHERE n.nspname || '.' || p.proname = ANY ($1::text[])
) AS f
GROUP BY f.schema, f.name
HAVING count(*) = count(f.columns) AND min(f.columns) = max(f.columns)
"""


class _Connection(Protocol):
    """What is used of asyncpg's connection; the library brings no types."""

    async def fetch(self, query: str, *args: object) -> Sequence[Mapping[str, str]]: ...
    async def execute(self, query: str) -> str: ...
    async def prepare(self, query: str) -> object: ...
    def terminate(self) -> None: ...


_connect = cast("Callable[..., Awaitable[_Connection]]", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType] - asyncpg has no types


@dataclass(frozen=True, slots=True)
class _Row:
    """One column of one relation, as the database tells it."""

    schema: str
    name: str
    oid: int
    kind: str
    column: str
    number: int
    type: str
    type_oid: int
    type_kind: str
    base: str
    folds: bool
    nullable: bool
    key_place: int


async def read_tables(url: str, wanted: Collection[TableName] | None) -> Mapping[TableName, LockedTable]:
    """Read the live tables and views with their columns; None means every one that users made, but for partitions and
    what belongs to an extension.

    Raises BackendError when the database cannot be reached or refuses to tell.
    """
    async with _connection(url) as connection:
        found = _by_relation(await _columns(connection, wanted))
    return {key: _locked(rows) for key, rows in found.items()}


async def read_catalogue(url: str, policy_mount: Mount, locked: Mapping[TableName, LockedTable]) -> Catalogue:
    """Read what the rewriter needs: of the user's relations only those that are mapped, accepted and unchanged.

    A column that is not in the lock, or has another type there, is left out. Raises BackendError as `read_tables`.
    """
    mapped = {(resource.schema, resource.table) for resource in policy_mount.resources.values()}
    async with _connection(url) as connection:
        live = _by_relation(await _columns(connection, mapped & set(locked)))
        system = _by_relation(await _columns(connection, None, system=True))
        leakproof = await connection.fetch(_LEAKPROOF)
        relations = {key: _accepted(rows, locked[key]) for key, rows in live.items() if key in locked}
        oids = [relation.oid for relation in relations.values()]
        uniques = await _uniques(connection, oids)
        named = await _named_keys(connection, oids)
        derives = {int(row["root"]) for row in await connection.fetch(_DERIVES, oids)}
        types = await _types(connection, [row for rows in live.values() for row in rows])
        rows = sorted({row.type_oid for rows in live.values() for row in rows if row.type_kind == "c"})
        composites = await connection.fetch(_COMPOSITES, rows)
        near = {oid for around in types.values() for oid in around}
        brought = await read_brought(connection.fetch, policy_mount.extensions, near)
        results = await connection.fetch(_RESULTS, [*policy_mount.functions, *sorted(brought.functions)])
        version = int((await connection.fetch("SHOW server_version_num"))[0]["server_version_num"])
    return Catalogue(
        relations={
            key: replace(
                relation,
                uniques=uniques.get(relation.oid, ()),
                named_keys=named.get(relation.oid, ()),
                derives=relation.oid in derives,
            )
            for key, relation in relations.items()
            if relation.columns
        },
        system={key: _relation(rows) for key, rows in system.items()},
        leakproof=frozenset((row["operator"], row["left"], row["right"]) for row in leakproof),
        version=version,
        types={**brought.types, **types},
        opened=frozenset(brought.types),
        functions=brought.functions,
        operators=brought.operators,
        composites={row["type"]: tuple(zip(row["names"], row["types"], strict=True)) for row in composites},
        results={(row["schema"], row["name"]): tuple(row["columns"]) for row in results},
    )


async def read_extensions(url: str, policy_mount: Mount) -> LockedExtensions:
    """Read what the mount's opened extensions bring, and those that types of its tables belong to.

    Raises BackendError as `read_tables`."""
    mapped = {(resource.schema, resource.table) for resource in policy_mount.resources.values()}
    async with _connection(url) as connection:
        types = await _types(connection, await _columns(connection, mapped))
        near = {oid for around in types.values() for oid in around}
        found = await read_brought(connection.fetch, policy_mount.extensions, near)
        results = await connection.fetch(_RESULTS, sorted(found.functions))
    operators = frozenset(
        (schema, name, left, right, result)
        for name, each in found.operators.items()
        for schema, left, right, result in each
    )
    rows = {f"{row['schema']}.{row['name']}": tuple(row["columns"]) for row in results}
    return LockedExtensions(found.functions, operators, frozenset(found.types), rows)


async def refused_statements(url: str, statements: Sequence[str]) -> Mapping[str, str]:
    """Return those of the statements that the server cannot plan, with its reason. Nothing is executed.

    The reasons quote names of the statements, never data. Raises BackendError as `read_tables`.
    """
    refused: dict[str, str] = {}
    async with _connection(url) as connection:
        for statement in dict.fromkeys(statements):
            await connection.execute("SAVEPOINT one")
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                refused[statement] = str(error).splitlines()[0]
            await connection.execute("ROLLBACK TO SAVEPOINT one")
    return refused


async def ask(url: str, query: str, *given: object) -> Sequence[Mapping[str, str]]:
    """Return the rows of a query of the gateway's own. Raises BackendError as `read_tables`."""
    async with _connection(url) as connection:
        return await connection.fetch(query, *given)


async def _columns(
    connection: _Connection, wanted: Collection[TableName] | None, *, system: bool = False
) -> list[_Row]:
    names = None if wanted is None else sorted(wanted)
    schemas = None if names is None else [schema for schema, _ in names]
    tables = None if names is None else [table for _, table in names]
    return [_row(row) for row in await connection.fetch(_COLUMNS, system, schemas, tables)]


def _row(found: Mapping[str, str]) -> _Row:
    return _Row(
        schema=found["schema"],
        name=found["name"],
        oid=int(found["oid"]),
        kind=found["kind"],
        column=found["column"],
        number=int(found["number"]),
        type=found["type"],
        type_oid=int(found["type_oid"]),
        type_kind=found["type_kind"],
        base=found["base"],
        folds=bool(found["folds"]),
        nullable=bool(found["nullable"]),
        key_place=int(found["key_place"]),
    )


def _by_relation(rows: Sequence[_Row]) -> dict[TableName, list[_Row]]:
    grouped: defaultdict[TableName, list[_Row]] = defaultdict(list)
    for row in rows:
        grouped[row.schema, row.name].append(row)
    return dict(grouped)


def _key(rows: Sequence[_Row]) -> tuple[str, ...]:
    return tuple(row.column for row in sorted(rows, key=lambda row: row.key_place) if row.key_place)


def _locked(rows: Sequence[_Row]) -> LockedTable:
    first = rows[0]
    columns = tuple(LockedColumn(row.column, row.type, row.type_kind, row.nullable) for row in rows)
    return LockedTable(first.schema, first.name, first.kind, columns, _key(rows))


def _relation(rows: Sequence[_Row]) -> Relation:
    first = rows[0]
    columns = tuple(Column(row.column, row.number, row.type, row.type_kind, row.base, row.folds) for row in rows)
    return Relation(first.schema, first.name, first.oid, first.kind, columns, _key(rows))


def _accepted(rows: Sequence[_Row], locked: LockedTable) -> Relation:
    """The live relation, cut down to what was accepted."""
    relation = _relation(rows)
    if relation.kind != locked.kind:
        return replace(relation, columns=())
    columns: list[Column] = []
    for column in relation.columns:
        known = locked.column(column.name)
        if known is not None and (known.type, known.kind) == (column.type, column.kind):
            columns.append(column)
    names = {column.name for column in columns}
    key = relation.key if names.issuperset(relation.key) else ()
    return replace(relation, columns=tuple(columns), key=key)


async def _uniques(connection: _Connection, oids: Sequence[int]) -> dict[int, tuple[tuple[str, ...], ...]]:
    """Oid → the keys that no two rows of the relation, or of one of its partitions, may share."""
    found: defaultdict[int, list[tuple[str, ...]]] = defaultdict(list)
    for row in await connection.fetch(_UNIQUES, list(oids)):
        found[int(row["root"])].append(tuple(row["columns"]))
    return {oid: tuple(keys) for oid, keys in found.items()}


async def _named_keys(
    connection: _Connection, oids: Sequence[int]
) -> dict[int, tuple[tuple[str, tuple[str, ...]], ...]]:
    """Oid → names and columns of the relation's own keys."""
    found: defaultdict[int, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for row in await connection.fetch(_NAMED_KEYS, list(oids)):
        found[int(row["relation"])].append((str(row["name"]), tuple(row["columns"])))
    return {oid: tuple(keys) for oid, keys in found.items()}


async def _types(connection: _Connection, rows: Sequence[_Row]) -> dict[str, tuple[int, ...]]:
    """Printed type → oids of the types around it, for types that are not PostgreSQL's own."""
    own = {row.type: row.type_oid for row in rows if row.type_oid >= FIRST_USER_OID and row.type_kind != "c"}
    around: defaultdict[int, set[int]] = defaultdict(set)
    for row in await connection.fetch(_TYPES, sorted(set(own.values()))):
        around[int(row["root"])].add(int(row["oid"]))
    return {name: (oid, *sorted(around[oid] - {oid})) for name, oid in own.items()}


@asynccontextmanager
async def _connection(url: str) -> AsyncGenerator[_Connection]:
    """A connection with a pinned search_path, in one read-only snapshot."""
    try:
        connection = await _connect(
            url,
            timeout=CONNECT_SECONDS,
            server_settings={"search_path": "pg_catalog, pg_temp", "application_name": "bailiwick"},
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise failure("cannot connect to", url, error) from None
    try:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise failure("cannot read the catalogue of", url, error) from None
    finally:
        connection.terminate()


def failure(what: str, url: str, error: Exception) -> BackendError:
    """Say what failed without the credential: host, port and database, and the kind of failure."""
    return BackendError(f"{what} the database at `{_place(url)}`: {_reason(error)}", remedy=_remedy(error))


def _place(url: str) -> str:
    """Host, port and database, where the url is one; nothing that could be a piece of a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return _UNREADABLE
    database = parts.path.removeprefix("/")
    if parts.scheme not in ("postgres", "postgresql") or not _PLAIN.fullmatch(database):
        return _UNREADABLE
    return f"{host or 'local socket'}:{port or 5432}/{database}"


def _reason(error: Exception) -> str:
    """The failure in words of ours: a driver's message may quote the connection string."""
    if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        return "the login was refused"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return "there is no such database"
    if isinstance(error, asyncpg.PostgresError):
        return f"the server answered {getattr(error, 'sqlstate', None) or 'with an error'}"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS} seconds"
    if isinstance(error, OSError):
        return error.strerror.lower() if error.strerror else "the connection failed"
    return "the url is not one of PostgreSQL"


def _remedy(error: Exception) -> str:
    if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        return "check user and password in the mount's `url`"
    if isinstance(error, asyncpg.PostgresError):
        return "check the database's name and the login's rights"
    return "check that the mount's `url` reads `postgresql://user:password@host:port/database` and the server is up"
