"""Holding changes: a write that goes through the queue is previewed, kept and recorded; nobody executes it here.

Order: the intent of the preview is durable, then it runs and is rolled back, its outcome is recorded, the change is
stored, and the record of its holding is durable before the agent hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from bailiwick.errors import LedgerError, SessionError
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.change_store import ChangeStore
from bailiwick.gateway.live import Live
from bailiwick.gateway.moments import Clock
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sessions import Sessions
from bailiwick.model.change import Asked, HeldChange, Previewed, Refused
from bailiwick.model.decision import Denial, Hold
from bailiwick.model.record import Record

most_pending = 20
"""Changes that one session may have waiting."""

DryRunner = Callable[[], Awaitable[Previewed | Refused]]
"""Does what would be done and rolls it back, whatever happens."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the agent is told: always a denial, since nothing was changed; `state` is the backend's own code, if any."""

    denial: Denial
    record: str
    state: str = ""


class Making(Protocol):
    """Makes the record of a call, an intent or an outcome."""

    def __call__(
        self, kind: Literal["call", "intent", "outcome"], live: Live, call: Call, outcome: Outcome, refers: str
    ) -> Record: ...


class Changes:
    """The held changes of this gateway."""

    def __init__(self, sessions: Sessions, recorder: Recorder, clock: Clock) -> None:
        self.store = ChangeStore(sessions.state)
        self._sessions = sessions
        self._recorder = recorder
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def hold(self, live: Live, call: Call, asked: Asked, run: DryRunner, making: Making) -> Told:
        """Hold a write, or say why not. The same one asked for again is the same change.

        Raises LedgerError and ConfigError when a store fails: then nothing is held.
        """
        lock = self._locks.setdefault(live.session.id, asyncio.Lock())
        async with lock:  # one at a time in a session: equal ones are found, and dry runs do not pile up
            pending = await self.store.pending(live.session.id)
            known = next((each for each in pending if each.asked.digest == asked.digest), None)
            if known is not None:
                return await self._held(live, call, known, making)
            if len(pending) >= most_pending:
                return await self._refused(live, call, _too_many, making)
            previewed = Previewed()
            if asked.preview != "off":
                found = await self._preview(live, call, asked, run, making)
                if isinstance(found, Told):
                    return found
                previewed = found
            ended = live.refused(self._clock())
            if ended is not None:
                return await self._refused(live, call, ended, making)
            change = self._made(live, call, asked, previewed)
            await self.store.insert(change)
            try:
                return await self._held(live, call, change, making)
            except LedgerError:
                await self.store.remove(change.id)
                raise

    async def list(self, *, everything: bool) -> Sequence[HeldChange]:
        """Return the pending changes, or all, the newest first."""
        found = [self._as_of_now(each) for each in await self.store.list()]
        return [each for each in found if everything or each.state == "PENDING"]

    async def find(self, change_id: str) -> HeldChange:
        """Return a change. Raises SessionError when there is none of that id."""
        found = await self.store.find(change_id)
        if found is None:
            raise SessionError(f"there is no change `{change_id}`", remedy="see `bailiwick changes list --all`")
        return self._as_of_now(found)

    def _as_of_now(self, change: HeldChange) -> HeldChange:
        live = self._sessions.registry.get(change.session)
        over = live is None or live.ended is not None or live.due(self._clock()) is not None
        return replace(change, state="EXPIRED") if over and change.state == "PENDING" else change

    async def _preview(self, live: Live, call: Call, asked: Asked, run: DryRunner, making: Making) -> Previewed | Told:
        intent = making("intent", live, call, Outcome(), "")
        intent = intent._replace(code="", message="", detail={"preview": asked.preview})
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
            kept = self._recorder.keep(outcome._replace(code=code, message="", detail={"preview": asked.preview}))
            told = asyncio.ensure_future(kept)  # recorded also when whoever waits for it is gone
        await told
        return found if isinstance(found, Previewed) else Told(found.denial, intent.id, found.state)

    def _made(self, live: Live, call: Call, asked: Asked, previewed: Previewed) -> HeldChange:
        who = live.identity
        queued = call.decision.queued if isinstance(call.decision, Hold) else None
        return HeldChange(
            id="chg_" + self._recorder.new_id().removeprefix("rec_"),
            session=who.session,
            agent=who.agent,
            user=who.user,
            task=who.task,
            mount=call.mount,
            policy=live.policy,
            actions=tuple(dict.fromkeys(f"{each.resource}:{each.verb}" for each in call.request.accesses)),
            grants=() if queued is None else queued.grants,
            purpose=call.request.purpose,
            asked=asked,
            previewed=previewed,
            made_at=self._clock(),
        )

    async def _held(self, live: Live, call: Call, change: HeldChange, making: Making) -> Told:
        denial = held(change)
        record = making("call", live, call, Outcome("queued", change.previewed.rows), "")
        detail = {"change": change.id, "digest": change.asked.digest}
        record = record._replace(code=denial.code, message=denial.message, detail=detail)
        await self._recorder.keep(record)
        return Told(denial, record.id)

    async def _refused(self, live: Live, call: Call, denial: Denial, making: Making) -> Told:
        record = making("call", live, call, Outcome(denial.code), "")
        record = record._replace(decision="deny", code=denial.code, message=denial.message)
        await self._recorder.keep(record)
        return Told(denial, record.id)


def held(change: HeldChange) -> Denial:
    """Return what an agent is told of a change that is held for it."""
    rows = change.previewed.rows
    would = "" if rows is None else f"; it would write {rows} row{'' if rows == 1 else 's'}"
    action = next((each for each in change.actions if not each.endswith(":read")), "")
    message = f"`{action}` waits for an approval: held as change `{change.id}`{would}"
    remedy = (
        f"nothing has been changed; a person decides on `{change.id}` while this session is open; "
        "the same statement sent again is the same change"
    )
    return Denial("queued", message, "", remedy, action)


_too_many = Denial(
    "limit_exceeded",
    f"{most_pending} changes of this session are waiting already",
    allowed="a change that is waiting, again",
    remedy="wait until people have decided on them",
)
