"""A MariaDB server behind a whole gateway: what is read, what is written, what is refused, what never leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from bailiwick.errors import BackendError
from bailiwick.mounts.sql.results import Denied, Failed, Result
from tests.engines.mariadb_rig import MariaDesk, maria_desk
from tests.support.canary import leaks
from tests.support.mariadb import MariaDB

HERE = Path(__file__).parent
pytestmark = pytest.mark.xdist_group("mariadb")


@pytest_asyncio.fixture
async def shop(mariadb: MariaDB, tmp_path: Path) -> AsyncGenerator[MariaDesk]:
    policy, script = (HERE / "maria_shop.yaml").read_text(), (HERE / "maria_shop.sql").read_text()
    async with maria_desk(mariadb, tmp_path, policy, script) as found:
        yield found


async def test_reads_hold_the_scope_and_nothing_else(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    found = await shop.ask(clerk, "SELECT * FROM customers ORDER BY id")
    assert isinstance(found, Result), found
    assert [name for name, _ in found.columns] == ["id", "tenant", "name", "email", "phone", "born", "balance", "vip"]
    assert found.rows == (
        (1, "acorn", "Ann", "a***@mail.example", "**********4567", "1991-01-01", 1200, True),
        (2, "acorn", "Bob", "b***@mail.example", "****0100", "1990-01-01", 100, False),
    )
    assert await shop.rows(clerk, "SELECT id FROM orders ORDER BY id") == [(10,), (11,), (14,), (15,)]
    assert await shop.rows(clerk, "SELECT sku, stocked, picture FROM products ORDER BY sku") == [
        ("a-1", True, "\\x00ff"),
        ("b-2", False, None),
    ]
    assert await shop.rows(clerk, "SELECT customer, total FROM spending ORDER BY 1") == [
        (1, "13.50"),
        (2, "3.00"),
        (200, "7700006.00"),
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
    "SELECT id FROM orders EXCEPT SELECT id FROM shop.orders WHERE status = 'open' ORDER BY 1": [(11,), (14,)],
    "SELECT id, row_number() OVER (PARTITION BY customer ORDER BY id DESC) FROM orders WHERE id < 13 ORDER BY id": [
        (10, 1),
        (11, 1),
    ],
    "SELECT max(length(status)) FROM orders": [(6,)],
    "SELECT sum(id) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING), id DIV 3, id ^ 1 FROM orders LIMIT 1": [("10", 3, 11)],
    "SELECT '2026-01-31' + INTERVAL 1 MONTH, DATE_SUB('2026-01-31', INTERVAL 1 DAY), EXTRACT(YEAR FROM '2026-01-31')": [
        ("2026-02-28", "2026-01-30", 2026)
    ],
    "SELECT IF(id > 10, 'new', 'old') AS age, count(*) FROM orders WHERE NOW() > '2020-01-01' GROUP BY age": [
        ("new", 3),
        ("old", 1),
    ],
    "SELECT CASE WHEN amount > 5 THEN \"much\" ELSE 'lit\\'tle' END FROM shop.orders WHERE shop.orders.id < 12": [
        ("much",),
        ("lit'tle",),
    ],
    "SELECT name FROM `customers` WHERE email LIKE 'b***@%' AND born BETWEEN '1990-01-01' AND '1990-12-31'": [("Bob",)],
    "SELECT o.id FROM (SELECT * FROM orders WHERE amount IS NOT NULL) AS o, products p WHERE p.sku = 'a-1' LIMIT 1": [
        (10,)
    ],
    "SELECT CAST(price * 100 AS SIGNED), concat(upper(name), '!') FROM products ORDER BY price DESC": [
        (225, "BREAD!"),
        (50, "APPLE!"),
    ],
    "SELECT 'abc' = 0, 'a' <=> NULL, 1 OR 0 && 0, 5--1, date('2026-01-31 10:00:00')": [(1, 0, 1, 6, "2026-01-31")],
    "SELECT id FROM orders /* plain */ WHERE status = 'it''s \"quoted\" \\\\' -- here\n OR id = 10 # there": [(10,)],
    "SELECT 1 WHERE 3 IN (SELECT id FROM customers)": [],
    "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]')": [("2",)],
}


async def test_ordinary_queries_work(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    for sql, rows in QUERIES.items():
        assert await shop.rows(clerk, sql) == rows, sql
    assert await shop.rows(clerk, "SELECT id FROM orders WHERE status = ? AND id > ? LIMIT 1", "open", 10) == [(15,)]
    nasty = "\\' OR 1=1 -- \"`\n"
    assert await shop.rows(clerk, "SELECT ?, id FROM orders WHERE id = 10", nasty) == [(nasty, 10)]


ATTACKS = [
    "SELECT ssn FROM customers",
    "SELECT `ssn` FROM customers",
    "SELECT shop.customers.ssn FROM customers",
    "SELECT * FROM payroll",
    "SELECT * FROM shop.payroll",
    "SELECT * FROM mysql.global_priv",
    "SELECT * FROM information_schema.COLUMNS",
    "SELECT * FROM performance_schema.threads",
    "TABLE payroll",
    "SELECT 1 /*!50000 UNION SELECT salary FROM payroll */",
    "SELECT 1 /*M! UNION SELECT salary FROM payroll */",
    "SELECT /*!99999 1 */ 2",
    "SELECT /*+ MAX_EXECUTION_TIME(1) */ 1",
    "SELECT 1 --\x0bx",
    "SELECT 1 /* /* */ , ssn FROM customers -- */",
    "SELECT @a := 1",
    "SELECT @a",
    "SELECT @@version",
    "SELECT @@GLOBAL.datadir",
    "SELECT name INTO @a FROM customers",
    "SELECT name FROM customers INTO OUTFILE 'x'",
    "SELECT name INTO DUMPFILE 'x' FROM customers",
    "SELECT LOAD_FILE('/etc/passwd')",
    "SELECT SLEEP(10)",
    "SELECT BENCHMARK(100000000, md5('x'))",
    "SELECT GET_LOCK('x', 10)",
    "SELECT RELEASE_ALL_LOCKS()",
    "SELECT VERSION()",
    "SELECT USER()",
    "SELECT CURRENT_USER",
    "SELECT DATABASE()",
    "SELECT CONNECTION_ID()",
    "SELECT LAST_INSERT_ID(7)",
    "SELECT NEXTVAL(s)",
    "SELECT UUID()",
    "SELECT REPEAT('x', 100000000)",
    "SELECT `count`(1)",
    "SELECT shop.f(1)",
    "SELECT EXTRACTVALUE('<a/>', concat('~', name)) FROM customers",
    "SELECT UPDATEXML('<a/>', concat('~', name), 1) FROM customers",
    "HANDLER customers OPEN",
    "HANDLER customers READ FIRST",
    "SELECT * FROM customers PROCEDURE ANALYSE()",
    "SELECT * FROM customers FOR UPDATE",
    "SELECT * FROM customers LOCK IN SHARE MODE",
    "SELECT * FROM customers FORCE INDEX (PRIMARY)",
    "SELECT * FROM customers USE INDEX (PRIMARY)",
    "SELECT * FROM customers PARTITION (p0)",
    "SELECT * FROM customers FOR SYSTEM_TIME ALL",
    "SELECT SQL_NO_CACHE name FROM customers",
    "SELECT STRAIGHT_JOIN name FROM customers",
    "SELECT 1 FROM customers GROUP BY name, ssn WITH ROLLUP",
    "SELECT _latin1'a'",
    "SELECT 0x41",
    "SELECT x'41'",
    "SELECT b'1'",
    "SELECT N'a'",
    "SELECT 'a' 'b'",
    "SELECT name COLLATE utf8mb4_bin FROM customers",
    "SELECT BINARY name FROM customers",
    "SELECT CONVERT(name USING latin1) FROM customers",
    "SELECT name FROM customers WHERE ssn REGEXP 'C.*'",
    "SELECT name FROM customers WHERE 'x' RLIKE ssn",
    "SELECT GROUP_CONCAT(name ORDER BY ssn) FROM customers",
    "SELECT GROUP_CONCAT(name SEPARATOR ssn) FROM customers",
    "SELECT GROUP_CONCAT(ssn, '') FROM customers",
    "SELECT GROUP_CONCAT(DISTINCT ssn SEPARATOR '') FROM customers",
    "SELECT TIMESTAMPDIFF(DAY, ssn, NOW()) FROM customers",
    "SELECT TIMESTAMPDIFF(ssn, born, NOW()) FROM customers",
    "SELECT JSON_VALUE(note, '$.a') FROM customers",
    "(SELECT name FROM customers) UNION (SELECT ssn FROM customers)",
    "SELECT `current_date` FROM customers",
    "SELECT CURRENT_ROLE",
    "SELECT name AS n FROM customers WHERE n = 'Ann'",
    "SELECT MATCH(name) AGAINST ('x') FROM customers",
    "SELECT 1; DELETE FROM orders",
    "SELECT 1;;",
    "REPLACE INTO orders (id, customer) VALUES (12, 1)",
    "INSERT INTO orders (id, customer) VALUES (12, 1) ON DUPLICATE KEY UPDATE status = 'open'",
    "INSERT IGNORE INTO orders (id, customer) VALUES (12, 1)",
    "INSERT INTO orders (customer) VALUES (DEFAULT)",
    "INSERT INTO orders (customer) VALUES (1) RETURNING note",
    "INSERT INTO orders VALUES (1)",
    "INSERT INTO orders (customer, status) SELECT id, ssn FROM customers",
    "INSERT INTO payroll (id) VALUES (2)",
    "UPDATE orders, payroll SET orders.status = 'open'",
    "UPDATE orders JOIN payroll SET status = 'open'",
    "UPDATE orders o JOIN customers c ON 1 SET o.status = 'open'",
    "UPDATE orders SET status = 'open' LIMIT 1",
    "UPDATE orders SET status = 'open' ORDER BY id",
    "UPDATE IGNORE orders SET status = 'open'",
    "UPDATE LOW_PRIORITY orders SET status = 'open'",
    "UPDATE orders SET id = 99 WHERE id = 10",
    "UPDATE orders SET tenant = 'birch'",
    "UPDATE orders SET amount = 0",
    "UPDATE customers SET name = 'x'",
    "UPDATE spending SET total = 0",
    "UPDATE nokey SET word = 'x'",
    "DELETE FROM nokey",
    "DELETE orders FROM orders JOIN payroll",
    "DELETE FROM orders USING orders JOIN payroll",
    "DELETE FROM orders LIMIT 1",
    "DELETE QUICK FROM orders",
    "DELETE FROM customers",
    "TRUNCATE orders",
    "DROP TABLE orders",
    "CREATE TABLE x (a INT)",
    "ALTER TABLE orders ADD x INT",
    "SET SESSION sql_mode = 'ANSI_QUOTES'",
    "SET NAMES gbk",
    "SET @a = 1",
    "START TRANSACTION",
    "COMMIT",
    "LOCK TABLES orders WRITE",
    "CALL p()",
    "DO SLEEP(1)",
    "PREPARE s FROM 'SELECT 1'",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE orders",
    "SHOW TABLES",
    "DESCRIBE customers",
    "EXPLAIN SELECT * FROM customers",
    "GRANT ALL ON *.* TO gateway@localhost",
    "KILL 1",
    "USE mysql",
    "FLUSH PRIVILEGES",
    "BEGIN NOT ATOMIC SELECT 1; END",
    "SELECT name FROM customers ORDER BY ssn",
    "SELECT name FROM customers GROUP BY ssn",
    "SELECT IF(ssn, 1, 2) FROM customers",
    "SELECT NOW() + INTERVAL ssn DAY FROM customers",
    "SELECT EXTRACT(YEAR FROM ssn) FROM customers",
    "SELECT name FROM customers JOIN orders USING (ssn)",
    "SELECT (SELECT ssn) FROM customers",
    "SELECT x.ssn FROM (SELECT * FROM customers) AS x",
    "WITH payroll AS (SELECT * FROM payroll) SELECT * FROM payroll",
    "SELECT name FROM \u212aunden",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT 'a\x00b'",
    "SELECT 'a\\",
    "",
]


async def test_attacks_are_denied_without_effect_or_leak(shop: MariaDesk, caplog: pytest.LogCaptureFixture) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    before = shop.dump()
    for sql in ATTACKS:
        found = await shop.ask(clerk, sql)
        assert isinstance(found, Denied), f"{sql[:200]}: {found}"
        assert found.record.startswith("rec_")
        assert leaks(str(found.json())) == []
    assert shop.dump() == before
    assert caplog.text == ""  # a parser's warnings would quote statements


async def test_updates_reach_what_is_read_and_granted(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    assert await shop.written(clerk, "UPDATE orders SET status = 'closed' WHERE id IN (10, 12, 13)") == 1
    changed = "UPDATE orders AS o SET status = lower('OPEN'), customer = o.customer + ? WHERE o.id = 10"
    assert await shop.written(clerk, changed, 1) == 1
    assert await shop.written(clerk, "UPDATE orders SET status = 'open' WHERE id = 10") == 1  # as it was
    assert await shop.written(clerk, "UPDATE orders SET status = 'open' WHERE id = 12") == 0
    with_query = (
        "WITH c AS (SELECT id FROM customers)"
        " UPDATE orders SET status = 'closed' WHERE customer IN (SELECT id FROM c) AND id = 14"
    )
    assert await shop.written(clerk, with_query) == 1
    assert await shop.written(clerk, "UPDATE products SET price = price * 2 WHERE sku = 'a-1'") == 1
    assert shop.direct("SELECT id, customer, status FROM orders WHERE id IN (10, 12, 13, 14) ORDER BY 1") == [
        (10, 2, "open"),
        (12, 3, "CANARY_ORDER_EVE"),
        (13, 200, "CANARY_ORDER_FAR"),
        (14, 1, "closed"),
    ]
    assert shop.direct("SELECT price FROM products WHERE sku = 'a-1'") == [(1.0,)]
    before = shop.dump()
    for sql, code in {
        "UPDATE orders SET status = 'lost' WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = 'Open' WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = 'open ' WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET customer = 200 WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = NULL WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = 0 WHERE id = 10": "row_out_of_scope",
        "UPDATE orders SET status = 'open'": "batch_exceeded",
    }.items():
        assert (await shop.denial(clerk, sql)).code == code, sql
    too_long = await shop.failure(
        clerk, "UPDATE orders SET status = concat('open', '                        ', 'x') WHERE id = 10"
    )
    assert too_long.code == "22000"
    assert shop.dump() == before


async def test_inserts_are_of_the_tenant_and_checked(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    insert = "INSERT INTO orders (customer, status) VALUES (1, 'open'), (2, ?)"
    assert await shop.written(clerk, insert, "closed") == 2
    assert await shop.written(clerk, "INSERT INTO orders (customer, amount) VALUES (1, 1)") == 1
    assert await shop.written(clerk, "INSERT INTO orders (customer, tenant) SELECT id, tenant FROM customers") == 2
    assert shop.direct("SELECT tenant, customer, status FROM orders WHERE id > 15 ORDER BY id") == [
        ("acorn", 1, "open"),
        ("acorn", 2, "closed"),
        ("acorn", 1, None),
        ("acorn", 1, None),
        ("acorn", 2, None),
    ]
    before = shop.dump()
    for sql in (
        "INSERT INTO orders (customer, tenant) VALUES (1, 'birch')",
        "INSERT INTO orders (customer, tenant) VALUES (1, 'Acorn')",
        "INSERT INTO orders (customer, tenant) VALUES (1, 'acorn ')",
        "INSERT INTO orders (customer) VALUES (200)",
        "INSERT INTO orders (customer) VALUES (1), (NULL)",
    ):
        assert (await shop.denial(clerk, sql)).code == "row_out_of_scope", sql
    failed = await shop.failure(clerk, "INSERT INTO orders (id, customer) VALUES (12, 1)")
    assert (failed.code, leaks(failed.message)) == ("23505", [])
    assert (await shop.failure(clerk, "INSERT INTO orders (customer) VALUES ('1x')")).code == "22000"
    assert shop.dump() == before


async def test_deletes_reach_what_is_read_and_granted(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    assert await shop.written(clerk, "DELETE FROM orders WHERE id > 0") == 1
    assert shop.direct("SELECT id FROM orders ORDER BY id") == [(10,), (12,), (13,), (14,), (15,)]


async def test_a_table_that_does_not_undo_is_not_written(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    before = shop.dump()
    for sql in ("UPDATE careless SET word = 'two'", "INSERT INTO careless (id) VALUES (2)"):
        assert (await shop.failure(clerk, sql)).code == "0A000"
    assert shop.dump() == before
    assert await shop.rows(clerk, "SELECT word FROM careless") == [("one",)]


async def test_a_tenant_is_the_same_by_its_characters_alone(shop: MariaDesk) -> None:
    """The column's own collation takes `Acorn`, `acorn ` and `äcorn` for `acorn`."""
    assert shop.direct("SELECT count(*) FROM customers WHERE tenant = 'acorn'") == [(6,)]
    clerk = await shop.session("clerk-bot", tenant="acorn")
    assert await shop.rows(clerk, "SELECT count(*) FROM customers") == [(2,)]
    nobody = await shop.session("clerk-bot")
    assert await shop.rows(nobody, "SELECT count(*) FROM orders") == [(0,)]
    other = await shop.session("clerk-bot", tenant="birch")
    assert await shop.rows(other, "SELECT id, tenant FROM customers") == [(3, "birch")]
    narrow = await shop.session("narrow-bot", tenant="acorn")
    assert await shop.rows(narrow, "SELECT id FROM orders ORDER BY id") == [(10,), (11,), (15,)]
    assert (await shop.denial(narrow, "SELECT phone FROM customers")).code == "field_not_granted"


FAILING = [
    "9223372036854775807 + id > 0",
    "id * 9223372036854775807 * 9223372036854775807 > 0",
    "exp(id * 1000) > 0",
    "pow(10, id * 400) > 0",
    "(SELECT p.name FROM products p WHERE p.price > id / 1000000) IS NOT NULL",
    "-(id - 9223372036854775807 - 2) > 0",
]
"""Conditions that fail for the values of hidden and visible rows alike."""


async def test_whether_a_hidden_row_is_there_cannot_be_told_by_what_fails(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    for condition in FAILING:
        for hidden in ("id BETWEEN 150 AND 250", "name LIKE 'CANARY%'"):
            sql = f"SELECT id FROM customers WHERE {hidden} AND {condition}"
            assert await shop.rows(clerk, sql) == [], sql
        sql = f"SELECT id FROM customers WHERE id = {{}} AND {condition}"  # MariaDB may put the number in for the name
        told = [
            (type(found), getattr(found, "code", ""))
            for number in (200, 3, 777)
            if (found := await shop.ask(clerk, sql.format(number)))
        ]
        assert len({*told}) == 1, sql
        seen = f"SELECT id FROM customers WHERE id = 1 AND {condition}"
        assert isinstance(await shop.ask(clerk, seen), Failed), seen
    update = (
        "UPDATE orders SET status = 'open' WHERE id = {} AND status = 0"  # compared as numbers: an error in a write
    )
    assert await shop.written(clerk, update.format(13)) == 0
    assert isinstance(await shop.ask(clerk, update.format(10)), Result | Failed)


async def test_ceilings_end_a_result_cleanly_and_say_so(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    found = await shop.ask(clerk, "SELECT o.id FROM orders o, orders p ORDER BY 1")
    assert isinstance(found, Result)
    assert (len(found.rows), found.ended and found.ended.code) == (5, "rows_exceeded")
    wide = await shop.ask(
        clerk, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'words' FROM n"
    )
    assert isinstance(wide, Result)
    assert wide.ended is not None
    assert wide.ended.code == "bytes_exceeded"
    assert 0 < wide.size <= 4000


ENDLESS = "SELECT count(*) FROM " + ", ".join(f"orders o{number}" for number in range(20))


async def test_a_statement_without_end_is_stopped(mariadb: MariaDB, tmp_path: Path) -> None:
    policy = (HERE / "maria_shop.yaml").read_text().replace("timeout: 30s", "timeout: 1s")
    async with maria_desk(mariadb, tmp_path, policy, (HERE / "maria_shop.sql").read_text()) as shop:
        clerk = await shop.session("clerk-bot", tenant="acorn")
        assert (await shop.denial(clerk, ENDLESS)).code == "timeout_exceeded"


async def test_what_nobody_waits_for_any_more_is_stopped(shop: MariaDesk) -> None:
    clerk = await shop.session("clerk-bot", tenant="acorn")
    task = asyncio.create_task(shop.ask(clerk, ENDLESS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await shop.rows(clerk, "SELECT count(*) FROM customers") == [(2,)]


async def test_the_account_is_a_second_layer(mariadb: MariaDB, tmp_path: Path) -> None:
    policy, script = (HERE / "maria_shop.yaml").read_text(), (HERE / "maria_shop.sql").read_text()
    tables = ("customers", "orders", "products", "spending", "nokey", "careless")
    grants = "".join(f"GRANT SELECT ON shop.{table} TO gateway@localhost;" for table in tables)
    async with maria_desk(mariadb, tmp_path, policy, script, grants) as shop:
        clerk = await shop.session("clerk-bot", tenant="acorn")
        assert await shop.rows(clerk, "SELECT name FROM customers ORDER BY 1") == [("Ann",), ("Bob",)]
        assert (await shop.failure(clerk, "DELETE FROM orders WHERE id = 11")).code == "42501"
    with pytest.raises(BackendError, match="privileges on everything"):
        async with maria_desk(mariadb, tmp_path / "more", policy, script, "GRANT FILE ON *.* TO gateway@localhost;"):
            pass
