"""Errors and notices of the database, class by class: their SQLSTATE and a sentence of ours, never a value or a name
that the session does not have (SQL-RULES 23)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg.errors import Diagnostic

from tests.support.canary import leaks, leaks_in, leaks_in_files
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.installed import NEWEST, versions
from tests.support.postgres import Server

SCRIPT = """
CREATE SCHEMA shop;
CREATE DOMAIN shop.share AS int CONSTRAINT "CANARY_DOMAIN_CHECK" CHECK (VALUE < 100);
CREATE TABLE shop.targets (id int PRIMARY KEY);
INSERT INTO shop.targets VALUES (1);
CREATE TABLE shop.items (
    id int PRIMARY KEY,
    tenant int NOT NULL,
    name varchar(20),
    small smallint,
    price numeric(6, 2),
    part shop.share,
    target int CONSTRAINT "CANARY_KEY_FOREIGN" REFERENCES shop.targets,
    span int4range,
    needed text NOT NULL DEFAULT 'needed',
    secret text NOT NULL DEFAULT 'CANARY_ROW_DEFAULT',
    CONSTRAINT items_name_key UNIQUE (tenant, name),
    CONSTRAINT "CANARY_KEY_SECRET" UNIQUE (tenant, small, secret),
    CONSTRAINT "CANARY_CHECK_SMALL" CHECK (small > 0),
    CONSTRAINT "CANARY_EXCLUDED_SPAN" EXCLUDE USING gist (span WITH &&)
);
CREATE UNIQUE INDEX "CANARY_INDEX_PARTIAL" ON shop.items (price) WHERE secret <> '';
CREATE FUNCTION shop."CANARY_FUNCTION_LOUD"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name = 'raise' THEN
        RAISE EXCEPTION 'CANARY_TRIGGER_MESSAGE %', NEW.secret USING DETAIL = 'CANARY_TRIGGER_DETAIL',
            HINT = 'CANARY_TRIGGER_HINT', COLUMN = 'CANARY_TRIGGER_COLUMN', CONSTRAINT = 'CANARY_TRIGGER_CONSTRAINT',
            DATATYPE = 'CANARY_TRIGGER_TYPE', TABLE = 'CANARY_TRIGGER_TABLE', SCHEMA = 'CANARY_TRIGGER_SCHEMA';
    ELSIF NEW.name = 'own state' THEN
        RAISE EXCEPTION 'CANARY_TRIGGER_MESSAGE' USING ERRCODE = 'ZZ123', HINT = 'CANARY_TRIGGER_HINT';
    ELSIF NEW.name = 'forged' THEN
        RAISE unique_violation USING MESSAGE = 'CANARY_TRIGGER_MESSAGE', DETAIL = 'CANARY_TRIGGER_DETAIL',
            CONSTRAINT = 'items_pkey', TABLE = 'items', SCHEMA = 'shop', COLUMN = 'CANARY_TRIGGER_COLUMN';
    ELSIF NEW.name = 'division' THEN
        PERFORM 1 / (length(NEW.secret) - 18);
    ELSIF NEW.name = 'cast' THEN
        PERFORM NEW.secret::int;
    ELSIF NEW.name = 'assert' THEN
        ASSERT false, NEW.secret;
    ELSIF NEW.name = 'notices' THEN
        RAISE NOTICE 'CANARY_NOTICE_MESSAGE %', NEW.secret USING DETAIL = 'CANARY_NOTICE_DETAIL';
        RAISE WARNING 'CANARY_WARNING_MESSAGE' USING HINT = 'CANARY_WARNING_HINT', ERRCODE = '22P02';
        RAISE INFO 'CANARY_INFO_MESSAGE';
        RAISE LOG 'CANARY_LOG_MESSAGE';
        RAISE DEBUG 'CANARY_DEBUG_MESSAGE';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "CANARY_TRIGGER_NAME" BEFORE INSERT OR UPDATE ON shop.items
    FOR EACH ROW EXECUTE FUNCTION shop."CANARY_FUNCTION_LOUD"();
INSERT INTO shop.items (id, tenant, name, small, price, span, secret) VALUES
    (1, 7, 'one', 1, 1, '[1,5)', 'CANARY_ROW_OWN'), (2, 7, '17', 2, 2, NULL, 'CANARY_ROW_OTHER');
"""
POLICY = """
bailiwick: 1
mounts:
  m:
    kind: postgres
    url: ${ERRORS_URL}
    resources:
      items: {table: shop.items, key: id, tenant: tenant}
roles:
  r:
    grants:
      - {allow: items:read, fields: [id, tenant, name, small, price, part, target, span], reason: reads}
      - allow: items:create
        fields: [id, tenant, name, small, price, part, target, span, needed]
        reason: adds
      - {allow: items:update, fields: [name, small, part], reason: changes}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
"""


@dataclass(slots=True)
class Bench:
    """An agent's connection through a gateway."""

    gateway: RunningGateway
    connection: psycopg.Connection
    notices: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def fails(self, sql: str) -> Diagnostic:
        """Run what fails; return all that is told of it."""
        with pytest.raises(psycopg.Error) as failed:
            self.connection.execute(sql.encode())
        return failed.value.diag


@pytest.fixture(scope="module", params=versions("errors", 15, NEWEST))
def bench(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[Bench]:
    server = servers(request.param)
    database = server.create(SCRIPT)
    with running_gateway(POLICY, {"ERRORS_URL": database.url()}) as gateway:
        url = gateway.open_session("bot", tenant="7").url()
        with psycopg.connect(url, autocommit=True) as connection:
            found = Bench(gateway, connection)
            connection.add_notice_handler(lambda told: found.notices.append(texts(told)))  # read while it is there
            yield found
        gateway.flush()
        assert leaks_in_files(gateway.folder / ".bailiwick") == []
        assert leaks(gateway.log()) == []
    database.drop()


def texts(told: Diagnostic) -> dict[str, str]:
    """Everything that is told, but for its severity and state."""
    names = (
        "message_primary message_detail message_hint statement_position internal_position internal_query context"
        " schema_name table_name column_name datatype_name constraint_name source_file source_line source_function"
    )
    found = {name: getattr(told, name) for name in names.split()}
    return {name: text for name, text in found.items() if text is not None}


ITEM = "INSERT INTO shop.items"
ERRORS = (
    ("SELECT 'CANARY_OWN_TEXT'::int", "22P02"),
    ("SELECT name::int FROM shop.items ORDER BY id", "22P02"),
    ("SELECT '{CANARY_OWN_TEXT'::jsonb", "22P02"),
    ("SELECT '{1,CANARY_OWN_TEXT}'::int[]", "22P02"),
    ("SELECT 'CANARY_OWN_TEXT'::uuid", "22P02"),
    ("SELECT 'CANARY_OWN_TEXT'::date", "22007"),
    ("SELECT to_date(name, 'YYYY') FROM shop.items WHERE id = 1", "22007"),
    ("SELECT '2020-01-77'::date", "22008"),
    ("SELECT (id + 7700001)::smallint FROM shop.items", "22003"),
    ("SELECT 7700001 * 7700001", "22003"),
    ("SELECT 1 / (small - 1) FROM shop.items", "22012"),
    ("SELECT substring(name FROM 1 FOR -7700001) FROM shop.items", "22011"),
    ("SELECT ln(small - 1) FROM shop.items", "2201E"),
    ("SELECT power(small - 1, -1) FROM shop.items", "2201F"),
    ("SELECT width_bucket(small, 1, 1, 3) FROM shop.items", "2201G"),
    ("SELECT id FROM shop.items LIMIT -7700001", "2201W"),
    ("SELECT id FROM shop.items OFFSET -7700001", "2201X"),
    ("SELECT name ~ '(CANARY_OWN_TEXT' FROM shop.items", "2201B"),
    ("SELECT name LIKE 'o\\' FROM shop.items", "22025"),
    ("SELECT (SELECT name FROM shop.items) FROM shop.items", "21000"),
    (f"{ITEM} (id, name) VALUES (20, 'longer than twenty: 7700001')", "22001"),
    (f"{ITEM} (id, price) VALUES (20, 7700001)", "22003"),
    (f"{ITEM} (id, small) VALUES (20, 7700001)", "22003"),
    (f"{ITEM} (id, small) VALUES (20, 0)", "23514"),
    ("UPDATE shop.items SET small = 0 WHERE id = 1", "23514"),
    (f"{ITEM} (id, part) VALUES (20, 7700001)", "23514"),
    ("UPDATE shop.items SET part = 7700001 WHERE id = 1", "23514"),
    (f"{ITEM} (id, needed) VALUES (20, NULL)", "23502"),
    (f"{ITEM} (id, target) VALUES (20, 7700001)", "23503"),
    (f"{ITEM} (id, span) VALUES (20, '[2,3)')", "23P01"),
    (f"{ITEM} (id, span) VALUES (20, '[3,2)')", "22000"),
    (f"{ITEM} (id, name) VALUES (20, 'raise')", "P0001"),
    (f"{ITEM} (id, name) VALUES (20, 'own state')", "ZZ123"),
    (f"{ITEM} (id, name) VALUES (20, 'division')", "22012"),
    (f"{ITEM} (id, name) VALUES (20, 'cast')", "22P02"),
    (f"{ITEM} (id, name) VALUES (20, 'assert')", "P0004"),
)


@pytest.mark.parametrize(("sql", "state"), ERRORS)
def test_an_error_is_its_state_and_a_sentence_without_values(bench: Bench, sql: str, state: str) -> None:
    told = bench.fails(sql)
    assert told.sqlstate == state
    found = texts(told)
    assert found.keys() == {"message_primary"}
    assert leaks_in(found.values()) == []
    assert '"' not in found["message_primary"]
    assert bench.connection.execute("SELECT name FROM shop.items WHERE id = 1").fetchone() == ("one",)


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        (f"{ITEM} (id, name) VALUES (1, 'new')", "items_pkey"),
        (f"{ITEM} (id, name) VALUES (20, 'one')", "items_name_key"),
        ("UPDATE shop.items SET name = 'one' WHERE id = 2", "items_name_key"),
        (f"{ITEM} (id, name) VALUES (20, 'forged')", "items_pkey"),
        (f"{ITEM} (id, price) VALUES (20, 1)", ""),
        (f"{ITEM} (id, small) VALUES (20, 3), (21, 3)", ""),
    ],
)
def test_a_conflict_of_keys_names_the_constraint_where_all_of_its_columns_can_be_read(
    bench: Bench, sql: str, constraint: str
) -> None:
    told = bench.fails(sql)
    found = texts(told)
    assert told.sqlstate == "23505"
    named = {"schema_name": "shop", "table_name": "items", "constraint_name": constraint} if constraint else {}
    assert {name: text for name, text in found.items() if name != "message_primary"} == named
    assert (f'"{constraint}"' in found["message_primary"]) == bool(constraint)
    assert leaks_in(found.values()) == []


def test_what_functions_of_the_database_remark_does_not_pass(bench: Bench) -> None:
    bench.notices.clear()
    assert bench.connection.execute(f"{ITEM} (id, name) VALUES (30, 'notices') RETURNING id").fetchone() == (30,)
    assert bench.notices == []
    bench.connection.execute("COMMIT")
    assert bench.notices == [{"message_primary": "there is no transaction in progress"}]
