"""What analysts and models that write SQL usually write: it answers as in a database that holds the scope alone."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import duckdb
import pytest
import pytest_asyncio

from bailiwick.mounts.sql.results import Denied, Result
from tests.engines.engines_rig import Desk, make_database
from tests.engines.mariadb_rig import as_mariadb
from tests.engines.stages import ENGINES, in_duckdb, stage
from tests.support.canary import leaks
from tests.support.mariadb import MariaDB

HERE = Path(__file__).parent
SCRIPT = (HERE / "corpus.sql").read_text()
SCOPE = (HERE / "corpus_scope.sql").read_text()

JSON = """'{"a": {"b": [1, "x"]}, "n": 7}'"""
EVERYWHERE = (
    "SELECT status, count(*) AS n FROM orders GROUP BY status HAVING n > 1 ORDER BY n DESC",
    "SELECT c.name, (SELECT max(o.created_at) FROM orders o WHERE o.customer_id = c.customer_id) FROM customers c",
    "SELECT order_id FROM orders EXCEPT SELECT order_id FROM orders WHERE status = 'pending'",
    "SELECT status FROM orders INTERSECT SELECT status FROM orders WHERE order_id > 90001",
    "SELECT order_id, rank() OVER (PARTITION BY status ORDER BY created_at DESC) FROM orders",
    "SELECT order_id, lag(status, 1) OVER (ORDER BY order_id) FROM orders",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
    "SELECT substr(name, 1, instr(name, ' ') - 1) FROM customers",
    "SELECT CASE WHEN status IN ('shipped', 'returned') THEN 'done' ELSE 'open' END AS s,"
    " count(*) FROM orders GROUP BY s",
    "SELECT DISTINCT t.status FROM tickets AS t LEFT JOIN customers AS c ON c.customer_id = t.customer_id ORDER BY 1",
    "SELECT count(DISTINCT status), avg(order_id), 1.0 * count(*) / 3 FROM orders",
    "SELECT current_date IS NOT NULL, current_timestamp > '2020-01-01', CURRENT_TIME IS NULL",
    "SELECT order_id FROM orders WHERE created_at < CURRENT_TIMESTAMP ORDER BY order_id",
    "SELECT t1.subject FROM tickets AS t1 INNER JOIN tickets AS t2 ON t1.ticket_id = t2.ticket_id + 1",
    "SELECT title FROM kb_articles WHERE body LIKE '%order%' OR body LIKE '%return%' ORDER BY title LIMIT 2",
    "SELECT cast(order_id AS CHAR) FROM orders WHERE order_id BETWEEN 90001 AND 90002",
)
USUAL: dict[str, tuple[str, ...]] = {
    "sqlite": (
        f"SELECT {JSON} -> '$.a', {JSON} ->> '$.a.b[1]', {JSON} -> 'a' -> 'b' ->> 0, {JSON} ->> 'n' + 1",
        f"SELECT ticket_id"
        f" FROM tickets WHERE json_object('s', status) ->> 's' = 'open' OR {JSON} ->> 'n' || 'x' = '8x'",
        f"SELECT json_set({JSON}, '$.n', 8), json_remove({JSON}, '$.a'), json_patch({JSON},"
        f" '{{\"n\": 1}}'), json_quote('a')",
        f"SELECT max({JSON} -> 'n'), json_group_array(json_object('id', ticket_id) -> 'id') FROM tickets",
        "SELECT date('now') = CURRENT_DATE, length(CURRENT_TIMESTAMP), length(current_time)",
        "VALUES (1, 'a'), (2, 'b')",
        "SELECT column1, column2 FROM (VALUES (1, 'a'), (2, 'b')) AS v",
        "WITH v(a, b) AS (VALUES (1, 'a'), (2, 'b')) SELECT a FROM v WHERE b = 'b'",
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
        "SELECT order_id % 10 AS last FROM orders WHERE last > 2",
        "SELECT lower(status) AS s, count(*) AS n FROM orders WHERE s <> 'pending' GROUP BY s HAVING n > 0",
        "SELECT ticket_id AS status FROM tickets WHERE status = 'open'",
        "SELECT strftime('%Y-%m', created_at) AS month, count(*) FROM orders GROUP BY month ORDER BY month",
        "SELECT julianday(max(created_at)) - julianday(min(created_at)) FROM orders",
        "SELECT printf('%.2f', 3.14159), iif(1 > 2, 'a', 'b'), CAST('3.5' AS REAL), CAST(order_id AS REAL) FROM orders",
        "SELECT group_concat(status, '; '), total(order_id), group_concat(DISTINCT status) FROM orders",
        "SELECT name || ' <' || email || '>' FROM customers WHERE name = 'xenia marsh' COLLATE NOCASE",
        "SELECT assignee FROM tickets ORDER BY assignee DESC NULLS LAST, ticket_id",
        "SELECT CAST(SUM(CASE WHEN status = 'shipped' THEN 1 ELSE 0 END) AS REAL) * 100 / COUNT(*) FROM orders",
        "SELECT STRFTIME('%Y', CURRENT_TIMESTAMP) - STRFTIME('%Y', created_at) > 0 FROM orders",
        "SELECT date(created_at, '+1 month', 'start of month') FROM orders WHERE date(created_at) >= '2026-02-01'",
        "SELECT o.* FROM orders AS o, customers AS c WHERE o.customer_id == c.customer_id AND o.status != 'pending'",
        "SELECT * FROM orders CROSS JOIN (SELECT 1 AS one) ORDER BY order_id DESC LIMIT 1, 2",
        "SELECT order_id FROM orders WHERE (customer_id, status) IN (SELECT customer_id, 'shipped' FROM customers)",
        "SELECT status, sum(order_id) FILTER (WHERE order_id > 90001) FROM orders GROUP BY 1 ORDER BY 2 DESC",
        "SELECT name FROM customers WHERE name GLOB 'X*' AND name NOT LIKE '%z%' AND region ISNULL = 0",
        "SELECT order_id, sum(order_id) OVER (ORDER BY order_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders",
        "SELECT max(created_at), status FROM orders",
        "SELECT `name`, [region] FROM customers",
        "SELECT count(*) FROM orders WHERE status IS NOT 'pending' AND typeof(order_id) = 'integer'",
        "SELECT replace(status, 'p', 'P'), upper(status), trim('  x '), round(2.567, 1), abs(-3),"
        " coalesce(NULL, 2) FROM orders",
        "SELECT a.order_id FROM orders a JOIN orders b USING (status) WHERE a.order_id < b.order_id",
        "SELECT status FROM orders UNION SELECT status FROM tickets ORDER BY status",
        "SELECT * FROM (SELECT status, row_number() OVER (PARTITION BY status ORDER BY order_id) AS rn FROM orders)"
        " WHERE rn = 1",
        "SELECT name FROM customers WHERE EXISTS (SELECT *"
        " FROM orders WHERE orders.customer_id = customers.customer_id)",
        "SELECT unixepoch(created_at), time(created_at), datetime(created_at, '-1 day') FROM orders",
        "SELECT substring(name, -3), nullif(region, 'x'), ifnull(NULL, 0), likely(1), hex(name),"
        " char(65) FROM customers",
        "SELECT CAST('5' AS NUMERIC), CAST(order_id AS DECIMAL(10, 2)), CAST('2.5' AS REAL),"
        " CAST(7 AS VARCHAR) FROM orders",
        "SELECT * FROM orders o FULL OUTER JOIN tickets t ON o.order_id = t.ticket_id",
        "SELECT status, count(*) FROM orders GROUP BY status HAVING count(*) = (SELECT max(c)"
        " FROM (SELECT count(*) AS c FROM orders GROUP BY status))",
    ),
    "duckdb": (
        f"SELECT {JSON} -> '$.a', {JSON} ->> '$.a.b[1]', {JSON} -> 'a' -> 'b' ->> 0, {JSON} ->> 'n' || 'x'",
        f"SELECT {JSON}::JSON -> 'a', ({JSON}::JSON ->> 'n')::INTEGER + 1, CAST({JSON} AS JSON) ->> 'n' = '7'",
        "SELECT ticket_id FROM tickets WHERE json_object('s', status) ->> 's' = 'open'",
        f"SELECT json_keys({JSON}), json_array(1, 'a'), json_merge_patch({JSON}, '{{\"n\": 1}}'),"
        f" to_json(7), json_structure({JSON})",
        f"SELECT max({JSON} ->> 'n'), json_extract_path_text({JSON}, 'n') FROM tickets",
        "SELECT current_date = today(), localtimestamp IS NULL, localtime IS NULL,"
        " now() - INTERVAL 1 DAY < current_timestamp",
        "SELECT date_diff('day', created_at, CURRENT_DATE::TIMESTAMP) > 0 FROM orders",
        "SELECT current_date FROM (SELECT 1 AS current_date) AS t",
        "VALUES (1, 'a'), (2, 'b')",
        "VALUES (1, 'a'), (2, 'b') ORDER BY 1 DESC LIMIT 1",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(x, y) WHERE x > 1",
        "SELECT col0, v.col1 FROM (VALUES (1, 'a'), (2, 'b')) AS v",
        "FROM (VALUES (1), (2)) AS v(i) SELECT sum(i)",
        "SELECT order_id % 10 AS last, last * 2 AS twice FROM orders WHERE last > 2 AND twice < 99 ORDER BY twice",
        "SELECT lower(status) AS s, count(*) AS n FROM orders WHERE s <> 'pending' GROUP BY s HAVING n > 0",
        "SELECT ticket_id AS status FROM tickets WHERE status = 'open'",
        "SELECT date_trunc('month', created_at) AS month, count(*) FROM orders GROUP BY 1 ORDER BY month",
        "SELECT name FROM customers WHERE name ILIKE 'xen%' AND region SIMILAR TO 'eu.*'",
        "SELECT order_id FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY order_id) = 1",
        "SELECT assignee FROM tickets ORDER BY assignee DESC NULLS LAST",
        "SELECT * EXCLUDE (body, assignee) FROM tickets",
        "SELECT t.* EXCLUDE (body) FROM tickets AS t",
        "SELECT * REPLACE (upper(status) AS status) FROM orders",
        "SELECT o.* EXCLUDE (customer_id) REPLACE (o.order_id + 1 AS order_id), t.subject FROM orders o, tickets t",
        "SELECT * EXCLUDE (status) FROM (SELECT order_id, status FROM orders) AS x",
        "SELECT DISTINCT ON (status) status, order_id FROM orders ORDER BY status, order_id",
        "SELECT * FROM orders ORDER BY ALL",
        "SELECT status, count(*) FROM orders GROUP BY ALL ORDER BY ALL",
        "SELECT string_agg(status, ', ' ORDER BY order_id), list(status ORDER BY order_id),"
        " array_agg(DISTINCT tier) FROM orders, (SELECT 1 AS tier)",
        "SELECT [1, 2, 3], [1, 2, 3][2], list_contains([1, 2], 1), len([1, 2]), {'a': 1, 'b': 'x'}",
        "SELECT list_sum([1, 2]), list_sort([2, 1]), array_to_string(['a', 'b'], ','), string_split('a,b', ',')[1]",
        "SELECT a.order_id, b.order_id FROM orders a POSITIONAL JOIN orders b",
        "SELECT strftime(created_at, '%Y-%m'), dayname(created_at), year(created_at), epoch(created_at) FROM orders",
        "SELECT created_at::DATE, order_id::VARCHAR || '!', CAST(order_id AS DOUBLE), '5'::INT FROM orders",
        "FROM orders",
        "FROM orders WHERE status = 'shipped' LIMIT 1",
        "SELECT count(*) FILTER (status = 'shipped'), sum(order_id) FROM orders",
        "SELECT status, count(*) c FROM orders GROUP BY CUBE (status) ORDER BY c, status",
        "SELECT round(avg(order_id), 2), median(order_id), quantile_cont(order_id, 0.5), stddev(order_id) FROM orders",
        "SELECT regexp_matches(name, 'X.*'), regexp_extract(name, '(\\w+)', 1) FROM customers",
        "SELECT max_by(status, created_at), arg_min(status, order_id), first(status ORDER BY order_id) FROM orders",
        "SELECT order_id, sum(order_id) OVER w FROM orders WINDOW w AS (ORDER BY order_id)",
        "SELECT o.order_id FROM orders o SEMI JOIN tickets t USING (customer_id)",
        "SELECT coalesce(assignee, 'none') AS who, count(*)"
        " FROM tickets GROUP BY who HAVING count(*) >= 1 ORDER BY who",
        "SELECT extract('year' FROM created_at), extract(month"
        " FROM created_at), created_at + INTERVAL '1 day' FROM orders",
        "SELECT status, 100.0 * count(*) / sum(count(*)) OVER () AS share"
        " FROM orders GROUP BY status ORDER BY share DESC",
        "SELECT concat_ws('-', 'a', 'b'), concat('a', 1), 'a' || 1",
        "SELECT 'a' IN ('a', 'b'), 1 BETWEEN 0 AND 2, 7 // 2, 2 ** 3, 5 % 3",
        "WITH a AS MATERIALIZED (SELECT * FROM orders) SELECT count(*) FROM a",
        "SELECT created_at::DATE - DATE '2026-01-01', age(created_at, TIMESTAMP '2026-01-01') FROM orders",
        "SELECT order_id FROM orders WHERE status = ANY (SELECT 'shipped')",
        "SELECT order_id FROM orders WHERE (customer_id, status) IN (SELECT customer_id, 'shipped' FROM customers)",
    ),
    "mariadb": (
        f"SELECT JSON_VALUE({JSON}, '$.n'), JSON_UNQUOTE(JSON_EXTRACT({JSON}, '$.a.b[1]')), JSON_QUERY({JSON}, '$.a')",
        f"SELECT JSON_SET({JSON}, '$.n', 8), JSON_REMOVE({JSON}, '$.a'), JSON_KEYS({JSON}), JSON_EXISTS({JSON}, '$.n')",
        f"SELECT JSON_CONTAINS_PATH({JSON}, 'one', '$.n'), JSON_SEARCH({JSON}, 'one', 'x'),"
        f" JSON_DEPTH({JSON}), JSON_QUOTE('a')",
        "SELECT CURRENT_DATE = CURDATE(), LOCALTIMESTAMP = NOW(), LOCALTIME() IS NULL, CURRENT_TIMESTAMP() IS NULL",
        "SELECT DATEDIFF(CURRENT_DATE, created_at) > 0, UTC_DATE IS NULL FROM orders",
        "SELECT name FROM customers WHERE name REGEXP '^xen' AND region RLIKE 'eu-.*' AND name NOT REGEXP '[0-9]+'",
        "SELECT REGEXP_REPLACE(name, 'X.*a ', ''), REGEXP_SUBSTR(name, '[A-Z]\\\\w+'),"
        " REGEXP_INSTR(name, 'M') FROM customers",
        "SELECT GROUP_CONCAT(status ORDER BY order_id DESC SEPARATOR '; '),"
        " GROUP_CONCAT(DISTINCT status ORDER BY status) FROM orders",
        "SELECT GROUP_CONCAT(order_id), GROUP_CONCAT(status ORDER BY order_id SEPARATOR ' · ') FROM orders",
        "SELECT status, count(*) FROM orders GROUP BY status WITH ROLLUP",
        "SELECT IFNULL(status, 'all') AS s, count(*) AS n FROM orders GROUP BY status WITH ROLLUP HAVING n > 1",
        "SELECT DATE_FORMAT(created_at, '%Y-%m') AS m, count(*) FROM orders GROUP BY m ORDER BY m",
        "SELECT TIMESTAMPDIFF(DAY, '2026-01-01', created_at), YEAR(created_at), MONTHNAME(created_at) FROM orders",
        "SELECT CONCAT_WS('-', name, region), IF(1 > 2, 'a', 'b'), ROUND(2.567, 1), FORMAT(1234.5, 2) FROM customers",
        "SELECT CAST(order_id AS CHAR), CAST('3.5' AS DECIMAL(10, 2)), CAST(order_id AS SIGNED),"
        " CAST(1 AS DOUBLE) FROM orders",
        "SELECT created_at + INTERVAL 1 DAY, DATE_SUB(created_at, INTERVAL 1 MONTH), LAST_DAY(created_at) FROM orders",
        "SELECT order_id FROM orders WHERE (customer_id, status) IN (SELECT customer_id, 'shipped' FROM customers)",
        "SELECT order_id FROM orders ORDER BY order_id LIMIT 1, 2",
        "SELECT status, sum(status = 'shipped') FROM orders GROUP BY status ORDER BY 2 DESC",
        "SELECT `name` AS `n` FROM `customers` WHERE name <=> 'Xenia Marsh'",
        "SELECT SUBSTRING_INDEX(name, ' ', 1), INSTR(name, 'M'), LOCATE('M', name) FROM customers",
        "SELECT order_id, ROW_NUMBER() OVER w, sum(order_id) OVER w FROM orders WINDOW w AS (ORDER BY order_id)",
        "SELECT STR_TO_DATE('2026-01-31', '%Y-%m-%d'), UNIX_TIMESTAMP('2026-01-01'), DAYOFWEEK('2026-01-01')",
        "(SELECT order_id FROM orders ORDER BY 1 LIMIT 1) UNION ALL (SELECT ticket_id FROM tickets ORDER BY 1 LIMIT 1)",
        "SELECT IF(status = 'open', 1, 0) XOR 1, NOT 1, TRUE, status IS NOT NULL, ISNULL(status) FROM tickets",
        "SELECT MOD(7, 3), TRUNCATE(2.567, 1), GREATEST(1, 2), POW(2, 3), FLOOR(2.5), 7 DIV 2, RAND() < 2",
        "SELECT MEDIAN(order_id) OVER () FROM orders",
    ),
}
REFUSED: dict[str, tuple[str, ...]] = {
    "sqlite": ("SELECT value FROM json_each('[1, 2]')",),
    "duckdb": (
        "SELECT unnest([1, 2])",
        "SELECT * FROM range(3)",
        "SELECT o.order_id FROM orders o, LATERAL (SELECT o.order_id + 1 AS n) AS l",
        "PIVOT orders ON status USING count(*)",
        "SELECT * FROM orders UNION ALL BY NAME SELECT * FROM orders",
        "SELECT count(*) FROM orders USING SAMPLE 100%",
        "SELECT name ~ 'X.*' FROM customers",
        "SELECT repeat('a', 3)",
        "SELECT format('{}', 1)",
        "SELECT @(-3)",
    ),
    "mariadb": (
        "SELECT EXTRACT(YEAR_MONTH FROM created_at) FROM orders",
        "SELECT CONVERT(name, CHAR) FROM customers",
        "SELECT LPAD('a', 3, ' ')",
        "VALUES (1), (2)",
        "SELECT GROUP_CONCAT(name, ' ', region SEPARATOR '') FROM customers",
    ),
}
"""What the mount does not do, or not yet."""


@pytest_asyncio.fixture(params=ENGINES)
async def usual(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[tuple[str, Desk, MariaDB | None]]:
    server = request.getfixturevalue("mariadb") if request.param == "mariadb" else None
    policy = (HERE / "corpus.yaml").read_text()
    async with stage(request.param, tmp_path, policy, SCRIPT, server) as found:
        yield request.param, found, server


Direct = Callable[[str], Sequence[tuple[object, ...]]]


def direct(engine: str, folder: Path, server: MariaDB | None, ended: contextlib.ExitStack) -> Direct:
    """Return what asks a database of the scope alone."""
    if engine == "sqlite":
        lite = ended.enter_context(contextlib.closing(sqlite3.connect(":memory:")))
        lite.executescript(SCOPE)
        return lambda sql: lite.execute(sql).fetchall()
    if engine == "duckdb":
        duck = ended.enter_context(duckdb.connect(":memory:", config={"threads": 1}))
        duck.execute("SET TimeZone = 'UTC'").execute(in_duckdb(SCOPE))
        return lambda sql: duck.execute(sql).fetchall()
    assert server is not None
    make_database(folder / "scope.db", SCOPE)
    server.execute(
        "DROP DATABASE IF EXISTS scope; CREATE DATABASE scope CHARACTER SET utf8mb4; USE scope;"
        + as_mariadb(folder / "scope.db")
    )
    return lambda sql: server.ask_in("scope", sql)


async def test_what_is_usually_written_answers_as_in_a_database_of_the_scope_alone(
    usual: tuple[str, Desk, MariaDB | None], tmp_path: Path
) -> None:
    engine, desk, server = usual
    live = await desk.session("reader")
    with contextlib.ExitStack() as ended:
        ask = direct(engine, tmp_path, server, ended)
        for sql in (*EVERYWHERE, *USUAL[engine]):
            told, found = ask(sql), await desk.ask(live, sql)
            assert leaks(json.dumps(found.json())) == [], sql
            assert isinstance(found, Result), f"{sql}: {found}"
            assert plain(found.rows) == plain(told), sql
    for sql in REFUSED[engine]:
        assert isinstance(await desk.ask(live, sql), Denied), sql


def plain(rows: Sequence[Sequence[object]]) -> list[str]:
    """Return rows as text in an order of their own, without what JSON tells otherwise than an engine's objects."""
    return sorted(re.sub(r"[^0-9A-Za-z]", "", json.dumps(list(row), default=str)) for row in rows)
