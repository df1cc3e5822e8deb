"""Matchers and masks as SQLite evaluates them: what they say there is what they mean, whatever a column holds."""

from __future__ import annotations

import hmac
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.gateway.backends.sqlite import stored, type_of
from bailiwick.match.evaluate import holds
from bailiwick.model.mask import Mask, MaskName
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.session import Session, User
from bailiwick.model.value import Ref, Scalar
from bailiwick.mounts.sql import masks
from bailiwick.mounts.sql.values import bound_values
from bailiwick.sql import predicates as postgres
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.predicates import RelationText
from bailiwick.sql.engines.sqlite import SQLite
from bailiwick.sql.quote import literal
from tests.support.postgres import Database

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SESSION = Session(
    "ses_1",
    "bot",
    User("ada", claims={"words": ("ab", "b'c", ""), "word": "ab", "numbers": (7, 8)}),
    None,
    {"number": 7, "word": "ab", "odd": "x", "yes": True},
    None,
    NOW,
    NOW + timedelta(hours=1),
    None,
)
REFS = {"TEXT": ("word", "odd", "missing"), "INTEGER": ("number", "missing"), "NUMERIC": ("number", "missing")}
LISTS = {"TEXT": ("words", "word", "missing"), "INTEGER": ("numbers", "missing"), "NUMERIC": ("numbers", "missing")}
"""Session values by the type of the columns with which the policy's check lets them be compared."""

INTEGERS = st.integers(-9, 9) | st.sampled_from([2**31, -(2**62)])
WORDS = st.text(st.sampled_from("abAB'%_\\*?[] é"), max_size=4)
DATES = st.dates(date(2026, 4, 20), date(2026, 5, 5))
VALUES: Mapping[str, st.SearchStrategy[Scalar]] = {
    "INTEGER": INTEGERS,
    "NUMERIC": st.decimals(-10, 10, places=2),
    "TEXT": WORDS,
    "BOOLEAN": st.booleans(),
    "DATE": DATES,
}


def matchers(declared: str) -> st.SearchStrategy[Matcher]:
    """Matchers that a policy may hold for a column declared so."""
    own = VALUES[declared]
    scalar = own | st.sampled_from([Ref((name,)) for name in REFS.get(declared, ("missing",))])
    lists = st.sampled_from([Ref(("user", name)) for name in LISTS.get(declared, ("missing",))])
    base: st.SearchStrategy[Matcher] = st.one_of(
        scalar.map(Equal),
        st.lists(scalar | lists, max_size=3).map(lambda found: OneOf(tuple(found))),
        st.just(Anything()),
        st.booleans().map(Empty),
    )
    if declared in ("INTEGER", "NUMERIC", "DATE"):
        base |= st.builds(Bound, min=st.none() | own, max=st.none() | own, over=st.none() | own, under=st.none() | own)
    if declared == "TEXT":
        base |= WORDS.map(Prefix) | WORDS.map(Glob)
    if declared == "DATE":
        base |= st.integers(1, 12).map(lambda days: Within(timedelta(days=days)))
    return st.recursive(
        base,
        lambda inner: inner.map(Not) | st.lists(inner, min_size=1, max_size=2).map(lambda p: Every(tuple(p))),
        max_leaves=3,
    )


CASES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda kind: st.tuples(st.just(kind), matchers(kind), st.none() | VALUES[kind])
)


def admitted(declared: str, matcher: Matcher, value: object, *, denies: bool = False) -> bool:
    """Return whether SQLite admits a row whose column `c` holds the value; `denies`: as a deny takes it away."""
    column = Column("c", 1, type_of(declared))
    relation = Relation("main", "t", 0, "r", (column,))
    parameters = Parameters(1)
    text = RelationText(SQLite(), relation, "bw", parameters)
    condition = text.condition(matcher, column, exact=denies)
    if denies:
        condition = f"COALESCE(NOT {condition}, (1 = 0))"
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE t (c {declared})")
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        values = bound_values(parameters.bound, SESSION, NOW)
        found = connection.execute(f"SELECT count(*) FROM t AS bw WHERE {condition}", values).fetchone()[0]
    connection.close()
    return (not found) if denies else bool(found)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CASES)
def test_a_matcher_admits_in_sqlite_what_it_holds_of(case: tuple[str, Matcher, Scalar | None]) -> None:
    declared, matcher, value = case
    meant = holds(matcher, value, lambda ref: SESSION.value(ref.path), NOW)
    kept = None if value is None else stored(value)
    assert not admitted(declared, matcher, kept) or meant is True, "admits too much"
    assert admitted(declared, matcher, kept, denies=True) or meant is False, "takes too little away"
    assert admitted(declared, matcher, kept) == (meant is True)


ODD = [None, "", "word", "5", 5, -1, 2**40, 5.5, b"5", b"word", "now", "2026-05-01x", 2461000.5, "2026-05-01"]
STRICT: list[tuple[str, Matcher]] = [
    ("INTEGER", Bound(min=-100)),
    ("INTEGER", Not(Equal(7))),
    ("INTEGER", Not(OneOf((7, Ref(("number",)))))),
    ("NUMERIC", Bound(over=Decimal(-100))),
    ("NUMERIC", Not(Bound(max=Decimal(2)))),
    ("DATE", Within(timedelta(days=9000))),
    ("DATE", Bound(min=date(1900, 1, 1))),
    ("DATE", Not(Equal(date(2020, 1, 1)))),
    ("TEXT", Not(Equal("nothing"))),
    ("TEXT", Glob("*")),
    ("TEXT", Prefix("")),
    ("BOOLEAN", Not(Equal(True))),
]


@pytest.mark.parametrize(("declared", "matcher"), STRICT, ids=[repr(each) for each in STRICT])
def test_a_value_of_another_class_than_its_column_s_is_unknown(declared: str, matcher: Matcher) -> None:
    right = {"INTEGER": (int,), "NUMERIC": (int, float), "DATE": (str,), "TEXT": (str,), "BOOLEAN": (int,)}[declared]
    for value in ODD:
        with sqlite3.connect(":memory:") as connection:
            connection.execute(f"CREATE TABLE t (c {declared})")
            connection.execute("INSERT INTO t VALUES (?)", (value,))
            kept = connection.execute("SELECT c FROM t").fetchone()[0]
        connection.close()
        if not isinstance(kept, right) and not (declared == "INTEGER" and isinstance(kept, float)):
            assert not admitted(declared, matcher, value), value
            assert admitted(declared, matcher, value, denies=True), value


TEXTS = [
    "",
    "a",
    "abcd",
    "abcde",
    "ann@x.example",
    "a@b@c",
    "@x",
    "4111 1111 1111 1111",
    "+49 30 12345",
    "12345",
    "é@é",
]
MASKS: list[MaskName] = ["partial", "last4", "hash"]


def test_masks_show_what_they_show_in_postgresql(database: Database) -> None:
    key = b"k" * 32
    pads = {"mask.inner": 0x36, "mask.outer": 0x5C}
    with psycopg.connect(database.url(), autocommit=True) as connection:

        def in_postgres(mask: Mask, kind: str, value: object) -> object:
            relation = Relation("public", "t", 0, "r", (Column("c", 1, kind),))

            def pad(bound: object, _: int) -> str:
                byte = pads[getattr(bound, "source", "")]
                return f"'\\x{bytes(each ^ byte for each in key.ljust(64, bytes(1))).hex()}'::bytea"

            text = postgres.RelationText(relation, "bw", postgres.Parameters(1, pad), direct=True)
            written = f"NULL::{kind}" if value is None else literal(str(value), kind)
            query = f"SELECT {text.shown('c', mask)[0]} FROM (SELECT {written} AS c) AS bw"
            row = connection.execute(query.encode()).fetchone()
            return None if row is None else row[0]

        for name in MASKS:
            for value in [*TEXTS, None]:
                expected = in_postgres(Mask(name), "text", value)
                assert _masked(name, value, "text", key) == expected, (name, value)
            for number in (0, -12345678, 2**40):
                assert _masked(name, number, "bigint", key) == in_postgres(Mask(name), "bigint", number)
        for number in (0, 49, 50, 150, -50, -149, 2**62, 2**63 - 1):
            for step in ("100", "0.5", "7"):
                expected = in_postgres(Mask("round", step), "bigint", number)
                assert masks.rounded(number, step, "bigint") == expected, (number, step)


def _masked(name: MaskName, value: object, kind: str, key: bytes) -> str | None:
    if name == "hash":
        return masks.hashed(value, kind, key)
    return masks.partial(value, kind) if name == "partial" else masks.last4(value, kind)


@given(st.none() | st.text() | st.integers() | st.floats() | st.binary(), st.text(max_size=5))
def test_masks_never_fail(value: object, step: str) -> None:
    for kind in ("text", "bigint", "boolean", "double precision", "any"):
        for found in (masks.partial(value, kind), masks.last4(value, kind), masks.hashed(value, kind, b"k")):
            assert found is None or isinstance(found, str)
        masks.rounded(value, step, kind)


def test_a_hash_is_the_keyed_one() -> None:
    assert masks.hashed("x", "text", b"key") == hmac.digest(b"key", b"x", "sha256").hex()
    assert json.dumps(masks.hashed(None, "text", b"key")) == "null"
