"""A row outside of the scope is refused before the database looks for its key: whether a hidden row has it is not told.

Each statement is run twice, with a key that a hidden row has and with one that no row has.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bailiwick.model.matcher import Bound, Equal, OneOf
from bailiwick.model.scope import ResourceScope, RowFilter
from bailiwick.model.value import Ref
from bailiwick.sql.rewrite import Rewriter
from tests.sql.writes_rig import ITEMS, MOVED, PARTS, SCRIPT, SHOWN, STOCK, Bench, grant, read
from tests.support.postgres import Server

FIELDS = ("id", "place", "n")


@pytest.fixture(scope="module")
def bench(postgres: Server) -> Iterator[Bench]:
    made = Bench(postgres.create(SCRIPT))
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def rewriter(bench: Bench) -> Rewriter:
    """All of an item may be written, within the tenant 7; of the stock the places from 10 to 19."""
    every = grant(SHOWN, kind=OneOf(("a", "b")))
    near = RowFilter((("place", Bound(min=10, max=19)),))
    zone = RowFilter((("zone", Equal(1)),))
    scopes = {
        "items": ResourceScope(ITEMS, (read(SHOWN),), (every,), (every,), (grant(()),)),
        "stock": ResourceScope(STOCK, (read(FIELDS, near),), (grant(FIELDS),), (grant(FIELDS, near),)),
        "moved": ResourceScope(MOVED, (read(("id", "place", "zone", "n"), zone),), (grant(("id", "place", "n")),)),
    }
    return bench.rewriter_of(scopes)


ITEM = "INSERT INTO shop.items"
TAKEN_AND_FREE = [
    (f"{ITEM} (tenant, id, kind) VALUES (8, {{}}, 'a')", 4, 99),
    (f"{ITEM} (tenant, id, kind) VALUES (3 + 5, {{}}, 'a')", 4, 99),
    (f"{ITEM} (tenant, id, kind) VALUES ('8', '{{}}', 'a') RETURNING id", 4, 99),
    (f"{ITEM} (id, kind, tenant) VALUES (50, 'a', 7), ({{}}, 'b', 8)", 4, 99),
    (f"{ITEM} (tenant, id, kind) SELECT 8, {{}}, 'a'", 4, 99),
    (f"{ITEM} (tenant, id, kind) SELECT tenant + 1, {{}}, 'a' FROM shop.items WHERE id = 1", 4, 99),
    (f"{ITEM} (tenant, id, kind) SELECT 7, 50, 'a' UNION ALL SELECT 8, {{}}, 'a'", 4, 99),
    (f"{ITEM} (tenant, id, kind) VALUES ((SELECT 8), {{}}, 'a')", 4, 99),
    (f"{ITEM} (tenant, id, kind) VALUES (8 + (random() * 0)::int, {{}}, 'a')", 4, 99),
    (f"WITH x AS ({ITEM} (tenant, id, kind) VALUES (8, {{}}, 'a') RETURNING 1) SELECT 1", 4, 99),
    (f"{ITEM} (tenant, id, kind) VALUES (7, 1, 'a') ON CONFLICT (tenant, id) DO UPDATE SET tenant = 8, id = {{}}",
     4, 99),
    ("UPDATE shop.items SET tenant = 8, id = {} WHERE id = 1", 4, 99),
    ("UPDATE shop.items SET id = {}, tenant = tenant + 1 WHERE id = 1", 4, 99),
    ("UPDATE shop.items SET tenant = 8 WHERE id = {}", 1, 2),
    ("UPDATE shop.items SET (tenant, id) = (SELECT 8, {}) WHERE id = 1", 4, 99),
    ("UPDATE shop.items SET (tenant, id) = ROW(8, {}) WHERE id = 1", 4, 99),
    ("UPDATE shop.items SET tenant = (SELECT 8), id = {} WHERE id = 1", 4, 99),
    ("WITH x AS (UPDATE shop.items SET tenant = 8, id = {} WHERE id = 1) SELECT 1", 4, 99),
    ("MERGE INTO shop.items t USING (VALUES (1)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET tenant = 8, id = {}",
     4, 99),
    # the scope's column is no part of the key
    ("INSERT INTO shop.stock (id, place) VALUES ({}, 21)", 3, 99),
    ("UPDATE shop.stock SET id = {}, place = 21 WHERE id = 1", 3, 99),
    ("UPDATE shop.stock SET place = 21, id = {} FROM shop.items i WHERE stock.id = i.id AND i.id = 1", 3, 99),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "taken", "free"), TAKEN_AND_FREE)
def test_a_row_outside_is_the_same_whether_its_key_is_taken_or_free(
    bench: Bench, rewriter: Rewriter, sql: str, taken: int, free: int
) -> None:
    first = bench.run(sql.format(taken), rewriter=rewriter)
    assert first.code == "row_out_of_scope", first.message
    assert bench.run(sql.format(free), rewriter=rewriter) == first


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (f"{ITEM} (tenant, id, kind) VALUES (7, 1, 'a')", "23505"),
        (f"{ITEM} (id, kind) VALUES (1, 'a')", "23505"),
        (f"{ITEM} (tenant, id, kind) SELECT 7, 1, 'a'", "23505"),
        ("UPDATE shop.items SET tenant = 7, id = 2 WHERE id = 1", "23505"),
        ("INSERT INTO shop.stock (id, place) VALUES (1, 12)", "23505"),
        (f"{ITEM} (tenant, id, kind) VALUES (7, 50, 'a')", ""),
        (f"{ITEM} (tenant, id, kind) VALUES (6 + 1, 50, 'a'), (7, 51, DEFAULT)", "row_out_of_scope"),
        (f"{ITEM} (tenant, id, kind) VALUES (6 + 1, 50, 'a'), ('7', 51, lower('B'))", ""),
        (f"{ITEM} (tenant, id, kind, note) SELECT 7, '50', 'a', NULL", ""),
        (f"{ITEM} (tenant, id, kind, note) SELECT tenant, id + 50, 'a', note FROM shop.items ORDER BY id LIMIT 2", ""),
        (f"{ITEM} (tenant, id, kind) VALUES (7 + (random() * 0)::int, 50, 'a')", ""),
        ("UPDATE shop.items SET tenant = 7, id = id + 10, kind = 'b'", ""),
        ("UPDATE shop.items SET (tenant, id) = (SELECT 7, 50) WHERE id = 1", ""),
        ("UPDATE shop.items SET n = n + 1, note = 'x'", ""),
        ("INSERT INTO shop.stock (id, place) VALUES (99, '12')", ""),
        ("UPDATE shop.stock SET place = place + 1", ""),
        ("UPDATE shop.moved SET place = 12 WHERE id = 1", ""),
        ("UPDATE shop.moved SET id = 2 WHERE id = 1", "23505"),
    ],
)
def test_within_the_scope_keys_are_the_databases_own(bench: Bench, rewriter: Rewriter, sql: str, code: str) -> None:
    said = bench.run(sql, rewriter=rewriter)
    assert said.code == code, said.message


def test_parameters_keep_the_types_of_their_columns(bench: Bench, rewriter: Rewriter) -> None:
    sql = f"{ITEM} (tenant, id, kind, n) VALUES ($1, $2, $3, $4)"
    assert bench.run(sql, "8", "4", "a", "1", rewriter=rewriter).code == "row_out_of_scope"
    assert bench.run(sql, "8", "99", "a", "1", rewriter=rewriter).code == "row_out_of_scope"
    assert bench.run(sql, "7", "1", "a", "1", rewriter=rewriter).code == "23505"
    assert bench.run(sql, "7", "50", "a", "1", rewriter=rewriter).code == ""


def test_a_grant_that_depends_on_a_default_does_not_tell_keys(bench: Bench) -> None:
    """The key's own column is left to its default, which is outside of the scope."""
    here = RowFilter((("region", Equal(Ref(("region",)))),))
    shown = read(("region", "id", "n"), here)
    bench.database.script("ALTER TABLE shop.parts ALTER region SET DEFAULT 'us'")
    scoped = bench.rewriter_of({"parts": ResourceScope(PARTS, (shown,), (), (grant(("region", "id", "n"), here),))})
    for key in (2, 99):
        assert bench.run(f"INSERT INTO shop.parts (id) VALUES ({key})", rewriter=scoped).code == "row_out_of_scope"
    assert bench.run("INSERT INTO shop.parts (id, region) VALUES (1, 'eu')", rewriter=scoped).code == "23505"
    assert bench.run("INSERT INTO shop.parts (id, region) VALUES (99, 'eu')", rewriter=scoped).code == ""
