"""DuckDB, Parquet and CSV files behind a whole gateway: what is read, what is written, what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import duckdb
import pytest
import pytest_asyncio

from bailiwick.gateway.backends.duckdb import INSTANCES, Place
from bailiwick.model.record import JsonValue
from bailiwick.mounts.sql.duckdb_guard import READ_QUERY, refused
from bailiwick.mounts.sql.results import Denied, Failed, Result
from bailiwick.sql.engines.plan import Reached, Step
from tests.engines.duckdb_rig import DuckDesk, make_duckdb
from tests.engines.engines_rig import answers, desk
from tests.support.canary import leaks

HERE = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("duckdb")


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[DuckDesk]:
    policy, script = ((HERE / f"duckdb_shop.{kind}").read_text() for kind in ("yaml", "sql"))
    async with desk(tmp_path, policy, script, make=make_duckdb, kind=DuckDesk) as found:
        yield found


QUERIES: dict[str, list[tuple[JsonValue, ...]]] = {
    "SELECT * FROM customers ORDER BY id": [
        (1, 1, "Ann", "a***@mail.example", "**********4567", "1991-01-01", 1200),
        (2, 1, "Bob", "b***@mail.example", "****0100", "1990-01-01", 100),
    ],
    "SELECT id FROM orders ORDER BY id": [(10,), (11,), (14,), (15,)],
    "SELECT customer, total FROM spending ORDER BY 1": [(1, "13.50"), (2, "3.00"), (200, "7700006.00")],
    "SELECT id, tenant, site FROM visits WHERE id > 2 ORDER BY id": [(4, 1, "north"), (6, 1, "north"), (8, 1, "north")],
    "SELECT * FROM sources.prices ORDER BY sku": [("a-1", 1.5, "2026-01-01"), ("b-2", 2.5, None)],
    "SELECT price, stocked, picture, tags, size, checked, grams, word FROM products ORDER BY sku": [
        (
            0.5,
            True,
            "\\x00ff",
            ["red", "round"],
            {"high": 1, "wide": 2},
            "2025-12-31 22:00:00+00:00",
            str(2**127 - 1),
            "a",
        ),
        (2.25, False, None, None, None, None, 1, None),
    ],
    "FROM orders SELECT count(*)": [(4,)],
    "SELECT status, count(*) FROM orders GROUP BY ALL ORDER BY 1": [("closed", 1), ("open", 2), ("secret", 1)],
    "SELECT status, count(*), grouping(status) FROM orders GROUP BY ROLLUP (status) ORDER BY 2, 1": [
        ("closed", 1, 0),
        ("secret", 1, 0),
        ("open", 2, 0),
        (None, 4, 1),
    ],
    "SELECT count(*) FROM (SELECT id FROM orders GROUP BY GROUPING SETS ((status), CUBE (id)))": [(8,)],
    "SELECT json_extract_string('{\"a\": 7}', '$.a'), sum(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM orders": [
        ("7", 10),
        ("7", 21),
        ("7", 25),
        ("7", 29),
    ],
    "SELECT name FROM customers ORDER BY random() + 1 LIMIT 0": [],
    "SELECT id, rank() OVER (PARTITION BY customer ORDER BY id DESC) AS n FROM orders QUALIFY n = 1 ORDER BY id": [
        (11, 1),
        (15, 1),
    ],
    "WITH customers AS (SELECT name FROM customers) SELECT * FROM customers ORDER BY name": [("Ann",), ("Bob",)],
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n": [(1,), (2,), (3,)],
    "SELECT sum(amount) FILTER (WHERE status = 'open'), max(length(status)), median(amount) FROM orders": [
        ("9.50", 6, "4.00")
    ],
    "SELECT extract(year FROM placed), placed + INTERVAL 1 DAY FROM orders WHERE id = 10": [
        (2026, "2026-01-02 10:00:00")
    ],
    "SELECT lower(name), TRY_CAST(name AS INTEGER), id::varchar FROM customers ORDER BY id": [
        ("ann", None, "1"),
        ("bob", None, "2"),
    ],
    "SELECT c.name, o.id FROM orders o ASOF JOIN customers c ON o.customer >= c.id WHERE o.id < 12 ORDER BY 2": [
        ("Ann", 10),
        ("Bob", 11),
    ],
    "SELECT name FROM customers SEMI JOIN orders ON customers.id = orders.customer ORDER BY 1": [("Ann",), ("Bob",)],
    "SELECT id FROM orders EXCEPT SELECT id FROM main.orders WHERE status = 'open' ORDER BY 1": [(11,), (14,)],
    "SELECT id FROM orders WHERE placed > TIMESTAMP '2026-01-15' AND main.orders.id <> 14 ORDER BY 1": [(11,), (15,)],
    "SELECT name FROM customers c WHERE EXISTS (FROM orders WHERE customer = c.id AND status = 'closed')": [("Bob",)],
    "SELECT string_agg(name, ',' ORDER BY name DESC), 7 // 2, 'a' || 'b' FROM customers": [("Bob,Ann", 3, "ab")],
    "SELECT id FROM orders JOIN (SELECT id AS customer FROM customers) USING (customer) ORDER BY 1 LIMIT 1 OFFSET 1": [
        (11,)
    ],
    "SELECT count(*) FROM orders o, orders p": [(16,)],
    "SELECT '$1', '?', name FROM customers WHERE name = 'ANN'": [("$1", "?", "Ann")],
}


async def test_ordinary_queries_hold_the_scope_and_nothing_else(shop: DuckDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    for sql, rows in QUERIES.items():
        assert await shop.rows(clerk, sql) == rows, sql
    found = await shop.ask(clerk, "SELECT id, name, born, 1.5 AS x, price FROM customers, prices")
    assert isinstance(found, Result)
    assert [kind for _, kind in found.columns] == ["bigint", "text", "date", "numeric(2,1)", "double precision"]
    told = await shop.ask(clerk, "SELECT id IN (SELECT id FROM orders), count(*) OVER () FROM orders WHERE id = 10")
    assert isinstance(told, Result)
    assert told.columns == (("column1", "boolean"), ("count", "bigint"))  # not as DuckDB would title them
    assert await shop.rows(clerk, "SELECT ?::INTEGER + ?", "2", 3) == [(5,)]
    assert await shop.rows(clerk, "SELECT $2::INTEGER + $1, name FROM customers WHERE id = $1", 2, "3") == [(5, "Bob")]
    assert (await shop.denial(clerk, "SELECT $1, ?", 1, 2)).code == "statement_unparsable"
    assert (await shop.denial(clerk, "SELECT $2", 1)).code == "statement_unparsable"
    sql = "SELECT ?, name, ? FROM customers WHERE id IN (?) LIMIT ?"
    assert await shop.rows(clerk, sql, "x' OR 1=1 --", None, 2, 1) == [("x' OR 1=1 --", "Bob", None)]
    other = await shop.session("clerk-bot", tenant="2")
    assert await shop.rows(other, "SELECT id, tenant FROM customers") == [(3, 2)]
    nobody = await shop.session("clerk-bot")
    assert await shop.rows(nobody, "SELECT count(*) FROM orders") == [(0,)]
    narrow = await shop.session("narrow-bot", tenant="1")
    assert await shop.rows(narrow, "SELECT id FROM orders ORDER BY id") == [(10,), (11,), (15,)]
    assert (await shop.denial(narrow, "SELECT phone FROM customers")).code == "field_not_granted"


ATTACKS = [
    "SELECT ssn FROM customers",
    'SELECT "SSN" FROM customers',
    "SELECT customers.ssn FROM customers",
    "SELECT bailiwick.main.customers.ssn FROM customers",
    "SELECT * FROM payroll",
    "SELECT * FROM bailiwick.main.customers",
    "SELECT * FROM bailiwick.main.payroll",
    "SELECT * FROM memory.sources.visits",
    "FROM payroll",
    "TABLE payroll",
    "SELECT rowid FROM customers",
    "SELECT * FROM 'other.csv'",
    'SELECT * FROM "other.csv"',
    "SELECT * FROM 'visits-1.parquet'",
    "SELECT * FROM read_csv('other.csv')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_parquet('visits-*.parquet')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('x.json')",
    "SELECT * FROM parquet_metadata('visits-1.parquet')",
    "SELECT * FROM sniff_csv('other.csv')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_columns",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pragma_table_info('payroll')",
    "SELECT * FROM query('SELECT * FROM bailiwick.payroll')",
    "SELECT * FROM query_table('bailiwick.main.payroll')",
    "SELECT * FROM bailiwick.main.all_pay()",
    "SELECT bailiwick.main.lower('x')",
    "SELECT main.lower('x')",
    "SELECT * FROM range(10)",
    "SELECT * FROM unnest([1, 2])",
    "SELECT unnest(tags) FROM products",
    "SELECT getenv('HOME')",
    "SELECT getvariable('bw_1')",
    "SELECT current_setting('threads')",
    "SELECT current_database()",
    "SELECT nextval('order_ids')",
    "SELECT json_serialize_sql('SELECT 1')",
    "SELECT write_log('x')",
    "SELECT sleep_ms(1000)",
    "SELECT error('x')",
    "SELECT repeat('x', 1000000000)",
    "SELECT lpad('x', 1000000000, 'x')",
    "SELECT format('{:>1000000000}', 1)",
    "SELECT printf('%1000000000d', 1)",
    "SELECT list_transform([1], lambda x: x + 1)",
    "SELECT [x + 1 FOR x IN [1, 2]]",
    "SELECT apply([1], x -> x)",
    "SELECT size.high FROM products",
    "SELECT products.size.high FROM products",
    "SELECT (size).high FROM products",
    "SELECT 'abc'.upper()",
    "SELECT name.upper() FROM customers",
    "SELECT customers FROM customers",
    "SELECT c FROM customers c",
    "SELECT COLUMNS(*) FROM customers",
    "SELECT COLUMNS('.*') FROM customers",
    "SELECT * EXCLUDE (ssn) FROM customers",
    "SELECT c.* EXCLUDE (ssn) FROM customers AS c",
    "SELECT * REPLACE (ssn AS name) FROM customers",
    "SELECT * REPLACE (name AS ssn) FROM customers",
    "SELECT * EXCLUDE (id) FROM payroll",
    "SELECT * EXCLUDE (id) FROM customers NATURAL JOIN orders",
    "SELECT count(* EXCLUDE (id)) FROM customers",
    "SELECT (SELECT * EXCLUDE (ssn) FROM customers)",
    "SELECT id FROM customers WHERE id = ANY (SELECT ssn FROM customers)",
    "SELECT id FROM customers WHERE name SIMILAR TO ssn",
    "SELECT * RENAME (name AS ssn) FROM customers",
    "SELECT * LIKE 's%' FROM customers",
    "SELECT #1 FROM customers",
    "SELECT ssn AS n, n || 'x' FROM customers",
    "SELECT name AS n FROM customers WHERE n || ssn = 'Ann'",
    "SELECT note -> '$.a' FROM customers",
    "SELECT 1 FROM customers WHERE name ->> ssn = 'x'",
    "SELECT (SELECT n) FROM (SELECT name AS x, ssn AS n FROM customers)",
    "SELECT [name, ssn] FROM customers",
    "SELECT {'a': ssn} FROM customers",
    "SELECT list(ssn) FROM customers",
    "SELECT tags[ssn] FROM products, customers",
    "SELECT list_aggregate([1], 'sum')",
    "SELECT list_transform([1], x -> x)",
    "SELECT max(x => 1)",
    "SELECT max(x := 1)",
    "SELECT lower(string := name) FROM customers",
    "INSERT INTO orders (customer, status) VALUES (1, 'open') ORDER BY (SELECT ssn FROM customers)",
    "VALUES ((SELECT ssn FROM customers))",
    "SELECT * FROM (VALUES (1)) AS v(a), (VALUES (ssn)) AS w(b)",
    "SELECT DISTINCT ON (ssn) name FROM customers",
    "SELECT name FROM customers ORDER BY ALL, ssn",
    "SELECT name FROM customers POSITIONAL JOIN payroll",
    "SELECT name FROM customers, LATERAL (SELECT customers.id) AS t",
    "SELECT name FROM customers USING SAMPLE 1",
    "SELECT name FROM customers TABLESAMPLE 10%",
    "SELECT name FROM customers LIMIT 10%",
    "SELECT name FROM customers AT (VERSION => 1)",
    "SELECT name FROM customers AS c(x)",
    "SELECT 1 UNION BY NAME SELECT 2",
    "SELECT name FROM customers ORDER BY ssn",
    "SELECT name FROM customers GROUP BY ssn",
    "SELECT 1 FROM customers GROUP BY ROLLUP (ssn)",
    "SELECT 1 FROM customers GROUP BY CUBE (name, ssn)",
    "SELECT 1 FROM customers GROUP BY GROUPING SETS ((name), (ssn))",
    "SELECT grouping(ssn) FROM customers GROUP BY ROLLUP (name)",
    "SELECT count(*) FILTER (WHERE ssn > 'a') FROM customers",
    "SELECT name FROM customers JOIN orders USING (ssn)",
    "SELECT (SELECT ssn) FROM customers",
    "SELECT CAST(1 AS STRUCT(a INTEGER))",
    "SELECT CAST(ssn AS JSON) FROM customers",
    "SELECT CAST('[]' AS JSON[])",
    "SELECT name COLLATE de FROM customers",
    "SELECT $1",
    "SELECT $name",
    "SELECT EXTRACT(nothing FROM placed) FROM orders",
    "PIVOT customers ON name USING count(*)",
    "UNPIVOT customers ON name INTO NAME n VALUE v",
    "SUMMARIZE customers",
    "DESCRIBE customers",
    "SHOW TABLES",
    "EXPLAIN SELECT * FROM customers",
    "PRAGMA table_info('payroll')",
    "CALL pragma_version()",
    "ATTACH ':memory:' AS x",
    "ATTACH 'x.db'",
    "DETACH bailiwick",
    "USE bailiwick",
    "COPY customers TO 'x.csv'",
    "COPY orders FROM 'other.csv'",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET VARIABLE bw_1 = 1",
    "RESET memory_limit",
    "CREATE TABLE x (a INTEGER)",
    "CREATE MACRO count(x) AS 1",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TEMP VIEW customers AS SELECT 1",
    "DROP TABLE orders",
    "ALTER TABLE orders ADD COLUMN x INTEGER",
    "TRUNCATE orders",
    "VACUUM",
    "CHECKPOINT",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT 1; DELETE FROM orders",
    "MERGE INTO orders USING customers ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO payroll (salary) VALUES ('x')",
    "INSERT INTO orders BY NAME SELECT 1 AS customer",
    "INSERT OR REPLACE INTO orders (id, customer) VALUES (12, 1)",
    "INSERT INTO orders DEFAULT VALUES",
    "INSERT INTO orders (customer, status) SELECT id, ssn FROM customers",
    "UPDATE orders SET status = (SELECT ssn FROM customers)",
    "UPDATE orders SET amount = 0",
    "UPDATE customers SET name = 'x'",
    "UPDATE spending SET total = 0",
    "UPDATE visits SET site = 'x'",
    "DELETE FROM customers",
    "DELETE FROM orders USING payroll WHERE orders.id = payroll.id",
    "DELETE FROM orders USING customers WHERE orders.id = customers.ssn",
    "SELECT name FROM \u212aunden",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + "1+" * 5000 + "1",
    "/*" * 8000,
    "SELECT 'a\x00b'",
    "",
]


async def test_attacks_are_denied_without_effect_or_leak(shop: DuckDesk, caplog: pytest.LogCaptureFixture) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    before = shop.dump()
    for sql in ATTACKS:
        found = await shop.ask(clerk, sql)
        assert isinstance(found, Denied), f"{sql[:200]}: {found}"
        assert found.record.startswith("rec_")
        assert leaks(str(found.json())) == []
    assert shop.dump() == before
    assert caplog.text == ""


FAILING = [
    "CAST(name AS INTEGER) = 1",
    "name = 1",
    "CAST(id + 127 AS TINYINT) > 0",
    "id // (id - id) = 1",
    "id * 9223372036854775807 * 3 > 0",
    "strptime(name, '%Y') IS NOT NULL",
    "regexp_matches(name, name || '[')",
    "date_trunc(name, born) IS NOT NULL",
    "name -> '$.a' IS NOT NULL",
    "CAST(name AS JSON) IS NOT NULL",
]
"""Conditions that fail wherever they are evaluated."""


async def test_whether_a_hidden_row_is_there_cannot_be_told_by_what_fails(shop: DuckDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    for condition in FAILING:
        for hidden in ("id = 200", "id = 3", "name = 'CANARY_NAME_EVE'"):
            fails = f"CASE WHEN {hidden} THEN {condition} ELSE FALSE END"
            for sql in (
                f"SELECT id FROM customers WHERE {fails}",
                f"SELECT id FROM orders WHERE customer IN (SELECT id FROM customers WHERE {fails})",
                f"SELECT 1 FROM prices JOIN customers AS c ON {fails}",
            ):
                assert await shop.rows(clerk, sql) == [], sql
        seen = f"SELECT id FROM customers WHERE CASE WHEN id = 1 THEN {condition} ELSE FALSE END"
        found = await shop.ask(clerk, seen)
        assert isinstance(found, Failed), seen
        assert leaks(found.message) == []


async def test_writes_reach_what_is_read_and_granted(shop: DuckDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    assert await shop.written(clerk, "UPDATE orders SET status = 'closed' WHERE id IN (10, 12, 13)") == 1
    sql = "UPDATE orders AS o SET status = lower('OPEN'), customer = o.customer + ? WHERE o.id = 10"
    assert await shop.written(clerk, sql, 1) == 1
    assert await shop.written(clerk, "INSERT INTO orders (customer, status) VALUES (1, 'open'), (2, ?)", "closed") == 2
    assert await shop.written(clerk, "INSERT INTO orders (customer, tenant) SELECT id, tenant FROM customers") == 2
    assert shop.direct("SELECT id, tenant, customer, status FROM orders WHERE id NOT IN (11, 14, 15) ORDER BY id") == [
        (10, 1, 2, "open"),
        (12, 2, 3, "CANARY_ORDER_EVE"),
        (13, 1, 200, "CANARY_ORDER_FAR"),
        (16, 1, 1, "open"),
        (17, 1, 2, "closed"),
        (18, 1, 1, None),
        (19, 1, 2, None),
    ]
    before = shop.dump()
    for sql, code in {
        "UPDATE orders SET status = 'lost' WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET customer = 200 WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = NULL WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = 'open'": "batch_exceeded",
        "INSERT INTO orders (customer, tenant) VALUES (1, 2)": "row_out_of_scope",
        "INSERT INTO orders (customer) VALUES (200)": "row_out_of_scope",
        "INSERT INTO orders (customer) VALUES (1), (NULL)": "row_out_of_scope",
    }.items():
        assert (await shop.denial(clerk, sql)).code == code, sql
    for sql, code in {
        "INSERT INTO orders (id, customer) VALUES (12, 1)": "23505",
        "INSERT INTO orders (customer, status) VALUES (1, 'much too long for a status')": "23000",
    }.items():
        failed = await shop.failure(clerk, sql)
        assert (failed.code, leaks(failed.message)) == (code, [])
    assert shop.dump() == before
    assert await shop.written(clerk, "DELETE FROM orders WHERE id > 0") == 2
    assert shop.direct("SELECT id FROM orders ORDER BY id") == [(10,), (12,), (13,), (14,), (15,), (16,), (18,), (19,)]


async def test_the_policy_compares_exactly_and_hashes_with_the_key(shop: DuckDesk) -> None:
    named = await shop.session("named-bot", tenant="1")
    assert await shop.rows(named, "SELECT id FROM customers") == []  # `ann` is not `Ann`, whatever the collation says
    clerk = await shop.session("clerk-bot", tenant="1")
    assert await shop.rows(clerk, "SELECT id FROM customers WHERE name = 'ann'") == [(1,)]
    shop.restore("UPDATE customers SET name = 'ann' WHERE id = 1")
    key = shop.gateway.keys.mask
    assert await shop.rows(named, "SELECT id FROM customers") == [(hmac.digest(key, b"1", "sha256").hex(),)]
    assert len(key) <= hashlib.sha256().block_size


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


async def test_ceilings_end_a_result_cleanly_and_a_statement_in_time(shop: DuckDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    found = await shop.ask(clerk, "SELECT o.id FROM orders o, orders p ORDER BY 1")
    assert isinstance(found, Result)
    assert (len(found.rows), found.ended and found.ended.code) == (5, "rows_exceeded")
    wide = await shop.ask(
        clerk,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, 'some words' FROM n",
    )
    assert isinstance(wide, Result)
    assert wide.ended is not None
    assert wide.ended.code == "bytes_exceeded"
    assert 0 < wide.size <= 4000
    task = asyncio.create_task(shop.ask(clerk, ENDLESS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await shop.rows(clerk, "SELECT count(*) FROM customers") == [(2,)]


async def test_a_statement_without_end_is_stopped_and_memory_has_a_bound(tmp_path: Path) -> None:
    policy = (HERE / "duckdb_shop.yaml").read_text().replace("timeout: 30s", "timeout: 2s")
    script = (HERE / "duckdb_shop.sql").read_text()
    async with desk(tmp_path, policy, script, make=make_duckdb, kind=DuckDesk) as shop:
        clerk = await shop.session("clerk-bot", tenant="1")
        assert (await shop.denial(clerk, ENDLESS)).code == "timeout_exceeded"
        assert shop.direct("SELECT current_setting('memory_limit')") == [("488.2 MiB",)]
        assert await shop.rows(clerk, "SELECT count(*) FROM customers") == [(2,)]


DOORS = [
    "SET threads = 8",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SELECT * FROM read_csv('{folder}/other.csv')",
    "SELECT * FROM '{folder}/other.csv'",
    "SELECT * FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/new.csv'",
    "ATTACH '{folder}/new.db' AS x",
    "INSTALL httpfs",
    "CREATE PERSISTENT SECRET s (TYPE s3)",
]


async def test_the_instance_itself_is_locked_up(shop: DuckDesk, tmp_path: Path) -> None:
    """Whatever would get past everything before: DuckDB does none of it."""
    clerk = await shop.session("clerk-bot", tenant="1")
    assert await shop.rows(clerk, "SELECT count(*) FROM prices") == [(2,)]
    assert shop.direct("SELECT count(*) FROM memory.sources.prices") == [(2,)]
    for sql in DOORS:
        with pytest.raises(duckdb.Error):
            shop.direct(sql.format(folder=tmp_path))
    assert not [each for each in os.listdir(tmp_path) if each.startswith("new")]
    place = Place(str(tmp_path / "alone.db"))
    make_duckdb(tmp_path / "alone.db", "CREATE TABLE t (a INTEGER)")
    with INSTANCES.cursor(place) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("INSERT INTO bailiwick.t VALUES (1)")
    with INSTANCES.cursor(Place(str(tmp_path / "alone.db"), writes=True)) as connection:
        connection.execute("INSERT INTO bailiwick.t VALUES (1)")


STEP = Step("", {"bw0_1": Reached("main", "customers", frozenset({"id", "name"}))}, functions=frozenset({"lower"}))
OURS = 'WITH RECURSIVE "bw0_1" AS (SELECT "bw"."name" AS "name" FROM "bailiwick"."main"."customers" AS "bw" OFFSET 0) '


def second_reading(sql: str) -> str:
    with duckdb.connect(":memory:") as connection:
        told = connection.execute(READ_QUERY, [sql]).fetchone()
    assert told is not None
    return refused(str(told[0]), STEP)


BEYOND = {
    OURS + "SELECT * FROM bailiwick.main.customers": "relation",
    OURS + "SELECT * FROM payroll": "relation",
    OURS + "SELECT * FROM 'other.csv'": "relation",
    OURS + "SELECT * FROM read_csv('x')": "TABLE_FUNCTION",
    OURS + "SELECT getenv('x') FROM bw0_1": "function getenv",
    OURS + "SELECT main.lower('x') FROM bw0_1": "of a schema",
    OURS + "SELECT (SELECT max(x) FROM bailiwick.main.payroll AS t(x)) FROM bw0_1": "payroll",
    OURS.replace('"name" AS', '"ssn" AS') + "SELECT 1 FROM bw0_1": "column",
    OURS.replace("customers", "payroll") + "SELECT 1 FROM bw0_1": "payroll",
    OURS.replace('"bw"."name" AS "name"', "*") + "SELECT 1 FROM bw0_1": "`*`",
    OURS.replace('"bw"."name" AS', '"bw"."rowid" AS') + "SELECT 1 FROM bw0_1": "column",
    OURS + "SELECT unnest([1, 2]) FROM bw0_1": "unnest",
    OURS + "SELECT COLUMNS(*) FROM bw0_1": "`*`",
    OURS + "SELECT * EXCLUDE (name) FROM bw0_1": "`*`",
    OURS + "SELECT [x FOR x IN [1]]": "",
    OURS + "SELECT list_transform([1], lambda x: x)": "",
    OURS + "SELECT name::BIT FROM bw0_1": "type",
    OURS + "PIVOT bw0_1 ON name": "",
    OURS + ", bw0_1 AS (SELECT 1) SELECT 1": "",
    OURS + "SELECT * FROM (WITH bw0_1 AS (SELECT 1) SELECT * FROM bw0_1)": "twice",
    OURS + "SELECT name FROM bw0_1 USING SAMPLE 1": "sample",
    "DELETE FROM bailiwick.main.customers": "one query",
    "SELECT 1; SELECT 2": "one query",
}


def test_what_duckdb_reads_otherwise_than_the_plan_is_refused() -> None:
    allowed = (
        OURS + "SELECT lower(name) || 'x', count(*) FROM bw0_1 AS c WHERE c.name LIKE 'A%' GROUP BY ALL ORDER BY 1"
    )
    assert second_reading(allowed) == ""
    for sql, word in BEYOND.items():
        found = second_reading(sql)
        assert found, sql
        assert word in found, (sql, found)


async def test_a_file_put_in_the_place_of_another_is_seen(shop: DuckDesk, tmp_path: Path) -> None:
    clerk = await shop.session("clerk-bot", tenant="1")
    assert await shop.rows(clerk, "SELECT count(*) FROM visits") == [(5,)]
    script = f"COPY (SELECT 100 AS id, 1 AS tenant, 'new' AS site) TO '{tmp_path}/visits-3.parquet'"
    with duckdb.connect(":memory:") as connection:
        connection.execute(script)
    assert answers(await shop.rows(clerk, "SELECT id FROM visits WHERE id > 7")) == [(100,), (8,)]
    with INSTANCES.cursor(Place(str(tmp_path / "shop.db"))) as connection:
        connection.execute("CREATE TABLE memory.main.mark (a INTEGER)")
    INSTANCES.distrust(Place(str(tmp_path / "shop.db")))  # as after a failure within DuckDB
    assert await shop.rows(clerk, "SELECT count(*) FROM visits") == [(6,)]
    assert shop.direct("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'mark'") == [(0,)]
    (tmp_path / "visits-3.parquet").unlink()
    (tmp_path / "visits-3.parquet").symlink_to("/etc/hostname")
    assert await shop.rows(clerk, "SELECT count(*) FROM visits") == [(5,)]
