"""Questions as text-to-SQL systems and BI tools ask them, generated over whatever tables a schema has, along its
foreign keys: seeded, valid, and of one answer only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

from tests.sql.same_answers_rig import Query
from tests.support.postgres import Database

_COLUMNS = """
SELECT c.relname::text, pg_catalog.quote_ident(a.attname), pg_catalog.format_type(a.atttypid, NULL),
       COALESCE(a.attnum = ANY (k.conkey), false)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
ORDER BY c.relname, a.attnum
"""
_LINKS = """
SELECT c.relname::text, p.relname::text, pg_catalog.quote_ident(a.attname), pg_catalog.quote_ident(b.attname)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = k.confkey[1]
WHERE k.contype = 'f' AND k.connamespace = %s::regnamespace AND cardinality(k.conkey) = 1 AND NOT c.relispartition
ORDER BY 1, 2, 3
"""
_KINDS: Mapping[str, Sequence[str]] = {
    "num": ("smallint", "integer", "bigint", "numeric", "real", "double precision"),
    "text": ("text", "character varying", "character"),
    "time": ("date", "timestamp without time zone", "timestamp with time zone"),
    "bool": ("boolean",),
}
_SHAPES = (
    "SELECT count(*) FROM {T}",
    "SELECT count(DISTINCT {a.text}) AS n FROM {T} AS a WHERE {a.num} IS NOT NULL",
    "SELECT {a.text}, {a.num} FROM {T} AS a WHERE {a.num} = (SELECT max({b.num}) FROM {T} AS b)",
    "SELECT {a.text}, count(*) AS n FROM {T} a GROUP BY {a.text} HAVING count(*) > 1 ORDER BY n DESC, {a.text}",
    "SELECT {a.text} AS label, sum({a.num})::numeric AS total FROM {T} a GROUP BY 1 ORDER BY total DESC NULLS LAST, 1",
    "SELECT * FROM {T} a WHERE {a.num} > (SELECT avg({b.num}) FROM {T} b) AND {a.text} IS NOT NULL",
    "SELECT {a.text} FROM {T} a EXCEPT SELECT {b.text} FROM {T} b WHERE {b.num} > 5",
    "SELECT {a.text} FROM {T} a WHERE {a.num} < 20 INTERSECT SELECT {b.text} FROM {T} b WHERE {b.num} > 2 ORDER BY 1",
    "SELECT 'low' AS band, count(*) FROM {T} a WHERE {a.num} <= 10 UNION ALL SELECT 'high', count(*) FROM {T} a"
    " WHERE {a.num} > 10",
    "SELECT DISTINCT upper({a.text}) AS u, length({a.text}) FROM {T} a WHERE {a.text} ILIKE '%a%'",
    "SELECT date_trunc('month', {a.time}) AS m, count(*), sum(count(*)) OVER (ORDER BY date_trunc('month', {a.time}))"
    " FROM {T} a GROUP BY 1 ORDER BY 1",
    "SELECT extract(year FROM {a.time})::int AS y, {a.text}, count(*) FROM {T} a GROUP BY ROLLUP (1, 2)",
    "SELECT to_char({a.time}, 'YYYY-\"Q\"Q') AS quarter, min({a.num}), max({a.num}) FROM {T} a GROUP BY quarter",
    "SELECT {a.text}, {a.num}, rank() OVER (PARTITION BY {a.text} ORDER BY {a.num} DESC NULLS LAST) AS r FROM {T} a",
    "SELECT * FROM (SELECT {a.text} AS t, {a.num} AS n, dense_rank() OVER (ORDER BY {a.num}) AS d FROM {T} a) q"
    " WHERE d <= 3",
    "WITH s AS (SELECT {a.text} AS t, avg({a.num}::numeric) AS m FROM {T} a GROUP BY {a.text}), top AS (SELECT max(m)"
    " AS m FROM s) SELECT s.t, round(s.m, 2) FROM s JOIN top ON s.m = top.m",
    "SELECT CASE WHEN {a.num} < 5 THEN 'few' WHEN {a.num} BETWEEN 5 AND 50 THEN 'some' ELSE 'many' END AS size,"
    " count(*) AS c FROM {T} a GROUP BY size ORDER BY c, size",
    "SELECT round(100.0 * count(*) FILTER (WHERE {a.num} > 3) / nullif(count(*), 0), 2) AS pct FROM {T} a",
    "SELECT CAST(SUM(CASE WHEN {a.text} LIKE '%e%' THEN 1 ELSE 0 END) AS FLOAT) * 100 / COUNT(*) AS percentage FROM"
    " {T} AS a",
    "SELECT {a.text} || '-' || coalesce({a.num}::text, '?') AS x FROM {T} a ORDER BY x DESC NULLS LAST",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY {a.num}), mode() WITHIN GROUP (ORDER BY {a.text}) FROM {T} a",
    "SELECT string_agg(DISTINCT {a.text}, ', ' ORDER BY {a.text}), array_agg({a.num} ORDER BY {a.num}) FROM {T} a",
    "SELECT c.*, {p.text} FROM {C} c JOIN {P} p ON {c=p}",
    "SELECT {p.text} AS parent, count(*) AS n FROM {C} AS c INNER JOIN {P} AS p ON {c=p} GROUP BY {p.text} ORDER BY"
    " n DESC, parent",
    "SELECT {p.text}, sum({c.num})::numeric, round(avg({c.num}::numeric), 2) FROM {P} p LEFT JOIN {C} c ON {c=p} GROUP"
    " BY {p.text} HAVING count({c.num}) > 1",
    "SELECT {p.text} FROM {P} p WHERE NOT EXISTS (SELECT 1 FROM {C} c WHERE {c=p})",
    "SELECT {p.text} FROM {P} p WHERE {p.link} IN (SELECT {c.link} FROM {C} c WHERE {c.num} > 3)",
    "SELECT {p.text} FROM {P} p WHERE {p.link} NOT IN (SELECT {c.link} FROM {C} c WHERE {c.link} IS NOT NULL)",
    "SELECT {p.text}, (SELECT count(*) FROM {C} c WHERE {c=p}) AS n, (SELECT max({c.num}) FROM {C} c WHERE {c=p}) AS m"
    " FROM {P} p ORDER BY n DESC, 1, m",
    "SELECT {p.text}, q.n FROM {P} p LEFT JOIN LATERAL (SELECT count(*) AS n FROM {C} c WHERE {c=p}) q ON true",
    "SELECT * FROM (SELECT {p.text} AS who, {c.num} AS n, row_number() OVER (PARTITION BY {p.link} ORDER BY {c.num}"
    " DESC, c.*::text) AS rn FROM {C} c, {P} p WHERE {c=p}) ranked WHERE rn = 1",
    "SELECT {p.text} FROM {C} c JOIN {P} p ON {c=p} GROUP BY {p.text} HAVING count(*) = (SELECT max(n) FROM (SELECT"
    " count(*) AS n FROM {C} c JOIN {P} p ON {c=p} GROUP BY {p.text}) x)",
    "WITH per AS (SELECT {c.link} AS id, sum({c.num})::numeric AS s FROM {C} c GROUP BY 1) SELECT {p.text}, per.s,"
    " round(per.s / nullif(sum(per.s) OVER (), 0) * 100, 1) AS share FROM per JOIN {P} p ON {p.link} = per.id",
    "SELECT date_trunc('week', {c.time})::date AS week, {p.text}, count(*) FROM {C} c LEFT JOIN {P} p ON {c=p} WHERE"
    " {c.time} >= '2000-01-01' GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT {p.text}, json_agg(json_build_object('n', {c.num}, 't', {c.text}) ORDER BY c.*::text) FROM {P} p JOIN {C} c"
    " ON {c=p} GROUP BY {p.text}",
    "SELECT row_to_json(x) FROM (SELECT p.*, (SELECT count(*) FROM {C} c WHERE {c=p}) AS children FROM {P} p) x",
    'SELECT "source"."g" AS "g", "source"."n" AS "n" FROM (SELECT {p.text} AS "g", COUNT(*) AS "n" FROM {C} c LEFT JOIN'
    ' {P} p ON {c=p} GROUP BY {p.text} ORDER BY {p.text} ASC) AS "source" WHERE "source"."n" > 0',
    "SELECT COUNT('*') FROM (SELECT DISTINCT {c.text} AS col1, {p.text} AS col2 FROM {C} c INNER JOIN {P} p ON {c=p}"
    " WHERE NOT ({c.text} IS NULL AND {p.text} IS NOT NULL)) subquery",
    "SELECT {p.text}, {c.num} - lag({c.num}) OVER (PARTITION BY {p.link} ORDER BY {c.num}, c.*::text) AS diff"
    " FROM {C} c"
    " JOIN {P} p ON {c=p}",
    "SELECT DISTINCT ON ({p.text}) {p.text}, {c.num} FROM {C} c JOIN {P} p ON {c=p} ORDER BY {p.text}, {c.num} DESC"
    " NULLS LAST",
    "SELECT a.{link}, count(*) FROM {C} a JOIN {C} b ON a.{link} = b.{link} AND {a.num} < {b.num} GROUP BY a.{link}",
    "SELECT coalesce({p.text}, 'all') AS p, {c.text} AS c, count(*), grouping({p.text}, {c.text}) FROM {C} c JOIN {P} p"
    " ON {c=p} GROUP BY CUBE ({p.text}, {c.text})",
    "SELECT {p.text} FROM {P} p WHERE {p.num} > ALL (SELECT {c.num} FROM {C} c WHERE {c=p} AND {c.num} IS NOT NULL)",
    "SELECT {a.bool}, count(*), bool_or({a.bool}), sum({a.bool}::int) FROM {T} a GROUP BY {a.bool}",
    "SELECT {a.text}, {a.num} FROM {T} a WHERE ({a.text}, {a.num}) IN (SELECT {b.text}, min({b.num}) FROM {T} b"
    " GROUP BY"
    " {b.text})",
    "SELECT d::date, count({a.num}) FROM generate_series((SELECT min({b.time})::date FROM {T} b), (SELECT max({b.time})"
    "::date FROM {T} b), INTERVAL '30 days') d LEFT JOIN {T} a ON {a.time} >= d AND {a.time} < d + INTERVAL '30 days'"
    " GROUP BY d",
    "SELECT ntile(3) OVER (ORDER BY {a.num}, a.*::text) AS tile, {a.text} FROM {T} a",
    "SELECT left({a.text}, 1) AS initial, avg(length({a.text}))::numeric(6, 2), count(*) FILTER (WHERE {a.text}"
    " ~ '[0-9]')"
    " FROM {T} a GROUP BY initial",
    "SELECT {a.text}, {a.num}, sum({a.num}) OVER (ORDER BY {a.num}, a.*::text ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)"
    "::numeric FROM {T} a WHERE {a.num} IN (SELECT {b.num} FROM {T} b)",
    "SELECT width_bucket({a.num}::numeric, 0, 100, 5) AS b, count(*) FROM {T} a WHERE {a.num} BETWEEN 0 AND"
    " 1000 GROUP BY b",
)


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: Mapping[str, Sequence[str]]
    """Kind → quoted columns of it, keys last."""


@dataclass(frozen=True, slots=True)
class _Link:
    child: _Table
    parent: _Table
    here: str
    there: str


def questions(database: Database, schema: str, count: int) -> Iterator[Query]:
    """Yield different questions about the tables of a schema."""
    tables = _tables(database, schema)
    rows = cast("list[tuple[str, str, str, str]]", database.rows(_LINKS, (schema,)))
    links = [_Link(tables[child], tables[parent], here, there) for child, parent, here, there in rows]
    draw = Random(schema)  # the same questions every time
    seen: set[str] = set()
    while len(seen) < count:
        sql = _filled(_SHAPES[draw.randrange(len(_SHAPES))], draw, list(tables.values()), links)
        if sql and sql not in seen:
            seen.add(sql)
            yield Query(sql)


def _tables(database: Database, schema: str) -> dict[str, _Table]:
    found: dict[str, dict[str, list[str]]] = {}
    keys: dict[str, set[str]] = {}
    for table, column, kind, key in cast("list[tuple[str, str, str, bool]]", database.rows(_COLUMNS, (schema,))):
        for name, types in _KINDS.items():
            if kind in types:
                found.setdefault(table, {}).setdefault(name, []).append(column)
                if key:
                    keys.setdefault(table, set()).add(column)
    quoted = {table: '"' + table + '"' if table != table.lower() or " " in table else table for table in found}
    quoted |= {table: f'"{table}"' for table in found if table in ("group", "user")}
    return {
        table: _Table(
            quoted[table], {kind: sorted(names, key=lambda n: n in keys.get(table, ())) for kind, names in of.items()}
        )
        for table, of in found.items()
    }


def _filled(shape: str, draw: Random, tables: Sequence[_Table], links: Sequence[_Link]) -> str:
    """Return the shape with tables and columns in it; nothing when these tables have no such columns."""
    link = links[draw.randrange(len(links))] if links else None
    table = tables[draw.randrange(len(tables))]
    if "{C}" in shape or "{P}" in shape:
        if link is None:
            return ""
        table = link.child
    places = {"a": table, "b": table, "c": table, "p": link.parent if link else table}
    text = shape.replace("{T}", table.name).replace("{C}", table.name)
    if link is not None:
        text = text.replace("{P}", link.parent.name).replace("{link}", link.here)
        text = text.replace("{c=p}", f"c.{link.here} = p.{link.there}")
        text = text.replace("{c.link}", f"c.{link.here}").replace("{p.link}", f"p.{link.there}")
    for kind in _KINDS:
        pick = draw.random()
        for alias, of in places.items():
            names = of.columns.get(kind, ())
            if f"{{{alias}.{kind}}}" in text:
                if not names:
                    return ""
                text = text.replace(f"{{{alias}.{kind}}}", f"{alias}.{names[int(pick * len(names))]}")
    return text
