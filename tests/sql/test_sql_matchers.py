"""Matchers and masks as SQL on a real PostgreSQL: what they say there is what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.match.evaluate import holds
from bailiwick.model.mask import Mask, MaskName
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.session import Claim
from bailiwick.model.value import Ref, Scalar
from bailiwick.sql import plan
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.predicates import Parameters, RelationText, condition
from bailiwick.sql.quote import ident, literal, plain, text
from tests.support.postgres import Database

Connection = psycopg.Connection[tuple[object, ...]]
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SESSION: Mapping[tuple[str, ...], Claim] = {
    ("number",): 7,
    ("word",): "ab",
    ("user", "words"): ("ab", "b'c", ""),
    ("user", "word"): "ab",
}
REFS = [Ref(path) for path in [*SESSION, ("missing",), ("user", "missing")]]


@pytest.fixture(scope="module")
def connection(database: Database) -> Iterator[Connection]:
    """A connection set up as the gateway's own are."""
    with psycopg.connect(database.url(), autocommit=True) as made:
        made.execute("SET search_path = pg_catalog, pg_temp")
        made.execute("SET timezone = 'Asia/Tokyo'")
        yield made


def inline(bound: plan.Bound) -> str:
    """Give the literal of a bound value as the mount would bind it."""
    if bound.source == "now":
        return literal(NOW, bound.type)
    value = SESSION.get(bound.source.path) if isinstance(bound.source, Ref) else None
    if bound.type.endswith("[]"):
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if value is None:
            return f"NULL::{bound.type}"
        return f"ARRAY[{', '.join(text(plain(each)) for each in values)}]::{bound.type}"
    if value is None or isinstance(value, tuple):
        return f"NULL::{bound.type}"
    return literal(value, bound.type)


def asked(connection: Connection, expression: str, kind: str, value: Scalar | None) -> object:
    """Evaluate an expression over a row with one column `c`."""
    written = f"NULL::{kind}" if value is None else literal(value, kind)
    row = connection.execute(f"SELECT {expression} FROM (SELECT {written} AS c) AS bw".encode()).fetchone()
    assert row is not None
    return row[0]


INTEGERS = st.integers(-9, 9) | st.sampled_from([2**31 - 1, -(2**31)])
WORDS = st.text(st.sampled_from("ab'%_\\*? é"), max_size=4)
NUMBERS = st.decimals(-10, 10, places=2)
DATES = st.dates(date(2026, 4, 20), date(2026, 5, 5))
MOMENTS = st.datetimes(datetime(2026, 4, 20), datetime(2026, 5, 5), timezones=st.just(UTC))  # noqa: DTZ001  # zone given
VALUES: Mapping[str, st.SearchStrategy[Scalar]] = {
    "integer": INTEGERS,
    "bigint": INTEGERS,
    "numeric": NUMBERS,
    "text": WORDS,
    "character varying": WORDS,
    "boolean": st.booleans(),
    "date": DATES,
    "timestamp with time zone": MOMENTS,
}


def matchers(kind: str) -> st.SearchStrategy[Matcher]:
    """Matchers that a policy may hold for a column of the type, with and without session values."""
    own = VALUES[kind]
    refs = (
        [each for each in REFS if each != Ref(("number",))]
        if kind in ("text", "character varying")
        else [Ref(("missing",))]
    )
    if kind in ("integer", "bigint"):
        refs = [Ref(("number",)), Ref(("missing",))]
    operand = own | st.sampled_from(refs)
    scalar = own | st.sampled_from([each for each in refs if each != Ref(("user", "words"))])
    base: st.SearchStrategy[Matcher] = st.one_of(
        scalar.map(Equal),
        st.lists(operand, max_size=3).map(lambda found: OneOf(tuple(found))),
        st.just(Anything()),
        st.booleans().map(Empty),
    )
    if kind not in ("boolean", "text", "character varying"):  # text has no bounds in a policy
        base |= st.builds(Bound, min=st.none() | own, max=st.none() | own, over=st.none() | own, under=st.none() | own)
    if kind in ("text", "character varying"):
        base |= WORDS.map(Prefix) | WORDS.map(Glob)
    if kind in ("date", "timestamp with time zone"):
        base |= st.integers(1, 12).map(lambda days: Within(timedelta(days=days)))
    return st.recursive(
        base,
        lambda inner: inner.map(Not) | st.lists(inner, min_size=1, max_size=2).map(lambda p: Every(tuple(p))),
        max_leaves=3,
    )


CASES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda kind: st.tuples(st.just(kind), matchers(kind), st.none() | VALUES[kind])
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CASES)
def test_a_matcher_means_the_same_in_sql(connection: Connection, case: tuple[str, Matcher, Scalar | None]) -> None:
    kind, matcher, value = case
    column = Column("c", 1, kind)
    expected = holds(matcher, value, lambda ref: SESSION.get(ref.path), NOW)
    sql = condition(matcher, "bw.c", column, Parameters(1, inline), exact=True)
    assert asked(connection, sql, kind, value) is expected, sql
    allowing = condition(matcher, "bw.c", column, Parameters(1, inline))
    assert (asked(connection, allowing, kind, value) is True) is (expected is True), allowing


MASKED: list[tuple[MaskName, str | None, str, Scalar | None, object]] = [
    ("full", None, "text", "secret", "***"),
    ("full", None, "integer", 5, None),
    ("partial", None, "text", "xenia.marsh@example.com", "x***@example.com"),
    ("partial", None, "text", "@example.com", "@***"),
    ("partial", None, "text", "+49 (170) 123-4567", "+** (***) ***-4567"),
    ("partial", None, "text", "4111 1111 1111 7184", "**** **** **** 7184"),
    ("partial", None, "text", "Xenia Marsh", "X***"),
    ("partial", None, "text", "", "***"),
    ("partial", None, "text", None, None),
    ("partial", None, "character varying(40)", "a@b.c", "a***@b.c"),
    ("last4", None, "text", "4111111111117184", "************7184"),
    ("last4", None, "text", "184", "****"),
    ("last4", None, "integer", 1234567, "***4567"),
    ("last4", None, "text", None, None),
    ("null", None, "text", "secret", None),
    ("year", None, "date", date(1987, 6, 5), date(1987, 1, 1)),
    ("year", None, "text", "1987", None),
    ("round", "100", "integer", 1249, 1200),
    ("round", "1000", "integer", 2**31 - 1, 2**31 - 1),
    ("round", "0.5", "numeric(8,2)", Decimal("1.30"), Decimal("1.50")),
    ("round", "100", "text", "x", None),
    ("sql", "left(c, 2) || '…'", "text", "secret", "se…"),
]


@pytest.mark.parametrize(("name", "arg", "kind", "value", "expected"), MASKED)
def test_a_mask_shows(
    connection: Connection, name: MaskName, arg: str | None, kind: str, value: Scalar | None, expected: object
) -> None:
    relation = Relation("public", "t", 1, "r", (Column("c", 1, kind),))
    sql, _ = RelationText(relation, "bw", Parameters(1), direct=True).shown("c", Mask(name, arg))
    assert asked(connection, sql, kind, value) == expected


def test_a_hash_is_keyed_and_stable(connection: Connection) -> None:
    pads = {"mask.inner": "'\\x01'::bytea", "mask.outer": "'\\x02'::bytea"}
    others = {"mask.inner": "'\\x03'::bytea", "mask.outer": "'\\x02'::bytea"}
    relation = Relation("public", "t", 1, "r", (Column("c", 1, "text"),))
    shown: list[object] = []
    for keys, value in ((pads, "a"), (pads, "a"), (others, "a"), (pads, "b")):
        given = keys
        parameters = Parameters(1, lambda bound, given=given: given[str(bound.source)])
        sql, _ = RelationText(relation, "bw", parameters, direct=True).shown("c", Mask("hash"))
        shown.append(asked(connection, sql, "text", value))
    assert shown[0] == shown[1]
    assert len(set(shown)) == 3
    assert all(len(str(each)) == 64 for each in shown)


def test_a_predicate_of_the_policy_reads_its_own_row_where_others_stand_around(connection: Connection) -> None:
    """In a write the target stands beside other relations: the policy's unqualified names must not mean theirs."""
    relation = Relation("public", "t", 1, "r", (Column("c", 1, "text"),))
    over = RelationText(relation, "t", Parameters(1), direct=False)
    sql, _ = over.shown("c", Mask("sql", "upper(c)"))
    query = f"SELECT {sql} FROM (SELECT 'x'::text AS c) AS t, (SELECT 'y'::text AS c) AS o"
    row = connection.execute(query.encode()).fetchone()
    assert row == ("X",)
    assert ident('a"b') == '"a""b"'
