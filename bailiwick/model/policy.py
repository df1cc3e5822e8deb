"""The policy as it was read, checked and resolved: the source of truth for every decision.

Built only by `bailiwick.policy.load`; everything else takes it as a value. Mappings are never mutated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from bailiwick.model.action import Action
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Matcher
from bailiwick.model.position import NOWHERE, Position
from bailiwick.model.value import ValueType

if TYPE_CHECKING:
    from bailiwick.model.email import EmailMount
    from bailiwick.model.files import FilesMount
    from bailiwick.model.http import HttpMount, ToolMount
    from bailiwick.model.tool import (
        McpMount,
        PythonMount,
        ToolResource,
    )  # which is made of this module's limits and secrets

Preview = Literal["rows", "count", "off"]
"""Rows before and after, and how many; only how many; nothing, so that nothing runs (triggers may reach outside)."""
Engine = Literal["sqlite", "duckdb", "mariadb", "mysql", "trino"]
"""What stands behind a mount of kind `sql`."""
DEFAULT_GROUPINGS = 20
"""How many different groupings one session may ask for, unless the policy says otherwise."""
UNUSED_AFTER = timedelta(days=60)
"""When a grant counts as unused, unless the policy says otherwise."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A reference to a secret (`${ENV}`, `file:PATH`, `vault:PATH`), or a plain string without a secret in it.

    Only the gateway's edge resolves it; the policy never holds the secret.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A named thing that a mount exposes."""

    name: str
    mount: str
    schema: str
    table: str
    key: tuple[str, ...] = ()
    tenant: str | None = None
    """Column that must always equal the session's tenant."""
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Column → labels. The key `*` labels the resource itself and so every column that has no label."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Mount:
    """An enforcement point in front of one backend."""

    name: str
    kind: Literal["postgres", "sql"]
    url: SecretRef
    """Where it is; for `sqlite` and `duckdb` the path of a file."""
    resources: Mapping[str, Resource]
    sql: bool = False
    """Whether `sql:` predicates and SQL masks are switched on."""
    functions: tuple[str, ...] = ()
    """Further functions, `schema.name`, that agents may call."""
    extensions: tuple[str, ...] = ()
    """Extensions whose functions, operators and types agents may use."""
    plaintext: bool = False
    """Whether clients may connect without TLS from beyond loopback."""
    limits: tuple[Limit, ...] = ()
    """Ceilings on every statement, beside those of the grants."""
    enforce: Literal["rewrite", "both"] = "rewrite"
    """`both`: the gateway's connections also run as the compiled roles of the native depth."""
    engine: Engine | None = None
    """Of kind `sql`."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of `duckdb`: name → Parquet or CSV files, as a pattern from the folder that `file` is or lies in."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Limit:
    """One entry of `limits`, e.g. `actions: 30/min`. `per` is None for a ceiling on one statement.

    Of one statement there are `batch` (rows written), `rows` (returned), `bytes` (returned) and `timeout` (in `s`).
    `concurrent` has no window either: it bounds what runs at once.
    """

    name: str
    amount: Decimal
    per: timedelta | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Allows or denies an action within a scope."""

    id: str
    """`id:` of the document, or role + action + hash of the content."""
    effect: Literal["allow", "deny"]
    action: Action
    role: str
    """The role in whose text it stands; its heirs have it under this name too."""
    reason: str = ""
    rows: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    """Column → matcher; all must hold. Empty: every row (of the tenant)."""
    sql: str | None = None
    """A predicate in the database's dialect, AND-ed to `rows`."""
    when: str | None = None
    """CEL over `session` and `resource`; unknown counts against the agent."""
    fields: tuple[str, ...] | None = None
    """None: the columns in the lock labelled below confidential (allow) or every field (deny)."""
    mask: Mapping[str, Mask] = field(default_factory=dict[str, Mask])
    set: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    """Written column → what may be written."""
    args: Mapping[str, Matcher] | None = None
    """Argument of a tool → matcher; `*`: every other one. None: the tool is called without arguments."""
    items: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    """Path in an item of a tool's result → matcher; other items are left out."""
    limits: tuple[Limit, ...] = ()
    through: Literal["direct", "queue"] = "direct"
    preview: Preview = "rows"
    """Of `through: queue`: what is found out beforehand about what the change would do."""
    aggregate: int | None = None
    """`min_group` of an aggregates-only read."""
    groupings: int = DEFAULT_GROUPINGS
    """With `aggregate`: how many different groupings one session may ask for."""
    override: bool = False
    pair: tuple[str, ...] = ()
    """Of a delegated session: ids of the grants that both must admit what it does, and are charged for it."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    inherits: tuple[str, ...]
    grants: tuple[Grant, ...]
    """Its own grants, in document order, without the inherited ones."""
    limits: tuple[Limit, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Hours:
    """A weekly window. `days` are 0 (Monday) … 6; `start` ≤ local time < `end` in the IANA `zone`."""

    days: frozenset[int]
    start: time
    end: time
    zone: str


@dataclass(frozen=True, slots=True)
class SessionRules:
    """`session:` of an agent. None means: not limited here (the gateway's own maxima still hold)."""

    ttl: timedelta | None = None
    idle: timedelta | None = None
    actions: int | None = None
    cost: Limit | None = None
    hours: Hours | None = None
    concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """After `denials` within `per` the session, or all of the agent, is suspended."""

    denials: int
    per: timedelta
    suspend: Literal["session", "agent"] = "session"


@dataclass(frozen=True, slots=True)
class Observe:
    """Everything that was accepted is let through, and what was really used is recorded. Only in staging."""

    boundary: Mapping[str, Narrowing] | None = None
    """What is reached at most, like a task's `only`; None: all that was accepted."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    owner: str
    purpose: str
    roles: tuple[str, ...]
    session: SessionRules = SessionRules()
    limits: tuple[Limit, ...] = ()
    quarantine: Quarantine | None = None
    observe: Observe | None = None
    """It is observed on every mount."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class ContextRule:
    """One value that a session for the task must bring, or that the gateway looks up (`from … by …`)."""

    type: ValueType
    source: str | None = None
    """`from:` a resource; the value is its column `column` in the row found by `by`."""
    by: str | None = None
    """The context value, named as the column of `source`, by which the row is found."""
    column: str | None = None
    """Defaults to the context value's own name."""
    claim: str | None = None
    """The person's verified claim that it is taken from; nobody brings it."""


@dataclass(frozen=True, slots=True)
class Users:
    """For whom a task may be done: a person with one of the ids or one of the groups. Both empty: nobody."""

    ids: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a task (or an opener) leaves of one resource. Empty members narrow nothing."""

    rows: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    fields: tuple[str, ...] | None = None
    verbs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    agents: tuple[str, ...]
    users: Users | None
    """None: whoever may open a session."""
    context: Mapping[str, ContextRule]
    only: Mapping[str, Narrowing] | None
    """None narrows nothing; a resource that is not a key is out of the task."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class ApproverGroup:
    """Who belongs to a group of reviewers: people by name, and members of an issuer's groups."""

    name: str
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Gate:
    """A rule that holds a request for people; or, by the name of a built-in gate, what is said about that one."""

    name: str
    on: Action | None = None
    """None for a built-in gate."""
    args: Mapping[str, Matcher] = field(default_factory=dict[str, Matcher])
    approvers: tuple[str, ...] = ()
    expires: timedelta | None = None
    mode: Literal["wait", "execute"] = "wait"
    loosen: tuple[Action, ...] = ()
    """For built-in gates only: actions that they no longer hold. Needs `reason`."""
    reason: str = ""
    quorum: int = 1
    """How many different people have to approve."""
    escalate_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()
    """Groups that may approve too, once it has waited for so long."""
    reauth: timedelta | None = None
    """Who approves must have logged in within this time."""
    message: str = ""
    """The policy's own words for the agent that waits and the person who decides."""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class ElevationRule:
    name: str
    role: str
    agents: tuple[str, ...]
    max: timedelta
    approvers: tuple[str, ...]
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Flow:
    name: str
    after: str | None = None
    hold: str | None = None
    deny: str | None = None
    targets: str | None = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """How often an agent's grants are recertified by people, and what happens when they are not."""

    every: timedelta
    restricted: timedelta | None = None
    """Of agents whose grants reach restricted fields; None: like all others."""
    unused_after: timedelta = UNUSED_AFTER
    overdue: Literal["warn", "revoke"] = "warn"
    """Past the deadline: people are told, or the grants on which nobody has decided are turned off as well."""
    approvers: tuple[str, ...] = ()
    """Groups that may decide beside the agent's owner."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the ledger keeps what records say."""

    default: timedelta | None = None
    """None: for ever."""
    labels: Mapping[str, timedelta] = field(default_factory=dict[str, timedelta])
    """Label → span of the records that carry it; of several the shortest holds."""


@dataclass(frozen=True, slots=True)
class Policy:
    version: str
    """SHA-256 (hex) of the canonical content; equal policies have equal versions."""
    mounts: Mapping[str, Mount]
    roles: Mapping[str, Role]
    agents: Mapping[str, Agent]
    tasks: Mapping[str, Task]
    gates: Mapping[str, Gate] = field(default_factory=dict[str, Gate])
    elevations: Mapping[str, ElevationRule] = field(default_factory=dict[str, ElevationRule])
    flows: Mapping[str, Flow] = field(default_factory=dict[str, Flow])
    review: ReviewRule | None = None
    retention: Retention | None = None
    positions: Mapping[tuple[str, ...], Position] = field(default_factory=dict[tuple[str, ...], Position])
    """Path of a key, e.g. `("roles", "support", "grants", "0", "rows")` → where it stands. Not part of the content."""
    mcp: Mapping[str, McpMount] = field(default_factory=dict[str, "McpMount"])
    """The mounts of kind `mcp`. Their names, and those of their resources, are unique together with the others'."""
    python: Mapping[str, PythonMount] = field(default_factory=dict[str, "PythonMount"])
    """The mounts of kind `python`, likewise."""
    http: Mapping[str, HttpMount] = field(default_factory=dict[str, "HttpMount"])
    """The mounts of kind `http`, likewise."""
    approvers: Mapping[str, ApproverGroup] = field(default_factory=dict[str, ApproverGroup])
    """Groups of reviewers; a name that is not in it means the issuer's group of that name."""
    observe: Mapping[str, Observe] = field(default_factory=dict[str, Observe])
    """Mount of any kind → every agent is observed there."""
    email: Mapping[str, EmailMount] = field(default_factory=dict[str, "EmailMount"])
    """The mounts of kind `email`, likewise."""
    files: Mapping[str, FilesMount] = field(default_factory=dict[str, "FilesMount"])
    """The mounts of kind `files`, as those of kind `mcp`."""
    lapsed: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Agent → ids of the grants that are turned off, since nobody has reviewed them in time. Of the gateway that runs;
    never in the text, and not part of the content."""

    def resource(self, name: str) -> Resource | None:
        """Return the resource of that name; names are unique over all mounts."""
        for mount in self.mounts.values():
            if name in mount.resources:
                return mount.resources[name]
        return None

    def tool_resource(self, name: str) -> ToolResource | None:
        """Return the resource of that name that tools act on."""
        for mount in self.tool_mounts.values():
            if name in mount.resources:
                return mount.resources[name]
        return None

    @property
    def tool_mounts(self) -> Mapping[str, ToolMount]:
        """Return the mounts whose resources are acted on by tools, functions, routes, as files, or by the gateway."""
        return {**self.mcp, **self.python, **self.http, **self.email, **self.files}

    @property
    def every_mount(self) -> tuple[str, ...]:
        """Return the names of the mounts of all kinds."""
        return (*self.mounts, *self.tool_mounts)
