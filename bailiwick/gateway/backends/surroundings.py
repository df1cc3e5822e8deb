"""What `policy check --connect` asks a PostgreSQL database beside its tables."""

from __future__ import annotations

from collections.abc import Collection

from bailiwick.gateway.backends.introspect import TableName, ask
from bailiwick.policy.surroundings import Surroundings

_FOLDING = """
SELECT n.nspname::text AS schema, c.relname::text AS name, a.attname::text AS column
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation AND NOT l.collisdeterministic
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND (n.nspname, c.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_EXTENSIONS = "SELECT extname::text AS name FROM pg_catalog.pg_extension"


async def read_surroundings(url: str, tables: Collection[TableName]) -> Surroundings:
    """Read them. Raises BackendError when the database cannot be reached or refuses to tell."""
    folding = await ask(url, _FOLDING, [schema for schema, _ in tables], [name for _, name in tables])
    extensions = await ask(url, _EXTENSIONS)
    return Surroundings(
        frozenset((row["schema"], row["name"], row["column"]) for row in folding),
        frozenset(row["name"] for row in extensions),
    )
