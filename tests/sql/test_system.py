"""The virtual catalogue on real servers: it holds the scope, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.system import AVAILABLE, system_relation
from tests.sql.catalogue_rig import HIDDEN, SHOWN, Rig, make_rig
from tests.support.installed import versions
from tests.support.postgres import Cell, Server


@pytest.fixture(scope="module", params=versions("catalogue"))
def rig(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Rig:
    return make_rig(servers(request.param))


def read(rig: Rig, relation: str, columns: str = "*", where: str = "true") -> list[tuple[Cell, ...]]:
    schema, name = relation.split(".") if "." in relation else ("pg_catalog", relation)
    view = system_relation(schema, name, rig.catalogue, rig.visible)
    assert view is not None
    return rig.rows(f"SELECT {columns} FROM ({view.sql}) AS {name} WHERE {where}")


def shown(rig: Rig, relation: str, columns: str, where: str = "true") -> set[Cell]:
    return {row[0] if len(row) == 1 else row for row in read(rig, relation, columns, where)}


def test_no_system_relation_shows_a_canary_or_a_hidden_name(rig: Rig) -> None:
    for schema, name in sorted(AVAILABLE & set(rig.catalogue.system)):
        text = "\n".join(str(row[0]) for row in read(rig, f"{schema}.{name}", f"ROW({name}.*)::text"))
        assert re.findall(HIDDEN, text) == [], f"{schema}.{name}"


def test_hidden_names_are_in_the_real_catalogue(rig: Rig) -> None:
    real = rig.rows(
        "SELECT string_agg(c::text, ' ') FROM pg_class c UNION ALL SELECT string_agg(a::text, ' ') FROM pg_attribute a"
        " UNION ALL SELECT string_agg(p::text, ' ') FROM pg_proc p"
        " UNION ALL SELECT string_agg(r::text, ' ') FROM pg_roles r"
    )
    assert len(set(re.findall(HIDDEN, str(real)))) > 15


def test_columns_are_those_of_the_real_relation_in_order(rig: Rig) -> None:
    for schema, name in sorted(AVAILABLE & set(rig.catalogue.system)):
        view = system_relation(schema, name, rig.catalogue, rig.visible)
        assert view is not None
        assert view.columns == tuple(column.name for column in rig.catalogue.system[schema, name].columns)


@pytest.mark.parametrize(
    "name",
    [
        "pg_authid", "pg_shadow", "pg_group", "pg_stats", "pg_stats_ext", "pg_statistic",
        "pg_statistic_ext_data", "pg_stat_activity", "pg_stat_all_indexes",
        "pg_file_settings", "pg_hba_file_rules", "pg_locks", "pg_largeobject",
        "pg_largeobject_metadata", "pg_user_mapping", "pg_user_mappings",
        "pg_subscription", "pg_prepared_statements", "pg_cursors", "pg_config",
        "pg_replication_slots", "pg_seclabel", "pg_shseclabel", "pg_available_extensions",
        "pg_init_privs", "pg_shdepend", "pg_aggregate", "pg_backend_memory_contexts", "pg_nothing",
    ],
)  # fmt: skip
def test_other_relations_of_pg_catalog_are_not_available(rig: Rig, name: str) -> None:
    assert system_relation("pg_catalog", name, rig.catalogue, rig.visible) is None


@pytest.mark.parametrize(
    "name", ["routines", "parameters", "user_mapping_options", "foreign_servers", "view_table_usage"]
)
def test_other_views_of_information_schema_are_not_available(rig: Rig, name: str) -> None:
    assert system_relation("information_schema", name, rig.catalogue, rig.visible) is None


def test_user_relations_are_not_system_relations(rig: Rig) -> None:
    assert system_relation("public", "customers", rig.catalogue, rig.visible) is None
    assert system_relation("public", "pg_class", rig.catalogue, rig.visible) is None


def test_relations_listed_are_those_visible(rig: Rig) -> None:
    assert shown(rig, "pg_class", "relname", "relkind = 'r' AND oid >= 16384") == set(SHOWN)
    assert shown(rig, "pg_tables", "tablename", "schemaname = 'public'") == set(SHOWN)
    assert shown(rig, "information_schema.tables", "table_name", "table_schema = 'public'") == set(SHOWN)


def test_columns_listed_are_those_visible(rig: Rig) -> None:
    expected = {(each.name, column.name) for each in rig.visible.relations for column in each.columns}
    view = system_relation("pg_catalog", "pg_class", rig.catalogue, rig.visible)
    attributes = system_relation("pg_catalog", "pg_attribute", rig.catalogue, rig.visible)
    assert view is not None
    assert attributes is not None
    found = rig.rows(
        f"SELECT c.relname, a.attname FROM ({view.sql}) c JOIN ({attributes.sql}) a ON a.attrelid = c.oid"
        " WHERE c.oid >= 16384 AND c.relkind = 'r'"
    )
    assert set(found) == expected
    assert shown(rig, "information_schema.columns", "table_name, column_name", "table_schema = 'public'") == expected
    counts = {(each.name, len(each.columns)) for each in rig.visible.relations}
    assert shown(rig, "pg_class", "relname, relnatts", "oid >= 16384 AND relkind = 'r'") == counts


def test_indexes_over_hidden_columns_expressions_or_conditions_are_not_listed(rig: Rig) -> None:
    names = shown(rig, "pg_class", "relname", "relkind = 'i'")
    assert names == shown(rig, "pg_indexes", "indexname")
    assert names == {
        "customers_pkey", "customers_email_key", "orders_pkey", "orders_customer_idx", "tickets_pkey",
        "tickets_subject_uq", "kb_articles_pkey", "feelings_pkey",
    }  # fmt: skip


def test_constraints_need_every_column_on_both_sides(rig: Rig) -> None:
    names = shown(rig, "pg_constraint", "conname", "contype <> 'n'")
    assert names == {
        "customers_pkey", "customers_email_key", "orders_pkey", "orders_customer_id_fkey", "tickets_pkey",
        "tickets_customer_id_fkey", "kb_articles_pkey", "feelings_pkey", "feelings_ticket_id_fkey",
    }  # fmt: skip
    assert names == shown(rig, "information_schema.table_constraints", "constraint_name", "constraint_type <> 'CHECK'")
    without = rig.visible.relations
    narrowed = replace(rig.visible, relations=tuple(each for each in without if each.name != "customers"))
    left = shown(replace(rig, visible=narrowed), "pg_constraint", "conname", "contype = 'f'")
    assert left == {"feelings_ticket_id_fkey"}


def test_foreign_keys_are_told_with_both_sides(rig: Rig) -> None:
    usage = shown(rig, "information_schema.key_column_usage", "table_name, column_name, position_in_unique_constraint")
    assert ("orders", "customer_id", 1) in usage
    referenced = shown(rig, "information_schema.constraint_column_usage", "constraint_name, table_name, column_name")
    assert ("orders_customer_id_fkey", "customers", "customer_id") in referenced
    rules = shown(
        rig, "information_schema.referential_constraints", "constraint_name, unique_constraint_name, delete_rule"
    )
    assert ("orders_customer_id_fkey", "customers_pkey", "NO ACTION") in rules


def test_types_are_those_of_postgresql_and_of_visible_columns(rig: Rig) -> None:
    assert shown(rig, "pg_type", "typname", "oid >= 16384") == {"mood", "_mood", "shortname", "_shortname"}
    assert shown(rig, "pg_enum", "enumlabel") == {"ok", "sad"}
    assert {"int4", "text", "timestamptz", "_text", "jsonb"} <= shown(rig, "pg_type", "typname")


def test_a_type_disappears_with_its_last_visible_column(rig: Rig) -> None:
    narrowed = replace(rig.visible, relations=tuple(each for each in rig.visible.relations if each.name != "feelings"))
    assert shown(replace(rig, visible=narrowed), "pg_type", "typname", "oid >= 16384") == set()
    assert shown(replace(rig, visible=narrowed), "pg_enum", "enumlabel") == set()


def test_the_session_is_told_its_own_names_only(rig: Rig) -> None:
    assert shown(rig, "pg_roles", "rolname, rolsuper") == {("support-bot", False)}
    assert shown(rig, "pg_database", "datname") == {"crm"}
    assert shown(rig, "pg_namespace", "nspname") == {"pg_catalog", "information_schema", "public"}
    assert shown(rig, "pg_tables", "tableowner") == {"support-bot"}


def test_defaults_comments_and_sources_are_not_told(rig: Rig) -> None:
    assert shown(rig, "pg_attrdef", "adbin") == {None}
    assert shown(rig, "information_schema.columns", "column_default") == {None}
    assert shown(rig, "pg_description", "description") == set()
    assert shown(rig, "pg_proc", "prosrc") == {""}
    assert shown(rig, "pg_views", "definition") == {None}


def test_functions_listed_are_those_that_may_be_called(rig: Rig) -> None:
    names = shown(rig, "pg_proc", "proname")
    assert {"lower", "count", "now"} <= names
    assert not names & {"pg_read_file", "pg_sleep", "set_config", "query_to_xml", "get_customer", "lo_import"}


def test_no_column_has_a_type_whose_input_looks_up_objects(rig: Rig) -> None:
    for schema, name in sorted(AVAILABLE & set(rig.catalogue.system)):
        columns = ", ".join(f"pg_typeof({column.name})::text" for column in rig.catalogue.system[schema, name].columns)
        view = system_relation(schema, name, rig.catalogue, rig.visible)
        assert view is not None
        for row in rig.rows(f"SELECT {columns} FROM (SELECT 1) one LEFT JOIN ({view.sql}) x ON true LIMIT 1"):
            assert not [kind for kind in row if re.match(r"reg|aclitem|pg_node_tree|any", str(kind))], (
                f"{schema}.{name}"
            )


def test_hidden_rows_never_meet_the_agents_expressions(rig: Rig) -> None:
    # Pushed down, the division fails on the row of `ssn`.
    found = read(rig, "pg_attribute", "count(*)", "1 / (CASE attname WHEN 'ssn' THEN 0 ELSE 1 END) = 1")
    assert int(str(found[0][0])) > 0


def test_a_column_of_a_later_version_is_null(rig: Rig) -> None:
    real = rig.catalogue.system["pg_catalog", "pg_namespace"]
    later = Relation(real.schema, real.name, real.oid, real.kind, (*real.columns, Column("nspsecret", 9, "text")))
    catalogue = replace(rig.catalogue, system={**rig.catalogue.system, ("pg_catalog", "pg_namespace"): later})
    assert shown(replace(rig, catalogue=catalogue), "pg_namespace", "nspsecret") == {None}


def test_a_relation_that_the_version_lacks_is_not_available(rig: Rig) -> None:
    system = {key: value for key, value in rig.catalogue.system.items() if key[1] != "pg_publication_namespace"}
    catalogue = replace(rig.catalogue, system=system)
    assert system_relation("pg_catalog", "pg_publication_namespace", catalogue, rig.visible) is None


def test_an_empty_scope_shows_no_user_object(rig: Rig) -> None:
    bare = replace(rig, visible=replace(rig.visible, relations=()))
    for relation in ("pg_class", "pg_type", "pg_constraint"):
        assert read(bare, relation, "oid", "oid >= 16384") == []
    assert read(bare, "pg_attribute", "attname", "attrelid >= 16384") == []
    assert read(bare, "information_schema.columns", "1", "table_schema = 'public'") == []


def test_names_with_quotes_stay_text(rig: Rig) -> None:
    odd = replace(rig, visible=replace(rig.visible, agent='o\'bot\\ "x"', database="c'rm"))
    assert shown(odd, "pg_roles", "rolname") == {'o\'bot\\ "x"'}
    assert shown(odd, "pg_database", "datname") == {"c'rm"}
