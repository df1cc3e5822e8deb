"""Mounts of kind `sql`: which keys they have, where their database is, what is refused."""

from __future__ import annotations

import pytest

from bailiwick.model.policy import Policy
from bailiwick.policy.effective import unsupported
from bailiwick.policy.load import Loaded, load

HEAD = "bailiwick: 1\nmounts:\n  shop:\n    kind: sql\n"
SQLITE = HEAD + "    engine: sqlite\n    file: shop.db\n    resources: {orders: {table: orders, key: id}}\n"
GRANT = "roles:\n  r:\n    grants:\n      - {{allow: orders:{}, reason: of course{}}}\n"


def read(text: str) -> Loaded:
    return load({"policy.yaml": text})


def policy(text: str) -> Policy:
    found = read(text)
    assert found.policy is not None, found.problems
    return found.policy


def test_a_sqlite_mount_is_a_file_whose_bare_tables_are_in_main() -> None:
    mount = policy(SQLITE).mounts["shop"]
    assert (mount.kind, mount.engine, mount.url.text) == ("sql", "sqlite", "shop.db")
    assert mount.resources["orders"].schema == "main"


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_a_server_s_tables_are_named_with_their_schema(engine: str) -> None:
    text = HEAD + f"    engine: {engine}\n    url: ${{SHOP}}\n    resources: {{orders: {{table: shop.orders}}}}\n"
    mount = policy(text).mounts["shop"]
    assert (mount.engine, mount.url.text, mount.resources["orders"].schema) == (engine, "${SHOP}", "shop")
    assert "write `schema.table`" in str(read(text.replace("shop.orders", "orders")).problems)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (SQLITE.replace("engine: sqlite\n", "engine: oracle\n"), "unknown_value"),
        (SQLITE.replace("    engine: sqlite\n", ""), "missing_key"),
        (SQLITE.replace("file: shop.db", "url: ${SHOP}"), "unknown_key"),
        (SQLITE.replace("file: shop.db", "file: ':memory:'"), "bad_file"),
        (SQLITE.replace("file: shop.db", "file: file:shop.db"), "bad_file"),
        (SQLITE + "    enforce: both\n", "unknown_key"),
        (SQLITE + "    sql: true\n", "unknown_key"),
        (SQLITE.replace("table: orders", "table: sqlite_master"), "system_table"),
        (HEAD + "    engine: mysql\n    url: mysql://u:secret@h/d\n", "secret_in_clear"),
        (HEAD + "    engine: mysql\n    url: postgresql://h/d\n", "bad_url"),
    ],
)
def test_what_is_wrong_is_said(wrong: str, code: str) -> None:
    found = read(wrong)
    assert found.policy is None
    assert code in {problem.code for problem in found.problems}, found.problems


def test_sql_of_the_policy_s_own_cannot_be_used_there() -> None:
    assert "sql" in str(read(SQLITE + GRANT.format("read", ", sql: 'id > 1'")).problems)
    assert read(SQLITE + GRANT.format("read", ", rows: {id: {over: 1}}")).policy is not None


@pytest.mark.parametrize(("verb", "key"), [("read", "aggregate: {min_group: 5}"), ("*", "aggregate: {min_group: 5}")])
def test_what_only_postgres_has_is_refused_there(verb: str, key: str) -> None:
    found = unsupported(policy(SQLITE + GRANT.format(verb, f", {key}")))
    assert [key.partition(":")[0] in problem.message for problem in found if "beyond" in problem.message] == [True]


@pytest.mark.parametrize("engine", ["mysql", "trino"])
def test_an_engine_that_is_not_built_is_not_served(engine: str) -> None:
    table = "hive.shop.orders" if engine == "trino" else "shop.orders"
    text = HEAD + f"    engine: {engine}\n    url: ${{SHOP}}\n    resources: {{orders: {{table: {table}}}}}\n"
    assert [f"engine `{engine}`" in problem.message for problem in unsupported(policy(text))] == [True]


TRINO = HEAD + "    engine: trino\n    url: ${LAKE}\n    resources: {orders: {table: TABLE}}\n"


@pytest.mark.parametrize(
    ("table", "schema", "name"),
    [
        ("hive.shop.orders", "hive.shop", "orders"),
        ('\'"hive"."the shop"."odd.name"\'', "hive.the shop", "odd.name"),
    ],
)
def test_a_table_of_trino_is_named_with_its_catalog(table: str, schema: str, name: str) -> None:
    resource = policy(TRINO.replace("TABLE", table)).mounts["shop"].resources["orders"]
    assert (resource.schema, resource.table) == (schema, name)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("orders", "bad_table"),
        ("shop.orders", "bad_table"),
        ("a.b.c.d", "bad_table"),
        ("'\"a.b\".c.d'", "bad_table"),
        ("system.runtime.queries", "system_table"),
        ("hive.information_schema.tables", "system_table"),
        ("hive.shop.orders$partitions", "system_table"),
    ],
)
def test_what_is_no_table_of_a_catalog_is_said(table: str, code: str) -> None:
    found = read(TRINO.replace("TABLE", table))
    assert found.policy is None
    assert code in {problem.code for problem in found.problems}, found.problems


def test_trino_is_refused_with_what_is_unproven() -> None:
    (problem,) = unsupported(policy(TRINO.replace("TABLE", "hive.shop.orders")))
    assert "SQL is generated and tested, but no server has proven it" in problem.message


def test_parquet_and_csv_files_are_sources_of_a_folder() -> None:
    text = HEAD + (
        "    engine: duckdb\n    file: lake\n    sources: {visits: visits/*.parquet, prices: prices.csv}\n"
        "    resources: {visits: {table: sources.visits}}\n"
    )
    mount = policy(text).mounts["shop"]
    assert mount.sources == {"visits": "visits/*.parquet", "prices": "prices.csv"}
    assert (mount.resources["visits"].schema, unsupported(policy(text))) == ("sources", ())
    for wrong in ("/etc/prices.csv", "../prices.csv", "prices.json", "s3://bucket/passwd"):
        assert "is no path of Parquet or CSV files" in str(read(text.replace("prices.csv", wrong)).problems), wrong
    assert "`sqlite` has none" in str(read(text.replace("duckdb", "sqlite")).problems)
    assert "1st-name" in str(read(text.replace("prices:", "1st-name:")).problems)
