"""The one path as mounts see it: what they ask of the gateway, and what they are told. `enforce` is what does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bailiwick.decide.seen import Observer
from bailiwick.gateway.approvals.approvals import DryRunner, Told
from bailiwick.gateway.approvals.executing import Handed
from bailiwick.gateway.approvals.statement_holds import Begun, Fate
from bailiwick.gateway.call import Call, Outcome, TransactionEnd
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Cut
from bailiwick.gateway.sessions.told import Telling
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.model.approval import Subject
from bailiwick.model.budget import Budget, Used
from bailiwick.model.decision import Decision, Denial, Request
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
from bailiwick.sql.groupings import Cells, Grouping


class LiveSession(Protocol):
    """An open session as its connections see it. `scope` changes when the policy is reloaded."""

    observer: Observer | None
    """Where it is observed: who looks at its values, once `gateway.observing.observer_of` was asked."""

    @property
    def session(self) -> Session: ...
    @property
    def scope(self) -> Scope: ...
    def blocked(self, mount: str = "") -> Denial | None:
        """Return why nothing may be done now (revoked, expired, idle, suspended, out of hours; on this mount: closed),
        or None and count as activity.

        Cheap (no I/O): to be called for every statement."""
        ...

    def withheld(self, mount: str, grants: Sequence[str]) -> Denial | None:
        """Return why what was decided by these grants may not take effect any more (stopped, an elevation ended), or
        None. Says why an intent did not become durable."""
        ...


class Enforcer(Protocol):
    """The gateway as mounts see it."""

    @property
    def underway(self) -> Underway:
        """Where mounts say what their backends are executing, so that records can share a commit."""
        ...

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

    def group(
        self, live: LiveSession, groupings: Sequence[Grouping], told: Sequence[Cells], durable: Durable
    ) -> Telling | Denial:
        """Take up what a statement asks of relations that may only be aggregated.

        Nothing of its result leaves before `durable(True)`. A denial: it may not run, and `durable` is not called."""
        ...

    def intend(self, live: LiveSession, call: Call, durable: Durable) -> str:
        """Record an intent and return its id. Nothing may take effect before `durable(True)`."""
        ...

    def settle(self, live: LiveSession, intent: str, call: Call, outcome: Outcome, durable: Durable) -> None:
        """Record the outcome of an intent. The reply ends after `durable(True)`."""
        ...

    def conclude(self, live: LiveSession, end: TransactionEnd, durable: Durable) -> None:
        """Record how a transaction ended in which writes were done. The reply ends after `durable(True)`."""
        ...

    def budgets(self, live: LiveSession, decision: Decision) -> tuple[Budget, ...]:
        """Return what a request with that decision is charged to. Safe to cache per `live.scope.id`; empty: nothing."""
        ...

    def charge(self, live: LiveSession, budgets: tuple[Budget, ...], done: Callable[[Reserved | Denial], None]) -> None:
        """Reserve all of what a request is charged to, or nothing; `done` is called once, at once or later.

        Nothing may be executed before it, or after a denial. Ends with `charged` or `uncharged`."""
        ...

    async def reserve(self, live: LiveSession, decision: Decision, cost: int | None = None) -> Reserved | Denial:
        """As `charge`, for who can wait. `cost`: the most that it may cost, in millionths."""
        ...

    def charged(self, live: LiveSession, reserved: Reserved, used: Used) -> None:
        """A request is over: charge what it really used."""
        ...

    def uncharged(self, reserved: Reserved) -> None:
        """A request was not executed: give back what was reserved."""
        ...

    async def hold(
        self, live: LiveSession, call: Call, subject: Subject, run: DryRunner, patience: float | None
    ) -> Told | Begun | Handed:
        """Keep a statement that is held for people, after its preview, and wait so many seconds for them.

        `Told`: nothing is changed, and what the agent is told is on record. `Begun`: it was approved, and that is
        consumed; whoever asked runs it now, and says how it ended (`end`). `Handed`: the gateway has run it itself.
        `patience` None: within a transaction, where nothing waits and nothing is handed over."""
        ...

    def end(self, approval: str, fate: Fate, code: str, durable: Durable) -> None:
        """Say what became of an approval that was begun. The reply ends after `durable(True)`."""
        ...


@dataclass(frozen=True, slots=True)
class Failed:
    """What nobody foresaw, as a denial; `record` is the id of what the ledger holds of it, empty if it could not."""

    denial: Denial
    record: str
