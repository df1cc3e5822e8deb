# ruff: noqa: S608 - built from numbers and quoted literals only; arguments are nodes, not text
"""Functions that agents may call: freely (`ALLOWED`), or replaced by an expression that answers from the scope.

A template is SQL text in which `$1 … $n` stand for the argument nodes. Wherever a template looks into the real
catalogue, the arguments stand *outside* its sub-queries, so that a column of the agent's is never captured; the names
in it are qualified and must not be scoped again.

`set_config`, and `current_setting` of a constant, are judged by `bailiwick.sql.settings`: they pass as they are or are
refused. The template of `current_setting` is for a name that is not constant (psycopg and asyncpg bind it as a
parameter): it reads harmless settings, and NULL for any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bailiwick.sql.catalogue import Catalogue, Visible
from bailiwick.sql.functions_allowed import ALLOWED as ALLOWED
from bailiwick.sql.regtypes import reg_template, regclass
from bailiwick.sql.settings import REASON, SHOWABLE
from bailiwick.sql.system import reach
from bailiwick.sql.system_reach import FIRST_USER_OID, Reach, identifier, literal, name_constant, names

Template = Callable[[Reach], str]
_OID = "($1)::pg_catalog.oid"
_OWN = f"({_OID} < {FIRST_USER_OID})"
_NO_TEXT = "NULL::pg_catalog.text"
_NO_SIZE = "NULL::pg_catalog.int8"
"""A size tells of rows that are hidden; `\\dt+` asks for it."""


def call_template(name: str, nargs: int, catalogue: Catalogue, visible: Visible) -> str | None:
    """Return the expression that replaces a call of `pg_catalog.name` with `nargs` arguments, or None.

    None together with a name that is not in `ALLOWED` means: refused. `pg_partition_ancestors` may stand in FROM; the
    other templates are values only.
    """
    template = _TEMPLATES.get((name, nargs))
    if template is not None:
        return template(reach(catalogue, visible))
    if nargs == 1 and name in _TO_REG:
        return reg_template(name.removeprefix("to_"), "oid", catalogue, visible)
    return None


def beside_template(name: str, nargs: int, catalogue: Catalogue, visible: Visible) -> tuple[str, int] | None:
    """Return the expression that replaces such a call in reflection, and how many relations its statement has to read
    at least: alone, definitions, comments and sizes are what somebody is after."""
    found = _BESIDE.get((name, nargs))
    return (found[0](reach(catalogue, visible)), found[1]) if found is not None else None


def value_function_template(kind: str, visible: Visible) -> str | None:
    """Return the expression that replaces `CURRENT_USER`, `CURRENT_SCHEMA` and so on.

    `kind` is the keyword, or libpg_query's name of it (`SVFOP_CURRENT_USER`). None for those that only tell the time:
    they pass as they are.
    """
    word = kind.upper().removeprefix("SVFOP_")
    if word in ("CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", "USER"):
        return name_constant(visible.agent)
    if word == "CURRENT_SCHEMA":
        return _current_schema(visible)
    return name_constant(visible.database) if word == "CURRENT_CATALOG" else None


def _fixed(expression: str) -> Template:
    return lambda _: expression


def _if_own(function: str) -> Template:
    """The real function, but only of objects that PostgreSQL itself brings."""
    return _fixed(f"(CASE WHEN {_OWN} THEN pg_catalog.{function}({_OID}) END)")


def _table_is_visible(reach: Reach) -> str:
    return (
        f"({_OID} IN (SELECT bw_c.oid FROM pg_catalog.pg_class AS bw_c"
        f" WHERE bw_c.relnamespace IN ({reach.path_namespaces()})"
        f" AND ({reach.any_relation('bw_c.oid')} OR bw_c.oid IN ({reach.visible_indexes()}))))"
    )


def _type_is_visible(reach: Reach) -> str:
    return (
        f"({_OID} IN (SELECT bw_t.oid FROM pg_catalog.pg_type AS bw_t"
        f" WHERE bw_t.typnamespace IN ({reach.path_namespaces()}) AND {reach.type('bw_t.oid')}))"
    )


def _constraintdef(reach: Reach, pretty: str = "($2)::pg_catalog.bool") -> str:
    visible = f"SELECT bw_k.oid FROM pg_catalog.pg_constraint AS bw_k WHERE {reach.constraint('bw_k')}"
    definition = f"pg_catalog.pg_get_constraintdef({_OID}, {pretty})"
    for schema in reach.visible.search_path:  # as a server prints it under the agent's own search path
        for written in (schema, identifier(schema)):
            definition = f"pg_catalog.replace({definition}, {literal(f' REFERENCES {written}.')}, ' REFERENCES ')"
    return f"(CASE WHEN {_OID} IN ({visible}) THEN {definition} END)"


def _indexdef(arguments: str) -> Template:
    return lambda reach: (
        f"(CASE WHEN {_OID} IN ({reach.visible_indexes()}) THEN pg_catalog.pg_get_indexdef({arguments}) END)"
    )


def _format_type(typmod: str) -> Template:
    return lambda reach: (
        f"(CASE WHEN {_OID} IS NULL THEN NULL WHEN {reach.type(_OID)}"
        f" THEN pg_catalog.format_type({_OID}, {typmod}) ELSE '???' END)"
    )


def _schemas(reach: Reach) -> str:
    own = ", ".join(name_constant(each) for each in reach.visible.search_path)
    both = ", ".join(name_constant(each) for each in ("pg_catalog", *reach.visible.search_path))
    return f"(CASE WHEN ($1)::pg_catalog.bool THEN ARRAY[{both}] ELSE ARRAY[{own}]::pg_catalog.name[] END)"


def _current_schema(visible: Visible) -> str:
    return name_constant(visible.search_path[0]) if visible.search_path else "NULL::pg_catalog.name"


def _is_select(privilege: str, word: str = "SELECT") -> str:
    """Whether the privilege asked for is this one; of several in a list, whether one of them is."""
    asked = f"pg_catalog.upper(pg_catalog.replace(({privilege})::pg_catalog.text, ' ', ''))"
    return f"{literal(word)} = ANY (pg_catalog.string_to_array({asked}, ','))"


def _table_privilege(table: str, privilege: str) -> Template:
    """Only `SELECT` is ever confirmed, and only of what is visible; anything else is answered with false."""
    return lambda reach: f"({regclass(reach, 'oid').replace('$1', table)} IS NOT NULL AND {_is_select(privilege)})"


def _column_privilege(table: str, column: str, privilege: str) -> Template:
    def make(reach: Reach) -> str:
        oid = regclass(reach, "oid").replace("$1", table)
        shown = names(
            f"{each.oid}.{word}"
            for each in reach.visible.relations
            for known in each.columns
            for word in (known.name, str(known.number))
        )
        asked = f"({oid}::pg_catalog.text || '.' || ({column})::pg_catalog.text)"
        return f"(COALESCE({asked} = ANY ({shown}), false) AND {_is_select(privilege)})"

    return make


def _schema_privilege(schema: str, privilege: str) -> Template:
    asked = f"({schema})::pg_catalog.text"
    return lambda reach: (
        f"(({asked} IN (SELECT bw_s.nspname::pg_catalog.text FROM pg_catalog.pg_namespace AS bw_s"
        f" WHERE bw_s.oid IN ({reach.namespaces()}))"
        f" OR {asked} IN (SELECT bw_s.oid::pg_catalog.text FROM pg_catalog.pg_namespace AS bw_s"
        f" WHERE bw_s.oid IN ({reach.namespaces()}))) AND {_is_select(privilege, 'USAGE')})"
    )


_SETTING = (
    f"(CASE WHEN pg_catalog.lower(($1)::pg_catalog.text) = ANY ({names(SHOWABLE | {REASON})})"
    " THEN pg_catalog.current_setting(($1)::pg_catalog.text, true) END)"
)
_TO_REG: frozenset[str] = frozenset({"to_regclass", "to_regnamespace", "to_regproc", "to_regrole", "to_regtype"})

_TEMPLATES: Mapping[tuple[str, int], Template] = {
    ("col_description", 2): _fixed(_NO_TEXT),
    ("current_catalog", 0): lambda reach: name_constant(reach.visible.database),
    ("current_database", 0): lambda reach: name_constant(reach.visible.database),
    ("current_schema", 0): lambda reach: _current_schema(reach.visible),
    ("current_schemas", 1): _schemas,
    ("current_setting", 1): _fixed(_SETTING),
    ("current_setting", 2): _fixed(_SETTING),
    ("current_user", 0): lambda reach: name_constant(reach.visible.agent),
    ("format_type", 2): _format_type("($2)::pg_catalog.int4"),
    ("getpgusername", 0): lambda reach: name_constant(reach.visible.agent),
    ("has_any_column_privilege", 2): _table_privilege("$1", "$2"),
    ("has_any_column_privilege", 3): _table_privilege("$2", "$3"),
    ("has_column_privilege", 3): _column_privilege("$1", "$2", "$3"),
    ("has_column_privilege", 4): _column_privilege("$2", "$3", "$4"),
    ("has_database_privilege", 2): _fixed(f"({_is_select('$2', 'CONNECT')})"),
    ("has_database_privilege", 3): _fixed(f"({_is_select('$3', 'CONNECT')})"),
    ("has_schema_privilege", 2): _schema_privilege("$1", "$2"),
    ("has_schema_privilege", 3): _schema_privilege("$2", "$3"),
    ("has_table_privilege", 2): _table_privilege("$1", "$2"),
    ("has_table_privilege", 3): _table_privilege("$2", "$3"),
    ("obj_description", 2): _fixed(_NO_TEXT),
    ("pg_advisory_unlock_all", 0): _fixed("''::pg_catalog.text"),
    ("pg_collation_is_visible", 1): _if_own("pg_collation_is_visible"),
    ("pg_column_is_updatable", 3): _fixed("false"),
    ("pg_conversion_is_visible", 1): _if_own("pg_conversion_is_visible"),
    ("pg_function_is_visible", 1): _if_own("pg_function_is_visible"),
    ("pg_get_constraintdef", 2): _constraintdef,
    ("pg_get_expr", 2): _fixed(_NO_TEXT),
    ("pg_get_expr", 3): _fixed(_NO_TEXT),
    ("pg_get_function_arguments", 1): _if_own("pg_get_function_arguments"),
    ("pg_get_function_identity_arguments", 1): _if_own("pg_get_function_identity_arguments"),
    ("pg_get_function_result", 1): _if_own("pg_get_function_result"),
    ("pg_get_function_sqlbody", 1): _fixed(_NO_TEXT),
    ("pg_get_indexdef", 1): _indexdef(_OID),
    ("pg_get_indexdef", 3): _indexdef(f"{_OID}, ($2)::pg_catalog.int4, ($3)::pg_catalog.bool"),
    ("pg_get_partition_constraintdef", 1): _fixed(_NO_TEXT),
    ("pg_get_partkeydef", 1): _fixed(_NO_TEXT),
    ("pg_get_ruledef", 2): _fixed(_NO_TEXT),
    ("pg_get_serial_sequence", 2): _fixed(_NO_TEXT),
    ("pg_get_statisticsobjdef_columns", 1): _fixed(_NO_TEXT),
    ("pg_get_triggerdef", 2): _fixed(_NO_TEXT),
    ("pg_get_userbyid", 1): lambda reach: name_constant(reach.visible.agent),
    ("pg_get_viewdef", 2): _fixed(_NO_TEXT),
    ("pg_has_role", 2): _fixed("false"),
    ("pg_has_role", 3): _fixed("false"),
    ("pg_is_in_recovery", 0): _fixed("false"),
    ("pg_is_other_temp_schema", 1): _fixed("false"),
    ("pg_my_temp_schema", 0): _fixed("0::pg_catalog.oid"),
    ("pg_opclass_is_visible", 1): _if_own("pg_opclass_is_visible"),
    ("pg_operator_is_visible", 1): _if_own("pg_operator_is_visible"),
    ("pg_opfamily_is_visible", 1): _if_own("pg_opfamily_is_visible"),
    ("pg_partition_ancestors", 1): _fixed(f"pg_catalog.unnest(ARRAY[{_OID}])"),
    ("pg_relation_is_publishable", 1): _fixed("false"),
    ("pg_table_is_visible", 1): _table_is_visible,
    ("pg_table_size", 1): _fixed(_NO_SIZE),
    ("pg_tablespace_location", 1): _fixed("''::pg_catalog.text"),
    ("pg_ts_config_is_visible", 1): _if_own("pg_ts_config_is_visible"),
    ("pg_ts_dict_is_visible", 1): _if_own("pg_ts_dict_is_visible"),
    ("pg_ts_parser_is_visible", 1): _if_own("pg_ts_parser_is_visible"),
    ("pg_ts_template_is_visible", 1): _if_own("pg_ts_template_is_visible"),
    ("pg_type_is_visible", 1): _type_is_visible,
    ("pg_typeof", 1): _fixed("pg_catalog.format_type(pg_catalog.pg_typeof($1)::pg_catalog.oid, NULL)"),
    ("row_security_active", 1): _fixed("false"),
    ("session_user", 0): lambda reach: name_constant(reach.visible.agent),
    ("shobj_description", 2): _fixed(_NO_TEXT),
}
"""(function, number of arguments) → template. Old forms that only a person types, and that tell definitions or
comments (`obj_description(oid)`, `pg_get_viewdef(oid)`, `pg_get_constraintdef(oid)`), have none: see `_BESIDE`.
`pg_advisory_unlock_all()` has nothing to unlock: asyncpg's pool calls it for every connection that it takes back."""

_BESIDE: Mapping[tuple[str, int], tuple[Template, int]] = {
    ("obj_description", 1): (_fixed(_NO_TEXT), 1),
    ("pg_get_constraintdef", 1): (lambda reach: _constraintdef(reach, "false"), 2),
    ("pg_get_functiondef", 1): (_fixed(_NO_TEXT), 2),
    ("pg_get_viewdef", 1): (_fixed(_NO_TEXT), 1),
    ("pg_indexes_size", 1): (_fixed(_NO_SIZE), 1),
    ("pg_relation_size", 1): (_fixed(_NO_SIZE), 1),
    ("pg_stat_get_dead_tuples", 1): (_fixed(_NO_SIZE), 2),
    ("pg_stat_get_live_tuples", 1): (_fixed(_NO_SIZE), 2),
    ("pg_stat_get_numscans", 1): (_fixed(_NO_SIZE), 2),
    ("pg_total_relation_size", 1): (_fixed(_NO_SIZE), 1),
}
"""(function, number of arguments) → template, and how many relations the statement has to read."""

TEMPLATES: frozenset[str] = frozenset({name for name, _ in _TEMPLATES} | _TO_REG)
"""Names that have a template for some number of arguments."""
