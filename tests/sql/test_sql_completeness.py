"""Constructs beyond the plain ones: each passes inside the scope, shows nothing outside it, and is fenced where it
could tell something of hidden rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from bailiwick.gateway.backends.introspect import read_catalogue
from bailiwick.model.decision import Access, Denial
from bailiwick.model.policy import Mount, SecretRef
from bailiwick.model.scope import Scope
from bailiwick.sql.plan import Plan
from bailiwick.sql.results import OWN
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import snapshot
from tests.sql.rewrite_samples import LOCK, MOUNT, denial, plan, resources, rewriter
from tests.support.postgres import Database

_COLUMNS = "COLUMNS (a int PATH '$.a')"
REFUSED_AND_TWIN = [
    ("SELECT JSON_VALUE(ssn, '$.a') FROM customers", "SELECT JSON_VALUE(name, '$.a') FROM customers"),
    ("SELECT JSON_VALUE('{}', ssn::jsonpath) FROM customers", "SELECT JSON_VALUE('{}', name::jsonpath) FROM customers"),
    (
        "SELECT JSON_QUERY('{}', '$.a' PASSING ssn AS x) FROM customers",
        "SELECT JSON_QUERY('{}', '$.a' PASSING name AS x) FROM customers",
    ),
    (
        "SELECT JSON_VALUE(name, '$.a' DEFAULT ssn ON EMPTY) FROM customers",
        "SELECT JSON_VALUE(name, '$.a' DEFAULT 'x' ON EMPTY) FROM customers",
    ),
    (
        "SELECT JSON_VALUE(name, '$.a' DEFAULT 'x' ON EMPTY DEFAULT pg_read_file('x') ON ERROR) FROM customers",
        "SELECT JSON_VALUE(name, '$.a' DEFAULT 'x' ON EMPTY DEFAULT upper('x') ON ERROR) FROM customers",
    ),
    ("SELECT JSON_EXISTS(ssn, '$.a') FROM customers", "SELECT JSON_EXISTS(name, '$.a') FROM customers"),
    (
        "SELECT JSON_VALUE(name, '$' RETURNING regclass) FROM customers",
        "SELECT JSON_VALUE(name, '$' RETURNING text) FROM customers",
    ),
    (
        "SELECT JSON_VALUE(name, '$' RETURNING hr.evil) FROM customers",
        "SELECT JSON_VALUE(name, '$' RETURNING int8) FROM customers",
    ),
    ("SELECT JSON(ssn) FROM customers", "SELECT JSON(name) FROM customers"),
    ("SELECT JSON_SCALAR(ssn) FROM customers", "SELECT JSON_SCALAR(name) FROM customers"),
    ("SELECT JSON_SERIALIZE(ssn) FROM customers", "SELECT JSON_SERIALIZE(name) FROM customers"),
    (
        "SELECT JSON_SERIALIZE(name RETURNING hr.evil) FROM customers",
        "SELECT JSON_SERIALIZE(name RETURNING bytea) FROM customers",
    ),
    ("SELECT JSON_ARRAY(SELECT ssn FROM customers)", "SELECT JSON_ARRAY(SELECT name FROM customers)"),
    ("SELECT JSON_ARRAY(SELECT 1 FROM secrets)", "SELECT JSON_ARRAY(SELECT 1 FROM tickets)"),
    ("SELECT JSON_ARRAYAGG(ssn) FROM customers", "SELECT JSON_ARRAYAGG(name) FROM customers"),
    (
        "SELECT JSON_ARRAYAGG(name ORDER BY ssn) FROM customers",
        "SELECT JSON_ARRAYAGG(name ORDER BY name) FROM customers",
    ),
    (
        "SELECT JSON_OBJECTAGG(name: 1) FILTER (WHERE ssn = 'x') FROM customers",
        "SELECT JSON_OBJECTAGG(name: 1) FILTER (WHERE name = 'x') FROM customers",
    ),
    (
        f"SELECT t.a FROM customers c, JSON_TABLE(c.ssn, '$' {_COLUMNS}) t",
        f"SELECT t.a FROM customers c, JSON_TABLE(c.name, '$' {_COLUMNS}) t",
    ),
    (
        f"SELECT t.a FROM customers c, JSON_TABLE('1', '$' PASSING c.ssn AS x {_COLUMNS}) t",
        f"SELECT t.a FROM customers c, JSON_TABLE('1', '$' PASSING c.name AS x {_COLUMNS}) t",
    ),
    (
        "SELECT t.a FROM customers, JSON_TABLE(name, '$' COLUMNS (a text DEFAULT ssn ON EMPTY)) t",
        "SELECT t.a FROM customers, JSON_TABLE(name, '$' COLUMNS (a text DEFAULT 'x' ON EMPTY)) t",
    ),
    (
        "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (NESTED '$.b' COLUMNS (a text DEFAULT (SELECT ssn FROM customers)"
        " ON ERROR))) t",
        "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (NESTED '$.b' COLUMNS (a text DEFAULT (SELECT name FROM customers)"
        " ON ERROR))) t",
    ),
    (
        "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (a regclass PATH '$.a')) t",
        "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (a text PATH '$.a')) t",
    ),
    (
        "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (NESTED '$.b' COLUMNS (a hr.evil))) t",
        "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (NESTED '$.b' COLUMNS (a jsonb))) t",
    ),
    (f"SELECT t.b FROM JSON_TABLE('1', '$' {_COLUMNS}) t", f"SELECT t.a FROM JSON_TABLE('1', '$' {_COLUMNS}) t"),
    (
        f"SELECT x FROM JSON_TABLE('1', '$' {_COLUMNS}) t (x), customers WHERE t.ssn = 1",
        f"SELECT x FROM JSON_TABLE('1', '$' {_COLUMNS}) t (x), customers WHERE t.x = 1",
    ),
    (
        "SELECT x.a FROM customers, XMLTABLE('/a' PASSING ssn COLUMNS a text) x",
        "SELECT x.a FROM customers, XMLTABLE('/a' PASSING name COLUMNS a text) x",
    ),
    (
        "SELECT x.a FROM customers, XMLTABLE(ssn PASSING '<a/>' COLUMNS a text) x",
        "SELECT x.a FROM customers, XMLTABLE(name PASSING '<a/>' COLUMNS a text) x",
    ),
    (
        "SELECT x.a FROM customers, XMLTABLE('/a' PASSING '<a/>' COLUMNS a text PATH ssn) x",
        "SELECT x.a FROM customers, XMLTABLE('/a' PASSING '<a/>' COLUMNS a text PATH name) x",
    ),
    (
        "SELECT x.a FROM customers, XMLTABLE('/a' PASSING '<a/>' COLUMNS a text DEFAULT ssn) x",
        "SELECT x.a FROM customers, XMLTABLE('/a' PASSING '<a/>' COLUMNS a text DEFAULT name) x",
    ),
    (
        "SELECT 1 FROM customers, XMLTABLE(XMLNAMESPACES(ssn AS z), '/a' PASSING '<a/>' COLUMNS a text) x",
        "SELECT 1 FROM customers, XMLTABLE(XMLNAMESPACES('u' AS z), '/a' PASSING '<a/>' COLUMNS a text) x",
    ),
    (
        "SELECT 1 FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS a regproc) x",
        "SELECT 1 FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS a numeric(3, 1)) x",
    ),
    (
        "SELECT 1 FROM kb.articles TABLESAMPLE bernoulli ((SELECT count(*) FROM customers))",
        "SELECT 1 FROM kb.articles TABLESAMPLE bernoulli ((SELECT 5))",
    ),
    (
        "SELECT (SELECT 1 FROM kb.articles TABLESAMPLE bernoulli (length(name))) FROM customers",
        "SELECT (SELECT 1 FROM kb.articles TABLESAMPLE bernoulli (length('ab'))) FROM customers",
    ),
    (
        "SELECT 1 FROM kb.articles TABLESAMPLE bernoulli (pg_sleep(1)::text::real)",
        "SELECT 1 FROM kb.articles TABLESAMPLE bernoulli ($1)",
    ),
    ("SELECT 1 FROM kb.articles TABLESAMPLE public.system (1)", "SELECT 1 FROM kb.articles TABLESAMPLE SYSTEM (1)"),
    (
        "SELECT 1 FROM tickets TABLESAMPLE bernoulli (5) REPEATABLE (1)",
        "SELECT 1 FROM kb.articles TABLESAMPLE bernoulli (5) REPEATABLE (1)",
    ),
    (
        "WITH q AS (SELECT 1) SELECT * FROM q TABLESAMPLE bernoulli (5)",
        "WITH q AS (SELECT * FROM tickets TABLESAMPLE bernoulli (5)) SELECT * FROM q",
    ),
    ("SELECT ssn FROM tickets TABLESAMPLE bernoulli (5)", "SELECT subject FROM tickets TABLESAMPLE bernoulli (5)"),
    ("SELECT (jsonb_each(ssn)).key FROM customers", "SELECT (jsonb_each(name)).key FROM customers"),
    ("SELECT (jsonb_each(name)).to_secret FROM customers", "SELECT (jsonb_each(name)).value FROM customers"),
    (
        "SELECT (jsonb_array_elements(name)).value FROM customers",
        "SELECT e.value FROM customers, jsonb_array_elements(name) e",
    ),
    ("SELECT (pg_ls_dir('.')).*", "SELECT (json_each_text('{}')).*"),
    ("SELECT (upper(name)).* FROM customers", "SELECT (json_each(name)).* FROM customers"),
    (
        "SELECT j.ssn FROM (customers JOIN tickets USING (customer_id)) AS j",
        "SELECT j.name FROM (customers JOIN tickets USING (customer_id)) AS j",
    ),
    (
        "SELECT ticket_id, subject FROM tickets GROUP BY customer_id, ssn",
        "SELECT ticket_id, subject FROM tickets GROUP BY 1",
    ),
]


@pytest.mark.parametrize(("refused", "twin"), REFUSED_AND_TWIN)
def test_the_neighbour_of_a_refused_statement_passes(refused: str, twin: str) -> None:
    assert "ssn" not in denial(refused).allowed
    assert not [each for each in rewriter().rewrite(twin) if isinstance(each, Denial)]


FENCED = [
    ("SELECT * FROM tickets WHERE JSON_VALUE(subject, '$.a') = 'x'", True),
    ("SELECT * FROM tickets WHERE JSON_EXISTS(subject, '$.a')", True),
    ("SELECT * FROM tickets WHERE JSON_EXISTS('{}', '$.a' PASSING subject AS x)", True),
    ("SELECT * FROM tickets WHERE JSON_VALUE('{}', '$.a' DEFAULT subject ON EMPTY) = 'x'", True),
    ("SELECT * FROM tickets WHERE JSON_SERIALIZE(subject) = 'x'", True),
    ("SELECT * FROM tickets WHERE JSON_SCALAR(mood) IS NULL", True),
    ("SELECT * FROM tickets WHERE JSON(subject) IS NULL", True),
    ("SELECT * FROM tickets t WHERE JSON_ARRAY(SELECT t.subject::int) IS NULL", True),
    ("SELECT * FROM tickets t WHERE JSON_ARRAY(SELECT 1 FROM kb.articles WHERE id = t.ticket_id) IS NULL", False),
    ("SELECT * FROM tickets t WHERE (SELECT JSON_OBJECTAGG(t.subject: a.id) FROM kb.articles a) IS NULL", True),
    ("SELECT * FROM tickets t WHERE (SELECT json_object_agg(t.subject, a.id) FROM kb.articles a) IS NULL", True),
    ("SELECT JSON_VALUE(subject, '$.a') FROM tickets", False),
    ("SELECT JSON_ARRAYAGG(subject::int) FROM tickets", False),
    ("SELECT * FROM tickets t, JSON_TABLE(t.subject, '$' COLUMNS (a int)) j", True),
    ("SELECT * FROM tickets t, JSON_TABLE('1', '$' PASSING t.subject AS s COLUMNS (a int)) j", True),
    ("SELECT * FROM tickets t, JSON_TABLE('1', '$' COLUMNS (a int)) j WHERE t.ticket_id = 1", False),
    ("SELECT * FROM tickets t, XMLTABLE('/a' PASSING t.subject COLUMNS a int) j", True),
    ("SELECT * FROM tickets t, XMLTABLE('/a' PASSING '<a/>' COLUMNS a int DEFAULT t.ticket_id) j", True),
    ("SELECT * FROM tickets t, XMLTABLE(t.subject PASSING '<a/>' COLUMNS a int) j", True),
    ("SELECT * FROM tickets TABLESAMPLE bernoulli (5) WHERE subject::int = 5", True),
    ("SELECT * FROM tickets TABLESAMPLE bernoulli (5) WHERE ticket_id = 5", False),
    ("SELECT * FROM tickets WHERE (jsonb_each(subject)).key = 'x'", True),
    ("SELECT * FROM (SELECT (jsonb_each(subject)).* FROM tickets) q WHERE key = 'x'", True),
    ("SELECT * FROM (SELECT subject::int, ticket_id FROM tickets) q (a, b) WHERE a = 1", True),
    (
        "SELECT * FROM (SELECT * FROM (SELECT ticket_id, subject::int AS n FROM tickets) q JOIN kb.articles ON true) r"
        " (x, y, z) WHERE y = 1",
        True,
    ),
    (
        "SELECT * FROM (SELECT * FROM (SELECT subject::int AS n, ticket_id AS id FROM tickets) q"
        " JOIN kb.articles USING (id)) r (x, y) WHERE y = 1",
        True,
    ),
]


@pytest.mark.parametrize(("sql", "fenced"), FENCED)
def test_only_what_could_tell_something_raises_a_fence(sql: str, fenced: bool) -> None:
    found = plan(sql)
    assert ("OFFSET '0'::bigint" in found.sql) is fenced, found.sql


def test_a_sample_is_taken_of_the_relation_inside_its_scoped_form() -> None:
    sql = plan("SELECT subject FROM tickets t TABLESAMPLE SYSTEM (10) WHERE ticket_id = 5").sql
    assert "FROM public.tickets bw TABLESAMPLE bernoulli(10) WHERE bw.customer_id" in sql
    known = plan("SELECT title FROM kb.articles TABLESAMPLE SYSTEM (10) REPEATABLE (3)").sql
    assert "FROM kb.articles bw TABLESAMPLE system(10) REPEATABLE (3)) articles" in known


def test_columns_read_through_other_names_are_accesses_of_their_own_names() -> None:
    assert plan("SELECT b FROM tickets t (a, b)").accesses == (Access("tickets", "read", ("customer_id",)),)
    joined = plan("SELECT j.y FROM (tickets t JOIN kb.articles a ON t.ticket_id = a.id) AS j (x, q, y)").accesses
    assert Access("tickets", "read", ("subject", "ticket_id")) in joined
    starred = plan("SELECT * FROM (customers JOIN tickets USING (customer_id)) AS j").accesses
    assert Access("customers", "read", ("customer_id", "email", "name")) in starred


@pytest.mark.parametrize(
    ("sql", "ending"),
    [
        ("SELECT ticket_id AS t, subject FROM tickets GROUP BY t", "GROUP BY t, tickets.subject"),
        ("SELECT ticket_id, subject FROM tickets GROUP BY 1", "GROUP BY 1, tickets.subject"),
        ("SELECT k, s FROM tickets x (k, c, s) GROUP BY k", "GROUP BY k, x.s"),
        (
            "SELECT ticket_id, status, subject FROM tickets GROUP BY ticket_id, GROUPING SETS ((status), ())",
            "GROUP BY ticket_id, GROUPING SETS (status, ()), tickets.subject",
        ),
        ("SELECT status FROM tickets GROUP BY ROLLUP (ticket_id), status", "GROUP BY ROLLUP (ticket_id), status"),
        ("SELECT max(subject) FROM tickets GROUP BY ticket_id", "GROUP BY ticket_id"),
        ("SELECT 1 FROM tickets WHERE subject = 'x' GROUP BY ticket_id", "GROUP BY ticket_id"),
    ],
)
def test_what_a_grouped_key_implies_is_grouped_by_too(sql: str, ending: str) -> None:
    assert plan(sql).sql.endswith(ending)


def test_a_position_of_group_by_is_not_taken_for_any_other_number() -> None:
    warm = rewriter()
    first = warm.rewrite("SELECT status, ticket_id, subject FROM tickets GROUP BY 1, 2, 3")
    second = warm.rewrite("SELECT status, ticket_id, subject FROM tickets GROUP BY 2, 1, 2")
    assert [isinstance(each, Plan) and each.sql[-20:] for each in (*first, *second)] == [
        "ickets GROUP BY 1, 2, 3"[-20:],
        "BY 2, 1, 2, tickets.subject"[-20:],
    ]


def test_functions_of_the_policy_have_the_columns_that_the_catalogue_says() -> None:
    catalogue = replace(snapshot(MOUNT, LOCK), results={("kb", "found"): ("id", "title")})
    made = Rewriter(Scope("s", "bot", resources()), catalogue, "crm", ("kb.found",))
    for sql in ("SELECT f.title FROM kb.found(1) f", "SELECT (found(1)).title", "SELECT (kb.found(1)).*"):
        assert isinstance(made.rewrite(sql)[0], Plan), sql
    for sql in ("SELECT f.secret FROM kb.found(1) f", "SELECT (kb.found(1)).pg_read_file", "SELECT (hr.found(1)).id"):
        assert isinstance(made.rewrite(sql)[0], Denial), sql


def test_the_columns_of_built_in_functions_are_those_of_the_server(database: Database) -> None:
    found = database.rows(
        "SELECT DISTINCT p.proname, (SELECT array_agg(u.n ORDER BY u.i) FROM unnest(p.proargnames, p.proargmodes)"
        " WITH ORDINALITY AS u (n, m, i) WHERE u.m IN ('o', 't')) FROM pg_proc AS p"
        " WHERE p.pronamespace = 11 AND p.proname = ANY (%s)",
        (sorted(OWN),),
    )
    assert {str(name): tuple(cast("list[str]", columns)) for name, columns in found} == dict(OWN)
    assert len(found) == len(OWN)


_FUNCTIONS = """
CREATE TABLE pair (a int, b text);
CREATE FUNCTION listed() RETURNS TABLE (id int, title text) LANGUAGE sql AS $$ SELECT 1, 'x' $$;
CREATE FUNCTION given(x int, OUT y int, INOUT z int) LANGUAGE sql AS $$ SELECT 1, 2 $$;
CREATE FUNCTION rows_of() RETURNS SETOF pair LANGUAGE sql AS $$ TABLE pair $$;
CREATE FUNCTION plain(x int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION differs(x int, OUT y int, OUT z int) LANGUAGE sql AS $$ SELECT 1, 2 $$;
CREATE FUNCTION differs(x text, OUT a int, OUT b int) LANGUAGE sql AS $$ SELECT 1, 2 $$;
CREATE FUNCTION hidden() RETURNS TABLE (id int) LANGUAGE sql AS $$ SELECT 1 $$;
"""


def test_the_catalogue_tells_what_the_functions_of_the_policy_return(new_database: Callable[[str], Database]) -> None:
    names = tuple(f"public.{name}" for name in ("listed", "given", "rows_of", "plain", "differs"))
    mount = Mount("crm", "postgres", SecretRef("${CRM_URL}"), {}, sql=True, functions=names)
    catalogue = asyncio.run(read_catalogue(new_database(_FUNCTIONS).url(), mount, {}))
    assert catalogue.results == {
        ("public", "listed"): ("id", "title"),
        ("public", "given"): ("y", "z"),
        ("public", "rows_of"): ("a", "b"),
    }
