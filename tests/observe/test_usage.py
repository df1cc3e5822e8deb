"""What a statement uses: columns by role, the values by which rows are found, joins. A table of statements."""

from __future__ import annotations

import pytest

from bailiwick.model.observation import Link
from bailiwick.sql.usage import Known, Parameter, UsedCondition, UsedSet, UsedTable, Written
from bailiwick.sql.usage_walk import used_in

TABLES = {
    ("public", "tickets"): Known("tickets", ("id", "customer_id", "status", "body"), (("id",),)),
    ("public", "customers"): Known("customers", ("id", "name", "email", "region"), (("id",),)),
    ("billing", "refunds"): Known("refunds", ("id", "ticket_id", "amount"), (("id",),)),
}
ONE = Parameter(1)


def text(value: str) -> Written:
    return Written("string", value)


def integer(value: int) -> Written:
    return Written("integer", str(value))


def used(sql: str) -> dict[str, UsedTable]:
    """Return the uses of one statement, by resource and verb."""
    found = used_in(sql, TABLES)
    assert found is not None, sql
    (statement,) = found
    return {f"{each.resource or '.'.join(each.place)}:{each.verb}": each for each in statement.tables}


def equal(field: str, value: Parameter | Written) -> UsedCondition:
    return UsedCondition(field, "equal", (value,))


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("customer_id = $1", equal("customer_id", ONE)),
        ("$1 = customer_id", equal("customer_id", ONE)),
        ("customer_id = $1::int", equal("customer_id", ONE)),
        ("status = 'open'", equal("status", text("open"))),
        ("status IN ('open', $1)", UsedCondition("status", "one_of", (text("open"), ONE))),
        ("status = ANY ($1)", UsedCondition("status", "one_of", (Parameter(1, listed=True),))),
        ("status = ANY (ARRAY['a', 'b'])", UsedCondition("status", "one_of", (text("a"), text("b")))),
        ("id > 5", UsedCondition("id", "range", (integer(5),))),
        ("id BETWEEN 1 AND $1", UsedCondition("id", "range", (integer(1), ONE))),
        ("status LIKE 'op%'", UsedCondition("status", "prefix", (text("op"),))),
        ("status LIKE '%n'", UsedCondition("status", "like", (text("%n"),))),
        ("status IS NULL", UsedCondition("status", "empty")),
        ("status <> 'open'", UsedCondition("status", "other")),
        ("status NOT IN ('open')", UsedCondition("status", "other")),
        ("status = lower($1)", UsedCondition("status", "other")),
    ],
)
def test_a_condition_that_every_row_meets(where: str, condition: UsedCondition) -> None:
    found = used(f"SELECT body FROM tickets WHERE {where}")["tickets:read"]  # a table of statements
    assert found.conditions == (condition,)
    assert found.filtered == (condition.field,)
    assert found.read == ("body",)


@pytest.mark.parametrize(
    "where", ["id = 1 OR status = 'x'", "NOT (id = 1 AND status = 'x')", "lower(status) = 'a' || id"]
)
def test_what_not_every_row_meets_is_no_condition(where: str) -> None:
    found = used(f"SELECT body FROM tickets WHERE {where}")["tickets:read"]  # a table of statements
    assert found.conditions == ()
    assert found.filtered == ("id", "status")


def test_a_whole_key_finds_and_anything_else_looks_through() -> None:
    assert used("SELECT body FROM tickets WHERE id = $1 AND status = 'open'")["tickets:read"].reach == "key"
    assert used("SELECT body FROM tickets WHERE status = 'open'")["tickets:read"].reach == "scan"
    assert used("SELECT body FROM tickets WHERE id = 1 OR id = 2")["tickets:read"].reach == "scan"
    joined = used("SELECT c.name FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE t.status = 'x'")
    assert (joined["customers:read"].reach, joined["tickets:read"].reach) == ("key", "scan")


def test_roles_of_columns() -> None:
    found = used(
        "SELECT c.name, count(*), count(DISTINCT c.email) FROM customers c WHERE region = 'de' GROUP BY c.name, c.id"
        " HAVING count(*) > 1 ORDER BY 1"
    )["customers:read"]
    assert (found.read, found.counted, found.compared) == (("name",), ("email",), ("id", "name"))
    assert found.filtered == ("region",)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT c.name FROM tickets t JOIN customers c ON c.id = t.customer_id",
        "SELECT c.name FROM tickets t, customers c WHERE t.customer_id = c.id",
        "SELECT c.name FROM (SELECT id AS n, customer_id AS who FROM tickets) t JOIN customers c ON c.id = t.who",
        "WITH t AS (SELECT customer_id FROM tickets) SELECT name FROM t JOIN customers ON id = customer_id",
        "SELECT name FROM customers WHERE id IN (SELECT customer_id FROM tickets)",
        "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = c.id)",
    ],
)
def test_a_join_links_both_sides(sql: str) -> None:
    found = used(sql)
    assert found["customers:read"].links == (Link("id", "tickets", "customer_id"),)
    assert found["tickets:read"].links == (Link("customer_id", "customers", "id"),)
    assert (found["customers:read"].joined, found["customers:read"].read) == (("id",), ("name",))
    assert (found["tickets:read"].joined, found["tickets:read"].read) == (("customer_id",), ())


def test_an_outer_join_links_only_the_side_that_may_be_missing() -> None:
    found = used("SELECT t.body FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id AND c.region = 'de'")
    assert found["customers:read"].links == (Link("id", "tickets", "customer_id"),)
    assert found["customers:read"].conditions == (equal("region", text("de")),)
    assert (found["tickets:read"].links, found["tickets:read"].conditions) == ((), ())


def test_what_must_not_exist_links_only_itself() -> None:
    found = used("SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = c.id)")
    assert found["customers:read"].links == ()
    assert found["tickets:read"].links == (Link("customer_id", "customers", "id"),)


def test_columns_that_a_subquery_only_passes_on_are_not_read() -> None:
    found = used("SELECT count(*) FROM (SELECT email, region FROM customers) s WHERE s.region = $1")["customers:read"]
    assert (found.read, found.filtered) == ((), ("region",))
    assert found.conditions == (equal("region", ONE),)


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM tickets", "SELECT t.* FROM tickets t", "SELECT row_to_json(t) FROM tickets t"]
)
def test_a_star_reads_every_column(sql: str) -> None:
    assert used(sql)["tickets:read"].read == ("body", "customer_id", "id", "status")


def test_an_insert_writes_the_values_of_every_row() -> None:
    found = used("INSERT INTO tickets (id, status, body) VALUES ($1, 'open', now()), (7, 'open', 'x') RETURNING id")
    use = found["tickets:create"]
    assert use.sets == (
        UsedSet("id", (ONE, integer(7))),
        UsedSet("status", (text("open"),)),
        UsedSet("body", (text("x"),), whole=False),
    )
    assert (use.written, use.read) == (("body", "id", "status"), ("id",))


def test_an_upsert_updates_as_well() -> None:
    found = used("INSERT INTO tickets (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET status = 'again'")
    assert found["tickets:update"].sets == (UsedSet("status", (text("again"),)),)


def test_an_update_and_a_delete_find_rows_as_reads_do() -> None:
    update = used("UPDATE tickets SET status = $2, body = body || '!' WHERE id = $1")["tickets:update"]
    assert update.conditions == (equal("id", ONE),)
    assert update.sets == (UsedSet("status", (Parameter(2),)), UsedSet("body", (), whole=False))
    assert (update.read, update.reach) == (("body",), "key")
    delete = used("DELETE FROM billing.refunds r USING tickets t WHERE r.ticket_id = t.id AND t.customer_id = $1")
    assert delete["refunds:delete"].links == (Link("ticket_id", "tickets", "id"),)
    assert delete["tickets:read"].conditions == (equal("customer_id", ONE),)


def test_a_merge_uses_its_target_in_several_ways() -> None:
    found = used(
        "MERGE INTO tickets t USING customers c ON t.customer_id = c.id"
        " WHEN MATCHED THEN UPDATE SET status = 'seen'"
        " WHEN NOT MATCHED THEN INSERT (customer_id, status) VALUES (c.id, 'new')"
    )
    assert found["tickets:update"].sets == (UsedSet("status", (text("seen"),)),)
    assert found["tickets:create"].written == ("customer_id", "status")


def test_a_table_that_is_not_mapped_stands_under_its_own_name() -> None:
    found = used("SELECT x.secret FROM hidden.things x WHERE x.owner = $1 AND kind = 'a'")["hidden.things:read"]
    assert (found.read, found.filtered) == (("secret",), ("kind", "owner"))
    assert used("SELECT relname FROM pg_class, pg_catalog.pg_namespace") == {}


@pytest.mark.parametrize(
    "sql",
    [
        "DECLARE c CURSOR FOR SELECT body FROM tickets",
        "PREPARE p AS SELECT body FROM tickets",
        "COPY (SELECT body FROM tickets) TO STDOUT",
        "SELECT body FROM tickets UNION SELECT body FROM tickets WHERE false",
        "WITH RECURSIVE r AS (SELECT body FROM tickets UNION ALL SELECT body FROM r) SELECT * FROM r",
        "SELECT x.body FROM customers c, LATERAL (SELECT body FROM tickets t WHERE t.customer_id = c.id) x",
        "SELECT (SELECT max(body) FROM tickets) AS latest",
    ],
)
def test_queries_within_statements_are_looked_into(sql: str) -> None:
    assert used(sql)["tickets:read"].read == ("body",)


def test_what_is_no_sql_is_told_as_such() -> None:
    assert used_in("SELEC body FROM tickets", TABLES) is None
    assert used_in("", TABLES) == ()


def test_rows_of_the_result_are_rows_of_the_table_or_not() -> None:
    def rows(sql: str) -> bool:
        return any(each.counts for each in used(sql).values())

    assert rows("SELECT id FROM tickets WHERE status = 'x'")
    assert rows("UPDATE tickets t SET status = 'x' FROM customers c WHERE c.id = t.customer_id")
    assert not rows("SELECT count(*) FROM tickets")
    assert not rows("SELECT t.id FROM tickets t, customers c")
    assert not rows("SELECT status FROM tickets GROUP BY status")
