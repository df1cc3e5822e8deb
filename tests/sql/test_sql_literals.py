"""Texts that differ in literals only: cut, analysed once, filled again."""

from __future__ import annotations

import postgast
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.model.decision import Denial
from bailiwick.sql.literals import cut, form, twin
from bailiwick.sql.parser import without_places
from bailiwick.sql.plan import Plan
from tests.sql.rewrite_samples import plan, rewriter


def test_numbers_and_strings_are_cut_out() -> None:
    found = cut("SELECT t1.a2 FROM \"o 1\" WHERE x = 12 AND y = 'it''s' AND z = 1.5 AND w = $1 LIMIT 3")
    assert found is not None
    assert found.literals == ("12", "'it''s'", "3")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 -- 'x'",
        "SELECT /* 'x' */ 1",
        "SELECT E'a\\'b', 1",
        "SELECT U&'x', 1",
        "SELECT $$'$$, 1",
        "SELECT $a$'$a$, 1",
        "SELECT 'a'\n'b'",
        "SELECT b'101', 1",
        "SELECT 'open",
        'SELECT "open, 1',
        "SELECT x FROM t",
        "SELECT 'ß'",
    ],
)
def test_what_could_be_lexed_in_another_way_is_not_cut(sql: str) -> None:
    assert cut(sql) is None


def test_a_result_takes_the_literals_back() -> None:
    found = cut("SELECT 7, 'x', 'y''z'")
    assert found is not None
    text = twin(found)
    assert text is not None
    made = form(text, 3)
    assert made is not None
    assert made.fill(("1", "'a'", "'b'")) == "SELECT 1, 'a', 'b'"


def test_a_text_that_holds_a_stand_in_is_not_taken_for_one() -> None:
    found = cut("SELECT c1008 FROM t WHERE x = 5")
    assert found is not None
    assert twin(found) is None


LITERALS = st.one_of(
    st.integers(0, 999_999_999).map(str),
    st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=12).map(
        lambda text: "'" + text.replace("'", "''") + "'"
    ),
)
SHAPES = [
    "SELECT name FROM customers WHERE customer_id = {}",
    "SELECT name FROM customers WHERE customer_id = {} AND name = {} ORDER BY name LIMIT {}",
    "SELECT subject, {} AS x FROM tickets WHERE subject LIKE {} AND ticket_id = {}",
    "SELECT count(*), subject FROM tickets GROUP BY {}, subject HAVING count(*) > {}",
    "UPDATE tickets SET status = {} WHERE ticket_id = {} RETURNING subject, {}",
    "INSERT INTO customers (name, customer_id) VALUES ({}, {}), (-{}, {})",
    "SELECT - {}, {} - {}, ({})::int, interval {}, {} IN ({}, {})",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES), st.lists(LITERALS, min_size=8, max_size=8), st.lists(LITERALS, min_size=8, max_size=8))
def test_a_filled_form_is_what_a_fresh_analysis_gives(shape: str, first: list[str], second: list[str]) -> None:
    warm = rewriter()
    warm.rewrite(shape.format(*first))
    text = shape.format(*second)
    (filled,) = warm.rewrite(text)
    (fresh,) = rewriter().rewrite(text + " -- analysed as it is")
    if isinstance(fresh, Denial):
        assert isinstance(filled, Denial) or "--" in text or "/*" in text
        return
    assert isinstance(filled, Plan)
    assert filled.accesses == fresh.accesses
    assert filled.bound == fresh.bound
    assert _same(filled.sql, fresh.sql)


def _same(filled: str, fresh: str) -> bool:
    one, other = postgast.parse(filled), postgast.parse(fresh)
    return without_places(one) == without_places(other)


def test_a_value_that_decides_is_looked_at_every_time() -> None:
    warm = rewriter()
    (allowed,) = warm.rewrite("SELECT set_config('application_name', 'x', false)")
    (denied,) = warm.rewrite("SELECT set_config('role', 'x', false)")
    assert isinstance(allowed, Plan)
    assert isinstance(denied, Denial)


def test_a_repeated_shape_is_not_analysed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = rewriter()
    warm.rewrite("SELECT name FROM customers WHERE customer_id = 1")
    monkeypatch.setattr(warm, "_rewrite", None)
    (found,) = warm.rewrite("SELECT name FROM customers WHERE customer_id = 2")
    assert isinstance(found, Plan)
    assert found.sql.endswith("customer_id = 2")
    assert plan("SELECT name FROM customers WHERE customer_id = 2").sql == found.sql


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("SELECT name FROM customers WHERE customer_id = 5", ["customer_id = $3"]),
        ("SELECT name FROM customers WHERE customer_id > 5 AND NOT customer_id <= 9", ["> $3", "<= $4"]),
        ("SELECT name FROM customers WHERE customer_id = 5 LIMIT 3", ["customer_id = $3", "LIMIT $4"]),
        (
            "SELECT name FROM customers WHERE customer_id = 5 AND upper(name) = name",
            ["bw.customer_id = $3", "= $3 AND"],
        ),
    ],
)
def test_integers_that_columns_are_compared_with_can_be_parameters(text: str, parameters: list[str]) -> None:
    (found,) = rewriter().rewrite(text)
    assert isinstance(found, Plan)
    assert all(each in found.shaped for each in parameters)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM customers WHERE customer_id = 5 ORDER BY 1",
        "SELECT name, count(*) FROM customers WHERE customer_id = 5 GROUP BY 1",
        "SELECT 7, name FROM customers WHERE customer_id = 5",
        "SELECT name FROM customers WHERE customer_id = -5",
        "SELECT name FROM customers WHERE customer_id = 5::bigint",
        "SELECT name FROM customers WHERE customer_id + 1 = 5",
        "SELECT name FROM customers WHERE customer_id = 5 AND name = 'x'",
        "SELECT name FROM customers WHERE customer_id = $1 AND customer_id = 5",
        "SELECT name FROM customers WHERE name::varchar(5) = name",
        "SELECT customer_id = 5 FROM customers GROUP BY customer_id = 5",
        "SELECT (SELECT name FROM customers WHERE customer_id = 5)",
        "SELECT name FROM customers WHERE customer_id = 5 FOR UPDATE",
        "SELECT name FROM customers WHERE customer_id = 5 UNION SELECT name FROM customers WHERE customer_id = 6",
        "UPDATE tickets SET status = status WHERE ticket_id = 5",
    ],
)
def test_no_other_literal_becomes_a_parameter(text: str) -> None:
    (found,) = rewriter().rewrite(text)
    assert isinstance(found, Denial) or not found.shaped
