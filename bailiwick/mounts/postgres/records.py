"""What one connection records, and how much of it is not durable yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bailiwick.gateway.approvals.statement_holds import Fate
from bailiwick.gateway.call import Call, Outcome, TransactionEnd, granting
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.gateway.sessions.told import Telling
from bailiwick.model.decision import Denial
from bailiwick.sql.groupings import Cells, Grouping


class Records:
    """Counts the records under way. `changed` is called when the last of them became durable, or one cannot be."""

    __slots__ = ("_changed", "_enforcer", "_live", "failed", "last", "outstanding", "withheld")

    def __init__(self, enforcer: Enforcer, live: LiveSession, changed: Callable[[], None]) -> None:
        self._enforcer = enforcer
        self._live = live
        self._changed = changed
        self.outstanding = 0
        self.last = ""
        """Id of the last call or intent."""
        self.failed = False
        """INVARIANT: once true, nothing is executed and nothing is released any more."""
        self.withheld: Denial | None = None
        """Why an intent was refused, when it was not for the ledger."""

    def call(self, call: Call, outcome: Outcome) -> str:
        """Record a whole call; return the record's id."""
        self.outstanding += 1
        self.last = self._enforcer.call(self._live, call, outcome, self._durable)
        return self.last

    def group(self, groupings: Sequence[Grouping], told: Sequence[Cells]) -> Telling | Denial:
        """Take up groupings; what they tell waits, as for a record, until they are stored."""
        self.outstanding += 1
        asked = self._enforcer.group(self._live, groupings, told, self._durable)
        if isinstance(asked, Denial):
            self.outstanding -= 1
        return asked

    def intend(self, call: Call) -> str:
        """Record an intent; return its id."""
        self.outstanding += 1
        self.last = self._enforcer.intend(self._live, call, self._durable)
        if not self.last and self.withheld is None:
            self.withheld = self._live.withheld(call.mount, granting(call))
        return self.last

    def settle(self, intent: str, call: Call, outcome: Outcome) -> None:
        """Record the outcome of an intent."""
        self.outstanding += 1
        self._enforcer.settle(self._live, intent, call, outcome, self._durable)

    def conclude(self, end: TransactionEnd) -> None:
        """Record how a transaction ended."""
        self.outstanding += 1
        self._enforcer.conclude(self._live, end, self._durable)

    def end(self, approval: str, fate: Fate, code: str) -> None:
        """Say what became of an approval that was begun."""
        self.outstanding += 1
        self._enforcer.end(approval, fate, code, self._durable)

    def _durable(self, ok: bool) -> None:
        self.outstanding -= 1
        if not ok:
            self.failed = True
        if not self.outstanding or self.failed:
            self._changed()
