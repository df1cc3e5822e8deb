# ruff: noqa: S608 - built from numbers and quoted literals only; arguments are nodes, not text
"""What a session's virtual catalogue reaches, as fragments of SQL.

Every fragment is built from numbers and quoted literals only. Objects that `initdb` made (oid below 16384) belong to
PostgreSQL itself and are the same everywhere: they may be shown. Everything else must be reached through a visible
column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bailiwick.sql.catalogue import Catalogue, Visible

FIRST_USER_OID = 16384
"""`FirstNormalObjectId`: no object that a user made has a smaller oid."""
OWNER_OID = 10
"""Shown as the oid of the agent's role and of every owner."""
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")


def literal(text: str) -> str:
    """Quote as a string constant; upstream has `standard_conforming_strings` pinned to on."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def name_constant(text: str) -> str:
    """A constant of type `name`."""
    return f"{literal(text)}::pg_catalog.name"


def numbers(values: Iterable[int], type_name: str) -> str:
    """A constant array of integers."""
    return f"'{{{','.join(str(value) for value in sorted(set(values)))}}}'::pg_catalog.{type_name}[]"


def names(values: Iterable[str]) -> str:
    """A constant array of texts."""
    inner = ", ".join(literal(value) for value in sorted(set(values)))
    return f"ARRAY[{inner}]::pg_catalog.text[]"


def rows(values: Collection[tuple[str, ...]], width: int) -> str:
    """A `VALUES` list of text rows; with no row at all, one that equals nothing."""
    if not values:
        return "VALUES (" + ", ".join(["NULL::pg_catalog.text"] * width) + ")"
    return "VALUES " + ", ".join("(" + ", ".join(literal(cell) for cell in row) + ")" for row in values)


@dataclass(frozen=True, slots=True)
class Reach:
    """Fragments for one (catalogue, visible). `*_of(x)` are conditions on an expression `x`."""

    visible: Visible
    system: frozenset[tuple[str, str]]
    """System relations that the virtual catalogue offers."""
    oids: str
    """Array of the visible relations' oids."""
    system_oids: str
    types: str
    """Array of the oids of user-defined types that a visible column has (with their element, array, base types)."""
    named_types: Mapping[str, int]
    """Printed name → oid of those of these types that a visible column has itself."""
    schemas: frozenset[str]
    """User schemas that hold something visible or stand in the search path."""

    def relation(self, x: str) -> str:
        """`x` is a visible user relation."""
        return f"{x} = ANY ({self.oids})"

    def any_relation(self, x: str) -> str:
        """`x` is a visible user relation or an offered system relation."""
        return f"({x} = ANY ({self.oids}) OR {x} = ANY ({self.system_oids}))"

    def attnums(self, x: str) -> str:
        """The array of visible attribute numbers of the relation `x`; empty when `x` is not visible."""
        cases = "".join(
            f" WHEN {each.oid} THEN {numbers((column.number for column in each.columns), 'int2')}"
            for each in self.visible.relations
            if each.oid
        )
        nothing = numbers((), "int2")
        return f"(CASE {x}{cases} ELSE {nothing} END)" if cases else nothing

    def type(self, x: str) -> str:
        """`x` is a type that may be named."""
        return f"({x} < {FIRST_USER_OID} OR {x} = ANY ({self.types}))"

    def column_pairs(self) -> str:
        """`VALUES` of (relation oid, attribute number)."""
        pairs = [
            f"({each.oid}::pg_catalog.oid, {column.number}::pg_catalog.int2)"
            for each in self.visible.relations
            if each.oid
            for column in each.columns
        ]
        return "VALUES " + ", ".join(pairs or ["(NULL::pg_catalog.oid, NULL::pg_catalog.int2)"])

    def visible_indexes(self) -> str:
        """Sub-query of indexes whose every column (INCLUDE too) is visible, without expression and predicate."""
        return (
            "SELECT bw_i.indexrelid FROM pg_catalog.pg_index AS bw_i"
            f" WHERE {self.relation('bw_i.indrelid')} AND {self.index('bw_i')}"
        )

    def index(self, alias: str) -> str:
        """The index row `alias` shows visible columns only."""
        return (
            f"{alias}.indexprs IS NULL AND {alias}.indpred IS NULL"
            f" AND {alias}.indkey::pg_catalog.int2[] <@ {self.attnums(f'{alias}.indrelid')}"
        )

    def constraint(self, alias: str) -> str:
        """The constraint row `alias` involves visible columns only, on both sides. Checks are never shown."""
        return (
            f"{self.relation(f'{alias}.conrelid')} AND {alias}.conkey <@ {self.attnums(f'{alias}.conrelid')}"
            f" AND ({alias}.contype = 'n'"
            f" OR {alias}.contype IN ('p', 'u') AND {alias}.conindid IN ({self.visible_indexes()})"
            f" OR {alias}.contype = 'f' AND {self.relation(f'{alias}.confrelid')}"
            f" AND {alias}.confkey <@ {self.attnums(f'{alias}.confrelid')})"
        )

    def namespaces(self) -> str:
        """Sub-query of the oids of schemas that may be named."""
        return (
            "SELECT bw_n.oid FROM pg_catalog.pg_namespace AS bw_n"
            f" WHERE bw_n.nspname = ANY ({names([*SYSTEM_SCHEMAS, *self.schemas])})"
            " OR bw_n.oid IN (SELECT bw_t.typnamespace FROM pg_catalog.pg_type AS bw_t"
            f" WHERE bw_t.oid = ANY ({self.types}))"
        )

    def path_namespaces(self) -> str:
        """Sub-query of the oids of the schemas in the search path, `pg_catalog` included."""
        return (
            "SELECT bw_n.oid FROM pg_catalog.pg_namespace AS bw_n"
            f" WHERE bw_n.nspname = ANY ({names(['pg_catalog', *self.visible.search_path])})"
        )

    def relation_names(self) -> tuple[tuple[str, str], ...]:
        """(schema, name) of every relation that the virtual catalogue lists."""
        return (*((each.schema, each.name) for each in self.visible.relations), *sorted(self.system))

    def column_names(self) -> tuple[tuple[str, str, str], ...]:
        """(schema, relation, column) of every visible column."""
        return tuple(
            (each.schema, each.name, column.name) for each in self.visible.relations for column in each.columns
        )


def reach_of(catalogue: Catalogue, visible: Visible, offered: Collection[tuple[str, str]]) -> Reach:
    """Make the fragments; `offered` are the system relations that exist in some version."""
    system = {key: catalogue.system[key].oid for key in sorted(offered) if key in catalogue.system}
    types = {c.type: catalogue.types[c.type] for r in visible.relations for c in r.columns if c.type in catalogue.types}
    return Reach(
        visible=visible,
        system=frozenset(system),
        oids=numbers((each.oid for each in visible.relations if each.oid), "oid"),
        system_oids=numbers(system.values(), "oid"),
        types=numbers((oid for around in types.values() for oid in around), "oid"),
        named_types={name: around[0] for name, around in types.items() if around},
        schemas=frozenset({each.schema for each in visible.relations} | set(visible.search_path)) - set(SYSTEM_SCHEMAS),
    )
