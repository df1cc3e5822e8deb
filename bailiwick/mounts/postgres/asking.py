"""Statements for mounts of kind `postgres` that come through a tool, not from a client of the wire.

Each is asked of the very state machine that wire clients have, over a connection to the database that it has to itself:
so it is planned, decided, recorded, bounded, held and answered as theirs are, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace

from bailiwick.errors import BackendError
from bailiwick.gateway.approvals.executing import Asked, Void
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval, Subject
from bailiwick.model.decision import Denial, Deny, Request
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import Scope
from bailiwick.mounts.held_calls import OTHER
from bailiwick.mounts.postgres import codec, holding, upstream
from bailiwick.mounts.postgres.alone import changed_messages, kept_of, messages_of, settings_of
from bailiwick.mounts.postgres.answers import Reply
from bailiwick.mounts.postgres.batch import Held
from bailiwick.mounts.postgres.connection import Surroundings, Target, taken, utc_now
from bailiwick.mounts.postgres.errors import denied
from bailiwick.mounts.postgres.frontend import Frontend
from bailiwick.mounts.postgres.holding import Around, Database
from bailiwick.mounts.postgres.only_holds import OnlyHolds
from bailiwick.mounts.postgres.planning import Plans
from bailiwick.mounts.postgres.replies import meaning_of
from bailiwick.mounts.postgres.scrub import without_literals
from bailiwick.mounts.postgres.translate import Unplanned
from bailiwick.mounts.postgres.upstream import Upstream
from bailiwick.mounts.sql.results import Answer, Denied, largest_answer
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.plan import Plan

_SETTINGS: Mapping[str, str] = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
"""How values are written as text, whatever the database's own settings say."""
_MOST_TEXT = 64 * 1024
_NO_MOUNT = Denial("resource_unknown", "there is no such database in this session", remedy="ask for a new session")
_NO_LEDGER = Denial("ledger_unavailable", "the gateway cannot record this, so it does not do it", remedy="try again")
_CHANGED = Denial("backend_unavailable", "the policy changed while the statement ran", remedy="send it again")
_STOPPING = Denial("backend_unavailable", "the gateway is shutting down", remedy="try again later")
_WIDER = Denial("approval_changed", "", remedy="narrow it, or deny it and say what to ask for instead")
Holds = Callable[[Held, Database, LiveSession, Around, float | None], Awaitable[holding.Outcome]]
_NOT_HERE = Denial(
    "statement_not_allowed",
    "this tool takes one statement that reads or writes rows",
    allowed="one SELECT, INSERT, UPDATE, DELETE or MERGE",
    remedy="send its statements one by one; transactions, cursors, settings and COPY need a connection of your own",
)


class Questions:
    """The mounts of kind `postgres`, for whoever admits agents otherwise than by the wire."""

    def __init__(self) -> None:
        self._around: Surroundings | None = None
        self._ready: Ready | None = None
        self._asked: set[_Question] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, around: Surroundings) -> None:
        """Take statements from now on."""
        self._around = around

    def install(self, ready: Ready) -> None:
        """Serve another policy: end what would run under another depth now."""
        self._ready = ready
        for question in tuple(self._asked):
            question.recheck()

    async def close(self) -> None:
        """Stop what runs."""
        for question in tuple(self._asked):
            question.cut(_STOPPING)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def names(self, live: Live) -> tuple[str, ...]:
        """Return the mounts in which the session can do something."""
        reached = {each.resource.mount for each in live.scope.resources.values()}
        around = self._around
        return () if around is None else tuple(name for name in around.targets if name in reached)

    def describe(self, live: Live, mount: str) -> str:
        """Return the engine, and the tables and columns that the session sees, in words for an agent."""
        ready = self._ready
        catalogue = None if ready is None else ready.catalogues.get(mount)
        tables = [] if catalogue is None else list(_tables(live.scope, mount, catalogue))
        return f"postgres: {'; '.join(tables) or 'no tables'}"

    async def query(
        self, live: Live, mount: str, sql: str, parameters: Sequence[JsonValue] = (), *, purpose: str = ""
    ) -> Answer:
        """Do one statement of a session, or say why not. On record, durably, when this returns.

        `parameters` stand for `$1`, `$2`, … of the text. When the caller is cancelled, the statement is stopped and
        undone.
        """
        around, ready = self._around, self._ready
        target = None if around is None else around.targets.get(mount)
        if around is None or ready is None or target is None:
            return Denied(_NO_MOUNT)
        asked = Call(mount, without_literals(sql), Request(mount, (), purpose), Deny(_NO_MOUNT))
        refusal = _Refusal(around, live, asked)
        blocked = live.blocked(mount)
        if blocked is not None:
            return await refusal.answered(blocked)
        plan = _only(await _planned(around, live, mount, sql))
        if isinstance(plan, Denial):
            return await refusal.answered(plan)
        sent = _messages(sql, parameters, plan.first - 1)
        if isinstance(sent, Denial):
            return await refusal.answered(sent)
        question = _Question(around, target, live, mount, self._reply(ready, mount), self._tasks)
        failed = await self._answered(question, live, sent, purpose)
        if failed is not None:
            return await refusal.answered(failed)
        answer = question.reply.answer(question.record, reads=plan.kind == "READ")
        if isinstance(answer, Denied) and not answer.record:
            return await refusal.answered(answer.denial)  # it was ended before anything of it was on record
        return answer

    def runs(self, subject: Subject) -> bool:
        """See `Executor`."""
        return subject.kind == "statement" and self._around is not None and subject.mount in self._around.targets

    async def execute(self, live: Live, approval: Approval) -> Came | Void:
        """See `Executor`. It is sent again as its client would, under the client's settings."""
        around, ready, subject = self._around, self._ready, approval.subject
        target = None if around is None else around.targets.get(subject.mount)
        if around is None or ready is None or target is None:
            return Void(_NO_MOUNT)
        reply = self._reply(ready, subject.mount)
        reply.keeps = True
        others: list[Denial] = []

        async def holds(
            held: Held, on: Database, live: LiveSession, around: Around, patience: float | None
        ) -> holding.Outcome:
            if holding.is_for(approval, held, live, on.meant):
                return await holding.hold(held, on, live, around, patience)
            others.append(OTHER)
            return denied(OTHER, "")

        settings = settings_of(subject)
        question = _Question(around, target, live, subject.mount, reply, self._tasks, settings, holds)
        failed = await self._answered(question, live, messages_of(subject), approval.purpose)
        if others:
            return Void(others[0])
        if failed is not None:
            return kept_of(Denied(failed), reply)
        return kept_of(reply.answer(question.record, reads=reply.tag.startswith(b"SELECT")), reply)

    async def modified(
        self, live: Live, approval: Approval, sql: str, values: Sequence[JsonValue] | None
    ) -> Asked | Denial:
        """See `Changer`. INVARIANT: nothing is run but what a gate holds, and that only as its preview."""
        around, ready, subject = self._around, self._ready, approval.subject
        target = None if around is None else around.targets.get(subject.mount)
        if around is None or ready is None or target is None:
            return _NO_MOUNT
        plan = _only(await _planned(around, live, subject.mount, sql))
        if isinstance(plan, Denial):
            return plan
        wider = {f"{each.resource}:{each.verb}" for each in plan.accesses} - {*approval.actions}
        if wider:
            return replace(_WIDER, message=f"the changed statement would do more: {', '.join(sorted(wider))}")
        sent = changed_messages(subject, sql, plan.first - 1)
        if values is not None:
            sent = _messages(sql, values, plan.first - 1)
        if isinstance(sent, Denial):
            return sent
        found: list[Asked] = []

        async def holds(
            held: Held, on: Database, live: LiveSession, around: Around, patience: float | None
        ) -> holding.Outcome:
            del patience
            asked = await holding.asking(held, on, live, around)
            if not isinstance(asked, Denial):
                found.append(Asked(held.call, asked.subject, asked.run))
            return denied(asked if isinstance(asked, Denial) else _CHANGED, "")

        reply, settings = self._reply(ready, subject.mount), settings_of(subject)
        never = replace(around, enforcer=OnlyHolds(around.enforcer, approval.gates))
        question = _Question(never, target, live, subject.mount, reply, self._tasks, settings, holds)
        failed = await self._answered(question, live, sent, approval.purpose)
        if found:
            return found[0]
        answer = reply.answer("", reads=False)
        return failed or (answer.denial if isinstance(answer, Denied) else _NOT_HERE)

    def _reply(self, ready: Ready, mount: str) -> Reply:
        return Reply({oids[0]: name for name, oids in ready.catalogues[mount].types.items() if oids})

    async def _answered(self, question: _Question, live: Live, sent: bytes, purpose: str) -> Denial | None:
        """Ask, and wait for the reply; return why there is none."""
        self._asked.add(question)
        live.attach(question.cut, question.mount)
        try:
            await question.ask(sent, purpose)
        except (BackendError, TimeoutError) as error:
            text = error.message if isinstance(error, BackendError) else "the database does not answer"
            return Denial("backend_unavailable", text, remedy="try again later")
        finally:
            live.detach(question.cut)
            self._asked.discard(question)
            question.leave()
        return None


def _tables(scope: Scope, mount: str, catalogue: Catalogue) -> Iterator[str]:
    for each in scope.resources.values():
        relation = catalogue.relations.get((each.resource.schema, each.resource.table))
        if each.resource.mount != mount or relation is None:
            continue
        grants = each.reads if each.aggregate is None else (*each.reads, *each.aggregate.grants)
        shown = {name for grant in grants for name in grant.fields if f"read:{name}" not in each.held}
        columns = [f"{column.name} {column.type}" for column in relation.columns if column.name in shown]
        if columns:
            prefix = "" if relation.schema == "public" else f"{relation.schema}."
            yield f"{prefix}{relation.name}({', '.join(columns)})"


async def _planned(around: Surroundings, live: Live, mount: str, sql: str) -> Plans | Denial:
    """Return the plans of a text, which may have to be made."""
    known = attempt("planning a statement", around.planner, sql, live, mount)
    if known is not None:
        return known
    made: asyncio.Future[Plans] = asyncio.get_running_loop().create_future()

    def planned(plans: Plans) -> None:
        if not made.done():
            made.set_result(plans)

    failed = attempt("planning a statement", around.analysis.plan, Unplanned(sql, ()), live, mount, planned)
    return await made if failed is None else failed


class _Refusal:
    """Of one statement, when nothing of it gets as far as the database."""

    def __init__(self, around: Surroundings, live: Live, call: Call) -> None:
        self._around = around
        self._live = live
        self._call = call

    async def answered(self, denial: Denial) -> Answer:
        """Return the answer, once it is on record."""
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        call = Call(self._call.mount, self._call.statement, self._call.request, Deny(denial))
        record = self._around.enforcer.call(self._live, call, Outcome(code=denial.code), _settling(kept))
        return Denied(denial, record) if await kept else Denied(_NO_LEDGER)


def _settling(kept: asyncio.Future[bool]) -> Durable:
    def settled(durable: bool) -> None:
        if not kept.done():
            kept.set_result(durable)

    return settled


class _Question:
    """One statement on its way: the `Edge` between the state machine, the database, and who waits for the answer."""

    def __init__(
        self,
        around: Surroundings,
        target: Target,
        live: Live,
        mount: str,
        reply: Reply,
        tasks: set[asyncio.Task[None]],
        settings: Mapping[str, str] | None = None,
        holds: Holds = holding.hold,
    ) -> None:
        """`settings`: of whoever asked, in whose place this is; `holds`: what is done with what a gate holds."""
        self._around = around
        self._target = target
        self._live = live
        self._holds = holds
        self._settings = _SETTINGS if settings is None else settings
        self.mount = self._mount = mount
        self.reply = reply
        self._tasks = tasks
        self._role = ""
        self._server: Upstream | None = None
        self._frontend: Frontend | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._denial: Denial | None = None
        self._holding: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def record(self) -> str:
        """Id of the statement's record."""
        return "" if self._frontend is None else self._frontend.record

    async def ask(self, sent: bytes, purpose: str) -> None:
        """Send what a client would and wait until its reply is complete. Raises BackendError, TimeoutError."""
        around = self._around
        limit = {"statement_timeout": f"{int(around.statement_timeout * 1000)}ms"}
        self._server = await upstream.connect(self._target.address, {**self._settings, **limit})
        if self._target.depth is not None:
            self._role = await taken(self._target.depth, self._server, self._live)
        self._frontend = Frontend(
            self,
            self._live,
            self._mount,
            around.planner,
            around.enforcer,
            around.pads,
            utc_now,
            time.perf_counter,
            min(around.largest_result, largest_answer),
        )
        self._frontend.introduce(purpose, keeps=True)
        self._frontend.meant.update(meaning_of(self._server.parameters))
        self._server.receiver = self._frontend.server_data
        self._server.lost = self._frontend.server_lost
        if self._denial is not None:
            self._frontend.cut(self._denial)
        self.recheck()
        self._frontend.client_data(sent)
        await self._over

    def cut(self, denial: Denial) -> None:
        """End it: the session has ended, or the gateway stops."""
        self._denial = denial
        if self._frontend is not None:
            self._frontend.cut(denial)

    def recheck(self) -> None:
        """End it when it runs under another depth than the policy in force has for its session."""
        target = self._around.targets.get(self._mount)
        if self._frontend is not None and target is not None:
            role = "" if target.depth is None else target.depth.role(self._live)
            if role != self._role:
                self._frontend.cut(_CHANGED)

    def leave(self) -> None:
        """Nobody waits any more: what still runs is stopped and undone, and the connection ends."""
        if self._frontend is not None:
            self._frontend.client_lost()
        for each in (self._timer, self._holding):
            if each is not None:
                each.cancel()
        if self._server is not None:
            self._server.close()

    # --- what the state machine commands ---

    def send_client(self, data: bytes) -> None:
        """Take what a client would be sent."""
        self.reply.feed(data)
        if self.reply.complete:
            self._end()

    def send_server(self, data: bytes) -> None:
        """Send to the database."""
        if self._server is not None:
            self._server.send(data)

    def read_client(self, on: bool) -> None:
        """Nothing more comes from a client."""

    def read_server(self, on: bool) -> None:
        """Go on or stop to read from the database."""
        if self._server is not None:
            self._server.read(on)

    def cancel_server(self) -> None:
        """Cancel what the database runs."""
        self._cancel(self._cancelled)

    def plan(self, unplanned: Unplanned, number: int) -> None:
        """Have a text planned; the state machine hears of it by that number."""

        def planned(plans: Plans) -> None:
            if self._frontend is None:
                return
            try:
                self._frontend.planned(number, plans)
            except BaseException:
                self._end()  # nobody would ever wake it up again; a reply that is not complete is no answer
                raise

        plan = self._around.analysis.plan
        failed = attempt("planning a statement", plan, unplanned, self._live, self._mount, planned)
        if failed is not None:
            asyncio.get_running_loop().call_soon(planned, (failed,))

    def hold(self, held: Held, patience: float | None) -> None:
        """Keep a statement for people."""
        meant = {} if self._frontend is None else self._frontend.meant
        timeout, depth = self._around.statement_timeout, self._target.depth
        on = Database(self._target.address, self._settings, timeout, depth, meant)
        self._holding = self._start(self._hold(held, on, patience))

    def alarm(self, seconds: float | None) -> None:
        """Wake the state machine up after so long."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None and self._frontend is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._frontend.alarmed)

    def close(self, cancel: bool) -> None:
        """Let the database go; what it is running is cancelled first."""
        if cancel:
            self._cancel(_nothing)
        if self._server is not None:
            self._server.close()
        self._end()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _cancelled(self) -> None:
        if self._frontend is not None:
            self._frontend.cancelled()

    def _cancel(self, done: Callable[[], None]) -> None:
        key = None if self._server is None else self._server.key
        if key is None:
            asyncio.get_running_loop().call_soon(done)
        else:
            task = self._start(upstream.cancel(self._target.address, key))
            task.add_done_callback(lambda _: done())

    async def _hold(self, held: Held, on: Database, patience: float | None) -> None:
        outcome = await self._holds(held, on, self._live, self._around, patience)
        if self._frontend is not None:
            self._frontend.held(outcome)

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _nothing() -> None:
    """Nobody waits for it."""


def _only(plans: tuple[Plan | Denial, ...] | Denial) -> Plan | Denial:
    """Return the plan of the one statement that a tool can answer, or why there is none."""
    denied = plans if isinstance(plans, Denial) else next((each for each in plans if isinstance(each, Denial)), None)
    if isinstance(plans, Denial) or denied is not None:
        return denied or _NOT_HERE
    plan = plans[0] if len(plans) == 1 else None
    if not isinstance(plan, Plan) or plan.kind not in ("READ", "WRITE") or plan.copy or plan.act is not None:
        return _NOT_HERE
    return plan


def _messages(sql: str, parameters: Sequence[JsonValue], wanted: int) -> bytes | Denial:
    """Return what a client sends for a statement with these parameters, of which it has so many."""
    values = [_value(each) for each in parameters]
    if len(values) != wanted:
        return _unparsable(f"the statement has {wanted} parameters, {len(values)} are given")
    if not all(isinstance(each, bytes) for each in values):
        return _unparsable("a parameter is neither text, nor a number, a truth value or null")
    try:
        text = sql.encode()
    except UnicodeEncodeError:
        return _unparsable("the statement is no text: it holds half a character")
    if "\0" in sql or len(values) > _MOST_PARAMETERS:
        return _unparsable("the statement holds a character of zero, or has too many parameters")
    tail = b"\0\0" + codec.pack_int16(len(values)) + b"".join(each for each in values if each is not None) + b"\0\0"
    asked = codec.parse(b"", text) + codec.bind(b"", b"", tail)
    return asked + codec.describe(b"P", b"") + codec.execute(b"") + codec.SYNC


_MOST_PARAMETERS = 10_000


def _value(value: JsonValue) -> bytes | None:
    """Return a parameter as in a Bind message; None for what is none."""
    if value is None:
        return codec.NULL_VALUE
    if isinstance(value, list | dict):
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if len(text) > _MOST_TEXT or "\0" in text:
        return None
    try:
        written = text.encode()
    except UnicodeEncodeError:
        return None
    return codec.pack_int32(len(written)) + written


def _unparsable(message: str) -> Denial:
    return Denial("statement_unparsable", message, remedy="give one plain value for each `$1`, `$2`, …")
