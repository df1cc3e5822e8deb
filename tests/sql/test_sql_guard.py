"""The guard over a session's groupings, against every combination of what it lets be told.

The attacker computes: each told number is a weight on rows, and with linear algebra it looks for a combination of what
it was told that is about fewer rows than the smallest group. Data and groupings are drawn; the guard is run on a real
PostgreSQL; what a session was told is taken from the data by other means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import LiteralString, cast

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.sql.groupings import INNER, REFUSED, Cells, Grouping, guard
from tests.support.postgres import Server

SMALLEST = 3
FIELDS = ("a", "b", "c", "x")
Row = tuple[int, int, int, int, int | None]
Draw = st.DrawFn


@pytest.fixture(scope="module")
def connection(postgres: Server) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    made = postgres.create()
    with psycopg.connect(made.url(), autocommit=True) as opened:
        opened.execute("CREATE TABLE rows (id int, a int, b int, c int, x int)")
        yield opened
    made.drop()


@st.composite
def tables(draw: Draw) -> list[Row]:
    """Few rows, most of them in few places: where groups are small, and where cells of two fields are."""
    count = draw(st.integers(6, 36))
    value = st.sampled_from((0, 0, 0, 1, 1, 2))
    return [(i, draw(value), draw(value), draw(value), draw(st.sampled_from((None, 1, 1, 1, 2)))) for i in range(count)]


@st.composite
def asked(draw: Draw) -> Cells:
    """A grouping: by some fields, where some field has some values, with some field aggregated."""
    keys = draw(st.lists(st.sampled_from(FIELDS[:3]), max_size=2, unique=True))
    filters = ["TRUE"]
    fields: set[str] = {*keys}
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(("a", "b", "c", "id")))
        edge = draw(st.integers(0, 2 if name != "id" else 36))
        filters.append(f"{INNER}.{name} {draw(st.sampled_from(('=', '<>', '<=', '>')))} {edge}")
        fields.add(name)
    joined = draw(st.sampled_from((" AND ", " OR "))).join(filters[1:]) or "TRUE"
    measures = ("x",) if draw(st.booleans()) else ()
    key_texts = tuple(sorted(f"{INNER}.{name}" for name in keys))
    return Cells("rows", joined, key_texts, measures, tuple(sorted(fields)), tuple(sorted(keys)))


def cells_of(connection: psycopg.Connection[tuple[object, ...]], told: Cells) -> dict[tuple[object, ...], list[int]]:
    """Return the groups of the grouping that may be told, each with its rows' numbers."""
    keys = ", ".join(["1", *told.keys])
    sql = f"SELECT id, x, {keys} FROM rows AS {INNER} WHERE {told.filter}"  # the test's own text
    groups: dict[tuple[object, ...], list[tuple[int, object]]] = {}
    for number, value, *key in connection.execute(cast(LiteralString, sql)).fetchall():
        groups.setdefault(tuple(key), []).append((cast(int, number), value))
    found: dict[tuple[object, ...], list[int]] = {}
    for key, members in groups.items():
        missing = sum(value is None for _, value in members) if told.measures else 0
        if all(size == 0 or size >= SMALLEST for size in (missing, len(members) - missing)):
            found[key] = [number for number, _ in members]
    return found


def permitted(connection: psycopg.Connection[tuple[object, ...]], told: Sequence[Cells]) -> bool:
    grouping = Grouping("rows", SMALLEST, 99, (), (), (), "SELECT * FROM rows OFFSET 0")
    try:
        connection.execute(cast(LiteralString, f"SELECT {guard(grouping, told)}"))
    except psycopg.errors.lookup(REFUSED):
        return False
    return True


def vectors(
    connection: psycopg.Connection[tuple[object, ...]], told: Sequence[Cells], rows: Sequence[Row]
) -> list[list[int]]:
    """Return each told number as its weight on every row: of counts, and of what is summed."""
    found: list[list[int]] = []
    for each in told:
        for members in cells_of(connection, each).values():
            inside = set(members)
            found.append([int(row[0] in inside) for row in rows])
            if each.measures:
                found.append([int(row[0] in inside and row[4] is not None) for row in rows])
    return found


def rank(matrix: Sequence[Sequence[int]]) -> int:
    work = [[Fraction(value) for value in row] for row in matrix]
    done = 0
    for column in range(len(work[0]) if work else 0):
        pivot = next((i for i in range(done, len(work)) if work[i][column]), None)
        if pivot is None:
            continue
        work[done], work[pivot] = work[pivot], work[done]
        for i in range(done + 1, len(work)):
            if work[i][column]:
                factor = work[i][column] / work[done][column]
                work[i] = [one - factor * other for one, other in zip(work[i], work[done], strict=True)]
        done += 1
    return done


def smallest_about(matrix: Sequence[Sequence[int]]) -> int | None:
    """Return a number of rows below the smallest group that some combination is about, None if there is none.

    A combination is about no rows outside of a set if the matrix without the set's columns has a lower rank. Rows that
    are alike to everything told are one column, with their number as its weight.
    """
    columns: dict[tuple[int, ...], int] = {}
    for column in zip(*matrix, strict=True):
        columns[column] = columns.get(column, 0) + 1
    light = [each for each, weight in columns.items() if weight < SMALLEST and any(each)]
    full = rank(matrix)
    for size in range(1, SMALLEST):
        for chosen in combinations(light, size):
            if sum(columns[each] for each in chosen) < SMALLEST:
                rest = [each for each in columns if each not in chosen]
                if rank([list(row) for row in zip(*rest, strict=True)] if rest else []) < full:
                    return size
    return None


@settings(max_examples=60)
@given(tables(), st.lists(asked(), min_size=2, max_size=6))
def test_no_combination_of_what_is_told_is_about_fewer_rows_than_the_smallest_group(
    connection: psycopg.Connection[tuple[object, ...]], rows: list[Row], wanted: list[Cells]
) -> None:
    connection.execute("TRUNCATE rows")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO rows VALUES (%s, %s, %s, %s, %s)", rows)
    told: list[Cells] = []
    for each in dict.fromkeys(wanted):
        if permitted(connection, [*told, each]):
            told.append(each)
    matrix = vectors(connection, told, rows)
    assert not matrix or smallest_about(matrix) is None


class TestKnownAttacks:
    """Each tells a small group by a combination; the last step of each is refused, and the steps before are not."""

    def _told(self, where: str, keys: str = "", fields: str = "") -> Cells:
        names = tuple(sorted({*fields, *keys}))
        return Cells("rows", where, tuple(f"{INNER}.{key}" for key in keys), (), names, tuple(keys))

    def _session(self, connection: psycopg.Connection[tuple[object, ...]], *steps: Cells) -> list[bool]:
        found: list[bool] = []
        told: list[Cells] = []
        for each in steps:
            found.append(permitted(connection, [*told, each]))
            told += [each] if found[-1] else []
        return found

    @pytest.fixture
    def table(self, connection: psycopg.Connection[tuple[object, ...]]) -> psycopg.Connection[tuple[object, ...]]:
        """Thirty rows: a is 0 to 2 evenly, b has one row of its own, c is the number's."""
        connection.execute("TRUNCATE rows")
        connection.execute("INSERT INTO rows SELECT i, i % 3, (i = 7)::int, i, 1 FROM generate_series(0, 29) i")
        return connection

    def test_one_row_more(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        steps = [self._told("TRUE"), self._told(f"{INNER}.c <> 7", fields="c")]
        assert self._session(table, *steps) == [True, False]

    def test_one_row_less_first(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        steps = [self._told(f"{INNER}.c <> 7", fields="c"), self._told("TRUE")]
        assert self._session(table, *steps) == [True, False]

    def test_the_total_and_all_groups_but_a_small_one(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        assert self._session(table, self._told("TRUE"), self._told("TRUE", "b")) == [True, False]

    def test_a_tracker(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        """A, B, A or B: together they tell A and B."""
        a, b = f"{INNER}.a = 1", f"{INNER}.c BETWEEN 7 AND 9"
        steps = [self._told(a, fields="a"), self._told(b, fields="c"), self._told(f"{a} OR {b}", fields="ac")]
        assert self._session(table, *steps) == [True, False, False]

    def test_overlapping_ranges(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        spans = ("0 AND 12", "12 AND 25", "0 AND 25")
        steps = [self._told(f"{INNER}.c BETWEEN {span}", fields="c") for span in spans]
        assert self._session(table, *steps) == [True, False, True]

    def test_a_group_and_its_parts_but_a_small_one(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        assert self._session(table, self._told("TRUE", "a"), self._told("TRUE", "ab")) == [True, False]

    def test_a_filter_and_its_groups_but_a_small_one(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        inside = f"{INNER}.c <= 7"  # three, three and two rows of each a
        steps = [self._told("TRUE", "a"), self._told(inside, fields="c"), self._told(inside, "a", "c")]
        assert self._session(table, *steps) == [True, True, False]

    def test_large_steps_are_told(self, table: psycopg.Connection[tuple[object, ...]]) -> None:
        halves = [self._told(f"{INNER}.c < {edge}", fields="c") for edge in (10, 20, 30)]
        steps = [self._told("TRUE"), self._told("TRUE", "a"), *halves, self._told("TRUE")]
        assert self._session(table, *steps) == [True] * len(steps)
