"""What Trino would be asked: the text that is generated, and what is refused. No server has run any of it."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse
from typer.testing import CliRunner

from bailiwick.cli.main import app
from bailiwick.model.decision import Denial
from bailiwick.model.mask import Mask
from bailiwick.model.value import Ref
from bailiwick.policy.lockfile import render_lock
from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.plan import EnginePlan
from bailiwick.sql.engines.predicates import UNKNOWN
from bailiwick.sql.engines.rewrite import EngineRewriter
from bailiwick.sql.engines.trino import Trino
from bailiwick.sql.engines.trino_words import literal_number, positional
from tests.engines.trino_rig import HERE, POLICY, lock, rewriter

GOLDEN = re.findall(r"^-- ([a-z-]+): (.*)\n(.*)$", (HERE / "trino_golden.sql").read_text(), re.MULTILINE)


@cache
def known(agent: str) -> EngineRewriter:
    return rewriter(agent)


def plan(sql: str, agent: str = "clerk-bot") -> EnginePlan:
    found = known(agent).rewrite(sql)
    assert isinstance(found, EnginePlan), f"{sql}: {found}"
    return found


def denial(sql: str, agent: str = "clerk-bot") -> Denial:
    found = known(agent).rewrite(sql)
    assert isinstance(found, Denial), f"{sql}: {found.sql}"
    return found


def check_generated(found: EnginePlan) -> None:
    """Hold a text to what it may be: it reads as it was written, and the real tables stand in our own queries alone."""
    text, order = positional(found.sql)
    (tree,) = parse(text, dialect="trino")
    assert isinstance(tree, exp.Query)
    written = tree.sql("trino", comments=False)
    (again,) = parse(written, dialect="trino")
    assert again == tree
    assert len(list(tree.find_all(exp.Placeholder))) == len(order)
    assert set(order) == set(range(1, found.parameters + len(found.bound) + 1))
    ours = {cte.alias: cte.this for cte in tree.find_all(exp.CTE) if cte.alias in found.reads}
    assert set(ours) == set(found.reads)
    for table in tree.find_all(exp.Table):
        holder = table.find_ancestor(exp.CTE)
        if table.db:
            assert holder is not None
            reached = found.reads[holder.alias]
            assert (f"{table.catalog}.{table.db}", table.name) == (reached.schema, reached.relation)
        else:
            assert table.name.startswith("bw"), table
    for name, query in ours.items():
        assert {column.table for column in query.find_all(exp.Column)} == {"bw"}
        assert {column.name for column in query.find_all(exp.Column)} <= found.reads[name].columns


@pytest.mark.parametrize(("agent", "asked", "text"), GOLDEN, ids=[asked[:40] for _, asked, _ in GOLDEN])
def test_a_query_becomes_this_text(agent: str, asked: str, text: str) -> None:
    found = plan(asked, agent)
    assert found.sql == text
    check_generated(found)


def test_the_golden_texts_are_all_there() -> None:
    assert len(GOLDEN) == 30


ALLOWED = "SELECT id FROM orders"
HOSTILE = {
    "INSERT INTO orders (id) VALUES (1)": ALLOWED,
    "UPDATE orders SET status = 'x'": ALLOWED,
    "DELETE FROM orders": ALLOWED,
    "MERGE INTO orders o USING customers c ON o.id = c.id WHEN MATCHED THEN DELETE": ALLOWED,
    "CREATE TABLE hive.shop.copy AS SELECT id FROM orders": ALLOWED,
    "DROP TABLE orders": ALLOWED,
    "TRUNCATE TABLE orders": ALLOWED,
    "CALL system.runtime.kill_query('x')": ALLOWED,
    "SET SESSION query_max_run_time = '1h'": ALLOWED,
    "RESET SESSION query_max_run_time": ALLOWED,
    "SET ROLE admin": ALLOWED,
    "USE hive.hr": ALLOWED,
    "SHOW TABLES FROM hive.hr": ALLOWED,
    "DESCRIBE payroll": ALLOWED,
    "EXPLAIN SELECT id FROM orders": ALLOWED,
    "PREPARE p FROM SELECT id FROM orders": ALLOWED,
    "EXECUTE IMMEDIATE 'SELECT 1'": ALLOWED,
    "GRANT SELECT ON orders TO USER bob": ALLOWED,
    "SELECT id FROM orders; SELECT id FROM orders": ALLOWED + ";",
    "SELECT salary FROM hive.hr.payroll": "SELECT price FROM iceberg.public.products",
    "SELECT * FROM payroll": "SELECT * FROM products",
    "SELECT * FROM system.runtime.queries": "SELECT * FROM hive.shop.orders",
    "SELECT * FROM hive.information_schema.tables": "SELECT * FROM hive.shop.orders",
    "SELECT * FROM information_schema.columns": "SELECT * FROM shop.orders",
    'SELECT * FROM hive.shop."orders$partitions"': 'SELECT * FROM hive.shop."orders"',
    "SELECT * FROM iceberg.shop.orders": "SELECT * FROM hive.shop.orders",
    "SELECT * FROM hive.public.products": "SELECT * FROM iceberg.public.products",
    "SELECT ssn FROM customers": "SELECT name FROM customers",
    "SELECT secret FROM products": "SELECT name FROM products",
    "SELECT name FROM customers WHERE ssn = '1'": "SELECT name FROM customers WHERE name = '1'",
    "SELECT name FROM customers ORDER BY ssn": "SELECT name FROM customers ORDER BY name",
    "SELECT * FROM TABLE(jdbc.system.query(query => 'SELECT 1'))": "SELECT * FROM orders",
    "SELECT * FROM TABLE(sequence(1, 100))": "SELECT * FROM orders",
    "SELECT * FROM UNNEST(sequence(1, 100)) AS t (n)": "SELECT * FROM (VALUES (1)) AS t (n)",
    "SELECT * FROM UNNEST(ARRAY[1, 2]) AS t (n)": "SELECT * FROM (VALUES 1, 2) AS t (n)",
    "SELECT current_user": "SELECT 1",
    "SELECT current_catalog": "SELECT 1",
    "SELECT current_user FROM orders": "SELECT status FROM orders",
    "SELECT version()": "SELECT pi()",
    "SELECT uuid()": "SELECT pi()",
    "SELECT now() FROM orders": "SELECT pi() FROM orders",
    "SELECT random() FROM orders": "SELECT abs(id) FROM orders",
    "SELECT repeat(note, 1000000) FROM orders": "SELECT reverse(note) FROM orders",
    "SELECT lpad(note, 100000000, 'x') FROM orders": "SELECT trim(note) FROM orders",
    "SELECT sequence(1, id) FROM orders": "SELECT abs(id) FROM orders",
    "SELECT hive.shop.leak(id) FROM orders": "SELECT abs(id) FROM orders",
    "SELECT fail('x') FROM orders": "SELECT abs(id) FROM orders",
    "SELECT array_agg(name) FROM customers": "SELECT max(name) FROM customers",
    "SELECT listagg(name, ',') WITHIN GROUP (ORDER BY name) FROM customers": "SELECT max(name) FROM customers",
    "SELECT transform(ARRAY[1], x -> x + 1)": "SELECT abs(1) + 1",
    "SELECT id FROM orders TABLESAMPLE BERNOULLI (10)": "SELECT id FROM orders LIMIT 10",
    "SELECT id FROM orders FOR VERSION AS OF 3": "SELECT id FROM orders AS o",
    "SELECT id FROM orders FOR TIMESTAMP AS OF TIMESTAMP '2020-01-01 00:00:00 UTC'": "SELECT id FROM orders AS o",
    "SELECT id FROM orders FETCH FIRST 1 ROWS WITH TIES": "SELECT id FROM orders LIMIT 1",
    "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t": (
        "WITH t (n) AS (SELECT 1) SELECT n FROM t"
    ),
    "SELECT 1 WHERE 1 IN (WITH RECURSIVE t (n) AS (SELECT 1) SELECT n FROM t)": (
        "SELECT 1 WHERE 1 IN (WITH t (n) AS (SELECT 1) SELECT n FROM t)"
    ),
    "WITH FUNCTION f(x bigint) RETURNS bigint RETURN x SELECT f(id) FROM orders": "SELECT abs(id) FROM orders",
    "SELECT id FROM orders o, LATERAL (SELECT o.id) AS l": "SELECT o.id FROM orders AS o, orders AS p",
    "SELECT a.id FROM orders a NATURAL JOIN customers b": "SELECT a.id FROM orders a JOIN customers b ON a.id = b.id",
    "SELECT count(*) FROM orders GROUP BY ROLLUP (status)": "SELECT count(*) FROM orders GROUP BY status",
    "SELECT status FROM orders WHERE status ILIKE 'o%'": "SELECT status FROM orders WHERE status LIKE 'o%'",
    "SELECT CAST(id AS JSON) FROM orders": "SELECT CAST(id AS VARCHAR) FROM orders",
    "SELECT CAST(note AS ROW(a bigint)) FROM orders": "SELECT CAST(note AS BIGINT) FROM orders",
    "SELECT placed AT TIME ZONE 'Europe/Paris' FROM orders": "SELECT CAST(placed AS DATE) FROM orders",
    "SELECT id FROM orders WHERE note = U&'\\0061'": "SELECT id FROM orders WHERE note = 'a'",
    "SELECT id FROM orders WHERE id = $1": "SELECT id FROM orders WHERE id = ?",
    "SELECT id FROM orders WHERE id = :name": "SELECT id FROM orders WHERE id = ?",
    "SELECT id INTO copy FROM orders": ALLOWED,
    "SELECT * FROM orders MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS true)": "SELECT * FROM orders",
}


@pytest.mark.parametrize(("hostile", "twin"), HOSTILE.items())
def test_what_is_not_granted_or_not_known_is_denied(hostile: str, twin: str) -> None:
    denial(hostile)
    check_generated(plan(twin))


def test_a_denied_write_says_that_the_engine_is_only_read() -> None:
    for sql in ("INSERT INTO orders (id) VALUES (1)", "UPDATE orders SET id = 1", "DELETE FROM orders"):
        found = denial(sql)
        assert (found.code, found.allowed) == ("statement_not_allowed", "one SELECT")
        assert "only read" in found.message


def test_a_table_of_another_catalog_is_not_there() -> None:
    assert denial("SELECT * FROM other.shop.orders").code == "resource_unknown"
    assert plan("SELECT id FROM HIVE.shop.Orders").sql == plan("SELECT id FROM hive.shop.Orders").sql


def test_what_hides_rows_is_fenced_and_what_does_not_is_not() -> None:
    assert Trino.fence in plan("SELECT abs(id) FROM orders").sql
    assert "LIMIT" not in plan("SELECT sku FROM products").sql


def test_a_parameter_stands_where_it_is_used_also_twice() -> None:
    text, order = positional("SELECT '?1', \"?2\", ?2, ?1, 'it''s ?3', ?2")
    assert (text, order) == ("SELECT '?1', \"?2\", ?, ?, 'it''s ?3', ?", (2, 1, 2))


@pytest.mark.parametrize("kind", ["json", "text[]", "character(3)", "numeric", "numeric(38,19)", "bytea"])
def test_a_type_that_does_not_compare_exactly_is_unknown(kind: str) -> None:
    dialect, column = Trino(), Column("c", 1, kind)
    for operand in (5, "a", Ref(("user", "x"))):
        assert dialect.compare("c", "=", operand, column, Parameters(1), exact=False) == UNKNOWN
        assert dialect.one_of_list("c", operand, column, Parameters(1)) == UNKNOWN
    for name in ("partial", "last4", "hash", "year", "round"):
        assert dialect.masked(Mask(name), "c", column, Parameters(1))[0].startswith("CAST(NULL AS ")
    assert literal_number(10**20, "bigint") is None


def test_a_list_and_a_moment_of_the_session_are_bound_once_and_cast() -> None:
    dialect, parameters = Trino(), Parameters(3)
    numbers, words = Ref(("user", "numbers")), Ref(("user", "words"))
    number, word = Column("n", 1, "bigint"), Column("w", 2, "text")
    found = dialect.one_of_list("n", numbers, number, parameters)
    assert found == "contains(TRY_CAST(?3 AS ARRAY(DECIMAL(38, 18))), TRY_CAST(n AS DECIMAL(38, 18)))"
    assert dialect.one_of_list("w", words, word, parameters) == "contains(TRY_CAST(?4 AS ARRAY(VARCHAR)), w)"
    moment = Column("m", 3, "timestamp with time zone")
    found = dialect.compare("m", ">", Ref(("since",)), moment, parameters, exact=True)
    assert found == "(m > TRY_CAST(?5 AS TIMESTAMP(6) WITH TIME ZONE))"
    assert dialect.glob("w", "a*?%_|", word) == "(w LIKE 'a%_|%|_||' ESCAPE '|')"
    assert [bound.type for bound in parameters.bound] == ["decimal[]", "text[]", "timestamp with time zone"]


FIELDS = {
    "orders": ["id", "status", "amount", "note", "o.status", "placed"],
    "hive.shop.orders": ["id", "o.customer", "NOTE", '"status"'],
    "shop.customers": ["id", "name", "email", "phone", "born", "balance"],
    "products": ["sku", "price", "o.name"],
}
"""Table → columns that are granted of it; the table is always called `o`."""
ODD = st.sampled_from(["ssn", "o.secret", "salary", "bw.ssn", "bw0_1.ssn", "current_user", "query('x')"])
LITERALS = st.sampled_from(["1", "'x'", "'it''s ?1 \"q\"'", "?", "NULL", "DATE '2026-01-01'", "1.5", "'--'"])
SIGNS = st.sampled_from(["=", "<>", "<", "LIKE", "IS DISTINCT FROM"])
CALLS = st.sampled_from(["max", "count", "lower", "abs", "substr"])


def queries(table: str) -> st.SearchStrategy[str]:
    """Statements over a table, nearly all of whose columns are granted."""
    names = st.sampled_from(FIELDS[table])
    usual = st.one_of(names, names, LITERALS, LITERALS, st.builds("{}({})".format, CALLS, names))
    values = st.integers(0, 19).flatmap(lambda dice: usual if dice else ODD)
    conditions = st.builds("{} {} {}".format, values, SIGNS, values)
    return st.builds(f"SELECT {{}}, {{}} FROM {table} AS o WHERE {{}}".format, names | st.just("*"), values, conditions)


TABLES = st.sampled_from(sorted(FIELDS))
QUERIES = TABLES.flatmap(queries)
STATEMENTS = st.one_of(
    QUERIES,
    st.builds("WITH shown AS ({}) SELECT count(*) FROM shown, orders".format, QUERIES),
    st.builds("{} AND EXISTS ({})".format, QUERIES, QUERIES),
    st.builds("{} UNION {}".format, QUERIES, QUERIES),
    st.builds("{} AND 1 IN (SELECT id FROM {})".format, QUERIES, st.sampled_from(["payroll", "hive.hr.payroll"])),
)


@settings(max_examples=100, deadline=None)
@given(STATEMENTS)
def test_whatever_is_generated_reads_alike_and_reaches_only_what_is_granted(sql: str) -> None:
    found = known("clerk-bot").rewrite(sql)
    if isinstance(found, Denial):
        return
    check_generated(found)
    assert not re.search(r'"(ssn|secret|salary|payroll)"', found.sql)


def test_explain_shows_the_text_and_accept_says_that_no_server_has_proven_it(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    assert CliRunner().invoke(app, ["policy", "check", str(policy)]).exit_code == 0
    accepted = CliRunner().invoke(app, ["accept", str(policy), "--yes"], env={"LAKE_URL": "trino://lake:8080"})
    assert accepted.exit_code != 0
    (tmp_path / "bailiwick.lock").write_text(render_lock(lock()))
    asked = ["--agent", "clerk-bot", "--user", "ada", "--tenant", "7", "--policy", str(policy), "--json"]
    result = CliRunner().invoke(app, ["explain", "SELECT name FROM hive.shop.customers", *asked])
    assert result.exit_code == 0, result.output
    assert 'FROM "hive"."shop"."customers" AS "bw"' in json.loads(result.output)[0]["rewritten"]
    denied = CliRunner().invoke(app, ["explain", "DELETE FROM orders", *asked])
    assert (denied.exit_code, json.loads(denied.output)[0]["denial"]["code"]) == (1, "statement_not_allowed")
