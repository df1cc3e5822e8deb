"""Calls of tools on the one path: session → decide → record the intent → execute → settle, for one session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from bailiwick.decide.calls import Admitted, Refused
from bailiwick.decide.limits import exceeded
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.live import Live
from bailiwick.gateway.moments import utc_now
from bailiwick.match.masks import Digest
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Allow, Denial, Deny, Request
from bailiwick.mounts.mcp.builtin import BuiltIn
from bailiwick.mounts.mcp.message import INTERNAL_ERROR, INVALID_PARAMS, Json, write
from bailiwick.mounts.mcp.replies import Looked, Result, denied, looked_at
from bailiwick.mounts.mcp.servers import Connections
from bailiwick.mounts.mcp.upstream import Reply, TooLongError, UpstreamError, WithheldError, longest
from bailiwick.mounts.tool_path import NO_LEDGER, Done, ToolPath, refused_request, request_of, statement_of

_longest_reason = 500


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
        self._path = ToolPath(gateway, live)

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
            return denied(blocked, await self._path.refuse(name, told, Request("", (), purpose), Deny(blocked)))
        own = self._built_in.named(name, self._live)
        if own is not None:
            return await self._own(name, arguments, purpose, own)
        decided = self._gateway.decide_call(self._live, name, arguments)
        if isinstance(decided, Refused):
            request = refused_request(decided, purpose)
            record = await self._path.refuse(name, arguments, request, decided.decision)
            return denied(decided.decision.denial, record)
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
        kept, _ = await self._path.tell(call)
        return result if kept else denied(NO_LEDGER)

    async def _admitted(self, name: str, admitted: Admitted, purpose: str) -> Result:
        tool = admitted.tool
        request = request_of(tool, purpose)
        try:
            upstream, changed, news = await self.connections.use(tool.mount)
        except UpstreamError as error:
            denial = _unavailable(str(error))
            return denied(denial, await self._path.refuse(name, admitted.arguments, request, Deny(denial)))
        if news:
            self._changed()
        if tool.tool.name in changed:
            message = "the server has changed this tool since it was accepted"
            denial = Denial("tool_changed", message, "", "ask the gateway's operator: `bailiwick accept` shows how")
            return denied(denial, await self._path.refuse(name, admitted.arguments, request, Deny(denial)))
        statement = statement_of(name, admitted.arguments)
        call = Call(tool.mount, statement, request, admitted.allow, {"tool": tool.tool.name})
        only_reads = tool.tool.action.verb == "read" and not tool.tool.effects
        done = await self._path.run(call, lambda: self._executed(upstream.request, admitted), intends=not only_reads)
        if done.denial is not None:
            return denied(done.denial, done.record)
        if isinstance(done.shown, ProtocolError):
            raise done.shown
        return done.shown or {}

    async def _executed(
        self, request: Callable[[str, Mapping[str, Json], int], Awaitable[Reply]], admitted: Admitted
    ) -> Done[Result | ProtocolError]:
        tool, bounds = admitted.tool, admitted.allow.ceilings or Ceilings()
        seconds = min(self._terms.longest_time, bounds.timeout or self._terms.longest_time)
        params = {"name": tool.tool.name, "arguments": admitted.arguments}
        try:
            # Of what is filtered the server may send more than is shown.
            most = longest if bounds.bytes is None or not admitted.view.whole else bounds.bytes + 1024
            reply = await asyncio.wait_for(request("tools/call", params, most), seconds)
        except TimeoutError:
            if bounds.timeout is not None and seconds == bounds.timeout:
                return Done(denial=exceeded("timeout_exceeded", bounds, 0))
            return Done(denial=Denial("timeout_exceeded", "the call ran for too long and was cancelled"))
        except UpstreamError as error:
            await self.connections.drop(tool.mount)
            return Done(denial=_failed(error, bounds))
        if reply.result is None:
            if not admitted.view.whole:
                return Done(ProtocolError(INTERNAL_ERROR, "the server refused the call"), "tool_error")
            return Done(ProtocolError(reply.code, reply.message[:1000]), "tool_error")
        return self._shown(admitted, reply.result, bounds)

    def _shown(self, admitted: Admitted, result: Mapping[str, Json], bounds: Ceilings) -> Done[Result | ProtocolError]:
        session = self._live.session
        looked: Looked = looked_at(
            admitted.view, result, lambda ref: session.value(ref.path), utc_now(), self._terms.digest
        )
        size = len(write(looked.result))
        if bounds.bytes is not None and size > bounds.bytes:
            return Done(denial=exceeded("bytes_exceeded", bounds, size), size=size)
        if bounds.rows is not None and looked.items is not None and looked.items > bounds.rows:
            return Done(denial=exceeded("rows_exceeded", bounds, looked.items), items=looked.items)
        code = "tool_error" if looked.result.get("isError") is True else ""
        return Done(looked.result, code, looked.items, size)


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
