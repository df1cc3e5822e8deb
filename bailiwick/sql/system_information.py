# ruff: noqa: S608 - built from numbers and quoted literals only
"""The scoped forms of the views of `information_schema`, on the terms of `bailiwick.sql.system_catalog`."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.sql.system_catalog import Form, Maker
from bailiwick.sql.system_reach import SYSTEM_SCHEMAS, Reach, literal, name_constant, names, rows

_CONSTRAINT_SOURCE = (
    "FROM pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace"
)
_KIND = (
    "(CASE c.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' WHEN 'f' THEN 'FOREIGN KEY' ELSE 'CHECK' END)"
)
_RULE = (
    "(CASE {} WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL'"
    " ELSE 'SET DEFAULT' END)"
)


def _empty(_: Reach) -> Form:
    return Form("WHERE false")


def _database(reach: Reach) -> str:
    return name_constant(reach.visible.database)


def _listed(reach: Reach, schema: str, name: str) -> str:
    return f"({schema}::pg_catalog.text, {name}::pg_catalog.text) IN ({rows(reach.relation_names(), 2)})"


def _catalog_name(reach: Reach) -> Form:
    return Form("", set={"catalog_name": _database(reach)})


def _schemata(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_namespace AS c WHERE c.nspname = ANY ({names([*SYSTEM_SCHEMAS, *reach.schemas])})",
        set={
            "catalog_name": _database(reach),
            "schema_name": "c.nspname",
            "schema_owner": name_constant(reach.visible.agent),
        },
    )


def _tables(reach: Reach) -> Form:
    """System relations are listed as the views that they are here: no row of theirs can be sampled or written."""
    system = f"c.table_schema::pg_catalog.text = ANY ({names(SYSTEM_SCHEMAS)})"
    return Form(
        f"FROM information_schema.tables AS c WHERE {_listed(reach, 'c.table_schema', 'c.table_name')}",
        "table_schema table_name is_typed",
        {
            "table_catalog": _database(reach),
            "table_type": f"(CASE WHEN {system} THEN 'VIEW' ELSE c.table_type END)",
            "is_insertable_into": f"(CASE WHEN {system} THEN 'NO' ELSE c.is_insertable_into END)",
        },
    )


def _columns(reach: Reach) -> Form:
    triple = "(c.table_schema::pg_catalog.text, c.table_name::pg_catalog.text, c.column_name::pg_catalog.text)"
    system = rows(sorted(reach.system), 2)
    return Form(
        f"FROM information_schema.columns AS c WHERE {triple} IN ({rows(reach.column_names(), 3)})"
        f" OR (c.table_schema::pg_catalog.text, c.table_name::pg_catalog.text) IN ({system})",
        "table_schema table_name column_name ordinal_position is_nullable data_type character_maximum_length"
        " character_octet_length numeric_precision numeric_precision_radix numeric_scale datetime_precision"
        " interval_type interval_precision collation_schema collation_name domain_schema domain_name udt_schema"
        " udt_name dtd_identifier is_self_referencing is_identity identity_generation is_generated is_updatable",
        {
            "table_catalog": _database(reach),
            "udt_catalog": _database(reach),
            "domain_catalog": f"CASE WHEN c.domain_name IS NOT NULL THEN {_database(reach)} END",
            "collation_catalog": f"CASE WHEN c.collation_name IS NOT NULL THEN {_database(reach)} END",
        },
    )


def _views(reach: Reach) -> Form:
    return Form(
        f"FROM information_schema.views AS c WHERE {_listed(reach, 'c.table_schema', 'c.table_name')}",
        "table_schema table_name check_option is_updatable is_insertable_into is_trigger_updatable"
        " is_trigger_deletable is_trigger_insertable_into",
        {"table_catalog": _database(reach)},
    )


def _table_constraints(reach: Reach) -> Form:
    return Form(
        f"{_CONSTRAINT_SOURCE} WHERE {reach.constraint('c')}",
        set={
            "constraint_catalog": _database(reach),
            "constraint_schema": "n.nspname",
            "constraint_name": "c.conname",
            "table_catalog": _database(reach),
            "table_schema": "n.nspname",
            "table_name": "r.relname",
            "constraint_type": _KIND,
            "is_deferrable": "(CASE WHEN c.condeferrable THEN 'YES' ELSE 'NO' END)",
            "initially_deferred": "(CASE WHEN c.condeferred THEN 'YES' ELSE 'NO' END)",
            "enforced": "'YES'",
        },
    )


def _key_column_usage(reach: Reach) -> Form:
    return Form(
        f"{_CONSTRAINT_SOURCE} CROSS JOIN LATERAL pg_catalog.unnest(c.conkey) WITH ORDINALITY AS k(attnum, place)"
        " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum"
        f" WHERE {reach.constraint('c')} AND c.contype IN ('p', 'u', 'f')",
        set={
            "constraint_catalog": _database(reach),
            "constraint_schema": "n.nspname",
            "constraint_name": "c.conname",
            "table_catalog": _database(reach),
            "table_schema": "n.nspname",
            "table_name": "r.relname",
            "column_name": "a.attname",
            "ordinal_position": "k.place::pg_catalog.int4",
            "position_in_unique_constraint": "(CASE WHEN c.contype = 'f' THEN pg_catalog.array_position("
            "(SELECT x.conkey FROM pg_catalog.pg_constraint AS x WHERE x.conrelid = c.confrelid"
            " AND x.conindid = c.conindid AND x.contype IN ('p', 'u') LIMIT 1), c.confkey[k.place]) END)",
        },
    )


def _constraint_column_usage(reach: Reach) -> Form:
    """As the standard has it: a key's own columns, a foreign key's referenced ones."""
    return Form(
        "FROM pg_catalog.pg_constraint AS c"
        " JOIN pg_catalog.pg_class AS r ON r.oid = (CASE c.contype WHEN 'f' THEN c.confrelid ELSE c.conrelid END)"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace"
        " JOIN pg_catalog.pg_namespace AS m ON m.oid = c.connamespace"
        " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid"
        " AND a.attnum = ANY (CASE c.contype WHEN 'f' THEN c.confkey ELSE c.conkey END)"
        f" WHERE {reach.constraint('c')} AND c.contype IN ('p', 'u', 'f')",
        set={
            "table_catalog": _database(reach),
            "table_schema": "n.nspname",
            "table_name": "r.relname",
            "column_name": "a.attname",
            "constraint_catalog": _database(reach),
            "constraint_schema": "m.nspname",
            "constraint_name": "c.conname",
        },
    )


def _referential_constraints(reach: Reach) -> Form:
    return Form(
        f"{_CONSTRAINT_SOURCE}"
        " LEFT JOIN pg_catalog.pg_constraint AS u ON u.conrelid = c.confrelid AND u.conindid = c.conindid"
        f" AND u.contype IN ('p', 'u') AND {reach.constraint('u')}"
        " LEFT JOIN pg_catalog.pg_namespace AS m ON m.oid = u.connamespace"
        f" WHERE {reach.constraint('c')} AND c.contype = 'f'",
        set={
            "constraint_catalog": _database(reach),
            "constraint_schema": "n.nspname",
            "constraint_name": "c.conname",
            "unique_constraint_catalog": f"CASE WHEN u.oid IS NOT NULL THEN {_database(reach)} END",
            "unique_constraint_schema": "m.nspname",
            "unique_constraint_name": "u.conname",
            "match_option": "(CASE c.confmatchtype WHEN 'f' THEN 'FULL' WHEN 'p' THEN 'PARTIAL' ELSE 'NONE' END)",
            "update_rule": _RULE.format("c.confupdtype"),
            "delete_rule": _RULE.format("c.confdeltype"),
        },
    )


def _table_privileges(reach: Reach) -> Form:
    """What `has_table_privilege` says: the agent's own right to read. `accept` knows no other grantee."""
    return Form(
        f"FROM information_schema.tables AS c WHERE {_listed(reach, 'c.table_schema', 'c.table_name')}",
        "table_schema table_name",
        {**_granted(reach), "with_hierarchy": "'NO'"},
    )


def _column_privileges(reach: Reach) -> Form:
    triple = "(c.table_schema::pg_catalog.text, c.table_name::pg_catalog.text, c.column_name::pg_catalog.text)"
    return Form(
        f"FROM information_schema.columns AS c WHERE {triple} IN ({rows(reach.column_names(), 3)})",
        "table_schema table_name column_name",
        _granted(reach),
    )


def _granted(reach: Reach) -> dict[str, str]:
    return {
        "grantor": name_constant(reach.visible.agent),
        "grantee": name_constant(reach.visible.agent),
        "table_catalog": _database(reach),
        "privilege_type": "'SELECT'",
        "is_grantable": "'NO'",
    }


def _constraint_table_usage(reach: Reach) -> Form:
    return Form(
        "FROM pg_catalog.pg_constraint AS c"
        " JOIN pg_catalog.pg_class AS r ON r.oid = (CASE c.contype WHEN 'f' THEN c.confrelid ELSE c.conrelid END)"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace"
        " JOIN pg_catalog.pg_namespace AS m ON m.oid = c.connamespace"
        f" WHERE {reach.constraint('c')} AND c.contype IN ('p', 'u', 'f')",
        set={
            "table_catalog": _database(reach),
            "table_schema": "n.nspname",
            "table_name": "r.relname",
            "constraint_catalog": _database(reach),
            "constraint_schema": "m.nspname",
            "constraint_name": "c.conname",
        },
    )


def _element_types(reach: Reach) -> Form:
    """The elements of visible columns that are arrays; `dtd_identifier` of a column is its number."""
    numbers = [
        (each.schema, each.name, str(column.number)) for each in reach.visible.relations for column in each.columns
    ]
    place = "(c.object_schema::pg_catalog.text, c.object_name::pg_catalog.text, c.collection_type_identifier::text)"
    return Form(
        f"FROM information_schema.element_types AS c WHERE c.object_type IN ('TABLE', 'VIEW')"
        f" AND {place} IN ({rows(numbers, 3)})",
        "object_schema object_name object_type collection_type_identifier data_type character_maximum_length"
        " character_octet_length collation_schema collation_name numeric_precision numeric_precision_radix"
        " numeric_scale datetime_precision interval_type interval_precision udt_schema udt_name maximum_cardinality"
        " dtd_identifier",
        {"object_catalog": _database(reach), "udt_catalog": _database(reach)},
    )


def _domains(reach: Reach) -> Form:
    return Form(
        "FROM information_schema.domains AS c WHERE (c.domain_schema, c.domain_name) IN (SELECT n.nspname, t.typname"
        " FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace"
        f" WHERE {reach.type('t.oid')})",
        "domain_schema domain_name data_type character_maximum_length character_octet_length collation_schema"
        " collation_name numeric_precision numeric_precision_radix numeric_scale datetime_precision interval_type"
        " interval_precision udt_schema udt_name dtd_identifier",
        {"domain_catalog": _database(reach), "udt_catalog": _database(reach)},
    )


def _enabled_roles(reach: Reach) -> Form:
    return Form("", set={"role_name": name_constant(reach.visible.agent)})


def _character_sets(reach: Reach) -> Form:
    return Form(
        "",
        set={
            "character_set_name": literal("UTF8"),
            "character_repertoire": literal("UCS"),
            "form_of_use": literal("UTF8"),
            "default_collate_catalog": _database(reach),
        },
    )


FORMS: Mapping[str, Maker] = {
    "applicable_roles": _empty,
    "character_sets": _character_sets,
    "check_constraints": _empty,
    "column_privileges": _column_privileges,
    "columns": _columns,
    "constraint_column_usage": _constraint_column_usage,
    "constraint_table_usage": _constraint_table_usage,
    "domains": _domains,
    "element_types": _element_types,
    "enabled_roles": _enabled_roles,
    "information_schema_catalog_name": _catalog_name,
    "key_column_usage": _key_column_usage,
    "referential_constraints": _referential_constraints,
    "role_column_grants": _column_privileges,
    "role_table_grants": _table_privileges,
    "schemata": _schemata,
    "sequences": _empty,
    "table_constraints": _table_constraints,
    "table_privileges": _table_privileges,
    "tables": _tables,
    "triggers": _empty,
    "views": _views,
}
"""View of `information_schema` → its scoped form. What is not a key is not available."""
