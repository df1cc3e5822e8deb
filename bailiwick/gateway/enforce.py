"""The one path of every call: session → decide → record the intent → execute (in the mount) → settle.

The only module that may catch `Exception`: it then denies and records. Runs on one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar, TypeVarTuple

from bailiwick.decide.asking import Arguments, Asking
from bailiwick.decide.budgets import budget_in_words
from bailiwick.decide.calls import Decided, Refused, decide_call, decide_document
from bailiwick.decide.completions import Completing, decide_completion
from bailiwick.decide.scope import session_values
from bailiwick.errors import LedgerError
from bailiwick.gateway.approvals.approvals import Approvals, DryRunner, Told
from bailiwick.gateway.approvals.approvals import Held as WaitingFor
from bailiwick.gateway.approvals.executing import Executions, Handed, terms_for
from bailiwick.gateway.approvals.statement_holds import Begun, Fate, StatementHolds
from bailiwick.gateway.call import Call, Outcome, TransactionEnd
from bailiwick.gateway.call_records import NOTHING_YET, CallKind, CallRecords
from bailiwick.gateway.elevations.elevations import Elevations
from bailiwick.gateway.enforcer import Failed, LiveSession
from bailiwick.gateway.limits.limits import Limits, LimitStore
from bailiwick.gateway.limits.memory import MemoryStore, Reserved
from bailiwick.gateway.moments import Clock, to_microseconds
from bailiwick.gateway.recorder import Durable, Fact, Recorder
from bailiwick.gateway.sessions.live import EXPIRED, LAPSED, Cut, Live
from bailiwick.gateway.sessions.quarantine import Quarantines
from bailiwick.gateway.sessions.sessions import UNKNOWN, Sessions
from bailiwick.gateway.sessions.tokens import Rejected, Tokens
from bailiwick.gateway.sessions.told import Telling
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.model.approval import Approval, Previewed, Subject
from bailiwick.model.budget import Budget, Crossing, Measure, Price, Used
from bailiwick.model.decision import Allow, Decision, Denial, Deny, Hold, Request
from bailiwick.model.notice import Notice
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import Scope
from bailiwick.model.tool import Kind
from bailiwick.sql.groupings import Cells, Grouping

_log = logging.getLogger("bailiwick.enforce")

Result = TypeVar("Result")
Given = TypeVarTuple("Given")

_FAILED = Denial("internal_error", "the gateway failed on this request", remedy="its log and ledger say why")
_NO_LEDGER = Denial("ledger_unavailable", "the gateway cannot record this, so it does not do it", remedy="try again")


def attempt(
    what: str, run: Callable[[*Given], Result], *given: *Given, passing: tuple[type[Exception], ...] = ()
) -> Result | Denial:
    """Return what `run(*given)` returns, or, when it raises anything but `passing`, a denial that tells nothing of why.

    For what mounts work out about a request before it is decided. The log says `what` failed, and where."""
    try:
        return run(*given)
    except passing:
        raise
    except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
        _log.error("%s failed inside the gateway: %s", what, _kind(error))
        return _FAILED


class Gateway:
    """The real `Enforcer`. A failure of any kind denies, and is logged without the values that it concerned."""

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        recorder: Recorder,
        clock: Clock,
        underway: Underway,
        store: LimitStore | None = None,
    ) -> None:
        """`store` counts what limits bound; None: this process, until it ends."""
        self.underway = underway
        self.approvals = Approvals(sessions, recorder, clock)
        self.limits = Limits(store or MemoryStore(lambda: to_microseconds(clock())), self._crossed)
        self.elevations = Elevations(sessions, self.approvals)
        self.tell: Callable[[Notice], None] = _untold
        """Takes what people are to be told."""
        self._quarantines = Quarantines(sessions.suspensions, clock, lambda notice: self.tell(notice))
        sessions.on_end = self._forget
        self.executions = Executions(self.approvals, sessions, recorder, self.kept_up)
        self._records = CallRecords(recorder, clock)
        self._statements = StatementHolds(self.approvals, self.executions, recorder, self._records.dated)
        self._ending: set[asyncio.Task[None]] = set()
        self._tokens = tokens
        self._sessions = sessions
        self._recorder = recorder
        self._clock = clock
        self._connected: dict[Cut, tuple[str, str]] = {}
        """Connection → its mount and its peer."""

    @property
    def sessions(self) -> Sessions:
        """The sessions that it admits."""
        return self._sessions

    async def connect(self, mount: str, agent: str, token: str, peer: str, cut: Cut) -> Live | Denial:
        """Admit a connection; see `Enforcer`."""
        return await self._connect(mount, agent, token, peer, cut)

    async def enter(self, front: str, token: str, peer: str, cut: Cut) -> Live | Denial:
        """Admit a client of a front that reaches all mounts of its session. As `connect`, but the token alone says who
        it is; what of the mounts it may use is `Live.mounts`."""
        return await self._connect(None, f"({front})", token, peer, cut)

    def decide_call(self, live: Live, name: str, arguments: Arguments, kind: Kind = "tool") -> Decided:
        """Decide a call of a tool by the name that the agent knows; what is not of its session does not exist.

        Of a document the name is the URI, and the arguments stand in it."""
        return self._decide_call(live, live.tools, name, arguments, kind)

    def decide_function(self, live: Live, name: str, arguments: Arguments) -> Decided:
        """Decide a call of a function that an application guards; as `decide_call`."""
        return self._decide_call(live, live.functions, name, arguments, "tool")

    def decide_route(self, live: Live, name: str, arguments: Arguments) -> Decided:
        """Decide a request of a route of an API; as `decide_call`."""
        return self._decide_call(live, live.routes, name, arguments, "route")

    def decide_field(self, live: Live, name: str, arguments: Arguments) -> Decided:
        """Decide one of the fields that a GraphQL operation begins with; as `decide_call`."""
        return self._decide_call(live, live.routes, name, arguments, "field")

    def decide_file(self, live: Live, name: str, arguments: Arguments) -> Decided:
        """Decide what is done with a file, `MOUNT/RESOURCE:VERB`, by what is known of it; as `decide_call`."""
        return self._decide_call(live, live.files, name, arguments, "file")

    def asking(self, live: Live) -> Asking:
        """Return who asks, and when, for questions about what may be decided of files."""
        return self._asking(live, live.files)

    def decide_keyed(self, live: Live, key: str, arguments: Arguments) -> Decided:
        """Decide a call by the name that the scope has for it, whatever kind of mount it is of; as `decide_call`."""
        for kind in ("prompt", "document", "route", "field", "file"):
            if key.startswith(f"{kind}:"):
                scope = live.files if kind == "file" else live.routes if kind in ("route", "field") else live.tools
                return self._decide_call(live, scope, key.removeprefix(f"{kind}:"), arguments, kind)
        scope = live.functions if key in live.functions.tools else live.tools
        return self._decide_call(live, scope, key, arguments, "tool")

    def _decide_call(self, live: Live, scope: Scope, name: str, arguments: Arguments, kind: Kind) -> Decided:
        def decided() -> Decided:
            asking = self._asking(live, scope)
            found = decide_document(asking, name) if kind == "document" else decide_call(asking, name, arguments, kind)
            closed = None if isinstance(found, Refused) else live.closed_mounts.get(found.tool.mount)
            return found if closed is None else Refused(found.tool, Deny(closed))

        found = attempt("a decision", decided)
        return Refused(None, Deny(found)) if isinstance(found, Denial) else found

    def decide_completion(self, live: Live, kind: Kind, name: str, argument: str) -> Completing | Refused:
        """Decide whether an argument of a prompt or document may be completed, and which values are shown."""

        def decided() -> Completing | Refused:
            found = decide_completion(self._asking(live, live.tools), kind, name, argument)
            tool = found.admitted.tool if isinstance(found, Completing) else None
            closed = None if tool is None else live.closed_mounts.get(tool.mount)
            return found if closed is None else Refused(tool, Deny(closed))

        found = attempt("a decision", decided)
        return Refused(None, Deny(found)) if isinstance(found, Denial) else found

    def _asking(self, live: Live, scope: Scope) -> Asking:
        session = live.session
        values, policy = session_values(session), live.terms.table.policy
        return Asking(policy, scope, lambda ref: session.value(ref.path), values, self._clock(), live.attached)

    async def kept_up(self, work: Awaitable[object], asked: Callable[[], tuple[str, Live | None]]) -> Failed | None:
        """Do a front's work; when it fails in a way that nobody foresaw, that is a denial on record, and returned.

        `asked` says then what it was, in words without a value, and for which session, as far as that is known."""
        try:
            await work
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            return await self.failed(error, *asked())
        return None

    async def keep(self, fact: Fact) -> None:
        """Have on record what people do with a mount. Raises LedgerError: then it is not done."""
        await self._recorder.keep(self._recorder.make(fact))

    async def failed(self, error: BaseException, what: str, live: Live | None) -> Failed:
        """Record that the gateway itself failed on what a client asked; return what may be said of it."""
        _log.error("a request failed inside the gateway: %s: %s", what, _kind(error))
        if live is None:
            fact = Fact("connection.refused", _FAILED.code, _FAILED.message, detail={"reason": what})
            record = self._recorder.make(fact)
        else:
            call = Call("", what, Request("", (), ""), Deny(_FAILED))
            record = self._records.dated("call", live, call, NOTHING_YET, "")
        try:
            await self._recorder.keep(record)
        except LedgerError:
            return Failed(_FAILED, "")
        return Failed(_FAILED, record.id)

    async def _connect(self, given: str | None, agent: str, token: str, peer: str, cut: Cut) -> Live | Denial:
        mount = given or ""
        try:
            found, reason = await self._admit(given, agent, token)
            if isinstance(found, Denial):
                await self._refuse(found, Fact("connection.refused", mount=mount), (agent, peer, reason), None)
                return found
            opened = Fact("connection.opened", mount=mount, policy=found.policy, detail={"peer": peer})
            await self._recorder.keep(self._recorder.make(opened, found.session))
            denial = found.blocked(mount)  # it may have ended while the record was written
            if denial is not None:
                reason = "the session ended while the connection was being opened"
                await self._refuse(denial, Fact("connection.refused", mount=mount), (agent, peer, reason), found)
                return denial
            found.attach(cut, mount)
            self._connected[cut] = (mount, peer)
            return found
        except LedgerError:
            return _NO_LEDGER
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a connection to mount %s failed inside the gateway: %s", mount, _kind(error))
            return _FAILED

    def disconnect(self, live: LiveSession, cut: Cut, detail: str) -> None:
        """Forget a connection and record its end; see `Enforcer`."""
        self._live(live).detach(cut)
        mount, peer = self._connected.pop(cut, ("", ""))
        fact = Fact("connection.closed", mount=mount, detail={"reason": detail, "peer": peer})
        self._recorder.tell(self._recorder.make(fact, live.session), _unrecorded)

    def decide(self, live: LiveSession, request: Request) -> Decision:
        """Decide; see `Enforcer`."""
        found = attempt("a decision", lambda: self._live(live).terms.table.decide(request))
        return Deny(found) if isinstance(found, Denial) else found

    def call(self, live: LiveSession, call: Call, outcome: Outcome, durable: Durable) -> str:
        """Record a whole call; see `Enforcer`."""
        return self._record("call", live, call, outcome, durable, "")

    def group(
        self, live: LiveSession, groupings: Sequence[Grouping], told: Sequence[Cells], durable: Durable
    ) -> Telling | Denial:
        """Take up groupings; see `Enforcer`."""
        try:
            known = self._live(live)
            asked = known.groupings.ask(groupings, told)
            if isinstance(asked, Telling):
                self._sessions.told.keep(known.session.id, asked, durable)
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("groupings could not be taken up: %s", _kind(error))
            return _FAILED
        return asked

    def intend(self, live: LiveSession, call: Call, durable: Durable) -> str:
        """Record an intent; see `Enforcer`. What is not allowed, or was stopped meanwhile, never becomes durable."""
        known = self._live(live)
        decision = call.decision
        withheld = known.withheld(call.mount, decision.grants) if isinstance(decision, Allow) else None
        if withheld is LAPSED:
            lapsed = replace(call, decision=Deny(LAPSED))
            loop = asyncio.get_running_loop()

            def kept(_: bool) -> None:
                loop.call_soon(durable, False)

            self._record("call", live, lapsed, NOTHING_YET, kept, "")
            return ""
        if not isinstance(decision, Allow) or withheld is not None:
            asyncio.get_running_loop().call_soon(durable, False)
            return ""
        known.started()
        return self._record("intent", live, call, NOTHING_YET, durable, "")

    def settle(self, live: LiveSession, intent: str, call: Call, outcome: Outcome, durable: Durable) -> None:
        """Record the outcome of an intent; see `Enforcer`."""
        self._live(live).finished()
        self._record("outcome", live, call, outcome, durable, intent)

    def conclude(self, live: LiveSession, end: TransactionEnd, durable: Durable) -> None:
        """Record how a transaction ended; see `Enforcer`."""
        detail: dict[str, JsonValue] = {"fate": end.fate, "intents": [*end.intents], "writes": end.writes}
        fact = Fact("transaction.ended", mount=end.mount, policy=self._live(live).policy, detail=detail)
        self._recorder.ledger.append(self._recorder.make(fact, live.session), durable)

    async def hold(
        self, live: LiveSession, call: Call, subject: Subject, run: DryRunner, patience: float | None
    ) -> Told | Begun | Handed:
        """Hold a statement; see `Enforcer`."""
        try:
            known = self._live(live)
            blocked = known.blocked(call.mount)
            if blocked is not None or not isinstance(call.decision, Hold) or call.decision.queued is None:
                return Told(blocked or _FAILED, "")
            exhausted = await self.limits.hold(known, call.decision)
            if exhausted is not None:
                return Told(exhausted, await self._denied(known, call, exhausted))
            return await self._statements.hold(known, call, subject, run, patience)
        except LedgerError:
            return Told(_NO_LEDGER, "")
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a request could not be held: %s", _kind(error))
            return Told(_FAILED, "")

    async def hold_call(self, live: Live, call: Call, subject: Subject) -> WaitingFor | Told:
        """Hold a call whose decision is a hold; what the agent is told is on record when this returns."""
        try:
            blocked = live.blocked(call.mount)
            if blocked is not None or not isinstance(call.decision, Hold):
                return Told(blocked or _FAILED, "")
            terms = terms_for(self.executions, live, call.decision, subject)
            return await self.approvals.hold(live, call, subject, terms, None, self._records.dated)
        except LedgerError:
            return Told(_NO_LEDGER, "")
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a request could not be held: %s", _kind(error))
            return Told(_FAILED, "")

    async def preview(self, live: Live, call: Call, subject: Subject, run: DryRunner) -> Previewed | Denial:
        """Preview what takes the place of something that waits; its intent and its outcome are on record."""
        try:
            found = await self.approvals.preview(live, call, subject, run, self._records.dated)
        except LedgerError:
            return _NO_LEDGER
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a changed request could not be previewed: %s", _kind(error))
            return _FAILED
        return found.denial if isinstance(found, Told) else found

    async def begin_approved(self, live: Live, approval: Approval) -> Denial | None:
        """Consume an approval for what it is about; a denial: it is not to be run."""
        try:
            begun = await self.approvals.begin(live, approval.id, approval.subject.digest)
        except LedgerError:
            return _NO_LEDGER
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("an approval could not be consumed: %s", _kind(error))
            return _FAILED
        return begun if isinstance(begun, Denial) else None

    async def end_approved(self, approval: Approval, code: str, *, undone: bool) -> None:
        """Say how what was begun ended. `undone`: nothing of it was executed, so it may begin once more.

        Where that cannot be stored, it stays consumed."""
        try:
            if undone:
                await self.approvals.restore(approval.id, code or "nothing was executed")
            else:
                await self.approvals.finish(approval.id, code)
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("the end of an approved request could not be stored: %s", _kind(error))

    def budgets(self, live: LiveSession, decision: Decision) -> tuple[Budget, ...]:
        """Return what a request is charged to; see `Enforcer`."""
        return self.limits.charged(self._live(live), decision)

    def charge(self, live: LiveSession, budgets: tuple[Budget, ...], done: Callable[[Reserved | Denial], None]) -> None:
        """Reserve; see `Enforcer`."""
        try:
            self.limits.begin(self._live(live), budgets, None, done)
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a request could not be charged: %s", _kind(error))
            asyncio.get_running_loop().call_soon(done, _FAILED)

    async def reserve(self, live: LiveSession, decision: Decision, cost: int | None = None) -> Reserved | Denial:
        """Reserve; see `Enforcer`."""
        if not isinstance(decision, Allow):
            return _FAILED
        try:
            return await self.limits.reserve(self._live(live), decision, cost)
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a request could not be charged: %s", _kind(error))
            return _FAILED

    def measured(self, live: Live, decision: Allow, price: Price | None) -> frozenset[Measure]:
        """Return what of a call's result is charged for, so that it has to be measured."""
        found: set[Measure] = {each.measure for each in self.limits.charged(live, decision)}
        if price is not None and price.row > 0:
            found.add("rows")
        return frozenset(found)

    def charged(self, live: LiveSession, reserved: Reserved, used: Used) -> None:
        """Charge what was really used; see `Enforcer`."""
        self.limits.settle(self._live(live), reserved, used)

    def uncharged(self, reserved: Reserved) -> None:
        """Give back what was reserved; see `Enforcer`."""
        self.limits.release(reserved)

    def _crossed(self, live: Live, crossing: Crossing) -> None:
        """Record that a budget is used to 80 or 100 percent."""
        budget = crossing.budget
        message = f"{crossing.percent} % of {budget_in_words(budget)} of {budget.owner} are used"
        detail = {"budget": budget.key, "percent": crossing.percent}
        fact = Fact("limit.warned", message=message, policy=live.policy, detail=detail)
        self._recorder.tell(self._recorder.make(fact, live.session), _unwarned)
        agent, session = live.session.agent, live.session.id
        lines = (f"agent {agent}, session {session}",)
        self.tell(Notice("limit", agent, message, lines, f"/console/sessions/{session}"))

    def _forget(self, session: str) -> None:
        """A session has ended: what was counted for it alone counts no more."""
        self.limits.forget(session)
        self._quarantines.forget(session)

    def end(self, approval: str, fate: Fate, code: str, durable: Durable) -> None:
        """Say what became of an approval; see `Enforcer`."""
        task = asyncio.get_running_loop().create_task(self._end(approval, fate, code, durable))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, approval: str, fate: Fate, code: str, durable: Durable) -> None:
        try:
            await self._statements.end(approval, fate, code)
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("what became of an approval could not be kept: %s", _kind(error))
            durable(False)
        else:
            durable(True)

    async def _admit(self, mount: str | None, agent: str, token: str) -> tuple[Live | Denial, str]:
        """Return the live session that a token opens here, or why not; and that again in words for the ledger.

        Without a mount the agent did not say who it is either."""
        claims = self._tokens.verify(token, mount, self._clock())
        if isinstance(claims, Rejected):
            denial = EXPIRED.denial if claims.expired else UNKNOWN
            return denial, f"token: {claims.reason}"
        found = await self._sessions.admit(mount, claims)
        if isinstance(found, Denial):
            return found, "the session's row"
        if mount is not None and agent != claims.agent:
            message = f"the token is not one of the agent that connects, but of `{claims.agent}`"
            return Denial("agent_mismatch", message, remedy=f"connect as user `{claims.agent}`"), "the user's name"
        blocked = found.blocked(mount or "")
        return (found, "") if blocked is None else (blocked, "the session")

    async def _denied(self, live: Live, call: Call, denial: Denial) -> str:
        """Record a call as denied after all; return the record's id."""
        record = self._records.dated("call", live, replace(call, decision=Deny(denial)), NOTHING_YET, "")
        await self._recorder.keep(record)
        return record.id

    async def _refuse(self, denial: Denial, fact: Fact, asked: tuple[str, str, str], live: Live | None) -> None:
        agent, peer, reason = asked
        detail = {"peer": peer, "asked_agent": agent[:200], "reason": reason}
        told = replace(fact, code=denial.code, message=denial.message, detail=detail)
        await self._recorder.keep(self._recorder.make(told, None if live is None else live.session))

    def _live(self, live: LiveSession) -> Live:
        """Return the session behind what a mount holds: always one that `connect` gave it."""
        if not isinstance(live, Live):
            raise TypeError("a live session that this gateway did not make")
        return live

    def _record(
        self, kind: CallKind, live: LiveSession, call: Call, outcome: Outcome, durable: Durable, refers: str
    ) -> str:
        """Make and append one record; on any failure `durable(False)`, later, as if the ledger had said so."""
        try:
            if kind != "intent" and (outcome.code or type(call.decision) is Deny):
                decision = call.decision
                code = decision.denial.code if isinstance(decision, Deny) else outcome.code
                self._quarantines.denied(self._live(live), code)
            record = self._records.made(kind, self._live(live), call, outcome, refers)
            self._recorder.ledger.append(record, durable)
            return record.id
        except Exception as error:  # noqa: BLE001  # INVARIANT: a failure denies
            _log.error("a record could not be made: %s", _kind(error))
            asyncio.get_running_loop().call_soon(durable, False)
            return ""


def _untold(notice: Notice) -> None:
    """There is nobody to tell."""


def _unwarned(_durable: bool) -> None:
    _log.error("a warning about a limit could not be recorded")


def _unrecorded(_durable: bool) -> None:
    _log.error("the end of a connection could not be recorded")


def _kind(error: BaseException) -> str:
    """Return where an error was raised and of what kind it is. Its text may hold values, so it stays out of the log."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
