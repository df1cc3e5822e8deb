"""What was accepted of each backend (`bailiwick.lock`). What is not in the lock does not exist for agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.model.tool import LockedTool


@dataclass(frozen=True, slots=True)
class LockedColumn:
    name: str
    type: str
    """As PostgreSQL's `format_type` prints it with an empty search_path, e.g. `integer`, `character varying(20)`,
    `public.mood`."""
    kind: str = "b"
    """`pg_type.typtype` of the innermost element type: b base, e enum, d domain, c composite, r range."""
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class LockedTable:
    schema: str
    name: str
    kind: str
    """`pg_class.relkind`: r table, p partitioned, v view, m materialised view, f foreign table."""
    columns: tuple[LockedColumn, ...]
    key: tuple[str, ...] = ()
    """Primary key columns."""

    def column(self, name: str) -> LockedColumn | None:
        """Return the column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(frozen=True, slots=True)
class LockedExtensions:
    """What the opened extensions of a database bring of what agents may use; types as in `LockedColumn.type`."""

    functions: Mapping[str, str] = field(default_factory=dict[str, str])
    """`schema.name` → type of its result; empty where its overloads differ."""
    operators: frozenset[tuple[str, str, str, str, str]] = frozenset()
    """(schema, name, left type, right type, type of its result)."""
    types: frozenset[str] = frozenset()
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """`schema.name` of a function that returns rows → their columns."""

    @property
    def schemas(self) -> frozenset[str]:
        """Return the schemas in which these are; no reviewed name has a dot."""
        return frozenset(name.rpartition(".")[0] for name in self.functions) | {each[0] for each in self.operators}


@dataclass(frozen=True, slots=True)
class Lock:
    """Mount → (schema, table) → what was accepted."""

    mounts: Mapping[str, Mapping[tuple[str, str], LockedTable]]
    tools: Mapping[str, Mapping[str, LockedTool]] = field(default_factory=dict[str, Mapping[str, LockedTool]])
    """Mount of kind `mcp` → name of the tool → what was accepted."""
    extensions: Mapping[str, LockedExtensions] = field(default_factory=dict[str, LockedExtensions])
    """Mount of kind `postgres` → what its opened extensions bring."""

    def table(self, mount: str, schema: str, name: str) -> LockedTable | None:
        """Return the accepted table, or None: then it does not exist for agents."""
        return self.mounts.get(mount, {}).get((schema, name))
