"""Calls of tools on the one path: session → decide → record the intent → execute → settle, for one session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from bailiwick.decide.calls import Admitted, Refused
from bailiwick.decide.limits import exceeded
from bailiwick.gateway.call import Call, Outcome
from bailiwick.gateway.enforce import Durable, Gateway
from bailiwick.gateway.live import Live
from bailiwick.gateway.moments import utc_now
from bailiwick.match.masks import Digest
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Access, Allow, Decision, Denial, Deny, Request
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.message import INTERNAL_ERROR, INVALID_PARAMS, Json, write
from bailiwick.mounts.mcp.replies import Looked, Result, denied, looked_at, statement_of
from bailiwick.mounts.mcp.servers import Connections
from bailiwick.mounts.mcp.upstream import Reply, TooLongError, UpstreamError, WithheldError, longest

_longest_statement = 8192
_longest_reason = 500
_no_ledger = Denial("ledger_unavailable", "the gateway cannot record this, so it does not do it", remedy="try again")


class ProtocolError(Exception):
    """A request that is answered with a JSON-RPC error, not with a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of this gateway is held to."""

    longest_time: float
    """Seconds."""
    digest: Digest


class Calls:
    """The calls of one session."""

    def __init__(
        self,
        gateway: Gateway,
        live: Live,
        connections: Connections,
        built_in: BuiltIn,
        terms: Terms,
        changed: Callable[[], None],
    ) -> None:
        self._gateway = gateway
        self._live = live
        self.connections = connections
        self._built_in = built_in
        self._terms = terms
        self._changed = changed

    async def call(self, params: Mapping[str, Json]) -> Result:
        """Do what a `tools/call` asks, or say why not. Raises ProtocolError for a request that makes no sense."""
        name, given = params.get("name"), params.get("arguments", {})
        if not isinstance(name, str) or not isinstance(given, dict):
            raise ProtocolError(INVALID_PARAMS, "`name` is not a text, or `arguments` not an object")
        arguments = cast("dict[str, Json]", given)
        purpose = _purpose(params)
        blocked = self._live.blocked()
        if blocked is not None:
            told = {} if self._built_in.named(name, self._live) else arguments
            return denied(blocked, await self._refuse(name, told, Request("", (), purpose), Deny(blocked)))
        own = self._built_in.named(name, self._live)
        if own is not None:
            return await self._own(name, arguments, purpose, own)
        decided = self._gateway.decide_call(self._live, name, arguments)
        if isinstance(decided, Refused):
            tool = decided.tool
            accesses = () if tool is None else (Access(tool.tool.action.resource, tool.tool.action.verb),)
            request = Request("" if tool is None else tool.mount, accesses, purpose)
            return denied(decided.decision.denial, await self._refuse(name, arguments, request, decided.decision))
        return await self._admitted(name, decided, purpose)

    async def _own(
        self,
        name: str,
        arguments: Mapping[str, Json],
        purpose: str,
        run: Callable[[Mapping[str, Json]], Awaitable[Result]],
    ) -> Result:
        """Answer with one of the gateway's own tools; what it does of mounts it records itself.

        This record has the name only: an argument may be SQL, of which no literal belongs into the ledger.
        """
        call = Call("", name, Request("", (), purpose), Allow(()))
        result = await run(arguments)
        kept, _ = await _durably(lambda durable: self._gateway.call(self._live, call, Outcome(), durable))
        return result if kept else denied(_no_ledger)

    async def _admitted(self, name: str, admitted: Admitted, purpose: str) -> Result:
        tool = admitted.tool
        action = tool.tool.action
        request = Request(tool.mount, (Access(action.resource, action.verb),), purpose)
        try:
            upstream, changed, news = await self.connections.use(tool.mount)
        except UpstreamError as error:
            denial = _unavailable(str(error))
            return denied(denial, await self._refuse(name, admitted.arguments, request, Deny(denial)))
        if news:
            self._changed()
        if tool.tool.name in changed:
            message = "the server has changed this tool since it was accepted"
            denial = Denial("tool_changed", message, "", "ask the gateway's operator: `bailiwick accept` shows how")
            return denied(denial, await self._refuse(name, admitted.arguments, request, Deny(denial)))
        statement = statement_of(name, admitted.arguments, _longest_statement)
        call = Call(tool.mount, statement, request, admitted.allow, {"tool": tool.tool.name})
        only_reads = action.verb == "read" and not tool.tool.effects
        intent = ""
        if not only_reads:
            intent = await self._intended(call)
            if not intent:
                return denied(self._live.ended.denial if self._live.ended else _no_ledger)
        began = time.monotonic()
        self._live.started()
        failure = "internal_error"
        try:
            done = await self._executed(upstream.request, admitted)
            failure = ""
        except asyncio.CancelledError:
            failure = "cancelled"
            raise
        finally:  # also when it was the program that failed: what was executed is on record
            if failure:
                await asyncio.shield(self._settle(call, intent, Outcome(failure, None, None, _since(began))))
            self._live.finished()
        outcome = Outcome(done.code, done.items, done.size, _since(began))
        kept, record = await self._settle(call, intent, outcome)
        if not kept:
            return denied(_no_ledger)
        ended = self._live.ended
        if ended is not None:
            return denied(ended.denial, record)
        if done.error is not None:
            raise ProtocolError(*done.error)
        return done.result if done.denial is None else denied(done.denial, record)

    async def _executed(
        self, request: Callable[[str, Mapping[str, Json], int], Awaitable[Reply]], admitted: Admitted
    ) -> _Done:
        tool, bounds = admitted.tool, admitted.allow.ceilings or Ceilings()
        seconds = min(self._terms.longest_time, bounds.timeout or self._terms.longest_time)
        params = {"name": tool.tool.name, "arguments": admitted.arguments}
        try:
            # Of what is filtered the server may send more than is shown.
            most = longest if bounds.bytes is None or not admitted.view.whole else bounds.bytes + 1024
            reply = await asyncio.wait_for(request("tools/call", params, most), seconds)
        except TimeoutError:
            if bounds.timeout is not None and seconds == bounds.timeout:
                return _Done(denial=exceeded("timeout_exceeded", bounds, 0))
            return _Done(denial=Denial("timeout_exceeded", "the call ran for too long and was cancelled"))
        except UpstreamError as error:
            await self.connections.drop(tool.mount)
            return _Done(denial=_failed(error, bounds))
        if reply.result is None:
            if not admitted.view.whole:
                return _Done(code="tool_error", error=(INTERNAL_ERROR, "the server refused the call"))
            return _Done(code="tool_error", error=(reply.code, reply.message[:1000]))
        return self._shown(admitted, reply.result, bounds)

    def _shown(self, admitted: Admitted, result: Mapping[str, Json], bounds: Ceilings) -> _Done:
        session = self._live.session
        looked: Looked = looked_at(
            admitted.view, result, lambda ref: session.value(ref.path), utc_now(), self._terms.digest
        )
        size = len(write(looked.result))
        if bounds.bytes is not None and size > bounds.bytes:
            return _Done(denial=exceeded("bytes_exceeded", bounds, size), size=size)
        if bounds.rows is not None and looked.items is not None and looked.items > bounds.rows:
            return _Done(denial=exceeded("rows_exceeded", bounds, looked.items), items=looked.items)
        code = "tool_error" if looked.result.get("isError") is True else ""
        return _Done(looked.result, code, looked.items, size)

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

    async def _refuse(self, name: str, arguments: Mapping[str, Json], request: Request, decision: Decision) -> str:
        """Record what is not done; return the id of the record, empty when there is none."""
        call = Call(request.mount, statement_of(name, arguments, _longest_statement), request, decision)
        kept, record = await _durably(lambda durable: self._gateway.call(self._live, call, Outcome(), durable))
        return record if kept else ""


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a call that was executed."""

    result: Result = field(default_factory=dict[str, Json])
    code: str = ""
    items: int | None = None
    size: int | None = None
    denial: Denial | None = None
    error: tuple[int, str] | None = None


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


def _purpose(params: Mapping[str, Json]) -> str:
    """Return the agent's own claim of its reason: `_meta` of the call, `bailiwick/reason`."""
    meta = params.get("_meta")
    reason = cast("dict[str, Json]", meta).get("bailiwick/reason") if isinstance(meta, dict) else None
    return reason[:_longest_reason] if isinstance(reason, str) else ""


def _unavailable(why: str) -> Denial:
    return Denial("backend_unavailable", f"the tool's server is not available: {why}", remedy="try again later")


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
