"""Matchers and masks as SQL on a real PostgreSQL: what they say there is what they mean."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.match.evaluate import holds
from bailiwick.model.mask import Mask, MaskName
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.session import Claim, Session, User
from bailiwick.model.value import Operand, Ref, Scalar
from bailiwick.mounts.postgres.codec import NULL_VALUE
from bailiwick.mounts.postgres.values import MaskPads, bound_values
from bailiwick.sql import plan
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.predicates import RelationText, condition
from bailiwick.sql.quote import ident, plain, text
from tests.support.installed import installations
from tests.support.postgres import Server

VERSION = next(version for version in (15, 17, 16) if version in installations())
"""The first that has citext: the wheel's has not."""
pytestmark = pytest.mark.xdist_group(f"matchers-{VERSION}")
Connection = psycopg.Connection[tuple[object, ...]]
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SESSION: Mapping[tuple[str, ...], Claim] = {
    ("number",): 7,
    ("fraction",): Decimal("1.15"),
    ("word",): "aB",
    ("day",): date(2026, 5, 1),
    ("moment",): datetime(2026, 4, 30, 15, tzinfo=UTC),
    ("user", "words"): ("aB", "b'A", ""),
    ("user", "word"): "aB",
}
USER = User("u", claims={path[1]: value for path, value in SESSION.items() if path[0] == "user"})
CONTEXT = {path[0]: cast("Scalar", value) for path, value in SESSION.items() if len(path) == 1}
BOUND = Session("s", "bot", USER, None, CONTEXT, None, NOW, NOW, None)
SCRIPT = """
CREATE EXTENSION citext; CREATE DOMAIN mail AS citext; CREATE DOMAIN padded AS character(4); CREATE DOMAIN word AS text;
CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TYPE label AS ENUM ('a', 'ab', 'Ab');
CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"""


@pytest.fixture(scope="module")
def connection(servers: Callable[[int], Server]) -> Iterator[Connection]:
    """A connection set up as the gateway's own are."""
    database = servers(VERSION).create(SCRIPT)
    with psycopg.connect(database.url(), autocommit=True) as made:
        made.execute("SET search_path = pg_catalog, pg_temp")
        made.execute("SET timezone = 'Asia/Tokyo'")
        yield made


class Literals(Parameters):
    """Parameters that stand in the text."""

    def use(self, source: plan.Source, type_name: str) -> str:
        return inline(plan.Bound(source, type_name))


def inline(bound: plan.Bound) -> str:
    """Give the literal of a bound value as the mount binds it."""
    found = bound_values((bound,), BOUND, MaskPads.of(b"key"), NOW)
    value = None if found == NULL_VALUE else found[4:].decode()
    return f"NULL::{bound.type}" if value is None else f"{text(value)}::{bound.type}"


def asked(connection: Connection, expression: str, kind: str, value: object) -> object:
    """Evaluate an expression over a row with one column `c`."""
    written = f"NULL::{kind}" if value is None else f"{text(printed(value))}::{kind}"
    folding = " COLLATE public.folding" if kind == FOLDING else ""
    row = connection.execute(f"SELECT {expression} FROM (SELECT {written}{folding} AS c) AS bw".encode()).fetchone()
    assert row is not None
    return row[0]


def printed(value: object) -> str:
    """Return a value as the server reads it."""
    return plain(value) if isinstance(value, (str, bool, int, Decimal, date)) else str(value)


FOLDING = "text "
"""A text of a collation that folds cases; written so that it is a kind of its own."""
INTEGERS = st.integers(-9, 9) | st.sampled_from([2**15, -(2**15), 2**31 - 1, -(2**31), 2**31, 2**63, -(2**70)])
WORDS = st.text(st.sampled_from("aAb'%_\\*? é"), max_size=4)
NUMBERS = st.decimals(-10, 10, places=2)
FRACTIONS = NUMBERS | st.sampled_from([Decimal("1.1"), Decimal("1.10000002384185791015625"), Decimal(2**53 + 1)])
DATES = st.dates(date(2026, 4, 20), date(2026, 5, 5))
MOMENTS = st.datetimes(datetime(2026, 4, 20), datetime(2026, 5, 5), timezones=st.just(UTC))  # noqa: DTZ001  # zone given
MIDNIGHTS = DATES.map(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC))
IDS = st.sampled_from(["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3F2504E0-4F89-41D3-9A0C-0305E82C3301", "no id"])
NAN = st.just(Decimal("NaN"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of column: what it holds, what a policy compares it with, and what that comparison looks at."""

    values: st.SearchStrategy[object]
    operands: st.SearchStrategy[Scalar]
    means: Callable[[object], object] = lambda value: value
    kind: str = "b"
    base: str = ""
    refs: tuple[tuple[str, ...], ...] = ()

    @property
    def shape(self) -> str:
        """What may be asked of it, beside equality."""
        own = self.operands
        return (
            "text"
            if own is WORDS
            else "order"
            if own in (INTEGERS, FRACTIONS)
            else "moment"
            if own is ANY_MOMENT
            else ""
        )


def single(value: object) -> object:
    """Return a number as a `real` holds it."""
    number = isinstance(value, int | Decimal) and not isinstance(value, bool) and value == value  # NaN
    return Decimal(struct.unpack("f", struct.pack("f", value))[0]) if number else value


def double(value: object) -> object:
    """Return a number as a `double precision` holds it."""
    number = isinstance(value, int | Decimal) and not isinstance(value, bool) and value == value  # NaN
    return Decimal(float(value)) if number else value  # type: ignore[arg-type]


def without_blanks(value: object) -> object:
    """Return a text without the blanks that fill a `char(n)`."""
    return value.rstrip(" ") if isinstance(value, str) else value


def folded(value: object) -> object:
    """Return a text as one that is compared without regard to cases."""
    return value.lower() if isinstance(value, str) else value


ANY_MOMENT = DATES | MOMENTS | MIDNIGHTS
LABELS = st.sampled_from(["a", "ab", "Ab"])
TEXT_REFS = (("word",), ("user", "words"), ("user", "word"))
DAY_REFS = (("day",), ("moment",))
KINDS: Mapping[str, Kind] = {
    "smallint": Kind(st.integers(-9, 9), INTEGERS, refs=(("number",),)),
    "integer": Kind(st.integers(-9, 9) | st.just(2**31 - 1), INTEGERS, refs=(("number",),)),
    "bigint": Kind(st.integers(-9, 9) | st.just(2**63 - 1), INTEGERS, refs=(("number",),)),
    "oid": Kind(st.integers(0, 9) | st.just(2**32 - 1), INTEGERS, refs=(("number",),)),
    "numeric": Kind(NUMBERS | NAN, FRACTIONS, refs=(("number",),)),
    "numeric(4,1)": Kind(st.decimals(-10, 10, places=1) | NAN, FRACTIONS, refs=(("number",), ("fraction",))),
    "real": Kind(FRACTIONS | NAN, FRACTIONS, single, refs=(("number",), ("fraction",))),
    "double precision": Kind(FRACTIONS | NAN, FRACTIONS, double, refs=(("number",), ("fraction",))),
    "text": Kind(WORDS, WORDS, refs=TEXT_REFS),
    "character varying": Kind(WORDS, WORDS, refs=TEXT_REFS),
    "character varying(9)": Kind(WORDS, WORDS, refs=TEXT_REFS),
    "character(4)": Kind(WORDS, WORDS, without_blanks, refs=TEXT_REFS),
    "name": Kind(WORDS, WORDS, refs=TEXT_REFS),
    '"char"': Kind(st.sampled_from(["a", "A", "b", ""]), WORDS, refs=TEXT_REFS),
    "public.citext": Kind(WORDS, WORDS, folded, refs=TEXT_REFS),
    "public.mail": Kind(WORDS, WORDS, folded, "d", "public.citext", TEXT_REFS),
    "public.padded": Kind(WORDS, WORDS, without_blanks, "d", "character", TEXT_REFS),
    "public.word": Kind(WORDS, WORDS, kind="d", base="text", refs=TEXT_REFS),
    "public.small": Kind(st.integers(-9, 9), INTEGERS, kind="d", base="integer", refs=(("number",),)),
    FOLDING: Kind(WORDS, WORDS, folded, refs=TEXT_REFS),
    "public.label": Kind(LABELS, LABELS, kind="e"),
    "uuid": Kind(IDS.filter(lambda each: "-" in each).map(UUID), IDS),
    "boolean": Kind(st.booleans(), st.booleans()),
    "date": Kind(DATES, ANY_MOMENT, refs=DAY_REFS),
    "timestamp with time zone": Kind(MOMENTS | MIDNIGHTS, ANY_MOMENT, refs=DAY_REFS),
    "timestamp without time zone": Kind(MOMENTS | MIDNIGHTS, ANY_MOMENT, refs=DAY_REFS),
}


def matchers(name: str) -> st.SearchStrategy[Matcher]:
    """Matchers that a policy may hold for a column of the type, with and without session values."""
    kind = KINDS[name]
    refs = [Ref(path) for path in (*kind.refs, ("missing",), ("user", "missing"))]
    single_refs = [each for each in refs if each != Ref(("user", "words"))]
    operand = kind.operands | st.sampled_from(refs)
    base: st.SearchStrategy[Matcher] = st.one_of(
        (kind.operands | st.sampled_from(single_refs)).map(Equal),
        st.lists(operand, max_size=3).map(lambda found: OneOf(tuple(found))),
        st.just(Anything()),
        st.booleans().map(Empty),
    )
    if kind.shape in ("order", "moment"):
        end = st.none() | kind.operands | st.sampled_from(single_refs)
        base |= st.builds(Bound, min=end, max=end, over=end, under=end)
    if kind.shape == "text":
        base |= WORDS.map(Prefix) | WORDS.map(Glob) | st.just(Prefix(Ref(("word",))))
    if kind.shape == "moment":
        base |= st.integers(1, 12).map(lambda days: Within(timedelta(days=days)))
    return st.recursive(
        base,
        lambda inner: inner.map(Not) | st.lists(inner, min_size=1, max_size=2).map(lambda p: Every(tuple(p))),
        max_leaves=3,
    )


CASES = st.sampled_from(sorted(KINDS)).flatmap(
    lambda name: st.tuples(st.just(name), matchers(name), st.none() | KINDS[name].values)
)


def expected(name: str, matcher: Matcher, value: object) -> bool | None:
    """Return what the matcher means over the column: over what its type takes for equal."""
    means = KINDS[name].means

    def resolve(ref: Ref) -> Claim | None:
        found = SESSION.get(ref.path)
        return (
            tuple(cast("str", means(each)) for each in found)
            if isinstance(found, tuple)
            else cast("Claim", means(found))
        )

    return holds(seen(matcher, name), means(value), resolve, NOW)


def seen(matcher: Matcher, name: str) -> Matcher:
    """Return the matcher over what the column's type takes for equal."""
    means = KINDS[name].means

    def over(operand: Operand | None) -> Operand | None:
        return operand if operand is None or isinstance(operand, Ref) else cast("Scalar", means(operand))

    match matcher:
        case Equal(operand):
            return replace(matcher, operand=over(operand))
        case OneOf(operands):
            return OneOf(tuple(cast("Operand", over(each)) for each in operands))
        case Bound(low, high, above, below):
            return Bound(over(low), over(high), over(above), over(below))
        case Not(inner):
            return Not(seen(inner, name))
        case Every(parts):
            return Every(tuple(seen(part, name) for part in parts))
        case Prefix() | Glob() if name == FOLDING:
            return Bound()  # unknown: nobody knows what the collation takes for a start
        case Prefix(str() as start) if means is folded:
            return Prefix(start.lower())
        case Glob(pattern) if means is folded:
            return Glob(pattern.lower())
        case _:
            return matcher


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CASES)
def test_a_matcher_means_the_same_in_sql(connection: Connection, case: tuple[str, Matcher, object]) -> None:
    name, matcher, value = case
    kind = KINDS[name]
    column = Column("c", 1, name.strip(), kind.kind, kind.base, folds=name == FOLDING)
    meant = expected(name, matcher, value)
    sql = condition(matcher, "bw.c", column, Literals(1), exact=True)
    assert asked(connection, sql, name, value) is meant, sql
    allowing = condition(matcher, "bw.c", column, Literals(1))
    assert (asked(connection, allowing, name, value) is True) is (meant is True), allowing


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
    pads, others = ("'\\x01'::bytea", "'\\x02'::bytea"), ("'\\x03'::bytea", "'\\x02'::bytea")
    relation = Relation("public", "t", 1, "r", (Column("c", 1, "text"),))
    shown: list[object] = []
    for keys, value in ((pads, "a"), (pads, "a"), (others, "a"), (pads, "b")):
        sql, _ = RelationText(relation, "bw", Parameters(1), direct=True).shown("c", Mask("hash"))
        sql = sql.replace("$1", keys[0]).replace("$2", keys[1])
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
