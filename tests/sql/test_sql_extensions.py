"""Extensions that a mount opens: what they bring is found, meant by its bare name, and leaks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from bailiwick.gateway.introspect import read_catalogue, read_tables
from bailiwick.model.decision import Denial
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.policy.load import load
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from tests.support.postgres import Database, Server

OPENED = ("citext", "fuzzystrmatch", "hstore", "ltree", "pg_trgm", "pgcrypto", "unaccent", "uuid-ossp")
SCRIPT = """
CREATE EXTENSION citext; CREATE EXTENSION pg_trgm; CREATE EXTENSION unaccent; CREATE EXTENSION fuzzystrmatch;
CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pgcrypto; CREATE EXTENSION dblink; CREATE EXTENSION tablefunc;
CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION ltree SCHEMA ext;
CREATE TABLE people (id int PRIMARY KEY, owner text, email citext, name text, short varchar(20), attrs ext.hstore,
    path ext.ltree);
INSERT INTO people SELECT i, CASE WHEN i > 2 THEN 'CANARY' ELSE 'us' END,
    (ARRAY['Ann@Mail.Test', 'bob@mail.test', 'CANARY@mail.test'])[i], (ARRAY['Jörg', 'John', 'CANARY'])[i],
    (ARRAY['alpha', 'beta', 'CANARY'])[i], ext.hstore('k', (ARRAY['v', 'w', 'CANARY'])[i]),
    (ARRAY['a.b', 'a.c', 'CANARY.x'])[i]::ext.ltree FROM generate_series(1, 3) AS i;
CREATE FUNCTION public.soundex(int) RETURNS text LANGUAGE sql AS $$ SELECT 'CANARY' $$;
CREATE FUNCTION public.hostile(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR public.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = public.hostile);
"""


@dataclass(frozen=True, slots=True)
class Opened:
    connection: psycopg.Connection
    direct: psycopg.Connection
    rewriter: Rewriter
    closed: Rewriter

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Run what the rewriter makes of a query."""
        (found,) = self.rewriter.rewrite(sql)
        assert isinstance(found, Plan), found
        return self.connection.execute(found.sql.encode()).fetchall()

    def expected(self, sql: str) -> list[tuple[object, ...]]:
        """Run the query over the rows of the scope as an ordinary user would."""
        return self.direct.execute(sql.encode()).fetchall()


def make_rewriter(database: Database, extensions: tuple[str, ...]) -> Rewriter:
    """Return the rewriter of a scope that reads our people."""
    tables = asyncio.run(read_tables(database.url(), {("public", "people")}))
    people = Resource("people", "m", "public", "people", ("id",))
    mount = Mount("m", "postgres", SecretRef("${URL}"), {"people": people}, extensions=extensions)
    catalogue = asyncio.run(read_catalogue(database.url(), mount, tables))
    columns = [column.name for column in tables["public", "people"].columns]
    read = ReadGrant("r", RowFilter((("owner", Equal("us")),)), dict.fromkeys(columns))
    return Rewriter(Scope("s", "bot", {"people": ResourceScope(people, (read,))}), catalogue, "m")


@pytest.fixture(scope="module")
def opened(servers: Callable[[int], Server]) -> Iterator[Opened]:
    database = servers(15).create(SCRIPT)
    with (
        psycopg.connect(database.url(), autocommit=True, options="-c search_path=pg_catalog,pg_temp") as connection,
        psycopg.connect(database.url(), autocommit=True, options="-c search_path=public,ext") as direct,
    ):
        direct.execute("CREATE TEMP TABLE people AS SELECT * FROM public.people WHERE owner = 'us'")
        yield Opened(connection, direct, make_rewriter(database, OPENED), make_rewriter(database, ()))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM people WHERE email = 'ann@mail.TEST'",
        "SELECT id FROM people WHERE email IN ('ANN@mail.test', 'x') OR email = ANY (ARRAY['BOB@mail.test'::citext])",
        "SELECT id FROM people WHERE email NOT IN ('ANN@MAIL.TEST') ORDER BY 1",
        "SELECT id FROM people WHERE email LIKE 'ANN%' OR email ILIKE 'b%' AND NOT email ~ '^X'",
        "SELECT id FROM people WHERE email BETWEEN 'A' AND 'B' OR email NOT BETWEEN 'a' AND 'c'",
        "SELECT email IS DISTINCT FROM 'BOB@MAIL.TEST', nullif(email, 'BOB@mail.test'), email <> 'x' FROM people",
        "SELECT id FROM people WHERE email IN (SELECT 'ANN@MAIL.TEST'::citext)",
        "SELECT email, count(*) FROM people GROUP BY email ORDER BY email",
        "SELECT a.id FROM people a JOIN people b ON a.email = b.email ORDER BY 1",
        "SELECT replace(email, 'MAIL', 'm'), split_part(email, 'MAIL', 1), max(email) FROM people GROUP BY id, 1, 2"
        " ORDER BY id",
        "SELECT id FROM people WHERE id > 0 AND email BETWEEN 'A' AND 'B' AND email NOT IN ('x', 'Y') AND id < 9",
        "SELECT citext('A') = 'a', 'A'::citext = 'a'::citext, email::text = 'ann@mail.test' FROM people",
        "SELECT id, similarity(name, 'Jon') > 0.2 FROM people WHERE name % 'John' OR short % 'alphas' ORDER BY 1",
        "SELECT id FROM people ORDER BY name <-> 'John', id",
        "SELECT word_similarity('jo', name), show_trgm(short) FROM people WHERE 'Jon' <% name OR name %> 'Joh'",
        "SELECT unaccent(name), levenshtein(name, 'John'), metaphone(short, 4), difference(short, 'x') FROM people",
        "SELECT encode(digest(name, 'sha256'), 'hex'), uuid_generate_v5(uuid_ns_url(), name) FROM people",
        "SELECT attrs -> 'k', attrs ? 'k', (attrs || 'a=>b'::hstore)::text, akeys(attrs) FROM people",
        "SELECT e.key, e.value FROM people p, each(p.attrs) e ORDER BY 2",
        "SELECT id FROM people WHERE path <@ 'a' AND path ~ 'a.*' ORDER BY nlevel(path), id",
        "SELECT id FROM people WHERE name OPERATOR(public.%) 'John'",
    ],
)
def test_what_an_extension_brings_means_the_same_as_directly(opened: Opened, sql: str) -> None:
    assert opened.rows(sql) == opened.expected(sql)


@pytest.mark.parametrize(
    ("refused", "twin"),
    [
        ("SELECT uuid_generate_v1()", "SELECT uuid_generate_v4()"),
        ("SELECT set_limit(0.1)", "SELECT show_limit()"),
        ("SELECT soundex(name) FROM people", "SELECT dmetaphone(name) FROM people"),
        ("SELECT * FROM dblink('x', 'y') AS t (a int)", "SELECT * FROM each('a=>b'::hstore) t (a, b)"),
        ("SELECT * FROM crosstab('x') AS t (a int)", "SELECT public.similarity('a', 'b')"),
        ("SELECT name OPERATOR(public.===) 'x' FROM people", "SELECT name OPERATOR(public.%) 'x' FROM people"),
        ("SELECT name OPERATOR(other.%) 'x' FROM people", "SELECT 5 OPERATOR(pg_catalog.%) 3"),
        ("SELECT * FROM people a JOIN people b USING (email)", "SELECT * FROM people a JOIN people b USING (id)"),
        ("SELECT CASE email WHEN 'a' THEN 1 END FROM people", "SELECT CASE WHEN email = 'a' THEN 1 END FROM people"),
    ],
)
def test_what_was_left_out_stays_closed(opened: Opened, refused: str, twin: str) -> None:
    assert isinstance(opened.rewriter.rewrite(refused)[0], Denial)
    (passed,) = opened.rewriter.rewrite(twin)
    assert isinstance(passed, Plan), passed
    opened.connection.execute(passed.sql.encode())


def test_nothing_of_an_extension_is_there_unless_it_is_opened(opened: Opened) -> None:
    for sql in ("SELECT similarity('a', 'b')", "SELECT 'a' OPERATOR(public.%) 'b'", "SELECT 'a=>b'::ext.cube"):
        assert isinstance(opened.closed.rewrite(sql)[0], Denial), sql


@pytest.mark.parametrize(
    ("sql", "fenced"),
    [
        ("SELECT id FROM people WHERE name % 'x'", True),
        ("SELECT id FROM people WHERE email = 'x'", True),
        ("SELECT id FROM people WHERE email IN (SELECT 'a'::citext)", True),
        ("SELECT id FROM people WHERE similarity(name, 'x') > 0.1", True),
        ("SELECT id FROM people WHERE name OPERATOR(public.%) 'x'", True),
        ("SELECT id, name % 'x' FROM people", False),
        ("SELECT id FROM people WHERE name = 'x'", False),
    ],
)
def test_an_operator_of_an_extension_raises_a_fence(opened: Opened, sql: str, fenced: bool) -> None:
    (found,) = opened.rewriter.rewrite(sql)
    assert isinstance(found, Plan)
    assert ("OFFSET 0" in found.sql) is fenced, found.sql


POLICY = """
bailiwick: 1
mounts:
  crm: {kind: postgres, url: "${URL}", resources: {people: {table: people}}, extensions: [%s]}
"""


def test_a_policy_opens_only_extensions_that_were_looked_at() -> None:
    refused = load({"policy.yaml": POLICY % "dblink"})
    assert [problem.code for problem in refused.problems] == ["bad_extension"]
    assert "`functions`" in str(refused.problems[0])
    passed = load({"policy.yaml": POLICY % "pg_trgm, citext"})
    assert passed.policy is not None
    assert passed.policy.mounts["crm"].extensions == ("pg_trgm", "citext")
