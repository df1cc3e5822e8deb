"""Decisions are values: allow with obligations, deny with a code and a remedy, or hold with the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bailiwick.model.budget import Budget
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.policy import Preview

DenialCode = Literal[
    "action_not_granted",
    "resource_unknown",
    "field_not_granted",
    "value_not_granted",
    "argument_not_granted",
    "row_out_of_scope",
    "function_not_allowed",
    "statement_not_allowed",
    "syntax_not_supported",
    "statement_unparsable",
    "statement_too_large",
    "group_too_small",
    "needs_approval",
    "queued",
    "preview_failed",
    "approval_unknown",
    "approval_not_yours",
    "approval_closed",
    "approval_changed",
    "data_changed",
    "approval_denied",
    "approval_expired",
    "reauthentication_needed",
    "limit_exceeded",
    "limit_unavailable",
    "batch_exceeded",
    "rows_exceeded",
    "bytes_exceeded",
    "timeout_exceeded",
    "out_of_hours",
    "session_unknown",
    "session_expired",
    "session_revoked",
    "session_closed",
    "session_idle",
    "session_suspended",
    "agent_suspended",
    "mount_closed",
    "everything_suspended",
    "elevation_unknown",
    "elevation_too_long",
    "elevation_ended",
    "review_refused",
    "agent_mismatch",
    "context_missing",
    "ledger_unavailable",
    "backend_unavailable",
    "tool_changed",
    "message_not_delivered",
    "message_unknown",
    "result_withheld",
    "protocol_violation",
    "internal_error",
]


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not, written for the agent that reads it. Never holds a value from outside the scope."""

    code: DenialCode
    message: str
    """What was asked and which part of it is not granted, in one lowercase line."""
    allowed: str = ""
    """What would have been allowed instead, in words; empty when nothing near is."""
    remedy: str = ""
    """Which elevation, approval or person could open it."""
    action: str = ""
    """`resource:verb[:field]` that was asked for, when known."""
    retry_after: int | None = None
    """Seconds after which the same request will find a budget again, when that is known."""


@dataclass(frozen=True, slots=True)
class Access:
    """One use of a resource by a request."""

    resource: str
    verb: str
    fields: tuple[str, ...] = ()
    """Fields read or written, sorted. For a read: also those only filtered or joined on."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, analysed: its accesses, all of which must be allowed."""

    mount: str
    accesses: tuple[Access, ...]
    purpose: str = ""
    """The agent's own claim of its reason."""


@dataclass(frozen=True, slots=True)
class Allow:
    grants: tuple[str, ...]
    """Ids of the grants that contribute."""
    labels: frozenset[str] = frozenset()
    """Labels of the fields that are read."""
    ceilings: Ceilings | None = None
    """An obligation: whoever executes keeps them, on what really happens."""
    budgets: tuple[Budget, ...] = ()
    """Those of the grants, their roles and the mount that are charged, beside those of the session and its agent."""
    actions: int = 1
    """How many actions it is: several fields may be asked for in one request."""


@dataclass(frozen=True, slots=True)
class Deny:
    denial: Denial
    grants: tuple[str, ...] = ()
    """Ids of `deny` grants that decided it."""


@dataclass(frozen=True, slots=True)
class Queued:
    """How a request becomes a held change."""

    preview: Preview
    """What is found out beforehand about what it would do, by a dry run that is rolled back."""
    grants: tuple[str, ...]
    """Ids of the grants that contribute."""
    labels: frozenset[str] = frozenset()
    ceilings: Ceilings | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    gate: str
    denial: Denial
    """What the caller is told where it cannot wait: code `needs_approval`, or `queued`."""
    queued: Queued | None = None
    """The request is not refused but kept as an approval; nobody executes it now."""
    gates: tuple[str, ...] = ()
    """All gates that hold it; empty: only `gate`."""


Decision = Allow | Deny | Hold
