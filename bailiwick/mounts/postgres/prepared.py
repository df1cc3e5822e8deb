"""Statements and portals of one connection, and what is sent to the server for them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bailiwick.gateway.call import Call
from bailiwick.gateway.observing import Values
from bailiwick.gateway.sessions.told import Telling
from bailiwick.model.budget import Budget
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Allow, Hold
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.codec import pack_int16, pack_int32
from bailiwick.mounts.postgres.values import type_oid
from bailiwick.sql.plan import Fetch, Plan
from bailiwick.sql.types import parameter_allowed

NO_TYPES = b"\0\0"
_TEXT, _BINARY = b"\0\0", b"\0\1"
_MOMENTS = re.compile(r"(?:'|\$\D)[^']*(?:now|today|tomorrow|yesterday|\\)", re.IGNORECASE)
"""Words that are times in a string; a backslash could hide one. Found behind a string as well: that only costs time."""


@dataclass(frozen=True, slots=True)
class Misuse:
    """A client's mistake that the server would have reported as well."""

    state: str
    message: str


class Prepared:
    """One statement: the agent's text, its plan, the decision on it, and what has been computed from them."""

    __slots__ = (
        "_momentary",
        "_reads",
        "asked",
        "call",
        "ceilings",
        "declared",
        "described",
        "parsed",
        "plan",
        "purpose",
        "repeated",
        "scope",
        "scrubbed",
        "sets",
        "sql",
        "text",
        "types",
        "unnamed",
        "values",
    )

    def __init__(self, text: bytes, plan: Plan, scope: str, call: Call, kin: Prepared | None = None) -> None:
        """`kin` differs in literals only: what has been learnt from its replies holds for this one, too."""
        self.text = text
        self.plan = plan
        self.declared = NO_TYPES
        """The types that the client declares its parameters with, as on the wire."""
        self.scope = scope
        """Id of the scope it was decided under."""
        self.call = call
        self.ceilings = ceilings_of(plan, call)
        self.parsed = b""
        """Of one that is to be held: the Parse, as it was sent."""
        self.purpose = call.request.purpose
        self.repeated = False
        """Whether it was asked for before in one step."""
        self.sets = plan.kind == "SESSION" or isinstance(plan.act, Fetch) or "set_config" in plan.sql
        """Whether it may change a setting at the server, or drop statements there."""
        reads = plan.kind == "READ" and not plan.locks
        self._reads = reads and not (plan.copy or plan.checked or plan.groupings or self.sets or plan.used is not None)
        self.sql = plan.sql.encode()
        self._momentary: bool | None = None
        self.unnamed = b""
        """Its Parse as the unnamed statement, once it was needed."""
        self.types = b"".join(pack_int32(type_oid(bound.type)) for bound in plan.bound)
        self.asked: Telling | None = None
        """What it is about to tell of relations that may only be aggregated; see `told`."""
        self.values: bytes | None = None
        """The bound values on the wire, once known, when they never change in this session."""
        self.described = b"" if kin is None else kin.described
        self.scrubbed = b"" if kin is None else kin.scrubbed
        """The last row description of the server and what became of it: it is nearly always the same."""

    @property
    def plain(self) -> bool:
        """Whether it only reads, under no ceiling, charged to nothing and held by nobody, so that its rows are passed
        on as they come."""
        free = self.ceilings is None and not self.call.budgets
        return self._reads and free and type(self.call.decision) is not Hold

    @property
    def momentary(self) -> bool:
        """Whether a literal may stand for a time that the server reads at its Parse (`'now'::timestamptz`)."""
        if self._momentary is None:
            self._momentary = _MOMENTS.search(self.plan.sql) is not None
        return self._momentary

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """What each execution is charged to; transactions and settings are charged to nothing."""
        return self.call.budgets if self.plan.kind in ("READ", "WRITE") else ()

    @property
    def bounded(self) -> bool:
        """Whether there is more to an execution than to pass it on: it has ceilings, or is to be held."""
        return self.ceilings is not None or type(self.call.decision) is Hold

    def alone(self) -> Prepared:
        """Return another one of the same, whose parameters may be declared in another way."""
        made = Prepared(self.text, self.plan, self.scope, self.call)
        made.declared = self.declared
        return made

    def same_statement(self, plan: Plan) -> bool:
        """Return whether that plan runs the very same statement."""
        mine = self.plan
        return (
            mine.kind,
            mine.bound,
            mine.lent,
            mine.first,
            mine.checked,
            mine.returns,
            mine.template,
            mine.groupings,
        ) == (
            plan.kind,
            plan.bound,
            plan.lent,
            plan.first,
            plan.checked,
            plan.returns,
            plan.template,
            plan.groupings,
        ) and (mine.sql == plan.sql or bool(plan.groupings))

    def may_declare(self, types: bytes) -> bool:
        """Return whether the agent may declare its parameters so; `types` as on the wire: a count, then an oid each."""
        oids = (codec.int32_at(types, place)[0] & 0xFFFFFFFF for place in range(2, len(types) - 3, 4))
        return all(parameter_allowed(oid, self.plan.own_types) for oid in oids)

    def parse(self, name: bytes, types: bytes) -> bytes | Misuse:
        """Return the Parse to be sent; `types` are the agent's, as on the wire."""
        plan = self.plan
        if not plan.bound:
            return codec.parse(name, self.sql, types)
        own = plan.first - 1
        declared = (len(types) - 2) // 4
        if declared > own:
            return Misuse("42P02", f"{declared} parameter types are declared, but the statement has {own} parameters")
        padding = b"\0\0\0\0" * (own - declared)
        count = pack_int16(own + len(plan.bound))
        return codec.parse(name, self.sql, count + types[2:] + padding + self.types)

    def parse_unnamed(self) -> bytes:
        """Return its Parse as the unnamed statement; for `plain` ones."""
        if not self.unnamed:
            sent = self.parse(b"", self.declared)
            self.unnamed = b"" if isinstance(sent, Misuse) else sent
        return self.unnamed

    def bind(self, raw: bytes, portal: bytes, statement: bytes, pos: int, values: bytes) -> bytes | Misuse:
        """Return the Bind to be sent for a client's; `values` are the gateway's, `pos` is behind the names.

        `statement`: what the server calls it."""
        plan = self.plan
        if not plan.bound and not plan.checked:
            named_so = raw.startswith(b"\0" + statement + b"\0", pos - len(statement) - 2)
            return raw if named_so else codec.bind(portal, statement, raw[pos:])
        formats, count, own, results = codec.read_bind_tail(raw, pos)
        if plan.bound:
            expected = plan.first - 1
            if count != expected:
                # INVARIANT: the agent's values end where ours begin, or it could fill our places.
                return Misuse(
                    "08P01", f"bind message supplies {count} parameters, but the statement requires {expected}"
                )
            expanded = _all_formats(formats, count, len(plan.bound))
            if expanded is None:
                return Misuse("08P01", f"bind message has {len(formats) // 2} parameter formats but {count} parameters")
            formats = expanded
        if plan.checked and len(results) > 2:
            results += _TEXT
        parts = (
            portal,
            b"\0",
            statement,
            b"\0",
            pack_int16(len(formats) // 2),
            formats,
            pack_int16(count + len(plan.bound)),
            own,
            values,
            pack_int16(len(results) // 2),
            results,
        )
        return codec.message(b"B", b"".join(parts))

    def bind_unasked(self, values: bytes, statement: bytes = b"") -> bytes:
        """Return the Bind of the unnamed portal for the simple protocol: all text."""
        return codec.bind(b"", statement, b"\0\0" + pack_int16(len(self.plan.bound)) + values + b"\0\0")

    def row_description(self, raw: bytes) -> bytes:
        """Return a RowDescription as the client may see it."""
        if raw != self.described:
            self.scrubbed = codec.without_origins(raw, self.plan.checked)
            self.described = raw
        return self.scrubbed


class Portal:
    """A bound statement. `passed` is how the check of a checked write reads when it holds."""

    __slots__ = ("account", "given", "passed", "prepared", "results")

    def __init__(self, prepared: Prepared, passed: bytes = b"t") -> None:
        self.prepared = prepared
        self.passed = passed
        self.account: Account | None = None
        """What is kept of it when its statement is bounded."""
        self.given: Values = {}
        """Where the session is observed: the agent's parameters."""
        self.results = b""
        """The formats in which columns are asked for, as on the wire; where the session is observed."""


class Account:
    """Of a portal or cursor whose statement has ceilings, or is to be held."""

    __slots__ = ("bound", "rows")

    def __init__(self, bound: bytes = b"") -> None:
        self.bound = bound
        """The Bind, as it was sent."""
        self.rows = 0
        """Rows returned so far, by all executions."""


def ceilings_of(plan: Plan, call: Call) -> Ceilings | None:
    """Return what an execution of the plan must keep to; transactions and settings have no ceilings."""
    decision = call.decision
    if not isinstance(decision, Allow) or plan.kind not in ("READ", "WRITE"):
        return None
    counts = Ceilings() if plan.inner else None  # what WITH queries write is counted anyway, for the ledger
    return counts if decision.ceilings is None else decision.ceilings


def is_held(call: Call) -> bool:
    """Return whether the call is to wait for people before it is executed."""
    return isinstance(call.decision, Hold) and call.decision.queued is not None


def can_wait(plan: Plan) -> bool:
    """Return whether a statement can be held: one that reads or writes rows by itself, whole, and once."""
    return plan.kind in ("READ", "WRITE") and not plan.copy and plan.act is None and not plan.groupings


def check_value(raw: bytes, pos: int) -> bytes:
    """Return how a true check reads under the result formats of a client's Bind."""
    return b"\x01" if codec.read_bind_tail(raw, pos)[3] == _BINARY else b"t"


def _all_formats(formats: bytes, count: int, more: int) -> bytes | None:
    """Return parameter formats with `more` text parameters behind the agent's, None when they do not add up."""
    if len(formats) == 2 and count != 1:
        return formats if formats == _TEXT else formats * count + _TEXT * more
    if not formats:
        return formats
    return formats + _TEXT * more if len(formats) == 2 * count else None
