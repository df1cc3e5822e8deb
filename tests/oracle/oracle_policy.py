"""Random policies over a small schema, and their meaning computed in Python over the rows.

Written from docs/policy.md alone: nothing of `bailiwick.match`, `bailiwick.decide` or `bailiwick.sql` is used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

import yaml
from hypothesis import strategies as st

Value = int | str | date | None
Row = dict[str, Value]
Matcher = tuple[Any, ...]
"""(kind, …): eq, in, ref, range, prefix, glob, not, empty, any, every."""

TABLES: dict[str, dict[str, str]] = {
    "a": {"id": "int", "tenant": "int", "grp": "int", "name": "text", "day": "date", "amount": "int"},
    "b": {"id": "int", "tenant": "int", "a_id": "int", "tag": "text", "qty": "int"},
}
SESSION: dict[str, Value] = {"grp": 2, "name": "ab"}
TENANT = 1
WORDS = ("", "a", "ab", "abc", "b", "bob@x.test", "B", "a%", "a_b", "ünï")
DAYS = tuple(date(2026, 1, 1) + timedelta(days=9 * n) for n in range(8))


def _rows(seed: int, count: int, columns: Mapping[str, str]) -> list[Row]:
    draw = random.Random(seed)

    def value(name: str, kind: str) -> Value:
        if name == "tenant":
            return draw.choice((1, 1, 1, 2, None))
        if draw.random() < 0.15:
            return None
        return draw.choice(WORDS if kind == "text" else DAYS if kind == "date" else range(-1, 6))

    return [{"id": n} | {c: value(c, k) for c, k in columns.items() if c != "id"} for n in range(1, count + 1)]


DATA: dict[str, list[Row]] = {"a": _rows(1, 24, TABLES["a"]), "b": _rows(2, 30, TABLES["b"])}


@dataclass(frozen=True)
class Grant:
    effect: str
    table: str
    rows: dict[str, Matcher] = field(default_factory=dict[str, Matcher])
    fields: tuple[str, ...] | None = None
    masked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Policy:
    grants: tuple[Grant, ...]
    masks: dict[tuple[str, str], str]
    """(table, column) → the mask that every grant masking it uses: two masks of one column have no defined order."""
    tenants: frozenset[str]
    confidential: frozenset[tuple[str, str]]
    only: dict[str, tuple[dict[str, Matcher], tuple[str, ...] | None]] | None


# --- Strategies ---


def scalars(kind: str) -> st.SearchStrategy[Value]:
    """Return values of a column's kind, those of the data included."""
    return st.sampled_from(WORDS if kind == "text" else DAYS if kind == "date" else tuple(range(-1, 6)))


@st.composite
def _ranges(draw: st.DrawFn, kind: str) -> dict[str, Value]:
    """Return bounds between which something lies: a policy with an empty range is refused."""
    ends = DAYS if kind == "date" else tuple(range(-1, 6))
    low = draw(st.integers(0, len(ends) - 3))
    high = draw(st.integers(low + 2, len(ends) - 1))
    below: dict[str, Value] = {draw(st.sampled_from(("min", "over"))): ends[low]}
    above: dict[str, Value] = {draw(st.sampled_from(("max", "under"))): ends[high]}
    return draw(st.sampled_from((below, above, {**below, **above})))


def matchers(kind: str) -> st.SearchStrategy[Matcher]:
    """Return matchers for a column of that kind."""
    value = scalars(kind)
    simple: list[st.SearchStrategy[Matcher]] = [
        st.tuples(st.just("eq"), value),
        st.tuples(st.just("in"), st.lists(value, min_size=1, max_size=3).map(tuple)),
        st.tuples(st.just("empty"), st.booleans()),
    ]
    if kind != "text":
        simple.append(st.tuples(st.just("range"), _ranges(kind)))
    if kind == "text":
        simple.append(st.tuples(st.just("prefix"), st.sampled_from(("a", "ab", "b", "a%", "ü"))))
        simple.append(st.tuples(st.just("glob"), st.sampled_from(("a*", "?b*", "*", "*b", "a?b", "a%*"))))
    if kind != "date":
        simple.append(st.just(("ref", "name" if kind == "text" else "grp")))
    return st.one_of(*simple) | st.one_of(*simple).map(lambda inner: ("not", inner)) | st.just(("any",))


@st.composite
def row_conditions(draw: st.DrawFn, table: str, least: int = 0) -> dict[str, Matcher]:
    """Return conditions on up to two columns."""
    names = draw(st.lists(st.sampled_from(sorted(TABLES[table])), min_size=least, max_size=2, unique=True))
    return {name: draw(matchers(TABLES[table][name])) for name in names}


@st.composite
def _grants(draw: st.DrawFn, table: str) -> list[Grant]:
    columns = sorted(TABLES[table])
    made: list[Grant] = []
    for _ in range(draw(st.integers(1, 3))):
        fields = draw(st.none() | st.lists(st.sampled_from(columns), min_size=1, unique=True).map(tuple))
        masked = draw(st.frozensets(st.sampled_from(fields or columns), max_size=2))
        made.append(Grant("allow", table, draw(row_conditions(table)), fields, masked))
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        drawn = draw(row_conditions(table))
        rows = {name: matcher for name, matcher in drawn.items() if matcher != ("any",)}  # else no table
        fields = draw(st.none() | st.lists(st.sampled_from(columns), min_size=1, max_size=2, unique=True).map(tuple))
        if rows or fields:
            made.append(Grant("deny", table, rows, fields))
    return made


def _masks_for(kind: str) -> tuple[str, ...]:
    return {"text": ("full", "null", "sql"), "int": ("full", "null", "round"), "date": ("null", "year")}[kind]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Return a policy for one agent and one task."""
    grants = [grant for table in TABLES for grant in draw(_grants(table))]
    masks = {(t, c): draw(st.sampled_from(_masks_for(kind))) for t, cs in TABLES.items() for c, kind in cs.items()}
    tables = st.frozensets(st.sampled_from(sorted(TABLES)))
    hidden = draw(st.frozensets(st.sampled_from(sorted(masks)), max_size=2))
    only: dict[str, tuple[dict[str, Matcher], tuple[str, ...] | None]] | None = None
    if draw(st.integers(0, 2)) == 0:
        only = {}
        for table in draw(st.sampled_from((("a",), ("a", "b"), ("b",)))):
            some = st.lists(st.sampled_from(sorted(TABLES[table])), min_size=1, unique=True).map(tuple)
            only[table] = (draw(row_conditions(table)), draw(st.none() | some))
    return Policy(tuple(grants), masks, draw(tables), hidden, only)


# --- As a document ---


class _Plain(yaml.SafeDumper):
    """Writes every value out: a policy has no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Tell that `data` needs no anchor, whatever it is."""
        del data
        return True


def text(policy: Policy) -> str:
    """Return the policy as the text that the gateway reads."""
    return yaml.dump(document(policy), Dumper=_Plain, sort_keys=False, allow_unicode=True)


def _matcher(matcher: Matcher) -> object:
    kind, *rest = matcher
    if kind in ("prefix", "glob", "empty"):
        return {kind: rest[0]}
    plain: dict[str, object] = {"eq": rest and rest[0], "any": "any", "ref": rest and f"${rest[0]}"}
    if kind == "in":
        return list(rest[0])
    if kind == "range":
        return dict(rest[0])
    return {"not": _matcher(rest[0])} if kind == "not" else plain[kind]


_MASK: dict[str, object] = {"round": {"round": 4}}
_SQL = "upper({}) || '!'"


def _mask(policy: Policy, table: str, column: str) -> object:
    name = policy.masks[table, column]
    return {"sql": _SQL.format(column)} if name == "sql" else _MASK.get(name, name)


def _grant(policy: Policy, number: int, grant: Grant) -> dict[str, object]:
    found: dict[str, object] = {grant.effect: f"{grant.table}:read", "id": f"g{number}"}
    if grant.effect == "allow":
        found["reason"] = "drawn"
    if grant.rows:
        found["rows"] = {name: _matcher(matcher) for name, matcher in grant.rows.items()}
    if grant.fields is not None:
        found["fields"] = list(grant.fields)
    if grant.masked:
        found["mask"] = {name: _mask(policy, grant.table, name) for name in sorted(grant.masked)}
    return found


def _narrowing(entry: tuple[dict[str, Matcher], tuple[str, ...] | None]) -> dict[str, object]:
    rows, fields = entry
    found: dict[str, object] = {"rows": {name: _matcher(m) for name, m in rows.items()}} if rows else {}
    return found if fields is None else found | {"fields": list(fields)}


def document(policy: Policy) -> dict[str, object]:
    """Return the policy as the document that the gateway reads."""
    resources: dict[str, object] = {}
    for table in TABLES:
        labels = {column: "confidential" for where, column in sorted(policy.confidential) if where == table}
        tenant = {"tenant": "tenant"} if table in policy.tenants else {}
        resources[table] = {"table": f"public.{table}", "key": "id", **tenant, **({"labels": labels} if labels else {})}
    task: dict[str, object] = {"agents": ["bot"], "context": {"grp": "integer", "name": "string"}}
    if policy.only is not None:
        task["only"] = {table: _narrowing(entry) for table, entry in policy.only.items()}
    return {
        "bailiwick": 1,
        "mounts": {"m": {"kind": "postgres", "url": "${ORACLE_URL}", "sql": True, "resources": resources}},
        "roles": {"r": {"grants": [_grant(policy, number, grant) for number, grant in enumerate(policy.grants)]}},
        "agents": {"bot": {"owner": "o", "purpose": "p", "roles": ["r"]}},
        "tasks": {"t": task},
    }


# --- Its meaning ---


def _compare(key: str, value: Any, operand: Any) -> bool:
    return {"min": value >= operand, "max": value <= operand, "over": value > operand, "under": value < operand}[key]


def holds(matcher: Matcher, value: Value) -> bool | None:
    """Return whether a value matches; None is unknown."""
    kind, *rest = matcher
    if kind == "any":
        return True
    if kind == "empty":
        return (value is None or value == "") == rest[0]
    if kind == "not":
        inner = holds(rest[0], value)
        return None if inner is None else not inner
    if value is None:
        return None
    if kind == "eq":
        return value == rest[0]
    if kind == "ref":
        return value == SESSION[rest[0]]
    if kind == "in":
        return value in rest[0]
    if kind == "range":
        return all(_compare(key, value, operand) for key, operand in rest[0].items())
    if kind == "prefix":
        return str(value).startswith(rest[0])
    return fnmatchcase(str(value), rest[0].replace("[", "[[]"))


def _all(conditions: Mapping[str, Matcher], row: Row) -> bool | None:
    found = [holds(matcher, row[name]) for name, matcher in conditions.items()]
    return False if False in found else None if None in found else True


def _masked(policy: Policy, table: str, column: str, value: Value) -> Value:
    name, kind = policy.masks[table, column], TABLES[table][column]
    if name == "full":
        return "***" if kind == "text" else None
    if name == "null" or value is None:
        return None
    if name == "year" and isinstance(value, date):
        return value.replace(month=1, day=1)
    if name == "round" and isinstance(value, int):
        sign = -1 if value < 0 else 1
        return sign * ((abs(value) + 2) // 4) * 4  # half away from zero, as numeric rounding does
    return str(value).upper() + "!"


def _default_fields(policy: Policy, table: str) -> tuple[str, ...]:
    return tuple(column for column in TABLES[table] if (table, column) not in policy.confidential)


def _allows(policy: Policy, table: str) -> Iterator[tuple[Grant, dict[str, bool]]]:
    """Yield each allow with its fields, and whether it shows them clear."""
    narrowed = None if policy.only is None else policy.only[table][1]
    gone = {
        column
        for grant in policy.grants
        if (grant.effect, grant.table) == ("deny", table) and not grant.rows
        for column in grant.fields or ()
    }
    for grant in policy.grants:
        if (grant.effect, grant.table) == ("allow", table):
            fields = grant.fields if grant.fields is not None else _default_fields(policy, table)
            kept = [name for name in fields if name not in gone and (narrowed is None or name in narrowed)]
            yield grant, {name: name not in grant.masked for name in kept}


def _visible_row(policy: Policy, table: str, row: Row, columns: tuple[str, ...]) -> Row | None:
    if table in policy.tenants and row["tenant"] != TENANT:
        return None
    narrowing = {} if policy.only is None else policy.only[table][0]
    if _all(narrowing, row) is not True:
        return None
    admitting = [fields for grant, fields in _allows(policy, table) if fields and _all(grant.rows, row) is True]
    denies = [g for g in policy.grants if (g.effect, g.table) == ("deny", table) and g.rows]
    taken = [g for g in denies if _all(g.rows, row) is not False]
    if not admitting or any(g.fields is None for g in taken):
        return None
    hidden = {name for g in taken for name in g.fields or ()}

    def shown(name: str) -> Value:
        ways = [fields[name] for fields in admitting if name in fields]
        if name in hidden or not ways:
            return None
        return row[name] if True in ways else _masked(policy, table, name, row[name])

    return {name: shown(name) for name in columns}


def visible(policy: Policy, table: str) -> tuple[tuple[str, ...], list[Row]]:
    """Return the columns that the session sees of a table, in the table's order, and its rows. No columns: nothing."""
    if policy.only is not None and table not in policy.only:
        return (), []
    granted = {name for _, fields in _allows(policy, table) for name in fields}
    columns = tuple(name for name in TABLES[table] if name in granted)
    rows = [_visible_row(policy, table, row, columns) for row in DATA[table]]
    return columns, [row for row in rows if row is not None]
