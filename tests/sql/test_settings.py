"""The settings that agents may set, show and reset, and the types that they may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.sql.catalogue import Catalogue, Column, Relation
from bailiwick.sql.settings import REASON, reset_allowed, search_path_unchanged, set_allowed, show_allowed
from bailiwick.sql.types import own_types, parameter_allowed, type_allowed


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("application_name", ("psql",)),
        ("client_min_messages", ("warning",)),
        ("DateStyle", ("ISO", "MDY")),
        ("DateStyle", ("ISO, MDY",)),
        ("TimeZone", ("Europe/Berlin",)),
        ("timezone", ("UTC",)),
        ("timezone", ("-7",)),
        ("IntervalStyle", ("iso_8601",)),
        ("extra_float_digits", ("3",)),
        ("bytea_output", ("hex",)),
        ("client_encoding", ("UTF8",)),
        ("standard_conforming_strings", ("on",)),
        ("default_transaction_read_only", ("on",)),
        ("transaction_read_only", ("true",)),
        ("transaction_isolation", ("repeatable read",)),
        ("default_transaction_isolation", ("SERIALIZABLE",)),
        ("jit", ("off",)),
        (REASON, ("the customer asked; it's urgent",)),
    ],
)
def test_harmless_settings_may_be_set(name: str, values: tuple[str, ...]) -> None:
    assert set_allowed(name, values, "SESSION")
    assert set_allowed(name, values, "LOCAL")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("client_min_messages", ("debug5",)),
        ("client_min_messages", ("log",)),
        ("client_encoding", ("SJIS",)),
        ("standard_conforming_strings", ("off",)),
        ("default_transaction_read_only", ("off",)),
        ("transaction_read_only", ("off",)),
        ("extra_float_digits", ("4",)),
        ("extra_float_digits", ("-16",)),
        ("timezone", ("/etc/passwd",)),
        ("timezone", ("../../etc/passwd",)),
        ("timezone", ("UTC", "UTC")),
        ("datestyle", ("ISO, nonsense",)),
        ("application_name", ("a\nb",)),
        ("application_name", ("x" * 64,)),
        ("bytea_output", ()),
        (REASON, ()),
        (REASON, ("a", "b")),
        ("Bailiwick.Reason", ("x",)),
        ("bailiwick.reasons", ("x",)),
    ],
)
def test_other_values_of_them_may_not(name: str, values: tuple[str, ...]) -> None:
    assert not set_allowed(name, values, "SESSION")


@pytest.mark.parametrize(
    "name",
    [
        "search_path", "role", "session_authorization", "row_security", "statement_timeout", "lock_timeout",
        "idle_in_transaction_session_timeout", "transform_null_equals", "lc_messages", "plan_cache_mode",
        "local_preload_libraries", "session_preload_libraries", "dynamic_library_path", "app.customer_id", "app.x",
        "default_text_search_config", "check_function_bodies", "xmloption", "log_statement", "session_replication_role",
        "default_tablespace", "temp_tablespaces", "enable_seqscan", "work_mem", "backslash_quote", "array_nulls", "",
        "server_version", "lo_compat_privileges", "allow_system_table_mods", "seed",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["on", "off", "0", "public", "none", "UTF8"])
def test_other_settings_may_not_be_set(name: str, value: str) -> None:
    assert not set_allowed(name, (value,), "SESSION")
    assert not set_allowed(name, (value,), "LOCAL")


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_null_byte_is_never_accepted(before: str, after: str) -> None:
    for name in ("application_name", "timezone", "datestyle", REASON):
        assert not set_allowed(name, (f"{before}\x00{after}",), "SESSION")


@given(st.text(max_size=80))
def test_a_time_zone_is_never_a_path_out(value: str) -> None:
    assert not (set_allowed("timezone", (value,), "SESSION") and ("." in value or value.startswith("/")))


@pytest.mark.parametrize(
    "name",
    ["server_version", "standard_conforming_strings", "transaction_isolation", "TimeZone", "client_encoding", REASON],
)
def test_harmless_settings_may_be_shown(name: str) -> None:
    assert show_allowed(name)


@pytest.mark.parametrize(
    "name",
    ["hba_file", "data_directory", "config_file", "all", "app.gateway_secret", "is_superuser", "session_authorization",
     "role", "ssl_key_file", "primary_conninfo", "shared_preload_libraries", "log_directory", "row_security"],
)  # fmt: skip
def test_other_settings_may_not_be_shown(name: str) -> None:
    assert not show_allowed(name)


def test_reset_restores_harmless_settings_only() -> None:
    assert reset_allowed("timezone")
    assert reset_allowed(REASON)
    for name in ("role", "session_authorization", "row_security", "transaction_read_only"):
        assert not reset_allowed(name)


@pytest.mark.parametrize(
    "values",
    [("public",), ('"$user"', "public"), ("$user, public",), ("public", "pg_catalog"), ("pg_catalog", "public")],
)
def test_a_search_path_that_changes_nothing_is_recognised(values: tuple[str, ...]) -> None:
    assert search_path_unchanged(values, ("public",))


@pytest.mark.parametrize(
    "values", [("pg_temp", "public", "pg_catalog"), ("hr",), ("hr", "public"), ("",), (), ("public", "public")]
)
def test_a_search_path_that_changes_something_is_not(values: tuple[str, ...]) -> None:
    assert not search_path_unchanged(values, ("public",))


CATALOGUE = Catalogue(
    relations={
        ("public", "t"): Relation(
            "public",
            "t",
            16400,
            "r",
            (
                Column("a", 1, "public.mood[]", "e"),
                Column("b", 2, 'public."Odd.Name"(3)', "d"),
                Column("c", 3, "public.row_type", "c"),
            ),
        )
    },
    types={"public.mood[]": (16390, 16389)},
)


@pytest.mark.parametrize(
    "name", ["int4", "text", "varchar", "timestamptz", "jsonb", "uuid", "inet", "_int4", "tsrange"]
)
@pytest.mark.parametrize("schema", [None, "", "pg_catalog"])
def test_built_in_types_may_be_named(schema: str | None, name: str) -> None:
    assert type_allowed(schema, name, CATALOGUE)


@pytest.mark.parametrize(
    "name",
    ["regclass", "regproc", "regrole", "regtype", "_regclass", "regnamespace", "aclitem", "pg_node_tree", "record",
     "void", "anyelement", "cstring", "refcursor", "pg_class", "pg_authid", "mood", "tid", "xid", "__int4", ""],
)  # fmt: skip
def test_types_that_look_up_objects_pseudo_types_and_rows_may_not(name: str) -> None:
    assert not type_allowed(None, name, CATALOGUE)
    assert not type_allowed("pg_catalog", name, CATALOGUE)


def test_types_of_accepted_columns_may_be_named_with_their_schema() -> None:
    assert type_allowed("public", "mood", CATALOGUE)
    assert type_allowed("public", "Odd.Name", CATALOGUE)
    assert not type_allowed("hr", "mood", CATALOGUE)
    assert not type_allowed("public", "row_type", CATALOGUE)
    assert not type_allowed("public", "t", CATALOGUE)
    assert not type_allowed("public", "int4", CATALOGUE)


@pytest.mark.parametrize("oid", [0, 23, 25, 1007, 1043, 1184, 16389, 16390])
def test_parameters_may_be_declared_with_known_types(oid: int) -> None:
    assert parameter_allowed(oid, own_types(CATALOGUE))


@pytest.mark.parametrize(
    "oid", [24, 2202, 2203, 2204, 2205, 2206, 2210, 2211, 3734, 4089, 4096, 4191, 1033, 16400, 2281]
)
def test_parameters_may_not_be_declared_with_types_that_look_up_objects(oid: int) -> None:
    assert not parameter_allowed(oid, own_types(CATALOGUE))
