"""Conditions within fences: which there are, and that they change no answer, whatever is joined how."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import LiteralString, cast

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.model.value import Ref
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import snapshot
from tests.support.postgres import Server

COLUMNS = {"x": "integer", "y": "integer", "z": "bigint", "k": "text", "m": "text", "tenant": "integer"}
SCRIPT = "CREATE SCHEMA t; CREATE SCHEMA shown;" + "".join(
    f"""
    CREATE TABLE t.{name} (x int, y int, z bigint, k text, m text, tenant int);
    INSERT INTO t.{name}
      SELECT NULLIF((g * {step}) % 4, 3), NULLIF(g % 3, 2), g % 3, chr(97 + g % {step}), 'm' || g % 2,
      CASE WHEN g % 5 = 4 THEN 2 ELSE 1 END FROM generate_series(1, 14) g;
    CREATE VIEW shown.{name} AS SELECT x, y, z, k, '***'::text AS m FROM t.{name} WHERE tenant = 1;
    """
    for name, step in (("a", 3), ("b", 5), ("c", 7))
)
TABLES = ("a", "b", "c")
Draw = st.DrawFn


@pytest.fixture(scope="module")
def connection(postgres: Server) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    made = postgres.create(SCRIPT)
    with psycopg.connect(made.url(), autocommit=True) as opened:
        opened.execute("SET search_path = shown")
        yield opened
    made.drop()


def rewritten(sql: str) -> str:
    columns = tuple(LockedColumn(name, kind) for name, kind in COLUMNS.items())
    lock = Lock({"db": {("t", name): LockedTable("t", name, "r", columns) for name in TABLES}})
    mapped = {name: Resource(name, "db", "t", name, (), "tenant") for name in TABLES}
    shown = {name: Mask("full") if name == "m" else None for name in COLUMNS if name != "tenant"}
    read = ReadGrant("r", RowFilter((("tenant", Equal(Ref(("tenant",)))),)), shown)
    scopes = {name: ResourceScope(mapped[name], (read,)) for name in TABLES}
    mount = Mount("db", "postgres", SecretRef("${URL}"), mapped)
    (plan,) = Rewriter(Scope("s", "bot", scopes), snapshot(mount, lock), "db").rewrite(sql)
    assert isinstance(plan, Plan), f"{sql}: {plan}"
    return plan.sql


def inside(sql: str) -> dict[str, str]:
    """Return the conditions that stand in each relation's fence, beside those of the scope."""
    found = re.findall(r"FROM t\.(\w) bw WHERE (.*?) OFFSET '0'::bigint\)", rewritten(sql))
    return {name: re.sub(r"bw\.tenant = \$\d+::int(?: AND )?", "", where).replace("bw.", "") for name, where in found}


LEAKY = "lower(a.k || b.k) <> 'q'"


@pytest.mark.parametrize(
    ("sql", "a", "b"),
    [
        ("a JOIN b ON b.y = a.x WHERE a.x = 1", "x = 1", "y = 1"),
        ("a JOIN b ON b.y = a.x WHERE a.x = $1", "x = $1", "y = $1"),
        ("a, b WHERE a.x = b.y AND b.y = 1", "x = 1", "y = 1"),
        ("a JOIN b USING (x) WHERE x = 1", "x = 1", "x = 1"),
        ("a JOIN b ON a.k = 'a' AND b.y = 2 WHERE true", "k = 'a'", "y = 2"),
        ("a LEFT JOIN b ON b.y = a.x AND b.k = 'a' WHERE a.x = 1", "x = 1", "k = 'a' AND y = 1"),
        ("a FULL JOIN b ON b.y = a.x WHERE a.x = 1 AND b.y = a.x", "x = 1", "y = 1"),
        # nothing is concluded from the optional side, nor from what a left join asks of its left side
        ("a LEFT JOIN b ON b.y = a.x WHERE b.y = 1", "", "y = 1"),
        ("a LEFT JOIN b ON b.y = a.x AND a.x = 1 WHERE true", "", ""),
        ("a RIGHT JOIN b ON b.y = a.x WHERE a.x = 1", "x = 1", ""),
        ("a FULL JOIN b ON b.y = a.x WHERE a.x = 1", "x = 1", ""),
        ("a FULL JOIN b USING (x) WHERE x = 1", "", ""),
        # not of one type, not an equality, not in every row, masked
        ("a JOIN b ON b.z = a.x WHERE a.x = 1", "x = 1", ""),
        ("a JOIN b ON b.y = a.x WHERE a.x > 1", "x > 1", ""),
        ("a JOIN b ON b.y < a.x WHERE a.x = 1", "x = 1", ""),
        ("a JOIN b ON b.y = a.x OR a.k = 'a' WHERE a.x = 1", "x = 1", ""),
        ("a JOIN b ON b.m = a.k WHERE a.k = '***'", "k = '***'", ""),
        ("a JOIN b ON b.m = a.m WHERE a.m = '***'", "", ""),
    ],
)
def test_what_stands_in_a_fence(sql: str, a: str, b: str) -> None:
    assert inside(f"SELECT a.x FROM {sql} AND {LEAKY}") == {"a": a, "b": b}


def test_a_chain_of_equalities_is_followed() -> None:
    sql = "SELECT 1 FROM a JOIN b ON a.x = b.y JOIN c ON c.x = b.y WHERE a.x = 1 AND lower(a.k || b.k || c.k) <> 'q'"
    assert inside(sql) == {"a": "x = 1", "b": "y = 1", "c": "x = 1"}
    assert inside(sql.replace("JOIN c", "LEFT JOIN c")) == {"a": "x = 1", "b": "y = 1", "c": "x = 1"}


def test_what_is_concluded_is_bounded() -> None:
    many = " AND ".join(f"a.x = {number} AND a.x = b.y AND a.y = b.x" for number in range(60))
    assert "x = 7" in inside(f"SELECT 1 FROM a, b WHERE {many} AND {LEAKY}")["a"]
    assert "y = 7" not in inside(f"SELECT 1 FROM a, b WHERE {many} AND {LEAKY}")["b"]


@st.composite
def queries(draw: Draw) -> str:
    """Two or three relations, joined anyhow, under conditions that lead from one to the other."""

    def compared(*names: str) -> str:
        one, other = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        equal = f"{one}.{draw(st.sampled_from('xy'))} = {other}.{draw(st.sampled_from('xyz'))}"
        sign = draw(st.sampled_from(("=", "=", "<", "<>")))
        value = f"{one}.{draw(st.sampled_from('xyz'))} {sign} {draw(st.integers(0, 2))}"
        text = f"{one}.k = {draw(st.sampled_from((repr('a'), repr('b'), f'{other}.k')))}"
        return draw(st.sampled_from((equal, equal, equal, value, value, text, f"lower({one}.k) <> 'b'")))

    def some(*names: str) -> str:
        return " AND ".join(compared(*names) for _ in range(draw(st.integers(1, 3))))

    def join(left: str, right: str, *names: str) -> str:
        kind = draw(st.sampled_from(("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")))
        on = draw(st.sampled_from((f"ON {some(*names)}", f"ON {some(*names)}", "USING (x)")))
        return f"{left} {kind} {right} {on}"

    names = ("a", "b", *draw(st.sampled_from(((), ("c",), ("c",)))))
    if len(names) == 2:
        tree = draw(st.sampled_from((join("a", "b", "a", "b"), "a, b")))
    elif draw(st.booleans()):
        tree = join(join("a", "b", "a", "b"), "c", "a", "b", "c")
    else:
        tree = join("a", f"({join('b', 'c', 'b', 'c')})", *names)
    merged = [f"x = {draw(st.integers(0, 2))}"] if "USING" in tree and draw(st.booleans()) else []
    fields = ", ".join(f"{name}.{column}" for name in names for column in "xyk")
    where = " AND ".join([some(*names), *merged, f"concat({', '.join(f'{name}.k' for name in names)})::text <> 'zz'"])
    return f"SELECT {fields} FROM {tree} WHERE {where}"


@settings(max_examples=150, deadline=None)
@given(sql=queries())
def test_no_answer_changes(connection: psycopg.Connection[tuple[object, ...]], sql: str) -> None:
    try:
        wanted = connection.execute(cast(LiteralString, sql)).fetchall()
    except psycopg.Error:
        return  # a full join by what is no equality, a name that is ambiguous
    with psycopg.RawCursor(connection) as cursor:
        found = cursor.execute(cast(LiteralString, rewritten(sql)), ["1"]).fetchall()
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))


def test_a_query_with_a_fence_is_shared_among_workers(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """As one over a security-barrier view is. The fence still stands: the agent's condition is above the filter."""
    costs = ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size")
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO t.a SELECT g, g, g, 'k', 'm' || g, 1 FROM generate_series(1, 30000) AS g")
        connection.execute("ANALYZE t.a")
        for name in costs:
            connection.execute(f"SET LOCAL {name} = 0")
        sql = rewritten("SELECT count(*) FROM a WHERE lower(k) <> 'q'")
        with psycopg.RawCursor(connection) as cursor:
            found = cursor.execute(cast(LiteralString, f"EXPLAIN (COSTS OFF) {sql}"), ["1"]).fetchall()
    lines = [str(row[0]).strip() for row in found]
    workers, filtered, scanned = (
        next(n for n, line in enumerate(lines) if word in line) for word in ("Gather", "lower(", "Parallel")
    )
    assert workers < filtered < scanned, lines
