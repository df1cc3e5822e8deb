"""The functions that agents may call, against what real servers have under those names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bailiwick.sql.functions import ALLOWED, TEMPLATES, call_template, value_function_template
from bailiwick.sql.regtypes import (
    REG_TYPES,
    Result,
    reg_template,
    regclass_constant,
    regclass_template,
    text_search_constant,
)
from tests.sql.catalogue_rig import HIDDEN, Rig, make_rig
from tests.support.installed import versions
from tests.support.postgres import Cell, Server

REVIEWED = frozenset((Path(__file__).parent / "functions_reviewed.txt").read_text().split("\n"))
"""Every overload that was looked at, as `name(argument types)`."""

DENIED = """
    amvalidate aclexplode binary_upgrade_set_next_pg_type_oid brin_summarize_new_values col_description
    current_query current_setting currtid2 currval cursor_to_xml cursor_to_xmlschema database_to_xml
    database_to_xml_and_xmlschema database_to_xmlschema dblink dblink_exec gin_clean_pending_list
    get_current_ts_config has_column_privilege has_parameter_privilege has_table_privilege inet_client_addr
    inet_client_port inet_server_addr inet_server_port lastval lo_close lo_creat lo_create lo_export lo_from_bytea
    lo_get lo_import lo_lseek lo_open lo_put lo_tell lo_truncate lo_unlink loread lowrite makeaclitem nextval
    obj_description oidvectortypes pg_advisory_lock pg_advisory_unlock_all pg_advisory_xact_lock pg_backup_start
    pg_backup_stop pg_basetype pg_blocking_pids pg_cancel_backend pg_clear_relation_stats pg_conf_load_time
    pg_config pg_control_system pg_create_physical_replication_slot pg_create_restore_point pg_current_logfile
    pg_current_wal_lsn pg_current_xact_id pg_cursor pg_database_size pg_describe_object pg_drop_replication_slot
    pg_event_trigger_ddl_commands pg_export_snapshot pg_extension_config_dump pg_filenode_relation pg_get_acl
    pg_get_backend_memory_contexts pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr pg_get_functiondef
    pg_get_indexdef pg_get_object_address pg_get_replication_slots pg_get_ruledef pg_get_sequence_data
    pg_get_serial_sequence pg_get_statisticsobjdef pg_get_triggerdef pg_get_userbyid pg_get_viewdef
    pg_hba_file_rules pg_identify_object pg_import_system_collations pg_indexes_size pg_input_error_info
    pg_input_is_valid pg_isolation_test_session_is_blocked pg_last_committed_xact pg_listening_channels
    pg_lock_status pg_log_backend_memory_contexts pg_logical_emit_message pg_logical_slot_get_changes
    pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_tmpdir pg_ls_waldir pg_mcv_list_items pg_nextoid
    pg_notification_queue_usage pg_notify pg_partition_root pg_partition_tree pg_postmaster_start_time
    pg_prepared_statement pg_prepared_xact pg_promote pg_read_binary_file pg_read_file pg_relation_filenode
    pg_relation_filepath pg_relation_size pg_reload_conf pg_replication_origin_create pg_restore_attribute_stats
    pg_rotate_logfile pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_sequence_parameters
    pg_settings_get_flags pg_show_all_file_settings pg_show_all_settings pg_sleep pg_sleep_for pg_sleep_until
    pg_stat_file pg_stat_get_activity pg_stat_get_live_tuples pg_stat_reset pg_switch_wal pg_table_size
    pg_tablespace_databases pg_tablespace_size pg_terminate_backend pg_total_relation_size pg_try_advisory_lock
    pg_typeof pg_wal_replay_pause pg_walfile_name pg_xact_commit_timestamp query_to_xml
    query_to_xml_and_xmlschema query_to_xmlschema row_security_active satisfies_hash_partition schema_to_xml
    set_config setseed setval shobj_description table_to_xml table_to_xml_and_xmlschema table_to_xmlschema
    to_regclass to_regtype ts_debug ts_lexize ts_parse ts_rewrite ts_stat txid_current txid_status xmlvalidate
""".split()  # noqa: SIM905  # a list of names reads better as text

EVERYDAY = """
    abs age any_value array_agg array_append array_cat array_length array_position array_remove array_to_json
    array_to_string array_upper ascii avg bit_and bit_or bool_and bool_or btrim cardinality cbrt ceil ceiling
    char_length chr clock_timestamp coalesce_is_syntax concat concat_ws corr cos count covar_pop cume_dist date
    date_bin date_part date_trunc decode degrees dense_rank div encode every exp extract first_value floor format
    gcd gen_random_uuid generate_series generate_subscripts greatest_is_syntax host initcap int4 isfinite
    json_agg json_array_elements json_build_array json_build_object json_each json_object_agg json_object_keys
    json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
    jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert
    jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_recordset jsonb_typeof justify_days
    justify_hours justify_interval lag last_value lead left length like_escape ln log lower lpad ltrim make_date
    make_interval make_time make_timestamp make_timestamptz masklen max md5 min mod mode netmask network normalize
    now nth_value ntile num_nonnulls num_nulls numeric octet_length overlaps overlay parse_ident percent_rank
    percentile_cont percentile_disc pg_backend_pid pg_size_pretty phraseto_tsquery pi plainto_tsquery position
    power quote_ident quote_literal radians random range_agg range_merge rank regexp_count regexp_like
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_r2
    regr_slope repeat replace reverse right round row_number row_to_json rpad rtrim setweight sha256 sign
    similar_to_escape sin split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg
    string_to_array string_to_table strpos substr substring sum tan text timezone to_char to_date to_hex to_json
    to_jsonb to_number to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale
    trunc ts_headline ts_rank tstzrange unnest upper upper_inc var_pop var_samp variance version
    websearch_to_tsquery width_bucket xmlagg xpath
""".split()  # noqa: SIM905  # a list of names reads better as text

OVERLOADS = """
SELECT p.proname::text, pg_catalog.oidvectortypes(p.proargtypes), p.prokind::text, l.lanname::text, p.prosecdef,
       p.prosrc, pg_catalog.format_type(p.prorettype, NULL)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 11
"""
UNSAFE_TYPE = re.compile(r"\b(internal|cstring|reg(?!config)\w+|pg_node_tree|aclitem|refcursor|trigger|\w*_handler)\b")


@pytest.fixture(scope="module", params=versions("catalogue"))
def rig(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Rig:
    return make_rig(servers(request.param))


def test_every_overload_of_an_allowed_name_was_reviewed(rig: Rig) -> None:
    live = {f"{name}({arguments})" for name, arguments, *_ in rig.rows(OVERLOADS) if name in ALLOWED}
    assert live - REVIEWED == set()
    assert len(live) > 1000


def test_no_allowed_overload_takes_what_looks_into_the_server(rig: Rig) -> None:
    for name, arguments, kind, language, definer, source, result in rig.rows(OVERLOADS):
        if name in ALLOWED:
            assert not UNSAFE_TYPE.search(f"{arguments} {result}"), f"{name}({arguments})"
            assert kind in ("f", "a", "w")
            assert language in ("internal", "sql")
            assert not definer
            assert language == "internal" or not re.search(r"(?i)\bfrom\s+(pg_|information)", str(source)), name


@pytest.mark.parametrize("name", DENIED)
def test_a_dangerous_function_is_not_allowed(name: str) -> None:
    assert name not in ALLOWED


@pytest.mark.parametrize("name", [name for name in EVERYDAY if not name.endswith("_is_syntax")])
def test_an_everyday_function_is_allowed(name: str) -> None:
    assert name in ALLOWED


def test_whole_families_are_not_allowed() -> None:
    families = r"(pg_(stat|advisory|try|ls|read|logical|replication|wal|create|drop|reload|export|control)_|lo_|txid_"
    families += (
        r"|binary_upgrade|has_|inet_(client|server)|dblink|\w+_to_xml|to_reg|pg_get_(?!keywords)|\w+(recv|send)$)"
    )
    assert [name for name in ALLOWED if re.match(families, name)] == []


def test_no_name_is_both_free_and_replaced() -> None:
    assert not ALLOWED & TEMPLATES


def filled(template: str | None, *arguments: str) -> str:
    assert template is not None
    for number, argument in reversed(list(enumerate(arguments, 1))):
        template = template.replace(f"${number}", argument)
    return template


def call(rig: Rig, name: str, *arguments: str) -> Cell:
    return rig.value(filled(call_template(name, len(arguments), rig.catalogue, rig.visible), *arguments))


def oid(rig: Rig, text: str, kind: str = "regclass") -> str:
    return str(rig.rows(f"SELECT '{text}'::{kind}::oid::text")[0][0])


@pytest.fixture(scope="module")
def hidden(rig: Rig) -> list[str]:
    """Oids of a hidden table, index, row type, enum, function, schema and of a table's hidden constraint."""
    names = [("hr.employee_records", "regclass"), ("public.customers_ssn_key", "regclass"), ("hr", "regnamespace")]
    names += [("hr.employee_records", "regtype"), ("hr.hidden_mood", "regtype"), ("public.run_sql", "regproc")]
    found = [oid(rig, *each) for each in names]
    keys = rig.rows("SELECT oid::text FROM pg_catalog.pg_constraint WHERE conname IN ('customers_ssn_key')")
    return [*found, *(str(row[0]) for row in keys)]


ONE_OID = [
    "pg_table_is_visible", "pg_type_is_visible", "pg_function_is_visible", "pg_get_indexdef", "pg_get_userbyid",
    "pg_get_function_arguments", "pg_get_function_result", "pg_get_function_identity_arguments",
    "pg_collation_is_visible", "pg_opclass_is_visible", "to_regtype", "to_regclass", "to_regnamespace", "to_regproc",
]  # fmt: skip


@pytest.mark.parametrize("name", ONE_OID)
def test_a_hidden_oid_is_answered_like_one_that_does_not_exist(rig: Rig, hidden: list[str], name: str) -> None:
    nothing = call(rig, name, "'99999999'")
    assert [call(rig, name, f"'{number}'") for number in hidden] == [nothing] * len(hidden)


def test_definitions_of_hidden_objects_are_null(rig: Rig, hidden: list[str]) -> None:
    for number in hidden:
        assert call(rig, "pg_get_constraintdef", f"{number}::oid", "true") is None
        assert call(rig, "pg_get_indexdef", f"{number}::oid", "1", "true") is None
        assert call(rig, "format_type", f"{number}::oid", "NULL") == "???"


def test_definitions_of_visible_objects_are_told(rig: Rig) -> None:
    index = oid(rig, "public.orders_customer_idx")
    assert "USING btree (customer_id)" in str(call(rig, "pg_get_indexdef", index))
    assert call(rig, "pg_get_indexdef", index, "1", "true") == "customer_id"
    key = rig.rows("SELECT oid FROM pg_catalog.pg_constraint WHERE conname = 'orders_customer_id_fkey'")[0][0]
    assert "FOREIGN KEY (customer_id)" in str(call(rig, "pg_get_constraintdef", f"{key}::oid", "false"))
    assert call(rig, "format_type", "1184::oid", "-1") == "timestamp with time zone"
    assert call(rig, "format_type", oid(rig, "public.mood", "regtype"), "-1") == "public.mood"
    assert call(rig, "pg_table_is_visible", oid(rig, "public.tickets")) is True
    assert call(rig, "pg_table_is_visible", "1259::oid") is True


@pytest.mark.parametrize(
    ("name", "count"),
    [("obj_description", 1), ("pg_get_viewdef", 1), ("pg_get_constraintdef", 1), ("pg_relation_size", 1),
     ("pg_database_size", 1), ("pg_get_functiondef", 1), ("inet_server_addr", 0), ("current_query", 0)],
)  # fmt: skip
def test_forms_that_only_tell_secrets_have_no_template(rig: Rig, name: str, count: int) -> None:
    assert call_template(name, count, rig.catalogue, rig.visible) is None
    assert name not in ALLOWED


def test_comments_defaults_and_sources_are_null(rig: Rig) -> None:
    table = oid(rig, "public.customers")
    assert call(rig, "obj_description", f"{table}::oid", "'pg_class'") is None
    assert call(rig, "col_description", f"{table}::oid", "1") is None
    assert call(rig, "pg_get_viewdef", oid(rig, "public.v_all_customers"), "true") is None


def test_the_session_is_told_its_own_names(rig: Rig) -> None:
    assert call(rig, "current_database") == "crm"
    assert call(rig, "current_schema") == "public"
    assert call(rig, "current_schemas", "true") == ["pg_catalog", "public"]
    assert call(rig, "current_schemas", "false") == ["public"]
    for kind in ("CURRENT_USER", "SVFOP_SESSION_USER", "user", "CURRENT_ROLE"):
        template = value_function_template(kind, rig.visible)
        assert template is not None
        assert rig.value(template) == "support-bot"
    assert value_function_template("CURRENT_DATE", rig.visible) is None


@pytest.mark.parametrize("table", ["'tickets'", "'public.tickets'", "'PUBLIC.Tickets'", "'\"tickets\"'", "'pg_class'"])
def test_privileges_on_visible_tables_are_confirmed_for_reading_only(rig: Rig, table: str) -> None:
    assert call(rig, "has_table_privilege", table, "'select'") is True
    assert call(rig, "has_table_privilege", "'hr_admin'", table, "'SELECT'") is True
    assert call(rig, "has_table_privilege", table, "'UPDATE'") is False


def test_privileges_say_nothing_about_hidden_tables_and_columns(rig: Rig) -> None:
    assert call(rig, "has_table_privilege", "'hr.employee_records'", "'SELECT'") is False
    assert call(rig, "has_table_privilege", "'no such table'", "'SELECT'") is False
    assert call(rig, "has_column_privilege", "'customers'", "'name'", "'SELECT'") is True
    assert call(rig, "has_column_privilege", "'customers'", "'ssn'", "'SELECT'") is False
    assert call(rig, "has_column_privilege", "'customers'", "'nope'", "'SELECT'") is False
    assert call(rig, "has_schema_privilege", "'hr'", "'USAGE'") is False
    assert call(rig, "has_schema_privilege", "'public'", "'USAGE'") is True


def test_settings_read_by_name_are_the_harmless_ones(rig: Rig) -> None:
    assert call(rig, "current_setting", "'server_version_num'") is not None
    assert call(rig, "current_setting", "'data_directory'") is None
    assert call(rig, "current_setting", "'no.such'", "true") is None


ODD = [
    "'hr.employee_records'",
    "'hr.nothing'",
    "'nothing'",
    "'a.b.c.d'",
    "''",
    "'a\"b'",
    "'hr.employee_records(1)'",
    "'x''y'",
]


@pytest.mark.parametrize("result", ["oid", "text"])
@pytest.mark.parametrize("kind", sorted(REG_TYPES - {"regrole"}))
def test_reg_casts_yield_null_for_what_is_not_visible_and_never_fail(
    rig: Rig, hidden: list[str], kind: str, result: Result
) -> None:
    template = reg_template(kind, result, rig.catalogue, rig.visible)
    texts = [] if (kind, result) == ("regproc", "text") else ODD  # there a name is only echoed
    for argument in (*texts, *(f"{number}::oid" for number in hidden), *(f"'{number}'" for number in hidden), "NULL"):
        found = rig.value(filled(template, argument))
        assert found is None or not re.search(HIDDEN, str(found))
        assert found in (None, *((number for number in hidden) if (kind, result) == ("regproc", "text") else ()))


def test_roles_are_all_the_agent(rig: Rig) -> None:
    template = reg_template("regrole", "text", rig.catalogue, rig.visible)
    assert {rig.value(filled(template, word)) for word in ("'hr_admin'", "'nobody'", "16400::oid")} == {"support-bot"}


def test_reg_casts_find_what_is_visible(rig: Rig) -> None:
    tickets = int(oid(rig, "public.tickets"))
    as_oid = regclass_template(rig.catalogue, rig.visible)
    for word in ("'tickets'", "'public.tickets'", "'Tickets'", f"{tickets}::oid", f"'{tickets}'"):
        assert rig.value(filled(as_oid, word)) == tickets
    as_text = regclass_template(rig.catalogue, rig.visible, "text")
    assert rig.value(filled(as_text, f"{tickets}::oid")) == "tickets"
    kind = reg_template("regtype", "text", rig.catalogue, rig.visible)
    assert rig.value(filled(kind, "'mood'")) == "public.mood"
    assert rig.value(filled(kind, "'int4'")) == "integer"
    assert (
        rig.value(filled(reg_template("regproc", "text", rig.catalogue, rig.visible), "'pg_catalog.array_in'"))
        == "array_in"
    )
    assert rig.value(filled(reg_template("regnamespace", "text", rig.catalogue, rig.visible), "2200::oid")) == "public"


def test_no_cast_yields_a_type_whose_input_looks_up_objects(rig: Rig) -> None:
    for kind in REG_TYPES:
        for result in ("oid", "text"):
            template = filled(reg_template(kind, result, rig.catalogue, rig.visible), "'x'")
            assert rig.value(f"pg_catalog.pg_typeof({template})::text") == result


def test_arguments_are_not_captured_by_the_templates_own_queries(rig: Rig) -> None:
    for name in ("pg_table_is_visible", "pg_get_indexdef", "to_regclass", "to_regnamespace", "pg_type_is_visible"):
        template = filled(call_template(name, 1, rig.catalogue, rig.visible), "bw_c.oid")
        aliases = " CROSS JOIN ".join(f"(SELECT 99999999::oid AS oid) AS bw_{letter}" for letter in "cilnst")
        assert rig.rows(f"SELECT {template} FROM {aliases}")[0][0] in (None, False)


def test_constants_of_regclass_resolve_to_what_is_visible(rig: Rig) -> None:
    def found(text: str) -> int | None:
        return regclass_constant(text, rig.visible, rig.catalogue)

    assert found("customers") == found('"public" . "customers"') == found("PUBLIC.customers") is not None
    assert found("pg_class") == found("pg_catalog.pg_class") == 1259
    for text in ("employee_records", "hr.employee_records", '"Customers"', "a.b.c", "", "1", "customers; x"):
        assert found(text) is None


def test_only_built_in_text_search_configurations_are_constants() -> None:
    assert text_search_constant("english")
    assert text_search_constant("pg_catalog.simple")
    assert not text_search_constant("hr.secret")
    assert not text_search_constant("16401")
