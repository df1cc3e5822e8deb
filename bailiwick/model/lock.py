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
class Lock:
    """Mount → (schema, table) → what was accepted."""

    mounts: Mapping[str, Mapping[tuple[str, str], LockedTable]]
    tools: Mapping[str, Mapping[str, LockedTool]] = field(default_factory=dict[str, Mapping[str, LockedTool]])
    """Mount of kind `mcp` → name of the tool → what was accepted."""

    def table(self, mount: str, schema: str, name: str) -> LockedTable | None:
        """Return the accepted table, or None: then it does not exist for agents."""
        return self.mounts.get(mount, {}).get((schema, name))
