"""Extensions that a mount opens: what they bring is found, meant by its bare name, and leaks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from bailiwick.gateway.backends.introspect import read_catalogue, read_extensions, read_tables
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock
from bailiwick.model.matcher import Equal
from bailiwick.model.policy import Mount, Resource, SecretRef
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import parse_lock, render_lock
from bailiwick.sql.extension_lists import REVIEWED, names_of
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.snapshot import snapshot
from tests.support.installed import installations
from tests.support.postgres import Database, Server

VERSION = next(version for version in (15, 17, 16) if version in installations())
"""The first that comes with the extensions; the wheel's has none but pgvector."""
pytestmark = pytest.mark.xdist_group(f"extensions-{VERSION}")
OPENED = tuple(name for name in REVIEWED if name != "vector")
SCRIPT = """
CREATE EXTENSION citext; CREATE EXTENSION pg_trgm; CREATE EXTENSION unaccent; CREATE EXTENSION fuzzystrmatch;
CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pgcrypto; CREATE EXTENSION dblink; CREATE EXTENSION tablefunc;
CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION ltree SCHEMA ext;
CREATE EXTENSION cube SCHEMA ext; CREATE EXTENSION seg SCHEMA ext; CREATE EXTENSION isn SCHEMA ext;
CREATE EXTENSION intarray SCHEMA ext;
CREATE TABLE people (id int PRIMARY KEY, owner text, email citext, name text, short varchar(20), attrs ext.hstore,
    path ext.ltree, place ext.cube, span ext.seg, book ext.isbn, marks int[]);
INSERT INTO people SELECT i, CASE WHEN i > 2 THEN 'CANARY' ELSE 'us' END,
    (ARRAY['Ann@Mail.Test', 'bob@mail.test', 'CANARY@mail.test'])[i], (ARRAY['Jörg', 'John', 'CANARY'])[i],
    (ARRAY['alpha', 'beta', 'CANARY'])[i], ext.hstore('k', (ARRAY['v', 'w', 'CANARY'])[i]),
    (ARRAY['a.b', 'a.c', 'CANARY.x'])[i]::ext.ltree, ext.cube(i, i + 1), (i || ' .. ' || i + 2)::ext.seg,
    (ARRAY['0-393-04002-X', '0-19-852663-6', '0-7167-0344-0'])[i]::ext.isbn, ARRAY[i, i + 1, 9]
    FROM generate_series(1, 3) AS i;
CREATE FUNCTION public.soundex(int) RETURNS text LANGUAGE sql AS $$ SELECT 'CANARY' $$;
CREATE FUNCTION public.hostile(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR public.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = public.hostile);
ALTER FUNCTION public.levenshtein(text, text) SECURITY DEFINER;
"""


@dataclass(frozen=True, slots=True)
class Opened:
    connection: psycopg.Connection
    direct: psycopg.Connection
    rewriter: Rewriter
    closed: Rewriter
    offline: Rewriter
    """Of the lock alone."""
    offline_closed: Rewriter
    """Of the same lock, under a policy that opens none by name."""

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Run what the rewriter makes of a query."""
        (found,) = self.rewriter.rewrite(sql)
        assert isinstance(found, Plan), found
        return self.connection.execute(found.sql.encode()).fetchall()

    def expected(self, sql: str) -> list[tuple[object, ...]]:
        """Run the query over the rows of the scope as an ordinary user would."""
        return self.direct.execute(sql.encode()).fetchall()


def make_rewriter(database: Database, extensions: tuple[str, ...], lock: Lock | None = None) -> Rewriter:
    """Return the rewriter of a scope that reads our people; with a lock, of that alone."""
    tables = asyncio.run(read_tables(database.url(), {("public", "people")}))
    people = Resource("people", "m", "public", "people", ("id",))
    mount = Mount("m", "postgres", SecretRef("${URL}"), {"people": people}, extensions=extensions)
    catalogue = snapshot(mount, lock) if lock else asyncio.run(read_catalogue(database.url(), mount, tables))
    columns = [column.name for column in tables["public", "people"].columns]
    read = ReadGrant("r", RowFilter((("owner", Equal("us")),)), dict.fromkeys(columns))
    return Rewriter(Scope("s", "bot", {"people": ResourceScope(people, (read,))}), catalogue, "m")


def make_lock(database: Database, extensions: tuple[str, ...]) -> Lock:
    """Return what `bailiwick accept` would write, as it would be read again."""
    tables = asyncio.run(read_tables(database.url(), {("public", "people")}))
    people = Resource("people", "m", "public", "people", ("id",))
    mount = Mount("m", "postgres", SecretRef("${URL}"), {"people": people}, extensions=extensions)
    brought = asyncio.run(read_extensions(database.url(), mount))
    lock = Lock({"m": tables}, extensions={"m": brought})
    assert parse_lock(render_lock(lock)) == lock
    return lock


@pytest.fixture(scope="module")
def opened(servers: Callable[[int], Server]) -> Iterator[Opened]:
    database = servers(VERSION).create(SCRIPT)
    with (
        psycopg.connect(database.url(), autocommit=True, options="-c search_path=pg_catalog,pg_temp") as connection,
        psycopg.connect(database.url(), autocommit=True, options="-c search_path=public,ext") as direct,
    ):
        direct.execute("CREATE TEMP TABLE people AS SELECT * FROM public.people WHERE owner = 'us'")
        lock = make_lock(database, OPENED)
        live, offline = [
            (make_rewriter(database, OPENED, known), make_rewriter(database, (), known)) for known in (None, lock)
        ]
        yield Opened(connection, direct, *live, *offline)


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
        "SELECT unaccent(name), levenshtein_less_equal(name, 'Jo', 9), metaphone(short, 4), difference(short, 'x')"
        " FROM people",
        "SELECT encode(digest(name, 'sha256'), 'hex'), uuid_generate_v5(uuid_ns_url(), name) FROM people",
        "SELECT attrs -> 'k', attrs ? 'k', (attrs || 'a=>b'::hstore)::text, akeys(attrs) FROM people",
        "SELECT e.key, e.value FROM people p, each(p.attrs) e ORDER BY 2",
        "SELECT id FROM people WHERE path <@ 'a' AND path ~ 'a.*' ORDER BY nlevel(path), id",
        "SELECT id FROM people WHERE name OPERATOR(public.%) 'John'",
        "SELECT id FROM people WHERE email = lower('BOB@MAIL.TEST')",
        "SELECT id FROM people WHERE email = ANY (ARRAY['BOB@mail.test']) OR email = ANY ('{ANN@mail.test}')",
        "SELECT id FROM people WHERE email IN ('ANN@mail.test', lower('BOB@MAIL.TEST'))",
        "SELECT id FROM people WHERE CASE WHEN id > 0 THEN email END = 'BOB@mail.test'",
        "SELECT coalesce(email, 'x') = 'ANN@mail.test', max(email) > 'A' FROM people GROUP BY email ORDER BY email",
        "SELECT id - 1, id + 1, id # 3, id & 1 FROM people ORDER BY 1",
        "SELECT (SELECT p.id FROM people p WHERE p.email = 'BOB@mail.test') - 1",
        "SELECT marks && ARRAY[2, 5], marks @> ARRAY[9], marks | 4, marks - 9, # marks, icount(marks), idx(marks, 9)"
        " FROM people ORDER BY id",
        "SELECT sort(marks, 'desc'), uniq(marks), subarray(marks, 1, 1), marks @@ '1&9'::query_int FROM people",
        "SELECT place <-> cube(0), place && '(1),(9)'::cube, cube_dim(place), place -> 1 FROM people ORDER BY id",
        "SELECT span @> '1.5'::seg, span << '9', seg_lower(span) FROM people ORDER BY id",
        "SELECT book, book = '0-393-04002-X', is_valid(book), isbn13(book::ean13) FROM people ORDER BY id",
        "SELECT count(*) FROM normal_rand(5, 0, 1)",
        "SELECT id FROM people WHERE attrs -> 'k' = 'v' OR attrs @> 'k=>w' ORDER BY id",
        "SELECT attrs -> 'k' || 'x', (attrs -> ARRAY['k'])[1], attrs - 'k'::text, delete(attrs, 'k') FROM people",
        "SELECT p.id FROM people p WHERE p.email IN (SELECT q.email FROM people q WHERE q.id = 2)",
        "SELECT nullif((SELECT max(q.email) FROM people q), 'BOB@mail.test')",
        "SELECT (SELECT min(q.email) FROM people q) BETWEEN 'a' AND 'c'",
    ],
)
def test_what_an_extension_brings_means_the_same_as_directly(opened: Opened, sql: str) -> None:
    assert opened.rows(sql) == opened.expected(sql)
    (known,) = opened.offline.rewrite(sql)
    assert isinstance(known, Plan), known  # so says `explain` without the database


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
        ("SELECT levenshtein('a', 'b')", "SELECT levenshtein_less_equal('a', 'b', 3)"),
        ("SELECT unaccent('public.unaccent', name) FROM people", "SELECT unaccent(name) FROM people"),
        ("SELECT isn_weak(true)", "SELECT make_valid('0-393-04002-X'::isbn)"),
        ("SELECT * FROM crosstab2('SELECT 1')", "SELECT * FROM normal_rand(1, 0, 1)"),
        ("SELECT * FROM connectby('people', 'a', 'b', '1', 0) AS t (a text)", "SELECT * FROM normal_rand(1, 0, 1)"),
        ("SELECT (email, id) = ('a', 1) FROM people", "SELECT (name, id) = ('a', 1) FROM people"),
        (
            "SELECT 1 FROM people WHERE (email, id) IN (SELECT email, id FROM people)",
            "SELECT email IN ('a') FROM people",
        ),
        ("SELECT citext_cmp('a', 'b')", "SELECT 'a'::citext < 'b'"),
        ("SELECT 'a'::ghstore", "SELECT 'a=>b'::hstore"),
        ("SELECT CASE email WHEN 'a' THEN 1 END FROM people", "SELECT CASE WHEN email = 'a' THEN 1 END FROM people"),
    ],
)
def test_what_was_left_out_stays_closed(opened: Opened, refused: str, twin: str) -> None:
    assert isinstance(opened.rewriter.rewrite(refused)[0], Denial)
    assert isinstance(opened.offline.rewrite(refused)[0], Denial)
    assert isinstance(opened.offline.rewrite(twin)[0], Plan)
    (passed,) = opened.rewriter.rewrite(twin)
    assert isinstance(passed, Plan), passed
    opened.connection.execute(passed.sql.encode())


def test_nothing_of_an_extension_is_there_unless_it_is_opened_or_a_column_is_of_its_type(opened: Opened) -> None:
    for sql in ("SELECT similarity('a', 'b')", "SELECT 'a' OPERATOR(public.%) 'b'", "SELECT soundex('a')"):
        assert isinstance(opened.closed.rewrite(sql)[0], Denial), sql
        assert isinstance(opened.offline_closed.rewrite(sql)[0], Denial), sql
    for sql in ("SELECT id FROM people WHERE email = 'ANN@mail.test'", "SELECT attrs -> 'k' FROM people"):
        assert isinstance(opened.offline_closed.rewrite(sql)[0], Plan), sql
        (found,) = opened.closed.rewrite(sql)
        assert isinstance(found, Plan), found
        assert opened.connection.execute(found.sql.encode()).fetchall() == opened.expected(sql)


def test_what_is_written_otherwise_stays_within_the_scope(opened: Opened) -> None:
    for form in ("{} IN ('a', 'b')", "nullif({}, 'b')", "{} BETWEEN 'a' AND 'b'", "{} IS DISTINCT FROM 'a'"):
        inner = "(SELECT q.email FROM public.people q WHERE q.id = 3)"
        assert opened.rows(f"SELECT {form.format(inner)}") == opened.expected(f"SELECT {form.format('NULL::citext')}")


def test_every_name_on_the_lists_is_one_of_the_extension(opened: Opened) -> None:
    newer = {("fuzzystrmatch", "daitch_mokotoff"), ("ltree", "hash_ltree")}
    member = """SELECT e.extname, p.proname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        JOIN pg_{0} p ON p.oid = d.objid WHERE d.classid = 'pg_{0}'::regclass AND d.deptype = 'e'"""
    for kind, table, name in (
        ("function", "proc", "proname"),
        ("operator", "operator", "oprname"),
        ("type", "type", "typname"),
    ):
        known = set(opened.direct.execute(member.format(table).replace("proname", name).encode()).fetchall())
        assert set(names_of(kind, frozenset(OPENED))) - newer <= known


def test_vectors_are_compared_and_averaged(new_database: Callable[[str], Database]) -> None:
    database = new_database(
        "CREATE EXTENSION vector; CREATE TABLE people (id int PRIMARY KEY, owner text, v vector(2));"
        "INSERT INTO people VALUES (1, 'us', '[1,2]'), (2, 'us', '[3,4]'), (3, 'CANARY', '[5,6]')"
    )
    rewriter = make_rewriter(database, ())
    with psycopg.connect(database.url(), options="-c search_path=pg_catalog,pg_temp") as connection:
        for sql, expected in (
            ("SELECT id FROM people ORDER BY v <-> '[3,3]' LIMIT 1", [(2,)]),
            ("SELECT id FROM people WHERE cosine_distance(v, '[1,2]') < 0.001", [(1,)]),
            ("SELECT avg(v)::text, sum(v)::text, max(vector_dims(v)) FROM people", [("[2,3]", "[4,6]", 2)]),
            ("SELECT (v <#> '[1,1]'), (v + '[1,1]'::vector(2))::text FROM people WHERE id = 1", [(-3.0, "[2,3]")]),
        ):
            (found,) = rewriter.rewrite(sql)
            assert isinstance(found, Plan), found
            assert connection.execute(found.sql.encode()).fetchall() == expected
    assert isinstance(rewriter.rewrite("SELECT vector_to_float4(v, 2, false) FROM people")[0], Denial)


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
    assert ("OFFSET '0'::bigint" in found.sql) is fenced, found.sql


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
