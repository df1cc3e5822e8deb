"""Matchers and masks as MariaDB evaluates them: what they say there is what they mean, whatever a collation says."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings

from bailiwick.gateway.backends.mariadb import type_of
from bailiwick.match.evaluate import holds
from bailiwick.model.mask import Mask, MaskName
from bailiwick.model.matcher import Bound, Equal, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.value import Ref, Scalar
from bailiwick.mounts.sql import masks
from bailiwick.mounts.sql.values import bound_values
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.mariadb import MariaDB as Dialect
from bailiwick.sql.engines.mariadb_words import literal, prepared
from bailiwick.sql.engines.predicates import RelationText
from tests.engines.test_engines_matchers import CASES, NOW, SESSION
from tests.support.mariadb import MariaDB

pytestmark = pytest.mark.xdist_group("mariadb")
DECLARED = {
    "INTEGER": "BIGINT",
    "NUMERIC": "DECIMAL(20,2)",
    "TEXT": "VARCHAR(80)",
    "BOOLEAN": "TINYINT(1)",
    "DATE": "DATE",
}


Ask = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def ask(mariadb: MariaDB) -> Iterator[Ask]:
    mariadb.execute("CREATE DATABASE tried CHARACTER SET utf8mb4")
    with mariadb.session("tried") as asking:
        yield asking


def admitted(ask: Ask, declared: str, matcher: Matcher, value: object, *, denies: bool = False) -> bool:
    """Return whether MariaDB admits a row whose column holds the value; `denies`: as a deny takes it away."""
    full = DECLARED.get(declared, declared)
    column = Column("c", 1, type_of(full.partition("(")[0].split()[0].lower(), full.lower()))
    parameters = Parameters(1)
    text = RelationText(Dialect(), Relation("tried", "t", 0, "r", (column,)), "bw", parameters)
    condition = text.condition(matcher, column, exact=denies)
    if denies:
        condition = f"COALESCE(NOT {condition}, (1 = 0))"
    values = bound_values(parameters.bound, SESSION, NOW)
    ask(f"CREATE OR REPLACE TEMPORARY TABLE t (c {full})")
    ask(f"INSERT INTO t VALUES ({literal(value)})")
    found = ask(prepared(f"SELECT count(*) FROM t AS bw WHERE {condition}", values)) != [(0,)]
    return (not found) if denies else found


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(case=CASES)
def test_a_matcher_admits_in_mariadb_what_it_holds_of(ask: Ask, case: tuple[str, Matcher, Scalar | None]) -> None:
    declared, matcher, value = case
    meant = holds(matcher, value, lambda ref: SESSION.value(ref.path), NOW)
    assert admitted(ask, declared, matcher, value) == (meant is True)
    assert admitted(ask, declared, matcher, value, denies=True) or meant is False, "takes too little away"


TEXTS: list[tuple[Matcher, str, bool]] = [
    (Equal("open"), "open", True),
    (Equal("open"), "Open", False),
    (Equal("open"), "open ", False),
    (Equal("open"), "öpen", False),
    (Equal(""), " ", False),
    (OneOf(("a", "b")), "A", False),
    (OneOf((Ref(("user", "words")),)), "ab", True),
    (OneOf((Ref(("user", "words")),)), "AB", False),
    (OneOf((Ref(("user", "words")),)), "ab ", False),
    (Prefix("DE-"), "DE-1", True),
    (Prefix("DE-"), "de-1", False),
    (Prefix("DE%"), "DE-1", False),
    (Glob("a*\\?"), "abc\\d", True),
    (Glob("a*%"), "abc", False),
    (Glob("a_"), "ab", False),
    (Glob("*|"), "a|", True),
    (Glob("A*"), "abc", False),
    (Glob("a"), "a ", False),
    (Not(Equal("0")), "abc", True),
    (Not(Equal("open")), "OPEN", True),
]


@pytest.mark.parametrize(
    "declared", ["VARCHAR(80)", "CHAR(20) CHARACTER SET latin1", "TEXT COLLATE utf8mb4_unicode_ci"]
)
def test_texts_are_compared_by_their_characters(ask: Ask, declared: str) -> None:
    for matcher, value, meant in TEXTS:
        if declared.startswith("CHAR(") and value.endswith(" "):
            continue  # MariaDB itself takes them off
        assert admitted(ask, declared, matcher, value) == meant, (matcher, value)
        assert admitted(ask, declared, matcher, value, denies=True) == meant, (matcher, value)


def test_dates_of_zeros_are_no_moments(ask: Ask) -> None:
    past: list[Matcher] = [
        Bound(under=date(2026, 1, 1)),
        Bound(max=datetime(2026, 1, 1, tzinfo=UTC)),
        Not(Equal(date(2020, 1, 1))),
        Within(timedelta(days=8_000)),
    ]
    for declared in ("DATE", "DATETIME"):
        for matcher in past:
            assert admitted(ask, declared, matcher, date(2025, 12, 31))
            assert not admitted(ask, declared, matcher, "0000-00-00"), matcher
            assert admitted(ask, declared, matcher, "0000-00-00", denies=True), matcher


def test_masks_show_what_they_show_elsewhere(ask: Ask) -> None:
    key = b"k" * 32
    pads = [bytes(one ^ byte for one in key.ljust(64, b"\0")) for byte in (0x36, 0x5C)]
    texts = [
        "",
        "a",
        "abcd",
        "abcde",
        "ann@x.example",
        "a@b@c",
        "@x",
        "4111 1111 1111 1111",
        "+49 30 12345",
        "1234567\n",
        "é@é",
        None,
    ]
    names: list[MaskName] = ["partial", "last4", "hash"]

    def shown(mask: Mask, declared: str, value: object) -> object:
        column = Column("c", 1, type_of(declared.partition("(")[0].lower(), declared.lower()))
        parameters = Parameters(1)
        text = RelationText(Dialect(), Relation("tried", "t", 0, "r", (column,)), "bw", parameters)
        ask(f"CREATE OR REPLACE TEMPORARY TABLE t (c {declared})")
        ask(f"INSERT INTO t VALUES ({literal(value)})")
        return ask(prepared(f"SELECT {text.shown('c', mask)[0]} FROM t AS bw", pads))[0][0]

    for name in names:
        for value in texts:
            expected = masks.hashed(value, "text", key) if name == "hash" else getattr(masks, name)(value, "text")
            assert shown(Mask(name), "VARCHAR(80)", value) == expected, (name, value)
    assert masks.hashed("x", "text", key) == hmac.digest(key, b"x", "sha256").hex()
    for number in (0, 49, 50, 150, -50, -149, 2**62, 2**63 - 1):
        for step in ("100", "0.5", "7"):
            assert shown(Mask("round", step), "BIGINT", number) == masks.rounded(number, step, "bigint"), (number, step)
    assert shown(Mask("round", "0.05"), "DECIMAL(10,2)", Decimal("1.23")) == Decimal("1.25")
    assert shown(Mask("year"), "DATE", date(2026, 5, 6)) == date(2026, 1, 1)
    assert shown(Mask("full"), "VARCHAR(9)", "x") == "***"
    assert shown(Mask("null"), "BIGINT", 1) is None
