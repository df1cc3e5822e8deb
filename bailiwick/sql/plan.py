"""Plans: what a mount executes for one allowed SQL statement. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bailiwick.model.decision import Access
from bailiwick.model.value import Ref
from bailiwick.sql.groupings import Grouping
from bailiwick.sql.usage import Statement

OUTSIDE = "bailiwick: a row is outside of the scope"
"""Stands in the server's error message (with whatever SQLSTATE) when a write that a WITH query makes, or the key of an
ON CONFLICT, is not within the scope: the statement has failed, and what it did is undone by the server. The mount
denies it as `row_out_of_scope`."""
COUNTS = "bailiwick.rows"
"""The server's setting (local to the transaction) that holds how many rows each of `Plan.inner` wrote, joined by
commas, once such a statement has been executed. Agents can neither read nor set it.

To count on it: clear it before the statement (`set_config('bailiwick.rows', '', true)`), read it behind the Execute
and before the Sync (`current_setting('bailiwick.rows', true)`), and undo the statement when it is still empty."""

LENT = "bailiwick.lent_"
"""The settings that a COPY reads its values from; no agent can set or read them."""

StatementKind = Literal["READ", "WRITE", "CONTROL", "SESSION", "EMPTY"]
"""READ: SELECT, VALUES, TABLE, COPY (query) TO STDOUT, FETCH; no effect. WRITE: INSERT, UPDATE, DELETE, MERGE, and a
SELECT whose WITH queries write. CONTROL: BEGIN, COMMIT, ROLLBACK, SAVEPOINT, … SESSION: harmless SET, SHOW, RESET,
DISCARD; DECLARE, CLOSE, PREPARE, EXECUTE, DEALLOCATE (see `Act`). EMPTY: no statement."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that the agent wrote as an argument of EXECUTE, as its type's input reads it. None: NULL."""

    text: str | None


Source = Ref | Constant | Literal["now", "mask.inner", "mask.outer"]
"""Where a bound value comes from: the session, the agent's EXECUTE, the gateway's clock, or the two pads of the mask
key (HMAC)."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A parameter that the gateway appends behind the agent's own, bound at execution."""

    source: Source
    type: str
    """PostgreSQL type, as in `LockedColumn.type` (`integer`, `text`, `timestamp with time zone`, `bytea`, …), or an
    array of it with `[]`. A missing session value is bound as NULL: it then matches nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement, decided and rewritten. `sql` is text that we deparsed from a tree that we understood.

    Parameters `$1 … $first-1` are the agent's own; `$first …` are `bound`, in order.
    """

    kind: StatementKind
    sql: str
    accesses: tuple[Access, ...] = ()
    first: int = 1
    bound: tuple[Bound, ...] = ()
    checked: bool = False
    """WRITE only: every result row's *last* column is the gateway's own boolean check. The mount strips it, and when
    it is not true in some row undoes the statement and denies (`row_out_of_scope`). Nothing reaches the agent
    before the last row was checked."""
    returns: bool = True
    """Whether the agent expects rows. With `checked` and not `returns` the result rows are the check only."""
    copy: bool = False
    """COPY … TO STDOUT: the result is a copy stream. Never has `bound` (utility statements take no parameters)."""
    lent: tuple[Bound, ...] = ()
    """COPY: values that the text reads from settings, `LENT` and their place from 1 on. The mount sets each, for the
    transaction, to `=` and the value, or to nothing for NULL, right before the Execute, and to nothing behind it."""
    statement: str = ""
    """The agent's text with literals replaced by `$n`, for the ledger."""
    purpose: str | None = None
    """SESSION: the new value of `bailiwick.reason`, when that is what was set."""
    own_types: frozenset[int] = frozenset()
    """Oids of user-made types that the agent may declare its parameters with, beside built-in ones; for nothing else
    than `bailiwick.sql.types.parameter_allowed`."""
    inner: tuple[tuple[Access, ...], ...] = ()
    """WRITE: what each of its WITH queries writes (a MERGE or an upsert in several ways), in the order of `COUNTS`; the
    command tag does not count these rows."""
    blind: bool = False
    """WRITE: an error over a key that another row has may tell of a row outside of the scope, where the new row is
    outside, too: the mount says `row_out_of_scope` in its place."""
    keys: frozenset[tuple[str, str, str]] = frozenset()
    """WRITE: (schema, table, name) of the unique constraints that an agent may be told about when a row breaks one."""
    template: str = ""
    """With `groupings`: what `groupings.composed` makes the text from that runs. `sql` itself then tells nothing."""
    groupings: tuple[Grouping, ...] = ()
    """Uses of relations that may only be aggregated."""
    act: Act | None = None
    """What it does to the names of its connection, when it makes, uses or drops one."""
    tag: str = ""
    """First word(s) of the command tag, e.g. `SELECT`, `UPDATE`, `BEGIN`."""
    answered: str = ""
    """SESSION: the command tag that the agent is told in place of the server's, when another statement runs."""
    locks: bool = False
    """Whether a query in it locks the rows that it returns, which others then wait for."""
    shaped: str = ""
    """READ: the same with a parameter in the place of each of the text's literals, in their order behind `bound`, all
    of the type `integer`. Empty when that could mean something else."""
    patience: float | None = None
    """SESSION: the new value of `bailiwick.wait` in seconds, when that is what was set."""
    used: Statement | None = None
    """Where the session is observed: what the statement, as the agent wrote it, uses of its tables."""

    @property
    def effective(self) -> bool:
        """Whether it does something to others, so that its intent is on record before it runs."""
        return self.locks or self.kind == "WRITE"


@dataclass(frozen=True, slots=True)
class Declare:
    """DECLARE … CURSOR: the plan's `sql` and `bound` are the declaration's own, with the query in it rewritten."""

    name: str
    hold: bool
    """WITH HOLD: it outlives its transaction."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH and MOVE: a READ whose accesses are those of the cursor, which the mount knows."""

    name: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE: and the plan of the statement in it."""

    name: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Run:
    """EXECUTE: the mount binds the prepared statement of that name. The plan's own `sql` is never sent."""

    name: str
    arguments: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """CLOSE, DEALLOCATE, DISCARD ALL: `name` is None for all of them."""

    cursors: bool
    statements: bool
    name: str | None = None


Act = Declare | Fetch | Prepare | Run | Drop
"""What a statement does to the names of its connection. Cursors share theirs with portals of the protocol, prepared
statements theirs with its statements, as in PostgreSQL."""


def with_sql(plan: Plan, sql: str) -> Plan:
    """Return the plan with another text. Written out: `dataclasses.replace` costs more than the look-up before it."""
    return Plan(
        plan.kind,
        sql,
        plan.accesses,
        plan.first,
        plan.bound,
        plan.checked,
        plan.returns,
        plan.copy,
        plan.lent,
        plan.statement,
        plan.purpose,
        plan.own_types,
        plan.inner,
        plan.blind,
        plan.keys,
        plan.template,
        plan.groupings,
        plan.act,
        plan.tag,
        plan.answered,
        plan.locks,
        plan.shaped,
        plan.patience,
        plan.used,
    )
