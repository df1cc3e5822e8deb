"""Statements that people decide on: held, waited for, consumed before they run, and what became of them.

What runs is what its session sends: once approved, the same statement with the same parameters, of the same session,
under the same policy, runs once.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Final, Literal

from bailiwick.gateway.approvals.approvals import Approvals, DryRunner, Making, Told
from bailiwick.gateway.approvals.executing import Executions, Handed, terms_for
from bailiwick.gateway.approvals.records import held, verdict
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval, Subject
from bailiwick.model.decision import Denial, Hold

_log = logging.getLogger("bailiwick.approvals")
LONGEST_WAIT: Final = 600.0
"""Seconds that a statement waits for people at most, whatever its session asks for."""
WAITS: Final = "55P03"
"""SQLSTATE of what waits for people: nothing was done, and it may be sent again."""
Fate = Literal["done", "undone", "unknown"]
"""Of what was begun: it is committed; it is confirmed to have been rolled back; nobody can tell."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An approval that was consumed: what it is about may run now, once, and its end is told (`StatementHolds.end`)."""

    approval: Approval


class StatementHolds:
    """Holds statements and says what became of them."""

    def __init__(self, approvals: Approvals, executions: Executions, recorder: Recorder, making: Making) -> None:
        self._approvals = approvals
        self._executions = executions
        self._recorder = recorder
        self._making = making
        self._restoring: set[asyncio.Task[None]] = set()

    async def hold(
        self, live: Live, call: Call, subject: Subject, run: DryRunner, patience: float | None
    ) -> Told | Begun | Handed:
        """Hold a statement whose decision is a hold that can wait, or begin it when it was approved.

        `Handed`: the gateway has run it meanwhile, and this came of it.

        Waits so many seconds for people. Raises LedgerError and ConfigError when a store fails: then nothing runs.
        """
        decision, scope = call.decision, live.scope.id
        if not isinstance(decision, Hold) or decision.queued is None:
            raise TypeError("a call that is not held")
        if patience is None and await self._executions.has_run(live, subject.digest):
            return await self._refused(live, call, _RUN)
        handed = None if patience is None else await self._executions.handed(live, subject.digest)
        if handed is not None:
            return handed
        terms = terms_for(self._executions, live, decision, subject)
        found = await self._approvals.hold(live, call, subject, terms, run, self._making)
        if isinstance(found, Told):
            return found
        approval = found.approval
        running = self._executions.is_running_for(live, approval.id)
        itself = approval.terms.mode == "execute" and not running
        if (approval.state == "PENDING" or (itself and not approval.over)) and patience:
            live.started()  # nobody is idle who waits for people
            try:
                approval = await self._executions.wait(approval.id, min(patience, LONGEST_WAIT))
            finally:
                live.finished()
            itself = approval.terms.mode == "execute" and not running  # also what people have changed meanwhile
        handed = await self._executions.handed(live, subject.digest) if itself and patience is not None else None
        if handed is not None:
            return handed
        if approval.state == "PENDING":
            return Told(held(approval), found.record, WAITS)
        if itself and approval.state in ("APPROVED", "RUNNING"):
            return Told(verdict(approval), found.record, WAITS)
        if live.scope.id != scope:
            return await self._refused(live, call, _CHANGED)
        if approval.state == "RUNNING":
            return replace(await self._refused(live, call, _ended(approval, subject)), state=WAITS)
        if approval.state != "APPROVED" or approval.subject.digest != subject.digest:
            return await self._refused(live, call, _ended(approval, subject))
        begun = await self._begin(live, approval, subject)
        return Begun(begun) if isinstance(begun, Approval) else await self._refused(live, call, begun)

    async def end(self, approval: str, fate: Fate, code: str) -> None:
        """Say what became of what was begun; `code`: of the error that it ended with, empty when there is none.

        Raises LedgerError and ConfigError when a store fails.
        """
        if fate == "undone":
            after = await self._approvals.restore(approval, code or "rolled back")
        else:
            after = await self._approvals.finish(approval, code if fate == "done" else code or "interrupted")
        if isinstance(after, Denial):
            _log.error("what became of an approval could not be kept: %s", after.message)

    async def _begin(self, live: Live, approval: Approval, subject: Subject) -> Approval | Denial:
        """Consume it. INVARIANT: when whoever asked is gone meanwhile, nothing has run, and it is given back."""
        beginning = asyncio.ensure_future(self._approvals.begin(live, approval.id, subject.digest))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._give_back(beginning))
            self._restoring.add(task)
            task.add_done_callback(self._restoring.discard)
            raise

    async def _give_back(self, beginning: asyncio.Future[Approval | Denial]) -> None:
        begun = await beginning
        if isinstance(begun, Approval):
            await self.end(begun.id, "undone", "nothing was sent")

    async def _refused(self, live: Live, call: Call, denial: Denial) -> Told:
        record = self._making("call", live, call, Outcome(denial.code), "")
        record = record._replace(decision="deny", code=denial.code, message=denial.message)
        await self._recorder.keep(record)
        return Told(denial, record.id)


def _ended(approval: Approval, subject: Subject) -> Denial:
    """Return what the agent is told of an approval that does not let its statement run now."""
    again = "send it again to ask anew"
    if approval.state in ("DENIED", "EXPIRED"):
        return verdict(approval)
    if approval.subject.digest != subject.digest and approval.state in ("PENDING", "APPROVED"):
        message = f"a person has changed what `{approval.id}` is about"
        return Denial("approval_changed", message, f"`{approval.subject.text}`", "send that instead")
    said = {"RUNNING": "is being run", "WITHDRAWN": "has ended with its session"}.get(approval.state, "has been run")
    return Denial("approval_closed", f"`{approval.id}` {said} already", remedy=again)


_RUN = Denial(
    "approval_closed",
    "the gateway has run this already, once it was approved, in a transaction of its own",
    remedy="send it outside a transaction to get what came of it",
)
_CHANGED = Denial(
    "approval_closed",
    "the policy has changed since this statement was held",
    remedy="send it again: it is decided anew",
)
