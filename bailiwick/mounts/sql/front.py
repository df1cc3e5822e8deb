"""The mounts of kind `sql` of a gateway: for the policy in force, what their databases are and how they are asked.

It does not listen. Whoever admits agents (the MCP front) gives it a live session, a mount and a statement.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from bailiwick.decide.limits import strictest
from bailiwick.errors import ConfigError
from bailiwick.gateway.approvals.approvals import Told
from bailiwick.gateway.approvals.executing import Handed, Void
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.approvals.statement_holds import Fate
from bailiwick.gateway.backends.duckdb import place_of
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.enforce import Gateway, attempt
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.recorder import Durable
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import Digest, keyed_digest
from bailiwick.model.approval import Approval, Previewed, Refused, Subject
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Allow, Decision, Denial, Deny, Hold, Queued, Request
from bailiwick.model.policy import Mount, Policy
from bailiwick.model.record import JsonValue
from bailiwick.mounts.recorded import given_detail
from bailiwick.mounts.sql import results
from bailiwick.mounts.sql.duckdb import DuckDBFile
from bailiwick.mounts.sql.execution import NO_LEDGER, Execution, recorded
from bailiwick.mounts.sql.holding import NOT_APART, OTHER, code_of, digest_of, previewed, result_of, subject_of
from bailiwick.mounts.sql.mariadb import MariaDBServer
from bailiwick.mounts.sql.observed import observed_call
from bailiwick.mounts.sql.results import Answer, Denied, Result
from bailiwick.mounts.sql.running import Bounds, Engine, Expected, Job, Ran, Stop
from bailiwick.mounts.sql.sqlite import SQLiteFile
from bailiwick.mounts.sql.values import Value, bound_values, given_values
from bailiwick.policy.effective import built_engines
from bailiwick.sql.engines.plan import EnginePlan

if TYPE_CHECKING:
    from bailiwick.sql.engines.rewrite import EngineRewriter

_most_rewriters = 256
_most_plans = 4096
_longest_kept = 8192
_THREADS = 8
_PACKAGES = {"duckdb": "duckdb", "mariadb": "pymysql"}
_NO_MOUNT = Denial("resource_unknown", "there is no such database in this session", remedy="ask for a new session")
_FAILED = Denial("internal_error", "the gateway failed on this request", remedy="its log and ledger say why")


@dataclass(frozen=True, slots=True)
class _Place:
    """One mount under the policy in force."""

    mount: Mount
    engine: Engine


@dataclass(frozen=True, slots=True, eq=False)
class _Closing:
    """A statement under way, which ends when its mount is closed."""

    mount: str
    stop: Stop

    def cut(self, denial: Denial) -> None:
        """Stop it; `Execution` says why."""
        del denial
        self.stop.tell()


class SqlMounts:
    """All mounts of kind `sql`; a `Front` without an address."""

    name = "sql"
    address = None

    def __init__(self, config: GatewayConfig) -> None:
        self._limits = config.limits
        self._places: dict[str, _Place] = {}
        self._ready: Ready | None = None
        self._gateway: Enforcer | None = None
        self._mask_key = b""
        self._digest: Digest = keyed_digest(b"")
        self._rewriters: OrderedDict[tuple[str, str], EngineRewriter] = OrderedDict()
        self._plans: OrderedDict[tuple[str, str, str], EnginePlan | Denial] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, "bailiwick-sql")
        self._stops: set[Stop] = set()
        self._running: set[asyncio.Task[Answer]] = set()

    # --- as a front ---

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Take up the policy's mounts."""
        self._gateway = gateway
        gateway.executions.executors.append(self)
        self._mask_key = keys.mask
        self._digest = keyed_digest(keys.mask)
        self.install(ready)

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        for mount in ready.force.policy.mounts.values():
            if mount.kind == "sql":
                _check(mount)

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        mounts = [mount for mount in ready.force.policy.mounts.values() if mount.kind == "sql"]
        places = {mount.name: _Place(mount, _engine(mount, ready)) for mount in mounts}
        for old in self._places.values():
            old.engine.close()
        self._ready, self._places = ready, places
        self._rewriters.clear()
        self._plans.clear()

    async def stop(self) -> None:
        """Stop what runs, and wait for its records."""
        for stop in tuple(self._stops):
            stop.tell()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._threads.shutdown(wait=True)
        for place in self._places.values():
            place.engine.close()

    # --- for whoever admits agents ---

    def names(self, live: LiveSession) -> tuple[str, ...]:
        """Return the mounts in which the session can do something."""
        reached = {each.resource.mount for each in live.scope.resources.values()}
        return tuple(name for name in self._places if name in reached)

    def describe(self, live: LiveSession, mount: str) -> str:
        """Return the engine, and the tables and columns that the session sees, in words for an agent."""
        rewriter = self._rewriter(live, mount)
        if rewriter is None:
            return ""
        tables = [
            f"{scoped.relation.name}({', '.join(f'{each.name} {each.type}' for each in scoped.columns.values())})"
            for scoped in rewriter.relations.values()
            if scoped.columns
        ]
        return f"{rewriter.dialect.engine}: {'; '.join(tables) or 'no tables'}"

    async def query(
        self, live: Live, mount: str, sql: str, parameters: Sequence[JsonValue] = (), *, purpose: str = ""
    ) -> Answer:
        """Do one statement of a session, or say why not. On record, durably, when this returns.

        `parameters` stand for the `?` of the text. When the caller is cancelled, the statement is stopped and undone.
        """
        stop = Stop(self._limits.statement_time.total_seconds())
        task = asyncio.create_task(self._whole(live, mount, sql, parameters, purpose, stop))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        closing = _Closing(mount, stop)
        live.watch(closing)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.tell()
            raise
        finally:
            live.unwatch(closing)

    async def _whole(
        self, live: Live, mount: str, sql: str, parameters: Sequence[JsonValue], purpose: str, stop: Stop
    ) -> Answer:
        place, gateway = self._places.get(mount), self._gateway
        if gateway is None:
            return Denied(_NO_MOUNT)
        blocked = live.blocked(mount)
        if blocked is not None:
            return await self._refused(gateway, live, _call(mount, "", Request(mount, (), purpose), Deny(blocked)))
        plan = await self._plan(live, mount, sql)
        if place is None or isinstance(plan, Denial):
            denial = plan if isinstance(plan, Denial) else _NO_MOUNT
            asked = await self._told(live, mount, sql)
            return await self._refused(gateway, live, _call(mount, asked, Request(mount, (), purpose), Deny(denial)))
        request = Request(mount, plan.accesses, purpose)
        decision = gateway.decide(live, request)
        values = given_values(parameters)
        if isinstance(decision, Allow) and (values is None or len(values) != plan.parameters):
            decision = Deny(_parameters(plan, parameters))
        told = given_detail(parameters if values is not None else (), live.digest)
        call = Call(mount, plan.statement, request, decision, told)
        if isinstance(decision, Hold) and decision.queued is not None:
            if values is None or len(values) != plan.parameters:
                return await self._refused(gateway, live, replace(call, decision=Deny(_parameters(plan, parameters))))
            return await self._held(_Held(place, live, call, plan, sql, parameters, values), decision.queued, stop)
        if not isinstance(decision, Allow) or values is None:
            return await self._refused(gateway, live, call)
        ceilings = self._ceilings(decision.ceilings or Ceilings())
        stop.shorten(ceilings.timeout or 1)
        bounds = Bounds(ceilings.rows, ceilings.bytes or 0, ceilings.batch)
        bound = bound_values(plan.bound, live.session, datetime.now(UTC))
        job = Job(plan, (*values, *bound), bounds, self._mask_key)
        call, looking = observed_call(call, plan, parameters, live, self._digest)
        return await Execution(gateway, live, call, plan, ceilings, looking).done(lambda: self._run(place, job, stop))

    # --- what waits for people ---

    def runs(self, subject: Subject) -> bool:
        """See `Executor`."""
        return subject.kind == "statement" and subject.mount in self._places

    async def execute(self, live: Live, approval: Approval) -> Came | Void:
        """See `Executor`."""
        subject = approval.subject
        given = cast("list[JsonValue]", json.loads(subject.content)["values"])
        if digest_of(live, subject.mount, subject.text, given) != subject.digest:
            return Void(OTHER)
        stop = Stop(self._limits.statement_time.total_seconds())
        return (await self._whole(live, subject.mount, subject.text, given, approval.purpose, stop)).json()

    async def _held(self, held: _Held, queued: Queued, stop: Stop) -> Answer:
        """Keep a statement for people, or run it, exactly as they approved it: as many rows, and the same ones."""
        gateway = self._gateway
        if gateway is None:
            return Denied(_NO_MOUNT)
        live, call, plan = held.live, held.call, held.plan
        if plan.upsert is not None and plan.upsert.change is not None:
            return await self._refused(gateway, live, replace(call, decision=Deny(NOT_APART)))
        preview = queued.preview if plan.kind == "WRITE" else "off"
        if preview == "rows":
            plan = await self._shown(live, call.mount, held.sql) or plan
        ceilings = self._ceilings(queued.ceilings or Ceilings())
        stop.shorten(ceilings.timeout or 1)
        bounds = Bounds(ceilings.rows, ceilings.bytes or 0, ceilings.batch)
        bound = bound_values(plan.bound, live.session, datetime.now(UTC))
        key = self._key(live, call.mount, plan)
        job = Job(plan, (*held.values, *bound), bounds, self._mask_key, key=key)

        async def run() -> Previewed | Refused:
            ran = await self._run(held.place, replace(job, dry=True), stop)
            return previewed(ran, job, Execution(gateway, live, call, plan, ceilings))

        subject = subject_of(live, call.mount, held.sql, held.given, preview)
        found = await gateway.hold(live, call, subject, run, 0.0)
        if isinstance(found, Told):
            return Denied(found.denial, found.record)
        if isinstance(found, Handed):
            return result_of(found)
        rows = found.approval.previewed.rows
        wanted = None if rows is None else Expected(rows, found.approval.previewed.keys)
        allowed = Allow(queued.grants, queued.labels, queued.ceilings, queued.budgets)
        detail = {**(call.detail or {}), "approval": found.approval.id}
        begun = replace(call, decision=allowed, detail=detail)
        answer: Answer = Denied(_FAILED)
        try:
            execution = Execution(gateway, live, begun, plan, ceilings)
            answer = await execution.done(lambda: self._run(held.place, replace(job, expected=wanted), stop))
        finally:
            code = code_of(answer)
            fate: Fate = "undone" if code and code not in _LASTING else "done"
            await recorded(lambda told: _ended(gateway, found.approval.id, fate, code, told))
        if code == "data_changed" and not stop.due:
            return await self._held(held, queued, stop)
        own = held.plan.returning is not None or held.plan.kind == "READ"
        return answer if own or not isinstance(answer, Result) else replace(answer, columns=(), rows=())

    async def _shown(self, live: LiveSession, mount: str, sql: str) -> EnginePlan | None:
        """Return the plan by which a write tells its rows; None where they cannot be told."""
        rewriter = self._rewriter(live, mount)
        if rewriter is None:
            return None
        loop = asyncio.get_running_loop()
        rewrite = partial(rewriter.rewrite, shown=True)
        found = await loop.run_in_executor(self._threads, attempt, "planning a preview", rewrite, sql)
        return None if isinstance(found, Denial) else found

    def _key(self, live: LiveSession, mount: str, plan: EnginePlan) -> tuple[str, ...]:
        for each in live.scope.resources.values():
            resource = each.resource
            if resource.mount == mount and plan.target is not None and resource.table == plan.target.relation:
                return resource.key
        return ()

    def _ceilings(self, found: Ceilings) -> Ceilings:
        """Return the ceilings of a statement under those that hold for every statement of this gateway."""
        seconds = max(int(self._limits.statement_time.total_seconds()), 1)
        own = Ceilings(None, None, min(self._limits.result, results.largest_answer), seconds)
        return strictest(found, own) or own

    async def _run(self, place: _Place, job: Job, stop: Stop) -> Ran:
        self._stops.add(stop)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, place.engine.run, job, stop)
        finally:
            self._stops.discard(stop)

    async def _refused(self, gateway: Enforcer, live: LiveSession, call: Call) -> Answer:
        decision = call.decision
        denial = decision.denial if isinstance(decision, Deny | Hold) else _FAILED
        record, durable = await recorded(lambda done: gateway.call(live, call, Outcome(), done))
        return Denied(denial, record) if durable else Denied(NO_LEDGER)

    async def _plan(self, live: LiveSession, mount: str, sql: str) -> EnginePlan | Denial:
        """Return the plan of a text; what was planned for a scope is kept for its other sessions."""
        rewriter = self._rewriter(live, mount)
        if rewriter is None:
            return _NO_MOUNT
        key = (live.scope.id, mount, sql)
        kept = self._plans.get(key)
        if kept is None:
            loop, what = asyncio.get_running_loop(), "planning a statement"
            kept = await loop.run_in_executor(self._threads, attempt, what, rewriter.rewrite, sql)
            if len(sql) <= _longest_kept and self._rewriters.get(key[:2]) is rewriter:
                self._plans[key] = kept
                if len(self._plans) > _most_plans:
                    self._plans.popitem(last=False)
        return kept

    async def _told(self, live: LiveSession, mount: str, sql: str) -> str:
        """Return a refused statement as the ledger tells it: without its literals, or nothing if it cannot be read."""
        rewriter = self._rewriter(live, mount)
        if rewriter is None or len(sql) > _longest_kept:
            return ""
        from bailiwick.sql.engines.tree import without_literals  # see `_rewriter`

        loop, what, grammar = asyncio.get_running_loop(), "the reading of a statement", rewriter.dialect.grammar
        found = await loop.run_in_executor(self._threads, attempt, what, without_literals, sql, grammar)
        return found if isinstance(found, str) else ""

    def _rewriter(self, live: LiveSession, mount: str) -> EngineRewriter | None:
        key, place, ready = (live.scope.id, mount), self._places.get(mount), self._ready
        found = self._rewriters.get(key)
        if found is None and place is not None and ready is not None and place.mount.engine is not None:
            from bailiwick.sql.engines.rewrite import EngineRewriter  # sqlglot costs start-up time

            found = EngineRewriter(live.scope, ready.catalogues[mount], mount, place.mount.engine)
            self._rewriters[key] = found
            if len(self._rewriters) > _most_rewriters:
                self._rewriters.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class _Held:
    """A statement that a gate holds."""

    place: _Place
    live: LiveSession
    call: Call
    plan: EnginePlan
    sql: str
    given: Sequence[JsonValue]
    """Its parameters as the agent gave them, and as the engine takes them."""
    values: tuple[Value, ...]


_LASTING = frozenset({"rows_exceeded", "bytes_exceeded", "data_changed"})
"""Codes of what has run and is not to run again as it was approved."""


def _ended(gateway: Enforcer, approval: str, fate: Fate, code: str, durable: Durable) -> str:
    gateway.end(approval, fate, code, durable)
    return approval


def _check(mount: Mount) -> None:
    """Raise ConfigError for a mount that cannot be served."""
    if mount.engine not in built_engines:
        message = f"mount `{mount.name}`: the engine `{mount.engine}` is not supported yet"
        raise ConfigError(message, remedy="use `sqlite`, `duckdb` or `mariadb`, or remove the mount")
    package = _PACKAGES.get(mount.engine or "")
    if package is not None and find_spec(package) is None:
        message = f"mount `{mount.name}`: the package `{package}` is not installed"
        raise ConfigError(message, remedy=f"pip install 'bailiwick[{mount.engine}]'")


def _engine(mount: Mount, ready: Ready) -> Engine:
    _check(mount)
    path = ready.urls[mount.name].reveal()
    if mount.engine == "duckdb":
        return DuckDBFile(place_of(mount, path, writes=_is_written(mount, ready.force.policy)))
    return MariaDBServer(path) if mount.engine == "mariadb" else SQLiteFile(path)


def _is_written(mount: Mount, policy: Policy) -> bool:
    """Whether some grant of the policy writes to a mount."""
    return any(
        grant.effect == "allow" and grant.action.verb != "read" and grant.action.resource in ("*", *mount.resources)
        for role in policy.roles.values()
        for grant in role.grants
    )


def _call(mount: str, statement: str, request: Request, decision: Decision) -> Call:
    return Call(mount, statement, request, decision)


def _parameters(plan: EnginePlan, given: Sequence[JsonValue]) -> Denial:
    if len(given) != plan.parameters:
        message = f"the statement has {plan.parameters} parameters, {len(given)} are given"
    else:
        message = "a parameter is neither text, nor a number, a truth value or null"
    return Denial("statement_unparsable", message, remedy="give one plain value for each `?`")
