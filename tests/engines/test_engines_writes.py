"""Writes that return rows, that have further sources, or that meet a row of the same key: on each engine."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import pytest_asyncio

from bailiwick.gateway.sessions.opening import Opened, Wanted
from bailiwick.model.session import User
from bailiwick.mounts.sql.results import Denied, Result
from bailiwick.sql.engines.duckdb import DuckDB
from bailiwick.sql.engines.sqlite import SQLite
from bailiwick.sql.engines.writing import DuckDBWriting, SQLiteWriting
from tests.engines.engines_rig import Desk, answers
from tests.engines.stages import ENGINES, FILES, stage
from tests.support.canary import leaks

HERE = Path(__file__).parent
POLICY, SCRIPT = ((HERE / f"stock.{kind}").read_text() for kind in ("yaml", "sql"))


@pytest_asyncio.fixture(params=ENGINES)
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Desk]:
    server = request.getfixturevalue("mariadb") if request.param == "mariadb" else None
    async with stage(request.param, tmp_path, POLICY, SCRIPT, server) as found:
        yield found


async def returned(shop: Desk, sql: str, *parameters: str | int) -> list[tuple[object, ...]]:
    clerk = await shop.session("clerk-bot", tenant="1")
    found = await shop.ask(clerk, sql, *parameters)
    assert isinstance(found, Result), f"{sql}: {found}"
    assert found.affected == len(found.rows), sql
    return list(answers(found.rows))


async def test_what_a_write_returns_is_what_the_scope_shows_of_its_rows(shop: Desk) -> None:
    assert await returned(shop, "UPDATE items SET amount = amount + 1 WHERE sku = 'a' RETURNING *") == [
        (1, "a", 6, "a***")
    ]
    sql = "UPDATE items SET label = 'avocado' WHERE sku = ? RETURNING label, amount * ? AS twice, items.sku"
    assert await returned(shop, sql, "a", 2) == [("a***", 12, "a")]
    sql = "INSERT INTO items (sku, amount, label) VALUES ('d', 1, 'dates'), ('e', 2, 'endives') RETURNING "
    assert await returned(shop, sql + "tenant, sku, label") == [(1, "d", "d***"), (1, "e", "e***")]
    assert await returned(shop, "DELETE FROM orders WHERE customer < 3 RETURNING id, status, customer") == [
        (11, "closed", 2),
        (12, "closed", 1),
    ]
    assert await returned(shop, "DELETE FROM orders WHERE id = 13 RETURNING id") == []
    sql = (
        "UPDATE items SET amount = 3 WHERE sku IN ('b', 'd') RETURNING sku, CASE WHEN label LIKE 'b%' THEN 1 ELSE 0 END"
    )
    assert await returned(shop, sql) == [("b", 1), ("d", 0)]


async def test_words_that_ask_for_the_time_are_written_and_returned(shop: Desk) -> None:
    changed = "UPDATE items SET label = CURRENT_TIMESTAMP WHERE sku = 'a' RETURNING sku, CURRENT_DATE > '2020-01-01'"
    assert await returned(shop, changed) == [("a", 1)]
    made = "INSERT INTO items (sku, amount, label) VALUES ('d', 1, CURRENT_DATE) RETURNING CURRENT_TIME IS NULL, sku"
    assert await returned(shop, made) == [(0, "d")]
    told = shop.direct("SELECT label FROM items WHERE tenant = 1 AND sku IN ('a', 'd')")
    assert [str(label)[:2] for (label,) in told] == ["20", "20"]


async def test_a_row_that_is_written_and_cannot_be_read_is_not_returned(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    create = "INSERT INTO orders (id, customer, status) VALUES (20, {}, 'open')"
    assert await shop.written(clerk, create.format(300)) == 1
    before = shop.dump()
    for sql in (
        create.format(300).replace("20", "21") + " RETURNING id",
        "UPDATE orders SET customer = 300 WHERE id = 10 RETURNING id",
        "UPDATE orders SET customer = 300 WHERE id = 10",
    ):
        assert (await shop.denial(clerk, sql)).code == "row_out_of_scope", sql
    blind = await shop.session("blind-bot", tenant="1")
    assert (await shop.denial(blind, "INSERT INTO items (sku) VALUES ('n') RETURNING sku")).code == "action_not_granted"
    assert (await shop.denial(blind, "INSERT INTO tags (word) VALUES ('n') RETURNING word")).code == "field_not_granted"
    assert shop.dump() == before
    assert await shop.written(blind, "INSERT INTO items (sku) VALUES ('n')") == 1


async def test_ceilings_hold_for_what_a_write_returns(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = shop.dump()
    wide = "UPDATE items SET label = ? WHERE sku = 'a' RETURNING " + ", ".join(
        f"sku AS c{n}, ? AS d{n}" for n in range(8)
    )
    assert (await shop.denial(clerk, wide, "x", *(["y" * 600] * 8))).code == "bytes_exceeded"
    everything = "UPDATE orders SET status = 'open' WHERE id < 13 RETURNING id"
    assert (await shop.denial(clerk, everything)).code == "batch_exceeded"
    assert shop.dump() == before
    assert await shop.written(clerk, "UPDATE orders SET status = 'open' WHERE id < 12 RETURNING id") == 2


REFUSED = [
    "UPDATE items SET amount = 1 RETURNING note",
    "UPDATE items SET amount = 1 RETURNING items.note",
    "UPDATE items SET amount = 1 RETURNING (SELECT note FROM items)",
    "UPDATE items SET amount = 1 RETURNING (SELECT word FROM hidden)",
    "UPDATE items SET amount = 1 RETURNING (SELECT 1)",
    "UPDATE items SET amount = 1 RETURNING count(*)",
    "UPDATE items SET amount = 1 RETURNING max(sku)",
    "UPDATE items SET amount = 1 RETURNING row_number() OVER ()",
    "UPDATE items SET amount = 1 RETURNING rowid",
    "UPDATE items SET amount = 1 RETURNING hidden.word",
    "UPDATE items SET amount = 1 RETURNING *, load_extension('x')",
    "DELETE FROM orders RETURNING note",
    "DELETE FROM hidden RETURNING word",
    "DELETE FROM orders WHERE note LIKE 'C%' RETURNING id",
    "INSERT INTO items (sku) VALUES ('x') RETURNING note",
    "INSERT INTO items (sku, note) VALUES ('x', 'y') RETURNING sku",
    "WITH x AS (UPDATE items SET amount = 1 RETURNING note) SELECT * FROM x",
    "UPDATE items SET amount = 1 FROM hidden WHERE hidden.id = items.amount",
    "UPDATE items SET label = hidden.word FROM hidden",
    "UPDATE items SET label = i.note FROM items AS i",
    "UPDATE items SET label = x.note FROM (SELECT * FROM items) AS x",
    "UPDATE items SET amount = 1 FROM prices JOIN hidden ON true",
    "UPDATE items SET amount = 1 FROM prices RIGHT JOIN tags ON true",
    "UPDATE items SET amount = 1 FROM prices NATURAL JOIN items",
    "UPDATE items SET amount = 1 FROM prices JOIN prices AS p USING (sku)",
    "UPDATE items SET amount = 1 FROM (SELECT items.note FROM prices) AS x",
    "UPDATE items, hidden SET items.amount = 1",
    "UPDATE hidden SET word = 'x' FROM items",
    "INSERT INTO hidden (word) VALUES ('x') ON CONFLICT DO NOTHING",
    "INSERT INTO items (sku, amount) VALUES ('z', 1) ON CONFLICT DO NOTHING",
    "INSERT INTO items (sku, amount) VALUES ('z', 1) ON CONFLICT (sku) DO NOTHING",
    "INSERT INTO orders (id, customer) VALUES (13, 1) ON CONFLICT (id) DO NOTHING",
    "INSERT INTO orders (id, customer) VALUES (13, 1) ON CONFLICT (id) DO UPDATE SET status = 'x'",
    "INSERT INTO items (sku, amount) VALUES ('a', 1) ON CONFLICT (tenant, sku) DO UPDATE SET label = items.note",
    "INSERT INTO items (sku, amount) VALUES ('a', 1) ON CONFLICT (tenant, sku) DO UPDATE SET label = excluded.note",
    "INSERT INTO items (sku, amount) VALUES ('a', 1) ON CONFLICT (tenant, sku) DO UPDATE SET note = 'x'",
    "INSERT INTO items (sku, amount) VALUES ('a', 1) ON CONFLICT (tenant, sku) DO UPDATE SET sku = 'x'",
    "INSERT INTO items (sku) VALUES ('a') ON CONFLICT (tenant, sku) DO UPDATE SET amount = 1 WHERE note > ''",
    "INSERT INTO items (amount) VALUES (1) ON CONFLICT (tenant, sku) DO NOTHING",
    "INSERT INTO items (sku) VALUES ('a') ON CONFLICT (tenant, lower(sku)) DO NOTHING",
    "INSERT INTO items (sku) VALUES ('a') ON CONFLICT (tenant, sku COLLATE NOCASE) DO NOTHING",
    "INSERT INTO items (sku) VALUES ('a') ON CONFLICT (tenant, sku) WHERE amount > 1 DO NOTHING",
    "INSERT INTO items (sku) VALUES ('a') ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING",
    "INSERT OR IGNORE INTO tags (word) VALUES ('old')",
    "INSERT OR REPLACE INTO tags (word) VALUES ('old')",
    "REPLACE INTO tags (word) VALUES ('old')",
    "INSERT IGNORE INTO tags (word) VALUES ('old')",
    "INSERT INTO tags (word, uses) VALUES ('old', 1) ON DUPLICATE KEY UPDATE uses = 5",
]


async def test_what_reaches_beyond_the_scope_is_refused(shop: Desk, caplog: pytest.LogCaptureFixture) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = shop.dump()
    for sql in REFUSED:
        found = await shop.ask(clerk, sql)
        assert isinstance(found, Denied), f"{sql}: {found}"
        assert leaks(str(found.json())) == [], sql
        told = found.denial
        if (
            any(word in sql for word in ("OR REPLACE", "IGNORE", "ON DUPLICATE"))
            and told.code != "statement_unparsable"
        ):
            assert "conflict of any key" in told.message, sql
    assert shop.dump() == before
    assert caplog.text == ""


TAKEN = {
    "INSERT INTO items (tenant, sku, amount) VALUES ({}, 'z', 1)": ("2", "3"),
    "INSERT INTO items (tenant, sku, amount) SELECT {}, 'z', price FROM prices WHERE price = 3": ("2", "3"),
    "INSERT INTO items (sku, amount) VALUES ({}, -1)": ("'a'", "'fresh'"),
    "INSERT INTO items (sku, amount) VALUES ('fresh', 1), ({}, -1)": ("'a'", "'other'"),
    "INSERT INTO orders (id, customer) VALUES ({}, 300) RETURNING id": ("13", "14", "10", "77"),
    "INSERT INTO orders (id) VALUES ({}) RETURNING id": ("13", "14", "77"),
}
"""Rows that may not be written, whose keys are taken, by rows that are hidden and others, or are not."""


async def test_a_row_outside_of_the_scope_does_not_tell_whether_its_key_is_taken(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = shop.dump()
    for sql, values in TAKEN.items():
        told = [await shop.denial(clerk, sql.format(value)) for value in values]
        assert (told[0].code, len({*told})) == ("row_out_of_scope", 1), sql
    assert (await shop.failure(clerk, "INSERT INTO items (sku, amount) VALUES ('a', 1)")).code == "23505"
    nobody = await shop.session("clerk-bot")
    for key in (10, 77):
        assert (await shop.denial(nobody, f"INSERT INTO orders (id) VALUES ({key})")).code == "row_out_of_scope"
    assert shop.dump() == before
    assert await shop.written(clerk, "INSERT INTO orders (id, customer) VALUES (77, 5), (78, NULL)") == 2
    assert (
        await shop.written(clerk, "INSERT INTO items (sku, amount) SELECT 'w', ? FROM prices WHERE price = 3", 1) == 1
    )


@pytest.mark.parametrize("kind", FILES)
async def test_a_change_that_leaves_the_scope_does_not_tell_whether_its_key_is_taken(kind: str, tmp_path: Path) -> None:
    policy = POLICY.replace("fields: [amount, label]\n", "fields: [tenant, sku, amount, label]\n")
    async with stage(kind, tmp_path, policy, SCRIPT, None) as shop:
        clerk = await shop.session("clerk-bot", tenant="1")
        leaving = "UPDATE items SET tenant = 2, sku = '{}' WHERE sku = 'a'"
        told = [await shop.denial(clerk, leaving.format(sku)) for sku in ("z", "y")]
        assert (told[0].code, told[0]) == ("row_out_of_scope", told[1])
        assert (await shop.failure(clerk, "UPDATE items SET sku = 'b' WHERE sku = 'a'")).code == "23505"
        assert await shop.written(clerk, "UPDATE items SET sku = 'y' WHERE sku = 'a'") == 1


@pytest_asyncio.fixture(params=FILES)
async def file(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with stage(request.param, tmp_path, POLICY, SCRIPT, None) as found:
        yield found


async def test_further_sources_are_of_the_scope(file: Desk) -> None:
    clerk = await file.session("clerk-bot", tenant="1")
    sql = "UPDATE items SET amount = prices.price * 10 FROM prices WHERE prices.sku = items.sku AND items.sku = 'a'"
    assert await file.written(clerk, sql) == 1
    joined = (
        "WITH cheap AS (SELECT sku FROM prices WHERE price < 5) UPDATE items AS i SET label = t.word"
        " FROM cheap AS c JOIN tags AS t ON t.uses > 1 LEFT JOIN orders AS o ON o.customer = 77"
        " WHERE c.sku = i.sku AND o.id IS NULL AND i.sku = ? RETURNING sku, amount, label"
    )
    assert await returned(file, joined, "a") == [("a", 30, "o***")]
    hidden = "UPDATE items SET amount = 1 FROM orders AS o WHERE o.status LIKE 'CANARY%'"
    assert await file.written(clerk, hidden) == 0
    assert file.direct("SELECT tenant, sku, amount, label FROM items WHERE sku = 'a' ORDER BY tenant") == [
        (1, "a", 30, "old"),
        (2, "a", 7700001, "CANARY_LABEL_A"),
    ]
    before = file.dump()
    outside = "UPDATE items SET amount = 0 - p.price FROM prices AS p WHERE p.sku = items.sku"
    assert (await file.denial(clerk, outside)).code == "row_out_of_scope"
    assert file.dump() == before


async def test_a_row_that_several_sources_meet_is_written_once(file: Desk) -> None:
    clerk = await file.session("clerk-bot", tenant="1")
    sql = "UPDATE items SET amount = p.price FROM prices AS p, tags WHERE p.sku = items.sku"
    assert await file.written(clerk, sql) == 2
    assert file.direct("SELECT sku, amount FROM items WHERE tenant = 1 ORDER BY 1") == [("a", 3), ("b", 4), ("c", 2000)]


async def test_an_insert_meets_visible_rows_alone(file: Desk) -> None:
    clerk = await file.session("clerk-bot", tenant="1")
    nothing = (
        "INSERT INTO items (tenant, sku, amount) VALUES (1, 'a', 1), (1, 'n', 2) ON CONFLICT (tenant, sku) DO NOTHING"
    )
    assert await file.written(clerk, nothing) == 1
    assert await returned(file, nothing.replace("'n'", "'m'") + " RETURNING sku, amount") == [("m", 2)]
    count = "INSERT INTO items (sku, amount, label) VALUES ('a', ?, 'x'), ('p', 9, 'pears') ON CONFLICT (tenant, sku)"
    sql = count + " DO UPDATE SET amount = items.amount + excluded.amount RETURNING sku, amount, label"
    assert await returned(file, sql, 10) == [("a", 15, "a***"), ("p", 9, "p***")]
    where = count + " DO UPDATE SET amount = 1, label = excluded.label WHERE amount < excluded.amount RETURNING sku"
    assert await returned(file, where, 2) == []
    assert await returned(file, where, 200) == [("a",)]
    source = (
        "WITH more AS (SELECT sku, price FROM prices WHERE price < 9) INSERT INTO items AS i (sku, amount)"
        " SELECT sku, price FROM more WHERE price > 1 ON CONFLICT (tenant, sku)"
        " DO UPDATE SET amount = i.amount + excluded.amount"
    )
    assert await file.written(clerk, source) == 2
    assert (
        await file.written(clerk, "INSERT INTO tags (word, uses) VALUES ('new', 5), ('x', 1) ON CONFLICT DO NOTHING")
        == 1
    )
    assert file.direct("SELECT tenant, sku, amount, label FROM items ORDER BY 1, 2") == [
        (1, "a", 4, "x"),
        (1, "b", 11, "beans"),
        (1, "c", 2000, "corn"),
        (1, "m", 2, None),
        (1, "n", 2, None),
        (1, "p", 9, "pears"),
        (2, "a", 7700001, "CANARY_LABEL_A"),
        (2, "z", 7700002, "CANARY_LABEL_Z"),
    ]


async def test_an_insert_that_would_meet_or_write_rows_beyond_the_scope_does_nothing(file: Desk) -> None:
    clerk = await file.session("clerk-bot", tenant="1")
    before = file.dump()
    up = " ON CONFLICT (tenant, sku) DO UPDATE SET amount = excluded.amount"
    told: set[str] = set()
    for tenant in ("2", "3", "NULL"):  # of another tenant, whether there is such a row or not
        for action in (up, " ON CONFLICT (tenant, sku) DO NOTHING"):
            sql = f"INSERT INTO items (tenant, sku, amount) VALUES ({tenant}, 'z', 1){action}"
            told.add(str(await file.denial(clerk, sql)))
    assert len(told) == 1
    for sql in (
        f"INSERT INTO items (sku, amount) VALUES ('a', -1){up}",
        f"INSERT INTO items (sku, amount) VALUES ('fresh', -1){up}",
        f"INSERT INTO items (sku, amount) VALUES ('c', 1){up}",  # visible, and not to be updated
        f"INSERT INTO items (sku, amount) VALUES ('a', 2), ('c', 1){up} RETURNING sku",
    ):
        found = await file.denial(clerk, sql)
        assert (found.code, leaks(str(found))) == ("row_out_of_scope", []), sql
    twice = f"INSERT INTO items (sku, amount) VALUES ('{{0}}', 1), ('{{0}}', 2){up}"
    for sku in ("a", "fresh"):
        assert (await file.failure(clerk, twice.format(sku))).code == "21000"
    many = "INSERT INTO items (sku, amount) VALUES ('a', 1), ('b', 2), ('d', 3), ('e', 4)"
    assert (await file.denial(clerk, many + up)).code == "batch_exceeded"
    assert (
        await file.failure(clerk, "INSERT INTO tags (word, uses) VALUES ('x', 1) ON CONFLICT (uses) DO NOTHING")
    ).code == "42000"
    nobody = await file.session("clerk-bot")
    assert (
        await file.denial(nobody, f"INSERT INTO items (sku, amount) VALUES ('z', 1){up}")
    ).code == "row_out_of_scope"
    blind = await file.session("blind-bot", tenant="1")
    for sql in (
        "INSERT INTO tags (word) VALUES ('old') ON CONFLICT DO NOTHING",
        "INSERT INTO tags (word) VALUES ('old') ON CONFLICT (word) DO NOTHING",
        "INSERT INTO items (sku) VALUES ('z') ON CONFLICT (tenant, sku) DO NOTHING",
    ):
        assert (await file.denial(blind, sql)).code == "statement_not_allowed", sql
    assert file.dump() == before


async def test_a_key_that_folds_texts_tells_nothing(tmp_path: Path) -> None:
    """Under this key the tenant `acorn` meets a row of the tenant `Acorn`."""
    script = SCRIPT.replace("tenant INTEGER, sku TEXT", "tenant TEXT COLLATE NOCASE, sku TEXT COLLATE NOCASE")
    async with stage("sqlite", tmp_path, POLICY, script.replace("(2, 'z'", "('Acorn', 'z'"), None) as shop:
        acorn = await shop.session("clerk-bot", tenant="acorn")
        before = shop.dump()
        for sku in ("z", "y"):
            sql = f"INSERT INTO items (sku, amount) VALUES ('{sku}', 1) ON CONFLICT (tenant, sku) DO NOTHING"
            assert (await shop.failure(acorn, sql)).code == "0A000"
        assert shop.dump() == before


async def test_a_key_that_folds_texts_is_met_as_it_folds_them(tmp_path: Path) -> None:
    script = SCRIPT.replace("word TEXT PRIMARY KEY", "word TEXT COLLATE NOCASE PRIMARY KEY")
    async with stage("sqlite", tmp_path, POLICY, script, None) as shop:
        clerk = await shop.session("clerk-bot", tenant="1")
        sql = "INSERT INTO tags (word, uses) VALUES ('OLD', 9) ON CONFLICT (word) DO UPDATE SET uses = excluded.uses"
        assert await shop.written(clerk, sql) == 1
        assert shop.direct("SELECT word, uses FROM tags ORDER BY 1") == [("new", 1), ("old", 9)]
        assert (await shop.failure(clerk, sql.replace("9)", "9), ('old', 8)"))).code == "21000"


async def test_lists_of_a_person_s_claims_are_matched_in_sqlite(tmp_path: Path) -> None:
    policy = POLICY.replace("rows: {customer: {under: 100}}", "rows: {customer: [$user.customers]}")
    async with stage("sqlite", tmp_path, policy, SCRIPT, None) as shop:
        found = await shop.gateway.opener.open(
            Wanted(agent="clerk-bot", user=User("ada", claims={"customers": (1, 200)}), tenant="1")
        )
        assert isinstance(found, Opened), found
        assert await shop.rows(found.live, "SELECT id FROM orders ORDER BY 1") == [(10,), (12,), (13,)]


def test_every_function_over_several_rows_is_known_as_one() -> None:
    """RETURNING evaluates expressions as a query would: an aggregate would make one row of several."""
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = connection.execute("SELECT name, narg FROM pragma_function_list WHERE type IN ('a', 'w')").fetchall()
    windows = {"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"}
    windows |= {"first_value", "last_value", "nth_value"}
    for name, arguments in rows:
        if name in SQLite.functions and name not in windows:
            assert SQLiteWriting().is_aggregate(name, max(arguments, 1)), name
    with duckdb.connect(":memory:") as database:
        listed = database.execute("SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'")
        for (name,) in listed.fetchall():
            if name in DuckDB.functions:
                assert DuckDBWriting().is_aggregate(name, 1), name


async def test_no_answer_holds_more_than_the_gateway_does(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    monkeypatch.setattr("bailiwick.mounts.sql.results.largest_answer", 40)
    found = await shop.ask(clerk, "SELECT id, status FROM orders ORDER BY id")
    assert isinstance(found, Result)
    assert found.ended is not None
    assert "40 bytes that the gateway holds" in found.ended.message
    assert found.rows
    assert found.size <= 40
    assert await shop.rows(clerk, "SELECT id FROM orders WHERE id = 10") == [(10,)]
    before = shop.dump()
    wide = "UPDATE orders SET status = 'open' WHERE id = 10 RETURNING 'something that is longer than these forty bytes'"
    assert "holds of one" in (await shop.denial(clerk, wide)).message
    assert shop.dump() == before
