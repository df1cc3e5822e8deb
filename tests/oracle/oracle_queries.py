"""Random queries over whatever columns there are: a grammar that gives text which PostgreSQL accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

Columns = Mapping[str, Mapping[str, str]]
"""Table → column → kind (int, text, date): what may be named."""


@dataclass(frozen=True)
class Source:
    """A FROM clause and the columns that it offers, as `alias.column` by kind."""

    text: str
    offers: dict[str, list[str]]


def _offers(alias: str, columns: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"int": [], "text": [], "date": []}
    for name, kind in columns.items():
        found[kind].append(f"{alias}.{name}")
    return found


def _ints(draw: st.DrawFn, source: Source, depth: int) -> str:
    leaves = [*source.offers["int"], "1", "2", "-1"]
    if depth == 0 or draw(st.integers(0, 2)):
        return draw(st.sampled_from(leaves))
    one = _ints(draw, source, depth - 1)
    shapes = [f"({one} + 1)", f"coalesce({one}, 7)", f"nullif({one}, 2)", f"abs({one})", f"({one} % 3)"]
    shapes.append(f"CASE WHEN {_condition(draw, source, depth - 1)} THEN {one} ELSE 0 END")
    shapes.append(f"length({_texts(draw, source, depth - 1)})")
    return draw(st.sampled_from(shapes))


def _texts(draw: st.DrawFn, source: Source, depth: int) -> str:
    leaves = [*source.offers["text"], "'a'", "'ab'", "''"]
    if depth == 0 or draw(st.integers(0, 2)):
        return draw(st.sampled_from(leaves))
    one = _texts(draw, source, depth - 1)
    shapes = [f"upper({one})", f"coalesce({one}, 'none')", f"({one} || 'x')", f"left({one}, 1)", f"nullif({one}, 'a')"]
    shapes.append(f"({_ints(draw, source, depth - 1)})::text")
    return draw(st.sampled_from(shapes))


def _condition(draw: st.DrawFn, source: Source, depth: int) -> str:
    comparison = draw(st.sampled_from(("=", "<>", "<", ">=", "IS DISTINCT FROM")))
    one, two = _ints(draw, source, 0), _ints(draw, source, 0)
    text = _texts(draw, source, 0)
    shapes = [
        f"{one} {comparison} {two}",
        f"{one} IS NULL",
        f"{text} = {_texts(draw, source, 0)}",
        f"{text} LIKE 'a%'",
        f"{one} IN (1, 2, NULL)",
        f"{one} BETWEEN 0 AND 3",
        f"{text} IS NOT NULL",
    ]
    shapes += [f"{name} >= '2026-02-01'" for name in source.offers["date"]]
    found = draw(st.sampled_from(shapes))
    if depth > 0:
        other = _condition(draw, source, depth - 1)
        found = draw(st.sampled_from((found, f"NOT ({found})", f"({found} AND {other})", f"({found} OR {other})")))
    return found


def _subquery_condition(draw: st.DrawFn, source: Source, columns: Columns) -> str:
    table = draw(st.sampled_from(sorted(columns)))
    inner = Source(f"{table} s", _offers("s", columns[table]))
    both = Source("", {kind: inner.offers[kind] + source.offers[kind] for kind in inner.offers})
    where = _condition(draw, both, 1)
    exists = f"EXISTS (SELECT 1 FROM {inner.text} WHERE {where})"
    member = f"{_ints(draw, source, 0)} IN (SELECT {_ints(draw, inner, 0)} FROM {inner.text} WHERE {where})"
    larger = f"{_ints(draw, source, 0)} >= (SELECT count(*) FROM {inner.text} WHERE {where})"
    return draw(st.sampled_from((exists, "NOT " + exists, member, larger)))


def _source(draw: st.DrawFn, columns: Columns) -> Source:
    table = draw(st.sampled_from(sorted(columns)))
    one = Source(f"{table} AS x", _offers("x", columns[table]))
    shape = draw(st.sampled_from(("table", "table", "join", "left", "full", "cross", "sub")))
    if shape == "table":
        return one
    if shape == "sub":
        where = _condition(draw, Source("", _offers(table, columns[table])), 1)
        return Source(f"(SELECT * FROM {table} WHERE {where}) AS x", one.offers)
    other = draw(st.sampled_from(sorted(columns)))
    two = _offers("y", columns[other])
    both = {kind: one.offers[kind] + two[kind] for kind in two}
    if shape == "cross":
        return Source(f"{one.text} CROSS JOIN {other} AS y", both)
    left, right = one.offers["int"] or ["1"], two["int"] or ["1"]
    if shape == "full" and "1" in (*left, *right):
        return one  # a full join needs columns on both sides
    on = f"{draw(st.sampled_from(left))} = {draw(st.sampled_from(right))}"
    kind = {"join": "JOIN", "left": "LEFT JOIN", "full": "FULL JOIN"}[shape]
    if shape != "full" and draw(st.booleans()):
        on += f" AND {_condition(draw, Source('', both), 1)}"
    return Source(f"{one.text} {kind} {other} AS y ON {on}", both)


def _where(draw: st.DrawFn, source: Source, columns: Columns) -> str:
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return ""
    if choice == 1:
        return f" WHERE {_subquery_condition(draw, source, columns)}"
    return f" WHERE {_condition(draw, source, 2)}"


def _expression(draw: st.DrawFn, source: Source) -> str:
    kind = draw(st.sampled_from(("int", "text", "date", "int")))
    if kind == "date" and source.offers["date"]:
        return draw(st.sampled_from(source.offers["date"]))
    return _texts(draw, source, 2) if kind == "text" else _ints(draw, source, 2)


def _plain(draw: st.DrawFn, columns: Columns) -> str:
    source = _source(draw, columns)
    items = [_expression(draw, source) for _ in range(draw(st.integers(1, 3)))]
    distinct = draw(st.sampled_from(("", "", "DISTINCT ")))
    found = f"SELECT {distinct}{', '.join(items)} FROM {source.text}{_where(draw, source, columns)}"
    if draw(st.booleans()):
        order = ", ".join(str(n + 1) for n in range(len(items)))
        found += f" ORDER BY {order}" + draw(st.sampled_from(("", " LIMIT 3", " LIMIT 2 OFFSET 1")))
    return found


def _grouped(draw: st.DrawFn, columns: Columns) -> str:
    source = _source(draw, columns)
    key = _texts(draw, source, 1) if draw(st.booleans()) else _ints(draw, source, 1)
    number = _ints(draw, source, 1)
    aggregates = ["count(*)", f"sum({number})", f"min({_texts(draw, source, 0)})", f"max({number})"]
    aggregates += [f"count(DISTINCT {number})", f"count(*) FILTER (WHERE {_condition(draw, source, 1)})"]
    items = [draw(st.sampled_from(aggregates)) for _ in range(2)]
    having = draw(st.sampled_from(("", "", " HAVING count(*) > 1")))
    return f"SELECT {key} AS k, {', '.join(items)} FROM {source.text}{_where(draw, source, columns)} GROUP BY 1{having}"


def _total(draw: st.DrawFn, columns: Columns) -> str:
    source = _source(draw, columns)
    return f"SELECT count(*), sum({_ints(draw, source, 1)}) FROM {source.text}{_where(draw, source, columns)}"


def _set_operation(draw: st.DrawFn, columns: Columns) -> str:
    arms: list[str] = []
    for _ in range(2):
        source = _source(draw, columns)
        arms.append(f"SELECT {_ints(draw, source, 1)}, {_texts(draw, source, 1)} FROM {source.text}")
    operator = draw(st.sampled_from(("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL")))
    return f"{arms[0]} {operator} {arms[1]}" + draw(st.sampled_from(("", " ORDER BY 1, 2 LIMIT 4")))


def _with(draw: st.DrawFn, columns: Columns) -> str:
    table = draw(st.sampled_from(sorted(columns)))
    where = _condition(draw, Source("", _offers(table, columns[table])), 1)
    name = draw(st.sampled_from(("w", "a", "b")))
    inside = dict(columns) | {name: columns[table]}
    body = f"SELECT * FROM public.{table} WHERE {where}"
    return f"WITH {name} AS ({body}) {_plain(draw, inside)}"


def _window(draw: st.DrawFn, columns: Columns) -> str:
    source = _source(draw, columns)
    part, number = _ints(draw, source, 0), _ints(draw, source, 1)
    over = f"OVER (PARTITION BY {part})"
    return f"SELECT {number}, count(*) {over}, sum({number}) {over} FROM {source.text}"


def _star(draw: st.DrawFn, columns: Columns) -> str:
    table = draw(st.sampled_from(sorted(columns)))
    source = Source(f"{table} AS x", _offers("x", columns[table]))
    star = draw(st.sampled_from(("*", "x.*", "x")))
    return f"SELECT {star} FROM {source.text}{_where(draw, source, columns)}"


@st.composite
def queries(draw: st.DrawFn, columns: Columns) -> str:
    """Return one query over the columns."""
    shapes = (_plain, _plain, _grouped, _total, _set_operation, _with, _window, _star)
    return draw(st.sampled_from(shapes))(draw, columns)
