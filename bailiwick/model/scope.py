"""The effective scope of a session: what is left of its agent's grants after task and narrowing.

Computed by `bailiwick.decide.scope`; read by every mount. Values of the session are *not* in it, only references,
so that sessions of the same shape share one scope (and everything cached under its `id`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Matcher
from bailiwick.model.policy import Grant, Resource
from bailiwick.model.tool import LockedTool, Tool, ToolResource


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A conjunction: every column's matcher holds and the SQL predicate (if any) is true.

    `conditions` may name a column twice (a grant's and a task's matcher). Empty and no `sql`: every row.
    """

    conditions: tuple[tuple[str, Matcher], ...] = ()
    sql: str | None = None


@dataclass(frozen=True, slots=True)
class ReadGrant:
    """One grant's share of a read scope: these fields, in clear (None) or masked, of these rows."""

    grant: str
    filter: RowFilter
    fields: Mapping[str, Mask | None]


@dataclass(frozen=True, slots=True)
class WriteGrant:
    """One grant's right to update, create or delete."""

    grant: str
    filter: RowFilter
    fields: frozenset[str]
    """Columns that may be written (empty for delete)."""
    set: Mapping[str, Matcher]
    """What may be written into a column; a column without an entry takes anything."""
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class DenyRows:
    """Rows taken away by a `deny` with `rows`. Unknown counts against the agent: a row stays only where the filter
    is known to be false. `fields` None: the whole row; else those fields of it (they read as NULL)."""

    grant: str
    filter: RowFilter
    fields: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class AggregateReads:
    """What may be counted, summed and averaged, but never read row by row."""

    grants: tuple[ReadGrant, ...]
    min_group: int
    """Smaller groups are never told; of several grants the largest."""
    groupings: int
    """How many different groupings one session may ask for; of several grants the smallest."""


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """What a session may do with one resource. The tenant condition is *not* in the filters: whoever compiles a
    scope adds `resource.tenant = $tenant` to every read and write."""

    resource: Resource
    reads: tuple[ReadGrant, ...] = ()
    updates: tuple[WriteGrant, ...] = ()
    creates: tuple[WriteGrant, ...] = ()
    deletes: tuple[WriteGrant, ...] = ()
    denied_rows: tuple[DenyRows, ...] = ()
    """Apply to reads and, being part of the read scope, to every write."""
    held: Mapping[str, str] = field(default_factory=dict[str, str])
    """`verb` or `read:field` → name of the built-in gate that holds it (`delete`, `restricted`)."""
    aggregate: AggregateReads | None = None
    """INVARIANT: only where rows can neither be read nor written. Of a group with rows that the agent knows or has made
    what is told is about the rest, which may be one row."""

    def readable(self) -> tuple[str, ...]:
        """Return the fields that some read grant shows, in the order of the lock."""
        seen: dict[str, None] = {}
        for grant in self.reads:
            for name in grant.fields:
                seen.setdefault(name)
        return tuple(seen)


@dataclass(frozen=True, slots=True)
class CallGrant:
    """One grant's share in a tool: which calls it allows (or denies), and what it shows of their results."""

    grant: str
    args: Mapping[str, Matcher]
    """Argument → matcher; `*`: every other one. Empty: a call without arguments (of a deny: every call)."""
    when: str | None = None
    """CEL over `args`, `session` and `resource`, evaluated for each call."""
    items: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    """Path in an item → matcher; all must hold. Empty: every item."""
    fields: tuple[str, ...] | None = None
    """Paths in an item that are shown. None: every one that is not hidden."""
    masks: Mapping[str, Mask] = field(default_factory=dict[str, Mask])
    hidden: frozenset[str] = frozenset()
    """Paths in an item that are taken away."""

    @property
    def whole(self) -> bool:
        """Whether results are shown as they are."""
        return not self.items and self.fields is None and not self.masks and not self.hidden


@dataclass(frozen=True, slots=True)
class ToolScope:
    """What a session may do with one tool."""

    mount: str
    tool: Tool
    resource: ToolResource
    locked: LockedTool
    allows: tuple[CallGrant, ...]
    denies: tuple[CallGrant, ...] = ()
    held: tuple[str, ...] = ()
    """Gates that hold calls: every one, but for those in `bounds`."""
    bounds: Mapping[str, Mapping[str, Matcher]] = field(default_factory=dict[str, Mapping[str, Matcher]])
    """Gate → the arguments that it holds: a call of which it is known that they are others is not held by it."""

    @property
    def is_function(self) -> bool:
        """Whether it is a function that an application guards, and no server's tool."""
        return self.tool.parameters is not None


@dataclass(frozen=True, slots=True)
class Scope:
    """`id` is a hash over policy version, lock and shape: equal ids mean equal scopes."""

    id: str
    agent: str
    resources: Mapping[str, ResourceScope]
    grants: Mapping[str, Grant] = field(default_factory=dict[str, Grant])
    """The grants that take part, by id."""
    task: str | None = None
    passed: tuple[str, ...] = ()
    """`grant@resource` of every grant whose `when` held. Agent, task and this decide the scope (but for what an opener
    asked for): they are its shape."""
    tools: Mapping[str, ToolScope] = field(default_factory=dict[str, ToolScope])
    """By the name under which the agent sees the tool; of prompts and documents see `McpMount.shown`."""
    observed: frozenset[str] = frozenset()
    """Mounts on which the session is observed: what it uses there is recorded."""
