"""What a mount of kind `sql` executes for one allowed statement. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.model.decision import Access
from bailiwick.model.value import Ref

Source = Ref | Literal["now", "mask.inner", "mask.outer"]
"""Where a bound value comes from: the session, the gateway's clock, or the pads of the key for `hash` masks (HMAC), of
engines to which the mount does not give masks as functions."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A parameter that the gateway appends behind the agent's own."""

    source: Source
    type: str
    """As in `LockedColumn.type`; with `[]` a list of them. A value that is missing, or is none of the type, is bound as
    NULL: it then matches nothing."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What one generated name reads: only these columns of this relation."""

    schema: str
    relation: str
    columns: frozenset[str]
    view: bool = False
    """The relation is a view of the database itself, which reads what it reads."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a write changes."""

    schema: str
    relation: str
    verb: Literal["create", "update", "delete"]
    written: frozenset[str]
    looked_at: frozenset[str]
    """Columns that our own conditions on the real rows use."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A write of an engine that does not return what it changes: its rows are found and looked at by their keys."""

    find: str
    """Returns the keys of the rows that will be written, and locks them."""
    verify: str
    """Counts the rows that lie in the scope; the mount adds a condition on the keys."""
    key: tuple[str, ...]
    """The key's columns as they are written in that condition."""


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One statement, decided and rewritten. `sql` is text that we generated from a tree that we understood."""

    kind: Literal["READ", "WRITE"]
    sql: str
    accesses: tuple[Access, ...]
    statement: str
    """The agent's text with its literals replaced by `$n`, for the ledger."""
    parameters: int = 0
    """How many the agent has to give; the gateway's own stand behind them."""
    bound: tuple[Bound, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    """Name and type of each column that a READ returns; type '' where only the values tell. Empty: not known."""
    reads: Mapping[str, Reached] = field(default_factory=dict[str, Reached])
    """Generated name → what may be read under it. For the second layer of engines that have one."""
    functions: frozenset[str] = frozenset()
    """Every function that the statement calls, ours among them, in lower case."""
    query: str = ""
    """WRITE, of engines whose second layer reads queries alone: what the agent wrote of it, as a query. The rest of
    `sql` is text of ours."""
    keyed: Keyed | None = None
    """WRITE, of engines that are written by key: `sql` has to write as many rows as were found."""
    target: Target | None = None
    """WRITE: its rows are counted by the rows that it returns, each of which is one boolean: whether the row that was
    written lies in the scope. One that does not undoes the statement."""
