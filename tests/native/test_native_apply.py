"""Applying, comparing and removing: twice is once, what hands change is named, what was made is undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString, cast

import psycopg
import pytest

from bailiwick.gateway.backends.native import compiled
from bailiwick.sql.native.script import script
from tests.native.native_desk import POLICY, SCRIPT, state_of
from tests.support.native import Native, loaded, session_of
from tests.support.postgres import Database, Server


@pytest.fixture
def desk(postgres: Server) -> Iterator[Database]:
    made = postgres.create(SCRIPT)
    yield made
    made.drop()


@pytest.fixture
def native(desk: Database) -> Iterator[Native]:
    made = Native(desk, loaded(POLICY))
    made.apply()
    yield made
    made.remove()


def test_applied_twice_is_applied_once(native: Native) -> None:
    assert native.drift() == ()
    assert native.apply() == ()


def test_removal_restores_the_catalogue(desk: Database) -> None:
    desk.script("CREATE ROLE passer_by; GRANT SELECT ON public.notes TO passer_by")
    before = state_of(desk)
    native = Native(desk, loaded(POLICY))
    native.apply()
    assert state_of(desk) != before
    native.remove()
    assert state_of(desk) == before
    assert native.remove() == ()
    desk.script("DROP OWNED BY passer_by; DROP ROLE passer_by")


def test_a_changed_policy_changes_only_what_it_is_about(native: Native, desk: Database) -> None:
    changed = Native(desk, loaded(POLICY.replace("{within: 90d}", "{within: 30d}")))
    assert {(change.action, change.kind) for change in changed.drift()} == {("change", "view")}
    assert {change.name.rpartition(".")[2] for change in changed.apply()} == {"tickets"}
    assert changed.drift() == ()
    native.apply()


def test_what_the_policy_lost_is_dropped(native: Native, desk: Database) -> None:
    shorter = POLICY.replace("  seer-bot: {owner: desk, purpose: looks, roles: [seer]}\n", "")
    less = Native(desk, loaded(shorter))
    session = session_of("seer-bot")
    gone = [change for change in less.apply() if change.action == "drop"]
    assert ("role", native.role(session)) in {(change.kind, change.name) for change in gone}
    assert less.drift() == ()
    native.apply()
    assert native.drift() == ()


VIEW, ROLE, DEFINER = "{schema}.tickets", "{role}", "{definer}"
BY_HAND: dict[str, tuple[str, str, str]] = {
    "a widened grant": ("GRANT INSERT ON {schema}.customers TO {role}", "view", "may INSERT"),
    "a grant to everybody": ("GRANT SELECT ON {schema}.customers TO PUBLIC", "view", "PUBLIC may SELECT"),
    "a grant on a column": ("GRANT UPDATE (subject) ON {schema}.tickets TO {role}", "view", "may UPDATE(subject)"),
    "a grant on the table": ("GRANT SELECT ON public.customers TO {role}", "rights", "not of the policy"),
    "more for the views' owner": ("GRANT SELECT (ssn) ON public.customers TO {definer}", "rights", "may SELECT(ssn)"),
    "less for the views' owner": (
        "REVOKE SELECT (name) ON public.customers FROM {definer}",
        "rights",
        "may not SELECT",
    ),
    "another view": (
        "CREATE OR REPLACE VIEW {schema}.notes WITH (security_barrier) AS SELECT note_id, customer_id, body"
        " FROM public.notes",
        "view",
        "changed by hand",
    ),
    "no barrier": ("ALTER VIEW {schema}.customers RESET (security_barrier)", "view", "options"),
    "a missing view": ("DROP VIEW {schema}.customers", "view", "as the scope shows it"),
    "a view more": ("CREATE VIEW {schema}.more AS SELECT * FROM public.customers", "view", "not of the policy"),
    "another owner": ("ALTER VIEW {schema}.customers OWNER TO postgres", "view", "owner"),
    "a rule": ("CREATE RULE r AS ON DELETE TO {schema}.customers DO INSTEAD NOTHING", "view", "rule r"),
    "a default": ("ALTER VIEW {schema}.tickets ALTER status SET DEFAULT 'x'", "view", "default of"),
    "bypass": ("ALTER ROLE {definer} BYPASSRLS", "role", "bypassrls"),
    "login": ("ALTER ROLE {role} LOGIN", "role", "login"),
    "a setting": ("ALTER ROLE {role} SET search_path = public", "role", "search_path=public"),
    "a member": ("GRANT {definer} TO pg_monitor", "role", "pg_monitor"),
    "a membership": ("GRANT pg_read_all_data TO {role}", "role", "pg_read_all_data"),
    "no membership": ("REVOKE {role} FROM postgres", "role", "members"),
    "a dropped guard": ('DROP TRIGGER "!{role}" ON public.tickets', "guard", "runs for"),
    "a disabled guard": ('ALTER TABLE public.tickets DISABLE TRIGGER "!{role}"', "guard", "enabled"),
    "another guard": (
        "CREATE OR REPLACE FUNCTION {schema}.guard_tickets() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN new; END'",
        "function",
        "body",
    ),
    "another function": (
        "CREATE OR REPLACE FUNCTION {home}.bound() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "function",
        "body",
    ),
    "a function for all": ("GRANT EXECUTE ON FUNCTION {home}.value(text) TO PUBLIC", "function", "PUBLIC may EXECUTE"),
    "readable keys": ("GRANT SELECT ON {home}.keys TO {role}", "table", "may SELECT"),
    "a schema for all": ("GRANT USAGE ON SCHEMA {home} TO PUBLIC", "schema", "PUBLIC may USAGE"),
    "no comment": ("COMMENT ON ROLE {role} IS NULL", "role", "mark"),
}


@pytest.fixture(scope="module")
def kept(postgres: Server) -> Iterator[Native]:
    database = postgres.create(SCRIPT)
    made = Native(database, loaded(POLICY))
    made.apply()
    yield made
    made.remove()
    database.drop()


@pytest.mark.parametrize("what", BY_HAND)
def test_drift_names_what_was_changed_by_hand_and_apply_sets_it_right(kept: Native, what: str) -> None:
    statement, kind, told = BY_HAND[what]
    session = session_of("support-bot", task="handle-ticket")
    role = kept.role(session)
    names = {
        "role": role,
        "definer": next(scope.names.definer for scope in kept.compiled.scopes if scope.names.role == role),
        "schema": kept.schemas(session)["public"],
        "home": kept.compiled.home,
    }
    assert kept.drift() == ()
    kept.database.script(statement.format(**names))
    found = kept.drift()
    kept.apply()
    assert kept.drift() == ()
    assert kind in {change.kind for change in found}
    assert told in str([(change.name, change.why, change.differences) for change in found])
    assert all(change.action != "refuse" for change in found)


@pytest.mark.parametrize(
    ("made", "undone", "told"),
    [
        ("GRANT SELECT ON public.customers TO PUBLIC", "REVOKE SELECT ON public.customers FROM PUBLIC", "customers"),
        ("CREATE TABLE {schema}.own AS SELECT 1", "DROP TABLE {schema}.own", "own"),
        ("ALTER TABLE public.assigned OWNER TO {role}", "ALTER TABLE public.assigned OWNER TO postgres", "assigned"),
        (
            "CREATE POLICY p ON public.notes TO {definer} USING (true)",
            "DROP POLICY p ON public.notes",
            "has a policy on",
        ),
        (
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            " GRANT EXECUTE ON FUNCTION public.f() TO {role}",
            "DROP FUNCTION public.f()",
            "f()",
        ),
    ],
)
def test_what_only_a_person_can_set_right_is_drift_too(kept: Native, made: str, undone: str, told: str) -> None:
    role = kept.role(session_of("support-bot", task="handle-ticket"))
    definer = next(scope.names.definer for scope in kept.compiled.scopes if scope.names.role == role)
    names = {"role": role, "definer": definer, "schema": kept.schemas(session_of("support-bot"))["public"]}
    kept.database.script(made.format(**names))
    found = kept.drift()
    kept.database.script(undone.format(**names))
    assert told in str(found)
    assert kept.drift() == ()


def test_other_keys_are_drift(kept: Native) -> None:
    home = kept.compiled.home
    kept.database.script(f"COMMENT ON TABLE {home}.keys IS 'Bailiwick: keys of the gateway. [0123456789abcdef]'")
    assert [change.kind for change in kept.apply()] == ["keys"]


def test_the_printed_script_gives_the_same(desk: Database) -> None:
    native = Native(desk, loaded(POLICY))
    text = script(compiled(native.policy, native.lock, native.place))
    for name in ("session_inner", "session_outer", "mask_inner", "mask_outer"):
        text = text.replace(f":'{name}'", "'\\x00'")
    with psycopg.connect(desk.url(), autocommit=True) as connection:
        connection.execute(cast(LiteralString, text))
        connection.execute(cast(LiteralString, text))
    assert [change.kind for change in native.drift()] == ["keys"]
    native.remove()
