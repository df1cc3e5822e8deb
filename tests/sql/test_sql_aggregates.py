"""Relations under aggregates only: the statements in which they may stand, and those in which they may not."""

from __future__ import annotations

import pytest
from rewrite_samples import CUSTOMERS, TICKETS, denial, plan, resources, rewriter, rows

from bailiwick.model.decision import Access, Denial
from bailiwick.model.matcher import Equal
from bailiwick.model.scope import AggregateReads, ReadGrant, ResourceScope
from bailiwick.model.value import Ref
from bailiwick.sql.groupings import mark

TOLD = ReadGrant(
    "figures",
    rows({"tenant_id": Equal(Ref(("tenant",)))}),
    {"customer_id": None, "name": None, "email": None, "balance": None},
)
SCOPES = resources(customers=ResourceScope(CUSTOMERS, (), aggregate=AggregateReads((TOLD,), 10, 20)))

ADMITTED = [
    "SELECT count(*) FROM customers",
    "SELECT count(1), count(customer_id), sum(balance), avg(c.balance::numeric) FROM public.customers AS c",
    "SELECT name, count(*) FROM customers GROUP BY name ORDER BY count(*) DESC LIMIT 3",
    "SELECT name AS n, avg(balance) FROM customers GROUP BY n HAVING sum(balance) / count(*) > 5",
    "SELECT upper(name), round(avg(balance), 2) FROM customers GROUP BY name ORDER BY 1",
    "SELECT DISTINCT count(*) FROM customers GROUP BY name",
    "SELECT name, count(*) * 100 / sum(count(*)) OVER (), rank() OVER (ORDER BY avg(balance)) FROM customers"
    " GROUP BY 1",
    "SELECT count(*) FROM customers WHERE name = 'a' AND (balance > 5 OR NOT email LIKE '%@b') AND 1 = 1",
    "SELECT count(*) FROM customers WHERE name IN ('a', 'b') AND balance BETWEEN -1.5 AND 10 AND email IS NOT NULL",
    "SELECT count(*) FROM customers WHERE 5 < balance AND name IS DISTINCT FROM 'x' AND (balance > 1) IS NOT TRUE",
    "SELECT CASE WHEN balance < 10 THEN 'low' WHEN balance < 90 THEN 'mid' ELSE 'high' END k, count(*)"
    " FROM customers GROUP BY k",
    "SELECT balance > 10, count(*) FROM customers GROUP BY balance > 10",
    "SELECT coalesce(name, 'none'), count(*) FROM customers GROUP BY coalesce(name, 'none')",
    "SELECT name FROM customers GROUP BY name",
    "SELECT s.name, t.subject FROM (SELECT name, sum(balance) FROM customers GROUP BY name) s"
    " JOIN tickets t ON t.subject = s.name",
    "WITH s AS (SELECT name, count(*) AS n FROM customers GROUP BY name) SELECT max(n), array_agg(name) FROM s",
    "SELECT count(*) FROM customers UNION ALL SELECT count(*) FROM tickets",
    "SELECT subject, (SELECT avg(balance) FROM customers) FROM tickets WHERE (SELECT count(*) FROM customers) > 100",
    "SELECT count(*) FROM customers WHERE name = $1 AND balance > $2",
]
REFUSED = [
    "SELECT * FROM customers",
    "SELECT name FROM customers",
    "SELECT 1 FROM customers",
    "SELECT customers FROM customers GROUP BY customers",
    "SELECT row_to_json(customers) FROM customers",
    "SELECT count(*), name FROM customers",
    "SELECT count(customers) FROM customers",
    "SELECT count(customers.*) FROM customers",
    "SELECT DISTINCT name FROM customers",
    "TABLE customers",
    "SELECT name, count(*) FROM customers GROUP BY ROLLUP (name)",
    "SELECT name, count(*) FROM customers GROUP BY GROUPING SETS ((name), ())",
    "SELECT customer_id, count(*) FROM customers GROUP BY customer_id",
    "SELECT count(*) FROM customers GROUP BY (name, balance)",
    "SELECT count(*) FROM customers GROUP BY balance / 0",
    "SELECT count(*) FROM customers GROUP BY upper(name)",
    "SELECT count(*) FROM customers GROUP BY name::integer",
    # single rows out of a group
    "SELECT max(balance) FROM customers",
    "SELECT min(name) FROM customers",
    "SELECT array_agg(name) FROM customers",
    "SELECT string_agg(name, ',') FROM customers",
    "SELECT any_value(name) FROM customers",
    "SELECT json_agg(customers) FROM customers",
    "SELECT json_arrayagg(name) FROM customers",
    "SELECT json_objectagg(name : balance) FROM customers",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY balance) FROM customers",
    "SELECT mode() WITHIN GROUP (ORDER BY name) FROM customers",
    "SELECT bool_or(balance > 5) FROM customers",
    "SELECT stddev(balance), corr(balance, balance) FROM customers",
    "SELECT count(DISTINCT name) FROM customers",
    "SELECT sum(balance) OVER (ORDER BY name) FROM customers",
    "SELECT first_value(name) OVER (ORDER BY name), count(*) FROM customers",
    # filters in disguise
    "SELECT count(*) FILTER (WHERE name = 'a') FROM customers",
    "SELECT sum(CASE WHEN name = 'a' THEN balance END) FROM customers",
    "SELECT sum(balance * balance) FROM customers",
    "SELECT count(nullif(name, 'a')) FROM customers",
    "SELECT sum(length(name)) FROM customers",
    "SELECT avg(balance::text::numeric) FROM customers",
    "SELECT sum(customer_id) FILTER (WHERE TRUE) FROM customers",
    "SELECT count(*) FROM customers HAVING name = 'a'",
    "SELECT count(*) FROM customers ORDER BY name",
    # conditions that can fail, move, or name single rows
    "SELECT count(*) FROM customers WHERE customer_id = 5",
    "SELECT count(*) FROM customers WHERE customer_id <> 5",
    "SELECT count(*) FROM customers WHERE 1 / (balance - 5) > 0",
    "SELECT count(*) FROM customers WHERE balance::integer > 5",
    "SELECT count(*) FROM customers WHERE name::integer > 5",
    "SELECT count(*) FROM customers WHERE length(name) > 5",
    "SELECT count(*) FROM customers WHERE name LIKE 'a\\'",
    "SELECT count(*) FROM customers WHERE name ~ 'a'",
    "SELECT count(*) FROM customers WHERE name = email",
    "SELECT count(*) FROM customers WHERE random() < 0.5",
    "SELECT count(*) FROM customers WHERE balance > (SELECT avg(ticket_id) FROM tickets)",
    "SELECT count(*) FROM customers WHERE EXISTS (SELECT 1 FROM tickets t WHERE t.subject = name)",
    "SELECT count(*) FROM customers TABLESAMPLE BERNOULLI (10)",
    "SELECT count(*) FROM ONLY customers",
    # joins separate rows
    "SELECT count(*) FROM customers c JOIN tickets t USING (customer_id)",
    "SELECT count(*) FROM customers, tickets",
    "SELECT count(*) FROM customers a, customers b",
    "SELECT t.subject, (SELECT count(*) FROM customers c WHERE c.name = t.subject) FROM tickets t",
    "SELECT t.subject, s.n FROM tickets t, LATERAL (SELECT count(*) n FROM customers c WHERE c.name = t.subject) s",
    "SELECT (SELECT max(t.subject) FROM tickets t WHERE t.subject = c.name) FROM customers c GROUP BY c.name",
    "SELECT count(*) FROM customers AS c(a, b)",
    # elsewhere
    "COPY (SELECT count(*) FROM customers) TO STDOUT",
    "INSERT INTO customers (name) SELECT 'a'",
    "UPDATE tickets SET subject = c.name FROM customers c",
    "UPDATE tickets SET subject = 'x' WHERE (SELECT count(*) FROM customers) > 5",
    "DELETE FROM tickets USING customers c",
    "SELECT count(*) FROM customers FOR UPDATE",
    # what would look like the guard, or like its marks
    "SELECT width_bucket(0, 0, CASE WHEN sum(balance) > 5 THEN 0 ELSE 1 END, 1) FROM customers",
    f"SELECT count(*) FROM customers HAVING {mark(0)}",
]


@pytest.mark.parametrize("sql", ADMITTED)
def test_what_is_computed_from_groups_is_admitted(sql: str) -> None:
    found = plan(sql, SCOPES)
    assert found.groupings
    assert Access("customers", "aggregate") in [Access(each.resource, each.verb) for each in found.accesses]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_could_tell_of_a_row_is_refused(sql: str) -> None:
    found = denial(sql, SCOPES)
    assert found.message
    assert found.remedy


@pytest.mark.parametrize("sql", ADMITTED)
def test_a_plan_by_itself_tells_nothing(sql: str) -> None:
    found = plan(sql, SCOPES)
    for place in range(len(found.groupings)):
        assert found.sql.count(mark(place)) == 1  # false, until it is replaced by the guard


def test_a_condition_of_the_agent_runs_only_over_groups_that_may_be_told() -> None:
    found = plan("SELECT name FROM customers GROUP BY name HAVING 1 / (sum(balance) - 5) > 0", SCOPES)
    assert "HAVING CASE WHEN count(*) >= 10 AND" in found.sql
    assert "THEN (1 / (pg_catalog.sum(balance) - 5)) > 0 ELSE false END" in found.sql


def test_a_condition_around_a_block_is_not_moved_into_it() -> None:
    found = plan("SELECT * FROM (SELECT name FROM customers GROUP BY name) s WHERE s.name::int > 5", SCOPES)
    assert "ELSE false END OFFSET 0) s" in found.sql


def test_a_group_is_told_only_with_enough_rows_that_have_a_value_and_that_have_none() -> None:
    found = plan("SELECT sum(balance) FROM customers", SCOPES).sql
    for test in ("IS NULL", "IS NOT NULL"):
        assert f"count(*) FILTER (WHERE customers.balance {test}) NOT BETWEEN 1 AND 9" in found


def test_fields_that_are_not_granted_do_not_exist() -> None:
    assert denial("SELECT sum(ssn) FROM customers", SCOPES).code == "field_not_granted"
    assert denial("SELECT count(*) FROM customers WHERE ssn = '1'", SCOPES).code == "field_not_granted"


def test_a_resource_that_can_be_read_is_not_held_to_aggregates() -> None:
    assert plan("SELECT subject FROM tickets", SCOPES).groupings == ()
    assert TICKETS.name == "tickets"


def test_equal_shapes_with_other_literals_are_other_groupings() -> None:
    writer = rewriter(SCOPES)
    found = [writer.rewrite(f"SELECT count(*) FROM customers WHERE balance > {n}")[0] for n in (1, 2)]
    told = [None if isinstance(each, Denial) else each.groupings[0].filter for each in found]
    assert told[0] != told[1]
