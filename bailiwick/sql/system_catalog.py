"""The scoped forms of the relations of `pg_catalog`.

A column passes through only when it is named in `keep`; `set` replaces it; every other column, one of a later
PostgreSQL included, is a typed NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bailiwick.sql.functions_allowed import ALLOWED, ANSWERED
from bailiwick.sql.settings import SHOWABLE
from bailiwick.sql.system_reach import FIRST_USER_OID, OWNER_OID, Reach, literal, name_constant, names, numbers
from bailiwick.sql.types import SIGNATURE

_OWNER = f"{OWNER_OID}::pg_catalog.oid"
_NO_OID = "0::pg_catalog.oid"
_SIGNATURE = numbers(SIGNATURE, "oid")
_AS_TEXT = numbers(
    (24, 194, 1033, 2202, 2203, 2204, 2205, 2206, 2277, 3734, 3769, 4089, 4096, 4191, 8326), "oid"
)  # reg*, pg_node_tree, aclitem, anyarray: columns of such types are shown as text
_AS_TEXTS = numbers((1008, 1034, 2207, 2208, 2209, 2210, 2211, 3735, 3770, 4090, 4097, 4192, 8327), "oid")


@dataclass(frozen=True, slots=True)
class Form:
    """How one system relation is read: `SELECT … FROM source`, where `c` is the relation itself."""

    source: str
    """FROM and WHERE clauses (or WHERE alone, for a form without a relation)."""
    keep: str = ""
    """Names of columns of `c` that pass through."""
    set: Mapping[str, str] = field(default_factory=dict[str, str])


Maker = Callable[[Reach], Form]


def _empty(_: Reach) -> Form:
    return Form("WHERE false")


def _own(table: str, keep: str, **changes: str) -> Maker:
    """Rows that `initdb` made, the same on every server."""
    form = Form(f"FROM pg_catalog.{table} AS c WHERE c.oid < {FIRST_USER_OID}", keep, changes)
    return lambda _: form


def _pg_class(reach: Reach) -> Form:
    counts = "".join(f" WHEN {r.oid} THEN {len(r.columns)}" for r in reach.visible.relations if r.oid)
    return Form(
        f"FROM pg_catalog.pg_class AS c WHERE {reach.any_relation('c.oid')} OR c.oid IN ({reach.visible_indexes()})",
        "oid relname relnamespace relam relpersistence",
        {
            "reltype": _NO_OID,
            "reloftype": _NO_OID,
            "relowner": _OWNER,
            "relfilenode": _NO_OID,
            "reltablespace": _NO_OID,
            "relpages": "0::pg_catalog.int4",
            "reltuples": "(-1)::pg_catalog.float4",
            "relallvisible": "0::pg_catalog.int4",
            "reltoastrelid": _NO_OID,
            "relhasindex": "(c.relkind IN ('r', 'p', 'm'))",
            "relisshared": "false",
            "relkind": "(CASE WHEN c.relkind IN ('p', 'f') THEN 'r' WHEN c.relkind = 'I' THEN 'i'"
            ' ELSE c.relkind END)::pg_catalog."char"',
            "relnatts": f"(CASE c.oid{counts} ELSE c.relnatts END)::pg_catalog.int2" if counts else "c.relnatts",
            "relchecks": "0::pg_catalog.int2",
            "relhasrules": "false",
            "relhastriggers": "(c.relkind IN ('r', 'p'))",
            "relhassubclass": "false",
            "relrowsecurity": "false",
            "relforcerowsecurity": "false",
            "relispopulated": "true",
            "relreplident": "'d'::pg_catalog.\"char\"",
            "relispartition": "false",
            "relrewrite": _NO_OID,
        },
    )


def _pg_attribute(reach: Reach) -> Form:
    return Form(
        "FROM pg_catalog.pg_attribute AS c WHERE c.attnum > 0 AND NOT c.attisdropped AND"
        f" (c.attrelid = ANY ({reach.system_oids})"
        f" OR (c.attrelid, c.attnum) IN ({reach.column_pairs()})"
        f" OR c.attrelid IN ({reach.visible_indexes()}))",
        "attrelid attname attlen attnum atttypmod attndims attbyval attalign attstorage attnotnull atthasdef"
        " attidentity attgenerated attisdropped attcollation",
        {
            "atttypid": f"(CASE WHEN c.attrelid >= {FIRST_USER_OID} THEN c.atttypid WHEN c.atttypid = ANY ({_AS_TEXT})"
            f" THEN 25 WHEN c.atttypid = ANY ({_AS_TEXTS}) THEN 1009 ELSE c.atttypid END)",
            "attcompression": "''::pg_catalog.\"char\"",
            "atthasmissing": "false",
            "attislocal": "true",
            "attinhcount": "0::pg_catalog.int2",
            "attcacheoff": "(-1)::pg_catalog.int4",
        },
    )


def _pg_namespace(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_namespace AS c WHERE c.oid IN ({reach.namespaces()})",
        "oid nspname",
        {"nspowner": _OWNER},
    )


def _pg_type(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_type AS c WHERE {reach.type('c.oid')}",
        "oid typname typnamespace typlen typbyval typtype typcategory typispreferred typisdefined typdelim"
        " typsubscript typelem typarray typinput typoutput typreceive typsend typmodin typmodout typanalyze typalign"
        " typstorage typnotnull typbasetype typtypmod typndims typcollation",
        {"typowner": _OWNER, "typrelid": f"(CASE WHEN c.oid < {FIRST_USER_OID} THEN c.typrelid ELSE 0 END)"},
    )


def _pg_enum(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_enum AS c WHERE c.enumtypid = ANY ({reach.types})",
        "oid enumtypid enumsortorder enumlabel",
    )


def _pg_range(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_range AS c WHERE {reach.type('c.rngtypid')} AND {reach.type('c.rngsubtype')}",
        "rngtypid rngsubtype rngmultitypid rngcollation rngsubopc",
    )


def _pg_attrdef(reach: Reach) -> Form:
    """That a default exists is shown, never its expression: it may name other objects or hold a secret."""
    return Form(
        f"FROM pg_catalog.pg_attrdef AS c WHERE (c.adrelid, c.adnum) IN ({reach.column_pairs()})",
        "oid adrelid adnum",
    )


def _pg_index(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_index AS c WHERE {reach.relation('c.indrelid')} AND {reach.index('c')}",
        "indexrelid indrelid indnatts indnkeyatts indisunique indnullsnotdistinct indisprimary indisexclusion"
        " indimmediate indisclustered indisvalid indisready indislive indisreplident indkey indcollation indclass"
        " indoption",
        {"indcheckxmin": "false"},
    )


def _pg_constraint(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_constraint AS c WHERE {reach.constraint('c')}",
        "oid conname connamespace contype condeferrable condeferred conenforced convalidated conrelid conindid"
        " confrelid confupdtype confdeltype confmatchtype connoinherit conperiod conkey confkey confdelsetcols"
        " conpfeqop conppeqop conffeqop",
        {
            "contypid": _NO_OID,
            "conparentid": _NO_OID,
            "conislocal": "true",
            "coninhcount": "0::pg_catalog.int2",
        },
    )


def _pg_inherits(reach: Reach) -> Form:
    return Form(
        f"FROM pg_catalog.pg_inherits AS c WHERE {reach.relation('c.inhrelid')} AND {reach.relation('c.inhparent')}",
        "inhrelid inhparent inhseqno inhdetachpending",
    )


def _pg_proc(_: Reach) -> Form:
    """What can be called: the names that are allowed or answered, with the overloads whose types can be named. And
    `array_recv`, by which drivers tell arrays (`pg_type.typreceive`); it takes what no statement has."""
    answered = ", ".join(f"({name_constant(name)}, {count})" for name, count in sorted(ANSWERED))
    return Form(
        "FROM pg_catalog.pg_proc AS c WHERE c.oid = 2400::pg_catalog.oid OR"
        f" c.oid < {FIRST_USER_OID} AND c.pronamespace = 11::pg_catalog.oid"
        f" AND (c.proname = ANY ({names(ALLOWED)}) OR (c.proname, c.pronargs) IN (VALUES {answered}))"
        f" AND c.prorettype = ANY ({_SIGNATURE}) AND c.proargtypes::pg_catalog.oid[] <@ {_SIGNATURE}",
        "oid proname pronamespace prolang procost prorows provariadic prokind proisstrict proretset provolatile"
        " proparallel pronargs pronargdefaults prorettype proargtypes proallargtypes proargmodes proargnames",
        {
            "proowner": _OWNER,
            "prosecdef": "false",
            "proleakproof": "c.proleakproof",
            "prosrc": "''::pg_catalog.text",
        },
    )


def _pg_database(reach: Reach) -> Form:
    return Form(
        "FROM pg_catalog.pg_database AS c WHERE c.datname = pg_catalog.current_database()",
        "oid encoding datlocprovider datcollate datctype datlocale daticulocale",
        {
            "datname": name_constant(reach.visible.database),
            "datdba": _OWNER,
            "datistemplate": "false",
            "datallowconn": "true",
            "dathasloginevt": "false",
            "datconnlimit": "(-1)::pg_catalog.int4",
            "dattablespace": "1663::pg_catalog.oid",
        },
    )


def _pg_roles(reach: Reach) -> Form:
    return Form(
        "",
        set={
            "rolname": name_constant(reach.visible.agent),
            "rolsuper": "false",
            "rolinherit": "true",
            "rolcreaterole": "false",
            "rolcreatedb": "false",
            "rolcanlogin": "true",
            "rolreplication": "false",
            "rolconnlimit": "(-1)::pg_catalog.int4",
            "rolpassword": "'********'::pg_catalog.text",
            "rolbypassrls": "false",
            "oid": _OWNER,
        },
    )


def _relations_of_kind(kinds: str) -> str:
    """The shared FROM of `pg_tables`, `pg_views` and `pg_matviews`."""
    return (
        "FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN ({kinds}) AND "
    )


def _pg_tables(reach: Reach) -> Form:
    return Form(
        _relations_of_kind("'r', 'p'") + reach.any_relation("c.oid"),
        set={
            "schemaname": "n.nspname",
            "tablename": "c.relname",
            "tableowner": name_constant(reach.visible.agent),
            "hasindexes": "true",
            "hasrules": "false",
            "hastriggers": "false",
            "rowsecurity": "false",
        },
    )


def _pg_views(reach: Reach) -> Form:
    return Form(
        _relations_of_kind("'v'") + reach.any_relation("c.oid"),
        set={"schemaname": "n.nspname", "viewname": "c.relname", "viewowner": name_constant(reach.visible.agent)},
    )


def _pg_matviews(reach: Reach) -> Form:
    return Form(
        _relations_of_kind("'m'") + reach.relation("c.oid"),
        set={
            "schemaname": "n.nspname",
            "matviewname": "c.relname",
            "matviewowner": name_constant(reach.visible.agent),
            "hasindexes": "true",
            "ispopulated": "true",
        },
    )


def _pg_indexes(reach: Reach) -> Form:
    return Form(
        "FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid"
        " JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE {reach.relation('c.oid')} AND {reach.index('i')}",
        set={
            "schemaname": "n.nspname",
            "tablename": "c.relname",
            "indexname": "x.relname",
            "indexdef": "pg_catalog.pg_get_indexdef(x.oid)",
        },
    )


def _statistics(reach: Reach) -> Form:
    """Which relations there are. Every count is NULL: counters tell of hidden rows, and of what others do."""
    return Form(
        _relations_of_kind("'r', 'p', 'm'") + reach.relation("c.oid"),
        set={"relid": "c.oid", "schemaname": "n.nspname", "relname": "c.relname"},
    )


def _pg_user(reach: Reach) -> Form:
    return Form(
        "",
        set={
            "usename": name_constant(reach.visible.agent),
            "usesysid": _OWNER,
            "usecreatedb": "false",
            "usesuper": "false",
            "userepl": "false",
            "usebypassrls": "false",
            "passwd": "'********'::pg_catalog.text",
        },
    )


_TABLESPACE = Form(
    f"FROM pg_catalog.pg_tablespace AS c WHERE c.spcname = {literal('pg_default')}", "oid spcname", {"spcowner": _OWNER}
)
_CONFIG_MAP = Form(
    f"FROM pg_catalog.pg_ts_config_map AS c WHERE c.mapcfg < {FIRST_USER_OID}", "mapcfg maptokentype mapseqno mapdict"
)
_OPERATORS = Form(
    f"FROM pg_catalog.pg_operator AS c WHERE c.oid < {FIRST_USER_OID} AND c.oprresult = ANY ({_SIGNATURE})"
    f" AND c.oprright = ANY ({_SIGNATURE}) AND (c.oprleft = 0 OR c.oprleft = ANY ({_SIGNATURE}))",
    "oid oprname oprnamespace oprkind oprcanmerge oprcanhash oprleft oprright oprresult oprcom oprnegate oprcode"
    " oprrest oprjoin",
    {"oprowner": _OWNER},
)
_SETTINGS = Form(
    f"FROM pg_catalog.pg_settings AS c WHERE c.name = ANY ({names(SHOWABLE - {'search_path'})})",
    "name setting unit category short_desc context vartype min_val max_val enumvals boot_val",
)
_LANGUAGES = Form(
    f"FROM pg_catalog.pg_language AS c WHERE c.oid < {FIRST_USER_OID}",
    "oid lanname lanispl lanpltrusted lanplcallfoid laninline lanvalidator",
    {"lanowner": _OWNER},
)

_ZONES = Form("FROM pg_catalog.pg_timezone_names AS c", "name abbrev utc_offset is_dst")
_ZONE_WORDS = Form("FROM pg_catalog.pg_timezone_abbrevs AS c", "abbrev utc_offset is_dst")

BESIDE: Mapping[str, Maker] = {
    "pg_db_role_setting": _empty,
    "pg_default_acl": _empty,
    "pg_foreign_data_wrapper": _empty,
    "pg_foreign_server": _empty,
    "pg_seclabels": _empty,
    "pg_stat_all_tables": _statistics,
    "pg_stat_user_tables": _statistics,
    "pg_statio_all_tables": _statistics,
    "pg_statio_user_tables": _statistics,
    "pg_user": _pg_user,
}
"""What clients join to the catalogue's own relations while they look around, and nobody needs by itself."""

FORMS: Mapping[str, Maker] = {
    **BESIDE,
    "pg_am": _own("pg_am", "oid amname amhandler amtype"),
    "pg_attrdef": _pg_attrdef,
    "pg_attribute": _pg_attribute,
    "pg_auth_members": _empty,
    "pg_cast": _own("pg_cast", "oid castsource casttarget castfunc castcontext castmethod"),
    "pg_class": _pg_class,
    "pg_collation": _own(
        "pg_collation",
        "oid collname collnamespace collprovider collisdeterministic collencoding collcollate collctype colllocale"
        " colliculocale collicurules",
        collowner=_OWNER,
    ),
    "pg_constraint": _pg_constraint,
    "pg_conversion": _own(
        "pg_conversion", "oid conname connamespace conforencoding contoencoding conproc condefault", conowner=_OWNER
    ),
    "pg_database": _pg_database,
    "pg_depend": _empty,
    "pg_description": _empty,
    "pg_enum": _pg_enum,
    "pg_event_trigger": _empty,
    "pg_extension": _empty,
    "pg_foreign_table": _empty,
    "pg_index": _pg_index,
    "pg_indexes": _pg_indexes,
    "pg_inherits": _pg_inherits,
    "pg_language": lambda _: _LANGUAGES,
    "pg_matviews": _pg_matviews,
    "pg_namespace": _pg_namespace,
    "pg_opclass": _own(
        "pg_opclass",
        "oid opcmethod opcname opcnamespace opcfamily opcintype opcdefault opckeytype",
        opcowner=_OWNER,
    ),
    "pg_operator": lambda _: _OPERATORS,
    "pg_opfamily": _own("pg_opfamily", "oid opfmethod opfname opfnamespace", opfowner=_OWNER),
    "pg_partitioned_table": _empty,
    "pg_policies": _empty,
    "pg_policy": _empty,
    "pg_proc": _pg_proc,
    "pg_publication": _empty,
    "pg_publication_namespace": _empty,
    "pg_publication_rel": _empty,
    "pg_publication_tables": _empty,
    "pg_range": _pg_range,
    "pg_rewrite": _empty,
    "pg_roles": _pg_roles,
    "pg_rules": _empty,
    "pg_sequence": _empty,
    "pg_sequences": _empty,
    "pg_settings": lambda _: _SETTINGS,
    "pg_shdescription": _empty,
    "pg_statistic_ext": _empty,
    "pg_tables": _pg_tables,
    "pg_tablespace": lambda _: _TABLESPACE,
    "pg_timezone_abbrevs": lambda _: _ZONE_WORDS,
    "pg_timezone_names": lambda _: _ZONES,
    "pg_trigger": _empty,
    "pg_ts_config": _own("pg_ts_config", "oid cfgname cfgnamespace cfgparser", cfgowner=_OWNER),
    "pg_ts_config_map": lambda _: _CONFIG_MAP,
    "pg_ts_dict": _own("pg_ts_dict", "oid dictname dictnamespace dicttemplate", dictowner=_OWNER),
    "pg_ts_parser": _own("pg_ts_parser", "oid prsname prsnamespace prsstart prstoken prsend prsheadline prslextype"),
    "pg_ts_template": _own("pg_ts_template", "oid tmplname tmplnamespace tmplinit tmpllexize"),
    "pg_type": _pg_type,
    "pg_views": _pg_views,
}
"""Relation of `pg_catalog` → its scoped form. What is not a key is not available."""
