"""What a policy names is compared by a column's own equality, whatever it is, and whatever the session has set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import psycopg
import pytest

from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.matcher import Bound, Empty, Equal, Glob, Matcher, Not, OneOf, Prefix
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import DenyRows, ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from tests.support.installed import installations
from tests.support.postgres import Server

VERSION = next(version for version in (15, 17, 16) if version in installations())
"""The first that has citext: the wheel's has not."""
pytestmark = pytest.mark.xdist_group(f"matchers-{VERSION}")
SCRIPT = """
CREATE SCHEMA "My ext"; CREATE EXTENSION citext SCHEMA "My ext"; CREATE DOMAIN mail AS "My ext".citext;
CREATE DOMAIN inner_word AS text; CREATE DOMAIN word AS inner_word;
CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE t (id int PRIMARY KEY, c "My ext".citext, d mail, f text COLLATE folding, p char(9), w word,
    at timestamptz, n numeric, k text);
INSERT INTO t VALUES (1, 'Secret', 'Secret', 'Secret', 'secret', 'secret', '2026-01-31 00:00+00', 'NaN', 'Secret'),
    (2, 'Open', 'Open', 'Open', 'open', 'open', '2026-01-30 23:00+00', 5, 'open');
CREATE UNIQUE INDEX ON t (k COLLATE folding); CREATE UNIQUE INDEX ON t (f);
"""


@dataclass(frozen=True, slots=True)
class Seen:
    connection: psycopg.Connection
    catalogue: Catalogue

    def ids(self, allowed: RowFilter, *denied: RowFilter) -> list[object]:
        """Return which rows a scope shows."""
        resource = Resource("t", "m", "public", "t", ("id",))
        read = ReadGrant("r", allowed, {"id": None})
        scope = ResourceScope(resource, (read,), denied_rows=tuple(DenyRows("d", each) for each in denied))
        (plan,) = Rewriter(Scope("s", "bot", {"t": scope}), self.catalogue, "m").rewrite("SELECT id FROM t ORDER BY id")
        assert isinstance(plan, Plan), plan
        return [row[0] for row in self.connection.execute(plan.sql.encode()).fetchall()]


@pytest.fixture(scope="module")
def seen(servers: Callable[[int], Server]) -> Iterator[Seen]:
    database = servers(VERSION).create(SCRIPT)
    tables = asyncio.run(read_tables(database.url(), {("public", "t")}))
    mount = Mount("m", "postgres", SecretRef("${URL}"), {"t": Resource("t", "m", "public", "t", ("id",))})
    catalogue = asyncio.run(read_catalogue(database.url(), mount, tables))
    with psycopg.connect(database.url(), autocommit=True, options="-c search_path=pg_catalog,pg_temp") as connection:
        yield Seen(connection, catalogue)


def over(column: str, matcher: Matcher) -> RowFilter:
    return RowFilter(((column, matcher),))


@pytest.mark.parametrize(
    ("column", "matcher"),
    [
        ("c", Equal("SECRET")),
        ("c", OneOf(("x", "sECRET"))),
        ("c", Prefix("SEC")),
        ("c", Glob("*CRET")),
        ("c", Not(Equal("OPEN"))),
        ("d", Equal("SECRET")),
        ("d", Prefix("sEc")),
        ("d", Not(OneOf(("OPEN",)))),
        ("f", Equal("SECRET")),
        ("f", Not(Equal("OPEN"))),
        ("p", Equal("secret  ")),
        ("p", Glob("?ecret")),
        ("w", Equal("secret")),
        ("w", Prefix("sec")),
    ],
)
def test_a_deny_takes_what_the_column_takes_for_equal(seen: Seen, column: str, matcher: Matcher) -> None:
    assert seen.ids(RowFilter(), over(column, matcher)) == [2]
    assert seen.ids(over(column, matcher)) == [1]


@pytest.mark.parametrize("matcher", [Prefix("SEC"), Glob("sec*")])
def test_what_a_folding_collation_takes_for_a_start_is_unknown(seen: Seen, matcher: Matcher) -> None:
    """Unknown counts against the agent: a deny takes every row, an allow gives none."""
    assert seen.ids(RowFilter(), over("f", matcher)) == []
    assert seen.ids(over("f", matcher)) == []
    assert seen.ids(RowFilter(), over("f", Empty(True))) == [1, 2]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "<x>+99"])
def test_a_session_s_time_zone_moves_no_bound(seen: Seen, zone: str) -> None:
    seen.connection.execute(f"SET timezone = '{zone}'".encode())
    assert seen.ids(over("at", Bound(min=date(2026, 1, 31)))) == [1]
    assert seen.ids(RowFilter(), over("at", Bound(min=date(2026, 1, 31)))) == [2]
    assert seen.ids(over("at", Equal(date(2026, 1, 31)))) == [1]
    seen.connection.execute("RESET timezone")


def test_nan_is_in_no_order_with_anything(seen: Seen) -> None:
    assert seen.ids(over("n", Bound(min=1))) == [2]
    assert seen.ids(RowFilter(), over("n", Bound(max=1))) == [2]
    assert seen.ids(over("n", Not(Equal(7)))) == [2]


def test_a_key_whose_index_folds_what_its_column_keeps_apart_is_no_key_of_columns(seen: Seen) -> None:
    relation = seen.catalogue.relations["public", "t"]
    assert relation.uniques is not None
    assert ("id",) in relation.uniques
    assert ("f",) in relation.uniques
    assert ("k",) not in relation.uniques
    assert () in relation.uniques
