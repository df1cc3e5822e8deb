"""What the ledger tells of a request: who asked for what, and what was decided then. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Access
from bailiwick.review.touched import Touched

Outcome = Literal["allow", "deny", "hold", "unknown"]

UNTOLD = "hmac:"
"""How a record tells of an argument that it does not tell: what follows is a keyed digest."""

CIRCUMSTANCES = frozenset(
    {
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
        "out_of_hours",
        "limit_exceeded",
        "limit_unavailable",
        "approval_unknown",
        "approval_not_yours",
        "approval_closed",
        "approval_changed",
        "approval_denied",
        "approval_expired",
        "reauthentication_needed",
        "data_changed",
        "preview_failed",
        "group_too_small",
        "batch_exceeded",
        "rows_exceeded",
        "bytes_exceeded",
        "timeout_exceeded",
        "row_out_of_scope",
        "ledger_unavailable",
        "backend_unavailable",
        "tool_changed",
        "result_withheld",
        "protocol_violation",
        "internal_error",
        "statement_unparsable",
        "statement_too_large",
    }
)
"""Codes of denials that tell of the moment, of data or of the request's form, not of what the policy grants."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Whose session it was, as far as that decides its scope. Its values are not known."""

    agent: str
    task: str | None = None
    context: frozenset[str] | None = None
    """Names of its context values; None: nothing is known of how it was opened."""
    own: bool = False
    asked: tuple[str, ...] = ()
    """The resources that its opener asked for alone; how far is not known."""
    parent: Terms | None = None
    elevated: tuple[str, ...] = ()
    passed: frozenset[str] = frozenset()
    """`grant@resource` of the grants whose `when` held at its opening."""
    policy: str = ""
    """The version of the policy at its opening: for which `passed` is all that held."""


class Asked(NamedTuple):
    """A request as it was recorded; equal ones are decided once."""

    terms: Terms
    mount: str
    statement: str
    """Statement, or name and arguments of a call; of what is not told only that it was there."""
    actions: tuple[str, ...]
    fields: tuple[tuple[str, tuple[str, ...]], ...]
    decision: str
    code: str
    grants: tuple[str, ...]
    policy: str
    approved: bool = False
    """It ran since people had approved it."""
    touched: tuple[Touched, ...] = ()
    """Of an observed request the rows that it reached, and what it wrote there, as far as that is told."""

    @property
    def then(self) -> str:
        """What was decided: what people approved was held before."""
        return "hold" if self.approved else self.decision


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy decides about a request."""

    outcome: Outcome
    code: str = ""
    why: str = ""
    accesses: tuple[Access, ...] = ()
    ceilings: Ceilings | None = None
    grants: tuple[str, ...] = ()
    """Those that contribute to an allow."""


def unknown(why: str) -> Verdict:
    """Return that it cannot be told, and why."""
    return Verdict("unknown", why=why)
