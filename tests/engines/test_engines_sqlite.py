"""A SQLite file behind a whole gateway: what is read, what is written, what is refused, what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import pytest_asyncio

from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.mounts.sql.results import Denied, Failed, Result
from tests.engines.engines_rig import Desk, answers, desk
from tests.support.canary import leaks

HERE = Path(__file__).parent


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with desk(tmp_path, (HERE / "shop.yaml").read_text(), (HERE / "shop.sql").read_text()) as found:
        yield found


async def test_reads_hold_the_scope_and_nothing_else(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    found = await shop.ask(clerk, "SELECT * FROM customers ORDER BY id")
    assert isinstance(found, Result)
    assert [name for name, _ in found.columns] == ["id", "tenant", "name", "email", "phone", "born", "balance"]
    assert found.rows == (
        (1, 1, "Ann", "a***@mail.example", "**********4567", "1991-01-01", 1200),
        (2, 1, "Bob", "b***@mail.example", "****0100", "1990-01-01", 100),
    )
    assert await shop.rows(clerk, "SELECT id FROM orders ORDER BY id") == [(10,), (11,), (14,), (15,)]
    assert await shop.rows(clerk, "SELECT sku, stocked, picture FROM products ORDER BY sku") == [
        ("a-1", True, "\\x00ff"),
        ("b-2", False, None),
    ]
    assert await shop.rows(clerk, "SELECT customer, total FROM spending ORDER BY 1") == [
        (1, 13.5),
        (2, 3),
        (200, 7700006),
    ]


QUERIES = {
    "SELECT c.name, count(*) AS n FROM customers c JOIN orders o ON o.customer = c.id GROUP BY c.name ORDER BY 1": [
        ("Ann", 3),
        ("Bob", 1),
    ],
    "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders WHERE customer = c.id AND status = 'closed')": [
        ("Bob",)
    ],
    "WITH customers AS (SELECT name FROM customers) SELECT * FROM customers ORDER BY name": [("Ann",), ("Bob",)],
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n": [(1,), (2,), (3,)],
    "SELECT id FROM orders EXCEPT SELECT id FROM main.orders WHERE status = 'open' ORDER BY 1": [(11,), (14,)],
    "SELECT id, row_number() OVER (PARTITION BY customer ORDER BY id DESC) FROM orders WHERE id < 13 ORDER BY id": [
        (10, 1),
        (11, 1),
    ],
    "SELECT sum(amount) FILTER (WHERE status = 'open'), max(length(status)) FROM orders": [(9.5, 6)],
    "SELECT sum(id) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING), floor(sqrt(id)) FROM orders LIMIT 2": [
        (10, 3),
        (21, 3),
    ],
    "SELECT name FROM customers ORDER BY random() LIMIT 0": [],
    "SELECT CASE WHEN amount > 5 THEN 'much' ELSE 'little' END FROM main.orders WHERE main.orders.id = 10": [("much",)],
    "SELECT name FROM customers WHERE email LIKE 'b***@%' AND born BETWEEN '1990-01-01' AND '1990-12-31'": [("Bob",)],
    "SELECT o.id FROM (SELECT * FROM orders WHERE amount IS NOT NULL) AS o, products p WHERE p.sku = 'a-1' LIMIT 1": [
        (10,)
    ],
    "SELECT CAST(price * 100 AS INTEGER), upper(name) || '!' FROM products ORDER BY price DESC": [
        (225, "BREAD!"),
        (50, "APPLE!"),
    ],
    "SELECT id FROM orders JOIN (SELECT id AS customer FROM customers) USING (customer) ORDER BY 1 LIMIT 2 OFFSET 1": [
        (11,),
        (14,),
    ],
    "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]')": [(2,)],
    "SELECT 1 WHERE 3 IN (SELECT id FROM customers)": [],
}


async def test_ordinary_queries_work(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    for sql, rows in QUERIES.items():
        assert await shop.rows(clerk, sql) == rows, sql


ATTACKS = [
    "SELECT ssn FROM customers",
    'SELECT "ssn" FROM customers',
    "SELECT customers.ssn FROM customers",
    "SELECT * FROM payroll",
    "SELECT * FROM main.payroll",
    "SELECT * FROM temp.customers",
    "SELECT rowid FROM customers",
    "SELECT _rowid_ FROM customers",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM pragma_table_info('customers')",
    "SELECT * FROM json_each('[1]')",
    "SELECT note -> '$.a' FROM customers",
    "SELECT 1 FROM customers WHERE name ->> ssn = 'x'",
    "SELECT ssn AS n FROM customers WHERE n = 'Ann'",
    "SELECT name AS n FROM customers WHERE n || ssn = 'Ann'",
    "SELECT name AS n FROM orders WHERE (SELECT n) = 'Ann'",
    'SELECT "current_date" FROM payroll',
    "SELECT customers.current_date FROM customers",
    "VALUES ((SELECT ssn FROM customers))",
    "VALUES (1) ORDER BY ssn",
    "SELECT * FROM customers, (VALUES (ssn)) AS v",
    "WITH v(a) AS (VALUES ((SELECT salary FROM payroll))) SELECT a FROM v",
    "SELECT * FROM dbstat",
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT bw_hash(name, 'text') FROM customers",
    "SELECT randomblob(100000000)",
    "SELECT sqlite_version()",
    "ATTACH 'x.db' AS x",
    "PRAGMA table_info(customers)",
    "VACUUM INTO 'copy.db'",
    "CREATE TABLE x (a)",
    "CREATE TEMP TRIGGER t AFTER INSERT ON orders BEGIN SELECT 1; END",
    "DROP TABLE orders",
    "BEGIN",
    "SELECT 1; DELETE FROM orders",
    "EXPLAIN SELECT * FROM customers",
    "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
    "INSERT INTO payroll (salary) VALUES ('x')",
    "INSERT OR REPLACE INTO orders (id, customer) VALUES (12, 1)",
    "INSERT INTO orders (id, customer) VALUES (12, 1) ON CONFLICT DO NOTHING",
    "INSERT INTO orders (customer, status) SELECT id, ssn FROM customers",
    "UPDATE orders SET status = (SELECT ssn FROM customers)",
    "UPDATE orders SET status = 'open' FROM payroll",
    "UPDATE orders SET status = 'open' RETURNING *",
    "UPDATE orders SET rowid = 1",
    "UPDATE customers SET name = 'x'",
    "UPDATE orders SET amount = 0",
    "DELETE FROM customers",
    "DELETE FROM payroll",
    "UPDATE audited SET what = 'x'",
    "UPDATE spending SET total = 0",
    "SELECT name FROM customers ORDER BY ssn",
    "SELECT name FROM customers GROUP BY ssn",
    "SELECT count(*) FILTER (WHERE ssn > 'a') FROM customers",
    "SELECT name FROM customers JOIN orders USING (ssn)",
    "SELECT (SELECT ssn) FROM customers",
    "SELECT x.ssn FROM (SELECT * FROM customers) AS x",
    "WITH RECURSIVE x AS (SELECT ssn FROM customers UNION SELECT ssn FROM x) SELECT * FROM x",
    "SELECT name FROM customers INDEXED BY x",
    "SELECT name COLLATE evil FROM customers",
    "SELECT 'a' MATCH 'b'",
    "SELECT 'a' REGEXP 'b'",
    "SELECT name FROM customers WHERE name = :name",
    "SELECT ?1",
    "SELECT name FROM customers; --",
    "SELECT name FROM \u212aunden",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + "1+" * 12000 + "1",
    "SELECT " + "NOT " * 6000 + "1",
    "SELECT 1 " + "UNION SELECT 1 " * 2000,
    "/*" * 10000,
    "SELECT '" + "x" * 40000 + "'",
    "SELECT 'a\x00b'",
    "",
    ";",
]


async def test_attacks_are_denied_without_effect_or_leak(shop: Desk, caplog: pytest.LogCaptureFixture) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = shop.dump()
    for sql in ATTACKS:
        found = await shop.ask(clerk, sql)
        assert isinstance(found, Denied), f"{sql[:200]}: {found}"
        assert found.record.startswith("rec_")
        assert leaks(str(found.json())) == []
    assert shop.dump() == before
    assert caplog.text == ""  # a parser's warnings would quote statements


async def test_expressions_that_fail_are_not_evaluated_on_hidden_rows(shop: Desk) -> None:
    """A JSON function fails on `{`, which only a hidden row could hold; the twin fails on what is visible."""
    clerk = await shop.session("clerk-bot", tenant="1")
    for hidden in ("CANARY_NAME_FAR", "CANARY_NAME_EVE"):
        value = f"CASE name WHEN '{hidden}' THEN '{{' ELSE '1' END"
        probe = f"SELECT count(*) FROM customers WHERE json_extract({value}, '$') = 1"
        assert await shop.rows(clerk, probe) == [(2,)]
        inner = f"SELECT id FROM orders WHERE (SELECT abs(CASE name WHEN '{hidden}' THEN -9223372036854775808 END)"
        assert await shop.rows(clerk, f"{inner} FROM customers) > 0") == []
    visible = "SELECT count(*) FROM customers WHERE json_extract(CASE name WHEN 'Bob' THEN '{' ELSE '1' END, '$') = 1"
    failed = await shop.failure(clerk, visible)
    assert failed.code == "42000"


FAILING: list[tuple[str, list[str]]] = [
    ("1 IN (SELECT 1 LIMIT ?)", ["x"]),
    ("1 IN (SELECT 1 LIMIT 'x')", []),
    ("1 IN (SELECT 1 LIMIT 1 OFFSET 'x')", []),
    ("name LIKE '%' ESCAPE 'ab'", []),
    ("name LIKE ? ESCAPE ?", ["%", ""]),
    ("abs(-9223372036854775807 - id) > 0", []),
    ("json_extract(name, '$') > 0", []),
    ("name ->> '$.a' > 0", []),
]
"""Conditions that fail wherever they are evaluated."""


async def test_whether_a_hidden_row_is_there_cannot_be_told_by_what_fails(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    for condition, parameters in FAILING:
        for hidden in ("id = 200", "id = 3"):
            sql = f"SELECT id FROM customers WHERE {hidden} AND {condition}"
            assert await shop.rows(clerk, sql, *parameters) == [], sql
        seen = f"SELECT id FROM customers WHERE id = 1 AND {condition}"
        assert isinstance(await shop.ask(clerk, seen, *parameters), Failed), seen


async def test_an_index_does_not_bring_hidden_rows_before_the_fence(shop: Desk) -> None:
    """SQLite evaluates what an index covers first, and the conditions of the scope only once it has the whole row."""
    clerk = await shop.session("clerk-bot", tenant="1")
    for word, is_seen in (("CANARY_ORDER_FAR", False), ("secret", True)):
        fails = f"json_extract(CASE status WHEN '{word}' THEN '{{' ELSE '1' END, '$') = 1"
        found = await shop.ask(clerk, f"SELECT id FROM orders WHERE status BETWEEN 'A' AND 'D' AND {fails}")
        assert isinstance(found, Result)
        assert found.rows == ()
        wide = await shop.ask(clerk, f"SELECT id FROM orders WHERE status >= 'a' AND {fails}")
        assert isinstance(wide, Failed) == is_seen


async def test_updates_reach_what_is_read_and_granted(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    assert await shop.written(clerk, "UPDATE orders SET status = 'closed' WHERE id IN (10, 12, 13)") == 1
    assert (
        await shop.written(
            clerk, "UPDATE orders AS o SET status = lower('OPEN'), customer = o.customer + ? WHERE o.id = 10", 1
        )
        == 1
    )
    assert shop.direct("SELECT id, customer, status FROM orders WHERE id IN (10, 12, 13) ORDER BY 1") == [
        (10, 2, "open"),
        (12, 3, "CANARY_ORDER_EVE"),
        (13, 200, "CANARY_ORDER_FAR"),
    ]
    before = shop.dump()
    for sql, code in {
        "UPDATE orders SET status = 'lost' WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET customer = 200 WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = NULL WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = 'open'": "batch_exceeded",
    }.items():
        assert (await shop.denial(clerk, sql)).code == code, sql
    assert (await shop.failure(clerk, "UPDATE orders SET customer = 77 WHERE id = 10")).code == "23000"
    assert shop.dump() == before


async def test_inserts_are_of_the_tenant_and_checked(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    insert = "INSERT INTO orders (customer, status) VALUES (1, 'open'), (2, ?)"
    assert await shop.written(clerk, insert, "closed") == 2
    assert await shop.written(clerk, "INSERT INTO orders (customer, tenant) SELECT id, tenant FROM customers") == 2
    assert shop.direct("SELECT tenant, customer, status FROM orders WHERE id > 15 ORDER BY id") == [
        (1, 1, "open"),
        (1, 2, "closed"),
        (1, 1, None),
        (1, 2, None),
    ]
    before = shop.dump()
    for sql in (
        "INSERT INTO orders (customer, tenant) VALUES (1, 2)",
        "INSERT INTO orders (customer) VALUES (200)",
        "INSERT INTO orders (customer) VALUES (1), (NULL)",
    ):
        assert (await shop.denial(clerk, sql)).code == "row_out_of_scope", sql
    failed = await shop.failure(clerk, "INSERT INTO orders (id, customer) VALUES (12, 1)")
    assert (failed.code, leaks(failed.message)) == ("23505", [])
    assert shop.dump() == before


async def test_deletes_reach_what_is_read_and_granted(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    assert await shop.written(clerk, "DELETE FROM orders WHERE id > 0") == 1
    assert shop.direct("SELECT id FROM orders ORDER BY id") == [(10,), (12,), (13,), (14,), (15,)]


async def test_what_the_database_would_do_to_other_tables_is_refused(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = shop.dump()
    assert (await shop.failure(clerk, "DELETE FROM products WHERE sku = 'a-1'")).code == "42501"  # would cascade
    assert (await shop.failure(clerk, "DELETE FROM products WHERE sku = 'b-2'")).code == "42501"
    assert shop.dump() == before
    assert await shop.written(clerk, "DELETE FROM shelves WHERE id = 1") == 1
    assert await shop.written(clerk, "UPDATE products SET price = price * 2 WHERE sku = 'a-1'") == 1
    assert (await shop.failure(clerk, "UPDATE keyed SET word = 'x'")).code == "42000"


async def test_denies_take_rows_and_fields_away(shop: Desk) -> None:
    narrow = await shop.session("narrow-bot", tenant="1")
    assert await shop.rows(narrow, "SELECT id FROM orders ORDER BY id") == [(10,), (11,), (15,)]
    assert (await shop.denial(narrow, "SELECT phone FROM customers")).code == "field_not_granted"
    assert await shop.rows(narrow, "SELECT name FROM customers WHERE id = 1") == [("Ann",)]


async def test_a_session_without_a_tenant_or_of_another_sees_others_rows(shop: Desk) -> None:
    nobody = await shop.session("clerk-bot")
    assert await shop.rows(nobody, "SELECT count(*) FROM orders") == [(0,)]
    other = await shop.session("clerk-bot", tenant="2")
    assert await shop.rows(other, "SELECT id, tenant FROM customers") == [(3, 2)]


async def test_ceilings_end_a_result_cleanly_and_say_so(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    found = await shop.ask(clerk, "SELECT o.id FROM orders o, orders p ORDER BY 1")
    assert isinstance(found, Result)
    assert (len(found.rows), found.ended and found.ended.code) == (5, "rows_exceeded")
    told = found.json()["ended"]
    assert isinstance(told, dict)
    assert told["allowed"] == "results of up to 5 rows"
    wide = await shop.ask(
        clerk, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'some words' FROM n"
    )
    assert isinstance(wide, Result)
    assert wide.ended is not None
    assert wide.ended.code == "bytes_exceeded"
    assert 0 < wide.size <= 4000
    assert found.csv().splitlines() == ["id", *(str(row[0]) for row in found.rows)]
    exact = await shop.ask(clerk, "SELECT id FROM orders LIMIT 5")
    assert isinstance(exact, Result)
    assert exact.ended is None


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


async def test_a_statement_without_end_is_stopped(tmp_path: Path) -> None:
    policy = (HERE / "shop.yaml").read_text().replace("timeout: 30s", "timeout: 1s")
    async with desk(tmp_path, policy, (HERE / "shop.sql").read_text()) as shop:
        clerk = await shop.session("clerk-bot", tenant="1")
        assert (await shop.denial(clerk, ENDLESS)).code == "timeout_exceeded"


async def test_what_nobody_waits_for_any_more_is_stopped(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    task = asyncio.create_task(shop.ask(clerk, ENDLESS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await shop.rows(clerk, "SELECT count(*) FROM customers") == [(2,)]


async def test_everything_is_on_record(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    read = await shop.ask(clerk, "SELECT name FROM customers WHERE name = 'Ann'")
    write = await shop.ask(clerk, "UPDATE orders SET status = ? WHERE id = 10", "closed")
    denied = await shop.ask(clerk, "SELECT ssn FROM customers")
    outside = await shop.ask(clerk, "UPDATE orders SET status = 'lost' WHERE id = 10")
    reader = open_reader(shop.gateway.config.ledger)
    records = [cast("dict[str, Any]", orjson.loads(found.body)) for found in reader.query(Query(limit=1000))]
    reader.close()
    by_id = {record["id"]: record for record in records}
    outcomes = {record["refers"]: record for record in records if record.get("refers")}
    call = by_id[read.record]
    assert (call["kind"], call["statement"], call["rows"]) == ("call", "SELECT name FROM customers WHERE name = $1", 1)
    assert (call["actions"], call["fields"]) == (["customers:read"], {"customers": ["name"]})
    intent = by_id[write.record]
    assert (intent["kind"], intent["actions"]) == ("intent", ["orders:update", "orders:read"])
    assert (outcomes[write.record]["rows"], outcomes[write.record].get("code", "")) == (1, "")
    assert (by_id[denied.record]["decision"], by_id[denied.record]["code"]) == ("deny", "field_not_granted")
    assert outcomes[outside.record]["code"] == "row_out_of_scope"


async def test_an_ended_session_does_nothing_more(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    await shop.gateway.sessions.end(clerk.session.id, "REVOKED", "revoked", "test")
    assert (await shop.denial(clerk, "SELECT 1")).code == "session_revoked"


async def test_parameters_are_values_of_the_statement(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    sql = "SELECT ?, name, ? FROM customers WHERE id IN (?) LIMIT ?"
    assert await shop.rows(clerk, sql, "x' OR 1=1 --", None, 2, 1) == [("x' OR 1=1 --", "Bob", None)]
    assert "4 parameters" in (await shop.denial(clerk, sql, 1)).message
    assert "neither text" in (await shop.denial(clerk, "SELECT ?", [1])).message
    assert answers(await shop.rows(clerk, "SELECT '?' FROM orders WHERE id = ? -- ?", 10)) == [("?",)]


async def test_parameters_may_be_numbered(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    sql = "SELECT $2, name FROM customers WHERE id = $1 OR id = $1 + 0"
    assert await shop.rows(clerk, sql, 2, "x' --") == [("x' --", "Bob")]
    assert await shop.rows(clerk, "SELECT '$1', \"name\" FROM customers WHERE id = 1") == [("$1", "Ann")]
    assert "1 parameters" in (await shop.denial(clerk, "SELECT $1, $1", 1, 2)).message
    for sql in ("SELECT $1, ?", "SELECT $2", "SELECT $1, $3", "SELECT $0", "SELECT $a", "SELECT $1a"):
        assert (await shop.denial(clerk, sql, 1, 2)).code != "internal_error", sql
    assert await shop.rows(clerk, "SELECT id FROM customers WHERE id IN ($1, $2) ORDER BY id", 1, 200) == [(1,)]


async def test_what_a_session_sees_is_described(shop: Desk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    told = shop.mounts.describe(clerk, "shop")
    assert "orders(id bigint, tenant bigint, customer bigint, status text," in told
    assert "ssn" not in told
    assert "payroll" not in told
    assert shop.mounts.names(clerk) == ("shop",)


async def test_what_was_executed_is_on_record_also_when_the_gateway_fails_over_it(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    def outcomes() -> list[str]:
        with closing(open_reader(shop.gateway.config.ledger)) as reader:
            bodies = [cast("dict[str, Any]", orjson.loads(found.body)) for found in reader.query(Query(limit=1000))]
        return [each.get("code", "") for each in bodies if each["kind"] == "call"]

    before = len(outcomes())
    with monkeypatch.context() as patched:
        patched.setattr("bailiwick.mounts.sql.sqlite._read", fails)
        with pytest.raises(ZeroDivisionError):
            await shop.ask(clerk, "SELECT id FROM orders")
    assert outcomes()[before:] == ["internal_error"]
    with monkeypatch.context() as patched:
        patched.setattr("bailiwick.sql.engines.rewrite.query", fails)
        assert (await shop.denial(clerk, "SELECT id, id FROM orders")).code == "internal_error"
    assert outcomes()[before:] == ["internal_error", "internal_error"]
    assert await shop.rows(clerk, "SELECT count(*) FROM orders")
