"""The way of one allowed statement: intent (of a write), engine, outcome; what it brought is released at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bailiwick.decide.limits import LimitCode, exceeded
from bailiwick.gateway.call import Call, Outcome, granting
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.gateway.observing import Results
from bailiwick.gateway.recorder import Durable
from bailiwick.model.budget import Used
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial, Deny
from bailiwick.mounts.sql import results
from bailiwick.mounts.sql.observed import look_at
from bailiwick.mounts.sql.results import KEY_TAKEN, Answer, Denied, Failed, Result, typed
from bailiwick.mounts.sql.running import Ran, Rows, Stopped, Written, known_columns
from bailiwick.sql.engines.plan import EnginePlan

NO_LEDGER = Denial("ledger_unavailable", "the gateway cannot record this, so it does not do it", remedy="try again")
OUT_OF_SCOPE = Denial(
    "row_out_of_scope",
    "a row written would be outside of what this session may write",
    allowed="rows that the write and the read scope admit, before and after the change",
    remedy="ask for a grant whose `rows` and `set` admit the values",
)
DATA_CHANGED = Denial(
    "data_changed",
    "the data has changed since people looked at what this would do, so it was undone",
    remedy="send it again: it is previewed and held anew",
)
_STOPPED = Denial("internal_error", "the statement was stopped before it was done", remedy="send it again")


async def recorded(start: Callable[[Durable], str]) -> tuple[str, bool]:
    """Return the id of a record, and whether it is durable."""
    done = asyncio.get_running_loop().create_future()

    def settled(durable: bool) -> None:
        if not done.done():
            done.set_result(durable)

    record = start(settled)
    durable: bool = await done
    return record, durable


@dataclass(frozen=True, slots=True)
class Execution:
    """One allowed statement of a session."""

    gateway: Enforcer
    live: LiveSession
    call: Call
    plan: EnginePlan
    ceilings: Ceilings
    """What holds for it: no larger than what the gateway itself allows."""
    results: Results | None = None
    """Where the session is observed: what looks at its rows."""

    async def done(self, run: Callable[[], Awaitable[Ran]]) -> Answer:
        """Run it and return its answer, when that is on record. It is charged to all its budgets first, or denied."""
        reserved = await self.gateway.reserve(self.live, self.call.decision)
        if isinstance(reserved, Denial):
            refused = replace(self.call, decision=Deny(reserved))
            record, durable = await recorded(lambda told: self.gateway.call(self.live, refused, Outcome(), told))
            return Denied(reserved, record) if durable else Denied(NO_LEDGER)
        begun: list[Answer] = []
        try:
            answer = await (self._read(run, begun) if self.plan.kind == "READ" else self._written(run, begun))
        finally:
            if begun:
                self.gateway.charged(self.live, reserved, _used(begun[-1]))
            else:
                self.gateway.uncharged(reserved)
        return answer

    async def _read(self, run: Callable[[], Awaitable[Ran]], begun: list[Answer]) -> Answer:
        """`begun` is told what it came to, from the moment on when something may have been done."""
        began = time.perf_counter()
        answer: Answer = Denied(_STOPPED)
        begun.append(answer)
        try:
            answer = self._released(await run())
        finally:  # also when it was the program that failed: what was executed is on record
            begun.append(answer)
            outcome = _outcome(answer, began)
            call = self._told(answer)
            kept = await recorded(lambda told: self.gateway.call(self.live, call, outcome, told))
        record, durable = kept
        return _with_record(answer, record) if durable else Denied(NO_LEDGER)

    async def _written(self, run: Callable[[], Awaitable[Ran]], begun: list[Answer]) -> Answer:
        intent, durable = await recorded(lambda told: self.gateway.intend(self.live, self.call, told))
        if not durable:
            mount, grants = self.call.mount, granting(self.call)
            return Denied(self.live.blocked(mount) or self.live.withheld(mount, grants) or NO_LEDGER)
        began = time.perf_counter()
        answer: Answer = Denied(_STOPPED)
        begun.append(answer)
        try:
            answer = self.answer(await run())
        finally:  # also when it was the program that failed: the intent never stays without an outcome
            begun.append(answer)
            outcome = _outcome(answer, began)
            call = self._told(answer)
            kept = await recorded(lambda told: self._settle(intent, call, outcome, told))
        return _with_record(answer, intent) if kept[1] else Denied(NO_LEDGER)

    def _settle(self, intent: str, call: Call, outcome: Outcome, durable: Durable) -> str:
        self.gateway.settle(self.live, intent, call, outcome, durable)
        return intent

    def _told(self, answer: Answer) -> Call:
        """Return the call with what its rows held, where it is observed."""
        if self.results is None or not isinstance(answer, Result):
            return self.call
        found = attempt("observing rows", look_at, self.results, self.call, answer)
        return self.call if isinstance(found, Denial) else found

    def _released(self, ran: Ran) -> Answer:
        """Return what a query brought, unless the session has ended meanwhile."""
        blocked = self.live.blocked(self.call.mount)
        return self.answer(ran) if blocked is None else Denied(blocked)

    def answer(self, ran: Ran) -> Answer:
        """Return what the engine did as the agent is told it."""
        if isinstance(ran, Failed):
            return Denied(OUT_OF_SCOPE) if self.plan.blind and ran.code == KEY_TAKEN.code else ran
        if isinstance(ran, Stopped):
            return Denied(exceeded("timeout_exceeded", self.ceilings, 0, self._action) if ran.late else self._stopped())
        if isinstance(ran, Written):
            if ran.verdict == "row_out_of_scope":
                return Denied(OUT_OF_SCOPE)
            if ran.verdict == "data_changed":
                return Denied(DATA_CHANGED)
            if ran.verdict:
                return Denied(self._exceeded(ran.verdict, ran.rows))
            return Result(affected=ran.rows) if ran.returned is None else self._result(ran.returned, ran.rows)
        return self._result(ran)

    def _stopped(self) -> Denial:
        return self.live.blocked(self.call.mount) or _STOPPED

    def _result(self, ran: Rows, affected: int | None = None) -> Result:
        known = known_columns(self.plan, ran.names)
        if ran.kinds:
            known = tuple((name, kind) for (name, _), kind in zip(known, ran.kinds, strict=True))
        ended = self._exceeded(ran.ended) if ran.ended else None
        return Result(typed(known, ran.rows), ran.rows, affected, ended, ran.size)

    def _exceeded(self, code: LimitCode, rows: int = 0) -> Denial:
        if code != "bytes_exceeded" or self.ceilings.bytes != results.largest_answer:
            return exceeded(code, self.ceilings, rows, self._action)
        most = f"{results.largest_answer} bytes"
        message = f"the answer is longer than the {most} that the gateway holds of one"
        return Denial(code, message, f"answers of up to {most}", "ask for less at once", self._action)

    @property
    def _action(self) -> str:
        first = self.plan.accesses[0] if self.plan.accesses else None
        return "" if first is None else f"{first.resource}:{first.verb}"


def _outcome(answer: Answer, began: float) -> Outcome:
    spent = int((time.perf_counter() - began) * 1_000_000)
    if isinstance(answer, Failed):
        return Outcome(answer.code, duration_us=spent)
    if isinstance(answer, Denied):
        return Outcome(answer.denial.code, duration_us=spent)
    rows = len(answer.rows) if answer.affected is None else answer.affected
    return Outcome("" if answer.ended is None else answer.ended.code, rows, answer.size, spent)


def _used(answer: Answer) -> Used:
    """Return what a statement is charged for: the rows that it returned or reached."""
    if not isinstance(answer, Result):
        return Used()
    return Used(len(answer.rows) if answer.affected is None else answer.affected, answer.size)


def _with_record(answer: Answer, record: str) -> Answer:
    if isinstance(answer, Failed):
        return Failed(answer.code, answer.message, record)
    return Denied(answer.denial, record) if isinstance(answer, Denied) else answer.recorded(record)
