"""What the virtual catalogue offers to a client that makes statements of it (sqlsmith, a query builder) works."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bailiwick.model.decision import Denial
from bailiwick.model.policy import Resource
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, Scope
from bailiwick.sql.functions import TEMPLATES, call_template
from bailiwick.sql.functions_allowed import ALLOWED, ANSWERED
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter
from bailiwick.sql.settings import SHOWABLE, milliseconds
from bailiwick.sql.system_catalog import BESIDE
from bailiwick.sql.types import INFORMATION_DOMAINS, SIGNATURE
from tests.sql.catalogue_rig import HIDDEN, SHOWN, Rig, make_rig
from tests.sql.rewrite_samples import LOCK, MOUNT, denial, resources, snapshot
from tests.support.installed import versions
from tests.support.postgres import Cell, Server


@pytest.fixture(scope="module", params=versions("catalogue"))
def rig(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Rig:
    return make_rig(servers(request.param))


@pytest.fixture(scope="module")
def rewriter(rig: Rig) -> Rewriter:
    resources: dict[str, ResourceScope] = {}
    for each in rig.visible.relations:
        reads = (ReadGrant("g", RowFilter(), {column.name: None for column in each.columns}),)
        resources[each.name] = ResourceScope(Resource(each.name, "crm", each.schema, each.name), reads)
    return Rewriter(Scope("s", "support-bot", resources), rig.catalogue, "crm")


def rows(rig: Rig, rewriter: Rewriter, sql: str) -> list[tuple[Cell, ...]]:
    (found,) = rewriter.rewrite(sql)
    assert isinstance(found, Plan), found
    return rig.rows(found.sql)


def test_the_answered_functions_are_those_with_a_template(rig: Rig) -> None:
    assert {name for name, _ in ANSWERED} | {name for name in TEMPLATES if name.startswith("to_reg")} == TEMPLATES
    for name, count in ANSWERED:
        assert call_template(name, count, rig.catalogue, rig.visible) is not None


def test_functions_listed_can_be_called_with_types_that_can_be_named(rig: Rig, rewriter: Rewriter) -> None:
    listed = rows(rig, rewriter, "SELECT proname, pronargs, prorettype, proargtypes::oid[] FROM pg_proc")
    assert len(listed) > 1000
    for name, count, result, arguments in listed:
        if name == "array_recv":
            continue  # takes a value of the server's own: no statement can call it
        assert name in ALLOWED or (name, count) in ANSWERED
        assert isinstance(arguments, list)
        assert {result, *arguments} <= SIGNATURE, name
    names = {row[0] for row in listed}
    assert {"lower", "sum", "unnest", "format", "current_database", "has_table_privilege"} <= names
    assert not {"pg_read_file", "nextval", "lo_unlink", "query_to_xml", "set_config"} & names


def test_operators_listed_have_types_that_can_be_named(rig: Rig, rewriter: Rewriter) -> None:
    listed = rows(rig, rewriter, "SELECT oprname, oprleft, oprright, oprresult FROM pg_operator")
    assert len(listed) > 600
    assert all({left or 16, right, result} <= SIGNATURE for _, left, right, result in listed)


def test_columns_that_are_shown_as_text_are_listed_as_text(rig: Rig, rewriter: Rewriter) -> None:
    sql = (
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t"
        " ON t.oid = a.atttypid WHERE t.typname ~ '^_?(reg|aclitem|pg_node_tree)' OR t.typname = 'anyarray'"
    )
    assert rows(rig, rewriter, sql) == []
    assert rows(rig, rewriter, sql.replace("^_?(reg", "^_?(text")) != []


def test_system_relations_are_listed_as_views_that_nobody_writes(rig: Rig, rewriter: Rewriter) -> None:
    sql = "SELECT DISTINCT table_type, is_insertable_into FROM information_schema.tables WHERE table_schema {} 'public'"
    assert rows(rig, rewriter, sql.format("<>")) == [("VIEW", "NO")]
    assert ("BASE TABLE", "YES") in rows(rig, rewriter, sql.format("="))


def test_a_look_up_by_oid_reaches_the_relation_itself(rig: Rig, rewriter: Rewriter) -> None:
    for constant in ("1299", "'1299'", "$1"):
        (found,) = rewriter.rewrite(f"SELECT proname FROM pg_proc WHERE oid = {constant}")
        assert isinstance(found, Plan)
        assert found.sql.count(f" = {constant}") == 2, found.sql
    assert rows(rig, rewriter, "SELECT proname FROM pg_proc WHERE oid = 1299") == [("now",)]
    assert rows(rig, rewriter, "SELECT proname FROM pg_proc WHERE oid = '1300' OR oid = 1") == []
    shown = rewriter.rewrite("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname = 'customers'")
    assert isinstance(shown[0], Plan)
    assert rig.rows(shown[0].sql) == [("customers",)]
    assert shown[0].sql.count("= 'customers'") == 2
    assert shown[0].sql.count("relkind = 'r'") == 1  # shown otherwise than it is: not for the relation itself


def test_a_name_is_printed_where_a_reg_value_stands_in_a_text(rig: Rig, rewriter: Rewriter) -> None:
    for expression in (
        "format('%I.%I', typnamespace::regnamespace, typname)",
        "concat(typnamespace::regnamespace, '.', typname)",
        "typnamespace::regnamespace || '.' || typname",
    ):
        found = rows(rig, rewriter, f"SELECT {expression} FROM pg_type WHERE typname = 'sql_identifier'")
        assert found == [("information_schema.sql_identifier",)], expression


@pytest.mark.parametrize("name", sorted(INFORMATION_DOMAINS))
def test_the_domains_of_information_schema_can_be_named(rig: Rig, rewriter: Rewriter, name: str) -> None:
    assert rows(rig, rewriter, f"SELECT CAST(NULL AS information_schema.{name})") == [(None,)]
    (refused,) = rewriter.rewrite(f"SELECT CAST(NULL AS hr.{name})")
    assert isinstance(refused, Denial)


def test_null_of_a_pseudo_type_is_a_value_and_nothing_else_is(rig: Rig, rewriter: Rewriter) -> None:
    assert rows(rig, rewriter, "SELECT CAST(NULL AS record) IS NULL, count(CAST(NULL AS anyarray))") == [(True, 0)]
    for sql in (
        "'(1,2)'::record",
        "'{a}'::anyarray",
        "NULL::anyarray[]",
        "NULL::cstring",
        "NULL::internal",
        "$1::record",
    ):
        assert isinstance(rewriter.rewrite(f"SELECT {sql}")[0], Denial), sql
    assert denial("SELECT CAST(c AS record) FROM customers c")


def test_bpchar_without_a_length_keeps_its_length(rig: Rig, rewriter: Rewriter) -> None:
    assert rows(rig, rewriter, "SELECT CAST('ab ' AS bpchar), 'abc'::pg_catalog.bpchar, 'abc'::char") == [
        ("ab ", "abc", "a")
    ]


@pytest.mark.parametrize("value", ["'1s'", "'30 s'", "250", "'1min'", "60000", "'60000000us'", "'0060s'"])
def test_a_client_may_set_a_shorter_timeout(value: str) -> None:
    (made,) = bounded().rewrite(f"SET statement_timeout TO {value}")
    assert isinstance(made, Plan)
    assert made.sql.replace('"', "'") == f"SET statement_timeout TO {value}"


@pytest.mark.parametrize("value", ["60001", "'61s'", "'2min'", "'1h'", "'60000001us'", "'9999999999d'"])
def test_a_longer_timeout_leaves_the_sessions_bound_in_place(value: str) -> None:
    for scope in ("", "LOCAL "):
        (made,) = bounded().rewrite(f"SET {scope}statement_timeout TO {value}")
        assert isinstance(made, Plan)
        assert made.sql == f"SET {scope}statement_timeout TO DEFAULT"


@pytest.mark.parametrize("value", ["0", "'0'", "''", "-1", "'1s; x'", "'1 year'", "'1us'", "'999us'", "'0.1ms'"])
def test_no_timeout_at_all_is_refused(value: str) -> None:
    assert denial(f"SET statement_timeout TO {value}")
    assert milliseconds((value.strip("'"),)) is None


def bounded() -> Rewriter:
    """Return a rewriter of a gateway whose statements may take a minute."""
    return Rewriter(Scope("s", "bot", resources()), snapshot(MOUNT, LOCK), "crm", longest=60_000)


def test_a_name_shown_as_text_compares_with_a_reg_value(rig: Rig, rewriter: Rewriter) -> None:
    found = rows(rig, rewriter, "SELECT typname FROM pg_type WHERE typinput = 'pg_catalog.int4in'::regproc")
    assert found == [("int4",)]
    assert rows(rig, rewriter, "SELECT count(*) FROM pg_type WHERE 'int4in'::regproc <> typinput")[0][0] != 0
    assert rows(rig, rewriter, "SELECT 1 FROM pg_class WHERE oid = 'customers'::regclass") == [(1,)]


def test_a_key_expanded_in_a_sub_query_has_its_two_fields(rig: Rig, rewriter: Rewriter) -> None:
    keys = "(SELECT information_schema._pg_expandarray(indkey) AS k FROM pg_index WHERE indisprimary) q"
    assert (1, 1) in rows(rig, rewriter, f"SELECT (q.k).x, (k).n FROM {keys}")
    for sql in (f"SELECT (q.k).pg_typeof FROM {keys}", "SELECT (q.k).x FROM (SELECT indkey AS k FROM pg_index) q"):
        assert isinstance(rewriter.rewrite(sql)[0], Denial), sql


def test_settings_are_those_that_may_be_shown_and_only_beside_another_relation(rig: Rig, rewriter: Rewriter) -> None:
    beside = "EXISTS (SELECT FROM pg_am)"
    found = {name for (name,) in rows(rig, rewriter, f"SELECT name FROM pg_settings WHERE {beside}")}
    assert "max_index_keys" in found
    assert found <= SHOWABLE - {"search_path"}
    assert rows(rig, rewriter, f"SELECT setting FROM pg_settings WHERE name = 'data_directory' AND {beside}") == []
    for alone in ("", " WHERE name > 'a'", " WHERE name = 'a' OR true", " WHERE setting = 'a'"):
        assert isinstance(rewriter.rewrite(f"SELECT name FROM pg_settings{alone}")[0], Denial)
    assert rows(rig, rewriter, "SELECT setting FROM pg_settings WHERE name = 'max_index_keys'") == [("32",)]
    assert rows(rig, rewriter, "SELECT setting FROM pg_settings WHERE name = 'data_directory'") == []


def test_sizes_are_not_told(rig: Rig, rewriter: Rewriter) -> None:
    assert rows(rig, rewriter, "SELECT pg_table_size('customers'::regclass)") == [(None,)]
    assert isinstance(rewriter.rewrite("SELECT pg_total_relation_size('customers')")[0], Denial)
    assert rows(rig, rewriter, "SELECT DISTINCT pg_total_relation_size(oid) FROM pg_class") == [(None,)]


def test_what_is_only_joined_is_refused_alone(rig: Rig, rewriter: Rewriter) -> None:
    for name in BESIDE:
        for alone in (f"SELECT * FROM {name}", f"SELECT 1 FROM {name} a WHERE EXISTS (SELECT FROM {name})"):
            assert isinstance(rewriter.rewrite(alone)[0], Denial)
        found = rows(rig, rewriter, f"SELECT x FROM {name} x WHERE EXISTS (SELECT FROM pg_am)")
        assert re.findall(HIDDEN, str(found)) == []


def test_counters_beside_are_of_visible_relations_and_untold(rig: Rig, rewriter: Rewriter) -> None:
    asked = (
        "SELECT DISTINCT s.relname, n_live_tup, seq_scan FROM pg_stat_user_tables s WHERE EXISTS (SELECT FROM pg_am)"
    )
    assert sorted(rows(rig, rewriter, asked)) == [(name, None, None) for name in sorted(SHOWN)]


@pytest.mark.parametrize(
    ("alone", "beside"),
    [
        (
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint",
            "FROM pg_constraint k WHERE EXISTS (SELECT FROM pg_class)",
        ),
        ("SELECT pg_get_functiondef(oid) FROM pg_proc", "FROM pg_proc k WHERE EXISTS (SELECT FROM pg_class)"),
        (
            "SELECT pg_stat_get_live_tuples(oid) FROM pg_class",
            "FROM pg_class k WHERE EXISTS (SELECT FROM pg_namespace)",
        ),
        ("SELECT obj_description('customers'::regclass)", "FROM pg_class k"),
        ("SELECT pg_get_viewdef('customers'::regclass)", "FROM pg_class k"),
        ("SELECT pg_relation_size('hr.employee_records')", "FROM pg_class k"),
    ],
)
def test_definitions_are_asked_for_within_reflection_only(
    rig: Rig, rewriter: Rewriter, alone: str, beside: str
) -> None:
    assert isinstance(rewriter.rewrite(alone)[0], Denial)
    called = re.findall(r"\w+(?=\()", alone)[0]
    found = {cell for (cell,) in rows(rig, rewriter, f"SELECT {called}(k.oid) {beside}")}
    assert re.findall(HIDDEN, str(found)) == []
    assert found == {None} if called != "pg_get_constraintdef" else any("PRIMARY KEY" in str(cell) for cell in found)


def test_a_function_shown_by_name_is_met_by_its_number(rig: Rig, rewriter: Rewriter) -> None:
    asked = "SELECT p.proname FROM pg_type t JOIN pg_proc p ON p.oid = t.typinput WHERE t.typname = 'int4'"
    assert rows(rig, rewriter, asked.replace("typinput", "typreceive").replace("int4'", "_int4'")) == [("array_recv",)]
    assert rows(rig, rewriter, asked) == []  # functions that cannot be called are not listed
    assert rows(rig, rewriter, "SELECT typinput::oid = 42 FROM pg_type WHERE typname = 'int4'") == [(True,)]
    arrays = "SELECT count(*) FROM unnest('{int4, character varying, hidden}'::regtype[]) t WHERE t IS NOT NULL"
    assert rows(rig, rewriter, arrays) == [(2,)]
    for sql in ("SELECT '{a,\"b\"}'::regtype[]", "SELECT ARRAY['x']::regtype[]", "SELECT '{a}'::regclass[]"):
        assert isinstance(rewriter.rewrite(sql)[0], Denial), sql


@pytest.mark.parametrize(
    "call",
    [
        "to_tsvector('{}', name)",
        "plainto_tsquery('{}', 'a')",
        "json_to_tsvector('{}', '{{}}', '\"all\"')",
        "ts_headline('{}', name, 'a'::tsquery)",
        "ts_headline('{}', name, 'a'::tsquery, 'MinWords=1')",
    ],
)
def test_only_built_in_text_search_configurations_can_be_named(rig: Rig, rewriter: Rewriter, call: str) -> None:
    assert rows(rig, rewriter, f"SELECT {call.format('english')} FROM customers")
    for hidden in ("hr.secret", "public.customers", "16999"):
        assert isinstance(rewriter.rewrite(f"SELECT {call.format(hidden)} FROM customers")[0], Denial), hidden


def test_a_configuration_given_as_a_parameter_is_a_built_in_one_or_none(rig: Rig, rewriter: Rewriter) -> None:
    (plan,) = rewriter.rewrite("SELECT to_tsvector($1, 'cats')::text")
    assert isinstance(plan, Plan)
    rig.rows("CREATE TEXT SEARCH CONFIGURATION public.hidden (COPY = simple)")
    try:
        for name, found in {"english": "'cat':1", "public.hidden": None, "hidden": None, "absent.one": None}.items():
            assert rig.connection.execute(plan.sql.replace("$1", "%s").encode(), (name,)).fetchall() == [(found,)]
    finally:
        rig.rows("DROP TEXT SEARCH CONFIGURATION public.hidden")
    assert rows(rig, rewriter, "SELECT ts_headline('a text', to_tsquery('text'), 'MinWords=1, MaxWords=2')")


def test_a_search_path_of_several_names_can_be_set(rig: Rig, rewriter: Rewriter) -> None:
    assert rows(rig, rewriter, 'SET search_path = "$user", public') == []
    assert rows(rig, rewriter, "SELECT count(*) FROM customers")
