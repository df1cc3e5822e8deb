"""What a session is told of a relation that it may only aggregate, and the guard over all of it.

A *grouping* is a filter, the keys that divide its rows into cells, and the fields that are aggregated. A cell is told
when it has at least N rows, and N or none of them with, and N or none without, a value in each aggregated field.

INVARIANT: whatever is told in one session, no combination of it is about fewer than N rows. Let each told number be a
weight on rows (1 in its cell, 0 elsewhere). The guard divides the session's groupings into families, gives each row its
cell in each family, and demands within each class of rows that have values in the same aggregated fields:

1. for each family, any cell can be paired with the family's largest at N rows or more, each pair alike in every other
   family. A combination that weighs the two cells differently then weighs one row of each pair;
2. where a combination weighs all cells of each family alike, it is one of the families' told rows as wholes: every part
   into which these overlap has N rows or more.

So every combination but the empty one is about N rows at least. See `docs/aggregates.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bailiwick.sql.quote import ident

INNER = "bw_told"
"""Alias of the relation in the guard."""
REFUSED = "2201G"
"""SQLSTATE that the guard raises: no function raises it but the one that it calls for that."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the relation, within a `Text`."""

    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter of the agent that is compared with a column of this type, within a `Text`."""

    number: int
    type: str


Text = tuple[str | Field | Given, ...]
"""An expression as text, with the places of columns and parameters."""


def rendered(text: Text, alias: str, given: Callable[[Given], str]) -> str:
    """Return the expression over the columns of `alias`."""
    return "".join(
        part if isinstance(part, str) else f"{alias}.{ident(part.name)}" if isinstance(part, Field) else given(part)
        for part in text
    )


def _fields(texts: Iterable[Text]) -> tuple[str, ...]:
    return tuple(sorted({part.name for text in texts for part in text if isinstance(part, Field)}))


@dataclass(frozen=True, slots=True)
class Cells:
    """One grouping of a session, all its values known. Equal ones tell the same."""

    resource: str
    filter: str
    """Condition over `INNER`."""
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    """Aggregated fields, sorted."""
    fields: tuple[str, ...]
    """Fields of filter and keys, sorted."""
    key_fields: tuple[str, ...]
    """Fields of the keys, sorted."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """One use of a relation under aggregates only, as it stands in a statement."""

    resource: str
    min_group: int
    most: int
    """Groupings that one session may ask for."""
    filter: Text
    keys: tuple[Text, ...]
    measures: tuple[str, ...]
    source: str
    """The relation's scoped form, with all its columns; its parameters are the plan's."""

    def told(self, given: Callable[[Given], str]) -> Cells:
        """Return it with its values."""
        return Cells(
            self.resource,
            rendered(self.filter, INNER, given),
            tuple(sorted({rendered(key, INNER, given) for key in self.keys})),
            self.measures,
            _fields((self.filter, *self.keys)),
            _fields(self.keys),
        )

    @property
    def given(self) -> tuple[Given, ...]:
        """The agent's parameters on which it depends."""
        return tuple(part for text in (self.filter, *self.keys) for part in text if isinstance(part, Given))


def mark(place: int) -> str:
    """Return what stands in a statement where the guard of its n-th grouping belongs: false, until it is composed."""
    return f"'bw_guard_{place}' IS NULL"


def given_mark(given: Given) -> str:
    """Return what stands in a template for a parameter of the agent."""
    return f"'bw_given_{given.number}'"


def composed(template: str, groupings: Sequence[Grouping], told: Sequence[Cells], given: Callable[[Given], str]) -> str:
    """Return the statement as it runs in a session that has been told this, its own groupings among it."""
    sql = template
    for place, grouping in enumerate(groupings):
        others = [each for each in told if each.resource == grouping.resource]
        sql = sql.replace(mark(place), f"({guard(grouping, others)})")
        for part in grouping.given:
            sql = sql.replace(given_mark(part), given(part))
    return sql


def guard(grouping: Grouping, told: Sequence[Cells]) -> str:
    """Return the condition that holds where these groupings may be told together, and raises where not."""
    if len(told) < 2:
        return "TRUE"  # its own cells have their N rows by the block's own condition
    found = _divisions(told)
    passes = " OR ".join(f"NOT EXISTS ({_violations(families, grouping)})" for families in found)
    judged = f"{_cells(grouping, told)} SELECT CASE WHEN {passes} THEN 1 ELSE 0 END"
    return f"pg_catalog.width_bucket(0::float8, 0::float8, ({judged})::float8, 1) = 1"


Families = tuple[tuple[int, ...], ...]


def _divisions(told: Sequence[Cells]) -> list[Families]:
    """Return ways to divide the groupings into families. Any that passes will do; these are likely to.

    Groupings that go into each other (by region, by region and team) pass only within one family; independent ones (by
    region, by team) pass with small data only if each is a family of its own.
    """
    by_keys = _joined(told, lambda one, other: bool({*one.key_fields} & {*other.key_fields}))
    by_keys_and_filters = _joined(
        told, lambda one, other: bool({*one.key_fields} & {*other.fields} or {*one.fields} & {*other.key_fields})
    )
    by_any = _joined(told, lambda one, other: bool({*one.fields} & {*other.fields}))
    return list(dict.fromkeys((by_keys, by_keys_and_filters, by_any, (tuple(range(len(told))),))))


def _joined(told: Sequence[Cells], related: Callable[[Cells, Cells], bool]) -> Families:
    families: list[list[int]] = []
    for place, each in enumerate(told):
        mine = [place]
        apart: list[list[int]] = []
        for family in families:
            if any(related(told[member], each) for member in family):
                mine += family
            else:
                apart.append(family)
        families = [*apart, mine]
    return tuple(sorted(tuple(sorted(family)) for family in families))


def _cells(grouping: Grouping, told: Sequence[Cells]) -> str:
    """Return WITH …: `bw_cells` has, for rows that are alike to all groupings, their number `n`, the fields of which
    they have no value `z`, and the cell of each grouping in which they are told `c…`, 0 for none."""
    missing = {
        name: f"n{place}" for place, name in enumerate(sorted({name for each in told for name in each.measures}))
    }
    columns = [f"{INNER}.{ident(name)} IS NULL AS {short}" for name, short in missing.items()]
    sized: list[str] = []
    smallest: list[str] = []
    numbered: list[str] = []
    for place, each in enumerate(told):
        inside = f"({each.filter}) IS TRUE"
        names = [f"k{place}_{index}" for index in range(len(each.keys))]
        columns.append(f"{inside} AS f{place}")
        columns += [f"CASE WHEN {inside} THEN {key} END AS {name}" for key, name in zip(each.keys, names, strict=True)]
        cell = [f"f{place}", *names]
        parts = [*cell, *(missing[name] for name in each.measures)]
        sized.append(f"sum(n) OVER (PARTITION BY {', '.join(parts)}) AS p{place}")
        sized.append(f"dense_rank() OVER (ORDER BY {', '.join(cell)}) AS r{place}")
        smallest.append(f"min(p{place}) OVER (PARTITION BY r{place}) AS m{place}")
        numbered.append(f"CASE WHEN f{place} AND m{place} >= {grouping.min_group} THEN r{place} ELSE 0 END AS c{place}")
    every = ", ".join(str(place) for place in range(1, len(columns) + 1))
    return (
        f"WITH bw_raw AS (SELECT {', '.join(columns)}, count(*) AS n FROM ({grouping.source}) AS {INNER}"  # noqa: S608  # composed by us
        f" GROUP BY {every}),"
        f" bw_sized AS (SELECT *, {', '.join(sized)} FROM bw_raw),"
        f" bw_small AS (SELECT *, {', '.join(smallest)} FROM bw_sized),"
        f" bw_cells AS MATERIALIZED (SELECT ROW({', '.join(missing.values())})::text AS z, n, {', '.join(numbered)}"
        f" FROM bw_small)"
    )


def _violations(families: Families, grouping: Grouping) -> str:
    """Return the query that has a row for each violation of the two rules, with the groupings so divided."""
    arrays = [f"ARRAY[{', '.join(f'c{member}' for member in members)}]" for members in families]
    names = [f"a{place}" for place in range(len(families))]
    shown = ", ".join(f"{array} AS {name}" for array, name in zip(arrays, names, strict=True))
    every = ", ".join(str(place) for place in range(1, len(names) + 2))
    rules = [*(_pairs(place, len(families), grouping) for place in range(len(families)))]
    rules.append(_overlaps(len(families), grouping))
    return (
        f"WITH bw_all AS MATERIALIZED (SELECT z, {shown}, sum(n) AS n FROM bw_cells GROUP BY {every})"  # noqa: S608  # composed by us
        f" {' UNION ALL '.join(rules)}"
    )


def _is_told(place: int) -> str:
    return f"0 <> ANY (a{place})"


def _pairs(place: int, count: int, grouping: Grouping) -> str:
    """Return a row for each cell of a family that cannot be paired often enough with the family's largest."""
    others = " AND ".join(["y.z = h.z", *(f"y.a{other} = h.a{other}" for other in range(count) if other != place)])
    mine = f"a{place}"
    largest = (
        f"SELECT DISTINCT ON (z) z, {mine} AS hub FROM bw_all WHERE {_is_told(place)} GROUP BY z, {mine}"  # noqa: S608  # composed by us
        f" ORDER BY z, sum(n) DESC, {mine}"
    )
    return (
        f"(SELECT 1 FROM bw_all AS y JOIN ({largest}) AS top ON top.z = y.z AND top.hub <> y.{mine}"  # noqa: S608  # composed by us
        f" LEFT JOIN bw_all AS h ON h.{mine} = top.hub AND {others}"
        f" WHERE 0 <> ANY (y.{mine}) GROUP BY y.z, y.{mine}"
        f" HAVING sum(LEAST(y.n, COALESCE(h.n, 0))) < {grouping.min_group})"
    )


def _overlaps(count: int, grouping: Grouping) -> str:
    """Return a row for each part into which the told rows of the families overlap that is too small."""
    told = [_is_told(place) for place in range(count)]
    return (
        f"(SELECT 1 FROM bw_all WHERE {' OR '.join(told)} GROUP BY z, {', '.join(told)}"  # noqa: S608  # composed by us
        f" HAVING sum(n) < {grouping.min_group})"
    )
