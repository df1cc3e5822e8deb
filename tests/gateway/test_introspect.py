"""Reading tables and catalogue of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bailiwick.errors import BackendError
from bailiwick.gateway.backends.introspect import read_catalogue, read_tables
from bailiwick.model.lock import LockedColumn, LockedTable
from bailiwick.model.policy import Mount, Resource, SecretRef
from tests.support.installed import versions
from tests.support.postgres import PASSWORD, Database, Server

SCRIPT = """
CREATE SCHEMA odd;
CREATE TYPE public.mood AS ENUM ('ok', 'sad');
CREATE DOMAIN public.code AS varchar(8);
CREATE TYPE public.pair AS (a int, b int);
CREATE TABLE public.people (
  tenant_id int, person_id bigint, name varchar(20) NOT NULL, feels public.mood, felt public.mood[], code public.code,
  pair public.pair, amount numeric(12,2), at timestamptz, span tstzrange, gone text, PRIMARY KEY (tenant_id, person_id)
);
ALTER TABLE public.people DROP COLUMN gone;
CREATE TABLE odd."Strange ""Table" ("Col umn" text);
CREATE VIEW public.seen AS SELECT name FROM public.people;
CREATE MATERIALIZED VIEW public.kept AS SELECT 1 AS one;
CREATE TABLE public.parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE public.parts_2026 PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE public.shadow (pg_class int);
"""


@pytest.fixture(scope="module", params=versions("introspect"))
def crm(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[Database]:
    made = servers(request.param).create(SCRIPT)
    yield made
    made.drop()


def mount(*tables: str) -> Mount:
    return Mount("crm", "postgres", SecretRef("x"), {name: Resource(name, "crm", "public", name) for name in tables})


async def test_columns_types_and_keys_are_read(crm: Database) -> None:
    people = (await read_tables(crm.url(), None))["public", "people"]
    assert people.kind == "r"
    assert people.key == ("tenant_id", "person_id")
    assert people.columns == (
        LockedColumn("tenant_id", "integer", "b", nullable=False),
        LockedColumn("person_id", "bigint", "b", nullable=False),
        LockedColumn("name", "character varying(20)", "b", nullable=False),
        LockedColumn("feels", "public.mood", "e"),
        LockedColumn("felt", "public.mood[]", "e"),
        LockedColumn("code", "public.code", "d"),
        LockedColumn("pair", "public.pair", "c"),
        LockedColumn("amount", "numeric(12,2)", "b"),
        LockedColumn("at", "timestamp with time zone", "b"),
        LockedColumn("span", "tstzrange", "r"),
    )


async def test_every_kind_of_relation_is_read_but_partitions_and_system_ones(crm: Database) -> None:
    tables = await read_tables(crm.url(), None)
    assert {key: table.kind for key, table in tables.items()} == {
        ("odd", 'Strange "Table'): "r",
        ("public", "kept"): "m",
        ("public", "parts"): "p",
        ("public", "people"): "r",
        ("public", "seen"): "v",
        ("public", "shadow"): "r",
    }
    assert tables["odd", 'Strange "Table'].columns[0].name == "Col umn"


async def test_only_the_tables_asked_for_are_read(crm: Database) -> None:
    wanted = [("public", "seen"), ("public", "nothing"), ("odd", "people"), ("pg_catalog", "pg_authid")]
    assert set(await read_tables(crm.url(), wanted)) == {("public", "seen")}
    assert await read_tables(crm.url(), []) == {}


async def test_the_catalogue_holds_what_is_mapped_and_accepted(crm: Database) -> None:
    locked = await read_tables(crm.url(), None)
    catalogue = await read_catalogue(crm.url(), mount("people", "seen"), locked)
    assert set(catalogue.relations) == {("public", "people"), ("public", "seen")}
    people = catalogue.relations["public", "people"]
    assert people.oid > 16384
    assert [(column.name, column.number) for column in people.columns[:2]] == [("tenant_id", 1), ("person_id", 2)]
    assert people.key == ("tenant_id", "person_id")
    assert catalogue.version >= 150000


async def test_what_the_lock_does_not_have_does_not_exist(crm: Database) -> None:
    locked = await read_tables(crm.url(), None)
    without = {key: table for key, table in locked.items() if key[1] != "seen"}
    assert set((await read_catalogue(crm.url(), mount("people", "seen"), without)).relations) == {("public", "people")}
    assert (await read_catalogue(crm.url(), mount("people"), {})).relations == {}


def changed(table: LockedTable, column: str, change: dict[str, str]) -> LockedTable:
    columns = tuple(
        replace(
            each,
            name=change.get("name", each.name),
            type=change.get("type", each.type),
            kind=change.get("kind", each.kind),
        )
        if each.name == column
        else each
        for each in table.columns
    )
    return replace(table, columns=columns)


@pytest.mark.parametrize("change", [{"type": "text"}, {"kind": "d"}, {"name": "other"}])
async def test_a_column_that_differs_from_the_lock_does_not_exist(crm: Database, change: dict[str, str]) -> None:
    locked = dict(await read_tables(crm.url(), None))
    locked["public", "people"] = changed(locked["public", "people"], "person_id", change)
    people = (await read_catalogue(crm.url(), mount("people"), locked)).relations["public", "people"]
    assert people.column("person_id") is None
    assert people.column("name") is not None
    assert people.key == ()


async def test_a_table_that_became_a_view_does_not_exist(crm: Database) -> None:
    locked = dict(await read_tables(crm.url(), None))
    locked["public", "seen"] = replace(locked["public", "seen"], kind="r")
    assert (await read_catalogue(crm.url(), mount("seen"), locked)).relations == {}


async def test_system_relations_are_read_with_their_columns(crm: Database) -> None:
    system = (await read_catalogue(crm.url(), mount(), {})).system
    assert system["pg_catalog", "pg_class"].oid == 1259
    assert {"oid", "relname"} <= {column.name for column in system["pg_catalog", "pg_class"].columns}
    assert ("information_schema", "columns") in system
    assert not [key for key in system if key[0] not in ("pg_catalog", "information_schema")]


async def test_leakproof_operators_are_known_by_their_types(crm: Database) -> None:
    leakproof = (await read_catalogue(crm.url(), mount(), {})).leakproof
    assert ("=", "integer", "integer") in leakproof
    assert ("=", "text", "text") in leakproof
    assert ("~~", "text", "text") not in leakproof
    assert ("/", "integer", "integer") not in leakproof


async def test_types_that_users_made_are_known_with_those_around_them(crm: Database) -> None:
    locked = await read_tables(crm.url(), None)
    types = (await read_catalogue(crm.url(), mount("people"), locked)).types
    oids = {str(name): int(str(oid)) for name, oid in crm.rows("SELECT typname, oid FROM pg_type WHERE oid >= 16384")}
    assert types["public.mood"][0] == oids["mood"]
    assert set(types["public.mood"]) == {oids["mood"], oids["_mood"]}
    assert types["public.mood[]"][0] == oids["_mood"]
    assert types["public.code"][0] == oids["code"]
    assert oids["people"] not in {oid for around in types.values() for oid in around}
    assert "public.pair" not in types


async def test_the_result_does_not_depend_on_the_databases_search_path(crm: Database) -> None:
    before = await read_tables(crm.url(), None)
    crm.script(f"ALTER DATABASE {crm.name} SET search_path = public, odd, pg_catalog")
    assert await read_tables(crm.url(), None) == before
    crm.script(f"ALTER DATABASE {crm.name} RESET search_path")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://postgres:s3cr3t@127.0.0.1:{port}/{name}", "login was refused"),
        ("postgresql://postgres:{password}@127.0.0.1:{port}/nothing", "no such database"),
        ("postgresql://postgres:s3cr3t@127.0.0.1:1/crm", "127.0.0.1:1/crm"),
        ("postgresql://postgres:12/s3cr3t@127.0.0.1:1/crm", "not a plain url"),
        ("host=127.0.0.1 password=s3cr3t", "not a plain url"),
        ("http://a:s3cr3t@b/c", "not a plain url"),
        ("s3cr3t", "not a plain url"),
    ],
)
async def test_a_failure_says_what_and_where_and_never_the_credential(crm: Database, url: str, words: str) -> None:
    with pytest.raises(BackendError) as raised:
        await read_tables(url.format(port=crm.server.port, name=crm.name, password=PASSWORD), None)
    assert words in raised.value.message
    assert raised.value.remedy
    told = f"{raised.value.message} {raised.value.remedy} {raised.value!r} {raised.value.__cause__}"
    assert "s3cr3t" not in told
    assert PASSWORD not in told
