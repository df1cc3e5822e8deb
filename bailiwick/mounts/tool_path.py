"""Calls of tools on the one path, whatever stands behind them: record the intent → execute → settle, for one session.

A mount decides (`Gateway.decide_call`), then has the call run here; how it is executed and looked at is its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Generic, TypeVar

from bailiwick.decide.budgets import cost_of, estimate
from bailiwick.decide.calls import Admitted, Refused
from bailiwick.gateway.call import Call, Outcome, granting
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.observing import observer_of
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import Digest
from bailiwick.model.approval import Approval
from bailiwick.model.budget import Price, Used
from bailiwick.model.decision import Access, Decision, Denial, Deny, Request
from bailiwick.model.observation_record import USED
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import ToolScope
from bailiwick.mounts.observed_calls import Facts, Several, Watched, Watching

NO_LEDGER = Denial("ledger_unavailable", "the gateway cannot record this, so it does not do it", remedy="try again")

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Done(Generic[Shown]):
    """What came of a call that was executed: what is shown of it, or a denial."""

    shown: Shown | None = None
    code: str = ""
    items: int | None = None
    size: int | None = None
    denial: Denial | None = None
    record: str = ""
    """The record that tells of it, when it was denied."""
    rest: Callable[[], Awaitable[Done[Shown]]] | None = None
    """What is still to be done, and shown while it is: it begins when there is a durable intent."""
    cost: Decimal | None = None
    """What the answer says that it cost."""
    vain: bool = False
    """Nothing was done, and nothing told: it is charged to nothing."""


class Interrupt:
    """A call under way on a mount, run by the current task: closing the mount stops it, as if it was cancelled."""

    def __init__(self, mount: str) -> None:
        self.mount = mount
        self.denial: Denial | None = None
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()

    def cut(self, denial: Denial) -> None:
        """Stop it."""
        if self.denial is None and self._task is not None:
            self.denial = denial
            self._task.cancel()

    def is_alone(self) -> bool:
        """Return whether a cancellation of the task is this one, and no other."""
        return self.denial is not None and self._task is not None and self._task.cancelling() <= self._before + 1

    def over(self) -> None:
        """The call is over: it is cancelled no more, and the task goes on."""
        if self.denial is not None and self._task is not None:
            self._task.uncancel()
        self._task = None


def _nothing() -> Mapping[str, JsonValue]:
    return {}


class _Account:
    """What a call really used, as far as it is known."""

    __slots__ = ("_watched", "executed", "items", "price", "size", "told")

    def __init__(self, price: Price | None, watched: Watching | None) -> None:
        self.price = price
        self._watched = watched
        self.executed = False
        """Whether it was begun: from then on it may have done something."""
        self.items: int | None = None
        self.size: int | None = None
        self.told: Decimal | None = None

    def used(self) -> Used:
        """Return what it is charged for."""
        items = self.items or 0
        return Used(items, self.size or 0, cost_of(self.price, items, self.told))

    def seen(self) -> Mapping[str, JsonValue]:
        """Return what is recorded of it where it is observed."""
        if self._watched is None:
            return {}
        cost = self.used().cost if self.price is not None else 0
        return {USED: self._watched.used(Decimal(cost) / 1_000_000 if cost else None)}


class ToolPath:
    """The calls of one session."""

    def __init__(self, gateway: Gateway, live: Live) -> None:
        self._gateway = gateway
        self._live = live

    def watch(self, admitted: Admitted, digest: Digest) -> Watched | None:
        """Return what looks at a call, to be given to `run`; None where the session is not observed."""
        if admitted.tool.mount not in self._live.scope.observed:
            return None
        return Watched(admitted, observer_of(self._live, digest))

    def watch_several(self, admitted: Sequence[Admitted], digest: Digest) -> Several | None:
        """Return what looks at calls that are one request."""
        if not admitted or admitted[0].tool.mount not in self._live.scope.observed:
            return None
        observer = observer_of(self._live, digest)
        return Several([Watched(each, observer) for each in admitted], observer)

    def watch_files(self, admitted: Iterable[Admitted], digest: Digest, *, walked: bool = False) -> Facts | None:
        """Return what tells of files; `walked`: they were come across, and nobody asked for these."""
        known = [each for each in admitted if each.tool.mount in self._live.scope.observed]
        if not known:
            return None
        found = Facts(observer_of(self._live, digest))
        for each in known:
            level = str(each.arguments.get("level", ""))
            found.file(each.tool.tool, {"level": level} if walked else each.arguments, level)
        return found

    async def run(
        self,
        call: Call,
        execute: Callable[[], Awaitable[Done[Shown]]],
        *,
        intends: bool,
        price: Price | None = None,
        happened: Callable[[], Mapping[str, JsonValue]] = _nothing,
        approval: Approval | None = None,
        watched: Watching | None = None,
    ) -> Done[Shown]:
        """Return what `execute` does, which is on record by then; or the denial that came instead. See `_charged`.

        An `approval` is consumed before anything is executed; it is restored only when nothing was. `watched`: the
        record of what came of it says what it used.
        """
        account = _Account(price, watched)
        if approval is None:
            return await self._charged(call, execute, account, intends=intends, happened=happened)
        refused = await self._gateway.begin_approved(self._live, approval)
        if refused is not None:
            return Done(denial=refused, record=await self.refuse(call.statement, call.request, Deny(refused)))
        executed = False

        async def once() -> Done[Shown]:
            nonlocal executed
            executed = True
            return await execute()

        code = "cancelled"
        try:
            call = replace(call, detail={**(call.detail or {}), "approval": approval.id})
            done = await self._charged(call, once, account, intends=True, happened=happened)
            code = done.denial.code if done.denial is not None else done.code
        finally:
            ending = self._gateway.end_approved(approval, code, undone=not executed)
            await asyncio.shield(asyncio.ensure_future(ending))
        return done

    async def _charged(
        self,
        call: Call,
        execute: Callable[[], Awaitable[Done[Shown]]],
        account: _Account,
        *,
        intends: bool,
        happened: Callable[[], Mapping[str, JsonValue]],
    ) -> Done[Shown]:
        """Return what `execute` does, which is on record by then; or the denial that came instead.

        Before anything it is charged to all its budgets, or denied; after it, for what it really used.

        With `intends` a durable intent stands before anything is executed; else, for what only reads and is wholly
        buffered, one record stands before anything is shown (what has a `rest` is not, and gets its intent before that
        begins). Cancelled, it still records what came of it. `happened` is asked then for further facts.
        """
        reserved = await self._gateway.reserve(self._live, call.decision, estimate(account.price))
        if isinstance(reserved, Denial):
            _, record = await self.tell(replace(call, decision=Deny(reserved)))
            return Done(denial=reserved, record=record)
        try:
            return await self._run(call, execute, account, intends=intends, happened=happened)
        finally:
            if account.executed:
                self._gateway.charged(self._live, reserved, account.used())
            else:
                self._gateway.uncharged(reserved)

    async def _run(
        self,
        call: Call,
        execute: Callable[[], Awaitable[Done[Shown]]],
        account: _Account,
        *,
        intends: bool,
        happened: Callable[[], Mapping[str, JsonValue]],
    ) -> Done[Shown]:
        intent = ""
        if intends:
            intent = await self._intended(call)
            if not intent:
                return Done(denial=self._live.withheld(call.mount, granting(call)) or NO_LEDGER)
        began = time.monotonic()
        self._live.started()
        failure = "internal_error"
        interrupt = Interrupt(call.mount)
        self._live.watch(interrupt)
        account.executed = True
        try:
            done = await execute()
            if done.rest is not None:
                intent = intent or await self._intended(call)
                unrecorded: Done[Shown] = Done(denial=self._live.withheld(call.mount, granting(call)) or NO_LEDGER)
                done = await done.rest() if intent else unrecorded
            account.items, account.size, account.told = done.items, done.size, done.cost
            account.executed = not done.vain
            failure = ""
        except asyncio.CancelledError:
            if not interrupt.is_alone():
                failure = "cancelled"
                raise
            failure = ""
            stopped: Done[Shown] = Done(denial=interrupt.denial)
            done = stopped
        finally:  # also when it was the program that failed: what was executed is on record
            self._live.unwatch(interrupt)
            interrupt.over()
            if more := {**happened(), **account.seen()}:
                call = replace(call, detail={**(call.detail or {}), **more})
            if failure:
                await asyncio.shield(self._settle(call, intent, Outcome(failure, None, None, _since(began))))
            self._live.finished()
        outcome = Outcome(done.denial.code if done.denial else done.code, done.items, done.size, _since(began))
        kept, record = await self._settle(call, intent, outcome)
        if not kept:
            return Done(denial=NO_LEDGER)
        denial = self._live.stopped(call.mount) or done.denial
        return done if denial is None else Done(denial=denial, record=record)

    async def tell(self, call: Call) -> tuple[bool, str]:
        """Record a whole call whose outcome is known; return whether it is durable, and its record's id."""
        return await _durably(lambda durable: self._gateway.call(self._live, call, Outcome(), durable))

    async def refuse(self, statement: str, request: Request, decision: Decision) -> str:
        """Record what is not done; return the id of the record, empty when there is none."""
        kept, record = await self.tell(Call(request.mount, statement, request, decision))
        return record if kept else ""

    async def _intended(self, call: Call) -> str:
        """Return the id of the durable intent; empty when there is none, and then nothing is done."""
        keeping = asyncio.ensure_future(_durably(lambda durable: self._gateway.intend(self._live, call, durable)))
        try:
            kept, intent = await asyncio.shield(keeping)
        except asyncio.CancelledError:
            kept, intent = await keeping
            if kept:
                await self._settle(call, intent, Outcome("cancelled"))
            raise
        if not kept:
            self._live.finished()
        return intent if kept else ""

    async def _settle(self, call: Call, intent: str, outcome: Outcome) -> tuple[bool, str]:
        if not intent:
            return await _durably(lambda durable: self._gateway.call(self._live, call, outcome, durable))

        def settle(durable: Durable) -> str:
            self._gateway.settle(self._live, intent, call, outcome, durable)
            return intent

        return await _durably(settle)


def refused_request(refused: Refused, purpose: str) -> Request:
    """Return the request of a call that was refused, as far as it is known what was asked for."""
    tool = refused.tool
    return Request("", (), purpose) if tool is None else request_of(tool, purpose)


def request_of(tool: ToolScope, purpose: str) -> Request:
    """Return the request that a call of a tool is."""
    return Request(tool.mount, (Access(tool.tool.action.resource, tool.tool.action.verb),), purpose)


async def _durably(append: Callable[[Durable], str]) -> tuple[bool, str]:
    """Append a record and wait for its fate; return whether it is durable, and its id."""
    fate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settled(durable: bool) -> None:
        if not fate.done():
            fate.set_result(durable)

    record = append(settled)
    return await fate, record


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1_000_000)
