"""Cursors, prepared statements and EXPLAIN in the rewriter, without a database."""

from __future__ import annotations

import pytest

from bailiwick.model.decision import Access
from bailiwick.sql.plan import Constant, Declare, Drop, Fetch, Plan, Prepare, Run
from tests.sql.rewrite_samples import denial, plan

NAMES = (Access("customers", "read", ("name",)),)


def inner(sql: str) -> Plan:
    act = plan(sql).act
    assert isinstance(act, Prepare)
    return act.plan


def test_the_query_of_a_cursor_is_rewritten_and_its_values_are_bound() -> None:
    found = plan('DECLARE "My c" SCROLL CURSOR WITH HOLD FOR SELECT name FROM customers WHERE name = $1')
    assert found.sql.startswith('DECLARE "My c" SCROLL CURSOR WITH HOLD FOR SELECT name AS name FROM (SELECT bw')
    assert (found.kind, found.act, found.accesses) == ("SESSION", Declare("My c", True), NAMES)
    assert (found.first, len(found.bound)) == (2, 2)
    assert "$2::int" in found.sql


def test_a_cursor_is_held_only_when_it_says_so() -> None:
    assert plan("DECLARE c ASENSITIVE CURSOR WITHOUT HOLD FOR SELECT 1").act == Declare("c", False)
    assert plan("DECLARE c INSENSITIVE NO SCROLL CURSOR FOR SELECT 1").act == Declare("c", False)


@pytest.mark.parametrize("sql", ["FETCH c", "FETCH ALL FROM c", "FETCH BACKWARD 3 FROM c", "MOVE ABSOLUTE -1 IN c"])
def test_fetch_is_left_to_the_mount_with_the_name_of_its_cursor(sql: str) -> None:
    found = plan(sql)
    assert (found.kind, found.act, found.accesses) == ("READ", Fetch("c"), ())


def test_a_text_of_names_is_not_kept_by_its_shape() -> None:
    for count in (5, 6):
        assert plan(f"FETCH {count} FROM c").act == Fetch("c")
        assert plan(f"EXECUTE p ({count})").act == Run("p", (Constant(str(count)),))
        assert f"= {count}" in inner(f"PREPARE p AS SELECT name FROM customers WHERE customer_id = {count}").sql


def test_a_prepared_statement_declares_the_types_of_what_the_gateway_binds() -> None:
    found = plan("PREPARE p (int) AS SELECT name FROM customers WHERE customer_id = $1 OR name = $2")
    assert found.sql.startswith("PREPARE p(int, unknown, int, int) AS SELECT")
    assert found.accesses == (Access("customers", "read", ("customer_id", "name")),)
    made = inner("PREPARE p (int) AS SELECT name FROM customers WHERE customer_id = $1 OR name = $2")
    assert (made.kind, made.first, len(made.bound)) == ("READ", 3, 2)


def test_declared_parameters_count_though_they_are_not_used() -> None:
    assert inner("PREPARE p (int, text) AS SELECT name FROM customers").first == 3


def test_literals_stay_out_of_what_is_kept_of_a_statement() -> None:
    assert "secret" not in plan("PREPARE p AS SELECT name FROM customers WHERE name = 'secret'").statement
    assert plan("EXECUTE p ('secret', 5)").statement == 'EXECUTE "p" ($1, $2)'
    assert "secret" not in plan("DECLARE c CURSOR FOR SELECT name FROM customers WHERE name = 'secret'").statement


def test_arguments_are_constants() -> None:
    found = plan("EXECUTE p (1, -5, 1.50, 'it''s', NULL, true, ARRAY[1, 2], ARRAY['a\"b', NULL], ARRAY[[1], [2]])").act
    assert isinstance(found, Run)
    assert [each.text for each in found.arguments] == [
        "1",
        "-5",
        "1.50",
        "it's",
        None,
        "true",
        '{"1","2"}',
        '{"a\\"b",NULL}',
        '{{"1"},{"2"}}',
    ]


def test_a_declared_type_counts_in_what_must_be_fenced() -> None:
    """A comparison of other than equal types may not run before rows are hidden."""
    assert "OFFSET '0'::bigint" not in inner("PREPARE p (int) AS SELECT name FROM customers WHERE customer_id = $1").sql
    assert "OFFSET '0'::bigint" in inner("PREPARE p (numeric) AS SELECT name FROM customers WHERE customer_id = $1").sql


@pytest.mark.parametrize(
    ("sql", "act"),
    [
        ("CLOSE c", Drop(cursors=True, statements=False, name="c")),
        ("CLOSE ALL", Drop(cursors=True, statements=False)),
        ("DEALLOCATE PREPARE p", Drop(cursors=False, statements=True, name="p")),
        ("DEALLOCATE ALL", Drop(cursors=False, statements=True)),
        ("DISCARD ALL", Drop(cursors=True, statements=True)),
        ("DISCARD PLANS", None),
    ],
)
def test_what_is_dropped(sql: str, act: Drop | None) -> None:
    assert plan(sql).act == act


@pytest.mark.parametrize(
    ("sql", "code", "twin"),
    [
        ("DECLARE c CURSOR FOR SELECT ssn FROM customers", "field_not_granted", "DECLARE c CURSOR FOR SELECT 1"),
        ("PREPARE p AS SELECT ssn FROM customers", "field_not_granted", "PREPARE p AS SELECT name FROM customers"),
        ("PREPARE p (regclass) AS SELECT $1", "function_not_allowed", "PREPARE p (text) AS SELECT $1"),
        ("EXECUTE p ((SELECT 1))", "syntax_not_supported", "EXECUTE p (1)"),
        ("EXECUTE p (now())", "syntax_not_supported", "EXECUTE p ('now')"),
        ("EXECUTE p ($1)", "syntax_not_supported", "EXECUTE p ('$1')"),
        ("EXECUTE p ('1'::int)", "syntax_not_supported", "EXECUTE p ('1')"),
        ("EXECUTE p (B'1')", "syntax_not_supported", "EXECUTE p ('1')"),
        ("EXECUTE p (ARRAY[now()])", "syntax_not_supported", "EXECUTE p (ARRAY['now'])"),
        ("EXPLAIN SELECT name FROM customers", "statement_not_allowed", "SELECT name FROM customers"),
        ("EXPLAIN ANALYZE EXECUTE p", "statement_not_allowed", "EXECUTE p"),
    ],
)
def test_what_is_refused_and_its_twin(sql: str, code: str, twin: str) -> None:
    found = denial(sql)
    assert found.code == code
    assert found.remedy
    plan(twin)
