"""What was decided, done: ask the server, and look at what it answers; for one session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from bailiwick.decide.calls import Admitted
from bailiwick.decide.limits import exceeded
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.masks import Digest
from bailiwick.model.approval import Approval
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial, Deny, Hold, Request
from bailiwick.model.tool import Own
from bailiwick.mounts.mcp.contents import Looked, Result, Sight
from bailiwick.mounts.mcp.message import INTERNAL_ERROR, Json, write
from bailiwick.mounts.mcp.relay import Answered, Audience, Relay, refusal
from bailiwick.mounts.mcp.replies import data_in
from bailiwick.mounts.mcp.rounds import ask, mirrored
from bailiwick.mounts.mcp.sealed import Seal
from bailiwick.mounts.mcp.servers import Connections
from bailiwick.mounts.mcp.upstream import Reply, TooLongError, Upstream, UpstreamError, WithheldError, longest
from bailiwick.mounts.offered import Before, Doing, Doings, Order
from bailiwick.mounts.priced import told_in_body
from bailiwick.mounts.tool_path import NO_LEDGER, Done, ToolPath, request_of

patience = 600.0
"""Seconds that an agent's client, and the person at it, may take to answer a server's question."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of this gateway is held to."""

    longest_time: float
    """Seconds."""
    digest: Digest
    own: Doings = field(default_factory=dict[Own, Doing])
    """What the gateway itself does, by the kind of its mounts."""
    seal: Seal = field(default_factory=Seal)
    """Seals what clients bring back that go on waiting for people."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One request to a server that was decided: what is sent, and what of its answer is shown."""

    admitted: Admitted
    statement: str
    purpose: str
    method: str
    params: Mapping[str, Json]
    look: Callable[[Sight, Mapping[str, Json]], Looked]
    approval: Approval | None = None
    """Of people, that it is run under: once."""


@dataclass(frozen=True, slots=True)
class NotDone:
    """Why something was not done, or its result is not shown; and the id of the record of that, if there is one."""

    denial: Denial
    record: str = ""
    approval: Approval | None = None
    """What it waits for."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that the server answered with, as JSON-RPC has it."""

    code: int
    message: str


Told = Result | NotDone | ServerError
OBSERVED_META = "bailiwick/observed"
"""In `_meta` of a result: the session is observed."""


class Errands:
    """The errands of one session."""

    def __init__(
        self, gateway: Gateway, live: Live, connections: Connections, terms: Terms, changed: Callable[[], None]
    ) -> None:
        self.path = ToolPath(gateway, live)
        self._gateway = gateway
        self._live = live
        self.connections = connections
        self._terms = terms
        self._changed = changed

    async def refuse(self, statement: str, request: Request, decision: Deny | Hold) -> NotDone:
        """Record what is not done."""
        return NotDone(decision.denial, await self.path.refuse(statement, request, decision))

    @asynccontextmanager
    async def prepared(self, before: Before) -> AsyncGenerator[NotDone | None]:
        """Have at hand what a call is about, if the gateway itself would do it, while it is decided and run."""
        tool = self._live.tools.tools.get(before.name)
        doing = None if tool is None or tool.tool.own is None else self._terms.own.get(tool.tool.own)
        if doing is None:
            yield None
            return
        async with doing.prepared(self._live, before) as missing:
            yield None if missing is None else NotDone(missing.denial, missing.record, missing.approval)

    async def run(self, errand: Errand, audience: Audience) -> Told:
        """Do what was admitted; the audience hears what of the server's words the policy lets pass meanwhile."""
        tool = errand.admitted.tool
        if tool.tool.own is not None:
            return await self._own(errand, tool.tool.own)
        relay = Relay(audience, self.connections.relayed(tool.mount), whole=errand.admitted.view.whole)
        request = request_of(tool, errand.purpose)
        try:
            upstream, changed, news = await self.connections.use(tool.mount, relay)
        except UpstreamError as error:
            message = f"the server of this {tool.tool.kind} is not available: {error}"
            denial = Denial("backend_unavailable", message, remedy="try again later")
            return await self.refuse(errand.statement, request, Deny(denial))
        if news:
            self._changed()
        if tool.tool.key in changed:
            message = f"the server has changed this {tool.tool.kind} since it was accepted"
            denial = Denial("tool_changed", message, "", "ask the gateway's operator: `bailiwick accept` shows how")
            return await self.refuse(errand.statement, request, Deny(denial))
        call = Call(tool.mount, errand.statement, request, errand.admitted.allow, {tool.tool.kind: tool.tool.name})
        watched = self.path.watch(errand.admitted, self._terms.digest)

        async def executed() -> Done[Result | ServerError]:
            done = await self._executed(upstream, errand, relay)
            if watched is not None and done.shown is not None and not isinstance(done.shown, ServerError):
                watched.result(data_in(done.shown))
            return done

        done = await self.path.run(
            call,
            executed,
            intends=tool.tool.action.verb != "read" or bool(tool.tool.effects),
            price=tool.tool.cost,
            happened=lambda: {"relayed": {**relay.counts}} if relay.counts else {},
            approval=errand.approval,
            watched=watched,
        )
        if done.denial is not None or done.shown is None:
            return NotDone(done.denial or NO_LEDGER, done.record)
        return done.shown if watched is None or isinstance(done.shown, ServerError) else said_observed(done.shown)

    async def _own(self, errand: Errand, kind: Own) -> Told:
        """Have the gateway itself do it."""
        doing = self._terms.own.get(kind)
        if doing is None:
            denial = Denial("backend_unavailable", "this gateway does not serve mounts of that kind")
            return await self.refuse(errand.statement, request_of(errand.admitted.tool, errand.purpose), Deny(denial))
        watched = self.path.watch(errand.admitted, self._terms.digest)
        order = Order(errand.admitted, errand.statement, errand.purpose, errand.approval, watched)
        done = await doing.run(self.path, self._live, order)
        if done.denial is not None or done.shown is None:
            return NotDone(done.denial or NO_LEDGER, done.record)
        told = {**done.shown}
        text = write(told).decode()
        found: Result = {"content": [{"type": "text", "text": text}], "structuredContent": told, "isError": False}
        return found if watched is None else said_observed(found)

    async def _executed(self, upstream: Upstream, errand: Errand, relay: Relay) -> Done[Result | ServerError]:
        admitted = errand.admitted
        bounds = admitted.allow.ceilings or Ceilings()
        seconds = min(self._terms.longest_time, bounds.timeout or self._terms.longest_time)
        try:
            # Of what is filtered the server may send more than is shown.
            most = longest if bounds.bytes is None or not admitted.view.whole else bounds.bytes + 1024
            async with asyncio.timeout(seconds) as limit:
                hears, named = _Patient(relay, limit), errand.params.get("arguments")
                given = cast("dict[str, Json]", named) if isinstance(named, dict) else {}
                headers = mirrored(admitted.tool.locked.definition, given)
                reply = await ask(upstream, errand.method, errand.params, most, hears, headers)
        except TimeoutError:
            if bounds.timeout is not None and seconds == bounds.timeout:
                return Done(denial=exceeded("timeout_exceeded", bounds, 0))
            return Done(denial=Denial("timeout_exceeded", "the call ran for too long and was cancelled"))
        except UpstreamError as error:
            await self.connections.drop(admitted.tool.mount, upstream)
            return Done(denial=_failed(error, bounds))
        return self._answered(errand, reply, bounds)

    def _answered(self, errand: Errand, reply: Reply, bounds: Ceilings) -> Done[Result | ServerError]:
        view = errand.admitted.view
        if reply.result is None:
            told = (reply.code, reply.message[:1000]) if view.whole else (INTERNAL_ERROR, "the server refused the call")
            return Done(ServerError(*told), "tool_error", size=reply.size)
        session = self._live.session
        price = errand.admitted.tool.tool.cost
        measured = self._gateway.measured(self._live, errand.admitted.allow, price)
        counted = bounds.rows is not None or "rows" in measured
        sight = Sight(view, lambda ref: session.value(ref.path), utc_now(), self._terms.digest, self.may_read, counted)
        looked = errand.look(sight, reply.result)
        cost = told_in_body(price, data_in(reply.result))
        size = len(write(looked.result))
        if bounds.bytes is not None and size > bounds.bytes:
            return Done(denial=exceeded("bytes_exceeded", bounds, size), size=size, cost=cost)
        if bounds.rows is not None and looked.items is not None and looked.items > bounds.rows:
            return Done(denial=exceeded("rows_exceeded", bounds, looked.items), items=looked.items, cost=cost)
        code = "tool_error" if looked.result.get("isError") is True else ""
        return Done(looked.result, code, looked.items, size, cost=cost)

    def may_read(self, uri: str) -> bool:
        """Return whether the session may read a document."""
        return isinstance(self._gateway.decide_call(self._live, uri, {}, "document"), Admitted)


def said_observed(result: Result) -> Result:
    """Return a result that says that the session is observed."""
    meta = result.get("_meta")
    return {**result, "_meta": {**(cast("Result", meta) if isinstance(meta, dict) else {}), OBSERVED_META: True}}


class _Patient:
    """A relay whose errand's time stands still while the agent's client is asked."""

    def __init__(self, relay: Relay, limit: asyncio.Timeout) -> None:
        self.whole = relay.whole
        self.progress = relay.progress
        self.told = relay.told
        self._relay = relay
        self._limit = limit
        self._asking = 0
        self._left = 0.0

    async def asked(self, method: str, params: Mapping[str, Json]) -> Answered:
        """Answer a request of the server's."""
        clock = asyncio.get_running_loop().time
        if not self._asking:
            self._left = (self._limit.when() or clock()) - clock()
            self._limit.reschedule(None)
        self._asking += 1
        try:
            return await asyncio.wait_for(self._relay.asked(method, params), patience)
        except TimeoutError:
            return refusal(INTERNAL_ERROR, "the client gave no answer in time")
        finally:
            self._asking -= 1
            if not self._asking and not self._limit.expired():
                self._limit.reschedule(clock() + self._left)


def _failed(error: UpstreamError, bounds: Ceilings) -> Denial:
    if isinstance(error, TooLongError):
        if bounds.bytes is not None:
            return exceeded("bytes_exceeded", bounds, 0)
        return Denial("bytes_exceeded", "the result is too long", remedy="ask for less at once")
    if isinstance(error, WithheldError):
        return Denial(
            "result_withheld", "the result held something that no session may see", remedy="tell the operator"
        )
    return Denial("backend_unavailable", f"{error}; what the call did is not known", remedy="look before trying again")
