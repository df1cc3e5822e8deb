"""Types that agents may name in casts and column definitions, and declare for parameters."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from functools import lru_cache

from bailiwick.sql.catalogue import Catalogue

_PRINTED = re.compile(r'^(?P<schema>"(?:[^"]|"")+"|[^".]+)\.(?P<name>"(?:[^"]|"")+"|[^".]+?)(?:\(.*\))?(?:\[\])*$')

_OIDS: Mapping[str, tuple[int, int]] = {
    "bit": (1560, 1561),
    "bool": (16, 1000),
    "box": (603, 1020),
    "bpchar": (1042, 1014),
    "bytea": (17, 1001),
    "char": (18, 1002),
    "cidr": (650, 651),
    "circle": (718, 719),
    "date": (1082, 1182),
    "datemultirange": (4535, 6155),
    "daterange": (3912, 3913),
    "float4": (700, 1021),
    "float8": (701, 1022),
    "inet": (869, 1041),
    "int2": (21, 1005),
    "int2vector": (22, 1006),
    "int4": (23, 1007),
    "int4multirange": (4451, 6150),
    "int4range": (3904, 3905),
    "int8": (20, 1016),
    "int8multirange": (4536, 6157),
    "int8range": (3926, 3927),
    "interval": (1186, 1187),
    "json": (114, 199),
    "jsonb": (3802, 3807),
    "jsonpath": (4072, 4073),
    "line": (628, 629),
    "lseg": (601, 1018),
    "macaddr": (829, 1040),
    "macaddr8": (774, 775),
    "money": (790, 791),
    "name": (19, 1003),
    "numeric": (1700, 1231),
    "nummultirange": (4532, 6151),
    "numrange": (3906, 3907),
    "oid": (26, 1028),
    "oidvector": (30, 1013),
    "path": (602, 1019),
    "point": (600, 1017),
    "polygon": (604, 1027),
    "text": (25, 1009),
    "time": (1083, 1183),
    "timestamp": (1114, 1115),
    "timestamptz": (1184, 1185),
    "timetz": (1266, 1270),
    "tsmultirange": (4533, 6152),
    "tsquery": (3615, 3645),
    "tsrange": (3908, 3909),
    "tstzmultirange": (4534, 6153),
    "tstzrange": (3910, 3911),
    "tsvector": (3614, 3643),
    "uuid": (2950, 2951),
    "varbit": (1562, 1563),
    "varchar": (1043, 1015),
    "xml": (142, 143),
}
"""Built-in types → oid and oid of the array type: the same in every version. Not here: `reg*`, which look up objects
by name or number; `aclitem`, which looks up roles; pseudo-types; row types; `xid`, `tid`, `pg_lsn` and their kin."""

_BY_OID = {oid: name + "[]" * place for name, oids in _OIDS.items() for place, oid in enumerate(oids)}

INFORMATION_DOMAINS: frozenset[str] = frozenset(
    {"cardinal_number", "character_data", "sql_identifier", "time_stamp", "yes_or_no"}
)
"""The standard's domains over built-in types, of which the views of `information_schema` are made."""

BUILT_IN: frozenset[str] = frozenset(_OIDS)
"""Their names, as the parser spells them."""
_DECLARED: frozenset[int] = frozenset(oid for both in _OIDS.values() for oid in both) | {0, 705}
"""0: not declared; 705: unknown."""


POLYMORPHIC: frozenset[int] = frozenset(
    {2276, 2277, 2283, 2776, 3500, 3831, 4537, 4538, 5077, 5078, 5079, 5080, 2249, 2287, 2278}
)
"""The pseudo-types that stand in signatures for types that can be named: `any…`, `record`, `record[]`, and `void`."""

_PSEUDO = """
    any anyarray anycompatible anycompatiblearray anycompatiblemultirange anycompatiblenonarray anycompatiblerange
    anyelement anyenum anymultirange anynonarray anyrange record void
"""
PSEUDO_TYPES: frozenset[str] = frozenset(_PSEUDO.split())
"""Their names. Only NULL may be cast to them: they read no text, so they look nothing up."""

SIGNATURE: frozenset[int] = POLYMORPHIC | _DECLARED - {0, 705}
"""Types of which arguments and results of what can be called are."""


def type_allowed(schema: str | None, name: str, catalogue: Catalogue) -> bool:
    """Whether a cast or column definition may name the type.

    `name` as the parser spells it (`int4`, `timestamptz`, `_text`). A user-defined enum, domain, range or base type
    may be named, with its schema, when an accepted column has it; so may a composite that is no relation's row.
    """
    if schema in (None, "", "pg_catalog"):
        return name in _OIDS or (name.startswith("_") and name[1:] in _OIDS)
    if schema == "information_schema":
        return name in INFORMATION_DOMAINS
    return (schema, name) in user_types(catalogue)


def parameter_allowed(oid: int, own: Container[int]) -> bool:
    """Whether a client may declare a parameter of the type with that oid in a Parse message.

    `own` are the oids of the types that users made and accepted columns have (`Plan.own_types`). The server reads a
    parameter's value by its declared type: one declared `regclass` is a look-up of any relation.
    """
    return oid in _DECLARED or oid in own


def built_in_of(oid: int) -> str:
    """Return the name of a built-in type, with `[]` for an array of it; empty for every other."""
    return _BY_OID.get(oid, "")


def own_types(catalogue: Catalogue) -> frozenset[int]:
    """Return the oids of the user-made types that parameters may have."""
    return frozenset(oid for around in catalogue.types.values() for oid in around)


def user_types(catalogue: Catalogue) -> frozenset[tuple[str, str]]:
    """Return (schema, name) of the types that users made and accepted columns have, and of those of their fields."""
    columns = [column for relation in catalogue.relations.values() for column in relation.columns]
    kinds = [column.type for column in columns if column.kind in "edrmb"]
    nested = [kind for fields in catalogue.composites.values() for _, kind in fields]
    return _named(frozenset((*kinds, *catalogue.composites, *nested, *catalogue.opened)))


@lru_cache(maxsize=16)
def _named(printed: frozenset[str]) -> frozenset[tuple[str, str]]:
    matches = (_PRINTED.match(each) for each in printed)
    return frozenset((_bare(match["schema"]), _bare(match["name"])) for match in matches if match is not None)


def _bare(printed: str) -> str:
    return printed[1:-1].replace('""', '"') if printed.startswith('"') else printed
