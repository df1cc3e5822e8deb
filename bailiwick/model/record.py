"""Records: the facts that the ledger keeps. See DESIGN: what, who, which data, which grants, what outcome, when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal, NamedTuple

RecordKind = Literal[
    "session.opened",
    "session.closed",
    "session.refused",
    "session.suspended",
    "session.resumed",
    "agent.suspended",
    "agent.resumed",
    "mount.closed",
    "mount.opened",
    "everything.suspended",
    "everything.resumed",
    "connection.opened",
    "connection.refused",
    "connection.closed",
    "call",
    "intent",
    "outcome",
    "transaction.ended",
    "token.issued",
    "token.refused",
    "decision",
    "api.refused",
    "approval.held",
    "approval.verdict",
    "approval.moved",
    "approval.ended",
    "approval.refused",
    "login",
    "login.refused",
    "logout",
    "console.action",
    "console.refused",
    "notice.failed",
    "sink.refused",
    "finding",
    "limit.warned",
    "file.restored",
    "search.alerted",
    "elevation.refused",
    "elevation.granted",
    "elevation.ended",
    "review.opened",
    "review.decided",
    "review.closed",
    "review.refused",
    "review.lapsed",
    "review.restored",
    "policy.loaded",
    "policy.text",
    "policy.refused",
    "policy.pending",
    "policy.promoted",
    "policy.shadow",
    "ledger.key",
    "ledger.pruned",
    "ledger.held",
    "ledger.released",
    "ledger.archived",
    "ledger.restored",
    "ledger.erased",
    "ledger.searched",
    "gateway.started",
    "gateway.stopped",
]
"""`call` is a whole call in one record (a denial, or a read that was buffered until its outcome was known).
Everything else that executes is an `intent`, durable before its effect, and an `outcome` that names it.
A `decision` was asked for by itself (AuthZEN), and nothing was executed."""

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


class Record(NamedTuple):
    """One audit fact. Sequence number and log position are given by the ledger, not by the maker.

    A named tuple, since one is made for every call and a frozen dataclass of so many fields costs eight times as much.
    """

    id: str
    """Unique, sortable by time: `rec_` + 26 characters (ULID)."""
    kind: RecordKind
    at: datetime
    """UTC."""
    agent: str = ""
    user: str = ""
    session: str = ""
    task: str = ""
    chain: tuple[str, ...] = ()
    mount: str = ""
    actions: tuple[str, ...] = ()
    """`resource:verb` of every access."""
    fields: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Resource → fields touched."""
    labels: tuple[str, ...] = ()
    statement: str = ""
    """The statement as asked for, with its literals replaced by `$n` placeholders (they may be personal data)."""
    decision: Literal["", "allow", "deny", "hold"] = ""
    code: str = ""
    """Denial code or, for an outcome, SQLSTATE; empty on success."""
    message: str = ""
    grants: tuple[str, ...] = ()
    policy: str = ""
    """Policy version."""
    refers: str = ""
    """Id of the intent that an outcome belongs to."""
    purpose: str = ""
    rows: int | None = None
    bytes: int | None = None
    duration_us: int | None = None
    detail: Mapping[str, JsonValue] = MappingProxyType({})
    """Kind-specific facts, e.g. peer address, expiry, reason of closing."""
