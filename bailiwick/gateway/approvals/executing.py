"""`mode: execute`: the gateway itself runs what people have approved, and keeps what came of it for whoever asked.

It runs as the session that asked, under the policy of the moment, on the path of every call: decided again, charged, on
record, once. It outlives the session, unless that was revoked. What could not even begin (a limit, a backend that is
away) is tried again until the approval expires; what was stopped by a suspension is not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bailiwick.decide.approvals import terms_of
from bailiwick.errors import BailiwickError
from bailiwick.gateway.approvals.approvals import Approvals, DryRunner
from bailiwick.gateway.approvals.records import ApprovalRecords
from bailiwick.gateway.approvals.results import ApprovalResults, Came
from bailiwick.gateway.call import Call
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.model.approval import Approval, Step, Subject, Terms
from bailiwick.model.decision import Denial, Hold
from bailiwick.model.record import JsonValue

_log = logging.getLogger("bailiwick.approvals")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_RAN: Final = ("EXECUTED", "FAILED")
_PASSING: Final = ("out_of_hours",)
"""Why a session may do nothing just now, and may again by itself."""


@dataclass(frozen=True, slots=True)
class Void:
    """What was approved is not what would run any more, or cannot be run at all: it never will be."""

    denial: Denial


class Unforeseen(Protocol):
    """What nobody foresaw, as a denial."""

    @property
    def denial(self) -> Denial: ...


Guard = Callable[[Awaitable[object], Callable[[], tuple[str, Live | None]]], Awaitable[Unforeseen | None]]


class Executor(Protocol):
    """Runs approved requests of some mounts."""

    def runs(self, subject: Subject) -> bool:
        """Return whether it can run such a request without whoever asked for it."""
        ...

    async def execute(self, live: Live, approval: Approval) -> Came | Void:
        """Run it, consuming the approval before anything is done, and return what whoever asked is told of it.

        Nothing was done where it has not been consumed, or was restored."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement that takes the place of one that waits: decided anew; how its preview is had."""

    call: Call
    subject: Subject
    run: DryRunner


class Changer(Protocol):
    """Puts other statements in the place of those that wait on its mounts."""

    def runs(self, subject: Subject) -> bool:
        """See `Executor`."""
        ...

    async def modified(
        self, live: Live, approval: Approval, sql: str, values: Sequence[JsonValue] | None
    ) -> Asked | Denial:
        """Decide another statement for the session, with these values, None: those of the one that waits."""
        ...


@dataclass(frozen=True, slots=True)
class Handed:
    """What came of a request that the gateway has run, for whoever makes it again."""

    approval: Approval
    told: Came


class Executions:
    """Runs what is approved under `mode: execute`. `start` once the fronts are there, `stop` before they go."""

    def __init__(self, approvals: Approvals, sessions: Sessions, recorder: Recorder, guard: Guard) -> None:
        """`guard` turns what nobody foresaw into a denial on record."""
        self.executors: list[Executor] = []
        self.changers: list[Changer] = []
        self.results = ApprovalResults(sessions.state)
        self._approvals = approvals
        self._sessions = sessions
        self._guard = guard
        self._lent: dict[str, Live] = {}
        """What runs now → as which session."""
        self._recorder = recorder
        self._told = ApprovalRecords(recorder)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._started = False

    def can(self, subject: Subject) -> bool:
        """Return whether something can run such a request by itself."""
        return any(each.runs(subject) for each in self.executors)

    async def start(self) -> None:
        """Take up what was approved before, and hear of what will be."""
        self._started = True
        self._approvals.listeners.append(self._heard)
        for each in await self._approvals.store.list(("APPROVED",)):
            self._heard(each)

    async def stop(self) -> None:
        """Run nothing more; what runs is cancelled and on record."""
        self._started = False
        tasks = tuple(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_running_for(self, live: Live, approval: str) -> bool:
        """Return whether the gateway itself runs it at this moment, as that session."""
        return self._lent.get(approval) is live

    async def wait(self, approval_id: str, seconds: float) -> Approval:
        """Return an approval once people have decided, and what they approved has been run; or after so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        found = await self._approvals.wait(approval_id, seconds)
        task = self._running.get(approval_id)
        if task is not None and (left := until - loop.time()) > 0:
            await asyncio.wait({task}, timeout=left)
        return await self._approvals.find(approval_id) if task is not None else found

    async def handed(self, live: Live, digest: str) -> Handed | None:
        """Return what came of the newest request of that digest that the gateway has run: once. It is on record."""
        last = await self._ran(live, digest)
        if last is None:
            return None
        task = self._running.get(last.id)
        if task is not None:
            await asyncio.wait({task})  # its result is being stored
        told = await self.results.take(last.id)
        if told is None:
            return None
        await self._deliver(last)
        return Handed(last, told)

    async def has_run(self, live: Live, digest: str) -> bool:
        """Return whether what came of a request of that digest waits to be handed over."""
        last = await self._ran(live, digest)
        return last is not None and (last.id in self._running or await self.results.waits(last.id))

    async def _ran(self, live: Live, digest: str) -> Approval | None:
        """Return the newest request of that digest, if the gateway has run it; not to what it runs itself just now."""
        last = await self._approvals.same(live.session.id, digest)
        if last is None or last.terms.mode != "execute" or last.state not in _RAN:
            return None
        return None if self.is_running_for(live, last.id) else last

    async def shown(self, live: Live, approval: Approval) -> Came | None:
        """Return what came of a request, for a session that may see how it stands. It is on record."""
        if approval.terms.mode != "execute" or approval.state not in _RAN:
            return None
        task = self._running.get(approval.id)
        if task is not None:
            await asyncio.wait({task})  # its result is being stored
        told = await self.results.find(approval.id)
        if told is not None:
            await self._deliver(approval, live)
        return told

    async def _deliver(self, approval: Approval, live: Live | None = None) -> None:
        to = "" if live is None or live.session.id == approval.requester.session else live.session.id
        line = Step("delivered", approval.steps[-1].at, "gateway", to)
        await self._recorder.keep(self._told.moved("approval.moved", approval, line))

    def _heard(self, approval: Approval) -> None:
        """Begin with what was just approved."""
        if self._started and _is_due(approval) and approval.id not in self._running:
            task = asyncio.get_running_loop().create_task(self._run(approval.id))
            self._running[approval.id] = task
            task.add_done_callback(lambda _: self._running.pop(approval.id, None))

    async def _run(self, approval_id: str) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                if not await self._attempted(approval_id):
                    return
            except BailiwickError as error:  # a store or the ledger: tried again
                _log.error("an approved request could not be run: %s", error.message)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempted(self, approval_id: str) -> bool:
        """Run it; return whether it is to be tried again."""
        approval = await self._approvals.find(approval_id)
        if not _is_due(approval):
            return False
        executor = next((each for each in self.executors if each.runs(approval.subject)), None)
        if executor is None:
            await self._approvals.withdraw(approval_id, "nothing of the policy in force can run it")
            return False
        async with self._sessions.outlived(approval.requester.session) as live:
            if live is None:
                await self._approvals.withdraw(approval_id, "its session was revoked")
                return False
            blocked = live.blocked(approval.subject.mount)
            if blocked is not None:
                if blocked.code in _PASSING:
                    return True
                await self._approvals.withdraw(approval_id, blocked.message)
                return False
            self._lent[approval_id] = live
            try:
                told = await self._guarded(live, executor, approval)
            finally:
                del self._lent[approval_id]
        if isinstance(told, Void):
            await self._approvals.withdraw(approval_id, told.denial.message)
            return False
        after = await self._approvals.find(approval_id)
        if after.state in _RAN:
            await self.results.keep(approval_id, told, after.steps[-1].at)
        return after.state == "APPROVED"

    async def _guarded(self, live: Live, executor: Executor, approval: Approval) -> Came | Void:
        came: list[Came | Void] = []

        async def run() -> None:
            came.append(await _cuttable(live, executor, approval))

        failed = await self._guard(run(), lambda: ("running what was approved", live))
        return came[0] if failed is None else {"denied": {"code": failed.denial.code, "message": failed.denial.message}}


async def _cuttable(live: Live, executor: Executor, approval: Approval) -> Came | Void:
    """Run it as a task that ends when its session is cut."""
    task = asyncio.ensure_future(executor.execute(live, approval))
    cuts: list[Denial] = []

    def cut(denial: Denial) -> None:
        cuts.append(denial)
        task.cancel()

    live.attach(cut, approval.subject.mount)
    try:
        return await task
    except asyncio.CancelledError:
        if not cuts:
            raise
        return {"denied": {"code": cuts[0].code, "message": cuts[0].message}}
    finally:
        live.detach(cut)
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _is_due(approval: Approval) -> bool:
    return approval.state == "APPROVED" and approval.terms.mode == "execute" and approval.subject.kind != "elevation"


def same_reach(one: Live, other: Live) -> bool:
    """Return whether one session may all that another may, for the same person, in the same task, with its values."""
    mine, theirs = one.session, other.session
    same = (mine.agent, mine.user, mine.task, mine.context, mine.tenant, mine.chain, mine.own)
    return same == (
        theirs.agent,
        theirs.user,
        theirs.task,
        theirs.context,
        theirs.tenant,
        theirs.chain,
        theirs.own,
    ) and (one.scope.id == other.scope.id)


def terms_for(executions: Executions, live: Live, hold: Hold, subject: Subject) -> Terms:
    """Return under which terms a request may be approved: what nothing here can run is left to the agent's retry."""
    terms = terms_of(live.terms.table.policy, hold.gates or (hold.gate,))
    alone = terms.mode == "execute" and executions.can(subject)
    return terms if alone or terms.mode == "wait" else replace(terms, mode="wait")
