"""What a mount of kind `sql` executes for one allowed statement. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.model.decision import Access
from bailiwick.model.value import Ref
from bailiwick.sql.usage import Statement

Source = Ref | Literal["now", "mask.inner", "mask.outer", "written"]
"""Where a bound value comes from: the session, the gateway's clock, the pads of the key for `hash` masks (HMAC), of
engines to which the mount does not give masks as functions, or the identities of the rows that were written."""


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
    row: bool = False
    """Also the identity of its rows is read."""


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
class Step:
    """One text that is executed, and what it may do."""

    sql: str
    reads: Mapping[str, Reached] = field(default_factory=dict[str, Reached])
    """Generated name → what may be read under it. For the second layer of engines that have one."""
    functions: frozenset[str] = frozenset()
    """Every function that it calls, ours among them, in lower case."""
    target: Target | None = None
    """What it changes, if it is no query."""
    query: str = ""
    """Of what changes something, for engines whose second layer reads queries alone: what the agent wrote of it, as a
    query. The rest of `sql` is text of ours."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """An INSERT whose rows are looked at first, or that has ON CONFLICT, one step after the other in one transaction.
    The rows that the agent gives are put into a table of our own first, so that each step sees the same ones; what
    conflicts is updated or left out, the rest inserted."""

    make: str
    """Makes that table, which lasts as long as the connection. No text of the agent's."""
    fill: Step
    held: str
    """Counts its rows that are known to be outside, or whose key is not what the scope wants there; must be 0. No text
    of the agent's; may be empty."""
    fresh: str
    """Of DO UPDATE: counts the rows whose key no row has; as many must be inserted. No text of the agent's."""
    meant: Step | None
    """Of DO UPDATE: counts the rows that it means to change, and how often: must be the same, and be changed."""
    change: Step | None
    """Of DO UPDATE. As `EnginePlan.sql`."""
    pinned: tuple[str, ...] = ()
    """Columns of the key by whose values rows are known to be in the scope: the key has to compare them exactly."""
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Returning:
    """What a write returns: evaluated over the scoped form of the rows that it has written, in its transaction."""

    step: Step
    identity: int
    """In how many columns behind the check the identity of a row is returned."""
    find: Step | None = None
    """Of a delete: returns the identities of the rows that will be deleted. Asked, as `step` is, before it."""


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
    """Name and type of each column that is returned; type '' where only the values tell. Empty: not known, or none."""
    reads: Mapping[str, Reached] = field(default_factory=dict[str, Reached])
    """This, `functions`, `query` and `target` are those of the one step that `sql` is."""
    functions: frozenset[str] = frozenset()
    query: str = ""
    keyed: Keyed | None = None
    """WRITE, of engines that are written by key: `sql` has to write as many rows as were found."""
    target: Target | None = None
    """WRITE: its rows are counted by the rows that it returns, each of which is one boolean: whether the row that was
    written lies in the scope. One that does not undoes the statement."""
    upsert: Upsert | None = None
    """WRITE: what is done before `sql`, which then inserts the rows that are left."""
    returning: Returning | None = None
    """WRITE: what it returns, if it returns something."""
    foresee: str = ""
    """WRITE, of engines that are written by key: counts the rows to come that are known to be outside; must be 0."""
    blind: bool = False
    """WRITE: that a key is taken may tell of a hidden row, where the new row is outside, too: it is told as that."""
    used: Statement | None = None
    """Where the session is observed: what the statement, as the agent wrote it, uses of its tables."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is executed, in order."""
        first, back = self.upsert, self.returning
        before = () if first is None else (first.make, first.fill.sql, first.held, first.fresh)
        steps = () if first is None else (first.meant, first.change)
        back_first = () if back is None or back.find is None else (back.find.sql, back.step.sql)
        found = (self.foresee,) if self.keyed is None else (self.keyed.find,)
        after = () if back is None or back.find is not None else (back.step.sql,)
        own = (*before, *(each.sql for each in steps if each is not None), *back_first, *found, self.sql, *after)
        return tuple(each for each in own if each)

    @property
    def step(self) -> Step:
        """What `sql` is."""
        return Step(self.sql, self.reads, self.functions, self.target, self.query)
