"""Matchers and masks as DuckDB evaluates them: what they say there is what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from bailiwick.gateway.backends.duckdb import type_of
from bailiwick.match.evaluate import holds
from bailiwick.model.mask import Mask, MaskName
from bailiwick.model.matcher import Bound, Equal, Matcher, Not, OneOf, Within
from bailiwick.model.value import Ref, Scalar
from bailiwick.mounts.sql import masks
from bailiwick.mounts.sql.duckdb import used, values_of
from bailiwick.mounts.sql.running import Bounds, Job
from bailiwick.mounts.sql.values import bound_values
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.duckdb import DuckDB
from bailiwick.sql.engines.plan import EnginePlan
from bailiwick.sql.engines.predicates import RelationText
from tests.engines.test_engines_matchers import CASES, NOW, SESSION, TEXTS

KEY = b"k" * 32
TYPES = {
    "TEXT": "VARCHAR COLLATE NOCASE",
    "INTEGER": "BIGINT",
    "NUMERIC": "DECIMAL(18,2)",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
}


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def asked(database: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters) -> object:
    """Return the one value of a query whose parameters are bound as the mount binds them."""
    plan = EnginePlan("READ", sql, (), "", bound=parameters.bound)
    job = Job(plan, bound_values(plan.bound, SESSION, NOW), Bounds(None, 0, None), KEY)
    row = database.execute(sql, used(sql, values_of(job))).fetchone()
    assert row is not None
    return row[0]


def admitted(database: duckdb.DuckDBPyConnection, kind: str, matcher: Matcher, *, denies: bool = False) -> bool:
    """Return whether the row of `t` is admitted; `denies`: whether a deny takes it away."""
    column = Column("c", 1, type_of(kind.partition(" COLLATE")[0]))
    parameters = Parameters(1)
    text = RelationText(DuckDB(), Relation("main", "t", 0, "r", (column,)), "bw", parameters)
    condition = text.condition(matcher, column, exact=denies)
    if denies:
        condition = f"COALESCE(NOT {condition}, (1 = 0))"
    found = asked(database, f"SELECT count(*) FROM t AS bw WHERE {condition}", parameters)
    return (not found) if denies else bool(found)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(CASES)
def test_a_matcher_admits_in_duckdb_what_it_holds_of(
    database: duckdb.DuckDBPyConnection, case: tuple[str, Matcher, Scalar | None]
) -> None:
    declared, matcher, value = case
    meant = holds(matcher, value, lambda ref: SESSION.value(ref.path), NOW)
    kind = TYPES[declared]
    database.execute(f"CREATE OR REPLACE TABLE t (c {kind})")
    database.execute("INSERT INTO t VALUES (?)", [value])
    assert admitted(database, kind, matcher) == (meant is True)
    assert admitted(database, kind, matcher, denies=True) or meant is False, "takes too little away"


MOMENT = datetime(2026, 5, 1, 11, 0, tzinfo=UTC)
KNOWN: list[tuple[str, str, Matcher, bool | None]] = [
    ("SMALLINT", "7", Equal(Ref(("number",))), True),
    ("SMALLINT", "7", Bound(max=2**40), True),
    ("BIGINT", "9007199254740993", Equal(9007199254740992), False),
    ("BIGINT", "7", Equal(Decimal("7.5")), False),
    ("HUGEINT", "170141183460469231731687303715884105727", Bound(min=1), None),
    ("HUGEINT", "7", OneOf((Ref(("user", "numbers")),)), True),
    ("DECIMAL(38,2)", "7.00", Equal(Ref(("number",))), True),
    ("DECIMAL(38,2)", "999999999999999999999999999999999999.00", Bound(over=Decimal("0.5")), None),
    ("DECIMAL(18,2)", "1.00", Equal(Decimal("1.001")), False),
    ("DOUBLE", "'nan'", Bound(min=1), None),
    ("DOUBLE", "'nan'", Not(Equal(1)), None),
    ("DOUBLE", "'nan'", OneOf((Ref(("user", "numbers")),)), None),
    ("DOUBLE", "7.0", OneOf((Ref(("user", "numbers")),)), True),
    ("DOUBLE", "2.5", Bound(over=Decimal("2.4"), under=Decimal("2.6")), True),
    ("TIMESTAMP", "'2026-05-01 11:00:00'", Equal(MOMENT), True),
    ("TIMESTAMP", "'2026-05-01 11:00:00'", Within(timedelta(hours=2)), True),
    ("TIMESTAMP", "'2026-05-01 13:00:00'", Within(timedelta(hours=2)), False),
    ("TIMESTAMPTZ", "'2026-05-01 13:00:00+02'", Equal(MOMENT), True),
    ("TIMESTAMPTZ", "'2026-05-01 13:00:00+02'", Within(timedelta(hours=2)), True),
    ("TIMESTAMP", "'2026-05-01 00:00:00'", Bound(min=date(2026, 5, 1), max=date(2026, 5, 1)), True),
    ("UUID", "'00000000-0000-0000-0000-00000000000a'", Equal("00000000-0000-0000-0000-00000000000A"), True),
    ("UUID", "'00000000-0000-0000-0000-00000000000a'", Equal("x"), None),
    ("ENUM('a', 'b')", "'a'", Equal("a"), None),
    ("VARCHAR[]", "['a']", Equal("a"), None),
    ("VARCHAR", "'$1'", OneOf(("$1", Ref(("user", "words")))), True),
]


@pytest.mark.parametrize(("kind", "value", "matcher", "meant"), KNOWN, ids=[f"{each[0]} {each[2]}" for each in KNOWN])
def test_types_of_duckdb_compare_exactly_or_not_at_all(
    database: duckdb.DuckDBPyConnection, kind: str, value: str, matcher: Matcher, meant: bool | None
) -> None:
    database.execute(f"CREATE OR REPLACE TABLE t (c {kind})")
    database.execute(f"INSERT INTO t VALUES ({value})")
    name = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}.get(kind, kind)
    assert admitted(database, name, matcher) == (meant is True)
    assert admitted(database, name, matcher, denies=True) == (meant is not False)


def masked(database: duckdb.DuckDBPyConnection, mask: Mask, kind: str, value: object) -> object:
    """Return what a mask shows of a value in a column of the type."""
    database.execute(f"CREATE OR REPLACE TABLE t (c {kind})")
    database.execute("INSERT INTO t VALUES (?)", [value])
    parameters = Parameters(1)
    relation = Relation("main", "t", 0, "r", (Column("c", 1, type_of(kind)),))
    shown = RelationText(DuckDB(), relation, "bw", parameters).shown("c", mask)[0]
    return asked(database, f"SELECT {shown} FROM t AS bw", parameters)


NAMES: list[MaskName] = ["partial", "last4", "hash"]


def test_masks_show_what_they_show_elsewhere(database: duckdb.DuckDBPyConnection) -> None:
    cases: list[tuple[str, str, list[object]]] = [
        ("VARCHAR", "text", [*TEXTS, None]),
        ("BIGINT", "bigint", [0, -12345678, 2**40]),
        ("BOOLEAN", "boolean", [True]),
        ("DOUBLE", "double precision", [2.0, 2.5]),
        ("BLOB", "bytea", [b"\x00\xff"]),
    ]
    for kind, told, values in cases:
        for value in values:
            assert masked(database, Mask("partial"), kind, value) == masks.partial(value, told), value
            assert masked(database, Mask("last4"), kind, value) == masks.last4(value, told), value
            assert masked(database, Mask("hash"), kind, value) == masks.hashed(value, told, KEY), value
    for number in (0, 49, 50, 150, -50, -149, 2**62, 2**63 - 1, -(2**63)):
        for step in ("100", "0.5", "7"):
            assert masked(database, Mask("round", step), "BIGINT", number) == masks.rounded(number, step, "bigint")
    assert masked(database, Mask("round", "10"), "DECIMAL(18,2)", Decimal("14.99")) == Decimal("10.00")
    assert masked(database, Mask("round", "0.5"), "DOUBLE", float("inf")) is None
    assert masked(database, Mask("year"), "DATE", date(1991, 5, 6)) == date(1991, 1, 1)
    assert str(masked(database, Mask("year"), "TIMESTAMP", "1991-05-06 07:00:00")) == "1991-01-01 00:00:00"
    assert masked(database, Mask("full"), "VARCHAR", "x") == "***"
    assert masked(database, Mask("null"), "UUID", None) is None
