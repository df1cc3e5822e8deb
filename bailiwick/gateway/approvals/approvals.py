"""Approvals: what waits for people is previewed, kept and recorded; what they decide is on record before it counts.

Order of holding: the intent of the preview is durable, then it runs and is rolled back, its outcome is recorded, the
approval is stored, and the record of its holding is durable before the agent hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from bailiwick.decide.approvals import (
    Act,
    Answer,
    Approve,
    Ask,
    Begin,
    Delegate,
    Finish,
    Modify,
    Refuse,
    Restore,
    Withdraw,
    as_of,
    may_decide,
    seated,
    step,
)
from bailiwick.errors import BailiwickError, LedgerError, SessionError
from bailiwick.gateway.approvals.records import ApprovalRecords, held, requester_of, verdict
from bailiwick.gateway.approvals.sight import labels_of_call, not_seen
from bailiwick.gateway.approvals.store import ApprovalStore
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sessions.live import Live, is_by_force
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.model.approval import Approval, Previewed, Refused, Reviewer, Step, Subject, Terms
from bailiwick.model.decision import Denial, Hold
from bailiwick.model.policy import Policy
from bailiwick.model.record import JsonValue, Record

_log = logging.getLogger("bailiwick.approvals")
most_of_session = 20
"""Approvals that one session may have waiting."""
most_of_agent = 200
"""That one agent may have waiting, in all its sessions: people can look at so many."""
denied_stands = timedelta(minutes=10)
"""How long a denial answers the same request of the same session."""
_sweep_seconds = 0.5

DryRunner = Callable[[], Awaitable[Previewed | Refused]]
"""Does what would be done and rolls it back, whatever happens."""
Verdict = Approve | Refuse | Modify | Delegate | Ask
Listener = Callable[[Approval], None]
Follower = Callable[[Approval], Awaitable[None]]
"""Called on the event loop, after an approval was held or has changed; never waits and never raises."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the agent is told: always a denial, since nothing was changed; `state` is the backend's own code, if any."""

    denial: Denial
    record: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Something waits for people, and the record that says so."""

    approval: Approval
    record: str


class Making(Protocol):
    """Makes the record of a call, an intent or an outcome."""

    def __call__(
        self, kind: Literal["call", "intent", "outcome"], live: Live, call: Call, outcome: Outcome, refers: str
    ) -> Record: ...


class Approvals:
    """The approvals of this gateway. `start` once, `stop` at the end."""

    def __init__(self, sessions: Sessions, recorder: Recorder, clock: Clock) -> None:
        self.store = ApprovalStore(sessions.state)
        self.local = True
        """Whether whoever may open the admin socket counts as a member of every group."""
        self.listeners: list[Listener] = []
        self.followers: list[Follower] = []
        """What is done about a verdict before whoever gave it is answered."""
        self.changes = 0
        """How often an approval was held or has changed."""
        self._sessions = sessions
        self._recorder = recorder
        self._told = ApprovalRecords(recorder)
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._open: dict[str, Approval] = {}
        """Those that are not final, as they were last stored from here."""
        self._held_by: dict[str, set[str]] = {}
        """Session → its approvals that wait for people, or for their run."""
        self._changed = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None
        self._putting: set[asyncio.Task[None]] = set()
        """Approvals that are being stored and recorded."""

    async def start(self) -> None:
        """Take up those that wait. What was running when the gateway stopped has failed: nobody knows how it ended."""
        for each in await self.store.waiting():
            await self._sessions.note_revoked(each.requester.session)
            self._open[each.id] = each
            self._pause(each)
            if each.state == "RUNNING":
                await self.finish(each.id, "interrupted")
        self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """End the clockwork. What waits goes on waiting."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await asyncio.gather(*self._putting, return_exceptions=True)

    async def hold(
        self, live: Live, call: Call, subject: Subject, terms: Terms, run: DryRunner | None, making: Making
    ) -> Held | Told:
        """Hold a request, or say why not. The same one asked for again is the same approval.

        Raises LedgerError and ConfigError when a store fails: then nothing is held.
        """
        lock = self._locks.setdefault(live.session.id, asyncio.Lock())
        async with lock:  # one at a time in a session: equal ones are found, and dry runs do not pile up
            found = await self.store.waiting(live.identity.agent)
            waiting = [each for each in found if not self._as_of_now(each).over]
            mine = [each for each in waiting if each.requester.session == live.session.id]
            known = next((each for each in mine if subject.digest in (each.requested, each.subject.digest)), None)
            if known is not None:
                return await self._held(live, call, known, making)
            denied = await self._denied(live, subject)
            if denied is not None:
                return await self._refused(live, call, denied, making)
            full = _full(live, len(mine), len(waiting))
            if full is not None:
                return await self._refused(live, call, full, making)
            previewed = Previewed()
            if run is not None and subject.preview != "off":
                found = await self.preview(live, call, subject, run, making)
                if isinstance(found, Told):
                    return found
                previewed = found
            ended = live.refused(self._clock())
            if ended is not None:
                return await self._refused(live, call, ended, making)
            approval = self._made(live, call, subject, terms, previewed)
            record = self._holding(live, call, approval, making)
            await self._put(approval, record)
            return Held(approval, record.id)

    async def _denied(self, live: Live, subject: Subject) -> Denial | None:
        """Return the denial that the same request got a moment ago, if it did: asking again changes nothing."""
        last = await self.store.of_digest(live.session.id, subject.digest)
        if last is None or last.state != "DENIED" or self._clock() - last.steps[-1].at >= denied_stands:
            return None
        return verdict(last)

    async def open(self, approval: Approval) -> None:
        """Keep an approval that is no call's, such as an elevation. Raises LedgerError and ConfigError."""
        record = self._told.moved("approval.held", approval, approval.steps[-1])
        await self._put(approval, record)

    async def _put(self, approval: Approval, record: Record) -> None:
        """Store an approval and have the record of its holding durable, also when whoever waits for it is cancelled.

        INVARIANT: an approval is never stored without that record."""
        task = asyncio.get_running_loop().create_task(self._put_whole(approval, record))
        self._putting.add(task)
        task.add_done_callback(self._put_down)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})  # an equal request finds it
            raise

    async def _put_whole(self, approval: Approval, record: Record) -> None:
        await self.store.insert(approval)
        try:
            await self._recorder.keep(record)
        except LedgerError:
            await self.store.remove(approval.id)
            raise
        self._tell(approval)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._putting.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), BailiwickError):
            _log.error("an approval could not be kept: %s", error.message)

    def new_id(self) -> str:
        """Return the id of a new approval."""
        return "apr_" + self._recorder.new_id().removeprefix("rec_")

    async def list(self, *, everything: bool) -> Sequence[Approval]:
        """Return those that wait, or all, the newest first."""
        if not everything:
            found = [self._as_of_now(each) for each in await self.store.waiting()]
            return [each for each in reversed(found) if not each.over]
        return [self._as_of_now(each) for each in await self.store.list()]

    async def find(self, approval_id: str) -> Approval:
        """Return an approval as it is now. Raises SessionError when there is none of that id."""
        found = await self.store.find(approval_id)
        if found is None:
            raise SessionError(f"there is no approval `{approval_id}`", remedy="see `bailiwick approvals list --all`")
        return self._as_of_now(found)

    async def same(self, session: str, digest: str) -> Approval | None:
        """Return the newest approval of a session for exactly this, as it is now."""
        found = await self.store.of_digest(session, digest)
        return None if found is None else self._as_of_now(found)

    async def decide(self, approval_id: str, verdict: Verdict) -> Approval | Denial:
        """Do what a person decides, on record before it counts. What they may not is on record too."""
        by = self.seated(verdict.by)
        return await self._move(approval_id, replace(verdict, by=by), by)

    async def barred(self, approval: Approval, by: Reviewer) -> Denial | None:
        """Return why a person may not put another request in its place, which is on record then; None when they may."""
        found = may_decide(approval, self.seated(by)) or not_seen(approval, self.policy, by)
        if found is not None:
            act = Modify(by, approval.subject.digest, approval.subject, approval.previewed)
            await self._recorder.keep(self._told.not_counted(approval, act, by, found))
        return found

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._sessions.force.policy

    def seated(self, by: Reviewer) -> Reviewer:
        """Return a person with the groups that they have under the policy in force."""
        return seated(by, self.policy.approvers, local=self.local)

    async def answer(self, live: Live, approval_id: str, text: str) -> Approval | Denial:
        """Answer a question, for the session that waits."""
        return await self._move(approval_id, Answer(live.session.id, text), None)

    async def begin(self, live: Live, approval_id: str, digest: str) -> Approval | Denial:
        """Consume an approval, for exactly what it is about; the caller then runs that, and says how it ended."""
        refused = live.refused(self._clock())
        return refused or await self._move(approval_id, Begin(live.session.id, digest), None)

    async def begin_itself(self, approval: Approval) -> Approval | Denial:
        """Consume an approval that the gateway runs itself, whether its session is still there or not."""
        if approval.terms.mode != "execute":
            return Denial("approval_closed", f"`{approval.id}` is run by its session", remedy="let the agent retry")
        return await self._move(approval.id, Begin(approval.requester.session, approval.subject.digest), None)

    async def finish(self, approval_id: str, code: str = "") -> Approval | Denial:
        """Say how what was begun ended; `code` is empty when it succeeded."""
        return await self._move(approval_id, Finish(code), None)

    async def restore(self, approval_id: str, reason: str) -> Approval | Denial:
        """Say that what was begun was confirmed to have been rolled back: it may begin once more, in its time."""
        return await self._move(approval_id, Restore(reason), None)

    async def withdraw(self, approval_id: str, reason: str) -> Approval | Denial:
        """Say that what waits, or was approved, will not be run, whatever people decide."""
        return await self._move(approval_id, Withdraw(reason, revoked=True), None)

    async def wait(self, approval_id: str, seconds: float) -> Approval:
        """Return an approval once it does not wait for people any more, or as it is after so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            known = self._open.get(approval_id)
            found = await self.find(approval_id)
            while found.state == "PENDING" and self._open.get(approval_id) is known:
                left = until - loop.time()
                if left <= 0:
                    return found
                await _settled(self._changed, left)
            if found.state != "PENDING":
                return found

    async def news(self, seen: int, seconds: float) -> int:
        """Return how often something has changed, once that is more than `seen`, or after so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.changes == seen and (left := until - loop.time()) > 0:
            await _settled(self._changed, left)
        return self.changes

    async def _move(self, approval_id: str, act: Act, by: Reviewer | None) -> Approval | Denial:
        lock = self._locks.setdefault(approval_id, asyncio.Lock())
        async with lock:
            found = await self.store.find(approval_id)
            if found is None:
                return Denial("approval_unknown", f"there is no approval `{approval_id[:60]}`")
            after = step(self._as_of_now(found), act, self._clock())
            if isinstance(act, Approve | Modify) and not isinstance(after, Denial):
                after = not_seen(found, self.policy, act.by) or after
            if isinstance(after, Denial):
                if by is not None:
                    await self._recorder.keep(self._told.not_counted(found, act, by, after))
                return after
            line = after.steps[-1]
            kind = "approval.verdict" if by is not None else "approval.moved"
            await self._recorder.keep(self._told.moved(kind, after, line, by))
            if not await self.store.replace(found, after):
                lost = Denial("approval_changed", f"`{approval_id}` was changed meanwhile", remedy="look at it again")
                await self._recorder.keep(self._told.not_counted(found, act, by, lost))
                return lost
            self._tell(after)
            return after

    def _tell(self, approval: Approval) -> None:
        self._open[approval.id] = approval
        if approval.over:
            del self._open[approval.id]
        self._pause(approval)
        self.changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for each in tuple(self.listeners):
            each(approval)

    def _pause(self, approval: Approval) -> None:
        """While something of a session waits for people, it is not idle; then its idle time begins anew."""
        session = approval.requester.session
        waiting = self._held_by.setdefault(session, set())
        was = len(waiting)
        (waiting.add if approval.state in ("PENDING", "APPROVED") else waiting.discard)(approval.id)
        live = self._sessions.registry.get(session)
        if live is not None:
            live.holding = len(waiting)
            if len(waiting) < was:
                live.worked(self._clock())
        if not waiting:
            del self._held_by[session]

    async def _sweep(self) -> None:
        """Store what time and the ends of sessions have done."""
        while True:
            await asyncio.sleep(_sweep_seconds)
            try:
                for each in tuple(self._open.values()):
                    if self._as_of_now(each) is not each:
                        await self._sweep_one(each.id)
            except BailiwickError as error:  # a store or the ledger: tried again
                _log.error("approvals could not be looked through: %s", error.message)

    async def _sweep_one(self, approval_id: str) -> None:
        lock = self._locks.setdefault(approval_id, asyncio.Lock())
        async with lock:
            found = await self.store.find(approval_id)
            if found is None or found.over:
                self._open.pop(approval_id, None)
                return
            after = self._as_of_now(found)
            if after is found:
                return
            kind = "approval.ended" if after.over else "approval.moved"
            await self._recorder.keep(self._told.moved(kind, after, after.steps[-1]))
            if await self.store.replace(found, after):
                self._tell(after)

    def _as_of_now(self, approval: Approval) -> Approval:
        """Return an approval with what time and the end of its session have done to it."""
        now = self._clock()
        current = as_of(approval, now)
        if current.state not in ("PENDING", "APPROVED") or not current.requester.session:
            return current
        live = self._sessions.registry.get(current.requester.session)
        how = None if live is None else live.ended or live.due(now)
        if live is not None and how is None:
            return current
        revoked = current.requester.session in self._sessions.registry.revoked
        revoked = revoked or (how is not None and is_by_force(how.state, how.reason))
        after = step(
            current, Withdraw("its session has ended" if not revoked else "its session was revoked", revoked), now
        )
        return current if isinstance(after, Denial) else after

    async def preview(
        self, live: Live, call: Call, subject: Subject, run: DryRunner, making: Making
    ) -> Previewed | Told:
        """Have a dry run done, with an intent and an outcome on record. `Told`: why it may not even be held."""
        intent = making("intent", live, call, Outcome(), "")
        intent = intent._replace(code="", message="", detail={"preview": subject.preview})
        await self._recorder.keep(intent)
        live.started()
        code, rows, told = "08006", None, None
        try:
            found = await run()
            rows = found.rows
            code = "" if isinstance(found, Previewed) else found.state or found.denial.code
        finally:
            live.finished()
            outcome = making("outcome", live, call, Outcome(code, rows), intent.id)
            kept = self._recorder.keep(outcome._replace(code=code, message="", detail={"preview": subject.preview}))
            told = asyncio.ensure_future(kept)  # recorded also when whoever waits for it is gone
        await told
        return found if isinstance(found, Previewed) else Told(found.denial, intent.id, found.state)

    def _made(self, live: Live, call: Call, subject: Subject, terms: Terms, previewed: Previewed) -> Approval:
        now = self._clock()
        decision = call.decision
        queued = decision.queued if isinstance(decision, Hold) else None
        return Approval(
            id=self.new_id(),
            subject=subject,
            requester=requester_of(live.session),
            terms=terms,
            policy=live.policy,
            actions=tuple(dict.fromkeys(f"{each.resource}:{each.verb}" for each in call.request.accesses)),
            grants=() if queued is None else queued.grants,
            purpose=call.request.purpose,
            made_at=now,
            expires_at=now + terms.expires,
            labels=labels_of_call(call, live.scope),
            previewed=previewed,
            steps=(Step("held", now, "agent", digest=subject.digest),),
        )

    async def _held(self, live: Live, call: Call, approval: Approval, making: Making) -> Held:
        record = self._holding(live, call, approval, making)
        await self._recorder.keep(record)
        return Held(approval, record.id)

    def _holding(self, live: Live, call: Call, approval: Approval, making: Making) -> Record:
        """Return the record of a call that is held."""
        denial = held(approval)
        record = making("call", live, call, Outcome(denial.code, approval.previewed.rows), "")
        detail: dict[str, JsonValue] = {"approval": approval.id, "digest": approval.subject.digest}
        return record._replace(code=denial.code, message=denial.message, detail={**record.detail, **detail})

    async def _refused(self, live: Live, call: Call, denial: Denial, making: Making) -> Told:
        record = making("call", live, call, Outcome(denial.code), "")
        record = record._replace(decision="deny", code=denial.code, message=denial.message)
        await self._recorder.keep(record)
        return Told(denial, record.id)


def _full(live: Live, mine: int, of_agent: int) -> Denial | None:
    if mine < most_of_session and of_agent < most_of_agent:
        return None
    whose = f"{most_of_session} requests of this session"
    if mine < most_of_session:
        whose = f"{most_of_agent} requests of `{live.identity.agent}`"
    message = f"{whose} are waiting already"
    remedy = "wait until people have decided on them"
    return Denial("limit_exceeded", message, "a request that is waiting, again", remedy)


async def _settled(changed: asyncio.Event, seconds: float) -> None:
    """Wait for news, but not for longer than so many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), seconds)
