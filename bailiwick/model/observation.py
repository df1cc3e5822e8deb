"""Observations: what one call really used. Observing writes them; learning, planning and reviews read them.

Everything in one is what happened, never what is allowed. A value stands in clear or as a keyed digest, which shows
that two values are the same and nothing else. `observation_json` has the form in which records carry them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from bailiwick.model.value import Scalar

SeenType = Literal[
    "null", "integer", "number", "string", "boolean", "uuid", "date", "timestamp", "list", "object", "unknown"
]
seen_types: tuple[SeenType, ...] = (
    *("null", "integer", "number", "string", "boolean", "uuid", "date", "timestamp", "list", "object", "unknown"),
)
OriginKind = Literal["unknown", "constant", "session", "prompt", "result"]
origin_kinds: tuple[OriginKind, ...] = ("unknown", "constant", "session", "prompt", "result")
"""Written in the statement itself or by the program; a session value; what the person said; what came back earlier."""
Comparison = Literal["equal", "one_of", "range", "prefix", "like", "empty", "other"]
comparisons: tuple[Comparison, ...] = ("equal", "one_of", "range", "prefix", "like", "empty", "other")
Reach = Literal["unknown", "key", "scan"]
reaches: tuple[Reach, ...] = ("unknown", "key", "scan")
"""Found by the equality of a whole key, or by looking through the table."""
Seeing = Literal["", "allow", "deny", "hold"]
seeings: tuple[Seeing, ...] = ("", "allow", "deny", "hold")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from, as far as the observer knows; learning lines values up by itself, too."""

    kind: OriginKind = "unknown"
    name: str = ""
    """Of a session value its name (`customer_id`, `tenant`, `user.id`); of a result `resource.field`, or the tool."""


NOWHERE_KNOWN = Origin()


@dataclass(frozen=True, slots=True)
class Seen:
    """One value. `value` in clear, or `digest`, or neither: then only its type is known."""

    type: SeenType
    value: Scalar | None = None
    digest: str = ""
    """The same for the same value under one key."""
    shape: str = ""
    """What its text looks like where it is not in clear: letters as `a`, digits as `9`, runs of them once, the rest as
    it is. Empty: not known."""
    items: tuple[Seen, ...] = ()
    """Of a list its elements, in order."""
    whole: bool = True
    """Of a list: whether `items` are all of them."""
    origin: Origin = NOWHERE_KNOWN


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that every row which was touched had to meet (one that was AND-ed, not OR-ed, with the rest)."""

    field: str
    comparison: Comparison
    values: tuple[Seen, ...] = ()
    """The operands: one for `equal`, several for `one_of`; of a range its ends as they were written."""


@dataclass(frozen=True, slots=True)
class Link:
    """A join by equality: this table's field equals that field of another table of the same statement."""

    field: str
    resource: str
    other: str


@dataclass(frozen=True, slots=True)
class Held:
    """What a column held in the rows that were touched, or what was written into it."""

    field: str
    values: tuple[Seen, ...]
    """Different ones."""
    whole: bool = True
    """Whether these are all of them."""


@dataclass(frozen=True, slots=True)
class TableUse:
    """One use of a table by a statement. A column stands in every role that it had; sorted, without repetition."""

    resource: str
    """Its name in the policy; where it is mapped to none, `table`."""
    verb: str
    """`read`, `create`, `update` or `delete`."""
    table: str = ""
    """As its backend calls it: `schema.table`."""
    read: tuple[str, ...] = ()
    """Returned in clear, or computed upon in a way that is not listed here."""
    filtered: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    """Only gone into count, or count(distinct …)."""
    compared: tuple[str, ...] = ()
    """Only compared for sameness or order: grouped, sorted, distinct, or joined beyond a filter."""
    written: tuple[str, ...] = ()
    reach: Reach = "unknown"
    conditions: tuple[Condition, ...] = ()
    links: tuple[Link, ...] = ()
    holds: tuple[Held, ...] = ()
    """Columns of the rows that were touched, as far as the observer looked: evidence for row filters."""
    sets: tuple[Held, ...] = ()
    """Values written."""
    rows: int | None = None
    """Rows of this table that were returned or written, where that is known."""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    """Of a route as its policy names it: `path.id`, `body.amount`."""
    value: Seen


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool, route or function; the use of a prompt; the reading of a document."""

    name: str
    """As the server calls it: `issue_refund`, `GET /invoices/{id}`, the URI's template."""
    resource: str = ""
    """Of its action in the policy; empty where it is mapped to none."""
    verb: str = ""
    kind: str = "tool"
    """As the policy has it: tool, prompt, document, route, field."""
    arguments: tuple[Argument, ...] = ()
    read: tuple[str, ...] = ()
    """Paths in the items of its result that the agent was shown."""
    holds: tuple[Held, ...] = ()
    """What paths in the items of its result held."""
    effects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """One call, by whom, when, and what it used. One without uses tells of a session's values alone."""

    agent: str
    session: str
    at: datetime
    """UTC."""
    user: str = ""
    task: str = ""
    mount: str = ""
    record: str = ""
    """Id of the record that carries it, or a line of the log that it was taken from: what evidence cites."""
    values: Mapping[str, Seen] = field(default_factory=dict[str, Seen])
    """The session's values by name (`customer_id`, `tenant`, `user.id`, `user.region`), at least in its first
    observation; a list of groups as a list."""
    tables: tuple[TableUse, ...] = ()
    tool: ToolUse | None = None
    more: tuple[ToolUse, ...] = ()
    """What the same call did beside: further fields of an operation (GraphQL), further resources of a walk (files)."""
    statement: str = ""
    """The statement without its literals, as the ledger has it."""
    rows: int | None = None
    bytes: int | None = None
    duration_us: int | None = None
    cost: Decimal | None = None
    decision: Seeing = ""
    """What a gateway decided, or would have decided; empty: nothing was."""
    code: str = ""
    """Why not, or the backend's error; empty: it succeeded. What failed was not used."""

    @property
    def tools(self) -> tuple[ToolUse, ...]:
        """All uses of tools."""
        return self.more if self.tool is None else (self.tool, *self.more)
