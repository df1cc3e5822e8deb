"""What the rewriter knows of a database: the accepted relations, the system relations, the leakproof operators.

Built at the edge from a live database (or from the lock alone, then without `oid`s and system relations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    number: int
    """`attnum`; 0 when not read from a live database."""
    type: str
    """As `format_type` prints it with an empty search_path."""
    kind: str = "b"
    """`typtype` of the innermost element type: b, e, d, c, r, m, p."""
    base: str = ""
    """Of a domain: the type that it is made of; empty when not read from a live database."""
    folds: bool = False
    """Whether different texts are equal by its collation (a nondeterministic one)."""


@dataclass(frozen=True, slots=True)
class Relation:
    schema: str
    name: str
    oid: int
    """0 when not read from a live database."""
    kind: str
    """`relkind`."""
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] | None = None
    """Columns of each key that rows must not share, also of its partitions; an empty one for a key that is not made of
    columns alone. None when not read from a live database."""
    named_keys: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(name, columns) of its own unique constraints and indexes that are made of columns alone, over all rows."""
    derives: bool = False
    """Whether the database itself makes values of rows that are written: by generated columns or triggers before."""

    def column(self, name: str) -> Column | None:
        """Return the column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(frozen=True, slots=True)
class Catalogue:
    relations: Mapping[tuple[str, str], Relation]
    """(schema, name) → relation, only those that are mapped to a resource *and* agree with the lock: a column that is
    not in the lock, or has another type than in the lock, is not here."""
    system: Mapping[tuple[str, str], Relation] = field(default_factory=dict[tuple[str, str], Relation])
    """Relations of `pg_catalog` and `information_schema`, with all their columns."""
    leakproof: frozenset[tuple[str, str, str]] = frozenset()
    """(operator, left type, right type) of `pg_catalog` whose function is marked leakproof; types as `format_type`."""
    version: int = 0
    """`server_version_num`, e.g. 180000; 0 when unknown."""
    results: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict[tuple[str, str], tuple[str, ...]])
    """(schema, function) → columns of its result, for the functions that the policy adds and that return rows; not
    here when its overloads differ in them."""
    functions: Mapping[str, str] = field(default_factory=dict[str, str])
    """`schema.name` of each function of the opened extensions → type of its result, empty where overloads differ."""
    operators: Mapping[str, tuple[tuple[str, str, str, str], ...]] = field(
        default_factory=dict[str, "tuple[tuple[str, str, str, str], ...]"]
    )
    """Operator → (schema, left type, right type, type of the result) of those of these extensions."""
    composites: Mapping[str, tuple[tuple[str, str], ...]] = field(
        default_factory=dict[str, "tuple[tuple[str, str], ...]"]
    )
    """Printed name of a composite type (no relation's row) of an accepted column → its fields, with their types."""
    types: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Printed type (as in `Column.type`) of a column whose type is not PostgreSQL's own → oid of that type, then
    those of its element, array and base types. And those of the opened extensions: the policy's,
    and those that types of accepted columns belong to."""
    opened: frozenset[str] = frozenset()
    """Printed names of the types of the opened extensions."""


@dataclass(frozen=True, slots=True)
class VisibleRelation:
    """A relation of the scope, with the columns that the scope shows."""

    schema: str
    name: str
    oid: int
    kind: str
    columns: tuple[Column, ...]
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Visible:
    """Everything that the virtual catalogue shows to a session."""

    relations: tuple[VisibleRelation, ...]
    agent: str
    """Shown as the role's name."""
    search_path: tuple[str, ...]
    """Schemas in which unqualified names are looked up, in order."""
    database: str = ""
    """Shown as the database's name: the mount's name."""
    longest: int = 0
    """Milliseconds that a statement may take."""
