"""What the extensions of a database bring, of what agents may use: their reviewed functions, operators and types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.sql.extension_lists import REVIEWED, names_of

_KINDS = ("function", "operator", "type")

_OWNERS = """
SELECT DISTINCT e.extname::text AS extension
FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.refclassid = 'pg_catalog.pg_extension'::regclass
  AND d.deptype = 'e' AND d.objid = ANY ($1::int8[]::oid[])
"""

_BROUGHT = """
WITH wanted(kind, extension, name) AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])),
member AS (
    SELECT e.extname::text AS extension, d.classid, d.objid
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
    WHERE d.deptype = 'e' AND e.extname IN (SELECT w.extension FROM wanted AS w)
)
SELECT w.kind, n.nspname::text AS schema, p.proname::text AS name, '' AS "left", '' AS "right",
       CASE WHEN count(DISTINCT p.prorettype) = 1 THEN pg_catalog.format_type(min(p.prorettype), NULL) ELSE '' END
           AS result
FROM member AS m
JOIN pg_catalog.pg_proc AS p ON m.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = m.objid AND p.prokind <> 'p'
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN wanted AS w ON w.kind = 'function' AND w.extension = m.extension AND w.name = p.proname
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc AS o WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname
    AND (o.prosecdef OR o.oid NOT IN (SELECT a.objid FROM member AS a WHERE a.classid = m.classid)))
GROUP BY 1, 2, 3
UNION ALL
SELECT w.kind, n.nspname::text, o.oprname::text, pg_catalog.format_type(o.oprleft, NULL),
       pg_catalog.format_type(o.oprright, NULL), pg_catalog.format_type(o.oprresult, NULL)
FROM member AS m
JOIN pg_catalog.pg_operator AS o ON m.classid = 'pg_catalog.pg_operator'::regclass AND o.oid = m.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
JOIN wanted AS w ON w.kind = 'operator' AND w.extension = m.extension AND w.name = o.oprname
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_operator AS other JOIN pg_catalog.pg_proc AS p ON p.oid = other.oprcode
    WHERE other.oprnamespace = o.oprnamespace AND other.oprname = o.oprname
    AND (p.prosecdef OR other.oid NOT IN (SELECT a.objid FROM member AS a WHERE a.classid = m.classid)))
UNION ALL
SELECT w.kind, n.nspname::text, pg_catalog.format_type(t.oid, NULL), t.oid::text, t.typarray::text, ''
FROM member AS m JOIN pg_catalog.pg_type AS t ON m.classid = 'pg_catalog.pg_type'::regclass AND t.oid = m.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
JOIN wanted AS w ON w.kind = 'type' AND w.extension = m.extension AND w.name = t.typname
"""
"""What extensions bring of what was reviewed; nothing under a name that somebody else uses in the same schema too, or
that runs with the rights of its owner."""

_OF_NO_TYPE = ("record", "anyelement")

Fetch = Callable[..., Awaitable[Sequence[Mapping[str, str]]]]
"""Runs a query with its parameters."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What the opened extensions bring. Types are printed as `format_type` does."""

    functions: Mapping[str, str]
    """`schema.name` → type of its result; empty where its overloads differ."""
    operators: Mapping[str, tuple[tuple[str, str, str, str], ...]]
    """Operator → (schema, left type, right type, type of its result)."""
    types: Mapping[str, tuple[int, ...]]
    """Type → its oid and that of its array."""


async def read_brought(fetch: Fetch, opened: Iterable[str], types: Iterable[int]) -> Brought:
    """Read what the opened extensions bring, and those that the types of accepted columns belong to."""
    own = {row["extension"] for row in await fetch(_OWNERS, sorted(types))}
    extensions = frozenset(opened) | own & REVIEWED.keys()
    wanted = [(kind, *each) for kind in _KINDS for each in names_of(kind, extensions)]
    rows = await fetch(_BROUGHT, *([row[place] for row in wanted] for place in range(3))) if wanted else ()
    functions: dict[str, str] = {}
    operators: defaultdict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    found: dict[str, tuple[int, ...]] = {}
    for row in rows:
        if row["kind"] == "type":
            found[row["name"]] = tuple(int(oid) for oid in (row["left"], row["right"]) if oid != "0")
        elif row["kind"] == "operator":
            operators[row["name"]].append((row["schema"], row["left"], row["right"], row["result"]))
        else:
            result = row["result"]
            functions[f"{row['schema']}.{row['name']}"] = "" if result in _OF_NO_TYPE else result
    return Brought(functions, {name: tuple(each) for name, each in operators.items()}, found)
