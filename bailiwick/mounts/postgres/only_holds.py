"""An enforcer under which nothing is done but what a gate holds: for statements that a reviewer changes.

What would be allowed without people is denied here, so that a change that a reviewer tries out never takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bailiwick.gateway.approvals.approvals import DryRunner, Told
from bailiwick.gateway.approvals.statement_holds import Fate
from bailiwick.gateway.call import Call, Outcome, TransactionEnd
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.gateway.limits.memory import Reserved
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Cut
from bailiwick.gateway.sessions.told import Telling
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.model.approval import Subject
from bailiwick.model.budget import Budget, Used
from bailiwick.model.decision import Decision, Denial, Deny, Hold, Request
from bailiwick.sql.groupings import Cells, Grouping

_NOT_HELD = Denial(
    "approval_changed",
    "the changed statement would not wait for the same people",
    remedy="deny it, and say what to ask for instead",
)


class OnlyHolds:
    """See the module; an `Enforcer`. Nothing of it is charged or on record: a person tries it out, not the agent."""

    def __init__(self, inner: Enforcer, gates: Sequence[str]) -> None:
        """`gates`: those that hold what waits."""
        self._inner = inner
        self._gates = frozenset(gates)

    @property
    def underway(self) -> Underway:
        """See `Enforcer`."""
        return self._inner.underway

    async def connect(self, mount: str, agent: str, token: str, peer: str, cut: Cut) -> LiveSession | Denial:
        """Nobody connects here."""
        del mount, agent, token, peer, cut
        return _NOT_HELD

    def disconnect(self, live: LiveSession, cut: Cut, detail: str) -> None:
        """Nobody is connected."""

    def decide(self, live: LiveSession, request: Request) -> Decision:
        """Decide; what is not held by gates of the request that waits is denied."""
        found = self._inner.decide(live, request)
        if isinstance(found, Deny):
            return found
        waits = isinstance(found, Hold) and found.queued is not None
        gates = {*(found.gates or (found.gate,))} if isinstance(found, Hold) else set[str]()
        return found if waits and gates <= self._gates else Deny(_NOT_HELD)

    def call(self, live: LiveSession, call: Call, outcome: Outcome, durable: Durable) -> str:
        """Nothing of it is on record."""
        del live, call, outcome
        asyncio.get_running_loop().call_soon(durable, True)
        return ""

    def group(
        self, live: LiveSession, groupings: Sequence[Grouping], told: Sequence[Cells], durable: Durable
    ) -> Telling | Denial:
        """Nothing is told of aggregates."""
        del live, groupings, told, durable
        return _NOT_HELD

    def intend(self, live: LiveSession, call: Call, durable: Durable) -> str:
        """Nothing is ever done."""
        del live, call
        asyncio.get_running_loop().call_soon(durable, False)
        return ""

    def settle(self, live: LiveSession, intent: str, call: Call, outcome: Outcome, durable: Durable) -> None:
        """Nothing was intended."""
        del live, intent, call, outcome
        asyncio.get_running_loop().call_soon(durable, False)

    def conclude(self, live: LiveSession, end: TransactionEnd, durable: Durable) -> None:
        """Nothing was written."""
        del live, end
        asyncio.get_running_loop().call_soon(durable, False)

    def budgets(self, live: LiveSession, decision: Decision) -> tuple[Budget, ...]:
        """Nothing is charged."""
        del live, decision
        return ()

    def charge(self, live: LiveSession, budgets: tuple[Budget, ...], done: Callable[[Reserved | Denial], None]) -> None:
        """Nothing is charged, and nothing runs."""
        del live, budgets
        asyncio.get_running_loop().call_soon(done, _NOT_HELD)

    async def reserve(self, live: LiveSession, decision: Decision, cost: int | None = None) -> Reserved | Denial:
        """As `charge`."""
        del live, decision, cost
        return _NOT_HELD

    def charged(self, live: LiveSession, reserved: Reserved, used: Used) -> None:
        """Nothing was reserved."""

    def uncharged(self, reserved: Reserved) -> None:
        """Nothing was reserved."""

    async def hold(
        self, live: LiveSession, call: Call, subject: Subject, run: DryRunner, patience: float | None
    ) -> Told:
        """Nothing is held here: what is asked of people takes the place of what waits."""
        del live, call, subject, run, patience
        return Told(_NOT_HELD, "")

    def end(self, approval: str, fate: Fate, code: str, durable: Durable) -> None:
        """Nothing was begun."""
        del approval, fate, code
        asyncio.get_running_loop().call_soon(durable, False)
