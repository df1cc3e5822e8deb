"""The one path of every call: session → decide → record the intent → execute (in the mount) → settle.

The only module that may catch `Exception`: it then denies and records. Runs on one event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bailiwick.model.decision import Decision, Denial, Request
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session

Durable = Callable[[bool], None]
"""Called once, on the event loop: True when the record is durable, False when it cannot be (then: no action)."""
Cut = Callable[[Denial], None]
"""Called on the event loop when a session ends: the mount drops the connection and what is in flight."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the ledger will tell it."""

    mount: str
    statement: str
    request: Request
    decision: Decision


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really happened. `code` is empty on success, else a denial code or the backend's (SQLSTATE)."""

    code: str = ""
    rows: int | None = None
    bytes: int | None = None
    duration_us: int | None = None


class LiveSession(Protocol):
    """An open session as its connections see it. `scope` changes when the policy is reloaded."""

    @property
    def session(self) -> Session: ...
    @property
    def scope(self) -> Scope: ...
    def blocked(self) -> Denial | None:
        """Return why nothing may be done now (revoked, expired, idle, out of hours), or None and count as activity.

        Cheap (no I/O): to be called for every statement."""
        ...


class Enforcer(Protocol):
    """The gateway as mounts see it."""

    async def connect(self, mount: str, agent: str, token: str, peer: str, cut: Cut) -> LiveSession | Denial:
        """Admit a connection. Its record (`connection.opened` or `.refused`) is durable before this returns."""
        ...

    def disconnect(self, live: LiveSession, cut: Cut, detail: str) -> None:
        """A connection admitted by `connect` has ended."""
        ...

    def decide(self, live: LiveSession, request: Request) -> Decision:
        """Decide; pure but for reading the policy in force. Safe to cache per `live.scope.id`."""
        ...

    def call(self, live: LiveSession, call: Call, outcome: Outcome, durable: Durable) -> str:
        """Record a whole call in one record: a denial, a hold, or a read whose outcome is already known.

        Returns the record's id, which a denied caller is told."""
        ...

    def intend(self, live: LiveSession, call: Call, durable: Durable) -> str:
        """Record an intent and return its id. Nothing may take effect before `durable(True)`."""
        ...

    def settle(self, live: LiveSession, intent: str, call: Call, outcome: Outcome, durable: Durable) -> None:
        """Record the outcome of an intent. The reply ends after `durable(True)`."""
        ...
